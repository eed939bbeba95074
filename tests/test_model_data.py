"""The data set: what it reads, in which order, and how it augments."""

import itertools
import pickle

import numpy as np
import pytest
import torch
from model_cache import make_cache

from gazetools.cache import Cache, CacheSpec, Record, create_cache, open_cache
from gazetools.errors import CacheError, TrainingError
from gazetools.images import encode_png, resize_image, resize_mask
from gradtrack_model.data import FIELDS, Augmentation, CacheDataset, batch_keys, raw_batches

ALL = Augmentation(flips=True, quarter_turns=True, jitter=0.3)


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


def dataset(path, **settings):
    return CacheDataset(path, "train", **{"fields": FIELDS, "size_px": 32, **settings})


def test_keys_shapes_and_dtypes(cache_path):
    batch = dataset(cache_path, augment=ALL).batch([(0, 0), (0, 3), (1, 5)])
    found = {key: (tuple(values.shape), values.dtype) for key, values in batch.items()}
    assert found == {
        "item_B": ((3,), torch.int64),
        "image_BCHW": ((3, 3, 32, 32), torch.float32),
        "maps_BLHW": ((3, 4, 32, 32), torch.float32),
        "heatmap_B1HW": ((3, 1, 32, 32), torch.float32),
        "pseudo_B1HW": ((3, 1, 32, 32), torch.uint8),
        "mask_B1HW": ((3, 1, 32, 32), torch.uint8),
    }
    assert set(batch["pseudo_B1HW"].unique().tolist()) <= {0, 1, 255}
    for key in ("image_BCHW", "maps_BLHW", "heatmap_B1HW"):
        assert 0 <= batch[key].min() <= batch[key].max() <= 1


def test_values_are_those_of_the_cache_resized(cache_path):
    batch = dataset(cache_path).batch([(0, 2)])
    with open_cache(cache_path) as cache:
        image = resize_image(cache.read("images", [2])[0], (32, 32))
        pseudo = resize_mask(cache.read("pseudo_masks", [2])[0], (32, 32))
        level = resize_image(cache.read("maps", [2])[0, 3], (32, 32))
    np.testing.assert_array_equal(batch["image_BCHW"][0].permute(1, 2, 0) * 255, image)
    np.testing.assert_array_equal(batch["pseudo_B1HW"][0, 0], pseudo)
    np.testing.assert_array_equal((batch["maps_BLHW"][0, 3] * 255).round(), level)


def test_read_batch_by_batch_equals_held_in_memory(cache_path):
    keys = [(0, 4), (3, 1), (3, 1), (2, 0)]
    held = dataset(cache_path, augment=ALL).batch(keys)
    lazy = dataset(cache_path, augment=ALL, memory_limit=0)
    read = pickle.loads(pickle.dumps(lazy)).batch(keys)
    again = lazy.batch(keys)
    lazy.close()
    for key, values in held.items():
        assert torch.equal(values, read[key])
        assert torch.equal(values, again[key])


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_batches_are_the_same_for_any_number_of_workers(cache_path, limit):
    def batches(workers):
        data = dataset(cache_path, augment=ALL, seed=5, memory_limit=limit)
        loader = raw_batches(data, 4, range(2, 6), workers=workers)
        return [data.finish(raw) for raw in loader]

    alone = batches(0)
    assert len(alone) == 4
    for mine, theirs in zip(alone, batches(2), strict=True):
        assert all(torch.equal(values, theirs[key]) for key, values in mine.items())


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_told_as_it_is_found(cache_path, monkeypatch, workers):
    data = dataset(cache_path, memory_limit=0)

    def damaged(*_):
        raise CacheError("item is damaged")

    monkeypatch.setattr(Cache, "read", damaged)
    with pytest.raises(CacheError) as caught:
        next(raw_batches(data, 4, range(3), workers=workers))
    assert str(caught.value) == "item is damaged"


def test_order_is_pure_and_every_epoch_a_permutation():
    keys = [key for t in range(30) for key in batch_keys(1, 10, 4, t)]
    assert keys[40:44] == batch_keys(1, 10, 4, 10)
    for epoch, group in itertools.groupby(keys, key=lambda key: key[0]):
        assert sorted(position for _, position in group) == list(range(10)), epoch
    orders = [tuple(p for e, p in keys if e == epoch) for epoch in range(12)]
    assert len(set(orders)) == 12
    assert batch_keys(2, 10, 10, 0) != batch_keys(1, 10, 10, 0)


