"""The simulated eye tracker: what it records of a sequence of fixations on the screen.

Between fixations the eyes make saccades on the main sequence, or blink. Each eye is seen
with its own noise and a disparity that stays the same for a subject; now and then the
tracker loses one eye, both, or a whole row.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools.synthetic.spec import CohortSpec

Values = NDArray[np.float64]

_SACCADE_MS_PER_DEG = 2.2
_SHORTEST_SACCADE_MS = 21.0
"""Main sequence of human saccades: duration = 2.2 ms/deg * amplitude + 21 ms (Carpenter 1988)."""
_BLINK_MS = (100.0, 300.0)
_LID_MS = 16.0
"""At both ends of a blink the closing lid displaces the gaze before the eye is lost."""
_LID_SHIFT_DEG = 2.5
_DRIFT_DEG_PER_S = 0.15
_EYE_LOSS_MS = (50.0, 1200.0)
_PUPIL_DISTANCE_MM = 62.0
_EYES_BELOW_TOP_MM = 110.0
_HEAD_SWAY_MM = np.array([4.0, 3.0, 8.0])
_HEAD_PERIODS_S = np.array([7.0, 19.0, 53.0])
_EYE_POSITION_NOISE_MM = 0.05

EYES = ("left", "right")


@dataclass(frozen=True)
class Subject:
    """What stays the same for one reader."""

    name: str
    disparity_px: tuple[float, float]
    noise_px: float
    pupil_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator, name: str, spec: CohortSpec) -> "Subject":
        """Draw a subject: disparity about half a degree, noise around that of `spec`."""
        shift = spec.px_per_deg * rng.normal([0.4, 0.0], [0.15, 0.2])
        return cls(
            name=name,
            disparity_px=(float(shift[0]), float(shift[1])),
            noise_px=float(spec.noise_deg * rng.uniform(0.7, 1.3) * spec.px_per_deg),
            pupil_mm=float(rng.uniform(2.8, 4.2)),
        )


def saccade_duration_ms(amplitude_deg: Values) -> Values:
    """Duration of saccades on the main sequence."""
    return _SACCADE_MS_PER_DEG * amplitude_deg + _SHORTEST_SACCADE_MS


def schedule(
    rng: np.random.Generator, fixations: pd.DataFrame, onset_ms: float, spec: CohortSpec
) -> pd.DataFrame:
    """Give fixations their onsets: each follows the one before after a saccade or a blink.

    Parameters
    ----------
    rng
        Draws the blinks.
    fixations
        ``x_px``, ``y_px`` (screen) and ``duration_ms``, in order.
    onset_ms
        Onset of the first one.
    spec
        Geometry of the screen and the rate of blinks.

    Returns
    -------
    DataFrame
        `fixations` with ``onset_ms`` and ``blink`` (the gap after it is a blink).
    """
    steps_px = np.hypot(fixations["x_px"].diff(), fixations["y_px"].diff()).to_numpy()[1:]
    gap_ms = saccade_duration_ms(steps_px / spec.px_per_deg)
    duration_ms = fixations["duration_ms"].to_numpy()
    blink = rng.random(len(gap_ms)) < spec.blinks_per_s * (duration_ms[:-1] + gap_ms) / 1000
    gap_ms = np.where(blink, rng.uniform(*_BLINK_MS, len(gap_ms)), gap_ms)
    starts = onset_ms + np.concatenate([[0.0], np.cumsum(duration_ms[:-1] + gap_ms)])
    return fixations.assign(onset_ms=starts, blink=np.append(blink, False))


def simulate_samples(
    rng: np.random.Generator, fixations: pd.DataFrame, subject: Subject, spec: CohortSpec
) -> pd.DataFrame:
    """Record fixations as an eye tracker does.

    Parameters
    ----------
    rng
        Draws noise, losses and head movements.
    fixations
        On the clock of the recording: ``onset_ms``, ``duration_ms``, ``x_px``, ``y_px``
        (screen) and, where blinks are wanted, ``blink``; ordered, not overlapping.
    subject
        Whose eyes.
    spec
        Sampling rate, screen, and how often things go wrong.

    Returns
    -------
    DataFrame
        One row per sample: ``t_ms``; per eye ``{eye}_x_px``, ``{eye}_y_px``, ``{eye}_x_mm``,
        ``{eye}_y_mm``, ``{eye}_eye_x_mm``, ``…y_mm``, ``…z_mm``, ``{eye}_pupil_mm`` and
        ``{eye}_valid``; and the truth: ``event`` (fixation, saccade, missing, unclassified)
        and ``event_number``, which counts the events of each kind from 1.
    """
    end_ms = float(fixations["onset_ms"].iloc[-1] + fixations["duration_ms"].iloc[-1])
    t_ms = np.arange(0.0, end_ms, 1000 / spec.rate_hz)
    t_ms = t_ms[(rng.random(len(t_ms)) >= spec.dropped_share) | (t_ms == 0)]
    gaze_px, event, number = _true_gaze(rng, t_ms, fixations, spec)
    head_mm = _head(rng, t_ms, spec)
    pupil_mm = subject.pupil_mm * (1 + 0.04 * np.sin(2 * np.pi * t_ms / 9000 + rng.uniform(0, 6)))
    columns: dict[str, NDArray[np.generic]] = {"t_ms": t_ms}
    one_eye_lost = _loss_episodes(rng, t_ms, spec)
    seen = [(event != "missing") & (one_eye_lost != side) for side in range(len(EYES))]
    for side, eye in enumerate(EYES):
        sign = side - 0.5
        noise = subject.noise_px / 2 * rng.standard_normal(gaze_px.shape)
        at_px = gaze_px + sign * np.array(subject.disparity_px) + noise
        eye_mm = head_mm + np.array([sign * _PUPIL_DISTANCE_MM, 0, 0])
        eye_mm = eye_mm + _EYE_POSITION_NOISE_MM * rng.standard_normal(eye_mm.shape)
        pupil = pupil_mm + 0.01 * rng.standard_normal(len(t_ms)) + 0.1 * sign
        columns |= _eye_columns(eye, at_px, eye_mm, pupil, seen[side], spec)
    return pd.DataFrame(columns | {"event": event, "event_number": number})


def _eye_columns(
    eye: str,
    at_px: Values,
    eye_mm: Values,
    pupil_mm: Values,
    seen: NDArray[np.bool_],
    spec: CohortSpec,
) -> dict[str, NDArray[np.generic]]:
    """Name the values of one eye, empty where it was not seen."""
    values = {
        "x_px": at_px[:, 0],
        "y_px": at_px[:, 1],
        "x_mm": at_px[:, 0] * spec.screen.mm_per_px,
        "y_mm": at_px[:, 1] * spec.screen.mm_per_px,
        "eye_x_mm": eye_mm[:, 0],
        "eye_y_mm": eye_mm[:, 1],
        "eye_z_mm": eye_mm[:, 2],
        "pupil_mm": pupil_mm,
    }
    named = {f"{eye}_{name}": np.where(seen, column, np.nan) for name, column in values.items()}
    return {**named, f"{eye}_valid": seen}


def _true_gaze(
    rng: np.random.Generator, t_ms: Values, fixations: pd.DataFrame, spec: CohortSpec
) -> tuple[Values, NDArray[np.object_], NDArray[np.int64]]:
    """Return gaze (samples, 2) in screen px, event names and event numbers by sample."""
    onset = fixations["onset_ms"].to_numpy()
    end = onset + fixations["duration_ms"].to_numpy()
    place = fixations[["x_px", "y_px"]].to_numpy()
    drift = _DRIFT_DEG_PER_S * spec.px_per_deg / 1000 * rng.standard_normal(place.shape)

    now = np.clip(np.searchsorted(onset, t_ms, side="right") - 1, 0, None)
    then = np.minimum(now + 1, len(onset) - 1)
    half = (end - onset)[:, None] / 2 * drift
    fixating = place[now] + drift[now] * (t_ms - (onset[now] + end[now]) / 2)[:, None]
    gap = np.maximum(onset[then] - end[now], 1e-9)
    moved = _minimum_jerk(np.clip((t_ms - end[now]) / gap, 0, 1))[:, None]
    moving = (place + half)[now] + ((place - half)[then] - (place + half)[now]) * moved
    in_fixation = (t_ms >= onset[now]) & (t_ms < end[now])
    gaze = np.where(in_fixation[:, None], fixating, moving)

    blink = fixations["blink"].to_numpy() if "blink" in fixations else np.zeros(len(onset), bool)
    blinking = ~in_fixation & blink[now]
    lid = np.minimum(t_ms - end[now], onset[then] - t_ms)
    closed = (blinking & (lid >= _LID_MS)) | (t_ms < onset[0])
    gaze[:, 1] += np.where(blinking & ~closed, _LID_SHIFT_DEG * spec.px_per_deg * lid / _LID_MS, 0)
    event = np.select(
        [in_fixation, closed, blinking], ["fixation", "missing", "unclassified"], "saccade"
    ).astype(object)
    return gaze, event, _number(event, now, t_ms - end[now] > gap / 2)


def _number(
    event: NDArray[np.object_], now: NDArray[np.int64], late: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Count the events of each kind from 1; `late` parts the two ends of a blink."""
    table = pd.DataFrame({"event": event, "now": now, "late": late & (event == "unclassified")})
    first = ~table.duplicated()
    return np.asarray(first.groupby(table["event"]).cumsum(), np.int64)


