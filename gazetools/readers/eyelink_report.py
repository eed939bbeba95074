"""SR Research EyeLink Data Viewer fixation report (tab, comma or semicolon separated text).

Reports are often named ``.xls`` and are text all the same. Raw lines (tabs shown as "|")::

    RECORDING_SESSION_LABEL|TRIAL_INDEX|CURRENT_FIX_INDEX|CURRENT_FIX_START|CURRENT_FIX_END|...
    9115|1|1|22|806|511.80|417.50|...

Needed: RECORDING_SESSION_LABEL, CURRENT_FIX_X, CURRENT_FIX_Y, CURRENT_FIX_START and
CURRENT_FIX_DURATION or CURRENT_FIX_END; the last five also without ``CURRENT_FIX_``, as scripts
shorten them. Names are matched on their letters and digits only. X and Y are screen px, START and
DURATION ms from the trial's start. DURATION is that of a half-open interval, END the time of the
last sample: without DURATION the length of a sample is added, the largest that divides all spans.
TRIAL_INDEX is used where present, else a TRIAL_LABEL such as "Trial: 12"; otherwise a trial begins
where START steps back or the stimulus changes. The stimulus is the first of the columns IMAGE,
IMAGE_NAME, IMAGE_FILE, STIMULUS, PICTURE, MEDIA. Missing values are "." or UNDEFINED.

A report on both eyes (EYE_USED, EYE_REPORTED) lists each fixation twice: of every recording only
the eye with more fixations is taken, the right one if they have as many; in trials without it (by
TRIAL_INDEX or TRIAL_LABEL) the other. Dropped and counted: fixations of the other eye, those that
are listed again as they lie in two interest periods, and rows without a session, trial, position,
start or duration.

Refused with what to do: a report without CURRENT_FIX_START, one whose positions are shares of the
screen or of the image, and one of two eyes or two sessions that nothing tells apart.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import about, add_counts
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.eyelink_messages import STIMULUS_NAMES
from gazetools.readers.layout import NULLS, Layout, column_names, match_columns
from gazetools.readers.opening import read_head
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.vendor_events import listed_once
from gazetools.tables import FIXATIONS

REPORT_NULLS = (*NULLS, "UNDEFINED", "UNDEFINEDnull")
"""Cells in which Data Viewer says nothing."""
STIMULUS_COLUMNS = tuple(name.replace("_", "") for name in STIMULUS_NAMES)

TRIAL_LABEL = {"trial_label": ("triallabel",)}
_TEXTS = {
    "subject": ("recordingsessionlabel",),
    **TRIAL_LABEL,
    "stimulus": STIMULUS_COLUMNS,
    "eye": ("eyeused", "eyereported"),
}
_NUMBERS = {
    "x_px": ("currentfixx", "x"),
    "y_px": ("currentfixy", "y"),
    "duration_ms": ("currentfixduration", "duration"),
    "end_ms": ("currentfixend", "end"),
    "onset_ms": ("currentfixstart", "start"),
    "trial": ("trialindex",),
    "pupil": ("currentfixpupil",),
}
_NEEDED = {
    "subject": "RECORDING_SESSION_LABEL",
    "x_px": "CURRENT_FIX_X",
    "y_px": "CURRENT_FIX_Y",
    "duration_ms": "CURRENT_FIX_DURATION",
    "onset_ms": "CURRENT_FIX_START",
}
_COMPLETE = ("subject", "trial", "x_px", "y_px", "duration_ms", "onset_ms")
_REPORTED = {
    "x": ("currentfixx",),
    "y": ("currentfixy",),
    "duration": ("currentfixduration",),
    "index": ("currentfixindex",),
    "session": ("recordingsessionlabel",),
    "sample": ("timestamp",),
}
_TRIAL_LABEL = r"^Trial:? *([1-9]\d{0,8})$"
_LARGEST_TRIAL = 1e9
_LONGEST_SAMPLE_MS = 4
_MOST_BY_CHANCE = 5
"""So few fixations may all lie in the first px of the screen."""
_MOST_OVERLAPPING = 0.25
"""Share of fixations that may begin before the one before ends, as EyeLink has it now and then."""


def refusal(head: Head) -> str:
    """Say why a file is no Data Viewer fixation report, or "" if it is."""
    _, columns = separated(head.text)
    missing = _missing(columns)
    if not missing or _is_without_start(columns, missing):
        return ""
    return f"no column {missing[0]!r}"


def _missing(columns: list[str]) -> list[str]:
    found = match_columns(columns, _TEXTS | _NUMBERS)
    if {"end_ms", "onset_ms"} <= set(found):
        found["duration_ms"] = found["end_ms"]
    return [name for canonical, name in _NEEDED.items() if canonical not in found]


def _is_without_start(columns: list[str], missing: list[str]) -> bool:
    """Tell a fixation report whose writer did not tick the start; it is claimed to say so."""
    told = match_columns(columns, _REPORTED)
    has_gaze = "duration" in told or ("x" in told and "y" in told)
    is_report = has_gaze and ("index" in told or "session" in told) and "sample" not in told
    return is_report and _NEEDED["onset_ms"] in missing


def separated(head: str) -> tuple[str, list[str]]:
    """Return the separator of a report and the names of its columns."""
    found = {separator: column_names(head, separator) for separator in ("\t", ",", ";")}
    separator = max(found, key=lambda sep: len(found[sep]))
    return separator, found[separator]


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read a fixation report; every session becomes a recording.

    Raises
    ------
    FormatError
        A line is damaged, no row has a position, or the positions are no px of the screen;
        fixations overlap as those of two eyes; or a column is missing.
    """
    separator, columns = separated(read_head(path))
    missing = _missing(columns)
    if missing:
        raise FormatError(
            f"{path}:1: a fixation report without {', '.join(missing)}; tick "
            f"{'it' if len(missing) == 1 else 'them'} in Data Viewer's output report and export "
            "again"
        )
    texts, numbers = match_columns(columns, _TEXTS), match_columns(columns, _NUMBERS)
    if "duration_ms" in numbers:
        numbers.pop("end_ms", None)
    table = read_columns(path, Layout(separator, nulls=REPORT_NULLS), texts, numbers)
    table = _with_durations(with_labelled_trials(table))
    rows = table.frame
    complete = rows[[name for name in _COMPLETE if name in rows]].notna().all(axis=1)
    table.expect("duration_ms", (rows["duration_ms"] > 0) | ~complete, "more than 0")
    if "trial" in rows:
        expect_trials(table, complete)
    dropped = int((~complete).sum())
    if dropped == len(rows):
        raise FormatError(
            f"{path}: none of its {dropped} fixations has a session label, a trial, a start, a "
            "duration and a position; write the report again with these columns filled"
        )
    _expect_px(table, rows[complete])
    facts = about(table, columns, time_unit="ms")
    groups = rows[complete].groupby("subject", sort=False)
    return [
        _recording(path, str(subject), group, 0 if number else dropped, facts)
        for number, (subject, group) in enumerate(groups)
    ]


