"""Steps of training on a device that has no memory: run as a program, with a cache as argument.

Tensors there know their shape, type and device, and hold nothing. An operation on tensors of two
devices fails, as it would on a GPU; so does looking at a value, which on a GPU would wait for it.
Precision is float32, for such a device has no autocast.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import torch
from model_cache import SPLITS
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from gradtrack_model import devices, mixing
from gradtrack_model.augmentation import Augmentation
from gradtrack_model.batches import CacheBatches, RawBatch
from gradtrack_model.config import PRESETS
from gradtrack_model.loading import raw_batches
from gradtrack_model.methods import METHODS
from gradtrack_model.trainer import Trainer

STEPS = 3
RUNS = (
    {"method": "full"},
    {"method": "heatmap"},
    {"method": "gazemedseg"},
    *({"method": "gradtrack", "attention": how} for how in ("none", "refine", "gate", "concat")),
    {"method": "gradtrack", "optimizer": "adamw", "jitter": 0.2, "quarter_turns": True},
    {"method": "gradtrack", "encoder": "efficientnet-lite0", "uncertain": "background"},
    {"method": "fgi"},
    {"method": "fgi", "masked_as": "background", "masked_image": "zeroed"},
    {"method": "fgi", "teacher_attention": "refine", "teacher_first": 0.5},
)


class Nowhere:
    """A device, and how tensors get there."""

    def __init__(self):
        _setup_privateuseone_for_python_backend("nowhere")
        # a copied tensor stays in its mode
        FakeTensorMode.__deepcopy__ = lambda mode, memo: mode
        self.device = torch.device("nowhere", 0)
        self.mode = FakeTensorMode()

    def put(self, tensor):
        with self.mode:
            return self.mode.from_tensor(tensor).to(self.device)

    def place(self, model, device, config):
        for module in model.modules():
            for name, values in module.named_parameters(recurse=False):
                setattr(module, name, nn.Parameter(self.put(values.data)))
            for name, values in module.named_buffers(recurse=False):
                setattr(module, name, self.put(values))
        return model

    def fetch(self, dataset):
        """Return a raw batch in main memory, whose tensors hold nothing either."""
        raw = next(raw_batches(dataset, 4, range(1)))
        fields = {name: self.mode.from_tensor(values) for name, values in raw.fields.items()}
        changes = {
            name: self.mode.from_tensor(value) if torch.is_tensor(value) else value
            for name, value in raw.changes._asdict().items()
        }
        return RawBatch(raw.item_B, fields, raw.changes._replace(**changes))


def train(nowhere, cache_path, settings):
    config = PRESETS["paper"].replace(
        size_px=64, width=8, iterations=STEPS, weights="none", precision="float32", **settings
    )
    method = METHODS[config.method]
    dataset = CacheBatches(
        cache_path,
        "train",
        fields=method.fields(config),
        size_px=config.size_px,
        augment=Augmentation.of(config),
        memory_limit=0,
    )
    raw = nowhere.fetch(dataset)
    trainer = Trainer(config, method, nowhere.device, text_dims=24, pretrained=False)
    names = {item: str(item) for item in range(len(SPLITS))}
    with nowhere.mode:
        for _ in range(STEPS):
            trainer.step(dataset, raw, names)
        image_BCHW = dataset.finish(raw, nowhere.device)["image_BCHW"]
        output = trainer.evaluated()(image_BCHW)
    assert len(trainer._pending) == STEPS
    losses = [loss for pending in trainer._pending for loss in pending.losses.values()]
    for tensor in (*losses, output.seg_logits_B1HW):
        assert tensor.device == nowhere.device


def main(cache_path):
    nowhere, generator = Nowhere(), torch.Generator
    with (
        patch.object(devices, "placed", nowhere.place),
        patch.object(devices, "precision", lambda *_: nullcontext()),
        patch.object(mixing.torch, "Generator", lambda _: generator()),
        patch.object(Trainer, "check_losses"),  # on a GPU not at every step
    ):
        for settings in RUNS:
            train(nowhere, cache_path, settings)
            print(settings)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
