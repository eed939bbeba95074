"""Times of samples and of events, where a clock has no holes.

A clock is (n,) microseconds, strictly rising; events are (m, 2): first and last sample.
"""

import math

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers


@njit(cache=True)
def regular_interval(time_us: Integers) -> tuple[float, bool]:
    """Time from sample to sample of a clock (n,) that rises without holes; 0 if it is none such.

    In us, and what :func:`gazetools.timeline.sample_interval_us` says.

    Returns
    -------
    interval_us : float
    is_steady : bool
        Whether all steps are the same.
    """
    n = len(time_us)
    least = most = time_us[1] - time_us[0] if n > 1 else 0
    differs = 0
    before, after = time_us[: n - 1], time_us[1:]
    for i in range(n - 1):
        differs |= (after[i] - before[i]) ^ least
    for i in range(n - 1 if differs else 0):
        step = after[i] - before[i]
        least, most = min(least, step), max(most, step)
    if least <= 0 or most >= 1 << 16:
        return 0.0, False
    if least == most:
        return float(most), True
    counts = np.zeros(most + 1, np.int64)
    for i in range(1, n):
        counts[time_us[i] - time_us[i - 1]] += 1
    lower = upper = -1
    below = 0
    for step in range(most + 1):
        below += counts[step]
        if lower < 0 and below > (n - 2) // 2:
            lower = step
        if upper < 0 and below > (n - 1) // 2:
            upper = step
    median = (lower + upper) / 2
    tick = 0
    for step in range(least, most + 1):
        if counts[step]:
            tick = math.gcd(tick, step)
    total = ones = 0
    for step in range(least, most + 1):
        if abs(step - median) <= tick and step <= 1.5 * median:
            total += step * counts[step]
            ones += counts[step]
    interval = np.rint(total / ones if ones else median)
    return (interval if most <= 1.5 * interval else 0.0), False


@njit(cache=True)
def borders_us(time_us: Integers, interval_us: float) -> Floats:
    """Where the samples (n,) of a clock without holes touch, shape (n + 1,)."""
    n = len(time_us)
    borders = np.empty(n + 1)
    borders[0], borders[n] = time_us[0] - interval_us / 2, time_us[n - 1] + interval_us / 2
    between, before, after = borders[1:n], time_us[: n - 1], time_us[1:]
    for i in range(n - 1):
        between[i] = (before[i] + after[i]) / 2
    return borders


@njit(cache=True)
def lasts_us(time_us: Integers, interval_us: float, events: Integers) -> Floats:
    """Duration (m,) of events (m, 2), first and last sample, of a clock without holes."""
    lasts = np.empty(len(events))
    for event in range(len(events)):
        first, last = events[event, 0], events[event, 1]
        begin = time_us[first] - interval_us / 2
        end = time_us[last] + interval_us / 2
        if first > 0:
            begin = (time_us[first] + time_us[first - 1]) / 2
        if last + 1 < len(time_us):
            end = (time_us[last + 1] + time_us[last]) / 2
        lasts[event] = end - begin
    return lasts
