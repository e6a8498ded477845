"""Whatever a user can do wrong: handled, or refused with one sentence, exit code 2, and nothing lost."""
import shutil, struct, zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pienet_nb.commands
import pienet_nb.writing
from pienet_nb.core import PieNetError
from pienet_nb.enhance import Enhancer
from pienet_nb.photos import open_file
from pienet_nb.commands import pienet_demo, pienet_enhance, pienet_export_lut, pienet_learn_style, pienet_styles
from tiny_model import model, other_model, photo, picture, run  # noqa: F401 (fixtures)

def refused(result, *words):
    "The command ended with one sentence that has these words, and exit code 2."
    code, out, err = result
    assert code == 2, (code, out, err)
    assert "Traceback" not in err and len(err.splitlines()) == 1 and err.startswith("pienet_"), err
    for word in words: assert str(word) in err, err
    return True

def everything(folder): return {p: p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}

@pytest.fixture
def one(run, model, tmp_path):
    "Enhance the files given; a refused run changes nothing in the test's folder."
    def _one(*argv):
        before = everything(tmp_path)
        code, out, err = run(pienet_enhance, *argv, "--style", "vivid", "--model", model)
        if code == 2: assert everything(tmp_path) == before
        return code, out, err
    return _one

# ---- photos that cannot be read

def unreadable(folder):
    whole = folder/"whole.jpg"
    picture(200, 150).save(whole, quality=95)
    data = whole.read_bytes(); whole.unlink()
    picture(200, 150).save(folder/"whole.png"); png = (folder/"whole.png").read_bytes(); (folder/"whole.png").unlink()
    return {"truncated.jpg": data[:len(data)//2], "header.jpg": data[:200], "truncated.png": png[:len(png)//2],
            "empty.jpg": b"", "text.jpg": b"this is no photo", "zeros.png": bytes(1000)}

@pytest.mark.parametrize("name", ["truncated.jpg", "header.jpg", "truncated.png", "empty.jpg", "text.jpg", "zeros.png"])
def test_broken_photo(one, tmp_path, name):
    path = tmp_path/name
    path.write_bytes(unreadable(tmp_path)[name])
    assert refused(one(path), name)

def test_missing_photo(one, tmp_path): assert refused(one(tmp_path/"missing.jpg"), "missing.jpg", "no file")

def test_missing_folder(one, tmp_path): assert refused(one(tmp_path/"missing"), "missing")

def test_pattern_without_photo(one, tmp_path): assert refused(one(tmp_path/"*.jpg"), "no photo")

def test_folder_without_photos(one, tmp_path):
    (tmp_path/"empty").mkdir(); (tmp_path/"empty"/"notes.txt").write_text("x")
    assert refused(one(tmp_path/"empty"), "no photo", "empty")

def test_unreadable_folder(one, tmp_path, monkeypatch):
    "Simulated: the tests may run as a user whom permissions do not stop."
    (tmp_path/"locked").mkdir()
    def iterdir(self): raise PermissionError(13, "Permission denied", str(self))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir", iterdir)
        patch.setattr("test_bad_input.everything", lambda folder: None)
        assert refused(one(tmp_path/"locked"), "locked", "may not be read")

def test_unreadable_photo(one, photo, monkeypatch):
    def refuse(path, *args, **kwargs): raise PermissionError(13, "Permission denied", str(path))
    monkeypatch.setattr("pienet_nb.photos.open", refuse, raising=False) # root may read everything
    assert refused(one(photo), "photo.jpg", "may not be read")

def huge_png(path, side):
    "A PNG of a few bytes that claims to be `side` pixels square."
    def number(value): return struct.pack(">I", value)
    def chunk(kind, data): return number(len(data)) + kind + data + number(zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))

@pytest.mark.parametrize("side", [12_300, 20_000])  # above our limit; above Pillow's too
def test_over_the_pixel_limit(one, tmp_path, side):
    huge_png(tmp_path/"huge.png", side)
    assert refused(one(tmp_path/"huge.png"), "huge.png", "megapixels")

def test_no_photo_named(one): assert refused(one(), "at least one photo")

# ---- photos of every kind

