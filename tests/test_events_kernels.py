"""Compiled loops of event detection: each against a slow and obvious twin, both ways."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_gaze import both_ways, few, rising_times, seen, signals, stretches

from gazetools.kernels import (
    clocks,
    dispersion,
    engbert_kliegl,
    labels,
    measures,
    merging,
    rays,
    runs,
    screen_velocity,
    smoothing,
    spread,
    velocity,
)
from gazetools.timeline import sample_interval_us


@few
@given(signals(1))
def test_end_of_run(signal):
    ends = dict(stretches(seen(signal)))
    for i in range(len(signal)):
        expected = next((b + 1 for a, b in ends.items() if a <= i <= b), i)
        assert list(both_ways(runs.end_of_run, signal, i)) == [expected, expected]


@few
@given(signals(8), st.integers(0, 9))
def test_rays(table, seed):
    rng = np.random.default_rng(seed)
    table[rng.random(table.shape) < 0.1] = rng.choice([np.nan, np.inf])
    columns, is_seen = np.ascontiguousarray(table.T), rng.random(len(table)) < 0.8
    expected = np.full((len(table), 5), np.nan)
    for i, (x, y, ex, ey, ez, dx, dy, dz) in enumerate(table):
        if dz < 0:
            with np.errstate(invalid="ignore"):
                x, y = ex + dx * (ez / -dz), ey + dy * (ez / -dz)
        if is_seen[i] and np.isfinite([x, y, ex, ey, ez]).all():
            expected[i] = x, y, ex, ey, ez
    with np.errstate(invalid="ignore"):
        for found in both_ways(rays.rays, columns, is_seen):
            np.testing.assert_allclose(found, expected)


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
    for found, *_ in both_ways(smoothing.fill_gaps, signal, time, limit):
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
    for found in both_ways(rays.substitute_lost_eye, left, right, np.zeros(5)):
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
    for found in both_ways(rays.mean_direction, left, right, tilt):
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_mean_direction_of_an_eye_on_the_display_is_missing():
    ray = np.zeros((1, 5))
    for found in both_ways(rays.mean_direction, ray, ray, 0.3):
        assert np.isnan(found).all()


@few
@given(signals(2), st.sampled_from([1, 3, 5, 9]))
def test_moving_median_and_mean(signal, window):
    for kernel, statistic in (
        (smoothing.moving_median, np.median),
        (smoothing.moving_mean, np.mean),
    ):
        expected = signal.copy()
        for a, b in stretches(seen(signal)):
            for i in range(a, b + 1):
                reach = min(window // 2, i - a, b - i)
                expected[i] = statistic(signal[i - reach : i + reach + 1], axis=0)
        for found, *_ in both_ways(kernel, signal, window):
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
    for found in both_ways(velocity.angular_velocity, gaze, eye, time, window, shift):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)


@few
@given(signals(3), st.integers(2, 7), st.booleans(), st.floats(1, 400), st.booleans())
def test_label_by_velocity(gaze, window, shift, threshold, on_threshold):
    """Exactly what comparing the velocity itself would give, on the threshold too."""
    n = len(gaze)
    time = rising_times(n)
    eye = np.random.default_rng(n).normal((0, 0, 50), 0.1, (n, 3))
    speed = velocity.angular_velocity(gaze, eye, time, window, shift)
    known = speed[speed > 0]
    if on_threshold and len(known):
        threshold = float(np.median(known[: len(known) // 2 * 2 + 1]))
    expected = np.where(speed < threshold, 1, np.where(speed >= threshold, 2, 3))
    expected[np.isnan(gaze[:, 0])] = 0
    arguments = (gaze, eye, time, window, shift, threshold)
    for found in both_ways(velocity.label_by_velocity, *arguments):
        np.testing.assert_array_equal(found, expected)


@few
@given(st.floats(-3, 1), st.floats(-1e-5, 1e-5) | st.floats(-0.5, 0.5), st.floats(0, 180))
def test_slow_or_fast(decades, share, big):
    """Near the threshold, far from it, and for turns that no tangent tells apart."""
    turn, time_us = 10**decades, 10_000.0
    for angle in (turn * (1 + share), big):
        square, dot = np.sin(np.radians(angle)) ** 2, np.cos(np.radians(angle))
        exact = np.degrees(np.arctan2(np.sqrt(square), dot)) / time_us * 1e6
        expected = 1 if exact < turn * 100 else 2
        if abs(exact / (turn * 100) - 1) > 1e-12:
            arguments = (float(square), float(dot), time_us, turn * 100)
            assert list(both_ways(velocity.slow_or_fast, *arguments)) == [expected, expected]
    assert velocity.slow_or_fast(np.nan, 1.0, time_us, 30.0) == 3


def test_tangent_squared():
    angles = np.linspace(1e-6, 0.12, 200)
    for angle in angles:
        for found in both_ways(velocity.tangent_squared, angle):
            assert found == pytest.approx(np.tan(angle) ** 2, rel=1e-8)
    assert np.isnan(velocity.tangent_squared(0.13))


def test_angle_between_is_exact_for_tiny_and_for_opposite_angles():
    a, b = np.array([0.0, 0.0, 1.0]), np.array([1e-9, 0.0, 1.0])
    for tiny in both_ways(rays.angle_between, a, b):
        assert tiny == pytest.approx(np.degrees(1e-9), rel=1e-12)
    for straight in both_ways(rays.angle_between, a, -a):
        assert straight == 180


def test_mean_of_valid():
    signal = np.array([[1.0, 2.0], [np.nan, np.nan], [3.0, 6.0]])
    for found in both_ways(merging.mean_of_valid, signal, 0, 2):
        np.testing.assert_array_equal(found, [2, 4])
    for found in both_ways(merging.mean_of_valid, signal, 1, 1):
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
    for found in both_ways(merging.merge_fixations, pieces, gaze, eye, border, *settings_):
        np.testing.assert_array_equal(found, expected)


def dispersion_twin(signal, border, limit, shortest):
    """Salvucci & Goldberg's text, word for word."""
    label = np.zeros(len(signal), np.int8)
    for start, last in stretches(seen(signal)):
        label[start : last + 1] = 3
        i, found, end = start, [], last + 1
        while i < end:
            j = next((j for j in range(i + 1, end + 1) if border[j] - border[i] >= shortest), None)
            if j is None:
                break
            if np.ptp(signal[i:j], axis=0).sum() > limit:
                i += 1
                continue
            while j < end and np.ptp(signal[i : j + 1], axis=0).sum() <= limit:
                j += 1
            found.append((i, j))
            i = j
        for a, b in found:
            label[a:b] = 5 if a > start and label[a - 1] == 1 else 1
        for (_, a), (b, _) in pairwise(found):
            label[a:b] = 2
    return label


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 150), st.integers(0, 24), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_label_by_dispersion(n, limit, shortest, seed):
    """With ties, in space and in time."""
    rng = np.random.default_rng(seed)
    pace = np.repeat(rng.choice([0, 1, 4], 30), 5)[:n, None]
    signal = np.rint(rng.normal(0, pace, (n, 2)).cumsum(axis=0) + rng.integers(-1, 2, (n, 2)))
    signal[rng.random(n) < 0.01] = np.nan
    border, limit = 1.0 * rng.integers(1, 4, n + 1).cumsum(), float(limit)
    expected = dispersion_twin(signal, border, limit, shortest)
    for found in both_ways(dispersion.label_by_dispersion, signal, border, limit, shortest):
        np.testing.assert_array_equal(found, expected)


