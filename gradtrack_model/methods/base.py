"""What a training method is."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gazetools.cache import Cache
from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.networks import build_network

Loss = tuple[Tensor, dict[str, Tensor]]
"""The loss to minimise, and its parts by name for the log."""


class Method(ABC):
    """Which fields supervise, which network learns, and what it minimises.

    Most train the very network that segments. One that needs more for training, such as a
    teacher, puts both into a `learner`; what is validated and kept is its `segmenter`.
    """

    @abstractmethod
    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return the fields of training items that the method reads; no other is opened."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, iteration: int = 0) -> Loss:
        """Run the learner on the batch of an iteration, counted from 0, and return the loss."""

    def check(self, cache: Cache, config: TrainConfig) -> None:  # noqa: B027
        """Refuse a cache that the method cannot learn from.

        Raises
        ------
        TrainingError
            What it needs is not there.
        """

    def build(self, config: TrainConfig, *, pretrained: bool = True) -> nn.Module:
        """Return the network that segments; called with images it returns a ModelOutput."""
        return build_network(config, attention="none", pretrained=pretrained)

    def learner(
        self, network: nn.Module, config: TrainConfig, *, text_dims: int, pretrained: bool
    ) -> nn.Module:
        """Return what is trained, with the network in it; `text_dims` are those of the cache."""
        return network

    def segmenter(self, learner: nn.Module) -> nn.Module:
        """Return the network in what is trained."""
        return learner
