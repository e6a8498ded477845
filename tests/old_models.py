"""Small models of the present format, for tests/test_hub.py: `python tests/old_models.py` writes tests/models/.

Run it once when FORMAT_VERSION of 13_enhancer has gone up, and keep the older archives: they must be readable for ever.
The weights are waves, which an archive holds in a few kB; what the networks make of a gradient is written beside them.
"""
import io, json, tarfile, tempfile
from pathlib import Path

import torch

from pienet_nb.core import seed_from
from pienet_nb.embed import StyleEmbedding
from pienet_nb.enhancer import FORMAT_VERSION, PieModel, new_enhancer

MODELS = Path(__file__).parent/"models"
KINDS = { # name → entries of config.json beside the width
    "pub": {}, "colour": {"enhancer": "colour"},
    "levels": {"enhancer": "colour", "levels": True}, "embedded": {"enhancer": "colour", "embedded": True, "rest": 0.5}}

def wave(name, like):
    "Weights of the usual size, from nothing but their name and shape."
    phase = seed_from(name) % 97
    values = torch.sin((torch.arange(like.numel()) + phase) % 97*2.4)
    return values.view(like.shape)*(1.5/like[0].numel())**0.5

def with_waves(network):
    "The network with a wave in each weight; norms stay as they are."
    state = network.state_dict()
    network.load_state_dict(state | {name: wave(name, value) for name, value in state.items() if value.ndim > 1})
    return network.eval().requires_grad_(False)

def gradient(size): return torch.stack(torch.meshgrid(*[torch.linspace(0, 1, size)]*2, indexing="ij"))[[0, 1, 0]][None]

@torch.inference_mode()
def seen(model):
    "Numbers that every later version must find as well."
    photo = gradient(model.image_size)
    change = model.enhancer(photo, model.vectors["wave"][None])
    return {"embed": model.embed(photo)[0, :8].tolist(), "change": change[0, :, 8::24, 8::24].flatten().tolist()}

def make(kind):
    "The model of one kind."
    config = {"width": 8, "image_size": 64, "built_in": ["wave"]} | KINDS[kind]
    vector = torch.nn.functional.normalize(torch.sin(torch.arange(512)*0.7), dim=0)
    return PieModel(config, with_waves(StyleEmbedding()), with_waves(new_enhancer(config)), {"wave": vector})

def write():
    "All kinds and what they see, in one archive."
    MODELS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            at = Path(folder)/kind
            make(kind).save(at)
            (at/"seen.json").write_text(json.dumps(seen(PieModel.load(at))))
        with tarfile.open(MODELS/f"format_{FORMAT_VERSION}.tar.xz", "w:xz", preset=9) as archive:
            for path in sorted(Path(folder).rglob("*.*")):
                info = tarfile.TarInfo(path.relative_to(folder).as_posix()); info.size = path.stat().st_size
                archive.addfile(info, io.BytesIO(path.read_bytes()))

if __name__ == "__main__": write()
