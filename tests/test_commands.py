"""The photographer's commands: what they write, what they keep, what they print, and how they end."""
import io, json, os, signal, struct, subprocess, sys, zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from PIL.JpegImagePlugin import get_sampling

import pienet_nb.enhance
from pienet_nb.photos import sample_photos
from pienet_nb.enhance import Enhancer, enhance
from pienet_nb.preference import Style
from pienet_nb.commands import pienet_demo, pienet_enhance, pienet_export_lut, pienet_learn_style, pienet_styles
from pienet_nb.looks import Lut
from tiny_model import model, photo, picture, random_model, run  # noqa: F401 (fixtures)

PROGRAM = "from pienet_nb.commands import {0}\nif __name__ == '__main__': {0}()\n"

def as_program(tmp_path, name, *argv):
    "Run a command in a process of its own, as its console script does."
    script = tmp_path/"program.py"
    script.write_text(PROGRAM.format(name))
    env_root = str(Path(pienet_nb.__file__).parent.parent)
    code = (f"import sys, runpy; sys.path.insert(0, {env_root!r}); sys.argv = sys.argv[1:]; "
            "runpy.run_path(sys.argv[0], run_name='__main__')")
    return subprocess.run([sys.executable, "-c", code, script, *map(str, argv)], capture_output=True, text=True)

def difference(a, b): return np.abs(np.asarray(a.convert("RGB"), float) - np.asarray(b.convert("RGB"), float)).mean()

# ---- enhance

def test_result_lies_beside_the_photo(run, model, photo):
    before = photo.read_bytes()
    code, out, err = run(pienet_enhance, photo, "--style", "vivid", "--model", model)
    target = photo.with_name("photo_vivid.jpg")
    assert (code, err) == (0, "")
    assert str(photo) in out and str(target) in out and out.count("\n") == 1
    assert sorted(p.name for p in photo.parent.iterdir()) == ["photo.jpg", "photo_vivid.jpg"]
    assert photo.read_bytes() == before
    with Image.open(target) as result:
        assert (result.format, result.size, result.mode) == ("JPEG", (60, 40), "RGB")
        expected = Enhancer.from_pretrained(model).enhance(photo, "vivid")
        assert difference(result, expected) < 3
        assert difference(result, Image.open(photo)) > 1

def test_options_before_the_photos(run, model, photo, tmp_path):
    out = tmp_path/"new"/"folder"
    code, _, _ = run(pienet_enhance, "--style", "vivid", "--out", out, "--model", model, photo)
    assert code == 0 and [p.name for p in out.iterdir()] == ["photo_vivid.jpg"]

def test_out_may_be_a_file(run, model, photo, tmp_path):
    target = tmp_path/"result.png"
    assert run(pienet_enhance, photo, "--style", "vivid", "--out", target, "--model", model)[0] == 0
    assert Image.open(target).format == "PNG"

def test_strength(run, model, photo, tmp_path):
    changes = []
    for strength in 0, 0.5, 1:
        target = tmp_path/f"{strength}.png"
        options = "--style", "vivid", "--strength", strength, "--out", target, "--model", model
        assert run(pienet_enhance, photo, *options)[0] == 0
        changes.append(difference(Image.open(target), Image.open(photo)))
    assert changes[0] == 0 and 0 < changes[1] < changes[2]

def test_folder_pattern_and_many(run, model, photo, tmp_path):
    for i in range(3): picture(seed=i).save(photo.with_name(f"p{i}.png"))
    (photo.parent/"notes.txt").write_text("not a photo")
    out = tmp_path/"out"
    options = "--style", "vivid", "--out", out, "--model", model
    code, said, _ = run(pienet_enhance, photo.parent, photo.parent/"p*.png", *options)
    assert code == 0 and len(said.splitlines()) == 4  # each photo once
    assert sorted(p.name for p in out.iterdir()) == ["p0_vivid.png", "p1_vivid.png", "p2_vivid.png", "photo_vivid.jpg"]

