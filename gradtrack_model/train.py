"""fit(): the training loop, its checkpoints, and how it resumes.

Everything random (order, augmentation, initial weights) and the learning rate are pure
functions of the settings and the iteration, so the state to resume from is weights, optimiser,
running average and the log; on a CPU a resumed run ends with the same bits.
"""

import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError, TrainingError
from gazetools.files import uninterrupted
from gradtrack_model import runs
from gradtrack_model.augmentation import Augmentation
from gradtrack_model.config import TrainConfig
from gradtrack_model.data import Batch, CacheDataset, RawBatch
from gradtrack_model.loading import raw_batches
from gradtrack_model.methods import METHODS, Method
from gradtrack_model.validation import Validation


class Progress(NamedTuple):
    """What the callback of :func:`fit` is told after each iteration.

    `score` and `best` are the latest and the highest validation Dice, None before the first;
    `loss` is the mean since the last validation.
    """

    iteration: int
    iterations: int
    loss: float
    score: float | None
    best: float | None


@dataclass(frozen=True)
class RunSummary:
    """What a finished run came to.

    Attributes
    ----------
    selected_on : {"masks", "pseudo", "none"}
        What validation scores are measured against; "none" without validation items, and then
        the best checkpoint is the last.
    best_score, last_score : float or None
        Validation Dice.
    seconds : float
        Time in the loop, all parts of a resumed run together.
    """

    run_folder: Path
    iterations: int
    best_iteration: int
    best_score: float | None
    last_score: float | None
    selected_on: str
    parameters: int
    seconds: float


