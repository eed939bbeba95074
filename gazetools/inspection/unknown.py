"""What can be seen of a file that no reader knows, and a mapping to start from."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetools.errors import FormatError
from gazetools.readers.layout import column_names, plain_name
from gazetools.readers.opening import read_head

_SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}
_HEAD_LINES = 8
_HEAD_COLUMNS = 160
_ROWS = 200
_LONGEST_NAME = 60
_SHARE_UP_TO = 2.0
_HALF = 0.5
_CENTRED_FROM = 0.2
"""Share of different positions that are negative, from which the origin is the centre."""

_WORDS = r"(gaze|point|por|raw|pos|position|avg|average|mean|fix|fixation|current|eye|data)*"
_EYES = {"": "", "left": "(left|l)", "right": "(right|r)"}
_UNIT = r"(px|pix|pixels|mm|deg|norm|normalized|normalised|screen|adcspx|mcspx|dacspx)*"
_WHO = {
    "subject": r"(subject|subj|participant|observer|reader|user|person)(name|id|nr|number|label)?",
    "recording": r"(recording|session)(sessionlabel|name|id|nr|number|label)?",
    "trial": r"trial(index|name|id|nr|number|label)?",
    "stimulus": r"(stimulus|stimuli|image|picture|media|dicom|slide|img)(name|id|file|filename)?",
}
_MOMENTS = {
    "time": r".*(timestamp|time|clock).*|t|ts|t(s|ms|us|ns)",
    "left_pupil": r"(pupil|diameter|size)*(left|l)(pupil|diameter|size|eye|mm)*",
    "right_pupil": r"(pupil|diameter|size)*(right|r)(pupil|diameter|size|eye|mm)*",
}
_FIXATIONS = {
    "onset": r".*(start|onset|begin).*",
    "duration": r".*dur.*",
    "end": r".*(end|offset|stop)",
}
_TIME_UNITS = {
    "s": (0.0004, 0.04),
    "ms": (0.4, 40.0),
    "us": (400.0, 40_000.0),
    "ns": (400_000.0, 40_000_000.0),
}


@dataclass(frozen=True)
class Unknown:
    """What can be seen of a file that no reader knows.

    Attributes
    ----------
    why : str
        What was tried.
    head : tuple of str
        First lines, cut, with everything escaped that is not printable.
    separator : str
        Name of what parts the columns; empty if nothing does.
    columns : tuple of str
    mapping : str
        A TOML for the generic reader to start from; empty without columns.
    """

    why: str
    head: tuple[str, ...] = ()
    separator: str = ""
    columns: tuple[str, ...] = ()
    mapping: str = ""


def look_at_unknown(path: Path, why: str) -> Unknown:
    """Show how a file begins, find the table in it and guess what its columns are."""
    if path.is_dir():
        names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))
        return Unknown(why, tuple(_printable(name) for name in names[:_HEAD_LINES]))
    try:
        text = read_head(path)
    except FormatError:
        with path.open("rb") as file:
            return Unknown(why, (_printable(file.read(_HEAD_COLUMNS).decode("latin-1")),))
    lines = text.splitlines()
    head = tuple(_printable(line) for line in lines[:_HEAD_LINES])
    separator, at = _find_table(lines)
    is_markup = text.lstrip()[:1] in ("{", "[", "<")
    if not separator or is_markup:
        return Unknown(why, head)
    table = _Table.of(text, lines, separator, at)
    if not any(table.is_numeric(name) for name in table.names):
        return Unknown(why, head)
    columns = tuple(_printable(name) for name in table.names)
    return Unknown(why, head, _SEPARATORS[separator], columns, "\n".join(_propose(table)) + "\n")


def _printable(text: str) -> str:
    """Escape what a terminal could obey, and cut what is long."""
    escaped = "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode()
        for c in text[:_HEAD_COLUMNS]
    )
    return escaped if len(text) <= _HEAD_COLUMNS else f"{escaped} ..."


def _find_table(lines: list[str]) -> tuple[str, int]:
    """Separator of the largest block of lines with as many cells, and where it begins."""
    best = (0, "", 0)
    for separator in _SEPARATORS:
        counts = [line.count(separator) for line in lines[:_ROWS]]
        begin = 0
        for i in range(1, len(counts) + 1):
            if i < len(counts) and counts[i] == counts[begin]:
                continue
            if counts[begin] and i - begin >= 2:
                best = max(best, ((i - begin) * counts[begin], separator, begin))
            begin = i
    return best[1], best[2]


@dataclass(frozen=True)
class _Table:
    """A table's first rows: names (numbers if there are none) and, by name, the cells."""

    separator: str
    header_line: int
    names: list[str]
    cells: dict[str, list[str]]

    @classmethod
    def of(cls, text: str, lines: list[str], separator: str, at: int) -> "_Table":
        names = column_names(text, separator, at + 1)
        has_header = not any(_number(name) == _number(name) for name in names)
        rows = [line.split(separator) for line in lines[at + has_header : at + _ROWS]]
        rows = [row for row in rows if len(row) == len(names)]
        if not has_header:
            names = [str(number) for number in range(1, len(names) + 1)]
        cells = {name: [row[i].strip('"') for row in rows] for i, name in enumerate(names)}
        return cls(separator, at + 1 if has_header else 0, names, cells)

    def numbers(self, name: str) -> NDArray[np.float64]:
        return np.array([_number(cell) for cell in self.cells[name]], np.float64)

    def is_numeric(self, name: str) -> bool:
        """Whether half of the cells that hold anything are numbers."""
        filled = [_number(cell) for cell in self.cells[name] if cell.strip()]
        return 2 * sum(number == number for number in filled) >= max(1, len(filled))

    def find(self, pattern: str, taken: set[str], *, numeric: bool) -> str | None:
        """Return the first column whose plain name is of a pattern."""
        for name in self.names:
            plain = plain_name(name)
            # no name of a column is longer, and the patterns are slow on what repeats
            fits = len(plain) <= _LONGEST_NAME and re.fullmatch(pattern, plain) is not None
            if fits and name not in taken and (self.is_numeric(name) or not numeric):
                return name
        return None


