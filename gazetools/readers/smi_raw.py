"""SMI raw gaze: IDF Converter and BeGaze sample exports, and BeGaze 3's "raw data" (TSV, CSV).

IDF Converter writes a block of ``##`` lines, which may be missing, and messages among samples::

    ## Sample Rate:|60
    ## Calibration Area:|1920|1080
    ## Stimulus Dimension [mm]:|344|194
    Time|Type|Trial|L Raw X [px]|...|L POR X [px]|L POR Y [px]|R POR X [px]|...|L Validity|...
    110266603|SMP|1|934.33|...|1049.87|578.34|1049.87|...|1|...
    315376243|MSG|1|# Message: vehicle.jpg

BeGaze 3 writes many trials and participants into one table, with its own events; "-" is missing::

    RecordingTime [ms]|Trial|Stimulus|Participant|Category Binocular|Point of Regard Binocular X ...

Columns are matched on their letters and digits only.

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         Time (us; ms if samples are less than 100 apart);
                                            RecordingTime [ms]
``left_x_px`` ... ``right_y_px``            L POR X [px]; Point of Regard Left X [px]
``x_px``, ``y_px``                          B POR X [px], Point of Regard Binocular X [px], else
                                            the mean of the eyes that were seen
``left_pupil_mm``                           L Mapped Diameter [mm], L Pupil Diameter [mm]; Pupil
                                            Diameter Left [mm]
``left_pupil``                              L Dia X [px], L Area [px2]; Pupil Size Left X [px]
``left_valid``                              L Validity is not 0, and the eye has gaze
``stimulus``                                Stimulus; else the messages that name a file
``vendor_event``                            L Event Info, Info, Category: of both eyes, else left,
                                            else right; Visual Intake is a fixation, a blink missing
==========================================  ==================================================

A lost eye is 0 in all fields; that is missing (NaN), and does not halve the mean. Pupils "in mm"
over 20 are no mm, and kept as ``left_pupil``. A message that names a picture, video or page begins
a trial (or one that the rule for trials matches); other messages (``UE-mouseclick`` ...) are
counted. Without stimuli a trial is a run of one Trial.
Vendor fixations are the runs of samples so labelled, from midway to the sample before, cut where
recording paused between two trials; they are at the mean of the labelled eye's gaze. The screen's
size in px is the Calibration Area; in mm, and the distance, as the header says.

Left out: EPOS and GVEC, which are in the camera's space (and rounded to half a degree), CR, Raw.
Dropped and counted: rows that are no samples, samples without a time, and that repeat one.
Refused: recordings of one participant, or trials, whose clocks start anew.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Screen
from gazetools.readers.building import (
    EYES,
    about,
    add_counts,
    eyes_mean,
    in_time_order,
    run_numbers,
    runs_of,
    samples_table,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import Layout, column_names, match_columns
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.order import expect_one_clock
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.smi_events import FILLERS
from gazetools.readers.trial_marks import SHOWN_FILE, trial_marks, trials_from
from gazetools.readers.vendor_events import fixations_of_labels
from gazetools.tables import FIXATIONS, SAMPLES
from gazetools.timeline import sample_spans_us

_SOURCE = "vendor:smi-raw"
_NULLS = ("", "NA", "NaN", "nan", ".", "-")
_MILLISECONDS_BELOW = 100
_LARGEST_US = 2.0**53
_WIDEST_PUPIL_MM = 20.0
_LONGEST_STEPS = 3
"""Intervals between samples; after a longer one, another trial begins anew."""
_TEXTS: dict[str, tuple[str, ...]] = {
    "type": ("type",),
    "trial": ("trial",),
    "stimulus": ("stimulus",),
    "subject": ("participant",),
    "both_label": ("beventinfo", "categorybinocular", "info"),
    "left_label": ("leventinfo", "categoryleft"),
    "right_label": ("reventinfo", "categoryright"),
}
_NUMBERS: dict[str, tuple[str, ...]] = {"time": ("time",), "time_ms": ("recordingtimems",)}
for _axis in "xy":
    _NUMBERS[f"both_{_axis}_px"] = (f"bpor{_axis}px", f"pointofregardbinocular{_axis}px")
for _eye in EYES:
    _e = _eye[0]
    for _axis in "xy":
        _NUMBERS[f"{_eye}_{_axis}_px"] = (
            f"{_e}por{_axis}px",
            f"pointofregard{_eye}{_axis}px",
        )
    _NUMBERS[f"{_eye}_validity"] = (f"{_e}validity",)
    _NUMBERS[f"{_eye}_pupil_mm"] = (
        f"{_e}mappeddiametermm",
        f"{_e}pupildiametermm",
        f"pupildiameter{_eye}mm",
    )
    _NUMBERS[f"{_eye}_pupil"] = (
        f"{_e}diaxpx",
        f"{_e}diapx",
        f"{_e}areapx",
        f"pupilsize{_eye}xpx",
    )
_INDEX = {
    "both_label": ("indexbinocular",),
    "left_label": ("indexleft",),
    "right_label": ("indexright",),
}
_EVENTS = {
    "fixation": "fixation",
    "visual intake": "fixation",
    "saccade": "saccade",
    "blink": "missing",
}
_NO_SAMPLES = ("user event", "separator", "information")

# ---------------------------------------------------------------- layout


@dataclass(frozen=True)
class _Export:
    """Where the table begins and what stands above it."""

    names: tuple[str, ...]
    separator: str
    header_line: int
    facts: Mapping[str, str]


def _look(head: str) -> _Export | None:
    """Find the line that names the columns; None if this is no raw export."""
    facts: dict[str, str] = {}
    for number, line in enumerate(re.split(r"\r\n|\n|\r", head)[:1000], start=1):
        if line.startswith(("##", '"##')):
            name, _, value = line.partition(":")
            facts[name.strip('"# \t')] = value.strip(FILLERS)
            continue
        separator = next((s for s in "\t;," if s in line), None)
        if separator is None or "time" not in line.lower():
            continue
        names = column_names(head, separator, number)
        found = {**match_columns(names, _TEXTS), **match_columns(names, _NUMBERS)}
        gaze = {"left_x_px", "right_x_px", "both_x_px"} & set(found)
        if gaze and ({"time", "type"} <= set(found) or "time_ms" in found):
            return _Export(tuple(names), separator, number, facts)
    return None


def refusal(head: Head) -> str:
    """Say why a file is no raw export of SMI, or "" if it is."""
    return "" if _look(head.text) else "no columns 'Time', 'Type' and 'L POR X [px]'"


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read a raw export; each participant's samples become a recording.

    Raises
    ------
    FormatError
        A line is damaged, no sample has a time, or a participant's are several recordings.
    """
    export = _look(read_head(path))
    if export is None:
        raise FormatError(
            f"{path}: no columns 'Time', 'Type' and 'L POR X [px]'; tick them in the export"
        )
    table, messages = _read_table(path, export)
    rows, skipped = _samples_only(table.frame)
    us_per_unit = _us_per_unit(rows)
    time_us = (rows["time_ms" if "time_ms" in rows else "time"] * us_per_unit).round()
    timed = time_us.abs() <= _LARGEST_US
    timed_messages = [(round(time * us_per_unit), text) for time, text in messages]
    skipped = add_counts(skipped, {"rows without a time": int((~timed).sum())})
    rows = rows.assign(tracker_time_us=time_us)[timed]
    if rows.empty:
        raise FormatError(
            f"{path}: no sample with a time among {len(table.frame)} rows; export the file again"
        )
    rows = rows.assign(tracker_time_us=rows["tracker_time_us"].astype("int64"))
    subject = export.facts.get("Subject") or "unnamed"
    if "subject" not in rows:
        rows["subject"] = subject
    rows["subject"] = rows["subject"].fillna(subject)
    groups = rows.groupby("subject", sort=False)
    return [
        _Recording(path, export, table, us_per_unit, timed_messages, options).make(
            str(who), group, skipped if not number else {}
        )
        for number, (who, group) in enumerate(groups)
    ]


