"""Delimited text, as vendors write it: gz, encodings, byte order marks, decimal commas.

Parsing is pyarrow's; this file finds out what to tell it and turns its complaints into
errors that name the line.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from gazetools.errors import FormatError

HEAD_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_LARGEST = 2.0**53
"""No export holds larger numbers, and float64 has no exact ones beyond."""
_COMMA_NUMBER = re.compile(r'"?-?\d+,\d+"?')
_COMPLAINTS = (pa.ArrowException, OSError, UnicodeError)


def read_head(path: Path) -> str:
    """Decode the first kilobytes of a file, unzipped if it is gz.

    Raises
    ------
    FormatError
        The file is missing, empty, not text, or a broken gz.
    """
    head = _head_bytes(path)
    return head.decode(_encoding(path, head), errors="replace").removeprefix("\ufeff")


def _head_bytes(path: Path) -> bytes:
    if not path.exists():
        raise FormatError(f"{path}: no such file")
    if path.is_dir():
        raise FormatError(f"{path}: a folder, expected an export file")
    if not path.is_file():
        raise FormatError(f"{path}: not a regular file; save it to disk first")
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
        with gzip.open(path) if zipped else path.open("rb") as stream:
            head: bytes = stream.read(HEAD_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FormatError(f"{path}: damaged gz ({error}); copy or export it again") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise FormatError(f"{path}: is empty, expected an eye-tracker export")
    return head


def _encoding(path: Path, head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise FormatError(f"{path}: binary data, expected a text export (TSV or CSV)")
    try:
        # not final: the last character may be cut in two
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def column_names(head: str, separator: str) -> list[str]:
    """Names in the header line, without quotes."""
    return [name.strip('"') for name in _header(head).split(separator)]


def _header(head: str) -> str:
    return re.split(r"[\r\n]", head.removeprefix("\ufeff"), maxsplit=1)[0]


def plain_name(column: str) -> str:
    """Reduce a column name to lower-case letters and digits.

    Vendors change brackets, blanks and the micro sign between versions, and R mangles them.
    """
    return re.sub(r"[^a-z0-9]", "", column.lower())


@dataclass(frozen=True)
class Table:
    """Columns read from a delimited file.

    Attributes
    ----------
    path : Path
    frame : DataFrame
        Columns by their canonical names.
    columns : mapping of str to str
        From canonical name to the name in the file.
    """

    path: Path
    frame: pd.DataFrame
    columns: Mapping[str, str]

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
        line = int(wrong[0]) + 2  # line 1 is the header
        raise FormatError(
            f"{self.path}:{line}: {self.columns[name]!r} {found}, expected {expected}; "
            "correct or remove the line, or export the file again"
        )


def read_columns(
    path: Path,
    separator: str,
    texts: Mapping[str, str],
    numbers: Mapping[str, str],
) -> Table:
    """Read some columns of a delimited file with one header line.

    Parameters
    ----------
    texts, numbers : mapping of canonical name to column name in the file
        Columns to read as str (empty is null) and as float64 (empty is NaN).

    Raises
    ------
    FormatError
        A row has too few or too many fields, or a number is none; names the line.
    """
    types = {name: pa.string() for name in texts.values()}
    types |= {name: pa.float64() for name in numbers.values()}
    head = _head_bytes(path)
    source = _Source(path, separator, _encoding(path, head), head)
    comma = source.has_decimal_comma(set(numbers.values()))
    try:
        parsed = _parse(source, types, "," if comma else ".")
    except FormatError as error:
        # the head of a long file may hold whole numbers only
        if comma or separator == "," or not re.search(r"holds '-?\d+,\d+'", str(error)):
            raise
        parsed = _parse(source, types, ",")
    canonical = {column: name for name, column in {**texts, **numbers}.items()}
    frame = parsed.rename_columns([canonical[c] for c in parsed.column_names]).to_pandas()
    table = Table(path, frame, {**texts, **numbers})
    for name in numbers:
        fine = ~(frame[name].abs() > _LARGEST)
        table.expect(name, fine, f"a number up to {_LARGEST:.0f}")
    return table


@dataclass(frozen=True)
class _Source:
    """A delimited file and what its first kilobytes tell."""

    path: Path
    separator: str
    encoding: str
    head: bytes

    @property
    def text(self) -> str:
        return self.head.decode(self.encoding, errors="replace")

    @property
    def names(self) -> list[str]:
        return column_names(self.text, self.separator)

    @property
    def layout(self) -> pacsv.ParseOptions:
        # vendors' tab-separated exports may hold a lone quote; R quotes names and values
        quoted = self.separator == "," or _header(self.text).startswith('"')
        return pacsv.ParseOptions(delimiter=self.separator, quote_char='"' if quoted else False)

    def has_decimal_comma(self, columns: set[str]) -> bool:
        if self.separator == ",":
            return False
        wanted = [i for i, name in enumerate(self.names) if name in columns]
        for line in self.text.splitlines()[1:-1]:
            cells = line.split(self.separator)
            if any(_COMMA_NUMBER.fullmatch(cells[i]) for i in wanted if i < len(cells)):
                return True
        return False

    def unzipped(self) -> pa.NativeFile:
        with self.path.open("rb") as raw:
            zipped = raw.read(2) == _GZIP_MAGIC
        return pa.input_stream(str(self.path), compression="gzip" if zipped else None)


def _parse(source: _Source, types: Mapping[str, pa.DataType], decimal_point: str) -> pa.Table:
    convert = pacsv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        decimal_point=decimal_point,
        strings_can_be_null=True,
        null_values=["", "NA", "NaN", "nan", "."],
    )

    def parse(*, threads: bool) -> pa.Table:
        how = pacsv.ReadOptions(encoding=source.encoding, use_threads=threads)
        with source.unzipped() as stream:
            return pacsv.read_csv(
                stream, read_options=how, parse_options=source.layout, convert_options=convert
            )

    with suppress(*_COMPLAINTS):
        return parse(threads=True)
    # only the single-threaded parser knows in which row it stopped
    try:
        return parse(threads=False)
    except _COMPLAINTS as error:
        what = _where(str(error), source.names)
        raise FormatError(f"{source.path}{what}; export the file again") from error


def _where(complaint: str, names: list[str]) -> str:
    """Rewrite what pyarrow says as ``:line: what``."""
    first = complaint.splitlines()[0]
    fields = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", complaint)
    if fields:
        line, expected, got = (int(v) for v in fields.groups())
        return f":{line}: line has {got} fields, expected {expected}; it was cut off or damaged"
    value = re.search(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", complaint)
    if value:
        column, line, text = names[int(value[1])], int(value[2]), value[3]
        return f":{line}: column {column!r} holds {text!r}, expected a number"
    if "invalid UTF8" in first:
        return ": holds bytes that are not text in UTF-8, unlike its beginning; it is damaged"
    return f": cannot be parsed ({first})"
