"""Pseudo-masks: thresholds, the uncertain band, and GrabCut seeded by gaze."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.errors import ConfigError
from gazetools.maps import Track, heatmap
from gazetools.masks import (
    BACKGROUND,
    FOREGROUND,
    UNCERTAIN,
    GrabCut,
    PseudoMaskSpec,
    gaze_prior,
    pseudo_mask,
    threshold_mask,
)

GRABCUT, HEATMAP = PseudoMaskSpec(), PseudoMaskSpec("heatmap")


def track_of(*points, duration_ms=300.0):
    x, y = np.array(points, float).T
    return Track(x, y, np.full(len(points), duration_ms))


def noise_image(side=128):
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def lesion(side=192):
    """A soft reddish ellipse on pink mucosa, with a scan that leans to one side of it."""
    rng = np.random.default_rng(3)
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    inside = ((x - 0.55) / 0.24) ** 2 + ((y - 0.45) / 0.13) ** 2 < 1
    soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2)[..., None]
    image = np.array([190, 120, 110]) + soft * np.array([-10, -50, -45])
    image = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
    angle = rng.uniform(0, 2 * np.pi, 20)
    radius = np.sqrt(rng.uniform(0, 0.7, 20))
    points = np.column_stack(
        (0.58 + 0.24 * radius * np.cos(angle), 0.45 + 0.13 * radius * np.sin(angle))
    )
    return image, inside, track_of((0.1, 0.9), *points)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


# ---------------------------------------------------------------- thresholds


def test_threshold_and_band():
    heat = np.array([[0.0, 0.3, 0.31, 0.5, 0.6, 0.61, 1.0]], np.float32)
    assert threshold_mask(heat, HEATMAP).tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    banded = threshold_mask(heat, PseudoMaskSpec("heatmap", band=(0.305, 0.605)))
    assert banded.tolist() == [[0, 0, UNCERTAIN, UNCERTAIN, UNCERTAIN, 1, 1]]


def test_heatmap_masks_are_its_threshold():
    track = track_of((0.3, 0.4), (0.6, 0.6))
    found = pseudo_mask(noise_image(), [track], PseudoMaskSpec("heatmap", 0.05, 0.4))
    np.testing.assert_array_equal(found, heatmap(track, (128, 128), 0.05) > 0.4)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"source": "sam"}, "source is 'sam'"),
        ({"threshold": 0.0}, "threshold is 0"),
        ({"threshold": 1.0}, "threshold is 1"),
        ({"band": (0.6, 0.3)}, "band is"),
    ],
)
def test_impossible_options_are_refused(options, found):
    with pytest.raises(ConfigError, match=found):
        PseudoMaskSpec(**options)


# ---------------------------------------------------------------- GrabCut


def test_the_image_speaks_too():
    """On a lesion with an edge, GrabCut beats every plain threshold of the heatmap."""
    image, inside, track = lesion()
    heat = heatmap(track, inside.shape)
    thresholded = max(dice(heat > t, inside) for t in (0.3, 0.4, 0.5, 0.6))
    found = pseudo_mask(image, [track], GRABCUT)
    assert dice(found == FOREGROUND, inside) > max(0.93, thresholded + 0.05)


def test_same_result_at_every_call_and_in_every_thread():
    image, track = noise_image(), lesion()[2]  # on noise, k-means falls as its seed does
    expected = pseudo_mask(image, [track], GRABCUT)
    cv2.setRNGSeed(1234)
    np.testing.assert_array_equal(pseudo_mask(image, [track], GRABCUT), expected)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: pseudo_mask(image, [track], GRABCUT), range(8)):
            np.testing.assert_array_equal(found, expected)


def test_the_input_is_left_alone():
    image, _, track = lesion()
    before = image.copy()
    pseudo_mask(image, [track], GRABCUT)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "points",
    [
        [(0.5, 0.5)],
        [(0.3, 0.3)] * 12,
        [(0.0, 0.0)],
        [(1.0, 1.0)],
        [(1.0, 0.2), (1.0, 0.5), (1.0, 0.9)],
        [(-0.2, 0.5), (-0.1, 0.4)],
        [(4.0, -3.0)],
        [(0.05, 0.05), (0.95, 0.95), (0.95, 0.05), (0.05, 0.95)],
        [(0.2, 0.5), (0.4, 0.5), (0.8, 0.5)],
    ],
)
@pytest.mark.parametrize("kind", ["noise", "uniform"])
def test_difficult_gaze_and_images_give_a_mask(points, kind):
    image = noise_image() if kind == "noise" else np.full((128, 128, 3), 90, np.uint8)
    for spec in (GRABCUT, HEATMAP):
        found = pseudo_mask(image, [track_of(*points)], spec)
        assert found.dtype == np.uint8
        assert set(np.unique(found)) == {BACKGROUND, FOREGROUND}


@settings(deadline=None, max_examples=8)
@given(
    st.lists(st.tuples(st.floats(-0.2, 1.2), st.floats(-0.2, 1.2)), min_size=1, max_size=12),
    st.integers(8, 60),
    st.integers(8, 60),
)
def test_never_empty_at_any_size(points, height, width):
    image = noise_image(64)[:height, :width]
    found = pseudo_mask(image, [track_of(*points)], GRABCUT)
    assert found.shape == image.shape[:2]
    assert found.any()


def test_prior_is_high_where_gaze_dwelt():
    heat, prior = gaze_prior([track_of((0.1, 0.1), (0.5, 0.5), (0.6, 0.5), (0.55, 0.6))], GrabCut())
    assert heat.shape == prior.shape
    assert prior.min() >= 0
    assert prior.max() <= 1
    side = len(prior)
    assert prior[int(0.53 * side), int(0.55 * side)] > 0.9
    assert prior[int(0.1 * side), int(0.1 * side)] < 0.1  # the first fixation is dropped
    assert gaze_prior([track_of((0.1, 0.1))], GrabCut())[1][int(0.1 * side), int(0.1 * side)] > 0.9


def test_several_readers_are_pooled():
    image, inside, track = lesion()
    half = [Track(track.x[s], track.y[s], track.duration_ms[s]) for s in (slice(11), slice(10, 21))]
    assert dice(pseudo_mask(image, half, GRABCUT) == FOREGROUND, inside) > 0.9
