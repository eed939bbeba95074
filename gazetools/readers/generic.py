"""Any table, described by a short TOML (``--mapping``).

For tables of no known vendor: samples or fixations, one row each, delimited text in any
encoding. The table is not recognised by itself; the TOML says what its columns are::

    kind = "samples"
    missing = [-1]

    [columns]
    time = "t"
    x = "gaze x"
    y = "gaze y"
    stimulus = "picture"

    [units]
    time = "s"
    position = "px"

``examples/mapping.toml`` in the repository shows every key and what it may be. What it asks
for:

- ``rows``, for logs in which other rows stand between: only those whose cell in ``column`` is one
  of ``is`` are read.

- ``columns``: for samples ``time`` (or ``rate_hz`` at the top, for a table without one) and
  ``x``, ``y`` or those of the eyes, ``left_x`` ... ``right_y``; for fixations ``onset``, ``x``,
  ``y`` and ``duration`` or ``end``. ``subject``, ``recording``, ``stimulus`` are columns, or
  constants at the top. Names are those of the header, or numbers from 1 without one.
- Positions become px of the screen, top left, y down; those in "share" stay shares if no
  screen is given; "image px" and "image share" are places on the image (fixations only).
- A trial is a run of one value of ``trial`` and one stimulus, counted from 1 for each
  recording, unless ``trial`` holds whole numbers, each in one run: these are kept. Without
  either all is trial 1; rows without either are between trials, 0.
- Fixations' onsets are from the start of the trial; with ``clock = "recording"`` at the top
  they are taken from the first onset of the trial.

Dropped and counted: other rows than ``rows`` names, rows without a time, samples whose time
repeats or steps back (``rate_hz`` beside ``time`` spreads those that share a stamp), fixations
without a position or with a duration that is not positive.
"""

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError, GeometryError
from gazetools.geometry import Screen
from gazetools.readers.building import (
    EYES,
    REPEATED,
    US_PER,
    Floats,
    about,
    add_counts,
    eyes_mean,
    rising_times,
    samples_table,
    separator_of,
)
from gazetools.readers.delimited import NULLS, Layout, Table, column_names, read_columns
from gazetools.readers.opening import open_bytes, read_head, stem_of
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.tables import FIXATIONS

_LATEST_US = 2.0**53
_OFTEN = 0.1
"""Share of the samples that repeat a time, from which on more is said of it."""
_SPREADS = "rate_hz in the mapping would spread them"
_MOST_TOML_BYTES = 2**20
_WHO = ("subject", "recording", "trial", "stimulus")
_GAZE = tuple(f"{eye}{axis}" for eye in ("", "left_", "right_") for axis in "xy")
_COLUMNS = {
    "samples": (*_WHO, "time", *_GAZE, "left_pupil", "right_pupil"),
    "fixations": (*_WHO, "onset", "duration", "end", "x", "y", "image_width", "image_height"),
}
_POSITIONS = {
    "samples": ("px", "share", "mm", "deg"),
    "fixations": ("px", "share", "mm", "deg", "image px", "image share"),
}
_TOP = {
    "kind": str,
    "separator": str,
    "header_line": int,
    "comment": str,
    "missing": list,
    "origin": str,
    "y_up": bool,
    "rate_hz": float,
    "clock": str,
    "subject": str,
    "recording": str,
    "stimulus": str,
    "columns": dict,
    "units": dict,
    "screen": dict,
    "rows": dict,
    "valid": dict,
}
_SIZES = ("width_px", "height_px", "width_mm", "height_mm", "distance_mm")
_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def refusal(head: Head) -> str:
    """Say that this reader is used only when it is asked for."""
    return "needs a mapping (--mapping)"


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read a table as a mapping describes it.

    Raises
    ------
    FormatError
        There is no mapping, it is wrong (names the key), or the table is not as it says.
    """
    if options.mapping is None:
        raise FormatError(f"{path}: needs a mapping; write one and pass it with --mapping")
    mapping = read_mapping(options.mapping)
    table, header = _read_table(path, mapping)
    rows, others = _mapped_rows(table, mapping, options.mapping)
    for name in ("subject", "recording", "stimulus"):
        if name not in rows:
            rows[name] = pd.Series(mapping.constants.get(name), index=rows.index, dtype="str")
    rows["subject"] = rows["subject"].fillna("unnamed")
    rows["recording"] = rows["recording"].fillna(stem_of(path))
    make = _samples if mapping.kind == "samples" else _fixations
    recordings = [
        _recording(path, mapping, table, header, group, make)
        for _, group in rows.groupby(["subject", "recording"], sort=False)
    ]
    if not any(len(r.samples) or len(r.fixations) for r in recordings):
        raise FormatError(f"{path}: none of its {len(rows)} rows is of use by {options.mapping}")
    first, *more = [r for r in recordings if len(r.samples) or len(r.fixations)]
    return [replace(first, skipped=add_counts({"other rows": others}, first.skipped)), *more]


# ---------------------------------------------------------------- the mapping


@dataclass(frozen=True)
class Mapped:
    """What a mapping says, checked.

    Attributes
    ----------
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

    kind: str
    separator: str
    comment: str
    origin: str
    clock: str
    header_line: int
    missing: tuple[str | float, ...]
    y_up: bool
    rate_hz: float
    constants: Mapping[str, str]
    columns: Mapping[str, str]
    units: Mapping[str, str]
    screen_px: tuple[int, int] | None
    screen: Screen | None
    rows_column: str
    rows_codes: tuple[str | float, ...]
    valid_columns: Mapping[str, str]
    valid_codes: tuple[str | float, ...]
    valid_range: tuple[float, float]


