"""Speed and memory of the photographer's path, in ratios measured in one run. By hand: python tests/bench_enhance.py

Nothing here is a test: times depend on the machine and on what else it does, so the two sides of a ratio are measured
by turns.
--write puts the table into nbs/results/speed.json, which 23_enhance shows.
"""
import argparse, functools, json, os, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from peak_memory import in_process

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
SIZE = 4000, 3000
CAMERA = ROOT.parent/"shared"/"data"/"hires"/"camera_jpg" # JPEGs of 12.7 to 16 megapixels as cameras wrote them

def make_photos(folder, n):
    "`n` JPEGs of 12 megapixels: camera pictures if there are any, else sample photos, enlarged."
    from PIL import Image, ImageOps
    from pienet_nb.photos import sample_photos
    found = sorted(CAMERA.glob("*.jpg")) or sample_photos()
    pictures = []
    for path in found:
        with Image.open(path) as picture: rgb = picture.convert("RGB")
        pictures.append(ImageOps.fit(rgb, SIZE, Image.Resampling.BICUBIC))
    for i in range(n):
        picture = pictures[i % len(pictures)]
        picture = ImageOps.mirror(picture) if i//len(pictures) % 2 else picture
        picture.save(folder/f"photo{i:02}.jpg", quality=92)
    return sorted(folder.glob("photo*.jpg"))

def by_turns(n, *funcs):
    "Median seconds of each function, called by turns; the first round does not count."
    times = [[] for _ in funcs]
    for _ in range(n + 1):
        for func, found in zip(funcs, times):
            start = time.perf_counter(); func(); found.append(time.perf_counter() - start)
    return [median(found[1:]) for found in times]

def resave(photo, target, **options):
    "What Pillow needs to read a photo and save it again."
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile, get_sampling
    with Image.open(photo) as picture:
        if isinstance(picture, JpegImageFile) and target.suffix == ".jpg":
            options |= {"quality": 95, "subsampling": get_sampling(picture)}
        picture.save(target, **options)

def bench_files(enhancer, photos, folder, n):
    """From file to file against Pillow's decoding and encoding of the same file into the same kind.

    Both in a thread of its own, as `work_on` does it: there a photo gets the memory of the one before it."""
    name, rows = next(iter(enhancer.styles)), {}
    for photo, suffix, options in photos:
        ours, theirs = folder/f"ours{suffix}", folder/f"theirs{suffix}"
        sides = [lambda: resave(photo, theirs, **options),
                 lambda: enhancer.enhance_file(photo, ours, name, overwrite=True)]
        with ThreadPoolExecutor(1) as pool: base, whole = pool.submit(by_turns, n, *sides).result()
        rows[f"{photo.stem} to {suffix}"] = whole/base
        sizes = ours.stat().st_size/theirs.stat().st_size
        print(f"{photo.stem:<24}{suffix:>6}: Pillow {base:6.3f} s, enhanced {whole:6.3f} s, "
              f"{whole/base:.2f} times, file {sizes:.2f} times")
    return rows

def bench_parts(enhancer, photo, n):
    "Where the time goes; each part alone, on all cores."
    from pienet_nb.enhance import _decode_at_once
    from pienet_nb.photos import open_file
    from pienet_nb.writing import Strips, encoded_jpeg
    style, opened = next(iter(enhancer.styles.values())), open_file(photo)
    pixels = _decode_at_once(opened, "RGBX")
    height, width, _ = pixels.shape
    picture = Strips(width, height, lambda top, bottom: pixels[top:bottom])
    def edit(): return enhancer._edit_of(pixels[..., :3], opened, style, 1., False, None)
    lut, _ = edit()
    parts = {"open": lambda: open_file(photo), "decode": lambda: _decode_at_once(opened, "RGBX"), "network": edit,
             "LUT": lambda: lut.apply_pixels(pixels, out=pixels),
             "encode": lambda: encoded_jpeg(picture, 95, opened.data.sampling)}
    seconds = dict(zip(parts, by_turns(n, *parts.values())))
    print("parts of", photo.stem, {name: round(value, 3) for name, value in seconds.items()})
    return seconds

def bench_peer(enhancer, photo, n):
    "Pixels of one photo, network and all, against an image-adaptive 3D LUT by grid_sample (its pixels alone)."
    import torch
    from torch.nn import functional as F
    from pienet_nb.enhance import _decode_at_once
    from pienet_nb.photos import open_file
    opened, style = open_file(photo), next(iter(enhancer.styles.values()))
    pixels, (lut, _) = _decode_at_once(opened), enhancer.edit(opened, style)
    def ours(): enhancer._edit_of(pixels, opened, style, 1., False, None)[0].apply_pixels(pixels)
    def peer():
        image = torch.from_numpy(pixels).float().div_(255)
        volume = lut.table.permute(3, 0, 1, 2)[None]
        result = F.grid_sample(volume, image[None, None]*2 - 1, align_corners=True, padding_mode="border")
        result.mul_(255).byte()
    seconds = by_turns(n, ours, peer)
    print(f"pixels: ours with the network {seconds[0]:.3f} s, grid_sample {seconds[1]:.3f} s")
    return seconds[0]/seconds[1]

