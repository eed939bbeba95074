"""Velocity-threshold identification of fixations as Tobii does it (I-VT).

The order of the steps is that of A. Olsen, "The Tobii I-VT Fixation Filter", Tobii Technology,
20 March 2012: gap fill-in, eye selection, noise reduction, velocity, classification, merging,
discarding. Pro Lab departs from that paper. What it does was inferred from fits to its exports
and reproduces the label and the running index of every sample of six recordings (1.241 at
120 Hz, 24.21 at 300 Hz; 379 fixations):

1. no gap fill-in;
2. a lost eye is estimated from the other: its position and its gaze point are shifted by the
   last known difference between the eyes, however old that is;
3. gaze is the mean of the two unit vectors from eye to gaze point, not a point on the display;
4. noise is reduced by a median of three in the frame of the eye tracker, which looks up at the
   viewer by 20 degrees (any tilt from 20 to 22 fits), so that y and z mix; the first and last
   sample of a run stay as they are;
5. near a gap the velocity window is shifted inside the run; runs that are shorter than the
   window are unclassified;
6. adjacent fixations are merged if their gap is at most 75 ms, to the millisecond, and their
   mean directions lie within 0.5 degrees; a merged fixation is where its *last* piece is;
7. a fixation that is too short *after merging* is unclassified as a whole, with what it
   swallowed;
8. a fixation lies at the mean, over all its samples, of display points that are averaged over
   the eyes that were seen and smoothed by a median of three.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import ConfigError, GeometryError
from gazetools.kernels import events as kernels
from gazetools.tables import EVENTS
from gazetools.timeline import Timeline

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = NDArray[np.int8]

MISSING, FIXATION, SACCADE, UNCLASSIFIED = range(len(EVENTS))
EYES = ("left", "right")

_EYE_SELECTIONS = ("average", "strict", "left", "right")
_NOISE_REDUCTIONS = (None, "median", "mean")
# intervals jitter: a window that holds a whole number of them must not lose one
_WINDOW_TOLERANCE = 1.01
_HALF_MS = 0.5


@dataclass(frozen=True)
class IVT:
    """Settings of the I-VT chain. The defaults are those of the white paper.

    Attributes
    ----------
    gap_fill_ms : float or None
        Fill gaps of one eye that are shorter than this, linearly; None: do not.
    eye_selection : {"average", "strict", "left", "right"}
        "average" uses the one eye where the other is lost, "strict" needs both.
    substitute_lost_eye : bool
        For "average": estimate the lost eye from the other and their last known difference.
    gaze_as : {"point", "direction"}
        Average the eyes as points on the display, or as unit vectors from eye to gaze point.
    tracker_tilt_deg : float
        For "direction": how far the tracker's frame, in which noise is reduced, is turned
        about the horizontal against the display's.
    noise_reduction : {None, "median", "mean"}
    noise_window_samples : int
        Odd.
    velocity_window_ms : float
    shift_velocity_window : bool
        Near gaps, shift the window into the run instead of giving no velocity.
    velocity_threshold_deg_s : float
        Slower is a fixation.
    merge_max_gap_ms : float or None
        Longest gap, rounded to whole ms, across which fixations are merged; None: do not.
    merge_max_angle_deg : float
    merge_position : {"all", "last"}
        A merged fixation is where all its samples are, or where its last piece is.
    merge_look_ahead : bool
        Try every fixation that starts within the gap, not only the next.
    min_fixation_ms : float
        Shorter fixations, rounded to whole ms, become unclassified.
    discard_swallowed : bool
        When a merged fixation is discarded, what it swallowed becomes unclassified too.
    """

    gap_fill_ms: float | None = 75.0
    eye_selection: Literal["average", "strict", "left", "right"] = "average"
    substitute_lost_eye: bool = False
    gaze_as: Literal["point", "direction"] = "point"
    tracker_tilt_deg: float = 0.0
    noise_reduction: Literal["median", "mean"] | None = None
    noise_window_samples: int = 3
    velocity_window_ms: float = 20.0
    shift_velocity_window: bool = False
    velocity_threshold_deg_s: float = 30.0
    merge_max_gap_ms: float | None = 75.0
    merge_max_angle_deg: float = 0.5
    merge_position: Literal["all", "last"] = "all"
    merge_look_ahead: bool = False
    min_fixation_ms: float = 60.0
    discard_swallowed: bool = False

    def __post_init__(self) -> None:
        _check_choice("eye_selection", self.eye_selection, _EYE_SELECTIONS)
        _check_choice("gaze_as", self.gaze_as, ("point", "direction"))
        _check_choice("noise_reduction", self.noise_reduction, _NOISE_REDUCTIONS)
        _check_choice("merge_position", self.merge_position, ("all", "last"))
        if self.noise_window_samples < 1 or self.noise_window_samples % 2 == 0:
            raise ConfigError(
                f"noise_window_samples is {self.noise_window_samples}; it must be odd and positive"
            )
        for name in ("velocity_window_ms", "velocity_threshold_deg_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be positive")

    def digest(self) -> str:
        """Short hash of all settings."""
        settings = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:8]

    def describe(self) -> str:
        """Name the detector for a table's `source`: ``ivt:tobii-prolab:1a2b3c4d``."""
        name = next((name for name, profile in PROFILES.items() if profile == self), "custom")
        return f"ivt:{name}:{self.digest()}"


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{name} is {value!r}; expected one of {allowed}")


