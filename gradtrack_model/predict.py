"""predict(): masks for new images, from the image alone."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gazetools.errors import FormatError, OutputError
from gazetools.images import UInt8, composed, encode_png, list_images, read_image, resize_image
from gradtrack_model.augmentation import Augmentation, turned, turned_back
from gradtrack_model.devices import as_input, enough_memory, pick_device, use_available_cores
from gradtrack_model.runs import Checkpoint, load_checkpoint

BATCH = 8


@enough_memory()
def predict(
    run_folder: Path,
    images: Sequence[Path],
    out_folder: Path,
    *,
    checkpoint: str = "best",
    probabilities: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Segment images and write a mask for each: PNG, 0 or 255, of the image's own size.

    All masks appear together when the last is done; if any image cannot be read, none appears.

    Parameters
    ----------
    run_folder : Path
        Folder of a finished training run.
    images : sequence of Path
        Image files, folders of them, or both.
    out_folder : Path
        Masks go here under the stem of their image; made if it does not exist.
    checkpoint : {"best", "last"}
    probabilities : bool
        Write the probability of foreground as grey, 0 to 255, instead of masks.
    progress : callable, optional
        Called with the number of images done and their total.

    Returns
    -------
    list of Path
        The masks, in the order of the images.

    Raises
    ------
    FormatError
        An image cannot be read, or two share a stem.
    OutputError
        A mask exists already, would lie among the images, or cannot be written.
    TrainingError
        The run or its checkpoint is missing or damaged, or a GPU's memory does not suffice.
    """
    sources = _by_stem(images)
    targets = {stem: Path(out_folder) / f"{stem}.png" for stem in sources}
    _check_targets(targets.values(), sources.values(), overwrite)
    _check_apart(images, Path(out_folder))
    use_available_cores()
    trained = load_checkpoint(run_folder, checkpoint, pick_device(device))
    try:
        with _filled(Path(out_folder)) as temporary:
            written = _probability_png if probabilities else _mask_png
            _write(trained, sources, temporary, written, progress)
            for stem, target in targets.items():
                (temporary / f"{stem}.png").replace(target)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{out_folder}: cannot be written ({reason})") from error
    return list(targets.values())


@contextmanager
def _filled(folder: Path) -> Iterator[Path]:
    """Make a folder and yield another in it; one that stays empty goes again."""
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".predict-", dir=folder) as temporary:
            yield Path(temporary)
    finally:
        if not was_there and not any(folder.iterdir()):
            folder.rmdir()


def _write(
    trained: Checkpoint,
    sources: Mapping[str, Path],
    folder: Path,
    png: Callable[[Tensor, tuple[int, ...]], bytes],
    progress: Callable[[int, int], None] | None,
) -> None:
    left = list(sources.items())
    for start in range(0, len(left), BATCH):
        some = left[start : start + BATCH]
        images = [read_image(path) for _, path in some]
        logits_B1HW = logits_of(trained, [as_cached(trained, image) for image in images])
        for (stem, _), image, logits_1HW in zip(some, images, logits_B1HW, strict=True):
            (folder / f"{stem}.png").write_bytes(png(logits_1HW, image.shape[:2]))
        if progress is not None:
            progress(start + len(some), len(left))


def _mask_png(logits_1HW: Tensor, size: tuple[int, ...]) -> bytes:
    return encode_png(to_size(logits_1HW, size).astype(np.uint8) * np.uint8(255))


def _probability_png(logits_1HW: Tensor, size: tuple[int, ...]) -> bytes:
    probability_HW = torch.sigmoid(_resized(logits_1HW, size))
    return encode_png((probability_HW * 255).round().to(torch.uint8).cpu().numpy())


def _by_stem(images: Sequence[Path]) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for given in map(Path, images):
        if not given.exists():
            raise FormatError(f"{given}: no such file or folder; expected images")
        found = list_images(given) if given.is_dir() else {composed(given.stem): given}
        for stem, path in found.items():
            if stem in by_stem and not path.samefile(by_stem[stem]):
                raise FormatError(
                    f"{path}: {by_stem[stem]} has the same stem, their masks would have the "
                    "same name; predict them into different folders"
                )
            by_stem[stem] = path
    if not by_stem:
        raise FormatError("no image given; expected at least one")
    return by_stem


def _check_apart(images: Sequence[Path], out_folder: Path) -> None:
    """Refuse to put masks into a folder of images: each stem would be there twice."""
    if out_folder.resolve() in {Path(given).resolve() for given in images}:
        raise OutputError(f"{out_folder}: holds the images to segment; choose another folder")


def _check_targets(targets: Iterable[Path], images: Iterable[Path], overwrite: bool) -> None:
    sources = {path.resolve() for path in images}
    for target in targets:
        if target.resolve() in sources:
            raise OutputError(f"{target}: is an image to segment; choose another output folder")
        if target.exists() and not overwrite:
            raise OutputError(f"{target}: already exists; remove it or pass --overwrite")


def as_cached(trained: Checkpoint, image: UInt8) -> UInt8:
    """Bring an image to the size of the cache: the way that the training images took."""
    return resize_image(image, (trained.cache.height, trained.cache.width))


@torch.inference_mode()
def logits_of(trained: Checkpoint, images: Sequence[UInt8]) -> Tensor:
    """Return the logits (B, 1, H, W), at the size of the network, of images as cached.

    If the run's settings ask for views, they are the mean over the image as it is, mirrored and
    turned, as far as the network was trained on such views: four with flips, eight with quarter
    turns.
    """
    config = trained.config
    image_BCHW = as_batch(trained, images)
    seen = Augmentation.of(config).symmetries() if config.views else (0,)
    return torch.stack([_seen_as(trained, image_BCHW, symmetry) for symmetry in seen]).mean(0)


def as_batch(trained: Checkpoint, images: Sequence[UInt8]) -> Tensor:
    """Bring images as cached to the size, layout and device of the network (B, C, H, W)."""
    size = (trained.config.size_px, trained.config.size_px)
    resized = [im if im.shape[:2] == size else resize_image(im, size) for im in images]
    device = next(trained.model.parameters()).device
    image_BCHW = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).to(device).float() / 255
    return as_input({"image_BCHW": image_BCHW}, trained.config)["image_BCHW"]


def _seen_as(trained: Checkpoint, image_BCHW: Tensor, symmetry: int) -> Tensor:
    batch = as_input({"image_BCHW": turned(image_BCHW, symmetry)}, trained.config)
    logits_B1HW: Tensor = trained.model(batch["image_BCHW"]).seg_logits_B1HW
    return turned_back(logits_B1HW, symmetry)


def to_size(logits_1HW: Tensor, size: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Resize logits bilinearly and return where they are above 0."""
    mask: npt.NDArray[np.bool_] = (_resized(logits_1HW, size) > 0).cpu().numpy()
    return mask


def _resized(logits_1HW: Tensor, size: tuple[int, ...]) -> Tensor:
    logits_11hw = F.interpolate(
        logits_1HW[None].float(), size=tuple(size), mode="bilinear", align_corners=False
    )
    return logits_11hw[0, 0]
