"""Tobii Studio 1 and 2: All-Data with and without properties above it, Fixation-Data."""

import numpy as np
import pytest
from exports import INTERVAL_US, Sheet, assert_same
from exports.tobii import PROPERTIES, fixation_data, pygaze, studio2

from gazetools.errors import FormatError
from gazetools.geometry import Placement, Screen
from gazetools.readers import read, reasons


def read_one(sheet, tmp_path):
    (recording,) = read(sheet.write(tmp_path / "P63-All-Data.tsv"))
    return recording


def write(text, tmp_path, encoding="utf-8"):
    path = tmp_path / "P63-All-Data.tsv"
    path.write_text(text, encoding=encoding)
    return path


# ---------------------------------------------------------------- All-Data


def test_samples_mean_what_the_columns_say(tmp_path):
    recording = read_one(studio2(), tmp_path)
    samples = recording.samples
    assert (recording.subject, recording.name) == ("unnamed", "P63-All-Data")
    assert recording.skipped == {"event rows": 1}
    assert samples["tracker_time_us"].tolist() == [17_000 + i * INTERVAL_US for i in range(120)]
    assert set(samples["stimulus"]) == {"map.jpg"}
    assert samples["left_valid"].all()
    assert samples["left_pupil_mm"].eq(3.1).all()
    assert "left_eye_x_mm" not in samples
    assert recording.placements == {"map.jpg": Placement(140, 12, 1000, 1000, 1000, 1000)}
    assert recording.about["eye distance"] == "692 mm"


def test_a_lost_eye_is_missing_and_halves_nothing(tmp_path):
    samples = read_one(studio2(), tmp_path).samples
    lost = np.arange(120) % 10 == 5
    assert (samples["right_valid"] == ~lost).all()
    assert samples.loc[lost, ["right_x_px", "right_y_px", "right_pupil_mm"]].isna().all(axis=None)
    np.testing.assert_allclose(samples.loc[lost, "x_px"], samples.loc[lost, "left_x_px"])


@pytest.mark.parametrize("lost", [("-1", "-1"), ("-1000", "-1000")])
def test_without_codes_what_stands_for_a_lost_eye_is_missing(lost, tmp_path):
    sheet = studio2().without(lambda name: name.startswith("Validity"))
    for name, value in zip(("GazePointXLeft", "GazePointYLeft"), lost, strict=True):
        sheet = sheet.filled(name, value)
    assert read_one(sheet, tmp_path).samples["left_x_px"].isna().all()


def test_gaze_left_of_the_screen_is_gaze(tmp_path):
    samples = read_one(studio2().filled("GazePointXLeft", "-40"), tmp_path).samples
    assert samples["left_x_px"].eq(-40).all()


def test_vendor_fixations_are_brought_from_the_media_to_the_screen(tmp_path):
    recording = read_one(studio2(), tmp_path)
    fixations = recording.fixations
    assert fixations[["x_px", "y_px"]].to_numpy().tolist() == [[900, 500], [1100, 640]]
    assert fixations["duration_ms"].tolist() == [500, 500]
    assert fixations[["first_row", "last_row"]].to_numpy().tolist() == [[0, 59], [60, 119]]
    assert set(recording.samples["vendor_event"]) == {"fixation"}


def test_a_sample_of_no_fixation_is_unclassified(tmp_path):
    sheet = studio2()
    sheet.rows[60][sheet.index("FixationIndex")] = ""
    assert read_one(sheet, tmp_path).samples["vendor_event"].value_counts().to_dict() == {
        "fixation": 119,
        "unclassified": 1,
    }


def test_properties_above_the_table_name_the_recording(tmp_path):
    (recording,) = read(write(PROPERTIES + studio2().text(), tmp_path))
    assert (recording.subject, recording.name) == ("P106", "Rec 62")
    assert recording.screen_px == (1280, 1024)
    assert recording.about["filter"] == "Tobii fixation filter, radius 35"
    assert len(recording.samples) == 120


def test_a_damaged_line_below_the_properties_is_named(tmp_path):
    sheet = studio2()
    sheet.rows[3][sheet.index("GazePointXLeft")] = "abc"
    path = write(PROPERTIES + sheet.text(), tmp_path)
    line = PROPERTIES.count("\n") + 4
    with pytest.raises(FormatError, match=rf"tsv:{line}: column 'GazePointXLeft' holds 'abc'"):
        read(path)


