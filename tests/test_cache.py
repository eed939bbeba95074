"""The HDF5 cache: round trips, golden file, damage, forgeries, full disks."""

import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from gazetools.cache import CODECS, CacheSpec, Record, create_cache, open_cache
from gazetools.errors import CacheError, OutputError
from gazetools.files import DeafFile, check_output, replacing, uninterrupted
from gazetools.images import encode_png

GOLDEN = Path(__file__).parent / "golden"
MAKER = runpy.run_path(str(GOLDEN / "make_cache_v1.py"))
PICTURES = ("images", "maps", "heatmaps", "pseudo_masks", "masks")


def random_record(seed, spec, *, with_mask=True):
    rng = np.random.default_rng(seed)

    def picture(*shape):
        return rng.integers(0, 256, shape, dtype=np.uint8)

    plane = (spec.height, spec.width)
    original = (rng.random((31 + seed, 17)) > 0.5).astype(np.uint8)
    return Record(
        name=f"item {seed} ü",
        split=("train", "val", "test", "none")[seed % 4],
        width=17,
        height=31 + seed,
        image=picture(*plane, 3),
        maps=picture(spec.levels, *plane),
        heatmap=picture(*plane),
        pseudo_mask=picture(*plane),
        fixations=rng.uniform(-5, 500, (seed % 3, 5)),
        mask=picture(*plane) // 128 if with_mask else None,
        mask_png=encode_png(original * np.uint8(255)) if with_mask else b"",
    )


def write(path, records, spec, **options):
    with create_cache(
        path, spec, len(records), recipe={"a": 1}, sources={"b": "c"}, **options
    ) as w:
        for record in records:
            w.add(record)
    return path


def check_item(cache, index, record):
    item = cache.items[index]
    assert (item.name, item.split) == (record.name, record.split)
    assert (item.width, item.height) == (record.width, record.height)
    for name, expected in record.pictures().items():
        np.testing.assert_array_equal(cache.read(name, [index])[0], expected)
    np.testing.assert_array_equal(cache.fixations(index), record.fixations)
    assert item.has_mask == (record.mask is not None)


@pytest.fixture
def golden(tmp_path):
    """Return a copy of the golden cache, to be damaged."""
    path = tmp_path / "golden.h5"
    path.write_bytes((GOLDEN / "cache_v1.h5").read_bytes())
    return path


def verified(path):
    with open_cache(path) as cache:
        return [item.name for item in cache.verify()]


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


def test_digests_know_the_content_and_nothing_else(tmp_path):
    spec = CacheSpec(2, 8, 8)
    records = [random_record(i, spec) for i in range(2)]
    digests = {}
    for name, given in {
        "same": records,
        "other": [records[0], replace(records[1], heatmap=records[1].heatmap ^ 1)],
    }.items():
        for codec in ("lz4", "gzip"):
            path = write(tmp_path / f"{name}_{codec}.h5", given, replace(spec, codec=codec))
            with open_cache(path) as cache:
                digests[name, codec] = (cache.sha256, [item.sha256 for item in cache.items])
    assert digests["same", "lz4"] == digests["same", "gzip"]
    assert digests["same", "lz4"][0] != digests["other", "lz4"][0]
    assert digests["same", "lz4"][1][0] == digests["other", "lz4"][1][0]
    assert digests["same", "lz4"][1][1] != digests["other", "lz4"][1][1]


def test_same_items_make_the_same_bytes(tmp_path):
    spec = CacheSpec(2, 8, 8)
    records = [random_record(i, spec) for i in range(3)]
    a, b = (write(tmp_path / name, records, spec).read_bytes() for name in ("a.h5", "b.h5"))
    assert a == b


def test_read_in_any_order_and_repeatedly(tmp_path):
    spec = CacheSpec(1, 6, 7)
    records = [random_record(i, spec) for i in range(6)]
    with open_cache(write(tmp_path / "m.h5", records, spec)) as cache:
        order = [5, 0, 3, 3, 1]
        found = cache.read("images", order)
        np.testing.assert_array_equal(found, np.stack([records[i].image for i in order]))
        assert cache.read("maps", []).shape == (0, 1, 6, 7)
        for wrong in ([6], [-1]):
            with pytest.raises(CacheError, match=f"no item {wrong[0]}; there are 6"):
                cache.read("images", wrong)
        with pytest.raises(CacheError, match="field 'logits' is unknown"):
            cache.read("logits", [0])
        with pytest.raises(CacheError, match="split 'dev' is unknown"):
            cache.indices("dev")
        cache.close()


