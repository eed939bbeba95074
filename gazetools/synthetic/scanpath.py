"""The simulated reader: where a clinician who looks for a lesion looks, and how long.

A search phase: the first fixation is where the eye happened to be, then the eyes go to the middle
of the lesion, now and then after looking elsewhere. Then a thorough scan: of some hundred places
in the lesion, drawn at random, the next one is that which is at a good distance, lies ahead, was
not looked at yet and is deep inside or, soon after the beginning, near the rim; each of these
counts by a weight, and chance does the rest. A whole scan may be a little off, as trackers are.

Parameters were fitted to the public gaze on colonoscopy images (GazeMedSeg on Kvasir-SEG): to 500
of them, and compared on the 500 others, see ``examples/compare_simulated_gaze.py``.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import ConfigError, SchemaError

Points = NDArray[np.float64]
Masks = NDArray[np.bool_]

_FEWEST, _MOST = 5, 99
_SHORTEST_MS = 50.0
"""The fewest and most fixations on an image of the real gaze, and the shortest of them."""
_TYPICAL_AREA = 0.118
"""Median share of the image that a lesion covers."""
_START = (0.56, 0.45)
"""Mean of the first fixations, in image sides."""
_PLACES = 400
"""So many points of a lesion are considered, far more than there are fixations."""
_RIM_AT = 5
"""The step of the scan at which the rim is liked most."""


@dataclass(frozen=True)
class ReaderModel:
    """What a reader does.

    A weight is what is added to the logarithm of a place's chance to be looked at next. Lengths
    in sides are shares of the square root of the image's area; lengths in radii are those of the
    disc that is as large as the lesion. Numbers of the first nine attributes are measured on real
    gaze, the others fitted: to how long saccades are, how much they turn, the share inside
    the lesion by order, and the Dice of the heatmap.

    Attributes
    ----------
    fixations : float
        Median on an image with a lesion of typical size (12 % of it).
    count_exponent, count_log_sd : float
        How their number grows with the lesion's area, and varies.
    duration_ms : float
        Median on a lesion of typical size, once the scan is under way.
    duration_exponent, duration_spread : float
        How it changes with the lesion's area, and scale of its log-logistic distribution.
    hurry, settle : float
        The first fixations are shorter, by a share of `hurry` that falls by e over `settle`
        fixations.
    start_sd : float
        Spread of the first fixation, in sides.
    finds : float
        Chance that a look from the first fixation, or from where the search has led, finds the
        lesion.
    first_error : float
        Spread of the first fixation in the lesion around its middle, in radii.
    step, step_log_sd : float
        Length of the steps that are liked best, in sides, and how little it matters: log-normal.
    ahead : float
        Weight of going on in the direction of the step before, times the cosine of the turn.
    novelty : float
        Weight against every fixation so far, falling with the distance from it as a Gaussian of
        standard deviation `step`.
    inwards, rim : float
        Weight of a radius of depth below the lesion's boundary, and what is taken from it at the
        fifth step, less before and after: the scan comes from the middle, goes to the rim, and
        then inwards again.
    landing_error : float
        Spread of the landing points of saccades, in sides.
    offset : float
        Mean distance, in sides, by which a whole scan is off; exponential, in any direction.
    tracker_error : float
        Spread that a tracker adds to every position, in sides; none was fitted.
    """

    fixations: float = 25.9
    count_exponent: float = 0.322
    count_log_sd: float = 0.25
    duration_ms: float = 318.0
    duration_exponent: float = -0.075
    duration_spread: float = 0.232
    hurry: float = 0.29
    settle: float = 2.2
    start_sd: float = 0.05
    finds: float = 0.93
    first_error: float = 0.225
    step: float = 0.0785
    step_log_sd: float = 0.524
    ahead: float = 1.38
    novelty: float = 0.68
    inwards: float = 3.05
    rim: float = 3.6
    landing_error: float = 0.0078
    offset: float = 0.0224
    tracker_error: float = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.fixations <= _MOST:
            raise ConfigError(f"fixations is {self.fixations}, expected 2 to {_MOST}")
        for name in ("duration_ms", "settle", "step", "step_log_sd"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected more than 0")
        spreads = ("count_log_sd", "duration_spread", "start_sd", "first_error", "landing_error")
        for name in (*spreads, "offset", "tracker_error"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if not 0 <= self.hurry < 1 or not 0 < self.finds <= 1:
            raise ConfigError(
                f"hurry is {self.hurry}, finds {self.finds}; expected shares, hurry below 1 and "
                "finds above 0"
            )

    def with_skill(self, skill: float) -> "ReaderModel":
        """Return a reader of less skill than the fitted one (1): searches longer, aims worse.

        At 0 errors are twice as large, and a look finds the lesion half as often. What lies
        between is interpolated; a choice, not a measurement.
        """
        if not 0 <= skill <= 1:
            raise ConfigError(f"skill is {skill}, expected 0 to 1")
        worse = 2 - skill
        return replace(
            self,
            finds=self.finds * (1 + skill) / 2,
            first_error=worse * self.first_error,
            landing_error=worse * self.landing_error,
            offset=worse * self.offset,
        )


@dataclass(frozen=True, eq=False)
class _Lesion:
    """A lesion as a reader sees it; lengths in image px.

    Attributes
    ----------
    places, depths
        Points in it, (n, 2), and how far below its boundary they are.
    middle
        The point of its largest part that is deepest below the boundary.
    area
        Share of the image.
    """

    places: Points
    depths: Points
    middle: Points
    area: float
    radius: float
    side: float


def simulate_scanpath(
    rng: np.random.Generator, mask: Masks, reader: ReaderModel | None = None
) -> pd.DataFrame:
    """Draw the fixations of one reader on one image.

    Parameters
    ----------
    rng
        Source of the draws.
    mask : bool (height, width)
        Where the lesion is.
    reader
        Who looks.

    Returns
    -------
    DataFrame
        ``order`` from 1, ``x_im``, ``y_im`` (image px, origin top left) and
        ``duration_ms``. A fixation may lie off the image.

    Raises
    ------
    SchemaError
        The mask is empty.
    """
    if not mask.any():
        raise SchemaError("simulated reader: the mask is empty; there is nothing to look at")
    reader = reader or ReaderModel()
    lesion = _seen(rng, mask)
    count = _count(rng, lesion, reader)
    search = _search(rng, mask, reader)[: count - 1]
    scan = _scan(rng, lesion, search[-1], count - len(search), reader)
    points = np.concatenate([search, scan])
    if reader.tracker_error:
        points += reader.tracker_error * lesion.side * rng.standard_normal(points.shape)
    return pd.DataFrame(
        {
            "order": np.arange(1, len(points) + 1),
            "x_im": points[:, 0],
            "y_im": points[:, 1],
            "duration_ms": _durations(rng, len(points), lesion, reader),
        }
    )


def _seen(rng: np.random.Generator, mask: Masks) -> _Lesion:
    """Draw the places of a lesion that its reader considers."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    middle = np.unravel_index(int(np.argmax(_depth(labels == largest))), mask.shape)
    rows, columns = np.nonzero(mask)
    drawn = rng.integers(len(rows), size=_PLACES)
    at = np.stack([columns[drawn], rows[drawn]], axis=1)
    return _Lesion(
        places=np.asarray(at + 0.5, float),
        depths=_depth(mask)[at[:, 1], at[:, 0]],
        middle=np.array(middle[::-1], float) + 0.5,
        area=float(mask.mean()),
        radius=float(np.sqrt(mask.sum() / np.pi)),
        side=float(np.sqrt(mask.size)),
    )


