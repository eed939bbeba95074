"""Blinks: losses of both eyes that last as long as blinks do.

A blink closes the lids for some 50 to 500 ms: M. Nyström, R. Andersson, D. C. Niehorster,
R. S. Hessels and I. T. C. Hooge, "What is a blink? Classifying and characterizing blinks in eye
openness signals", Behavior Research Methods 56 (2024) 3280-3299. A tracker that watches the
pupil loses it; that this is the sign of a blink is the premise of R. Hershman, A. Henik and
N. Cohen, "A novel blink detection method based on pupillometry noise", Behavior Research Methods
50 (2018) 107-114. Shorter losses are flicker of the tracker, longer ones eyes that looked
away or were not found.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import ConfigError
from gazetools.events.detector import Settings
from gazetools.events.rays import EYES
from gazetools.kernels.runs import stretches
from gazetools.timeline import Timeline, timeline

_GAZE = (
    "x_px",
    "y_px",
    *(
        f"{eye}_{name}"
        for eye in EYES
        for name in ("x_px", "y_px", "x_mm", "y_mm", "dir_x", "dir_y", "dir_z")
    ),
)


@dataclass(frozen=True)
class BlinkSpec(Settings):
    """Which losses are blinks.

    Attributes
    ----------
    signal : {"gaze", "pupil"}
        What must be lost in both eyes. A pupil of 0 is lost.
    min_ms, max_ms : float
        Shortest and longest blink, inclusive, rounded to whole ms.
    padding_ms : float
        What :func:`mark_blinks` takes away before and after a blink, where lids half cover
        the pupil.
    """

    algorithm: ClassVar[str] = "blink"

    signal: Literal["gaze", "pupil"] = "gaze"
    min_ms: float = 50.0
    max_ms: float = 500.0
    padding_ms: float = 0.0

    def __post_init__(self) -> None:
        self.check_choices()
        if not 0 < self.min_ms <= self.max_ms:
            raise ConfigError(
                f"min_ms is {self.min_ms} and max_ms {self.max_ms}; expected 0 < min_ms <= max_ms"
            )
        if not self.padding_ms >= 0:
            raise ConfigError(f"padding_ms is {self.padding_ms}; it must not be negative")


def blinks(samples: pd.DataFrame, spec: BlinkSpec | None = None) -> pd.DataFrame:
    """List the blinks of a recording.

    A blink has seen samples on both sides. Rows that the tracker dropped count as lost if they
    lie beside lost ones; a hole between seen samples is no blink.

    Parameters
    ----------
    samples : DataFrame
        One recording's rows of a SAMPLES table in time order.
    spec : BlinkSpec, optional

    Returns
    -------
    blinks : DataFrame
        Per blink: ``first_row`` and ``last_row`` (positions in `samples`, inclusive),
        ``onset_us`` and ``end_us`` (tracker clock, half-open; borders lie midway between
        samples).
    """
    spec = spec or BlinkSpec()
    time_us = samples["tracker_time_us"].to_numpy(np.int64)
    line = timeline(time_us)
    found, first, last = _blinks(samples, line, spec)
    borders = line.borders_us()
    # the timeline runs on where the clock is set back
    back_us = time_us[first] - line.time_us[line.positions[first]]
    return pd.DataFrame(
        {
            "first_row": first,
            "last_row": last,
            "onset_us": borders[found[:, 0]] + back_us,
            "end_us": borders[found[:, 1] + 1] + back_us,
        }
    )


def mark_blinks(samples: pd.DataFrame, spec: BlinkSpec | None = None) -> pd.DataFrame:
    """Take away gaze in and, as far as the padding goes, around blinks; it becomes NaN.

    Parameters
    ----------
    samples : DataFrame
        It is not changed.
    spec : BlinkSpec, optional
    """
    spec = spec or BlinkSpec()
    line = timeline(samples["tracker_time_us"].to_numpy(np.int64))
    found, _, _ = _blinks(samples, line, spec)
    borders, padding_us = line.borders_us(), spec.padding_ms * 1000
    first = np.searchsorted(line.time_us, borders[found[:, 0]] - padding_us)
    stop = np.searchsorted(line.time_us, borders[found[:, 1] + 1] + padding_us)
    steps = np.bincount(first, minlength=len(line.rows) + 1) - np.bincount(
        stop, minlength=len(line.rows) + 1
    )
    marked = (np.cumsum(steps)[:-1] > 0)[line.positions]
    gone = {name: samples[name].mask(marked) for name in _GAZE if name in samples}
    valid = {
        name: samples[name] & ~marked
        for name in (f"{eye}_valid" for eye in EYES)
        if name in samples
    }
    return samples.assign(**gone, **valid)


def _blinks(
    samples: pd.DataFrame, line: Timeline, spec: BlinkSpec
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First and last sample (m, 2) of each blink in the timeline, and its first and last row."""
    lost = np.ones(len(line.rows), np.int8)
    has_row = line.rows >= 0
    lost[has_row] = _lost(samples, spec)[line.rows[has_row]]
    found = stretches(lost, 1)
    borders = line.borders_us()
    lasts_ms = np.rint((borders[found[:, 1] + 1] - borders[found[:, 0]]) / 1000)
    first = np.searchsorted(line.positions, found[:, 0], "left")
    last = np.searchsorted(line.positions, found[:, 1], "right") - 1
    is_inside = (found[:, 0] > 0) & (found[:, 1] < len(lost) - 1) & (first <= last)
    is_blink = is_inside & (lasts_ms >= spec.min_ms) & (lasts_ms <= spec.max_ms)
    return found[is_blink], first[is_blink], last[is_blink]


def _lost(samples: pd.DataFrame, spec: BlinkSpec) -> NDArray[np.bool_]:
    """Whether no eye is seen at a sample (n,)."""
    by_eye = [_seen(samples, eye, spec) for eye in EYES]
    known = [seen for seen in by_eye if seen is not None]
    if spec.signal == "gaze" and not known:
        known = [samples["x_px"].notna().to_numpy() & samples["y_px"].notna().to_numpy()]
    if not known:
        return np.zeros(len(samples), bool)
    seen: NDArray[np.bool_] = np.any(known, axis=0)
    return ~seen


def _seen(samples: pd.DataFrame, eye: str, spec: BlinkSpec) -> NDArray[np.bool_] | None:
    """Whether an eye is seen at a sample (n,); None if the recording never has it."""
    units = ("pupil_mm", "pupil") if spec.signal == "pupil" else ("x_mm", "x_px", "dir_x")
    columns = [samples[f"{eye}_{unit}"].to_numpy() for unit in units if f"{eye}_{unit}" in samples]
    if not columns:
        return None
    seen: NDArray[np.bool_] = np.any([np.isfinite(column) for column in columns], axis=0)
    if spec.signal == "pupil":
        seen &= np.any([column > 0 for column in columns], axis=0)
    if spec.signal == "gaze" and f"{eye}_valid" in samples:
        seen &= samples[f"{eye}_valid"].to_numpy(bool)
    return seen if seen.any() else None
