"""Files of a Pupil Labs export: side by side in a folder, perhaps with one prefix in common."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import add_counts, read_json, with_all
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import Layout, header_in, match_columns
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.vendor_events import declared, drop_bad_fixations, finish_fixations
from gazetools.tables import BLINKS, FIXATIONS, SACCADES

_TRUE = ("true", "1", "1.0")
_FALSE = ("false", "0", "0.0")
_COUNTS = re.compile(r"\d{1,3}|export")
_EVENTS = {
    "fixations": (FIXATIONS, finish_fixations),
    "saccades": (SACCADES, SACCADES.conform),
    "blinks": (BLINKS, BLINKS.conform),
}


@dataclass(frozen=True)
class Family:
    """One file of a recording, and those beside it that are named alike.

    Attributes
    ----------
    path : Path
        The file.
    role : str
        What its name ends in, as ``gaze`` in ``P01_gaze.csv``.
    """

    path: Path
    role: str

    @property
    def prefix(self) -> str | None:
        """What stands before the role in the name; None if the file is named otherwise."""
        name = self.path.name.removesuffix(".gz")
        ending = f"{self.role}.csv"
        return name.removesuffix(ending) if name.endswith(ending) else None

    def find(self, role: str, suffix: str = ".csv") -> Path | None:
        """Return the file of another role, if there is one."""
        if role == self.role:
            return self.path
        if self.prefix is None:
            return None
        beside = self.path.parent / f"{self.prefix}{role}{suffix}"
        zipped = beside.with_name(f"{beside.name}.gz")
        return next((file for file in (beside, zipped) if file.is_file()), None)

    def above(self, name: str) -> Path | None:
        """Return a file of the folder above, if this one holds nothing but the recording."""
        file = self.path.absolute().parent.parent / name
        return file if self.prefix == "" and file.is_file() else None

    def stem(self) -> str:
        """Name of the recording, as far as file names tell: prefix, else folder."""
        if self.prefix is None:
            return stem_of(self.path)
        folder = name_of_folder(self.path.absolute().parent)
        return self.prefix.rstrip("_-. ") or folder or self.role


def name_of_folder(folder: Path, above: str = "") -> str:
    """Name of a folder; of one that only counts recordings, or says "export", that above too."""
    if not _COUNTS.fullmatch(folder.name):
        return above or folder.name
    return f"{above or folder.parent.name}-{folder.name}".removeprefix("-")


def header_of(path: Path) -> list[str]:
    """Names of the columns of a CSV.

    Raises
    ------
    FormatError
        It is no text.
    """
    return names_in(read_head(path))


def names_in(head: str) -> list[str]:
    """Names of the columns of a CSV that begins so."""
    return header_in(head)[0]


def header_or_none(path: Path) -> list[str]:
    """Names of the columns of a CSV; none if it is no text."""
    try:
        return header_of(path)
    except FormatError:
        return []


def has_columns(header: list[str], plain_names: tuple[str, ...]) -> bool:
    """Tell whether a header has columns, given by their letters and digits."""
    return len(match_columns(header, {name: (name,) for name in plain_names})) == len(plain_names)


def read_table(
    path: Path,
    texts: Mapping[str, tuple[str, ...]],
    numbers: Mapping[str, tuple[str, ...]],
    integers: Mapping[str, tuple[str, ...]] | None = None,
) -> Table:
    """Read the columns that are there, by their plain names."""
    head = read_head(path)
    header, separator = header_in(head)
    return read_columns(
        path,
        Layout(separator),
        match_columns(header, texts),
        match_columns(header, numbers),
        match_columns(header, integers or {}),
    )


def is_true(values: pd.Series) -> pd.Series:
    """Tell which texts (n,) say true; a missing one does not."""
    return values.str.lower().isin(_TRUE)


def is_false(values: pd.Series) -> pd.Series:
    """Tell which texts (n,) say false; a missing one does not."""
    return values.str.lower().isin(_FALSE)


def list_events(
    fixations: pd.DataFrame, others: Mapping[str, pd.DataFrame], who: Mapping[str, Any], source: str
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Make tables of events without samples: the trial begins with the first of them.

    Parameters
    ----------
    fixations : DataFrame
        ``begin_us``, ``duration_ms``, ``x_px``, ``y_px``.
    others : mapping of str to DataFrame
        "saccades", "blinks": ``begin_us``, ``duration_ms`` and more.
    who : mapping of str to value
        ``recording``, ``subject``, ``trial``, ``stimulus`` of all of them.
    source : str

    Returns
    -------
    tables : dict of str to DataFrame
    skipped : dict of str to int
    """
    listed, skipped = drop_bad_fixations(fixations)
    events = {"fixations": listed}
    for what, rows in others.items():
        lasting = (rows["duration_ms"] > 0) & np.isfinite(rows["duration_ms"])
        events[what] = rows[lasting].sort_values("begin_us", kind="stable", ignore_index=True)
        skipped = add_counts(skipped, {f"{what} without a duration": int((~lasting).sum())})
    begin_us = min((rows["begin_us"].min() for rows in events.values() if len(rows)), default=0)
    tables = {}
    for what, rows in events.items():
        onset_ms = (rows["begin_us"] - begin_us) / 1000
        rows = rows.assign(onset_ms=onset_ms, source=source, **who)
        schema, finish = _EVENTS[what]
        tables[what] = finish(declared(rows, schema))
    return tables, skipped


