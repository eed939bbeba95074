"""From track levels to maps: distance maps, and the published duration-weighted heatmap.

Everything is computed in the *unit square*: x and y are fractions of the image's width and
height, as in the published gaze sets, so that sigma is image-relative and a map of any size
shows the same thing. ``metric="isotropic"`` measures distances in the image's own
proportions instead, in units of the square root of its area.

Source of the map formulas: GradTrack (Wang et al., MICCAI 2025) names distance-based maps of
reverse-truncated tracks and publishes no formula; decay, width and the use of durations are
our reading. The heatmap is that of GazeMedSeg (Zhong et al., MICCAI 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError
from gazetools.kernels import maps as kernels
from gazetools.tracks import TrackSpec, level_counts, nested_order

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]

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
        is weighted or not. "auto" weights sums and leaves distance maps alone.
    sigma : float
        Width, as a fraction of the image's side.
    metric : {"square", "isotropic"}
        Unit of distance: the unit square, or the image's own proportions.
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
            ("metric", ("square", "isotropic")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; expected {', '.join(allowed)}"
                )
        if not 0 < self.sigma <= 10:
            raise ConfigError(f"sigma is {self.sigma}; expected a fraction of the image, e.g. 0.07")
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
        Fractions of the image's width and height, in the order of looking, n >= 1.
    duration_ms : ndarray of float64, shape (n,)
    aspect : float
        Width / height of the image.
    """

    x: Float64
    y: Float64
    duration_ms: Float64
    aspect: float = 1.0


def pooled(tracks: Sequence[Track]) -> Track:
    """Join the tracks of one image into one, for maps in which order plays no part."""
    return Track(
        np.concatenate([track.x for track in tracks]),
        np.concatenate([track.y for track in tracks]),
        np.concatenate([track.duration_ms for track in tracks]),
        tracks[0].aspect,
    )


def track_maps(
    track: Track, tracks: TrackSpec, maps: MapSpec, size: tuple[int, int], *, as_uint8: bool = False
) -> npt.NDArray[np.float32] | npt.NDArray[np.uint8]:
    """Render all levels of a track.

    Returns
    -------
    ndarray, shape (L, height, width)
        float32 in [0, 1], or uint8 with 255 for 1. Level 1 is the whole track; at every
        pixel a level is at most the level before.
    """
    counts = level_counts(track.duration_ms, tracks)
    if maps.decay == "sum":
        levels = _summed_levels(track, counts, tracks, maps, size)
        return np.rint(levels * 255).astype(np.uint8) if as_uint8 else levels
    width_unit, height_unit = _units(track.aspect, maps)
    primitives = _primitives(track, tracks, maps, width_unit, height_unit)
    out = np.empty((len(counts), *size), np.uint8 if as_uint8 else np.float32)
    kernels.distance_maps(
        primitives,
        counts,
        np.float32(width_unit / size[1]),
        np.float32(height_unit / size[0]),
        maps.decay == "linear",
        np.float32(255 if as_uint8 else 1),
        np.float32(0.5 if as_uint8 else 0),
        out,
    )
    return out


def heatmap(track: Track, size: tuple[int, int], sigma: float = 70 / CANVAS_PX) -> Float32:
    """Render the published heatmap of a whole track.

    Duration-weighted fixations on a square canvas, blurred by a Gaussian with reflecting
    borders, resized to `size` (cubic), then scaled to [0, 1]. The blur of single points is
    separable, so a product of two matrices gives it without a canvas.

    Returns
    -------
    ndarray of float32, shape (height, width)
    """
    across, down = _blurred_points(track, size, sigma)
    total = _sum_of_products(down, across, track.duration_ms)
    return _scaled(total, total)


# ---------------------------------------------------------------- primitives of a track


def _units(aspect: float, maps: MapSpec) -> tuple[float, float]:
    """Width and height of the image in the unit of distance."""
    return (1.0, 1.0) if maps.metric == "square" else (aspect**0.5, aspect**-0.5)


