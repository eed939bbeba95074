"""Where stretches of samples begin and end, found by one pass or by blocks.

Samples are in time order. A signal is (n, k), and a sample of it is missing when its first value
is NaN; a *run* is an unbroken stretch of samples that are not missing. Labels are (n,), events
(m, 2): first and last sample.
"""

import math

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Floats, Integers, Labels

BLOCK, PIECE = 128, 8
"""Samples that are looked at together for something rare, and then for where it is."""


@njit(cache=True)
def end_of_run(signal: Floats, start: int) -> int:
    """One past the last sample of the run from `start` on; `start` itself if it is missing."""
    end = start
    while end < len(signal) and not np.isnan(signal[end, 0]):
        end += 1
    return end


@njit(cache=True)
def end_of_finite(x: Floats, y: Floats, start: int, end: int) -> int:
    """First sample from `start` on, or `end`, where x or y is not finite; by blocks, for speed."""
    while start < end:
        stop = min(start + BLOCK, end)
        block_x, block_y = x[start:stop], y[start:stop]
        is_odd = False
        for i in range(stop - start):
            is_odd |= (block_x[i] - block_x[i] != 0) | (block_y[i] - block_y[i] != 0)
        if is_odd:
            while math.isfinite(x[start]) and math.isfinite(y[start]):
                start += 1
            return start
        start = stop
    return start


@njit(cache=True)
def next_of(label: Labels, code: int, start: int, end: int) -> int:
    """First sample from `start` on, or `end`, that has a label; by blocks, for speed."""
    wanted = np.int8(code)  # so that as many as fit are compared at a time
    while start + BLOCK <= end and not holds(label, wanted, start, BLOCK):
        start += BLOCK
    while start + PIECE <= end and not holds(label, wanted, start, PIECE):
        start += PIECE
    while start < end and label[start] != wanted:
        start += 1
    return start


@njit(cache=True)
def holds(label: Labels, code: np.int8, start: int, count: int) -> bool:
    """Whether any of `count` samples from `start` on has a label."""
    block = label[start : start + count]
    is_there = False
    for i in range(count):
        is_there |= block[i] == code
    return is_there


@njit(cache=True)
def end_of_same(label: Labels, start: int) -> int:
    """First sample from `start` on, or n, whose label is not that of `start`; by blocks."""
    code, end = label[start], len(label)
    while start + BLOCK <= end and not holds_other(label, code, start, BLOCK):
        start += BLOCK
    while start + PIECE <= end and not holds_other(label, code, start, PIECE):
        start += PIECE
    while start < end and label[start] == code:
        start += 1
    return start


@njit(cache=True)
def holds_other(label: Labels, code: np.int8, start: int, count: int) -> bool:
    """Whether any of `count` samples from `start` on has another label."""
    block = label[start : start + count]
    is_there = False
    for i in range(count):
        is_there |= block[i] != code
    return is_there


@njit(cache=True)
def stretches(label: Labels, code: int) -> Integers:
    """First and last sample (m, 2) of each stretch of one label."""
    n = len(label)
    found = np.empty((n // 2 + 1, 2), np.int64)
    count = 0
    i = next_of(label, code, 0, n)
    while i < n:
        found[count, 0] = i
        i = end_of_same(label, i)
        found[count, 1] = i - 1
        count += 1
        i = next_of(label, code, i, n)
    return found[:count].copy()


@njit(cache=True)
def paired(x: Floats, y: Floats) -> Floats:
    """Columns x and y (n, 2); both NaN where either is not finite."""
    pairs = np.empty((len(x), 2))
    for i in range(len(x)):
        is_known = math.isfinite(x[i]) and math.isfinite(y[i])
        pairs[i, 0] = x[i] if is_known else np.nan
        pairs[i, 1] = y[i] if is_known else np.nan
    return pairs
