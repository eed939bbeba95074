"""What gaze and velocity are during each of m events: means, largest values, angles.

Missing values are NaN and do not count. Events are their first and last samples, inclusive:
(m,) and (m,), or (m, 2).
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers
from gazetools.kernels.rays import angle_between


@njit(cache=True)
def places(x: Floats, y: Floats, events: Integers) -> Floats:
    """Mean x and y (m, 2) over events (m, 2), first and last sample, of what is known there."""
    found = np.empty((len(events), 2))
    for event in range(len(events)):
        here = slice(events[event, 0], events[event, 1] + 1)
        found[event, 0], found[event, 1] = mean_known(x[here]), mean_known(y[here])
    return found


@njit(cache=True)
def mean_known(values: Floats) -> float:
    """Mean of the values that are not NaN; NaN if none is."""
    is_odd = False
    for i in range(len(values)):
        is_odd |= np.isnan(values[i])
    if not is_odd:
        return mean_of_four_parts(values)
    total = 0.0
    count = 0
    for i in range(len(values)):
        if not np.isnan(values[i]):
            total += values[i]
            count += 1
    return total / count if count else np.nan


@njit(cache=True)
def mean_of_four_parts(values: Floats) -> float:
    """Mean of values, added up in four parts side by side: no sum waits for the one before."""
    n = len(values)
    m = n // 4
    first, second, third, fourth = (
        values[:m],
        values[m : 2 * m],
        values[2 * m : 3 * m],
        values[3 * m : 4 * m],
    )
    a = b = c = d = 0.0
    for i in range(m):
        a += first[i]
        b += second[i]
        c += third[i]
        d += fourth[i]
    for i in range(4 * m, n):
        a += values[i]
    return (a + b + c + d) / n if n else np.nan


@njit(cache=True)
def means_of_events(signal: Floats, first: Integers, last: Integers) -> Floats:
    """Mean (m, k) over samples first .. last, inclusive, of what each column (n, k) has there."""
    means = np.empty((len(first), signal.shape[1]))
    for event in range(len(first)):
        for k in range(signal.shape[1]):
            total = 0.0
            count = 0
            for i in range(first[event], last[event] + 1):
                if not np.isnan(signal[i, k]):
                    total += signal[i, k]
                    count += 1
            means[event, k] = total / count if count else np.nan
    return means


@njit(cache=True)
def largest_of_events(values: Floats, first: Integers, last: Integers) -> Floats:
    """Largest (m,) of the values (n,) at samples first .. last, inclusive; NaN if none is known."""
    largest = np.full(len(first), np.nan)
    for event in range(len(first)):
        for i in range(first[event], last[event] + 1):
            if np.isnan(largest[event]) or values[i] > largest[event]:
                largest[event] = values[i]
    return largest


@njit(cache=True)
def angles_between(gaze: Floats, eye: Floats, start: Integers, end: Integers) -> Floats:
    """Degrees (m,) from gaze at samples `start` to gaze at `end`, seen from between the eyes.

    Parameters
    ----------
    gaze, eye : (n, 3)
    start, end : (m,)
    """
    found = np.empty(len(start))
    for event in range(len(start)):
        a, b = start[event], end[event]
        seen_from = (eye[a] + eye[b]) / 2
        found[event] = angle_between(gaze[a] - seen_from, gaze[b] - seen_from)
    return found


@njit(cache=True)
def farthest_of_events(gaze: Floats, eye: Floats, events: Integers) -> Floats:
    """Largest angle (m,), degrees, between gaze at an event's first sample and at any of its own.

    Parameters
    ----------
    gaze, eye : (n, 3)
    events : (m, 2)
    """
    farthest = np.zeros(len(events))
    for event in range(len(events)):
        first = events[event, 0]
        for i in range(first + 1, events[event, 1] + 1):
            seen_from = (eye[first] + eye[i]) / 2
            angle = angle_between(gaze[first] - seen_from, gaze[i] - seen_from)
            farthest[event] = max(farthest[event], angle)
    return farthest
