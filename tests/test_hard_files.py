"""Files of the kinds that people report to photo software: each comes out right, or is refused with the real reason.

The larger part checks ../shared/data/hard_files line by line against its README, and is skipped where that is absent.
What matters most is made here, so that it runs everywhere.
"""
import io, os, re, struct, warnings

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from pienet_nb.core import PieNetError
from pienet_nb.enhance import Enhancer
from pienet_nb.metadata import joined_xmp, make_note, read_note
from pienet_nb.photos import Metadata, matrix_profile, named_profile, open_file, read_photo, PRIMARIES
from pienet_nb.writing import write_photo
from tiny_model import model  # noqa: F401 (fixture)

@pytest.fixture(scope="session")
def enhancer(model): return Enhancer.from_pretrained(model)

@pytest.fixture(scope="session")
def hard(shared_data):
    "The folder of hard files."
    folder = shared_data/"hard_files"
    if not folder.is_dir(): pytest.skip("the hard files are not beside this checkout (../shared/data/hard_files)")
    return folder

@pytest.fixture
def unchanged(enhancer, tmp_path, capfd):
    "A file at strength 0, and the sentences; nothing may reach the terminal."
    def _unchanged(path, suffix=None, **options):
        suffix = suffix or (path.suffix if path.suffix.lower() in (".png", ".tif", ".jpg", ".webp") else ".png")
        target = tmp_path/f"out{suffix}"
        said = enhancer.enhance_file(path, target, "vivid", 0., overwrite=True, **options)
        assert capfd.readouterr() == ("", "")
        return open_file(target), said
    return _unchanged

def seen(path):
    "A file as a viewer shows it, over white; (h,w,3)."
    return np.asarray(read_photo(path), float)

def distance(photo, truth):
    "d of the README: mean absolute difference, in steps of 1/255."
    shown = seen(photo.path)
    assert shown.shape == truth.shape, (shown.shape, truth.shape)
    return np.abs(shown - truth).mean()

# ---- the hard files, line by line

LOSSLESS = """adobe_16.tif p3_16.tif pro_16.tif p3.png adobe.png pro.png linsrgb.png linsrgb_16.tif elle_srgb_g10.png
rgb16_planar.tif png_cicp_p3.png rgbf32.tif rgb32.tif rgbf16.tif rgb16_lzma.tif tc_zstd.tif rgb16_big.tif
rgb16_tiled.tif
rgb16_bigendian.tif png48_i.png png48_n.png png48_own.png rgb8_src.tif cmyk_plain.tif x.psd x.jp2 ll.webp multipage.tif
png_srgb_chunk.png""".split()
GREY = """grey16.png grey16.tif grey8_miniswhite.tif greyf32.tif greyf32_over1.tif greyf32_nan.tif
pnggrey16.png""".split()
JPEGS = """linsrgb.jpg adobe_dcf_r03.jpg adobe.jpg p3.jpg pro.jpg cmyk_plain.jpg arith.jpg progressive.jpg s411.jpg
s440.jpg
rgbjpeg.jpg rgb_with_grey_profile.jpg x.heic avif.avif""".split()
LYING = """tif_o6_L_raw.tif tif_o6_RGBA_raw.tif tif_o6_RGB_raw.tif tif_o6_I16_lzw.tif tif_o6_LA_raw.tif
tif_o6_CMYK_lzw.tif
tif_o6_P_lzw.tif alpha_o6.tif ori5.jpg ori6.jpg ori8.jpg x_interop_int.jpg pal_trns_o6.png la_o6.png alpha_o6.webp
png_raw_profile_exif_o6.png xmp_orientation_only.jpg""".split()

@pytest.mark.parametrize("name", LOSSLESS + GREY + JPEGS)
def test_colours_are_right(hard, unchanged, name):
    truth = seen(hard/"color"/("grey_ref.png" if name in GREY else "ref_srgb.png"))
    suffix = None if name.endswith((".png", ".tif", ".jpg")) else ".png"
    photo, _ = unchanged(hard/"color"/name, suffix)
    assert distance(photo, truth) <= (3.3 if name in JPEGS else 1)
    if name.endswith(".jpg") and "cmyk" not in name: assert np.array_equal(seen(photo.path), seen(hard/"color"/name))

def test_linear_light_is_converted_when_it_is_edited(hard, enhancer, tmp_path):
    target = tmp_path/"out.png"
    assert "come out as sRGB" in enhancer.enhance_file(hard/"color"/"linsrgb.png", target, "vivid", 0.01)[0]
    assert distance(open_file(target), seen(hard/"color"/"ref_srgb.png")) < 2

@pytest.mark.parametrize("name", ["raw.dng", "raw.NEF", "raw.ARW"])
def test_raw_is_developed(hard, unchanged, name):
    photo, _ = unchanged(hard/"misc"/name, ".tif")
    assert (photo.width, photo.height, photo.bits) == (200, 134, 16)
    assert distance(photo, seen(hard/"misc"/"ref.jpg")) < 6

