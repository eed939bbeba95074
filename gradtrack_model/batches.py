"""A split of a cache as batches of tensors: the same however it is held and loaded.

Legend of the shape suffixes: B batch, C channels, L track levels, H W pixels, N items.

Order and augmentation are pure functions of (seed, epoch, item): a resumed run, or one with
other numbers of workers or another memory, sees the same batches.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from gazetools.cache import Cache, open_cache
from gazetools.images import UInt8, resize_image, resize_mask
from gradtrack_model import fields as of_cache
from gradtrack_model.augmentation import Augmentation, Changes, jitter, turn
from gradtrack_model.memory import choose_source
from gradtrack_model.opening import OpenedCache

_KEYS = {
    "images": "image_BCHW",
    "maps": "maps_BLHW",
    "heatmaps": "heatmap_B1HW",
    "pseudo_masks": "pseudo_B1HW",
    "masks": "mask_B1HW",
}
_TEXT = {"text_tokens": "text_BTD", "text_mask": "text_mask_BT"}
_BLOCK = 64  # items read at once when a split is taken into memory

Key = tuple[int, int]
"""(epoch, position in the split)."""

Batch = dict[str, Tensor]


class RawBatch(NamedTuple):
    """Items as stored, and what to do to each of them.

    Attributes
    ----------
    item_B : Tensor
        int64, positions in ``cache.items``.
    fields : dict of str to Tensor
        uint8, shaped as in the cache: (B, H, W, 3) images, (B, L, H, W) maps, (B, H, W); of text,
        float16 (B, T, D) tokens and the bool (B, T) mask.
    changes : Changes
    """

    item_B: Tensor
    fields: dict[str, Tensor]
    changes: Changes


class CacheBatches(Dataset[RawBatch]):
    """One split of a cache, restricted to the fields that a method may see.

    Nothing but the given fields of the given split is ever read. A batch is a dict with

    ================  ========  =====================================================
    ``item_B``        int64     positions in ``cache.items``
    ``image_BCHW``    float32   RGB in [0, 1]                       (images)
    ``maps_BLHW``     float32   distance maps in [0, 1]             (maps)
    ``heatmap_B1HW``  float32   published heatmap in [0, 1]         (heatmaps)
    ``pseudo_B1HW``   uint8     0, 1, or 255 where uncertain        (pseudo_masks)
    ``mask_B1HW``     uint8     reference mask 0, 1                 (masks)
    ``text_BTD``      float32   embeddings of T tokens              (text)
    ``text_mask_BT``  bool      where there is a token              (text)
    ``where_B2HW``    float32   x, y in the image as it was         (text)
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
    memory_limit : float
        Bytes that the split may be held in; a larger one is read batch by batch, as is one that
        does not fit into what is free, see :func:`gradtrack_model.memory.choose_source`.
    device : torch.device or str
        Where batches will go.

    Attributes
    ----------
    source : {"device", "memory", "file"}
        Where batches are taken from.
    indices : ndarray of int64, shape (N,)
        Positions of the items in ``cache.items``.
    names : tuple of str
    pins : bool
        Whether batches lie in pinned memory, which a GPU can fetch while others work.

    Raises
    ------
    CacheError
        The cache cannot be opened, or its bytes are damaged where it is held. Later, when a
        batch is asked for: bytes are damaged, or the cache is another than at first.
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
        memory_limit: float = math.inf,
        device: torch.device | str = "cpu",
    ) -> None:
        self.path, self.split = Path(cache_path), split
        self.augment, self.seed = augment or Augmentation(), seed
        self._device = torch.device(device)
        with open_cache(self.path) as cache:
            self._cache = OpenedCache(cache, with_text="text" in fields)
            self.indices = cache.indices(split)
            self.names = tuple(cache.items[i].name for i in self.indices)
            self._size_px = size_px
            self._kinds = _kinds(fields, cache, size_px)
            needed = len(self.indices) * sum(kind.bytes for kind in self._kinds.values())
            self.source = choose_source(needed, memory_limit, self._device)
            self.pins = self._device.type == "cuda" and self.source != "device"
            self._held = None if self.source == "file" else self._hold(cache)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Key) -> RawBatch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[Key]) -> RawBatch:
        return self.fetch(keys, self._draw(keys))

    def plan(self, keys: Sequence[Key]) -> tuple[list[Key], Changes]:
        """Draw the augmentation of items; sort both by how they are turned.

        Items of one symmetry that lie together are turned as one.
        """
        changes = self._draw(keys)
        order = sorted(range(len(keys)), key=changes.symmetries.__getitem__)
        return [keys[i] for i in order], changes.reordered(order)

    def fetch(self, keys: Sequence[Key], changes: Changes) -> RawBatch:
        """Fetch items, to be changed so; what workers do."""
        positions = np.array([position for _, position in keys], np.int64)
        item_B = torch.from_numpy(self.indices[positions])
        return RawBatch(item_B, self._fetch(positions), changes)

    def finish(self, raw: RawBatch, device: torch.device | str = "cpu") -> Batch:
        """Move a raw batch to `device`, augment it there and name its fields."""
        batch: Batch = {"item_B": raw.item_B}
        symmetries, colour_B33, contrast_B = raw.changes
        for field, stored in raw.fields.items():
            values = stored.to(device, non_blocking=True)
            if field in _TEXT:
                batch[_TEXT[field]] = values if field == "text_mask" else values.float()
                continue
            values = turn(of_cache.planes(field, values), symmetries)
            batch[_KEYS[field]] = of_cache.values(field, values)
        if "text_tokens" in raw.fields:
            batch["where_B2HW"] = turn(self._where(len(raw.item_B), device), symmetries)
        if self.augment.jitter and "images" in raw.fields:
            batch["image_BCHW"] = jitter(
                batch["image_BCHW"],
                colour_B33.to(device, non_blocking=True),
                contrast_B.to(device, non_blocking=True),
            )
        return batch

    def batch(self, keys: Sequence[Key], device: torch.device | str = "cpu") -> Batch:
        """Fetch and finish in one call."""
        return self.finish(self.__getitems__(keys), device)

    def close(self) -> None:
        """Close the cache if batches were read from it."""
        self._cache.close()

    @property
    def sha256(self) -> str:
        """Of the cache, see :class:`gazetools.cache.Cache`."""
        return self._cache.sha256

    @property
    def text_sha256(self) -> str:
        """Of the text in it, if that is one of the fields; else empty."""
        return self._cache.text_sha256

    def _where(self, count: int, device: torch.device | str) -> Tensor:
        """Return the x and y of each pixel, in shares of the image."""
        share = (torch.arange(self._size_px, device=device) + 0.5) / self._size_px
        y_HW, x_HW = torch.meshgrid(share, share, indexing="ij")
        return torch.stack([x_HW, y_HW]).repeat(count, 1, 1, 1)

    def _draw(self, keys: Sequence[Key]) -> Changes:
        items = [(epoch, int(self.indices[position])) for epoch, position in keys]
        return self.augment.draw(self.seed, items)

    def _fetch(self, positions: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        """Copy stored items, from wherever they are, in the order asked for."""
        if self._held is None:
            return self._read(self._cache.get(), self.indices[positions])
        if self.source == "memory":
            out = self._empty(len(positions))
            for name, values in self._held.items():
                np.take(values.numpy(), positions, axis=0, out=out[name].numpy(), mode="clip")
            return out
        index_B = torch.from_numpy(positions).to(self._device)
        return {name: values.index_select(0, index_B) for name, values in self._held.items()}

    def _read(self, cache: Cache, items: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        out = self._empty(len(items))
        if "text_tokens" in out:
            tokens, mask = cache.read_text(items)
            out["text_tokens"].numpy()[:], out["text_mask"].numpy()[:] = tokens, mask
        for name, values in out.items():
            if name not in _TEXT:
                _read(cache, name, items, values.numpy())
        return out

    def _empty(self, count: int) -> dict[str, Tensor]:
        pinned = self.pins and get_worker_info() is None  # a process of a DataLoader cannot
        return {
            name: torch.empty((count, *kind.shape), dtype=kind.dtype, pin_memory=pinned)
            for name, kind in self._kinds.items()
        }

    def _hold(self, cache: Cache) -> dict[str, Tensor]:
        place = self._device if self.source == "device" else "cpu"
        held = {
            name: torch.empty((len(self), *kind.shape), dtype=kind.dtype, device=place)
            for name, kind in self._kinds.items()
        }
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            for name, values in self._read(cache, self.indices[block]).items():
                held[name][block] = values
        return held


class _Kind(NamedTuple):
    """Shape and type of what is stored of an item."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.uint8

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def _kinds(fields: Sequence[str], cache: Cache, size_px: int) -> dict[str, _Kind]:
    plane = (size_px, size_px)
    shapes = {"images": (*plane, 3), "maps": (cache.levels, *plane)}
    kinds = {name: _Kind(shapes.get(name, plane)) for name in fields if name != "text"}
    if "text" in fields:
        kinds["text_tokens"] = _Kind(cache.text_shape, torch.float16)
        kinds["text_mask"] = _Kind(cache.text_shape[:1], torch.bool)
    return kinds


def _read(cache: Cache, field: str, items: npt.NDArray[np.int64], out: UInt8) -> None:
    """Read one field of some items at the size of `out`."""
    size = out.shape[1:3] if field == "images" else out.shape[-2:]
    if size == (cache.height, cache.width):
        cache.read(field, items, out=out)
        return
    resize = resize_mask if field in of_cache.LABELS else resize_image
    for stored, target in zip(cache.read(field, items), out, strict=True):
        if field == "maps":
            target[:] = [resize(level, size) for level in stored]
        else:
            target[:] = resize(stored, size)
