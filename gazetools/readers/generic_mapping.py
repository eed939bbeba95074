"""What a mapping says of a table, read from TOML and checked; every mistake names its key.

``gazetools.readers.generic`` reads tables by it. ``examples/mapping.toml`` in the repository
shows every key and what it may be.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazetools.errors import FormatError, GeometryError
from gazetools.geometry import Screen
from gazetools.readers.building import US_PER
from gazetools.readers.opening import open_bytes

CONSTANTS = ("subject", "recording", "stimulus")
"""What is one text for all rows where no column tells it."""
TEXTS = ("subject", "recording", "trial", "stimulus")
"""Columns that hold texts; others hold numbers."""
GAZE = tuple(f"{eye}{axis}" for eye in ("", "left_", "right_") for axis in "xy")
"""Places of gaze."""
COLUMNS = {
    "samples": (*TEXTS, "time", *GAZE, "left_pupil", "right_pupil"),
    "fixations": (*TEXTS, "onset", "duration", "end", "x", "y", "image_width", "image_height"),
}
KEYS = (
    *("kind", "separator", "header_line", "comment", "missing", "origin", "y_up", "rate_hz"),
    *("clock", "subject", "recording", "stimulus", "columns", "units", "screen", "rows", "valid"),
)

_MOST_TOML_BYTES = 2**20
_POSITIONS = {
    "samples": ("px", "share", "norm", "height", "mm", "deg"),
    "fixations": ("px", "share", "norm", "height", "mm", "deg", "image px", "image share"),
}
_FROM_CENTRE = ("norm", "height")
_SIZES = ("width_px", "height_px", "width_mm", "height_mm", "distance_mm")
_TYPES = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
_TOO_LARGE = 2**1023
"""TOML has whole numbers of any length, of which a float holds no larger ones."""

Codes = tuple[str | float, ...]


@dataclass(frozen=True)
class Mapped:
    """What a mapping says, checked.

    Attributes
    ----------
    path : Path
        The TOML file.
    kind, separator, comment, origin, clock : str
    header_line : int
    missing : tuple of str and float
    y_up : bool
    rate_hz : float
        NaN if a column tells the time.
    constants, columns, units : mapping of str to str
    screen_px : (int, int) or None
    screen : Screen or None
    rows_column : str
        What tells which rows are read; "" if all are.
    rows_codes : tuple of str and float
        What it holds in them.
    valid_columns : mapping of str to str
        "left", "right" or "both" to a column.
    valid_codes : tuple of str and float
        What such a column holds where gaze is valid; empty if a number decides.
    valid_range : (float, float)
        Smallest and largest number that is valid.
    """

    path: Path
    kind: str
    separator: str
    comment: str
    origin: str
    clock: str
    header_line: int
    missing: Codes
    y_up: bool
    rate_hz: float
    constants: Mapping[str, str]
    columns: Mapping[str, str]
    units: Mapping[str, str]
    screen_px: tuple[int, int] | None
    screen: Screen | None
    rows_column: str
    rows_codes: Codes
    valid_columns: Mapping[str, str]
    valid_codes: Codes
    valid_range: tuple[float, float]


def read_mapping(path: Path) -> Mapped:
    """Read and check a TOML mapping.

    Raises
    ------
    FormatError
        It cannot be read, or a key is unknown, missing or wrong: names it, what was found and
        what is expected.
    """
    top = _Keys(path, _read_toml(path))
    top.only(KEYS)
    kind = top.choice("kind", COLUMNS, "")
    units = _units(top.part("units"), kind)
    screen_px, screen = _screen(top.part("screen"), units["position"])
    origin = _origin(top, units["position"], screen_px)
    header_line = _header_line(top)
    rate_hz = top.positive("rate_hz") if "rate_hz" in top else math.nan
    rows_column, rows_codes = _row_choice(top.part("rows"), header_line)
    valid_columns, valid_codes, valid_range = _validity(top.part("valid"), header_line)
    return Mapped(
        path=path,
        kind=kind,
        separator=_separator(top),
        comment=top.get("comment", str, ""),
        origin=origin,
        clock=top.choice("clock", ("trial", "recording"), "trial"),
        header_line=header_line,
        missing=_codes(top, "missing"),
        y_up=top.get("y_up", bool, origin != "top-left" or units["position"] == "deg"),
        rate_hz=rate_hz,
        constants={n: top.get(n, str, "") for n in CONSTANTS if n in top},
        columns=_columns(top.part("columns"), kind, header_line, timed=not math.isnan(rate_hz)),
        units=units,
        screen_px=screen_px,
        screen=screen,
        rows_column=rows_column,
        rows_codes=rows_codes,
        valid_columns=valid_columns,
        valid_codes=valid_codes,
        valid_range=valid_range,
    )


# ---------------------------------------------------------------- TOML


def _read_toml(path: Path) -> dict[str, Any]:
    with open_bytes(path) as stream:
        text = stream.read(_MOST_TOML_BYTES)
    try:
        return tomllib.loads(text.decode("utf-8-sig").replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:  # a ValueError: no TOML, no UTF-8, 5000 digits
        raise FormatError(f"{path}: no TOML ({error}); see examples/mapping.toml") from error


class _Keys:
    """A TOML table whose keys are asked for one by one; wrong ones are named."""

    def __init__(self, path: Path, content: Mapping[str, Any], prefix: str = "") -> None:
        self._path, self._content, self._prefix = path, content, prefix

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def wrong(self, key: str, expected: str) -> FormatError:
        found = f"is {self._content[key]!r}" if key in self._content else "is missing"
        return FormatError(f"{self._path}: '{self._prefix}{key}' {found}, expected {expected}")

    def only(self, known: Iterable[str]) -> None:
        for key in self._content:
            if key not in known:
                raise FormatError(
                    f"{self._path}: key '{self._prefix}{key}' is unknown, expected "
                    f"{', '.join(known)}"
                )

    def get(self, key: str, kind: type, default: Any) -> Any:
        if key not in self._content:
            return default
        value = self._content[key]
        fine = isinstance(value, (int, float) if kind is float else kind)
        if fine and kind is float and abs(value) >= _TOO_LARGE:
            fine = isinstance(value, float)
        if not fine or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, _TYPES[kind])
        return value

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        value = self.get(key, str, default)
        if value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)}")
        return str(value)

    def positive(self, key: str) -> float:
        value = self.get(key, float, None)
        if value is None or not 0 < value < 1e9:
            raise self.wrong(key, "a number above 0")
        return float(value)

    def part(self, key: str) -> "_Keys":
        return _Keys(self._path, self.get(key, dict, {}), f"{key}.")


def _codes(keys: _Keys, key: str) -> Codes:
    codes = keys.get(key, list, [])
    if not all(isinstance(c, str | int | float) and not isinstance(c, bool) for c in codes):
        raise keys.wrong(key, "a list of numbers and texts")
    if any(isinstance(c, int) and abs(c) >= _TOO_LARGE for c in codes):
        raise keys.wrong(key, "a list of numbers that are not that large, and texts")
    return tuple(codes)


# ---------------------------------------------------------------- how the table is written


def _separator(top: _Keys) -> str:
    said = str(top.get("separator", str, "auto"))
    separator = "\t" if said == "tab" else said
    is_usable = len(separator) == 1 and separator not in "\r\n\"'" and ord(separator) < 128
    if separator != "auto" and not is_usable:
        raise top.wrong("separator", "auto, tab, or one character")
    return separator


def _header_line(top: _Keys) -> int:
    line = top.get("header_line", int, 1)
    if not 0 <= line <= 10_000:
        raise top.wrong("header_line", "a line number, or 0 for no header")
    return int(line)


# ---------------------------------------------------------------- which columns it has


def _columns(columns: _Keys, kind: str, header_line: int, *, timed: bool) -> dict[str, str]:
    known = COLUMNS[kind]
    columns.only(known)
    found = {name: _column(columns, name, header_line) for name in known if name in columns}
    if kind == "fixations":
        needed = ["onset", "x", "y", "end" if "end" in found else "duration"]
    else:
        eyes = [e for e in ("", "left_", "right_") if found.keys() & {f"{e}x", f"{e}y"}]
        needed = [f"{eye}{axis}" for eye in eyes or [""] for axis in "xy"]
        needed += [] if timed else ["time"]
    for name in needed:
        if name not in found:
            raise columns.wrong(name, f"a column, which {kind} need")
    return found


def _column(columns: _Keys, key: str, header_line: int) -> str:
    """Name of a column, or its number as text where there is no header."""
    if header_line:
        return str(columns.get(key, str, "")).strip()
    number = columns.get(key, object, 0)
    if not isinstance(number, int) or number < 1:
        raise columns.wrong(key, "the number of a column, from 1, as there is no header")
    return str(number)


def _row_choice(rows: _Keys, header_line: int) -> tuple[str, Codes]:
    rows.only(("column", "is"))
    codes = _codes(rows, "is")
    if "is" in rows and "column" not in rows:
        raise rows.wrong("column", "the column that tells which rows are read")
    if "column" in rows and not codes:
        raise rows.wrong("is", "a list of what the column holds in rows that are read")
    return _column(rows, "column", header_line) if codes else "", codes


def _validity(valid: _Keys, header_line: int) -> tuple[dict[str, str], Codes, tuple[float, float]]:
    valid.only(("column", "left", "right", "is", "at_least", "at_most"))
    names = {"column": "both", "left": "left", "right": "right"}
    columns = {
        ours: _column(valid, key, header_line) for key, ours in names.items() if key in valid
    }
    codes = _codes(valid, "is")
    rules = [key for key in ("is", "at_least", "at_most") if key in valid]
    if rules and not columns:
        raise valid.wrong("column", "a column, or left and right")
    one_rule = bool(codes) if "is" in rules else bool(rules)
    if columns and (not one_rule or ("is" in rules and len(rules) > 1)):
        raise valid.wrong("is", "a list of valid values, or at_least, or at_most")
    least = float(valid.get("at_least", float, -math.inf))
    return columns, codes, (least, float(valid.get("at_most", float, math.inf)))


# ---------------------------------------------------------------- what its numbers mean


def _units(units: _Keys, kind: str) -> dict[str, str]:
    units.only(("time", "duration", "position", "pupil"))
    time = units.choice("time", US_PER, "ms")
    return {
        "time": time,
        "duration": units.choice("duration", US_PER, time),
        "position": units.choice("position", _POSITIONS[kind], "px"),
        "pupil": units.choice("pupil", ("mm", "other"), "other"),
    }


def _screen(sizes: _Keys, position: str) -> tuple[tuple[int, int] | None, Screen | None]:
    sizes.only(_SIZES)
    given = [name for name in _SIZES if name in sizes]
    if not given and position not in ("mm", "deg", "height"):
        return None, None
    needed = _SIZES if position in ("mm", "deg") or len(given) > 2 else _SIZES[:2]
    numbers = [sizes.positive(name) for name in needed]
    width, height = (sizes.get(name, int, 0) for name in _SIZES[:2])
    try:
        screen = Screen(width, height, *numbers[2:]) if len(numbers) == 5 else None
    except GeometryError as error:
        raise sizes.wrong("width_px", f"sizes of a screen ({error})") from error
    return (width, height), screen


def _origin(top: _Keys, position: str, screen_px: tuple[int, int] | None) -> str:
    centred = position in _FROM_CENTRE
    choices = ("centre",) if centred else ("top-left", "bottom-left", "centre")
    origin = top.choice("origin", choices, choices[0])
    if origin != "top-left" and position in ("px", "mm") and screen_px is None:
        raise top.wrong("screen", f"width_px and height_px, which origin {origin!r} needs")
    if origin == "centre" and position.startswith("image"):
        raise top.wrong("origin", "top-left or bottom-left for positions on the image")
    return origin
