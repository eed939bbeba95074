"""A split of a cache for PyTorch programs of other people: item by item, as torchvision does it.

What trains here reads batches, see :mod:`gradtrack_model.batches`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError, TrainingError
from gradtrack_model.fields import FIELDS, planes, values
from gradtrack_model.opening import OpenedCache

_KEYS = {
    "images": "image",
    "maps": "maps",
    "heatmaps": "heatmap",
    "pseudo_masks": "pseudo_mask",
    "masks": "mask",
}
Sample = dict[str, Any]


class CacheDataset(Dataset[Any]):
    """One split of a cache, for any DataLoader.

    Item i is a dict of

    ===============  ==================  =====================================  ==============
    ``name``         str                 of the image
    ``item``         int                 its position in ``cache.items``
    ``image``        float32 (3, H, W)   RGB in [0, 1]                          (images)
    ``maps``         float32 (L, H, W)   distance map of each level in [0, 1]   (maps)
    ``heatmap``      float32 (1, H, W)   published heatmap in [0, 1]            (heatmaps)
    ``pseudo_mask``  uint8 (1, H, W)     0, 1, or 255 where uncertain           (pseudo_masks)
    ``mask``         uint8 (1, H, W)     reference mask, 0 or 1                 (masks)
    ``text``         float32 (T, D)      embeddings of the tokens               (text)
    ``text_mask``    bool (T,)           where there is a token                 (text)
    ===============  ==================  =====================================  ==============

    of which it holds the first two and those of the given fields; no other is read. H and W are
    those of the cache, L its number of levels. Items are read when they are asked for, checked
    against their digests, by threads and by processes of a DataLoader, forked or spawned.

    Parameters
    ----------
    cache_path : Path or str
        A cache, or a folder of shards.
    split : {"train", "val", "test", "none"}
    fields : sequence of str
        Out of FIELDS. Reference masks have to be asked for by name.
    transform : callable, optional
        Of the dict, as in torchvision.transforms.v2 or as MONAI's dictionary transforms; what it
        returns is the item.

    Raises
    ------
    CacheError
        The cache cannot be opened, has no text, or has items without the mask that is asked for.
        Later, when an item is asked for: its bytes are damaged, or the cache was changed.
    TrainingError
        There is no such field.
    """

    def __init__(
        self,
        cache_path: Path | str,
        split: str,
        *,
        fields: Sequence[str] = ("images", "maps", "heatmaps", "pseudo_masks"),
        transform: Callable[[Sample], Any] | None = None,
    ) -> None:
        self.split, self.fields, self.transform = split, tuple(fields), transform
        if unknown := sorted(set(fields) - set(FIELDS)):
            raise TrainingError(f"fields {unknown} are not known; expected some of {FIELDS}")
        with open_cache(Path(cache_path)) as cache:
            self.indices = cache.indices(split)
            self.names = tuple(cache.items[i].name for i in self.indices)
            self._check(cache)
            self._cache = OpenedCache(cache, with_text="text" in fields)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Read items together, which is what a DataLoader asks for."""
        cache, items = self._cache.get(), self.indices[np.asarray(indices, np.int64)]
        columns = {_KEYS[field]: _read(cache, field, items) for field in self._pictures}
        if "text" in self.fields:
            tokens, mask = cache.read_text(items)
            columns["text"] = torch.from_numpy(tokens).float()
            columns["text_mask"] = torch.from_numpy(mask)
        samples = [
            {"name": cache.items[item].name, "item": int(item)}
            | {key: column[row] for key, column in columns.items()}
            for row, item in enumerate(items)
        ]
        return [self.transform(sample) for sample in samples] if self.transform else samples

    def close(self) -> None:
        """Close the cache; to ask for an item opens it again."""
        self._cache.close()

    @property
    def _pictures(self) -> list[str]:
        return [field for field in self.fields if field in _KEYS]

    def _check(self, cache: Cache) -> None:
        if "text" in self.fields and cache.text is None:
            raise CacheError(f"{cache.path}: holds no text; gazetools encode-text puts it there")
        if "masks" not in self.fields:
            return
        bare = [cache.items[i].name for i in self.indices if not cache.items[i].has_mask]
        if bare:
            raise CacheError(
                f"{cache.path}: {len(bare)} of {len(self)} items of split {self.split!r} have no "
                f"reference mask, the first is {bare[0]!r}; leave 'masks' out of fields"
            )


def _read(cache: Cache, field: str, items: npt.NDArray[np.int64]) -> torch.Tensor:
    """Read a field of some items as (items, channels, H, W)."""
    stored = torch.from_numpy(cache.read(field, items))
    return values(field, planes(field, stored).contiguous())
