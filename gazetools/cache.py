"""The HDF5 cache: what lies between rendering and training. Write, open, verify.

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
    ``/fixations``     float64 (F, 4)      x_im, y_im (original image px), onset_ms, duration_ms
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
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from gazetools.errors import CacheError, FormatError
from gazetools.files import DeafFile, replacing, uninterrupted
from gazetools.images import UInt8, decode_mask_png

FORMAT = "gazetools-cache"
VERSION = 1
SPLITS = ("train", "val", "test", "none")
CODECS = ("lz4", "zstd", "gzip", "none")
MAX_ITEM_PIXELS = 1 << 28
"""Levels x height x width of one item: a small damaged file must not fill the memory."""
_SEAL_BYTES = hashlib.sha256().digest_size
_LIBVER = ("v110", "v110")
_PICTURES = ("images", "maps", "heatmaps", "pseudo_masks", "masks")
_LISTS = ("mask_png", "fixations", "index")
_LZ4_FILTER, _ZSTD_FILTER = 32004, 32015  # as registered with the HDF Group
_FILTERS = {h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_DEFLATE, _LZ4_FILTER, _ZSTD_FILTER}


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


def _item_digest(
    pictures: Mapping[str, UInt8], mask_png: bytes, fixations: npt.NDArray[np.float64]
) -> str:
    digest = hashlib.sha256()
    for name in _PICTURES:
        digest.update(np.ascontiguousarray(pictures[name]).data)
    digest.update(mask_png)
    digest.update(np.ascontiguousarray(fixations, "<f8").data)
    return digest.hexdigest()


# ---------------------------------------------------------------- writing


class CacheWriter:
    """Fills a new cache item by item; made by :func:`create_cache`."""

    def __init__(self, disk: DeafFile, file: h5py.File, spec: CacheSpec, count: int) -> None:
        self._disk, self._file, self._spec, self._count = disk, file, spec, count
        self._items: list[Item] = []
        self._png = bytearray()
        self._fixations: list[npt.NDArray[np.float64]] = []
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
        self._items.append(
            Item(
                name=record.name,
                split=record.split,
                width=record.width,
                height=record.height,
                has_mask=record.mask is not None,
                mask_png=(len(self._png), len(record.mask_png)),
                fixations=(sum(map(len, self._fixations)), len(fixations)),
                sha256=_item_digest(pictures, record.mask_png, fixations),
            )
        )
        self._png += record.mask_png
        self._fixations.append(fixations)

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
        plugin = _load_plugin(codec)
        return dict(plugin.LZ4() if codec == "lz4" else plugin.Zstd(clevel=3))
    return {"compression": "gzip", "compression_opts": 1} if codec == "gzip" else {}


def _load_plugin(codec: str) -> ModuleType:
    """Register lz4 and zstd with HDF5, which importing the plugin does."""
    try:
        return import_module("hdf5plugin")
    except ImportError as error:
        raise CacheError(
            f"codec {codec} needs the package hdf5plugin; install it, or render with --codec gzip"
        ) from error


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
        file = h5py.File(disk, "w", libver=_LIBVER)
    try:
        yield file
    finally:
        with uninterrupted():
            file.close()


# ---------------------------------------------------------------- reading


class Cache:
    """An open cache, read only; made by :func:`open_cache`.

    Attributes
    ----------
    path : Path
    spec : CacheSpec
    recipe, sources : dict
        How and from what it was made.
    items : tuple of Item
    sha256 : str
        Digest of the index, which in turn holds the digests of all items.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self._file = path, file
        attributes = _check_header(path, file)
        try:
            self.spec = CacheSpec(**attributes["spec"])
        except CacheError as error:
            raise CacheError(f"{path}: /spec: {error}") from error
        if self.spec.codec in ("lz4", "zstd"):
            _load_plugin(self.spec.codec)
        self.recipe: dict[str, Any] = attributes["recipe"]
        self.sources: dict[str, Any] = attributes["sources"]
        index = _check_list(path, file, "index", np.dtype("u1"), ())[()].tobytes()
        self.sha256 = hashlib.sha256(index).hexdigest()
        self.items = tuple(_item(entry) for entry in json.loads(index))
        for name, shape in self.spec.shapes().items():
            _check_picture(path, file, name, (len(self.items), *shape))
        self._png = _check_list(path, file, "mask_png", np.dtype("u1"), ())
        self._fixations = _check_list(path, file, "fixations", np.dtype("<f8"), (4,))
        _check_items(path, self.items, len(self._png), len(self._fixations))

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
        self._file.close()

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

    def indices(self, split: str) -> npt.NDArray[np.int64]:
        """Positions in :attr:`items` of one split, ascending."""
        if split not in SPLITS:
            raise CacheError(f"split {split!r} is unknown; expected {', '.join(SPLITS)}")
        return np.array([i for i, item in enumerate(self.items) if item.split == split], np.int64)

    def read(self, field: str, indices: npt.ArrayLike) -> UInt8:
        """Read one field of some items, in the order asked for.

        Parameters
        ----------
        field : {"images", "maps", "heatmaps", "pseudo_masks", "masks"}
        indices : array_like of int, shape (n,)

        Returns
        -------
        ndarray of uint8, shape (n, ...)

        Raises
        ------
        CacheError
            The field is unknown, an index is out of range, or the bytes are damaged.
        """
        if field not in _PICTURES:
            raise CacheError(f"field {field!r} is unknown; expected {', '.join(_PICTURES)}")
        wanted = np.asarray(indices, np.int64)
        dataset = self._file[field]
        out = np.empty((len(wanted), *dataset.shape[1:]), np.uint8)
        for position in np.argsort(wanted, kind="stable"):
            index = int(wanted[position])
            if not 0 <= index < len(self.items):
                raise CacheError(f"{self.path}: no item {index}; there are {len(self.items)}")
            with self._reporting_damage(field, index):
                out[position] = dataset[index]
        return out

    def original_mask(self, index: int) -> UInt8:
        """Decode the reference mask of one item: uint8 0 or 1, at the original image size."""
        item = self.items[index]
        if not item.has_mask:
            raise CacheError(f"{self.path}: item {item.name!r} has no reference mask")
        try:
            mask = decode_mask_png(self._mask_png(index))
        except FormatError as error:
            raise CacheError(
                f"{self.path}: /mask_png of item {item.name!r}: {error}; render it again"
            ) from error
        if mask.shape != (item.height, item.width):
            raise CacheError(
                f"{self.path}: /mask_png of item {item.name!r} is {mask.shape}, "
                f"expected {(item.height, item.width)}"
            )
        return mask

    def fixations(self, index: int) -> npt.NDArray[np.float64]:
        """Fixations of one item, shape (n, 4): x_im, y_im, onset_ms, duration_ms."""
        offset, count = self.items[index].fixations
        with self._reporting_damage("fixations", index):
            return np.asarray(self._fixations[offset : offset + count])

    def verify(self) -> Iterator[Item]:
        """Read every byte and compare digests; yield each item that is sound.

        Raises
        ------
        CacheError
            At the first damaged item, naming it; or when the file's own digest does not match.
        """
        for index, item in enumerate(self.items):
            pictures = {name: self.read(name, [index])[0] for name in _PICTURES}
            found = _item_digest(pictures, self._mask_png(index), self.fixations(index))
            if found != item.sha256:
                raise CacheError(
                    f"{self.path}: item {item.name!r} does not match its SHA-256; "
                    "the file is damaged, render it again"
                )
            yield item
        if _digest_before_seal(self.path) != _seal(self.path):
            raise CacheError(
                f"{self.path}: all items are sound, but the file does not match the SHA-256 at "
                "its end; it was altered after it was written"
            )

    def _mask_png(self, index: int) -> bytes:
        offset, count = self.items[index].mask_png
        with self._reporting_damage("mask_png", index):
            return bytes(self._png[offset : offset + count].tobytes())

    @contextmanager
    def _reporting_damage(self, field: str, index: int) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:
            raise CacheError(
                f"{self.path}: /{field} of item {self.items[index].name!r} is damaged "
                f"({error}); render it again"
            ) from error