def _depth(mask: Masks) -> Points:
    """Distance in px from what is outside `mask`, the image's border included."""
    padded = np.pad(mask, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], float)


def _count(rng: np.random.Generator, lesion: _Lesion, reader: ReaderModel) -> int:
    growth = (lesion.area / _TYPICAL_AREA) ** reader.count_exponent
    count = reader.fixations * growth * np.exp(reader.count_log_sd * rng.standard_normal())
    return int(np.clip(round(count), min(_FEWEST, reader.fixations), _MOST))


def _search(rng: np.random.Generator, mask: Masks, reader: ReaderModel) -> Points:
    """Look where the eye was, then anywhere until a look finds the lesion; (n, 2) px."""
    sides = np.array(mask.shape[::-1], float)
    start = sides * (_START + reader.start_sd * rng.standard_normal(2))
    elsewhere = sides * rng.uniform(0.15, 0.85, (rng.geometric(reader.finds) - 1, 2))
    return np.concatenate([start[None], elsewhere])


def _scan(
    rng: np.random.Generator, lesion: _Lesion, start: Points, count: int, reader: ReaderModel
) -> Points:
    """Go from `start` to the middle of the lesion and on through it; (count, 2) px."""
    at = lesion.middle + reader.first_error * lesion.radius * rng.standard_normal(2)
    points, before, seen = [at], at - start, np.zeros(_PLACES)
    chance = rng.gumbel(size=(count, _PLACES))
    error = reader.landing_error * lesion.side * rng.standard_normal((count, 2))
    for i in range(1, count):
        way = lesion.places - at
        length = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-6) / (reader.step * lesion.side)
        seen += np.exp(-(length**2) / 2)
        late = i / _RIM_AT
        deep = reader.inwards - reader.rim * late * np.exp(1 - late)
        weight = (
            -((np.log(length) / reader.step_log_sd) ** 2) / 2
            + reader.ahead * _cosine(way, before)
            - reader.novelty * seen
            + deep * lesion.depths / lesion.radius
        )
        # the largest of these is drawn with the chance of its weight (Gumbel-max)
        landed = lesion.places[np.argmax(weight + chance[i])] + error[i]
        at, before = landed, landed - at
        points.append(at)
    angle = rng.uniform(0, 2 * np.pi)
    off = rng.exponential(reader.offset * lesion.side)
    return np.array(points) + off * np.array([np.cos(angle), np.sin(angle)])


def _cosine(ways: Points, before: Points) -> Points:
    """Cosine of the angle between each of `ways` (n, 2) and the step before."""
    lengths = np.hypot(ways[:, 0], ways[:, 1]) * np.hypot(*before)
    return np.asarray(ways @ before / np.maximum(lengths, 1e-6))


def _durations(
    rng: np.random.Generator, count: int, lesion: _Lesion, reader: ReaderModel
) -> Points:
    """Draw log-logistic durations in ms."""
    median = reader.duration_ms * (lesion.area / _TYPICAL_AREA) ** reader.duration_exponent
    settled = 1 - reader.hurry * np.exp(-np.arange(count) / reader.settle)
    varied = np.exp(rng.logistic(scale=reader.duration_spread, size=count))
    return np.asarray(np.maximum(median * settled * varied, _SHORTEST_MS))