def test_only_fixed_strings_and_new_metadata(golden):
    """What the format demands of HDF5 itself: checksums wherever it has them."""
    with h5py.File(golden) as file:
        for name in ("format", "spec", "recipe", "sources"):
            assert not h5py.h5a.open(file.id, name.encode()).get_type().is_variable_str()
        for dataset in file.values():
            assert dataset.fletcher32
            assert dataset.chunks is not None
    assert golden.read_bytes()[8] >= 2  # superblock with a checksum


# ---------------------------------------------------------------- golden file of version 1


def test_golden_file_is_read_as_it_was_written(golden):
    with open_cache(golden) as cache:
        assert cache.spec == MAKER["SPEC"]
        assert (cache.recipe, cache.sources) == (MAKER["RECIPE"], MAKER["SOURCES"])
        for index, record in enumerate(MAKER["records"]()):
            check_item(cache, index, record)
        assert cache.original_mask(0).shape == (16, 24)
    assert verified(golden) == ["first", "second", "drítt"]


def test_golden_digest(golden, tmp_path):
    """A writer of today gives the same items the same digests."""
    MAKER["write"](tmp_path / "again.h5")
    with open_cache(golden) as old, open_cache(tmp_path / "again.h5") as new:
        assert old.sha256 == new.sha256


# ---------------------------------------------------------------- damage


