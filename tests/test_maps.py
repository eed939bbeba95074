"""Distance maps and heatmaps: kernels, compiled and interpreted, against slow twins."""

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gazetools.errors import ConfigError
from gazetools.images import read_mask
from gazetools.kernels import maps as kernels
from gazetools.maps import CANVAS_PX, MapSpec, Track, heatmap, pooled, track_maps
from gazetools.tracks import TrackSpec, level_counts

# ---------------------------------------------------------------- the slow, obvious twin


def slow_maps(track, tracks, maps, size):
    """Every primitive at every pixel, in float64."""
    height, width = size
    square = maps.metric == "square"
    unit_x, unit_y = (1.0, 1.0) if square else (track.aspect**0.5, track.aspect**-0.5)
    rows, columns = np.mgrid[:height, :width]
    pixel = np.stack(((columns + 0.5) / width * unit_x, (rows + 0.5) / height * unit_y), axis=-1)
    points = np.column_stack((track.x * unit_x, track.y * unit_y))
    share = track.duration_ms / track.duration_ms.max()
    levels = []
    for count in level_counts(track.duration_ms, tracks):
        kept = slice(-count, None) if tracks.keep == "suffix" else slice(0, count)
        levels.append(slow_map(pixel, points[kept], share[kept], maps))
    return np.stack(levels)


def slow_map(pixel, points, share, maps):
    value = np.zeros(pixel.shape[:2])
    for point, strength in zip(points, share, strict=True):
        distance = np.linalg.norm(pixel - point, axis=-1)
        value = np.maximum(value, slow_value(distance, strength, maps))
    if maps.form == "polyline":
        for i in range(len(points) - 1):
            distance = distance_to_segment(pixel, points[i], points[i + 1])
            strength = max(share[i], share[i + 1])
            value = np.maximum(value, slow_value(distance, strength, maps))
    return value


def distance_to_segment(pixel, a, b):
    length_2 = ((b - a) ** 2).sum()
    if length_2 == 0:
        return np.linalg.norm(pixel - a, axis=-1)
    along = np.clip(((pixel - a) @ (b - a)) / length_2, 0, 1)
    return np.linalg.norm(pixel - (a + along[..., None] * (b - a)), axis=-1)


def slow_value(distance, strength, maps):
    height = strength if maps.duration == "weight" else 1.0
    sigma = maps.sigma * (np.sqrt(strength) if maps.duration == "radius" else 1.0)
    if maps.decay == "linear":
        return height * np.maximum(0, 1 - distance / sigma)
    return height * np.exp(-(distance**2) / (2 * sigma**2))


def slow_blur(track, size, sigma, weights):
    canvas = np.zeros((CANVAS_PX, CANVAS_PX))
    for x, y, weight in zip(track.x, track.y, weights, strict=True):
        column, row = (min(max(int(v * CANVAS_PX), 0), CANVAS_PX - 1) for v in (x, y))
        canvas[row, column] += weight
    blurred = gaussian_filter(canvas, sigma * CANVAS_PX, mode="reflect", truncate=4)
    return cv2.resize(blurred, size[::-1], interpolation=cv2.INTER_CUBIC)


def made_track(n, seed=0, low=0.0, high=1.0, aspect=1.2):
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(low, high, (2, n))
    return Track(x, y, rng.uniform(60, 900, n), aspect)


def check_maps(track, tracks, maps, size):
    """Compare float32 and uint8 with the twin; check range and nesting."""
    expected = slow_maps(track, tracks, maps, size)
    found = track_maps(track, tracks, maps, size)
    assert found.dtype == np.float32
    assert found.shape == (tracks.levels, *size)
    assert abs(found - expected).max() <= 1e-5
    assert found.min() >= 0
    assert found.max() <= 1
    assert (np.diff(found, axis=0) <= 1e-9).all()
    steps = track_maps(track, tracks, maps, size, as_uint8=True)
    assert steps.dtype == np.uint8
    assert abs(steps - expected * 255).max() <= 0.5 + 255e-5
    assert (steps[1:] <= steps[:-1]).all()


# ---------------------------------------------------------------- distance maps

