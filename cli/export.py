"""The command `gazetools export`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common import FILE, JSON, OVERWRITE, one_line_errors, print_summary

if TYPE_CHECKING:
    from gazetools.exporting import About, Exported, Tables
    from gazetools.geometry import Screen

_FOR = {
    "screen": ("bids",),
    "task": ("bids", "coco-scanpath"),
    "name": ("bids", "croissant", "hf"),
    "about": ("croissant", "hf"),
    "settings": ("croissant", "hf"),
    "dataset": ("croissant", "hf"),
    "splits": ("hf", "coco-scanpath"),
    "images": ("hf", "coco-scanpath"),
    "masks": ("hf",),
}
"""Which option is for which format; given with another it would do nothing, unnoticed."""


@click.command()
@click.argument("tables", nargs=-1, required=True, type=FILE)
@click.option(
    "--to",
    "to",
    type=click.Choice(["bids", "croissant", "hf", "coco-scanpath", "csv", "report"]),
    required=True,
    help="bids, croissant, hf (Hugging Face): a data set; coco-scanpath: fixations on images as "
    "COCO-Search18 has them; csv: one table as it is; report: fixations as Data Viewer has them.",
)
@click.option("-o", "--out", type=FILE, required=True, help="A new folder, if --to is a data set.")
@click.option(
    "--screen",
    help="For bids: px, mm and eye distance in mm, 1920x1080:527x296:650  "
    "[default: as given to ingest]",
)
@click.option("--task", help="For bids: label of the task; for coco-scanpath: what was looked for.")
@click.option("--name", help="Of the data set  [default: as --about says, or that of the folder]")
@click.option(
    "--about",
    type=FILE,
    help="For croissant, hf: TOML with what is to be said of the data set: name, description, "
    "license, terms, url, creators, published, version, citations, consent.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="One of these; creators and citations may come several times.",
)
@click.option("--dataset", help="A known data set that says what --about and --set do not.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=FILE,
    help="For hf, coco-scanpath: lists of names, train.txt, val.txt, test.txt.",
)
@click.option(
    "--images",
    type=FILE,
    help="For hf: folder of images to put in; for coco-scanpath: to know their size.",
)
@click.option("--masks", type=FILE, help="For hf: folder of masks to put in.")
@OVERWRITE
@JSON
@one_line_errors
def export(
    tables: tuple[Path, ...],
    to: str,
    out: Path,
    screen: str | None,
    task: str | None,
    name: str | None,
    about: Path | None,
    settings: tuple[str, ...],
    dataset: str | None,
    splits: tuple[Path, ...],
    images: Path | None,
    masks: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write TABLES (Parquet, from ingest) as files that other programs read.

    \b
    Examples:
      gazetools export samples.parquet fixations.parquet --to bids -o bids
      gazetools export samples.parquet --to bids -o bids --screen 1920x1080:527x296:650
      gazetools export fixations.parquet --to croissant -o croissant --about about.toml
      gazetools export fixations.parquet --to hf -o hf --set license=CC-BY-4.0 --images images
      gazetools export fixations.parquet --to coco-scanpath -o scanpaths.json --split test.txt
      gazetools export fixations.parquet --to csv -o fixations.csv
      gazetools export fixations.parquet --to report -o report.txt
    """
    from gazetools.errors import OutputError
    from gazetools.exporting import (
        BidsSpec,
        Exported,
        HuggingFaceSpec,
        ScanpathSpec,
        export_bids,
        export_croissant,
        export_csv,
        export_hugging_face,
        export_report,
        export_scanpaths,
        read_tables,
    )

    _check_options(to)
    if any(out.resolve() in (path, *path.parents) for path in (t.resolve() for t in tables)):
        raise OutputError(f"{out}: is a table that is read, or holds one; name another output")
    known_screen = _screen(screen)
    found = read_tables(tables, known_screen)
    named = {"task": task} if task else {}
    if to == "bids":
        bids = BidsSpec(name or out.resolve().name, screen=known_screen, **named)
        done = Exported(export_bids(found, out, bids, overwrite=overwrite))
    elif to == "croissant":
        said = _about(name, out, about, settings, dataset)
        done = export_croissant(found, out, said, overwrite=overwrite)
    elif to == "hf":
        said = _about(name, out, about, settings, dataset)
        spec = HuggingFaceSpec(said, splits, images, masks)
        done = export_hugging_face(found, out, spec, overwrite=overwrite)
    elif to == "coco-scanpath":
        paths = ScanpathSpec(splits=splits, images=images, **named)
        done = export_scanpaths(found, out, paths, overwrite=overwrite)
    else:
        write = export_csv if to == "csv" else export_report
        write(found, out, overwrite=overwrite)
        done = Exported()
    _print_done(found, out, to, done, as_json=as_json)


def _check_options(to: str) -> None:
    """Refuse an option that the format does not know: it would do nothing, unnoticed."""
    for name, value in click.get_current_context().params.items():
        if value and to not in _FOR.get(name, (to,)):
            option = {"settings": "set", "splits": "split"}.get(name, name)
            raise click.UsageError(f"--{option} is for --to {', '.join(_FOR[name])}, not {to}")


def _screen(text: str | None) -> "Screen | None":
    from gazetools.errors import GeometryError
    from gazetools.geometry import parse_screen

    screen = parse_screen(text)[1] if text else None
    if text and screen is None:
        raise GeometryError(f"screen {text!r} is not enough; expected 1920x1080:527x296:650")
    return screen


def _about(
    name: str | None, folder: Path, path: Path | None, texts: tuple[str, ...], dataset: str | None
) -> "About":
    """Put together what options, a file and the catalogue say of a data set, in this order."""
    from gazetools.datasets import find
    from gazetools.exporting import read_about

    known: dict[str, Any] = {"name": folder.resolve().name}
    if dataset is not None:
        of_set = find(dataset)
        known = {
            "name": of_set.title,
            "description": of_set.about,
            "terms": of_set.terms,
            "url": of_set.homepages[0] if of_set.homepages else "",
            "citations": of_set.citations,
        }
    return read_about(path, (*texts, f"name={name}") if name else texts, known)


def _print_done(found: "Tables", out: Path, to: str, done: "Exported", *, as_json: bool) -> None:
    kinds = ("samples", "fixations", "saccades", "blinks")
    counts = {kind: len(getattr(found, kind)) for kind in kinds}
    if as_json:
        told = {"out": str(out), "to": to, "files": done.files, "left_out": list(done.left_out)}
        click.echo(json.dumps({**told, **counts}))
    else:
        rows = [(kind, f"{count:,}" if count else "") for kind, count in counts.items()]
        left = "; ".join(done.left_out)
        print_summary(f"{out}: {to}", [("files", f"{done.files:,}"), *rows, ("left out", left)])
