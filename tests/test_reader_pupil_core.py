"""Pupil Core: exports of Pupil Player."""

import shutil

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.pupil import (
    core_fixations,
    core_folder,
    core_gaze,
    core_surface_fixations,
    core_surface_gaze,
)

from gazetools.errors import FormatError
from gazetools.geometry import Screen
from gazetools.ingestion import IngestSpec, ingest
from gazetools.inspection import inspect
from gazetools.readers import ReadOptions, read, reasons


def one(path):
    (recording,) = read(path)
    assert recording.format == "pupil-core"
    return recording


def test_a_folder_its_export_and_its_files_are_one_recording(tmp_path):
    folder = core_folder(tmp_path)
    recording = one(folder)
    assert recording.name == "P07"
    assert recording.normalised
    assert recording.about["software"] == "Pupil Capture"
    export = folder / "exports" / "000"
    for path in (export, export / "gaze_positions.csv", export / "fixations.csv"):
        assert_same([recording], [one(path)])


@pytest.mark.parametrize("surfaces", [False, True])
def test_annotations_begin_trials(surfaces, tmp_path):
    folder = core_folder(tmp_path, surfaces=surfaces)
    (folder / "exports" / "000" / "annotations.csv").write_text(
        "index,timestamp,label,duration,added_in_capture\n"
        "1,329367.55,show a.jpg,0.0,True\n3,329367.7,key,0.0,True\n6,329367.8,show b.jpg,0.0,True\n"
    )
    (recording,) = read(folder, ReadOptions(trial_from=r"show (\S+)"))
    assert recording.samples["trial"].tolist() == [0] * 10 + [1] * 50 + [2] * 60
    stimulus = recording.samples["stimulus"]
    assert stimulus.iloc[:10].isna().all()
    assert stimulus.iloc[10:].tolist() == ["a.jpg"] * 50 + ["b.jpg"] * 60
    (plain,) = read(folder)
    assert set(plain.samples["trial"]) == {1}
    with pytest.raises(FormatError, match="no message matches 'present', with which trials are to"):
        read(folder, ReadOptions(trial_from="present"))
    (folder / "exports" / "000" / "annotations.csv").unlink()
    with pytest.raises(FormatError, match="no message matches 'show', with which trials are to"):
        read(folder, ReadOptions(trial_from="show"))
    for file in (folder / "exports" / "000").rglob("gaze_*.csv"):
        file.unlink()
    with pytest.raises(FormatError, match="a list of fixations has no messages"):
        read(folder, ReadOptions(trial_from="show"))


@pytest.mark.parametrize("name", ["gaze.pldata", "pupil_data"])
def test_what_was_not_exported_is_refused(name, tmp_path):
    folder = core_folder(tmp_path)
    (folder / name).write_bytes(b"\x82\xa5")
    assert one(folder).name == "P07"
    shutil.rmtree(folder / "exports")
    with pytest.raises(FormatError, match=r"what Pupil Capture recorded, .* in Pupil Player"):
        read(folder)


def test_the_last_export_counts(tmp_path):
    folder = core_folder(tmp_path)
    newer = folder / "exports" / "001"
    newer.mkdir()
    core_gaze().write(newer / "gaze_positions.csv")
    assert one(folder).fixations.empty


def test_files_with_a_prefix(tmp_path):
    core_gaze().write(tmp_path / "P03_gaze_positions.csv")
    core_fixations().write(tmp_path / "P03_fixations.csv")
    core_fixations().write(tmp_path / "P04_fixations.csv")
    recording = one(tmp_path / "P03_gaze_positions.csv")
    assert recording.name == "P03"
    assert len(recording.fixations) == 2
    alone = one(tmp_path / "P04_fixations.csv")
    assert alone.samples.empty
    assert alone.fixations["onset_ms"].tolist() == [0, 300]


def test_the_origin_is_turned_over(tmp_path):
    recording = one(core_folder(tmp_path))
    np.testing.assert_allclose(recording.samples[["x_px", "y_px"]].iloc[0], [0.3, 0.4])
    np.testing.assert_allclose(recording.fixations["y_px"], [0.4, 0.6])


def test_units_of_time(tmp_path):
    recording = one(core_folder(tmp_path))
    assert recording.fixations["duration_ms"].tolist() == [245, 295]
    np.testing.assert_allclose(recording.fixations["onset_ms"], [2.5, 302.5])
    rows = recording.fixations[["first_row", "last_row"]].to_numpy().tolist()
    assert rows == [[0, 49], [60, 119]]
    np.testing.assert_allclose(recording.blinks["duration_ms"], [20])
    assert recording.samples["tracker_time_us"].iloc[1] == 329_367_505_000


def test_unsure_gaze_is_missing(tmp_path):
    recording = one(core_folder(tmp_path))
    assert recording.samples["x_px"].isna().tolist() == [80 <= i < 84 for i in range(120)]
    assert recording.skipped == {"samples of low confidence (kept, without gaze)": 4}


