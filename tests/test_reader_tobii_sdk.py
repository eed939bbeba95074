"""Tobii SDK: names of three generations, and a display that is found from the gaze itself."""

import numpy as np
import pandas as pd
import pytest
from exports import INTERVAL_US, Sheet, assert_same
from exports.tobii import sdk

from gazetools.errors import FormatError
from gazetools.events import PROFILES, detect
from gazetools.readers import read


def read_one(sheet, tmp_path):
    (recording,) = read(sheet.write(tmp_path / "P07.tsv"))
    return recording


def old_names(name):
    eye = name[0].upper()
    for new, old in (
        ("gaze_point_on_display_area_", "GazePos2d"),
        ("gaze_point_in_user_coordinate_system_", "GazePos3d"),
        ("gaze_origin_in_user_coordinate_system_", "EyePos3d"),
        ("gaze_point_validity", "Validity"),
        ("pupil_diameter", "PupilDm"),
    ):
        if new in name:
            return eye + old + name.partition(new)[2]
    return {"device_time_stamp": "Time"}.get(name, "RelTimestamp")


def titta_names(name):
    return name.replace("coordinate_system", "coordinates").replace("validity", "valid")


def in_brackets(sheet):
    """Columns of x, y (and z) as one of tuples, as a dictionary is written to CSV."""
    header, *rows = sheet.rows
    stems = [name[:-2] if name.endswith(("_x", "_y", "_z")) else name for name in header]
    kept = list(dict.fromkeys(stems))
    body = []
    for row in rows:
        cells = {stem: [] for stem in kept}
        for stem, cell in zip(stems, row, strict=True):
            cells[stem].append(cell)
        body.append([f'"({", ".join(v)})"' if len(v) > 1 else v[0] for v in cells.values()])
    return Sheet([kept, *body], ",")


# ---------------------------------------------------------------- meaning


def test_samples_mean_what_the_columns_say(tmp_path):
    recording = read_one(sdk(), tmp_path)
    samples = recording.samples
    assert (recording.subject, recording.name) == ("unnamed", "P07")
    assert recording.normalised
    assert recording.screen_px is None
    assert samples["tracker_time_us"].tolist() == [7_010_000 + i * INTERVAL_US for i in range(120)]
    np.testing.assert_allclose(samples["x_px"].iloc[[0, -1]], [900 / 1920, 1100 / 1920], atol=1e-4)
    assert samples["left_pupil_mm"].eq(3.1).all()
    assert samples["left_valid"].all()
    assert recording.fixations.empty
    assert set(samples["trial"]) == {1}


def test_the_display_is_found_and_gaze_and_eyes_lie_about_it(tmp_path):
    recording = read_one(sdk(), tmp_path)
    samples = recording.samples
    assert recording.about["display"] == "528 x 297 mm"
    np.testing.assert_allclose(samples["left_x_mm"], samples["left_x_px"] * 528, atol=0.02)
    np.testing.assert_allclose(samples["right_y_mm"], samples["right_y_px"] * 297, atol=0.02)
    for axis, place in zip("xyz", (230, 150, 650), strict=True):
        np.testing.assert_allclose(samples[f"left_eye_{axis}_mm"], place, atol=0.5)
    found = detect(samples, PROFILES["tobii-prolab"])
    assert sorted({*found.index[found.label == 1]}) == [1, 2]


def test_points_on_no_rectangle_make_no_millimetres(tmp_path):
    rng = np.random.default_rng(0)
    sheet = sdk()
    for eye in ("left", "right"):
        name = f"{eye}_gaze_point_in_user_coordinate_system_x"
        sheet = sheet.filled(name, lambda _: f"{rng.normal(0, 50):.2f}")
    recording = read_one(sheet, tmp_path)
    assert "display" not in recording.about
    assert "left_eye_x_mm" not in recording.samples


@pytest.mark.parametrize("looks", [slice(0, 2), slice(0, 40)])
def test_gaze_at_one_place_finds_no_display(looks, tmp_path):
    header, *rows = sdk().rows
    recording = read_one(Sheet([header, *rows[looks]]), tmp_path)
    assert "left_eye_x_mm" not in recording.samples


