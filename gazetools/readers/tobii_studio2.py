r"""Tobii Studio 1 and 2: All-Data and Fixation-Data exports, with or without a block of properties.

Also the exports of ClearView, which Studio came after (gaze data GZD, combined data CMD, fixations
FXD), and what PyGaze (OpenSesame) logs of a Tobii tracker, as it has Studio's names.

Seen: an All-Data export of 60 Hz with the block, one of 50 Hz without it that has decimal
commas, and the layout of Fixation-Data. A tab ends each row of the table; what stands above it
varies between versions::

    System Properties:
    Operating System:        Microsoft Windows NT 5.1.2600 Service Pack 2

    Data properties:

    Recording name:  Rec 62
    Recording resolution:    1280 x 1024
    Participant:     P106
    Fixation filter: Tobii fixation filter
    Fixation radius: 35

    Timestamp  DateTimeStamp  Number  GazePointXLeft  GazePointYLeft  ...  ValidityLeft  ...
    0                                                                      (event row)
    606995     17:15:40.995   36443   -1280           -1024                4

Fixation-Data has the block and, under it, a row for each fixation::

    FixationIndex  Timestamp  FixationDuration  MappedFixationPointX  MappedFixationPointY
    0              51         250               626                   521

ClearView has other names, a blank line below them, and blanks in the cells of event rows::

    Timestamp  Number  GazepointX (L)  GazepointY (L)  ...  Validity (L)  ...  Fixation  Event ...
    Fix number  Timestamp  Duration  GazepointX  GazepointY

PyGaze writes its settings as properties, and messages, of two cells, among the samples::

    display resolution: 1920x1080
    display size in cm: 53.0x30.0
    TimeStamp  Event          GazePointXLeft  GazePointYLeft  ValidityLeft  ...  PupilValidityRight
    0.0000     start_trial 1
    8.3140                    402             611             1             ...  1

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         MicroSecondTimestamp; without it Timestamp, in ms
``x_px``, ``y_px``                          mean of the eyes; without them GazePointX, Y
``left_x_px`` ... ``right_y_px``            GazePointXLeft ...; missing is -width, -height or -1
``left_pupil_mm``                           PupilLeft, PupilSizeLeft; -1 is missing
``left_valid``                              ValidityLeft = 0 or 1, "Normal" in Studio's words;
                                            PyGaze's 0 is a lost eye, at -1
``stimulus``                                StimuliName; "No media" is none
``vendor_event``, ``vendor_event_index``    FixationIndex and FixationDuration
==========================================  ==================================================

Eye positions are not exported: DistanceLeft is the distance from the tracker, CamXLeft a share
of the camera's image. Its median is told as "eye distance", for ``--screen``. So ingest needs
``--screen`` for our own detector, or ``--events vendor``; PyGaze tells the display's size and its
distance.

The vendor's fixations are those of "Tobii fixation filter" or "ClearView": filters by distance
in px, not I-VT, which leave hardly a sample between two fixations. No profile of ours is meant
to agree with them. Their point is in px of the media (MappedFixationPointX); the difference
between GazePointX and MappedGazeDataPointX brings it to the screen, else MediaPosX; a
Fixation-Data export tells neither and is taken as px of the screen.

A run of one stimulus is a trial, 0 between. Dropped and counted: event rows (keys, mouse,
recordings), messages, rows without a time, rows that repeat a time, and fixations that are listed
again. Without a name in the block, the recording has that of the file and the subject is "unnamed".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Screen
from gazetools.readers.building import (
    EYES,
    about,
    add_counts,
    eyes_mean,
    in_time_order,
    runs_of,
    with_all,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import (
    NULLS,
    Layout,
    column_names,
    match_columns,
    plain_name,
    separator_of,
)
from gazetools.readers.opening import read_head
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.tobii_rows import (
    Names,
    placed,
    placements,
    screen_size,
    seen_only,
    to_samples,
)
from gazetools.readers.vendor_events import finish_fixations, fixations_of_labels, listed_once

_TEXTS: dict[str, tuple[str, ...]] = {
    "subject": ("participantname", "participant", "subject", "user"),
    "recording": ("recordingname", "recording"),
    "stimulus": ("stimuliname", "medianame"),
    "event": ("event",),
}
_NUMBERS: dict[str, tuple[str, ...]] = {
    "tracker_us": ("microsecondtimestamp",),
    "recording_ms": ("timestamp",),
    "number": ("number",),
    "average_x_px": ("gazepointx",),
    "average_y_px": ("gazepointy",),
    "x_media": ("mappedgazedatapointx",),
    "y_media": ("mappedgazedatapointy",),
    "media_x": ("mediaposx",),
    "media_y": ("mediaposy",),
    "media_width": ("mediawidth",),
    "media_height": ("mediaheight",),
    "fixation_index": ("fixationindex", "fixation"),
    "vendor_duration_ms": ("fixationduration", "duration"),
    "vendor_x_media": ("mappedfixationpointx", "fixationpointx"),
    "vendor_y_media": ("mappedfixationpointy", "fixationpointy"),
}
for _eye in EYES:
    for _axis in ("x", "y"):
        _NUMBERS[f"{_eye}_{_axis}_px"] = (f"gazepoint{_axis}{_eye}", f"gazepoint{_axis}{_eye[0]}")
    _NUMBERS[f"{_eye}_distance_mm"] = (f"distance{_eye}", f"distance{_eye[0]}")
    _NUMBERS[f"{_eye}_pupil_mm"] = (f"pupil{_eye}", f"pupilsize{_eye}", f"pupil{_eye[0]}")
    _NUMBERS[f"{_eye}_validity"] = (f"validity{_eye}", f"validity{_eye[0]}")

_SOURCE = "vendor:tobii-studio2"
_PYGAZE = ("event", "gazepointxleft", "pupilvalidityleft")
"""Its columns, in its order; other logs with its names count px from the middle of the display."""
_ITS_OWN = ("number", "microsecondtimestamp", "datetimestamp", "stimuliname", "camxleft")
_FIXATION_DATA = ("fixationindex", "timestamp", "fixationduration")
_OF_CLEARVIEW = ("timestamp", "gazepointxl", "validityl")
_FIXATIONS_OF_CLEARVIEW = ("fixnumber", "timestamp", "duration", "gazepointx", "gazepointy")
_PLACES_OF_CLEARVIEW = {f"average_{axis}_px": f"vendor_{axis}_media" for axis in "xy"}
_NO_MEDIA = "No media"
_LEAST_VALID = 1
_MOST_LINES = 200
# as in layout; other characters that end a line somewhere may stand in a name
_LINE_END = re.compile(r"\r\n|\n|\r")
_IN_CM = re.compile(r"(\d{1,3}(?:\.\d+)?)x(\d{1,3}(?:\.\d+)?) (\d{1,3}(?:\.\d+)?) cm")


@dataclass(frozen=True)
class _Sheet:
    """The table of an export and what stands above it."""

    line: int
    header: list[str] = field(default_factory=list)
    separator: str = "\t"
    properties: dict[str, str] = field(default_factory=dict)

    @property
    def is_pygaze(self) -> bool:
        return _is_pygaze(self.header)

    @property
    def software(self) -> str:
        if self.is_pygaze:
            return "PyGaze"
        return "ClearView" if self.is_clearview else "Tobii Studio 1-2"

    @property
    def is_clearview(self) -> bool:
        names = {plain_name(name) for name in self.header}
        return any(names >= {*its} for its in (_OF_CLEARVIEW, _FIXATIONS_OF_CLEARVIEW))

    @property
    def screen_px(self) -> tuple[int, int] | None:
        return screen_size(self.properties.get("resolution", ""))

    @property
    def screen(self) -> Screen | None:
        """The display, if its size and distance are told, in cm."""
        told = f"{self.properties.get('size', '')} {self.properties.get('distance', '')}"
        cm = _IN_CM.fullmatch(told)
        if cm is None or self.screen_px is None:
            return None
        mm = [float(number) * 10 for number in cm.groups()]
        return Screen(*self.screen_px, *mm) if min(mm) > 0 else None


def refusal(head: Head) -> str:
    """Say why a file is no export of Studio 1 or 2, or "" if it is."""
    if _find(head.text) is None:
        return "no header with 'Timestamp' and 'GazePointXLeft' or 'FixationDuration'"
    return ""


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read every recording of an All-Data or Fixation-Data export.

    Raises
    ------
    FormatError
        No gaze columns, no rows with a time, or a damaged line.
    """
    sheet = _find(read_head(path))
    if sheet is None:
        raise FormatError(
            f"{path}: no header with 'Timestamp' and 'GazePointXLeft' or 'FixationDuration' in "
            f"the first {_MOST_LINES} lines; export 'All Data' or 'Fixation Data' again"
        )
    texts = match_columns(sheet.header, _TEXTS)
    numbers = match_columns(sheet.header, _NUMBERS)
    if "fixnumber" in map(plain_name, sheet.header):
        # the means of fixations, on the screen
        numbers = {_PLACES_OF_CLEARVIEW.get(name, name): its for name, its in numbers.items()}
    messages: set[str] = set()

    def is_message(row: str) -> bool:
        messages.update([row] if row.strip() else [])
        return not row.strip() or (sheet.is_pygaze and row.count(sheet.separator) < 2)

    layout = Layout(sheet.separator, sheet.line, nulls=(*NULLS, " "), forgive=is_message)
    table = read_columns(path, layout, texts, numbers)
    rows = with_all(table.frame, _TEXTS, _NUMBERS)
    rows = rows.assign(
        subject=rows["subject"].fillna(sheet.properties.get("participant")),
        recording=rows["recording"].fillna(sheet.properties.get("recording")),
        stimulus=rows["stimulus"].where(rows["stimulus"] != _NO_MEDIA),
        fixation_index=rows["fixation_index"].where(rows["fixation_index"] >= 0),
        recording_us=rows["recording_ms"] * 1000,
    )
    has_gaze = {"average_x_px", "average_y_px"} <= set(numbers) or any(
        {f"{eye}_x_px", f"{eye}_y_px"} <= set(numbers) for eye in EYES
    )
    if has_gaze:
        return _all_data(path, table, sheet, rows, len(messages))
    return _fixation_data(path, table, sheet, rows)


