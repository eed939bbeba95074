"""`gradtrack-bench`: what reaches the library, what is shown, and several processes at once."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner
from gazetools_cli.bench import main
from model_cache import make_cache

from gradtrack_model.bench import running

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
    assert as_json["runs"] == [{"row": "full", "seed": k, "todo": "train"} for k in (0, 1)]
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


def test_caches_are_rendered_from_the_data_folder(twelve, tmp_path, monkeypatch):
    mask = (twelve / "masks/image00.png").read_bytes()
    for number in range(12):
        (twelve / f"masks/image{number:02d}.png").write_bytes(mask)
    (twelve / "test.txt").write_text("image03\nimage04\n")
    (twelve / "train.txt").write_text("".join(f"image{n:02d}\n" for n in (1, 2, 5, 6, 7, 8)))
    data, here = twelve.rename(tmp_path / "data of others"), tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
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


def test_wrong_options_of_a_cache_are_told_by_render(twelve, capfd):
    write_rendered(twelve, '"--size 32 --colour red"')
    assert_refused(bench("two.toml", "--data", twelve), "its message stands above")
    assert "No such option" in capfd.readouterr().err
