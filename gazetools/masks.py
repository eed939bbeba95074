"""From gaze to pseudo-masks: what a network is trained on where no one drew a mask.

A pseudo-mask is a label image: BACKGROUND, FOREGROUND or UNCERTAIN. The published choice is
the thresholded heatmap, refined by a fully connected CRF (GazeMedSeg, MICCAI 2024). Ours lets
the image speak more: GrabCut seeded by gaze. No reference mask is ever read here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from gazetools.crf import CrfSpec, refine
from gazetools.errors import ConfigError
from gazetools.grabcut import GrabCut, foreground_mask, foreground_share
from gazetools.images import UInt8, resize_image, resize_mask
from gazetools.maps import CANVAS_PX, Float32, Track, heatmap, pooled

BACKGROUND, FOREGROUND, UNCERTAIN = 0, 1, 255
_CRF_PIXELS = 2_100_000


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
        if self.band is not None and not 0 <= self.band[0] < self.band[1] <= 1:
            raise ConfigError(f"band is {self.band}; expected 0 <= low < high <= 1")


def pseudo_mask(
    image: UInt8,
    tracks: Sequence[Track],
    spec: PseudoMaskSpec,
    probability: UInt8 | None = None,
) -> UInt8:
    """Make the pseudo-mask of one image from the tracks of everyone who looked at it.

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
        RGB.
    probability : ndarray of uint8, optional
        What a network says of the image, 0 to 255: GrabCut is seeded by it and gaze together.

    Returns
    -------
    ndarray of uint8, shape (height, width)
        BACKGROUND, FOREGROUND or UNCERTAIN.
    """
    if spec.source == "grabcut":
        return resize_mask(_grabcut_labels(image, tracks, spec, probability), image.shape[:2])
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


def _grabcut_labels(
    image: UInt8, tracks: Sequence[Track], spec: PseudoMaskSpec, probability: UInt8 | None
) -> UInt8:
    """Label the working square by GrabCut, or by the votes of variants where there is a band."""
    if spec.band is None:
        return foreground_mask(image, tracks, spec.grabcut, probability)
    share = foreground_share(image, tracks, spec.grabcut, probability)
    return threshold_mask(share, spec)
