"""Foreign and forged caches: refused when they are opened, before any data is read."""

import json
import resource
import struct
import time

import h5py
import numpy as np
import pytest
import xxhash
from made_caches import (
    GOLDEN,
    LIBVER,
    MAKER,
    forge,
    forge_attribute,
    golden_copy,
    reseal,
)

from gazetools.cache import CODECS, open_cache
from gazetools.cache import structure as structure_module
from gazetools.cache.codecs import checksum
from gazetools.errors import CacheError
from gazetools.images import encode_png

SIDE = MAKER["SIDE"]
PLANE = (SIDE, SIDE)


@pytest.fixture
def golden(tmp_path):
    return golden_copy(tmp_path)


def forge_index(path, change):
    with h5py.File(path) as file:
        index = json.loads(file["index"][()].tobytes())
    forge_index_text(path, json.dumps(change(index)).encode())


def forge_index_text(path, text):
    forge(path, "index", data=np.frombuffer(text, np.uint8), chunks=(min(1 << 16, len(text)),))
    reseal(path)


def first_item(**changes):
    return lambda path: forge_index(path, lambda index: [{**index[0], **changes}, *index[1:]])


def forge_chunk(path, name, packed, *, filter_mask=0):
    """A chunk of our own making, rightly checksummed, in a rightly sealed file."""
    with h5py.File(path, "r+", libver=LIBVER) as file:
        at = (0,) * file[name].ndim
        file[name].id.write_direct_chunk(at, packed + checksum(packed), filter_mask=filter_mask)
    reseal(path)


def spec_text(**changes):
    whole = {"levels": 2, "height": SIDE, "width": SIDE, "codec": "gzip"}
    return np.bytes_(json.dumps(whole | changes))


def with_filters(path, name, filters):
    """Replace a picture dataset by one with filters that h5py would not make, and fill it."""
    with h5py.File(path, "r+", libver=LIBVER) as file:
        old = file[name][()]
        del file[name]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((1, *old.shape[1:]))
        for each in filters:
            made.set_deflate(1) if each == "deflate" else getattr(made, f"set_{each}")()
        space = h5py.h5s.create_simple(old.shape)
        dataset = h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, space, made)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(old))


def named_type(path):
    """A type that outlives its name: nothing but the dataset tells of it."""
    with h5py.File(path, "r+", libver=LIBVER) as file:
        old = file["masks"]
        data, options = old[()], {"chunks": old.chunks, "fletcher32": True, "compression": "gzip"}
        file["kind"] = np.dtype("u1")
        del file["masks"]
        file.create_dataset("masks", data=data, dtype=file["kind"], **options)
        del file["kind"]


def with_objects(path, make):
    with h5py.File(path, "r+", libver=LIBVER) as file:
        make(file)


def another_name_for(path, name, other):
    def make(file):
        del file[name]
        file[name] = file[other]

    with_objects(path, make)


def user_block(path):
    moved = path.with_name("moved.h5")
    with (
        h5py.File(path) as file,
        h5py.File(moved, "w", libver=LIBVER, userblock_size=512) as new,
    ):
        for name in file:
            file.copy(name, new)
        for name, value in file.attrs.items():
            new.attrs[name] = value
    moved.replace(path)


def old_layout(path):
    moved = path.with_name("moved.h5")
    with h5py.File(path) as file, h5py.File(moved, "w", libver="earliest") as new:
        for name in file:
            file.copy(name, new)
        for name, value in file.attrs.items():
            new.attrs[name] = value
    moved.replace(path)


