"""Distance maps and heatmaps: kernels, compiled and interpreted, against slow twins."""

import multiprocessing

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gazetools import maps as face
from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.images import read_mask
from gazetools.kernels import culling, sums
from gazetools.kernels import maps as kernels
from gazetools.maps import CANVAS_PX, MapSpec, Track, batch_maps, heatmap, pooled, track_maps
from gazetools.tracks import TrackSpec, level_counts

# ---------------------------------------------------------------- the slow, obvious twin


def slow_maps(track, tracks, maps, size):
    """Every primitive at every pixel, in float64."""
    height, width = size
    unit_x, unit_y = {
        "square": (1.0, 1.0),
        "isotropic": (track.aspect**0.5, track.aspect**-0.5),
        "degrees": track.size_deg,
    }[maps.metric]
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
    for module in (kernels, culling, sums, face):
        for name, kernel in list(vars(module).items()):
            if hasattr(kernel, "py_func"):
                monkeypatch.setattr(module, name, kernel.py_func)


@settings(deadline=None, max_examples=100)
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


@pytest.mark.parametrize("duration", ["none", "weight", "radius"])
@pytest.mark.parametrize("decay", ["gaussian", "linear"])
@pytest.mark.parametrize("form", ["points", "polyline"])
def test_many_blocks_of_tiles(decay, duration, form):
    maps = MapSpec(form, decay, duration, 0.03, "isotropic")
    check_maps(made_track(40, low=-0.1, high=1.1), TrackSpec(4), maps, (131, 190))


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_no_nearest_primitive_is_left_out(linear, seed):
    """Points and segments of unlike widths and heights, in cells of any place."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(0, 6, 6), rng.choice([0.5, 1, 2, 4], 6)
    half = rng.choice([0, 0.3, 2], 6) * scale
    ex, ey, apart = scale * np.cos(angle), scale * np.sin(angle), np.full(6, -np.inf)
    primitives = np.column_stack((*rng.uniform(0, 4, (2, 6)), ex, ey, half, angle / 9, apart))
    primitives = primitives.astype(np.float32)
    x, y = rng.uniform(0, 4, (2, 4096)).astype(np.float32)
    half_x, half_y, ceiling = np.float32(0.5), np.float32(0.2), np.float32(3)
    reaching = np.empty((6, 4096), np.bool_)
    culling.keep_near(primitives, np.array([6]), x, y, half_x, half_y, linear, ceiling, reaching)
    for across, down in np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 2), -1).reshape(-1, 2):
        costs = []
        for cx, cy, ex, ey, length, offset, _ in primitives.astype(np.float64):
            dx, dy = x + across * half_x - cx, y + down * half_y - cy
            along = np.maximum(abs(dx * ex + dy * ey) - length, 0)
            square = along**2 + (dy * ex - dx * ey) ** 2
            costs.append((np.sqrt(square) if linear else square) + offset)
        nearest = np.argmin(costs, axis=0)
        kept = reaching[nearest, np.arange(4096)]
        assert (kept | (np.min(costs, axis=0) > ceiling)).all()


def test_few_primitives_reach_a_tile():
    """The cost of a map hardly depends on the number of fixations."""
    track = made_track(200)
    rows, columns = 8, 16
    primitives = kernels.make_primitives(
        track.x, track.y, np.ones(200), True, False, False, False, 0.07
    )
    x, y = kernels.centres(224, 224, rows, columns, 1 / 224, 1 / 224)
    reaching = np.empty((200, len(x)), np.bool_)
    half_x, half_y = np.float32([(columns - 1) / 448, (rows - 1) / 448])
    far = np.float32(np.log(510))
    one_level = np.array([200])
    culling.keep_near(
        primitives.astype(np.float32), one_level, x, y, half_x, half_y, False, far, reaching
    )
    assert reaching.sum(axis=0).min() >= 1
    assert reaching.sum(axis=0).mean() < 18


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("share", "reached"), [([1, 1, 1], 1), ([0.5, 0.5, 1], 2)])
def test_a_joint_is_drawn_once(share, reached, linear):
    """Where two segments have the same nearest point, the later is drawn only if stronger."""
    x, y = np.array([0.0, 1.0, 1.0]), np.array([0.5, 0.5, 1.5])
    primitives = kernels.make_primitives(x, y, np.array(share), True, linear, True, False, 1.0)
    reaching = np.empty((3, 1), np.bool_)
    corner = np.float32([1.2]), np.float32([0.3])
    half, ceiling = np.float32(0.01), np.float32(9)
    culling.keep_near(
        primitives.astype(np.float32), np.array([3]), *corner, half, half, linear, ceiling, reaching
    )
    np.testing.assert_array_equal(np.flatnonzero(reaching), [reached])


@pytest.mark.parametrize("size", [(1, 1), (8, 32), (9, 33), (7, 31), (224, 3)])
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


def test_distance_in_degrees():
    """An image of 20 x 10 degrees: sigma is 2 degrees along both sides."""
    track = made_track(9)
    in_degrees = Track(track.x, track.y, track.duration_ms, size_deg=(20.0, 10.0))
    check_maps(in_degrees, TrackSpec(3), MapSpec(sigma=2.0, metric="degrees"), (40, 50))
    assert pooled([in_degrees, in_degrees]).size_deg == (20.0, 10.0)
    with pytest.raises(ConfigError, match="size_deg"):
        track_maps(track, TrackSpec(), MapSpec(metric="degrees"), (8, 8))


@pytest.mark.parametrize("maps", [MapSpec(), MapSpec(decay="linear"), MapSpec(decay="sum")])
@pytest.mark.parametrize("as_uint8", [True, False])
@pytest.mark.parametrize("by", ["count", "duration"])
def test_a_batch_has_the_same_bytes_for_any_number_of_threads(maps, as_uint8, by):
    tracks, size = TrackSpec(3, by=by), (37, 50)
    batch = [made_track(n, seed=n, aspect=0.5 + n / 20) for n in (1, 30, 2, 7, 100, 13, 5)]
    alone = np.stack([track_maps(t, tracks, maps, size, as_uint8=as_uint8) for t in batch])
    for threads in (1, 2, 5):
        found = batch_maps(batch, tracks, maps, size, as_uint8=as_uint8, threads=threads)
        assert found.tobytes() == alone.tobytes()
    out = np.full_like(alone, 77)
    assert batch_maps(batch, tracks, maps, size, as_uint8=as_uint8, out=out) is out
    assert out.tobytes() == alone.tobytes()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs a fork")
def test_a_process_that_was_forked_has_its_own_threads():
    batch = [made_track(n, seed=n) for n in (3, 4, 5)]

    def render():
        return batch_maps(batch, TrackSpec(), MapSpec(), (8, 8), threads=2)

    render()
    forked = multiprocessing.get_context("fork").Process(target=render)
    forked.start()
    forked.join(60)
    forked.kill()
    assert forked.exitcode == 0


HOLD = {"x": [0.5, 0.6], "y": [0.5, 0.6], "duration_ms": [100.0, 200.0]}


@pytest.mark.parametrize(
    ("changed", "error", "found"),
    [
        ({"x": [0.5, np.nan]}, SchemaError, r"fixation 1 is at \(nan, 0.6\)"),
        ({"y": [-np.inf, np.inf]}, SchemaError, r"fixation 0 is at \(0.5, -inf\)"),
        ({"duration_ms": [np.nan, 1.0]}, SchemaError, "for nan ms"),
        ({"duration_ms": [1.0, np.inf]}, SchemaError, "for inf ms"),
        ({"duration_ms": [0.0, 0.0]}, SchemaError, "for 0.0 ms; expected a finite place"),
        ({"duration_ms": [2.0, -1.0]}, SchemaError, "for -1.0 ms"),
        ({"x": [0.5]}, SchemaError, r"shapes \(1,\), \(2,\), \(2,\)"),
        ({name: [] for name in HOLD}, SchemaError, "a fixation at least"),
        ({name: [[0.5]] for name in HOLD}, SchemaError, r"shapes \(1, 1\)"),
        (dict.fromkeys(HOLD, 0.5), SchemaError, r"shapes \(\)"),
        ({"aspect": 0.0}, GeometryError, "aspect is 0.0"),
        ({"aspect": np.nan}, GeometryError, "aspect is nan"),
        ({"size_deg": (20.0, -1.0)}, GeometryError, r"size_deg \(20.0, -1.0\)"),
    ],
)
def test_a_track_that_cannot_be_drawn_is_refused(changed, error, found):
    with pytest.raises(error, match=found):
        Track(**HOLD | changed)


def test_a_track_takes_whatever_numbers_there_are():
    """Whole numbers, lists, places far off: they are float64 in the kernels."""
    track = Track([0, 1], np.array([1, 0]), pd.Series([100, 200], dtype="Float64"))
    assert {values.dtype for values in (track.x, track.y, track.duration_ms)} == {np.dtype("f8")}
    check_maps(track, TrackSpec(2), MapSpec(duration="weight"), (9, 12))
    far = Track([0.5, 1e200], [0.5, 0.5], [1e-300, 1e-300])
    assert track_maps(far, TrackSpec(2), MapSpec("points"), (9, 9)).max() > 0.9


def test_an_empty_batch():
    assert batch_maps([], TrackSpec(3), MapSpec(), (5, 6)).shape == (0, 3, 5, 6)
    assert batch_maps([], TrackSpec(3), MapSpec(decay="sum"), (5, 6)).shape == (0, 3, 5, 6)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((1, 4, 8, 8), np.float64),
        np.empty((1, 4, 8, 9), np.float32),
        np.empty((1, 4, 8, 8), np.float32).swapaxes(2, 3),
    ],
)
def test_an_unfit_array_for_a_batch_is_refused(out):
    with pytest.raises(ConfigError, match=r"expected a C-ordered float32 \(1, 4, 8, 8\)"):
        batch_maps([made_track(3)], TrackSpec(), MapSpec(), (8, 8), out=out)


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


@pytest.mark.usefixtures("interpreted")
def test_interpreted_sums_equal_compiled_ones():
    maps = MapSpec(decay="sum")
    found = track_maps(made_track(6), TrackSpec(3), maps, (9, 8))
    assert (found[1:] <= found[:-1]).all()
    assert (found.min(), found.max()) == (0, 1)


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
