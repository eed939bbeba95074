"""Turn an item into the bytes that a file stores: all of the work that is not writing."""

import numpy as np

from gazetools.cache.codecs import store
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
    if record.split not in SPLITS:
        raise CacheError(
            f"item {record.name!r}: split {record.split!r} is unknown; expected {', '.join(SPLITS)}"
        )
    fixations = np.ascontiguousarray(record.fixations, "<f8")
    if fixations.ndim != 2 or fixations.shape[1] != len(FIXATION_COLUMNS):
        raise CacheError(
            f"item {record.name!r}: fixations are {fixations.shape}, expected (n, "
            f"{len(FIXATION_COLUMNS)}): {', '.join(FIXATION_COLUMNS)}"
        )
    chunks = {}
    pictures = record.pictures()
    for name, shape in spec.shapes().items():
        array = pictures[name]
        if array.shape != shape or array.dtype != np.uint8:
            raise CacheError(
                f"item {record.name!r}: {name} is {array.dtype}{array.shape}, expected uint8{shape}"
            )
        data = np.ascontiguousarray(array).reshape(-1).data
        # the noise of a camera is not worth the time that packing it takes
        chunks[name] = store(spec.codec, data, hurry=name == "images")
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
