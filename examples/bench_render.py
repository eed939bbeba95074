"""Time four-level distance maps against scipy and OpenCV loops, in one process and one thread.

    python examples/bench_render.py
    python examples/bench_render.py --fixations fixations.parquet --json

Both loops draw the track on the pixel grid, transform the distance and apply the decay, level
by level; ours measures the exact distance to the track and shares the work of nested levels.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from gazetools.maps import MapSpec, Track, track_maps
from gazetools.tables import FIXATIONS, read_table
from gazetools.tracks import TrackSpec, level_counts

SIZE = 224
TRACKS, MAPS = TrackSpec(levels=4), MapSpec(form="polyline", decay="gaussian")


def ours(track):
    return track_maps(track, TRACKS, MAPS, (SIZE, SIZE), as_uint8=True)


def with_scipy(track):
    return by_raster(track, lambda free: np.exp(distance_transform_edt(free) ** 2 * DECAY))


def with_opencv(track):
    def decayed(free):
        distance = cv2.distanceTransform(free, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return cv2.exp(distance * distance * np.float32(DECAY))

    return by_raster(track, decayed)


DECAY = -1 / (2 * (MAPS.sigma * SIZE) ** 2)


def by_raster(track, decayed):
    points = np.column_stack((track.x, track.y)) * SIZE
    levels = []
    for count in level_counts(track.duration_ms, TRACKS):
        free = np.ones((SIZE, SIZE), np.uint8)
        cv2.polylines(free, [points[-count:].astype(np.int32)], False, 0)
        levels.append(np.rint(decayed(free) * 255).astype(np.uint8))
    return np.stack(levels)


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


def median_ms(tracks, repeats):
    """Milliseconds an image, the three ways taking turns; medians of all repeats."""
    ways = (ours, with_scipy, with_opencv)
    taken = {way: [] for way in ways}
    for way in ways:
        way(tracks[0])  # compile, load, allocate
    for _ in range(repeats):
        for way in ways:
            begin = time.perf_counter()
            for track in tracks:
                way(track)
            taken[way].append((time.perf_counter() - begin) / len(tracks) * 1e3)
    return [float(np.median(taken[way])) for way in ways]


def measure(name, tracks, repeats):
    mine, scipy_ms, opencv_ms = median_ms(tracks, repeats)
    return {
        "tracks": name,
        "fixations": float(np.mean([len(track.x) for track in tracks])),
        "ours_ms": mine,
        "scipy_ms": scipy_ms,
        "opencv_ms": opencv_ms,
        "ratio_scipy_per_core": scipy_ms / mine,
        "ratio_opencv_per_core": opencv_ms / mine,
        "ns_per_pixel": mine * 1e6 / (TRACKS.levels * SIZE**2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fixations", type=Path, help="Parquet of `gazetools ingest`")
    parser.add_argument("--images", type=int, default=20, help="images a repeat")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    cases = {f"synthetic, {n}": list(synthetic_tracks(n, options.images)) for n in (20, 100)}
    if options.fixations:
        cases = {options.fixations.name: list(real_tracks(options.fixations, options.images))}
    rows = [measure(name, tracks, options.repeats) for name, tracks in cases.items()]
    if options.json:
        print(json.dumps({**rows[0], "rows": rows}))
        return
    print(f"{'4 levels of 224 x 224, uint8':<30}{'ours':>9}{'scipy':>9}{'OpenCV':>9}   ms an image")
    for row in rows:
        print(
            f"{row['tracks']:<30}{row['ours_ms']:>9.3f}{row['scipy_ms']:>9.2f}"
            f"{row['opencv_ms']:>9.2f}   {row['ratio_scipy_per_core']:.0f}x scipy, "
            f"{row['ratio_opencv_per_core']:.1f}x OpenCV, {row['ns_per_pixel']:.2f} ns a pixel"
        )


if __name__ == "__main__":
    main()