def kinds():
    rgb = picture()
    grey16 = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16)*257)
    clear = rgb.copy(); clear.putalpha(Image.linear_gradient("L").resize(rgb.size))
    palette_clear = rgb.quantize(16); palette_clear.info["transparency"] = 3
    return {"cmyk.jpg": rgb.convert("CMYK"), "cmyk.tif": rgb.convert("CMYK"), "grey.jpg": rgb.convert("L"),
            "grey16.png": grey16, "grey16.tif": grey16, "float.tif": rgb.convert("F"), "palette.png": rgb.quantize(64),
            "palette_clear.png": palette_clear, "clear.png": clear, "clear.webp": clear, "clear.tif": clear,
            "grey_clear.png": clear.convert("LA"), "one_bit.png": rgb.convert("1"), "one_bit.tif": rgb.convert("1"),
            "film.gif": rgb.quantize(64), "one.png": rgb.crop((0, 0, 1, 1)), "one.jpg": rgb.crop((0, 0, 1, 1)),
            "thin.png": rgb.resize((1, 300)), "wide.jpg": rgb.resize((300, 1)), "plain.bmp": rgb, "PLAIN.JPEG": rgb}

@pytest.mark.parametrize("name", kinds())
def test_every_kind_of_photo(one, tmp_path, name):
    image, path = kinds()[name], tmp_path/name
    image.save(path)
    code, out, err = one(path)
    assert code == 0 and (err == "" or "CMYK" in err and name.startswith("cmyk"))
    target = tmp_path/f"{path.stem}_vivid{'.jpg' if path.suffix == '.gif' else path.suffix}"
    with Image.open(target) as result:
        assert result.size == image.size
        assert result.mode == ("RGBA" if "clear" in name else "RGB")
        if name in ("clear.png", "clear.tif", "grey_clear.png"):
            assert np.array_equal(result.getchannel("A"), image.getchannel("A"))

def test_sixteen_bit_colour(one, tmp_path):
    skimage_io = pytest.importorskip("skimage.io")
    pixels = np.asarray(picture()).astype(np.uint16)*257
    skimage_io.imsave(tmp_path/"deep.tif", pixels, check_contrast=False)
    assert one(tmp_path/"deep.tif")[0] == 0
    result = open_file(tmp_path/"deep_vivid.tif")
    assert result.bits == 16 and result.coded().numpy().shape == (40, 60, 3)

@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_by_exif(one, tmp_path, orientation):
    exif = Image.Exif(); exif[0x0112] = orientation
    picture().save(tmp_path/"turned.jpg", exif=exif, quality=95)
    assert one(tmp_path/"turned.jpg")[0] == 0
    with Image.open(tmp_path/"turned_vivid.jpg") as result:
        assert result.size == ((60, 40) if orientation < 5 else (40, 60))
        assert result.getexif().get(0x0112, 1) == 1

@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0" + b"\xff"*60,
                                  b"Exif\0\0MM\0*\0\0\0\x08\0\x50"])
def test_damaged_exif(one, tmp_path, exif):
    picture().save(tmp_path/"photo.jpg", exif=exif)
    assert one(tmp_path/"photo.jpg")[0] == 0

def test_damaged_profile(one, tmp_path):
    picture().save(tmp_path/"photo.jpg", icc_profile=b"no profile at all")
    assert one(tmp_path/"photo.jpg")[0] == 0

# ---- one broken among many

def test_one_broken_among_many(one, photo):
    for i in range(2): picture(seed=i).save(photo.with_name(f"p{i}.jpg"))
    broken = photo.with_name("broken.jpg"); broken.write_bytes(b"half a photo")
    code, out, err = one(photo.parent)
    assert code == 1 and "Traceback" not in err
    assert "broken.jpg" in err.splitlines()[-1]
    assert sorted(p.stem for p in photo.parent.glob("*_vivid.jpg")) == ["p0_vivid", "p1_vivid", "photo_vivid"]

def test_missing_among_many(one, photo):
    code, out, err = one(photo, photo.with_name("missing.jpg"))
    assert code == 1 and "missing.jpg" in err and photo.with_name("photo_vivid.jpg").exists()

def test_all_broken(one, tmp_path):
    for name in "a.jpg", "b.jpg": (tmp_path/name).write_bytes(b"x")
    code, out, err = one(tmp_path)
    assert code == 2 and "a.jpg" in err and "b.jpg" in err and "Traceback" not in err

def test_broken_among_the_preferred(run, model, photo, tmp_path):
    favourites = tmp_path/"favourites"; favourites.mkdir()
    for i in range(3): picture(seed=i).save(favourites/f"{i}.jpg")
    (favourites/"broken.jpg").write_bytes(b"x")
    code, out, err = run(pienet_enhance, photo, "--preferred", favourites, "--model", model)
    assert code == 1 and "broken.jpg" in err and photo.with_name("photo_favourites.jpg").exists()
    code, out, err = run(pienet_learn_style, favourites, "--out", tmp_path/"mine.safetensors", "--model", model)
    assert code == 1 and "broken.jpg" in err and (tmp_path/"mine.safetensors").exists()