def _primitives(
    track: Track, tracks: TrackSpec, maps: MapSpec, width: float, height: float
) -> Float32:
    """Rows of (cx, cy, ex, ey, half length, scale, offset), shape (n, 7); see kernels."""
    x, y = nested_order(track.x, tracks) * width, nested_order(track.y, tracks) * height
    share = nested_order(track.duration_ms / track.duration_ms.max(), tracks)
    ax, ay, strength = x, y, share
    if maps.form == "polyline":
        # each fixation is joined to the one before it in nested order; the first to itself
        ax, ay, before = (np.concatenate((v[:1], v[:-1])) for v in (x, y, share))
        strength = np.maximum(share, before)
    length = np.hypot(x - ax, y - ay)
    safe = np.where(length > 0, length, 1.0)
    ex = np.where(length > 0, (x - ax) / safe, 1.0)
    ey = np.where(length > 0, (y - ay) / safe, 0.0)
    scale, offset = _costs(strength, maps)
    return np.column_stack(((x + ax) / 2, (y + ay) / 2, ex, ey, length / 2, scale, offset)).astype(
        np.float32
    )


def _costs(strength: Float64, maps: MapSpec) -> tuple[Float64, Float64]:
    """Scale and offset of each primitive's cost, so that map value = exp(-cost) or -cost."""
    weight = strength if maps.duration == "weight" else np.ones_like(strength)
    sigma = maps.sigma * (np.sqrt(strength) if maps.duration == "radius" else 1.0)
    if maps.decay == "linear":
        return weight / sigma, -weight
    return np.broadcast_to(1 / (2 * sigma**2), weight.shape), -np.log(weight)


# ---------------------------------------------------------------- sums of Gaussians


def _summed_levels(
    track: Track,
    counts: npt.NDArray[np.int64],
    tracks: TrackSpec,
    maps: MapSpec,
    size: tuple[int, int],
) -> Float32:
    """Level sums, all scaled by the whole track's range so that they stay nested."""
    across, down = _blurred_points(track, size, maps.sigma)
    across, down = nested_order(across, tracks), nested_order(down, tracks)
    weights = np.ones_like(track.duration_ms) if maps.duration == "none" else track.duration_ms
    weights = nested_order(weights, tracks).astype(np.float32)
    sums = np.stack([_sum_of_products(down[:k], across[:k], weights[:k]) for k in counts])
    # cubic resizing undershoots by a hair: without this, a level could exceed the one before
    nested = np.maximum.accumulate(sums[::-1])[::-1]
    return _scaled(nested, nested[0])


def _sum_of_products(down: Float32, across: Float32, weights: Floats) -> Float32:
    """Sum weight * outer(down, across) over the fixations: shape (height, width)."""
    # OpenCV's product: that of numpy's BLAS waits for its own threads on a busy machine
    weighted = (down * weights[:, None]).astype(np.float32)
    nothing = np.empty(0, np.float32)
    product = cv2.gemm(weighted, across, 1.0, nothing, 0.0, flags=cv2.GEMM_1_T)
    return np.asarray(product, np.float32)


def _blurred_points(track: Track, size: tuple[int, int], sigma: float) -> tuple[Float32, Float32]:
    """Blur each fixation along x and along y: arrays (n, width) and (n, height)."""
    height, width = size
    return _blurred(track.x, width, sigma), _blurred(track.y, height, sigma)


def _blurred(position: Float64, pixels: int, sigma: float) -> Float32:
    cell = np.clip(position * CANVAS_PX, 0, CANVAS_PX - 1).astype(np.int64)
    on_canvas = _blurred_cells(sigma)[cell]
    resized = cv2.resize(on_canvas, (pixels, len(cell)), interpolation=cv2.INTER_CUBIC)
    return np.asarray(resized, np.float32)


@lru_cache(maxsize=4)
def _blurred_cells(sigma: float) -> Float64:
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
    return rows


def _scaled(values: Floats, reference: Floats) -> Float32:
    """Map the range of `reference` to [0, 1] and clip."""
    lowest, highest = reference.min(), reference.max()
    span = max(highest - lowest, np.finfo(np.float32).tiny)
    return np.asarray(np.clip((values - lowest) / span, 0, 1), np.float32)
