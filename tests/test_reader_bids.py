"""BIDS eye tracking: sidecars, units, eyes, events, trials, screens."""

import gzip
import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
from exports import assert_same
from exports.bids import FIRST_MS, SAMPLES, STEP_MS, bids, gaze
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.errors import ConfigError, FormatError, GazeToolsError
from gazetools.geometry import Screen
from gazetools.readers import ReadOptions, find_reader, read
from gazetools.readers.building import rising, spread_repeats

RUN = "sub-01_task-view_run-1"


@pytest.fixture
def root(tmp_path):
    return bids(tmp_path)


def change(path, **fields):
    """Change fields of a sidecar; None takes one away."""
    content = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def rewrite(path, rows):
    text = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()))


def eye(root, number, suffix="physio.tsv.gz"):
    return root / "sub-01" / "beh" / f"{RUN}_recording-eye{number}_{suffix}"


def one_eye(root):
    """Leave only the left eye."""
    for path in (root / "sub-01" / "beh").glob("*eye2*"):
        path.unlink()
    return root


# ---------------------------------------------------------------- what is read


def test_both_eyes_are_one_recording(root):
    (recording,) = read(root)
    samples = recording.samples
    assert (recording.subject, recording.name) == ("01", "task-view_run-1")
    assert len(samples) == SAMPLES
    assert samples["tracker_time_us"].iloc[:2].tolist() == [FIRST_MS * 1000, FIRST_MS * 1000 + 4000]
    assert samples["left_x_px"].iloc[0] == 602
    assert samples["right_x_px"].iloc[0] == 604
    assert samples["x_px"].iloc[0] == 603
    assert samples["x_px"].isna().sum() == 10
    assert samples["left_pupil"].iloc[0] == 800
    assert np.isnan(samples["left_pupil"].iloc[155])  # 0 is a lost pupil
    assert not samples["left_valid"].iloc[155]
    assert recording.screen == Screen(1920, 1080, 527, 296, 650)
    assert recording.fixed_rate_hz == 250
    assert recording.validation == {"left_accuracy_deg": 0.25, "right_accuracy_deg": 0.25}


@pytest.mark.parametrize("part", ["", "sub-01", "sub-01/beh"])
def test_a_part_of_the_data_set_says_the_same(root, part):
    (whole,) = read(root)
    (found,) = read(root / part)
    pd.testing.assert_frame_equal(found.samples, whole.samples)
    assert found.screen == whole.screen


def test_one_file_brings_the_other_eye(root):
    (found,) = read(eye(root, 2))
    assert {"left_x_px", "right_x_px"} <= set(found.samples)


def test_events_lie_in_their_trials(root):
    (recording,) = read(root)
    fixations = recording.fixations
    assert fixations["trial"].tolist() == [1, 2, 2]
    assert fixations["order"].tolist() == [1, 1, 2]
    assert fixations["stimulus"].tolist() == ["images/a.jpg", "images/b.jpg", "images/b.jpg"]
    assert fixations["duration_ms"].tolist() == [472, 116, 320]
    # half a sample after the trial's beginning
    assert fixations["onset_ms"].iloc[0] == STEP_MS / 2
    assert fixations["first_row"].tolist() == [0, 121, 160]
    assert fixations["last_row"].tolist() == [117, 149, 239]
    assert math.isclose(fixations["x_px"].iloc[0], np.mean([602 + i % 3 for i in range(118)]))
    assert recording.saccades["eye"].tolist() == ["left", "right"]
    assert recording.saccades[["start_x_px", "end_x_px"]].iloc[0].tolist() == [603, 1202]
    assert recording.blinks["duration_ms"].tolist() == [40, 40]
    labels = recording.samples["vendor_event"]
    assert labels.iloc[[0, 117, 118, 120, 155, 239]].tolist() == [
        *("fixation", "fixation", "saccade", "saccade", "missing", "fixation"),
    ]
    assert recording.skipped == {"messages": 2, "fixations of the other eye": 3}


def test_messages_begin_trials(root):
    (recording,) = read(root, ReadOptions(trial_from=r"TRIALID (\d+)"))
    assert set(recording.samples["trial"]) == {1}
    assert set(recording.samples["stimulus"]) == {"1"}
    with pytest.raises(ConfigError, match="no regular expression"):
        read(root, ReadOptions(trial_from="("))


def test_without_events_all_is_one_trial(root):
    (root / "sub-01" / "beh" / f"{RUN}_events.tsv").unlink()
    (recording,) = read(root)
    assert set(recording.samples["trial"]) == {1}
    assert recording.samples["stimulus"].isna().all()


