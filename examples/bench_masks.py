"""Measure gaze-seeded GrabCut on the training images of a cache, and how long one image takes.

    gazetools render --split train.txt --split test.txt
    python examples/bench_masks.py maps.h5
    python examples/bench_masks.py maps.h5 --chosen 50 --json

Reference masks are read here to tell how good pseudo-masks are, and by nothing that makes them.
Settings were chosen on 50 images, told apart from the others: those whose names have the lowest
SHA-256 among the names of the images for training (train and val). Images for testing are left
alone. Dice and shares are those of the cache's pictures, not of the images at their own size.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import cv2
import numpy as np

from gazetools.cache import Cache, open_cache
from gazetools.maps import Track
from gazetools.masks import BACKGROUND, FOREGROUND, UNCERTAIN, PseudoMaskSpec, pseudo_mask

SPECS = {"grabcut": PseudoMaskSpec(), "grabcut, band .3 .7": PseudoMaskSpec(band=(0.3, 0.7))}


def training_images(cache: Cache) -> list[int]:
    """Indices of the images for training, by the SHA-256 of their names."""
    found = [i for i, item in enumerate(cache.items) if item.split in ("train", "val")]
    return sorted(found, key=lambda i: hashlib.sha256(cache.items[i].name.encode()).hexdigest())


def tracks_of(cache: Cache, index: int) -> list[Track]:
    item = cache.items[index]
    x, y, _, duration_ms, track = cache.fixations(index).T
    return [
        Track(x[rows] / item.width, y[rows] / item.height, duration_ms[rows])
        for rows in (track == number for number in np.unique(track))
    ]


def dice(found: np.ndarray, mask: np.ndarray) -> float:
    both = found.sum() + mask.sum()
    return float(2 * (found & mask).sum() / both) if both else 1.0


def measured(labels: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """Mean Dice, the share of certain pixels, and the share of these that is right."""
    scores = [dice(a == FOREGROUND, b) for a, b in zip(labels, masks, strict=True)]
    certain = labels != UNCERTAIN
    return {
        "n": len(labels),
        "dice": float(np.mean(scores)),
        "median": float(np.median(scores)),
        "certain": float(certain.mean()),
        "right": float((labels == masks)[certain].mean()),
        "right_foreground": float(masks[labels == FOREGROUND].mean()),
        "right_background": float(1 - masks[labels == BACKGROUND].mean()),
    }


def bench(path: Path, chosen: int) -> dict[str, dict[str, float]]:
    with open_cache(path) as cache:
        indices = training_images(cache)
        images, masks = cache.read("images", indices), cache.read("masks", indices) > 0
        gaze = [tracks_of(cache, index) for index in indices]
    told = {}
    for name, spec in SPECS.items():
        begin = time.process_time()
        labels = [pseudo_mask(i, t, spec) for i, t in zip(images, gaze, strict=True)]
        told[f"{name}, time"] = {"ms": 1e3 * (time.process_time() - begin) / len(labels)}
        found = np.array(labels)
        for part, rows in {"chosen on": slice(chosen), "others": slice(chosen, None)}.items():
            told[f"{name}, {part}"] = measured(found[rows], masks[rows])
        told[f"{name}, all"] = measured(found, masks)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cache", type=Path)
    parser.add_argument("--chosen", type=int, default=50, help="images settings were chosen on")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    told = bench(options.cache, options.chosen)
    if options.json:
        print(json.dumps(told, indent=2))
        return
    for name, figures in told.items():
        print(f"{name:32}", *(f"{key} {value:.4f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