class _Keys:
    """A TOML table whose keys are asked for one by one; wrong ones are named."""

    def __init__(self, path: Path, content: Mapping[str, Any], prefix: str = "") -> None:
        self._path, self._content, self._prefix = path, content, prefix

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def __iter__(self) -> Iterable[str]:
        return iter(self._content)

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
        value = self._content.get(key, default)
        if key not in self._content:
            return value
        fine = isinstance(value, (int, float) if kind is float else kind)
        if fine and kind is float and abs(value) >= 2**1023:  # an int may be too large for a float
            fine = isinstance(value, float)
        if not fine or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, _WORDS[kind])
        return value

    def choice(self, key: str, choices: Iterable[str], default: str) -> str:
        value = self.get(key, str, default)
        if value not in choices:
            raise self.wrong(key, f"one of {', '.join(choices)}")
        return str(value)

    def positive(self, key: str, default: float | None = None) -> float:
        value = self.get(key, float, default)
        if value is None or not 0 < value < 1e9:
            raise self.wrong(key, "a number above 0")
        return float(value)

    def part(self, key: str) -> "_Keys":
        return _Keys(self._path, self.get(key, dict, {}), f"{key}.")


def read_mapping(path: Path) -> Mapped:
    """Read and check a TOML mapping.

    Raises
    ------
    FormatError
        It cannot be read, or a key is unknown, missing or wrong: names it, what was found and
        what is expected.
    """
    top = _Keys(path, _read_toml(path))
    top.only(_TOP)
    kind = top.choice("kind", _COLUMNS, "")
    units = _units(top.part("units"), kind)
    screen_px, screen = _screen(top.part("screen"), units["position"])
    origin = top.choice("origin", ("top-left", "bottom-left", "centre"), "top-left")
    in_px = units["position"] in ("px", "mm")
    if origin != "top-left" and in_px and screen_px is None:
        raise top.wrong("screen", f"width_px and height_px, which origin {origin!r} needs")
    if origin == "centre" and units["position"].startswith("image"):
        raise top.wrong("origin", "top-left or bottom-left for positions on the image")
    header_line = top.get("header_line", int, 1)
    if not 0 <= header_line <= 10_000:
        raise top.wrong("header_line", "a line number, or 0 for no header")
    rate_hz = top.positive("rate_hz") if "rate_hz" in top else math.nan
    constants = {n: top.get(n, str, "") for n in ("subject", "recording", "stimulus") if n in top}
    rows_column, rows_codes = _row_choice(top.part("rows"), header_line)
    valid = top.part("valid")
    valid_columns, valid_codes, valid_range = _validity(valid, header_line)
    return Mapped(
        kind=kind,
        separator=_separator(top),
        comment=top.get("comment", str, ""),
        origin=origin,
        clock=top.choice("clock", ("trial", "recording"), "trial"),
        header_line=header_line,
        missing=_codes(top, "missing"),
        y_up=top.get("y_up", bool, origin != "top-left" or units["position"] == "deg"),
        rate_hz=rate_hz,
        constants=constants,
        columns=_column_names(top.part("columns"), kind, header_line, timed=rate_hz == rate_hz),
        units=units,
        screen_px=screen_px,
        screen=screen,
        rows_column=rows_column,
        rows_codes=rows_codes,
        valid_columns=valid_columns,
        valid_codes=valid_codes,
        valid_range=valid_range,
    )