@pytest.mark.parametrize("columns", [0, 1])
def test_onsets_count_from_the_scanner(root, columns):
    names = ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"]
    change(root / "task-view_physio.json", Columns=names[columns:], StartTime=-0.4)
    rewrite(eye(one_eye(root), 1), [gaze(i, 2.0)[columns:] for i in range(SAMPLES)])
    eye(root, 1, "physioevents.tsv.gz").unlink()
    path = root / "sub-01" / "beh" / f"{RUN}_events.tsv"
    path.write_text("onset\tduration\tstim_file\n0\t0.2\ta.png\n0.3\t0.2\tb.png\n")
    (recording,) = read(root)
    first = [int((recording.samples["trial"] == number).to_numpy().argmax()) for number in (1, 2)]
    assert first == [400 // STEP_MS, 700 // STEP_MS]


def test_entities_may_follow_the_recording(root):
    (expected,) = read(root)
    for path in (root / "sub-01" / "beh").glob("*_recording-*"):
        name, _, suffix = path.name.rpartition("_")
        path.rename(path.with_name(f"{name}_desc-clean_{suffix}"))
    (recording,) = read(root)
    assert recording.name == "task-view_run-1_desc-clean"
    assert {"left_x_px", "right_x_px"} <= set(recording.samples)
    pd.testing.assert_series_equal(recording.fixations["x_px"], expected.fixations["x_px"])


@pytest.mark.parametrize(("shift", "trials"), [(70, {1, 2}), (5000, {1})])
def test_onsets_may_be_on_the_trackers_clock(root, shift, trials):
    path = root / "sub-01" / "beh" / f"{RUN}_events.tsv"
    rows = [["onset", "duration", "stim_file"], [shift, 0.478, "a"], [shift + 0.478, "n/a", "b"]]
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    (recording,) = read(root)
    assert set(recording.samples["trial"]) == trials
    assert recording.skipped.get("trials outside the recording", 0) == (2 if shift == 5000 else 0)


def test_numbers_of_trials_are_kept_if_they_rise(root):
    path = root / "sub-01" / "beh" / f"{RUN}_events.tsv"
    for numbers, expected in (([3, 7], {3, 7}), ([7, 3], {1, 2})):
        rows = [["onset", "duration", "trial_type", "trial"]]
        rows += [[i / 2, 0.5, "trial", n] for i, n in enumerate(numbers)]
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
        (recording,) = read(root)
        assert set(recording.samples["trial"]) == expected


def test_a_cyclopean_file_is_the_gaze(root):
    shutil.copy(eye(root, 1), eye(root, 3))
    rewrite(eye(root, 3), [gaze(i, 50.0) for i in range(SAMPLES)])
    eye(root, 3, "physio.json").write_text('{"RecordedEye": "cyclopean"}')
    (recording,) = read(root)
    assert recording.samples[["x_px", "left_x_px", "right_x_px"]].iloc[0].tolist() == [
        650,
        602,
        604,
    ]


def test_eyes_that_blink_apart(root):
    rows = [gaze(i, 4.0) for i in range(SAMPLES)]
    rows[3] = [rows[3][0], "n/a", "n/a", "0"]
    rewrite(eye(root, 2), rows[:-1])
    (recording,) = read(root)
    samples = recording.samples
    assert samples["x_px"].iloc[3] == samples["left_x_px"].iloc[3]
    assert samples["right_valid"].iloc[[3, -1]].tolist() == [False, False]
    assert len(samples) == SAMPLES


# ---------------------------------------------------------------- sidecars


def test_nearer_sidecars_go_first(root):
    change(eye(root, 1, "physio.json"), pupil_size={"Units": "mm"})
    (recording,) = read(root)
    assert {"left_pupil_mm", "right_pupil"} <= set(recording.samples)


def test_the_more_particular_sidecar_of_a_folder_goes_first(root):
    (root / "physio.json").write_text('{"Manufacturer": "General", "SoftwareVersions": "1"}')
    (recording,) = read(root)
    assert recording.about["tracker"] == "Nobody"
    assert recording.about["software"] == "1"


def test_columns_as_mne_bids_names_them(root):
    change(
        root / "task-view_physio.json",
        Columns=["time", "xpos_left", "ypos_left", "pupil_left"],
        time={"Units": "s"},
    )
    rows = [[i / 250, 600.5, 300.5, 812] for i in range(10)]
    rewrite(eye(one_eye(root), 1), rows)
    samples = read(root)[0].samples
    assert samples["tracker_time_us"].diff().dropna().unique().tolist() == [4000]
    assert samples[["left_x_px", "left_pupil"]].iloc[0].tolist() == [600.5, 812]


def one_file(folder, name, rows, **sidecar):
    """Write a file that stands alone, and its sidecar."""
    path = folder / "sub-01_task-view" / f"sub-01_task-view_{name}.tsv.gz"
    path.parent.mkdir(exist_ok=True)
    rewrite(path, rows)
    sidecar = {"SamplingFrequency": 500, **sidecar}
    path.with_name(path.name.replace(".tsv.gz", ".json")).write_text(json.dumps(sidecar))
    return path


def test_two_eyes_in_one_file_as_drafts_of_the_specification_had_them(tmp_path):
    header = ["eye_timestamp"]
    header += [f"eye{n}_{what}" for n in (1, 2) for what in ("x_coordinate", "y_coordinate")]
    rows = [[3000 + 2 * i, 600, 300, 620, 302] for i in range(9)] + [[3018, "n/a", "n/a", 620, 302]]
    path = one_file(
        *(tmp_path, "eyetrack", [header, *rows]),
        **{"RecordedEye": "Both", "SampleCoordinateUnits": None, "SampleCoordinateSystem": None},
        **{"EnvironmentCoordinates": "bottom-left", "ScreenSize": [38.6, 29]},
        **{"ScreenResolution": [1024, 768], "ScreenDistance": 60, "StartTime": [3000]},
    )
    for source in (path, tmp_path):
        (recording,) = read(source)
        samples = recording.samples
        assert (recording.subject, recording.name) == ("01", "task-view")
        assert samples["tracker_time_us"].iloc[[0, -1]].tolist() == [3_000_000, 3_018_000]
        assert samples[["left_x_px", "right_x_px", "x_px"]].iloc[0].tolist() == [600, 620, 610]
        assert samples[["x_px", "y_px"]].iloc[-1].tolist() == [620, 466]
        assert recording.screen == Screen(1024, 768, 386, 290, 600)
        assert recording.fixations.empty
        assert "None" not in recording.about.values()


def test_two_eyes_in_one_file_have_one_file_of_events(root):
    names = [f"{what}_{side}" for side in ("left", "right") for what in ("xpos", "ypos", "pupil")]
    change(root / "task-view_physio.json", Columns=["timestamp", *names], RecordedEye=None)
    change(eye(one_eye(root), 1, "physio.json"), RecordedEye=None)
    rewrite(eye(root, 1), [[*gaze(i, 2.0), *gaze(i, 4.0)[1:]] for i in range(SAMPLES)])
    (recording,) = read(root)
    assert recording.samples[["left_x_px", "right_x_px"]].iloc[0].tolist() == [602, 604]
    assert len(recording.fixations) == 3
    assert recording.saccades["eye"].tolist() == ["left"]
    assert recording.skipped == {"messages": 1}


def test_another_vendors_table_of_that_name_is_not_claimed(tmp_path):
    path = one_file(tmp_path, "eyetrack", [["Recording timestamp", "Gaze point X", "Gaze point Y"]])
    assert find_reader(path).name == "tobii-prolab"
    rewrite(path, [["eye_timestamp", "eye1_x_coordinate", "eye1_y_coordinate"]])
    assert find_reader(path).name == "bids"
    rewrite(path, [["RECORDING_SESSION_LABEL", "TIMESTAMP", "LEFT_GAZE_X", "LEFT_GAZE_Y"]])
    sidecar = path.with_name(path.name.replace(".tsv.gz", ".json"))
    sidecar.write_text("[]")
    assert find_reader(path).name == "eyelink-sample-report"
    sidecar.unlink()
    assert find_reader(path).name == "eyelink-sample-report"


def test_a_draft_beside_files_of_the_specification_is_passed_over(root):
    expected = read(root)
    rewrite(eye(root, 1).with_name(f"{RUN}_eyetrack.tsv.gz"), [["time", "x", "y"], [0, 5, 6]])
    assert_same(expected, read(root))


def test_a_line_with_missing_values_is_no_header(tmp_path):
    names = ["x_coordinate", "y_coordinate", "pupil_size", "state"]
    rows = [["n/a", "n/a", "n/a", "blink"], *[[600, 300, 800, "fixation"]] * 8]
    path = one_file(
        *(tmp_path, "recording-eye1_physio", rows), Columns=names, PhysioType="eyetrack"
    )
    (recording,) = read(path)
    assert recording.samples["x_px"].notna().tolist() == [False] + [True] * 8


@pytest.mark.parametrize(
    ("columns", "header", "x"),
    [
        (["pupil_size", "x_coordinate", "y_coordinate"], ["Pupil Size", "x-coordinate", "y"], 2.0),
        (["x_coordinate", "y_coordinate", "pupil_size"], ["pupil_size", "y", "x"], 3.0),
        (None, ["pupil_size", "x_coordinate", "y_coordinate"], 2.0),
        (["pupil_area", "x", "y"], [], 2.0),
    ],
)
def test_a_header_goes_before_the_sidecar(columns, header, x, tmp_path):
    rows = [*([header] if header else []), *[[1.0, 2.0, 3.0]] * 9]
    path = one_file(tmp_path, "recording-eyetracking_physio", rows, Columns=columns)
    (recording,) = read(path)
    assert recording.samples["x_px"].tolist() == [x] * 9
    assert recording.samples["pupil"].tolist() == [1.0] * 9


def test_gaze_beside_heads_and_pupils(tmp_path):
    one_file(tmp_path, "gaze_eyetrack", [[600, 300]] * 9, Columns=["x", "y"])
    one_file(tmp_path, "head_eyetrack", [[1, 2, 600]] * 9, Columns=["x", "y", "z"])
    one_file(tmp_path, "pupil_eyetrack", [[900]] * 9, Columns=["pupil_size"])
    one_file(tmp_path, "recording-motion_physio", [[1, 2]] * 9, Columns=["x", "y"])
    (recording,) = read(tmp_path)
    assert recording.name == "task-view_gaze"
    assert set(recording.samples["x_px"]) == {600}


def test_codes_for_lost_gaze(root):
    lost = [(-32768, -32768, 0), (1e8, 1e8, 0), (0, 0, 0), ("n/a", 300, 800)]
    seen = [(0, 0, 800), (0, 0, "n/a"), (0, 300, 0)]
    rewrite(
        eye(one_eye(root), 1), [[FIRST_MS + 4 * i, *row] for i, row in enumerate([*lost, *seen])]
    )
    (recording,) = read(root)
    assert recording.samples["left_valid"].tolist() == [False] * 4 + [True] * 3


@pytest.mark.parametrize("lost", [(0, 0, 0), (0, 0, "n/a"), (-32768, -32768, 0), (1e8, 1e8, 0)])
@pytest.mark.parametrize("x", [600, 0.6])
def test_lost_gaze_tells_nothing_of_units(root, lost, x):
    change(root / "task-view_physio.json", x_coordinate={"Units": "n/a"})
    rows = [(x, x, 800), lost, lost] * 3
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, *row] for i, row in enumerate(rows)])
    (recording,) = read(root)
    assert recording.about["gaze unit"] == ("share" if x == 0.6 else "px")


