"""Dispersion-threshold identification of fixations (I-DT).

D. D. Salvucci and J. H. Goldberg, "Identifying fixations and saccades in eye-tracking
protocols", ETRA 2000, pages 71-78: the shortest fixation that counts is moved along the samples
until its dispersion, (max x - min x) + (max y - min y), is at most the threshold; then samples
are added as long as that holds. What was a fixation is taken away and the search goes on behind.

Where the paper leaves a choice: a window never reaches over a missing sample; a fixation lasts,
as everywhere here, from border to border, so that its n samples last n intervals; what lies
between two fixations of an unbroken run is a saccade, the rest is unclassified. pymovements
counts the sample that broke a fixation as its end and searches on behind it; its offsets
are our borders, and its events are ours wherever that sample begins no fixation itself.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import pandas as pd

from gazetools.errors import ConfigError
from gazetools.events.detector import HALF_MS, Floats, Labels, Settings
from gazetools.events.rays import gaze_angles, gaze_px
from gazetools.kernels.dispersion import label_by_dispersion
from gazetools.timeline import Timeline


@dataclass(frozen=True)
class IDT(Settings):
    """Settings of I-DT. One of the two dispersions is given.

    Attributes
    ----------
    dispersion_deg : float or None
        Largest dispersion of a fixation in degrees of visual angle, x and y apart.
    dispersion_px : float or None
        The same in screen px, for recordings whose geometry is not known.
    min_fixation_ms : float
        Rounded to whole ms.
    eye : {"average", "left", "right"}
    """

    algorithm: ClassVar[str] = "idt"

    dispersion_deg: float | None = 1.0
    dispersion_px: float | None = None
    min_fixation_ms: float = 100.0
    eye: Literal["average", "left", "right"] = "average"

    def __post_init__(self) -> None:
        self.check_choices()
        self.check_positive("min_fixation_ms")
        if (self.dispersion_deg is None) == (self.dispersion_px is None):
            raise ConfigError(
                f"dispersion_deg is {self.dispersion_deg} and dispersion_px {self.dispersion_px}; "
                "give one of them and leave the other off"
            )
        self.check_positive("dispersion_deg" if self.dispersion_px is None else "dispersion_px")


def detect_idt(
    samples: pd.DataFrame, line: Timeline, params: IDT, mm_per_px: float | None = None
) -> Labels:
    """Label each sample of a recording's timeline; see :func:`gazetools.events.detect`.

    Of fixations that touch, every second has :data:`gazetools.kernels.labels.OTHER` added.
    """
    if params.dispersion_px is not None:
        signal = gaze_px(samples, line, params.eye)
    else:
        signal = gaze_angles(samples, line, params.eye, mm_per_px)
    return label_dispersion(signal, line.borders_us(), params)


def label_dispersion(gaze: Floats, borders_us: Floats, params: IDT) -> Labels:
    """Label gaze (m, 2), in the unit of the dispersion; sample i lasts from border i to i + 1."""
    limit = params.dispersion_px or params.dispersion_deg or 0.0
    shortest_us = (params.min_fixation_ms - HALF_MS) * 1000
    return label_by_dispersion(gaze, borders_us, limit, shortest_us)
