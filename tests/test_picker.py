"""The style picker without a browser: a model with a residual, files, a real kernel, bad input, a question of pairs."""
import io, os, shutil, stat, subprocess, sys

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient
from PIL import Image
from torch.nn import functional as F

from pienet_nb.core import PieNetError
from pienet_nb.enhance import Enhancer, enhance
from pienet_nb.embed import style_distance
from pienet_nb.pairs import DECIDED, StyleSpace, TasteGuess, varied
from pienet_nb.photos import read_photo
from pienet_nb.picker import PickerView, picker, serve_page
from pienet_nb.picker_state import OWN, YOURS, ShownPhoto, StylePicker, Uploads, free_path, read_small
from pienet_nb.preference import Style
from tiny_model import model, photo, picture # noqa: F401 (fixtures)

@pytest.fixture(scope="module")
def enhancer(model): return Enhancer.from_pretrained(model)

@pytest.fixture
def wall(): return [picture(96, 64, seed) for seed in range(6)]

@pytest.fixture
def state(photo, wall, enhancer):
    state = StylePicker(photo.parent, wall, enhancer)
    state.wait()
    return state

def pixels(image): return np.asarray(image.convert("RGB")).astype(int)
def differ(a, b): return np.abs(pixels(a) - pixels(b)).mean()
def files(folder): return sorted(path.name for path in folder.iterdir())

# ---- the state

def test_the_preview_is_what_will_be_saved(state, enhancer, photo):
    state.choose(style="vivid", strength=0.7); state.wait()
    assert differ(state.after, enhancer.enhance(photo, "vivid", 0.7)) == 0
    saved = state.save_photo().result()
    assert saved.parent == photo.parent/"pienet_results" and differ(read_photo(saved), state.after) < 3

def test_a_part_at_full_size_is_a_piece_of_the_result_with_its_residual(enhancer, tmp_path):
    picture(1600, 1200).save(tmp_path/"large.png")
    shown, style = ShownPhoto(tmp_path/"large.png", enhancer), enhancer.styles["vivid"]
    whole = enhancer.enhance(tmp_path/"large.png", style)
    before, after, _ = shown.part(style, 1., (0.3, 0.8), (300, 200))
    box = (330, 860, 630, 1060)
    assert differ(before, shown.full.crop(box)) == 0 and differ(after, whole.crop(box)) < 0.5

def test_the_style_of_clicks_is_that_of_the_same_photos_as_files(state, wall, enhancer, tmp_path):
    for i in 4, 0, 2: state.like(i)
    folder = tmp_path/"liked"; folder.mkdir()
    for i in 0, 2, 4: wall[i].save(folder/f"{i}.png")
    state.wait()
    assert np.allclose(state.mine.vector, enhancer.learn_style(folder).vector, atol=1e-4)

def test_a_click_is_not_lost_that_the_preview_has_not_seen_yet(state, model):
    for i in 0, 1, 2: state.like(i)
    saved = state.save_style().result() # at once
    assert Style.load(saved).n_photos == 3
    state.wait(); assert differ(enhance(state.before, style=saved, model=model), state.after) < 0.5

def test_many_clicks_make_few_previews_and_each_picture_is_embedded_once(state, monkeypatch):
    made, update = [], state._update
    monkeypatch.setattr(state, "_update", lambda: made.append(1) or update(), raising=False)
    for value in range(1, 40): state.strength = value/40
    state.wait()
    assert 1 <= len(made) < 20 and state.message.endswith("98%")

def test_a_large_photo_turned_by_its_tag_is_shown_small_and_upright(tmp_path):
    exif = Image.Exif(); exif[0x0112] = 6
    picture(3000, 2000).save(tmp_path/"large.jpg", exif=exif)
    assert read_small(tmp_path/"large.jpg", 640).size == (427, 640)

def test_two_pickers_do_not_know_each_other(photo, wall, enhancer):
    first, second = (StylePicker(photo, wall, enhancer) for _ in range(2))
    for one in first, second: one.wait()
    first.like(1); first.strength = 0.5
    assert second.liked == () and second.strength == 1 and second.mine is None

