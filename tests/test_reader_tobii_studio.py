"""Tobii Studio 3: what its columns mean, in which variants they come."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from exports import INTERVAL_US, Sheet, assert_same
from exports.tobii import studio

from gazetools.errors import FormatError
from gazetools.events import PROFILES, detect
from gazetools.geometry import Placement, Screen
from gazetools.readers import pieces, read

EYE_COLUMNS = [
    *(f"{eye}_{axis}_mm" for eye in ("left", "right") for axis in "xy"),
    *(f"{eye}_eye_{axis}_mm" for eye in ("left", "right") for axis in "xyz"),
]


def read_one(sheet, tmp_path):
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    return recording


def agrees(samples):
    found = detect(samples, PROFILES["tobii-studio"])
    return (found.names() == "fixation") == (samples["vendor_event"] == "fixation")


# ---------------------------------------------------------------- meaning


def test_samples_mean_what_the_columns_say(tmp_path):
    recording = read_one(studio(), tmp_path)
    samples = recording.samples
    assert (recording.subject, recording.name) == ("P01", "Rec 01")
    assert len(samples) == 120
    assert recording.skipped == {"event rows": 1}
    assert recording.screen_px == (1920, 1080)
    assert samples["tracker_time_us"].tolist() == [7_010_000 + i * INTERVAL_US for i in range(120)]
    assert samples["t_ms"].iloc[0] == pytest.approx(INTERVAL_US / 2000)
    assert set(samples["stimulus"]) == {"lesion.jpg"}
    assert set(samples["trial"]) == {1}
    assert samples["left_pupil_mm"].eq(3.1).all()
    assert samples["right_pupil_mm"].isna().all()
    assert samples["left_valid"].all()
    assert recording.placements == {"lesion.jpg": Placement(460, 40, 1000, 1000, 1000, 1000)}
    assert recording.about["filter"] == "I-VT filter"
    assert recording.about["software"] == "Tobii Studio 3.4.5"


def test_millimetres_are_turned_to_the_upper_left_corner(tmp_path):
    recording = read_one(studio(), tmp_path)
    samples = recording.samples
    np.testing.assert_allclose(samples["left_x_mm"], samples["x_px"] * 0.275, atol=0.1)
    np.testing.assert_allclose(samples["left_y_mm"], samples["y_px"] * 0.275, atol=0.1)
    # 150 mm above the lower edge of a display of 297 mm, whose lower edge is at 1091 px
    np.testing.assert_allclose(samples["left_eye_y_mm"], 150.0, atol=0.1)
    np.testing.assert_allclose(samples["left_eye_z_mm"], 650.0)
    assert recording.screen == Screen(1920, 1080, 528.0, 297.0, 650.0)


def test_millimetres_that_point_down_stay(tmp_path):
    sheet = studio()
    for eye in ("Left", "Right"):
        sheet = sheet.filled(f"GazePoint{eye}Y (ADCSmm)", lambda v: v and f"{300 - float(v):.2f}")
    samples = read_one(sheet, tmp_path).samples
    np.testing.assert_allclose(samples["left_y_mm"], samples["y_px"] * 0.275, atol=0.1)
    np.testing.assert_allclose(samples["left_eye_y_mm"], 150.0, atol=0.1)


def test_our_detector_agrees_with_the_labels(tmp_path):
    samples = read_one(studio(), tmp_path).samples
    assert agrees(samples).mean() > 0.97


def test_vendor_fixations_are_brought_from_the_media_to_the_screen(tmp_path):
    fixations = read_one(studio(), tmp_path).fixations
    assert fixations[["x_px", "y_px"]].to_numpy().tolist() == [[900, 500], [1100, 640]]
    assert fixations["duration_ms"].tolist() == [492, 492]
    assert fixations["onset_ms"].iloc[0] == 0
    assert fixations[["first_row", "last_row"]].to_numpy().tolist() == [[0, 58], [61, 119]]
    assert set(fixations["source"]) == {"vendor:tobii-studio"}


def test_a_scrolled_page_is_known_by_gaze_on_it(tmp_path):
    sheet = studio()
    for name in ("GazePointY (MCSpx)", "FixationPointY (MCSpx)"):
        sheet = sheet.filled(name, lambda v: v and str(int(v) + 700))
    assert read_one(sheet, tmp_path).fixations["y_px"].tolist() == [500, 640]


def test_without_gaze_on_the_media_its_place_tells(tmp_path):
    sheet = studio().without(lambda name: name.startswith("GazePoint") and "MCSpx" in name)
    assert read_one(sheet, tmp_path).fixations["x_px"].tolist() == [900, 1100]


@pytest.mark.parametrize("what", ["GazePoint", "FixationPoint"])
def test_without_a_place_of_the_media_its_px_are_taken(what, tmp_path):
    sheet = studio().without(
        lambda name: "ADCS" in name or (name.endswith("(MCSpx)") and not name.startswith(what))
    )
    recording = read_one(sheet, tmp_path)
    # of the media, which lay at (460, 40)
    assert recording.fixations["x_px"].tolist() == [440, 640]
    assert recording.fixations["y_px"].tolist() == [460, 600]
    assert recording.samples.empty == (what == "FixationPoint")
    assert recording.placements == {"lesion.jpg": Placement(0, 0, 1000, 1000, 1000, 1000)}
    assert recording.about["place of media"] == "not exported, taken to fill the screen"
    assert "place of media" not in read_one(studio(), tmp_path).about


@pytest.mark.parametrize(
    ("filter_name", "prefers_vendor"),
    [("I-VT filter", False), ("", False), ("Tobii Fixation Filter", True)],
)
def test_what_filters_of_another_kind_found_is_taken(filter_name, prefers_vendor, tmp_path):
    recording = read_one(studio().filled("FixationFilter", filter_name), tmp_path)
    assert recording.prefers_vendor == prefers_vendor


def test_a_fixation_off_the_media_is_where_gaze_was(tmp_path):
    sheet = studio().filled("FixationPointX (MCSpx)", "")
    assert read_one(sheet, tmp_path).fixations["x_px"].tolist() == [900, 1100]


@pytest.mark.parametrize(("code", "valid"), [("0", True), ("1", True), ("2", False), ("4", False)])
def test_codes_up_to_1_are_valid(code, valid, tmp_path):
    sheet = studio().filled("ValidityLeft", code)
    samples = read_one(sheet, tmp_path).samples
    assert samples["left_valid"].eq(valid).all()
    assert samples["left_x_mm"].notna().eq(valid).all()
    assert samples["right_valid"].all()
    assert samples["x_px"].notna().all()


def test_gaze_is_missing_where_no_eye_is_valid(tmp_path):
    sheet = studio().filled("ValidityLeft", "4").filled("ValidityRight", "4")
    samples = read_one(sheet, tmp_path).samples
    assert samples["x_px"].isna().all()
    assert not samples["left_valid"].any()


# ---------------------------------------------------------------- variants


def test_names_that_r_mangled_and_decimal_commas_say_the_same(tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(studio().write(tmp_path / "export.tsv"))
    mangled = studio().renamed(lambda name: name.replace(" (", "..").replace(")", "."))
    assert_same(plain, read(mangled.write(tmp_path / "b" / "export.tsv")))
    commas = studio().cells(lambda cell: cell.replace(".", ",") if _is_decimal(cell) else cell)
    assert_same(plain, read(commas.write(tmp_path / "b" / "export.tsv")))


def _is_decimal(cell):
    return "." in cell and cell.replace(".", "").replace("-", "").isdigit() and cell != "3.4.5"


@pytest.mark.parametrize("separator", [";", ","])
def test_a_spreadsheets_separator_says_the_same(separator, tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(studio().write(tmp_path / "export"))
    other = Sheet(studio().rows, separator).write(tmp_path / "b" / "export")
    assert_same(plain, read(other))


def test_a_tab_that_ends_each_row_says_the_same(tmp_path):
    (tmp_path / "b").mkdir()
    plain = read(studio().write(tmp_path / "export"))
    header, *rows = studio().rows
    ended = Sheet([header, *([*row, ""] for row in rows)]).write(tmp_path / "b" / "export")
    assert_same(plain, read(ended))


@pytest.mark.parametrize(
    "unwanted",
    [
        lambda name: name in ("GazePointX (ADCSpx)", "GazePointY (ADCSpx)"),
        lambda name: name.startswith(("GazePointLeft", "GazePointRight")) and "px" in name,
        lambda name: "ADCSpx" in name and name.startswith("GazePoint"),
        lambda name: name.startswith(("Pupil", "StudioEvent", "SaccadeIndex", "Recording")),
        lambda name: name.startswith("Media"),
    ],
)
def test_gaze_is_found_in_what_columns_there_are(unwanted, tmp_path):
    samples = read_one(studio().without(unwanted), tmp_path).samples
    np.testing.assert_allclose(samples["x_px"].iloc[[0, -1]], [900, 1100])
    np.testing.assert_allclose(samples["left_y_mm"].iloc[0], 500 * 0.275, atol=0.1)
    assert agrees(samples).mean() > 0.97


def test_without_gaze_in_mm_no_eye_position_is_known(tmp_path):
    sheet = studio().without(lambda name: name.startswith("GazePoint") and "mm" in name)
    recording = read_one(sheet, tmp_path)
    assert recording.screen is None
    assert recording.samples.reindex(columns=EYE_COLUMNS).isna().all(axis=None)


def test_without_the_trackers_time_the_recordings_is_used(tmp_path):
    recording = read_one(studio().without(lambda name: name == "EyeTrackerTimestamp"), tmp_path)
    assert recording.samples["tracker_time_us"].iloc[:3].tolist() == [10_000, 18_000, 27_000]
    assert recording.skipped == {"event rows": 1}
    assert recording.about["time unit"] == "ms"


def test_of_an_event_and_a_sample_of_one_time_the_sample_is_kept(tmp_path):
    sheet = studio()
    sheet.rows[1][sheet.index("EyeTrackerTimestamp")] = "7010000"
    recording = read_one(sheet, tmp_path)
    pd.testing.assert_frame_equal(recording.samples, read_one(studio(), tmp_path).samples)
    assert recording.skipped == {"repeated times": 1}


def test_of_two_rows_of_one_time_that_with_gaze_is_kept(tmp_path):
    sheet = studio().without(lambda name: name in ("EyeTrackerTimestamp", "StudioEvent"))
    sheet = sheet.without(lambda name: name == "GazePointIndex")
    sheet.rows[1][sheet.index("RecordingTimestamp")] = "10"
    recording = read_one(sheet, tmp_path)
    assert recording.samples["x_px"].iloc[0] == 900
    assert recording.skipped == {"repeated times": 1}


def test_a_number_that_stands_for_no_time_is_none(tmp_path):
    sheet = studio().filled("EyeTrackerTimestamp", lambda time: time or "-9999")
    recording = read_one(sheet, tmp_path)
    assert len(recording.samples) == 120
    assert recording.skipped == {"event rows": 1}


def test_a_trackers_time_in_ms_is_noticed(tmp_path):
    sheet = studio().filled("EyeTrackerTimestamp", lambda v: v and str(int(v) // 1000))
    recording = read_one(sheet, tmp_path)
    assert recording.samples["tracker_time_us"].iloc[:2].tolist() == [7_010_000, 7_018_000]
    assert recording.about["time unit"] == "ms"


def test_the_unit_of_a_trackers_time_is_noticed_in_any_order(tmp_path):
    sheet = studio().filled("EyeTrackerTimestamp", lambda v: v and str(int(v) // 1000))
    header, *rows = sheet.rows
    recording = read_one(Sheet([header, *rows[::-1]]), tmp_path)
    assert recording.about["time unit"] == "ms"


def test_the_unit_of_a_trackers_time_is_that_of_each_recording(tmp_path):
    parts = [
        studio()
        .filled("ParticipantName", f"P{i:02d}")
        .filled("EyeTrackerTimestamp", lambda v, i=i: v and str(int(v) + 130 * i))
        .rows[1:]
        for i in range(60)
    ]
    rows = [studio().rows[0], *(row for part in parts for row in part)]
    found = read(Sheet(rows).write(tmp_path / "export"))
    assert {recording.about["time unit"] for recording in found} == {"us"}
    assert len(found) == 60


def test_labels_are_known_by_the_indices_alone(tmp_path):
    sheet = studio().without(lambda name: name == "GazeEventType")
    both = read_one(studio(), tmp_path), read_one(sheet, tmp_path)
    for name in ("vendor_event", "vendor_event_index"):
        pd.testing.assert_series_equal(both[0].samples[name], both[1].samples[name])


def test_labels_without_indices_are_counted(tmp_path):
    sheet = studio().without(lambda name: name in ("FixationIndex", "SaccadeIndex"))
    recording = read_one(sheet, tmp_path)
    pd.testing.assert_frame_equal(recording.fixations, read_one(studio(), tmp_path).fixations)


def test_fixations_alone_are_read_without_samples(tmp_path):
    sheet = studio().without(lambda name: name.startswith(("GazePoint", "EyePos", "Pupil")))
    recording = read_one(sheet, tmp_path)
    assert recording.samples.empty
    assert recording.fixations["x_px"].tolist() == [900, 1100]
    assert "first_row" not in recording.fixations


# ---------------------------------------------------------------- several recordings


def test_each_participant_and_recording_is_its_own(tmp_path):
    rows = studio().rows
    other = studio().filled("ParticipantName", "P02").rows[1:]
    third = studio().filled("RecordingName", "Rec 02").rows[1:]
    recordings = read(Sheet([*rows, *other, *third]).write(tmp_path / "export"))
    assert [(r.subject, r.name) for r in recordings] == [
        ("P01", "Rec 01"),
        ("P02", "Rec 01"),
        ("P01", "Rec 02"),
    ]
    assert [len(r.fixations) for r in recordings] == [2, 2, 2]
    assert [r.skipped for r in recordings] == [{"event rows": 1}] * 3


def test_recordings_of_one_name_are_told_apart_by_their_clocks(tmp_path):
    later = studio().filled("EyeTrackerTimestamp", lambda v: v and str(int(v) + 60_000_000))
    recordings = read(Sheet([*studio().rows, *later.rows[1:]]).write(tmp_path / "export"))
    assert [r.name for r in recordings] == ["Rec 01", "Rec 01-2"]
    assert [len(r.samples) for r in recordings] == [120, 120]


def test_clocks_that_do_not_run_alike_part_nothing(tmp_path):
    sheet = studio().filled("RecordingTimestamp", lambda v: str(int(v) * 1000))
    assert len(read_one(sheet, tmp_path).samples) == 120


def test_overlapping_segments_of_one_recording_are_merged(tmp_path):
    header, *rows = studio().rows
    recording = read_one(Sheet([header, *rows[:80], *rows[40:]]), tmp_path)
    assert len(recording.samples) == 120
    assert recording.skipped == {"event rows": 1, "repeated times": 40}


def test_trials_are_the_runs_of_a_medium(tmp_path):
    sheet = studio()
    at = sheet.index("MediaName")
    for i, row in enumerate(sheet.rows[1:]):
        row[at] = "a.jpg" if i < 40 else "" if i < 60 else "b.jpg"
    samples = read_one(sheet, tmp_path).samples
    assert samples.groupby("trial")["stimulus"].first().dropna().tolist() == ["a.jpg", "b.jpg"]
    assert set(samples["trial"]) == {0, 1, 2}


def without_indices(sheet):
    return sheet.without(lambda name: name in ("FixationIndex", "SaccadeIndex"))


def without_labels(sheet):
    return without_indices(sheet).without(lambda name: name.startswith("GazeEvent"))


@pytest.mark.parametrize("block_bytes", [1000, 4000, 9000])
@pytest.mark.parametrize("change", [lambda sheet: sheet, without_indices, without_labels])
def test_a_recording_in_pieces_is_the_same(change, block_bytes, tmp_path, monkeypatch):
    sheet = change(studio())
    at = sheet.index("MediaName")
    for i, row in enumerate(sheet.rows[1:]):
        row[at] = "a.jpg" if i < 40 else "" if i < 60 else "b.jpg"
    other = [["P02" if cell == "P01" else cell for cell in row] for row in sheet.rows[1:]]
    path = Sheet([*sheet.rows, *other]).write(tmp_path / "export.tsv")
    whole = read(path)
    monkeypatch.setattr("gazetools.readers.blocks.BLOCK_BYTES", block_bytes)
    monkeypatch.setattr("gazetools.readers.tobii_studio._ENOUGH_ROWS", 80)
    assert len(list(pieces(path))) > 2
    again = read(path)
    assert_same(*map(_of_the_whole, (whole, again)), rtol=1e-4)
    skipped = [sum((Counter(one.skipped) for one in found), Counter()) for found in (whole, again)]
    assert skipped[0] == skipped[1]


def test_a_first_piece_holds_fixations_where_it_decides_whose_are_taken(tmp_path, monkeypatch):
    sheet = studio().filled("FixationFilter", "Tobii Fixation Filter")
    kind = sheet.index("GazeEventType")
    for row in sheet.rows[1:20]:
        row[kind] = "Unclassified"
    for name in (name for name in sheet.rows[0] if name.startswith("GazePoint")):
        # it is then known how millimetres lie on the display
        sheet.rows[2][sheet.index(name)] = sheet.rows[-1][sheet.index(name)]
    path = sheet.write(tmp_path / "export.tsv")
    monkeypatch.setattr("gazetools.readers.blocks.BLOCK_BYTES", path.stat().st_size // 10)
    found = [piece.prefers_vendor for piece in pieces(path)]
    assert found[0]
    assert len(found) > 1


def _of_the_whole(recordings):
    """Leave out what is fitted to the first piece, and what is told by whichever comes first."""
    return [replace(recording, screen=None, skipped={}) for recording in recordings]


# ---------------------------------------------------------------- damage


def test_an_export_without_gaze_says_what_to_tick(tmp_path):
    sheet = studio().without(
        lambda name: name.startswith(("GazePoint", "EyePos", "Fixation")) and "(" in name
    )
    with pytest.raises(FormatError, match=r"tsv:1: no columns 'GazePointX \(ADCSpx\)'"):
        read_one(sheet, tmp_path)


def test_an_export_without_samples_says_so(tmp_path):
    sheet = studio()
    with pytest.raises(FormatError, match="no samples with a time among 1 rows"):
        read_one(Sheet(sheet.rows[:2]), tmp_path)


def test_gaze_in_mm_that_lies_elsewhere_is_left_out(tmp_path):
    rng = np.random.default_rng(0)
    sheet = studio()
    for eye in ("Left", "Right"):
        sheet = sheet.filled(f"GazePoint{eye}X (ADCSmm)", lambda v: v and f"{rng.random():.3f}")
    recording = read_one(sheet, tmp_path)
    assert recording.screen is None
    assert recording.samples.reindex(columns=EYE_COLUMNS).isna().all(axis=None)


# ---------------------------------------------------------------- real data


@pytest.mark.real
def test_studio_3_4_5_is_reproduced_to_the_sample(data_folder):
    path = data_folder / "exports" / "tobii" / "studio3.4.5_x3-120_web_ivt.tsv"
    (recording,) = read(path)
    samples = recording.samples
    assert (recording.subject, recording.name) == ("P01", "Rec 01")
    assert len(samples) == 2910
    assert recording.skipped == {"event rows": 10}
    assert len(recording.fixations) == 74
    assert recording.screen == Screen(1920, 1080, 513.1, 353.1, 553.5)
    assert agrees(samples).all()
    distances = []
    for fixation in recording.fixations.itertuples():
        gaze = samples.loc[fixation.first_row : fixation.last_row, ["x_px", "y_px"]].mean()
        distances.append(np.hypot(gaze["x_px"] - fixation.x_px, gaze["y_px"] - fixation.y_px))
    # the vendor's points count the gaze that it filled in
    assert np.median(distances) < 1
    assert max(distances) < 30
