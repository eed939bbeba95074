"""Pro Lab Glasses: fixations on snapshots, gaze in the scene video, rows of other sensors."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same, prolab
from exports.tobii import glasses

from gazetools.errors import FormatError
from gazetools.events import PROFILES, detect
from gazetools.geometry import Placement
from gazetools.ingestion import IngestSpec, ingest
from gazetools.readers import ReadOptions, find_reader, read, tobii_glasses


def read_one(sheet, tmp_path):
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    return recording


def scene():
    """The same recording without snapshots."""
    return glasses().without(lambda name: "[snap]" in name)


def with_directions(sheet):
    """Add eyes and gaze directions: from the head, x points left, y up and z forward."""
    header, *rows = sheet.rows
    at = header.index("Gaze point X [MCS px]")
    for eye in ("left", "right"):
        header += [f"Pupil position {eye} {axis} [HUCS mm]" for axis in "XYZ"]
        header += [f"Gaze direction {eye} {axis} [HUCS norm]" for axis in "XYZ"]
    for row in rows:
        if row[1] != "Eye Tracker":
            row += [""] * 12
            continue
        across = (float(row[at]) - 960) / 1000
        toward = np.array([-across, 0.1, 1]) / np.linalg.norm([across, 0.1, 1])
        row += [*("30", "-15", "-25"), *(f"{value:.5f}" for value in toward)]
        row += [*("-30", "-15", "-25"), *(f"{value:.5f}" for value in toward)]
    return Sheet([header, *rows])


# ---------------------------------------------------------------- on snapshots


def test_fixations_on_a_snapshot_are_read_and_no_samples(tmp_path):
    recording = read_one(glasses(), tmp_path)
    assert (recording.subject, recording.name) == ("P01", "Recording1")
    assert recording.samples.empty
    fixations = recording.fixations
    assert set(fixations["stimulus"]) == {"snap"}
    assert fixations[["x_px", "y_px"]].to_numpy().tolist() == [[900, 500], [1100, 640]]
    assert fixations["trial"].tolist() == [1, 1]
    assert fixations["order"].tolist() == [1, 2]
    # samples 10 .. 38 and 41 .. 69 of 20 ms each, of an interval that begins with 10
    assert fixations["onset_ms"].tolist() == [0, 620]
    assert fixations["duration_ms"].tolist() == [580, 580]
    assert recording.placements == {"snap": Placement(0, 0, 800, 600, 800, 600)}
    assert recording.skipped == {"gyroscope rows": 80, "event rows": 2}


def test_snapshots_of_unknown_size_have_no_place(tmp_path):
    sheet = glasses().without(lambda name: name.startswith("Media"))
    recording = read_one(sheet, tmp_path)
    assert recording.placements == {}
    assert len(recording.fixations) == 2


def test_ingest_brings_fixations_onto_the_snapshot(tmp_path):
    sheet = glasses().filled("Media width [snap]", "1600").filled("Media height [snap]", "900")
    table = ingest([sheet.write(tmp_path / "export.tsv")], IngestSpec()).fixations
    assert table[["x_im", "y_im"]].to_numpy().tolist() == [[900, 500], [1100, 640]]
    assert table["image_width"].tolist() == [1600, 1600]
    assert set(table["source"]) == {"vendor:tobii-glasses"}


def test_each_interval_is_a_trial(tmp_path):
    sheet = glasses()
    at = sheet.index("Recording timestamp [μs]")
    end = next(i for i, row in enumerate(sheet.rows) if row[4] == "snap IntervalEnd")
    split = [["690000", "", "P01", "Recording1", "snap IntervalEnd", *[""] * 14]]
    split += [["820000", "", "P01", "Recording1", "snap IntervalStart", *[""] * 14]]
    sheet.rows = [*sheet.rows[:end], *split, *sheet.rows[end:]]
    fixations = read_one(sheet, tmp_path).fixations
    assert at == 0
    assert fixations["trial"].tolist() == [1, 2]
    assert fixations["onset_ms"].tolist() == [0, 0]
    # from sample 10 to the one before 690 ms, and from the one at 830 ms
    assert fixations["duration_ms"].tolist() == [24 * 20, 580]


def test_an_interval_without_an_end_lasts_to_the_end(tmp_path):
    sheet = glasses().where("Event", lambda event: "End" not in event)
    pd.testing.assert_frame_equal(
        read_one(sheet, tmp_path).fixations, read_one(glasses(), tmp_path).fixations
    )


def test_without_intervals_mapped_rows_are_a_trial(tmp_path):
    sheet = glasses().where("Event", lambda event: not event)
    pd.testing.assert_frame_equal(
        read_one(sheet, tmp_path).fixations, read_one(glasses(), tmp_path).fixations
    )


def test_two_snapshots_have_fixations_of_their_own(tmp_path):
    other = glasses().renamed(lambda name: name.replace("[snap]", "[a - b]"))
    header, *rows = glasses().rows
    mapped = [i for i, name in enumerate(other.rows[0]) if "[a - b]" in name]
    header += [other.rows[0][i] for i in mapped]
    # the second half of the time, without an interval of its own
    for number, (row, twin) in enumerate(zip(rows, other.rows[1:], strict=True)):
        row += [twin[i] if number > len(rows) / 2 else "" for i in mapped]
    recording = read_one(Sheet([header, *rows]), tmp_path)
    assert recording.fixations["stimulus"].tolist() == ["snap", "snap", "a - b"]
    assert recording.fixations["trial"].tolist() == [1, 1, 2]
    assert set(recording.placements) == {"snap", "a - b"}


def test_a_fixation_without_a_place_is_left_out(tmp_path):
    sheet = glasses().filled("Mapped fixation X [snap]", lambda v: "" if v == "900" else v)
    assert read_one(sheet, tmp_path).fixations["x_px"].tolist() == [1100]


def test_recordings_that_were_not_mapped_are_counted(tmp_path):
    other = glasses().filled("Participant name", "P02")
    for name in other.rows[0]:
        other = other.filled(name, "") if name.startswith("Mapped") else other
    path = Sheet([*glasses().rows, *other.rows[1:]]).write(tmp_path / "export.tsv")
    (recording,) = read(path)
    assert recording.subject == "P01"
    assert recording.skipped["recordings without a fixation"] == 1


def test_names_that_r_mangled_say_the_same(tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(glasses().write(tmp_path / "export.tsv"))
    mangled = glasses().renamed(
        lambda name: "".join(c if c.isalnum() else "." for c in name.replace("μ", "U."))
    )
    assert_same(plain, read(mangled.write(tmp_path / "b" / "export.tsv")))


def test_intervals_belong_to_snapshots_whose_names_r_mangled(tmp_path):
    sheet = glasses().cells(lambda cell: cell.replace("snap ", "shelf 1 (a) "))
    sheet = sheet.renamed(lambda name: name.replace("[snap]", "[shelf 1 (a)]"))
    mapped = [row for row in sheet.rows[1:] if row[sheet.index("Media width [shelf 1 (a)]")]]
    for row in mapped[:5]:
        row[7:13] = [""] * 6
    plain = read_one(sheet, tmp_path).fixations
    mangled = sheet.renamed(
        lambda name: "".join(c if c.isalnum() else "." for c in name.replace("μ", "U."))
    )
    found = read_one(mangled, tmp_path).fixations
    assert set(found["stimulus"]) == {"shelf.1..a."}
    assert found["onset_ms"].tolist() == plain["onset_ms"].tolist() == [100, 620]


@pytest.mark.parametrize("separator", [",", ";"])
def test_what_a_spreadsheet_saves_says_the_same(separator, tmp_path):
    sheet = glasses()
    (tmp_path / "b").mkdir()
    sheet.rows[1] = sheet.rows[1][:-3]
    plain = read(sheet.write(tmp_path / "export.tsv"))
    assert_same(plain, read(Sheet(sheet.rows, separator).write(tmp_path / "b" / "export.csv")))


def test_other_names_of_what_belongs_to_a_snapshot(tmp_path):
    sheet = glasses().renamed(
        lambda name: (
            name.replace("Media w", "W").replace("Media h", "H").replace("type index", "index")
        )
    )
    assert "Width [snap]" in sheet.rows[0]
    assert_same([read_one(glasses(), tmp_path)], [read_one(sheet, tmp_path)])


def test_without_types_of_a_snapshot_those_of_the_scene_count(tmp_path):
    sheet = glasses().without(lambda name: name.startswith("Mapped eye movement type"))
    assert_same([read_one(glasses(), tmp_path)], [read_one(sheet, tmp_path)])
    sheet = sheet.where("Event", lambda event: not event)
    assert read_one(sheet, tmp_path).fixations["trial"].tolist() == [1, 1]
    places = [i for i, name in enumerate(sheet.rows[0]) if name.startswith("Mapped")]
    for row in sheet.rows[100:110]:
        for place in places:
            row[place] = ""
    assert read_one(sheet, tmp_path).fixations["trial"].tolist() == [1, 1, 2]


# ---------------------------------------------------------------- rows of other sensors


def test_without_sensors_rows_of_motion_are_no_samples(tmp_path):
    sheet = scene().without(lambda name: name == "Sensor")
    recording = read_one(sheet, tmp_path)
    pd.testing.assert_frame_equal(recording.samples, read_one(scene(), tmp_path).samples)
    assert recording.skipped == {"event rows": 82}


def test_damaged_rows_of_other_sensors_are_counted(tmp_path):
    sheet = glasses()
    sheet.rows[1] = sheet.rows[1][:-3]
    recording = read_one(sheet, tmp_path)
    assert recording.skipped["gyroscope rows"] == 79
    assert recording.skipped["damaged rows of other sensors"] == 1
    assert len(recording.fixations) == 2


def test_damaged_rows_of_the_eye_tracker_are_named(tmp_path):
    sheet = glasses()
    sheet.rows[1], sheet.rows[4] = sheet.rows[1][:-3], sheet.rows[4][:-3]
    with pytest.raises(FormatError, match=r"tsv:5: line has 16 fields, expected 19"):
        read_one(sheet, tmp_path)
    before = ["Group"] + ['"one, two"'] * (len(sheet.rows) - 1)
    rows = [[cell, *row] for cell, row in zip(before, sheet.rows, strict=True)]
    with pytest.raises(FormatError, match=r"tsv:5: line has 17 fields, expected 20"):
        read_one(Sheet(rows, ","), tmp_path)


@pytest.mark.parametrize("unit", ["Recording timestamp [ms]", "Recording timestamp"])
def test_times_in_ms_say_the_same(unit, tmp_path):
    sheet = glasses().filled("Recording timestamp [μs]", lambda v: f"{int(v) / 1000:.0f}")
    sheet = sheet.renamed(lambda name: unit if "timestamp" in name else name)
    fixations = read_one(sheet, tmp_path).fixations
    assert fixations["onset_ms"].tolist() == [0, 620]
    assert fixations["duration_ms"].tolist() == [580, 580]


# ---------------------------------------------------------------- in the scene video


def test_clocks_of_many_recordings_that_begin_anew_count_us(tmp_path):
    header, *rows = scene().rows
    name = header.index("Recording name")
    bare = [column.removesuffix(" [μs]") for column in header]
    at = bare.index("Recording timestamp")
    many = [
        [
            f"R{i}" if k == name else str(int(cell) + 100 * i) if k == at else cell
            for k, cell in enumerate(row)
        ]
        for i in range(60)
        for row in rows
    ]
    found = read(Sheet([bare, *many]).write(tmp_path / "export.tsv"))
    assert len(found) == 60
    assert {np.diff(recording.samples["tracker_time_us"]).min() for recording in found} == {20_000}


def test_without_snapshots_gaze_is_that_in_the_video(tmp_path):
    recording = read_one(scene(), tmp_path)
    samples = recording.samples
    assert len(samples) == 80
    assert samples["x_px"].iloc[[0, -1]].tolist() == [900, 1100]
    assert samples["tracker_time_us"].iloc[:2].tolist() == [10_000, 30_000]
    # before the interval, in it, behind it
    assert samples.groupby("trial").size().to_dict() == {0: 20, 1: 60}
    assert recording.fixations["x_px"].tolist() == [900, 1100]
    assert recording.fixations["duration_ms"].tolist() == [780, 780]


def test_the_filter_says_which_of_our_settings_stand_closest(tmp_path):
    header, *rows = scene().rows
    named = [[*header, "Recording Fixation filter name"]]
    named += [[*row, "Tobii I-VT (Attention)"] for row in rows]
    assert read_one(Sheet(named), tmp_path).profile == "tobii-prolab-attention"
    assert read_one(scene(), tmp_path).profile == "tobii-prolab"


def test_durations_in_us_are_told_by_their_samples(tmp_path):
    sheet = scene().filled("Gaze event duration [ms]", "580000")
    sheet = sheet.renamed(
        lambda name: name.replace("Gaze event duration [ms]", "Eye movement event duration")
    )
    assert read_one(sheet, tmp_path).fixations["duration_ms"].tolist() == [580, 580]


def test_a_clock_in_us_that_janitor_calls_ms_counts_us(tmp_path):
    sheet = scene().renamed(lambda name: name.replace("timestamp [μs]", "timestamp_ms"))
    pd.testing.assert_frame_equal(
        read_one(sheet, tmp_path).samples, read_one(scene(), tmp_path).samples
    )


def test_the_size_of_the_video_is_that_of_the_screen(tmp_path):
    header, *rows = scene().rows
    header += ["Recording media name", "Recording media width [px]", "Recording media height [px]"]
    rows = [[*row, "scene.mp4", "1920", "1080"] for row in rows if not row[4]]
    recording = read_one(Sheet([header, *rows]), tmp_path)
    assert recording.screen_px == (1920, 1080)
    assert set(recording.samples["stimulus"]) == {"scene.mp4"}


def test_eyes_are_turned_to_display_coordinates(tmp_path):
    samples = read_one(with_directions(scene()), tmp_path).samples
    assert samples["left_eye_x_mm"].eq(-30).all()
    assert samples["left_eye_y_mm"].eq(15).all()
    assert samples["left_eye_z_mm"].eq(25).all()
    assert (samples["left_dir_z"] < 0).all()
    assert samples["left_valid"].all()
    # looking right of the middle is right
    assert (samples["left_dir_x"].gt(0) == samples["x_px"].gt(960)).all()
    found = detect(samples, PROFILES["tobii-prolab"])
    assert sorted({*found.index[found.label == 1]}) == [1, 2]


def test_fixations_alone_are_read_without_samples(tmp_path):
    sheet = scene().without(lambda name: name.startswith("Gaze point"))
    recording = read_one(sheet, tmp_path)
    assert recording.samples.empty
    assert recording.fixations["x_px"].tolist() == [900, 1100]
    assert "first_row" not in recording.fixations


def test_an_export_of_neither_says_what_to_tick(tmp_path):
    sheet = scene().without(lambda name: name.startswith(("Gaze point", "Fixation point")))
    with pytest.raises(FormatError, match="neither mapped fixations nor gaze in any recording"):
        read_one(sheet, tmp_path)
    with pytest.raises(FormatError, match="no eye-tracker rows with a time among 80"):
        read_one(glasses().where("Sensor", lambda sensor: sensor == "Gyroscope"), tmp_path)
    damaged = tmp_path / "damaged.tsv"
    damaged.write_text("Recording timestamp Mapped\tMapped\n,5ion Y [pmovement type\t[]\n")
    with pytest.raises(FormatError, match=r"tsv:1: no column 'Recording timestamp \[μs\]' among 2"):
        tobii_glasses.read(damaged, ReadOptions())


def test_a_project_with_a_screen_is_no_project_with_glasses(tmp_path):
    assert find_reader(prolab().write(tmp_path / "screen.tsv")).name == "tobii-prolab"
    assert find_reader(scene().write(tmp_path / "glasses.tsv")).name == "tobii-glasses"
    bare = scene().without(lambda name: name == "Gyro X")
    assert find_reader(bare.write(tmp_path / "bare.tsv")).name == "tobii-glasses"
    for name in ("Recording media width", "Gaze 3D position left X"):
        bare = scene().renamed(lambda old: old.replace(" [MCS px]", ""))
        bare = bare.renamed(lambda old, name=name: old.replace("Gyro X", name))
        assert find_reader(bare.write(tmp_path / "bare.tsv")).name == "tobii-glasses"


# ---------------------------------------------------------------- real data


@pytest.mark.real
def test_a_fragment_of_a_mobile_recording(data_folder):
    path = data_folder / "exports" / "tobii" / "prolab_fragment_gazeplotter_testMobileTsvData.tsv"
    (recording,) = read(path)
    assert (recording.subject, recording.name) == ("Y1", "Recording 16")
    (fixation,) = recording.fixations.itertuples()
    assert (fixation.stimulus, fixation.x_px, fixation.y_px) == ("geostul_snap", 1213, 735)
    assert fixation.duration_ms == pytest.approx(460, abs=1)
    assert recording.skipped["damaged rows of other sensors"] == 2


@pytest.mark.real
def test_real_exports_with_a_screen_are_left_to_their_reader(data_folder):
    for path in sorted((data_folder / "exports" / "tobii").glob("prolab*.gz")):
        assert find_reader(path).name == "tobii-prolab"