# ---------------------------------------------------------------- finding the table


def _find(text: str) -> _Sheet | None:
    properties: dict[str, str] = {}
    for number, line in enumerate(_LINE_END.split(text)[:_MOST_LINES], start=1):
        separator = separator_of(line)
        names = {plain_name(name) for name in line.split(separator)}
        is_all_data = {"timestamp", "gazepointxleft"} <= names or {
            "timestamp",
            "gazepointx",
            "fixationindex",
        } <= names
        sheet = _Sheet(number, line.split(separator), separator, properties)
        is_own = is_all_data and (names & set(_ITS_OWN) or _is_pygaze(sheet.header))
        if is_own or names >= set(_FIXATION_DATA) or sheet.is_clearview:
            return replace(sheet, header=column_names(text, separator, number))
        name, colon, value = line.partition(":")
        if colon and value.strip():
            properties.setdefault(_PROPERTIES.get(plain_name(name), ""), value.strip(" \t"))
    return None


def _is_pygaze(header: Sequence[str]) -> bool:
    found = [name for name in map(plain_name, header) if name in _PYGAZE]
    return found == [*_PYGAZE]


_PROPERTIES = {
    "recordingname": "recording",
    "recording": "recording",
    "participant": "participant",
    "subject": "participant",
    "recordingresolution": "resolution",
    "screenresolution": "resolution",
    "displayresolution": "resolution",
    "displaysizeincm": "size",
    "distancebetweenparticipantanddisplay": "distance",
    "fixationfilter": "filter",
    "fixationradius": "radius",
    "eye": "eye",
    "validity": "validity",
}


