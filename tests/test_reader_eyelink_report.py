"""EyeLink Data Viewer reports."""

import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.eyelink import eyelink_report, eyelink_sample_report

from gazetools.errors import FormatError
from gazetools.readers import find_reader, read, reasons

# ---------------------------------------------------------------- EyeLink report


def test_sessions_trials_and_missing_positions(tmp_path):
    first, second = read(eyelink_report().write(tmp_path / "report.xls"))
    assert (first.name, second.name) == ("s01", "s02")
    assert first.skipped == {"incomplete rows": 1}
    assert second.skipped == {}
    assert first.fixations["trial"].tolist() == [1, 1, 2]
    assert first.fixations["order"].tolist() == [1, 2, 1]
    assert first.fixations["x_px"].tolist() == [511.8, 600.1, 500.0]
    assert first.fixations["stimulus"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert second.fixations["onset_ms"].tolist() == [30, 5, 200]


def test_commas_do_as_well(tmp_path):
    sheet = eyelink_report()
    (tmp_path / "a").mkdir()
    commas = Sheet(sheet.rows, ",").write(tmp_path / "a" / "report")
    assert_same(read(sheet.write(tmp_path / "report")), read(commas))


def test_without_trial_index_time_tells(tmp_path):
    sheet = eyelink_report().without(lambda name: name in ("TRIAL_INDEX", "image"))
    first, second = read(sheet.write(tmp_path / "report"))
    assert first.fixations["trial"].tolist() == [1, 1, 2]
    assert second.fixations["trial"].tolist() == [1, 2, 2]
    assert first.fixations["stimulus"].isna().all()


def test_without_trial_index_the_stimulus_tells(tmp_path):
    sheet = eyelink_report().without(lambda name: name == "TRIAL_INDEX")
    sheet.rows[4][sheet.index("CURRENT_FIX_START")] = "900"  # later than the trial before
    first, _ = read(sheet.write(tmp_path / "report"))
    assert first.fixations["trial"].tolist() == [1, 1, 2]


@pytest.mark.parametrize("name", ["RECORDING_SESSION_LABEL", "TRIAL_INDEX", "CURRENT_FIX_START"])
def test_incomplete_rows_are_counted(name, tmp_path):
    sheet = eyelink_report()
    sheet.rows[1][sheet.index(name)] = "."
    recordings = read(sheet.write(tmp_path / "report"))
    assert recordings[0].skipped == {"incomplete rows": 2}
    assert sum(len(recording.fixations) for recording in recordings) == 5


def test_rows_in_any_order(tmp_path):
    sheet = eyelink_report()
    turned = Sheet([sheet.rows[0], *sheet.rows[:0:-1]])
    (tmp_path / "a").mkdir()
    second, first = read(turned.write(tmp_path / "a" / "report"))
    expected = read(sheet.write(tmp_path / "report"))
    pd.testing.assert_frame_equal(first.fixations, expected[0].fixations)
    pd.testing.assert_frame_equal(second.fixations, expected[1].fixations)


def test_a_report_without_positions_is_refused(tmp_path):
    path = eyelink_report().filled("CURRENT_FIX_X", ".").write(tmp_path / "report")
    with pytest.raises(FormatError, match="none of its 7 fixations has a session label"):
        read(path)


@pytest.mark.parametrize(
    ("lacking", "says"),
    [
        (["START"], "CURRENT_FIX_START; tick it"),
        (["START", "X", "Y"], "CURRENT_FIX_X, CURRENT_FIX_Y, CURRENT_FIX_START; tick them"),
        (["START", "DURATION"], "CURRENT_FIX_DURATION, CURRENT_FIX_START; tick them"),
        (["START", "INDEX"], "CURRENT_FIX_START; tick it"),
    ],
)
def test_a_report_without_starts_is_refused_with_the_remedy(lacking, says, tmp_path):
    unwanted = {f"CURRENT_FIX_{what}" for what in lacking}
    path = eyelink_report().without(unwanted.__contains__).write(tmp_path / "report")
    says = f"^{path}:1: a fixation report without {says} in Data Viewer's output report and export"
    with pytest.raises(FormatError, match=says):
        read(path)


def test_a_table_of_its_fixations_alone_is_no_report(tmp_path):
    unwanted = {f"CURRENT_FIX_{what}" for what in ("START", "X", "DURATION")}
    path = eyelink_report().without(unwanted.__contains__).write(tmp_path / "report")
    assert "eyelink-report: no column 'CURRENT_FIX_X'" in reasons(path)


def test_samples_beside_their_fixations_are_a_sample_report(tmp_path):
    sheet = eyelink_sample_report()
    rows = [[*row, "CURRENT_FIX_DURATION" if i == 0 else "200"] for i, row in enumerate(sheet.rows)]
    assert find_reader(Sheet(rows).write(tmp_path / "report")).name == "eyelink-sample-report"


def test_shares_of_the_screen_are_refused(tmp_path):
    sheet = eyelink_report()
    for name in ("CURRENT_FIX_X", "CURRENT_FIX_Y"):
        sheet = sheet.filled(name, lambda cell: cell if cell == "." else str(float(cell) / 1000))
    path = sheet.write(tmp_path / "report")
    says = r"report: all 6 positions in 'CURRENT_FIX_X' and 'CURRENT_FIX_Y' lie from 0 to 1, .* px"
    with pytest.raises(FormatError, match=says):
        read(path)
    # so few may lie in the corner, and one elsewhere tells that they are px
    few = Sheet([sheet.rows[0], *sheet.rows[2:]]).write(tmp_path / "report")
    assert sum(len(recording.fixations) for recording in read(few)) == 5
    sheet.rows[1][sheet.index("CURRENT_FIX_X")] = "511.8"
    assert len(read(sheet.write(tmp_path / "report"))[0].fixations) == 3


def test_a_duration_of_nothing_is_named(tmp_path):
    sheet = eyelink_report()
    sheet.rows[2][sheet.index("CURRENT_FIX_DURATION")] = "0"
    path = sheet.write(tmp_path / "report")
    with pytest.raises(FormatError, match=r"report:3: 'CURRENT_FIX_DURATION' is 0.0, expected"):
        read(path)


def test_semicolons_and_decimal_commas(tmp_path):
    sheet = eyelink_report()
    plain = read(sheet.write(tmp_path / "report"))
    comma = sheet.cells(lambda cell: cell.replace(".", ",") if cell[:1].isdigit() else cell)
    assert_same(plain, read(Sheet(comma.rows, ";").write(tmp_path / "report")))


def test_names_of_scripts(tmp_path):
    sheet = eyelink_report()
    plain = read(sheet.write(tmp_path / "report"))
    renamed = sheet.renamed(
        lambda name: (
            name.removeprefix("CURRENT_FIX_").lower()
            if name.endswith(("X", "Y", "START"))
            else name
        )
    )
    renamed = renamed.renamed(lambda name: "current_fix_index" if name == "index" else name)
    assert_same(plain, read(renamed.write(tmp_path / "report")))


@pytest.mark.parametrize("sample_ms", [1, 2, 4])
def test_without_durations_the_last_sample_tells(sample_ms, tmp_path):
    sheet = eyelink_report().filled("CURRENT_FIX_DURATION", lambda v: v.replace("150", "152"))
    for row in sheet.rows[1:]:
        end_ms = int(row[sheet.index("CURRENT_FIX_START")]) - sample_ms
        end_ms += int(row[sheet.index("CURRENT_FIX_DURATION")])
        row[sheet.index("CURRENT_FIX_END")] = str(end_ms)
    plain = read(sheet.write(tmp_path / "report"))
    ends = sheet.without(lambda name: name == "CURRENT_FIX_DURATION")
    assert_same(plain, read(ends.write(tmp_path / "report")))


def test_an_end_before_the_start_is_named(tmp_path):
    sheet = eyelink_report().without(lambda name: name == "CURRENT_FIX_DURATION")
    sheet.rows[2][sheet.index("CURRENT_FIX_END")] = "20"
    with pytest.raises(
        FormatError, match=r"report:3: 'CURRENT_FIX_END' is 20.0, expected the time"
    ):
        read(sheet.write(tmp_path / "report"))


def test_labels_of_trials_number_them(tmp_path):
    sheet = eyelink_report().filled("TRIAL_INDEX", lambda index: str(int(index) * 7))
    plain = read(sheet.write(tmp_path / "report"))
    labels = sheet.filled("TRIAL_INDEX", "Trial: {}".format)
    labels = labels.renamed(lambda name: name.replace("TRIAL_INDEX", "TRIAL_LABEL"))
    assert_same(plain, read(labels.write(tmp_path / "report")))
    assert plain[0].fixations["trial"].tolist() == [7, 7, 14]


def test_labels_without_a_number_do_not(tmp_path):
    sheet = eyelink_report().renamed(lambda name: name.replace("TRIAL_INDEX", "TRIAL_LABEL"))
    first, _ = read(sheet.filled("TRIAL_LABEL", "practice").write(tmp_path / "report"))
    assert first.fixations["trial"].tolist() == [1, 1, 2]


def test_undefined_is_no_stimulus(tmp_path):
    (first, _) = read(eyelink_report().filled("image", "UNDEFINED").write(tmp_path / "report"))
    assert first.fixations["stimulus"].isna().all()


def test_of_two_eyes_one_is_taken(tmp_path):
    sheet = eyelink_report()
    sheet.rows[0].append("EYE_USED")
    both = [[*row, eye] for row in sheet.rows[1:] for eye in ("LEFT", "RIGHT")]
    first, second = read(Sheet([sheet.rows[0], *both]).write(tmp_path / "report"))
    assert set(first.fixations["eye"]) == {"RIGHT"}
    assert first.fixations["order"].tolist() == [1, 2, 1]
    assert first.skipped == {"incomplete rows": 2, "fixations of the other eye": 3}
    del both[1]  # the left eye has one more now
    first, second = read(Sheet([sheet.rows[0], *both]).write(tmp_path / "report"))
    assert set(first.fixations["eye"]) == {"LEFT"}
    assert set(second.fixations["eye"]) == {"RIGHT"}
    assert second.skipped == {"fixations of the other eye": 3}


def test_two_eyes_that_nothing_tells_apart_are_refused(tmp_path):
    sheet = eyelink_report()
    header, *rows = sheet.where("RECORDING_SESSION_LABEL", lambda label: label == "s01").rows
    rows = [[*row[:1], str(trial), *row[2:]] for trial in range(1, 6) for row in rows[:2]]
    assert len(read(Sheet([header, *rows]).write(tmp_path / "report"))[0].fixations) == 10
    start, x = sheet.index("CURRENT_FIX_START"), sheet.index("CURRENT_FIX_X")
    other = [[*row] for row in rows]
    for row in other:
        row[start], row[x] = str(int(row[start]) + 6), "640.5"
    says = r"report: 10 of 20 fixations of 's01' begin before the one before them ends, .* EYE_USED"
    with pytest.raises(FormatError, match=says):
        read(Sheet([header, *rows, *other]).write(tmp_path / "report"))
    # EyeLink has a fixation begin too early now and then
    few = Sheet([header, *rows, *other[:2]]).write(tmp_path / "report")
    assert len(read(few)[0].fixations) == 12


def test_a_trial_of_the_other_eye_is_kept(tmp_path):
    sheet = eyelink_report()
    sheet.rows[0].append("EYE_USED")
    for row in sheet.rows[1:]:
        row.append("LEFT" if row[:2] == ["s01", "2"] else "RIGHT")
    first, second = read(sheet.write(tmp_path / "report"))
    assert first.fixations["trial"].tolist() == [1, 1, 2]
    assert first.fixations["eye"].tolist() == ["RIGHT", "RIGHT", "LEFT"]
    assert "fixations of the other eye" not in first.skipped | second.skipped


def test_a_fixation_in_two_interest_periods_counts_once(tmp_path):
    sheet = eyelink_report()
    first, second = read(sheet.write(tmp_path / "report"))
    sheet.rows.insert(3, list(sheet.rows[2]))
    again, other = read(sheet.write(tmp_path / "periods"))
    pd.testing.assert_frame_equal(again.fixations, first.fixations)
    pd.testing.assert_frame_equal(other.fixations, second.fixations)
    assert again.skipped == {"incomplete rows": 1, "fixations listed again": 1}


@pytest.mark.parametrize("bad", ["1.5", "-1", "0"])
def test_a_trial_that_is_none_is_named(bad, tmp_path):
    sheet = eyelink_report()
    sheet.rows[2][sheet.index("TRIAL_INDEX")] = bad
    with pytest.raises(FormatError, match=r"report:3: 'TRIAL_INDEX' is .*, expected a whole"):
        read(sheet.write(tmp_path / "report"))


@pytest.mark.real
def test_a_shortened_published_report(data_folder):
    (recording,) = read(data_folder / "exports" / "eyelink" / "gazer_f2.xls.txt")
    assert len(recording.fixations) == 787
    assert recording.fixations["trial"].max() == 70
    assert recording.skipped == {}


@pytest.mark.real
def test_a_published_report(data_folder):
    path = data_folder / "exports" / "eyelink" / "gazer_dataviewer_fixation_report_v1.tsv"
    lines = sum(bool(line.strip()) for line in path.read_text(encoding="utf-8-sig").splitlines())
    recordings = read(path)
    skipped = sum(sum(recording.skipped.values()) for recording in recordings)
    assert sum(len(recording.fixations) for recording in recordings) + skipped == lines - 1
