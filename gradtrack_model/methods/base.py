"""What a training method is."""

from typing import Protocol

from torch import Tensor, nn

from gazetools.cache import Cache
from gradtrack_model.config import TrainConfig
from gradtrack_model.data import Batch

Loss = tuple[Tensor, dict[str, Tensor]]
"""The loss to minimise, and its parts by name for the log."""


class Method(Protocol):
    """Which fields supervise, which network learns, and what it minimises."""

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return the fields of training items that the method reads; no other is opened."""
        ...

    def check(self, cache: Cache) -> None:
        """Refuse a cache that the method cannot learn from.

        Raises
        ------
        TrainingError
            What it needs is not there.
        """
        ...

    def build(self, config: TrainConfig, *, pretrained: bool = True) -> nn.Module:
        """Return the network; called with images it returns a ModelOutput."""
        ...

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig) -> Loss:
        """Run the network on a batch and return the loss."""
        ...
