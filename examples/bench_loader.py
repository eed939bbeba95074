"""How many samples a second training gets: from its cache, and by other ways.

    python examples/bench_loader.py
    python examples/bench_loader.py --cache maps.h5 --json

A sample is an image and its distance maps, uint8; batches are of random items, and all ways go
through the loader that training uses, where workers are threads that read ahead. All rates are of
one process, with warm page cache:

    file      read from the cache, batch by batch
    memory    taken from the split held in main memory; workers are of no use there
    memmap    np.memmap of the same arrays, which checks and unpacks nothing
    rendered  images from that memmap, maps rendered when they are asked for

Augmenting and conversion to float, which follow on the device, are timed apart ("finish": here
on one thread of the CPU).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from gazetools.cache import CacheSpec, Record, create_cache, open_cache
from gazetools.maps import MapSpec, Track, track_maps
from gazetools.tracks import TrackSpec
from gradtrack_model.augmentation import Augmentation
from gradtrack_model.batches import CacheBatches
from gradtrack_model.loading import raw_batches

SIZE, LEVELS, FIXATIONS = 224, 4, 27
MAPS = MapSpec(form="polyline", decay="gaussian")
FIELDS = ("images", "maps")


def make_cache(path, count):
    """Soft, noisy pictures under scanpaths of a few places."""
    rng = np.random.default_rng(0)
    with create_cache(path, CacheSpec(LEVELS, SIZE, SIZE), count, recipe={}, sources={}) as writer:
        for index in range(count):
            writer.add(make_record(f"item{index}", rng))


def make_record(name, rng):
    soft = cv2.resize(
        rng.uniform(40, 220, (14, 14, 3)), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC
    )
    noisy = soft + rng.normal(0, 4, (SIZE, SIZE, 1))
    places = rng.uniform(0.2, 0.8, (7, 2)).repeat(4, axis=0)[:FIXATIONS]
    points = SIZE * np.clip(places + rng.normal(0, 0.08, places.shape), 0, 0.999)
    zeros = np.zeros(FIXATIONS)
    rows = np.column_stack((points, zeros, rng.gamma(4, 85, FIXATIONS), zeros))
    maps = rendered(to_track(rows, SIZE, SIZE), LEVELS, SIZE, SIZE)
    return Record(
        name=name,
        split="train",
        width=SIZE,
        height=SIZE,
        image=np.clip(noisy, 0, 255).astype(np.uint8),
        maps=maps,
        heatmap=maps[0],
        pseudo_mask=(maps[0] > 128).astype(np.uint8),
        fixations=rows,
    )


def to_track(fixations, width, height):
    """The first track of an item."""
    x, y, _, duration_ms, track = fixations.T
    first = track == 0
    return Track(x[first] / width, y[first] / height, duration_ms[first])


def rendered(track, levels, height, width):
    return track_maps(track, TrackSpec(levels=levels), MAPS, (height, width), as_uint8=True)


class Mapped(CacheBatches):
    """The same items from np.memmap; `folder` is where the arrays are written to."""

    def __init__(self, cache_path, folder, **settings):
        super().__init__(cache_path, "train", memory_limit=0, **settings)
        with open_cache(cache_path) as cache:
            self.arrays = {name: self.written(cache, name, folder) for name in FIELDS}

    def written(self, cache, name, folder):
        path, shape = folder / f"{name}.bin", (len(self), *self._kinds[name].shape)
        if not path.exists():
            out = np.memmap(path, np.uint8, "w+", shape=shape)
            for position, index in enumerate(self.indices):
                out[position] = cache.read(name, [index])[0]
        return np.memmap(path, np.uint8, "r", shape=shape)

    def _fetch(self, positions):
        return {name: torch.from_numpy(self.take(name, positions)) for name in FIELDS}

    def take(self, name, positions):
        return np.take(self.arrays[name], positions, axis=0)


class Rendered(Mapped):
    """Images from np.memmap, maps rendered from the fixations in the cache."""

    def __init__(self, cache_path, folder, **settings):
        super().__init__(cache_path, folder, **settings)
        with open_cache(cache_path) as cache:
            items = [(cache.fixations(i), cache.items[i]) for i in self.indices]
            self.shape = cache.levels, cache.height, cache.width
        self.tracks = [to_track(rows, item.width, item.height) for rows, item in items]

    def take(self, name, positions):
        if name == "images":
            return super().take(name, positions)
        return np.stack([rendered(self.tracks[p], *self.shape) for p in positions])


def data_sets(cache_path, folder):
    with open_cache(cache_path) as cache:
        if cache.height != cache.width:
            raise SystemExit(f"{cache_path}: training wants squares, this is of {cache.spec}")
        settings = {
            "fields": FIELDS,
            "size_px": cache.height,
            "augment": Augmentation(flips=True, quarter_turns=True, jitter=0.2),
        }
    return {
        "file": CacheBatches(cache_path, "train", memory_limit=0, **settings),
        "memory": CacheBatches(cache_path, "train", **settings),
        "memmap": Mapped(cache_path, folder, **settings),
        "rendered": Rendered(cache_path, folder, **settings),
    }


def samples_per_s(data, workers, options):
    """From the first batch to the last, with all that is read ahead on the way."""
    warm = 3 + 2 * workers
    batches = raw_batches(data, options.batch_size, range(warm + options.batches), workers=workers)
    for _ in range(warm):
        next(batches)
    begin = time.perf_counter()
    count = sum(len(raw.item_B) for raw in batches)
    return count / (time.perf_counter() - begin)


def finished_per_s(data, options):
    raws = list(raw_batches(data, options.batch_size, range(4)))
    begin = time.perf_counter()
    for raw in raws:
        data.finish(raw)
    return len(raws) * options.batch_size / (time.perf_counter() - begin)


def measure(cache_path, folder, options):
    """Samples a second of each way, which take turns; medians and the best of all repeats."""
    ways = data_sets(cache_path, folder)
    if ways["memory"].source != "memory":
        raise SystemExit(f"{cache_path}: does not fit in memory; make it with fewer items")
    cases = [(name, workers) for name in ways for workers in (0, 2)]
    cases.remove(("memory", 2))
    rates = {case: [] for case in [*cases, ("finish", 0)]}
    for _ in range(options.repeats):
        for name, workers in cases:
            rates[name, workers].append(samples_per_s(ways[name], workers, options))
        rates["finish", 0].append(finished_per_s(ways["memory"], options))
    for data in ways.values():
        data.close()
    return [
        {"path": name, "workers": workers, "median": float(np.median(all_)), "best": max(all_)}
        for (name, workers), all_ in rates.items()
    ]


def summarise(rows, cache_path, options):
    median = {(row["path"], row["workers"]): row["median"] for row in rows}
    ours = {case: rate for case, rate in median.items() if case[0] in ("file", "memory")}
    path, workers = max(ours, key=ours.get)
    with open_cache(cache_path) as cache:
        spec, items = vars(cache.spec), len(cache.indices("train"))
    return {
        "loader_samples_per_s": ours[path, workers],
        "loader_path": f"{path}, {workers} workers",
        "file_samples_per_s": max(median["file", 0], median["file", 2]),
        "memory_samples_per_s": median["memory", 0],
        "file_to_rendered": {str(w): median["file", w] / median["rendered", w] for w in (0, 2)},
        "file_to_memmap": {str(w): median["file", w] / median["memmap", w] for w in (0, 2)},
        "spec": spec,
        "items": items,
        "batch_size": options.batch_size,
        "rows": rows,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="of `gazetools render`; else one is made")
    parser.add_argument("--items", type=int, default=1000, help="of the cache that is made")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=40, help="batches a repeat")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cache_path = options.cache or folder / "maps.h5"
        if options.cache is None:
            make_cache(cache_path, options.items)
        result = summarise(measure(cache_path, folder, options), cache_path, options)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{'samples a second':<20}{'workers':>8}{'median':>10}{'best':>10}")
    for row in result["rows"]:
        print(f"{row['path']:<20}{row['workers']:>8}{row['median']:>10,.0f}{row['best']:>10,.0f}")


if __name__ == "__main__":
    main()
