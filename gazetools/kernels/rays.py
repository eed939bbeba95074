"""Rays from an eye to the gaze point on the display, their directions and angles.

A ray is a row of (n, 5): gaze point x, y, eye position x, y, z, in mm from the display's corner,
the eye in front at z > 0. A ray is missing when its first value is NaN.
"""

import math

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Flags, Floats, Vector


@njit(cache=True)
def rays(columns: Floats, seen: Flags) -> Floats:
    """Gaze point on the display and eye position of one eye; all NaN where any is unknown.

    Parameters
    ----------
    columns : (8, n)
        Gaze point x, y, eye position x, y, z, gaze direction x, y, z. Where a direction leads
        to the display, the point is where it gets there.
    seen : (n,)
        False: missing whatever the columns hold.

    Returns
    -------
    rays : (n, 5)
        Gaze point x, y, eye x, y, z.
    """
    n = columns.shape[1]
    ray = np.empty((n, 5))
    for i in range(n):
        x, y, z = columns[2, i], columns[3, i], columns[4, i]
        to_x, to_y = columns[0, i], columns[1, i]
        if columns[7, i] < 0:
            reach = z / -columns[7, i]
            to_x, to_y = x + columns[5, i] * reach, y + columns[6, i] * reach
        known = math.isfinite(to_x) and math.isfinite(to_y) and math.isfinite(z)
        if seen[i] and known and math.isfinite(x) and math.isfinite(y):
            ray[i, 0], ray[i, 1], ray[i, 2], ray[i, 3], ray[i, 4] = to_x, to_y, x, y, z
        else:
            ray[i] = np.nan
    return ray


@njit(cache=True)
def substitute_lost_eye(left: Floats, right: Floats, difference: Floats) -> None:
    """Write into a lost eye the other one plus the last known difference of the two.

    The last difference is kept however old it is.

    Parameters
    ----------
    left, right : (n, k)
        Afterwards missing only where both eyes are.
    difference : (k,)
        Right minus left before the first sample; afterwards, at the last. Zero at the start of
        a recording.
    """
    n, width = left.shape
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
def angles(ray: Floats) -> Floats:
    """Degrees (n, 2) right of and below straight ahead, of rays (n, 5) onto the display."""
    found = np.empty((len(ray), 2))
    for i in range(len(ray)):
        found[i, 0] = math.degrees(math.atan2(ray[i, 0] - ray[i, 2], ray[i, 4]))
        found[i, 1] = math.degrees(math.atan2(ray[i, 1] - ray[i, 3], ray[i, 4]))
    return found


@njit(cache=True)
def cross_and_dot(a: Vector, b: Vector) -> tuple[float, float]:
    """Squared length of the cross product, and dot product, of two vectors (3,)."""
    x = a[1] * b[2] - a[2] * b[1]
    y = a[2] * b[0] - a[0] * b[2]
    z = a[0] * b[1] - a[1] * b[0]
    return x * x + y * y + z * z, a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True)
def angle_between(a: Vector, b: Vector) -> float:
    """Angle in degrees between two vectors (3,); exact for small angles too."""
    square, dot = cross_and_dot(a, b)
    return math.degrees(math.atan2(math.sqrt(square), dot))
