"""From a recording's columns to rays: where each eye is, and the point on the display it sees.

Everything here is in mm and in display coordinates. A ray is missing where the eye is not
valid or any of its five numbers is unknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import GeometryError, SchemaError
from gazetools.events.detector import Floats, Integers
from gazetools.kernels import rays as kernels
from gazetools.timeline import Timeline

EYES = ("left", "right")

_BLOCK = 1 << 15


@dataclass(frozen=True)
class Eye:
    """Columns of one eye: gaze point x, y, eye x, y, z, direction x, y, z; None if not there."""

    columns: tuple[Floats | None, ...]
    point_scale: float
    valid: NDArray[np.bool_] | None

    def rays(self, rows: Integers) -> Floats:
        """Gaze point x, y and eye position x, y, z (m, 5) in some rows; -1 is a missing one."""
        if not self.knows_rays():
            return np.full((len(rows), 5), np.nan)
        table = np.empty((len(self.columns), len(rows)))
        for values, column in zip(table, self.columns, strict=True):
            if column is None:
                values[:] = np.nan
            else:
                column.take(rows, out=values, mode="wrap")
        table[:2] *= self.point_scale
        seen = rows >= 0
        if self.valid is not None:
            seen &= self.valid.take(rows, mode="wrap")
        return kernels.rays(table, seen)

    def knows_rays(self) -> bool:
        """Whether there is an eye position, and a point or a direction to go with it."""
        parts = self.columns[:2], self.columns[2:5], self.columns[5:]
        point, eye, direction = (all(c is not None for c in part) for part in parts)
        return eye and (point or direction)


def ray_blocks(
    samples: pd.DataFrame,
    line: Timeline,
    mm_per_px: float | None = None,
    block: int = _BLOCK,
) -> Iterator[tuple[slice, Floats, Floats]]:
    """Rays of the left and of the right eye along a timeline, some samples at a time.

    If the table has gaze directions (``left_dir_x`` ...), the gaze point is where they meet
    the display: exports round directions less than points.

    Yields
    ------
    where : slice
        Of the timeline.
    left, right : (b, 5)
        Gaze x, y and eye x, y, z in mm, display coordinates; NaN where the eye is not valid.

    Raises
    ------
    GeometryError
        There is gaze, but no eye position, or no way from px to mm; raised at the end.
    """
    left, right = (_eye(samples, eye, mm_per_px) for eye in EYES)
    any_seen = False
    for begin in range(0, len(line.rows), block):
        where = slice(begin, begin + block)
        rows = line.rows[where]
        rays = left.rays(rows), right.rays(rows)
        any_seen = any_seen or not all(np.isnan(ray[:, 0]).all() for ray in rays)
        yield where, *rays
    if not any_seen and _has_gaze(samples):
        raise GeometryError(_explain_missing_rays(samples))


def eye_rays(
    samples: pd.DataFrame, line: Timeline, mm_per_px: float | None = None
) -> tuple[Floats, Floats]:
    """Rays of both eyes (m, 5) along a whole timeline; see :func:`ray_blocks`.

    Raises
    ------
    GeometryError
        There is gaze, but no eye position, or no way from px to mm.
    """
    # a list, as what is missing is said at the end of the blocks
    blocks = list(ray_blocks(samples, line, mm_per_px, max(1, len(line.rows))))
    return blocks[0][1:] if blocks else (np.empty((0, 5)), np.empty((0, 5)))


def gaze_angles(
    samples: pd.DataFrame, line: Timeline, eye: str = "average", mm_per_px: float | None = None
) -> Floats:
    """Degrees (m, 2) right of and below straight ahead, seen from where the eye is.

    Parameters
    ----------
    eye : {"average", "left", "right"}
        For the average, a lost eye is estimated from the other and their last difference.
    """
    angles = np.empty((len(line.rows), 2))
    difference = np.zeros(5)
    for where, left, right in ray_blocks(samples, line, mm_per_px):
        if eye == "average":
            kernels.substitute_lost_eye(left, right, difference)
            angles[where] = kernels.angles((left + right) / 2)
        else:
            angles[where] = kernels.angles(left if eye == "left" else right)
    return angles


def gaze_px(samples: pd.DataFrame, line: Timeline, eye: str = "average") -> Floats:
    """Gaze on the screen (m, 2), px, of one eye or of both, along a timeline.

    Raises
    ------
    SchemaError
        The table has no such gaze.
    """
    names = ["x_px", "y_px"] if eye == "average" else [f"{eye}_x_px", f"{eye}_y_px"]
    absent = [name for name in names if name not in samples]
    if absent:
        raise SchemaError(f"samples table: column {absent[0]!r} is missing; found no such gaze")
    gaze = line.spread(samples[names].to_numpy(np.float64))
    gaze[~np.isfinite(gaze).all(axis=1)] = np.nan
    return gaze


def screen_gaze(samples: pd.DataFrame, eye: str | None = None) -> Floats:
    """Gaze on the screen (n, 2), px, of each row: of an eye if the table tells it, else of both."""
    names = [f"{eye}_x_px", f"{eye}_y_px"]
    if eye is None or not _any_finite(samples, names):
        return np.asarray(samples[["x_px", "y_px"]].to_numpy(np.float64))
    gaze: Floats = samples[names].to_numpy(np.float64, copy=True)
    if f"{eye}_valid" in samples:
        gaze[~samples[f"{eye}_valid"].to_numpy(bool)] = np.nan
    return gaze


def _eye(samples: pd.DataFrame, eye: str, mm_per_px: float | None) -> Eye:
    point, scale = [f"{eye}_{axis}_mm" for axis in "xy"], 1.0
    if mm_per_px is not None and not _any_finite(samples, point):
        point, scale = [f"{eye}_{axis}_px" for axis in "xy"], mm_per_px
    names = (
        *point,
        *(f"{eye}_eye_{axis}_mm" for axis in "xyz"),
        *(f"{eye}_dir_{axis}" for axis in "xyz"),
    )
    valid = f"{eye}_valid"
    return Eye(
        tuple(_column(samples, name) for name in names),
        scale,
        samples[valid].to_numpy(bool) if valid in samples else None,
    )


def _column(samples: pd.DataFrame, name: str) -> Floats | None:
    return samples[name].to_numpy(np.float64) if name in samples else None


def _any_finite(samples: pd.DataFrame, names: list[str]) -> bool:
    columns = (_column(samples, name) for name in names)
    return any(column is not None and bool(np.isfinite(column).any()) for column in columns)


def _has_gaze(samples: pd.DataFrame) -> bool:
    return _any_finite(samples, ["x_px", *(f"{eye}_x_{u}" for eye in EYES for u in ("px", "mm"))])


def _explain_missing_rays(samples: pd.DataFrame) -> str:
    if _any_finite(samples, [f"{eye}_eye_{axis}_mm" for eye in EYES for axis in "xyz"]):
        return (
            "no gaze in mm on the display (left_x_mm ...) beside the eye positions; export "
            "'Gaze point left/right (DACSmm)', or give the size of a pixel (mm_per_px, --screen)"
        )
    return (
        "no eye positions (left_eye_x_mm ...): angles are measured at the eye; say how large "
        "the display was and how far away the eyes were (--screen 1920x1080:527x296:650), or, from "
        "Tobii, export 'Eye position left/right (DACSmm)' too, or use the vendor's own fixations, "
        "if there are any (--events vendor)"
    )