@pytest.mark.parametrize("as_told", [False, True])
def test_eye2bids_told_another_order_than_it_wrote(root, as_told):
    (expected,) = read(one_eye(root))
    names = ["x_coordinate", "y_coordinate", "pupil_size", "timestamp"]
    change(root / "task-view_physio.json", Columns=names)
    if as_told:
        rows = [gaze(i, 2.0) for i in range(SAMPLES)]
        rewrite(eye(root, 1), [[*row[1:], row[0]] for row in rows])
    (recording,) = read(root)
    pd.testing.assert_frame_equal(recording.samples, expected.samples)


def test_cells_may_be_padded_as_eyelink_pads_them(root):
    rows = [["  602.1", "  300.2", "  812.0"], ["   .", "   .", "    0.0"]]
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, *row] for i, row in enumerate(rows)])
    (recording,) = read(root)
    assert recording.samples["x_px"].iloc[0] == 602.1
    assert recording.samples["left_valid"].tolist() == [True, False]


def test_an_eye_that_was_never_seen_tells_nothing_of_units(root):
    change(root / "task-view_physio.json", x_coordinate={"Units": "n/a"})
    rewrite(eye(root, 1), [[FIRST_MS + 4 * i, "n/a", "n/a", 0] for i in range(9)])
    rewrite(eye(root, 2), [[FIRST_MS + 4 * i, 0.6, 0.6, 800] for i in range(9)])
    (recording,) = read(root)
    assert recording.about["gaze unit"] == "share"


