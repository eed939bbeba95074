"""I-VT for gaze in space: angular velocity, and labels by it.

Gaze and eye are (n, 3) in one frame, time is (n,) microseconds, strictly rising. A sample is
missing when its gaze's x is NaN; no window reaches beyond an unbroken *run* of samples.
"""

import math

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Labels
from gazetools.kernels.labels import FIXATION, SACCADE, UNCLASSIFIED
from gazetools.kernels.rays import angle_between, cross_and_dot
from gazetools.kernels.runs import end_of_run

TO_RADIANS = math.pi / 180 * 1e-6
"""Of degrees per second times microseconds."""
SERIES_UP_TO = 0.12**2
"""Squared angle up to which the tangent's series is good to 1e-8."""
NEAR = 1e-6
"""Share of the limit within which a faster comparison is not trusted."""


@njit(cache=True)
def angular_velocity(
    gaze: Floats, eye: Floats, time_us: Floats, window: int, shift: bool
) -> Floats:
    """Angle between the ends of a window, seen from the eye at its middle, over its time.

    Parameters
    ----------
    gaze, eye : (n, 3)
        Gaze and eye position in one frame; for gaze directions the eye is the origin.
    time_us : (n,)
    window : int
        Samples, at least 2; the middle of an even window is the later one.
    shift : bool
        Near a run's ends, shift the window inside the run. Otherwise there is no velocity.

    Returns
    -------
    velocity : (n,)
        Degrees per second; NaN where the run is shorter than the window.
    """
    n = len(gaze)
    velocity = np.full(n, np.nan)
    start = 0
    while start < n:
        end = end_of_run(gaze, start)
        for i in range(start, end):
            a = window_start(i, start, end, window, shift)
            if a >= 0:
                b = a + window - 1
                angle = angle_between(gaze[a] - eye[i], gaze[b] - eye[i])
                velocity[i] = angle / (time_us[b] - time_us[a]) * 1e6
        start = end + 1
    return velocity


@njit(cache=True)
def window_start(i: int, start: int, end: int, window: int, shift: bool) -> int:
    """First sample of the velocity window of sample i in the run start .. end - 1, or -1."""
    first = i - window // 2
    if shift:
        first = max(start, min(first, end - window))
    return first if first >= start and first + window <= end else -1


@njit(cache=True)
def label_by_velocity(
    gaze: Floats, eye: Floats, time_us: Floats, window: int, shift: bool, threshold: float
) -> Labels:
    """Label samples as :func:`angular_velocity` would, with an arc tangent where it matters.

    Parameters
    ----------
    threshold : float
        Degrees per second; a slower sample is a fixation, one without velocity unclassified.

    Returns
    -------
    label : (n,)
    """
    n = len(gaze)
    label = np.zeros(n, np.int8)
    start = 0
    while start < n:
        end = end_of_run(gaze, start)
        for i in range(start, end):
            first = window_start(i, start, end, window, shift)
            if first < 0:
                label[i] = UNCLASSIFIED
                continue
            last = first + window - 1
            x, y, z = eye[i, 0], eye[i, 1], eye[i, 2]
            a = gaze[first, 0] - x, gaze[first, 1] - y, gaze[first, 2] - z
            b = gaze[last, 0] - x, gaze[last, 1] - y, gaze[last, 2] - z
            square, dot = cross_and_dot(a, b)
            label[i] = slow_or_fast(square, dot, time_us[last] - time_us[first], threshold)
        start = end + 1
    return label


@njit(cache=True)
def slow_or_fast(square: float, dot: float, time_us: float, threshold: float) -> int:
    """Label a turn of given squared cross product and dot product, that took a time, in us.

    Tangents are compared as long as they are clearly apart, or else velocities.
    """
    limit = tangent_squared(threshold * time_us * TO_RADIANS) * dot * dot
    if dot > 0 and abs(square - limit) > NEAR * limit:  # never where any is NaN
        return FIXATION if square < limit else SACCADE
    velocity = math.degrees(math.atan2(math.sqrt(square), dot)) / time_us * 1e6
    if velocity < threshold:
        return FIXATION
    return SACCADE if velocity >= threshold else UNCLASSIFIED


@njit(cache=True)
def tangent_squared(angle: float) -> float:
    """Squared tangent by its series, to 1e-8 of itself; NaN for angles above 0.12 (7 degrees)."""
    square = angle * angle
    return tangent_series(square) if square <= SERIES_UP_TO else np.nan


@njit(cache=True)
def tangent_series(s: float) -> float:
    """Squared tangent of an angle whose square is given, for squares up to SERIES_UP_TO."""
    return s * (1 + s * (2 / 3 + s * (17 / 45 + s * (62 / 315))))
