"""The commands `gradtrack-*`: exit codes, one line per error, and what reaches the library."""

import errno
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gazetools_cli import gradtrack
from model_cache import lesion, make_cache
from safetensors.torch import load_file

from gazetools.cache import create_cache, open_cache
from gazetools.cache.sharded import write_manifest
from gazetools.errors import ConfigError
from gazetools.images import encode_png
from gradtrack_model import runs
from gradtrack_model.config import PRESETS, TrainConfig, from_toml
from gradtrack_model.evaluate import evaluate
from gradtrack_model.methods import METHODS
from gradtrack_model.tracking import TRACKERS
from gradtrack_model.train import RunSummary, Trainer

COMMANDS = {
    "gradtrack-train": gradtrack.train,
    "gradtrack-evaluate": gradtrack.evaluate,
    "gradtrack-predict": gradtrack.predict,
    "gradtrack-join": gradtrack.join,
}
SHORT = ("--preset", "tiny", "--iterations", 8, "--set", "val_every=4", "--set", "save_every=3")


def run(name, *arguments):
    return CliRunner().invoke(COMMANDS[f"gradtrack-{name}"], [str(a) for a in arguments])


def assert_refused(result, says):
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.splitlines()
    assert re.match(f"error: .*{says}", line), line
    assert result.stdout == ""


def assert_misused(result, says):
    assert result.exit_code == 2, result.output
    assert "Usage:" in result.stderr
    assert says in result.stderr


def assert_same_weights(folder, expected):
    for name in ("best", "last"):
        mine, theirs = (load_file(f / f"{name}.safetensors") for f in (folder, expected))
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


@pytest.fixture(scope="module")
def trained(cache):
    """A finished run; tests only add to its folder evaluation/."""
    folder = cache.parent / "trained"
    assert run("train", "--cache", cache, *SHORT, "-o", folder).exit_code == 0
    return folder


@pytest.fixture
def lab(tmp_path, monkeypatch, cache):
    """The folder in which the commands run, with a cache of its own."""
    folder = tmp_path / "lab"
    folder.mkdir()
    shutil.copy(cache, folder / "maps.h5")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def images(lab):
    folder = lab / "images"
    folder.mkdir()
    for index in (9, 10):
        (folder / f"item{index}.png").write_bytes(encode_png(lesion(index)[0]))
    return folder


@pytest.fixture
def fitted(monkeypatch):
    """The settings that `fit` is called with, instead of a training."""
    calls = []

    def fit(config, cache_path, run_folder, **how):
        calls.append({"config": config, "cache": cache_path, "out": run_folder, **how})
        return RunSummary(run_folder, config.iterations, 1, None, None, "none", 1, 0.0)

    monkeypatch.setattr("gradtrack_model.train.fit", fit)
    return calls


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_printed_settings_are_a_config(tmp_path):
    printed = run("train", "--preset", "laptop", "--method", "fgi", "--print-settings").output
    (tmp_path / "my.toml").write_text(printed)
    assert from_toml(tmp_path / "my.toml") == PRESETS["laptop"].replace(method="fgi")


# ---------------------------------------------------------------- help and usage


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_in_examples_that_parse(name):
    command = COMMANDS[name]
    shown = CliRunner().invoke(command, ["--help"])
    assert shown.exit_code == 0
    examples = re.findall(rf"^ *{name} (.*)$", command.help, re.MULTILINE)
    assert examples
    for example in examples:
        assert f"{name} {example}" in shown.output
        command.make_context(name, example.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train"], "pass --cache, or --resume"),
        (["train", "--cache", "maps.h5", "--nonsense"], "No such option"),
        (["train", "--cache", "maps.h5", "--preset", "huge"], "'huge' is not one of"),
        (["train", "--cache", "maps.h5", "--iterations", "many"], "'many' is not a valid integer"),
        (["train", "--cache", "maps.h5", "--workers", "-1"], "'--workers'"),
        (["train", "--cache", "maps.h5", "--lr", "1", "--set", "lr=2"], "lr is given twice"),
        (
            ["train", "--cache", "maps.h5", "--preset", "tiny", "--config", "a.toml"],
            "give --preset or --config",
        ),
        (["evaluate"], "Missing argument 'RUN'"),
        (["evaluate", "run", "--split", "all"], "'all' is not one of"),
        (["predict", "run"], "Missing argument 'IMAGES...'"),
        (["predict", "run", "images", "--checkpoint", "first"], "'first' is not one of"),
    ],
)
def test_usage_errors_exit_with_2(arguments, says, lab):
    assert_misused(run(*arguments), says)
    assert names(lab) == ["maps.h5"]


