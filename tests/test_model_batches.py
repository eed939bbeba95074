"""The data set: what it reads, in which order, and how it augments."""

import itertools
import math
import os
import pickle
import time
from threading import get_ident

import h5py
import numpy as np
import pytest
import torch
from made_caches import random_text
from model_cache import make_cache
from torch.utils.data import DataLoader

from gazetools.cache import Cache, CacheSpec, Record, create_cache, open_cache
from gazetools.errors import CacheError, TrainingError
from gazetools.images import encode_png, resize_image, resize_mask
from gradtrack_model import batches as batches_module
from gradtrack_model import loading, memory, opening, train
from gradtrack_model.augmentation import Augmentation, turn, turned, turned_back
from gradtrack_model.batches import CacheBatches
from gradtrack_model.config import PRESETS
from gradtrack_model.fields import FIELDS
from gradtrack_model.loading import batch_keys, raw_batches

ALL = Augmentation(flips=True, quarter_turns=True, jitter=0.3)


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


MADE = []


def dataset(path, kind=CacheBatches, **settings):
    MADE.append(kind(path, "train", **{"fields": FIELDS, "size_px": 32, **settings}))
    return MADE[-1]


@pytest.fixture(autouse=True)
def closed_in_the_end():
    yield
    while MADE:
        MADE.pop().close()


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
        "text_BTD": ((3, 5, 24), torch.float32),
        "text_mask_BT": ((3, 5), torch.bool),
        "where_B2HW": ((3, 2, 32, 32), torch.float32),
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
    tokens, mask = random_text(12).tokens[2], random_text(12).mask[2]
    np.testing.assert_array_equal(batch["text_BTD"][0], tokens)
    np.testing.assert_array_equal(batch["text_mask_BT"][0], mask)


def test_read_batch_by_batch_equals_held_in_memory(cache_path):
    keys = [(0, 4), (3, 1), (3, 1), (2, 0)]
    held = dataset(cache_path, augment=ALL).batch(keys)
    lazy = dataset(cache_path, augment=ALL, memory_limit=0)
    copied = pickle.loads(pickle.dumps(lazy))
    assert_same_batches([lazy.batch(keys), lazy.batch(keys), copied.batch(keys)], [held] * 3)
    copied.close()


def batches(path, workers, **settings):
    """Iterations 2 to 6 of a run: they cross the end of an epoch."""
    data = dataset(path, augment=ALL, seed=5, **settings)
    loader = raw_batches(data, 4, range(2, 7), workers=workers)
    return data.source, [data.finish(raw) for raw in loader]


@pytest.fixture(scope="module")
def from_memory(cache_path):
    source, expected = batches(cache_path, 0)
    assert (source, len(expected)) == ("memory", 5)
    return expected


def assert_same_batches(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(values, theirs[key]) for key, values in mine.items())


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_batches_from_the_file_are_those_from_memory(cache_path, from_memory, workers):
    source, found = batches(cache_path, workers, memory_limit=0)
    assert source == "file"
    assert_same_batches(found, from_memory)


def test_batches_held_on_a_device_are_those_from_memory(cache_path, from_memory, monkeypatch):
    monkeypatch.setattr(batches_module, "choose_source", lambda *_: "device")
    source, found = batches(cache_path, 0)
    assert source == "device"
    assert_same_batches(found, from_memory)


def test_a_device_that_holds_the_split_does_everything_there(cache_path, monkeypatch):
    """The device "meta" knows shapes alone: a step on the host would fail for want of values."""
    monkeypatch.setattr(memory, "free_on_device", lambda _: 1 << 30)
    data = dataset(cache_path, augment=ALL, device="meta")
    (raw,) = raw_batches(data, 4, range(1))
    assert {values.device.type for values in raw.fields.values()} == {"meta"}
    batch = data.finish(raw, "meta")
    assert batch["image_BCHW"].shape == (4, 3, 32, 32)
    assert {batch[key].device.type for key in set(batch) - {"item_B"}} == {"meta"}


def test_a_run_is_the_same_to_the_bit_wherever_its_batches_come_from(
    cache_path, tmp_path, monkeypatch
):
    def watched(data, *args, workers):
        seen.append((data.source, workers))
        return raw_batches(data, *args, workers=workers)

    seen = []
    monkeypatch.setattr(train, "raw_batches", watched)
    config = PRESETS["tiny"].replace(iterations=4)
    train.fit(config, cache_path, tmp_path / "memory")
    train.fit(config.replace(memory_gb=0), cache_path, tmp_path / "file", workers=2)
    assert seen == [("memory", 0), ("file", 2)]
    runs = [tmp_path / name / "last.pt" for name in ("memory", "file")]
    states = [torch.load(path, weights_only=True)["model"] for path in runs]
    assert all(torch.equal(values, states[1][name]) for name, values in states[0].items())


