"""Event detection: kernels against slow twins, truth on made recordings, the vendor's labels."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.events import IVT, PROFILES, Events, detect, fixations
from gazetools.events.ivt import (
    FIXATION,
    MISSING,
    SACCADE,
    UNCLASSIFIED,
    velocity_window_samples,
)
from gazetools.kernels import events as kernels
from gazetools.timeline import timeline

PROLAB = PROFILES["tobii-prolab"]
INTERVAL_US = 8333
MM_PER_PX = 0.275
few = settings(deadline=None, max_examples=40)


def both_ways(kernel, *arguments):
    """Yield a kernel's results, compiled and interpreted."""
    yield kernel(*arguments)
    yield kernel.py_func(*arguments)


# ---------------------------------------------------------------- strategies


@st.composite
def signals(draw, width, max_samples=24):
    """Smooth-ish (n, width) with missing samples."""
    n = draw(st.integers(0, max_samples))
    seed = draw(st.integers(0, 2**32 - 1))
    lost = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 1, (n, width)).cumsum(axis=0)
    signal[np.array(lost, bool)] = np.nan
    return signal


def rising_times(n, seed=0):
    steps = np.random.default_rng(seed).integers(1, 20_000, n)
    return np.cumsum(steps).astype(float)


def stretches(mask):
    """First and last of each stretch of true values, one sample at a time."""
    out, start = [], None
    for i, value in enumerate([*mask, False]):
        if value and start is None:
            start = i
        if not value and start is not None:
            out.append((start, i - 1))
            start = None
    return out


def seen(signal):
    return ~np.isnan(signal[:, 0])


# ---------------------------------------------------------------- kernels and their twins


@few
@given(signals(1))
def test_run_of_each(signal):
    n = len(signal)
    first, last = np.arange(n) + 1, np.arange(n) - 1
    for a, b in stretches(seen(signal)):
        first[a : b + 1], last[a : b + 1] = a, b
    for found in both_ways(kernels.run_of_each, signal):
        np.testing.assert_array_equal(found[0], first)
        np.testing.assert_array_equal(found[1], last)


@few
@given(signals(2), st.integers(0, 9), st.sampled_from([0.0, 15_000.0, 60_000.0]))
def test_fill_gaps(signal, seed, limit):
    time = rising_times(len(signal), seed)
    expected = signal.copy()
    runs = stretches(seen(signal))
    for (_, before), (after, _) in pairwise(runs):
        if time[after] - time[before] < limit:
            gap = np.arange(before + 1, after)
            for k in range(2):
                ends = signal[[before, after], k]
                expected[gap, k] = np.interp(time[gap], time[[before, after]], ends)
    for found in both_ways(kernels.fill_gaps, signal, time, limit):
        np.testing.assert_allclose(found, expected, atol=1e-12)


@few
@given(signals(5), st.data())
def test_substitute_lost_eye(left, data):
    n = len(left)
    right = left + np.random.default_rng(n).normal(0, 1, left.shape)
    right[data.draw(st.lists(st.booleans(), min_size=n, max_size=n).map(np.array)) == 1] = np.nan
    extra = data.draw(st.lists(st.booleans(), min_size=n, max_size=n).map(np.array))
    right[(extra == 1) & np.isnan(left[:, 0])] = 7.0
    want_left, want_right = left.copy(), right.copy()
    for i in range(n):
        known = [j for j in range(i) if seen(left)[j] and seen(right)[j]]
        difference = right[known[-1]] - left[known[-1]] if known else 0.0
        if seen(left)[i] and not seen(right)[i]:
            want_right[i] = left[i] + difference
        if seen(right)[i] and not seen(left)[i]:
            want_left[i] = right[i] - difference
    for found in both_ways(kernels.substitute_lost_eye, left, right):
        np.testing.assert_allclose(found[0], want_left)
        np.testing.assert_allclose(found[1], want_right)