# ---------------------------------------------------------------- Pupil Cloud and Neon Player

_WHOSE = {"recording": ("recordingid",)}
TIMED = {"time_ns": ("timestampns",)}
LASTING = {"start_ns": ("starttimestampns",), "end_ns": ("endtimestampns",)}


def read_cloud(
    file: Path,
    times: Mapping[str, tuple[str, ...]],
    numbers: Mapping[str, tuple[str, ...]],
    texts: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[Table, dict[str, int]]:
    """Read a CSV with times in ns, which need all their digits, and ids of recordings.

    Returns
    -------
    table : Table
        Rows with all `times`; ``recording`` is "" where none is named; columns of `numbers` and
        `texts` that the file lacks are empty.
    skipped : dict of str to int

    Raises
    ------
    FormatError
        A line is damaged.
    """
    texts = {**_WHOSE, **(texts or {})}
    table = read_table(file, texts, numbers, times)
    rows = with_all(table.frame, texts, numbers)
    timed = rows[list(times)].notna().all(axis=1)
    rows = rows[timed].reset_index(drop=True)
    rows = rows.astype(dict.fromkeys(times, "int64"))
    rows = rows.assign(recording=rows["recording"].fillna(""))
    skipped = {"rows without a time": int((~timed).sum())} if not timed.all() else {}
    return replace(table, frame=rows), skipped


def of_recording(rows: pd.DataFrame, recording: str) -> pd.DataFrame:
    """Rows of one recording; all of them if recordings are not named."""
    mine = (rows["recording"] == recording) | (rows["recording"] == "") | (recording == "")
    return rows[mine].reset_index(drop=True)


def events_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Add to ``start_ns`` and ``end_ns``, half-open, what events are placed on samples by."""
    return rows.assign(
        begin_us=rows["start_ns"] // 1000,
        last_us=rows["end_ns"] // 1000 - 1,
        duration_ms=(rows["end_ns"] - rows["start_ns"]) / 1e6,
    )


def names_of(family: Family, table: Table) -> dict[str, tuple[str, str]]:
    """Name and wearer of each recording id, as ``sections.csv`` or ``info.json`` tell.

    Names that two recordings have are told apart by the ids.

    Raises
    ------
    FormatError
        The table has no row.
    """
    recordings = table.frame["recording"].unique().tolist()
    if not recordings:
        raise FormatError(f"{table.path}: no row has a time; export the recording again")
    info = read_json(family.find("info", ".json"))
    told = str(info.get("recording_name") or "") if len(recordings) == 1 else ""
    wearer = str(info.get("wearer_name") or "") or "unnamed"
    names = {id_: (told or id_ or family.stem(), wearer) for id_ in recordings}
    sections = family.find("sections") or family.above("sections.csv")
    if sections is not None and has_columns(header_of(sections), ("recordingid",)):
        columns = {"name": ("recordingname",), "wearer": ("wearername",)}
        table, _ = read_cloud(sections, {}, {}, columns)
        for row in table.frame.itertuples():
            old_name, old_wearer = names.get(row.recording, (row.recording, wearer))
            name = old_name if pd.isna(row.name) else row.name
            names[row.recording] = (name, old_wearer if pd.isna(row.wearer) else row.wearer)
    used = Counter(names.values())
    return {
        id_: (f"{name} {id_}" if used[name, who] > 1 else name, who)
        for id_, (name, who) in names.items()
        if id_ in recordings
    }


def cloud_files(folder: Path) -> list[Path]:
    """``gaze.csv``, else ``fixations.csv``, of a folder or of those in it."""
    for pattern in ("gaze.csv", "*/gaze.csv", "fixations.csv", "*/fixations.csv"):
        found = sorted(file for file in folder.glob(pattern) if file.is_file())
        if found:
            return found
    return []
