r"""Tobii Pro Lab data export of Glasses projects: gaze in a scene video, mapped onto snapshots.

Versions seen: a fragment of Glasses 3 at 50 Hz with bare names, and the names of Pro Lab's
bracketed exports. Rows of the gyroscope, accelerometer and magnetometer stand between those of
the eye tracker and carry the running eye movement too; an event row begins each interval::

    Recording timestamp  Sensor         Event               Mapped eye movement type [snap]  ...
    1051981650           Gyroscope
    1051990000                          snap IntervalStart
    1051996474           Eye Tracker                        Fixation

Columns are matched and units told as in ``tobii_prolab``. A file is read in one of two ways.

**Mapped onto snapshots.** A snapshot is a picture of what was looked at, onto which Pro Lab (or
a person) mapped the gaze; it is the stimulus. The vendor's mapped fixations are what is read,
and no samples, as neither the scene video nor a moving head tells where on a picture one looked:

===================================  =========================================================
FIXATIONS column                     export column
===================================  =========================================================
``stimulus``                         the name in the brackets: ``snap``
``x_px``, ``y_px``                   Mapped fixation X [snap] ..., in px of the snapshot
``onset_ms``, ``duration_ms``        eye-tracker rows with Mapped eye movement type [snap] =
                                     Fixation, of one Mapped eye movement type index [snap]
===================================  =========================================================

Without types of its own, those of the scene count, from a fixation that has a place on it to the
last before one that has none. If the size of the snapshots is exported (Media width [snap], Width
[snap]), they are placed at their own size; otherwise ingest is told so by ``--placement none
--images FOLDER``. A fixation lasts from midway to the sample before its first to midway behind its
last; "Gaze event duration" is that of another event, of the gaze in the scene video.

**Without snapshots.** Gaze in px of the scene video (Gaze point X [MCS px]) becomes SAMPLES and
its size (Recording media width) the "screen"; Gaze direction and Pupil position [HUCS ...] are
turned into display coordinates (x right, y down, z to the viewer) about the scene camera, so that
I-VT works; it knows nothing of the head's movements, nor does the vendor's. Fixation point X is
the vendor's. Without gaze, the vendor's fixations are read alone.

A trial is an interval (``snap IntervalStart`` ... ``snap IntervalEnd``, or to the end); where
there is none, a run of rows that are mapped onto the snapshot; without snapshots, whichever
interval began last, else the recording's medium. Times are those of "Recording timestamp", in us;
if it counts ms, or says so, in ms.

Dropped and counted: rows of other sensors, those among them that are damaged included (where
Sensor was not exported, rows of motion without gaze count as event rows); event rows; rows without
a time and rows that repeat one; fixations outside of intervals are of trial 0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import (
    EYES,
    Floats,
    Integers,
    about,
    add_counts,
    in_time_order,
    run_numbers,
    with_all,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import Layout, cells_of, match_columns, plain_name
from gazetools.readers.opening import read_head
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.tobii_prolab_columns import with_units
from gazetools.readers.tobii_rows import (
    Names,
    first_known,
    is_of_glasses,
    is_other_filter,
    prolab_columns,
    prolab_profile,
    seen_only,
    to_samples,
)
from gazetools.readers.vendor_events import fixations_of_labels
from gazetools.tables import FIXATIONS
from gazetools.timeline import sample_spans_us

_SOURCE = "vendor:tobii-glasses"
_TEXTS: dict[str, tuple[str, ...]] = {
    "sensor": ("sensor",),
    "subject": ("participantname",),
    "recording": ("recordingname",),
    "event_row": ("event",),
    "medium": ("recordingmedianame",),
    "filter": ("recordingfixationfiltername",),
    "software": ("recordingsoftwareversion",),
    "vendor_event": ("eyemovementtype",),
    **{f"{eye}_validity": (f"validity{eye}",) for eye in EYES},
}
_NUMBERS: dict[str, tuple[str, ...]] = {
    "recording_us": ("recordingtimestamps", "recordingtimestampus", "recordingtimestamp"),
    "recording_ms": ("recordingtimestampms",),
    "x_px": ("gazepointxmcspx", "gazepointx"),
    "y_px": ("gazepointymcspx", "gazepointy"),
    "video_width": ("recordingmediawidth", "recordingmediawidthpx"),
    "video_height": ("recordingmediaheight", "recordingmediaheightpx"),
    "vendor_event_index": ("eyemovementtypeindex",),
    "vendor_duration_ms": tuple(
        f"{what}duration{unit}"
        for what in ("gazeevent", "eyemovementevent")
        for unit in ("", "ms", "s", "us")
    ),
    "vendor_x_px": ("fixationpointxmcspx", "fixationpointx"),
    "vendor_y_px": ("fixationpointymcspx", "fixationpointy"),
}
for _eye in EYES:
    for _axis in "xyz":
        _place = f"pupilposition{_eye}{_axis}"
        _NUMBERS[f"{_eye}_eye_{_axis}_mm"] = (f"{_place}hucsmm", _place)
        _direction = f"gazedirection{_eye}{_axis}"
        _NUMBERS[f"{_eye}_dir_{_axis}"] = (f"{_direction}hucsnorm", _direction)
    _NUMBERS[f"{_eye}_pupil_mm"] = (f"pupildiameter{_eye}mm", f"pupildiameter{_eye}")

_OF_SNAPSHOT = {
    "type": "Mapped eye movement type",
    "index": "Mapped eye movement(?: type)? index",
    "x": "Mapped fixation X",
    "y": "Mapped fixation Y",
    "width": "(?:Media )?width",
    "height": "(?:Media )?height",
}
_MOTION = ("gyrox", "accelerometerx", "magnetometerx")
_INTERVAL = re.compile(r"(.+) Interval(Start|End)")
_EYE_TRACKER = "Eye Tracker"
_VENDOR_EVENTS = {
    "Fixation": "fixation",
    "Saccade": "saccade",
    "Unclassified": "unclassified",
    "UnknownEyeMovement": "unclassified",
    "EyesNotFound": "missing",
    "EyesNotFoundMovement": "missing",
}


def refusal(head: Head) -> str:
    """Say why a file is no export of a Glasses project, or "" if it is."""
    names, _ = prolab_columns(head.text)
    if not names:
        return "no column 'Recording timestamp'"
    if not is_of_glasses(names):
        return "no column of Glasses, such as 'Mapped fixation X [...]' or 'Gyro X'"
    return ""


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read every recording of a Glasses export.

    Raises
    ------
    FormatError
        Neither mapped fixations nor gaze, no eye-tracker rows, or a damaged line of these.
    """
    header, separator = prolab_columns(read_head(path))
    texts, numbers, snapshots = _find_columns(header)
    if not {"recording_us", "recording_ms"} & set(numbers):
        raise FormatError(
            f"{path}:1: no column 'Recording timestamp [μs]' among {len(header)}; "
            "tick it in the export"
        )
    damaged: set[str] = set()
    place = header.index(texts["sensor"]) if "sensor" in texts else -1
    layout = Layout(separator, forgive=_Forgiveness(place, separator, damaged))
    (table,) = with_units(iter([read_columns(path, layout, texts, numbers)]))
    rows = with_all(table.frame, [*_TEXTS, *texts], [*_NUMBERS, *numbers])
    rows = Names(path).fill(_timed(rows))
    is_eye = rows["sensor"] == _EYE_TRACKER
    if not rows["sensor"].notna().any():
        moves = rows[[name for name in _MOTION if name in rows]].notna().any(axis=1)
        is_eye = rows["event_row"].isna() & ~(moves & rows["x_px"].isna())
    rows = _typed(rows, is_eye, snapshots)
    skipped = _count_others(rows, is_eye, len(damaged))
    is_eye &= rows["recording_us"].notna()
    if not is_eye.any():
        raise FormatError(
            f"{path}: no eye-tracker rows with a time among {len(rows)} rows; "
            "tick 'Eye tracker' data and 'Recording timestamp' in the export"
        )
    mapped = [name for name in snapshots if rows[f"{name}:type"].notna().any()]
    facts = _facts(table, header, rows)
    filter_name = first_known(rows["filter"])
    read_one = _Snapshots(mapped) if mapped else _Scene(set(numbers))
    recordings = []
    for (subject, name), group in rows.groupby(["subject", "recording"], sort=False):
        samples, repeats = in_time_order(group[is_eye[group.index]])
        if samples.empty:
            continue
        empty = Recording(
            name=str(name),
            subject=str(subject),
            format=READER.name,
            path=path,
            profile=prolab_profile(filter_name),
            prefers_vendor=is_other_filter(filter_name),
            about=facts,
        )
        recording = read_one(empty, samples, group[group["event_row"].notna()])
        if recording.samples.empty and recording.fixations.empty:
            skipped = add_counts(skipped, {"recordings without a fixation": 1})
            continue
        recordings.append(replace(recording, skipped=add_counts(repeats, recording.skipped)))
    if not recordings:
        raise FormatError(
            f"{path}: neither mapped fixations nor gaze in any recording; tick 'Mapped fixation', "
            "'Mapped eye movement type', or 'Gaze point', and map the gaze first"
        )
    first = replace(recordings[0], skipped=add_counts(skipped, recordings[0].skipped))
    return [first, *recordings[1:]]


