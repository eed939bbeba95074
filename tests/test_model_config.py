"""Settings of a run: checked, and the same after a round trip."""

import json
import subprocess
import sys

import pytest
import torch

from gazetools.errors import ConfigError
from gradtrack_model.config import PRESETS, TrainConfig, default_preset, from_toml, preset


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    text = json.dumps(PRESETS[name].to_dict())
    assert TrainConfig.from_dict(json.loads(text)) == PRESETS[name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "magic"}, ["method", "'magic'", "gradtrack"]),
        ({"width": 2}, ["width", "2", "from 4 to 512"]),
        ({"width": 10}, ["width", "10", "multiple of 4"]),
        ({"size_px": 100}, ["size_px", "100", "multiple of 16"]),
        ({"size_px": 160.0}, ["size_px", "160.0", "whole number"]),
        ({"encoder": "efficientnet-lite0", "size_px": 48}, ["size_px", "48", "multiple of 32"]),
        ({"lr": float("nan")}, ["lr", "nan", "from 0 to 10"]),
        ({"grad_clip": float("inf")}, ["grad_clip", "inf", "a finite number"]),
        ({"lr": "fast"}, ["lr", "'fast'", "a number"]),
        ({"flips": 1}, ["flips", "1", "true or false"]),
        ({"iterations": 0}, ["iterations", "0", "at least 1"]),
        ({"lr": 1e-5}, ["lr_min", "at most lr"]),
        ({"learning_rate": 0.1}, ["'learning_rate'", "unknown", "lr_min"]),
    ],
)
def test_errors_say_field_value_and_what_was_expected(changes, words):
    with pytest.raises(ConfigError) as caught:
        TrainConfig().replace(**changes)
    for word in words:
        assert word in str(caught.value)


def test_whole_numbers_are_numbers():
    assert isinstance(TrainConfig(weight_decay=0).weight_decay, float)


def test_toml_changes_a_preset(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('preset = "laptop"\niterations = 300\nlr = 5e-4\nlr_min = 0\n')
    assert from_toml(path) == PRESETS["laptop"].replace(iterations=300, lr=5e-4, lr_min=0.0)
    path.write_text("seed = 3\n")
    assert from_toml(path) == TrainConfig(seed=3)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("lr = ", "TOML"),
        ("speed = 1", "'speed'"),
        ('preset = "huge"', "huge"),
        ("preset = []", "[]"),
    ],
)
def test_toml_errors_name_the_file(tmp_path, text, word):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"run\.toml") as caught:
        from_toml(path)
    assert word in str(caught.value)
    with pytest.raises(ConfigError, match="no such file"):
        from_toml(tmp_path / "none.toml")


def test_presets():
    assert PRESETS["paper"].differences(PRESETS["paper"].replace(seed=4)) == {"seed": (0, 4)}
    with pytest.raises(ConfigError, match="expected one of paper, laptop, tiny"):
        preset("big")


@pytest.mark.parametrize("gpu", [True, False])
def test_the_preset_suits_the_device(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert default_preset() == default_preset("auto") == ("paper" if gpu else "laptop")
    assert default_preset("cpu") == "laptop"
    assert default_preset("cuda:1") == "paper"


def test_importing_the_package_and_its_settings_is_cheap():
    code = (
        "import sys, gradtrack_model, gradtrack_model.config; gradtrack_model.TrainConfig; "
        "sys.exit('torch' in sys.modules or 'cv2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