@few
@given(signals(5), st.floats(-1, 1))
def test_mean_direction(left, tilt):
    right = left[::-1].copy()
    total = np.zeros((len(left), 3))
    for ray in (left, right):
        away = np.column_stack((ray[:, :2], np.zeros(len(ray)))) - ray[:, 2:]
        total += away / np.linalg.norm(away, axis=1, keepdims=True)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    c, s = np.cos(tilt), np.sin(tilt)
    expected = total @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]]).T
    for found in both_ways(kernels.mean_direction, left, right, tilt):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_mean_direction_of_an_eye_on_the_display_is_missing():
    ray = np.zeros((1, 5))
    for found in both_ways(kernels.mean_direction, ray, ray, 0.3):
        assert np.isnan(found).all()


@few
@given(signals(2), st.sampled_from([1, 3, 5, 9]))
def test_moving_median_and_mean(signal, window):
    for kernel, statistic in (
        (kernels.moving_median, np.median),
        (kernels.moving_mean, np.mean),
    ):
        expected = signal.copy()
        for a, b in stretches(seen(signal)):
            for i in range(a, b + 1):
                reach = min(window // 2, i - a, b - i)
                expected[i] = statistic(signal[i - reach : i + reach + 1], axis=0)
        for found in both_ways(kernel, signal, window):
            np.testing.assert_allclose(found, expected, atol=1e-12)


def angle_twin(a, b):
    cosine = np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@few
@given(signals(3), st.integers(2, 7), st.booleans())
def test_angular_velocity(gaze, window, shift):
    n = len(gaze)
    time = rising_times(n)
    eye = np.random.default_rng(n).normal((0, 0, 5), 0.1, (n, 3))
    expected = np.full(n, np.nan)
    for a, b in stretches(seen(gaze)):
        starts = {i: i - window // 2 for i in range(a, b + 1)}
        fitting = range(a, b - window + 2)
        for i, start in starts.items():
            if shift and fitting:
                start = min(fitting, key=lambda candidate, s=start: abs(candidate - s))
            if start in fitting:
                end = start + window - 1
                angle = angle_twin(gaze[start] - eye[i], gaze[end] - eye[i])
                expected[i] = angle / (time[end] - time[start]) * 1e6
    for found in both_ways(kernels.angular_velocity, gaze, eye, time, window, shift):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


def test_angle_between_is_exact_for_tiny_and_for_opposite_angles():
    a, b = np.array([0.0, 0.0, 1.0]), np.array([1e-9, 0.0, 1.0])
    for tiny in both_ways(kernels.angle_between, a, b):
        assert tiny == pytest.approx(np.degrees(1e-9), rel=1e-12)
    for straight in both_ways(kernels.angle_between, a, -a):
        assert straight == 180


def test_mean_of_valid():
    signal = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 6.0]])
    for found in both_ways(kernels.mean_of_valid, signal, 0, 2):
        np.testing.assert_array_equal(found, [2, 4])
    for found in both_ways(kernels.mean_of_valid, signal, 1, 1):
        assert np.isnan(found).all()


def merge_twin(pieces, gaze, eye, border, max_gap, max_angle, whole, look_ahead):
    """Join the first pair that may be joined until none is left."""
    groups = [[(int(a), int(b))] for a, b in pieces]
    g = 0
    while g < len(groups):
        (first, last), newest = (groups[g][0][0], groups[g][-1][1]), groups[g][-1]
        joined = False
        for j in range(g + 1, len(groups)):
            a, b = groups[j][0]
            if border[a] - border[last + 1] > max_gap:
                break
            span = gaze[first : last + 1] if whole else gaze[newest[0] : newest[1] + 1]
            middle = (eye[last] + eye[a]) / 2
            here = np.nanmean(span, axis=0) - middle
            there = np.nanmean(gaze[a : b + 1], axis=0) - middle
            if angle_twin(here, there) <= max_angle:
                groups[g].append((a, b))
                del groups[g + 1 : j + 1]
                joined = True
                break
            if not look_ahead:
                break
        g += not joined
    return np.array([(group[0][0], group[-1][1]) for group in groups], np.int64).reshape(-1, 2)


