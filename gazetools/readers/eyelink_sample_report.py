"""SR Research EyeLink Data Viewer sample report (tab, comma or semicolon separated text).

Raw lines (tabs shown as "|")::

    RECORDING_SESSION_LABEL|TRIAL_INDEX|TIMESTAMP|RIGHT_GAZE_X|RIGHT_GAZE_Y|RIGHT_IN_BLINK|...
    9115|1|1054290|506.90|358.30|0|...

and the short form in which published reports come, these five columns and no other::

    subject|trial|time|x|y
    9061|1|1054290|506.9|358.3

==========================================  ==================================================
SAMPLES column                              report column
==========================================  ==================================================
``tracker_time_us``                         TIMESTAMP (ms)
``left_x_px`` ... ``right_y_px``            LEFT_GAZE_X ...
``left_pupil``                              LEFT_PUPIL_SIZE
``x_px``, ``y_px``                          mean of the eyes that were seen, else AVERAGE_GAZE_X
``trial``                                   TRIAL_INDEX, else TRIAL_LABEL "Trial: 12", else 1
``stimulus``                                first of IMAGE, IMAGE_NAME, IMAGE_FILE, STIMULUS ...
``vendor_event``                            RIGHT_IN_BLINK ("missing"), RIGHT_IN_SACCADE,
                                            RIGHT_FIX_INDEX of one eye
``vendor_event_index``                      RIGHT_FIX_INDEX, RIGHT_SACCADE_INDEX, else counted
==========================================  ==================================================

Each session becomes a recording. Of two eyes the labels of one are taken, the one that was seen
more often, the right if both were as often; in trials that saw only the other, its. Without a
column of fixations every sample that is seen, and in no saccade or blink, is one of a fixation, as
EyeLink has it. The vendor's fixations, saccades and blinks are the runs of equal labels within a
trial; they begin where their first sample begins and end where the last one ends; a fixation is at
the mean of its eye's samples. Where the user tells with which messages trials begin, those in
SAMPLE_MESSAGE are cut; before the first of a trial, the trial is 0. Times that repeat at 2000 Hz
are half a ms apart. Missing values are ".", UNDEFINED, or one number for x, y and pupil. Dropped
and counted: rows without a time or trial, repeated times. Refused: sessions of one label, or of
none, and trials whose times each start anew.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import (
    EYES,
    Bools,
    Floats,
    about,
    add_counts,
    in_time_order,
    mean_of_eyes,
    samples_table,
    times_of_stamps,
)
from gazetools.readers.delimited import read_columns
from gazetools.readers.eyelink_lines import gaze_of
from gazetools.readers.eyelink_report import (
    REPORT_NULLS,
    STIMULUS_COLUMNS,
    TRIAL_LABEL,
    expect_trials,
    separated,
    with_labelled_trials,
)
from gazetools.readers.layout import Layout, match_columns
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.order import expect_one_clock
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.trial_marks import trial_rule
from gazetools.readers.vendor_events import declared, finish_fixations, mean_within
from gazetools.tables import BLINKS, FIXATIONS, SACCADES
from gazetools.timeline import sample_spans_us

_SOURCE = "vendor:eyelink-sample-report"
_SHORT = {"subject", "trial", "time", "x", "y"}
_TEXTS: dict[str, tuple[str, ...]] = {
    "subject": ("recordingsessionlabel",),
    "stimulus": STIMULUS_COLUMNS,
    **TRIAL_LABEL,
}
_MESSAGE = {"message": ("samplemessage",)}
_NUMBERS: dict[str, tuple[str, ...]] = {"time_ms": ("timestamp",), "trial": ("trialindex",)}
_SIDES = (*EYES, "average")
_LABELLED = ("x", "y", "pupil", "blink", "saccade", "fix_index", "saccade_index")
"""What labels of an eye are made of."""
for _side in _SIDES:
    _NUMBERS |= {
        f"{_side}_x": (f"{_side}gazex",),
        f"{_side}_y": (f"{_side}gazey",),
        f"{_side}_pupil": (f"{_side}pupilsize",),
        f"{_side}_blink": (f"{_side}inblink",),
        f"{_side}_saccade": (f"{_side}insaccade",),
        f"{_side}_fix_index": (f"{_side}fixindex",),
        f"{_side}_saccade_index": (f"{_side}saccadeindex",),
    }
_SHORT_TEXTS: dict[str, tuple[str, ...]] = {"subject": ("subject",)}
_SHORT_NUMBERS: dict[str, tuple[str, ...]] = {
    "time_ms": ("time",),
    "trial": ("trial",),
    "average_x": ("x",),
    "average_y": ("y",),
}


def refusal(head: Head) -> str:
    """Say why a file is no Data Viewer sample report, or "" if it is."""
    _, columns = separated(head.text)
    if set(columns) == _SHORT:
        return ""
    found = match_columns(columns, _TEXTS | _NUMBERS)
    if not {"subject", "trial"} & set(found):
        return "no column 'RECORDING_SESSION_LABEL' or 'TRIAL_INDEX'"
    if "time_ms" not in found:
        return "no column 'TIMESTAMP'"
    if not any({f"{side}_x", f"{side}_y"} <= set(found) for side in _SIDES):
        return "no columns 'LEFT_GAZE_X' and 'LEFT_GAZE_Y', nor of RIGHT or AVERAGE"
    return ""


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read a sample report; every session becomes a recording.

    Raises
    ------
    FormatError
        A line is damaged, no row has a time, or the rows of a session are several recordings.
    """
    separator, columns = separated(read_head(path))
    is_short = set(columns) == _SHORT
    wanted = _SHORT_TEXTS if is_short else _TEXTS | (_MESSAGE if options.trial_from else {})
    texts = match_columns(columns, wanted)
    numbers = match_columns(columns, _SHORT_NUMBERS if is_short else _NUMBERS)
    table = read_columns(path, Layout(separator, nulls=REPORT_NULLS), texts, numbers)
    table = with_labelled_trials(table)
    rows = table.frame
    complete = rows[[n for n in ("subject", "trial", "time_ms") if n in rows]].notna().all(axis=1)
    table.expect("time_ms", (rows["time_ms"] >= 0) | ~complete, "a time in ms")
    if "trial" in rows:
        expect_trials(table, complete)
    if not complete.any():
        raise FormatError(
            f"{path}: none of its {len(rows)} rows has a session label, a trial and a timestamp; "
            "write the report again with these columns filled"
        )
    rows = rows[complete]
    if "subject" not in rows:
        rows = rows.assign(subject="unnamed")
    if options.trial_from:
        rows = _cut_at_messages(path, rows, options.trial_from)
    facts = about(table, columns, time_unit="ms")
    dropped = len(table.frame) - len(rows)
    groups = rows.groupby("subject", sort=False)
    return [
        _recording(path, str(subject), group, 0 if number else dropped, facts)
        for number, (subject, group) in enumerate(groups)
    ]