# ---- files that are there already, places that cannot be written

def test_existing_files_stay(one, photo):
    theirs = photo.with_name("photo_vivid.jpg"); theirs.write_bytes(b"the user's own")
    assert refused(one(photo), "photo_vivid.jpg", "--overwrite")
    assert one(photo, "--overwrite")[0] == 0 and theirs.read_bytes() != b"the user's own"

def test_the_photo_itself_stays(one, photo):
    before = photo.read_bytes()
    assert refused(one(photo, "--out", photo), "--overwrite") and photo.read_bytes() == before
    assert one(photo, "--out", photo, "--overwrite")[0] == 0 and photo.read_bytes() != before

def test_out_is_no_folder(one, photo, tmp_path):
    (tmp_path/"file").write_text("x")
    assert refused(one(photo, "--out", tmp_path/"file"), "file")
    assert refused(one(photo, "--out", tmp_path/"file"/"below"), "file")

def test_many_photos_into_one_file(one, photo, tmp_path):
    picture(seed=1).save(photo.with_name("second.jpg"))
    assert refused(one(photo.parent, "--out", tmp_path/"one.jpg"), "one.jpg", "folder")

def test_full_disk(one, photo, monkeypatch):
    def write(picture, path, data, quality):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    monkeypatch.setitem(pienet_nb.writing._WRITERS, "JPEG", write)
    assert refused(one(photo), "cannot be written", "No space left")

def test_stopped_by_the_user(one, photo, monkeypatch):
    def write(picture, path, data, quality):
        path.write_bytes(b"half")
        raise KeyboardInterrupt
    monkeypatch.setitem(pienet_nb.writing._WRITERS, "JPEG", write)
    code, out, err = one(photo)
    assert code == 130 and "Traceback" not in err and [p.name for p in photo.parent.iterdir()] == ["photo.jpg"]

# ---- styles and models

def test_unknown_style(run, model, photo):
    nearly = run(pienet_enhance, photo, "--style", "warm_film", "--model", model)
    assert refused(nearly, "did you mean warm-film", "vivid")
    other = run(pienet_enhance, photo, "--style", "xyz", "--model", model)
    assert refused(other, "xyz", "warm-film, cool-matte, vivid")
    assert refused(run(pienet_export_lut, photo, "--style", "xyz", "--model", model), "xyz")

@pytest.mark.parametrize("content", [None, b"", b"not a style", b"\x10\0\0\0\0\0\0\0{\"a\": 1}        "])
def test_broken_style_file(run, model, photo, tmp_path, content):
    path = tmp_path/"mine.safetensors"
    if content is not None: path.write_bytes(content)
    assert refused(run(pienet_enhance, photo, "--style_file", path, "--model", model), "mine.safetensors")

def test_a_model_is_no_style_file(run, model, photo):
    result = run(pienet_enhance, photo, "--style_file", model/"styles.safetensors", "--model", model)
    assert refused(result, "styles.safetensors")

def test_style_of_another_model(run, model, other_model, photo, tmp_path):
    path = tmp_path/"mine.safetensors"
    assert run(pienet_learn_style, photo, "--out", path, "--model", model)[0] == 0
    assert refused(run(pienet_enhance, photo, "--style_file", path, "--model", other_model), "belongs to the model")
    style = Enhancer.from_pretrained(model).styles["vivid"]
    with pytest.raises(PieNetError, match="belongs to the model"):
        Enhancer.from_pretrained(other_model).enhance(photo, style)

def edit_config(folder, old, new):
    path = folder/"config.json"
    path.write_text(path.read_text().replace(old, new))

BREAK = {"no folder": lambda f: shutil.rmtree(f), "no config": lambda f: (f/"config.json").unlink(),
         "empty config": lambda f: (f/"config.json").write_text(""),
         "odd config": lambda f: (f/"config.json").write_text("[1, 2]"),
         "no weights": lambda f: (f/"enhancer.safetensors").unlink(),
         "cut weights": lambda f: (f/"embed.safetensors").write_bytes((f/"embed.safetensors").read_bytes()[:5000]),
         "wrong weights": lambda f: shutil.copy(f/"styles.safetensors", f/"enhancer.safetensors"),
         "no styles": lambda f: (f/"styles.safetensors").unlink(),
         "later format": lambda f: edit_config(f, '"format_version": 1', '"format_version": 99'),
         "listed style is missing": lambda f: edit_config(f, '"vivid"', '"lost"')}

