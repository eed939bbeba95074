"""Figures of a recording and of its trials, as rows of a QUALITY table."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.quality.evidence import PRECISION, Evidence
from gazetools.quality.measures import (
    Bools,
    Clock,
    Floats,
    Loss,
    measure_clock,
    measure_loss,
)
from gazetools.readers import Recording

Columns = Mapping[str, NDArray[Any]]

GAPS = ("under_75", "75_150", "150_400", "400_1000", "over_1000")
"""Between GAP_BORDERS_MS, as columns name them."""

_ENOUGH = 10
_NO_LOSS = Loss(0, 0, 0, np.zeros(0))
_NO_GRID = "samples came irregularly: how many the tracker dropped cannot be told"
_SHORT_MS, _LONG_MS = 100, 600
_BY_EYE = ("left_accuracy_deg", "right_accuracy_deg")


def rows_of(recording: Recording, evidence: Evidence) -> list[dict[str, Any]]:
    """Measure a recording, then its trials; what lies between trials is left out.

    Parameters
    ----------
    recording : Recording
        Its last piece.
    evidence : Evidence
    """
    trials = sorted({*evidence.samples["trial"], *evidence.fixations["trial"]} - {0}) or [0]
    samples, fixations = (
        _by_trial(table, trials) for table in (evidence.samples, evidence.fixations)
    )
    together = [_together(parts) for parts in (samples, fixations)]
    clock = _clock(together[0])
    losses = [_loss(part, clock) for part in samples]
    stimulus = _stimuli(evidence)
    rows = [
        _of_recording(recording, evidence, clock, sum(losses, _NO_LOSS), *together),
        *(
            _of_trial(trial, stimulus.get(trial), loss, *parts)
            for trial, loss, *parts in zip(trials, losses, samples, fixations, strict=True)
            if trial > 0
        ),
    ]
    same: dict[str, Any] = {
        "recording": recording.name,
        "subject": recording.subject,
        "degrees_from": evidence.degrees_from or None,
        "fixations_by": evidence.fixations_by or None,
    }
    if not evidence.fixations_by:
        same["fixations"] = np.nan
    return [row | same for row in rows]


def _of_recording(
    recording: Recording,
    evidence: Evidence,
    clock: Clock,
    loss: Loss,
    samples: Columns,
    fixations: Columns,
) -> dict[str, Any]:
    row = {
        "level": "recording",
        "trial": pd.NA,
        "stimulus": None,
        **_accuracy(recording.validation, fixations),
        "notes": "; ".join([*evidence.notes, *([] if clock.has_grid else [_NO_GRID])]),
        **_sampling(clock, loss, samples),
        **_gaze(samples, fixations),
        "stated_rate_hz": recording.fixed_rate_hz or np.nan,
    }
    return row | {"rate_pct": 100 * row["rate_hz"] / row["stated_rate_hz"]}


def _of_trial(
    trial: int, stimulus: str | None, loss: Loss, samples: Columns, fixations: Columns
) -> dict[str, Any]:
    return {
        "level": "trial",
        "trial": trial,
        "stimulus": stimulus,
        **_accuracy({}, fixations),
        "notes": "",
        **_sampling(_clock(samples), loss, samples),
        **_gaze(samples, fixations),
    }


# ---------------------------------------------------------------- trials


def _by_trial(table: pd.DataFrame, trials: list[int]) -> list[Columns]:
    """Columns of each trial as arrays; pandas would take most of the time."""
    columns = {str(name): table[name].to_numpy() for name in table if name != "stimulus"}
    rows = table.groupby("trial").indices
    nothing = np.zeros(0, np.int64)
    return [
        {name: values[rows.get(trial, nothing)] for name, values in columns.items()}
        for trial in trials
    ]


def _together(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _stimuli(evidence: Evidence) -> dict[int, str]:
    both = [table[["trial", "stimulus"]] for table in (evidence.samples, evidence.fixations)]
    known = pd.concat(both).dropna().drop_duplicates("trial")
    return dict(zip(known["trial"], known["stimulus"], strict=True))


# ---------------------------------------------------------------- figures


def _begins(samples: Columns) -> Bools:
    return np.asarray(np.diff(samples["trial"], prepend=-1) != 0)


def _clock(samples: Columns) -> Clock:
    return measure_clock(samples["time_us"].astype(np.int64), _begins(samples))


def _loss(samples: Columns, clock: Clock) -> Loss:
    """Loss in one trial, by its own clock if it has enough samples: rates may change."""
    own = _clock(samples) if len(samples["time_us"]) > _ENOUGH else clock
    time_us, seen = samples["time_us"].astype(np.int64), samples["seen"].astype(bool)
    return measure_loss(time_us, seen, _begins(samples), own)


def _sampling(clock: Clock, loss: Loss, samples: Columns) -> dict[str, Any]:
    figures = {"samples": len(samples["time_us"]), "rate_pct": np.nan, "loss_pct": loss.pct}
    if not figures["samples"]:
        return figures | dict.fromkeys(("rate_hz", "irregular_pct"), np.nan)
    return figures | {
        "duration_ms": clock.recorded_ms,
        "rate_hz": clock.rate_hz,
        "interval_sd_ms": clock.sd_ms,
        "interval_mad_ms": clock.mad_ms,
        "irregular_pct": clock.irregular_pct,
        "pauses": clock.pauses,
        "pause_ms": clock.pause_ms,
        "expected_samples": loss.expected,
        "dropped_samples": loss.dropped,
        "missing_samples": loss.missing,
        **{f"gaps_{name}_ms": count for name, count in zip(GAPS, loss.histogram(), strict=True)},
        "longest_gap_ms": float(loss.gaps_ms.max(initial=0.0)),
    }


def _gaze(samples: Columns, fixations: Columns) -> dict[str, Any]:
    told = samples["on_image"][np.isfinite(samples["on_image"])]
    on_image = float(told.mean()) if len(told) else _weighted(fixations, "on_image")
    return {
        **{name: _median(fixations[name]) for name in PRECISION},
        "windows": int(np.isfinite(fixations["std_px"]).sum()),
        "disparity_px": _median(samples["disparity_px"]),
        "disparity_deg": _median(samples["disparity_deg"]),
        "on_image_pct": 100 * on_image,
        **_durations(fixations["duration_ms"]),
        "in_mask_pct": 100 * _weighted(fixations, "in_mask"),
    }


def _durations(duration_ms: Floats) -> dict[str, Any]:
    count = len(duration_ms)
    return {
        "fixations": count,
        "fixation_median_ms": _median(duration_ms),
        "fixation_mean_ms": float(duration_ms.mean()) if count else np.nan,
        "fixation_sd_ms": float(duration_ms.std(ddof=1)) if count > 1 else np.nan,
        "fixations_short_pct": _pct(duration_ms < _SHORT_MS),
        "fixations_long_pct": _pct(duration_ms > _LONG_MS),
    }


def _pct(which: Bools) -> float:
    return 100 * float(which.mean()) if len(which) else np.nan


def _accuracy(validation: Mapping[str, float], fixations: Columns) -> dict[str, Any]:
    """Accuracy by targets, each judged by the trial's longest fixation; else the vendor's."""
    is_aimed = np.isfinite(fixations["offset_px"])
    if is_aimed.any():
        names = ("trial", "duration_ms", "offset_px", "offset_deg")
        aimed = pd.DataFrame({name: fixations[name][is_aimed] for name in names})
        aimed = aimed.sort_values("duration_ms", kind="stable")
        aimed = aimed.drop_duplicates("trial", keep="last")
        return {
            "accuracy_px": aimed["offset_px"].mean(),
            "accuracy_deg": aimed["offset_deg"].mean(),
            "accuracy_from": f"{len(aimed)} targets",
        }
    eyes = [validation[name] for name in _BY_EYE if name in validation]
    value = validation.get("accuracy_deg", float(np.mean(eyes)) if eyes else np.nan)
    source = None if np.isnan(value) else "the vendor"
    return {"accuracy_px": np.nan, "accuracy_deg": value, "accuracy_from": source}


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _weighted(fixations: Columns, name: str) -> float:
    """Share by duration of the fixations that are 1 among those that are 1 or 0."""
    known = np.isfinite(fixations[name])
    duration_ms = fixations["duration_ms"][known]
    total = float(duration_ms.sum())
    return float((duration_ms * fixations[name][known]).sum()) / total if total else np.nan