def _number(cell: str) -> float:
    try:
        return float(cell.strip('" ').replace(",", "."))
    except ValueError:
        return float("nan")


# ---------------------------------------------------------------- the proposal


def _propose(table: _Table) -> Iterator[str]:
    found = _guess_columns(table)
    is_fixations = "duration" in found or ("onset" in found and "end" in found)
    kind = "fixations" if is_fixations else "samples"
    needed = ["onset", "duration"] if is_fixations else ["time"]
    known = (*_WHO, *needed, *(["end"] if "duration" not in found else []), *_gaze_names())
    yield f'kind = "{kind}"'
    yield f"separator = {_quoted(_SEPARATOR_KEYS.get(table.separator, table.separator))}"
    if table.header_line != 1:
        yield f"header_line = {table.header_line}"
    gaze = {name: found[name] for name in _gaze_names() if name in found}
    is_centred = _is_centred(table, gaze)
    unit = _position_unit(table, gaze, is_centred)
    if any((table.numbers(name) == -1).any() for name in gaze.values()):
        hint = "   # not seen, or a position? please check" if is_centred else ""
        yield f"missing = [-1]{hint}"
    if is_centred:
        yield 'origin = "centre"   # negative positions: please check'
        yield "y_up = true   # false if y grows downwards: please check"
    yield ""
    yield "[columns]"
    for name in (*known, *(n for n in _MOMENTS if "pupil" in n)):
        if name in found and not (is_fixations and name in _MOMENTS):
            yield f"{name} = {_column(table, found[name])}"
    for name in [*needed, *([] if gaze else ["x", "y"])]:
        if name not in found and not (name == "duration" and "end" in found):
            yield f'# {name} = "..."   which column? it is needed'
    yield ""
    yield "[units]"
    clock = found.get("onset" if is_fixations else "time")
    yield f'time = "{_time_unit(table, clock, is_fixations)}"   # s, ms, us or ns: please check'
    yield f'position = "{unit}"   # px, share, norm, height, mm or deg: please check'
    if is_centred and unit in ("px", "height"):
        yield ""
        yield "[screen]"
        for name in ("width_px", "height_px"):
            yield f"# {name} = ...   of the display; it is needed"


