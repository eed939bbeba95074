"""SMI events: IDF Event Detector and BeGaze event export (sections), BeGaze event statistics.

Sections name the columns of each kind of row; times are us. Commas, tabs or semicolons, with or
without ``##`` before the lines above::

    [BeGaze]
    Version:|BeGaze 3.5.90
    Subject:|P01
    Table Header for Fixations:
    Event Type,Trial,Number,Start,End,Duration,Location X,Location Y,Dispersion X,...
    UserEvent,1,1,167531284088,# Message: page.jpg
    Fixation L,1,1,167531377718,167531619504,241786,951.83,791.40,47,48,-,-,-1,16.42,16.42
    Saccade L,1,2,167531619504,167531627759,8255,945.94,769.94,948.59,765.62,0.11,17.57,...
    Blink L,1,1,167533563021,167533654782,91761

BeGaze's event and AOI statistics are one table; times are ms from the start of a trial. Where
Category is missing, rows are fixations; where the end is, the duration tells it. What is in several
areas of interest stands in as many rows and is taken once::

    Trial|Stimulus|Participant|Category|Eye L/R|Index|Event Start Trial Time [ms]|Event End ...

==============================  ==============================================================
here                            in the export
==============================  ==============================================================
FIXATIONS                       Fixation: Start, Duration, Location X, Y; Fixation (or Visual
                                Intake) Position X [px]
SACCADES                        Saccade: Start Loc.X ..., Amplitude, Peak Speed
BLINKS                          Blink
subject                         Subject; Participant
==============================  ==============================================================

Where both eyes are exported, fixations are those of the eye that fixates longer in the file (of
the left if equally long), so that none is listed twice; the others are counted. Saccades and
blinks of both eyes are listed, with their eye. Intervals are half-open: an event ends where the
next begins.

A user event that names a picture, video or page begins a trial (or one that the rule for trials
matches); other user events are counted. Without any, a trial is one of column Trial, whose
stimulus is that of the head, and begins with its first event. Dropped and counted: fixations
without a position (0, 0 is a lost eye) or without a duration, repeated and other rows. Refused:
exports of sections behind one another in a file, and times that a spreadsheet has rounded.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import about, add_counts, with_all
from gazetools.readers.delimited import read_columns
from gazetools.readers.layout import Layout, column_names, match_columns
from gazetools.readers.opening import read_head, read_text, stem_of
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.trial_marks import SHOWN_FILE, expect_no_rule, trial_marks, trials_from
from gazetools.readers.vendor_events import declared, drop_bad_fixations, finish_fixations
from gazetools.tables import BLINKS, SACCADES

_SOURCE = "vendor:smi-events"
_HEADER = re.compile(r"^(?:## *)?Table Header for ([^:]+)")
_FACT = re.compile(r"^(?:## *)?([A-Z][\w \[\]]*):(.*)$")
_ROW = re.compile(r"^(Fixation|Saccade|Blink)(?: ([LRB]))?$")
_USER_EVENT = re.compile(r"^User ?Event$")
_SEPARATOR = re.compile(r"[\t,;]")
_EYES = {"L": "left", "R": "right"}
_LARGEST = 2.0**53
FILLERS = ' \t,;"'
"""What a spreadsheet program puts behind a fact."""
_NULLS = ("", "-", ".", "NA", "NaN", "nan")
_WANTED = {
    "trial": ("trial",),
    "start": ("start",),
    "end": ("end",),
    "duration": ("duration",),
    "x_px": ("locationx",),
    "y_px": ("locationy",),
    "start_x_px": ("startlocx",),
    "start_y_px": ("startlocy",),
    "end_x_px": ("endlocx",),
    "end_y_px": ("endlocy",),
    "amplitude_deg": ("amplitude",),
    "peak_velocity_deg_s": ("peakspeed",),
}
_STATISTICS_TEXTS = {
    "subject": ("participant",),
    "stimulus": ("stimulus",),
    "trial": ("trial",),
    "category": ("category",),
    "eye": ("eyelr",),
}
_STATISTICS_NUMBERS = {
    "start": ("eventstarttrialtimems",),
    "end": ("eventendtrialtimems",),
    "duration": ("eventdurationms",),
    "x_px": ("fixationpositionxpx", "visualintakepositionxpx"),
    "y_px": ("fixationpositionypx", "visualintakepositionypx"),
    "start_x_px": ("saccadestartpositionxpx",),
    "start_y_px": ("saccadestartpositionypx",),
    "end_x_px": ("saccadeendpositionxpx",),
    "end_y_px": ("saccadeendpositionypx",),
    "amplitude_deg": ("saccadeamplitude",),
    "peak_velocity_deg_s": ("saccadevelocitypeaks", "saccadepeakvelocitys"),
}
_SAME_EVENT = ["subject", "stimulus", "trial", "kind", "eye", "start", "end", "x_px", "y_px"]
"""Of what is in several areas of interest, BeGaze lists each."""
_CATEGORIES = {
    "fixation": "Fixation",
    "visual intake": "Fixation",
    "saccade": "Saccade",
    "blink": "Blink",
}


def _statistics(head: str) -> tuple[str, list[str]] | None:
    """Separator and columns of event statistics; None if it is none."""
    for separator in "\t;,":
        names = column_names(head, separator)
        found = {
            **match_columns(names, _STATISTICS_TEXTS),
            **match_columns(names, _STATISTICS_NUMBERS),
        }
        if {"start", "x_px", "y_px"} <= set(found) and {"end", "duration"} & set(found):
            return separator, names
    return None


def refusal(head: Head) -> str:
    """Say why a file is no event export of SMI, or "" if it is."""
    if any(_HEADER.match(line) for line in head.text.splitlines()[:1000]):
        return ""
    if _statistics(head.text):
        return ""
    return (
        "no line 'Table Header for Fixations:', nor columns 'Event Start Trial Time [ms]', "
        "'Event End Trial Time [ms]' and 'Fixation Position X [px]'"
    )


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read an event export; each participant becomes a recording.

    Raises
    ------
    FormatError
        A line is damaged, there is no event at all, or another export follows in the file.
    """
    if _statistics(read_head(path)):
        expect_no_rule(path, options.trial_from)
        return _read_statistics(path)
    sections = _Sections(path)
    sections.read()
    events = sections.events()
    if events.empty:
        raise FormatError(
            f"{path}: no fixation, saccade or blink in it; tick them in the event export"
        )
    events, others = _with_trials(path, events, sections, options)
    skipped = add_counts(sections.skipped, {"user events": others})
    subject = sections.facts.get("Subject") or "unnamed"
    return [_recording(path, subject, events, skipped, sections.about())]


