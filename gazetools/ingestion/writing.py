"""Exports to tables on disk: all of them, or none."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from gazetools import tables
from gazetools.errors import OutputError
from gazetools.files import check_output
from gazetools.identity import ensure_key
from gazetools.ingestion.reading import ingest
from gazetools.ingestion.side_by_side import ingest_side_by_side
from gazetools.ingestion.spec import IngestSpec, IngestSummary
from gazetools.progress import Progress, unseen
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES
from gazetools.workers import Workers

_OTHER_FORMATS = {".csv", ".tsv", ".txt", ".xls", ".xlsx", ".json", ".h5"}


def ingest_to(
    paths: Sequence[Path],
    fixations: Path,
    samples: Path | None = None,
    *,
    saccades: Path | None = None,
    blinks: Path | None = None,
    spec: IngestSpec | None = None,
    workers: Workers | None = None,
    progress: Progress = unseen,
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
    workers : Workers, optional
        Processes, or a Dask cluster, that each read one export at a time; by default all are
        read by this process.

    Raises
    ------
    OutputError
        An output exists and `overwrite` is false, is an export, is named twice, or the disk
        refuses to take it. Then none is written.
    GazeToolsError
        As for :func:`ingest`.
    """
    spec, workers = spec or IngestSpec(), workers or Workers(1)
    named = {"fixations": fixations, "samples": samples, "saccades": saccades, "blinks": blinks}
    outputs = {name: path for name, path in named.items() if path is not None}
    _check_outputs(paths, outputs, spec.deidentify_key, overwrite=overwrite)
    if spec.deidentify_key is not None:
        ensure_key(spec.deidentify_key)  # once, before workers may need it
    keep = [name for name in ("saccades", "blinks") if name in outputs]
    with ExitStack() as renamed_last:
        sink = None
        if samples is not None:
            sink = renamed_last.enter_context(tables.writing(samples, SAMPLES, overwrite=overwrite))
        if len(paths) == 1 or workers == Workers(1):
            add = sink.add if sink is not None else None
            ingested = ingest(paths, spec, progress, keep=keep, sink=add)
        else:
            ingested = ingest_side_by_side(paths, spec, workers, progress, keep=keep, sink=sink)
        if sink is not None:
            sink.close(ingested.provenance)
        found = [
            (table, outputs[name], schema)
            for name, table, schema in (
                ("fixations", ingested.fixations, FIXATIONS),
                ("saccades", ingested.saccades, SACCADES),
                ("blinks", ingested.blinks, BLINKS),
            )
            if name in outputs
        ]
        tables.write_tables(found, provenance=ingested.provenance, overwrite=overwrite)
    return ingested.summary


def _check_outputs(
    exports: Sequence[Path], outputs: Mapping[str, Path], key: Path | None, *, overwrite: bool
) -> None:
    """Refuse before the work what would be refused after it."""
    sources = {path.resolve() for path in exports}
    named = {key.resolve(): "the key of pseudonyms"} if key is not None else {}
    for what, path in outputs.items():
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
