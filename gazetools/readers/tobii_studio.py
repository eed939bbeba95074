r"""Tobii Studio 3 data export: tab-separated samples, with or without the vendor's labels.

Versions seen: 3.4.5 (X3-120, 120 Hz, "I-VT filter"). The first columns of a file look like this
(CRLF ends the lines, a tab ends each row, a byte order mark begins the file)::

    ExportDate  StudioVersionRec  StudioProjectName  StudioTestName  ParticipantName  RecordingName
    10/25/2016  3.4.5             Core Elements      New test        P01              Rec 01

and further right::

    RecordingTimestamp  EyeTrackerTimestamp  StudioEvent  FixationIndex  GazeEventType
    5                   123210798                                        Unclassified
    76                                       InstructionStart  1         Fixation

Columns are matched on their letters and digits only, so that ``GazePointLeftX (ADCSpx)`` and
R's ``GazePointLeftX..ADCSpx.`` are one name; files that a spreadsheet saved with ``;`` or ``,``
are read too.

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         EyeTrackerTimestamp, in us (in ms, if it counts
                                            ms); without it RecordingTimestamp, in ms
``x_px``, ``y_px``                          GazePointX, Y (ADCSpx); else the mean of the eyes;
                                            else GazePointX (MCSpx) from where the media lay
``left_x_px`` ... ``right_y_px``            GazePointLeftX (ADCSpx) ...
``left_x_mm`` ...                           GazePointLeftX (ADCSmm) ..., turned as told below
``left_eye_x_mm`` ...                       EyePosLeftX (ADCSmm) ..., turned likewise
``left_pupil_mm``                           PupilLeft; -1 is missing
``left_valid``                              ValidityLeft = 0 or 1, as Studio's own filter has it
``stimulus``                                MediaName, else SceneName
``vendor_event``, ``vendor_event_index``    GazeEventType, FixationIndex or SaccadeIndex
==========================================  ==================================================

The origin of Studio's millimetres is the lower left corner of the display and y points up; here
it is the upper left corner and y points down. Which way y points, how large a pixel is and how
high the display, is found by laying gaze in mm beside gaze in px; the display's size in mm comes
from that too. Where the two do not fit together, gaze in mm and eye positions are left out.

A fixation of the vendor's is given in px of the media (FixationPointX (MCSpx)); the difference
between gaze on the screen and gaze on the media, which knows how far a page was scrolled, brings
it to the screen, else MediaPosX. Where Studio gives no point, it is the mean gaze. Without
MediaPosX and gaze on the screen, px of the media are taken as px of the screen, as they are where
media fill it; that is told as "place of media".
The media's rectangle becomes a Placement; media shown in more than one place get none.

Dropped and counted: event rows (mouse, keys, Studio's own; they carry the label of the running
eye movement), rows without a time, and rows that repeat a time, as exports by segment have them.
A run of one medium is a trial, 0 between. Recordings may share a name, in two tests of a
project; where the two clocks drift apart at once a new one (``name-2``) begins.
"""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import about, add_counts, in_time_order, run_numbers, with_all
from gazetools.readers.delimited import Table, iter_columns
from gazetools.readers.layout import Layout, header_in, match_columns, plain_name
from gazetools.readers.opening import read_head
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.tobii_rows import (
    Names,
    first_known,
    is_other_filter,
    names_any,
    placed,
    placements,
    screen_size,
    to_samples,
    usual_step,
)
from gazetools.readers.tobii_studio_display import Display, display_of, turned
from gazetools.readers.tobii_studio_rows import (
    EVENT_ROWS,
    NUMBERS,
    TEXTS,
    event_number,
    labelled,
    on_screen,
    told_of_events,
)
from gazetools.readers.vendor_events import fixations_of_labels
from gazetools.tables import SAMPLES
from gazetools.trials import TrialClock

_SOURCE = "vendor:tobii-studio"
_GAZE = (("x_px", "y_px"), ("left_x_px", "left_y_px"), ("right_x_px", "right_y_px"))
_ON_MEDIA = ("x_media", "y_media")
_GAZE_COLUMNS = {*_ON_MEDIA, *(name for pair in _GAZE for name in pair)}
_MEDIA_CORNER = ("media_x", "media_y")

_MEDIA_POINTS = {f"{what}point{axis}mcspx" for what in ("gaze", "fixation") for axis in "xy"}

_STIMULI = ("medium", "scene")
_ENOUGH_ROWS = 5000
_SHORTEST_US = 200.0


def refusal(head: Head) -> str:
    """Say why a file is no Studio 3 export, or "" if it is."""
    names, _ = header_in(head.text)
    # Pro Lab writes 'Recording timestamp'
    if not {"RecordingTimestamp", "EyeTrackerTimestamp"} & set(names):
        return "no column 'RecordingTimestamp' or 'EyeTrackerTimestamp'"
    plain = [plain_name(name) for name in names]
    if not any("adcs" in name or name in _MEDIA_POINTS for name in plain):
        return "no gaze columns such as 'GazePointX (ADCSpx)'"
    return ""


