"""Heatmap supervision: the published gaze heatmap, thresholded, as if it were the mask."""

import torch
from torch import nn

from gazetools.cache import Cache
from gradtrack_model.config import TrainConfig
from gradtrack_model.data import Batch
from gradtrack_model.losses import segmentation_loss
from gradtrack_model.methods.base import Loss
from gradtrack_model.networks import build_network


class HeatmapSupervision:
    """A plain network that learns from heatmap > threshold: L = BCE + λ_dice · Dice."""

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return images and heatmaps."""
        return ("images", "heatmaps")

    def check(self, cache: Cache) -> None:
        """Take any cache: heatmaps, pseudo-masks and maps are always there."""

    def build(self, config: TrainConfig, *, pretrained: bool = True) -> nn.Module:
        """Return a network without Track Attention."""
        return build_network(config, attention="none", pretrained=pretrained)

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig) -> Loss:
        """Return the segmentation loss against the thresholded heatmap."""
        output = model(batch["image_BCHW"])
        target = batch["heatmap_B1HW"] > config.heatmap_threshold
        loss = segmentation_loss(
            output.seg_logits_B1HW, target, torch.ones_like(target), config.lambda_dice
        )
        return loss, {"segmentation": loss.detach()}