# ---------------------------------------------------------------- sections


class _Sections:
    """What stands in an export of sections."""

    def __init__(self, path: Path) -> None:
        self.facts: dict[str, str] = {}
        self.messages: list[tuple[int, str]] = []
        self.skipped: Counter[str] = Counter()
        self._path = path
        self._columns: dict[str, dict[str, int]] = {}
        self._rows: list[dict[str, float | str]] = []

    def read(self) -> None:
        section = ""
        for number, line in enumerate(read_text(self._path).split("\n"), start=1):
            if not line.strip():
                continue
            header = _HEADER.match(line)
            if header:
                section = header[1].strip()
            elif section and line.replace("##", "").strip().startswith("Event Type"):
                self._take_columns(section, number, line)
            elif not self._take_row(number, line):
                fact = _FACT.match(line)
                if fact is None and not line.strip(" \t#").startswith("[") and self._rows:
                    self.skipped["other rows"] += 1
                elif fact:
                    self.facts[fact[1].strip()] = fact[2].strip(FILLERS)

    def _take_columns(self, section: str, number: int, line: str) -> None:
        names = _cells(line.replace("##", "").strip())
        found = match_columns(names, _WANTED)
        kind = section.rstrip("s").strip().replace(" ", "")
        if self._rows and kind in self._columns:
            raise FormatError(
                f"{self._path}:{number}: another export begins here, expected one in a file; cut "
                "the file above its head, or export each subject to a file of its own"
            )
        self._columns[kind] = {name: names.index(column) for name, column in found.items()}

    def _take_row(self, number: int, line: str) -> bool:
        cells = _cells(line)
        if _USER_EVENT.match(cells[0]):
            self._take_message(number, _cells(line, 4))
            return True
        kind = _ROW.match(cells[0])
        if kind is None:
            return False
        columns = self._columns.get(kind[1])
        if columns is None:
            raise FormatError(
                f"{self._path}:{number}: a {kind[1]} before 'Table Header for {kind[1]}s:'; "
                "export the file again"
            )
        self._rows.append(
            {
                "kind": kind[1],
                "eye": _EYES.get(kind[2] or "", "both"),
                **{n: self._number(number, cells, at, n) for n, at in columns.items()},
            }
        )
        return True

    def _take_message(self, number: int, cells: list[str]) -> None:
        if len(cells) < 5:
            self._damaged(number, f"a user event has {len(cells)} fields, expected 5")
        time_us = self._number(number, cells, 3, "Start")
        text = re.sub(r"^#?\s*Message:\s*", "", cells[4].strip(FILLERS))
        if not np.isnan(time_us):
            self.messages.append((round(time_us), text))

    def _number(self, number: int, cells: list[str], at: int, name: str) -> float:
        if at >= len(cells):
            self._damaged(number, f"line has {len(cells)} fields, expected {at + 1} or more")
        text = cells[at].strip()
        if text in _NULLS:
            return np.nan
        if "E+" in text:  # e+ is of programs that write all digits
            self._damaged(number, f"{name!r} is {text[:40]}, as a spreadsheet has rounded it")
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            self._damaged(number, f"{name!r} holds {text[:40]!r}, expected a number")
        if not abs(value) <= _LARGEST:
            self._damaged(number, f"{name!r} is {text[:40]}, expected a number up to 2^53")
        return value

    def _damaged(self, number: int, what: str) -> NoReturn:
        raise FormatError(f"{self._path}:{number}: {what}; export the file again")

    def events(self) -> pd.DataFrame:
        """All events in order of time: kind, eye, trial, begin_us, duration_ms ..."""
        rows = pd.DataFrame(self._rows, columns=["kind", "eye", *_WANTED])
        rows = rows.astype(dict.fromkeys(_WANTED, "float64"))
        timed = rows["start"].notna()
        if not timed.all():
            self.skipped["rows without a time"] += int((~timed).sum())
        rows = rows[timed].sort_values("start", kind="stable", ignore_index=True)
        lasts = (rows["end"] - rows["start"]).fillna(rows["duration"])
        return rows.assign(begin_us=rows["start"].round().astype("int64"), duration_ms=lasts / 1000)

    def about(self) -> About:
        filters = [f"{name} {self.facts[name]}" for name in self.facts if "Detection" in name]
        told = {"software": self.facts.get("Version"), "filter": ", ".join(filters)}
        return {**{name: text for name, text in told.items() if text}, "time unit": "us"}


