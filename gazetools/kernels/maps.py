"""Compiled loops of distance maps: all nested levels of a track in one walk over its tiles.

A track of n fixations is n *primitives*: the point it starts from, then the segment to each
further fixation. A segment is kept by its midpoint (cx, cy), direction (ex, ey) and half
length h, so that the squared distance of a point needs neither division nor branch; a point
is a segment with h = 0. Every level of a track is a beginning of its primitives, so one walk
over them serves all levels. In each tile, only primitives that can be the nearest somewhere
in it are looked at: the cost hardly grows with the number of fixations.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Integers = NDArray[np.int64]
Scalar = Any
"""A float32: numba cares, the type checker cannot."""

TILE_ROWS = 8
TILE_COLUMNS = 16
# beyond this exponent a map is below 3e-9: no value that is stored can show it
FAR = np.float32(20.0)


@njit(cache=True, nogil=True)
def squared_distance(primitive: Float32, x: Scalar, y: float) -> Scalar:
    """Squared distance of (x, y) to a primitive (cx, cy, ex, ey, h, ...)."""
    dx = x - primitive[0]
    dy = y - primitive[1]
    along = abs(dx * primitive[2] + dy * primitive[3]) - primitive[4]
    across = dy * primitive[2] - dx * primitive[3]
    along = max(along, np.float32(0.0))
    return along * along + across * across


@njit(cache=True, nogil=True)
def bound_costs(
    primitives: Float32,
    begin: int,
    end: int,
    x: Scalar,
    y: Scalar,
    radius: Scalar,
    linear: bool,
    near: Float32,
    bound: Scalar,
) -> Scalar:
    """Bound the cost of primitives over a disc; return the smallest upper bound.

    `near[j]` becomes the least cost that primitive j can have within `radius` of (x, y).
    """
    for j in range(begin, end):
        distance = np.sqrt(squared_distance(primitives[j], x, y))
        low = max(distance - radius, np.float32(0.0))
        high = distance + radius
        if not linear:
            low *= low
            high *= high
        near[j] = low * primitives[j, 5] + primitives[j, 6]
        bound = min(bound, high * primitives[j, 5] + primitives[j, 6])
    return bound


@njit(cache=True, nogil=True)
def lower_tile(
    tile: Float32, primitive: Float32, x: Float32, y0: Scalar, step_y: Scalar, linear: bool
) -> None:
    """Lower the costs of a tile to those of one primitive where they are smaller.

    Cost is scale * D**2 + offset, or scale * D + offset if `linear`.
    """
    cx, cy, ex, ey = primitive[0], primitive[1], primitive[2], primitive[3]
    half, scale, offset = primitive[4], primitive[5], primitive[6]
    zero = np.float32(0.0)
    for row in range(tile.shape[0]):
        dy = y0 + np.float32(row) * step_y - cy
        line = tile[row]
        for column in range(tile.shape[1]):
            dx = x[column] - cx
            along = max(abs(dx * ex + dy * ey) - half, zero)
            across = dy * ex - dx * ey
            cost = along * along + across * across
            if linear:
                cost = np.sqrt(cost)
            line[column] = min(line[column], cost * scale + offset)


@njit(cache=True, nogil=True)
def gaussian_value(cost: Scalar) -> Scalar:
    """exp(-cost) for cost >= 0, within 2e-6: a polynomial, as exp itself does not vectorise."""
    x = min(cost, np.float32(20.0)) * np.float32(-1.0 / 32.0)
    value = np.float32(1.0 / 720.0)
    value = value * x + np.float32(1.0 / 120.0)
    value = value * x + np.float32(1.0 / 24.0)
    value = value * x + np.float32(1.0 / 6.0)
    value = value * x + np.float32(0.5)
    value = value * x + np.float32(1.0)
    value = value * x + np.float32(1.0)
    value *= value
    value *= value
    value *= value
    value *= value
    return value * value


@njit(cache=True, nogil=True)
def store_tile(
    tile: Float32,
    out: NDArray[np.generic],
    row0: int,
    column0: int,
    linear: bool,
    gain: Scalar,
    rounding: Scalar,
) -> None:
    """Turn costs into map values and store them as `gain` * value + `rounding`."""
    rows = min(tile.shape[0], out.shape[0] - row0)
    columns = min(tile.shape[1], out.shape[1] - column0)
    for row in range(rows):
        line = tile[row]
        target = out[row0 + row]
        for column in range(columns):
            cost = line[column]
            value = max(-cost, np.float32(0.0)) if linear else gaussian_value(cost)
            target[column0 + column] = value * gain + rounding


@njit(cache=True, nogil=True)
def distance_maps(
    primitives: Float32,
    counts: Integers,
    step_x: Scalar,
    step_y: Scalar,
    linear: bool,
    gain: Scalar,
    rounding: Scalar,
    out: NDArray[np.generic],
) -> None:
    """Render all levels of one track.

    Parameters
    ----------
    primitives : float32 (n, 7)
        cx, cy, ex, ey, h, scale, offset; in the units of the steps.
    counts : int64 (L,)
        Primitives of each level, not increasing.
    step_x, step_y : float32
        Size of a pixel; pixel (row, column) has its centre at ((column + .5) * step_x, ...).
    linear : bool
        Whether the cost is linear in distance (value = -cost, at least 0) or quadratic
        (value = exp(-cost)).
    gain, rounding : float32
        What is stored is gain * value + rounding: 1 and 0 for float32, 255 and .5 for uint8.
    out : (L, H, W), written in place
    """
    levels, height, width = out.shape
    tile = np.empty((TILE_ROWS, TILE_COLUMNS), np.float32)
    ramp = np.arange(TILE_COLUMNS).astype(np.float32) * step_x
    near = np.empty(len(primitives), np.float32)
    half_x = np.float32(0.5 * (TILE_COLUMNS - 1)) * step_x
    half_y = np.float32(0.5 * (TILE_ROWS - 1)) * step_y
    radius = np.sqrt(half_x * half_x + half_y * half_y)
    for row0 in range(0, height, TILE_ROWS):
        y0 = np.float32(row0 + 0.5) * step_y
        for column0 in range(0, width, TILE_COLUMNS):
            x0 = np.float32(column0 + 0.5) * step_x
            x = ramp + x0
            tile[:] = np.inf
            bound = np.float32(np.inf)
            begin = 0
            for level in range(levels - 1, -1, -1):
                end = counts[level]
                bound = bound_costs(
                    primitives, begin, end, x0 + half_x, y0 + half_y, radius, linear, near, bound
                )
                limit = bound if linear else min(bound, FAR)
                for j in range(begin, end):
                    if near[j] <= limit:
                        lower_tile(tile, primitives[j], x, y0, step_y, linear)
                store_tile(tile, out[level], row0, column0, linear, gain, rounding)
                begin = end
