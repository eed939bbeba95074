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
``Gaze point X`` and R's ``Gaze.point.X..DACS.px.`` are one name.

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         Eyetracker timestamp; if absent, Recording timestamp
``x_px``, ``y_px``                          Gaze point X, Y (display px)
``left_x_px`` ... ``right_y_px``            Gaze point left X ...
``left_x_mm`` ...                           Gaze point left X (DACSmm)
``left_eye_x_mm`` ...                       Eye position left X (DACSmm)
``left_dir_x`` ...                          Gaze direction left X
``left_pupil_mm``                           Pupil diameter left
``left_valid``                              Validity left = Valid
``stimulus``                                Presented Media name, else Presented Stimulus name
``vendor_event``, ``vendor_event_index``    Eye movement type, Eye movement type index
==========================================  ==================================================

The presented-media rectangle becomes a Placement of the medium; a medium that was presented
in more than one place gets none. Dropped and counted: rows of
other sensors (mouse, gyroscope ...), event rows, rows without a tracker time, and rows that
repeat a tracker time. Columns of an eye that the export lacks are not made. A run of one stimulus
is a trial; where no stimulus is shown the trial is 0. Vendor fixations begin midway to the sample
before; their duration is the vendor's own, or, where it was not exported, that of their samples.

Without a participant's name the subject is "unnamed"; without a recording's name it is that of
the file, and a new recording (``name-2``) begins where the recording's clock jumps back. Bare
timestamps count us or ms, also in exports of one version: their rate tells which. A rate that no
eye tracker has is refused. Before 1.130 display coordinates were called ``RCSmm``, ``RCSpx``, and
directions were no display coordinates: they are left out.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import EYES, Bools, Floats, about
from gazetools.readers.columns import (
    Rows,
    any_known,
    constant,
    filled,
    holds,
    joined,
    renamed,
    repeated,
    rows_of,
    strings,
    taken,
)
from gazetools.readers.delimited import (
    Layout,
    Table,
    column_names,
    iter_columns,
    match_columns,
    plain_name,
)
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.tobii_rows import (
    UNNAMED,
    Restarts,
    first_known,
    is_of_glasses,
    placed,
)
from gazetools.readers.vendor_events import fixations_of_labels
from gazetools.tables import SAMPLES
from gazetools.timeline import sample_interval_us
from gazetools.trials import TrialClock

_TEXTS: dict[str, tuple[str, ...]] = {
    "sensor": ("sensor",),
    "subject": ("participantname",),
    "recording": ("recordingname",),
    "event_row": ("event",),
    "medium": ("presentedmedianame",),
    "stimulus": ("presentedstimulusname",),
    "vendor_event": ("eyemovementtype",),
    "left_validity": ("validityleft",),
    "right_validity": ("validityright",),
    "software": ("recordingsoftwareversion",),
    "filter": ("recordingfixationfiltername",),
}
_NUMBERS: dict[str, tuple[str, ...]] = {
    "tracker_us": ("eyetrackertimestamps", "eyetrackertimestampus", "eyetrackertimestamp"),
    "tracker_ms": ("eyetrackertimestampms",),
    "recording_us": ("recordingtimestamps", "recordingtimestampus", "recordingtimestamp"),
    "recording_ms": ("recordingtimestampms",),
    "x_px": ("gazepointx", "gazepointxdacspx"),
    "y_px": ("gazepointy", "gazepointydacspx"),
    "screen_width": ("recordingresolutionwidth", "recordingresolutionwidthpx"),
    "screen_height": ("recordingresolutionheight", "recordingresolutionheightpx"),
    "media_x": ("presentedmediapositionxdacspx", "presentedmediapositionxrcspx"),
    "media_y": ("presentedmediapositionydacspx", "presentedmediapositionyrcspx"),
    "media_width": ("presentedmediawidth", "presentedmediawidthpx"),
    "media_height": ("presentedmediaheight", "presentedmediaheightpx"),
    "original_width": ("originalmediawidth", "originalmediawidthpx"),
    "original_height": ("originalmediaheight", "originalmediaheightpx"),
    "vendor_event_index": ("eyemovementtypeindex",),
    "vendor_duration_ms": (
        "gazeeventduration",
        "gazeeventdurationms",
        "eyemovementeventdurationms",
    ),
    "vendor_x_px": ("fixationpointx", "fixationpointxdacspx"),
    "vendor_y_px": ("fixationpointy", "fixationpointydacspx"),
}
_VALIDATION = {
    f"{when}_{what}": tuple(f"average{when}{column}{unit}" for unit in ("degrees", "deg", ""))
    for when in ("validation", "calibration")
    for what, column in (("accuracy", "accuracy"), ("precision", "precisionrms"))
}
_NUMBERS |= _VALIDATION
for _eye in EYES:
    for _axis in ("x", "y", "z"):
        _place = f"eyeposition{_eye}{_axis}"
        _NUMBERS[f"{_eye}_eye_{_axis}_mm"] = (f"{_place}dacsmm", f"{_place}rcsmm")
        _direction = f"gazedirection{_eye}{_axis}"
        _NUMBERS[f"{_eye}_dir_{_axis}"] = (_direction, f"{_direction}dacsnorm")
    for _axis in ("x", "y"):
        _point = f"gazepoint{_eye}{_axis}"
        _NUMBERS[f"{_eye}_{_axis}_px"] = (_point, f"{_point}dacspx")
        _NUMBERS[f"{_eye}_{_axis}_mm"] = (f"{_point}dacsmm", f"{_point}rcsmm")
    _NUMBERS[f"{_eye}_pupil_mm"] = (f"pupildiameter{_eye}", f"pupildiameter{_eye}mm")