def _read_table(path: Path, export: _Export) -> tuple[Table, list[tuple[float, str]]]:
    """Read the rows, and apart from them the messages, which have four cells.

    A spreadsheet program fills them up with empty ones.
    """
    names = list(export.names)
    texts = match_columns(names, _TEXTS)
    event = next((name for name in _INDEX if name in texts), None)
    wanted = _NUMBERS if event is None else {**_NUMBERS, "label_index": _INDEX[event]}
    messages: dict[tuple[float, str], None] = {}

    def is_message(row: str) -> bool:
        cells = [cell.strip('" ') for cell in row.split(export.separator, 3)]
        if len(cells) != 4 or cells[1] != "MSG" or not re.fullmatch(r"\d{1,15}(\.\d*)?", cells[0]):
            return False
        messages[float(cells[0]), _said(cells[3])] = None
        return True

    layout = Layout(export.separator, export.header_line, nulls=_NULLS, forgive=is_message)
    table = read_columns(path, layout, texts, match_columns(names, wanted))
    rows = table.frame
    if {"time", "type"} <= set(rows) and (rows["type"] == "MSG").any():
        said = read_columns(path, layout, {"text": names[3]}, {}).frame["text"]
        filled = (rows["type"] == "MSG") & said.notna() & rows["time"].notna()
        for time, text in zip(rows["time"][filled], said[filled], strict=True):
            messages[float(time), _said(text.strip('" '))] = None
        table = replace(table, frame=rows[~filled].reset_index(drop=True))
    return table, list(messages)


