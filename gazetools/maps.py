"""From track levels to maps: distance maps, and the published duration-weighted heatmap.

Everything is computed in the *unit square*: x and y are fractions of the image's width and
height, as in the published gaze sets, so that sigma is image-relative and a map of any size
shows the same thing. ``metric="isotropic"`` measures distances in the image's own
proportions instead, in units of the square root of its area.

Source of the map formulas: GradTrack (Wang et al., MICCAI 2025) names distance-based maps of
reverse-truncated tracks and publishes no formula; decay, width and the use of durations are
our reading. The heatmap is that of GazeMedSeg (Zhong et al., MICCAI 2024).
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.kernels import maps as kernels
from gazetools.kernels.sums import nested_sums
from gazetools.tracks import TrackSpec, level_counts, nested_order

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]
Maps = npt.NDArray[np.float32] | npt.NDArray[np.uint8]

CANVAS_PX = 768
"""Side of the square canvas on which the published heatmap is drawn."""


@dataclass(frozen=True)
class MapSpec:
    """How a track becomes a map.

    Attributes
    ----------
    form : {"polyline", "points"}
        Distance to the path that joins consecutive fixations, or to the nearest fixation.
    decay : {"gaussian", "linear", "sum"}
        With D the distance: exp(-D**2 / (2 sigma**2)), max(0, 1 - D / sigma), or the
        duration-weighted sum of Gaussians (the published heatmap, when the track is whole).
    duration : {"auto", "none", "weight", "radius"}
        A fixation's share d / max(d) scales its height, or (as a square root) its sigma; a sum
        is weighted or not. "auto" weights sums and leaves distance maps alone. The longest is
        that of the whole scanpath at every level; a segment has the share of its longer end.
    sigma : float
        Width, as a fraction of the image's side; with metric "degrees", in degrees.
    metric : {"square", "isotropic", "degrees"}
        Unit of distance: the unit square, the image's own proportions, or degrees of visual
        angle (for tracks with `size_deg`).
    """

    form: str = "polyline"
    decay: str = "gaussian"
    duration: str = "auto"
    sigma: float = 0.07
    metric: str = "square"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("form", ("polyline", "points")),
            ("decay", ("gaussian", "linear", "sum")),
            ("duration", ("auto", "none", "weight", "radius")),
            ("metric", ("square", "isotropic", "degrees")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; expected {', '.join(allowed)}"
                )
        if not 0 < self.sigma <= 10:
            raise ConfigError(
                f"sigma is {self.sigma}; expected more than 0 and up to 10: a fraction of the "
                "image's side, e.g. 0.07, or degrees with metric degrees"
            )
        if self.decay == "sum" and (self.duration == "radius" or self.metric != "square"):
            raise ConfigError(
                "decay sum is drawn on the square canvas with one sigma; expected metric square "
                "and duration auto, none or weight"
            )


@dataclass(frozen=True)
class Track:
    """A scanpath on one image.

    Attributes
    ----------
    x, y : ndarray of float64, shape (n,)
        Fractions of the image's width and height, in the order of looking, n >= 1. Finite;
        they may lie off the image.
    duration_ms : ndarray of float64, shape (n,)
        Positive and finite.
    aspect : float
        Width / height of the image.
    size_deg : (float, float) or None
        Width and height of the image in degrees of visual angle, where it is known.

    Raises
    ------
    SchemaError
        A position or duration is missing or out of these bounds, or they differ in number.
    GeometryError
        The aspect, or the size in degrees, is not positive and finite.
    """

    x: Float64
    y: Float64
    duration_ms: Float64
    aspect: float = 1.0
    size_deg: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        x, y, lasts = (np.asarray(v, np.float64) for v in (self.x, self.y, self.duration_ms))
        if not x.shape == y.shape == lasts.shape or x.ndim != 1 or not len(x):
            raise SchemaError(
                f"a track's x, y and duration_ms have shapes {x.shape}, {y.shape}, {lasts.shape}; "
                "expected one number each for every fixation, and a fixation at least"
            )
        good = np.isfinite(x) & np.isfinite(y) & np.isfinite(lasts) & (lasts > 0)
        if not good.all():
            bad = int(np.argmin(good))
            raise SchemaError(
                f"a track's fixation {bad} is at ({x[bad]}, {y[bad]}) for {lasts[bad]} ms; "
                "expected a finite place and a duration above 0, leave such fixations out"
            )
        if not all(0 < side < np.inf for side in (self.aspect, *(self.size_deg or ()))):
            raise GeometryError(
                f"a track's aspect is {self.aspect}, its size_deg {self.size_deg}; expected the "
                "image's width / height, and both in degrees or None"
            )
        for name, values in (("x", x), ("y", y), ("duration_ms", lasts)):
            object.__setattr__(self, name, values)


def pooled(tracks: Sequence[Track]) -> Track:
    """Join the tracks of one image into one, for maps in which order plays no part."""
    return Track(
        np.concatenate([track.x for track in tracks]),
        np.concatenate([track.y for track in tracks]),
        np.concatenate([track.duration_ms for track in tracks]),
        tracks[0].aspect,
        tracks[0].size_deg,
    )


def track_maps(
    track: Track, tracks: TrackSpec, maps: MapSpec, size: tuple[int, int], *, as_uint8: bool = False
) -> Maps:
    """Render all levels of a track.

    Returns
    -------
    ndarray, shape (L, height, width)
        float32 in [0, 1], or uint8 with 255 for 1. Level 1 is the whole track; at every
        pixel a level is at most the level before.

    Raises
    ------
    ConfigError
        Distances are asked for in degrees of an image whose size in degrees is not known.
    """
    return np.asarray(batch_maps([track], tracks, maps, size, as_uint8=as_uint8)[0])


def batch_maps(
    batch: Sequence[Track],
    tracks: TrackSpec,
    maps: MapSpec,
    size: tuple[int, int],
    *,
    as_uint8: bool = False,
    threads: int = 1,
    out: Maps | None = None,
) -> Maps:
    """Render all levels of many tracks: the same bytes as :func:`track_maps`, in less time.

    Parameters
    ----------
    threads : int
        The images are shared out among so many; the result does not depend on it.
    out : ndarray, shape (m, L, height, width), float32 or uint8 in C order, optional
        Written and returned, instead of a new array.

    Returns
    -------
    ndarray, shape (m, L, height, width)
    """
    shape = (len(batch), tracks.levels, *size)
    dtype = np.dtype(np.uint8 if as_uint8 else np.float32)
    if out is None:
        out = np.empty(shape, np.uint8) if as_uint8 else np.empty(shape, np.float32)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ConfigError(f"out is {out.dtype} {out.shape}; expected a C-ordered {dtype} {shape}")
    if not batch:
        return out
    prepared = _prepared_sums if maps.decay == "sum" else _prepared_distances
    render = prepared(batch, tracks, maps, out)
    if threads <= 1 or len(batch) <= 1:
        render(0, len(batch))
        return out
    # more parts than threads: tracks are of unlike lengths
    bounds = np.linspace(0, len(batch), min(4 * threads, len(batch)) + 1).astype(int).tolist()
    list(_pool(threads, os.getpid()).map(render, bounds[:-1], bounds[1:]))
    return out


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads that are kept, as new ones share a core for a while; a fork must make its own."""
    return ThreadPoolExecutor(threads)


