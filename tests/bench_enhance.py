"""Speed and memory of the photographer's path, in ratios measured in one run. By hand: python tests/bench_enhance.py

Nothing here is a test: times depend on the machine. The aims are those of the project: 12 megapixels from file to file
in at most 3 times the time of decoding and encoding alone, below 1.2 GB; a style from 20 such photos in less than 6 s.
"""
import argparse, subprocess, sys, tempfile, time
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

def seconds(func, n):
    "Median time of `n` runs after one that does not count."
    times = []
    for _ in range(n + 1):
        start = time.perf_counter(); func(); times.append(time.perf_counter() - start)
    return median(times[1:])

def bench_file_to_file(enhancer, photos, folder, n):
    from PIL import Image
    from PIL.JpegImagePlugin import get_sampling
    from pienet_nb.photos import JPEG_QUALITY, open_photo, read_photo, save_photo
    target, name, total = folder/"result.jpg", next(iter(enhancer.styles)), [0., 0.]
    for photo in photos:
        def plain():
            with Image.open(photo) as picture:
                picture.save(target, quality=JPEG_QUALITY, subsampling=get_sampling(picture))
        picture = read_photo(photo)
        base, whole = seconds(plain, n), seconds(lambda: enhancer.enhance_file(photo, target, name, overwrite=True), n)
        read = seconds(lambda: read_photo(photo), n)
        save = seconds(lambda: save_photo(picture, target, open_photo(photo)), n)
        total[0] += base; total[1] += whole
        print(f"{picture.width*picture.height/1e6:5.1f} megapixels: decode and encode alone {base:.2f} s, "
              f"enhance {whole:.2f} s (read {read:.2f}, change {whole - read - save:.2f}, write {save:.2f}), "
              f"{whole/base:.2f} times")
    print(f"file to file                   {total[1]/total[0]:6.2f} times (aim: 3)")

def bench_import(n):
    "What a command has to import, against torch alone; by turns, so that other work on the machine slows both."
    times = {"torch": [], "pienet_nb.commands": []}
    for _ in range(n + 1):
        for module, found in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True, cwd=ROOT)
            found.append(time.perf_counter() - start)
    torch_alone, ours = (median(found[1:]) for found in times.values())
    print(f"import                         {ours/torch_alone:6.2f} times that of torch ({torch_alone:.2f} s; aim: 1.3)")

def bench_memory(model, folder, photo, style):
    "Peak memory of one photo and of learning from the photos of a folder, each in a process of its own."
    options = f"{str(photo)!r}, {str(folder/'again.jpg')!r}, {style!r}, overwrite=True"
    load = f"from pienet_nb.enhance import Enhancer; enhancer = Enhancer.from_pretrained({model!r})\n"
    _, peak = in_process(load + f"enhancer.enhance_file({options})\n")
    _, idle = in_process(load)
    print(f"peak memory of one photo       {peak:6.0f} MB  (aim: 1200; {idle:.0f} with the model loaded)")
    _, peak = in_process(load + f"enhancer.learn_style({str(folder/'photo*.jpg')!r})")
    print(f"peak memory of learning        {peak:6.0f} MB")

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder with a model (the packaged one if not given)")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    from pienet_nb.enhance import Enhancer
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        photos = make_photos(folder, 20)
        start = time.perf_counter()
        enhancer = Enhancer.from_pretrained(args.model)
        print(f"load the model                 {time.perf_counter() - start:6.2f} s")
        bench_file_to_file(enhancer, sorted(CAMERA.glob("*.jpg")) or photos[:3], folder, args.runs)
        learn = seconds(lambda: enhancer.learn_style(photos), 2)
        print(f"learn a style from {len(photos)} photos  {learn:6.2f} s   (aim: 6)")
        bench_memory(args.model, folder, photos[0], next(iter(enhancer.styles)))
        bench_import(args.runs)

if __name__ == "__main__": main()
