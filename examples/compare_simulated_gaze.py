"""Real against simulated gaze on the same images: statistics side by side, with intervals.

    python examples/compare_simulated_gaze.py kvasir-seg/fixations.parquet kvasir-seg/masks

The reader of `gazetools simulate` was fitted to 500 images of Kvasir-SEG: the first of its names,
sorted, then shuffled by numpy's default_rng(0). The others, which were never looked at in fitting,
are compared here (--from). Of each statistic: its real value, the 95 % interval of a bootstrap over
images, the value of several simulations of every image taken together (--simulations; one alone
varies as much as the real gaze does), and whether that lies inside; of each distribution the
Kolmogorov-Smirnov distance (scipy.stats.ks_2samp) and its p. With thousands of fixations even
differences of no consequence are significant: look at the distance.
"""

from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from gazetools.images import image_stem, list_images, read_mask
from gazetools.maps import Track, heatmap
from gazetools.synthetic import ReaderModel, simulate_scanpath
from gazetools.tables import FIXATIONS, read_table

SIDE = 192
RESAMPLES = 1000


@dataclass(frozen=True)
class Scanpath:
    """What one image's gaze comes to."""

    inside: np.ndarray
    duration_ms: np.ndarray
    amplitude: np.ndarray
    turn_rad: np.ndarray
    dice: float
    area: float


def measured(table: pd.DataFrame, mask: np.ndarray) -> Scanpath:
    height, width = mask.shape
    x, y = table["x_im"].to_numpy() / width, table["y_im"].to_numpy() / height
    on = (x >= 0) & (x < 1) & (y >= 0) & (y < 1)
    inside = np.zeros(len(x), bool)
    inside[on] = mask[(y[on] * height).astype(int), (x[on] * width).astype(int)]
    lasts_ms = table["duration_ms"].to_numpy(float)
    step = np.diff(x) + 1j * np.diff(y)
    found = heatmap(Track(x, y, lasts_ms), (SIDE, SIDE)) > 0.5
    size = (SIDE, SIDE)
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 1
    dice = 2 * (found & small).sum() / (found.sum() + small.sum())
    turn_rad = np.abs(np.angle(step[1:] * np.conj(step[:-1])))
    return Scanpath(inside, lasts_ms, np.abs(step), turn_rad, float(dice), float(mask.mean()))


def share(paths, first, last):
    return float(np.mean([hit for p in paths for hit in p.inside[first - 1 : last]]))


def all_of(paths, name):
    return np.concatenate([getattr(path, name) for path in paths])


def growth(paths):
    counts = np.log([len(path.inside) for path in paths])
    return float(np.polyfit(np.log([path.area for path in paths]), counts, 1)[0])


STATISTICS = {
    "fixations per image, mean": lambda paths: float(np.mean([len(p.inside) for p in paths])),
    "fixations per image, median": lambda paths: float(np.median([len(p.inside) for p in paths])),
    "growth with the lesion's area, exponent": growth,
    "duration, mean, ms": lambda paths: float(all_of(paths, "duration_ms").mean()),
    "duration, median, ms": lambda paths: float(np.median(all_of(paths, "duration_ms"))),
    "saccade, median, image sides": lambda paths: float(np.median(all_of(paths, "amplitude"))),
    "saccade, 90 %": lambda paths: float(np.quantile(all_of(paths, "amplitude"), 0.9)),
    "turn, median, rad": lambda paths: float(np.median(all_of(paths, "turn_rad"))),
    "inside the mask, 1st": lambda paths: share(paths, 1, 1),
    "inside the mask, 2nd": lambda paths: share(paths, 2, 2),
    "inside the mask, 3rd": lambda paths: share(paths, 3, 3),
    "inside the mask, 4th to 10th": lambda paths: share(paths, 4, 10),
    "inside the mask, later": lambda paths: share(paths, 11, 99),
    "heatmap's Dice, mean": lambda paths: float(np.mean([p.dice for p in paths])),
    "heatmap's Dice, sd": lambda paths: float(np.std([p.dice for p in paths])),
}


def interval(paths, statistic, rng, resamples):
    found = [
        statistic([paths[i] for i in rng.integers(len(paths), size=len(paths))])
        for _ in range(resamples)
    ]
    return np.quantile(found, [0.025, 0.975])


@click.command()
@click.argument("fixations", type=click.Path(path_type=Path))
@click.argument("masks", type=click.Path(path_type=Path))
@click.option("--from", "first", default=500, show_default=True, help="Of the shuffled images.")
@click.option("--seed", default=1, show_default=True, help="Of the simulation.")
@click.option("--simulations", default=4, show_default=True, help="Of every image.")
@click.option("--resamples", default=RESAMPLES, show_default=True)
def main(
    fixations: Path, masks: Path, first: int, seed: int, simulations: int, resamples: int
) -> None:
    table, _ = read_table(fixations, FIXATIONS)
    mask_of, by_image = list_images(masks), table["stimulus"].map(image_stem)
    names = sorted(set(by_image) & set(mask_of))
    np.random.default_rng(0).shuffle(names)
    real, simulated, reader = [], [], ReaderModel()
    for number, name in enumerate(names[first:]):
        mask = read_mask(mask_of[name]) == 1
        real.append(measured(table[by_image == name].sort_values("order"), mask))
        for repeat in range(simulations):
            draws = np.random.default_rng([seed, number, repeat])
            simulated.append(measured(simulate_scanpath(draws, mask, reader), mask))
    rng = np.random.default_rng(0)
    click.echo(f"{len(real)} images, {simulations} simulations of each")
    click.echo(f"{'':40}{'real':>9} {'95 % interval':>18}{'simulated':>11}")
    count = 0
    for name, statistic in STATISTICS.items():
        low, high = interval(real, statistic, rng, resamples)
        found = statistic(simulated)
        is_inside = low <= found <= high
        count += is_inside
        inside = "" if is_inside else "  outside"
        between = f"{low:.3g} to {high:.3g}"
        click.echo(f"{name:40}{statistic(real):9.3g} {between:>18}{found:11.3g}{inside}")
    click.echo(f"{count} of {len(STATISTICS)} inside")
    for name in ("duration_ms", "amplitude", "turn_rad"):
        compare(name, all_of(real, name), all_of(simulated, name))
    compare("Dice", *([path.dice for path in paths] for paths in (real, simulated)))


def compare(name, real, simulated):
    test = ks_2samp(real, simulated)
    title = f"{name}, distribution"
    click.echo(f"{title:40}distance {test.statistic:.3f}, p {test.pvalue:.2g}")


if __name__ == "__main__":
    main()
