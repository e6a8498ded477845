"""Size, speed and error of the networks in other formats, and of ./light. By hand: python tests/bench_runtime.py

Nothing here is a test: times depend on the machine and on what else it does. All times are medians on one core.
--write puts what was measured into nbs/results/runtime.json, which 40_onnx and 41_runtime show. The part `light`
installs ./light into an empty environment, for which pip needs its package index.
"""
import argparse, importlib.metadata, json, os, re, subprocess, sys, tempfile
for name in "OMP_NUM_THREADS", "MKL_NUM_THREADS": os.environ[name] = "1"
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
RESULTS = ROOT/"nbs"/"results"/"runtime.json"

def seconds(func, n):
    "Median of `n` calls; one more at the beginning does not count."
    times = []
    for _ in range(n + 1):
        start = perf_counter(); func(); times.append(perf_counter() - start)
    return median(times[1:])

# --- the networks

def size_of(folder, *names): return sum((Path(folder)/name).stat().st_size for name in names)/1e6

def formats(folder):
    "Name → megabytes, embedding (photos → points), enhancer (photos, told, vectors, colours → change)."
    import torch
    from pienet_nb.enhancer import PieModel
    from pienet_nb.scale.onnx import PRECISIONS, as_function, export_model
    packaged = ROOT/"pienet_nb"/"model"
    model, found = PieModel.load(packaged), {}
    parts = [as_function(model, part)[0].eval() for part in ("embed", "enhancer")]
    found["PyTorch"] = (size_of(packaged, "embed.safetensors", "enhancer.safetensors"), *parts)
    for precision in PRECISIONS:
        made = folder/precision
        export_model(packaged, made, precision, programs=precision == "float32")
        if precision == "float32":
            names = "embed.pt2", "enhancer.pt2"
            found["torch.export"] = size_of(made, *names), *(torch.export.load(made/name).module() for name in names)
        found[f"ONNX, {precision}"] = size_of(made, "embed.onnx", "enhancer.onnx"), *on_tensors(made)
    return model, found

def on_tensors(folder):
    "The two graphs in a folder as functions on tensors, on one core."
    import torch
    from pienet_nb.scale.runtime import _part
    embed, change = (_part(folder, part, 1) for part in ("embed", "enhancer"))
    names = "photos", "told", "vectors", "colours"
    return (lambda photos: torch.from_numpy(embed(photos=photos.numpy())),
            lambda *inputs: torch.from_numpy(change(**{name: x.numpy() for name, x in zip(names, inputs)})))

def enhanced(embed, change, small, photos):
    "Every photo in ten learnt styles, each learnt from the other photos in a look, with one format for both networks."
    import torch
    from pienet_nb.embed import mean_vector
    from pienet_nb.looks import built_in_looks
    results = []
    for look in built_in_looks().values():
        points = embed(look(small))
        for i, photo in enumerate(photos.split(1)):
            others = torch.arange(len(photos)) != i
            results.append(photo + change(photo, torch.zeros(1, 1), mean_vector(points[others])[None], photo))
    return torch.cat(results).clamp(0, 1)

def bench_networks(n):
    "The table of 40_onnx."
    import torch
    from pienet_nb.looks import Lut
    from pienet_nb.photos import read_squares, sample_photos
    torch.set_num_threads(1)
    nodes = Lut.identity(33).table.reshape(1, 33, 33*33, 3).permute(0, 3, 1, 2).contiguous()
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        model, found = formats(Path(folder))
        small, photos = (read_squares(sample_photos(), size) for size in (model.image_size, 128))
        vector, rows, wanted = next(iter(model.vectors.values()))[None], {}, None
        for name, (mb, embed, change) in found.items():
            def _lut():
                if name == "PyTorch": model.lut(photos[:1], vector[0])
                else: change(photos[:1], torch.zeros(1, 1), vector, nodes)
            times = [1e3*seconds(func, n) for func in (lambda: embed(small[:1]), _lut)]
            result = enhanced(embed, change, small, photos)
            wanted = result if wanted is None else wanted
            errors = (result - wanted).square().mean((1, 2, 3))
            psnr = [-10*error.log10().item() if error else None for error in (errors.mean(), errors.max())]
            rows[name] = dict(zip(("MB", "embed", "LUT", "PSNR", "worst"), [mb, *times, *psnr]))
            print(f"{name:<16}", {key: value and round(value, 1) for key, value in rows[name].items()})
    return rows

