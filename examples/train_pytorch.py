"""A cache in a training loop of one's own: plain PyTorch, no framework.

    python examples/train_pytorch.py --cache maps.h5 --epochs 20

trains a small network on heatmaps as soft labels, and prints the mean Dice of the test split.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader

from gradtrack_model import CacheDataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("maps.h5"))
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()

    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    train = CacheDataset(given.cache, "train", fields=["images", "heatmaps"], transform=mirrored)
    for epoch in range(given.epochs):
        for batch in DataLoader(train, batch_size=8, shuffle=True):
            loss = binary_cross_entropy_with_logits(model(batch["image"]), batch["heatmap"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.3f}")
    print(f"mean Dice on test: {mean_dice(model, given.cache):.3f}")


def network() -> nn.Module:
    """Build five dilated convolutions, which see 63 pixels around each."""
    layers: list[nn.Module] = []
    for channels, dilation in ((3, 1), (16, 2), (16, 4), (16, 8), (16, 16)):
        layers += [nn.Conv2d(channels, 16, 3, padding=dilation, dilation=dilation)]
        layers += [nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, 1, 1))


def mirrored(sample: dict) -> dict:
    """Mirror image and map together, every other time."""
    if torch.rand(()) < 0.5:
        return sample
    return sample | {key: sample[key].flip(-1) for key in ("image", "heatmap")}


@torch.inference_mode()
def mean_dice(model: nn.Module, cache: Path) -> float:
    model.eval()
    scores = []
    for sample in CacheDataset(cache, "test", fields=["images", "masks"]):
        found, mask = model(sample["image"][None])[0] > 0, sample["mask"] == 1
        scores.append(2 * (found & mask).sum() / (found.sum() + mask.sum()).clamp(min=1))
    return torch.stack(scores).mean().item()


if __name__ == "__main__":
    main()