def test_full_size_and_camera_notes_are_kept(photo, wall, enhancer):
    exif = Image.Exif(); exif[0x0112], exif[0x010F] = 6, "Some Camera"
    picture(1500, 1000).save(photo, exif=exif)
    state = StylePicker(photo, wall, enhancer); state.wait()
    with Image.open(state.save_photo().result()) as saved:
        assert saved.size == (1000, 1500) and saved.getexif()[0x010F] == "Some Camera" and saved.getexif()[0x0112] == 1

def test_a_picture_in_memory_goes_into_the_current_folder(wall, enhancer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = StylePicker([picture(50, 40), picture(30, 20)], wall, enhancer); state.wait()
    state.photo = 1; state.wait()
    assert state.save_photo().result() == tmp_path/"pienet_results"/"picture 2_warm-film.png"
    state.enhance_folder().result()
    assert "are no files" in state.message and "cannot name them" in state.command_line()

def test_nothing_is_replaced_and_no_photo_is_touched_by_looking(state, photo, tmp_path):
    before, original = photo.stat(), photo.read_bytes()
    state.like(0); state.strength = 0.3; state.zoomed = True; state.wait()
    assert files(photo.parent) == ["photo.jpg"] and photo.stat().st_mtime_ns == before.st_mtime_ns
    state.choose(style="vivid"); state.out = str(tmp_path/"out"); state.wait()
    names = [save().result().name for save in (state.save_photo, state.save_style, state.export_lut)*2]
    assert names[3:] == [name.replace(".", "-2.") for name in names[:3]]
    assert photo.read_bytes() == original and files(photo.parent) == ["photo.jpg"]
    path = tmp_path/"a.b.jpg"; path.touch(); (tmp_path/"a.b-2.jpg").symlink_to("nowhere")
    assert free_path(path) == tmp_path/"a.b-3.jpg"

# ---- pairs

def simulate(taste, guess, how, seed, n_rounds):
    "The distance of the guess from a taste after each answer of a simulated user."
    rng, distances = torch.Generator().manual_seed(seed), []
    for _ in range(n_rounds):
        a, b = guess.ask() if how == "chosen" else torch.randperm(len(guess.looks), generator=rng)[:2].tolist()
        p = torch.sigmoid(DECIDED*taste @ (guess.looks[a] - guess.looks[b]))
        guess.answer(a, b, float(torch.rand((), generator=rng) < p))
        distances.append(style_distance(guess.vector, taste).item())
    return distances

def test_chosen_pairs_find_a_taste_in_fewer_rounds_than_random_ones():
    "Users whose tastes the space was not made from; every user answers two sequences of 20 with errors."
    rng = torch.Generator().manual_seed(7)
    basis = torch.randn(12, 512, generator=rng)*torch.linspace(2, 0.3, 12)[:, None] # styles differ in few directions
    styles = F.normalize(torch.randn(120, 12, generator=rng) @ basis + torch.randn(512, generator=rng), dim=1)
    known, tastes = styles[:100], styles[100:]
    space, looks = StyleSpace(known), known[varied(known, 24)]
    curves = {how: torch.tensor([simulate(taste, TasteGuess(space, looks), how, seed, 20)
                                 for taste in tastes for seed in range(2)]) for how in ("chosen", "random")}
    goal = curves["random"].mean(0)[-1]
    n_needed = (curves["chosen"].mean(0) <= goal).nonzero()[0].item() + 1
    gain = (curves["random"] - curves["chosen"])[:, -1]
    assert n_needed <= 15, (n_needed, goal)
    assert gain.mean() > 2*gain.std()/len(gain)**0.5, (gain.mean(), gain.std()) # n = 40

# ---- files that come from outside

def test_uploads_are_private_cleaned_limited_and_checked(photo):
    uploads = Uploads(max_files=1, max_bytes=photo.stat().st_size + 10)
    for name in "../../../etc/passwd", "photo", ".jpg", "photo.exe":
        with pytest.raises(PieNetError, match="no photo"): uploads.begin(name)
    uploads.begin("../up/..\\x y\n<b>.JPG"); uploads.add(photo.read_bytes()); uploads.end()
    path, = uploads.photos
    assert path.suffix == ".jpg" and path.read_bytes() == photo.read_bytes() and ".." not in path.name
    assert not set("<>/\\\n ") & set(path.name) and stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700
    with pytest.raises(PieNetError, match="1 photos are uploaded"): uploads.begin("b.jpg")
    uploads._limits = 5, uploads._limits[1]
    uploads.begin("b.jpg")
    with pytest.raises(PieNetError, match="larger than"): uploads.add(b"x"*11)
    assert files(path.parent) == [path.name]

def test_broken_files_are_named_and_the_others_work(photo, wall, enhancer):
    (photo.parent/"cut.jpg").write_bytes(photo.read_bytes()[:700])
    (photo.parent/"text.png").write_text("no picture")
    state = StylePicker(photo.parent, None, enhancer); state.wait()
    assert [path.name for path in state.photos] == ["cut.jpg", "photo.jpg", "text.png"]
    assert "cut.jpg" in state.message and state.before is None and state.after is None
    state.wall = OWN; state.wait()
    assert [state.tiles[i].label for i in state.hung] == ["photo"]
    assert len(state.problems) == 2 and "cut.jpg" in state.problems[0] and "text.png" in state.problems[1]
    state.photo = 1; state.like(0); state.wait()
    assert state.after is not None and YOURS in state.message
    batch = state.enhance_folder().result()
    assert [path.name for path in batch.done] == ["photo.jpg"] and "2 failed" in state.message
    state.photo = 2; state.wait()
    assert state.save_photo().result() is None and "text.png" in state.message and state.before is None

def test_a_folder_that_cannot_be_written_is_a_sentence(state, tmp_path):
    (tmp_path/"file").write_text("in the way")
    state.out = str(tmp_path/"file"/"results")
    for save in state.save_photo, state.save_style, state.export_lut:
        assert save().result() is None and "saved as" not in state.message
    state.enhance_folder().result()
    assert "1 failed" in state.message and "file" in state.problems[-1]

def test_what_cannot_start_is_a_sentence(tmp_path, enhancer, photo):
    assert "no photo in" in picker(tmp_path/"missing", enhancer=enhancer).value
    assert "&lt;b&gt;" in picker(tmp_path/"<b>", enhancer=enhancer).value
    with pytest.raises(PieNetError, match="no photo in"): StylePicker(tmp_path/"missing", enhancer=enhancer)
    shutil.rmtree(photo.parent)
    with pytest.raises(PieNetError): StylePicker(photo.parent, enhancer=enhancer)

def test_without_voila_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", ""); monkeypatch.setitem(sys.modules, "voila.app", None)
    with pytest.raises(PieNetError, match=r"pip install 'pienet_nb\[app\]'"):
        serve_page(tmp_path/"x.ipynb", 8866, False)

# ---- the page's widgets

def test_the_page_shows_the_state(state):
    view = PickerView(state)
    state.like(2); state.wait()
    for name in "before", "after":
        shown = Image.open(io.BytesIO(getattr(view.compare, name)))
        assert shown.format == "JPEG" and differ(shown, getattr(state, name)) < 4
    assert view.compare.before != view.compare.after

def test_in_a_real_kernel(model, photo):
    "What a page would get: widgets that JupyterLab and anywidget know; a click in the kernel reaches the page."
    code = f"""from pienet_nb.enhance import Enhancer
from pienet_nb.picker import picker
view = picker({str(photo.parent)!r}, enhancer=Enhancer.from_pretrained({str(model)!r}))
view.state.wait()
view"""
    cells = [nbformat.v4.new_code_cell(source) for source in (code, "view.state.like(4); view.state.wait()")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    data = notebook.cells[0].outputs[-1]["data"]
    sent = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    top = data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert sent[top]["model_name"] == "VBoxModel"
    assert {state["model_module"] for state in sent.values()} <= {"@jupyter-widgets/base", "@jupyter-widgets/controls",
                                                                  "anywidget"}
    walls = [state["state"] for state in sent.values() if state["state"].get("kind") == "wall"]
    assert len(walls) == 1 and walls[0]["marks"][4] == 1 and sum(walls[0]["marks"]) == 1
    assert not [output for cell in notebook.cells for output in cell.outputs if output.output_type == "error"]

def test_the_picker_is_light():
    code = "import sys, pienet_nb.picker; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ipywidgets" in loaded
    assert not {"fastai", "matplotlib", "sklearn", "skimage", "torchvision", "voila"} & set(loaded)
