"""Gaze and its speed as a detector sees them: for what is measured and drawn of its events."""

from dataclasses import replace

import pandas as pd

from gazetools.events.detector import Floats, Settings
from gazetools.events.engbert_kliegl import EngbertKliegl, speed
from gazetools.events.ivt import IVT, Gaze, cyclopean_gaze, velocity
from gazetools.events.saccade_parser import SaccadeParser, angular_speed, gaze_of
from gazetools.timeline import Timeline

_RAW = IVT(gap_fill_ms=None, substitute_lost_eye=True, shift_velocity_window=True)


def gaze_and_speed(
    samples: pd.DataFrame, line: Timeline, params: Settings | None, mm_per_px: float | None = None
) -> tuple[Gaze, Floats]:
    """Return gaze (m,) along a timeline, and its angular speed (m,) in degrees per second.

    A detector that has no angular speed, and None, sees raw gaze over the white paper's 20 ms.

    Raises
    ------
    GeometryError
        There is gaze, but no eye position, or no way from px to mm.
    """
    if isinstance(params, SaccadeParser):
        gaze = gaze_of(samples, line, params, mm_per_px)
        return gaze, angular_speed(gaze, line, params)
    chain = params if isinstance(params, IVT) else _raw(params)
    gaze = cyclopean_gaze(samples, line, chain, mm_per_px)
    if isinstance(params, EngbertKliegl) and params.unit == "deg":
        return gaze, speed(samples, line, params, mm_per_px)
    return gaze, velocity(gaze, line, chain)


def _raw(params: Settings | None) -> IVT:
    """Raw gaze of the eye that a detector looks at."""
    if params is None or params.single_eye is None:
        return _RAW
    return replace(_RAW, eye_selection=params.single_eye)
