"""The data set at a glance: counts, distributions, and how good its recordings are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from gazetools.reporting.charts import Chart, histogram, main_sequence, rows_of_bars
from gazetools.reporting.gaze import Gaze
from gazetools.reporting.measures import Measure, measures_in
from gazetools.reporting.sources import Sources
from gazetools.reporting.words import counted, figure, number, shown

_MOST_ROWS = 2000


@dataclass(frozen=True)
class Figure:
    """A number that stands for itself: "26,832" "fixations"."""

    value: str
    label: str


@dataclass(frozen=True)
class Cell:
    """A figure of the quality table; `value` sorts, an empty one comes last."""

    text: str
    value: str
    flagged: bool


@dataclass(frozen=True)
class Row:
    """A recording or a trial with its figures, and what it is flagged for."""

    name: str
    level: str
    cells: tuple[Cell, ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class QualityView:
    """The quality table as it is shown."""

    headings: tuple[Measure, ...]
    rows: tuple[Row, ...]
    left_out: int
    recordings: int
    trials: int
    flagged_recordings: int
    flagged_trials: int
    limits: tuple[tuple[str, str], ...]


def headline(sources: Sources, gaze: Gaze | None) -> list[Figure]:
    """Count recordings, participants, stimuli and fixations, as far as they are known."""
    figures = []
    who = _who(sources)
    if who is not None:
        figures += [
            _count(len(who.drop_duplicates()), "recording"),
            _count(who["subject"].nunique(), "participant"),
        ]
    if gaze is not None:
        total_s = float(gaze.duration_ms.sum()) / 1000
        figures += [
            _count(len(gaze.names), "stimulus", "stimuli"),
            _count(len(gaze.x), "fixation"),
            Figure(_duration(total_s), "of fixating"),
        ]
        if len(gaze.duration_ms):
            median = float(np.median(gaze.duration_ms))
            figures.append(Figure(f"{median:,.0f} ms", "median fixation"))
    if sources.runs:
        figures.append(_count(len(sources.runs), "training run"))
    return figures


def charts(sources: Sources, gaze: Gaze | None) -> list[Chart]:
    """Chart durations, amplitudes, fixations per stimulus, main sequence and data loss."""
    found: list[Chart | None] = []
    if gaze is not None:
        found.append(
            histogram(
                gaze.duration_ms,
                "Fixation duration",
                "duration (ms)",
                counted="fixations",
                unit="ms",
            )
        )
    found.append(_amplitudes(sources, gaze))
    if gaze is not None:
        per_stimulus = gaze.counts.astype(np.float64)
        label = "fixations on a stimulus"
        found.append(
            histogram(per_stimulus, "Fixations per stimulus", label, counted="stimuli", whole=True)
        )
    if sources.saccades:
        rows = pd.concat([table.rows for table in sources.saccades])
        columns = (rows[name].to_numpy() for name in ("amplitude_deg", "peak_velocity_deg_s"))
        found.append(main_sequence(*columns))
    found.append(_data_loss(sources))
    return [chart for chart in found if chart is not None]


def quality_view(sources: Sources) -> QualityView | None:
    """Bring the quality tables into the form of the page, flagged rows first."""
    if not sources.quality:
        return None
    rows = pd.concat([table.rows for table in sources.quality], ignore_index=True)
    headings = tuple(measures_in(rows))
    is_recording, is_flagged = rows["level"] == "recording", rows["flags"] != ""
    kept = pd.concat([rows[is_recording], rows[~is_recording & is_flagged]])
    kept = pd.concat([kept, rows[~is_recording & ~is_flagged]])[:_MOST_ROWS]
    # back to how it was: each recording before its trials
    records: list[dict[str, Any]] = kept.sort_index().to_dict("records")
    limits = _limits(sources)
    return QualityView(
        headings=headings,
        rows=tuple(_row(record, headings) for record in records),
        left_out=len(rows) - len(records),
        recordings=int(is_recording.sum()),
        trials=int((~is_recording).sum()),
        flagged_recordings=int((is_recording & is_flagged).sum()),
        flagged_trials=int((~is_recording & is_flagged).sum()),
        limits=tuple(_limit(name, value) for name, value in limits.items()),
    )


def _row(record: Mapping[str, Any], headings: Sequence[Measure]) -> Row:
    flags = tuple(shown(flag) for flag in record["flags"].split("; ") if flag)
    name = f"{record['subject']}, {record['recording']}"
    if record["level"] != "recording":
        stimulus = record["stimulus"]
        named = f", {stimulus}" if isinstance(stimulus, str) else ""
        trial = "" if pd.isna(record["trial"]) else record["trial"]
        name += f", trial {trial}{named}"
    return Row(
        name=shown(name),
        level="recording" if record["level"] == "recording" else "trial",
        cells=tuple(_cell(record, heading, flags) for heading in headings),
        flags=flags,
    )


def _cell(record: Mapping[str, Any], heading: Measure, flags: Sequence[str]) -> Cell:
    value = record[heading.column]
    known = not pd.isna(value)
    text = figure(value, heading.digits) if known else ""
    beyond = heading.flag != "" and any(flag.startswith(f"{heading.flag} ") for flag in flags)
    return Cell(text, f"{float(value):.9g}" if text else "", beyond)


def _limits(sources: Sources) -> dict[str, float]:
    """Limits of the quality tables, where all have the same."""
    told = [table.note.get("limits") for table in sources.quality]
    first = told[0] if told else None
    if not isinstance(first, dict) or any(other != first for other in told):
        return {}
    numbers = {shown(name): number(value) for name, value in first.items()}
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _limit(name: str, value: float) -> tuple[str, str]:
    """Write max_loss_pct as "max loss" and "25 %"."""
    start, _, unit = name.rpartition("_")
    units = {"pct": "%", "deg": "deg", "ms": "ms"}
    words = (start if unit in units else name).replace("_", " ")
    return words, f"{value:g} {units.get(unit, '')}".rstrip()


def _amplitudes(sources: Sources, gaze: Gaze | None) -> Chart | None:
    """In degrees where saccades were measured, else between fixations on the image."""
    title = "Saccade amplitude"
    if sources.saccades:
        degrees = pd.concat([t.rows["amplitude_deg"] for t in sources.saccades]).to_numpy()
        label = "amplitude (deg of visual angle)"
        chart = histogram(degrees, title, label, counted="saccades", unit="deg")
        if chart is not None:
            return chart
    if gaze is None:
        return None
    label = "between consecutive fixations (% of the image diagonal)"
    steps = gaze.amplitudes()
    chart = histogram(100 * steps, title, label, counted="steps", unit="%")
    unknown = int(np.isnan(steps).sum())
    if chart is None or not unknown:
        return chart
    note = f"{unknown:,} steps on images of unknown proportions are left out"
    return replace(chart, note="; ".join(filter(None, (chart.note, note))))


def _data_loss(sources: Sources) -> Chart | None:
    if not sources.quality:
        return None
    rows = pd.concat([table.rows for table in sources.quality])
    rows = rows[(rows["level"] == "recording") & rows["loss_pct"].notna()]
    names = [shown(f"{s}, {r}") for s, r in zip(rows["subject"], rows["recording"], strict=True)]
    limit = _limits(sources).get("max_loss_pct")
    title = "Data loss per recording"
    return rows_of_bars(
        title, names, rows["loss_pct"].to_numpy(), "expected samples lost (%)", limit
    )


def _who(sources: Sources) -> pd.DataFrame | None:
    """Subject and recording of every row of the tables."""
    tables = sources.fixations or sources.quality or sources.saccades
    if not tables:
        return None
    return pd.concat([table.rows[["subject", "recording"]] for table in tables])


def _count(count: int, one: str, many: str = "") -> Figure:
    value, label = counted(count, one, many).split(" ", 1)
    return Figure(value, label)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
