"""Blocks of rows to columns: plain ones are scanned, others are pyarrow's.

This file finds out what to tell pyarrow (decimal marks, quotes), and turns its complaints into
errors that name the line.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from gazetools.errors import FormatError
from gazetools.kernels.cells import PADDING
from gazetools.readers.blocks import LONGEST_LINE, Block
from gazetools.readers.layout import Layout, column_names
from gazetools.readers.opening import Decoder, read_head, read_head_bytes
from gazetools.readers.scanning import Scanner

_COMMA_NUMBER = re.compile(r'"?-?\d+,\d+"?')
_QUOTED_CELL = r'"(?<=[\0\n{0}]")[^"\r\n{0}]*[,{0}][^"\r\n{0}]*"(?=[\0\r\n{0}])'
_POINTED_WHOLE = re.compile(rb'(?<=[\0\t,;"\n])(-?\d+)\.0(?=[\0\t,;"\r\n])')
_COMPLAINTS = (pa.ArrowException, OSError, UnicodeError)


class Parser:
    """Parses the blocks of one file alike."""

    def __init__(self, path: Path, layout: Layout, types: Mapping[str, pa.DataType]) -> None:
        head = read_head(path)
        self.decoder = Decoder(path, read_head_bytes(path))
        self.path = path
        self._types = types
        self._layout = layout
        self._header = head.splitlines()[layout.header_line - 1 : layout.header_line]
        self._names = list(layout.names or column_names(head, *self._header_place))
        self._numbers = [name for name, kind in types.items() if kind == pa.float64()]
        # vendors' tab-separated exports may hold a lone quote; R quotes names and values
        self._quoted = layout.separator == "," or "".join(self._header).startswith('"')
        quoted_cell = _QUOTED_CELL.format(re.escape(layout.separator))
        self._quoted_cell = re.compile(quoted_cell.encode())
        self._saw_fraction = self._has_decimal_comma(head)
        self.decimal_mark = "," if self._saw_fraction else "."
        self._scanner = self._make_scanner()

    def _make_scanner(self) -> Scanner | None:
        kinds = set(self._types.values())
        if pa.int64() in kinds or not set(self._types) <= set(self._names):
            return None
        return Scanner(
            self._layout.separator,
            len(self._names),
            [self._names.index(name) for name in self._numbers],
            [self._names.index(name) for name in self._types if name not in self._numbers],
            frozenset(self._layout.nulls),
            self._quoted,
        )

    @property
    def _header_place(self) -> tuple[str, int]:
        return self._layout.separator, self._layout.header_line

    def scan(self, block: Block) -> pd.DataFrame | None:
        """Return the wanted columns of a block of rows; None if they are for :meth:`parse`."""
        self._look_for_quotes(block)
        if self._scanner is None:
            return None
        cells = self._scanner.scan(block.text, block.lines, self.decimal_mark)
        if cells is None:
            return None
        if not self._saw_fraction:
            self._saw_fraction = any((np.floor(v) < v).any() for v in cells.numbers)
        texts = (name for name in self._types if name not in self._numbers)
        columns: dict[str, Any] = {
            name: self._texts(codes, known)
            for name, codes, known in zip(texts, cells.codes, cells.texts, strict=True)
        }
        columns |= dict(zip(self._numbers, cells.numbers, strict=True))
        return pd.DataFrame(columns, copy=False)

    def _look_for_quotes(self, block: Block) -> None:
        """Notice the first cell that a spreadsheet put into quotes, for a comma or separator."""
        if self._quoted or b'"' not in block.text or not self._quoted_cell.search(block.text):
            return
        self._quoted = True
        if self._scanner is not None:
            self._scanner = replace(self._scanner, quoted=True)

    def _texts(self, codes: npt.NDArray[np.int16], known: list[str]) -> Any:
        if any(pa.types.is_dictionary(kind) for kind in self._types.values()):
            return pd.Categorical.from_codes(codes, pd.Index(known, dtype="str"), validate=False)
        # the last is what code -1 takes
        return pd.array([*known, None], dtype="str").take(codes)

    def parse(self, block: Block) -> pa.Table:
        """Return the wanted columns of a block of rows, whatever it holds.

        Raises
        ------
        FormatError
            A row is damaged; names the line.
        """
        try:
            parsed = self._parse_as(block, self.decimal_mark)
        except FormatError as error:
            # so far the file held whole numbers only
            if self._saw_fraction or not re.search(r"holds '-?\d+,\d+'", str(error)):
                raise
            parsed = self._parse_as(block, ",")
            self.decimal_mark = ","
        if not self._saw_fraction:
            self._saw_fraction = self.decimal_mark == "," or any(
                pc.any(pc.not_equal(parsed[name], pc.floor(parsed[name]))).as_py()
                for name in self._numbers
            )
        return parsed

    def _parse_as(self, block: Block, decimal_mark: str) -> pa.Table:
        """Parse a block; beside decimal commas, which it took for text, pandas writes 12 as 12.0.

        In texts that stays as it is.
        """
        try:
            return self._parse(block, decimal_mark, self._types)
        except FormatError as error:
            if decimal_mark != "," or not re.search(r"holds '-?\d+\.0'", str(error)):
                raise
        whole = replace(block, text=bytearray(_POINTED_WHOLE.sub(rb"\1", block.text)))
        numbers = {name: kind for name, kind in self._types.items() if name in self._numbers}
        others = {name: kind for name, kind in self._types.items() if name not in numbers}
        parts = [self._parse(whole, ",", numbers), self._parse(block, ",", others)]
        columns = {name: part[name] for part in parts for name in part.column_names}
        return pa.table({name: columns[name] for name in self._types})

    def _has_decimal_comma(self, head: str) -> bool:
        if self._layout.separator == ",":
            return False
        wanted = [i for i, name in enumerate(self._names) if name in self._numbers]
        for line in head.splitlines()[self._layout.header_line : -1]:
            cells = line.split(self._layout.separator)
            if any(_COMMA_NUMBER.fullmatch(cells[i]) for i in wanted if i < len(cells)):
                return True
        return False

    def _row_handler(self) -> Callable[[Any], str] | None:
        """Answer pyarrow, which asks about a row of too few or too many cells."""
        forgive = self._layout.forgive
        if forgive is None:
            return None
        return lambda row: "skip" if forgive(row.text) else "error"

    def _parse(self, block: Block, decimal_mark: str, types: Mapping[str, pa.DataType]) -> pa.Table:
        layout = pacsv.ParseOptions(
            delimiter=self._layout.separator,
            quote_char='"' if self._quoted else False,
            invalid_row_handler=self._row_handler(),
        )
        convert = pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            decimal_point=decimal_mark,
            strings_can_be_null=True,
            null_values=list(self._layout.nulls),
        )

        def parse(*, threads: bool) -> pa.Table:
            how = pacsv.ReadOptions(column_names=_unique(self._names), use_threads=threads)
            return pacsv.read_csv(
                pa.BufferReader(text),
                read_options=how,
                parse_options=layout,
                convert_options=convert,
            )

        # a copy, as pyarrow's threads may hold it still when the block's memory is needed again
        text = bytes(memoryview(block.text)[PADDING:-PADDING])
        if len(text) < LONGEST_LINE and not text.strip(b"\r\n"):
            return pa.schema(list(types.items())).empty_table()
        with suppress(*_COMPLAINTS):
            return parse(threads=True)
        # only the single-threaded parser knows in which row it stopped
        try:
            return parse(threads=False)
        except _COMPLAINTS as error:
            what = _where(str(error), self._names, block.first_line)
            raise FormatError(f"{self.path}{what}; {self._layout.remedy}") from error


def _unique(names: list[str]) -> list[str]:
    """Tell columns of one name apart; the first keeps it."""
    first = {name: i for i, name in reversed([*enumerate(names)])}
    return [name if first[name] == i else f"{name}\0{i}" for i, name in enumerate(names)]


def _where(complaint: str, names: list[str], first_line: int) -> str:
    """Rewrite what pyarrow says as ``:line: what``."""
    first = complaint.splitlines()[0]
    fields = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", complaint)
    if fields:
        row, expected, got = (int(v) for v in fields.groups())
        line = row + first_line - 1
        return f":{line}: line has {got} fields, expected {expected}; it was cut off or damaged"
    value = re.search(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", complaint)
    if value:
        column, line, text = names[int(value[1])], int(value[2]) + first_line - 1, value[3]
        return f":{line}: column {column!r} holds {text!r}, expected a number"
    return f": cannot be parsed ({first})"
