"""Chunks as HDF5's filters would store them: checksums, codecs, bombs."""

import struct
import tracemalloc
import zlib
from contextlib import suppress

import h5py
import hdf5plugin  # noqa: F401  registers lz4 and zstd
import lz4.block
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gazetools.cache import CODECS
from gazetools.cache.codecs import Undecodable, checksum, restore, store
from gazetools.kernels.fletcher32 import WEIGHTS, fletcher_sums

SMOOTH = bytes(np.cumsum(np.arange(6000) % 3 == 0, dtype=np.uint8))
NOISE = bytes(np.random.default_rng(0).integers(0, 256, 6001, dtype=np.uint8))
DATA = {"smooth": SMOOTH, "noise": NOISE, "zeros": bytes(5000), "ones": b"\xff" * 5000, "one": b"a"}


def slow_fletcher32(data):
    """As HDF5's own code goes: words of high byte first, carries added back in."""
    first = second = 0
    padded = data + b"\0" * (len(data) % 2)
    for word in struct.unpack(f">{len(padded) // 2}H", padded):
        first += word
        first = (first & 0xFFFF) + (first >> 16)
        second += first
        second = (second & 0xFFFF) + (second >> 16)
    return struct.pack("<I", second << 16 | first)


def hdf5_chunk(tmp_path, data, **options):
    """What HDF5 itself stores for one chunk, and what it reads of ours."""
    with h5py.File(tmp_path / "f.h5", "w") as file:
        values = np.frombuffer(data, np.uint8)
        made = file.create_dataset(
            "a", data=values, chunks=values.shape, fletcher32=True, **options
        )
        return made.id.read_direct_chunk((0,))[1]


OPTIONS = {
    codec: {"compression": made.filter_id, "compression_opts": made.parameters}
    for codec, made in CODECS.items()
}
OPTIONS["gzip"] = {"compression": "gzip", "compression_opts": 1}
OPTIONS["none"] = {}


# ---------------------------------------------------------------- checksum


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_checksum_is_that_of_hdf5(tmp_path, data):
    assert checksum(data) == slow_fletcher32(data)
    assert hdf5_chunk(tmp_path, data) == data + checksum(data)


@pytest.mark.parametrize("sums", [fletcher_sums, fletcher_sums.py_func], ids=["jit", "python"])
@given(data=st.binary(max_size=700), repeated=st.integers(1, 3))
def test_sums_are_those_of_the_slow_way(sums, data, repeated):
    data = data * repeated + b"\0" * (len(data) * repeated % 2)
    plain, weighted = sums(np.frombuffer(data, "<u2"), WEIGHTS)
    assert struct.pack(">HH", plain, weighted) == slow_fletcher32(data)


def test_checksum_of_long_data_does_not_overflow():
    for data in (b"\xff\xff" * 300_000, b"\x00\xff" * 100_001):
        assert checksum(data) == slow_fletcher32(data)


# ---------------------------------------------------------------- codecs


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_hdf5_reads_what_we_store_and_we_what_it_stores(tmp_path, codec, data):
    theirs = hdf5_chunk(tmp_path, data, **OPTIONS[codec])
    ours = store(codec, data)
    assert bytes(restore(codec, ours, len(data))) == data
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        if not file["a"].id.get_chunk_info(0).filter_mask:  # HDF5 leaves out what does not shrink
            assert bytes(restore(codec, theirs, len(data))) == data
        file["a"].id.write_direct_chunk((0,), ours)
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["a"][()].tobytes() == data


def test_lz4_is_byte_for_byte_what_hdf5_stores(tmp_path):
    for data in (SMOOTH, NOISE):
        assert store("lz4", data) == hdf5_chunk(tmp_path, data, **OPTIONS["lz4"])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_hurry_changes_the_size_and_nothing_else(codec, data):
    hurried = store(codec, data, hurry=True)
    assert bytes(restore(codec, hurried, len(data))) == data


@pytest.mark.parametrize("codec", CODECS)
@given(bit=st.integers(0, 7), at=st.floats(0, 1, exclude_max=True))
def test_any_flipped_bit_leaves_the_expected_size_or_an_error(codec, bit, at):
    stored = bytearray(store(codec, SMOOTH))
    stored[int(at * len(stored))] ^= 1 << bit
    with suppress(Undecodable):
        assert len(restore(codec, bytes(stored), len(SMOOTH))) == len(SMOOTH)


@pytest.mark.parametrize("codec", CODECS)
@given(packed=st.binary(max_size=200))
def test_any_bytes_become_the_expected_size_or_an_error(codec, packed):
    """Rubbish, as a forger would store it."""
    with suppress(Undecodable):
        assert len(restore(codec, packed + bytes(4), 64)) == 64


HUGE = 400 << 30
SOUND = lz4.block.compress(bytes(64), store_size=False)
BOMBS = {
    "lz4 size": ("lz4", struct.pack(">QII", HUGE, 64, len(SOUND)) + SOUND),
    "lz4 block": ("lz4", struct.pack(">QII", 64, 1 << 31, len(SOUND)) + SOUND),
    "lz4 stored size": ("lz4", struct.pack(">QII", 64, 64, 1 << 31) + SOUND),
    "lz4 block of rubbish": ("lz4", struct.pack(">QII", 64, 64, 20) + bytes(20)),
    "lz4 no header": ("lz4", bytes(15)),
    "lz4 more inside": (
        "lz4",
        struct.pack(">QII", 64, 64, len(packed := lz4.block.compress(bytes(1 << 26))[4:])) + packed,
    ),
    "zstd size": ("zstd", b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", HUGE) + bytes(20)),
    "zstd no size": (
        "zstd",
        zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 26)),
    ),
    "zstd two frames": ("zstd", zstandard.compress(bytes(64)) + zstandard.compress(bytes(1 << 26))),
    "gzip": ("gzip", zlib.compress(bytes(1 << 26))),
    "gzip short": ("gzip", zlib.compress(bytes(63))),
    "gzip and more": ("gzip", zlib.compress(bytes(64)) + b"more"),
    "gzip cut": ("gzip", zlib.compress(bytes(64))[:-1]),
    "none": ("none", bytes(65)),
    "nothing": ("none", b""),
}


@pytest.mark.parametrize("name", BOMBS)
def test_chunks_that_declare_too_much_are_refused_without_room_for_it(name):
    codec, packed = BOMBS[name]
    stored = packed + checksum(packed)
    tracemalloc.start()
    with pytest.raises(Undecodable):
        restore(codec, stored, 64)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1 << 20
