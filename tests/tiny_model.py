"""A small model with random weights and a way to run commands: what the tests of commands share."""
import numpy as np
import pytest
import torch
from fastcore.script import anno_parser
from PIL import Image
from torch.nn import functional as F

from pienet_nb.embed import StyleEmbedding
from pienet_nb.enhancer import PieModel, PieNet

def random_model(seed=0, n_styles=3):
    "Random weights; its ΔI is not zero, and differs between styles."
    torch.manual_seed(seed)
    enhancer = PieNet(8)
    torch.nn.init.normal_(enhancer.pubs[-1].mix.weight, std=0.05)
    names = ["warm-film", "cool-matte", "vivid"][:n_styles]
    vectors = {name: F.normalize(torch.randn(512), dim=0) for name in names + ["only in training"]}
    return PieModel({"width": 8, "image_size": 64, "built_in": names}, StyleEmbedding(), enhancer, vectors)

@pytest.fixture(scope="session")
def model(tmp_path_factory):
    "The folder of a small model."
    folder = tmp_path_factory.mktemp("model")
    random_model().save(folder)
    return folder

@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    "The folder of another one."
    folder = tmp_path_factory.mktemp("other")
    random_model(seed=1).save(folder)
    return folder

@pytest.fixture
def run(capsys):
    "Run a command with arguments as typed; gives exit code, output and error output."
    def _run(command, *argv):
        code = 0
        try:
            args = vars(anno_parser(command, prog=command.__name__).parse_args([str(a) for a in argv]))
            command(**{name: value for name, value in args.items() if name not in ("pdb", "xtra")})
        except SystemExit as end: code = end.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err
    return _run

def picture(width=60, height=40, seed=0):
    "A colourful picture: smooth ramps and a little noise."
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(seed).integers(0, 20, (height, width, 3))
    ramps = np.stack([x*200//width, y*200//height, (x + y)*200//(width + height)], -1)
    return Image.fromarray((ramps + noise).astype(np.uint8))

@pytest.fixture
def photo(tmp_path):
    "An ordinary JPEG in an otherwise empty folder."
    path = tmp_path/"photos"/"photo.jpg"
    path.parent.mkdir()
    picture().save(path, quality=95)
    return path
