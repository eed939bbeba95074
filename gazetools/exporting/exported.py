"""What every writer returns: what it wrote, and what of the tables it left out."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from gazetools.exporting.reading import Tables
from gazetools.tables import FIXATIONS, Schema


@dataclass(frozen=True)
class LeftOut:
    """Something of the tables that was not written.

    Attributes
    ----------
    count : int
    what : str
        Such as "saccades", or "columns of fixations".
    why : str
    """

    count: int
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}: {self.why}"


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes
    ----------
    files : int
    rows : mapping of str to int
        Rows in these files, by table, or "images"; what has none is not named.
    left_out : tuple of LeftOut
    """

    files: int
    rows: Mapping[str, int]
    left_out: tuple[LeftOut, ...] = ()


def undeclared(table: pd.DataFrame, schema: Schema) -> list[LeftOut]:
    """Count and name the columns that nobody described, for a format that has no place for them."""
    declared = {column.name for column in schema.columns}
    names = [str(name) for name in table.columns if name not in declared]
    why = f"not declared ({', '.join(names)})"
    return [LeftOut(len(names), f"columns of {schema.name}", why)] if names else []


def beside_fixations(tables: Tables) -> list[LeftOut]:
    """Count what a format leaves out that has a place for FIXATIONS alone."""
    others = [
        LeftOut(len(table), schema.name, "the format is for fixations alone")
        for schema, table in tables.given()
        if schema is not FIXATIONS
    ]
    return [*others, *undeclared(tables.fixations, FIXATIONS)]
