"""Stimuli as cards: the picture with its scanpaths, and the layers that lie over it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.cache import Cache
from gazetools.errors import ConfigError, FormatError
from gazetools.images import list_images, read_image
from gazetools.masks import FOREGROUND
from gazetools.reporting.gaze import (
    Gaze,
    Scanpath,
    Size,
    gaze_of_cache,
    gaze_of_tables,
    named_by,
)
from gazetools.reporting.pictures import fitted, outline, webp_url
from gazetools.reporting.runs import Run
from gazetools.reporting.samples import TrialKey, samples_of
from gazetools.reporting.sources import Sources
from gazetools.reporting.spec import ReportSpec, key_of
from gazetools.reporting.timelines import Telling, timeline_of
from gazetools.reporting.words import counted, shown
from gazetools.tables import BLINKS
from gazetools.tracks import TrackSpec

_VIEW = 1000.0
_THINNEST = 40.0
_RADIUS = 20.0
_RADII = (7.0, 70.0)
_MOST_FIXATIONS = 500
_MOST_SCANPATHS = 12
_MOST_MEASURED = 1000
_MAP_PX, _MAP_QUALITY, _PICTURE_QUALITY = 128, 55, 72
_UNKNOWN_SIZE = (4.0, 3.0)
_ORDER_COLOURS = np.array(
    # viridis (van der Walt and Smith): ordered, and told apart by the colour-blind
    [(72, 36, 117), (65, 68, 135), (53, 95, 141), (42, 120, 142), (33, 145, 140),
     (34, 168, 132), (68, 191, 112), (122, 209, 81), (189, 223, 38), (253, 231, 37)],
    np.float64,
)  # fmt: skip


@dataclass(frozen=True)
class Dot:
    """One fixation in the view box: its number, place, radius, colour, and its span of time."""

    order: int
    x: float
    y: float
    r: float
    colour: str
    onset_ms: int
    duration_ms: int


@dataclass(frozen=True)
class Drawn:
    """One scanpath in the view box."""

    label: str
    path: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Card:
    """What the page shows of one stimulus."""

    number: int
    name: str
    view: tuple[float, float]
    picture: str
    scanpaths: tuple[Drawn, ...]
    readers: int
    fixations: int
    seconds: float
    split: str = ""
    dice: float | None = None
    predicted_dice: float | None = None
    flags: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listed:
    """A stimulus that is only named."""

    name: str
    fixations: int


class Stimuli:
    """All stimuli of a report, in the order in which they are shown.

    Attributes
    ----------
    gaze : Gaze or None
        Of the tables, if some are given, else of the cache.
    order : list of str
        Names, those to be shown first.
    """

    def __init__(self, sources: Sources, spec: ReportSpec) -> None:
        self._spec, self._sources, self._cache = spec, sources, sources.cache
        self._of_tables = gaze_of_tables(sources.fixations) if sources.fixations else None
        self._of_cache = gaze_of_cache(sources.cache) if sources.cache else None
        if self._of_tables is not None and self._of_cache is not None:
            self._of_cache = named_by(self._of_tables, self._of_cache)
        self.gaze = self._of_tables or self._of_cache
        self._places = self._find()
        self._flags = _flags_by_stimulus(sources)
        self._dice = _dice_by_stimulus(sources.runs)
        self._images = list_images(spec.images) if spec.images is not None else {}
        self._unit_ms = _typical_ms(self.gaze)
        self.order = self._ordered()

    def __len__(self) -> int:
        return len(self.order)

    @property
    def flagged(self) -> int:
        """How many of them have a flagged trial."""
        return sum(name in self._flags for name in self.order)

    def listed(self, name: str) -> Listed:
        """Name a stimulus and count its fixations."""
        gaze, position = self._places[name]
        return Listed(shown(name), int(gaze.counts[position]))

    def measured(self) -> Gaze | None:
        """Return the gaze with the proportions that only images tell, of so many stimuli."""
        if self.gaze is None:
            return None
        known = zip(self.gaze.names, self.gaze.sizes, strict=True)
        left = iter(range(_MOST_MEASURED))
        return replace(
            self.gaze, sizes=[size or self._size_of_image(name, left) for name, size in known]
        )

    def _find(self) -> dict[str, tuple[Gaze, int]]:
        """Where the fixations of each stimulus are: in the cache, else in the tables."""
        sets = [gaze for gaze in (self._of_cache, self._of_tables) if gaze is not None]
        places: dict[str, tuple[Gaze, int]] = {}
        for gaze in sets:
            for position, name in enumerate(gaze.names):
                places.setdefault(name, (gaze, position))
        return places

    def _ordered(self) -> list[str]:
        names = list(self._places)
        if self._spec.only is not None:
            names = self._chosen(self._spec.only)
        if self._spec.order == "flagged":
            return sorted(names, key=lambda name: name not in self._flags)
        if self._spec.order == "worst":
            return sorted(names, key=self._merit)
        return names

    def _merit(self, name: str) -> float:
        if name in self._dice:
            return self._dice[name]
        index = self._item(name)
        if self._dice or index is None or self._cache is None:
            return 2.0
        dice = _pseudo_dice(self._cache, index)
        return 2.0 if dice is None else dice

    def _chosen(self, only: tuple[str, ...]) -> list[str]:
        names = list(dict.fromkeys(n if n in self._places else key_of(n) for n in only))
        unknown = [name for name in names if name not in self._places]
        if unknown:
            raise FormatError(
                f"stimulus {unknown[0]!r} is not among the {len(self._places)} given; "
                "name those of the cache or the table"
            )
        return names

    def _item(self, name: str) -> int | None:
        """Position in the cache."""
        gaze, position = self._places[name]
        return position if gaze is self._of_cache else None

    def card(self, number: int, name: str) -> Card:
        """Make the card of a stimulus, which has that number on the page."""
        gaze, position = self._places[name]
        index = self._item(name)
        remarks: list[str] = []
        picture, size = self._picture(name, index, remarks)
        view = _view(gaze.sizes[position] or size)
        scanpaths = gaze.of(position)
        if not picture:
            remarks.append(_ground(gaze, position))
        if not scanpaths:
            remarks.append("no gaze")
        drawn = _drawn(scanpaths, view, self._unit_ms)
        left_out = len(scanpaths) - len(drawn)
        if left_out:
            remarks.append(f"{left_out:,} more scanpaths are not drawn")
        count = int(gaze.counts[position])
        nowhere = count - sum(len(path.x) for path in scanpaths)
        if nowhere and scanpaths:
            remarks.append(f"{counted(nowhere, 'fixation')} without a position on the image")
        cache = self._cache if index is not None else None
        dice = None if cache is None or index is None else _pseudo_dice(cache, index)
        if cache is not None and index is not None and not cache.items[index].has_mask:
            remarks.append("no reference mask")
        return Card(
            number=number,
            name=shown(name),
            view=view,
            picture=picture,
            scanpaths=drawn,
            readers=len(scanpaths),
            fixations=count,
            seconds=gaze.fixated_ms(position) / 1000,
            split=cache.items[index].split if cache is not None and index is not None else "",
            dice=dice,
            predicted_dice=self._dice.get(name),
            flags=tuple(self._flags.get(name, ())),
            remarks=tuple(remarks),
        )

    def layers(self, name: str, card: Card) -> dict[str, Any]:
        """Make what the page's script lays over a card, and what it draws over time."""
        gaze, position = self._places[name]
        index = self._item(name)
        drawn = gaze.of(position)[: len(card.scanpaths)]
        found = {"labels": [path.label for path in card.scanpaths], **self._timelines(drawn)}
        if self._cache is not None and index is not None:
            found |= _layers(self._cache, index, card.view)
        return found

    def _size_of_image(self, name: str, left: Iterator[int]) -> Size | None:
        index = self._item(name)
        if self._of_cache is not None and index is not None:
            return self._of_cache.sizes[index]
        if name not in self._images or next(left, None) is None:
            return None
        image = _readable(self._images[name], [])
        return None if image is None else (float(image.shape[1]), float(image.shape[0]))

    def _timelines(self, scanpaths: list[Scanpath]) -> dict[str, Any]:
        """Tell what the tracker saw during each scanpath; nothing without any samples."""
        found = [self._timeline(path.trial) for path in scanpaths]
        return {"timelines": found} if any(found) else {}

    def _timeline(self, trial: TrialKey | None) -> dict[str, Any] | None:
        if trial is None or not self._sources.samples:
            return None
        found = samples_of(self._sources.samples, trial)
        if found is None:
            return None
        samples, file = found
        blinks = self._blinks.get(trial, BLINKS.empty()) if self._sources.blinks else None
        return asdict(timeline_of(samples, self._telling[file.path], blinks))

    @cached_property
    def _telling(self) -> dict[Path, Telling]:
        by = {str(name) for t in self._sources.fixations for name in t.rows["source"].unique()}
        return {file.path: Telling.of(file.note, by) for file in self._sources.samples}

    @cached_property
    def _blinks(self) -> dict[TrialKey, pd.DataFrame]:
        rows = pd.concat([table.rows for table in self._sources.blinks])
        parts = rows.groupby(["subject", "recording", "trial"])
        return {TrialKey(*who): part for who, part in parts}

    def _picture(
        self, name: str, index: int | None, remarks: list[str]
    ) -> tuple[str, tuple[float, float]]:
        """Return data URL and proportions of the best picture there is; empty without one."""
        image = None
        if name in self._images:
            image = _readable(self._images[name], remarks)
        if image is None and index is not None and self._cache is not None:
            image = self._cache.read("images", [index])[0]
        if image is None:
            return "", _UNKNOWN_SIZE
        size = (float(image.shape[1]), float(image.shape[0]))
        return webp_url(fitted(image, self._spec.picture_px), _PICTURE_QUALITY), size