@pytest.mark.parametrize("how", BREAK)
def test_broken_model(run, model, photo, tmp_path, how):
    folder = tmp_path/"model"
    shutil.copytree(model, folder)
    BREAK[how](folder)
    assert refused(run(pienet_enhance, photo, "--style", "vivid", "--model", folder), "model")
    assert refused(run(pienet_styles, "--model", folder), "model")

# ---- options

def test_taste_missing_or_twice(run, model, photo, tmp_path):
    for command in pienet_enhance, pienet_export_lut:
        assert refused(run(command, photo, "--model", model), "--style", "--preferred", "--style_file")
        twice = run(command, photo, "--style", "vivid", "--preferred", tmp_path, "--model", model)
        assert refused(twice, "exactly one")

@pytest.mark.parametrize("strength", ["-0.5", "2.5", "nan", "inf"])
def test_strength_out_of_range(run, model, photo, strength):
    result = run(pienet_enhance, photo, "--style", "vivid", f"--strength={strength}", "--model", model)
    assert refused(result, "strength", "0 to 2")
    assert [p.name for p in photo.parent.iterdir()] == ["photo.jpg"]

def test_strength_is_no_number(run, photo):
    code, out, err = run(pienet_enhance, photo, "--style", "vivid", "--strength", "much")
    assert code == 2 and "strength" in err and "Traceback" not in err

def test_preferred_folder_is_wrong(run, model, photo, tmp_path):
    (tmp_path/"empty").mkdir()
    out = tmp_path/"s.safetensors"
    for folder in "missing", "empty":
        assert refused(run(pienet_enhance, photo, "--preferred", tmp_path/folder, "--model", model), "no photo", folder)
        assert refused(run(pienet_learn_style, tmp_path/"empty", "--out", out, "--model", model), "no photo")
        disliked = run(pienet_learn_style, photo, "--disliked", tmp_path/folder, "--out", out, "--model", model)
        assert refused(disliked, "no photo", folder)
    assert not out.exists()

def test_all_preferred_are_broken(run, model, photo, tmp_path):
    (tmp_path/"fav").mkdir(); (tmp_path/"fav"/"a.jpg").write_bytes(b"x")
    assert refused(run(pienet_enhance, photo, "--preferred", tmp_path/"fav", "--model", model), "fav")

def test_learn_style_options(run, model, photo, tmp_path):
    assert refused(run(pienet_learn_style, "--model", model), "at least one photo")
    pairs = run(pienet_learn_style, photo, "--before", tmp_path, "--out", tmp_path/"s.safetensors", "--model", model)
    assert refused(pairs, "--before and --after")
    assert refused(run(pienet_learn_style, photo, "--out", tmp_path/"mine.txt", "--model", model), ".safetensors")
    there = tmp_path/"mine.safetensors"; there.write_bytes(b"older")
    assert refused(run(pienet_learn_style, photo, "--out", there, "--model", model), "--overwrite")
    assert there.read_bytes() == b"older"

def test_export_lut_options(run, model, photo, tmp_path):
    for size in 1, 0, -3, 1000:
        assert refused(run(pienet_export_lut, photo, "--style", "vivid", f"--size={size}", "--model", model), "size")
    picture_file = run(pienet_export_lut, photo, "--style", "vivid", "--out", tmp_path/"a.jpg", "--model", model)
    assert refused(picture_file, ".cube", "HaldCLUT")
    assert refused(run(pienet_export_lut, tmp_path/"missing.jpg", "--style", "vivid", "--model", model), "missing.jpg")
    there = photo.with_name("photo_vivid.cube"); there.write_text("older")
    assert refused(run(pienet_export_lut, photo, "--style", "vivid", "--model", model), "--overwrite")

def test_contact_sheet_options(run, model, photo, tmp_path):
    assert refused(run(pienet_styles, "--contact_sheet", photo, "--model", model), "--overwrite")
    assert refused(run(pienet_styles, "--contact_sheet", tmp_path/"sheet.txt", "--model", model), "sheet.txt")
    sheet, missing = tmp_path/"s.jpg", tmp_path/"missing.jpg"
    assert refused(run(pienet_styles, "--contact_sheet", sheet, "--photo", missing, "--model", model), "missing.jpg")

def test_demo_where_it_cannot_write(run, model, tmp_path):
    (tmp_path/"file").write_text("x")
    assert refused(run(pienet_demo, "--out", tmp_path/"file", "--model", model), "file")

def test_demo_without_sample_photos(run, model, tmp_path, monkeypatch):
    monkeypatch.setattr(pienet_nb.commands, "sample_photos", list)
    assert refused(run(pienet_demo, "--out", tmp_path/"demo", "--model", model), "sample photos")
    assert not (tmp_path/"demo").exists()
