"""Joining fixations that are close in time and in space.

Gaze and eye are (n, 3) in one frame, missing where the first value is NaN; fixations are (m, 2):
first and last sample.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers
from gazetools.kernels.rays import angle_between


@njit(cache=True)
def merge_fixations(
    pieces: Integers,
    gaze: Floats,
    eye: Floats,
    border_us: Floats,
    max_gap_us: float,
    max_angle: float,
    whole: bool,
    look_ahead: bool,
) -> Integers:
    """Join fixations that are close in time and in space; what lies between is swallowed.

    The angle is taken between the mean gaze of both, from the mean of the eye positions at
    the end of the first and at the start of the second.

    Parameters
    ----------
    pieces : (m, 2)
        First and last sample of each fixation, in time order, disjoint.
    gaze, eye : (n, 3)
    border_us : (n + 1,)
        Sample i lasts from border i to border i + 1.
    max_gap_us, max_angle : float
        Inclusive; the angle in degrees.
    whole : bool
        A merged fixation is where all its samples are; otherwise, where its last piece is.
    look_ahead : bool
        Try every fixation that starts within the gap, not only the next one.

    Returns
    -------
    merged : (p, 2)
    """
    merged = np.empty_like(pieces)
    count = 0
    i = 0
    while i < len(pieces):
        first, last = pieces[i, 0], pieces[i, 1]
        here = mean_of_valid(gaze, first, last)
        j = i + 1
        while j < len(pieces) and border_us[pieces[j, 0]] - border_us[last + 1] <= max_gap_us:
            there = mean_of_valid(gaze, pieces[j, 0], pieces[j, 1])
            seen_from = (eye[last] + eye[pieces[j, 0]]) / 2
            if angle_between(here - seen_from, there - seen_from) <= max_angle:
                i, last = j, pieces[j, 1]
                here = mean_of_valid(gaze, first, last) if whole else there
            elif not look_ahead:
                break
            j += 1
        merged[count, 0], merged[count, 1] = first, last
        count += 1
        i += 1
    return merged[:count]


@njit(cache=True)
def mean_of_valid(signal: Floats, first: int, last: int) -> Floats:
    """Mean (k,) of the samples first .. last of a signal (n, k) that are not missing."""
    mean = np.zeros(signal.shape[1])
    count = 0
    for i in range(first, last + 1):
        if not np.isnan(signal[i, 0]):
            count += 1
            for k in range(len(mean)):
                mean[k] += signal[i, k]
    for k in range(len(mean)):
        mean[k] = mean[k] / count if count else np.nan
    return mean
