"""Fixations in one form, whether they come from tables or from a cache."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools.cache import Cache
from gazetools.reporting.samples import TrialKey
from gazetools.reporting.sources import Table
from gazetools.reporting.spec import key_of
from gazetools.reporting.words import number

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Size = tuple[float, float]

_LONGEST_MS = 1e8


@dataclass(frozen=True)
class Scanpath:
    """What one reader looked at in one presentation.

    Attributes
    ----------
    label : str
        Who, and when.
    x, y : ndarray, shape (n,)
        Shares of width and height of the stimulus, in the order of looking.
    onset_ms, duration_ms : ndarray, shape (n,)
    order : ndarray of int, shape (n,)
        As the table numbers them, which is what decisions on gaze go by.
    trial : TrialKey or None
        The presentation, as tables name it.
    """

    label: str
    x: Floats
    y: Floats
    onset_ms: Floats
    duration_ms: Floats
    order: Ints
    trial: TrialKey | None = None


@dataclass(frozen=True)
class Gaze:
    """All fixations, sorted by stimulus, scanpath and order.

    Attributes
    ----------
    names : list of str
        Stimuli, as :func:`key_of` has them.
    sizes : list of (width, height) or None
        Of each stimulus, in its own px; only the ratio counts. None: unknown.
    trials : list of TrialKey or str
        Scanpaths; what a cache holds is only numbered, as long as no table tells whose it is.
    stimulus, scanpath : ndarray of int, shape (n,)
        Positions in `names` (-1: none) and in `trials`.
    x, y : ndarray, shape (n,)
        Shares of the stimulus, or of the screen where `on_image` is false; NaN where unknown.
    onset_ms, duration_ms : ndarray, shape (n,)
    on_image : ndarray of bool, shape (n,)
    order : ndarray of int, shape (n,)
        As in :class:`Scanpath`; of a cache, which has none, a running number.
    dropped : int
        Fixations of a cache without finite times or position.
    """

    names: list[str]
    sizes: list[Size | None]
    trials: list[TrialKey | str]
    stimulus: Ints
    scanpath: Ints
    x: Floats
    y: Floats
    onset_ms: Floats
    duration_ms: Floats
    on_image: npt.NDArray[np.bool_]
    order: Ints
    dropped: int = 0

    @cached_property
    def counts(self) -> Ints:
        """Fixations of each stimulus."""
        return np.bincount(self.stimulus[self.stimulus >= 0], minlength=len(self.names))

    def fixated_ms(self, position: int) -> float:
        """How long the fixations of one stimulus last together, drawn or not."""
        begin, end = np.searchsorted(self.stimulus, [position, position + 1])
        return float(self.duration_ms[begin:end].sum())

    def of(self, position: int) -> list[Scanpath]:
        """Scanpaths on one stimulus; fixations on its image alone, if any is."""
        begin, end = np.searchsorted(self.stimulus, [position, position + 1])
        rows = np.arange(begin, end)
        if self.on_image[rows].any():
            rows = rows[self.on_image[rows]]
        rows = rows[np.isfinite(self.x[rows]) & np.isfinite(self.y[rows])]
        borders = np.flatnonzero(np.diff(self.scanpath[rows])) + 1
        return [self._scanpath(part) for part in np.split(rows, borders) if len(part)]

    def _scanpath(self, rows: Ints) -> Scanpath:
        trial = self.trials[self.scanpath[rows[0]]]
        return Scanpath(
            str(trial),
            self.x[rows],
            self.y[rows],
            self.onset_ms[rows],
            self.duration_ms[rows],
            self.order[rows],
            trial if isinstance(trial, TrialKey) else None,
        )

    def amplitudes(self) -> Floats:
        """Distances between consecutive fixations, as shares of the diagonal of the stimulus.

        They are NaN where its proportions are not known. Of a stimulus with gaze on its image
        no other gaze counts.
        """
        sizes = [size or (np.nan, np.nan) for size in (*self.sizes, None)]
        size = np.array(sizes)[self.stimulus]
        across = np.diff(self.x) * size[1:, 0]
        down = np.diff(self.y) * size[1:, 1]
        on_some_image = np.isin(self.stimulus, self.stimulus[self.on_image])
        counts = self.on_image | ~on_some_image
        counts &= np.isfinite(self.x) & np.isfinite(self.y)
        same = (np.diff(self.scanpath) == 0) & (np.diff(self.stimulus) == 0)
        share = np.hypot(across, down) / np.hypot(size[1:, 0], size[1:, 1])
        return np.asarray(share[same & counts[1:] & counts[:-1]])


def gaze_of_tables(tables: Sequence[Table]) -> Gaze:
    """Bring FIXATIONS tables, together at least one, into one form."""
    rows = pd.concat(
        [_with_shares(table, number) for number, table in enumerate(tables)], ignore_index=True
    )
    keys = rows["stimulus"].map(key_of, na_action="ignore")
    stimulus, names = pd.factorize(keys)
    who = [rows[name] for name in ("subject", "recording", "trial")]
    scanpath = rows.groupby([*who, rows["table"], stimulus], sort=False).ngroup().to_numpy()
    first = np.unique(scanpath, return_index=True)[1]
    trials: list[TrialKey | str] = [
        TrialKey(str(subject), str(recording), int(trial))
        for subject, recording, trial in zip(*(part.iloc[first] for part in who), strict=True)
    ]
    order = np.lexsort((rows["order"], scanpath, stimulus))
    sorted_rows = rows.iloc[order]
    return Gaze(
        names=[str(name) for name in names],
        sizes=_sizes(sorted_rows, stimulus[order], len(names)),
        trials=trials,
        stimulus=stimulus[order].astype(np.int64),
        scanpath=scanpath[order].astype(np.int64),
        on_image=sorted_rows["on_image"].to_numpy(bool),
        x=sorted_rows["x"].to_numpy(np.float64),
        y=sorted_rows["y"].to_numpy(np.float64),
        onset_ms=_bounded(sorted_rows["onset_ms"].to_numpy()),
        duration_ms=_bounded(sorted_rows["duration_ms"].to_numpy()),
        order=sorted_rows["order"].to_numpy(np.int64),
    )


def gaze_of_cache(cache: Cache) -> Gaze:
    """Bring the fixations of a cache into one form; what is not finite is dropped."""
    parts, stimuli = [], []
    for index, item in enumerate(cache.items):
        part = cache.fixations(index)
        parts.append(part / (item.width, item.height, 1, 1, 1))
        stimuli.append(np.full(len(part), index))
    table = np.concatenate(parts) if parts else np.empty((0, 5))
    stimulus = np.concatenate(stimuli) if stimuli else np.empty(0, np.int64)
    good = np.isfinite(table).all(axis=1) & (table[:, 3] > 0)
    table, stimulus = table[good], stimulus[good]
    tracks, track = np.unique(table[:, 4], return_inverse=True)
    order = np.lexsort((track, stimulus))
    x, y, onset_ms, duration_ms = table[order, :4].T
    return Gaze(
        names=[item.name for item in cache.items],
        sizes=[(float(item.width), float(item.height)) for item in cache.items],
        trials=[f"track {number + 1:g}" for number in tracks.tolist()],
        stimulus=stimulus[order].astype(np.int64),
        scanpath=track.reshape(-1)[order].astype(np.int64),
        x=x,
        y=y,
        onset_ms=_bounded(onset_ms),
        duration_ms=_bounded(duration_ms),
        on_image=np.ones(len(order), bool),
        order=_running(stimulus[order], track.reshape(-1)[order]),
        dropped=int((~good).sum()),
    )


def named_by(tables: Gaze, gaze: Gaze) -> Gaze:
    """Name the scanpaths of a cache, and number their fixations, as the tables do.

    A scanpath is of the one presentation of its stimulus that has a fixation of the same onset
    and duration for each of its own: before it was rendered others may have been left out, and
    all of them shifted. The others stay as they are.
    """
    ours = _times(gaze).assign(row=np.arange(len(gaze.x)))
    path = ours.groupby(["name", "scanpath"], sort=False).ngroup()
    theirs = _times(tables).rename(columns={"scanpath": "theirs"}).assign(order=tables.order)
    both = ours.assign(path=path).merge(theirs, on=["name", "onset_ms", "duration_ms"])
    both = both.drop_duplicates(["row", "theirs"])
    found = both.groupby(["path", "theirs"], as_index=False).size()
    found = found[found["size"] == path.value_counts().reindex(found["path"]).to_numpy()]
    found = found.drop_duplicates("path", keep=False)
    both = both.merge(found[["path", "theirs"]], on=["path", "theirs"])
    order = gaze.order.copy()
    order[both["row"]] = both["order"]
    trials = [gaze.trials[own] for own in ours["scanpath"][~path.duplicated()]]
    for own, their in found[["path", "theirs"]].itertuples(index=False):
        trials[own] = tables.trials[their]
    return replace(gaze, trials=trials, scanpath=path.to_numpy(np.int64), order=order)


def _times(gaze: Gaze) -> pd.DataFrame:
    names = np.array([*gaze.names, None], object)
    return pd.DataFrame(
        {
            "name": names[gaze.stimulus],
            "scanpath": gaze.scanpath,
            "onset_ms": gaze.onset_ms,
            "duration_ms": gaze.duration_ms,
        }
    )


def _running(stimulus: Ints, scanpath: Ints) -> Ints:
    """Count the fixations of each scanpath on each stimulus, from 1."""
    rows = pd.DataFrame({"stimulus": stimulus, "scanpath": scanpath})
    return np.asarray(rows.groupby(["stimulus", "scanpath"]).cumcount() + 1, np.int64)


def _bounded(ms: Floats) -> Floats:
    return np.clip(np.nan_to_num(ms, nan=0.0), -_LONGEST_MS, _LONGEST_MS)


def _with_shares(table: Table, number: int) -> pd.DataFrame:
    """Add x, y (shares of the image, else of the screen), on_image, width, height and table."""
    rows = table.rows
    width, height = (
        rows[f"image_{side}"].astype("Float64").to_numpy(np.float64, na_value=np.nan)
        for side in ("width", "height")
    )
    x_im, y_im = rows["x_im"].to_numpy(), rows["y_im"].to_numpy()
    on_image = np.isfinite(x_im) & np.isfinite(y_im) & (width > 0) & (height > 0)
    screen_px = _screen_px(rows, table.note)
    return rows.assign(
        x=np.where(on_image, x_im / np.where(on_image, width, 1), rows["x_px"] / screen_px[0]),
        y=np.where(on_image, y_im / np.where(on_image, height, 1), rows["y_px"] / screen_px[1]),
        on_image=on_image,
        width=np.where(on_image, width, screen_px[0]),
        height=np.where(on_image, height, screen_px[1]),
        table=number,
    )


def _screen_px(rows: pd.DataFrame, note: Mapping[str, Any]) -> Size:
    """Size of the screen as it was told, else as far as gaze went."""
    told = note.get("spec")
    size = told.get("screen_px") if isinstance(told, dict) else None
    if isinstance(size, list) and len(size) == 2:
        width, height = (number(side) for side in size)
        if width > 0 and height > 0:
            return width, height
    reach = [rows[name].replace([np.inf, -np.inf], np.nan).max() for name in ("x_px", "y_px")]
    width, height = (float(side) if side > 0 else 1.0 for side in reach)
    return width, height


def _sizes(rows: pd.DataFrame, stimulus: Ints, count: int) -> list[Size | None]:
    """Size of each stimulus: that of its image before that of the screen; 1 x 1 says nothing."""
    sizes: list[Size | None] = [None] * count
    found = pd.DataFrame(
        {
            "stimulus": stimulus,
            "width": rows["width"].to_numpy(),
            "height": rows["height"].to_numpy(),
            "screen": ~rows["on_image"].to_numpy(bool),
        }
    )
    found = found[(found["stimulus"] >= 0) & (found[["width", "height"]].max(axis=1) > 1)]
    found = found.sort_values("screen", kind="stable").drop_duplicates("stimulus")
    for position, width, height in found[["stimulus", "width", "height"]].itertuples(index=False):
        sizes[int(position)] = (float(width), float(height))
    return sizes
