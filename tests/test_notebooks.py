"""Every notebook runs from top to bottom: `nbdev_test`, some notebooks at a time, one test each."""
import os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
AT_ONCE = min(4, os.cpu_count() or 1)

def nbdev_test(notebook):
    "Run one notebook on one thread, so that several share the machine."
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    command = [Path(sys.executable).parent/"nbdev_test", "--path", notebook, "--n_workers", "0", "--do_print"]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **threads}, timeout=900, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

@pytest.fixture(scope="module")
def runs(request):
    "The selected notebooks, all started; each test waits for its own."
    wanted = [item.callspec.params["notebook"] for item in request.session.items
              if getattr(item, "originalname", "") == "test_notebook_runs"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {notebook: pool.submit(nbdev_test, notebook) for notebook in wanted}

@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook, runs):
    run = runs[notebook].result()
    assert run.returncode == 0 and "Success." in run.stdout, run.stdout