def read(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """Read every recording of a Studio 3 export, long ones in pieces.

    Raises
    ------
    FormatError
        No gaze columns, no rows with a time, or a damaged line.
    """
    head = read_head(path)
    header, separator = header_in(head)
    texts, numbers = match_columns(header, TEXTS), match_columns(header, NUMBERS)
    if not _has_gaze(set(numbers)) and not {"vendor_x_media", "vendor_y_media"} <= set(numbers):
        raise FormatError(
            f"{path}:1: no columns 'GazePointX (ADCSpx)' and 'GazePointY (ADCSpx)' among "
            f"{len(header)}; tick them in Studio's data export"
        )
    export: _Export | None = None
    for table in iter_columns(path, Layout(separator), texts, numbers):
        if export is None:
            export = _Export(
                header,
                has_stimuli=names_any(_STIMULI, table, Layout(separator)),
                is_on_media=_is_on_media(set(numbers)),
            )
        for piece in export.add(table):
            yield piece if _has_gaze(set(numbers)) else _fixations_only(piece)
    assert export is not None
    for piece in export.finish(path):
        yield piece if _has_gaze(set(numbers)) else _fixations_only(piece)


def _has_gaze(found: set[str]) -> bool:
    return any(set(pair) <= found for pair in _GAZE) or set(_ON_MEDIA) <= found


def _is_on_media(found: set[str]) -> bool:
    """Whether nothing tells where on the screen the media lay."""
    return not any(set(pair) <= found for pair in (*_GAZE, _MEDIA_CORNER))


def _fixations_only(recording: Recording) -> Recording:
    """Leave out samples that hold no gaze."""
    fixations = recording.fixations.drop(columns=["first_row", "last_row"])
    return replace(recording, samples=SAMPLES.empty(), fixations=fixations)


# ---------------------------------------------------------------- rows as they come in


class _Export:
    """What must be remembered from one block of rows to the next."""

    def __init__(self, header: list[str], *, has_stimuli: bool, is_on_media: bool) -> None:
        self._header = header
        self._has_stimuli = has_stimuli
        self._is_on_media = is_on_media
        self._names: Names | None = None
        self._in_ms: bool | None = None
        self._rows = 0
        self._recordings: dict[Hashable, _Pieces] = {}
        self._skipped: Counter[str] = Counter()

    def add(self, table: Table) -> Iterator[Recording]:
        """Take the next block; give the pieces of recordings that are complete."""
        rows = with_all(table.frame, TEXTS, NUMBERS)
        # others write -9999 where event rows have no such time
        rows = rows.assign(tracker_us=rows["tracker_us"].where(rows["tracker_us"] >= 0))
        if self._is_on_media:
            rows = rows.assign(**dict.fromkeys(_MEDIA_CORNER, 0.0))
        self._rows += len(rows)
        self._names = self._names or Names(table.path)
        if self._in_ms is None and rows["tracker_us"].notna().any():
            # in us no tracker is so fast
            self._in_ms = usual_step(rows, "tracker_us") < _SHORTEST_US
        rows = rows.assign(
            recording_us=rows["recording_ms"] * 1000,
            tracker_us=rows["tracker_us"] * (1000 if self._in_ms else 1),
        )
        rows = self._names.fill(rows)
        groups = dict(iter(rows.groupby(["subject", "recording"], sort=False)))
        for key, pieces in self._recordings.items():
            if groups and key not in groups:
                yield from pieces.finish()
        for key, group in groups.items():
            if key not in self._recordings:
                empty = Recording(
                    name=str(group["recording"].iloc[0]),
                    subject=str(group["subject"].iloc[0]),
                    format=READER.name,
                    path=table.path,
                    screen_px=screen_size(first_known(group["resolution"])),
                    prefers_vendor=is_other_filter(first_known(group["filter"])),
                    about=self._about(table, group),
                )
                clock = TrialClock(has_stimuli=self._has_stimuli)
                self._recordings[key] = _Pieces(empty, clock, self._skipped)
            yield from self._recordings[key].add(group)

    def _about(self, table: Table, rows: pd.DataFrame) -> About:
        has_tracker = bool(rows["tracker_us"].notna().any())
        return about(
            table,
            self._header,
            software=f"Tobii Studio {first_known(rows['software'])}".strip(),
            filter=first_known(rows["filter"]),
            time="EyeTrackerTimestamp" if has_tracker else "RecordingTimestamp",
            time_unit="ms" if self._in_ms or not has_tracker else "us",
            place_of_media="not exported, taken to fill the screen" if self._is_on_media else "",
        )

    def finish(self, path: Path) -> Iterator[Recording]:
        """Give what is left."""
        if not any(pieces.has_samples for pieces in self._recordings.values()):
            raise FormatError(
                f"{path}: no samples with a time among {self._rows} rows; "
                "tick 'EyeTrackerTimestamp' or 'RecordingTimestamp' and the gaze data in the export"
            )
        for pieces in self._recordings.values():
            yield from pieces.finish()


class _Pieces:
    """One recording, as its rows come in."""

    def __init__(self, empty: Recording, clock: TrialClock, skipped: Counter[str]) -> None:
        self._empty = empty
        self._clock = clock
        self._skipped = skipped
        self._has_tracker = False
        self._has_numbers = False
        self._has_fixations = False
        self._last_us = -np.inf
        self._held = pd.DataFrame()
        self._display: Display | None = None
        self._runs: Counter[str] = Counter()
        self._placements: dict[str, Placement | None] = {}

    @property
    def has_samples(self) -> bool:
        return self._last_us > -np.inf

    def add(self, rows: pd.DataFrame) -> Iterator[Recording]:
        """Take the next rows; hold the vendor's last event back, which may go on."""
        rows = self._fresh(self._timed_samples(rows))
        rows = pd.concat([self._held, labelled(on_screen(rows))], ignore_index=True)
        self._held = rows
        self._display = self._display or display_of(rows, self._empty.screen_px)
        if len(rows) < 2:
            return
        number = event_number(rows)
        end = int(np.searchsorted(number, number[-1]))
        if rows["vendor_event"].isna().all():
            # a row stays behind, so that a last piece comes with whatever is still skipped
            end = len(rows) - 1
        # the first piece decides whose fixations are taken
        self._has_fixations |= bool((rows["vendor_event"][:end] == "fixation").any())
        is_told = self._has_fixations or not self._empty.prefers_vendor
        if (self._display is None or not is_told) and len(rows) < _ENOUGH_ROWS:
            return
        if end:
            self._held = rows[end:].copy()
            yield self._piece(rows[:end])

    def finish(self) -> Iterator[Recording]:
        """Give the rows that were held back: no more are expected, but they may come."""
        held, self._held = self._held, self._held[:0].copy()
        if len(held):
            yield replace(self._piece(held.reset_index(drop=True)), is_over=True)

    def _timed_samples(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Leave rows that hold a sample, on the clock of the tracker if there is one."""
        is_event = rows[list(EVENT_ROWS)].notna().any(axis=1)
        self._has_tracker |= bool(rows["tracker_us"].notna().any())
        self._has_numbers |= bool(rows["gaze_index"].notna().any())
        if self._has_tracker:
            is_sample, time_us = rows["tracker_us"].notna(), rows["tracker_us"]
        else:
            is_sample, time_us = ~is_event, rows["recording_us"]
            if self._has_numbers:
                is_sample = rows["gaze_index"].notna()
        kept = is_sample & time_us.notna()
        self._skipped["event rows"] += int((is_event & ~is_sample).sum())
        self._skipped["rows without a tracker time"] += int((~kept & (~is_event | is_sample)).sum())
        rows = rows.assign(tracker_time_us=time_us.round())[kept]
        # of two rows of one time, that of the sample alone goes first; that of an event has no gaze
        is_second = is_event[kept] | rows[list(_GAZE_COLUMNS)].isna().all(axis=1)
        return rows.iloc[np.argsort(is_second, kind="stable")]

    def _fresh(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Leave rows that come after all before them."""
        rows, skipped = in_time_order(rows)
        fresh = rows["tracker_time_us"] > self._last_us
        self._skipped.update(skipped)
        self._skipped["repeated times"] += int((~fresh).sum())
        self._last_us = max([self._last_us, *rows["tracker_time_us"].iloc[-1:]])
        return rows[fresh].reset_index(drop=True)

    def _piece(self, rows: pd.DataFrame) -> Recording:
        rows = turned(rows, self._display)
        runs = run_numbers(rows["vendor_event"])
        before = rows["vendor_event"].map(self._runs).fillna(0)
        for event, last in runs.groupby(rows["vendor_event"]).max().items():
            self._runs[str(event)] += int(last)
        index = rows["vendor_event_index"].fillna(runs + before).round().astype("int64")
        samples, begin_us = to_samples(rows.assign(vendor_event_index=index), self._clock)
        for name, place in placements(rows).items():
            alone = place == self._placements.get(name, place)
            self._placements[name] = place if alone else None
        fixations, dropped = fixations_of_labels(samples, begin_us, _SOURCE, told_of_events(rows))
        skipped = add_counts(self._skipped, dropped)
        self._skipped.clear()
        return replace(
            self._empty,
            samples=samples,
            fixations=fixations,
            placements=placed(self._placements),
            screen=None if self._display is None else self._display.screen,
            skipped=skipped,
        )


READER = Reader(
    name="tobii-studio",
    title="Tobii Studio 3 data export (TSV)",
    versions="3.4.5",
    refusal=refusal,
    read=read,
    profile="tobii-studio",
    is_reproduced=True,
)
