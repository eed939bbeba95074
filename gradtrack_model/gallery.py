"""A picture of many predictions: image, reference outline, predicted outline, name and Dice."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.images import UInt8

COLUMNS = 6
TILE_PX, CAPTION_PX, TITLE_PX, GAP_PX = 240, 26, 40, 10
REFERENCE_RGB, PREDICTION_RGB = (64, 224, 208), (255, 140, 0)
_INK, _PAPER, _TRAY = (40, 40, 40), (255, 255, 255), (238, 238, 238)
_FINER = 2  # drawn larger, then averaged down: smooth lines and letters


class Picture(NamedTuple):
    """One image with its masks.

    Attributes
    ----------
    image : ndarray
        RGB at any size; shown in the proportions of the masks.
    reference, prediction : ndarray
        Masks of one size.
    """

    name: str
    dice: float
    image: UInt8
    reference: npt.NDArray[np.bool_]
    prediction: npt.NDArray[np.bool_]


def draw_gallery(pictures: Sequence[Picture], title: str) -> UInt8:
    """Lay pictures out in the order given, under a title and a legend; returns RGB."""
    columns = max(1, min(COLUMNS, len(pictures)))
    columns = max(columns, 3)  # room for the title
    rows = -(-len(pictures) // columns)
    cell = (TILE_PX + CAPTION_PX + GAP_PX, TILE_PX + GAP_PX)
    height, width = TITLE_PX + rows * cell[0] + GAP_PX, columns * cell[1] + GAP_PX
    canvas = np.full((height * _FINER, width * _FINER, 3), _PAPER, np.uint8)
    _draw_title(canvas, title)
    for position, picture in enumerate(pictures):
        row, column = divmod(position, columns)
        top, left = TITLE_PX + row * cell[0], GAP_PX + column * cell[1]
        _draw_tile(canvas, picture, top * _FINER, left * _FINER)
    shrunk = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def _draw_title(canvas: UInt8, title: str) -> None:
    baseline = (TITLE_PX - 14) * _FINER
    left = GAP_PX * _FINER
    for text, colour in (
        (title, _INK),
        ("reference", REFERENCE_RGB),
        ("predicted", PREDICTION_RGB),
    ):
        if colour != _INK:
            cv2.line(canvas, (left, baseline - 10), (left + 44, baseline - 10), colour, 3 * _FINER)
            left += 56
        left += _write(canvas, text, (left, baseline)) + 48


def _write(canvas: UInt8, text: str, at: tuple[int, int], scale: float = 0.5) -> int:
    """Write text at its baseline; return its width."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, scale * _FINER
    cv2.putText(canvas, text, at, font, size, _INK, _FINER, cv2.LINE_AA)
    return int(cv2.getTextSize(text, font, size, _FINER)[0][0])


def _draw_tile(canvas: UInt8, picture: Picture, top: int, left: int) -> None:
    side = TILE_PX * _FINER
    scale = side / max(picture.reference.shape)
    height, width = (max(1, round(n * scale)) for n in picture.reference.shape)
    image = cv2.resize(picture.image, (width, height), interpolation=cv2.INTER_CUBIC)
    for mask, colour in (
        (picture.reference, REFERENCE_RGB),
        (picture.prediction, PREDICTION_RGB),
    ):
        grey = cv2.resize(mask.astype(np.uint8) * 255, (width, height))
        edges, _ = cv2.findContours(
            (grey > 127).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(image, edges, -1, colour, 2 * _FINER, cv2.LINE_AA)
    canvas[top : top + side, left : left + side] = _TRAY
    y, x = top + (side - height) // 2, left + (side - width) // 2
    canvas[y : y + height, x : x + width] = image
    baseline = top + side + (CAPTION_PX - 9) * _FINER
    score = f"{picture.dice:.3f}"
    _write(canvas, _shortened(picture.name), (left, baseline), 0.42)
    _write(canvas, score, (left + side - 42 * _FINER, baseline), 0.42)


def _shortened(name: str, length: int = 24) -> str:
    """Return a name that fits under a tile; OpenCV's letters are ASCII."""
    plain = name.encode("ascii", "replace").decode()
    if len(plain) <= length:
        return plain
    return f"{plain[: length // 2 - 1]}..{plain[-length // 2 + 1 :]}"
