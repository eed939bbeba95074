"""Columns of a Tobii Pro Lab export: what each version calls them, and what their clocks count."""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import EYES, Floats, mean_of_eyes
from gazetools.readers.columns import Rows, constant, rows_of
from gazetools.readers.delimited import Table
from gazetools.readers.layout import match_columns, plain_name
from gazetools.readers.tobii_rows import count_us, usual_step
from gazetools.timeline import sample_interval_us

_Names = dict[str, tuple[str, ...]]
"""Our names of columns, and theirs, the preferred one first."""


def _of_eye(eye: str) -> _Names:
    names: _Names = {}
    for axis in "xyz":
        place, direction = f"eyeposition{eye}{axis}", f"gazedirection{eye}{axis}"
        names[f"{eye}_eye_{axis}_mm"] = (f"{place}dacsmm", f"{place}rcsmm")
        names[f"{eye}_dir_{axis}"] = (direction, f"{direction}dacsnorm")
    for axis in "xy":
        point = f"gazepoint{eye}{axis}"
        names[f"{eye}_{axis}_px"] = (point, f"{point}dacspx")
        names[f"{eye}_{axis}_mm"] = (f"{point}dacsmm", f"{point}rcsmm")
    names[f"{eye}_pupil_mm"] = (f"pupildiameter{eye}", f"pupildiameter{eye}mm")
    return names


_TEXTS: _Names = {
    "sensor": ("sensor",),
    "subject": ("participantname",),
    "recording": ("recordingname",),
    "event_row": ("event",),
    "event_value": ("eventvalue",),
    "medium": ("presentedmedianame",),
    "stimulus": ("presentedstimulusname",),
    "vendor_event": ("eyemovementtype",),
    "left_validity": ("validityleft",),
    "right_validity": ("validityright",),
    "software": ("recordingsoftwareversion",),
    "filter": ("recordingfixationfiltername",),
}
_VALIDATION: _Names = {
    f"{when}_{what}": tuple(f"average{when}{column}{unit}" for unit in ("degrees", "deg", ""))
    for when in ("validation", "calibration")
    for what, column in (("accuracy", "accuracy"), ("precision", "precisionrms"))
}
_NUMBERS: _Names = {
    "tracker_us": ("eyetrackertimestamps", "eyetrackertimestampus", "eyetrackertimestamp"),
    "tracker_ms": ("eyetrackertimestampms",),
    "recording_us": ("recordingtimestamps", "recordingtimestampus", "recordingtimestamp"),
    "recording_ms": ("recordingtimestampms",),
    "x_px": ("gazepointx", "gazepointxdacspx"),
    "y_px": ("gazepointy", "gazepointydacspx"),
    "mouse_x": ("mousepositionx", "mousepositionxdacspx"),
    "screen_width": ("recordingresolutionwidth", "recordingresolutionwidthpx"),
    "screen_height": ("recordingresolutionheight", "recordingresolutionheightpx"),
    "media_x": ("presentedmediapositionxdacspx", "presentedmediapositionxrcspx"),
    "media_y": ("presentedmediapositionydacspx", "presentedmediapositionyrcspx"),
    "media_width": ("presentedmediawidth", "presentedmediawidthpx"),
    "media_height": ("presentedmediaheight", "presentedmediaheightpx"),
    "original_width": ("originalmediawidth", "originalmediawidthpx"),
    "original_height": ("originalmediaheight", "originalmediaheightpx"),
    "vendor_event_index": ("eyemovementtypeindex",),
    "vendor_duration_ms": tuple(
        f"{what}duration{unit}"
        for what in ("gazeevent", "eyemovementevent")
        for unit in ("", "ms", "s", "us")
    ),
    "vendor_x_px": ("fixationpointx", "fixationpointxdacspx"),
    "vendor_y_px": ("fixationpointy", "fixationpointydacspx"),
    **_VALIDATION,
    **_of_eye("left"),
    **_of_eye("right"),
}
_NOT_FOR_EVENTS = {
    *_VALIDATION,
    *(f"{eye}_{what}" for eye in EYES for what in ("x_px", "y_px", "pupil_mm")),
}
_AVERAGE = ("x_px", "y_px")
_PLACES = (_AVERAGE, *((f"{eye}_x_px", f"{eye}_y_px") for eye in EYES))
_EVENT_PLACE = ("vendor_x_px", "vendor_y_px")
_CLOCKS = {"tracker_us": "tracker_ms", "recording_us": "recording_ms"}
_NO_UNIT = re.compile(r"timestamp(_ms)?$", re.IGNORECASE)
"""R's janitor writes _ms for [ms] and for [μs]."""
_IN_MS = re.compile(r"[\[.]ms[\].]$")
_FASTEST_HZ = 5000.0