def test_decimal_commas_and_a_tab_at_the_end_say_the_same(tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(studio2().write(tmp_path / "export"))
    changed = studio2().cells(
        lambda cell: cell.replace(".", ",") if cell.count(".") == 1 and ":" not in cell else cell
    )
    changed = changed.filled("StimuliName", lambda name: name.replace(",", "."))
    changed = Sheet([[*row, ""] for row in changed.rows])
    assert_same(plain, read(changed.write(tmp_path / "b" / "export")))


def test_no_media_is_no_stimulus(tmp_path):
    samples = read_one(studio2().filled("StimuliName", "No media"), tmp_path).samples
    assert samples["stimulus"].isna().all()
    assert set(samples["trial"]) == {1}


def test_without_microseconds_the_time_is_in_ms(tmp_path):
    sheet = studio2().without(lambda name: name == "MicroSecondTimestamp")
    recording = read_one(sheet, tmp_path)
    assert recording.samples["tracker_time_us"].iloc[:2].tolist() == [17_000, 25_000]
    assert recording.about["time unit"] == "ms"


def test_times_within_one_microsecond_are_one(tmp_path):
    sheet = studio2().without(lambda name: name == "MicroSecondTimestamp")
    near = sheet.filled("Timestamp", lambda time: "17.0001" if time == "25" else time)
    recording = read_one(near, tmp_path)
    assert len(recording.samples) == len(read_one(sheet, tmp_path).samples) - 1
    assert recording.skipped["repeated times"] == 1


def test_without_gaze_of_each_eye_the_average_is_read(tmp_path):
    sheet = studio2().without(lambda name: name in ("GazePointYLeft", "GazePointYRight"))
    samples = read_one(sheet, tmp_path).samples
    assert samples["x_px"].iloc[[0, -1]].tolist() == [900, 1100]


@pytest.mark.parametrize("lost", [("-1", "-1"), ("-1000", "-1000"), ("0", "0")])
def test_an_average_that_stands_for_no_gaze_is_missing(lost, tmp_path):
    sheet = studio2().without(lambda name: name.endswith(("Left", "Right")))
    for name, value in zip(("GazePointX", "GazePointY"), lost, strict=True):
        sheet.rows[-1][sheet.index(name)] = value
    samples = read_one(sheet, tmp_path).samples
    assert samples["x_px"].isna().tolist() == [False] * (len(samples) - 1) + [True]


# ---------------------------------------------------------------- Fixation-Data


def test_fixation_data_is_read_below_its_properties(tmp_path):
    properties = PROPERTIES.replace("Recording name", "Recording").replace("Participant", "Subject")
    (recording,) = read(write(properties + fixation_data().text(), tmp_path))
    assert (recording.subject, recording.name) == ("P106", "Rec 62")
    assert recording.samples.empty
    fixations = recording.fixations
    assert fixations["onset_ms"].tolist() == [51, 301]
    assert fixations["duration_ms"].tolist() == [250, 250]
    assert fixations["x_px"].tolist() == [626, 598]
    assert fixations["order"].tolist() == [1, 2]


def test_fixation_data_with_stimuli_and_users(tmp_path):
    header = "Timestamp\tStimuliName\tFixationIndex\tFixationDuration\t"
    header += "MappedFixationPointX\tMappedFixationPointY\tuser"
    rows = ["2586\ta.jpg\t9\t250\t1151\t458\tp1", "2836\ta.jpg\t10\t150\t1371\t316\tp1"]
    rows += ["9000\tb.jpg\t11\t150\t100\t200\tp1", "2586\ta.jpg\t1\t250\t10\t20\tp2"]
    first, second = read(write("\n".join([header, *rows]) + "\n", tmp_path))
    assert (first.subject, second.subject) == ("p1", "p2")
    assert first.fixations["trial"].tolist() == [1, 1, 2]
    assert first.fixations["onset_ms"].tolist() == [0, 250, 0]
    assert first.fixations["stimulus"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]


def test_fixations_without_a_place_are_counted(tmp_path):
    sheet = fixation_data()
    sheet.rows[1][3] = ""
    recording = read_one(sheet, tmp_path)
    assert len(recording.fixations) == 1
    assert recording.skipped == {"rows that are no complete fixation": 1}


def test_fixations_that_are_listed_again_count_once(tmp_path):
    sheet = fixation_data()
    sheet.rows += sheet.rows[1:]
    recording = read_one(sheet, tmp_path)
    assert recording.fixations["onset_ms"].tolist() == [51, 301]
    assert recording.fixations["order"].tolist() == [1, 2]
    assert recording.skipped == {"fixations listed again": 2}


def test_fixation_data_without_places_says_what_to_tick(tmp_path):
    sheet = fixation_data().without(lambda name: name.startswith("Mapped"))
    with pytest.raises(FormatError, match="tsv:1: no column 'MappedFixationPointX' among"):
        read_one(sheet, tmp_path)
    with pytest.raises(FormatError, match="no fixation with a place"):
        read_one(fixation_data().filled("FixationDuration", "0"), tmp_path)


# ---------------------------------------------------------------- ClearView


CLEARVIEW = (
    "Data properties:\n \nSubject: P106\nRecording: Rec 62\nScreen resolution: 1280 x 1024\n \n"
)


def test_fixations_of_clearview(tmp_path):
    header = "Fix number\tTimestamp\tDuration\tGazepointX\tGazepointY\n \n"
    path = write(CLEARVIEW + header + "1\t51\t250\t626\t521\n2\t301\t140\t598\t494\n", tmp_path)
    (recording,) = read(path)
    assert (recording.subject, recording.name) == ("P106", "Rec 62")
    assert recording.about["software"] == "ClearView"
    assert recording.screen_px == (1280, 1024)
    assert recording.samples.empty
    assert recording.skipped == {}
    found = recording.fixations[["onset_ms", "duration_ms", "x_px", "y_px"]]
    assert found.to_numpy().tolist() == [[51, 250, 626, 521], [301, 140, 598, 494]]


def clearview():
    """Combined data: two looks, a sample of neither, a lost eye and a key."""
    header = ["Timestamp", "Number"]
    for eye in "LR":
        header += [f"{what} ({eye})" for what in ("GazepointX", "GazepointY", "Distance")]
        header += [f"{what} ({eye})" for what in ("Pupil", "Validity")]
    header += ["Fixation", "GazepointX", "GazepointY", "Event", "Data 1"]
    eye, lost = ["674", "356", "667.2", "3.8", "0"], ["-1280", "-1024", "-1.000", "-1.000", "4"]
    rows = []
    for i in range(40):
        fixation = ["-1"] * 3 if i == 20 else [str(1 + (i > 20)), "674", "356"]
        rows.append([str(20 * i), str(i), *eye, *(lost if i == 5 else eye), *fixation, " ", " "])
    rows.insert(9, ["175", *[" "] * (len(header) - 3), "LMouseButton", "1"])
    return CLEARVIEW + "\t".join(header) + "\n \n" + "".join("\t".join(r) + "\n" for r in rows)


def test_combined_data_of_clearview(tmp_path):
    (recording,) = read(write(clearview(), tmp_path))
    samples = recording.samples
    assert recording.skipped == {"event rows": 1}
    assert samples["tracker_time_us"].tolist() == list(range(0, 800_000, 20_000))
    assert samples["x_px"].eq(674).all()
    assert np.flatnonzero(~samples["right_valid"]).tolist() == [5]
    assert samples["right_pupil_mm"].isna().sum() == 1
    assert recording.fixations[["first_row", "last_row"]].to_numpy().tolist() == [[0, 19], [21, 39]]


# ---------------------------------------------------------------- PyGaze


def test_the_log_of_pygaze(tmp_path):
    (recording,) = read(write(pygaze(), tmp_path))
    samples = recording.samples
    assert recording.about["software"] == "PyGaze"
    assert recording.screen == Screen(1920, 1080, 528, 297, 650)
    assert recording.screen_px == (1920, 1080)
    assert recording.skipped == {"messages": 2}
    assert samples["tracker_time_us"].iloc[[0, 1]].tolist() == [8000, 8000 + round(INTERVAL_US)]
    lost = np.arange(120) % 10 == 5
    assert (samples["left_valid"] == ~lost).all()
    assert samples.loc[lost, ["left_x_px", "left_pupil_mm"]].isna().all(axis=None)
    assert samples["right_pupil_mm"].eq(3.2).all()
    assert samples.loc[lost, "x_px"].iloc[0] == 902
    assert samples["x_px"].iloc[0] == 900


def test_logs_of_psychopy_whose_gaze_counts_from_the_middle_are_no_pygazes(tmp_path):
    names = ["TimeStamp", "GazePointXLeft", "GazePointYLeft", "ValidityLeft", "PupilValidityLeft"]
    text = (
        "PsychoPy units:\theight\nSession Start\n" + "\t".join(names) + "\n0.0\t0.1\t-0.2\t1\t1\n"
    )
    path = write(text, tmp_path)
    assert any("tobii-studio2: no header" in reason for reason in reasons(path))


@pytest.mark.parametrize("size", ["", "display size in cm: 0x29.7", "display size in cm: (1, 2)"])
def test_without_its_size_there_is_no_screen(size, tmp_path):
    (recording,) = read(write(pygaze().replace("display size in cm: 52.8x29.7", size), tmp_path))
    assert recording.screen is None
    assert recording.screen_px == (1920, 1080)


def test_a_damaged_line_of_pygaze_is_named(tmp_path):
    text = pygaze().replace("\t900\t500\t3.1000\t1\t3.2000\t1\n", "\n", 1)
    with pytest.raises(FormatError, match=r"tsv:9: line has 8 fields, expected 14"):
        read(write(text, tmp_path))


# ---------------------------------------------------------------- real data


@pytest.mark.real
def test_all_data_with_properties(data_folder):
    folder = data_folder / "exports" / "tobii"
    (recording,) = read(folder / "studio2_P63-All-Data_with_headerblock.tsv")
    assert (recording.subject, recording.name) == ("P106", "Rec 62")
    assert recording.screen_px == (1280, 1024)
    assert len(recording.samples) == 8
    assert recording.samples["x_px"].isna().all()
    assert recording.skipped == {"event rows": 2}


@pytest.mark.real
def test_all_data_of_50_hz_with_decimal_commas(data_folder):
    folder = data_folder / "exports" / "tobii"
    (recording,) = read(folder / "studio2_alldata_50hz_decimalcomma_noheaderblock.tsv")
    assert len(recording.samples) == 586
    assert len(recording.fixations) == 30
    assert recording.fixations["duration_ms"].iloc[:3].tolist() == [795, 159, 219]
    assert recording.samples["left_x_px"].iloc[0] == 630.2711
    assert (~recording.samples["right_valid"]).sum() == 19
    assert recording.about["decimal mark"] == ","