PROFILES: dict[str, IVT] = {
    "tobii-prolab": IVT(
        gap_fill_ms=None,
        substitute_lost_eye=True,
        gaze_as="direction",
        tracker_tilt_deg=20.0,
        noise_reduction="median",
        shift_velocity_window=True,
        merge_position="last",
        discard_swallowed=True,
    ),
    "tobii-studio": IVT(merge_look_ahead=True),
    "olsen2012": IVT(),
}
"""Settings by name: Pro Lab's preset "Tobii I-VT (Fixation)", Studio's "I-VT filter", the paper."""


@dataclass(frozen=True)
class Gaze:
    """Where one cyclopean eye looks: gaze and eye (n, 3) in one frame, NaN if missing.

    For gaze directions the eye is the origin.
    """

    gaze: Floats
    eye: Floats


def detect_ivt(
    samples: pd.DataFrame, line: Timeline, params: IVT, mm_per_px: float | None = None
) -> Labels:
    """Label each sample of a recording's timeline; see :func:`gazetools.events.detect`.

    Returns
    -------
    label : (m,) int8
        Codes into EVENTS. An event is a stretch of one label.
    """
    left, right = (line.spread(ray) for ray in eye_rays(samples, mm_per_px))
    if params.gap_fill_ms is not None:
        limit_us = params.gap_fill_ms * 1000
        left, right = (kernels.fill_gaps(ray, line.time_us, limit_us) for ray in (left, right))
    gaze = reduce_noise(select_eyes(left, right, params), params)
    label = classify(gaze, line, params)
    fixations = _stretches(label == FIXATION)
    if params.merge_max_gap_ms is not None:
        fixations = merge(fixations, gaze, line, params.merge_max_gap_ms, params)
    return discard_short(label, fixations, line, params)


def eye_rays(samples: pd.DataFrame, mm_per_px: float | None = None) -> tuple[Floats, Floats]:
    """Gaze point and eye position of the left and of the right eye.

    If the table has gaze directions (``left_dir_x`` ...), the gaze point is where they meet
    the display: exports round directions less than points.

    Returns
    -------
    left, right : (n, 5)
        Gaze x, y and eye x, y, z in mm, display coordinates; NaN where the eye is not valid.

    Raises
    ------
    GeometryError
        There is gaze, but no eye position, or no way from px to mm.
    """
    left, right = (_eye_ray(samples, eye, mm_per_px) for eye in EYES)
    if np.isnan(left).all() and np.isnan(right).all() and _has_gaze(samples):
        raise GeometryError(_explain_missing_rays(samples))
    return left, right


def _eye_ray(samples: pd.DataFrame, eye: str, mm_per_px: float | None) -> Floats:
    x, y, z = _columns(samples, [f"{eye}_eye_{axis}_mm" for axis in "xyz"])
    dx, dy, dz = _columns(samples, [f"{eye}_dir_{axis}" for axis in "xyz"])
    point = _columns(samples, [f"{eye}_{axis}_mm" for axis in "xy"])
    if mm_per_px is not None and np.isnan(point).all():
        point = _columns(samples, [f"{eye}_{axis}_px" for axis in "xy"]) * mm_per_px
    away = dz < 0
    reach = z[away] / -dz[away]
    point[:, away] = x[away] + dx[away] * reach, y[away] + dy[away] * reach
    ray = np.column_stack((*point, x, y, z))
    lost = ~np.isfinite(ray).all(axis=1)
    if f"{eye}_valid" in samples:
        lost |= ~samples[f"{eye}_valid"].to_numpy(bool)
    ray[lost] = np.nan
    return ray


def _columns(samples: pd.DataFrame, names: list[str]) -> Floats:
    """Columns as rows of an array (k, n), NaN where the table lacks them."""
    values = np.full((len(names), len(samples)), np.nan)
    for k, name in enumerate(names):
        if name in samples:
            values[k] = samples[name].to_numpy(np.float64)
    return values


def _has_gaze(samples: pd.DataFrame) -> bool:
    names = ["x_px", *(f"{eye}_x_{unit}" for eye in EYES for unit in ("px", "mm"))]
    return bool(np.isfinite(_columns(samples, names)).any())


