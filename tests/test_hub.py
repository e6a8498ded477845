"""Model folders of older versions, and models by their name where there is no network (44_hub has the rest)."""
import json, re, shutil, subprocess, tarfile

import pytest
import torch
from fastcore.test import test_close as assert_close
from PIL import Image

from pienet_nb.commands import pienet_enhance
from pienet_nb.core import PieNetError
from pienet_nb.enhance import Enhancer
from pienet_nb.enhancer import FORMAT_VERSION, MODEL_FILES, PieModel
from old_models import KINDS, MODELS, seen

ARCHIVES = {int(re.search(r"\d+", path.name)[0]): path for path in MODELS.glob("format_*.tar.xz")}

def test_every_version_of_the_format_has_its_models():
    assert set(ARCHIVES) == set(range(1, FORMAT_VERSION + 1)), "python tests/old_models.py"

@pytest.fixture(scope="module", params=sorted(ARCHIVES), ids=lambda version: f"format_{version}")
def models(request, tmp_path_factory):
    "The folder with the models of one version of the format."
    folder = tmp_path_factory.mktemp("models")
    with tarfile.open(ARCHIVES[request.param]) as archive: archive.extractall(folder, filter="data")
    yield request.param, folder
    shutil.rmtree(folder) # large

@pytest.mark.parametrize("kind", KINDS)
def test_model_of_an_older_version_does_what_it_did(models, kind):
    version, folder = models
    model = PieModel.load(folder/kind)
    assert (model.config["format_version"], model.model_id) == (version, model.weights_id())
    before, now = json.loads((folder/kind/"seen.json").read_text(encoding="utf-8")), seen(model)
    for name in before:
        largest = max(map(abs, before[name]))
        assert len(before[name]) == len(now[name]) >= 8 and largest > 1e-3
        assert_close(torch.tensor(now[name]), torch.tensor(before[name]), eps=largest/1000)
    grey = Image.new("RGB", (40, 30), (90, 120, 60))
    enhanced = Enhancer(model).enhance(grey, "wave")
    assert enhanced.size == grey.size and enhanced.tobytes() != grey.tobytes()

def in_history(root, *arguments):
    run = subprocess.run(["git", *arguments], cwd=root, capture_output=True)
    return run.stdout if run.returncode == 0 else b""

def test_first_packaged_model_is_read(root, tmp_path):
    commits = in_history(root, "log", "--format=%h", "--", "pienet_nb/model/enhancer.safetensors").decode().split()
    if len(commits) < 2: pytest.skip("the history is not here")
    for name in MODEL_FILES:
        (tmp_path/name).write_bytes(in_history(root, "show", f"{commits[-1]}:pienet_nb/model/{name}"))
    model = PieModel.load(tmp_path)
    assert model.weights_id() == model.model_id and len(Enhancer(model).styles) >= 10

# --- names, without a network

NAME = "nobody/no-such-model"

@pytest.mark.parametrize("setting, reason", [({"HF_HUB_OFFLINE": True}, "(HF_HUB_OFFLINE is set)"),
    ({"HF_HUB_OFFLINE": False, "ENDPOINT": "http://127.0.0.1:9"}, "cannot be fetched from 127.0.0.1")])
def test_name_without_a_network_is_a_sentence(tmp_path, monkeypatch, capsys, setting, reason):
    constants = pytest.importorskip("huggingface_hub.constants")
    for name, value in {**setting, "HF_HUB_CACHE": str(tmp_path/"cache")}.items():
        monkeypatch.setattr(constants, name, value)
    Image.new("RGB", (40, 30), "teal").save(tmp_path/"photo.png")
    with pytest.raises(SystemExit) as ended: pienet_enhance(tmp_path/"photo.png", style="vivid", model=NAME)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and len(said.splitlines()) == 1
    assert f"There is no folder {NAME}" in said and reason in said
    assert [path.name for path in tmp_path.glob("*.png")] == ["photo.png"]

def test_folder_stays_a_folder(root, tmp_path, monkeypatch):
    def ask(*arguments, **keywords): raise AssertionError("the Hub was asked")
    monkeypatch.setattr("pienet_nb.scale.hub.fetch_model", ask)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="was asked"): Enhancer.from_pretrained("studio/warm")
    shutil.copytree(root/"pienet_nb/model", "studio/warm")
    assert Enhancer.from_pretrained("studio/warm").model.model_id == Enhancer.from_pretrained().model.model_id
    with pytest.raises(PieNetError, match="no complete model in studio/wram"): Enhancer.from_pretrained("studio/wram")
