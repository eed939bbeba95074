"""How networks learned, on Axes: the curves of run folders.

They are in ``metrics.csv``: a header, then a row for each validation, with ``iteration``, ``loss``
(mean since the row before) and ``score`` (validation Dice, 0 to 1, empty where nothing was
validated).
"""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gazetools.errors import ConfigError, FormatError
from gazetools.files import check_once
from gazetools.plotting.paper import COLOURS, LINES, as_it_is
from gazetools.reporting import runs as run_folders
from gazetools.reporting.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float64 = npt.NDArray[np.float64]

CURVES = {"loss": ("training loss", 1.0), "score": ("validation Dice, %", 100.0)}
"""Columns of metrics.csv, what an axis calls them, and their factor."""

_SEED = re.compile(r"seed[-_]?\d+")
_MOST = len(COLOURS) * len(LINES)


def read_run(folder: Path) -> Run:
    """Read a run folder that has curves to draw.

    Raises
    ------
    FormatError
        It is none, has no curve yet, or its iterations do not rise.
    """
    run, path = run_folders.read_run(folder), folder / "metrics.csv"
    if not any(curve in run.metrics for curve in CURVES):
        raise FormatError(
            f"{path}: holds neither {' nor '.join(CURVES)}; draw it after the first validation"
        )
    if not (np.diff(run.iteration, prepend=-np.inf) > 0).all():
        raise FormatError(f"{path}: iterations do not rise from row to row; it was altered")
    return run


def _values(run: Run, curve: str) -> Float64:
    """Values of a column of CURVES, one for each iteration; NaN where there is none."""
    return run.metrics.get(curve, np.full(len(run.iteration), np.nan))


def plot_learning_curves(
    axes: "Axes", runs: Sequence[Run], curve: str = "score", *, legend: bool = True
) -> None:
    """Draw one curve of some runs; those that differ in their seed alone share a colour.

    Of such repetitions each is a thin line, and their mean, where all have a value, a thick one.
    A circle marks each run's best score.

    Parameters
    ----------
    axes : Axes
    runs : sequence of Run
    curve : {"score", "loss"}
    legend : bool
        Set a legend; otherwise all is labelled for one.

    Raises
    ------
    ConfigError
        The curve is unknown, or there are no runs, or too many to be told apart.
    """
    if curve not in CURVES:
        raise ConfigError(f"curve {curve!r} is unknown; expected {', '.join(CURVES)}")
    label, factor = CURVES[curve]
    for number, (name, repetitions) in enumerate(group_runs(runs).items()):
        colour = COLOURS[number % len(COLOURS)]
        line = LINES[number // len(COLOURS)]
        alone = len(repetitions) == 1
        for run in repetitions:
            values = factor * _values(run, curve)
            width, alpha = (1.2, 1.0) if alone else (0.6, 0.5)
            axes.plot(run.iteration, values, line, color=colour, linewidth=width, alpha=alpha)
            if curve == "score" and np.isfinite(values).any():
                best = int(np.nanargmax(values))
                axes.plot(
                    run.iteration[best], values[best], "o", color=colour, mfc="white", ms=3, mew=0.8
                )
        iteration, mean = _mean(repetitions, curve)
        seeds = "" if alone else f", {len(repetitions)} seeds"
        axes.plot(
            iteration,
            factor * mean,
            line,
            color=colour,
            linewidth=1.2 if alone else 1.6,
            label=as_it_is(name) + seeds,
        )
    axes.set(xlabel="iteration", ylabel=label)
    axes.set_xlim(left=0)
    axes.grid(True)
    if legend:
        axes.legend()


def group_runs(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Put repetitions together, under the shortest names that tell them apart.

    Raises
    ------
    ConfigError
        There are no runs, or more than can be told apart, or one is there twice.
    """
    found: dict[Path, list[Run]] = {}
    for run in runs:
        found.setdefault(_repeated(run), []).append(run)
    if not 0 < len(found) <= _MOST:
        raise ConfigError(f"{len(found)} runs to draw; expected 1 to {_MOST}, name fewer")
    check_once(run.path for run in runs)
    parts = zip(*(path.parts[:-1] for path in found), strict=False)
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, parts)))
    return {"/".join(path.parts[shared:]): group for path, group in found.items()}


def _repeated(run: Run) -> Path:
    """Return the folder around one named like ``seed0``, else that of the run itself."""
    folder = run.path.absolute()
    return folder.parent if _SEED.fullmatch(folder.name) else folder


def _mean(runs: Sequence[Run], curve: str) -> tuple[Float64, Float64]:
    """Mean over runs, at the iterations that all of them have."""
    shared = runs[0].iteration
    for run in runs[1:]:
        shared = np.intersect1d(shared, run.iteration)
    values = [_values(run, curve)[np.isin(run.iteration, shared)] for run in runs]
    return shared, np.asarray(np.mean(values, axis=0))
