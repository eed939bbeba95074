"""What a SAMPLES and a FIXATIONS table is: columns, units, validation, Parquet in and out.

A table is a pandas DataFrame whose columns a :class:`Schema` declares. Extra columns are
allowed and kept; declared ones have exactly the declared dtype, so that whoever receives
a validated table needs no further checks.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gazetools.errors import SchemaError
from gazetools.files import replacing

TABLE_VERSION = 1
_METADATA_KEY = b"gazetools"
_PLACE = ["subject", "recording", "trial", "stimulus", "order"]
_DURATIONS_MS = 0.001, 86_400_000
"""A tick of the finest clock, and a day."""

EVENTS = ("missing", "fixation", "saccade", "unclassified")
"""Names of the event codes 0 .. 3 that the detectors return."""


@dataclass(frozen=True)
class Column:
    """One declared column: its dtype, its unit, and whether values may be missing."""

    name: str
    dtype: str
    unit: str
    doc: str
    nullable: bool = False
    required: bool = True


@dataclass(frozen=True)
class Schema:
    """A named set of columns that a table must have."""

    name: str
    columns: tuple[Column, ...]

    def empty(self) -> pd.DataFrame:
        """Return the table without rows."""
        return _empty(self).copy(deep=False)

    def conform(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return `table` with declared columns first and cast to their dtypes.

        Required columns that may be null and are absent are added empty.

        Raises
        ------
        SchemaError
            A column is missing, cannot be cast, or holds nulls where none may be.
        """
        found = dict(table.items())  # once, as to look up each by itself takes long
        out: dict[str, pd.Series] = {}
        for column in self.columns:
            if column.name in found:
                out[column.name] = self._cast(found[column.name], column)
            elif column.nullable and column.required:
                empty = pd.Series(np.nan, index=table.index)
                out[column.name] = empty.astype(column.dtype)
            elif column.required:
                raise SchemaError(
                    f"{self.name} table: column {column.name!r} is missing; "
                    f"found {', '.join(map(str, table.columns)) or 'none'}"
                )
        extra = {name: values for name, values in found.items() if name not in out}
        return pd.DataFrame(out | extra, index=table.index, copy=False)

    def _cast(self, values: pd.Series, column: Column) -> pd.Series:
        if values.dtype == column.dtype and (column.nullable or values.dtype.kind in "ib"):
            return values
        # before the cast, which turns nulls into True or into garbage
        if not column.nullable and values.isna().any():
            row = int(np.flatnonzero(values.isna())[0])
            raise SchemaError(
                f"{self.name} table: column {column.name!r} is empty in row {row}; "
                "every row needs a value"
            )
        if values.dtype == column.dtype:
            return values
        try:
            with np.errstate(invalid="ignore"):
                cast = values.astype(column.dtype)
        except (ValueError, TypeError) as error:
            raise SchemaError(
                f"{self.name} table: column {column.name!r} is {values.dtype}, "
                f"expected {column.dtype} ({error})"
            ) from error
        if column.dtype == "int64" and pd.api.types.is_float_dtype(values):
            changed = np.flatnonzero(cast != values)
            if len(changed):
                raise SchemaError(
                    f"{self.name} table: column {column.name!r} is {values.iloc[changed[0]]} in "
                    f"row {changed[0]}, expected whole numbers"
                )
        return cast


@cache
def _empty(schema: Schema) -> pd.DataFrame:
    return schema.conform(pd.DataFrame({c.name: [] for c in schema.columns}))


_WHO = (
    Column("recording", "str", "", "name of the recording; unique with the subject"),
    Column("subject", "str", "", "participant who looked"),
    Column("trial", "int64", "", "presentation within the recording, from 1; 0 between"),
    Column("stimulus", "str", "", "name of what was shown", nullable=True),
)

