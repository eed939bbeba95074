"""Columns of a Tobii Pro Lab export: what each version calls them, and what their clocks count."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gazetools.errors import FormatError
from gazetools.readers.building import EYES, Floats
from gazetools.readers.columns import Rows, constant, rows_of
from gazetools.readers.delimited import Table, match_columns, plain_name
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
    "screen_width": ("recordingresolutionwidth", "recordingresolutionwidthpx"),
    "screen_height": ("recordingresolutionheight", "recordingresolutionheightpx"),
    "media_x": ("presentedmediapositionxdacspx", "presentedmediapositionxrcspx"),
    "media_y": ("presentedmediapositionydacspx", "presentedmediapositionyrcspx"),
    "media_width": ("presentedmediawidth", "presentedmediawidthpx"),
    "media_height": ("presentedmediaheight", "presentedmediaheightpx"),
    "original_width": ("originalmediawidth", "originalmediawidthpx"),
    "original_height": ("originalmediaheight", "originalmediaheightpx"),
    "vendor_event_index": ("eyemovementtypeindex",),
    "vendor_duration_ms": (
        "gazeeventduration",
        "gazeeventdurationms",
        "eyemovementeventdurationms",
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
_CLOCKS = {"tracker_us": "tracker_ms", "recording_us": "recording_ms"}
_BARE_CLOCKS = ("eyetrackertimestamp", "recordingtimestamp")
_FASTEST_HZ = 5000.0


def find_columns(
    path: Path, header: list[str], *, for_events: bool
) -> tuple[dict[str, str], dict[str, str]]:
    """Find the columns of texts and of numbers to read, by our names.

    Raises
    ------
    FormatError
        There is no gaze.
    """
    texts, numbers = match_columns(header, _TEXTS), match_columns(header, _NUMBERS)
    if not {"x_px", "y_px"} <= set(numbers):
        raise FormatError(
            f"{path}:1: no columns 'Gaze point X' and 'Gaze point Y' among {len(header)}; "
            "tick them (display coordinates) in Pro Lab's data export"
        )
    if any(plain_name(column).endswith("rcsmm") for column in numbers.values()):
        # where positions were called so, directions are seen from the tracker
        numbers = {name: column for name, column in numbers.items() if "_dir_" not in name}
    return texts, _without(numbers, _NOT_FOR_EVENTS) if for_events else numbers


def _without(numbers: dict[str, str], unneeded: Collection[str]) -> dict[str, str]:
    """Leave out columns, but gaze in px only where there is gaze in mm."""
    in_mm = "left_x_mm" in numbers and "right_x_mm" in numbers
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
    return dict.fromkeys(_TEXTS, no_text) | dict.fromkeys(numbers, no_number) | rows_of(table.frame)


# ---------------------------------------------------------------- clocks


def with_units(tables: Iterator[Table]) -> Iterator[Table]:
    """Tell clocks that count ms by their rate, where no unit stands in their names."""
    in_ms: dict[str, str] | None = None
    for table in tables:
        if in_ms is None:
            in_ms = {us: ms for us, ms in _CLOCKS.items() if _counts_ms(table, us)}
        columns = {in_ms.get(name, name): column for name, column in table.columns.items()}
        yield replace(table, frame=table.frame.rename(columns=in_ms), columns=columns)


def _counts_ms(table: Table, clock: str) -> bool:
    column = table.columns.get(clock)
    if column is None or plain_name(column) not in _BARE_CLOCKS:
        return False
    rows = table.frame["sensor"] == "Eye Tracker" if "sensor" in table.columns else slice(None)
    times = table.frame.loc[rows, clock].dropna().to_numpy()
    # in the order of the file, as each recording's clock may begin at 0
    return 1e6 / sample_interval_us(times) > _FASTEST_HZ


def in_us(rows: Rows, clock: str) -> Floats:
    """Return the times (n,) by the clock of the "tracker" or of the "recording"; NaN: none."""
    us, ms = rows[f"{clock}_us"], rows[f"{clock}_ms"]
    time_us: Floats = np.where(np.isnan(us), ms * 1000, us)
    return time_us


def clock_of(table: Table) -> tuple[str, str]:
    """Return the column of the clock that an export tells, and its unit."""
    clocks = ("tracker_us", "tracker_ms", "recording_us", "recording_ms")
    used = next(n for n in clocks if n in table.columns and table.frame[n].notna().any())
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
