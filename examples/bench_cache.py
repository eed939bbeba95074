"""Time the way from tracks to a finished cache file, codec by codec, beside a loop over scipy.

    python examples/bench_cache.py
    python examples/bench_cache.py --fixations fixations.parquet --items 10000 --json

Four levels of 224 x 224 as uint8. Threads render items, compress, checksum and digest them;
whichever is done with those whose turn it is writes them. The file is complete in the end: fsynced,
sealed, renamed, and verified after the clock has stopped. The other pictures of each item are
blank.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from bench_render import MAPS, SIZE, TRACKS, real_tracks, synthetic_tracks, with_scipy

from gazetools.cache import CODECS, CacheSpec, Record, create_cache, encode_all, open_cache
from gazetools.maps import batch_maps

BATCH = 32
SCIPY_ITEMS = 50
TURNS = 5

IMAGE, PLANE = np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)


def items_of(numbers, tracks, spec):
    """Render and encode a batch."""
    maps = batch_maps([tracks[n] for n in numbers], TRACKS, MAPS, SIZE, as_uint8=True, threads=1)
    records = [record(n, tracks[n], m) for n, m in zip(numbers, maps, strict=True)]
    return encode_all(records, spec)


def record(number, track, maps):
    rows = np.zeros((len(track.x), 5))
    rows[:, 0], rows[:, 1], rows[:, 3] = track.x, track.y, track.duration_ms
    name = f"item{number:06d}"
    return Record(name, "train", SIZE[1], SIZE[0], IMAGE, maps, PLANE, PLANE, rows)


def write_cache(path, tracks, codec, threads):
    """Render and write; return seconds."""
    spec = CacheSpec(TRACKS.levels, *SIZE, codec)
    begin = time.perf_counter()
    with create_cache(path, spec, len(tracks), recipe={}, sources={}, overwrite=True) as writer:
        queue = InOrder(writer)

        def render(first):
            numbers = range(first, min(first + BATCH, len(tracks)))
            queue.put(first, items_of(numbers, tracks, spec))

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(render, range(0, len(tracks), BATCH)))  # so that errors are raised
    return time.perf_counter() - begin


class InOrder:
    """Batches of items on their way into a file; a thread that brings the next one writes."""

    def __init__(self, writer):
        self.writer, self.waiting, self.next = writer, {}, 0
        self.writing = threading.Lock()

    def put(self, first, items):
        self.waiting[first] = items
        # again, as one may come while another thread is about to stop writing
        while self.next in self.waiting and self.writing.acquire(blocking=False):
            try:
                self._write()
            finally:
                self.writing.release()

    def _write(self):
        while self.next in self.waiting:
            for item in self.waiting.pop(self.next):
                self.writer.add(item)
            self.next += BATCH


def verified(path):
    with open_cache(path) as cache:
        return sum(1 for _ in cache.verify())


def scipy_s(tracks):
    begin = time.perf_counter()
    for track in tracks[:SCIPY_ITEMS]:
        with_scipy(track)
    return (time.perf_counter() - begin) / SCIPY_ITEMS * len(tracks)


def ratio_100_to_20(path, codec, threads, count):
    """Processor time of items of 100 fixations over that of items of 20, to a finished file."""
    ways = {n: list(islice(cycle(synthetic_tracks(n, 100)), count)) for n in (20, 100)}
    cpu_s = {n: [] for n in ways}
    for _ in range(TURNS):
        for n, tracks in ways.items():
            begin = time.process_time()
            write_cache(path, tracks, codec, threads)
            cpu_s[n].append(time.process_time() - begin)
    return float(np.median(cpu_s[100]) / np.median(cpu_s[20]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixations", type=Path, help="Parquet of `gazetools ingest`")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="where to write; by default a temporary one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    some = (
        list(real_tracks(options.fixations, 1000))
        if options.fixations
        else list(synthetic_tracks(27, 100))
    )
    tracks = list(islice(cycle(some), options.items))
    rows = {}
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        for codec in CODECS:
            path = folder / f"{codec}.h5"
            write_cache(path, tracks[:64], codec, options.threads)  # compile, load
            seconds = write_cache(path, tracks, codec, options.threads)
            scipy = scipy_s(tracks)
            assert verified(path) == len(tracks)
            rows[codec] = {
                "seconds": seconds,
                "items_per_s": len(tracks) / seconds,
                "megabytes": path.stat().st_size / 1e6,
                "ratio_scipy_loop": scipy / seconds,
                "ratio_100_to_20": ratio_100_to_20(
                    path, codec, options.threads, min(options.items, 1000)
                ),
            }
            path.unlink()
    finally:
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps({"items": len(tracks), "threads": options.threads, "codecs": rows}))
        return
    print(f"{len(tracks):,} items of 4 maps, {options.threads} threads, to a finished file")
    for codec, row in rows.items():
        print(
            f"{codec:<6}{row['seconds']:8.2f} s{row['items_per_s']:9.0f} items/s"
            f"{row['megabytes']:9.0f} MB   {row['ratio_scipy_loop']:.0f}x scipy, one thread"
            f"   100 fixations {row['ratio_100_to_20']:.2f}x 20"
        )


if __name__ == "__main__":
    main()
