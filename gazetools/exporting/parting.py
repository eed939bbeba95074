"""Which stimuli are images, and which split a row belongs to by lists of their names."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import SchemaError
from gazetools.exporting.reading import Tables
from gazetools.geometry import inside
from gazetools.images import image_stem
from gazetools.splits import SplitSpec, read_lists


def check_lists(files: Sequence[Path]) -> None:
    """Check the names of split files before anything is read.

    Raises
    ------
    ConfigError
        A file's stem is not train, val or test.
    """
    SplitSpec(files=tuple(files))


def is_on_image(fixations: pd.DataFrame) -> pd.Series:
    """Tell of each of FIXATIONS whether it has a position on an image; bool.

    Where the size of the image is not known, every position is on it.
    """
    size = fixations[["image_width", "image_height"]].astype("Float64").fillna(np.inf)
    on_image = inside(fixations["x_im"], fixations["y_im"], *size.to_numpy(np.float64).T)
    return fixations["stimulus"].notna() & on_image


def no_images(tables: Tables) -> frozenset[str]:
    """Name the stimuli that are no images: calibrations and crosses between them.

    On them no fixation, if there is any, has a position on an image. Where no fixation at all has
    one, nothing is known, and none is named.
    """
    on_image = is_on_image(tables.fixations)
    if not on_image.any():
        return frozenset()
    shown = pd.concat([table["stimulus"] for _, table in tables.given()])
    return frozenset(shown.dropna().unique()) - frozenset(tables.fixations["stimulus"][on_image])


def split_of(
    stimulus: pd.Series, files: Sequence[Path], may_lack: Collection[str] = ()
) -> pd.Series:
    """Split of each row: train, val or test; null where there is no stimulus.

    Parameters
    ----------
    stimulus : Series of str
    files : sequence of Path
        Lists of names, train.txt, val.txt, test.txt; without any, all is train.
    may_lack : collection of str
        Stimuli that need not be in a list; null where they are in none.

    Raises
    ------
    SchemaError
        Something else was looked at that is in no list.
    FormatError, ConfigError
        A list cannot be read, or a name is in two.
    """
    if not files:
        return pd.Series("train", index=stimulus.index, dtype="str")
    listed = read_lists(files)
    names = [str(name) for name in stimulus.dropna().unique()]
    unlisted = sorted(n for n in names if image_stem(n) not in listed and n not in may_lack)
    if unlisted:
        raise SchemaError(
            f"stimulus {unlisted[0]!r} ({len(unlisted)} of {len(names)}) is in none of "
            f"{', '.join(file.name for file in files)}; add it to the list that it belongs to"
        )
    return stimulus.map({name: listed.get(image_stem(name)) for name in names}).astype("str")