def test_sidecars_of_other_tasks_do_not_count(root):
    (root / "task-rest_physio.json").write_text('{"SamplingFrequency": 1}')
    (recording,) = read(root)
    assert recording.fixed_rate_hz == 250


def test_other_physiology_is_left_aside(root):
    heart = root / "sub-01" / "beh" / f"{RUN}_recording-heart_physio.tsv.gz"
    rewrite(heart, [[1], [2]])
    heart.with_name(heart.name.replace(".tsv.gz", ".json")).write_text(
        '{"PhysioType": "generic", "Columns": ["cardiac"]}'
    )
    (recording,) = read(root)
    assert len(recording.samples) == SAMPLES
    for path in (root / "sub-01" / "beh").glob("*eye*"):
        path.unlink()
    with pytest.raises(FormatError, match="none of its 1 physio files is eye tracking"):
        read(root)


def test_derivatives_are_no_raw_data(root):
    shutil.copytree(root / "sub-01", root / "derivatives" / "cleaned" / "sub-01")
    assert len(read(root)) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"Columns": None}, 'no "Columns" in its JSON sidecars'),
        ({"Columns": ["timestamp", "a", "b", "c"]}, "no x_coordinate and y_coordinate among"),
        ({"timestamp": {"Units": "s"}}, "said to be in s, but .* 250 Hz make them ms; correct"),
        ({"timestamp": None, "SamplingFrequency": None}, "unit of its timestamps is not known"),
        ({"x_coordinate": {"Units": "parsec"}}, "x_coordinate is in 'parsec', expected pixel"),
        (
            {"x_coordinate": {"Units": "deg"}, "SampleCoordinateSystem": "eye-in-head"},
            "angles of the eye in the head",
        ),
        ({"Columns": ["timestamp", "x_coordinate", "y_coordinate"]}, "line has 4 fields"),
    ],
)
def test_sidecars_that_cannot_be_are_refused(root, fields, says):
    change(root / "task-view_physio.json", **fields)
    with pytest.raises(FormatError, match=says):
        read(root)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds list, expected a JSON object"),
        ("[" * 10**5, "is not JSON"),
    ],
)
def test_damaged_sidecars_are_named(root, content, says):
    (root / "task-view_physio.json").write_text(content)
    with pytest.raises(FormatError, match=f"task-view_physio.json: {says}"):
        read(root)


