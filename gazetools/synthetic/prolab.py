"""Write simulated recordings as a Tobii Pro Lab export ("Data export", one row per sample).

Columns come in the vendor's order and under its names, of Pro Lab 24 (``Gaze point X
[DACS px]``) or 1.x (``Gaze point X``), with numbers rounded as the vendor rounds them:
gaze to whole px, mm to one decimal, pupils to three. Mouse and event rows share the table.
Of the vendor's hundred columns, those that say nothing about gaze are left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from gazetools.files import replacing
from gazetools.synthetic.session import Session
from gazetools.synthetic.spec import CohortSpec, Presentation

_FIRST_SAMPLE_US = 203_000
"""Recordings start this long before their first sample (as in a Pro Lab 24.21 export)."""
_TRACKER_CLOCK_US = 6_223_715_132
_MOUSE_BURST_S = 30.0
_MOUSE_BURST_ROWS = 4
_EVENT_NAMES = {
    "fixation": "Fixation",
    "saccade": "Saccade",
    "missing": "EyesNotFound",
    "unclassified": "Unclassified",
}


@dataclass(frozen=True)
class ExportOptions:
    """Variants of the export that real files come in.

    Attributes
    ----------
    labels
        Write the true events as ``Eye movement type``, sample by sample; else leave it empty.
    bare_headers
        Names as in Pro Lab 1.x, and times in µs.
    time_unit
        Of ``Recording timestamp``.
    decimal_comma
        Decimal comma and dd.mm.yyyy.
    newline
        End of line.
    """

    labels: bool = True
    bare_headers: bool = False
    time_unit: Literal["us", "ms"] = "us"
    decimal_comma: bool = False
    newline: Literal["\n", "\r\n"] = "\n"


@dataclass(frozen=True)
class _Column:
    """One column: our name, the vendor's new and old name, decimals (None for text)."""

    key: str
    bracketed: str
    bare: str
    decimals: int | None = None


def _axes(key: str, axes: str, bracketed: str, bare: str, decimals: int) -> tuple[_Column, ...]:
    """Columns that differ in their axis only, marked {} in the names."""
    return tuple(
        _Column(key.format(axis.lower()), bracketed.format(axis), bare.format(axis), decimals)
        for axis in axes
    )


def _same(key: str, name: str) -> _Column:
    return _Column(key, name, name)


_COLUMNS: tuple[_Column, ...] = (
    _Column("recording_time", "Recording timestamp [{}]", "Recording timestamp", 0),
    _same("sensor", "Sensor"),
    _same("project", "Project name"),
    _same("export_date", "Export date"),
    _same("participant", "Participant name"),
    _same("recording", "Recording name"),
    _same("recording_date", "Recording date"),
    _same("start_time", "Recording start time"),
    _Column("lasts_ms", "Recording duration [ms]", "Recording duration", 0),
    _same("timeline", "Timeline name"),
    _same("filter", "Recording Fixation filter name"),
    _same("software", "Recording software version"),
    _Column("screen_height", "Recording resolution height [px]", "Recording resolution height", 0),
    _Column("screen_width", "Recording resolution width [px]", "Recording resolution width", 0),
    _Column("tracker_us", "Eyetracker timestamp [μs]", "Eyetracker timestamp", 0),
    _same("marker", "Event"),
    _same("marker_value", "Event value"),
    *_axes("gaze_{}_px", "XY", "Gaze point {} [DACS px]", "Gaze point {}", 0),
    *_axes("left_{}_px", "XY", "Gaze point left {} [DACS px]", "Gaze point left {}", 0),
    *_axes("right_{}_px", "XY", "Gaze point right {} [DACS px]", "Gaze point right {}", 0),
    _Column("left_pupil_mm", "Pupil diameter left [mm]", "Pupil diameter left", 3),
    _Column("right_pupil_mm", "Pupil diameter right [mm]", "Pupil diameter right", 3),
    _same("left_validity", "Validity left"),
    _same("right_validity", "Validity right"),
    *_axes(
        "left_eye_{}_mm",
        "XYZ",
        "Eye position left {} [DACS mm]",
        "Eye position left {} (DACSmm)",
        1,
    ),
    *_axes(
        "right_eye_{}_mm",
        "XYZ",
        "Eye position right {} [DACS mm]",
        "Eye position right {} (DACSmm)",
        1,
    ),
    *_axes("left_{}_mm", "XY", "Gaze point left {} [DACS mm]", "Gaze point left {} (DACSmm)", 1),
    *_axes("right_{}_mm", "XY", "Gaze point right {} [DACS mm]", "Gaze point right {} (DACSmm)", 1),
    *_axes("gaze_{}_norm", "XY", "Gaze point {} [MCS norm]", "Gaze point {} (MCSnorm)", 4),
    _same("stimulus", "Presented Stimulus name"),
    _same("media", "Presented Media name"),
    _Column("media_width", "Presented Media width [px]", "Presented Media width", 0),
    _Column("media_height", "Presented Media height [px]", "Presented Media height", 0),
    *_axes(
        "media_{}",
        "XY",
        "Presented Media position {} [DACS px]",
        "Presented Media position {} (DACSpx)",
        0,
    ),
    _Column("original_width", "Original Media width [px]", "Original Media width", 0),
    _Column("original_height", "Original Media height [px]", "Original Media height", 0),
    _same("event", "Eye movement type"),
    _Column("event_ms", "Eye movement event duration [ms]", "Gaze event duration", 0),
    _Column("event_number", "Eye movement type index", "Eye movement type index", 0),
    *_axes("fixation_{}_px", "XY", "Fixation point {} [DACS px]", "Fixation point {}", 0),
    *_axes(
        "fixation_{}_norm", "XY", "Fixation point {} [MCS norm]", "Fixation point {} (MCSnorm)", 4
    ),
    *_axes("mouse_{}", "XY", "Mouse position {} [DACS px]", "Mouse position {}", 0),
)


