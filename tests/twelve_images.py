"""Twelve small images that differ, each looked at by two readers, and how tests render them."""

import shutil
import time

import pandas as pd

from gazetools.images import encode_png, read_image
from gazetools.masks import PseudoMaskSpec
from gazetools.rendering import RenderSpec, render
from gazetools.splits import SplitSpec
from gazetools.tables import FIXATIONS, write_table

SPEC = RenderSpec(
    size_px=24, masks=PseudoMaskSpec("heatmap"), split=SplitSpec(near_duplicate_bits=-1)
)
IMAGES = 12


def write_twelve(folder, cohort):
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    table = cohort.fixations
    one = table[table["stimulus"] == "synthetic_0001.jpg"]
    image = read_image(cohort.images / "synthetic_0001.jpg")
    for number in range(IMAGES):
        (folder / f"images/image{number:02d}.png").write_bytes(encode_png(image // (number + 1)))
    for name in ("image00.png", "image05.png"):
        shutil.copy(cohort.masks / "synthetic_0001.png", folder / "masks" / name)
    parts = [
        one.assign(stimulus=f"image{n:02d}", onset_ms=one["onset_ms"] + n) for n in range(IMAGES)
    ]
    save(pd.concat(parts), folder)


def save(table, folder):
    path = folder / "fixations.parquet"
    write_table(table, path, FIXATIONS, provenance={}, overwrite=True)


def make(lab, out="maps.h5", spec=SPEC, **options):
    return render(
        lab / "fixations.parquet", lab / "images", lab / "masks", lab / out, spec, **options
    )


def content(cache):
    if cache.is_file():
        return cache.read_bytes()
    return {path.name: path.read_bytes() for path in sorted(cache.iterdir())}


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert condition()
