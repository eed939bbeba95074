"""Pseudonyms, their key, and signs of persons and dates; what ingest and check make of them."""

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from exports import Sheet, prolab
from gazetools_cli.gazetools import main

from gazetools.errors import ConfigError, FormatError, OutputError, SchemaError
from gazetools.identity import KEY_NAME, Hiding, ensure_key, name_findings, table_findings
from gazetools.identity.finding import clock_findings, sign_of, sign_of_person
from gazetools.identity.key import read_key
from gazetools.ingestion import IngestSpec, ingest, ingest_to
from gazetools.ingestion.side_by_side import ExportTask, read_task
from gazetools.quality import CheckSpec, check
from gazetools.readers import ReadOptions, Recording, read
from gazetools.tables import BLINKS, FIXATIONS, SAMPLES, read_table, write_table


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "kept" / "lab.key"
    path.parent.mkdir()
    path.write_text("# for tests\n" + "0f" * 32 + "\n")
    return path


@pytest.fixture
def export(tmp_path):
    return prolab().write(tmp_path / "export.tsv")


def named(subject: str, recording: str = "Recording1") -> Sheet:
    return prolab().filled("Participant name", subject).filled("Recording name", recording)


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# ---------------------------------------------------------------- the key


def test_a_key_is_made_once_and_only_for_its_owner(tmp_path):
    path = tmp_path / KEY_NAME
    assert ensure_key(path)
    before = path.read_bytes()
    assert not ensure_key(path)
    assert path.read_bytes() == before
    assert len(read_key(path)) == 32
    assert list(tmp_path.iterdir()) == [path]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_keys_differ(tmp_path):
    paths = tmp_path / "a", tmp_path / "b"
    assert all(map(ensure_key, paths))
    assert read_key(paths[0]) != read_key(paths[1])


@pytest.mark.parametrize("text", ["", "secret notes\n", "0f" * 31, "0f" * 33, "0f" * 32 + "\nab\n"])
def test_what_is_no_key_is_refused_and_not_quoted(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"notes\.txt: holds no key") as told:
        ensure_key(path)
    assert path.read_text() == text
    assert not text or text.strip() not in str(told.value)


def test_a_key_needs_a_folder_and_a_file(tmp_path):
    with pytest.raises(OutputError, match="create it first"):
        ensure_key(tmp_path / "nowhere" / "key")
    with pytest.raises(ConfigError, match="cannot be read"):
        ensure_key(tmp_path)


# ---------------------------------------------------------------- pseudonyms


def test_the_same_key_gives_the_same_pseudonyms(key, tmp_path):
    one, other = Hiding(key), Hiding(key)
    assert one.subject("Doe") == other.subject("Doe") != one.subject("Roe")
    assert one.recording("Doe", "Recording1") != one.recording("Roe", "Recording1")
    assert one.recording("a", "b c") != one.recording("a b", "c")
    new = tmp_path / "new"
    ensure_key(new)
    assert Hiding(new).subject("Doe") != one.subject("Doe")
    assert Hiding(new).note() != one.note()


def test_pseudonyms_are_those_that_were_written_before(key):
    """Tables of years ago must still fit to those of today."""
    assert Hiding(key).subject("Doe") == "pbfb7d5861317"
    assert Hiding(key).recording("Doe", "Recording1") == "r8fe63afda80e"


def test_who_has_no_name_gets_none(key):
    assert Hiding(key).subject("unnamed") == "unnamed"


# ---------------------------------------------------------------- ingest


def test_all_but_names_and_clocks_is_as_without(export, key):
    more = ("samples", "saccades", "blinks")
    plain, hidden = (
        ingest([export], IngestSpec(deidentify_key=one), keep=more) for one in (None, key)
    )
    for kind in ("fixations", *more):
        before, after = getattr(plain, kind), getattr(hidden, kind)
        if kind == "samples":
            first = before["tracker_time_us"].iloc[0]
            before = before.assign(tracker_time_us=before["tracker_time_us"] - first)
        names = ["subject", "recording"]
        pd.testing.assert_frame_equal(before.drop(columns=names), after.drop(columns=names))
    assert hidden.fixations["subject"].unique().tolist() == [Hiding(key).subject("P01")]
    counts = hidden.summary.as_dict(), plain.summary.as_dict()
    assert counts[0] == counts[1]