def test_two_files_of_one_eye_are_refused(root):
    change(eye(root, 2, "physio.json"), RecordedEye="left")
    with pytest.raises(FormatError, match="2 files of its run are of 1 eyes"):
        read(root)


def test_events_without_a_row_are_none(root):
    path = eye(one_eye(root), 1, "physioevents.tsv.gz")
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf"))
    (recording,) = read(root)
    assert len(recording.samples) == SAMPLES
    assert recording.fixations.empty


def test_a_header_is_forgiven(root):
    names = ["timestamp", "x_coordinate", "y_coordinate", "pupil_size"]
    plain = read(root)[0].samples
    rewrite(eye(root, 1), [names, *(gaze(i, 2.0) for i in range(SAMPLES))])
    pd.testing.assert_frame_equal(read(root)[0].samples, plain)


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(("unit", "per_ms"), [("s", 0.001), ("ms", 1), ("us", 1000), ("ns", 10**6)])
@pytest.mark.parametrize("said", [True, False])
def test_units_of_time(root, unit, per_ms, said):
    plain = read(one_eye(root))[0].samples
    rows = [gaze(i, 2.0) for i in range(SAMPLES)]
    exact = [int(row[0]) * per_ms if per_ms >= 1 else int(row[0]) / 1000 for row in rows]
    rewrite(eye(root, 1), [[t, *row[1:]] for t, row in zip(exact, rows, strict=True)])
    change(root / "task-view_physio.json", timestamp={"Units": unit} if said else None)
    change(root / "task-view_physioevents.json", onset={"Units": "ms"})
    (recording,) = read(root)
    assert recording.about["time unit"] == unit
    pd.testing.assert_frame_equal(recording.samples, plain)
    assert len(recording.fixations) == 3


