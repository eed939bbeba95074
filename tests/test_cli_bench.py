"""`gradtrack-bench`: what reaches the library, what is shown, and several processes at once."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner
from gazetools_cli.bench import main
from gazetools_cli.describe import describe
from model_cache import make_cache

from gazetools.cache import open_cache
from gazetools.errors import TrainingError
from gradtrack_model import predict
from gradtrack_model.bench import claimed, running

TABLE = """
title = "Two rows"
preset = "tiny"
seeds = [0, 1]
split = "test"
baseline = "heatmap"
[settings]
iterations = 4
val_every = 2
[caches]
lesions = "maps.h5"
[rows.heatmap]
cache = "lesions"
method = "heatmap"
[rows.full]
cache = "lesions"
method = "full"
"""
TAUGHT = """
title = "Two rounds"
preset = "tiny"
seeds = [4]
split = "test"
[settings]
iterations = 2
val_every = 2
[caches]
grabcut = "--size 32 --near-duplicates -1"
[rows.second]
cache = "grabcut"
teacher = "first"
[rows.first]
cache = "grabcut"
"""
DESCRIBED = """
title = "A teacher that reads"
preset = "tiny"
seeds = [0]
split = "test"
[settings]
iterations = 2
val_every = 2
[caches]
band = "--size 32 --near-duplicates -1 --masks-from heatmap --band 0.3 0.5"
[rows.fgi]
cache = "band"
method = "fgi"
"""
RENDERED = '"--size 32 --masks-from heatmap --near-duplicates -1"'


def bench(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def assert_refused(result, says):
    assert result.exit_code == 1, result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    assert says in line


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A working folder with a cache and its table."""
    monkeypatch.chdir(tmp_path)
    make_cache(tmp_path / "maps.h5")
    (tmp_path / "two.toml").write_text(TABLE)
    return tmp_path


def write_rendered(lab, options=RENDERED):
    """Have the table's cache rendered, and one run only."""
    text = TABLE.replace('"maps.h5"', options).replace("[0, 1]", "[0]")
    (lab / "two.toml").write_text(text.partition("[rows.full]")[0])


def test_help():
    result = bench("--help")
    assert result.exit_code == 0
    for option in ("--data", "--fixations", "--out", "--only", "--dry-run", "--device", "--json"):
        assert option in result.stdout


def test_a_dry_run_lists_and_writes_nothing(lab):
    before = sorted(lab.rglob("*"))
    result = bench("two.toml", "--dry-run")
    assert result.exit_code == 0, result.output
    first, cache, *runs = result.stdout.splitlines()
    assert first == "two: 0 of 4 runs are done"
    assert cache.split() == ["cache", "lesions", "maps.h5"]
    assert runs[0].split("  ")[-1] == "train heatmap, 4 iterations on lesions; measure on test"
    assert [" ".join(line.split()[:3]) for line in runs] == [
        "heatmap, seed 0",
        "full, seed 0",
        "heatmap, seed 1",
        "full, seed 1",
    ]
    as_json = json.loads(bench("two.toml", "--dry-run", "--json", "--only", "full").stdout)
    assert as_json["caches"] == {"lesions": True}
    assert as_json["runs"] == [
        {"row": "full", "seed": k, "round": 1, "todo": "train"} for k in (0, 1)
    ]
    assert sorted(lab.rglob("*")) == before


def test_it_trains_measures_and_tells(lab):
    result = bench("two.toml", "-o", "out", "--device", "cpu", "--only", "heatmap")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("heatmap, seed 0: 4 iterations in 0.0 min, Dice 0.")
    assert lines[0].endswith(" on test")
    shown = result.stdout
    assert shown.startswith("Two rows: 2 runs are done on split test\n")
    assert " ± " in shown
    assert "2 runs\n" in shown
    for end in ("md", "csv", "json", "svg", "png"):
        assert f"out/table.{end}" in shown
        assert (lab / f"out/table.{end}").is_file()
    again = json.loads(bench("two.toml", "-o", "out", "--only", "heatmap", "--json").stdout)
    assert (again["finished"], again["missing"], again["failed"]) == (0, 2, {})
    assert again["dice"]["full"] is None
    assert 0 < again["dice"]["heatmap"] < 1


def test_a_failed_run_is_an_error_after_the_table_is_written(lab):
    (lab / "maps.h5").unlink()
    make_cache(lab / "maps.h5", ("val", "test"))
    result = bench("two.toml", "-o", "out")
    assert_refused(result, "4 of 4 runs failed, the first: heatmap, seed 0: maps.h5: no training")
    assert (lab / "out/table.md").is_file()


