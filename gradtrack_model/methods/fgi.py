"""FGI: a teacher that sees gaze and a description teaches a student that will see neither.

"From Gaze to Insight", 2025. Its three strategies are multi-scale feature alignment,
confidence-weighted consistency (here: agreement) and disagreement-aware random masking. Where the
paper is silent, or says two things, there is a setting. What is ours without a setting: which
features are aligned and take in text (the four deepest levels of the encoder); that alignment
looks at images as they are, not at mixed ones; that agreement is a mean over all pixels, not over
those that are believed; whose text goes with a mixed image (whoever fills more of it); and see
:mod:`gradtrack_model.teaching` and :mod:`gradtrack_model.mixing`.
"""

import math

import torch
from torch import Tensor, nn

from gazetools.cache import Cache
from gazetools.errors import TrainingError
from gradtrack_model.batches import Batch
from gradtrack_model.config import TrainConfig
from gradtrack_model.distributed import ranks
from gradtrack_model.losses import (
    attention_loss,
    confident_agreement,
    feature_alignment,
    masked_bce,
)
from gradtrack_model.methods.base import Loss, Method
from gradtrack_model.methods.gazemedseg import check_band, nested_masks
from gradtrack_model.mixing import Draws, masking_squares, noisy, pasted, pasted_boxes
from gradtrack_model.networks import ModelOutput, SegmentationNetwork, build_network, stage_levels
from gradtrack_model.teaching import TEXT_LEVELS, Lesson, Teacher, TeacherAndStudent, Words


