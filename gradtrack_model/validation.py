"""What chooses the best checkpoint: Dice on the validation split."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import nn

from gazetools.cache import Cache
from gazetools.errors import TrainingError
from gradtrack_model.batches import CacheBatches
from gradtrack_model.config import TrainConfig
from gradtrack_model.devices import as_input, precision
from gradtrack_model.losses import UNCERTAIN
from gradtrack_model.metrics import dice


class Validation:
    """The validation items and what they are scored against, read once.

    Attributes
    ----------
    selected_on : {"masks", "pseudo", "none"}
        Reference masks where any validation item has one and the settings allow it (then only
        items with a mask count), else pseudo-masks over their certain pixels.
    """

    def __init__(self, cache: Cache, config: TrainConfig) -> None:
        indices = cache.indices("val")
        masked = np.array([i for i in indices if cache.items[i].has_mask], np.int64)
        if config.select_on == "masks" and not len(masked):
            raise TrainingError(
                f"{cache.path}: select_on = 'masks', but no validation item has a reference "
                "mask; use auto or pseudo"
            )
        on_masks = len(masked) > 0 and config.select_on != "pseudo"
        self.selected_on = ("masks" if on_masks else "pseudo") if len(indices) else "none"
        self.dataset = CacheBatches(
            cache.path,
            "val",
            fields=("images",),
            size_px=config.size_px,
            memory_limit=config.memory_gb * 1e9,
        )
        scored = masked if on_masks else indices
        self.positions = np.searchsorted(indices, scored)
        self.targets = cache.read("masks" if on_masks else "pseudo_masks", scored)
        self.config, self.batch_size = config, max(8, config.batch_size)

    def score(self, model: nn.Module, device: torch.device) -> float | None:
        """Return the mean Dice at the size of the cache, None without validation items."""
        if self.selected_on == "none":
            return None
        was_training = model.training
        model.eval()
        scores = [
            dice(mask, target == 1, target != UNCERTAIN)
            for masks, targets in self._segment(model, device)
            for mask, target in zip(masks, targets, strict=True)
        ]
        model.train(was_training)
        return float(np.mean(scores))

    def close(self) -> None:
        """Close the cache if images were read from it."""
        self.dataset.close()

    @torch.inference_mode()
    def _segment(
        self, model: nn.Module, device: torch.device
    ) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8]]]:
        """Yield the predicted masks and the targets, batch by batch."""
        for start in range(0, len(self.positions), self.batch_size):
            some = slice(start, start + self.batch_size)
            batch = self.dataset.batch([(0, int(p)) for p in self.positions[some]], device)
            batch = as_input(batch, self.config)
            with precision(self.config, device):
                logits_B1HW = model(batch["image_BCHW"]).seg_logits_B1HW.float()
            size = self.targets.shape[-2:]
            logits_B1HW = F.interpolate(
                logits_B1HW, size=size, mode="bilinear", align_corners=False
            )
            yield (logits_B1HW[:, 0] > 0).cpu().numpy(), self.targets[some]
