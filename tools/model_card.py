"""Write pienet_nb/model/MODEL_CARD.md: `make model_card`.

The numbers come from the model's config.json and from quick.json, unseen.json and people.json in nbs/results.
The prose is here.
"""
import json
from collections import Counter
from pathlib import Path
from statistics import median

from pienet_nb.research.evaluation import gains_table, kinds_table, scores_table
from pienet_nb.classical import classical_looks
from pienet_nb.research.real_people import people_goals, people_table
from pienet_nb.research.unseen import goals_table, unseen_table

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT/"pienet_nb/model"

def families(styles):
    "How many training styles of each kind: built-in, algorithm, simulated person, random preset, LUT."
    algorithms = classical_looks()
    def kind(name):
        for start, words in (("retoucher-", "simulated retouchers"), ("preset-", "presets with random sliders"),
                             ("filters/", "filters of photo-sharing sites, fitted as LUTs")):
            if name.startswith(start): return words
        return "film-look LUTs" if "/" in name else "classical algorithms" if name in algorithms else "built-in looks"
    kinds = [kind(name) for name in styles]
    return ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds), key=kinds.count, reverse=True))

def read():
    "The model's config, and the results of the three evaluations, all of one model."
    model = json.loads((MODEL/"config.json").read_text(encoding="utf-8"))
    names = "quick", "unseen", "people"
    found = [json.loads((ROOT/f"nbs/results/{name}.json").read_text(encoding="utf-8")) for name in names]
    for name, results in zip(names, found):
        if name != "unseen" and results["model_id"] != model["model_id"]:
            raise SystemExit(f"{name}.json was made with another model: evaluate this one first.")
    return model, *found

def kinds_of_photos(ids):
    "How many photos of each kind: 282 of Berkeley's, 90 of kind, ..."
    counted = Counter(photo_id.rpartition("/")[0] for photo_id in ids)
    berkeley = "of the Berkeley segmentation data (BSDS500)"
    return ", ".join(f"{n} {kind or berkeley}" for kind, n in counted.most_common())

def flat_recipe(training):
    "All fields of the run and of its two stages side by side; those of the first begin with `triplet_`."
    recipe = training["config"]
    stages = recipe.get("triplet", {}), recipe.get("enhancer", {}) # of an older model, the recipe is flat already
    if not isinstance(stages[1], dict): return recipe
    return recipe | {f"triplet_{name}": value for name, value in stages[0].items()} | stages[1]

def about(model):
    "What the model is, and what it was trained on."
    training, recipe = model["training"], flat_recipe(model["training"])
    size = sum(path.stat().st_size for path in MODEL.glob("*.safetensors"))/1e6
    return f"""# Model card: {model["model_id"]}

Two networks that give a photo the taste of about 20 preferred photos, after Kim, Koh and Kim, *PieNet: Personalized Image Enhancement Network*, ECCV 2020. {size:.1f} MB, half precision, safetensors. Configuration `{recipe["name"]}`: width {recipe["width"]}, {recipe["image_size"]}×{recipe["image_size"]} pixels; the enhancer is a global colour transform (20_colour), a LUT for each photo, and so valid at any size.

## Data

- **Photos:** {len(training["train_photos"])} for training and {len(training["valid_photos"])} for validation, {len(training["test_photos"])} kept for tests; in training {kinds_of_photos(training["train_photos"])}. The sets are public: samples of ImageNet and COCO, Sun-Hays, Urban100, photographs of houses, flowers and clothes, of many cameras, wallpapers, and pictures from the repositories that the names say. All are finished pictures: their untouched sources are made by disturbing them mildly or as if nobody had developed them (06_data). No photo by a retoucher of FiveK, and none by the photographers of the tables below, was used.
- **Styles:** {len(training["styles"])}: {families(training["styles"])}. The LUTs imitate film stocks and come from G'MIC's collections; whole film stocks, {len(training["held_out_looks"])} LUTs in all, were left out.
- **Start of the embedding network:** {"ImageNet weights of torchvision's ResNet-18 up to layer 3, its batch norm folded in and restored (10_embed); layer 4 started at random, because its weights could not be obtained." if training["imagenet_start"] else "random."}
"""