FORGERIES = {
    # name: (how to forge it, what is said)
    "text": (lambda p: p.write_bytes(b"not HDF5"), "does not begin like a gazetools-cache"),
    "empty": (lambda p: p.write_bytes(b""), "does not begin like"),
    "user block": (user_block, "does not begin like"),
    "old layout": (old_layout, "does not begin like"),
    "rubbish after the signature": (
        lambda p: p.write_bytes(p.read_bytes()[:12] + bytes(4000)),
        "cannot be opened as HDF5",
    ),
    # -- attributes
    "format": (lambda p: forge_attribute(p, "format", np.bytes_("other")), "not a gazetools-cache"),
    "no format": (lambda p: with_objects(p, lambda f: f.attrs.pop("format")), "not a gazetools"),
    "long string": (lambda p: forge_attribute(p, "spec", "{}"), "no string of fixed length"),
    "array of strings": (
        lambda p: forge_attribute(p, "spec", np.array([b"{}"] * 3)),
        "no string of fixed length",
    ),
    "number for string": (lambda p: forge_attribute(p, "recipe", 3), "no string of fixed length"),
    "huge attribute": (
        lambda p: forge_attribute(p, "recipe", np.bytes_(b" " * (1 << 24) + b"{}")),
        "'recipe' has 16777218 bytes, expected at most 16777216",
    ),
    "no recipe": (lambda p: with_objects(p, lambda f: f.attrs.pop("recipe")), "has 4 attributes"),
    "more attributes": (lambda p: forge_attribute(p, "more", 1), "has 6 attributes, expected 5"),
    "version 1": (lambda p: forge_attribute(p, "version", 1), "version 1 of .* 3; render it"),
    "version 4": (lambda p: forge_attribute(p, "version", 4), "version 4 of .* install the match"),
    "version 3": (lambda p: forge_attribute(p, "version", 3), "not of the format: text"),
    "versions": (lambda p: forge_attribute(p, "version", [2, 2]), "'version' is no number"),
    "version text": (lambda p: forge_attribute(p, "version", np.bytes_("2")), "is no number"),
    "spec no JSON": (lambda p: forge_attribute(p, "spec", np.bytes_("{")), "damaged"),
    "spec no object": (lambda p: forge_attribute(p, "spec", np.bytes_("[2]")), "'spec' is no JSON"),
    "sources no object": (lambda p: forge_attribute(p, "sources", np.bytes_("3")), "'sources' is"),
    "spec deep": (lambda p: forge_attribute(p, "spec", np.bytes_("[" * 100_000)), "damaged"),
    "spec fields": (lambda p: forge_attribute(p, "spec", spec_text(depth=1)), "'spec': .*depth"),
    "spec levels": (lambda p: forge_attribute(p, "spec", spec_text(levels=3)), "/maps is "),
    "spec half": (lambda p: forge_attribute(p, "spec", spec_text(levels=2.5)), "must be whole"),
    "spec text": (lambda p: forge_attribute(p, "spec", spec_text(levels="2")), "must be whole"),
    "spec true": (lambda p: forge_attribute(p, "spec", spec_text(levels=True)), "must be whole"),
    "spec none": (lambda p: forge_attribute(p, "spec", spec_text(height=0)), "at least 1"),
    "spec codec": (lambda p: forge_attribute(p, "spec", spec_text(codec="rar")), "codec 'rar'"),
    "spec list": (
        lambda p: forge_attribute(p, "spec", spec_text(codec=[])),
        "'spec': .*unhashable",
    ),
    "spec other": (lambda p: forge_attribute(p, "spec", spec_text(codec="lz4")), r"filters \[1, 3"),
    "spec size": (lambda p: forge_attribute(p, "spec", spec_text(height=1 << 40)), "map pixels"),
    # -- objects
    "a dataset more": (
        lambda p: with_objects(p, lambda f: f.create_dataset("more", data=1)),
        "not of the format: more",
    ),
    "a dataset less": (
        lambda p: with_objects(p, lambda f: f.pop("masks")),
        "missing or not of the format: masks",
    ),
    "many groups": (
        lambda p: with_objects(p, lambda f: [f.create_group(str(i)) for i in range(99)]),
        "not of the format: 107 objects",
    ),
    "group": (
        lambda p: with_objects(p, lambda f: (f.pop("masks"), f.create_group("masks"))),
        "/masks is no dataset",
    ),
    "type": (
        lambda p: with_objects(
            p, lambda f: (f.pop("masks"), f.__setitem__("masks", np.dtype("u1")))
        ),
        "/masks is no dataset",
    ),
    "one dataset twice": (
        lambda p: another_name_for(p, "masks", "heatmaps"),
        "chunks lie on top of each other",
    ),
    "attribute of a dataset": (
        lambda p: with_objects(p, lambda f: f["maps"].attrs.update(a=1)),
        "/maps has attributes",
    ),
    # -- types, shapes, chunks
    "dtype": (lambda p: forge(p, "heatmaps", dtype="i2"), "/heatmaps is not of type uint8"),
    "signed": (lambda p: forge(p, "heatmaps", dtype="i1"), "/heatmaps is not of type uint8"),
    "truth": (lambda p: forge(p, "masks", dtype="?"), "/masks is not of type uint8"),
    "big-endian": (lambda p: forge(p, "fixations", dtype=">f8"), "not of type float64"),
    "text list": (
        lambda p: forge(p, "index", data=np.array([b"[]"]), chunks=(1,)),
        "/index is not of type uint8",
    ),
    "named type": (named_type, "/masks is not of type uint8"),
    "shape": (lambda p: forge(p, "masks", data=np.zeros((3, 8, 8), "u1"), chunks=(1, 8, 8)), "in"),
    "rank": (lambda p: forge(p, "masks", data=np.zeros((3, 8), "u1"), chunks=(1, 8)), "/masks is"),
    "wider than a chunk": (
        lambda p: forge(p, "masks", data=np.zeros((3, 32, 16), "u1")),
        r"/masks is \(3, 32, 16\) in chunks of \(1, 16, 16\)",
    ),
    "an item more": (
        lambda p: (forge(p, "masks", data=np.zeros((4, *PLANE), "u1")), reseal(p)),
        "/masks has 4 items, /index 3",
    ),
    "chunks": (lambda p: forge(p, "masks", chunks=(3, *PLANE)), r"expected .* chunks of \(1, 16"),
    "half chunks": (lambda p: forge(p, "masks", chunks=(1, 8, 16)), "in chunks of"),
    "list chunks": (lambda p: forge(p, "index", chunks=(7,)), "/index is .* in chunks of"),
    "contiguous": (
        lambda p: forge(p, "index", chunks=None, fletcher32=None),
        "not stored in chunk",
    ),
    "list columns": (
        lambda p: forge(p, "fixations", data=np.zeros((6, 3)), chunks=(6, 3)),
        r"/fixations is \(6, 3\)",
    ),
    # -- filters
    "no fletcher32": (lambda p: forge(p, "masks", fletcher32=False), r"/masks has filters \[1\]"),
    "no codec": (lambda p: forge(p, "masks", compression=None), r"/masks has filters \[3\]"),
    "shuffle": (lambda p: forge(p, "masks", shuffle=True), r"filters \[2, 1, 3\]"),
    "filter order": (
        lambda p: with_filters(p, "masks", ("fletcher32", "deflate")),
        r"filters \[3, 1\]",
    ),
    "twice": (
        lambda p: with_filters(p, "masks", ("deflate", "deflate", "fletcher32")),
        r"filters \[1, 1, 3\]",
    ),
    "packed list": (
        lambda p: forge(p, "index", compression="gzip"),
        r"/index has filters \[1, 3\].*for codec none",
    ),
    "skipped filter": (
        lambda p: forge_chunk_unsealed(p, "masks", bytes(256), filter_mask=1),
        "/masks has chunks at odd places or without their filters",
    ),
    "large chunk": (
        lambda p: forge_chunk_unsealed(p, "masks", bytes(5000)),
        "/masks has stored chunks of .* to 5004 bytes, expected 5 to 1282",
    ),
    "small chunk": (
        lambda p: forge_chunk_unsealed(p, "masks", b""),
        "/masks has stored chunks of 4 to",
    ),
    "large list": (
        lambda p: forge_chunk_unsealed(p, "fixations", bytes(6 * 40 + 8)),
        "/fixations has stored chunks of 252 to 252 bytes, expected 244 to 244",
    ),
    # -- the index
    "index no JSON": (lambda p: forge_index_text(p, b"[{"), "damaged"),
    "index no text": (lambda p: forge_index_text(p, b"\xff\xfe\x00"), "damaged"),
    "index deep": (lambda p: forge_index_text(p, b"[" * 200_000), "damaged"),
    "index digits": (lambda p: forge_index_text(p, b"[" + b"9" * 10_000 + b"]"), "damaged"),
    "index no list": (lambda p: forge_index(p, lambda index: {"a": 1}), "JSON dict, expected"),
    "index of lists": (lambda p: forge_index(p, lambda index: [[], [], []]), "not made of name"),
    "index field": (first_item(x=1), "item 0 is not made of name, split"),
    "index type": (first_item(width="48"), "item 0 is not made of name, split"),
    "index truth": (first_item(width=True), "item 0 is not made of name, split"),
    "index size": (first_item(width=0), "is 0 x 32 px"),
    "index huge": (first_item(height=1 << 31), "is 48 x 2147483648 px"),
    "index digest": (first_item(sha256="0" * 63), "sha256 is '000"),
    "index quick digests": (first_item(xxh3=["0" * 16] * 6), "xxh3 are not the digests of images"),
    "index quick numbers": (first_item(xxh3=[0] * 7), "xxh3 are not the digests of images"),
    "index split": (first_item(split="dev"), "split 'dev'"),
    "index negative": (first_item(fixations=[0, -1]), "fixations is .* expected offset"),
    "index pairs": (first_item(mask_png=[0]), "mask_png is .* expected offset"),
    "index floats": (first_item(mask_png=[0, 1.5]), "mask_png is .* expected offset"),
    "index far": (first_item(mask_png=[0, 1 << 60]), "/index places item 'second' at"),
    "short index": (lambda p: forge_index(p, lambda i: i[:-1]), "/images has 3 items, /index 2"),
    "empty index": (lambda p: forge_index(p, lambda index: []), "/images has 3 items, /index 0"),
    "index order": (lambda p: forge_index(p, lambda i: i[::-1]), "/index places item"),
    "same name": (first_item(name="second"), "/index names item 'second' twice"),
    "short list": (
        lambda p: (forge(p, "fixations", data=np.zeros((5, 5)), chunks=(5, 5)), reseal(p)),
        "/index accounts for 6 rows of /fixations, the file holds 5",
    ),
    "unsealed": (lambda p: p.write_bytes(p.read_bytes()[:-1] + b"x"), "does not match the SHA-256"),
    "no seal": (lambda p: p.write_bytes(p.read_bytes()[:-32]), "ends before|SHA-256|outside"),
}