def bench_pienet(_):
    "The largest error of a PieNet's graph, for both of its encoders."
    import onnxruntime, torch
    from pienet_nb.embed import StyleEmbedding
    from pienet_nb.enhancer import PieModel, PieNet
    from pienet_nb.scale.onnx import export_program, to_onnx
    errors = {}
    for encoder, width in ("plain", 8), ("resnet18", 64):
        torch.manual_seed(0)
        network = PieNet(width, encoder).eval()
        torch.nn.init.normal_(network.pubs[-1].mix.weight, std=0.05)
        graph = to_onnx(export_program(PieModel({}, StyleEmbedding(), network), "enhancer"), "enhancer")
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        errors[encoder] = 0.
        for shape in (1, 3, 64, 64), (3, 3, 96, 64), (2, 3, 49, 66):
            photos, vectors = torch.rand(shape), torch.nn.functional.normalize(torch.randn(shape[0], 512))
            found, = session.run(None, {"photos": photos.numpy(), "vectors": vectors.numpy()})
            error = (torch.from_numpy(found) - network(photos, vectors)).abs().max().item()
            errors[encoder] = max(errors[encoder], error)
    print("PieNet, largest error:", errors)
    return errors

# --- the light installation

def needed_by(package):
    "The distributions that a package needs, itself among them, without extras."
    from packaging.requirements import Requirement
    found, left = set(), [package]
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found: continue
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            if not needed.marker or needed.marker.evaluate({"extra": ""}): left.append(needed.name)
    return found

def installed_size(names):
    "Megabytes of some distributions; one in development is what lies in its folder."
    files = {file.locate() for name in names for file in importlib.metadata.files(name) or []}
    own = [path for path in (ROOT/"pienet_nb").rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in {*files, *own} if Path(path).is_file())/1e6

def start_times(programs, photo, folder, n):
    "Seconds of a fresh process, for its help and for a first photo."
    def _run(*arguments):
        subprocess.run([programs/"pienet_enhance", *arguments], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    options = photo, "--style", "vivid", "--out", folder/"out.jpg", "--overwrite"
    return seconds(lambda: _run("--help"), n), seconds(lambda: _run(*options), n)

def bench_light(n):
    "Size and start of ./light in an empty environment, beside those of the usual installation."
    from pienet_nb.photos import sample_photos
    photo = next(path for path in sample_photos() if path.stem == "china")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder/"light"], check=True)
        light = folder/"light"/"bin"
        subprocess.run([sys.executable, "-m", "pip", "--python", light/"python", "install", "--quiet", ROOT/"light"],
                       check=True)
        files = [path for path in (folder/"light").rglob("*") if path.is_file() and not path.is_symlink()]
        found = {"MB": sum(path.stat().st_size for path in files)/1e6}
        found["full MB"] = installed_size(needed_by("pienet_nb"))
        for name, programs in ("", light), ("full ", Path(sys.executable).parent):
            found[f"{name}help"], found[f"{name}photo"] = start_times(programs, photo, folder, n)
    print("installation", {name: round(value, 2) for name, value in found.items()})
    return found

PARTS = {"networks": bench_networks, "pienet": bench_pienet, "light": bench_light}

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts of the table (all if not given)")
    parser.add_argument("--write", action="store_true", help="put them into nbs/results/runtime.json")
    args = parser.parse_args()
    found = {name: PARTS[name](args.runs) for name in args.only or PARTS}
    if not args.write: return
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    made_by = {"command": "python tests/bench_runtime.py --write", "commit": commit.stdout.strip()}
    RESULTS.write_text(json.dumps(known | found | {"made by": made_by}, indent=1) + "\n")

if __name__ == "__main__": main()
