"""Training: a step of each stage at the paper's size, runs that are stopped and go on, and what they write down."""
import csv, signal, sys, time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from fastai.callback.core import Callback

from pienet_nb.photos import sample_photos
from pienet_nb.data import PairBatches, StyledPhotos, TripletBatches, sample_pieces, styled_dls
from pienet_nb.embed import StyleEmbedding
from pienet_nb.enhancer import PieNet
from pienet_nb.looks import built_in_looks
from pienet_nb.training import CONFIGS, StyleVectors, pie_learner
from pienet_nb.learner import TensorBoardLog, fit, load_state
from pienet_nb.triplet import embed_learner
from pienet_nb.colour import ColourNet
from pienet_nb.open_world import OpenWorld
from pienet_nb.episodes import EpisodeBatches, episode_learner

sys.path.insert(0, str(Path(__file__).parent)) # a fresh process imports this file by itself
from peak_memory import in_process

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
MEMORY = 12_000 # MB

# --- one step at paper size

class Moves(Callback):
    "Which parameters a step changed."
    run_valid = False
    def before_step(self): self.before = [p.detach().clone() for p in self.model.parameters()]
    def after_step(self):
        self.still = [name for (name, p), old in zip(self.model.named_parameters(), self.before) if torch.equal(p, old)]

def some_photos(size, on_demand=False):
    "The sample photos in three looks."
    looks, ids = dict(list(built_in_looks().items())[:3]), [p.stem for p in sample_photos()]
    return StyledPhotos.from_looks(sample_photos(), ids, looks, size, on_demand=on_demand)

def take_one_step(learn):
    "One optimisation step, and whether all is as it should be after it."
    moves = Moves()
    with learn.no_bar(), learn.no_logging(), learn.added_cbs(moves): fit(learn, 1, 1e-4, one_cycle=False)
    losses = torch.tensor([*map(float, learn.recorder.losses), *learn.recorder.values[-1]])
    assert len(learn.recorder.losses) == 1 and losses.isfinite().all(), losses
    assert moves.still == [], moves.still
    assert all(p.isfinite().all() for p in learn.model.parameters())

def stage_1_step(name):
    "A step of the embedding network with the batch and size of a configuration."
    config = CONFIGS[name]
    photos, size = some_photos(config.image_size), config.image_size
    dls = styled_dls(TripletBatches(photos, config.triplet.bs, 1, size), TripletBatches(photos, 2, 1, size, seed=0))
    take_one_step(embed_learner(dls, StyleEmbedding(), config.triplet.margin))

def stage_2_step(name):
    "A step of the enhancer; its last convolution is as if some steps had been made, or nothing before it would move."
    config = CONFIGS[name]
    photos, size, stage = some_photos(config.image_size), config.image_size, config.enhancer
    vectors = StyleVectors(torch.nn.functional.normalize(torch.randn(3, 512), dim=1))
    batches = [PairBatches(photos, bs, 1, size, vectors=vectors) for bs in (stage.bs, 1)]
    pienet, embed = PieNet(stage.width, stage.encoder), StyleEmbedding()
    torch.nn.init.normal_(pienet.pubs[-1].mix.weight, std=0.01)
    before = {key: value.clone() for key, value in embed.state_dict().items()}
    learn = pie_learner(styled_dls(*batches), pienet, embed, stage.w_perceptual, stage.w_tv, stage.vector_noise)
    take_one_step(learn)
    assert all(torch.equal(value, before[key]) for key, value in embed.state_dict().items()), "the embedding is frozen"

@pytest.mark.parametrize("step", ["stage_1_step('paper')", "stage_2_step('paper')", "stage_2_step('paper-512')"])
def test_one_step_at_paper_size(step, training_forks):
    start = "import sys; sys.path.insert(0, 'tests')\nfrom test_training import *\ntorch.manual_seed(0); "
    _, peak = in_process(start + step, forks=training_forks)
    assert peak < MEMORY

# --- runs that are stopped and go on: everything is compared bit by bit

class StopAt(Callback):
    "The user's interruption inside an epoch."
    order, run_valid = 70, False
    def __init__(self, epoch, batch, event):
        self.stop = epoch, batch
        setattr(self, event, self._stop)
    def _stop(self):
        if (self.epoch, self.iter) == self.stop: raise KeyboardInterrupt

def small_stage_1(path, cbs=()):
    torch.manual_seed(1)
    batches = [TripletBatches(PHOTOS, 6, n, 32, seed) for n, seed in ((4, 42), (2, 0))]
    return embed_learner(styled_dls(*batches), StyleEmbedding(), wd=0.01, checkpoint=path, cbs=cbs)

def small_stage_2(path, cbs=()):
    torch.manual_seed(1)
    vectors = StyleVectors(torch.nn.functional.normalize(torch.randn(3, 512), dim=1),
                           torch.nn.functional.normalize(torch.randn(3, len(PHOTOS), 512), dim=2), photo_vectors=0.5)
    batches = [PairBatches(PHOTOS, 4, n, 32, seed, vectors=vectors) for n, seed in ((4, 42), (2, 0))]
    return pie_learner(styled_dls(*batches), PieNet(8), StyleEmbedding(), wd=0.01, checkpoint=path, cbs=cbs)