@pytest.mark.parametrize("name", LYING)
def test_turned_upright(hard, unchanged, name):
    photo, _ = unchanged(hard/"meta"/name)
    assert (photo.width, photo.height, photo.orientation) == (200, 134, 1)
    with Image.open(photo.path) as plain: assert plain.getexif().get(0x0112, 1) == 1
    flat = seen(hard/"meta"/"ori6.jpg").mean(-1).ravel()                  # grey ones have its pattern at least
    values = photo.coded().numpy()[..., :3].astype(float).mean(-1).ravel()
    assert np.corrcoef(values, flat)[0, 1] > 0.75

def test_damaged_exif_is_mended(hard, unchanged):
    for path in sorted((hard/"meta").glob("x_*.jpg")) + sorted((hard/"fuzz").glob("*.jpg")):
        photo, _ = unchanged(path)
        with warnings.catch_warnings(), Image.open(photo.path) as plain:
            warnings.simplefilter("error")
            assert plain.getexif().get(0x0112, 1) == 1, path.name
            plain.getexif().get_ifd(0x8769), plain.getexif().get_ifd(0x8825)

REFUSED = {"png_cicp_pq2020.png": "PQ", "x.jxl": "JPEG XL", "x.hdr": "Radiance"}

@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_name(hard, name):
    with pytest.raises(PieNetError, match=REFUSED[name]): open_file(hard/"color"/name)

def test_metadata_in_every_kind(hard, enhancer, tmp_path):
    for source in "meta.tif", "camera.jpg", "exiftool_late.png":
        before = open_file(hard/"meta"/source)
        words = set(re.findall(r">([^<>]{4,40})<", joined_xmp(before.data)))
        for suffix in ".jpg", ".tif", ".png", ".webp", ".avif", ".heic":
            enhancer.enhance_file(hard/"meta"/source, tmp_path/f"out{suffix}", "vivid", 0.5, overwrite=True)
            after = open_file(tmp_path/f"out{suffix}")
            assert words <= set(re.findall(r">([^<>]{4,40})<", joined_xmp(after.data))), (source, suffix)
            assert bool(before.data.exif) == bool(after.data.exif) and after.orientation == 1
            if suffix in (".jpg", ".tif", ".png"): assert bool(before.data.irb) == bool(after.data.irb), suffix

def test_no_resolution_is_made_up(hard, unchanged):
    for suffix in ".tif", ".png", ".jpg":
        assert unchanged(hard/"meta"/"nodpi.tif", suffix)[0].data.dpi is None
        assert round(unchanged(hard/"meta"/"dpi300.tif", suffix)[0].data.dpi[0]) == 300

@pytest.mark.parametrize("claim, what", {
    'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"': "gain map",
    'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" HDRGainMap:HDRGainMapVersion="65536"': "gain map",
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"': "film",
    'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MicroVideo="1"': "film",
    'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" GDepth:Format="RangeInverse"': "depth map"}.items())
def test_what_is_left_out_is_said_and_not_claimed(enhancer, tmp_path, claim, what):
    xmp = ('<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
           f'<rdf:Description rdf:about="" {claim}/></rdf:RDF></x:xmpmeta>').encode()
    write_photo(np.full((20, 30, 3), 90, np.uint8), tmp_path/"photo.jpg", Metadata(xmp=xmp))
    for strength in 0., 1.:
        said = enhancer.enhance_file(tmp_path/"photo.jpg", tmp_path/"out.jpg", "vivid", strength, overwrite=True)
        assert len(said) == 1 and what in said[0]
        assert claim.split()[1].encode() not in (tmp_path/"out.jpg").read_bytes()

def test_gain_map_is_not_claimed(hard, unchanged):
    photo, said = unchanged(hard/"meta"/"ultrahdr.jpg")
    assert len(said) == 1 and "gain map" in said[0]
    data = photo.path.read_bytes()
    for claim in b"hdrgm", b"GainMap", b"MPF\0": assert claim not in data
    assert photo.space == "Display P3"

def test_extended_xmp_is_kept(hard, unchanged):
    before = joined_xmp(open_file(hard/"meta"/"extended_xmp.jpg").data)
    assert before.count("edit step") > 1000
    for suffix in ".jpg", ".png", ".tif", ".webp":
        photo, _ = unchanged(hard/"meta"/"extended_xmp.jpg", suffix)
        assert joined_xmp(photo.data).count("edit step") == before.count("edit step")
        assert b'Rating="3"' in photo.data.xmp

