"""Compiled loops of sums of separable pictures: every level adds to the one it contains."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Integers = NDArray[np.int64]


@njit(cache=True, nogil=True)
def nested_sums(
    down: Float32,
    across: Float32,
    counts: Integers,
    gain: float,
    rounding: float,
    out: NDArray[np.generic],
) -> None:
    """Sum the outer products of the first fixations, for each level, as shares of the range.

    Parameters
    ----------
    down : float32 (n, H)
        Weighted profile of each fixation along y.
    across : float32 (n, W)
    counts : int64 (L,)
        Fixations of each level, not increasing.
    gain, rounding : float
        With the whole track's sum scaled to [0, 1], gain * value + rounding is stored.
    out : (L, H, W), written in place
    """
    levels, height, width = out.shape
    sums = np.empty(out.shape, np.float32)
    lowest = np.full(width, np.inf, np.float32)
    highest = np.full(width, -np.inf, np.float32)
    for row in range(height):
        total = np.zeros(width, np.float32)
        begin = 0
        for level in range(levels - 1, -1, -1):
            add_products(down[:, row], across, begin, counts[level], total)
            begin = counts[level]
            line = sums[level, row]
            line[:] = total
            # profiles undershoot by a hair: without this, a level could exceed the one before
            if level < levels - 1:
                raise_to(line, sums[level + 1, row])
        note_range(sums[0, row], lowest, highest)
    least = lowest.min()
    span = max(highest.max() - least, np.finfo(np.float32).tiny)
    for level in range(levels):
        for row in range(height):
            scale_row(
                sums[level, row],
                least,
                np.float32(span),
                np.float32(gain),
                np.float32(rounding),
                out[level, row],
            )


@njit(cache=True, nogil=True)
def add_products(factor: Float32, rows: Float32, begin: int, end: int, line: Float32) -> None:
    """Add factor * row for rows `begin` to `end`, less one; three at a time spares memory."""
    while (end - begin) % 3:
        one, first = rows[begin], factor[begin]
        for column in range(len(line)):
            line[column] += first * one[column]
        begin += 1
    for i in range(begin, end, 3):
        one, two, three = rows[i], rows[i + 1], rows[i + 2]
        first, second, third = factor[i], factor[i + 1], factor[i + 2]
        for column in range(len(line)):
            line[column] += first * one[column] + second * two[column] + third * three[column]


@njit(cache=True, nogil=True)
def raise_to(line: Float32, floor: Float32) -> None:
    """Raise a row to another where it is lower."""
    for column in range(len(line)):
        line[column] = max(line[column], floor[column])


@njit(cache=True, nogil=True)
def note_range(line: Float32, lowest: Float32, highest: Float32) -> None:
    """Widen the range of each column by a row."""
    for column in range(len(line)):
        lowest[column] = min(lowest[column], line[column])
        highest[column] = max(highest[column], line[column])


@njit(cache=True, nogil=True)
def scale_row(
    line: Float32,
    least: np.float32,
    span: np.float32,
    gain: np.float32,
    rounding: np.float32,
    target: NDArray[np.generic],
) -> None:
    """Store a row as shares of the span from `least`, clipped to [0, 1]."""
    zero, one = np.float32(0.0), np.float32(1.0)
    for column in range(len(line)):
        share = min(max((line[column] - least) / span, zero), one)
        target[column] = share * gain + rounding