def forge_chunk_unsealed(path, name, packed, *, filter_mask=0):
    with h5py.File(path, "r+", libver=LIBVER) as file:
        at = (0,) * file[name].ndim
        file[name].id.write_direct_chunk(at, packed + checksum(packed), filter_mask=filter_mask)


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused_at_opening(golden, name):
    change, found = FORGERIES[name]
    change(golden)
    begin = time.perf_counter()
    with pytest.raises(CacheError, match=rf"(?s)golden\.h5: .*{found}"):
        open_cache(golden)
    assert time.perf_counter() - begin < 1


def test_version_1_is_refused_with_a_remedy():
    with pytest.raises(CacheError, match=r"version 1 of gazetools-cache, .* render it again"):
        open_cache(GOLDEN / "cache_v1.h5")


# ---------------------------------------------------------------- files that point elsewhere


def remove_and_link(path, link):
    with h5py.File(path, "r+", libver=LIBVER) as file:
        del file["masks"]
        file["masks"] = link


def test_soft_links_are_refused(golden):
    remove_and_link(golden, h5py.SoftLink("/heatmaps"))
    with pytest.raises(CacheError, match="/masks is a link to elsewhere"):
        open_cache(golden)


def test_external_links_are_refused_without_opening_the_other_file(golden):
    remove_and_link(golden, h5py.ExternalLink(str(golden.with_name("other.h5")), "/masks"))
    with pytest.raises(CacheError, match="/masks is a link to elsewhere"):
        open_cache(golden)


