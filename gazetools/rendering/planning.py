"""The first look at every image: what it is, which split it goes to, what makes up its item."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gazetools.errors import FormatError, GeometryError
from gazetools.files import file_sha256
from gazetools.geometry import inside
from gazetools.images import (
    UInt8,
    decode_image,
    decode_mask,
    decode_probability,
    file_content,
)
from gazetools.rendering.matching import Source
from gazetools.rendering.spec import RenderSpec, RenderSummary
from gazetools.splits import (
    SplitSpec,
    assign,
    difference_hash,
    group_images,
    parted_groups,
    read_lists,
)


@dataclass(frozen=True)
class Scan:
    """What the first look at an item's files tells."""

    width: int
    height: int
    hash: npt.NDArray[np.uint8]
    image_sha256: str
    mask_sha256: str | None
    probability_sha256: str | None = None


@dataclass(frozen=True)
class Job:
    """One item that a cache is to hold.

    Attributes
    ----------
    name, split : str
    image : Path
    mask, probability : Path or None
    width, height : int
        Size of the image, px.
    image_sha256, mask_sha256, probability_sha256 : str
        Of the files when they were planned.
    gaze : ndarray of float64, shape (n, 5)
        As in :class:`Source`, positions in px of the image.
    made_from : str
        SHA-256 of all that decides the item's pictures and gaze, but for its name and split.
    """

    name: str
    split: str
    image: Path
    mask: Path | None
    probability: Path | None
    width: int
    height: int
    image_sha256: str
    mask_sha256: str | None
    probability_sha256: str | None
    gaze: npt.NDArray[np.float64]
    made_from: str


@dataclass(frozen=True)
class Plan:
    """What a cache is to hold: its jobs, ordered by name, and how and from what it is made."""

    jobs: Sequence[Job]
    spec: RenderSpec
    recipe: Mapping[str, Any]
    sources: Mapping[str, str]

    def changed_since(self, recipe: Mapping[str, Any]) -> list[str]:
        """Say which settings of `render` differ from those of a recipe; gaze is no setting."""
        before = {k: v for k, v in recipe.items() if k not in ("ingest", "curation")}
        return changes(before, self.spec.recipe())


def scan(source: Source) -> Scan:
    """Check an item's files against the table before anything is rendered.

    Raises
    ------
    FormatError
        Image or mask cannot be read, or has another size than it should.
    """
    content = file_content(source.image)
    image = decode_image(content, source.image)
    height, width, _ = image.shape
    for said_width, said_height in np.unique(_said_px(source), axis=0):
        if (said_width, said_height) != (width, height):
            raise FormatError(
                f"{source.image}: is {width} x {height} px, but the fixation table says "
                f"{said_width:.0f} x {said_height:.0f}; use the images that were shown"
            )
    return Scan(
        width,
        height,
        difference_hash(image),
        sha256(content),
        _checked(source.mask, decode_mask, (height, width)),
        _checked(source.probability, decode_probability, (height, width)),
    )


def _checked(
    path: Path | None, decode: Callable[[bytes, Path], UInt8], size: tuple[int, int]
) -> str | None:
    """Return the SHA-256 of a file that must have the size of its image."""
    if path is None:
        return None
    content = file_content(path)
    height, width = decode(content, path).shape
    if (height, width) != size:
        raise FormatError(
            f"{path}: is {width} x {height} px, its image {size[1]} x {size[0]}; expected the "
            "size of the image"
        )
    return sha256(content)


