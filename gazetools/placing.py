"""Where on the screen the images lay by the user's word: a rule, or a table; shares to px."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gazetools.errors import FormatError, GeometryError
from gazetools.events import knows_eyes
from gazetools.geometry import Placement, Screen
from gazetools.images import image_stem, list_images, read_image
from gazetools.readers import Recording
from gazetools.readers.delimited import read_columns
from gazetools.readers.layout import Layout, header_in
from gazetools.readers.opening import read_head

WITH_POSITIONS = ("samples", "fixations", "saccades")
"""Tables of a recording that hold positions."""

_RECTANGLE = ("x_px", "y_px", "width_px", "height_px")
_IMAGE_SIZE = ("image_width", "image_height")


class Locator:
    """Finds where the stimuli of a recording lay by what the user told.

    Parameters
    ----------
    rule : {"fit", "fill", "centre", "none"} or None
    screen_px : (int, int) or None
        Goes before the size that an export tells.
    stimuli : Path or None
        CSV with a rectangle per stimulus; of a spreadsheet also with semicolons or tabs.
    images : Path or None
        Folder of the stimuli, for their sizes; a rule needs it.

    Attributes
    ----------
    given : dict of (str, Placement) to None
        Stimuli and where they lay, as far as the user told and they were shown; in order.

    Raises
    ------
    FormatError
        The table cannot be read.
    GeometryError
        A rule without images.
    """

    def __init__(
        self,
        rule: str | None,
        screen_px: tuple[int, int] | None,
        stimuli: Path | None,
        images: Path | None,
    ) -> None:
        self._rule = rule
        self._display_px = screen_px
        self._source = stimuli or (images if rule is not None else None)
        self._example = "any: they name none"
        self._paths = list_images(images) if images is not None else {}
        self._table = self._read_stimuli(stimuli) if stimuli is not None else {}
        self.given: dict[tuple[str, Placement], None] = {}
        if rule is not None and images is None:
            raise GeometryError(
                f"placement {rule!r} needs the size of the images; pass --images FOLDER"
            )

    def __call__(self, recording: Recording) -> dict[str, Placement]:
        """Return the placement of each stimulus of a recording that the user told."""
        shown = _shown(recording)
        self._example = repr(shown[0]) if shown else self._example
        given = self._by_rule(recording, shown) | self._by_table(shown)
        self.given |= dict.fromkeys(given.items())
        return given

    def unused(self) -> str:
        """Say that a rule or a table placed no stimulus of any recording, if so."""
        if self._source is None or self.given:
            return ""
        return (
            f"{self._source}: holds no stimulus of the exports, such as {self._example}; "
            "names must match, with or without suffix"
        )

    def _by_rule(self, recording: Recording, shown: list[str]) -> dict[str, Placement]:
        if self._rule is None:
            return {}
        screen = self._screen_px(recording)
        return {
            name: Placement.of(self._rule, self._image_size(name), screen)
            for name in shown
            if image_stem(name) in self._paths
        }

    def _by_table(self, shown: list[str]) -> dict[str, Placement]:
        return {
            name: self._table[image_stem(name)] for name in shown if image_stem(name) in self._table
        }

    def _screen_px(self, recording: Recording) -> tuple[int, int]:
        if self._display_px is not None:
            return self._display_px
        if recording.screen_px is not None:
            return recording.screen_px
        if self._rule == "none" or (self._rule == "fill" and recording.normalised):
            return (1, 1)  # gaze is in image pixels, or in shares of the image
        raise GeometryError(
            f"{recording.path}: the export does not say how large the screen is; "
            "pass --screen, e.g. 1920x1080"
        )

    def _image_size(self, stimulus: str) -> tuple[int, int]:
        path = self._paths[image_stem(stimulus)]
        return _size_px(path, path.stat().st_mtime_ns)

    def _read_stimuli(self, path: Path) -> dict[str, Placement]:
        """Read rectangles by the stem of the stimulus."""
        head = read_head(path)
        found, separator = header_in(head)
        missing = {"stimulus", *_RECTANGLE} - set(found)
        if missing:
            raise FormatError(
                f"{path}:1: no column {sorted(missing)[0]!r}; expected stimulus, "
                f"{', '.join(_RECTANGLE)}, and optionally {', '.join(_IMAGE_SIZE)}"
            )
        sizes = [name for name in _IMAGE_SIZE if name in found]
        numbers = {name: name for name in (*_RECTANGLE, *sizes)}
        table = read_columns(path, Layout(separator), {"stimulus": "stimulus"}, numbers)
        rows = table.frame
        table.expect("stimulus", rows["stimulus"].notna(), "a name")
        for name in ("x_px", "y_px"):
            table.expect(name, rows[name].notna(), "a number")
        for name in ("width_px", "height_px"):
            table.expect(name, rows[name] > 0, "more than 0")
        for name in sizes:
            table.expect(name, rows[name].isna() | (rows[name] >= 1), "at least 1, or nothing")
        stems = rows["stimulus"].map(image_stem)
        table.expect("stimulus", ~stems.duplicated(), "every stimulus once")
        return {
            stem: self._rectangle(row)
            for stem, row in zip(stems, rows.to_dict("records"), strict=True)
        }

    def _rectangle(self, row: dict[str, Any]) -> Placement:
        left, top, width, height = (float(row[name]) for name in _RECTANGLE)
        size = tuple(row.get(name, np.nan) for name in _IMAGE_SIZE)
        if np.isnan(size).any():
            known = image_stem(row["stimulus"]) in self._paths
            size = self._image_size(row["stimulus"]) if known else (width, height)
        return Placement(left, top, width, height, round(size[0]), round(size[1]))


@cache
def _size_px(image: Path, changed_ns: int) -> tuple[int, int]:
    """Width and height of an image; many exports show the same ones."""
    height, width, _ = read_image(image).shape
    return width, height


def _shown(recording: Recording) -> list[str]:
    """Names of all stimuli of a recording."""
    names = pd.concat([recording.samples["stimulus"], recording.fixations["stimulus"]])
    return sorted(names.dropna().unique())


def screen_of(recording: Recording, told: Screen | None) -> Screen | None:
    """Return the display that angles are measured by: the user's word, else the export's.

    Raises
    ------
    GeometryError
        Angles depend on the user's word, and the export tells another size in px.
    """
    if told is None:
        return recording.screen
    size_px = (told.width_px, told.height_px)
    must_assume = not recording.samples.empty and not knows_eyes(recording.samples)
    if must_assume and recording.screen_px not in (None, size_px):
        raise GeometryError(
            f"{recording.path}: its display had {'x'.join(map(str, recording.screen_px))} px, but "
            f"--screen says {'x'.join(map(str, size_px))}; give px, mm and distance of the display "
            "that was used, one export at a time if they differ"
        )
    return told


def in_px(recording: Recording, display_px: tuple[int, int] | None) -> Recording:
    """Turn positions that are shares of the display into px, if its size is told."""
    if not recording.normalised or display_px is None:
        return recording
    tables = {name: scaled(getattr(recording, name), *display_px) for name in WITH_POSITIONS}
    return replace(recording, **tables, screen_px=display_px, normalised=False)


def scaled(table: pd.DataFrame, width: npt.ArrayLike, height: npt.ArrayLike) -> pd.DataFrame:
    """Return a table with all positions ``..x_px``, ``..y_px`` times a size, or one of each row.

    Parameters
    ----------
    table : DataFrame
    width, height : float or (n,) float64
    """
    ends = {"x_px": np.asarray(width, float), "y_px": np.asarray(height, float)}
    sizes = {name: size for name in table for end, size in ends.items() if str(name).endswith(end)}
    return table.assign(**{name: table[name] * size for name, size in sizes.items()})


def placed(fixations: pd.DataFrame, placements: Mapping[str, Placement]) -> pd.DataFrame:
    """Fill in image coordinates of fixations on stimuli whose place is known."""
    number = pd.Index(list(placements), dtype="str").get_indexer(fixations["stimulus"])
    here = (number >= 0) & fixations["x_im"].isna().to_numpy()
    if not here.any():
        return fixations
    place = pd.DataFrame([asdict(place) for place in placements.values()]).iloc[number[here]]
    place = place.set_axis(fixations.index[here])
    scale_x = place["image_width"] / place["width_px"]
    scale_y = place["image_height"] / place["height_px"]
    found = {
        "x_im": (fixations.loc[here, "x_px"] - place["x_px"]) * scale_x,
        "y_im": (fixations.loc[here, "y_px"] - place["y_px"]) * scale_y,
        "image_width": place["image_width"],
        "image_height": place["image_height"],
    }
    known = {n: v.astype(fixations[n].dtype).combine_first(fixations[n]) for n, v in found.items()}
    return fixations.assign(**known)