_NOT_FOR_EVENTS = {
    *_VALIDATION,
    *(f"{eye}_{what}" for eye in EYES for what in ("x_px", "y_px", "pupil_mm")),
}
_TOLD = {"vendor_duration_ms": "duration_ms", "vendor_x_px": "x_px", "vendor_y_px": "y_px"}
_OF_VENDOR = ("vendor_event_index", "vendor_duration_ms", "vendor_x_px", "vendor_y_px")
_RECTANGLE = ["media_x", "media_y", "media_width", "media_height"]
_ORIGINAL = ["original_width", "original_height"]
_KEY = ("subject", "recording")
_TIMES = ("tracker_us", "tracker_ms", "recording_us", "recording_ms")
_CLOCKS = {"tracker_us": "tracker_ms", "recording_us": "recording_ms"}
_BARE_CLOCKS = ("eyetrackertimestamp", "recordingtimestamp")
_FASTEST_HZ = 5000.0
_LEAST_ROWS = 50_000
"""In a piece, but for the last: tables of fewer take as long."""

_VENDOR_EVENTS = {
    "Fixation": "fixation",
    "Saccade": "saccade",
    "Unclassified": "unclassified",
    "EyesNotFound": "missing",
}


def refusal(head: Head) -> str:
    """Say why a file is no Pro Lab export, or "" if it is."""
    names = column_names(head.text, "\t")
    if len(names) == 1:
        return "first line has no tabs"
    if not any(re.match(r"Recording[ .]timestamp", name) for name in names):
        return "no column 'Recording timestamp'"
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
    header = column_names(read_head(path), "\t")
    texts, numbers = _find_columns(path, header)
    if options.for_events:
        numbers = _without(numbers, _NOT_FOR_EVENTS)
    export: _Export | None = None
    tables = iter_columns(path, Layout("\t"), texts, numbers, categories=True)
    for table in _with_units(tables):
        if export is None:
            export = _Export(path, header, _has_stimuli(table))
        ready = list(export.add(table))
        del table  # no rows of the export stay while others work on the samples
        while ready:
            yield ready.pop(0)
    assert export is not None
    yield from export.finish()