def in_3d(rows):
    """Add points that gaze meets, 800 mm in front of a camera that sees 60 degrees across."""
    header, *rows = rows
    yield [*header, *(f"gaze_point_3d_{axis}" for axis in "xyz")]
    for row in rows:
        x, y = (float(cell) - 0.5 for cell in row[3:5])
        yield [*row, f"{924 * x:.4f}", f"{-924 * y:.4f}", "800.0"]


def test_gaze_in_3d_gives_directions_and_fixations_without_a_screen(tmp_path):
    path = Sheet([*in_3d(core_gaze().rows)], ",").write(tmp_path / "gaze_positions.csv")
    samples = one(path).samples
    for eye in ("left", "right"):
        direction = samples[[f"{eye}_dir_{axis}" for axis in "xyz"]].to_numpy()
        np.testing.assert_allclose(np.linalg.norm(direction[:80], axis=1), 1)
        assert np.isnan(direction[80:84]).all(), "of low confidence"
        assert (direction[0] < 0).all(), "left of, above and towards what the camera sees"
        assert (direction[-1, :2] > 0).all()
    (facts,) = inspect(path).recordings
    assert facts.angles
    assert not facts.eye_positions
    # a screen tells the size of the picture, and takes the directions' place no more
    for screen in (None, Screen(1000, 800, 500, 400, 600)):
        found = ingest([path], IngestSpec(screen=screen))
        assert set(found.summary.source) == {"pupil-core"}
    found = ingest([path], IngestSpec())
    # two looks of 250 and 300 ms, of which none may last longer than 220
    assert found.fixations["duration_ms"].between(80, 226).all()
    np.testing.assert_allclose(found.fixations["x_im"].iloc[[0, -1]], [0.301, 0.701], atol=0.002)


def test_times_are_sorted_and_repeats_dropped(tmp_path):
    sheet = core_gaze()
    sheet.rows[5], sheet.rows[6] = sheet.rows[6], sheet.rows[5]
    sheet.rows[9][0] = sheet.rows[8][0]
    recording = one(sheet.write(tmp_path / "gaze_positions.csv"))
    assert recording.skipped["repeated times"] == 1
    assert len(recording.samples) == 119


def of_two_eyes(every):
    """Gaze of the right eye (0), and in every so many rows of the left (1), which is surer."""
    sheet = core_gaze()
    for number, row in enumerate(sheet.rows[1:]):
        left = number % every == 0
        row[2], row[5] = "0.99" if left else "0.9", f"{row[0]}-{int(left)}"
    return sheet


def test_of_eyes_mapped_by_themselves_the_surer_one_is_gaze(tmp_path):
    sheet = of_two_eyes(2)
    recording = one(sheet.write(tmp_path / "gaze_positions.csv"))
    assert recording.skipped == {"gaze of the other eye": 60}
    assert set(recording.samples["tracker_time_us"].diff().dropna()) == {10_000}
    x = [float(row[3]) for row in sheet.rows[1::2]]
    np.testing.assert_allclose(recording.samples["x_px"], x)


def test_gaze_that_is_not_of_each_eye_by_itself_is_kept(tmp_path):
    lone = of_two_eyes(12)
    mixed = of_two_eyes(2)
    mixed.rows[-1][5] = "1-0 1-1"
    untold = of_two_eyes(2).filled("base_data", "")
    for sheet in (lone, mixed, untold, of_two_eyes(1)):
        recording = one(sheet.write(tmp_path / "gaze_positions.csv"))
        assert len(recording.samples) == 120
        assert recording.skipped == {}


def test_without_gaze_blinks_are_listed_too(tmp_path):
    export = core_folder(tmp_path) / "exports" / "000"
    (export / "gaze_positions.csv").unlink()
    recording = one(export)
    assert recording.fixations["onset_ms"].tolist() == [0, 300]
    np.testing.assert_allclose(recording.blinks["onset_ms"], [400])
    np.testing.assert_allclose(recording.blinks["duration_ms"], [20])


def test_a_surface_is_the_stimulus(tmp_path):
    folder = core_folder(tmp_path, surfaces=True)
    recording = one(folder)
    assert recording.name == "P07 on Screen"
    assert set(recording.samples["stimulus"]) == {"Screen"}
    np.testing.assert_allclose(recording.samples[["x_px", "y_px"]].iloc[0], [0.6, 0.4])
    assert recording.samples["x_px"].iloc[60:].isna().all()
    assert recording.skipped["samples off the surface (kept, without gaze)"] == 65
    assert recording.skipped["fixations off the surface"] == 1
    np.testing.assert_allclose(recording.fixations[["x_px", "y_px"]], [[0.61, 0.4]])
    assert len(recording.blinks) == 1
    single = folder / "exports" / "000" / "surfaces" / "gaze_positions_on_surface_Screen.csv"
    assert_same([recording], [one(single)])


def test_a_surface_file_alone(tmp_path):
    recording = one(core_surface_gaze().write(tmp_path / "gaze_positions_on_surface_A.csv"))
    assert set(recording.samples["stimulus"]) == {"A"}
    assert recording.fixations.empty