def _said(cell: str) -> str:
    return re.sub(r"^#?\s*Message:\s*", "", cell)


def _samples_only(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out rows of messages and of the experimenter's events; count what is neither."""
    kind = rows["type"] if "type" in rows else pd.Series("SMP", index=rows.index)
    event = next((name for name in _INDEX if name in rows), None)
    if "type" not in rows and event is not None:
        kind = kind.mask(rows[event].str.lower().isin(_NO_SAMPLES), rows[event])
    others = kind[kind != "SMP"].fillna("other").str.lower()
    skipped = {f"{name} rows": int(count) for name, count in others.value_counts().items()}
    return rows[kind == "SMP"].reset_index(drop=True), skipped


def _us_per_unit(rows: pd.DataFrame) -> float:
    """Tell us from ms, which some exports are in: no tracker is so fast that it may be both."""
    if "time_ms" in rows:
        return 1000.0
    steps = rows["time"].diff()
    steps = steps[steps > 0]
    return 1000.0 if len(steps) and steps.median() < _MILLISECONDS_BELOW else 1.0


# ---------------------------------------------------------------- recordings


@dataclass(frozen=True)
class _Recording:
    """What all recordings of an export have in common."""

    path: Path
    export: _Export
    table: Table
    us_per_unit: float
    messages: list[tuple[int, str]]
    options: ReadOptions

    def make(self, subject: str, rows: pd.DataFrame, skipped: Mapping[str, int]) -> Recording:
        expect_one_clock(self.path, subject, rows["tracker_time_us"].to_numpy(np.float64))
        rows, repeated = in_time_order(rows)
        rows = rows.assign(**_eyes(rows), recording=stem_of(self.path), subject=subject)
        rows, others = self._with_trials(rows)
        rows = rows.assign(**_labels(rows))
        samples = samples_table(rows[[c for c in _SAMPLE_COLUMNS if c in rows]])
        fixations, dropped = _fixations(rows, samples)
        return Recording(
            name=stem_of(self.path),
            subject=subject,
            format=READER.name,
            path=self.path,
            samples=samples,
            fixations=fixations,
            screen_px=self._screen_px(),
            screen=self._screen(),
            fixed_rate_hz=self._rate_hz(),
            about=self._about(),
            skipped=add_counts(skipped, repeated, {"messages": others}, dropped),
        )

    def _with_trials(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, int]:
        """Give rows their trial and stimulus; count the messages that begin none."""
        named = rows["stimulus"].notna().any() if "stimulus" in rows else False
        time_us = rows["tracker_time_us"].to_numpy(np.int64)
        rule = self.options.trial_from
        if rule is not None or not named:
            begin_us, stimuli = trial_marks(self.path, self.messages, rule or SHOWN_FILE)
            if rule is not None or len(begin_us):
                trial, stimulus = trials_from(begin_us, stimuli, time_us)
                rows = rows.assign(trial=trial, stimulus=stimulus)
                return rows, len(self.messages) - len(begin_us)
        told = rows["trial"].fillna("") if "trial" in rows else pd.Series("", index=rows.index)
        stimulus = rows["stimulus"] if named else pd.Series(None, index=rows.index, dtype="str")
        shown = stimulus.fillna("") + "\0" + told
        shown = shown.where(stimulus.notna() | (not named))
        return rows.assign(trial=runs_of(shown), stimulus=stimulus), len(self.messages)

    # -------------------------------------------- header

    def _numbers(self, fact: str) -> list[float]:
        words = re.split(r"[\s,;]+", self.export.facts.get(fact, ""))
        return [float(w) for w in words if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", w) and float(w) > 0]

    def _screen_px(self) -> tuple[int, int] | None:
        size = [round(n) for n in self._numbers("Calibration Area")]
        return (size[0], size[1]) if len(size) == 2 and min(size) > 0 else None

    def _screen(self) -> Screen | None:
        px, mm = self._screen_px(), self._numbers("Stimulus Dimension [mm]")
        distance = self._numbers("Head Distance [mm]")
        if px is None or len(mm) != 2 or len(distance) != 1:
            return None
        return Screen(*px, mm[0], mm[1], distance[0])

    def _rate_hz(self) -> float | None:
        rate = self._numbers("Sample Rate")
        return rate[0] if len(rate) == 1 else None

    def _about(self) -> About:
        facts = self.export.facts
        tracker = facts.get("iView X Version")
        return about(
            self.table,
            self.export.names,
            software=facts.get("Version", ""),
            tracker=f"iView X {tracker}" if tracker else "",
            time_unit="ms" if self.us_per_unit == 1000 else "us",
        )


def _eyes(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Gaze, pupil and validity of each eye and their mean; 0 in both axes is a lost eye."""
    told: dict[str, pd.Series] = {}
    for eye in EYES:
        if f"{eye}_x_px" not in rows or f"{eye}_y_px" not in rows:
            continue
        seen = _is_seen(rows, eye)
        for axis in "xy":
            told[f"{eye}_{axis}_px"] = rows[f"{eye}_{axis}_px"].where(seen)
        valid = rows[f"{eye}_validity"] != 0 if f"{eye}_validity" in rows else True
        told[f"{eye}_valid"] = seen & valid
        told |= _pupils(rows, eye)
    has_eyes, nothing = bool(told), pd.Series(np.nan, index=rows.index)
    for axis in "xy":
        told[f"{axis}_px"] = eyes_mean(told, f"{axis}_px") if has_eyes else nothing
        if "both_x_px" in rows and "both_y_px" in rows:
            both = rows[f"both_{axis}_px"].where(_is_seen(rows, "both"))
            told[f"{axis}_px"] = both.fillna(told[f"{axis}_px"])
    return told


def _pupils(rows: pd.DataFrame, eye: str) -> dict[str, pd.Series]:
    """Pupil of an eye in mm and in the camera's px, as far as they are told."""
    in_mm, in_px = f"{eye}_pupil_mm", f"{eye}_pupil"
    told = {name: rows[name].where(rows[name] > 0) for name in (in_mm, in_px) if name in rows}
    if in_mm in told and told[in_mm].median() > _WIDEST_PUPIL_MM:
        told = {in_px: told[in_mm], **told, in_mm: told[in_mm] * np.nan}
    return told


def _is_seen(rows: pd.DataFrame, eye: str) -> pd.Series:
    x, y = rows[f"{eye}_x_px"], rows[f"{eye}_y_px"]
    return x.notna() & y.notna() & ((x != 0) | (y != 0))


def _labelled_eye(rows: pd.DataFrame) -> str | None:
    """Whose events are told: both eyes', else the left's, else the right's."""
    return next((n for n in _INDEX if n in rows and rows[n].notna().any()), None)


def _labels(rows: pd.DataFrame) -> dict[str, pd.Series]:
    column = _labelled_eye(rows)
    if column is None:
        return {}
    event = rows[column].str.strip().str.lower().map(_EVENTS)
    unseen = pd.Series(np.where(rows["x_px"].isna(), "missing", "unclassified"), rows.index)
    event = event.fillna(unseen)
    number = run_numbers(event, _stretches(rows))
    return {"vendor_event": event, "vendor_event_index": number}


def _stretches(rows: pd.DataFrame) -> pd.Series:
    """Count what one event may be in: samples of one number of the vendor's, and of one trial.

    Where a message began the trial, the samples go on, and the event with them.
    """
    step_us = rows["tracker_time_us"].diff()
    is_new = (rows["trial"].diff() != 0) & (step_us > _LONGEST_STEPS * step_us.median())
    if "label_index" in rows:
        is_new |= rows["label_index"].diff().fillna(0) != 0
    return is_new.cumsum()


def _fixations(rows: pd.DataFrame, samples: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    if "vendor_event" not in rows:
        return FIXATIONS.empty(), {}
    begin_us, _ = sample_spans_us(samples["tracker_time_us"].to_numpy(np.int64))
    eye = {"left_label": "left_", "right_label": "right_"}.get(_labelled_eye(rows) or "", "")
    eye = eye if f"{eye}x_px" in rows else ""
    gaze = {f"{axis}_px": rows[f"{eye}{axis}_px"] for axis in "xy"}
    return fixations_of_labels(samples.assign(**gaze), begin_us, _SOURCE)


_SAMPLE_COLUMNS = tuple(column.name for column in SAMPLES.columns)

READER = Reader(
    name="smi-raw",
    title="SMI raw gaze of IDF Converter and BeGaze (TSV, CSV)",
    versions="IDF Converter 3.0.20; BeGaze 3 after its documents",
    refusal=refusal,
    read=read,
    has_messages=True,
)
