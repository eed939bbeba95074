"""Lines of an EyeLink ASC file: which are samples, and what the others say.

Samples are most of the file and are parsed by pyarrow at once; Python sees only the others.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from gazetools.errors import FormatError
from gazetools.readers.building import EYES, Bools, Floats, Integers
from gazetools.readers.opening import WINDOWS, Decoder, from_windows, open_bytes, read_head_bytes

_MOST_OTHERS = 2_000_000
_LARGEST = 2.0**53
_MISSING = -32768.0
"""EyeLink's own number for "no data"; and no screen is as large as the one for "no gaze"."""
_NO_GAZE = 1e7
_NULLS = [" " * pad + mark for mark in ("", ".", "NaN", "nan", "NA") for pad in range(9)]
_NUMBER = re.compile(rb"\s*[-+]?\d+(\.\d*)?\s*")
_FLAGS = re.compile(rb"[.A-Z]{3,17}")
"""Warnings of a sample line; one dot is a missing number."""
_COMPLAINTS = (pa.ArrowException, OSError, UnicodeError)


@dataclass(frozen=True)
class Line:
    """A line that is no sample.

    Attributes
    ----------
    number : int
        From 1.
    word : str
        What it begins with: ``MSG``, ``EFIX`` ...
    text : str
        What follows.
    """

    number: int
    word: str
    text: str


@dataclass
class Block:
    """What was recorded between a START and an END line.

    Attributes
    ----------
    first_line, last_line : int
        Its samples are those between; from 1.
    start_ms : float or None
        Time of its START line.
    eyes : tuple of str
        "left", "right"; empty if the file does not say.
    samples_in, events_in : str
        Coordinates: GAZE, HREF, PUPIL or RAW.
    rate_hz : float or None
    keywords : tuple of str
        Further columns: VEL, RES, INPUT, HTARGET ...
    """

    first_line: int
    last_line: int
    start_ms: float | None = None
    eyes: tuple[str, ...] = ()
    samples_in: str = "GAZE"
    events_in: str = "GAZE"
    rate_hz: float | None = None
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True)
class Samples:
    """Sample lines of a file, in its order; arrays of one length.

    Attributes
    ----------
    time_ms : (n,) float64
    gaze : mapping of str to (n,) float64
        ``left_x``, ``left_y``, ``left_pupil``, ``right_x`` ...; ``x``, ``y``, ``pupil`` where
        the file does not say which eye it is. NaN: not seen.
    block : (n,) int64
        Index of the block.
    """

    time_ms: Floats
    gaze: dict[str, Floats]
    block: Integers


@dataclass(frozen=True)
class Asc:
    """An ASC file, taken apart.

    Attributes
    ----------
    path : Path
    lines : list of Line
        All that are no samples, in order.
    blocks : list of Block
    samples : Samples
    outside : int
        Sample lines that lie in no block.
    encoding : str
    """

    path: Path
    lines: list[Line]
    blocks: list[Block]
    samples: Samples
    outside: int
    encoding: str


def read_asc(path: Path) -> Asc:
    """Take an ASC file apart.

    Raises
    ------
    FormatError
        A line is damaged; names it.
    """
    decoder = Decoder(path, read_head_bytes(path))
    with open_bytes(path) as stream:
        data = stream.read()
    if decoder.encoding == "utf-16":
        data = decoder.utf8(data, final=True)
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = _Text(path, data, decoder.encoding)
    lines = list(text.others())
    blocks = _blocks(path, lines, len(text.starts))
    of_line = _block_of_sample(blocks, text.sample_lines)
    samples = _samples(text, blocks, of_line)
    return Asc(path, lines, blocks, samples, int((of_line < 0).sum()), text.encoding)


