"""Open a cache, check its structure before its data, and read it."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from gazetools.cache.layout import (
    FILTERS,
    FIXATION_COLUMNS,
    FORMAT,
    LISTS,
    PICTURES,
    SEAL_BYTES,
    SPLITS,
    VERSION,
    CacheSpec,
    Item,
    item_digest,
    load_plugin,
)
from gazetools.errors import CacheError, FormatError
from gazetools.images import UInt8, decode_mask_png


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
            load_plugin(self.spec.codec)
        self.recipe: dict[str, Any] = attributes["recipe"]
        self.sources: dict[str, Any] = attributes["sources"]
        index = _check_list(path, file, "index", np.dtype("u1"), ())[()].tobytes()
        self.sha256 = hashlib.sha256(index).hexdigest()
        self.items = tuple(_item(entry) for entry in json.loads(index))
        for name, shape in self.spec.shapes().items():
            _check_picture(path, file, name, (len(self.items), *shape))
        self._png = _check_list(path, file, "mask_png", np.dtype("u1"), ())
        self._fixations = _check_list(
            path, file, "fixations", np.dtype("<f8"), (len(FIXATION_COLUMNS),)
        )
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
        if field not in PICTURES:
            raise CacheError(f"field {field!r} is unknown; expected {', '.join(PICTURES)}")
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
        """Fixations of one item, shape (n, 5): x_im, y_im, onset_ms, duration_ms, track."""
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
            pictures = {name: self.read(name, [index])[0] for name in PICTURES}
            found = item_digest(pictures, self._mask_png(index), self.fixations(index))
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
    if found != {*PICTURES, *LISTS}:
        odd = ", ".join(sorted(found ^ {*PICTURES, *LISTS}))
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
    if h5py.h5z.FILTER_FLETCHER32 not in filters or not filters <= FILTERS:
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
        file.seek(-SEAL_BYTES, os.SEEK_END)
        return file.read()


def _digest_before_seal(path: Path) -> bytes:
    digest = hashlib.sha256()
    left = path.stat().st_size - SEAL_BYTES
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return digest.digest()


def _item(entry: dict[str, Any]) -> Item:
    pairs = {key: (int(entry[key][0]), int(entry[key][1])) for key in ("mask_png", "fixations")}
    return Item(**{**entry, **pairs})