@few
@given(signals(2), st.integers(1, 4))
def test_smoothed_velocity(signal, reach):
    time = rising_times(len(signal))
    expected = np.full(signal.shape, np.nan)
    for a, b in stretches(seen(signal)):
        for i in range(a, b + 1):
            near = min(reach, i - a, b - i)
            steps = [(i - k, i + k) for k in range(1, near + 1)] or [(max(i - 1, a), min(i + 1, b))]
            way = sum(signal[after] - signal[before] for before, after in steps)
            spent = sum(time[after] - time[before] for before, after in steps)
            if spent:
                expected[i] = way / spent * 1e6
    for found in both_ways(engbert_kliegl.smoothed_velocity, signal, time, reach):
        np.testing.assert_allclose(found, expected, atol=1e-9)


@few
@given(signals(2), st.just(0.0) | st.floats(0.01, 3), st.floats(0.01, 3))
def test_label_by_ellipse(velocity, a, b):
    signal = velocity.copy()
    velocity[len(velocity) // 2 : len(velocity) // 2 + 1] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        outside = ((velocity / (a, b)) ** 2).sum(axis=1) > 1
    expected = np.where(outside, 2, np.where(np.isnan(velocity[:, 0]), 3, 1))
    expected[np.isnan(signal[:, 0])] = 0
    for found in both_ways(engbert_kliegl.label_by_ellipse, signal, velocity, np.array([a, b])):
        np.testing.assert_array_equal(found, expected)


@few
@given(signals(5))
def test_angles(ray):
    for found in both_ways(rays.angles, ray):
        for k in range(2):
            away = np.degrees(np.arctan2(ray[:, k] - ray[:, 2 + k], ray[:, 4]))
            np.testing.assert_allclose(found[:, k], away)


codes = st.lists(st.sampled_from([0, 1, 2, 3, 5]), max_size=30).map(lambda v: np.array(v, np.int8))


@few
@given(codes)
def test_stretches(label):
    expected = np.array(stretches(label == 1), np.int64).reshape(-1, 2)
    for found in both_ways(runs.stretches, label, 1):
        np.testing.assert_array_equal(found, expected)


@few
@given(codes)
def test_part_touching(label):
    expected = sorted(stretches(label == 1) + stretches(label == 5))
    for way in (labels.part_touching, labels.part_touching.py_func):
        own = label.copy()
        assert [tuple(event) for event in way(own)] == expected
        np.testing.assert_array_equal(own, label % 4)


@few
@given(st.integers(0, 400), st.lists(st.integers(0, 399), max_size=3), st.integers(0, 400))
def test_search_by_blocks(n, places, start):
    label = np.zeros(n, np.int8)
    x, y = np.ones(n), np.ones(n)
    for number, place in enumerate(place for place in places if place < n):
        label[place], (x, y)[number % 2][place] = 3, (np.nan, np.inf)[number % 2]
    start = min(start, n)
    expected = next((i for i in range(start, n) if label[i] == 3), n)
    with np.errstate(invalid="ignore"):
        for found in both_ways(runs.end_of_finite, x, y, start, n):
            assert found == expected
    for found in both_ways(runs.next_of, label, 3, start, n):
        assert found == expected
    if start < n and label[start] == 0:
        for found in both_ways(runs.end_of_same, label, start):
            assert found == expected
    for found in both_ways(runs.stretches, label, 0):
        np.testing.assert_array_equal(
            found.reshape(-1, 2), np.reshape(stretches(label == 0), (-1, 2))
        )


@few
@given(signals(2))
def test_paired(signal):
    x, y = signal.T.copy()
    x[::5], y[::7] = np.inf, np.nan
    known = np.isfinite(x) & np.isfinite(y)
    expected = np.where(known[:, None], np.column_stack((x, y)), np.nan)
    for found in both_ways(runs.paired, x, y):
        np.testing.assert_array_equal(found, expected)


@few
@given(codes, st.booleans())
def test_keep_or_discard(label, swallowed):
    events = np.array(stretches(label != 2), np.int64).reshape(-1, 2)
    kept = np.arange(len(events)) % 2 == 0
    expected = label.copy()
    for (a, b), keep in zip(events, kept, strict=True):
        for i in range(a, b + 1):
            if keep:
                expected[i] = 1
            elif label[i] == 1 or (swallowed and label[i]):
                expected[i] = 3
    for found, *_ in both_ways(labels.keep_or_discard, label, events, kept, swallowed):
        np.testing.assert_array_equal(found, expected)


@few
@given(codes, st.data())
def test_number_events(label, data):
    if not len(label):
        return
    rows = data.draw(st.lists(st.integers(0, len(label) - 1), min_size=1).map(sorted))
    positions = np.array([0, *rows])
    event = np.cumsum(np.diff(label, prepend=label[:1]) != 0)[positions]
    for found, index in both_ways(labels.number_events, label, positions):
        np.testing.assert_array_equal(found, label[positions] % 4)
        for i, position in enumerate(positions):
            same = event[: i + 1][label[positions[: i + 1]] % 4 == label[position] % 4]
            assert index[i] == len(set(same))


@few
@given(signals(2), st.integers(0, 9))
def test_measures_of_events(signal, seed):
    rng = np.random.default_rng(seed)
    n = len(signal)
    signal[rng.random((n, 2)) < 0.2] = np.nan
    first = np.sort(rng.integers(0, n, 4)) if n else np.zeros(0, np.int64)
    last = np.minimum(first + 3, n - 1)
    for found in both_ways(measures.means_of_events, signal, first, last):
        for mean, a, b in zip(found, first, last, strict=True):
            for k in range(2):
                known = signal[a : b + 1, k][~np.isnan(signal[a : b + 1, k])]
                assert mean[k] == pytest.approx(known.mean() if len(known) else np.nan, nan_ok=True)
    x, y = np.ascontiguousarray(signal.T)
    means = measures.means_of_events(signal, first, last)
    for found in both_ways(measures.places, x, y, np.column_stack((first, last))):
        np.testing.assert_allclose(found, means)
    for found in both_ways(measures.largest_of_events, signal[:, 0].copy(), first, last):
        for most, a, b in zip(found, first, last, strict=True):
            known = signal[a : b + 1, 0][~np.isnan(signal[a : b + 1, 0])]
            assert most == pytest.approx(known.max() if len(known) else np.nan, nan_ok=True)


def test_angles_between():
    gaze, eye = np.array([[0.0, 0, 0], [10, 0, 0]]), np.array([[0.0, 0, 10], [0, 0, 10]])
    ends = np.array([0]), np.array([1])
    for found in both_ways(measures.angles_between, gaze, eye, *ends):
        np.testing.assert_allclose(found, [45])


def test_farthest_of_events():
    gaze = np.array([[0.0, 0, 0], [10, 0, 0], [1, 0, 0], [50, 0, 0]])
    eye = np.tile([0.0, 0, 10], (4, 1))
    events = np.array([[0, 2], [1, 1], [0, 3]])
    for found in both_ways(measures.farthest_of_events, gaze, eye, events):
        np.testing.assert_allclose(found, [45, 0, np.degrees(np.arctan(5))])


def usual_step(steps):
    """Mean of the steps that are a tick from their median, rounded."""
    median = np.median(steps)
    near = [s for s in steps if abs(s - median) <= np.gcd.reduce(steps) and s <= 1.5 * median]
    return float(np.rint(sum(near) / len(near) if near else median))


@few
@given(st.lists(st.integers(1, 30), max_size=20), st.integers(0, 3), st.sampled_from([1, 10]))
def test_regular_interval(time_steps, hole, tick):
    time_steps = [step + 70 for step in time_steps] + [7_000] * (hole == 1) + [-5] * (hole == 2)
    time = tick * np.cumsum(np.array([0, *time_steps], np.int64))
    jumps = np.diff(time)
    interval = usual_step(jumps[jumps > 0]) if (jumps > 0).any() else 1000.0
    assert sample_interval_us(time) == interval
    good = len(jumps) and jumps.min() > 0 and jumps.max() <= 1.5 * interval
    expected = interval if good and jumps.max() < 65536 else 0.0
    steady = expected > 0 and len(set(jumps)) == 1
    assert list(both_ways(clocks.regular_interval, time)) == 2 * [(expected, steady)]


def test_borders_and_durations():
    time, events = np.array([0, 10, 20, 32, 42], np.int64), np.array([[0, 1], [2, 2], [3, 4]])
    for found in both_ways(clocks.lasts_us, time, 10.0, events):
        np.testing.assert_array_equal(found, [20, 11, 21])
    for found in both_ways(clocks.borders_us, time, 10.0):
        np.testing.assert_array_equal(found, [-5, 5, 15, 26, 37, 47])


@pytest.mark.parametrize(("share", "code"), [(0.999, 1), (1.001, 2)])
@pytest.mark.parametrize("turn_deg", [1.0, 40.0])
def test_wide_turns_are_left_to_the_arc_tangent(turn_deg, share, code):
    x = np.array([0.0, 60 * np.tan(np.radians(turn_deg * share))])
    screen = 1.0, (0.0, 0.0), 60.0
    arguments = (x, 0 * x, np.array([0, 10_000]), *screen, 2, True, turn_deg * 100, True)
    for found in both_ways(screen_velocity.label_pixels, *arguments):
        np.testing.assert_array_equal(found, [code, code])


@few
@given(signals(2), st.sampled_from([2, 3, 6]), st.booleans(), st.sampled_from([90.0, 9000.0]))
def test_label_pixels(gaze, window, shift, threshold):
    gaze *= threshold / 90
    check_label_pixels(gaze, window, shift, threshold)


@pytest.mark.parametrize("window", [2, 5, 700])
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("noise", [0.02, 0.2, 2.0])
def test_label_pixels_chunk_by_chunk(window, shift, noise):
    rng = np.random.default_rng(2)
    gaze = rng.normal(0, noise, (2300, 2)) + np.repeat(rng.normal(0, 9, (46, 2)), 50, axis=0)
    gaze[[0, 1, 1023, 1024, 1025, 1030, -1]] = np.nan
    check_label_pixels(gaze, window, shift, 90.0)


def check_label_pixels(gaze, window, shift, threshold):
    jittered = np.cumsum(np.random.default_rng(1).integers(900, 1100, len(gaze)))
    for time, steady in ((jittered, False), (np.arange(len(gaze)) * 1000 + 5, True)):
        check_label_pixels_of_a_clock(time, steady, gaze, window, shift, threshold)


def check_label_pixels_of_a_clock(time, steady, gaze, window, shift, threshold):
    point = np.column_stack((gaze * 0.5, 0 * gaze[:, :1]))
    eye = np.tile([3.0, 2.0, 60.0], (len(gaze), 1))
    expected = velocity.label_by_velocity(point, eye, time.astype(float), window, shift, threshold)
    x, y = np.ascontiguousarray(gaze.T)
    arguments = (x, y, time, 0.5, (3.0, 2.0), 60.0, window, shift, threshold, steady)
    for found in both_ways(screen_velocity.label_pixels, *arguments):
        np.testing.assert_array_equal(found, expected)


@few
@given(signals(1), st.integers(1, 9))
def test_trailing_mean(signal, window):
    values = signal[:, 0].copy()
    known = np.nan_to_num(values)
    expected = [known[max(0, i - window) : i].mean() if i else 0 for i in range(len(values))]
    for found in both_ways(smoothing.trailing_mean, values, window):
        np.testing.assert_allclose(found, expected)


# ---------------------------------------------------------------- spread


def narrow_windows_slowly(direction, time_us, limit_deg, min_us, max_us):
    """Whichever windows the search would try, from all of their angles."""
    cosines = direction @ direction.T

    def fits(first, stop):
        return cosines[first:stop, first:stop].min() >= np.cos(np.radians(limit_deg))

    found, first = [], 0
    while first < len(time_us):
        lasts = time_us - time_us[first]
        ends = np.flatnonzero((lasts >= min_us) & (np.arange(len(lasts)) >= first))
        if not len(ends):
            break
        stop = ends[0] + 1
        if lasts[ends[0]] > max_us or not fits(first, stop):
            first += 1
            continue
        longest = int(np.flatnonzero(lasts <= max_us)[-1]) + 1
        if not fits(first, longest):
            low, high = stop, longest
            while low < high - 1:
                middle = (low + high) // 2
                low, high = (middle, high) if fits(first, middle + 1) else (low, middle)
            longest = low
        found.append((first, longest - 1))
        first = longest
    return np.array(found, np.int64).reshape(-1, 2)


@few
@given(
    st.lists(st.tuples(st.floats(-2, 2), st.integers(1, 60)), max_size=60),
    st.sampled_from([0.5, 1.5]),
)
def test_narrow_windows(parts, limit_deg):
    x_deg = np.array([x for x, _ in parts])
    time_us = np.cumsum([step * 1000.0 for _, step in parts])
    angle = np.radians(x_deg)
    direction = np.column_stack([np.sin(angle), np.zeros(len(angle)), -np.cos(angle)])
    expected = narrow_windows_slowly(direction, time_us, limit_deg, 80_000, 220_000)
    least = float(np.cos(np.radians(limit_deg)))
    for found in both_ways(spread.narrow_windows, direction, time_us, least, 80_000.0, 220_000.0):
        np.testing.assert_array_equal(found, expected)
