"""The BIDS files of one recording."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import SchemaError
from gazetools.exporting.cells import clean, gz, json_bytes, milliseconds, text, tsv
from gazetools.tables import FIXATIONS, SACCADES, SAMPLES
from gazetools.timeline import sample_interval_us, sample_spans_us

RECORDING = ["subject", "recording"]
"""Columns that name a recording."""
_EYES = {"left": "eye1", "right": "eye2", "cyclopean": "eye3"}

Files = Iterator[tuple[str, bytes]]
"""Paths inside a data set, with "/", and what stands there."""


@dataclass(frozen=True)
class Run:
    """One recording: its names, its labels, its rows of the tables."""

    subject: str
    recording: str
    label: str
    number: int
    samples: pd.DataFrame
    fixations: pd.DataFrame
    saccades: pd.DataFrame
    blinks: pd.DataFrame

    @property
    def is_raw(self) -> bool:
        """Whether it has samples; saccades and blinks are told on their clock alone."""
        return len(self.samples) > 0

    def name(self, task: str) -> str:
        """Begin of the paths of its files."""
        return f"sub-{self.label}/beh/sub-{self.label}_task-{task}_run-{self.number}"


def raw_run(run: Run, task: str) -> Files:
    """Make its samples, trials and detected events, eye by eye."""
    samples, name = run.samples, run.name(task)
    first_us = int(samples["tracker_time_us"].iloc[0])
    yield f"{name}_events.tsv", tsv(_trial_rows(samples, first_us), header=True)
    eyes = _eyes(samples)
    main = "cyclopean" if "cyclopean" in eyes else eyes[0]
    for eye in eyes:
        columns, about = _eye_columns(samples, eye)
        own = f"{name}_recording-{_EYES[eye]}"
        yield f"{own}_physio.tsv.gz", gz(tsv(columns, header=False))
        yield (
            f"{own}_physio.json",
            json_bytes(_physio_json(samples, eye, task, list(columns), about)),
        )
        events = _event_rows(run, eye, is_main=eye == main, others=eyes)
        if len(events):
            yield f"{own}_physioevents.tsv.gz", gz(tsv(events, header=False))
            yield f"{own}_physioevents.json", json_bytes(_physioevents_json(task, list(events)))


def _trial_rows(samples: pd.DataFrame, first_us: int) -> pd.DataFrame:
    time_us = samples["tracker_time_us"].to_numpy()
    begin_us, end_us = sample_spans_us(time_us)
    spans = samples[["trial", "stimulus"]].assign(begin_us=begin_us, end_us=end_us)
    trials = spans[spans["trial"] > 0].groupby("trial", sort=False)
    begin, end = trials["begin_us"].min(), trials["end_us"].max()
    return pd.DataFrame(
        {
            "onset": text((begin - first_us) / 1e6),
            "duration": text((end - begin) / 1e6),
            "trial_type": "trial",
            "trial": begin.index.astype("str"),
            "stimulus": clean(trials["stimulus"].first()),
        }
    )


def _eyes(samples: pd.DataFrame) -> list[str]:
    """Eyes that get a file of their own; the cyclopean one if it says more than they do."""
    eyes = [eye for eye in ("left", "right") if _has_values(samples, eye)]
    if len(eyes) == 1:
        own = samples.reindex(columns=[f"{eyes[0]}_x_px", f"{eyes[0]}_y_px"]).to_numpy()
        if np.array_equal(own, samples[["x_px", "y_px"]].to_numpy(), equal_nan=True):
            return eyes
    return [*eyes, "cyclopean"]


def _has_values(samples: pd.DataFrame, eye: str) -> bool:
    own = [name for name in samples if name.startswith(f"{eye}_") and name != f"{eye}_valid"]
    return bool(samples[own].notna().any(axis=None))


def _eye_columns(samples: pd.DataFrame, eye: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Text cells of an eye's file, and what its columns are."""
    prefix = "" if eye == "cyclopean" else f"{eye}_"
    nowhere = pd.Series(np.nan, index=samples.index)
    x, y = (samples.get(f"{prefix}{axis}_px", nowhere) for axis in "xy")
    columns = {
        "timestamp": milliseconds(samples["tracker_time_us"]),
        "x_coordinate": text(x),
        "y_coordinate": text(y),
    }
    about: dict[str, Any] = {
        "timestamp": {"Description": "the eye tracker's clock", "Units": "ms"},
        "x_coordinate": {"Description": "gaze from the left of the screen", "Units": "pixel"},
        "y_coordinate": {"Description": "gaze from the top of the screen", "Units": "pixel"},
    }
    if not prefix:
        return pd.DataFrame(columns), about
    own = {c.name.removeprefix(prefix): c for c in SAMPLES.columns if c.name.startswith(prefix)}
    for name, column in own.items():
        if name in ("x_px", "y_px") or column.name not in samples:
            continue
        values = samples[column.name]
        if name == "valid":
            if (values != x.notna()).any():
                columns[name] = values.astype("int64").astype("str")
                about[name] = {"Description": column.doc, "Levels": {"0": "no", "1": "yes"}}
        elif values.notna().any():
            is_size = name == "pupil_mm" or (name == "pupil" and "pupil_size" not in columns)
            ours = "pupil_size" if is_size else name
            columns[ours] = text(values)
            about[ours] = {"Description": column.doc, "Units": column.unit or "arbitrary"}
    return pd.DataFrame(columns), about


def _physio_json(
    samples: pd.DataFrame, eye: str, task: str, columns: list[str], about: Mapping[str, Any]
) -> dict[str, Any]:
    interval_us = sample_interval_us(samples["tracker_time_us"].to_numpy())
    return {
        "PhysioType": "eyetrack",
        "TaskName": task,
        "RecordedEye": eye,
        "SampleCoordinateSystem": "gaze-on-screen",
        "SamplingFrequency": round(1e6 / interval_us, 6),
        "StartTime": 0,
        "Columns": columns,
        **about,
    }