class _Export:
    """What must be remembered from one block of rows to the next."""

    def __init__(self, path: Path, header: list[str], has_stimuli: bool) -> None:
        self._path = path
        self._header = header
        self._has_stimuli = has_stimuli
        self._rows = 0
        self._has_tracker_clock: bool | None = None
        self._restarts: dict[str, Restarts] = {}
        self._recordings: dict[tuple[str, str], _Pieces] = {}
        self._skipped: Counter[str] = Counter()

    def add(self, table: Table) -> Iterator[Recording]:
        """Take the next block; give the pieces of recordings that are complete."""
        rows = _with_all_columns(table)
        self._rows += len(table.frame)
        is_gaze = _eye_tracker_rows(rows)
        self._skipped.update(_count_others(rows, is_gaze))
        recording_us = _in_us(rows, "recording")
        names = self._names(rows, recording_us)
        time_us = self._tracker_time_us(rows, recording_us, is_gaze)
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
                _check_rate(group, table)
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

    def _tracker_time_us(self, rows: Rows, recording_us: Floats, is_gaze: Bools) -> Floats:
        tracker_us = _in_us(rows, "tracker")
        if self._has_tracker_clock is None and is_gaze.any():
            self._has_tracker_clock = not np.isnan(tracker_us[is_gaze]).all()
        return tracker_us if self._has_tracker_clock else recording_us

    def _names(self, rows: Rows, recording_us: Floats) -> Rows:
        """Subject and recording of every row, made up where the export tells none."""
        subject = filled(rows["subject"], constant(UNNAMED, len(recording_us)))
        unnamed = rows["recording"].isna()
        if not unnamed.any():
            return {"subject": subject}
        recording = strings(rows["recording"]).copy()
        for name in subject[unnamed].unique():
            here = unnamed & (subject == name)
            restarts = self._restarts.setdefault(name, Restarts())
            clocks_us = np.column_stack((np.full(here.sum(), np.nan), recording_us[here]))
            number, at = np.unique(restarts.count(clocks_us), return_inverse=True)
            stem = stem_of(self._path)
            made_up = [f"{stem}-{n + 1}" if n else stem for n in number]
            recording[here] = pd.array(made_up, dtype="str").take(at)
        return {"subject": subject, "recording": recording}


def _has_stimuli(first: Table) -> bool:
    """Whether a stimulus is named anywhere in an export, of which the first block is given."""
    texts = {n: first.columns[n] for n in ("medium", "stimulus") if n in first.columns}
    if first.frame[list(texts)].notna().any(axis=None) or not texts:
        return bool(texts)
    later = iter_columns(first.path, Layout("\t"), texts, {})
    return any(table.frame.notna().any(axis=None) for table in later)


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
        self._screen_px = self._screen_px or _screen_px(rows)
        self._validation = self._validation or _validation(rows)
        stimulus = filled(rows["medium"], rows["stimulus"])
        gaze = _gaze(rows, stimulus)
        self._place(_placements(rows, stimulus))
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
        fresh = (np.diff(time_us, prepend=-np.inf) > 0) & (time_us > self._last_us)
        self._last_us = max(self._last_us, *time_us[-1:])
        if fresh.all():
            return rows
        self._skipped["repeated times"] += int((~fresh).sum())
        return taken(rows, fresh)

    def _piece(self, rows: Rows) -> Recording:
        if np.isnan(rows["vendor_event_index"]).all():
            number = self._events + 1 + _vendor_event_number(rows)
            rows = rows | {"vendor_event_index": number}
            if _has_events(rows):
                self._events = int(number[-1])
        samples, begin_us = _samples(rows, self._clock, self._subject, self._name)
        told = pd.DataFrame({name: rows[column] for column, name in _TOLD.items()}, copy=False)
        source = f"vendor:{READER.name}"
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
            profile=_profile(str(self._about.get("filter", ""))),
            validation=self._validation,
            about=self._about,
            skipped=skipped,
        )

    def _place(self, found: Iterable[tuple[str, Placement | None]]) -> None:
        for stimulus, place in found:
            before = self._placements.get(stimulus, place)
            self._placements[stimulus] = place if place == before else None


def _profile(filter_name: str) -> str:
    return "tobii-prolab-attention" if "attention" in filter_name.lower() else READER.profile


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


# ---------------------------------------------------------------- columns


