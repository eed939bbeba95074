"""How far and how fast saccades go."""

import numpy as np
import pandas as pd

from gazetools.errors import GeometryError
from gazetools.events.detector import Floats, Integers, Settings
from gazetools.events.rays import screen_gaze
from gazetools.events.speeds import gaze_and_speed
from gazetools.kernels.measures import angles_between, largest_of_events
from gazetools.timeline import Timeline


def measure_saccades(
    samples: pd.DataFrame,
    line: Timeline,
    found: pd.DataFrame,
    params: Settings | None,
    mm_per_px: float | None,
) -> pd.DataFrame:
    """Measure ends, amplitudes and peak velocities; see :func:`gazetools.events.saccades`.

    Parameters
    ----------
    found : DataFrame
        ``first_row`` and ``last_row``.
    """
    first, last = (line.positions[found[name].to_numpy()] for name in ("first_row", "last_row"))
    gaze = line.spread(screen_gaze(samples, params.single_eye if params is not None else None))
    start, end = _outer(gaze, first, last)
    places = dict(
        zip(
            ("start_x_px", "start_y_px", "end_x_px", "end_y_px"),
            np.hstack([gaze[start], gaze[end]]).T,
            strict=True,
        )
    )
    try:
        seen, speeds = gaze_and_speed(samples, line, params, mm_per_px)
    except GeometryError:
        unknown = np.full(len(found), np.nan)
        return pd.DataFrame({**places, "amplitude_deg": unknown, "peak_velocity_deg_s": unknown})
    start, end = _outer(seen.gaze, first, last)
    amplitude = angles_between(seen.gaze, seen.eye, start, end)
    peak = largest_of_events(speeds, first, last)
    return pd.DataFrame({**places, "amplitude_deg": amplitude, "peak_velocity_deg_s": peak})


def _outer(gaze: Floats, first: Integers, last: Integers) -> tuple[Integers, Integers]:
    """Find the samples before and after events, or their own ends where those are missing."""
    known = ~np.isnan(gaze[:, 0])
    before, after = np.maximum(first - 1, 0), np.minimum(last + 1, len(gaze) - 1)
    return np.where(known[before], before, first), np.where(known[after], after, last)