def test_what_memory_holds_needs_no_workers(cache_path, from_memory, monkeypatch):
    monkeypatch.setattr(loading, "ThreadPoolExecutor", None)
    assert_same_batches(batches(cache_path, 2)[1], from_memory)


@pytest.mark.parametrize("limit", [0, math.inf])
def test_augmentation_is_drawn_once_for_a_batch(cache_path, limit, monkeypatch):
    def counted(augment, seed, keys):
        drawn.append(keys)
        return draw(augment, seed, keys)

    drawn, draw = [], Augmentation.draw
    monkeypatch.setattr(Augmentation, "draw", counted)
    data = dataset(cache_path, augment=ALL, seed=5, memory_limit=limit)
    raws = list(raw_batches(data, 3, range(7), workers=2))
    assert len(drawn) == 7
    for t, raw in enumerate(raws):
        epochs = {int(data.indices[p]): epoch for epoch, p in batch_keys(5, len(data), 3, t)}
        alone = draw(ALL, 5, [(epochs[item], item) for item in raw.item_B.tolist()])
        assert raw.changes.symmetries == alone.symmetries
        assert torch.equal(raw.changes.colour_B33, alone.colour_B33)
        assert torch.equal(raw.changes.contrast_B, alone.contrast_B)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_that_was_rendered_again_is_refused(tmp_path, workers):
    """Its items may be others: positions of the former one would name them wrongly."""
    path = make_cache(tmp_path / "maps.h5", ("val", "train", "train"))
    data = dataset(path, memory_limit=0)
    former = path.rename(tmp_path / "former.h5")
    make_cache(path, ("train", "train", "val"))
    with pytest.raises(CacheError, match=r"maps\.h5: was changed since it was first"):
        next(raw_batches(data, 2, range(1), workers=workers))
    former.replace(path)
    assert data.batch([(0, 0)])["item_B"].tolist() == [1]


def test_workers_stay_a_few_batches_ahead(cache_path, monkeypatch):
    fetched = []
    fetch = CacheBatches.fetch

    def counted(data, keys, changes):
        fetched.append(get_ident())
        return fetch(data, keys, changes)

    monkeypatch.setattr(CacheBatches, "fetch", counted)
    data = dataset(cache_path, memory_limit=0)
    loader = raw_batches(data, 4, range(100), workers=2)
    for _ in range(10):
        next(loader)
    loader.close()
    assert 10 <= len(fetched) <= 10 + 2 * 2
    assert get_ident() not in fetched


def test_workers_share_a_cache_opened_when_it_is_read(cache_path, monkeypatch):
    opened = []

    def slowly(path):
        time.sleep(0.05)  # so that the other worker comes meanwhile
        opened.append(open_cache(path))
        return opened[-1]

    data = dataset(cache_path, memory_limit=0)
    monkeypatch.setattr(opening, "open_cache", slowly)
    loader = raw_batches(data, 4, range(20), workers=2)
    assert not opened
    assert len(list(loader)) == 20
    data.batch([(0, 0)])
    assert len(opened) == 1
    data.close()
    data.batch([(0, 0)])
    assert len(opened) == 2


class WithReader(CacheBatches):
    """Also tells which process opened the cache that it reads from."""

    def __getitems__(self, keys):
        raw = super().__getitems__(keys)
        return self._cache._opened[0], raw


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_open_the_cache_for_themselves(cache_path, from_memory, method):
    data = dataset(cache_path, WithReader, augment=ALL, seed=5, memory_limit=0)
    here, _ = data[0, 0]
    keys = [data.plan(batch_keys(5, len(data), 4, t))[0] for t in range(2, 7)]
    loader = DataLoader(
        data, batch_sampler=keys, collate_fn=tuple, num_workers=1, multiprocessing_context=method
    )
    readers, raws = zip(*loader, strict=True)
    assert here == os.getpid()
    assert here not in readers
    assert_same_batches([data.finish(raw) for raw in raws], from_memory)
    assert data[0, 0][0] == here


