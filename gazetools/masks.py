"""From gaze to pseudo-masks: what a network is trained on where no one drew a mask.

A pseudo-mask is a label image: BACKGROUND, FOREGROUND or UNCERTAIN. The published choice is
the thresholded heatmap (GazeMedSeg, MICCAI 2024). Ours lets the image speak too: GrabCut
(Rother, Kolmogorov & Blake, SIGGRAPH 2004) seeded by a prior from gaze alone. No reference
mask is ever read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError
from gazetools.images import UInt8, resize_image, resize_mask
from gazetools.maps import Float32, Track, heatmap, pooled

BACKGROUND, FOREGROUND, UNCERTAIN = 0, 1, 255


@dataclass(frozen=True)
class PseudoMaskSpec:
    """How gaze becomes a pseudo-mask.

    Attributes
    ----------
    source : {"grabcut", "heatmap"}
    threshold : float
        Of the heatmap; used by "heatmap" and to fall back on.
    band : (float, float) or None
        "heatmap": values between are UNCERTAIN. None: every pixel is decided.
    """

    source: str = "grabcut"
    threshold: float = 0.5
    band: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.source not in ("grabcut", "heatmap"):
            raise ConfigError(f"source is {self.source!r}; expected grabcut or heatmap")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}; expected a value in (0, 1)")
        if self.band is not None and not 0 <= self.band[0] <= self.band[1] <= 1:
            raise ConfigError(f"band is {self.band}; expected 0 <= low <= high <= 1")


def pseudo_mask(image: UInt8, tracks: Sequence[Track], spec: PseudoMaskSpec) -> UInt8:
    """Make the pseudo-mask of one image from the tracks of everyone who looked at it.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
        RGB.

    Returns
    -------
    ndarray of uint8, shape (height, width)
        BACKGROUND, FOREGROUND or UNCERTAIN.
    """
    size = image.shape[:2]
    if spec.source == "heatmap":
        return threshold_mask(heatmap(pooled(tracks), size), spec)
    return resize_mask(_grabcut_mask(resize_image(image, (WORK_PX, WORK_PX)), tracks), size)


def threshold_mask(heat: Float32, spec: PseudoMaskSpec) -> UInt8:
    """Label a heatmap by its threshold, and by its band where one is set."""
    labels = (heat > spec.threshold).astype(np.uint8)
    if spec.band is not None:
        labels[(heat >= spec.band[0]) & (heat <= spec.band[1])] = UNCERTAIN
    return labels


# ---------------------------------------------------------------- GrabCut seeded by gaze
#
# All lengths are pixels of a WORK_PX square. Measured on 50 training images of Kvasir-SEG: the
# seeds matter little (Dice moves by .01 over nine settings); where the background's colours are
# learned matters more: .84 with the whole image, .85 to .86 with a margin around what may be
# foreground, which also is several times faster.

WORK_PX = 192
PRIOR_SIGMA = 18 / 256
HEAT_CEILING = 0.5
HULL_HEAT = 0.2
HULL_MARGIN_PX = 6.0
HULL_SOFTNESS_PX = 3.75
SEED_MAYBE, SEED_PROBABLY, SEED_SURELY = 0.1, 0.4, 0.9
SURROUNDINGS_PX = 16
ITERATIONS = 2
SMOOTHING_PX = 7
KEPT_HEAT_SHARE = 0.15


def gaze_prior(tracks: Sequence[Track]) -> tuple[Float32, Float32]:
    """Heatmap and foreground prior of tracks on the working square, both in [0, 1].

    The prior is the mean of the clipped heatmap and a soft convex hull of the fixations that
    lie where the heatmap is warm. The first fixation is dropped where there are others: it
    falls where the image appeared, not on what was searched (Kvasir-SEG gaze: 46 % inside
    the mask, the second 93 %).
    """
    track = pooled([_without_first(track) for track in tracks])
    heat = heatmap(track, (WORK_PX, WORK_PX), PRIOR_SIGMA)
    points = np.clip(np.column_stack((track.x, track.y)) * WORK_PX, 0, WORK_PX - 1)
    column, row = points.astype(np.int64).T
    warm = points[heat[row, column] > HULL_HEAT].astype(np.float32)
    inside_px = _signed_distance_to_hull(warm) + HULL_MARGIN_PX
    hull = 1 / (1 + np.exp(-inside_px / HULL_SOFTNESS_PX))
    prior = (np.minimum(heat, HEAT_CEILING) / HEAT_CEILING + hull) / 2
    return heat, np.asarray(prior, np.float32)


def _without_first(track: Track) -> Track:
    later = slice(1, None) if len(track.x) > 1 else slice(None)
    return Track(track.x[later], track.y[later], track.duration_ms[later], track.aspect)


def _signed_distance_to_hull(points: Float32) -> Float32:
    """Distance to the convex hull's border in px, positive inside, shape (WORK_PX, WORK_PX)."""
    filled = np.zeros((WORK_PX, WORK_PX), np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points).astype(np.int32), 1)
    inside = cv2.distanceTransform(filled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - filled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(inside - outside, np.float32)


def _grabcut_mask(image: UInt8, tracks: Sequence[Track]) -> UInt8:
    heat, prior = gaze_prior(tracks)
    seeds = np.full(prior.shape, cv2.GC_BGD, np.uint8)
    seeds[prior > SEED_MAYBE] = cv2.GC_PR_BGD
    seeds[prior > SEED_PROBABLY] = cv2.GC_PR_FGD
    seeds[prior > SEED_SURELY] = cv2.GC_FGD
    decided = prior > 0.5
    near = _surroundings(seeds != cv2.GC_BGD)
    labels, pixels = np.ascontiguousarray(seeds[near]), np.ascontiguousarray(image[near])
    if _both_present(labels):
        cv2.setRNGSeed(0)  # its k-means starts at random
        bgd, fgd = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(pixels, labels, (0, 0, 1, 1), bgd, fgd, ITERATIONS, cv2.GC_INIT_WITH_MASK)
        decided[:] = False
        decided[near] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    cleaned = _cleaned(decided.astype(np.uint8), heat)
    return cleaned if cleaned.any() else (prior > 0.5).astype(np.uint8)


def _surroundings(region: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a region that is not empty, and SURROUNDINGS_PX around it."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(rows[0] - SURROUNDINGS_PX, 0), rows[-1] + 1 + SURROUNDINGS_PX),
        slice(max(columns[0] - SURROUNDINGS_PX, 0), columns[-1] + 1 + SURROUNDINGS_PX),
    )


def _both_present(seeds: UInt8) -> bool:
    """Whether there is foreground and background to learn colours from."""
    foreground = (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)
    return bool(foreground.any() and not foreground.all())


def _cleaned(mask: UInt8, heat: Float32) -> UInt8:
    """Smooth the outline, drop components that were hardly looked at, fill holes."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SMOOTHING_PX, SMOOTHING_PX))
    smooth = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    smooth = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, disc)
    count, labels = cv2.connectedComponents(smooth)
    heat_of = np.bincount(labels.ravel(), heat.ravel(), count)
    kept = heat_of >= KEPT_HEAT_SHARE * max(heat_of[1:].sum(), 1e-12) if count > 1 else heat_of < 0
    kept[0] = False
    outlines, _ = cv2.findContours(
        kept[labels].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled


def label_uncertain(mask: UInt8, uncertain: npt.NDArray[np.bool_]) -> UInt8:
    """Return `mask` with UNCERTAIN where `uncertain` is true."""
    return np.where(uncertain, np.uint8(UNCERTAIN), mask)
