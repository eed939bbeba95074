"""What the figures of data quality mean: arrays in, numbers out.

Sources of the definitions:

- Holmqvist, Nyström, Mulvey, "Eye tracker data quality: what it is and how to measure it",
  ETRA 2012: accuracy, precision, data loss.
- Niehorster et al., "Characterizing gaze position signals and synthesizing noise during
  fixations in eye-tracking data", Behav. Res. Methods 52, 2020: RMS-S2S, STD, BCEA.
- Dunn et al., "Minimal reporting guideline for research involving eye tracking (2023
  edition)", Behav. Res. Methods 56, 2024: what is to be reported.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gazetools.timeline import usual_step_us

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

GAP_BORDERS_MS = (75.0, 150.0, 400.0, 1000.0)
"""Bins of gaps, lower border included: under 75 ms, which Tobii's gap fill-in would close
(Olsen 2012); 75-150 ms, short or partly seen blinks; 150-400 ms, blinks; up to 1 s; over 1 s,
the eyes were elsewhere or the tracker had lost them."""

BCEA_SHARE = 0.682

_HOLE_INTERVALS = 1.5
_PAUSE_US = 10_000_000
_SD_OF_MAD = 1.4826
_JITTER_SDS = 5
_IRREGULAR = 0.2
_OFF_GRID = 0.1


@dataclass(frozen=True)
class Clock:
    """How regularly samples came.

    Attributes
    ----------
    interval_ms : float
        Time from sample to sample, see :func:`gazetools.timeline.usual_step_us`.
    sd_ms, mad_ms : float
        Standard deviation of the intervals, and their median absolute deviation.
    irregular_pct : float
        Intervals that differ from the median by more than a fifth of it, and by more than one
        tick of the clock: stamps in whole ms are not irregular, they are coarse.
    pauses : int
        Holes of 10 s and more, in which nothing is expected.
    pause_ms : float
        How long they last together.
    recorded_ms : float
        Time within trials, pauses left out; each sample lasts an interval.
    has_grid : bool
        Nine of ten intervals are whole multiples of the median, as far as `irregular_pct`
        asks. Without a grid nobody can tell how many samples a hole should have held.
    """

    interval_ms: float
    sd_ms: float
    mad_ms: float
    irregular_pct: float
    pauses: int
    pause_ms: float
    recorded_ms: float = np.nan
    has_grid: bool = True

    @property
    def rate_hz(self) -> float:
        """Measured rate."""
        return 1000 / self.interval_ms


def measure_clock(time_us: Integers, begins: Bools) -> Clock:
    """Measure the intervals between samples that belong together.

    Parameters
    ----------
    time_us : (n,) int64
        Rising within each trial.
    begins : (n,) bool
        Sample begins a trial: the time before it is no interval.
    """
    steps = np.diff(time_us)[~begins[1:]]
    is_pause = steps >= _PAUSE_US
    pause_ms = float(steps[is_pause].sum() / 1000)
    steps = steps[~is_pause & (steps > 0)]
    if not len(steps):
        return Clock(np.nan, np.nan, np.nan, np.nan, int(is_pause.sum()), pause_ms)
    parts = int(begins.sum() + is_pause.sum())
    median, interval = float(np.median(steps)), usual_step_us(steps)
    away = np.abs(steps - median)
    off_grid = np.abs(steps - median * np.maximum(np.rint(steps / median), 1))
    # one and a half: the median of an even number may lie between two ticks
    tick = min(1.5 * float(np.gcd.reduce(steps)), median / 2)
    fine = max(_IRREGULAR * median, tick)
    return Clock(
        interval_ms=interval / 1000,
        sd_ms=float(np.std(steps)) / 1000,
        mad_ms=float(np.median(away)) / 1000,
        irregular_pct=100 * float(np.mean(away > fine)),
        pauses=int(is_pause.sum()),
        pause_ms=pause_ms,
        recorded_ms=(float(steps.sum()) + parts * interval) / 1000,
        has_grid=bool(np.mean(off_grid > fine) <= _OFF_GRID),
    )


@dataclass(frozen=True)
class Loss:
    """What was not seen.

    Attributes
    ----------
    expected : int
        Samples that came, and those that the tracker dropped.
    dropped : int
        Samples that never came: they would have fitted into holes between the others.
    missing : int
        Samples without gaze, and the dropped ones.
    gaps_ms : (k,) float64
        Each stretch of missing samples: their number times the interval. Together they
        are all that is missing.
    """

    expected: int
    dropped: int
    missing: int
    gaps_ms: Floats

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(
            self.expected + other.expected,
            self.dropped + other.dropped,
            self.missing + other.missing,
            np.concatenate((self.gaps_ms, other.gaps_ms)),
        )

    @property
    def pct(self) -> float:
        """Missing among expected samples, in per cent."""
        return 100 * self.missing / self.expected if self.expected else np.nan

    def histogram(self) -> list[int]:
        """Count the gaps in each bin of :data:`GAP_BORDERS_MS`."""
        bins = np.searchsorted(GAP_BORDERS_MS, self.gaps_ms, side="right")
        return [int(count) for count in np.bincount(bins, minlength=len(GAP_BORDERS_MS) + 1)]


def measure_loss(time_us: Integers, seen: Bools, begins: Bools, clock: Clock) -> Loss:
    """Count missing samples, and list the gaps they form.

    A hole is an interval longer than 1.5 times the usual one, and longer than jitter explains
    (five standard deviations, estimated from the MAD). A gap ends where a trial does. Samples
    that came on no grid in time have no holes.

    Parameters
    ----------
    time_us : (n,) int64
    seen : (n,) bool
        Sample has gaze.
    begins : (n,) bool
        Sample begins a trial: a hole before it is none.
    clock : Clock
    """
    if not len(time_us):
        return Loss(0, 0, 0, np.zeros(0))
    steps = np.diff(time_us).astype(np.float64)
    parted = begins[1:] | (steps >= _PAUSE_US)
    interval = clock.interval_ms * 1000
    longest = interval * _HOLE_INTERVALS
    longest = max(longest, interval + _JITTER_SDS * _SD_OF_MAD * clock.mad_ms * 1000)
    is_hole = ~parted & (steps > longest) & clock.has_grid
    dropped = np.zeros(len(steps), np.int64)
    dropped[is_hole] = np.maximum(np.rint(steps[is_hole] / interval), 1) - 1
    # every expected sample has a place in line, and so has each border between trials
    place = np.concatenate(([1], 1 + np.cumsum(1 + dropped + parted)))
    borders = np.concatenate(([0], place[1:][parted] - 1, [place[-1] + 1]))
    marks = np.sort(np.concatenate((place[seen], borders)))
    gaps = np.diff(marks) - 1
    gaps = gaps[gaps > 0]
    return Loss(
        expected=len(time_us) + int(dropped.sum()),
        dropped=int(dropped.sum()),
        missing=int(gaps.sum()),
        gaps_ms=gaps * clock.interval_ms if len(gaps) else np.zeros(0),
    )


# ---------------------------------------------------------------- precision


def rms_s2s(gaze: Floats, follows: Bools | None = None) -> float:
    """Root mean square of the steps between successive samples.

    Parameters
    ----------
    gaze : (n, 2)
        Steps from or to a sample that is NaN are left out.
    follows : (n - 1,) bool, optional
        The next sample follows without a hole; other steps are left out.
    """
    squares = (np.diff(gaze, axis=0) ** 2).sum(axis=1)
    if follows is not None:
        squares = squares[follows]
    squares = squares[np.isfinite(squares)]
    return float(np.sqrt(squares.mean())) if len(squares) else np.nan


def spread(gaze: Floats) -> float:
    """STD: root of the summed variances of x and y (n, 2), divided by n; NaN if n < 2."""
    gaze = gaze[np.isfinite(gaze).all(axis=1)]
    return float(np.sqrt(gaze.var(axis=0).sum())) if len(gaze) > 1 else np.nan


def bcea(gaze: Floats, share: float = BCEA_SHARE) -> float:
    """Bivariate contour ellipse area of gaze (n, 2), in which `share` of it lies.

    ``2 k pi sx sy sqrt(1 - r^2)`` with ``k = -ln(1 - share)`` (Steinman 1965; Crossland and
    Rubin 2002), variances divided by n - 1, for a normal distribution; NaN if n < 2.
    """
    gaze = gaze[np.isfinite(gaze).all(axis=1)]
    if len(gaze) < 2:
        return np.nan
    determinant = np.linalg.det(np.cov(gaze.T))
    return float(-2 * np.log1p(-share) * np.pi * np.sqrt(max(determinant, 0.0)))


def directions_deg(points_mm: Floats, eye_mm: Floats) -> Floats:
    """Gaze right of and below its mean direction, as one eye sees it: (n, 2) degrees.

    The eye stays where it is, so that noise of the measured eye position, and the head's
    movements, do not pass for noise of gaze.

    Parameters
    ----------
    points_mm : (n, 2)
        On the display.
    eye_mm : (3,)
        Distance from the display last.
    """
    rays = np.column_stack((points_mm - eye_mm[:2], np.full(len(points_mm), eye_mm[2])))
    rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    seen = rays[np.isfinite(rays).all(axis=1)]
    if not len(seen):
        return np.full((len(rays), 2), np.nan)
    ahead = seen.mean(axis=0)
    ahead /= np.linalg.norm(ahead)
    x, y, z = ahead
    flat = np.hypot(x, z)
    right = np.array([z, 0.0, -x]) / flat
    below = np.array([-x * y, flat**2, -y * z]) / flat
    across = rays @ np.column_stack((right, below))
    return np.asarray(np.degrees(np.arctan2(across, (rays @ ahead)[:, None])))


def angles_deg(first_mm: Floats, second_mm: Floats, eye_mm: Floats) -> Floats:
    """Angle (n,) between two points (n, 2) of the display as seen from eyes (n, 3)."""
    one = np.column_stack((first_mm - eye_mm[:, :2], eye_mm[:, 2]))
    other = np.column_stack((second_mm - eye_mm[:, :2], eye_mm[:, 2]))
    across = np.linalg.norm(np.cross(one, other), axis=1)
    return np.asarray(np.degrees(np.arctan2(across, (one * other).sum(axis=1))))
