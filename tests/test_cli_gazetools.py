"""The command `gazetools`: help, exit codes, one line per error, outputs whole or absent."""

import gzip
import json
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from exports import Sheet, gazemedseg, prolab
from gazetools_cli import gradtrack
from gazetools_cli.gazetools import main

from gazetools.tables import FIXATIONS, SAMPLES, read_table

ROOT = Path(__file__).parents[1]
COMMANDS = {
    **{f"gazetools {name}": command for name, command in main.commands.items()},
    "gradtrack-train": gradtrack.train,
    "gradtrack-evaluate": gradtrack.evaluate,
    "gradtrack-predict": gradtrack.predict,
    "gradtrack-join": gradtrack.join,
}
every_command = pytest.mark.parametrize("name", sorted(COMMANDS))


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def program(*arguments, cwd, **how):
    """Start `gazetools` as a user would, in a process of its own."""
    code = (
        "import gazetools.ingestion\n"
        "from gazetools_cli.gazetools import main\n"
        "print('loaded', flush=True)\n"
        "main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **how,
    )


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """An empty folder, in which the commands run."""
    folder = tmp_path / "lab"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def export(lab):
    return prolab().write(lab / "export.tsv")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- help


@every_command
def test_every_command_has_help_with_an_example(name):
    command = COMMANDS[name]
    assert command.help
    assert re.search(rf"Examples?:\n.*{name}", command.help, re.DOTALL)
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0
    assert name in result.output


@every_command
def test_every_command_stands_in_the_readme(name):
    assert name in (ROOT / "README.md").read_text(encoding="utf-8")


@every_command
def test_options_with_a_dash_have_no_twin(name):
    flags = [flag for option in COMMANDS[name].params for flag in option.opts]
    assert len(set(flags)) == len(flags)


def test_the_version_is_told():
    result = run("--version")
    assert re.search(r"\d+\.\d+", result.output)


def test_formats_are_listed():
    result = run("formats")
    assert result.exit_code == 0
    for name in ("tobii-prolab", "eyelink-report", "gazemedseg"):
        assert name in result.output


# ---------------------------------------------------------------- ingest


def test_defaults_chain(export, lab):
    result = run("ingest", "export.tsv")
    assert result.exit_code == 0, result.output
    assert "fixations.parquet: 2 fixations on 1 stimuli" in result.stdout
    assert result.stderr == ""
    assert names(lab) == ["export.tsv", "fixations.parquet"]
    table, note = read_table(lab / "fixations.parquet", FIXATIONS)
    assert table["stimulus"].tolist() == ["lesion.jpg"] * 2
    assert note["exports"] == ["export.tsv"]


def test_the_summary_says_what_was_asked(small_cohort, lab):
    text = run("ingest", small_cohort.export, "--samples", "s.parquet").stdout
    for expected in (
        "tobii-prolab",
        "2 in 1 files",
        "trials",
        "120.0 Hz, measured",
        "missing",
        "mouse rows",
    ):
        assert expected in text
    for expected in ("fixations by", "no image known for", "ours agree on 9", "s.parquet"):
        assert expected in text


def test_the_summary_tells_of_cuts_and_of_assumed_eyes(lab):
    sheet = prolab().without(lambda name: name.startswith("Eye position"))
    for row in sheet.rows[8:122]:
        row[sheet.index("Presented Media name")] = "second.jpg"
    sheet.write(lab / "export.tsv")
    refused = run("ingest", "export.tsv", "--events", "ivt")
    assert_refused(refused, "no eye positions .*--screen.*--events vendor")
    text = run("ingest", "export.tsv", "--screen", "1920x1080:528x297:650").stdout
    for expected in (
        "2 tobii-prolab (eyes assumed at the screen's axis)",
        "1 across a change of stimulus",
        "1 cut short by a change of stimulus",
    ):
        assert expected in text


def test_the_summary_tells_of_fixations_that_the_export_cuts_off(lab):
    sheet = prolab()
    Sheet([sheet.rows[0], *sheet.rows[22:-21]]).write(lab / "cut.tsv")
    text = run("ingest", "cut.tsv", "--events", "vendor").stdout
    assert re.search(r"fixations cut +2 where the export begins or ends\n", text)
    told = run("inspect", "cut.tsv").stdout
    assert re.search(r"vendor's own +2 fixations, 2 fixations cut off by the export, ", told)


def test_json_is_json(export, lab):
    result = run("ingest", "export.tsv", "--json")
    facts = json.loads(result.stdout, parse_constant=pytest.fail)
    assert (facts["fixations_kept"], facts["trials"]) == (2, 1)
    assert facts["samples"]["read"] == 120
    assert facts["formats"] == {"tobii-prolab": 1}


