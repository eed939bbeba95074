"""The command `gazetools`."""

import gc
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .check import check
from .common import (
    DASK,
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
from .datasets import datasets
from .describe import describe
from .encode_text import encode_text
from .export import export
from .inspect import inspect
from .plot import plot
from .reading import ingest_spec, reading_options, telling_of_a_new_key
from .render import merge, render
from .report import report
from .simulate import simulate
from .view import view

if TYPE_CHECKING:
    from gazetools.ingestion import IngestSummary


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
    # what is imported stays: looking through it again and again takes a tenth of the start
    gc.set_threshold(50_000)


# ---------------------------------------------------------------- ingest


@main.command()
@click.argument("exports", nargs=-1, required=True, type=FILE)
@click.option("-o", "--out", type=FILE, default="fixations.parquet", show_default=True)
@click.option("--samples", type=FILE, help="Also write every sample with its event.")
@click.option("--saccades", type=FILE, help="Also write saccades: amplitude, peak velocity.")
@click.option("--blinks", type=FILE, help="Also write blinks.")
@reading_options
@click.option(
    "--workers",
    type=int,
    default=1,
    show_default=True,
    help="Processes that read one export each at a time; 0 is one per processor.",
)
@DASK
@OVERWRITE
@JSON
@one_line_errors
def ingest(
    exports: tuple[Path, ...],
    out: Path,
    samples: Path | None,
    saccades: Path | None,
    blinks: Path | None,
    workers: int,
    dask: str | None,
    overwrite: bool,
    as_json: bool,
    **reading: Any,
) -> None:
    """Read eye-tracker EXPORTS of any vendor into one table of fixations.

    \b
    Examples:
      gazetools ingest tobii_export.tsv
      gazetools ingest exports/*.tsv.gz -o all.parquet --samples samples.parquet --workers 4
      gazetools ingest tobii_export.tsv --events vendor
      gazetools ingest recording.asc --screen 1920x1080:527x296:650 --saccades saccades.parquet
      gazetools ingest recording.asc --trial-from "^SHOW (\\S+)"
      gazetools ingest report.txt --placement fit --screen 1920x1080
      gazetools ingest exports/*.tsv --deidentify-key ../keys/study.key
    """
    from gazetools.ingestion import ingest_to
    from gazetools.workers import Workers

    spec = ingest_spec(**reading)
    with telling_of_a_new_key(spec), progress_bar("reading") as progress:
        summary = ingest_to(
            exports,
            out,
            samples,
            saccades=saccades,
            blinks=blinks,
            spec=spec,
            workers=Workers(workers, dask),
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
    cuts = {
        "across a change of stimulus": summary.fixations_cut,
        "where the export begins or ends": summary.fixations_cut_off,
    }
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
            ("trials", f"{summary.trials:,}"),
            ("positions", _IN_SHARES if summary.recordings_in_shares else ""),
            ("rate", f"{', '.join(rates)} Hz, measured" if rates else ""),
            ("samples", f"{total:,} read" if total else ""),
            ("", counted({k: v for k, v in summary.samples.items() if k != "read"}, total)),
            ("rows skipped", counted(summary.skipped_rows)),
            ("fixations by", counted(summary.source)),
            ("fixations cut", counted(cuts)),
            ("fixations dropped", counted(summary.fixations_dropped)),
            ("no image known for", listed(summary.without_image)),
            ("stimuli that may tell", counted(summary.telling_stimuli)),
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


main.add_command(render)
main.add_command(merge)
main.add_command(describe)
main.add_command(datasets)
main.add_command(simulate)
main.add_command(plot)
main.add_command(report)
main.add_command(view)
main.add_command(encode_text)
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
            "text": vars(opened.text) if opened.text else None,
            "bytes": opened.bytes_on_disk,
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
