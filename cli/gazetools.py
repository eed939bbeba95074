"""The command `gazetools`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .check import check
from .common import (
    FILE,
    JSON,
    OVERWRITE,
    SETTINGS,
    counted,
    listed,
    one_line_errors,
    print_summary,
    progress_bar,
)
from .export import export
from .inspect import inspect
from .reading import ingest_spec, reading_options

if TYPE_CHECKING:
    from gazetools.ingestion import IngestSummary
    from gazetools.rendering import RenderSummary


_IN_SHARES = "shares of the display or surface, on an image of 1 x 1; --screen makes px of them"
_NO_STIMULUS = (
    "the export names none: tick the media name (Tobii), add an image variable (Data Viewer), "
    "or say which message begins a trial (--trial-from)"
)


@click.group(context_settings=SETTINGS)
@click.version_option(package_name="gazetools")
def main() -> None:
    """Turn where clinicians looked into what a segmentation model learns from.

    \b
    In a folder that holds an eye-tracker export and images/:
      gazetools ingest tobii_export.tsv     writes fixations.parquet
      gazetools render --levels 4           writes maps.h5
      gradtrack-train --cache maps.h5       writes runs/<time>/
    """


# ---------------------------------------------------------------- ingest


@main.command()
@click.argument("exports", nargs=-1, required=True, type=FILE)
@click.option("-o", "--out", type=FILE, default="fixations.parquet", show_default=True)
@click.option("--samples", type=FILE, help="Also write every sample with its event.")
@click.option("--saccades", type=FILE, help="Also write saccades: amplitude, peak velocity.")
@click.option("--blinks", type=FILE, help="Also write blinks.")
@reading_options
@OVERWRITE
@JSON
@one_line_errors
def ingest(
    exports: tuple[Path, ...],
    out: Path,
    samples: Path | None,
    saccades: Path | None,
    blinks: Path | None,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Read eye-tracker EXPORTS of any vendor into one table of fixations.

    \b
    Examples:
      gazetools ingest tobii_export.tsv
      gazetools ingest exports/*.tsv.gz -o all.parquet --samples samples.parquet
      gazetools ingest tobii_export.tsv --events vendor
      gazetools ingest recording.asc --screen 1920x1080:527x296:650 --saccades saccades.parquet
      gazetools ingest recording.asc --trial-from "^SHOW (\\S+)"
      gazetools ingest report.txt --placement fit --screen 1920x1080
    """
    from gazetools.ingestion import ingest_to

    spec = ingest_spec(**reading)
    with progress_bar("reading") as progress:
        summary = ingest_to(
            exports,
            out,
            samples,
            saccades=saccades,
            blinks=blinks,
            spec=spec,
            progress=progress,
            overwrite=overwrite,
        )
    if as_json:
        click.echo(json.dumps(summary.as_dict()))
    else:
        _print_ingested(summary, out, samples, saccades, blinks, spec.stimuli or spec.placement)


def _print_ingested(
    summary: "IngestSummary",
    out: Path,
    samples: Path | None,
    saccades: Path | None,
    blinks: Path | None,
    placed_by: Path | str | None,
) -> None:
    total = summary.samples["read"]
    rates = sorted({f"{rate:.1f}" for rate in summary.rates_hz}, key=float)
    agreement = summary.vendor_agreement
    print_summary(
        f"{out}: {summary.fixations_kept:,} fixations on {summary.stimuli:,} stimuli",
        [
            (
                "on images",
                f"{summary.fixations_on_images:,} fixations on {summary.images:,} images",
            ),
            ("images placed by", placed_by or ("the export" if summary.images else "")),
            ("no stimulus", _NO_STIMULUS if not summary.stimuli else ""),
            ("format", ", ".join(summary.formats)),
            ("recordings", f"{summary.recordings:,} in {summary.files:,} files"),
            ("positions", _IN_SHARES if summary.recordings_in_shares else ""),
            ("rate", f"{', '.join(rates)} Hz, measured" if rates else ""),
            ("samples", f"{total:,} read" if total else ""),
            ("", counted({k: v for k, v in summary.samples.items() if k != "read"}, total)),
            ("rows skipped", counted(summary.skipped_rows)),
            ("fixations by", counted(summary.source)),
            ("fixations cut", counted({"across a change of stimulus": summary.fixations_cut})),
            ("fixations dropped", counted(summary.fixations_dropped)),
            ("no image known for", listed(summary.without_image)),
            (
                "vendor's own",
                f"{summary.vendor_fixations:,} fixations; ours agree on {agreement:.2%} of samples"
                if agreement is not None
                else "",
            ),
            ("samples table", samples),
            ("saccades table", saccades),
            ("blinks table", blinks),
        ],
    )


