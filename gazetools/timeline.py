"""The clock of a recording put straight, and where in time its samples begin and end."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# no rule joins anything across so long a hole
_CLOCK_RESET_US = 10_000_000
_HOLE_INTERVALS = 1.5
_FEW, _MOST = 0.05, 0.9
_FAR_TOO_SHORT = 0.8
# counting is several times faster than sorting
_COUNT_FROM = 1000
_COUNT_BELOW_US = 1_000_000


@dataclass(frozen=True)
class Timeline:
    """Samples in strictly rising time, with rows for what the tracker dropped.

    Attributes
    ----------
    rows : (m,) int64
        Row of the recording that each sample comes from, -1 for a dropped one.
    time_us : (m,) float64
        Strictly rising; equal to the tracker's clock up to its first backward jump.
    interval_us : float
        Time from sample to sample.
    positions : (n,) int64
        Where in the timeline each row of the recording is; a row that repeats the time of the
        one before stands at the same place.
    """

    rows: NDArray[np.int64]
    time_us: NDArray[np.float64]
    interval_us: float
    positions: NDArray[np.int64]

    def borders_us(self) -> NDArray[np.float64]:
        """Where samples touch, shape (m + 1,): midway between neighbours."""
        time = self.time_us
        if not len(time):
            return np.zeros(1)
        half = self.interval_us / 2
        return np.concatenate(([time[0] - half], (time[1:] + time[:-1]) / 2, [time[-1] + half]))

    def lasts_us(self, events: NDArray[np.int64]) -> NDArray[np.float64]:
        """How long events (k, 2), first and last sample, last from border to border, (k,)."""
        borders = self.borders_us()
        lasts: NDArray[np.float64] = borders[events[:, 1] + 1] - borders[events[:, 0]]
        return lasts

    def is_complete(self) -> bool:
        """Whether each row of the recording is a sample, and nothing else is."""
        return len(self.rows) == len(self.positions) and bool((self.rows >= 0).all())

    def spread(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of a recording's column (n, ...) along the timeline, NaN where dropped."""
        if self.is_complete():
            return column.astype(np.float64)
        values = np.full((len(self.rows), *column.shape[1:]), np.nan)
        kept = self.rows >= 0
        values[kept] = column[self.rows[kept]]
        return values


def sample_interval_us(time_us: NDArray[Any]) -> float:
    """Time from sample to sample of a clock (n,), in whole us; 1 ms if it never moves."""
    steps = np.diff(time_us)
    steps = steps[steps > 0]
    if not len(steps):
        return 1000.0
    step_us = usual_step_us(steps)
    return float(np.rint(step_us)) or step_us


def usual_step_us(steps_us: NDArray[Any]) -> float:
    """Time from sample to sample, by the forward steps (n,) of a clock.

    It is their mean as far as they are within a tick of their median: at 300 Hz, stamps in whole
    ms are 3 or 4 ms apart, and none of the two is the interval. Of steps that are no whole
    numbers it is the median.
    """
    if not np.issubdtype(steps_us.dtype, np.integer):
        return float(np.median(steps_us))
    lengths, counts = _counted(steps_us)
    middle = [(len(steps_us) - 1) // 2, len(steps_us) // 2]
    median = float(lengths[np.searchsorted(np.cumsum(counts), middle, "right")].mean())
    is_one = np.abs(lengths - median) <= np.gcd.reduce(lengths)
    is_one &= lengths <= _HOLE_INTERVALS * median
    if not is_one.any():
        return median
    return float((lengths[is_one] * counts[is_one]).sum() / counts[is_one].sum())


def _counted(steps_us: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lengths of steps, rising, and how many of each there are."""
    if len(steps_us) > _COUNT_FROM:
        # a pause may be long, but not half of all steps
        counts = np.bincount(np.minimum(steps_us, _COUNT_BELOW_US))
        if 2 * counts[_COUNT_BELOW_US:].sum() < len(steps_us):
            lengths = np.flatnonzero(counts)
            return lengths, counts[lengths]
    return np.unique(steps_us, return_counts=True)


def longest_step_us(steps_us: NDArray[Any], interval_us: float) -> float:
    """Return the longest of a clock's steps (n,) that is no hole; more without a fixed rate.

    A clock of a fixed rate may drop samples, but has next to no steps that are far too short.
    """
    shortest, usual = (
        np.quantile(steps_us, [_FEW, _MOST]) if len(steps_us) else (interval_us, interval_us)
    )
    if shortest > _FAR_TOO_SHORT * interval_us:
        usual = interval_us
    return _HOLE_INTERVALS * max(float(usual), interval_us)


def timeline(time_us: NDArray[np.int64]) -> Timeline:
    """Re-insert dropped samples, leave out repeated ones, bridge backward jumps of the clock.

    A hole gets a missing sample at its beginning and, if it is longer, one at its end: enough
    to part its sides and to end them where a sample of theirs would end, whatever its length.
    A hole is a step of over one and a half intervals; where there is no fixed rate, as where a
    tracker's cameras take turns, of over one and a half times what nine of ten steps are within.

    Parameters
    ----------
    time_us : (n,) int64
        The tracker's clock.
    """
    interval = sample_interval_us(time_us)
    steps = np.diff(time_us)
    if len(steps) and steps.min() > 0 and steps.max() <= _HOLE_INTERVALS * interval:
        every = np.arange(len(time_us))
        return Timeline(every, time_us.astype(np.float64), interval, every)
    steps = np.concatenate((np.zeros(len(time_us) - len(steps)), steps))
    steps[steps < 0] = _CLOCK_RESET_US
    is_new = steps > 0
    is_new[:1] = True
    kept = np.flatnonzero(is_new)
    time = np.cumsum(steps[kept]) + (float(time_us[0]) if len(time_us) else 0.0)

    gaps = np.diff(time)
    before = np.flatnonzero(gaps > longest_step_us(gaps, interval))
    missed = np.rint(gaps[before] / interval) - 1
    far = before[missed >= 2]
    before = before[missed >= 1]
    taken = np.ones(len(kept), np.int64)
    taken[before] += 1
    taken[far] += 1
    position_of_kept = np.cumsum(taken) - taken
    n = len(kept) + len(before) + len(far)
    rows, times = np.full(n, -1), np.empty(n)
    rows[position_of_kept], times[position_of_kept] = kept, time
    times[position_of_kept[before] + 1] = time[before] + interval
    times[position_of_kept[far] + 2] = time[far + 1] - interval
    return Timeline(
        rows=rows,
        time_us=times,
        interval_us=interval,
        positions=position_of_kept[np.cumsum(is_new) - 1],
    )


def sample_spans_us(time_us: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """When each sample of a recording begins and ends, on the tracker's clock as it is.

    Samples touch midway between neighbours; at a hole, and at the ends of the recording, a
    sample reaches half an interval out. What is made of samples, an event or a trial, begins
    where its first sample begins and ends where its last one ends.

    Parameters
    ----------
    time_us : (n,) int64
        The tracker's clock.

    Returns
    -------
    begin_us, end_us : (n,) float64
    """
    line = timeline(time_us)
    borders, at = line.borders_us(), line.positions
    before, after = line.time_us[at] - borders[at], borders[at + 1] - line.time_us[at]
    return time_us - before, time_us + after
