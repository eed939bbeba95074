"""Several runs as one: the mean of what their networks say."""

import json
import re
from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from gazetools_cli.gradtrack import join as command
from model_cache import lesion, make_cache

from gazetools.errors import ConfigError, OutputError, TrainingError
from gradtrack_model import runs
from gradtrack_model.config import PRESETS
from gradtrack_model.evaluate import evaluate
from gradtrack_model.joining import join
from gradtrack_model.predict import logits_of
from gradtrack_model.train import fit

SHORT = PRESETS["tiny"].replace(iterations=8, val_every=4, save_every=4)
IMAGES = [lesion(index)[0] for index in (9, 10)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Runs of two seeds and of another method, on one cache."""
    folder = tmp_path_factory.mktemp("trained")
    path = make_cache(folder / "maps.h5")
    configs = {"a": SHORT, "b": SHORT.replace(seed=1), "heat": SHORT.replace(method="heatmap")}
    for name, config in configs.items():
        fit(config, path, folder / name)
    return folder


def logits(folder, checkpoint="best"):
    return logits_of(runs.load_checkpoint(folder, checkpoint, torch.device("cpu")), IMAGES)


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "heat")])
def test_together_they_say_the_mean(names, trained, tmp_path):
    folders = [trained / name for name in names]
    joined = join(folders, tmp_path / "joined")
    for checkpoint in runs.CHECKPOINTS:
        expected = torch.stack([logits(folder, checkpoint) for folder in folders]).mean(0)
        torch.testing.assert_close(logits(joined, checkpoint), expected)


def test_joined_runs_can_be_joined(trained, tmp_path):
    pair = join([trained / "a", trained / "b"], tmp_path / "pair")
    three = join([pair, trained / "heat"], tmp_path / "three")
    expected = torch.stack([logits(trained / name) for name in ("a", "b", "heat")]).mean(0)
    torch.testing.assert_close(logits(three), expected)


def test_a_joined_run_is_evaluated_as_any_and_tells_of_what_it_is(trained, tmp_path):
    joined = join([trained / "a", trained / "b"], tmp_path / "joined")
    report = evaluate(joined)
    assert {c.checkpoint for c in report.checkpoints} == set(runs.CHECKPOINTS)
    assert runs.read_run(joined).items == runs.read_run(trained / "a").items
    told = json.loads((joined / "evaluation" / "test_best.json").read_text())
    assert [member["seed"] for member in told["members"]] == [0, 1]
    assert "members" not in json.loads((trained / "a" / "config.json").read_text())


def test_runs_that_see_images_differently_are_refused(trained, tmp_path):
    fit(SHORT.replace(size_px=48), trained / "maps.h5", tmp_path / "larger")
    folders = [trained / "a", tmp_path / "larger"]
    with pytest.raises(
        TrainingError, match=r"a and .*larger: .* differ in size_px 32 and 48; join"
    ):
        join(folders, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_what_one_run_learned_from_chose_no_checkpoint_of_another(trained, tmp_path, monkeypatch):
    read = runs.read_run
    items = read(trained / "b").items
    moved = {"train": items["val"], "val": items["train"]}
    monkeypatch.setattr(
        runs,
        "read_run",
        lambda folder: replace(read(folder), items=moved) if folder.name == "b" else read(folder),
    )
    with pytest.raises(
        TrainingError, match=r"images \(first: 'item0'\) were trained on by one run"
    ):
        join([trained / "a", trained / "b"], tmp_path / "joined")


def test_a_joined_run_is_not_trained_on(trained, tmp_path):
    joined = join([trained / "a", trained / "b"], tmp_path / "joined")
    with pytest.raises(
        TrainingError, match="joined: is made of 2 joined runs, not trained; resume"
    ):
        fit(SHORT, trained / "maps.h5", joined, resume=True)
    assert len(runs.read_run(joined).members) == 2


def test_it_is_whole_or_not_there(trained, tmp_path, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(runs, "save_weights", stopped)
        with pytest.raises(KeyboardInterrupt):
            join([trained / "a", trained / "b"], tmp_path / "of" / "two")
    assert list((tmp_path / "of").iterdir()) == []
    join([trained / "a", trained / "b"], tmp_path / "of" / "two")
    assert runs.read_run(tmp_path / "of" / "two").cache.path == str(trained / "maps.h5")


def test_one_run_is_too_few_and_none_is_replaced(trained, tmp_path):
    with pytest.raises(TrainingError, match="1 run to join; expected two or more"):
        join([trained / "a"], tmp_path / "joined")
    with pytest.raises(ConfigError, match="a: is named twice"):
        join([trained / "a", trained / "b", trained / "a"], tmp_path / "joined")
    (tmp_path / "folder").mkdir()
    for taken in (trained / "heat", tmp_path / "folder"):
        with pytest.raises(OutputError, match="already exists; remove it or choose another folder"):
            join([trained / "a", trained / "b"], taken)


def test_on_the_command_line(trained, tmp_path):
    out = tmp_path / "joined"
    result = CliRunner().invoke(
        command, [str(trained / "a"), str(trained / "b"), "-o", str(out)], catch_exceptions=False
    )
    assert (result.exit_code, result.stdout) == (0, f"{out}: 2 runs together\n")
    again = CliRunner().invoke(command, [str(trained / "a"), str(trained / "b"), "-o", str(out)])
    assert again.exit_code == 1
    assert re.match("error: .*already exists", again.stderr)
