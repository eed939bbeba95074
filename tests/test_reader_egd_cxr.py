"""EGD-CXR: fixations, raw gaze, and where the images lay."""

import pandas as pd
import pytest
from exports.datasets import egd_cxr, egd_cxr_gaze
from exports.sheet import Sheet

from gazetools.errors import FormatError
from gazetools.readers import read


def test_sessions_and_images(tmp_path):
    first, second = read(egd_cxr().write(tmp_path / "fixations.csv"))
    assert (first.name, second.name) == ("session-1", "session-2")
    found = first.fixations
    assert found["trial"].tolist() == [1, 1, 1, 2, 2]
    assert found["order"].tolist() == [1, 2, 3, 1, 2]
    assert found["stimulus"].tolist() == ["aaa", "aaa", "aaa", "bbb", "bbb"]
    assert found["onset_ms"].tolist() == pytest.approx([250, 800, 1100, 100, 350])
    assert found["duration_ms"].tolist() == pytest.approx([500, 250, 300, 200, 250])
    assert found["x_px"].tolist() == [960, 1200, 768, 960, 1728]
    assert found["x_im"].iloc[0] == 1000
    assert found["x_im"].isna().tolist() == [False] * 4 + [True]  # beside the image
    assert first.samples.empty


def test_gaze_on_screen_and_image_tell_where_the_image_lay(tmp_path):
    first, second = read(egd_cxr().write(tmp_path / "fixations.csv"))
    place = first.placements["aaa"]
    assert (place.image_width, place.image_height) == pytest.approx((2000, 2400), abs=2)
    assert place.x_px == pytest.approx(510, abs=1)
    assert place.y_px == pytest.approx(0, abs=1)
    assert place.width_px == pytest.approx(900, abs=1)
    assert set(first.placements) == {"aaa"}  # one place is no line
    assert second.placements == {}
    # a size that is off by a px is that of another image, which render refuses
    assert first.fixations["image_width"].isna().all()


def test_gaze_on_the_right_margin_is_on_no_image_of_unknown_size(tmp_path):
    sheet = egd_cxr()
    row = sheet.rows[3]
    row[sheet.index("FPOGX")], row[sheet.index("X_ORIGINAL")] = "0.81250", "2333"
    fixations = read(sheet.write(tmp_path / "fixations.csv"))[0].fixations
    assert fixations["x_im"].isna().tolist() == [False, False, True, False, True]


def test_three_published_lines(tmp_path):
    """FPOGX, FPOGY, X_ORIGINAL, Y_ORIGINAL as printed; the image is 2544 x 3056."""
    sheet = egd_cxr()
    sheet.rows = sheet.rows[:4]
    values = [
        ("0.45224", "0.33879", "998", "1035"),
        ("0.44419", "0.28933", "952", "884"),
        ("0.39018", "0.28168", "642", "860"),
    ]
    for row, cells in zip(sheet.rows[1:], values, strict=True):
        for name, cell in zip(("FPOGX", "FPOGY", "X_ORIGINAL", "Y_ORIGINAL"), cells, strict=True):
            row[sheet.index(name)] = cell
    (recording,) = read(sheet.write(tmp_path / "fixations.csv"))
    # 119 px across and 62 px down: too little for a line down
    assert recording.placements == {}
    assert recording.fixations["x_im"].tolist() == [998, 952, 642]


def test_a_list_of_fixations_may_repeat_a_number(tmp_path):
    sheet = egd_cxr()
    expected = read(sheet.write(tmp_path / "fixations.csv"))[0].fixations
    at = sheet.index("FPOGID")
    sheet.rows[2][at] = sheet.rows[1][at]
    (again, _) = read(sheet.write(tmp_path / "fixations.csv"))
    pd.testing.assert_frame_equal(again.fixations, expected)


@pytest.mark.parametrize("times", [2, 4])
def test_fixations_that_are_joined_to_areas_count_once(times, tmp_path):
    sheet = egd_cxr()
    expected = read(sheet.write(tmp_path / "fixations.csv"))[0].fixations
    header, *rows = sheet.rows
    joined = [[*header, "area"], *([*row, f"a{i}"] for row in rows for i in range(times))]
    first, second = read(Sheet(joined, ",").write(tmp_path / "fixations.csv"))
    pd.testing.assert_frame_equal(first.fixations, expected)
    assert first.skipped == {"fixations listed again": 5 * (times - 1)}
    assert len(second.fixations) == 1


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_spreadsheet_may_have_saved_it(separator, tmp_path):
    sheet = egd_cxr()
    expected = read(sheet.write(tmp_path / "fixations.csv"))[0].fixations
    commas = sheet.cells(lambda cell: cell.replace(".", ","))
    path = Sheet(commas.rows, separator).write(tmp_path / "fixations.csv")
    pd.testing.assert_frame_equal(read(path)[0].fixations, expected)


