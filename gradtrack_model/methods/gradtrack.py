"""GradTrack: pseudo-masks, and Track Attention supervised by the levels of the gaze track.

The paper does not say how Track Attention works, how its losses are weighted or where its
pseudo-masks come from; this is our reading of it. What may well be read otherwise is a setting.
Ours without a setting: the attention loss is a binary cross-entropy, maps are averaged down to the
size of their stage, and attention comes after a stage's convolutions, of no more than a few
channels, and goes on to the next stage as its sigmoid; it does not attend across places.
"""

import torch
from torch import Tensor, nn

from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.losses import UNCERTAIN, attention_loss, segmentation_loss
from gradtrack_model.methods.base import Loss, Method
from gradtrack_model.networks import build_network, stage_levels


class GradTrack(Method):
    r"""A network with Track Attention, see :class:`gradtrack_model.networks.TrackAttention`.

    .. math:: L = \mathrm{BCE} + λ_\text{dice} \mathrm{Dice} + λ_\text{attention} L_A

    BCE and Dice are against the pseudo-mask, over its certain pixels (or with uncertain ones
    as background); L_A is :func:`gradtrack_model.losses.attention_loss`.
    """

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return images, pseudo-masks and, with Track Attention, maps."""
        base = ("images", "pseudo_masks")
        return base if config.attention == "none" else (*base, "maps")

    def build(self, config: TrainConfig, *, pretrained: bool = True) -> nn.Module:
        """Return a network with the Track Attention that the settings name."""
        return build_network(config, attention=config.attention, pretrained=pretrained)

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, iteration: int = 0) -> Loss:
        """Return segmentation and attention loss."""
        output = model(batch["image_BCHW"])
        target_B1HW, valid_B1HW = _supervision(batch, config)
        segmentation = segmentation_loss(
            output.seg_logits_B1HW, target_B1HW, valid_B1HW, config.lambda_dice
        )
        parts = {"segmentation": segmentation.detach()}
        if not output.attention_logits:
            return segmentation, parts
        maps_BLHW = batch["maps_BLHW"]
        levels = stage_levels(maps_BLHW.shape[1], config.stage_order)
        attention = attention_loss(output.attention_logits, maps_BLHW, levels)
        parts["attention"] = attention.detach()
        return segmentation + config.lambda_attention * attention, parts


def _supervision(batch: Batch, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Return the class of every pixel and whether it is learned from."""
    pseudo_B1HW = batch["pseudo_B1HW"]
    certain_B1HW = pseudo_B1HW != UNCERTAIN
    everywhere_B1HW = torch.ones_like(certain_B1HW)
    return pseudo_B1HW == 1, certain_B1HW if config.uncertain == "ignore" else everywhere_B1HW
