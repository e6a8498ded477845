"Real LUT files of other people's making, what other programs make of ours, and files that nobody meant well with."
import runpy, shutil, subprocess, sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pienet_nb.core import PieNetError, to_image, to_tensor
from pienet_nb.photos import read_photo, sample_photos
from pienet_nb.looks import Lut, built_in_looks, lut_looks

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

def ffmpeg():
    "The program, or that of the Python package imageio-ffmpeg; the test is skipped where neither is."
    if found := shutil.which("ffmpeg"): return found
    package = pytest.importorskip("imageio_ffmpeg", reason="neither ffmpeg nor imageio-ffmpeg is installed")
    return package.get_ffmpeg_exe()

def image_magick():
    found = shutil.which("magick") or shutil.which("convert")
    if not found or sys.platform == "win32": pytest.skip("ImageMagick is not installed")
    said = subprocess.run([found, "-version"], capture_output=True, text=True).stdout # others have that name too
    if "ImageMagick" not in said: pytest.skip(f"{found} is not ImageMagick")
    return found

def agrees(path, expected):
    "Within 1/255 on average, and within 3/255 in 99 of 100 places."
    apart = np.abs(np.asarray(Image.open(path).convert("RGB"), int) - np.asarray(expected, int))
    assert apart.mean() < 1 and np.quantile(apart, 0.99) <= 3, (apart.mean(), np.quantile(apart, 0.99))

LOOKS = "warm-film", "high-contrast-mono", "teal-orange"

@pytest.mark.parametrize("size", [17, 33, 65])
@pytest.mark.parametrize("name", LOOKS)
def test_ffmpeg_applies_our_cube(tmp_path, name, size):
    program, picture, look = ffmpeg(), read_photo(sample_photos()[0]), built_in_looks()[name]
    picture.save(tmp_path/"photo.png")
    Lut.bake(look, 33).save(tmp_path/"look.cube", size)
    steps = "format=gbrp,lut3d=file=look.cube:interp=tetrahedral,format=rgb24"
    subprocess.run([program, "-v", "error", "-i", "photo.png", "-vf", steps, "out.png"], cwd=tmp_path, check=True)
    agrees(tmp_path/"out.png", Lut.bake(look, 33)(picture))
    if size == 65: agrees(tmp_path/"out.png", look(picture))

@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", LOOKS)
def test_image_magick_applies_our_hald(tmp_path, name, bits):
    program, picture, look = image_magick(), read_photo(sample_photos()[0]), built_in_looks()[name]
    picture.save(tmp_path/"photo.png")
    Lut.bake(look, 33).save(tmp_path/"hald.png", 64, bits=bits)
    subprocess.run([program, "photo.png", "hald.png", "-hald-clut", "out.png"], cwd=tmp_path, check=True)
    agrees(tmp_path/"out.png", Lut.bake(look, 33)(picture))

def test_image_magick_identity_is_ours(tmp_path):
    "A HaldCLUT of another program's making, at 8 and 16 bits."
    for depth, steps in (8, 255), (16, 65535):
        path = tmp_path/f"identity{depth}.png"
        subprocess.run([image_magick(), "hald:6", "-depth", str(depth), path], check=True)
        assert np.allclose(Lut.read(path).table, Lut.identity(36).table, atol=1.01/steps) # it rounds down

HARD = {"bom": 9, "comments": 9, "cr": 9, "crlf": 9, "domain_0_2": 65, "domain_255": 65, "domain_neg": 65,
        "eof_z": 9, "inline_comment": 9, "ints": 2, "lower": 9, "oned": 65, "plain": 9, "resolve_range": 9,
        "shaper3d": 65, "size_after": 9, "tabs": 9,
        "title_numbers": 9, "unknown_keyword": 9, "utf16": 9, "values_over": 9,
        "comma": "text among", "dexp": "text among", "domain_empty": "empty domain", "empty": "no line LUT_3D_SIZE",
        "html": "no line LUT_3D_SIZE", "inf": "infinite", "long": "730 rows", "look_2perline": "missing",
        "nan": "infinite", "short": "728 rows", "size0": "size is 0", "size257": "size is 257",
        "sizehuge": "size is 999", "sizeneg": "size is -3"}

@pytest.mark.parametrize("name", HARD)
def test_hard_cube_files(shared_data, name):
    path, expected = shared_data/"hard_files"/"lut"/f"{name}.cube", HARD[name]
    if not path.exists(): pytest.skip("the hard files are not beside this checkout")
    if isinstance(expected, int): assert Lut.read(path).size == expected
    else:
        with pytest.raises(PieNetError, match=expected): Lut.read(path)

def test_hard_hald_files(shared_data):
    folder = shared_data/"hard_files"/"lut"
    if not folder.is_dir(): pytest.skip("the hard files are not beside this checkout")
    table = Lut.read(folder/"hald4.png").table
    for name in "hald4.tif", "hald4_16.tif", "hald4_rgba.png":
        assert (Lut.read(folder/name).table - table).abs().max() < 0.01, name
    assert (Lut.read(folder/"hald4_pal.png").table - table).abs().mean() < 0.05 # 256 colours of 4096
    with pytest.raises(PieNetError, match="JPEG"): Lut.read(folder/"hald4.jpg")
    with pytest.raises(PieNetError, match="not a HaldCLUT"): Lut.read(folder/"hald_notsquare.png")
    shaped, curve = Lut.read(folder/"shaper3d.cube", 129).table, Lut.read(folder/"oned.cube", 129).table
    expected = Lut.read(folder/"plain.cube")(curve.reshape(1, 129, -1, 3).permute(0, 3, 1, 2))
    assert (shaped - expected.permute(0, 2, 3, 1).reshape(shaped.shape)).abs().max() < 1e-5

def test_mutated_luts_are_read_or_refused(root, tmp_path):
    "A few of the cases of tools/fuzz_luts.py, which says how to run many."
    fuzz, outcomes = runpy.run_path(str(root/"tools"/"fuzz_luts.py")), set()
    files = [file for file in fuzz["seeds"](tmp_path) if file[0] not in (".xmp", ".lrtemplate")]
    for number in range(200):
        suffix, content = fuzz["case"](number, 7, files)
        path = tmp_path/f"case{suffix}"
        path.write_bytes(content)
        outcomes.add(fuzz["tried"](path))
    assert outcomes == {"read", "refused"}
