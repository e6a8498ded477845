"""Training by two processes: what one computes, one of them killed, shards read by both."""
import json, os, signal, subprocess, sys, time
from pathlib import Path

import psutil
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent)) # a fresh process starts this file by itself
from bench_processes import launch_command, losses
from pienet_nb.data import degrade, sample_pieces
from pienet_nb.core import PieNetError, to_image, to_tensor
from pienet_nb.episodes import pienet_train
from pienet_nb.learner import load_state
from pienet_nb.looks import built_in_looks
from pienet_nb.photos import read_photo
from pienet_nb.scale.processes import photos_of_shards, processes, write_shards

pytestmark = pytest.mark.slow

LIMIT = 400 # seconds for each launch, on a busy machine
RUN = {"config": "paper-tiny", "share": 0.002} # 1 and 2 epochs of one step
STEPS = 3

def child(pairs, shards, *outs):
    "What each of the processes does in the second launch: the run that was killed, one that was not, and small things."
    with processes(full_precision=True) as state:
        for out in outs: pienet_train(pairs=pairs, out=out, **RUN)
        squares = photos_of_shards(shards, 24)
        found = {"photos": {photo_id: to_tensor(square).sum().item() for photo_id, square in squares.items()},
                 "losses": [losses(stage, STEPS, double=True) for stage in (1, 2)]}
    Path(f"{outs[0]}-{state.process_index}.json").write_text(json.dumps(found))

def write_pairs(folder):
    "A paired folder with two styles of small pieces."
    pieces = sample_pieces(72)
    finished = to_tensor(list(pieces.values()))
    images_of = {name: built_in_looks()[name](finished) for name in ("moody-dark", "vivid")}
    for name, images in ({"source": degrade(finished, list(pieces))} | images_of).items():
        (folder/name).mkdir(parents=True)
        for photo_id, image in zip(pieces, images): to_image(image).save(folder/name/f"{photo_id}.png")

def start(*words):
    "A launcher with two processes that train."
    return subprocess.Popen(launch_command(2, *map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True)

def wait_for(path, launcher):
    "Until a file is there; the launcher must be at work."
    end = time.monotonic() + LIMIT
    while not path.exists():
        assert launcher.poll() is None, launcher.stderr.read()
        assert time.monotonic() < end, f"{path.name} did not come"
        time.sleep(0.02)

def trainers(launcher):
    "The processes that train, by their numbers."
    children = psutil.Process(launcher.pid).children(recursive=True)
    return {int(process.environ()["RANK"]): process for process in children if "RANK" in process.environ()}

def kill_one(folder, pairs):
    "Start the command, and kill the second process after the first epoch of the second stage."
    options = [f"--{name}={value}" for name, value in RUN.items()]
    launcher = start("-m", "pienet_nb.scale.processes", "--pairs", pairs, "--out", folder, "--full_precision",
                     *options)
    try:
        wait_for(folder/"enhancer.csv", launcher)
        started = trainers(launcher)
        os.kill(started[1].pid, signal.SIGKILL)
        launcher.communicate(timeout=LIMIT)
    finally: end_all(launcher)
    assert launcher.returncode != 0
    assert not [process for process in started.values() if process.is_running()], "a process without its launcher"

def end_all(launcher):
    "Nothing goes on after a test, however it ended."
    if launcher.poll() is not None: return
    for process in [*trainers(launcher).values(), launcher]: process.kill()
    launcher.wait()

@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    "A run that was killed and went on, one that was not killed, and what each of two processes found."
    folder = tmp_path_factory.mktemp("processes")
    write_pairs(folder/"pairs")
    write_shards(folder/"pairs"/"vivid", folder/"shards", per_shard=8)
    kill_one(folder/"killed", folder/"pairs")
    before = (folder/"killed"/"enhancer.csv").read_text()
    launcher = start(__file__, folder/"pairs", folder/"shards", folder/"killed", folder/"whole")
    try: _, errors = launcher.communicate(timeout=LIMIT)
    finally: end_all(launcher)
    assert launcher.returncode == 0, errors
    return folder, before, [json.loads((folder/f"killed-{rank}.json").read_text()) for rank in (0, 1)]

def equal(a, b):
    "To the last bit, whatever is inside what."
    if isinstance(a, torch.Tensor): return torch.equal(a, b)
    if isinstance(a, dict): return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a if k != "seconds")
    return len(a) == len(b) and all(map(equal, a, b)) if isinstance(a, (list, tuple)) else a == b

def test_killed_run_ends_like_one_that_was_not(runs):
    folder, before, _ = runs
    assert len(before.splitlines()) == 2                                                # a heading and the first epoch
    after = (folder/"killed"/"enhancer.csv").read_text()
    assert after.startswith(before) and len(after.splitlines()) == 3                    # it went on, seconds and all
    for name in "embed.pt", "enhancer.pt", "enhancer.best.pt":
        states = [load_state(folder/run/name) for run in ("killed", "whole")]
        assert equal(*states), name
    models = [(folder/run/"model"/"enhancer.safetensors").read_bytes() for run in ("killed", "whole")]
    assert models[0] == models[1]

def test_two_processes_compute_what_one_does(runs):
    alone = [losses(stage, STEPS, double=True) for stage in (1, 2)]
    for found in runs[2]:
        for together, one in zip(found["losses"], alone, strict=True):
            assert len(one["losses"]) == STEPS and len(set(one["losses"])) == STEPS
            assert together["losses"] == pytest.approx(one["losses"], rel=1e-7)
            assert together["valid"] == pytest.approx(one["valid"], rel=1e-6)

def test_shards_are_the_folder_in_both_processes(runs):
    folder, _, found = runs
    files = sorted((folder/"pairs"/"vivid").glob("*.png"))
    expected = {path.stem: to_tensor(read_photo(path, 24)).sum().item() for path in files}
    assert len(list((folder/"shards").glob("*.tar"))) == 5
    for process in found: assert process["photos"] == expected and list(process["photos"]) == list(expected)

def test_launcher_that_starts_one_process_is_refused(monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(PieNetError, match="--multi_gpu"):
        with processes(): pass

if __name__ == "__main__": child(*sys.argv[1:])
