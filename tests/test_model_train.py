"""Training: it learns, resumes bit for bit, keeps off the test split, and fails clearly."""

import csv
import errno
import itertools
import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_cache import make_cache
from safetensors.torch import load_file

from gazetools.cache import Cache
from gazetools.errors import CacheError, ConfigError, OutputError, TrainingError
from gradtrack_model import runs, train
from gradtrack_model.batches import CacheBatches
from gradtrack_model.config import PRESETS
from gradtrack_model.evaluate import evaluate
from gradtrack_model.methods import METHODS
from gradtrack_model.methods.heatmap import HeatmapSupervision
from gradtrack_model.metrics import dice
from gradtrack_model.optimization import learning_rate
from gradtrack_model.train import fit
from gradtrack_model.trainer import Trainer

TINY = PRESETS["tiny"]
SHORT = TINY.replace(iterations=12, val_every=4, save_every=5)


@pytest.fixture(scope="module")
def cache_path(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("cache") / "maps.h5")


def rows(run_folder):
    with (run_folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


class StopAt:
    """A progress callback that raises at one iteration."""

    def __init__(self, iteration, error=KeyboardInterrupt):
        self.iteration, self.error = iteration, error

    def __call__(self, progress):
        if progress.iteration == self.iteration:
            raise self.error


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "full"},
        {"method": "heatmap"},
        {"method": "gradtrack", "attention": "refine"},
        {"method": "gradtrack", "attention": "gate"},
        {"method": "gradtrack", "attention": "concat"},
        {"method": "gradtrack", "attention": "none"},
    ],
    ids=lambda changes: "-".join(changes.values()),
)
def test_one_batch_overfits(cache_path, changes):
    config = TINY.replace(iterations=80, lr=1e-2, ema_decay=0.0, **changes)
    method = METHODS[config.method]
    fields = {*method.fields(config), "masks"}
    data = CacheBatches(cache_path, "train", fields=sorted(fields), size_px=config.size_px)
    raw = data.__getitems__([(0, position) for position in range(4)])
    trainer = Trainer(config, method, torch.device("cpu"))
    names = {int(index): str(index) for index in data.indices}
    for _ in range(config.iterations):
        trainer.step(data, raw, names)
    batch = data.finish(raw)
    with torch.inference_mode():
        output = trainer.model(batch["image_BCHW"])
        loss, parts = method.loss(trainer.model, batch, config)
    predicted = output.seg_logits_B1HW.numpy() > 0
    assert dice(predicted, batch["mask_B1HW"].numpy()) > 0.93
    assert float(parts["segmentation"]) < 0.1
    assert torch.isfinite(loss)
    # the last stage stands next to the classifier and finds its map later
    for level, logits in enumerate(output.attention_logits[:3]):
        target = F.adaptive_avg_pool2d(batch["maps_BLHW"][:, level : level + 1], logits.shape[-2:])
        assert (torch.sigmoid(logits) - target).abs().mean() < 0.06


