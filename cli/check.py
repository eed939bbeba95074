"""The command `gazetools check`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .common import (
    FILE,
    JSON,
    OVERWRITE,
    counted,
    one_line_errors,
    print_summary,
    printable,
    progress_bar,
)
from .reading import ingest_spec, reading_options, telling_of_a_new_key

if TYPE_CHECKING:
    from gazetools.quality import Quality, QualitySpec

F = TypeVar("F", bound=Callable[..., Any])

_MOST_FLAGS = 20
_WIDTH_OF_FILES = 160


def _limit(option: str, unit: str, what: str) -> Callable[[F], F]:
    return click.option(option, type=float, help=f"{what}, {unit}".rstrip(", "))


@click.command()
@click.argument("exports", nargs=-1, required=True, type=FILE)
@click.option("-o", "--out", type=FILE, help="Also write all figures as Parquet.")
@click.option("--trials", is_flag=True, help="Show every trial, not only every recording.")
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is flagged.")
@reading_options
@click.option("--masks", type=FILE, help="Folder of masks, named as the stimuli.")
@click.option(
    "--targets", type=FILE, help="CSV of points to look at, for accuracy: stimulus,x_px,y_px."
)
@click.option("--limits", "limits_file", type=FILE, help="TOML of limits; options go before it.")
@_limit("--max-loss", "%", "Flag more data loss")
@_limit("--max-rms-deg", "deg", "Flag a larger RMS-S2S")
@_limit("--max-accuracy-deg", "deg", "Flag a larger mean offset")
@_limit("--max-disparity-deg", "deg", "Flag a larger distance of the eyes' gaze points")
@_limit("--min-rate-share", "%", "Flag a lower share of the stated rate")
@_limit("--max-irregular", "%", "Flag more irregular intervals")
@_limit("--min-on-image", "%", "Flag less gaze on the image")
@_limit("--min-fixations", "", "Flag fewer fixations")
@_limit("--min-median-fixation", "ms", "Flag a shorter median fixation")
@_limit("--max-median-fixation", "ms", "Flag a longer median fixation")
@OVERWRITE
@JSON
@one_line_errors
def check(
    exports: tuple[Path, ...],
    out: Path | None,
    trials: bool,
    strict: bool,
    masks: Path | None,
    targets: Path | None,
    limits_file: Path | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure the data quality of EXPORTS, and flag what a careful reader would exclude.

    EXPORTS are eye-tracker exports of any vendor, or tables that `gazetools ingest` wrote.
    Nothing is excluded: flags, and the limits behind them, are there to be judged.

    \b
    Examples:
      gazetools check tobii_export.tsv
      gazetools check exports/*.tsv.gz --max-loss 30 -o quality.parquet
      gazetools check recording.asc --screen 1920x1080:527x296:650 --trials
      gazetools check fixations.parquet --masks masks --json
    """
    from gazetools.files import check_unread
    from gazetools.quality import CheckSpec, check_quality_output, write_quality
    from gazetools.quality import check as measure

    if out is not None:
        check_unread(out, [targets, limits_file, options["stimuli"]])
        check_quality_output(exports, out, overwrite=overwrite)
    limits = _limits(limits_file, {name: options.pop(name) for name in _LIMIT_OPTIONS})
    spec = CheckSpec(ingest_spec(**options), masks, targets)
    with telling_of_a_new_key(spec.ingest), progress_bar("checking") as progress:
        quality = measure(exports, spec, limits, progress)
    if out is not None:
        write_quality(quality, exports, out, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps(quality.as_dict(), allow_nan=False))
    else:
        _print_table(quality, trials=trials)
        _print_flags(quality, all_of_them=trials)
        _print_notes(quality, out)
        _print_findings(quality)
    if strict and len(quality.flagged):
        sys.exit(1)


