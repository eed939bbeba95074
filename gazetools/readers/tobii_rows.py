"""What the readers of Tobii's tables of samples have in common."""

import re
from collections.abc import Collection, Hashable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.geometry import Placement
from gazetools.readers.building import Floats, Integers
from gazetools.readers.delimited import Table, iter_columns
from gazetools.readers.layout import Layout, column_names, plain_name, separator_of
from gazetools.readers.opening import stem_of
from gazetools.tables import SAMPLES
from gazetools.timeline import sample_interval_us
from gazetools.trials import TrialClock

UNNAMED = "unnamed"
_RESTART_US = 1_000_000.0
_DURATION_US = 200.0
"""Times as long as its samples, an event cannot last in ms, be it cut off; in us it is 1000."""
_PROLAB_ONLY = {"sensor", "eyemovementtype", "presentedmedianame", "presentedstimulusname"}
_STUDIO_ONLY = ("adcspx", "adcsmm", "gazeeventtype")
_GLASSES_ONLY = (
    *("mapped", "gyro", "accelerometer", "magnetometer", "gazepoint3d", "pupilposition"),
    *("assistedmapping", "gaze3dposition", "recordingmedia"),
    *(f"{what}point{axis}mcspx" for what in ("gaze", "fixation") for axis in "xy"),
)


def prolab_columns(head: str) -> tuple[list[str], str]:
    """Names in the header of a Pro Lab export and what parts them; no names if it is none.

    Spreadsheets and R put commas and semicolons for tabs, and change blanks and capitals; MATLAB
    leaves out the blanks, as Studio has none.
    """
    line = re.split(r"[\r\n]", head, maxsplit=1)[0]
    # names of AOIs may hold more commas than there are tabs
    separator = "\t" if "\t" in line else separator_of(line)
    names = column_names(head, separator)
    plain = {plain_name(name) for name in names}
    blank = "[ ._]?" if plain & _PROLAB_ONLY else "[ ._]"
    clock = rf"\b(recording|eyetracker){blank}timestamp"
    is_prolab = any(re.search(clock, name, re.IGNORECASE) for name in names)
    is_studio = any(name.endswith(_STUDIO_ONLY) for name in plain)
    return (names if is_prolab and not is_studio else []), separator


def count_us(durations: Floats, time_us: Floats) -> bool:
    """Tell whether the vendor's durations of events count us, as newer exports may, or ms.

    Parameters
    ----------
    durations : (n,) float64
        Of the event of each sample, NaN where there is none.
    time_us : (n,) float64
        In the order of the file.
    """
    known = durations[~np.isnan(durations)]
    if not len(known):
        return False
    begins = np.flatnonzero(np.diff(known, prepend=np.nan) != 0)
    samples = np.diff(begins, append=len(known))
    lasting_us = samples * sample_interval_us(whole(time_us))
    return bool(np.median(known[begins] * 1000 / lasting_us) > _DURATION_US)


def usual_step(rows: pd.DataFrame, clock: str) -> float:
    """Median step of a clock from row to row of a recording; rows of several may be mixed.

    Parameters
    ----------
    rows : DataFrame
        The clock and, if they are told, ``subject`` and ``recording``.
    """
    rows = rows[rows[clock].notna()]
    whose = np.zeros(len(rows), np.int64)
    if who := [name for name in ("subject", "recording") if name in rows]:
        whose = rows.groupby(who, dropna=False, observed=True).ngroup().to_numpy()
    order = np.argsort(whose, kind="stable")
    steps = np.abs(np.diff(rows[clock].to_numpy()[order]))
    steps = np.where(np.diff(whose[order]) == 0, steps, 0)
    return sample_interval_us(whole(np.cumsum(np.append(0, steps))))


def whole(times: Floats) -> Integers:
    """Leave out what is no time (n,), round the others."""
    return np.rint(times[~np.isnan(times)]).astype(np.int64)


def is_of_glasses(header: Iterable[str]) -> bool:
    """Tell whether columns are those of a Pro Lab project with Glasses, not with a screen."""
    plain = [plain_name(name) for name in header]
    return any(
        name.startswith(_GLASSES_ONLY) or "hucs" in name or "mappedgaze" in name for name in plain
    )


