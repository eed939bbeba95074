"""Reported measures of two masks, image by image, in NumPy and OpenCV.

=====  ================================================  ===============  ==========
       of                                                one mask empty   both empty
=====  ================================================  ===============  ==========
Dice   areas                                             0                1
IoU    areas                                             0                1
HD95   borders, in pixels                                image diagonal   NaN
NSD    borders, the share that lies within a tolerance   0                1
=====  ================================================  ===============  ==========

So a missed object costs in each of them: no two pixels are as far apart as the diagonal is long.
Where both are empty nothing can be measured in pixels: HD95 is NaN there, to be left out of a mean
and counted.

A border is what erosion by the four neighbours takes away, the outside of the image being
background. HD95 is the larger of the two directed 95th percentiles, which are interpolated
linearly: as in MONAI and in DeepMind's ``surface-distance``, though that one weighs border elements
by their length. Others take the percentile over both directions together, or their mean, and the
results differ by far (Podobnik & Vrtovec 2024, arXiv:2410.02630).
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

HD_PERCENTILE = 95.0

NSD_TOLERANCE = 0.005
"""How far apart borders may be and still agree, as a share of the image's diagonal.

Ours: images without spacing have no millimetres. It is 3.9 px of an image of 600 x 500 px, about
what a careful annotator misses.
"""

Bools = npt.NDArray[np.bool_]
_FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


class Measures(NamedTuple):
    """All measures of one image; `hd95_px` is NaN where both masks are empty."""

    dice: float
    iou: float
    hd95_px: float
    nsd: float


def measure(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> Measures:
    """Return all measures of two masks of one shape (H, W).

    Raises
    ------
    ValueError
        The shapes differ.
    """
    p, r = _as_masks(prediction, reference)
    distances = _border_distances(p, r)
    return Measures(
        dice(p, r), iou(p, r), _hd95(*distances, p.shape), _nsd(*distances, p.shape, NSD_TOLERANCE)
    )


# ---------------------------------------------------------------- areas


def dice(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, valid: npt.ArrayLike | None = None
) -> float:
    """Return 2|P ∩ R| / (|P| + |R|) of two masks, over the `valid` pixels where given."""
    common, total = _counts(prediction, reference, valid)
    return 2 * common / total if total else 1.0


def iou(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, valid: npt.ArrayLike | None = None
) -> float:
    """Return |P ∩ R| / |P ∪ R| of two masks, over the `valid` pixels where given."""
    common, total = _counts(prediction, reference, valid)
    return common / (total - common) if total else 1.0


def _counts(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, valid: npt.ArrayLike | None
) -> tuple[int, int]:
    """Return the pixels in both, and the sum of the pixels in each."""
    p, r = _as_masks(prediction, reference)
    if valid is not None:
        p, r = p & np.asarray(valid, np.bool_), r & np.asarray(valid, np.bool_)
    return int(np.count_nonzero(p & r)), int(np.count_nonzero(p) + np.count_nonzero(r))


def _as_masks(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[Bools, Bools]:
    p, r = np.asarray(prediction, np.bool_), np.asarray(reference, np.bool_)
    if p.shape != r.shape:
        raise ValueError(f"prediction is {p.shape}, reference {r.shape}")
    return p, r


# ---------------------------------------------------------------- borders


def hd95(prediction: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the 95 % Hausdorff distance of the borders of two masks of one shape (H, W), in px.

    It is max(P95 of d(p, ∂R) over p in ∂P, P95 of d(r, ∂P) over r in ∂R) with d the Euclidean
    distance of pixel centres; see the head of this module for empty masks.
    """
    p, r = _as_masks(prediction, reference)
    return _hd95(*_border_distances(p, r), p.shape)


def nsd(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, tolerance: float = NSD_TOLERANCE
) -> float:
    """Return the normalised surface Dice of two masks of one shape (H, W).

    It is the share of the pixels of both borders that lie no farther than the tolerance from the
    other border (Nikolov et al. 2018, arXiv:1809.04430; pixels are counted, as in MONAI without
    sub-voxels).

    Parameters
    ----------
    tolerance : float
        Share of the image's diagonal.
    """
    p, r = _as_masks(prediction, reference)
    return _nsd(*_border_distances(p, r), p.shape, tolerance)


def _hd95(
    from_prediction: npt.NDArray[np.float64],
    from_reference: npt.NDArray[np.float64],
    shape: tuple[int, ...],
) -> float:
    if not len(from_prediction) and not len(from_reference):
        return math.nan
    if not len(from_prediction) or not len(from_reference):
        return math.hypot(*shape)
    directed = (np.percentile(d, HD_PERCENTILE) for d in (from_prediction, from_reference))
    return float(max(directed))


def _nsd(
    from_prediction: npt.NDArray[np.float64],
    from_reference: npt.NDArray[np.float64],
    shape: tuple[int, ...],
    tolerance: float,
) -> float:
    distances = np.concatenate([from_prediction, from_reference])
    tolerance_px = tolerance * math.hypot(*shape)
    return float(np.mean(distances <= tolerance_px)) if len(distances) else 1.0


def _border_distances(
    prediction: Bools, reference: Bools
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the distances of all border pixels of each mask to the border of the other, in px.

    They are infinite where the other mask is empty.
    """
    either = prediction | reference
    if not either.any():
        return np.empty(0), np.empty(0)
    where = _bounding_box(either)
    borders = _border(prediction[where]), _border(reference[where])
    return _distances(*borders), _distances(*borders[::-1])


def _bounding_box(mask: Bools) -> tuple[slice, slice]:
    """Return the slices of the smallest box that holds all of a mask."""
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    return slice(top, top + height), slice(left, left + width)


def _border(mask: Bools) -> Bools:
    inside = cv2.erode(
        mask.view(np.uint8), _FOUR_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=(0,)
    )
    return np.asarray(mask & (inside == 0), np.bool_)


def _distances(border: Bools, other: Bools) -> npt.NDArray[np.float64]:
    """Return the distance of each pixel of a border to the nearest pixel of another."""
    if not other.any():
        return np.full(np.count_nonzero(border), np.inf)
    # exact, as OpenCV's transform in float32 is not: it even depends on its number of threads
    distances, _ = KDTree(np.argwhere(other)).query(np.argwhere(border))
    return np.asarray(distances, np.float64)