def test_thirds_of_microseconds_put_no_sample_into_what_lies_beside(root):
    change(root / "task-view_physio.json", SamplingFrequency=120, StartTime=0.333333)
    change(root / "task-view_physio.json", timestamp={"Units": "s"})
    one_eye(root)
    begins = range(2, SAMPLES - 21, 21)
    in_fixation = {i + k for i in begins for k in range(11)}
    rows = [[f"{i / 120:.6f}", 600 if i in in_fixation else 900, 5, 8] for i in range(SAMPLES)]
    rewrite(eye(root, 1), rows)
    looks = [[f"{i / 120:.6f}", f"{11 / 120:.6f}", "fixation", "n/a"] for i in begins]
    rewrite(eye(root, 1, "physioevents.tsv.gz"), looks)
    shown = [f"{1 / 3 + i / 120:.6f}\tn/a\timage\t{i}\n" for i in range(0, SAMPLES, 31)]
    events = root / "sub-01" / "beh" / f"{RUN}_events.tsv"
    events.write_text("onset\tduration\ttrial_type\tstim_file\n" + "".join(shown))
    (recording,) = read(root)
    assert set(recording.fixations["x_px"]) == {600}
    assert recording.samples["stimulus"].tolist() == [str(i // 31 * 31) for i in range(SAMPLES)]


def test_nanoseconds_since_1970_are_exact(root):
    start = 1_700_000_000_123_456_000
    rows = [[start + i * 4_000_000, 1, 2, 3] for i in range(5)]
    rewrite(eye(one_eye(root), 1), rows)
    eye(root, 1, "physioevents.tsv.gz").unlink()
    change(root / "task-view_physio.json", timestamp={"Units": "ns"})
    times = read(root)[0].samples["tracker_time_us"]
    assert times.tolist() == [start // 1000 + i * 4000 for i in range(5)]


def test_samples_that_were_not_downloaded_are_missed(root):
    for path in (eye(root, 1), eye(root, 2)):
        path.unlink()
    with pytest.raises(FormatError, match=r"no \*_physio.tsv.gz but in derivatives .* download"):
        read(root)
    for path in (eye(root, 1), eye(root, 2)):
        path.symlink_to("objects/nowhere.tsv.gz")
    for folder in (root, eye(root, 1).parent):
        with pytest.raises(FormatError, match=r"were not fetched, one of 2 among 2 files of gaze"):
            read(folder)
    with pytest.raises(FormatError, match=r"a link that leads nowhere; .* `git annex get`"):
        read(eye(root, 1))
    eye(root, 1).unlink()
    eye(root, 1).write_text("/annex/objects/MD5E-s1234--abcdef.tsv.gz\n")
    with pytest.raises(FormatError, match="a pointer to data that were not fetched; run `git an"):
        read(eye(root, 1))


def test_without_timestamps_the_rate_counts(root):
    change(
        root / "task-view_physio.json",
        Columns=["x_coordinate", "y_coordinate", "pupil_size"],
        StartTime=1.5,
    )
    rewrite(eye(one_eye(root), 1), [gaze(i, 2.0)[1:] for i in range(SAMPLES)])
    eye(root, 1, "physioevents.tsv.gz").unlink()
    times = read(root)[0].samples["tracker_time_us"]
    assert times.iloc[:3].tolist() == [1_500_000, 1_504_000, 1_508_000]


def test_a_clock_coarser_than_the_rate_is_spread(root):
    change(root / "task-view_physio.json", SamplingFrequency=2000)
    rows = [[FIRST_MS + i // 2, 1, 2, 3] for i in range(20)]
    rewrite(eye(one_eye(root), 1), rows)
    (recording,) = read(root)
    steps = recording.samples["tracker_time_us"].diff().dropna()
    assert set(steps) == {500}
    assert len(recording.samples) == 20


def test_repeats_and_steps_back_are_counted(root):
    rows = [gaze(i, 2.0) for i in (0, 1, 1, 1, 2, 0, 3)] + [["n/a", "1", "2", "3"]]
    rewrite(eye(one_eye(root), 1), rows)
    (recording,) = read(root)
    assert len(recording.samples) == 4
    assert recording.skipped["repeated or backward times"] == 3
    assert recording.skipped["rows without a time"] == 1


@given(st.lists(st.integers(-5, 20), max_size=30), st.floats(0.1, 10))
def test_spread_stamps_never_pass_the_next(stamps, interval_us):
    stamps = np.array(sorted(stamps), np.int64) * 10
    spread = spread_repeats(stamps, interval_us)
    assert (spread >= stamps).all()
    firsts = np.flatnonzero(np.diff(stamps, prepend=-(10**6)))
    assert (spread[firsts] == stamps[firsts]).all()
    assert rising(spread)[firsts].all()


# ---------------------------------------------------------------- durations, places


def test_durations_in_ms_as_eye2bids_writes_them(root):
    for number in (1, 2):
        rewrite(
            eye(root, number, "physioevents.tsv.gz"),
            [[FIRST_MS, 472, "fixation", "n/a"], [FIRST_MS + 472, 12, "saccade", "n/a"]],
        )
    (recording,) = read(root)
    assert recording.fixations["duration_ms"].tolist() == [472]
    assert set(recording.saccades["duration_ms"]) == {12}


@pytest.mark.parametrize(("no", "yes"), [(0, 1), ("False", "True")])
def test_a_blink_may_have_no_other_name(root, no, yes):
    names = ["timestamp", "duration", "trial_type", "blink", "message"]
    change(root / "task-view_physioevents.json", Columns=names)
    rewrite(
        eye(one_eye(root), 1, "physioevents.tsv.gz"),
        [
            [FIRST_MS, 472, "fixation", no, "n/a"],
            [FIRST_MS + 472, 60, "saccade", yes, "n/a"],
            [FIRST_MS + 480, 40, "n/a", yes, "n/a"],
            [FIRST_MS + 540, "n/a", "n/a", "n/a", "TRIALID 1"],
        ],
    )
    (recording,) = read(root)
    assert recording.fixations["duration_ms"].tolist() == [472]
    assert recording.saccades["duration_ms"].tolist() == [60]
    assert recording.blinks["duration_ms"].tolist() == [40]
    assert recording.skipped == {"messages": 1}


def test_events_may_say_where(root):
    change(
        root / "task-view_physioevents.json",
        Columns=["onset", "duration", "trial_type", "x_coordinate", "y_coordinate"],
    )
    for number in (1, 2):
        path = eye(root, number, "physioevents.tsv.gz")
        rewrite(
            path, [[FIRST_MS, 0.4, "Fixation", 7.5, 8.5], [FIRST_MS * 2, 0.4, "fixation", 1, 1]]
        )
    (recording,) = read(root)
    assert recording.fixations[["x_px", "y_px"]].values.tolist() == [[7.5, 8.5]]
    assert recording.skipped["events without samples"] == 2


@pytest.mark.parametrize(
    ("origin", "x", "y"),
    [
        (["top", "left"], 600, 300),
        (["bottom", "left"], 600, 780),
        (["center", "center"], 1560, 240),
        (["bottom", "right"], 1320, 780),
    ],
)
def test_origins(root, origin, x, y):
    shown = json.loads((root / "task-view_events.json").read_text())["StimulusPresentation"]
    change(root / "task-view_events.json", StimulusPresentation=shown | {"ScreenOrigin": origin})
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, 600, 300, 1] for i in range(5)])
    assert read(root)[0].samples[["x_px", "y_px"]].iloc[0].tolist() == [x, y]


@pytest.mark.parametrize(
    ("unit", "x", "y", "expected"),
    [
        ("mm", 263.5, 148, (960, 540)),
        ("cm", 26.35, 14.8, (960, 540)),
        ("deg", 0, 0, (960, 540)),
        ("normalized", 0.5, 0.25, (960, 270)),
    ],
)
def test_units_of_gaze(root, unit, x, y, expected):
    change(root / "task-view_physio.json", x_coordinate={"Units": unit})
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, x, y, 1] for i in range(5)])
    (recording,) = read(root)
    assert recording.samples[["x_px", "y_px"]].iloc[0].tolist() == pytest.approx(expected)
    assert not recording.normalised
    (root / "task-view_events.json").unlink()
    if unit == "normalized":
        (recording,) = read(root)
        assert recording.normalised
        assert recording.screen is None
        assert recording.samples[["x_px", "y_px"]].iloc[0].tolist() == [x, y]
    else:
        with pytest.raises(FormatError, match=f"gaze is in {unit}, which needs ScreenResolution"):
            read(root)


