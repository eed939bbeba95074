"""Turn an item into the bytes that a file stores: all of the work that is not writing."""

from collections.abc import Sequence

import numpy as np

from gazetools.cache.codecs import store_all
from gazetools.cache.layout import (
    FIXATION_COLUMNS,
    SPLITS,
    CacheSpec,
    Encoded,
    Record,
    stored_digests,
)
from gazetools.errors import CacheError


def encode(record: Record, spec: CacheSpec) -> Encoded:
    """Compress, checksum and digest an item; other threads can run meanwhile.

    Raises
    ------
    CacheError
        A picture does not have the shape that `spec` gives it, or the split is unknown.
    """
    return encode_all([record], spec)[0]


def encode_all(records: Sequence[Record], spec: CacheSpec) -> list[Encoded]:
    """As :func:`encode`, for many items: sooner done where several threads do so."""
    pictures = [_pictures(record, spec) for record in records]
    stored = {
        # the noise of a camera is not worth the time that packing it takes
        name: store_all(spec.codec, [each[name] for each in pictures], hurry=name == "images")
        for name in spec.shapes()
    }
    return [
        _encoded(record, {name: chunks[i] for name, chunks in stored.items()}, spec)
        for i, record in enumerate(records)
    ]


def _pictures(record: Record, spec: CacheSpec) -> dict[str, memoryview]:
    """Check a record; return the bytes of its pictures."""
    if record.split not in SPLITS:
        raise CacheError(
            f"item {record.name!r}: split {record.split!r} is unknown; expected {', '.join(SPLITS)}"
        )
    shape = record.fixations.shape
    if len(shape) != 2 or shape[1] != len(FIXATION_COLUMNS):
        raise CacheError(
            f"item {record.name!r}: fixations are {shape}, expected (n, {len(FIXATION_COLUMNS)}): "
            f"{', '.join(FIXATION_COLUMNS)}"
        )
    pictures = record.pictures()
    for name, shape in spec.shapes().items():
        array = pictures[name]
        if array.shape != shape or array.dtype != np.uint8:
            raise CacheError(
                f"item {record.name!r}: {name} is {array.dtype}{array.shape}, expected uint8{shape}"
            )
    return {name: np.ascontiguousarray(a).reshape(-1).data for name, a in pictures.items()}


def _encoded(record: Record, chunks: dict[str, bytes], spec: CacheSpec) -> Encoded:
    fixations = np.ascontiguousarray(record.fixations, "<f8")
    sha256, xxh3 = stored_digests([*chunks.values(), record.mask_png, fixations.tobytes()])
    return Encoded(
        name=record.name,
        split=record.split,
        width=record.width,
        height=record.height,
        has_mask=record.mask is not None,
        made_from=record.made_from,
        chunks=chunks,
        mask_png=record.mask_png,
        fixations=fixations,
        sha256=sha256,
        xxh3=xxh3,
        spec=spec,
    )
