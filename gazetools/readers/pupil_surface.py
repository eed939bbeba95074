"""Pupil Cloud mappers: gaze on a marked surface or on a reference image (folder or CSV).

Given the folder of an enrichment, or its ``gaze.csv`` or ``fixations.csv``, perhaps with a
prefix that the files beside share, or what Neon Player writes of a surface::

    section id,recording id,timestamp [ns],gaze detected on surface,gaze position on surface x ...
    8c2f...,140c...,1754690230077095946,true,0.3497979938983917,0.9363359908921814,

    section id,recording id,fixation id,start timestamp [ns],end timestamp [ns],duration [ms],...
    8c2f...,140c...,253,1754690230422467946,1754690230547470946,125,true,0.342627,0.921271

==============================  ==============================================================
here                            in the export
==============================  ==============================================================
SAMPLES                         gaze.csv: timestamp [ns] (read whole, kept in us), gaze position
                                on surface x [normalized] or in reference image x [px]
FIXATIONS                       fixations.csv: start, end timestamp [ns], fixation x
                                [normalized] or [px]
trial                           a section; its stimulus is "surface" or "reference image", or
                                its name where the folder's or file's tells it
recording and subject           recording id, named by sections.csv, if beside; in a folder of
                                several enrichments ``RECORDING on STIMULUS``, for a
                                second one onto it ``RECORDING on STIMULUS-2``
==============================  ==============================================================

The stimulus is what gaze is mapped onto: positions are shares of the surface (origin top left;
`normalised`), or px of the reference image, taken for the screen. Gaze and fixations that were
not detected on it are off the stimulus (of fixations Neon Player tells the share that was; half
is enough): such gaze is missing (NaN), such fixations are left out; both are counted. Events end
where the next sample begins. Time series of gaze that was not mapped, in folders beside, are left
out. Dropped and counted: rows without a time, samples that repeat one.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from gazetools.readers.building import about, add_counts, in_time_order, runs_of, samples_table
from gazetools.readers.delimited import Table
from gazetools.readers.pupil_files import (
    LASTING,
    TIMED,
    Family,
    cloud_files,
    events_of,
    has_columns,
    header_of,
    header_or_none,
    is_true,
    names_in,
    names_of,
    of_recording,
    read_cloud,
)
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.vendor_events import label_samples, list_fixations, place_fixations

_SOURCE = "vendor:pupil-surface"
_MOST_OF_IT = 0.5
_COLUMNS = {
    ("gaze", "surface"): ("timestampns", "gazepositiononsurfacexnormalized"),
    ("gaze", "reference image"): ("timestampns", "gazepositioninreferenceimagexpx"),
    ("fixations", "surface"): ("starttimestampns", "endtimestampns", "fixationxnormalized"),
    ("fixations", "reference image"): (
        "starttimestampns",
        "endtimestampns",
        "fixationdetectedinreferenceimage",
    ),
}
_TEXTS = {
    "section": ("sectionid",),
    "detected": (
        "gazedetectedonsurface",
        "gazedetectedinreferenceimage",
        "fixationdetectedonsurface",
        "fixationdetectedinreferenceimage",
    ),
}
_GAZE = {
    f"{axis}_px": (
        f"gazepositiononsurface{axis}normalized",
        f"gazepositioninreferenceimage{axis}px",
    )
    for axis in "xy"
}
_FIXATION = {f"{axis}_px": (f"fixation{axis}normalized", f"fixation{axis}px") for axis in "xy"}
_NAMED = re.compile(r"(?:gaze_positions|gaze|fixations)_on_surface_(.+)\.csv(?:\.gz)?")
_NAMED_FOLDER = re.compile(r".*-MAPPER_(.+?)(?:_csv(?: ?\(\d+\))?)?", re.IGNORECASE)


def _kind(header: list[str]) -> tuple[str, str]:
    return next((kind for kind, names in _COLUMNS.items() if has_columns(header, names)), ("", ""))


def refusal(head: Head) -> str:
    """Say why this is no mapper's export, or "" if it is."""
    if not head.files:
        header = names_in(head.text)
        return "" if _kind(header)[0] else "no gaze or fixations on a surface or reference image"
    main = _main_files(head.path)
    if not main:
        return "no gaze.csv or fixations.csv in it"
    is_mapped = any(_kind(header_or_none(file))[0] for file in main)
    return "" if is_mapped else f"no mapped gaze in {main[0].name}"


