"""Samples to events: which samples are fixations, and what those fixations are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import SchemaError
from gazetools.events.assumed_eyes import assume_eyes, knows_eyes
from gazetools.events.ivt import FIXATION, IVT, PROFILES, detect_ivt, smooth
from gazetools.tables import EVENTS
from gazetools.timeline import sample_spans_us, timeline

__all__ = [
    "IVT",
    "PROFILES",
    "Events",
    "assume_eyes",
    "detect",
    "fixations",
    "knows_eyes",
    "smoothed_gaze",
]


@dataclass(frozen=True)
class Events:
    """What happens at each sample of a recording.

    Attributes
    ----------
    label : (n,) int8
        Codes into :data:`gazetools.tables.EVENTS`.
    index : (n,) int64
        Number of the event among those of its type, from 1.
    """

    label: NDArray[np.int8]
    index: NDArray[np.int64]

    def names(self) -> NDArray[np.str_]:
        """Label of each sample in words, (n,)."""
        return np.array(EVENTS)[self.label]


def detect(samples: pd.DataFrame, params: IVT, *, mm_per_px: float | None = None) -> Events:
    """Find the events of one recording.

    Rows that the tracker dropped are noticed by their timestamps; no event but a merged
    fixation reaches across them. A row that repeats a timestamp gets the label of the row
    before it and is not looked at. At a backward jump of the clock all events end.

    Parameters
    ----------
    samples : DataFrame
        One recording's rows of a SAMPLES table in time order, with per-eye gaze and eye
        positions. Gaze directions ``left_dir_x`` ... ``right_dir_z`` are used if present.
    params : IVT
        From :data:`PROFILES`, or your own.
    mm_per_px : float, optional
        Size of a display pixel, used when the table has gaze in px only.

    Raises
    ------
    GeometryError
        There is gaze, but no eye position, or no way from px to mm.
    SchemaError
        The table has no tracker time.
    """
    if "tracker_time_us" not in samples:
        raise SchemaError(
            "samples table: column 'tracker_time_us' is missing; events need the tracker's clock"
        )
    line = timeline(samples["tracker_time_us"].to_numpy(np.int64))
    label = detect_ivt(samples, line, params, mm_per_px)
    event = np.cumsum(np.diff(label, prepend=label[:1]) != 0)
    return Events(
        label=label[line.positions],
        index=_running_numbers(label[line.positions], event[line.positions]),
    )


def fixations(samples: pd.DataFrame, events: Events, params: IVT | None = None) -> pd.DataFrame:
    """List the fixations among `events`.

    Parameters
    ----------
    samples : DataFrame
        What `events` were detected in.
    events : Events
    params : IVT, optional
        If given, positions are means of gaze smoothed by the detector's noise reduction, which
        is what the vendor reports; otherwise of raw gaze.

    Returns
    -------
    fixations : DataFrame
        Per fixation: ``first_row`` and ``last_row`` (positions in `samples`, inclusive),
        ``onset_us`` and ``end_us`` (tracker clock, half-open; borders lie midway between
        samples, half an interval out where no neighbour is near), ``x_px`` and ``y_px`` (mean
        gaze over the samples that have any, NaN if none has).
    """
    time_us = samples["tracker_time_us"].to_numpy(np.int64)
    begin_us, end_us = sample_spans_us(time_us)
    rows = np.flatnonzero(events.label == FIXATION)
    _, start, count = np.unique(events.index[rows], return_index=True, return_counts=True)
    first, last = rows[start], rows[start + count - 1]
    gaze = smoothed_gaze(samples, params)
    means = pd.DataFrame(gaze[rows], columns=["x_px", "y_px"]).groupby(events.index[rows]).mean()
    return pd.DataFrame(
        {
            "first_row": first,
            "last_row": last,
            "onset_us": begin_us[first],
            "end_us": end_us[last],
            "x_px": means["x_px"].to_numpy(),
            "y_px": means["y_px"].to_numpy(),
        }
    )


def smoothed_gaze(samples: pd.DataFrame, params: IVT | None = None) -> NDArray[np.float64]:
    """Gaze on the screen (n, 2), px, of which a fixation's position is the mean.

    With `params`, smoothed by the detector's noise reduction; otherwise raw.
    """
    gaze: NDArray[np.float64] = samples[["x_px", "y_px"]].to_numpy(np.float64)
    if params is None:
        return gaze
    line = timeline(samples["tracker_time_us"].to_numpy(np.int64))
    return smooth(line.spread(gaze), params)[line.positions]


def _running_numbers(label: NDArray[np.int8], event: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the events of each type from 1, given each sample's label and event (n,)."""
    starts = np.diff(event, prepend=-1) != 0
    index = np.zeros(len(label), np.int64)
    for code in range(len(EVENTS)):
        is_code = label == code
        index[is_code] = np.cumsum(starts & is_code)[is_code]
    return index
