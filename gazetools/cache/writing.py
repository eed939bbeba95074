"""Write a cache, whole or not at all."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gazetools.cache.codecs import CODECS, store
from gazetools.cache.disk import Disk, digest_around
from gazetools.cache.encoding import encode
from gazetools.cache.index import index_bytes
from gazetools.cache.layout import (
    FIXATION_COLUMNS,
    FORMAT,
    LIBVER,
    LIST_ROWS,
    VERSION,
    VERSION_WITH_TEXT,
    CacheSpec,
    Encoded,
    Item,
    Record,
)
from gazetools.cache.reading import Cache, open_cache
from gazetools.cache.structure import examine, picture_extents
from gazetools.cache.text import Text, write_text
from gazetools.errors import CacheError
from gazetools.files import DeafFile, locked, replacing, uninterrupted
from gazetools.progress import Progress, unseen


class CacheWriter:
    """Fills a new cache item by item; made by :func:`create_cache`."""

    def __init__(self, disk: DeafFile, file: h5py.File, spec: CacheSpec, count: int) -> None:
        self._disk, self._file, self._spec, self._count = disk, file, spec, count
        self._items: list[Item] = []
        self._names: set[str] = set()
        self._mask_png = _List(file, "mask_png", "u1")
        self._fixations = _List(file, "fixations", "<f8", len(FIXATION_COLUMNS))
        self._datasets = {
            name: file.create_dataset(
                name,
                shape=(count, *shape),
                chunks=(1, *shape),
                dtype="u1",
                fletcher32=True,
                **_compression(spec.codec),
            ).id
            for name, shape in spec.shapes().items()
        }
        self._rest = {name: (0,) * len(shape) for name, shape in spec.shapes().items()}

    def add(self, item: Record | Encoded) -> None:
        """Write the next item; one that is encoded already is only copied."""
        encoded = item if isinstance(item, Encoded) else encode(item, self._spec)
        if encoded.spec != self._spec:
            raise CacheError(
                f"item {encoded.name!r} was encoded for {encoded.spec}, this cache has {self._spec}"
            )
        if encoded.name in self._names:
            raise CacheError(f"item {encoded.name!r} is there already; names must differ")
        position = len(self._items)
        if position == self._count:
            raise CacheError(f"item {encoded.name!r} is one more than the {self._count} announced")
        with uninterrupted():
            for name, dataset in self._datasets.items():
                at = (position, *self._rest[name])
                dataset.write_direct_chunk(at, encoded.chunks[name])
            mask_png = self._mask_png.add(encoded.mask_png)
            fixations = self._fixations.add(encoded.fixations.astype("<f8", copy=False).tobytes())
        self._disk.check()
        self._names.add(encoded.name)
        self._items.append(
            Item(
                name=encoded.name,
                split=encoded.split,
                width=encoded.width,
                height=encoded.height,
                has_mask=encoded.has_mask,
                made_from=encoded.made_from,
                mask_png=mask_png,
                fixations=fixations,
                sha256=encoded.sha256,
                xxh3=encoded.xxh3,
            )
        )

    def finish(self) -> None:
        """Write the rest of the lists, and the index; all announced items must have been added."""
        if len(self._items) != self._count:
            raise CacheError(f"{len(self._items)} items written, {self._count} announced")
        index = _List(self._file, "index", "u1")
        index.add(index_bytes(self._items))
        for rows in (self._mask_png, self._fixations, index):
            rows.finish()


class _List:
    """A list of which each chunk is written as soon as it is full."""

    def __init__(self, file: h5py.File, name: str, dtype: str, *width: int) -> None:
        self._file, self._name, self._dtype, self._width = file, name, dtype, width
        self._row_bytes = np.dtype(dtype).itemsize * math.prod(width)
        self._rows = self._written = 0
        self._waiting = bytearray()
        self._dataset: h5py.Dataset | None = None

    def add(self, data: bytes) -> tuple[int, int]:
        """Append whole rows; return where they begin, and how many they are."""
        begin, count = self._rows, len(data) // self._row_bytes
        self._rows += count
        self._waiting += data
        while self._rows - self._written >= LIST_ROWS[self._name]:
            self._write_chunk(LIST_ROWS[self._name])
        return begin, count

    def finish(self) -> None:
        """Write what fills no chunk; where there was none yet, it is one of its own size."""
        if self._rows > self._written:
            self._write_chunk(self._rows)
        elif self._dataset is None:
            self._create(1)

    def _write_chunk(self, rows: int) -> None:
        dataset = self._dataset if self._dataset is not None else self._create(rows)
        size = dataset.chunks[0] * self._row_bytes
        data = bytes(self._waiting[:size]).ljust(size, b"\0")  # as HDF5 fills up the last one
        del self._waiting[:size]
        begin, self._written = self._written, min(self._written + dataset.chunks[0], self._rows)
        dataset.resize(self._written, axis=0)
        dataset.id.write_direct_chunk((begin, *(0 for _ in self._width)), store("none", data))

    def _create(self, chunk: int) -> h5py.Dataset:
        self._dataset = self._file.create_dataset(
            self._name,
            shape=(0, *self._width),
            chunks=(chunk, *self._width),
            maxshape=(None, *self._width),
            dtype=self._dtype,
            fletcher32=True,
        )
        return self._dataset


def _compression(codec: str) -> dict[str, Any]:
    """Options of create_dataset.

    The filters of lz4 and zstd are never run here, but HDF5 writes their names, and so other
    bytes, where it knows them: so it always does.
    """
    if codec == "none":
        return {}
    if codec == "gzip":
        return {"compression": "gzip", "compression_opts": CODECS[codec].parameters[0]}
    try:
        import_module("hdf5plugin")
    except ImportError as error:
        raise CacheError(
            f"codec {codec} needs the package hdf5plugin; install it, or render with --codec gzip"
        ) from error
    chosen = CODECS[codec]
    return {"compression": chosen.filter_id, "compression_opts": chosen.parameters}


@contextmanager
def create_cache(
    path: Path,
    spec: CacheSpec,
    count: int,
    *,
    recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
    text: Text | None = None,
    overwrite: bool = False,
    durable: bool = True,
) -> Iterator[CacheWriter]:
    """Yield a writer for a new cache of `count` items; the file appears when the block ends.

    `durable=False` leaves it to the system when the bytes reach the disk: for files that are
    soon read again and can be made again.

    Raises
    ------
    CacheError
        An item has a wrong shape, or not just `count` were added.
    OutputError
        The file exists already or the disk refuses it; nothing is left behind.
    """
    if count < 1:
        raise CacheError(f"{path}: a cache needs at least one item")
    if text is not None and len(text.tokens) != count:
        raise CacheError(f"{path}: text of {len(text.tokens)} items, the cache has {count}")
    header = {
        "format": FORMAT,
        "spec": json.dumps(asdict(spec), sort_keys=True),
        "recipe": json.dumps(recipe, sort_keys=True),
        "sources": json.dumps(sources, sort_keys=True),
    }
    with replacing(path, overwrite=overwrite, durable=durable) as temporary:
        with DeafFile(temporary) as disk:
            with _hdf5_on(disk) as file:
                with uninterrupted():
                    file.attrs["version"] = VERSION if text is None else VERSION_WITH_TEXT
                    for name, told in header.items():
                        file.attrs[name] = np.bytes_(told.encode())
                    writer = CacheWriter(disk, file, spec, count)
                yield writer
                with uninterrupted():
                    writer.finish()
                    if text is not None:
                        write_text(file, text)
            disk.check()
        seal(temporary)


@contextmanager
def _hdf5_on(disk: DeafFile) -> Iterator[h5py.File]:
    with uninterrupted():
        file = h5py.File(disk, "w", libver=LIBVER)
    try:
        yield file
    finally:
        with uninterrupted():
            file.close()


def seal(path: Path) -> None:
    """Append to a finished file the digest of all that no item's digest covers."""
    disk = Disk(path)
    try:
        length = disk.size()
        with h5py.File(path, "r") as file:
            chunks = examine(path, file, length).chunks
        digest = digest_around(disk, length, picture_extents(chunks))
    finally:
        disk.close()
    with path.open("ab") as closed:
        closed.write(digest)


