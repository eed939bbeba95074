"""What readers have in common: files beside, columns, clocks, eyes, trials, facts for people.

Events on samples are in :mod:`gazetools.readers.vendor_events`, trials that messages begin in
:mod:`gazetools.readers.trial_marks`.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import FormatError
from gazetools.readers.delimited import Table
from gazetools.readers.opening import read_text
from gazetools.readers.recording import About, Recording
from gazetools.tables import SAMPLES
from gazetools.trials import trial_begin_us

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

EYES = ("left", "right")
REPEATED = "repeated or backward times"
_MOST_JSON_BYTES = 16 * 2**20
US_PER = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in a unit of time."""


# ---------------------------------------------------------------- files and columns


def read_json(path: Path | None) -> dict[str, Any]:
    """Read an object from a JSON file; empty if there is no file.

    Raises
    ------
    FormatError
        It is no JSON object, or far too long for one that tells about a recording.
    """
    if path is None:
        return {}
    if path.stat().st_size > _MOST_JSON_BYTES:
        raise FormatError(
            f"{path}: is over {_MOST_JSON_BYTES // 2**20} MiB long, expected a short JSON file; "
            "export the recording again"
        )
    try:
        content = json.loads(read_text(path).removeprefix("\ufeff"))
        json.dumps(content, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: is not JSON ({error}); correct or export it again") from error
    if not isinstance(content, dict):
        raise FormatError(
            f"{path}: holds {type(content).__name__}, expected a JSON object; correct or export it "
            "again"
        )
    return content


def with_all(rows: pd.DataFrame, texts: Collection[str], numbers: Collection[str]) -> pd.DataFrame:
    """Add the columns that a file lacks, empty."""
    absent = {name: pd.Series(None, rows.index, "str") for name in texts if name not in rows}
    nothing = {name: pd.Series(np.nan, rows.index) for name in numbers if name not in rows}
    return rows.assign(**absent, **nothing)


# ---------------------------------------------------------------- clocks


def in_time_order(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Sort the rows of one recording by ``tracker_time_us``; keep the first of each time.

    Returns
    -------
    rows : DataFrame
    skipped : dict of str to int
    """
    rows = rows.sort_values("tracker_time_us", kind="stable")
    rises = rising(rows["tracker_time_us"].to_numpy(np.int64))
    repeated = int((~rises).sum())
    return rows[rises].reset_index(drop=True), {"repeated times": repeated} if repeated else {}


def rising(time_us: Integers) -> Bools:
    """Tell which samples come after all before them, shape (n,)."""
    kept = np.ones(len(time_us), bool)
    kept[1:] = time_us[1:] > np.maximum.accumulate(time_us)[:-1]
    return kept


def rising_times(
    time_us: Floats, interval_us: float = np.nan
) -> tuple[Bools, Integers, dict[str, int]]:
    """Leave the rows that have a time and come after all before them.

    Parameters
    ----------
    time_us : (n,) float64
        NaN where there is none.
    interval_us : float
        Time between samples, by which stamps that repeat are spread; NaN to leave them.

    Returns
    -------
    kept : (n,) bool
    whole_us : (kept,) int64
    skipped : dict of str to int
    """
    kept = ~np.isnan(time_us)
    whole_us = spread_repeats(np.rint(time_us[kept]).astype(np.int64), interval_us)
    rises = rising(whole_us)
    skipped = {
        "rows without a time": int((~kept).sum()),
        REPEATED: int((~rises).sum()),
    }
    kept[kept] = rises
    return kept, whole_us[rises], skipped


def spread_repeats(time_us: Integers, interval_us: float) -> Integers:
    """Put samples that share a stamp one interval apart, shape (n,).

    A tracker that is faster than its stamps are fine writes 2, 2, 3, 3 ... for samples at 2.0,
    2.5, 3.0, 3.5 ms. Stamps that repeat more often than that stay as they are.

    Parameters
    ----------
    time_us : (n,) int64
    interval_us : float
        Time between samples, as the export states it.
    """
    if not len(time_us) or not np.isfinite(interval_us):
        return time_us
    starts = np.flatnonzero(np.diff(time_us, prepend=time_us[0] - 1))
    run = np.cumsum(np.diff(time_us, prepend=time_us[0] - 1) != 0) - 1
    within = np.arange(len(time_us)) - starts[run]
    steps = np.diff(time_us[starts])
    usual = np.median(steps) if len(steps) else 0
    step = np.append(steps, usual)[run]
    late = np.rint(within * interval_us)
    return time_us + np.where(late < step, late, 0).astype(np.int64)


def times_of_stamps(time_ms: Floats, rate_hz: float | None = None) -> Integers:
    """Put whole ms that a tracker above 1000 Hz repeats one interval apart, in us, shape (n,).

    Parameters
    ----------
    time_ms : (n,) float64
    rate_hz : float or None
        As the export states it; if it does not, 2000 Hz where over a quarter repeats.
    """
    time_us = np.rint(time_ms * 1000).astype(np.int64)
    if rate_hz is None:
        often = np.count_nonzero(np.diff(time_us) == 0) > len(time_us) / 4
        rate_hz = 2000.0 if often else 1000.0
    return spread_repeats(time_us, 1e6 / rate_hz) if rate_hz > 1000 else time_us


# ---------------------------------------------------------------- eyes


def mean_of_eyes(left: Floats, right: Floats) -> Floats:
    """Mean of the eyes that were seen, shape (n,); NaN where none was."""
    both = np.stack([left, right])
    seen = ~np.isnan(both)
    count = seen.sum(axis=0)
    total = np.where(seen, both, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def eyes_mean(columns: pd.DataFrame | Mapping[str, pd.Series], name: str) -> pd.Series:
    """Mean of a value, such as ``x_px``, of the eyes that have it in `columns`, one at least."""
    eyes = [columns[f"{eye}_{name}"] for eye in EYES if f"{eye}_{name}" in columns]
    mean = mean_of_eyes(eyes[0].to_numpy(np.float64), eyes[-1].to_numpy(np.float64))
    return pd.Series(mean, index=eyes[0].index)


# ---------------------------------------------------------------- trials


def runs_of(stimulus: pd.Series) -> pd.Series:
    """Count the runs of one stimulus from 1; 0 between them. Without any, all is one trial."""
    shown = stimulus.notna()
    if not shown.any():
        return pd.Series(1, index=stimulus.index, dtype="int64")
    begins = shown & (stimulus != stimulus.shift())
    return begins.cumsum().where(shown, 0).astype("int64")


def run_numbers(event: pd.Series, index: pd.Series | None = None) -> pd.Series:
    """Count the runs of each label from 1, 0 where there is none.

    Parameters
    ----------
    event : (n,) str
    index : (n,) float64, optional
        The vendor's number; where it changes, another run begins.
    """
    label = event.fillna("")
    begins = event.notna() & (label != label.shift())
    if index is not None:
        begins |= event.notna() & (index.diff().fillna(0) != 0)
    return begins.groupby(label).cumsum().where(event.notna(), 0).astype("int64")


# ---------------------------------------------------------------- samples


def samples_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Add what follows from the clock to the samples of one recording.

    Parameters
    ----------
    rows : DataFrame
        A SAMPLES table but for ``t_ms`` and, where per-eye gaze is there, ``left_valid`` ...;
        ``tracker_time_us`` rises.
    """
    time_us, trial = rows["tracker_time_us"].to_numpy(), rows["trial"].to_numpy()
    known = {f"{eye}_valid" for eye in EYES if f"{eye}_valid" in rows}
    seen = {
        f"{eye}_valid": rows[f"{eye}_x_px"].notna()
        for eye in EYES
        if f"{eye}_x_px" in rows and f"{eye}_valid" not in known
    }
    t_ms = (time_us - trial_begin_us(time_us, trial)) / 1000
    return SAMPLES.conform(rows.assign(t_ms=t_ms, **seen).reset_index(drop=True))


# ---------------------------------------------------------------- recordings


def with_gaze(recordings: Iterable[Recording], complaint: str) -> Iterator[Recording]:
    """Leave out recordings that hold neither samples nor fixations; the last other counts them.

    Raises
    ------
    FormatError
        With `complaint`: none holds any.
    """
    last: Recording | None = None
    skipped: dict[str, int] = {}
    for recording in recordings:
        if recording.samples.empty and recording.fixations.empty:
            skipped = add_counts(skipped, recording.skipped, {"recordings without gaze": 1})
            continue
        if last is not None:
            yield last
        last = recording
    if last is None:
        raise FormatError(complaint)
    yield replace(last, skipped=add_counts(last.skipped, skipped))


# ---------------------------------------------------------------- for people


def about(table: Table, header: Iterable[str], **facts: str) -> About:
    """Facts for people: what was used of a file, and what else is known."""
    used = tuple(table.columns.values())
    return {
        **{name.replace("_", " "): value for name, value in facts.items() if value},
        "encoding": table.encoding,
        "decimal mark": table.decimal_mark,
        "columns used": used,
        "columns ignored": tuple(name for name in header if name and name not in used),
    }


def add_counts(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add up counts of what was skipped; leave out what did not occur."""
    total: dict[str, int] = {}
    for count in counts:
        for what, number in count.items():
            total[what] = total.get(what, 0) + number
    return {what: number for what, number in total.items() if number}
