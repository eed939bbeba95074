"""Losses against values worked out by hand."""

import math

import pytest
import torch

from gradtrack_model.losses import attention_loss, masked_bce, segmentation_loss, soft_dice

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