def copy_cache(
    cache: Cache,
    out: Path,
    *,
    text: Text | None = None,
    overwrite: bool = False,
    progress: Progress = unseen,
) -> None:
    """Write all items of a cache, as they are stored, into one file.

    Raises
    ------
    CacheError
        An item is damaged, or the text is of more or fewer items.
    OutputError
        `out` exists and `overwrite` is false, or the disk refuses it.
    """
    with create_cache(
        out,
        cache.spec,
        len(cache),
        recipe=cache.recipe,
        sources=cache.sources,
        text=text,
        overwrite=overwrite,
    ) as writer:
        for index, item in enumerate(cache.items):
            writer.add(cache.stored(index))
            progress(index + 1, len(cache), item.name)


def put_text(
    path: Path, text: Text, out: Path, *, cache_sha256: str = "", overwrite: bool = False
) -> None:
    """Write the cache at `path`, with this text instead of what it had, to `out`.

    Both may be the same path: the file is replaced when the new one is complete.

    Parameters
    ----------
    cache_sha256 : str
        Of the cache whose items were described, if that is to be checked.

    Raises
    ------
    CacheError
        It cannot be opened, an item of it is damaged, its items are not as many as the text's,
        or it is another than was described.
    OutputError
        `out` exists, is another file and `overwrite` is false; or the disk refuses it.
    """
    if path.is_dir():
        raise CacheError(
            f"{path}: text goes into one file, this is a folder of shards; make one of them: "
            f"gazetools merge {path}"
        )
    same = out.exists() and out.samefile(path)
    with (
        locked(out),
        _the_same(path, cache_sha256) as cache,
    ):
        copy_cache(cache, out, text=text, overwrite=overwrite or same)


def _the_same(path: Path, sha256: str) -> Cache:
    cache = open_cache(path)
    if sha256 and cache.sha256 != sha256:
        cache.close()
        raise CacheError(f"{path}: was rendered anew meanwhile; encode its descriptions again")
    return cache
