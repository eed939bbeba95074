"""What the rows of a Tobii Pro Lab export say: gaze, events, the screen, where stimuli lay."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gazetools.geometry import Placement
from gazetools.readers.building import EYES, Bools, Floats
from gazetools.readers.columns import Rows, any_known, holds, renamed, repeated, strings
from gazetools.tables import SAMPLES
from gazetools.trials import TrialClock

_VENDOR_EVENTS = {
    "Fixation": "fixation",
    "Saccade": "saccade",
    "Unclassified": "unclassified",
    "EyesNotFound": "missing",
}
_TOLD = {"vendor_duration_ms": "duration_ms", "vendor_x_px": "x_px", "vendor_y_px": "y_px"}
_OF_VENDOR = ("vendor_event_index", *_TOLD)
_RECTANGLE = ["media_x", "media_y", "media_width", "media_height"]
_ORIGINAL = ["original_width", "original_height"]
_BEGINS = re.compile(r"\w+StimulusStart")
_ENDS = re.compile(r"\w+StimulusEnd|Recording(Start|End)")
_VALID = ("Valid", "0", "1")
"""Early versions wrote the codes of Studio."""
_MEASURED = {"accuracy_deg": "accuracy", "precision_rms_deg": "precision"}


def are_gaze(rows: Rows) -> Bools:
    """Tell which rows (n,) are of the eye tracker; without sensors, which are nothing else."""
    if any_known(rows["sensor"]):
        return holds(rows["sensor"], "Eye Tracker")
    is_mouse = ~np.isnan(rows["mouse_x"]) & np.isnan(rows["x_px"])
    is_gaze: Bools = rows["event_row"].isna() & ~is_mouse
    validity = [rows[f"{eye}_validity"] for eye in EYES]
    if not any(set(eye.categories) - set(_VALID) for eye in validity):
        return is_gaze
    # of lost gaze, too, validity is told
    told = ~np.all([eye.isna() for eye in validity], axis=0)
    told |= ~np.isnan(rows["x_px"]) | ~np.isnan(rows["tracker_us"]) | ~np.isnan(rows["tracker_ms"])
    is_gaze &= told
    return is_gaze


def count_others(rows: Rows, is_gaze: Bools) -> dict[str, int]:
    """Count the rows that are not of the eye tracker, by what they are."""
    if is_gaze.all():
        return {}
    others = pd.Series(strings(rows["sensor"][~is_gaze])).str.lower().fillna("event")
    return {f"{name} rows": int(count) for name, count in others.value_counts().items()}


class Shown:
    """Tells which stimulus was shown by the events between which it was; takes rows in blocks."""

    def __init__(self) -> None:
        self._stimulus: str | None = None

    def add(self, event: pd.Categorical, value: pd.Categorical) -> pd.Categorical:
        """Return the stimulus of each of the next rows (n,), which events name by their value."""
        rows = np.arange(len(event))
        begins = _any_of(event, _BEGINS)
        last = np.maximum.accumulate(np.where(begins | _any_of(event, _ENDS), rows, -1))
        names = [*value.categories, self._stimulus or ""]
        before = len(names) - 1 if self._stimulus else -1
        codes = np.where(begins, value.codes, -1)[last]
        codes = np.where(last < 0, before, codes)
        self._stimulus = names[codes[-1]] if len(codes) and codes[-1] >= 0 else None
        unique = pd.Index(names).unique()
        at = np.append(unique.get_indexer(names), -1)[codes]
        return pd.Categorical.from_codes(at, unique.astype("str"), validate=False)


def names_stimuli(event: pd.Categorical, value: pd.Categorical) -> bool:
    """Whether any event of some rows (n,) begins a stimulus and names it."""
    return bool((_any_of(event, _BEGINS) & ~value.isna()).any())


def _any_of(events: pd.Categorical, pattern: re.Pattern[str]) -> Bools:
    # the last is what code -1 takes
    fits = np.array([*(bool(pattern.fullmatch(name)) for name in events.categories), False])
    found: Bools = fits[events.codes]
    return found


def gaze_of(rows: Rows, stimulus: Any) -> Rows:
    """Take what samples and the vendor's fixations are made of."""
    eyes = [c.name for c in SAMPLES.columns if c.name.startswith(EYES) and c.name in rows]
    return {
        "stimulus": stimulus,
        "tracker_time_us": np.rint(rows["tracker_time_us"]).astype(np.int64),
        **{name: rows[name] for name in ("x_px", "y_px", *eyes)},
        **{f"{eye}_valid": _valid(rows, eye) for eye in EYES},
        "vendor_event": renamed(rows["vendor_event"], _VENDOR_EVENTS),
        **{name: rows[name] for name in _OF_VENDOR},
    }


