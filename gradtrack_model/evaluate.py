"""evaluate(): open the test split and measure a run at original mask size."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from gazetools.cache import Cache
from gazetools.errors import OutputError, TrainingError
from gazetools.files import check_output, replacing
from gazetools.images import encode_png
from gradtrack_model import devices, runs
from gradtrack_model.attention import AttentionSheet, attention_sheet
from gradtrack_model.gallery import Picture, draw_gallery
from gradtrack_model.metrics import NSD_TOLERANCE, dice, measure
from gradtrack_model.predict import BATCH, logits_of, to_size

HEATMAP_THRESHOLD = 0.5
"""The published one: foreground is where the heatmap is above it."""

GALLERY_SIZE = 24
"""Images in the gallery, the worst."""

NOT_HONEST = "chosen on the very images it is measured on; for comparison with papers only"


class ItemScore(NamedTuple):
    """Scores of one image.

    `hd95_px`, in pixels of the original image, is NaN where prediction and mask are both empty;
    `heatmap_dice` is NaN where the item has no gaze.
    """

    name: str
    dice: float
    iou: float
    hd95_px: float
    nsd: float
    heatmap_dice: float


@dataclass(frozen=True)
class CheckpointScores:
    """Scores of one checkpoint over a split; standard deviations are over images.

    Attributes
    ----------
    checkpoint : str
        "best", "last" or "best_on_<split>", see :func:`evaluate`.
    weights : str
        The file in the run folder, without its suffix.
    chosen : str
        How it was chosen among all iterations.
    hd95_px_mean, hd95_px_sd : float or None
        Over the images where HD95 is defined; None where it is for none.
    hd95_excluded : int
        Images where it is not, prediction and mask being both empty.
    """

    checkpoint: str
    weights: str
    iteration: int
    chosen: str
    n: int
    dice_mean: float
    dice_sd: float
    iou_mean: float
    iou_sd: float
    hd95_px_mean: float | None
    hd95_px_sd: float | None
    hd95_excluded: int
    nsd_mean: float
    nsd_sd: float
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


@devices.enough_memory()
def evaluate(
    run_folder: Path,
    *,
    cache_path: Path | None = None,
    split: str = "test",
    best_on_split: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Measure both checkpoints of a run on one split of a cache.

    Logits are resized bilinearly to the original size of each reference mask; foreground is
    above 0; Dice, IoU, HD95 and NSD (:mod:`gradtrack_model.metrics`) are taken per image and
    averaged.

    For each checkpoint there are written into ``evaluation/`` of the run folder:
    ``<split>_<checkpoint>.csv`` (per image), ``.json`` (summary), ``.png`` (the worst images
    first, with reference and predicted outlines) and, of a network with Track Attention on a cache
    of as many levels as its own, ``.npz`` (some images with the attention of each stage beside its
    map; see :class:`gradtrack_model.attention.AttentionSheet`).

    Parameters
    ----------
    run_folder : Path
    cache_path : Path, optional
        By default the cache that the run was trained on.
    split : {"test", "val", "train", "none"}
    best_on_split : bool
        Also measure all weights that the training has kept, and report those of all with the
        highest Dice as "best_on_<split>". Papers choose so. It flatters: the weights are chosen
        on the very images they are measured on.
    progress : callable, optional
        Called with the number of images done and their total.

    Raises
    ------
    TrainingError
        The run, a checkpoint, kept weights that are asked for, or reference masks in the split
        are missing, the split of another cache holds items that the run was trained or
        selected on, or a GPU's memory does not suffice.
    CacheError
        The cache has gone, was changed since training, or is damaged.
    OutputError
        An evaluation of this split exists already, or cannot be written.
    """
    run_folder = Path(run_folder)
    info, chosen = runs.read_run(run_folder), devices.pick_device(device)
    devices.use_available_cores()
    load = partial(runs.load_checkpoint, run_folder, device=chosen)
    loaded = {name: load(name) for name in runs.CHECKPOINTS}
    kept = _kept_weights(run_folder) if best_on_split else []
    with runs.open_run_cache(info, cache_path, split) as cache:
        masked = _with_masks(cache, split)
        folder = _evaluation_folder(run_folder, split, overwrite)
        heat = _score_heatmaps(cache, masked)
        tell = _counting(progress, (len(loaded) + len(kept)) * len(masked))
        score = partial(
            _score_weights, cache=cache, split=split, indices=masked, heat=heat, tell=tell
        )
        measured = {name: score(name, trained) for name, trained in loaded.items()}
        if kept:
            # loaded one after the other: together they may be more than memory holds
            others = (score(name, load(name)) for name in kept)
            measured[_best_on(split)] = _highest(chain(measured.values(), others))
        results, files = [], []
        _remove(_files(folder, f"{split}_{_best_on(split)}"))
        for name, one in measured.items():
            results.append(_summarise(name, one, _how_chosen(name, info, len(kept))))
            about = _to_json(results[-1], cache, split, info, heat)
            files += _write(folder, f"{split}_{name}", one, about, overwrite)
        without_mask = len(cache.indices(split)) - len(masked)
    return _report(split, info, results, heat, without_mask, files)


def _best_on(split: str) -> str:
    return f"best_on_{split}"


def _with_masks(cache: Cache, split: str) -> npt.NDArray[np.int64]:
    indices = cache.indices(split)
    masked = np.array([i for i in indices if cache.items[i].has_mask], np.int64)
    if not len(masked):
        raise TrainingError(
            f"{cache.path}: {len(indices)} items in split {split!r}, none with a reference "
            "mask; render with masks and a split to evaluate"
        )
    return masked


