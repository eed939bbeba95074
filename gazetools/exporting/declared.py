"""Tables as Parquet for strangers: declared columns alone, plain types, no provenance."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gazetools.tables import Column, Schema


def columns_of(table: pd.DataFrame, schema: Schema) -> tuple[Column, ...]:
    """Return the declared columns that a table has."""
    return tuple(column for column in schema.columns if column.name in table)


def write_declared(table: pd.DataFrame, path: Path, schema: Schema) -> None:
    """Write the declared columns of a table as Parquet.

    Whatever the footer of its file said (names of exports, settings) stays behind.
    """
    names = [column.name for column in columns_of(table, schema)]
    arrow = pa.Table.from_pandas(table[names], preserve_index=False)
    plain = [
        pa.field(field.name, pa.string() if pa.types.is_large_string(field.type) else field.type)
        for field in arrow.schema
    ]
    pq.write_table(arrow.cast(pa.schema(plain)), path, compression="zstd")


def described(column: Column) -> str:
    """Describe a column with its unit, and whether values may be missing."""
    unit = f" [{column.unit}]" if column.unit else ""
    return f"{column.doc}{unit}{'; may be missing' if column.nullable else ''}"


def embedded(features: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Metadata of a Parquet schema by which Hugging Face's `datasets` knows its features."""
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