def _read_toml(path: Path) -> dict[str, Any]:
    with open_bytes(path) as stream:
        text = stream.read(_MOST_TOML_BYTES)
    try:
        return tomllib.loads(text.decode("utf-8-sig").replace("\r\n", "\n"))
    except (ValueError, RecursionError) as error:  # a ValueError: no TOML, no UTF-8, 5000 digits
        raise FormatError(f"{path}: no TOML ({error}); see examples/mapping.toml") from error


def _separator(top: _Keys) -> str:
    said = str(top.get("separator", str, "auto"))
    separator = "\t" if said == "tab" else said
    is_usable = len(separator) == 1 and separator not in "\r\n\"'" and ord(separator) < 128
    if separator != "auto" and not is_usable:
        raise top.wrong("separator", "auto, tab, or one character")
    return separator


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
    if not given and position not in ("mm", "deg"):
        return None, None
    needed = _SIZES if position in ("mm", "deg") or len(given) > 2 else _SIZES[:2]
    numbers = [sizes.positive(name) for name in needed]
    width, height = (sizes.get(name, int, 0) for name in _SIZES[:2])
    try:
        screen = Screen(width, height, *numbers[2:]) if len(numbers) == 5 else None
    except GeometryError as error:
        raise sizes.wrong("width_px", f"sizes of a screen ({error})") from error
    return (width, height), screen


def _codes(keys: _Keys, key: str) -> tuple[str | float, ...]:
    codes = keys.get(key, list, [])
    if not all(isinstance(c, str | int | float) and not isinstance(c, bool) for c in codes):
        raise keys.wrong(key, "a list of numbers and texts")
    if any(isinstance(c, int) and abs(c) >= 2**1023 for c in codes):
        raise keys.wrong(key, "a list of numbers that are not that large, and texts")
    return tuple(codes)


def _column_names(columns: _Keys, kind: str, header_line: int, *, timed: bool) -> dict[str, str]:
    known = _COLUMNS[kind]
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
        return str(columns.get(key, str, ""))
    number = columns.get(key, object, 0)
    if not isinstance(number, int) or number < 1:
        raise columns.wrong(key, "the number of a column, from 1, as there is no header")
    return str(number)


def _row_choice(rows: _Keys, header_line: int) -> tuple[str, tuple[str | float, ...]]:
    rows.only(("column", "is"))
    codes = _codes(rows, "is")
    if "is" in rows and "column" not in rows:
        raise rows.wrong("column", "the column that tells which rows are read")
    if "column" in rows and not codes:
        raise rows.wrong("is", "a list of what the column holds in rows that are read")
    return _column(rows, "column", header_line) if codes else "", codes


def _validity(
    valid: _Keys, header_line: int
) -> tuple[dict[str, str], tuple[str | float, ...], tuple[float, float]]:
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


# ---------------------------------------------------------------- the table


