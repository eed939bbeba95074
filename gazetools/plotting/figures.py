"""From files to figures: what `gazetools plot` writes, one function for each kind.

Each returns what it drew in numbers, for a summary.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gazetools.errors import SchemaError
from gazetools.plotting.events import plot_durations, plot_main_sequence
from gazetools.plotting.gaze import plot_heatmap, plot_levels, plot_scanpath
from gazetools.plotting.paper import FigureSpec, check_figure, legend_below, paper_figure
from gazetools.plotting.quality import panels_in, plot_quality
from gazetools.plotting.stimulus import Stimulus
from gazetools.plotting.training import CURVES, group_runs, plot_learning_curves, read_run
from gazetools.tables import FIXATIONS, QUALITY, SACCADES, read_table

Drawn = TypeVar("Drawn")

_MOST_COLUMNS = 4
_ROW_MM, _TALLEST_MM, _NAMED_FROM_MM, _AXIS_MM = 4.5, 200.0, 2.4, 18.0


def draw_scanpath(
    stimulus: Stimulus,
    out: Path,
    spec: FigureSpec | None = None,
    *,
    track: int | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the figure of a scanpath, of one track or of all; see :func:`plot_scanpath`.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, matplotlib is missing, or there is no such track.
    SchemaError
        Nobody looked.
    """
    check_figure(out, (), overwrite=overwrite)
    _check_gaze(stimulus)
    shown = stimulus.fixations if track is None else stimulus.of_track(track)
    x, y, _, lasts, tracks = shown.T
    with paper_figure(out, spec or FigureSpec(), "scanpath", overwrite=overwrite) as figure:
        plot_scanpath(
            figure.add_subplot(),
            x,
            y,
            lasts,
            track=tracks,
            image=stimulus.image,
            size_px=stimulus.size_px,
        )
    return {"item": stimulus.name, "fixations": len(x), "tracks": len(np.unique(tracks))}


