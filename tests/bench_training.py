"""Speed of training, in ratios measured in one run. By hand: python tests/bench_training.py

Nothing here is a test: times depend on the machine. The aims are those of the project: our Learner at least at 0.95
times the speed of a plain PyTorch loop over the same model, loss, optimiser and batches; bfloat16 at least 1.5 times as
fast as float32, at the same loss after 200 steps. What is compared takes turns, so that other work on the machine slows
both. The configuration small takes about an hour on one thread; --size 48 a quarter of that.
"""
import argparse, contextlib, copy, io, sys, tempfile, time
from dataclasses import replace
from pathlib import Path
from statistics import mean, median, stdev

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch
from fastai.callback.core import Callback
from torch.nn import functional as F

from pienet_nb.photos import sample_photos
from pienet_nb.data import PairBatches, StyledPhotos, TripletBatches, styled_dls
from pienet_nb.embed import StyleEmbedding
from pienet_nb.enhancer import PieNet
from pienet_nb.research.evaluation import provenance, save_results
from pienet_nb.looks import built_in_looks
from pienet_nb.training import CONFIGS, CROP_MARGIN, StyleVectors, pie_learner
from pienet_nb.triplet import embed_learner

class Watch(Callback):
    "Seconds of the training part of each epoch, and the loss of each step."
    order, run_valid = -99, False
    def __init__(self, device): self.device, self.seconds, self.losses = device, [], []
    def before_train(self): self.start = time.perf_counter()
    def after_loss(self): self.losses.append(self.learn.loss.detach())
    def after_train(self): self.seconds.append(since(self.start, self.device))

def since(start, device):
    "Seconds since `start`, when all that was asked of the device is done."
    if device != "cpu": torch.cuda.synchronize()
    return time.perf_counter() - start

def make_learner(stage, config, photos, n_steps, device, folder, bf16=True, seed=0):
    "Our Learner of a stage with all its callbacks; an epoch has `n_steps`, its validation a single picture."
    torch.manual_seed(seed)
    watch, checkpoint, size = Watch(device), Path(folder)/f"{stage}-{bf16}.pt", config.image_size
    if stage == 1:
        batches = [TripletBatches(photos, bs, n, size, seed) for bs, n in ((config.triplet.bs, n_steps), (2, 1))]
        return embed_learner(styled_dls(*batches, device), StyleEmbedding(), config.triplet.margin, bf16=bf16,
                             wd=config.wd, checkpoint=checkpoint, cbs=[watch])
    options, n_styles = config.enhancer, len(photos.styles)
    vectors = StyleVectors(F.normalize(torch.randn(n_styles, 512), dim=1),
                           F.normalize(torch.randn(n_styles, len(photos), 512), dim=2), options.photo_vectors)
    batches = [PairBatches(photos, bs, n, size, seed, vectors=vectors) for bs, n in ((options.bs, n_steps), (1, 1))]
    return pie_learner(styled_dls(*batches, device), PieNet(options.width, options.encoder), StyleEmbedding(),
                       options.w_perceptual, options.w_tv, options.vector_noise, bf16, config.wd, checkpoint,
                       cbs=[watch])

def fit_epoch(learn, lr):
    "Seconds of one epoch's training part."
    with learn.no_bar(), learn.no_logging(): learn.fit(1, lr)
    return learn.watch.seconds[-1]

class PlainLoop:
    "What one would write without fastai: the same model, loss, batches, noise, precision and memory format."
    def __init__(self, learn, stage, config, device):
        self.model, self.loss_func = copy.deepcopy(learn.model).to(device), copy.deepcopy(learn.loss_func)
        if stage == 2: self.loss_func.to(device)
        self.model.to(memory_format=torch.channels_last).train()
        lr = (config.triplet if stage == 1 else config.enhancer).lr
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=lr, weight_decay=config.wd)
        self.dataset, self.n_inp, self.device = learn.dls.train.dataset, learn.dls.train.n_inp, device
        self.noise = config.enhancer.vector_noise if stage == 2 else 0

    def epoch(self):
        start = time.perf_counter()
        for i in range(len(self.dataset)):
            batch = [item.to(self.device) for item in self.dataset[i]]
            xb, yb = batch[:self.n_inp], batch[self.n_inp:]
            if self.noise: xb[1] = xb[1] + self.noise*F.normalize(torch.randn_like(xb[1]), dim=1)
            xb = [x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in xb]
            with torch.autocast(self.device, torch.bfloat16): loss = self.loss_func(self.model(*xb), *yb)
            loss.backward()
            self.opt.step(); self.opt.zero_grad()
        return since(start, self.device)

def against_plain_loop(stage, config, photos, args, folder):
    "Steps a second of our Learner and of a plain loop, by turns; the first turn does not count."
    learn = make_learner(stage, config, photos, args.steps, args.device, folder)
    plain = PlainLoop(learn, stage, config, args.device)
    lr, times = (config.triplet if stage == 1 else config.enhancer).lr, {"learner": [], "plain": []}
    for turn in range(args.repeats + 1):
        runs = [("learner", lambda: fit_epoch(learn, lr)), ("plain", plain.epoch)]
        for name, run in runs[::-1] if turn % 2 else runs: times[name].append(run())
    speed = {name: args.steps/median(seconds[1:]) for name, seconds in times.items()}
    ratios = [b/a for a, b in zip(times["learner"][1:], times["plain"][1:])]
    return speed | {"ratio": speed["learner"]/speed["plain"], "ratio_by_turn": ratios}

