"""Events of one recording that comes in pieces, found as if it had come whole."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools import events
from gazetools.errors import GeometryError
from gazetools.events import AnyDetector, BlinkSpec, EngbertKliegl, Events
from gazetools.geometry import Screen
from gazetools.tables import BLINKS, EVENTS, FIXATIONS, SACCADES, Schema

_CONTEXT_US = 2_000_000
"""Far longer than any window, gap or fixation looks back."""
_LEAST_ROWS = 75_000
_TRIES = 8
_ASSUMED_EYES = "eye-at-screen-axis"
_WHERE = ("recording", "subject", "trial", "stimulus")


@dataclass(frozen=True)
class Detected:
    """A stretch of a recording whose events are settled.

    Positions in tables are those in `samples`; the trial of an event is that of its onset.

    Attributes
    ----------
    samples : DataFrame
        SAMPLES with ``event`` (categories) and ``event_index``, (n,).
    fixations : DataFrame
        FIXATIONS with ``first_row`` and ``last_row``.
    saccades, blinks : DataFrame
        SACCADES and BLINKS; empty if they are not wanted.
    gaze : (n, 2) float64
        Screen px, of which a fixation's position is the mean.
    """

    samples: pd.DataFrame
    fixations: pd.DataFrame
    saccades: pd.DataFrame
    blinks: pd.DataFrame
    gaze: NDArray[np.float64]


class Detection:
    """Runs a detector over one recording.

    A stretch is given out once it is certain that what comes later cannot change it: where
    an event begins at which detection, started anew two seconds before, finds the same from
    there on. If there is no such place, the stretch is held until there is.

    Parameters
    ----------
    params : AnyDetector
    blink : BlinkSpec
        Gaze in the padding of a blink is not used.
    screen : Screen or None
        For px to mm; and eyes are put in front of its middle if the recording has none.
    path : Path
        The export, for messages.
    wanted : collection of str
        Which of "saccades" and "blinks" are wanted.
    """

    def __init__(
        self,
        params: AnyDetector,
        blink: BlinkSpec,
        screen: Screen | None,
        path: Path,
        wanted: Collection[str] = (),
    ) -> None:
        self._params = params
        self._blink = blink
        self._screen = screen
        self._path = path
        self._wanted = wanted
        self._assumes: bool | None = None
        self._held = pd.DataFrame()
        self._coming: list[pd.DataFrame] = []
        self._given = 0
        # its threshold is of the recording as a whole
        self._is_local = not isinstance(params, EngbertKliegl)
        self._least_rows = _LEAST_ROWS
        self._counts = np.zeros(len(EVENTS), np.int64)

    @property
    def source(self) -> str:
        """Detector and settings, as they stand in a table."""
        return self._params.describe() + (f":{_ASSUMED_EYES}" if self._assumes else "")

    @property
    def assumes_eyes(self) -> bool:
        """Whether the recording does not tell where the eyes were."""
        return bool(self._assumes)

    def add(self, samples: pd.DataFrame) -> Iterator[Detected]:
        """Take the next samples; give the stretch that is settled by them, if any.

        Raises
        ------
        GeometryError
            There is gaze, but no eye position and no screen.
        """
        self._coming.append(samples)
        self._look_for_eyes(samples)
        waiting = len(self._held) - self._given + sum(map(len, self._coming))
        if not self._is_local or waiting < self._least_rows:
            return
        self._gather()
        found = self._detect(self._held)
        seam, rest, at = self._seam(found)
        if not seam:
            self._least_rows = 2 * len(self._held)  # not again and again over the same rows
            return
        self._least_rows = _LEAST_ROWS
        yield self._stretch(found, seam)
        self._held, self._given = rest, at

    def finish(self) -> Iterator[Detected]:
        """Give the rest; what comes later nevertheless begins anew."""
        self._gather()
        if len(self._held) > self._given:
            yield self._stretch(self._detect(self._held), len(self._held))
        self._held, self._given = pd.DataFrame(), 0

    def held(self) -> pd.DataFrame:
        """Return the samples that were taken and not given."""
        self._gather()
        return self._held.iloc[self._given :].reset_index(drop=True)

    def _gather(self) -> None:
        """Put what came to what is held."""
        tables = [table for table in (self._held, *self._coming) if len(table)]
        self._coming = []
        if tables:
            self._held = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]

    def _look_for_eyes(self, samples: pd.DataFrame) -> None:
        if self._assumes is None and samples["x_px"].notna().any():
            knows = events.tells_angles(samples, self._params)
            self._assumes = self._screen is not None and not knows
            self._detect(samples)  # says at once what is missing

    @property
    def _mm_per_px(self) -> float | None:
        return self._screen.mm_per_px if self._screen is not None else None

    def _seen(self, samples: pd.DataFrame) -> pd.DataFrame:
        """Return the samples as the detector is shown them."""
        if self._blink.padding_ms:
            samples = events.mark_blinks(samples, self._blink)
        if self._screen is None:
            return samples
        tell_mm = events.assume_eyes if self._assumes else events.gaze_in_mm
        return tell_mm(samples, self._screen)

    def _detect(self, samples: pd.DataFrame) -> Events:
        try:
            return events.detect(self._seen(samples), self._params, mm_per_px=self._mm_per_px)
        except GeometryError as error:
            raise GeometryError(f"{self._path}: {error}") from error

    def _seam(self, found: Events) -> tuple[int, pd.DataFrame, int]:
        """Row up to which all is settled, rows to go on with, where it is in them; 0 if none."""
        time_us = self._held["tracker_time_us"].to_numpy()
        begins = _begins(found)
        begins = begins[(begins > self._given) & (time_us[begins] < time_us[-1] - _CONTEXT_US)]
        for seam in begins[::-1][:_TRIES]:
            kept = np.arange(np.searchsorted(time_us, time_us[seam] - _CONTEXT_US), len(time_us))
            # the last known difference of the eyes may be older
            both = np.flatnonzero(self._sees_both_eyes(kept[0]))
            kept = np.concatenate((both[-1:], kept))
            rest, at = self._held.iloc[kept].reset_index(drop=True), np.searchsorted(kept, seam)
            if _same_from(found, seam, self._detect(rest), at):
                return int(seam), rest, int(at)
        return 0, self._held, 0

    def _sees_both_eyes(self, end: int) -> NDArray[np.bool_]:
        rows = self._held.iloc[:end]
        if {"left_valid", "right_valid"} <= set(rows):
            both: NDArray[np.bool_] = (rows["left_valid"] & rows["right_valid"]).to_numpy(bool)
            return both
        return np.zeros(end, bool)

    def _stretch(self, found: Events, end: int) -> Detected:
        """Rows of the buffer that were not given yet, up to `end`."""
        rows = slice(self._given, end)
        before = [_highest(found, code, self._given) for code in range(len(EVENTS))]
        index = found.index + (self._counts - before)[found.label]
        self._counts += [_highest(found, code, end) for code in range(len(EVENTS))]
        self._counts -= before
        samples = self._held.iloc[rows].reset_index(drop=True)
        names = pd.Categorical.from_codes(found.label[rows], EVENTS)
        samples = samples.assign(event=names, event_index=index[rows])
        seen = self._seen(self._held)
        gaze = events.smoothed_gaze(self._held, self._params)
        listed = {"fixations": events.fixations(self._held, found, gaze=gaze)}
        if "saccades" in self._wanted:
            listed["saccades"] = events.saccades(
                seen, found, self._params, mm_per_px=self._mm_per_px
            )
        if "blinks" in self._wanted:
            listed["blinks"] = events.blinks(self._held, self._blink)
        settled = {name: self._settled(table, end) for name, table in listed.items()}
        return Detected(
            samples,
            _table(settled["fixations"], samples, FIXATIONS, self.source),
            _table(settled.get("saccades"), samples, SACCADES, self.source),
            _table(settled.get("blinks"), samples, BLINKS, self._blink.describe()),
            gaze[rows],
        )

    def _settled(self, table: pd.DataFrame, end: int) -> pd.DataFrame:
        """Events that were not given yet, up to row `end`."""
        first, last = (table[name].to_numpy() for name in ("first_row", "last_row"))
        new = (first >= self._given) & (last < end)
        rows = {"first_row": first[new] - self._given, "last_row": last[new] - self._given}
        return table[new].reset_index(drop=True).assign(**rows)


def _begins(found: Events) -> NDArray[np.int64]:
    """Rows in which an event begins."""
    changes = (np.diff(found.label) != 0) | (np.diff(found.index) != 0)
    return np.flatnonzero(changes) + 1


def _same_from(one: Events, at: int, other: Events, other_at: int) -> bool:
    """Whether an event begins at the two places, and all is the same from there on."""
    begins, other_begins = _begins(one) - at, _begins(other) - other_at
    return (
        np.array_equal(one.label[at:], other.label[other_at:])
        and np.array_equal(begins[begins >= 0], other_begins[other_begins >= 0])
        and bool(np.isin(0, other_begins))
    )


def _highest(found: Events, code: int, end: int) -> int:
    """Return the number of the last event of a type that began before a row."""
    return int(found.index[:end][found.label[:end] == code].max(initial=0))


def _table(
    found: pd.DataFrame | None, samples: pd.DataFrame, schema: Schema, source: str
) -> pd.DataFrame:
    """Make a table of events that were found; `onset_us` and `end_us` become trial time."""
    if found is None:
        return schema.empty()
    onset = found["first_row"].to_numpy()
    time_us, t_ms = (samples[name].to_numpy()[onset] for name in ("tracker_time_us", "t_ms"))
    columns = {
        **{name: found[name] for name in found if name not in ("onset_us", "end_us")},
        **{name: samples[name].array[onset] for name in _WHERE},
        "order": np.arange(1, len(found) + 1),
        "onset_ms": (found["onset_us"] - (time_us - t_ms * 1000)) / 1000,
        "duration_ms": (found["end_us"] - found["onset_us"]) / 1000,
        "source": source,
    }
    return schema.conform(pd.DataFrame(columns, index=found.index, copy=False))
