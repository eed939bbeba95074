"""Delimited text, as vendors write it: long files, decimal commas, odd headers.

Parsing goes block by block, so that a file of any length fits into memory. Plain blocks are
scanned, others are pyarrow's; this file finds out what to tell it and turns its complaints into
errors that name the line.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BufferedReader
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
from gazetools.readers.opening import Decoder, open_bytes, read_head, read_head_bytes
from gazetools.readers.scanning import Scanner, count_lines

BLOCK_BYTES = 10 * 2**20
NULLS = ("", "NA", "NaN", "nan", ".")

_AHEAD = 3
"""Blocks that are read ahead: work comes in pieces of several."""
_LONGEST_LINE = 2**20
_LARGEST = 2.0**53
"""No export holds larger numbers, and float64 has no exact ones beyond."""
_COMMA_NUMBER = re.compile(r'"?-?\d+,\d+"?')
_QUOTED_CELL = r'"(?<=[\0\n{0}]")[^"\r\n{0}]*[,{0}][^"\r\n{0}]*"(?=[\0\r\n{0}])'
_POINTED_WHOLE = re.compile(rb'(?<=[\0\t,;"\n])(-?\d+)\.0(?=[\0\t,;"\r\n])')
_NO_TEXT = pd.CategoricalDtype(pd.Index([], dtype="str"))
_COMPLAINTS = (pa.ArrowException, OSError, UnicodeError)


def column_names(head: str, separator: str, header_line: int = 1) -> list[str]:
    """Names in the header line, without quotes.

    Where the first row has a cell more than the header, a nameless column is added: at the
    end for a separator that closes each row, at the front for the row names that R writes.
    """
    lines = re.split(r"\r\n|\n|\r", head, maxsplit=header_line + 1)
    if len(lines) < header_line:
        return [""]
    names = [name.strip('"') for name in cells_of(lines[header_line - 1], separator)]
    row = lines[header_line] if len(lines) > header_line else ""
    if separator == "\t" and row.count(separator) == len(names):
        return [*names, ""] if row.endswith(separator) else ["", *names]
    return names


def cells_of(line: str, separator: str) -> list[str]:
    """Cells of a line; separators in quotes part none."""
    return next(csv.reader([line], delimiter=separator)) if '"' in line else line.split(separator)


def plain_name(column: str) -> str:
    """Reduce a column name to lower-case letters and digits.

    Vendors change brackets, blanks and the micro sign between versions, and R mangles them.
    """
    return re.sub(r"[^a-z0-9]", "", column.lower())


def match_columns(header: list[str], wanted: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Find columns by their plain names.

    Parameters
    ----------
    header : list of str
        Names in the file.
    wanted : mapping of canonical name to plain names, the preferred one first

    Returns
    -------
    found : dict of canonical name to name in the file
        Without those that the file lacks.
    """
    by_plain = {plain_name(column): column for column in reversed(header) if column}
    return {
        name: next(by_plain[plain] for plain in plains if plain in by_plain)
        for name, plains in wanted.items()
        if any(plain in by_plain for plain in plains)
    }


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out.

    Attributes
    ----------
    separator : str
    header_line : int
        From 1; what stands before it is skipped. 0: the file has no header.
    names : tuple of str or None
        Of the columns, where the header does not tell.
    nulls : tuple of str
        Cells that mean "no value".
    forgive : callable or None
        Takes the text of a row of too few or too many cells; true: leave it out.
    remedy : str
        What to do about a damaged row.
    """

    separator: str = "\t"
    header_line: int = 1
    names: tuple[str, ...] | None = None
    nulls: tuple[str, ...] = NULLS
    forgive: Callable[[str], bool] | None = None
    remedy: str = "export the file again"


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
    parser = _Parser(path, layout, types)
    with open_bytes(path) as stream:
        for block in _blocks(stream, parser.decoder, layout.header_line, path):
            yield _table(parser, block, columns, list(numbers))


def _table(
    parser: "_Parser", block: "_Block", columns: dict[str, str], numbers: list[str]
) -> Table:
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


@dataclass(frozen=True)
class _Block:
    """Some lines of a file, valid until the next are asked for.

    Attributes
    ----------
    text : bytearray
        Whole lines in UTF-8, between PADDING bytes of 0.
    lines, first_line : int
        How many, and the number of the first in the file.
    """

    text: bytearray
    lines: int
    first_line: int


def _blocks(
    stream: BufferedReader, decoder: Decoder, header_line: int, path: Path
) -> Iterator[_Block]:
    header = re.compile(rb"\0{%d}(?:[^\r\n]*(?:\r\n|\n|\r|\Z)){%d}" % (PADDING, header_line))
    line = 1
    for text in _whole_lines(stream, decoder, path):
        if line == 1 and (found := header.match(text)):
            del text[PADDING : found.end()]
            line += header_line
        lines = count_lines(text)
        yield _Block(text, lines, line)
        line += lines


def _whole_lines(stream: BufferedReader, decoder: Decoder, path: Path) -> Iterator[bytearray]:
    """Give the text of blocks, always in the same memory: new pages would cost much time."""
    read, block = bytearray(BLOCK_BYTES), bytearray()
    rest = b""
    is_empty = True
    has_feeds: bool | None = None
    while read:
        del read[stream.readinto(read) :]
        text = decoder.utf8(read, final=not read)
        if has_feeds is None:
            has_feeds = b"\n" in text or b"\r" not in text
        if not has_feeds:  # Excel for the Macintosh ends lines so
            text = text.replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1 if read else len(text)
        if end or ((rest or is_empty) and not read):
            _fill(block, rest, text, end)
            yield block
            rest, is_empty = b"", False
        rest += text[end:]
        if len(rest) > _LONGEST_LINE:
            raise FormatError(
                f"{path}: a line of over {_LONGEST_LINE} bytes, expected rows of cells; "
                "it is damaged, or no text export"
            )


def _fill(block: bytearray, rest: bytes, text: bytes | bytearray, end: int) -> None:
    """Make a block of what was left of the text before, and of a text up to its `end`."""
    begin = PADDING + len(rest)
    size = begin + end + PADDING
    block += bytes(max(0, size - len(block)))
    del block[size:]
    with memoryview(block) as to, memoryview(text) as new:
        to[PADDING:begin] = rest
        to[begin:-PADDING] = new[:end]
        to[-PADDING:] = bytes(PADDING)


class _Parser:
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

    def scan(self, block: _Block) -> pd.DataFrame | None:
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

    def _look_for_quotes(self, block: _Block) -> None:
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

    def parse(self, block: _Block) -> pa.Table:
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

    def _parse_as(self, block: _Block, decimal_mark: str) -> pa.Table:
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

    def _parse(
        self, block: _Block, decimal_mark: str, types: Mapping[str, pa.DataType]
    ) -> pa.Table:
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
        if len(text) < _LONGEST_LINE and not text.strip(b"\r\n"):
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
