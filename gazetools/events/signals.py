"""Detectors for one gaze signal in arrays, without a table: the shortest way.

Labels are those of :func:`gazetools.events.detect`, whatever the settings and the clock. What
needs nothing but velocity, a threshold and a shortest duration takes one pass over the samples,
if the clock is regular.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.errors import SchemaError
from gazetools.events.assumed_eyes import assume_eyes
from gazetools.events.detector import FIXATION, Floats, Integers, Labels
from gazetools.events.idt import IDT, label_dispersion
from gazetools.events.ivt import IVT, detect_ivt, velocity_window_samples
from gazetools.geometry import Screen
from gazetools.kernels import measures
from gazetools.kernels.clocks import borders_us, lasts_us, regular_interval
from gazetools.kernels.labels import keep_or_discard, number_events, part_touching
from gazetools.kernels.runs import paired, stretches
from gazetools.kernels.screen_velocity import label_pixels
from gazetools.timeline import timeline


@dataclass(frozen=True)
class Found:
    """Labels of samples, and the fixations among them.

    Attributes
    ----------
    label : (n,) int8
        Codes into :data:`gazetools.tables.EVENTS`.
    fixations : (m, 2) int64
        First and last sample of each.
    """

    label: Labels
    fixations: Integers

    def places(self, x: Floats, y: Floats) -> Floats:
        """Mean gaze (m, 2) of each fixation, over the samples (n,) that have any."""
        return measures.places(x, y, self.fixations)


def ivt_px(
    x_px: Floats, y_px: Floats, time_us: NDArray[np.int64], screen: Screen, params: IVT
) -> Found:
    """Find fixations in gaze on a screen by I-VT; the eye is taken to be in front of its middle.

    Parameters
    ----------
    x_px, y_px : (n,) float64
        NaN where gaze is missing.
    time_us : (n,) int64
        The tracker's clock.
    screen : Screen
    params : IVT
        Gap fill-in, noise reduction and merging are done if they are asked for, at the speed of
        the whole chain.

    Raises
    ------
    SchemaError
        The three are not equally long.
    """
    _check_lengths(x_px, y_px, time_us)
    steps = (params.gap_fill_ms, params.merge_max_gap_ms, params.noise_reduction)
    is_plain = all(step is None for step in steps)
    interval_us, is_steady = regular_interval(time_us) if is_plain else (0.0, False)
    if not interval_us:
        return _whole_chain(x_px, y_px, time_us, screen, params)
    width_mm, height_mm = screen.pixel_mm
    label = label_pixels(
        x_px,
        y_px if height_mm == width_mm else y_px * (height_mm / width_mm),
        time_us,
        width_mm,
        (screen.width_mm / 2, screen.height_mm / 2),
        screen.distance_mm,
        velocity_window_samples(params, interval_us),
        params.shift_velocity_window,
        params.velocity_threshold_deg_s,
        is_steady,
    )
    fixations = stretches(label, FIXATION)
    lasts_ms = lasts_us(time_us, interval_us, fixations) / 1000
    is_long = np.rint(lasts_ms) >= params.min_fixation_ms
    keep_or_discard(label, fixations[~is_long], is_long[~is_long], False)
    return Found(label, fixations[is_long])


def idt_xy(x: Floats, y: Floats, time_us: NDArray[np.int64], params: IDT) -> Found:
    """Find fixations in gaze by I-DT.

    Parameters
    ----------
    x, y : (n,) float64
        Degrees or px, as the dispersion that `params` gives; NaN where gaze is missing.
    time_us : (n,) int64
        The tracker's clock.
    params : IDT

    Raises
    ------
    SchemaError
        The three are not equally long.
    """
    _check_lengths(x, y, time_us)
    gaze = paired(x, y)
    interval_us, _ = regular_interval(time_us)
    if interval_us:
        along = label_dispersion(gaze, borders_us(time_us, interval_us), params)
        fixations = part_touching(along)
        return Found(along, fixations)
    line = timeline(time_us)
    return _found(label_dispersion(line.spread(gaze), line.borders_us(), params), line.positions)


def _check_lengths(x: Floats, y: Floats, time_us: NDArray[np.int64]) -> None:
    if not len(x) == len(y) == len(time_us):
        raise SchemaError(
            f"gaze has {len(x)} x, {len(y)} y and {len(time_us)} times; expected as many of each"
        )


def _whole_chain(
    x_px: Floats, y_px: Floats, time_us: NDArray[np.int64], screen: Screen, params: IVT
) -> Found:
    samples = pd.DataFrame({"tracker_time_us": time_us, "x_px": x_px, "y_px": y_px})
    line = timeline(time_us)
    along = detect_ivt(assume_eyes(samples, screen), line, params)
    return _found(along, line.positions)


def _found(along: Labels, positions: Integers) -> Found:
    """Labels of rows, and their fixations, from labels along a timeline."""
    label, index = number_events(along, positions)
    rows = np.flatnonzero(label == FIXATION)
    is_first = np.diff(index[rows], prepend=0) != 0
    return Found(label, np.column_stack((rows[is_first], rows[np.roll(is_first, -1)])))