@pytest.mark.parametrize("missing", ["nan", "NaN", "", "-1"])
def test_a_lost_eye_is_missing(missing, tmp_path):
    sheet = sdk().filled("left_gaze_point_validity", "0")
    for axis in "xy":
        sheet = sheet.filled(f"left_gaze_point_on_display_area_{axis}", missing)
    samples = read_one(sheet, tmp_path).samples
    assert (
        samples[["left_x_px", "left_x_mm", "left_eye_x_mm", "left_pupil_mm"]].isna().all(axis=None)
    )
    assert not samples["left_valid"].any()
    np.testing.assert_allclose(samples["x_px"], samples["right_x_px"])


@pytest.mark.parametrize("more", [("trial_number", "image"), ("trial",)])
def test_trials_are_what_the_program_called_so(more, tmp_path):
    header, *rows = sdk().rows
    told = [[*(["1"] * 50 + ["2"] * 70)], ["a.png"] * 120][: len(more)]
    body = [[*row, "S1", *cells] for row, *cells in zip(rows, *told, strict=True)]
    recording = read_one(Sheet([[*header, "participant_id", *more], *body]), tmp_path)
    assert recording.subject == "S1"
    assert recording.samples["trial"].tolist() == [1] * 50 + [2] * 70
    shown = recording.samples["stimulus"].dropna().unique().tolist()
    assert shown == (["a.png"] if "image" in more else [])


@pytest.mark.parametrize("lost", ["-1.0000", "0"])
def test_without_validity_a_place_that_stands_for_none_is_missing(lost, tmp_path):
    sheet = sdk().without(lambda name: "validity" in name)
    for axis in "xy":
        sheet = sheet.filled(f"left_gaze_point_on_display_area_{axis}", lost)
    samples = read_one(sheet, tmp_path).samples
    assert samples["left_x_px"].isna().all()
    assert samples["right_x_px"].notna().all()


def test_eyes_and_pupils_have_validities_of_their_own(tmp_path):
    sheet = sdk()
    sheet.rows = [
        [*row, *(("left_gaze_origin_validity", "left_pupil_validity") if i == 0 else ("0", "0"))]
        for i, row in enumerate(sheet.rows)
    ]
    samples = read_one(sheet, tmp_path).samples
    assert samples["left_x_px"].notna().all()
    assert samples[["left_eye_x_mm", "left_pupil_mm"]].isna().all(axis=None)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name_of", [old_names, titta_names])
