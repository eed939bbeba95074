"""The trainer: network, optimiser, running average and log, and the step that changes them."""

import math
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from gazetools.errors import TrainingError
from gradtrack_model import devices, distributed, runs
from gradtrack_model.batches import Batch, CacheBatches, RawBatch
from gradtrack_model.config import TrainConfig
from gradtrack_model.methods import Method
from gradtrack_model.optimization import Average, learning_rate, make_optimizer
from gradtrack_model.tracking import Log

_LOOK_EVERY = 20  # iterations, on a GPU


class _Pending(NamedTuple):
    iteration: int
    items: list[str]
    losses: dict[str, Tensor]


class Trainer:
    """All that a run changes.

    On a GPU the losses are looked at every 20 iterations, for looking waits for the device;
    never is a state saved or validated whose losses were not looked at.
    """

    def __init__(
        self,
        config: TrainConfig,
        method: Method,
        device: torch.device,
        *,
        text_dims: int = 0,
        pretrained: bool = True,
    ) -> None:
        self.config, self.method, self.device = config, method, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = method.build(config, pretrained=pretrained)
            learner = method.learner(network, config, text_dims=text_dims, pretrained=pretrained)
            model = distributed.synchronised(learner, device)
        self.model = devices.placed(model, device, config).train()
        self.runner = distributed.shared(self.model, device)
        if config.compile:
            self.runner = cast("nn.Module", torch.compile(self.runner))
        self.optimizer = make_optimizer(config, self.model)
        kept = method.segmenter(self.model)
        self.average = Average(kept, config.ema_decay) if config.ema_decay else None
        self.log = Log()
        self.iteration = 0
        self._pending: list[_Pending] = []

    @property
    def parameters(self) -> int:
        """Number of parameters that are trained."""
        return sum(values.numel() for values in self.model.parameters())

    @property
    def learning_rate(self) -> float:
        """Of the last iteration."""
        return learning_rate(self.config, max(0, self.iteration - 1))

    def evaluated(self) -> nn.Module:
        """Return the network that is validated and kept: the average, if there is one."""
        return self.method.segmenter(self.model) if self.average is None else self.average.model

    def step(self, dataset: CacheBatches, raw: RawBatch, names: dict[int, str]) -> None:
        """Learn from one batch."""
        losses = self._descend(devices.as_input(dataset.finish(raw, self.device), self.config))
        self.iteration += 1
        items = [names[item] for item in raw.item_B.tolist()]
        self._pending.append(_Pending(self.iteration, items, losses))
        if len(self._pending) >= (_LOOK_EVERY if self.device.type == "cuda" else 1):
            self.check_losses()

    def _descend(self, batch: Batch) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.iteration)
        with devices.precision(self.config, self.device):
            loss, parts = self.method.loss(self.runner, batch, self.config, self.iteration)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.method.segmenter(self.model), self.iteration)
        return distributed.mean_over_ranks({"loss": loss.detach(), **parts})

    def check_losses(self) -> None:
        """Take the losses not yet looked at into the log.

        Raises
        ------
        TrainingError
            One of them is not finite; its iteration and items are named.
        """
        for pending in self._pending:
            losses = {name: float(value) for name, value in pending.losses.items()}
            if not math.isfinite(losses["loss"]):
                raise TrainingError(
                    f"iteration {pending.iteration}: the loss is {losses['loss']} (items: "
                    f"{', '.join(pending.items)}); lower lr or set grad_clip, "
                    "and look at these items"
                )
            self.log.add(losses)
        self._pending.clear()

    def save(self, run_folder: Path) -> None:
        """Write the state to resume from."""
        self.check_losses()
        state = {
            "iteration": self.iteration,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "log": vars(self.log),
        }
        if distributed.is_first():
            runs.save_state(run_folder / runs.STATE, state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go back to a saved state.

        Raises
        ------
        TrainingError
            It is the state of something else.
        """
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.model.load_state_dict(state["average"])
            self.log = Log(**state["log"])
            self.iteration = int(state["iteration"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise TrainingError(f"{runs.STATE} is not a state of this run ({error})") from error
