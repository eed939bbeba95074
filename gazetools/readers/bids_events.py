"""Events and trials of a BIDS run: physioevents beside the samples, events.tsv."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.bids_sidecars import (
    TIME_UNITS,
    Json,
    PhysioFile,
    applicable,
    bounded,
    columns_of,
    inherited,
    layout_of,
    number_in,
    units_of,
)
from gazetools.readers.building import US_PER, Floats, Integers
from gazetools.readers.delimited import read_columns
from gazetools.readers.layout import NULLS, Layout
from gazetools.readers.opening import read_head
from gazetools.readers.recording import ReadOptions
from gazetools.readers.trial_marks import trial_marks
from gazetools.readers.vendor_events import (
    ROUNDING_US,
    declared,
    label_samples,
    mean_within,
    rows_within,
)
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, Schema
from gazetools.trials import trial_begin_us

SOURCE = "vendor:bids"
_LONGEST_EVENT_S = 10.0
_TRUE = ("1", "1.0", "true")


def read_events(file: PhysioFile, time_unit: str, skipped: Counter[str]) -> pd.DataFrame:
    """Read the events beside an eye's samples.

    Returns
    -------
    events : DataFrame
        kind, onset_us and duration_us on the tracker's clock, message, x_px, y_px.

    Raises
    ------
    FormatError
        A line or a sidecar is damaged.
    """
    name = file.path.name.replace(f"_{file.suffix}.tsv", "_physioevents.tsv")
    path = file.path.with_name(name)
    columns = ["kind", "onset_us", "duration_us", "message", "x_px", "y_px"]
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    sidecar = inherited(path, "physioevents")
    names = columns_of(path, sidecar)
    onset = next((name for name in ("onset", "timestamp") if name in names), "")
    if not onset:
        raise FormatError(f"{path}: no 'onset' among its Columns; correct the JSON sidecar")
    numbers = {"onset": onset} | {c: c for c in names if c == "duration"}
    numbers |= {o: t for o, t in (("x_px", "x_coordinate"), ("y_px", "y_coordinate")) if t in names}
    texts = {c: c for c in names if c in ("trial_type", "message", "blink")}
    table = read_columns(path, layout_of(path, names), texts, numbers)
    wanted = [*numbers, *texts, *columns[3:], "trial_type", "duration", "blink"]
    rows = table.frame.reindex(columns=list(dict.fromkeys(wanted)))
    unit = TIME_UNITS.get(units_of(sidecar, onset).lower(), time_unit)
    onset_us = bounded(path, rows["onset"].to_numpy(float) * US_PER[unit])
    per_us = _duration_us(sidecar, rows["duration"], time_unit)
    duration_us = bounded(path, rows["duration"].to_numpy(float) * per_us)
    table.expect("onset", ~np.isnan(onset_us), "a number")
    if "duration" in numbers:
        table.expect("duration", ~(duration_us < 0), "0 or more")
    kind = rows["trial_type"].astype("str").str.lower().fillna("")
    is_blink = rows["blink"].astype("str").str.lower().isin(_TRUE)
    kind = kind.mask(kind.eq("") & is_blink, "blink")
    events = rows.assign(kind=kind, onset_us=onset_us, duration_us=duration_us)[columns]
    skipped["messages"] += int((kind.eq("") & events["message"].notna()).sum())
    other = ~kind.isin(["", "fixation", "saccade", "blink"])
    skipped["other events"] += int(other.sum())
    return events.sort_values("onset_us", kind="stable", ignore_index=True)


def _duration_us(sidecar: Json, duration: pd.Series, time_unit: str) -> float:
    """Microseconds in the unit of events' durations."""
    said = TIME_UNITS.get(units_of(sidecar, "duration").lower())
    if said:
        return US_PER[said]
    lasting = duration[duration > 0]
    too_long = len(lasting) and lasting.median() > _LONGEST_EVENT_S
    return US_PER[time_unit if too_long else "s"]