def test_other_generations_names_say_the_same(name_of, tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(sdk().write(tmp_path / "P07.tsv"))
    sheet = sdk().renamed(name_of)
    if name_of is old_names:
        sheet = sheet.filled("LValidity", "0").filled("RValidity", "1")
    assert_same(plain, read(sheet.write(tmp_path / "b" / "P07.tsv")))


def test_truth_may_be_written_in_words(tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(sdk().write(tmp_path / "P07.tsv"))
    sheet = sdk().filled("left_gaze_point_validity", "True")
    assert_same(plain, read(sheet.write(tmp_path / "b" / "P07.tsv")))


def test_tuples_of_a_dictionary_say_the_same(tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(sdk().write(tmp_path / "P07.csv"))
    assert_same(plain, read(in_brackets(sdk()).write(tmp_path / "b" / "P07.csv")))


def test_tuples_of_nan_are_missing(tmp_path):
    sheet = in_brackets(sdk()).filled("left_gaze_point_on_display_area", '"(nan, nan)"')
    samples = read_one(sheet, tmp_path).samples
    assert samples["left_x_px"].isna().all()
    assert not samples["left_valid"].any()


@pytest.mark.parametrize("bad", ["(0.5)", "(0.5, 0.5, 0.5)", "(a, b)", "half"])
def test_tuples_of_other_things_are_named(bad, tmp_path):
    sheet = in_brackets(sdk())
    sheet.rows[4][sheet.index("left_gaze_point_on_display_area")] = f'"{bad}"'
    says = r"tsv:5: 'left_gaze_point_on_display_area' is .*, expected 2 numbers in brackets"
    with pytest.raises(FormatError, match=says):
        read_one(sheet, tmp_path)


def test_a_validity_of_another_kind_is_named(tmp_path):
    sheet = sdk()
    sheet.rows[4][sheet.index("right_gaze_point_validity")] = "perhaps"
    with pytest.raises(FormatError, match=r"tsv:5: 'right_gaze_point_validity' is 'perhaps'"):
        read_one(sheet, tmp_path)


# ---------------------------------------------------------------- time


def test_the_trackers_clock_goes_before_the_computers(tmp_path):
    sheet = sdk().without(lambda name: name == "device_time_stamp")
    assert read_one(sheet, tmp_path).samples["tracker_time_us"].iloc[0] == 900_000_000


@pytest.mark.parametrize(("unit", "us"), [("ms", 1e3), ("s", 1e6)])
def test_clocks_may_have_been_turned_to_another_unit(unit, us, tmp_path):
    sheet = sdk().filled("device_time_stamp", lambda v: f"{int(v) / us:.6f}")
    recording = read_one(sheet, tmp_path)
    assert recording.about["time unit"] == unit
    before = read_one(sdk(), tmp_path).samples
    pd.testing.assert_frame_equal(recording.samples, before)


def test_a_clock_of_one_stamp_counts_us(tmp_path):
    recording = read_one(Sheet(sdk().rows[:2]), tmp_path)
    assert recording.about["time unit"] == "us"
    assert recording.samples["tracker_time_us"].iloc[0] == int(sdk().rows[1][0])


def test_relative_times_are_in_ms(tmp_path):
    sheet = sdk().renamed(old_names).without(lambda name: name == "Time")
    recording = read_one(sheet.filled("RelTimestamp", lambda v: str(int(v) / 1000)), tmp_path)
    assert recording.samples["tracker_time_us"].iloc[0] == 900_000_000
    assert recording.about["time unit"] == "ms"


def test_without_a_time_the_error_says_so(tmp_path):
    sheet = sdk().without(lambda name: "time_stamp" in name)
    with pytest.raises(FormatError, match="tsv:1: no column 'device_time_stamp'"):
        read_one(sheet, tmp_path)
    with pytest.raises(FormatError, match="no rows with a time among 120"):
        read_one(sdk().filled("device_time_stamp", "").filled("system_time_stamp", ""), tmp_path)


def test_a_clock_that_jumps_back_begins_a_new_recording(tmp_path):
    header, *rows = sdk().rows
    later = sdk().filled("device_time_stamp", lambda v: str(int(v) - 5_000_000)).rows[1:]
    recordings = read(Sheet([header, *rows, *later]).write(tmp_path / "P07.tsv"))
    assert [r.name for r in recordings] == ["P07", "P07-2"]


def test_rows_without_a_time_and_repeats_are_counted(tmp_path):
    sheet = sdk()
    sheet.rows[5][0] = ""
    sheet.rows[7][0] = sheet.rows[6][0]
    recording = read_one(sheet, tmp_path)
    assert recording.skipped == {"rows without a tracker time": 1, "repeated times": 1}


# ---------------------------------------------------------------- real data


@pytest.mark.real
def test_tx300_of_the_older_sdk(data_folder):
    (recording,) = read(data_folder / "exports" / "tobii_sdk" / "i2mc_tx300_p1_1.tsv")
    samples = recording.samples
    assert len(samples) == 651
    assert samples["left_valid"].sum() == 642
    assert 1e6 / np.median(np.diff(samples["tracker_time_us"])) == pytest.approx(300, rel=0.01)
    # the TX300's display is of 23 inches
    assert recording.about["display"] == "514 x 290 mm"
    assert samples["left_eye_z_mm"].between(500, 700).sum() == 642
    assert samples["left_x_mm"].between(0, 514).sum() == 642
    found = detect(samples, PROFILES[recording_profile()])
    assert len({*found.index[found.label == 1]}) >= 3


def recording_profile():
    from gazetools.readers.tobii_sdk import READER

    return READER.profile