class _Text:
    """Where the lines of a file begin and end, and which are samples."""

    def __init__(self, path: Path, data: bytes, encoding: str) -> None:
        self.path = path
        self.data = data
        self.encoding = encoding
        array = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(array == ord("\n"))
        if not data.endswith(b"\n"):
            ends = np.append(ends, len(data))
        self.ends = ends
        self.starts = np.concatenate(([0], ends[:-1] + 1))
        first = array[np.minimum(self.starts, len(data) - 1)]
        self.sample_lines = np.flatnonzero((first >= ord("0")) & (first <= ord("9")))
        letters = ((first >= ord("A")) & (first <= ord("Z"))) | (first == ord("*"))
        self._others = np.flatnonzero(letters)

    def others(self) -> Iterator[Line]:
        if len(self._others) > _MOST_OTHERS:
            raise FormatError(
                f"{self.path}: over {_MOST_OTHERS} lines of messages and events; expected a "
                "recording; cut it into several"
            )
        for index in self._others.tolist():
            text = self._decoded(self.data[self.starts[index] : self.ends[index]])
            word, _, rest = text.replace("\t", " ").partition(" ")
            yield Line(index + 1, word, rest.strip())

    def _decoded(self, line: bytes) -> str:
        """Decode a line on its own: the tracker keeps messages as each program wrote them."""
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.encoding = WINDOWS
            return from_windows(line)

    def joined(self, lines: Integers) -> bytes:
        """Return lines without what stands between them."""
        breaks = np.flatnonzero(np.diff(lines) > 1)
        begins = self.starts[lines[np.concatenate(([0], breaks + 1))]]
        ends = self.ends[lines[np.concatenate((breaks, [len(lines) - 1]))]]
        view = memoryview(self.data)
        return b"\n".join(view[a:b] for a, b in zip(begins, ends, strict=True)) + b"\n"

    def fields(self, line: int) -> list[bytes]:
        return self.data[self.starts[line] : self.ends[line]].split(b"\t")


# ---------------------------------------------------------------- blocks


def _blocks(path: Path, lines: Sequence[Line], end: int) -> list[Block]:
    blocks: list[Block] = []
    is_open = False
    for line in lines:
        words = line.text.split()
        if line.word == "START" or (line.word == "SAMPLES" and not is_open):
            if is_open:
                blocks[-1].last_line = line.number
            blocks.append(Block(line.number, end + 1))
            is_open = True
        if line.word == "START":
            blocks[-1].start_ms = number(path, line, words, 0, "a time in ms")
            blocks[-1].eyes = _eyes(words)
        elif line.word == "SAMPLES" and words:
            blocks[-1].samples_in = words[0]
            blocks[-1].eyes = _eyes(words) or blocks[-1].eyes
            blocks[-1].rate_hz = _rate_hz(path, line, words) or blocks[-1].rate_hz
            blocks[-1].keywords = tuple(w for w in words if w in _EXTRA)
        elif line.word == "EVENTS" and words and is_open:
            blocks[-1].events_in = words[0]
            blocks[-1].eyes = blocks[-1].eyes or _eyes(words)
            blocks[-1].rate_hz = blocks[-1].rate_hz or _rate_hz(path, line, words)
        elif line.word == "END" and is_open:
            blocks[-1].last_line = line.number
            is_open = False
    return blocks or [Block(0, end + 1)]


_EVENTS = ("EFIX", "ESACC", "EBLINK")
_EXTRA = ("VEL", "RES", "INPUT", "BUTTONS", "HTARGET")


