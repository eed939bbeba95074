"""The losses, in float32 whatever the precision of the network.

Legend of the shape suffixes: B batch, L track levels, H W pixels, h w pixels of a stage.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

UNCERTAIN = 255
"""Label of pixels whose class is not known."""


def masked_bce(logits_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    r"""Binary cross-entropy over the valid pixels of the batch.

    .. math:: L = -\frac{1}{\max(1, \sum v)} \sum v \,[g \log p + (1 - g) \log(1 - p)]
    """
    bce = F.binary_cross_entropy_with_logits(
        logits_B1HW.float(), target_B1HW.float(), reduction="none"
    )
    valid = valid_B1HW.float()
    return (bce * valid).sum() / valid.sum().clamp_min(1)


def soft_dice(logits_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor) -> Tensor:
    r"""One minus the soft Dice of the valid pixels of each image, mean over the batch.

    .. math:: L = 1 - \frac{2 \sum v p g + 1}{\sum v p + \sum v g + 1}

    The ones keep an empty target from costing when nothing is predicted.
    """
    valid = valid_B1HW.float().flatten(1)
    foreground = torch.sigmoid(logits_B1HW.float()).flatten(1) * valid
    target = target_B1HW.float().flatten(1) * valid
    common = (foreground * target).sum(1)
    return (1 - (2 * common + 1) / (foreground.sum(1) + target.sum(1) + 1)).mean()


def segmentation_loss(
    logits_B1HW: Tensor, target_B1HW: Tensor, valid_B1HW: Tensor, lambda_dice: float
) -> Tensor:
    """Return BCE + λ · soft Dice."""
    return masked_bce(logits_B1HW, target_B1HW, valid_B1HW) + lambda_dice * soft_dice(
        logits_B1HW, target_B1HW, valid_B1HW
    )


def attention_loss(
    attention_logits: Sequence[Tensor], maps_BLHW: Tensor, levels: Sequence[int]
) -> Tensor:
    r"""Cross-entropy of each stage's map A_s against its level's map M, mean over the stages.

    .. math::
        L = \frac{1}{S} \sum_s \mathrm{mean}\bigl(-M_{l(s)} \log A_s
            - (1 - M_{l(s)}) \log(1 - A_s)\bigr)

    M is averaged down to the stage's size. Its values are shares, not classes, so the least
    possible loss is their entropy, not zero.

    Parameters
    ----------
    levels : sequence of int
        l(s), from 1; see :func:`gradtrack_model.networks.stage_levels`.
    """
    stages = [
        F.binary_cross_entropy_with_logits(
            logits_B1hw.float(),
            F.adaptive_avg_pool2d(maps_BLHW[:, level - 1 : level].float(), _size(logits_B1hw)),
        )
        for logits_B1hw, level in zip(attention_logits, levels, strict=True)
    ]
    return torch.stack(stages).mean()


def _size(x_BChw: Tensor) -> tuple[int, int]:
    return x_BChw.shape[-2], x_BChw.shape[-1]
