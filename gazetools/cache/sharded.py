"""A cache in many files: shards in a folder, tied together by a manifest.

``manifest.parquet`` names every shard, in the order of their numbers, with the number of its
items and its ``sha256``; its footer holds the ``spec``, ``recipe`` and ``sources`` of the whole,
and a ``sha256`` of all of these.
It is written last and replaced at once: shards that it does not name do not count.
"""

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools.cache.layout import CacheSpec, Encoded, Item
from gazetools.cache.reading import Cache, as_positions
from gazetools.cache.structure import HEADER, check_header
from gazetools.errors import CacheError, SchemaError
from gazetools.images import UInt8
from gazetools.tables import Column, Schema, read_table, write_table

MANIFEST = "manifest.parquet"
SHARD_NAME = re.compile(r"shard-(\d{5,9})-[0-9a-f]{12}\.h5")
_OPEN_AT_ONCE = 64

Places = npt.NDArray[np.int64]
"""(N, 2): of each item the number of its shard, and its number there."""

SHARDS = Schema(
    "shards",
    (
        Column("shard", "str", "", "name of the file"),
        Column("items", "int64", "", "number of its items"),
        Column("sha256", "str", "", "of its index, which holds the digests of its items"),
    ),
)


def write_manifest(
    folder: Path,
    shards: Sequence[Path],
    *,
    spec: CacheSpec,
    recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
) -> None:
    """Tie complete shards together; from now on the folder is a cache of just these."""
    rows = []
    for shard in shards:
        with Cache.open(shard) as cache:
            rows.append((shard.name, len(cache), cache.sha256))
    table = pd.DataFrame(rows, columns=[column.name for column in SHARDS.columns])
    header = {"spec": vars(spec), "recipe": recipe, "sources": sources}
    about = {**header, "sha256": _digest(table, header)}
    write_table(table, folder / MANIFEST, SHARDS, provenance=about, overwrite=True)


class ShardedCache(Cache):
    """A folder of shards, read as if it were one file: items are ordered by name.

    Attributes
    ----------
    shards : tuple of Path
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        table, about = read_manifest(folder)
        self.shards = tuple(folder / name for name in table["shard"])
        self._told = list(zip(table["items"], table["sha256"], strict=True))
        self.spec = CacheSpec(**about["spec"])
        self.recipe, self.sources = about["recipe"], about["sources"]
        self.sha256 = hashlib.sha256("".join(table["sha256"]).encode()).hexdigest()
        self._open: dict[int, Cache] = {}
        self._users: Counter[int] = Counter()
        self._lock = threading.Lock()
        self._closed = False
        try:
            self.items, self._place = self._find_items()
        except BaseException:
            self.close()
            raise

    def _find_items(self) -> tuple[tuple[Item, ...], Places]:
        places = []
        for number in range(len(self.shards)):
            with self._shard(number) as shard:
                places += [(item.name, number, i, item) for i, item in enumerate(shard.items)]
        places.sort(key=lambda place: place[0])
        for (name, one, *_), (other_name, other, *_) in pairwise(places):
            if name == other_name:
                raise CacheError(
                    f"{self.path}: item {name!r} is in {self.shards[one].name} and "
                    f"{self.shards[other].name}; render again"
                )
        inside = np.array([place[1:3] for place in places], np.int64).reshape(-1, 2)
        return tuple(item for *_, item in places), inside

    @property
    def bytes_on_disk(self) -> int:
        """Size of its shards."""
        return sum(shard.stat().st_size for shard in self.shards)

    def close(self) -> None:
        """Close all shards; closing twice is fine."""
        self._closed = True
        while self._open:
            self._open.popitem()[1].close()

    def read(self, field: str, indices: npt.ArrayLike, out: UInt8 | None = None) -> UInt8:
        """Read one field of some items, in the order asked for; see :meth:`Cache.read`."""
        wanted = as_positions(indices)
        out = self._place_for(field, wanted, out)
        shards, inside = self._place[wanted].T
        for number in np.unique(shards):
            here = shards == number
            with self._shard(int(number)) as shard:
                out[here] = shard.read(field, inside[here])
        return out

    def original_mask(self, index: int) -> UInt8:
        """Decode the reference mask of one item; see :meth:`Cache.original_mask`."""
        with self._at(index) as (shard, inside):
            return shard.original_mask(inside)

    def fixations(self, index: int) -> npt.NDArray[np.float64]:
        """Fixations of one item; see :meth:`Cache.fixations`."""
        with self._at(index) as (shard, inside):
            return shard.fixations(inside)

    def stored(self, index: int) -> Encoded:
        """One item as it lies in its shard; see :meth:`Cache.stored`."""
        with self._at(index) as (shard, inside):
            return shard.stored(inside)

    def verify(self) -> Iterator[Item]:
        """Read every byte of every shard and compare digests; see :meth:`Cache.verify`."""
        for number in range(len(self.shards)):
            with self._shard(number) as shard:
                yield from shard.verify()

    @contextmanager
    def _at(self, index: int) -> Iterator[tuple[Cache, int]]:
        self._check_index(index)
        number, inside = self._place[index].tolist()
        with self._shard(number) as shard:
            yield shard, inside

    @contextmanager
    def _shard(self, number: int) -> Iterator[Cache]:
        """Lend a shard; those that are lent stay open, of the others a few do."""
        with self._lock:
            shard = self._opened(number)
            self._users[number] += 1
        try:
            yield shard
        finally:
            with self._lock:
                self._users[number] -= 1

    def _opened(self, number: int) -> Cache:
        if self._closed:
            raise CacheError(f"{self.path}: closed; open it again")
        if number not in self._open:
            idle = [other for other in self._open if not self._users[other]]
            for other in idle[: max(0, len(self._open) + 1 - _OPEN_AT_ONCE)]:
                self._open.pop(other).close()
            self._open[number] = self._opened_anew(number)
        return self._open[number]

    def _opened_anew(self, number: int) -> Cache:
        shard = Cache.open(self.shards[number])
        if (len(shard), shard.sha256, shard.spec) != (*self._told[number], self.spec):
            shard.close()
            raise CacheError(f"{shard.path}: is not the shard that {MANIFEST} names; render again")
        return shard


def read_manifest(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the manifest alone: a SHARDS table, and what its footer holds.

    Raises
    ------
    CacheError
        There is none, or it is damaged, altered, or not of shards.
    """
    path = folder / MANIFEST
    if not (folder / MANIFEST).is_file():
        raise CacheError(
            f"{folder}: holds no {MANIFEST}, so it is no finished cache; `gazetools render` makes "
            "one, and goes on with one that was stopped"
        )
    try:
        table, about = read_table(path, SHARDS)
    except SchemaError as error:
        raise CacheError(f"{error}; render again to make it") from error
    stray = [name for name in table["shard"] if not SHARD_NAME.fullmatch(name)]
    if stray or table.empty or not {*HEADER, "sha256"} <= about.keys():
        raise CacheError(f"{path}: is not a manifest of shards; render again")
    if about["sha256"] != _digest(table, about):
        raise CacheError(
            f"{path}: does not match its SHA-256; it is damaged or was altered, render again"
        )
    check_header(path, about)
    return table, about


def _digest(table: pd.DataFrame, about: Mapping[str, Any]) -> str:
    """SHA-256 of all that a manifest tells."""
    told = [table.to_dict("list"), *(about[name] for name in HEADER)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
