"""Open a cache, check its structure before its data, and read it."""

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from gazetools.cache.codecs import Bytes, Undecodable, restore
from gazetools.cache.disk import Disk, Reader, digest_around
from gazetools.cache.index import read_index
from gazetools.cache.layout import (
    FIXATION_COLUMNS,
    FORMAT,
    LIST_ROWS,
    PARTS,
    PICTURES,
    SEAL_BYTES,
    SPLITS,
    TEXT,
    CacheSpec,
    Encoded,
    Item,
    quick_digest,
    stored_digests,
)
from gazetools.cache.structure import examine, picture_extents
from gazetools.cache.text import TextAbout, read_about
from gazetools.errors import CacheError, FormatError
from gazetools.images import UInt8, decode_mask_png

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SUPERBLOCKS = (2, 3)
"""Versions with checksums."""
_PNG_SIZE = struct.Struct(">II")
_PNG_SIZE_AT = 16


class Cache:
    """An open cache, read only; made by :func:`open_cache`.

    Its file is open for bytes, not through HDF5: many threads may read at once, and so may
    processes that were forked from the one that opened it.

    Attributes
    ----------
    path : Path
    spec : CacheSpec
    recipe, sources : dict
        How and from what it was made.
    items : tuple of Item
    sha256 : str
        Digest of the index, which in turn holds the digests of all items.
    text : TextAbout or None
        Where its text comes from, if it has some; its digest is not part of `sha256`.
    text_shape : (int, int)
        Tokens and dimensions of an item's text, zeros without.
    """

    path: Path
    spec: CacheSpec
    recipe: dict[str, Any]
    sources: dict[str, Any]
    items: tuple[Item, ...]
    sha256: str
    text: TextAbout | None = None
    text_shape: tuple[int, int] = (0, 0)

    def __init__(self, path: Path, disk: Disk, file: h5py.File) -> None:
        self.path, self._disk = path, disk
        length = disk.size() - SEAL_BYTES
        structure = examine(path, file, length)
        self.spec, self._chunks = structure.spec, structure.chunks
        self.recipe, self.sources = structure.recipe, structure.sources
        self._check_seal(length)
        index = self._rows("index", 0, self._chunks["index"].rows)
        self.sha256 = hashlib.sha256(index).hexdigest()
        rows = {name: chunks.rows for name, chunks in self._chunks.items() if name not in TEXT}
        self.items = read_index(path, index, rows)
        if structure.text is not None:
            self.text_shape = structure.text
            self.text = read_about(path, self._whole("text/about"))

    @classmethod
    def open(cls, path: Path) -> "Cache":
        """Open one file; see :func:`open_cache`."""
        if not path.is_file():
            raise CacheError(f"{path}: no such file; `gazetools render` writes it")
        try:
            disk = Disk(path)
        except OSError as error:
            raise CacheError(f"{path}: cannot be opened ({error.strerror})") from error
        try:
            with _hdf5(disk) as file:
                return cls(path, disk, file)
        except BaseException as error:
            disk.close()
            if isinstance(error, _ODD):
                raise CacheError(f"{path}: damaged ({error}); render it again") from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.items)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._disk.close()

    @property
    def levels(self) -> int:
        """Number of track levels, L."""
        return self.spec.levels

    @property
    def height(self) -> int:
        """Rows of every picture, H."""
        return self.spec.height

    @property
    def width(self) -> int:
        """Columns of every picture, W."""
        return self.spec.width

    @property
    def bytes_on_disk(self) -> int:
        """Size of its file."""
        return self.path.stat().st_size

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Positions in :attr:`items` of one split, ascending."""
        if split not in SPLITS:
            raise CacheError(f"split {split!r} is unknown; expected {', '.join(SPLITS)}")
        return np.array([i for i, item in enumerate(self.items) if item.split == split], np.int64)

    def read(self, field: str, indices: npt.ArrayLike, out: UInt8 | None = None) -> UInt8:
        """Read one field of some items, in the order asked for.

        Parameters
        ----------
        field : {"images", "maps", "heatmaps", "pseudo_masks", "masks"}
        indices : array_like of int, shape (n,)
        out : ndarray of uint8, shape (n, ...), optional
            Where to; must have the shape of what is read.

        Returns
        -------
        ndarray of uint8, shape (n, ...)

        Raises
        ------
        CacheError
            The field is unknown, an index is out of range, or the bytes are damaged.
        """
        wanted = as_positions(indices)
        out = self._place_for(field, wanted, out)
        for position in np.argsort(wanted, kind="stable").tolist():
            chunk = self._unpacked(field, int(wanted[position]))
            out[position] = np.frombuffer(chunk, np.uint8).reshape(out.shape[1:])
        return out

    def original_mask(self, index: int) -> UInt8:
        """Decode the reference mask of one item: uint8 0 or 1, at the original image size."""
        item = self.items[index]
        if not item.has_mask:
            raise CacheError(f"{self.path}: item {item.name!r} has no reference mask")
        png = self._part("mask_png", index)
        here = f"{self.path}: /mask_png of item {item.name!r}"
        said = png[_PNG_SIZE_AT : _PNG_SIZE_AT + _PNG_SIZE.size]
        if said != _PNG_SIZE.pack(item.width, item.height):
            raise CacheError(f"{here}: is no PNG of {item.width} x {item.height}; render it again")
        try:
            return decode_mask_png(png)
        except FormatError as error:
            raise CacheError(f"{here}: {error}; render it again") from error

    def fixations(self, index: int) -> npt.NDArray[np.float64]:
        """Fixations of one item, shape (n, 5): x_im, y_im, onset_ms, duration_ms, track."""
        return _as_fixations(self._part("fixations", index))

    def read_text(
        self, indices: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
        """Read what was said of some items, in the order asked for.

        Returns
        -------
        tokens : ndarray of float16, shape (n, T, D)
        mask : ndarray of bool, shape (n, T)
            Where there is a token.

        Raises
        ------
        CacheError
            There is no text, or an index is out of range.
        """
        wanted = as_positions(indices)
        mask = self.text_mask(wanted)
        tokens = np.empty((len(wanted), *self.text_shape), np.float16)
        for position, index in enumerate(wanted.tolist()):
            stored = np.frombuffer(self._whole("text/tokens", index), "<f2")
            tokens[position] = stored.reshape(self.text_shape)
        return tokens, mask

    def text_mask(self, indices: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell where there are tokens of some items, shape (n, T); see :meth:`read_text`."""
        if self.text is None:
            raise CacheError(f"{self.path}: holds no text; `gazetools encode-text` adds it")
        wanted = as_positions(indices)
        self._check_indices(wanted)
        length = self.text_shape[0]
        begin = int(self._chunks["text/mask"].extents[0, 0])
        rows = [self._disk.read(begin + index * length, length) for index in wanted.tolist()]
        return np.asarray(np.frombuffer(b"".join(rows), np.uint8).reshape(-1, length) == 1)

    def stored(self, index: int) -> Encoded:
        """Return one item as it lies in the file, to be put into another.

        Raises
        ------
        CacheError
            Its bytes do not match its SHA-256.
        """
        self._check_index(index)
        item = self.items[index]
        parts = {name: self._bytes_of(name, index) for name in PARTS}
        if stored_digests(parts.values()) != (item.sha256, item.xxh3):
            raise CacheError(
                f"{self.path}: item {item.name!r} does not match its SHA-256; "
                "the file is damaged, render it again"
            )
        return Encoded(
            name=item.name,
            split=item.split,
            width=item.width,
            height=item.height,
            has_mask=item.has_mask,
            made_from=item.made_from,
            chunks={name: parts[name] for name in PICTURES},
            mask_png=parts["mask_png"],
            fixations=_as_fixations(parts["fixations"]),
            sha256=item.sha256,
            xxh3=item.xxh3,
            spec=self.spec,
        )

    def verify(self) -> Iterator[Item]:
        """Read every byte and compare digests; yield each item that is sound.

        Raises
        ------
        CacheError
            At the first damaged item, naming it; or when the rest of the file is not as it was.
        """
        for index, item in enumerate(self.items):
            self.stored(index)
            yield item
        self._check_seal(self._disk.size() - SEAL_BYTES)

    def _place_for(self, field: str, wanted: npt.NDArray[np.int64], out: UInt8 | None) -> UInt8:
        """Check what is asked for, before anything is made for it."""
        if field not in PICTURES:
            raise CacheError(f"field {field!r} is unknown; expected {', '.join(PICTURES)}")
        self._check_indices(wanted)
        shape = (len(wanted), *self.spec.shapes()[field])
        if out is None:
            return np.empty(shape, np.uint8)
        if out.shape != shape or out.dtype != np.uint8:
            raise CacheError(f"out is {out.dtype}{out.shape}, expected uint8{shape} for {field}")
        return out

    def _check_indices(self, wanted: npt.NDArray[np.int64]) -> None:
        if wanted.size:
            self._check_index(int(wanted.min()))
            self._check_index(int(wanted.max()))

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self.items):
            raise CacheError(f"{self.path}: no item {index}; there are {len(self.items)}")

    def _unpacked(self, field: str, index: int) -> Bytes:
        stored = self._part(field, index)
        try:
            return restore(self.spec.codec, stored, self._chunks[field].size)
        except Undecodable as error:
            raise self._damaged(field, index, str(error)) from error

    def _part(self, name: str, index: int) -> bytes:
        """Read the stored bytes of one part of an item, and check them."""
        stored = self._bytes_of(name, index)
        if quick_digest(stored) != self.items[index].xxh3[PARTS.index(name)]:
            raise self._damaged(name, index, "it does not match its XXH3")
        return stored

    def _damaged(self, name: str, index: int, why: str) -> CacheError:
        item = self.items[index].name
        return CacheError(
            f"{self.path}: /{name} of item {item!r} is damaged ({why}); render it again"
        )

    def _bytes_of(self, name: str, index: int) -> bytes:
        if name in LIST_ROWS:
            return self._rows(name, *getattr(self.items[index], name))
        begin, end = self._chunks[name].extents[index].tolist()
        return self._disk.read(begin, end - begin)

    def _whole(self, name: str, chunk: int = 0) -> bytes:
        """Bytes of a chunk that is not compressed; the seal has vouched for them."""
        begin = int(self._chunks[name].extents[chunk, 0])
        return self._disk.read(begin, self._chunks[name].size)

    def _rows(self, name: str, offset: int, count: int) -> bytes:
        """Bytes of some rows of a list, out of one chunk after the other."""
        chunks = self._chunks[name]
        width = chunks.size // max(1, min(LIST_ROWS[name], chunks.rows))
        at, end = offset * width, (offset + count) * width
        found = []
        while at < end:
            number, inside = divmod(at, chunks.size)
            size = min(chunks.size - inside, end - at)
            found.append(self._disk.read(int(chunks.extents[number, 0]) + inside, size))
            at += size
        return b"".join(found)

    def _check_seal(self, length: int) -> None:
        found = digest_around(self._disk, length, picture_extents(self._chunks))
        if found != self._disk.read(length, SEAL_BYTES):
            raise CacheError(
                f"{self.path}: does not match the SHA-256 at its end; it is damaged or was "
                "altered after it was written, render it again"
            )


