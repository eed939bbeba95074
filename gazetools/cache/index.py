"""The index of a cache: one line of facts per item, to JSON and back."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from gazetools.cache.layout import PARTS, SPLITS, Item
from gazetools.errors import CacheError

_TYPES = {
    "name": str,
    "split": str,
    "width": int,
    "height": int,
    "has_mask": bool,
    "made_from": str,
    "mask_png": list,
    "fixations": list,
    "sha256": str,
    "xxh3": list,
}
_SHA256 = re.compile("[0-9a-f]{64}")
_MOST_PX = 2**31 - 1
"""A side of a PNG."""


def index_bytes(items: Sequence[Item]) -> bytes:
    """Return what a file holds of its items."""
    return json.dumps([vars(item) for item in items], ensure_ascii=False).encode()


def read_index(path: Path, index: bytes, rows: Mapping[str, int]) -> tuple[Item, ...]:
    """Undo :func:`index_bytes`, believing nothing.

    Parameters
    ----------
    path : Path
        For messages.
    index : bytes
    rows : mapping of str to int
        Length of each dataset.

    Raises
    ------
    CacheError
        It is no index, or contradicts itself or the rest of the file.
    """
    entries = json.loads(index)
    if not isinstance(entries, list):
        raise CacheError(f"{path}: /index is a JSON {type(entries).__name__}, expected a list")
    items = tuple(_item(path, number, entry) for number, entry in enumerate(entries))
    for name, found in rows.items():
        if name not in ("mask_png", "fixations", "index") and found != len(items):
            raise CacheError(f"{path}: /{name} has {found} items, /index {len(items)}")
    _check_places(path, items, rows)
    twice = [name for name, count in Counter(item.name for item in items).items() if count > 1]
    if twice:
        raise CacheError(f"{path}: /index names item {twice[0]!r} twice")
    return items


def _item(path: Path, number: int, entry: Any) -> Item:
    here = f"{path}: /index: item {number}"
    types = {key: type(value) for key, value in entry.items()} if isinstance(entry, dict) else {}
    if types != _TYPES:
        raise CacheError(f"{here} is not made of {', '.join(field.name for field in fields(Item))}")
    for key in ("mask_png", "fixations"):
        if [type(value) for value in entry[key]] != [int, int] or min(entry[key]) < 0:
            raise CacheError(f"{here}: {key} is {entry[key]}, expected offset and count")
    if entry["split"] not in SPLITS:
        raise CacheError(f"{here}: split {entry['split']!r}, expected {', '.join(SPLITS)}")
    if not all(1 <= entry[side] <= _MOST_PX for side in ("width", "height")):
        raise CacheError(f"{here} is {entry['width']} x {entry['height']} px")
    if not _SHA256.fullmatch(entry["sha256"]):
        raise CacheError(f"{here}: sha256 is {entry['sha256']!r:.80}")
    xxh3 = tuple(entry["xxh3"])
    if len(xxh3) != len(PARTS) or any(type(digest) is not str for digest in xxh3):
        raise CacheError(f"{here}: xxh3 are not the digests of {', '.join(PARTS)}")
    pairs = {key: (entry[key][0], entry[key][1]) for key in ("mask_png", "fixations")}
    return Item(**{**entry, **pairs, "xxh3": xxh3})


def _check_places(path: Path, items: Sequence[Item], rows: Mapping[str, int]) -> None:
    """Check that items lie end to end in the lists, so that reading one cannot go astray."""
    for key in ("mask_png", "fixations"):
        at = 0
        for item in items:
            offset, count = getattr(item, key)
            if offset != at:
                raise CacheError(
                    f"{path}: /index places item {item.name!r} at {offset} of /{key}, expected "
                    f"{at}; render it again"
                )
            at += count
        if at != rows[key]:
            raise CacheError(
                f"{path}: /index accounts for {at} rows of /{key}, the file holds {rows[key]}; "
                "render it again"
            )
