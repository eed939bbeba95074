"""Reported overlap measures, image by image, in NumPy.

Both empty: 1.0, for the prediction is right. One empty: 0.0, so that a missed object costs.
"""

import numpy as np
import numpy.typing as npt


def _counts(
    prediction: npt.ArrayLike, reference: npt.ArrayLike, valid: npt.ArrayLike | None
) -> tuple[int, int]:
    """Return the pixels in both, and the sum of the pixels in each."""
    p, r = np.asarray(prediction, np.bool_), np.asarray(reference, np.bool_)
    if p.shape != r.shape:
        raise ValueError(f"prediction is {p.shape}, reference {r.shape}")
    if valid is not None:
        p, r = p & np.asarray(valid, np.bool_), r & np.asarray(valid, np.bool_)
    return int(np.count_nonzero(p & r)), int(np.count_nonzero(p) + np.count_nonzero(r))


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
