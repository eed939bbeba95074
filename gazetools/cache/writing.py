"""Write a cache, whole or not at all."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from gazetools.cache.layout import (
    FIXATION_COLUMNS,
    FORMAT,
    LIBVER,
    VERSION,
    CacheSpec,
    Item,
    Record,
    item_digest,
    load_plugin,
)
from gazetools.errors import CacheError
from gazetools.files import DeafFile, replacing, uninterrupted


class CacheWriter:
    """Fills a new cache item by item; made by :func:`create_cache`."""

    def __init__(self, disk: DeafFile, file: h5py.File, spec: CacheSpec, count: int) -> None:
        self._disk, self._file, self._spec, self._count = disk, file, spec, count
        self._items: list[Item] = []
        self._png = bytearray()
        self._fixations: list[npt.NDArray[np.float64]] = []
        self._rows = 0
        for name, shape in spec.shapes().items():
            file.create_dataset(
                name,
                shape=(count, *shape),
                chunks=(1, *shape),
                dtype="u1",
                fletcher32=True,
                **_compression(spec.codec),
            )

    def add(self, record: Record) -> None:
        """Write the next item."""
        position, pictures = len(self._items), record.pictures()
        for name, shape in self._spec.shapes().items():
            array = pictures[name]
            if array.shape != shape or array.dtype != np.uint8:
                raise CacheError(
                    f"item {record.name!r}: {name} is {array.dtype}{array.shape}, "
                    f"expected uint8{shape}"
                )
            with uninterrupted():
                self._file[name][position] = array
        self._disk.check()
        fixations = np.ascontiguousarray(record.fixations, np.float64)
        if fixations.shape[1:] != (len(FIXATION_COLUMNS),):
            raise CacheError(
                f"item {record.name!r}: fixations are {fixations.shape}, expected (n, "
                f"{len(FIXATION_COLUMNS)}): {', '.join(FIXATION_COLUMNS)}"
            )
        self._items.append(
            Item(
                name=record.name,
                split=record.split,
                width=record.width,
                height=record.height,
                has_mask=record.mask is not None,
                mask_png=(len(self._png), len(record.mask_png)),
                fixations=(self._rows, len(fixations)),
                sha256=item_digest(pictures, record.mask_png, fixations),
            )
        )
        self._png += record.mask_png
        self._fixations.append(fixations)
        self._rows += len(fixations)

    def finish(self) -> None:
        """Write the lists and the index; every announced item must have been added."""
        if len(self._items) != self._count:
            raise CacheError(f"{len(self._items)} items written, {self._count} announced")
        index = json.dumps([asdict(item) for item in self._items], ensure_ascii=False)
        self._write_list("mask_png", np.frombuffer(bytes(self._png), np.uint8), 1 << 16)
        self._write_list("fixations", np.concatenate(self._fixations), 1 << 11)
        self._write_list("index", np.frombuffer(index.encode(), np.uint8), 1 << 16)

    def _write_list(self, name: str, values: npt.NDArray[Any], rows: int) -> None:
        chunk = (max(1, min(rows, len(values))), *values.shape[1:])
        self._file.create_dataset(
            name, data=values, chunks=chunk, maxshape=(None, *values.shape[1:]), fletcher32=True
        )


def _compression(codec: str) -> dict[str, Any]:
    if codec in ("lz4", "zstd"):
        plugin = load_plugin(codec)
        return dict(plugin.LZ4() if codec == "lz4" else plugin.Zstd(clevel=3))
    return {"compression": "gzip", "compression_opts": 1} if codec == "gzip" else {}


@contextmanager
def create_cache(
    path: Path,
    spec: CacheSpec,
    count: int,
    *,
    recipe: Mapping[str, Any],
    sources: Mapping[str, Any],
    overwrite: bool = False,
) -> Iterator[CacheWriter]:
    """Yield a writer for a new cache of `count` items; the file appears when the block ends.

    Raises
    ------
    CacheError
        An item has a wrong shape, or fewer than `count` were added.
    OutputError
        The file exists already or the disk refuses it; nothing is left behind.
    """
    if count < 1:
        raise CacheError(f"{path}: a cache needs at least one item")
    header = {
        "format": FORMAT,
        "spec": json.dumps(asdict(spec), sort_keys=True),
        "recipe": json.dumps(recipe, sort_keys=True),
        "sources": json.dumps(sources, sort_keys=True),
    }
    with replacing(path, overwrite=overwrite) as temporary:
        with DeafFile(temporary) as disk:
            with _hdf5_on(disk) as file:
                with uninterrupted():
                    file.attrs["version"] = VERSION
                    for name, text in header.items():
                        file.attrs[name] = np.bytes_(text.encode())
                    writer = CacheWriter(disk, file, spec, count)
                yield writer
                with uninterrupted():
                    writer.finish()
            disk.check()
        with temporary.open("rb+") as closed:
            seal = hashlib.file_digest(closed, "sha256").digest()
            closed.write(seal)


@contextmanager
def _hdf5_on(disk: DeafFile) -> Iterator[h5py.File]:
    with uninterrupted():
        file = h5py.File(disk, "w", libver=LIBVER)
    try:
        yield file
    finally:
        with uninterrupted():
            file.close()
