"Real LUT files of other people's making: both paths, and Pillow's own reading of the same numbers."
import numpy as np
import pytest
from PIL import Image, ImageFilter

from pienet_nb.core import PieNetError, to_image, to_tensor
from pienet_nb.photos import read_photo, sample_photos
from pienet_nb.looks import Lut, lut_looks

@pytest.fixture(scope="module")
def luts(shared_data):
    folder = shared_data/"luts"
    if not folder.is_dir(): pytest.skip("there are no LUTs in ../shared/data")
    return folder

@pytest.fixture(scope="module")
def looks(luts): return lut_looks(luts)

@pytest.fixture(scope="module")
def photo(): return read_photo(sample_photos()[1], size=200).resize((200, 130))

def worst_step(one, other):
    "Largest difference in steps of 1/255."
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())

def pillows_own(path):
    "A .cube file as a Pillow filter, by another way of reading it."
    lines = path.read_text().splitlines()
    size = next(int(line.split()[1]) for line in lines if line.startswith("LUT_3D_SIZE"))
    rows = [tuple(map(float, line.split())) for line in lines if line[:1].isdigit() or line[:1] == "-"]
    return ImageFilter.Color3DLUT(size, rows)

def test_every_file_is_a_look(luts, looks):
    files = [p for p in luts.rglob("*") if p.suffix in (".cube", ".png")]
    assert len(looks) == len(files) > 100
    for path in files:
        name = path.relative_to(luts).with_suffix("").as_posix()
        assert looks[name].name == name
    assert all(2 <= look.size <= 65 and look.table.isfinite().all() for look in looks.values())

def test_tensor_and_pil_agree(looks, photo):
    "Tensors go trilinearly, pixels tetrahedrally; on coarse tables the two differ a little."
    batch = to_tensor(photo)
    for name, look in looks.items():
        apart = np.abs(np.asarray(to_image(look(batch)), int) - np.asarray(look(photo), int))
        assert apart.mean() < 1 and np.quantile(apart, 0.99) <= 3 and apart.max() <= 5, name
        finer = look.resized(65)
        assert worst_step(to_image(finer(batch)), finer(photo)) <= 2, name

def test_agrees_with_pillow(luts, looks, photo):
    for path in sorted(luts.rglob("*.cube"))[::8]:
        look = looks[path.relative_to(luts).with_suffix("").as_posix()]
        assert worst_step(to_image(look(to_tensor(photo))), photo.filter(pillows_own(path))) <= 1, path.name

def test_hald_of_level_12(luts, photo):
    "144 steps a side, brought down to 65, are the same look; and a colour is where HaldCLUT says."
    path = sorted(luts.rglob("*.png"))[0]
    fine, used = Lut.read(path, max_size=256), Lut.read(path)
    assert (fine.size, used.size) == (144, 65)
    assert (fine(to_tensor(photo)) - used(to_tensor(photo))).abs().max() < 2/255
    with Image.open(path) as picture:
        for red, green, blue in (143, 0, 0), (0, 143, 0), (0, 0, 143), (10, 90, 40):
            row, column = divmod(red + 144*green + 144*144*blue, picture.width)
            expected = np.array(picture.convert("RGB").getpixel((column, row)))/255
            assert np.allclose(fine.table[blue, green, red], expected, atol=1e-6)

def test_written_and_read_again(looks, tmp_path):
    for i, look in enumerate(list(looks.values())[::20]):
        look.save(tmp_path/f"{i}.cube")
        back = Lut.read(tmp_path/f"{i}.cube")
        assert back.size == look.size and (back.table - look.table).abs().max() < 1e-6

def test_a_file_cut_short_is_refused(luts, tmp_path):
    "Wherever a real file is cut, it is refused with a sentence that names it."
    for source in sorted(luts.rglob("*.cube"))[0], sorted(luts.rglob("*.png"))[0]:
        content, cut = source.read_bytes(), tmp_path/f"cut{source.suffix}"
        for share in 0, 0.001, 0.1, 0.5, 0.99:
            cut.write_bytes(content[:int(share*len(content))])
            with pytest.raises(PieNetError, match="cut"): Lut.read(cut)

def test_a_folder_with_a_broken_file_names_it(luts, tmp_path):
    good = sorted(luts.rglob("*.cube"))[0]
    (tmp_path/"good.cube").write_bytes(good.read_bytes())
    (tmp_path/"letter.cube").write_text("Dear reader,\n")
    with pytest.raises(PieNetError, match="letter.cube"): lut_looks(tmp_path)
