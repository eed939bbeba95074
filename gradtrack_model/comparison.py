"""Runs compared: mean and spread over seeds, and the paired bootstrap between two methods.

It works on what `gradtrack-evaluate` wrote for every image; no network is loaded. A method is a
group of runs that differ in their seed alone.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gazetools.errors import TrainingError

MEASURES = ("dice", "iou", "hd95_px", "nsd", "heatmap_dice")
"""Columns of an evaluation, beside the name of the image."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of one checkpoint of one run.

    Attributes
    ----------
    source : str
        Where they come from, for messages.
    names : tuple of str
        The images, sorted.
    values : dict of str to ndarray
        For each of MEASURES an array (images,), NaN where it is not defined.
    """

    source: str
    names: tuple[str, ...]
    values: dict[str, Floats]

    def __post_init__(self) -> None:
        if list(self.names) != sorted(set(self.names)):
            raise ValueError(f"{self.source}: names are not sorted, or one is there twice")

    def mean(self, measure: str) -> float:
        """Mean over the images where a measure is defined; NaN where it is for none."""
        values = self.values[measure]
        defined = values[~np.isnan(values)]
        return float(defined.mean()) if len(defined) else math.nan


class Spread(NamedTuple):
    """Mean and sample standard deviation; `sd` is NaN for a single value."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Difference:
    """How much higher the first of two methods scores, with its 95 % interval.

    Attributes
    ----------
    mean, low, high : float
    p : float
        Two-sided, against no difference.
    images : int
        Number of images that were compared.
    """

    mean: float
    low: float
    high: float
    p: float
    images: int


def read_scores(run_folder: Path, split: str, checkpoint: str) -> Scores:
    """Read the table that :func:`gradtrack_model.evaluate.evaluate` wrote for one checkpoint.

    Parameters
    ----------
    run_folder : Path
    split : str
    checkpoint : str
        "best", "last" or "best_on_<split>".

    Raises
    ------
    TrainingError
        There is none, or it is damaged or of an earlier version.
    """
    path = Path(run_folder) / "evaluation" / f"{split}_{checkpoint}.csv"
    if not path.is_file():
        raise TrainingError(
            f"{path}: no such evaluation; measure it with gradtrack-evaluate {run_folder} "
            f"--split {split}"
        )
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["name"])
        values = {
            measure: np.array([_to_number(row[measure]) for row in rows]) for measure in MEASURES
        }
        names = tuple(row["name"] for row in rows)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise TrainingError(
            f"{path}: not a table of scores as they are written now ({error!r}), expected columns "
            f"name, {', '.join(MEASURES)}; evaluate again with --overwrite"
        ) from error
    if not names or len(set(names)) < len(names):
        raise TrainingError(
            f"{path}: {len(names)} images of {len(set(names))} names, expected one row for each "
            "image; evaluate again with --overwrite"
        )
    return Scores(str(path), names, values)


def _to_number(text: str) -> float:
    return math.nan if text == "" else float(text)


def over_seeds(values: Sequence[float]) -> Spread:
    """Return mean and sample standard deviation of what several runs came to.

    Raises
    ------
    ValueError
        There is no value.
    """
    if not len(values):
        raise ValueError("no value; expected one of each run")
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), sd)


def paired_bootstrap(
    a: Sequence[Scores],
    b: Sequence[Scores],
    *,
    measure: str = "dice",
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Compare two methods image by image.

    For every image a method scores the mean over its runs. Of the differences a - b, images are
    drawn with replacement; `low` and `high` are the 2.5 % and 97.5 % percentiles of the means of
    such samples. With k of B samples on the far side of 0 (those at 0 are on both sides), p is
    2 (k + 1) / (B + 1), at most 1: no p is smaller than the samples can tell (Davison & Hinkley
    1997, Bootstrap Methods and their Application, chapters 4 and 5). Nor is it smaller than n
    images can: 2 / 2^n, as likely as n coins that all fall on one side.

    The interval tells what other images might have shown of these very runs. How much runs differ
    by their seed is told by :func:`over_seeds`.

    Parameters
    ----------
    a, b : sequence of Scores
        One for each run; the numbers of runs may differ.
    measure : str
        One of MEASURES. Where it is not defined for an image in some runs, the mean is over the
        others; where in all runs of a method, the image is left out.

    Raises
    ------
    TrainingError
        Some runs were measured on different images, or there is no image to compare.
    """
    _check_same_images([*a, *b])
    difference = _over_runs(a, measure) - _over_runs(b, measure)
    difference = difference[~np.isnan(difference)]
    if not len(difference):
        raise TrainingError(
            f"{a[0].source}, {b[0].source}: no image where both methods have a {measure}; compare "
            "them by another measure"
        )
    means = _resampled_means(difference, resamples, np.random.default_rng(seed))
    low, high = np.percentile(means, [2.5, 97.5])
    beyond = min(np.count_nonzero(means <= 0), np.count_nonzero(means >= 0))
    least = 2.0 ** (1 - len(difference))  # few images on one side have no sample on the other
    p = min(1.0, max(least, 2 * (int(beyond) + 1) / (resamples + 1)))
    return Difference(float(difference.mean()), float(low), float(high), p, len(difference))


def _check_same_images(scores: Sequence[Scores]) -> None:
    if not scores:
        raise ValueError("no run; expected at least one of each method")
    first = scores[0]
    for other in scores[1:]:
        if different := sorted(set(first.names) ^ set(other.names)):
            name = different[0]
            has, lacks = (first, other) if name in first.names else (other, first)
            raise TrainingError(
                f"{lacks.source}: image {name!r} is missing, which is in {has.source}; expected "
                "the same images; evaluate both on one cache and split"
            )


def _over_runs(method: Sequence[Scores], measure: str) -> Floats:
    """Mean over runs of each image, NaN where no run has a value."""
    values = np.array([run.values[measure] for run in method])
    counts = np.count_nonzero(~np.isnan(values), axis=0)
    means: Floats = np.full(len(counts), np.nan)
    np.divide(np.nansum(values, axis=0), counts, out=means, where=counts > 0)
    return means


def _resampled_means(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    n = len(values)
    return np.array([values[rng.integers(n, size=n)].mean() for _ in range(resamples)])