def test_second_run_does_not_enhance_results(run, model, photo):
    assert run(pienet_enhance, photo.parent, "--style", "vivid", "--model", model)[0] == 0
    assert run(pienet_enhance, photo.parent, "--style", "warm-film", "--model", model)[0] == 0
    assert run(pienet_enhance, photo.parent, "--style", "vivid", "--overwrite", "--model", model)[0] == 0
    assert sorted(p.name for p in photo.parent.iterdir()) == ["photo.jpg", "photo_vivid.jpg", "photo_warm-film.jpg"]

def test_one_name_from_two_folders(run, model, photo, tmp_path):
    out, second = tmp_path/"out", tmp_path/"b"/"photo.jpg"
    second.parent.mkdir(); picture(seed=5).save(second)
    assert run(pienet_enhance, photo, second, "--style", "vivid", "--out", out, "--model", model)[0] == 0
    assert sorted(p.name for p in out.iterdir()) == ["photo_vivid-2.jpg", "photo_vivid.jpg"]

def test_one_name_in_two_runs(run, model, photo, tmp_path):
    "The result of another photo is neither taken for one's own nor replaced; that of an older version is one's own."
    out, second = tmp_path/"out", tmp_path/"b"/"photo.jpg"
    second.parent.mkdir(); picture(seed=5).save(second)
    def enhance_folder(path, *options):
        return run(pienet_enhance, path.parent, "--style", "vivid", "--out", out, "--model", model, *options)
    assert enhance_folder(photo)[0] == 0
    first = (out/"photo_vivid.jpg").read_bytes()
    for options in ("--overwrite",), ("--skip_existing",):
        assert enhance_folder(second, *options)[0] == 0
        assert sorted(p.name for p in out.iterdir()) == ["photo_vivid-2.jpg", "photo_vivid.jpg"]
    assert (out/"photo_vivid.jpg").read_bytes() == first
    kept = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    for path in second, photo:                                             # both were done before
        code, said, err = enhance_folder(path, "--skip_existing")
        assert (code, said) == (0, "") and "1 skipped (done before" in err, err
    picture(seed=6).save(photo)                                            # it was edited: another photo now
    assert enhance_folder(photo, "--skip_existing", "--dry_run")[1].strip().endswith("photo_vivid-3.jpg")
    assert kept == {p: p.stat().st_mtime_ns for p in out.iterdir()}
    (out/"photo_vivid.jpg").write_bytes(first.replace(b"pienet:Source=", b"pienet:Sorceu="))  # says nothing of it
    assert enhance_folder(second, "--skip_existing")[:2] == (0, "")

@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_name_with_a_line_break(run, model, photo, tmp_path):
    odd = photo.rename(photo.with_name("a\nb\x1b[2J\u2028.jpg"))
    picture(seed=5).save(photo); (photo.parent/"c\rd.png").write_bytes(b"broken")
    code, out, err = run(pienet_enhance, photo.parent, "--style", "vivid", "--out", tmp_path/"out", "--model", model,
                         "--report", tmp_path/"r.json")
    assert code == 1 and len(out.splitlines()) == 3
    assert r"a\nb\x1b[2J\u2028.jpg -> " in out and r"c\rd.png: not done" in out
    assert len(err.splitlines()) == 3 and r"c\rd.png" in err.splitlines()[-1]
    report = json.loads((tmp_path/"r.json").read_text())
    assert {entry["photo"] for entry in report["done"]} == {str(odd), str(photo)}

def test_own_taste_from_a_folder_and_from_a_file(run, model, photo, tmp_path):
    favourites = tmp_path/"favourites"; favourites.mkdir()
    for i in range(3): picture(seed=i).save(favourites/f"{i}.jpg")
    assert run(pienet_enhance, photo, "--preferred", favourites, "--out", tmp_path/"a", "--model", model)[0] == 0
    saved = tmp_path/"styles"/"mine.safetensors"
    code, out, _ = run(pienet_learn_style, favourites, "--out", saved, "--model", model)
    assert code == 0 and "3 photos" in out
    assert run(pienet_enhance, photo, "--style_file", saved, "--out", tmp_path/"b", "--model", model)[0] == 0
    first, second = tmp_path/"a"/"photo_favourites.jpg", tmp_path/"b"/"photo_mine.jpg"
    assert difference(Image.open(first), Image.open(second)) < 0.1  # the saved vector is rounded

