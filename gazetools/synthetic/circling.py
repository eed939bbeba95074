"""The reader of the demo cohort, who circles over a lesion.

He starts near the middle of the image; a search fixation or two may follow; then he circles over
the lesion, from its middle soon out to its boundary and back inwards. He is kept as he is, so that
the demo cohort keeps its bytes and what was measured on it; :mod:`.scanpath` has the reader that
comes closest to real gaze.
"""

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr

from gazetools.errors import SchemaError

Points = NDArray[np.float64]
Masks = NDArray[np.bool_]

_FEWEST, _MOST = 5, 99
_TYPICAL_AREA = 0.11
"""Median share of the image that a lesion covers; it gets the median number of fixations."""
_COUNT_EXPONENT, _COUNT_LOG_SD = 0.33, 0.22
_DURATION_MEAN_MS, _DURATION_SD_MS, _SHORTEST_MS = 333.0, 158.0, 60.0
_HURRY, _SETTLE = 0.31, 2.5
"""The first fixations are shorter, by a share that falls by e over `_SETTLE` fixations."""
_START_SD = 0.055
"""Spread of the first fixation around the middle, in image sides."""
_SEARCHES = (0.93, 0.05, 0.02)
"""How often 0, 1, 2 search fixations follow the first one."""
_REACH, _OUTWARDS, _UNFOLD = 0.931, -0.549, 1.086
"""How far out the scan goes, how much it comes back inwards, and how soon it is at full width."""
_WANDER, _WANDER_MEMORY = 0.198, 0.359
_STRIDE, _TURN_SD = 0.648, 0.086
"""Step around the middle, and its spread in radians."""
_AIM_ERROR, _AIM_MEMORY, _FIRST_ERROR = 0.235, 0.768, 0.671
"""Error in radii of the lesion, correlation of one with the next, share of it at first."""
_MISSES, _MISS_BY = 0.011, 0.133
_LANDING_ERROR, _SHORTEST_STEP = 0.008, 0.03
"""In image sides."""


def circling_scanpath(rng: np.random.Generator, mask: Masks, fixations: float) -> pd.DataFrame:
    """Draw the fixations of one reader on one image.

    Parameters
    ----------
    rng
        Source of the draws.
    mask : bool (height, width)
        Where the lesion is.
    fixations
        On a lesion of typical size, the median.

    Returns
    -------
    DataFrame
        ``order`` from 1, ``x_im``, ``y_im`` (image px, origin top left) and
        ``duration_ms``. A fixation may lie off the image.
    """
    if not mask.any():
        raise SchemaError("simulated reader: the mask is empty; there is nothing to look at")
    count = _count(rng, float(mask.mean()), fixations)
    search = _search_phase(rng, mask, 1 + rng.choice(len(_SEARCHES), p=_SEARCHES))
    scan = _scan_phase(rng, mask, max(count - len(search), 1))
    side = np.sqrt(mask.size)
    points = _keep_apart(np.concatenate([search, scan]), _SHORTEST_STEP * side)
    return pd.DataFrame(
        {
            "order": np.arange(1, len(points) + 1),
            "x_im": points[:, 0],
            "y_im": points[:, 1],
            "duration_ms": _settled(resting_durations(rng, len(points))),
        }
    )


def resting_durations(rng: np.random.Generator, count: int) -> Points:
    """Draw log-normal durations in ms."""
    log_variance = np.log1p((_DURATION_SD_MS / _DURATION_MEAN_MS) ** 2)
    log_mean = np.log(_DURATION_MEAN_MS) - log_variance / 2
    return np.maximum(rng.lognormal(log_mean, np.sqrt(log_variance), count), _SHORTEST_MS)


def _settled(duration_ms: Points) -> Points:
    """Shorten the first fixations; the mean stays."""
    factor = 1 - _HURRY * np.exp(-np.arange(len(duration_ms)) / _SETTLE)
    return np.asarray(np.maximum(duration_ms * factor / factor.mean(), _SHORTEST_MS))


def _count(rng: np.random.Generator, area: float, fixations: float) -> int:
    growth = (area / _TYPICAL_AREA) ** _COUNT_EXPONENT
    count = fixations * growth * np.exp(_COUNT_LOG_SD * rng.standard_normal())
    return int(np.clip(round(count), min(_FEWEST, fixations), _MOST))


