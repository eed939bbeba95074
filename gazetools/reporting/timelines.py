"""What a tracker saw during one trial: velocity, pupil, losses and events over its time.

Signals have as many columns as samples, or a fixed number if there are more; each column keeps
the lowest and the highest of its samples, so that no peak and no dip is lost. Velocity is that
of the detector that the tables tell, measured within the trial.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools import events
from gazetools.errors import ConfigError, GazeToolsError, GeometryError
from gazetools.events import IVT, PROFILES, AnyDetector, BlinkSpec, EngbertKliegl, SaccadeParser
from gazetools.events.engbert_kliegl import speed
from gazetools.events.speeds import gaze_and_speed
from gazetools.geometry import Screen
from gazetools.kernels.runs import stretches
from gazetools.reporting.words import number
from gazetools.tables import EVENTS
from gazetools.timeline import Timeline, sample_spans_us, timeline

Floats = npt.NDArray[np.float64]
Span = tuple[int, int]
"""Begin and end, whole ms from the beginning of the trial."""

MOST_COLUMNS = 600
MOST_BARS = 1500  # of one kind in one row
_STEPS, _NOTHING = 254, 255  # of a byte: so many steps of a signal's height, or no value there
_FASTEST_DEG_S = 1000.0  # faster is noise
_LEAST_PUPIL_SPAN = 0.05  # of its size; else noise would fill the height
_IN_PX = EngbertKliegl(unit="px")


@dataclass(frozen=True)
class Trace:
    """A signal in columns of equal time: bytes of the lowest and the highest value in each.

    Attributes
    ----------
    name : str
    unit : str
    low, high : float
        What the first and the last step stand for.
    lowest, highest : str
        Base64; 255 where nothing is known.
    """

    name: str
    unit: str
    low: float
    high: float
    lowest: str
    highest: str


@dataclass(frozen=True)
class Bars:
    """A row of events: code into EVENTS, begin and end of each, and those without room."""

    name: str
    bars: tuple[tuple[int, int, int], ...]
    left_out: int = 0


@dataclass(frozen=True)
class TrialTimeline:
    """All that is drawn of one trial.

    Attributes
    ----------
    span : (int, int)
    columns : int
    velocity : Trace or None
        Steps are of its square root, which shows fixations and saccades alike.
    threshold : float or None
        deg/s from which the detector takes a sample for a saccade.
    pupils : tuple of Trace
    rows : tuple of Bars
        Our events and the vendor's, as far as they are there.
    lost, blinks : tuple of (int, int)
        Without gaze; those of them that are blinks.
    """

    span: Span
    columns: int
    velocity: Trace | None
    threshold: float | None
    pupils: tuple[Trace, ...]
    rows: tuple[Bars, ...]
    lost: tuple[Span, ...]
    blinks: tuple[Span, ...]


@dataclass(frozen=True)
class Telling:
    """What the provenance of tables tells of how they were made, as far as it is certain.

    Attributes
    ----------
    detector : AnyDetector or None
        Whose digest the fixations bear.
    screen : Screen or None
        If it is the only one.
    blink : BlinkSpec
    """

    detector: AnyDetector | None
    screen: Screen | None
    blink: BlinkSpec

    @classmethod
    def of(cls, note: Mapping[str, Any], sources: Iterable[str]) -> "Telling":
        """Find it in a footer and the `source` of fixations."""
        spec = note.get("spec")
        told: Mapping[str, Any] = spec if isinstance(spec, dict) else {}
        return cls(_detector(told, sources), _screen(note), _blink(told.get("blink")))


def timeline_of(
    samples: pd.DataFrame, telling: Telling, blinks: pd.DataFrame | None = None
) -> TrialTimeline:
    """Measure one trial.

    Parameters
    ----------
    samples : DataFrame
        Its rows of a SAMPLES table, at least one, in time order.
    telling : Telling
    blinks : DataFrame, optional
        Its rows of a BLINKS table; without it blinks are found in the samples.
    """
    time_us = samples["tracker_time_us"].to_numpy(np.int64)
    line = timeline(time_us)
    clock_us = float(time_us[0]) - 1000 * float(samples["t_ms"].iloc[0])
    borders_ms = (line.borders_us() - clock_us) / 1000
    grid = _Grid(line, borders_ms)
    return TrialTimeline(
        span=(round(float(borders_ms[0])), round(float(borders_ms[-1]))),
        columns=grid.count,
        velocity=_velocity(samples, line, grid, telling),
        threshold=_threshold(telling.detector),
        pupils=_pupils(samples, line, grid),
        rows=_rows(samples, time_us, clock_us),
        lost=_lost(samples, line, borders_ms),
        blinks=_blinks(samples, clock_us, telling.blink) if blinks is None else _spans(blinks),
    )


# ---------------------------------------------------------------- signals


class _Grid:
    """Columns of equal time over a trial, and the column of each sample of its timeline."""

    def __init__(self, line: Timeline, borders_ms: Floats) -> None:
        begin, end = float(borders_ms[0]), float(borders_ms[-1])
        lasts = max(end - begin, 1e-9)
        self.count = int(np.clip(round(lasts * 1000 / line.interval_us), 1, MOST_COLUMNS))
        at = ((borders_ms[1:] + borders_ms[:-1]) / 2 - begin) / lasts * self.count
        self.column = np.clip(at.astype(np.int64), 0, self.count - 1)

    def trace(self, name: str, unit: str, values: Floats, low: float, high: float) -> Trace:
        """Keep of values (m,) along the timeline the extremes of each column."""
        known = np.isfinite(values)
        lowest, highest = np.full(self.count, np.inf), np.full(self.count, -np.inf)
        np.minimum.at(lowest, self.column[known], values[known])
        np.maximum.at(highest, self.column[known], values[known])
        nothing = np.isinf(lowest)
        jitter = nothing & ~np.isin(np.arange(self.count), self.column)
        jitter[1:-1] &= ~nothing[:-2] & ~nothing[2:]  # between two samples that are there
        jitter[[0, -1]] = False
        for extreme in (lowest, highest):
            at = np.flatnonzero(jitter)
            extreme[at] = (extreme[at - 1] + extreme[at + 1]) / 2
        nothing &= ~jitter
        coded = (_coded(extreme, low, high, nothing) for extreme in (lowest, highest))
        return Trace(name, unit, round(low, 4), round(high, 4), *coded)


def _coded(values: Floats, low: float, high: float, nothing: npt.NDArray[np.bool_]) -> str:
    share = (np.where(nothing, low, values) - low) / (high - low)
    steps = np.rint(np.clip(share, 0, 1) * _STEPS)
    coded = np.where(nothing, _NOTHING, steps).astype(np.uint8)
    return base64.b64encode(coded.tobytes()).decode()


def _velocity(samples: pd.DataFrame, line: Timeline, grid: _Grid, telling: Telling) -> Trace | None:
    values, unit = _speed(samples, line, telling)
    fastest = float(np.nanmax(values, initial=0))
    if not np.isfinite(values).any():
        return None
    if unit == "deg/s":
        fastest = min(max(fastest, 2 * (_threshold(telling.detector) or 0)), _FASTEST_DEG_S)
    return grid.trace("velocity", unit, np.sqrt(values), 0.0, float(np.sqrt(max(fastest, 1e-9))))


def _speed(samples: pd.DataFrame, line: Timeline, telling: Telling) -> tuple[Floats, str]:
    """Speed (m,) along the timeline in deg/s, or in px/s where angles cannot be known."""
    detector, screen = telling.detector, telling.screen
    mm_per_px = screen.mm_per_px if screen is not None else None
    try:
        if screen is not None:
            knows = events.knows_eyes(samples)
            samples = (events.gaze_in_mm if knows else events.assume_eyes)(samples, screen)
        return gaze_and_speed(samples, line, detector, mm_per_px)[1], "deg/s"
    except GeometryError:
        return speed(samples, line, _IN_PX), "px/s"


def _threshold(detector: AnyDetector | None) -> float | None:
    if isinstance(detector, IVT | SaccadeParser):
        return detector.velocity_threshold_deg_s
    return None


def _pupils(samples: pd.DataFrame, line: Timeline, grid: _Grid) -> tuple[Trace, ...]:
    """Trace the eyes apart: their mean would jump wherever one of them is lost."""
    for column, unit in (("pupil_mm", "mm"), ("pupil", "tracker's own unit")):
        found = {
            eye: _positive(line.spread(samples[f"{eye}_{column}"].to_numpy(np.float64)))
            for eye in ("left", "right")
            if f"{eye}_{column}" in samples
        }
        found = {eye: values for eye, values in found.items() if np.isfinite(values).any()}
        if found:
            every = np.concatenate(list(found.values()))
            low, high = float(np.nanmin(every)), float(np.nanmax(every))
            room = max(0.0, _LEAST_PUPIL_SPAN * high - (high - low)) / 2
            return tuple(
                grid.trace(eye, unit, values, low - room, high + room)
                for eye, values in found.items()
            )
    return ()


def _positive(values: Floats) -> Floats:
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


# ---------------------------------------------------------------- events


def _rows(
    samples: pd.DataFrame, time_us: npt.NDArray[np.int64], clock_us: float
) -> tuple[Bars, ...]:
    begin_us, end_us = sample_spans_us(time_us)
    spans_ms = (begin_us - clock_us) / 1000, (end_us - clock_us) / 1000
    found = []
    for name, column in (("gazetools", "event"), ("vendor", "vendor_event")):
        if column in samples and samples[column].notna().any():
            code = pd.Index(EVENTS).get_indexer(samples[column])  # -1: a word of others
            counted = f"{column}_index" in samples
            index = samples[f"{column}_index"].to_numpy() if counted else np.zeros(len(code))
            found.append(_bars(name, code, index, *spans_ms))
    return tuple(found)


def _bars(
    name: str, code: npt.NDArray[np.int64], index: npt.NDArray[Any], begin: Floats, end: Floats
) -> Bars:
    """Join the samples of each event; if there are too many, those that last longest stay."""
    borders = np.flatnonzero((np.diff(code) != 0) | (np.diff(index) != 0)) + 1
    first = np.concatenate([[0], borders])
    last = np.append(borders, len(code)) - 1
    kept = code[first] > 0  # what is missing is shown as lost
    first, last = first[kept], last[kept]
    if len(first) > MOST_BARS:
        longest = np.argsort(begin[first] - end[last], kind="stable")[:MOST_BARS]
        chosen = np.sort(longest)
        left_out, first, last = len(first) - MOST_BARS, first[chosen], last[chosen]
    else:
        left_out = 0
    columns = (code[first], np.rint(begin[first]), np.rint(end[last]))
    bars = np.column_stack(columns).astype(np.int64).tolist()
    return Bars(name, tuple((kind, start, stop) for kind, start, stop in bars), left_out)


def _lost(samples: pd.DataFrame, line: Timeline, borders_ms: Floats) -> tuple[Span, ...]:
    gaze = line.spread(samples[["x_px", "y_px"]].to_numpy(np.float64))
    lost: npt.NDArray[np.int8] = np.isnan(gaze.sum(axis=1)).astype(np.int8)
    found = stretches(lost, 1)
    return _whole(borders_ms[found[:, 0]], borders_ms[found[:, 1] + 1])


def _blinks(samples: pd.DataFrame, clock_us: float, spec: BlinkSpec) -> tuple[Span, ...]:
    found = events.blinks(samples, spec)
    begin, end = (found[name].to_numpy(np.float64) for name in ("onset_us", "end_us"))
    return _whole((begin - clock_us) / 1000, (end - clock_us) / 1000)


def _spans(table: pd.DataFrame) -> tuple[Span, ...]:
    onset = table["onset_ms"].to_numpy(np.float64)
    return _whole(onset, onset + table["duration_ms"].to_numpy(np.float64))


def _whole(begin: Floats, end: Floats) -> tuple[Span, ...]:
    """Round to ms; of more spans than there is room for the longest stay."""
    good = np.flatnonzero(np.isfinite(begin) & np.isfinite(end))
    good = np.sort(good[np.argsort(begin[good] - end[good], kind="stable")[:MOST_BARS]])
    both = np.rint(np.column_stack([begin[good], end[good]])).astype(np.int64).tolist()
    return tuple((start, stop) for start, stop in both)


# ---------------------------------------------------------------- provenance


def _detector(spec: Mapping[str, Any], sources: Iterable[str]) -> AnyDetector | None:
    """Find the settings whose digest the fixations bear; None if there is none, or are several."""
    digests = {part for source in sources for part in str(source).split(":")[2:3]}
    told = spec.get("settings")
    changes = dict(told) if isinstance(told, dict) else {}
    found = set()
    for name in PROFILES:
        for settings in ({}, changes):
            try:
                params = events.profile(name, **settings)
            except (ConfigError, TypeError):
                continue
            found |= {params} if params.digest() in digests else set()
    return found.pop() if len(found) == 1 and len(digests) == 1 else None


def _screen(note: Mapping[str, Any]) -> Screen | None:
    told = note.get("screens")
    screens = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    names = ("width_px", "height_px", "width_mm", "height_mm", "distance_mm")
    if len(screens) != 1:
        return None
    sizes = [number(screens[0].get(name)) for name in names]
    if not np.isfinite(sizes).all():
        return None
    try:
        return Screen(int(sizes[0]), int(sizes[1]), *sizes[2:])
    except GeometryError:
        return None


def _blink(told: object) -> BlinkSpec:
    try:
        return BlinkSpec.of(**told) if isinstance(told, dict) else BlinkSpec()
    except (GazeToolsError, TypeError):
        return BlinkSpec()
