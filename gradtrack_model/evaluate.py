"""evaluate(): open the test split and measure a run at original mask size."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.cache import Cache
from gazetools.errors import OutputError, TrainingError
from gazetools.files import check_output, replacing
from gazetools.images import encode_png
from gradtrack_model import runs
from gradtrack_model.gallery import Picture, draw_gallery
from gradtrack_model.metrics import dice, iou
from gradtrack_model.predict import BATCH, segment_cached, to_size

HEATMAP_THRESHOLD = 0.5
"""The published one: foreground is where the heatmap is above it."""

GALLERY_SIZE = 24


class ItemScore(NamedTuple):
    """Scores of one image; `heatmap_dice` is NaN where the item has no gaze."""

    name: str
    dice: float
    iou: float
    heatmap_dice: float


@dataclass(frozen=True)
class CheckpointScores:
    """Scores of one checkpoint over a split; standard deviations are over images."""

    checkpoint: str
    iteration: int
    n: int
    dice_mean: float
    dice_sd: float
    iou_mean: float
    iou_sd: float
    items: tuple[ItemScore, ...]


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes
    ----------
    split : str
    selected_on : str
        What the checkpoint "best" was chosen on: "masks" or "pseudo" of validation items, or
        "none" (then it is the last).
    checkpoints : tuple of CheckpointScores
    heatmap_dice, heatmap_n : float or None, int
        Mean Dice of the published heatmap > 0.5 over the items of the split that have gaze:
        what one gets without any network, but with gaze at test.
    without_mask : int
        Items of the split that could not be scored.
    files : tuple of Path
    """

    split: str
    selected_on: str
    checkpoints: tuple[CheckpointScores, ...]
    heatmap_dice: float | None
    heatmap_n: int
    without_mask: int
    files: tuple[Path, ...]


