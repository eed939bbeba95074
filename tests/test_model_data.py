"""CacheDataset: a cache for PyTorch programs of other people."""

import pickle

import numpy as np
import pytest
import torch
from model_cache import SPLITS, make_cache
from torch.utils.data import DataLoader

from gazetools.cache import open_cache
from gazetools.errors import CacheError, TrainingError
from gradtrack_model import CacheDataset
from gradtrack_model.fields import FIELDS


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


def test_keys_shapes_and_dtypes(cache_path):
    data = CacheDataset(cache_path, "train", fields=FIELDS)
    sample = data[3]
    data.close()
    with open_cache(cache_path) as cache:
        tokens, dimensions = cache.text_shape
    assert len(data) == 6
    assert (sample.pop("name"), sample.pop("item")) == ("item3", 3)
    assert {key: (tuple(value.shape), value.dtype) for key, value in sample.items()} == {
        "image": ((3, 48, 48), torch.float32),
        "maps": ((4, 48, 48), torch.float32),
        "heatmap": ((1, 48, 48), torch.float32),
        "pseudo_mask": ((1, 48, 48), torch.uint8),
        "mask": ((1, 48, 48), torch.uint8),
        "text": ((tokens, dimensions), torch.float32),
        "text_mask": ((tokens,), torch.bool),
    }


def test_values_are_those_of_the_cache(cache_path):
    data = CacheDataset(cache_path, "val", fields=FIELDS)
    with open_cache(cache_path) as cache:
        for sample, item in zip((data[i] for i in range(len(data))), data.indices, strict=True):
            (image,) = cache.read("images", [item])
            np.testing.assert_allclose(sample["image"] * 255, image.transpose(2, 0, 1), atol=1e-4)
            (maps,) = cache.read("maps", [item])
            np.testing.assert_allclose(sample["maps"] * 255, maps, atol=1e-4)
            (mask,) = cache.read("masks", [item])
            np.testing.assert_array_equal(sample["mask"][0], mask)
            assert sample["name"] == cache.items[item].name
    data.close()


def test_masks_and_text_have_to_be_asked_for(cache_path):
    data = CacheDataset(cache_path, "train")
    keys = {"name", "item", "image", "maps", "heatmap", "pseudo_mask"}
    assert set(data[0]) == keys
    data.close()


@pytest.mark.parametrize("workers", [{}, {"num_workers": 1, "multiprocessing_context": "spawn"}])
def test_a_plain_loader_makes_batches(cache_path, workers):
    data = CacheDataset(cache_path, "train", transform=halved)
    data[0]  # opened here, and again by the process
    batches = list(DataLoader(data, batch_size=4, **workers))
    data.close()
    assert [batch["image"].shape for batch in batches] == [(4, 3, 24, 24), (2, 3, 24, 24)]
    assert batches[1]["name"] == ["item4", "item5"]


def halved(sample):
    return sample | {"image": sample["image"][:, ::2, ::2]}


def test_what_is_not_there_is_named(cache_path, tmp_path):
    bare = make_cache(tmp_path / "bare.h5", masked=("test",), text=False)
    with pytest.raises(CacheError, match="6 of 6 items of split 'train' have no reference mask"):
        CacheDataset(bare, "train", fields=["images", "masks"])
    with pytest.raises(CacheError, match="holds no text; gazetools encode-text"):
        CacheDataset(bare, "train", fields=["text"])
    with pytest.raises(TrainingError, match=r"fields \['mask'\] are not known; expected some of"):
        CacheDataset(cache_path, "train", fields=["mask"])
    assert len(CacheDataset(bare, "test", fields=["masks"])) == SPLITS.count("test")


def test_a_cache_that_was_changed_is_refused(tmp_path):
    path = make_cache(tmp_path / "maps.h5")
    data = pickle.loads(pickle.dumps(CacheDataset(path, "train")))
    path.unlink()
    make_cache(path, names="other{}")
    with pytest.raises(CacheError, match="was changed since it was first read"):
        data[0]
