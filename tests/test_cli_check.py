"""The commands `check`, `inspect` and `formats`: what they print, write and return."""

import json
import math
import re

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from exports import prolab
from gazetools_cli.check import _LIMIT_OPTIONS, check
from gazetools_cli.gazetools import main

from gazetools.quality import QualitySpec
from gazetools.readers import READERS
from gazetools.synthetic import CohortSpec, simulate_session, synthetic_image, write_prolab_export
from gazetools.tables import QUALITY, read_table


def run(*arguments, **how):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **how)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder with an export of three images, and their masks."""
    folder = tmp_path_factory.mktemp("lab")
    spec = CohortSpec(images=3, fixations=12, calibration_s=1)
    masks = {f"{i}.jpg": synthetic_image(spec.rng("image", i), spec)[1] for i in range(3)}
    write_prolab_export(folder / "export.tsv", [simulate_session(masks, spec)], spec)
    (folder / "masks").mkdir()
    for name, mask in masks.items():
        path = folder / "masks" / name.replace(".jpg", ".png")
        cv2.imwrite(str(path), mask.astype(np.uint8) * 255)
    return folder


# ---------------------------------------------------------------- check


def test_a_table_of_recordings(lab):
    done = run("check", lab / "export.tsv")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("R01, Recording1"))
    assert lines[at - 1].split()[:5] == ["subject,", "recording", "Hz", "%", "%"]
    assert lines[at - 2].split()[:3] == ["rate", "irregular", "loss"]
    _, row, *rest = lines[at - 1 :]
    assert "120.0" in row
    assert rest


def test_no_colours_reach_a_file_and_none_where_they_are_not_wanted(lab):
    for environment in ({}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        done = run("check", lab / "export.tsv", "--max-loss", 0, env=environment)
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", done.stdout)
    assert "\x1b" not in run("check", lab / "export.tsv").stdout


def test_every_trial(lab):
    done = run("check", lab / "export.tsv", "--trials")
    assert len(re.findall(r"^  trial \d", done.stdout, re.M)) == 7


def test_json_is_valid_and_whole(lab):
    done = run("check", lab / "export.tsv", "--json", "--masks", lab / "masks")
    assert "NaN" not in done.stdout
    told = json.loads(done.stdout)
    (recording,) = told["recordings"]
    assert recording["rate_hz"] == pytest.approx(120, abs=0.1)
    assert 0 < recording["in_mask_pct"] <= 100
    assert set(told["in_mask_by_order"]["1"]) == {"pct", "fixations"}
    assert told["limits"]["max_loss_pct"] == 25
    assert [trial["trial"] for trial in recording["trials"]] == list(range(1, 8))


def test_flags_exclude_nothing_unless_asked(lab):
    flagged = "check", lab / "export.tsv", "--max-loss", 0.001
    assert run(*flagged).exit_code == 0
    assert run(*flagged, "--strict").exit_code == 1
    assert "data loss" in run(*flagged).stdout
    generous = [f"--{name.replace('_', '-')}" for name in _LIMIT_OPTIONS]
    off = [word for name in generous for word in (name, "inf" if "max" in name else "-inf")]
    done = run("check", lab / "export.tsv", "--strict", *off)
    assert done.exit_code == 0
    assert "nothing is flagged" in done.stdout


def test_many_flags_are_cut_and_say_so(lab):
    done = run("check", *[lab / "export.tsv"] * 4, "--min-fixations", 99)
    assert "flagged: 4 recordings, 28 trials" in done.stdout
    assert "... and 12 more" in done.stdout


def test_every_limit_has_an_option():
    assert set(_LIMIT_OPTIONS.values()) == set(QualitySpec().as_dict())
    assert set(_LIMIT_OPTIONS) <= {option.name for option in check.params}


def test_options_go_before_the_file_of_limits(lab, tmp_path):
    limits = tmp_path / "limits.toml"
    limits.write_text("max_loss_pct = 0.001\nmin_fixations = 99\n")
    done = run("check", lab / "export.tsv", "--limits", limits, "--min-fixations", 1, "--json")
    told = json.loads(done.stdout)["limits"]
    assert (told["max_loss_pct"], told["min_fixations"]) == (0.001, 1)


def test_a_parquet_is_written_whole(lab, tmp_path):
    out = tmp_path / "quality.parquet"
    done = run("check", lab / "export.tsv", "-o", out)
    assert f"written: {out}" in done.stdout
    table, note = read_table(out, QUALITY)
    assert len(table) == 8
    assert note["sources"] == ["export.tsv"]
    again = run("check", lab / "export.tsv", "-o", out)
    assert again.exit_code == 1
    assert "already exists" in again.stderr
    assert run("check", lab / "export.tsv", "-o", out, "--overwrite").exit_code == 0


def test_what_ingest_wrote_can_be_checked(lab, tmp_path):
    tables = tmp_path / "fixations.parquet", tmp_path / "samples.parquet"
    assert run("ingest", lab / "export.tsv", "-o", tables[0], "--samples", tables[1]).exit_code == 0
    told = json.loads(run("check", *tables, "--json").stdout)["recordings"]
    assert [one["file"] for one in told] == ["fixations.parquet", "samples.parquet"]
    assert told[0]["loss_pct"] is None
    assert told[1]["rms_s2s_deg"] > 0


def test_names_cannot_steer_a_terminal(tmp_path):
    sheet = prolab()
    column = sheet.rows[0].index("Participant name")
    for row in sheet.rows[1:]:
        row[column] = "\x1b[2Jgone"
    path = sheet.write(tmp_path / "export.tsv")
    for command in ("check", "inspect"):
        done = run(command, path)
        assert "\x1b" not in done.stdout
        assert "?[2Jgone" in done.stdout or r"\x1b[2Jgone" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["none.tsv"], "none.tsv: no such file"),
        (["export.tsv", "--limits", "none.toml"], "none.toml: cannot be read"),
        (["export.tsv", "--masks", "none"], "none: no such folder"),
        (["export.tsv", "--screen", "wide"], "screen 'wide' is not understood"),
        (["export.tsv", "--profile", "mine"], "profile 'mine' is unknown"),
        (["export.tsv", "--max-loss", "nan"], "max_loss_pct is nan"),
        (["export.tsv", "-o", "export.tsv", "--overwrite"], "is a file that is read"),
        (
            ["export.tsv", "--limits", "export.tsv", "-o", "./export.tsv", "--overwrite"],
            "is a file that is read",
        ),
        (
            ["export.tsv", "--targets", "targets.csv", "-o", "targets.csv", "--overwrite"],
            "targets.csv: is a file that is read",
        ),
    ],
)
def test_errors_are_one_line(arguments, what, lab, monkeypatch):
    monkeypatch.chdir(lab)
    done = run("check", *arguments)
    assert done.exit_code == 1
    assert what in done.stderr
    assert done.stderr.count("\n") == 1


# ---------------------------------------------------------------- inspect, formats


def test_inspect_tells_what_and_what_next(lab):
    done = run("inspect", lab / "export.tsv")
    assert done.exit_code == 0
    for what in ("tobii-prolab", "utf-8", "120.0 Hz measured", "next:", "gazetools ingest"):
        assert what in done.stdout
    assert "columns ignored" in done.stdout


def test_inspect_names_all_columns_if_asked(lab):
    few, all_of_them = (
        run("inspect", lab / "export.tsv"),
        run("inspect", lab / "export.tsv", "--columns"),
    )
    assert len(all_of_them.stdout) > len(few.stdout)


def test_inspect_as_json(lab):
    told = json.loads(run("inspect", lab / "export.tsv", "--json").stdout)
    assert told["reader"] == "tobii-prolab"
    assert told["recordings"][0]["trials"] == 7
    assert math.isfinite(told["recordings"][0]["duration_s"])


def test_an_unknown_file_exits_with_1_and_helps(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("time,x,y\n1,400,300\n2,400,300\n")
    done = run("inspect", path)
    assert done.exit_code == 1
    assert "mapping.toml" in done.stdout
    assert 'x = "x"' in done.stdout
    assert json.loads(run("inspect", path, "--json").stdout)["unknown"]["columns"] == [
        "time",
        "x",
        "y",
    ]


def test_formats_as_json():
    told = json.loads(run("formats", "--json").stdout)
    assert {one["name"] for one in told} == {*(reader.name for reader in READERS), "generic"}
    assert all(one["yields"] and one["versions"] and one["title"] for one in told)
    text = run("formats").stdout
    assert all(one["title"] in text for one in told)
