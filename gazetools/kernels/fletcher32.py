"""The checksum that HDF5 appends to a chunk, at the speed of memory.

It does not let other threads run meanwhile: for so short a time, taking turns costs more.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 256
"""Words whose weighted sum still fits 32 bits: 65535 * 256 * 257 / 2 < 2**32."""
WEIGHTS = np.arange(BLOCK, 0, -1).astype(np.uint32)


@njit(cache=True)
def fletcher_sums(words: NDArray[np.uint16], weights: NDArray[np.uint32]) -> tuple[int, int]:
    """Sum of words (n,) and sum of (n - i) * word i, modulo 65535; `weights` is WEIGHTS.

    As HDF5 has it, the sums are 0 for zeros alone, and 65535 otherwise where 0 is left over.
    """
    plain = weighted = 0
    anything = False
    for begin in range(0, len(words), BLOCK):
        block = words[begin : begin + BLOCK]
        count = len(block)
        weight = weights[BLOCK - count :]
        a, b = np.uint32(0), np.uint32(0)
        for i in range(count):
            a += np.uint32(block[i])
            b += np.uint32(block[i]) * weight[i]
        anything = bool(anything or a > 0)
        weighted = (weighted + count * plain + int(b)) % 65535
        plain = (plain + int(a)) % 65535
    zero = 65535 if anything else 0
    return plain or zero, weighted or zero
