"""A split of a cache as batches of tensors, augmented the same way however it is loaded.

Legend of the shape suffixes: B batch, C channels, L track levels, H W pixels, N items.

Order and augmentation are pure functions of (seed, epoch, item): a resumed run, or one with
other numbers of workers, sees the same batches.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gazetools.cache import Cache, open_cache
from gazetools.errors import GazeToolsError, TrainingError
from gazetools.images import UInt8, resize_image, resize_mask
from gradtrack_model.config import TrainConfig

FIELDS = ("images", "maps", "heatmaps", "pseudo_masks", "masks")
MEMORY_LIMIT = 4 << 30
"""Bytes up to which a split is held in memory; a larger one is read batch by batch."""

_LABELS = ("pseudo_masks", "masks")
_ORDER, _AUGMENT = 1, 2  # keep the two streams of random numbers apart
_LUMA = (0.299, 0.587, 0.114)

Key = tuple[int, int]
"""(epoch, position in the split)."""

Batch = dict[str, Tensor]


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


class RawBatch(NamedTuple):
    """Items as stored, and what to do to each of them.

    Attributes
    ----------
    item_B : Tensor
        int64, positions in ``cache.items``.
    stack_BCHW : Tensor
        uint8, all fields along the channels.
    turns_B, flip_B : ndarray
        Quarter turns 0..3, and whether to mirror before.
    colour_B33, contrast_B : Tensor
        float32; see :func:`_jitter`.
    """

    item_B: Tensor
    stack_BCHW: Tensor
    turns_B: npt.NDArray[np.int64]
    flip_B: npt.NDArray[np.bool_]
    colour_B33: Tensor
    contrast_B: Tensor


class CacheDataset(Dataset[RawBatch]):
    """One split of a cache, restricted to the fields that a method may see.

    Nothing but the given fields of the given split is ever read. A batch is a dict with

    ================  ========  =====================================================
    ``item_B``        int64     positions in ``cache.items``
    ``image_BCHW``    float32   RGB in [0, 1]                       (images)
    ``maps_BLHW``     float32   distance maps in [0, 1]             (maps)
    ``heatmap_B1HW``  float32   published heatmap in [0, 1]         (heatmaps)
    ``pseudo_B1HW``   uint8     0, 1, or 255 where uncertain        (pseudo_masks)
    ``mask_B1HW``     uint8     reference mask 0, 1                 (masks)
    ================  ========  =====================================================

    Parameters
    ----------
    cache_path : Path
    split : {"train", "val", "test", "none"}
    fields : sequence of str
        Out of FIELDS.
    size_px : int
        Side of the square that everything is resized to.
    augment : Augmentation, optional
    seed : int
    memory_limit : int
        See MEMORY_LIMIT.
    """

    def __init__(
        self,
        cache_path: Path,
        split: str,
        *,
        fields: Sequence[str],
        size_px: int,
        augment: Augmentation | None = None,
        seed: int = 0,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.path, self.split, self.fields = Path(cache_path), split, tuple(fields)
        self.size_px, self.augment, self.seed = size_px, augment or Augmentation(), seed
        self._opened: tuple[int, Cache] | None = None
        with open_cache(self.path) as cache:
            self.indices = cache.indices(split)
            self.names = tuple(cache.items[i].name for i in self.indices)
            self._channels = _channels(self.fields, cache.levels)
            self._stack: Tensor | None = None
            depth = sum(part.stop - part.start for part in self._channels.values())
            if len(self.indices) * depth * size_px**2 <= memory_limit:
                self._stack = self._read(cache, self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Key) -> RawBatch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[Key]) -> RawBatch:
        """Fetch items and draw their augmentation; what loader workers do."""
        positions = np.array([position for _, position in keys], np.int64)
        items = self.indices[positions]
        if self._stack is None:
            stack_BCHW = self._read(self._cache(), items)
        else:
            stack_BCHW = self._stack[torch.from_numpy(positions)]
        draws = [
            _draw(self.augment, self.seed, epoch, int(item))
            for (epoch, _), item in zip(keys, items, strict=True)
        ]
        return RawBatch(
            torch.from_numpy(items),
            stack_BCHW,
            np.array([draw.turns for draw in draws], np.int64),
            np.array([draw.flip for draw in draws], np.bool_),
            torch.from_numpy(np.stack([draw.colour for draw in draws])),
            torch.tensor([draw.contrast for draw in draws], dtype=torch.float32),
        )

    def finish(self, raw: RawBatch, device: torch.device | str = "cpu") -> Batch:
        """Move a raw batch to `device`, augment it there and part it into its fields."""
        stack_BCHW = raw.stack_BCHW.to(device, non_blocking=True)
        stack_BCHW = _turn(stack_BCHW, raw.turns_B, raw.flip_B)
        batch: Batch = {"item_B": raw.item_B}
        for field, channels in self._channels.items():
            values = stack_BCHW[:, channels]
            batch[_KEYS[field]] = values if field in _LABELS else values.float() / 255
        if self.augment.jitter and "images" in self.fields:
            batch["image_BCHW"] = _jitter(
                batch["image_BCHW"], raw.colour_B33.to(device), raw.contrast_B.to(device)
            )
        return batch

    def batch(self, keys: Sequence[Key], device: torch.device | str = "cpu") -> Batch:
        """Fetch and finish in one call."""
        return self.finish(self.__getitems__(keys), device)

    def close(self) -> None:
        """Close the cache if batches were read from it."""
        if self._opened is not None:
            self._opened[1].close()
        self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def _cache(self) -> Cache:
        # HDF5 files do not survive a fork: each process opens its own
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), open_cache(self.path))
        return self._opened[1]

    def _read(self, cache: Cache, items: npt.NDArray[np.int64], block: int = 64) -> Tensor:
        size = (self.size_px, self.size_px)
        depth = max((part.stop for part in self._channels.values()), default=0)
        stack = np.empty((len(items), depth, *size), np.uint8)
        for start in range(0, len(items), block):
            some = items[start : start + block]
            for field, channels in self._channels.items():
                resize = resize_mask if field in _LABELS else resize_image
                planes = _planes(cache.read(field, some), field)
                for position, item in enumerate(planes, start):
                    for channel, plane in zip(
                        range(channels.start, channels.stop), item, strict=True
                    ):
                        stack[position, channel] = (
                            plane if plane.shape == size else resize(plane, size)
                        )
        return torch.from_numpy(stack)


_KEYS = {
    "images": "image_BCHW",
    "maps": "maps_BLHW",
    "heatmaps": "heatmap_B1HW",
    "pseudo_masks": "pseudo_B1HW",
    "masks": "mask_B1HW",
}


def _channels(fields: Sequence[str], levels: int) -> dict[str, slice]:
    depth = {"images": 3, "maps": levels}
    parts: dict[str, slice] = {}
    start = 0
    for field in fields:
        parts[field] = slice(start, start + depth.get(field, 1))
        start = parts[field].stop
    return parts


def _planes(values: UInt8, field: str) -> UInt8:
    """Bring what a cache returns to (n, channels, H, W)."""
    if field == "images":
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    return values if field == "maps" else values[:, None]


# ---------------------------------------------------------------- augmentation


class _Draw(NamedTuple):
    turns: int
    flip: bool
    colour: npt.NDArray[np.float32]
    contrast: float


def _draw(augment: Augmentation, seed: int, epoch: int, item: int) -> _Draw:
    rng = np.random.default_rng([seed, _AUGMENT, epoch, item])
    turns, flip = int(rng.integers(4)), bool(rng.integers(2))
    brightness, saturation, contrast = 1 + augment.jitter * rng.uniform(-1, 1, 3)
    gains = 1 + augment.jitter / 2 * rng.uniform(-1, 1, 3)
    if not augment.quarter_turns:
        # two half turns and a mirror make the four flips
        turns = turns // 2 * 2 if augment.flips else 0
    grey = np.tile(_LUMA, (3, 1))
    colour = brightness * np.diag(gains) @ (saturation * np.eye(3) + (1 - saturation) * grey)
    return _Draw(turns, flip and augment.flips, colour.astype(np.float32), float(contrast))


def _turn(x_BCHW: Tensor, turns_B: npt.NDArray[np.int64], flip_B: npt.NDArray[np.bool_]) -> Tensor:
    if not (turns_B.any() or flip_B.any()):
        return x_BCHW
    out_BCHW = torch.empty_like(x_BCHW)
    for x_CHW, out_CHW, turns, flip in zip(x_BCHW, out_BCHW, turns_B, flip_B, strict=True):
        mirrored = x_CHW.flip(-1) if flip else x_CHW
        out_CHW.copy_(torch.rot90(mirrored, int(turns), (-2, -1)))
    return out_BCHW


def _jitter(image_BCHW: Tensor, colour_B33: Tensor, contrast_B: Tensor) -> Tensor:
    """Return clip(c·Mx + (1 − c)·M·mean(x), 0, 1): colours by M, contrast c about the mean."""
    x_BCP = image_BCHW.flatten(2)
    contrast_B11 = contrast_B[:, None, None]
    offset_BC1 = (1 - contrast_B11) * (colour_B33 @ x_BCP.mean(2, keepdim=True))
    return (
        torch.baddbmm(offset_BC1, contrast_B11 * colour_B33, x_BCP).clamp_(0, 1).view_as(image_BCHW)
    )


# ---------------------------------------------------------------- order


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)


def batch_keys(seed: int, count: int, batch_size: int, iteration: int) -> list[Key]:
    """Return the keys of one batch: a pure function of its arguments.

    Each epoch is a permutation of the split; batches run over their ends, so that every item
    is seen equally often and every batch is full.
    """
    start = iteration * batch_size
    return [
        (epoch, int(_permutation(seed, epoch, count)[position]))
        for epoch, position in (divmod(place, count) for place in range(start, start + batch_size))
    ]


class _Batches(Sampler[list[Key]]):
    def __init__(self, dataset: CacheDataset, batch_size: int, iterations: range) -> None:
        self.dataset, self.batch_size, self.iterations = dataset, batch_size, iterations

    def __iter__(self) -> Iterator[list[Key]]:
        for iteration in self.iterations:
            yield batch_keys(self.dataset.seed, len(self.dataset), self.batch_size, iteration)

    def __len__(self) -> int:
        return len(self.iterations)


class _Unraised(Dataset[RawBatch | GazeToolsError]):
    """Returns errors instead of raising them: loader workers would add a traceback to each."""

    def __init__(self, dataset: CacheDataset) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: Sequence[Key]) -> RawBatch | GazeToolsError:
        try:
            return self.dataset.__getitems__(keys)
        except GazeToolsError as error:
            return error


def _raising(loader: Iterable[RawBatch | GazeToolsError]) -> Iterator[RawBatch]:
    for raw in loader:
        if isinstance(raw, GazeToolsError):
            raise raw
        yield raw


def _as_it_is(raw: Any) -> Any:
    return raw


def raw_batches(
    dataset: CacheDataset, batch_size: int, iterations: range, *, workers: int = 0
) -> Iterator[RawBatch]:
    """Return the batches of some iterations, one by one; :meth:`CacheDataset.finish` ends them.

    Raises
    ------
    TrainingError
        The split is empty.
    CacheError
        When a batch is asked for whose bytes are damaged.
    """
    if not len(dataset):
        raise TrainingError(f"{dataset.path}: split {dataset.split!r} has no items")
    loader = DataLoader(
        _Unraised(dataset),
        batch_sampler=_Batches(dataset, batch_size, iterations),
        collate_fn=_as_it_is,
        num_workers=workers,
        # its own generator: loading must not touch the random state of the caller
        generator=torch.Generator().manual_seed(dataset.seed),
    )
    return _raising(loader)
