"""What several tests share, and how they are dealt out to the workers of `pytest -n`."""
import os, shutil, subprocess, sys
from pathlib import Path

THREADS = "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"
for name in THREADS: os.environ.setdefault(name, "1") # a worker has a core

import pytest # noqa: E402, torch reads the variables at its import

from forks import Forks # noqa: E402, its processes have the variables too

ROOT = Path(__file__).resolve().parent.parent

def git_state():
    "What git says of the checkout; None outside a checkout."
    run = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None

def pytest_configure(config):
    "Remember the checkout where CI is set: elsewhere someone may be editing."
    watch = os.environ.get("CI") and shutil.which("git") and not hasattr(config, "workerinput")
    config.git_state = git_state() if watch else None

def pytest_sessionfinish(session):
    "No test may change the checkout."
    before = getattr(session.config, "git_state", None)
    if before is not None and git_state() != before:
        print(f"\nThe tests changed the checkout:\n{git_state()}", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

def pytest_collection_modifyitems(items):
    "The long ones begin."
    items.sort(key=lambda item: not item.get_closest_marker("slow"))

@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    "A file's tests share what they made and stay on one worker, but each notebook goes alone."
    from xdist.scheduler import LoadScopeScheduling
    class FilesAndNotebooks(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file, _, _ = nodeid.partition("::")
            return nodeid if file.endswith("test_notebooks.py") else file
    return FilesAndNotebooks(config, log)

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
    for folder in "pienet_nb", "pienet_nb/research", "pienet_nb/scale":
        (copy/folder).mkdir()
        shutil.copy(ROOT/folder/"__init__.py", copy/folder)
    for program in "nbdev_export", "nbdev_clean":
        subprocess.run([Path(sys.executable).parent/program], cwd=copy, check=True)
    return copy

@pytest.fixture(scope="session")
def torch_forks():
    "Python programs in processes that have torch already."
    forks = Forks("torch")
    yield forks
    forks.close()

@pytest.fixture(scope="session")
def training_forks():
    "Python programs in processes that have what training and figures need already."
    forks = Forks("torch", "torchvision.models", "fastai.learner", "matplotlib.pyplot", "nbdev.test")
    yield forks
    forks.close()
