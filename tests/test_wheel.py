"""A wheel built from the repository, installed outside the checkout, enhances a photo with the model in it."""
import os, shutil, site, subprocess, sys, sysconfig, zipfile
from pathlib import Path

import pytest
from PIL import Image

from pienet_nb.photos import sample_photos

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent

@pytest.fixture(scope="module")
def wheel(tmp_path_factory, tracked):
    "Built from a copy of what git tracks: no build folder of an earlier day gets in."
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for path in tracked:
        target = source/path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", built, source], check=True)
    (found,) = built.glob("*.whl")
    return found

@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    "An environment with nothing in it but the wheel; the other packages are lent by the present one."
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    programs = folder/("Scripts" if os.name == "nt" else "bin")
    subprocess.run([sys.executable, "-m", "pip", "--python", programs/"python", "install", "--quiet", "--no-deps",
                    "--no-index", wheel], check=True)
    purelib = subprocess.run([programs/"python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                             capture_output=True, text=True, check=True).stdout.strip()
    lent = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()])
    Path(purelib, "lent.pth").write_text("\n".join(lent)) # their own .pth files, the editable install, stay unread
    return programs

def outside(program, *arguments, cwd):
    "Run a program of that environment away from the checkout, with an empty home: no cache, and no download."
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP", "TORCH", "XDG"))}
    return subprocess.run([program, *arguments], cwd=cwd, env={**keep, "HOME": str(cwd)}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=300)

def test_wheel_holds_the_package_and_the_model_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pienet_nb"}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT/"pienet_nb").rglob("*.py")} <= set(names)
    model = {Path(name).name for name in names if name.startswith("pienet_nb/model/")}
    assert model == {"config.json", "embed.safetensors", "enhancer.safetensors", "styles.safetensors", "MODEL_CARD.md",
                     "embed.onnx", "enhancer.onnx"}
    splits = {Path(name).name for name in names if name.startswith("pienet_nb/fivek_splits/")}
    assert splits == {"test_1000.txt", "test_250.txt"}
    assert wheel.stat().st_size < 33_000_000

def test_wheel_asks_a_photographer_for_nothing_of_a_developer(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [archive.read(name).decode() for name in archive.namelist() if name.endswith("/METADATA")]
    always = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    tools = "nbdev", "pytest", "ruff", "ghapi"
    assert always and not [line for line in always if any(name in line for name in tools)]
    assert "Requires-Python: >=3.10" in metadata and "License: Apache-2.0" in metadata

def test_installed_wheel_enhances_a_photo(installed, tmp_path):
    where = outside(installed/"python", "-c", "import pienet_nb; print(pienet_nb.__file__)", cwd=tmp_path)
    assert Path(where.stdout.strip()).is_relative_to(installed.parent), where.stdout + where.stderr
    photo = tmp_path/"photo.jpg"
    Image.open(sample_photos()[0]).convert("RGB").save(photo)
    styles = outside(installed/"pienet_styles", cwd=tmp_path)
    assert styles.returncode == 0, styles.stderr
    style = styles.stdout.split()[0]
    run = outside(installed/"pienet_enhance", photo, "--style", style, "--out", tmp_path/"out", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    (result,) = (tmp_path/"out").iterdir()
    with Image.open(result) as enhanced, Image.open(photo) as source:
        assert enhanced.size == source.size
        assert enhanced.convert("RGB").tobytes() != source.tobytes()