def test_rows_that_go_to_and_fro_between_images_are_refused(tmp_path):
    header, *rows = egd_cxr().rows
    mixed = [row for _ in range(3) for row in (rows[0], rows[5], rows[3], rows[5])]
    with pytest.raises(FormatError, match="sort them by session, image and time"):
        read(Sheet([header, *mixed], ",").write(tmp_path / "f.csv"))


def test_raw_gaze(tmp_path):
    (recording,) = read(egd_cxr_gaze().write(tmp_path / "eye_gaze.csv"))
    samples, fixations = recording.samples, recording.fixations
    assert len(samples) == 70
    assert samples["tracker_time_us"].iloc[:2].tolist() == [100_000_000, 100_020_000]
    assert samples["t_ms"].iloc[0] == pytest.approx(10)
    assert samples["x_px"].iloc[0] == pytest.approx(0.51 * 1920)
    assert samples["left_pupil_mm"].iloc[0] == 3.5
    assert samples["right_pupil_mm"].isna().all()  # its flag is 0
    assert fixations["onset_ms"].tolist() == pytest.approx([260, 810, 1110], abs=0.1)
    assert fixations["duration_ms"].tolist() == pytest.approx([490, 240, 280], abs=11)
    assert (fixations["last_row"] - fixations["first_row"] > 10).all()
    assert set(samples["vendor_event"]) == {"fixation", "unclassified"}


def test_gaze_that_is_not_valid_is_missing(tmp_path):
    sheet = egd_cxr_gaze().filled("BPOGV", "0")
    (recording,) = read(sheet.write(tmp_path / "eye_gaze.csv"))
    assert recording.samples["x_px"].isna().all()


def test_without_ticks_images_follow_one_another(tmp_path):
    sheet = egd_cxr_gaze()
    again = [[*row[:2], "zzz", *row[3:]] for row in sheet.rows[1:]]
    sheet.rows += again
    (recording,) = read(sheet.write(tmp_path / "eye_gaze.csv"))
    assert recording.samples["trial"].nunique() == 2
    assert len(recording.samples) == 140
    gap = recording.samples["tracker_time_us"].diff().iloc[70]
    assert gap == 1_000_000
    first, second = (group for _, group in recording.fixations.groupby("trial"))
    assert first["onset_ms"].tolist() == pytest.approx(second["onset_ms"].tolist())


def test_rows_that_are_no_fixation_are_counted(tmp_path):
    sheet = egd_cxr()
    sheet.rows[1][sheet.index("FPOGV")] = "0"
    sheet.rows[2][sheet.index("FPOGD")] = "0"
    first, _ = read(sheet.write(tmp_path / "fixations.csv"))
    assert first.skipped == {"rows that are no valid fixation": 2}
    assert len(first.fixations) == 3


def test_a_session_that_comes_back_is_another_part(tmp_path):
    sheet = egd_cxr()
    sheet.rows.append(sheet.rows[1])
    assert [r.name for r in read(sheet.write(tmp_path / "f.csv"))] == [
        "session-1",
        "session-2",
        "session-1-part2",
    ]


@pytest.mark.parametrize("name", ["SESSION_ID", "DICOM_ID", "Time (in secs)"])
def test_fields_that_are_needed(name, tmp_path):
    sheet = egd_cxr()
    sheet.rows[3][sheet.index(name)] = ""
    with pytest.raises(FormatError, match=r"f.csv:4: .* is empty, expected a value"):
        read(sheet.write(tmp_path / "f.csv"))


def test_no_valid_fixation_at_all(tmp_path):
    with pytest.raises(FormatError, match="no session holds a fixation that is valid"):
        read(egd_cxr().filled("FPOGV", "0").write(tmp_path / "f.csv"))


def test_a_session_without_a_valid_fixation_is_counted(tmp_path):
    sheet = egd_cxr()
    sheet.rows[-1][sheet.index("FPOGV")] = "0"
    (recording,) = read(sheet.write(tmp_path / "f.csv"))
    assert recording.name == "session-1"
    assert recording.skipped == {"rows that are no valid fixation": 1, "recordings without gaze": 1}
