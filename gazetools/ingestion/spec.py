"""What to do with exports, and what was done."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.errors import ConfigError
from gazetools.events import PROFILES, AnyDetector, BlinkSpec, profile
from gazetools.geometry import Screen
from gazetools.readers import ReadOptions, Recording

EVENT_SOURCES = ("auto", "ivt", "vendor")


@dataclass(frozen=True)
class IngestSpec:
    """How exports become fixations.

    Attributes
    ----------
    events : {"auto", "ivt", "vendor"}
        Whose fixations: ours from raw samples, or the vendor's own; see :meth:`takes_vendor` for
        "auto".
    profile : str
        Settings of our detector: a key of events.PROFILES or a TOML file of settings; "auto"
        takes those closest to the vendor's.
    settings : mapping
        Changes to them.
    blink : BlinkSpec
        What a blink is; gaze in its padding is not used.
    placement : {"fit", "fill", "centre", "none"} or None
        Rule for where images lay on the screen; None takes the rectangle in the export.
    screen_px : (int, int) or None
        Width and height of the display; needed for a placement where the export does not tell.
    screen : Screen or None
        Needed where the export does not tell where the eyes were: then they are taken to be in
        front of its middle. Also tells `screen_px`.
    stimuli : Path or None
        CSV with a rectangle per stimulus: stimulus, x_px, y_px, width_px, height_px, and
        optionally image_width, image_height; stimulus names with or without suffix.
    images : Path or None
        Folder of the stimuli, for their sizes.
    reading : ReadOptions
        What the reader has to be told.
    deidentify_key : Path or None
        Hide who looked and when (:mod:`gazetools.identity`), with the key in this file, which is
        made if it is not there.
    """

    events: str = "auto"
    profile: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    blink: BlinkSpec = field(default_factory=BlinkSpec)
    placement: str | None = None
    screen_px: tuple[int, int] | None = None
    screen: Screen | None = None
    stimuli: Path | None = None
    images: Path | None = None
    reading: ReadOptions = field(default_factory=ReadOptions)
    deidentify_key: Path | None = None

    def __post_init__(self) -> None:
        if self.events not in EVENT_SOURCES:
            raise ConfigError(f"events is {self.events!r}; expected {', '.join(EVENT_SOURCES)}")
        self._check_settings()

    def _check_settings(self) -> None:
        """Say what is wrong before anything is read; any format's detector may have a setting."""
        refusals = []
        for name in PROFILES:
            try:
                self.detector(name)
            except ConfigError as error:
                refusals.append(error)
        if len(refusals) == len(PROFILES):
            raise refusals[0]

    def detector(self, closest: str) -> AnyDetector:
        """Return the settings of our detector, given those closest to the vendor's."""
        name = closest if self.profile == "auto" else self.profile
        return profile(name, **self.settings)

    def takes_vendor(self, first: Recording) -> bool:
        """Tell whether a recording's own fixations are taken, of which the first piece is given.

        With "auto", where it holds some and ours are not known to be the same, unless a detector
        is asked for by its profile or settings.
        """
        is_free = self.events == "auto" and self.profile == "auto" and not self.settings
        return self.events == "vendor" or (is_free and first.prefers_vendor)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for provenance; of paths only the names, if names may be told."""
        plain = {k: self.told(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}
        del plain["deidentify_key"]
        mapping = self.reading.mapping
        return plain | {
            "profile": self.profile_told(),
            "reading": {
                "trial_from": self.reading.trial_from,
                "mapping": self.told(mapping) if mapping is not None else None,
            },
        }

    def profile_told(self) -> str:
        """Return the profile as outputs may name it: of a file, its name at most."""
        if not self.profile.endswith(".toml"):
            return self.profile
        return Path(self.profile).name if self.deidentify_key is None else "own profile"

    def told(self, path: Path) -> str:
        """Return what outputs may say of a file: its name, if names may be told."""
        return path.name if self.deidentify_key is None else "given"

    def resolved(self) -> "IngestSpec":
        """Return the same with absolute paths, for workers that run elsewhere."""
        stimuli, images, mapping, key = (
            path.resolve() if path is not None else None
            for path in (self.stimuli, self.images, self.reading.mapping, self.deidentify_key)
        )
        reading = replace(self.reading, mapping=mapping)
        return replace(self, stimuli=stimuli, images=images, reading=reading, deidentify_key=key)

    def display_px(self) -> tuple[int, int] | None:
        """Width and height of the display in px, if they were given."""
        if self.screen is not None:
            return self.screen.width_px, self.screen.height_px
        return self.screen_px


@dataclass
class IngestSummary:
    """What was read, kept and dropped; counts are of samples or fixations.

    `trials` counts those of all recordings, also where no fixation was found in them.
    A fixation that a change of stimulus cuts counts once in `fixations_cut` and `source`, and
    each of its parts is kept or dropped by itself. `fixations_cut_off` counts the vendor's, where
    these are taken, of which the export holds a part only; they last as long as that.
    `telling_stimuli` counts names of stimuli that seem to tell who looked or who is seen, by why;
    only where tables are de-identified.
    """

    files: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    recordings: int = 0
    trials: int = 0
    recordings_in_shares: int = 0
    rates_hz: list[float] = field(default_factory=list)
    stimuli: int = 0
    images: int = 0
    fixations_on_images: int = 0
    samples: Counter[str] = field(default_factory=Counter)
    skipped_rows: Counter[str] = field(default_factory=Counter)
    fixations_cut: int = 0
    fixations_cut_off: int = 0
    fixations_kept: int = 0
    fixations_dropped: Counter[str] = field(default_factory=Counter)
    without_image: list[str] = field(default_factory=list)
    telling_stimuli: Counter[str] = field(default_factory=Counter)
    source: Counter[str] = field(default_factory=Counter)
    vendor_fixations: int = 0
    samples_compared: int = 0
    samples_agreeing: int = 0

    @property
    def vendor_agreement(self) -> float | None:
        """Share of samples that both, or neither, of the vendor and us take for a fixation."""
        if not self.samples_compared:
            return None
        return self.samples_agreeing / self.samples_compared

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON and provenance."""
        counts = {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}
        return counts | {"vendor_agreement": self.vendor_agreement}


@dataclass(frozen=True)
class Ingested:
    """Tables of one or more exports.

    Attributes
    ----------
    fixations : DataFrame
        A FIXATIONS table.
    samples : DataFrame or None
        A SAMPLES table, if it was asked for.
    saccades, blinks : DataFrame or None
        A SACCADES and a BLINKS table, if they were asked for.
    summary : IngestSummary
    provenance : mapping
        Exports and their SHA-256, settings, screens, the rectangles that the user gave, the
        summary, and the version of gazetools.
    """

    fixations: pd.DataFrame
    samples: pd.DataFrame | None
    saccades: pd.DataFrame | None
    blinks: pd.DataFrame | None
    summary: IngestSummary
    provenance: Mapping[str, Any]
