"""REFLACX: fixations and gaze of one reading, and of a folder of them."""

import pandas as pd
import pytest
from exports.datasets import reflacx
from exports.sheet import Sheet

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers import read

FIRST, SECOND = "P102R009922", "P300R123456"
METADATA = """id,split,eye_tracking_data_discarded,image,dicom_id,image_size_x,image_size_y
P102R009922,train,False,"files/p10/x, y.dcm",1a-2b,1000,800
P300R123456,train,False,files/p10/y.dcm,3c-4d,1000.0,800.0
"""


def gaze(rows=80) -> Sheet:
    """Samples from 1.2 s on, every 10 ms, at the middle; the fifth is lost."""
    header, first, *_ = reflacx().rows
    body = []
    for i in range(rows):
        place = ["", "", ""] if i == 4 else ["500", "400", "1.1"]
        body.append([f"{1.2 + i / 100:.3f}", *place, *first[5:]])
    return Sheet([["timestamp_sample", *header[2:]], *body], ",")


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "reflacx"
    for folder in (f"main_data/{FIRST}", f"main_data/{SECOND}", f"gaze_data/{FIRST}"):
        (root / folder).mkdir(parents=True)
    (root / "main_data" / "metadata_phase_1.csv").write_text(METADATA)
    reflacx().write(root / "main_data" / FIRST / "fixations.csv")
    (root / "main_data" / FIRST / "chest_bounding_box.csv").write_text("xmin,ymin\n1,2\n")
    reflacx().write(root / "main_data" / SECOND / "fixations.csv")
    gaze().write(root / "gaze_data" / FIRST / "gaze.csv")
    return root


def test_fixations_of_one_file(tmp_path):
    (recording,) = read(reflacx().write(tmp_path / "fixations.csv"))
    found = recording.fixations
    assert recording.name == "fixations"
    assert found["onset_ms"].tolist() == [1250, 1550, 2000, 2500]
    assert found["duration_ms"].tolist() == pytest.approx([250, 250, 400, 200])
    assert found["x_im"].tolist() == [405, 505.5, 100, 310]
    assert found["image_width"].tolist() == [1000] * 4  # the largest part that was shown
    # shown at twice its size; then 500 x 400 px at four times
    assert found["x_px"].tolist() == [661 + 810, 661 + 1011, 861, 661 + 110 * 4]
    assert found["y_px"].tolist() == [840, 640, 1400, 110 * 4]
    assert recording.placements == {}  # it moved
    assert recording.screen_px == (3840, 2160)


def test_metadata_tell_the_image(dataset):
    (recording,) = read(dataset / "main_data" / FIRST / "fixations.csv")
    assert recording.name == FIRST
    assert set(recording.fixations["stimulus"]) == {"1a-2b"}
    assert set(recording.fixations["image_height"]) == {800}


def test_a_folder_of_readings(dataset):
    first, second = read(dataset)
    assert (first.name, second.name) == (FIRST, SECOND)
    assert len(first.samples) == 80
    assert second.samples.empty
    assert second.fixations["stimulus"].unique() == ["3c-4d"]
    fixations = first.fixations
    # the last two are beyond the samples
    assert first.skipped == {"fixations without samples": 2}
    assert fixations["onset_ms"].tolist() == pytest.approx([55, 355])
    assert fixations["first_row"].tolist() == [5, 35]
    assert fixations["last_row"].tolist() == [29, 59]
    assert (first.samples["vendor_event"] == "fixation").sum() == 50
    (alone,) = read(dataset / "main_data" / SECOND)
    pd.testing.assert_frame_equal(alone.fixations, second.fixations)


def test_gaze_alone(dataset):
    (recording,) = read(dataset / "gaze_data" / FIRST / "gaze.csv")
    samples = recording.samples
    assert samples["x_px"].iloc[[0, 4]].tolist() == [
        1661.0,
        pytest.approx(float("nan"), nan_ok=True),
    ]
    assert samples["x_im"].iloc[0] == 500
    assert samples["tracker_time_us"].iloc[:2].tolist() == [1_200_000, 1_210_000]
    assert samples["stimulus"].unique() == ["1a-2b"]
    assert recording.placements == {"1a-2b": Placement(661, 0, 2000, 1600, 1000, 800)}
    assert recording.fixations.empty


def test_what_is_no_fixation_is_counted(tmp_path):
    sheet = reflacx()
    sheet.rows[2][sheet.index("x_position")] = ""
    sheet.rows[3][sheet.index("timestamp_end_fixation")] = "2"
    (recording,) = read(sheet.write(tmp_path / "fixations.csv"))
    assert recording.fixations["order"].tolist() == [1, 2]
    assert recording.skipped == {
        "fixations without a position": 1,
        "fixations without a duration": 1,
    }


def test_fixations_that_are_listed_again_count_once(tmp_path):
    sheet = reflacx()
    expected = read(sheet.write(tmp_path / "fixations.csv"))[0].fixations
    header, *rows = sheet.rows
    twice = Sheet([header, *rows, *rows], ",").write(tmp_path / "fixations.csv")
    (recording,) = read(twice)
    pd.testing.assert_frame_equal(recording.fixations, expected)
    assert recording.skipped == {"fixations listed again": 4}


def test_a_spreadsheet_may_have_saved_them(dataset):
    expected = read(dataset / "main_data")[0].fixations
    metadata = dataset / "main_data" / "metadata_phase_1.csv"
    metadata.write_text(METADATA.replace('"files/p10/x, y.dcm"', "x").replace(",", ";"))
    commas = reflacx().cells(lambda cell: cell.replace(".", ","))
    Sheet(commas.rows, ";").write(dataset / "main_data" / FIRST / "fixations.csv")
    pd.testing.assert_frame_equal(read(dataset / "main_data")[0].fixations, expected)


def test_a_reading_without_gaze_is_counted(dataset):
    reflacx().filled("x_position", "").write(dataset / "main_data" / SECOND / "fixations.csv")
    (recording,) = read(dataset / "main_data")
    assert recording.name == FIRST
    assert recording.skipped == {"fixations without a position": 4, "recordings without gaze": 1}


def test_an_image_column_names_the_stimulus(tmp_path):
    sheet = reflacx()
    rows = [["image", *sheet.rows[0]], *(["files/p1/a.dcm", *row] for row in sheet.rows[1:])]
    (recording,) = read(Sheet(rows, ",").write(tmp_path / "fixations.csv"))
    assert set(recording.fixations["stimulus"]) == {"a.dcm"}


def test_without_the_zoom_there_are_image_px(tmp_path):
    sheet = reflacx().without(lambda name: name.startswith(("xm", "ym")))
    (recording,) = read(sheet.write(tmp_path / "fixations.csv"))
    assert recording.fixations["x_px"].isna().all()
    assert recording.fixations["image_width"].isna().all()


def test_damaged_metadata_are_named(dataset):
    path = dataset / "main_data" / "metadata_phase_1.csv"
    path.write_text("id,dicom_id\n1,2\n")
    with pytest.raises(FormatError, match=r"metadata_phase_1.csv:1: no column 'image_size_x'"):
        read(dataset)


def test_a_table_without_gaze_is_refused(tmp_path):
    path = reflacx().filled("x_position", "").write(tmp_path / "fixations.csv")
    with pytest.raises(FormatError, match="no sample and no fixation that has a position"):
        read(path)
