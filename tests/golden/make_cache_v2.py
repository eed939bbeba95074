"""Write cache_v2_CODEC.h5: the smallest caches with everything in them, one per codec.

Run once per format version: python tests/golden/make_cache_v2.py tests/golden
"""

import sys
from pathlib import Path

import numpy as np

from gazetools.cache import CODECS, CacheSpec, Record, create_cache
from gazetools.images import encode_png

SIDE = 16
RECIPE = {"made": "for tests"}
SOURCES = {"images": "none"}


def spec(codec):
    """Shape of the golden cache of one codec."""
    return CacheSpec(levels=2, height=SIDE, width=SIDE, codec=codec)


def records():
    """Three items: with a mask and an uncertain band, without a mask, with a non-ASCII name.

    Maps shrink under every codec; images are noise that does not.
    """
    for i, (name, split) in enumerate((("first", "train"), ("second", "val"), ("drítt", "test"))):
        ramp = (np.arange(SIDE * SIDE) // 4 * (i + 1) % 256).astype(np.uint8).reshape(SIDE, SIDE)
        noise = np.arange(3 * SIDE * SIDE, dtype=np.uint64) ** 3 * (2654435761 + i) >> 7
        mask = (ramp > 30).astype(np.uint8)
        original = np.kron(mask, np.ones((2, 3), np.uint8))
        yield Record(
            name=name,
            split=split,
            width=3 * SIDE,
            height=2 * SIDE,
            image=noise.astype(np.uint8).reshape(SIDE, SIDE, 3),
            maps=np.stack([ramp, ramp // 3]),
            heatmap=255 - ramp,
            pseudo_mask=np.where(ramp > 50, 255, mask).astype(np.uint8),
            fixations=np.arange(5.0 * (i + 1)).reshape(-1, 5) + 0.25,
            mask=None if i == 1 else mask,
            mask_png=b"" if i == 1 else encode_png(original * np.uint8(255)),
            made_from=f"{i:064x}",
        )


def write(path, codec):
    """Write one golden cache to `path`."""
    with create_cache(
        path, spec(codec), 3, recipe=RECIPE, sources=SOURCES, overwrite=True
    ) as writer:
        for record in records():
            writer.add(record)


if __name__ == "__main__":
    for codec in CODECS:
        write(Path(sys.argv[1]) / f"cache_v2_{codec}.h5", codec)