def _expect_px(table: Table, rows: pd.DataFrame) -> None:
    """Raise a FormatError for positions that are shares of the screen or of the image."""
    places = rows[["x_px", "y_px"]].to_numpy()
    if len(rows) <= _MOST_BY_CHANCE or not ((places >= 0) & (places <= 1)).all():
        return
    x, y = table.columns["x_px"], table.columns["y_px"]
    raise FormatError(
        f"{table.path}: all {len(rows)} positions in {x!r} and {y!r} lie from 0 to 1, expected px "
        "of the screen; export CURRENT_FIX_X and CURRENT_FIX_Y in px, or describe the table by a "
        'mapping (--mapping) with the position in "share" or "image share"'
    )


def _with_durations(table: Table) -> Table:
    """Compute how long fixations last, where the report tells their last samples instead.

    Those last as long as the largest step that divides all spans, at most 4 ms.
    """
    if "duration_ms" in table.frame:
        return table
    spans_ms = table.frame["end_ms"] - table.frame["onset_ms"]
    table.expect("end_ms", ~(spans_ms < 0), "the time at which the fixation starts, or a later one")
    # at 2000 Hz a sample lasts half a ms
    halves = np.rint(2 * spans_ms[spans_ms > 0].to_numpy()).astype(np.int64)
    sample_ms = min(int(np.gcd.reduce(halves)) / 2 or 1.0, _LONGEST_SAMPLE_MS)
    columns = dict(table.columns)
    columns["duration_ms"] = columns.pop("end_ms")
    frame = table.frame.drop(columns="end_ms").assign(duration_ms=spans_ms + sample_ms)
    return replace(table, frame=frame, columns=columns)