def small_episodes(path, cbs=()):
    torch.manual_seed(1)
    batches = [EpisodeBatches(OpenWorld(ON_DEMAND), 2, 3, 2, n, 32, seed=seed) for n, seed in ((4, 42), (2, 0))]
    networks = StyleEmbedding(), ColourNet(8, 2, 16)
    return episode_learner(styled_dls(*batches), *networks, wd=0.01, checkpoint=path, cbs=cbs)

PHOTOS, ON_DEMAND = some_photos(36), some_photos(36, on_demand=True)

def same(a, b):
    "Equal to the last bit, whatever is inside what."
    if isinstance(a, torch.Tensor): return torch.equal(a, b)
    if isinstance(a, dict): return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a if k != "seconds")
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    return a == b

def rows(path):
    "A table without its seconds."
    with open(path, newline="") as file: table = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table]

@pytest.mark.parametrize("one_cycle", [True, False])
@pytest.mark.parametrize("make", [small_stage_1, small_stage_2, small_episodes])
def test_interrupted_run_ends_the_same(make, one_cycle, tmp_path):
    def run(name, *cbs):
        learn = make(tmp_path/name)
        with learn.no_bar(), learn.no_logging(), learn.added_cbs(cbs): fit(learn, 5, 1e-3, one_cycle)
        return learn
    whole = run("whole.pt")
    for stop in StopAt(0, 2, "after_pred"), StopAt(1, 1, "after_backward"), StopAt(3, 3, "after_step"):
        with suppress(KeyboardInterrupt): run("parts.pt", stop)
        torch.manual_seed(99); torch.rand(1000)
    assert [row["epoch"] for row in load_state(tmp_path/"parts.pt")["history"]] == [0, 1, 2]
    parts = run("parts.pt")
    assert same(whole.model.state_dict(), parts.model.state_dict())
    assert same(load_state(tmp_path/"whole.pt"), load_state(tmp_path/"parts.pt")) # optimiser, history, random state
    assert rows(tmp_path/"whole.csv") == rows(tmp_path/"parts.csv")
    assert [int(row["epoch"]) for row in rows(tmp_path/"parts.csv")] == [0, 1, 2, 3, 4]
    best = [load_state(tmp_path/f"{run}.best.pt") for run in ("whole", "parts") if make is not small_stage_1]
    assert same(best[:1], best[1:])

def write_pairs(folder):
    "A paired folder of 35 pieces of photos in two styles."
    for style, scale in ("source", 255), ("dark", 150), ("light", 330):
        (folder/style).mkdir(parents=True)
        for photo_id, piece in sample_pieces(side=120).items():
            piece.point([min(255, v*scale//255) for v in range(256)]*3).save(folder/style/f"{photo_id}.png")
    return folder

@pytest.fixture
def start_training(tmp_path, training_forks):
    "Begins the command in a process of its own, from its own folder."
    pairs, program = write_pairs(tmp_path/"pairs"), tmp_path/"program.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                       "from pienet_nb.episodes import pienet_train\nif __name__ == '__main__': pienet_train()\n")
    def _start(out, *options):
        options = "--pairs", pairs, "--out", tmp_path/out, "--share", "0.0015", *options
        return training_forks.start(program, *options, cwd=pairs)
    return _start

def kill_after(process, path, n_rows):
    "Kill the process as soon as the table has so many rows."
    deadline = time.monotonic() + 300
    while not path.exists() or len(rows(path)) < n_rows:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

def test_killed_command_ends_the_same(start_training, tmp_path):
    said, err = start_training("whole").communicate()
    assert "model " in said, err
    kill_after(start_training("parts"), tmp_path/"parts/embed.csv", 2)
    kill_after(start_training("parts"), tmp_path/"parts/enhancer.csv", 3)
    again = start_training("parts").communicate()[0]
    assert again.splitlines()[-1].split()[:2] == said.splitlines()[-1].split()[:2], again # the same model id
    for stage in "embed", "enhancer":
        assert rows(tmp_path/f"whole/{stage}.csv") == rows(tmp_path/f"parts/{stage}.csv")
        states = [load_state(tmp_path/run/f"{stage}.pt") for run in ("whole", "parts")]
        assert same(*states)
    process = start_training("parts", "--seed", "7")
    assert "began with other settings (seed)" in process.communicate()[1] and process.returncode == 2

# --- TensorBoard

@pytest.mark.parametrize("make", [small_stage_1, small_stage_2])
def test_tensorboard_shows_each_epoch_once(make, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    def run(*cbs):
        learn = make(tmp_path/"run.pt", [TensorBoardLog(tmp_path/"events"), *cbs])
        with learn.no_bar(), learn.no_logging(): fit(learn, 4, 1e-3)
    with suppress(KeyboardInterrupt): run(StopAt(2, 1, "after_pred"))
    time.sleep(1.1) # the name of an event file has the second in it
    run()
    events = EventAccumulator(str(tmp_path/"events")); events.Reload()
    with open(tmp_path/"run.csv", newline="") as file: table = list(csv.DictReader(file))
    assert sorted(events.Tags()["scalars"]) == sorted(table[0].keys() - {"epoch"})
    for name in events.Tags()["scalars"]:
        points = events.Scalars(name)
        assert [p.step for p in points] == [0, 1, 2, 3], name
        assert [p.value for p in points] == pytest.approx([float(row[name]) for row in table], rel=1e-6), name
