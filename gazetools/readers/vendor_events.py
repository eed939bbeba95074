"""A vendor's events as tables: placed on samples, made of labelled samples, or listed alone."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from gazetools.readers.building import Bools, Floats, Integers, add_counts
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES, Schema
from gazetools.timeline import sample_interval_us, sample_spans_us
from gazetools.trials import trial_begin_us

CUT_OFF = "fixations cut off by the export"
"""Among what a reader counts: fixations that begin before its samples, or end behind them."""
ROUNDING_US = 1.5
"""By which sums of times that are written to the microsecond are off, at most."""
_SLACK_SAMPLES = 1.5
"""By which a vendor's duration may differ from that of a fixation's samples."""
_PLACED = ("recording", "subject", "trial", "stimulus", "onset_ms", "duration_ms", "source")
_ONE_EVENT = (
    *("recording", "subject", "trial", "eye", "begin_us", "onset_ms", "duration_ms"),
    *("x_px", "y_px", "x_im", "y_im"),
)


# ---------------------------------------------------------------- fixations


def place_fixations(
    events: pd.DataFrame, samples: pd.DataFrame, source: str, *, slack_us: int = 0
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Make a FIXATIONS table of a vendor's fixations, placed on the samples.

    Parameters
    ----------
    events : DataFrame
        ``begin_us``, ``last_us`` (of the last sample, inclusive, on the tracker's clock),
        ``duration_ms``, ``x_px``, ``y_px``.
    samples : DataFrame
        One recording's SAMPLES.
    source : str
    slack_us : int
        How far a sample may lie outside and still belong; for times that were rounded.

    Returns
    -------
    fixations : DataFrame
        With ``first_row`` and ``last_row``.
    skipped : dict of str to int
    """
    events, skipped = drop_bad_fixations(events)
    time_us = samples["tracker_time_us"].to_numpy(np.int64)
    first = np.searchsorted(time_us, events["begin_us"].to_numpy(np.int64) - slack_us, "left")
    last_us = events["last_us"].to_numpy(np.int64) + slack_us
    last = np.searchsorted(time_us, last_us, "right") - 1
    inside = first <= last
    if not inside.all():
        skipped["fixations without samples"] = int((~inside).sum())
    events = events[inside].reset_index(drop=True)
    if events.empty:
        return _no_fixations(), skipped
    first, last = first[inside], last[inside]
    table = _at_rows(events, samples, first).assign(
        x_px=events["x_px"],
        y_px=events["y_px"],
        source=source,
        first_row=first,
        last_row=last,
    )
    return finish_fixations(table), skipped