def test_options_reach_the_library(lab):
    prolab().write(lab / "export.tsv")
    (lab / "stimuli.csv").write_text(
        "stimulus,x_px,y_px,width_px,height_px\nlesion,800,400,400,400"
    )
    result = run(
        *("ingest", "export.tsv", "--events", "vendor", "--stimuli", "stimuli.csv"),
        *("-o", "mine.parquet", "--samples", "samples.parquet"),
    )
    assert result.exit_code == 0, result.output
    table, _ = read_table(lab / "mine.parquet", FIXATIONS)
    assert table["source"].tolist() == ["vendor:tobii-prolab"] * 2
    np.testing.assert_allclose(table["x_im"], [100, 300])
    assert len(read_table(lab / "samples.parquet", SAMPLES)[0]) == 120


def test_outputs_are_replaced_only_if_asked(export, lab):
    (lab / "fixations.parquet").write_text("precious")
    assert_refused(run("ingest", "export.tsv"), "fixations.parquet: already exists; .*--overwrite")
    assert (lab / "fixations.parquet").read_text() == "precious"
    assert run("ingest", "export.tsv", "--overwrite").exit_code == 0
    assert len(read_table(lab / "fixations.parquet", FIXATIONS)[0]) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-o", "export.tsv", "--overwrite"], "export.tsv: is an export that is read"),
        (["-o", "f.parquet", "--samples", "f.parquet"], "named for samples and fixations"),
        (["-o", "nowhere/f.parquet"], "folder nowhere does not exist; create it first"),
        (["-o", "."], "is a folder"),
        (["--screen", "wide"], "screen 'wide' is not understood; expected pixels"),
        (["--profile", "nobody"], "profile 'nobody' is unknown; expected tobii-prolab"),
        (["--placement", "fit", "--screen", "1920"], "screen '1920' is not understood"),
        (["--placement", "fit"], "pass --images FOLDER"),
        (["--placement", "fit", "--images", "absent"], "absent: no such folder"),
        (["--stimuli", "absent.csv"], "absent.csv: no such file"),
    ],
)
def test_settings_that_cannot_be_are_one_line(arguments, says, export, lab):
    before = export.read_bytes()
    assert_refused(run("ingest", "export.tsv", *arguments), says)
    assert names(lab) == ["export.tsv"]
    assert export.read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest"],
        ["ingest", "export.tsv", "--events", "mine"],
        ["ingest", "export.tsv", "--nonsense"],
        ["nonsense"],
        ["render", "--levels", "many"],
        ["render", "--fractions", "1,half"],
    ],
)
def test_usage_errors_exit_with_2(arguments, lab):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.output


