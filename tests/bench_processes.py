"""Several processes: do they compute what one computes, and how fast are they? By hand: python tests/bench_processes.py

Nothing here is a test; tests/test_processes.py uses `losses`. Two parts, of which --parts may leave one out.
agreement: the loss of each step by two processes and by one, in float32 and float64, and by one process that sees the
rows of each batch in reversed order, which shows how much rounding alone makes of it. Any machine will do.
speed: pictures a second, memory, and the share of what the device reaches in large products of matrices (and of
--peak_tflops), for both stages, by one process and by several, in bfloat16 and in float32. `drawn` draws its batches as
in training, `fixed` uses one batch again and again: where both are as fast, the data loader is not the bottleneck. What
is compared takes turns in one run.

On a GPU at the paper's size (several processes need as many GPUs, else say --processes 1):
    python tests/bench_processes.py --parts speed --device cuda --config paper --workers 8 --steps 20
Without one, the configuration paper-tiny stands in:
    python tests/bench_processes.py --out nbs/results/processes.json
"""
import argparse, json, math, os, resource, subprocess, sys, tempfile, time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT/"tests")]

import torch
from fastai.callback.core import Callback
from fastai.torch_core import to_detach
from torch.nn import functional as F

from pienet_nb.data import PairBatches, StyledPhotos, TripletBatches, sample_pieces, styled_dls
from pienet_nb.embed import StyleEmbedding, n_flops
from pienet_nb.enhancer import PieNet
from pienet_nb.looks import built_in_looks
from pienet_nb.research.evaluation import provenance, save_results
from pienet_nb.training import CONFIGS, StyleVectors, pie_learner
from pienet_nb.triplet import embed_learner
from pienet_nb.scale.processes import processes
from bench_training import fit_epoch, make_learner, make_photos, since

# --- agreement

class AsAsked(Callback):
    "Batches in float64 or with their rows in reversed order; notes the loss of the whole batch at each step."
    order, run_valid = 50, True # before the batch is shared
    def __init__(self, double, reverse): self.double, self.reverse, self.seen = double, reverse, []
    def _as_asked(self, entry):
        if self.double and entry.is_floating_point(): entry = entry.double()
        return entry.flip(0) if self.reverse else entry
    def before_batch(self):
        self.learn.xb, self.learn.yb = (tuple(map(self._as_asked, part)) for part in (self.xb, self.yb))
    def after_loss(self):
        if self.training: self.seen.append(to_detach(self.loss).item()) # fastai averages over the processes
        self.learn.loss = self.loss.float() # its Recorder knows no float64

def small_photos(size):
    "Pieces of the sample photos in three looks."
    looks, pieces = dict(list(built_in_looks().items())[:3]), sample_pieces(size)
    return StyledPhotos.from_looks(list(pieces.values()), list(pieces), looks, size)

def small_learner(stage, photos, n_steps, cbs=()):
    "A Learner of a stage as in the paper, on small squares, in full precision."
    torch.manual_seed(0)
    size = photos.size - 4
    if stage == 1:
        batches = [TripletBatches(photos, 8, n, size, seed) for n, seed in ((n_steps, 1), (1, 0))]
        return embed_learner(styled_dls(*batches), StyleEmbedding(), bf16=False, cbs=cbs)
    vectors = StyleVectors(F.normalize(torch.randn(3, 512), dim=1))
    batches = [PairBatches(photos, 6, n, size, seed, vectors=vectors) for n, seed in ((n_steps, 1), (1, 0))]
    return pie_learner(styled_dls(*batches), PieNet(8), StyleEmbedding(), bf16=False, cbs=cbs)

def losses(stage, n_steps, double=False, reverse=False):
    "The losses of some steps, and what validation says after them."
    learn = small_learner(stage, small_photos(36), n_steps, [AsAsked(double, reverse)])
    if double: learn.model.double(); getattr(learn.loss_func, "double", lambda: None)()
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    return {"losses": learn.as_asked.seen, "valid": [float(value) for value in learn.recorder.values[-1]]}

def launch_command(n, *words):
    "The command that starts n processes on this machine."
    if n == 1: return [sys.executable, *words]
    options = ["--multi_gpu", "--num_machines=1", f"--num_processes={n}", "--mixed_precision=no", "--dynamo_backend=no",
               "--main_process_port=0"]
    return [sys.executable, "-m", "accelerate.commands.launch", *options, *words]

def run_child(n, part, args):
    "What n processes find in one part."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)/"found.json"
        options = [f"--{name}={value}" for name, value in vars(args).items() if name in OPTIONS]
        subprocess.run(launch_command(n, __file__, f"--child={part}", f"--out={path}", *options), check=True,
                       stdout=subprocess.DEVNULL, timeout=3600)
        return json.loads(path.read_text())

def agreement(args):
    "The losses of both stages, in float32, float64, and in float32 with the rows in reversed order."
    ways = {"float32": {}, "float64": {"double": True}, "reversed": {"reverse": True}}
    return {str(stage): {name: losses(stage, args.agreement_steps, **way)["losses"] for name, way in ways.items()}
            for stage in (1, 2)}

