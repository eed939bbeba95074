"""What a teacher may say against a pseudo-mask, once it has learned most of what is right in it.

The teacher is the running average of the weights (mean teacher: Tarvainen & Valpola, NeurIPS
2017). Networks learn what masks have in common before they learn single errors (Arpit et al.,
ICML 2017), so that where it is sure and the pseudo-mask is not, or says the opposite, the
teacher is right more often than not. Ours; no reference mask is ever read.
"""

import torch
from torch import Tensor, nn

from gradtrack_model.config import TrainConfig


def hears_teacher(config: TrainConfig, iteration: int) -> bool:
    """Return whether the teacher is asked at an iteration, from 0."""
    return config.corrections != "none" and iteration >= config.teacher_from * config.iterations


def corrected(
    target_B1HW: Tensor, valid_B1HW: Tensor, teacher_B1HW: Tensor, config: TrainConfig
) -> tuple[Tensor, Tensor]:
    """Correct a target where the teacher is sure.

    With ``corrections="uncertain"`` pixels that are not valid take the teacher's class;
    with ``"doubted"`` valid pixels of the opposite class are learned from no more, too.

    Parameters
    ----------
    target_B1HW, valid_B1HW : Tensor of bool
    teacher_B1HW : Tensor
        The teacher's logits.

    Returns
    -------
    target_B1HW, valid_B1HW : Tensor of bool
    """
    probability = torch.sigmoid(teacher_B1HW.float())
    foreground = probability >= config.teacher_certainty
    sure = foreground | (probability <= 1 - config.teacher_certainty)
    doubted = valid_B1HW & sure & (foreground != target_B1HW)
    filled = ~valid_B1HW & sure
    target = torch.where(filled, foreground, target_B1HW)
    valid = valid_B1HW | filled
    return target, valid & ~doubted if config.corrections == "doubted" else valid


@torch.no_grad()
def asked(teacher: nn.Module, image_BCHW: Tensor) -> Tensor:
    """Return the teacher's logits, at the size of the image."""
    logits_B1HW: Tensor = teacher(image_BCHW).seg_logits_B1HW
    return logits_B1HW
