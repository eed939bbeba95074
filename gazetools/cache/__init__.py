"""The HDF5 cache: what lies between rendering and training. Write, open, verify."""

from gazetools.cache.codecs import CODECS
from gazetools.cache.encoding import encode, encode_all
from gazetools.cache.layout import SPLITS, CacheSpec, Encoded, Item, Record
from gazetools.cache.reading import Cache, open_cache
from gazetools.cache.text import Text, TextAbout
from gazetools.cache.writing import CacheWriter, copy_cache, create_cache, put_text

__all__ = [
    "CODECS",
    "SPLITS",
    "Cache",
    "CacheSpec",
    "CacheWriter",
    "Encoded",
    "Item",
    "Record",
    "Text",
    "TextAbout",
    "copy_cache",
    "create_cache",
    "encode",
    "encode_all",
    "open_cache",
    "put_text",
]