def _read_table(path: Path, mapping: Mapped) -> tuple[Table, list[str]]:
    """Read the columns that the mapping names, by our names; and the names of all."""
    head = read_head(path)
    lines = head.splitlines()
    begin = 0
    while mapping.comment and begin < len(lines) and lines[begin].startswith(mapping.comment):
        begin += 1
    header_line = begin + mapping.header_line
    first = lines[max(header_line - 1, begin)] if len(lines) >= max(header_line, 1) else ""
    separator = mapping.separator
    if separator == "auto":
        separator = separator_of(first)
    if mapping.header_line:
        names = column_names(head, separator, header_line)
    else:
        names = [str(number) for number in range(1, first.count(separator) + 2)]
    wanted = {**mapping.columns, **{f"{k}_valid": c for k, c in mapping.valid_columns.items()}}
    wanted |= {"rows": mapping.rows_column} if mapping.rows_codes else {}
    for ours, theirs in wanted.items():
        if theirs not in names:
            raise FormatError(
                f"{path}:{max(header_line, 1)}: no column {theirs!r}, which the mapping names "
                f"for {ours!r}; found {', '.join(names)[:300]}"
            )
    as_text = {*_WHO, "rows", *(f"{k}_valid" for k in mapping.valid_columns if mapping.valid_codes)}
    texts = {n: c for n, c in wanted.items() if n in as_text}
    time = {n: c for n, c in wanted.items() if n in ("time", "onset", "end")}
    whole = time if mapping.units["time"] == "ns" else {}
    numbers = {n: c for n, c in wanted.items() if n not in texts and n not in whole}
    doubled = [c for c in wanted.values() if list(wanted.values()).count(c) > 1]
    if doubled:
        raise FormatError(f"{path}: the mapping names column {doubled[0]!r} twice; name it once")
    nulls = (*NULLS, *(code for code in mapping.missing if isinstance(code, str)))
    # without a header, header_line is where the comments end
    layout = Layout(separator, header_line, None if mapping.header_line else tuple(names), nulls)
    table = read_columns(path, layout, texts, numbers, whole or None)
    codes = [float(code) for code in mapping.missing if not isinstance(code, str)]
    for name in numbers:
        if name not in ("time", "onset", "end", "duration") and not name.endswith("_valid"):
            values = table.frame[name]
            table.frame[name] = values.mask(values.isin(codes))
    for name in whole:
        table.frame[name] = table.frame[name].astype("float64")
    return table, names


def _mapped_rows(table: Table, mapping: Mapped, toml: Path) -> tuple[pd.DataFrame, int]:
    """Rows that the mapping asks for, and how many others there are."""
    rows = table.frame
    if not mapping.rows_codes:
        return rows, 0
    values = rows["rows"].fillna("")
    asked = _is_one_of(values, mapping.rows_codes)
    if len(rows) and not asked.any():
        found = ", ".join(repr(value) for value in values.unique()[:10])
        raise FormatError(
            f"{table.path}: column {mapping.rows_column!r} holds {found}, expected one of "
            f"{list(mapping.rows_codes)}; correct 'rows.is' in {toml}"
        )
    return rows[asked].reset_index(drop=True), int((~asked).sum())


def _recording(
    path: Path,
    mapping: Mapped,
    table: Table,
    header: Iterable[str],
    rows: pd.DataFrame,
    make: Callable[..., dict[str, pd.DataFrame]],
) -> Recording:
    skipped: Counter[str] = Counter()
    first = rows.iloc[0]
    return Recording(
        name=str(first["recording"]),
        subject=str(first["subject"]),
        format=READER.name,
        path=path,
        **make(table, mapping, rows, skipped),
        screen_px=mapping.screen_px,
        screen=mapping.screen,
        normalised=mapping.units["position"] == "share" and mapping.screen_px is None,
        fixed_rate_hz=None if math.isnan(mapping.rate_hz) else mapping.rate_hz,
        about=about(table, header, time_unit=mapping.units["time"]),
        skipped=add_counts(skipped),
    )


