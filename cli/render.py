"""`gazetools render` and `merge`: tables and images to a cache, shards to one file."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import (
    DASK,
    FILE,
    JSON,
    OVERWRITE,
    counted,
    listed,
    one_line_errors,
    print_summary,
    progress_bar,
)

if TYPE_CHECKING:
    from gazetools.masks import PseudoMaskSpec
    from gazetools.rendering import RenderSummary


@click.command()
@click.option("--fixations", type=FILE, default="fixations.parquet", show_default=True)
@click.option("--images", type=FILE, help="[default: images/ beside the fixations]")
@click.option(
    "--masks", type=FILE, help="Reference masks  [default: masks/ beside the fixations, if any]"
)
@click.option(
    "--curation",
    type=FILE,
    help="Decisions, such as curation.toml: which trials are left out, which calibrations shifted, "
    "which fixations dropped.",
)
@click.option("-o", "--out", type=FILE, default="maps.h5", show_default=True)
@click.option("--levels", type=int, default=4, show_default=True, help="Track levels.")
@click.option("--size", type=int, default=224, show_default=True, help="Side of all pictures, px.")
@click.option(
    "--keep",
    type=click.Choice(["suffix", "prefix", "shuffled"]),
    default="suffix",
    show_default=True,
    help="What further levels keep: the scanpath's end, its beginning, or fixations at random.",
)
@click.option("--by", type=click.Choice(["count", "duration"]), default="count", show_default=True)
@click.option("--fractions", help="Share kept at each level, e.g. 1,0.75,0.5,0.25.")
@click.option(
    "--form", type=click.Choice(["polyline", "points"]), default="polyline", show_default=True
)
@click.option(
    "--decay",
    type=click.Choice(["gaussian", "linear", "sum"]),
    default="gaussian",
    show_default=True,
    help="sum, with --sigma 0.0911, is the published heatmap, level by level.",
)
@click.option(
    "--duration",
    type=click.Choice(["auto", "none", "weight", "radius"]),
    default="auto",
    show_default=True,
    help="What a fixation's duration does to the map; auto: weight for sum, else none.",
)
@click.option(
    "--sigma",
    type=float,
    help="Width of the maps: share of the image's side  [default: 0.07], or degrees.",
)
@click.option(
    "--metric",
    type=click.Choice(["square", "isotropic", "degrees"]),
    default="square",
    show_default=True,
    help="Distances in shares of each side, in the image's own proportions, or in degrees.",
)
@click.option("--px-per-deg", type=float, help="Image px to a degree, for --metric degrees.")
@click.option(
    "--heatmap-sigma",
    type=float,
    default=70 / 768,
    show_default="70/768",
    help="Of the published heatmap, which is stored beside the maps.",
)
@click.option(
    "--masks-from",
    type=click.Choice(["grabcut", "heatmap", "crf"]),
    default="grabcut",
    show_default=True,
    help="How gaze becomes the pseudo-mask that a network learns from.",
)
@click.option(
    "--probabilities",
    type=FILE,
    help="Folder of what `gradtrack-predict --probabilities` wrote of the same images: GrabCut is "
    "seeded by gaze and network together, for a second round of training.",
)
@click.option(
    "--threshold", type=float, default=0.5, show_default=True, help="Of the heatmap or the CRF."
)
@click.option(
    "--band",
    type=(float, float),
    help="What lies between is uncertain, and not learned from: 0.3 0.7.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other setting of GrabCut or the CRF: crf.compat=2.5.",
)
@click.option("--split", type=FILE, multiple=True, help="train.txt, val.txt, test.txt: name lists.")
@click.option("--val", type=float, default=0.1, show_default=True, help="Share drawn for val.")
@click.option("--test", type=float, default=0.1, show_default=True, help="Share drawn for test.")
@click.option("--group-by", help="Regular expression: images with equal match stay together.")
@click.option(
    "--near-duplicates",
    type=int,
    default=20,
    show_default=True,
    help="Images whose 256-bit hashes differ in at most this many bits stay together; -1: off.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the split.")
@click.option(
    "--codec",
    type=click.Choice(["lz4", "zstd", "gzip", "none"]),
    default="lz4",
    show_default=True,
    help="gzip and none need no HDF5 plugin to be read.",
)
@click.option("--workers", type=int, default=0, help="Threads  [default: one per processor]")
@DASK
@click.option(
    "--shard-items",
    type=int,
    default=128,
    show_default=True,
    help="Images that a worker renders at a time into one file.",
)
@OVERWRITE
@JSON
@one_line_errors
def render(
    fixations: Path,
    images: Path | None,
    masks: Path | None,
    curation: Path | None,
    out: Path,
    levels: int,
    size: int,
    keep: str,
    by: str,
    fractions: str | None,
    form: str,
    decay: str,
    duration: str,
    sigma: float | None,
    metric: str,
    px_per_deg: float | None,
    heatmap_sigma: float,
    masks_from: str,
    probabilities: Path | None,
    threshold: float,
    band: tuple[float, float] | None,
    settings: tuple[str, ...],
    split: tuple[Path, ...],
    val: float,
    test: float,
    group_by: str | None,
    near_duplicates: int,
    seed: int,
    codec: str,
    workers: int,
    dask: str | None,
    shard_items: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Render track levels, maps and pseudo-masks of all images into an HDF5 cache.

    If it is stopped, the same command goes on where it stopped. If the cache is there already,
    only what is new or changed is rendered. A name without suffix (-o maps) makes a folder of
    shards, which can be read as it is.

    \b
    Examples:
      gazetools render --levels 4
      gazetools render -o maps --dask tcp://scheduler:8786
      gazetools render --split train.txt --split test.txt --size 224
      gazetools render --masks-from heatmap --decay sum --sigma 0.0911 -o published.h5
      gazetools render --masks-from crf --threshold 0.3 --set crf.compat=2.5
      gazetools render --band 0.3 0.7
      gazetools render --curation curation.toml
      gazetools render --probabilities probabilities -o second.h5
      gazetools render --metric degrees --px-per-deg 35 --sigma 1.5
    """
    from gazetools.maps import MapSpec
    from gazetools.masks import PseudoMaskSpec
    from gazetools.rendering import RenderSpec
    from gazetools.rendering import render as render_cache
    from gazetools.splits import SplitSpec
    from gazetools.tracks import TrackSpec
    from gazetools.workers import Workers

    spec = RenderSpec(
        size_px=size,
        tracks=TrackSpec(levels, keep, by, _floats(fractions)),
        maps=MapSpec(form, decay, duration, _sigma(sigma, metric), metric),
        masks=_with_settings(PseudoMaskSpec(masks_from, heatmap_sigma, threshold, band), settings),
        split=SplitSpec(split, val, test, seed, group_by, near_duplicates),
        codec=codec,
        px_per_deg=px_per_deg,
    )
    images = images or fixations.parent / "images"
    if masks is None and (fixations.parent / "masks").is_dir():
        masks = fixations.parent / "masks"
    with progress_bar("rendering") as progress, _kept_if_interrupted(out):
        summary = render_cache(
            fixations,
            images,
            masks,
            out,
            spec,
            probabilities=probabilities,
            curation=curation,
            workers=Workers(workers, dask),
            shard_items=shard_items,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps(summary.as_dict()))
    else:
        _print_rendered(summary, out, masks)


