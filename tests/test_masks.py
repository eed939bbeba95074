"""Pseudo-masks: thresholds, the uncertain band, the CRF, and GrabCut seeded by gaze."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools import grabcut, masks
from gazetools.crf import CrfSpec, refine
from gazetools.errors import ConfigError
from gazetools.grabcut import GrabCut, gaze_prior
from gazetools.images import resize_image
from gazetools.maps import Track, heatmap
from gazetools.masks import (
    BACKGROUND,
    FOREGROUND,
    UNCERTAIN,
    PseudoMaskSpec,
    foreground_probability,
    pseudo_mask,
    threshold_mask,
)

GRABCUT, HEATMAP, CRF = (PseudoMaskSpec(source) for source in ("grabcut", "heatmap", "crf"))
VOTING = PseudoMaskSpec(band=(0.3, 0.7))


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
    low = threshold_mask(heat, PseudoMaskSpec("heatmap", threshold=0.5, band=(0.2, 0.4)))
    assert low.tolist() == [[0, UNCERTAIN, UNCERTAIN, 1, 1, 1, 1]]  # whatever the threshold


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


# ---------------------------------------------------------------- CRF


def test_crf_masks_are_thresholds_of_one_probability():
    image, _, track = lesion()
    found = foreground_probability(image, [track], CRF)
    np.testing.assert_array_equal(found, refine(heatmap(track, found.shape), image))
    for level in (0.3, 0.5):
        labels = pseudo_mask(image, [track], PseudoMaskSpec("crf", threshold=level))
        np.testing.assert_array_equal(labels, found > level)
    banded = pseudo_mask(image, [track], PseudoMaskSpec("crf", band=(0.3, 0.6)))
    np.testing.assert_array_equal(banded == UNCERTAIN, (found >= 0.3) & (found <= 0.6))
    np.testing.assert_array_equal(banded == FOREGROUND, found > 0.6)


def test_the_crf_follows_colours():
    image, inside, track = lesion()
    plain = pseudo_mask(image, [track], PseudoMaskSpec("heatmap", threshold=0.3)) == FOREGROUND
    refined = pseudo_mask(image, [track], PseudoMaskSpec("crf", threshold=0.3)) == FOREGROUND
    assert dice(refined, inside) > dice(plain, inside) + 0.05


def test_the_crf_takes_its_settings():
    image, _, track = lesion()
    spec = PseudoMaskSpec("crf", heatmap_sigma=0.07, crf=CrfSpec(iterations=0))
    found = foreground_probability(image, [track], spec)
    np.testing.assert_allclose(found, heatmap(track, found.shape, 0.07), atol=2e-5)


def test_the_crf_sees_huge_images_shrunk(monkeypatch):
    image, _, track = lesion()
    monkeypatch.setattr(masks, "_CRF_PIXELS", 96 * 96)
    small = refine(heatmap(track, (96, 96)), resize_image(image, (96, 96)))
    found = foreground_probability(image, [track], CRF)
    np.testing.assert_array_equal(found, cv2.resize(small, (192, 192)))
    assert foreground_probability(image[:1], [track], CRF).shape == (1, 192)


# ---------------------------------------------------------------- GrabCut


def test_what_variants_disagree_on_is_uncertain():
    image, inside, track = lesion()
    plain = pseudo_mask(image, [track], GRABCUT)
    voted = pseudo_mask(image, [track], VOTING)
    certain = voted != UNCERTAIN
    assert 0.9 < certain.mean() < 1
    right = (voted == FOREGROUND) == inside
    assert right[certain].mean() > ((plain == FOREGROUND) == inside).mean()
    whole = pseudo_mask(image, [track], PseudoMaskSpec(band=(0.0, 1.0)))
    assert (whole == UNCERTAIN).all()
    wider = pseudo_mask(image, [track], PseudoMaskSpec(band=(0.2, 0.8)))
    assert ((wider == UNCERTAIN) >= (voted == UNCERTAIN)).all()


def test_odds_are_multiplied():
    found = grabcut._with_odds(np.array([0, 0.25, 0.5, 1], np.float32), 3)
    np.testing.assert_allclose(found, [0, 0.5, 0.75, 1])


def glary(image, inside, count=60):
    """The image with small white spots, most of them across the outline, and where they are."""
    rng = np.random.default_rng(5)
    spots = np.zeros(inside.shape, np.uint8)
    near = np.argwhere(cv2.dilate(inside.astype(np.uint8), np.ones((25, 25))) > 0)
    for row, column in near[rng.integers(0, len(near), count)]:
        axes = (int(rng.integers(2, 6)), int(rng.integers(1, 4)))
        cv2.ellipse(spots, (int(column), int(row)), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    return np.where(spots[..., None] > 0, np.uint8(250), image), spots > 0


def test_glare_is_given_the_colours_around_it():
    image, inside, _ = lesion()
    glaring, spots = glary(image, inside)
    clear = grabcut._without_glare(glaring, GrabCut())
    changed = (clear != glaring).any(axis=2)
    assert changed[spots].all()
    rim = cv2.dilate(spots.astype(np.uint8), np.ones((7, 7))) > 0
    assert not changed[~rim].any()
    assert abs(clear[spots].astype(float) - image[spots]).mean() < 12
    np.testing.assert_array_equal(grabcut._without_glare(image, GrabCut()), image)
    kept = grabcut._without_glare(glaring, GrabCut(glare_contrast=255))
    np.testing.assert_array_equal(kept, glaring)


def test_masks_do_not_follow_glare():
    image, inside, track = lesion()
    glaring, _ = glary(image, inside)
    distracted = PseudoMaskSpec(grabcut=GrabCut(glare_contrast=255))
    before, after = (
        dice(pseudo_mask(glaring, [track], spec) == FOREGROUND, inside)
        for spec in (distracted, GRABCUT)
    )
    assert after > max(0.93, before)


def test_what_is_bright_and_large_is_no_glare():
    image = np.full((192, 192, 3), 90, np.uint8)
    cv2.ellipse(image, (95, 90), (40, 30), 20, 0, 360, (250, 250, 250), -1)
    image[150:154, 20:60, 0] = 250  # small, but red
    changed = (grabcut._without_glare(image, GrabCut()) != image).any(axis=2)
    assert not changed[150:154, 20:60].any()
    assert changed.mean() < 0.005  # where the outline is more bent than the disc


def test_an_image_full_of_glare_is_no_error():
    image, _, track = lesion()
    spots = np.random.default_rng(0).random(image.shape[:2]) < 0.3
    image[spots] = 255
    assert grabcut._without_glare(image, GrabCut()).shape == image.shape
    assert pseudo_mask(image, [track], GRABCUT).any()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"glare_px": 0}, "glare_px is 0; expected 1 or more"),
        ({"glare_contrast": -1}, "glare_contrast is -1; expected a grey value, 0 to 255"),
        ({"glare_contrast": 256}, "glare_contrast is 256"),
        ({"iterations": 0}, "iterations is 0; expected 1 or more"),
        ({"probably": 0.95}, "expected rising values"),
        ({"hull_heat": float("nan")}, "hull_heat is nan; expected a finite number"),
        ({"heat_ceiling": float("inf")}, "heat_ceiling is inf; expected a finite number"),
    ],
)
def test_impossible_settings_are_refused(options, found):
    with pytest.raises(ConfigError, match=found):
        GrabCut(**options)


def test_the_image_speaks_too():
    """On a lesion with an edge, GrabCut beats every plain threshold of the heatmap."""
    image, inside, track = lesion()
    heat = heatmap(track, inside.shape)
    thresholded = max(dice(heat > t, inside) for t in (0.3, 0.4, 0.5, 0.6))
    found = pseudo_mask(image, [track], GRABCUT)
    assert dice(found == FOREGROUND, inside) > max(0.93, thresholded + 0.05)


def test_same_result_at_every_call_and_in_every_thread():
    image, track = noise_image(), lesion()[2]  # on noise, k-means falls as its seed does
    for spec in (GRABCUT, VOTING, CRF):
        expected = pseudo_mask(image, [track], spec)
        cv2.setRNGSeed(1234)
        np.testing.assert_array_equal(pseudo_mask(image, [track], spec), expected)
        with ThreadPoolExecutor(4) as pool:
            for found in pool.map(lambda _, spec=spec: pseudo_mask(image, [track], spec), range(4)):
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("spec", [GRABCUT, VOTING, HEATMAP, CRF])
def test_the_input_is_left_alone(spec):
    image, _, track = lesion()
    before = image.copy()
    pseudo_mask(image, [track], spec)
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
    for spec in (GRABCUT, HEATMAP, CRF):
        found = pseudo_mask(image, [track_of(*points)], spec)
        assert found.dtype == np.uint8
        assert set(np.unique(found)) == {BACKGROUND, FOREGROUND}
    voted = pseudo_mask(image, [track_of(*points)], VOTING)
    assert set(np.unique(voted)) <= {BACKGROUND, FOREGROUND, UNCERTAIN}
    assert (voted == BACKGROUND).any()


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


@pytest.mark.parametrize(
    "settings", [{"side_px": 512}, {"hull_softness_px": 0.5}, {"hull_heat": 2.0}]
)
def test_far_from_the_hull_and_without_one_the_prior_is_the_heatmaps(settings):
    spec = GrabCut(**settings)
    heat, prior = gaze_prior([track_of((0.02, 0.02), (0.03, 0.02))], spec)
    far = np.s_[spec.side_px // 2 :, spec.side_px // 2 :]
    np.testing.assert_allclose(prior[far], np.minimum(heat[far], 0.5), atol=1e-6)
    assert np.isfinite(prior).all()


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


def test_settings_that_leave_no_seeds_leave_the_prior():
    """The cautious one of a band's variants halves the odds of the prior."""
    spec = PseudoMaskSpec(
        band=(0.3, 0.7), grabcut=GrabCut(maybe=0.8, probably=0.9, surely=0.95, hull_margin_px=0)
    )
    track = Track(np.array([0.5, 0.52]), np.array([0.5, 0.5]), np.array([100.0, 200.0]))
    image = np.full((64, 64, 3), 90, np.uint8)
    assert set(np.unique(pseudo_mask(image, [track], spec))) <= {0, 1, 255}