def precision(stage, config, photos, args, folder):
    "bfloat16 against float32: speed by turns of ten steps, and the mean loss of the last 50 steps, for several seeds."
    lr, n = (config.triplet if stage == 1 else config.enhancer).lr, 10
    losses, ratios, speed = [], [], {True: [], False: []}
    for seed in range(args.seeds):
        learners = {bf16: make_learner(stage, config, photos, n, args.device, folder, bf16, seed)
                    for bf16 in (True, False)}
        for turn in range(args.loss_steps//n):
            for bf16, learn in list(learners.items())[::-1 if turn % 2 else 1]:
                learn.dls.train.dataset.seed = f"{seed}/{turn}" # both see the same batches
                torch.manual_seed(turn) # and the same noise
                fit_epoch(learn, lr)
        seconds = {bf16: median(learn.watch.seconds[1:]) for bf16, learn in learners.items()}
        for bf16, speeds in speed.items(): speeds.append(n/seconds[bf16])
        ratios.append(seconds[False]/seconds[True])
        last = {bf16: torch.stack(learn.watch.losses[-50:]).float() for bf16, learn in learners.items()}
        losses.append({bf16: values.mean().item() for bf16, values in last.items()})
    difference = [row[True] - row[False] for row in losses]
    return {"bf16": mean(speed[True]), "fp32": mean(speed[False]), "ratio": median(ratios), "ratio_by_seed": ratios,
            "loss_bf16": [row[True] for row in losses], "loss_fp32": [row[False] for row in losses],
            "difference": difference}

def shown(values):
    "Mean and standard deviation."
    return f"{mean(values):.4f}" + (f" ± {stdev(values):.4f}" if len(values) > 1 else "")

def make_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=list(CONFIGS), default="small")
    parser.add_argument("--stages", type=int, nargs="+", default=[1, 2], choices=[1, 2])
    parser.add_argument("--steps", type=int, default=5, help="in a turn of the plain loop and the Learner")
    parser.add_argument("--repeats", type=int, default=6, help="turns that count; 0 leaves this part out")
    parser.add_argument("--loss_steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3, help="of the precisions; 0 leaves this part out")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", type=int, help="side of the squares, instead of the configuration's")
    parser.add_argument("--out", help="a .json file")
    return parser

def command_line(parser, args):
    "The command with the options that differ from the defaults."
    chosen = {key: value for key, value in vars(args).items() if key != "out" and value != parser.get_default(key)}
    words = {key: " ".join(map(str, value)) if isinstance(value, list) else value for key, value in chosen.items()}
    return " ".join(["python tests/bench_training.py", *(f"--{key} {value}" for key, value in words.items())])

def make_photos(config):
    "The sample photos in the built-in looks, of the configuration's size."
    ids, size = [path.stem for path in sample_photos()], round(config.image_size*CROP_MARGIN)
    with contextlib.redirect_stdout(io.StringIO()): # without the progress bar
        return StyledPhotos.from_looks(sample_photos(), ids, built_in_looks(), size)

def report_speed(stage, found):
    "Our Learner against a plain loop."
    turns = found["ratio_by_turn"]
    print(f"stage {stage}, steps/s: Learner {found['learner']:.2f}, plain loop {found['plain']:.2f}, "
          f"ratio {found['ratio']:.3f} (turns {min(turns):.2f} to {max(turns):.2f}; aim 0.95)", flush=True)

def report_precision(stage, found, args):
    "bfloat16 against float32."
    print(f"stage {stage}, steps/s: bfloat16 {found['bf16']:.2f}, float32 {found['fp32']:.2f}, "
          f"ratio {found['ratio']:.2f} (aim 1.5)\n"
          f"stage {stage}, loss after {args.loss_steps} steps, {args.seeds} seeds: "
          f"bfloat16 {shown(found['loss_bf16'])}, float32 {shown(found['loss_fp32'])}, "
          f"difference {shown(found['difference'])}", flush=True)

def main():
    parser = make_parser()
    args = parser.parse_args()
    config = CONFIGS[args.config]
    config = replace(config, image_size=args.size or config.image_size)
    photos, threads = make_photos(config), torch.get_num_threads()
    results = provenance(command_line(parser, args), 0)
    results |= {"config": args.config, "image_size": config.image_size, "device": args.device, "threads": threads}
    print(f"configuration {args.config} at {config.image_size} pixels, {args.device}, {threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        for stage in args.stages:
            if args.repeats:
                found = results[f"stage {stage}, learner"] = against_plain_loop(stage, config, photos, args, folder)
                report_speed(stage, found)
            if args.seeds:
                found = results[f"stage {stage}, precision"] = precision(stage, config, photos, args, folder)
                report_precision(stage, found, args)
            if args.out: save_results(results, args.out)

if __name__ == "__main__": main()
