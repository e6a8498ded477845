"""The README's commands do what it says, line by line."""
import re, shlex, shutil, subprocess, sys
from pathlib import Path

import pytest

from pienet_nb.photos import photo_files, read_photo, sample_photos

ROOT = Path(__file__).resolve().parent.parent

def command_lines():
    "The lines below the heading Commands."
    part = (ROOT/"README.md").read_text(encoding="utf-8").split("\n## Commands\n")[1]
    return re.search(r"```sh\n(.*?)```", part, re.DOTALL)[1].splitlines()

@pytest.fixture
def folder(tmp_path):
    "What the README supposes: a photo, a holiday, favourites."
    from pienet_nb.enhance import write_preferred
    shutil.copy(sample_photos()[0], tmp_path/"photo.jpg")
    write_preferred(tmp_path/"favourites", without=sample_photos()[0])
    (tmp_path/"holiday").mkdir()
    for path in sample_photos()[1:3]: read_photo(path, size=200).save(tmp_path/"holiday"/f"{path.stem}.jpg")
    return tmp_path

def test_commands_of_the_readme_run_in_order(folder):
    lines = [shlex.split(line, comments=True) for line in command_lines()]
    assert {words[0] for words in lines} == {"pienet_styles", "pienet_enhance", "pienet_learn_style", "pienet_export_lut"}
    for program, *arguments in lines:
        run = subprocess.run([Path(sys.executable).parent/program, *arguments], cwd=folder, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, (program, arguments, run.stderr)
    for name in "done", "softly": assert len(photo_files(folder/name)) == 2
    for name in "styles.jpg", "mine.safetensors", "mine.cube": assert (folder/name).stat().st_size > 1000
    assert len(list(folder.glob("photo_*.jpg"))) == 1