@pytest.mark.parametrize(
    "option",
    [
        ["--preset", "tiny"],
        ["--config", "run.toml"],
        ["--out", "elsewhere"],
        ["--method", "heatmap"],
        ["--encoder", "unet"],
        ["--iterations", "8"],
        ["--size", "32"],
        ["--batch-size", "4"],
        ["--lr", "0.1"],
        ["--seed", "0"],
    ],
    ids=lambda option: option[0],
)
def test_a_run_goes_on_under_its_own_settings(option, trained, fitted):
    result = run("train", "--resume", trained, *option)
    assert_misused(result, "does not go with --resume")
    assert option[0] in result.stderr or "-o" in result.stderr
    assert not fitted


def test_a_run_may_go_on_with_less_memory(trained, fitted):
    assert run("train", "--resume", trained, "--set", "memory_gb = 1").exit_code == 0
    assert fitted[0]["config"].memory_gb == 1


def test_every_option_of_train_is_a_setting_or_goes_with_resume():
    """A new option must be thought of where runs are resumed."""
    refused = {"out", "preset", "config", "method", "encoder", "iterations", "size_px"}
    refused |= {"batch_size", "lr", "seed", "print_settings"}
    beside = {"resume", "cache", "settings", "workers", "device", "trackers", "as_json"}
    assert {option.name for option in gradtrack.train.params} == refused | beside


# ---------------------------------------------------------------- what reaches the library


def test_the_commands_choices_are_the_librarys():
    # typed twice, because importing the library would make --help slow
    kinds = {option.name: option.type for option in gradtrack.train.params}
    assert list(kinds["preset"].choices) == list(PRESETS)
    assert list(kinds["trackers"].choices) == list(TRACKERS)
    for name in ("method", "encoder"):
        among = re.escape(f"expected one of {', '.join(kinds[name].choices)}")
        with pytest.raises(ConfigError, match=f"{among}$"):
            TrainConfig(**{name: "none"})
    assert set(kinds["method"].choices) == set(METHODS)


def test_settings_come_from_preset_options_and_set(lab, fitted):
    result = run(
        *("train", "--cache", "maps.h5", "--preset", "tiny", "--method", "heatmap", "--size", 64),
        *("--set", "jitter=0.0", "--set", "attention=gate", "--set", "flips=false"),
        *("--workers", 2, "--device", "cpu", "-o", "run"),
    )
    assert result.exit_code == 0, result.output
    (call,) = fitted
    changes = {"method": "heatmap", "size_px": 64, "jitter": 0.0, "attention": "gate"}
    assert call["config"] == PRESETS["tiny"].replace(**changes, flips=False)
    assert (call["cache"], call["out"]) == (Path("maps.h5"), Path("run"))
    assert (call["workers"], call["device"], call["resume"]) == (2, "cpu", False)


def test_settings_come_from_toml_and_options_go_before_it(lab, fitted):
    Path("run.toml").write_text('preset = "tiny"\nseed = 3\nlr = 0.002\n')
    run("train", "--cache", "maps.h5", "--config", "run.toml", "--lr", 0.004)
    assert fitted[0]["config"] == PRESETS["tiny"].replace(seed=3, lr=0.004)
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", str(fitted[0]["out"]))


def test_a_config_without_preset_changes_the_one_that_suits_the_device(lab, fitted):
    Path("run.toml").write_text("seed = 3\n")
    run("train", "--cache", "maps.h5", "--config", "run.toml", "--device", "cpu")
    assert fitted[0]["config"] == PRESETS["laptop"].replace(seed=3)