def differences(alone, together):
    "How far the losses of each step are from those of one process: log10 of the relative difference, at least -16."
    pairs = {"two processes, float32": (alone["float32"], together["float32"]),
             "two processes, float64": (alone["float64"], together["float64"]),
             "one process, rows reversed, float32": (alone["float32"], alone["reversed"])}
    return {name: [math.log10(max(abs(a - b)/abs(a), 1e-16)) for a, b in zip(*pair)] for name, pair in pairs.items()}

def two_against_one(args):
    "The part agreement: losses of one process, and the differences."
    alone, together = (run_child(n, "agreement", args) for n in (1, 2))
    return {f"stage {stage}": {"losses": alone[stage]["float32"]} | differences(alone[stage], together[stage])
            for stage in alone}

# --- speed

def peak_flops(device, size):
    "Operations a second in the product of two large matrices in bfloat16."
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    def _seconds():
        start = time.perf_counter(); a @ b
        return since(start, device)
    return 2*size**3/min(_seconds() for _ in range(8))

def training_flops(stage, config):
    "Operations of one triplet or pair: forward once, backward twice; a frozen network's weights need no gradient."
    picture = torch.rand(1, 3, config.image_size, config.image_size)
    embed = n_flops(StyleEmbedding().eval(), picture)
    if stage == 1: return 2*3*embed
    enhancer = PieNet(config.enhancer.width, config.enhancer.encoder).eval()
    return 3*n_flops(enhancer, picture, torch.rand(1, 512)) + 3*embed

def memory(device):
    "Peak memory of this process in GB: of the GPU, or of all."
    if device != "cpu": return torch.cuda.max_memory_allocated()/1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1e6

def speed_of(stage, config, photos, args, folder):
    "Pictures a second of the ways in turns, the median of all turns but the first."
    ways = {"bfloat16, drawn": (True, False), "bfloat16, fixed": (True, True), "float32, drawn": (False, False)}
    learners = {name: make_learner(stage, config, photos, args.steps, args.device, folder, bf16)
                for name, (bf16, _) in ways.items()}
    for name, (_, fixed) in ways.items():
        dataset = learners[name].dls.train.dataset
        if fixed: dataset.draw = lambda rng, batch=dataset[0]: batch
    part = config.triplet if stage == 1 else config.enhancer
    for _ in range(args.repeats + 1):
        for learn in learners.values(): fit_epoch(learn, part.lr)
    seconds = {name: median(learn.watch.seconds[1:])/args.steps for name, learn in learners.items()}
    pictures = part.bs*(2 if stage == 1 else 1)
    flops = part.bs*training_flops(stage, config)/seconds["bfloat16, drawn"]
    return {"pictures_per_second": {name: pictures/value for name, value in seconds.items()}, "flops": flops,
            "memory_gb": memory(args.device)}

def speed(args):
    "Both stages, in every process; the first one reports."
    config, found = CONFIGS[args.config], {}
    photos = make_photos(config)
    with tempfile.TemporaryDirectory() as folder:
        for stage in (1, 2): found[f"stage {stage}"] = speed_of(stage, config, photos, args, folder)
    return found | {"matrix_flops": peak_flops(args.device, args.matrix)}

# --- the command

OPTIONS = {"config": "paper-tiny", "device": "cuda" if torch.cuda.is_available() else "cpu", "workers": 0, "steps": 4,
           "repeats": 4, "matrix": 1024 if not torch.cuda.is_available() else 8192, "agreement_steps": 12}

def make_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in OPTIONS.items(): parser.add_argument(f"--{name}", type=type(value), default=value)
    parser.add_argument("--parts", nargs="+", choices=["agreement", "speed"], default=["agreement", "speed"])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="how many, in the part speed")
    parser.add_argument("--peak_tflops", type=float, help="of the device in bfloat16, from its data sheet")
    parser.add_argument("--out", help="a .json file")
    parser.add_argument("--child", choices=["agreement", "speed"], help=argparse.SUPPRESS)
    return parser

def report(found, args):
    "The part speed in lines."
    for n, result in found.items():
        for stage in (1, 2):
            of_stage, peak = result[f"stage {stage}"], result["matrix_flops"]
            ways = ", ".join(f"{name} {value:.1f}" for name, value in of_stage["pictures_per_second"].items())
            share = f"{of_stage['flops']/int(n)/peak:.0%} of a process's speed in matrix products"
            if args.peak_tflops: share += f", {of_stage['flops']/int(n)/args.peak_tflops/1e12:.0%} of the data sheet's"
            print(f"processes {n}, stage {stage}: pictures/s {ways}; {share}; {of_stage['memory_gb']:.2f} GB each")

def main():
    args = make_parser().parse_args()
    if args.child:
        with processes(args.workers) as state: found = {"agreement": agreement, "speed": speed}[args.child](args)
        if state.is_main_process: Path(args.out).write_text(json.dumps(found))
        return
    results = provenance("python tests/bench_processes.py " + " ".join(sys.argv[1:]), 0)
    results |= {"config": args.config, "device": args.device, "load_before": os.getloadavg()[0]}
    if "agreement" in args.parts: results["agreement"] = two_against_one(args)
    if "speed" in args.parts:
        results["speed"] = {n: run_child(n, "speed", args) for n in args.processes}
        report(results["speed"], args)
    if args.out: save_results(results, args.out)

if __name__ == "__main__": main()
