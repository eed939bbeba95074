"""Folders of shards: what the manifest says is checked, and so is every shard, whenever opened."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
from made_caches import random_record, write

from gazetools.cache import Cache, CacheSpec, open_cache
from gazetools.cache.sharded import MANIFEST, SHARDS, ShardedCache, write_manifest
from gazetools.errors import CacheError
from gazetools.tables import read_table, write_table

FLIPS = int(os.environ.get("GAZETOOLS_FLIPS", "120"))
"""Bits flipped in a manifest."""
SPEC = CacheSpec(1, 4, 4, "none")
RECIPE = {"sigma": 0.1, "levels": [1, 2], "of": {"a": None, "ü": True}}
SOURCES = {"images": "0" * 64}
NOT_THE_SHARD = r"is not the shard that manifest\.parquet names; render again"


def shard(folder, number, *seeds, spec=SPEC):
    path = folder / f"shard-{number:05d}-0123456789ab.h5"
    return write(path, [random_record(seed, spec) for seed in seeds], spec, overwrite=True)


def tie(folder, shards, *, spec=SPEC, recipe=RECIPE, sources=SOURCES):
    write_manifest(folder, shards, spec=spec, recipe=recipe, sources=sources)


@pytest.fixture
def folder(tmp_path):
    """Three shards of two items each."""
    tie(tmp_path, [shard(tmp_path, n, 2 * n, 2 * n + 1) for n in range(3)])
    return tmp_path


# ---------------------------------------------------------------- shards


@pytest.mark.parametrize(("at_once", "opened"), [(4, 3), (3, 3), (2, 9)])
def test_shards_stay_open_until_they_are_too_many(folder, monkeypatch, at_once, opened):
    monkeypatch.setattr("gazetools.cache.sharded._OPEN_AT_ONCE", at_once)
    paths = []
    real = Cache.open
    monkeypatch.setattr(Cache, "open", lambda path: paths.append(path) or real(path))
    with open_cache(folder) as cache:
        for _ in range(2):
            for item in (0, 2, 4):
                cache.read("images", [item])
    assert len(paths) == opened


@pytest.mark.parametrize("spec", [SPEC, CacheSpec(1, 4, 4, "gzip")])
def test_a_shard_that_was_replaced_is_never_read(folder, monkeypatch, spec):
    """Shards that were closed meanwhile are opened again: by then they may be others."""
    monkeypatch.setattr("gazetools.cache.sharded._OPEN_AT_ONCE", 1)
    with open_cache(folder) as cache:
        before = cache.read("images", [0])
        shard(folder, 0, 8, 9, spec=spec)
        for ask in (
            lambda: cache.read("images", [0]),
            lambda: cache.fixations(0),
            lambda: cache.original_mask(0),
            lambda: cache.stored(0),
            lambda: list(cache.verify()),
        ):
            cache.read("images", [2, 4])
            with pytest.raises(CacheError, match=rf"shard-00000-\w+\.h5: {NOT_THE_SHARD}"):
                ask()
        shard(folder, 0, 0, 1)
        np.testing.assert_array_equal(cache.read("images", [0]), before)


def test_an_item_is_in_one_shard_only(tmp_path):
    tie(tmp_path, [shard(tmp_path, 0, 0, 1), shard(tmp_path, 1, 2, 1)])
    with pytest.raises(
        CacheError, match=r"item 'item 1 ü' is in shard-00000-\w+\.h5 and shard-00001"
    ):
        open_cache(tmp_path)


# ---------------------------------------------------------------- the manifest


def everything(folder):
    """All that a manifest tells."""
    with ShardedCache(folder) as cache:
        about = (cache.spec, repr(cache.recipe), repr(cache.sources), cache.sha256)
        return *about, cache.shards, cache.items


def test_every_flipped_bit_of_a_manifest_is_caught(folder):
    """Or changes nothing of what it tells."""
    path = folder / MANIFEST
    sound, content = everything(folder), bytearray(path.read_bytes())
    assert sound[1] == repr(RECIPE)
    refused = 0
    for bit in np.random.default_rng(0).permutation(8 * len(content))[:FLIPS].tolist():
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            assert everything(folder) == sound, bit
        except CacheError as error:
            assert str(folder) in str(error)  # noqa: PT017
            refused += 1
    assert refused > FLIPS / 3


def rewrite(folder, change):
    """Write a manifest anew, as somebody would who does not know of its digest."""
    table, about = read_table(folder / MANIFEST, SHARDS)
    table, about = change(table, about)
    write_table(table, folder / MANIFEST, SHARDS, provenance=about, overwrite=True)


ALTERED = {
    "recipe": lambda t, a: (t, {**a, "recipe": {**a["recipe"], "sigma": 0.2}}),
    "sources": lambda t, a: (t, {**a, "sources": {}}),
    "order of the recipe": lambda t, a: (t, {**a, "recipe": dict(reversed(a["recipe"].items()))}),
    "spec": lambda t, a: (t, {**a, "spec": {**a["spec"], "levels": 2}}),
    "items": lambda t, a: (t.assign(items=t["items"] + 1), a),
    "fewer rows": lambda t, a: (t[:2], a),
    "order of rows": lambda t, a: (t[::-1], a),
    "no digest": lambda t, a: (t, {k: v for k, v in a.items() if k != "sha256"}),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_manifest_is_refused(folder, name):
    rewrite(folder, ALTERED[name])
    with pytest.raises(CacheError, match=r"manifest\.parquet: (is not|does not match its SHA-256)"):
        open_cache(folder)


FORGED = {
    "odd spec": ({"spec": SimpleNamespace(levels=1, colour="red")}, "'spec': .*colour"),
    "spec of words": ({"spec": SimpleNamespace(levels="many", height=4, width=4)}, "'spec': "),
    "codec": ({"spec": SimpleNamespace(**{**vars(SPEC), "codec": ["lz4"]})}, "'spec': "),
    "list as recipe": ({"recipe": ["a"]}, "'recipe' is no JSON object"),
    "word as sources": ({"sources": "a"}, "'sources' is no JSON object"),
    "another spec": ({"spec": CacheSpec(2, 4, 4, "none")}, NOT_THE_SHARD),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_manifest_is_refused(folder, name):
    """Its digest is right."""
    about, said = FORGED[name]
    tie(folder, sorted(folder.glob("*.h5")), **about)
    with pytest.raises(CacheError, match=rf"\.(parquet|h5): .*{said}"):
        open_cache(folder)


def test_a_wrong_number_of_items_is_refused(folder, monkeypatch):
    """Whoever forges the digest, too, gets no further."""
    monkeypatch.setattr("gazetools.cache.sharded.Cache.__len__", lambda cache: 7)
    tie(folder, sorted(folder.glob("*.h5")))
    monkeypatch.undo()
    with pytest.raises(CacheError, match=NOT_THE_SHARD):
        open_cache(folder)


def test_a_manifest_of_no_shards_is_refused(tmp_path):
    tie(tmp_path, [])
    with pytest.raises(CacheError, match=r"manifest\.parquet: is not a manifest of shards"):
        open_cache(tmp_path)