def _event_rows(run: Run, eye: str, *, is_main: bool, others: Sequence[str]) -> pd.DataFrame:
    """Text cells of the events that belong to an eye; fixations to the main one."""
    clock = _clock_us(run.samples)
    parts = [_events_on_clock(run.fixations, "fixation", clock)] if is_main else []
    for kind, table in (("saccade", run.saccades), ("blink", run.blinks)):
        mine = table[(table["eye"] == eye) | (is_main & ~table["eye"].isin(others))]
        parts.append(_events_on_clock(mine, kind, clock))
    events = pd.concat(parts, ignore_index=True).sort_values("onset_us", kind="stable")
    return pd.DataFrame(
        {
            "onset": text((events["onset_us"] / 1000).round(6)),
            "duration": text((events["duration_ms"] / 1000).round(9)),
            "trial_type": events["kind"],
            "x_coordinate": text(events["x_px"]),
            "y_coordinate": text(events["y_px"]),
        }
    )


def _clock_us(samples: pd.DataFrame) -> pd.Series:
    """Beginning of each trial on the tracker's clock, by trial."""
    first = samples.drop_duplicates("trial")
    begin = first["tracker_time_us"] - first["t_ms"] * 1000
    return (begin * 2).round().div(2).set_axis(first["trial"])


def _events_on_clock(table: pd.DataFrame, kind: str, clock_us: pd.Series) -> pd.DataFrame:
    begin_us = table["trial"].map(clock_us).astype("float64")
    if begin_us.isna().any():
        row = table[begin_us.isna()].iloc[0]
        raise SchemaError(
            f"{kind} in trial {row['trial']} of {row['recording']!r} ({row['subject']!r}): that "
            "trial has no samples; export tables that were made by one ingest"
        )
    return pd.DataFrame(
        {
            "kind": pd.Series(kind, index=table.index, dtype="str"),
            "onset_us": begin_us + table["onset_ms"] * 1000,
            "duration_ms": table["duration_ms"],
            "x_px": table.get("x_px", np.nan),
            "y_px": table.get("y_px", np.nan),
        }
    )


def saccades_in(samples: pd.DataFrame) -> pd.DataFrame:
    """Find the saccades of a recording: runs of samples that our detector called so."""
    if samples.empty or "event" not in samples or "event_index" not in samples:
        return SACCADES.empty()
    begin_us, end_us = sample_spans_us(samples["tracker_time_us"].to_numpy())
    clock_us = samples["trial"].map(_clock_us(samples))
    inside = samples.assign(
        onset_ms=(begin_us - clock_us) / 1000, end_ms=(end_us - clock_us) / 1000
    )
    inside = inside[(samples["event"] == "saccade") & (samples["trial"] > 0)]
    found = inside.groupby(["trial", "event_index"], sort=False).agg(
        recording=("recording", "first"),
        subject=("subject", "first"),
        stimulus=("stimulus", "first"),
        onset_ms=("onset_ms", "min"),
        end_ms=("end_ms", "max"),
    )
    found = found.reset_index().drop(columns="event_index")
    found["duration_ms"] = found.pop("end_ms") - found["onset_ms"]
    return SACCADES.conform(found.assign(eye="both", source="event of the samples"))


def _physioevents_json(task: str, columns: list[str]) -> dict[str, Any]:
    return {
        "TaskName": task,
        "Columns": columns,
        "OnsetSource": "timestamp",
        "Description": "events that were detected in the samples",
        "onset": {"Description": "start on the eye tracker's clock", "Units": "ms"},
        "duration": {"Description": "length of the event", "Units": "s"},
        "trial_type": {
            "Description": "kind of event",
            "Levels": {
                "fixation": "gaze rests",
                "saccade": "gaze moves fast",
                "blink": "eye is closed",
            },
        },
        "x_coordinate": {"Description": "centre of a fixation", "Units": "pixel"},
        "y_coordinate": {"Description": "centre of a fixation", "Units": "pixel"},
    }


def derivative_run(below: str, run: Run, task: str) -> Files:
    """Make its fixation table."""
    fixations = run.fixations
    if run.is_raw:
        zero = "the first sample of the recording"
        begin_us = fixations["trial"].map(_clock_us(run.samples)).astype("float64")
        begin_us -= int(run.samples["tracker_time_us"].iloc[0])
        onset_s = begin_us / 1e6 + fixations["onset_ms"] / 1000
    else:
        zero = "the start of its trial"
        onset_s = fixations["onset_ms"] / 1000
    cells = {
        "onset": text(onset_s.round(9)),
        "duration": text((fixations["duration_ms"] / 1000).round(9)),
        "trial_type": pd.Series("fixation", index=fixations.index),
    }
    about: dict[str, Any] = {
        "onset": {"Description": f"start of the fixation from {zero}", "Units": "s"},
        "duration": {"Description": "length of the fixation", "Units": "s"},
        "trial_type": {"Description": "kind of event", "Levels": {"fixation": "gaze rests"}},
    }
    for column in FIXATIONS.columns:
        if column.name not in (*RECORDING, "onset_ms", "duration_ms"):
            values = fixations[column.name]
            is_text = column.dtype == "str"
            cells[column.name] = clean(values) if is_text else text(values)
            about[column.name] = {"Description": column.doc}
            if column.unit:
                about[column.name]["Units"] = column.unit
    name = f"{below}{run.name(task)}_desc-fixations_events"
    yield f"{name}.tsv", tsv(pd.DataFrame(cells), header=True)
    yield f"{name}.json", json_bytes(about)