def test_provenance_tells_the_rule_and_no_file(export, key, tmp_path):
    secret = tmp_path / "Doe_profile.toml"
    secret.write_text('base = "olsen2012"\n')
    spec = IngestSpec(deidentify_key=key, profile=str(secret))
    told = ingest([export], spec).provenance
    assert told["exports"] == ["export 1"]
    assert told["deidentified"] == Hiding(key).note()
    text = json.dumps(told)
    for name in ("export.tsv", "Doe", "lab.key", "0f0f"):
        assert name not in text
    assert told["spec"]["profile"] == "own profile"


def test_somebody_in_several_exports_and_calls_is_one(key, tmp_path):
    paths = [
        named(who, recording).write(tmp_path / f"{n}.tsv")
        for n, (who, recording) in enumerate([("Doe", "one"), ("Doe", "two"), ("Roe", "one")])
    ]
    spec = IngestSpec(deidentify_key=key)
    together = ingest(paths, spec).fixations
    assert together["subject"].nunique() == 2
    assert together["recording"].nunique() == 3
    apart = pd.concat([ingest([path], spec).fixations for path in paths])
    assert set(apart["subject"]) == set(together["subject"])


def test_a_worker_elsewhere_hides_the_same(export, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = IngestSpec(deidentify_key=Path("kept/lab.key"))
    here = ingest([export], spec)
    task = ExportTask(0, export, spec.resolved(), (), None)
    monkeypatch.chdir(key.parent)
    _, there = read_task(task)
    assert {who for who, _ in there.recordings} == set(here.fixations["subject"])


def test_a_recording_that_comes_twice_is_refused_without_its_name(export, key):
    with pytest.raises(SchemaError, match="already read") as told:
        ingest([export, export], IngestSpec(deidentify_key=key))
    assert "P01" not in str(told.value)
    assert "Recording1" not in str(told.value)


def test_a_clock_of_the_wearer_s_day_begins_at_zero_in_every_piece(key):
    """A long recording comes in pieces, which have one clock."""
    hiding = Hiding(key)
    rows = {"recording": "r", "subject": "s", "trial": 1, "stimulus": None, "t_ms": 0.0}
    pieces = [
        Recording("r", "s", "f", Path("x"), samples=SAMPLES.conform(pd.DataFrame([
            {**rows, "tracker_time_us": 1_754_690_230_000_000 + t} for t in times
        ])))
        for times in ((0, 10), (20, 30))
    ]  # fmt: skip
    times = [hiding.hidden(piece).samples["tracker_time_us"].tolist() for piece in pieces]
    assert times == [[0, 10], [20, 30]]


def test_onsets_that_are_dates_become_times_in_the_trial(key):
    rows = {"recording": "r", "subject": "s", "duration_ms": 100.0, "x_px": 1.0, "y_px": 1.0}
    rows |= {"order": 1, "source": "v"}
    onsets = [(1, 1.7e12), (1, 1.7e12 + 300), (2, 50.0)]
    table = pd.DataFrame([{**rows, "trial": t, "onset_ms": onset} for t, onset in onsets])
    piece = Recording("r", "s", "f", Path("x"), fixations=FIXATIONS.conform(table))
    assert Hiding(key).hidden(piece).fixations["onset_ms"].tolist() == [0.0, 300.0, 50.0]
    blinks = pd.DataFrame({"trial": [1, 3], "onset_ms": [1.7e12 - 40, 1.7e12], "duration_ms": 30.0})
    piece = replace(
        piece, blinks=BLINKS.conform(blinks.assign(recording="r", subject="s", source="v"))
    )
    hidden = Hiding(key).hidden(piece)
    assert hidden.fixations["onset_ms"].tolist() == [40.0, 340.0, 50.0]
    assert hidden.blinks["onset_ms"].tolist() == [0.0, 0.0]


def test_columns_that_no_table_declares_and_words_of_the_file_do_not_pass(export, key):
    (piece,) = read(export)
    skipped = {"doe's camera rows": 2, "mouse rows": 3, "repeated times": 1, "other rows": 1}
    piece = replace(
        piece,
        fixations=piece.fixations.assign(remark="Doe"),
        about={"date": "1961-07-19"},
        skipped=skipped,
    )
    hidden = Hiding(key).hidden(piece)
    assert "remark" not in hidden.fixations
    assert "first_row" in hidden.fixations
    assert not hidden.about
    assert hidden.skipped == {"other rows": 3, "mouse rows": 3, "repeated times": 1}


def test_a_damaged_export_is_told_by_its_line_alone(tmp_path, key):
    sheet = prolab()
    sheet.rows[40][sheet.index("Gaze point X [DACS px]")] = "Doe"
    path = sheet.write(tmp_path / "export.tsv")
    with pytest.raises(FormatError, match="'Doe'"):
        ingest([path])
    with pytest.raises(FormatError, match=r"export\.tsv:41: cannot be read") as told:
        ingest([path], IngestSpec(deidentify_key=key))
    assert "Doe" not in str(told.value)
    assert told.value.__suppress_context__


def test_an_export_that_is_not_there_is_told_as_ever(tmp_path, key):
    with pytest.raises(FormatError, match="no such file"):
        list(Hiding(key).pieces(tmp_path / "none.tsv", ReadOptions()))


@pytest.mark.parametrize(
    ("stimulus", "why"),
    [
        ("DOE^JOHN.png", "a name as in DICOM"),
        ("Roe_face.jpg", "its participant's name"),
        ("scan_19610719.png", "a date"),
        ("lesion.jpg", None),
        ("zroe.jpg", None),
    ],
)
def test_stimuli_that_tell_are_counted_and_not_printed(tmp_path, key, stimulus, why):
    path = named("Roe").filled("Presented Media name", stimulus).write(tmp_path / "export.tsv")
    done = ingest([path], IngestSpec(deidentify_key=key, placement=None))
    assert done.fixations["stimulus"].unique().tolist() == [stimulus]
    assert dict(done.summary.telling_stimuli) == ({why: 1} if why else {})
    assert not ingest([path]).summary.telling_stimuli


def test_the_commands_make_a_key_and_say_so_once(export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run("ingest", "export.tsv", "--deidentify", "-o", "a.parquet")
    assert first.exit_code == 0, first.output
    assert "new key: deidentify.key" in first.stderr
    second = run("ingest", "export.tsv", "--deidentify-key", "deidentify.key", "-o", "b.parquet")
    assert second.stderr == ""
    a, b = (read_table(Path(f"{name}.parquet"), FIXATIONS)[0] for name in "ab")
    pd.testing.assert_frame_equal(a, b)
    clash = run("ingest", "export.tsv", "--deidentify", "-o", "deidentify.key", "--overwrite")
    assert clash.exit_code == 1
    assert "the key" in clash.stderr
    early = run("ingest", "export.tsv", "-o", "k.parquet", "--deidentify-key", "k.parquet")
    assert early.exit_code == 1
    assert "the key of pseudonyms" in early.stderr
    assert not Path("k.parquet").exists()


# ---------------------------------------------------------------- signs


@pytest.mark.parametrize(
    "text",
    [
        *("P01", "s01", "sub-01", "S1", "AB", "DOE12", "unnamed", "annotator", "Reader 1", "01"),
        *("Recording1", "Rec 01", "Subject_A", "expert radiologist", "MT430PN56168", "0042"),
        *(
            "p0f1e2d3c4b5a",
            "r12345678901a",
            "p196107190000",
            "Group B",
            "task-view_run-1",
            "1a2b3c4d-5e6f-7a8b-9c0d-1e2f3a4b5c6d",
        ),
    ],
)
def test_ordinary_ids_are_not_accused(text):
    assert sign_of_person(text) == ""


@pytest.mark.parametrize(
    "text", ["Ada", "John Doe", "Doe, John", "DOE_JOHN", "JohnDoe", "Zoë", "Doe_John_01", "J. Doe"]
)
def test_names_are(text):
    assert sign_of_person(text) == "a person's name"


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("DOE^JOHN", "a name as in DICOM"),
        ("john.doe@clinic.org", "an e-mail address"),
        ("1.2.840.113619.2.55.3.604688119", "a DICOM UID"),
        ("scan_1961-07-19.png", "a date"),
        ("19610719", "a date"),
        ("rec19610719_2", "a date"),
        ("19.07.1961", "a date"),
        ("Wed Jul 19 09:12:33", "a time of day"),
        ("MRN 4711", "a patient's number"),
        ("img_48151623.png", "a patient's number"),
        ("K4815162.png", "a patient's number"),
    ],
)
def test_other_signs(text, sign):
    assert sign_of(text) == sign


