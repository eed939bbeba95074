"""Fixations by the largest angle between any two directions of gaze in a window.

Directions are unit vectors (n, 3), all of them known; times (n,) are in microseconds.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers


@njit(cache=True)
def least_cosine(direction: Floats, first: int, stop: int, enough: float) -> float:
    """Least cosine between any two of the directions first .. stop - 1, or one below `enough`."""
    least = 1.0
    for j in range(first + 1, stop):
        x, y, z = direction[j, 0], direction[j, 1], direction[j, 2]
        for i in range(first, j):
            cosine = x * direction[i, 0] + y * direction[i, 1] + z * direction[i, 2]
            least = min(least, cosine)
        if least < enough:
            break
    return least


@njit(cache=True)
def narrow_windows(
    direction: Floats, time_us: Floats, least: float, min_us: float, max_us: float
) -> Integers:
    """Find windows whose directions differ by no more than an angle of the cosine `least`.

    The shortest window that lasts `min_us`, from its first sample to its last, is moved on until
    it is narrow; then it is what reaches as far as `max_us`, or, if that is too wide, as far as a
    bisection of the samples between finds, less one. The search goes on behind it.

    Returns
    -------
    windows : (m, 2)
        First and last sample.
    """
    n = len(direction)
    found = np.empty((n, 2), np.int64)
    count = 0
    first = 0
    last = 0
    while True:
        last = max(last, first)
        while last < n and time_us[last] - time_us[first] < min_us:
            last += 1
        if last == n:
            return found[:count].copy()
        reached = time_us[last] - time_us[first] <= max_us
        if not reached or least_cosine(direction, first, last + 1, least) < least:
            first += 1
            continue
        stop = last + 1
        while stop < n and time_us[stop] - time_us[first] <= max_us:
            stop += 1
        stop = narrow_stop(direction, first, last + 1, stop, least)
        found[count, 0], found[count, 1] = first, stop - 1
        count += 1
        first = stop


@njit(cache=True)
def narrow_stop(direction: Floats, first: int, narrow: int, stop: int, least: float) -> int:
    """One past the last sample of a window from `first` on that is narrow before `narrow`.

    All before `stop` if that is narrow, else what bisection finds but the last sample that fits.
    """
    if least_cosine(direction, first, stop, least) >= least:
        return stop
    while narrow < stop - 1:
        middle = (narrow + stop) // 2
        if least_cosine(direction, first, middle + 1, least) >= least:
            narrow = middle
        else:
            stop = middle
    return narrow
