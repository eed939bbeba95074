"""EFIX, ESACC and EBLINK lines of an EyeLink ASC file: whose they are, and of which samples.

What is done with them is told at the top of ``gazetools.readers.eyelink_asc``.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import FormatError
from gazetools.readers.building import EYES, Bools, Floats, Integers
from gazetools.readers.eyelink_lines import (
    Asc,
    Line,
    block_of_line,
    is_gaze,
    number,
    number_or_nan,
)
from gazetools.readers.eyelink_messages import AscScreen, origin, texts
from gazetools.tables import EVENTS

_NAMES = {"EFIX": "fixations", "ESACC": "saccades", "EBLINK": "blinks"}
_FIELDS = {"EFIX": 6, "ESACC": 8, "EBLINK": 4}
"""Fields after the keyword; a pupil, an amplitude ... may follow."""
_TIMES = ("start_ms", "end_ms", "duration_ms")
_PLACES: dict[str, tuple[str, ...]] = {
    "EFIX": ("x_px", "y_px", "pupil"),
    "ESACC": (
        *("start_x_px", "start_y_px", "end_x_px", "end_y_px"),
        *("amplitude_deg", "peak_velocity_deg_s"),
    ),
    "EBLINK": (),
}
_NO_START_MS = 2.0**32 - 1
"""What edf2asc writes where it does not know when an event began."""

_Event = tuple[Any, ...]
"""Number of the line, eye, start, end, duration (ms), and what :data:`_PLACES` names."""


def events_of_one_eye(
    asc: Asc,
    time_us: Integers,
    gaze: Mapping[str, Floats],
    screen: AscScreen | None,
    skipped: Counter[str],
) -> dict[str, pd.DataFrame]:
    """Tables of EFIX, ESACC and EBLINK, in time order, of one eye per block.

    Parameters
    ----------
    asc : Asc
    time_us : (n,) int64
        Of the samples that are kept, rising.
    gaze : mapping of str to (n,) float64
        ``left_x`` ... of these samples: the eye that was seen more often goes first.
    screen : AscScreen or None
        Where px count from.
    skipped : Counter
        What is left out is added.

    Returns
    -------
    events : dict of str to DataFrame
        By keyword: ``line``, ``block``, ``eye``, ``start_ms``, ``end_ms``, ``duration_ms``,
        ``first_row`` and ``last_row`` of the samples, and what the line tells of places.
    """
    tables = {word: _table(events, word) for word, events in _stated(asc).items()}
    chosen = _chosen_eyes(asc, gaze, tables["EFIX"])
    for word, table in tables.items():
        block = block_of_line(asc.blocks, table["line"].to_numpy())
        mine = table["eye"].to_numpy() == chosen[block]
        skipped[f"{_NAMES[word]} of the other eye"] += int((~mine).sum())
        table = _in_px(table.assign(block=block)[mine], screen)
        table = _with_rows(table, time_us)
        fine = np.ones(len(table), bool)
        for what, is_so in _lacks(table, has_samples=len(time_us) > 0):
            skipped[f"{_NAMES[word]} without {what}"] += int((fine & is_so).sum())
            fine &= ~is_so
        tables[word] = table[fine].reset_index(drop=True)
    return tables


def labels(x_px: Floats, events: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Name the event of each sample; a blink lies within a saccade and goes before it."""
    code = np.where(np.isnan(x_px), EVENTS.index("missing"), EVENTS.index("unclassified"))
    index = np.zeros(len(x_px), np.int64)
    for word, name in (("EFIX", "fixation"), ("ESACC", "saccade"), ("EBLINK", "missing")):
        spans = events[word][["first_row", "last_row"]].to_numpy()
        for count, (first, last) in enumerate(spans.tolist(), start=1):
            code[first : last + 1] = EVENTS.index(name)
            index[first : last + 1] = 0 if name == "missing" else count
    return {"vendor_event": texts(EVENTS, code), "vendor_event_index": index}


# ---------------------------------------------------------------- what the lines state


def _stated(asc: Asc) -> dict[str, list[_Event]]:
    """Events of both eyes, by keyword."""
    found: dict[str, list[_Event]] = {word: [] for word in _NAMES}
    begun_ms: dict[str, float] = {}
    ended_ms: dict[str, float] = {}
    of_line = block_of_line(asc.blocks, np.array([line.number for line in asc.lines]))
    for line, block in zip(asc.lines, of_line.tolist(), strict=True):
        eye = line.text[:1]
        if line.word == "SFIX":
            begun_ms[eye] = number_or_nan(line.text[1:])
        elif line.word in found:
            event = _event(asc.path, line, asc.blocks[block].events_in)
            if line.word == "EFIX":
                before = ended_ms.get(eye, math.nan), begun_ms.pop(eye, math.nan)
                event = _begun_anew(event, *before)
                ended_ms[eye] = event[3]
            found[line.word].append(event)
    return found