def find_columns(
    path: Path, header: list[str], *, for_events: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Find the columns of texts and of numbers to read, by our names.

    Raises
    ------
    FormatError
        There is neither gaze nor are there the vendor's fixations.
    """
    texts, numbers = match_columns(header, _TEXTS), match_columns(header, _NUMBERS)
    has_events = "vendor_event" in texts and {*_EVENT_PLACE} <= set(numbers)
    if not has_gaze(numbers) and not has_events:
        raise FormatError(
            f"{path}:1: no columns 'Gaze point X' and 'Gaze point Y' among {len(header)}; "
            "tick them (display coordinates) in Pro Lab's data export"
        )
    if any(plain_name(column).endswith("rcsmm") for column in numbers.values()):
        # where positions were called so, directions are seen from the tracker
        numbers = {name: column for name, column in numbers.items() if "_dir_" not in name}
    if "sensor" in texts:
        numbers = _without(numbers, ["mouse_x"])
    if {"medium", "stimulus"} & set(texts):
        texts = {name: column for name, column in texts.items() if name != "event_value"}
    return texts, _without(numbers, _NOT_FOR_EVENTS) if for_events else numbers


def has_gaze(found: Collection[str]) -> bool:
    """Whether the columns that were found hold gaze on the display, of an eye or of both."""
    return any({*place} <= {*found} for place in _PLACES)


def _without(numbers: dict[str, str], unneeded: Collection[str]) -> dict[str, str]:
    """Leave out columns, but gaze in px only where it is told of both eyes, and in mm."""
    in_mm = {*_AVERAGE, "left_x_mm", "right_x_mm"} <= set(numbers)
    return {
        name: column
        for name, column in numbers.items()
        if name not in unneeded or (name.endswith("px") and not in_mm)
    }


def with_all_columns(table: Table) -> Rows:
    """Columns of a block; what is absent is missing everywhere, but for the columns of an eye."""
    count = len(table.frame)
    no_text = constant(None, count)
    no_number = np.full(count, np.nan)
    numbers = [name for name in _NUMBERS if not name.startswith(EYES)]
    rows = dict.fromkeys(_TEXTS, no_text) | dict.fromkeys(numbers, no_number)
    rows |= rows_of(table.frame)
    if not {*_AVERAGE} <= set(table.columns) and has_gaze(table.columns):
        rows |= {f"{axis}_px": _mean_of_eyes(rows, f"{axis}_px") for axis in "xy"}
    return rows


def _mean_of_eyes(rows: Rows, name: str) -> Floats:
    eyes = [rows[f"{eye}_{name}"] for eye in EYES if f"{eye}_{name}" in rows]
    return mean_of_eyes(eyes[0], eyes[-1])


# ---------------------------------------------------------------- units


def with_units(tables: Iterator[Table]) -> Iterator[Table]:
    """Tell what clocks and durations count where their names do not."""
    misnamed: dict[str, str] | None = None
    durations_in_us: bool | None = None
    for table in tables:
        # other sensors may fill the first blocks, and recordings without labels
        if misnamed is None and len(_of_eyes(table)):
            misnamed = dict(_misnamed_clocks(table))
        if misnamed:
            table = _renamed(table, misnamed)
        if durations_in_us is None:
            durations_in_us = _has_durations_in_us(table)
        if durations_in_us:
            table.frame["vendor_duration_ms"] /= 1000
        yield table


def _renamed(table: Table, names: dict[str, str]) -> Table:
    columns = {names.get(name, name): column for name, column in table.columns.items()}
    return replace(table, frame=table.frame.rename(columns=names), columns=columns)


def _misnamed_clocks(table: Table) -> Iterator[tuple[str, str]]:
    """Clocks that count ms by their rate, and not the us of their name here, or the reverse."""
    for us, ms in _CLOCKS.items():
        for name, other in ((us, ms), (ms, us)):
            if other in table.columns or not _NO_UNIT.search(table.columns.get(name, "")):
                continue
            rate_hz = 1e6 / usual_step(_of_eyes(table), name)
            if (rate_hz > _FASTEST_HZ) == (other == ms):
                yield name, other


def _has_durations_in_us(table: Table) -> bool | None:
    """Tell whether durations count us or ms; None if none is known here."""
    column, clock = table.columns.get("vendor_duration_ms"), _clock(table)
    if column is None or _IN_MS.search(column):
        return False
    rows = _of_eyes(table)
    if clock is None or not rows["vendor_duration_ms"].notna().any():
        return None
    time_us = rows[clock].to_numpy() * (1000 if clock.endswith("ms") else 1)
    return count_us(rows["vendor_duration_ms"].to_numpy(), time_us)


def _of_eyes(table: Table) -> pd.DataFrame:
    """Return the rows of the eye tracker; all, where no sensor is told."""
    frame = table.frame
    if "sensor" not in frame or not frame["sensor"].notna().any():
        return frame
    return frame[frame["sensor"] == "Eye Tracker"]


def _clock(table: Table) -> str | None:
    clocks = ("tracker_us", "tracker_ms", "recording_us", "recording_ms")
    return next((n for n in clocks if n in table.columns and table.frame[n].notna().any()), None)


def in_us(rows: Rows, clock: str) -> Floats:
    """Return the times (n,) by the clock of the "tracker" or of the "recording"; NaN: none."""
    us, ms = rows[f"{clock}_us"], rows[f"{clock}_ms"]
    time_us: Floats = np.where(np.isnan(us), ms * 1000, us)
    return time_us


def clock_of(table: Table) -> tuple[str, str]:
    """Return the column of the clock that an export tells, and its unit."""
    used = _clock(table)
    assert used is not None
    return table.columns[used], used[-2:]


def check_rate(rows: Rows, table: Table) -> None:
    """Refuse times that were not written in the unit they are read in.

    Raises
    ------
    FormatError
        No eye tracker is that fast.
    """
    rate_hz = 1e6 / sample_interval_us(np.sort(rows["tracker_time_us"]))
    if rate_hz > _FASTEST_HZ:
        column, unit = clock_of(table)
        raise FormatError(
            f"{table.path}: {column!r}, read in {unit}, makes "
            f"{rate_hz:,.0f} samples a second; its time unit seems to be wrong; export the time "
            "in us, or write the unit into the column's name, e.g. 'Recording timestamp [ms]'"
        )
