"""Stimuli and trials by number, each read when it is asked for."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools.curation import Decision
from gazetools.reporting.sources import Sources, Table
from gazetools.reporting.spec import ReportSpec, key_of
from gazetools.reporting.stimuli import Card, Stimuli, order_colours
from gazetools.viewing.spec import ViewSpec

Ints = npt.NDArray[np.int64]

_WHO = ["subject", "recording", "trial", "stimulus"]
_RADIUS, _RADII = 16.0, (8.0, 60.0)  # in the view box of a card, whose longer side is 1000
_KEPT_TRIALS = 256


@dataclass(frozen=True)
class Trial:
    """One presentation of a stimulus; `rows` of the table are in the order of looking."""

    number: int
    subject: str
    recording: str
    trial: int
    stimulus: str
    rows: Ints

    @property
    def target(self) -> dict[str, str | int]:
        """The keys of decisions on this trial."""
        return {
            "subject": self.subject,
            "recording": self.recording,
            "trial": self.trial,
            "stimulus": self.stimulus,
        }

    def is_meant_by(self, decision: Decision) -> bool:
        """Whether a decision is about this trial, or about a fixation of it."""
        return all(getattr(decision, k) in (None, value) for k, value in self.target.items())


@dataclass(frozen=True)
class Fixation:
    """One fixation: in the table (image px), and in the view box of the card."""

    order: int
    onset_ms: float
    duration_ms: float
    x_im: float
    y_im: float
    x: float
    y: float
    r: float
    colour: str

    @property
    def on_image(self) -> bool:
        """Whether it has a place there; others are listed, and not drawn."""
        return bool(np.isfinite([self.x, self.y]).all())


class Collection:
    """Everything that is shown; stimuli and their trials are numbered from 1.

    Attributes
    ----------
    names : list of str
        Stimuli: those with a flagged trial first, else as the cache or table has them.
    table : Table or None
        The fixations that decisions are about.
    """

    def __init__(self, sources: Sources, spec: ViewSpec) -> None:
        self._stimuli = Stimuli(sources, ReportSpec(images=spec.images))
        self.names = self._stimuli.order
        self.table = sources.fixations[0] if sources.fixations else None
        self._rows_of = _rows_by_stimulus(self.table)
        self.trials = lru_cache(_KEPT_TRIALS)(self._trials)

    def card(self, number: int) -> Card:
        """Read what is shown of a stimulus, as the report does."""
        return self._stimuli.card(number, self.names[number - 1])

    def rows(self, number: int) -> Ints:
        """Rows of the table that are about a stimulus."""
        return self._rows_of.get(self.names[number - 1], np.empty(0, np.int64))

    def fixations(self, trial: Trial, view: tuple[float, float]) -> list[Fixation]:
        """All fixations of a trial, placed in a view box (width, height)."""
        assert self.table is not None
        rows = self.table.rows.iloc[trial.rows]
        size = rows[["image_width", "image_height"]].to_numpy(np.float64, na_value=np.nan)
        size[~(size > 0)] = np.nan
        place = np.clip(rows[["x_im", "y_im"]].to_numpy() / size, -1, 2) * view
        duration = rows["duration_ms"].to_numpy()
        typical = max(float(np.median(duration)), 1e-3)
        radius = np.clip(_RADIUS * np.sqrt(np.maximum(duration, 0) / typical), *_RADII)
        columns = ("order", "onset_ms", "duration_ms", "x_im", "y_im")
        told = rows[[*columns]].to_dict("records")
        drawn = zip(place.round(1).tolist(), radius.round(1).tolist(), strict=True)
        return [
            Fixation(**{str(name): value for name, value in one.items()}, x=x, y=y, r=r, colour=c)
            for one, ((x, y), r), c in zip(told, drawn, order_colours(len(rows)), strict=True)
        ]

    def image_size(self, trial: Trial) -> tuple[int, int] | None:
        """Width and height of what positions of a trial refer to; (1, 1): they are shares."""
        assert self.table is not None
        rows = self.table.rows.iloc[trial.rows][["image_width", "image_height"]].dropna()
        if not len(rows) or not (rows.iloc[0] > 0).all():
            return None
        return int(rows.iloc[0, 0]), int(rows.iloc[0, 1])

    def _trials(self, number: int) -> tuple[Trial, ...]:
        if self.table is None:
            return ()
        rows = self.rows(number)
        part = self.table.rows.iloc[rows].assign(row=rows).sort_values("order", kind="stable")
        return tuple(
            Trial(
                count, str(who[0]), str(who[1]), int(who[2]), str(who[3]), found["row"].to_numpy()
            )
            for count, (who, found) in enumerate(part.groupby(_WHO), start=1)
        )


def of_stimulus(table: Table, left: pd.DataFrame, names: Iterable[str]) -> Table:
    """Keep of a table what is left of the stimuli that are spelled so."""
    return replace(table, rows=left[left["stimulus"].isin(list(names))].reset_index(drop=True))


def _rows_by_stimulus(table: Table | None) -> dict[str, Ints]:
    if table is None:
        return {}
    stimulus = table.rows["stimulus"]
    keys = {name: key_of(name) for name in stimulus.dropna().unique()}
    return {str(key): rows for key, rows in table.rows.groupby(stimulus.map(keys)).indices.items()}