def test_sixteen_bits_stay(hard, unchanged):
    for name in "p3_16.tif", "rgb16_planar.tif", "png48_own.png", "pngrgba16.png":
        before, (after, _) = open_file(hard/"color"/name), unchanged(hard/"color"/name)
        assert np.array_equal(before.coded().numpy(), after.coded().numpy()) and after.bits == 16

def test_everything_is_read_or_refused(hard, capfd):
    for path in sorted(p for part in ("color", "meta", "misc", "fuzz") for p in (hard/part).iterdir()):
        try: assert read_photo(path, 64).size == (64, 64)
        except PieNetError as error: assert str(path) in str(error)
    assert capfd.readouterr() == ("", "")

# ---- made here

WIDE = np.dstack([np.linspace(0, 65535, 60*40).reshape(40, 60)**p for p in (1.0, 0.98, 0.95)])
WIDE = (WIDE/WIDE.max((0, 1))*65535).round().astype(np.uint16)

def profiles():
    return {"Display P3": named_profile("Display P3"), "Adobe RGB (1998)": named_profile("Adobe RGB (1998)"),
            "BT.2020": named_profile("BT.2020")}

@pytest.mark.parametrize("name", profiles())
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_wide_photo_stays_wide(enhancer, tmp_path, name, suffix):
    before, after = tmp_path/f"a{suffix}", tmp_path/f"b{suffix}"
    write_photo(WIDE, before, Metadata(icc=profiles()[name]))
    enhancer.enhance_file(before, after, "vivid", 0)
    assert open_file(after).space == name and np.array_equal(open_file(after).coded().numpy(), WIDE)
    enhancer.enhance_file(before, after, "vivid", overwrite=True)
    in_own = seen(after)
    assert open_file(after).space == name
    enhancer.enhance_file(before, after, "vivid", srgb=True, overwrite=True)
    assert open_file(after).colours == "srgb" and np.abs(seen(after) - in_own).mean() < 2

