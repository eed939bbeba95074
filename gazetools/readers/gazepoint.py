"""Gazepoint Analysis export (CSV) and OpenGaze log (TSV); GP3 at 60 or 150 Hz.

``all_gaze`` and ``fixations`` have the same columns; ``fixations`` holds the last row of each
fixation only, and is known by that. Raw lines, cut short (every line ends in a comma, the clock's
start stands in the header)::

    MEDIA_ID,MEDIA_NAME,CNT,TIME(2019/11/05 12:17:35.779),TIMETICK(f=10000000),FPOGX,FPOGY,...
    19,page1,342,0.08241,333818424340,0.56796,0.70182,0.00000,0.00000,1,1,0.64468,0.96435,1,...
    19,page1,343,0.09882,333818594586,0.60987,0.69898,0.04884,0.04997,2,1,0.79305,0.59911,1,...

OpenGaze, by which PyGaze and PsychoPy scripts log what the tracker sends, separates by tabs and
has no media; columns may be left out::

    CNT TIME     TIME_TICK      FPOGX   FPOGY   FPOGS    FPOGD   FPOGID FPOGV ... USER
    512 84.20571 10210812140708 0.56796 0.70182 84.10000 0.10571 11     1     ... START_TEXT

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         TIME, which restarts with each medium, added to the
                                            TIMETICK (its unit is in the header) of the medium's
                                            first row; without TIMETICK media follow each other
``x_px``, ``y_px``                          BPOGX, BPOGY where BPOGV is 1; without them the
                                            mean of the eyes, else FPOGX, FPOGY
``left_x_px`` ... ``right_y_px``            LPOGX ... where LPOGV is 1
``left_pupil_mm``, ``right_pupil_mm``       LPMM, RPMM where LPMMV, RPMMV is 1
``left_valid``, ``right_valid``             LPV, RPV, else LPOGV, RPOGV
``stimulus``                                MEDIA_NAME, else MEDIA_ID
``subject``                                 a column such as PARTICIPANT or USER_FILE, which
                                            those add who put users together; of a file's
                                            name what stands before ``_all_gaze.csv``
messages for ``trial_from``                 USER, where it changes
``vendor_event``                            fixation from FPOGS to FPOGS + FPOGD, both included
==========================================  ==================================================

Fixations are the last rows of each FPOGID with FPOGV = 1, for FPOGX, FPOGY (a mean) and FPOGD
grow while a fixation lasts; onset is FPOGS, duration FPOGD, the time from a fixation's first
sample to its last. Without FPOGS it is TIME - FPOGD; without FPOGID another onset is another
fixation. Blinks end at the row that holds BKDUR. A medium's trial begins half a sample
before its first row, in ``fixations`` (where that row is not) at TIME 0.

Users who were put together are told apart by such a column, and by their TIME columns, of which
tables of several users have several: each is a recording.

Positions are shares of the screen; values outside 0-1 are off-screen gaze. The screen's size in
px is not exported, but follows from SACCADE_MAG, which is in px, SACCADE_DIR and the two
fixations; where they agree on one size, positions are px, otherwise the recording is
`normalised`. Of SACCADE_MAG nothing else is used: it is the way between two fixations.

2147483647 means missing. Dropped and counted: rows without a time or with a repeated one,
fixations of no duration (a fixation that was running when a medium began has FPOGD 0). A
fixation that runs when a medium ends is here, and at times not in the vendor's ``fixations``.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import (
    EYES,
    Floats,
    Integers,
    about,
    add_counts,
    eyes_mean,
    in_time_order,
    runs_of,
    samples_table,
    with_all,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import Layout, cells_of, header_in, match_columns
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.trial_marks import expect_no_rule, trial_marks, trials_from
from gazetools.readers.vendor_events import (
    drop_bad_fixations,
    finish_fixations,
    label_samples,
    place_blinks,
    place_fixations,
)
from gazetools.tables import BLINKS

_SOURCE = "vendor:gazepoint"
_TIME = re.compile(r"TIME($|[(.].*)")
_TICK = re.compile(r"TIMETICK[(.]f[=.](\d+)[).]?")
_TEXTS = {"stimulus": "MEDIA_NAME", "media_id": "MEDIA_ID", "message": "USER"}
_SUBJECT = (
    *("participant", "participantid", "participantname", "subject", "subjectid"),
    *("userfile", "userid", "username"),
)
_GAZE = ("FPOGX", "FPOGY", "FPOGS", "FPOGD", "FPOGID")
_OTHERS = ("FPOGV", "BPOGX", "BPOGY", "BPOGV", "BKDUR", "SACCADE_MAG", "SACCADE_DIR")
_EYE = ("POGX", "POGY", "POGV", "PMM", "PMMV", "PV")
_POINTS = {
    "": ("BPOG", "BPOGV"),
    "left_": ("LPOG", "LPOGV"),
    "right_": ("RPOG", "RPOGV"),
    "fixation_": ("FPOG", ""),
}
_FILE_ENDING = r"_(all_gaze|fixations)\.csv$"
_MISSING = 2147483647.0
_NO_MESSAGE = ("", "0")
_MOST_S = 1e9
_SUBSAMPLE_US = 500
"""Half of what the fastest tracker takes for a sample is far more than times are rounded by."""
_MOST_PX = 20_000
_MOST_REPEATED = 0.5
"""Share of the rows of a list of fixations that repeat a number; of gaze nearly all do."""


def refusal(head: Head) -> str:
    """Say why a file is no Gazepoint export, or "" if it is."""
    names, _ = header_in(head.text)
    if not any({f"{point}X", f"{point}Y"} <= set(names) for point, _ in _POINTS.values()):
        return "no columns 'FPOGX' and 'FPOGY', nor 'BPOGX' and 'BPOGY'"
    if "DICOM_ID" in names:
        return "has DICOM_ID, as EGD-CXR has"
    if not any(_TIME.fullmatch(name) for name in names):
        return "no column 'TIME(...)'"
    return ""


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read an ``all_gaze`` or a ``fixations`` export, or a log: a recording of each user.

    Raises
    ------
    ConfigError
        The rule for trials is no regular expression.
    FormatError
        A line is damaged, or no row has a time.
    """
    header, _ = header_in(read_head(path))
    table = _table(path, header)
    rows = table.frame
    timed = rows["time_s"].notna()
    skipped = {"rows without a time": int((~timed).sum())}
    rows = rows[timed].reset_index(drop=True)
    if rows.empty:
        raise FormatError(
            f"{path}: no row with a {table.columns['time_s']!r} among {len(timed)}; "
            "export the file again"
        )
    users = _users(path, rows, header)
    found = {size for of_user in users if (size := _screen_px(of_user))}
    screen_px = found.pop() if len(found) == 1 else None
    users = [_in_px(of_user, screen_px or (1, 1)) for of_user in users]
    if _lists_fixations(users):
        expect_no_rule(path, options.trial_from)
        recordings = [_fixation_list(path, of_user) for of_user in users]
    else:
        rule = options.trial_from
        recordings = [_gaze(path, _with_trials(path, of_user, rule)) for of_user in users]
    first, *others = [_described(r, table, header, screen_px) for r in recordings]
    return [replace(first, skipped=add_counts(skipped, first.skipped)), *others]