@pytest.fixture
def damaged_path(tmp_path):
    """A cache with a flipped bit in the middle of the maps of train2."""
    path = make_cache(tmp_path / "maps.h5", ("train",) * 6, names="train{}")
    with h5py.File(path) as file:
        chunk = file["maps"].id.get_chunk_info_by_coord((2, 0, 0, 0))
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_damage_is_told_as_it_is_found(damaged_path, workers):
    data = dataset(damaged_path, memory_limit=0)
    loader = raw_batches(data, 1, range(6), workers=workers)
    positions = [position for t in range(6) for _, position in batch_keys(0, 6, 1, t)]
    sound = list(itertools.islice(loader, positions.index(2)))
    assert len(sound) == positions.index(2) > 0
    with pytest.raises(CacheError, match="/maps of item 'train2' is damaged") as caught:
        next(loader)
    assert "Traceback" not in str(caught.value)


def test_damage_is_told_before_training_where_memory_holds_the_split(damaged_path):
    with pytest.raises(CacheError, match="/maps of item 'train2' is damaged"):
        dataset(damaged_path)


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


def test_items_of_one_batch_lie_sorted_by_symmetry(cache_path):
    data = dataset(cache_path, augment=ALL)
    for t, raw in enumerate(raw_batches(data, 8, range(4))):
        assert list(raw.changes.symmetries) == sorted(raw.changes.symmetries)
        drawn = [data.indices[position] for _, position in batch_keys(0, len(data), 8, t)]
        assert sorted(raw.item_B.tolist()) == sorted(drawn)


@pytest.mark.parametrize("symmetries", [range(8), [3] * 8, [0, 4, 4, 1, 7, 7, 0, 2]])
def test_runs_of_a_symmetry_are_turned_as_each_item_alone(symmetries):
    x_BCHW = torch.arange(8 * 2 * 9).view(8, 2, 3, 3)
    expected = [
        np.rot90(x[..., ::-1] if s >= 4 else x, s % 4, (-2, -1))
        for x, s in zip(x_BCHW.numpy(), symmetries, strict=True)
    ]
    np.testing.assert_array_equal(turn(x_BCHW, tuple(symmetries)), np.stack(expected))


def test_what_was_turned_is_turned_back():
    x_BCHW = torch.arange(2 * 9).view(1, 2, 3, 3)
    for symmetry in range(8):
        assert torch.equal(turned_back(turned(x_BCHW, symmetry), symmetry), x_BCHW)


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (Augmentation(), {0}),
        (Augmentation(flips=True), {0, 2, 4, 6}),
        (Augmentation(quarter_turns=True), {0, 1, 2, 3}),
        (Augmentation(flips=True, quarter_turns=True), set(range(8))),
    ],
)
def test_views_are_what_was_trained_on(augmentation, expected):
    assert set(augmentation.symmetries()) == expected
    drawn = augmentation.draw(0, [(0, item) for item in range(200)])
    assert set(drawn.symmetries) == expected


def test_every_item_has_its_own_draw():
    keys = [(3, item) for item in range(4000)]
    drawn = ALL.draw(1, keys)
    assert np.bincount(drawn.symmetries, minlength=8).min() > 400
    assert len(np.unique(drawn.contrast_B)) > 3900
    assert 0.7 <= drawn.contrast_B.min() < 0.71 < 1.29 < drawn.contrast_B.max() <= 1.3
    for item in (0, 1023, 1024, 3999):
        alone = ALL.draw(1, [keys[item]])
        assert alone.symmetries[0] == drawn.symmetries[item]
        assert torch.equal(alone.colour_B33[0], drawn.colour_B33[item])


def test_without_jitter_colours_stay_as_they_are():
    drawn = Augmentation(flips=True).draw(1, [(0, 0), (0, 1)])
    assert torch.equal(drawn.colour_B33, torch.eye(3).expand(2, 3, 3))
    assert torch.equal(drawn.contrast_B, torch.ones(2))


@pytest.fixture(scope="module")
def pattern_path(tmp_path_factory):
    """Red is the mask, green level 1, blue the heatmap: what is aligned stays equal."""
    path = tmp_path_factory.mktemp("pattern") / "maps.h5"
    rng = np.random.default_rng(0)
    spec, text = CacheSpec(2, 32, 32), random_text(1)
    with create_cache(path, spec, 1, recipe={}, sources={}, text=text) as writer:
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
    x, y = (batch["where_B2HW"] * 32).long().unbind(1)
    as_it_was = dataset(pattern_path).batch([(0, 0)])["image_BCHW"][0, 0]
    assert torch.equal(as_it_was[y, x], red)
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

    def watched(cache, field, indices, out=None):
        seen.update((field, cache.items[i].split) for i in np.asarray(indices))
        return read(cache, field, indices, out=out)

    monkeypatch.setattr(Cache, "read", watched)
    for limit in (0, 1 << 30):
        data = dataset(cache_path, fields=("images", "maps"), memory_limit=limit)
        data.batch([(0, position) for position in range(len(data))])
    assert seen == {("images", "train"), ("maps", "train")}