class FromGazeToInsight(Method):
    r"""Two networks; the student, which sees images alone, is what is validated and kept.

    .. math::
        L = \mathrm{BCE}(T, M_1) + \mathrm{BCE}(S, \mathrm{masked}(M_2))
            + w(t) (λ_\text{alignment} L_F + λ_\text{agreement} (L_P(S, T) + L_P(T, S)))
            + λ_\text{attention} L_A(T)

    T and S are teacher and student. M_1 is what the pseudo-mask calls foreground, M_2 also what
    it calls uncertain; with ``uncertain="ignore"`` the teacher learns nothing of the latter
    (the paper speaks of a partial cross-entropy). Of where M_1 and M_2 differ, squares over
    `masked_share` are, by `masked_as`, background or ignored in the student's mask. With
    ``masked_image="zeroed"`` they are black in its image too, as published; but squares lie where
    the masks differ, which is around the lesion, so that they tell the student what to say.
    L_F is :func:`gradtrack_model.losses.feature_alignment`, L_P
    :func:`gradtrack_model.losses.confident_agreement` on images mixed by CutMix with noise. L_A,
    with `teacher_attention`, is :func:`gradtrack_model.losses.attention_loss`: Track Attention
    in the teacher, our combination with GradTrack.

    .. math:: w(t) = \exp(-5 (1 - \min(t, R) / R)^2)

    with t and R = `ramp` · T in iterations of the student, of which there are T. With
    `teacher_first` the teacher learns alone at first, and then no more.

    Several processes draw pasting, noise and squares each for itself, so their weights are not
    those of one process.
    """

    def fields(self, config: TrainConfig) -> tuple[str, ...]:
        """Return images, pseudo-masks and, as the settings say, text and maps."""
        text = ("text",) if config.text != "none" else ()
        maps = ("maps",) if config.teacher_attention != "none" else ()
        return ("images", "pseudo_masks", *text, *maps)

    def check(self, cache: Cache, config: TrainConfig) -> None:
        """Refuse masks of one threshold, and text that is missing or was made from masks."""
        check_band(cache, config.method)
        if config.text != "none":
            _check_text(cache)
        if config.weights not in ("auto", "none") and config.encoder == "unet":
            raise TrainingError(
                f"weights = {config.weights!r}: teacher and student are U-Nets of two widths, "
                "which no file fits; expected none, or encoder efficientnet-lite0"
            )
        if config.lambda_agreement and config.batch_size < 2 * ranks():
            raise TrainingError(
                f"batch_size = {config.batch_size} for {ranks()} processes: CutMix mixes two "
                "images; expected two or more for each process"
            )
        if config.teacher_first and ranks() > 1:
            raise TrainingError(
                f"teacher_first = {config.teacher_first}: expects one process, not {ranks()}; "
                "run it on one GPU, or let both learn together (teacher_first=0)"
            )

    def build(self, config: TrainConfig, *, pretrained: bool = True) -> SegmentationNetwork:
        """Return the student."""
        width = max(4, round(config.student_share * config.width / 4) * 4)
        student = config.replace(width=width)
        return build_network(student, attention="none", pretrained=pretrained)

    def learner(
        self, network: nn.Module, config: TrainConfig, *, text_dims: int, pretrained: bool
    ) -> nn.Module:
        """Return the student with a teacher beside it."""
        own = build_network(config, attention=config.teacher_attention, pretrained=pretrained)
        teacher = Teacher(own, text_dims if config.text != "none" else 0)
        aligned = config.lambda_alignment > 0
        return TeacherAndStudent(teacher, network, aligned=aligned)  # type: ignore[arg-type]

    def segmenter(self, learner: nn.Module) -> nn.Module:
        """Return the student."""
        student: nn.Module = learner.student  # type: ignore[assignment]
        return student

    def loss(self, model: nn.Module, batch: Batch, config: TrainConfig, iteration: int = 0) -> Loss:
        """Return the loss of both."""
        lesson = _lesson(batch)
        if iteration < teacher_alone(config):
            parts = _taught_parts(model(lesson, None).taught, batch, config)
            return _weighted(parts, config, iteration)
        draws = Draws.of(config.seed, iteration, lesson.image_BCHW.device)
        certain_B1HW, possible_B1HW = nested_masks(batch["pseudo_B1HW"])
        hidden_B1HW = masking_squares(certain_B1HW ^ possible_B1HW, config.masked_share, draws)
        image_BCHW = lesson.image_BCHW
        if config.masked_image == "zeroed":
            image_BCHW = image_BCHW * ~hidden_B1HW
        if config.lambda_agreement:
            mixed = _mixed(lesson, draws)
            lesson = _both(lesson, mixed)
            image_BCHW = torch.cat([image_BCHW, mixed.image_BCHW])
        teaches = not config.teacher_first
        taught, learned, aligned = model(lesson, image_BCHW, teaches=teaches)

        count = len(certain_B1HW)
        parts = _taught_parts(_upto(count, taught), batch, config) if teaches else {}
        told_B1HW = ~hidden_B1HW if config.masked_as == "ignore" else torch.ones_like(hidden_B1HW)
        parts["student"] = masked_bce(
            learned.seg_logits_B1HW[:count], possible_B1HW & ~hidden_B1HW, told_B1HW
        )
        if aligned:
            features = [x_BChw[:count] for x_BChw in taught.encoded[-TEXT_LEVELS:]]
            parts["alignment"] = feature_alignment([x[:count] for x in aligned], features)
        if config.lambda_agreement:
            of_taught, of_learned = (o.seg_logits_B1HW[count:] for o in (taught, learned))
            parts["agreement"] = confident_agreement(of_learned, of_taught)
            if teaches:
                parts["agreement"] = parts["agreement"] + confident_agreement(of_taught, of_learned)
        return _weighted(parts, config, iteration)


def teacher_alone(config: TrainConfig) -> int:
    """Return in how many iterations the teacher learns alone; the student has one at least."""
    return min(round(config.teacher_first * config.iterations), config.iterations - 1)


def ramp(config: TrainConfig, iteration: int) -> float:
    """Return w(t), the share of their weight that alignment and agreement have."""
    if not config.ramp:
        return 1.0
    alone = teacher_alone(config)
    left = 1 - min((iteration - alone) / (config.ramp * (config.iterations - alone)), 1)
    return math.exp(-5 * left**2)


