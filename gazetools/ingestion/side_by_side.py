"""Many exports at once: each by a process of its own, here or on a Dask cluster."""

import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gazetools.ingestion.export import ExportTables, read_export
from gazetools.ingestion.reading import put_together, refuse_twice
from gazetools.ingestion.spec import Ingested, IngestSpec
from gazetools.progress import Progress
from gazetools.tables import SAMPLES, TableWriter, read_pieces, writing
from gazetools.workers import Workers, on_dask, on_processes


@dataclass(frozen=True)
class ExportTask:
    """All that a worker needs to read one export; its samples go to a file of their own."""

    number: int
    path: Path
    spec: IngestSpec
    keep: tuple[str, ...]
    samples: Path | None


def read_task(task: ExportTask) -> tuple[int, ExportTables]:
    """Read one export."""
    if task.samples is None:
        return task.number, read_export(task.path, task.spec, task.keep)
    with writing(task.samples, SAMPLES, overwrite=True) as writer:
        found = read_export(task.path, task.spec, task.keep, writer.add)
        writer.close({})
    return task.number, found


def ingest_side_by_side(
    paths: Sequence[Path],
    spec: IngestSpec,
    workers: Workers,
    progress: Progress,
    *,
    keep: Collection[str],
    sink: TableWriter | None,
) -> Ingested:
    """Do what :func:`gazetools.ingestion.ingest` does, with the same result."""
    there = spec.resolved()  # where a worker runs is not here
    found: dict[int, ExportTables] = {}
    with _parts_of(sink) as folder:
        tasks = [
            ExportTask(
                number,
                path.resolve(),
                there,
                tuple(keep),
                folder / f"{number}.parquet" if folder else None,
            )
            for number, path in enumerate(paths)
        ]
        for number, export in _results(tasks, workers):
            found[number] = export
            progress(len(found), len(paths), export.path.name)
        exports = [replace(found[number], path=path) for number, path in enumerate(paths)]
        refuse_twice(exports)
        for task in tasks:
            if task.samples is not None and sink is not None:
                for piece in read_pieces(task.samples):
                    sink.add(piece)
        return put_together(exports, spec, keep, may_be_none=sink is not None)


def _results(tasks: Sequence[ExportTask], workers: Workers) -> Iterator[tuple[int, ExportTables]]:
    if workers.dask is not None:
        return on_dask(read_task, tasks, workers.dask)
    return on_processes(read_task, tasks, workers.count)


@contextmanager
def _parts_of(sink: TableWriter | None) -> Iterator[Path | None]:
    """Yield a folder for the samples of each export, beside where all of them go."""
    if sink is None:
        yield None
        return
    folder = sink.path.resolve().with_name(f"{sink.path.name}.parts")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
