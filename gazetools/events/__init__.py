"""Samples to events: which samples are fixations, saccades and blinks, and what those are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from gazetools.errors import SchemaError
from gazetools.events.assumed_eyes import (
    assume_eyes,
    gaze_in_mm,
    knows_directions,
    knows_eyes,
)
from gazetools.events.blinks import BlinkSpec, blinks, mark_blinks
from gazetools.events.detector import FIXATION, SACCADE
from gazetools.events.engbert_kliegl import EngbertKliegl, detect_engbert_kliegl
from gazetools.events.idt import IDT, detect_idt
from gazetools.events.ivt import IVT, detect_ivt, smooth
from gazetools.events.profiles import PROFILES, AnyDetector, profile
from gazetools.events.rays import screen_gaze
from gazetools.events.saccade_parser import SaccadeParser, detect_saccade_parser
from gazetools.events.saccades import measure_saccades
from gazetools.events.signals import Found, idt_xy, ivt_px
from gazetools.events.spread import Spread, detect_spread
from gazetools.kernels.labels import number_events
from gazetools.kernels.measures import means_of_events
from gazetools.tables import EVENTS
from gazetools.timeline import sample_spans_us, timeline

__all__ = [
    "IDT",
    "IVT",
    "PROFILES",
    "AnyDetector",
    "BlinkSpec",
    "EngbertKliegl",
    "Events",
    "Found",
    "SaccadeParser",
    "Spread",
    "assume_eyes",
    "blinks",
    "detect",
    "fixations",
    "gaze_in_mm",
    "idt_xy",
    "ivt_px",
    "knows_eyes",
    "mark_blinks",
    "profile",
    "saccades",
    "smoothed_gaze",
    "tells_angles",
]

_DETECT: dict[type, Callable[..., NDArray[np.int8]]] = {
    IVT: detect_ivt,
    IDT: detect_idt,
    EngbertKliegl: detect_engbert_kliegl,
    SaccadeParser: detect_saccade_parser,
    Spread: detect_spread,
}


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

    def words(self, index: pd.Index | None = None) -> pd.Series:
        """Label of each sample as a column of text, (n,); lighter than :meth:`names`."""
        text = pa.array(EVENTS, pa.large_string()).take(pa.array(self.label))
        dtype: Any = pd.StringDtype("pyarrow", na_value=np.nan)
        return pd.Series(dtype.__from_arrow__(text), index=index)


def detect(samples: pd.DataFrame, params: AnyDetector, *, mm_per_px: float | None = None) -> Events:
    """Find the events of one recording.

    Rows that the tracker dropped are noticed by their timestamps; no event but a merged
    fixation reaches across them. A row that repeats a timestamp gets the label of the row
    before it and is not looked at. At a backward jump of the clock all events end.

    Parameters
    ----------
    samples : DataFrame
        One recording's rows of a SAMPLES table in time order, with per-eye gaze and eye
        positions (see :func:`assume_eyes` where there are none), or with ``x_px`` and ``y_px``
        for a detector that measures in px. Gaze directions ``left_dir_x`` ... ``right_dir_z``
        are used if present.
    params : AnyDetector
        From :data:`PROFILES` or :func:`profile`, or your own.
    mm_per_px : float, optional
        Size of a display pixel, used when the table has gaze in px only; see also
        :func:`gaze_in_mm`.

    Raises
    ------
    GeometryError
        There is gaze, but no eye position, or no way from px to mm.
    SchemaError
        The table has no tracker time, or not the gaze that the detector wants.
    """
    line = timeline(_time_us(samples))
    label = _DETECT[type(params)](samples, line, params, mm_per_px)
    return Events(*number_events(label, line.positions))


def tells_angles(samples: pd.DataFrame, params: AnyDetector) -> bool:
    """Whether a detector needs no assumed eyes to measure angles in a SAMPLES table."""
    in_space = isinstance(params, Spread) and knows_directions(samples)
    return in_space or knows_eyes(samples)


def fixations(
    samples: pd.DataFrame,
    events: Events,
    params: AnyDetector | None = None,
    *,
    gaze: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """List the fixations among `events`.

    Parameters
    ----------
    samples : DataFrame
        What `events` were detected in.
    events : Events
    params : AnyDetector, optional
        If given, positions are means of gaze of the eye that the detector looks at, smoothed by
        its noise reduction, which is what the vendor reports; otherwise of raw gaze.
    gaze : (n, 2) float64, optional
        What :func:`smoothed_gaze` returned for them, if it was called before.

    Returns
    -------
    fixations : DataFrame
        Per fixation: ``first_row`` and ``last_row`` (positions in `samples`, inclusive),
        ``onset_us`` and ``end_us`` (tracker clock, half-open; borders lie midway between
        samples, half an interval out where no neighbour is near), ``x_px`` and ``y_px`` (mean
        gaze over the samples that have any, NaN if none has).
    """
    found = _spans(samples, events, FIXATION)
    first, last = (found[name].to_numpy() for name in ("first_row", "last_row"))
    gaze = smoothed_gaze(samples, params) if gaze is None else gaze
    means = means_of_events(gaze, first, last)
    return found.assign(x_px=means[:, 0], y_px=means[:, 1])


def saccades(
    samples: pd.DataFrame,
    events: Events,
    params: AnyDetector | None = None,
    *,
    mm_per_px: float | None = None,
) -> pd.DataFrame:
    """List the saccades among `events`, with what a main sequence is drawn of.

    Parameters
    ----------
    samples : DataFrame
        What `events` were detected in.
    events : Events
    params : AnyDetector, optional
        The detector, whose eye and whose velocity is reported; otherwise, and for I-DT, which
        has none, that of the white paper's 20 ms window on raw gaze.
    mm_per_px : float, optional
        As for :func:`detect`.

    Returns
    -------
    saccades : DataFrame
        Per saccade: ``first_row``, ``last_row``, ``onset_us`` and ``end_us`` as of
        :func:`fixations`; ``start_x_px`` ... ``end_y_px``, gaze at the sample before and the
        sample after it, or at its own first and last where that neighbour is missing;
        ``amplitude_deg``, the angle between the two; ``peak_velocity_deg_s``. The last two are
        NaN where no eye position is known.
    """
    found = _spans(samples, events, SACCADE)
    line = timeline(_time_us(samples))
    measures = measure_saccades(samples, line, found, params, mm_per_px)
    return pd.concat([found, measures], axis=1)


def smoothed_gaze(samples: pd.DataFrame, params: AnyDetector | None = None) -> NDArray[np.float64]:
    """Gaze on the screen (n, 2), px, of which a fixation's position is the mean.

    It is that of the eyes, or of the eye that `params` look at alone, if the table tells where
    it looked in px. With an IVT's, smoothed by its noise reduction; otherwise raw.
    """
    gaze = screen_gaze(samples, params.single_eye if params is not None else None)
    if not isinstance(params, IVT) or params.noise_reduction is None:
        return gaze
    line = timeline(_time_us(samples))
    along = line.spread(gaze)
    smooth(along, params)
    return along if line.is_complete() else along[line.positions]


def _spans(samples: pd.DataFrame, events: Events, code: int) -> pd.DataFrame:
    """First and last row, and times, of the events of one type."""
    begin_us, end_us = sample_spans_us(_time_us(samples))
    rows = np.flatnonzero(events.label == code)
    is_first = np.diff(events.index[rows], prepend=0) != 0
    first, last = rows[is_first], rows[np.roll(is_first, -1)]
    return pd.DataFrame(
        {
            "first_row": first,
            "last_row": last,
            "onset_us": begin_us[first],
            "end_us": end_us[last],
        }
    )


def _time_us(samples: pd.DataFrame) -> NDArray[np.int64]:
    if "tracker_time_us" not in samples:
        raise SchemaError(
            "samples table: column 'tracker_time_us' is missing; events need the tracker's clock"
        )
    time_us: NDArray[np.int64] = samples["tracker_time_us"].to_numpy(np.int64)
    return time_us
