"""Scanpaths in the layout of COCO-Search18 and COCO-FreeView, which prediction models read.

Source of the layout: the readme.txt that comes with COCO-Search18's fixations (version 1.0,
06/2020) and the free-viewing files of the same makers. One JSON list, one item a scanpath::

    {"name": "000000533906.jpg", "subject": 1, "task": "none", "condition": "freeview",
     "X": [848.2, ...], "Y": [519.0, ...], "T": [107, ...], "length": 9, "split": "train"}

``X``, ``Y`` are px of the image from its top left, ``T`` durations in whole ms, ``split`` is train,
valid or test.

What differs from the original:

- There all images were resized and padded to 1680 x 1050 px. Ours stay as they are, and so do
  positions: each item has the ``width`` and ``height`` of its image, where they are known, by
  which a model's loader must scale.
- There a scanpath begins with the central fixation before the search. Ours begins with the first
  fixation that was recorded.
- ``subject`` counts participants from 1, in the order of their names; names are not told.
- ``bbox``, ``correct`` and ``RT`` of a search are not known to our tables, and left out; so
  ``condition`` is freeview, as in COCO-FreeView.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import ConfigError, FormatError, GeometryError
from gazetools.exporting.exported import Exported, LeftOut, beside_fixations
from gazetools.exporting.parting import check_lists, is_on_image, split_of
from gazetools.exporting.reading import Tables
from gazetools.files import replacing
from gazetools.images import image_stem, list_images, read_image

_SPLITS = {"train": "train", "val": "valid", "test": "test"}
_TRIAL = ["subject", "recording", "trial", "stimulus"]


@dataclass(frozen=True)
class ScanpathSpec:
    """What scanpaths say beside the table.

    Attributes
    ----------
    task : str
        What was looked for, in all of them.
    splits : tuple of Path
        Lists of names, train.txt, val.txt, test.txt; without any, all is train.
    images : Path or None
        Folder; needed where positions are shares of an image whose size the table does not tell.
    """

    task: str = "none"
    splits: tuple[Path, ...] = ()
    images: Path | None = None

    def __post_init__(self) -> None:
        if not self.task or not self.task.isprintable():
            raise ConfigError(f"task is {self.task!r}; expected what was looked for, in a word")
        check_lists(self.splits)


def export_scanpaths(
    tables: Tables, out: Path, spec: ScanpathSpec | None = None, *, overwrite: bool = False
) -> Exported:
    """Write the fixations that lie on an image as scanpaths.

    Raises
    ------
    GeometryError
        No fixation lies on an image, or positions are shares of images that are not given.
    SchemaError
        Something was looked at that is in no list.
    FormatError
        An image cannot be found or read.
    OutputError
        The file exists, or cannot be written.
    """
    spec = spec or ScanpathSpec()
    fixations = tables.fixations
    on_image = is_on_image(fixations)
    if not on_image.any():
        raise GeometryError(
            "no fixation has a position on an image; ingest with --placement or --stimuli, so "
            "that screen px become image px"
        )
    items = list(scanpaths(fixations[on_image], spec))
    with replacing(out, overwrite=overwrite) as temporary:
        text = json.dumps(items, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        temporary.write_text(text, encoding="utf-8")
    left_out = beside_fixations(tables)
    if nowhere := int((~on_image).sum()):
        left_out.insert(0, LeftOut(nowhere, "fixations", "without a position on an image"))
    return Exported(1, {"fixations": int(on_image.sum())}, tuple(left_out))


def scanpaths(fixations: pd.DataFrame, spec: ScanpathSpec) -> Iterator[dict[str, Any]]:
    """Yield one dict a scanpath; see the module's text.

    Parameters
    ----------
    fixations : DataFrame
        FIXATIONS, each with a position on an image.
    spec : ScanpathSpec
    """
    fixations = _in_px(fixations, spec.images)
    fixations = fixations.assign(split=split_of(fixations["stimulus"], spec.splits).map(_SPLITS))
    numbers = {name: number for number, name in enumerate(sorted(set(fixations["subject"])), 1)}
    ordered = fixations.sort_values([*_TRIAL, "order"], kind="stable")
    for (subject, _, _, stimulus), rows in ordered.groupby(_TRIAL, sort=False):
        first = rows.iloc[0]
        yield {
            "name": stimulus,
            "subject": numbers[subject],
            "task": spec.task,
            "condition": "freeview",
            "X": rows["x_im"].round(3).tolist(),
            "Y": rows["y_im"].round(3).tolist(),
            "T": [max(1, round(duration)) for duration in rows["duration_ms"]],
            "length": len(rows),
            "split": first["split"],
            **{
                side: int(first[f"image_{side}"])
                for side in ("width", "height")
                if pd.notna(first[f"image_{side}"])
            },
        }


def _in_px(fixations: pd.DataFrame, images: Path | None) -> pd.DataFrame:
    """Turn shares of images into px."""
    is_share = ((fixations["image_width"] == 1) & (fixations["image_height"] == 1)).fillna(False)
    is_share = is_share.to_numpy(np.bool_)
    if not is_share.any():
        return fixations
    if images is None:
        raise GeometryError(
            f"{int(is_share.sum()):,} positions are shares of an image whose size the table does "
            "not tell; name the folder of images with --images"
        )
    size = _sizes(fixations["stimulus"][is_share], images)
    fixations = fixations.copy()
    for column, side, axis in (("x_im", "image_width", 0), ("y_im", "image_height", 1)):
        length = fixations["stimulus"][is_share].map({name: size[name][axis] for name in size})
        fixations.loc[is_share, column] *= length
        fixations.loc[is_share, side] = length
    return fixations


def _sizes(stimuli: pd.Series, images: Path) -> dict[str, tuple[int, int]]:
    """Width and height of the image of each stimulus."""
    image_of = list_images(images)
    sizes: dict[str, tuple[int, int]] = {}
    for name in stimuli.unique():
        if image_stem(name) not in image_of:
            raise FormatError(f"{images}: no image of stimulus {name!r}; add it")
        height, width = read_image(image_of[image_stem(name)]).shape[:2]
        sizes[name] = width, height
    return sizes