def test_a_profile_is_judged_by_what_it_does(enhancer, tmp_path):
    linear = matrix_profile("sRGB linear", PRIMARIES["sRGB"], gamma=1.)   # a name that lies
    write_photo(WIDE, tmp_path/"linear.tif", Metadata(icc=linear))
    write_photo(WIDE, tmp_path/"coded.tif")
    bright = seen(tmp_path/"linear.tif"); assert bright.mean() > seen(tmp_path/"coded.tif").mean() + 30
    transform = ImageCms.buildTransform(io.BytesIO(linear), ImageCms.createProfile("sRGB"), "RGB", "RGB")
    known = ImageCms.applyTransform(Image.fromarray((WIDE//257).astype(np.uint8)), transform)
    assert np.abs(bright - np.asarray(known, float)).mean() < 1.5

def test_a_camera_that_says_adobe_rgb(enhancer, tmp_path):
    exif = Image.Exif(); exif.get_ifd(0x8769).update({0xA001: 65535})
    exif.get_ifd(0x8769)[0xA005] = {1: "R03", 2: b"0100"}
    Image.fromarray((WIDE//257).astype(np.uint8)).save(tmp_path/"a.jpg", exif=exif, quality=95)
    photo = open_file(tmp_path/"a.jpg")
    assert photo.space == "Adobe RGB (1998)" and photo.data.icc == b""
    enhancer.enhance_file(photo, tmp_path/"b.jpg", "vivid", 0.5)
    assert open_file(tmp_path/"b.jpg").data.icc == named_profile("Adobe RGB (1998)")   # and now the file says so itself
    enhancer.enhance_file(tmp_path/"a.jpg", tmp_path/"c.jpg", "vivid", 0.5, srgb=True)
    assert not open_file(tmp_path/"c.jpg").data.adobe_rgb and open_file(tmp_path/"c.jpg").colours == "srgb"

def patched(path, old, new, tag=262):
    "A TIFF in which a short number of its last directory with that tag is another one."
    data, entry = path.read_bytes(), struct.Struct("<HHII")
    at = data.rindex(struct.pack("<HHI", tag, 3 if tag == 262 else 4, 1))
    assert entry.unpack_from(data, at)[3] == old
    path.write_bytes(data[:at] + entry.pack(*entry.unpack_from(data, at)[:3], new) + data[at + entry.size:])

def test_tiff_with_a_preview_first(enhancer, tmp_path):
    photo = Image.fromarray((WIDE//257).astype(np.uint8))
    photo.resize((6, 4)).save(tmp_path/"a.tif", save_all=True, append_images=[photo], tiffinfo={254: 1})
    patched(tmp_path/"a.tif", 1, 0, 254)                                   # only the first is one
    said = enhancer.enhance_file(tmp_path/"a.tif", tmp_path/"b.png", "vivid", 0.)
    assert said == ["a.tif holds 2 pictures; only number 2 is used."]
    assert np.array_equal(seen(tmp_path/"b.png"), np.asarray(photo))

def test_tiff_with_a_channel_that_nobody_names(enhancer, tmp_path):
    photo = np.dstack([(WIDE//257).astype(np.uint8), np.full((40, 60), 7, np.uint8)])
    Image.fromarray(photo).convert("RGBX").save(tmp_path/"a.tif")
    assert enhancer.enhance_file(tmp_path/"a.tif", tmp_path/"b.png", "vivid", 0.) \
        == ["a.tif: a channel that is no colour is left out."]
    assert np.array_equal(seen(tmp_path/"b.png"), photo[..., :3])

def test_tiff_in_cielab(tmp_path):
    photo = np.asarray(Image.fromarray((WIDE//257).astype(np.uint8)).resize((20, 30)), float)
    lab = ImageCms.createProfile("LAB")                                    # with the white of print
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    ImageCms.applyTransform(Image.fromarray(photo.astype(np.uint8)), to_lab).save(tmp_path/"d50.tif")
    image = pyvips.Image.new_from_array(photo.astype(np.uint8), interpretation="srgb")
    for kind in "lab", "labs": image.colourspace(kind).tiffsave(str(tmp_path/f"{kind}.tif"))  # with that of sRGB
    for name in "d50", "lab", "labs": assert np.abs(seen(tmp_path/f"{name}.tif") - photo).mean() < 1.5, name
    patched(tmp_path/"d50.tif", 8, 9)
    with pytest.raises(PieNetError, match="a TIFF in ICCLAB, which is not supported"): open_file(tmp_path/"d50.tif")

def test_a_name_that_lies(enhancer, tmp_path):
    Image.fromarray((WIDE//257).astype(np.uint8)).save(tmp_path/"photo.jpg", "PNG")
    enhancer.enhance_file(tmp_path/"photo.jpg", tmp_path/"out.jpg", "vivid")
    assert open_file(tmp_path/"photo.jpg").kind == "PNG" and open_file(tmp_path/"out.jpg").kind == "JPEG"

@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no FIFO")
def test_no_ordinary_file(tmp_path):
    os.mkfifo(tmp_path/"photo.jpg")
    with pytest.raises(PieNetError, match="no ordinary file"): open_file(tmp_path/"photo.jpg")

def test_the_note(enhancer, tmp_path):
    write_photo((WIDE//257).astype(np.uint8), tmp_path/"a.png")
    for suffix in ".jpg", ".png", ".tif", ".webp", ".avif", ".heic":
        enhancer.enhance_file(tmp_path/"a.png", tmp_path/f"b{suffix}", "vivid", 0.25)
        assert read_note(tmp_path/f"b{suffix}") == make_note(enhancer.styles["vivid"], 0.25, tmp_path/"a.png")
    enhancer.enhance_file(tmp_path/"b.jpg", tmp_path/"c.tif", "vivid", 1)  # the note is exchanged, not doubled
    assert read_note(tmp_path/"c.tif") == make_note(enhancer.styles["vivid"], 1., tmp_path/"b.jpg")
    assert read_note(tmp_path/"a.png") is None and b"a.png" not in (tmp_path/"c.tif").read_bytes()

def test_too_large_for_the_kind(enhancer, tmp_path):
    write_photo(np.zeros((4, 20_000, 3), np.uint8), tmp_path/"long.png")
    with pytest.raises(PieNetError, match="16383 pixels a side"):
        enhancer.enhance_file(tmp_path/"long.png", tmp_path/"p.webp", "vivid")
    write_photo(np.zeros((2, 70_000, 3), np.uint8), tmp_path/"longer.tif")
    with pytest.raises(PieNetError, match="65535 pixels a side"):
        enhancer.enhance_file(tmp_path/"longer.tif", tmp_path/"p.jpg", "vivid")
    enhancer.enhance_file(tmp_path/"longer.tif", tmp_path/"p.tif", "vivid")
    assert open_file(tmp_path/"p.tif").width == 70_000

class Odd(Exception): pass

@pytest.mark.parametrize("error", [ValueError, KeyError, struct.error, AssertionError, RuntimeError, IndexError, Odd,
                                   MemoryError, RecursionError, OSError, NotImplementedError, SyntaxError])
def test_any_exception_becomes_a_sentence(enhancer, tmp_path, monkeypatch, error):
    write_photo((WIDE//257).astype(np.uint8), tmp_path/"a.png")
    def fail(*args, **kwargs): raise error("something odd")
    for place in ("photos.kind_of", "photos.as_rgb", "enhance._decode", "enhance.carried", "enhance.Enhancer._edit_of",
                  "writing._png_head"):
        with monkeypatch.context() as patch:
            patch.setattr(f"pienet_nb.{place}", fail)
            with pytest.raises(PieNetError, match="a.png|b.png"):
                enhancer.enhance_file(tmp_path/"a.png", tmp_path/"b.png", "vivid")
        assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