_REMEDY = (
    "`gazetools ingest --deidentify` hides all but names of stimuli: for those, rename the images "
    "before they are shown"
)
_LIMIT_OPTIONS = {
    "max_loss": "max_loss_pct",
    "max_rms_deg": "max_rms_s2s_deg",
    "max_accuracy_deg": "max_accuracy_deg",
    "max_disparity_deg": "max_disparity_deg",
    "min_rate_share": "min_rate_pct",
    "max_irregular": "max_irregular_pct",
    "min_on_image": "min_on_image_pct",
    "min_fixations": "min_fixations",
    "min_median_fixation": "min_median_fixation_ms",
    "max_median_fixation": "max_median_fixation_ms",
}


def _limits(file: Path | None, told: dict[str, float | None]) -> "QualitySpec":
    from dataclasses import replace

    from gazetools.quality import QualitySpec

    limits = QualitySpec.from_toml(file) if file is not None else QualitySpec()
    given = {_LIMIT_OPTIONS[name]: value for name, value in told.items() if value is not None}
    return replace(limits, **given)


def _print_table(quality: "Quality", *, trials: bool) -> None:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gazetools.reporting.measures import measures_in

    rows = quality.table if trials else quality.table[quality.table["level"] == "recording"]
    shown = measures_in(rows)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("subject, recording")
    for one in shown:
        heading = f"{one.label} {one.unit}".rstrip().replace(" ", "\n")
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("flags", justify="right")
    for row in rows.to_dict("records"):
        cells = [
            "" if pd.isna(row[one.column]) else f"{row[one.column]:,.{one.digits}f}"
            for one in shown
        ]
        flags = len(row["flags"].split("; ")) if row["flags"] else 0
        style = "" if row["level"] == "recording" else "dim"
        name = Text(_name(row), overflow="ellipsis")
        table.add_row(
            name, *cells, Text(str(flags or "-"), style="yellow" if flags else ""), style=style
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_OF_FILES)
    console.print(table)


def _name(row: dict[str, Any]) -> str:
    if row["level"] == "recording":
        return printable(f"{row['subject']}, {row['recording']}")
    shown = f", {row['stimulus']}" if isinstance(row["stimulus"], str) else ""
    return printable(f"  trial {row['trial']}{shown}")


def _print_flags(quality: "Quality", *, all_of_them: bool) -> None:
    flagged = quality.flagged.to_dict("records")
    if not flagged:
        click.echo("nothing is flagged")
        return
    most = len(flagged) if all_of_them else _MOST_FLAGS
    count = {
        "recordings": sum(row["level"] == "recording" for row in flagged),
        "trials": sum(row["level"] == "trial" for row in flagged),
    }
    click.echo(f"flagged: {counted(count)}")
    for row in sorted(flagged, key=lambda row: row["level"])[:most]:
        where = printable(f"{row['subject']}, {row['recording']}")
        where += "" if row["level"] == "recording" else f", {_name(row).strip()}"
        click.echo(f"  {where}: {row['flags']}")
    if len(flagged) > most:
        click.echo(f"  ... and {len(flagged) - most} more; --trials, --json and -o have them all")


def _print_notes(quality: "Quality", out: Path | None) -> None:
    notes = quality.table.loc[quality.table["notes"] != "", ["file", "notes"]].drop_duplicates()
    for file, note in notes.itertuples(index=False):
        click.echo(f"  {printable(file)}: {printable(note)}")
    orders = quality.in_mask_by_order
    if orders:
        first = [f"{orders[order][0]:.1f} %" for order in (1, 2, 3) if order in orders]
        rows = [("in mask, by order", f"first, second, third: {', '.join(first)}")]
        print_summary("fixations", rows)
    if out is not None:
        click.echo(f"written: {out}")


def _print_findings(quality: "Quality") -> None:
    if not quality.findings:
        return
    click.echo("may tell who looked, who is seen, or when:")
    for one in quality.findings:
        example = f", such as {one.example!r}" if one.example else ""
        many = f"{one.count} look like" if one.count > 1 else "1 looks like"
        click.echo(printable(f"  {one.file}, {one.where}: {many} {one.what}{example}"))
    click.echo(f"  {_REMEDY}")