def _main_files(folder: Path) -> list[Path]:
    return cloud_files(folder) or sorted(folder.glob("gaze_positions_on_surface_*.csv"))


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read all recordings of a file, or of a folder.

    Raises
    ------
    FormatError
        A line is damaged, or no row has a time.
    """
    main = _main_files(path) if path.is_dir() else [path]
    files = [file for file in main if _kind(header_of(file))[0]]
    stimuli: Counter[str] = Counter()
    found = []
    for file in files:
        stimulus = _stimulus(file)
        stimuli[stimulus] += 1
        again = f"-{stimuli[stimulus]}" if stimuli[stimulus] > 1 else ""
        place = f" on {stimulus}{again}" if len(files) > 1 else ""
        found += _read_file(path, file, stimulus, place)
    return found


def _stimulus(file: Path) -> str:
    named = _NAMED.fullmatch(file.name) or _NAMED_FOLDER.fullmatch(file.absolute().parent.name)
    return named[1] if named else _kind(header_of(file))[1]


def _read_file(path: Path, file: Path, stimulus: str, place: str) -> list[Recording]:
    role, onto = _kind(header_of(file))
    family = Family(file, _role_in_name(file, role))
    parts = _Parts(path, family, onto, stimulus)
    return [
        parts.recording(id_, name + place, subject, parts.skipped if not number else {})
        for number, (id_, (name, subject)) in enumerate(names_of(family, parts.main).items())
    ]


def _role_in_name(file: Path, role: str) -> str:
    """Return what a file is called: gaze, or as Neon Player names it."""
    named = _NAMED.fullmatch(file.name)
    if named is None:
        return role
    return f"{'gaze_positions' if role == 'gaze' else role}_on_surface_{named[1]}"


class _Parts:
    """The files that stand side by side, with rows of one recording or of several."""

    def __init__(self, path: Path, family: Family, onto: str, stimulus: str) -> None:
        self.skipped: dict[str, int] = {}
        self._path = path
        self._onto = onto
        self._stimulus = stimulus
        gaze, fixations = "gaze", "fixations"
        if "_on_surface_" in family.role:
            gaze, fixations = (f"{r}_on_surface_{stimulus}" for r in ("gaze_positions", fixations))
        self._gaze = self._table(family, gaze, "gaze")
        self._fixations = self._table(family, fixations, "fixations")

    @property
    def main(self) -> Table:
        main = self._gaze if self._gaze is not None else self._fixations
        assert main is not None
        return main

    def _table(self, family: Family, name: str, role: str) -> Table | None:
        file = family.find(name)
        if file is None or _kind(header_of(file)) != (role, self._onto):
            return None
        times, numbers = (TIMED, _GAZE) if role == "gaze" else (LASTING, _FIXATION)
        table, skipped = read_cloud(file, times, numbers, _TEXTS)
        self.skipped = add_counts(self.skipped, skipped)
        return table

    def recording(self, id_: str, name: str, subject: str, skipped: Mapping[str, int]) -> Recording:
        events, off = self._events(id_)
        who = {"recording": name, "subject": subject}
        if self._gaze is None:
            events = events.assign(**who, trial=runs_of(events["section"]), stimulus=self._stimulus)
            listed, dropped = list_fixations(events, _SOURCE)
            tables = {"fixations": listed}
        else:
            samples, counts = self._samples(id_, who)
            fixations, dropped = place_fixations(events, samples, _SOURCE)
            labelled = samples if self._fixations is None else label_samples(samples, fixations)
            tables = {"samples": labelled, "fixations": fixations}
            dropped = add_counts(counts, dropped)
        return Recording(
            name=name,
            subject=subject,
            format=READER.name,
            path=self._path,
            normalised=self._onto == "surface",
            about=about(
                self.main,
                header_of(self.main.path),
                time_unit="ns",
                positions="shares of the surface" if self._onto == "surface" else "px of its image",
            ),
            skipped=add_counts(skipped, {"fixations off the stimulus": off}, dropped),
            **tables,
        )

    def _samples(self, id_: str, who: dict[str, str]) -> tuple[pd.DataFrame, dict[str, int]]:
        assert self._gaze is not None
        rows = of_recording(self._gaze.frame, id_)
        off = ~_is_on(rows, self._onto) & rows["x_px"].notna()
        rows = rows.assign(
            tracker_time_us=rows["time_ns"] // 1000,
            x_px=rows["x_px"].mask(off),
            y_px=rows["y_px"].mask(off),
        )
        rows, repeated = in_time_order(rows)
        trial = runs_of(rows["section"])
        rows = rows[["tracker_time_us", "x_px", "y_px"]].assign(
            **who, trial=trial, stimulus=pd.Series(self._stimulus, rows.index).where(trial > 0)
        )
        return samples_table(rows), add_counts(
            {"samples off the stimulus (kept, without gaze)": int(off.sum())}, repeated
        )

    def _events(self, id_: str) -> tuple[pd.DataFrame, int]:
        if self._fixations is None:
            columns = ["begin_us", "last_us", "duration_ms", "x_px", "y_px"]
            return pd.DataFrame(columns=columns, dtype="float64"), 0
        rows = of_recording(self._fixations.frame, id_)
        on = _is_on(rows, self._onto)
        return events_of(rows[on].reset_index(drop=True)), int((~on).sum())


def _is_on(rows: pd.DataFrame, onto: str) -> pd.Series:
    """Tell what was detected on the stimulus; where nothing says so, what lies within it.

    Neon Player tells which share of a fixation was.
    """
    if rows["detected"].notna().any():
        share = pd.to_numeric(rows["detected"], errors="coerce")
        return is_true(rows["detected"]) | (share >= _MOST_OF_IT)
    if onto == "surface":
        return rows["x_px"].between(0, 1) & rows["y_px"].between(0, 1)
    return rows["x_px"].notna() & rows["y_px"].notna()


READER = Reader(
    name="pupil-surface",
    title="Pupil Cloud marker and reference image mapper (folder or CSV)",
    versions="gaze and fixations of 2022-2025, Neon Player's surfaces",
    refusal=refusal,
    read=read,
)
