"""Figures of data quality that people look at: what they are called, and their limits."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Measure:
    """A column of a QUALITY table.

    Attributes
    ----------
    column : str
    label, unit : str
    digits : int
        Behind the point.
    flag : str
        How a flag of it begins; empty if there is none.
    above, below : str or None
        Limits (:class:`gazetools.quality.QualitySpec`) that it may pass, in its own unit.
    instead_of : str or None
        The column without which it is shown.
    in_figures : bool
        Whether it has a panel in figures for papers.
    """

    column: str
    label: str
    unit: str
    digits: int
    flag: str = ""
    above: str | None = None
    below: str | None = None
    instead_of: str | None = None
    in_figures: bool = True


MEASURES = (
    Measure("rate_hz", "rate", "Hz", 1, "rate of that stated", in_figures=False),
    Measure("irregular_pct", "irregular", "%", 1, "irregular intervals", in_figures=False),
    Measure("loss_pct", "data loss", "%", 1, "data loss", above="max_loss_pct"),
    Measure("rms_s2s_deg", "RMS-S2S", "deg", 3, "RMS-S2S", above="max_rms_s2s_deg"),
    Measure("rms_s2s_px", "RMS-S2S", "screen px", 1, instead_of="rms_s2s_deg"),
    Measure("std_deg", "STD", "deg", 3, in_figures=False),
    Measure("bcea_deg2", "BCEA", "deg²", 3, in_figures=False),
    Measure("accuracy_deg", "accuracy", "deg", 2, "accuracy", above="max_accuracy_deg"),
    Measure("accuracy_px", "accuracy", "screen px", 1, instead_of="accuracy_deg"),
    Measure("disparity_deg", "disparity", "deg", 2, "disparity", above="max_disparity_deg"),
    Measure("on_image_pct", "gaze on image", "%", 1, "gaze on the image", below="min_on_image_pct"),
    Measure("fixations", "fixations", "", 0, "fixations", in_figures=False),
    Measure(
        "fixation_median_ms",
        "median fixation",
        "ms",
        0,
        "median fixation",
        above="max_median_fixation_ms",
        below="min_median_fixation_ms",
    ),
    Measure("in_mask_pct", "in mask", "%", 1, in_figures=False),
)
"""In the order of columns and panels."""


def measures_in(rows: pd.DataFrame) -> list[Measure]:
    """Which of MEASURES the rows have; px only where none has degrees."""
    known = {one.column for one in MEASURES if rows[one.column].notna().any()}
    return [one for one in MEASURES if one.column in known and one.instead_of not in known]
