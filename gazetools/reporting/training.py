"""Training runs: learning curves, settings, and how well they do on held-out images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gazetools.errors import FormatError
from gazetools.images import read_image
from gazetools.reporting.charts import Chart, against, curves, histogram
from gazetools.reporting.pictures import fitted, webp_url
from gazetools.reporting.runs import Attention, Evaluation, Run, read_attention
from gazetools.reporting.sources import Sources
from gazetools.reporting.words import figure, flat, number, shown

_MOST_CURVES = 24
_MOST_SERIES = 8
_MOST_IMAGES = 500
_GALLERY_PX, _GALLERY_QUALITY = 1500, 70
_GALLERIES_BYTES = 3_000_000
_MOST_ATTENDED, _ATTENTION_PX = 8, 112
_PICTURE_QUALITY, _MAP_QUALITY = 70, 55
_MOST_PX = 16_000  # of a side; WebP holds 16,383
_MARKED = ("best_score", "best_iteration")
_MEASURES = (
    # column, what a reader calls it, digits
    ("dice", "Dice", 3),
    ("iou", "IoU", 3),
    ("hd95_px", "HD95 (px)", 1),
    ("nsd", "NSD", 3),
    ("heatmap_dice", "heatmap Dice", 3),
)


@dataclass(frozen=True)
class RunView:
    """A run in a few words."""

    name: str
    series: int
    facts: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Attended:
    """An image as a data URL; for each stage its level, its attention and the level's map."""

    name: str
    view: tuple[int, int]
    picture: str
    stages: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class EvaluationView:
    """How a checkpoint did: summary, charts, images with the worst first, and their gallery."""

    run: str
    name: str
    chosen: str
    figures: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    images: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: int
    charts: tuple[Chart, ...]
    gallery: str
    attended: tuple[Attended, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class TrainingView:
    """All runs."""

    runs: tuple[RunView, ...]
    curves: tuple[Chart, ...]
    evaluations: tuple[EvaluationView, ...]
    differing: tuple[tuple[str, tuple[str, ...]], ...]
    drawn: int = _MOST_SERIES


def training_view(sources: Sources) -> TrainingView | None:
    """Bring runs into the form of the page."""
    runs = sources.runs
    if not runs:
        return None
    cache_sha256 = sources.cache.sha256 if sources.cache is not None else None
    left = [_GALLERIES_BYTES]
    return TrainingView(
        runs=tuple(
            RunView(shown(run.name), series, _facts(run, cache_sha256), _settings(run))
            for series, run in enumerate(runs)
        ),
        curves=tuple(_curves(runs)),
        evaluations=tuple(
            _evaluation(run, evaluation, left) for run in runs for evaluation in run.evaluations
        ),
        differing=_differing(runs),
    )


def _facts(run: Run, cache_sha256: str | None) -> tuple[tuple[str, str], ...]:
    digest = run.part("cache").get("sha256")
    items = run.part("items")
    minutes = figure(number(run.summary.get("seconds")) / 60)
    facts = {
        "method": run.part("config").get("method"),
        "parameters": figure(run.config.get("parameters"), 0),
        "items": ", ".join(f"{len(v)} {k}" for k, v in items.items() if isinstance(v, list)),
        "selected on": run.config.get("selected_on"),
        "best": _best(run),
        "took": f"{minutes} min" if minutes else None,
        "cache": digest,
    }
    if cache_sha256 is not None:
        same = digest == cache_sha256
        facts["this cache"] = "the one shown here" if same else "another than the one shown here"
    return tuple(flat(facts))


def _best(run: Run) -> str:
    score = figure(run.summary.get("best_score"), 4)
    iteration = figure(run.summary.get("best_iteration"), 0)
    return f"{score} at iteration {iteration}" if score and iteration else score


def _settings(run: Run) -> tuple[tuple[str, str], ...]:
    return tuple(flat(run.part("config")))


def _differing(runs: Sequence[Run]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """List settings in which the runs differ."""
    if len(runs) < 2:
        return ()
    told = [dict(_settings(run)) for run in runs]
    names = dict.fromkeys(name for one in told for name in one)
    rows = [(name, tuple(one.get(name, "") for one in told)) for name in names]
    return tuple(row for row in rows if len(set(row[1])) > 1)


def _curves(runs: Sequence[Run]) -> list[Chart]:
    """One chart a column of metrics.csv, one line a run."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    columns = [name for name in names if name not in ("iteration", *_MARKED)]
    columns.sort(key=lambda name: ("score" not in name, "loss" not in name))
    found = []
    for name in columns[:_MOST_CURVES]:
        series = [
            (shown(run.name), run.iteration, run.metrics[name])
            if name in run.metrics
            else (shown(run.name), np.empty(0), np.empty(0))
            for run in runs[:_MOST_SERIES]
        ]
        best = np.nan
        if name == "score" and len(runs) == 1 and "best_iteration" in runs[0].metrics:
            best = float(runs[0].metrics["best_iteration"][-1])
        found.append(curves(shown(name.replace("_", " ")), series, "iteration", best=best))
    return [chart for chart in found if chart is not None]


def _evaluation(run: Run, evaluation: Evaluation, left: list[int]) -> EvaluationView:
    figures = evaluation.figures
    dice = figures.get("dice", np.full(len(evaluation.images), np.nan))
    columns = [measure for measure in _MEASURES if measure[0] in figures]
    worst_first = np.argsort(np.where(np.isfinite(dice), dice, 2), kind="stable").tolist()
    gallery, *remarks = _gallery(evaluation, left)
    attended, remark = _attended(evaluation, left)
    return EvaluationView(
        run=shown(run.name),
        name=shown(evaluation.name.replace("_", " ")),
        chosen=shown(evaluation.summary.get("chosen") or ""),
        figures=_summary(evaluation.summary),
        columns=tuple(label for _, label, _ in columns),
        images=tuple(
            (
                shown(evaluation.images[i]),
                tuple(figure(figures[name][i], digits) for name, _, digits in columns),
            )
            for i in worst_first[:_MOST_IMAGES]
        ),
        left_out=max(0, len(worst_first) - _MOST_IMAGES),
        charts=_charts(figures),
        gallery=gallery,
        attended=attended,
        remarks=tuple(text for text in (*remarks, remark) if text),
    )


def _charts(figures: Mapping[str, Any]) -> tuple[Chart, ...]:
    if "dice" not in figures:
        return ()
    found = [histogram(figures["dice"], "Dice", "Dice of an image", counted="images")]
    if "heatmap_dice" in figures:
        title = "Network against heatmap"
        labels = ("Dice of the gaze heatmap", "Dice of the network")
        found.append(against(title, figures["heatmap_dice"], figures["dice"], *labels))
    return tuple(chart for chart in found if chart is not None)


def _summary(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Means with their standard deviations."""
    rows = [("images", figure(told.get("n"), 0))]
    for name, label, digits in _MEASURES:
        mean, sd = (figure(told.get(f"{name}_{part}"), digits) for part in ("mean", "sd"))
        if mean:
            rows.append((label, f"{mean} ± {sd}" if sd else mean))
    return tuple(row for row in rows if row[1])


def _attended(evaluation: Evaluation, left: list[int]) -> tuple[tuple[Attended, ...], str]:
    """Return some images with attention and maps, and why there are none; `left` as below."""
    if evaluation.attention is None:
        return (), ""
    try:
        found = read_attention(evaluation.attention)
    except FormatError as error:
        return (), _named(error, evaluation.attention)
    count = min(len(found.names), _MOST_ATTENDED)
    made = [_attended_image(found, number) for number in range(count)]
    needed = sum(len(one.picture) + sum(len(a) + len(b) for _, a, b in one.stages) for one in made)
    if needed > left[0]:
        return (), f"{shown(evaluation.attention.name)} is left out: the page would be too large"
    left[0] -= needed
    return tuple(made), ""


def _attended_image(found: Attention, number: int) -> Attended:
    across, down = found.sizes[number]
    view = tuple(max(1, round(100 * side / max(across, down))) for side in (across, down))
    stages = zip(found.levels, found.attention[number], found.maps[number], strict=True)
    return Attended(
        shown(found.names[number]),
        (view[0], view[1]),
        webp_url(fitted(found.images[number], _ATTENTION_PX), _PICTURE_QUALITY),
        tuple(
            (
                level,
                webp_url(fitted(attention, _ATTENTION_PX), _MAP_QUALITY),
                webp_url(fitted(wanted, _ATTENTION_PX), _MAP_QUALITY),
            )
            for level, attention, wanted in stages
        ),
    )


def _gallery(evaluation: Evaluation, left: list[int]) -> tuple[str, str]:
    """Return the gallery as a data URL, and why there is none; `left` bytes are for all."""
    if evaluation.gallery is None:
        return "", ""
    try:
        image = read_image(evaluation.gallery)
    except FormatError as error:
        return "", _named(error, evaluation.gallery)
    height, width = image.shape[:2]
    longer = min(_MOST_PX, max(_GALLERY_PX, _GALLERY_PX * height // width))
    url = webp_url(fitted(image, longer), _GALLERY_QUALITY)
    if len(url) > left[0]:
        return "", f"{shown(evaluation.gallery.name)} is left out: the page would be too large"
    left[0] -= len(url)
    return url, ""


def _named(error: FormatError, path: Path) -> str:
    """Say what is wrong with a file; where it lay is nobody's business."""
    return shown(str(error).replace(str(path), path.name), 300)
