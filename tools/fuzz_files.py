"""Throw damaged and made-up files at every reader: python tools/fuzz_files.py --cases 20000 --out findings.json

Whatever a file holds, the answer is a result or a `PieNetError`; anything else is a finding: another exception, a line
on the terminal, more than the time or the memory that is allowed, a process that dies, a file that nobody asked for.
The cases run in processes that may be killed, several hundred in each; a case depends on nothing but its seed, and
`--seed S --cases 1` runs one again.
"""
import argparse, collections, contextlib, json, os, random, resource, shutil, signal, struct, subprocess, sys
import tempfile, time, zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS, MEGABYTES, IN_ONE_PROCESS = 60, 3000, 500
HARD = ROOT.parent/"shared"/"data"/"hard_files"

# ---- what is damaged

def made_photos(folder):
    "Small photos of every kind that can be written."
    import numpy as np
    from PIL import Image
    from pienet_nb.photos import Metadata, iptc_block, named_profile
    from pienet_nb.writing import write_photo
    values = np.linspace(0, 65535, 24*18*3).round().astype(np.uint16).reshape(18, 24, 3)
    exif = Image.Exif(); exif[0x0112], exif[0x010F] = 6, "Some Camera"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 30.0)})
    xmp = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
           b'<rdf:Description xmlns:tiff="t" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>')
    data = Metadata(exif=exif.tobytes()[6:], xmp=xmp, irb=iptc_block(b"\x1c\x02\x19\x00\x03sea"), dpi=(300., 300.),
                    icc=named_profile("Display P3"))
    for suffix in "jpg", "png", "tif", "webp", "avif", "heic", "bmp": write_photo(values, folder/f"made.{suffix}", data)
    clear = np.dstack([values, values[..., :1]])
    for suffix in "png", "tif": write_photo(clear, folder/f"clear.{suffix}", Metadata(packed=True))
    rgb = Image.fromarray((values//257).astype(np.uint8))
    for name, picture in {"pal.gif": rgb.quantize(8), "grey.tif": rgb.convert("F"), "cmyk.jpg": rgb.convert("CMYK"),
                          "j2k.jp2": rgb, "long.tif": rgb.convert("I")}.items():
        with contextlib.suppress(OSError): picture.save(folder/name)

def made_luts(folder):
    "Small files of every other kind that is read."
    import torch
    from pienet_nb.looks import Lut
    from pienet_nb.preference import Style
    Lut.identity(3).save(folder/"made.cube")
    for name, bits in {"hald.png": 8, "hald16.png": 16, "hald.tif": 16}.items():
        Lut.identity(4).save(folder/name, bits=bits)
    (folder/"shaper.cube").write_text("LUT_1D_SIZE 2\nLUT_3D_SIZE 2\n0 0 0\n1 1 1\n" + "0 0 0\n1 1 1\n"*4)
    (folder/"made.3dl").write_text("0 512 1023\n" + "0 0 0\n512 512 512\n1023 1023 1023\n"*9)
    (folder/"made.csp").write_text("CSPLUTV100\n3D\n\n" + "2\n0 1\n0 1\n"*3 + "\n2 2 2\n" + "0 0 0\n1 1 1\n"*4)
    (folder/"made.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure2012="+1.00" '
        'crs:ProcessVersion="11.0" crs:Contrast2012="20"/></rdf:RDF></x:xmpmeta>')
    (folder/"made.lrtemplate").write_text('s = {\n value = { settings = { Exposure2012 = 1, }, },\n}')
    Style("mine", torch.nn.functional.normalize(torch.ones(512), dim=0), 3, "model").save(folder/"made.safetensors")

def made_model(folder):
    "A small model, in a folder; a case damages its config.json."
    import torch
    from pienet_nb.embed import StyleEmbedding
    from pienet_nb.enhancer import PieModel, new_enhancer
    torch.manual_seed(0)
    config = {"width": 8, "image_size": 64, "enhancer": "colour", "levels": True, "rest": 1., "built_in": ["vivid"],
              "training": {"config": {"name": "open"}, "photos": ["a.jpg"]}}
    vectors = {"vivid": torch.nn.functional.normalize(torch.ones(512), dim=0)}
    PieModel(config, StyleEmbedding(), new_enhancer(config), vectors).save(folder/"model")
    shutil.copy(folder/"model"/"config.json", folder/"config.json")

def seeds(folder):
    "All files that cases start from."
    made_photos(folder); made_luts(folder); made_model(folder)
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if HARD.is_dir(): found += sorted(p for p in HARD.rglob("*") if p.is_file() and p.stat().st_size < 200_000)
    return [p for p in found if p.suffix != ".md"]

# ---- how

def flip(data, rng):
    for _ in range(rng.choice([1, 1, 2, 5, 20, 100])): data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)

def number(data, rng):
    "A number of two or four bytes becomes one that is often wrong."
    size, order = rng.choice([2, 4]), rng.choice("<>")
    value = rng.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(data), rng.randrange(1 << 16)])
    at = rng.randrange(min(len(data), rng.choice([64, 512, len(data)])))
    data[at:at + size] = struct.pack(order + {2: "H", 4: "I"}[size], value & (1 << 8*size) - 1)

