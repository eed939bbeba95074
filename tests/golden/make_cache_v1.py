"""Write cache_v1.h5: the smallest cache with everything in it. Run once per format version.

python tests/golden/make_cache_v1.py tests/golden/cache_v1.h5
"""

import sys
from pathlib import Path

import numpy as np

from gazetools.cache import CacheSpec, Record, create_cache
from gazetools.images import encode_png

SPEC = CacheSpec(levels=2, height=8, width=8, codec="gzip")
RECIPE = {"made": "for tests"}
SOURCES = {"images": "none"}


def records():
    """Three items: with a mask and an uncertain band, without a mask, with a non-ASCII name."""
    for i, (name, split) in enumerate((("first", "train"), ("second", "val"), ("drítt", "test"))):
        ramp = (np.arange(64, dtype=np.uint8) * (i + 1)).reshape(8, 8)
        mask = (ramp > 70).astype(np.uint8)
        original = np.kron(mask, np.ones((2, 3), np.uint8))
        yield Record(
            name=name,
            split=split,
            width=24,
            height=16,
            image=np.stack([ramp, ramp // 2, 255 - ramp], axis=-1),
            maps=np.stack([ramp, ramp // 3]),
            heatmap=255 - ramp,
            pseudo_mask=np.where(ramp > 90, 255, mask).astype(np.uint8),
            fixations=np.arange(5.0 * (i + 1)).reshape(-1, 5) + 0.25,
            mask=None if i == 1 else mask,
            mask_png=b"" if i == 1 else encode_png(original * np.uint8(255)),
        )


def write(path):
    """Write the golden cache to `path`."""
    with create_cache(path, SPEC, 3, recipe=RECIPE, sources=SOURCES, overwrite=True) as writer:
        for record in records():
            writer.add(record)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
