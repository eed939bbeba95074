"""Saccades and microsaccades by a velocity threshold that adapts to the noise.

R. Engbert and R. Kliegl, "Microsaccades uncover the orientation of covert attention", Vision
Research 43 (2003) 1035-1045; R. Engbert and K. Mergenthaler, "Microsaccades are triggered by low
retinal image slip", PNAS 103 (2006) 7192-7197. Velocity is taken over a moving window of five
samples. Its spread in x and in y, robust against saccades because it is made of medians, times
a factor is the radius of an ellipse; faster samples, if there are enough of them in a row, are a
saccade. Of a binocular saccade both eyes have a part at the same time.

Where the papers leave a choice, or are for other rates: time is that of the tracker's clock, so
that jitter does not count; the window lasts at least 10 ms, and shrinks towards missing samples;
the shortest saccade is given in ms, 3 samples of the paper's 250 Hz; the spread is that of
the whole recording; a fixation is what lies between saccades and missing samples.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.events.detector import (
    FIXATION,
    HALF_MS,
    MISSING,
    SACCADE,
    WINDOW_TOLERANCE,
    Floats,
    Labels,
    Settings,
)
from gazetools.events.rays import gaze_angles, gaze_px
from gazetools.kernels.engbert_kliegl import label_by_ellipse, smoothed_velocity
from gazetools.kernels.labels import keep_or_discard
from gazetools.kernels.runs import stretches
from gazetools.timeline import Timeline


@dataclass(frozen=True)
class EngbertKliegl(Settings):
    """Settings of the velocity-adaptive detector.

    Attributes
    ----------
    threshold_factor : float
        Called lambda in the paper; 5 or 6 is usual.
    spread : {"2003", "2006"}
        Square root of median(v^2) - median(v)^2, or of median((v - median(v))^2).
    velocity_window_samples : int
        Odd, at least 3; 5 in the papers, whose rates are 250 and 500 Hz.
    velocity_window_ms : float
        Where that many samples last less, as many as last this long; 0: never more. At 2000 Hz
        five samples are 2 ms, too noisy to see a saccade of one degree.
    min_saccade_ms : float
        Shorter ones, rounded to whole ms, belong to the fixation.
    eye : {"average", "left", "right"}
        Whose velocity, unless `binocular`.
    binocular : bool
        Count only saccades that both eyes make, from the first eye's start to the last one's end.
    unit : {"deg", "px"}
        What velocity is measured in; the threshold adapts to either.
    min_fixation_ms : float
        Shorter fixations, rounded to whole ms, become unclassified. Not from the papers.
    """

    algorithm: ClassVar[str] = "engbert-kliegl"

    threshold_factor: float = 6.0
    spread: Literal["2003", "2006"] = "2003"
    velocity_window_samples: int = 5
    velocity_window_ms: float = 10.0
    min_saccade_ms: float = 12.0
    eye: Literal["average", "left", "right"] = "average"
    binocular: bool = False
    unit: Literal["deg", "px"] = "deg"
    min_fixation_ms: float = 60.0

    def __post_init__(self) -> None:
        self.check_choices()
        self.check_odd("velocity_window_samples", 3)
        self.check_positive("threshold_factor")

    @property
    def single_eye(self) -> Literal["left", "right"] | None:
        """As of all detectors; what both eyes have a part in is nobody's alone."""
        return None if self.binocular else super().single_eye


def detect_engbert_kliegl(
    samples: pd.DataFrame, line: Timeline, params: EngbertKliegl, mm_per_px: float | None = None
) -> Labels:
    """Label each sample of a recording's timeline; see :func:`gazetools.events.detect`."""
    eyes = ("left", "right") if params.binocular else (params.eye,)
    by_eye = [_label(_gaze(samples, line, params, eye, mm_per_px), line, params) for eye in eyes]
    label = _join(*by_eye) if params.binocular else by_eye[0]
    fixations = stretches(label, FIXATION)
    is_long = line.lasts_us(fixations) >= (params.min_fixation_ms - HALF_MS) * 1000
    keep_or_discard(label, fixations, is_long, False)
    return label


def speed(
    samples: pd.DataFrame, line: Timeline, params: EngbertKliegl, mm_per_px: float | None = None
) -> Floats:
    """Speed (m,) along a timeline, degrees or px per second, of the eye that is asked for."""
    gaze = _gaze(samples, line, params, params.single_eye or "average", mm_per_px)
    speeds: Floats = np.linalg.norm(velocity(gaze, line, params), axis=1)
    return speeds


def velocity(gaze: Floats, line: Timeline, params: EngbertKliegl) -> Floats:
    """Velocity (m, 2) in x and y, per second, of gaze (m, 2)."""
    return smoothed_velocity(gaze, line.time_us, reach_samples(params, line.interval_us))


def reach_samples(params: EngbertKliegl, interval_us: float) -> int:
    """Count the samples on either side that velocity is made of."""
    fitting = int(params.velocity_window_ms * 1000 / interval_us / 2 * WINDOW_TOLERANCE)
    return max(params.velocity_window_samples // 2, fitting)


def spread(velocity: Floats, params: EngbertKliegl) -> NDArray[np.float64]:
    """Spread (2,) of velocities (n, 2) in x and in y; 0 if there is none to tell it from."""
    known = velocity[~np.isnan(velocity).any(axis=1)]
    if not len(known):
        return np.zeros(2)
    middle = np.median(known, axis=0)
    about_middle = np.median((known - middle) ** 2, axis=0)
    if params.spread == "2006":
        return np.sqrt(about_middle)
    square = np.median(known**2, axis=0) - middle**2
    return np.sqrt(np.where(square > 0, square, about_middle))


def _gaze(
    samples: pd.DataFrame,
    line: Timeline,
    params: EngbertKliegl,
    eye: str,
    mm_per_px: float | None,
) -> Floats:
    if params.unit == "px":
        return gaze_px(samples, line, eye)
    return gaze_angles(samples, line, eye, mm_per_px)


def _label(gaze: Floats, line: Timeline, params: EngbertKliegl) -> Labels:
    """Label what one eye does; saccades that are too short belong to fixations."""
    speeds = velocity(gaze, line, params)
    label = label_by_ellipse(gaze, speeds, params.threshold_factor * spread(speeds, params))
    saccades = stretches(label, SACCADE)
    is_short = line.lasts_us(saccades) < (params.min_saccade_ms - HALF_MS) * 1000
    keep_or_discard(label, saccades[is_short], is_short[is_short], False)
    return label


def _join(left: Labels, right: Labels) -> Labels:
    """Labels of both eyes together; a saccade of one eye alone is none."""
    either = ((left == SACCADE) | (right == SACCADE)).astype(np.int8)
    both = np.concatenate(([0], np.cumsum((left == SACCADE) & (right == SACCADE))))
    label = np.where(left == MISSING, right, left)
    label[label == SACCADE] = FIXATION
    for first, last in stretches(either, 1):
        if both[last + 1] > both[first]:
            label[first : last + 1] = SACCADE
    return label