@pytest.mark.parametrize(
    ("device", "preset"), [("auto", "paper"), ("cuda", "paper"), ("cpu", "laptop")]
)
def test_the_default_preset_suits_the_device_that_is_asked_for(
    lab, fitted, monkeypatch, device, preset
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    run("train", "--cache", "maps.h5", "--device", device)
    assert fitted[0]["config"] == PRESETS[preset]


def test_json_is_json(lab):
    trained = run("train", "--cache", "maps.h5", *SHORT, "-o", "run", "--json")
    facts = json.loads(trained.stdout, parse_constant=pytest.fail)
    assert (facts["run_folder"], facts["iterations"], facts["selected_on"]) == ("run", 8, "masks")
    measured = json.loads(run("evaluate", "run", "--json").stdout, parse_constant=pytest.fail)
    assert (measured["split"], measured["n"]) == ("test", 3)
    assert set(measured["checkpoints"]) == {"best", "last"}
    for scores in measured["checkpoints"].values():
        for measure in ("dice", "iou", "hd95_px", "nsd"):
            assert scores[measure] >= 0
            assert scores[f"{measure}_sd"] >= 0
        assert scores["hd95_excluded"] == 0


def test_summaries_say_what_was_done(lab, trained, images):
    again = run("train", "--resume", trained)
    assert again.exit_code == 0, again.output
    assert "8 iterations" in again.stdout
    assert f"gradtrack-evaluate {trained}" in again.stdout
    measured = run("evaluate", trained, "--split", "val")
    assert "3 images of split val" in measured.stdout
    assert "gaze at test" in measured.stdout
    number = r"\d+\.\d+"
    for name in ("best", "last"):
        assert re.search(rf"\n  {name} +({number} ± {number} +){{4}}[48]\n", measured.stdout)
    predicted = run("predict", trained, "images")
    assert predicted.stdout == "predicted: 2 masks\n"
    for result in (again, measured, predicted):
        assert result.stderr == ""


def test_predict_takes_files(lab, trained, images):
    result = run("predict", trained, "images/item9.png", "images/item10.png", "-o", "some")
    assert result.exit_code == 0, result.output
    assert names("some") == ["item10.png", "item9.png"]
    mask = cv2.imread("some/item9.png", cv2.IMREAD_UNCHANGED)
    assert mask.shape == lesion(9)[1].shape
    assert set(np.unique(mask)) <= {0, 255}


# ---------------------------------------------------------------- errors of training


def flip(path, field, index):
    """Damage one bit in the middle of a chunk."""
    with h5py.File(path) as file:
        chunk = file[field].id.get_chunk_info(index)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("field", "index"),
    [("images", 0), ("pseudo_masks", 2), ("maps", 5), ("images", 6), ("masks", 8), ("index", 0)],
)
def test_training_does_not_start_on_damaged_bytes(lab, field, index):
    flip(lab / "maps.h5", field, index)
    assert_refused(run("train", "--cache", "maps.h5", *SHORT, "-o", "run"), "maps.h5: .*damaged")
    assert names(lab) == ["maps.h5"]


@pytest.mark.parametrize("workers", [0, 1])
def test_damage_is_found_where_images_are_read_batch_by_batch(lab, workers):
    flip(lab / "maps.h5", "maps", 3)
    how = ("--set", "memory_gb=0", "--workers", workers)
    result = run("train", "--cache", "maps.h5", *SHORT, "-o", "run", *how)
    assert_refused(result, "/maps of item 'item3' is damaged")


def test_caches_that_cannot_be_trained_on(lab):
    cache = lab / "maps.h5"
    assert_refused(run("train", "--cache", "absent.h5", *SHORT), "absent.h5: no such file")
    (lab / "short.h5").write_bytes(cache.read_bytes()[:-5000])
    assert_refused(run("train", "--cache", "short.h5", *SHORT), "short.h5: .*truncated")
    (lab / "notes.h5").write_text("not a cache")
    assert_refused(run("train", "--cache", "notes.h5", *SHORT), "notes.h5: does not begin like")
    with h5py.File(cache, "r+") as file:
        file.attrs["version"] = 99
    assert_refused(run("train", "--cache", "maps.h5", *SHORT), "maps.h5: version 99 of")
    assert names(lab) == ["maps.h5", "notes.h5", "short.h5"]


