"""`gazetools plot`: figures for papers."""

import json
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from .common import FILE, JSON, OVERWRITE, SETTINGS, one_line_errors, print_summary

F = TypeVar("F", bound=Callable[..., Any])
Drawer = Callable[..., dict[str, Any]]
"""Draws a figure and tells in numbers what it drew."""

_SINGLE_MM, _DOUBLE_MM = 89.0, 183.0


@click.group(context_settings=SETTINGS)
def plot() -> None:
    """Draw figures for papers: PNG, SVG or PDF, as the output's suffix says.

    Text stays text, colours are told apart by colour-blind readers, and the same input makes the
    same file. Needs matplotlib: install gazetools[plot].

    \b
    Examples:
      gazetools plot scanpath --cache maps.h5 --item polyp7 -o scanpath.pdf
      gazetools plot main-sequence saccades.parquet -o main_sequence.svg
      gazetools plot learning-curves runs/ours/seed* runs/full/seed* -o curves.pdf
    """


def _figure(width_mm: float) -> Callable[[Drawer], Callable[..., None]]:
    """Options of every figure; the command is given those of `draw_...`, and what it says shown."""

    def add(command: Drawer) -> Callable[..., None]:
        @wraps(command)
        def draw(*, out: Path, width: float, dpi: int, as_json: bool, **of: Any) -> None:
            from gazetools.plotting import FigureSpec

            _show(out, command(**of, out=out, spec=FigureSpec(width, dpi)), as_json)

        drawn: Callable[..., None] = draw
        for option in (
            one_line_errors,
            JSON,
            OVERWRITE,
            click.option(
                "--dpi", type=int, default=300, show_default=True, help="Of PNG, and of pictures."
            ),
            click.option(
                "--width",
                type=float,
                default=width_mm,
                show_default=True,
                help="In mm; columns are mostly 85 to 90 wide, two of them 170 to 190.",
            ),
            click.option("-o", "--out", type=FILE, required=True, help="A .png, .svg or .pdf."),
        ):
            drawn = option(drawn)
        return drawn

    return add


def _stimulus(command: F) -> F:
    """Options that name an image and the gaze on it."""
    for option in (
        click.option(
            "--images",
            type=FILE,
            help="Folder of the images as they were shown  [default: what the cache holds; for "
            "fixations, images/ beside them]",
        ),
        click.option("--item", required=True, help="Name of the image, with or without suffix."),
        click.option(
            "--fixations", type=FILE, help="A table instead of a cache; maps are drawn anew."
        ),
        click.option("--cache", type=FILE, help="[default: maps.h5]"),
    ):
        command = option(command)
    return command


@plot.command()
@_stimulus
@click.option("--track", type=int, help="One of several, from 0: who looked, or looked again.")
@_figure(_SINGLE_MM)
def scanpath(track: int | None, **given: Any) -> dict[str, Any]:
    """Draw fixations on their image: area by duration, colour and number by order.

    \b
    Examples:
      gazetools plot scanpath --cache maps.h5 --item polyp7 -o scanpath.pdf
      gazetools plot scanpath --fixations fixations.parquet --item polyp7.jpg -o scanpath.png
    """
    from gazetools.plotting import draw_scanpath

    return _of_stimulus(partial(draw_scanpath, track=track), **given)


@plot.command()
@_stimulus
@_figure(_SINGLE_MM)
def heatmap(**given: Any) -> dict[str, Any]:
    """Lay the published, duration-weighted heatmap over its image.

    \b
    Example:
      gazetools plot heatmap --cache maps.h5 --item polyp7 --images images -o heatmap.pdf
    """
    from gazetools.plotting import draw_heatmap

    return _of_stimulus(draw_heatmap, **given)


