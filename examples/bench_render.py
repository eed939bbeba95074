"""Time rendering, caching and loading; maps beside loops over scipy, OpenCV and the notebook.

    python examples/bench_render.py
    python examples/bench_render.py --fixations fixations.parquet --json

Four levels of 224 x 224 as uint8. The loops draw the track on the pixel grid, transform the
distance and apply the decay, level by level; ours measures the exact distance to the track
and shares the work of nested levels. Ways take turns; each counts with the median of its turns.
Figures per core are of processor time, as others may use the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice, pairwise
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from gazetools.maps import CANVAS_PX, MapSpec, Track, batch_maps, heatmap, track_maps
from gazetools.tables import FIXATIONS, read_table
from gazetools.tracks import TrackSpec, level_counts

SIDE = 224
SIZE = (SIDE, SIDE)
TRACKS, MAPS = TrackSpec(levels=4), MapSpec(form="polyline", decay="gaussian")
SIGMA_PX = MAPS.sigma * SIDE
PIXELS = TRACKS.levels * SIDE**2
BATCH = 64
HEAT_SIGMA_PX = 70


# ---------------------------------------------------------------- the ways


def ours(threads):
    out = np.empty((BATCH, TRACKS.levels, *SIZE), np.uint8)

    def render(tracks):
        for begin in range(0, len(tracks), BATCH):
            part = tracks[begin : begin + BATCH]
            batch_maps(
                part, TRACKS, MAPS, SIZE, as_uint8=True, threads=threads, out=out[: len(part)]
            )

    return render


def one_by_one(way):
    def render(tracks):
        for track in tracks:
            way(track)

    return render


def with_scipy(track):
    return by_raster(track, lambda free: gaussian(distance_transform_edt(free)))


def with_opencv(track):
    def decayed(free):
        distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return cv2.exp(distance * distance * np.float32(-0.5 / SIGMA_PX**2))

    return by_raster(track, decayed)


def gaussian(distance_px):
    return np.exp(distance_px**2 * (-0.5 / SIGMA_PX**2))


def by_raster(track, decayed):
    points = np.column_stack((track.x, track.y)) * SIDE
    levels = []
    for count in level_counts(track.duration_ms, TRACKS):
        free = np.ones(SIZE, np.uint8)
        cv2.polylines(free, [points[-count:].astype(np.int32)], False, 0)
        levels.append(np.rint(decayed(free) * 255).astype(np.uint8))
    return np.stack(levels)


def published_heatmap(track):
    canvas = np.zeros((CANVAS_PX, CANVAS_PX))
    place = np.clip(np.column_stack((track.y, track.x)) * CANVAS_PX, 0, CANVAS_PX - 1).astype(int)
    np.add.at(canvas, tuple(place.T), track.duration_ms)
    blurred = cv2.resize(
        gaussian_filter(canvas, HEAT_SIGMA_PX), SIZE[::-1], interpolation=cv2.INTER_CUBIC
    )
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


def our_heatmap(track):
    return heatmap(track, SIZE, HEAT_SIGMA_PX / CANVAS_PX)


def exact(track):
    """Every segment at every pixel, in float64."""
    pixel = np.stack(np.meshgrid(*[(np.arange(SIDE) + 0.5) / SIDE] * 2), axis=-1)
    points = np.column_stack((track.x, track.y))
    levels = []
    for count in level_counts(track.duration_ms, TRACKS):
        kept = points[-count:]
        distance = np.linalg.norm(pixel - kept[0], axis=-1)
        for a, b in pairwise(kept):
            length_2 = max(((b - a) ** 2).sum(), 1e-300)
            along = np.clip((pixel - a) @ (b - a) / length_2, 0, 1)[..., None]
            distance = np.minimum(distance, np.linalg.norm(pixel - a - along * (b - a), axis=-1))
        levels.append(gaussian(distance * SIDE))
    return np.stack(levels)


# ---------------------------------------------------------------- the tracks


def synthetic_tracks(fixations, count):
    """Fixations around a few places, one after the other, as a reader makes them."""
    rng = np.random.default_rng(fixations)
    for _ in range(count):
        places = rng.uniform(0.2, 0.8, (4, 2)).repeat(-(-fixations // 4), axis=0)[:fixations]
        x, y = np.clip(places + rng.normal(0, 0.08, places.shape), 0, 0.999).T
        yield Track(x, y, rng.gamma(4, 85, fixations))


def real_tracks(path, count):
    table, _ = read_table(path, FIXATIONS)
    table = table.dropna(subset=["x_im", "y_im", "image_width", "image_height"])
    trials = table.sort_values("order", kind="stable").groupby(["subject", "recording", "trial"])
    for _, rows in list(trials)[:count]:
        yield Track(
            rows["x_im"].to_numpy(float) / rows["image_width"].to_numpy(float),
            rows["y_im"].to_numpy(float) / rows["image_height"].to_numpy(float),
            rows["duration_ms"].to_numpy(float),
        )


# ---------------------------------------------------------------- the sections


def median_ms(work, turns):
    """Milliseconds an image of each (way, tracks): on the clock, and of processor time."""
    wall, cpu = {name: [] for name in work}, {name: [] for name in work}
    for way, tracks in work.values():
        way(tracks[:2])
    for _ in range(turns):
        for name, (way, tracks) in work.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            way(tracks)
            wall[name].append((time.perf_counter() - begin) / len(tracks) * 1e3)
            cpu[name].append((time.process_time() - begin_cpu) / len(tracks) * 1e3)
    return [{name: float(np.median(ms[name])) for name in work} for ms in (wall, cpu)]


def speed(tracks, options):
    """Images in memory; the slow ways do a sample of them."""
    many = list(islice(cycle(tracks), options.images // options.turns))
    some = many[:: max(len(many) // options.sample, 1)][: options.sample]
    few = some[: max(options.sample // 10, 1)]
    wall, cpu = median_ms(
        {
            "ours": (ours(1), many),
            "ours, 2 threads": (ours(2), many),
            "scipy": (one_by_one(with_scipy), some),
            "OpenCV": (one_by_one(with_opencv), some),
            "our heatmap": (one_by_one(our_heatmap), some),
            "published heatmap": (one_by_one(published_heatmap), few),
        },
        options.turns,
    )
    return {
        "tracks": options.fixations.name if options.fixations else "synthetic",
        "fixations": float(np.mean([len(track.x) for track in many])),
        "images": len(many) * options.turns,
        "ms_per_image": wall,
        "images_per_s": {name: 1e3 / value for name, value in wall.items()},
        "cpu_ms_per_image": cpu,
        "ratio_scipy_per_core": cpu["scipy"] / cpu["ours"],
        "ratio_opencv_per_core": cpu["OpenCV"] / cpu["ours"],
        "ratio_published_heatmap": cpu["published heatmap"] / cpu["our heatmap"],
        "ns_per_pixel": cpu["ours"] * 1e6 / PIXELS,
    }


def lengths(_, options):
    """Cost of long tracks."""
    work = {str(n): (ours(1), list(synthetic_tracks(n, options.sample))) for n in (20, 100, 1000)}
    _, ms = median_ms(work, options.turns)
    return {"cpu_ms_by_fixations": ms, "ratio_100_to_20": ms["100"] / ms["20"]}


def accuracy(tracks, options):
    """Largest error of a map value, against float64."""
    sample = tracks[:: max(len(tracks) // 10, 1)][:10]

    def worst(way, truth, per=1.0):
        return float(max(abs(way(track) / per - truth(track)).max() for track in sample))

    return {
        "max_error": {
            "ours": worst(lambda track: track_maps(track, TRACKS, MAPS, SIZE), exact),
            "ours, uint8": worst(
                lambda track: track_maps(track, TRACKS, MAPS, SIZE, as_uint8=True), exact, 255
            ),
            "scipy": worst(with_scipy, exact, 255),
            "OpenCV": worst(with_opencv, exact, 255),
            "our heatmap": worst(our_heatmap, published_heatmap),
        }
    }


FIRST_CALL = """
import time
import numpy as np
begin = time.perf_counter()
from gazetools.maps import MapSpec, Track, track_maps
from gazetools.tracks import TrackSpec
imported = time.perf_counter()
track = Track(np.array([.2, .8]), np.array([.3, .6]), np.array([200., 300.]))
track_maps(track, TrackSpec(), MapSpec(), (224, 224), as_uint8=True)
print(imported - begin, time.perf_counter() - imported)
"""


def cold_start(_, options):
    """First call in a new process: compiling, then with what was compiled before."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        runs = [
            subprocess.run(
                [sys.executable, "-c", FIRST_CALL],
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()
            for _ in range(2)
        ]
    return {
        "import_s": float(runs[1][0]),
        "first_call_s": {"compiling": float(runs[0][1]), "compiled before": float(runs[1][1])},
    }


