"""The style picker without a browser: the state behind it, its widgets, a real kernel, bad input."""
import io, shutil, subprocess, sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from pienet_nb.core import PieNetError
from pienet_nb.photos import read_photo
from pienet_nb.enhance import Enhancer, enhance
from pienet_nb.picker import YOURS, PickerView, StylePicker, free_path, picker, read_small
from pienet_nb.preference import Style
from pienet_nb.looks import Lut
from tiny_model import model, other_model, photo, picture # noqa: F401 (fixtures)

@pytest.fixture(scope="module")
def enhancer(model): return Enhancer.from_pretrained(model)

@pytest.fixture
def wall(): return [picture(96, 64, seed) for seed in range(6)]

@pytest.fixture
def state(photo, wall, enhancer): return StylePicker(photo.parent, wall, enhancer)

@pytest.fixture
def view(state): return PickerView(state)

def pixels(image): return np.asarray(image.convert("RGB")).astype(int)
def differ(a, b): return np.abs(pixels(a) - pixels(b)).mean()
def files(folder): return sorted(path.name for path in folder.iterdir())

# ---- the state

def test_it_starts_with_the_first_style_and_shows_it(state, enhancer, photo):
    assert state.style == list(enhancer.styles)[0] and state.liked == () and state.strength == 1
    assert differ(state.before, read_photo(photo)) == 0
    assert differ(state.after, enhancer.enhance(photo, state.style)) == 0
    assert state.style in state.message

def test_the_style_of_clicks_is_that_of_the_same_photos_as_files(state, wall, enhancer, tmp_path):
    for i in 4, 0, 2: state.like(i)
    assert state.liked == (0, 2, 4) and state.style == YOURS and state.mine.n_photos == 3
    folder = tmp_path/"liked"; folder.mkdir()
    for i in 0, 2, 4: wall[i].save(folder/f"{i}.png")
    assert np.allclose(state.mine.vector, enhancer.learn_style(folder).vector, atol=1e-4)
    state.unlike(0)
    assert np.allclose(state.mine.vector, enhancer.learn_style([wall[2], wall[4]]).vector, atol=1e-4)
    assert differ(state.after, enhancer.enhance(state.before, state.mine)) == 0

def test_a_later_click_leaves_the_chosen_style_alone(state):
    state.like(0); state.style = "vivid"; state.like(1)
    assert state.style == "vivid"
    state.unlike(0); state.unlike(1)
    assert state.style == "vivid" and state.mine is None and state.message.startswith("vivid")

def test_each_liked_picture_is_embedded_once(state, monkeypatch):
    learnt, learn_style = [], state.enhancer.learn_style
    def counting(photos, **options): return learnt.extend(photos) or learn_style(photos, **options)
    monkeypatch.setattr(state.enhancer, "learn_style", counting)
    for i in 0, 1, 2: state.like(i)
    state.unlike(1); state.like(1); state.strength = 0.5
    assert len(learnt) == 3

def test_strength_and_share_reach_the_preview(state, enhancer):
    state.strength = 0.
    assert differ(state.after, state.before) == 0
    state.strength, state.style, state.second, state.share = 0.5, "vivid", "cool-matte", 0.25
    mixed = Style.blend([enhancer.styles["vivid"], enhancer.styles["cool-matte"]], [3, 1])
    assert np.allclose(state.taste().vector, mixed.vector, atol=1e-6)
    assert differ(state.after, enhancer.enhance(state.before, mixed, 0.5)) == 0
    state.share = 1.
    assert state.taste().name == "cool-matte"

def test_your_style_before_any_click_says_what_to_do(state):
    state.style = YOURS
    assert differ(state.after, state.before) == 0 and "Click at least one" in state.message
    assert state.save_style() is None and "Click at least one" in state.message
    state.style, state.second, state.share = "vivid", YOURS, 0.3
    assert "Click at least one" in state.message
    state.share = 0.
    assert "Click" not in state.message

def test_two_pickers_do_not_know_each_other(photo, wall, enhancer):
    first, second = (StylePicker(photo, wall, enhancer) for _ in range(2))
    first.like(1); first.strength = 0.5
    assert second.liked == () and second.strength == 1 and second.mine is None

