"""Every notebook runs from top to bottom, one test each: `nbdev_test`."""
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
# More than eight seconds on one core: they train, enhance many photos, or draw many pictures.
LONG = {"02_looks", "03_classical", "10_embed", "12_triplet", "13_enhancer", "15_training", "16_preference",
        "17_fullres", "20_colour", "22_episodes", "23_enhance", "25_commands", "28_picker_state", "29_picker",
        "31_evaluation", "32_paper",
        "33_ablations", "34_unseen", "35_tsne", "36_vectors", "37_real_people", "38_style_space",
        "39_benchmarks", "index"}

def case(notebook):
    marks = [pytest.mark.slow] if notebook.stem in LONG else []
    return pytest.param(notebook, id=notebook.stem, marks=marks)

@pytest.mark.parametrize("notebook", [case(path) for path in NOTEBOOKS])
def test_notebook_runs(notebook, training_forks):
    program = Path(sys.executable).parent/"nbdev_test"
    run = training_forks.run(program, "--path", notebook, "--n_workers", "0", "--do_print", timeout=900)
    assert run.returncode == 0 and "Success." in run.stdout, run.stdout + run.stderr
