"""I-VT for gaze in px on a screen, seen from one place: :mod:`.velocity`, but faster.

Gaze is x (n,) and y (n,), missing where either is not finite; time is (n,) microseconds, strictly
rising; labels are (n,).
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers, Labels
from gazetools.kernels.labels import FIXATION, SACCADE, UNCLASSIFIED
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

    Returns
    -------
    label : (n,)
    """
    n = len(x_px)
    label = np.zeros(n, np.int8)
    start = 0
    while start < n:
        end = end_of_finite(x_px, y_px, start)
        here = slice(start, end)
        run = label[here]
        screen = mm_per_px, middle_mm[0], middle_mm[1], distance_mm
        label_clear_turns(x_px[here], y_px[here], time_us[here], screen, window, threshold, run)
        i = next_of(label, UNCLASSIFIED, start, end)
        while i < end:
            first = window_start(i, start, end, window, shift)
            if first >= 0:
                last = first + window - 1
                label[i] = label_turn(x_px, y_px, time_us, screen, first, last, threshold)
            i = next_of(label, UNCLASSIFIED, i + 1, end)
        start = end + 1
    return label


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
    """Label a run's samples that are clearly slow or fast; the others become unclassified.

    Nothing in the loop branches, so that several samples are done at a time.

    Parameters
    ----------
    screen : tuple
        Millimetres per px, x and y of the point that the eye is in front of, its distance.
    """
    scale, middle_x, middle_y, distance = screen
    square_distance = distance * distance
    label[:] = UNCLASSIFIED
    # views, so that the loop needs no index but its own
    last_x, last_y, last_us = x_px[window - 1 :], y_px[window - 1 :], time_us[window - 1 :]
    middle = label[window // 2 :]
    for i in range(len(x_px) - window + 1):
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
        middle[i] = code if is_sure else UNCLASSIFIED


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
