"""What carrying an edit over to a full-size photo costs and gives on real, large photos."""
import sys

import pytest
from peak_memory import in_process

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