def fixations_of_labels(
    samples: pd.DataFrame, begin_us: Floats, source: str, told: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Make a FIXATIONS table of samples that the vendor labelled.

    A fixation begins midway to the sample before it.

    Parameters
    ----------
    samples : DataFrame
        One recording's SAMPLES with ``vendor_event`` and ``vendor_event_index``.
    begin_us : (n,) float64
        When each sample begins.
    source : str
    told : DataFrame, optional
        Of each sample: ``duration_ms``, ``x_px``, ``y_px`` of its fixation as the vendor has
        them; where they are NaN, they are taken from the samples. So are longer durations of
        what the export cuts off where it begins or ends.

    Returns
    -------
    fixations : DataFrame
        With ``first_row`` and ``last_row``.
    skipped : dict of str to int
    """
    runs = _Runs.of(samples)
    if not len(runs.begins):
        return _no_fixations(), {}
    if told is None:
        told = pd.DataFrame(np.nan, samples.index, ["duration_ms", "x_px", "y_px"])
    first, last = runs.first, runs.last
    time_us, t_ms = (samples[name].to_numpy() for name in ("tracker_time_us", "t_ms"))
    _, end_us = sample_spans_us(time_us)
    spans_ms = (end_us[last] - begin_us[first]) / 1000
    told_ms = runs.first_known(told["duration_ms"].to_numpy())
    duration_ms = np.where(np.isnan(told_ms), spans_ms, told_ms)
    slack_ms = _SLACK_SAMPLES * sample_interval_us(time_us) / 1000
    is_cut = (first == 0) | (last == len(samples) - 1)
    is_cut &= duration_ms > spans_ms + slack_ms
    x_px, y_px = (runs.medians(told[name].to_numpy()) for name in ("x_px", "y_px"))
    nowhere = np.isnan(x_px) | np.isnan(y_px)
    if nowhere.any():
        gaze_px = [runs.means(samples[name].to_numpy()) for name in ("x_px", "y_px")]
        x_px, y_px = np.where(nowhere, gaze_px, (x_px, y_px))
    clock_us = time_us[first] - t_ms[first] * 1000
    events, skipped = drop_bad_fixations(
        samples[["recording", "subject", "trial", "stimulus"]]
        .iloc[first]
        .reset_index(drop=True)
        .assign(
            begin_us=begin_us[first],
            onset_ms=(begin_us[first] - clock_us) / 1000,
            duration_ms=np.where(is_cut, spans_ms, duration_ms),
            x_px=x_px,
            y_px=y_px,
            source=source,
            first_row=first,
            last_row=last,
        )
    )
    if is_cut.any():
        skipped[CUT_OFF] = int(is_cut.sum())
    return finish_fixations(events.drop(columns="begin_us")), skipped


@dataclass(frozen=True)
class _Runs:
    """Samples of one fixation each, as the vendor labels them.

    Attributes
    ----------
    rows : (n,) int64
        Of all samples that belong to a fixation.
    begins : (m,) int64
        Which of `rows` are the first of a fixation.
    """

    rows: Integers
    begins: Integers

    @classmethod
    def of(cls, samples: pd.DataFrame) -> Self:
        rows = np.flatnonzero((samples["vendor_event"] == "fixation").to_numpy(bool))
        # a recording may be two, bound together, whose numbers begin anew
        number = samples["vendor_event_index"].to_numpy()[rows]
        return cls(rows, np.flatnonzero(np.diff(number, prepend=number[:1] - 1)))

    @property
    def first(self) -> Integers:
        return self.rows[self.begins]

    @property
    def last(self) -> Integers:
        last: Integers = self.rows[np.append(self.begins[1:], len(self.rows)) - 1]
        return last

    def first_known(self, values: Floats) -> Floats:
        """First value (m,) of each that is no NaN; NaN if it has none."""
        values = values[self.rows]
        at = np.where(np.isnan(values), len(values), np.arange(len(values)))
        found: Floats = np.append(values, np.nan)[np.minimum.reduceat(at, self.begins)]
        return found

    def medians(self, values: Floats) -> Floats:
        """Median (m,) of the values of each that are no NaN; NaN if it has none."""
        lowest, highest = (f.reduceat(values[self.rows], self.begins) for f in (np.fmin, np.fmax))
        if (lowest < highest).any():  # a vendor most often repeats one value
            lowest = self._grouped(values).median().to_numpy()
        return lowest

    def means(self, values: Floats) -> Floats:
        """Mean (m,) of the values of each that are no NaN; NaN if it has none."""
        found: Floats = self._grouped(values).mean().to_numpy()
        return found

    def _grouped(self, values: Floats) -> Any:
        run = np.repeat(np.arange(len(self.begins)), np.diff(self.begins, append=len(self.rows)))
        return pd.Series(values[self.rows]).groupby(run)


def _no_fixations() -> pd.DataFrame:
    none = pd.Series(dtype="int64")
    return FIXATIONS.empty().assign(first_row=none, last_row=none)


def list_fixations(events: pd.DataFrame, source: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """Make a FIXATIONS table without samples: a trial begins with its first fixation.

    Parameters
    ----------
    events : DataFrame
        ``recording``, ``subject``, ``trial``, ``stimulus``, ``begin_us``, ``duration_ms``,
        ``x_px``, ``y_px``.
    source : str

    Returns
    -------
    fixations : DataFrame
    skipped : dict of str to int
    """
    events, skipped = drop_bad_fixations(events)
    clock_us = events.groupby("trial")["begin_us"].transform("min")
    table = events.assign(onset_ms=(events["begin_us"] - clock_us) / 1000, source=source)
    return finish_fixations(declared(table, FIXATIONS)), skipped


def drop_bad_fixations(events: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out fixations that last no time, are nowhere, or are listed again.

    Returns
    -------
    events : DataFrame
        The others, sorted.
    skipped : dict of str to int
    """
    nowhere = events[["x_px", "y_px"]].isna().any(axis=1)
    lasting = (events["duration_ms"] > 0) & np.isfinite(events["duration_ms"])
    skipped = {
        "fixations without a duration": int((~lasting).sum()),
        "fixations without a position": int((lasting & nowhere).sum()),
    }
    events = events[lasting & ~nowhere].sort_values("begin_us", kind="stable", ignore_index=True)
    events, again = listed_once(events)
    return events, add_counts(skipped, again)


def listed_once(
    events: pd.DataFrame, what: str = "fixations"
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Leave out events that are listed again; count them as `what`.

    Vendors list an event once for each section or period of interest that it lies in, and
    people for each area that they join to it.
    """
    again = events.duplicated([name for name in _ONE_EVENT if name in events])
    events = events[~again].reset_index(drop=True)
    return events, add_counts({f"{what} listed again": int(again.sum())})


def finish_fixations(table: pd.DataFrame) -> pd.DataFrame:
    """Give fixations their number within their trial and conform them."""
    table = table.reset_index(drop=True)
    return FIXATIONS.conform(table.assign(order=table.groupby("trial").cumcount() + 1))


# ---------------------------------------------------------------- saccades and blinks


def place_blinks(
    events: pd.DataFrame, samples: pd.DataFrame, source: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Make a BLINKS table of ``begin_us``, ``duration_ms`` and ``eye``; count those of no time."""
    placed, skipped = _place_others(events, samples, "blinks")
    return BLINKS.conform(placed.assign(source=source)), skipped


def place_saccades(
    events: pd.DataFrame, samples: pd.DataFrame, source: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Make a SACCADES table of ``begin_us``, ``duration_ms`` and more; count as for blinks."""
    placed, skipped = _place_others(events, samples, "saccades")
    return SACCADES.conform(placed.assign(source=source)), skipped


def _place_others(
    events: pd.DataFrame, samples: pd.DataFrame, what: str
) -> tuple[pd.DataFrame, dict[str, int]]:
    lasting = (events["duration_ms"] > 0) & np.isfinite(events["duration_ms"])
    skipped = {f"{what} without a duration": int((~lasting).sum())} if not lasting.all() else {}
    events = events[lasting].sort_values("begin_us", kind="stable", ignore_index=True)
    time_us = samples["tracker_time_us"].to_numpy(np.int64)
    rows = np.searchsorted(time_us, events["begin_us"].to_numpy(np.int64), "right") - 1
    schema = {"blinks": BLINKS, "saccades": SACCADES}[what]
    names = [c.name for c in schema.columns if c.name in events and c.name not in _PLACED]
    return _at_rows(events, samples, np.maximum(rows, 0)).assign(**events[names]), skipped


def _at_rows(events: pd.DataFrame, samples: pd.DataFrame, rows: Integers) -> pd.DataFrame:
    """Names, trial and clock of the samples at which events begin."""
    time_us = samples["tracker_time_us"].to_numpy(np.int64)
    begin_us = trial_begin_us(time_us, samples["trial"].to_numpy(np.int64))
    where = samples.iloc[rows][["recording", "subject", "trial", "stimulus"]]
    return where.set_axis(events.index).assign(
        onset_ms=(events["begin_us"] - begin_us[rows]) / 1000,
        duration_ms=events["duration_ms"],
    )


# ---------------------------------------------------------------- labels of samples


def label_samples(
    samples: pd.DataFrame, fixations: pd.DataFrame, saccades: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Add ``vendor_event`` and ``vendor_event_index`` from placed events.

    A sample of no event is "missing" without gaze and "unclassified" with it.

    Parameters
    ----------
    samples : DataFrame
    fixations : DataFrame
        With ``first_row`` and ``last_row``.
    saccades : DataFrame, optional
        ``begin_us``, ``last_us``.
    """
    label = np.where(samples["x_px"].isna(), "missing", "unclassified").astype(object)
    index = np.zeros(len(samples), dtype=np.int64)
    if saccades is not None:
        time_us = samples["tracker_time_us"].to_numpy(np.int64)
        first = np.searchsorted(time_us, saccades["begin_us"].to_numpy(np.int64), "left")
        last = np.searchsorted(time_us, saccades["last_us"].to_numpy(np.int64), "right")
        for number, (start, stop) in enumerate(zip(first, last, strict=True), start=1):
            label[start:stop] = "saccade"
            index[start:stop] = number
    rows = zip(fixations["first_row"], fixations["last_row"] + 1, strict=True)
    for number, (start, stop) in enumerate(rows, start=1):
        label[start:stop] = "fixation"
        index[start:stop] = number
    return SAMPLES.conform(samples.assign(vendor_event=label, vendor_event_index=index))


# ---------------------------------------------------------------- rows and columns of events


def declared(table: pd.DataFrame, schema: Schema, *more: str) -> pd.DataFrame:
    """Leave the columns of a table that its schema declares, and `more` of them."""
    names = [column.name for column in schema.columns if column.name in table]
    return table[[*names, *(name for name in more if name not in names)]]


def rows_within(
    time_us: Integers, onset_us: Floats, end_us: Floats
) -> tuple[Integers, Integers, Bools]:
    """First and last sample of each event [onset, end), and whether it has any.

    Parameters
    ----------
    time_us : (n,) int64
        Rising.
    onset_us, end_us : (m,) float64
    """
    first = np.searchsorted(time_us, onset_us - ROUNDING_US, "left")
    last = np.searchsorted(time_us, end_us - ROUNDING_US, "left") - 1
    return first.astype(np.int64), last.astype(np.int64), last >= first


def mean_within(values: Floats, first: Integers, last: Integers) -> Floats:
    """Mean of the values that are no NaN in rows first .. last, shape (m,)."""
    known = ~np.isnan(values)
    total = np.concatenate(([0.0], np.cumsum(np.where(known, values, 0.0))))
    count = np.concatenate(([0], np.cumsum(known)))
    number = count[last + 1] - count[first]
    sums = total[last + 1] - total[first]
    return np.where(number > 0, sums / np.maximum(number, 1), np.nan)