# ---------------------------------------------------------------- render


@main.command()
@click.option("--fixations", type=FILE, default="fixations.parquet", show_default=True)
@click.option("--images", type=FILE, help="[default: images/ beside the fixations]")
@click.option(
    "--masks", type=FILE, help="Reference masks  [default: masks/ beside the fixations, if any]"
)
@click.option("-o", "--out", type=FILE, default="maps.h5", show_default=True)
@click.option("--levels", type=int, default=4, show_default=True, help="Track levels.")
@click.option("--size", type=int, default=224, show_default=True, help="Side of all pictures, px.")
@click.option(
    "--keep", type=click.Choice(["suffix", "prefix"]), default="suffix", show_default=True
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
@click.option("--sigma", type=float, default=0.07, show_default=True, help="Share of the side.")
@click.option(
    "--heatmap-sigma",
    type=float,
    default=70 / 768,
    show_default="70/768",
    help="Of the published heatmap, which is stored beside the maps.",
)
@click.option(
    "--masks-from",
    type=click.Choice(["grabcut", "heatmap"]),
    default="grabcut",
    show_default=True,
    help="How gaze becomes the pseudo-mask that a network learns from.",
)
@click.option("--threshold", type=float, default=0.5, show_default=True, help="Of the heatmap.")
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
@OVERWRITE
@JSON
@one_line_errors
def render(
    fixations: Path,
    images: Path | None,
    masks: Path | None,
    out: Path,
    levels: int,
    size: int,
    keep: str,
    by: str,
    fractions: str | None,
    form: str,
    decay: str,
    duration: str,
    sigma: float,
    heatmap_sigma: float,
    masks_from: str,
    threshold: float,
    split: tuple[Path, ...],
    val: float,
    test: float,
    group_by: str | None,
    near_duplicates: int,
    seed: int,
    codec: str,
    workers: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Render track levels, maps and pseudo-masks of all images into an HDF5 cache.

    \b
    Examples:
      gazetools render --levels 4
      gazetools render --split train.txt --split test.txt --size 224
      gazetools render --masks-from heatmap --decay sum --sigma 0.0911 -o published.h5
    """
    from gazetools.maps import MapSpec
    from gazetools.masks import PseudoMaskSpec
    from gazetools.rendering import RenderSpec
    from gazetools.rendering import render as render_cache
    from gazetools.splits import SplitSpec
    from gazetools.tracks import TrackSpec

    spec = RenderSpec(
        size_px=size,
        tracks=TrackSpec(levels, keep, by, _floats(fractions)),
        maps=MapSpec(form, decay, duration, sigma),
        masks=PseudoMaskSpec(masks_from, heatmap_sigma, threshold),
        split=SplitSpec(split, val, test, seed, group_by, near_duplicates),
        codec=codec,
        workers=workers,
    )
    images = images or fixations.parent / "images"
    if masks is None and (fixations.parent / "masks").is_dir():
        masks = fixations.parent / "masks"
    with progress_bar("rendering") as progress:
        summary = render_cache(
            fixations, images, masks, out, spec, overwrite=overwrite, progress=progress
        )
    if as_json:
        click.echo(json.dumps(summary.as_dict()))
    else:
        _print_rendered(summary, out, masks)


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
            ("splits", counted(summary.splits)),
            ("reference masks", f"{summary.masks:,} from {masks}" if masks else "none"),
            ("kept together", _kept_together(summary.largest_group)),
            ("parted by the lists", f"near-duplicates of {listed(parted)}" if parted else ""),
            ("fixations dropped", counted(summary.fixations_dropped)),
            ("stimuli without position", listed(summary.stimuli_without_position)),
            ("stimuli without image", listed(summary.stimuli_without_image)),
            ("images without gaze", listed(summary.images_without_gaze)),
            ("unknown names in splits", listed(summary.split_names_unknown)),
        ],
    )


def _kept_together(largest: int) -> str:
    return f"near-duplicates, up to {largest} images in a group" if largest > 1 else ""


main.add_command(check)
main.add_command(inspect)


# ---------------------------------------------------------------- info, formats, demo


@main.command()
@click.argument("cache", type=FILE, default="maps.h5")
@click.option("--verify", is_flag=True, help="Read every byte and compare all digests.")
@JSON
@one_line_errors
def info(cache: Path, verify: bool, as_json: bool) -> None:
    """Show what a CACHE holds and how it was made.

    \b
    Examples:
      gazetools info maps.h5
      gazetools info maps.h5 --verify
    """
    from collections import Counter

    from gazetools.cache import open_cache

    with open_cache(cache) as opened:
        facts = {
            "items": len(opened),
            "splits": dict(Counter(item.split for item in opened.items)),
            "with a reference mask": sum(item.has_mask for item in opened.items),
            "levels": opened.levels,
            "size": f"{opened.width} x {opened.height} px",
            "codec": opened.spec.codec,
            "bytes": cache.stat().st_size,
            "sha256": opened.sha256,
            "recipe": opened.recipe,
            "sources": opened.sources,
        }
        if verify:
            with progress_bar("verifying") as progress:
                for done, item in enumerate(opened.verify(), start=1):
                    progress(done, len(opened), item.name)
            facts["verified"] = "every byte"
    if as_json:
        click.echo(json.dumps(facts))
        return
    texts = [(k, json.dumps(v) if isinstance(v, dict) else v) for k, v in facts.items()]
    print_summary(str(cache), texts)


@main.command()
@JSON
@one_line_errors
def formats(as_json: bool) -> None:
    """List the exports that are read, with the versions seen and what they yield.

    \b
    Examples:
      gazetools formats
      gazetools formats --json
    """
    from gazetools.readers import READERS, generic

    every = (*READERS, generic.READER)
    if as_json:
        names = ("name", "title", "versions", "yields", "profile")
        click.echo(json.dumps([{name: getattr(r, name) for name in names} for r in every]))
        return
    for reader in every:
        rows = [("seen", reader.versions), ("yields", ", ".join(reader.yields))]
        print_summary(f"{reader.name}: {reader.title}", rows)


@main.command()
@click.option("-o", "--out", type=FILE, default="demo", show_default=True, help="A new folder.")
@click.option("--images", type=int, default=120, show_default=True)
@click.option("--iterations", type=int, default=150, show_default=True, help="Per training.")
@click.option("--seed", type=int, default=0, show_default=True)
@one_line_errors
def demo(out: Path, images: int, iterations: int, seed: int) -> None:
    """Run the whole path on a synthetic cohort: export, three commands, results page.

    The cohort has endoscopy-like images, masks, and a simulated reader's eye-tracker export.
    A network is trained from gaze alone, another from the masks, and both are measured on
    images that neither has seen.

    \b
    Example:
      gazetools demo -o demo
    """
    from .demo import run_demo

    run_demo(out, images, iterations, seed)


main.add_command(export)