def samples_of(
    rows: Rows, clock: TrialClock, subject: str, recording: str
) -> tuple[pd.DataFrame, Floats]:
    """Make SAMPLES of a recording's next rows; also return when each sample begins."""
    time_us = rows["tracker_time_us"]
    trial, clock_us, begin_us = clock.add(time_us, rows["stimulus"])
    columns = {name: rows[name] for name in rows if name not in _OF_VENDOR} | {
        "recording": repeated(recording, len(time_us)),
        "subject": repeated(subject, len(time_us)),
        "stimulus": strings(rows["stimulus"]),
        "vendor_event": strings(rows["vendor_event"]),
        "trial": trial,
        "t_ms": (time_us - clock_us) / 1000,
        "vendor_event_index": np.nan_to_num(rows["vendor_event_index"]).astype(np.int64),
    }
    return SAMPLES.conform(pd.DataFrame(columns, copy=False)), begin_us


def _valid(rows: Rows, eye: str) -> Bools:
    validity = rows[f"{eye}_validity"]
    points = [rows[x] for x in (f"{eye}_x_px", f"{eye}_x_mm") if x in rows]
    # an export may tell the validity of eyes, and of gaze only the average
    seen = np.full(len(validity), not points and any_known(validity))
    for x in points:
        seen |= ~np.isnan(x)
    if any_known(validity):
        seen &= np.any([holds(validity, word) for word in _VALID], axis=0)
    return seen


def told_of_events(rows: Rows) -> pd.DataFrame:
    """Duration and place of the vendor's event that each row (n,) belongs to."""
    return pd.DataFrame({name: rows[column] for column, name in _TOLD.items()}, copy=False)


# ---------------------------------------------------------------- the recording


def screen_px_of(rows: Rows) -> tuple[int, int] | None:
    """Width and height of the display, of the first row that tells them."""
    width, height = rows["screen_width"], rows["screen_height"]
    at = np.argmin(np.isnan(width) | np.isnan(height))
    if np.isnan(width[at] + height[at]):
        return None
    return int(width[at]), int(height[at])


def placements_of(rows: Rows, stimulus: Any) -> Iterator[tuple[str, Placement | None]]:
    """Where each stimulus lay, once for every place; None for a place of no size."""
    names = pd.Categorical(stimulus)
    shown = [names.codes, *(rows[name] for name in _RECTANGLE)]
    is_new = np.arange(len(names)) == 0
    for column in shown:
        is_new[1:] |= column[1:] != column[:-1]
    is_known = shown[0] >= 0
    for column in shown[1:]:
        is_known &= ~np.isnan(column)
    # from the last on, so that the first row of a place counts
    at = np.flatnonzero(is_new & is_known)[::-1]
    places = zip(*(column[at].tolist() for column in shown), strict=True)
    first = dict(zip(places, at, strict=True))
    original = [rows[name] for name in _ORIGINAL]
    for (code, x, y, width, height), row in reversed(first.items()):
        # without the original size, image px are the px that were presented
        sizes = zip((width, height), (column[row] for column in original), strict=True)
        size = [px if np.isnan(whole) else float(whole) for px, whole in sizes]
        is_some = min(width, height, *size) >= 1
        yield (
            str(names.categories[code]),
            Placement(x, y, width, height, *map(round, size)) if is_some else None,
        )


def validation_of(rows: Rows) -> dict[str, float]:
    """Accuracy and precision that were measured after calibration, else in it."""
    found = {}
    for name, what in _MEASURED.items():
        for when in ("validation", "calibration"):
            values = rows[f"{when}_{what}"]
            is_known = ~np.isnan(values)
            if name not in found and is_known.any():
                found[name] = float(values[is_known.argmax()])
    return found