def bench_start(model, photo, folder, n):
    "A fresh process from start to the first photo, against importing torch."
    code = "from pienet_nb.commands import pienet_enhance; pienet_enhance"
    options = f"([{str(photo)!r}], style='vivid', out={str(folder/'start.jpg')!r}, overwrite=True, model={model!r})"
    def process(code): subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    seconds = by_turns(n, lambda: process(code + options), lambda: process("import torch"))
    print(f"start to first photo {seconds[0]:.2f} s, import of torch alone {seconds[1]:.2f} s")
    return seconds

def bench_jobs(model, photos, folder, n):
    "A folder of `n` photos with one job and with two, each of them on one core; and what two cores are worth here."
    many = folder/"many"
    many.mkdir()
    for i in range(n): os.link(photos[i % len(photos)], many/f"{i:03}.jpg")
    def process(jobs): # seconds of the command, without what every process needs to import torch
        code = ("import time, pienet_nb.enhance; from pienet_nb.commands import pienet_enhance; "
                f"start = time.perf_counter(); pienet_enhance([{str(many)!r}], style='vivid', "
                f"out={str(folder/'done')!r}, overwrite=True, quiet=True, jobs={jobs}, model={model!r}); "
                "print(time.perf_counter() - start)")
        shown = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        return float(shown.stdout)
    one, two = process(1), process(2)
    alone, together = sorting(1), sorting(2)
    print(f"{n} photos: one job {one:.1f} s, two jobs {two:.1f} s, {one/two:.2f} times as fast; "
          f"two processes of NumPy {2*alone/together:.2f} times as fast as one")
    return {"photos": n, "one": one, "two": two, "bound": 2*alone/together}

def sorting(n):
    "Seconds until `n` processes at once have sorted."
    code = """import numpy as np, time
values, start = np.random.default_rng(0).random(3_000_000), time.perf_counter()
for _ in range(40): np.sort(values)
print(time.perf_counter() - start)"""
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(n)]
    return max(float(process.communicate()[0]) for process in processes)

def bench_memory(model, folder, photos):
    "Peak memory above what a process with the imports and the model needs, in megabytes."
    load = f"from pienet_nb.enhance import Enhancer\nenhancer = Enhancer.from_pretrained({model!r})\n"
    first = "enhancer.enhance_file({!r}, {!r}, next(iter(enhancer.styles)), overwrite=True)\n"
    tiny = folder/"tiny.png"
    resave(photos[0], tiny)
    from PIL import Image
    Image.open(tiny).resize((64, 48)).save(tiny)
    _, idle = in_process(load + first.format(str(tiny), str(folder/"tiny.jpg")))
    rows = {}
    for photo in photos:
        _, peak = in_process(load + first.format(str(photo), str(folder/f"again{photo.suffix}")))
        with Image.open(photo) as picture: megapixels = picture.width*picture.height/1e6
        rows[f"{megapixels:.0f} MP {photo.suffix[1:]}"] = peak - idle
        print(f"peak memory of {megapixels:5.1f} MP {photo.suffix}: {peak - idle:6.0f} MB above {idle:.0f} MB")
    return rows

def enlarged(photo, size, path, **options):
    "A photo at another size, as a file."
    from PIL import Image
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(photo) as picture: picture.convert("RGB").resize(size).save(path, **options)
    return path

def benches(args, folder):
    "Every part of the table, by name, as a function."
    from pienet_nb.enhance import Enhancer
    photos, enhancer = functools.cache(lambda: make_photos(folder, 20)), Enhancer.from_pretrained(args.model)
    cameras = sorted(CAMERA.glob("*.jpg")) or photos()[:3]
    def large(suffix, size=(6000, 4000), **options):
        return enlarged(photos()[0], size, folder/f"large{suffix}", **options)
    def others(): return [(large(".png", compress_level=3), ".png", {}),
                          (large(".webp", quality=95, method=2), ".webp", {"quality": 95})]
    def memory(): return [large("24.jpg", quality=92), large("100.jpg", (11600, 8700), quality=92),
                          large(".png", compress_level=3)]
    def learn(): return by_turns(3, lambda: enhancer.learn_style(photos()))[0]
    return {"JPEG": lambda: bench_files(enhancer, [(p, ".jpg", {}) for p in cameras], folder, args.runs),
            "other": lambda: bench_files(enhancer, others(), folder, 1),
            "parts": lambda: bench_parts(enhancer, cameras[0], args.runs),
            "peer": lambda: bench_peer(enhancer, photos()[0], args.runs), "learn": learn,
            "start": lambda: bench_start(args.model, cameras[0], folder, 3),
            "memory": lambda: bench_memory(args.model, folder, memory()),
            "jobs": lambda: bench_jobs(args.model, photos(), folder, args.folder)}

RESULTS = ROOT/"nbs"/"results"/"speed.json"

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder with a model (the packaged one if not given)")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--folder", type=int, default=200, help="photos in the folder that is worked on by jobs")
    parser.add_argument("--only", nargs="*", help="parts of the table (all if not given)")
    parser.add_argument("--write", action="store_true", help="put them into nbs/results/speed.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        parts = benches(args, Path(folder))
        table = {name: parts[name]() for name in args.only or parts}
    print("learn a style from 20 photos of 12 MP:", table.get("learn"))
    if not args.write: return
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | table, indent=1) + "\n")

if __name__ == "__main__": main()
