"""Training as the paper sizes it: one step of each stage, and the memory that it needs."""
import sys
from pathlib import Path

import pytest
import torch
from fastai.callback.core import Callback

from pienet_nb.core import sample_photos
from pienet_nb.data import PairBatches, StyledPhotos, TripletBatches, styled_dls
from pienet_nb.embed import StyleEmbedding
from pienet_nb.enhancer import PieNet
from pienet_nb.styles import built_in_looks
from pienet_nb.training import CONFIGS, StyleVectors, pie_learner
from pienet_nb.triplet import embed_learner, fit

sys.path.insert(0, str(Path(__file__).parent)) # a fresh process imports this file by itself
from peak_memory import in_process  # noqa: E402

MEMORY = 12_000 # MB

# --- one step at paper size

class Moves(Callback):
    "Which parameters a step changed."
    run_valid = False
    def before_step(self): self.before = [p.detach().clone() for p in self.model.parameters()]
    def after_step(self):
        self.still = [name for (name, p), old in zip(self.model.named_parameters(), self.before) if torch.equal(p, old)]

def some_photos(size):
    "The sample photos in three looks."
    looks = dict(list(built_in_looks().items())[:3])
    return StyledPhotos.from_looks(sample_photos(), [p.stem for p in sample_photos()], looks, size)

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
    dls = styled_dls(TripletBatches(photos, config.triplet_bs, 1, size), TripletBatches(photos, 2, 1, size, seed=0))
    take_one_step(embed_learner(dls, StyleEmbedding(), config.margin))

def stage_2_step(name):
    "A step of the enhancer; its last convolution is as if some steps had been made, or nothing before it would move."
    config = CONFIGS[name]
    photos, size = some_photos(config.image_size), config.image_size
    vectors = StyleVectors(torch.nn.functional.normalize(torch.randn(3, 512), dim=1))
    batches = [PairBatches(photos, bs, 1, size, vectors=vectors) for bs in (config.bs, 1)]
    pienet, embed = PieNet(config.width, config.encoder), StyleEmbedding()
    torch.nn.init.normal_(pienet.pubs[-1].mix.weight, std=0.01)
    before = {key: value.clone() for key, value in embed.state_dict().items()}
    learn = pie_learner(styled_dls(*batches), pienet, embed, config.w_perceptual, config.w_tv, config.vector_noise)
    take_one_step(learn)
    assert all(torch.equal(value, before[key]) for key, value in embed.state_dict().items()), "the embedding is frozen"

@pytest.mark.parametrize("step", ["stage_1_step('paper')", "stage_2_step('paper')", "stage_2_step('paper-512')"])
def test_one_step_at_paper_size(step):
    _, peak = in_process(f"import sys; sys.path.insert(0, 'tests')\nfrom test_training import *\ntorch.manual_seed(0); {step}")
    assert peak < MEMORY