def cut(data, rng): del data[rng.randrange(len(data)):]

def double(data, rng):
    at = rng.randrange(len(data)); data[at:at] = data[at:at + rng.choice([4, 64, 1000])]*rng.choice([1, 3])

def remove(data, rng):
    at = rng.randrange(len(data)); del data[at:at + rng.choice([1, 2, 4, 12, 100, 1000])]

def words(data, rng):
    "A word that text files trip over."
    at = rng.randrange(len(data))
    data[at:at + rng.randrange(8)] = rng.choice(
        [b"nan", b"-inf", b"1e999", b"\0", b"\xff\xfe", b"9"*400, b"-1", b"</", b"[[[["*99, b"LUT_3D_SIZE 256\n",
         b"<!DOCTYPE x>", b'"', b"1,5", b"\r"])

def sums(data, rng):
    "The check sums of a PNG made right again, so that its contents are read."
    number(data, rng)
    at = 8
    while data[:4] == b"\x89PNG" and at + 12 <= len(data):
        size = int.from_bytes(data[at:at + 4], "big")
        if at + 12 + size > len(data): break
        data[at + 8 + size:at + 12 + size] = struct.pack(">I", zlib.crc32(data[at + 4:at + 8 + size])); at += 12 + size

def setting(data, rng):
    "A setting in JSON left out, or of another kind; of other files nothing."
    try: found = json.loads(bytes(data))
    except ValueError: return
    if not isinstance(found, dict) or not found: return
    name = rng.choice(sorted(found))
    if rng.random() < 0.3: del found[name]
    else: found[name] = rng.choice([None, True, -1, 0, 1, 7, 4096, 10**9, 10**30, 0.5, 1e308, "", "x"*300, [], {}, [1]])
    data[:] = json.dumps(found).encode()

def case(files, seed):
    "A damaged file: its name and its contents."
    rng = random.Random(seed)
    path = rng.choice(rng.choice([files, [file for file in files if HARD not in file.parents]])) # half of them our own
    data = bytearray(path.read_bytes()) or bytearray(b"x")
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        how = [flip, flip, number, number, cut, double, remove, words, sums]
        rng.choice(how if path.suffix != ".json" else [setting]*9 + how)(data, rng)
        data = data or bytearray(b"x")
    suffix = rng.choice([path.suffix]*9 + [".jpg", ".png", ".tif", ".cube"])
    return f"{'hald' if path.stem.startswith('hald') else 'case'}{suffix}", bytes(data)

# ---- who reads it

def read(path, enhancer, rng):
    "Give a file to its readers."
    from pienet_nb.looks import Lut
    from pienet_nb.metadata import read_note
    from pienet_nb.photos import read_photo
    from pienet_nb.preference import Style
    from pienet_nb.presets import DevelopPreset
    kind = path.suffix.lower()
    if kind == ".json": return read_model(path)
    if kind in (".cube", ".3dl", ".csp", ".clf") or path.stem == "hald": return Lut.read(path)
    if kind in (".xmp", ".lrtemplate"): return DevelopPreset.read(path)
    if kind == ".safetensors": return Style.load(path, "model")
    read_note(path)
    if rng.random() < 0.5: read_photo(path, 64)
    out = path.with_name("out" + rng.choice([".jpg", ".jpg", ".png", ".tif", ".webp"]))
    try: enhancer.enhance_file(path, out, next(iter(enhancer.styles)), rng.choice([0., 1.]), overwrite=True,
                               strip_gps=rng.random() < 0.5, srgb=rng.random() < 0.3)
    finally: out.unlink(missing_ok=True)