@pytest.mark.parametrize("unit", ["a.u.", "n/a", None])
@pytest.mark.parametrize(("x", "is_share"), [(600.0, False), (0.6, True), ("n/a", False)])
def test_arbitrary_units_are_px_or_shares(root, unit, x, is_share):
    change(root / "task-view_physio.json", x_coordinate={"Units": unit})
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, x, x, 1] for i in range(5)])
    (root / "task-view_events.json").unlink()
    (recording,) = read(root)
    assert recording.normalised == is_share
    assert recording.samples["x_px"].iloc[0] == pytest.approx(
        np.nan if x == "n/a" else x, nan_ok=True
    )


def test_places_of_events_are_in_the_unit_of_gaze(root):
    change(root / "task-view_physio.json", x_coordinate={"Units": "normalized"})
    names = ["onset", "duration", "trial_type", "x_coordinate", "y_coordinate"]
    change(root / "task-view_physioevents.json", Columns=names)
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, 0.5, 0.25, 1] for i in range(50)])
    rewrite(eye(root, 1, "physioevents.tsv.gz"), [[FIRST_MS, 0.1, "fixation", 0.25, 0.5]])
    (recording,) = read(root)
    assert recording.fixations[["x_px", "y_px"]].iloc[0].tolist() == [480, 540]
    # where a code for lost gaze stands, the samples tell
    rewrite(eye(root, 1, "physioevents.tsv.gz"), [[FIRST_MS, 0.1, "fixation", 1e8, 1e8]])
    (recording,) = read(root)
    assert recording.fixations[["x_px", "y_px"]].iloc[0].tolist() == [960, 270]