def _cut_at_messages(path: Path, rows: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Begin a trial at each row with a message that matches; end it with the report's own."""
    pattern = trial_rule(path, rule)
    messages = rows.get("message", pd.Series(None, index=rows.index, dtype="str"))
    searched = ((at, pattern.search(text)) for at, text in messages.dropna().items())
    hits = {at: hit for at, hit in searched if hit}
    if not hits:
        such = ", ".join(map(repr, messages.dropna().unique()[:5])) or "none"
        raise FormatError(
            f"{path}: no message in SAMPLE_MESSAGE matches {rule!r}, with which trials are to "
            f"begin; messages are {such}"
        )
    begins = pd.Series(False, index=rows.index)
    begins[list(hits)] = True
    number = begins.groupby(rows["subject"]).cumsum()
    whole = [rows["subject"], *([rows["trial"]] if "trial" in rows else [])]
    is_in = begins.groupby(whole).cumsum() > 0
    shown = pd.Series({at: hit[1] if pattern.groups else None for at, hit in hits.items()})
    stimulus = shown.reindex(rows.index).astype("str").groupby([rows["subject"], number]).ffill()
    return rows.assign(
        trial=number.where(is_in, 0).astype("float64"), stimulus=stimulus.where(is_in)
    )


# ---------------------------------------------------------------- one session


def _recording(
    path: Path, subject: str, rows: pd.DataFrame, dropped: int, facts: About
) -> Recording:
    expect_one_clock(path, subject, rows["time_ms"].to_numpy())
    rows = rows.sort_values("time_ms", kind="stable")
    time_us = times_of_stamps(rows["time_ms"].to_numpy())
    rows, repeated = in_time_order(rows.assign(tracker_time_us=time_us))
    name = subject if subject != "unnamed" else stem_of(path)
    samples = _samples(rows, name, subject)
    labels, tables = _labels(rows, samples)
    return Recording(
        name=name,
        subject=subject,
        format=READER.name,
        path=path,
        samples=samples.assign(**labels),
        **tables,
        about=facts,
        skipped=add_counts({"incomplete rows": dropped}, repeated),
    )


def _gaze(rows: pd.DataFrame, side: str) -> tuple[Floats, Floats]:
    """Positions of an eye, or of both; NaN where it was not seen."""
    x, y = (_column(rows, f"{side}_{axis}") for axis in "xy")
    return gaze_of(np.where(_is_code(rows, side), np.nan, x), y)


def _is_code(rows: pd.DataFrame, side: str) -> Bools:
    """Tell where an eye's numbers are the one that Data Viewer was told to write for none."""
    x, y, pupil = (_column(rows, f"{side}_{what}") for what in ("x", "y", "pupil"))
    is_none = (pupil <= 0) | (pupil == x) if f"{side}_pupil" in rows else x < 0
    return np.asarray((x == y) & is_none)


def _column(rows: pd.DataFrame, name: str) -> Floats:
    found: Floats = rows[name].to_numpy() if name in rows else np.full(len(rows), np.nan)
    return found


def _samples(rows: pd.DataFrame, name: str, subject: str) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for eye in EYES:
        if f"{eye}_x" in rows:
            columns[f"{eye}_x_px"], columns[f"{eye}_y_px"] = _gaze(rows, eye)
        if f"{eye}_pupil" in rows:
            is_size = (rows[f"{eye}_pupil"] > 0) & ~_is_code(rows, eye)
            columns[f"{eye}_pupil"] = rows[f"{eye}_pupil"].where(is_size)
    left, right, average = (_gaze(rows, side) for side in _SIDES)
    x, y = (mean_of_eyes(left[axis], right[axis]) for axis in (0, 1))
    unseen = np.isnan(x)
    trial = rows["trial"].astype("int64") if "trial" in rows else 1
    return samples_table(
        pd.DataFrame(
            {
                "recording": name,
                "subject": subject,
                "trial": trial,
                "stimulus": rows.get("stimulus"),
                "tracker_time_us": rows["tracker_time_us"],
                "x_px": np.where(unseen, average[0], x),
                "y_px": np.where(unseen, average[1], y),
                **columns,
            },
            index=rows.index,
        )
    )


# ---------------------------------------------------------------- labels


def _labels(
    rows: pd.DataFrame, samples: pd.DataFrame
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Columns of the vendor's labels, and tables of what they make; none without labels."""
    side = _labelled_side(rows)
    if side is None:
        return {}, {}
    rows, eye = _with_the_other(rows, samples["trial"], side)
    x, y = _gaze(rows, side)
    none = pd.Series(np.nan, index=rows.index)
    blink, saccade = (rows.get(f"{side}_{what}", none) > 0 for what in ("blink", "saccade"))
    fix_index = rows.get(f"{side}_fix_index", none)
    fixation = fix_index > 0 if f"{side}_fix_index" in rows else pd.Series(~np.isnan(x))
    fixation &= ~blink & ~saccade
    event = np.select(
        [blink, saccade, fixation, np.isnan(x)],
        ["missing", "saccade", "fixation", "missing"],
        "unclassified",
    )
    kind = pd.Series(np.where(blink, "blink", event), index=rows.index)
    index = fix_index.where(fixation)
    index = index.fillna(rows.get(f"{side}_saccade_index", none).where(saccade & ~blink))
    runs = _runs(kind, index.fillna(-1), samples["trial"])
    counted = runs.groupby(kind).transform(lambda run: pd.factorize(run)[0] + 1)
    named = kind.isin(["fixation", "saccade"])
    labels = {
        "vendor_event": pd.Series(event, index=rows.index, dtype="str"),
        "vendor_event_index": index.fillna(counted).where(named, 0).astype("int64"),
    }
    return labels, _event_tables(samples, kind, runs, x, y, eye)


def _labelled_side(rows: pd.DataFrame) -> str | None:
    """Eye that has labels and was seen most often; the right before the left."""
    sides = [
        side
        for side in ("right", "left", "average")
        if any(
            f"{side}_{what}" in rows and rows[f"{side}_{what}"].notna().any()
            for what in ("blink", "saccade", "fix_index")
        )
    ]
    seen = {side: int((~np.isnan(_gaze(rows, side)[0])).sum()) for side in sides}
    return max(sides, key=seen.__getitem__, default=None)


def _with_the_other(
    rows: pd.DataFrame, trial: pd.Series, side: str
) -> tuple[pd.DataFrame, pd.Series]:
    """Put the other eye in the place of one in trials that saw only the other.

    Returns
    -------
    rows : DataFrame
        With columns of `side` so filled.
    eye : (n,) str
        Whose they are.
    """
    none = pd.Series(np.nan, index=rows.index)
    eye = pd.Series("both" if side == "average" else side, index=rows.index)
    other = {"left": "right", "right": "left"}.get(side, "")
    if f"{other}_x" not in rows:
        return rows, eye
    seen, other_seen = (
        pd.Series(~np.isnan(_gaze(rows, one)[0]), rows.index).groupby(trial).transform("any")
        for one in (side, other)
    )
    swap = ~seen & other_seen
    columns = {
        f"{side}_{what}": rows[f"{side}_{what}"].mask(swap, rows.get(f"{other}_{what}", none))
        for what in _LABELLED
        if f"{side}_{what}" in rows
    }
    return rows.assign(**columns), eye.mask(swap, other)


def _runs(*labels: pd.Series) -> pd.Series:
    """Count the runs of rows in which all labels are the same, from 1."""
    changes = [label != label.shift() for label in labels]
    return np.logical_or.reduce(changes).cumsum() + pd.Series(0, index=labels[0].index)


def _event_tables(
    samples: pd.DataFrame,
    kind: pd.Series,
    runs: pd.Series,
    x: Floats,
    y: Floats,
    eye: pd.Series,
) -> dict[str, pd.DataFrame]:
    time_us = samples["tracker_time_us"].to_numpy()
    begin_us, end_us = sample_spans_us(time_us)
    first = np.flatnonzero(np.diff(runs.to_numpy(), prepend=0))
    last = np.append(first[1:], len(samples)) - 1
    clock_us = time_us - samples["t_ms"].to_numpy() * 1000
    events = samples.loc[first, ["recording", "subject", "trial", "stimulus"]].reset_index(
        drop=True
    )
    events = events.assign(
        kind=kind.to_numpy()[first],
        onset_ms=np.round((begin_us[first] - clock_us[first]) / 1000, 6),
        duration_ms=(end_us[last] - begin_us[first]) / 1000,
        x_px=mean_within(x, first, last),
        y_px=mean_within(y, first, last),
        start_x_px=x[first],
        start_y_px=y[first],
        end_x_px=x[last],
        end_y_px=y[last],
        first_row=first,
        last_row=last,
        eye=eye.to_numpy()[first],
        source=_SOURCE,
    )
    of = {kind: events[events["kind"] == kind] for kind in ("fixation", "saccade", "blink")}
    fixations = of["fixation"].dropna(subset="x_px")
    fixations = declared(fixations, FIXATIONS, "eye", "first_row", "last_row")
    return {
        "fixations": finish_fixations(fixations),
        "saccades": SACCADES.conform(declared(of["saccade"], SACCADES).reset_index(drop=True)),
        "blinks": BLINKS.conform(declared(of["blink"], BLINKS).reset_index(drop=True)),
    }


READER = Reader(
    name="eyelink-sample-report",
    title="EyeLink Data Viewer sample report",
    versions="4.x text reports, and the short form of published ones",
    refusal=refusal,
    read=read,
    yields=("samples", "fixations", "saccades", "blinks"),
    has_messages=True,
    profile="eyelink",
)
