"""BIDS eye tracking: physio.tsv.gz and physioevents.tsv.gz with their JSON sidecars.

From the specification 1.11 (Eye-Tracking-BIDS, merged from BEP020), its example data sets and
what converters write (eye2bids, MNE-BIDS, gazetools); of real data only sidecars were seen.
Give a ``*_physio.tsv.gz``, or a folder, up to a whole data set: each run is a recording. So is
an ``*_eyetrack.tsv.gz`` of the drafts of BEP020, which told of the screen in its own sidecar, if
the folder holds nothing newer of that run.

Raw lines (tabs shown as "|"), ``sub-01_task-view_run-1_recording-eye1_physio.tsv.gz``, which
is to have no header; if it has one, its names go before those of the sidecar (in which older
eye2bids names the timestamp last, and writes it first)::

    2805663|960.1|540.2|812
    2805664|n/a|n/a|n/a

its sidecar, and those further up that it inherits from (``task-view_physio.json``)::

    {"PhysioType": "eyetrack", "SamplingFrequency": 1000, "RecordedEye": "left",
     "Columns": ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"],
     "SampleCoordinateSystem": "gaze-on-screen", "timestamp": {"Units": "ms"}}

and ``..._physioevents.tsv.gz``, with the columns onset, duration, trial_type, blink, message::

    2805700|0.25|fixation|0|n/a

==========================================  ==================================================
ours                                        theirs
==========================================  ==================================================
recording                                   file name from task (or session) to recording
subject                                     label after ``sub-``
``tracker_time_us``                         timestamp; else StartTime and SamplingFrequency
``left_x_px`` ...                           x_coordinate of the file whose RecordedEye is left;
                                            eye1_x_coordinate or xpos_left, of both eyes in one
``x_px``, ``y_px``                          the cyclopean file; else the mean of the eyes seen
``left_pupil_mm`` or ``left_pupil``         pupil_size in mm, or in other units
fixations, saccades, blinks                 physioevents, by trial_type
``vendor_event``                            the same, of the eye whose fixations are taken
screen                                      StimulusPresentation in ``*_events.json``
trial, stimulus                             ``*_events.tsv``: rows with a stim_file (or
                                            stimulus), or whose trial_type is "trial";
                                            with --trial-from, messages of physioevents
==========================================  ==================================================

A file is eye tracking if its PhysioType says so; where none is told, by its coordinates, or by
"eye" or "gaze" in its name and columns as x and y. Gaze of no stated unit is px, or shares of the
screen if its median is not over 2. EyeLink's codes for lost gaze are NaN, and so is (0, 0)
where the pupil is 0.

Times are in the unit that the sidecar states, else in that which SamplingFrequency implies; if the
two disagree the file is refused. Durations of events are seconds, as BIDS has it; if those cannot
be (a median over 10), they are taken for the timestamp's unit, which eye2bids writes. An event
without a trial_type whose ``blink`` is 1 is a blink. Gaze in mm or degrees becomes px by the
screen, and shares of it become px where ScreenResolution is told. ScreenOrigin is heeded: from the
bottom, or from the centre, y is taken to point up. A screen "60 m" away is taken for 60 cm. A
resolution of 1919 x 1079, EyeLink's last pixel, is 1920 x 1080. Onsets in events.tsv are seconds
from when the scanner began, StartTime before the first sample; or from that sample, or on the
tracker's clock: the first that lies in the recording. Fixations are those of the cyclopean eye,
else of the left, else of the right. Samples that share a stamp are put a sampling interval apart
where that fits. Dropped and counted: rows without a time, further repeated and backward times,
messages, events of other kinds or without samples, fixations of the other eye. Columns that
gazetools adds (x_mm, eye_z_mm, valid ...) are read back.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.bids_events import event_tables, read_events, trials_of
from gazetools.readers.bids_sidecars import (
    PHYSIO_NAME,
    TIME_UNITS,
    Display,
    Json,
    PhysioFile,
    bounded,
    columns_of,
    display_of,
    gaze_columns,
    is_eye_tracking,
    layout_of,
    number_in,
    physio_file,
    runs_below,
    subject_and_name,
    units_of,
)
from gazetools.readers.building import (
    EYES,
    US_PER,
    Floats,
    about,
    add_counts,
    eyes_mean,
    rising_times,
    samples_table,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.eyelink_lines import gaze_of
from gazetools.readers.layout import plain_name
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.tables import SAMPLES

_TIMES = ("timestamp", "time", "eyetimestamp")
_EXTRAS = tuple(
    name
    for name in (column.name.removeprefix("left_") for column in SAMPLES.columns)
    if f"left_{name}" in {column.name for column in SAMPLES.columns}
    and name not in ("x_px", "y_px", "pupil_mm")
)
"""What gazetools writes of an eye beside gaze and pupil_size."""


_SIDECAR = re.compile(r".+_physio\.json")
_GAZE_UNITS = {
    **dict.fromkeys(("px", "pixel", "pixels"), "px"),
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), "m"),
    **dict.fromkeys(("cm", "centimeter", "centimeters"), "cm"),
    **dict.fromkeys(("mm", "millimeter", "millimeters", "millimetres"), "mm"),
    **dict.fromkeys(("deg", "degree", "degrees", "dva", "°"), "deg"),
    **dict.fromkeys(("1", "normalized", "normalised", "proportion", "fraction"), "share"),
}
_NOT_TOLD = ("", "n/a", "a.u.", "arbitrary", "arbitrary units")
_MOST_SHARE = 2.0
"""Of a display, that gaze lies within but now and then."""
_MM_PER = {"m": 1000.0, "cm": 10.0, "mm": 1.0}


def refusal(head: Head) -> str:
    """Say why a file or folder is no BIDS eye tracking, or "" if it is."""
    if head.files:
        if any(PHYSIO_NAME.fullmatch(name.rpartition("/")[2]) for name in head.files):
            return ""
        if "dataset_description.json" in head.files and any(map(_SIDECAR.fullmatch, head.files)):
            return ""  # to say that the samples are not there
        return "no *_physio.tsv.gz below"
    match = PHYSIO_NAME.fullmatch(head.path.name)
    if not match:
        return "name does not end in _physio.tsv.gz"
    return _draft_refusal(head.path) if match["suffix"] == "eyetrack" else ""


def _draft_refusal(path: Path) -> str:
    """Say why a file is no draft's: another vendor's table may be named so."""
    try:
        file = physio_file(path)
    except FormatError as error:
        return str(error)
    if not file.sidecar:
        return "no JSON sidecar beside it or above"
    return "" if is_eye_tracking(file) else "no columns x_coordinate and y_coordinate"


def read(path: Path, options: ReadOptions) -> Iterable[Recording]:
    """Read the runs of a BIDS file or folder, each as one recording.

    Raises
    ------
    FormatError
        No eye tracking, a sidecar that is missing or contradicts the data, a damaged line.
    """
    runs = runs_below(path)
    names: Counter[tuple[str, str]] = Counter()
    for files in runs:
        subject, name = subject_and_name(files[0])
        names[subject, name] += 1
        again = names[subject, name]
        yield _recording(files, subject, f"{name}-{again}" if again > 1 else name, path, options)


# ---------------------------------------------------------------- one eye


@dataclass(frozen=True)
class _Eye:
    """Samples of an eye in one file: index tracker_time_us, columns x_px, y_px, pupil ... ."""

    file: PhysioFile
    eye: str
    rows: pd.DataFrame
    time_unit: str
    gaze_unit: str
    table: Table
    skipped: Mapping[str, int]


def _sides(file: PhysioFile) -> list[str]:
    columns = columns_of(file.path, file.sidecar)
    found = gaze_columns(columns)
    if not found:
        raise FormatError(
            f"{file.path}: no x_coordinate and y_coordinate among its Columns "
            f"({', '.join(columns)[:200]}); name them so in the JSON sidecar"
        )
    return list(found)


def _eye_of(file: PhysioFile, side: str, alone: bool) -> str:
    """Tell which eye a file holds in the columns of `side`."""
    told = file.sidecar.get("RecordedEye", "")
    said = str(told[0] if isinstance(told, list) and len(told) == 1 else told).lower()
    if side in EYES:
        return side
    if said in (*EYES, "cyclopean"):
        return said
    by_label = {"eye1": "left", "eye2": "right"}
    return "cyclopean" if alone else by_label.get(side or file.label, "cyclopean")


def _read_eye(file: PhysioFile, side: str, display: Display, *, alone: bool) -> _Eye:
    columns = columns_of(file.path, file.sidecar)
    named = gaze_columns(columns)[side]
    time = next((c for plain in _TIMES for c in columns if plain_name(c) == plain), "")
    named |= {"time": time} if time else {}
    extras = {name: name for name in _EXTRAS if name in columns}
    unit = TIME_UNITS.get(units_of(file.sidecar, named.get("time", "")).lower(), "")
    whole = {"time": named.pop("time")} if unit == "ns" and "time" in named else {}
    table = read_columns(
        file.path, layout_of(file.path, columns), {}, {**named, **extras}, whole or None
    )
    rows = table.frame
    time_us, unit = _time_us(file, rows, unit)
    rows, skipped = _in_time_order(rows, time_us, number_in(file.sidecar, "SamplingFrequency"))
    rows = _without_codes(rows)
    gaze_unit = _gaze_unit(file, named["x"], rows)
    x, y = _gaze_px(file, rows, gaze_unit, display)
    eye = pd.DataFrame({"x_px": x, "y_px": y}, index=rows.index)
    _add_pupil(eye, rows, file.sidecar, named.get("pupil_size", ""))
    for name in extras:
        eye[name] = rows[name] == 1 if name == "valid" else rows[name]
    return _Eye(file, _eye_of(file, side, alone), eye, unit, gaze_unit, table, skipped)


def _time_us(file: PhysioFile, rows: pd.DataFrame, unit: str) -> tuple[Floats, str]:
    """Clock of every row in us, NaN where there is none, and its unit."""
    rate = number_in(file.sidecar, "SamplingFrequency")
    if "time" not in rows:
        if not rate or rate <= 0:
            raise FormatError(
                f"{file.path}: no column 'timestamp' and no SamplingFrequency; put one of them "
                "into the JSON sidecar"
            )
        start = number_in(file.sidecar, "StartTime") or 0.0
        return bounded(file.path, (start + np.arange(len(rows)) / rate) * 1e6), "s"
    stamps = rows["time"].astype("float64").to_numpy()
    implied = _implied_unit(stamps, rate)
    if unit and implied and unit != implied:
        raise FormatError(
            f"{file.path}: timestamps are said to be in {unit}, but their steps and the "
            f"SamplingFrequency of {rate:g} Hz make them {implied}; correct the JSON sidecar"
        )
    unit = unit or implied
    if not unit:
        raise FormatError(
            f"{file.path}: the unit of its timestamps is not known; put "
            '"timestamp": {"Units": "ms"} into the JSON sidecar'
        )
    if unit == "ns":
        return rows["time"].astype("float64").to_numpy() / 1000, unit
    return bounded(file.path, stamps * US_PER[unit]), unit


def _implied_unit(stamps: Floats, rate_hz: float | None) -> str:
    steps = np.diff(stamps)
    steps = steps[steps > 0]
    if not rate_hz or rate_hz <= 0 or not len(steps):
        return ""
    seconds = 1 / rate_hz
    for unit, us in US_PER.items():
        # a clock in ms cannot follow 2000 Hz
        step_s = float(np.median(steps)) * us / 1e6
        if 1 / 4 < step_s / seconds < 4:
            return unit
    return ""


def _in_time_order(
    rows: pd.DataFrame, time_us: Floats, rate_hz: float | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    interval_us = 1e6 / rate_hz if rate_hz and rate_hz > 0 else np.nan
    kept, whole_us, skipped = rising_times(time_us, interval_us)
    return rows[kept].set_index(whole_us), skipped


def _gaze_unit(file: PhysioFile, column: str, rows: pd.DataFrame) -> str:
    said = units_of(file.sidecar, column) or str(
        file.sidecar.get("SampleCoordinateUnits", file.sidecar.get("SampleCoordinateUnit")) or ""
    )
    if said.lower() in _NOT_TOLD:
        # converters write so of px as well as of shares
        gaze = rows[["x", "y"]]
        usual = gaze[gaze != 0].abs().median().max()  # 0 may stand for lost gaze
        return "share" if usual <= _MOST_SHARE else "px"
    unit = _GAZE_UNITS.get(said.lower(), "")
    if not unit:
        raise FormatError(
            f"{file.path}: {column} is in {said!r}, expected pixel, m, cm, mm, degree or "
            "normalized; correct the JSON sidecar"
        )
    if unit == "deg" and file.sidecar.get("SampleCoordinateSystem") == "eye-in-head":
        raise FormatError(
            f"{file.path}: holds angles of the eye in the head, which tell no place on a screen; "
            "export gaze-on-screen"
        )
    return unit


def _without_codes(rows: pd.DataFrame) -> pd.DataFrame:
    """Leave no position where gaze was lost; both coordinates or none."""
    x, y = gaze_of(rows["x"].to_numpy(), rows["y"].to_numpy())
    if "pupil_size" in rows:
        lost = (x == 0) & (y == 0) & (rows["pupil_size"].to_numpy() == 0)
        x, y = np.where(lost, np.nan, x), np.where(lost, np.nan, y)
    return rows.assign(x=x, y=y)


def _gaze_px(
    file: PhysioFile, rows: pd.DataFrame, unit: str, display: Display
) -> tuple[Floats, Floats]:
    """Gaze in px from the top left, or in shares."""
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    if unit in ("m", "cm", "mm", "deg") and display.screen is None:
        raise FormatError(
            f"{file.path}: gaze is in {unit}, which needs ScreenResolution, ScreenSize and "
            "ScreenDistance under StimulusPresentation in an events.json beside it or above"
        )
    screen = display.screen
    if unit == "deg" and screen is not None:
        return screen.to_px(x, y)
    if unit in _MM_PER and screen is not None:
        x = x * _MM_PER[unit] / screen.width_mm * screen.width_px
        y = y * _MM_PER[unit] / screen.height_mm * screen.height_px
    if unit == "share":
        width, height = _size_px(file, display) or (1, 1)
        return _from_top_left(file, x * width, y * height, (width, height), display.origin)
    return _from_top_left(file, x, y, display.px, display.origin)


def _size_px(file: PhysioFile, display: Display) -> tuple[int, int] | None:
    """Size of what gaze is on, if that is the screen."""
    return display.px if _is_on_screen(file) else None


def _is_on_screen(file: PhysioFile) -> bool:
    return (file.sidecar.get("SampleCoordinateSystem") or "gaze-on-screen") == "gaze-on-screen"


def _from_top_left(
    file: PhysioFile, x: Floats, y: Floats, size: tuple[int, int] | None, origin: tuple[str, ...]
) -> tuple[Floats, Floats]:
    if not _is_on_screen(file):
        return x, y
    moved = set(origin) & {"bottom", "right", "center", "centre"}
    if not moved:
        return x, y
    if size is None:
        raise FormatError(
            f"{file.path}: coordinates start at the {' '.join(origin)}, which needs "
            "ScreenResolution under StimulusPresentation in an events.json"
        )
    width, height = size
    centred = bool(moved & {"center", "centre"})
    x = x + width / 2 if centred and not set(origin) & {"left", "right"} else x
    x = width - x if "right" in origin else x
    if "bottom" in origin:
        return x, height - y
    return x, height / 2 - y if centred and "top" not in origin else y


def _add_pupil(eye: pd.DataFrame, rows: pd.DataFrame, sidecar: Json, column: str) -> None:
    if "pupil_size" not in rows:
        return
    size = rows["pupil_size"].where(rows["pupil_size"] != 0)  # EyeLink's lost pupil
    eye["pupil_mm" if units_of(sidecar, column).lower() in ("mm", "millimeter") else "pupil"] = size


# ---------------------------------------------------------------- one run


def _recording(
    files: list[PhysioFile], subject: str, name: str, path: Path, options: ReadOptions
) -> Recording:
    display = display_of(files[0])
    sides = [(file, side) for file in files for side in _sides(file)]
    eyes = [_read_eye(file, side, display, alone=len(sides) == 1) for file, side in sides]
    by_eye = {eye.eye: eye for eye in eyes}
    if len(by_eye) < len(eyes):
        raise FormatError(
            f"{files[0].path}: {len(eyes)} files of its run are of {len(by_eye)} eyes; "
            "correct RecordedEye in their JSON sidecars"
        )
    skipped: Counter[str] = Counter()
    by_file = {eye.file.path: eye for eye in reversed(eyes)}
    for eye in by_file.values():
        skipped.update(eye.skipped)
    samples = _together(by_eye)
    if samples.empty:
        raise FormatError(f"{files[0].path}: holds no sample that has a time; write it again")
    events = {
        eye.eye: _events(eye, display, skipped) for eye in eyes if by_file[eye.file.path] is eye
    }
    shown = trials_of(files[0], samples["tracker_time_us"].to_numpy(), events, options, skipped)
    samples = samples_table(samples.assign(recording=name, subject=subject, **shown))
    tables = event_tables(samples, events, skipped)
    seen = next((eye for eye in eyes if eye.rows["x_px"].notna().any()), eyes[0])
    return Recording(
        name=name,
        subject=subject,
        format=READER.name,
        path=path,
        **tables,
        screen_px=display.px,
        screen=display.screen,
        normalised=seen.gaze_unit == "share" and _size_px(seen.file, display) is None,
        fixed_rate_hz=number_in(files[0].sidecar, "SamplingFrequency"),
        validation=_validation(eyes),
        about=_about(eyes, seen.gaze_unit, display),
        skipped=add_counts(skipped),
    )


def _events(eye: _Eye, display: Display, skipped: Counter[str]) -> pd.DataFrame:
    """Events beside an eye's samples, at places in the same unit."""
    events = read_events(eye.file, eye.time_unit, skipped)
    places = events.rename(columns={"x_px": "x", "y_px": "y"}).astype({"x": float, "y": float})
    x, y = _gaze_px(eye.file, _without_codes(places), eye.gaze_unit, display)
    return events.assign(x_px=x, y_px=y)