def test_the_same_seed_gives_the_same_bits_and_another_does_not(cache_path, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(SHORT.replace(seed=seed), cache_path, tmp_path / name)
    a, b, c = (load_file(tmp_path / name / "last.safetensors") for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert any(not torch.equal(a[key], c[key]) for key in a)


def test_training_leaves_the_random_state_of_the_caller_alone(cache_path, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(SHORT.replace(iterations=2), cache_path, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_bf16_and_sgd_and_workers(cache_path, tmp_path):
    config = SHORT.replace(precision="bf16", optimizer="sgd", lr=0.01, schedule="constant")
    summary = fit(config, cache_path, tmp_path / "run", workers=1)
    assert summary.iterations == 12
    assert 0 <= summary.best_score <= 1


def test_deterministic_means_so_while_it_trains(cache_path, tmp_path):
    seen = []
    fit(
        SHORT.replace(iterations=2, deterministic=True),
        cache_path,
        tmp_path / "run",
        progress=lambda _: seen.append(torch.are_deterministic_algorithms_enabled()),
    )
    assert seen == [True, True]
    assert not torch.are_deterministic_algorithms_enabled()


def test_float64_is_float64_throughout(cache_path, tmp_path):
    fit(SHORT.replace(iterations=2, precision="float64"), cache_path, tmp_path / "run")
    weights = load_file(tmp_path / "run" / "last.safetensors")
    assert {values.dtype for values in weights.values()} == {torch.float64}
    loaded = runs.load_checkpoint(tmp_path / "run", "last", torch.device("cpu"))
    assert all(torch.equal(weights[name], v) for name, v in loaded.model.state_dict().items())


def test_weights_are_kept_on_the_way(cache_path, tmp_path):
    folder = tmp_path / "run"
    fit(SHORT.replace(keep_every=5), cache_path, folder)
    kept = sorted(path.stem for path in (folder / "checkpoints").iterdir())
    assert kept == ["000005", "000010", "000012"]
    last, final = (load_file(folder / f"{n}.safetensors") for n in ("checkpoints/000012", "last"))
    assert all(torch.equal(last[name], final[name]) for name in final)


def test_learning_rate():
    config = TINY.replace(iterations=100, warmup=0.2, lr=1.0, lr_min=0.1)
    rates = [learning_rate(config, iteration) for iteration in range(100)]
    assert rates[:3] == pytest.approx([1 / 21, 2 / 21, 3 / 21])
    assert max(rates) == rates[20] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.1)
    assert rates[20:] == sorted(rates[20:], reverse=True)
    assert learning_rate(config.replace(schedule="constant"), 99) == 1.0
    assert learning_rate(config.replace(iterations=1, warmup=0.0), 0) == 1.0


# ---------------------------------------------------------------- the run folder


def test_run_folder(cache_path, tmp_path):
    summary = fit(SHORT, cache_path, tmp_path / "deep" / "run")
    folder = summary.run_folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.safetensors",
        "config.json",
        "last.pt",
        "last.safetensors",
        "metrics.csv",
    ]
    content = json.loads((folder / "config.json").read_text())
    assert content["config"] == SHORT.to_dict()
    assert content["selected_on"] == summary.selected_on == "masks"
    assert content["parameters"] == summary.parameters
    assert content["items"] == {
        "train": [f"item{index}" for index in range(6)],
        "val": ["item6", "item7", "item8"],
    }
    table = rows(folder)
    assert [int(row["iteration"]) for row in table] == [4, 8, 12]
    scores = [float(row["score"]) for row in table]
    assert summary.best_score == max(scores)
    assert summary.last_score == scores[-1]
    best = runs.load_checkpoint(folder, "best", torch.device("cpu"))
    assert (best.iteration, best.score) == (summary.best_iteration, summary.best_score)
    assert best.config == SHORT
    loss = float(table[0]["segmentation"]) + SHORT.lambda_attention * float(table[0]["attention"])
    assert float(table[0]["loss"]) == pytest.approx(loss, rel=1e-5)


def test_a_run_and_its_cache_can_be_moved_and_tell_no_folder(tmp_path):
    made = tmp_path / "home_of_keller"
    made.mkdir()
    config = TINY.replace(iterations=1)
    fit(config, make_cache(made / "maps.h5"), made / "runs" / "one")
    moved = made.rename(tmp_path / "elsewhere")
    info = runs.read_run(moved / "runs" / "one")
    assert info.cache.path == str(moved / "maps.h5")
    with runs.open_run_cache(info, None, "val") as cache:
        assert cache.sha256 == info.cache.sha256
    for path in (moved / "runs" / "one").iterdir():
        assert b"keller" not in path.read_bytes(), path.name


def test_selection_without_masks_and_without_validation(tmp_path):
    config = TINY.replace(iterations=4, val_every=2)
    bare = make_cache(tmp_path / "bare.h5", masked=("test",))
    assert fit(config, bare, tmp_path / "bare").selected_on == "pseudo"
    with pytest.raises(TrainingError, match="no validation item has a reference mask"):
        fit(config.replace(select_on="masks"), bare, tmp_path / "masks")
    full = make_cache(tmp_path / "full.h5")
    on_pseudo = fit(config.replace(select_on="pseudo"), full, tmp_path / "pseudo")
    assert on_pseudo.selected_on == "pseudo"
    no_val = make_cache(tmp_path / "noval.h5", ("train",) * 4)
    summary = fit(config, no_val, tmp_path / "noval")
    assert (summary.selected_on, summary.best_score, summary.best_iteration) == ("none", None, 4)
    best, last = (load_file(tmp_path / "noval" / f"{n}.safetensors") for n in ("best", "last"))
    assert all(torch.equal(best[key], last[key]) for key in best)
    assert rows(tmp_path / "noval")[0]["score"] == ""


# ---------------------------------------------------------------- resuming


@pytest.fixture(scope="module")
def uninterrupted(cache_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    fit(SHORT, cache_path, folder)
    return folder


def assert_same_run(folder, expected):
    for name in ("best", "last"):
        mine, theirs = (load_file(f / f"{name}.safetensors") for f in (folder, expected))
        assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert (folder / "metrics.csv").read_text() == (expected / "metrics.csv").read_text()
    mine, theirs = (runs.load_state(f / "last.pt") for f in (folder, expected))
    for state in (mine, theirs):
        del state["log"]["seconds"]
    torch.testing.assert_close(mine, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("stop", sorted(np.random.default_rng(11).permutation(11)[:5] + 1))
def test_interrupted_and_resumed_equals_uninterrupted(cache_path, tmp_path, uninterrupted, stop):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(SHORT, cache_path, folder, progress=StopAt(stop))
    assert runs.load_state(folder / "last.pt")["iteration"] == stop
    fit(SHORT, cache_path, folder, resume=True)
    assert_same_run(folder, uninterrupted)


@pytest.mark.parametrize("stop", [3, 9])
def test_killed_and_resumed_equals_uninterrupted(cache_path, tmp_path, uninterrupted, stop):
    folder = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):  # as a kill: nothing is saved at the stop
        fit(SHORT, cache_path, folder, progress=StopAt(stop, ZeroDivisionError))
    fit(SHORT, cache_path, folder, resume=True)
    assert_same_run(folder, uninterrupted)


def test_resume_of_sgd_and_batch_normalisation(cache_path, tmp_path):
    config = SHORT.replace(optimizer="sgd", lr=0.01, iterations=6, width=4, size_px=64)
    config = config.replace(encoder="efficientnet-lite0", ema_decay=0.0)
    fit(config, cache_path, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(config, cache_path, tmp_path / "run", progress=StopAt(3))
    fit(config, cache_path, tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_folder_holds_a_state_from_its_first_moment(cache_path, tmp_path, uninterrupted):
    folder = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):  # as a kill
        fit(SHORT, cache_path, folder, progress=StopAt(1, ZeroDivisionError))
    assert runs.load_state(folder / "last.pt")["iteration"] == 0
    fit(SHORT, cache_path, folder, resume=True)
    assert_same_run(folder, uninterrupted)


def test_what_holds_no_state_is_no_run_to_go_on_with(cache_path, tmp_path, monkeypatch):
    def full(*_):
        raise OutputError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "save_state", full)
        with pytest.raises(OutputError, match="disk full"):
            fit(SHORT, cache_path, tmp_path / "run")
    with pytest.raises(TrainingError, match="no run here"):
        fit(SHORT, cache_path, tmp_path / "run", resume=True)
    fit(SHORT, cache_path, tmp_path / "run")
    (tmp_path / "run" / "last.pt").unlink()
    with pytest.raises(TrainingError, match=r"last\.pt: is missing, and without its state"):
        fit(SHORT, cache_path, tmp_path / "run", resume=True)


def test_two_trainings_do_not_write_one_run(cache_path, tmp_path):
    folder = tmp_path / "run"

    def beside(_):
        with pytest.raises(OutputError, match="is being written by another"):
            fit(SHORT, cache_path, folder, resume=True)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(SHORT, cache_path, folder, progress=beside)
    assert fit(SHORT, cache_path, folder, resume=True).iterations == SHORT.iterations


def test_a_file_system_without_locks_can_be_trained_on(cache_path, tmp_path, monkeypatch):
    def lockf(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", lockf)
    assert fit(SHORT, cache_path, tmp_path / "run").iterations == SHORT.iterations


def test_a_run_may_go_on_with_less_memory(cache_path, tmp_path, uninterrupted):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(SHORT, cache_path, folder, progress=StopAt(2))
    fit(SHORT.replace(memory_gb=0, save_every=3), cache_path, folder, resume=True)
    assert (folder / "metrics.csv").read_bytes() == (uninterrupted / "metrics.csv").read_bytes()


def test_ctrl_c_before_the_first_iteration_leaves_nothing(cache_path, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gradtrack_model.train.CacheBatches", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(SHORT, cache_path, tmp_path / "deep" / "run")
    assert not (tmp_path / "deep").exists()


def test_a_moved_cache_is_the_same_cache(cache_path, tmp_path, uninterrupted):
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(SHORT, cache_path, folder, progress=StopAt(2))
    fit(SHORT, shutil.copy(cache_path, tmp_path / "moved.h5"), folder, resume=True)
    assert_same_run(folder, uninterrupted)


def test_a_run_that_exists_is_refused_before_the_cache_is_read(tmp_path, uninterrupted):
    with pytest.raises(OutputError, match="holds a run already"):
        fit(SHORT, tmp_path / "absent.h5", uninterrupted)


def test_ctrl_c_in_mid_iteration_waits_for_its_end(cache_path, tmp_path, monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    loss = HeatmapSupervision.loss

    calls = itertools.count()

    def interrupted(self, model, batch, config, iteration):
        if next(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(self, model, batch, config, iteration)

    monkeypatch.setattr(HeatmapSupervision, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(SHORT.replace(method="heatmap"), cache_path, tmp_path / "run")
    assert runs.load_state(tmp_path / "run" / "last.pt")["iteration"] == 6
    assert signal.getsignal(signal.SIGINT) is handler


def test_resuming_a_finished_run_changes_nothing(cache_path, tmp_path):
    first = fit(SHORT, cache_path, tmp_path / "run")
    before = (tmp_path / "run" / "best.safetensors").read_bytes()
    assert fit(SHORT, cache_path, tmp_path / "run", resume=True) == first
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == before


def test_resume_is_refused_for_another_run(cache_path, tmp_path, uninterrupted):
    with pytest.raises(TrainingError, match="no run here"):
        fit(SHORT, cache_path, tmp_path, resume=True)
    with pytest.raises(TrainingError, match=r"other settings \(lr was 0\.003, now 0\.001\)"):
        fit(SHORT.replace(lr=1e-3), cache_path, uninterrupted, resume=True)
    other = make_cache(tmp_path / "other.h5", side=40)
    with pytest.raises(TrainingError, match=r"cannot be resumed on .*other\.h5"):
        fit(SHORT, other, uninterrupted, resume=True)
    with pytest.raises(OutputError, match="holds a run already"):
        fit(SHORT, cache_path, uninterrupted)


def test_a_foreign_state_is_not_unpickled(cache_path, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(SHORT, cache_path, tmp_path / "run", progress=StopAt(2))
    torch.save({"model": StopAt(1)}, tmp_path / "run" / "last.pt")
    with pytest.raises(TrainingError, match=r"last\.pt: not a readable state"):
        fit(SHORT, cache_path, tmp_path / "run", resume=True)
    (tmp_path / "run" / "last.pt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(TrainingError, match=r"last\.pt: not a readable state"):
        fit(SHORT, cache_path, tmp_path / "run", resume=True)


# ---------------------------------------------------------------- what training may read


@pytest.mark.parametrize("method", METHODS)
def test_no_test_item_is_read_and_masks_only_where_allowed(
    cache_path, tmp_path, monkeypatch, method
):
    seen = set()
    read = Cache.read

    def guarded(cache, field, indices):
        seen.update((field, cache.items[i].split) for i in np.asarray(indices))
        return read(cache, field, indices)

    def forbidden(*_):
        raise AssertionError("training opened an original")

    monkeypatch.setattr(Cache, "read", guarded)
    monkeypatch.setattr(Cache, "original_mask", forbidden)
    monkeypatch.setattr(Cache, "fixations", forbidden)
    fit(SHORT.replace(method=method), cache_path, tmp_path / "run")
    assert {split for _, split in seen} == {"train", "val"}
    supervision = {
        "full": {"masks"},
        "heatmap": {"heatmaps"},
        "gradtrack": {"maps", "pseudo_masks"},
        "gazemedseg": {"pseudo_masks"},
        "fgi": {"pseudo_masks"},
    }[method]
    assert {field for field, split in seen if split == "train"} == {"images", *supervision}
    assert {field for field, split in seen if split == "val"} == {"images", "masks"}


# ---------------------------------------------------------------- errors


def test_a_loss_that_is_not_a_number_stops_with_its_items(cache_path, tmp_path, monkeypatch):
    loss = HeatmapSupervision.loss

    calls = itertools.count()

    def poisoned(self, model, batch, config, iteration):
        value, parts = loss(self, model, batch, config, iteration)
        return value * (float("nan") if next(calls) == 6 else 1), parts

    monkeypatch.setattr(HeatmapSupervision, "loss", poisoned)
    with pytest.raises(TrainingError, match=r"iteration 7: the loss is nan \(items: item\d") as e:
        fit(SHORT.replace(method="heatmap"), cache_path, tmp_path / "run")
    assert str(e.value).count("item") == 1 + 4 + 1
    assert runs.load_state(tmp_path / "run" / "last.pt")["iteration"] == 5


def test_what_cannot_be_trained_on(tmp_path):
    config = TINY.replace(iterations=2)
    no_train = make_cache(tmp_path / "notrain.h5", ("val", "test"))
    with pytest.raises(TrainingError, match=r"no training items \(splits found: test, val\)"):
        fit(config, no_train, tmp_path / "a")
    bare = make_cache(tmp_path / "bare.h5", masked=("val",))
    with pytest.raises(TrainingError, match=r"6 of 6 training items .* \(first: 'item0'\)"):
        fit(config.replace(method="full"), bare, tmp_path / "b")
    with pytest.raises(TrainingError, match="device 'abacus'"):
        fit(config, bare, tmp_path / "c", device="abacus")
    assert not any((tmp_path / name).exists() for name in "abc")
    (tmp_path / "d").write_text("a file")
    with pytest.raises(OutputError, match="cannot be made"):
        fit(config, bare, tmp_path / "d")


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_damaged_checkpoints(cache_path, tmp_path, uninterrupted, damage):
    path = tmp_path / "best.safetensors"
    if damage is None:
        whole = (uninterrupted / "best.safetensors").read_bytes()
        damage = whole[: len(whole) // 2]
    path.write_bytes(damage)
    with pytest.raises(TrainingError, match=r"best\.safetensors: not a checkpoint"):
        runs.load_checkpoint(tmp_path, "best", torch.device("cpu"))


def test_damaged_config_json(tmp_path):
    path = tmp_path / "config.json"
    for text in ("{", "[]", '{"format": "gradtrack-run", "version": 2}'):
        path.write_text(text)
        with pytest.raises(TrainingError, match=r"config\.json: damaged"):
            runs.read_run(tmp_path)
    path.write_text('{"format": "gradtrack-run", "version": 1}')
    with pytest.raises(TrainingError, match="version 1, expected gradtrack-run version 2"):
        runs.read_run(tmp_path)


def test_settings_of_another_version_are_named(tmp_path, uninterrupted):
    content = json.loads((uninterrupted / "config.json").read_text())
    content["config"]["warp"] = 9
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="'warp'"):
        runs.read_run(tmp_path)


def test_a_cache_that_is_rendered_between_two_looks_is_refused(tmp_path, monkeypatch):
    path = make_cache(tmp_path / "maps.h5")

    def replace_and_make(*given, **options):
        make_cache(tmp_path / "other.h5", side=40).replace(path)
        return Trainer(*given, **options)

    monkeypatch.setattr(train, "Trainer", replace_and_make)
    with pytest.raises(CacheError, match="was rendered anew just now; train again"):
        train.fit(PRESETS["tiny"], path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_gazemedseg_needs_two_thresholds(tmp_path):
    path = make_cache(tmp_path / "maps.h5", recipe={"masks": {"band": None}})
    with pytest.raises(TrainingError, match=r"one threshold; .* --masks-from crf --band 0.3 0.5"):
        fit(SHORT.replace(method="gazemedseg"), path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_little_gpu_memory_is_told_with_what_helps(cache_path, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(Trainer, "step", full)
    with pytest.raises(TrainingError, match=r"\(CUDA out of memory\.\); lower batch_size = 4,"):
        fit(SHORT, cache_path, tmp_path / "run")


def test_weights_that_do_not_fit_are_not_called_damaged(uninterrupted, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.nn.Module, "eval", full)
    with pytest.raises(TrainingError, match=r"does not suffice .* use --device cpu"):
        evaluate(uninterrupted)


def test_the_state_that_tells_of_the_best_weights_is_saved_with_them(cache_path, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):  # as a kill
        fit(
            SHORT.replace(save_every=100), cache_path, folder, progress=StopAt(4, ZeroDivisionError)
        )
    state = runs.load_state(folder / "last.pt")
    assert state["iteration"] == state["log"]["best_iteration"] == 4


def test_a_resumed_run_needs_no_weights_to_start_from(cache_path, tmp_path):
    fit(SHORT.replace(iterations=1), cache_path, tmp_path / "first")
    weights = (tmp_path / "first" / "last.safetensors").rename(tmp_path / "w.safetensors")
    config = SHORT.replace(weights=str(weights))
    with pytest.raises(KeyboardInterrupt):
        fit(config, cache_path, tmp_path / "run", progress=StopAt(2))
    weights.unlink()
    assert fit(config, cache_path, tmp_path / "run", resume=True).iterations == SHORT.iterations