def _readable(path: Path, remarks: list[str]) -> Any:
    """Read an image, or say why it is not shown."""
    try:
        return read_image(path)
    except FormatError as error:
        remarks.append(shown(str(error).replace(str(path), path.name), 300))
        return None


def _ground(gaze: Gaze, position: int) -> str:
    begin, end = np.searchsorted(gaze.stimulus, [position, position + 1])
    if not gaze.on_image[begin:end].any() and end > begin:
        return "no image: gaze on the screen"
    return "no image"


def _view(size: tuple[float, float]) -> tuple[float, float]:
    """View box of a stimulus: its proportions, the longer side always the same."""
    width, height = size
    longer = max(width, height)
    across, down = (max(_THINNEST, round(_VIEW * side / longer)) for side in (width, height))
    return across, down


def _typical_ms(gaze: Gaze | None) -> float:
    """Return the median duration, which has the same radius all over the page."""
    if gaze is None or not len(gaze.duration_ms):
        return 1.0
    return max(float(np.median(gaze.duration_ms)), 1e-3)


def _drawn(
    scanpaths: list[Scanpath], view: tuple[float, float], unit_ms: float
) -> tuple[Drawn, ...]:
    drawn: list[Drawn] = []
    left = _MOST_FIXATIONS
    for path in scanpaths[:_MOST_SCANPATHS]:
        if left <= 0:
            break
        drawn.append(_draw(path, view, unit_ms, left))
        left -= len(path.x)
    return tuple(drawn)