def open_cache(path: Path) -> Cache:
    """Open a cache for reading and check its structure before any of its data is read.

    Raises
    ------
    CacheError
        Not a cache, truncated, of another version, or of another structure than the format.
    """
    path = Path(path)
    if not path.is_file():
        raise CacheError(f"{path}: no such file; `gazetools render` writes it")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise CacheError(
            f"{path}: cannot be opened as HDF5 ({error}); it is truncated, damaged "
            "or something else; render it again"
        ) from error
    try:
        return Cache(path, file)
    except CacheError:
        file.close()
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        file.close()
        raise CacheError(f"{path}: damaged ({error}); render it again") from error


def _check_header(path: Path, file: h5py.File) -> dict[str, Any]:
    if "format" not in file.attrs or _text(path, file, "format") != FORMAT:
        raise CacheError(f"{path}: an HDF5 file, but not a {FORMAT}; `gazetools render` writes one")
    version = int(file.attrs["version"])
    if version != VERSION:
        raise CacheError(
            f"{path}: version {version} of {FORMAT}, this gazetools reads {VERSION}; "
            "render it again or install the matching gazetools"
        )
    found = set(file)
    if found != {*_PICTURES, *_LISTS}:
        odd = ", ".join(sorted(found ^ {*_PICTURES, *_LISTS}))
        raise CacheError(f"{path}: objects missing or not of the format: {odd}")
    return {name: json.loads(_text(path, file, name)) for name in ("spec", "recipe", "sources")}


