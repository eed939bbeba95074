"""Full supervision: the upper line that gaze is measured against."""

import torch
from torch import nn

from gazetools.cache import Cache
from gazetools.errors import TrainingError
from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.losses import segmentation_loss
from gradtrack_model.methods.base import Loss, Method


class FullSupervision(Method):
    """A plain network that learns from reference masks: L = BCE + λ_dice · Dice."""

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return images and reference masks."""
        return ("images", "masks")

    def check(self, cache: Cache, config: TrainConfig) -> None:
        """Refuse a cache in which a training item has no reference mask."""
        train = [cache.items[i] for i in cache.indices("train")]
        bare = [item.name for item in train if not item.has_mask]
        if bare:
            raise TrainingError(
                f"{cache.path}: {len(bare)} of {len(train)} training items have no reference mask "
                f"(first: {bare[0]!r}); method full needs them all, the others need none"
            )

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, iteration: int = 0) -> Loss:
        """Return the segmentation loss against the masks."""
        output, target = model(batch["image_BCHW"]), batch["mask_B1HW"]
        loss = segmentation_loss(
            output.seg_logits_B1HW, target, torch.ones_like(target), config.lambda_dice
        )
        return loss, {"segmentation": loss.detach()}
