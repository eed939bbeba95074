"""Measures of masks against counting and measuring every pair of pixels, and against MONAI."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gradtrack_model.metrics import NSD_TOLERANCE, dice, hd95, iou, measure, nsd

SHAPES = (
    *((1, 1), (1, 2), (2, 1), (1, 11), (11, 1), (2, 2), (3, 3), (2, 9), (9, 2), (5, 5)),
    *((4, 7), (7, 4), (6, 6), (8, 5), (5, 8), (9, 7), (7, 9), (10, 9), (9, 10), (10, 10)),
)
PAIRS = 10_000
LEFT, RIGHT = np.array([[1, 0, 0, 0, 0]]), np.array([[0, 0, 0, 1, 0]])

masks = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(*(arrays.arrays(np.bool_, shape) for _ in range(3)))
)
pairs = masks.map(lambda some: some[:2])


def random_pairs(shape, n, seed):
    """Masks (n, 2, H, W), from empty to full, every sixth pair of two masks that are the same."""
    rng = np.random.default_rng(seed)
    share = rng.choice([0, 0.03, 0.1, 0.3, 0.6, 0.9, 1], (n, 2, 1, 1))
    drawn = rng.random((n, 2, *shape)) < share
    drawn[::6, 1] = drawn[::6, 0]
    return drawn


# ---------------------------------------------------------------- the oracle


def slow_borders(masks):
    """Pixels of masks (n, H, W) with a neighbour, of four, that is not in the mask."""
    around = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    surrounded = (
        around[:, :-2, 1:-1] & around[:, 2:, 1:-1] & around[:, 1:-1, :-2] & around[:, 1:-1, 2:]
    )
    return masks & ~surrounded


def slow_nearest(borders, others):
    """Distances (n, H * W) of each border pixel to the nearest of the others, NaN elsewhere."""
    n, height, width = borders.shape
    at = np.argwhere(np.ones((height, width))).astype(float)
    apart = np.sqrt(((at[:, None] - at[None]) ** 2).sum(-1))
    to_others = np.where(others.reshape(n, 1, -1), apart, np.inf).min(-1)
    return np.where(borders.reshape(n, -1), to_others, np.nan)


def slow_percentile(values, percent):
    """Percentile with a straight line between neighbours in rank."""
    ranked = sorted(values)
    rank = percent / 100 * (len(ranked) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (rank - low) * (ranked[high] - ranked[low])


def slow_measures(drawn):
    """Dice, IoU, HD95 and NSD (n, 4) of pairs of masks (n, 2, H, W)."""
    p, r = drawn[:, 0], drawn[:, 1]
    borders = slow_borders(p), slow_borders(r)
    there, back = slow_nearest(*borders), slow_nearest(*borders[::-1])
    diagonal = math.hypot(*p.shape[1:])
    rows = []
    for k in range(len(drawn)):
        if not p[k].any() and not r[k].any():
            rows.append((1, 1, math.nan, 1))
        elif not p[k].any() or not r[k].any():
            rows.append((0, 0, diagonal, 0))
        else:
            both, either = (p[k] & r[k]).sum(), (p[k] | r[k]).sum()
            ways = [way[k][~np.isnan(way[k])] for way in (there, back)]
            near = sum((way <= NSD_TOLERANCE * diagonal).sum() for way in ways)
            rows.append(
                (
                    2 * both / (both + either),
                    both / either,
                    max(slow_percentile(way, 95) for way in ways),
                    near / sum(map(len, ways)),
                )
            )
    return np.array(rows)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_measures_against_measuring_every_pair_of_pixels(shape):
    drawn = random_pairs(shape, PAIRS // len(SHAPES), seed=shape)
    found = np.array([measure(p, r) for p, r in drawn])
    np.testing.assert_allclose(found, slow_measures(drawn), rtol=1e-12)


def test_the_tolerance_against_measuring_every_pair_of_pixels():
    """With tolerances of several pixels; at 0.5 % those of small images are below one."""
    drawn = random_pairs((9, 12), 300, seed=1)
    borders = slow_borders(drawn[:, 0]), slow_borders(drawn[:, 1])
    found = np.hstack([slow_nearest(*borders), slow_nearest(*borders[::-1])])
    for pixels in (0, 1, math.sqrt(2), 2, math.sqrt(5), 4):
        # a little more than a distance that occurs
        tolerance = (pixels + 1e-9) / 15
        for (p, r), distances in zip(drawn, found, strict=True):
            near, border = (distances <= pixels + 1e-9).sum(), (~np.isnan(distances)).sum()
            expected = near / border if border else 1.0
            assert nsd(p, r, tolerance) == pytest.approx(expected, rel=1e-12)


def test_pixels_of_large_masks_are_as_far_apart_as_they_are():
    """Distances are exact: 1,500² + 2,000² = 2,500²."""
    p, r = np.zeros((1600, 2100), bool), np.zeros((1600, 2100), bool)
    p[17, 30], r[1517, 2030] = True, True
    assert hd95(p, r) == 2500.0
    r[1517, 2030], r[1516, 2029] = False, True
    assert hd95(p, r) == math.hypot(1499, 1999)


# ---------------------------------------------------------------- by hand


def test_two_pixels_by_hand():
    found = measure(LEFT, RIGHT)
    assert found == (0.0, 0.0, 3.0, 0.0)
    assert nsd(LEFT, RIGHT, tolerance=3 / math.hypot(1, 5)) == 1.0
    assert nsd(LEFT, RIGHT, tolerance=2.99 / math.hypot(1, 5)) == 0.0


def test_the_larger_of_two_directed_percentiles_by_hand():
    """21 pixels in a row against the first alone: distances 0 to 20 one way, 0 the other."""
    row, first = np.ones((1, 21)), np.eye(1, 21)
    assert hd95(row, first) == hd95(first, row) == 19.0  # both ways together would say 18.95
    assert nsd(row, first, tolerance=5 / math.hypot(1, 21)) == pytest.approx((6 + 1) / 22)


def test_what_touches_the_edge_of_the_image_has_its_border_there():
    full, hollow = np.ones((9, 9)), np.ones((9, 9))
    hollow[4, 4] = 0
    assert hd95(full, hollow) == pytest.approx(slow_percentile([0] * 32 + [3] * 4, 95))
    assert nsd(full, hollow) == 64 / 68


def test_a_missed_object_costs_all():
    empty, full = np.zeros((3, 4)), np.ones((3, 4))
    assert measure(empty, full) == measure(full, empty) == (0.0, 0.0, 5.0, 0.0)
    found = measure(empty, empty)
    assert (found.dice, found.iou, found.nsd) == (1.0, 1.0, 1.0)
    assert math.isnan(found.hd95_px)


def test_other_shapes_are_refused():
    for function in (dice, iou, hd95, nsd, measure):
        with pytest.raises(ValueError, match=r"\(2, 2\), reference \(3, 3\)"):
            function(np.zeros((2, 2)), np.zeros((3, 3)))


# ---------------------------------------------------------------- properties


@given(masks)
def test_areas_against_counting(some):
    prediction, reference, valid = some
    pixels = [
        (p, r) for p, r, v in zip(prediction.flat, reference.flat, valid.flat, strict=True) if v
    ]
    both = sum(bool(p and r) for p, r in pixels)
    either = sum(bool(p or r) for p, r in pixels)
    sizes = sum(int(p) + int(r) for p, r in pixels)
    assert dice(prediction, reference, valid) == (2 * both / sizes if sizes else 1.0)
    assert iou(prediction, reference, valid) == (both / either if either else 1.0)
    everywhere = np.ones_like(valid)
    assert dice(prediction, reference) == dice(prediction, reference, everywhere)


@given(pairs)
def test_measures_are_bounded_symmetric_and_consistent(pair):
    prediction, reference = pair
    found = measure(prediction, reference)
    assert 0 <= found.iou <= found.dice <= 1
    assert found.dice == pytest.approx(2 * found.iou / (1 + found.iou))
    assert 0 <= found.nsd <= 1
    np.testing.assert_array_equal(found, measure(reference, prediction))
    np.testing.assert_array_equal(found, measure(prediction[:, ::-1], reference[:, ::-1]))
    np.testing.assert_array_equal(found, measure(prediction.T, reference.T))
    alone = (dice, iou, hd95, nsd)
    np.testing.assert_array_equal(found, [function(*pair) for function in alone])


@given(pairs)
def test_a_mask_agrees_with_itself(pair):
    mask, _ = pair
    assert dice(mask, mask) == iou(mask, mask) == nsd(mask, mask) == 1.0
    assert hd95(mask, mask) == 0.0 or not mask.any()


@given(pairs, st.integers(0, 3), st.integers(0, 3))
def test_ground_around_both_changes_no_distance(pair, before, after):
    """Unless a mask is empty: then the diagonal is what it costs."""
    padded = [np.pad(mask, ((before, after), (after, before))) for mask in pair]
    if all(mask.any() for mask in pair):
        assert hd95(*padded) == hd95(*pair)


def means(measured):
    """Mean measures over images; HD95 over those where it is defined."""
    values = np.array(measured)
    defined = values[~np.isnan(values[:, 2]), 2]
    return np.array([*values[:, [0, 1, 3]].mean(0), -defined.mean()])


@given(st.lists(pairs, min_size=1, max_size=6), st.data())
def test_a_missed_object_never_improves_the_mean(images, data):
    with_object = [k for k, (_, reference) in enumerate(images) if reference.any()]
    if not with_object:
        return
    missed = data.draw(st.sets(st.sampled_from(with_object), min_size=1))
    measured = [measure(p, r) for p, r in images]
    worse = [
        measure(np.zeros_like(p), r) if k in missed else measure(p, r)
        for k, (p, r) in enumerate(images)
    ]
    assert (means(worse) <= means(measured) + 1e-12).all()


# ---------------------------------------------------------------- MONAI


@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@pytest.mark.parametrize("shape", [(1, 9), (6, 6), (12, 9)])
def test_monai_measures_the_same_where_no_mask_is_empty(shape):
    metrics = pytest.importorskip("monai.metrics", reason="the dev extra is not installed")
    drawn = random_pairs(shape, 200, seed=5)
    drawn = drawn[drawn.any(axis=(2, 3)).all(axis=1)]
    assert len(drawn) > 80
    both = [torch.from_numpy(drawn[:, k, None]) for k in (0, 1)]
    tolerance = (1 + 1e-6) / math.hypot(*shape)
    theirs_hd95 = metrics.HausdorffDistanceMetric(include_background=True, percentile=95)
    theirs_nsd = metrics.SurfaceDiceMetric([1 + 1e-6], include_background=True)
    np.testing.assert_allclose(
        [hd95(p, r) for p, r in drawn], theirs_hd95(*both)[:, 0], rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        [nsd(p, r, tolerance) for p, r in drawn], theirs_nsd(*both)[:, 0], rtol=1e-6
    )
