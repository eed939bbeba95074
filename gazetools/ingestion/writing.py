"""Exports to tables on disk: all of them, or none."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gazetools import tables
from gazetools.errors import OutputError
from gazetools.files import check_output
from gazetools.ingestion.reading import Progress, ingest
from gazetools.ingestion.spec import IngestSpec, IngestSummary
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES, Schema

_OTHER_FORMATS = {".csv", ".tsv", ".txt", ".xls", ".xlsx", ".json", ".h5"}


def ingest_to(
    paths: Sequence[Path],
    fixations: Path,
    samples: Path | None = None,
    *,
    saccades: Path | None = None,
    blinks: Path | None = None,
    spec: IngestSpec | None = None,
    progress: Progress = lambda done, total, name: None,
    overwrite: bool = False,
) -> IngestSummary:
    """Read exports and write their tables as Parquet, with what they were made from.

    Samples are written as they come, so that exports of any length fit into memory.

    Parameters
    ----------
    paths : sequence of Path
    fixations, samples, saccades, blinks : Path
        What to write; all but fixations only if they are named.
    spec, progress
        As for :func:`ingest`.

    Raises
    ------
    OutputError
        An output exists and `overwrite` is false, is an export, is named twice, or the disk
        refuses to take it. Then none is written.
    GazeToolsError
        As for :func:`ingest`.
    """
    events = {"saccades": saccades, "blinks": blinks}
    outputs = {"fixations": fixations, "samples": samples, **events}
    _check_outputs(paths, outputs, overwrite=overwrite)
    keep = [name for name, path in events.items() if path is not None]
    with ExitStack() as renamed_last:
        sink = None
        if samples is not None:
            sink = renamed_last.enter_context(tables.writing(samples, SAMPLES, overwrite=overwrite))
        ingested = ingest(
            paths, spec, progress, keep=keep, sink=sink.add if sink is not None else None
        )
        if sink is not None:
            sink.close(ingested.provenance)
        todo: list[tuple[Any, Path, Schema]] = [(ingested.fixations, fixations, FIXATIONS)]
        if saccades is not None:
            todo.append((ingested.saccades, saccades, SACCADES))
        if blinks is not None:
            todo.append((ingested.blinks, blinks, BLINKS))
        tables.write_tables(todo, provenance=ingested.provenance, overwrite=overwrite)
    return ingested.summary


def _check_outputs(
    exports: Sequence[Path], outputs: Mapping[str, Path | None], *, overwrite: bool
) -> None:
    """Refuse before the work what would be refused after it."""
    sources = {path.resolve() for path in exports}
    named: dict[Path, str] = {}
    for what, path in outputs.items():
        if path is None:
            continue
        if path.resolve() in sources:
            raise OutputError(f"{path}: is an export that is read; name another output")
        if path.suffix.lower() in _OTHER_FORMATS:
            raise OutputError(
                f"{path}: tables are written as Parquet; name it {path.stem}.parquet, of which "
                "`gazetools export --to csv` makes CSV"
            )
        check_output(path, overwrite=overwrite)
        if path.resolve() in named:
            raise OutputError(
                f"{path}: named for {what} and {named[path.resolve()]}; name two files"
            )
        named[path.resolve()] = what
