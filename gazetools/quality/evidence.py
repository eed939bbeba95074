"""What a recording tells about its quality, sample by sample and fixation by fixation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools import events
from gazetools.errors import GeometryError
from gazetools.events.rays import EYES, eye_rays
from gazetools.geometry import Placement, Screen, inside
from gazetools.images import image_stem, read_mask
from gazetools.ingestion import IngestSpec
from gazetools.ingestion.detection import Detected, Detection
from gazetools.placing import placed, screen_of
from gazetools.quality.measures import (
    Bools,
    Floats,
    angles_deg,
    bcea,
    directions_deg,
    rms_s2s,
    spread,
)
from gazetools.readers import Recording
from gazetools.tables import SAMPLES
from gazetools.timeline import longest_step_us, sample_interval_us, timeline
from gazetools.trials import cut_at_trials, too_short

PRECISION = (
    "rms_s2s_px",
    "std_px",
    "bcea_px2",
    "rms_s2s_deg",
    "std_deg",
    "bcea_deg2",
    "left_rms_s2s_deg",
    "right_rms_s2s_deg",
)
"""Figures of how steady gaze was within a fixation."""

_MIN_PART_MS = 60.0
_WINDOW_COLUMNS = (*PRECISION, "offset_px", "offset_deg")
_NO_SIZE = (
    "positions are shares of a display whose size in px the export does not tell; pass --screen"
)


@dataclass(frozen=True)
class Evidence:
    """What figures of quality are made of.

    Attributes
    ----------
    samples : DataFrame
        ``trial``, ``stimulus``, ``time_us``, ``seen``, ``on_image`` (1, 0; NaN where it cannot
        be told), ``disparity_px``, ``disparity_deg`` (NaN unless both eyes were seen).
    fixations : DataFrame
        ``trial``, ``order``, ``duration_ms``, ``on_image``, ``in_mask`` (1, 0, NaN) and, of
        the samples that belong to the fixation, the precision and the offset from the
        trial's target.
    fixations_by : str
        Whose they are; empty if there are none.
    degrees_from : str
        Where degrees come from; empty if there are none.
    notes : tuple of str
        Why some figures are missing.
    """

    samples: pd.DataFrame
    fixations: pd.DataFrame
    fixations_by: str
    degrees_from: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Sight:
    """Samples as the detectors take them, rays (n, 5) of both eyes, and where they come from."""

    samples: pd.DataFrame
    screen: Screen | None
    left: Floats
    right: Floats
    source: str


class Observer:
    """Looks at one recording, piece by piece, in time order.

    Parameters
    ----------
    first : Recording
        Its first piece; to be added all the same.
    spec : IngestSpec
        How events are found; its screen goes before the one that the export tells.
    masks : mapping of the stimulus' stem to its mask
    targets : mapping of the stimulus' stem to (x, y)
        Screen px of the one point that was to be looked at.
    """

    def __init__(
        self,
        first: Recording,
        spec: IngestSpec,
        masks: Mapping[str, Path],
        targets: Mapping[str, tuple[float, float]],
    ) -> None:
        params = spec.detector(first.profile)
        self._source = params.describe()
        self._least_ms = float(getattr(params, "min_fixation_ms", _MIN_PART_MS))
        self._screen = screen_of(first, spec.screen)
        self._detection = Detection(params, spec.blink, self._screen, first.path)
        self._events_by = spec.events
        self._by_vendor = spec.takes_vendor(first)
        self._masks = masks
        self._targets = targets
        self._placements: dict[str, Placement] = {}
        self._samples: list[pd.DataFrame] = []
        self._fixations: list[pd.DataFrame] = []
        self._sources: dict[str, None] = {}
        self._degrees_from = ""
        self._notes: dict[str, None] = {}

    def add(self, piece: Recording, placements: Mapping[str, Placement]) -> None:
        """Take the next piece, and where its stimuli lay on the screen."""
        self._placements |= placements
        if piece.normalised:
            self._notes[_NO_SIZE] = None
        if piece.samples.empty:
            self._by_vendor = True
            self._sources |= dict.fromkeys(piece.fixations["source"].unique())
            self._take(piece.samples, piece.fixations, None, normalised=piece.normalised)
            return
        if not self._by_vendor:
            try:
                self._take_detected(self._detection.add(piece.samples), piece)
            except GeometryError:
                # the vendor may have known more than was exported
                self._by_vendor = True
                self._take_vendors(self._detection.held(), piece)
        else:
            self._take_vendors(piece.samples, piece)

    def evidence(self, last: Recording) -> Evidence:
        """Return all that was seen, once the last piece was added."""
        if not self._by_vendor:
            self._take_detected(self._detection.finish(), last)
            self._sources = {self._source: None}
        fixations = pd.concat(self._fixations, ignore_index=True)
        # of those that are there: some vendors leave out short ones and count on
        fixations["order"] = fixations.groupby("trial").cumcount() + 1
        return Evidence(
            samples=pd.concat(self._samples or [_no_samples()], ignore_index=True),
            fixations=fixations,
            fixations_by=", ".join(self._sources),
            degrees_from=self._degrees_from,
            notes=tuple(self._notes),
        )

    def _take_detected(self, stretches: Iterator[Detected], piece: Recording) -> None:
        for stretch in stretches:
            parts = _cut(stretch.fixations, stretch.samples, stretch.gaze, self._least_ms)
            sight = self._look(stretch.samples)
            self._take(stretch.samples, parts, sight, normalised=piece.normalised)

    def _take_vendors(self, samples: pd.DataFrame, piece: Recording) -> None:
        fixations, sight = piece.fixations, self._look(samples)
        if self._events_by == "ivt":
            fixations = fixations.iloc[:0]
        self._sources |= dict.fromkeys(fixations["source"].unique())
        if "first_row" in fixations and len(samples) == len(piece.samples):
            gaze = events.smoothed_gaze(samples)
            fixations = _cut(fixations, samples, gaze, _MIN_PART_MS)
        else:
            fixations = fixations.drop(columns=["first_row", "last_row"], errors="ignore")
        self._take(samples, fixations, sight, normalised=piece.normalised)

    def _look(self, samples: pd.DataFrame) -> "_Sight | None":
        try:
            sight = _sight(samples, self._screen)
        except GeometryError as error:
            self._notes[f"no degrees: {error}"] = None
            return None
        self._degrees_from = sight.source
        return sight

    def _take(
        self,
        samples: pd.DataFrame,
        fixations: pd.DataFrame,
        sight: "_Sight | None",
        *,
        normalised: bool = False,
    ) -> None:
        if len(samples):
            self._samples.append(_look_at_samples(samples, sight, self._placements, normalised))
        on_images = placed(fixations, self._placements)
        windows = _windows(samples, fixations, sight, self._targets, normalised)
        figures = on_images[["trial", "order", "stimulus", "duration_ms"]].assign(
            on_image=_on_image(on_images), in_mask=in_mask(on_images, self._masks)
        )
        self._fixations.append(figures.join(windows))


def _sight(samples: pd.DataFrame, screen: Screen | None) -> _Sight:
    """Find out where the eyes were and where on the display they looked, in mm."""
    mm_per_px = screen.mm_per_px if screen is not None else None
    source = "eye positions"
    if screen is not None and events.knows_eyes(samples):
        samples = events.gaze_in_mm(samples, screen)
    elif screen is not None:
        samples = events.assume_eyes(samples, screen)
        source = "screen size and distance"
    line = timeline(samples["tracker_time_us"].to_numpy(np.int64))
    left, right = eye_rays(samples, line, mm_per_px)
    return _Sight(samples, screen, left[line.positions], right[line.positions], source)


# ---------------------------------------------------------------- samples


def _look_at_samples(
    samples: pd.DataFrame,
    sight: _Sight | None,
    placements: Mapping[str, Placement],
    normalised: bool,
) -> pd.DataFrame:
    x, y = samples["x_px"].to_numpy(), samples["y_px"].to_numpy()
    seen = np.isfinite(x) & np.isfinite(y)
    on_image = np.full(len(samples), np.nan)
    for stimulus, rows in samples.groupby("stimulus").indices.items():
        place = placements.get(str(stimulus))
        if place is not None:
            here = rows[seen[rows]]
            at = x[here] - place.x_px, y[here] - place.y_px
            on_image[here] = inside(*at, place.width_px, place.height_px)
    apart = [
        samples.get(f"left_{axis}_px", np.nan) - samples.get(f"right_{axis}_px", np.nan)
        for axis in "xy"
    ]
    disparity_deg = np.full(len(samples), np.nan)
    if sight is not None and not _is_one_gaze(sight):
        eye = (sight.left[:, 2:] + sight.right[:, 2:]) / 2
        disparity_deg = angles_deg(sight.left[:, :2], sight.right[:, :2], eye)
    return pd.DataFrame(
        {
            "trial": samples["trial"],
            "stimulus": samples["stimulus"].astype("category"),
            "time_us": samples["tracker_time_us"],
            "seen": seen,
            "on_image": on_image,
            "disparity_px": np.nan if normalised else np.hypot(*apart),
            "disparity_deg": disparity_deg,
        }
    )


def _is_one_gaze(sight: _Sight) -> bool:
    """Whether both eyes have the same gaze all along: they were assumed, their mean is known."""
    both = np.isfinite(sight.left).all(axis=1) & np.isfinite(sight.right).all(axis=1)
    return np.array_equal(sight.left[both], sight.right[both])


def _no_samples() -> pd.DataFrame:
    return _look_at_samples(SAMPLES.empty(), None, {}, normalised=False)


# ---------------------------------------------------------------- fixations


def _cut(
    fixations: pd.DataFrame, samples: pd.DataFrame, gaze: Floats, min_part_ms: float
) -> pd.DataFrame:
    parts = cut_at_trials(fixations, samples, gaze)
    return parts[~too_short(parts, min_part_ms)].reset_index(drop=True)


# ---------------------------------------------------------------- precision


def _windows(
    samples: pd.DataFrame,
    fixations: pd.DataFrame,
    sight: _Sight | None,
    targets: Mapping[str, tuple[float, float]],
    normalised: bool,
) -> pd.DataFrame:
    """Measure gaze within each fixation; one row each, NaN where there are no samples."""
    found = np.full((len(fixations), len(_WINDOW_COLUMNS)), np.nan)
    if "first_row" in fixations and len(samples):
        gaze = samples[["x_px", "y_px"]].to_numpy(np.float64)
        if normalised:
            gaze = np.full_like(gaze, np.nan)
        time_us = samples["tracker_time_us"].to_numpy()
        steps_us = np.diff(time_us)
        follows = steps_us <= longest_step_us(steps_us, sample_interval_us(time_us))
        rows = zip(
            fixations["first_row"], fixations["last_row"], fixations["stimulus"], strict=True
        )
        for number, (first, last, stimulus) in enumerate(rows):
            within, steps = slice(first, last + 1), follows[first:last]
            target = targets.get(image_stem(stimulus)) if isinstance(stimulus, str) else None
            found[number] = [
                *_precision(gaze[within], steps),
                *(_angular(sight, within, steps) if sight else [np.nan] * 5),
                *_offset(gaze[within], sight, within, target),
            ]
    return pd.DataFrame(found, columns=list(_WINDOW_COLUMNS), index=fixations.index)


def _precision(gaze: Floats, follows: Bools) -> list[float]:
    return [rms_s2s(gaze, follows), spread(gaze), bcea(gaze)]


def _angular(sight: _Sight, within: slice, follows: Bools) -> list[float]:
    """Precision in degrees of the mean of the eyes, and RMS-S2S of the left and of the right."""
    left, right = sight.left[within], sight.right[within]
    figures = _precision(_directions(_mean_ray(left, right)), follows)
    return [*figures, *(rms_s2s(_directions(ray), follows) for ray in (left, right))]


def _mean_ray(left: Floats, right: Floats) -> Floats:
    """Mean of the eyes (n, 5), or the one that was seen."""
    one = np.where(np.isnan(left), right, left)
    other = np.where(np.isnan(right), left, right)
    return np.asarray((one + other) / 2)


def _directions(ray: Floats) -> Floats:
    seen = np.isfinite(ray).all(axis=1)
    if not seen.any():
        return np.full((len(ray), 2), np.nan)
    return directions_deg(ray[:, :2], ray[seen, 2:].mean(axis=0))


def _offset(
    gaze: Floats, sight: _Sight | None, within: slice, target: tuple[float, float] | None
) -> list[float]:
    """Distance of the mean gaze of a fixation from a target, px and degrees."""
    seen = gaze[np.isfinite(gaze).all(axis=1)]
    if target is None or not len(seen):
        return [np.nan, np.nan]
    offset_px = float(np.hypot(*(seen.mean(axis=0) - target)))
    if sight is None:
        return [offset_px, np.nan]
    ray = _mean_ray(sight.left[within], sight.right[within])
    ray = ray[np.isfinite(ray).all(axis=1)]
    if not len(ray):
        return [offset_px, np.nan]
    mean = ray.mean(axis=0, keepdims=True)
    # px to mm by the gaze itself, which is known in both
    pixel_mm = sight.screen.pixel_mm if sight.screen else _pixel_mm(sight.samples)
    target_mm = np.array([target]) * pixel_mm
    return [offset_px, float(angles_deg(mean[:, :2], target_mm, mean[:, 2:])[0])]


def _pixel_mm(samples: pd.DataFrame) -> list[float]:
    """Width and height of a pixel, from gaze that an export tells in mm and in px; NaN if not."""
    return [_mm_per_px(samples, axis) for axis in "xy"]


def _mm_per_px(samples: pd.DataFrame, axis: str) -> float:
    for eye in EYES:
        names = [f"{eye}_{axis}_mm", f"{eye}_{axis}_px"]
        if set(names) <= set(samples):
            known = samples[names].dropna()
            known = known[known[names[1]] > 1]
            if len(known):
                return float((known[names[0]] / known[names[1]]).median())
    return np.nan


# ---------------------------------------------------------------- images and masks


def _on_image(fixations: pd.DataFrame) -> Floats:
    """Tell (n,) which fixations lie on their image: 1, 0, or NaN if they have none."""
    at = fixations[["x_im", "y_im", "image_width", "image_height"]].astype("float64").to_numpy()
    on_image = inside(*at.T).astype(np.float64)
    on_image[np.isnan(at).any(axis=1)] = np.nan
    return np.asarray(on_image)


def in_mask(fixations: pd.DataFrame, masks: Mapping[str, Path]) -> Floats:
    """Tell (n,) which fixations lie inside the mask of their image.

    Parameters
    ----------
    fixations : DataFrame
        FIXATIONS in image px.
    masks : mapping of str to Path
        By the stem of the image's name, as :func:`gazetools.images.list_images` gives them.

    Returns
    -------
    inside : (n,) float64
        1, 0, or NaN for fixations off the image, and where there is no mask.
    """
    found = np.full(len(fixations), np.nan)
    on_image = _on_image(fixations) == 1
    for stimulus, rows in fixations.groupby("stimulus").indices.items():
        rows = rows[on_image[rows]]
        path = masks.get(image_stem(str(stimulus)))
        if path is None or not len(rows):
            continue
        mask = read_mask(path)
        here = fixations.iloc[rows]
        column = _scaled_to(here["x_im"], here["image_width"], mask.shape[1])
        row = _scaled_to(here["y_im"], here["image_height"], mask.shape[0])
        found[rows] = mask[row, column]
    return found


def _scaled_to(position: pd.Series, size: pd.Series, pixels: int) -> Any:
    share = position.to_numpy() / size.to_numpy(np.float64)
    return np.minimum((share * pixels).astype(np.int64), pixels - 1)
