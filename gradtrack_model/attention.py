"""What Track Attention attends to, beside the distance maps that it learned from.

Legend of the shape suffixes: N images, S decoder stages (the coarsest first), h w pixels.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gazetools.cache import Cache
from gazetools.images import UInt8, resize_image
from gradtrack_model.networks import stage_levels
from gradtrack_model.predict import as_batch
from gradtrack_model.runs import Checkpoint

SHOWN = 6
SIDE_PX = 112


class AttentionSheet(NamedTuple):
    """A few images of a split with the attention of each stage and the map of its level.

    Attributes
    ----------
    names : ndarray of str, shape (N,)
    sizes : ndarray of int64, shape (N, 2)
        Width and height of the original images.
    levels : ndarray of int64, shape (S,)
        Track level (from 1, the whole track) that supervised each stage.
    images : ndarray of uint8, shape (N, h, w, 3)
    attention, maps : ndarray of uint8, shape (N, S, h, w)
        0 to 255 for 0 to 1; like the images stretched to a square.
    """

    names: npt.NDArray[np.str_]
    sizes: npt.NDArray[np.int64]
    levels: npt.NDArray[np.int64]
    images: UInt8
    attention: UInt8
    maps: UInt8


@torch.inference_mode()
def attention_sheet(trained: Checkpoint, cache: Cache, split: str) -> AttentionSheet | None:
    """Look at some images that have gaze, evenly spread.

    None without any, of a network without Track Attention, and in a cache with another number of
    levels than it learned from: none of its maps would be what a stage was taught.
    """
    if cache.levels != trained.cache.levels:
        return None
    gazed = [i for i in cache.indices(split).tolist() if len(cache.fixations(i))]
    if not gazed:
        return None
    spread = np.linspace(0, len(gazed) - 1, min(SHOWN, len(gazed)))
    indices = np.array(gazed, np.int64)[spread.astype(np.int64)]
    images = cache.read("images", indices)
    output = trained.model(as_batch(trained, list(images)))
    if not output.attention_logits:
        return None
    levels = stage_levels(cache.levels, trained.config.stage_order)
    maps_NLhw = cache.read("maps", indices)
    items = [cache.items[index] for index in indices.tolist()]
    side = (SIDE_PX, SIDE_PX)
    return AttentionSheet(
        np.array([item.name for item in items]),
        np.array([(item.width, item.height) for item in items], np.int64),
        np.array(levels, np.int64),
        np.stack([resize_image(image, side) for image in images]),
        np.stack([_as_bytes(logits_N1hw) for logits_N1hw in output.attention_logits], axis=1),
        np.stack([[resize_image(maps[level - 1], side) for level in levels] for maps in maps_NLhw]),
    )


def _as_bytes(logits_N1hw: Tensor) -> UInt8:
    share_N1hw = torch.sigmoid(logits_N1hw.float())
    resized_N1hw = F.interpolate(
        share_N1hw, size=(SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False
    )
    found: UInt8 = (resized_N1hw[:, 0] * 255).round().to(torch.uint8).cpu().numpy()
    return found
