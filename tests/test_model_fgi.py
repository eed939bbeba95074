"""FGI: what teacher and student learn from, what each step does, what the student never sees."""

import math

import numpy as np
import pytest
import torch
from made_caches import random_text
from model_cache import make_cache
from safetensors.torch import load_file
from torch import nn

from gazetools.cache import Cache, Text, put_text
from gazetools.errors import CacheError, TrainingError
from gazetools.images import encode_png
from gradtrack_model import runs
from gradtrack_model.batches import CacheBatches
from gradtrack_model.config import PRESETS
from gradtrack_model.evaluate import evaluate
from gradtrack_model.losses import confident_agreement, feature_alignment
from gradtrack_model.methods import METHODS
from gradtrack_model.methods.fgi import _mixed, ramp, teacher_alone
from gradtrack_model.mixing import Draws, pasted_boxes
from gradtrack_model.predict import predict
from gradtrack_model.teaching import Lesson, TextAttention, Words, positions
from gradtrack_model.train import fit
from gradtrack_model.trainer import Trainer

FGI = METHODS["fgi"]
TINY = PRESETS["tiny"].replace(method="fgi", iterations=12, val_every=4, save_every=5)
ROLLED = [1, 2, 3, 4, 5, 0, *range(6, 12)]  # each training item has the next one's words
LN3, LN9 = math.log(3), math.log(9)  # sigmoid(ln 3) = .75, sigmoid(ln 9) = .9


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


@pytest.fixture(scope="module")
def batch(cache_path):
    fields = ("images", "pseudo_masks", "text", "maps")
    data = CacheBatches(cache_path, "train", fields=fields, size_px=TINY.size_px)
    return data.batch([(0, position) for position in range(4)])


def built(config, *, text_dims=24):
    torch.manual_seed(0)
    network = FGI.build(config, pretrained=False)
    return FGI.learner(network, config, text_dims=text_dims, pretrained=False).train()


def loss_of(config, batch, iteration=6, model=None):
    return FGI.loss(model or built(config), batch, config, iteration)


def altered(batch, **changes):
    return {**batch, **changes}


# ---------------------------------------------------------------- losses, by hand


def test_alignment_by_hand():
    one = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).T[None, :, None]  # two pixels: (1, 0), (0, 2)
    other = torch.tensor([[3.0, 0.0], [1.0, 1.0]]).T[None, :, None]
    expected = ((0 + 1 - math.sqrt(0.5)) / 2 + 0) / 2 / 2  # two scales, the second equal
    assert feature_alignment([one, one], [other, one]).item() == pytest.approx(expected)


def test_agreement_by_hand():
    logits = torch.tensor([0.0, LN3, -LN3, LN3])[None, None, None]
    peer = torch.tensor([LN3, LN9, LN9, -LN9])[None, None, None]  # .75: not sure; then .9 each
    # (weight .9 + .1) times the cross-entropy against 1, 1, 0
    expected = (0 - math.log(0.75) - math.log(0.25) - math.log(0.25)) / 4
    assert confident_agreement(logits, peer).item() == pytest.approx(expected)


@pytest.mark.parametrize(("probability", "weight"), [(0.799, 0.0), (0.801, 1.0), (0.199, 1.0)])
def test_who_is_believed(probability, weight):
    peer = torch.logit(torch.tensor(probability, dtype=torch.float64))[None, None, None, None]
    found = confident_agreement(torch.zeros_like(peer), peer).item()
    assert found == pytest.approx(weight * math.log(2))


def test_no_gradient_goes_to_the_peer_or_to_the_aligned_teacher():
    own, peer = torch.randn(2, 2, 3, 4, 4).requires_grad_().unbind(0)
    own, peer = own.detach().requires_grad_(), peer.detach().requires_grad_()
    (confident_agreement(own[:, :1], 5 * peer[:, :1]) + feature_alignment([own], [peer])).backward()
    assert own.grad is not None
    assert own.grad.any()
    assert peer.grad is None


@pytest.mark.parametrize(
    ("iteration", "expected"), [(0, math.exp(-5)), (20, math.exp(-5 / 4)), (40, 1), (99, 1)]
)
def test_ramp(iteration, expected):
    config = TINY.replace(iterations=150, ramp=40 / 150)
    assert ramp(config, iteration) == pytest.approx(expected)
    assert ramp(config.replace(ramp=0), iteration) == 1


# ---------------------------------------------------------------- the teacher reads


def test_text_attention_starts_as_if_there_were_no_text(batch):
    words = Words(batch["text_BTD"], batch["text_mask_BT"], batch["where_B2HW"])
    layer, x = TextAttention(16, 24), torch.randn(4, 16, 8, 8)
    assert torch.equal(layer(x, words), x)
    nn.init.ones_(layer.norm.weight)
    assert not torch.allclose(layer(x, words), x)


