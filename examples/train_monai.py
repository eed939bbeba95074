"""A cache in a MONAI training: its U-Net, its transforms, its loss, and masks made from gaze.

    python examples/train_monai.py --cache maps.h5 --epochs 20

prints the mean Dice of the test split, against reference masks, in the end. Needs MONAI
(`pip install monai`). A network that sees gaze maps while it trains is what `gradtrack-train` is
for; this one sees images and pseudo-masks alone.
"""

import argparse
from pathlib import Path

import torch
from monai.data import DataLoader
from monai.losses import MaskedDiceLoss
from monai.metrics import DiceMetric
from monai.networks.nets import BasicUNet
from monai.transforms import Compose, RandFlipd, RandRotate90d, RandScaleIntensityd

from gradtrack_model import CacheDataset

UNCERTAIN = 255
BOTH = ["image", "pseudo_mask"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=Path("maps.h5"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()

    torch.manual_seed(0)
    features = [given.width * times for times in (1, 2, 4, 8, 16, 1)]
    model = BasicUNet(spatial_dims=2, in_channels=3, out_channels=1, features=features)
    model.to(given.device)
    train(model, given)
    print(f"mean Dice on test: {test(model, given):.3f}")


def train(model: torch.nn.Module, given: argparse.Namespace) -> None:
    augment = Compose(
        [
            RandFlipd(BOTH, prob=0.5, spatial_axis=1),
            RandRotate90d(BOTH, prob=0.5),
            RandScaleIntensityd("image", factors=0.2, prob=0.5),
        ]
    )
    data = CacheDataset(given.cache, "train", fields=["images", "pseudo_masks"], transform=augment)
    loader = DataLoader(data, batch_size=given.batch_size, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    dice = MaskedDiceLoss(sigmoid=True)
    for epoch in range(given.epochs):
        for batch in loader:
            image, label = (batch[key].to(given.device) for key in BOTH)
            certain = (label != UNCERTAIN).float()  # uncertain pixels teach nothing
            loss = dice(model(image), (label == 1).float(), certain)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss of the last batch {loss.item():.3f}")


@torch.inference_mode()
def test(model: torch.nn.Module, given: argparse.Namespace) -> float:
    dice = DiceMetric()
    model.eval()
    for sample in CacheDataset(given.cache, "test", fields=["images", "masks"]):
        logits = model(sample["image"][None].to(given.device))
        dice(logits.cpu() > 0, sample["mask"][None])
    return dice.aggregate().item()


if __name__ == "__main__":
    main()
