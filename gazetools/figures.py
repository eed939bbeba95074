"""Pictures of what the other modules make: scanpath, maps, outlines. RGB uint8 in and out."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.cache import Cache
from gazetools.images import UInt8
from gazetools.masks import FOREGROUND

Float64 = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

PSEUDO: Colour = (255, 196, 0)
REFERENCE: Colour = (64, 224, 208)
_INK: Colour = (40, 40, 40)
_FINER = 3  # drawn larger, then averaged down: smooth lines


def draw_scanpath(image: UInt8, x: Float64, y: Float64, duration_ms: Float64) -> UInt8:
    """Draw fixations on an image: area by duration, colour from blue (first) to red (last).

    Parameters
    ----------
    image : ndarray of uint8, shape (height, width, 3)
    x, y : ndarray, shape (n,)
        Fractions of width and height, in the order of looking.
    duration_ms : ndarray, shape (n,)
    """
    height, width, _ = image.shape
    canvas = _enlarged(image)
    centres = np.column_stack((x * width, y * height)) * _FINER
    points = [(round(cx), round(cy)) for cx, cy in centres]
    cv2.polylines(canvas, [np.array(points, np.int32)], False, (255, 255, 255), _FINER, cv2.LINE_AA)
    unit = 0.012 * min(height, width) * _FINER / np.sqrt(np.median(duration_ms))
    for order, (point, duration) in enumerate(zip(points, duration_ms, strict=True)):
        hue = 0.62 * (1 - order / max(1, len(points) - 1))
        red, green, blue = (round(255 * v) for v in colorsys.hsv_to_rgb(hue, 0.85, 1.0))
        radius = max(2 * _FINER, round(unit * np.sqrt(duration)))
        cv2.circle(canvas, point, radius, (red, green, blue), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(canvas, point, radius, (255, 255, 255), 1, cv2.LINE_AA)
    return _shrunk(canvas)


def overlay_map(image: UInt8, values: UInt8, opacity: float = 0.75) -> UInt8:
    """Lay a map (0 .. 255) over an image, the more opaque the higher its value."""
    coloured = cv2.applyColorMap(values, cv2.COLORMAP_INFERNO)[:, :, ::-1]
    weight = opacity * values[:, :, None] / 255 + 0.15
    return np.asarray(image * (1 - weight) + coloured * weight, np.uint8)


def draw_outline(image: UInt8, mask: npt.NDArray[np.bool_], colour: Colour) -> UInt8:
    """Draw the outline of a mask on an image."""
    canvas = _enlarged(image)
    size = (canvas.shape[1], canvas.shape[0])
    soft = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    outlines, _ = cv2.findContours(
        (soft > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(canvas, outlines, -1, colour, 2 * _FINER, cv2.LINE_AA)
    return _shrunk(canvas)


def storyboard(cache: Cache, index: int) -> UInt8:
    """Show one item of a cache: scanpath, levels, pseudo-mask (and reference).

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        Panels in a row, each with its caption.
    """
    item = cache.items[index]
    image = cache.read("images", [index])[0]
    fixations = cache.fixations(index)
    x, y = fixations[:, 0] / item.width, fixations[:, 1] / item.height
    masked = draw_outline(image, cache.read("pseudo_masks", [index])[0] == FOREGROUND, PSEUDO)
    caption = "pseudo-mask"
    if item.has_mask:
        masked = draw_outline(masked, cache.read("masks", [index])[0] > 0, REFERENCE)
        caption = "pseudo-mask, reference"
    scanpath = image
    for track in np.unique(fixations[:, 4]):
        rows = fixations[:, 4] == track
        scanpath = draw_scanpath(scanpath, x[rows], y[rows], fixations[rows, 3])
    panels = [("scanpath", scanpath)]
    levels = cache.read("maps", [index])[0]
    panels += [(f"level {n}", overlay_map(image, level)) for n, level in enumerate(levels, 1)]
    panels += [(caption, masked)]
    return join_panels(panels)


def join_panels(
    panels: Sequence[tuple[str, UInt8]], gap_px: int = 8, caption_px: int = 24
) -> UInt8:
    """Set captioned pictures of one size side by side on white."""
    height, width, _ = panels[0][1].shape
    columns = len(panels) * (width + gap_px) + gap_px
    canvas = np.full((height + caption_px + gap_px, columns, 3), 255, np.uint8)
    for position, (caption, picture) in enumerate(panels):
        left = gap_px + position * (width + gap_px)
        canvas[caption_px : caption_px + height, left : left + width] = picture
        _write(canvas, caption, (left, caption_px - 8))
    return canvas


def _write(canvas: UInt8, text: str, at: tuple[int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)


def _enlarged(image: UInt8) -> UInt8:
    size = (image.shape[1] * _FINER, image.shape[0] * _FINER)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _shrunk(canvas: UInt8) -> UInt8:
    size = (canvas.shape[1] // _FINER, canvas.shape[0] // _FINER)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