def _facts(table: Table, sheet: _Sheet, rows: pd.DataFrame) -> About:
    told = sheet.properties
    settings = [f"{name} {told[name]}" for name in ("radius", "eye", "validity") if name in told]
    distance = eyes_mean(rows, "distance_mm")
    distance = distance[distance > 0]
    return about(
        table,
        sheet.header,
        software=sheet.software,
        filter=", ".join([told["filter"], *settings]) if "filter" in told else "",
        time_unit="us" if rows["tracker_us"].notna().any() else "ms",
        eye_distance=f"{distance.median():.0f} mm" if len(distance) else "",
    )


# ---------------------------------------------------------------- All-Data


def _all_data(
    path: Path, table: Table, sheet: _Sheet, rows: pd.DataFrame, messages: int
) -> list[Recording]:
    time_us = rows["tracker_us" if rows["tracker_us"].notna().any() else "recording_us"]
    is_gaze = rows[["number", *(f"{eye}_x_px" for eye in EYES), "average_x_px"]].notna().any(axis=1)
    is_event = rows["event"].notna() & ~is_gaze
    kept = is_gaze & time_us.notna()
    skipped = {
        "event rows": int(is_event.sum()),
        "rows without a tracker time": int((~is_event & ~kept).sum()),
        "messages": messages,
    }
    rows = Names(path).fill(rows).assign(tracker_time_us=time_us.round())[kept]
    if rows.empty:
        raise FormatError(
            f"{path}: no samples with a time among {len(table.frame)} rows; "
            "tick gaze data and timestamps in the export"
        )
    facts = _facts(table, sheet, rows)
    recordings = []
    for (subject, name), group in rows.groupby(["subject", "recording"], sort=False):
        group, repeats = in_time_order(group)
        group = _on_screen(group)
        samples, begin_us = to_samples(_labelled(group))
        fixations, dropped = fixations_of_labels(samples, begin_us, _SOURCE, _vendor(group))
        recordings.append(
            Recording(
                name=str(name),
                subject=str(subject),
                format=READER.name,
                path=path,
                samples=samples,
                fixations=fixations,
                placements=placed(placements(group)),
                screen_px=sheet.screen_px,
                screen=sheet.screen,
                about=facts,
                skipped=add_counts(skipped, repeats, dropped),
            )
        )
        skipped = {}
    return recordings


