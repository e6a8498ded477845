"""What several tests share."""
import os, shutil, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

def git_state():
    "What git says of the checkout; None outside a checkout."
    run = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None

def pytest_configure(config):
    config.git_state = git_state() if os.environ.get("CI") and shutil.which("git") else None

def pytest_collection_modifyitems(items):
    "The test that looks at what all the others left behind runs last."
    items.sort(key=lambda item: item.name == "test_nothing_changed")

@pytest.fixture(scope="session")
def root():
    "The checkout."
    return ROOT

@pytest.fixture(scope="session")
def shared_data():
    "Larger photos and looks beside the checkout; the test is skipped where there are none."
    folder = ROOT.parent/"shared"/"data"
    if not folder.is_dir(): pytest.skip("the larger data set is not beside this checkout (../shared/data)")
    return folder

@pytest.fixture(scope="session")
def tracked():
    "Every file that belongs to the repository."
    list_files = ["git", "ls-files", "-co", "--exclude-standard"]
    run = subprocess.run(list_files, cwd=ROOT, capture_output=True, text=True)
    if run.returncode != 0: pytest.skip("not a git checkout")
    return [path for name in run.stdout.splitlines() if (path := ROOT/name).is_file()]

@pytest.fixture(scope="session")
def in_step(tmp_path_factory):
    "A copy of the notebooks, exported and cleaned: what the checkout should look like."
    copy = tmp_path_factory.mktemp("export")
    for name in "settings.ini", "pyproject.toml": shutil.copy(ROOT/name, copy)
    (copy/"nbs").mkdir()
    for path in (ROOT/"nbs").glob("*.ipynb"): shutil.copy(path, copy/"nbs")
    (copy/"pienet_nb").mkdir()
    shutil.copy(ROOT/"pienet_nb/__init__.py", copy/"pienet_nb")
    for program in "nbdev_export", "nbdev_clean":
        subprocess.run([Path(sys.executable).parent/program], cwd=copy, check=True)
    return copy
