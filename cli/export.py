"""The command `gazetools export`."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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
def export(tables: tuple[Path, ...], to: str, as_json: bool, **given: Any) -> None:
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
    from gazetools.exporting import read_tables

    _check_options(to)
    options = _Options(**given)
    options.check_out(tables)
    found = read_tables(tables, options.known_screen)
    done = _write(found, to, options)
    _print_done(options.out, to, done, as_json=as_json)


def _check_options(to: str) -> None:
    """Refuse an option that the format does not know: it would do nothing, unnoticed."""
    for name, value in click.get_current_context().params.items():
        if value and to not in _FOR.get(name, (to,)):
            option = {"settings": "set", "splits": "split"}.get(name, name)
            raise click.UsageError(f"--{option} is for --to {', '.join(_FOR[name])}, not {to}")


@dataclass(frozen=True)
class _Options:
    """What the command is told beside tables and format, under the names of its options."""

    out: Path
    screen: str | None
    task: str | None
    name: str | None
    about: Path | None
    settings: tuple[str, ...]
    dataset: str | None
    splits: tuple[Path, ...]
    images: Path | None
    masks: Path | None
    overwrite: bool

    def check_out(self, tables: tuple[Path, ...]) -> None:
        """Refuse an output that would take the place of what is read."""
        from gazetools.errors import OutputError

        out = self.out.resolve()
        for path in self._read(tables):
            read = path.resolve()
            if out in (read, *read.parents) or (read.is_dir() and read in out.parents):
                raise OutputError(
                    f"{self.out}: would replace {path}, which is read, or come into it; name "
                    "another output"
                )

    def _read(self, tables: tuple[Path, ...]) -> Iterator[Path]:
        yield from (*tables, *self.splits)
        yield from (path for path in (self.about, self.images, self.masks) if path is not None)

    @property
    def known_screen(self) -> "Screen | None":
        """The screen, if it is told with its size and distance."""
        from gazetools.errors import GeometryError
        from gazetools.geometry import parse_screen

        screen = parse_screen(self.screen)[1] if self.screen else None
        if self.screen and screen is None:
            raise GeometryError(
                f"screen {self.screen!r} is not enough; expected 1920x1080:527x296:650"
            )
        return screen

    def said(self) -> "About":
        """Put together what options, a file and the catalogue say of a data set, in this order."""
        from gazetools.datasets import find
        from gazetools.exporting import read_about

        known: dict[str, Any] = {"name": self.out.resolve().name}
        if self.dataset is not None:
            of_set = find(self.dataset)
            known = {
                "name": of_set.title,
                "description": of_set.about,
                "terms": of_set.terms,
                "url": of_set.homepages[0] if of_set.homepages else "",
                "citations": of_set.citations,
            }
        named = (f"name={self.name}",) if self.name else ()
        return read_about(self.about, (*self.settings, *named), known)


def _write(found: "Tables", to: str, options: _Options) -> "Exported":
    """Write the tables as a format, with what the options say of it."""
    from gazetools import exporting

    out, overwrite = options.out, options.overwrite
    if to == "bids":
        name = options.name or out.resolve().name
        bids = exporting.BidsSpec(name, options.task or exporting.BidsSpec.task)
        return exporting.export_bids(found, out, bids, overwrite=overwrite)
    if to == "croissant":
        return exporting.export_croissant(found, out, options.said(), overwrite=overwrite)
    if to == "hf":
        folder = exporting.HuggingFaceSpec(
            options.said(), options.splits, options.images, options.masks
        )
        return exporting.export_hugging_face(found, out, folder, overwrite=overwrite)
    if to == "coco-scanpath":
        task = options.task or exporting.ScanpathSpec.task
        scanpaths = exporting.ScanpathSpec(task, options.splits, options.images)
        return exporting.export_scanpaths(found, out, scanpaths, overwrite=overwrite)
    if to == "csv":
        return exporting.export_csv(found, out, overwrite=overwrite)
    return exporting.export_report(found, out, overwrite=overwrite)


def _print_done(out: Path, to: str, done: "Exported", *, as_json: bool) -> None:
    if as_json:
        kinds = dict.fromkeys(("samples", "fixations", "saccades", "blinks"), 0)
        left_out = [asdict(one) for one in done.left_out]
        told = {"out": str(out), "to": to, "files": done.files, "left_out": left_out}
        click.echo(json.dumps({**told, **kinds, **done.rows}))
    else:
        rows = [("files", f"{done.files:,}")]
        rows += [(kind, f"{count:,}") for kind, count in done.rows.items()]
        rows += [("left out", str(one)) for one in done.left_out]
        print_summary(f"{out}: {to}", rows)