@few
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), max_size=9),
    st.integers(0, 2**32 - 1),
    st.floats(0, 40),
    st.booleans(),
    st.booleans(),
)
def test_merge_fixations(lengths, seed, max_angle, whole, look_ahead):
    edges = np.cumsum([part for pair in lengths for part in pair], dtype=np.int64)
    n = int(edges[-1]) if len(edges) else 0
    starts = np.concatenate(([0], edges[1:-1:2])) if n else np.zeros(0)
    pieces = np.column_stack((starts, edges[::2] - 1)).astype(np.int64)
    rng = np.random.default_rng(seed)
    gaze = rng.normal((0, 0, -1), 0.3, (n, 3))
    swallowable = np.ones(n, bool)
    for a, b in pieces:
        swallowable[a : b + 1] = False
    gaze[swallowable & (rng.random(n) < 0.5)] = np.nan
    eye = rng.normal(0, 0.01, (n, 3))
    border = np.arange(n + 1.0)
    settings_ = (2.0, max_angle, whole, look_ahead)
    expected = merge_twin(pieces, gaze, eye, border, *settings_)
    for found in both_ways(kernels.merge_fixations, pieces, gaze, eye, border, *settings_):
        np.testing.assert_array_equal(found, expected)


# ---------------------------------------------------------------- made recordings


def recording(x_deg, *, interval_us=INTERVAL_US, distance_mm=600.0, noise_deg=0.0):
    """A recording whose gaze is at angles x_deg (n,) right of straight ahead; NaN is lost."""
    x_deg = np.asarray(x_deg, float)
    n = len(x_deg)
    x_deg = x_deg + np.random.default_rng(1).normal(0, noise_deg, n)
    table = {"tracker_time_us": 5_000_000 + interval_us * np.arange(n, dtype=np.int64)}
    for eye, offset in (("left", -30.0), ("right", 30.0)):
        table[f"{eye}_eye_x_mm"] = np.full(n, 250.0 + offset)
        table[f"{eye}_eye_y_mm"] = np.full(n, 150.0)
        table[f"{eye}_eye_z_mm"] = np.full(n, distance_mm)
        table[f"{eye}_x_mm"] = 250.0 + offset + distance_mm * np.tan(np.radians(x_deg))
        table[f"{eye}_y_mm"] = np.full(n, 150.0)
        table[f"{eye}_valid"] = np.isfinite(x_deg)
    table["x_px"] = (table["left_x_mm"] + 30.0) / MM_PER_PX
    table["y_px"] = np.where(np.isfinite(x_deg), 150.0 / MM_PER_PX, np.nan)
    return pd.DataFrame(table)


def steps(*parts):
    """Angles: (level, samples) pairs, or None for lost samples."""
    return np.concatenate([np.full(n, np.nan if v is None else v, float) for v, n in parts])


def labels(samples, params=PROLAB):
    return "".join("MFSU"[code] for code in detect(samples, params).label)


def borders_of(samples, params=PROLAB):
    found = fixations(samples, detect(samples, params))
    return list(zip(found["first_row"], found["last_row"], strict=True))


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_fixations_with_known_borders_are_recovered(profile):
    samples = recording(steps((0, 30), (5, 40), (-5, 25)), noise_deg=0.01)
    # a jump between two samples is seen by every window of three that straddles it
    # and without shifting, the window does not fit at the recording's ends
    edge = 0 if PROFILES[profile].shift_velocity_window else 1
    assert borders_of(samples, PROFILES[profile]) == [(edge, 28), (31, 68), (71, 94 - edge)]


def test_a_fixation_has_its_time_and_place():
    samples = recording(steps((0, 30), (5, 40)))
    found = fixations(samples, detect(samples, PROLAB)).iloc[1]
    start = 5_000_000
    assert found["onset_us"] == start + 30.5 * INTERVAL_US
    assert found["end_us"] == start + 69.5 * INTERVAL_US
    assert found["x_px"] == pytest.approx((250 + 600 * np.tan(np.radians(5))) / MM_PER_PX)
    assert found["y_px"] == pytest.approx(150 / MM_PER_PX)


def test_positions_can_be_those_of_smoothed_gaze():
    samples = recording(steps((0, 20)))
    spike = samples.index[10]
    samples.loc[spike, "x_px"] += 300
    events = detect(samples, PROLAB)
    raw, smooth = fixations(samples, events), fixations(samples, events, PROLAB)
    assert raw["x_px"][0] - smooth["x_px"][0] == pytest.approx(15)


