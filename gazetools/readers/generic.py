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
  of ``is`` are read. Others may hold texts where these hold numbers, and fewer cells.

- ``columns``: for samples ``time`` (or ``rate_hz`` at the top, for a table without one) and
  ``x``, ``y`` or those of the eyes, ``left_x`` ... ``right_y``; for fixations ``onset``, ``x``,
  ``y`` and ``duration`` or ``end``. ``subject``, ``recording``, ``stimulus`` are columns, or
  constants at the top. Names are those of the header, or numbers from 1 without one.
- Positions become px of the screen, top left, y down; those in "share" or "norm" (PsychoPy's: 1 is
  half the screen) stay shares if no screen is given; "height" counts the screen's height; "image
  px" and "image share" are places on the image (fixations only).
- A trial is a run of one value of ``trial`` and one stimulus, counted from 1 for each
  recording, unless ``trial`` holds whole numbers, each in one run: these are kept, but counted
  from 1 where 0 shows a stimulus. Without either all is trial 1; rows without either are between
  trials, 0.
- Fixations' onsets are from the start of the trial; with ``clock = "recording"`` at the top
  they are taken from the first onset of the trial. Trials of samples whose clock starts anew with
  each of them are put one after the other.

Dropped and counted: other rows than ``rows`` names, rows without a time, samples whose time
repeats or steps back (``rate_hz`` beside ``time`` spreads those that share a stamp), fixations
without a position or with a duration that is not positive, and those that are listed again, as in
tables that were joined to areas of interest. Refused: positions as px of which most lie in the
first one, fixations whose median lasts under 1 ms or over a minute, and those that go to and fro
between trials.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gazetools.errors import FormatError
from gazetools.readers.building import (
    EYES,
    REPEATED,
    US_PER,
    Bools,
    Floats,
    Integers,
    about,
    add_counts,
    eyes_mean,
    rising_times,
    samples_table,
    with_gaze,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.generic_mapping import CONSTANTS, GAZE, TEXTS, Codes, Mapped, read_mapping
from gazetools.readers.layout import NULLS, Layout, cells_of, column_names, separator_of
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.order import expect_one_clock
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.vendor_events import listed_once
from gazetools.tables import FIXATIONS

_LARGEST = 2.0**53
"""No number of use is larger, be it a time in us or another."""
_OFTEN = 0.1
"""Share of the samples that repeat a time, from which on more is said of it."""
_ROWS_OR_AGAIN = (
    "if it is a message, say which rows to read ([rows] in the mapping), else export the file again"
)
_USUAL_MS = (1.0, 60_000.0)
"""Between these lies the median of how long fixations last, whatever found them."""
_FEW = 5
"""So many positions may all lie in the first px by chance."""
_SPREADS = "rate_hz in the mapping would spread them"
_TIMES = ("time", "onset", "end")


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
    table, header, others = _read_table(path, mapping)
    _expect_px(table, mapping)
    rows = _named(table.frame, path, mapping)
    make = _samples if mapping.kind == "samples" else _fixations
    recordings = with_gaze(
        (
            _recording(mapping, table, header, group, make)
            for _, group in rows.groupby(["subject", "recording"], sort=False)
        ),
        f"{path}: none of its {len(rows)} rows is of use by {options.mapping}",
    )
    first, *more = recordings
    _expect_usual(table, mapping, [first, *more])
    return [replace(first, skipped=add_counts({"other rows": others}, first.skipped)), *more]


def _named(rows: pd.DataFrame, path: Path, mapping: Mapped) -> pd.DataFrame:
    """Add whose rows they are, where no column tells."""
    for name in CONSTANTS:
        if name not in rows:
            rows[name] = pd.Series(mapping.constants.get(name), index=rows.index, dtype="str")
    rows["subject"] = rows["subject"].fillna("unnamed")
    rows["recording"] = rows["recording"].fillna(stem_of(path))
    return rows


def _recording(
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
        path=table.path,
        **make(table, mapping, rows, skipped),
        screen_px=mapping.screen_px,
        screen=mapping.screen,
        normalised=mapping.units["position"] in ("share", "norm") and mapping.screen_px is None,
        fixed_rate_hz=None if math.isnan(mapping.rate_hz) else mapping.rate_hz,
        about=about(table, header, time_unit=mapping.units["time"]),
        skipped=add_counts(skipped),
    )


# ---------------------------------------------------------------- the table


def _read_table(path: Path, mapping: Mapped) -> tuple[Table, list[str], int]:
    """Read the columns and rows that the mapping names, by our names.

    Returns
    -------
    table : Table
    header : list of str
        Names of all columns.
    others : int
        How many other rows there are.
    """
    layout, header = _layout(path, mapping)
    columns = _columns(path, mapping, header, layout.header_line)
    texts = {n: c for n, c in columns.items() if _holds_texts(n, mapping)}
    whole = {n: c for n, c in columns.items() if n in _TIMES and mapping.units["time"] == "ns"}
    numbers = {n: c for n, c in columns.items() if n not in texts and n not in whole}
    if mapping.rows_codes:
        # other rows may hold whatever there is instead of numbers
        uneven = _OtherRows(header.index(mapping.rows_column), layout.separator, mapping.rows_codes)
        layout = replace(layout, forgive=uneven)
        table = read_columns(path, layout, {**texts, **numbers, **whole}, {})
        asked = _asked(table, mapping)
        table = _with_numbers(table, asked, numbers, whole, layout.separator)
        rows = table.frame[asked].reset_index(drop=True)
        others = int((~asked).sum()) + uneven.count
    else:
        layout = replace(layout, remedy=_ROWS_OR_AGAIN)
        table = read_columns(path, layout, texts, numbers, whole or None)
        rows, others = table.frame, 0
    codes = [float(code) for code in mapping.missing if not isinstance(code, str)]
    for name in numbers:
        if name not in (*_TIMES, "duration") and not name.endswith("_valid"):
            rows[name] = rows[name].mask(rows[name].isin(codes))
    for name in whole:
        rows[name] = rows[name].astype("float64")
    for name in texts:
        stripped = rows[name].str.strip()
        if not mapping.header_line:  # whose quotes tell that R or pandas put some around texts
            stripped = stripped.str.replace('^"([^"]*)"$', r"\1", regex=True)
        rows[name] = stripped.mask(stripped.isin(layout.nulls))
    return replace(table, frame=rows), header, others


def _layout(path: Path, mapping: Mapped) -> tuple[Layout, list[str]]:
    """How the table is laid out, and the names of all its columns."""
    head = read_head(path)
    lines = head.splitlines()
    begin = 0
    while mapping.comment and begin < len(lines) and lines[begin].startswith(mapping.comment):
        begin += 1
    # without a header, this is where the comments end
    header_line = begin + mapping.header_line
    first = "".join(lines[max(header_line - 1, begin) :][:1])
    separator = separator_of(first) if mapping.separator == "auto" else mapping.separator
    nulls = (*NULLS, *(code for code in mapping.missing if isinstance(code, str)))
    if mapping.header_line:
        header = [name.strip() for name in column_names(head, separator, header_line)]
    else:
        header = [str(number) for number in range(1, len(cells_of(first, separator)) + 1)]
    return Layout(separator, header_line, tuple(header), nulls), header


def _columns(
    path: Path, mapping: Mapped, header: Collection[str], header_line: int
) -> dict[str, str]:
    """Name the columns to read: ours = theirs."""
    columns = {**mapping.columns, **{f"{k}_valid": c for k, c in mapping.valid_columns.items()}}
    columns |= {"rows": mapping.rows_column} if mapping.rows_codes else {}
    for ours, theirs in columns.items():
        if theirs not in header:
            raise FormatError(
                f"{path}:{max(header_line, 1)}: no column {theirs!r}, which the mapping names "
                f"for {ours!r}; found {', '.join(header)[:300]}"
            )
    counts = Counter(columns.values())
    doubled = [column for column, count in counts.items() if count > 1]
    if doubled:
        raise FormatError(f"{path}: the mapping names column {doubled[0]!r} twice; name it once")
    return columns


def _holds_texts(column: str, mapping: Mapped) -> bool:
    is_code = column.endswith("_valid") and bool(mapping.valid_codes)
    return column in (*TEXTS, "rows") or is_code


class _OtherRows:
    """Leaves out rows of too few or too many cells that are not asked for, and counts them."""

    def __init__(self, at: int, separator: str, codes: Codes) -> None:
        self.count = 0
        self._at, self._separator, self._codes = at, separator, codes
        self._is_other: dict[str, bool] = {}

    def __call__(self, row: str) -> bool:
        cell = "".join(cells_of(row, self._separator)[self._at : self._at + 1]).strip()
        if cell not in self._is_other:  # a log may hold a million of few kinds
            asked = _is_one_of(pd.Series([cell], dtype="str"), self._codes)
            self._is_other[cell] = not asked.any()
        self.count += self._is_other[cell]
        return self._is_other[cell]


def _asked(table: Table, mapping: Mapped) -> Bools:
    """Tell which rows (n,) the mapping asks for."""
    values = table.frame["rows"].str.strip().fillna("")
    asked = _is_one_of(values, mapping.rows_codes).to_numpy()
    if len(asked) and not asked.any():
        found = ", ".join(repr(value) for value in values.unique()[:10])
        raise FormatError(
            f"{table.path}: column {mapping.rows_column!r} holds {found}, expected one of "
            f"{list(mapping.rows_codes)}; correct 'rows.is' in {mapping.path}"
        )
    return np.asarray(asked, bool)


def _with_numbers(
    table: Table, asked: Bools, numbers: Iterable[str], whole: Iterable[str], separator: str
) -> Table:
    """Make numbers of the texts in the rows (n,) that are asked for."""
    cells = {name: table.frame[name].where(asked).str.strip() for name in (*numbers, *whole)}
    has_commas = separator != "," and any(
        texts.str.fullmatch(r"-?\d+,\d+").any() for texts in cells.values()
    )
    mark = "," if has_commas else "."
    number = rf"[-+]?(\d+[{mark}]?\d*|[{mark}]\d+)([eE][-+]?\d+)?"
    found = {}
    for name, texts in cells.items():
        table.expect(name, texts.isna() | texts.str.fullmatch(number), "a number")
        points = texts.str.replace(",", ".", regex=False) if has_commas else texts
        found[name] = pc.cast(pa.array(points), pa.float64()).to_pandas()
        if name not in whole:
            fine = ~(found[name].abs() > _LARGEST)
            table.expect(name, fine, f"a number up to {_LARGEST:.0f}")
    return replace(table, frame=table.frame.assign(**found), decimal_mark=mark)


# ---------------------------------------------------------------- times, trials, positions


def _us(table: Table, rows: pd.DataFrame, name: str, unit: str) -> Floats:
    time_us: Floats = rows[name].to_numpy(float) * US_PER[unit]
    if (np.abs(time_us[~np.isnan(time_us)]) > _LARGEST).any():
        raise FormatError(
            f"{table.path}: {table.columns[name]!r}, read in {unit}, holds a time beyond "
            f"{_LARGEST:.0f} us; correct units.time in the mapping"
        )
    return time_us


def _trials(rows: pd.DataFrame) -> pd.Series:
    """Trial of every row of a recording; see the top of this file."""
    told = rows["trial"] if "trial" in rows else pd.Series(None, index=rows.index, dtype="str")
    shown = told.notna() | rows["stimulus"].notna()
    if not shown.any():
        return pd.Series(1, index=rows.index, dtype="int64")
    key = _called(rows)
    begins = shown & ((key != key.shift()) | ~shown.shift(fill_value=False))
    counted = begins.cumsum().where(shown, 0).astype("int64")
    whole = told.dropna().str.fullmatch(r"[1-9]\d{0,8}(\.0*)?|0")
    if told.isna().any() or not whole.all():
        return counted
    numbers = told.astype("float64").astype("int64")
    if rows["stimulus"].notna()[numbers == 0].any():
        numbers += 1  # counted from 0, which otherwise is what lies between trials
    runs = numbers[begins]
    return counted if runs[runs > 0].duplicated().any() else numbers


def _called(rows: pd.DataFrame) -> pd.Series:
    """Text (n,) of trial and stimulus together."""
    told = rows["trial"].fillna("") + "\0" if "trial" in rows else ""
    return told + rows["stimulus"].fillna("")


def _expect_px(table: Table, mapping: Mapped) -> None:
    """Raise a FormatError for positions that are no px, as most lie in the first of them."""
    if not mapping.units["position"].endswith("px"):
        return
    columns = [name for name in GAZE if name in table.frame]
    places = table.frame[columns]
    places = places.mask(places.isin([0, -1])).abs()  # which may stand for lost gaze
    for name in columns:
        for eye in ("both", name.rpartition("_")[0]):
            places[name] = places[name].where(_valid(mapping, table.frame, eye))
    if places.count().max() > _FEW and (places.median().dropna() <= 1).all():
        names = ", ".join(repr(table.columns[name]) for name in columns)
        raise FormatError(
            f"{table.path}: most positions in {names} lie within 1 px, expected "
            f"{mapping.units['position']}; correct units.position in {mapping.path}, to a share "
            "or norm perhaps"
        )


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
    if unit == "norm":
        x, y = x * width / 2, y * height / 2
    if unit == "height":
        x, y = x * height, y * height
    if mapping.y_up:
        y = -y
    if mapping.origin == "centre":
        return x + width / 2, y + height / 2
    return x, y + height if mapping.y_up else y


# ---------------------------------------------------------------- samples


def _samples(
    table: Table, mapping: Mapped, rows: pd.DataFrame, skipped: Counter[str]
) -> dict[str, pd.DataFrame]:
    if "time" in rows:
        time_us = _us(table, rows, "time", mapping.units["time"])
    else:
        time_us = np.arange(len(rows)) / mapping.rate_hz * 1e6
    time_us = _on_one_clock(time_us, _trials(rows).to_numpy())
    expect_one_clock(table.path, rows["recording"].iloc[0], time_us[~np.isnan(time_us)])
    kept, whole_us, lost = rising_times(time_us, 1e6 / mapping.rate_hz)
    if math.isnan(mapping.rate_hz) and _repeat_often(time_us):
        lost[f"{REPEATED} ({_SPREADS})"] = lost.pop(REPEATED)
    skipped.update(lost)
    rows = rows[kept]
    samples = rows[[*CONSTANTS]].assign(tracker_time_us=whole_us, trial=_trials(rows))
    everywhere = _valid(mapping, rows, "both")
    for eye in EYES:
        samples = samples.assign(**_of_eye(mapping, rows, eye, everywhere))
    if "x" in rows:
        x, y = (rows[axis].where(everywhere).to_numpy(float) for axis in "xy")
        samples["x_px"], samples["y_px"] = _to_px(x, y, mapping)
    else:
        for axis in "xy":
            samples[f"{axis}_px"] = eyes_mean(samples, f"{axis}_px")
    return {"samples": samples_table(samples)} if len(samples) else {}


def _on_one_clock(time_us: Floats, trial: Integers) -> Floats:
    """Put trials (n,) one after the other, if the clock starts anew with most of them."""
    timed = ~np.isnan(time_us)
    steps, trial = np.diff(time_us[timed]), trial[timed]
    changes = np.diff(trial) != 0
    begins = changes & (trial[1:] > 0)  # between trials the clock may run on
    if not np.count_nonzero(changes & (steps < 0)) > np.count_nonzero(begins) / 2:
        return time_us
    usual = np.median(steps[steps > 0]) if (steps > 0).any() else 1.0
    # after a trial of one sample it does not step back
    later = np.where(changes & (steps <= 0), usual - steps, 0.0).cumsum()
    time_us = time_us.copy()
    time_us[timed] += np.concatenate(([0.0], later))
    return time_us


def _of_eye(mapping: Mapped, rows: pd.DataFrame, eye: str, valid: pd.Series) -> dict[str, Any]:
    """Columns of an eye, as far as there are any."""
    columns: dict[str, Any] = {}
    valid = valid & _valid(mapping, rows, eye)
    if f"{eye}_x" in rows:
        x, y = (rows[f"{eye}_{axis}"].where(valid).to_numpy(float) for axis in "xy")
        x_px, y_px = _to_px(x, y, mapping)
        columns |= {f"{eye}_x_px": x_px, f"{eye}_y_px": y_px}
        screen = mapping.screen
        if mapping.units["position"] == "mm" and screen is not None:
            columns[f"{eye}_x_mm"] = x_px * screen.mm_per_px
            columns[f"{eye}_y_mm"] = y_px * (screen.height_mm / screen.height_px)
    if f"{eye}_pupil" in rows:
        name = f"{eye}_pupil_mm" if mapping.units["pupil"] == "mm" else f"{eye}_pupil"
        columns[name] = rows[f"{eye}_pupil"].where(valid)
    return columns


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


def _is_one_of(values: pd.Series, codes: Codes) -> pd.Series:
    """Tell which texts (n,) are among codes, of which numbers may be written in any way."""
    numbers = [float(code) for code in codes if not isinstance(code, str)]
    words = [str(code) for code in codes]
    found = values.isin(words)
    return found | pd.to_numeric(values, errors="coerce").isin(numbers) if numbers else found


# ---------------------------------------------------------------- fixations


def _fixations(
    table: Table, mapping: Mapped, rows: pd.DataFrame, skipped: Counter[str]
) -> dict[str, pd.DataFrame]:
    # before a table that was appended to itself makes two trials of each; a row that is alone may
    # be another look at a cross that is shown again
    again = rows.duplicated()
    again &= again.shift(fill_value=False) | again.shift(-1, fill_value=False)
    skipped["fixations listed again"] += int(again.sum())
    rows = rows[~again]
    onset_us = _us(table, rows, "onset", mapping.units["time"])
    if "end" in rows:
        lasts_us = _us(table, rows, "end", mapping.units["time"]) - onset_us
    else:
        lasts_us = _us(table, rows, "duration", mapping.units["duration"])
    placed = rows[["x", "y"]].notna().all(axis=1) & _valid(mapping, rows, "both")
    lasting = (lasts_us > 0) & ~np.isnan(onset_us)
    _expect_together(table, rows, onset_us, onset_us + lasts_us)
    skipped["fixations without a position"] += int((~placed).sum())
    skipped["fixations without a duration"] += int((placed & ~lasting).sum())
    found = rows[[*CONSTANTS]].assign(
        trial=_trials(rows),
        onset_ms=onset_us / 1000,
        duration_ms=lasts_us / 1000,
        source=f"vendor:{READER.name}",
    )
    if mapping.clock == "recording":
        found["onset_ms"] -= found.groupby("trial")["onset_ms"].transform("min")
    found = found.assign(**_places(rows, mapping))
    on_image = [name for name in ("x_im", "y_im") if name in found]
    found, again = listed_once(found[placed & lasting & found[on_image].notna().all(axis=1)])
    skipped.update(again)
    found = found.sort_values(["trial", "onset_ms"], kind="stable", ignore_index=True)
    found["order"] = found.groupby("trial").cumcount() + 1
    return {"fixations": FIXATIONS.conform(found)} if len(found) else {}


def _expect_together(table: Table, rows: pd.DataFrame, onset_us: Floats, end_us: Floats) -> None:
    """Raise a FormatError if rows (n,) go to and fro between trials, of which each is one scanpath.

    Each stretch of them would be a trial.
    """
    once = ~rows.duplicated().to_numpy()
    rows, onset_us, end_us = rows[once], onset_us[once], end_us[once]
    key, names = pd.factorize(_called(rows))
    stretches = int(np.count_nonzero(np.diff(key))) + 1
    if stretches <= max(_FEW, 2 * len(names)):
        return
    order = np.lexsort((onset_us, key))
    is_same = np.diff(key[order]) == 0
    # what was shown several times overlaps itself, if its clock starts anew
    if _overlap(onset_us, end_us) > _OFTEN >= _overlap(onset_us[order], end_us[order], is_same):
        raise FormatError(
            f"{table.path}: the rows of {rows['subject'].iloc[0]!r} change {stretches - 1:,} times "
            f"between {len(names):,} trials, expected those of a trial together; sort the rows by "
            "participant, trial and onset; if a trial comes again, number it anew"
        )


def _overlap(onset_us: Floats, end_us: Floats, counts: Bools | bool = True) -> float:
    """Share of the rows (n,) that begin before the middle of the one above; of pairs that count."""
    # of fixations without saccades between, rounding makes many begin before the end
    middle_us = (onset_us + end_us) / 2
    return float(((onset_us[1:] < middle_us[:-1]) & counts).mean())


def _expect_usual(table: Table, mapping: Mapped, recordings: Iterable[Recording]) -> None:
    """Raise a FormatError for fixations whose durations must be in another unit."""
    duration_ms = pd.concat([recording.fixations["duration_ms"] for recording in recordings])
    least, most = _USUAL_MS
    median = duration_ms.median()
    if len(duration_ms) and not least <= median <= most:
        key, column = ("time", "end") if "end" in table.columns else ("duration", "duration")
        raise FormatError(
            f"{table.path}: by {table.columns[column]!r}, read in {mapping.units[key]}, fixations "
            f"last {median:g} ms in the median, expected {least:g} to {most:g} ms; correct "
            f"units.{key} in {mapping.path}"
        )


def _places(rows: pd.DataFrame, mapping: Mapped) -> dict[str, Any]:
    """Where fixations lie, on the screen or on their image, and how large that is."""
    x, y = (rows[axis].to_numpy(float) for axis in "xy")
    sizes = {}
    for side in ("width", "height"):
        size = rows.get(f"image_{side}", pd.Series(np.nan, index=rows.index))
        sizes[side] = size.where((size >= 1) & (size < 1e6)).round()
    columns: dict[str, Any] = {f"image_{side}": size for side, size in sizes.items()}
    unit = mapping.units["position"]
    if not unit.startswith("image"):
        x_px, y_px = _to_px(x, y, mapping)
        return columns | {"x_px": x_px, "y_px": y_px}
    if mapping.y_up:
        y = -y
    if unit == "image share":
        x, y = x * sizes["width"], y * sizes["height"]
    return columns | {"x_im": x, "y_im": y + sizes["height"] if mapping.y_up else y}


READER = Reader(
    name="generic",
    title="any table of samples or fixations that a TOML describes (--mapping)",
    versions="see examples/mapping.toml",
    refusal=refusal,
    read=read,
)