def test_learn_with_disliked(run, model, tmp_path):
    for name in "liked", "disliked":
        (tmp_path/name).mkdir()
        for i in range(2): picture(seed=i if name == "liked" else i + 10).save(tmp_path/name/f"{i}.jpg")
    saved, disliked = tmp_path/"mine.safetensors", tmp_path/"disliked"
    assert run(pienet_learn_style, tmp_path/"liked", "--disliked", disliked, "--out", saved, "--model", model)[0] == 0
    assert abs(Style.load(saved).vector.norm().item() - 1) < 1e-3

# ---- what a file holds besides its pixels

def exif_of_a_camera():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Some Camera"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 18:30:00", 0x927C: b"a maker's note"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0)})
    return exif

XMP = b'''<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
tiff:Orientation="6" xmp:Label="a title"/></rdf:RDF></x:xmpmeta>'''

@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_notes_of_the_camera_stay(run, model, tmp_path, suffix):
    path = tmp_path/f"photo.{suffix}"
    picture().save(path, exif=exif_of_a_camera().tobytes(), xmp=XMP, dpi=(300, 300))
    assert run(pienet_enhance, path, "--style", "vivid", "--model", model)[0] == 0
    with Image.open(tmp_path/f"photo_vivid.{suffix}") as result:
        result.load()
        exif = result.getexif()
        assert result.size == (40, 60) and exif.get(0x0112, 1) == 1
        assert exif[0x010F] == "Some Camera"
        assert exif.get_ifd(0x8769)[0x9003] == "2024:05:01 18:30:00" and exif.get_ifd(0x8825)[1] == "N"
        xmp = result.info.get("xmp") or result.tag_v2[700] # of a TIFF
        assert b"pienet:Style" in xmp
        if suffix in ("jpg", "webp"): assert b"a title" in xmp and b'Orientation="1"' in xmp # Pillow wrote it there

def test_captions_comment_and_colour_resolution_of_a_jpeg(run, model, tmp_path):
    path, caption = tmp_path/"photo.jpg", b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x78\0\x03sea"
    extra = b"\xff\xed" + (len(caption) + 2).to_bytes(2, "big") + caption
    for subsampling in 0, 1, 2:
        picture().save(path, extra=extra, comment=b"by me", subsampling=subsampling, quality=90)
        assert run(pienet_enhance, path, "--style", "vivid", "--overwrite", "--model", model)[0] == 0
        with Image.open(tmp_path/"photo_vivid.jpg") as result:
            assert ("APP13", caption) in result.applist and result.info["comment"] == b"by me"
            assert get_sampling(result) == subsampling