_SEPARATOR_KEYS = {"\t": "tab"}


def _gaze_names() -> list[str]:
    return [f"{eye}_{axis}".strip("_") for eye in _EYES for axis in "xy"]


def _guess_columns(table: _Table) -> dict[str, str]:
    found: dict[str, str] = {}

    def seek(name: str, pattern: str, *, numeric: bool = True) -> None:
        column = table.find(pattern, set(found.values()), numeric=numeric)
        if column is not None:
            found[name] = column

    if table.header_line == 0:
        return found
    for name, pattern in _WHO.items():
        seek(name, pattern, numeric=False)
    for name, pattern in _FIXATIONS.items():
        seek(name, pattern)
    if "duration" not in found and not {"onset", "end"} <= set(found):
        found = {name: column for name, column in found.items() if name not in _FIXATIONS}
        seek("time", _MOMENTS["time"])
    for eye in _EYES:
        for axis in "xy":
            side = _EYES[eye] + _WORDS
            before, after = f"{_WORDS}{side}{axis}{_WORDS}", f"{_WORDS}{axis}{_WORDS}{side}"
            seek(f"{eye}_{axis}".strip("_"), f"({before}|{after}){_UNIT}")
    for eye in _EYES:
        names = {f"{eye}_{axis}".strip("_") for axis in "xy"}
        if not names <= set(found):
            found = {name: column for name, column in found.items() if name not in names}
    for name in ("left_pupil", "right_pupil"):
        seek(name, _MOMENTS[name])
    return found


def _time_unit(table: _Table, column: str | None, is_fixations: bool) -> str:
    if column is None:
        return "ms"
    named = re.search(r"(?<![a-z])(s|ms|us|ns)$", re.sub(r"[^a-z]+", " ", column.lower()).strip())
    if named:
        return named[1]
    times = table.numbers(column)
    steps = np.diff(times[np.isfinite(times)])
    steps = steps[steps > 0]
    if not len(steps):
        return "ms"
    # fixations come ten times more slowly than samples of a slow tracker
    step = float(np.median(steps)) / (10 if is_fixations else 1)
    units = [unit for unit, (low, high) in _TIME_UNITS.items() if low <= step < high]
    return units[0] if units else "ms"


def _position_unit(table: _Table, gaze: Mapping[str, str], is_centred: bool) -> str:
    x, y = _axes(table, gaze)
    extent_x, extent_y = (_extent(values) for values in (x, y))
    if not max(extent_x, extent_y) <= _SHARE_UP_TO:
        return "px"
    # from the centre, 1 is the screen, half of it, or its height
    if is_centred and extent_y > _HALF:
        return "norm"
    return "height" if is_centred and extent_x > _HALF else "share"


def _is_centred(table: _Table, gaze: Mapping[str, str]) -> bool:
    """Whether many x and many y are negative."""
    axes = _axes(table, gaze)
    return all(len(axis) and bool(np.mean(axis < 0) >= _CENTRED_FROM) for axis in axes)


def _axes(table: _Table, gaze: Mapping[str, str]) -> list[NDArray[np.float64]]:
    """Different x, and different y."""
    axes = [[column for name, column in gaze.items() if name.endswith(axis)] for axis in "xy"]
    return [_positions(table, columns) for columns in axes]


def _extent(values: NDArray[np.float64]) -> float:
    """How far from 0 all but a few lie; NaN if there are none."""
    return float(np.quantile(np.abs(values), 0.9)) if len(values) else float("nan")


def _positions(table: _Table, columns: Iterable[str]) -> NDArray[np.float64]:
    """Return different numbers, of which a code of lost gaze is one; not -1, the usual one."""
    numbers = [table.numbers(column) for column in columns]
    values = np.unique(np.concatenate([*numbers, np.zeros(0)]))
    return np.asarray(values[np.isfinite(values) & (values != -1)], np.float64)


def _column(table: _Table, name: str) -> str:
    return _quoted(name) if table.header_line else name


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
