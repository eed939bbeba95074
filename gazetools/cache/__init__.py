"""The HDF5 cache: what lies between rendering and training. Write, open, verify."""

from gazetools.cache.layout import CODECS, SPLITS, CacheSpec, Item, Record
from gazetools.cache.reading import Cache, open_cache
from gazetools.cache.writing import CacheWriter, create_cache

__all__ = [
    "CODECS",
    "SPLITS",
    "Cache",
    "CacheSpec",
    "CacheWriter",
    "Item",
    "Record",
    "create_cache",
    "open_cache",
]