def test_shares_of_a_scene_are_not_of_the_screen(root):
    change(
        root / "task-view_physio.json",
        x_coordinate={"Units": "normalized"},
        SampleCoordinateSystem="gaze-in-world",
    )
    rewrite(eye(one_eye(root), 1), [[FIRST_MS + 4 * i, 0.5, 0.25, 1] for i in range(5)])
    (recording,) = read(root)
    assert recording.normalised
    assert recording.samples["x_px"].iloc[0] == 0.5


@pytest.mark.parametrize(
    ("fields", "screen"),
    [
        ({"ScreenDistance": 60}, (1920, 1080, 527, 296, 600)),
        ({"ScreenDistance": 650}, (1920, 1080, 527, 296, 650)),
        ({"ScreenDistance": [0.0, 0.39, 0.52]}, (1920, 1080, 527, 296, 650)),
        ({"ScreenSize": [52.7, 29.6]}, (1920, 1080, 527, 296, 650)),
        ({"ScreenResolution": [1919, 1079]}, (1920, 1080, 527, 296, 650)),
        ({"ScreenSize": "n/a"}, None),
        ({"ScreenDistance": -1e300}, None),
        ({"ScreenResolution": [1920]}, None),
    ],
)
def test_screens_as_people_write_them(root, fields, screen):
    shown = json.loads((root / "task-view_events.json").read_text())["StimulusPresentation"]
    change(root / "task-view_events.json", StimulusPresentation=shown | fields)
    (recording,) = read(root)
    found = recording.screen
    assert (found is None) == (screen is None)
    if found is not None:
        sizes = (found.width_px, found.height_px, found.width_mm, found.height_mm)
        assert (*sizes, found.distance_mm) == pytest.approx(screen)


# ---------------------------------------------------------------- damage


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3),
    max_leaves=4,
)
FIELDS = [
    *("PhysioType", "Columns", "SamplingFrequency", "StartTime", "RecordedEye", "timestamp"),
    *("x_coordinate", "pupil_size", "SampleCoordinateSystem", "AverageCalibrationError"),
    *("StimulusPresentation", "onset", "duration"),
]
SHOWN = ["ScreenResolution", "ScreenSize", "ScreenDistance", "ScreenOrigin"]


@settings(max_examples=60)
@given(
    field=st.sampled_from(FIELDS),
    value=JSON | st.dictionaries(st.sampled_from(["Units", *SHOWN]), JSON, max_size=3),
    where=st.sampled_from(["task-view_physio", "task-view_physioevents", "task-view_events"]),
)
def test_whatever_sidecars_say(field, value, where, tmp_path_factory):
    root = bids(tmp_path_factory.mktemp("any"))
    change(root / f"{where}.json", **{field: value})
    try:
        (recording,) = read(root)
    except GazeToolsError as error:
        if str(root) not in str(error):
            raise
        return
    assert (recording.samples["tracker_time_us"].diff().dropna() > 0).all()


@pytest.mark.real
def test_sidecars_of_the_official_example(data_folder, tmp_path):
    """Its data files hold nothing; the sidecars are real."""
    for path in (data_folder / "exports" / "bids").glob("*.json"):
        shutil.copy(path, tmp_path / path.name)
    stem = "sub-01_task-FreeView_run-01_recording-eye1"
    rows = [[2_805_663 + i, 960.5 + i, 540.5, 812] for i in range(100)]
    rewrite(tmp_path / f"{stem}_physio.tsv.gz", rows)
    events = [[2_805_670, 50, "fixation", 0, "n/a"], [2_805_720, 12, "saccade", 1, "n/a"]]
    rewrite(
        tmp_path / f"{stem}_physioevents.tsv.gz", [*events, [2_805_663, "n/a", "n/a", "n/a", "GO"]]
    )
    (recording,) = read(tmp_path / f"{stem}_physio.tsv.gz")
    assert recording.name == "task-FreeView_run-01"
    assert recording.fixed_rate_hz == 1000
    assert recording.validation == {"left_accuracy_deg": 0.29}
    assert recording.about["tracker"] == "SR-Research EYELINK II CL v5.12 May 12 2017"
    assert len(recording.samples) == 100
    assert recording.fixations["duration_ms"].tolist() == [50]
    assert recording.saccades["duration_ms"].tolist() == [12]
    assert recording.skipped == {"messages": 1}
