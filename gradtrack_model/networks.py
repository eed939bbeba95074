"""The networks: an encoder, a decoder of four stages, and Track Attention between them.

Legend of the shape suffixes: B batch, C channels, H W pixels of the input, h w pixels of a
stage. Images come in as RGB in [0, 1]; the networks bring them to their own range.

    image ─▶ encoder ─▶ X_0 ─▶ stage 1 ─▶ stage 2 ─▶ stage 3 ─▶ stage 4 ─▶ 1×1 conv ─▶ logits
                │            (up, skip,      ...       ...        ...
                └── skips ──▶ 2 convs, TA)

At inference no gaze is used: Track Attention predicts its maps from the image alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradtrack_model.config import TrainConfig
from gradtrack_model.encoders import (
    Block,
    EfficientNetLite0Encoder,
    Enrich,
    UNetEncoder,
    as_they_are,
    batch_norm_block,
    group_norm_block,
    start_from,
    two_convs,
)

STAGES = 4
"""Decoder stages, the coarsest first."""

_CENTRE, _SPREAD = 127 / 255, 128 / 255


class ModelOutput(NamedTuple):
    """What a network returns.

    Attributes
    ----------
    seg_logits_B1HW : Tensor
        Foreground logits at the size of the input.
    attention_logits : tuple of Tensor
        One (B, 1, h, w) per decoder stage, the coarsest first; empty without Track Attention.
    features_BChw : Tensor or None
        Of the last decoder stage; None of several networks together.
    encoded : tuple of Tensor
        Features of the encoder's five levels, the finest first; empty of several networks.
    members : tuple of ModelOutput
        What each of several networks says; empty of one network.
    """

    seg_logits_B1HW: Tensor
    attention_logits: tuple[Tensor, ...] = ()
    features_BChw: Tensor | None = None
    encoded: tuple[Tensor, ...] = ()
    members: tuple["ModelOutput", ...] = ()


def stage_levels(levels: int, order: str) -> tuple[int, ...]:
    """Which track level (from 1, the whole track) supervises each of the four decoder stages.

    For L levels, stage s = 1..4 (coarsest first) is given

    - ``"whole_first"``: l(s) = 1 + round((s − 1)(L − 1) / 3), so 1, 2, 3, 4 for L = 4 and
      1, 2, 2, 3 for L = 3; with L > 4 some levels are passed over;
    - ``"whole_last"``: l(5 − s), the same reversed;
    - ``"whole_everywhere"``: 1.
    """
    rising = tuple(1 + round(stage * (levels - 1) / (STAGES - 1)) for stage in range(STAGES))
    orders = {
        "whole_first": rising,
        "whole_last": rising[::-1],
        "whole_everywhere": (1,) * STAGES,
    }
    return orders[order]


# ---------------------------------------------------------------- building blocks


def _upsample(x_BChw: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(x_BChw, size=tuple(size), mode="bilinear", align_corners=False)


class TrackAttention(nn.Module):
    r"""Predict the track map of one decoder stage and refine the stage's features with it.

    With X_s the features of stage s, A_{s-1} the map of the coarser stage before and ↑ bilinear
    upsampling,

    .. math::
        A_s &= \sigma\bigl(\mathrm{conv}_{1×1}(\phi(\mathrm{conv}_{3×3}([X_s, ↑A_{s-1}])))\bigr) \\
        X_s &← X_s \odot (1 + A_s)                        && \text{"refine"} \\
        X_s &← X_s \odot A_s                              && \text{"gate"} \\
        X_s &← \phi(\mathrm{conv}_{3×3}([X_s, A_s]))      && \text{"concat"}

    where φ is a leaky ReLU; the first stage has no map before it and takes X_1 alone. The
    losses supervise A_s with the distance map of the stage's track level.
    """

    def __init__(self, channels: int, mode: str, *, first: bool) -> None:
        super().__init__()
        hidden = max(8, channels // 8)
        self.mode = mode
        self.predict = nn.Sequential(
            nn.Conv2d(channels + (0 if first else 1), hidden, 3, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(hidden, 1, 1),
        )
        self.merge = (
            nn.Sequential(
                nn.Conv2d(channels + 1, channels, 3, padding=1), nn.LeakyReLU(0.1, inplace=True)
            )
            if mode == "concat"
            else None
        )

    def forward(self, x_BChw: Tensor, before_B1hw: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the refined features and the logits of A_s, given the logits of A_{s-1}."""
        seen = x_BChw
        if before_B1hw is not None:
            before = _upsample(torch.sigmoid(before_B1hw), x_BChw.shape[-2:])
            seen = torch.cat([x_BChw, before], dim=1)
        logits_B1hw = self.predict(seen)
        attention_B1hw = torch.sigmoid(logits_B1hw)
        if self.merge is not None:
            return self.merge(torch.cat([x_BChw, attention_B1hw], dim=1)), logits_B1hw
        if self.mode == "gate":
            return x_BChw * attention_B1hw, logits_B1hw
        return x_BChw * (1 + attention_B1hw), logits_B1hw


