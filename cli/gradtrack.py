"""The commands `gradtrack-train`, `-evaluate`, `-predict` and `-join`."""

import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .common import (
    FILE,
    JSON,
    OVERWRITE,
    SETTINGS,
    one_line_errors,
    print_summary,
    progress_bar,
)

if TYPE_CHECKING:
    from gradtrack_model.config import TrainConfig
    from gradtrack_model.evaluate import CheckpointScores, Report
    from gradtrack_model.train import RunSummary

_BESIDE_RESUME = {"resume", "cache", "settings", "workers", "device", "trackers", "as_json"}
DEVICE = click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 ...")


# ---------------------------------------------------------------- train


@click.command(context_settings=SETTINGS)
@click.option("--cache", type=FILE, help="What `gazetools render` wrote.")
@click.option("-o", "--out", type=FILE, help="Run folder  [default: runs/<time>]")
@click.option(
    "--preset",
    type=click.Choice(["paper", "laptop", "tiny"]),
    help="Starting point of all settings  [default: paper with a GPU, laptop without]",
)
@click.option("--config", type=FILE, help="TOML with settings; options below go before it.")
@click.option("--method", type=click.Choice(["gradtrack", "gazemedseg", "fgi", "heatmap", "full"]))
@click.option("--encoder", type=click.Choice(["unet", "efficientnet-lite0"]))
@click.option("--iterations", type=int)
@click.option("--size", "size_px", type=int, help="Side of the square that images are resized to.")
@click.option("--batch-size", type=int)
@click.option("--lr", type=float)
@click.option("--seed", type=int)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any other setting.")
@click.option(
    "--print-settings",
    is_flag=True,
    help="Print all settings as TOML, for --config, and do nothing else.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Threads that read ahead; of use where the images do not fit in memory.",
)
@click.option(
    "--track",
    "trackers",
    multiple=True,
    type=click.Choice(["tensorboard", "wandb", "mlflow"]),
    help="Have this draw the learning curves, too; metrics.csv is always written.",
)
@click.option(
    "--resume",
    type=FILE,
    metavar="RUN",
    help="Go on with an interrupted run, under its own settings (but for --set memory_gb or "
    "save_every); --cache tells where its cache is if that was moved.",
)
@DEVICE
@JSON
@one_line_errors
def train(
    cache: Path | None,
    out: Path | None,
    preset: str | None,
    config: Path | None,
    workers: int,
    resume: Path | None,
    device: str,
    settings: tuple[str, ...],
    print_settings: bool,
    trackers: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Train a segmentation network from gaze alone.

    Reference masks of training images are read by --method full only; those of validation
    images, where there are any, choose the best checkpoint. The test split is never read.

    \b
    Examples:
      gradtrack-train --cache maps.h5
      gradtrack-train --cache maps.h5 --method heatmap --iterations 800 --seed 1 -o runs/heat
      gradtrack-train --resume runs/heat
      gradtrack-train --preset laptop --print-settings
      gradtrack-train --cache maps.h5 --set lambda_attention=1.0 --set attention=gate
      gradtrack-train --cache maps.h5 --track tensorboard --set precision=bf16
      torchrun --nproc-per-node 4 --no-python gradtrack-train --cache maps.h5 -o runs/four
    """
    if resume is not None:
        _refuse_beside_resume()
        chosen, cache, out = _settings_of_run(resume, cache, settings)
    elif print_settings:
        _print_settings(_settings(preset, config, options, settings, device))
        return
    elif cache is None:
        raise click.UsageError("pass --cache, or --resume")
    else:
        chosen = _settings(preset, config, options, settings, device)
        out = out or Path("runs") / time.strftime("%Y-%m-%d_%H-%M-%S")
    from gradtrack_model.distributed import is_first
    from gradtrack_model.train import fit

    try:
        with progress_bar("training", shown=is_first()) as show:
            summary = fit(
                chosen,
                cache,
                out,
                resume=resume is not None,
                device=device,
                workers=workers,
                trackers=trackers,
                progress=lambda p: show(p.iteration, p.iterations, _describe(p)),
            )
    except KeyboardInterrupt:
        click.echo(f"interrupted: {_way_on(out)}", err=True)
        sys.exit(1)
    if is_first():
        _show_summary(summary, chosen, as_json)


def _show_summary(summary: "RunSummary", chosen: "TrainConfig", as_json: bool) -> None:
    if as_json:
        facts = {k: str(v) if isinstance(v, Path) else v for k, v in vars(summary).items()}
        click.echo(json.dumps(facts))
        return
    print_summary(
        f"{summary.run_folder}: {chosen.method}, {summary.iterations:,} iterations "
        f"in {summary.seconds:.0f} s",
        [
            ("network", f"{chosen.encoder}, {summary.parameters:,} parameters"),
            ("selected on", _selection(summary.selected_on)),
            ("best", _dice(summary.best_score, summary.best_iteration)),
            ("last", _dice(summary.last_score, summary.iterations)),
            ("next", f"gradtrack-evaluate {summary.run_folder}, where test images have masks"),
            ("", f"gradtrack-predict {summary.run_folder} IMAGES"),
        ],
    )


def _refuse_beside_resume() -> None:
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name not in _BESIDE_RESUME:
            raise click.UsageError(
                f"{option.opts[0]} does not go with --resume: a run goes on under its own settings"
            )


def _way_on(out: Path) -> str:
    if (out / "config.json").is_file():
        return f"go on with gradtrack-train --resume {out}"
    return "nothing was written"


def _settings(
    preset: str | None,
    config: Path | None,
    options: dict[str, Any],
    settings: tuple[str, ...],
    device: str,
) -> "TrainConfig":
    from gazetools.settings import parse_settings
    from gradtrack_model.config import default_preset, from_toml
    from gradtrack_model.config import preset as find_preset

    if config is not None and preset is not None:
        raise click.UsageError('give --preset or --config; a config may say preset = "laptop"')
    given = {name: value for name, value in options.items() if value is not None}
    others = parse_settings(settings)
    if twice := sorted(given.keys() & others.keys()):
        raise click.UsageError(f"{twice[0]} is given twice, by its own option and by --set")
    base = find_preset(preset or default_preset(device))
    if config is not None:
        base = from_toml(config, base)
    return base.replace(**given, **others)


def _print_settings(chosen: "TrainConfig") -> None:
    for name, value in chosen.to_dict().items():
        click.echo(f"{name} = {json.dumps(value)}")  # such values are the same in TOML


def _settings_of_run(
    run: Path, cache: Path | None, settings: tuple[str, ...]
) -> tuple["TrainConfig", Path, Path]:
    from gazetools.settings import parse_settings
    from gradtrack_model.runs import read_run

    info = read_run(run)
    chosen = info.config.replace(**parse_settings(settings))
    return chosen, cache or Path(info.cache.path), run


def _describe(progress: Any) -> str:
    best = f"  best Dice {progress.best:.3f}" if progress.best is not None else ""
    return f"loss {progress.loss:.3f}{best}"


def _selection(selected_on: str) -> str:
    if selected_on == "none":
        return "nothing: no validation split, so best is last"
    return f"{selected_on.replace('pseudo', 'pseudo-masks')} of the validation split"


def _dice(score: float | None, iteration: int) -> str:
    if score is None or math.isnan(score):
        return f"iteration {iteration:,}"
    return f"validation Dice {score:.4f} at iteration {iteration:,}"


# ---------------------------------------------------------------- evaluate


@click.command(context_settings=SETTINGS)
@click.argument("run", type=FILE)
@click.option("--cache", type=FILE, help="[default: the one the run was trained on]")
@click.option(
    "--split", type=click.Choice(["test", "val", "train"]), default="test", show_default=True
)
@click.option(
    "--best-on-test",
    "best_on_split",
    is_flag=True,
    help="Also choose, among all weights that the training kept (keep_every), those with the "
    "highest Dice on the split: it flatters, and is there for comparison with papers only.",
)
@DEVICE
@OVERWRITE
@JSON
@one_line_errors
def evaluate(
    run: Path,
    cache: Path | None,
    split: str,
    best_on_split: bool,
    device: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Open the test split and measure a RUN on it, at the original size of every mask.

    Measured are Dice, IoU, HD95 (the 95 % Hausdorff distance) and NSD (the share of the outlines
    that lie within 0.5 % of the image's diagonal of each other) of every image.

    \b
    Examples:
      gradtrack-evaluate runs/2026-01-31_12-00-00
      gradtrack-evaluate runs/heat --json
      gradtrack-evaluate runs/heat --split val
      gradtrack-evaluate runs/heat --best-on-test --overwrite
    """
    from gradtrack_model.evaluate import evaluate as measure

    with progress_bar("evaluating") as show:
        report = measure(
            run,
            cache_path=cache,
            split=split,
            best_on_split=best_on_split,
            device=device,
            overwrite=overwrite,
            progress=lambda done, total: show(done, total, ""),
        )
    if as_json:
        click.echo(json.dumps(_scores(report)))
    else:
        _show_scores(run, report)


def _show_scores(run: Path, report: "Report") -> None:
    rows = [("", f"{'Dice':<17}{'IoU':<17}{'HD95, px':<15}{'NSD':<17}iteration")]
    for c in report.checkpoints:
        name = c.checkpoint.replace("_", " ")
        rows.append((name, f"{_row_of_scores(c)}{c.iteration:,}"))
        if c.checkpoint not in ("best", "last"):
            rows.append(("", c.chosen))
    if report.heatmap_dice is not None:
        rows.append(("heatmap", f"{report.heatmap_dice:<17.4f}gaze at test, no network"))
    rows.append(("selected on", _selection(report.selected_on)))
    if report.without_mask:
        rows.append(("without mask", f"{report.without_mask:,} of the split, not measured"))
    if excluded := {c.checkpoint: c.hd95_excluded for c in report.checkpoints if c.hd95_excluded}:
        counts = ", ".join(f"{name} {count:,}" for name, count in excluded.items())
        rows.append(("no HD95", f"images where prediction and mask are empty: {counts}"))
    rows.append(("files", str(report.files[0].parent)))
    title = f"{report.checkpoints[0].n:,} images of split {report.split}"
    print_summary(f"{run}: {title}, mean ± standard deviation over them", rows)


def _row_of_scores(c: "CheckpointScores") -> str:
    distance = "none"
    if c.hd95_px_mean is not None:
        distance = f"{c.hd95_px_mean:.1f} ± {c.hd95_px_sd:.1f}"
    dice, iou, nsd = (
        f"{mean:.4f} ± {sd:.4f}"
        for mean, sd in ((c.dice_mean, c.dice_sd), (c.iou_mean, c.iou_sd), (c.nsd_mean, c.nsd_sd))
    )
    return f"{dice:<17}{iou:<17}{distance:<15}{nsd:<17}"


def _scores(report: "Report") -> dict[str, Any]:
    return {
        "split": report.split,
        "n": report.checkpoints[0].n,
        "without_mask": report.without_mask,
        "selected_on": report.selected_on,
        "checkpoints": {c.checkpoint: _facts(c) for c in report.checkpoints},
        "heatmap_dice": report.heatmap_dice,
        "heatmap_n": report.heatmap_n,
        "files": [str(path) for path in report.files],
    }


def _facts(c: "CheckpointScores") -> dict[str, Any]:
    """Return all but the images; a mean goes by the name of its measure."""
    left_out = ("checkpoint", "n", "items")
    return {
        name.removesuffix("_mean"): value for name, value in vars(c).items() if name not in left_out
    }


# ---------------------------------------------------------------- predict


@click.command(context_settings=SETTINGS)
@click.argument("run", type=FILE)
@click.argument("images", type=FILE, nargs=-1, required=True)
@click.option("-o", "--out", type=FILE, default="predicted", show_default=True)
@click.option(
    "--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True
)
@click.option(
    "--probabilities",
    is_flag=True,
    help="Write the probability of foreground, grey from 0 to 255, instead of masks.",
)
@DEVICE
@OVERWRITE
@one_line_errors
def predict(
    run: Path,
    images: tuple[Path, ...],
    out: Path,
    checkpoint: str,
    probabilities: bool,
    device: str,
    overwrite: bool,
) -> None:
    """Write a mask for every one of IMAGES, which are files or folders; no gaze is needed.

    \b
    Examples:
      gradtrack-predict runs/2026-01-31_12-00-00 new_images -o masks
      gradtrack-predict runs/heat polyp1.jpg polyp2.jpg
      gradtrack-predict runs/heat images --probabilities -o probabilities
    """
    from gradtrack_model.predict import predict as segment

    with progress_bar("predicting") as show:
        masks = segment(
            run,
            images,
            out,
            checkpoint=checkpoint,
            probabilities=probabilities,
            device=device,
            overwrite=overwrite,
            progress=lambda done, total: show(done, total, ""),
        )
    click.echo(f"{out}: {len(masks):,} {'probability maps' if probabilities else 'masks'}")


# ---------------------------------------------------------------- join


@click.command(context_settings=SETTINGS)
@click.argument("runs", type=FILE, nargs=-1, required=True)
@click.option("-o", "--out", type=FILE, required=True, help="Run folder of them together.")
@one_line_errors
def join(runs: tuple[Path, ...], out: Path) -> None:
    """Make one run of several RUNS, whose networks say together the mean of their logits.

    Runs of several seeds err in different places, so that together they are mostly better, and
    take as long as all of them. The new run is evaluated and predicted with as any other.

    \b
    Examples:
      gradtrack-join bench/runs/ours/seed0 bench/runs/ours/seed1 bench/runs/ours/seed2 -o runs/ours
      gradtrack-evaluate runs/ours
    """
    from gradtrack_model.joining import join as joined

    joined(runs, out)
    click.echo(f"{out}: {len(runs):,} runs together")
