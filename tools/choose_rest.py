"""How much of the network's rest should reach the full-size photo? Writes nbs/results/rest.json and the model's config.

    python tools/choose_rest.py PHOTOS LUTS

On validation photos and training looks only: what the evaluation reports is not touched. A look is learnt from half of the
validation photos and scored on every second of the others, with the whole rest, half of it, and none; the best share of
the mean over all looks goes into the packaged model's config.json.
"""
import json, sys
from pathlib import Path

import numpy as np
import torch

from pienet_nb.core import photo_files, read_photo, replacing, to_tensor
from pienet_nb.data import degrade
from pienet_nb.enhancer import PieModel
from pienet_nb.evaluation import _spread, as_applied, enhance_many, own_vectors, provenance, save_results
from pienet_nb.losses import psnr
from pienet_nb.styles import classical_looks, lut_looks, simulated_retouchers

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT/"pienet_nb/model"
SHARES = {"0": 0., "0.5": 0.5, "1": 1.}

@torch.inference_mode()
def measure(model, photos, looks, preferred, queries):
    "PSNR of source and own vector over looks × queries, for degraded and finished sources."
    plan = [{"look": name, "preferred": preferred} for name in looks]
    vectors = own_vectors(model, photos, looks, plan)
    scores = {condition: {key: [] for key in ("source", *SHARES)} for condition in ("degraded", "finished")}
    for i in queries:
        references = torch.cat([look(photos[i]) for look in looks.values()])
        for condition, source in ("degraded", degrade(photos[i], [i])), ("finished", photos[i]):
            enhanced, found = enhance_many(model, source, vectors), scores[condition]
            found["source"] += psnr(source.expand_as(references), references).tolist()
            for key, share in SHARES.items():
                model.config["rest"] = share
                found[key] += psnr(as_applied(model, source, enhanced), references).tolist()
    return {condition: {key: _spread(np.array(values)) for key, values in part.items()} for condition, part in scores.items()}

def main(photo_folder, lut_folder):
    model = PieModel.load(MODEL)
    valid = sorted(model.config["training"]["valid_photos"])
    files = {path.stem: path for path in photo_files(photo_folder)}
    photos = {i: to_tensor(read_photo(files[i], model.image_size)) for i in valid}
    preferred, queries = valid[:len(valid)//2], valid[len(valid)//2::2]
    seen = {name: look for name, look in (lut_looks(lut_folder) | classical_looks() | simulated_retouchers(30)).items()
            if name in model.vectors}
    kinds = {"LUTs": {n: seen[n] for n in [n for n in seen if "/" in n][::5]},
             "LDR and CLAHE": {n: seen[n] for n in ("ldr", "clahe") if n in seen},
             "simulated retouchers": {n: look for n, look in seen.items() if n.startswith("retoucher")}}
    measured = {kind: measure(model, photos, looks, preferred, queries) | {"n_looks": len(looks)} for kind, looks in kinds.items()}
    def total(key): return sum(part[c][key]["mean"]*part["n_looks"] for part in measured.values() for c in ("degraded", "finished"))
    best = max(SHARES, key=total)
    results = provenance("python tools/choose_rest.py PHOTOS LUTS", 0) | {"model_id": model.model_id, "n_queries": len(queries),
                                                                         "chosen": SHARES[best], "kinds": measured}
    save_results(results, ROOT/"nbs/results/rest.json")
    config = json.loads((MODEL/"config.json").read_text()) | {"rest": SHARES[best]}
    with replacing(MODEL/"config.json") as beside: beside.write_text(json.dumps(config, indent=1) + "\n")
    print(f"share of the rest: {SHARES[best]}")

if __name__ == "__main__": main(*sys.argv[1:])