@pytest.mark.parametrize(
    "text",
    [
        *("ISIC_0024306.jpg", "cju33o12x2jm50988944mxq0v.jpg", "00000013_005.png", "1001.jpg"),
        *("Prostate3T-01-0001_12.png", "Eyetracker Calibration", "a.jpg", "DSC_1920x1080.png"),
        *("0a1b2c3d-12345678-4e5f6a7b-8c9d0e1f-2a3b4c5d", "Left Eye", "study 12 of 40"),
    ],
)
def test_names_of_images_in_public_sets_are_not_accused(text):
    assert sign_of(text) == ""


def test_a_recording_is_asked_where_nobody_is_named():
    rows = [
        {"subject": "unnamed", "recording": "Doe_John", "stimulus": "a.jpg"},
        {"subject": "P01", "recording": "First Try", "stimulus": None},
    ]
    (found,) = name_findings("x", rows)
    assert (found.where, found.what, found.example) == ("recording", "a person's name", "Doe_John")


def test_a_clock_tells_the_date_if_it_counts_from_1970():
    assert clock_findings("x", pd.Series([1_754_690_230_000_000]))[0].example == "2025-08-08"
    assert not clock_findings("x", pd.Series([7_000_000, 8_000_000]))
    assert not clock_findings("x", pd.Series([], dtype="int64"))