SAMPLES = Schema(
    "samples",
    (
        *_WHO,
        Column(
            "tracker_time_us", "int64", "us", "tracker clock as exported; from 0 if de-identified"
        ),
        Column("t_ms", "float64", "ms", "time from where the first sample of the trial begins"),
        Column("x_px", "float64", "screen px", "gaze, average of the eyes", nullable=True),
        Column("y_px", "float64", "screen px", "gaze, average of the eyes", nullable=True),
        *(
            Column(f"{eye}_{name}", "float64", unit, doc, nullable=True, required=False)
            for eye in ("left", "right")
            for name, unit, doc in (
                ("x_px", "screen px", "gaze of this eye"),
                ("y_px", "screen px", "gaze of this eye"),
                ("x_mm", "screen mm", "gaze of this eye, origin top left of the display"),
                ("y_mm", "screen mm", "gaze of this eye, y down"),
                ("eye_x_mm", "mm", "eye position in display coordinates"),
                ("eye_y_mm", "mm", "eye position in display coordinates, y down"),
                ("eye_z_mm", "mm", "eye position, distance from the display plane"),
                ("dir_x", "", "gaze direction, unit vector in display coordinates"),
                ("dir_y", "", "gaze direction"),
                ("dir_z", "", "gaze direction, negative towards the display"),
                ("pupil_mm", "mm", "pupil diameter"),
                ("pupil", "tracker's own", "pupil size, diameter or area, where not in mm"),
            )
        ),
        Column("left_valid", "bool", "", "the tracker saw this eye", required=False),
        Column("right_valid", "bool", "", "the tracker saw this eye", required=False),
        Column("event", "str", "", "one of EVENTS; empty if we cannot detect", True, False),
        Column("event_index", "int64", "", "running number per event type", required=False),
        Column("vendor_event", "str", "", "one of EVENTS, by the vendor", True, False),
        Column("vendor_event_index", "int64", "", "the vendor's running number", required=False),
    ),
)

FIXATIONS = Schema(
    "fixations",
    (
        *_WHO,
        Column("order", "int64", "", "position in the scanpath of its trial, from 1"),
        Column("onset_ms", "float64", "ms", "start, from trial start"),
        Column("duration_ms", "float64", "ms", "half-open: [onset, onset + duration)"),
        Column("x_px", "float64", "screen px", "centre on the screen", nullable=True),
        Column("y_px", "float64", "screen px", "centre on the screen", nullable=True),
        Column("x_im", "float64", "image px", "centre on the image", nullable=True),
        Column("y_im", "float64", "image px", "centre on the image", nullable=True),
        Column(
            "image_width", "Int64", "px", "size that x_im refers to; 1 x 1: shares", nullable=True
        ),
        Column(
            "image_height", "Int64", "px", "size that y_im refers to; 1 x 1: shares", nullable=True
        ),
        Column("source", "str", "", "vendor, or detector and the digest of its parameters"),
    ),
)

_LASTS = (
    Column("onset_ms", "float64", "ms", "start, from trial start"),
    Column("duration_ms", "float64", "ms", "half-open: [onset, onset + duration)"),
)
_BY = (
    Column("eye", "str", "", "left, right or both", nullable=True),
    Column("source", "str", "", "vendor, or detector and the digest of its parameters"),
)

SACCADES = Schema(
    "saccades",
    (
        *_WHO,
        *_LASTS,
        Column("start_x_px", "float64", "screen px", "gaze where it begins", nullable=True),
        Column("start_y_px", "float64", "screen px", "gaze where it begins", nullable=True),
        Column("end_x_px", "float64", "screen px", "gaze where it ends", nullable=True),
        Column("end_y_px", "float64", "screen px", "gaze where it ends", nullable=True),
        Column("amplitude_deg", "float64", "deg", "angle from start to end", nullable=True),
        Column("peak_velocity_deg_s", "float64", "deg/s", "fastest sample", nullable=True),
        *_BY,
    ),
)

BLINKS = Schema("blinks", (*_WHO, *_LASTS, *_BY))


def _figure(name: str, unit: str, doc: str, dtype: str = "float64") -> Column:
    return Column(name, dtype, unit, doc, nullable=True)


def _count(name: str, doc: str) -> Column:
    return _figure(name, "", doc, "Int64")


