"""Compiled loops of event detection.

Missing values are NaN and stay NaN. Shapes: n samples in time
order; a signal is (n, k) and a sample of it is missing when its first value is NaN; a *run* is
an unbroken stretch of samples that are not missing. Times are microseconds, strictly rising.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@njit(cache=True)
def run_of_each(signal: Floats) -> tuple[Integers, Integers]:
    """First and last sample of the run that each sample lies in; first > last if missing.

    Parameters
    ----------
    signal : (n, k)

    Returns
    -------
    first, last : (n,)
    """
    n = len(signal)
    first = np.empty(n, np.int64)
    last = np.empty(n, np.int64)
    for i in range(n):
        if np.isnan(signal[i, 0]):
            first[i] = i + 1
        else:
            first[i] = first[i - 1] if i and first[i - 1] <= i - 1 else i
    for i in range(n - 1, -1, -1):
        if np.isnan(signal[i, 0]):
            last[i] = i - 1
        else:
            last[i] = last[i + 1] if i + 1 < n and last[i + 1] >= i + 1 else i
    return first, last


@njit(cache=True)
def fill_gaps(signal: Floats, time_us: Floats, shorter_than_us: float) -> Floats:
    """Fill gaps between two runs linearly in time, if they are shorter than a limit.

    A gap is timed from the last sample before it to the first sample after it.

    Parameters
    ----------
    signal : (n, k)
    time_us : (n,)
    """
    n, width = signal.shape
    filled = signal.copy()
    before = -1
    for i in range(n):
        if np.isnan(signal[i, 0]):
            continue
        if 0 <= before < i - 1 and time_us[i] - time_us[before] < shorter_than_us:
            for j in range(before + 1, i):
                share = (time_us[j] - time_us[before]) / (time_us[i] - time_us[before])
                for k in range(width):
                    filled[j, k] = (1 - share) * signal[before, k] + share * signal[i, k]
        before = i
    return filled


@njit(cache=True)
def substitute_lost_eye(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Estimate a lost eye from the other one plus the last known difference of the two.

    Before both eyes have been seen together the difference is taken to be zero. The last
    difference is kept however old it is.

    Parameters
    ----------
    left, right : (n, k)

    Returns
    -------
    left, right : (n, k)
        Missing only where both eyes are.
    """
    n, width = left.shape
    left = left.copy()
    right = right.copy()
    difference = np.zeros(width)
    for i in range(n):
        sees_left = not np.isnan(left[i, 0])
        sees_right = not np.isnan(right[i, 0])
        for k in range(width):
            if sees_left and sees_right:
                difference[k] = right[i, k] - left[i, k]
            elif sees_left:
                right[i, k] = left[i, k] + difference[k]
            elif sees_right:
                left[i, k] = right[i, k] - difference[k]
    return left, right


@njit(cache=True)
def mean_direction(left: Floats, right: Floats, tilt: float) -> Floats:
    """Mean of the unit vectors from each eye to its gaze point, as a unit vector.

    Parameters
    ----------
    left, right : (n, 5)
        Rays: gaze point x, y on the display plane, then eye position x, y, z.
    tilt : float
        Angle in radians by which the returned frame is turned about the x axis.

    Returns
    -------
    directions : (n, 3)
    """
    n = len(left)
    directions = np.empty((n, 3))
    cosine, sine = math.cos(tilt), math.sin(tilt)
    for i in range(n):
        x = y = z = 0.0
        for eye in (left, right):
            dx, dy, dz = eye[i, 0] - eye[i, 2], eye[i, 1] - eye[i, 3], -eye[i, 4]
            length = math.sqrt(dx * dx + dy * dy + dz * dz)
            if length == 0:
                length = np.nan
            x, y, z = x + dx / length, y + dy / length, z + dz / length
        length = math.sqrt(x * x + y * y + z * z)
        if length == 0:
            length = np.nan
        x, y, z = x / length, y / length, z / length
        directions[i, 0] = x
        directions[i, 1] = cosine * y + sine * z
        directions[i, 2] = cosine * z - sine * y
    return directions


@njit(cache=True)
def moving_median(signal: Floats, window: int) -> Floats:
    """Median of each column over an odd window that shrinks symmetrically at a run's ends.

    Parameters
    ----------
    signal : (n, k)
    window : int
        Samples, odd.
    """
    n, width = signal.shape
    first, last = run_of_each(signal)
    smooth = signal.copy()
    ordered = np.empty(window)
    for i in range(n):
        reach = min(window // 2, i - first[i], last[i] - i)
        if reach < 1:
            continue
        for k in range(width):
            for count in range(2 * reach + 1):
                value = signal[i - reach + count, k]
                place = count
                while place > 0 and ordered[place - 1] > value:
                    ordered[place] = ordered[place - 1]
                    place -= 1
                ordered[place] = value
            smooth[i, k] = ordered[reach]
    return smooth


@njit(cache=True)
def moving_mean(signal: Floats, window: int) -> Floats:
    """Mean over an odd window; otherwise as :func:`moving_median`."""
    n, width = signal.shape
    first, last = run_of_each(signal)
    smooth = signal.copy()
    for i in range(n):
        reach = min(window // 2, i - first[i], last[i] - i)
        if reach < 1:
            continue
        for k in range(width):
            total = 0.0
            for j in range(i - reach, i + reach + 1):
                total += signal[j, k]
            smooth[i, k] = total / (2 * reach + 1)
    return smooth


@njit(cache=True)
def angle_between(a: Floats, b: Floats) -> float:
    """Angle in degrees between two vectors (3,); exact for small angles too."""
    x = a[1] * b[2] - a[2] * b[1]
    y = a[2] * b[0] - a[0] * b[2]
    z = a[0] * b[1] - a[1] * b[0]
    dot = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return math.degrees(math.atan2(math.sqrt(x * x + y * y + z * z), dot))


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
    first, last = run_of_each(gaze)
    velocity = np.full(n, np.nan)
    a = np.empty(3)
    b = np.empty(3)
    for i in range(n):
        start = i - window // 2
        if shift:
            start = max(first[i], min(start, last[i] - window + 1))
        end = start + window - 1
        if start < first[i] or end > last[i]:
            continue
        for k in range(3):
            a[k] = gaze[start, k] - eye[i, k]
            b[k] = gaze[end, k] - eye[i, k]
        velocity[i] = angle_between(a, b) / (time_us[end] - time_us[start]) * 1e6
    return velocity


@njit(cache=True)
def mean_of_valid(signal: Floats, first: int, last: int) -> Floats:
    """Mean (k,) of the samples first .. last of a signal (n, k) that are not missing."""
    total = np.zeros(signal.shape[1])
    count = 0
    for i in range(first, last + 1):
        if not np.isnan(signal[i, 0]):
            total += signal[i]
            count += 1
    return total / count if count else total + np.nan


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