def as_positions(indices: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return whole numbers, shape (n,); a mask of truth values is none, though NumPy makes 0, 1.

    Raises
    ------
    CacheError
        They are something else.
    """
    given = np.asarray(indices)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise CacheError(
            f"indices are {given.dtype}{given.shape}; expected a list of whole numbers, such as "
            "those of cache.indices('train')"
        )
    return given.astype(np.int64)


def _as_fixations(rows: bytes) -> npt.NDArray[np.float64]:
    table = np.frombuffer(rows, "<f8").reshape(-1, len(FIXATION_COLUMNS))
    return table.astype(np.float64)


_ODD = (OSError, RuntimeError, KeyError, ValueError, TypeError, RecursionError, MemoryError)
"""What HDF5, JSON and NumPy say of damage."""


def _hdf5(disk: Disk) -> h5py.File:
    """Open as HDF5 what begins like a file of ours; old layouts can make HDF5 loop for ever."""
    head = disk.read(0, min(disk.size(), len(_SIGNATURE) + 1))
    if head[:-1] != _SIGNATURE or head[-1] not in _SUPERBLOCKS:
        raise CacheError(
            f"{disk.path}: does not begin like a {FORMAT}; it is damaged, or something else, or "
            "was rewritten by another program; render it again"
        )
    try:
        return h5py.File(Reader(disk), "r")
    except OSError as error:
        raise CacheError(
            f"{disk.path}: cannot be opened as HDF5 ({error}); it is truncated or damaged, "
            "render it again"
        ) from error


def open_cache(path: Path) -> Cache:
    """Open a cache for reading and check its structure before any of its data is read.

    Raises
    ------
    CacheError
        Not a cache, truncated, of another version, or of another structure than the format.
    """
    path = Path(path)
    if path.is_dir():
        from gazetools.cache.sharded import ShardedCache

        return ShardedCache(path)
    return Cache.open(path)