QUALITY = Schema(
    "quality",
    (
        Column("file", "str", "", "name of the export or table"),
        Column("recording", "str", "", "name of the recording; unique with the subject"),
        Column("subject", "str", "", "participant who looked"),
        Column("level", "str", "", "recording (all its trials), or trial"),
        _count("trial", "presentation within the recording, from 1"),
        _figure("stimulus", "", "name of what was shown", "str"),
        _count("samples", "samples that came"),
        _figure("duration_ms", "ms", "recorded time within trials, pauses left out"),
        _figure("rate_hz", "Hz", "measured: from the usual interval"),
        _figure("stated_rate_hz", "Hz", "as the export states it"),
        _figure("rate_pct", "%", "measured rate as a share of the stated one"),
        _figure("interval_sd_ms", "ms", "standard deviation of the intervals"),
        _figure("interval_mad_ms", "ms", "median absolute deviation of the intervals"),
        _figure("irregular_pct", "%", "intervals over a fifth and a tick off the median"),
        _count("pauses", "holes of 10 s and more, in which nothing is expected"),
        _figure("pause_ms", "ms", "their length together"),
        _count("expected_samples", "samples that came or were dropped"),
        _count("dropped_samples", "samples that never came"),
        _count("missing_samples", "samples without gaze, and dropped ones"),
        _figure("loss_pct", "%", "missing among expected samples"),
        _count("gaps_under_75_ms", "gaps by length: missing samples times interval"),
        _count("gaps_75_150_ms", "gaps"),
        _count("gaps_150_400_ms", "gaps"),
        _count("gaps_400_1000_ms", "gaps"),
        _count("gaps_over_1000_ms", "gaps"),
        _figure("longest_gap_ms", "ms", "0 if nothing is missing"),
        _count("windows", "fixations in which precision was measured"),
        _figure("rms_s2s_px", "screen px", "median over fixations, mean of the eyes"),
        _figure("std_px", "screen px", "median over fixations, mean of the eyes"),
        _figure("bcea_px2", "screen px^2", "median over fixations, 68.2 %"),
        _figure("rms_s2s_deg", "deg", "median over fixations, mean of the eyes"),
        _figure("std_deg", "deg", "median over fixations, mean of the eyes"),
        _figure("bcea_deg2", "deg^2", "median over fixations, 68.2 %"),
        _figure("left_rms_s2s_deg", "deg", "of the left eye alone"),
        _figure("right_rms_s2s_deg", "deg", "of the right eye alone"),
        _figure("accuracy_px", "screen px", "distance from targets"),
        _figure("accuracy_deg", "deg", "distance from targets, or as the vendor measured it"),
        _figure("accuracy_from", "", "targets, or which of the vendor's", "str"),
        _figure("disparity_px", "screen px", "median distance of left from right gaze"),
        _figure("disparity_deg", "deg", "median angle between left and right gaze point"),
        _figure("degrees_from", "", "eye positions, or screen size and distance", "str"),
        _figure("on_image_pct", "%", "seen gaze on the image; without samples, by duration"),
        _count("fixations", "their number"),
        _figure("fixation_median_ms", "ms", "median duration"),
        _figure("fixation_mean_ms", "ms", "mean duration"),
        _figure("fixation_sd_ms", "ms", "standard deviation of durations"),
        _figure("fixations_short_pct", "%", "shorter than 100 ms"),
        _figure("fixations_long_pct", "%", "longer than 600 ms"),
        _figure("fixations_by", "", "profile of our detector, or the vendor's source", "str"),
        _figure("in_mask_pct", "%", "fixated time inside the mask, of that on the image"),
        Column("flags", "str", "", "what is beyond a limit, parted by '; '"),
        Column("notes", "str", "", "why figures are missing, parted by '; '"),
    ),
)

TABLES = (SAMPLES, FIXATIONS, SACCADES, BLINKS, QUALITY)
"""Every kind of table that is kept as Parquet."""


def kind_of(columns: Collection[str]) -> Schema:
    """Tell which of TABLES has these columns.

    It is the one that declares most of the columns, of several the one of whose own fewest are
    absent: blinks have every column that saccades must have.

    Raises
    ------
    SchemaError
        A column is absent that :meth:`Schema.conform` would ask for.
    """
    kind = max(TABLES, key=lambda schema: _fit(schema, columns))
    if absent := _absent(kind, columns):
        raise SchemaError(
            f"its columns are those of none of our tables ({_names(TABLES)}); as {kind.name}, the "
            f"nearest, it has no {', '.join(absent)}; found {', '.join(columns) or 'none'}; rename "
            "or add columns"
        )
    return kind


def _fit(schema: Schema, columns: Collection[str]) -> tuple[int, int, int]:
    """How well columns fit a schema; the greatest fits best."""
    declared = {column.name for column in schema.columns}
    required = {column.name for column in schema.columns if column.required}
    return (
        len(declared.intersection(columns)),
        -len(_absent(schema, columns)),
        -len(required.difference(columns)),
    )