class DecoderStage(nn.Module):
    """Double the size by a 2×2 transposed convolution, join the skip, convolve twice."""

    def __init__(self, channels_in: int, skip: int, channels: int, block: Block) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(channels_in, channels, 2, stride=2)
        self.convs = two_convs(skip + channels, channels, block)

    def forward(self, x_BChw: Tensor, skip_BChw: Tensor) -> Tensor:
        """Return the features of this stage, at the size of the skip."""
        joined: Tensor = self.convs(torch.cat([skip_BChw, self.up(x_BChw)], dim=1))
        return joined


# ---------------------------------------------------------------- the whole network


class SegmentationNetwork(nn.Module):
    """Encoder, four decoder stages with or without Track Attention, and a 1×1 classifier.

    Parameters
    ----------
    encoder : nn.Module
        Returns five feature maps, the finest first; `encoder.channels` are their channels.
    widths : sequence of int
        Channels of the four decoder stages, the coarsest first.
    attention : {"refine", "gate", "concat", "none"}
    block : callable
        Makes the convolutions of the decoder.
    """

    def __init__(
        self, encoder: nn.Module, widths: Sequence[int], attention: str, block: Block
    ) -> None:
        super().__init__()
        *skips, deepest = encoder.channels  # type: ignore[misc]
        self.encoder = encoder
        self.stages = nn.ModuleList()
        self.attention = nn.ModuleList()
        channels_in = deepest
        for stage, (skip, width) in enumerate(zip(reversed(skips), widths, strict=True)):
            self.stages.append(DecoderStage(channels_in, skip, width, block))
            if attention != "none":
                self.attention.append(TrackAttention(width, attention, first=stage == 0))
            channels_in = width
        self.classify = nn.Conv2d(channels_in, 1, 1)

    def forward(self, image_BCHW: Tensor, enrich: Enrich = as_they_are) -> ModelOutput:
        """Segment images; RGB in [0, 1], height and width multiples of the deepest stride.

        `enrich` may add to the features of each level of the encoder.
        """
        encoded = self.encoder((image_BCHW - _CENTRE) / _SPREAD, enrich)
        *skips, x_BChw = encoded
        logits: list[Tensor] = []
        for position, stage in enumerate(self.stages):
            x_BChw = stage(x_BChw, skips[-1 - position])
            if len(self.attention):
                before = logits[-1] if logits else None
                x_BChw, logits_B1hw = self.attention[position](x_BChw, before)
                logits.append(logits_B1hw)
        seg_B1hw = self.classify(x_BChw)
        if seg_B1hw.shape[-2:] != image_BCHW.shape[-2:]:
            seg_B1hw = _upsample(seg_B1hw, image_BCHW.shape[-2:])
        return ModelOutput(seg_B1hw, tuple(logits), x_BChw, tuple(encoded))


class NetworkPair(nn.Module):
    """Two networks that see the same image; together they say the mean of their logits."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, image_BCHW: Tensor) -> ModelOutput:
        """Segment images with both."""
        return _together((self.first(image_BCHW), self.second(image_BCHW)))


class Networks(nn.ModuleList):
    """Any number of networks, like a pair."""

    def forward(self, image_BCHW: Tensor) -> ModelOutput:
        """Segment images with all of them."""
        return _together(tuple(network(image_BCHW) for network in self))


def _together(members: tuple[ModelOutput, ...]) -> ModelOutput:
    mean_B1HW = torch.stack([member.seg_logits_B1HW for member in members]).mean(0)
    return ModelOutput(mean_B1HW, members=members)


def build_network(config: TrainConfig, *, attention: str, pretrained: bool) -> SegmentationNetwork:
    """Build the network that `config` describes.

    ``encoder="unet"``: width w gives encoder channels w, 2w, 4w, 8w, 16w and decoder channels
    8w, 4w, 2w, 2w with GroupNorm(4) and leaky ReLU 0.1 (w = 64: 64 … 1024, last decoder stage
    128); the last stage works at full size. ``encoder="efficientnet-lite0"``: decoder channels
    4w, 2w, w, w with batch normalisation and ReLU; the last stage works at half size and its
    logits are upsampled.

    Parameters
    ----------
    attention : str
        As :class:`TrackAttention`, or "none".
    pretrained : bool
        Let the encoder start from the weights that the settings name.

    Raises
    ------
    TrainingError
        These weights are not there, or not of this encoder.
    """
    width = config.width
    encoder: nn.Module
    if config.encoder == "unet":
        encoder, block = UNetEncoder(width), group_norm_block
        widths = (8 * width, 4 * width, 2 * width, 2 * width)
    else:
        encoder, block = EfficientNetLite0Encoder(), batch_norm_block
        widths = (4 * width, 2 * width, width, width)
    if pretrained:
        start_from(encoder, config.weights)
    return SegmentationNetwork(encoder, widths, attention, block)