def read_model(config):
    "Load a model with this config.json, and use it."
    from PIL import Image
    from pienet_nb.enhance import Enhancer
    folder = config.with_name("model")
    shutil.copytree(os.environ["FUZZ_MODEL"], folder, ignore=shutil.ignore_patterns("config.json"),
                    copy_function=os.symlink)
    try:
        shutil.copy(config, folder/"config.json")
        enhancer = Enhancer.from_pretrained(folder)
        for name in list(enhancer.styles)[:1]: enhancer.enhance(Image.new("RGB", (20, 10), "teal"), name)
    finally: shutil.rmtree(folder)

def one(files, seed, folder, enhancer):
    "Run one case; what is wrong, or None."
    from pienet_nb.core import PieNetError
    name, data = case(files, seed)
    path = folder/name
    path.write_bytes(data)
    before = sorted(p.name for p in folder.iterdir())
    try: read(path, enhancer, random.Random(seed))
    except PieNetError as error:
        if "\n" in str(error): return f"a sentence of several lines: {error!r}"
    except Exception as error: return f"{type(error).__name__}: {error}"
    if sorted(p.name for p in folder.iterdir()) != before: return "a file was left"
    path.unlink()

def worker(seeds_folder, first, count):
    "Run cases in this process; a line for each before it begins, so that a death can be told."
    resource.setrlimit(resource.RLIMIT_AS, (20 << 30, 20 << 30))
    from pienet_nb.enhance import Enhancer
    enhancer = Enhancer.from_pretrained()
    os.environ["FUZZ_MODEL"] = str(Path(seeds_folder)/"model")
    files = [Path(line) for line in (Path(seeds_folder)/"list").read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            print("case", seed, flush=True)
            signal.alarm(SECONDS)
            fault = one(files, seed, Path(folder), enhancer)
            if fault: print("fault", seed, fault.replace("\n", " ")[:300], flush=True)
            signal.alarm(0)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024
            if peak > MEGABYTES: print("fault", seed, f"memory {peak:.0f} MB", flush=True); return

def run(seeds_folder, first, count):
    "Cases in a process of their own: how many were done, and what was found."
    command = [sys.executable, __file__, "--worker", str(seeds_folder), str(first), str(count)]
    env = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", cwd=ROOT, env=env)
    lines = [line.split(" ", 2) for line in process.stdout.splitlines()]
    found = [(int(line[1]), line[2]) for line in lines if line[0] == "fault"]
    last = max([int(line[1]) for line in lines if line[0] == "case"], default=first - 1)
    noise = [line for line in process.stderr.splitlines() if line.strip()]
    if process.returncode: found.append((last, f"the process ended with {process.returncode}: {' '.join(noise[-2:])}"))
    elif noise: found.append((first, f"on the terminal, in this or a later case: {noise[0][:200]}"))
    return last - first + 1, found

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="file for the findings")
    parser.add_argument("--worker", nargs=3)
    args = parser.parse_args()
    if args.worker: return worker(args.worker[0], int(args.worker[1]), int(args.worker[2]))
    sys.path.insert(0, str(ROOT))
    findings, done, start = [], 0, time.time()
    with tempfile.TemporaryDirectory() as folder:
        files = seeds(Path(folder))
        Path(folder, "list").write_text("\n".join(map(str, files)))
        kinds = dict(collections.Counter(path.suffix.lower()[1:] for path in files))
        while done < args.cases:
            n, found = run(folder, args.seed + done, min(IN_ONE_PROCESS, args.cases - done))
            done += max(n, 1); findings += found
            print(f"{done} cases, {len(findings)} findings, {time.time() - start:.0f} s", flush=True)
            report = {"cases": done, "first_seed": args.seed, "kinds": kinds, "findings": findings}
            if args.out: Path(args.out).write_text(json.dumps(report, indent=1) + "\n")
    for seed, fault in findings: print(seed, fault)
    raise SystemExit(bool(findings))

if __name__ == "__main__": main()
