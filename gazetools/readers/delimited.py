"""Delimited text, as vendors write it: gz, encodings, byte order marks, decimal commas.

Parsing is pyarrow's; this file finds out what to tell it and turns its complaints into
errors that name the line.
"""

import gzip
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from gazetools.errors import FormatError

HEAD_BYTES = 64 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


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
        # the last character may be cut in two
        head[: max(1, len(head) - 3)].decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def plain_name(column: str) -> str:
    """Reduce a column name to lower-case letters and digits.

    Vendors change brackets, blanks and the micro sign between versions, and R mangles them.
    """
    return re.sub(r"[^a-z0-9]", "", column.lower())


@dataclass(frozen=True)
class Table:
    """Columns read from a delimited file, by their canonical names, and the line of row 0."""

    frame: pd.DataFrame
    first_line: int

    def line(self, row: int) -> int:
        """Line number in the file of a row."""
        return self.first_line + row


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
    head = _head_bytes(path)
    encoding = _encoding(path, head)
    comma = _has_decimal_comma(head.decode(encoding, errors="replace"), separator, numbers)
    types = {name: pa.string() for name in texts.values()}
    types |= {name: pa.float64() for name in numbers.values()}
    options = {
        "parse_options": pacsv.ParseOptions(
            delimiter=separator, quote_char='"' if separator == "," else False
        ),
        "convert_options": pacsv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            decimal_point="," if comma else ".",
            strings_can_be_null=True,
            null_values=["", "NA", "NaN", "nan", "."],
        ),
    }
    table = _parse(path, encoding, options)
    canonical = {column: name for name, column in {**texts, **numbers}.items()}
    frame = table.rename_columns([canonical[c] for c in table.column_names]).to_pandas()
    return Table(frame, first_line=2)


def _parse(path: Path, encoding: str, options: Mapping[str, object]) -> pa.Table:
    try:
        return _parse_once(path, encoding, options, threads=True)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
        pass
    # only the single-threaded parser knows in which row it stopped
    try:
        return _parse_once(path, encoding, options, threads=False)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}{_where(str(error))}; export the file again") from error


def _parse_once(
    path: Path, encoding: str, options: Mapping[str, object], *, threads: bool
) -> pa.Table:
    read_options = pacsv.ReadOptions(encoding=encoding, use_threads=threads)
    with pa.OSFile(str(path)) as raw:
        zipped = raw.read(2) == _GZIP_MAGIC
    with pa.input_stream(str(path), compression="gzip" if zipped else None) as stream:
        return pacsv.read_csv(stream, read_options=read_options, **options)


def _where(complaint: str) -> str:
    """Rewrite what pyarrow says as ``:line: what``."""
    first = complaint.splitlines()[0]
    fields = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", complaint)
    if fields:
        line, expected, got = (int(v) for v in fields.groups())
        return f":{line}: line has {got} fields, expected {expected}; it was cut off or damaged"
    value = re.search(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", complaint)
    if value:
        column, line, text = int(value[1]), int(value[2]), value[3]
        return f":{line}: column {column + 1} holds {text!r}, expected a number"
    return f": cannot be parsed ({first})"


def _has_decimal_comma(head: str, separator: str, numbers: Mapping[str, str]) -> bool:
    if separator == ",":
        return False
    lines = head.removeprefix("\ufeff").splitlines()
    columns = lines[0].split(separator)
    wanted = {i for i, name in enumerate(columns) if name in set(numbers.values())}
    cells = (
        cell for line in lines[1:-1] for i, cell in enumerate(line.split(separator)) if i in wanted
    )
    return any(re.fullmatch(r"-?\d+,\d+", cell) for cell in cells)