def names_any(columns: Collection[str], first: Table, layout: Layout) -> bool:
    """Whether any of some columns of texts holds one, anywhere in an export.

    Parameters
    ----------
    columns : collection of str
        Canonical names.
    first : Table
        The first block of the export; most often it tells.
    layout : Layout
    """
    texts = {name: first.columns[name] for name in columns if name in first.columns}
    if not texts or first.frame[list(texts)].notna().any(axis=None):
        return bool(texts)
    later = iter_columns(first.path, layout, texts, {})
    return any(table.frame.notna().any(axis=None) for table in later)


class Names:
    """Fills in who was recorded, and parts recordings that share a name; takes rows in blocks.

    A recording ends where the tracker's clock and the recording's drift apart at once; without
    both clocks, one that has no name ends where the clock jumps back. The second of a name is
    ``name-2``.

    Parameters
    ----------
    path : Path
        Its stem is the name of recordings that have none.
    """

    def __init__(self, path: Path) -> None:
        self._stem = stem_of(path)
        self._sessions: dict[Hashable, Sessions] = {}

    def fill(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return rows with ``subject`` and ``recording``.

        Parameters
        ----------
        rows : DataFrame
            ``subject``, ``recording``, ``tracker_us`` and ``recording_us``, null where unknown.
        """
        tracker_us, recording_us = (rows[f"{n}_us"].to_numpy() for n in ("tracker", "recording"))
        only_us = rows["recording_us"].fillna(rows["tracker_us"]).where(rows["recording"].isna())
        clock_us = only_us.to_numpy()
        rows = rows.assign(
            subject=rows["subject"].fillna(UNNAMED),
            recording=rows["recording"].fillna(self._stem),
        )
        number = np.zeros(len(rows), np.int64)
        for key, at in rows.groupby(["subject", "recording"], sort=False).indices.items():
            sessions = self._sessions.setdefault(key, Sessions())
            number[at] = sessions.number(tracker_us[at], recording_us[at], clock_us[at])
        if not number.any():
            return rows
        numbered = rows["recording"] + "-" + pd.Series(number + 1, rows.index).astype("str")
        return rows.assign(recording=rows["recording"].where(number == 0, numbered))


class Sessions:
    """Numbers the recordings of one name; takes their rows in blocks.

    They are told apart by how far their two clocks are apart, or, where these are not told or do
    not run alike (one may be in another unit), by where a clock jumps back.
    """

    def __init__(self) -> None:
        self._apart_us: list[float] = []
        self._last = 0
        self._last_us = np.nan

    def number(self, tracker_us: Floats, recording_us: Floats, clock_us: Floats) -> Integers:
        """Which of the recordings, from 0, each of the next rows (n,) is of.

        Parameters
        ----------
        tracker_us, recording_us : (n,) float64
            The two clocks, NaN where they are not told.
        clock_us : (n,) float64
            One whose jumps back begin a recording, NaN where they do not.
        """
        apart_us = tracker_us - recording_us
        parts = _alike(apart_us)
        steps = [np.diff([tracker_us[part], recording_us[part]]) for part in parts]
        if not parts or not _run_alike(np.abs(np.hstack(steps)), len(parts)):
            return self._count(clock_us)
        number = np.full(len(apart_us), -1)
        for part in sorted(parts, key=lambda part: int(part[0])):
            number[part] = self._find(float(np.median(apart_us[part])))
        # what lies between is of the one before
        at = np.maximum.accumulate(np.where(number >= 0, np.arange(len(number)), -1))
        number = np.where(at >= 0, number[at], self._last)
        self._last = int(number[-1])
        return number

    def _find(self, apart_us: float) -> int:
        for number, other in enumerate(self._apart_us):
            if abs(apart_us - other) <= _RESTART_US:
                self._apart_us[number] = apart_us  # clocks drift
                return number
        self._apart_us.append(apart_us)
        return len(self._apart_us) - 1

    def _count(self, clock_us: Floats) -> Integers:
        clock = pd.Series(np.append(self._last_us, clock_us)).ffill().to_numpy()
        number: Integers = self._last + np.cumsum(np.diff(clock) < -_RESTART_US)
        if len(number):
            self._last, self._last_us = int(number[-1]), clock[-1]
        return number


def _alike(apart_us: Floats) -> list[Integers]:
    """Rows (n,) of each recording, told apart by their clocks; none where these are not known."""
    known = np.flatnonzero(~np.isnan(apart_us))
    if not len(known):
        return []
    if np.ptp(apart_us[known]) <= _RESTART_US:  # most often
        return [known]
    order = known[np.argsort(apart_us[known], kind="stable")]
    borders = np.flatnonzero(np.diff(apart_us[order]) > _RESTART_US) + 1
    return [np.sort(part) for part in np.split(order, borders)]


def _run_alike(steps_us: Floats, parts: int) -> bool:
    """Whether two clocks have steps (2, m) of one size; without steps, if nothing is parted."""
    if not steps_us.size:
        return parts <= 1
    tracked, recorded = np.median(steps_us, axis=1)
    return bool(tracked / 2 <= recorded <= tracked * 2)


def to_samples(rows: pd.DataFrame, clock: TrialClock | None = None) -> tuple[pd.DataFrame, Floats]:
    """Make SAMPLES of the rows of one recording, which are in time order.

    Parameters
    ----------
    rows : DataFrame
        SAMPLES but for ``trial`` and ``t_ms``, and maybe more; the trials are the runs of one
        stimulus.
    clock : TrialClock, optional
        Of the recording, where the rows are a piece of it.

    Returns
    -------
    samples : DataFrame
    begin_us : (n,) float64
        When each sample begins.
    """
    time_us = rows["tracker_time_us"].to_numpy(np.int64)
    clock = clock or TrialClock(has_stimuli=bool(rows["stimulus"].notna().any()))
    trial, clock_us, begin_us = clock.add(time_us, rows["stimulus"])
    if "vendor_event" not in rows:
        nothing = pd.Series(None, index=rows.index, dtype="str")
        rows = rows.assign(vendor_event=nothing, vendor_event_index=0)
    declared = [column.name for column in SAMPLES.columns if column.name in rows]
    samples = SAMPLES.conform(
        rows[declared].assign(
            trial=trial, tracker_time_us=time_us, t_ms=(time_us - clock_us) / 1000
        )
    )
    return samples, begin_us


def seen_only(rows: pd.DataFrame, eye: str, valid: pd.Series) -> dict[str, pd.Series]:
    """Values of an eye, as SAMPLES columns, where it was seen; pupils only if above 0."""
    names = [
        column.name
        for column in SAMPLES.columns
        if column.name.startswith(f"{eye}_") and column.dtype == "float64" and column.name in rows
    ]
    values = {name: rows[name].where(valid) for name in names}
    pupil = f"{eye}_pupil_mm"
    if pupil in values:
        values[pupil] = values[pupil].where(values[pupil] > 0)
    return values


def placements(rows: pd.DataFrame) -> dict[str, Placement | None]:
    """Where each stimulus lay, None if in several places; px on the screen are its image px.

    Parameters
    ----------
    rows : DataFrame
        ``stimulus``, ``media_x``, ``media_y``, ``media_width``, ``media_height``.
    """
    rectangle = ["media_x", "media_y", "media_width", "media_height"]
    known = rows[["stimulus", *rectangle]].dropna().drop_duplicates()
    found: dict[str, Placement | None] = {}
    for name, x, y, width, height in known.itertuples(index=False):
        alone = name not in found and min(width, height) >= 1
        found[name] = Placement(x, y, width, height, round(width), round(height)) if alone else None
    return found


def placed(found: Mapping[str, Placement | None]) -> dict[str, Placement]:
    """Leave out stimuli that lay in several places."""
    return {name: place for name, place in found.items() if place is not None}


def prolab_profile(filter_name: str) -> str:
    """Our settings that stand closest to a filter of Pro Lab's, a key of events.PROFILES."""
    return "tobii-prolab" + "-attention" * ("attention" in filter_name.lower())


def is_other_filter(filter_name: str) -> bool:
    """Tell whether labels are of a filter that our detector is not meant to agree with.

    Such are those whose settings users changed, which Pro Lab calls custom and does not tell, and
    those of Studio that go by distance.
    """
    return re.search("custom|clearview|tobii fixation", filter_name, re.IGNORECASE) is not None


def screen_size(text: str) -> tuple[int, int] | None:
    """Width and height in ``1920 x 1080``; None if it is something else."""
    size = re.fullmatch(r"\s*([1-9]\d{1,4})\s*[xX*]\s*([1-9]\d{1,4})\s*", text, re.ASCII)
    return (int(size[1]), int(size[2])) if size else None


def first_known(values: pd.Series) -> str:
    """Return the first value of a text column, "" if there is none."""
    known = values.dropna()
    return str(known.iloc[0]) if len(known) else ""
