"""Neon and Pupil Invisible time series."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.pupil import FIRST_NS, core_folder, neon_folder, neon_gaze, surface_folder

from gazetools.errors import FormatError
from gazetools.readers import ReadOptions, read


def one(path, **options):
    (recording,) = read(path, ReadOptions(**options))
    assert recording.format == "pupil-neon"
    return recording


def test_a_folder_one_above_and_its_files(tmp_path):
    folder = neon_folder(tmp_path)
    recording = one(folder)
    assert (recording.name, recording.subject) == ("r-1", "Ada")
    assert recording.screen_px == (1600, 1200)
    assert not recording.normalised
    assert recording.about["tracker"] == "Neon"
    assert recording.about["focal length"].startswith("891 px")
    for path in (tmp_path, folder / "gaze.csv"):
        assert_same([recording], [one(path)])


@pytest.mark.parametrize("name", ["gaze ps1.raw", "gaze_200hz.raw"])
def test_what_was_not_exported_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"\0\0\0\0")
    with pytest.raises(FormatError, match=r"recorded, expected its time series; download them"):
        read(tmp_path)
    core_folder(tmp_path).joinpath(name).write_bytes(b"\0")
    assert read(tmp_path / "rec7")[0].format == "pupil-core"


@pytest.mark.parametrize("name", ["a", "z"])
def test_mapped_gaze_beside_is_read_instead(name, tmp_path):
    expected = read(surface_folder(tmp_path))
    neon_folder(tmp_path).rename(tmp_path / name)
    found = read(tmp_path)
    assert {recording.format for recording in found} == {"pupil-surface"}
    assert [len(r.samples) for r in found] == [len(r.samples) for r in expected]


def test_names_come_from_the_folder_above(tmp_path):
    neon_folder(tmp_path)
    text = "section id,recording id,recording name,wearer name\ns1,r-1,morning,Bob\n"
    (tmp_path / "sections.csv").write_text(text, encoding="utf-8")
    recording = one(tmp_path)
    assert (recording.name, recording.subject) == ("morning", "Bob")


def test_recordings_of_one_name_in_two_folders_are_told_apart(tmp_path):
    first = neon_folder(tmp_path)
    first.rename(tmp_path / "other")
    second = neon_folder(tmp_path)
    for file in second.glob("*.csv"):
        file.write_text(file.read_text(encoding="utf-8").replace("r-1", "r-2"), encoding="utf-8")
    text = "section id,recording id,recording name\ns1,r-1,morning\ns2,r-2,morning\n"
    (tmp_path / "sections.csv").write_text(text, encoding="utf-8")
    found = read(tmp_path)
    assert [recording.name for recording in found] == ["morning r-2", "morning r-1"]
    assert [len(recording.samples) for recording in found] == [120, 120]


def test_nanoseconds_keep_their_digits(tmp_path):
    samples = one(neon_folder(tmp_path)).samples
    assert samples["tracker_time_us"].iloc[0] == FIRST_NS // 1000
    assert set(samples["tracker_time_us"].diff().dropna()) == {5000}


def test_events_end_where_the_next_sample_begins(tmp_path):
    recording = one(neon_folder(tmp_path))
    fixations = recording.fixations
    assert fixations["duration_ms"].tolist() == [250, 300]
    assert fixations[["first_row", "last_row"]].to_numpy().tolist() == [[0, 49], [60, 119]]
    assert recording.saccades["amplitude_deg"].tolist() == [42.5]
    assert recording.blinks["duration_ms"].tolist() == [20]
    label = recording.samples["vendor_event"]
    assert label.iloc[[49, 50, 59, 60]].tolist() == ["fixation", "saccade", "saccade", "fixation"]


def test_pupils_come_from_their_own_file(tmp_path):
    samples = one(neon_folder(tmp_path)).samples
    assert samples["left_pupil_mm"].iloc[0] == 3.5
    assert samples["right_pupil_mm"].iloc[4] == 3.254
    assert np.isnan(samples["left_pupil_mm"].iloc[1])


def test_gaze_is_missing_while_not_worn(tmp_path):
    recording = one(neon_folder(tmp_path))
    assert recording.samples["x_px"].isna().tolist() == [i >= 117 for i in range(120)]
    assert recording.skipped == {"samples while not worn (kept, without gaze)": 3}


def test_the_rule_for_trials_reads_events(tmp_path):
    folder = neon_folder(tmp_path)
    samples = one(folder, trial_from=r"show (.+)").samples
    assert samples["trial"].tolist() == [0] * 10 + [1] * 60 + [2] * 50
    assert set(samples["stimulus"].dropna()) == {"a.jpg", "b.jpg"}
    assert set(one(folder).samples["trial"]) == {1}
    (folder / "events.csv").unlink()
    with pytest.raises(FormatError, match="no message matches 'show', with which trials are to"):
        one(folder, trial_from="show")
    (folder / "gaze.csv").unlink()
    with pytest.raises(FormatError, match="a list of fixations has no messages"):
        one(folder, trial_from="show")


def test_files_with_a_prefix_and_fixations_alone(tmp_path):
    folder = neon_folder(tmp_path, "P01_")
    recording = one(folder / "P01_gaze.csv")
    assert recording.subject == "Ada"
    assert len(recording.fixations) == 2
    (folder / "P01_gaze.csv").rename(folder / "else.csv")
    alone = one(folder / "P01_fixations.csv")
    assert alone.samples.empty
    assert alone.fixations["onset_ms"].tolist() == [0, 300]


def test_without_gaze_the_events_are_listed(tmp_path):
    folder = neon_folder(tmp_path)
    whole = one(folder)
    (folder / "gaze.csv").unlink()
    recording = one(folder)
    assert recording.samples.empty
    assert recording.fixations["onset_ms"].tolist() == [0, 300]
    assert recording.saccades["onset_ms"].tolist() == [250]
    assert recording.saccades["amplitude_deg"].tolist() == [42.5]
    assert recording.blinks["onset_ms"].tolist() == [500]
    assert recording.skipped == {}
    for name in ("saccades", "blinks"):
        # with gaze the trial begins half a sample before the first
        same = getattr(whole, name).assign(onset_ms=lambda rows: rows["onset_ms"] - 2.5)
        pd.testing.assert_frame_equal(getattr(recording, name), same)


def test_without_gaze_the_first_event_begins_the_trial(tmp_path):
    folder = neon_folder(tmp_path)
    (folder / "gaze.csv").unlink()
    blinks = (folder / "blinks.csv").read_text(encoding="utf-8")
    early, none = FIRST_NS - 40_000_000, FIRST_NS - 60_000_000
    blinks += f"s1,r-1,2,{early},{FIRST_NS},40\ns1,r-1,3,{none},{none},0\n"
    (folder / "blinks.csv").write_text(blinks, encoding="utf-8")
    recording = one(folder)
    assert recording.blinks["onset_ms"].tolist() == [0, 540]
    assert recording.fixations["onset_ms"].tolist() == [40, 340]
    assert recording.skipped == {"blinks without a duration": 1}


def test_several_recordings_in_one_file(tmp_path):
    sheet = neon_gaze()
    for row in sheet.rows[61:]:
        row[1] = "r-2"
    first, second = read(sheet.write(tmp_path / "gaze.csv"))
    assert (first.name, second.name) == ("r-1", "r-2")
    assert (len(first.samples), len(second.samples)) == (60, 60)


def test_without_ids_the_name_is_that_of_the_file(tmp_path):
    sheet = neon_gaze().without(lambda name: name.endswith(" id"))
    assert one(sheet.write(tmp_path / "P09_gaze.csv")).name == "P09"


def test_sections_that_overlap_are_read_once(tmp_path):
    folder = neon_folder(tmp_path)
    sheet = neon_gaze()
    again = [["s2", *row[1:]] for row in sheet.rows[31:61]]
    sheet.rows += again
    sheet.write(folder / "gaze.csv")
    kinds = ("fixations", "saccades", "blinks")
    for kind in kinds:
        events = Sheet.load(folder / f"{kind}.csv", ",")
        events.rows.append(["s2", *events.rows[1][1:]])
        events.write(folder / f"{kind}.csv")
    recording = one(folder)
    assert len(recording.samples) == 120
    assert recording.skipped["repeated times"] == 30
    (folder / "gaze.csv").unlink()
    for found in (recording, one(folder)):
        assert [len(getattr(found, kind)) for kind in kinds] == [2, 1, 1]
        assert [found.skipped[f"{kind} listed again"] for kind in kinds] == [1, 1, 1]


def test_damage_is_named(tmp_path):
    sheet = neon_gaze()
    sheet.rows[3][2] = "1.5"
    with pytest.raises(FormatError, match=r"gaze\.csv:4: column 'timestamp \[ns\]' holds '1.5'"):
        read(sheet.write(tmp_path / "gaze.csv"))
    empty = neon_gaze().filled("timestamp [ns]", "")
    with pytest.raises(FormatError, match="no row has a time"):
        read(empty.write(tmp_path / "gaze.csv"))


def test_a_name_of_half_a_surrogate_pair_is_refused(tmp_path):
    path = neon_folder(tmp_path)
    (info,) = path.rglob("info.json")
    info.write_text('{"wearer_name": "\\ud800"}', encoding="utf-8")
    with pytest.raises(FormatError, match=r"info\.json: is not JSON .*surrogates not allowed"):
        read(path)


def test_a_focal_length_without_end_is_none(tmp_path):
    path = neon_folder(tmp_path)
    (camera,) = path.rglob("scene_camera.json")
    camera.write_text(f'{{"camera_matrix": [[1{"0" * 400}]]}}', encoding="utf-8")
    assert "focal length" not in read(path)[0].about
