"""The HDF5 cache: round trips, golden files, copies, and writing it whole or not at all."""

import os
import subprocess
import sys
import textwrap
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import h5py
import hdf5plugin
import lz4
import numpy as np
import pytest
import zstandard
from made_caches import GOLDEN, MAKER, PICTURES, random_record, verified, write

from gazetools.cache import CODECS, CacheSpec, create_cache, encode, encode_all, open_cache
from gazetools.errors import CacheError, OutputError
from gazetools.files import DeafFile, check_output


def check_item(cache, index, record):
    item = cache.items[index]
    assert (item.name, item.split) == (record.name, record.split)
    assert (item.width, item.height) == (record.width, record.height)
    assert item.made_from == record.made_from
    for name, expected in record.pictures().items():
        np.testing.assert_array_equal(cache.read(name, [index])[0], expected)
    np.testing.assert_array_equal(cache.fixations(index), record.fixations)
    assert item.has_mask == (record.mask is not None)


# ---------------------------------------------------------------- round trip


@pytest.mark.parametrize("codec", CODECS)
def test_round_trip(tmp_path, codec):
    spec = CacheSpec(3, 12, 20, codec)
    records = [random_record(i, spec, with_mask=i != 2) for i in range(5)]
    path = write(tmp_path / "m.h5", records, spec)
    with open_cache(path) as cache:
        assert len(cache) == 5
        assert cache.spec == spec
        assert (cache.levels, cache.height, cache.width) == (3, 12, 20)
        assert (cache.recipe, cache.sources) == ({"a": 1}, {"b": "c"})
        for index, record in enumerate(records):
            check_item(cache, index, record)
        assert cache.indices("train").tolist() == [0, 4]
        assert cache.original_mask(3).shape == (34, 17)
        with pytest.raises(CacheError, match="has no reference mask"):
            cache.original_mask(2)
        assert [item.name for item in cache.verify()] == [record.name for record in records]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("codec", CODECS)
def test_plain_hdf5_reads_the_same(tmp_path, codec):
    """Whoever has h5py and hdf5plugin needs nothing of ours."""
    spec = CacheSpec(2, 12, 20, codec)
    records = [random_record(i, spec) for i in range(4)]
    path = write(tmp_path / "m.h5", records, spec)
    with open_cache(path) as cache, h5py.File(path) as file:
        for name in PICTURES:
            np.testing.assert_array_equal(file[name][()], cache.read(name, range(4)))
        rows = np.concatenate([cache.fixations(i) for i in range(4)])
        np.testing.assert_array_equal(file["fixations"][()], rows)


def test_lists_of_many_chunks(tmp_path):
    """Masks and fixations that begin and end in the middle of a chunk, and none at all."""
    spec = CacheSpec(1, 4, 4)
    rng = np.random.default_rng(0)
    counts = (3000, 0, 1, 5000, 2048)
    records = [
        replace(
            random_record(i, spec),
            fixations=rng.random((count, 5)),
            mask_png=rng.bytes(17 * count),
        )
        for i, count in enumerate(counts)
    ]
    with open_cache(write(tmp_path / "m.h5", records, spec)) as cache:
        for index, record in enumerate(records):
            np.testing.assert_array_equal(cache.fixations(index), record.fixations)
            assert cache.stored(index).mask_png == record.mask_png
        again = write(tmp_path / "again.h5", [cache.stored(i) for i in range(5)], spec)
    assert again.read_bytes() == (tmp_path / "m.h5").read_bytes()
    with h5py.File(again) as file:
        rows = np.concatenate([record.fixations for record in records])
        np.testing.assert_array_equal(file["fixations"][()], rows)
        assert file["mask_png"][()].tobytes() == b"".join(record.mask_png for record in records)
    empty = [replace(records[1], fixations=np.empty((0, 5)), mask=None, mask_png=b"")]
    with open_cache(write(tmp_path / "e.h5", empty, spec)) as cache:
        assert cache.fixations(0).shape == (0, 5)
        assert len(list(cache.verify())) == 1