def test_padding_is_not_read(batch):
    words = Words(batch["text_BTD"], batch["text_mask_BT"], batch["where_B2HW"])
    layer, x = TextAttention(16, 24), torch.randn(4, 16, 8, 8)
    nn.init.ones_(layer.norm.weight)
    noise = torch.randn_like(words.text_BTD) * ~words.text_mask_BT[..., None]
    assert noise.any()
    other = words._replace(text_BTD=words.text_BTD + noise)
    torch.testing.assert_close(layer(x, words), layer(x, other))


def test_positions_turn_with_the_image():
    y, x = torch.meshgrid(*(torch.arange(8) / 8 + 1 / 16,) * 2, indexing="ij")
    where = torch.stack([x, y])[None]
    plain = positions(where, torch.Size((1, 12, 8, 8)))
    turned = positions(where.rot90(1, (2, 3)), torch.Size((1, 12, 8, 8)))
    torch.testing.assert_close(plain.rot90(1, (2, 3)), turned)
    assert plain.shape == (1, 12, 8, 8)
    # every place has an embedding of its own
    assert torch.unique(plain.flatten(2)[0].round(decimals=4), dim=1).shape[1] == 64


def test_shuffled_descriptions_change_the_teacher_alone(batch):
    model = built(TINY)
    for layer in model.teacher.text:
        nn.init.ones_(layer.norm.weight)
    model.eval()
    words = Words(batch["text_BTD"], batch["text_mask_BT"], batch["where_B2HW"])
    shuffled = Words(words.text_BTD.roll(1, 0), words.text_mask_BT.roll(1, 0), words.where_B2HW)
    image = batch["image_BCHW"]
    with torch.inference_mode():
        before, after = (model(Lesson(image, w), image, teaches=False) for w in (words, shuffled))
    assert not torch.allclose(before.taught.seg_logits_B1HW, after.taught.seg_logits_B1HW)
    assert torch.equal(before.learned.seg_logits_B1HW, after.learned.seg_logits_B1HW)


def test_shuffled_descriptions_change_what_is_trained(cache_path, tmp_path):
    other = tmp_path / "shuffled.h5"
    text = random_text(12)
    rolled = Text(text.about, text.tokens[ROLLED], text.mask[ROLLED])
    put_text(cache_path, rolled, other)
    for name, path in (("as_is", cache_path), ("shuffled", other)):
        fit(TINY, path, tmp_path / name)
    one, another = (runs.load_state(tmp_path / n / "last.pt") for n in ("as_is", "shuffled"))
    key = "teacher.network.classify.weight"
    assert not torch.equal(one["model"][key], another["model"][key])


# ---------------------------------------------------------------- what is learned from


def test_teacher_learns_the_certain_and_student_the_possible(batch):
    config = TINY.replace(
        uncertain="background", masked_share=0.0, lambda_agreement=0.0, lambda_alignment=0.0
    )
    model = built(config)
    taught, learned, _ = model(Lesson(batch["image_BCHW"], _words(batch)), batch["image_BCHW"])
    pseudo = batch["pseudo_B1HW"]
    bce = nn.functional.binary_cross_entropy_with_logits
    _, parts = loss_of(config, batch, model=model)
    expected = {
        "teacher": bce(taught.seg_logits_B1HW, (pseudo == 1).float()),
        "student": bce(learned.seg_logits_B1HW, (pseudo != 0).float()),
    }
    torch.testing.assert_close(parts, expected)
    known = pseudo != 255
    _, parts = loss_of(config.replace(uncertain="ignore"), batch, model=model)
    partial = bce(taught.seg_logits_B1HW[known], (pseudo == 1).float()[known])
    torch.testing.assert_close(parts["teacher"], partial)


def _words(batch):
    return Words(batch["text_BTD"], batch["text_mask_BT"], batch["where_B2HW"])


@pytest.mark.parametrize(
    ("changes", "gone"),
    [
        ({}, set()),
        ({"lambda_alignment": 0.0}, {"alignment"}),
        ({"lambda_agreement": 0.0}, {"agreement"}),
        ({"masked_share": 0.0}, set()),
        ({"text": "none"}, set()),
    ],
    ids=str,
)
def test_each_strategy_can_be_switched_off(batch, changes, gone):
    config = TINY.replace(**changes)
    text = config.text != "none"
    some = batch if text else {k: v for k, v in batch.items() if "text" not in k}
    loss, parts = loss_of(config, some)
    assert set(parts) == {"teacher", "student", "alignment", "agreement"} - gone
    loss.backward()
    weight = ramp(config, 6)
    factors = {"alignment": 0.1 * weight, "agreement": weight}
    expected = sum(factors.get(name, 1) * float(part) for name, part in parts.items())
    assert loss.item() == pytest.approx(expected)
    if "masked_share" in changes:
        assert parts["student"] != loss_of(TINY, batch)[1]["student"]
    if not text:  # at the start no text is heard anyway
        assert parts["teacher"] == loss_of(TINY, batch)[1]["teacher"]


