"""The README's commands do what it says, line by line."""
import re, shlex, shutil, sys
from pathlib import Path

import pytest

from pienet_nb.photos import photo_files, read_photo, sample_photos

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent

def command_lines(heading):
    "The commands in the first block below a heading."
    part = (ROOT/"README.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    block = re.search(r"```sh\n(.*?)```", part, re.DOTALL)[1]
    return [shlex.split(line, comments=True) for line in block.splitlines()]

@pytest.fixture
def run(torch_forks, tmp_path):
    "Run a command in the test's folder."
    def _run(words):
        program, *arguments = words
        done = torch_forks.run(Path(sys.executable).parent/program, *arguments, cwd=tmp_path)
        assert done.returncode == 0, (words, done.stderr)
    return _run

def test_three_commands_work_after_the_demo(run, tmp_path):
    run(["pienet_demo"])
    lines = command_lines("Three commands")
    assert len(lines) == 3
    for words in lines: run(words)
    assert (tmp_path/"pienet_demo/photo_soft-pastel.jpg").stat().st_size > 1000
    assert [path.name for path in (tmp_path/"done").iterdir()] == ["photo_evening.jpg"]

@pytest.fixture
def folder(tmp_path):
    "What the list of commands supposes: a photo, a holiday, favourites."
    from pienet_nb.enhance import write_preferred
    shutil.copy(sample_photos()[0], tmp_path/"photo.jpg")
    write_preferred(tmp_path/"favourites", without=sample_photos()[0])
    (tmp_path/"holiday").mkdir()
    for path in sample_photos()[1:3]: read_photo(path, size=200).save(tmp_path/"holiday"/f"{path.stem}.jpg")
    return tmp_path

def test_all_commands_run_in_order(run, folder):
    lines = command_lines("All commands")
    commands = {words[0] for words in lines}
    assert commands == {"pienet_styles", "pienet_enhance", "pienet_learn_style", "pienet_export_lut"}
    for words in lines: run(words)
    for name in "done", "softly": assert len(photo_files(folder/name)) == 2
    for name in "styles.jpg", "mine.safetensors", "mine.cube": assert (folder/name).stat().st_size > 1000
    assert len(list(folder.glob("photo_*.jpg"))) == 1

def test_activation_is_said_before_the_first_command():
    text = (ROOT/"README.md").read_text(encoding="utf-8")
    steps = "make demo  ", "source .venv/bin/activate", "pienet_enhance pienet_demo/photo.jpg"
    demo, activation, command = map(text.index, steps)
    assert demo < activation < command
