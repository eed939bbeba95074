"""The benchmark: its table file, the grid that several processes may work on, and the results."""

import csv
import json
import math
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from model_cache import SPLITS, make_cache

from gazetools.errors import ConfigError, OutputError, TrainingError
from gradtrack_model.bench import (
    Outcome,
    check_teachers,
    claimed,
    collect,
    planned,
    read_table,
    ready,
    rounds,
    run_bench,
    running,
    status,
    write_results,
    writing,
)
from gradtrack_model.bench.results import Results, RowResult, RunResult
from gradtrack_model.bench.running import check_same
from gradtrack_model.bench.writing import to_json, to_markdown
from gradtrack_model.comparison import Difference, Scores
from gradtrack_model.config import PRESETS
from gradtrack_model.runs import CHECKPOINTS

EXAMPLES = Path(__file__).parents[1] / "examples"
TABLE = """
title = "Two rows"
preset = "tiny"
seeds = [0, 3]
split = "test"
baseline = "heatmap"
[settings]
iterations = 6
val_every = 3
[caches]
lesions = "maps.h5"
[rows.heatmap]
cache = "lesions"
method = "heatmap"
[rows.full]
cache = "lesions"
method = "full"
keep_every = 3
"""


def write_table(folder, text=TABLE):
    path = folder / "table.toml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(before, after):
    assert before in TABLE
    return TABLE.replace(before, after)


