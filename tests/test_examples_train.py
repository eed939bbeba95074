"""The examples about training: their loss is the package's, and they run to their end."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from model_cache import SPLITS, lesion, make_cache

from gazetools.images import encode_png
from gradtrack_model.losses import cross_level_consistency
from gradtrack_model.networks import ModelOutput

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


@pytest.mark.slow
def test_killed_training_ends_with_the_same_bytes(cache):
    command = [sys.executable, EXAMPLES / "kill_train.py", "--cache", cache]
    done = subprocess.run(
        [*map(str, command), "--kills", "1", "--iterations", "50", "--seed", "5"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("1 kills, ")
    assert done.stdout.endswith("0 failed, 0 different, 0 left behind\n")


def test_the_published_consistency_is_the_one_of_the_package():
    generator = torch.Generator().manual_seed(0)
    first, second = (
        ModelOutput(
            torch.randn(2, 1, 13, 11, generator=generator),
            features_BChw=torch.randn(2, 5, 13, 11, generator=generator),
        )
        for _ in range(2)
    )
    ours = cross_level_consistency(
        first.seg_logits_B1HW, second.seg_logits_B1HW, second.features_BChw
    )
    torch.testing.assert_close(load("bench_train").consistency(first, second), ours)


def test_the_bench_times_every_recipe(cache, tmp_path, monkeypatch, capsys):
    lesions_as_files(tmp_path)
    size = "--size 32 --width 4 --batch-size 2 --iterations 1 --turns 1 --threads 1 --workers 1"
    given = ["--cache", str(cache), "--images", str(tmp_path), *size.split(), "--json"]
    monkeypatch.setattr(sys, "argv", ["bench_train.py", *given])
    load("bench_train").main()
    report = json.loads(capsys.readouterr().out)
    assert len(report["rows"]) == 5
    assert report["rows"][0]["ratio"] == 1
    assert all(row["iterations_per_s"] > 0 for row in report["rows"])
    assert all(0 <= row["waits_for_data"] < 1 for row in report["rows"])


def lesions_as_files(folder):
    for index in range(len(SPLITS)):
        image, _, _ = lesion(index)
        (folder / f"item{index}.png").write_bytes(encode_png(image))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_pytorch", "train_monai"])
def test_a_program_of_ones_own_learns_from_a_cache(cache, name, monkeypatch, capsys):
    given = ["--cache", str(cache), "--epochs", "30"]
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *given])
    load(name).main()
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("mean Dice on test: ")
    assert float(last.split()[-1]) > 0.6