def test_an_empty_split_is_refused(cache_path):
    data = CacheBatches(cache_path, "none", fields=("images",), size_px=32)
    with pytest.raises(TrainingError, match="split 'none' has no items"):
        raw_batches(data, 4, range(3))


# ---------------------------------------------------------------- where a split is held

GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "limit", "gpu_free", "free", "source"),
    [
        (GPU, 100, 400, 0, "device"),
        (GPU, 99, 400, 1000, "file"),
        (GPU, 100, 399, 200, "memory"),
        (GPU, 100, 399, 199, "file"),
        (CPU, 100, 400, 200, "memory"),
        (CPU, 100, 400, 199, "file"),
        (CPU, 0, 400, 200, "file"),
    ],
)
def test_room_and_limit_choose_where_a_split_is_held(
    device, limit, gpu_free, free, source, monkeypatch
):
    monkeypatch.setattr(memory, "free_on_device", lambda _: gpu_free)
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    assert memory.choose_source(100, limit, device) == source


@pytest.mark.parametrize(("more", "source"), [(0, "memory"), (-1, "file")])
def test_the_limit_counts_every_byte_of_the_split(cache_path, more, source):
    size = 6 * ((3 + 4 + 1 + 1 + 1) * 32 * 32 + 5 * 24 * 2 + 5)
    assert dataset(cache_path, memory_limit=size + more).source == source


MEMINFO = "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable: 5000 kB\nHugePages_Total: 0\n"


def write(root, **files):
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_group(folder, limit, used):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text("anon 70\ninactive_file 30\nactive_file 5\n")


def test_free_memory_is_what_the_kernel_and_the_groups_leave(tmp_path):
    write(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup="1:cpu:/x\n0::/job/step\n")
    assert memory.free_memory(tmp_path) == 5000 * 1024
    groups = tmp_path / "sys/fs/cgroup"
    write_group(groups / "job/step", "max", 100)
    assert memory.free_memory(tmp_path) == 5000 * 1024
    write_group(groups / "job", 4000, 1000)
    assert memory.free_memory(tmp_path) == 3030
    write_group(groups, 3000, 2000)
    assert memory.free_memory(tmp_path) == 1030
    write_group(groups / "job/step", 100, 200)
    assert memory.free_memory(tmp_path) == 0


def test_free_memory_within_groups_of_version_1(tmp_path):
    """Beside version 2, as systemd mounts both: there it tells nothing of memory."""
    groups = "4:cpu,cpuacct:/x\n3:foo,memory:/job/step\n1:name=systemd:/a:b\n0::/job/step\n"
    write(tmp_path, proc__meminfo=MEMINFO, proc__self__cgroup=groups)
    mount = tmp_path / "sys/fs/cgroup/memory"

    def write_old_group(folder, limit, used):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
        (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
        (folder / "memory.stat").write_text("inactive_file 5\ntotal_inactive_file 30\n")

    write_old_group(mount / "job/step", (1 << 63) - 4096, 100)
    assert memory.free_memory(tmp_path) == 5000 * 1024
    write_old_group(mount / "job", 4000, 1000)
    assert memory.free_memory(tmp_path) == 3030
    write_old_group(mount, 3000, 2000)
    assert memory.free_memory(tmp_path) == 1030


def test_free_memory_where_the_system_does_not_tell(tmp_path, monkeypatch):
    assert memory.free_memory(tmp_path) > 0
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.free_memory(tmp_path) == 4 << 30


def test_free_memory_of_this_machine():
    assert 1 << 20 < memory.free_memory() < 1 << 50
    assert memory.free_on_device(CPU) == 0


@pytest.mark.parametrize(("limit", "workers"), [(0, 0), (0, 1), (1 << 30, 0)])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_batches_are_pinned_for_a_gpu_alone(cache_path, device, limit, workers, monkeypatch):
    """There need be no GPU: memory that is asked to be pinned is only counted."""
    asked, empty = [], torch.empty

    def counted(*args, pin_memory=False, **kwargs):
        stored = (torch.uint8, torch.float16, torch.bool)
        asked.extend([pin_memory] if kwargs.get("dtype") in stored else [])
        return empty(*args, **kwargs)

    monkeypatch.setattr(torch, "empty", counted)
    monkeypatch.setattr(memory, "free_on_device", lambda _: 0)
    data = dataset(cache_path, memory_limit=limit, device=device)
    asked.clear()
    list(raw_batches(data, 4, range(1), workers=workers))
    assert asked == [device == "cuda"] * (len(FIELDS) + 1)  # text is tokens and their mask