def _on_screen(rows: pd.DataFrame) -> pd.DataFrame:
    """Gaze where it was seen; the codes of validity tell, and what stands for a lost eye."""
    valid: dict[str, pd.Series] = {}
    for eye in EYES:
        x, y = rows[f"{eye}_x_px"], rows[f"{eye}_y_px"]
        code = rows[f"{eye}_validity"]
        seen = x.notna() & y.notna() & ~_is_lost(x, y, rows)
        seen &= (code <= _LEAST_VALID) | code.isna()
        rows = rows.assign(**seen_only(rows, eye, seen))
        valid[f"{eye}_valid"] = seen
    gaze = {f"{axis}_px": eyes_mean(rows, f"{axis}_px") for axis in "xy"}
    if not any(seen.any() for seen in valid.values()):
        codes = rows[[f"{eye}_validity" for eye in EYES]]
        fine = (codes <= _LEAST_VALID).any(axis=1) | codes.isna().all(axis=1)
        x, y = (rows[f"average_{axis}_px"] for axis in "xy")
        fine &= ~(_is_lost(x, y, rows) | (x == 0) & (y == 0))
        gaze = {name: rows[f"average_{name}"].where(fine) for name in gaze}
    return rows.assign(**gaze, **valid)


def _is_lost(x: pd.Series, y: pd.Series, rows: pd.DataFrame) -> pd.Series:
    """Tell where a place (n,) is one that stands for none."""
    beside_media = (x == -rows["media_width"]) & (y == -rows["media_height"])
    return (x == -1) & (y == -1) | beside_media


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Label samples by the vendor's fixations, if there are any."""
    fixated = rows["fixation_index"].notna()
    event = pd.Series(None, index=rows.index, dtype="str")
    if fixated.any():
        event = event.mask(rows["x_px"].isna(), "missing").mask(fixated, "fixation")
        event = event.fillna("unclassified")
    return rows.assign(
        vendor_event=event,
        vendor_event_index=rows["fixation_index"].fillna(0).round().astype("int64"),
    )