def assert_refused(result, says):
    """Exit code 1, and exactly one line, on stderr."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", result.stderr), result.stderr
    assert re.search(says, result.stderr), result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit)


# ---------------------------------------------------------------- bad input


def without_gaze(folder):
    points = ("Gaze point", "Fixation point")
    prolab().without(lambda name: name.startswith(points)).write(folder / "export.tsv")


def text_for_a_number(folder):
    sheet = prolab()
    sheet.rows[50][sheet.index("Gaze point X [DACS px]")] = "left"
    sheet.write(folder / "export.tsv")


def cut(folder):
    whole = prolab().text().encode()
    (folder / "export.tsv").write_bytes(whole[: whole.rindex(b"Valid")])


def cut_gz(folder):
    (folder / "export.tsv").write_bytes(gzip.compress(prolab().text().encode())[:-40])


def no_gaze_on_the_image(folder):
    prolab().filled("Presented Media position X [DACS px]", "5000").write(folder / "export.tsv")


BAD = {
    "missing": (lambda folder: None, r"export\.tsv: no such file"),
    "empty": (lambda folder: (folder / "export.tsv").touch(), "is empty, expected an eye-tracker"),
    "binary": (
        lambda folder: (folder / "export.tsv").write_bytes(bytes(range(256)) * 9),
        "binary data, expected a text export",
    ),
    "png": (
        lambda folder: (folder / "export.tsv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0"),
        "binary data, expected a text export",
    ),
    "folder": (lambda folder: (folder / "export.tsv").mkdir(), "no reader knows this folder"),
    "prose": (
        lambda folder: (folder / "export.tsv").write_text("Dear diary,\ntoday\n"),
        r"export\.tsv: no reader knows this file; `gazetools inspect export\.tsv` tells why",
    ),
    "cut": (cut, r"export\.tsv:122: line has \d+ fields, expected 35; it was cut .*export the"),
    "cut gz": (cut_gz, r"export\.tsv: damaged gz \(.*\); copy or export it again"),
    "no gaze": (without_gaze, r"export\.tsv:1: no columns 'Gaze point X' .*tick them"),
    "text": (
        text_for_a_number,
        r"export\.tsv:51: column 'Gaze point X \[DACS px\]' holds 'left', expected a number; exp",
    ),
    "off": (no_gaze_on_the_image, r"no fixation lies on an image \(2 off the image\); check"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("earlier", [False, True])
def test_bad_input_is_one_line_and_leaves_nothing(case, earlier, lab):
    make, says = BAD[case]
    make(lab)
    if earlier:
        (lab / "fixations.parquet").write_text("precious")
        (lab / "samples.parquet").write_text("precious too")
    before = names(lab)
    result = run("ingest", "export.tsv", "--samples", "samples.parquet", *["--overwrite"] * earlier)
    assert_refused(result, says)
    assert names(lab) == before
    if earlier:
        assert (lab / "fixations.parquet").read_text() == "precious"
        assert (lab / "samples.parquet").read_text() == "precious too"


def test_one_bad_file_among_good_ones_is_named(export, lab):
    gazemedseg().write(lab / "good.csv")
    (lab / "bad.tsv").touch()
    assert_refused(run("ingest", "export.tsv", "good.csv", "bad.tsv"), "error: bad.tsv: is empty")
    assert names(lab) == ["bad.tsv", "export.tsv", "good.csv"]


def test_an_error_of_many_lines_becomes_one(export, lab, monkeypatch):
    def ingest(*_, **__):
        from gazetools.errors import FormatError

        raise FormatError("first\nsecond")

    monkeypatch.setattr("gazetools.ingestion.ingest_to", ingest)
    assert_refused(run("ingest", "export.tsv"), "error: first second")


def test_a_bug_keeps_its_traceback(export, lab, monkeypatch):
    monkeypatch.setattr("gazetools.ingestion.ingest_to", lambda *_, **__: 1 / 0)
    assert isinstance(run("ingest", "export.tsv").exception, ZeroDivisionError)


# ---------------------------------------------------------------- full disks and Ctrl-C


@pytest.mark.parametrize("which", ["fixations", "samples"])
def test_a_full_disk_leaves_what_was_there(which, export, lab, monkeypatch):
    (lab / "fixations.parquet").write_text("precious")
    write = pq.ParquetWriter.write_table

    def half(writer, table, *arguments, **how):
        if which in str(writer.where):
            raise OSError(28, "No space left on device")
        write(writer, table, *arguments, **how)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", half)
    result = run("ingest", "export.tsv", "--samples", "samples.parquet", "--overwrite")
    assert_refused(
        result, rf"{which}\.parquet: cannot be written \(No space left on device\); free"
    )
    assert (lab / "fixations.parquet").read_text() == "precious"
    assert names(lab) == ["export.tsv", "fixations.parquet"]


def test_a_file_that_may_not_grow(small_cohort, lab):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    (lab / "fixations.parquet").write_text("precious")
    process = program(
        *("ingest", small_cohort.export, "--samples", "s.parquet", "--overwrite"),
        cwd=lab,
        preexec_fn=limit,
    )
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == 1, complaint
    assert out == "loaded\n"
    assert re.fullmatch(r"error: s\.parquet: cannot be written \(.*File too large.*\n", complaint)
    assert (lab / "fixations.parquet").read_text() == "precious"
    assert names(lab) == ["fixations.parquet"]


def test_ctrl_c_while_reading(export, lab, monkeypatch):
    (lab / "fixations.parquet").write_text("precious")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gazetools.readers.pieces", interrupted)
    result = run("ingest", "export.tsv", "--overwrite")
    assert result.exit_code == 1
    assert result.stderr == "interrupted: nothing was half written\n"
    assert (lab / "fixations.parquet").read_text() == "precious"
    assert names(lab) == ["export.tsv", "fixations.parquet"]


def test_ctrl_c_while_writing(export, lab, monkeypatch):
    def interrupted(self, table):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq.ParquetWriter, "write_table", interrupted)
    result = run("ingest", "export.tsv", "--samples", "samples.parquet")
    assert result.exit_code == 1
    assert names(lab) == ["export.tsv"]


def test_a_real_ctrl_c(lab):
    sheet = prolab()
    exports = []
    for number in range(300):
        exports.append(f"{number}.tsv")
        sheet.filled("Participant name", f"P{number}").write(lab / exports[-1])
    process = program("ingest", *exports, "--samples", "samples.parquet", cwd=lab)
    assert process.stdout.readline() == "loaded\n"
    time.sleep(0.5)
    assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    out, complaint = process.communicate(timeout=60)
    assert process.returncode == 1, complaint
    assert out == ""
    assert complaint == "interrupted: nothing was half written\n"
    assert names(lab) == sorted(exports)


# ---------------------------------------------------------------- real exports


@pytest.mark.real
def test_every_sample_of_the_real_exports_is_kept(data_folder, lab):
    paths = sorted((data_folder / "exports" / "tobii").glob("prolab*_*.tsv.gz"))
    assert len(paths) == 6
    for number, path in enumerate(paths):
        result = run("ingest", path, "-o", f"f{number}.parquet", "--samples", f"s{number}.parquet")
        assert result.exit_code == 0, result.output
        samples = pd.read_parquet(f"s{number}.parquet")
        assert samples["tracker_time_us"].dtype == "int64"
        text = gzip.decompress(path.read_bytes()).decode("utf-8-sig")
        sheet = Sheet([line.split("\t") for line in text.splitlines()])
        clock = next(name for name in sheet.rows[0] if name.startswith("Eyetracker timestamp"))
        eyes = sheet.where("Sensor", lambda sensor: sensor == "Eye Tracker")
        assert samples["tracker_time_us"].astype(str).tolist() == eyes.column(clock)
