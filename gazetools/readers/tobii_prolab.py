"""Tobii Pro Lab data export (TSV).

Versions seen: 1.102, 1.130 (in parts), 1.241 (bare column names, times in us or ms), 1.181 (in
part), 24.21 (units in brackets), with decimal point or comma. Encodings UTF-8 and UTF-16, LF or
CRLF, plain or gz.

Raw lines (1.241, most columns left out, tabs shown as "|")::

    Recording timestamp|Sensor|Participant name|Eyetracker timestamp|Event|Gaze point X|...
    0||Carola|||RecordingStart||...
    63344|Eye Tracker|Carola|1681506465|||...
    3979702|Eye Tracker|Carola|1685423132||912|...
    3986820|Mouse|Carola|||||...
    4012334||Carola||VideoStimulusStart||...

Columns are matched on their letters and digits only, so that ``Gaze point X [DACS px]``,
``Gaze point X``, R's ``Gaze.point.X..DACS.px.`` and ``gaze_point_x_dacs_px`` are one name. Tables
that were saved again, with commas or semicolons, are read alike.

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         Eyetracker timestamp; if absent, Recording timestamp
``x_px``, ``y_px``                          Gaze point X, Y (display px), else mean of the eyes
``left_x_px`` ... ``right_y_px``            Gaze point left X ...
``left_x_mm`` ...                           Gaze point left X (DACSmm)
``left_eye_x_mm`` ...                       Eye position left X (DACSmm)
``left_dir_x`` ...                          Gaze direction left X
``left_pupil_mm``                           Pupil diameter left
``left_valid``                              Validity left = Valid; early versions: 0 or 1
``stimulus``                                Presented Media name, else Presented Stimulus name,
                                            else Event value of ImageStimulusStart ...
``vendor_event``, ``vendor_event_index``    Eye movement type, Eye movement type index
==========================================  ==================================================

The presented-media rectangle becomes a Placement of the medium; a medium that was presented in
more than one place gets none. Dropped and counted: rows of other sensors (mouse, gyroscope ...;
without a column of sensors, rows without validity), event rows, rows without a tracker time, and
rows that repeat a tracker time. Columns of an eye that the export lacks are not made. A run of
one stimulus is a trial; where no stimulus is shown the trial is 0. Vendor fixations begin midway
to the sample before; their duration is the vendor's own, or, where it was not exported, that of
their samples.

Without a participant's name the subject is "unnamed"; without a recording's name it is that of
the file. Where the two clocks drift apart at once, or without a name the only one jumps back, a
new recording of that name begins (``name-2``). Bare timestamps count us or ms, also in exports of
one version: the rate of each recording tells which, and the samples of the vendor's events tell
what its durations count. A rate that no eye tracker has is refused, and so is a long export whose
rows are in no order of time.
Where no gaze was exported, the vendor's fixations are read alone. Before 1.130 display coordinates
were called ``RCSmm``, ``RCSpx``, and directions were no display coordinates: they are left out.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import Bools, Floats, about
from gazetools.readers.columns import Rows, any_known, constant, filled, joined, strings, taken
from gazetools.readers.delimited import Table, iter_columns
from gazetools.readers.layout import Layout
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.order import OUT_OF_ORDER
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.tobii_prolab_columns import (
    check_rate,
    clock_of,
    find_columns,
    has_gaze,
    in_us,
    with_all_columns,
    with_units,
)
from gazetools.readers.tobii_prolab_rows import (
    Shown,
    are_gaze,
    count_others,
    gaze_of,
    names_stimuli,
    placements_of,
    samples_of,
    screen_px_of,
    told_of_events,
    validation_of,
)
from gazetools.readers.tobii_rows import (
    UNNAMED,
    Sessions,
    first_known,
    is_of_glasses,
    is_other_filter,
    names_any,
    placed,
    prolab_columns,
    prolab_profile,
)
from gazetools.readers.vendor_events import fixations_of_labels
from gazetools.tables import SAMPLES
from gazetools.trials import TrialClock

_KEY = ("subject", "recording")
_LEAST_ROWS = 75_000
"""In a piece, but for the last: tables of fewer take as long."""


def refusal(head: Head) -> str:
    """Say why a file is no Pro Lab export, or "" if it is."""
    names, _ = prolab_columns(head.text)
    if not names:
        return "no column 'Recording timestamp' or 'Eyetracker timestamp'"
    if is_of_glasses(names):
        return "columns of Glasses"
    return ""


def read(path: Path, options: ReadOptions) -> Iterator[Recording]:
    """Read every recording of a Pro Lab export, long ones in pieces.

    Raises
    ------
    FormatError
        No gaze columns, no eye-tracker rows, or a damaged line.
    """
    header, separator = prolab_columns(read_head(path))
    layout = Layout(separator)
    texts, numbers = find_columns(path, header, for_events=options.for_events)
    export: _Export | None = None
    for table in with_units(iter_columns(path, layout, texts, numbers, categories=True)):
        if export is None:
            has_stimuli = names_any(("medium", "stimulus"), table, layout)
            has_stimuli = has_stimuli or _events_name_any(table, layout)
            export = _Export(path, header, has_stimuli=has_stimuli)
        ready = list(export.add(table))
        del table  # no rows of the export stay while others work on the samples
        while ready:
            piece = ready.pop(0)
            yield piece if has_gaze(numbers) else _fixations_only(piece)
            del piece
    assert export is not None
    for piece in export.finish():
        yield piece if has_gaze(numbers) else _fixations_only(piece)


def _events_name_any(first: Table, layout: Layout) -> bool:
    """Whether an event names a stimulus, anywhere in an export; most often its first block tells.

    If there are columns of stimuli, the values of events are not read.
    """
    texts = {n: first.columns[n] for n in ("event_row", "event_value") if n in first.columns}
    if len(texts) < 2:
        return False
    tables = chain([first], iter_columns(first.path, layout, texts, {}, categories=True))
    return any(names_stimuli(*(table.frame[name].array for name in texts)) for table in tables)


def _fixations_only(recording: Recording) -> Recording:
    """Leave out samples that hold no gaze."""
    fixations = recording.fixations.drop(columns=["first_row", "last_row"])
    return replace(recording, samples=SAMPLES.empty(), fixations=fixations)


class _Export:
    """What must be remembered from one block of rows to the next."""

    def __init__(self, path: Path, header: list[str], *, has_stimuli: bool) -> None:
        self._path = path
        self._header = header
        self._has_stimuli = has_stimuli
        self._rows = 0
        self._has_tracker_clock: bool | None = None
        self._sessions: dict[tuple[str, str], Sessions] = {}
        self._recordings: dict[tuple[str, str], _Pieces] = {}
        self._shown = Shown()
        self._skipped: Counter[str] = Counter()

    def add(self, table: Table) -> Iterator[Recording]:
        """Take the next block; give the pieces of recordings that are complete."""
        rows = with_all_columns(table)
        self._rows += len(table.frame)
        if "event_value" in table.columns:
            rows["stimulus"] = self._shown.add(rows["event_row"], rows["event_value"])
        is_gaze = are_gaze(rows)
        self._skipped.update(count_others(rows, is_gaze))
        recording_us = in_us(rows, "recording")
        tracker_us = in_us(rows, "tracker")
        names = self._names(rows, tracker_us, recording_us)
        time_us = self._tracker_time_us(tracker_us, recording_us, is_gaze)
        is_timed = ~np.isnan(time_us)
        self._skipped["rows without a tracker time"] += int((is_gaze & ~is_timed).sum())
        rows |= {"tracker_time_us": time_us, **names}
        kept = is_gaze & is_timed
        rows = rows if kept.all() else taken(rows, kept)
        groups = dict(_groups(rows))
        if groups:
            yield from self._finish_all_but(groups)
        for (subject, name), group in groups.items():
            if (subject, name) not in self._recordings:
                check_rate(group, table)
                about = _about(group, table, self._header)
                self._recordings[subject, name] = _Pieces(
                    self._path, subject, name, about, TrialClock(has_stimuli=self._has_stimuli)
                )
            yield from self._recordings[subject, name].add(group, self._take_skipped())

    def finish(self) -> Iterator[Recording]:
        """Give what is left."""
        if not self._recordings:
            raise FormatError(
                f"{self._path}: no eye-tracker rows with a time among {self._rows} rows; "
                "tick 'Eye tracker' data and its timestamp in the export"
            )
        yield from self._finish_all_but(())

    def _finish_all_but(self, those: Collection[tuple[str, str]]) -> Iterator[Recording]:
        for key, recording in self._recordings.items():
            # of the others nothing would come that could tell what was skipped
            if key not in those and recording.holds_rows:
                yield from recording.finish(self._take_skipped())

    def _take_skipped(self) -> Counter[str]:
        skipped, self._skipped = +self._skipped, Counter()
        return skipped

    def _tracker_time_us(self, tracker_us: Floats, recording_us: Floats, is_gaze: Bools) -> Floats:
        if self._has_tracker_clock is None and is_gaze.any():
            self._has_tracker_clock = not np.isnan(tracker_us[is_gaze]).all()
        return tracker_us if self._has_tracker_clock else recording_us

    def _names(self, rows: Rows, tracker_us: Floats, recording_us: Floats) -> Rows:
        """Subject and recording of every row, made up where the export tells none.

        Where its two clocks drift apart at once, a recording ends and another of its name begins.
        """
        count = len(recording_us)
        is_named = ~rows["recording"].isna()
        names = {
            "subject": filled(rows["subject"], constant(UNNAMED, count)),
            "recording": filled(rows["recording"], constant(stem_of(self._path), count)),
        }
        both_us = np.where(is_named, tracker_us, np.nan)
        only_us = tracker_us if np.isnan(recording_us).all() else recording_us
        clock_us = np.where(is_named, np.nan, only_us)
        number = np.zeros(count, np.int64)
        for key, own in _groups(names | {"row": np.arange(count)}):
            at = own["row"]
            sessions = self._sessions.setdefault(key, Sessions())
            number[at] = sessions.number(both_us[at], recording_us[at], clock_us[at])
        if number.any():
            more = [f"-{n + 1}" if n else "" for n in number]
            names["recording"] = pd.Categorical(strings(names["recording"]) + pd.array(more, "str"))
        return names


def _groups(rows: Rows) -> Iterator[tuple[tuple[str, str], Rows]]:
    """Rows of each recording, by subject and name, in the order of the file."""
    subject, recording = (rows[key] for key in _KEY)
    if not len(subject):
        return
    if all((names == names[0]).all() for names in (subject, recording)):
        yield (str(subject[0]), str(recording[0])), rows
        return
    keys = pd.DataFrame({key: rows[key] for key in _KEY})
    places = keys.groupby(list(_KEY), sort=False, observed=True).indices
    for (subject, name), at in sorted(places.items(), key=lambda place: int(place[1][0])):
        yield (str(subject), str(name)), taken(rows, at)


class _Pieces:
    """One recording, as its rows come in."""

    def __init__(
        self, path: Path, subject: str, name: str, about: About, clock: TrialClock
    ) -> None:
        self._path = path
        self._subject = subject
        self._name = name
        self._about = about
        self._filter = str(about.get("filter", ""))
        self._placements: dict[str, Placement | None] = {}
        self._screen_px: tuple[int, int] | None = None
        self._validation: dict[str, float] = {}
        self._clock = clock
        self._last_us = -np.inf
        self._events = 0
        self._held: list[Rows] = []
        self._skipped: Counter[str] = Counter()

    @property
    def holds_rows(self) -> bool:
        return bool(self._held)

    def add(self, rows: Rows, skipped: Counter[str]) -> Iterator[Recording]:
        """Take the next rows, give those before if they are many; the last event may go on."""
        self._skipped += skipped
        rows = self._in_order(rows)
        if not len(rows["tracker_time_us"]):
            return
        self._screen_px = self._screen_px or screen_px_of(rows)
        self._validation = self._validation or validation_of(rows)
        stimulus = filled(rows["medium"], rows["stimulus"])
        gaze = gaze_of(rows, stimulus)
        self._place(placements_of(rows, stimulus))
        if sum(len(some["stimulus"]) for some in self._held) >= _LEAST_ROWS:
            held = joined(self._held)
            end = _end_of_events(held)
            self._held = [taken(held, slice(end, None))]
            if end:
                yield self._piece(taken(held, slice(end)))
        self._held.append(gaze)

    def finish(self, skipped: Counter[str]) -> Iterator[Recording]:
        """Give the rows that were held back: no more are expected, but they may come."""
        self._skipped += skipped
        held, self._held = self._held, []
        yield replace(self._piece(joined(held)), is_over=True)

    def _in_order(self, rows: Rows) -> Rows:
        time_us = rows["tracker_time_us"]
        if (np.diff(time_us) < 0).any():
            rows = taken(rows, np.argsort(time_us, kind="stable"))
            time_us = rows["tracker_time_us"]
        late = time_us < self._last_us
        fresh = (np.diff(time_us, prepend=-np.inf) > 0) & (time_us > self._last_us)
        self._last_us = max(self._last_us, *time_us[-1:])
        if fresh.all():
            return rows
        self._skipped[OUT_OF_ORDER] += int(late.sum())
        self._skipped["repeated times"] += int((~fresh & ~late).sum())
        return taken(rows, fresh)

    def _piece(self, rows: Rows) -> Recording:
        if np.isnan(rows["vendor_event_index"]).all():
            number = self._events + 1 + _vendor_event_number(rows)
            rows = rows | {"vendor_event_index": number}
            if _has_events(rows):
                self._events = int(number[-1])
        samples, begin_us = samples_of(rows, self._clock, self._subject, self._name)
        source, told = f"vendor:{READER.name}", told_of_events(rows)
        fixations, dropped = fixations_of_labels(samples, begin_us, source, told)
        self._skipped.update(dropped)
        skipped, self._skipped = dict(self._skipped), Counter()
        return Recording(
            name=self._name,
            subject=self._subject,
            format=READER.name,
            path=self._path,
            samples=samples,
            fixations=fixations,
            placements=placed(self._placements),
            screen_px=self._screen_px,
            profile=prolab_profile(self._filter),
            prefers_vendor=is_other_filter(self._filter),
            validation=self._validation,
            about=self._about,
            skipped=skipped,
        )

    def _place(self, found: Iterable[tuple[str, Placement | None]]) -> None:
        for stimulus, place in found:
            before = self._placements.get(stimulus, place)
            self._placements[stimulus] = place if place == before else None


def _end_of_events(rows: Rows) -> int:
    """Row with which the vendor's last event begins, which may go on; all if it labels none."""
    if not _has_events(rows):
        return len(rows["vendor_event"])
    number = _vendor_event_number(rows)
    return int(np.searchsorted(number, number[-1]))


def _has_events(rows: Rows) -> bool:
    return any_known(rows["vendor_event"])


def _vendor_event_number(rows: Rows) -> NDArray[np.int64]:
    """Count the vendor's events from 0, by each row's label and index."""
    if not _has_events(rows):
        return np.zeros(len(rows["vendor_event"]), np.int64)
    kind = pd.factorize(rows["vendor_event"])[0]
    index = np.nan_to_num(rows["vendor_event_index"], nan=-1.0)
    changes = [np.diff(column, prepend=column[:1]) != 0 for column in (kind, index)]
    return np.cumsum(changes[0] | changes[1])


def _about(rows: Rows, table: Table, header: list[str]) -> About:
    column, unit = clock_of(table)
    told = {name: first_known(pd.Series(rows[name])) for name in ("software", "filter")}
    return about(table, header, **told, time=column, time_unit=unit)


READER = Reader(
    name="tobii-prolab",
    title="Tobii Pro Lab data export (TSV)",
    versions="1.102 to 1.241, 24.21",
    refusal=refusal,
    read=read,
    profile="tobii-prolab",
    is_reproduced=True,
)
