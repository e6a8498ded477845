"""The paper's benchmarks as programs: FiveK's experts from a paired folder, and a run that is killed and goes on."""
import json, signal, time

import pytest

from pienet_nb.data import sample_pieces
from pienet_nb.research.benchmarks import pienet_evaluate
from pienet_nb.looks import built_in_looks
from pienet_nb.episodes import pienet_train
from pienet_nb.fivek import EXPERTS
from tiny_model import run  # noqa: F401 (fixture)

pytestmark = pytest.mark.slow

@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    "A paired folder like FiveK's: 35 small sources, and five experts' versions of each."
    root = tmp_path_factory.mktemp("fivek")
    people = dict(zip(EXPERTS, built_in_looks().values()))
    for name in "source", *people: (root/name).mkdir()
    for photo_id, piece in sample_pieces(side=60).items():
        piece.save(root/"source"/f"{photo_id}.png")
        for name, look in people.items(): look(piece).save(root/name/f"{photo_id}.png")
    return root

@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    "A model that has seen the twenty known users for a few steps, real experts among them."
    out = tmp_path_factory.mktemp("run")
    pienet_train(out=str(out), config="paper-tiny", pairs=str(pairs), users=True, share=0.004)
    return out/"model"

def test_training_meets_experts_a_to_d_only(trained):
    config = json.loads((trained/"config.json").read_text())
    assert len(config["training"]["styles"]) == 20
    assert set(EXPERTS[:-1]) <= set(config["training"]["styles"]) and "expert_e" not in config["training"]["styles"]
    assert len(config["training"]["held_out_looks"]) == 8

def arguments(pairs, trained, out):
    small = ["--n_preferred", "4", "--n_draws", "1", "--n_queries", "1"]
    return ["--benchmark", "users", "--model", str(trained), "--pairs", str(pairs), "--out", str(out), *small]

def test_real_experts_and_their_tables(run, pairs, trained, tmp_path):
    options = *arguments(pairs, trained, tmp_path/"users.json"), "--csv", tmp_path/"users.csv"
    code, out, err = run(pienet_evaluate, *options)
    assert (code, err) == (0, "")
    results = json.loads((tmp_path/"users.json").read_text())
    assert results["experts"] == "real" and len(results["per_user"]) == 28
    assert "| ours | expert C, dB" in out and "simulated" not in out
    assert "unseen users" in (tmp_path/"users.csv").read_text() and str(tmp_path) not in json.dumps(results)

def test_killed_run_goes_on_and_ends_the_same(pairs, trained, tmp_path, training_forks, root):
    program = tmp_path/"program.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(root)!r})\n"
                       "from pienet_nb.research.benchmarks import pienet_evaluate\npienet_evaluate()\n")
    def start(out): return training_forks.start(program, *arguments(pairs, trained, out))
    part, killed = tmp_path/"killed.json.part", start(tmp_path/"killed.json")
    while killed.poll() is None and not (part.exists() and part.read_text().count("\n") >= 4): time.sleep(0.05)
    killed.send_signal(signal.SIGKILL); killed.wait()
    assert not (tmp_path/"killed.json").exists() and part.exists()
    for name in "killed.json", "whole.json": assert start(tmp_path/name).wait() == 0
    parts, whole = (json.loads((tmp_path/name).read_text()) for name in ("killed.json", "whole.json"))
    assert parts["per_user"] == whole["per_user"] and not part.exists()
