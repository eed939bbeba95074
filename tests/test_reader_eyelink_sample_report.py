"""EyeLink Data Viewer sample reports."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.eyelink import eyelink_sample_report

from gazetools.errors import ConfigError, FormatError
from gazetools.readers import ReadOptions, read


def read_sheet(folder, sheet, **options):
    return read(sheet.write(folder / "report.txt"), ReadOptions(**options))


def right_only(sheet):
    return sheet.without(lambda name: name.startswith("LEFT"))


def test_sessions_trials_and_eyes(tmp_path):
    first, second = read_sheet(tmp_path, eyelink_sample_report())
    assert (first.name, second.name) == ("s01", "s02")
    samples = first.samples
    assert samples["trial"].tolist() == [1] * 40 + [2] * 40
    assert samples["stimulus"].unique().tolist() == ["a.jpg", "b.jpg"]
    assert samples["t_ms"][[0, 1, 40]].tolist() == [1, 3, 1]
    row = samples.iloc[0]
    assert (row["left_x_px"], row["right_x_px"], row["x_px"]) == (500, 510, 505)
    assert samples.loc[30:33, "right_x_px"].isna().all()
    assert samples["x_px"][30] == samples["left_x_px"][30]
    assert (~samples["right_valid"]).sum() == 8
    assert first.skipped == {}


@pytest.mark.parametrize("code", ["-1", "-99.00", "0", "9999"])
@pytest.mark.parametrize("drop", ["", "_PUPIL_SIZE"])
def test_one_number_for_all_that_is_missing(code, drop, tmp_path):
    sheet = eyelink_sample_report().without(lambda name: bool(drop) and name.endswith(drop))
    plain = read_sheet(tmp_path, sheet)
    is_told = not drop or code.startswith("-")
    names = ("GAZE_X", "GAZE_Y", "PUPIL_SIZE", "FIX_INDEX")
    for name in sheet.rows[0]:
        if name.endswith(names):
            sheet = sheet.filled(name, lambda cell: code if cell == "." else cell)
    coded = read_sheet(tmp_path, sheet)
    if is_told:
        assert_same(plain, coded)
    else:  # as gaze may be there
        assert coded[0].samples["right_x_px"][30] == float(code)


def test_labels_become_events(tmp_path):
    first, _ = read_sheet(tmp_path, right_only(eyelink_sample_report()))
    label = first.samples["vendor_event"].tolist()[:40]
    assert label == (
        ["fixation"] * 10
        + ["saccade"] * 4
        + ["fixation"] * 14
        + ["saccade"] * 2
        + ["missing"] * 4
        + ["saccade"] * 2
        + ["fixation"] * 4
    )
    fixations = first.fixations
    assert fixations["onset_ms"].tolist() == [0, 28, 72] * 2
    assert fixations["duration_ms"].tolist() == [20, 28, 8] * 2
    assert fixations["order"].tolist() == [1, 2, 3] * 2
    assert fixations["x_px"][1] == 710.0
    assert fixations[["first_row", "last_row"]].to_numpy()[:3].tolist() == [
        [0, 9],
        [14, 27],
        [36, 39],
    ]
    assert first.samples["vendor_event_index"][[0, 10, 14, 31, 36]].tolist() == [1, 1, 2, 0, 3]
    assert first.blinks[["onset_ms", "duration_ms"]].to_numpy()[0].tolist() == [60, 8]
    assert first.saccades["duration_ms"].tolist()[:3] == [8, 4, 4]
    assert first.saccades["end_x_px"][0] == 710
    assert set(fixations["eye"]) == {"right"}


def test_the_eye_that_was_seen_more_gives_the_labels(tmp_path):
    sheet = eyelink_sample_report()
    assert set(read_sheet(tmp_path, sheet)[0].fixations["eye"]) == {"left"}
    as_often = sheet.where("RIGHT_IN_BLINK", lambda blink: blink == "0")
    assert set(read_sheet(tmp_path, as_often)[0].fixations["eye"]) == {"right"}


def test_a_trial_that_saw_only_the_other_eye_has_its_labels(tmp_path):
    sheet = right_only(eyelink_sample_report())
    plain, _ = read_sheet(tmp_path, sheet)
    changing = eyelink_sample_report()
    left = [changing.rows[0].index(name) for name in changing.rows[0] if name.startswith("LEFT")]
    for row in changing.rows[1:]:
        mine, others = left, [at + len(left) for at in left]
        if row[1] == "2":
            for at, other in zip(mine, others, strict=True):
                row[at], row[other] = row[other], "."
        else:
            for at in mine:
                row[at] = "."
    first, _ = read_sheet(tmp_path, changing)
    assert first.fixations["eye"].tolist() == ["right"] * 3 + ["left"] * 3
    same = first.fixations.drop(columns="eye"), plain.fixations.drop(columns="eye")
    pd.testing.assert_frame_equal(*same)
    pd.testing.assert_series_equal(first.samples["vendor_event"], plain.samples["vendor_event"])
    assert first.blinks["eye"].tolist() == ["right", "left"]


def test_the_other_eye_is_not_lost_for_the_pupil_of_the_one(tmp_path):
    sheet = eyelink_sample_report().without(lambda name: name.endswith("FIX_INDEX"))
    gaze = ("GAZE_X", "GAZE_Y", "PUPIL_SIZE")
    for row in sheet.rows[1:]:
        for eye, trial in (("LEFT", "1"), ("RIGHT", "2")):
            seen = ["400.0", "400.0", "900"] if row[1] == trial else ["-1"] * 3
            for name, cell in zip(gaze, seen, strict=True):
                row[sheet.index(f"{eye}_{name}")] = cell
    first, _ = read_sheet(tmp_path, sheet)
    assert first.fixations["x_px"].tolist() == [400] * 6
    assert first.fixations["eye"].tolist() == ["left"] * 3 + ["right"] * 3


def test_without_fixations_what_is_no_saccade_is_one(tmp_path):
    sheet = right_only(eyelink_sample_report())
    plain = read_sheet(tmp_path, sheet)
    without = read_sheet(tmp_path, sheet.without(lambda name: name.endswith("FIX_INDEX")))
    pd.testing.assert_frame_equal(plain[0].fixations, without[0].fixations)
    # counted through the recording, not by the report's numbers
    assert without[0].samples["vendor_event_index"].max() == 6


def test_without_labels_there_are_no_events(tmp_path):
    sheet = eyelink_sample_report().without(lambda name: "_IN_" in name or "INDEX" in name[5:])
    for recording in read_sheet(tmp_path, sheet.without(lambda name: name == "TRIAL_INDEX")):
        assert "vendor_event" not in recording.samples
        assert recording.fixations.empty
        assert set(recording.samples["trial"]) == {1}


def test_the_average_of_the_eyes(tmp_path):
    sheet = right_only(eyelink_sample_report()).renamed(lambda n: n.replace("RIGHT", "AVERAGE"))
    first, _ = read_sheet(tmp_path, sheet)
    assert first.samples["x_px"][0] == 510
    assert "right_x_px" not in first.samples
    assert set(first.fixations["eye"]) == {"both"}


def test_the_short_form(tmp_path):
    rows = [["subject", "trial", "time", "x", "y"]]
    rows += [["9061", "3", str(1054290 + 2 * i), "506.9", "358.3"] for i in range(5)]
    rows += [["9061", "4", str(1064290 + 2 * i), ".", "."] for i in range(5)]
    (recording,) = read_sheet(tmp_path, Sheet(rows))
    assert (recording.subject, recording.name) == ("9061", "9061")
    assert recording.samples["trial"].tolist() == [3] * 5 + [4] * 5
    assert recording.samples["x_px"].isna().tolist() == [False] * 5 + [True] * 5
    rows = [[*row, "1"] for row in rows]
    with pytest.raises(FormatError, match="no reader knows this file"):
        read_sheet(tmp_path, Sheet(rows))


def test_recordings_under_one_label_are_refused(tmp_path):
    sheet = eyelink_sample_report()
    says = r"report.txt: the rows of '.*' run through the same time more than once, expected one"
    anonymous = sheet.without(lambda name: name == "RECORDING_SESSION_LABEL")
    with pytest.raises(FormatError, match=says):
        read_sheet(tmp_path, anonymous)
    from_zero = sheet.filled("TIMESTAMP", lambda time: str(int(time) % 10_000))
    with pytest.raises(FormatError, match=says):
        read_sheet(tmp_path, from_zero)


def test_trials_in_another_order_are_sorted(tmp_path):
    sheet = eyelink_sample_report()
    plain = read_sheet(tmp_path, sheet)
    header, *rows = sheet.rows
    turned = Sheet([header, *rows[40:80], *rows[:40], *rows[80:]])
    assert_same(plain, read_sheet(tmp_path, turned))


def test_a_rule_says_where_trials_begin(tmp_path):
    first, second = read_sheet(tmp_path, eyelink_sample_report(), trial_from=r"SHOW (\S+);")
    assert first.samples["trial"].tolist() == [0] * 4 + [1] * 36 + [0] * 4 + [2] * 36
    shown = first.samples.groupby("trial")["stimulus"].agg(["first", "nunique"])
    assert shown["first"].tolist()[1:] == ["a.jpg", "b.jpg"]
    assert shown["nunique"].tolist() == [0, 1, 1]
    assert second.samples["trial"].max() == 1
    assert first.samples.loc[4, "t_ms"] == 1.0
    with pytest.raises(
        FormatError, match=r"no message in SAMPLE_MESSAGE matches 'xx\+'.*'TRIALID 0"
    ):
        read_sheet(tmp_path, eyelink_sample_report(), trial_from="xx+")
    with pytest.raises(ConfigError, match=r"report\.txt: the rule '\('"):
        read_sheet(tmp_path, eyelink_sample_report(), trial_from="(")


def test_2000_hz_stamps_repeat(tmp_path):
    header = ["TRIAL_INDEX", "TIMESTAMP", "LEFT_GAZE_X", "LEFT_GAZE_Y"]
    rows = [["1", str(1000 + i // 2), "5.0", "6.0"] for i in range(20)]
    (recording,) = read_sheet(tmp_path, Sheet([header, *rows]))
    assert (np.diff(recording.samples["tracker_time_us"]) == 500).all()
    assert (recording.subject, recording.name) == ("unnamed", "report")


def test_rows_in_any_order_and_twice(tmp_path):
    sheet = eyelink_sample_report()
    turned = Sheet([sheet.rows[0], *sheet.rows[:0:-1], sheet.rows[5]])
    second, first = read_sheet(tmp_path, turned)
    assert first.skipped == {"repeated times": 1}
    plain, _ = read_sheet(tmp_path, sheet)
    pd.testing.assert_frame_equal(first.samples, plain.samples)
    assert second.skipped == {}


@pytest.mark.parametrize("separator", [",", ";"])
def test_other_separators_do_as_well(separator, tmp_path):
    sheet = eyelink_sample_report().cells(lambda cell: cell.replace(";", " "))
    plain = read_sheet(tmp_path, sheet)
    assert_same(plain, read_sheet(tmp_path, Sheet(sheet.rows, separator)))


def test_decimal_commas(tmp_path):
    sheet = eyelink_sample_report()
    plain = read_sheet(tmp_path, sheet)
    comma = sheet.cells(lambda cell: cell.replace(".", ",") if cell[:1].isdigit() else cell)
    assert_same(plain, read_sheet(tmp_path, comma))


def test_incomplete_rows_are_counted(tmp_path):
    sheet = eyelink_sample_report()
    sheet.rows[3][sheet.index("TIMESTAMP")] = "."
    sheet.rows[4][sheet.index("TRIAL_INDEX")] = "."
    first, _ = read_sheet(tmp_path, sheet)
    assert first.skipped == {"incomplete rows": 2}
    assert len(first.samples) == 78


@pytest.mark.parametrize("bad", ["-5", "1.5", "0"])
def test_a_trial_that_is_none_is_named(bad, tmp_path):
    sheet = eyelink_sample_report()
    sheet.rows[2][sheet.index("TRIAL_INDEX")] = bad
    with pytest.raises(FormatError, match=r"report\.txt:3: 'TRIAL_INDEX' is .*, expected a whole"):
        read_sheet(tmp_path, sheet)


def test_a_report_without_times_is_refused(tmp_path):
    with pytest.raises(FormatError, match="none of its 120 rows has a session label, a trial"):
        read_sheet(tmp_path, eyelink_sample_report().filled("TIMESTAMP", "."))


def test_labels_of_trials_number_them(tmp_path):
    sheet = eyelink_sample_report()
    plain = read(sheet.write(tmp_path / "report"))
    labels = sheet.filled("TRIAL_INDEX", "Trial: {}".format)
    labels = labels.renamed(lambda name: name.replace("TRIAL_INDEX", "TRIAL_LABEL"))
    assert_same(plain, read(labels.write(tmp_path / "report")))


@pytest.mark.parametrize("label", ["", "Trial: 0", "practice"])
def test_labels_without_a_number_change_nothing(label, tmp_path):
    sheet = eyelink_sample_report().without(lambda name: name == "TRIAL_INDEX")
    labels = Sheet([[*sheet.rows[0], "TRIAL_LABEL"], *([*row, label] for row in sheet.rows[1:])])
    plain, labelled = (read(s.write(tmp_path / "report")) for s in (sheet, labels))
    assert_same(plain, labelled)


@pytest.mark.real
def test_published_samples_make_the_published_fixations(data_folder):
    folder = data_folder / "exports" / "eyelink"
    (recording,) = read(folder / "gazer_s2.xls.txt.gz")
    (report,) = read(folder / "gazer_f2.xls.txt")
    samples = recording.samples
    assert len(samples) == 131718
    time_ms = samples["tracker_time_us"].to_numpy() / 1000
    begins = samples.groupby("trial")["tracker_time_us"].first() / 1000
    for fixation in report.fixations.itertuples():
        # the report's clock starts at the trial's first sample, which stands for 2 ms
        start = begins[fixation.trial] + fixation.onset_ms
        rows = samples[(time_ms >= start) & (time_ms < start + fixation.duration_ms)]
        assert 2 * len(rows) == fixation.duration_ms
        assert set(rows["trial"]) == {fixation.trial}
        assert rows["x_px"].mean() == pytest.approx(fixation.x_px, abs=0.11)
        assert rows["y_px"].mean() == pytest.approx(fixation.y_px, abs=0.11)
    assert len(report.fixations) == 787
