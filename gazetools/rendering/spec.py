"""What decides the bytes of a cache, and what is told about how it was made."""

import json
import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import cv2

from gazetools.cache import CacheSpec
from gazetools.errors import ConfigError
from gazetools.maps import MapSpec
from gazetools.masks import PseudoMaskSpec
from gazetools.splits import SplitSpec
from gazetools.tracks import TrackSpec

_DRAWN_BY = ("gazetools", "numpy", "numba", "lz4", "zstandard")


@dataclass(frozen=True)
class RenderSpec:
    """Everything but the inputs that decides what a cache holds.

    Attributes
    ----------
    size_px : int
        Side of the square to which images, maps and masks are resized.
    tracks, maps, masks, split
        See the classes.
    codec : {"lz4", "zstd", "gzip", "none"}
    px_per_deg : float or None
        Pixels of the images, as they were shown, to a degree of visual angle; for maps whose
        metric is degrees.
    """

    size_px: int = 224
    tracks: TrackSpec = field(default_factory=TrackSpec)
    maps: MapSpec = field(default_factory=MapSpec)
    masks: PseudoMaskSpec = field(default_factory=PseudoMaskSpec)
    split: SplitSpec = field(default_factory=SplitSpec)
    codec: str = "lz4"
    px_per_deg: float | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.size_px <= 4096:
            raise ConfigError(f"size_px is {self.size_px}; expected 8 to 4096")
        if (self.maps.metric == "degrees") != (self.px_per_deg is not None):
            raise ConfigError(
                f"metric is {self.maps.metric!r} and px_per_deg is {self.px_per_deg}; expected "
                "image px to a degree with metric degrees, and only there"
            )
        if self.px_per_deg is not None and not 0 < self.px_per_deg < math.inf:
            raise ConfigError(f"px_per_deg is {self.px_per_deg}; expected a number above 0")

    def cache(self) -> CacheSpec:
        """Return the shape of the cache."""
        return CacheSpec(self.tracks.levels, self.size_px, self.size_px, self.codec)

    def drawing(self) -> dict[str, Any]:
        """Return what decides the pictures of an item, its image and gaze apart."""
        drawing: dict[str, Any] = {
            key: asdict(getattr(self, key)) for key in ("tracks", "maps", "masks")
        }
        drawing |= {
            "size_px": self.size_px,
            "codec": self.codec,
            "px_per_deg": self.px_per_deg,
            "versions": {"opencv": cv2.__version__} | {name: version(name) for name in _DRAWN_BY},
        }
        return _as_json_has_it(drawing)

    def recipe(self) -> dict[str, Any]:
        """Return what made the cache, in plain types, for its provenance."""
        split = asdict(self.split)
        split["files"] = [file.name for file in self.split.files]
        return self.drawing() | _as_json_has_it({"split": split})


def _as_json_has_it(plain: dict[str, Any]) -> dict[str, Any]:
    """Make lists of tuples, so that what is read back is the same."""
    read_back: dict[str, Any] = json.loads(json.dumps(plain))
    return read_back


@dataclass
class RenderSummary:
    """What became an item and what did not.

    Attributes
    ----------
    items : int
        Items of the cache: `rendered` now, or `reused` from what was there before.
    changed : list of str
        Settings that differ from those of the cache that was there.
    removed : list of str
        Its items that are no longer wanted.
    mended : list of str
        Its items or shards that were damaged.
    text_dropped : bool
        Whether the cache that was there held text, which is to be encoded anew.
    curation : dict of str to int
        See :class:`gazetools.curation.CurationSummary`; empty if nothing was curated.
    images_without_gaze : list of str
        They become items only where a given list names them for the test split.
    largest_group : int
        Most images that near-duplicates or the given pattern tie together.
    parted_groups : list of str
        First image of each group that the given lists put into more than one split.
    """

    items: int = 0
    rendered: int = 0
    reused: int = 0
    shards: int = 0
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    text_dropped: bool = False
    levels: int = 0
    masks: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    curation: dict[str, int] = field(default_factory=dict)
    fixations_dropped: Counter[str] = field(default_factory=Counter)
    stimuli_without_position: list[str] = field(default_factory=list)
    stimuli_without_image: list[str] = field(default_factory=list)
    images_without_gaze: list[str] = field(default_factory=list)
    split_names_unknown: list[str] = field(default_factory=list)
    largest_group: int = 1
    parted_groups: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON."""
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}
