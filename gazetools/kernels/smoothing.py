"""Repair of a signal in place: gaps are filled, noise is smoothed within each run.

A signal is (n, k), and a sample of it is missing when its first value is NaN; a *run* is an
unbroken stretch of samples that are not missing.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats
from gazetools.kernels.runs import end_of_run


@njit(cache=True)
def fill_gaps(signal: Floats, time_us: Floats, shorter_than_us: float) -> None:
    """Fill gaps between two runs in place, linearly in time, if they are shorter than a limit.

    A gap is timed from the last sample before it to the first sample after it.

    Parameters
    ----------
    signal : (n, k)
    time_us : (n,)
    """
    n, width = signal.shape
    before = -1
    for i in range(n):
        if np.isnan(signal[i, 0]):
            continue
        if 0 <= before < i - 1 and time_us[i] - time_us[before] < shorter_than_us:
            for j in range(before + 1, i):
                share = (time_us[j] - time_us[before]) / (time_us[i] - time_us[before])
                for k in range(width):
                    signal[j, k] = (1 - share) * signal[before, k] + share * signal[i, k]
        before = i


@njit(cache=True)
def moving_median(signal: Floats, window: int) -> None:
    """Smooth a signal in place by the median of an odd window, each column apart.

    The window shrinks symmetrically at a run's ends.

    Parameters
    ----------
    signal : (n, k)
    window : int
        Samples, odd.
    """
    n, width = signal.shape
    ordered = np.empty(window)
    start = 0
    while start < n:
        end = end_of_run(signal, start)
        run = signal[start:end].copy()
        for i in range(1, len(run) - 1):
            reach = min(window // 2, i, len(run) - 1 - i)
            for k in range(width):
                if reach == 1:
                    a, b, c = run[i - 1, k], run[i, k], run[i + 1, k]
                    signal[start + i, k] = max(min(a, b), min(max(a, b), c))
                elif reach > 1:
                    signal[start + i, k] = median_around(run, i, k, reach, ordered)
        start = end + 1


@njit(cache=True)
def median_around(run: Floats, i: int, k: int, reach: int, ordered: Floats) -> float:
    """Median of column k of the samples i - reach .. i + reach; `ordered` is scratch."""
    for count in range(2 * reach + 1):
        value = run[i - reach + count, k]
        place = count
        while place > 0 and ordered[place - 1] > value:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = value
    return float(ordered[reach])


@njit(cache=True)
def moving_mean(signal: Floats, window: int) -> None:
    """Smooth by the mean of an odd window; otherwise as :func:`moving_median`."""
    n, width = signal.shape
    start = 0
    while start < n:
        end = end_of_run(signal, start)
        run = signal[start:end].copy()
        for i in range(1, len(run) - 1):
            reach = min(window // 2, i, len(run) - 1 - i)
            for k in range(width):
                total = 0.0
                for j in range(i - reach, i + reach + 1):
                    total += run[j, k]
                signal[start + i, k] = total / (2 * reach + 1)
        start = end + 1


@njit(cache=True)
def trailing_mean(values: Floats, window: int) -> Floats:
    """Mean (n,) of the `window` values before each, or of as many as there are; NaN counts as 0.

    The first has none before it, and 0.
    """
    means = np.zeros(len(values))
    for i in range(1, len(values)):
        first = max(0, i - window)
        total = 0.0
        for j in range(first, i):
            if not np.isnan(values[j]):
                total += values[j]
        means[i] = total / (i - first)
    return means
