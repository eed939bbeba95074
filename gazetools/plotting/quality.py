"""Data quality of recordings, on Axes: one figure of it a panel, a row a recording."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools.errors import ConfigError, SchemaError
from gazetools.plotting.paper import COLOURS, GREY, as_it_is
from gazetools.reporting.measures import MEASURES, measures_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes


PANELS = {measure.column: measure for measure in MEASURES if measure.in_figures}
"""What can be drawn, in the order of the panels."""

Floats = npt.NDArray[np.float64]

_FINE, _BEYOND = COLOURS[0], COLOURS[1]


def panels_in(table: pd.DataFrame) -> list[str]:
    """Columns of PANELS that any recording has; px only where no recording has degrees.

    Raises
    ------
    SchemaError
        There are no recordings, or none has any of them.
    """
    recordings = table[table["level"] == "recording"]
    found = [measure.column for measure in measures_in(recordings) if measure.in_figures]
    if not found:
        raise SchemaError(
            f"the table holds {len(recordings)} recordings, and none has a figure to draw; "
            "`gazetools check -o quality.parquet` writes them"
        )
    return found


def plot_quality(
    axes: "Axes",
    table: pd.DataFrame,
    measure: str,
    limits: Mapping[str, float | None] | None = None,
    *,
    names: bool = True,
) -> int:
    """Draw one figure of quality: a row for each recording, a small dot for each of its trials.

    Parameters
    ----------
    axes : Axes
    table : DataFrame
        See :data:`gazetools.tables.QUALITY`.
    measure : str
        A column out of PANELS.
    limits : mapping, optional
        As :meth:`gazetools.quality.QualitySpec.as_dict` gives them: drawn as lines, and what is
        beyond is a diamond of another colour.
    names : bool
        Name the recordings.

    Returns
    -------
    int
        Recordings beyond a limit.

    Raises
    ------
    ConfigError
        The measure is unknown.
    """
    if measure not in PANELS:
        raise ConfigError(f"measure {measure!r} is unknown; expected {', '.join(PANELS)}")
    shown = PANELS[measure]
    limits = limits or {}
    high, low = (limits.get(name) if name else None for name in (shown.above, shown.below))
    recordings = table[table["level"] == "recording"]
    keys = list(zip(recordings["subject"], recordings["recording"], strict=True))
    trials = table[table["level"] == "trial"]
    rows = _rows_of_trials(table)
    of_trials = trials[measure].to_numpy(np.float64)
    style: dict[str, Any] = {"clip_on": False, "linestyle": "none"}
    if len(trials):
        small: Any = {"marker": "o", "ms": 2, "color": GREY, "alpha": 0.35, "mew": 0}
        axes.plot(of_trials, rows, label="trial", **small, **style)
    values = recordings[measure].to_numpy(np.float64)
    beyond = (values > (np.inf if high is None else high)) | (
        values < (-np.inf if low is None else low)
    )
    places = np.arange(len(values))
    for which, marker, colour, label in (
        (~beyond, "o", _FINE, "recording"),
        (beyond, "D", _BEYOND, "recording beyond a limit"),
    ):
        look: Any = {"marker": marker, "color": colour, "ms": 4, "mec": "white", "mew": 0.5}
        axes.plot([], [], linestyle="none", label=label, **look)
        if which.any():  # what is unclipped and empty has no bounds to lay out
            axes.plot(values[which], places[which], zorder=3, **look, **style)
    for limit in (high, low):
        if limit is not None:
            line: Any = {"linewidth": 0.8, "linestyle": (0, (4, 2)), "zorder": 1, "label": "limit"}
            axes.axvline(limit, color=_BEYOND, **line)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_yticks(places, [_name(*key) for key in keys] if names else [""] * len(keys))
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel(f"{shown.label}\n{shown.unit}")
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlim(left=0, right=100 if measure.endswith("_pct") else None)
    axes.grid(True)
    return int(beyond.sum())


def _rows_of_trials(table: pd.DataFrame) -> Floats:
    """Row (n,) of the panel in which each trial is drawn; NaN if its recording is not there."""
    is_recording = (table["level"] == "recording").to_numpy()
    is_trial = (table["level"] == "trial").to_numpy()
    keys = list(zip(table["subject"], table["recording"], strict=True))
    row_of = {keys[at]: row for row, at in enumerate(np.flatnonzero(is_recording))}
    if len(row_of) == is_recording.sum():
        found = [row_of.get(keys[at], np.nan) for at in np.flatnonzero(is_trial)]
        return np.asarray(found, np.float64)
    # files in several folders may give one name to several recordings: each comes before its trials
    return np.asarray((np.cumsum(is_recording) - 1.0)[is_trial])


def _name(subject: str, recording: str) -> str:
    return as_it_is(f"{subject}, {recording}")