def _minimum_jerk(part: Values) -> Values:
    """Share of the way at a `part` of the time: smooth start and stop (Flash & Hogan 1985)."""
    return part**3 * (10 - 15 * part + 6 * part**2)


def _head(rng: np.random.Generator, t_ms: Values, spec: CohortSpec) -> Values:
    """Return the point between the eyes, (samples, 3) mm: it sways slowly about its place."""
    middle = [spec.screen.width_mm / 2, _EYES_BELOW_TOP_MM, spec.screen.distance_mm]
    phase = rng.uniform(0, 2 * np.pi, (len(_HEAD_PERIODS_S), 3))
    turns = 2 * np.pi * t_ms[:, None] / 1000 / _HEAD_PERIODS_S
    sway = np.sin(turns[:, :, None] + phase).mean(axis=1)
    return np.asarray(middle + _HEAD_SWAY_MM * sway)


def _loss_episodes(rng: np.random.Generator, t_ms: Values, spec: CohortSpec) -> NDArray[np.int64]:
    """Return which eye is lost by sample: 0 left, 1 right, -1 none."""
    lost = np.full(len(t_ms), -1)
    for start in rng.uniform(0, t_ms[-1], rng.poisson(spec.eye_losses_per_s * t_ms[-1] / 1000)):
        stop = start + np.exp(rng.uniform(*np.log(_EYE_LOSS_MS)))
        lost[(t_ms >= start) & (t_ms < stop)] = rng.integers(len(EYES))
    return lost