def heatmap(track: Track, size: tuple[int, int], sigma: float = 70 / CANVAS_PX) -> Float32:
    """Render the published heatmap of a whole track.

    Duration-weighted fixations on a square canvas, blurred by a Gaussian with reflecting
    borders, resized to `size` (cubic), then scaled to [0, 1]. The blur of single points is
    separable, so a product of two matrices gives it without a canvas.

    Returns
    -------
    ndarray of float32, shape (height, width)
    """
    out = np.empty((1, *size), np.float32)
    _sum_levels(track, TrackSpec(levels=1), MapSpec(decay="sum", sigma=sigma), out)
    return np.asarray(out[0])


# ---------------------------------------------------------------- distances


def _prepared_distances(
    batch: Sequence[Track], tracks: TrackSpec, maps: MapSpec, out: Maps
) -> Callable[[int, int], None]:
    """Return the kernel with everything but the range of tracks filled in."""
    units = np.array([_units(track, maps) for track in batch])
    linear, as_uint8 = maps.decay == "linear", out.dtype == np.uint8
    # half a step of uint8; 1e-7 in float32
    ceiling = 1.0 if linear else float(np.log(510)) if as_uint8 else 16.0
    gain, rounding = _stored_as(out)

    def in_one(name: str) -> Float64:
        return np.concatenate([nested_order(getattr(track, name), tracks) for track in batch])

    return partial(
        kernels.render_tracks,
        x=in_one("x"),
        y=in_one("y"),
        duration_ms=in_one("duration_ms"),
        starts=np.cumsum([0, *(len(track.x) for track in batch)]),
        counts=_level_counts(batch, tracks),
        units=units,
        joined=maps.form == "polyline",
        linear=linear,
        weighted=maps.duration == "weight",
        widened=maps.duration == "radius",
        sigma=maps.sigma,
        ceiling=ceiling,
        gain=gain,
        rounding=rounding,
        out=out,
    )