def _us(table: Table, name: str, values: Floats, unit: str) -> Floats:
    time_us = values * US_PER[unit]
    if (np.abs(time_us[~np.isnan(time_us)]) > _LATEST_US).any():
        raise FormatError(
            f"{table.path}: {table.columns[name]!r}, read in {unit}, holds a time beyond "
            f"{_LATEST_US:.0f} us; correct units.time in the mapping"
        )
    return time_us


def _trials(rows: pd.DataFrame) -> pd.Series:
    """Trial of every row of a recording; see the top of this file."""
    told = rows["trial"] if "trial" in rows else pd.Series(None, index=rows.index, dtype="str")
    shown = told.notna() | rows["stimulus"].notna()
    if not shown.any():
        return pd.Series(1, index=rows.index, dtype="int64")
    key = told.fillna("") + "\0" + rows["stimulus"].fillna("")
    begins = shown & ((key != key.shift()) | ~shown.shift(fill_value=False))
    counted = begins.cumsum().where(shown, 0).astype("int64")
    whole = told.dropna().str.fullmatch(r"[1-9]\d{0,8}(\.0*)?|0")
    if told.isna().any() or not whole.all():
        return counted
    numbers = told.astype("float64").astype("int64")
    runs = numbers[begins]
    return counted if runs[runs > 0].duplicated().any() else numbers


def _to_px(x: Floats, y: Floats, mapping: Mapped) -> tuple[Floats, Floats]:
    """Positions in px of the screen, or in shares of it, from the top left; both or none."""
    lost = np.isnan(x) | np.isnan(y)
    x, y = x.copy(), y.copy()
    x[lost] = y[lost] = np.nan
    unit, screen = mapping.units["position"], mapping.screen
    if unit == "deg" and screen is not None:
        return screen.to_px(x, -y if mapping.y_up else y)
    width, height = mapping.screen_px or (1, 1)
    if unit == "mm" and screen is not None:
        x, y = x / screen.width_mm * width, y / screen.height_mm * height
    if unit == "share":
        x, y = x * width, y * height
    if mapping.y_up:
        y = -y
    if mapping.origin == "centre":
        return x + width / 2, y + height / 2
    return x, y + height if mapping.y_up else y


def _samples(
    table: Table, mapping: Mapped, rows: pd.DataFrame, skipped: Counter[str]
) -> dict[str, pd.DataFrame]:
    stamps = np.arange(len(rows)) / mapping.rate_hz
    time_us: Floats = stamps * 1e6
    if "time" in rows:
        time_us = _us(table, "time", rows["time"].to_numpy(float), mapping.units["time"])
    kept, whole_us, lost = rising_times(time_us, 1e6 / mapping.rate_hz)
    if math.isnan(mapping.rate_hz) and _repeat_often(time_us):
        lost[f"{REPEATED} ({_SPREADS})"] = lost.pop(REPEATED)
    skipped.update(lost)
    rows = rows[kept]
    samples = rows[["subject", "recording", "stimulus"]].assign(
        tracker_time_us=whole_us, trial=_trials(rows)
    )
    everywhere = _valid(mapping, rows, "both")
    for eye in EYES:
        if f"{eye}_x" in rows:
            seen = everywhere & _valid(mapping, rows, eye)
            x, y = (rows[f"{eye}_{axis}"].where(seen).to_numpy(float) for axis in "xy")
            samples[f"{eye}_x_px"], samples[f"{eye}_y_px"] = _to_px(x, y, mapping)
            if mapping.units["position"] == "mm" and mapping.screen is not None:
                samples[f"{eye}_x_mm"] = samples[f"{eye}_x_px"] * mapping.screen.mm_per_px
                per_px = mapping.screen.height_mm / mapping.screen.height_px
                samples[f"{eye}_y_mm"] = samples[f"{eye}_y_px"] * per_px
        if f"{eye}_pupil" in rows:
            name = f"{eye}_pupil_mm" if mapping.units["pupil"] == "mm" else f"{eye}_pupil"
            samples[name] = rows[f"{eye}_pupil"].where(everywhere & _valid(mapping, rows, eye))
    if "x" in rows:
        x, y = (rows[axis].where(everywhere).to_numpy(float) for axis in "xy")
        samples["x_px"], samples["y_px"] = _to_px(x, y, mapping)
    else:
        for axis in "xy":
            samples[f"{axis}_px"] = eyes_mean(samples, f"{axis}_px")
    return {"samples": samples_table(samples)} if len(samples) else {}


