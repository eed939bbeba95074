"""One reader at one display: calibration, then cross, image, cross, image, and so on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.synthetic.scanpath import ReaderModel, simulate_scanpath
from gazetools.synthetic.spec import CohortSpec, Presentation, fitted
from gazetools.synthetic.tracker import Subject, schedule, simulate_samples

Sizes = Mapping[str, tuple[int, int]]

_LEAD_IN_MS = 200.0
"""The tracker finds the eyes only after this time."""
_CALIBRATION_POINTS = np.array([[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]])
_CROSS_SPREAD = 0.02
_REST_LOG_SD = 0.45
"""How unequal fixations between images are."""
_CALIBRATION = "Eyetracker Calibration"
_CROSS = "Fixation cross"


@dataclass(frozen=True, eq=False)
class Session:
    """One simulated recording and its truth.

    Attributes
    ----------
    name, subject
        Of the recording and the participant.
    samples
        As :func:`gazetools.synthetic.simulate_samples` returns them.
    presentations
        What was on the screen, in order, without holes.
    fixations
        The true fixations on images, with the columns of the FIXATIONS schema: screen and
        image px, times from the start of the trial, ``source`` "truth".
    """

    name: str
    subject: str
    samples: pd.DataFrame
    presentations: tuple[Presentation, ...]
    fixations: pd.DataFrame


def simulate_session(
    masks: Mapping[str, NDArray[np.bool_]], spec: CohortSpec, reader: int = 0
) -> Session:
    """Show the images with these lesion `masks` (by file name) to reader number `reader`."""
    rng = spec.rng("session", reader)
    subject = Subject.draw(rng, f"R{reader + 1:02d}", spec)
    sizes = {name: (mask.shape[1], mask.shape[0]) for name, mask in masks.items()}
    model = ReaderModel(fixations=spec.fixations)
    return record_session(
        rng,
        f"Recording{reader + 1}",
        subject,
        sizes,
        lambda image: simulate_scanpath(rng, masks[image], model),
        spec,
    )


def record_session(
    rng: np.random.Generator,
    name: str,
    subject: Subject,
    sizes: Sizes,
    look: Callable[[str], pd.DataFrame],
    spec: CohortSpec,
) -> Session:
    """Show images, each once and in an order drawn at random, to one subject.

    Parameters
    ----------
    rng
        Draws the order, the eyes between images and what the tracker does.
    name
        Of the recording.
    subject
        Who looks.
    sizes
        Width and height in px of the images by file name.
    look
        Given the name of an image, returns the fixations on it: ``order``, ``x_im``, ``y_im``
        and ``duration_ms``. Called once for every image, in the order shown.
    spec
        Screen and tracker.
    """
    blocks = pd.concat(list(_blocks(rng, sizes, look, spec)), ignore_index=True)
    timed = schedule(rng, blocks, _LEAD_IN_MS, spec)
    samples = simulate_samples(rng, timed, subject, spec)
    return Session(
        name=name,
        subject=subject.name,
        samples=samples,
        presentations=tuple(_presentations(timed, sizes, spec)),
        fixations=_truth(timed, name, subject.name, sizes),
    )


def _blocks(
    rng: np.random.Generator,
    sizes: Sizes,
    look: Callable[[str], pd.DataFrame],
    spec: CohortSpec,
) -> Iterator[pd.DataFrame]:
    """Yield the fixations of calibration, cross and image in turn, with ``media``.

    ``block`` is 0 for the calibration, then the number of the trial; a cross belongs to the
    trial that follows.
    """
    screen_px = np.array([spec.screen.width_px, spec.screen.height_px])
    yield _block(rng, _CALIBRATION_POINTS * screen_px, spec.calibration_s, 0)
    names = list(sizes)
    for trial, i in enumerate(rng.permutation(len(names)), start=1):
        near = 0.5 + _CROSS_SPREAD * rng.standard_normal((max(1, round(spec.break_s / 0.5)), 2))
        yield _block(rng, near * screen_px, spec.break_s, trial)
        path = look(names[i])
        place = fitted(*sizes[names[i]], spec.screen)
        x_px, y_px = place.to_screen(path["x_im"], path["y_im"])
        yield path.assign(x_px=x_px, y_px=y_px, media=names[i], block=trial)


def _block(
    rng: np.random.Generator, points_px: NDArray[np.float64], lasts_s: float, block: int
) -> pd.DataFrame:
    """Fixations on `points_px` (n, 2) that share `lasts_s` at random; no media."""
    share = np.exp(_REST_LOG_SD * rng.standard_normal(len(points_px)))
    return pd.DataFrame(
        {
            "x_px": points_px[:, 0],
            "y_px": points_px[:, 1],
            "duration_ms": 1000 * lasts_s * share / share.sum(),
            "media": "",
            "block": block,
        }
    )


def _presentations(timed: pd.DataFrame, sizes: Sizes, spec: CohortSpec) -> Iterator[Presentation]:
    """Yield what was shown: images while they were looked at, and what lay between."""
    before_ms = 0.0
    ends_ms = timed["onset_ms"] + timed["duration_ms"]
    on_image = timed[timed["media"] != ""]
    for (block, media), rows in on_image.groupby(["block", "media"], sort=False).groups.items():
        start_ms, end_ms = float(timed["onset_ms"][rows[0]]), float(ends_ms[rows[-1]])
        if block == 1:
            calibrated_ms = float(ends_ms[timed["block"] == 0].iloc[-1])
            yield Presentation(_CALIBRATION, before_ms, calibrated_ms)
            before_ms = calibrated_ms
        yield Presentation(_CROSS, before_ms, start_ms)
        place = fitted(*sizes[media], spec.screen)
        yield Presentation(media.rsplit(".", 1)[0], start_ms, end_ms, media, place)
        before_ms = end_ms


def _truth(timed: pd.DataFrame, recording: str, subject: str, sizes: Sizes) -> pd.DataFrame:
    """Return the fixations on images in FIXATIONS columns."""
    table = timed[timed["media"] != ""].reset_index(drop=True)
    trial_start_ms = table.groupby("block")["onset_ms"].transform("first")
    return pd.DataFrame(
        {
            "recording": recording,
            "subject": subject,
            "trial": table["block"],
            "stimulus": table["media"],
            "order": table["order"].astype("int64"),
            "onset_ms": table["onset_ms"] - trial_start_ms,
            "duration_ms": table["duration_ms"],
            "x_px": table["x_px"],
            "y_px": table["y_px"],
            "x_im": table["x_im"],
            "y_im": table["y_im"],
            "image_width": [sizes[name][0] for name in table["media"]],
            "image_height": [sizes[name][1] for name in table["media"]],
            "source": "truth",
        }
    )
