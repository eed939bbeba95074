"""Figures for papers, through matplotlib: PNG, SVG or PDF, of the same bytes whenever redrawn.

A `plot_...` function draws on Axes that one has, in one's own style; a `draw_...` function reads
what is to be shown and writes a figure of a column's width. Neither touches pyplot.
"""

from gazetools.plotting.events import (
    PowerLaw,
    fit_main_sequence,
    plot_durations,
    plot_main_sequence,
)
from gazetools.plotting.figures import (
    draw_durations,
    draw_heatmap,
    draw_learning_curves,
    draw_levels,
    draw_main_sequence,
    draw_quality,
    draw_scanpath,
)
from gazetools.plotting.gaze import plot_heatmap, plot_levels, plot_scanpath
from gazetools.plotting.paper import FORMATS, FigureSpec, check_figure
from gazetools.plotting.quality import plot_quality
from gazetools.plotting.stimulus import Stimulus, stimulus_in_cache, stimulus_in_table
from gazetools.plotting.training import plot_learning_curves, read_run
from gazetools.reporting.runs import Run

__all__ = [
    "FORMATS",
    "FigureSpec",
    "PowerLaw",
    "Run",
    "Stimulus",
    "check_figure",
    "draw_durations",
    "draw_heatmap",
    "draw_learning_curves",
    "draw_levels",
    "draw_main_sequence",
    "draw_quality",
    "draw_scanpath",
    "fit_main_sequence",
    "plot_durations",
    "plot_heatmap",
    "plot_learning_curves",
    "plot_levels",
    "plot_main_sequence",
    "plot_quality",
    "plot_scanpath",
    "read_run",
    "stimulus_in_cache",
    "stimulus_in_table",
]
