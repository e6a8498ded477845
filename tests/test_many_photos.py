"""`pienet_enhance --engine ray`: one session of Ray in which workers are killed, and what is said without one."""
import contextlib, io, os, signal, sys, tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from pienet_nb.commands import pienet_enhance
from pienet_nb.core import PieNetError
from pienet_nb.enhance import Enhancer
from pienet_nb.scale import many_photos
from tiny_model import model, picture, run  # noqa: F401 (fixtures)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")

N_PHOTOS, OPTIONS = 12, ("--style", "vivid", "--recursive")

def files(folder):
    "The results, without what is hidden."
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {str(path): (folder/path).read_bytes() for path in paths if not str(path).startswith(".")}

BEFORE, AFTER = "03.jpg", "07.jpg" # photos whose first worker is killed: while it works, and when the result is there

def logging_worker(log):
    "A class of workers that write what they begin, and are killed twice."
    class Logging(many_photos.PhotoWorker): # a local class travels to the workers as a whole
        def __call__(self, row):
            name, first = row["photo"], row["photo"] not in lines(log)
            with open(log, "a") as file: file.write(f"{name}\n")
            if name == BEFORE and first: os.kill(os.getpid(), signal.SIGKILL)
            outcome = super().__call__(row)
            if name == AFTER and first: os.kill(os.getpid(), signal.SIGKILL)
            return outcome
    def lines(log): return Path(log).read_text().split() if os.path.exists(log) else []
    return Logging

def attempt(photos, out, model, *more):
    "The command as typed: its exit code and what it says."
    from fastcore.script import anno_parser
    typed = [str(word) for word in (photos, *OPTIONS, "--model", model, "--out", out, "--engine", "ray", *more)]
    given = {name: value for name, value in vars(anno_parser(pienet_enhance).parse_args(typed)).items()
             if name not in ("pdb", "xtra")}
    with io.StringIO() as text, contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try: code = pienet_enhance(**given) or 0
        except SystemExit as end: code = end.code
        return code, text.getvalue()

@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    "Twelve small photos, two of them below, and a broken one."
    folder = tmp_path_factory.mktemp("many")/"photos"
    (folder/"sub").mkdir(parents=True)
    for i in range(N_PHOTOS): picture(seed=i).save(folder/f"{'sub/' if i < 2 else ''}{i:02}.jpg", quality=95)
    (folder/"broken.jpg").write_bytes(b"half a photo")
    return folder

@contextlib.contextmanager
def terminal(path):
    "Whatever is printed goes into a file, by whoever."
    with open(path, "w", buffering=1) as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file): yield
        finally: os.dup2(kept, 2); os.close(kept)

def options_of(out):
    "What the command gives to an engine."
    names = "skip_existing", "overwrite", "address", "jobs", "consistent", "dry_run", "report", "quiet"
    return SimpleNamespace(strength=1., recursive=True, out=out, **dict.fromkeys([*names, *many_photos.FILE_OPTIONS]))

@pytest.fixture(scope="module")
def session(photos, model, tmp_path_factory): # noqa: F811
    "What happened in one session of Ray."
    here, enhancer = tmp_path_factory.mktemp("session"), Enhancer.from_pretrained(model)
    log, out, made, usual = here/"log", here/"out", [], tempfile.mkdtemp
    def remembered(*args, **kwargs): made.append(usual(*args, **kwargs)); return made[-1]
    def left(): return [folder for folder in made if os.path.exists(folder)]
    patch = pytest.MonkeyPatch()
    patch.setattr(many_photos, "PhotoWorker", logging_worker(str(log)))
    patch.setattr(tempfile, "mkdtemp", remembered)
    patch.setattr(tempfile, "tempdir", None) # as in a process that has just begun
    with terminal(here/"terminal"), many_photos.on_ray(n_workers=2) as (_, error_stream):
        with contextlib.redirect_stderr(error_stream):
            batch = many_photos.run_photos(photos, enhancer, enhancer.styles["vivid"], options_of(out))
        patch.setattr(many_photos, "PhotoWorker", many_photos.PhotoWorker.__base__)
        first = files(out)
        (out/"05_vivid.jpg").unlink()
        more = "--skip_existing", "--report", here/"report.parquet"
        code, said = attempt(f"file://{photos}", f"file://{out}", model, *more)
        during = left()
    temporary = tempfile.gettempdir()
    patch.undo()
    return SimpleNamespace(here=here, batch=batch, begun=Counter(log.read_text().split()), first=first,
                           second=files(out), code=code, said=said, during=during, after=left(), temporary=temporary)

