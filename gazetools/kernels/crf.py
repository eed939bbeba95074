"""Compiled loops of the fully connected CRF: its bilateral kernel, filtered and exact.

The kernel of two pixels is exp(-|f - g|**2 / 2), with f and g their features (position and
colour, in units of the kernel's widths). To sum it over all pixels at the cost of a few, values
are spread onto the corners of a lattice around each pixel in feature space, blurred along the
lattice's directions, and gathered again.

The *permutohedral* lattice (Adams, Baek & Davis, Eurographics 2010) fills d dimensions with
simplices of d + 1 corners. It is the set of points of integer coordinates that sum to 0 and leave
the same remainder when divided by d + 1. One step along direction k adds 1 to every coordinate
and takes d + 1 from the k-th; the corners of a simplex are reached from its first by a step along
each direction, in the order in which the point lies nearest. A corner is known by its first d
coordinates, packed into one integer, so that a step is the addition of another integer.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Floats = NDArray[np.floating[Any]]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Scalar = Any
"""A numpy scalar: numba cares, the type checker cannot."""

PACKED_BITS = 60
"""Of a packed corner: each of its d coordinates must stay within +-2**(60 // d - 1)."""
SPREAD = np.uint64(0x9E3779B97F4A7C15)
"""2**64 divided by the golden ratio: its products are spread evenly (Knuth's hashing)."""


@njit(cache=True, nogil=True)
def packed(coordinates: Int32, dimensions: int) -> Scalar:
    """One integer for the first d coordinates of a corner."""
    key = np.int64(0)
    for k in range(dimensions):
        key += np.int64(coordinates[k]) << np.int64(k * (PACKED_BITS // dimensions))
    return key


@njit(cache=True, nogil=True)
def packed_steps(dimensions: int) -> Int64:
    """One integer for the step along each of the d + 1 directions."""
    steps = np.empty(dimensions + 1, np.int64)
    step = np.ones(dimensions + 1, np.int32)
    for direction in range(dimensions + 1):
        step[direction] -= dimensions + 1
        steps[direction] = packed(step, dimensions)
        step[direction] = 1
    return steps


@njit(cache=True, nogil=True)
def elevate(feature: Float32, scale: Float32, elevated: Float32) -> None:
    """Rotate a point of d dimensions onto the plane whose d + 1 coordinates sum to 0."""
    total = np.float32(0.0)
    for k in range(len(feature), 0, -1):
        value = feature[k - 1] * scale[k - 1]
        elevated[k] = total - np.float32(k) * value
        total += value
    elevated[0] = total


@njit(cache=True, nogil=True)
def enclosing_simplex(elevated: Float32, corner: Int32, rank: Int32, weights: Float32) -> None:
    """Find the simplex around a point of the plane.

    Parameters
    ----------
    elevated : float32 (d + 1,)
    corner : int32 (d + 1,), written
        The first corner, all of whose coordinates are multiples of d + 1.
    rank : int32 (d + 1,), written
        Direction k is the (d - rank[k])-th to be stepped along.
    weights : float32 (d + 2,), written
        The first d + 1 are the point's barycentric weights.
    """
    count = len(elevated)
    down = np.float32(1.0 / count)
    excess = np.int32(0)
    for k in range(count):
        nearest = np.int32(np.floor(elevated[k] * down + np.float32(0.5)))
        corner[k] = nearest * count
        excess += nearest
        rank[k] = 0
    for i in range(count - 1):
        beyond = elevated[i] - np.float32(corner[i])
        for j in range(i + 1, count):
            if beyond < elevated[j] - np.float32(corner[j]):
                rank[i] += 1
            else:
                rank[j] += 1
    weights[:] = 0
    for k in range(count):
        rank[k] += excess
        if rank[k] < 0:
            rank[k] += count
            corner[k] += count
        elif rank[k] >= count:
            rank[k] -= count
            corner[k] -= count
        beyond = (elevated[k] - np.float32(corner[k])) * down
        weights[count - 1 - rank[k]] += beyond
        weights[count - rank[k]] -= beyond
    weights[0] += np.float32(1.0) + weights[count]


@njit(cache=True, nogil=True)
def find_slot(table: Int32, keys: Int64, key: Scalar, bits: int) -> Scalar:
    """Where in a hash table of 2**bits vertex numbers a key's is, or would be put."""
    slot = np.int64((np.uint64(key) * SPREAD) >> np.uint64(64 - bits))
    while table[slot] >= 0 and keys[table[slot]] != key:
        slot = (slot + 1) & ((1 << bits) - 1)
    return slot


@njit(cache=True, nogil=True)
def hash_table(keys: Int64, m: int, bits: int) -> Int32:
    """Table of 2**bits slots: the numbers of the first m keys, -1 where there is none."""
    table = np.full(1 << bits, -1, np.int32)
    for vertex in range(m):
        table[find_slot(table, keys, keys[vertex], bits)] = vertex
    return table


@njit(cache=True, nogil=True)
def build_lattice(features: Float32, scale: Float32) -> tuple[Int32, Float32, Int32]:
    """Place n points of d dimensions on the lattice.

    Parameters
    ----------
    features : float32 (n, d)
    scale : float32 (d,)
        Of each feature, before it is elevated.

    Returns
    -------
    corners : int32 (n, d + 1)
        Numbers of the vertices around each point; m vertices are around any.
    weights : float32 (n, d + 1)
    neighbours : int32 (d + 1, m, 2)
        Numbers of the vertices one step behind and ahead, m where there is none.
    """
    n, dimensions = features.shape
    steps = packed_steps(dimensions)
    bits = 10
    keys = np.empty(n * (dimensions + 1), np.int64)
    table = hash_table(keys, 0, bits)
    m = 0
    corners = np.empty((n, dimensions + 1), np.int32)
    weights = np.empty((n, dimensions + 1), np.float32)
    elevated = np.empty(dimensions + 1, np.float32)
    corner = np.empty(dimensions + 1, np.int32)
    rank = np.empty(dimensions + 1, np.int32)
    order = np.empty(dimensions + 1, np.int32)
    weight = np.empty(dimensions + 2, np.float32)
    for i in range(n):
        elevate(features[i], scale, elevated)
        enclosing_simplex(elevated, corner, rank, weight)
        for k in range(dimensions + 1):
            order[dimensions - rank[k]] = k
        key = packed(corner, dimensions)
        for k in range(dimensions + 1):
            slot = find_slot(table, keys, key, bits)
            if table[slot] < 0:
                table[slot] = m
                keys[m] = key
                m += 1
            corners[i, k] = table[slot]
            weights[i, k] = weight[k]
            key += steps[order[k]]
        if 2 * m > 1 << bits:
            bits += 1
            table = hash_table(keys, m, bits)
    neighbours = np.empty((dimensions + 1, m, 2), np.int32)
    for direction in range(dimensions + 1):
        for vertex in range(m):
            for side in range(2):
                key = keys[vertex] + (2 * side - 1) * steps[direction]
                found = table[find_slot(table, keys, key, bits)]
                neighbours[direction, vertex, side] = found if found >= 0 else m
    return corners, weights, neighbours


@njit(cache=True, nogil=True)
def filter_on_lattice(
    values: Floats, corners: Int32, weights: Float32, neighbours: Int32, out: Floats
) -> None:
    """Sum the kernel times the values of all points, up to a factor, at each point."""
    n, count = corners.shape
    m = neighbours.shape[1]
    spread = np.zeros(m + 1, np.float32)  # the last stands for what lies outside
    blurred = np.zeros(m + 1, np.float32)
    for i in range(n):
        for k in range(count):
            spread[corners[i, k]] += weights[i, k] * values[i]
    half = np.float32(0.5)
    for direction in range(count):
        beside = neighbours[direction]
        for vertex in range(m):
            around = spread[beside[vertex, 0]] + spread[beside[vertex, 1]]
            blurred[vertex] = spread[vertex] + half * around
        spread, blurred = blurred, spread
    for i in range(n):
        total = np.float32(0.0)
        for k in range(count):
            total += weights[i, k] * spread[corners[i, k]]
        out[i] = total


@njit(cache=True, nogil=True)
def kernel_row(features: Floats, i: int, row: Floats) -> None:
    """Kernel of point i and of all n points, row (n,), of features (d, n); all float64.

    The exponential is a polynomial within 1e-14, as exp itself does not vectorise.
    """
    row[:] = 0.0
    dimensions, n = features.shape
    for k in range(dimensions):
        here = features[k, i]
        line = features[k]
        for j in range(n):
            apart = line[j] - here
            row[j] += apart * apart
    for j in range(n):
        x = min(row[j], 80.0) * (-0.5 / 64.0)
        y = 1.0 + x * (1.0 / 9.0)
        y = 1.0 + x * (1.0 / 8.0) * y
        y = 1.0 + x * (1.0 / 7.0) * y
        y = 1.0 + x * (1.0 / 6.0) * y
        y = 1.0 + x * (1.0 / 5.0) * y
        y = 1.0 + x * (1.0 / 4.0) * y
        y = 1.0 + x * (1.0 / 3.0) * y
        y = 1.0 + x * (1.0 / 2.0) * y
        y = 1.0 + x * y
        y *= y
        y *= y
        y *= y
        y *= y
        y *= y
        y *= y
        row[j] = y


@njit(cache=True, nogil=True)
def filter_exactly(values: Floats, features: Floats, out: Floats) -> None:
    """Sum the kernel times the values of all points at each point: n**2 kernel values.

    `features` has shape (d, n); all arrays are float64.
    """
    out[:] = 0.0
    n = len(values)
    row = np.empty(n)
    for i in range(n):
        kernel_row(features, i, row)
        value = values[i]
        for j in range(n):
            out[j] += row[j] * value


@njit(cache=True, nogil=True)
def fill_matrix(features: Floats, matrix: Float32) -> None:
    """Write the kernel of every two points into a matrix (n, n); features (d, n) are float64."""
    row = np.empty(len(matrix))
    for i in range(len(matrix)):
        kernel_row(features, i, row)
        matrix[i] = row


@njit(cache=True, nogil=True)
def filter_by_matrix(values: Float32, matrix: Float32, out: Float32) -> None:
    """Sum as :func:`filter_exactly` by a matrix that :func:`fill_matrix` wrote, in float32."""
    out[:] = 0
    n = len(values)
    for i in range(n % 4):
        for j in range(n):
            out[j] += matrix[i, j] * values[i]
    for i in range(n % 4, n, 4):  # by fours, as else most time goes to `out`
        a, b, c, d = matrix[i], matrix[i + 1], matrix[i + 2], matrix[i + 3]
        p, q, r, s = values[i], values[i + 1], values[i + 2], values[i + 3]
        for j in range(n):
            out[j] += (a[j] * p + b[j] * q) + (c[j] * r + d[j] * s)