def _vendor(rows: pd.DataFrame) -> pd.DataFrame:
    """Duration and place on the screen of the vendor's fixation that each sample is of."""
    offset = {
        axis: (rows[f"average_{axis}_px"] - rows[f"{axis}_media"]).fillna(rows[f"media_{axis}"])
        for axis in "xy"
    }
    place = {f"{axis}_px": rows[f"vendor_{axis}_media"] + offset[axis] for axis in "xy"}
    return pd.DataFrame({"duration_ms": rows["vendor_duration_ms"], **place})


# ---------------------------------------------------------------- Fixation-Data


def _fixation_data(path: Path, table: Table, sheet: _Sheet, rows: pd.DataFrame) -> list[Recording]:
    wanted = ("vendor_x_media", "vendor_y_media", "vendor_duration_ms", "recording_ms")
    for name in wanted:
        if name not in table.columns:
            raise FormatError(
                f"{path}:{sheet.line}: no column {_SPOKEN[name]!r} among {len(sheet.header)}; "
                "tick it in the export"
            )
    complete = rows[list(wanted)].notna().all(axis=1) & (rows["vendor_duration_ms"] > 0)
    skipped = {"rows that are no complete fixation": int((~complete).sum())}
    if not complete.any():
        raise FormatError(
            f"{path}: no fixation with a place, a time and a duration among {len(rows)} rows; "
            "export 'Fixation Data' again"
        )
    facts = _facts(table, sheet, rows)
    rows = Names(path).fill(rows[complete])
    recordings = []
    for (subject, name), group in rows.groupby(["subject", "recording"], sort=False):
        fixations, again = _fixations(group)
        recordings.append(
            Recording(
                name=str(name),
                subject=str(subject),
                format=READER.name,
                path=path,
                fixations=fixations,
                placements=placed(placements(group)),
                screen_px=sheet.screen_px,
                about=facts,
                skipped=add_counts(skipped, again),
            )
        )
        skipped = {}
    return recordings


_SPOKEN = {
    "vendor_x_media": "MappedFixationPointX",
    "vendor_y_media": "MappedFixationPointY",
    "vendor_duration_ms": "FixationDuration",
    "recording_ms": "Timestamp",
}


def _fixations(rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """List the fixations of one recording; a trial begins with its first one.

    Returns
    -------
    fixations : DataFrame
    skipped : dict of str to int
    """
    rows = rows.sort_values("recording_ms", kind="stable", ignore_index=True)
    trial = runs_of(rows["stimulus"])
    begin_ms = rows["recording_ms"].groupby(trial).transform("min")
    # without stimuli the clock is that of the recording
    begin_ms = begin_ms if rows["stimulus"].notna().any() else 0.0
    fixations, again = listed_once(
        rows[["recording", "subject", "stimulus"]].assign(
            trial=trial,
            onset_ms=rows["recording_ms"] - begin_ms,
            duration_ms=rows["vendor_duration_ms"],
            x_px=rows["vendor_x_media"] + rows["media_x"].fillna(0.0),
            y_px=rows["vendor_y_media"] + rows["media_y"].fillna(0.0),
            source=_SOURCE,
        )
    )
    return finish_fixations(fixations), again


READER = Reader(
    name="tobii-studio2",
    title="Tobii Studio 1-2 All-Data and Fixation-Data, ClearView, PyGaze's log of a Tobii (TSV)",
    versions="of 2011 (60 Hz, block), 50 Hz without; Fixation-Data of 2011; PyGaze by its code",
    refusal=refusal,
    read=read,
    profile="olsen2012",
)
