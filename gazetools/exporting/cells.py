"""Columns as cells of text, and cells as the bytes of files."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

NULL = "n/a"
"""What BIDS writes for no value."""


def text(values: pd.Series) -> pd.Series:
    """Write numbers with as many digits as they need; null for NaN."""
    arrow = pa.array(values, from_pandas=True)
    return pd.Series(pc.cast(arrow, pa.string()).to_pandas(), dtype="str").set_axis(values.index)


def milliseconds(time_us: pd.Series) -> pd.Series:
    """Write times in µs as ms, without decimals where none needs them."""
    whole = bool((time_us % 1000 == 0).all())
    return text(time_us // 1000 if whole else time_us / 1000)


def clean(names: pd.Series) -> pd.Series:
    """Names without what would break a row."""
    cleaned = names.str.replace(r"[\t\r\n\x00-\x1f\x7f\x85\u2028\u2029]+", " ", regex=True)
    cleaned = cleaned.str.strip()
    return cleaned.mask(cleaned == "")


def tsv(table: pd.DataFrame, *, header: bool, null: str = NULL) -> bytes:
    """Text cells as TSV."""
    cells = [pa.array(table[name].fillna(null), pa.string()) for name in table]
    lines = pc.binary_join_element_wise(*cells, "\t").to_pylist()
    names = ["\t".join(table.columns)] if header else []
    return "".join(f"{line}\n" for line in (*names, *lines)).encode()


def gz(content: bytes) -> bytes:
    """Compress; equal content gives equal bytes."""
    return gzip.compress(content, compresslevel=6, mtime=0)


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """Write JSON for people to read."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
