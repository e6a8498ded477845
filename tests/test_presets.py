"""Lightroom presets: real ones, and a preset as the taste of a command."""
import pytest
import torch

from pienet_nb.core import PieNetError, to_tensor
from pienet_nb.photos import read_photo, sample_photos
from pienet_nb.commands import pienet_enhance, pienet_export_lut
from pienet_nb.presets import DevelopPreset
from tiny_model import model, photo, run  # noqa: F401 (fixtures)

PRESET = """<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:RDF><rdf:Description crs:Exposure2012="+0.50"
 crs:Vibrance="-20" crs:GrainAmount="30"/></rdf:RDF></x:xmpmeta>"""

@pytest.fixture
def preset(tmp_path):
    path = tmp_path/"evening.xmp"
    path.write_text(PRESET)
    return path

def test_every_real_preset_is_a_look(shared_data):
    paths = sorted((shared_data/"presets"/"peva3").rglob("*.xmp"))
    if not paths: pytest.skip("the larger data set holds no presets")
    photos = to_tensor([read_photo(path, 48) for path in sample_photos()[:3]])
    shares, changes = [], []
    for path in paths:
        look = DevelopPreset.read(path)
        result = look(photos)
        assert result.shape == photos.shape and result.isfinite().all(), path
        assert 0 <= result.min() and result.max() <= 1, path
        share, ignored = look.coverage()
        shares.append(share); changes.append((result - photos).abs().mean().item())
        assert "Look" in ignored and "Exposure2012" not in ignored
    assert torch.tensor(shares).mean() > 0.6 # most of what they set
    assert torch.tensor(changes).median() > 0.02 # and they do something

def test_a_preset_is_a_taste(run, model, photo, preset):
    code, out, err = run(pienet_enhance, photo, "--preset", preset, "--model", model)
    assert code == 0 and photo.with_name("photo_evening.jpg").exists()
    assert "evening: 67% of the preset's settings are honoured; left out: GrainAmount" in err
    code, out, _ = run(pienet_export_lut, photo, "--preset", preset, "--model", model, "--size", 5)
    assert code == 0 and photo.with_name("photo_evening.cube").exists()

@pytest.mark.parametrize("content", [b"", b"not xml", PRESET.encode()[:150], b"<x/>", bytes(range(256)),
                                     b"\xff\xd8\xff"])
def test_a_broken_preset_gets_a_sentence(run, model, photo, tmp_path, content):
    path = tmp_path/"broken.xmp"
    path.write_bytes(content)
    code, out, err = run(pienet_enhance, photo, "--preset", path, "--model", model)
    assert code == 2 and "broken.xmp" in err and err.count("\n") == 1 and not list(photo.parent.glob("photo_*"))

def test_a_preset_that_expands_without_end_is_refused(tmp_path):
    path = tmp_path/"bomb.xmp"
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};"*10 if i else "x"*10}">' for i in range(12))
    path.write_text(f"<!DOCTYPE x [{entities}]><x>&e11;</x>")
    with pytest.raises(PieNetError): DevelopPreset.read(path)

def test_missing_preset(run, model, photo, tmp_path):
    code, _, err = run(pienet_enhance, photo, "--preset", tmp_path/"none.xmp", "--model", model)
    assert code == 2 and "none.xmp" in err