def test_zeroed_squares_are_black_in_the_image_of_the_student_alone(batch):
    seen = []

    class Watched(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, lesson, image_BCHW, **how):
            seen.append((lesson.image_BCHW[:4], image_BCHW[:4]))
            return self.model(lesson, image_BCHW, **how)

    for told in ("kept", "zeroed"):
        loss_of(TINY.replace(masked_image=told), batch, model=Watched(built(TINY)))
    (teacher, student), (other_teacher, zeroed) = seen
    assert torch.equal(teacher, student)
    assert torch.equal(teacher, other_teacher)
    black = (zeroed == 0).all(1, keepdim=True)
    differs = batch["pseudo_B1HW"] == 255
    assert torch.equal(torch.where(black, 0.0, student), zeroed)
    assert (black & differs).flatten(1).sum(1).ge(0.3 * differs.flatten(1).sum(1)).all()


def test_a_mixed_image_has_the_words_of_who_fills_most_of_it(batch):
    lesson = Lesson(batch["image_BCHW"], _words(batch))
    seen = [_mixed(lesson, Draws.of(0, iteration, torch.device("cpu"))) for iteration in range(40)]
    boxes = [
        pasted_boxes(Draws.of(0, iteration, torch.device("cpu")), 4, (32, 32))
        for iteration in range(40)
    ]
    own, before = batch["text_BTD"], batch["text_BTD"].roll(1, 0)
    for mixed, box in zip(seen, boxes, strict=True):
        most = box.flatten(1).float().mean(1) > 0.5
        expected = torch.where(most[:, None, None], before, own)
        assert torch.equal(mixed.words.text_BTD, expected)
        where = torch.where(box, batch["where_B2HW"].roll(1, 0), batch["where_B2HW"])
        assert torch.equal(mixed.words.where_B2HW, where)
    assert len({int((box.flatten(1).float().mean(1) > 0.5).sum()) for box in boxes}) > 1


def test_masked_as_background_or_ignored(batch):
    as_background, ignored = (
        loss_of(TINY.replace(masked_as=told), batch)[1]["student"]
        for told in ("background", "ignore")
    )
    assert as_background != ignored


def test_track_attention_in_the_teacher_alone(batch):
    config = TINY.replace(teacher_attention="refine")
    model = built(config)
    assert "maps" in FGI.fields(config)
    assert "maps" not in FGI.fields(TINY)
    assert len(model.teacher.network.attention) == 4
    assert not len(model.student.attention)
    loss, parts = loss_of(config, batch, model=model)
    loss.backward()
    assert parts["attention"] > 0
    assert model.teacher.network.attention[0].predict[0].weight.grad.any()


def test_a_teacher_first_learns_alone_and_then_no_more(cache_path, tmp_path):
    config = TINY.replace(teacher_first=0.5, save_every=6)
    states = []

    def look(progress):
        if progress.iteration in (6, 12):
            states.append(runs.load_state(tmp_path / "run" / "last.pt")["model"])

    fit(config, cache_path, tmp_path / "run", progress=look)
    half, end = states
    start = Trainer(config, FGI, torch.device("cpu"), text_dims=24).model.state_dict()
    teacher, student = (
        [name for name in end if name.startswith(part)] for part in ("teacher.", "student.")
    )
    assert any(not torch.equal(start[name], half[name]) for name in teacher)
    assert all(torch.equal(half[name], end[name]) for name in teacher)
    assert all(torch.equal(start[name], half[name]) for name in student)
    assert any(not torch.equal(half[name], end[name]) for name in student)


# ---------------------------------------------------------------- the student sees images alone


def test_what_is_kept_is_the_student_at_its_width(cache_path, tmp_path):
    config = TINY.replace(width=16)
    fit(config, cache_path, tmp_path / "run")
    kept = load_file(tmp_path / "run" / "best.safetensors")
    assert not [name for name in kept if "text" in name or "teacher" in name or "adapt" in name]
    assert kept["encoder.levels.0.0.weight"].shape[0] == 8  # half of 16
    assert set(kept) == set(FGI.build(config, pretrained=False).state_dict())