def finished_file(_, options):
    """From tracks to a finished cache file; bench_cache.py tells more."""
    given = ["--fixations", str(options.fixations)] if options.fixations else []
    codecs = beside("bench_cache.py", "--items", str(options.images), *given)["codecs"]
    return {
        "file_s": {codec: row["seconds"] for codec, row in codecs.items()},
        "file_ratio_scipy": {codec: row["ratio_scipy_loop"] for codec, row in codecs.items()},
        "file_ratio_100_to_20": {codec: row["ratio_100_to_20"] for codec, row in codecs.items()},
    }


def loading(_, options):
    """Samples a second into training, in one process; bench_loader.py tells more."""
    rates = beside("bench_loader.py")
    return {
        name: rates[name]
        for name in (
            "loader_samples_per_s",
            "loader_path",
            "file_samples_per_s",
            "memory_samples_per_s",
            "file_to_rendered",
            "file_to_memmap",
        )
    }


def beside(script, *options):
    """Run another benchmark of this folder; return its figures."""
    command = [sys.executable, str(Path(__file__).with_name(script)), "--json", *options]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


SECTIONS = (speed, lengths, accuracy, cold_start, finished_file, loading)
"""Each takes the tracks and the options and returns figures by name."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixations", type=Path, help="Parquet of `gazetools ingest`")
    parser.add_argument(
        "--images", type=int, default=10_000, help="tracks are tiled to so many, over all turns"
    )
    parser.add_argument("--sample", type=int, default=50, help="images of the slow ways")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.fixations:
        tracks = list(real_tracks(options.fixations, options.images))
    else:
        tracks = list(synthetic_tracks(25, min(options.images, 1000)))
    report = {}
    for section in SECTIONS:
        figures = section(tracks, options)
        report |= figures
        if not options.json:
            show(section.__doc__, figures)
    if options.json:
        print(json.dumps(report))


def show(title, figures):
    print(title)
    for name, value in figures.items():
        for part, figure in value.items() if isinstance(value, dict) else [("", value)]:
            shown = f"{figure:.4g}" if isinstance(figure, float) else figure
            print(f"  {name:<26}{part:<20}{shown:>12}")


if __name__ == "__main__":
    main()