# ---------------------------------------------------------------- gaze and a network together


def test_two_witnesses_are_joined_by_their_odds():
    prior = np.array([[0.5, 0.2, 0.0, 1.0]], np.float32)
    probability = np.array([[191, 128, 255, 0]], np.uint8)
    found = grabcut.joined(prior, probability)[0]
    assert found[0] == pytest.approx(191.5 / 256, abs=1e-6)  # gaze says nothing
    assert found[1] == pytest.approx(0.2 * 128.5 / (0.2 * 128.5 + 0.8 * 127.5), abs=1e-6)
    assert 0 < found[2] < 1
    assert found[2] == pytest.approx(1 - found[3], abs=1e-5)


def test_a_network_that_knows_the_lesion_makes_a_better_mask():
    image, inside, track = lesion()
    hidden = np.random.default_rng(2).integers(80, 120, image.shape).astype(np.uint8)
    told = np.where(inside, 250, 5).astype(np.uint8)
    for spec in (GRABCUT, VOTING):
        alone, joined = (
            dice(pseudo_mask(hidden, [track], spec, says) == FOREGROUND, inside)
            for says in (None, told)
        )
        assert joined > alone + 0.03


def test_gaze_still_counts_beside_a_network():
    image, inside, track = lesion()
    everywhere = np.full(image.shape[:2], 200, np.uint8)
    found = pseudo_mask(image, [track], GRABCUT, everywhere) == FOREGROUND
    assert found.mean() < 3 * inside.mean()
