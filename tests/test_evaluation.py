"""`pienet_evaluate` as a program: what it measures, what it refuses, what it writes."""
import json, shutil

import pytest

from pienet_nb.photos import photo_files, sample_photos
from pienet_nb.enhancer import PieModel
from pienet_nb.research.evaluation import CONDITIONS, RESULTS, RIVALS, evaluate_folders
from pienet_nb.metrics import METRICS
from pienet_nb.research.benchmarks import pienet_evaluate
from pienet_nb.research.real_people import apart_from
from pienet_nb.looks import Lut, built_in_looks
from pienet_nb.training import split_looks
from tiny_model import random_model, run  # noqa: F401 (fixture)

HELD_OUT = ["film/held_out_1", "film/held_out_2", "mono/other_film_1"]

@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    "A model that held three LUTs and six photos out, and the folders of all photos and LUTs."
    root = tmp_path_factory.mktemp("evaluation")
    (root/"photos").mkdir()
    for path in sample_photos(): shutil.copy(path, root/"photos")
    for name, look in zip(HELD_OUT + ["film/in_training_1"], built_in_looks().values()):
        (root/"luts"/name).parent.mkdir(parents=True, exist_ok=True)
        Lut.bake(look, 5).save(root/"luts"/f"{name}.cube")
    model = random_model()
    model.config["image_size"] = 32
    model.config["training"] = {"test_photos": [p.stem for p in sample_photos()[:-1]], "held_out_looks": HELD_OUT}
    model.save(root/"model")
    return root

def options(folders, *more):
    return ["--quick", "--model", folders/"model", "--photos", folders/"photos", "--looks", folders/"luts", *more]

def test_only_what_was_held_out_is_used(run, folders, tmp_path):
    code, out, err = run(pienet_evaluate, *options(folders, "--out", tmp_path/"quick.json", "--n_queries", 2))
    assert (code, err) == (0, "")
    results = json.loads((tmp_path/"quick.json").read_text())
    assert [row["look"] for row in results["per_look"]] == HELD_OUT
    assert sample_photos()[-1].stem not in {photo for row in results["per_look"] for photo in row["photos"]}
    assert (results["n_photos"], results["n_looks"], results["n_preferred"], results["n_queries"]) == (6, 3, 4, 2)
    assert results["model_id"] == PieModel.load(folders/"model").model_id
    assert "left out of training" in out and "| own vector |" in out
    assert {"command", "seed", "commit", "hardware", "date"} <= set(results)
    assert str(folders) not in json.dumps(results) and str(tmp_path) not in json.dumps(results)

def test_layout_of_the_summary(run, folders, tmp_path):
    run(pienet_evaluate, *options(folders, "--out", tmp_path/"quick.json"))
    summary = json.loads((tmp_path/"quick.json").read_text())["summary"]
    assert list(summary) == CONDITIONS
    for part in summary.values():
        assert list(part) == ["all", "film", "mono"] and (part["film"]["n_looks"], part["film"]["n_stocks"]) == (2, 1)
        for metric in METRICS:
            assert set(part["all"][metric]) == set(RESULTS) and set(part["all"]["gain"][metric]) == set(RIVALS)
            for gain in part["all"]["gain"][metric].values():
                assert gain["low"] <= gain["mean"] <= gain["high"] and 0 <= gain["share"] <= 1 and gain["n"] == 3

def test_twice_the_same_and_another_seed_another_draw(folders):
    places = folders/"model", folders/"photos", folders/"luts"
    first, again, other = (evaluate_folders(*places, n_preferred=2, n_queries=1, seed=s) for s in (42, 42, 1))
    assert first["per_look"] == again["per_look"] and first["summary"] == again["summary"]
    assert first["per_look"] != other["per_look"]

def test_runs_without_folders_as_a_program(folders, training_forks, root, tmp_path):
    program = tmp_path/"program.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(root)!r})\n"
                       "from pienet_nb.research.benchmarks import pienet_evaluate\npienet_evaluate()\n")
    done = training_forks.run(program, "--quick", "--model", folders/"model", "--n_queries", "1")
    assert done.returncode == 0, done.stderr
    assert "sample photos" in done.stdout and "made up" in done.stdout

