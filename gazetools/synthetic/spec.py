"""What a synthetic cohort is made of, and the screen it is shown on."""

import math
from dataclasses import dataclass

import numpy as np

from gazetools.errors import ConfigError
from gazetools.geometry import Placement, Screen

_SCREEN = Screen(width_px=1920, height_px=1080, width_mm=527.0, height_mm=296.4, distance_mm=650.0)


@dataclass(frozen=True)
class CohortSpec:
    """Everything that decides a synthetic cohort; the same spec gives the same bytes.

    Attributes
    ----------
    images, readers
        Number of images, and of readers; each reader sees all images in an order of their own.
    seed
        Of all random draws. Image ``i`` depends on `seed` and ``i`` only, not on `images`.
    width_px, height_px
        Typical image size; single images vary around it and some are wider.
    fixations
        Median number of fixations on an image; larger lesions get more. A small number
        makes short recordings for quick tests.
    rate_hz
        Sampling rate of the simulated eye tracker.
    noise_deg
        Sample-to-sample noise (RMS-S2S) of one eye, the middle of what readers show.
    blinks_per_s, eye_losses_per_s
        How often both eyes close, and how often the tracker loses one of them.
    dropped_share
        Share of the rows that the tracker loses altogether.
    break_s, calibration_s
        Fixation cross before each image, and calibration before the first one.
    screen
        The display, a 24 inch one by default, and the mean distance of the eyes from it.
    """

    images: int = 96
    seed: int = 0
    width_px: int = 622
    height_px: int = 529
    readers: int = 1
    fixations: float = 25.0
    rate_hz: float = 120.0
    noise_deg: float = 0.15
    blinks_per_s: float = 0.2
    eye_losses_per_s: float = 0.05
    dropped_share: float = 2e-4
    break_s: float = 1.0
    calibration_s: float = 4.0
    screen: Screen = _SCREEN

    def __post_init__(self) -> None:
        for name, low, high in (
            ("images", 1, 9999),
            ("readers", 1, 99),
            ("seed", 0, 2**63),
            ("width_px", 32, 4096),
            ("height_px", 32, 4096),
            ("fixations", 2, 99),
            ("rate_hz", 50, 2000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(f"synthetic cohort: {name} is {value}, expected {low} to {high}")

    @property
    def px_per_deg(self) -> float:
        """Display pixels in one degree of visual angle at the middle of the display."""
        return math.tan(math.radians(1.0)) * self.screen.distance_mm / self.screen.mm_per_px

    def rng(self, purpose: str, index: int = 0) -> np.random.Generator:
        """Return the generator of one `purpose` and `index`, independent of all others."""
        return np.random.default_rng([self.seed, index, *purpose.encode()])


def fitted(image_width: int, image_height: int, screen: Screen) -> Placement:
    """Place an image as large as the screen allows, on whole px as presentation software does."""
    exact = Placement.of("fit", (image_width, image_height), (screen.width_px, screen.height_px))
    return Placement(
        round(exact.x_px),
        round(exact.y_px),
        round(exact.width_px),
        round(exact.height_px),
        image_width,
        image_height,
    )


@dataclass(frozen=True)
class Presentation:
    """One thing on the screen for [start, end) on the clock of the recording.

    Only images are media and have a place; blanks and calibration have neither.
    """

    stimulus: str
    start_ms: float
    end_ms: float
    media: str = ""
    place: Placement | None = None