def _repeat_often(time_us: Floats) -> bool:
    """Tell whether over a tenth of the samples have the time of the one before."""
    steps = np.diff(np.rint(time_us[~np.isnan(time_us)]))
    return int(np.count_nonzero(steps == 0)) > _OFTEN * (len(steps) + 1)


def _valid(mapping: Mapped, rows: pd.DataFrame, eye: str) -> pd.Series:
    if eye not in mapping.valid_columns:
        return pd.Series(True, index=rows.index)
    values = rows[f"{eye}_valid"]
    if not mapping.valid_codes:
        return values.between(*mapping.valid_range)
    return _is_one_of(values, mapping.valid_codes)


def _is_one_of(values: pd.Series, codes: Iterable[str | float]) -> pd.Series:
    """Tell which texts (n,) are among codes, of which numbers may be written in any way."""
    numbers = [float(code) for code in codes if not isinstance(code, str)]
    words = [str(code) for code in codes]
    return values.isin(words) | pd.to_numeric(values, errors="coerce").isin(numbers)


def _fixations(
    table: Table, mapping: Mapped, rows: pd.DataFrame, skipped: Counter[str]
) -> dict[str, pd.DataFrame]:
    onset_us = _us(table, "onset", rows["onset"].to_numpy(float), mapping.units["time"])
    if "end" in rows:
        end_us = _us(table, "end", rows["end"].to_numpy(float), mapping.units["time"])
        lasts_us = end_us - onset_us
    else:
        lasts = rows["duration"].to_numpy(float)
        lasts_us = _us(table, "duration", lasts, mapping.units["duration"])
    seen = _valid(mapping, rows, "both").to_numpy()
    x, y = (rows[axis].to_numpy(float) for axis in "xy")
    placed = ~(np.isnan(x) | np.isnan(y)) & seen
    lasting = (lasts_us > 0) & ~np.isnan(onset_us)
    skipped["fixations without a position"] += int((~placed).sum())
    skipped["fixations without a duration"] += int((placed & ~lasting).sum())
    fine = placed & lasting
    trial = _trials(rows)
    found = rows[["subject", "recording", "stimulus"]].assign(
        trial=trial, onset_ms=onset_us / 1000, duration_ms=lasts_us / 1000
    )
    if mapping.clock == "recording":
        found["onset_ms"] -= found.groupby("trial")["onset_ms"].transform("min")
    for side in ("width", "height"):
        size = rows.get(f"image_{side}", pd.Series(np.nan, index=rows.index))
        found[f"image_{side}"] = size.where((size >= 1) & (size < 1e6)).round()
    unit = mapping.units["position"]
    if unit.startswith("image"):
        width, height = found["image_width"], found["image_height"]
        scale = (1, 1) if unit == "image px" else (width, height)
        found["x_im"] = x * scale[0]
        found["y_im"] = (-y if mapping.y_up else y) * scale[1] + (height if mapping.y_up else 0)
        fine &= found[["x_im", "y_im"]].notna().all(axis=1).to_numpy()
    else:
        found["x_px"], found["y_px"] = _to_px(x, y, mapping)
    found = found[fine].assign(source=f"vendor:{READER.name}")
    found = found.sort_values(["trial", "onset_ms"], kind="stable", ignore_index=True)
    found["order"] = found.groupby("trial").cumcount() + 1
    return {"fixations": FIXATIONS.conform(found)} if len(found) else {}


READER = Reader(
    name="generic",
    title="any table of samples or fixations that a TOML describes (--mapping)",
    versions="see examples/mapping.toml",
    refusal=refusal,
    read=read,
)