@plot.command()
@_stimulus
@_figure(_DOUBLE_MM)
def levels(**given: Any) -> dict[str, Any]:
    """Draw the map of each track level, and the fixations that it keeps.

    Of a table of fixations, maps are drawn as `gazetools render` does without options.

    \b
    Example:
      gazetools plot levels --cache maps.h5 --item polyp7 -o levels.pdf
    """
    from gazetools.plotting import draw_levels

    return _of_stimulus(draw_levels, **given)


@plot.command("main-sequence")
@click.argument("saccades", type=FILE, default="saccades.parquet")
@_figure(_SINGLE_MM)
def main_sequence(saccades: Path, **figure: Any) -> dict[str, Any]:
    """Draw peak velocity against amplitude of SACCADES, from `gazetools ingest --saccades`.

    Peak velocity rises lawfully with amplitude (Bahill, Clark and Stark, Math. Biosci. 24, 1975).
    Dots far off, or an unlikely exponent, point to noise or to a wrong screen size. The fit is
    V = k A^n, by least squares of log V on log A, for each recording.

    \b
    Example:
      gazetools plot main-sequence saccades.parquet -o main_sequence.pdf
    """
    from gazetools.plotting import draw_main_sequence

    return draw_main_sequence(saccades, **figure)


@plot.command()
@click.argument("quality", type=FILE, default="quality.parquet")
@_figure(_DOUBLE_MM)
def quality(quality: Path, **figure: Any) -> dict[str, Any]:
    """Draw the QUALITY of recordings, from `gazetools check -o`: a panel for each measure.

    Small dots are trials, dashed lines the limits; a recording beyond one is a diamond.

    \b
    Example:
      gazetools plot quality quality.parquet -o quality.pdf
    """
    from gazetools.plotting import draw_quality

    return draw_quality(quality, **figure)


@plot.command()
@click.argument("fixations", type=FILE, default="fixations.parquet")
@_figure(_SINGLE_MM)
def durations(fixations: Path, **figure: Any) -> dict[str, Any]:
    """Draw a histogram of the durations of FIXATIONS, from `gazetools ingest`.

    \b
    Example:
      gazetools plot durations fixations.parquet -o durations.pdf
    """
    from gazetools.plotting import draw_durations

    return draw_durations(fixations, **figure)


@plot.command("learning-curves")
@click.argument("runs", nargs=-1, required=True, type=FILE)
@_figure(_DOUBLE_MM)
def learning_curves(runs: tuple[Path, ...], **figure: Any) -> dict[str, Any]:
    """Draw training loss and validation Dice of RUNS, folders that `gradtrack-train` wrote.

    Runs in folders named seed0, seed1 ... beside each other share a colour, with their mean.

    \b
    Example:
      gazetools plot learning-curves runs/ours/seed* runs/full/seed* -o curves.pdf
    """
    from gazetools.plotting import draw_learning_curves

    return draw_learning_curves(runs, **figure)


def _of_stimulus(
    draw: Drawer,
    cache: Path | None,
    fixations: Path | None,
    item: str,
    images: Path | None,
    **figure: Any,
) -> dict[str, Any]:
    """Draw the item that the options of :func:`_stimulus` name, and tell what was left out."""
    from gazetools.plotting import check_figure, stimulus_in_cache, stimulus_in_table

    if cache is not None and fixations is not None:
        raise click.UsageError("--cache and --fixations are two sources; give one of them")
    cache = cache or Path("maps.h5")
    if fixations is not None:
        images = images or fixations.parent / "images"
    sources = [fixations or cache, *([images] if images is not None else [])]
    check_figure(figure["out"], sources, overwrite=figure["overwrite"])
    if fixations is not None:
        found = stimulus_in_table(fixations, item, images)
    else:
        found = stimulus_in_cache(cache, item, images)
    told = draw(found, **figure)
    return told | ({"left out": found.left_out} if found.left_out else {})


def _show(out: Path, told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"out": str(out), **told}))
        return
    print_summary(f"{out}: drawn", [(name, _line(value)) for name, value in told.items()])


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_line(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_line, value))
    if isinstance(value, float):
        return f"{value:.3g}"
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
