"""What a file is, told without writing anything: for a person, and for the next command."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools import events, readers
from gazetools.errors import FormatError
from gazetools.inspection.unknown import Unknown, look_at_unknown
from gazetools.readers import Reader, ReadOptions, Recording, generic
from gazetools.readers.building import EYES
from gazetools.readers.opening import encoding_of, read_head, read_head_bytes
from gazetools.readers.vendor_events import CUT_OFF
from gazetools.timeline import sample_interval_us

_DECIMAL_COMMA = re.compile(r'(?:^|[\t;])"?-?\d+,\d+"?(?=[\t;\r\n]|$)', re.MULTILINE)
_DECIMAL_POINT = re.compile(r'(?:^|[\t;, |])"?-?\d+\.\d+"?(?=[\t;, |\r\n]|$)', re.MULTILINE)
_MAGICS = {b"\x1f\x8b": "gz", b"PK\x03\x04": "zip"}
_SHOWN = 3


@dataclass(frozen=True)
class RecordingFacts:
    """One recording of an export.

    Attributes
    ----------
    subject, name : str
    samples, trials : int
    stimuli : tuple of str
        In the order in which they were first shown.
    duration_s : float or None
        From the first to the last sample, or to the end of the last fixation.
    measured_hz, stated_hz : float or None
    eyes : tuple of str
        Eyes that have gaze of their own.
    eye_positions, pupils : bool
        Known for any sample.
    angles : bool
        Our detector can tell angles from it alone.
    vendor_events : mapping of str to int
        Fixations, those of them that the export cuts off, saccades, blinks, and samples that are
        labelled.
    unplaced : tuple of str
        Stimuli whose place on the screen is not told.
    screen_px : (int, int) or None
    screen : mapping or None
        Also in mm, with the distance.
    positions : str
        What positions are in.
    validation : mapping of str to float
    about : mapping
    skipped : mapping of str to int
    """

    subject: str
    name: str
    samples: int
    trials: int
    stimuli: tuple[str, ...]
    duration_s: float | None
    measured_hz: float | None
    stated_hz: float | None
    eyes: tuple[str, ...]
    eye_positions: bool
    angles: bool
    pupils: bool
    vendor_events: Mapping[str, int]
    unplaced: tuple[str, ...]
    screen_px: tuple[int, int] | None
    screen: Mapping[str, float] | None
    positions: str
    validation: Mapping[str, float]
    about: Mapping[str, str | tuple[str, ...]]
    skipped: Mapping[str, int]


@dataclass(frozen=True)
class Inspection:
    """What a file or a folder is.

    Attributes
    ----------
    path : Path
    bytes : int
        Of the file, or of all files in the folder.
    files : int
    compression : str
        gz, zip, or "none".
    encoding, decimal_mark : str
        Empty where it does not apply.
    reader : str
        Name of the reader; empty if none knows it.
    title, versions : str
    recordings : tuple of RecordingFacts
    problem : str
        Why it cannot be read though its format is known.
    missing : tuple of str
        What the export lacks, and what that means.
    next_command : str
    unknown : Unknown or None
    """

    path: Path
    bytes: int
    files: int = 1
    compression: str = "none"
    encoding: str = ""
    decimal_mark: str = ""
    reader: str = ""
    title: str = ""
    versions: str = ""
    recordings: tuple[RecordingFacts, ...] = ()
    problem: str = ""
    missing: tuple[str, ...] = ()
    next_command: str = ""
    unknown: Unknown | None = field(default=None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return asdict(self) | {"path": str(self.path)}


def inspect(path: Path, options: ReadOptions | None = None) -> Inspection:
    """Find out what a file or folder is.

    Raises
    ------
    FormatError
        It is missing, or cannot be opened.
    """
    path, options = Path(path), options or ReadOptions()
    if not path.exists():
        raise FormatError(f"{path}: no such file or folder")
    told = _outside(path)
    try:
        reader = generic.READER if options.mapping else readers.find_reader(path)
    except FormatError as error:
        unknown = look_at_unknown(path, _why(path, error))
        command = f"{_command(path)} --mapping mapping.toml" if unknown.mapping else ""
        return Inspection(path, **told, next_command=command, unknown=unknown)
    told |= {"reader": reader.name, "title": reader.title, "versions": reader.versions}
    try:
        facts = _look_at_recordings(path, options)
    except FormatError as error:
        return Inspection(path, **told, problem=str(error))
    about = facts[0].about if facts else {}
    told["encoding"] = str(about.get("encoding", told["encoding"]))
    told["decimal_mark"] = str(about.get("decimal mark", told["decimal_mark"]))
    return Inspection(
        path,
        **told,
        recordings=facts,
        missing=tuple(_missing(facts, reader, options)),
        next_command=_next_command(facts, path, options),
    )


def _why(path: Path, error: FormatError) -> str:
    """Say why no reader takes a file: what each misses in it, if it can be opened."""
    try:
        reasons = [] if path.is_dir() else readers.reasons(path)
    except FormatError:
        reasons = []
    return "; ".join(reasons) or str(error)


def _outside(path: Path) -> dict[str, Any]:
    """Size, compression and encoding, whatever is inside."""
    told: dict[str, Any] = {"encoding": "", "decimal_mark": ""}
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        told["files"] = len(files)
        return told | {"bytes": sum(file.stat().st_size for file in files)}
    told |= {"bytes": path.stat().st_size, "compression": _compression(path)}
    try:
        head = read_head_bytes(path)
        told["encoding"] = encoding_of(path, head)
        if head.startswith(b"\xef\xbb\xbf"):
            told["encoding"] = "utf-8 with a byte order mark"
        told["decimal_mark"] = _decimal_mark(read_head(path))
    except FormatError:
        pass  # binary, damaged or empty: said by whoever reads it
    return told


def _compression(path: Path) -> str:
    with path.open("rb") as file:
        magic = file.read(4)
    return next((name for start, name in _MAGICS.items() if magic.startswith(start)), "none")


def _decimal_mark(text: str) -> str:
    commas, points = (len(mark.findall(text)) for mark in (_DECIMAL_COMMA, _DECIMAL_POINT))
    return "," if commas > points else "." if points else ""


# ---------------------------------------------------------------- recordings


class _Facts:
    """Facts of one recording, gathered piece by piece."""

    def __init__(self, first: Recording) -> None:
        self._last = first
        self._samples = 0
        self._stimuli: dict[str, None] = {}
        self._placed: set[str] = set()
        self._trials: set[int] = set()
        self._begin_us: int | None = None
        self._end_us = 0
        self._end_ms = 0.0
        self._intervals: list[tuple[float, int]] = []
        self._eyes: set[str] = set()
        self._eye_positions = False
        self._angles = False
        self._pupils = False
        self._events: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()

    def add(self, piece: Recording) -> None:
        self._last = piece
        for table in (piece.samples, piece.fixations):
            self._stimuli |= dict.fromkeys(table["stimulus"].dropna().unique())
            self._trials |= set(table["trial"].unique()) - {0}
        self._placed |= set(piece.placements)
        skipped = Counter(piece.skipped)
        self._events["fixations"] += len(piece.fixations)
        self._events[CUT_OFF] += skipped.pop(CUT_OFF, 0)
        self._skipped.update(skipped)
        self._events["saccades"] += len(piece.saccades)
        self._events["blinks"] += len(piece.blinks)
        if len(piece.fixations):
            ends = piece.fixations["onset_ms"] + piece.fixations["duration_ms"]
            self._end_ms += float(ends.groupby(piece.fixations["trial"]).max().sum())
        if len(piece.samples):
            self._add_samples(piece.samples)

    def _add_samples(self, samples: pd.DataFrame) -> None:
        time_us = samples["tracker_time_us"].to_numpy(np.int64)
        self._begin_us = int(time_us[0]) if self._begin_us is None else self._begin_us
        self._end_us = int(time_us[-1])
        self._samples += len(samples)
        if len(samples) > 1:
            self._intervals.append((sample_interval_us(time_us), len(samples)))
        self._eye_positions |= events.knows_eyes(samples)
        self._angles |= events.tells_angles(samples, events.PROFILES[self._last.profile])
        for eye in EYES:
            gaze = samples.reindex(columns=[f"{eye}_x_px", f"{eye}_x_mm"])
            pupil = samples.reindex(columns=[f"{eye}_pupil_mm", f"{eye}_pupil"])
            self._eyes |= {eye} if gaze.notna().any(axis=None) else set()
            self._pupils |= bool(pupil.notna().any(axis=None))
        if "vendor_event" in samples:
            self._events["labelled samples"] += int(samples["vendor_event"].notna().sum())

    def done(self) -> RecordingFacts:
        last = self._last
        return RecordingFacts(
            subject=last.subject,
            name=last.name,
            samples=self._samples,
            trials=len(self._trials),
            stimuli=tuple(self._stimuli),
            duration_s=self._duration_s(),
            measured_hz=self._measured_hz(),
            stated_hz=last.fixed_rate_hz,
            eyes=tuple(eye for eye in EYES if eye in self._eyes),
            eye_positions=self._eye_positions,
            angles=self._angles,
            pupils=self._pupils,
            vendor_events={what: count for what, count in self._events.items() if count},
            unplaced=tuple(name for name in self._stimuli if name not in self._placed),
            screen_px=last.screen_px,
            screen=asdict(last.screen) if last.screen is not None else None,
            positions=self._positions(),
            validation=dict(last.validation),
            about=dict(last.about),
            skipped=dict(self._skipped),
        )

    def _duration_s(self) -> float | None:
        if self._begin_us is not None:
            return (self._end_us - self._begin_us) / 1e6
        return self._end_ms / 1000 if self._end_ms else None

    def _measured_hz(self) -> float | None:
        if not self._intervals:
            return None
        longest, _ = max(self._intervals, key=lambda piece: piece[1])
        return 1e6 / longest

    def _positions(self) -> str:
        if self._last.normalised:
            return "shares of the display"
        in_image = self._last.fixations["x_im"].notna().any() and self._last.samples.empty
        return "image px" if in_image else "screen px"


def _look_at_recordings(path: Path, options: ReadOptions) -> tuple[RecordingFacts, ...]:
    found: dict[tuple[str, str], _Facts] = {}
    for piece in readers.pieces(path, options):
        key = (piece.subject, piece.name)
        if key not in found:
            found[key] = _Facts(piece)
        found[key].add(piece)
    return tuple(one.done() for one in found.values())


# ---------------------------------------------------------------- what next


def _missing(
    facts: tuple[RecordingFacts, ...], reader: Reader, options: ReadOptions
) -> Iterator[str]:
    if not any(one.samples for one in facts):
        yield "raw samples: events cannot be detected, the vendor's own fixations are taken"
    elif _blind(facts):
        yield (
            "eye positions, or the display's size in mm and its distance: our detectors measure "
            "angles; pass --screen"
        )
    if any(one.positions == "shares of the display" for one in facts):
        yield "the display's size in px: positions are shares of it; pass --screen"
    if not any(one.vendor_events.get("fixations") for one in facts):
        yield "fixations of the vendor's own, to compare ours with"
    if not any(one.stimuli for one in facts):
        hint = "; a message may name them, pass --trial-from" if _has_messages(reader) else ""
        yield f"names of stimuli{hint}"
    unplaced = sorted({n for one in facts for n in one.unplaced if one.positions != "image px"})
    if unplaced:
        shown = ", ".join(unplaced[:_SHOWN]) + (" ..." if len(unplaced) > _SHOWN else "")
        yield (
            f"where on the screen {len(unplaced)} stimuli lay ({shown}): if they are images, pass "
            "--placement or --stimuli"
        )


def _blind(facts: tuple[RecordingFacts, ...]) -> bool:
    """Whether there are samples of which nobody can tell angles."""
    return any(one.samples and not one.angles and one.screen is None for one in facts)


def _has_messages(reader: Reader) -> bool:
    return reader.name.endswith("-asc")


def _command(path: Path) -> str:
    return f"gazetools ingest {shlex.quote(str(path))}"


def _next_command(facts: tuple[RecordingFacts, ...], path: Path, options: ReadOptions) -> str:
    """Write the command that reads the file; what only the user knows stands in capitals."""
    words = [_command(path)]
    if options.trial_from is not None:
        words += ["--trial-from", shlex.quote(options.trial_from)]
    if options.mapping is not None:
        words += ["--mapping", shlex.quote(str(options.mapping))]
    has_vendors = any(one.vendor_events.get("fixations") for one in facts)
    size = next((one.screen_px for one in facts if one.screen_px is not None), None)
    px = f"{size[0]}x{size[1]}" if size is not None else "WIDTHxHEIGHT"
    shares = any(one.positions == "shares of the display" for one in facts)
    if _blind(facts) and not has_vendors:
        words += ["--screen", f"{px}:WIDTH_MMxHEIGHT_MM:DISTANCE_MM"]
    else:
        words += ["--screen", px] if shares else []
        words += ["--events", "vendor"] if _blind(facts) else []
    return " ".join(words)
