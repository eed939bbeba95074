"""What the teacher may say against the pseudo-mask."""

import pytest
import torch
from model_cache import make_cache

from gazetools.errors import ConfigError
from gradtrack_model.config import PRESETS
from gradtrack_model.corrections import corrected, hears_teacher
from gradtrack_model.methods import METHODS, Step
from gradtrack_model.train import fit

CONFIG = PRESETS["tiny"].replace(corrections="uncertain", teacher_certainty=0.8)

TARGET = torch.tensor([True, True, True, False, False, False])
VALID = torch.tensor([True, False, True, True, False, False])
SAYS = torch.tensor([9.0, 9, -9, 9, -9, 0])  # 0 is not sure


def test_the_uncertain_takes_the_class_of_a_sure_teacher():
    target, valid = corrected(TARGET, VALID, SAYS, CONFIG)
    assert valid.tolist() == [True, True, True, True, True, False]
    assert target[valid].tolist() == [True, True, True, False, False]


def test_the_doubted_is_not_learned_from():
    target, valid = corrected(TARGET, VALID, SAYS, CONFIG.replace(corrections="doubted"))
    assert valid.tolist() == [True, True, False, False, True, False]
    assert target[valid].tolist() == [True, True, False]


def test_sure_means_as_sure_as_the_settings_say():
    three_to_one = torch.full((6,), 3.0).log()
    assert corrected(TARGET, VALID, three_to_one, CONFIG)[1].equal(VALID)
    easier = CONFIG.replace(teacher_certainty=0.75)
    assert corrected(TARGET, VALID, three_to_one, easier)[1].all()


def test_the_teacher_is_heard_from_its_time_on():
    config = CONFIG.replace(iterations=10, teacher_from=0.3)
    assert [hears_teacher(config, t) for t in (0, 2, 3, 9)] == [False, False, True, True]
    assert not hears_teacher(config.replace(corrections="none"), 9)


def test_corrections_need_an_average():
    with pytest.raises(ConfigError, match="expected ema_decay above 0"):
        CONFIG.replace(ema_decay=0.0)


def test_the_loss_asks_the_teacher():
    torch.manual_seed(0)
    method = METHODS["gradtrack"]
    model, teacher = method.build(CONFIG), method.build(CONFIG).eval()
    batch = {
        "image_BCHW": torch.rand(2, 3, 32, 32),
        "maps_BLHW": torch.rand(2, 4, 32, 32),
        "pseudo_B1HW": torch.full((2, 1, 32, 32), 255, dtype=torch.uint8),
    }
    certain = CONFIG.replace(teacher_certainty=0.5, teacher_from=0.0)
    heard, _ = method.loss(model, batch, Step(certain, 0, teacher))
    with torch.no_grad():
        says = teacher(batch["image_BCHW"]).seg_logits_B1HW >= 0
    expected, _ = method.loss(model, {**batch, "pseudo_B1HW": says.byte()}, Step(certain))
    torch.testing.assert_close(heard, expected)
    assert all(values.grad is None for values in teacher.parameters())


def test_a_run_with_a_teacher_resumes_as_it_was(tmp_path):
    cache = make_cache(tmp_path / "maps.h5")
    config = CONFIG.replace(corrections="doubted", iterations=8, val_every=4, save_every=4)

    def stop(progress):
        if progress.iteration == 5:
            raise KeyboardInterrupt

    fit(config, cache, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(config, cache, tmp_path / "parts", progress=stop)
    fit(config, cache, tmp_path / "parts", resume=True)
    files = [(tmp_path / run / "last.safetensors").read_bytes() for run in ("whole", "parts")]
    assert files[0] == files[1]