def trials_of(
    file: PhysioFile,
    time_us: Integers,
    events: Mapping[str, pd.DataFrame],
    options: ReadOptions,
    skipped: Counter[str],
) -> dict[str, Any]:
    """Return trial and stimulus of every sample, to be assigned to a table."""
    if options.trial_from is not None:
        shown = _trials_of_messages(file.path, events, options.trial_from)
    else:
        shown = _trials_of_events(file, time_us, skipped)
    if shown.empty:
        nothing = pd.Series(None, index=range(len(time_us)), dtype="str")
        return {"trial": 1, "stimulus": nothing}
    at = np.searchsorted(shown["begin_us"], time_us, "right") - 1
    end_us = np.append(shown["end_us"].to_numpy(), -np.inf)
    inside = (at >= 0) & (time_us < end_us[at])
    trial = np.append(shown["trial"].to_numpy(np.int64), 0)
    stimulus = shown["stimulus"].reset_index(drop=True)
    return {
        "trial": np.where(inside, trial[at], 0),
        "stimulus": stimulus.reindex(np.where(inside, at, -1)).reset_index(drop=True),
    }


def _trials_of_messages(
    path: Path, events: Mapping[str, pd.DataFrame], pattern: str
) -> pd.DataFrame:
    told = next((t for t in events.values() if t["message"].notna().any()), pd.DataFrame())
    told = told.dropna(subset=["message"]) if len(told) else told
    messages = zip(told.get("onset_us", ()), told.get("message", ()), strict=True)
    begin_us, stimuli = trial_marks(path, ((round(us), text) for us, text in messages), pattern)
    return pd.DataFrame(
        {
            "begin_us": begin_us,
            "end_us": np.append(begin_us[1:], np.inf)[: len(begin_us)],
            "trial": np.arange(1, len(begin_us) + 1),
            "stimulus": pd.Series(stimuli, dtype="str"),
        }
    )


def _trials_of_events(file: PhysioFile, time_us: Integers, skipped: Counter[str]) -> pd.DataFrame:
    nothing = pd.DataFrame({"begin_us": [], "end_us": [], "trial": [], "stimulus": []})
    found = applicable(file.path, "events", "tsv")
    if not found:
        return nothing
    path = found[-1]
    names = read_head(path).partition("\n")[0].rstrip("\r").split("\t")
    stimulus = next((n for n in ("stim_file", "stimulus") if n in names), "")
    if not {"onset", "duration"} <= set(names) or not (stimulus or "trial_type" in names):
        return nothing
    texts = {"stimulus": stimulus} if stimulus else {}
    texts |= {n: n for n in ("trial_type", "trial") if n in names}
    numbers = {"onset": "onset", "duration": "duration"}
    layout = Layout("\t", nulls=(*NULLS, "n/a", "N/A"))
    rows = read_columns(path, layout, texts, numbers).frame
    rows = rows.reindex(columns=["onset", "duration", "stimulus", "trial_type", "trial"])
    is_trial = rows["stimulus"].notna() | (rows["trial_type"] == "trial")
    rows = rows[is_trial & rows["onset"].notna()].sort_values("onset", kind="stable")
    start_us = (number_in(file.sidecar, "StartTime") or 0.0) * 1e6
    begin_us = _on_clock(bounded(path, rows["onset"].to_numpy(float) * 1e6), time_us, start_us)
    if begin_us is None:
        skipped["trials outside the recording"] += len(rows)
        return nothing
    begin_us -= ROUNDING_US
    following = np.append(begin_us[1:], np.inf)
    lasts_us = bounded(path, rows["duration"].to_numpy(float) * 1e6)
    lasts_us = np.where(lasts_us > 0, lasts_us, np.inf)
    return pd.DataFrame(
        {
            "begin_us": begin_us,
            "end_us": np.minimum(following, begin_us + lasts_us + 2 * ROUNDING_US),
            "trial": _trial_numbers(rows["trial"]),
            "stimulus": rows["stimulus"].astype("str").to_numpy(),
        }
    )


def _on_clock(onset_us: Floats, time_us: Integers, start_us: float) -> Floats | None:
    """Onsets on the tracker's clock; None if they lie outside the recording on any.

    They count from when the scanner began, which is `start_us` before the first sample; older
    converters put the tracker's own time there.
    """
    if not len(onset_us):
        return None
    for zero in (float(time_us[0]) - start_us, float(time_us[0]), 0.0):
        begin_us = onset_us + zero
        inside = (begin_us <= time_us[-1]) & (begin_us >= time_us[0] - 1e6)
        if inside.mean() > 1 / 2:
            return begin_us
    return None


def _trial_numbers(told: pd.Series) -> Integers:
    """Trial numbers as told, if they are whole and rise; else counted from 1."""
    if len(told) and told.notna().all() and told.str.fullmatch(r"[1-9]\d{0,8}").all():
        numbers: Integers = told.astype("int64").to_numpy()
        if (np.diff(numbers) > 0).all():
            return numbers
    return np.arange(1, len(told) + 1)


