"""Heatmap supervision: the published gaze heatmap, thresholded, as if it were the mask."""

import torch
from torch import nn

from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.losses import segmentation_loss
from gradtrack_model.methods.base import Loss, Method


class HeatmapSupervision(Method):
    """A plain network that learns from heatmap > threshold: L = BCE + λ_dice · Dice."""

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return images and heatmaps."""
        return ("images", "heatmaps")

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, iteration: int = 0) -> Loss:
        """Return the segmentation loss against the thresholded heatmap."""
        output = model(batch["image_BCHW"])
        target = batch["heatmap_B1HW"] > config.heatmap_threshold
        loss = segmentation_loss(
            output.seg_logits_B1HW, target, torch.ones_like(target), config.lambda_dice
        )
        return loss, {"segmentation": loss.detach()}