def _explain_missing_rays(samples: pd.DataFrame) -> str:
    positions = [f"{eye}_eye_{axis}_mm" for eye in EYES for axis in "xyz"]
    if np.isfinite(_columns(samples, positions)).any():
        return (
            "no gaze in mm on the display (left_x_mm ...) beside the eye positions; export "
            "'Gaze point left/right (DACSmm)', or give the size of a pixel (mm_per_px, --screen)"
        )
    return (
        "no eye positions (left_eye_x_mm ...): I-VT measures angles at the eye; export "
        "'Eye position left/right (DACSmm)' too, or say how far away the eyes were (--screen), "
        "or use the vendor's own fixations (--events vendor)"
    )


def select_eyes(left: Floats, right: Floats, params: IVT) -> Gaze:
    """One gaze from two eyes' rays (n, 5)."""
    if params.eye_selection == "left":
        right = left
    elif params.eye_selection == "right":
        left = right
    elif params.eye_selection == "average" and params.substitute_lost_eye:
        left, right = kernels.substitute_lost_eye(left, right)
    elif params.eye_selection == "average":
        left, right = np.where(np.isnan(left), right, left), np.where(np.isnan(right), left, right)
    if params.gaze_as == "direction":
        tilt = np.radians(params.tracker_tilt_deg)
        directions = kernels.mean_direction(left, right, tilt)
        return Gaze(directions, np.zeros_like(directions))
    mean = (left + right) / 2
    point = np.column_stack((mean[:, :2], np.zeros(len(mean)) * mean[:, 0]))
    return Gaze(point, np.ascontiguousarray(mean[:, 2:]))


def reduce_noise(gaze: Gaze, params: IVT) -> Gaze:
    """Smooth gaze, not eye positions, by a moving median or mean, x, y and z apart."""
    return Gaze(smooth(gaze.gaze, params), gaze.eye)


def smooth(signal: Floats, params: IVT) -> Floats:
    """Take the moving median or mean, as the settings want it, of a signal (n, k)."""
    if params.noise_reduction is None:
        return signal
    if params.noise_reduction == "median":
        return kernels.moving_median(signal, params.noise_window_samples)
    return kernels.moving_mean(signal, params.noise_window_samples)


def velocity_window_samples(params: IVT, interval_us: float) -> int:
    """Count the samples of the velocity window, ends included: intervals that fit, plus 1."""
    fitting = int(params.velocity_window_ms * 1000 / interval_us * _WINDOW_TOLERANCE)
    return max(2, fitting + 1)


def classify(gaze: Gaze, line: Timeline, params: IVT) -> Labels:
    """Label (n,) each sample by its angular velocity."""
    window = velocity_window_samples(params, line.interval_us)
    velocity = kernels.angular_velocity(
        gaze.gaze, gaze.eye, line.time_us, window, params.shift_velocity_window
    )
    label = np.full(len(velocity), UNCLASSIFIED, np.int8)
    label[np.isnan(gaze.gaze[:, 0])] = MISSING
    label[velocity < params.velocity_threshold_deg_s] = FIXATION
    label[velocity >= params.velocity_threshold_deg_s] = SACCADE
    return label


def merge(
    fixations: Integers, gaze: Gaze, line: Timeline, max_gap_ms: float, params: IVT
) -> Integers:
    """Join fixations (m, 2), first and last sample, that are close in time and space."""
    return kernels.merge_fixations(
        fixations,
        gaze.gaze,
        gaze.eye,
        line.borders_us(),
        (max_gap_ms + _HALF_MS) * 1000,
        params.merge_max_angle_deg,
        params.merge_position == "all",
        params.merge_look_ahead,
    )


def discard_short(label: Labels, fixations: Integers, line: Timeline, params: IVT) -> Labels:
    """Write fixations (m, 2) into labels (n,); those that are too short become unclassified."""
    borders = line.borders_us()
    first, last = fixations[:, 0], fixations[:, 1]
    duration_ms = (borders[last + 1] - borders[first]) / 1000
    is_long = np.rint(duration_ms) >= params.min_fixation_ms
    kept = _inside(fixations[is_long], len(label))
    dropped = _inside(fixations[~is_long], len(label))
    if params.discard_swallowed:
        dropped &= label != MISSING
    else:
        dropped &= label == FIXATION
    return np.where(kept, FIXATION, np.where(dropped, UNCLASSIFIED, label)).astype(np.int8)


def _stretches(mask: NDArray[np.bool_]) -> Integers:
    """First and last index (m, 2) of each stretch of true values in a mask (n,)."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return np.column_stack((edges[::2], edges[1::2] - 1))


def _inside(events: Integers, n: int) -> NDArray[np.bool_]:
    """Mask (n,) of the samples that lie in disjoint events (m, 2)."""
    steps = np.zeros(n + 1, np.int64)
    steps[events[:, 0]] += 1
    np.subtract.at(steps, events[:, 1] + 1, 1)
    return np.cumsum(steps[:-1]) > 0