def test_settings_that_cannot_be_are_one_line(lab):
    for option, says in (
        (("--set", "warp=9"), "setting 'warp' is unknown"),
        (("--set", "lr"), "setting 'lr' is not understood; expected name=value"),
        (("--set", "attention=magic"), "attention = 'magic': expected one of"),
        (("--size", 33), "size_px = 33"),
        (("--device", "abacus"), "device 'abacus': not usable"),
        (("--device", "meta"), "device 'meta': not usable"),
    ):
        assert_refused(run("train", "--cache", "maps.h5", "--preset", "tiny", *option), says)
    assert_refused(run("train", "--cache", "maps.h5", "--config", "no.toml"), "no.toml: no such")
    assert names(lab) == ["maps.h5"]


def test_a_run_is_neither_overwritten_nor_invented(lab, trained):
    before = (trained / "last.safetensors").read_bytes()
    result = run("train", "--cache", "maps.h5", *SHORT, "-o", trained)
    assert_refused(result, "holds a run already; resume it .--resume. or choose another folder")
    assert (trained / "last.safetensors").read_bytes() == before
    assert_refused(run("train", "--resume", "absent"), "absent: no run here")
    make_cache(lab / "other.h5", side=40)
    result = run("train", "--resume", trained, "--cache", "other.h5")
    assert_refused(result, "cannot be resumed on .*other.h5")


# ---------------------------------------------------------------- Ctrl-C

INTERRUPTED = """
import os, signal
from gradtrack_model.train import Trainer
from gazetools_cli.gradtrack import train
step = Trainer.step

def interrupted(self, *batch):
    step(self, *batch)
    if self.iteration == 5:
        os.kill(os.getpid(), signal.SIGINT)

Trainer.step = interrupted
train()
"""


def test_interrupted_and_resumed_gives_the_same_weights(lab, trained):
    arguments = map(str, ("--cache", "maps.h5", *SHORT, "-o", "run"))
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "interrupted: go on with gradtrack-train --resume run\n"
    assert runs.load_state(lab / "run" / "last.pt")["iteration"] == 5
    assert not (lab / "run" / "last.safetensors").exists()
    (lab / "maps.h5").rename(lab / "moved.h5")
    assert_refused(run("train", "--resume", "run"), "maps.h5: no such file")
    result = run("train", "--resume", "run", "--cache", "moved.h5", "--device", "cpu", "--json")
    assert json.loads(result.stdout)["iterations"] == 8
    assert_same_weights(lab / "run", trained)


