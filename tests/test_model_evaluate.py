"""Evaluation and prediction at original sizes."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from model_cache import lesion, make_cache

from gazetools.cache import Cache, open_cache
from gazetools.errors import CacheError, FormatError, OutputError, TrainingError
from gazetools.images import encode_png
from gradtrack_model import evaluate as evaluation
from gradtrack_model import runs
from gradtrack_model.attention import SIDE_PX
from gradtrack_model.comparison import read_scores
from gradtrack_model.config import PRESETS
from gradtrack_model.evaluate import evaluate
from gradtrack_model.gallery import Picture, draw_gallery
from gradtrack_model.metrics import dice, iou
from gradtrack_model.networks import stage_levels
from gradtrack_model.predict import as_batch, logits_of, predict, to_size
from gradtrack_model.train import fit

TEST_ITEMS = (9, 10, 11)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    path = make_cache(folder / "maps.h5")
    fit(PRESETS["tiny"].replace(val_every=5), path, folder / "run")
    return folder / "run"


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for index in TEST_ITEMS:
        (folder / f"item{index}.png").write_bytes(encode_png(lesion(index)[0]))
    return folder


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_evaluation_writes_what_it_reports(trained):
    told = []
    report = evaluate(trained, overwrite=True, progress=lambda *step: told.append(step))
    assert told[-1] == (6, 6)
    assert [scores.checkpoint for scores in report.checkpoints] == ["best", "last"]
    assert report.heatmap_dice > 0.95
    assert (report.heatmap_n, report.without_mask) == (3, 0)
    for scores in report.checkpoints:
        table = read_csv(trained / "evaluation" / f"test_{scores.checkpoint}.csv")
        assert [row["name"] for row in table] == [f"item{index}" for index in TEST_ITEMS]
        values = [float(row["dice"]) for row in table]
        assert scores.dice_mean == pytest.approx(np.mean(values))
        assert scores.dice_sd == pytest.approx(np.std(values, ddof=1))
        summary = json.loads(
            (trained / "evaluation" / f"test_{scores.checkpoint}.json").read_text()
        )
        assert summary["dice_mean"] == scores.dice_mean
        assert summary["n"] == 3
        picture = cv2.imread(str(trained / "evaluation" / f"test_{scores.checkpoint}.png"))
        assert picture.shape[0] > 200
    assert (
        "reference masks"
        in json.loads((trained / "evaluation" / "test_best.json").read_text())["chosen"]
    )
    assert all(path.is_file() for path in report.files)
    assert len(report.files) == 8


def test_borders_are_measured_and_summarised(trained):
    report = evaluate(trained, overwrite=True)
    for scores in report.checkpoints:
        name = f"test_{scores.checkpoint}"
        rows = read_csv(trained / "evaluation" / f"{name}.csv")
        assert [float(row["hd95_px"]) for row in rows] == [item.hd95_px for item in scores.items]
        assert [float(row["nsd"]) for row in rows] == [item.nsd for item in scores.items]
        summary = json.loads((trained / "evaluation" / f"{name}.json").read_text())
        for measure in ("dice", "iou", "hd95_px", "nsd"):
            values = [float(row[measure]) for row in rows]
            assert summary[f"{measure}_mean"] == pytest.approx(np.mean(values))
            assert summary[f"{measure}_sd"] == pytest.approx(np.std(values, ddof=1))
        assert summary["hd95_excluded"] == 0
        assert summary["nsd_tolerance"] == "0.005 of the image's diagonal"
        assert summary["weights"] == scores.weights == scores.checkpoint
        table = read_scores(trained, "test", scores.checkpoint)
        assert table.mean("nsd") == pytest.approx(scores.nsd_mean)


def test_a_missed_object_costs_and_nothing_for_nothing_is_counted(trained, monkeypatch):
    sizes = [lesion(index)[1].shape for index in TEST_ITEMS]
    monkeypatch.setattr(
        "gradtrack_model.evaluate.to_size", lambda _, size: np.zeros(size, np.bool_)
    )
    missed = evaluate(trained, overwrite=True).checkpoints[0]
    assert (missed.dice_mean, missed.iou_mean, missed.nsd_mean) == (0, 0, 0)
    assert missed.hd95_px_mean == pytest.approx(np.mean([np.hypot(*size) for size in sizes]))
    assert missed.hd95_excluded == 0

    def without_object_2(cache, index):
        return original(cache, index) * (index != TEST_ITEMS[2])

    original = Cache.original_mask
    monkeypatch.setattr(Cache, "original_mask", without_object_2)
    some = evaluate(trained, overwrite=True).checkpoints[0]
    assert (some.dice_mean, some.nsd_mean, some.hd95_excluded) == (1 / 3, 1 / 3, 1)
    assert some.hd95_px_mean == pytest.approx(np.mean([np.hypot(*size) for size in sizes[:2]]))
    assert [row["hd95_px"] for row in read_csv(trained / "evaluation/test_best.csv")][2] == ""

    monkeypatch.setattr(Cache, "original_mask", lambda cache, i: 0 * original(cache, i))
    none = evaluate(trained, overwrite=True).checkpoints[0]
    assert (none.dice_mean, none.hd95_excluded) == (1, 3)
    assert (none.hd95_px_mean, none.hd95_px_sd) == (None, None)
    assert json.loads((trained / "evaluation/test_best.json").read_text())["hd95_px_mean"] is None


def test_predicted_masks_score_as_the_evaluation_says(trained, images, tmp_path):
    report = evaluate(trained, overwrite=True)
    masks = predict(trained, [images], tmp_path / "masks")
    by_name = {item.name: item for item in report.checkpoints[0].items}
    for index in TEST_ITEMS:
        written = cv2.imread(str(tmp_path / "masks" / f"item{index}.png"), cv2.IMREAD_UNCHANGED)
        reference = lesion(index)[1]
        assert written.shape == reference.shape
        assert set(np.unique(written)) <= {0, 255}
        assert dice(written > 0, reference) == by_name[f"item{index}"].dice
        assert iou(written > 0, reference) == by_name[f"item{index}"].iou
    assert masks == [tmp_path / "masks" / f"item{i}.png" for i in (10, 11, 9)]


def test_heatmap_line_by_hand(trained):
    report = evaluate(trained, overwrite=True)
    with open_cache(runs.read_run(trained).cache.path) as cache:
        heatmap = cache.read("heatmaps", [9])[0].astype(np.float32) / 255
        mask = cache.original_mask(9)
    resized = cv2.resize(heatmap, mask.shape[::-1], interpolation=cv2.INTER_CUBIC)
    assert report.checkpoints[0].items[0].heatmap_dice == dice(resized > 0.5, mask)


def test_other_splits_and_refusals(trained, tmp_path):
    report = evaluate(trained, split="val")
    assert report.checkpoints[0].n == 3
    with pytest.raises(OutputError, match="already exists"):
        evaluate(trained, split="val")
    with pytest.raises(TrainingError, match="0 items in split 'none'"):
        evaluate(trained, split="none")
    with pytest.raises(TrainingError, match="expected one of best, last"):
        runs.load_checkpoint(trained, "first", torch.device("cpu"))
    with pytest.raises(TrainingError, match="no run here"):
        evaluate(tmp_path)


def test_a_cache_that_changed_is_refused_and_another_is_welcome(tmp_path):
    path = make_cache(tmp_path / "maps.h5")
    fit(PRESETS["tiny"].replace(iterations=2), path, tmp_path / "run")
    path.unlink()
    make_cache(path, side=40)
    with pytest.raises(CacheError, match="not the cache that the run was trained on") as caught:
        evaluate(tmp_path / "run")
    assert "name a cache" not in str(caught.value)
    assert evaluate(tmp_path / "run", cache_path=path).checkpoints[0].n == 3
    path.unlink()
    with pytest.raises(CacheError, match="there no more; name it with --cache"):
        evaluate(tmp_path / "run", overwrite=True)


def test_no_item_is_measured_that_the_run_has_seen(trained, tmp_path):
    """The same images rendered again with another split: what was learnt from is in its test."""
    splits = ("val", "train", "test", "test", "train", "none", "test", "val", "none", "test")
    path = make_cache(tmp_path / "other.h5", splits)
    for split, count, first in (("test", 3, 2), ("val", 1, 0), ("none", 2, 5)):
        says = (
            rf"other\.h5: {count} items of split '{split}' .*selected on \(first: 'item{first}'\)"
        )
        with pytest.raises(TrainingError, match=says):
            evaluate(trained, cache_path=path, split=split)
    assert not list(trained.glob("evaluation/none*"))
    own = evaluate(trained, cache_path=path, split="train", overwrite=True)
    assert {row.name for row in own.checkpoints[0].items} == {"item1", "item4"}


def test_attention_is_that_of_the_network_beside_the_maps_of_its_levels(trained):
    evaluate(trained, split="val", overwrite=True)
    info = runs.read_run(trained)
    best = runs.load_checkpoint(trained, "best", torch.device("cpu"))
    with (
        np.load(trained / "evaluation" / "val_best.npz") as sheet,
        open_cache(info.cache.path) as c,
    ):
        assert sheet["names"].tolist() == ["item6", "item7", "item8"]
        assert sheet["sizes"].tolist() == [[c.items[i].width, c.items[i].height] for i in (6, 7, 8)]
        levels = stage_levels(c.levels, info.config.stage_order)
        assert sheet["levels"].tolist() == list(levels)
        for number, index in enumerate((6, 7, 8)):
            image, maps = c.read("images", [index])[0], c.read("maps", [index])[0]
            with torch.inference_mode():
                logits = best.model(as_batch(best, [image])).attention_logits
            for stage, (level, logits_11hw) in enumerate(zip(levels, logits, strict=True)):
                wanted = cv2.resize(maps[level - 1], (SIDE_PX, SIDE_PX))
                np.testing.assert_array_equal(sheet["maps"][number, stage], wanted)
                share = torch.sigmoid(logits_11hw).mean().item()
                seen = sheet["attention"][number, stage].mean() / 255
                assert seen == pytest.approx(share, abs=0.02)


def test_a_network_without_track_attention_has_none_to_show(tmp_path):
    path = make_cache(tmp_path / "maps.h5")
    fit(PRESETS["tiny"].replace(method="heatmap", iterations=1), path, tmp_path / "run")
    report = evaluate(tmp_path / "run")
    assert {file.suffix for file in report.files} == {".csv", ".json", ".png"}


def test_attention_of_before_does_not_stay_beside_new_figures(trained, monkeypatch):
    before = evaluate(trained, overwrite=True).files
    monkeypatch.setattr(Cache, "fixations", lambda *_: np.empty((0, 5)))
    after = evaluate(trained, overwrite=True).files
    assert {path.name for path in {*before} - {*after}} == {"test_best.npz", "test_last.npz"}
    assert not list(trained.glob("evaluation/test_*.npz"))


@pytest.mark.parametrize(("levels", "count"), [(4, 2), (2, 0)])
def test_attention_is_beside_maps_of_the_levels_it_was_trained_on(trained, tmp_path, levels, count):
    other = make_cache(tmp_path / "other.h5", ("test",), names="new{}", levels=levels)
    files = evaluate(trained, cache_path=other, overwrite=True).files
    assert sum(path.suffix == ".npz" for path in files) == count


def test_every_split_of_its_own_cache_may_be_measured(trained):
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        assert evaluate(trained, split=split, overwrite=True).checkpoints[1].n == count


def test_items_without_masks_are_counted(trained, tmp_path):
    new = {"masked": ("test",), "names": "new{}"}
    path = make_cache(tmp_path / "other.h5", ("test", "none", "test"), **new)
    report = evaluate(trained, cache_path=path, overwrite=True)
    assert (report.checkpoints[0].n, report.without_mask) == (2, 0)
    with pytest.raises(TrainingError, match="1 items in split 'none', none with a reference"):
        evaluate(trained, cache_path=path, split="none")


# ---------------------------------------------------------------- best on the split


@pytest.fixture(scope="module")
def keeping(tmp_path_factory):
    """A run whose weights were kept after every third iteration, and at its end."""
    folder = tmp_path_factory.mktemp("keeping")
    path = make_cache(folder / "maps.h5")
    fit(PRESETS["tiny"].replace(iterations=14, val_every=7, keep_every=3), path, folder / "run")
    return folder / "run"


KEPT = [f"checkpoints/{iteration:06d}" for iteration in (3, 6, 9, 12, 14)]


def test_best_on_the_split_is_the_highest_of_all_and_says_that_it_flatters(keeping):
    told = []
    report = evaluate(
        keeping, best_on_split=True, overwrite=True, progress=lambda *s: told.append(s)
    )
    best = report.checkpoints[2]
    assert [scores.checkpoint for scores in report.checkpoints] == ["best", "last", "best_on_test"]
    assert told[-1] == (7 * 3, 7 * 3)
    means = {name: slow_dice(keeping, name) for name in ("best", "last", *KEPT)}
    assert best.dice_mean == pytest.approx(max(means.values()))
    assert means[best.weights] == pytest.approx(best.dice_mean)
    assert len(set(means.values())) > 2
    label = "chosen on the very images it is measured on; for comparison with papers only"
    assert label in best.chosen
    assert not any(label in scores.chosen for scores in report.checkpoints[:2])
    summary = json.loads((keeping / "evaluation" / "test_best_on_test.json").read_text())
    assert (summary["weights"], summary["chosen"]) == (best.weights, best.chosen)
    assert len(report.files) == 12
    assert all(path.is_file() for path in report.files)
    scores = read_scores(keeping, "test", "best_on_test")
    assert scores.mean("dice") == pytest.approx(best.dice_mean)


def slow_dice(run, name):
    """Mean Dice over the test items, one by one."""
    trained = runs.load_checkpoint(run, name, torch.device("cpu"))
    found = []
    with open_cache(runs.read_run(run).cache.path) as cache:
        for index in TEST_ITEMS:
            (logits,) = logits_of(trained, list(cache.read("images", [index])))
            mask = cache.original_mask(index)
            found.append(dice(to_size(logits, mask.shape), mask))
    return np.mean(found)


@pytest.mark.parametrize("highest", ["best", "last", KEPT[1]])
def test_whichever_weights_are_highest_are_found(keeping, monkeypatch, highest):
    """Of these weights every prediction is right, of all others none."""
    right = [False]

    def score(name, *rest, **others):
        right[0] = name == highest
        return scored(name, *rest, **others)

    scored = evaluation._score_weights
    monkeypatch.setattr(evaluation, "_score_weights", score)
    monkeypatch.setattr(evaluation, "to_size", lambda _, size: np.full(size, right[0]))
    monkeypatch.setattr(Cache, "original_mask", lambda *_: np.ones((5, 7), np.uint8))
    best = evaluate(keeping, best_on_split=True, overwrite=True).checkpoints[2]
    assert (best.weights, best.dice_mean) == (highest, 1.0)


def test_a_new_evaluation_leaves_nothing_of_the_one_before(keeping):
    evaluate(keeping, best_on_split=True, overwrite=True)
    with pytest.raises(OutputError, match=r"test_best\.csv: already exists"):
        evaluate(keeping, best_on_split=True)
    assert len(list(keeping.glob("evaluation/test_best_on_test.*"))) == 4
    evaluate(keeping, overwrite=True)
    assert not list(keeping.glob("evaluation/test_best_on_test.*"))
    own = evaluate(keeping, split="val", best_on_split=True)
    assert own.checkpoints[2].checkpoint == "best_on_val"
    assert own.files[-1].name == "val_best_on_val.npz"


def test_without_kept_weights_there_is_no_best_on_the_split(trained, keeping, tmp_path):
    with pytest.raises(TrainingError, match=r"checkpoints: no kept weights.*keep_every"):
        evaluate(trained, best_on_split=True, overwrite=True)
    for name in ("checkpoints/3", "checkpoints/best", "evaluation/000003", "../000003"):
        with pytest.raises(TrainingError, match="expected one of best, last"):
            runs.load_checkpoint(keeping, name, torch.device("cpu"))
    with pytest.raises(TrainingError, match=r"000004\.safetensors: no such checkpoint"):
        runs.load_checkpoint(keeping, "checkpoints/000004", torch.device("cpu"))


def test_resizing_logits():
    logits = torch.full((1, 4, 4), -1.0)
    logits[:, :, 2:] = 1.0
    mask = to_size(logits, (10, 6))
    assert mask.shape == (10, 6)
    assert mask[:, 3:].all()
    assert not mask[:, :3].any()


def test_gallery_takes_any_sizes():
    empty, full = np.zeros((30, 90), bool), np.ones((30, 90), bool)
    image = np.full((50, 50, 3), 128, np.uint8)
    tall = Picture("ä" * 60, 1.0, image, np.zeros((90, 3), bool), np.ones((90, 3), bool))
    pictures = [Picture("wide", 0.0, image, empty, full)] * 7 + [tall]
    canvas = draw_gallery(pictures, "title")
    assert canvas.dtype == np.uint8
    assert canvas.shape[2] == 3
    assert draw_gallery([tall], "title").shape[1] < canvas.shape[1]


# ---------------------------------------------------------------- predict


def test_predict_refuses_to_overwrite(trained, images, tmp_path):
    masks = tmp_path / "masks"
    predict(trained, [images], masks)
    before = {path.name: path.stat().st_mtime_ns for path in masks.iterdir()}
    with pytest.raises(OutputError, match=r"item10\.png: already exists"):
        predict(trained, [images], masks)
    assert {path.name: path.stat().st_mtime_ns for path in masks.iterdir()} == before
    predict(trained, sorted(images.iterdir())[:1], masks, overwrite=True)
    with pytest.raises(OutputError, match="is an image to segment"):
        predict(trained, [images], images, overwrite=True)


def test_masks_are_not_put_among_the_images(trained, images, tmp_path):
    for path in images.iterdir():
        path.rename(path.with_suffix(".bmp"))
    with pytest.raises(OutputError, match="images: holds the images to segment; choose another"):
        predict(trained, [images], images, overwrite=True)
    assert {path.suffix for path in images.iterdir()} == {".bmp"}


def test_a_mask_has_one_name_however_the_accents_of_its_image_are_stored(trained, images, tmp_path):
    apart = (images / "item9.png").rename(images / "e\u0301.png")
    of_file = predict(trained, [apart], tmp_path / "of_file")
    of_folder = predict(trained, [images, apart], tmp_path / "of_folder")
    assert {"\u00e9.png"} == {path.name for path in of_file}
    assert len(of_folder) == 3
    assert of_file[0].name in {path.name for path in of_folder}


def test_an_unreadable_image_is_named_and_nothing_is_written(trained, images, tmp_path):
    (images / "zebra.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(FormatError, match=r"zebra\.png"):
        predict(trained, [images], tmp_path / "masks")
    assert not (tmp_path / "masks").exists()


def test_probabilities_are_grey_and_above_half_where_the_mask_is(trained, images, tmp_path):
    masks = predict(trained, [images], tmp_path / "masks")
    greys = predict(trained, [images], tmp_path / "greys", probabilities=True)
    for mask, grey in zip(masks, greys, strict=True):
        written, says = (cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (mask, grey))
        assert says.shape == written.shape
        assert len(np.unique(says)) > 10
        assert says[written > 0].min() >= 127
        assert says[written == 0].max() <= 128


def test_views_are_turned_back_before_their_mean_is_taken(trained):
    plain = runs.load_checkpoint(trained, "best", torch.device("cpu"))
    looking = replace(plain, config=plain.config.replace(views=True))
    image = lesion(9)[0][:48, :48]
    turned_image = np.ascontiguousarray(np.rot90(image[:, ::-1]))
    seen, of_turned = logits_of(looking, [image])[0, 0], logits_of(looking, [turned_image])[0, 0]
    torch.testing.assert_close(torch.rot90(seen.flip(-1)), of_turned, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(seen, logits_of(plain, [image])[0, 0], atol=1e-3)


def test_predict_argument_errors(trained, images, tmp_path):
    other = tmp_path / "more"
    other.mkdir()
    (other / "item9.jpg").write_bytes((images / "item9.png").read_bytes())
    with pytest.raises(FormatError, match="same stem"):
        predict(trained, [images / "item9.png", other / "item9.jpg"], tmp_path / "masks")
    with pytest.raises(FormatError, match="same stem"):
        predict(trained, [images, other], tmp_path / "masks")
    with pytest.raises(FormatError, match="absent: no such file or folder"):
        predict(trained, [tmp_path / "absent"], tmp_path / "masks")
    with pytest.raises(FormatError, match="no image given"):
        predict(trained, [], tmp_path / "masks")
    with pytest.raises(TrainingError, match="no such checkpoint"):
        predict(tmp_path, [images], tmp_path / "masks")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        predict(trained, [images], tmp_path / "file")


def test_predict_takes_files_and_folders_together(trained, images, tmp_path):
    (tmp_path / "lone.png").write_bytes((images / "item9.png").read_bytes())
    masks = predict(
        trained, [tmp_path / "lone.png", images, images / "item9.png"], tmp_path / "masks"
    )
    assert [path.name for path in masks] == ["lone.png", "item10.png", "item11.png", "item9.png"]
