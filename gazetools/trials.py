"""Where one picture gives way to the next: clocks of trials, fixations cut at their borders.

A trial lasts from where its first sample begins to where its last one ends (see
:mod:`gazetools.timeline`), like every event. Its clock starts at its beginning, so that the
first sample, a point in time, stands half an interval after 0.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.timeline import sample_spans_us

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def trial_begin_us(time_us: Integers, trial: Integers) -> Floats:
    """When the trial of each sample began, on the tracker's clock, shape (n,).

    Between trials (0) the clock is that of the recording.

    Parameters
    ----------
    time_us, trial : (n,) int64
        In time order.
    """
    begin_us, _ = sample_spans_us(time_us)
    first = pd.Series(begin_us).groupby(trial).transform("min").to_numpy()
    return np.where(trial > 0, first, begin_us[:1])


class TrialClock:
    """Numbers the trials of one recording and tells when each began; takes it in pieces.

    A run of one stimulus is a trial, counted from 1; where none is shown the trial is 0 and
    the clock that of the recording.

    Parameters
    ----------
    has_stimuli : bool
        Whether the export names any stimulus; if not, all is trial 1.
    """

    def __init__(self, *, has_stimuli: bool) -> None:
        self._has_stimuli = has_stimuli
        self._last_us: list[int] = []
        self._stimulus: str | None = None
        self._count = 0
        self._recording_us = 0.0
        self._trial_us = 0.0

    def add(self, time_us: Integers, stimulus: Any) -> tuple[Integers, Floats, Floats]:
        """Take the next samples.

        Parameters
        ----------
        time_us : (n,) int64
            The tracker's clock, rising.
        stimulus : (n,) str, or categories
            What was shown; null for nothing.

        Returns
        -------
        trial : (n,) int64
        clock_us : (n,) float64
            When the trial of each sample began.
        begin_us : (n,) float64
            When each sample begins.
        """
        begin_us = sample_spans_us(np.append(self._last_us, time_us).astype(np.int64))[0]
        begin_us = begin_us[len(self._last_us) :]
        if not self._last_us:
            self._recording_us = self._trial_us = begin_us[0]
        trial, clock_us = self._number(begin_us, stimulus)
        self._last_us = [int(time_us[-1])]
        return trial, clock_us, begin_us

    def _number(self, begin_us: Floats, stimulus: Any) -> tuple[Integers, Floats]:
        if not self._has_stimuli:
            return np.ones(len(stimulus), np.int64), np.full(len(stimulus), self._recording_us)
        code, names = pd.factorize(stimulus)
        shown = code >= 0
        before = dict(zip(names, range(len(names)), strict=True)).get(self._stimulus, -1)
        begins = shown & (np.diff(code, prepend=before) != 0)
        trial = np.where(shown, self._count + np.cumsum(begins), 0)
        starts_us = np.append(self._trial_us, begin_us[begins])
        clock_us = np.where(shown, starts_us[np.cumsum(begins)], self._recording_us)
        self._stimulus = names[code[-1]] if shown[-1] else None
        self._count += int(begins.sum())
        self._trial_us = float(starts_us[-1])
        return trial, clock_us


def cut_at_trials(fixations: pd.DataFrame, samples: pd.DataFrame, gaze: Floats) -> pd.DataFrame:
    """Give each trial its own part of a fixation that runs across a change of stimulus.

    Parameters
    ----------
    fixations : DataFrame
        A FIXATIONS table in time order, with ``first_row`` and ``last_row``, positions in
        `samples`; times are those of the trial of the first row.
    samples : DataFrame
        One recording's SAMPLES.
    gaze : (n, 2) float64
        Screen px; a part is at the mean of what it has of this.

    Returns
    -------
    parts : DataFrame
        `fixations` with rows for the parts, and a column ``whole``. Fixations that lie in one
        trial stay as they are; only they are whole.
    """
    trial = samples["trial"].to_numpy()
    first, stop_row = fixations["first_row"].to_numpy(), fixations["last_row"].to_numpy() + 1
    of, start, stop = _parts(first, stop_row, np.flatnonzero(np.diff(trial)) + 1)
    is_first, is_last = start == first[of], stop == stop_row[of]
    is_cut = ~(is_first & is_last)
    if not is_cut.any():
        return fixations.assign(whole=True)
    parts = fixations.iloc[of].reset_index(drop=True)
    onset_ms, duration_ms = parts["onset_ms"].to_numpy(), parts["duration_ms"].to_numpy()
    time_us = samples["tracker_time_us"].to_numpy()
    begin_us, end_us = sample_spans_us(time_us)
    clock_us = time_us - samples["t_ms"].to_numpy() * 1000
    # the outer ends stay where the detector, or the vendor, saw them
    onset_us = clock_us[first[of]] + onset_ms * 1000
    offset_us = np.where(is_last, onset_us + duration_ms * 1000, end_us[stop - 1])
    onset_us = np.where(is_first, onset_us, begin_us[start])
    gaze_px = parts[["x_px", "y_px"]].to_numpy(np.float64, copy=True)
    gaze_px[is_cut] = _means(gaze, start[is_cut], stop[is_cut])
    return parts.assign(
        first_row=start,
        last_row=stop - 1,
        trial=trial[start],
        stimulus=samples["stimulus"].array[start],
        onset_ms=np.where(is_cut, (onset_us - clock_us[start]) / 1000, onset_ms),
        duration_ms=np.where(is_cut, (offset_us - onset_us) / 1000, duration_ms),
        x_px=gaze_px[:, 0],
        y_px=gaze_px[:, 1],
        whole=~is_cut,
    )


def too_short(parts: pd.DataFrame, min_part_ms: float) -> pd.Series:
    """Tell which parts of cut fixations (n,) are too short, to the whole ms, to be any."""
    lasts_ms = parts["duration_ms"].round()
    return ~parts["whole"] & (parts["trial"] > 0) & (lasts_ms < min_part_ms)


def _parts(
    first: Integers, stop: Integers, changes: Integers
) -> tuple[Integers, Integers, Integers]:
    """Return number of stretch, first row, and row after the last, of each part."""
    before, until = np.searchsorted(changes, first, "right"), np.searchsorted(changes, stop)
    counts = until - before + 1
    of = np.repeat(np.arange(len(counts)), counts)
    # how many changes there are before each part
    at = np.arange(len(of)) - (np.cumsum(counts) - counts - before)[of]
    borders = np.concatenate(([0], changes, [stop.max(initial=0)]))
    return of, np.maximum(first[of], borders[at]), np.minimum(stop[of], borders[at + 1])


def _means(values: Floats, start: Integers, stop: Integers) -> Floats:
    """Mean over rows [start, stop) of each stretch, of what is not NaN."""
    ends = np.cumsum(stop - start)
    begins = ends - (stop - start)
    rows = np.arange(ends[-1]) + np.repeat(start - begins, stop - start)
    known = ~np.isnan(values[rows])
    both = np.stack([np.where(known, values[rows], 0), known], axis=-1)
    sums = np.add.reduceat(both, begins)
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1]
