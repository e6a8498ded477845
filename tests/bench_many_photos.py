"""Photos per core-second on Ray, memory while they stream, and what a run costs its first process. By hand:
python tests/bench_many_photos.py --write

Nothing here is a test: times depend on the machine and on what else it does, so one core alone and Ray are measured by
turns, and only the middle of a Ray run counts, where all workers are at work.
--write puts the table into nbs/results/many_photos.json, which 42_many_photos shows.
"""
import argparse, contextlib, functools, json, os, shutil, subprocess, tempfile, threading, time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import psutil

from bench_enhance import CAMERA, ROOT, make_photos
from pienet_nb.core import threads_per_photo
from pienet_nb.enhance import Enhancer
from pienet_nb.folder import Batch
from pienet_nb.scale.many_photos import FILE_OPTIONS, PhotoWorker, list_photos, make_plan, on_ray, open_place

RESULTS = ROOT/"nbs"/"results"/"many_photos.json"
OPTIONS = SimpleNamespace(strength=1., overwrite=True, skip_existing=False, **dict.fromkeys(FILE_OPTIONS))

def some_photos(folder):
    "Three cameras' JPEGs of 12.7 to 16 megapixels if they are beside the checkout, else sample photos, enlarged to 12."
    return [Path(shutil.copy(path, folder)) for path in sorted(CAMERA.glob("*.jpg"))] or make_photos(folder, 8)

def megapixels(photos):
    from PIL import Image
    sizes = [Image.open(path).size for path in photos]
    return sum(width*height for width, height in sizes)/len(sizes)/1e6

def linked(photos, folder, n):
    "A folder with `n` names of a few photos; the disk holds each once."
    folder.mkdir()
    for i in range(n): os.link(photos[i % len(photos)], folder/f"{i:05}.jpg")
    return folder

def new_worker(source, out): # what a worker process makes for itself
    enhancer = Enhancer.from_pretrained()
    return PhotoWorker(enhancer, enhancer.styles["vivid"], open_place(source), open_place(out), OPTIONS)

class NoWork:
    "Says that a photo is done; what is left is giving out."
    def __call__(self, row): return {"photo": row["photo"], "photo_bytes": 0, "result_bytes": 0}

def rows_of(folder): return make_plan(list_photos(open_place(folder)), "vivid", {}, {})

def alone(folder, out):
    "Photos per second on one core, without Ray."
    import torch
    torch.set_num_threads(1)
    with threads_per_photo(1):
        worker, (first, *rows) = new_worker(folder, out), rows_of(folder)
        worker(first)
        start = time.perf_counter()
        outcomes = [worker(row) for row in rows]
    assert {outcome["outcome"] for outcome in outcomes} == {"done"}, outcomes
    return len(rows)/(time.perf_counter() - start), outcomes

def memory():
    "Megabytes of the workers, and of this process with all that it started; shared pages are shared out."
    workers = everything = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            megabytes = process.memory_full_info().pss/1e6
            everything += megabytes
            workers += megabytes*("MapWorker" in " ".join(process.cmdline()))
    return workers, everything

class Watch(threading.Thread):
    "Looks at the memory every two seconds; a look takes a tenth of one."
    def __init__(self):
        super().__init__(daemon=True)
        self.start_time, self.seen, self.done, self.n_done = time.perf_counter(), [], threading.Event(), 0

    def run(self):
        while not self.done.wait(2):
            self.seen.append((round(time.perf_counter() - self.start_time, 1), self.n_done, *map(round, memory())))

def on_engine(make_worker, rows, n_workers, watch=None):
    "Seconds at which outcomes came."
    times, start = [], time.perf_counter()
    with on_ray(None, n_workers) as (give_out, _):
        for _ in give_out(make_worker, rows):
            times.append(time.perf_counter() - start)
            if watch: watch.n_done = len(times)
    return times

def rate(times):
    "Outcomes per second in the middle of a run."
    first, last = len(times)//5, len(times)*9//10
    return (last - first)/(times[last] - times[first])

def watched(photos, folder, n, n_workers):
    "A run on Ray with `n` photos: photos per core-second, and what the memory did."
    source, watch = linked(photos, folder/f"{n}-{n_workers}", n), Watch()
    watch.start()
    times = on_engine(functools.partial(new_worker, str(source), f"{source}-out"), rows_of(source), n_workers, watch)
    watch.done.set(); watch.join()
    print(f"{n} photos, {n_workers} workers: {rate(times)/n_workers:.2f} photos per core-second, first after "
          f"{times[0]:.1f} s, {max(row[2] for row in watch.seen)} MB in workers")
    return {"photos": n, "workers": n_workers, "rate": rate(times)/n_workers, "first": times[0], "seen": watch.seen}

def bench_plan(n):
    "Memory and time that the first process needs for each photo, before anything is given out."
    before, start = psutil.Process().memory_info().rss, time.perf_counter()
    from pathlib import PurePosixPath
    batch = Batch({PurePosixPath(f"2024/05/{i//1000:04}/IMG_{i:08}.jpg"): PurePosixPath(".") for i in range(n)})
    rows = make_plan(batch, "vivid", {}, {})
    seconds = time.perf_counter() - start
    return {"photos": len(rows), "bytes": (psutil.Process().memory_info().rss - before)/n, "seconds": seconds/n}

def seconds_of_ledger():
    "CPU seconds of the process that keeps the ledger."
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "Ledger" in process.cmdline()[0]: return sum(process.cpu_times()[:2])

def bench_giving_out(n, n_workers):
    "Photos that are given out and taken back in a CPU second of the process that has most to do for it."
    rows = [{"photo": f"{i:08}.jpg", "target": f"{i:08}_vivid.jpg", "free": True, "changed": False} for i in range(n)]
    seen = []
    with on_ray(None, n_workers) as (give_out, _):
        for i, _ in enumerate(give_out(NoWork, rows)):
            if i in (n//10, n*9//10): seen.append((time.process_time(), seconds_of_ledger()))
    return 0.8*n/max(later - earlier for earlier, later in zip(*seen))

def about():
    "Where and of which code the numbers are."
    run = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    command = "python tests/bench_many_photos.py --write"
    return {"command": command, "commit": run.stdout.strip(), "cores": os.cpu_count()}

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs=2, default=[48, 192], help="in the smaller and the larger run")
    parser.add_argument("--rows", type=int, default=16_000, help="given out to workers that do nothing")
    parser.add_argument("--write", action="store_true", help="put the table into nbs/results/many_photos.json")
    args = parser.parse_args()
    table = about() | {"plan": bench_plan(100_000)} # first, while this process is small
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        folder = Path(folder)
        photos = some_photos(folder)
        few = linked(photos, folder/"few", 16)
        turns, runs = [], []
        for n, n_workers in (args.photos[0], 1), (args.photos[0], 2), (args.photos[1], 2):
            turns.append(alone(few, folder/f"few-{len(turns)}"))
            runs.append(watched(photos, folder, n, n_workers))
        outcomes = turns[0][1]
        table |= {"runs": runs, "megapixels": megapixels(photos), "alone": median(turn[0] for turn in turns),
                  "photo_bytes": sum(outcome["photo_bytes"] for outcome in outcomes)/len(outcomes),
                  "result_bytes": sum(outcome["result_bytes"] for outcome in outcomes)/len(outcomes),
                  "given_out": bench_giving_out(args.rows, 2)}
    print({name: value for name, value in table.items() if name != "runs"})
    if args.write: RESULTS.write_text(json.dumps(table) + "\n")

if __name__ == "__main__": main()