# ---------------------------------------------------------------- columns and rows


def _find_columns(header: list[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Columns of texts, of numbers, and the snapshots that fixations were mapped onto."""
    texts, numbers = match_columns(header, _TEXTS), match_columns(header, _NUMBERS)
    found: dict[str, dict[str, str]] = {}
    for what, words in _OF_SNAPSHOT.items():
        # R writes dots for blanks and brackets; newer versions may add the unit
        words = words.replace(" ", "[ .]")
        pattern = re.compile(
            rf"{words}[ .][\[.](.+?)[\].](?:[ .][\[.](?:[A-Z]+[ .])?px[\].])?", re.IGNORECASE
        )
        for column in header:
            named = pattern.fullmatch(column)
            if named:
                found.setdefault(named[1], {}).setdefault(what, column)
    has_type = "vendor_event" in texts
    complete = {
        name: its
        for name, its in found.items()
        if {"x", "y"} <= set(its) and (has_type or "type" in its)
    }
    for name, its in complete.items():
        texts |= {f"{name}:type": its["type"]} if "type" in its else {}
        numbers |= {f"{name}:{what}": its[what] for what in its if what != "type"}
    if "sensor" not in texts:
        numbers |= _of_motion(header)
    return texts, numbers, list(complete)


def _of_motion(header: list[str]) -> dict[str, str]:
    """Columns that only the rows of other sensors fill."""
    plain = {plain_name(name): name for name in header}
    found = {
        name: [column for p, column in plain.items() if p.startswith(name)] for name in _MOTION
    }
    return {name: columns[0] for name, columns in found.items() if columns}


def _typed(rows: pd.DataFrame, is_eye: pd.Series, snapshots: list[str]) -> pd.DataFrame:
    """Give snapshots without types of their own those of the scene, where fixations are mapped.

    Between two of them that no fixation elsewhere parts, those of the saccades too.
    """
    for name in snapshots:
        if f"{name}:type" in rows:
            continue
        is_mapped = rows[f"{name}:x"].notna()
        is_fixated = is_mapped | ((rows["vendor_event"] == "Fixation") & is_eye)
        on_it = is_mapped.astype("float64").where(is_fixated)
        on_it = on_it.groupby([rows["subject"], rows["recording"]], sort=False)
        is_its = (on_it.ffill() == 1) & (on_it.bfill() == 1)
        its = rows[["vendor_event", "vendor_event_index"]].where(is_its)
        rows = rows.assign(**{f"{name}:type": its.iloc[:, 0], f"{name}:index": its.iloc[:, 1]})
    return rows


@dataclass(frozen=True)
class _Forgiveness:
    """Leaves out damaged rows of sensors that are not read, and remembers them."""

    place: int
    separator: str
    damaged: set[str]

    def __call__(self, text: str) -> bool:
        cells = [*cells_of(text, self.separator), *[""] * (self.place + 1)]
        sensor = cells[self.place] if self.place >= 0 else ""
        if sensor in ("", _EYE_TRACKER):
            return False
        self.damaged.add(text)
        return True


def _timed(rows: pd.DataFrame) -> pd.DataFrame:
    """Bring "Recording timestamp" to us."""
    us = rows["recording_us"].fillna(rows["recording_ms"] * 1000)
    return rows.assign(recording_us=us, tracker_us=np.nan, tracker_time_us=us.round())


def _count_others(rows: pd.DataFrame, is_eye: pd.Series, damaged: int) -> dict[str, int]:
    others = rows.loc[~is_eye, "sensor"].str.lower().fillna("event")
    counts = {f"{name} rows": int(count) for name, count in others.value_counts().items()}
    counts["damaged rows of other sensors"] = damaged
    counts["rows without a time"] = int((is_eye & rows["recording_us"].isna()).sum())
    return add_counts(counts)


def _facts(table: Table, header: list[str], rows: pd.DataFrame) -> About:
    software = first_known(rows["software"])
    return about(
        table,
        header,
        software=f"Tobii Pro Lab {software}".strip(),
        filter=first_known(rows["filter"]),
        time="Recording timestamp",
    )


def _intervals(events: pd.DataFrame) -> Iterator[tuple[str, float, float]]:
    """Name, begin and end (us) of each interval, in the order in which they began."""
    events = events.sort_values("recording_us", kind="stable")
    open_since: dict[str, int] = {}
    found: list[tuple[str, float, float]] = []
    for text, time_us in zip(events["event_row"], events["recording_us"], strict=True):
        interval = _INTERVAL.fullmatch(text.strip())
        if interval is None or np.isnan(time_us):
            continue
        name = interval[1]
        if name in open_since:
            at = open_since.pop(name)
            found[at] = (name, found[at][1], time_us)
        if interval[2] == "Start":
            open_since[name] = len(found)
            found.append((name, time_us, np.inf))
    yield from found


# ---------------------------------------------------------------- mapped onto snapshots


@dataclass(frozen=True)
class _Snapshots:
    """Reads the vendor's mapped fixations on each snapshot."""

    names: list[str]

    def __call__(self, recording: Recording, rows: pd.DataFrame, events: pd.DataFrame) -> Recording:
        time_us = rows["tracker_time_us"].to_numpy(np.int64)
        begin_us, end_us = sample_spans_us(time_us)
        intervals = list(_intervals(events))
        runs = [
            (begin_us[run[0]], name, run)
            for name in self.names
            for run in _presentations(rows, time_us, name, intervals)
        ]
        runs.sort(key=lambda run: run[:2])
        tables = [
            _mapped_fixations(rows.iloc[run], name, begin_us[run], end_us[run]).assign(trial=number)
            for number, (_, name, run) in enumerate(runs, start=1)
        ]
        if not tables:
            return recording
        table = pd.concat(tables, ignore_index=True)
        table["order"] = table.groupby("trial").cumcount() + 1
        table = table.assign(recording=recording.name, subject=recording.subject, source=_SOURCE)
        return replace(
            recording,
            fixations=FIXATIONS.conform(table),
            placements=_own_sizes(rows, self.names),
        )


def _presentations(
    rows: pd.DataFrame, time_us: Integers, name: str, intervals: list[tuple[str, float, float]]
) -> Iterator[Integers]:
    """Rows of each interval of a snapshot, or of each run of rows that are mapped onto it."""
    # R mangles the names of columns, not those of intervals
    known = {interval for interval, _, _ in intervals}
    called = {name} & known or {interval for interval in known if _as_r_names(interval) == name}
    its = [(begin, end) for interval, begin, end in intervals if interval in called]
    if its:
        bounds = [np.searchsorted(time_us, interval, "left") for interval in its]
    else:
        mapped = rows[f"{name}:type"].notna().to_numpy()
        edges = np.flatnonzero(np.diff(mapped, prepend=False, append=False))
        bounds = list(edges.reshape(-1, 2))
    for first, stop in bounds:
        if first < stop:
            yield np.arange(first, stop)


def _as_r_names(name: str) -> str:
    return re.sub(r"[^\w.]", ".", name)


def _mapped_fixations(
    rows: pd.DataFrame, name: str, begin_us: Floats, end_us: Floats
) -> pd.DataFrame:
    """List the fixations in one presentation of a snapshot."""
    event = rows[f"{name}:type"].map(_VENDOR_EVENTS)
    numbers = rows.get(f"{name}:index", pd.Series(np.nan, index=rows.index))
    numbers = numbers.fillna(run_numbers(event))
    fixated = rows.assign(
        number=numbers,
        begin_us=begin_us,
        end_us=end_us,
        x=rows[f"{name}:x"],
        y=rows[f"{name}:y"],
    )[(event == "fixation").to_numpy()]
    runs = fixated.groupby("number", sort=False)
    table = pd.DataFrame(
        {
            "stimulus": name,
            "onset_ms": (runs["begin_us"].first() - begin_us[0]) / 1000,
            "duration_ms": (runs["end_us"].last() - runs["begin_us"].first()) / 1000,
            "x_px": runs["x"].first(),
            "y_px": runs["y"].first(),
        }
    )
    return table[table[["x_px", "y_px"]].notna().all(axis=1)]


def _own_sizes(rows: pd.DataFrame, names: list[str]) -> dict[str, Placement]:
    """Snapshots at their own size, as far as it is exported: gaze is in their px already."""
    found = {}
    for name in names:
        if {f"{name}:width", f"{name}:height"} <= set(rows):
            sizes = rows[[f"{name}:width", f"{name}:height"]].dropna().drop_duplicates()
            if len(sizes) == 1 and (sizes >= 1).all(axis=None):
                width, height = (round(size) for size in sizes.iloc[0])
                found[name] = Placement(0.0, 0.0, width, height, width, height)
    return found


# ---------------------------------------------------------------- in the scene video


@dataclass(frozen=True)
class _Scene:
    """Reads gaze in the scene video, and the vendor's fixations in it."""

    found: set[str]

    def __call__(self, recording: Recording, rows: pd.DataFrame, events: pd.DataFrame) -> Recording:
        rows = _seen(rows).assign(stimulus=_shown(rows, events))
        event = rows["vendor_event"].map(_VENDOR_EVENTS)
        index = rows["vendor_event_index"].fillna(run_numbers(event)).round().astype("int64")
        samples, begin_us = to_samples(rows.assign(vendor_event=event, vendor_event_index=index))
        vendor = rows[["vendor_duration_ms", "vendor_x_px", "vendor_y_px"]]
        vendor = vendor.set_axis(["duration_ms", "x_px", "y_px"], axis=1)
        fixations, skipped = fixations_of_labels(samples, begin_us, _SOURCE, vendor)
        recording = replace(recording, skipped=skipped)
        if not {"x_px", "y_px"} <= self.found:
            fixations = fixations.drop(columns=["first_row", "last_row"])
            return replace(recording, fixations=fixations)
        return replace(recording, samples=samples, fixations=fixations, screen_px=_video_size(rows))


def _seen(rows: pd.DataFrame) -> pd.DataFrame:
    """Eyes in display coordinates, about the scene camera, where they were seen."""
    for eye in EYES:
        names = [f"{eye}_{what}_{axis}" for what in ("eye", "dir") for axis in "xyz"]
        names = [f"{name}_mm" if "_eye_" in name else name for name in names]
        said = rows[f"{eye}_validity"]
        seen = (said == "Valid") if said.notna().any() else rows[names].notna().any(axis=1)
        # the head's x points left, y up and z forward
        rows = rows.assign(**{name: -rows[name] for name in names})
        rows = rows.assign(**seen_only(rows, eye, seen), **{f"{eye}_valid": seen})
    return rows


def _shown(rows: pd.DataFrame, events: pd.DataFrame) -> pd.Series:
    """Interval that began last and goes on; without any interval, the recording's medium."""
    intervals = list(_intervals(events))
    if not intervals:
        return rows["medium"]
    time_us = rows["tracker_time_us"].to_numpy()
    shown = np.full(len(rows), None, dtype=object)
    for name, begin, end in intervals:
        shown[(time_us >= begin) & (time_us < end)] = name
    return pd.Series(shown, index=rows.index, dtype="str")


def _video_size(rows: pd.DataFrame) -> tuple[int, int] | None:
    known = rows[["video_width", "video_height"]].dropna()
    if known.empty or not (known.iloc[0] >= 1).all():
        return None
    return round(known.iloc[0, 0]), round(known.iloc[0, 1])


READER = Reader(
    name="tobii-glasses",
    title="Tobii Pro Lab data export of Glasses (TSV)",
    versions="a fragment of Glasses 3, bare names",
    refusal=refusal,
    read=read,
    profile="tobii-prolab",
    is_reproduced=True,
)
