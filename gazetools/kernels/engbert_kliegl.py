"""The velocity and the labels of Engbert & Kliegl (2003).

A signal is (n, k), and a sample of it is missing when its first value is NaN; velocity is per
second, of the signal's shape.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Labels
from gazetools.kernels.labels import FIXATION, MISSING, SACCADE, UNCLASSIFIED
from gazetools.kernels.runs import end_of_run


@njit(cache=True)
def smoothed_velocity(signal: Floats, time_us: Floats, reach: int) -> Floats:
    """Velocity (n, k) per second from the samples on either side, after Engbert & Kliegl (2003).

    The sum of the next `reach` samples less that of the last ones, over the time between them.
    The reach shrinks towards a run's ends; there the neighbour alone is used.

    Parameters
    ----------
    signal : (n, k)
    time_us : (n,)
    reach : int
        Samples to either side, 2 in the paper.
    """
    n, width = signal.shape
    velocity = np.full((n, width), np.nan)
    start = 0
    while start < n:
        end = end_of_run(signal, start)
        for i in range(start, end):
            if end - start < 2:
                break
            near = min(reach, i - start, end - 1 - i)
            before, after = max(i - 1, start), min(i + 1, end - 1)
            for k in range(width):
                way = signal[after, k] - signal[before, k]
                spent = time_us[after] - time_us[before]
                for step in range(2, near + 1):
                    way += signal[i + step, k] - signal[i - step, k]
                    spent += time_us[i + step] - time_us[i - step]
                velocity[i, k] = way / spent * 1e6
        start = end + 1
    return velocity


@njit(cache=True)
def label_by_ellipse(signal: Floats, velocity: Floats, radius: Floats) -> Labels:
    """Label samples by their velocity: outside of an ellipse saccade, inside fixation.

    Parameters
    ----------
    signal, velocity : (n, 2)
        A sample without velocity is unclassified.
    radius : (2,)
        Where one is 0, as of rounded gaze at rest, any movement along it is outside.

    Returns
    -------
    label : (n,)
    """
    label = np.zeros(len(signal), np.int8)
    for i in range(len(signal)):
        x, y = velocity[i, 0], velocity[i, 1]
        if np.isnan(signal[i, 0]):
            label[i] = MISSING
        elif np.isnan(x) or np.isnan(y):
            label[i] = UNCLASSIFIED
        else:
            outside = squared_share(x, radius[0]) + squared_share(y, radius[1]) > 1
            label[i] = SACCADE if outside else FIXATION
    return label


@njit(cache=True)
def squared_share(value: float, of: float) -> float:
    """Square of `value` as a share `of` something; nothing is no share even of nothing."""
    if value == 0:
        return 0.0
    return (value / of) ** 2 if of > 0 else np.inf
