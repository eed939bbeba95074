"""Compiled loops that join what is alike: groups as a forest, whose roots are first members."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]
Scalar = Any
"""A numpy scalar: numba cares, the type checker cannot."""


@njit(cache=True, nogil=True)
def root_of(parent: Integers, i: int) -> int:
    """Return the first member of i's group; the way there is halved for whoever comes next."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True, nogil=True)
def join(parent: Integers, i: int, j: int) -> None:
    """Make one group of those of i and j."""
    i, j = root_of(parent, i), root_of(parent, j)
    parent[max(i, j)] = min(i, j)


@njit(cache=True, nogil=True)
def count_bits(word: Scalar) -> Scalar:
    """Count the ones of a uint64; the compiler makes one instruction of it."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    pairs = np.uint64(0x3333333333333333)
    word = (word & pairs) + ((word >> np.uint64(2)) & pairs)
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def join_near(words: Words, most: int, parent: Integers) -> None:
    """Join the groups of all columns of `words`, shape (k, n), that differ in `most` bits or less.

    Every pair is looked at, hardly any beyond its first word.
    """
    k, n = words.shape
    for i in range(n):
        for j in range(i):
            differing = 0
            for word in range(k):
                differing += count_bits(words[word, i] ^ words[word, j])
                if differing > most:
                    break
            else:
                join(parent, i, j)
