"""The cache file's format, and the plain classes that its writer and its reader share.

File format "gazetools-cache", version 1
----------------------------------------
The words MUST and MAY are meant as in RFC 2119. N items, L levels, H x W pixels.

Root attributes (all MUST)
    ``format``   the string "gazetools-cache"
    ``version``  the integer 1; a reader MUST refuse any other
    ``spec``     JSON of :class:`CacheSpec`: levels, height, width, codec
    ``recipe``   JSON: the parameters of tracks, maps and pseudo-masks, and gazetools' version
    ``sources``  JSON: SHA-256 of the inputs

Strings MUST be of fixed length, UTF-8: HDF5 keeps those of variable length in a heap without
checksums, where a single flipped bit can make it loop for ever.

Datasets (all MUST, all chunked, all with the fletcher32 filter; no other objects)
    ``/images``        uint8 (N, H, W, 3)  RGB, resized to H x W
    ``/maps``          uint8 (N, L, H, W)  distance maps, value / 255; level 1 (whole track) first
    ``/heatmaps``      uint8 (N, H, W)     the published heatmap, value / 255
    ``/pseudo_masks``  uint8 (N, H, W)     0 background, 1 foreground, 255 uncertain
    ``/masks``         uint8 (N, H, W)     reference masks 0 / 1; zeros where an item has none
    ``/mask_png``      uint8 (B,)          reference masks at their original size, PNG, end to end
    ``/fixations``     float64 (F, 5)      x_im, y_im (original image px), onset_ms, duration_ms,
                                           track (from 0: who looked, or looked again)
    ``/index``         uint8 (J,)          UTF-8 JSON, a list of N :class:`Item`

Pictures MUST have one chunk per item and MAY be compressed (lz4, zstd, gzip). ``/mask_png``,
``/fixations`` and ``/index`` MUST NOT be compressed, and items MUST lie in the first two end
to end, in the order of the index. The file MUST be written with
``libver=("v110", "v110")``: that superblock carries checksums of all metadata, the default
one lets damage through. It MUST NOT contain soft or external links, external storage or
virtual datasets. Each item's ``sha256`` in the index covers its bytes in every dataset, in the
order of the list above. After HDF5's end of file the file MUST end in 32 bytes: the SHA-256 of
all bytes before them, so that damage is found even where HDF5 left gaps. A writer MUST write to
a temporary name and rename, so that a file under its final name is complete.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import h5py
import numpy as np
import numpy.typing as npt

from gazetools.errors import CacheError
from gazetools.images import UInt8

FORMAT = "gazetools-cache"
VERSION = 1
SPLITS = ("train", "val", "test", "none")
CODECS = ("lz4", "zstd", "gzip", "none")
MAX_ITEM_PIXELS = 1 << 28
"""Levels x height x width of one item: a small damaged file must not fill the memory."""
SEAL_BYTES = hashlib.sha256().digest_size
LIBVER = ("v110", "v110")
PICTURES = ("images", "maps", "heatmaps", "pseudo_masks", "masks")
FIXATION_COLUMNS = ("x_im", "y_im", "onset_ms", "duration_ms", "track")
LISTS = ("mask_png", "fixations", "index")
LZ4_FILTER, ZSTD_FILTER = 32004, 32015  # as registered with the HDF Group
FILTERS = {h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_DEFLATE, LZ4_FILTER, ZSTD_FILTER}


@dataclass(frozen=True)
class CacheSpec:
    """Shape of a cache: L levels of height x width pixels, and how chunks are compressed."""

    levels: int
    height: int
    width: int
    codec: str = "lz4"

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise CacheError(f"codec {self.codec!r} is unknown; expected {', '.join(CODECS)}")
        if min(self.levels, self.height, self.width) < 1:
            raise CacheError(f"{self}: levels, height and width must be at least 1")
        if self.levels * self.height * self.width > MAX_ITEM_PIXELS:
            raise CacheError(f"{self}: an item has more than {MAX_ITEM_PIXELS:,} map pixels")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one item in each picture dataset."""
        plane = (self.height, self.width)
        return {
            "images": (*plane, 3),
            "maps": (self.levels, *plane),
            "heatmaps": plane,
            "pseudo_masks": plane,
            "masks": plane,
        }


@dataclass(frozen=True)
class Item:
    """One image of a cache, as its index tells of it.

    `width` and `height` are those of the original image; `mask_png` and `fixations` are
    (offset, count) into the datasets of the same name.
    """

    name: str
    split: str
    width: int
    height: int
    has_mask: bool
    mask_png: tuple[int, int]
    fixations: tuple[int, int]
    sha256: str


@dataclass(frozen=True)
class Record:
    """What :meth:`CacheWriter.add` takes for one image; shapes as in the format text."""

    name: str
    split: str
    width: int
    height: int
    image: UInt8
    maps: UInt8
    heatmap: UInt8
    pseudo_mask: UInt8
    fixations: npt.NDArray[np.float64]
    mask: UInt8 | None = None
    mask_png: bytes = b""

    def pictures(self) -> dict[str, UInt8]:
        """Arrays by dataset name; a missing reference mask becomes zeros."""
        mask = np.zeros_like(self.pseudo_mask) if self.mask is None else self.mask
        return {
            "images": self.image,
            "maps": self.maps,
            "heatmaps": self.heatmap,
            "pseudo_masks": self.pseudo_mask,
            "masks": mask,
        }


def item_digest(
    pictures: Mapping[str, UInt8], mask_png: bytes, fixations: npt.NDArray[np.float64]
) -> str:
    """SHA-256 of an item's bytes in every dataset, in the order of the format text."""
    digest = hashlib.sha256()
    for name in PICTURES:
        digest.update(np.ascontiguousarray(pictures[name]).data)
    digest.update(mask_png)
    digest.update(np.ascontiguousarray(fixations, "<f8").data)
    return digest.hexdigest()


def load_plugin(codec: str) -> ModuleType:
    """Register lz4 and zstd with HDF5, which importing the plugin does."""
    try:
        return import_module("hdf5plugin")
    except ImportError as error:
        raise CacheError(
            f"codec {codec} needs the package hdf5plugin; install it, or render with --codec gzip"
        ) from error
