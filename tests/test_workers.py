"""Work done side by side gives what one worker gives, and ends when one of them fails."""

import os
import signal
import threading
import time

import pytest
from exports import prolab

from gazetools.errors import ConfigError, FormatError, SchemaError
from gazetools.ingestion import ingest_to
from gazetools.workers import Workers, on_processes, on_threads

OUTPUTS = ("fixations", "samples", "saccades", "blinks")


@pytest.fixture
def exports(tmp_path):
    """Write three exports of different lengths; the first is the longest."""
    sheet = prolab()
    paths = [tmp_path / f"{name}.tsv" for name in "abc"]
    for number, path in enumerate(paths):
        sheet.filled("Participant name", path.stem).write(path)
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: len(lines) - 20 * number]))
    return paths


def ingest_into(folder, exports, **options):
    folder.mkdir()
    outputs = {name: folder / f"{name}.parquet" for name in OUTPUTS}
    summary = ingest_to(exports, **outputs, **options)
    return summary, {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_processes_write_the_bytes_of_one(exports, tmp_path):
    seen = []
    alone = ingest_into(tmp_path / "alone", exports)
    beside = ingest_into(
        tmp_path / "beside",
        exports,
        workers=Workers(2),
        progress=lambda done, total, name: seen.append((done, total, name)),
    )
    assert beside == alone
    assert sorted(alone[1]) == sorted(f"{name}.parquet" for name in OUTPUTS)
    assert [(done, total) for done, total, _ in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {name for *_, name in seen} == {"a.tsv", "b.tsv", "c.tsv"}


def test_a_bad_export_among_many_leaves_nothing(exports, tmp_path):
    exports[1].write_text("no export\n")
    with pytest.raises(FormatError, match=r"b\.tsv"):
        ingest_into(tmp_path / "out", exports, workers=Workers(2))
    assert list((tmp_path / "out").iterdir()) == []


def test_the_same_recording_twice_is_refused(exports, tmp_path):
    copy = tmp_path / "copy.tsv"
    copy.write_bytes(exports[0].read_bytes())
    for workers in (Workers(1), Workers(2)):
        with pytest.raises(SchemaError, match=r"copy\.tsv: .* already read from .*a\.tsv"):
            ingest_into(tmp_path / f"out{workers.count}", [*exports, copy], workers=workers)


def end_itself(number):
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_process_that_dies_is_told():
    with pytest.raises(ConfigError, match=r"a worker process died.*fewer workers"):
        list(on_processes(end_itself, range(3), 1))


def test_threads_stop_when_one_fails():
    stopped = threading.Event()

    def work(number):
        if number == 0:
            raise FormatError("broken")
        stopped.wait(10)
        return number

    begun = time.monotonic()
    with pytest.raises(FormatError, match="broken"):
        list(on_threads(work, range(100), 2, stopped.set))
    assert time.monotonic() - begun < 9


def test_threads_stop_when_nobody_waits():
    stopped = threading.Event()
    results = on_threads(lambda n: n and stopped.wait(10), range(100), 2, stopped.set)
    assert next(results) == 0
    results.close()
    assert stopped.is_set()