def _text(path: Path, file: h5py.File, name: str) -> str:
    kind = h5py.h5a.open(file.id, name.encode()).get_type()
    if not isinstance(kind, h5py.h5t.TypeStringID) or kind.is_variable_str():
        raise CacheError(
            f"{path}: attribute {name!r} is no string of fixed length; this is not a {FORMAT}, or "
            "one of another gazetools: render it again"
        )
    return bytes(file.attrs[name]).decode()


def _check_dataset(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        raise CacheError(f"{path}: /{name} is a link to elsewhere, expected a dataset")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise CacheError(f"{path}: /{name} is a {type(dataset).__name__}, expected a dataset")
    layout = dataset.id.get_create_plist()
    if layout.get_layout() != h5py.h5d.CHUNKED or layout.get_external_count():
        raise CacheError(f"{path}: /{name} is not stored in chunks inside this file")
    filters = {layout.get_filter(i)[0] for i in range(layout.get_nfilters())}
    if h5py.h5z.FILTER_FLETCHER32 not in filters or not filters <= _FILTERS:
        raise CacheError(f"{path}: /{name} has filters {sorted(filters)}, not those of the format")
    allocated = dataset.id.get_num_chunks() if dataset.size else 0
    declared = int(
        np.prod([-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True)])
    )
    if dataset.size and allocated != declared:
        raise CacheError(
            f"{path}: /{name} declares {declared} chunks and holds {allocated}; "
            "it was not finished, render it again"
        )
    return dataset


def _check_picture(path: Path, file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    dataset = _check_dataset(path, file, name)
    if dataset.dtype != np.uint8 or dataset.shape != shape or dataset.chunks != (1, *shape[1:]):
        raise CacheError(
            f"{path}: /{name} is {dataset.dtype}{dataset.shape} in chunks of {dataset.chunks}, "
            f"expected uint8{shape}, one item a chunk"
        )


def _check_list(
    path: Path, file: h5py.File, name: str, dtype: np.dtype[Any], columns: tuple[int, ...]
) -> h5py.Dataset:
    dataset = _check_dataset(path, file, name)
    if dataset.dtype != dtype or dataset.shape[1:] != columns:
        raise CacheError(
            f"{path}: /{name} is {dataset.dtype}{dataset.shape}, expected {dtype}"
            f"{('n', *columns)}, render it again"
        )
    if dataset.id.get_create_plist().get_nfilters() > 1:
        raise CacheError(f"{path}: /{name} is compressed, which the format forbids")
    if dataset.id.get_storage_size() < dataset.nbytes:
        raise CacheError(
            f"{path}: /{name} declares {dataset.nbytes} bytes and holds "
            f"{dataset.id.get_storage_size()}; render it again"
        )
    return dataset


def _check_items(path: Path, items: Sequence[Item], png_bytes: int, fixations: int) -> None:
    """Check that items lie end to end in the lists, so that reading one cannot go astray."""
    at = [0, 0]
    for item in items:
        for kind, (offset, count) in enumerate((item.mask_png, item.fixations)):
            if offset != at[kind] or count < 0:
                raise CacheError(
                    f"{path}: /index places item {item.name!r} at {offset}, expected {at[kind]}; "
                    "render it again"
                )
            at[kind] += count
        if item.split not in SPLITS:
            raise CacheError(
                f"{path}: /index has split {item.split!r}, expected {', '.join(SPLITS)}"
            )
    if at != [png_bytes, fixations]:
        raise CacheError(
            f"{path}: /index accounts for {at[0]} bytes of masks and {at[1]} fixations, the file "
            f"holds {png_bytes} and {fixations}; render it again"
        )


def _seal(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-_SEAL_BYTES, os.SEEK_END)
        return file.read()


def _digest_before_seal(path: Path) -> bytes:
    digest = hashlib.sha256()
    left = path.stat().st_size - _SEAL_BYTES
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return digest.digest()


def _item(entry: dict[str, Any]) -> Item:
    pairs = {key: (int(entry[key][0]), int(entry[key][1])) for key in ("mask_png", "fixations")}
    return Item(**{**entry, **pairs})