def _search_phase(rng: np.random.Generator, mask: Masks, count: int) -> Points:
    """Start near the middle and wander off; (count, 2) image px."""
    sides = np.array(mask.shape[::-1], float)
    start = sides * (0.5 + _START_SD * rng.standard_normal(2))
    wander = sides * rng.uniform(0.15, 0.85, (count - 1, 2))
    return np.concatenate([start[None], wander])


def _scan_phase(rng: np.random.Generator, mask: Masks, count: int) -> Points:
    """Circle over every part of the lesion, the largest first; (count, 2) px."""
    parts = _parts(mask)
    weights = np.sqrt([part.sum() for part in parts])
    ends = np.round(np.cumsum(weights) / weights.sum() * count).astype(int)
    shares = np.diff(ends, prepend=0)
    circles = [_circling(rng, part, n) for part, n in zip(parts, shares, strict=True) if n]
    points = np.concatenate(circles)
    points += _LANDING_ERROR * np.sqrt(mask.size) * rng.standard_normal(points.shape)
    # an earlier reader glanced elsewhere with these; without them the bytes would change
    rng.random(3 * len(points))
    return points


def _parts(mask: Masks) -> list[Masks]:
    """Return connected parts, the largest first, without crumbs below a tenth of it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda part: -int(areas[part]))
    return [labels == part for part in order if areas[part] >= areas[order[0]] / 10]


def _circling(rng: np.random.Generator, part: Masks, count: int) -> Points:
    """`count` points around the centre of `part`, the first of them there; (count, 2) px."""
    centre, reaches = _outline(part)
    progress = (np.arange(count) + 0.5) / count
    chance = ndtr(_remembering(rng, count, 1, _WANDER_MEMORY)[:, 0])
    order = 0.5 + _OUTWARDS * (progress - 0.5)
    out = np.sqrt((1 - _WANDER) * order + _WANDER * chance)
    out *= 1 - np.exp(-np.arange(count) / _UNFOLD)
    turn = rng.choice([-1, 1]) * _STRIDE / np.maximum(out, 0.4)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(turn + _TURN_SD * rng.standard_normal(count))
    radius = _REACH * out * np.interp(angle, *reaches, period=2 * np.pi)
    aim = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    aim[0] = centre
    error = _AIM_ERROR * _remembering(rng, count, 2, _AIM_MEMORY)
    error[0] *= _FIRST_ERROR
    missed = rng.random(count) < _MISSES
    missed[0] = False
    error[missed] += _MISS_BY * rng.standard_normal((int(missed.sum()), 2))
    return np.asarray(aim + np.sqrt(part.sum() / np.pi) * error)


def _remembering(rng: np.random.Generator, count: int, dims: int, memory: float) -> Points:
    """Draw normal numbers, each correlated with the one before; (count, dims)."""
    values = rng.standard_normal((count, dims))
    for i in range(1, count):
        values[i] = memory * values[i - 1] + np.sqrt(1 - memory**2) * values[i]
    return values


def _outline(part: NDArray[np.bool_]) -> tuple[Points, tuple[Points, Points]]:
    """Return the centre (x, y) of `part` and its reach in px by angle (angles, reaches).

    The centre is the pixel deepest inside; the reach in a direction is that of the last
    pixel inside on the ray from there.
    """
    depth = cv2.distanceTransform(np.pad(part, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), part.shape)
    angles = np.linspace(-np.pi, np.pi, 120, endpoint=False)
    steps = np.arange(1.0, np.hypot(*part.shape))
    rows = np.floor(row + 0.5 + np.sin(angles)[:, None] * steps).astype(int)
    columns = np.floor(column + 0.5 + np.cos(angles)[:, None] * steps).astype(int)
    on_image = (rows >= 0) & (rows < part.shape[0]) & (columns >= 0) & (columns < part.shape[1])
    hit = on_image & part[np.where(on_image, rows, 0), np.where(on_image, columns, 0)]
    reaches = np.max(np.where(hit, steps, 0.5), axis=1)
    return np.array([column + 0.5, row + 0.5]), (angles, reaches)


def _keep_apart(points: Points, least_px: float) -> Points:
    """Lengthen every step that is shorter than `least_px`, keeping its direction."""
    apart = points.copy()
    for i in range(1, len(apart)):
        step = apart[i] - apart[i - 1]
        length = max(float(np.hypot(*step)), 1e-6)
        if length < least_px:
            apart[i] = apart[i - 1] + step * (least_px / length)
    return apart