def _check_text(cache: Cache) -> None:
    if cache.text is None:
        raise TrainingError(
            f"{cache.path}: holds no text; method fgi expects descriptions of the training images "
            "(gazetools describe, then gazetools encode-text), or --set text=none"
        )
    if "mask" in cache.text.seen:
        raise TrainingError(
            f"{cache.path}: its descriptions were made from masks: to train on them is to train "
            "on masks; describe the images anew, from images and gaze alone"
        )
    train = cache.indices("train")
    silent = train[~cache.text_mask(train).any(1)]
    if len(silent):
        raise TrainingError(
            f"{cache.path}: {len(silent)} of {len(train)} training items have no description "
            f"(first: {cache.items[silent[0]].name!r}); describe them, or --set text=none"
        )


def _lesson(batch: Batch) -> Lesson:
    if "text_BTD" not in batch:
        return Lesson(batch["image_BCHW"])
    words = Words(batch["text_BTD"], batch["text_mask_BT"], batch["where_B2HW"])
    return Lesson(batch["image_BCHW"], words)


def _mixed(lesson: Lesson, draws: Draws) -> Lesson:
    """Paste items into each other, with noise; each keeps the text of what fills most of it."""
    image_BCHW, words = lesson
    height, width = image_BCHW.shape[-2:]
    box_B1HW = pasted_boxes(draws, len(image_BCHW), (height, width)).to(image_BCHW.device)
    mixed_BCHW = noisy(pasted(image_BCHW, box_B1HW), draws)
    if words is None:
        return Lesson(mixed_BCHW)
    most_B = box_B1HW.flatten(1).float().mean(1) > 0.5
    return Lesson(
        mixed_BCHW,
        Words(
            pasted(words.text_BTD, most_B[:, None, None]),
            pasted(words.text_mask_BT, most_B[:, None]),
            pasted(words.where_B2HW, box_B1HW),
        ),
    )


def _both(first: Lesson, second: Lesson) -> Lesson:
    image_BCHW = torch.cat([first.image_BCHW, second.image_BCHW])
    if first.words is None or second.words is None:
        return Lesson(image_BCHW)
    return Lesson(image_BCHW, Words(*map(torch.cat, zip(first.words, second.words, strict=True))))


def _upto(count: int, output: ModelOutput) -> ModelOutput:
    """Return what was said of the first items of a batch."""
    attention = tuple(logits_B1hw[:count] for logits_B1hw in output.attention_logits)
    return ModelOutput(output.seg_logits_B1HW[:count], attention)


def _taught_parts(taught: ModelOutput, batch: Batch, config: TrainConfig) -> dict[str, Tensor]:
    """Return what the teacher learns from gaze."""
    pseudo_B1HW = batch["pseudo_B1HW"]
    certain_B1HW, possible_B1HW = nested_masks(pseudo_B1HW)
    known_B1HW = torch.ones_like(certain_B1HW)
    if config.uncertain == "ignore":
        known_B1HW = certain_B1HW | ~possible_B1HW
    parts = {"teacher": masked_bce(taught.seg_logits_B1HW, certain_B1HW, known_B1HW)}
    if taught.attention_logits:
        levels = stage_levels(batch["maps_BLHW"].shape[1], config.stage_order)
        parts["attention"] = attention_loss(taught.attention_logits, batch["maps_BLHW"], levels)
    return parts


def _weighted(parts: dict[str, Tensor], config: TrainConfig, iteration: int) -> Loss:
    rising = ramp(config, iteration)
    weights = {
        "attention": config.lambda_attention,
        "alignment": config.lambda_alignment * rising,
        "agreement": config.lambda_agreement * rising,
    }
    total = torch.stack([weights.get(name, 1.0) * part for name, part in parts.items()]).sum()
    return total, {name: part.detach() for name, part in parts.items()}
