"""Damaged caches: no flipped bit, cut or swap passes verify() or reaches a batch unnoticed."""

import os

import h5py
import numpy as np
import pytest
from made_caches import LIBVER, PICTURES, golden_copy, random_record, reseal, verified, write

from gazetools.cache import CODECS, CacheSpec, open_cache, reading
from gazetools.errors import CacheError

FLIPS = int(os.environ.get("GAZETOOLS_FLIPS", "120"))
"""Bits flipped in the cache of each codec; with GAZETOOLS_FLIPS=1000000 each of them is."""


@pytest.fixture
def golden(tmp_path):
    return golden_copy(tmp_path)


def readable(path):
    """What a training would see: (field, item) to pixels, or None where it is refused."""
    with open_cache(path) as cache:
        found = {("fixations", item): read(cache.fixations, item) for item in range(3)}
        for field in PICTURES:
            for item in range(3):
                found[field, item] = read(cache.read, field, [item])
        return found


def read(function, *given):
    try:
        return function(*given).tobytes()
    except CacheError:
        return None


@pytest.mark.parametrize("codec", CODECS)
def test_every_flipped_bit_is_caught(tmp_path, codec):
    """Opening or verifying refuses the file; what can still be read is as it was."""
    path = golden_copy(tmp_path, codec)
    sound, content = readable(path), bytearray(path.read_bytes())
    refused = {"open": 0, "read": 0}
    for bit in np.random.default_rng(0).permutation(8 * len(content))[:FLIPS].tolist():
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CacheError, match=r"golden\.h5: "):
            verified(path)
        try:
            found = readable(path)
        except CacheError:
            refused["open"] += 1
            continue
        changed = [place for place in sound if found[place] != sound[place]]
        assert len(changed) == 1, bit
        assert found[changed[0]] is None, bit
        refused["read"] += 1
    assert min(refused.values()) > FLIPS / 5


def test_a_block_of_zeros_or_rubbish_is_caught(golden):
    """A lost or misplaced sector, anywhere in the file."""
    sound, content = readable(golden), golden.read_bytes()
    for begin in range(0, len(content) - 512, 200):
        for block in (bytes(512), content[1024:1536]):
            damaged = content[:begin] + block + content[begin + 512 :]
            if damaged == content:
                continue
            golden.write_bytes(damaged)
            with pytest.raises(CacheError, match=r"golden\.h5: "):
                verified(golden)
            try:
                found = readable(golden)
            except CacheError:
                continue
            assert all(found[place] in (None, sound[place]) for place in sound), begin


def test_truncation_is_caught_everywhere(golden):
    content = golden.read_bytes()
    lengths = [0, 1, 7, 8, 9, 47, 48, 200, *range(300, len(content), 331)]
    for length in [*lengths, *(len(content) - n for n in (100, 33, 32, 31, 1))]:
        golden.write_bytes(content[:length])
        with pytest.raises(CacheError, match=r"golden\.h5: "):
            open_cache(golden)


def test_appended_bytes_are_caught(golden):
    golden.write_bytes(golden.read_bytes() + b"x")
    with pytest.raises(CacheError, match="does not match the SHA-256 at its end"):
        open_cache(golden)


def test_swapped_items_are_caught(tmp_path):
    """Chunks that are sound in themselves, in each other's place, in a file sealed anew."""
    golden = golden_copy(tmp_path, "none")
    with h5py.File(golden, "r+", libver=LIBVER) as file:
        file["maps"][:2] = file["maps"][:2][::-1]
    reseal(golden)
    with pytest.raises(CacheError, match="item 'first' does not match its SHA-256"):
        verified(golden)
    with open_cache(golden) as cache, pytest.raises(CacheError, match="'first' does not match"):
        cache.stored(0)


@pytest.mark.parametrize("codec", CODECS)
def test_damage_while_the_file_is_open_is_caught(tmp_path, codec):
    """Neither changed bytes nor a file that shrinks crash or reach a batch."""
    path = golden_copy(tmp_path, codec)
    with open_cache(path) as cache:
        begin, end = cache._chunks["maps"].extents[1].tolist()
        with path.open("rb+") as file:
            file.seek((begin + end) // 2)
            file.write(b"\xa5\x5a\xc3")
        with pytest.raises(CacheError, match="/maps of item 'second' is damaged"):
            cache.read("maps", [0, 1, 2])
        os.truncate(path, begin + 1)
        with pytest.raises(CacheError, match=r"golden\.h5: ends before byte"):
            cache.read("maps", [1])
        with pytest.raises(CacheError, match="golden"):
            list(cache.verify())


def test_a_disk_that_fails_is_a_cache_error(golden, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    with open_cache(golden) as cache:
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(CacheError, match=r"cannot be read \(Input/output error\)"):
            cache.read("maps", [0])


@pytest.mark.skipif(not hasattr(os, "pread"), reason="no pread here")
def test_short_reads_are_no_damage(golden, monkeypatch):
    """Network disks may give fewer bytes than were asked for."""
    sound, pread = readable(golden), os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, at: pread(file, min(size, 100), at))
    assert readable(golden) == sound


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_replaced_while_it_is_opened_is_no_damage(tmp_path, monkeypatch, codec):
    """What is read is all of one file: the old one or the new."""
    path, other = golden_copy(tmp_path, codec), tmp_path / "other.h5"
    sound = readable(path)
    write(other, [random_record(1, CacheSpec(1, 4, 4))], CacheSpec(1, 4, 4))
    really = reading._hdf5

    def too_late(disk):
        other.replace(path)
        return really(disk)

    monkeypatch.setattr(reading, "_hdf5", too_late)
    assert readable(path) == sound


def test_missing_files(tmp_path):
    with pytest.raises(CacheError, match=r"none\.h5: no such file; `gazetools render` writes it"):
        open_cache(tmp_path / "none.h5")