def test_lists_are_written_as_they_fill(tmp_path):
    """However many there are, few of them are in memory at once."""
    spec = CacheSpec(1, 4, 4, "none")
    megabyte = replace(
        random_record(0, spec), mask_png=bytes(1 << 20), fixations=np.ones((9000, 5))
    )
    tracemalloc.start()
    try:
        with create_cache(
            tmp_path / "m.h5", spec, 24, recipe={}, sources={}, durable=False
        ) as writer:
            for number in range(24):
                writer.add(replace(megabyte, name=str(number)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "m.h5").stat().st_size > 24 << 20
    assert peak < 8 << 20


def test_digests_know_the_content_and_the_codec(tmp_path):
    spec = CacheSpec(2, 8, 8)
    records = [random_record(i, spec) for i in range(2)]
    changed = [records[0], replace(records[1], heatmap=records[1].heatmap ^ 1)]
    digests = {}
    for name, given in {"same": records, "again": records, "other": changed}.items():
        for codec in ("lz4", "gzip"):
            path = write(tmp_path / f"{name}_{codec}.h5", given, replace(spec, codec=codec))
            with open_cache(path) as cache:
                digests[name, codec] = (cache.sha256, [item.sha256 for item in cache.items])
    assert digests["same", "lz4"] == digests["again", "lz4"]
    assert digests["same", "lz4"] != digests["same", "gzip"]
    assert digests["same", "lz4"][0] != digests["other", "lz4"][0]
    assert digests["same", "lz4"][1][0] == digests["other", "lz4"][1][0]
    assert digests["same", "lz4"][1][1] != digests["other", "lz4"][1][1]


def test_read_in_any_order_repeatedly_and_into_place(tmp_path):
    spec = CacheSpec(1, 6, 7)
    records = [random_record(i, spec) for i in range(6)]
    with open_cache(write(tmp_path / "m.h5", records, spec)) as cache:
        order = [5, 0, 3, 3, 1]
        expected = np.stack([records[i].image for i in order])
        np.testing.assert_array_equal(cache.read("images", order), expected)
        wide = np.zeros((5, 6, 7, 4), np.uint8)
        assert cache.read("images", order, wide[..., :3]).base is wide
        np.testing.assert_array_equal(wide[..., :3], expected)
        assert not wide[..., 3].any()
        assert cache.read("maps", []).shape == (0, 1, 6, 7)
        for wrong in ([6], [-1], [0, 7, 1]):
            with pytest.raises(CacheError, match=r"no item (6|-1|7); there are 6"):
                cache.read("images", wrong)
        for wrong in ([True] + [False] * 5, [1.5], ["1"], [[1, 2]], 1):
            with pytest.raises(CacheError, match=r"indices are .*; expected a list of whole"):
                cache.read("images", wrong)
        for bad in (np.zeros((1, 6, 7, 3), np.int8), np.zeros((2, 6, 7, 3), np.uint8)):
            with pytest.raises(CacheError, match=r"out is .*, expected uint8\(1, 6, 7, 3\)"):
                cache.read("images", [0], bad)
        with pytest.raises(CacheError, match="field 'logits' is unknown"):
            cache.read("logits", [0])
        with pytest.raises(CacheError, match="split 'dev' is unknown"):
            cache.indices("dev")
        cache.close()
        with pytest.raises(CacheError, match="closed; open it again"):
            cache.read("images", [0])


def test_many_threads_read_one_cache(tmp_path):
    spec = CacheSpec(2, 16, 16)
    records = [random_record(i, spec) for i in range(8)]
    expected = np.stack([record.maps for record in records])
    with open_cache(write(tmp_path / "m.h5", records, spec)) as cache, ThreadPoolExecutor(4) as p:
        for found in p.map(lambda _: cache.read("maps", range(8)), range(100)):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_reads_the_cache_that_its_parent_opened(tmp_path):
    spec = CacheSpec(2, 16, 16)
    records = [random_record(i, spec) for i in range(3)]
    with open_cache(write(tmp_path / "m.h5", records, spec)) as cache:
        child = os.fork()
        if not child:
            fine = all((cache.read("maps", [i])[0] == r.maps).all() for i, r in enumerate(records))
            os._exit(0 if fine else 1)
        np.testing.assert_array_equal(cache.read("maps", [2])[0], records[2].maps)
        assert os.waitpid(child, 0)[1] == 0


# ---------------------------------------------------------------- same items, same bytes


@pytest.mark.parametrize("codec", CODECS)
def test_same_items_make_the_same_bytes_however_they_came(tmp_path, codec):
    """Records, encoded by threads, copied out of shards: the file is the same."""
    spec = CacheSpec(2, 8, 8, codec)
    records = [random_record(i, spec, with_mask=i % 2 == 0) for i in range(7)]
    whole = write(tmp_path / "a.h5", records, spec).read_bytes()
    with ThreadPoolExecutor(4) as pool:
        encoded = list(pool.map(lambda record: encode(record, spec), records))
    assert write(tmp_path / "b.h5", encoded, spec).read_bytes() == whole
    copied = []
    for number, part in enumerate((records[:3], records[3:4], records[4:])):
        shard = write(tmp_path / f"{number}.h5", part, spec, durable=False, recipe={"s": number})
        with open_cache(shard) as cache:
            copied += [cache.stored(i) for i in range(len(cache))]
    assert [item.sha256 for item in copied] == [item.sha256 for item in encoded]
    assert write(tmp_path / "c.h5", copied, spec).read_bytes() == whole


def test_what_is_stored_carries_all_of_the_item(tmp_path):
    spec = CacheSpec(2, 8, 8)
    encoded = [encode(random_record(i, spec, with_mask=i > 0), spec) for i in range(3)]
    with open_cache(write(tmp_path / "a.h5", encoded, spec)) as cache:
        for index, item in enumerate(encoded):
            found = cache.stored(index)
            np.testing.assert_array_equal(found.fixations, item.fixations)
            assert vars(found) | {"fixations": 0} == vars(item) | {"fixations": 0}
        with pytest.raises(CacheError, match="no item 3; there are 3"):
            cache.stored(3)


def test_items_of_another_cache_must_fit(tmp_path):
    spec = CacheSpec(2, 8, 8)
    item = encode(random_record(0, spec), spec)
    for other in (replace(spec, codec="zstd"), CacheSpec(1, 8, 8)):
        with pytest.raises(CacheError, match=r"'item 0 ü' was encoded for .*, this cache has"):
            write(tmp_path / "m.h5", [item], other)


def test_only_fixed_strings_and_new_metadata(tmp_path):
    """What the format demands of HDF5 itself: checksums wherever it has them."""
    spec = CacheSpec(2, 8, 8)
    path = write(tmp_path / "m.h5", [random_record(0, spec)], spec)
    with h5py.File(path) as file:
        for name in ("format", "spec", "recipe", "sources"):
            assert not h5py.h5a.open(file.id, name.encode()).get_type().is_variable_str()
        for dataset in file.values():
            assert dataset.fletcher32
            assert dataset.chunks is not None
    assert path.read_bytes()[8] >= 2  # superblock with a checksum


# ---------------------------------------------------------------- golden files of version 2


@pytest.mark.parametrize("codec", CODECS)
def test_golden_file_is_read_as_it_was_written(codec):
    path = GOLDEN / f"cache_v2_{codec}.h5"
    with open_cache(path) as cache:
        assert cache.spec == MAKER["spec"](codec)
        assert (cache.recipe, cache.sources) == (MAKER["RECIPE"], MAKER["SOURCES"])
        for index, record in enumerate(MAKER["records"]()):
            check_item(cache, index, record)
        assert cache.original_mask(0).shape == (32, 48)
    assert verified(path) == ["first", "second", "drítt"]


MADE_WITH = {
    "HDF5": "2.0.0",
    "hdf5plugin": "7.1.0",  # names the filters
    "lz4": "4.4.5",
    "zstandard": "0.25.0",
    "zlib": "1.2.13",
    "OpenCV": "5.0.0",  # packs the masks
}


@pytest.mark.parametrize("codec", CODECS)
def test_golden_file_is_written_again_byte_by_byte(tmp_path, codec):
    found = {
        "HDF5": h5py.version.hdf5_version,
        "hdf5plugin": hdf5plugin.version,
        "lz4": lz4.__version__,
        "zstandard": zstandard.__version__,
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "OpenCV": cv2.__version__,
    }
    if found != MADE_WITH:
        pytest.skip(f"golden files were made with {MADE_WITH}, here are {found}")
    MAKER["write"](tmp_path / "again.h5", codec)
    golden = GOLDEN / f"cache_v2_{codec}.h5"
    assert (tmp_path / "again.h5").read_bytes() == golden.read_bytes()


# ---------------------------------------------------------------- writing


@pytest.mark.parametrize("codec", CODECS)
def test_items_encoded_together_have_the_same_bytes(codec):
    spec = CacheSpec(2, 8, 8, codec)
    records = [random_record(i, spec, with_mask=i > 0) for i in range(3)]
    for found, expected in zip(
        encode_all(records, spec), [encode(r, spec) for r in records], strict=True
    ):
        assert (found.name, found.chunks) == (expected.name, expected.chunks)
        assert (found.sha256, found.xxh3) == (expected.sha256, expected.xxh3)


def test_wrong_items_leave_nothing_behind(tmp_path):
    spec = CacheSpec(2, 8, 8)
    good = random_record(0, spec)
    for bad in (replace(good, heatmap=good.maps), replace(good, maps=good.maps.astype(np.int8))):
        with pytest.raises(CacheError, match="expected uint8"):
            write(tmp_path / "m.h5", [bad], spec)
    for changes, said in (
        ({"fixations": np.ones((3, 4))}, r"fixations are \(3, 4\), expected \(n, 5\)"),
        ({"split": "dev"}, "split 'dev' is unknown"),
    ):
        with pytest.raises(CacheError, match=said):
            write(tmp_path / "m.h5", [replace(good, **changes)], spec)
    with pytest.raises(CacheError, match="'item 0 ü' is there already"):
        write(tmp_path / "m.h5", [good, good], spec)
    with (
        pytest.raises(CacheError, match="1 items written, 2 announced"),
        create_cache(tmp_path / "m.h5", spec, 2, recipe={}, sources={}) as writer,
    ):
        writer.add(good)
    with create_cache(tmp_path / "one.h5", spec, 1, recipe={}, sources={}) as writer:
        writer.add(good)
        with pytest.raises(CacheError, match="'item 1 ü' is one more than the 1 announced"):
            writer.add(random_record(1, spec))
    assert verified(tmp_path / "one.h5") == [good.name]
    (tmp_path / "one.h5").unlink()
    with pytest.raises(CacheError, match="at least one item"):
        write(tmp_path / "m.h5", [], spec)
    assert list(tmp_path.iterdir()) == []


def test_existing_output_is_refused_or_replaced(tmp_path):
    spec = CacheSpec(2, 8, 8)
    path = write(tmp_path / "m.h5", [random_record(0, spec)], spec)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="already exists; remove it or pass --overwrite"):
        write(path, [random_record(1, spec)], spec)
    assert path.read_bytes() == before
    write(path, [random_record(1, spec)], spec, overwrite=True)
    assert verified(path) == ["item 1 ü"]
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path, overwrite=True)
    with pytest.raises(OutputError, match="does not exist; create it first"):
        check_output(tmp_path / "no" / "m.h5")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, RuntimeError])