def test_every_flipped_bit_is_caught(golden):
    """1 bit in 61, all over the file: opening or verifying refuses it, as a CacheError."""
    content = bytearray(golden.read_bytes())
    for bit in range(7, 8 * len(content), 61):
        content[bit // 8] ^= 1 << bit % 8
        golden.write_bytes(content)
        with pytest.raises(CacheError, match=r"golden\.h5: "):
            verified(golden)
        content[bit // 8] ^= 1 << bit % 8


def test_truncation_is_caught_everywhere(golden):
    content = golden.read_bytes()
    lengths = [0, 1, 7, 47, 48, 200, *range(300, len(content), 331)]
    for length in [*lengths, *(len(content) - n for n in (100, 33, 32, 31, 1))]:
        golden.write_bytes(content[:length])
        with pytest.raises(CacheError, match=r"golden\.h5: "):
            verified(golden)


def test_appended_bytes_are_caught(golden):
    golden.write_bytes(golden.read_bytes() + b"x")
    with pytest.raises(CacheError, match="altered after it was written"):
        verified(golden)


def test_swapped_items_are_caught(golden):
    """Chunks that are sound in themselves, in each other's place."""
    with h5py.File(golden, "r+") as file:
        file["maps"][:2] = file["maps"][:2][::-1]
    with pytest.raises(CacheError, match="item 'first' does not match its SHA-256"):
        verified(golden)


# ---------------------------------------------------------------- foreign and forged files


def forge(path, name, **options):
    """Replace one dataset of a cache; `options` are those of create_dataset."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        old = file[name]
        given = {"data": old[()], "chunks": old.chunks, "fletcher32": True, **options}
        del file[name]
        file.create_dataset(name, **{k: v for k, v in given.items() if v is not None})


def forge_attribute(path, name, value):
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value


def forge_index(path, change):
    with h5py.File(path) as file:
        index = json.loads(file["index"][()].tobytes())
    text = json.dumps(change(index)).encode()
    forge(path, "index", data=np.frombuffer(text, np.uint8), chunks=(max(1, len(text)),))


def spec_text(**changes):
    return np.bytes_(json.dumps({"levels": 2, "height": 8, "width": 8, "codec": "gzip"} | changes))


FORGERIES = {
    "no folder of ours": (lambda p: p.write_bytes(b"not HDF5"), "cannot be opened as HDF5"),
    "format": (lambda p: forge_attribute(p, "format", np.bytes_("other")), "not a gazetools-cache"),
    "long string": (lambda p: forge_attribute(p, "spec", "{}"), "no string of fixed length"),
    "version": (lambda p: forge_attribute(p, "version", 2), "version 2 of .* reads 1"),
    "spec no JSON": (lambda p: forge_attribute(p, "spec", np.bytes_("{")), "damaged"),
    "spec fields": (lambda p: forge_attribute(p, "spec", spec_text(depth=1)), "damaged"),
    "spec levels": (lambda p: forge_attribute(p, "spec", spec_text(levels=3)), "/maps is uint8"),
    "spec codec": (lambda p: forge_attribute(p, "spec", spec_text(codec="rar")), "codec 'rar'"),
    "spec size": (lambda p: forge_attribute(p, "spec", spec_text(height=1 << 40)), "map pixels"),
    "dtype": (lambda p: forge(p, "maps", data=None, shape=(3, 2, 8, 8), dtype="i1"), "chunks"),
    "filled dtype": (lambda p: forge(p, "heatmaps", dtype="i2"), "/heatmaps is int16"),
    "shape": (lambda p: forge(p, "masks", data=np.zeros((4, 8, 8), "u1")), "/masks is uint8"),
    "chunks": (lambda p: forge(p, "masks", chunks=(3, 8, 8)), "one item a chunk"),
    "contiguous": (
        lambda p: forge(p, "masks", chunks=None, fletcher32=None),
        "not stored in chunk",
    ),
    "no fletcher32": (lambda p: forge(p, "masks", fletcher32=False), "/masks has filters"),
    "odd filter": (lambda p: forge(p, "masks", shuffle=True), "/masks has filters"),
    "packed list": (lambda p: forge(p, "index", compression="gzip"), "/index is compressed"),
    "list dtype": (lambda p: forge(p, "fixations", dtype="f4"), "/fixations is float32"),
    "list columns": (
        lambda p: forge(p, "fixations", data=np.zeros((6, 3)), chunks=(6, 3)),
        "/fixations is float64",
    ),
    "index no list": (lambda p: forge_index(p, lambda index: {"a": 1}), "damaged"),
    "index field": (lambda p: forge_index(p, lambda i: [{**i[0], "x": 1}, *i[1:]]), "damaged"),
    "short index": (lambda p: forge_index(p, lambda index: index[:-1]), "expected uint8"),
    "empty index": (lambda p: forge_index(p, lambda index: []), "expected uint8"),
    "index order": (lambda p: forge_index(p, lambda index: index[::-1]), "/index places item"),
    "index split": (
        lambda p: forge_index(p, lambda i: [{**i[0], "split": "dev"}, *i[1:]]),
        "split 'dev'",
    ),
    "short list": (
        lambda p: forge(p, "fixations", data=np.zeros((5, 5)), chunks=(5, 5)),
        "holds .* and 5",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused_at_opening(golden, name):
    change, found = FORGERIES[name]
    change(golden)
    with pytest.raises(CacheError, match=rf"(?s)golden\.h5: .*{found}"):
        open_cache(golden)


def remove_and_link(path, link):
    with h5py.File(path, "r+") as file:
        file.move("masks", "hidden")
        file["masks"] = link
        if isinstance(link, h5py.ExternalLink):
            del file["hidden"]


def test_soft_links_are_refused(golden):
    remove_and_link(golden, h5py.SoftLink("/heatmaps"))
    with pytest.raises(CacheError, match="not of the format: hidden"):
        open_cache(golden)
    with h5py.File(golden, "r+") as file:
        del file["hidden"]
    with pytest.raises(CacheError, match="/masks is a link to elsewhere"):
        open_cache(golden)


def test_external_links_are_refused(golden):
    other = golden.with_name("other.h5")
    other.write_bytes(golden.read_bytes())
    remove_and_link(golden, h5py.ExternalLink("other.h5", "/masks"))
    with pytest.raises(CacheError, match="/masks is a link to elsewhere"):
        open_cache(golden)


def test_external_storage_is_refused(golden):
    (golden.parent / "secret").write_bytes(bytes(3 * 64))
    with h5py.File(golden, "r+") as file:
        del file["masks"]
        file.create_dataset(
            "masks", (3, 8, 8), "u1", external=[(str(golden.parent / "secret"), 0, 192)]
        )
    with pytest.raises(CacheError, match="/masks is not stored in chunks inside this file"):
        open_cache(golden)


def test_virtual_datasets_are_refused(golden):
    layout = h5py.VirtualLayout((3, 8, 8), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "masks", (3, 8, 8))
    with h5py.File(golden, "r+") as file:
        del file["masks"]
        file.create_virtual_dataset("masks", layout)
    with pytest.raises(CacheError, match="/masks is not stored in chunks inside this file"):
        open_cache(golden)


def test_groups_are_refused(golden):
    with h5py.File(golden, "r+") as file:
        del file["masks"]
        file.create_group("masks")
    with pytest.raises(CacheError, match="/masks is a Group"):
        open_cache(golden)


@pytest.mark.parametrize(
    ("name", "shape", "chunks"),
    [
        ("index", (1 << 40,), (1 << 16,)),
        ("fixations", (1 << 36, 5), (1 << 11, 5)),
        ("mask_png", (1 << 40,), (1 << 16,)),
        ("images", (1 << 30, 8, 8, 3), (1, 8, 8, 3)),
    ],
)
def test_a_small_file_that_declares_much_is_refused_quickly(golden, name, shape, chunks):
    dtype = "<f8" if name == "fixations" else "u1"
    forge(golden, name, data=None, shape=shape, chunks=chunks, dtype=dtype)
    begin = time.perf_counter()
    with pytest.raises(CacheError, match=rf"/{name} declares \d+ chunks and holds 0"):
        open_cache(golden)
    assert time.perf_counter() - begin < 2


def test_a_broken_reference_mask_is_a_cache_error(golden):
    with h5py.File(golden, "r+") as file:
        file["mask_png"][:20] = 0
    with open_cache(golden) as cache, pytest.raises(CacheError, match="/mask_png of item 'first'"):
        cache.original_mask(0)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.h5", tmp_path):
        with pytest.raises(CacheError, match="no such file"):
            open_cache(path)


# ---------------------------------------------------------------- writing


def test_wrong_items_leave_nothing_behind(tmp_path):
    spec = CacheSpec(2, 8, 8)
    good = random_record(0, spec)
    for bad in (replace(good, heatmap=good.maps), replace(good, maps=good.maps.astype(np.int8))):
        with pytest.raises(CacheError, match="expected uint8"):
            write(tmp_path / "m.h5", [bad], spec)
    with (
        pytest.raises(CacheError, match="1 items written, 2 announced"),
        create_cache(tmp_path / "m.h5", spec, 2, recipe={}, sources={}) as writer,
    ):
        writer.add(good)
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
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
    rng = np.random.default_rng(0)
    noise = lambda *shape: rng.integers(0, 256, shape, dtype=np.uint8)
    plane = (64, 64)
    try:
        with create_cache(Path("m.h5"), CacheSpec(2, *plane), 12, recipe={}, sources={}) as writer:
            for i in range(12):
                maps = noise(2, *plane)
                writer.add(Record(str(i), "train", 64, 64, noise(*plane, 3), maps, maps[0],
                                  maps[1], np.ones((5, 5))))
    except OutputError as error:
        sys.exit(str(error))
"""


def write_with_limit(folder, limit):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), str(limit)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_full_disk_is_one_line(tmp_path):
    """The disk is full at the header, at an item, at the lists, and at the very last bytes."""
    write_with_limit(tmp_path, 1 << 30)
    size = (tmp_path / "m.h5").stat().st_size
    (tmp_path / "m.h5").unlink()
    for limit in (0, 3000, size // 2, size - 2000, size - 10):
        done = write_with_limit(tmp_path, limit)
        assert done.returncode == 1, (limit, done.stderr)
        assert done.stderr == (
            "m.h5: cannot be written (File too large); free some space or choose another folder; "
            "nothing was changed\n"
        )
        assert list(tmp_path.iterdir()) == []


def test_deaf_file_keeps_its_first_error(tmp_path):
    with DeafFile(tmp_path / "a") as file:
        file.write(b"abc")
        file.check()
        file._error = OSError(28, "No space left on device")
        assert file.write(b"def") == 3
        assert file.truncate(100) == 100
        file.seek(1)
        found = bytearray(b"????")
        assert file.readinto(found) == 4
        assert found == b"bc\0\0"
        with pytest.raises(OSError, match="No space left"):
            file.check()
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_interrupts_wait_for_the_end_of_the_block():
    done = []

    def press_and_go_on():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("went on")

    with pytest.raises(KeyboardInterrupt):
        press_and_go_on()
    assert done == ["went on"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_replacing_syncs_before_it_renames(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "out"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match="out: cannot be written"),
        replacing(path, overwrite=True) as temporary,
    ):
        temporary.write_text("after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