def test_a_fixations_file_without_a_row_says_that_there_are_none(tmp_path):
    export = core_folder(tmp_path, surfaces=True) / "exports" / "000"
    surfaces = export / "surfaces"
    for file in (export / "fixations.csv", surfaces / "fixations_on_surface_Screen.csv"):
        head = file.read_text(encoding="utf-8").splitlines()[0]
        file.write_text(f"{head}\n", encoding="utf-8")
    for file in (export / "gaze_positions.csv", *surfaces.glob("gaze*.csv")):
        recording = one(file)
        assert len(recording.samples) == 120
        assert recording.fixations.empty
        assert len(recording.blinks) == 1
    (export / "gaze_positions.csv").unlink()
    with pytest.raises(FormatError, match="none of its 0 rows has a 'start_timestamp'"):
        read(export / "fixations.csv")


def test_damage_is_named(tmp_path):
    folder = core_folder(tmp_path)
    (folder / "info.player.json").write_text("{", encoding="utf-8")
    with pytest.raises(FormatError, match=r"info\.player\.json: is not JSON"):
        read(folder)
    (folder / "info.player.json").write_text("[]", encoding="utf-8")
    with pytest.raises(FormatError, match=r"info\.player\.json: holds list, expected a JSON"):
        read(folder)
    (folder / "info.player.json").unlink()
    sheet = core_fixations()
    sheet.rows[1][1] = "soon"
    sheet.write(folder / "exports" / "000" / "fixations.csv")
    with pytest.raises(FormatError, match=r"fixations\.csv:2: column 'start_timestamp' holds"):
        read(folder)
    nothing = core_gaze().filled("gaze_timestamp", "")
    with pytest.raises(FormatError, match="none of its 120 rows has a 'gaze_timestamp'"):
        read(nothing.write(tmp_path / "gaze_positions.csv"))


def test_recordings_of_one_session_have_their_number_in_the_name(tmp_path):
    folder = core_folder(tmp_path)
    numbered = folder.rename(tmp_path / "000")
    assert one(numbered).name == "P07-000"
    (numbered / "info.player.json").unlink()
    assert one(numbered).name == f"{tmp_path.name}-000"


def in_seconds(sheet):
    return sheet.filled("duration", lambda ms: str(float(ms) / 1000))


def test_files_of_old_versions(tmp_path):
    names = {"gaze_timestamp": "timestamp", "world_index": "index", "base_data": "base"}
    gaze = core_gaze().renamed(lambda name: names.get(name, name))
    (tmp_path / "a").mkdir()
    expected = one(core_folder(tmp_path / "a") / "exports" / "000")
    Sheet(gaze.rows, "\t").write(tmp_path / "gaze_positions.csv")
    Sheet(in_seconds(core_fixations()).rows, "\t").write(tmp_path / "fixations.csv")
    found = one(tmp_path)
    columns = ["t_ms", "x_px", "y_px", "vendor_event"]
    pd.testing.assert_frame_equal(found.samples[columns], expected.samples[columns])
    columns = ["onset_ms", "duration_ms", "x_px", "y_px"]
    pd.testing.assert_frame_equal(found.fixations[columns], expected.fixations[columns])


def test_surfaces_of_old_versions(tmp_path):
    names = {"on_surf": "on_srf", "world_index": "world_frame_idx", "fixation_id": "id"}
    gaze = core_surface_gaze().without(lambda name: name == "confidence")
    fixations = in_seconds(core_surface_fixations()).without(
        lambda name: name.startswith("world") or name == "dispersion"
    )
    fixations.rows = [fixations.rows[0], fixations.rows[1], fixations.rows[4]]
    for what, sheet in (("gaze_positions", gaze), ("fixations", fixations)):
        path = tmp_path / f"{what}_on_surface_unnamed_1466499419.751.csv"
        sheet.renamed(lambda name: names.get(name, name)).write(path)
    recording = one(tmp_path)
    assert set(recording.samples["stimulus"]) == {"unnamed_1466499419.751"}
    assert recording.samples["x_px"].notna().sum() == 55
    assert recording.fixations["duration_ms"].tolist() == [245]
    assert recording.skipped["fixations off the surface"] == 1


def test_pupils_are_no_gaze(tmp_path):
    names = {"gaze_timestamp": "timestamp", "base_data": "diameter"}
    pupils = core_gaze().renamed(lambda name: names.get(name, name)).filled("diameter", "41.5")
    why = reasons(pupils.write(tmp_path / "pupil_positions.csv"))
    assert "pupil-core: no columns of Pupil Player's gaze or fixations" in why


@pytest.mark.real
def test_a_published_recording(data_folder):
    path = data_folder / "exports" / "pupil" / "core_rec10_gaze_positions.csv"
    recording = one(path)
    assert recording.name == "core_rec10"
    assert len(recording.samples) == 2054
    assert len(recording.fixations) == 36
    assert len(recording.blinks) == 3
    assert recording.skipped == {"samples of low confidence (kept, without gaze)": 441}
    first = recording.fixations.iloc[1]
    inside = recording.samples.iloc[first["first_row"] : first["last_row"] + 1]
    # the vendor's position is the mean of the samples it used
    assert abs(inside["x_px"].mean() - first["x_px"]) < 0.005
    assert abs(inside["y_px"].mean() - first["y_px"]) < 0.005