def _level_counts(batch: Sequence[Track], tracks: TrackSpec) -> npt.NDArray[np.int64]:
    """Count the fixations of each track's levels, shape (m, L)."""
    if tracks.by == "duration":
        return np.stack([level_counts(track.duration_ms, tracks) for track in batch])
    return np.stack([_counts_of_length(len(track.x), tracks) for track in batch])


@lru_cache(maxsize=1024)
def _counts_of_length(n: int, tracks: TrackSpec) -> npt.NDArray[np.int64]:
    """Level counts by count, in which durations play no part."""
    return level_counts(np.ones(n), tracks)


def _stored_as(out: Maps) -> tuple[float, float]:
    """Gain and rounding with which a value in [0, 1] is stored."""
    return (255.0, 0.5) if out.dtype == np.uint8 else (1.0, 0.0)


def _units(track: Track, maps: MapSpec) -> tuple[float, float]:
    """Width and height of the image in the unit of distance."""
    if maps.metric == "degrees":
        if track.size_deg is None:
            raise ConfigError(
                "metric is degrees, but the image's size in degrees is not known; give the "
                "track size_deg, or choose metric square or isotropic"
            )
        return track.size_deg
    return (1.0, 1.0) if maps.metric == "square" else (track.aspect**0.5, track.aspect**-0.5)


# ---------------------------------------------------------------- sums of Gaussians


def _prepared_sums(
    batch: Sequence[Track], tracks: TrackSpec, maps: MapSpec, out: Maps
) -> Callable[[int, int], None]:
    """Return the work on a range of tracks."""

    def render(first: int, last: int) -> None:
        for track, levels in zip(batch[first:last], out[first:last], strict=True):
            _sum_levels(track, tracks, maps, levels)

    return render


def _sum_levels(track: Track, tracks: TrackSpec, maps: MapSpec, out: Maps) -> None:
    """Write level sums, all scaled by the whole track's range so that they stay nested."""
    _, height, width = out.shape
    weights = np.ones_like(track.duration_ms) if maps.duration == "none" else track.duration_ms
    down = _blurred(track.y, height, maps.sigma) * weights[:, None].astype(np.float32)
    across = _blurred(track.x, width, maps.sigma)
    nested_sums(
        np.ascontiguousarray(nested_order(down, tracks)),
        np.ascontiguousarray(nested_order(across, tracks)),
        _level_counts([track], tracks)[0],
        *_stored_as(out),
        out,
    )


def _blurred(position: Float64, pixels: int, sigma: float) -> Float32:
    cell = np.clip(position * CANVAS_PX, 0, CANVAS_PX - 1).astype(np.int64)
    on_canvas = _blurred_cells(sigma)[cell]
    resized = cv2.resize(on_canvas, (pixels, len(cell)), interpolation=cv2.INTER_CUBIC)
    return np.asarray(resized, np.float32)


@lru_cache(maxsize=4)
def _blurred_cells(sigma: float) -> Float32:
    """Gaussian of each canvas cell, borders reflected: shape (CANVAS_PX, CANVAS_PX)."""
    sigma_px = sigma * CANVAS_PX
    reach_px = int(4 * sigma_px + 0.5)
    cells = np.arange(CANVAS_PX)
    rows = np.zeros((CANVAS_PX, CANVAS_PX))
    # mirror images of a cell across the borders stand for the reflected canvas
    times = reach_px // (2 * CANVAS_PX) + 1
    for shift in range(-times, times + 1):
        for mirror in (cells, -cells - 1):
            distance = cells[None, :] - (mirror + 2 * CANVAS_PX * shift)[:, None]
            near = abs(distance) <= reach_px
            rows[near] += np.exp(-0.5 * (distance[near] / sigma_px) ** 2)
    return rows.astype(np.float32)
