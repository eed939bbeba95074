"""fit(): one training run, from a cache to a folder of weights.

Everything random (order, augmentation, initial weights) and the learning rate are pure
functions of the settings and the iteration, so the state to resume from is weights, optimiser,
running average and the log; on a CPU a resumed run ends with the same bits.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError, OutputError, TrainingError
from gazetools.files import locked, uninterrupted
from gradtrack_model import devices, distributed, runs
from gradtrack_model.augmentation import Augmentation
from gradtrack_model.batches import CacheBatches
from gradtrack_model.config import TrainConfig
from gradtrack_model.interrupts import deferred_interrupt
from gradtrack_model.loading import raw_batches
from gradtrack_model.methods import METHODS
from gradtrack_model.tracking import Progress, Trackers, check_trackers
from gradtrack_model.trainer import Trainer
from gradtrack_model.validation import Validation


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
        Time in the loop, validation included, all parts of a resumed run together.
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
    trackers: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> RunSummary:
    """Train a network on the training items of a cache.

    Validation items choose the best checkpoint; without any, the best is the last. Test items
    are never read, reference masks of training items only by the method "full". In processes
    that `torchrun` started, each takes its share of every batch, and the first does the rest.

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
        Threads that read batches where the training items do not fit in memory.
    trackers : sequence of str
        Out of :data:`gradtrack_model.tracking.TRACKERS`; metrics.csv is always written.
    progress : callable, optional
        Called after each iteration. If it raises KeyboardInterrupt, or on Ctrl-C, the state is
        saved and the run can be resumed. Until a run folder is made there is nothing to resume.
        Several processes save no state on Ctrl-C: they go back to the last one that was saved.

    Raises
    ------
    TrainingError
        There is nothing to train on, the loss is not finite, or the run cannot be resumed.
    ConfigError
        A tracker is not installed.
    CacheError
        The cache is damaged.
    OutputError
        The run folder holds a run already, is being written by another training, or cannot be
        written.
    """
    check_trackers(trackers)
    chosen = devices.pick_device(device)
    devices.use_available_cores()
    with (
        distributed.process_group(chosen),
        devices.determinism(config),
        devices.enough_memory(
            f"lower batch_size = {config.batch_size}, size_px = {config.size_px} or memory_gb, or "
            "run fewer processes on this GPU"
        ),
    ):
        run = _prepared(config, cache_path, Path(run_folder), resume, chosen)
        with closing(run.validation), closing(run.dataset), _no_other_in(run.folder):
            _start(run, resume)
            _learn(run, workers, trackers, progress)
            return _finish(run)


@dataclass(frozen=True)
class _Run:
    trainer: Trainer
    dataset: CacheBatches
    validation: Validation
    folder: Path
    info: runs.RunInfo


def _prepared(
    config: TrainConfig, cache_path: Path, folder: Path, resume: bool, device: torch.device
) -> _Run:
    """Look at everything before anything is written."""
    distributed.check_divides(config.batch_size)
    if not resume:
        runs.check_new(folder)
    with open_cache(cache_path) as cache:
        _check_trainable(cache, config)
        validation = Validation(cache, config)
        info = runs.RunInfo.of(config, cache, validation.selected_on)
        text_dims = cache.text_shape[1]
    if resume:
        runs.check_same_run(folder, info)
    trainer = Trainer(
        config, METHODS[config.method], device, text_dims=text_dims, pretrained=not resume
    )
    dataset = _training_items(cache_path, config, device)
    read = (info.cache.sha256, info.cache.text if dataset.text_sha256 else "")
    if (dataset.sha256, dataset.text_sha256) != read:
        raise CacheError(f"{cache_path}: was rendered anew just now; train again")
    return _Run(trainer, dataset, validation, folder, info)


def _check_trainable(cache: Cache, config: TrainConfig) -> None:
    if not len(cache.indices("train")):
        found = ", ".join(sorted({item.split for item in cache.items}))
        raise TrainingError(
            f"{cache.path}: no training items (splits found: {found}); render with a split"
        )
    METHODS[config.method].check(cache, config)


def _training_items(cache_path: Path, config: TrainConfig, device: torch.device) -> CacheBatches:
    return CacheBatches(
        cache_path,
        "train",
        fields=METHODS[config.method].fields(config),
        size_px=config.size_px,
        augment=Augmentation.of(config),
        seed=config.seed,
        memory_limit=config.memory_gb * 1e9,
        device=device,
    )


@contextmanager
def _no_other_in(folder: Path) -> Iterator[None]:
    """Keep other trainings out of the run folder, which is made if need be."""
    with ExitStack() as stack:
        if distributed.is_first():
            runs.make_folder(folder)
            try:
                stack.enter_context(locked(folder / runs.STATE))
            except OutputError as error:
                if error.__cause__ is None:
                    raise
                # some file systems of clusters have no locks
        yield


def _start(run: _Run, resume: bool) -> None:
    """Make a run of a first state, or take up the state that lies in its folder."""
    distributed.wait_for_all()  # all have looked whether there is such a run
    if resume:
        run.trainer.restore(runs.load_state(run.folder / runs.STATE))
    elif distributed.is_first():
        with uninterrupted():
            runs.check_new(run.folder)
            # first, as with its config.json a folder is a run to go on with
            run.trainer.save(run.folder)
            runs.write_run(run.folder, run.info, run.trainer.parameters, run.trainer.device)


def _learn(
    run: _Run,
    workers: int,
    trackers: Sequence[str],
    progress: Callable[[Progress], None] | None,
) -> None:
    trainer, config = run.trainer, run.trainer.config
    left = range(trainer.iteration, config.iterations)
    names = {int(i): name for i, name in zip(run.dataset.indices, run.dataset.names, strict=True)}
    batches = raw_batches(run.dataset, config.batch_size, left, workers=workers)
    told = trackers if distributed.is_first() else ()
    with (
        closing(batches),
        Trackers(told, run.folder, config, trainer.iteration) as tracking,
        deferred_interrupt() as raise_if_interrupted,
    ):
        began = time.perf_counter() - trainer.log.seconds
        for raw in batches:
            trainer.step(run.dataset, raw, names)
            trainer.log.seconds = time.perf_counter() - began
            _keep(run, tracking)
            try:
                if progress is not None:
                    progress(trainer.log.progress(trainer.iteration, config.iterations))
                raise_if_interrupted()
            except KeyboardInterrupt:
                if distributed.ranks() == 1:
                    trainer.save(run.folder)
                raise


def _keep(run: _Run, tracking: Trackers) -> None:
    """Validate and write what is due at this iteration."""
    config, iteration = run.trainer.config, run.trainer.iteration
    ends = iteration == config.iterations
    better = (iteration % config.val_every == 0 or ends) and _validate(run, tracking)
    if config.keep_every and (iteration % config.keep_every == 0 or ends):
        _save_weights(run, runs.kept(iteration), None)
    # the best weights and the state that tells of them are written together
    if iteration % config.save_every == 0 or ends or better:
        run.trainer.save(run.folder)


def _validate(run: _Run, tracking: Trackers) -> bool:
    """Score the network; return whether it is the best so far."""
    trainer, log = run.trainer, run.trainer.log
    trainer.check_losses()
    if not distributed.is_first():
        return False
    score = run.validation.score(trainer.evaluated(), trainer.device)
    better = log.is_better(score)
    if better:
        log.best, log.best_iteration = score, trainer.iteration
        _save_weights(run, "best", score)
    tracking.write(log.close_row(trainer.iteration, trainer.learning_rate, score))
    runs.write_csv(run.folder / "metrics.csv", log.rows, overwrite=True)
    return better


def _save_weights(run: _Run, name: str, score: float | None) -> None:
    trainer = run.trainer
    if distributed.is_first():
        path = run.folder / f"{name}.safetensors"
        runs.save_weights(path, trainer.evaluated(), run.info, trainer.iteration, score)


def _finish(run: _Run) -> RunSummary:
    trainer, log = run.trainer, run.trainer.log
    _save_weights(run, "last", log.last_score)
    if log.best is None:
        log.best_iteration = trainer.iteration
        _save_weights(run, "best", None)
    return RunSummary(
        run_folder=run.folder,
        iterations=trainer.iteration,
        best_iteration=log.best_iteration,
        best_score=log.best,
        last_score=log.last_score,
        selected_on=run.info.selected_on,
        parameters=trainer.parameters,
        seconds=log.seconds,
    )