def evaluate(
    run_folder: Path,
    *,
    cache_path: Path | None = None,
    split: str = "test",
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Measure both checkpoints of a run on one split of a cache.

    Logits are resized bilinearly to the original size of each reference mask; foreground is
    above 0; Dice and IoU are taken per image and averaged.

    For each checkpoint three files are written into ``evaluation/`` of the run folder:
    ``<split>_<checkpoint>.csv`` (per image), ``.json`` (summary) and ``.png`` (the worst images
    first, with reference and predicted outlines).

    Parameters
    ----------
    run_folder : Path
    cache_path : Path, optional
        By default the cache that the run was trained on.
    split : {"test", "val", "train", "none"}
    progress : callable, optional
        Called with the number of images done and their total.

    Raises
    ------
    TrainingError
        The run, a checkpoint, or reference masks in the split are missing, or the split of
        another cache holds items that the run was trained or selected on.
    CacheError
        The cache has gone, was changed since training, or is damaged.
    OutputError
        An evaluation of this split exists already, or cannot be written.
    """
    run_folder = Path(run_folder)
    info, chosen = runs.read_run(run_folder), runs.pick_device(device)
    runs.use_available_cores()
    loaded = {name: runs.load_checkpoint(run_folder, name, chosen) for name in runs.CHECKPOINTS}
    with runs.open_run_cache(info, cache_path, split) as cache:
        masked = _with_masks(cache, split)
        folder = _evaluation_folder(run_folder, split, overwrite)
        heat = _score_heatmaps(cache, masked)
        tell = _counting(progress, len(loaded) * len(masked))
        results, files = [], []
        for name, trained in loaded.items():
            scores, pictures = _score_checkpoint(trained, cache, masked, heat, tell)
            results.append(_summarise(name, trained.iteration, scores))
            summary = _to_json(results[-1], cache, split, info, heat)
            files += _write(folder, f"{split}_{name}", scores, summary, pictures, overwrite)
        without_mask = len(cache.indices(split)) - len(masked)
    return _report(split, info, results, heat, without_mask, files)


def _with_masks(cache: Cache, split: str) -> npt.NDArray[np.int64]:
    indices = cache.indices(split)
    masked = np.array([i for i in indices if cache.items[i].has_mask], np.int64)
    if not len(masked):
        raise TrainingError(
            f"{cache.path}: {len(indices)} items in split {split!r}, none with a reference "
            "mask; render with masks and a split to evaluate"
        )
    return masked


def _evaluation_folder(run_folder: Path, split: str, overwrite: bool) -> Path:
    folder = run_folder / "evaluation"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
    for name in runs.CHECKPOINTS:
        check_output(folder / f"{split}_{name}.csv", overwrite=overwrite)
    return folder


def _counting(progress: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    """Return a function that is told how many more images are done."""
    done = 0

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    return tell


def _report(
    split: str,
    info: runs.RunInfo,
    results: Sequence[CheckpointScores],
    heat: dict[int, float],
    without_mask: int,
    files: Sequence[Path],
) -> Report:
    gazed = [value for value in heat.values() if not math.isnan(value)]
    return Report(
        split=split,
        selected_on=info.selected_on,
        checkpoints=tuple(results),
        heatmap_dice=statistics.fmean(gazed) if gazed else None,
        heatmap_n=len(gazed),
        without_mask=without_mask,
        files=tuple(files),
    )


# ---------------------------------------------------------------- scoring


def _score_heatmaps(cache: Cache, indices: npt.NDArray[np.int64]) -> dict[int, float]:
    """Dice of the thresholded heatmap by item, NaN where there is no gaze."""
    scores: dict[int, float] = {}
    for index in indices.tolist():
        heatmap = cache.read("heatmaps", [index])[0].astype(np.float32) / 255
        mask = cache.original_mask(index)
        size = (mask.shape[1], mask.shape[0])
        resized = cv2.resize(heatmap, size, interpolation=cv2.INTER_CUBIC)
        has_gaze = bool(heatmap.any())
        scores[index] = dice(resized > HEATMAP_THRESHOLD, mask) if has_gaze else math.nan
    return scores


def _score_checkpoint(
    trained: runs.Checkpoint,
    cache: Cache,
    indices: npt.NDArray[np.int64],
    heat: dict[int, float],
    tell: Callable[[int], None],
) -> tuple[list[ItemScore], list[Picture]]:
    """Score every item; also return the pictures of the worst."""
    scores: list[ItemScore] = []
    worst: list[Picture] = []
    for start in range(0, len(indices), BATCH):
        some = indices[start : start + BATCH]
        images = cache.read("images", some)
        logits_B1HW = segment_cached(trained, list(images))
        for index, image, logits_1HW in zip(some.tolist(), images, logits_B1HW, strict=True):
            reference = cache.original_mask(index)
            prediction = to_size(logits_1HW, reference.shape)
            score = ItemScore(
                cache.items[index].name,
                dice(prediction, reference),
                iou(prediction, reference),
                heat[index],
            )
            scores.append(score)
            worst.append(Picture(score.name, score.dice, image, reference > 0, prediction))
        worst = sorted(worst, key=lambda picture: picture.dice)[:GALLERY_SIZE]
        tell(len(some))
    return scores, worst


def _summarise(name: str, iteration: int, scores: Sequence[ItemScore]) -> CheckpointScores:
    dices, ious = [score.dice for score in scores], [score.iou for score in scores]
    return CheckpointScores(
        checkpoint=name,
        iteration=iteration,
        n=len(scores),
        dice_mean=statistics.fmean(dices),
        dice_sd=_sd(dices),
        iou_mean=statistics.fmean(ious),
        iou_sd=_sd(ious),
        items=tuple(scores),
    )


def _sd(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


# ---------------------------------------------------------------- writing


def _to_json(
    result: CheckpointScores,
    cache: Cache,
    split: str,
    info: runs.RunInfo,
    heat: dict[int, float],
) -> dict[str, Any]:
    gazed = [value for value in heat.values() if not math.isnan(value)]
    summary = {key: value for key, value in asdict(result).items() if key != "items"}
    return {
        "split": split,
        **summary,
        "chosen": _how_chosen(result, info),
        "heatmap_threshold": HEATMAP_THRESHOLD,
        "heatmap_dice_mean": statistics.fmean(gazed) if gazed else None,
        "heatmap_n": len(gazed),
        "empty_rule": "both empty 1.0, one empty 0.0",
        "size": "original mask",
        "cache_sha256": cache.sha256,
        "config": info.config.to_dict(),
    }


def _how_chosen(result: CheckpointScores, info: runs.RunInfo) -> str:
    if result.checkpoint == "last" or info.selected_on == "none":
        return "last iteration, nothing selected"
    against = {"masks": "reference masks", "pseudo": "pseudo-masks"}[info.selected_on]
    return f"highest Dice on validation items against their {against}"


def _write(
    folder: Path,
    stem: str,
    scores: Sequence[ItemScore],
    summary: dict[str, Any],
    pictures: Sequence[Picture],
    overwrite: bool,
) -> list[Path]:
    table, about, gallery = (folder / f"{stem}.{suffix}" for suffix in ("csv", "json", "png"))
    rows = [
        {**row._asdict(), "heatmap_dice": "" if math.isnan(row.heatmap_dice) else row.heatmap_dice}
        for row in scores
    ]
    title = (
        f"{summary['split']}, {summary['checkpoint']} checkpoint: Dice "
        f"{summary['dice_mean']:.3f}, n = {summary['n']}, worst first"
    )
    png = encode_png(draw_gallery(pictures, title))
    with replacing(gallery, overwrite=True) as temporary:
        temporary.write_bytes(png)
    runs.write_json(about, summary, overwrite=True)
    runs.write_csv(table, rows, overwrite=overwrite)
    return [table, about, gallery]
