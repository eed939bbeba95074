"""The figure of a table: a dot per seed, mean and standard deviation per row."""

from importlib.util import find_spec
from math import isnan
from pathlib import Path
from typing import Any

from gazetools.files import replacing
from gradtrack_model.bench.results import Results

_LOOK: Any = {
    "svg.hashsalt": "gradtrack-bench",  # else names inside the file change from run to run
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
}
_NO_DATE = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
_DOTS, _MEAN = "#7f8fa6", "#1f3a5f"


def has_matplotlib() -> bool:
    """Tell whether figures can be drawn."""
    return find_spec("matplotlib") is not None


def draw_figure(results: Results, stem: Path) -> list[Path]:
    """Draw Dice of all finished runs, rows from top to bottom as in the table.

    The same results make the same bytes.

    Returns
    -------
    list of Path
        `stem`.svg and `stem`.png.
    """
    # heavy, and no window is ever opened: neither pyplot nor a display is needed
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    checkpoint = results.table.compared
    files = [stem.with_suffix(f".{kind}") for kind in _NO_DATE]
    with rc_context(_LOOK):
        figure = Figure(figsize=(6.4, 1.2 + 0.36 * len(results.rows)), layout="constrained")
        axes = figure.add_subplot()
        for place, row in enumerate(results.rows):
            dices = [100 * run.scores[checkpoint].mean("dice") for run in row.runs]
            axes.plot(dices, [place] * len(dices), "o", color=_DOTS, markersize=4, zorder=3)
            if spread := row.spread(checkpoint, "dice"):
                sd = 0 if isnan(spread.sd) else 100 * spread.sd
                axes.errorbar(
                    100 * spread.mean, place, xerr=sd, fmt="|", color=_MEAN, ms=12, capsize=3
                )
        axes.set_yticks(range(len(results.rows)), [row.row.name for row in results.rows])
        axes.set_ylim(len(results.rows) - 0.5, -0.5)
        axes.set_xlabel(
            f"Dice on {results.table.split}, {checkpoint} checkpoint, %: each seed, mean ± sd"
        )
        axes.set_title(results.table.title, loc="left", parse_math=False)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        for file, (kind, metadata) in zip(files, _NO_DATE.items(), strict=True):
            with replacing(file, overwrite=True) as temporary:
                figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
    return files
