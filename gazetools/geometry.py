"""Where things are: the screen, the image on it, and the way between their pixels.

Pixel c covers [c, c + 1); the origin is top left; y points down.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from gazetools.errors import GeometryError

Float64 = npt.NDArray[np.float64]

_ROUGHLY = 0.02
"""Millimetres of displays are whole ones, of their frames, or told by a diagonal."""

PLACEMENTS = ("fit", "fill", "centre", "none")


def _all_positive(*sizes: float) -> bool:
    return all(math.isfinite(size) and size > 0 for size in sizes)


@dataclass(frozen=True)
class Screen:
    """A display, and how far away from it the eyes are."""

    width_px: int
    height_px: int
    width_mm: float
    height_mm: float
    distance_mm: float

    def __post_init__(self) -> None:
        sizes = (self.width_mm, self.height_mm, self.distance_mm)
        if min(self.width_px, self.height_px) < 1 or not _all_positive(*sizes):
            raise GeometryError(f"{self}: all sizes must be positive and finite")

    @property
    def mm_per_px(self) -> float:
        """Width of a pixel."""
        return self.width_mm / self.width_px

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Width and height of a pixel; one size if they differ by no more than rough rulers do."""
        width, height = self.mm_per_px, self.height_mm / self.height_px
        return (width, height) if abs(height / width - 1) > _ROUGHLY else (width, width)

    def to_deg(self, x_px: npt.ArrayLike, y_px: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Angles right of and below the screen's centre, in degrees of visual angle."""
        x_mm = (np.asarray(x_px, float) - self.width_px / 2) * self.width_mm / self.width_px
        y_mm = (np.asarray(y_px, float) - self.height_px / 2) * self.height_mm / self.height_px
        return (
            np.degrees(np.arctan2(x_mm, self.distance_mm)),
            np.degrees(np.arctan2(y_mm, self.distance_mm)),
        )

    def to_px(self, x_deg: npt.ArrayLike, y_deg: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Undo :meth:`to_deg`."""
        x_mm = np.tan(np.radians(np.asarray(x_deg, float))) * self.distance_mm
        y_mm = np.tan(np.radians(np.asarray(y_deg, float))) * self.distance_mm
        return (
            x_mm * self.width_px / self.width_mm + self.width_px / 2,
            y_mm * self.height_px / self.height_mm + self.height_px / 2,
        )


def inside(
    x: npt.ArrayLike, y: npt.ArrayLike, width: npt.ArrayLike, height: npt.ArrayLike
) -> npt.NDArray[np.bool_]:
    """Whether points lie on a rectangle that begins at (0, 0); false where anything is NaN."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def parse_screen(text: str) -> tuple[tuple[int, int], Screen | None]:
    """Read ``1920x1080`` or ``1920x1080:527x296:650``: pixels; millimetres, eye distance in mm.

    Returns
    -------
    size_px : (int, int)
        Width and height.
    screen : Screen or None
        None where only pixels are given.

    Raises
    ------
    GeometryError
        `text` is neither, or a size is not positive.
    """
    try:
        pixels, *rest = text.lower().split(":")
        width_px, height_px = (int(v) for v in pixels.split("x"))
        if min(width_px, height_px) < 1:
            raise ValueError(pixels)
        if not rest:
            return (width_px, height_px), None
        millimetres, distance = rest
        width_mm, height_mm = (float(v) for v in millimetres.split("x"))
        screen = Screen(width_px, height_px, width_mm, height_mm, float(distance))
    except ValueError as error:
        raise GeometryError(
            f"screen {text!r} is not understood; expected pixels, or pixels, millimetres and the "
            "eyes' distance in mm: 1920x1080 or 1920x1080:527x296:650"
        ) from error
    return (width_px, height_px), screen


@dataclass(frozen=True)
class Placement:
    """The rectangle of the screen that an image filled, and the image's own size."""

    x_px: float
    y_px: float
    width_px: float
    height_px: float
    image_width: int
    image_height: int

    def __post_init__(self) -> None:
        sizes = (self.width_px, self.height_px, self.image_width, self.image_height)
        if not (_all_positive(*sizes) and math.isfinite(self.x_px) and math.isfinite(self.y_px)):
            raise GeometryError(f"{self}: all sizes must be positive, all numbers finite")

    @classmethod
    def of(cls, how: str, image_size: tuple[int, int], screen_size: tuple[int, int]) -> Self:
        """Place an image by rule; sizes are (width, height) in px.

        ``fit``: as large as the screen allows, proportions kept, centred. ``fill``: stretched
        over the whole screen. ``centre``: at its own size, centred. ``none``: at its own size
        in the top left corner, that is, gaze is in image pixels already.
        """
        (image_w, image_h), (screen_w, screen_h) = image_size, screen_size
        if how == "fit":
            scale = min(screen_w / image_w, screen_h / image_h)
            width, height = image_w * scale, image_h * scale
        elif how == "fill":
            width, height = float(screen_w), float(screen_h)
        elif how in ("centre", "none"):
            width, height = float(image_w), float(image_h)
        else:
            raise GeometryError(f"placement {how!r} is unknown; expected {', '.join(PLACEMENTS)}")
        if how == "none":
            return cls(0.0, 0.0, width, height, image_w, image_h)
        left, top = (screen_w - width) / 2, (screen_h - height) / 2
        return cls(left, top, width, height, image_w, image_h)

    def to_image(self, x_px: npt.ArrayLike, y_px: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Screen px to image px."""
        return (
            (np.asarray(x_px, float) - self.x_px) * (self.image_width / self.width_px),
            (np.asarray(y_px, float) - self.y_px) * (self.image_height / self.height_px),
        )

    def to_screen(self, x_im: npt.ArrayLike, y_im: npt.ArrayLike) -> tuple[Float64, Float64]:
        """Image px to screen px."""
        return (
            np.asarray(x_im, float) * (self.width_px / self.image_width) + self.x_px,
            np.asarray(y_im, float) * (self.height_px / self.image_height) + self.y_px,
        )
