"""I-VT for gaze in px on a screen, seen from one place: :mod:`.velocity`, but faster.

Gaze is x (n,) and y (n,), missing where either is not finite; time is (n,) microseconds, strictly
rising; labels are (n,).
"""

import math

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers, Labels
from gazetools.kernels.labels import FIXATION, MISSING, SACCADE, UNCLASSIFIED
from gazetools.kernels.rays import cross_and_dot
from gazetools.kernels.runs import end_of_finite, next_of
from gazetools.kernels.velocity import (
    NEAR,
    SERIES_UP_TO,
    TO_RADIANS,
    slow_or_fast,
    tangent_series,
    window_start,
)

CHUNK = 512
"""Samples that are taken at a time, so that those of a second look are still in the cache."""
PART = 64
"""Windows that are looked at again together."""


@njit(cache=True)
def label_pixels(
    x_px: Floats,
    y_px: Floats,
    time_us: Integers,
    mm_per_px: float,
    middle_mm: tuple[float, float],
    distance_mm: float,
    window: int,
    shift: bool,
    threshold: float,
    steady: bool,
) -> Labels:
    """Label gaze on a screen as :func:`label_by_velocity` labels rays from one place.

    Parameters
    ----------
    x_px, y_px : (n,)
    time_us : (n,)
    mm_per_px : float
    middle_mm : (float, float)
        Point on the screen that the eye is in front of.
    distance_mm : float
    window, shift, threshold
        See there.
    steady : bool
        Whether all steps of the clock are the same.

    Returns
    -------
    label : (n,)
    """
    n = len(x_px)
    screen = mm_per_px, middle_mm[0], middle_mm[1], distance_mm
    label = np.full(n, UNCLASSIFIED, np.int8)
    start = 0
    while start < n:
        if not (math.isfinite(x_px[start]) and math.isfinite(y_px[start])):
            label[start] = MISSING
            start += 1
            continue
        end = label_clear_part(x_px, y_px, time_us, screen, window, threshold, start, label, steady)
        i = next_of(label, UNCLASSIFIED, start, end)
        while i < end:
            first = window_start(i, start, end, window, shift)
            if first >= 0:
                last = first + window - 1
                label[i] = label_turn(x_px, y_px, time_us, screen, first, last, threshold)
            i = next_of(label, UNCLASSIFIED, i + 1, end)
        start = end
    return label


@njit(cache=True)
def label_clear_part(
    x_px: Floats,
    y_px: Floats,
    time_us: Integers,
    screen: tuple[float, float, float, float],
    window: int,
    threshold: float,
    start: int,
    label: Labels,
    steady: bool,
) -> int:
    """Label what is clearly slow or fast of the run from `start` on; return that run's end.

    Parameters
    ----------
    screen : tuple
        Millimetres per px, x and y of the point that the eye is in front of, its distance.
    label : (n,), written
    steady : bool
        See :func:`label_pixels`.
    """
    n = len(x_px)
    end = start
    is_over = False
    while not is_over:
        stop = min(end + CHUNK, n)
        first = max(start, end - window + 1)
        end = end_of_finite(x_px, y_px, end, stop)
        is_over = end < stop or end == n
        here = slice(first, end)
        middle = label[first + window // 2 :][: max(0, end - first - window + 1)]
        # of a steady clock any part will do: the first one stays in the cache
        us = time_us[: end - first] if steady else time_us[here]
        label_windows(x_px[here], y_px[here], us, screen, window, threshold, middle)
    return end


@njit(cache=True)
def label_windows(
    x_px: Floats,
    y_px: Floats,
    time_us: Integers,
    screen: tuple[float, float, float, float],
    window: int,
    threshold: float,
    label: Labels,
) -> None:
    """Label the windows (m,) of a stretch of gaze that are clearly slow or fast.

    Most are so slow that it shows without an angle; only parts with others are looked at again.
    """
    label_slow_turns(x_px, y_px, time_us, screen, window, threshold, label)
    m = len(label)
    i = next_of(label, UNCLASSIFIED, 0, m)
    while i < m:
        part = slice(i, i + PART + window - 1)
        turns = label[i : i + PART]
        label_clear_turns(x_px[part], y_px[part], time_us[part], screen, window, threshold, turns)
        i = next_of(label, UNCLASSIFIED, i + PART, m)


@njit(cache=True)
def label_slow_turns(
    x_px: Floats,
    y_px: Floats,
    time_us: Integers,
    screen: tuple[float, float, float, float],
    window: int,
    threshold: float,
    label: Labels,
) -> None:
    """Label windows slow whose ends are so near that they are slow wherever on the screen.

    The eye is no nearer to any point of a screen than to its plane, so that no turn is larger than
    the way of gaze over that distance.
    """
    scale, _, _, distance = screen
    px_per_us = (1 - NEAR) * threshold * TO_RADIANS * distance / scale
    # views, so that the loop needs no index but its own
    last_x, last_y, last_us = x_px[window - 1 :], y_px[window - 1 :], time_us[window - 1 :]
    for i in range(len(label)):
        to_x, to_y = last_x[i] - x_px[i], last_y[i] - y_px[i]
        reach = px_per_us * np.int32(last_us[i] - time_us[i])
        label[i] = FIXATION if to_x * to_x + to_y * to_y < reach * reach else UNCLASSIFIED


@njit(cache=True)
def label_clear_turns(
    x_px: Floats,
    y_px: Floats,
    time_us: Integers,
    screen: tuple[float, float, float, float],
    window: int,
    threshold: float,
    label: Labels,
) -> None:
    """Label windows that are clearly slow or fast; the others become unclassified.

    Nothing in the loop branches, so that several windows are done at a time.
    """
    scale, middle_x, middle_y, distance = screen
    square_distance = distance * distance
    last_x, last_y, last_us = x_px[window - 1 :], y_px[window - 1 :], time_us[window - 1 :]
    for i in range(len(label)):
        x, y = x_px[i] * scale - middle_x, y_px[i] * scale - middle_y
        to_x, to_y = (last_x[i] - x_px[i]) * scale, (last_y[i] - y_px[i]) * scale
        turn = threshold * np.int32(last_us[i] - time_us[i]) * TO_RADIANS
        s = turn * turn
        across = x * to_y - y * to_x
        dot = x * (x + to_x) + y * (y + to_y) + square_distance
        square = square_distance * (to_x * to_x + to_y * to_y) + across * across
        limit = tangent_series(s) * dot * dot
        is_sure = (dot > 0) & (s < SERIES_UP_TO) & (abs(square - limit) > NEAR * limit)
        code = FIXATION if square < limit else SACCADE
        label[i] = code if is_sure else UNCLASSIFIED


@njit(cache=True)
def label_turn(
    x_px: Floats,
    y_px: Floats,
    time_us: Integers,
    screen: tuple[float, float, float, float],
    first: int,
    last: int,
    threshold: float,
) -> int:
    """Label the turn from one sample to another as :func:`slow_or_fast`."""
    scale, middle_x, middle_y, distance = screen
    a = x_px[first] * scale - middle_x, y_px[first] * scale - middle_y, -distance
    b = x_px[last] * scale - middle_x, y_px[last] * scale - middle_y, -distance
    square, dot = cross_and_dot(a, b)
    return slow_or_fast(square, dot, float(time_us[last] - time_us[first]), threshold)