def test_external_storage_is_refused(golden):
    secret = golden.with_name("secret")
    secret.write_bytes(bytes(3 * SIDE * SIDE))
    with h5py.File(golden, "r+", libver=LIBVER) as file:
        del file["masks"]
        file.create_dataset("masks", (3, *PLANE), "u1", external=[(str(secret), 0, 768)])
    with pytest.raises(CacheError, match="/masks is not stored in chunks inside this file"):
        open_cache(golden)


@pytest.mark.parametrize("rows", [3, h5py.h5s.UNLIMITED])
def test_virtual_datasets_are_refused(golden, rows):
    layout = h5py.VirtualLayout((3, *PLANE), "u1", maxshape=(rows, *PLANE))
    source = h5py.VirtualSource("other.h5", "masks", (3, *PLANE), maxshape=(rows, *PLANE))
    layout[: None if rows == 3 else rows] = source[: None if rows == 3 else rows]
    with h5py.File(golden, "r+", libver=LIBVER) as file:
        del file["masks"]
        file.create_virtual_dataset("masks", layout)
    with pytest.raises(CacheError, match="/masks is not stored in chunks inside this file"):
        open_cache(golden)


def test_chunks_outside_the_file_are_refused(golden, monkeypatch):
    """HDF5's own checks come first: so this one is given what they might let through."""
    real = structure_module._dataset
    last = golden.stat().st_size - 33
    for wrong in (1, last, 1 << 20, (1 << 63) + 5, (1 << 64) - 1):

        class Far:
            def __init__(self, dataset):
                self.dataset = dataset

            def __getattr__(self, name):
                return getattr(self.dataset, name)

            def chunk_iter(self, call, wrong=wrong):
                self.dataset.chunk_iter(lambda info: call(info._replace(byte_offset=wrong)))

        with monkeypatch.context() as patch:
            patch.setattr(structure_module, "_dataset", lambda *given: Far(real(*given)))
            with pytest.raises(CacheError, match="/images has chunks outside the file"):
                open_cache(golden)


# ---------------------------------------------------------------- much from little