def _draw(path: Scanpath, view: tuple[float, float], unit_ms: float, most: int) -> Drawn:
    x, y = (
        np.clip(share[:most], -1.0, 2.0) * side
        for share, side in zip((path.x, path.y), view, strict=True)
    )
    duration = np.maximum(path.duration_ms[:most], 0)
    radius = np.clip(_RADIUS * np.sqrt(duration / unit_ms), *_RADII)
    colours = order_colours(len(path.x))[:most]
    dots = tuple(
        Dot(order, round(cx), round(cy), round(r, 1), colour, round(begin), round(span))
        for order, cx, cy, r, colour, begin, span in zip(
            path.order[:most].tolist(), x.tolist(), y.tolist(), radius.tolist(), colours,
            path.onset_ms[:most].tolist(), duration.tolist(), strict=True,
        )
    )  # fmt: skip
    line = "M" + "L".join(f"{dot.x} {dot.y}" for dot in dots)
    cut = f" (first {most:,} of {len(path.x):,})" if len(path.x) > most else ""
    return Drawn(shown(path.label) + cut, line, dots)


def level_names(cache: Cache | None) -> list[str]:
    """Say what of the scanpath each level keeps, as far as the recipe tells."""
    if cache is None:
        return []
    try:
        spec = TrackSpec(**cache.recipe["tracks"])
        fractions = spec.kept_fractions()
    except (ConfigError, KeyError, TypeError, ValueError):
        fractions = ()
    if len(fractions) != cache.levels:
        return ["" for _ in range(cache.levels)]
    which = {"suffix": "last ", "prefix": "first "}.get(spec.keep, "")
    return [
        "whole track" if fraction == 1 else f"{which}{100 * fraction:.3g}\N{NO-BREAK SPACE}%"
        for fraction in fractions
    ]


