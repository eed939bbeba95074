"""Comparison of runs from their tables of scores: by hand, by properties, and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.errors import TrainingError
from gradtrack_model.comparison import (
    MEASURES,
    Scores,
    over_seeds,
    paired_bootstrap,
    read_scores,
)

HEADER = "name,dice,iou,hd95_px,nsd,heatmap_dice\n"
NAN = math.nan


def scores(dice, names=None, source="run", **others):
    names = names or [f"im{k:03d}" for k in range(len(dice))]
    values = {"hd95_px": dice, **others, "dice": dice}
    columns = {name: np.array(values.get(name, np.zeros(len(dice))), float) for name in MEASURES}
    return Scores(source, tuple(names), columns)


dices = st.lists(st.integers(0, 100).map(lambda x: x / 100), min_size=1, max_size=8)
two_methods = st.tuples(st.integers(1, 8), st.integers(1, 3), st.integers(1, 3)).flatmap(
    lambda n: st.tuples(
        *(
            st.lists(
                st.lists(st.floats(0, 1), min_size=n[0], max_size=n[0]).map(scores),
                min_size=runs,
                max_size=runs,
            )
            for runs in n[1:]
        )
    )
)


def write(folder, text, stem="test_best"):
    (folder / "evaluation").mkdir(exist_ok=True)
    (folder / "evaluation" / f"{stem}.csv").write_text(text, encoding="utf-8")
    return folder


# ---------------------------------------------------------------- reading


def test_scores_are_read_sorted_by_name(tmp_path):
    write(tmp_path, f'{HEADER}"b, ä",0.5,0.25,,0.75,\na,1.0,1.0,0.0,1.0,0.5\n', "val_last")
    found = read_scores(tmp_path, "val", "last")
    assert found.source == str(tmp_path / "evaluation" / "val_last.csv")
    assert found.names == ("a", "b, ä")
    rows = zip(*(found.values[name] for name in MEASURES), strict=True)
    np.testing.assert_array_equal(list(rows), [[1, 1, 0, 1, 0.5], [0.5, 0.25, NAN, 0.75, NAN]])
    assert (found.mean("dice"), found.mean("hd95_px")) == (0.75, 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "name,dice,iou,heatmap_dice\na,1,1,1\n",  # as it was before borders were measured
        HEADER + "a,high,1,1,1,1\n",
        HEADER + "a,1,1\n",
        "",
    ],
)
def test_other_tables_are_refused(tmp_path, text):
    write(tmp_path, text)
    with pytest.raises(TrainingError, match=r"test_best\.csv: .*evaluate again"):
        read_scores(tmp_path, "test", "best")


def test_a_table_without_images_or_with_one_twice_is_refused(tmp_path):
    for rows, says in (("", "0 images of 0 names"), ("a,1,1,1,1,1\n" * 2, "2 images of 1 names")):
        write(tmp_path, HEADER + rows)
        with pytest.raises(TrainingError, match=says):
            read_scores(tmp_path, "test", "best")


def test_a_missing_evaluation_says_what_to_do(tmp_path):
    with pytest.raises(TrainingError, match=r"gradtrack-evaluate .* --split val"):
        read_scores(tmp_path, "val", "best")


# ---------------------------------------------------------------- over seeds


def test_over_seeds_by_hand():
    assert over_seeds([1, 2, 6]) == (3.0, math.sqrt(7))
    mean, sd = over_seeds([0.5])
    assert mean == 0.5
    assert math.isnan(sd)
    with pytest.raises(ValueError, match="no value"):
        over_seeds([])


# ---------------------------------------------------------------- paired bootstrap


def test_two_images_by_hand():
    """Differences 0 and 1: samples have means 0, 1/2, 1/2 and 1 with equal chances."""
    found = paired_bootstrap([scores([0.5, 1.0])], [scores([0.5, 0.0])], resamples=4_000)
    assert (found.mean, found.low, found.high, found.images) == (0.5, 0.0, 1.0, 2)
    assert found.p == pytest.approx(2 / 4, abs=0.04)


def test_an_image_scores_its_mean_over_runs():
    runs = [scores([0.2, 0.4]), scores([0.6, 0.6])]
    found = paired_bootstrap(runs, [scores([0.3, 0.4])])
    by_hand = paired_bootstrap([scores([0.4, 0.5])], [scores([0.3, 0.4])])
    assert found.mean == pytest.approx(0.1)
    assert vars(found) == pytest.approx(vars(by_hand))


def test_a_difference_on_every_image_is_certain():
    found = paired_bootstrap([scores([5, 6, 7] * 4)], [scores([4] * 12)], resamples=999)
    assert 1 <= found.low < found.mean == 2 < found.high <= 3
    assert found.p == 2 / 1000  # as small as 999 samples can tell


@pytest.mark.parametrize("images", [1, 2, 3, 8])
def test_a_difference_on_every_one_of_few_images_may_be_chance(images):
    found = paired_bootstrap([scores([5, 6, 7, 8, 9, 9, 9, 9][:images])], [scores([4] * images)])
    assert found.p == 2 / 2**images


def test_images_without_the_measure_are_left_out():
    a = [scores([1, 2, NAN, NAN]), scores([3, NAN, NAN, 5])]
    b = [scores([1, 1, 7, NAN])]
    found = paired_bootstrap(a, b, measure="hd95_px")
    assert (found.mean, found.images) == (1.0, 2)  # 2 - 1 and 2 - 1
    with pytest.raises(TrainingError, match="no image where both methods have a hd95_px"):
        paired_bootstrap([scores([NAN])], [scores([1])], measure="hd95_px")


def test_intervals_hold_what_they_should_and_p_is_uniform_without_a_difference():
    rng = np.random.default_rng(0)
    zeros = [scores(np.zeros(60))]
    tries = [
        paired_bootstrap([scores(rng.normal(0, 1, 60))], zeros, resamples=500) for _ in range(200)
    ]
    assert 0.88 < np.mean([found.low <= 0 <= found.high for found in tries]) < 0.99
    assert 0.4 < np.mean([found.p < 0.5 for found in tries]) < 0.6
    assert np.mean([found.p < 0.05 for found in tries]) < 0.12


@given(dices, st.integers(1, 3))
def test_what_is_the_same_does_not_differ(dice, runs):
    found = paired_bootstrap([scores(dice)] * runs, [scores(dice)], resamples=50)
    assert (found.mean, found.low, found.high) == pytest.approx((0, 0, 0), abs=1e-15)
    same = paired_bootstrap([scores(dice)], [scores(dice)], resamples=50)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)


@settings(deadline=None)
@given(two_methods)
def test_swapping_negates(methods):
    a, b = methods
    there, back = paired_bootstrap(a, b, resamples=50), paired_bootstrap(b, a, resamples=50)
    assert there.mean == -back.mean
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert there.p == back.p
    assert there.low - 1e-12 <= there.high
    assert 0 < there.p <= 1


def test_the_seed_decides_and_more_samples_hardly_matter():
    rng = np.random.default_rng(1)
    a, b = [scores(rng.random(50))], [scores(rng.random(50))]
    assert paired_bootstrap(a, b) == paired_bootstrap(a, b)
    assert paired_bootstrap(a, b) != paired_bootstrap(a, b, seed=1)
    assert paired_bootstrap(a, b).low == pytest.approx(paired_bootstrap(a, b, seed=1).low, abs=0.01)


def test_other_images_are_refused_and_the_first_is_named():
    a = scores([1, 1, 1], ["a", "b", "d"], "runs/a.csv")
    b = scores([1, 1, 1], ["a", "c", "d"], "runs/b.csv")
    says = r"runs/b\.csv: image 'b' is missing, which is in runs/a\.csv"
    with pytest.raises(TrainingError, match=says):
        paired_bootstrap([a], [b])
    with pytest.raises(TrainingError, match=says):
        paired_bootstrap([b], [b, a])
    with pytest.raises(ValueError, match="no run"):
        paired_bootstrap([], [])
    with pytest.raises(ValueError, match="not sorted"):
        scores([1, 1], ["b", "a"])