@pytest.mark.parametrize(
    ("name", "shape", "chunks", "said"),
    [
        ("index", (1 << 40,), (1 << 16,), ", more than"),
        ("fixations", (1 << 36, 5), (1 << 11, 5), ", more than"),
        ("mask_png", (1 << 40,), (1 << 16,), ", more than"),
        ("images", (1 << 30, *PLANE, 3), (1, *PLANE, 3), ", more than"),
        ("images", (100, *PLANE, 3), (1, *PLANE, 3), " and holds 0"),
    ],
)
def test_a_small_file_that_declares_much_is_refused_quickly(golden, name, shape, chunks, said):
    dtype = "<f8" if name == "fixations" else "u1"
    forge(golden, name, data=None, shape=shape, chunks=chunks, dtype=dtype)
    begin = time.perf_counter()
    with pytest.raises(CacheError, match=rf"/{name} declares \d+ chunks{said}"):
        open_cache(golden)
    assert time.perf_counter() - begin < 1


def test_a_file_of_few_bytes_that_declares_400_gb(tmp_path):
    """As small as it gets, with every object that the format wants."""
    path = tmp_path / "tiny.h5"
    spec = {"levels": 4, "height": 4096, "width": 4096, "codec": "none"}
    with h5py.File(path, "w", libver=LIBVER) as file:
        file.attrs["version"] = 2
        texts = {"format": "gazetools-cache", "recipe": "{}", "sources": "{}"}
        for name, text in {**texts, "spec": json.dumps(spec)}.items():
            file.attrs[name] = np.bytes_(text)
        plane = (4096, 4096)
        shapes = {"images": (*plane, 3), "maps": (4, *plane), "heatmaps": plane}
        for name, shape in {**shapes, "pseudo_masks": plane, "masks": plane}.items():
            file.create_dataset(name, (6000, *shape), "u1", chunks=(1, *shape), fletcher32=True)
        for name in ("mask_png", "index"):
            file.create_dataset(name, (1 << 30,), "u1", chunks=(1 << 16,), fletcher32=True)
        file.create_dataset("fixations", (9, 5), "f8", chunks=(9, 5), fletcher32=True)
    assert path.stat().st_size < 6000
    with h5py.File(path) as file:
        assert sum(dataset.nbytes for dataset in file.values()) > 400e9
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    with pytest.raises(CacheError, match="/images declares 6000 chunks"):
        open_cache(path)
    assert time.perf_counter() - begin < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_of_rubbish_is_refused_when_it_is_read(tmp_path, codec):
    path = golden_copy(tmp_path, codec)
    rubbish = struct.pack(">QII", 400 << 30, 1 << 31, 9) * 16
    forge_chunk(path, "masks", rubbish)
    said = r"'first' is damaged \(it does not match its XXH3\)"
    with open_cache(path) as cache, pytest.raises(CacheError, match=said):
        cache.read("masks", [1, 0])
    digests = list(cache.items[0].xxh3)
    digests[4] = xxhash.xxh3_64_hexdigest(rubbish + checksum(rubbish))
    first_item(xxh3=digests)(path)
    with open_cache(path) as cache:
        if codec == "none":  # bytes are bytes: a forger may choose them
            assert cache.read("masks", [0]).tobytes() == rubbish
        else:
            with pytest.raises(CacheError, match=r"/masks of item 'first' is damaged \(.*; render"):
                cache.read("masks", [1, 0])
        with pytest.raises(CacheError, match="item 'first' does not match its SHA-256"):
            list(cache.verify())
        assert cache.read("masks", [1]).shape == (1, *PLANE)


PNGS = {
    "of another size": (encode_png(np.zeros((32, 47), np.uint8)), "is no PNG of 48 x 32"),
    "cut short": (encode_png(np.zeros((32, 48), np.uint8))[:40], "PNG|decoded"),
    "none": (b"", "is no PNG of 48 x 32"),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_reference_mask_is_decoded_only_if_it_says_its_size(golden, name):
    png, said = PNGS[name]
    with open_cache(golden) as cache:
        (_, count), digests = cache.items[0].mask_png, list(cache.items[0].xxh3)
    png = png.ljust(count, b"\0")
    with h5py.File(golden, "r+", libver=LIBVER) as file:
        file["mask_png"][:count] = np.frombuffer(png, np.uint8)
    digests[5] = xxhash.xxh3_64_hexdigest(png)
    first_item(xxh3=digests)(golden)
    with (
        open_cache(golden) as cache,
        pytest.raises(CacheError, match=rf"/mask_png of item 'first': .*({said})"),
    ):
        cache.original_mask(0)