def _users(path: Path, rows: pd.DataFrame, header: list[str]) -> list[pd.DataFrame]:
    """Part the rows of users, and those of clocks, each with times and fixations."""
    rows = rows.assign(
        stimulus=rows["stimulus"].fillna(rows["media_id"]),
        subject=rows["subject"].str.replace(_FILE_ENDING, "", regex=True).fillna("unnamed"),
    )
    users = []
    for (_, session), mine in rows.groupby(["subject", "session"], sort=False):
        name = stem_of(path) + (f"-{session + 1}" if session else "")
        mine = _with_clock(mine.reset_index(drop=True).assign(recording=name), header)
        users.append(_with_fixations(mine))
    return users


def _lists_fixations(users: list[pd.DataFrame]) -> bool:
    """Tell ``fixations`` from ``all_gaze``; of all users, as one may have a few samples only."""
    repeated = np.concatenate([rows.duplicated(["run", "FPOGID"]) for rows in users])
    return bool(repeated.mean() < _MOST_REPEATED)


def _table(path: Path, header: list[str]) -> Table:
    head = read_head(path)
    _, separator = header_in(head)
    first = head.splitlines()[1:2]
    if first and len(cells_of(first[0], separator)) == len(header) + 1:
        header = [*header, ""]  # older headers lack the comma that ends each row
    times = dict.fromkeys(name for name in header if _TIME.fullmatch(name))
    numbers = {f"time_s{session or ''}": name for session, name in enumerate(times)}
    clocks = list(numbers)
    tick = next((name for name in header if _TICK.fullmatch(name)), None)
    if tick is not None:
        numbers["tick"] = tick
    known = {*_GAZE, *_OTHERS, *(f"{eye}{name}" for eye in "LR" for name in _EYE)}
    numbers |= {name: name for name in header if name in known}
    texts = {name: column for name, column in _TEXTS.items() if column in header}
    texts |= match_columns(header, {"subject": _SUBJECT})
    table = read_columns(path, Layout(separator, names=tuple(header)), texts, numbers)
    for name in (*clocks, "FPOGS", "FPOGD", "BKDUR"):
        if name not in numbers:
            continue
        seconds = table.frame[name]
        table.expect(name, ~(seconds.abs() > _MOST_S) | (seconds == _MISSING), "seconds")
    rows = _with_all_columns(table.frame, clocks)
    return Table(path, rows, table.columns, 2, table.encoding)


