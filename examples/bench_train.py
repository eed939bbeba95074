"""Time training: our trainer, and GazeMedSeg's recipe as it was published.

    python examples/bench_train.py
    python examples/bench_train.py --device cuda --json
    python examples/bench_train.py --cache maps.h5 --images images   # instead of synthetic ones

The published recipe is written here from the paper: two whole U-Nets in float32 and contiguous
memory; image and both pseudo-masks decoded and resized one by one in workers of a DataLoader; one
cross-entropy each and the consistency between them, for which all 25 shifted copies of the
features are stacked; SGD. Its networks are built by our code, which has the published layers.
Ours are the methods gazemedseg (the same two networks and losses) and gradtrack under the preset
paper, which also keeps a running average of the weights and clips gradients.

Recipes take turns; each counts with the median of its turns. "processor" is the ratio of processor
time instead, as others may use the machine; it leaves out the published recipe's decoding, which
other processes do. Time that a loop waits for data is what its next batch takes to come; ours is
augmented afterwards, on the device, within the step.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler

from gazetools.cache import open_cache
from gazetools.images import (
    encode_png,
    list_images,
    read_image,
    read_mask,
    resize_image,
    resize_mask,
)
from gazetools.masks import PseudoMaskSpec
from gazetools.rendering import RenderSpec, render
from gazetools.splits import SplitSpec
from gazetools.synthetic import CohortSpec, write_cohort
from gazetools.tables import FIXATIONS, write_table
from gazetools.workers import processors
from gradtrack_model.augmentation import Augmentation
from gradtrack_model.batches import CacheBatches
from gradtrack_model.config import PRESETS
from gradtrack_model.loading import raw_batches
from gradtrack_model.methods import METHODS
from gradtrack_model.networks import build_network
from gradtrack_model.trainer import Trainer

PUBLISHED = "GazeMedSeg as published, float32"
CONSISTENCY, NEIGHBOURS, DILATION = 3, 5, 2
SIZE_AND_WIDTH = {"cpu": (128, 16), "cuda": (224, 64)}
AHEAD = 2  # batches that a worker of a DataLoader reads ahead
ENDLESS = 10**6


# ---------------------------------------------------------------- the data


def synthetic(folder, options):
    """Images of a usual size, and a cache of them that needs no plugin to be read."""
    cohort = write_cohort(folder / "lab", CohortSpec(images=options.items))
    fixations, cache_path = cohort.folder / "fixations.parquet", folder / "maps.h5"
    write_table(cohort.fixations, fixations, FIXATIONS, provenance={})
    spec = RenderSpec(
        options.size,
        masks=PseudoMaskSpec("heatmap", band=(0.3, 0.5)),
        split=SplitSpec(near_duplicate_bits=-1),
        codec="gzip",
    )
    render(fixations, cohort.images, cohort.masks, cache_path, spec)
    return cache_path, cohort.images


class Files(Dataset):
    """Training images, and two pseudo-masks of each, as files of their own."""

    def __init__(self, cache_path, images, folder, size):
        paths, self.size = list_images(images), (size, size)
        with open_cache(cache_path) as cache:
            items = [(index, cache.items[index]) for index in cache.indices("train")]
            self.files = [
                (paths[item.name], *write_masks(cache, index, item, folder))
                for index, item in items
            ]

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        image, *masks = self.files[index]
        pixels = resize_image(read_image(image), self.size).transpose(2, 0, 1)
        planes = [resize_mask(read_mask(mask), self.size)[None] for mask in masks]
        axes = [axis for axis in (1, 2) if torch.rand(()) < 0.5]
        scaled = (pixels.astype(np.float32) - 127) / 128
        arrays = (scaled, *(plane.astype(np.float32) for plane in planes))
        return [torch.from_numpy(np.flip(array, axes).copy()) for array in arrays]


def write_masks(cache, index, item, folder):
    pseudo = cache.read("pseudo_masks", [index])[0]
    whole = resize_mask(pseudo, (item.height, item.width))
    for name, mask in (("certain", whole == 1), ("possible", whole != 0)):
        path = folder / f"{item.name}-{name}.png"
        path.write_bytes(encode_png(mask.astype(np.uint8) * 255))
        yield path


# ---------------------------------------------------------------- the recipes


class Published:
    def __init__(self, files, options):
        self.device, self.ahead = options.device, AHEAD * options.workers
        self.loader = DataLoader(
            files,
            options.batch_size,
            sampler=RandomSampler(files, replacement=True, num_samples=ENDLESS),
            num_workers=options.workers,
            prefetch_factor=AHEAD if options.workers else None,
            pin_memory=options.device == "cuda",
        )
        self.batches = iter(self.loader)
        config = PRESETS["paper"].replace(width=options.width, size_px=options.size)
        pair = [build_network(config, attention="none", pretrained=False) for _ in range(2)]
        self.pair = nn.ModuleList(pair).to(self.device)
        self.optimizer = torch.optim.SGD(
            self.pair.parameters(), lr=1e-2, momentum=0.99, nesterov=True, weight_decay=4e-4
        )

    def forget(self):
        """Let what was read while others took their turn not count."""
        for _ in range(self.ahead):
            next(self.batches)

    def step(self, batch):
        image, *masks = (part.to(self.device, non_blocking=True) for part in batch)
        first, second = (network(image * (128 / 255) + 127 / 255) for network in self.pair)
        loss = CONSISTENCY * (consistency(first, second) + consistency(second, first))
        for output, mask in zip((first, second), masks, strict=True):
            loss = loss + F.binary_cross_entropy_with_logits(output.seg_logits_B1HW, mask)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def consistency(output, peer):
    """Agreement with what the peer says around each pixel, where its features are alike."""
    unit = F.normalize(peer.features_BChw.detach(), dim=1)
    height, width = unit.shape[-2:]
    similarity = (unit[:, :, None] * shifted(unit)).sum(1).clamp_min(0)
    outside = shifted(unit.new_ones(1, 1, height, width))[:, 0] == 0
    weight = similarity.masked_fill(outside, -torch.inf).softmax(1)
    around = shifted(torch.sigmoid(peer.seg_logits_B1HW.detach()))[:, 0]
    believed = (weight * around).sum(1, keepdim=True)
    own = torch.sigmoid(output.seg_logits_B1HW)
    return -(own * believed + (1 - own) * (1 - believed)).mean()


def shifted(x):
    """Stack copies of (B, C, H, W), shifted to each neighbour, as (B, C, 25, H, W)."""
    reach = DILATION * (NEIGHBOURS // 2)
    copies = F.unfold(x, NEIGHBOURS, dilation=DILATION, padding=reach)
    return copies.view(*x.shape[:2], NEIGHBOURS**2, *x.shape[2:])


class Ours:
    def __init__(self, cache_path, method, precision, options):
        config = PRESETS["paper"].replace(
            method=method,
            precision=precision,
            width=options.width,
            size_px=options.size,
            batch_size=options.batch_size,
            iterations=ENDLESS,
            compile=options.compile,
        )
        device = torch.device(options.device)
        self.trainer = Trainer(config, METHODS[method], device)
        self.data = CacheBatches(
            cache_path,
            "train",
            fields=METHODS[method].fields(config),
            size_px=config.size_px,
            augment=Augmentation.of(config),
            memory_limit=config.memory_gb * 1e9,
            device=device,
        )
        self.names = dict(zip(self.data.indices.tolist(), self.data.names, strict=True))
        self.batches = raw_batches(self.data, config.batch_size, range(ENDLESS))

    def forget(self):
        """Nothing was read ahead."""

    def step(self, batch):
        self.trainer.step(self.data, batch, self.names)


def recipes(cache_path, images, folder, options):
    # workers of the DataLoader start before there are threads
    made = {PUBLISHED: Published(Files(cache_path, images, folder, options.size), options)}
    for method in ("gazemedseg", "gradtrack"):
        for precision in ("float32", "bf16"):
            name = f"our {method}, {precision}"
            made[name] = Ours(cache_path, method, precision, options)
    return made


# ---------------------------------------------------------------- the measurement


def turn(recipe, iterations):
    """Seconds of so many iterations, of waiting for data among them, and of processor time."""
    recipe.forget()
    waited, begin, begin_cpu = 0.0, time.perf_counter(), time.process_time()
    for _ in range(iterations):
        asked = time.perf_counter()
        batch = next(recipe.batches)
        waited += time.perf_counter() - asked
        recipe.step(batch)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin, waited, time.process_time() - begin_cpu


def measure(made, options):
    turns = {name: [] for name in made}
    for recipe in made.values():
        turn(recipe, options.warm)
    for _ in range(options.turns):
        for name, recipe in made.items():
            turns[name].append(turn(recipe, options.iterations))
    return [row(name, np.array(turns[name]), np.array(turns[PUBLISHED]), options) for name in made]


def row(name, turns, published, options):
    seconds, waited, processor_s = turns.T
    ratios = published[:, 0] / seconds
    return {
        "recipe": name,
        "iterations_per_s": options.iterations / float(np.median(seconds)),
        "ratio": float(np.median(ratios)),
        "lowest_ratio": float(ratios.min()),
        "processor_s_per_iteration": float(np.median(processor_s)) / options.iterations,
        "processor_ratio": float(np.median(published[:, 2] / processor_s)),
        "waits_for_data": float(waited.sum() / seconds.sum()),
    }


def facts(options):
    cuda = options.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "loader_workers": options.workers,
        "torch": torch.__version__,
        "size_px": options.size,
        "width": options.width,
        "batch_size": options.batch_size,
        "compile": options.compile,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, help="of `gazetools render`; else one is made")
    parser.add_argument("--images", type=Path, help="folder of the cache's images")
    parser.add_argument("--items", type=int, default=64, help="images that are made")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--size", type=int, help="default: 128 on a CPU, 224 on a GPU")
    parser.add_argument("--width", type=int, help="default: 16 on a CPU, 64 on a GPU")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=10, help="iterations a turn")
    parser.add_argument("--warm", type=int, default=3, help="iterations before the first turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=processors(), help="of torch, on a CPU")
    parser.add_argument("--workers", type=int, default=2, help="of the published DataLoader")
    parser.add_argument("--compile", action="store_true", help="torch.compile for ours")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.cache is None) != (options.images is None):
        parser.error("--cache and --images go together")
    size, width = SIZE_AND_WIDTH[options.device]
    options.size, options.width = options.size or size, options.width or width
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = options.cache, options.images
        cache_path, images = given if options.cache else synthetic(folder, options)
        rows = measure(recipes(cache_path, images, folder, options), options)
    report = {**facts(options), "rows": rows}
    if options.json:
        print(json.dumps(report))
    else:
        show(report)


def show(report):
    rows = report.pop("rows")
    print(
        f"{'recipe':<34}{'it/s':>8}{'ratio':>8}{'lowest':>8}{'processor':>11}{'waits for data':>16}"
    )
    for row in rows:
        print(
            f"{row['recipe']:<34}{row['iterations_per_s']:>8.3g}{row['ratio']:>8.2f}"
            f"{row['lowest_ratio']:>8.2f}{row['processor_ratio']:>11.2f}"
            f"{row['waits_for_data']:>16.2%}"
        )
    print(", ".join(f"{name} {value}" for name, value in report.items()))


if __name__ == "__main__":
    main()