def fit(
    config: TrainConfig,
    cache_path: Path,
    run_folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    workers: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> RunSummary:
    """Train a network on the training items of a cache.

    Validation items choose the best checkpoint; without any, the best is the last. Test items
    are never read, reference masks of training items only by the method "full".

    Parameters
    ----------
    config : TrainConfig
    cache_path : Path
    run_folder : Path
        Made here; see :mod:`gradtrack_model.runs` for what it will hold.
    resume : bool
        Go on with the run in `run_folder`; settings and cache must be the same.
    device : str
        "auto", "cpu", "cuda", "cuda:1" ...
    workers : int
        Processes that read batches where the training items do not fit in memory.
    progress : callable, optional
        Called after each iteration. If it raises KeyboardInterrupt, or on Ctrl-C, the state is
        saved and the run can be resumed. Until a run folder is made there is nothing to resume.

    Raises
    ------
    TrainingError
        There is nothing to train on, the loss is not finite, or the run cannot be resumed.
    CacheError
        The cache is damaged.
    OutputError
        The run folder holds a run already, or cannot be written.
    """
    run_folder = Path(run_folder)
    if not resume:
        runs.check_new(run_folder)
    chosen = runs.pick_device(device)
    runs.use_available_cores()
    info, validation = _look_at(cache_path, config)
    if resume:
        runs.check_same_run(run_folder, info)
    trainer = Trainer(config, METHODS[config.method], chosen)
    with closing(validation), closing(_training_items(cache_path, config, chosen)) as dataset:
        if dataset.sha256 != info.cache.sha256:
            raise CacheError(f"{cache_path}: was rendered anew just now; train again")
        _start(trainer, run_folder, info, resume)
        _run(trainer, dataset, validation, run_folder, info, workers, progress)
    return _finish(trainer, run_folder, info)


def _look_at(cache_path: Path, config: TrainConfig) -> tuple[runs.RunInfo, Validation]:
    """Read the validation items, and what a run remembers of its cache."""
    with open_cache(cache_path) as cache:
        _check_trainable(cache, config)
        validation = Validation(cache, config)
        return runs.RunInfo.of(config, cache, validation.selected_on), validation


def _training_items(cache_path: Path, config: TrainConfig, device: torch.device) -> CacheDataset:
    return CacheDataset(
        cache_path,
        "train",
        fields=METHODS[config.method].fields(config),
        size_px=config.size_px,
        augment=Augmentation.of(config),
        seed=config.seed,
        memory_limit=config.memory_gb * 1e9,
        device=device,
    )


def _start(trainer: "Trainer", run_folder: Path, info: runs.RunInfo, resume: bool) -> None:
    """Make the run folder with a first state, or take up the state that lies in it."""
    if not resume:
        with uninterrupted():
            runs.write_run(run_folder, info, trainer.parameters, trainer.device)
            trainer.save(run_folder)
    elif (run_folder / "last.pt").is_file():
        trainer.restore(runs.load_state(run_folder / "last.pt"))


def _run(
    trainer: "Trainer",
    dataset: CacheDataset,
    validation: Validation,
    run_folder: Path,
    info: runs.RunInfo,
    workers: int,
    progress: Callable[[Progress], None] | None,
) -> None:
    config, log = trainer.config, trainer.log
    left = range(trainer.iteration, config.iterations)
    names = {int(i): name for i, name in zip(dataset.indices, dataset.names, strict=True)}
    with deferred_interrupt() as raise_if_interrupted:
        for raw in raw_batches(dataset, config.batch_size, left, workers=workers):
            trainer.step(dataset, raw, names)
            ends = trainer.iteration == config.iterations
            if trainer.iteration % config.val_every == 0 or ends:
                _validate(trainer, validation, run_folder, info)
            if trainer.iteration % config.save_every == 0 or ends:
                trainer.save(run_folder)
            try:
                if progress is not None:
                    progress(log.progress(trainer.iteration, config.iterations))
                raise_if_interrupted()
            except KeyboardInterrupt:
                trainer.save(run_folder)
                raise


def _validate(
    trainer: "Trainer", validation: Validation, run_folder: Path, info: runs.RunInfo
) -> None:
    log = trainer.log
    trainer.check_losses()
    score = validation.score(trainer.evaluated(), trainer.device)
    if score is not None and (log.best is None or score > log.best):
        log.best, log.best_iteration = score, trainer.iteration
        path = run_folder / "best.safetensors"
        runs.save_weights(path, trainer.evaluated(), info, trainer.iteration, score)
    log.close_row(trainer.iteration, learning_rate(trainer.config, trainer.iteration - 1), score)
    runs.write_csv(run_folder / "metrics.csv", log.rows, overwrite=True)


def _finish(trainer: "Trainer", run_folder: Path, info: runs.RunInfo) -> RunSummary:
    log, model = trainer.log, trainer.evaluated()
    runs.save_weights(
        run_folder / "last.safetensors", model, info, trainer.iteration, log.last_score
    )
    if log.best is None:
        log.best_iteration = trainer.iteration
        runs.save_weights(run_folder / "best.safetensors", model, info, trainer.iteration, None)
    return RunSummary(
        run_folder=run_folder,
        iterations=trainer.iteration,
        best_iteration=log.best_iteration,
        best_score=log.best,
        last_score=log.last_score,
        selected_on=info.selected_on,
        parameters=trainer.parameters,
        seconds=log.seconds,
    )


def _check_trainable(cache: Cache, config: TrainConfig) -> None:
    train = [cache.items[i] for i in cache.indices("train")]
    if not train:
        found = ", ".join(sorted({item.split for item in cache.items}))
        raise TrainingError(
            f"{cache.path}: no training items (splits found: {found}); render with a split"
        )
    bare = [item.name for item in train if not item.has_mask]
    if config.method == "full" and bare:
        raise TrainingError(
            f"{cache.path}: {len(bare)} of {len(train)} training items have no reference mask "
            f"(first: {bare[0]!r}); method full needs them all, the others need none"
        )


# ---------------------------------------------------------------- schedule


def learning_rate(config: TrainConfig, iteration: int) -> float:
    r"""Return the learning rate of an iteration, from 0.

    Over the W = warmup · T first of T iterations it rises linearly to η; then, with
    u = (t − W) / (T − W) from 0 to 1,

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


# ---------------------------------------------------------------- the trainer


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


@dataclass
class Log:
    """Scores and losses so far; part of the state."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    best: float | None = None
    best_iteration: int = 0
    seconds: float = 0.0

    @property
    def last_score(self) -> float | None:
        """Score of the latest validation."""
        return self.rows[-1]["score"] if self.rows else None

    def add(self, losses: dict[str, float]) -> None:
        """Take in the losses of an iteration."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in losses.items()}
        self.count += 1

    def progress(self, iteration: int, iterations: int) -> Progress:
        """Return where the run stands."""
        loss = self.rows[-1]["loss"] if self.rows else math.nan
        if self.count:
            loss = self.sums["loss"] / self.count
        return Progress(iteration, iterations, loss, self.last_score, self.best)

    def close_row(self, iteration: int, lr: float, score: float | None) -> None:
        """Make a row of the mean losses since the last one."""
        means = {name: total / self.count for name, total in self.sums.items()}
        scores = {"score": score, "best_score": self.best, "best_iteration": self.best_iteration}
        self.rows.append({"iteration": iteration, "lr": lr, **means, **scores})
        self.sums, self.count = {}, 0


class _Pending(NamedTuple):
    iteration: int
    items: list[str]
    losses: dict[str, Tensor]


class Trainer:
    """Network, optimiser, running average and log, and the step that changes them.

    On a GPU the losses are looked at every 20 iterations, for looking waits for the device;
    never is a state saved or validated whose losses were not looked at.
    """

    def __init__(self, config: TrainConfig, method: Method, device: torch.device) -> None:
        self.config, self.method, self.device = config, method, device
        self.layout = runs.memory_layout(config)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = method.build(config)
        self.model = runs.placed(model, device, config).train()
        self.runner: nn.Module = self.model
        if config.compile:
            self.runner = cast("nn.Module", torch.compile(self.model))
        self.optimizer = _optimizer(config, self.model)
        self.average = Average(self.model, config.ema_decay) if config.ema_decay else None
        self.log = Log()
        self.iteration = 0
        self._pending: list[_Pending] = []

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(values.numel() for values in self.model.parameters())

    def evaluated(self) -> nn.Module:
        """Return the network that is validated and kept: the average, if there is one."""
        return self.model if self.average is None else self.average.model

    def step(self, dataset: CacheDataset, raw: RawBatch, names: dict[int, str]) -> None:
        """Learn from one batch."""
        started = time.perf_counter()
        batch = dataset.finish(raw, self.device)
        batch["image_BCHW"] = batch["image_BCHW"].contiguous(memory_format=self.layout)
        losses = self._descend(batch)
        self.iteration += 1
        items = [names[item] for item in raw.item_B.tolist()]
        self._pending.append(_Pending(self.iteration, items, losses))
        if len(self._pending) >= (20 if self.device.type == "cuda" else 1):
            self.check_losses()
        self.log.seconds += time.perf_counter() - started

    def _descend(self, batch: Batch) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.config, self.iteration)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.amp == "bf16"):
            loss, parts = self.method.loss(self.runner, batch, self.config)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.model, self.iteration)
        return {"loss": loss.detach(), **parts}

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
        runs.save_state(run_folder / "last.pt", state)

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
            raise TrainingError(f"last.pt is not a state of this run ({error})") from error


def _optimizer(config: TrainConfig, model: nn.Module) -> torch.optim.Optimizer:
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


# ---------------------------------------------------------------- Ctrl-C


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the given function is called: no state is cut in half.

    A second Ctrl-C interrupts at once. Outside the main thread nothing changes.
    """
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    def raise_if_asked() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield raise_if_asked
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield raise_if_asked
    finally:
        signal.signal(signal.SIGINT, before)