def test_interrupted_before_there_is_a_run(lab, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gradtrack_model.train.Validation", interrupted)
    result = run("train", "--cache", "maps.h5", *SHORT, "-o", "run")
    assert (result.exit_code, result.stderr) == (1, "interrupted: nothing was written\n")
    assert names(lab) == ["maps.h5"]


def test_interrupted_at_once_can_be_resumed(lab, monkeypatch, trained):
    """As by a second Ctrl-C, which does not wait for the end of an iteration."""
    calls, step = itertools.count(), Trainer.step

    def interrupted(self, *batch):
        if next(calls) == 0:
            raise KeyboardInterrupt
        step(self, *batch)

    monkeypatch.setattr(Trainer, "step", interrupted)
    result = run("train", "--cache", "maps.h5", *SHORT, "-o", "run")
    assert result.stderr == "interrupted: go on with gradtrack-train --resume run\n"
    assert run("train", "--resume", "run").exit_code == 0
    assert_same_weights(lab / "run", trained)


# ---------------------------------------------------------------- errors of evaluating


def test_a_second_evaluation_must_be_asked_for(trained):
    assert run("evaluate", trained).exit_code == 0
    assert_refused(run("evaluate", trained), "test_best.csv: already exists; .*--overwrite")
    assert run("evaluate", trained, "--overwrite").exit_code == 0


def test_best_on_test_must_be_asked_for_and_is_labelled(lab):
    assert run("train", "--cache", "maps.h5", *SHORT, "-o", "run").exit_code == 0
    assert_refused(run("evaluate", "run", "--best-on-test"), "checkpoints: no kept weights")
    keep = ("--set", "keep_every=4", "-o", "kept")
    assert run("train", "--cache", "maps.h5", *SHORT, *keep).exit_code == 0
    label = "chosen on the very images it is measured on; for comparison with papers only"
    plain = run("evaluate", "kept")
    assert "best on test" not in plain.stdout
    asked = run("evaluate", "kept", "--best-on-test", "--overwrite")
    assert "\n  best on test " in asked.stdout
    assert label in asked.stdout
    told = run("evaluate", "kept", "--best-on-test", "--overwrite", "--json").stdout
    scores = json.loads(told, parse_constant=pytest.fail)["checkpoints"]
    assert scores["best_on_test"]["dice"] >= scores["best"]["dice"]
    assert label in scores["best_on_test"]["chosen"]


def test_the_split_of_another_cache_must_be_new_to_the_run(lab, trained):
    make_cache(lab / "new.h5", ("test", "test", "train"), names="new{}")
    assert run("evaluate", trained, "--cache", "new.h5", "--overwrite").exit_code == 0
    make_cache(lab / "again.h5", ("train", "test", "test"))  # the same images, another split
    leak = r"again.h5: 2 items of split 'test' were trained or selected on \(first: 'item1'\)"
    assert_refused(run("evaluate", trained, "--cache", "again.h5", "--overwrite"), leak)


def test_test_images_without_mask_and_selection_on_pseudo_masks_are_told(lab, trained, monkeypatch):
    report = evaluate(trained, overwrite=True)
    told = replace(report, without_mask=2, selected_on="pseudo")
    monkeypatch.setattr("gradtrack_model.evaluate.evaluate", lambda *args, **options: told)
    shown = run("evaluate", trained).stdout
    assert re.search(r"^  without mask +2 of the split, not measured$", shown, re.MULTILINE)
    assert re.search(r"^  selected on +pseudo-masks of the validation split$", shown, re.MULTILINE)


def test_what_cannot_be_evaluated(lab, trained):
    assert_refused(run("evaluate", "absent"), "absent: no run here")
    assert_refused(run("evaluate", trained, "--cache", "absent.h5"), "absent.h5: no such file")
    assert_refused(run("evaluate", trained, "--device", "abacus"), "device 'abacus'")
    flip(lab / "maps.h5", "heatmaps", 9)
    result = run("evaluate", trained, "--cache", "maps.h5", "--overwrite")
    assert_refused(result, "/heatmaps of item 'item9' is damaged")


# ---------------------------------------------------------------- errors of predicting


def test_what_cannot_be_predicted(lab, trained, images):
    assert_refused(run("predict", "absent", "images"), "absent.*no such checkpoint")
    assert_refused(run("predict", trained, "nowhere"), "nowhere: no such file or folder")
    (lab / "empty").mkdir()
    assert_refused(run("predict", trained, "empty"), "empty: holds no image")
    (images / "zebra.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    assert_refused(run("predict", trained, "images"), "zebra.png: ends after 25 bytes")
    assert not list(lab.glob("predicted/*"))


def test_masks_are_replaced_only_if_asked(lab, trained, images):
    assert run("predict", trained, "images").exit_code == 0
    assert_refused(run("predict", trained, "images"), "item10.png: already exists; .*--overwrite")
    assert run("predict", trained, "images", "--overwrite").exit_code == 0


def test_a_full_disk_leaves_no_mask(lab, trained, images, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert_refused(run("predict", trained, "images"), "cannot be written .No space left on device")
    assert not list(lab.glob("predicted/*"))


def test_a_folder_of_shards_trains_the_same_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    part_cache(make_cache(Path("maps.h5"), names="item{:02d}"), Path("maps"))
    for out, how in (("file", ()), ("folder", ()), ("batches", ("--set", "memory_gb=0"))):
        cache = "maps.h5" if out == "file" else "maps"
        done = run("train", "--cache", cache, *SHORT, "-o", out, *how)
        assert done.exit_code == 0, done.output
        assert_same_weights(tmp_path / out, tmp_path / "file")
        assert run("evaluate", out).exit_code == 0


def part_cache(one, folder):
    """Put every other item into one of two shards."""
    folder.mkdir()
    shards = [folder / f"shard-{number:05d}-{number:012x}.h5" for number in range(2)]
    with open_cache(one) as cache:
        about = {"recipe": cache.recipe, "sources": cache.sources}
        for number, path in enumerate(shards):
            items = [cache.stored(i) for i in range(number, len(cache), 2)]
            with create_cache(path, cache.spec, len(items), **about) as writer:
                for item in items:
                    writer.add(item)
        write_manifest(folder, shards, spec=cache.spec, **about)
