"""Exports: what is written is read back, judged by the BIDS validator, whole or absent."""

import dataclasses
import gzip
import json
import os
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from exports import prolab
from gazetools_cli.gazetools import main
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools import exporting
from gazetools.errors import ConfigError, GeometryError, OutputError, SchemaError
from gazetools.exporting import BidsSpec, LeftOut, Tables, bids, bids_recording, export_bids
from gazetools.exporting.folders import LISTING
from gazetools.geometry import Screen
from gazetools.readers import read
from gazetools.readers.building import samples_table
from gazetools.tables import BLINKS, FIXATIONS, QUALITY, SACCADES, SAMPLES, write_table

SCREEN = Screen(1920, 1080, 527, 296, 650)
SPEC = BidsSpec(screen=SCREEN)
NOT_IN_BIDS = {"recording", "subject", "vendor_event", "vendor_event_index"}
"""Names become labels; events are told apart from samples."""


@pytest.fixture
def tables(tmp_path):
    """Samples and vendor's fixations of the small Pro Lab export, a blink and a saccade."""
    (recording,) = read(prolab().write(tmp_path / "export.tsv"))
    who = {"recording": recording.name, "subject": recording.subject, "trial": 1}
    who |= {"stimulus": "lesion.jpg", "onset_ms": 490.0, "source": "us"}
    return Tables(
        samples=recording.samples,
        fixations=recording.fixations.drop(columns=["first_row", "last_row"]),
        saccades=SACCADES.conform(pd.DataFrame([{**who, "duration_ms": 17.0, "eye": "left"}])),
        blinks=BLINKS.conform(pd.DataFrame([{**who, "duration_ms": 30.5, "eye": "both"}])),
    )


