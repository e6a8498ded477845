"""Lightroom presets: real ones, and a preset as the taste of a command."""
import runpy

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

# file → what is left out, or words of the sentence with which it is refused
HARD = {"amount": ["Amount"], "bom": [], "bw_gray": [], "bw_treatment": [], "color_grade": [], "curve_ok": [],
        "expo1": [], "camera_calib": ["BlueSaturation", "RedHue", "ShadowTint"], "curve_as_attr": ["ToneCurvePV2012"],
        "curve_one_point": [], "curve_red_str": ["ToneCurvePV2012Red"], "curve_reversed": [],
        "curve_text": ["ToneCurvePV2012"], "empty_preset": [], "expo1_comma": [],
        "huge_values": ["Contrast2012", "Highlights2012"], "leading_blank": [], "look_bw_profile": ["Look"],
        "look_film_profile": ["Look"], "packet": [], "padding": [],
        "parametric_curve": ["ParametricLights", "ParametricShadows"],
        "photo_sidecar_lr": ["CropAngle", "CropLeft", "HasCrop"], "point_color": ["PointColors"], "pv2010": [],
        "temp_6500": [], "temp_asshot": [], "temp_plus100": [], "two_descriptions": [], "utf16": [],
        "name_japanese": [],
        "bomb": "no preset", "darktable": "no develop settings", "dup_attr": "no preset", "truncated": "no preset",
        "xxe": "no preset"}

@pytest.mark.parametrize("name", HARD)
def test_hard_presets(shared_data, name):
    path, expected = shared_data/"hard_files"/"xmp"/f"{name}.xmp", HARD[name]
    if not path.exists(): pytest.skip("the hard files are not beside this checkout")
    if isinstance(expected, str):
        with pytest.raises(PieNetError, match=expected): DevelopPreset.read(path)
        return
    preset = DevelopPreset.read(path)
    result = preset(torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(0)))
    assert preset.coverage()[1] == expected
    assert result.isfinite().all() and preset.is_grey == (result.amax(1) - result.amin(1) < 1e-5).all()

def test_hard_presets_do_what_they_say(shared_data):
    folder = shared_data/"hard_files"/"xmp"
    if not folder.is_dir(): pytest.skip("the hard files are not beside this checkout")
    grey = torch.full((1, 3, 1, 1), 0.4)
    brighter, with_comma, warm = (DevelopPreset.read(folder/f"{name}.xmp")(grey).flatten()
                                  for name in ("expo1", "expo1_comma", "temp_plus100"))
    assert abs(with_comma - brighter).max() < 0.03 and brighter.min() > 0.5  # with a little contrast besides
    assert 0.02 < warm[0] - warm[2] < 0.3 # one stop, and no cast of 2000 K
    assert DevelopPreset.read(folder/"look_bw_profile.xmp").is_grey
    assert DevelopPreset.read(folder/"pv2010.xmp")(torch.full((1, 3, 1, 1), 0.6)).min() > 0.8 # an older exposure
    settings = DevelopPreset.read(folder/"preset.lrtemplate").settings
    assert settings == {"Name": "Mine", "Exposure2012": 1., "Contrast2012": 20.}

LUA = """s = { title = "Dusk",
    value = { settings = { Exposure = 0.5, ToneCurve = { 0, 20, 255, 255 }, Clarity = 30 } } }"""

def test_an_lrtemplate_is_a_taste(run, model, photo, tmp_path):
    path = tmp_path/"dusk.lrtemplate"
    path.write_text(LUA)
    code, _, err = run(pienet_enhance, photo, "--preset", path, "--model", model)
    assert code == 0 and photo.with_name("photo_Dusk.jpg").exists()
    assert "Dusk: 67% of the preset's settings are honoured; left out: Clarity" in err

def test_lua_is_not_run(tmp_path):
    path, written = tmp_path/"evil.lrtemplate", tmp_path/"written"
    calls = f'os.execute("touch {written}")', f'(function() io.open("{written}", "w") end)()'
    nested = [f"s = {{ value = {{ settings = {{ A = {call} }} }} }}" for call in calls]
    for text in (*calls, *nested, "s = " + "{"*1_000_000):
        path.write_text(text)
        with pytest.raises(PieNetError, match="no preset"): DevelopPreset.read(path)
    assert not written.exists()

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

def test_mutated_presets_are_read_or_refused(root, tmp_path):
    "A few of the cases of tools/fuzz_luts.py, which says how to run many."
    fuzz, outcomes = runpy.run_path(str(root/"tools"/"fuzz_luts.py")), set()
    files = [file for file in fuzz["seeds"](tmp_path) if file[0] in (".xmp", ".lrtemplate")]
    for number in range(200):
        suffix, content = fuzz["case"](number, 7, files)
        path = tmp_path/f"case{suffix}"
        path.write_bytes(content)
        outcomes.add(fuzz["tried"](path))
    assert len(files) == 2 and outcomes == {"read", "refused"}