@pytest.mark.parametrize("wrong, words", [
    (["--benchmark", "users"], "--photos FOLDER"),
    (["--benchmark", "grid"], "pienet_train --users"),
    (["--benchmark", "losses"], "--run FOLDER"),
    (["--benchmark", "people"], "--data FOLDER"),
    (["--benchmark", "people", "--data", "nowhere"], "no photos of real people"),
    (["--benchmark", "specialist"], "--photos FOLDER"),
    (["--benchmark", "domains"], "--photos FOLDER"),
    (["--quick", "--n_queries", 0], "1 or more"),
    (["--quick", "--model", "nowhere"], "no complete model"),
])
def test_refusals(run, wrong, words):
    code, out, err = run(pienet_evaluate, *wrong)
    assert code == 2 and out == "" and words in err and err.count("\n") == 1

def test_training_material_is_refused(run, folders, tmp_path):
    for kind, name in ("photos", sample_photos()[-1].name), ("luts", "film/in_training_1.cube"):
        (tmp_path/kind/name).parent.mkdir(parents=True)
        shutil.copy(folders/kind/name, tmp_path/kind/name)
        option = {"photos": "--photos", "luts": "--looks"}[kind]
        code, out, err = run(pienet_evaluate, *options(folders), option, tmp_path/kind)
        assert code == 2 and out == "" and "left out" in err and err.count("\n") == 1

def test_unwritable_result_file_is_refused_with_a_sentence(run, folders, tmp_path):
    code, _, err = run(pienet_evaluate, *options(folders, "--n_queries", 1, "--out", tmp_path/"missing"/"quick.json"))
    assert code == 2 and "cannot be written" in err

def test_real_luts_and_photos(shared_data, tmp_path, run):
    luts, photos = shared_data/"luts"/"cube", shared_data/"photos"
    names = sorted(p.relative_to(luts).with_suffix("").as_posix() for p in luts.rglob("*.cube"))
    held_out = split_looks(names)[1][:6]
    model = random_model()
    model.config["image_size"] = 32
    model.config["training"] = {"test_photos": [p.stem for p in photo_files(photos)[:33]], "held_out_looks": held_out}
    model.save(tmp_path/"model")
    code, _, err = run(pienet_evaluate, "--quick", "--model", tmp_path/"model", "--photos", photos, "--looks", luts,
                       "--out", tmp_path/"quick.json", "--n_queries", 3)
    assert (code, err) == (0, "")
    results = json.loads((tmp_path/"quick.json").read_text())
    assert (results["n_photos"], results["n_looks"], results["n_preferred"], results["n_queries"]) == (33, 6, 20, 3)

def test_real_people_are_never_shown_what_is_asked(shared_data, tmp_path, run):
    for part in "fivek/pairs_ac", "people/p05", "people/p14", "retouched":
        (tmp_path/"data"/part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path/"data"/part).symlink_to(shared_data/part, target_is_directory=True)
    model = random_model()
    model.config["image_size"] = 32
    model.save(tmp_path/"model")
    code, out, err = run(pienet_evaluate, "--benchmark", "people", "--model", tmp_path/"model", "--data",
                         tmp_path/"data", "--n_draws", 1, "--out", tmp_path/"people.json")
    assert (code, err) == (0, "")
    results = json.loads((tmp_path/"people.json").read_text())
    assert results["missing"] == ["fivek/pairs", "fivek/pairs_100"] and "| fivek/pairs_100 |" in out
    sets = {photo["set"] for photo in results["photos"]}
    assert sets == {"expert A, pairs_ac", "expert C, pairs_ac", "photographers, mild", "photographers, undeveloped",
                    "retouched"}
    assert all(0 < photo["scores"]["own vector"]["psnr"] < 100 for photo in results["photos"])
    assert str(tmp_path) not in json.dumps(results)

def test_expert_c_is_in_two_folders(shared_data):
    fivek = shared_data/"fivek"
    asked = photo_files(fivek/"pairs"/"expert_c")
    liked = apart_from(photo_files(fivek/"expert_c_256"), asked)
    names = {path.stem[:5] for path in liked}
    assert not names & {"a3203", "a3232"} and 140 <= len(liked) <= 148
    unnamed = apart_from(photo_files(fivek/"expert_c_256"), photo_files(fivek/"pairs_100"/"expert_c"))
    assert 130 <= len(unnamed) <= 150
