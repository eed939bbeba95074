"""Fixations by the spread of gaze in space: what Pupil Core calls one.

M. Kassner, W. Patera and A. Bulling, "Pupil: an open source platform for pervasive eye tracking
and mobile gaze-based interaction", UbiComp 2014 Adjunct, pages 1151-1160; Pupil Core's
documentation, "Fixations". The shortest time that counts is moved along gaze of sufficient
confidence until no two of its directions are further apart than a threshold; then it grows, up to
the longest time that counts, so that one long look is several fixations. The defaults are those
of Pupil Player.

Where the documentation leaves a choice, what reproduces an export to the sample: a fixation lasts
from its first sample to its last; a sample of low confidence is passed over; where the longest
window is too wide, its end is found by bisection, and the last sample that would fit is left out.
Unlike Pupil's, no window reaches over a hole that is longer than a fixation may be. What is no
fixation is unclassified, for no saccades are looked for.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from gazetools.errors import ConfigError
from gazetools.events.assumed_eyes import knows_directions, knows_eyes
from gazetools.events.detector import FIXATION, MISSING, UNCLASSIFIED, Floats, Labels, Settings
from gazetools.events.ivt import IVT, cyclopean_gaze
from gazetools.events.rays import EYES
from gazetools.kernels.labels import OTHER
from gazetools.kernels.spread import narrow_windows
from gazetools.timeline import Timeline

_CHAIN = IVT(gap_fill_ms=None, gaze_as="direction")


@dataclass(frozen=True)
class Spread(Settings):
    """Settings of the detector by spread.

    Attributes
    ----------
    max_spread_deg : float
        Largest angle between any two directions of a fixation.
    min_fixation_ms, max_fixation_ms : float
        From the first sample to the last.
    """

    algorithm: ClassVar[str] = "spread"

    max_spread_deg: float = 1.5
    min_fixation_ms: float = 80.0
    max_fixation_ms: float = 220.0

    def __post_init__(self) -> None:
        self.check_positive("max_spread_deg", "min_fixation_ms")
        if self.max_fixation_ms < self.min_fixation_ms:
            raise ConfigError(
                f"max_fixation_ms is {self.max_fixation_ms}; it must be at least min_fixation_ms, "
                f"{self.min_fixation_ms}"
            )


def detect_spread(
    samples: pd.DataFrame, line: Timeline, params: Spread, mm_per_px: float | None = None
) -> Labels:
    """Label each sample of a recording's timeline; see :func:`gazetools.events.detect`.

    Of fixations that touch, every second has :data:`gazetools.kernels.labels.OTHER` added.

    Raises
    ------
    GeometryError
        There is gaze, but neither its directions nor what they could be told from.
    """
    direction = _directions(samples, line, mm_per_px)
    seen = np.flatnonzero(~np.isnan(direction).any(axis=1))
    windows = narrow_windows(
        direction[seen],
        line.time_us[seen],
        float(np.cos(np.radians(params.max_spread_deg))),
        params.min_fixation_ms * 1000,
        params.max_fixation_ms * 1000,
    )
    label = np.full(len(direction), MISSING, np.int8)
    label[seen] = UNCLASSIFIED
    before, code = -1, FIXATION
    for first, last in seen[windows]:
        touches = first == before + 1 and code == FIXATION
        code = FIXATION + OTHER if touches else FIXATION
        label[first : last + 1] = code
        before = last
    return label


def _directions(samples: pd.DataFrame, line: Timeline, mm_per_px: float | None) -> Floats:
    """Return unit vectors (m, 3) of gaze, from between the eyes, or as they are told."""
    if knows_eyes(samples) or not knows_directions(samples):
        direction = cyclopean_gaze(samples, line, _CHAIN, mm_per_px).gaze
    else:
        left, right = (
            samples.reindex(columns=[f"{eye}_dir_{axis}" for axis in "xyz"]).to_numpy(np.float64)
            for eye in EYES
        )
        left, right = np.where(np.isnan(left), right, left), np.where(np.isnan(right), left, right)
        direction = line.spread(left + right)
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    unit: Floats = direction / np.where(length > 0, length, np.nan)
    return unit
