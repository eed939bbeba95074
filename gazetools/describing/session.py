"""Descriptions of a folder of images: which are missing, what that costs, and writing them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from gazetools.describing.asking import Model, NoAnswer
from gazetools.describing.journal import Journal
from gazetools.describing.prompt import Float64
from gazetools.describing.record import FORMAT, VERSION, Description, check_fields, description
from gazetools.errors import ConfigError, FormatError
from gazetools.files import locked
from gazetools.images import UInt8, list_images, read_image
from gazetools.progress import Progress, Stopped, unseen
from gazetools.rendering.matching import Source, match
from gazetools.rendering.planning import gaze_px, is_on_image, scan
from gazetools.rendering.spec import RenderSummary
from gazetools.splits import SplitSpec, read_lists
from gazetools.tables import FIXATIONS, read_table
from gazetools.workers import on_threads

_LOOKED_AT = 64
_ANSWER_TOKENS = 250
_PX_PER_TOKEN = 750
_CHARACTERS_PER_TOKEN = 4


class Writer(Protocol):
    """Who describes images: a model, or a template that is filled in from the gaze.

    Attributes
    ----------
    name : str
    seen : tuple of str
    instructions : str
        What they are told, whatever the image.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def seen(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def instructions(self) -> str: ...  # noqa: D102

    def words(self, image: UInt8, gaze: Float64 | None) -> Mapping[str, Any]:
        """Return location, boundary, shape, texture, area share, confidence and remarks."""

    def stop(self) -> None:
        """Begin nothing any more."""


class GazeTemplate:
    """Fills in a template from image and gaze, on this machine."""

    name = "gaze-template"
    seen = ("image", "fixations")
    instructions = "gaze-template 1"

    def words(self, image: UInt8, gaze: Float64 | None) -> Mapping[str, Any]:
        """Return the fields of a description."""
        from gazetools.describing.template import words_from_gaze

        if gaze is None:
            raise ConfigError("the template is filled in from the gaze; expected fixations")
        return words_from_gaze(image, gaze)

    def stop(self) -> None:
        """Do nothing: an image takes no time."""


@dataclass(frozen=True)
class Item:
    """One image, and the gaze on it if that is to be told."""

    name: str
    image: Path
    source: Source | None

    def prompt_sha256(self, writer: Writer) -> str:
        """SHA-256 of what is put to the writer beside the image."""
        digest = hashlib.sha256(writer.instructions.encode())
        if self.source is not None:
            for rows in (self.source.gaze, self.source.said_size):
                digest.update(np.ascontiguousarray(rows, "<f8").tobytes())
        return digest.hexdigest()

    def read(self) -> tuple[UInt8, Float64 | None]:
        """Read the image, and place the gaze on it in px.

        Raises
        ------
        FormatError
            It cannot be read, is not the image that was looked at, or no gaze is on it.
        """
        if self.source is None:
            return read_image(self.image), None
        seen = scan(self.source)
        gaze = gaze_px(self.source, seen)[is_on_image(self.source, seen)]
        if not len(gaze):
            raise FormatError(
                f"{self.image}: none of {len(self.source.gaze)} fixations lies on it; positions "
                "are expected in px of the image file, from its top left; mend the table"
            )
        return read_image(self.image), gaze


@dataclass(frozen=True)
class Choice:
    """Which images are to be described.

    Attributes
    ----------
    items : tuple of Item
        Ordered by name.
    others : tuple of Item
        Those of the folder that are not asked for.
    images_without_gaze, names_unknown : list of str
        Left out as nobody looked at them; listed, but not in the folder.
    """

    items: tuple[Item, ...]
    others: tuple[Item, ...]
    images_without_gaze: list[str]
    names_unknown: list[str]


@dataclass(frozen=True)
class Estimate:
    """Roughly what is sent, and what comes back; for images beyond 64 by those of 64."""

    images: int
    bytes: int
    prompt_tokens: int
    completion_tokens: int

    def cost(self, price_in: float, price_out: float) -> float:
        """Return the price of it all; prices are of a million tokens."""
        return (self.prompt_tokens * price_in + self.completion_tokens * price_out) / 1e6


@dataclass
class DescribeSummary:
    """What was done.

    Attributes
    ----------
    described, reused : int
        Images described now, and before.
    failed : dict of str to str
        Images that have no description yet, and why.
    images_without_gaze, names_unknown : list of str
        As in :class:`Choice`.
    """

    described: int = 0
    reused: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    images_without_gaze: list[str] = field(default_factory=list)
    names_unknown: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return asdict(self)


def choose(images: Path, fixations: Path | None = None, only: Path | None = None) -> Choice:
    """Choose the images of a folder: all, those looked at, or those that a list names.

    Raises
    ------
    FormatError
        A folder or file is missing or unreadable.
    ConfigError
        No image is left.
    """
    path_of = list_images(images)
    source_of: dict[str, Source] = {}
    if fixations is not None:
        table, _ = read_table(fixations, FIXATIONS)
        found = match(table, images, None, None, SplitSpec(), RenderSummary())
        source_of = {source.name: source for source in found}
    listed = read_lists([only]) if only is not None else dict.fromkeys(path_of, "")
    blind = set(path_of) - set(source_of) if fixations is not None else set()
    items = [
        Item(name, path, source_of.get(name)) for name, path in path_of.items() if name not in blind
    ]
    choice = Choice(
        tuple(item for item in items if item.name in listed),
        tuple(item for item in items if item.name not in listed),
        sorted(blind & set(listed)),
        sorted(set(listed) - set(path_of)),
    )
    if not choice.items:
        raise ConfigError(
            f"{only or images}: no image to describe is left in {images}; names must match, with "
            "or without suffix, and with fixations only images count that were looked at"
        )
    return choice


def missing(out: Path, choice: Choice, writer: Writer, *, overwrite: bool = False) -> list[Item]:
    """Return the items that `out` does not describe yet; nothing is changed.

    Raises
    ------
    OutputError
        As :class:`Journal` does.
    """
    with _journal(out, choice, writer, overwrite=overwrite) as journal:
        return [item for item in choice.items if item.name not in journal.there]


def estimate(items: Sequence[Item], model: Model) -> Estimate:
    """Estimate what asking costs, by at most 64 of the images; nothing is sent."""
    step = max(1, len(items) // _LOOKED_AT)
    some = items[::step][:_LOOKED_AT]
    characters, pixels, count = 0, 0.0, 0
    for item in some:
        image, gaze = item.read()
        text, jpeg = model.request(image, gaze)
        count += len(text) + 4 * len(jpeg) // 3
        characters += len(text)
        pixels += image[:, :, 0].size * min(1, model.endpoint.max_side / max(image.shape)) ** 2
    share = len(items) / len(some) if some else 0.0
    tokens = characters / _CHARACTERS_PER_TOKEN + pixels / _PX_PER_TOKEN
    return Estimate(
        len(items), round(count * share), round(tokens * share), len(items) * _ANSWER_TOKENS
    )


def describe(
    out: Path,
    choice: Choice,
    writer: Writer,
    *,
    at_once: int = 4,
    overwrite: bool = False,
    progress: Progress = unseen,
) -> DescribeSummary:
    """Describe each image that `out` does not describe yet; each answer is written at once.

    Parameters
    ----------
    out : Path
        A file of descriptions; it is created, or goes on if it is by the same writer.
    choice : Choice
    writer : Writer
    at_once : int
        Images.
    overwrite : bool
        Begin anew if `out` is another's.
    progress : callable
        Called with (done, total, name).

    Returns
    -------
    DescribeSummary
        With the images that failed.

    Raises
    ------
    OutputError
        `out` is another's, is being written, or the disk refuses to take it.
    ConfigError
        The writer cannot go on.
    """
    if at_once < 1:
        raise ConfigError(f"{at_once} images at once; expected 1 or more")
    summary = DescribeSummary(
        images_without_gaze=choice.images_without_gaze, names_unknown=choice.names_unknown
    )
    with locked(out), _journal(out, choice, writer, overwrite=overwrite) as journal:
        todo = [item for item in choice.items if item.name not in journal.there]
        summary.reused = len(choice.items) - len(todo)

        def work(item: Item) -> tuple[str, str]:
            try:
                journal.add(described(item, writer))
            except (NoAnswer, FormatError) as error:
                return item.name, str(error)
            except Stopped:  # whoever stopped it says why
                return item.name, "not asked any more"
            return item.name, ""

        for done, (name, why) in enumerate(on_threads(work, todo, at_once, writer.stop), start=1):
            if why:
                summary.failed[name] = why
            else:
                summary.described += 1
            progress(done, len(todo), name)
    return summary


def described(item: Item, writer: Writer) -> Description:
    """Have one image described.

    Raises
    ------
    FormatError
        The image cannot be read, or what is said of it is no description.
    NoAnswer
        Nothing is said that can be used.
    """
    known = {
        "format": FORMAT,
        "version": VERSION,
        "image": item.name,
        "by": writer.name,
        "seen": list(writer.seen),
        "prompt_sha256": item.prompt_sha256(writer),
    }
    check_fields(known, known)
    words = writer.words(*item.read())
    asked_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return description({**known, **words, "asked_at": asked_at})


def _journal(out: Path, choice: Choice, writer: Writer, *, overwrite: bool) -> Journal:
    items = (*choice.items, *choice.others)
    prompts = {item.name: item.prompt_sha256(writer) for item in items}
    return Journal(out, writer.name, writer.seen, prompts, overwrite=overwrite)