def _absent(schema: Schema, columns: Collection[str]) -> list[str]:
    needed = (column.name for column in schema.columns if column.required and not column.nullable)
    return [name for name in needed if name not in columns]


def _names(schemas: Sequence[Schema]) -> str:
    return ", ".join(schema.name for schema in schemas)


def complete_samples(table: pd.DataFrame) -> pd.DataFrame:
    """Give a SAMPLES table all declared columns, and no others.

    What a tracker does not tell is missing; an eye whose validity it does not tell is valid
    where it has gaze.
    """
    table = SAMPLES.conform(table)
    added: dict[str, Any] = {}
    for column in SAMPLES.columns:
        if column.name in table:
            continue
        if column.dtype == "bool":
            eye = column.name.removesuffix("_valid")
            gaze = [name for name in (f"{eye}_x_px", f"{eye}_x_mm") if name in table]
            added[column.name] = table[gaze].notna().any(axis=1)
        else:
            empty = pd.Series(0 if column.dtype == "int64" else np.nan, index=table.index)
            added[column.name] = empty.astype(column.dtype)
    return table.assign(**added)[[column.name for column in SAMPLES.columns]]


def validate_fixations(table: pd.DataFrame) -> pd.DataFrame:
    """Conform `table` to FIXATIONS and check what dtypes cannot say.

    Raises
    ------
    SchemaError
        A duration is none that a tracker could measure, a fixation has no position at all, or two
        have one place in a scanpath.
    """
    table = FIXATIONS.conform(table)
    duration = table["duration_ms"].to_numpy()
    least, most = _DURATIONS_MS
    bad = ~((duration >= least) & (duration <= most))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise SchemaError(
            f"fixations table: row {row} lasts {duration[row]} ms; durations are positive, from "
            f"{least} to {most:,} ms; correct it or drop the row"
        )
    nowhere = table[["x_px", "x_im"]].isna().all(axis=1) | (
        table[["y_px", "y_im"]].isna().all(axis=1)
    )
    if nowhere.any():
        raise SchemaError(
            f"fixations table: row {int(np.flatnonzero(nowhere)[0])} has neither a screen "
            "nor an image position; drop it before"
        )
    again = table.duplicated(_PLACE)
    if again.any():
        row = int(np.flatnonzero(again)[0])
        raise SchemaError(
            f"fixations table: row {row} has the {', '.join(_PLACE)} of a row before it; order "
            "counts the fixations of a scanpath, drop what is there twice or count anew"
        )
    return table


def validate_samples(table: pd.DataFrame) -> pd.DataFrame:
    """Conform `table` to SAMPLES and check that each recording is in the order of time.

    Raises
    ------
    SchemaError
        A sample comes before the one in the row above it.
    """
    table = SAMPLES.conform(table)
    time_us = table["tracker_time_us"]
    if time_us.is_monotonic_increasing:
        return table
    back = time_us.groupby([table["subject"], table["recording"]], sort=False).diff() < 0
    if back.any():
        raise SchemaError(
            f"samples table: row {int(np.flatnonzero(back)[0])} is earlier than its recording's "
            "row before it; sort the table by subject, recording and tracker_time_us"
        )
    return table