def _kept_weights(run_folder: Path) -> list[str]:
    """Return the names of the weights that the training has kept, in the order of iterations."""
    files = (run_folder / runs.KEPT).glob("*.safetensors")
    iterations = sorted(int(path.stem) for path in files if path.stem.isdecimal())
    if not iterations:
        raise TrainingError(
            f"{run_folder / runs.KEPT}: no kept weights, expected some to choose the best of them "
            "on the split; train with keep_every above 0"
        )
    return [runs.kept(iteration) for iteration in iterations]


def _evaluation_folder(run_folder: Path, split: str, overwrite: bool) -> Path:
    folder = run_folder / "evaluation"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error.strerror})") from error
    for name in (*runs.CHECKPOINTS, _best_on(split)):
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


class _Measured(NamedTuple):
    """Weights with the scores of all images, pictures of the worst, and what they attend to."""

    weights: str
    iteration: int
    items: tuple[ItemScore, ...]
    worst: list[Picture]
    attention: AttentionSheet | None

    @property
    def dice(self) -> float:
        return statistics.fmean(item.dice for item in self.items)


def _highest(measured: Iterable[_Measured]) -> _Measured:
    """Return the one with the highest Dice, of equals the first."""
    return max(measured, key=lambda one: one.dice)


def _score_weights(
    name: str,
    trained: runs.Checkpoint,
    *,
    cache: Cache,
    split: str,
    indices: npt.NDArray[np.int64],
    heat: dict[int, float],
    tell: Callable[[int], None],
) -> _Measured:
    scores: list[ItemScore] = []
    worst: list[Picture] = []
    for start in range(0, len(indices), BATCH):
        some = indices[start : start + BATCH]
        images = cache.read("images", some)
        logits_B1HW = logits_of(trained, list(images))
        for index, image, logits_1HW in zip(some.tolist(), images, logits_B1HW, strict=True):
            reference = cache.original_mask(index) > 0
            prediction = to_size(logits_1HW, reference.shape)
            measures = measure(prediction, reference)._asdict()
            score = ItemScore(cache.items[index].name, heatmap_dice=heat[index], **measures)
            scores.append(score)
            worst.append(Picture(score.name, score.dice, image, reference, prediction))
        worst = sorted(worst, key=lambda picture: picture.dice)[:GALLERY_SIZE]
        tell(len(some))
    attention = attention_sheet(trained, cache, split)
    return _Measured(name, trained.iteration, tuple(scores), worst, attention)


def _summarise(checkpoint: str, measured: _Measured, chosen: str) -> CheckpointScores:
    items = measured.items
    distances = [item.hd95_px for item in items if not math.isnan(item.hd95_px)]
    return CheckpointScores(
        checkpoint=checkpoint,
        weights=measured.weights,
        iteration=measured.iteration,
        chosen=chosen,
        n=len(items),
        dice_mean=measured.dice,
        dice_sd=_sd([item.dice for item in items]),
        iou_mean=statistics.fmean(item.iou for item in items),
        iou_sd=_sd([item.iou for item in items]),
        hd95_px_mean=statistics.fmean(distances) if distances else None,
        hd95_px_sd=_sd(distances) if distances else None,
        hd95_excluded=len(items) - len(distances),
        nsd_mean=statistics.fmean(item.nsd for item in items),
        nsd_sd=_sd([item.nsd for item in items]),
        items=items,
    )


def _sd(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _how_chosen(checkpoint: str, info: runs.RunInfo, kept: int) -> str:
    if checkpoint not in runs.CHECKPOINTS:
        return f"highest Dice of best, last and {kept} kept weights, {NOT_HONEST}"
    if checkpoint == "last" or info.selected_on == "none":
        return "last iteration, nothing selected"
    against = {"masks": "reference masks", "pseudo": "pseudo-masks"}[info.selected_on]
    return f"highest Dice on validation items against their {against}"


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
        "heatmap_threshold": HEATMAP_THRESHOLD,
        "heatmap_dice_mean": statistics.fmean(gazed) if gazed else None,
        "heatmap_n": len(gazed),
        "nsd_tolerance": f"{NSD_TOLERANCE} of the image's diagonal",
        "empty_rule": {
            "one empty": "Dice, IoU and NSD 0, HD95 the image's diagonal",
            "both empty": "Dice, IoU and NSD 1, HD95 excluded and counted",
        },
        "size": "original mask",
        "cache_sha256": cache.sha256,
        "config": info.config.to_dict(),
        **runs.told_members(info.members),
    }


def _write(
    folder: Path,
    stem: str,
    measured: _Measured,
    summary: dict[str, Any],
    overwrite: bool,
) -> list[Path]:
    table, about, gallery, attention = _files(folder, stem)
    title = (
        f"{summary['split']}, {summary['checkpoint']} checkpoint: Dice "
        f"{summary['dice_mean']:.3f}, n = {summary['n']}, worst first"
    )
    png = encode_png(draw_gallery(measured.worst, title))
    with replacing(gallery, overwrite=True) as temporary:
        temporary.write_bytes(png)
    if measured.attention is None:
        _remove([attention])
    else:
        with replacing(attention, overwrite=True) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **measured.attention._asdict())
    runs.write_json(about, summary, overwrite=True)
    runs.write_csv(table, [_to_row(item) for item in measured.items], overwrite=overwrite)
    return [table, about, gallery, *([attention] if measured.attention is not None else [])]


def _files(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}.{suffix}" for suffix in ("csv", "json", "png", "npz")]


def _to_row(item: ItemScore) -> dict[str, Any]:
    """Return a row of the table; what is not defined is empty there."""
    return {
        key: "" if isinstance(value, float) and math.isnan(value) else value
        for key, value in item._asdict().items()
    }


def _remove(paths: Iterable[Path]) -> None:
    """Remove files of an evaluation that is replaced by one that may have none such."""
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be removed ({error.strerror})") from error
