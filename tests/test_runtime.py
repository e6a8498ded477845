"""Photos without PyTorch: the same file by both runtimes, a process that has no torch, and the light distribution."""
import os, re, shutil, subprocess, sys, zipfile
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image

from pienet_nb.commands import pienet_enhance, pienet_learn_style
from pienet_nb.core import PieNetError
from pienet_nb.enhance import Enhancer
from pienet_nb.enhancer import PieModel
from pienet_nb.photos import sample_photos
from pienet_nb.scale.runtime import OnnxModel, _part
from tiny_model import model, run # noqa: F401, fixtures

ROOT = Path(__file__).resolve().parent.parent
PACKAGED = ROOT/"pienet_nb"/"model"
LEFT_OUT = ["torch", "torchvision", "fastai", "fastprogress", "matplotlib", "ipywidgets", "anywidget", "traitlets",
            "sklearn", "skimage", "scipy", "onnx", "onnxscript"]

def settings():
    config = ConfigParser(delimiters=["="], interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return config["DEFAULT"]

@pytest.fixture(scope="module")
def both():
    "An enhancer of each runtime."
    return {name: Enhancer.from_pretrained(runtime=name) for name in ("torch", "onnx")}

# --- the graphs in the package

@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 40, 57), (33, 64, 64)])
def test_packaged_embedding_graph_is_that_of_the_model(shape, both):
    photos = torch.rand(shape[0], 3, *shape[1:], generator=torch.Generator().manual_seed(0))
    with torch.inference_mode(): wanted = both["torch"].model.embed(photos)
    found = both["onnx"].model.embed(photos.numpy())
    assert found.shape == (shape[0], 512) and np.abs(found - wanted.numpy()).max() < 1e-4

@pytest.mark.parametrize("n, size, colours", [(1, (128, 128), (33, 1089)), (2, (50, 37), (1, 700)),
                                              (5, (64, 64), (64, 64))])
@pytest.mark.parametrize("raw", [False, True])
def test_packaged_enhancer_graph_is_that_of_the_model(n, size, colours, raw):
    rng, model = torch.Generator().manual_seed(0), PieModel.load()
    photos, asked = torch.rand(n, 3, *size, generator=rng)**2, torch.rand(n, 3, *colours, generator=rng)
    vectors = torch.stack(list(model.vectors.values()))[:n]
    network = (model.for_raw() if raw else model).enhancer
    with torch.inference_mode(): wanted = network.decode(asked, network.encoder(photos)[1], vectors)
    inputs = {"photos": photos, "told": torch.full((n, 1), float(raw)), "vectors": vectors, "colours": asked}
    found = _part(PACKAGED, "enhancer", 1)(**{name: value.numpy() for name, value in inputs.items()})
    assert found.shape == wanted.shape and np.abs(found - wanted.numpy()).max() < 1e-3 < wanted.abs().max()

# --- the same photo

def pixels(path): return np.asarray(pyvips.Image.new_from_file(str(path))).astype(int)

def make_photo(folder, suffix):
    "A sample photo as a JPEG, or with 16 bits as a PNG."
    with Image.open(sample_photos()[1]) as picture: small = np.asarray(picture.convert("RGB"))[:201, :302]
    if suffix == ".png": small = small.astype(np.uint16)*256 + np.arange(302, dtype=np.uint16)[None, :, None] % 256
    image = pyvips.Image.new_from_array(small, interpretation="rgb16" if suffix == ".png" else "srgb")
    image.write_to_file(str(folder/f"photo{suffix}"))
    return folder/f"photo{suffix}"

@pytest.mark.parametrize("suffix, raw", [(".jpg", False), (".png", False), (".png", True)])
def test_both_runtimes_write_the_same_photo(suffix, raw, both, tmp_path):
    photo, found = make_photo(tmp_path, suffix), {}
    for name, enhancer in both.items():
        if raw: enhancer = Enhancer(enhancer.model_for(SimpleNamespace(kind="RAW")))
        target = tmp_path/f"{name}.png" # so that JPEG's coding is not compared
        enhancer.enhance_file(photo, target, "teal-orange")
        found[name] = pixels(target)
    step = 257 if suffix == ".png" else 1
    assert found["torch"].shape == (201, 302, 3) and found["torch"].max() > 200*step
    assert np.abs(found["torch"] - found["onnx"]).max() <= step
    assert np.abs(found["torch"] - pixels(photo)).mean() > 5*step

def test_raw_photo_is_told_so_by_both(both, tmp_path):
    photo = make_photo(tmp_path, ".png")
    for name, enhancer in both.items():
        told = Enhancer(enhancer.model_for(SimpleNamespace(kind="RAW")))
        usual, other = (one.edit(photo, one.styles["vivid"])[0].values for one in (enhancer, told))
        assert np.abs(other - usual).max() > 0.01, name
        assert enhancer.model_for(SimpleNamespace(kind="JPEG")) is enhancer.model

# --- the commands

def test_command_takes_a_runtime(run, tmp_path):
    photo, found = make_photo(tmp_path, ".jpg"), []
    for runtime in "torch", "onnx":
        target = tmp_path/f"{runtime}.png"
        code, out, err = run(pienet_enhance, photo, "--style", "vivid", "--runtime", runtime, "--out", target)
        assert code == 0, err
        found.append(pixels(target))
    assert np.abs(found[0] - found[1]).max() <= 1

def test_unknown_runtime_is_a_sentence(run, tmp_path):
    code, out, err = run(pienet_enhance, make_photo(tmp_path, ".jpg"), "--style", "vivid", "--runtime", "tpu")
    assert code == 2 and "There is no runtime tpu; choose one of torch, onnx." in err

