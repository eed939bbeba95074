"""How a chunk is stored: compressed and checksummed just as HDF5's own filters would do it.

HDF5 runs its filters one chunk at a time behind one lock. Here the same bytes are made, and
read, by libraries that let other threads run meanwhile.

=====  ==================  =============================================================
codec  HDF5 filter         bytes of a chunk, before its checksum
=====  ==================  =============================================================
lz4    32004, (0,)         big-endian: size (8 bytes), size of a block (4), which is the same,
                           stored size (4); then one LZ4 block, or the bytes as they are
                           where that is no longer
zstd   32015, (level,)     one frame, which says its size
gzip   1, (level,)         one zlib stream
none                       the bytes as they are
=====  ==================  =============================================================

The checksum is HDF5's fletcher32, four bytes. It does not tell a word of zeros from one of
ones: what reads a cache goes by the digests in its index.
"""

import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lz4.block
import numpy as np
import zstandard

from gazetools.kernels.fletcher32 import WEIGHTS, fletcher_sums

CHECKSUM_BYTES = 4
ZSTD_LEVEL, GZIP_LEVEL = 1, 1
ZSTD = zstandard.ZstdCompressionParameters.from_level(ZSTD_LEVEL, target_length=2)
"""Level 1 as for long inputs, two bytes on where nothing is found: maps take three quarters of the
time and six per cent more space than at level 1 for their own length."""
HURRIED_LZ4 = 16
"""Acceleration for what hardly shrinks."""
_LZ4_HEAD = struct.Struct(">QII")
_per_thread = threading.local()  # zstandard's objects must not be shared

Bytes = bytes | memoryview


class Undecodable(ValueError):
    """Stored bytes are not those of a chunk of the expected size."""


@dataclass(frozen=True)
class Codec:
    """A way to store chunks.

    Attributes
    ----------
    filter_id : int
        HDF5's number of the filter; 0 where there is none.
    parameters : tuple of int
        Of that filter.
    pack : callable
        (bytes of chunks, whether to hurry) to stored bytes of each, without checksum.
    unpack : callable
        (stored bytes without checksum, size) to exactly `size` bytes, or Undecodable. Never
        makes more than `size` bytes, whatever the stored ones declare.
    """

    filter_id: int
    parameters: tuple[int, ...]
    pack: Callable[[Sequence[Bytes], bool], list[Bytes]]
    unpack: Callable[[Bytes, int], Bytes]


def checksum(data: Bytes) -> bytes:
    """HDF5's fletcher32 of some bytes, as it is stored behind them.

    HDF5 adds 16-bit words, high byte first. Modulo 65535, swapping the bytes of each word swaps
    those of the sums: so words are added as they lie in memory, and the sums swapped.
    """
    if len(data) % 2:
        data = bytes(data) + b"\0"
    return struct.pack(">HH", *fletcher_sums(np.frombuffer(data, "<u2"), WEIGHTS))


def _lz4_pack_all(chunks: Sequence[Bytes], hurry: bool) -> list[Bytes]:
    return [_lz4_pack(data, hurry) for data in chunks]


def _lz4_pack(data: Bytes, hurry: bool) -> bytes:
    packed: Bytes = lz4.block.compress(
        data, mode="fast", acceleration=HURRIED_LZ4 if hurry else 1, store_size=False
    )
    if len(packed) >= len(data):
        packed = data
    return b"".join((_LZ4_HEAD.pack(len(data), len(data), len(packed)), packed))


def _lz4_unpack(stored: Bytes, size: int) -> Bytes:
    view = memoryview(stored)
    if len(view) < _LZ4_HEAD.size:
        raise Undecodable(f"{len(view)} bytes, fewer than a header")
    packed = view[_LZ4_HEAD.size :]
    declared = _LZ4_HEAD.unpack_from(view)
    if declared != (size, size, len(packed)):
        raise Undecodable(f"a header of {declared}, expected {(size, size, len(packed))}")
    if len(packed) == size:
        return packed
    try:
        data: bytes = lz4.block.decompress(packed, uncompressed_size=size)
    except lz4.block.LZ4BlockError as error:
        raise Undecodable(str(error)) from error
    return _exactly(data, size)


def _zstd_pack_all(chunks: Sequence[Bytes], hurry: bool) -> list[Bytes]:
    """Pack in one call: threads that pack by turns wait for each other longer than they pack."""
    if not hasattr(_per_thread, "packer"):
        _per_thread.packer = zstandard.ZstdCompressor(compression_params=ZSTD)
    if len(chunks) == 1:
        return [_per_thread.packer.compress(chunks[0])]
    packed = _per_thread.packer.multi_compress_to_buffer(list(chunks), threads=1)
    return [part.tobytes() for part in packed]


def _zstd_unpack(stored: Bytes, size: int) -> Bytes:
    if not hasattr(_per_thread, "unpacker"):
        _per_thread.unpacker = zstandard.ZstdDecompressor()
    try:
        declared = zstandard.frame_content_size(stored)
        if declared != size:
            raise Undecodable(f"a frame of {declared} bytes, expected {size}")
        data: bytes = _per_thread.unpacker.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Undecodable(str(error)) from error
    return _exactly(data, size)


def _gzip_pack_all(chunks: Sequence[Bytes], hurry: bool) -> list[Bytes]:
    return [zlib.compress(data, GZIP_LEVEL) for data in chunks]


def _gzip_unpack(stored: Bytes, size: int) -> Bytes:
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(stored, size + 1)
    except zlib.error as error:
        raise Undecodable(str(error)) from error
    if not stream.eof or stream.unused_data:
        raise Undecodable("a stream that does not end where it should")
    return _exactly(data, size)


def _none_pack_all(chunks: Sequence[Bytes], hurry: bool) -> list[Bytes]:
    return list(chunks)


def _none_unpack(stored: Bytes, size: int) -> Bytes:
    return _exactly(stored, size)


def _exactly(data: Bytes, size: int) -> Bytes:
    if len(data) != size:
        raise Undecodable(f"{len(data)} bytes, expected {size}")
    return data


CODECS = {
    "lz4": Codec(32004, (0,), _lz4_pack_all, _lz4_unpack),  # as registered with the HDF Group
    "zstd": Codec(32015, (ZSTD_LEVEL,), _zstd_pack_all, _zstd_unpack),
    "gzip": Codec(1, (GZIP_LEVEL,), _gzip_pack_all, _gzip_unpack),
    "none": Codec(0, (), _none_pack_all, _none_unpack),
}


def store(codec: str, data: Bytes, *, hurry: bool = False) -> bytes:
    """Compress one chunk and append its checksum; `hurry` where it will hardly shrink."""
    return store_all(codec, [data], hurry=hurry)[0]


def store_all(codec: str, chunks: Sequence[Bytes], *, hurry: bool = False) -> list[bytes]:
    """As :func:`store`, for many chunks: sooner done where several threads do so."""
    packed = CODECS[codec].pack(chunks, hurry)
    return [b"".join((part, checksum(part))) for part in packed]


def restore(codec: str, stored: bytes, size: int) -> Bytes:
    """Unpack what :func:`store` made of `size` bytes; the checksum is left to who knows a better.

    Raises
    ------
    Undecodable
        It does not unpack to exactly `size` bytes.
    """
    return CODECS[codec].unpack(memoryview(stored)[:-CHECKSUM_BYTES], size)