def _cells(line: str, most: int = -1) -> list[str]:
    """Cells of a line, which up to `most` separators part."""
    # the first, as commas may be decimal, and messages hold anything
    found = _SEPARATOR.search(line)
    return [cell.strip('" ') for cell in line.split(found[0] if found else "\t", most)]


def _with_trials(
    path: Path, events: pd.DataFrame, sections: _Sections, options: ReadOptions
) -> tuple[pd.DataFrame, int]:
    """Give events their trial, its stimulus and onsets; count user events that begin none."""
    begin_us = events["begin_us"].to_numpy(np.int64)
    marks_us, stimuli = trial_marks(path, sections.messages, options.trial_from or SHOWN_FILE)
    if options.trial_from is not None or len(marks_us):
        trial, stimulus = trials_from(marks_us, stimuli, begin_us)
        first_us = np.append(marks_us, begin_us[0]).min()
        clock_us = np.append(first_us, marks_us)[trial]
    else:
        number = events["trial"].fillna(0)
        changes = number != number.shift()
        trial = changes.cumsum().to_numpy(np.int64)
        clock_us = events["begin_us"].groupby(trial).transform("min").to_numpy()
        name = sections.facts.get("Stimulus") or None
        stimulus = pd.Series(name, index=events.index, dtype="str")
    placed = events.assign(trial=trial, stimulus=stimulus, onset_ms=(begin_us - clock_us) / 1000)
    return placed, len(sections.messages) - len(marks_us)


# ---------------------------------------------------------------- event statistics