def test_ctrl_c_says_how_to_go_on(lab, monkeypatch):
    def fit(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "fit", fit)
    result = bench("two.toml", "-o", "out")
    assert result.exit_code == 1
    assert result.stderr == "interrupted: out holds what was done; the same command goes on\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("no.toml",), "no.toml: no such file; expected a benchmark table in TOML"),
        (("two.toml", "--only", "hot"), "row 'hot' is unknown; expected one of heatmap, full"),
    ],
)
def test_errors_are_one_line(lab, arguments, says):
    assert_refused(bench(*arguments), says)


def test_a_changed_table_is_refused_before_anything_is_done(lab):
    write_rendered(lab, '"maps.h5"')
    assert bench("two.toml", "-o", "out").exit_code == 0
    text = (lab / "two.toml").read_text().replace("iterations = 4", "iterations = 5")
    (lab / "two.toml").write_text(text)
    says = "seed0: is another run than that of the table (iterations was 4, in the table 5)"
    assert_refused(bench("two.toml", "-o", "out"), says)
    assert_refused(bench("two.toml", "-o", "out", "--dry-run"), says)


def test_two_processes_share_the_runs(lab):
    (lab / "two.toml").write_text(TABLE.replace("[0, 1]", "[7]"))
    program = Path(sysconfig.get_path("scripts")) / "gradtrack-bench"
    command = [sys.executable, program, "two.toml", "-o", "out", "--json"]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told, reports = [], []
    for process in both:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        told += [line.partition(":")[0] for line in stderr.splitlines()]
        reports.append(json.loads(stdout))
    assert sorted(told) == ["full, seed 7", "heatmap, seed 7"]
    assert sum(report["finished"] for report in reports) == 2
    assert min(report["missing"] for report in reports) == 0
    assert not list(lab.glob("out/runs/*/.*.lock"))


# ---------------------------------------------------------------- caches that are rendered


@pytest.fixture
def data(twelve):
    """Images with masks and gaze, and lists of some."""
    mask = (twelve / "masks/image00.png").read_bytes()
    for number in range(12):
        (twelve / f"masks/image{number:02d}.png").write_bytes(mask)
    (twelve / "test.txt").write_text("image03\nimage04\n")
    (twelve / "train.txt").write_text("".join(f"image{n:02d}\n" for n in (1, 2, 5, 6, 7, 8)))
    return twelve.rename(twelve.with_name("data of others"))


