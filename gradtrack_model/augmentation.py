"""What is done to a training item: drawn from (seed, epoch, item), done to whole batches.

Legend of the shape suffixes: B batch, C channels, H W pixels, P pixels of a plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gradtrack_model.config import TrainConfig

_STREAM = 2  # apart from the stream of random numbers that orders items
_LUMA = (0.299, 0.587, 0.114)


class Changes(NamedTuple):
    """What to do to each item of a batch.

    Attributes
    ----------
    symmetries : tuple of int
        One of the eight of the square for each item: t + 4 m is a mirroring left to right if
        m = 1, then t quarter turns.
    colour_B33, contrast_B : Tensor
        float32; see :func:`jitter`.
    """

    symmetries: tuple[int, ...]
    colour_B33: Tensor
    contrast_B: Tensor

    def reordered(self, order: Sequence[int]) -> "Changes":
        """Return the changes of the items in another order."""
        symmetries = tuple(self.symmetries[i] for i in order)
        index_B = torch.tensor(order)
        return Changes(symmetries, self.colour_B33[index_B], self.contrast_B[index_B])


@dataclass(frozen=True)
class Augmentation:
    """What may be done to a training item.

    Attributes
    ----------
    flips, quarter_turns : bool
        Applied to image, maps and masks together.
    jitter : float
        Brightness, contrast and saturation are multiplied by U(1 − j, 1 + j), each colour
        channel by U(1 − j/2, 1 + j/2); the image alone.
    """

    flips: bool = False
    quarter_turns: bool = False
    jitter: float = 0.0

    @classmethod
    def of(cls, config: TrainConfig) -> "Augmentation":
        """Return what the settings of a run ask for."""
        return cls(config.flips, config.quarter_turns, config.jitter)

    def symmetries(self) -> tuple[int, ...]:
        """Return those of the eight of the square that an item may be seen in."""
        turns = range(4) if self.quarter_turns else range(0, 4, 2) if self.flips else range(1)
        return tuple(turn + 4 * flip for flip in range(1 + self.flips) for turn in turns)

    def draw(self, seed: int, keys: Sequence[tuple[int, int]]) -> Changes:
        """Draw the changes of some (epoch, item): of nothing else, not even of each other."""
        uniform_B8 = np.array([_uniform(seed, epoch, item) for epoch, item in keys])
        turns_B = (4 * uniform_B8[:, 0]).astype(np.int64)
        flip_B = (2 * uniform_B8[:, 1]).astype(np.int64) * self.flips
        if not self.quarter_turns:
            # two half turns and a mirror make the four flips
            turns_B = turns_B // 2 * 2 * self.flips
        colour_B33, contrast_B = self._colours(2 * uniform_B8[:, 2:] - 1)
        return Changes(
            tuple((turns_B + 4 * flip_B).tolist()),
            torch.from_numpy(colour_B33.astype(np.float32)),
            torch.from_numpy(contrast_B.astype(np.float32)),
        )

    def _colours(
        self, signed_B6: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        brightness_B, saturation_B, contrast_B = 1 + self.jitter * signed_B6[:, :3].T
        gains_B3 = brightness_B[:, None] * (1 + self.jitter / 2 * signed_B6[:, 3:])
        saturation_B11 = saturation_B[:, None, None]
        mixing_B33 = saturation_B11 * np.eye(3) + (1 - saturation_B11) * np.tile(_LUMA, (3, 1))
        return gains_B3[:, :, None] * mixing_B33, contrast_B


_BLOCK = 1024


def _uniform(seed: int, epoch: int, item: int) -> npt.NDArray[np.float64]:
    block, row = divmod(item, _BLOCK)
    values: npt.NDArray[np.float64] = _uniforms(seed, epoch, block)[row]
    return values


@lru_cache(maxsize=1024)
def _uniforms(seed: int, epoch: int, block: int) -> npt.NDArray[np.float64]:
    """Eight numbers in [0, 1) for each of many items: a generator for each would take longer."""
    return np.random.default_rng([seed, _STREAM, epoch, block]).random((_BLOCK, 8))


def turn(x_BCHW: Tensor, symmetries: Sequence[int]) -> Tensor:
    """Mirror and turn each plane; items of one symmetry that lie together are done as one."""
    if not any(symmetries):
        return x_BCHW
    runs = [(symmetry, len(list(run))) for symmetry, run in groupby(symmetries)]
    parts = torch.split(x_BCHW, [count for _, count in runs])
    return torch.cat([turned(part, s) for part, (s, _) in zip(parts, runs, strict=True)])


def turned(x_BCHW: Tensor, symmetry: int) -> Tensor:
    """Mirror and turn planes by one symmetry; see :class:`Changes`."""
    flip, turns = divmod(symmetry, 4)
    return torch.rot90(x_BCHW.flip(-1) if flip else x_BCHW, turns, (-2, -1))


def turned_back(x_BCHW: Tensor, symmetry: int) -> Tensor:
    """Undo :func:`turned`."""
    flip, turns = divmod(symmetry, 4)
    back = torch.rot90(x_BCHW, -turns, (-2, -1))
    return back.flip(-1) if flip else back


def jitter(image_BCHW: Tensor, colour_B33: Tensor, contrast_B: Tensor) -> Tensor:
    """Return clip(c·Mx + (1 − c)·M·mean(x), 0, 1): colours by M, contrast c about the mean."""
    x_BCP = image_BCHW.flatten(2)
    contrast_B11 = contrast_B[:, None, None]
    offset_BC1 = (1 - contrast_B11) * (colour_B33 @ x_BCP.mean(2, keepdim=True))
    return (
        torch.baddbmm(offset_BC1, contrast_B11 * colour_B33, x_BCP).clamp_(0, 1).view_as(image_BCHW)
    )
