"""How a delimited file is laid out, and what its columns are called.

Vendors change names from version to version, and the programs that save their tables anew change
them again; so columns are found by what is left of a name without its punctuation.
"""

import csv
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

NULLS = ("", "NA", "NaN", "nan", ".")


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


def separator_of(header_line: str) -> str:
    """Tab, or what a spreadsheet program put in its place."""
    return max("\t;,", key=header_line.count)


def header_in(head: str) -> tuple[list[str], str]:
    """Names in the first line of a text, and what parts its cells."""
    separator = separator_of(head.partition("\n")[0])
    return column_names(head, separator), separator


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