@pytest.fixture
def here(data, tmp_path, monkeypatch):
    """Return an empty working folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def test_caches_are_rendered_from_the_data_folder(data, here):
    write_rendered(here)
    command = ("two.toml", "--data", data, "-o", "out")
    says = "out/caches/lesions.h5: not yet rendered; pass --data, the folder to render it from"
    assert_refused(bench("two.toml", "-o", "out"), says)
    result = bench(*command)
    assert result.exit_code == 0, result.output
    first = result.stderr.splitlines()[0]
    assert first == "out/caches/lesions.h5: 12 images, 12 of them rendered now"
    content = json.loads((here / "out/table.json").read_text())
    assert content["rows"][0]["n_images"] == 2
    assert content["rows"][0]["recipe"]["masks"]["source"] == "heatmap"
    assert content["caches"] == {"lesions": RENDERED.strip('"')}
    cache = here / "out/caches/lesions.h5"
    before = cache.stat().st_mtime_ns
    assert json.loads(bench(*command, "--json").stdout)["finished"] == 0
    assert cache.stat().st_mtime_ns == before
    # what is rendered may be used without its data, but not with other options
    assert bench("two.toml", "-o", "out").exit_code == 0
    write_rendered(here, RENDERED.replace("heatmap", "crf"))
    says = "was rendered with '--size 32 --masks-from heatmap --near-duplicates -1', the table says"
    assert_refused(bench("two.toml", "-o", "out"), says)


def test_a_cache_may_be_of_other_gaze(data, here, capfd):
    write_rendered(here, RENDERED.replace('"--size', '"--fixations simulated.parquet --size'))
    command = ("two.toml", "--data", data, "-o", "out")
    assert_refused(bench(*command), "its message stands above")
    assert "simulated.parquet: no such file" in capfd.readouterr().err
    shutil.copy(data / "fixations.parquet", "simulated.parquet")
    assert bench(*command).exit_code == 0


def test_wrong_options_of_a_cache_are_told_by_render(twelve, capfd):
    write_rendered(twelve, '"--size 32 --colour red"')
    assert_refused(bench("two.toml", "--data", twelve), "its message stands above")
    assert "No such option" in capfd.readouterr().err


# ---------------------------------------------------------------- a second round


def test_a_row_learns_from_what_another_and_gaze_say(data, here, monkeypatch):
    (here / "two.toml").write_text(TAUGHT)
    command = ("two.toml", "--data", data, "-o", "out")
    says = "second, seed 4: learns from first, seed 4, which is not trained yet (out/runs/first/s"
    assert_refused(bench(*command, "--only", "second"), says)
    assert_refused(bench("two.toml", "-o", "out"), "seed4.h5: not yet rendered; pass --data")
    assert not list(here.glob("out/*"))
    assert [" ".join(line.split()) for line in bench("two.toml", "--dry-run").stdout.splitlines()][
        1:
    ] == [
        "cache grabcut two/caches/grabcut.h5: to be rendered",
        "cache second-seed4 two/caches/second-seed4.h5: to be rendered, with first, seed 4",
        "first, seed 4 round 1: train gradtrack, 2 iterations on grabcut; measure on test",
        "second, seed 4 round 2: train gradtrack, 2 iterations on second-seed4; measure on test",
    ]

    # stopped between the rounds, the first is told of
    with monkeypatch.context() as patched:
        patched.setattr(predict, "predict", press_ctrl_c)
        result = bench(*command)
        assert result.stderr.endswith("out holds what was done; the same command goes on\n")
    assert json.loads((here / "out/table.json").read_text())["missing_runs"] == 1

    # without the rest of the table it goes on
    result = bench(*command, "--only", "second")
    assert result.exit_code == 0, result.output
    predicted, rendered, trained = result.stderr.splitlines()
    assert predicted == "out/probabilities/first-seed4: 12 probability maps by first, seed 4"
    assert rendered == "out/caches/second-seed4.h5: 12 images, 12 of them rendered now"
    assert trained.startswith("second, seed 4: 2 iterations")
    second, first = json.loads((here / "out/table.json").read_text())["rows"]
    assert (second["teacher"], first["teacher"]) == ("first", None)
    assert second["cache_sha256"] != first["cache_sha256"]
    for name, helped in (("grabcut", False), ("second-seed4", True)):
        with open_cache(here / f"out/caches/{name}.h5") as cache:
            assert ("probabilities" in cache.sources) == helped

    # what is there is used again, without the data too
    with monkeypatch.context() as patched:
        patched.setattr(predict, "predict", None)
        again = bench(*command, "--only", "second", "--json")
        assert json.loads(again.stdout)["finished"] == 0
        assert again.stderr == rendered.replace("12 of", "0 of") + "\n"
        assert json.loads(bench("two.toml", "-o", "out", "--json").stdout)["finished"] == 0

    # but not what another network had said
    weights = here / "out/runs/first/seed4/best.safetensors"
    shutil.copy(here / "out/runs/second/seed4/best.safetensors", weights)
    says = "was rendered with '--size 32 --near-duplicates -1 --probabilities first-seed4@"
    assert_refused(bench("two.toml", "-o", "out"), says)
    result = bench(*command, "--only", "second")
    assert "12 probability maps by first, seed 4" in result.stderr
    assert_refused(result, "cache second-seed4 had SHA-256")


def press_ctrl_c(*args, **kwargs):
    raise KeyboardInterrupt


def write_taught_by_ready(lab):
    """Have the teacher's cache ready; that of its pupil is never made."""
    text = TAUGHT.replace("[caches]", '[caches]\nready = "maps.h5"')
    (lab / "two.toml").write_text(
        text.replace('first]\ncache = "grabcut"', 'first]\ncache = "ready"')
    )


def test_what_learns_from_a_failed_run_fails_too(lab, monkeypatch):
    write_taught_by_ready(lab)

    def fit(*args, **kwargs):
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(running, "fit", fit)
    result = bench("two.toml", "--data", ".")
    assert_refused(result, "2 of 2 runs failed, the first: first, seed 4: the loss is nan")
    assert "second, seed 4: failed: its teacher, first, seed 4, has failed\n" in result.stderr


def test_what_learns_from_a_run_of_another_process_is_left_to_it(lab):
    write_taught_by_ready(lab)
    with claimed(Path("two/runs/first/seed4")):
        told = json.loads(bench("two.toml", "--data", ".", "--json").stdout)
    assert (told["elsewhere"], told["missing"], told["failed"]) == (2, 2, {})


def test_descriptions_are_encoded_into_the_caches_of_rows_that_read_them(data, tmp_path):
    (tmp_path / "fgi.toml").write_text(DESCRIBED)
    given = (tmp_path / "fgi.toml", "--data", data, "-o", tmp_path / "out")
    assert_refused(bench(*given), "descriptions.jsonl: no such file")
    assert not (tmp_path / "out").exists()
    gaze = ["--template", "--fixations", data / "fixations.parquet", "--images", data / "images"]
    options = [*gaze, "-o", data / "descriptions.jsonl"]
    assert CliRunner().invoke(describe, [str(option) for option in options]).exit_code == 0
    first, again = bench(*given), bench(*given)
    assert first.exit_code == 0, first.output
    assert "band.h5: holds the descriptions of" in first.stderr
    assert "holds the descriptions" not in again.stderr
    with open_cache(tmp_path / "out/caches/band.h5") as cache:
        assert cache.text.encoder == "minilm"
        assert cache.read_text(cache.indices("train"))[1].any(axis=1).all()