def files(folder):
    """All but the listing of them."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name != LISTING)


def assert_same_samples(found, given):
    """Compare all but names and empty columns."""
    for name in given.columns.difference([*NOT_IN_BIDS]):
        before = given[name].reset_index(drop=True)
        if name not in found:
            # a column without a value need not be written
            assert before.isna().all() or not before.any(), name
            continue
        pd.testing.assert_series_equal(found[name], before, check_exact=True, obj=name)


def validate(folder):
    """Errors that the official validator finds, in derivatives too."""
    if find_spec("bids_validator_deno") is None:
        pytest.skip("bids-validator-deno is not installed; pip install -e .[dev]")
    program = Path(sysconfig.get_path("scripts")) / "bids-validator-deno"
    command = [program, folder, "--recursive", "--format", "json", "--max-rows", "-1"]
    environment = {**os.environ, "DENO_NO_UPDATE_CHECK": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    told = json.loads(done.stdout)
    results = [told, *told.get("derivativesSummary", {}).values()]
    issues = [issue for result in results for issue in result["issues"]["issues"]]
    errors = [issue for issue in issues if issue.get("severity") == "error"]
    assert (done.returncode != 0) == bool(errors)
    return errors


# ---------------------------------------------------------------- BIDS


def test_a_data_set_is_read_back(tables, tmp_path):
    export_bids(tables, tmp_path / "bids", SPEC)
    (found,) = read(tmp_path / "bids")
    assert_same_samples(found.samples, tables.samples)
    assert found.screen == SCREEN
    assert found.fixed_rate_hz == pytest.approx(120, abs=0.01)
    for name in ("trial", "stimulus", "onset_ms", "duration_ms", "x_px", "y_px"):
        pd.testing.assert_series_equal(
            found.fixations[name], tables.fixations[name], check_exact=False
        )
    assert found.saccades[["onset_ms", "duration_ms"]].values.tolist() == [[490, 17]]
    assert found.saccades["eye"].tolist() == ["left"]
    assert found.blinks[["onset_ms", "duration_ms"]].values.tolist() == [[490, 30.5]]
    assert found.blinks["eye"].tolist() == ["both"]


def test_the_validator_accepts_it(tables, tmp_path):
    export_bids(tables, tmp_path / "bids", SPEC)
    assert validate(tmp_path / "bids") == []


def test_the_validator_would_say(tables, tmp_path):
    export_bids(tables, tmp_path / "bids", SPEC)
    sidecar = next((tmp_path / "bids").rglob("*eye3_physio.json"))
    content = json.loads(sidecar.read_text())
    del content["RecordedEye"]
    sidecar.write_text(json.dumps(content))
    assert validate(tmp_path / "bids") != []


def test_what_the_validator_does_not_check(tables, tmp_path):
    """The screen: it accepts a data set without sizes."""
    export_bids(tables, tmp_path / "bids", BidsSpec(task="reading", screen=SCREEN))
    told = json.loads((tmp_path / "bids" / "task-reading_events.json").read_text())
    assert told["StimulusPresentation"] == {
        "ScreenDistance": 0.65,
        "ScreenOrigin": ["top", "left"],
        "ScreenResolution": [1920, 1080],
        "ScreenSize": [0.527, 0.296],
    }
    with pytest.raises(GeometryError, match="screen is not known: BIDS needs its resolution"):
        export_bids(tables, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_files_of_physio_have_no_header(tables, tmp_path):
    export_bids(tables, tmp_path / "bids", SPEC)
    stem = "sub-P01/beh/sub-P01_task-view_run-1"
    path = tmp_path / "bids" / f"{stem}_recording-eye3_physio.tsv.gz"
    assert gzip.decompress(path.read_bytes()).splitlines()[0] == b"7010\t900\t500"
    assert files(tmp_path / "bids") == sorted(
        [
            *("README.md", "dataset_description.json", "participants.json", "participants.tsv"),
            *("task-view_events.json", f"{stem}_events.tsv"),
            "derivatives/gazetools/dataset_description.json",
            f"derivatives/gazetools/{stem}_desc-fixations_events.json",
            f"derivatives/gazetools/{stem}_desc-fixations_events.tsv",
            *(
                f"{stem}_recording-{what}.{extension}"
                for what in (
                    *("eye1_physio", "eye1_physioevents", "eye2_physio"),
                    *("eye3_physio", "eye3_physioevents"),
                )
                for extension in ("json", "tsv.gz")
            ),
        ]
    )


def test_one_eye_is_one_file(tmp_path):
    time = np.arange(5) * 2000
    samples = samples_table(
        pd.DataFrame(
            {
                **{"recording": "r", "subject": "s", "trial": 1, "stimulus": None},
                "tracker_time_us": time,
                "x_px": [1.5, 2, np.nan, 3, 1 / 3],
                "y_px": [1.5, 2, np.nan, 3, 1 / 3],
                "right_x_px": [1.5, 2, np.nan, 3, 1 / 3],
                "right_y_px": [1.5, 2, np.nan, 3, 1 / 3],
                "right_pupil": [900.0, 901, 0.5, 902, 903],
            }
        )
    )
    export_bids(Tables(samples=samples), tmp_path / "bids", SPEC)
    assert len(list((tmp_path / "bids").rglob("*physio.tsv.gz"))) == 1
    (found,) = read(tmp_path / "bids")
    assert_same_samples(found.samples, samples)
    assert validate(tmp_path / "bids") == []


def test_only_fixations_are_a_derivative(tables, tmp_path):
    export_bids(Tables(fixations=tables.fixations), tmp_path / "bids")
    told = json.loads((tmp_path / "bids" / "dataset_description.json").read_text())
    assert told["DatasetType"] == "derivative"
    path = tmp_path / "bids/sub-P01/beh/sub-P01_task-view_run-1_desc-fixations_events.tsv"
    table = pd.read_csv(path, sep="\t")
    assert table["x_px"].tolist() == tables.fixations["x_px"].tolist()
    assert table["duration"].tolist() == [0.492, 0.492]
    assert validate(tmp_path / "bids") == []


def test_saccades_of_the_samples_where_there_is_no_table(tables, tmp_path):
    event = ["fixation"] * 59 + ["saccade"] * 2 + ["fixation"] * 59
    samples = tables.samples.assign(event=event, event_index=[1] * 61 + [2] * 59)
    done = export_bids(Tables(samples=SAMPLES.conform(samples)), tmp_path / "bids", SPEC)
    assert (done.rows, done.left_out) == ({"samples": 120, "saccades": 1}, ())
    (found,) = read(tmp_path / "bids")
    assert found.saccades["duration_ms"].tolist() == pytest.approx([2 * 8.333])
    assert found.fixations.empty


UNTIMED = "their recordings have no samples, on whose clock BIDS has them"


def test_what_bids_has_no_clock_for_is_counted(tables, tmp_path):
    timeless = Tables(
        fixations=tables.fixations, saccades=tables.saccades, blinks=tables.blinks.assign(mine=1)
    )
    done = export_bids(timeless, tmp_path / "derivative")
    assert done.rows == {"fixations": 2}
    assert done.left_out == (LeftOut(1, "saccades", UNTIMED), LeftOut(1, "blinks", UNTIMED))

    blinks = [tables.blinks, *(tables.blinks.assign(recording=name) for name in ("R2", "R3"))]
    some = dataclasses.replace(tables, blinks=pd.concat(blinks, ignore_index=True))
    done = export_bids(some, tmp_path / "raw", SPEC)
    assert done.files == len(files(tmp_path / "raw"))
    assert done.rows == {"samples": 120, "fixations": 2, "saccades": 1, "blinks": 1}
    assert done.left_out == (LeftOut(2, "blinks", UNTIMED),)
    (found,) = read(tmp_path / "raw")
    assert (len(found.saccades), len(found.blinks)) == (1, 1)


def test_columns_that_bids_has_no_place_for_are_named(tables, tmp_path):
    kinds = ("samples", "fixations", "saccades", "blinks")
    more = Tables(**{kind: getattr(tables, kind).assign(grade=1, left_hand=2) for kind in kinds})
    done = export_bids(more, tmp_path / "bids", SPEC)
    assert done.rows == {"samples": 120, "fixations": 2, "saccades": 1, "blinks": 1}
    assert done.left_out == tuple(
        LeftOut(2, f"columns of {kind}", "not declared (grade, left_hand)") for kind in kinds
    )


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\tb\nc", "/", "Zoë", "", "CON", "sub-01"])
def test_names_become_labels(name, tables, tmp_path):
    changed = Tables(
        samples=tables.samples.assign(subject=name, recording=name, stimulus="x\ty"),
        fixations=tables.fixations.assign(subject=name, recording=name),
    )
    export_bids(changed, tmp_path / "bids", SPEC)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "export.tsv"]
    assert validate(tmp_path / "bids") == []
    participants = (tmp_path / "bids" / "participants.tsv").read_text(encoding="utf-8")
    assert len(participants.splitlines()) == 2
    if name.isprintable() and name:
        assert participants.splitlines()[1].split("\t")[1] == name


@given(st.lists(st.text(max_size=4), min_size=1, max_size=20, unique=True))
def test_labels_differ_whatever_the_names(names):
    labels = bids._labels(names)
    assert all(label.isascii() and label.isalnum() for label in labels.values())
    assert len({label.lower() for label in labels.values()}) == len(names)


def test_runs_of_one_participant_are_numbered(tables, tmp_path):
    again = tables.samples.assign(recording="Recording2")
    both = Tables(samples=pd.concat([tables.samples, again], ignore_index=True))
    export_bids(both, tmp_path / "bids", SPEC)
    assert [r.name for r in read(tmp_path / "bids")] == ["task-view_run-1", "task-view_run-2"]
    told = (tmp_path / "bids" / "participants.tsv").read_text()
    assert told.endswith("sub-P01\tP01\tRecording1; Recording2\n")


def test_tables_of_two_ingests_are_refused(tables, tmp_path):
    strange = Tables(tables.samples, tables.fixations.assign(trial=9))
    with pytest.raises(SchemaError, match=r"fixation in trial 9 of 'Recording1'.* no samples"):
        export_bids(strange, tmp_path / "bids", SPEC)
    assert not (tmp_path / "bids").exists()
    with pytest.raises(SchemaError, match="neither samples nor fixations"):
        export_bids(Tables(blinks=tables.blinks), tmp_path / "bids", SPEC)


def test_only_our_own_data_sets_are_overwritten(tables, tmp_path):
    out = tmp_path / "bids"
    export_bids(tables, out, SPEC)
    before = files(out)
    with pytest.raises(OutputError, match="already exists; remove it or pass --overwrite"):
        export_bids(tables, out, SPEC)
    export_bids(tables, out, SPEC, overwrite=True)
    assert files(out) == before
    assert validate(out) == []
    (out / "sourcedata").mkdir()
    (out / "sourcedata" / "notes.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"notes\.txt: came into the data set, or was changed"):
        export_bids(tables, out, SPEC, overwrite=True)
    assert (out / "sourcedata" / "notes.txt").read_text() == "precious"
    (out / "sourcedata" / "notes.txt").unlink()
    (out / LISTING).unlink()
    with pytest.raises(OutputError, match="no data set that this gazetools wrote"):
        export_bids(tables, out, SPEC, overwrite=True)
    with pytest.raises(OutputError, match="does not exist; create it first"):
        export_bids(tables, tmp_path / "no" / "bids", SPEC)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file; name a new folder"):
        export_bids(tables, tmp_path / "file", SPEC, overwrite=True)


def test_a_failure_leaves_what_was_there(tables, tmp_path, monkeypatch):
    out = tmp_path / "bids"
    export_bids(tables, out, SPEC)
    before = files(out)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bids_recording, "gz", fail)
    with pytest.raises(OutputError, match=r"No space left on device\); free some space"):
        export_bids(tables, out, SPEC, overwrite=True)
    assert files(out) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "export.tsv"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tables, tmp_path, monkeypatch):
    out = tmp_path / "bids"
    export_bids(tables, out, SPEC)
    before = files(out)
    replace = Path.replace

    def fail(self, target):
        if self.suffix == ".part":
            raise OSError(13, "Permission denied")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="Permission denied"):
        export_bids(tables, out, SPEC, overwrite=True)
    assert files(out) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids", "export.tsv"]


NUMBERS = st.floats(-1e4, 1e4) | st.just(np.nan) | st.sampled_from([0.1 + 0.2, 1e-7, -0.0])


@st.composite
def samples_tables(draw):
    """Recordings with gaps, lost eyes, odd numbers and any trials."""
    count = draw(st.integers(2, 25))
    steps = draw(st.lists(st.sampled_from([2000, 2001, 4000, 999]), min_size=count, max_size=count))
    trial = np.sort(draw(st.lists(st.integers(0, 3), min_size=count - 1, max_size=count - 1)))
    trial = np.append(trial, max(1, trial[-1]))
    names = {0: None, 1: "a.jpg", 2: None, 3: "b c.png"}
    columns = {"x_px": NUMBERS, "y_px": NUMBERS}
    for eye in draw(st.sets(st.sampled_from(["left", "right"]))):
        columns |= {f"{eye}_{name}": NUMBERS for name in ("x_px", "y_px", "eye_z_mm", "dir_x")}
        columns |= {f"{eye}_{draw(st.sampled_from(['pupil', 'pupil_mm']))}": st.floats(0.5, 9)}
    rows = pd.DataFrame(
        {
            **{"recording": "r", "subject": "s", "trial": trial},
            "stimulus": pd.Series([names[t] for t in trial], dtype="str"),
            "tracker_time_us": np.cumsum(steps) + draw(st.sampled_from([0, -(10**7), 10**15])),
            **{
                name: draw(st.lists(values, min_size=count, max_size=count))
                for name, values in columns.items()
            },
        }
    )
    for name in [name for name in columns if name.endswith("x_px")]:
        other = name.replace("x_px", "y_px")
        lost = rows[name].isna() | rows[other].isna()
        rows.loc[lost, [name, other]] = np.nan
    if "left_x_px" in columns:
        rows["left_valid"] = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return samples_table(rows)


@settings(max_examples=25)
@given(samples_tables())
def test_any_samples_are_read_back(tmp_path_factory, samples):
    out = tmp_path_factory.mktemp("any") / "bids"
    export_bids(Tables(samples=samples), out, SPEC)
    (found,) = read(out)
    assert_same_samples(found.samples, samples)


# ---------------------------------------------------------------- report, CSV


def test_a_report_is_read_back(tables, tmp_path):
    out = tmp_path / "report.txt"
    done = exporting.export_report(tables, out)
    assert (done.files, done.rows) == (1, {"fixations": 2})
    assert done.left_out == tuple(
        LeftOut(count, kind, "the format is for fixations alone")
        for kind, count in (("samples", 120), ("saccades", 1), ("blinks", 1))
    )
    (found,) = read(out)
    assert (found.format, found.subject) == ("eyelink-report", "P01")
    for name in ("trial", "stimulus", "order", "onset_ms", "duration_ms", "x_px", "y_px"):
        pd.testing.assert_series_equal(
            found.fixations[name], tables.fixations[name], check_exact=False, atol=1e-3
        )
    first = out.read_text().splitlines()[1].split("\t")
    assert float(first[5]) == float(first[4]) + float(first[6]) - 1  # the end is inclusive


def test_sessions_of_a_report_differ(tables, tmp_path):
    again = tables.fixations.assign(recording="Recording2")
    both = pd.concat([tables.fixations, again], ignore_index=True)
    exporting.export_report(Tables(fixations=both), tmp_path / "report.txt")
    found = read(tmp_path / "report.txt")
    assert [r.subject for r in found] == ["P01_Recording1", "P01_Recording2"]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ((("S1", "1"), ("S1", "2"), ("S1_1", "1")), "S1_1"),
        ((("S\t1", "1"), ("S 1", "1")), "S 1"),
        ((("", "1"), (" ", "1")), "."),
    ],
)
def test_two_recordings_of_a_report_have_not_one_label(tables, tmp_path, names, label):
    parts = [tables.fixations.assign(subject=who, recording=which) for who, which in names]
    together = Tables(fixations=pd.concat(parts, ignore_index=True))
    with pytest.raises(SchemaError, match=rf"would both be '{label}' in a report; rename"):
        exporting.export_report(together, tmp_path / "report.txt")
    assert not (tmp_path / "report.txt").exists()


def test_a_report_needs_the_screen(tables, tmp_path):
    nowhere = tables.fixations.assign(x_px=np.nan, x_im=1.0)
    with pytest.raises(GeometryError, match="no fixation has a position on the screen"):
        exporting.export_report(Tables(fixations=nowhere), tmp_path / "report.txt")


def test_csv_is_the_table(tables, tmp_path):
    fixations = tables.fixations.assign(stimulus='Zoë, "b"\n')
    fixations = fixations.assign(mine=1)
    done = exporting.export_csv(Tables(fixations=fixations), tmp_path / "f.csv")
    assert (done.files, done.rows, done.left_out) == (1, {"fixations": 2}, ())
    found = FIXATIONS.conform(pd.read_csv(tmp_path / "f.csv"))
    pd.testing.assert_frame_equal(found, fixations)
    with pytest.raises(SchemaError, match="4 tables with rows, expected one"):
        exporting.export_csv(tables, tmp_path / "g.csv")


# ---------------------------------------------------------------- tables in, command


def written(tables, folder, screen=None):
    paths = []
    provenance = {"spec": {"screen": screen}}
    for schema in (SAMPLES, FIXATIONS, SACCADES, BLINKS):
        paths.append(folder / f"{schema.name}.parquet")
        table = getattr(tables, schema.name)
        write_table(table, paths[-1], schema, provenance=provenance)
    return paths


def run(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_the_command(tables, tmp_path):
    paths = written(tables, tmp_path)
    done = run(*paths, "--to", "bids", "-o", tmp_path / "bids")
    assert done.exit_code == 1
    assert "error: the screen is not known" in done.stderr
    done = run(*paths, "--to", "bids", "-o", tmp_path / "bids", "--screen", "1920x1080")
    assert "expected 1920x1080:527x296:650" in done.stderr
    done = run(
        *(*paths, "--to", "bids", "-o", tmp_path / "bids", "--task", "read", "--name", "My lab"),
        *("--screen", "1920x1080:527x296:650", "--json"),
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["samples"] == 120
    assert told["files"] == len(files(tmp_path / "bids"))
    description = json.loads((tmp_path / "bids" / "dataset_description.json").read_text())
    assert description["Name"] == "My lab"
    assert validate(tmp_path / "bids") == []
    done = run(paths[1], "--to", "report", "-o", tmp_path / "report.txt")
    assert "2" in done.stdout
    assert run(paths[0], "--to", "csv", "-o", tmp_path / "s.csv").exit_code == 0
    assert len((tmp_path / "s.csv").read_text().splitlines()) == 121
    assert "already exists" in run(paths[0], "--to", "csv", "-o", tmp_path / "s.csv").stderr


@pytest.mark.parametrize("to", ["bids", "coco-scanpath", "report"])
def test_the_command_tells_what_it_wrote_and_what_not(to, tables, tmp_path):
    places = {"x_im": 1.0, "y_im": 1.0, "mine": 1}
    changed = dataclasses.replace(tables, fixations=tables.fixations.assign(**places))
    _, *paths = written(changed, tmp_path)  # no samples
    done = run(*paths, "--to", to, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()[1:]]
    told = [(name, said) for name, said in lines if name != "files"]
    why = UNTIMED if to == "bids" else "the format is for fixations alone"
    assert sorted(told) == [
        ("fixations", "2"),
        ("left", f"out   1 blinks: {why}"),
        ("left", "out   1 columns of fixations: not declared (mine)"),
        ("left", f"out   1 saccades: {why}"),
    ]
    done = run(*paths, "--to", to, "-o", tmp_path / "out", "--overwrite", "--json")
    told = json.loads(done.stdout)
    assert [told[kind] for kind in ("samples", "fixations", "saccades", "blinks")] == [0, 2, 0, 0]
    assert {(one["count"], one["what"], one["why"]) for one in told["left_out"]} == {
        (1, "blinks", why),
        (1, "saccades", why),
        (1, "columns of fixations", "not declared (mine)"),
    }


def test_a_data_set_is_ingested_like_any_export(tables, tmp_path):
    export_bids(tables, tmp_path / "bids", SPEC)
    arguments = ["ingest", str(tmp_path / "bids"), "-o", str(tmp_path / "f.parquet")]
    done = CliRunner().invoke(main, [*arguments, "--events", "vendor"])
    assert done.exit_code == 0, done.output
    assert len(exporting.read_tables([tmp_path / "f.parquet"]).fixations) == 2


def test_the_screen_is_that_of_the_ingest(tables, tmp_path):
    screen = {"width_px": 800, "height_px": 600, "width_mm": 400, "height_mm": 300}
    paths = written(tables, tmp_path, screen | {"distance_mm": 500})
    assert exporting.read_tables(paths).screen == Screen(800, 600, 400, 300, 500)
    assert run(*paths, "--to", "bids", "-o", tmp_path / "bids").exit_code == 0
    (found,) = read(tmp_path / "bids")
    assert found.screen == Screen(800, 600, 400, 300, 500)


def test_a_screen_that_the_export_tells_needs_no_telling(tables, tmp_path):
    export_bids(tables, tmp_path / "one", SPEC)
    arguments = ["ingest", str(tmp_path / "one"), "-o", str(tmp_path / "f.parquet")]
    made = CliRunner().invoke(main, [*arguments, "--samples", str(tmp_path / "s.parquet")])
    assert made.exit_code == 0, made.output
    paths = [tmp_path / "f.parquet", tmp_path / "s.parquet"]
    assert exporting.read_tables(paths).screen == SCREEN
    assert run(*paths, "--to", "bids", "-o", tmp_path / "two").exit_code == 0
    assert read(tmp_path / "two")[0].screen == SCREEN


def test_what_is_no_table_is_refused(tables, tmp_path):
    paths = written(tables, tmp_path)
    with pytest.raises(SchemaError, match="a second fixations table"):
        exporting.read_tables([paths[1], paths[1]])
    with pytest.raises(SchemaError, match="no table is given"):
        exporting.read_tables([])
    with pytest.raises(SchemaError, match="no such file"):
        exporting.read_tables([tmp_path / "absent"])
    with pytest.raises(SchemaError, match="not a readable Parquet file"):
        exporting.read_tables([tmp_path / "export.tsv"])
    with pytest.raises(ConfigError, match="task 'a-b' is no BIDS label"):
        BidsSpec(task="a-b")


def test_tables_without_our_footer_are_told_by_their_columns(tables, tmp_path):
    for schema in (SAMPLES, FIXATIONS, SACCADES, BLINKS):
        path = tmp_path / f"{schema.name}.parquet"
        given = getattr(tables, schema.name)
        given = given.assign(order=range(1, len(given) + 1))
        given.to_parquet(path)
        found = exporting.read_tables([path])
        assert [one.name for one, _ in found.given()] == [schema.name]
        pd.testing.assert_frame_equal(getattr(found, schema.name), given)
    tables.fixations.drop(columns=["x_im", "y_im"]).to_parquet(tmp_path / "f.parquet")
    assert len(exporting.read_tables([tmp_path / "f.parquet"]).fixations) == 2


def quality():
    who = {"file": "e.tsv", "recording": "r", "subject": "s", "level": "recording"}
    return QUALITY.conform(pd.DataFrame([who | {"flags": "", "notes": ""}]))


def test_a_quality_table_is_not_exported(tmp_path):
    write_table(quality(), tmp_path / "ours.parquet", QUALITY, provenance={})
    quality().to_parquet(tmp_path / "bare.parquet")
    for name in ("ours", "bare"):
        done = run(tmp_path / f"{name}.parquet", "--to", "csv", "-o", tmp_path / "q.csv")
        assert done.exit_code == 1
        assert f"{name}.parquet: holds a quality table; expected one of samples" in done.stderr


def test_columns_of_no_table_are_refused(tables, tmp_path):
    tables.fixations.drop(columns="source").to_parquet(tmp_path / "f.parquet")
    with pytest.raises(SchemaError, match=r"f\.parquet: its columns .* fixations, .* no source;"):
        exporting.read_tables([tmp_path / "f.parquet"])


@pytest.mark.real
@pytest.mark.parametrize(
    "name",
    ["prolab24_300hz_preset_ivt_fixation.tsv.gz", "prolab1.241_chimp_carola_session3.tsv.gz"],
)
def test_real_recordings_are_read_back(name, data_folder, tmp_path):
    (recording,) = read(data_folder / "exports" / "tobii" / name)
    fixations = recording.fixations.drop(columns=["first_row", "last_row"])
    export_bids(Tables(recording.samples, fixations), tmp_path / "bids", SPEC)
    (found,) = read(tmp_path / "bids")
    assert_same_samples(found.samples, recording.samples)
    assert len(found.fixations) == len(fixations)
    assert np.abs(found.fixations["onset_ms"] - fixations["onset_ms"]).max() < 1e-3
    assert validate(tmp_path / "bids") == []


def test_a_table_is_not_written_over_itself(tmp_path):
    from click.testing import CliRunner
    from gazetools_cli.gazetools import main

    path = tmp_path / "t.parquet"
    path.write_bytes(b"precious")
    arguments = ["export", str(path), "--to", "csv", "-o", str(path), "--overwrite"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert f"would replace {path}, which is read, or come into it" in result.stderr
    assert path.read_bytes() == b"precious"