def test_text_of_a_png_stays(run, model, tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("Title", "Früh am See")
    picture().save(tmp_path/"photo.png", pnginfo=text)
    assert run(pienet_enhance, tmp_path/"photo.png", "--style", "vivid", "--model", model)[0] == 0
    with Image.open(tmp_path/"photo_vivid.png") as result: assert result.text["Title"] == "Früh am See"

def test_profile_becomes_srgb(run, model, tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture().save(tmp_path/"photo.jpg", icc_profile=lab)
    assert run(pienet_enhance, tmp_path/"photo.jpg", "--style", "vivid", "--model", model)[0] == 0
    with Image.open(tmp_path/"photo_vivid.jpg") as result:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(result.info["icc_profile"]))
        assert "srgb" in ImageCms.getProfileDescription(profile).lower()

def test_no_profile_where_there_was_none(run, model, photo):
    assert run(pienet_enhance, photo, "--style", "vivid", "--model", model)[0] == 0
    with Image.open(photo.with_name("photo_vivid.jpg")) as result: assert "icc_profile" not in result.info

def test_real_camera_files(run, model, shared_data, tmp_path):
    for path in sorted((shared_data/"hires"/"camera_jpg").glob("*.jpg")):
        assert run(pienet_enhance, path, "--style", "vivid", "--out", tmp_path, "--model", model)[0] == 0
        with Image.open(path) as before, Image.open(tmp_path/f"{path.stem}_vivid.jpg") as after:
            old, new = before.getexif(), after.getexif()
            turned = old.get(0x0112, 1) in (5, 6, 7, 8)
            assert after.size == (before.size[::-1] if turned else before.size) and new.get(0x0112, 1) == 1
            assert dict(new) == {**dict(old), 0x0112: 1} or 0x0112 not in old and dict(new) == dict(old)
            old_notes, new_notes = old.get_ifd(0x8769), new.get_ifd(0x8769)
            assert {k: v for k, v in new_notes.items() if k not in (0xA001, 0xA002, 0xA003)} == \
                   {k: v for k, v in old_notes.items() if k not in (0xA001, 0xA002, 0xA003)}
            assert (new_notes.get(0xA002), new_notes.get(0xA003)) in (after.size, (None, None))
            assert repr(new.get_ifd(0x8825)) == repr(old.get_ifd(0x8825))  # an unknown place is not a number

# ---- the other commands

def test_styles_one_a_line(run, model):
    code, out, _ = run(pienet_styles, "--model", model)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["warm-film", "cool-matte", "vivid"]

def test_contact_sheet(run, model, photo, tmp_path):
    sheet = tmp_path/"sheet.jpg"
    code, out, _ = run(pienet_styles, "--contact_sheet", sheet, "--photo", photo, "--model", model)
    assert code == 0 and len(out.splitlines()) == 3
    assert Image.open(sheet).width > 1000

def test_export_lut(run, model, photo):
    assert run(pienet_export_lut, photo, "--style", "vivid", "--model", model)[0] == 0
    lut = Lut.read(photo.with_name("photo_vivid.cube"))
    assert lut.size == 33 and lut.table.min() >= 0 and lut.table.max() <= 1
    options = "--style", "vivid", "--strength", 0, "--size", 9, "--overwrite", "--model", model
    assert run(pienet_export_lut, photo, *options)[0] == 0
    assert (Lut.read(photo.with_name("photo_vivid.cube")).table - Lut.identity(9).table).abs().max() < 0.05

def test_demo(run, model, tmp_path):
    if len(sample_photos()) < 7: pytest.skip("the sample photos come with scikit-learn and scikit-image")
    code, out, err = run(pienet_demo, "--out", tmp_path/"demo", "--model", model)
    sheet = tmp_path/"demo"/"contact_sheet.jpg"
    assert (code, err) == (0, "") and str(sheet) in out
    assert sum(line.endswith(" s") for line in out.splitlines()) >= 8  # a time for each step
    assert Image.open(sheet).width > 1400 and len(list((tmp_path/"demo"/"preferred").iterdir())) == 24
    assert (tmp_path/"demo"/"photo.jpg").read_bytes() == sample_photos()[2].read_bytes() # to go on with
    assert run(pienet_demo, "--out", tmp_path/"demo", "--model", model)[0] == 0  # again

def test_enhance_in_python(model, photo):
    direct = enhance(photo, style="vivid", model=model)
    assert np.array_equal(direct, enhance(Image.open(photo), style="vivid", model=model))
    own = enhance(photo, preferred=[photo, picture(seed=3)], model=model)
    assert own.size == direct.size and difference(own, direct) > 0

def test_only_built_in_styles_are_shown(model):
    assert "only in training" not in Enhancer.from_pretrained(model).styles
    everything = random_model(); del everything.config["built_in"]
    assert "only in training" in Enhancer(everything).styles

# ---- folders

def folder_of(tmp_path, *names):
    "A folder of small photos that differ."
    for i, name in enumerate(names):
        path = tmp_path/"card"/name
        path.parent.mkdir(parents=True, exist_ok=True); picture(seed=i).save(path, quality=95)
    return tmp_path/"card"

def found(folder): return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

@pytest.fixture
def vivid(run, model):
    "Enhance with the style vivid."
    return lambda *argv: run(pienet_enhance, *argv, "--style", "vivid", "--model", model)

def test_subfolders_and_what_is_no_photo(vivid, tmp_path):
    card = folder_of(tmp_path, "a.jpg", "day 2/a.jpg", "day 2/deep/b.jpg", "a.png/inside.jpg")
    for name in "._a.jpg", ".hidden.jpg", "film.mov", ".trash/old.jpg":
        (card/name).parent.mkdir(exist_ok=True); (card/name).write_bytes(b"no photo")
    if hasattr(os, "mkfifo"): os.mkfifo(card/"pipe.jpg")
    code, out, err = vivid(card, "--out", tmp_path/"flat")
    assert code == 0 and found(tmp_path/"flat") == ["a_vivid.jpg"]
    assert "1 done" in err and "hidden file: 3" in err and "unknown kind: 1" in err and "subfolder: 2" in err
    assert vivid(card, "--out", tmp_path/"deep", "--recursive")[0] == 0
    below = ["a.png/inside_vivid.jpg", "a_vivid.jpg", "day 2/a_vivid.jpg", "day 2/deep/b_vivid.jpg"]
    assert found(tmp_path/"deep") == below

@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_are_refused(vivid, tmp_path):
    os.mkfifo(tmp_path/"pipe.jpg")
    for path in tmp_path/"pipe.jpg", "/dev/zero":
        code, _, err = vivid(path)
        assert code == 2 and str(path) in err and err.count("\n") == 1

def test_going_on_where_a_run_stopped(vivid, tmp_path):
    card = folder_of(tmp_path, "a.jpg", "b.png", "c.webp", "d.tif")
    assert vivid(card/"a.jpg", card/"b.png")[0] == 0
    (card/".pienet-123-0.jpg").write_bytes(b"half a photo")  # what a killed run leaves
    first = (card/"a_vivid.jpg").read_bytes()
    code, out, err = vivid(card, "--skip_existing")
    assert code == 0 and out.count(" -> ") == 2 and "done before: 2" in err and "earlier result: 2" in err
    for _ in range(2): assert vivid(card, "--skip_existing")[0] == 0
    assert (card/"a_vivid.jpg").read_bytes() == first and len(found(card)) == 9

def test_a_result_is_known_under_any_name_and_a_users_file_is_not(vivid, tmp_path):
    card = folder_of(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    assert vivid(card/"a.jpg")[0] == 0
    (card/"a_vivid.jpg").rename(card/"the best.jpg")            # ours, renamed
    (card/"b.jpg").rename(card/"c_vivid.jpg")                   # the user's own, called like a result
    code, out, err = vivid(card, "--skip_existing")
    assert code == 1 and "earlier result: 1" in err and "c_vivid.jpg is there already;" in err  # said, not skipped
    assert found(card) == ["a.jpg", "a_vivid.jpg", "c.jpg", "c_vivid.jpg", "c_vivid_vivid.jpg", "the best.jpg"]

def test_another_strength_or_style_is_not_the_same_result(run, vivid, model, tmp_path):
    card = folder_of(tmp_path, "a.jpg")
    assert vivid(card, "--strength", 0.5)[0] == 0
    code, _, err = vivid(card, "--skip_existing")
    assert code == 2 and "a_vivid.jpg is there already (vivid at strength 0.5)" in err
    assert vivid(card, "--skip_existing", "--overwrite")[0] == 0
    assert vivid(card, "--skip_existing")[0] == 0
    assert run(pienet_enhance, card, "--style", "warm-film", "--model", model)[0] == 0
    assert found(card) == ["a.jpg", "a_vivid.jpg", "a_warm-film.jpg"]

def test_rehearsal_and_report(vivid, tmp_path):
    card = folder_of(tmp_path, "a.jpg", "b.jpg")
    (card/"broken.jpg").write_bytes(b"half a photo"); (card/"notes.txt").write_text("x")
    before, report = found(card), tmp_path/"new"/"report.json"
    code, out, _ = vivid(card, "--dry_run")
    assert code == 0 and found(card) == before and out.count(" -> ") == 3 and str(card/"a_vivid.jpg") in out
    code, out, err = vivid(card, "--report", report, "--quiet")
    assert code == 1 and out == "" and err.splitlines()[0] == "1 could not be done:" and len(err.splitlines()) == 2
    said = json.loads(report.read_text())
    assert said["done"][0] == {"photo": str(card/"a.jpg"), "result": str(card/"a_vivid.jpg")} and len(said["done"]) == 2
    assert said["skipped"] == [{"path": str(card/"notes.txt"), "why": "unknown kind"}]
    assert [entry["path"] for entry in said["failed"]] == [str(card/"broken.jpg")]
    assert "broken.jpg" in said["failed"][0]["why"]
    code, _, err = vivid(card, "--report", card/"a.jpg")
    assert code == 2 and "should end with .json" in err

ERRORS = [ValueError("two\nlines"), struct.error("unpack"), MemoryError(), RecursionError("too deep"), KeyError(0x8769),
          ZeroDivisionError(), AttributeError("'NoneType' object"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
          OverflowError(), IndexError(), AssertionError(), SyntaxError("not a TIFF"), RuntimeError("C++"), EOFError(),
          zlib.error("-3"), OSError(5, "Input/output error"), Image.DecompressionBombError("bomb"), StopIteration(),
          NotImplementedError(), TypeError(), BufferError(), Exception("a library's own")]

@pytest.mark.parametrize("jobs", [1, 2])
def test_any_error_is_that_of_one_photo(vivid, tmp_path, monkeypatch, jobs):
    card = folder_of(tmp_path, "first.jpg", *[f"p{i:02}.jpg" for i in range(len(ERRORS))], "x last.jpg")
    inner = pienet_nb.enhance.Enhancer.enhance_file
    def enhance_file(self, photo, *args, **kwargs):
        if Path(photo).stem[0] == "p": raise ERRORS[int(Path(photo).stem[1:])]
        return inner(self, photo, *args, **kwargs)
    monkeypatch.setattr(pienet_nb.enhance.Enhancer, "enhance_file", enhance_file)
    code, out, err = vivid(card, "--jobs", jobs, "--out", tmp_path/"out")
    assert code == 1 and found(tmp_path/"out") == ["first_vivid.jpg", "x last_vivid.jpg"] and "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("  ")]
    assert len(lines) == len(ERRORS) and f"{len(ERRORS)} could not be done:" in err
    for i, error in enumerate(ERRORS): assert f"p{i:02}.jpg" in lines[i] and type(error).__name__ in lines[i]

def test_long_names(run, vivid, model, photo, tmp_path):
    for stem in "n"*250, "ü"*120: photo.with_name(f"{stem}.jpg").write_bytes(photo.read_bytes())
    assert vivid(photo.parent)[0] == 0 and len(found(photo.parent)) == 6
    saved = tmp_path/"s.safetensors"
    assert run(pienet_learn_style, photo, "--name", "x"*300, "--out", saved, "--model", model)[0] == 0
    assert run(pienet_enhance, photo, "--style_file", saved, "--model", model)[0] == 0
    code, _, err = vivid(photo, "--out", tmp_path/("n"*300 + ".jpg"))
    assert code == 2 and err.count("\n") == 1 and "shorter name" in err

def test_out_of_a_kind_that_cannot_be_written(vivid, photo, tmp_path):
    for name in "x.gif", "x.jxl":
        code, _, err = vivid(photo, "--out", tmp_path/name)
        assert code == 2 and name in err and not (tmp_path/name).exists()

def test_preferred_as_several_files(run, model, photo, tmp_path):
    liked = [photo.with_name(f"liked{i}.png") for i in range(3)]
    for i, path in enumerate(liked): picture(seed=i).save(path)
    for out, named in ("a", liked), ("b", [photo.with_name("liked*.png")]):
        assert run(pienet_enhance, photo, "--preferred", *named, "--out", tmp_path/out, "--model", model)[0] == 0
    assert (tmp_path/"a"/"photo_mine.jpg").read_bytes() == (tmp_path/"b"/"photo_mine.jpg").read_bytes()
    code, _, err = run(pienet_enhance, "--preferred", *liked, photo, "--model", model)
    assert code == 2 and "before --preferred" in err

def test_options_out_of_range(vivid, photo):
    for options in ("--quality", 0), ("--quality", 101), ("--bits", 12), ("--jobs", 0), ("--report", "x.txt"):
        code, _, err = vivid(photo, *options)
        assert code == 2 and err.count("\n") == 1
    assert found(photo.parent) == ["photo.jpg"]

# ---- in processes of their own

def test_program(tmp_path, model, photo):
    done = as_program(tmp_path, "pienet_enhance", photo, "--style", "vivid", "--model", model)
    assert done.returncode == 0, done.stderr
    assert photo.with_name("photo_vivid.jpg").exists()

def test_program_refuses_with_a_sentence(tmp_path, model):
    done = as_program(tmp_path, "pienet_enhance", "missing.jpg", "--style", "vivid", "--model", model)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "missing.jpg" in done.stderr and "Traceback" not in done.stderr

def test_packaged_model_in_a_fresh_process(tmp_path, photo):
    done = as_program(tmp_path, "pienet_styles")
    assert done.returncode == 0, done.stderr
    names = done.stdout.split()
    assert len(names) == 10
    done = as_program(tmp_path, "pienet_enhance", photo, "--style", names[0])
    assert done.returncode == 0, done.stderr

def start(tmp_path, name, *argv, **options):
    "Begin a command as its console script does."
    script = tmp_path/f"{name}.py"
    script.write_text(PROGRAM.format(name))
    env = os.environ | {"PYTHONPATH": str(Path(pienet_nb.__file__).parent.parent)}
    return subprocess.Popen([sys.executable, script, *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, env=env, preexec_fn=_hears_interrupts if os.name == "posix" else None, **options)

def _hears_interrupts(): signal.signal(signal.SIGINT, signal.default_int_handler) # also below a shell that does not

def test_help_and_version_need_no_torch(tmp_path):
    code = "import sys; from pienet_nb.commands import pienet_enhance; assert 'torch' not in sys.modules"
    root = Path(pienet_nb.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
    program = start(tmp_path, "pienet_enhance", "--version")
    assert program.communicate()[0] == f"pienet_nb {pienet_nb.__version__}\n" and program.returncode == 0

@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_stopped_run_goes_on(vivid, model, tmp_path, how):
    card = folder_of(tmp_path, *[f"{i:03}.jpg" for i in range(150)])
    large = card/"000.jpg"; picture(1500, 1000).save(large)
    options = "--style", "vivid", "--model", model, "--jobs", 2, "--report", tmp_path/"report.json"
    program = start(tmp_path, "pienet_enhance", card, *options)
    for _ in range(5): program.stdout.readline()
    program.send_signal(getattr(signal, how))
    _, err = program.communicate()
    assert "Traceback" not in err and program.returncode == (130 if how == "SIGINT" else -9)
    n_done = len(list(card.glob("*_vivid.jpg")))
    assert 5 <= n_done < 150
    if how == "SIGINT":
        report = json.loads((tmp_path/"report.json").read_text())
        assert err.endswith("pienet_enhance: stopped\n") and not list(card.glob(".*"))
        assert len(report["left"]) >= 150 - n_done
    for path in sorted(card.glob("???.jpg"))[20:]: path.unlink()  # enough to see that it goes on
    assert vivid(card, "--skip_existing")[0] == 0
    assert all((card/f"{i:03}_vivid.jpg").exists() for i in range(20)) and not list(card.glob("*_vivid_vivid*"))

def test_head_ends_quietly(tmp_path, model):
    program = start(tmp_path, "pienet_styles", "--model", model)
    program.stdout.close()
    assert (program.wait(), program.stderr.read()) == (141, "")