def bench(table, out, only=(), **how):
    return run_bench(planned(table, out, only), table.ready, table.split, **how)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A cache, its table and all four runs done; only to be read."""
    folder = tmp_path_factory.mktemp("bench")
    make_cache(folder / "maps.h5")
    table = read_table(write_table(folder))
    lines = []
    outcome = bench(table, folder / "out", tell=lines.append)
    assert [run.name for run in outcome.finished] == [
        "heatmap, seed 0",
        "full, seed 0",
        "heatmap, seed 3",
        "full, seed 3",
    ]
    assert [line.partition(":")[0] for line in lines] == [run.name for run in outcome.finished]
    assert (outcome.elsewhere, outcome.failed) == ((), ())
    write_results(collect(table, folder / "out"), folder / "out")
    return folder


@pytest.fixture
def copy(lab, tmp_path):
    """The same, to be changed."""
    shutil.copytree(lab, tmp_path / "lab")
    return tmp_path / "lab"


# ---------------------------------------------------------------- the table file


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ('title = "Two rows"', "", "title is missing or empty; expected a text"),
        ('title = "Two rows"', "title = 3", "title = 3: expected a text"),
        ('preset = "tiny"', 'preset = "huge"', "preset = 'huge': expected one of paper, laptop"),
        ("seeds = [0, 3]", "seeds = []", "seeds is missing or empty"),
        ("seeds = [0, 3]", "seeds = [0, 0]", "expected different whole numbers"),
        ("seeds = [0, 3]", "seeds = [0, -1]", "expected different whole numbers"),
        ("seeds = [0, 3]", "seeds = [0.5]", "expected different whole numbers"),
        ("seeds = [0, 3]", "seeds = [true]", "expected different whole numbers"),
        ("seeds = [0, 3]", "seeds = [[1]]", "expected different whole numbers"),
        ('split = "test"', 'split = "train"', "split 'train' is unknown; expected one of test"),
        ('"heatmap"\n[set', '"hot"\n[set', "baseline 'hot' is unknown; expected one of heatmap"),
        ("[settings]", "speed = 3\n[settings]", "entry 'speed' is unknown; expected one of title"),
        ("[settings]", "[setting]", "entry 'setting' is unknown"),
        ("iterations = 6", "steps = 6", r"\[settings\]: setting 'steps' is unknown"),
        ("iterations = 6", "iterations = 0", r"\[settings\]: iterations = 0: expected at least 1"),
        ("iterations = 6", "seed = 6", r"\[settings\]: seed is not for here; name all .* seeds"),
        ('method = "full"', 'method = "best"', r"\[rows.full\]: method = 'best': expected one of"),
        ('method = "full"', "seed = 1", r"\[rows.full\]: seed is not for here"),
        ("[rows.full]", '[rows."a/b"]', "row 'a/b': names a file or folder; expected letters"),
        ("[rows.full]", "[rows]\nfast = 3\n[rows.full]", r"rows.fast = 3: expected a table"),
        ('cache = "lesions"\nmethod = "full"', "", r"\[rows.full\]: cache is missing; .* lesions"),
        ('"lesions"\nmethod = "full"', '"less"', r"\[rows.full\]: cache = 'less' is unknown"),
        ('lesions = "maps.h5"', "lesions = 3", r"\[caches\] lesions = 3: expected options or"),
        ('lesions = "maps.h5"', 'lesions = "no.h5"', r"no.h5 does not exist; expected a cache"),
        ('lesions = "maps.h5"', '"../x" = "-"', r"cache '../x': names a file or folder"),
        ('lesions = "maps.h5"', 'lesions = "--set \'"', "No closing quotation"),
        ('lesions = "maps.h5"', 'lesions = "-o x.h5"', "-o is given by gradtrack-bench itself"),
        ('lesions = "maps.h5"', 'lesions = "--masks=m"', "--masks=m is given by gradtrack-bench"),
        ("[rows.full]", "[rows.full", "not readable as TOML"),
        ('lesions = "maps.h5"', 'lesions = "--probabilities p"', "--probabilities is given by"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, before, after, says):
    (tmp_path / "maps.h5").touch()
    path = write_table(tmp_path, changed(before, after))
    with pytest.raises(ConfigError, match=f"table.toml: .*{says}"):
        read_table(path)


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file; expected a benchmark table"):
        read_table(tmp_path / "table.toml")


def test_settings_come_from_preset_table_and_row_in_this_order(lab):
    table = read_table(lab / "table.toml")
    full = table.chosen(("full",))[0].config
    assert full == PRESETS["tiny"].replace(iterations=6, val_every=3, method="full", keep_every=3)
    assert [run.config.seed for run in planned(table, lab)] == [0, 0, 3, 3]


def test_caches_are_there_or_to_be_rendered(tmp_path):
    (tmp_path / "shards").mkdir()
    text = changed('lesions = "maps.h5"', 'a = "shards"\nb = "--levels 2"\nlesions = ""')
    table = read_table(
        write_table(tmp_path, text.replace("[settings]", 'render="--size 32"\n[settings]'))
    )
    assert table.ready == {"a": tmp_path / "shards"}
    assert table.rendered == {
        "b": ("--size", "32", "--levels", "2"),
        "lesions": ("--size", "32"),
    }


def test_the_test_split_is_opened_only_where_a_table_says_so(tmp_path):
    (tmp_path / "maps.h5").touch()
    table = read_table(write_table(tmp_path, changed('split = "test"\n', "")))
    assert (table.split, table.compared) == ("val", "last")


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("kvasir", "test"),
        ("ablation", "val"),
        ("fgi", "test"),
        ("simulated", "test"),
        ("rounds", "test"),
    ],
)
def test_example_tables_are_right(name, split):
    table = read_table(EXAMPLES / f"{name}.toml")
    assert table.split == split
    used = {row.cache for row in table.rows}
    assert used == set(table.rendered)
    assert len({(row.cache, row.teacher, row.config) for row in table.rows}) == len(table.rows)


# ---------------------------------------------------------------- teachers

TAUGHT = """
title = "Three rounds"
preset = "tiny"
seeds = [0, 3]
[caches]
ready = "maps.h5"
grabcut = "--size 32"
heatmap = "--size=32 --masks-from=heatmap"
[rows.third]
cache = "grabcut"
teacher = "second"
[rows.first]
cache = "ready"
[rows.second]
cache = "grabcut"
teacher = "first"
"""


def read_taught(folder, before="", after=""):
    (folder / "maps.h5").touch()
    assert before in TAUGHT
    return read_table(write_table(folder, TAUGHT.replace(before, after)))


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (
            '"first"',
            '"four"',
            r"\[rows.second\]: teacher = 'four' is unknown; .* third, first, sec",
        ),
        ('"first"', "3", r"\[rows.second\]: teacher = 3 is unknown"),
        ('"first"', '"second"', r"\[rows.third\]: learns from itself .third from second from sec"),
        ('"first"', '"third"', r"learns from itself .third from second from third.; name another"),
        ('"grabcut"\nteacher = "first"', '"ready"\nteacher = "first"', "'ready' is a path; beside"),
        (
            '"grabcut"\nteacher = "first"',
            '"heatmap"\nteacher = "first"',
            "makes masks from heatmap",
        ),
        (
            'cache = "ready"',
            'cache = "ready"\nmethod = "full"',
            r"\[rows.second\]: teacher = 'first' has seen the masks",
        ),
        ("heatmap = ", "third-seed3 = ", r"third-seed3: is how the cache of row third will be"),
    ],
)
def test_a_wrong_teacher_is_refused(tmp_path, before, after, says):
    with pytest.raises(ConfigError, match=f"table.toml: .*{says}"):
        read_taught(tmp_path, before, after)


def test_a_teacher_is_of_the_round_before_and_of_the_same_seed(tmp_path):
    todo = planned(read_taught(tmp_path), tmp_path)
    assert [(run.cache, run.teacher and run.teacher.name) for run in todo] == [
        ("third-seed0", "second, seed 0"),
        ("ready", None),
        ("second-seed0", "first, seed 0"),
        ("third-seed3", "second, seed 3"),
        ("ready", None),
        ("second-seed3", "first, seed 3"),
    ]
    assert {number: [run.name for run in some] for number, some in rounds(todo).items()} == {
        1: ["first, seed 0", "first, seed 3"],
        2: ["second, seed 0", "second, seed 3"],
        3: ["third, seed 0", "third, seed 3"],
    }
    assert list(rounds(todo[:1])) == [3]


def test_a_run_waits_for_its_teacher(tmp_path):
    todo = planned(read_taught(tmp_path), tmp_path)
    first, second = rounds(todo)[1], rounds(todo)[2]
    check_teachers(todo)
    with pytest.raises(
        ConfigError,
        match=r"second, seed 0: learns from first, seed 0, which is not trained yet .*seed0.; "
        "run row 'first' first, or leave out --only",
    ):
        check_teachers(second)
    for run in first:
        run.folder.mkdir(parents=True)
    (first[0].folder / running.SUMMARY).touch()
    with claimed(first[1].folder):  # another process is at it
        check_teachers(second)
    with pytest.raises(ConfigError, match="learns from first, seed 3, which is not trained yet"):
        check_teachers(second)
    nothing = Outcome((), (), ())
    assert ready(second, nothing) == (second[:1], Outcome((), second[1:], ()))
    before = Outcome((), (), ((first[1], "the loss is nan"),))
    reason = "its teacher, first, seed 3, has failed"
    assert ready(second, before) == (second[:1], Outcome((), (), ((second[1], reason),)))
    both = before.and_then(Outcome(first[:1], (), ((second[1], reason),)))
    assert both == (first[:1], (), (*before.failed, (second[1], reason)))


def test_a_table_names_the_teachers(tmp_path):
    results = collect(read_taught(tmp_path), tmp_path / "out")
    markdown = to_markdown(results)
    assert '| second | grabcut | teacher = "first" | 0 |' in markdown
    assert "- With a teacher: learns from pseudo-masks that gaze and the teacher's" in markdown
    assert [row["teacher"] for row in to_json(results)["rows"]] == ["second", None, "first"]


# ---------------------------------------------------------------- the results


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mean_of(lab, row, seed, checkpoint, measure):
    folder = lab / f"out/runs/{row}/seed{seed}/evaluation"
    values = [item[measure] for item in read_csv(folder / f"test_{checkpoint}.csv")]
    return statistics.fmean(float(value) for value in values if value)


@pytest.mark.parametrize("row", ["heatmap", "full"])
def test_the_table_is_the_mean_and_spread_over_seeds_of_the_means_over_images(lab, row):
    (record,) = [r for r in read_csv(lab / "out/table.csv") if r["row"] == row]
    for checkpoint in CHECKPOINTS:
        for measure in ("dice", "iou", "hd95_px", "nsd"):
            by_seed = [mean_of(lab, row, seed, checkpoint, measure) for seed in (0, 3)]
            mean, sd = (float(record[f"{checkpoint}_{measure}_{what}"]) for what in ("mean", "sd"))
            assert mean == pytest.approx(statistics.fmean(by_seed))
            assert sd == pytest.approx(statistics.stdev(by_seed))
    assert (record["n_images"], record["n_seeds"], record["missing_seeds"]) == ("3", "2", "0")


def test_the_difference_is_that_of_the_means(lab):
    heatmap, full = read_csv(lab / "out/table.csv")
    expected = float(full["best_dice_mean"]) - float(heatmap["best_dice_mean"])
    assert float(full["difference"]) == pytest.approx(expected)
    assert float(full["difference_low"]) <= expected <= float(full["difference_high"])
    assert (heatmap["difference"], heatmap["p"]) == ("", "")


def test_what_is_chosen_on_test_is_there_where_weights_are_kept(lab):
    heatmap, full = read_csv(lab / "out/table.csv")
    assert heatmap["best_on_test_dice_mean"] == ""
    assert float(full["best_on_test_dice_mean"]) >= float(full["best_dice_mean"])
    markdown = (lab / "out/table.md").read_text(encoding="utf-8")
    assert "chosen on test, for comparison with papers" in markdown


def test_json_tells_everything_but_places(lab):
    text = (lab / "out/table.json").read_text(encoding="utf-8")
    assert str(lab) not in text
    content = json.loads(text)
    full = content["rows"][1]
    assert full["config"]["iterations"] == 6
    assert full["recipe"] == {"of": "tests"}
    assert [run["seed"] for run in full["runs"]] == [0, 3]
    for run in full["runs"]:
        assert run["environment"]["device"] == "cpu"
        assert run["seconds"] > 0
        assert run["parameters"] == full["parameters"] > 0
        assert run["scores"]["last"]["dice"] == pytest.approx(
            mean_of(lab, "full", run["seed"], "last", "dice")
        )


def test_results_are_the_same_bytes_each_time(lab, tmp_path):
    table = read_table(lab / "table.toml")
    files = write_results(collect(table, lab / "out"), tmp_path / "again")
    assert [file.name for file in files] == [
        f"table.{end}" for end in ("md", "csv", "json", "svg", "png")
    ]
    for file in files:
        assert file.read_bytes() == (lab / "out" / file.name).read_bytes()


def test_without_matplotlib_only_the_figure_is_missing(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "has_matplotlib", lambda: False)
    files = write_results(collect(read_table(lab / "table.toml"), lab / "out"), tmp_path)
    assert {file.suffix for file in files} == {".md", ".csv", ".json"}


def made_up(name, row, dices, seconds=90.0):
    values = {m: np.array(dices) for m in ("dice", "iou", "nsd", "heatmap_dice")}
    values["hd95_px"] = np.array([math.nan, *(10 * d for d in dices[1:])])
    scores = Scores("made up", tuple("abcd"[: len(dices)]), values)
    run = RunResult(
        seed=0,
        scores={"best": scores, "last": scores},
        summary={"seconds": seconds, "parameters": 1234, "selected_on": "masks", "recipe": {}},
        environment={"device": "cpu", "threads": 2, "torch": "2.13.0"},
        cache_sha256="0" * 64,
    )
    return RowResult(row, (run,), Difference(0.1, -0.02, 0.25, 0.0432, 2) if name else None)


def test_markdown_as_people_see_it(lab):
    table = read_table(lab / "table.toml")
    heatmap, full = table.rows
    rows = (made_up("", heatmap, [0.5, 0.75]), RowResult(full, (), None))
    assert to_markdown(Results(table, rows, 3)) == (
        "# Two rows\n\n"
        "1 of 4 runs are done on 2 images of split test; **3 are missing**.\n\n"
        "| row | cache | settings | seeds | Dice, % | IoU, % | HD95, px | NSD, % | last: Dice, % "
        "| Dice against heatmap, points [95 %] | p | iterations | minutes | parameters |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: "
        "| ---: |\n"
        '| heatmap | lesions | method = "heatmap" | 1 | 62.50 | 62.50 | 7.5 | 62.50 | 62.50 | – '
        "| – | 6 | 1.5 | 1,234 |\n"
        '| full | lesions | method = "full", keep_every = 3 | 0 | – | – | – | – | – | – | – | 6 '
        "| – | – |\n\n"
        "- Mean ± standard deviation over seeds of the mean over images, at original mask size; "
        "the best checkpoint if not said otherwise.\n"
        "- Best: with the highest validation score (against masks). Last: after the last "
        "iteration, nothing selected.\n"
        "- Against heatmap: mean difference of the images' Dice, each averaged over the seeds that "
        "both have; interval and p by paired bootstrap over images, of these very "
        "runs: how much a method varies with its seed is the ± alone. p is not corrected for the "
        "number of rows.\n"
        "- Without a network, but with gaze: heatmap > 0.5, Dice 62.50 %.\n"
        "- All rows: preset tiny, iterations = 6, val_every = 3.\n"
        "- 1 of the runs: cpu, 2 threads, torch 2.13.0.\n"
    )


def test_differences_are_shown_in_points_with_their_interval(lab):
    table = read_table(lab / "table.toml")
    heatmap, full = table.rows
    rows = (made_up("", heatmap, [0.5, 0.75]), made_up("full", full, [0.6, 0.85]))
    assert "| +10.00 [-2.00, +25.00] | 0.043 |" in to_markdown(Results(table, rows, 2))


def test_a_table_of_nothing_has_no_figure(lab, tmp_path):
    table = read_table(lab / "table.toml")
    results = collect(table, tmp_path / "empty")
    assert results.missing == 4
    assert len(write_results(results, tmp_path / "empty")) == 3
    assert "0 of 4 runs are done; **4 are missing**" in to_markdown(results)


# ---------------------------------------------------------------- the grid


def refuse(*args, **kwargs):
    raise AssertionError("was to be skipped")


def test_what_is_done_is_skipped(lab, monkeypatch):
    monkeypatch.setattr(running, "fit", refuse)
    monkeypatch.setattr(running, "evaluate", refuse)
    table = read_table(lab / "table.toml")
    assert bench(table, lab / "out") == ((), (), ())


def test_only_what_is_missing_is_done(copy, monkeypatch):
    monkeypatch.setattr(running, "fit", refuse)
    table = read_table(copy / "table.toml")
    (copy / "out/runs/full/seed3/evaluation/test_best_on_test.json").unlink()
    assert collect(table, copy / "out").missing == 1
    assert [run.name for run in bench(table, copy / "out").finished] == ["full, seed 3"]
    assert collect(table, copy / "out").missing == 0


def test_only_the_rows_that_are_named_run(lab, tmp_path):
    table = read_table(lab / "table.toml")
    outcome = bench(table, tmp_path, only=["heatmap"])
    assert {run.row.name for run in outcome.finished} == {"heatmap"}
    results = collect(table, tmp_path)
    assert [len(row.runs) for row in results.rows] == [2, 0]
    assert results.missing == 2
    with pytest.raises(ConfigError, match="row 'hot' is unknown; expected one of heatmap, full"):
        bench(table, tmp_path, only=["hot"])


def test_an_interrupted_grid_goes_on_to_the_same_weights(lab, tmp_path):
    table = read_table(lab / "table.toml")

    def press_ctrl_c(done, total, name):
        if name.startswith("full, seed 0: 4 of 6"):
            raise KeyboardInterrupt

    runs = planned(table, tmp_path, ["full"])
    with pytest.raises(KeyboardInterrupt):
        bench(table, tmp_path, only=["full"], progress=press_ctrl_c)
    assert [status(run, "test") for run in runs] == ["resume", "train"]
    assert len(bench(table, tmp_path, only=["full"]).finished) == 2
    for run in runs:
        there = lab / "out" / run.folder.relative_to(tmp_path)
        for name in ("best.safetensors", "last.safetensors", "evaluation/test_best.csv"):
            if name.endswith("csv"):
                assert (run.folder / name).read_bytes() == (there / name).read_bytes()
            else:
                assert weights(run.folder / name) == weights(there / name)


def weights(path):
    from safetensors.numpy import load_file

    return {name: values.tobytes() for name, values in load_file(path).items()}


def test_a_run_that_another_works_on_is_left_to_it(lab, tmp_path):
    table = read_table(lab / "table.toml")
    theirs, other = planned(table, tmp_path, ["full"])
    with claimed(theirs.folder) as ours:
        assert ours
        outcome = bench(table, tmp_path, only=["full"])
    assert outcome == ((other,), (theirs,), ())
    assert bench(table, tmp_path, only=["full"]) == ((theirs,), (), ())


def test_results_cannot_lie_below_a_file(lab, tmp_path):
    (tmp_path / "out").touch()
    table = read_table(lab / "table.toml")
    with pytest.raises(OutputError, match="heatmap: cannot be made"):
        bench(table, tmp_path / "out")
    with pytest.raises(OutputError, match="out: cannot be made"):
        write_results(collect(table, tmp_path / "out"), tmp_path / "out")


def test_a_run_that_fails_does_not_stop_the_others(lab, tmp_path, monkeypatch):
    table, really = read_table(lab / "table.toml"), running.fit

    def fit(config, *args, **kwargs):
        if config.seed == 0:
            raise TrainingError("the loss is nan")
        return really(config, *args, **kwargs)

    monkeypatch.setattr(running, "fit", fit)
    lines = []
    outcome = bench(table, tmp_path, only=["full"], tell=lines.append)
    assert [run.seed for run in outcome.finished] == [3]
    assert [(run.seed, why) for run, why in outcome.failed] == [(0, "the loss is nan")]
    assert lines[0] == "full, seed 0: failed: the loss is nan"


def test_runs_of_other_settings_are_refused(copy):
    text = changed("val_every = 3", "val_every = 3\nlr = 0.5").replace('"full"', '"gradtrack"')
    table = read_table(write_table(copy, text))
    says = (
        r"heatmap.seed0: is another run than that of the table \(lr was 0.003, in the table 0.5\); "
        "change the table back, remove this folder"
    )
    with pytest.raises(TrainingError, match=says):
        bench(table, copy / "out")
    with pytest.raises(TrainingError, match=says):
        collect(table, copy / "out")
    with pytest.raises(TrainingError, match="method was 'full', in the table 'gradtrack'"):
        check_same(planned(table, copy / "out")[1])


def test_runs_of_another_cache_are_refused(copy):
    (copy / "maps.h5").unlink()
    make_cache(copy / "maps.h5", levels=3)
    table = read_table(copy / "table.toml")
    with pytest.raises(TrainingError, match=r"cache lesions had SHA-256 \w{12}, now \w{12}"):
        bench(table, copy / "out")


def test_an_evaluation_on_another_cache_is_refused(copy):
    table = read_table(copy / "table.toml")
    path = copy / "out/runs/full/seed0/evaluation/test_last.json"
    path.write_text(path.read_text().replace('"cache_sha256": "', '"cache_sha256": "0'))
    with pytest.raises(TrainingError, match="test_last was measured on another cache"):
        collect(table, copy / "out")


def test_caches_that_part_images_otherwise_are_refused(copy):
    make_cache(copy / "other.h5", ("val", *SPLITS[1:]))
    text = changed('"lesions"\nmethod = "full"', '"b"\nmethod = "full"')
    text = text.replace('lesions = "maps.h5"', 'lesions = "maps.h5"\nb = "other.h5"')
    table = read_table(write_table(copy, text))
    with pytest.raises(
        ConfigError, match=r"differ in 1 images of split 'train' \(first: 'item0'\)"
    ):
        bench(table, copy / "new")


def test_rows_measured_on_different_images_are_not_compared(copy):
    path = copy / "out/runs/full/seed0/evaluation/test_best.csv"
    path.write_text(path.read_text().replace("item9", "item8"))
    with pytest.raises(TrainingError, match=r"differ in 2 images \(first: 'item8'\)"):
        collect(read_table(copy / "table.toml"), copy / "out")


def test_a_split_without_masks_is_refused_before_anything_runs(tmp_path):
    make_cache(tmp_path / "maps.h5", masked=("train", "val"))
    table = read_table(write_table(tmp_path))
    with pytest.raises(ConfigError, match="3 items in split 'test', none with a reference mask"):
        bench(table, tmp_path / "out")
    assert not (tmp_path / "out").exists()