def test_short_fixations_become_unclassified():
    samples = recording(steps((0, 30), (5, 8), (10, 30)))
    assert labels(samples) == "F" * 29 + "SS" + "U" * 6 + "SS" + "F" * 29


def test_fixations_close_in_time_and_space_are_merged():
    apart = recording(steps((0, 20), (3, 2), (0.3, 20)))
    halves = [(0, 18), (23, 41)]
    assert borders_of(apart) == [(0, 41)]
    assert borders_of(apart, replace(PROLAB, merge_max_gap_ms=None)) == halves
    assert borders_of(apart, replace(PROLAB, merge_max_angle_deg=0.2)) == halves


def test_the_longest_gap_is_counted_in_whole_ms():
    for lost, merged in ((9, True), (10, False)):
        samples = recording(steps((0, 20), (None, lost), (0, 20)), interval_us=8334)
        assert (len(borders_of(samples)) == 1) is merged


def test_what_a_discarded_fixation_swallowed_is_unclassified():
    samples = recording(steps((0, 30), (10, 3), (12, 2), (10, 3), (0, 30)))
    assert labels(samples)[29:39] == "SS" + "U" * 6 + "SS"
    spared = replace(PROLAB, discard_swallowed=False)
    assert labels(samples, spared)[29:39] == "SSUSSSSUSS"


def test_look_ahead_merges_across_an_outlier():
    hop = steps((0, 20), (1, 4), (0, 20))
    params = replace(IVT(), velocity_threshold_deg_s=20.0)
    assert len(borders_of(recording(hop), params)) == 2
    assert len(borders_of(recording(hop), replace(params, merge_look_ahead=True))) == 1


def test_one_eye_is_enough_and_its_loss_leaves_no_jump():
    samples = recording(steps((0, 60)))
    for column in samples.columns[samples.columns.str.startswith("left_")]:
        samples.loc[20:39, column] = False if column == "left_valid" else np.nan
    assert labels(samples) == "F" * 60
    assert "S" in labels(samples, replace(PROLAB, substitute_lost_eye=False, gaze_as="point"))
    assert labels(samples, replace(PROLAB, eye_selection="strict")).count("M") == 20
    assert labels(samples, replace(PROLAB, eye_selection="left")).count("M") == 20
    assert labels(samples, replace(PROLAB, eye_selection="right")) == "F" * 60


def test_one_eye_only():
    samples = recording(steps((0, 30), (5, 30)))
    right_only = samples[[c for c in samples if not c.startswith("left_")]]
    assert labels(right_only) == labels(samples)


def test_invalid_samples_are_missing_whatever_they_hold():
    samples = recording(steps((0, 30)))
    samples.loc[10:20, ["left_valid", "right_valid"]] = False
    assert labels(samples)[10:21] == "M" * 11


def test_gap_fill_bridges_short_gaps_only():
    samples = recording(steps((0, 20), (None, 5), (0, 20), (None, 30), (0, 20)))
    assert labels(samples, replace(IVT(), merge_max_gap_ms=None)).count("M") == 30


def test_runs_shorter_than_the_window_are_unclassified():
    samples = recording(steps((0, 30), (None, 20), (0, 2), (None, 20), (0, 30)))
    assert labels(samples)[50:52] == "UU"


def test_directions_are_preferred_to_points():
    samples = recording(steps((0, 30), (5, 30)))
    for eye in ("left", "right"):
        away = np.column_stack(
            (
                samples[f"{eye}_x_mm"] - samples[f"{eye}_eye_x_mm"],
                samples[f"{eye}_y_mm"] - samples[f"{eye}_eye_y_mm"],
                -samples[f"{eye}_eye_z_mm"],
            )
        )
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        samples[[f"{eye}_dir_x", f"{eye}_dir_y", f"{eye}_dir_z"]] = away
    without_points = samples.assign(left_x_mm=np.nan, right_x_mm=np.nan)
    assert labels(without_points) == labels(samples)