def write_table(
    table: pd.DataFrame,
    path: Path,
    schema: Schema,
    *,
    provenance: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Write `table` as Parquet with its schema's name, version and `provenance` in the footer."""
    write_tables([(table, path, schema)], provenance=provenance, overwrite=overwrite)


def write_tables(
    tables: Sequence[tuple[pd.DataFrame, Path, Schema]],
    *,
    provenance: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Write several tables as :func:`write_table` does, either all or none of them."""
    with ExitStack() as renamed_last:
        for table, path, schema in tables:
            writer = renamed_last.enter_context(writing(path, schema, overwrite=overwrite))
            writer.add(table)
            writer.close(provenance)


class TableWriter:
    """A Parquet table that is written in pieces; made by :func:`writing`.

    Attributes
    ----------
    path : Path
        Where to.
    """

    def __init__(self, path: Path, schema: Schema) -> None:
        self.path = path
        self._schema = schema
        self._file: pq.ParquetWriter | None = None

    def add(self, table: pd.DataFrame) -> None:
        """Append rows; every piece has the columns of the first."""
        arrow = pa.Table.from_pandas(self._schema.conform(table), preserve_index=False)
        if self._file is None:
            self._file = pq.ParquetWriter(self.path, arrow.schema, compression="zstd")
        self._file.write_table(arrow)

    def close(self, provenance: Mapping[str, Any]) -> None:
        """Write the footer, which says what the table was made from."""
        if self._file is None:
            self.add(self._schema.empty())
            assert self._file is not None
        self._file.add_key_value_metadata({_METADATA_KEY: _footer(self._schema, provenance)})
        self._file.close()

    def abandon(self) -> None:
        """Leave off; what was written goes with its temporary file."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()


@contextmanager
def writing(path: Path, schema: Schema, *, overwrite: bool = False) -> Iterator[TableWriter]:
    """Write a table that comes in pieces; `path` appears at the end, if the writer was closed.

    Raises
    ------
    OutputError
        The file exists and `overwrite` is false, or the disk refuses to take it.
    """
    with replacing(path, overwrite=overwrite) as temporary:
        writer = TableWriter(temporary, schema)
        try:
            yield writer
        except BaseException:
            writer.abandon()
            raise


def read_pieces(path: Path) -> Iterator[pd.DataFrame]:
    """Give a table that :func:`writing` wrote piece by piece, as it was added."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number).to_pandas()


def _footer(schema: Schema, provenance: Mapping[str, Any]) -> bytes:
    return json.dumps({"table": schema.name, "version": TABLE_VERSION, **provenance}).encode()


def read_table(path: Path, schema: Schema) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a Parquet table; return it conformed, and valid, with the provenance of its footer.

    A Parquet file that another tool wrote is welcome as long as its columns conform.

    Raises
    ------
    SchemaError
        The file is damaged or not Parquet, holds another kind of table or one that
        :func:`validate_fixations` or :func:`validate_samples` refuses, or is of a newer version.
    """
    with _opened(path) as (file, note):
        _check_note(note, schema)
        arrow = file.read()
        arrow.validate(full=True)  # pandas would find text that is none only when it is used
        table = arrow.to_pandas()
        index = [name for name in table.index.names if name in arrow.column_names]
        table = table.reset_index(index) if index else table
        valid = {SAMPLES: validate_samples, FIXATIONS: validate_fixations}
        return valid.get(schema, schema.conform)(table), note


def describe_table(path: Path) -> tuple[str | None, list[str]]:
    """Tell which table of ours a Parquet file says it holds, if any, and its columns.

    Raises
    ------
    SchemaError
        The file is damaged or not Parquet.
    """
    with _opened(path) as (file, note):
        return note.get("table"), file.schema_arrow.names


def schema_of(path: Path, among: Sequence[Schema] = TABLES) -> Schema:
    """Tell which table a Parquet file holds: as its footer says, or else by its columns.

    Raises
    ------
    SchemaError
        The file is damaged or not Parquet, or holds none of `among`.
    """
    told, columns = describe_table(path)
    if told is None:
        try:
            told = kind_of(columns).name
        except SchemaError as error:
            raise SchemaError(f"{path}: {error}") from error
    for schema in among:
        if schema.name == told:
            return schema
    raise SchemaError(f"{path}: holds a {told} table; expected one of {_names(among)}")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pq.ParquetFile, dict[str, Any]]]:
    """Open a Parquet file; whatever is wrong with it in the block becomes a SchemaError."""
    if path.is_dir():
        raise SchemaError(f"{path}: is a folder; name a table in it, such as fixations.parquet")
    if not path.is_file():
        raise SchemaError(f"{path}: no such file; `gazetools ingest` writes it")
    try:
        with pq.ParquetFile(path) as file:
            yield file, json.loads((file.metadata.metadata or {}).get(_METADATA_KEY, b"{}"))
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from error
    except _ODD as error:
        raise SchemaError(
            f"{path}: not a readable Parquet file ({error}); expected a table as `gazetools "
            "ingest` writes it"
        ) from error


def _check_note(note: dict[str, Any], schema: Schema) -> None:
    if note.get("table", schema.name) != schema.name:
        raise SchemaError(f"holds a {note['table']} table, expected {schema.name}")
    if note.get("version", TABLE_VERSION) > TABLE_VERSION:
        raise SchemaError(
            f"table version {note['version']}, this gazetools reads up to {TABLE_VERSION}; "
            "update gazetools"
        )


_ODD = (
    pa.ArrowException,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
)
"""What Arrow, JSON and pandas say of damage."""