def _with_all_columns(rows: pd.DataFrame, clocks: list[str]) -> pd.DataFrame:
    texts = (*_TEXTS, "subject")
    rows = with_all(rows, texts, ("tick", *_GAZE, *_OTHERS))
    values = rows.drop(columns=["tick", *texts])
    rows = rows.assign(**values.mask(values.abs() == _MISSING))
    known = rows[clocks].notna().to_numpy()
    return rows.assign(time_s=rows[clocks].bfill(axis=1).iloc[:, 0], session=known.argmax(axis=1))


# ---------------------------------------------------------------- time


def _with_clock(rows: pd.DataFrame, header: list[str]) -> pd.DataFrame:
    """Put the stretches in which TIME runs on one after the other, and number them."""
    stimulus = rows["stimulus"].fillna("")
    restarts = (stimulus != stimulus.shift()) | (rows["time_s"].diff() < 0)
    restarts.iloc[0] = True
    run = restarts.cumsum() - 1
    time_us = (rows["time_s"] * 1e6).round()
    base_us = _base_us(rows, time_us, np.flatnonzero(restarts), header)
    clock_us = time_us + base_us[run]
    return rows.assign(run=run, base_us=base_us[run], tracker_time_us=clock_us.astype("int64"))


def _base_us(rows: pd.DataFrame, time_us: pd.Series, first: Integers, header: list[str]) -> Floats:
    """Time, on one clock for the whole recording, of each stretch's TIME 0."""
    ticks_per_s = [float(match[1]) for name in header if (match := _TICK.fullmatch(name))]
    if ticks_per_s and ticks_per_s[0] > 0 and rows["tick"].iloc[first].notna().all():
        tick_us = rows["tick"].iloc[first].to_numpy() * (1e6 / ticks_per_s[0])
        base: Floats = np.round(tick_us - time_us.iloc[first].to_numpy())
        ends = base + time_us.iloc[np.append(first[1:], len(rows)) - 1].to_numpy()
        is_one_clock = np.abs(base).max() < _MOST_S * 1e6
        if is_one_clock and (base[1:] + time_us.iloc[first[1:]].to_numpy() > ends[:-1]).all():
            return base
    steps = time_us.diff()
    interval = float(steps[steps > 0].median()) if (steps > 0).any() else 0.0
    last = time_us.iloc[np.append(first[1:], len(rows)) - 1].to_numpy()
    lasts = last - time_us.iloc[first].to_numpy() + round(interval)
    begin: Floats = np.concatenate(([0.0], np.cumsum(lasts)[:-1]))
    begin[1:] -= time_us.iloc[first[1:]].to_numpy()
    return begin


def _with_fixations(rows: pd.DataFrame) -> pd.DataFrame:
    """Tell fixations apart by when they began, where an export does not."""
    held = rows["FPOGV"] != 0
    if rows["FPOGS"].isna().all():
        rows = rows.assign(FPOGS=(rows["time_s"] - rows["FPOGD"]).where(held))
    if rows["FPOGID"].isna().all():
        start_us = rows["FPOGS"].where(held).ffill() * 1e6
        number = (start_us.diff().abs() > _SUBSAMPLE_US).cumsum()
        rows = rows.assign(FPOGID=number.where(start_us.notna()))
    return rows


