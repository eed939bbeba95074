"""Eyes for exports that do not tell where the eyes were."""

import numpy as np
import pandas as pd

from gazetools.events.rays import EYES
from gazetools.geometry import Screen


def knows_eyes(samples: pd.DataFrame) -> bool:
    """Whether a SAMPLES table has the position of an eye anywhere."""
    names = [f"{eye}_eye_{axis}_mm" for eye in EYES for axis in "xyz"]
    return bool(samples.reindex(columns=names).notna().any(axis=None))


def knows_directions(samples: pd.DataFrame) -> bool:
    """Whether a SAMPLES table has the direction of an eye's gaze anywhere."""
    names = [f"{eye}_dir_{axis}" for eye in EYES for axis in "xyz"]
    return bool(samples.reindex(columns=names).notna().any(axis=None))


def assume_eyes(samples: pd.DataFrame, screen: Screen) -> pd.DataFrame:
    """Put both eyes in front of the middle of the screen, at the distance that was told.

    Gaze in mm is made from px where the table has none. An eye without gaze of its own gets
    the average gaze if the other has none either. Gaze directions are left out: they start
    from where the eyes really were.

    Parameters
    ----------
    samples : DataFrame
        A SAMPLES table without eye positions; it is not changed.
    screen : Screen
    """
    directions = [f"{eye}_dir_{axis}" for eye in EYES for axis in "xyz"]
    samples = samples.drop(columns=directions, errors="ignore")
    gaze = pd.concat([_gaze_mm(samples, eye, screen) for eye in EYES], axis=1)
    if gaze.isna().all(axis=None):
        mean = samples[["x_px", "y_px"]].to_numpy(np.float64) * screen.pixel_mm
        gaze[:] = np.hstack([mean, mean])
        seen = ~np.isnan(mean).any(axis=1)
        samples = samples.assign(left_valid=seen, right_valid=seen)
    middle = {"x": screen.width_mm / 2, "y": screen.height_mm / 2, "z": screen.distance_mm}
    eyes = {f"{eye}_eye_{axis}_mm": mm for eye in EYES for axis, mm in middle.items()}
    return samples.assign(**gaze, **eyes)


def gaze_in_mm(samples: pd.DataFrame, screen: Screen) -> pd.DataFrame:
    """Make gaze in mm from px where one size of a pixel (`mm_per_px`) would not do.

    Parameters
    ----------
    samples : DataFrame
        A SAMPLES table with eye positions; it is not changed.
    screen : Screen
    """
    width, height = screen.pixel_mm
    if width == height:
        return samples
    return samples.assign(**pd.concat([_gaze_mm(samples, eye, screen) for eye in EYES], axis=1))


def _gaze_mm(samples: pd.DataFrame, eye: str, screen: Screen) -> pd.DataFrame:
    names = [f"{eye}_x_mm", f"{eye}_y_mm"]
    in_mm = samples.reindex(columns=names).astype(np.float64)
    if in_mm.notna().any(axis=None):
        return in_mm
    in_px = samples.reindex(columns=[f"{eye}_x_px", f"{eye}_y_px"]).astype(np.float64)
    return (in_px * np.array(screen.pixel_mm)).set_axis(names, axis=1)