def _begun_anew(fixation: _Event, before_ms: float, begun_ms: float) -> _Event:
    """Begin a fixation that reaches back into the one before where its SFIX says.

    Parameters
    ----------
    before_ms, begun_ms : float
        End of the same eye's fixation before, and SFIX since; NaN if there is none.
    """
    line, eye, start_ms, end_ms, duration_ms, *place = fixation
    if not start_ms < before_ms < begun_ms <= end_ms:
        return fixation
    # what is stated is one sample longer than from start to end, and stays so
    return (line, eye, begun_ms, end_ms, duration_ms - (begun_ms - start_ms), *place)


def _event(path: Path, line: Line, events_in: str) -> _Event:
    words = line.text.split()
    expected = _FIELDS[line.word]
    if len(words) < expected or words[0] not in ("L", "R"):
        raise FormatError(
            f"{path}:{line.number}: {line.word} line has {len(words) + 1} fields, expected "
            f"{expected + 1} or more, L or R first; convert the EDF file again with the default "
            "options of edf2asc"
        )
    start_ms, end_ms, duration_ms = (
        number(path, line, words, at, "a number") for at in range(1, 1 + len(_TIMES))
    )
    if start_ms != _NO_START_MS and not (end_ms >= start_ms and duration_ms >= 0):
        raise FormatError(
            f"{path}:{line.number}: {line.word} from {words[1]} to {words[2]} lasts {words[3]}, "
            "expected an end after the start; convert the EDF file again"
        )
    eye = "left" if words[0] == "L" else "right"
    first = 1 + len(_TIMES)
    count = len(_PLACES[line.word])
    if events_in != "GAZE":
        # edf2asc writes where the gaze was, too, behind the other coordinates
        first += count
        count = count if len(words) >= first + count else 0
    fields = range(first, min(first + count, len(words)))
    places = [number(path, line, words, at, "a number") for at in fields]
    return (line.number, eye, start_ms, end_ms, duration_ms, *places)


def _table(events: list[_Event], word: str) -> pd.DataFrame:
    names = ["line", "eye", *_TIMES, *_PLACES[word]]
    columns = dict.fromkeys(names, "float64") | {"line": "int64", "eye": "object"}
    padded = [(*event, *[np.nan] * (len(names) - len(event))) for event in events]
    table = pd.DataFrame(padded, columns=names).astype(columns)
    return table.sort_values("start_ms", kind="stable", ignore_index=True)


# ---------------------------------------------------------------- which of them, and where


def _chosen_eyes(
    asc: Asc, gaze: Mapping[str, Floats], fixations: pd.DataFrame
) -> NDArray[np.object_]:
    """Eye whose events are taken, for each block."""
    weights = {
        eye: (
            int(np.count_nonzero(~np.isnan(gaze.get(f"{eye}_x", np.array([np.nan]))))),
            int((fixations["eye"] == eye).sum()),
            eye,
        )
        for eye in EYES
    }
    first, second = sorted(EYES, key=weights.__getitem__, reverse=True)
    return np.array(
        [first if first in (b.eyes or EYES) else second for b in asc.blocks], dtype=object
    )


def _in_px(table: pd.DataFrame, screen: AscScreen | None) -> pd.DataFrame:
    """Count places from the top left of the screen; NaN where there was no gaze."""
    left, top = origin(screen)
    places = {
        name: table[name].where(is_gaze(table[name].to_numpy()))
        - (left if name.endswith("x_px") else top)
        for name in table
        if name.endswith("_px")
    }
    return table.assign(**places)


def _with_rows(table: pd.DataFrame, time_us: Integers) -> pd.DataFrame:
    """Add the first and the last sample of each event."""
    start_us, end_us = (np.rint(table[name] * 1000) for name in ("start_ms", "end_ms"))
    # the times of events are whole ms, those of samples may lie between them
    end_us += np.where(end_us % 1000 == 0, 999, 0)
    return table.assign(
        first_row=np.searchsorted(time_us, start_us),
        last_row=np.searchsorted(time_us, end_us, "right") - 1,
    )


def _lacks(table: pd.DataFrame, *, has_samples: bool) -> Iterator[tuple[str, Bools]]:
    """Tell which events (n,) are of no use, and what they lack."""
    yield "a beginning", (table["start_ms"] == _NO_START_MS).to_numpy()
    yield "a duration", ~(table["duration_ms"] > 0).to_numpy()
    if has_samples:
        yield "samples", (table["first_row"] > table["last_row"]).to_numpy()
    if "x_px" in table:
        yield "a position", table[["x_px", "y_px"]].isna().any(axis=1).to_numpy()
