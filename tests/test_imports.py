"""Every module works on its own in a fresh process, and the photographer's path stays light."""
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT/"pienet_nb"
PATHS = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.stem[0] != "_"]
MODULES = sorted(".".join(path.with_suffix("").parts) for path in PATHS)
INFERENCE = ["core", "photos", "looks", "presets", "embed", "enhancer", "preference", "fullres", "metadata", "writing",
             "colour", "enhance", "folder", "commands", "pairs", "explain", "picker_state", "picker", "scale.runtime"]
TRAINING_ONLY = ["fastai", "matplotlib", "sklearn", "skimage", "torchvision"]

# Something small that each module can do; a name that its exported cells forgot fails here and not for a user.
CALLS = {
    "core": "assert abs(lightness(torch.tensor(0.18419)) - 0.5) < 1e-4",
    "photos": "assert read_photo(sample_photos()[0], size=16).size == (16, 16)",
    "looks": "assert len(built_in_looks()) == 10; assert Lut.identity(5)(torch.rand(1, 3, 4, 6)).shape == (1, 3, 4, 6)",
    "classical": "assert len(classical_looks()) == 8; assert LDR()(torch.rand(1, 3, 8, 9)).shape == (1, 3, 8, 9)",
    "people": "assert list(simulated_retouchers(1)) == ['retoucher-00'] and len(random_presets(3)) == 3",
    "presets": "assert DevelopPreset({})(torch.rand(1, 3, 4, 6)).shape == (1, 3, 4, 6)",
    "data": "train, test = split_ids([str(i) for i in range(99)]); "
            "assert train and test and len(train) + len(test) == 99",
    "fivek": "assert fivek_split('250', ['a0017', 'a0001']) == (['a0001'], ['a0017'])",
    "metrics": "assert delta_e_2000(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)).item() > 99",
    "users": "assert len(paper_benchmark().named(held_out=True)) == 8",
    "embed": "assert StyleEmbedding().eval()(torch.rand(2, 3, 64, 64)).shape == (2, 512)",
    "learner": "assert [type(cb).__name__ for cb in usual_callbacks(bf16=False)] == ['SetEpoch']",
    "triplet": "assert PreferenceVectors(['a', 'b']).table().shape == (2, 512)",
    "enhancer": "assert PieNet(width=8)(torch.rand(2, 3, 64, 64), torch.rand(2, 512)).shape == (2, 3, 64, 64)",
    "losses": "image = torch.rand(1, 3, 16, 16); assert colour_loss(image, image + 1) > 0.99",
    "training": "train, held_out = split_looks([f'family/stock_{i}_soft' for i in range(99)]); "
                "assert train and held_out",
    "preference": """one, other = (Style(str(i), torch.eye(512)[i], 1, "model") for i in range(2))
assert abs(Style.blend([one, other], [1., 3.]).vector.norm() - 1) < 1e-5""",
    "fullres": "assert fit_lut(torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32), size=5).size == 5",
    "metadata": "assert true_exif(b'', (1, 1)) == b'' and read_note('no such file') is None",
    "writing": """import numpy as np
assert encoded_jpeg(np.zeros((9, 9, 3), np.uint8), 90, "420")[0][:2] == b"\\xff\\xd8" """,
    "colour": "assert ColourNet(8, 1, 8, levels=False)(torch.rand(1, 3, 4, 6), torch.rand(1, 512)).abs().max() == 0",
    "open_world": "assert random_sliders(3, torch.Generator())['hue'].shape == (3, 1, 1, 1)",
    "episodes": "assert rmse_loss(torch.ones(1, 2, 3, 5, 1), torch.zeros(1, 2, 3, 5, 1)) > 0.99",
    "enhance": """from PIL import Image
from pienet_nb.embed import StyleEmbedding
from pienet_nb.enhancer import PieModel, PieNet
model = PieModel({"width": 8, "image_size": 64}, StyleEmbedding().eval(), PieNet(8).eval(), {"one": torch.eye(512)[0]})
assert Enhancer(model).enhance(Image.new("RGB", (70, 50), "teal"), "one").size == (70, 50)""",
    "folder": "assert progress_text(3, 500, 2.5) == '3 of 500, 1.2/s, 7 min left'",
    "commands": "pienet_styles()",
    "pairs": "assert len(varied(torch.eye(512)[:5], 3)) == 3",
    "explain": "from pienet_nb.looks import Lut; assert in_words(Lut.identity(5)).startswith('It leaves')",
    "picker_state": "from PIL import Image; assert read_small(Image.new('RGB', (9000, 6000))).width < 9000",
    "picker": "assert Wall().kind == 'wall'",
    "research.methods": "photo = torch.rand(1, 3, 8, 8); assert identity(photo, photo) is photo",
    "research.evaluation": "assert Table(['a'], [[1]]).csv() == 'a\\n1\\n'",
    "research.paper": "assert PUBLISHED[-1][0] == 'PieNet'",
    "research.ablations": "assert ABLATIONS['open'] == {}",
    "research.unseen": "assert goals_table and COUNTS[-1] == 100",
    "research.tsne": "assert nearest_style(torch.eye(512)[:4].reshape(2, 2, 512)).shape == (2, 2)",
    "research.vectors": "assert guarded_mean(torch.eye(512)[:2])[0] > 0.7",
    "research.real_people": "assert last_check('a0001') in ('dev', 'last')",
    "research.style_space": "assert domain_measure(torch.eye(512)[:4].reshape(2, 2, 512))['chance'] == 0.5",
    "research.benchmarks": "assert 'quick' in BENCHMARKS and 'unseen' in BENCHMARKS",
    "scale.onnx": "assert list(PARTS) == ['embed', 'enhancer'] and 'int8' in PRECISIONS",
    "scale.runtime": """import numpy as np
assert OnnxModel.load().embed(np.zeros((2, 3, 64, 64), np.float32)).shape == (2, 512)""",
    "scale.many_photos": "assert piece_size(10_000) == 10 and Ledger().begin('a.jpg') == (1, None)",
    "scale.processes": "assert share_of(torch.arange(4), 1, 2).tolist() == [2, 3]",
    "scale.hub": """import os
from pienet_nb.core import PieNetError
os.environ["HF_HUB_OFFLINE"] = "1"
try: fetch_model("nobody/here")
except PieNetError as error: assert "HF_HUB_OFFLINE is set" in str(error)
else: assert False""",
}

def light():
    "A line that fails where something was loaded that a photographer's command does without."
    heavy = f"{{*{TRAINING_ONLY}}} & sys.modules.keys()"
    return f"import sys; assert 'numpy' in sys.modules and not {heavy}, {heavy}"

@pytest.mark.parametrize("module", MODULES)
def test_module_works_in_a_fresh_process(module, request):
    assert CALLS.get(module), f"add a call of pienet_nb.{module} to CALLS"
    is_light = module in INFERENCE
    forks = request.getfixturevalue("torch_forks" if is_light else "training_forks")
    code = ["import torch", f"from pienet_nb.{module} import *", light() if is_light else "", CALLS[module]]
    run = forks.run("-c", "\n".join(code))
    assert run.returncode == 0, run.stderr

def test_the_light_modules_are_there():
    assert set(INFERENCE) <= set(MODULES)
