"""The folder of a training run, read as plain files that anybody may have changed."""

import csv
import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gazetools.errors import FormatError
from gazetools.images import UInt8

CONFIG = "config.json"
_FORMAT = "gradtrack-run"
_MOST_BYTES = 64_000_000
_MOST_ROWS = 100_000
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,  # encrypted, or packed in a way that zipfile does not know
    SyntaxError,  # in the header of an array, as the next
    tokenize.TokenError,
    SystemError,  # text of numbers that are no characters
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """What `gradtrack-evaluate` wrote of one checkpoint.

    Attributes
    ----------
    name : str
        Split and checkpoint, e.g. "test_best".
    summary : mapping
        Of the JSON file; values may be anything that JSON can say.
    images : list of str
        Names, in the order of the file.
    figures : mapping of str to ndarray, shape (n,)
        Columns of the table; NaN where there is no number.
    gallery : Path or None
    attention : Path or None
        See :func:`read_attention`.
    """

    name: str
    summary: Mapping[str, Any]
    images: list[str]
    figures: Mapping[str, Floats]
    gallery: Path | None
    attention: Path | None


@dataclass(frozen=True)
class Attention:
    """Images with what each stage of a network attended to, and the map that it learned from.

    Attributes
    ----------
    names : list of str
    sizes : list of (width, height)
        Of the original images.
    levels : list of int
        Track level of each stage, the coarsest first.
    images : ndarray of uint8, shape (n, h, w, 3)
    attention, maps : ndarray of uint8, shape (n, s, h, w)
    """

    names: list[str]
    sizes: list[tuple[int, int]]
    levels: list[int]
    images: UInt8
    attention: UInt8
    maps: UInt8


@dataclass(frozen=True)
class Run:
    """What the folder of a run tells.

    Attributes
    ----------
    path : Path
    config : mapping
        Of config.json.
    metrics : mapping of str to ndarray, shape (n,)
        Columns of metrics.csv; NaN where there is no number.
    summary : mapping
        Of summary.json; empty while the run goes on.
    evaluations : tuple of Evaluation
    """

    path: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Floats]
    summary: Mapping[str, Any]
    evaluations: tuple[Evaluation, ...]

    @property
    def name(self) -> str:
        """Last two parts of its path, which tell runs apart where seeds are folders."""
        return "/".join(self.path.resolve().parts[-2:])

    @property
    def iteration(self) -> Floats:
        """Of each row of `metrics`; counted where no column tells it."""
        rows = max(map(len, self.metrics.values()), default=0)
        return self.metrics.get("iteration", np.arange(1.0, rows + 1))

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a part of the config that should be a JSON object; empty if it is none."""
        found = self.config.get(name)
        return found if isinstance(found, dict) else {}


def read_run(folder: Path) -> Run:
    """Read what is there of a run; only config.json must be.

    Raises
    ------
    FormatError
        A file cannot be read, or is not what its name promises.
    """
    if not (folder / CONFIG).is_file():
        raise FormatError(
            f"{folder / CONFIG}: no such file; name a run folder, which gradtrack-train writes"
        )
    config = _json(folder / CONFIG)
    if config.get("format") != _FORMAT:
        raise FormatError(f"{folder / CONFIG}: is not of a {_FORMAT}; name another folder")
    metrics, summary = folder / "metrics.csv", folder / "summary.json"
    evaluation = folder / "evaluation"
    tables = sorted(evaluation.glob("*.csv")) if evaluation.is_dir() else []
    return Run(
        path=folder,
        config=config,
        metrics=_numbers(_csv(metrics)) if metrics.is_file() else {},
        summary=_json(summary) if summary.is_file() else {},
        evaluations=tuple(_evaluation(table) for table in tables),
    )


def _evaluation(table: Path) -> Evaluation:
    columns = _csv(table)
    if "name" not in columns:
        raise FormatError(f"{table}: has no column 'name'; `gradtrack-evaluate` writes it")
    names = columns.pop("name")
    summary, gallery, attention = (table.with_suffix(f".{s}") for s in ("json", "png", "npz"))
    return Evaluation(
        name=table.stem,
        summary=_json(summary) if summary.is_file() else {},
        images=names,
        figures=_numbers(columns),
        gallery=gallery if gallery.is_file() else None,
        attention=attention if attention.is_file() else None,
    )


def read_attention(path: Path) -> Attention:
    """Read the attention that an evaluation found.

    Raises
    ------
    FormatError
        The file is damaged, too large, or its arrays do not go together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _arrays(archive, [field.name for field in fields(Attention)])
        if not _go_together(arrays):
            raise FormatError("its arrays do not go together")
        names, sizes, levels = (arrays.pop(name).tolist() for name in ("names", "sizes", "levels"))
    except _UNREADABLE as error:
        raise FormatError(f"{path}: cannot be read ({error}); evaluate the run again") from error
    except FormatError as error:
        raise FormatError(f"{path}: {error}; evaluate the run again") from error
    return Attention(names, [(across, down) for across, down in sizes], levels, **arrays)


def _arrays(archive: zipfile.ZipFile, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Read arrays; refuse before reading what together is larger than any evaluation writes."""
    found: dict[str, npt.NDArray[Any]] = {}
    left = _MOST_BYTES
    for name in names:
        member = archive.getinfo(f"{name}.npy")
        if member.compress_type not in _PACKED:  # others unpack without a limit
            raise FormatError(f"{member.filename} is packed as no evaluation packs it")
        with archive.open(member) as file:
            if np.lib.format.read_magic(file) != (1, 0):  # the header of others has any length
                raise FormatError(f"{member.filename} has a header as no evaluation writes it")
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            left -= math.prod(map(abs, shape)) * max(dtype.itemsize, 1)
            if left < 0:
                raise FormatError(f"holds more than {_MOST_BYTES:,} bytes")
            file.seek(0)
            found[name] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def _go_together(arrays: Mapping[str, npt.NDArray[Any]]) -> bool:
    names, sizes, levels, images, attention, maps = arrays.values()
    n, height, width = images.shape[:3] if images.ndim == 4 else (0, 0, 0)
    return (
        min(n, height, width) > 0
        and images.shape[3] == 3
        and levels.ndim == 1
        and attention.shape == maps.shape == (n, len(levels), height, width)
        and {images.dtype, attention.dtype, maps.dtype} == {np.dtype(np.uint8)}
        and (names.shape, sizes.shape) == ((n,), (n, 2))
        and (names.dtype.kind, sizes.dtype.kind, levels.dtype.kind) == ("U", "i", "i")
        and bool(sizes.min() > 0)
    )


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise FormatError(f"{path}: has more than {_MOST_BYTES:,} bytes; it is no such file")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); copy the run again") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: is no JSON ({error}); copy the run again") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path}: holds a JSON {type(content).__name__}, expected an object")
    return content


def _csv(path: Path) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {}
    try:
        rows = csv.DictReader(io.StringIO(_text(path), newline=""))
        columns = {name: [] for name in rows.fieldnames or []}
        for number, row in enumerate(rows):
            if number == _MOST_ROWS:
                raise FormatError(f"{path}: has more than {_MOST_ROWS:,} rows")
            for name, values in columns.items():
                values.append(row[name] or "")
    except csv.Error as error:
        raise FormatError(f"{path}: is no CSV ({error}); copy the run again") from error
    return columns


def _numbers(columns: Mapping[str, list[str]]) -> dict[str, Floats]:
    """Columns that hold at least one number."""
    found = {name: np.array([_number(v) for v in values]) for name, values in columns.items()}
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) and abs(value) < 1e15 else math.nan
