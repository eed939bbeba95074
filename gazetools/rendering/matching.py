"""Which fixations, image and reference mask belong together."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools.curation import read_curation
from gazetools.errors import FormatError, GeometryError
from gazetools.images import image_stem, list_images
from gazetools.rendering.spec import RenderSummary
from gazetools.splits import SplitSpec, read_lists

Float64 = npt.NDArray[np.float64]

_PRESENTATION = ["subject", "recording", "trial"]
_ROWS = ["x_im", "y_im", "onset_ms", "duration_ms", "track"]


@dataclass(frozen=True)
class Source:
    """Where one item comes from.

    Attributes
    ----------
    name : str
    image : Path
    mask : Path or None
    gaze : ndarray of float64, shape (n, 5)
        x_im, y_im, onset_ms, duration_ms, track (from 0: one for each presentation, whoever
        looked, however often); ordered by track, then as looked at.
    said_size : ndarray of float64, shape (n, 2)
        Width and height of the image as the fixation table says, NaN where it does not; 1 x 1
        if positions are shares.
    probability : Path or None
        What a network says of the image.
    """

    name: str
    image: Path
    mask: Path | None
    gaze: Float64
    said_size: Float64
    probability: Path | None = None


def curated(table: pd.DataFrame, path: Path | None, summary: RenderSummary) -> pd.DataFrame:
    """Apply the decisions of a file, if there is one, to a table of fixations.

    Raises
    ------
    FormatError
        The file is not what its format says, or a decision does not fit the table.
    GeometryError
        Nothing is left.
    """
    if path is None:
        return table
    curation = read_curation(path)
    try:
        left, done = curation.applied(table)
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error
    if len(table) and not len(left):
        raise GeometryError(
            f"{path}: leaves none of {len(table):,} fixations; remove some of its decisions"
        )
    summary.curation = done.as_dict()
    return left


def match(
    table: pd.DataFrame,
    images: Path,
    masks: Path | None,
    probabilities: Path | None,
    split: SplitSpec,
    summary: RenderSummary,
) -> list[Source]:
    """Find every image that was looked at, and every listed test image, ordered by name.

    Raises
    ------
    FormatError
        A folder is missing, a mask belongs to no image, the lists name none of the images, or
        an image that was looked at has no probabilities where others have.
    GeometryError
        No stimulus has both an image and a fixation on it, or all positions are shares of the
        image's sides and not said to be.
    """
    image_of = list_images(images)
    mask_of = list_images(masks) if masks is not None else {}
    orphan = next((mask_of[stem] for stem in mask_of if stem not in image_of), None)
    if orphan is not None:
        raise FormatError(f"{orphan}: no image of that name in {images}; remove or rename it")
    placed = _placed(table, summary)
    _check_unit(table[placed])
    looked_at = _gaze_by_image(table[placed])
    nowhere = set(table.loc[~placed, "stimulus"].dropna()) - set(table.loc[placed, "stimulus"])
    listed = read_lists(split.files)
    summary.stimuli_without_position = sorted(nowhere)
    summary.stimuli_without_image = sorted(set(looked_at) - set(image_of))
    summary.images_without_gaze = sorted(set(image_of) - set(looked_at))
    summary.split_names_unknown = sorted(set(listed) - set(image_of))
    if listed and not set(listed) & set(image_of):
        raise FormatError(
            f"{split.files[0]}: no name of the given lists is one of an image in {images}: listed "
            f"{_some(listed)}, images {_some(image_of)}; names must match, with or without suffix"
        )
    names = set(looked_at) & set(image_of)
    if not looked_at:
        dropped = ", ".join(f"{n:,} {why}" for why, n in summary.fixations_dropped.items() if n)
        raise GeometryError(
            f"none of {len(table):,} fixations lies on an image ({dropped or 'there are none'}); "
            "ingest again with --placement or --stimuli, or mend the table"
        )
    if not names:
        raise GeometryError(
            f"no stimulus with fixations has an image in {images}: stimuli "
            f"{_some(looked_at) or 'none'}, images {_some(image_of)}; names must match, with or "
            "without suffix"
        )
    for_test = {name for name in summary.images_without_gaze if listed.get(name) == "test"}
    probability_of = _probabilities(probabilities, names)
    nothing = np.empty((0, len(_ROWS))), np.empty((0, 2))
    return [
        Source(
            name,
            image_of[name],
            mask_of.get(name),
            *looked_at.get(name, nothing),
            probability_of.get(name),
        )
        for name in sorted(names | for_test)
    ]


def _probabilities(folder: Path | None, names: Set[str]) -> dict[str, Path]:
    """Files of probabilities by image; all that were looked at have one, or there are none."""
    if folder is None:
        return {}
    found = list_images(folder)
    missing = sorted(names - set(found))
    if missing:
        raise FormatError(
            f"{folder}: no probabilities of {missing[0]!r} ({len(missing)} of {len(names)} images "
            "are missing); write them with gradtrack-predict --probabilities"
        )
    return {name: found[name] for name in names}


def _placed(table: pd.DataFrame, summary: RenderSummary) -> pd.Series:
    """Tell which fixations lie on an image; the others are counted."""
    named = table["stimulus"].notna()
    known = np.isfinite(table[["x_im", "y_im"]]).all(axis=1) & named
    x, y = table["x_im"], table["y_im"]
    off = known & (
        (x < 0)
        | (y < 0)
        | (x >= table["image_width"].astype("Float64").fillna(np.inf))
        | (y >= table["image_height"].astype("Float64").fillna(np.inf))
    )
    summary.fixations_dropped["without a stimulus"] += int((~named).sum())
    summary.fixations_dropped["without a position"] += int((named & ~known).sum())
    summary.fixations_dropped["off the image"] += int(off.sum())
    return known & ~off


def _check_unit(table: pd.DataFrame) -> None:
    """Refuse shares that would be taken for px: all gaze would lie in one corner."""
    in_px = table[(table["image_width"] != 1).fillna(True)]
    if len(in_px) and (in_px[["x_im", "y_im"]] <= 1).all(axis=None):
        raise GeometryError(
            f"all {len(in_px):,} positions in px of the image are from 0 to 1, as shares of its "
            "sides are; of shares set image_width and image_height to 1"
        )


def _gaze_by_image(table: pd.DataFrame) -> dict[str, tuple[Float64, Float64]]:
    """Part a table into the `gaze` and `said_size` of each image; see :class:`Source`."""
    names = {stimulus: image_stem(stimulus) for stimulus in table["stimulus"].unique()}
    table = table.assign(image=table["stimulus"].map(names))
    table = table.sort_values(["image", *_PRESENTATION, "order"], ignore_index=True)
    first = ~table.duplicated("image")
    presentation = (~table.duplicated(["image", *_PRESENTATION])).cumsum()
    table["track"] = presentation - presentation.where(first).ffill()
    gaze = table[_ROWS].to_numpy(np.float64)
    size = table[["image_width", "image_height"]].to_numpy(np.float64, na_value=np.nan)
    begins = np.flatnonzero(first)
    parts = zip(np.split(gaze, begins[1:]), np.split(size, begins[1:]), strict=True)
    return dict(zip(table["image"][first], parts, strict=True)) if len(table) else {}


def _some(names: Mapping[str, Any], most: int = 3) -> str:
    shown = ", ".join(sorted(names)[:most])
    return f"{shown} ..." if len(names) > most else shown