def _read_statistics(path: Path) -> list[Recording]:
    found = _statistics(read_head(path))
    assert found is not None
    separator, names = found
    texts = match_columns(names, _STATISTICS_TEXTS)
    numbers = match_columns(names, _STATISTICS_NUMBERS)
    table = read_columns(path, Layout(separator, nulls=_NULLS), texts, numbers)
    rows = with_all(table.frame, _STATISTICS_TEXTS, _STATISTICS_NUMBERS)
    kind = rows["category"].str.strip().str.lower().map(_CATEGORIES)
    if "category" not in table.columns:
        kind = kind.mask(rows["x_px"].notna() & rows["y_px"].notna(), "Fixation")
    duration_ms = (rows["end"] - rows["start"]).fillna(rows["duration"])
    fine = kind.notna() & rows["start"].notna() & duration_ms.notna()
    if not fine.any():
        raise FormatError(
            f"{path}: no fixation, saccade or blink with a time among {len(rows)} rows; tick them "
            "in the export"
        )
    repeated = fine & rows.assign(kind=kind).duplicated(_SAME_EVENT)
    skipped = {"other rows": int((~fine).sum()), "repeated rows": int(repeated.sum())}
    rows = rows.assign(
        kind=kind,
        eye=rows["eye"].str.strip().str.lower().where(rows["eye"].notna(), "both"),
        subject=rows["subject"].fillna("unnamed"),
        begin_us=(rows["start"] * 1000).round(),
        onset_ms=rows["start"],
        duration_ms=duration_ms,
    )[fine & ~repeated]
    facts = about(table, names, software="BeGaze", time_unit="ms")
    recordings = []
    for subject, group in rows.groupby("subject", sort=False):
        shown = group["stimulus"].fillna("") + "\0" + group["trial"].fillna("")
        group = group.assign(trial=pd.factorize(shown)[0] + 1)
        group = group.sort_values(["trial", "onset_ms"], kind="stable", ignore_index=True)
        recordings.append(_recording(path, str(subject), group, skipped, facts))
        skipped = {}
    return recordings


# ---------------------------------------------------------------- recordings


def _recording(
    path: Path, subject: str, events: pd.DataFrame, skipped: Mapping[str, int], facts: About
) -> Recording:
    events = events.assign(recording=stem_of(path), subject=subject, source=_SOURCE)
    fixations, dropped = _fixations(events[events["kind"] == "Fixation"])
    lasting = events[events["duration_ms"] > 0]
    short = events[(events["kind"] != "Fixation") & ~(events["duration_ms"] > 0)]
    dropped = add_counts(dropped, {"saccades and blinks without a duration": len(short)})
    tables = {}
    for kind, schema in (("Saccade", SACCADES), ("Blink", BLINKS)):
        table = lasting[lasting["kind"] == kind].reset_index(drop=True)
        tables[kind] = schema.conform(declared(table, schema))
    return Recording(
        name=stem_of(path),
        subject=subject,
        format=READER.name,
        path=path,
        fixations=fixations,
        saccades=tables["Saccade"],
        blinks=tables["Blink"],
        about=facts,
        skipped=add_counts(skipped, dropped),
    )


def _fixations(events: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Fixations of one eye."""
    by_eye = events["duration_ms"].groupby(events["eye"]).sum()
    others = 0
    if len(by_eye) > 1:
        eye = max(by_eye.index, key=lambda name: (by_eye[name], name == "left"))
        others = int((events["eye"] != eye).sum())
        events = events[events["eye"] == eye]
    lost = (events["x_px"] == 0) & (events["y_px"] == 0)
    events = events.assign(x_px=events["x_px"].mask(lost), y_px=events["y_px"].mask(lost))
    kept, dropped = drop_bad_fixations(events)
    names = ("recording", "subject", "trial", "stimulus", "onset_ms", "duration_ms", "x_px", "y_px")
    kept = kept.sort_values(["trial", "onset_ms"], kind="stable", ignore_index=True)
    table = finish_fixations(kept[[*names, "source"]])
    return table, add_counts(dropped, {"fixations of the other eye": others})


READER = Reader(
    name="smi-events",
    title="SMI events of IDF Event Detector and BeGaze",
    versions="BeGaze 3.5.90; IDF Event Detector and event statistics after their documents",
    refusal=refusal,
    read=read,
    yields=("fixations", "saccades", "blinks"),
    has_messages=True,
)