def sha256(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def on_image(
    sources: Sequence[Source], scans: Sequence[Scan], split: SplitSpec, summary: RenderSummary
) -> tuple[list[Source], list[Scan]]:
    """Drop fixations off images whose size the table does not tell, and images left without any.

    Raises
    ------
    GeometryError
        No fixation is left.
    """
    within = [_on_image(*pair, summary) for pair in zip(sources, scans, strict=True)]
    if not any(len(source.gaze) for source in within):
        raise GeometryError(
            f"none of {summary.fixations_dropped['off the image']:,} fixations lies on its image; "
            "positions are expected in px of the image file, from its top left; mend the table"
        )
    bare = {
        after.name
        for before, after in zip(sources, within, strict=True)
        if len(before.gaze) > len(after.gaze) == 0
    }
    summary.images_without_gaze = sorted(bare.union(summary.images_without_gaze))
    listed = read_lists(split.files)
    kept = [
        (source, seen)
        for source, seen in zip(within, scans, strict=True)
        if source.name not in bare or listed.get(source.name) == "test"
    ]
    return [source for source, _ in kept], [seen for _, seen in kept]


def _on_image(source: Source, seen: Scan, summary: RenderSummary) -> Source:
    on_it = is_on_image(source, seen)
    if on_it.all():
        return source
    summary.fixations_dropped["off the image"] += int((~on_it).sum())
    gaze = source.gaze[on_it]
    gaze[:, -1] = np.unique(gaze[:, -1], return_inverse=True)[1]  # tracks count from 0 again
    return replace(source, gaze=gaze, said_size=source.said_size[on_it])


def plan_jobs(
    sources: Sequence[Source], scans: Sequence[Scan], spec: RenderSpec, summary: RenderSummary
) -> list[Job]:
    """Choose splits and tell what each item is made from."""
    splits = _choose_splits(sources, scans, spec, summary)
    drawing = json.dumps(spec.drawing(), sort_keys=True)
    return [
        _job(source, seen, split, drawing)
        for source, seen, split in zip(sources, scans, splits, strict=True)
    ]


def digests(fixations: Path, curation: Path | None, scans: Sequence[Scan]) -> dict[str, str]:
    """Digests of the inputs, for the provenance of the cache."""

    def joined(parts: Iterable[str]) -> str:
        return sha256("".join(parts).encode())

    told = {
        "fixations": file_sha256(fixations),
        "images": joined(seen.image_sha256 for seen in scans),
        "masks": joined(seen.mask_sha256 or "none" for seen in scans),
    }
    if any(seen.probability_sha256 for seen in scans):
        told["probabilities"] = joined(seen.probability_sha256 or "none" for seen in scans)
    if curation is not None:
        told["curation"] = file_sha256(curation)
    return told


def _said_px(source: Source) -> npt.NDArray[np.float64]:
    known = np.isfinite(source.said_size).all(axis=1)
    shares = (source.said_size == 1).all(axis=1)
    return np.asarray(source.said_size[known & ~shares])


def gaze_px(source: Source, seen: Scan) -> npt.NDArray[np.float64]:
    """Gaze (n, 5) of a source in px of its image, whether the table has px or shares."""
    shares = (source.said_size == 1).all(axis=1)
    gaze = source.gaze.copy()
    gaze[shares, :2] *= (seen.width, seen.height)
    return gaze


def is_on_image(source: Source, seen: Scan) -> npt.NDArray[np.bool_]:
    """Whether each fixation (n,) of a source lies on its image, whose size no table need tell."""
    x_px, y_px = gaze_px(source, seen)[:, :2].T
    return inside(x_px, y_px, seen.width, seen.height)


def _job(source: Source, seen: Scan, split: str, drawing: str) -> Job:
    gaze = gaze_px(source, seen)
    files = [drawing, seen.image_sha256, seen.mask_sha256 or "none"]
    if seen.probability_sha256:
        files.append(seen.probability_sha256)
    made_from = sha256(
        "\n".join((*files, "")).encode() + np.ascontiguousarray(gaze, "<f8").tobytes()
    )
    return Job(
        source.name,
        split,
        source.image,
        source.mask,
        source.probability,
        seen.width,
        seen.height,
        seen.image_sha256,
        seen.mask_sha256,
        seen.probability_sha256,
        gaze,
        made_from,
    )


def _choose_splits(
    sources: Sequence[Source], scans: Sequence[Scan], spec: RenderSpec, summary: RenderSummary
) -> list[str]:
    names = [source.name for source in sources]
    hashes = np.stack([seen.hash for seen in scans])
    groups = group_images(names, hashes, spec.split)
    splits = assign(names, groups, spec.split)
    summary.splits.update(splits)
    summary.largest_group = int(np.bincount(groups).max())
    summary.parted_groups = parted_groups(names, groups, splits)
    return splits


def changes(before: Mapping[str, Any], now: Mapping[str, Any], name: str = "") -> list[str]:
    """Say what differs between two recipes, such as "tracks.levels was 4, is 2"."""
    told = []
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            told += changes(old, new, f"{name}{key}.")
        elif old != new:
            told.append(f"{name}{key} was {_shown(old)}, is {_shown(new)}")
    return told


def _shown(value: Any) -> str:
    return "not there" if value is None else json.dumps(value)
