"""Work done by a Dask cluster, some of whose workers are killed."""

import os
import signal
import threading
from pathlib import Path

import pytest
from exports import prolab
from twelve_images import SPEC, content, make, wait_for

from gazetools.errors import ConfigError, FormatError
from gazetools.images import encode_png, read_image
from gazetools.ingestion import ingest_to
from gazetools.rendering import merge, render
from gazetools.workers import Workers

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as started:
        yield started


def on(cluster, shard_items=1):
    return {"workers": Workers(dask=cluster.scheduler_address), "shard_items": shard_items}


def test_a_cluster_makes_the_bytes_of_one_thread(twelve, cluster):
    seen = []
    make(twelve, "there", **on(cluster, 2), progress=lambda done, total, _: seen.append(done))
    make(twelve, "here", workers=Workers(1), shard_items=2)
    assert content(twelve / "there") == content(twelve / "here")
    assert seen[-6:] == [2, 4, 6, 8, 10, 12]
    make(twelve, "there.h5", **on(cluster))
    merge(twelve / "here", twelve / "here.h5")
    assert content(twelve / "there.h5") == content(twelve / "here.h5")


def test_killed_workers_cost_nothing_but_time(twelve, cluster):
    make(twelve, "here", workers=Workers(1), shard_items=1)
    for number in range(3):
        out = twelve / f"there{number}"
        rendering = threading.Thread(target=make, args=(twelve, out.name), kwargs=on(cluster))
        rendering.start()
        wait_for(lambda out=out: list(out.glob("shard-*.h5")))
        victim = next(iter(cluster.workers.values())).pid
        os.kill(victim, signal.SIGKILL)
        rendering.join(60)
        assert content(out) == content(twelve / "here")


def test_an_error_of_a_worker_is_told(twelve, cluster, monkeypatch):
    image = read_image(twelve / "images/image03.png")
    damaged = encode_png(image)

    def damage(done, total, name):
        if done == total and name.startswith("looked at"):
            (twelve / "images/image03.png").write_bytes(damaged[:1000])

    with pytest.raises(FormatError, match=r"image03.png: was changed while"):
        make(twelve, **on(cluster), progress=damage)
    (twelve / "images/image03.png").write_bytes(damaged)
    make(twelve, **on(cluster))
    make(twelve, "here.h5")
    assert content(twelve / "maps.h5") == content(twelve / "here.h5")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x"])
def test_no_scheduler(twelve, monkeypatch, address):
    monkeypatch.setattr("gazetools.workers._CONNECT_S", 1)
    with pytest.raises(ConfigError, match=r"Dask scheduler.*`dask scheduler` prints"):
        make(twelve, workers=Workers(dask=address))


def test_exports_are_read_by_a_cluster(tmp_path, cluster):
    sheet = prolab()
    exports = [tmp_path / f"{name}.tsv" for name in "ab"]
    for path in exports:
        sheet.filled("Participant name", path.stem).write(path)
    found = []
    for name, workers in (("here", Workers(1)), ("there", Workers(dask=cluster.scheduler_address))):
        folder = tmp_path / name
        folder.mkdir()
        tables = folder / "fixations.parquet", folder / "samples.parquet"
        summary = ingest_to(exports, *tables, workers=workers)
        found.append((summary, content(folder)))
    assert found[0] == found[1]


def test_paths_may_be_relative(twelve, cluster):
    """A worker's folder is not ours."""
    inputs = Path("fixations.parquet"), Path("images"), Path("masks")
    there = Workers(dask=cluster.scheduler_address)
    render(*inputs, Path("there"), SPEC, workers=there, shard_items=5)
    make(twelve, "here", shard_items=5)
    assert content(twelve / "there") == content(twelve / "here")


def test_a_lost_cluster_is_told(twelve):
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as lost:
        how = on(lost)

        def lose(done, total, name):
            if name.startswith("shard") and done == 2:
                lost.close()

        with pytest.raises(ConfigError, match=r"cluster was lost|workers died"):
            make(twelve, "there", **how, progress=lose)
    make(twelve, "there", shard_items=1)
    make(twelve, "here", shard_items=1)
    assert content(twelve / "there") == content(twelve / "here")
