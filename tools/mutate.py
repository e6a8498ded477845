"""Break one line of an exported cell and see whether the notebook's own tests notice:
`python tools/mutate.py nbs/10_embed.ipynb`.

A mutant is a copy of an exported cell with one change: an operator or a comparison turned round, a number in a body
changed, a condition negated, a statement, a keyword argument or a method call left out. The notebook is run to the
cell; a fork of the process runs the mutant and the cells after it. It is killed if one of them fails or takes far too
long. What is not changed: texts, error messages, type hints and defaults, which are choices and not logic.
With `--out FILE` the rates are kept in a JSON file, and `--table FILE` prints them as Markdown. By hand, not in CI.
"""
import argparse, ast, copy, json, os, random, re, resource, signal, subprocess, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"): os.environ[name] = "1"
ROOT = Path(__file__).resolve().parent.parent
WAITS = 60 # seconds; a mutant that does next to nothing for so long waits for what never comes
SKIPPED = re.compile(r"^#\|\s*(slow|cuda|data|eval:\s*false)", re.MULTILINE)
TURNED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Lt: ast.GtE, ast.GtE: ast.Lt,
          ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
          ast.In: ast.NotIn, ast.NotIn: ast.In, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
          ast.Is: ast.IsNot, ast.IsNot: ast.Is}
METHODS = ("clamp", "clip", "clamp_min", "clamp_max", "round", "sqrt", "abs", "detach", "contiguous", "flip") # left out

# --- mutants of a cell

def bodies(tree):
    "Every node that is logic: not in a text, an error message, a type hint, a default or an import."
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.Raise, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.arguments)): continue
        if isinstance(tree, ast.AnnAssign) and child is tree.annotation: continue
        if isinstance(tree, (ast.FunctionDef, ast.ClassDef)) and child in tree.decorator_list: continue
        if isinstance(tree, ast.FunctionDef) and child is tree.returns: continue
        yield child
        yield from bodies(child)

def is_docstring(node): return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)

def changes(node):
    "The ways to break one node, each a function that changes it in place."
    def set_to(name, value): return lambda: setattr(node, name, value)
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in TURNED:
        yield set_to("op", TURNED[type(node.op)]())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in TURNED:
        yield set_to("ops", [TURNED[type(node.ops[0])](), *node.ops[1:]])
    if isinstance(node, ast.Constant) and isinstance(node.value, bool): yield set_to("value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield set_to("value", node.value*2 + 1)
    if isinstance(node, (ast.If, ast.IfExp, ast.While)): yield set_to("test", ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, ast.Call) and node.keywords: yield set_to("keywords", node.keywords[1:])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        yield lambda: node.__dict__.update(func=ast.Name("_same", ast.Load()), args=[node.func.value], keywords=[])
    if isinstance(node, (ast.FunctionDef, ast.For, ast.If, ast.With)): yield from left_out(node)

def left_out(node):
    "The ways to leave out one statement of a block."
    for field in ("body", "orelse"):
        block = getattr(node, field, None) or []
        for i, line in enumerate(block):
            if isinstance(line, (ast.Assign, ast.AugAssign, ast.Expr)) and not is_docstring(line):
                yield lambda block=block, i=i: block.__setitem__(i, ast.Pass())

def mutants(source, seed, n):
    "Up to `n` broken versions of a cell: (number of the line, source)."
    tree = ast.parse(source)
    places = [(i, j) for i, node in enumerate(bodies(tree)) for j, _ in enumerate(changes(node))]
    chosen = random.Random(seed).sample(places, min(n, len(places)))
    for i, j in sorted(chosen):
        broken = copy.deepcopy(tree)
        node = list(bodies(broken))[i]
        line = node.lineno
        list(changes(node))[j]()
        text = ast.unparse(ast.fix_missing_locations(broken))
        if text != ast.unparse(tree): yield line, text

def difference(old, new):
    "The first line in which two cells differ, before and after."
    pairs = zip(ast.unparse(ast.parse(old)).splitlines(), new.splitlines())
    return next(((a.strip(), b.strip()) for a, b in pairs if a != b), ("", "(a line left out)"))

# --- running

class Notebook:
    "The code cells of a notebook, run one after the other in this process."
    def __init__(self, path):
        from execnb.shell import CaptureShell
        from fastcore.test import test_eq # noqa: F401, the shell's cells import it anyway: load it before the forks
        os.chdir(path.parent)
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        self.cells = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        self.cells = [s for s in self.cells if not SKIPPED.search(s) and "default_exp" not in s]
        self.shell, self.seconds = CaptureShell(path=path.parent), []
        self.shell.run("_same = lambda value: value")

    def run(self, source):
        with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
            self.shell.run(source)
        if self.shell.exc: raise self.shell.exc

    def survives(self, mutant, after, limit):
        "Whether a fork that runs the mutant and the cells `after` it finds no fault within `limit` seconds of CPU."
        with tempfile.TemporaryDirectory() as own:
            child = os.fork()
            if child == 0: self.run_and_exit((mutant, *after), own, limit)
            return ended_well(child)

    def run_and_exit(self, cells, own, limit):
        "In a fork: run cells, with a folder of its own for temporary files; those of the notebook stay as they are."
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + limit), resource.RLIM_INFINITY))
        remove, tempfile.tempdir = tempfile.TemporaryDirectory._rmtree, own
        def _own_only(name, *args, **kwargs):
            if str(name).startswith(own): remove(name, *args, **kwargs)
        tempfile.TemporaryDirectory._rmtree = staticmethod(_own_only)
        try:
            for cell in cells: self.run(cell)
        except BaseException: os._exit(1)
        os._exit(0)