def event_tables(
    samples: pd.DataFrame, events: Mapping[str, pd.DataFrame], skipped: Counter[str]
) -> dict[str, pd.DataFrame]:
    """Return the tables of a recording: fixations, saccades, blinks, and samples so labelled."""
    order = [eye for eye in ("cyclopean", "left", "right") if eye in events]
    placed = {eye: _placed(samples, events[eye], eye, skipped) for eye in order}
    fixations = {eye: table[table["kind"] == "fixation"] for eye, table in placed.items()}
    chosen = next((eye for eye in order if len(fixations[eye])), order[0])
    skipped["fixations of the other eye"] += sum(
        len(table) for eye, table in fixations.items() if eye != chosen
    )
    table = fixations[chosen]
    skipped["fixations without gaze"] += int(table["x_px"].isna().sum())
    table = table[table["x_px"].notna()].reset_index(drop=True)
    table["order"] = table.groupby("trial").cumcount() + 1
    both = pd.concat(placed.values(), ignore_index=True)
    both = both.sort_values("onset_us", kind="stable")
    jumps = placed[chosen][placed[chosen]["kind"] == "saccade"]
    if len(table):
        time_us = samples["tracker_time_us"].to_numpy()
        spans = {"begin_us": time_us[jumps["first_row"]], "last_us": time_us[jumps["last_row"]]}
        samples = label_samples(samples, table, pd.DataFrame(spans))
    return {
        "samples": samples,
        "fixations": _as(FIXATIONS, table, "order", "first_row", "last_row"),
        "saccades": _as(SACCADES, both[both["kind"] == "saccade"]),
        "blinks": _as(BLINKS, both[both["kind"] == "blink"]),
    }


def _as(schema: Schema, table: pd.DataFrame, *extra: str) -> pd.DataFrame:
    return schema.conform(declared(table, schema, *extra).reset_index(drop=True))


def _placed(
    samples: pd.DataFrame, events: pd.DataFrame, eye: str, skipped: Counter[str]
) -> pd.DataFrame:
    """Events in the trials of the samples that they lie in; others are counted."""
    time_us = samples["tracker_time_us"].to_numpy()
    wanted = events["kind"].isin(["fixation", "saccade", "blink"]) & (events["duration_us"] > 0)
    skipped["events without a duration"] += int(
        (events["kind"].isin(["fixation", "saccade", "blink"]) & ~wanted).sum()
    )
    rows = events[wanted]
    onset_us, duration_us = (rows[c].to_numpy(float) for c in ("onset_us", "duration_us"))
    first, last, some = rows_within(time_us, onset_us, onset_us + duration_us)
    skipped["events without samples"] += int((~some).sum())
    rows, first, last = rows[some], first[some], last[some]
    clock_us = trial_begin_us(time_us, samples["trial"].to_numpy())
    gaze = [samples[_gaze_column(samples, eye, axis)].to_numpy() for axis in ("x", "y")]
    at = samples.iloc[first].reset_index(drop=True)
    told = [rows[c].to_numpy(float) for c in ("x_px", "y_px")]
    means = [mean_within(values, first, last) for values in gaze]
    return pd.DataFrame(
        {
            **{c: at[c] for c in ("recording", "subject", "trial", "stimulus")},
            "kind": rows["kind"].to_numpy(),
            "onset_us": rows["onset_us"].to_numpy(float),
            "onset_ms": (rows["onset_us"].to_numpy(float) - clock_us[first]) / 1000,
            "duration_ms": rows["duration_us"].to_numpy(float) / 1000,
            **{
                f"{axis}_px": np.where(np.isnan(said), mean, said)
                for axis, said, mean in zip("xy", told, means, strict=True)
            },
            **{f"start_{a}_px": v[first] for a, v in zip("xy", gaze, strict=True)},
            **{f"end_{a}_px": v[last] for a, v in zip("xy", gaze, strict=True)},
            "eye": "both" if eye == "cyclopean" else eye,
            "first_row": first,
            "last_row": last,
            "source": SOURCE,
        }
    )


def _gaze_column(samples: pd.DataFrame, eye: str, axis: str) -> str:
    own = f"{eye}_{axis}_px"
    return own if own in samples else f"{axis}_px"
