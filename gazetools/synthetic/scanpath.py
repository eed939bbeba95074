"""The simulated reader: where a clinician who looks for a lesion looks, and how long.

The statistics are those of the public gaze on 1000 colonoscopy images (GazeMedSeg): the
first fixation is where the eye happened to be, near the middle, and hits the lesion in
about half of the images; a search fixation or two; then a scan of the lesion from its
centre to its boundary, 85 % inside; larger lesions get more fixations.
"""

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import SchemaError
from gazetools.synthetic.spec import CohortSpec

Points = NDArray[np.float64]

_DURATION_MEAN_MS = 340.0
_DURATION_SD_MS = 160.0
_SHORTEST_MS = 60.0
_FEWEST, _MOST = 5, 99
_TYPICAL_AREA = 0.11
"""Median share of the image that a lesion covers; it gets the median number of fixations."""
_COUNT_EXPONENT = 0.33
_COUNT_LOG_SD = 0.22
_WANDER = 0.45
"""How much chance, rather than order, decides how far out a scan fixation lies."""
_START_SD = 0.055
"""Spread of the first fixation around the middle of the image, in image sides."""
_SEARCHES = (0.93, 0.05, 0.02)
"""How often 0, 1 or 2 search fixations follow the first one."""
_STRIDE = 0.45
"""Step between scan fixations in units of the lesion's radius."""
_INTEREST = 0.2
"""How far the scan is drawn from the whole lesion towards the detail of most interest."""
_AIM_ERROR = 0.26
_LANDING_ERROR = 0.016
"""Spread of the landing points: parts of the lesion's radius and of the image's side."""
_GLANCE_SHARE = 0.012
_OFF_IMAGE_SHARE = 0.004
_SHORTEST_STEP = 0.03
"""Smaller steps than this part of the image's side are not told apart from fixational drift."""


def simulate_scanpath(
    rng: np.random.Generator, mask: NDArray[np.bool_], spec: CohortSpec
) -> pd.DataFrame:
    """Draw the fixations of one reader on one image.

    Parameters
    ----------
    rng
        Source of the draws.
    mask : bool (height, width)
        Where the lesion is.
    spec
        Gives the typical number of fixations.

    Returns
    -------
    DataFrame
        ``order`` from 1, ``x_im``, ``y_im`` (image px, origin top left) and
        ``duration_ms``. A fixation may lie off the image.
    """
    if not mask.any():
        raise SchemaError("simulated reader: the mask is empty; there is nothing to look at")
    count = _count(rng, float(mask.mean()), spec)
    search = _search_phase(rng, mask, 1 + rng.choice(len(_SEARCHES), p=_SEARCHES))
    scan = _scan_phase(rng, mask, max(count - len(search), 1))
    points = _keep_apart(np.concatenate([search, scan]), _SHORTEST_STEP * np.sqrt(mask.size))
    return pd.DataFrame(
        {
            "order": np.arange(1, len(points) + 1),
            "x_im": points[:, 0],
            "y_im": points[:, 1],
            "duration_ms": fixation_durations(rng, len(points)),
        }
    )


def fixation_durations(rng: np.random.Generator, count: int) -> Points:
    """Draw log-normal durations in ms."""
    log_variance = np.log1p((_DURATION_SD_MS / _DURATION_MEAN_MS) ** 2)
    log_mean = np.log(_DURATION_MEAN_MS) - log_variance / 2
    return np.maximum(rng.lognormal(log_mean, np.sqrt(log_variance), count), _SHORTEST_MS)


def _count(rng: np.random.Generator, area: float, spec: CohortSpec) -> int:
    growth = (area / _TYPICAL_AREA) ** _COUNT_EXPONENT
    count = spec.fixations * growth * np.exp(_COUNT_LOG_SD * rng.standard_normal())
    return int(np.clip(round(count), min(_FEWEST, spec.fixations), _MOST))


def _search_phase(rng: np.random.Generator, mask: NDArray[np.bool_], count: int) -> Points:
    """Start near the middle and wander off; (count, 2) image px."""
    sides = np.array(mask.shape[::-1], float)
    start = sides * (0.5 + _START_SD * rng.standard_normal(2))
    wander = sides * rng.uniform(0.15, 0.85, (count - 1, 2))
    return np.concatenate([start[None], wander])


def _scan_phase(rng: np.random.Generator, mask: NDArray[np.bool_], count: int) -> Points:
    """Spiral from the centre to the boundary of every part of the lesion; (count, 2) px."""
    parts = _parts(mask)
    weights = np.sqrt([part.sum() for part in parts])
    ends = np.round(np.cumsum(weights) / weights.sum() * count).astype(int)
    shares = np.diff(ends, prepend=0)
    spirals = [_spiral(rng, part, n) for part, n in zip(parts, shares, strict=True) if n]
    points = np.concatenate(spirals)
    side = np.sqrt(mask.size)
    points += _LANDING_ERROR * side * rng.standard_normal(points.shape)
    return _with_glances(rng, points, np.array(mask.shape[::-1], float))


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return connected parts, the largest first, without crumbs below a tenth of it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda part: -int(areas[part]))
    return [labels == part for part in order if areas[part] >= areas[order[0]] / 10]


def _spiral(rng: np.random.Generator, part: NDArray[np.bool_], count: int) -> Points:
    """`count` points from the centre of `part` outwards at an even density; (count, 2) px."""
    centre, reach = _outline(part)
    progress = (np.arange(count) + 0.5) / count
    out = np.sqrt((1 - _WANDER) * progress + _WANDER * rng.random(count))
    out[0] = 0.0
    turn = rng.choice([-1, 1]) * _STRIDE / np.maximum(out, 0.4)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(turn + 0.4 * rng.standard_normal(count))
    radius = out * np.interp(angle, *reach, period=2 * np.pi)
    aim = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    interest = aim[rng.integers(count)]
    aim += _INTEREST * (interest - aim)
    typical = np.sqrt(part.sum() / np.pi)
    return np.asarray(aim + _AIM_ERROR * typical * rng.standard_normal(aim.shape))


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


def _with_glances(rng: np.random.Generator, points: Points, sides: Points) -> Points:
    """Send a few fixations elsewhere on the image, and fewer beside it."""
    fate = rng.random(len(points))
    fate[0] = 1.0
    anywhere = sides * rng.uniform(0.05, 0.95, points.shape)
    points = np.where((fate < _GLANCE_SHARE)[:, None], anywhere, points)
    beside = sides * np.stack(
        [rng.choice([-0.12, 1.12], len(points)), rng.uniform(0.1, 0.9, len(points))], axis=1
    )
    off = (fate >= _GLANCE_SHARE) & (fate < _GLANCE_SHARE + _OFF_IMAGE_SHARE)
    return np.where(off[:, None], beside, points)


def _keep_apart(points: Points, least_px: float) -> Points:
    """Lengthen every step that is shorter than `least_px`, keeping its direction."""
    apart = points.copy()
    for i in range(1, len(apart)):
        step = apart[i] - apart[i - 1]
        length = max(float(np.hypot(*step)), 1e-6)
        if length < least_px:
            apart[i] = apart[i - 1] + step * (least_px / length)
    return apart