SHARES = st.one_of(st.floats(-0.3, 1.3), st.sampled_from([0.0, 0.5, 1.0]))
TRACKS = st.builds(
    lambda rows, aspect: Track(*(np.array(column) for column in zip(*rows, strict=True)), aspect),
    st.lists(st.tuples(SHARES, SHARES, st.floats(20.0, 3000.0)), min_size=1, max_size=15),
    st.floats(0.3, 3.0),
)
TRACK_SPECS = st.builds(
    TrackSpec,
    levels=st.integers(1, 5),
    keep=st.sampled_from(["suffix", "prefix"]),
    by=st.sampled_from(["count", "duration"]),
)
MAP_SPECS = st.builds(
    MapSpec,
    form=st.sampled_from(["polyline", "points"]),
    decay=st.sampled_from(["gaussian", "linear"]),
    duration=st.sampled_from(["auto", "none", "weight", "radius"]),
    sigma=st.floats(0.03, 0.6),
    metric=st.sampled_from(["square", "isotropic"]),
)


@pytest.fixture
def interpreted(monkeypatch):
    """Let every kernel run as plain Python, those that kernels call included."""
    for name, kernel in list(vars(kernels).items()):
        if hasattr(kernel, "py_func"):
            monkeypatch.setattr(kernels, name, kernel.py_func)


@settings(deadline=None, max_examples=150)
@given(TRACKS, TRACK_SPECS, MAP_SPECS, st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_maps_equal_the_twin(track, tracks, maps, size):
    check_maps(track, tracks, maps, size)


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("decay", ["gaussian", "linear"])
@pytest.mark.parametrize("duration", ["none", "weight", "radius"])
@pytest.mark.parametrize("form", ["points", "polyline"])
@pytest.mark.parametrize("n", [1, 7])
def test_interpreted_kernels_equal_the_twin(decay, duration, form, n):
    maps = MapSpec(form, decay, duration, sigma=0.1, metric="isotropic")
    check_maps(made_track(n, low=-0.2), TrackSpec(3), maps, (9, 19))


@pytest.mark.parametrize("duration", ["none", "weight", "radius"])
@pytest.mark.parametrize("decay", ["gaussian", "linear"])
def test_a_thousand_fixations(decay, duration):
    maps = MapSpec("polyline", decay, duration, 0.05)
    check_maps(made_track(1000), TrackSpec(3), maps, (41, 37))


@pytest.mark.parametrize("size", [(1, 1), (8, 16), (9, 17), (7, 15), (224, 3)])
@pytest.mark.parametrize("form", ["points", "polyline"])
def test_one_fixation_and_odd_sizes(form, size):
    check_maps(made_track(1), TrackSpec(4), MapSpec(form), size)


@pytest.mark.parametrize("form", ["points", "polyline"])
def test_coincident_fixations(form):
    track = Track(np.full(6, 0.4), np.full(6, 0.7), np.linspace(100, 600, 6))
    check_maps(track, TrackSpec(3), MapSpec(form, duration="weight"), (33, 21))


def test_everything_off_the_image():
    far = Track(np.array([5.0, 6.0]), np.array([-4.0, -4.5]), np.array([200.0, 300.0]))
    assert track_maps(far, TrackSpec(2), MapSpec(), (32, 32)).max() < 1e-8
    check_maps(made_track(8, low=1.01, high=1.2), TrackSpec(2), MapSpec(sigma=0.2), (32, 32))


def test_a_map_is_one_on_its_track():
    track = Track(np.array([0.25, 0.75]), np.array([0.5, 0.5]), np.array([100.0, 100.0]))
    maps = track_maps(track, TrackSpec(2), MapSpec(), (101, 101))
    assert maps[0, 50, 26:75].min() > 0.999999
    assert maps[1, 50, 75] > 0.999
    assert maps[1, 50, 50] < 0.01  # level 2 keeps the last fixation only
    points = track_maps(track, TrackSpec(1), MapSpec("points"), (101, 101))
    assert points[0, 50, 50] < 0.01


def test_isotropic_distance_is_round_on_the_screen():
    """A wide image, drawn in its own proportions: the map falls alike in x and y."""
    track = Track(np.array([0.5]), np.array([0.5]), np.array([100.0]), aspect=2.0)
    maps = track_maps(track, TrackSpec(1), MapSpec(metric="isotropic"), (101, 201))[0]
    assert maps[50, 130] == pytest.approx(maps[80, 100], abs=0.01)
    square = track_maps(track, TrackSpec(1), MapSpec(), (101, 201))[0]
    assert square[50, 130] > square[80, 100] + 0.1


def test_gaussian_value_is_exp():
    cost = np.concatenate((np.linspace(0, 25, 20001), [1e30, np.inf])).astype(np.float32)
    found = np.array([kernels.gaussian_value(c) for c in cost])
    assert abs(found - np.exp(-cost.astype(np.float64))).max() < 2e-6
    assert found[0] == 1


@pytest.mark.parametrize(
    "options",
    [{"form": "line"}, {"decay": "exp"}, {"duration": "x"}, {"metric": "px"}, {"sigma": 0.0}],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=str(next(iter(options)))):
        MapSpec(**options)


# ---------------------------------------------------------------- heatmaps and sums


@pytest.mark.parametrize("n", [1, 60])
@pytest.mark.parametrize("sigma", [50 / 768, 70 / 768, 0.5])
def test_heatmap_equals_the_published_recipe(n, sigma):
    track, size = made_track(n, low=-0.05, high=1.05), (85, 142)
    slow = slow_blur(track, size, sigma, track.duration_ms)
    slow = (slow - slow.min()) / (slow.max() - slow.min())
    found = heatmap(track, size, sigma)
    assert found.dtype == np.float32
    # a wide Gaussian is nearly flat, and scaling to [0, 1] stretches its rounding
    assert abs(found - slow).max() <= (2e-5 if sigma < 0.3 else 1e-3)
    assert (found.min(), found.max()) == (0, 1)


@pytest.mark.parametrize("keep", ["suffix", "prefix"])
@pytest.mark.parametrize("duration", ["auto", "none"])
def test_sums_equal_the_twin(keep, duration):
    track, size, tracks = made_track(9), (40, 31), TrackSpec(3, keep)
    maps = MapSpec(decay="sum", duration=duration, sigma=0.08)
    weights = np.ones(9) if duration == "none" else track.duration_ms
    levels = []
    for count in level_counts(track.duration_ms, tracks):
        kept = slice(-count, None) if keep == "suffix" else slice(0, count)
        part = Track(track.x[kept], track.y[kept], track.duration_ms[kept])
        levels.append(slow_blur(part, size, maps.sigma, weights[kept]))
    lowest, highest = levels[0].min(), levels[0].max()
    expected = np.clip((np.stack(levels) - lowest) / (highest - lowest), 0, 1)
    found = track_maps(track, tracks, maps, size)
    assert abs(found - expected).max() <= 2e-5
    assert (found[1:] <= found[:-1]).all()
    steps = track_maps(track, tracks, maps, size, as_uint8=True)
    assert abs(steps - expected * 255).max() <= 0.5 + 255 * 2e-5


@settings(deadline=None, max_examples=40)
@given(TRACKS, TRACK_SPECS, st.floats(0.02, 2.0))
def test_sums_are_nested_maps(track, tracks, sigma):
    found = track_maps(track, tracks, MapSpec(decay="sum", sigma=sigma), (24, 30))
    assert np.isfinite(found).all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[1:] <= found[:-1]).all()