def draw_heatmap(
    stimulus: Stimulus, out: Path, spec: FigureSpec | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the figure of a heatmap; see :func:`plot_heatmap`.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, or matplotlib is missing.
    SchemaError
        Nobody looked.
    """
    check_figure(out, (), overwrite=overwrite)
    _check_gaze(stimulus)
    with paper_figure(out, spec or FigureSpec(), "heatmap", overwrite=overwrite) as figure:
        plot_heatmap(
            figure.add_subplot(), stimulus.heatmap, image=stimulus.image, size_px=stimulus.size_px
        )
    return {"item": stimulus.name, "fixations": len(stimulus.fixations)}


def draw_levels(
    stimulus: Stimulus, out: Path, spec: FigureSpec | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the figure of all levels, four in a row; see :func:`plot_levels`.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, or matplotlib is missing.
    SchemaError
        Nobody looked.
    """
    check_figure(out, (), overwrite=overwrite)
    _check_gaze(stimulus)
    levels = len(stimulus.maps)
    columns = min(levels, _MOST_COLUMNS)
    with paper_figure(out, spec or FigureSpec(183), "track levels", overwrite=overwrite) as figure:
        axes = [
            figure.add_subplot(-(-levels // columns), columns, place + 1) for place in range(levels)
        ]
        plot_levels(
            axes,
            stimulus.maps,
            image=stimulus.image,
            size_px=stimulus.size_px,
            kept=stimulus.kept(),
        )
    return {"item": stimulus.name, "levels": levels, "fixations": len(stimulus.fixations)}


def draw_main_sequence(
    saccades: Path, out: Path, spec: FigureSpec | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the figure of the main sequence of a table; see :func:`plot_main_sequence`.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, or matplotlib is missing.
    SchemaError
        It is no table of saccades, or none of them can be drawn.
    """
    check_figure(out, [saccades], overwrite=overwrite)
    table, _ = read_table(saccades, SACCADES)
    with paper_figure(out, spec or FigureSpec(), "main sequence", overwrite=overwrite) as figure:
        axes = figure.add_subplot(box_aspect=0.8)
        fits = _told(saccades, lambda: plot_main_sequence(axes, table, legend=False))
        legend_below(figure)
    fitted = {
        name: fit and {"k": fit.k, "exponent": fit.exponent, "saccades": fit.saccades}
        for name, fit in fits.items()
    }
    return {"saccades": len(table), "fits": fitted}


def draw_durations(
    fixations: Path, out: Path, spec: FigureSpec | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the histogram of fixation durations of a table; see :func:`plot_durations`.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, or matplotlib is missing.
    SchemaError
        It is no table of fixations, or an empty one.
    """
    check_figure(out, [fixations], overwrite=overwrite)
    table, _ = read_table(fixations, FIXATIONS)
    with paper_figure(out, spec or FigureSpec(), "durations", overwrite=overwrite) as figure:
        axes = figure.add_subplot(box_aspect=0.62)
        beyond = _told(fixations, lambda: plot_durations(axes, table, legend=False))
        legend_below(figure)
    return {"fixations": len(table), "beyond the axis": beyond}


def draw_quality(
    quality: Path, out: Path, spec: FigureSpec | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the figure of data quality, a panel for each measure; see :func:`plot_quality`.

    Limits are those that `gazetools check` was told, and stored beside its figures.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, or matplotlib is missing.
    SchemaError
        It is no table of quality, or has no figure to draw.
    """
    check_figure(out, [quality], overwrite=overwrite)
    table, made_by = read_table(quality, QUALITY)
    measures = _told(quality, lambda: panels_in(table))
    limits = _limits(quality, made_by)
    recordings = int((table["level"] == "recording").sum())
    row_mm = min(_ROW_MM, _TALLEST_MM / recordings)
    beyond = {}
    spec = spec or FigureSpec(183)
    height_mm = max(row_mm * recordings, 2 * _ROW_MM) + _AXIS_MM
    with paper_figure(
        out, spec, "data quality", height_mm=height_mm, overwrite=overwrite
    ) as figure:
        panels = figure.subplots(1, len(measures), squeeze=False)[0]
        for place, (axes, measure) in enumerate(zip(panels, measures, strict=True)):
            names = place == 0 and row_mm >= _NAMED_FROM_MM
            beyond[measure] = plot_quality(axes, table, measure, limits, names=names)
        if row_mm < _NAMED_FROM_MM:
            panels[0].set_ylabel(f"{recordings} recordings, as the table has them")
        legend_below(figure, columns=4)
    return {"recordings": recordings, "beyond a limit": {k: n for k, n in beyond.items() if n}}


def draw_learning_curves(
    runs: Sequence[Path], out: Path, spec: FigureSpec | None = None, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the figure of runs' training loss and validation score; see :func:`read_run`.

    Raises
    ------
    OutputError, ConfigError
        `out` cannot be written, matplotlib is missing, or there are too many runs.
    FormatError
        A folder is no run folder.
    """
    check_figure(out, [run / "metrics.csv" for run in runs], overwrite=overwrite)
    read = [read_run(run) for run in runs]
    groups = group_runs(read)
    shown = [curve for curve in CURVES if any(curve in run.metrics for run in read)]
    spec = spec or FigureSpec(183)
    with paper_figure(out, spec, "learning curves", overwrite=overwrite) as figure:
        panels = figure.subplots(1, len(shown), squeeze=False, subplot_kw={"box_aspect": 0.7})[0]
        for axes, curve in zip(panels, shown, strict=True):
            plot_learning_curves(axes, read, curve, legend=False)
        legend_below(figure, columns=4)
    return {"runs": len(read), "lines": list(groups)}


def _check_gaze(stimulus: Stimulus) -> None:
    if not len(stimulus.fixations):
        raise SchemaError(f"item {stimulus.name!r}: nobody looked at it; name another")


def _limits(path: Path, made_by: Mapping[str, Any]) -> dict[str, float | None]:
    """Limits of a table's footer; a table that another tool wrote has none."""
    told = made_by.get("limits", {})
    plain = isinstance(told, dict) and all(
        v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in told.values()
    )
    if not plain:
        raise SchemaError(f"{path}: its limits are {told!r}; expected a number each, check again")
    return dict(told)


def _told(path: Path, draw: Callable[[], Drawn]) -> Drawn:
    """Name the file where what it holds cannot be drawn."""
    try:
        return draw()
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from error