def test_pixels_serve_when_their_size_is_known():
    samples = recording(steps((0, 30), (5, 30)))
    in_px = samples.assign(
        **{
            f"{eye}_{axis}_px": samples[f"{eye}_{axis}_mm"] / MM_PER_PX
            for eye in ("left", "right")
            for axis in "xy"
        }
    ).drop(columns=["left_x_mm", "left_y_mm", "right_x_mm", "right_y_mm"])
    events = detect(in_px, PROLAB, mm_per_px=MM_PER_PX)
    np.testing.assert_array_equal(events.label, detect(samples, PROLAB).label)
    with pytest.raises(GeometryError, match="mm_per_px"):
        detect(in_px, PROLAB)


def test_no_eye_positions_says_what_to_do():
    samples = recording(steps((0, 30)))
    blind = samples[[c for c in samples if "_eye_" not in c]]
    with pytest.raises(GeometryError, match="Eye position left/right"):
        detect(blind, PROLAB)
    with pytest.raises(SchemaError, match="tracker_time_us"):
        detect(samples.drop(columns="tracker_time_us"), PROLAB)


# ---------------------------------------------------------------- clocks


def test_dropped_rows_end_runs_but_not_merged_fixations():
    whole = recording(steps((0, 60), (5, 60)))
    short, long = whole.drop(index=range(20, 25)), whole.drop(index=range(20, 40))
    assert borders_of(short)[0] == (0, 53)
    assert borders_of(long)[:2] == [(0, 19), (20, 38)]
    found = fixations(long, detect(long, PROLAB))
    assert found["end_us"][0] == 5_000_000 + 19.5 * INTERVAL_US
    assert found["onset_us"][1] == 5_000_000 + 39.5 * INTERVAL_US


def test_a_saccade_is_not_measured_across_dropped_rows():
    samples = recording(steps((0, 30), (5, 30))).drop(index=range(29, 31))
    assert "S" not in labels(samples)


def test_repeated_rows_get_the_label_of_the_row_before():
    samples = recording(steps((0, 30), (5, 30)))
    twice = samples.loc[np.repeat(samples.index, 2)]
    assert labels(twice) == "".join(2 * c for c in labels(samples))
    assert borders_of(twice) == [(0, 57), (62, 119)]


def test_a_clock_that_starts_again_ends_all_events():
    samples = recording(steps((0, 30)))
    again = pd.concat((samples, samples), ignore_index=True)
    assert borders_of(again) == [(0, 29), (30, 59)]
    onset = fixations(again, detect(again, PROLAB))["onset_us"]
    assert onset[0] == onset[1]


def test_timeline_of_a_hole():
    line = timeline(np.array([0, 10, 20, 60, 70, 90], np.int64))
    np.testing.assert_array_equal(line.rows, [0, 1, 2, -1, -1, 3, 4, -1, 5])
    np.testing.assert_array_equal(line.time_us, [0, 10, 20, 30, 50, 60, 70, 80, 90])
    np.testing.assert_array_equal(line.positions, [0, 1, 2, 5, 6, 8])
    np.testing.assert_array_equal(line.borders_us(), [-5, 5, 15, 25, 40, 55, 65, 75, 85, 95])


@few
@given(st.lists(st.integers(-5, 60), max_size=30))
def test_timeline_rises_and_keeps_every_row(time_steps):
    time = np.cumsum(np.array(time_steps, np.int64))
    line = timeline(time)
    assert (np.diff(line.time_us) > 0).all()
    assert len(line.positions) == len(time)
    assert (np.diff(line.positions) >= 0).all()
    kept = line.rows[line.positions]
    assert (kept <= np.arange(len(time))).all()
    np.testing.assert_array_equal(
        time[kept][np.diff(time, prepend=-1) != 0], time[np.diff(time, prepend=-1) != 0]
    )


# ---------------------------------------------------------------- edges and properties


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_tiny_recordings(n, value, profile):
    samples = recording(np.full(n, value))
    events = detect(samples, PROFILES[profile])
    assert len(events.label) == len(events.index) == n
    assert len(fixations(samples, events)) == 0
    if np.isnan(value):
        assert (events.label == MISSING).all()


def test_leading_loss_and_nothing_but_loss():
    samples = recording(steps((None, 15), (0, 30)))
    assert labels(samples) == "M" * 15 + "F" * 30
    assert labels(recording(steps((None, 40)))) == "M" * 40