@pytest.fixture(scope="module")
def expected(photos, model, tmp_path_factory): # noqa: F811
    "The results of the run on one process."
    out = tmp_path_factory.mktemp("expected")
    text = io.StringIO()
    with pytest.raises(SystemExit), contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        pienet_enhance([str(photos)], style="vivid", recursive=True, model=str(model), out=str(out), jobs=1)
    return files(out)

@pytest.mark.slow
def test_killed_workers_lose_nothing(session, expected):
    assert len(expected) == N_PHOTOS and session.first == expected
    assert len(session.batch.done) == N_PHOTOS and {str(photo) for photo in session.batch.failed} == {"broken.jpg"}

@pytest.mark.slow
def test_no_more_is_repeated_than_was_in_their_hands(session):
    assert session.begun == Counter([f"{'sub/' if i < 2 else ''}{i:02}.jpg" for i in range(N_PHOTOS)]
                                    + ["broken.jpg", BEFORE, AFTER])

@pytest.mark.slow
def test_the_command_goes_on_with_the_run(session, expected):
    assert (session.code, session.second) == (1, expected), session.said
    *progress, where, count, what, why = session.said.splitlines()
    assert where.endswith("report.parquet") and count.startswith("1 done, 11 skipped (done before: 11), 1 failed")
    assert what == "1 could not be done:" and "broken.jpg is not a photo" in why
    assert all(" of 2" in line for line in progress)

@pytest.mark.slow
def test_the_report_has_a_row_for_each_photo(session):
    table = pq.read_table(session.here/"report.parquet").to_pylist()
    assert Counter(row["outcome"] for row in table) == {"done": N_PHOTOS, "failed": 1}
    assert [row["photo"] for row in table] == sorted(row["photo"] for row in table)
    known, = (row for row in table if row["photo"] == AFTER)
    assert known["why"].startswith("done before") # a worker was killed, and the next one saw that it had been done

@pytest.mark.slow
def test_ray_says_nothing_and_leaves_nothing(session):
    said = (session.here/"terminal").read_text().splitlines()
    assert said and all(" of 13" in line or "report.parquet" in line for line in said), said
    assert session.during and not session.after and os.path.isdir(session.temporary)

def test_missing_packages_are_named(run, photos, model, tmp_path, monkeypatch): # noqa: F811
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, said = run(pienet_enhance, photos, *OPTIONS, "--model", model, "--out", tmp_path/"out", "--engine", "ray")
    assert code == 2 and "pip install 'pienet_nb[scale]'" in said and not (tmp_path/"out").exists()

def test_options_without_meaning_are_refused(run, photos, model, tmp_path): # noqa: F811
    for more in ("--jobs", 2), ("--consistent",), ("--report", "report.json"), ("--bits", 9):
        code, _, said = run(pienet_enhance, photos, *OPTIONS, "--model", model, "--out", tmp_path/"out",
                            "--engine", "ray", *more)
        assert code == 2 and said.count("\n") == 1 and not (tmp_path/"out").exists(), said

def test_a_cluster_that_does_not_answer(monkeypatch):
    import ray
    def refuse(**about): raise ConnectionError("nobody is there")
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(PieNetError, match="Ray cannot be reached at 192.0.2.1:1 .ConnectionError: nobody"):
        with many_photos.on_ray("192.0.2.1:1"): pass