def test_evaluation_and_prediction_read_no_text(cache_path, tmp_path, monkeypatch):
    fit(TINY, cache_path, tmp_path / "run")

    def forbidden(*_):
        raise AssertionError("text was read")

    monkeypatch.setattr(Cache, "read_text", forbidden)
    monkeypatch.setattr(Cache, "text_mask", forbidden)
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    (tmp_path / "new.png").write_bytes(encode_png(image))
    assert predict(tmp_path / "run", [tmp_path / "new.png"], tmp_path / "masks")
    with_text = evaluate(tmp_path / "run")
    monkeypatch.undo()
    # a cache of the same pictures without a word, and one with other words, score the same
    fit(TINY, cache_path, tmp_path / "again")
    put_text(cache_path, random_text(12, seed=7), tmp_path / "other.h5")
    other = evaluate(tmp_path / "again", cache_path=tmp_path / "other.h5")
    assert [c.dice_mean for c in other.checkpoints] == [c.dice_mean for c in with_text.checkpoints]


# ---------------------------------------------------------------- resuming


class StopAt:
    def __init__(self, iteration):
        self.iteration = iteration

    def __call__(self, progress):
        if progress.iteration == self.iteration:
            raise ZeroDivisionError  # as a kill


@pytest.mark.parametrize("changes", [{}, {"teacher_first": 0.5}, {"teacher_attention": "refine"}])
def test_resumed_equals_uninterrupted(cache_path, tmp_path, changes):
    config = TINY.replace(**changes)
    fit(config, cache_path, tmp_path / "whole")
    with pytest.raises(ZeroDivisionError):
        fit(config, cache_path, tmp_path / "run", progress=StopAt(8))
    fit(config, cache_path, tmp_path / "run", resume=True)
    for name in ("best.safetensors", "last.safetensors"):
        one, other = (load_file(tmp_path / run / name) for run in ("whole", "run"))
        assert all(torch.equal(one[key], other[key]) for key in one)
    csv = [(tmp_path / run / "metrics.csv").read_bytes() for run in ("whole", "run")]
    assert csv[0] == csv[1]


def test_other_descriptions_do_not_resume(cache_path, tmp_path):
    path = tmp_path / "maps.h5"
    put_text(cache_path, random_text(12), path)
    with pytest.raises(ZeroDivisionError):
        fit(TINY, path, tmp_path / "run", progress=StopAt(8))
    put_text(path, random_text(12, seed=1), path)
    with pytest.raises(TrainingError, match="is another than it was trained on"):
        fit(TINY, path, tmp_path / "run", resume=True)


def test_text_that_changes_under_a_run_is_refused(cache_path, tmp_path):
    path = tmp_path / "maps.h5"
    put_text(cache_path, random_text(12), path)
    data = CacheBatches(path, "train", fields=("images", "text"), size_px=32, memory_limit=0)
    put_text(path, random_text(12, seed=1, seen=("image", "mask")), path)
    with pytest.raises(CacheError, match="its text was changed since it was first read"):
        data.batch([(0, 0)])


# ---------------------------------------------------------------- refusals


def test_text_from_masks_is_refused(cache_path, tmp_path):
    path = tmp_path / "maps.h5"
    put_text(cache_path, random_text(12, seen=("image", "mask")), path)
    with pytest.raises(TrainingError, match="made from masks"):
        fit(TINY, path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_text_and_missing_text_are_refused(tmp_path):
    text = random_text(12)
    text.mask[3] = False
    path = make_cache(tmp_path / "maps.h5", text=text)
    with pytest.raises(TrainingError, match=r"1 of 6 training items have no description .*'item3'"):
        fit(TINY, path, tmp_path / "run")
    without = make_cache(tmp_path / "none.h5", text=False)
    with pytest.raises(TrainingError, match="holds no text"):
        fit(TINY, without, tmp_path / "run")
    fit(TINY.replace(text="none", iterations=2), without, tmp_path / "run")


def test_masks_of_one_threshold_are_refused(tmp_path):
    path = make_cache(tmp_path / "maps.h5", recipe={"masks": {"band": None}})
    with pytest.raises(TrainingError, match="fgi expects two"):
        fit(TINY, path, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "some.safetensors"}, "of two widths"),
        ({"batch_size": 1}, "CutMix mixes two images"),
    ],
)
def test_settings_that_cannot_work_are_refused(cache_path, tmp_path, changes, message):
    with pytest.raises(TrainingError, match=message):
        fit(TINY.replace(**changes), cache_path, tmp_path / "run")


def test_the_ramp_begins_with_the_student():
    config = TINY.replace(iterations=300, teacher_first=0.5, ramp=40 / 150)
    assert ramp(config, 150) == pytest.approx(math.exp(-5))
    assert ramp(config, 190) == 1
    assert teacher_alone(TINY.replace(iterations=1, teacher_first=0.9)) == 0
