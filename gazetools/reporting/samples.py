"""Samples as they lie on disk: one trial is read at a time, for together they may be huge."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gazetools.errors import SchemaError
from gazetools.tables import SAMPLES, Schema, validate_samples

_WHO = ("subject", "recording", "trial")
_TRIAL = Schema(SAMPLES.name, tuple(column for column in SAMPLES.columns if column.name == "trial"))
_NOTE = b"gazetools"
_KEPT_GROUPS = 2
_DAMAGED = (pa.ArrowException, OSError, ValueError, TypeError, KeyError)


class TrialKey(NamedTuple):
    """One presentation, by the names that every table has."""

    subject: str
    recording: str
    trial: int

    def __str__(self) -> str:
        """Name it for a reader."""
        return f"{self.subject}, {self.recording}, trial {self.trial}"


class SampleFile:
    """A table of samples; its rows are found when the first trial is asked for.

    Attributes
    ----------
    path : Path
    note : mapping
        What its footer tells of its making.
    count : int
        Its rows.

    Raises
    ------
    SchemaError
        It is damaged, or in no order of time; this may be found out only when a trial is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            about = pq.read_metadata(path)
            self.note: Mapping[str, Any] = json.loads((about.metadata or {}).get(_NOTE, b"{}"))
            self.count: int = about.num_rows
            sizes = [about.row_group(n).num_rows for n in range(about.num_row_groups)]
            without_rows = about.schema.to_arrow_schema().empty_table().to_pandas()
        except _DAMAGED as error:
            raise self._damaged(error) from error
        self._checked(without_rows, SAMPLES.conform)  # no column is missing
        self._begins = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._group = lru_cache(_KEPT_GROUPS)(self._read_group)

    def trial(self, key: TrialKey) -> pd.DataFrame | None:
        """Read the samples of one trial; None if the table has none of it."""
        runs = self._runs.get(key)
        if runs is None:
            return None
        parts = [part for begin, end in runs for part in self._rows(begin, end)]
        return self._checked(pa.concat_tables(parts).to_pandas(), validate_samples)

    @cached_property
    def _runs(self) -> dict[TrialKey, list[tuple[int, int]]]:
        """Rows [begin, end) of each trial; mostly one run."""
        try:
            keys = pq.read_table(self.path, columns=[*_WHO], read_dictionary=[*_WHO[:2]])
            table = self._checked(keys.to_pandas(), _TRIAL.conform)
        except _DAMAGED as error:
            raise self._damaged(error) from error
        codes = [pd.factorize(table[name])[0] for name in _WHO]
        borders = np.flatnonzero(np.any([np.diff(code) != 0 for code in codes], axis=0)) + 1
        begins = np.concatenate([[0], borders])[: len(table)]
        ends = np.append(borders, len(table))[: len(table)]
        runs: dict[TrialKey, list[tuple[int, int]]] = {}
        who = zip(*(table[name].iloc[begins] for name in _WHO), begins, ends, strict=True)
        for subject, recording, trial, begin, end in who:
            key = TrialKey(str(subject), str(recording), int(trial))
            runs.setdefault(key, []).append((int(begin), int(end)))
        return runs

    def _rows(self, begin: int, end: int) -> Iterable[pa.Table]:
        first, last = np.searchsorted(self._begins, [begin, end - 1], "right") - 1
        for number in range(int(first), int(last) + 1):
            offset = int(self._begins[number])
            start = max(begin - offset, 0)
            yield self._group(number).slice(start, end - offset - start)

    def _read_group(self, number: int) -> pa.Table:
        try:
            with pq.ParquetFile(self.path) as file:
                table = file.read_row_group(number)
                table.validate(full=True)
                return table
        except _DAMAGED as error:
            raise self._damaged(error) from error

    def _checked(
        self, table: pd.DataFrame, check: Callable[[pd.DataFrame], pd.DataFrame]
    ) -> pd.DataFrame:
        try:
            return check(table)
        except SchemaError as error:
            raise SchemaError(f"{self.path}: {error}") from error

    def _damaged(self, error: Exception) -> SchemaError:
        return SchemaError(f"{self.path}: not a readable table of samples ({error})")


def samples_of(
    files: Iterable[SampleFile], key: TrialKey
) -> tuple[pd.DataFrame, SampleFile] | None:
    """Find a trial in the first table that has it."""
    read = ((file.trial(key), file) for file in files)
    return next(((rows, file) for rows, file in read if rows is not None), None)
