"""One image and the gaze on it, out of a cache or of a table of fixations."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError, ConfigError, FormatError, SchemaError
from gazetools.images import UInt8, image_stem, list_images, read_image
from gazetools.maps import Track, heatmap, pooled, track_maps
from gazetools.rendering import RenderSpec, RenderSummary
from gazetools.rendering.matching import match
from gazetools.rendering.planning import gaze_px, on_image, scan
from gazetools.tables import FIXATIONS, read_table
from gazetools.tracks import TrackSpec, level_counts, nested_order

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

_SHOWN = 5


@dataclass(frozen=True)
class Stimulus:
    """What was shown, where it was looked at, and what became of it.

    Attributes
    ----------
    name : str
    image : ndarray of uint8, shape (height, width, 3)
        RGB, of any resolution.
    size_px : (int, int)
        Width and height of the original image, which positions refer to.
    fixations : ndarray of float64, shape (n, 5)
        x_im, y_im (image px), onset_ms, duration_ms, track (from 0: who looked, or looked
        again); ordered by track, then as looked at.
    heatmap : ndarray of float32, shape (h, w)
        The published heatmap, 0 to 1.
    maps : ndarray of float32, shape (L, h, w)
        Level maps, 0 to 1, the whole track first.
    tracks : TrackSpec or None
        How the levels were truncated, where it is known.
    left_out : dict of str to int
        Fixations of a table that are not shown, by reason.
    """

    name: str
    image: UInt8
    size_px: tuple[int, int]
    fixations: Float64
    heatmap: Float32
    maps: Float32
    tracks: TrackSpec | None
    left_out: dict[str, int]

    def of_track(self, track: int) -> Float64:
        """Return the fixations of one track.

        Raises
        ------
        ConfigError
            There is no such track.
        """
        every = np.unique(self.fixations[:, 4]).astype(int).tolist()
        if track not in every:
            raise ConfigError(
                f"item {self.name!r} has no track {track}; expected one of "
                f"{', '.join(map(str, every)) or 'none'}"
            )
        return np.asarray(self.fixations[self.fixations[:, 4] == track])

    def kept(self) -> list[Float64] | None:
        """Fixations of each level, L arrays of shape (n_l, 5); None where that is not known."""
        if self.tracks is None:
            return None
        kept: list[list[Float64]] = [[] for _ in self.maps]
        for track in np.unique(self.fixations[:, 4]):
            rows = self.fixations[self.fixations[:, 4] == track]
            ordered = nested_order(rows, self.tracks)
            counts = level_counts(rows[:, 3], self.tracks)
            for level, count in zip(kept, counts, strict=True):
                level.append(ordered[:count])
        return [np.concatenate(level) if level else np.empty((0, 5)) for level in kept]


def stimulus_in_cache(cache: Path, name: str, images: Path | None = None) -> Stimulus:
    """Find an item of a cache, its picture from the folder `images` if one is given.

    Raises
    ------
    CacheError
        It is no cache, or holds no such item.
    FormatError
        The folder has no image of that name, or one of another size.
    """
    with open_cache(cache) as opened:
        index = _position(cache, [item.name for item in opened.items], name)
        item = opened.items[index]
        size = item.width, item.height
        image = opened.read("images", [index])[0]
        return Stimulus(
            name=item.name,
            image=image if images is None else _original(images, item.name, size),
            size_px=size,
            fixations=opened.fixations(index),
            heatmap=_shares(opened.read("heatmaps", [index])[0]),
            maps=_shares(opened.read("maps", [index])[0]),
            tracks=_truncation(opened),
            left_out={},
        )


def stimulus_in_table(
    fixations: Path, name: str, images: Path | None = None, spec: RenderSpec | None = None
) -> Stimulus:
    """Find a stimulus in a table of fixations, and its image in a folder; render its maps.

    Parameters
    ----------
    fixations : Path
        Parquet, as `gazetools ingest` writes it.
    name : str
        With or without an image's suffix.
    images : Path, optional
        Folder; without it, `images` beside the table.
    spec : RenderSpec, optional
        How the maps are drawn.

    Raises
    ------
    SchemaError
        It is no such table, or does not name the stimulus.
    FormatError
        There is no image of that name, or one of another size than the table says.
    GeometryError
        None of the fixations lies on the image.
    """
    spec = spec or RenderSpec()
    table, _ = read_table(fixations, FIXATIONS)
    stems = table["stimulus"].map(image_stem, na_action="ignore")
    known = stems.dropna().unique()
    stem = image_stem(name)
    if stem not in known:
        raise SchemaError(f"{fixations}: no stimulus {name!r}; {_others(known, name)}")
    folder = images or fixations.parent / "images"
    summary = RenderSummary()
    source = match(table[stems == stem], folder, None, None, spec.split, summary)[0]
    (source,), (seen,) = on_image([source], [scan(source)], spec.split, summary)
    gaze = gaze_px(source, seen)
    tracks = _tracks(gaze, (seen.width, seen.height))
    side = (spec.size_px, spec.size_px)
    return Stimulus(
        name=source.name,
        image=read_image(source.image),
        size_px=(seen.width, seen.height),
        fixations=gaze,
        heatmap=heatmap(pooled(tracks), side, spec.masks.heatmap_sigma),
        maps=np.mean([track_maps(t, spec.tracks, spec.maps, side) for t in tracks], axis=0),
        tracks=spec.tracks,
        left_out={why: count for why, count in summary.fixations_dropped.items() if count},
    )


def _tracks(gaze: Float64, size_px: tuple[int, int]) -> list[Track]:
    width, height = size_px
    parts = np.split(gaze, np.flatnonzero(np.diff(gaze[:, 4])) + 1)
    return [Track(p[:, 0] / width, p[:, 1] / height, p[:, 3], width / height) for p in parts]


def _position(cache: Path, names: list[str], name: str) -> int:
    for wanted in (name, image_stem(name)):
        if wanted in names:
            return names.index(wanted)
    raise CacheError(f"{cache}: no item {name!r}; {_others(names, name)}")


def _others(names: Iterable[str], name: str) -> str:
    every = sorted(names)
    close = get_close_matches(name, every, n=_SHOWN, cutoff=0.4) or every[:_SHOWN]
    return f"there are {len(every)}, e.g. {', '.join(close)}" if every else "there are none"


def _original(images: Path, name: str, size_px: tuple[int, int]) -> UInt8:
    found = list_images(images)
    if name not in found:
        raise FormatError(f"{images}: no image {name!r}; {_others(found, name)}")
    image = read_image(found[name])
    height, width, _ = image.shape
    if (width, height) != size_px:
        raise FormatError(
            f"{found[name]}: is {width} x {height} px, but the cache was made of "
            f"{size_px[0]} x {size_px[1]}; use the images that were shown"
        )
    return image


def _shares(stored: UInt8) -> Float32:
    return stored.astype(np.float32) / np.float32(255)


def _truncation(cache: Cache) -> TrackSpec | None:
    """How levels were made; other programs write caches too, and may tell it otherwise."""
    told: Any = cache.recipe.get("tracks")
    try:
        fractions = told["fractions"]
        spec = TrackSpec(
            told["levels"], told["keep"], told["by"], tuple(fractions) if fractions else None
        )
    except (ConfigError, TypeError, LookupError):
        return None
    return spec if spec.levels == cache.levels else None
