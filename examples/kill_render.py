"""Kill `gazetools render` at random moments; say whether anything was lost or came out otherwise.

    python examples/kill_render.py
    python examples/kill_render.py --kills 100 --folder lab   # with fixations.parquet, images/
    python examples/kill_render.py --kills 100 --dask              # kills workers of a cluster

Every kill is a SIGKILL. After it, each file under its final name must open and verify; the same
command then goes on until the next kill, and what it completes must have the bytes of a render
that nobody disturbed. Prints what was counted; the exit status is 1 if anything was wrong.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from gazetools.cache import open_cache
from gazetools.errors import GazeToolsError
from gazetools.synthetic import CohortSpec, write_cohort
from gazetools.tables import FIXATIONS, write_table

COMMAND = [sys.executable, "-c", "from gazetools_cli.gazetools import main; main()", "render"]
IMAGES = 60


def synthetic_lab(folder):
    spec = CohortSpec(images=IMAGES, readers=1, width_px=320, height_px=256)
    cohort = write_cohort(folder / "lab", spec)
    write_table(cohort.fixations, cohort.folder / "fixations.parquet", FIXATIONS, provenance={})
    return cohort.folder


def command(lab, out, *more):
    inputs = ["--fixations", lab / "fixations.parquet", "--images", lab / "images"]
    return [*COMMAND, *map(str, inputs), "--shard-items", "8", "-o", str(out), *more]


def undisturbed(lab, out, *more):
    begin = time.monotonic()
    subprocess.run(command(lab, out, *more), check=True, stdout=subprocess.DEVNULL)
    return content(out), time.monotonic() - begin


def content(out):
    if out.is_file():
        return out.read_bytes()
    return {file.name: file.read_bytes() for file in sorted(out.iterdir())}


def unreadable(out):
    """Files under their final names that do not open, or do not verify."""
    parts = out.with_name(f".{out.name}.parts")
    files = [*out.parent.glob(f"{out.name}"), *parts.glob("shard-*.h5"), *out.glob("shard-*.h5")]
    bad = []
    for file in files:
        if file.is_dir() and not (file / "manifest.parquet").exists():
            continue  # not done yet
        try:
            with open_cache(file) as cache:
                list(cache.verify())
        except GazeToolsError as error:
            bad.append(str(error))
    return bad


def remove(out):
    for file in sorted(out.parent.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def torment(lab, work, name, kills, rng):
    """Kill, look, go on; begin anew whenever one is complete."""
    undisturbed(lab, work / "there" / name)  # compile and load, once
    expected, usual_s = undisturbed(lab, work / "calm" / name)
    out, counts = work / "killed" / name, Counter()
    out.parent.mkdir()
    while counts["kills"] < kills:
        process = subprocess.Popen(command(lab, out), stdout=subprocess.DEVNULL)
        try:
            process.wait(rng.uniform(0, usual_s))
            counts["failed" if process.returncode else "complete"] += 1
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            counts["kills"] += 1
        counts["unreadable"] += len(unreadable(out))
        if process.returncode == 0 or counts["kills"] == kills:
            finish(lab, out, expected, counts)
    return counts


def torment_cluster(lab, work, name, kills, rng):
    """Kill workers of a cluster while it renders."""
    from distributed import LocalCluster

    expected, _ = undisturbed(lab, work / "calm" / name)
    out, counts = work / "killed" / name, Counter()
    out.parent.mkdir()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        _, usual_s = undisturbed(lab, work / "there" / name, "--dask", address)
        while counts["kills"] < kills:
            process = subprocess.Popen(
                command(lab, out, "--dask", address), stdout=subprocess.DEVNULL
            )
            time.sleep(rng.uniform(0.3, 0.9) * usual_s)
            for nanny in list(cluster.workers.values())[: rng.randint(1, 2)]:
                if process.poll() is None and nanny.pid is not None:
                    os.kill(nanny.pid, signal.SIGKILL)
                    counts["kills"] += 1
            process.wait()
            counts["failed" if process.returncode else "complete"] += 1
            counts["unreadable"] += len(unreadable(out))
            finish(lab, out, expected, counts)
    return counts


def finish(lab, out, expected, counts):
    found, _ = undisturbed(lab, out)
    counts["compared"] += 1
    counts["different"] += found != expected
    counts["left behind"] += sum(file.name.startswith(".") for file in out.parent.rglob("*"))
    remove(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="holds fixations.parquet and images/")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--dask", action="store_true", help="kill workers of a local cluster")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, wrong = random.Random(options.seed), 0
    for name in ("maps.h5", "maps"):
        with tempfile.TemporaryDirectory() as temporary:
            work = Path(temporary)
            for folder in ("calm", "there"):
                (work / folder).mkdir()
            lab = options.folder.resolve() if options.folder else synthetic_lab(work)
            way = torment_cluster if options.dask else torment
            counts = way(lab, work, name, options.kills, rng)
        print(f"{name}: {', '.join(f'{n} {what}' for what, n in counts.items())}", flush=True)
        wrong += counts["unreadable"] + counts["different"] + counts["left behind"]
        wrong += counts["failed"]
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
