"""Parquet tables of any kind, and the screen that they tell of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.errors import SchemaError
from gazetools.geometry import Screen
from gazetools.tables import (
    BLINKS,
    FIXATIONS,
    SACCADES,
    SAMPLES,
    Schema,
    read_table,
    schema_of,
)

SCHEMAS = (SAMPLES, FIXATIONS, SACCADES, BLINKS)


@dataclass(frozen=True)
class Tables:
    """What is to be exported; any of the tables may be empty.

    Attributes
    ----------
    samples, fixations, saccades, blinks : DataFrame
    screen : Screen or None
        As the tables' provenance tells it.
    deidentified : bool
        Whether the provenance of each of them says that ``ingest --deidentify`` made it.
    """

    samples: pd.DataFrame = field(default_factory=SAMPLES.empty)
    fixations: pd.DataFrame = field(default_factory=FIXATIONS.empty)
    saccades: pd.DataFrame = field(default_factory=SACCADES.empty)
    blinks: pd.DataFrame = field(default_factory=BLINKS.empty)
    screen: Screen | None = None
    deidentified: bool = False

    def given(self) -> Iterator[tuple[Schema, pd.DataFrame]]:
        """Yield the tables that have rows, with their schemas."""
        for schema in SCHEMAS:
            table = getattr(self, schema.name)
            if len(table):
                yield schema, table


def read_tables(paths: Sequence[Path], screen: Screen | None = None) -> Tables:
    """Read Parquet tables of any kind, one of each at most.

    Parameters
    ----------
    paths : sequence of Path
    screen : Screen, optional
        Goes before what the tables tell.

    Raises
    ------
    SchemaError
        A file is no table of these, two are of one kind, or there is none.
    """
    if not paths:
        raise SchemaError("no table is given; name at least one Parquet file")
    found: dict[str, pd.DataFrame] = {}
    screens: list[Screen] = []
    deidentified = True
    for path in paths:
        schema = schema_of(path, SCHEMAS)
        if schema.name in found:
            raise SchemaError(f"{path}: a second {schema.name} table; export them one by one")
        found[schema.name], note = read_table(path, schema)
        screens += _screens(note)
        deidentified &= isinstance(note.get("deidentified"), dict)
    if screen is None and len(set(screens)) > 1:
        raise SchemaError(
            f"{paths[0]}: the tables were made with {len(set(screens))} different screens; "
            "ingest them again together, or say which with --screen"
        )
    known = screen or (screens[0] if screens else None)
    return Tables(**found, screen=known, deidentified=deidentified)


def _screens(note: Mapping[str, Any]) -> list[Screen]:
    """Return the screens that a table's provenance tells."""
    spec = note.get("spec")
    # older tables note only a screen that the user gave
    told = note.get("screens", [spec.get("screen")] if isinstance(spec, dict) else [])
    return [Screen(**screen) for screen in told if isinstance(screen, dict)]
