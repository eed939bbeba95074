"""Which split a row belongs to, by lists of image names."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from gazetools.errors import SchemaError
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


def split_of(stimulus: pd.Series, files: Sequence[Path]) -> pd.Series:
    """Split of each row: train, val or test; null where there is no stimulus.

    Parameters
    ----------
    stimulus : Series of str
    files : sequence of Path
        Lists of names, train.txt, val.txt, test.txt; without any, all is train.

    Raises
    ------
    SchemaError
        Something was looked at that is in no list.
    FormatError, ConfigError
        A list cannot be read, or a name is in two.
    """
    if not files:
        return pd.Series("train", index=stimulus.index, dtype="str")
    listed = read_lists(files)
    names = [str(name) for name in stimulus.dropna().unique()]
    unlisted = sorted(name for name in names if image_stem(name) not in listed)
    if unlisted:
        raise SchemaError(
            f"stimulus {unlisted[0]!r} ({len(unlisted)} of {len(names)}) is in none of "
            f"{', '.join(file.name for file in files)}; add it to the list that it belongs to"
        )
    return stimulus.map({name: listed[image_stem(name)] for name in names}).astype("str")
