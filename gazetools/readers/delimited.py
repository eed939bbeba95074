"""Columns of delimited text, as vendors write it: long files, decimal commas, odd headers.

A file is read in blocks (:mod:`~gazetools.readers.blocks`), each of which is parsed
(:mod:`~gazetools.readers.parsing`) while the next ones are read.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from gazetools.errors import FormatError
from gazetools.readers.blocks import Block, blocks
from gazetools.readers.layout import Layout
from gazetools.readers.opening import open_bytes
from gazetools.readers.parsing import Parser

_AHEAD = 3
"""Blocks that are read ahead: work comes in pieces of several."""
_LARGEST = 2.0**53
"""No export holds larger numbers, and float64 has no exact ones beyond."""
_NO_TEXT = pd.CategoricalDtype(pd.Index([], dtype="str"))


@dataclass(frozen=True)
class Table:
    """Columns read from a delimited file, or from a part of it.

    Attributes
    ----------
    path : Path
    frame : DataFrame
        Columns by their canonical names.
    columns : mapping of str to str
        From canonical name to the name in the file.
    first_line : int
        Line of the first row in the file.
    encoding : str
    decimal_mark : str
    """

    path: Path
    frame: pd.DataFrame
    columns: Mapping[str, str]
    first_line: int = 2
    encoding: str = "utf-8"
    decimal_mark: str = "."

    def expect(self, name: str, fine: npt.ArrayLike, expected: str) -> None:
        """Raise a FormatError for the first row in which a column is not `fine`.

        Parameters
        ----------
        name : str
            Canonical name of the column.
        fine : (rows,) bool
        expected : str
            What a value should be, for the message.
        """
        wrong = np.flatnonzero(~np.asarray(fine, bool))
        if not len(wrong):
            return
        value = self.frame[name].iloc[wrong[0]]
        found = "is empty" if pd.isna(value) else f"is {value}"
        raise FormatError(
            f"{self.path}:{int(wrong[0]) + self.first_line}: {self.columns[name]!r} {found}, "
            f"expected {expected}; correct or remove the line, or export the file again"
        )


def read_columns(
    path: Path,
    layout: Layout,
    texts: Mapping[str, str],
    numbers: Mapping[str, str],
    integers: Mapping[str, str] | None = None,
) -> Table:
    """Read some columns of a delimited file at once; see :func:`iter_columns`."""
    tables = list(iter_columns(path, layout, texts, numbers, integers))
    frame = pd.concat([table.frame for table in tables], ignore_index=True)
    last = tables[-1]
    return Table(path, frame, last.columns, tables[0].first_line, last.encoding, last.decimal_mark)


def iter_columns(
    path: Path,
    layout: Layout,
    texts: Mapping[str, str],
    numbers: Mapping[str, str],
    integers: Mapping[str, str] | None = None,
    *,
    categories: bool = False,
) -> Iterator[Table]:
    """Read some columns of a delimited file, block by block; at least one block comes.

    While a block is worked on, the next ones are read.

    Parameters
    ----------
    texts, numbers, integers : mapping of canonical name to column name in the file
        Columns to read as str (empty is null), float64 (empty is NaN) and Int64.
    categories : bool
        Read texts as categories of each block, which is faster where few are different.

    Raises
    ------
    FormatError
        A row has too few or too many fields, or a number is none; names the line.
    """
    yield from _ahead(_iter_columns(path, layout, texts, numbers, integers or {}, categories))


def _ahead(tables: Iterator[Table]) -> Iterator[Table]:
    with ThreadPoolExecutor(1) as worker:
        coming = deque(worker.submit(next, tables, None) for _ in range(_AHEAD))
        while ready := [table for table in [coming.popleft().result()] if table is not None]:
            coming.append(worker.submit(next, tables, None))
            yield ready.pop()  # and hold on to none of it


def _iter_columns(
    path: Path,
    layout: Layout,
    texts: Mapping[str, str],
    numbers: Mapping[str, str],
    integers: Mapping[str, str],
    categories: bool,
) -> Iterator[Table]:
    columns = {**texts, **numbers, **integers}
    text = pa.dictionary(pa.int32(), pa.string()) if categories else pa.string()
    types = dict.fromkeys(texts.values(), text)
    types |= {name: pa.float64() for name in numbers.values()}
    types |= {name: pa.int64() for name in integers.values()}
    parser = Parser(path, layout, types)
    with open_bytes(path) as stream:
        for block in blocks(stream, parser.decoder, layout.header_line, path):
            yield _table(parser, block, columns, list(numbers))


def _table(parser: Parser, block: Block, columns: dict[str, str], numbers: list[str]) -> Table:
    canonical = {column: name for name, column in columns.items()}
    scanned = parser.scan(block)
    frame = scanned
    if frame is None:
        frame = parser.parse(block).to_pandas(
            types_mapper={pa.int64(): pd.Int64Dtype()}.get, split_blocks=True, self_destruct=True
        )
        # pandas takes a column without any text for one of objects
        frame = frame.astype({name: _NO_TEXT for name in frame if _is_empty(frame[name].dtype)})
    frame.columns = pd.Index([canonical[name] for name in frame.columns])
    table = Table(
        parser.path, frame, columns, block.first_line, parser.decoder.encoding, parser.decimal_mark
    )
    if scanned is None:  # no larger number is scanned
        for name in numbers:
            fine = ~(np.abs(frame[name].to_numpy()) > _LARGEST)
            table.expect(name, fine, f"a number up to {_LARGEST:.0f}")
    return table


def _is_empty(kind: Any) -> bool:
    return isinstance(kind, pd.CategoricalDtype) and not len(kind.categories)
