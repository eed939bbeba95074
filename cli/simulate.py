"""`gazetools simulate`: what gaze supervision would give on images that nobody looked at."""

import json
from pathlib import Path

import click

from .common import FILE, JSON, OVERWRITE, listed, one_line_errors, print_summary, progress_bar


@click.command()
@click.option("--images", type=FILE, default="images", show_default=True)
@click.option("--masks", type=FILE, default="masks", show_default=True)
@click.option("-o", "--out", type=FILE, default="fixations.parquet", show_default=True)
@click.option("--readers", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--skill",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Of the readers; 1 is the annotator that the simulation was fitted to.",
)
@click.option(
    "--noise",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Added to the place of every fixation: standard deviation in image sides.",
)
@click.option(
    "--fixations", type=float, default=25.9, show_default=True, help="On a typical lesion."
)
@click.option(
    "--export",
    type=FILE,
    help="Raw samples too: what a tracker at a screen would have recorded, with its noise, blinks "
    "and losses, as a Tobii Pro Lab export (TSV). `ingest --samples` and `export` make BIDS of it.",
)
@click.option(
    "--rate",
    type=click.FloatRange(50, 2000),
    help="Of that tracker, Hz.  [default: 120]",
)
@OVERWRITE
@JSON
@one_line_errors
def simulate(
    images: Path,
    masks: Path,
    out: Path,
    readers: int,
    seed: int,
    skill: float,
    noise: float,
    fixations: float,
    export: Path | None,
    rate: float | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Simulate readers who look at images whose lesions are known from masks.

    The reader is fitted to one annotator's gaze on colonoscopy images (GazeMedSeg): how many
    fixations, how long, how far apart, in which direction, inside or outside the lesion. What is
    trained on such gaze was trained on masks; it tells what real gaze might give.

    \b
    Examples:
      gazetools simulate
      gazetools simulate --images isic/images --masks isic/masks -o isic.parquet --readers 3
      gazetools simulate --skill 0.5 --noise 0.02 --seed 1
      gazetools simulate --export raw.tsv -o true.parquet && gazetools ingest raw.tsv
    """
    from dataclasses import replace

    from gazetools.synthetic import CohortSpec, ReaderModel
    from gazetools.synthetic.simulating import simulate_to

    if rate is not None and export is None:
        raise click.UsageError("--rate is that of the tracker; it goes with --export")
    tracker = CohortSpec(seed=seed) if rate is None else CohortSpec(seed=seed, rate_hz=rate)
    reader = ReaderModel(fixations).with_skill(skill)
    reader = replace(reader, tracker_error=noise)
    with progress_bar("simulating") as progress:
        summary = simulate_to(
            images,
            masks,
            out,
            reader,
            readers=readers,
            seed=seed,
            export=export,
            tracker=tracker,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps({"out": str(out), **summary.as_dict()}))
        return
    print_summary(
        f"{out}: {summary.fixations:,} fixations on {summary.images:,} images",
        [
            ("readers", f"{summary.readers}"),
            ("samples", f"{summary.samples:,} in {export}" if export else ""),
            ("recordings", f"{summary.recordings}" if export else ""),
            ("off the image", f"{summary.off_image:,} left out" if summary.off_image else ""),
            ("images without mask", listed(summary.without_mask)),
            ("masks with nothing in them", listed(summary.empty)),
        ],
    )