def ended_well(child):
    "Whether a process ends with exit code 0; one that only waits is killed, with all it started."
    seen, before = time.monotonic(), 0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done: return status == 0
        if time.monotonic() > seen + WAITS: # a share of the machine, however small, is more than this
            now = cpu_seconds(child)
            if now - before < 0.005*WAITS: break
            seen, before = time.monotonic(), now
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL); os.waitpid(child, 0)
    return False

def cpu_seconds(session):
    "What the processes of a session have used (Linux)."
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try: fields = path.read_text().rpartition(")")[2].split()
        except OSError: continue # it has just ended
        if int(fields[3]) == session: ticks += sum(map(int, fields[11:15])) # its own, and of what it waited for
    return ticks/os.sysconf("SC_CLK_TCK")

def seconds_by_cell(path):
    "The CPU time of each cell, from a whole run in a fork."
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        book, found = Notebook(path), []
        for cell in book.cells:
            start = time.process_time(); book.run(cell); found.append(time.process_time() - start)
        os.write(write, json.dumps(found).encode()); os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe: text = pipe.read()
    os.waitpid(child, 0)
    if not text: raise SystemExit(f"{path.name} does not run as it is: mend it first")
    return json.loads(text)

def mutate(path, per_cell, seed, words=""):
    "How many mutants of one notebook there were and were killed, and what the survivors changed."
    seconds, book, n, survivors = seconds_by_cell(path), Notebook(path), 0, []
    for i, cell in enumerate(book.cells):
        if re.match(r"#\|\s*exports?\b", cell) and words in cell:
            for line, text in mutants(cell, f"{seed}/{cell}", per_cell):
                n += 1
                if book.survives(text, book.cells[i + 1:], 20 + 3*sum(seconds[i:])):
                    survivors.append(difference(cell, text))
        book.run(cell)
    return {"mutants": n, "killed": n - len(survivors), "survivors": survivors}

# --- results

def table(results):
    "Markdown: a line for each notebook, and the sum."
    def _line(name, n, killed): return f"| {name} | {n} | {killed} | {killed/max(n, 1):.0%} |"
    rows = [(name, r["mutants"], r["killed"]) for name, r in sorted(results["notebooks"].items())]
    total = ("**all**", *(sum(row[k] for row in rows) for k in (1, 2)))
    head = ["| notebook | mutants | killed | rate |", "|---|---|---|---|"]
    return "\n".join([*head, *(_line(*row) for row in (*rows, total))])

def commit():
    "The commit of the checkout, `-dirty` if something in it was changed since."
    words = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout.strip()

def keep(out, path, found, options, made_at):
    "Put the result of one notebook into the results file."
    kept = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"notebooks": {}}
    kept["command"] = "python tools/mutate.py nbs/NOTEBOOK.ipynb --per_cell PER_CELL --seed SEED --out FILE"
    found |= {"per_cell": options.per_cell, "seed": options.seed, "commit": made_at}
    kept["notebooks"] = dict(sorted((kept["notebooks"] | {path.stem: found}).items()))
    out.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

def in_its_own_process(path, options):
    "A notebook and its result, from a process of its own; None if that failed, which has said why."
    words = [sys.executable, __file__, path, "--per_cell", options.per_cell, "--seed", options.seed]
    words += ["--cell", options.cell, "--json"]
    run = subprocess.run([*map(str, words)], stdout=subprocess.PIPE, text=True)
    last = run.stdout.splitlines()[-1:] # before it, what a notebook wrote past the shell
    return path, json.loads(last[0]) if run.returncode == 0 and last else None

def report(path, found):
    "What one notebook's tests did not notice, and the count."
    for before, after in found["survivors"]: print(f"  survives: {before}\n        as: {after}")
    print(f"{path.stem}: {found['killed']} of {found['mutants']} killed", flush=True)

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--per_cell", type=int, default=2, help="mutants of each exported cell")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other mutants")
    parser.add_argument("--cell", default="", help="only cells that hold this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="notebooks at a time")
    parser.add_argument("--out", type=Path, help="JSON file in which the rates are kept")
    parser.add_argument("--table", type=Path, help="print this JSON file as a table")
    parser.add_argument("--json", action="store_true", help="of one notebook, the result alone")
    options = parser.parse_args()
    if options.table: return print(table(json.loads(options.table.read_text(encoding="utf-8"))))
    paths = [path.resolve() for path in options.notebooks]
    if options.json: return print(json.dumps(mutate(paths[0], options.per_cell, options.seed, options.cell)))
    out, made_at = options.out and options.out.resolve(), commit()
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(in_its_own_process, path, options) for path in paths]
        for path, found in (run.result() for run in as_completed(runs)):
            if found: report(path, found)
            if found and out: keep(out, path, found, options, made_at)

if __name__ == "__main__": main()