def test_what_goes_wrong_between_items_comes_through(tmp_path, error):
    """Nothing is left behind, and what was raised is not mistaken for a full disk."""
    spec = CacheSpec(2, 8, 8)
    path = write(tmp_path / "m.h5", [random_record(0, spec)], spec)
    before = path.read_bytes()

    def records():
        yield random_record(0, spec)
        raise error("pressed, or a bug")

    with (
        pytest.raises(error, match="pressed, or a bug"),
        create_cache(path, spec, 2, recipe={}, sources={}, overwrite=True) as writer,
    ):
        any(map(writer.add, records()))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from gazetools.cache import CacheSpec, Record, create_cache
    from gazetools.errors import OutputError
    rng = np.random.default_rng(0)
    noise = lambda *shape: rng.integers(0, 256, shape, dtype=np.uint8)
    plane = (64, 64)
    unlimited = resource.RLIM_INFINITY

    def write(path, limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, unlimited))
        try:
            with create_cache(path, CacheSpec(2, *plane), 12, recipe={}, sources={}) as writer:
                for i in range(12):
                    maps = noise(2, *plane)
                    writer.add(Record(str(i), "train", 64, 64, noise(*plane, 3), maps, maps[0],
                                      maps[1], np.ones((5, 5))))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))

    write(Path("whole.h5"), unlimited)
    size = Path("whole.h5").stat().st_size
    for limit in (0, 3000, size // 2, size - 2000, size - 10):
        try:
            write(Path("m.h5"), limit)
        except OutputError as error:
            print(error)
"""


def test_full_disk_is_one_line(tmp_path):
    """The disk is full at the header, at an item, at the lists, and at the very last bytes."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 5 * (
        "m.h5: cannot be written (File too large); free some space or choose another folder; "
        "nothing was changed\n"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "whole.h5"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_one_line(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    spec = CacheSpec(2, 8, 8)
    with pytest.raises(OutputError, match=r"m\.h5: cannot be written \(Permission denied\)"):
        write(folder / "m.h5", [random_record(0, spec)], spec)


def test_a_folder_that_takes_no_files_is_one_line(tmp_path, monkeypatch):
    """As above, also where tests run as root."""

    def refuse(self, path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(DeafFile, "__init__", refuse)
    spec = CacheSpec(2, 8, 8)
    with pytest.raises(OutputError, match=r"m\.h5: cannot be written \(Permission denied\)"):
        write(tmp_path / "m.h5", [random_record(0, spec)], spec)
