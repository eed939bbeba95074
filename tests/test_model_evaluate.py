"""Evaluation and prediction at original sizes."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from model_cache import lesion, make_cache

from gazetools.cache import open_cache
from gazetools.errors import CacheError, FormatError, OutputError, TrainingError
from gazetools.images import encode_png
from gradtrack_model import runs
from gradtrack_model.config import PRESETS
from gradtrack_model.evaluate import evaluate
from gradtrack_model.gallery import Picture, draw_gallery
from gradtrack_model.metrics import dice, iou
from gradtrack_model.predict import predict, to_size
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
    assert len(report.files) == 6


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


def test_an_unreadable_image_is_named_and_nothing_is_written(trained, images, tmp_path):
    (images / "zebra.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    with pytest.raises(FormatError, match=r"zebra\.png"):
        predict(trained, [images], tmp_path / "masks")
    assert not list((tmp_path / "masks").glob("*"))


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
