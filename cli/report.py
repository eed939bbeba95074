"""The command `gazetools report`."""

import json
from pathlib import Path

import click

from .common import FILE, JSON, OVERWRITE, one_line_errors, print_summary, progress_bar


@click.command()
@click.argument("paths", nargs=-1, required=True, type=FILE)
@click.option("-o", "--out", type=FILE, default="report.html", show_default=True)
@click.option("--images", type=FILE, help="Folder of images, named as the stimuli.")
@click.option("--only", type=FILE, help="Text file of the stimuli to show, one a line.")
@click.option(
    "--first",
    type=click.Choice(["flagged", "worst", "given"]),
    default="flagged",
    show_default=True,
    help="Stimuli to show first: flagged in a quality table, lowest Dice, or as given.",
)
@click.option("--most", type=int, default=200, show_default=True, help="Stimuli to show.")
@click.option("--title", default="Gaze report", show_default=True)
@OVERWRITE
@JSON
@one_line_errors
def report(
    paths: tuple[Path, ...],
    out: Path,
    images: Path | None,
    only: Path | None,
    first: str,
    most: int,
    title: str,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show PATHS in one HTML file that opens in any browser and needs nothing else.

    PATHS are tables (fixations, samples, saccades, blinks, quality), a cache (maps.h5, or its
    folder of shards) and folders of training runs, in any order; they are told apart by content.
    With samples, every stimulus has a timeline of velocity, pupil and events.

    \b
    Examples:
      gazetools report fixations.parquet --images images
      gazetools report fixations.parquet samples.parquet saccades.parquet quality.parquet maps.h5
      gazetools report maps.h5 runs/gradtrack --first worst -o failures.html
    """
    from gazetools.files import check_unread
    from gazetools.reporting import ReportSpec, read_names, write_report

    check_unread(out, [only])
    spec = ReportSpec(
        title=title,
        images=images,
        only=read_names(only) if only is not None else None,
        order=first,
        most=most,
    )
    with progress_bar("drawing") as progress:
        summary = write_report(paths, out, spec, overwrite=overwrite, progress=progress)
    if as_json:
        click.echo(json.dumps({"out": str(out), **summary.as_dict()}))
        return
    flagged = f", {summary.flagged:,} flagged" if summary.flagged else ""
    rows = [
        ("stimuli", f"{summary.shown:,} of {summary.stimuli:,} shown{flagged}"),
        ("fixations", f"{summary.fixations:,}" if summary.fixations else ""),
        ("runs", f"{summary.runs}" if summary.runs else ""),
        ("size", f"{summary.bytes / 1e6:.1f} MB"),
    ]
    print_summary(f"{out}: open it in a browser", rows)
