"""What the runs of a table came to, read from their folders alone."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazetools.errors import TrainingError
from gradtrack_model import runs
from gradtrack_model.bench.running import (
    SUMMARY,
    Run,
    check_same,
    measured_checkpoints,
    planned,
    read_json,
    status,
)
from gradtrack_model.bench.table import BenchTable, Row
from gradtrack_model.comparison import (
    Difference,
    Scores,
    Spread,
    over_seeds,
    paired_bootstrap,
    read_scores,
)

BEST, LAST = "best", "last"


@dataclass(frozen=True)
class RunResult:
    """One finished run.

    Attributes
    ----------
    scores : dict of str to Scores
        By checkpoint.
    summary : dict
        What the training came to, and the recipe of its cache.
    environment : dict
        Machine and versions.
    """

    seed: int
    scores: dict[str, Scores]
    summary: dict[str, Any]
    environment: dict[str, Any]
    cache_sha256: str


@dataclass(frozen=True)
class RowResult:
    """One row: its finished runs, and how it differs from the baseline (None: nothing to tell)."""

    row: Row
    runs: tuple[RunResult, ...]
    difference: Difference | None

    @property
    def images(self) -> int:
        """Number of images that were measured."""
        return len(self.runs[0].scores[BEST].names) if self.runs else 0

    def spread(self, checkpoint: str, measure: str) -> Spread | None:
        """Return the spread over seeds of a mean over images; None where there is nothing."""
        measured = [run.scores[checkpoint] for run in self.runs if checkpoint in run.scores]
        means = [scores.mean(measure) for scores in measured]
        return over_seeds(means) if means and not any(map(math.isnan, means)) else None

    @property
    def minutes(self) -> float | None:
        """Mean time of a training, in minutes."""
        seconds = [float(run.summary["seconds"]) for run in self.runs]
        return statistics.fmean(seconds) / 60 if seconds else None


@dataclass(frozen=True)
class Results:
    """A table with what is known of it; `missing` is the number of runs that are not done."""

    table: BenchTable
    rows: tuple[RowResult, ...]
    missing: int


def collect(table: BenchTable, out: Path) -> Results:
    """Read all finished runs of a table.

    Raises
    ------
    TrainingError
        A run has other settings than the table says, rows differ in their images, or a file is
        damaged.
    """
    todo = planned(table, out)
    done: dict[str, list[RunResult]] = {row.name: [] for row in table.rows}
    for run in todo:
        check_same(run)
        if status(run, table.split) == "nothing":
            done[run.row.name].append(_read(run, table.split))
    every = [run for results in done.values() for run in results]
    _check_same_images([run.scores[BEST] for run in every])
    against = done.get(table.baseline or "", [])
    rows = tuple(
        RowResult(
            row,
            tuple(done[row.name]),
            _difference(done[row.name], against, table.compared),
        )
        for row in table.rows
    )
    return Results(table, rows, len(todo) - len(every))


def _read(run: Run, split: str) -> RunResult:
    info, folder = runs.read_run(run.folder), run.folder / "evaluation"
    checkpoints = measured_checkpoints(run, split)
    for checkpoint in checkpoints:
        about = read_json(folder / f"{split}_{checkpoint}.json")
        if about.get("cache_sha256") != info.cache.sha256:
            raise TrainingError(
                f"{folder}: {split}_{checkpoint} was measured on another cache than the run was "
                "trained on; remove this folder, and gradtrack-bench measures again"
            )
    return RunResult(
        seed=run.seed,
        scores={name: read_scores(run.folder, split, name) for name in checkpoints},
        summary=read_json(run.folder / SUMMARY),
        environment=read_json(run.folder / "config.json")["environment"],
        cache_sha256=info.cache.sha256,
    )


def _check_same_images(scores: Sequence[Scores]) -> None:
    for other in scores:
        if different := sorted(set(other.names) ^ set(scores[0].names)):
            raise TrainingError(
                f"{scores[0].source}, {other.source}: differ in {len(different)} images (first: "
                f"{different[0]!r}), so they cannot be compared; render their caches from the "
                "same images with the same split, and run anew"
            )


def _difference(
    mine: Sequence[RunResult], theirs: Sequence[RunResult], checkpoint: str
) -> Difference | None:
    """Compare with another row, the baseline, over the seeds that both have."""
    seeds = {run.seed for run in mine} & {run.seed for run in theirs}
    if not seeds or mine is theirs:
        return None
    a, b = (
        [run.scores[checkpoint] for run in some if run.seed in seeds] for some in (mine, theirs)
    )
    return paired_bootstrap(a, b)
