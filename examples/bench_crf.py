"""Time the fully connected CRF, compare it with all pairs of pixels, and tell the published figure.

    python examples/bench_crf.py
    python examples/bench_crf.py --kvasir ../shared/data/kvasir-seg --json

The published figure is the mean Dice of the refined heatmap against the reference masks, at the
images' own size (GazeMedSeg, MICCAI 2024, its notebooks: heatmap .745, CRF .751 at .5; with
compat 2.5, CRF .771 at .3; over all 1000 images). Reference masks are read here to tell it, and by
nothing that makes pseudo-masks.
"""

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.crf import CrfSpec, refine
from gazetools.images import read_image, read_mask, resize_image
from gazetools.maps import Track, heatmap
from gazetools.masks import FOREGROUND, UNCERTAIN, PseudoMaskSpec, pseudo_mask

LEVELS = (0.3, 0.4, 0.5)
REFINED = {"crf": CrfSpec(), "crf, compat 2.5": CrfSpec(compat=2.5)}
SIDE_PX = 224
COMPARED_PX = 96  # small enough for all pairs, too large to be exact anyway


def lesion(side, seed=0):
    """A shaded disc on noise, and a blob of gaze beside its middle."""
    rng = np.random.default_rng(seed)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    inside = ((x - 0.55) ** 2 + (y - 0.45) ** 2 < 0.06)[..., None]
    image = np.array([190, 120, 110]) + 40 * x[..., None] - inside * np.array([25, 40, 35])
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    heat = np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.06)
    return image, heat.astype(np.float32)


def fastest_ms(work, repeats):
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begin)
    return 1e3 * min(taken)


def speed():
    """Milliseconds an image on one core, and images a second on two."""
    rows = {}
    for side in (64, SIDE_PX, 574):  # exact; filtered; as large as the mean image of Kvasir-SEG
        image, heat = lesion(side)
        refine(heat, image)
        rows[f"ms_{side}"] = fastest_ms(lambda i=image, h=heat: refine(h, i), 10)
    image, heat = lesion(SIDE_PX)
    with ThreadPoolExecutor(2) as pool:
        ms = fastest_ms(lambda: list(pool.map(lambda _: refine(heat, image), range(20))), 3)
    return {**rows, "images_per_s_2_threads": 20 / ms * 1e3}


def agreement(pairs):
    """Share of equal labels, and largest difference, between the lattice and all pairs."""
    equal, apart = [], []
    for image, heat in pairs:
        exact = refine(heat, image, CrfSpec(filtering="exact"))
        found = refine(heat, image)
        equal.append([((exact > level) == (found > level)).mean() for level in LEVELS])
        apart.append(abs(exact - found).max())
    return {"mean": np.mean(equal), "least": np.min(equal), "largest_difference": np.max(apart)}


class Kvasir:
    """Training images, gaze and reference masks of Kvasir-SEG, as GazeMedSeg has them."""

    def __init__(self, folder):
        self.folder = folder
        self.names = (folder / "train.txt").read_text().split()
        self.gaze = dict(list(pd.read_csv(folder / "kvasir_fixation.csv").groupby("IMAGE")))

    def track(self, name):
        columns = ("CURRENT_FIX_X", "CURRENT_FIX_Y", "CURRENT_FIX_DURATION")
        return Track(*(self.gaze[f"{name}.jpg"][c].to_numpy(float) for c in columns))

    def image(self, name):
        return read_image(self.folder / "images" / f"{name}.jpg")

    def mask(self, name):
        return read_mask(self.folder / "masks" / f"{name}.jpg") > 0

    def small(self, name, side):
        image = resize_image(self.image(name), (side, side))
        return image, heatmap(self.track(name), (side, side))


def dice(a, b):
    return 2 * (a & b).sum() / max(a.sum() + b.sum(), 1)


def published(kvasir, name):
    """Dice of one image by recipe and level; and how certain and right GrabCut's band is."""
    image, mask, track = kvasir.image(name), kvasir.mask(name), kvasir.track(name)
    heat = heatmap(track, mask.shape)
    maps = {"heatmap": heat} | {key: refine(heat, image, spec) for key, spec in REFINED.items()}
    scores = {key: [dice(found > level, mask) for level in LEVELS] for key, found in maps.items()}
    voted = pseudo_mask(image, [track], PseudoMaskSpec(band=(0.3, 0.7)))
    certain, found = voted != UNCERTAIN, voted == FOREGROUND
    band = [certain.mean(), (found == mask)[certain].mean(), (found & mask).sum(), found.sum()]
    return scores | {"band": band}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kvasir", type=Path, help="folder of Kvasir-SEG")
    parser.add_argument("--images", type=int, default=900, help="how many of its images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told = {
        "speed": speed(),
        f"agreement, made, {COMPARED_PX} px": agreement([lesion(COMPARED_PX, s) for s in range(8)]),
    }
    if options.kvasir:
        kvasir = Kvasir(options.kvasir)
        few = kvasir.names[::30]
        pairs = [kvasir.small(name, COMPARED_PX) for name in few]
        told[f"agreement, Kvasir, {COMPARED_PX} px"] = agreement(pairs)
        every = max(1, len(kvasir.names) // options.images)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = list(pool.map(lambda n: published(kvasir, n), kvasir.names[::every]))
        for key in rows[0]:
            told[key] = [float(v) for v in np.mean([row[key] for row in rows], axis=0)]
        certain, right, hit, found = told.pop("band")
        told["GrabCut's band"] = {"certain": certain, "right": right, "foreground": hit / found}
        told["images"] = len(rows)
    if options.json:
        print(json.dumps(told, default=float))
        return
    for key, value in told.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