def test_a_large_photo_turned_by_its_tag_is_shown_small_and_upright(tmp_path):
    exif = Image.Exif(); exif[0x0112] = 6
    picture(3000, 2000).save(tmp_path/"large.jpg", exif=exif)
    assert read_small(tmp_path/"large.jpg").size == (427, 640)

def test_the_default_wall_shows_each_look_on_the_photos_of_the_folder(tmp_path, enhancer):
    for i in range(9): picture(40, 30, seed=i).save(tmp_path/f"{i}.png")
    state = StylePicker(tmp_path, enhancer=enhancer)
    labels = [label for label, _ in state.wall]
    assert len(labels) == 30 and {labels.count(label) for label in labels} == {3}
    assert {small.size for _, small in state.wall} == {(40, 30)} # no sample photo among them

def test_a_picture_in_memory_goes_into_the_current_folder(wall, enhancer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state = StylePicker([picture(50, 40), picture(30, 20)], wall, enhancer)
    state.photo = 1
    assert str(state.save_photo()) == "picture_2_warm-film.png" and files(tmp_path) == ["picture_2_warm-film.png"]

# ---- what is taken away

def test_everything_is_written_beside_the_photo_and_nothing_is_replaced(state, enhancer, photo):
    original = photo.read_bytes()
    state.style, state.strength = "vivid", 0.7
    written = [act() for act in (state.save_photo, state.save_style, state.export_lut)*2]
    names = ["photo_vivid.jpg", "photo_vivid.safetensors", "photo_vivid.cube"]
    assert [path.name for path in written] == names + [name.replace(".", "-2.") for name in names]
    assert files(photo.parent) == sorted([photo.name, *(path.name for path in written)])
    assert photo.read_bytes() == original
    assert differ(Image.open(written[0]), enhancer.enhance(photo, "vivid", 0.7)) < 3
    saved = Style.load(written[1], enhancer.model.model_id)
    assert np.allclose(saved.vector, enhancer.styles["vivid"].vector, atol=1e-5)
    assert np.allclose(Lut.read(written[2]).table, enhancer.lut(photo, "vivid", strength=0.7).table, atol=1e-4)

def test_a_saved_blend_enhances_like_the_preview(state, model, photo):
    state.like(0); state.second, state.share = "vivid", 0.5
    saved = state.save_style()
    assert saved.name == "photo_50-your-style-50-vivid.safetensors"
    assert differ(enhance(state.before, style=saved, model=model), state.after) < 0.01

def test_full_size_and_camera_notes_are_kept(photo, wall, enhancer):
    exif = Image.Exif(); exif[0x0112], exif[0x010F] = 6, "Some Camera"
    picture(1500, 1000).save(photo, exif=exif)
    with Image.open(StylePicker(photo, wall, enhancer).save_photo()) as saved:
        assert saved.size == (1000, 1500) and saved.getexif()[0x010F] == "Some Camera" and saved.getexif()[0x0112] == 1

def test_free_path(tmp_path):
    path = tmp_path/"a.b.jpg"
    assert free_path(path) == path
    path.touch(); (tmp_path/"a.b-2.jpg").touch()
    assert free_path(path) == tmp_path/"a.b-3.jpg"

# ---- the widgets

def test_controls_and_state_follow_each_other(view):
    chosen = {"style": "vivid", "second": "cool-matte", "share": 0.5, "strength": 0.25}
    for name, value in chosen.items():
        view.controls[name].value = value
        assert getattr(view.state, name) == value
    view.state.style, view.state.strength = "warm-film", 1.
    assert view.controls["style"].value == "warm-film" and view.controls["strength"].value == 1
    assert [label for label, _ in view.controls["photo"].options] == ["1: photo.jpg"]

def test_clicks_on_the_wall(view):
    view.likes[3].value = view.likes[1].value = True
    assert view.state.liked == (1, 3) and view.likes[3].button_style == "success"
    view.likes[1].value = False
    assert view.state.liked == (3,) and view.likes[1].button_style == ""
    view.state.liked = ()
    assert not any(button.value for button in view.likes)

def test_images_show_the_state(view):
    view.likes[2].value = True
    for name in "before", "after":
        shown = Image.open(io.BytesIO(getattr(view, name).value))
        assert shown.format == "JPEG" and differ(shown, getattr(view.state, name)) < 4
    assert view.before.value != view.after.value

def test_buttons_write_and_say_where(view, photo):
    for button in view.buttons.values(): button.click()
    written = [f"photo_warm-film.{kind}" for kind in ("cube", "jpg", "safetensors")]
    assert files(photo.parent) == ["photo.jpg", *written]
    assert "photo_warm-film.cube" in view.status.value

def test_in_a_real_kernel(model, photo):
    "What a page would get: only widgets that JupyterLab knows, a picture in each image."
    code = f"""from pienet_nb.enhance import Enhancer
from pienet_nb.picker import picker
view = picker({str(photo.parent)!r}, enhancer=Enhancer.from_pretrained({str(model)!r}))
view"""
    cells = [nbformat.v4.new_code_cell(source) for source in (code, "view.likes[4].value = True")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    data = notebook.cells[0].outputs[-1]["data"]
    sent = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    top = data["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert sent[top]["model_name"] == "VBoxModel"
    assert {state["model_module"] for state in sent.values()} <= {"@jupyter-widgets/base", "@jupyter-widgets/controls"}
    kinds = [state["model_name"] for state in sent.values()]
    assert kinds.count("ImageModel") == 32 and kinds.count("ToggleButtonModel") == 30
    assert kinds.count("GridBoxModel") == 1
    assert sum(state["state"].get("value") is True for state in sent.values()) == 1 # the click went to the page
    assert not [output for cell in notebook.cells for output in cell.outputs if output.output_type == "error"]

# ---- bad input

def test_what_cannot_start_is_a_sentence(tmp_path, enhancer, photo):
    assert "no photo in" in picker(tmp_path/"missing", enhancer=enhancer).value
    (tmp_path/"broken.jpg").write_bytes(b"half")
    assert "None of the pictures" in picker(photo, wall=[tmp_path/"broken.jpg"], enhancer=enhancer).value
    assert "&lt;b&gt;" in picker(tmp_path/"<b>", enhancer=enhancer).value
    with pytest.raises(PieNetError, match="no photo in"): StylePicker(tmp_path/"missing", enhancer=enhancer)

def test_a_broken_photo_is_named_and_the_others_work(photo, wall, enhancer):
    (photo.parent/"cut.jpg").write_bytes(photo.read_bytes()[:700])
    (photo.parent/"text.png").write_text("no picture")
    view = picker(photo.parent, wall, enhancer)
    assert [path.name for path in view.state.photos] == ["cut.jpg", "photo.jpg", "text.png"]
    assert "cut.jpg" in view.status.value and view.before.value == view.after.value == b""
    view.likes[0].value = True; view.controls["strength"].value = 0.5
    view.controls["photo"].value = 1
    assert view.after.value and "your style" in view.status.value
    view.controls["photo"].value = 2
    assert "text.png" in view.status.value and view.after.value == b""
    for name in "save_photo", "export_lut":
        view.buttons[name].click()
        assert "text.png" in view.status.value
    assert files(photo.parent) == ["cut.jpg", "photo.jpg", "text.png"]

def test_broken_pictures_for_the_wall_are_left_out_and_named(photo, wall, enhancer, tmp_path):
    folder = tmp_path/"wall"; folder.mkdir()
    for i, small in enumerate(wall): small.save(folder/f"{i}.png")
    (folder/"broken.jpg").write_bytes(b"half")
    state = StylePicker(photo, folder, enhancer)
    assert [label for label, _ in state.wall] == [f"{i}.png" for i in range(6)] and "broken.jpg" in state.message
    assert state.after is not None

def test_a_folder_that_cannot_be_written_is_a_sentence(view, photo):
    shutil.rmtree(photo.parent)
    for name in view.buttons:
        view.buttons[name].click()
        assert "photo" in view.status.value and "saved" not in view.status.value, name

def test_no_photo_is_touched_by_looking(view, photo):
    before = photo.stat()
    view.likes[0].value = True; view.controls["strength"].value = 0.3
    assert files(photo.parent) == ["photo.jpg"] and photo.stat().st_mtime_ns == before.st_mtime_ns

def test_the_picker_is_light():
    code = "import sys, pienet_nb.picker; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "ipywidgets" in loaded and not {"fastai", "matplotlib", "sklearn"} & set(loaded)