def with_labelled_trials(table: Table) -> Table:
    """Take trials from labels such as "Trial: 12", where a report has no TRIAL_INDEX."""
    if "trial_label" not in table.frame:
        return table
    frame, columns = table.frame.copy(), dict(table.columns)
    label, labels = columns.pop("trial_label"), frame.pop("trial_label")
    number = labels.str.extract(_TRIAL_LABEL, expand=False).astype("float64")
    if "trial" not in columns and number.notna().all():
        columns["trial"], frame["trial"] = label, number
    return replace(table, frame=frame, columns=columns)


def expect_trials(table: Table, needed: pd.Series) -> None:
    """Raise a FormatError for a needed trial number that is no whole number from 1."""
    trial = table.frame["trial"]
    fine = (trial >= 1) & (trial <= _LARGEST_TRIAL) & (trial == np.floor(trial))
    table.expect("trial", fine | ~needed, "a whole number from 1")


def _recording(
    path: Path,
    subject: str,
    rows: pd.DataFrame,
    dropped: int,
    facts: About,
) -> Recording:
    skipped = {"incomplete rows": dropped} if dropped else {}
    if "eye" in rows:
        mine = _of_one_eye(rows["eye"], rows.get("trial", pd.Series(1, index=rows.index)))
        if not mine.all():
            skipped["fixations of the other eye"] = int((~mine).sum())
        rows = rows[mine]
    stimulus = rows.get("stimulus", pd.Series(None, index=rows.index, dtype="str"))
    if "trial" in rows:
        trial = rows["trial"].astype("int64")
    else:
        shown = stimulus.fillna("")
        begins = (rows["onset_ms"].diff() < 0) | (shown != shown.shift(fill_value=shown.iloc[0]))
        trial = begins.cumsum() + 1
    table = rows.assign(
        recording=subject,
        trial=trial,
        stimulus=stimulus,
        source="vendor:eyelink-report",
    )
    table, again = listed_once(table)
    table = table.sort_values(["trial", "onset_ms"], kind="stable", ignore_index=True)
    table["order"] = table.groupby("trial").cumcount() + 1
    _expect_apart(path, subject, table)
    return Recording(
        name=subject,
        subject=subject,
        format=READER.name,
        path=path,
        fixations=FIXATIONS.conform(table),
        about=facts,
        skipped=add_counts(skipped, again),
    )


def _expect_apart(path: Path, subject: str, fixations: pd.DataFrame) -> None:
    """Raise a FormatError for the fixations of two eyes, or of two sessions, as one's."""
    end_ms = fixations["onset_ms"] + fixations["duration_ms"]
    overlapping = int((fixations["onset_ms"] < end_ms.groupby(fixations["trial"]).shift()).sum())
    if overlapping > max(_MOST_BY_CHANCE, _MOST_OVERLAPPING * len(fixations)):
        raise FormatError(
            f"{path}: {overlapping} of {len(fixations)} fixations of {subject!r} begin before the "
            "one before them ends, expected those of one eye in one session; tick EYE_USED in Data "
            "Viewer's output report, give each session a label of its own, and export again"
        )


def _of_one_eye(eye: pd.Series, trial: pd.Series) -> pd.Series:
    """Tell which rows are of the eye that most of them are of, or of a trial without it."""
    side = eye.str.strip().str.lower().str[:1]
    count = Counter(side)
    if not (count["l"] and count["r"]):
        return pd.Series(True, index=eye.index)
    mine = side != ("l" if count["r"] >= count["l"] else "r")
    return mine | ~mine.groupby(trial).transform("any")


READER = Reader(
    name="eyelink-report",
    title="EyeLink Data Viewer fixation report",
    versions="4.x text reports",
    refusal=refusal,
    read=read,
    yields=("fixations",),
)
