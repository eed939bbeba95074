"""Losses against values worked out by hand."""

import math

import pytest
import torch

from gradtrack_model.losses import (
    attention_loss,
    cross_level_consistency,
    masked_bce,
    segmentation_loss,
    soft_dice,
)

LN3 = math.log(3)  # sigmoid(ln 3) = 3/4


def image(*rows):
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def test_bce_by_hand():
    logits, target = image([LN3, LN3], [0, -LN3]), image([1, 0], [1, 0])
    everything = torch.ones_like(target)
    expected = -(2 * math.log(3 / 4) + math.log(1 / 4) + math.log(1 / 2)) / 4
    assert masked_bce(logits, target, everything).item() == pytest.approx(expected)
    some = image([1, 0], [0, 1])
    assert masked_bce(logits, target, some).item() == pytest.approx(-math.log(3 / 4))


def test_soft_dice_by_hand():
    logits, target = image([LN3, LN3], [0, -LN3]), image([1, 0], [1, 0])
    everything = torch.ones_like(target)
    expected = 1 - (2 * (0.75 + 0.5) + 1) / ((0.75 + 0.75 + 0.5 + 0.25) + 2 + 1)
    assert soft_dice(logits, target, everything).item() == pytest.approx(expected)
    some = image([1, 0], [0, 1])
    expected = 1 - (2 * 0.75 + 1) / (0.75 + 0.25 + 1 + 1)
    assert soft_dice(logits, target, some).item() == pytest.approx(expected)


def test_soft_dice_is_the_mean_over_images_and_spares_empty_ones():
    logits = torch.cat([image([9, -9]), image([-99, -99])]) * 10
    target = torch.cat([image([1, 0]), image([0, 0])])
    assert soft_dice(logits, target, torch.ones_like(target)).item() == pytest.approx(0, abs=1e-6)


def test_segmentation_loss_adds_up():
    logits, target = image([LN3, 0]), image([1, 0])
    valid = torch.ones_like(target)
    expected = masked_bce(logits, target, valid) + 0.3 * soft_dice(logits, target, valid)
    torch.testing.assert_close(segmentation_loss(logits, target, valid, 0.3), expected)


def test_ignored_pixels_have_no_gradient():
    logits = torch.randn(2, 1, 4, 4, requires_grad=True)
    valid = torch.zeros_like(logits)
    valid[..., :2] = 1
    segmentation_loss(logits, torch.ones_like(logits), valid, 1.0).backward()
    assert not logits.grad[..., 2:].any()
    assert logits.grad[..., :2].all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_losses_are_finite_float32_even_with_nothing_valid_and_huge_logits(dtype):
    logits = torch.tensor([1e4, -1e4, 80.0, 0.0], dtype=dtype).reshape(1, 1, 2, 2)
    target = torch.tensor([0, 1, 1, 0], dtype=torch.uint8).reshape(1, 1, 2, 2)
    for valid in (torch.ones_like(target), torch.zeros_like(target)):
        loss = segmentation_loss(logits, target, valid, 1.0)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
    assert attention_loss([logits], target.to(dtype), [1]).dtype == torch.float32


def test_attention_loss_by_hand():
    maps_BLHW = torch.zeros(1, 2, 4, 4)
    maps_BLHW[:, 0] = 0.5
    maps_BLHW[:, 1, :2, :2] = 0.8
    coarse = image([LN3, 0], [0, 0])  # level 2, averaged to [[.8, 0], [0, 0]]
    fine = torch.full((1, 1, 4, 4), LN3)  # level 1
    first = -0.8 * math.log(3 / 4) - 0.2 * math.log(1 / 4)
    expected = (first + 3 * math.log(2)) / 4
    assert attention_loss([coarse], maps_BLHW, [2]).item() == pytest.approx(expected)
    second = -0.5 * (math.log(3 / 4) + math.log(1 / 4))
    both = attention_loss([coarse, fine], maps_BLHW, [2, 1])
    assert both.item() == pytest.approx((expected + second) / 2)


def test_consistency_against_every_pixel_and_neighbour():
    generator = torch.Generator().manual_seed(3)
    logits, peer = torch.randn(2, 2, 1, 6, 7, generator=generator, dtype=torch.float64)
    features = torch.randn(2, 5, 6, 7, generator=generator, dtype=torch.float64)
    found = cross_level_consistency(logits, peer, features, radius=1, dilation=2)
    p, q = torch.sigmoid(logits)[:, 0], torch.sigmoid(peer)[:, 0]
    total = 0.0
    for b in range(2):
        for i in range(6):
            for j in range(7):
                near = [(i + di, j + dj) for di in (-2, 0, 2) for dj in (-2, 0, 2)]
                near = [(y, x) for y, x in near if 0 <= y < 6 and 0 <= x < 7]
                alike = [
                    max(0.0, torch.cosine_similarity(features[b, :, i, j], features[b, :, y, x], 0))
                    for y, x in near
                ]
                weights = torch.softmax(torch.tensor(alike, dtype=torch.float64), 0)
                mean = sum(w * q[b, y, x] for w, (y, x) in zip(weights, near, strict=True))
                total -= p[b, i, j] * mean + (1 - p[b, i, j]) * (1 - mean)
    torch.testing.assert_close(found, total / (2 * 6 * 7))


def test_consistency_teaches_the_one_and_not_its_peer():
    logits, peer = (torch.randn(1, 1, 8, 8, requires_grad=True) for _ in range(2))
    features = torch.randn(1, 3, 4, 4, requires_grad=True)
    cross_level_consistency(logits, peer, features).backward()
    assert logits.grad.any()
    assert peer.grad is None
    assert features.grad is None


def test_consistency_is_best_where_both_are_sure_of_the_same():
    sure, features = torch.full((1, 1, 8, 8), 40.0), torch.ones(1, 2, 8, 8)
    assert cross_level_consistency(sure, sure, features).item() == pytest.approx(-1)
    assert cross_level_consistency(sure, -sure, features).item() == pytest.approx(0)
