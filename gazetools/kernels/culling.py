"""Which primitives of a track can be the nearest somewhere in a cell of the image.

Over a whole cell with centre m, for a move d within it, two facts hold (scales left out):

- the distance D of a primitive is convex, so it is at least its tangent plane: with v the
  way from the primitive's nearest point to m, D(m + d) >= |v| + v.d / |v|;
- the nearest of all primitives has a nearest point q, a way w from m, and is at most as far
  as q: its squared distance at m + d is at most |w|**2 + 2 w.d + |d|**2.

The square of the first less the second is concave in d, so where it is positive at the four
corners of the cell, the primitive is beaten in all of it. It is left out, too, where it costs
more than a ceiling, and where its beginning is its nearest point all over the cell, if the
primitive before ends there. One to three primitives remain for each tile and level. Linear
decay compares distances by |v| -+ |d| alone.

See :mod:`gazetools.kernels.maps` for primitives and costs.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Scalar = Any
"""A float32: numba cares, the type checker cannot."""

SLACK = np.float32(1e-4)
"""By this cost a primitive may seem too far through rounding alone."""
TINY = np.float32(1e-20)


@njit(cache=True, nogil=True)
def square_and_slope(
    dx: Scalar, dy: Scalar, ex: Scalar, ey: Scalar, half: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """Scaled squared distance at (dx, dy) from a midpoint, and half its slope in x and y."""
    along = dx * ex + dy * ey
    along -= max(min(along, half), -half)
    across = dy * ex - dx * ey
    return along * along + across * across, along * ex - across * ey, along * ey + across * ex


@njit(cache=True, nogil=True)
def find_nearest(
    primitives: Float32,
    begin: int,
    end: int,
    x: Float32,
    y: Float32,
    linear: bool,
    best: Float32,
    nearest: NDArray[np.int32],
) -> None:
    """Lower the cost `best` at each cell's centre; `nearest` is the primitive that has it."""
    for j in range(begin, end):
        cx, cy, ex = primitives[j, 0], primitives[j, 1], primitives[j, 2]
        ey, half, offset = primitives[j, 3], primitives[j, 4], primitives[j, 5]
        number = np.int32(j)
        for cell in range(len(x)):
            cost, _, _ = square_and_slope(x[cell] - cx, y[cell] - cy, ex, ey, half)
            if linear:
                cost = np.sqrt(cost)
            cost += offset
            if cost < best[cell]:
                best[cell] = cost
                nearest[cell] = number


@njit(cache=True, nogil=True)
def find_reaching(
    primitives: Float32,
    begin: int,
    end: int,
    x: Float32,
    y: Float32,
    half_x: Scalar,
    half_y: Scalar,
    ceiling: Scalar,
    limits: Float32,
    reaching: Flags,
) -> None:
    """Set `reaching[j, cell]` for quadratic costs: whether j may be the nearest in the cell.

    `limits` has rows of the nearest point's cost at the corners, without and with the slope
    towards either corner of the two diagonals; and its squared scale.
    """
    limit, rising, falling, scale = limits[0], limits[1], limits[2], limits[3]
    zero, one, two = np.float32(0.0), np.float32(1.0), np.float32(2.0)
    for j in range(begin, end):
        cx, cy, ex = primitives[j, 0], primitives[j, 1], primitives[j, 2]
        ey, half, offset = primitives[j, 3], primitives[j, 4], primitives[j, 5]
        own = one / (ex * ex + ey * ey)
        behind = primitives[j, 6] - abs(ex) * half_x - abs(ey) * half_y
        flags = reaching[j]
        for cell in range(len(x)):
            dx, dy = x[cell] - cx, y[cell] - cy
            square, slope_x, slope_y = square_and_slope(dx, dy, ex, ey, half)
            inverse = one / max(square, TINY)
            up, down = slope_x * half_x + slope_y * half_y, slope_x * half_x - slope_y * half_y
            outside = square - max(abs(up), abs(down))
            # a wider nearest point leaves the difference concave only as far as this
            bend = inverse * min(scale[cell] * own, one)
            corner = min(
                up * up * bend - two * abs(up - rising[cell]),
                down * down * bend - two * abs(down - falling[cell]),
            )
            may_be_nearest = (outside <= zero) | (
                (outside * outside * inverse + offset <= ceiling)
                & (square + offset + corner <= limit[cell])
            )
            flags[cell] = may_be_nearest & (dx * ex + dy * ey > behind)


@njit(cache=True, nogil=True)
def find_reaching_linear(
    primitives: Float32,
    begin: int,
    end: int,
    x: Float32,
    y: Float32,
    half_x: Scalar,
    half_y: Scalar,
    limit: Float32,
    reaching: Flags,
) -> None:
    """Set `reaching[j, cell]` for linear costs: whether j may cost at most `limit` there."""
    radius = np.sqrt(half_x * half_x + half_y * half_y)
    for j in range(begin, end):
        cx, cy, ex = primitives[j, 0], primitives[j, 1], primitives[j, 2]
        ey, half, offset = primitives[j, 3], primitives[j, 4], primitives[j, 5]
        least = offset - radius * np.sqrt(ex * ex + ey * ey)
        behind = primitives[j, 6] - abs(ex) * half_x - abs(ey) * half_y
        flags = reaching[j]
        for cell in range(len(x)):
            dx, dy = x[cell] - cx, y[cell] - cy
            square, _, _ = square_and_slope(dx, dy, ex, ey, half)
            may_be_nearest = np.sqrt(square) + least <= limit[cell]
            flags[cell] = may_be_nearest & (dx * ex + dy * ey > behind)


@njit(cache=True, nogil=True)
def keep_near(
    primitives: Float32,
    counts: Integers,
    x: Float32,
    y: Float32,
    half_x: Scalar,
    half_y: Scalar,
    linear: bool,
    ceiling: Scalar,
    reaching: Flags,
) -> None:
    """Tell which primitives can be the nearest, and cost at most `ceiling`, in which cells.

    Parameters
    ----------
    primitives : float32 (n, 7)
    counts : (L,)
        Primitives of each level; a primitive competes with those of its level.
    x, y : float32 (cells,)
        Centres of cells; half_x and half_y is how far a cell reaches from there.
    reaching : bool (n, cells), written in place
    """
    best = np.full(len(x), ceiling, np.float32)
    nearest = np.full(len(x), -1, np.int32)
    limits = np.zeros((4, len(x)), np.float32)
    limits[0] = ceiling if linear else np.float32(np.inf)
    reach = half_x * half_x + half_y * half_y
    begin = 0
    for level in range(len(counts) - 1, -1, -1):
        end = counts[level]
        find_nearest(primitives, begin, end, x, y, linear, best, nearest)
        for cell in range(len(x)):
            j = nearest[cell]
            if j >= begin:
                ex, ey, half = primitives[j, 2], primitives[j, 3], primitives[j, 4]
                dx, dy = x[cell] - primitives[j, 0], y[cell] - primitives[j, 1]
                _, slope_x, slope_y = square_and_slope(dx, dy, ex, ey, half)
                scale = ex * ex + ey * ey
                growth = np.sqrt(reach * scale) if linear else reach * scale
                limits[0, cell] = best[cell] + growth + SLACK
                limits[1, cell] = slope_x * half_x + slope_y * half_y
                limits[2, cell] = slope_x * half_x - slope_y * half_y
                limits[3, cell] = scale
        if linear:
            limit = limits[0]
            find_reaching_linear(primitives, begin, end, x, y, half_x, half_y, limit, reaching)
        else:
            find_reaching(primitives, begin, end, x, y, half_x, half_y, ceiling, limits, reaching)
        begin = end
