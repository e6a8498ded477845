"""Write pienet_nb/model/MODEL_CARD.md from the model's config.json, nbs/results/quick.json and rest.json: `make model_card`.

The prose is here, the numbers are in those three files.
"""
import json
from pathlib import Path
from statistics import median

from pienet_nb.evaluation import gains_table, kinds_table, scores_table
from pienet_nb.styles import classical_looks

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT/"pienet_nb/model"

def families(styles):
    "How many training styles of each kind: built-in, algorithm, simulated person, random preset, LUT."
    algorithms = classical_looks()
    def kind(name):
        for start, words in ("retoucher-", "simulated retouchers"), ("preset-", "presets with random sliders"):
            if name.startswith(start): return words
        return "film-look LUTs" if "/" in name else "classical algorithms" if name in algorithms else "built-in looks"
    kinds = [kind(name) for name in styles]
    return ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds), key=kinds.count, reverse=True))

def rest_sentence(rest):
    "What the share of the rest is worth, for each kind of look, on disturbed sources."
    scores = {kind: [part["degraded"][share]["mean"] for share in ("0", "1")] for kind, part in rest["kinds"].items()}
    return ", ".join(f"{none:.2f} and {all_:.2f} dB for {kind}" for kind, (none, all_) in scores.items())

def render():
    model = json.loads((MODEL/"config.json").read_text(encoding="utf-8"))
    results = json.loads((ROOT/"nbs/results/quick.json").read_text(encoding="utf-8"))
    rest = json.loads((ROOT/"nbs/results/rest.json").read_text(encoding="utf-8"))
    if rest["model_id"] != model["model_id"]: raise SystemExit("rest.json was made with another model: run tools/choose_rest.py.")
    training, recipe = model["training"], model["training"]["config"]
    if results["model_id"] != model["model_id"]: raise SystemExit("quick.json was made with another model: evaluate this one first.")
    embed, enhancer = training["history"]["embed"], training["history"]["enhancer"]
    minutes = [sum(row["seconds"] for row in stage)/60 for stage in (embed, enhancer)]
    pace = [median(row["seconds"] for row in stage) for stage in (embed, enhancer)]
    best = max(enhancer, key=lambda row: row["psnr"])
    size = sum(path.stat().st_size for path in MODEL.glob("*.safetensors"))/1e6
    degraded, finished = results["summary"]["degraded"], results["summary"]["finished"]
    return f"""# Model card: {model["model_id"]}

Two networks that give a photo the taste of about 20 preferred photos, after Kim, Koh and Kim, *PieNet: Personalized Image Enhancement Network*, ECCV 2020. {size:.1f} MB, half precision, safetensors. Configuration `{recipe["name"]}`: width {recipe["width"]}, {recipe["image_size"]}×{recipe["image_size"]} pixels; the edit is carried over to full size by a fitted LUT (08_fullres).

## Data

- **Photos:** {len(training["train_photos"])} for training and {len(training["valid_photos"])} for validation, of the 400 natural photographs in the Berkeley segmentation data (BSDS500, 481×321 pixels). {len(training["test_photos"])} were left out for tests. All are finished pictures: their untouched sources are made by disturbing exposure, white balance, contrast and saturation (00_data). No photo by a retoucher of FiveK was used.
- **Styles:** {len(training["styles"])}: {families(training["styles"])}. The LUTs imitate film stocks and come from G'MIC's collections; whole stocks, {len(training["held_out_looks"])} LUTs, were left out.
- **Start of the embedding network:** {"ImageNet weights of torchvision's ResNet-18 up to layer 3, its batch norm folded in and restored (02_embed); layer 4 started at random, because its weights were not to be had." if training["imagenet_start"] else "random."}

## Training

Command: `pienet_train --config {recipe["name"]} --photos PHOTOS --looks LUTS --weights RESNET18 --out RUN`, seed {recipe["seed"]}, commit `{training["commit"]}`, on {training["device"].upper()} (two cores, shared with other work and once paused for five minutes), bfloat16 mixed precision.

| stage | steps | batch | highest learning rate | time by the clock | median of {recipe["steps_per_epoch"]} steps |
|---|---|---|---|---|---|
| 1, embedding and preference vectors | {len(embed)*recipe["steps_per_epoch"]:,} | {recipe["triplet_bs"]} triplets | {recipe["triplet_lr"]:g} | {minutes[0]:.0f} min | {pace[0]:.0f} s |
| 2, enhancer | {len(enhancer)*recipe["steps_per_epoch"]:,} | {recipe["bs"]} pairs | {recipe["lr"]:g} | {minutes[1]:.0f} min | {pace[1]:.0f} s |

In stage 2, {recipe["photo_vectors"]:.0%} of the rows get their vector from 1 to 32 preferred photos of other scenes, the others the style's preference vector; noise of norm {recipe["vector_noise"]:g} is added to both. On the validation photos, stage 1 ends with a triplet accuracy of {embed[-1]["triplet_accuracy"]:.3f} and a style accuracy of {embed[-1]["style_accuracy"]:.3f} among {len(training["styles"])} styles, many of them strengths of one film; stage 2 is best after epoch {best["epoch"]:.0f} with {best["psnr"]:.2f} dB.

Share of the network's edit beyond such a LUT that is added (`rest` in config.json): {model["rest"]:g}, chosen after training on validation photos and training looks by `{rest["command"]}`, commit `{rest["commit"]}`. There the own vector reaches, in PSNR with none and with all of it, {rest_sentence(rest)}.

## Results

Photos and looks that had no part in training: {results["photos"]}, {results["looks"]}. Each look is learnt from {results["n_preferred"]} photos and scored on {results["n_queries"]} other scenes. `{results["command"]}`, commit `{results["commit"]}`, {results["date"][:10]}.

Source disturbed (mean ± standard deviation over {results["n_looks"]} looks; mean and 95 % interval over film stocks):

{scores_table(degraded["all"])}

{gains_table(degraded["all"])}

{kinds_table(degraded)}

Source finished, as a camera or another editor left it:

{scores_table(finished["all"])}

{gains_table(finished["all"])}

## Limits

- Trained at {recipe["image_size"]} pixels, and only a rule about colours reaches the full-size photo: it looks at the whole photo, but treats equal colours alike wherever they are. Local edits are not carried over.
- The style learnt from 20 photos does no better than the nearest of the {len(training["styles"])} known styles (last row of the gains): the network is personal to the nearest look it knows, hardly beyond.
- The sources are simulated. How far this carries to raw files and to real retouchers is not measured here.
- On finished photos the gain is smaller than on disturbed ones: see the second table.
- The looks left out belong to the same families of film as those trained on; families never seen are not measured.
- Small photos of 481×321 pixels, mostly outdoor scenes of the 1990s: skin tones and night scenes are rare.

## Licence

The weights are under the Apache License 2.0, like the code. They were derived from the material named under *Data*, none of which is part of the package: the Berkeley photographs are given for research, and the collection of LUTs does not claim ownership of its looks.
"""

if __name__ == "__main__":
    (MODEL/"MODEL_CARD.md").write_text(render(), encoding="utf-8")
    print(MODEL.relative_to(ROOT)/"MODEL_CARD.md")