def _eyes(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(eye for eye in EYES if eye.upper() in words)


def _rate_hz(path: Path, line: Line, words: Sequence[str]) -> float | None:
    if "RATE" not in words:
        return None
    rate = number(path, line, words, words.index("RATE") + 1, "a rate in Hz")
    return rate if 1 <= rate <= 10_000 else None


def number(path: Path, line: Line, words: Sequence[str], at: int, expected: str) -> float:
    """Return a word of a line as a number, NaN where it is missing (".").

    Raises
    ------
    FormatError
        There is no such word, or it is no number.
    """
    found = words[at] if at < len(words) else "nothing"
    if found in (".", "NaN", "nan"):
        return float("nan")
    try:
        value = float(found)
    except ValueError:
        value = np.inf
    if not abs(value) <= _LARGEST:
        raise FormatError(
            f"{path}:{line.number}: {line.word} line has {found!r} where {expected} is expected; "
            "convert the EDF file again"
        )
    return value


def number_or_nan(text: str) -> float:
    """Return a text as a number, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _block_of_sample(blocks: list[Block], lines: Integers) -> Integers:
    """Block of each sample line (n,), from 0; -1: none."""
    last = np.array([block.last_line for block in blocks])
    at = np.searchsorted([block.first_line for block in blocks], lines + 1, "right") - 1
    inside = (at >= 0) & (lines + 1 <= last[np.maximum(at, 0)])
    return np.where(inside, at, -1)


def block_of_line(blocks: Sequence[Block], lines: Integers) -> Integers:
    """Return the block in which, or behind which, each line (n,) stands; from 1."""
    at = np.searchsorted([block.first_line for block in blocks], lines, "right") - 1
    return np.asarray(np.maximum(at, 0), np.int64)


def by_rate(asc: Asc) -> list[Asc]:
    """Part the blocks, with their samples and events, by rate; messages stay with all."""
    known = [block.rate_hz for block in asc.blocks if block.rate_hz]
    rates = [block.rate_hz or known[0] for block in asc.blocks] if known else []
    if len(set(rates)) < 2:
        return [asc]
    of_line = block_of_line(asc.blocks, np.array([line.number for line in asc.lines]))
    parts = []
    for rate in dict.fromkeys(rates):
        mine = np.array([other == rate for other in rates])
        rows = mine[asc.samples.block]
        gaze = {name: values[rows] for name, values in asc.samples.gaze.items()}
        samples = Samples(asc.samples.time_ms[rows], gaze, asc.samples.block[rows])
        lines = [
            line
            for line, block in zip(asc.lines, of_line.tolist(), strict=True)
            if mine[block] or line.word not in _EVENTS
        ]
        blocks = [
            block if mine[i] else replace(block, rate_hz=None) for i, block in enumerate(asc.blocks)
        ]
        parts.append(replace(asc, lines=lines, blocks=blocks, samples=samples))
    return parts


# ---------------------------------------------------------------- samples


def _samples(text: _Text, blocks: list[Block], of_line: Integers) -> Samples:
    lines, block = text.sample_lines[of_line >= 0], of_line[of_line >= 0]
    layouts = _layouts(text, blocks, lines, block)
    time_ms = np.empty(len(lines))
    gaze: dict[str, Floats] = {}
    for layout in dict.fromkeys(layouts.values()):
        mine = [index for index, other in layouts.items() if other == layout]
        rows: Any = slice(None) if len(mine) == len(layouts) else np.isin(block, mine)
        table = _parse(text, lines[rows], layout)
        time_ms[rows] = table.pop("time")
        for name, values in table.items():
            if name not in gaze:
                gaze[name] = np.full(len(lines), np.nan)
            gaze[name][rows] = values
    has_pupil = any((gaze[name] > 0).any() for name in gaze if name.endswith("pupil"))
    for eye in dict.fromkeys(name.rpartition("_")[0] for name in gaze):
        _blank_unseen(gaze, eye, has_pupil=has_pupil)
    return Samples(time_ms, gaze, block)


def _layouts(
    text: _Text, blocks: list[Block], lines: Integers, block: Integers
) -> dict[int, tuple[str, ...]]:
    """Names of the columns of each block that has samples; those that we need come first."""
    present, first = np.unique(block, return_index=True)
    layouts = {}
    for index, row in zip(present.tolist(), first.tolist(), strict=True):
        fields = text.fields(lines[row])
        eyes = blocks[index].eyes or _guessed_eyes(fields)
        names = ["time"]
        names += [f"{eye}_{what}".lstrip("_") for eye in eyes for what in ("x", "y", "pupil")]
        if len(fields) < len(names):
            raise FormatError(
                f"{text.path}:{lines[row] + 1}: sample line has {len(fields)} fields, expected "
                f"{len(names)}: {', '.join(names)}; fields must be separated by tabs; convert "
                "the EDF file again with edf2asc"
            )
        more = [f"#{number}" for number in range(len(names), len(fields))]
        layouts[index] = (*names, *more)
    return layouts


def _guessed_eyes(fields: list[bytes]) -> tuple[str, ...]:
    """Tell by the fields of a line how many eyes it holds; which one, it cannot tell."""
    flags = [field.strip() for field in fields if not _NUMBER.fullmatch(field)]
    marks = [len(flag) for flag in flags if len(flag) in (3, 5, 13, 17)]
    if marks:
        return EYES if marks[0] in (5, 17) else ("",)
    return EYES if len(fields) in (7, 9, 11, 13) else ("",)


def _parse(text: _Text, lines: Integers, layout: tuple[str, ...]) -> dict[str, Floats]:
    wanted = [name for name in layout if not name.startswith("#")]
    try:
        table = _arrow(text.joined(lines), layout, wanted, threads=True)
    except _COMPLAINTS:
        data = _evened(text, lines, layout, len(wanted))
        # only the single-threaded parser knows in which row it stopped
        try:
            table = _arrow(data, wanted, wanted, threads=False)
        except _COMPLAINTS as error:
            raise FormatError(f"{text.path}{_where(str(error), layout, lines)}") from error
    columns = {name: table[name].to_numpy() for name in wanted}
    for name, values in columns.items():
        wrong = np.flatnonzero(np.abs(values) > _LARGEST)
        if name == "time":
            wrong = np.flatnonzero(~(values <= _LARGEST))
        if len(wrong):
            raise FormatError(
                f"{text.path}:{lines[wrong[0]] + 1}: {name!r} is {values[wrong[0]]}, expected a "
                f"number up to {_LARGEST:.0f}; convert the EDF file again"
            )
    return columns


def _evened(text: _Text, lines: Integers, layout: Sequence[str], count: int) -> bytes:
    """Return the first fields of lines, `count` of each.

    Behind the flags a line may have more or fewer than the others of its block: a remote tracker
    tells of its target while it sees one. A line without flags and line feed was cut off.
    """
    usual = _flags_at(text.fields(lines[0]))
    evened = []
    for line in lines.tolist():
        fields = text.fields(line)
        at = _flags_at(fields)
        is_bare = at < 0 and len(fields) == count and text.ends[line] < len(text.data)
        is_whole = at == usual >= count or is_bare
        if len(fields) != len(layout) and not is_whole:
            raise FormatError(
                f"{text.path}:{line + 1}: line has {len(fields)} fields, expected {len(layout)} as "
                "in the first of its block; it was cut off or damaged; convert the EDF file again"
            )
        evened.append(b"\t".join(fields[:count]))
    return b"\n".join(evened) + b"\n"


def _flags_at(fields: list[bytes]) -> int:
    """Index of the field of flags, -1 if there is none."""
    found = (at for at, field in enumerate(fields) if _FLAGS.fullmatch(field.strip()))
    return next(found, -1)


def _arrow(data: bytes, layout: Sequence[str], wanted: list[str], *, threads: bool) -> pa.Table:
    return pacsv.read_csv(
        pa.BufferReader(data),
        read_options=pacsv.ReadOptions(column_names=list(layout), use_threads=threads),
        parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.float64()),
            include_columns=wanted,
            null_values=_NULLS,
        ),
    )


def _where(complaint: str, layout: Sequence[str], lines: Integers) -> str:
    value = re.search(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", complaint)
    if value:
        column, row = layout[int(value[1])], int(value[2])
        return (
            f":{lines[row - 1] + 1}: {column!r} holds {value[3]!r}, expected a number; convert "
            "the EDF file again"
        )
    return f": cannot be parsed ({complaint.splitlines()[0]}); convert the EDF file again"


def is_gaze(places: Floats) -> Bools:
    """Tell which places (n,) on one axis are none of EyeLink's numbers for missing ones."""
    return np.asarray((places > _MISSING) & (places < _NO_GAZE))


def gaze_of(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return positions (n,) of an eye, NaN where EyeLink says that it was not seen."""
    seen = is_gaze(x) & is_gaze(y)
    return np.where(seen, x, np.nan), np.where(seen, y, np.nan)


def _blank_unseen(columns: dict[str, Floats], eye: str, *, has_pupil: bool) -> None:
    """Make an eye NaN where it was not seen: no position, or a code for none."""
    x, y, pupil = (f"{eye}_{what}".lstrip("_") for what in ("x", "y", "pupil"))
    # edf2asc -miss writes one number for both
    is_code = (columns[x] == columns[y]) & (columns[pupil] <= 0)
    if not has_pupil:
        is_code &= columns[x] < 0
    columns[x], columns[y] = gaze_of(columns[x], columns[y])
    if is_code.any():
        columns[x][is_code] = columns[y][is_code] = np.nan
    columns[pupil] = np.where(columns[pupil] > 0, columns[pupil], np.nan)