# ---------------------------------------------------------------- check


def test_footer_and_foreign_columns_are_looked_at(export, tmp_path):
    table = ingest([export]).fixations.assign(patient_id="4711", remark="seen 1961-07-19")
    path = tmp_path / "t.parquet"
    note = {"exports": ["Doe_19610719.tsv"], "spec": {"profile": "/home/doe/own.toml"}}
    write_table(table, path, FIXATIONS, provenance=note | {"sha256": ["19610719" * 8]})
    found = {(one.where, one.what) for one in table_findings(path, "t")}
    assert found == {
        ("footer", "a date"),
        ("footer", "a path"),
        ("columns", "a field on persons or dates"),
        ("column 'remark'", "a date"),
    }


def test_check_warns_of_exports_and_tables_and_not_of_what_was_hidden(tmp_path, key):
    path = named("Doe, John", "1961-07-19").write(tmp_path / "export.tsv")
    spec = IngestSpec(deidentify_key=key)
    ingest_to([path], tmp_path / "plain.parquet")
    ingest_to([path], tmp_path / "hidden.parquet", spec=spec)
    told = {one.where: one.what for one in check([path]).findings}
    assert told == {"subject": "a person's name", "recording": "a date"}
    assert len(check([tmp_path / "plain.parquet"]).findings) == 2
    assert check([tmp_path / "hidden.parquet"]).findings == ()
    assert check([path], CheckSpec(spec)).findings == ()


def test_check_is_silent_on_ordinary_ids(export, tmp_path):
    ingest_to([export], tmp_path / "f.parquet", tmp_path / "s.parquet")
    for path in (export, tmp_path / "f.parquet", tmp_path / "s.parquet"):
        assert check([path]).findings == ()
    assert "may tell" not in run("check", export).stdout


def test_check_hides_too_and_what_is_hidden_once_stays_so(tmp_path, key):
    """Quality and fixations of one recording have to meet again in the report."""
    path = named("Doe").write(tmp_path / "Doe.tsv")
    spec = IngestSpec(deidentify_key=key)
    ingest_to([path], tmp_path / "plain.parquet")
    ingest_to([path], tmp_path / "hidden.parquet", spec=spec)
    who = read_table(tmp_path / "hidden.parquet", FIXATIONS)[0][["subject", "recording"]]
    for source in (path, tmp_path / "plain.parquet", tmp_path / "hidden.parquet"):
        quality = check([source], CheckSpec(spec))
        assert quality.table[["subject", "recording"]].iloc[0].tolist() == who.iloc[0].tolist()
        assert set(quality.table["file"]) == set(quality.provenance["sources"]) == {"file 1"}


def test_check_prints_what_it_found(tmp_path, key):
    path = named("Doe, John").write(tmp_path / "export.tsv")
    text = run("check", path).stdout
    assert "export.tsv, subject: 1 looks like a person's name, such as 'Doe, John'" in text
    assert "--deidentify" in text
    (found,) = json.loads(run("check", path, "--json").stdout)["identifying"]
    assert found["count"] == 1
    seen = named("Doe").filled("Presented Media name", "DOE^J.png").write(tmp_path / "two.tsv")
    hidden = run("check", seen, "--deidentify-key", key).stdout
    assert "file 1, stimulus: 1 looks like a name as in DICOM\n" in hidden
    told = json.loads(run("check", seen, "--deidentify-key", key, "--json").stdout)
    (found,) = told["identifying"]
    assert found["example"] == ""