def order_colours(count: int) -> list[str]:
    """Colours of the first to the last of `count` fixations."""
    at = np.linspace(0, len(_ORDER_COLOURS) - 1, max(count, 2))[:count]
    positions = np.arange(len(_ORDER_COLOURS))
    channels = [np.interp(at, positions, channel) for channel in _ORDER_COLOURS.T]
    rounded = np.rint(np.column_stack(channels)).astype(int).tolist()
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in rounded]


def _layers(cache: Cache, index: int, view: tuple[float, float]) -> dict[str, Any]:
    """Make small grey pictures of maps, and outlines of masks."""
    levels = cache.read("maps", [index])[0]
    heat = cache.read("heatmaps", [index])[0]
    pseudo = cache.read("pseudo_masks", [index])[0]
    layers = {
        "heat": webp_url(fitted(heat, _MAP_PX), _MAP_QUALITY),
        "levels": [webp_url(fitted(level, _MAP_PX), _MAP_QUALITY) for level in levels],
        "pseudo": outline(pseudo == FOREGROUND, view),
    }
    if cache.items[index].has_mask:
        layers["reference"] = outline(cache.read("masks", [index])[0] > 0, view)
    return layers


def _pseudo_dice(cache: Cache, index: int) -> float | None:
    """Dice of the pseudo-mask against the reference, at the size of the cache."""
    if not cache.items[index].has_mask:
        return None
    pseudo = cache.read("pseudo_masks", [index])[0] == FOREGROUND
    mask = cache.read("masks", [index])[0] > 0
    both = int(pseudo.sum()) + int(mask.sum())
    return 1.0 if not both else 2 * int((pseudo & mask).sum()) / both


def _flags_by_stimulus(sources: Sources) -> dict[str, list[str]]:
    """Gather what trials are flagged for, by the stimulus that was shown."""
    found: dict[str, list[str]] = {}
    for table in sources.quality:
        rows = table.rows
        trials = rows[(rows["level"] == "trial") & (rows["flags"] != "") & rows["stimulus"].notna()]
        columns = ("stimulus", "subject", "trial", "flags")
        for stimulus, subject, trial, flags in zip(*(trials[c] for c in columns), strict=True):
            number = "" if pd.isna(trial) else f", trial {trial}"
            found.setdefault(key_of(stimulus), []).append(shown(f"{subject}{number}: {flags}", 300))
    return found


def _dice_by_stimulus(runs: tuple[Run, ...]) -> dict[str, float]:
    """Dice of the first evaluation that tells of a stimulus."""
    found: dict[str, float] = {}
    for evaluation in (evaluation for run in runs for evaluation in run.evaluations):
        if (values := evaluation.figures.get("dice")) is None:
            continue
        for name, value in zip(evaluation.images, values.tolist(), strict=True):
            if np.isfinite(value):
                found.setdefault(key_of(name), value)
    return found
