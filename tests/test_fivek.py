"""FiveK: real pairs, all five experts, and a real raw file, where they are at hand."""
import shutil

import pytest
from PIL import Image

from pienet_nb.core import PieNetError
from pienet_nb.data import PairedFolder
from pienet_nb.fivek import EXPERTS, find_fivek, pienet_prepare_fivek, prepare_fivek, render_raw
from tiny_model import picture, run  # noqa: F401 (fixture)

@pytest.fixture
def dng(shared_data):
    found = sorted((shared_data/"raw").rglob("*.dng"))
    if not found: pytest.skip("the larger data set holds no DNG")
    pytest.importorskip("rawpy", reason="raw photos need the extra raw")
    return found[0]

def test_real_pairs(shared_data, tmp_path):
    n, errors = prepare_fivek(shared_data/"fivek"/"pairs", tmp_path, size=64)
    pairs = PairedFolder(tmp_path)
    assert errors == [] and pairs.styles == ["expert_c"] and n == 2*len(pairs.ids) > 20
    for photo in pairs.ids[:5]:
        with Image.open(pairs.file("source", photo)) as source, Image.open(pairs.file("expert_c", photo)) as reference:
            assert max(source.size) == 64 and source.size == reference.size
            assert source.tobytes() != reference.tobytes()
    train, test = pairs.split()
    assert sorted(train + test) == pairs.ids and all(photo > "a4500" for photo in test)

def test_all_experts_beside_a_source(shared_data, tmp_path, dng):
    root = tmp_path/"download"
    shutil.copytree(shared_data/"fivek"/"experts_a_to_e", root/"experts_a_to_e")
    (root/"raw_photos").mkdir()
    shutil.copy(dng, root/"raw_photos"/"a0001-jmac_DSC1459.dng") # not that photo, but a raw one
    assert list(find_fivek(root)) == ["source", *EXPERTS]
    prepare_fivek(root, tmp_path/"pairs", size=64)
    assert PairedFolder(tmp_path/"pairs").ids == ["a0001"]

def test_a_real_raw_photo(dng, tmp_path):
    rendered = render_raw(dng)
    assert rendered.mode == "RGB" and min(rendered.size) > 1000
    assert all(high - low > 100 for low, high in rendered.getextrema())
    (tmp_path/"cut.dng").write_bytes(dng.read_bytes()[:5000])
    with pytest.raises(PieNetError, match="cut.dng"): render_raw(tmp_path/"cut.dng")

def test_command(run, tmp_path):
    for part in "source", "expert_c":
        (tmp_path/"fivek"/part).mkdir(parents=True)
        for i in 1, 2: picture(seed=i).save(tmp_path/"fivek"/part/f"a000{i}.png")
    (tmp_path/"fivek"/"source"/"a0003.dng").write_bytes(b"no raw photo")
    code, out, err = run(pienet_prepare_fivek, tmp_path/"fivek", tmp_path/"out", "--size", 32)
    assert code == 1 and "4 pictures" in out and "a0003.dng" in err and err.count("\n") == 1
    assert PairedFolder(tmp_path/"out").ids == ["a0001", "a0002"]
    code, out, err = run(pienet_prepare_fivek, tmp_path/"none", tmp_path/"out")
    assert code == 2 and err.count("\n") == 1
    code, out, err = run(pienet_prepare_fivek, tmp_path/"fivek", tmp_path/"other", "--split", "half")
    assert code == 2 and "half" in err
