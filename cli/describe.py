"""`gazetools describe`: what images show, in words, by a model or by a template."""

import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from .common import (
    FILE,
    JSON,
    listed,
    one_line_errors,
    print_summary,
    printable,
    progress_bar,
)

if TYPE_CHECKING:
    from gazetools.describing.asking import Model
    from gazetools.describing.session import Choice, DescribeSummary, Estimate, Writer

_SHOWN = 20
_LOCAL = ("localhost", "127.0.0.1", "::1")


@click.command()
@click.option("--images", type=FILE, default="images", show_default=True)
@click.option("-o", "--out", type=FILE, default="descriptions.jsonl", show_default=True)
@click.option("--base-url", help="Of the endpoint, e.g. http://localhost:8000/v1.")
@click.option("--model", help="As the endpoint calls it.")
@click.option(
    "--key-from",
    metavar="NAME",
    help="Environment variable that holds the key  [default: OPENAI_API_KEY, if it is set]",
)
@click.option("--fixations", type=FILE, help="Tell the model where people looked.")
@click.option("--only", type=FILE, help="List of the images to describe, such as train.txt.")
@click.option("--at-once", type=int, default=4, show_default=True, help="Requests under way.")
@click.option("--per-minute", type=float, help="Most requests a minute.")
@click.option(
    "--max-side", type=int, default=1024, show_default=True, help="Of the images sent, px."
)
@click.option(
    "--retries",
    type=int,
    default=4,
    show_default=True,
    help="How often a request is sent again that got no answer.",
)
@click.option(
    "--timeout", type=float, default=300, show_default=True, help="Of one answer, in seconds."
)
@click.option("--price-in", type=float, default=0.0, help="Of a million tokens of prompt.")
@click.option("--price-out", type=float, default=0.0, help="Of a million tokens of answer.")
@click.option(
    "--i-may-send-images",
    is_flag=True,
    help="Send them. Without it only the estimate is printed.",
)
@click.option("--template", is_flag=True, help="Ask nobody: fill in a template from the gaze.")
@click.option(
    "--overwrite", is_flag=True, help="Begin anew if the file is by another model or prompt."
)
@JSON
@one_line_errors
def describe(
    images: Path,
    out: Path,
    base_url: str | None,
    model: str | None,
    key_from: str | None,
    fixations: Path | None,
    only: Path | None,
    at_once: int,
    per_minute: float | None,
    max_side: int,
    retries: int,
    timeout: float,
    price_in: float,
    price_out: float,
    i_may_send_images: bool,
    template: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Ask a vision-language model what each image shows; write one record per image.

    The endpoint is any that speaks OpenAI's chat completions. It gets the pixels, no file
    names, no metadata and never a mask; words that are burnt into the pixels it does see. If the
    command is stopped, or images fail, the same command asks for what is missing. The file's
    format is told in examples/descriptions.md.

    \b
    Examples:
      gazetools describe --base-url http://localhost:8000/v1 --model qwen2.5-vl
      gazetools describe --base-url http://localhost:8000/v1 --model qwen2.5-vl --i-may-send-images
      gazetools describe --base-url https://api.example.com/v1 --model m --key-from EXAMPLE_KEY \\
          --fixations fixations.parquet --only train.txt --price-in 2.5 --price-out 10
      gazetools describe --template --fixations fixations.parquet
    """
    from gazetools.describing.asking import Endpoint, Model
    from gazetools.describing.session import GazeTemplate, choose, estimate, missing
    from gazetools.files import check_unread

    check_unread(out, [fixations, only])
    if template:
        if base_url or model or fixations is None:
            raise click.UsageError("--template needs --fixations, no --base-url and no --model")
        choice = choose(images, fixations, only)
        _describe(out, choice, GazeTemplate(), at_once, overwrite, as_json, {})
        return
    if not (base_url and model):
        raise click.UsageError("who is asked? give --base-url and --model, or --template")
    endpoint = Endpoint(
        base_url,
        model,
        _key(key_from),
        max_side=max_side,
        per_minute=per_minute,
        retries=retries,
        timeout_s=timeout,
    )
    asked = Model(endpoint, fixations=fixations is not None)
    choice = choose(images, fixations, only)
    expected = estimate(missing(out, choice, asked, overwrite=overwrite), asked)
    cost = expected.cost(price_in, price_out)
    if not i_may_send_images:
        _print_estimate(asked, choice, expected, cost, as_json)
        return
    click.echo(f"{_told(expected, cost)}, to {_where(base_url)}", err=True)
    with closing(asked):
        _describe(out, choice, asked, at_once, overwrite, as_json, asked.used)


def _key(name: str | None) -> str:
    from gazetools.errors import ConfigError

    key = os.environ.get(name or "OPENAI_API_KEY", "").strip()
    if name and not key:
        raise ConfigError(
            "the environment variable that --key-from names is empty or not there; put the key "
            "into one, and give its name"  # which is not shown: it may be the key by mistake
        )
    return key


def _describe(
    out: Path,
    choice: "Choice",
    writer: "Writer",
    at_once: int,
    overwrite: bool,
    as_json: bool,
    used: dict[str, int],
) -> None:
    from gazetools.describing.asking import NoAnswer
    from gazetools.describing.session import describe as describe_images

    with progress_bar("describing") as progress, _kept_if_interrupted(out):
        summary = describe_images(
            out,
            choice,
            writer,
            at_once=at_once,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        click.echo(json.dumps({"sent": bool(used), "out": str(out), **summary.as_dict(), **used}))
    else:
        _print_described(summary, out, used)
    if summary.failed:
        raise NoAnswer(
            f"{len(summary.failed)} of {len(choice.items)} images have no description: "
            f"{_names(sorted(summary.failed))}; the same command asks only for those"
        )


@contextmanager
def _kept_if_interrupted(out: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"what was answered is kept in {out}; the same command asks for the rest"
        ) from None


def _print_described(summary: "DescribeSummary", out: Path, used: dict[str, int]) -> None:
    failed = sorted(summary.failed.items())
    print_summary(
        f"{out}: {summary.described + summary.reused:,} images",
        [
            ("described", f"{summary.described:,} now, {summary.reused:,} were there"),
            (
                "tokens",
                f"{used['prompt_tokens']:,} in, {used['completion_tokens']:,} out" if used else "",
            ),
            *_left_out(summary),
            *((f"failed: {name}", why) for name, why in failed[:_SHOWN]),
            ("failed, too", _names([name for name, _ in failed[_SHOWN:]])),
        ],
    )


def _print_estimate(
    model: "Model", choice: "Choice", expected: "Estimate", cost: float, as_json: bool
) -> None:
    if as_json:
        told = {"sent": False, "cost": cost, **vars(expected)}
        click.echo(json.dumps(told))
        return
    print_summary(
        "nothing was sent; give --i-may-send-images to send it",
        [
            ("to", f"{_where(model.endpoint.base_url)}, model {model.name}"),
            ("key", "from the environment" if model.endpoint.key else "none"),
            ("seen", " and ".join(model.seen)),
            ("there already", f"{len(choice.items) - expected.images:,} images"),
            ("estimate", _told(expected, cost)),
            *_left_out(choice),
        ],
    )


def _left_out(told: Any) -> list[tuple[str, str]]:
    return [
        ("images without gaze", _names(told.images_without_gaze)),
        ("unknown names in the list", _names(told.names_unknown)),
    ]


def _names(names: list[str]) -> str:
    return printable(listed(names))


def _told(expected: "Estimate", cost: float) -> str:
    text = (
        f"{expected.images:,} images, {expected.bytes / 1e6:,.1f} MB, roughly "
        f"{expected.prompt_tokens:,} tokens in and {expected.completion_tokens:,} out"
    )
    return f"{text}, cost about {cost:,.2f}" if cost else text


def _where(base_url: str) -> str:
    parts = urlsplit(base_url)
    clear = parts.scheme == "http" and parts.hostname not in _LOCAL
    return f"{base_url}{' (not encrypted)' if clear else ''}"
