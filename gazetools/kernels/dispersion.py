"""I-DT: labels by the dispersion of gaze in a window.

A signal is (n, 2), and a sample of it is missing when its x is NaN; a *run* is an unbroken stretch
of samples that are not missing. Sample i lasts from border i to border i + 1, in microseconds.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Labels
from gazetools.kernels.labels import FIXATION, OTHER, SACCADE, UNCLASSIFIED
from gazetools.kernels.runs import end_of_run


@njit(cache=True)
def label_by_dispersion(
    signal: Floats, border_us: Floats, max_dispersion: float, min_us: float
) -> Labels:
    """Label samples by the dispersion of a window: I-DT of Salvucci & Goldberg (2000).

    A window that lasts long enough is moved on until its extents in x and in y add up to no
    more than allowed; then it grows as long as that holds, and is a fixation.

    Parameters
    ----------
    signal : (n, 2)
    border_us : (n + 1,)
        Sample i lasts from border i to border i + 1.
    max_dispersion : float
        Inclusive.
    min_us : float
        Duration of the window that is moved.

    Returns
    -------
    label : (n,)
        Between two fixations of a run saccade; before the first, after the last unclassified.
        Of fixations that touch every second has OTHER added.
    """
    n = len(signal)
    label = np.zeros(n, np.int8)
    extents = np.empty((longest_window(border_us, min_us) + 1, 4))
    start = 0
    while start < n:
        end = end_of_run(signal, start)
        label[start:end] = UNCLASSIFIED
        stop = -1
        after = start
        while after < end:
            first, after = next_fixation(
                signal, border_us, after, end, max_dispersion, min_us, extents
            )
            if first >= 0 and stop >= 0:
                label[stop:first] = SACCADE
            if first >= 0:
                touches = first > start and label[first - 1] == FIXATION
                label[first:after] = FIXATION + OTHER if touches else FIXATION
            stop = after
        start = end + 1
    return label


@njit(cache=True)
def longest_window(border_us: Floats, min_us: float) -> int:
    """Most samples that a window needs to last at least `min_us`."""
    most = 1
    i = 0
    for j in range(1, len(border_us)):
        while i + 1 < j and border_us[j] - border_us[i + 1] >= min_us:
            i += 1
        most = max(most, j - i)
    return most


@njit(cache=True)
def next_fixation(
    signal: Floats,
    border_us: Floats,
    start: int,
    end: int,
    max_dispersion: float,
    min_us: float,
    extents: Floats,
) -> tuple[int, int]:
    """First sample of the next fixation in start .. end - 1, and one past its last.

    The window always is the longest one up to sample j that is not too wide. Its extents are
    those of two parts: up to `split`, where they were worked out backwards for every sample that
    the window may begin at, and from there to j. So each sample is looked at twice.

    Parameters
    ----------
    extents : (capacity, 4)
        Scratch; at least as long as the longest window that is too short for a fixation.

    Returns
    -------
    first, stop : int
        -1 and `end` if there is none.
    """
    first = base = split = start
    right = low = -np.inf
    left = high = np.inf
    for j in range(start, end):
        x, y = signal[j, 0], signal[j, 1]
        right, left, low, high = max(right, x), min(left, x), max(low, y), min(high, y)
        while first < split:
            ri, le = max(right, extents[first - base, 0]), min(left, extents[first - base, 1])
            lo, hi = max(low, extents[first - base, 2]), min(high, extents[first - base, 3])
            if (ri - le) + (lo - hi) <= max_dispersion:
                break
            first += 1
        if first == split:
            ri, le, lo, hi = right, left, low, high
        if (ri - le) + (lo - hi) > max_dispersion:
            base, first = split, j + 1
            ri, le, lo, hi = x, x, y, y
            while first > base:
                x, y = signal[first - 1, 0], signal[first - 1, 1]
                ri, le, lo, hi = max(ri, x), min(le, x), max(lo, y), min(hi, y)
                if (ri - le) + (lo - hi) > max_dispersion:
                    break
                first -= 1
                extents[first - base, 0], extents[first - base, 1] = ri, le
                extents[first - base, 2], extents[first - base, 3] = lo, hi
            ri, le = extents[first - base, 0], extents[first - base, 1]
            lo, hi = extents[first - base, 2], extents[first - base, 3]
            split = j + 1
            right = low = -np.inf
            left = high = np.inf
        if border_us[j + 1] - border_us[first] >= min_us:
            return first, end_of_narrow(signal, j + 1, end, max_dispersion, ri, le, lo, hi)
    return -1, end


@njit(cache=True)
def end_of_narrow(
    signal: Floats,
    j: int,
    end: int,
    max_dispersion: float,
    right: float,
    left: float,
    low: float,
    high: float,
) -> int:
    """First sample from j on, or `end`, with which given extents become too wide."""
    while j < end:
        x, y = signal[j, 0], signal[j, 1]
        right, left, low, high = max(right, x), min(left, x), max(low, y), min(high, y)
        if (right - left) + (low - high) > max_dispersion:
            break
        j += 1
    return j
