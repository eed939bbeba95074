"""A teacher that reads descriptions, and the student beside it: the networks of FGI.

Legend of the shape suffixes: B batch, C channels, H W pixels of the image, h w pixels of a
level, N = h w, T D tokens and dimensions of a text.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gradtrack_model.networks import ModelOutput, SegmentationNetwork

HEADS = 8
TEXT_LEVELS = 4
"""The deepest levels of the encoder take in text, and are aligned."""


class Words(NamedTuple):
    """What was said of images; see :class:`gradtrack_model.batches.CacheBatches`."""

    text_BTD: Tensor
    text_mask_BT: Tensor
    where_B2HW: Tensor


class Lesson(NamedTuple):
    """What a teacher has before it: images, and what was said of them if it reads that."""

    image_BCHW: Tensor
    words: Words | None = None


class TextAttention(nn.Module):
    r"""Let the features of a level ask the words of a description.

    With X the pixels of a level as tokens, P the embedding of their positions, E the tokens of
    the text, MHA attention of eight heads and LN layer normalisation,

    .. math::
        Q &= X + P \\
        X &← X + \mathrm{LN}\bigl(Q + \mathrm{MHA}(Q, E, E)\bigr)

    FGI ("From Gaze to Insight", 2025). The gain of LN starts at zero, so that the encoder
    starts as what it is without text; and P, sines and cosines, is of the place in the image as
    the describer saw it, however it is mirrored or turned now. Both are ours.
    """

    def __init__(self, channels: int, text_dims: int) -> None:
        super().__init__()
        self.ask = nn.MultiheadAttention(
            channels, HEADS, kdim=text_dims, vdim=text_dims, batch_first=True
        )
        self.norm = nn.LayerNorm(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x_BChw: Tensor, words: Words) -> Tensor:
        """Return the features of a level with what the text says of them."""
        text_BTD, text_mask_BT, where_B2HW = words
        place_BChw = positions(where_B2HW, x_BChw.shape)
        query_BNC = (x_BChw + place_BChw).flatten(2).transpose(1, 2)
        said_BNC, _ = self.ask(
            query_BNC, text_BTD, text_BTD, key_padding_mask=~text_mask_BT, need_weights=False
        )
        added_BCN: Tensor = self.norm(query_BNC + said_BNC).transpose(1, 2)
        return x_BChw + added_BCN.reshape(x_BChw.shape)


def positions(where_B2HW: Tensor, shape: torch.Size) -> Tensor:
    """Return sines and cosines of the mean place of each pixel, of a shape (B, C, h, w).

    A quarter of the channels each are sines and cosines of x and of y, of wavelengths from two
    images down to two pixels of the level.
    """
    _, channels, height, width = shape
    place_B2hw = F.adaptive_avg_pool2d(where_B2HW, (height, width))
    count = -(-channels // 4)
    most = math.log(max(height, width))
    waves = math.pi * torch.linspace(0, most, count, device=place_B2hw.device).exp()
    angle = place_B2hw[:, :, None] * waves.to(place_B2hw)[:, None, None]
    return torch.cat([angle.sin(), angle.cos()], 2).flatten(1, 2)[:, :channels]


class Teacher(nn.Module):
    """A network whose deepest encoder levels read a description.

    Parameters
    ----------
    network : SegmentationNetwork
    text_dims : int
        Of the text's tokens; 0: it reads none.
    """

    def __init__(self, network: SegmentationNetwork, text_dims: int) -> None:
        super().__init__()
        self.network = network
        channels = deepest_channels(network) if text_dims else ()
        self.text = nn.ModuleList(TextAttention(width, text_dims) for width in channels)
        self.first_level = len(network.encoder.channels) - len(channels)  # type: ignore[arg-type]

    def forward(self, lesson: Lesson) -> ModelOutput:
        """Segment images that come with a description."""

        def enrich(level: int, x_BChw: Tensor) -> Tensor:
            if level < self.first_level:
                return x_BChw
            enriched: Tensor = self.text[level - self.first_level](x_BChw, lesson.words)
            return enriched

        output: ModelOutput = self.network(lesson.image_BCHW, enrich)
        return output


def deepest_channels(network: SegmentationNetwork) -> tuple[int, ...]:
    """Return the channels of the levels that take in text."""
    channels: tuple[int, ...] = network.encoder.channels  # type: ignore[assignment]
    return channels[-TEXT_LEVELS:]


class School(NamedTuple):
    """What both say; of the student's features those that are aligned with the teacher's."""

    taught: ModelOutput
    learned: ModelOutput | None = None
    aligned: tuple[Tensor, ...] = ()


class TeacherAndStudent(nn.Module):
    """Both, and the adapters that bring the student's features to the teacher's channels."""

    def __init__(self, teacher: Teacher, student: SegmentationNetwork, *, aligned: bool) -> None:
        super().__init__()
        self.teacher, self.student = teacher, student
        pairs = zip(deepest_channels(student), deepest_channels(teacher.network), strict=True)
        self.adapters = nn.ModuleList(nn.Conv2d(own, other, 1) for own, other in pairs if aligned)

    def forward(self, lesson: Lesson, image_BCHW: Tensor | None, *, teaches: bool = True) -> School:
        """Ask the teacher about a lesson and the student about images.

        Parameters
        ----------
        image_BCHW : Tensor or None
            None: the student is not asked.
        teaches : bool
            Whether the teacher learns too; if not, it is left as it is.
        """
        self.teacher.train(teaches)
        with torch.set_grad_enabled(teaches and torch.is_grad_enabled()):
            taught = self.teacher(lesson)
        if image_BCHW is None:
            return School(taught)
        learned = self.student(image_BCHW)
        deepest = learned.encoded[-TEXT_LEVELS:]
        pairs = zip(self.adapters, deepest, strict=True) if len(self.adapters) else ()
        return School(taught, learned, tuple(adapter(x_BChw) for adapter, x_BChw in pairs))