# ---------------------------------------------------------------- space


def _last_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in which fixations are complete."""
    held = rows[(rows["FPOGV"] != 0) & rows["FPOGID"].notna()]
    return held.drop_duplicates(["run", "FPOGID"], keep="last")


def _screen_px(rows: pd.DataFrame) -> tuple[int, int] | None:
    """Size of the screen, if the saccades' lengths in px agree on one."""
    last = _last_rows(rows)
    step = last.groupby("run")[["FPOGX", "FPOGY"]].diff()
    angle = np.radians(last["SACCADE_DIR"])
    length = last["SACCADE_MAG"].where(last["SACCADE_MAG"] > 0)
    sizes = (
        length * np.cos(angle) / step["FPOGX"].where(step["FPOGX"].abs() > 0.05),
        -length * np.sin(angle) / step["FPOGY"].where(step["FPOGY"].abs() > 0.05),
    )
    found = [_agreed(size.dropna().to_numpy()) for size in sizes]
    return (found[0], found[1]) if found[0] and found[1] else None


def _agreed(sizes: Floats) -> int:
    """Return the whole number that most of at least three sizes come close to, else 0."""
    if len(sizes) < 3:
        return 0
    size = float(np.median(sizes))
    agrees = np.abs(sizes - size) < 2
    return round(size) if 1 <= size <= _MOST_PX and agrees.mean() > 0.8 else 0


def _in_px(rows: pd.DataFrame, size: tuple[int, int]) -> pd.DataFrame:
    """Add gaze and fixations in px, or in whatever unit `size` is in, without what is invalid."""
    shown: dict[str, pd.Series] = {}
    for name, (point, flag) in _POINTS.items():
        for axis, length in zip("xy", size, strict=True):
            column = f"{point}{axis.upper()}"
            if column in rows:
                shown[f"{name}{axis}_px"] = rows[column].where(_is_valid(rows, flag)) * length
    if shown["x_px"].isna().all():
        for axis in "xy":
            shown[f"{axis}_px"] = _other_gaze(rows, shown, f"{axis}_px")
    return rows.assign(**shown)


def _other_gaze(rows: pd.DataFrame, shown: dict[str, pd.Series], name: str) -> pd.Series:
    """Gaze of the eyes, else what is shown of fixations and of the way between them."""
    if {"left_x_px", "right_x_px"} & set(shown):
        return eyes_mean(shown, name)
    if rows["BPOGX"].notna().any():
        return shown[name]  # no eye was ever seen
    lost = (rows["FPOGV"] == 0) & (rows["FPOGX"] == 0) & (rows["FPOGY"] == 0)
    return shown[f"fixation_{name}"].mask(lost)


def _is_valid(rows: pd.DataFrame, flag: str) -> pd.Series:
    return rows.get(flag, pd.Series(1.0, index=rows.index)) != 0


def _with_trials(path: Path, rows: pd.DataFrame, rule: str | None) -> pd.DataFrame:
    """Add the trials and their stimuli: media, or what messages that match a rule begin."""
    if rule is None:
        return rows.assign(trial=_trials(rows))
    said = rows["message"].str.strip().fillna("")
    sent = ~said.isin(_NO_MESSAGE) & (said != said.shift())
    messages = zip(rows.loc[sent, "tracker_time_us"].tolist(), said[sent], strict=True)
    time_us = rows["tracker_time_us"].to_numpy()
    trial, stimulus = trials_from(*trial_marks(path, messages, rule), time_us)
    return rows.assign(trial=trial, stimulus=stimulus)


def _trials(rows: pd.DataFrame) -> pd.Series:
    """Count the runs of one stimulus; where TIME begins anew, a new one does."""
    return runs_of(rows["stimulus"] + "\0" + rows["run"].astype("str"))


# ---------------------------------------------------------------- the two exports


def _gaze(path: Path, rows: pd.DataFrame) -> Recording:
    rows, repeated = in_time_order(rows)
    named = ["recording", "subject", "trial", "stimulus", "tracker_time_us"]
    samples = samples_table(rows[[*named, *_eye_columns(rows)]].assign(**_eyes(rows)))
    last = _last_rows(rows)
    begin_us = last["base_us"] + (last["FPOGS"] * 1e6).round()
    timed = begin_us.notna() & last["FPOGD"].notna()
    events = _events(last[timed], begin_us[timed])
    fixations, dropped = place_fixations(events, samples, _SOURCE, slack_us=_SUBSAMPLE_US)
    blinks, _ = _blinks(rows, samples)
    return Recording(
        name=rows["recording"].iloc[0],
        subject=rows["subject"].iloc[0],
        format=READER.name,
        path=path,
        samples=label_samples(samples, fixations),
        fixations=fixations,
        blinks=blinks,
        skipped=add_counts(repeated, dropped),
    )