def test_a_fixation_without_display_points_has_no_place():
    samples = recording(steps((0, 30))).assign(x_px=np.nan)
    assert np.isnan(fixations(samples, detect(samples, PROLAB))["x_px"][0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0.0, 0.4, 3.0, 20.0]), st.integers(1, 14)), max_size=14
    ),
    st.sampled_from(sorted(PROFILES)),
    st.integers(0, 2**32 - 1),
)
def test_events_are_disjoint_ordered_and_cover(parts, profile, seed):
    samples = recording(steps(*parts) if parts else [])
    clock_steps = np.random.default_rng(seed).choice([0, 1, 1, 1, 1, 1, 1, 1, 5, -3], len(samples))
    samples["tracker_time_us"] = np.cumsum(clock_steps, dtype=np.int64) * INTERVAL_US
    params = PROFILES[profile]
    events = detect(samples, params)
    assert ((events.label >= 0) & (events.label <= 3)).all()
    for code in (MISSING, FIXATION, SACCADE, UNCLASSIFIED):
        numbers = events.index[events.label == code]
        assert set(np.diff(numbers)) <= {0, 1}
        assert not len(numbers) or numbers[0] == 1
    found = fixations(samples, events, params)
    assert len(found) == (events.index[events.label == FIXATION].max() if len(found) else 0)
    covered = np.zeros(len(samples), bool)
    for first, last in zip(found["first_row"], found["last_row"], strict=True):
        assert not covered[first : last + 1].any()
        covered[first : last + 1] = True
    np.testing.assert_array_equal(covered, events.label == FIXATION)
    duration = found["end_us"] - found["onset_us"]
    assert (duration > 0).all()
    if params.gap_fill_ms is None:  # a filled row that the tracker dropped counts, but is no row
        assert (np.rint(duration / 1000) >= params.min_fixation_ms).all()


# ---------------------------------------------------------------- settings


def test_velocity_windows():
    assert velocity_window_samples(PROLAB, 1e6 / 120) == 3
    assert velocity_window_samples(PROLAB, 3334) == 7
    assert velocity_window_samples(PROLAB, 1e6 / 30) == 2


def test_digest_tells_settings_apart():
    assert PROLAB.digest() == replace(PROLAB).digest()
    assert PROLAB.digest() != replace(PROLAB, min_fixation_ms=61.0).digest()
    assert PROLAB.describe() == f"ivt:tobii-prolab:{PROLAB.digest()}"
    assert replace(PROLAB, min_fixation_ms=61.0).describe().startswith("ivt:custom:")


@pytest.mark.parametrize(
    "wrong",
    [
        {"eye_selection": "both"},
        {"noise_reduction": "gauss"},
        {"noise_window_samples": 4},
        {"velocity_window_ms": 0.0},
        {"velocity_threshold_deg_s": -1.0},
    ],
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        IVT(**wrong)


def test_labels_in_words():
    events = Events(np.array([0, 1, 2, 3], np.int8), np.ones(4, np.int64))
    assert list(events.names()) == ["missing", "fixation", "saccade", "unclassified"]


# ---------------------------------------------------------------- real exports

DATA = Path(os.environ.get("GAZETOOLS_DATA", Path(__file__).parents[2] / "shared" / "data"))
EXPORTS = (
    "prolab1.241_chimp_carola_session3",
    "prolab1.241_chimp_daza_session8",
    "prolab1.241_chimp_jeudi_session6",
    "prolab1.241_chimp_jeudi_session8",
    "prolab1.241_chimp_youma_session3",
    "prolab24_300hz_preset_ivt_fixation",
)


@pytest.mark.real
@pytest.mark.parametrize("name", EXPORTS)
def test_labels_are_the_vendors(name):
    path = DATA / "exports" / "tobii" / f"{name}.tsv.gz"
    if not path.is_file():
        pytest.skip(f"real exports not found below {DATA}; set GAZETOOLS_DATA")
    from gazetools.readers import read

    (recorded,) = read(path)
    samples = recorded.samples
    events = detect(samples, PROLAB)
    told = samples["vendor_event"].notna().to_numpy()
    agree = (events.names() == samples["vendor_event"])[told]
    assert agree.mean() >= 0.998
    if "left_dir_x" in samples:
        assert agree.all()
        np.testing.assert_array_equal(events.index[told], samples["vendor_event_index"][told])