def test_level_one_of_a_sum_is_the_heatmap():
    track = made_track(12)
    sums = track_maps(track, TrackSpec(4), MapSpec(decay="sum", sigma=70 / 768), (50, 60))
    np.testing.assert_allclose(sums[0], heatmap(track, (50, 60)), atol=1e-6)


def test_pooled_tracks_weigh_like_one():
    a, b = made_track(5, 1), made_track(6, 2)
    both = pooled([a, b])
    assert len(both.x) == 11
    assert both.aspect == a.aspect
    np.testing.assert_array_equal(both.y[5:], b.y)


# ---------------------------------------------------------------- published figures


@pytest.fixture
def one_opencv_thread():
    """Its threads only wait for each other where every picture is small."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def mean_heatmap_dice(folder, table, suffix, sigma):
    dice = []
    for name, rows in pd.read_csv(table).groupby("IMAGE"):
        mask = read_mask(folder / "masks" / name.replace(".jpg", suffix)) > 0
        track = Track(
            rows["CURRENT_FIX_X"].to_numpy(),
            rows["CURRENT_FIX_Y"].to_numpy(),
            rows["CURRENT_FIX_DURATION"].to_numpy(float),
        )
        found = heatmap(track, mask.shape, sigma) > 0.5
        dice.append(2 * (found & mask).sum() / (found.sum() + mask.sum()))
    return len(dice), np.mean(dice)


@pytest.mark.real
@pytest.mark.usefixtures("one_opencv_thread")
@pytest.mark.parametrize(
    ("name", "suffix", "sigma", "images", "dice"),
    [("kvasir-seg", ".jpg", 70 / 768, 1000, 0.745), ("nci-isbi", ".png", 50 / 768, 789, 0.792)],
)
def test_published_heatmap_dice(data_folder, name, suffix, sigma, images, dice):
    folder = data_folder / name
    table = next(folder.glob("*_fixation.csv"))
    count, found = mean_heatmap_dice(folder, table, suffix, sigma)
    assert count == images
    assert found == pytest.approx(dice, abs=0.002)