def _events(last: pd.DataFrame, begin_us: pd.Series) -> pd.DataFrame:
    end_us = begin_us + (last["FPOGD"] * 1e6).round()
    return pd.DataFrame(
        {
            "begin_us": begin_us,
            "last_us": end_us,
            "duration_ms": last["FPOGD"] * 1000,
            "x_px": last["fixation_x_px"],
            "y_px": last["fixation_y_px"],
        }
    ).reset_index(drop=True)


def _eye_columns(rows: pd.DataFrame) -> list[str]:
    names = ("x_px", "y_px", *(f"{eye}_{axis}_px" for eye in EYES for axis in "xy"))
    return [name for name in names if name in rows]


def _eyes(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Pupils and validity of each eye."""
    told = {}
    for eye in EYES:
        side = eye[0].upper()
        if f"{side}PMM" in rows:
            seen = _is_valid(rows, f"{side}PMMV") & (rows[f"{side}PMM"] > 0)
            told[f"{eye}_pupil_mm"] = rows[f"{side}PMM"].where(seen)
        valid = next((n for n in (f"{side}PV", f"{side}POGV") if n in rows), None)
        if valid is not None:
            told[f"{eye}_valid"] = rows[valid] == 1
    return told


def _blinks(rows: pd.DataFrame, samples: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    ends = (rows["BKDUR"] > 0) & (rows["BKDUR"] != rows["BKDUR"].shift())
    duration_ms = rows.loc[ends, "BKDUR"] * 1000
    begin_us = rows.loc[ends, "tracker_time_us"] - (duration_ms * 1000).round()
    if not ends.any():
        return BLINKS.empty(), {}
    events = pd.DataFrame({"begin_us": begin_us, "duration_ms": duration_ms, "eye": "both"})
    return place_blinks(events.reset_index(drop=True), samples, _SOURCE)


def _fixation_list(path: Path, rows: pd.DataFrame) -> Recording:
    trial = _trials(rows)
    events = pd.DataFrame(
        {
            "recording": rows["recording"],
            "subject": rows["subject"],
            "trial": trial,
            "stimulus": rows["stimulus"],
            "begin_us": rows["base_us"] + (rows["FPOGS"] * 1e6).round(),
            "onset_ms": rows["FPOGS"] * 1000,
            "duration_ms": rows["FPOGD"] * 1000,
            "x_px": rows["fixation_x_px"],
            "y_px": rows["fixation_y_px"],
            "source": _SOURCE,
        }
    )
    timed = events["onset_ms"].notna()
    events, dropped = drop_bad_fixations(events[timed])
    untimed = {"fixations without a start": int((~timed).sum())}
    return Recording(
        name=rows["recording"].iloc[0],
        subject=rows["subject"].iloc[0],
        format=READER.name,
        path=path,
        fixations=finish_fixations(events.drop(columns="begin_us")),
        skipped=add_counts(untimed, dropped),
    )


def _described(
    recording: Recording, table: Table, header: list[str], screen_px: tuple[int, int] | None
) -> Recording:
    time = table.columns["time_s"]
    facts = about(
        table,
        header,
        software="Gazepoint Analysis" if "MEDIA_ID" in header else "Gazepoint",
        time=time,
        time_unit="s",
        date=time.partition("(")[2].rpartition(")")[0],
        screen="from SACCADE_MAG and SACCADE_DIR" if screen_px else "not told",
    )
    return replace(recording, about=facts, screen_px=screen_px, normalised=screen_px is None)


READER = Reader(
    name="gazepoint",
    title="Gazepoint Analysis all_gaze and fixations (CSV), OpenGaze log (TSV)",
    versions="Gazepoint Analysis of 2019 (GP3, 60 Hz); others from documents",
    refusal=refusal,
    read=read,
    yields=("samples", "fixations", "blinks"),
    has_messages=True,
)