def test_augmentation_depends_on_seed_epoch_and_item_alone(cache_path):
    data = dataset(cache_path, augment=ALL, seed=3)
    one = data.batch([(7, 2)])["image_BCHW"][0]
    assert torch.equal(one, data.batch([(7, 5), (6, 2), (7, 2)])["image_BCHW"][2])
    others = [
        data.batch([(8, 2)])["image_BCHW"][0],
        dataset(cache_path, augment=ALL, seed=4).batch([(7, 2)])["image_BCHW"][0],
    ]
    assert all(not torch.equal(one, other) for other in others)


@pytest.fixture(scope="module")
def pattern_path(tmp_path_factory):
    """Red is the mask, green level 1, blue the heatmap: what is aligned stays equal."""
    path = tmp_path_factory.mktemp("pattern") / "maps.h5"
    rng = np.random.default_rng(0)
    with create_cache(path, CacheSpec(2, 32, 32), 1, recipe={}, sources={}) as writer:
        mask = rng.integers(0, 2, (32, 32), dtype=np.uint8)
        level, heatmap = rng.integers(0, 256, (2, 32, 32), dtype=np.uint8)
        writer.add(
            Record(
                name="pattern",
                split="train",
                width=32,
                height=32,
                image=np.stack([mask * 255, level, heatmap], axis=-1),
                maps=np.stack([level, level // 2]),
                heatmap=heatmap,
                pseudo_mask=mask,
                fixations=np.zeros((1, 5)),
                mask=mask,
                mask_png=encode_png(mask * 255),
            )
        )
    return path


def test_image_maps_and_masks_stay_aligned(pattern_path):
    augment = Augmentation(flips=True, quarter_turns=True)
    data = dataset(pattern_path, augment=augment)
    batch = data.batch([(epoch, 0) for epoch in range(64)])
    red, green, blue = batch["image_BCHW"].unbind(1)
    assert torch.equal(red, batch["mask_B1HW"][:, 0].float())
    assert torch.equal(red, batch["pseudo_B1HW"][:, 0].float())
    assert torch.equal(green, batch["maps_BLHW"][:, 0])
    assert torch.equal(blue, batch["heatmap_B1HW"][:, 0])
    assert len({values.numpy().tobytes() for values in green}) == 8


@pytest.mark.parametrize(
    ("augment", "count"),
    [(Augmentation(), 1), (Augmentation(flips=True), 4), (Augmentation(quarter_turns=True), 4)],
)
def test_flips_and_quarter_turns_can_be_had_apart(pattern_path, augment, count):
    batch = dataset(pattern_path, augment=augment).batch([(epoch, 0) for epoch in range(64)])
    assert len({values.numpy().tobytes() for values in batch["maps_BLHW"]}) == count


def test_jitter_changes_the_image_alone_and_keeps_its_mean_near(pattern_path):
    plain = dataset(pattern_path).batch([(epoch, 0) for epoch in range(64)])
    data = dataset(pattern_path, augment=Augmentation(jitter=0.2))
    batch = data.batch([(epoch, 0) for epoch in range(64)])
    for key in set(plain) - {"image_BCHW"}:
        assert torch.equal(plain[key], batch[key])
    assert not torch.equal(plain["image_BCHW"], batch["image_BCHW"])
    difference = batch["image_BCHW"].mean() - plain["image_BCHW"].mean()
    assert abs(difference) < 0.05


def test_only_the_given_fields_of_the_given_split_are_read(cache_path, monkeypatch):
    seen = set()
    read = Cache.read

    def watched(cache, field, indices):
        seen.update((field, cache.items[i].split) for i in np.asarray(indices))
        return read(cache, field, indices)

    monkeypatch.setattr(Cache, "read", watched)
    for limit in (0, 1 << 30):
        data = dataset(cache_path, fields=("images", "maps"), memory_limit=limit)
        data.batch([(0, position) for position in range(len(data))])
        data.close()
    assert seen == {("images", "train"), ("maps", "train")}


def test_an_empty_split_is_refused(cache_path):
    data = CacheDataset(cache_path, "none", fields=("images",), size_px=32)
    with pytest.raises(TrainingError, match="split 'none' has no items"):
        raw_batches(data, 4, range(3))
