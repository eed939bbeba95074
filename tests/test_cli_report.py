"""The command `report`: what it writes, prints and refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from gazetools_cli.report import report
from test_reporting import fixations, write_fixations, write_run

from gazetools.reporting.sources import open_sources


def run(*arguments):
    return CliRunner().invoke(report, [str(argument) for argument in arguments])


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_fixations(tmp_path / "fixations.parquet", fixations(["a", "b"]))


def test_a_page_and_a_summary(table, tmp_path):
    done = run(table)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == "report.html: open it in a browser"
    assert "2 of 2 shown" in done.stdout
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_json_and_options(table, tmp_path):
    (tmp_path / "only.txt").write_text("b\n")
    folder = write_run(tmp_path / "run")
    options = "--only", "only.txt", "--title", "Ours", "--first", "worst", "--most", 1
    done = run(table, folder, "-o", "x.html", "--json", *options)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["stimuli"], told["shown"], told["runs"], told["out"]) == (1, 1, 1, "x.html")
    page = (tmp_path / "x.html").read_bytes()
    assert told["bytes"] == len(page)
    assert b"<h1>Ours</h1>" in page


def test_nothing_is_replaced_unasked(table, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("mine")
    refused = run(table)
    assert refused.exit_code == 1
    assert "already exists" in refused.stderr
    assert out.read_text() == "mine"
    assert run(table, "--overwrite").exit_code == 0
    assert out.read_text(encoding="utf-8") != "mine"


def test_one_line_says_what_is_wrong(table, tmp_path):
    (tmp_path / "x.bin").write_bytes(b"nothing")
    done = run("x.bin")
    assert done.exit_code == 1
    assert done.stderr.startswith("error: x.bin: is neither Parquet nor HDF5")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "report.html").exists()
    assert run().exit_code == 2
    assert run(table, "--first", "none").exit_code == 2


def test_a_table_without_our_footer_is_told_by_its_columns(table, tmp_path):
    who = {"recording": "one", "subject": "R01", "trial": 1, "stimulus": "a"}
    blink = {**who, "onset_ms": 100.0, "duration_ms": 80.0, "eye": "both", "source": "theirs"}
    pd.DataFrame([blink]).to_parquet("blinks.parquet")
    with open_sources([table, Path("blinks.parquet")]) as sources:
        assert [len(one.rows) for one in sources.blinks] == [1]
        assert [one.path for one in sources.fixations] == [table]
    assert run(table, "blinks.parquet").exit_code == 0
    pd.DataFrame([blink]).drop(columns="onset_ms").to_parquet("none.parquet")
    done = run(table, "none.parquet", "-o", "x.html")
    assert done.exit_code == 1
    assert "none.parquet: its columns are those of none of our tables" in done.stderr


def test_the_list_of_stimuli_is_not_overwritten(table, tmp_path):
    only = tmp_path / "only.txt"
    only.write_text("a\n")
    done = run(table, "--only", "only.txt", "-o", only, "--overwrite")
    assert done.exit_code == 1
    assert "only.txt: is a file that is read" in done.stderr
    assert only.read_text() == "a\n"


def test_nothing_is_left_when_it_is_interrupted(table, tmp_path, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("gazetools.reporting.stimuli.Stimuli.card", stop)
    done = run(table)
    assert done.exit_code == 1
    assert "interrupted" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixations.parquet"]
