"""What a run tells while it learns: its own log, and the trackers that a lab may look at.

The log is part of the state, so that a resumed run's metrics.csv is that of an uninterrupted
one. Trackers are told the same rows; each needs a package of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from platform import node
from typing import Any, NamedTuple, Protocol, Self

from gazetools.errors import ConfigError
from gradtrack_model.config import TrainConfig

Row = Mapping[str, float | int | None]


class Progress(NamedTuple):
    """Where a run stands after an iteration.

    `score` and `best` are the latest and the highest validation Dice, None before the first;
    `loss` is the mean since the last validation.
    """

    iteration: int
    iterations: int
    loss: float
    score: float | None
    best: float | None


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

    def add(self, losses: Mapping[str, float]) -> None:
        """Take in the losses of an iteration."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in losses.items()}
        self.count += 1

    def is_better(self, score: float | None) -> bool:
        """Return whether a score is higher than all before."""
        return score is not None and (self.best is None or score > self.best)

    def progress(self, iteration: int, iterations: int) -> Progress:
        """Return where the run stands."""
        loss = self.rows[-1]["loss"] if self.rows else math.nan
        if self.count:
            loss = self.sums["loss"] / self.count
        return Progress(iteration, iterations, loss, self.last_score, self.best)

    def close_row(self, iteration: int, lr: float, score: float | None) -> Row:
        """Make a row of the mean losses since the last one."""
        means = {name: total / self.count for name, total in self.sums.items()}
        scores = {"score": score, "best_score": self.best, "best_iteration": self.best_iteration}
        self.rows.append({"iteration": iteration, "lr": lr, **means, **scores})
        self.sums, self.count = {}, 0
        return self.rows[-1]


# ---------------------------------------------------------------- trackers


class Tracker(Protocol):
    """Something that is told each row of the log."""

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Take in the numbers of a row."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TensorBoard:
    """Event files in ``tensorboard/`` of the run folder."""

    def __init__(self, run_folder: Path, config: TrainConfig, iteration: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        # what an interrupted run wrote beyond its saved state will be written again
        self.writer = SummaryWriter(
            str(run_folder / "tensorboard"), purge_step=iteration + 1 if iteration else None
        )

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, iteration)
        self.writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()


class WandB:
    """Weights & Biases, project "gradtrack"; its environment variables say where and as whom."""

    def __init__(self, run_folder: Path, config: TrainConfig, iteration: int) -> None:
        import wandb

        self.run = wandb.init(
            project="gradtrack",
            name=run_folder.name,
            id=_identity(run_folder),
            resume="allow",
            dir=str(run_folder),
            config=config.to_dict(),
        )

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self.run.log(dict(values), step=iteration)

    def close(self) -> None:
        """End the run."""
        self.run.finish()


def _identity(run_folder: Path) -> str:
    """Return what tells a run from others of its name, and is the same when it is resumed."""
    return sha256(f"{node()}:{run_folder.resolve()}".encode()).hexdigest()[:16]


class MLflow:
    """MLflow; its own environment variables say where."""

    def __init__(self, run_folder: Path, config: TrainConfig, iteration: int) -> None:
        import mlflow

        self.mlflow = mlflow
        mlflow.start_run(run_name=run_folder.name)
        mlflow.log_params(config.to_dict())

    def write(self, iteration: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self.mlflow.log_metrics(dict(values), step=iteration)

    def close(self) -> None:
        """End the run."""
        self.mlflow.end_run()


TRACKERS: dict[str, Callable[[Path, TrainConfig, int], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}
"""By name, which is also that of the package that each needs."""


class Trackers:
    """All trackers of a run, as one."""

    def __init__(
        self, names: Sequence[str], run_folder: Path, config: TrainConfig, iteration: int
    ) -> None:
        self._trackers: list[Tracker] = []
        with ExitStack() as undo:
            for name in names:
                self._trackers.append(TRACKERS[name](run_folder, config, iteration))
                undo.callback(self._trackers[-1].close)
            undo.pop_all()

    def write(self, row: Row) -> None:
        """Tell the numbers of a row of the log."""
        values = {k: float(v) for k, v in row.items() if v is not None and k != "iteration"}
        for tracker in self._trackers:
            tracker.write(int(row["iteration"] or 0), values)

    def close(self) -> None:
        """Close all."""
        for tracker in self._trackers:
            tracker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that are not known or not installed, before anything is done.

    Raises
    ------
    ConfigError
        Naming the first.
    """
    for name in names:
        if name not in TRACKERS:
            raise ConfigError(f"tracker {name!r}: expected one of {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise ConfigError(f"tracker {name!r}: is not installed; run: pip install {name}")
