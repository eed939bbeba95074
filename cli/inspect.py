"""The command `gazetools inspect`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import FILE, counted, listed, one_line_errors, print_summary, printable
from .reading import MAPPING, TRIAL_FROM

if TYPE_CHECKING:
    from gazetools.inspection import Inspection, RecordingFacts

_MOST_RECORDINGS = 10
_FOR_MANY = ("columns used", "columns ignored")
_SAID_BEFORE = ("encoding", "decimal mark")


@click.command()
@click.argument("file", type=FILE)
@TRIAL_FROM
@MAPPING
@click.option("--columns", is_flag=True, help="Name all columns that are used and ignored.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@one_line_errors
def inspect(
    file: Path, trial_from: str | None, mapping: Path | None, columns: bool, as_json: bool
) -> None:
    """Tell what a FILE or folder is and how to read it; nothing is written.

    \b
    Examples:
      gazetools inspect tobii_export.tsv
      gazetools inspect recording.asc --json
      gazetools inspect unknown.csv
    """
    from gazetools.inspection import inspect as look_at
    from gazetools.readers import ReadOptions

    found = look_at(file, ReadOptions(trial_from=trial_from, mapping=mapping))
    if as_json:
        click.echo(json.dumps(found.as_dict(), allow_nan=False))
    elif found.unknown is not None:
        _print_unknown(found)
    else:
        _print_known(found, columns)
    if found.unknown is not None or found.problem:
        sys.exit(1)


def _print_known(found: "Inspection", columns: bool) -> None:
    print_summary(
        str(found.path),
        [
            ("format", f"{found.title}; seen: {found.versions}"),
            ("reader", found.reader),
            *_outside(found),
            ("recordings", f"{len(found.recordings):,}" if found.recordings else ""),
            ("cannot be read", found.problem),
        ],
    )
    for one in found.recordings[:_MOST_RECORDINGS]:
        _print_recording(one, columns)
    if len(found.recordings) > _MOST_RECORDINGS:
        click.echo(f"... and {len(found.recordings) - _MOST_RECORDINGS} more; --json has them all")
    if found.missing:
        click.echo("not in this export:")
        for what in found.missing:
            click.echo(f"  {what}")
    if found.next_command:
        click.echo(f"next:\n  {printable(found.next_command)}")


def _outside(found: "Inspection") -> list[tuple[str, str]]:
    files = f" in {found.files:,} files" if found.files != 1 else ""
    packed = f", {found.compression}" if found.compression != "none" else ""
    return [
        ("size", f"{found.bytes:,} bytes{files}{packed}"),
        ("encoding", found.encoding),
        ("decimal mark", found.decimal_mark),
    ]


def _print_recording(one: "RecordingFacts", columns: bool) -> None:
    screen = one.screen
    size = f"{one.screen_px[0]} x {one.screen_px[1]} px" if one.screen_px else ""
    if screen:
        size = f"{screen['width_px']} x {screen['height_px']} px, "
        size += f"{screen['width_mm']:g} x {screen['height_mm']:g} mm, "
        size += f"{screen['distance_mm']:g} mm away"
    rates = [f"{one.measured_hz:.1f} Hz measured" if one.measured_hz else ""]
    rates += [f"{one.stated_hz:g} Hz stated" if one.stated_hz else ""]
    eyes = [" and ".join(one.eyes), "with positions" if one.eye_positions else ""]
    eyes += ["with pupils" if one.pupils else ""]
    placed = len(one.stimuli) - len(one.unplaced)
    print_summary(
        printable(f"recording {one.name!r} of {one.subject!r}"),
        [
            ("samples", f"{one.samples:,}" if one.samples else "none"),
            ("rate", ", ".join(filter(None, rates))),
            ("duration", f"{one.duration_s:,.1f} s" if one.duration_s else ""),
            ("eyes", ", ".join(filter(None, eyes))),
            ("positions", one.positions),
            ("trials", f"{one.trials:,}"),
            ("stimuli", printable(listed(list(one.stimuli))) or "none named"),
            ("placed", f"{placed:,} stimuli" if placed else ""),
            ("screen", size),
            ("vendor's own", counted(dict(one.vendor_events)) or "no events"),
            ("validation", ", ".join(f"{k} {v:g}" for k, v in one.validation.items())),
            *(
                (name, printable(_told(name, value, columns)))
                for name, value in one.about.items()
                if name not in _SAID_BEFORE
            ),
            ("rows skipped", counted(dict(one.skipped))),
        ],
    )


def _told(name: str, value: str | tuple[str, ...], columns: bool) -> str:
    if isinstance(value, str):
        return value
    many = len(value) if columns or name not in _FOR_MANY else 5
    return listed(list(value), many)


def _print_unknown(found: "Inspection") -> None:
    unknown = found.unknown
    assert unknown is not None
    columns = listed(list(unknown.columns), len(unknown.columns))
    print_summary(
        str(found.path),
        [
            ("format", "unknown"),
            *_outside(found),
            ("separator", unknown.separator),
            ("columns", columns),
        ],
    )
    click.echo("begins with:")
    for line in unknown.head:
        click.echo(f"  {line}")
    click.echo("why:")
    for reason in unknown.why.split("; "):
        click.echo(f"  {printable(reason)}")
    if unknown.mapping:
        click.echo(
            "a mapping to start from; check and complete it, save it as mapping.toml, and run:"
        )
        click.echo(f"  {printable(found.next_command)}")
        click.echo(f"\n{unknown.mapping}", nl=False)