def _together(eyes: Mapping[str, _Eye]) -> pd.DataFrame:
    """Put the samples of all eyes side by side, with their mean."""
    parts = [
        eye.rows if name == "cyclopean" else eye.rows.add_prefix(f"{name}_")
        for name, eye in eyes.items()
    ]
    table = pd.concat(parts, axis=1).sort_index() if len(parts) > 1 else parts[0]
    for name in eyes:
        if f"{name}_valid" in table:
            table[f"{name}_valid"] = table[f"{name}_valid"].fillna(False).astype(bool)
    if "cyclopean" not in eyes:
        for axis in "xy":
            table[f"{axis}_px"] = eyes_mean(table, f"{axis}_px")
    table = table.drop(columns=[c for c in _EXTRAS if c in table and c != "pupil"])
    return table.rename_axis("tracker_time_us").reset_index()


def _validation(eyes: list[_Eye]) -> dict[str, float]:
    found = {}
    for eye in eyes:
        prefix = "" if eye.eye == "cyclopean" else f"{eye.eye}_"
        error = number_in(eye.file.sidecar, "AverageCalibrationError")
        if error is not None and error > 0:
            found[f"{prefix}accuracy_deg"] = error
    return found


def _about(eyes: list[_Eye], gaze_unit: str, display: Display) -> About:
    first = eyes[0]
    sidecar = first.file.sidecar
    maker = [str(sidecar.get(k) or "") for k in ("Manufacturer", "ManufacturersModelName")]
    return about(
        first.table,
        columns_of(first.file.path, sidecar),
        tracker=" ".join(maker).strip(),
        software=str(sidecar.get("SoftwareVersions") or ""),
        filter=str(sidecar.get("RawDataFilters") or ""),
        eyes=", ".join(eye.eye for eye in eyes),
        time_unit=first.time_unit,
        gaze_unit=gaze_unit,
        coordinate_system=str(sidecar.get("SampleCoordinateSystem") or ""),
        origin=" ".join(display.origin),
        screen="; ".join(display.notes),
    )


READER = Reader(
    name="bids",
    title="BIDS eye tracking (physio.tsv.gz and its JSON; a file, or a folder of runs)",
    versions="from the specification 1.11; sidecars of the official example",
    refusal=refusal,
    read=read,
    yields=("samples", "fixations", "saccades", "blinks"),
    has_messages=True,
)