def _sigma(sigma: float | None, metric: str) -> float:
    if sigma is None and metric == "degrees":
        raise click.UsageError("--metric degrees needs --sigma, in degrees")
    return 0.07 if sigma is None else sigma


def _with_settings(masks: "PseudoMaskSpec", texts: tuple[str, ...]) -> "PseudoMaskSpec":
    """Change single settings of GrabCut and the CRF, named like "crf.compat"."""
    from dataclasses import asdict, replace

    from gazetools.errors import ConfigError
    from gazetools.settings import parse_settings

    for name, value in parse_settings(texts).items():
        part, _, field = name.partition(".")
        known = [f"{p}.{f}" for p in ("crf", "grabcut") for f in asdict(getattr(masks, p))]
        if name not in known:
            raise ConfigError(f"setting {name!r} is unknown; expected one of {', '.join(known)}")
        before = getattr(getattr(masks, part), field)
        if not isinstance(value, float | int if isinstance(before, float) else type(before)):
            raise ConfigError(f"{name} is {value!r}; expected something like {before!r}")
        masks = replace(masks, **{part: replace(getattr(masks, part), **{field: value})})
    return masks


@contextmanager
def _kept_if_interrupted(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        parts = out if out.is_dir() else out.with_name(f".{out.name}.parts")
        if not parts.exists():
            raise
        raise KeyboardInterrupt(
            f"what is rendered is kept in {parts}; the same command goes on"
        ) from None


def _floats(text: str | None) -> tuple[float, ...] | None:
    try:
        return tuple(float(part) for part in text.split(",")) if text else None
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not a list of numbers like 1,0.5,0.25") from error


def _print_rendered(summary: "RenderSummary", out: Path, masks: Path | None) -> None:
    parted = summary.parted_groups
    print_summary(
        f"{out}: {summary.items:,} images, {summary.levels} levels",
        [
            ("rendered", _rendered(summary)),
            ("changed settings", "; ".join(summary.changed)),
            ("no longer there", listed(summary.removed)),
            ("damaged, and mended", listed(summary.mended)),
            ("text", "dropped; run gazetools encode-text again" if summary.text_dropped else ""),
            ("shards", f"{summary.shards:,}" if summary.shards else ""),
            ("splits", counted(summary.splits)),
            ("reference masks", f"{summary.masks:,} from {masks}" if masks else "none"),
            ("kept together", _kept_together(summary.largest_group)),
            ("parted by the lists", f"near-duplicates of {listed(parted)}" if parted else ""),
            ("curated", _curated(summary.curation)),
            ("fixations dropped", counted(summary.fixations_dropped)),
            ("stimuli without position", listed(summary.stimuli_without_position)),
            ("stimuli without image", listed(summary.stimuli_without_image)),
            ("images without gaze", listed(summary.images_without_gaze)),
            ("unknown names in splits", listed(summary.split_names_unknown)),
        ],
    )


def _kept_together(largest: int) -> str:
    return f"near-duplicates, up to {largest} images in a group" if largest > 1 else ""


def _curated(done: dict[str, int]) -> str:
    """Write a summary as "2 decisions: 9 fixations of 1 trial excluded, 1 fixation dropped"."""
    if not done:
        return ""

    def number(count: int, what: str) -> str:
        return f"{count:,} {what}{'' if count == 1 else 's'}"

    told = []
    for how in ("excluded", "shifted"):
        if done[f"{how}_fixations"]:
            trials = number(done[f"{how}_trials"], "trial")
            told.append(f"{number(done[f'{how}_fixations'], 'fixation')} of {trials} {how}")
    if done["dropped_fixations"]:
        told.append(f"{number(done['dropped_fixations'], 'fixation')} dropped")
    return ": ".join(
        part for part in (number(done["decisions"], "decision"), ", ".join(told)) if part
    )


def _rendered(summary: "RenderSummary") -> str:
    if not summary.reused:
        return ""
    return f"{summary.rendered:,} now, {summary.reused:,} were there"


@click.command()
@click.argument("shards", type=FILE)
@click.option("-o", "--out", type=FILE, default="maps.h5", show_default=True)
@OVERWRITE
@JSON
@one_line_errors
def merge(shards: Path, out: Path, overwrite: bool, as_json: bool) -> None:
    """Put a folder of SHARDS into one cache, the one that `render` to a file had made.

    \b
    Examples:
      gazetools merge maps
      gazetools merge maps -o all.h5
    """
    from gazetools.rendering import merge as merge_shards

    with progress_bar("merging") as progress:
        items = merge_shards(shards, out, overwrite=overwrite, progress=progress)
    if as_json:
        click.echo(json.dumps({"out": str(out), "items": items}))
    else:
        click.echo(f"{out}: {items:,} images")
