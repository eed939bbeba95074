"""Gazepoint Analysis: all_gaze and fixations."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.gazepoint import HEIGHT_PX, INTERVAL_S, WIDTH_PX, gazepoint, gazepoint_fixations

from gazetools.errors import FormatError
from gazetools.readers import ReadOptions, read


def one(path):
    (recording,) = read(path)
    assert recording.format == "gazepoint"
    return recording


def test_the_screen_follows_from_the_saccades(tmp_path):
    recording = one(gazepoint().write(tmp_path / "User 1_all_gaze.csv"))
    assert recording.name == "User 1_all_gaze"
    assert recording.screen_px == (WIDTH_PX, HEIGHT_PX)
    assert not recording.normalised
    assert recording.samples["x_px"].iloc[0] == 0.3 * WIDTH_PX
    assert recording.fixations["y_px"].iloc[0] == 0.4 * HEIGHT_PX
    assert recording.about["date"] == "2026/11/05 12:17:35.779"


@pytest.mark.parametrize("drop", ["SACCADE_MAG", "SACCADE_DIR"])
def test_without_saccades_positions_are_shares(drop, tmp_path):
    sheet = gazepoint().without(lambda name: name == drop)
    recording = one(sheet.write(tmp_path / "all_gaze.csv"))
    assert recording.screen_px is None
    assert recording.normalised
    assert recording.samples["x_px"].iloc[0] == 0.3


def test_saccades_that_disagree_tell_nothing(tmp_path):
    sheet = gazepoint()
    lengths = iter(range(100, 100_000, 37))
    sheet = sheet.filled("SACCADE_MAG", lambda old: old if float(old) == 0 else str(next(lengths)))
    assert one(sheet.write(tmp_path / "g.csv")).normalised


def test_fixations_are_the_last_rows(tmp_path):
    gaze = one(gazepoint().write(tmp_path / "u_all_gaze.csv"))
    listed = one(gazepoint_fixations().write(tmp_path / "u_fixations.csv"))
    assert len(gaze.fixations) == len(listed.fixations) == 8
    assert listed.samples.empty
    columns = ["trial", "stimulus", "order", "duration_ms", "x_px", "y_px"]
    pd.testing.assert_frame_equal(gaze.fixations[columns], listed.fixations[columns])
    # a trial begins half a sample before its first one
    half = INTERVAL_S * 500
    np.testing.assert_allclose(gaze.fixations["onset_ms"], listed.fixations["onset_ms"] + half)
    np.testing.assert_allclose(gaze.fixations["duration_ms"], 15 * INTERVAL_S * 1000)
    rows = gaze.fixations[["first_row", "last_row"]].iloc[:2].to_numpy().tolist()
    assert rows == [[4, 19], [24, 39]]
    assert gaze.samples["vendor_event"].iloc[:8].tolist() == ["unclassified"] * 4 + ["fixation"] * 4
    assert gaze.samples["vendor_event_index"].iloc[30] == 2


def test_time_restarts_and_the_clock_does_not(tmp_path):
    samples = one(gazepoint().write(tmp_path / "g.csv")).samples
    second = samples[samples["trial"] == 2]
    assert set(second["stimulus"]) == {"second"}
    between = second["tracker_time_us"].iloc[0] - samples["tracker_time_us"].iloc[0]
    assert between == 3_000_000  # by TIMETICK, of 10 million a second
    assert abs(second["t_ms"].iloc[0] - INTERVAL_S * 500) < 1e-6


def test_without_ticks_media_follow_each_other(tmp_path):
    sheet = gazepoint().without(lambda name: name.startswith("TIMETICK"))
    samples = one(sheet.write(tmp_path / "g.csv")).samples
    np.testing.assert_array_equal(samples["tracker_time_us"].diff().dropna().round(-2), 16_400)


def test_invalid_gaze_missing_numbers_and_blinks(tmp_path):
    recording = one(gazepoint().write(tmp_path / "g.csv"))
    blink = recording.samples.iloc[70:74]
    assert blink["x_px"].isna().all()
    assert not blink["left_valid"].any()
    assert recording.samples["right_pupil_mm"].isna().all()  # 2147483647
    assert recording.samples["left_pupil_mm"].iloc[0] == 3.5
    first, second = recording.blinks.itertuples()
    assert (first.trial, second.trial) == (1, 2)
    np.testing.assert_allclose(first.duration_ms, 4 * INTERVAL_S * 1000, rtol=1e-4)
    np.testing.assert_allclose(first.onset_ms, recording.samples["t_ms"].iloc[70], atol=0.01)


def test_gaze_off_the_screen_is_gaze(tmp_path):
    sheet = gazepoint()
    sheet.rows[1][sheet.index("BPOGX")] = "-0.25000"
    assert one(sheet.write(tmp_path / "g.csv")).samples["x_px"].iloc[0] == -0.25 * WIDTH_PX


def test_without_the_best_gaze_the_eyes_tell(tmp_path):
    sheet = gazepoint().renamed(lambda name: name.replace("BPOG", "LPOG"))
    for row in sheet.rows:
        row[-1:] = [row[sheet.index("LPOGX")], row[sheet.index("LPOGY")], "1", ""]
    sheet.rows[0][-4:] = ["RPOGX", "RPOGY", "RPOGV", ""]
    samples = one(sheet.write(tmp_path / "g.csv")).samples
    assert samples["x_px"].iloc[0] == samples["left_x_px"].iloc[0] == 0.3 * WIDTH_PX
    assert np.isnan(samples["left_x_px"].iloc[70])
    assert samples["x_px"].iloc[70] == samples["right_x_px"].iloc[70]


def test_fixations_of_no_duration_are_counted(tmp_path):
    recording = one(gazepoint().write(tmp_path / "g.csv"))
    sheet = gazepoint_fixations()
    sheet.rows[3][sheet.index("FPOGD")] = "0.00000"
    listed = one(sheet.write(tmp_path / "f.csv"))
    assert listed.skipped == {"fixations without a duration": 1}
    assert len(listed.fixations) == len(recording.fixations) - 1


@pytest.mark.parametrize("ends", ["", ","])
def test_a_comma_in_a_name(ends, tmp_path):
    name = "first, at left.jpg"
    sheet = gazepoint().where("MEDIA_NAME", lambda cell: cell == "first").without(lambda n: not n)
    plain = one(sheet.filled("MEDIA_NAME", name.replace(",", "")).write(tmp_path / "a.csv"))
    quoted = sheet.filled("MEDIA_NAME", f'"{name}"')
    quoted = Sheet([[*row[:-1], row[-1] + ends] for row in quoted.rows], ",")
    recording = one(quoted.write(tmp_path / "b.csv"))
    assert set(recording.samples["stimulus"]) == {name}
    gaze = ["x_px", "y_px"]
    pd.testing.assert_frame_equal(recording.samples[gaze], plain.samples[gaze])


def test_a_header_without_the_comma_that_ends_rows(tmp_path):
    sheet = gazepoint()
    sheet.rows[0].pop()
    assert len(one(sheet.write(tmp_path / "g.csv")).samples) == 160


def test_a_clock_of_which_there_are_two_columns_is_read_once(tmp_path):
    sheet = gazepoint()
    time = sheet.index("TIME(2026/11/05 12:17:35.779)")
    twice = Sheet([[*row, row[time]] for row in sheet.rows])
    assert len(one(twice.write(tmp_path / "g.csv")).samples) == 160


def test_a_table_without_times_is_refused(tmp_path):
    sheet = gazepoint().filled("TIME(2026/11/05 12:17:35.779)", "")
    with pytest.raises(FormatError, match=r"no row with a 'TIME\(2026.*' among 160"):
        read(sheet.write(tmp_path / "g.csv"))


@pytest.mark.parametrize("export", [gazepoint, gazepoint_fixations])
def test_users_who_were_put_together_are_recordings(export, tmp_path):
    expected = one(export().write(tmp_path / "all.csv"))
    header, *rows = export().rows
    files = ("A_all_gaze.csv", "B")
    bound = [[*header[:-1], "USER_FILE"], *([*row[:-1], name] for name in files for row in rows)]
    found = read(Sheet(bound, ",").write(tmp_path / "all_users.csv"))
    assert [(r.subject, r.name) for r in found] == [("A", "all_users"), ("B", "all_users")]
    columns = ["trial", "stimulus", "onset_ms", "duration_ms", "x_px"]
    for recording in found:
        pd.testing.assert_frame_equal(recording.fixations[columns], expected.fixations[columns])


def test_a_user_with_hardly_any_gaze_is_no_list_of_fixations(tmp_path):
    header, *rows = gazepoint().rows
    users = [("A", rows), ("B", rows[:1])]
    bound = [[*header[:-1], "USER_FILE"], *([*r[:-1], who] for who, mine in users for r in mine)]
    first, second = read(Sheet(bound, ",").write(tmp_path / "all_users.csv"))
    assert (len(first.samples), len(second.samples)) == (len(rows), 1)


def test_each_of_several_columns_of_time_is_a_recording(tmp_path):
    expected = one(gazepoint().write(tmp_path / "g.csv"))
    sheet = gazepoint()
    at = sheet.index("TIME(2026/11/05 12:17:35.779)")
    header, *rows = sheet.rows
    bound = [
        [*header, "TIME(2026/11/06 09:00:00.000)"],
        *([*row, ""] for row in rows),
        *([*row[:at], "", *row[at + 1 :], row[at]] for row in rows),
    ]
    found = read(Sheet(bound, ",").write(tmp_path / "two.csv"))
    assert [r.name for r in found] == ["two", "two-2"]
    for recording in found:
        assert not recording.skipped
        pd.testing.assert_series_equal(recording.samples["t_ms"], expected.samples["t_ms"])


@pytest.mark.real
@pytest.mark.parametrize(("user", "count", "more"), [(1, 517, 1), (3, 179, 0)])
def test_gaze_gives_the_vendors_own_fixations(user, count, more, data_folder):
    folder = data_folder / "exports" / "gazepoint"
    gaze = one(folder / f"c0_User_{user}_all_gaze.csv.gz")
    listed = one(folder / f"c0_User_{user}_fixations.csv")
    assert gaze.screen_px == listed.screen_px == (1680, 1050)
    assert len(listed.fixations) == count
    # one that was running when the recording ended is not in the vendor's list
    ours = gaze.fixations.iloc[: len(gaze.fixations) - more].reset_index(drop=True)
    columns = ["stimulus", "duration_ms", "x_px", "y_px"]
    pd.testing.assert_frame_equal(ours[columns], listed.fixations[columns])
    begins = gaze.samples.groupby("trial")["t_ms"].first()
    start = ours["onset_ms"] - ours["trial"].map(begins)
    np.testing.assert_allclose(start, listed.fixations["onset_ms"], atol=0.001)


@pytest.mark.parametrize("export", [gazepoint, gazepoint_fixations])
def test_a_picture_that_is_shown_twice_in_a_row_is_two_trials(export, tmp_path):
    expected = one(export().write(tmp_path / "two.csv")).fixations
    sheet = export().filled("MEDIA_NAME", "same").filled("MEDIA_ID", "1")
    found = one(sheet.write(tmp_path / "same.csv")).fixations
    assert set(found["stimulus"]) == {"same"}
    times = ["trial", "order", "onset_ms", "duration_ms"]
    pd.testing.assert_frame_equal(found[times], expected[times])


def logged():
    """The same gaze as OpenGaze logs it: tabs, no media, a message now and then."""
    names = {"TIME(2026/11/05 12:17:35.779)": "TIME", "TIMETICK(f=10000000)": "TIME_TICK"}
    sheet = gazepoint().without(lambda name: name in ("MEDIA_ID", "MEDIA_NAME", ""))
    sheet = sheet.renamed(lambda name: names.get(name, name)).filled("USER", "0")
    sheet.rows = sheet.rows[:81]
    for row, message in ((3, "fixation cross"), (21, "show a.png"), (61, "show b.png")):
        sheet.rows[row][sheet.index("USER")] = message
    return Sheet(sheet.rows, "\t")


def test_a_log_of_open_gaze(tmp_path):
    path = logged().write(tmp_path / "P01.tsv")
    export = one(gazepoint().write(tmp_path / "P01.csv"))
    log = one(path)
    assert log.screen_px == export.screen_px
    columns = ["t_ms", "x_px", "y_px", "left_pupil_mm", "vendor_event"]
    pd.testing.assert_frame_equal(log.samples[columns], export.samples.loc[:79, columns])
    (marked,) = read(path, ReadOptions(trial_from=r"show (\S+)"))
    assert marked.samples["trial"].tolist() == [0] * 20 + [1] * 40 + [2] * 20
    assert set(marked.samples["stimulus"].dropna()) == {"a.png", "b.png"}
    with pytest.raises(FormatError, match="no message matches 'hide', with which trials are to"):
        read(path, ReadOptions(trial_from="hide"))


def test_a_list_of_fixations_has_no_messages(tmp_path):
    path = gazepoint_fixations().write(tmp_path / "u_fixations.csv")
    with pytest.raises(FormatError, match="a list of fixations has no messages"):
        read(path, ReadOptions(trial_from="show"))


def test_semicolons_and_decimal_commas(tmp_path):
    sheet = gazepoint()
    expected = one(sheet.write(tmp_path / "g.csv"))
    sheet = Sheet(sheet.cells(lambda cell: cell.replace(".", ",")).rows, ";")
    (tmp_path / "a").mkdir()
    assert_same([expected], [one(sheet.write(tmp_path / "a" / "g.csv"))])


@pytest.mark.parametrize("export", [gazepoint, gazepoint_fixations])
@pytest.mark.parametrize("absent", [("FPOGID",), ("FPOGID", "FPOGS")])
def test_fixations_that_are_not_numbered(export, absent, tmp_path):
    expected = one(export().write(tmp_path / "g.csv"))
    found = one(export().without(lambda name: name in absent).write(tmp_path / "short.csv"))
    assert found.samples.empty == expected.samples.empty
    columns = ["trial", "order", "onset_ms", "duration_ms", "x_px", "y_px"]
    pd.testing.assert_frame_equal(found.fixations[columns], expected.fixations[columns])


def test_without_fixations_there_is_gaze(tmp_path):
    sheet = gazepoint().without(lambda name: name.startswith("FPOG"))
    recording = one(sheet.write(tmp_path / "g.csv"))
    assert recording.samples["x_px"].notna().sum() == 152
    assert recording.fixations.empty


def test_without_other_gaze_that_of_fixations_is_shown(tmp_path):
    sheet = gazepoint().without(lambda name: name.startswith("BPOG"))
    for name in ("FPOGX", "FPOGY", "FPOGV"):
        sheet.rows[22][sheet.index(name)] = "0"
    samples = one(sheet.write(tmp_path / "g.csv")).samples
    assert samples["x_px"].iloc[0] == 0.3 * WIDTH_PX
    assert samples.index[samples["x_px"].isna()].tolist() == [21]


def test_where_gaze_was_lost_throughout_fixations_are_no_gaze(tmp_path):
    sheet = gazepoint().filled("BPOGV", "0").filled("FPOGV", "0")
    assert one(sheet.write(tmp_path / "g.csv")).samples["x_px"].isna().all()


def test_a_log_of_one_eye(tmp_path):
    sheet = gazepoint().without(lambda name: name.startswith("FPOG"))
    sheet = sheet.renamed(lambda name: name.replace("BPOG", "LPOG"))
    samples = one(sheet.write(tmp_path / "g.csv")).samples
    assert samples["x_px"].notna().any()
    pd.testing.assert_series_equal(samples["x_px"], samples["left_x_px"], check_names=False)


def test_a_list_of_fixations_may_repeat_a_number(tmp_path):
    sheet = gazepoint_fixations().filled("MEDIA_NAME", "same").filled("MEDIA_ID", "1")
    sheet.rows[5][sheet.index("FPOGID")] = "4"
    sheet.rows[5][sheet.index("TIME(2026/11/05 12:17:35.779)")] = "9.0"
    sheet.rows[5][sheet.index("FPOGX")] = "0.35"
    recording = one(sheet.write(tmp_path / "f.csv"))
    assert recording.samples.empty
    assert len(recording.fixations) == 8