def how_trained(training):
    "The two stages."
    recipe, embed, enhancer = flat_recipe(training), training["history"]["embed"], training["history"]["enhancer"]
    minutes = [sum(row["seconds"] for row in stage)/60 for stage in (embed, enhancer)]
    pace = [median(row["seconds"] for row in stage) for stage in (embed, enhancer)]
    best = max(enhancer, key=lambda row: row["mean_psnr"])
    return f"""## Training

Command: `pienet_train --config {recipe["name"]} --photos PHOTOS --more_photos KINDS --looks LUTS --weights RESNET18 --out RUN`, seed {recipe["seed"]}, commit `{training["commit"]}`, on {training["device"].upper()} (one thread of two cores, shared with other work), bfloat16 mixed precision.

| stage | steps | batch | highest learning rate | time by the clock | median of {recipe["steps_per_epoch"]} steps |
|---|---|---|---|---|---|
| 1, embedding and preference vectors | {len(embed)*recipe["steps_per_epoch"]:,} | {recipe["triplet_bs"]} triplets | {recipe["triplet_lr"]:g} | {minutes[0]:.0f} min | {pace[0]:.0f} s |
| 2, enhancer | {len(enhancer)*recipe["steps_per_epoch"]:,} | {recipe["n_looks"]} looks × {recipe["n_sources"]} sources | {recipe["lr"]:g} | {minutes[1]:.0f} min | {pace[1]:.0f} s |

Stage 1 was made at commit `8324e9804624` and its checkpoint carried over; the commits between changed how photo files are read, and nothing else that it depends on. All fields are in config.json.

In stage 2 the embedding network is {"frozen" if not recipe["embed_lr"] else "trained along"}. A step is a batch of episodes (22_episodes): {recipe["n_looks"]} looks drawn from the open world (21_open_world), each shown by 1 to {recipe["n_preferred"]} preferred photos and applied to {recipe["n_sources"]} photos of other scenes, {recipe["finished"]:.0%} of them finished, {recipe["mild"]:.0%} mildly disturbed, the others undeveloped; noise of norm {recipe["vector_noise"]:g} is added to the vectors. On the validation photos, stage 1 ends with a triplet accuracy of {embed[-1]["triplet_accuracy"]:.3f} and a style accuracy of {embed[-1]["style_accuracy"]:.3f} among {len(training["styles"])} styles, many of them strengths of one film; stage 2 is best after epoch {best["epoch"]:.0f} with {best["mean_psnr"]:.2f} dB. Which steps of the recipe pay: 33_ablations.
"""

def scores(results):
    "Photos and looks left out of the training."
    degraded, finished = results["summary"]["degraded"], results["summary"]["finished"]
    return f"""## Results

Photos and looks that had no part in training: {results["photos"]}, {results["looks"]}. Each look is learnt from {results["n_preferred"]} photos and scored on {results["n_queries"]} other scenes. `{results["command"]}`, commit `{results["commit"]}`, {results["date"][:10]}.

Source disturbed (mean ± standard deviation over {results["n_looks"]} looks; mean and 95 % interval over film stocks):

{scores_table(degraded["all"])}

{gains_table(degraded["all"])}

{kinds_table(degraded)}

Source finished, as a camera or another editor left it:

{scores_table(finished["all"])}

{gains_table(finished["all"])}
"""

def never_seen(unseen):
    "People and looks of other kinds than those of the training."
    return f"""### People and looks never seen

**Measured with model `{unseen["models"][""]}`.** `{unseen["command"]}`, commit `{unseen["commit"]}`, {unseen["date"][:10]}; rows and groups are explained in 34_unseen. What was wanted, and what was reached:

{goals_table(unseen).markdown()}

PSNR in dB, disturbed sources:

{unseen_table(unseen, "degraded").markdown()}

PSNR in dB, finished sources:

{unseen_table(unseen, "finished").markdown()}
"""

def real_people(people):
    "Retouchers and photographers."
    return f"""### Real people

`{people["command"]}`, commit `{people["commit"]}`, {people["date"][:10]}; sets and rows are explained in 37_real_people.

{people_goals(people).markdown()}

PSNR in dB:

{people_table(people).markdown()}
"""

LIMITS = """## Limits

- The edit is a global colour transform: it looks at the whole photo, but treats equal colours alike wherever they are. No local edits, no sharpening, no removal of noise.
- What disturbed a source has to be guessed from its colours alone, and cannot be known exactly: on disturbed sources most of the error comes from this and not from the taste.
- The goals marked "no" above were missed.
- The sources in the tables are simulated, except FiveK's and those of the retouched scenes.
- Small photos, 64 pixels a side in training.

## Licence

The weights are under the Apache License 2.0, like the code. They were derived from the material named under *Data*, none of which is part of the package. Several of the photo sets are given for research (ImageNet, COCO, Sun-Hays, Urban100, the Berkeley photographs), and the collections of LUTs and filters do not claim ownership of their looks: whoever uses the model commercially should ask what that means where they are.
"""

def render():
    model, results, unseen, people = read()
    parts = about(model), how_trained(model["training"]), scores(results), never_seen(unseen), real_people(people)
    return "\n".join([*parts, LIMITS])

if __name__ == "__main__":
    (MODEL/"MODEL_CARD.md").write_text(render(), encoding="utf-8")
    print(MODEL.relative_to(ROOT)/"MODEL_CARD.md")