def write_prolab_export(
    path: Path,
    sessions: Iterable[Session],
    spec: CohortSpec,
    options: ExportOptions | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write `sessions` one after the other, as they come, into one export.

    Raises
    ------
    OutputError
        `path` exists and `overwrite` is false, or cannot be written.
    """
    options = options or ExportOptions()
    with replacing(path, overwrite=overwrite) as temporary, temporary.open("wb") as file:
        file.write("\t".join(_header(options)).encode() + options.newline.encode())
        for session in sessions:
            text = _formatted(_rows(session, spec, options), options)
            file.write(text.replace(b"\n", options.newline.encode()))


def _header(options: ExportOptions) -> list[str]:
    """Names of the columns; the micro sign is the vendor's, U+03BC."""
    if options.bare_headers:
        return [column.bare for column in _COLUMNS]
    unit = {"us": "μs", "ms": "ms"}[options.time_unit]
    return [column.bracketed.format(unit) for column in _COLUMNS]


def _rows(session: Session, spec: CohortSpec, options: ExportOptions) -> pd.DataFrame:
    """Return samples, mouse and event rows of one recording in order of time."""
    samples = _sample_rows(session.samples)
    samples = samples.join(_shown(samples["t_ms"].to_numpy(), session.presentations))
    samples = _with_media_gaze(samples, ("gaze",))
    if options.labels:
        samples = _with_media_gaze(_with_event_facts(samples, spec), ("fixation",))
    else:
        samples = samples.drop(columns=["event", "event_number"])
    others = _with_running_event(_other_rows(session, spec), samples)
    rows = pd.concat([others, samples], ignore_index=True)
    rows = rows.sort_values("t_ms", kind="stable", ignore_index=True)
    return rows.assign(**_constants(session, spec, options), **_times(rows, options))


def _sample_rows(samples: pd.DataFrame) -> pd.DataFrame:
    """Add validity codes and the vendor's gaze point: the mean of the eyes that were seen."""
    rows = samples.assign(sensor="Eye Tracker")
    for eye in ("left", "right"):
        rows[f"{eye}_validity"] = np.where(samples[f"{eye}_valid"], "Valid", "Invalid")
    for axis in ("x", "y"):
        rows[f"gaze_{axis}_px"] = samples[[f"left_{axis}_px", f"right_{axis}_px"]].mean(axis=1)
    return rows


def _shown(t_ms: NDArray[np.float64], presentations: tuple[Presentation, ...]) -> pd.DataFrame:
    """Return what was on the screen at `t_ms`, row by row."""
    table = pd.DataFrame([_presentation_row(shown) for shown in presentations])
    starts = np.array([shown.start_ms for shown in presentations])
    index = np.searchsorted(starts, t_ms, side="right") - 1
    return table.iloc[index].reset_index(drop=True)


def _presentation_row(shown: Presentation) -> dict[str, str | float | None]:
    place = shown.place
    return {
        "stimulus": shown.stimulus,
        "media": shown.media or None,
        "media_width": place.width_px if place else None,
        "media_height": place.height_px if place else None,
        "media_x": place.x_px if place else None,
        "media_y": place.y_px if place else None,
        "original_width": place.image_width if place else None,
        "original_height": place.image_height if place else None,
    }


def _with_event_facts(rows: pd.DataFrame, spec: CohortSpec) -> pd.DataFrame:
    """Add to each sample its event's duration and, in fixations, the mean gaze point."""
    events = rows.groupby(["event", "event_number"])
    lasts = events["t_ms"].transform("last") - events["t_ms"].transform("first")
    facts = {"event_ms": lasts + 1000 / spec.rate_hz}
    fixating = rows["event"] == "fixation"
    for axis in ("x", "y"):
        mean_px = events[f"gaze_{axis}_px"].transform("mean")
        facts[f"fixation_{axis}_px"] = mean_px.where(fixating)
    return rows.assign(**facts, event=rows["event"].map(_EVENT_NAMES))


def _with_media_gaze(rows: pd.DataFrame, points: tuple[str, ...]) -> pd.DataFrame:
    """Add points as parts of the media's size, empty where they are off the media."""
    for point in points:
        x = (rows[f"{point}_x_px"] - rows["media_x"]) / rows["media_width"]
        y = (rows[f"{point}_y_px"] - rows["media_y"]) / rows["media_height"]
        on = x.between(0, 1) & y.between(0, 1)
        rows = rows.assign(**{f"{point}_x_norm": x.where(on), f"{point}_y_norm": y.where(on)})
    return rows


def _other_rows(session: Session, spec: CohortSpec) -> pd.DataFrame:
    """Return the rows that are not samples: markers of the recording, and the mouse."""
    first, last = session.presentations[0], session.presentations[-1]
    markers: list[tuple[float, str, str | None]] = [
        (-_FIRST_SAMPLE_US / 1000, "RecordingStart", None),
        (first.start_ms, "Eye tracker Calibration start", None),
        (first.end_ms, "Eye tracker Calibration end", None),
    ]
    for shown in session.presentations:
        if shown.media:
            markers.append((shown.start_ms, "ImageStimulusStart", shown.stimulus))
            markers.append((shown.end_ms, "ImageStimulusEnd", shown.stimulus))
    markers.append((last.end_ms, "RecordingEnd", None))
    table = pd.DataFrame(markers, columns=["t_ms", "marker", "marker_value"])
    return pd.concat([table, _mouse_rows(session, spec)], ignore_index=True)


def _mouse_rows(session: Session, spec: CohortSpec) -> pd.DataFrame:
    """Return a few mouse movements now and then, some of them beyond the screen."""
    rng = spec.rng(f"mouse {session.name}")
    last_ms = session.presentations[-1].end_ms
    bursts = np.arange(1500.0, last_ms, 1000 * _MOUSE_BURST_S)
    t_ms = (bursts[:, None] + 13.4 * np.arange(_MOUSE_BURST_ROWS)).ravel()
    t_ms = t_ms[t_ms < last_ms]
    rows = _shown(t_ms, session.presentations)
    return rows.assign(
        t_ms=t_ms,
        sensor="Mouse",
        mouse_x=rng.integers(-200, spec.screen.width_px, len(t_ms)),
        mouse_y=rng.integers(0, spec.screen.height_px, len(t_ms)),
    )


def _with_running_event(others: pd.DataFrame, samples: pd.DataFrame) -> pd.DataFrame:
    """Mouse and event rows carry the label of the event they fall into, as the vendor's do."""
    label_columns = [
        column.key for column in _COLUMNS if column.key.startswith(("event", "fixation"))
    ]
    labels = samples[["t_ms", *(key for key in label_columns if key in samples)]]
    return pd.merge_asof(others.sort_values("t_ms", kind="stable"), labels, on="t_ms")


def _constants(session: Session, spec: CohortSpec, options: ExportOptions) -> dict[str, str | int]:
    """Return what stays the same in all rows of a recording."""
    day = "05.01.2026" if options.decimal_comma else "01/05/2026"
    lasts_ms = session.presentations[-1].end_ms + _FIRST_SAMPLE_US / 1000
    return {
        "project": "gazetools synthetic cohort",
        "export_date": day,
        "participant": session.subject,
        "recording": session.name,
        "recording_date": day,
        "start_time": "09:00:00.000",
        "lasts_ms": round(lasts_ms),
        "timeline": "Timeline1",
        "filter": "Simulated truth" if options.labels else "Raw",
        "software": "1.241.54219" if options.bare_headers else "24.21.435",
        "screen_height": spec.screen.height_px,
        "screen_width": spec.screen.width_px,
    }


def _times(rows: pd.DataFrame, options: ExportOptions) -> dict[str, NDArray[np.float64]]:
    """Return the clock of the recording, and that of the tracker for its own rows."""
    time_us = (rows["t_ms"].to_numpy() * 1000).round() + _FIRST_SAMPLE_US
    ms = options.time_unit == "ms" and not options.bare_headers
    own = (rows["sensor"] == "Eye Tracker").to_numpy()
    return {
        "recording_time": time_us / 1000 if ms else time_us,
        "tracker_us": np.where(own, time_us + _TRACKER_CLOCK_US, np.nan),
    }


def _formatted(rows: pd.DataFrame, options: ExportOptions) -> bytes:
    """Return the rows as tab-separated text without header."""
    texts = [_text(rows, column, options) for column in _COLUMNS]
    sink = pa.BufferOutputStream()
    table = pa.table(texts, names=[column.key for column in _COLUMNS])
    how = csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    csv.write_csv(table, sink, how)
    return bytes(sink.getvalue())


def _text(rows: pd.DataFrame, column: _Column, options: ExportOptions) -> pa.Array:
    """Return one column as text; empty where there is nothing to say."""
    if column.key not in rows:
        return pa.nulls(len(rows), pa.string())
    if column.decimals is None:
        return pa.array(rows[column.key], pa.string(), from_pandas=True)
    values = pd.to_numeric(rows[column.key]).to_numpy(np.float64, na_value=np.nan)
    exact = pa.decimal128(18, column.decimals)
    text = pc.cast(pc.cast(pa.array(values, from_pandas=True), exact, safe=False), pa.string())
    return pc.replace_substring(text, ".", ",") if options.decimal_comma else text
