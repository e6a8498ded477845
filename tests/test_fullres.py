"""What carrying an edit over to a full-size photo costs and gives on real, large photos."""
import sys

import numpy as np
import pytest
from peak_memory import in_process

from pienet_nb.core import to_tensor
from pienet_nb.enhance import Enhancer
from pienet_nb.looks import built_in_looks
from pienet_nb.metrics import psnr
from pienet_nb.photos import open_file, read_photo, sample_photos, shrink
from pienet_nb.writing import write_photo

pytestmark = pytest.mark.slow

MEMORY = """
import sys
import torch
from pienet_nb.photos import read_photo, sample_photos, shrink
from pienet_nb.core import to_tensor
from pienet_nb.fullres import enhance_fullres
from pienet_nb.looks import built_in_looks
photo = read_photo(sample_photos()[2]).resize((4288, 2848))
source = to_tensor(shrink(photo, 256))
delta = built_in_looks()["warm-film"](source) - source
delta = delta * torch.linspace(0, 1, 256) # more to the right, so that there is a residual
enhanced = enhance_fullres(photo, source, delta)
enhanced.save(sys.argv[1], quality=92)
assert enhanced.size == photo.size
"""

@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
def test_memory_of_12_megapixels(tmp_path):
    "The whole process, import of torch included, stays below 1.2 GB."
    _, peak = in_process(MEMORY, tmp_path/"photo.jpg")
    assert peak < 1200

@pytest.mark.parametrize("name", [
    "popos_publicdomain/samuel-zeller-337041.jpg", "popos_publicdomain/jake-hills-36605.jpg",
    "camera_jpg/Canon EOS 5D.jpg", "camera_jpg/Nikon D3100.jpg"])
def test_quality_on_large_photos(shared_data, name):
    "A look through a graduated mask, against the truth in the middle of the full-size photo."
    import torch
    from torch.nn import functional as F
    from pienet_nb.photos import read_photo, shrink
    from pienet_nb.core import to_tensor
    from pienet_nb.fullres import enhance_fullres
    from pienet_nb.metrics import psnr
    from pienet_nb.looks import built_in_looks
    path, look = shared_data/"hires"/name, built_in_looks()["teal-orange"]
    if not path.exists(): pytest.skip(f"{path.name} is not in the larger data set")
    photo = read_photo(path)
    source = to_tensor(shrink(photo, 256))
    columns = lambda width: (torch.arange(width) + 0.5)/width # noqa: E731
    delta = columns(256)*(look(source) - source)
    enhanced = enhance_fullres(photo, source, delta)
    assert enhanced.size == photo.size
    left, top = (photo.width - 1024)//2, (photo.height - 1024)//2
    box = left, top, left + 1024, top + 1024
    crop, result = to_tensor(photo.crop(box)), to_tensor(enhanced.crop(box))
    truth = crop + columns(photo.width)[left:left + 1024]*(look(crop) - crop)
    enlarged = F.interpolate(delta, (photo.height, photo.width), mode="bilinear")[..., top:top + 1024, left:left + 1024]
    before, simple, after = (psnr(image, truth).item() for image in (crop, crop + enlarged, result))
    assert after > 40 and after > before + 10 and after > simple + 1, (before, simple, after)

# ---- from file to file, with the packaged model

@pytest.fixture(scope="module")
def enhancer(): return Enhancer.from_pretrained()

def enhanced(enhancer, pixels, folder, style, **options):
    "An array through a file and back."
    write_photo(pixels, folder/"photo.png")
    enhancer.enhance_file(folder/"photo.png", folder/"out.png", style, overwrite=True, **options)
    return open_file(folder/"out.png").coded().numpy()

def test_no_banding_in_a_gradient(enhancer, tmp_path):
    "A sky of 16 bits keeps more than a thousand levels, and no step is much larger than the others."
    ramp = np.linspace(0.2, 0.9, 4096)[None, :, None]*np.array([0.6, 0.8, 1.])
    sky = np.repeat((ramp*65535).round().astype(np.uint16), 300, 0)
    for style in enhancer.styles:
        result = enhanced(enhancer, sky, tmp_path, style).astype(int)
        assert (result == result[:1]).all() # rows stay alike: no seam between strips
        for channel in result[0].T:
            steps = np.abs(np.diff(channel))
            assert len(np.unique(channel)) > 1000 or np.ptp(channel) < 8000, style
            assert steps.max() < 257, (style, steps.max()) # less than a step of 8 bits

def test_no_halo_at_an_edge(enhancer, tmp_path):
    "Dark beside bright: both sides stay flat up to the last pixel."
    edge = np.full((400, 600, 3), 12_000, np.uint16)
    edge[:, 300:] = 52_000, 50_000, 48_000
    for style in enhancer.styles:
        result = enhanced(enhancer, edge, tmp_path, style).astype(int)
        assert np.ptp(result[:, :300], (0, 1)).max() == 0 and np.ptp(result[:, 300:], (0, 1)).max() == 0, style

def test_strength_is_monotone(enhancer, tmp_path):
    photo = (np.asarray(read_photo(sample_photos()[2])).astype(np.uint16)*257)[::2, ::2]
    for style in list(enhancer.styles)[::3]:
        strengths = 0, 0.25, 0.5, 1, 1.5, 2
        results = [enhanced(enhancer, photo, tmp_path, style, strength=s).astype(int) for s in strengths]
        assert np.array_equal(results[0], photo)
        apart = [np.abs(result - photo).mean() for result in results]
        assert apart == sorted(apart) and len(set(apart)) == len(apart), (style, apart)

@pytest.mark.parametrize("name", ["china", "popos_publicdomain/jake-hills-36605.jpg",
                                  "popos_publicdomain/samuel-zeller-337041.jpg", "camera_jpg/Nikon D3100.jpg"])
def test_full_size_keeps_what_the_network_promised(enhancer, request, tmp_path, name):
    "Against the look itself, the full-size result is nearly as near as what the network saw, or nearer."
    if name == "china": path = next(p for p in sample_photos() if p.stem == name)
    else: path = request.getfixturevalue("shared_data")/"hires"/name
    if not path.exists(): pytest.skip(f"{path.name} is not in the larger data set")
    looks, photo = built_in_looks(), read_photo(path)
    step = max(photo.width//1500, 1) # every n-th pixel of the full size: all its colours, none of them averaged
    for style in [s for s in enhancer.styles if s in looks]:
        small, lut = enhancer.seen(path), enhancer.lut(path, style)
        picture = np.asarray(enhancer.enhance(path, style))[::step, ::step]
        source, result = (to_tensor(to_pil(a)) for a in (np.asarray(photo)[::step, ::step], picture))
        at_network_size, at_full_size = psnr(lut(small), looks[style](small)), psnr(result, looks[style](source))
        assert at_full_size > at_network_size - MOST_LOST, (style, at_network_size.item(), at_full_size.item())

MOST_LOST = 0.3 # decibels

def to_pil(pixels):
    from PIL import Image
    return Image.fromarray(np.ascontiguousarray(pixels))