def _find_columns(path: Path, header: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    texts, numbers = match_columns(header, _TEXTS), match_columns(header, _NUMBERS)
    if not {"x_px", "y_px"} <= set(numbers):
        raise FormatError(
            f"{path}:1: no columns 'Gaze point X' and 'Gaze point Y' among {len(header)}; "
            "tick them (display coordinates) in Pro Lab's data export"
        )
    if any(plain_name(column).endswith("rcsmm") for column in numbers.values()):
        # where positions were called so, directions are seen from the tracker
        numbers = {name: column for name, column in numbers.items() if "_dir_" not in name}
    return texts, numbers


def _without(numbers: dict[str, str], unneeded: Collection[str]) -> dict[str, str]:
    """Leave out columns, but gaze in px only where there is gaze in mm."""
    in_mm = "left_x_mm" in numbers and "right_x_mm" in numbers
    return {
        name: column
        for name, column in numbers.items()
        if name not in unneeded or (name.endswith("px") and not in_mm)
    }


def _with_units(tables: Iterator[Table]) -> Iterator[Table]:
    """Tell clocks that count ms by their rate, where no unit stands in their names."""
    in_ms: dict[str, str] | None = None
    for table in tables:
        if in_ms is None:
            in_ms = {us: ms for us, ms in _CLOCKS.items() if _counts_ms(table, us)}
        columns = {in_ms.get(name, name): column for name, column in table.columns.items()}
        yield replace(table, frame=table.frame.rename(columns=in_ms), columns=columns)


def _counts_ms(table: Table, clock: str) -> bool:
    column = table.columns.get(clock)
    if column is None or plain_name(column) not in _BARE_CLOCKS:
        return False
    rows = table.frame["sensor"] == "Eye Tracker" if "sensor" in table.columns else slice(None)
    times = table.frame.loc[rows, clock].dropna().to_numpy()
    # in the order of the file, as each recording's clock may begin at 0
    return 1e6 / sample_interval_us(times) > _FASTEST_HZ


def _with_all_columns(table: Table) -> Rows:
    """Columns of a block; what is absent is missing everywhere, but for the columns of an eye."""
    count = len(table.frame)
    no_text = constant(None, count)
    no_number = np.full(count, np.nan)
    numbers = [name for name in _NUMBERS if not name.startswith(EYES)]
    return dict.fromkeys(_TEXTS, no_text) | dict.fromkeys(numbers, no_number) | rows_of(table.frame)


def _in_us(rows: Rows, clock: str) -> Floats:
    in_us, in_ms = rows[f"{clock}_us"], rows[f"{clock}_ms"]
    time_us: Floats = np.where(np.isnan(in_us), in_ms * 1000, in_us)
    return time_us


def _check_rate(rows: Rows, table: Table) -> None:
    """Refuse times that were not written in the unit they are read in."""
    rate_hz = 1e6 / sample_interval_us(np.sort(rows["tracker_time_us"]))
    if rate_hz > _FASTEST_HZ:
        used = _time_column(table)
        raise FormatError(
            f"{table.path}: {table.columns[used]!r}, read in {used[-2:]}, makes "
            f"{rate_hz:,.0f} samples a second; its time unit seems to be wrong; export the time "
            "in us, or write the unit into the column's name, e.g. 'Recording timestamp [ms]'"
        )


def _about(rows: Rows, table: Table, header: list[str]) -> About:
    used = _time_column(table)
    told = {name: first_known(pd.Series(rows[name])) for name in ("software", "filter")}
    return about(table, header, **told, time=table.columns[used], time_unit=used[-2:])


def _time_column(table: Table) -> str:
    """Return the clock that an export tells."""
    return next(n for n in _TIMES if n in table.columns and table.frame[n].notna().any())


def _validation(rows: Rows) -> dict[str, float]:
    """Accuracy and precision that were measured after calibration, else in it."""
    found = {}
    for name in _VALIDATION:
        is_known = ~np.isnan(rows[name])
        if is_known.any():
            found[name] = float(rows[name][is_known.argmax()])
    accuracy = found.get("validation_accuracy", found.get("calibration_accuracy"))
    precision = found.get("validation_precision", found.get("calibration_precision"))
    measured = {"accuracy_deg": accuracy, "precision_rms_deg": precision}
    return {name: value for name, value in measured.items() if value is not None}


# ---------------------------------------------------------------- rows


def _eye_tracker_rows(rows: Rows) -> Bools:
    if any_known(rows["sensor"]):
        return holds(rows["sensor"], "Eye Tracker")
    is_gaze: Bools = rows["event_row"].isna()
    return is_gaze


def _count_others(rows: Rows, is_gaze: Bools) -> dict[str, int]:
    if is_gaze.all():
        return {}
    others = pd.Series(strings(rows["sensor"][~is_gaze])).str.lower().fillna("event")
    return {f"{name} rows": int(count) for name, count in others.value_counts().items()}


def _gaze(rows: Rows, stimulus: Any) -> Rows:
    """Take what samples and the vendor's fixations are made of."""
    eyes = [c.name for c in SAMPLES.columns if c.name.startswith(EYES) and c.name in rows]
    return {
        "stimulus": stimulus,
        "tracker_time_us": np.rint(rows["tracker_time_us"]).astype(np.int64),
        **{name: rows[name] for name in ("x_px", "y_px", *eyes)},
        **{f"{eye}_valid": _valid(rows, eye) for eye in EYES},
        "vendor_event": renamed(rows["vendor_event"], _VENDOR_EVENTS),
        **{name: rows[name] for name in _OF_VENDOR},
    }


def _samples(
    rows: Rows, clock: TrialClock, subject: str, recording: str
) -> tuple[pd.DataFrame, Floats]:
    """Make SAMPLES of a recording's next rows; also return when each sample begins."""
    time_us = rows["tracker_time_us"]
    trial, clock_us, begin_us = clock.add(time_us, rows["stimulus"])
    columns = {name: rows[name] for name in rows if name not in _OF_VENDOR} | {
        "recording": repeated(recording, len(time_us)),
        "subject": repeated(subject, len(time_us)),
        "stimulus": strings(rows["stimulus"]),
        "vendor_event": strings(rows["vendor_event"]),
        "trial": trial,
        "t_ms": (time_us - clock_us) / 1000,
        "vendor_event_index": np.nan_to_num(rows["vendor_event_index"]).astype(np.int64),
    }
    return SAMPLES.conform(pd.DataFrame(columns, copy=False)), begin_us


def _valid(rows: Rows, eye: str) -> Bools:
    validity = rows[f"{eye}_validity"]
    points = [rows[x] for x in (f"{eye}_x_px", f"{eye}_x_mm") if x in rows]
    # an export may tell the validity of eyes, and of gaze only the average
    seen = np.full(len(validity), not points and any_known(validity))
    for x in points:
        seen |= ~np.isnan(x)
    if any_known(validity):
        seen &= holds(validity, "Valid")
    return seen


def _screen_px(rows: Rows) -> tuple[int, int] | None:
    width, height = rows["screen_width"], rows["screen_height"]
    at = np.argmin(np.isnan(width) | np.isnan(height))
    if np.isnan(width[at] + height[at]):
        return None
    return int(width[at]), int(height[at])


def _placements(rows: Rows, stimulus: Any) -> Iterator[tuple[str, Placement | None]]:
    """Where each stimulus lay, once for every place; None for a place of no size."""
    names = pd.Categorical(stimulus)
    shown = [names.codes, *(rows[name] for name in _RECTANGLE)]
    is_new = np.arange(len(names)) == 0
    for column in shown:
        is_new[1:] |= column[1:] != column[:-1]
    is_known = shown[0] >= 0
    for column in shown[1:]:
        is_known &= ~np.isnan(column)
    # from the last on, so that the first row of a place counts
    at = np.flatnonzero(is_new & is_known)[::-1]
    places = zip(*(column[at].tolist() for column in shown), strict=True)
    first = dict(zip(places, at, strict=True))
    original = [rows[name] for name in _ORIGINAL]
    for (code, x, y, width, height), row in reversed(first.items()):
        # without the original size, image px are the px that were presented
        sizes = zip((width, height), (column[row] for column in original), strict=True)
        size = [px if np.isnan(whole) else float(whole) for px, whole in sizes]
        is_some = min(width, height, *size) >= 1
        yield (
            str(names.categories[code]),
            Placement(x, y, width, height, *map(round, size)) if is_some else None,
        )


READER = Reader(
    name="tobii-prolab",
    title="Tobii Pro Lab data export (TSV)",
    versions="1.102 to 1.241, 24.21",
    refusal=refusal,
    read=read,
    profile="tobii-prolab",
)
