"""The embedded demonstration: a synthetic lab folder, then the very commands a lab would type."""

import base64
import html
import json
import time
from pathlib import Path
from typing import Any

import click

from .common import type_command

SHOWN = 4

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gazetools demo</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 90rem; margin: 2rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; border-radius: 4px; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ padding: .3rem 1rem .3rem 0; text-align: left; border-bottom: 1px solid #8886; }}
td:last-child, th:last-child {{ text-align: right; font-variant-numeric: tabular-nums; }}
code {{ display: block; }}
</style>
<h1>From gaze to segmentation, on a synthetic cohort</h1>
<p>{facts}</p>
<h2>Commands</h2>
<p>{commands}</p>
<h2>Dice on {n} unseen images</h2>
<table><tr><th>what<th>learned from<th>gaze at test<th>Dice</tr>{rows}</table>
<h2>From scanpath to pseudo-mask</h2>
{stories}
<h2>Predictions of the gaze-trained network, worst first</h2>
<p><img alt="predicted and reference outlines" src="{gallery}"></p>
</html>
"""


def run_demo(folder: Path, images: int, iterations: int, seed: int) -> None:
    """Write a cohort into `folder`, type the commands there, print Dice, write results.html."""
    from gazetools.synthetic import CohortSpec, write_cohort

    begin = time.monotonic()
    click.echo(f"{folder}: drawing {images} images and simulating a reader ...")
    write_cohort(folder, CohortSpec(images=images, seed=seed))
    training = f"--preset laptop --iterations {iterations} --seed {seed}"
    commands = [
        "gazetools ingest tobii_export.tsv",
        "gazetools render --levels 4",
        f"gradtrack-train --cache maps.h5 {training} -o runs/gradtrack",
        f"gradtrack-train --cache maps.h5 {training} --method full -o runs/full",
    ]
    for command in commands:
        _type(command, folder)
    gaze = json.loads(_type("gradtrack-evaluate runs/gradtrack --json", folder, quiet=True))
    full = json.loads(_type("gradtrack-evaluate runs/full --json", folder, quiet=True))
    rows = [
        ("GradTrack", "gaze", "no", gaze["checkpoints"]["best"]["dice"]),
        ("heatmap > 0.5", "nothing", "yes", gaze["heatmap_dice"]),
        ("full supervision", "masks", "no", full["checkpoints"]["best"]["dice"]),
    ]
    page = folder / "results.html"
    facts = (
        f"{images} images, seed {seed}; {iterations} iterations each; the checkpoint is the best "
        f"on the masks of the validation images; {time.monotonic() - begin:.0f} s in all."
    )
    page.write_text(_page(folder, facts, commands, rows, gaze["n"]), encoding="utf-8")
    click.echo(f"\nDice on {gaze['n']} unseen images, at their original size:")
    for name, source, at_test, dice in rows:
        click.echo(f"  {name:<18}{dice:.3f}   learned from {source}; gaze at test: {at_test}")
    click.echo(f"{page}: pictures of every step  ({time.monotonic() - begin:.0f} s)")


def _type(command: str, folder: Path, *, quiet: bool = False) -> str:
    """Run one of our commands in `folder`, as a user would; return what it printed."""
    if not quiet:
        click.echo(f"\n$ {command}")
    printed = type_command(command.split(), folder)
    if not quiet:
        click.echo(printed.rstrip())
    return printed


def _page(
    folder: Path, facts: str, commands: list[str], rows: list[tuple[Any, ...]], n: int
) -> str:
    from gazetools.cache import open_cache
    from gazetools.figures import storyboard
    from gazetools.images import encode_png

    with open_cache(folder / "maps.h5") as cache:
        chosen = cache.indices("train")[:SHOWN]
        stories = [encode_png(storyboard(cache, int(index))) for index in chosen]
    gallery = (folder / "runs/gradtrack/evaluation/test_best.png").read_bytes()
    return PAGE.format(
        facts=html.escape(facts),
        commands="".join(f"<code>{html.escape(command)}</code>" for command in commands),
        n=n,
        rows="".join(_row(*row) for row in rows),
        stories="".join(
            f'<p><img alt="scanpath, levels, pseudo-mask" src="{_data_url(png)}"></p>'
            for png in stories
        ),
        gallery=_data_url(gallery),
    )


def _row(name: str, source: str, at_test: str, dice: float) -> str:
    cells = (name, source, at_test, f"{dice:.3f}")
    return "<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in cells) + "</tr>"


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