def test_model_without_graphs_says_how_to_get_them(run, model, tmp_path): # noqa: F811
    code, out, err = run(pienet_enhance, make_photo(tmp_path, ".jpg"), "--style", "vivid", "--runtime", "onnx",
                         "--model", model)
    assert code == 2 and "pienet_export_onnx --model" in err

def test_refining_asks_for_the_other_runtime(run, tmp_path):
    make_photo(tmp_path, ".jpg")
    code, out, err = run(pienet_learn_style, tmp_path, "--disliked", tmp_path, "--runtime", "onnx",
                         "--out", tmp_path/"mine.safetensors")
    assert code == 2 and "the runtime torch" in err and not (tmp_path/"mine.safetensors").exists()

# --- no torch

WITHOUT = f"""import sys
for name in {LEFT_OUT}: sys.modules[name] = None
from pienet_nb.commands import pienet_enhance, pienet_export_lut, pienet_learn_style, pienet_styles
"""

ALL_COMMANDS = WITHOUT + """
pienet_styles()
pienet_enhance(["photo.jpg"], style="vivid", out="vivid.jpg")
pienet_enhance(["photo.png"], preferred=["liked"], out="liked.png")
pienet_learn_style(["liked"], out="mine.safetensors")
pienet_enhance(["photo.jpg"], style_file="mine.safetensors", out="mine.jpg")
pienet_export_lut(["photo.jpg"], style="vivid", out="vivid.cube")
pienet_export_lut(["photo.jpg", "photo.png"], style="vivid", out="both.cube")
"""

SENTENCES = {
    "pienet_enhance(['photo.jpg'], preset='p.xmp')": "this needs PyTorch",
    "pienet_enhance(['photo.jpg', 'photo.png'], style='vivid', out='o', consistent=True)": "this needs PyTorch",
    "pienet_enhance(['photo.jpg'], style='vivid', runtime='torch')": "this needs PyTorch",
    "pienet_learn_style(['liked'], disliked='liked', out='x.safetensors')": "the runtime torch",
    "pienet_styles(contact_sheet='sheet.jpg')": "--photo"}

@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("light")
    make_photo(folder, ".jpg"); make_photo(folder, ".png")
    (folder/"liked").mkdir()
    for i in range(4):
        with Image.open(sample_photos()[i]) as picture: small = picture.convert("RGB").resize((90, 60))
        small.save(folder/"liked"/f"{i}.jpg")
    (folder/"p.xmp").write_text("<x:xmpmeta/>")
    return folder

def in_process(code, folder):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)

def test_process_without_torch_does_what_a_photographer_needs(folder, both):
    done = in_process(ALL_COMMANDS, folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:10] == list(both["torch"].styles)
    both["torch"].enhance_file(folder/"photo.jpg", folder/"usual.jpg", "vivid")
    assert np.abs(pixels(folder/"usual.jpg") - pixels(folder/"vivid.jpg")).max() <= 3 # JPEG's coding of one step
    assert pixels(folder/"liked.png").max() > 30_000 and (folder/"both.cube").stat().st_size > 100_000
    assert "The style" in done.stdout # where it lies

def test_what_needs_torch_says_so_in_a_sentence(folder):
    tries = "".join(f"\\ntry: {call}\\nexcept SystemExit as end: assert end.code == 2, end.code".replace("\\n", "\n")
                    for call in SENTENCES)
    done = in_process(WITHOUT + "import os; silent = os.dup(2)\n" + tries, folder)
    for call, sentence in SENTENCES.items(): assert sentence in done.stderr, (call, done.stderr)
    assert "Traceback" not in done.stderr

# --- the light distribution

def test_light_requirements_are_what_its_path_imports():
    names = settings()["light"].split()
    assert not {"torch", "torchvision", "fastai"} & set(names)
    assert {"numpy", "pyvips", "opencolorio", "onnxruntime"} <= set(names)

@pytest.mark.slow
def test_light_wheel_holds_the_package_and_asks_for_no_torch(tmp_path, tracked):
    for path in tracked:
        if path.parts[len(ROOT.parts)] not in ("light", "pienet_nb", "settings.ini"): continue
        target = tmp_path/"source"/path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", tmp_path, tmp_path/"source"/"light"], check=True)
    archive = zipfile.ZipFile(next(tmp_path.glob("pienet_nb_light-*.whl")))
    names = set(archive.namelist())
    assert {f"pienet_nb/model/{path.name}" for path in PACKAGED.iterdir()} <= names
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT/"pienet_nb").rglob("*.py")} <= names
    text = {Path(name).name: archive.read(name).decode() for name in names if ".dist-info/" in name}
    required = {re.match(r"[\w-]+", line)[0] for line in re.findall("Requires-Dist: (.*)", text["METADATA"])}
    assert required == set(settings()["light"].split())
    assert set(re.findall(r"(\w+) =", text["entry_points.txt"])) == set(settings()["light_scripts"].split())

def test_model_folder_is_small():
    assert sum(path.stat().st_size for path in PACKAGED.iterdir()) <= 32e6

def test_damaged_graph_is_a_sentence(tmp_path):
    shutil.copytree(PACKAGED, tmp_path/"model")
    (tmp_path/"model"/"enhancer.onnx").write_bytes(b"no graph")
    enhancer = Enhancer(OnnxModel.load(tmp_path/"model"))
    with pytest.raises(PieNetError, match="write it again with pienet_export_onnx"):
        enhancer.enhance(Image.new("RGB", (40, 30), "teal"), "vivid")
