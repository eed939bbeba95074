"""Refuse an export whose rows are in no order of time: many would be dropped in silence."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from gazetools.errors import FormatError
from gazetools.readers.building import Floats
from gazetools.readers.recording import Recording

OUT_OF_ORDER = "samples out of order"
"""Among what a reader counts: samples older than others that were given out already."""
_FEW = 10
_MOST = {"repeated": 0.5, OUT_OF_ORDER: 0.05}
"""Share of an export's samples that may be dropped under labels that begin so."""


def in_order(path: Path, pieces: Iterable[Recording]) -> Iterator[Recording]:
    """Give the pieces of an export, and say in the end if too many of its samples were dropped.

    Raises
    ------
    FormatError
        Most repeat a time or step back in it.
    """
    total = 0
    dropped: Counter[str] = Counter()
    for piece in pieces:
        total += len(piece.samples)
        for why, count in piece.skipped.items():
            if why.startswith(tuple(_MOST)):
                dropped[why] += count
        yield piece
    if not total:  # an export of fixations alone
        return
    total += dropped.total()
    for label, share in _MOST.items():
        count = sum(n for why, n in dropped.items() if why.startswith(label))
        if count > max(_FEW, share * total):
            raise FormatError(
                f"{path}: {count:,} of {total:,} samples repeat times or step back, expected one "
                "recording after the other and each in order of time; sort the rows so; if a "
                "spreadsheet has made times such as 4.0E+11 of them, export again; where a clock "
                "starts anew, name the column of its trials or recordings"
            )


def expect_one_clock(path: Path, who: str, time: Floats) -> None:
    """Raise a FormatError if what goes by one name runs through the same time twice.

    Sorted by time, two recordings (or trials with a clock of their own each) would be one of a
    sample of this and a sample of that.

    Parameters
    ----------
    path : Path
    who : str
        Name of the participant or session.
    time : (n,) float64
        In any unit, in the order of the rows; no NaN.
    """
    backward = np.diff(time, prepend=time[:1]) < 0
    if not backward.any():
        return
    stretch = np.cumsum(backward)[np.argsort(time, kind="stable")]
    # stretches that follow upon each other are no more than out of order
    mixed = np.count_nonzero(np.diff(stretch)) - np.count_nonzero(backward)
    if mixed > max(_FEW, _MOST[OUT_OF_ORDER] * len(time)):
        raise FormatError(
            f"{path}: the rows of {who!r} run through the same time more than once, expected one "
            "recording and one clock; export its recordings apart or give each a name; where the "
            "clock starts anew in each trial, describe the table by a mapping (--mapping) that "
            "names the column of its trials, or of its recordings"
        )
