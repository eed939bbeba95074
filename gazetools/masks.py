"""From gaze to pseudo-masks: what a network is trained on where no one drew a mask.

A pseudo-mask is a label image: BACKGROUND, FOREGROUND or UNCERTAIN. The published choice is
the thresholded heatmap (GazeMedSeg, MICCAI 2024). Ours lets the image speak too: GrabCut
(Rother, Kolmogorov & Blake, SIGGRAPH 2004) seeded by a prior from gaze alone. No reference
mask is ever read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError
from gazetools.images import UInt8, resize_image, resize_mask
from gazetools.maps import CANVAS_PX, Float32, Track, heatmap, pooled

BACKGROUND, FOREGROUND, UNCERTAIN = 0, 1, 255


@dataclass(frozen=True)
class GrabCut:
    """Settings of GrabCut seeded by gaze; lengths are pixels of a square of `side_px`.

    Chosen on 50 training images of Kvasir-SEG. Seeds matter little (Dice moves by .01 over nine
    settings); where the background's colours are learned matters more: .84 with the whole image,
    .85 to .86 with a margin around what may be foreground, which also is several times faster.

    Attributes
    ----------
    side_px : int
        Side of the square on which it works.
    prior_sigma : float
        Width of the prior's heatmap, as a fraction of the side.
    heat_ceiling : float
        The prior's heatmap is clipped here.
    hull_heat : float
        Fixations where the heatmap is above this span the hull.
    hull_margin_px, hull_softness_px : float
        How far the hull is widened, and how softly it ends.
    maybe, probably, surely : float
        Prior above which a pixel may be, probably is, surely is foreground.
    surroundings_px : int
        Margin around what may be foreground, from which background colours are learned.
    iterations : int
    smoothing_px : int
        Diameter of the disc that opens and closes the result.
    kept_heat_share : float
        Components with less of the heat than this are dropped.
    """

    side_px: int = 192
    prior_sigma: float = 18 / 256
    heat_ceiling: float = 0.5
    hull_heat: float = 0.2
    hull_margin_px: float = 6.0
    hull_softness_px: float = 3.75
    maybe: float = 0.1
    probably: float = 0.4
    surely: float = 0.9
    surroundings_px: int = 16
    iterations: int = 2
    smoothing_px: int = 7
    kept_heat_share: float = 0.15


@dataclass(frozen=True)
class PseudoMaskSpec:
    """How gaze becomes a heatmap and a pseudo-mask.

    Attributes
    ----------
    source : {"grabcut", "heatmap"}
    heatmap_sigma : float
        Width of the published heatmap, as a fraction of the image's side (GazeMedSeg: 70/768
        for Kvasir-SEG, 50/768 for NCI-ISBI).
    threshold : float
        "heatmap": values above are FOREGROUND.
    band : (float, float) or None
        "heatmap": values between are UNCERTAIN. None: every pixel is decided.
    grabcut : GrabCut
        Settings of "grabcut".
    """

    source: str = "grabcut"
    heatmap_sigma: float = 70 / CANVAS_PX
    threshold: float = 0.5
    band: tuple[float, float] | None = None
    grabcut: GrabCut = field(default_factory=GrabCut)

    def __post_init__(self) -> None:
        if self.source not in ("grabcut", "heatmap"):
            raise ConfigError(f"source is {self.source!r}; expected grabcut or heatmap")
        if not 0 < self.heatmap_sigma < 1:
            raise ConfigError(f"heatmap_sigma is {self.heatmap_sigma}; expected a value in (0, 1)")
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}; expected a value in (0, 1)")
        if self.band is not None and not 0 <= self.band[0] <= self.band[1] <= 1:
            raise ConfigError(f"band is {self.band}; expected 0 <= low <= high <= 1")
        if self.band is not None and self.source != "heatmap":
            raise ConfigError(f"band is for the source heatmap; {self.source} decides every pixel")


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
        return threshold_mask(heatmap(pooled(tracks), size, spec.heatmap_sigma), spec)
    square = resize_image(image, (spec.grabcut.side_px, spec.grabcut.side_px))
    return resize_mask(_grabcut_mask(square, tracks, spec.grabcut), size)


def threshold_mask(heat: Float32, spec: PseudoMaskSpec) -> UInt8:
    """Label a heatmap by its threshold, and by its band where one is set."""
    labels = (heat > spec.threshold).astype(np.uint8)
    if spec.band is not None:
        labels[(heat >= spec.band[0]) & (heat <= spec.band[1])] = UNCERTAIN
    return labels


# ---------------------------------------------------------------- GrabCut seeded by gaze


def gaze_prior(tracks: Sequence[Track], spec: GrabCut) -> tuple[Float32, Float32]:
    """Heatmap and foreground prior of tracks on the working square, both in [0, 1].

    The prior is the mean of the clipped heatmap and a soft convex hull of the fixations that
    lie where the heatmap is warm. The first fixation is dropped where there are others: it
    falls where the image appeared, not on what was searched (Kvasir-SEG gaze: 46 % inside
    the mask, the second 93 %).
    """
    track = pooled([_without_first(track) for track in tracks])
    heat = heatmap(track, (spec.side_px, spec.side_px), spec.prior_sigma)
    points = np.clip(np.column_stack((track.x, track.y)) * spec.side_px, 0, spec.side_px - 1)
    column, row = points.astype(np.int64).T
    warm = points[heat[row, column] > spec.hull_heat].astype(np.float32)
    inside_px = _signed_distance_to_hull(warm, spec.side_px) + spec.hull_margin_px
    hull = 1 / (1 + np.exp(-inside_px / spec.hull_softness_px))
    prior = (np.minimum(heat, spec.heat_ceiling) / spec.heat_ceiling + hull) / 2
    return heat, np.asarray(prior, np.float32)


def _without_first(track: Track) -> Track:
    later = slice(1, None) if len(track.x) > 1 else slice(None)
    return Track(track.x[later], track.y[later], track.duration_ms[later], track.aspect)


def _signed_distance_to_hull(points: Float32, side_px: int) -> Float32:
    """Distance to the convex hull's border in px, positive inside, shape (side, side)."""
    filled = np.zeros((side_px, side_px), np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(points).astype(np.int32), 1)
    inside = cv2.distanceTransform(filled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outside = cv2.distanceTransform(1 - filled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(inside - outside, np.float32)


def _grabcut_mask(image: UInt8, tracks: Sequence[Track], spec: GrabCut) -> UInt8:
    heat, prior = gaze_prior(tracks, spec)
    seeds = np.full(prior.shape, cv2.GC_BGD, np.uint8)
    seeds[prior > spec.maybe] = cv2.GC_PR_BGD
    seeds[prior > spec.probably] = cv2.GC_PR_FGD
    seeds[prior > spec.surely] = cv2.GC_FGD
    decided = prior > 0.5
    near = _surroundings(seeds != cv2.GC_BGD, spec.surroundings_px)
    labels, pixels = np.ascontiguousarray(seeds[near]), np.ascontiguousarray(image[near])
    if _both_present(labels):
        cv2.setRNGSeed(0)  # its k-means starts at random
        bgd, fgd = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(pixels, labels, (0, 0, 1, 1), bgd, fgd, spec.iterations, cv2.GC_INIT_WITH_MASK)
        decided[:] = False
        decided[near] = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    cleaned = _cleaned(decided.astype(np.uint8), heat, spec)
    return cleaned if cleaned.any() else (prior > 0.5).astype(np.uint8)


def _surroundings(region: npt.NDArray[np.bool_], margin_px: int) -> tuple[slice, slice]:
    """Rows and columns of a region that is not empty, and a margin around it."""
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return (
        slice(max(rows[0] - margin_px, 0), rows[-1] + 1 + margin_px),
        slice(max(columns[0] - margin_px, 0), columns[-1] + 1 + margin_px),
    )


def _both_present(seeds: UInt8) -> bool:
    """Whether there is foreground and background to learn colours from."""
    foreground = (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)
    return bool(foreground.any() and not foreground.all())


def _cleaned(mask: UInt8, heat: Float32, spec: GrabCut) -> UInt8:
    """Smooth the outline, drop components that were hardly looked at, fill holes."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (spec.smoothing_px, spec.smoothing_px))
    smooth = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    smooth = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, disc)
    count, labels = cv2.connectedComponents(smooth)
    heat_of = np.bincount(labels.ravel(), heat.ravel(), count)
    kept = heat_of >= spec.kept_heat_share * max(heat_of[1:].sum(), 1e-12)
    kept[0] = False
    outlines, _ = cv2.findContours(
        kept[labels].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled
