"""What the given paths hold: tables, a cache, training runs; told apart by content."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.cache import Cache, open_cache
from gazetools.cache.sharded import MANIFEST
from gazetools.errors import FormatError
from gazetools.files import check_once
from gazetools.reporting.runs import CONFIG, Run, read_run
from gazetools.reporting.samples import SampleFile
from gazetools.tables import (
    BLINKS,
    FIXATIONS,
    QUALITY,
    SACCADES,
    SAMPLES,
    read_table,
    schema_of,
)

_TABLES = (FIXATIONS, SACCADES, QUALITY, BLINKS)
_HDF5, _PARQUET = b"\x89HDF", b"PAR1"
_EXPECTED = (
    "fixations, samples, saccades, blinks or quality (Parquet), a cache (maps.h5, or its folder of "
    "shards), or the folder of a run"
)


@dataclass(frozen=True)
class Table:
    """A table with what its footer tells of its making."""

    path: Path
    rows: pd.DataFrame
    note: Mapping[str, Any]


@dataclass(frozen=True)
class Sources:
    """Everything that one report is made of; the cache stays open as long as it is used.

    Samples are read when they are drawn.
    """

    fixations: tuple[Table, ...] = ()
    saccades: tuple[Table, ...] = ()
    quality: tuple[Table, ...] = ()
    blinks: tuple[Table, ...] = ()
    samples: tuple[SampleFile, ...] = ()
    cache: Cache | None = None
    runs: tuple[Run, ...] = ()

    @property
    def notes(self) -> list[Mapping[str, Any]]:
        """Provenance of all tables, those of fixations first."""
        tables = (*self.fixations, *self.saccades, *self.quality, *self.blinks)
        return [table.note for table in tables] + [file.note for file in self.samples]


@contextmanager
def open_sources(paths: Sequence[Path]) -> Iterator[Sources]:
    """Read tables and runs, and open the cache, until the block ends.

    Raises
    ------
    FormatError
        A path is missing or holds something else, or there are two caches.
    SchemaError, CacheError
        A table or a cache is damaged, or holds what its format forbids.
    ConfigError
        A path is named twice.
    """
    if not paths:
        raise FormatError(f"nothing is given; name {_EXPECTED}")
    kinds = [_kind(path) for path in paths]
    of_kind = {kind: [p for p, k in zip(paths, kinds, strict=True) if k == kind] for kind in kinds}
    caches = of_kind.get("cache", [])
    if len(caches) > 1:
        raise FormatError(
            f"{caches[1]}: is a second cache beside {caches[0]}; a report shows one, make two"
        )
    check_once(paths)
    fixations, saccades, quality, blinks = (
        tuple(Table(path, *read_table(path, schema)) for path in of_kind.get(schema.name, ()))
        for schema in _TABLES
    )
    sources = Sources(
        fixations,
        saccades,
        quality,
        blinks,
        samples=tuple(SampleFile(path) for path in of_kind.get(SAMPLES.name, ())),
        runs=tuple(read_run(path) for path in of_kind.get("run", ())),
    )
    _check_samples(sources)
    if not caches:
        yield sources
        return
    with open_cache(caches[0]) as cache:
        yield replace(sources, cache=cache)


def _check_samples(sources: Sources) -> None:
    if sources.samples and not sources.fixations:
        raise FormatError(
            f"{sources.samples[0].path}: samples are drawn beside the fixations of their trials; "
            "name fixations.parquet, too"
        )


def _kind(path: Path) -> str:
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        raise FormatError(f"{path}: no such file or folder; expected {_EXPECTED}")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    if head == _HDF5:
        return "cache"
    if head == _PARQUET:
        return schema_of(path).name
    raise FormatError(f"{path}: is neither Parquet nor HDF5; expected {_EXPECTED}")


def _kind_of_folder(path: Path) -> str:
    if (path / CONFIG).is_file():
        return "run"
    if (path / MANIFEST).is_file():
        return "cache"
    raise FormatError(f"{path}: holds neither {CONFIG} nor {MANIFEST}; expected {_EXPECTED}")
