"""How weights are changed: the optimiser, its learning rate, and their running average."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gradtrack_model.config import TrainConfig


def make_optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser; biases and normalisation are not decayed."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    nesterov = config.momentum > 0
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)


def learning_rate(config: TrainConfig, iteration: int) -> float:
    r"""Return the learning rate of an iteration, from 0.

    Over the W = warmup · T first of T iterations it rises linearly to η; then, with
    u = (t − W) / (T − 1 − W) from 0 to 1,

    .. math:: η(t) = η_\min + \tfrac{1}{2} (η - η_\min) (1 + \cos π u)

    or stays at η if the schedule is constant.
    """
    total, rising = config.iterations, round(config.warmup * config.iterations)
    if iteration < rising:
        return config.lr * (iteration + 1) / (rising + 1)
    if config.schedule == "constant":
        return config.lr
    share = (iteration - rising) / max(1, total - 1 - rising)
    return config.lr_min + 0.5 * (config.lr - config.lr_min) * (1 + math.cos(math.pi * share))


class Average:
    r"""Running average of weights, with w = min(decay, (1 + t) / (10 + t)).

    .. math:: \bar θ ← w \bar θ + (1 - w) θ

    The smaller w of the first iterations t lets the average forget where it started. Buffers
    (of batch normalisation) are copied as they are.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        """Take in the weights after an iteration, counted from 0."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        pair: tuple[list[Tensor], list[Tensor]] = (
            list(self.model.parameters()),
            list(model.parameters()),
        )
        get_ema_multi_avg_fn(decay)(*pair, 0)  # type: ignore[no-untyped-call]
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
