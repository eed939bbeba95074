"""From gaze to pseudo-masks: what a network is trained on where no one drew a mask.

A pseudo-mask is a label image: BACKGROUND, FOREGROUND or UNCERTAIN. The published choice is
the thresholded heatmap, refined by a fully connected CRF (GazeMedSeg, MICCAI 2024). Ours lets
the image speak more: GrabCut (Rother, Kolmogorov & Blake, SIGGRAPH 2004) seeded by a prior from
gaze alone. No reference mask is ever read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.crf import CrfSpec, refine
from gazetools.errors import ConfigError
from gazetools.images import UInt8, resize_image, resize_mask
from gazetools.maps import CANVAS_PX, Float32, Track, heatmap, pooled

BACKGROUND, FOREGROUND, UNCERTAIN = 0, 1, 255
_CRF_PIXELS = 2_100_000
_MEDIAN_PX, _ODDS = 5, 3.0


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

    def __post_init__(self) -> None:
        if not 0 <= self.maybe <= self.probably <= self.surely <= 1:
            raise ConfigError(
                f"maybe, probably, surely are {self.maybe}, {self.probably}, {self.surely}; "
                "expected rising values from 0 to 1"
            )
        for name, least in (("side_px", 8), ("iterations", 1), ("smoothing_px", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {least} or more")
        for name in ("prior_sigma", "heat_ceiling", "hull_softness_px"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected more than 0")
        if min(self.surroundings_px, self.hull_margin_px) < 0:
            raise ConfigError("surroundings_px and hull_margin_px are margins; expected 0 or more")


@dataclass(frozen=True)
class PseudoMaskSpec:
    """How gaze becomes a heatmap and a pseudo-mask.

    Attributes
    ----------
    source : {"grabcut", "heatmap", "crf"}
        "crf" is the heatmap as a foreground probability, refined by the image's colours.
    heatmap_sigma : float
        Width of the published heatmap, as a fraction of the image's side (GazeMedSeg: 70/768
        for Kvasir-SEG, 50/768 for NCI-ISBI).
    threshold : float
        Probabilities above are FOREGROUND (GazeMedSeg's two levels: .5 and .3 for Kvasir-SEG,
        .2 and .4 for NCI-ISBI). Not for "grabcut", nor where there is a band.
    band : (float, float) or None
        Probabilities above are FOREGROUND, those between UNCERTAIN; of "grabcut" it is the share
        of the votes of a few variants and of the prior, (.3, .7) suits it. None: every pixel is
        decided.
    grabcut : GrabCut
        Settings of "grabcut".
    crf : CrfSpec
        Settings of "crf".
    """

    source: str = "grabcut"
    heatmap_sigma: float = 70 / CANVAS_PX
    threshold: float = 0.5
    band: tuple[float, float] | None = None
    grabcut: GrabCut = field(default_factory=GrabCut)
    crf: CrfSpec = field(default_factory=CrfSpec)

    def __post_init__(self) -> None:
        if self.source not in ("grabcut", "heatmap", "crf"):
            raise ConfigError(f"source is {self.source!r}; expected grabcut, heatmap or crf")
        if not 0 < self.heatmap_sigma < 1:
            raise ConfigError(f"heatmap_sigma is {self.heatmap_sigma}; expected a value in (0, 1)")
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
    if spec.source == "grabcut":
        square = resize_image(image, (spec.grabcut.side_px, spec.grabcut.side_px))
        return resize_mask(_grabcut_labels(square, tracks, spec), image.shape[:2])
    return threshold_mask(foreground_probability(image, tracks, spec), spec)


def foreground_probability(image: UInt8, tracks: Sequence[Track], spec: PseudoMaskSpec) -> Float32:
    """Heatmap of the tracks, refined if the source is "crf": shape (height, width).

    The CRF sees an image of more than two million pixels shrunk to that: its reach is in px,
    and chosen for images of some hundred px a side.
    """
    track, size = pooled(tracks), image.shape[:2]
    if spec.source == "heatmap":
        return heatmap(track, size, spec.heatmap_sigma)
    shrink = min(1.0, (_CRF_PIXELS / (size[0] * size[1])) ** 0.5)
    small = (max(1, int(size[0] * shrink)), max(1, int(size[1] * shrink)))
    heat = heatmap(track, small, spec.heatmap_sigma)
    refined = refine(heat, resize_image(image, small), spec.crf)
    enlarged = cv2.resize(refined, size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)


def threshold_mask(probability: Float32, spec: PseudoMaskSpec) -> UInt8:
    """Label by the threshold, or by the band where one is set."""
    low, high = spec.band or (spec.threshold, spec.threshold)
    labels = (probability > high).astype(np.uint8)
    if spec.band is not None:
        labels[(probability >= low) & (probability <= high)] = UNCERTAIN
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


def _grabcut_labels(image: UInt8, tracks: Sequence[Track], spec: PseudoMaskSpec) -> UInt8:
    """Label by GrabCut, or by what variants of it and the prior agree on where there is a band.

    The variants see the image smoothed, and seeds that are bolder and more timid: those of a
    prior whose odds are higher and lower. On the 900 training images of Kvasir-SEG and with the
    band (.3, .7), 96 % of the pixels are certain, and 98 % of these are right (FOREGROUND: 93 %).
    """
    heat, prior = gaze_prior(tracks, spec.grabcut)
    if spec.band is None:
        return _grabcut_mask(image, heat, prior, spec.grabcut)
    smooth = np.asarray(cv2.medianBlur(image, _MEDIAN_PX), np.uint8)
    bolder, timider = (_with_odds(prior, factor) for factor in (_ODDS, 1 / _ODDS))
    variants = ((smooth, prior), (image, bolder), (image, timider))
    votes = [_grabcut_mask(pixels, heat, seeding, spec.grabcut) for pixels, seeding in variants]
    share = (np.sum(votes, axis=0) + prior) / (len(votes) + 1)
    return threshold_mask(np.asarray(share, np.float32), spec)


def _with_odds(probability: Float32, factor: float) -> Float32:
    """Multiply the odds p / (1 - p) of probabilities."""
    raised = factor * probability / (1 + (factor - 1) * probability)
    return np.asarray(raised, np.float32)


def _grabcut_mask(image: UInt8, heat: Float32, prior: Float32, spec: GrabCut) -> UInt8:
    seeds = np.full(prior.shape, cv2.GC_BGD, np.uint8)
    seeds[prior > spec.maybe] = cv2.GC_PR_BGD
    seeds[prior > spec.probably] = cv2.GC_PR_FGD
    seeds[prior > spec.surely] = cv2.GC_FGD
    decided = prior > 0.5
    if not seeds.any():
        return decided.astype(np.uint8)
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
