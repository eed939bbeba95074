"""Columns of rows that were read: arrays of numbers, and texts as categories.

A table of pandas takes long to make and to cut; where a reader cuts each block more than once,
it does so with these, and makes one table in the end.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import union_categoricals

from gazetools.readers.building import Bools

Rows = dict[str, Any]
"""Columns (n,) by name: arrays, and categories or strings of pandas."""

_MANY = 2**16


# ---------------------------------------------------------------- rows


def rows_of(frame: pd.DataFrame) -> Rows:
    """Take a table apart."""
    return {
        name: column.array if column.dtype.kind == "O" else column.to_numpy()
        for name, column in frame.items()
    }


def taken(rows: Rows, at: Any) -> Rows:
    """Take some rows: a slice, a mask, or positions."""
    return {name: values[at] for name, values in rows.items()}


def joined(some: Sequence[Rows]) -> Rows:
    """Put rows of the same columns one after the other."""
    if len(some) == 1:
        return some[0]
    return {name: _concatenated([rows[name] for rows in some]) for name in some[0]}


def _concatenated(columns: list[Any]) -> Any:
    if isinstance(columns[0], np.ndarray):
        return np.concatenate(columns)
    return union_categoricals(columns)


# ---------------------------------------------------------------- texts


def constant(text: str | None, count: int) -> pd.Categorical:
    """Return a column of one text, or of none."""
    codes = np.full(count, -1 if text is None else 0, np.int8)
    return pd.Categorical.from_codes(codes, dtype=_categories(text or ""), validate=False)


@lru_cache(maxsize=8)
def _categories(text: str) -> pd.CategoricalDtype:
    return pd.CategoricalDtype(pd.Index([text], dtype="str"))


def strings(values: pd.Categorical) -> Any:
    """Make strings of categories, which is much faster than a cast."""
    if not any_known(values):
        return repeated(None, len(values))
    # the last is what code -1 takes
    return pd.array([*values.categories, None], dtype="str").take(values.codes)


def renamed(values: pd.Categorical, names: Mapping[str, str]) -> pd.Categorical:
    """Give categories other names; what has none is null."""
    codes = {name: code for code, name in enumerate(names)}
    # the last is what code -1 takes
    code_of = np.array([codes.get(name, -1) for name in (*values.categories, None)])
    return pd.Categorical.from_codes(code_of[values.codes], list(names.values()), validate=False)


def repeated(text: str | None, count: int) -> Any:
    """Return a column of one text, cut from one that is kept, as each block wants the same."""
    return _many(text, -(-count // _MANY) * _MANY)[:count]


@lru_cache(maxsize=4)
def _many(text: str | None, count: int) -> Any:
    return pd.array([text], dtype="str").take(np.zeros(count, np.int64))


def filled(texts: pd.Categorical, by: pd.Categorical) -> pd.Categorical:
    """Fill what is missing in a column with what another holds."""
    if not texts.isna().any():
        return texts
    both = union_categoricals([texts, by])
    codes, other_codes = np.split(both.codes, 2)
    codes = np.where(codes < 0, other_codes, codes)
    return pd.Categorical.from_codes(codes, both.categories, validate=False)


def any_known(texts: pd.Categorical) -> bool:
    """Whether a column holds any text."""
    return bool(texts.codes.max(initial=-1) >= 0)


def holds(texts: pd.Categorical, text: str) -> Bools:
    """Where a column holds a text."""
    names = texts.categories.tolist()
    found: Bools = texts.codes == (names.index(text) if text in names else -2)
    return found
