"""Labels of samples, and the events that they make up.

Labels are (n,) codes of one timeline's samples; events are (m, 2): first and last sample.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Flags, Integers, Labels

MISSING, FIXATION, SACCADE, UNCLASSIFIED = 0, 1, 2, 3
"""Codes into gazetools.tables.EVENTS."""
OTHER = 4
"""Added to the code of an event that follows another of its type at once."""


@njit(cache=True)
def keep_or_discard(label: Labels, fixations: Integers, kept: Flags, swallowed: bool) -> None:
    """Write fixations (m, 2) into labels (n,); what is not kept becomes unclassified.

    Parameters
    ----------
    swallowed : bool
        Of a fixation that is not kept, all samples but missing ones become unclassified, not
        only those that were labelled fixation.
    """
    for f in range(len(fixations)):
        for i in range(fixations[f, 0], fixations[f, 1] + 1):
            if kept[f]:
                label[i] = FIXATION
            elif label[i] == FIXATION or (swallowed and label[i] != MISSING):
                label[i] = UNCLASSIFIED


@njit(cache=True)
def part_touching(label: Labels) -> Integers:
    """First and last sample (m, 2) of each fixation; takes OTHER off the labels."""
    n = len(label)
    found = np.empty((n, 2), np.int64)
    count = 0
    i = 0
    while i < n:
        code = label[i]
        first = i
        while i < n and label[i] == code:
            label[i] = code % OTHER
            i += 1
        if code % OTHER == FIXATION:
            found[count, 0], found[count, 1] = first, i - 1
            count += 1
    return found[:count].copy()


@njit(cache=True)
def number_events(label: Labels, positions: Integers) -> tuple[Labels, Integers]:
    """Label of each row, and the number of its event among those of its type, from 1.

    Parameters
    ----------
    label : (m,)
        An event is a stretch of one label, OTHER among them; events without rows are not
        counted.
    positions : (n,)
        Where each row stands, not falling.

    Returns
    -------
    label, index : (n,)
    """
    n = len(positions)
    of_row = np.empty(n, np.int8)
    index = np.empty(n, np.int64)
    counts = np.zeros(4, np.int64)
    at = 0
    for row in range(n):
        is_new = row == 0
        while at < positions[row]:
            at += 1
            is_new |= label[at] != label[at - 1]
        code = label[at] % OTHER
        counts[code] += is_new
        of_row[row], index[row] = code, counts[code]
    return of_row, index
