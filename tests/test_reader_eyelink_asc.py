"""EyeLink recordings as text (ASC)."""

import gzip
import time

import numpy as np
import pandas as pd
import pytest
from exports import assert_same
from exports.eyelink import HEADER, asc_begin, asc_end, asc_sample, asc_text, eyelink_asc

from gazetools.errors import ConfigError, FormatError
from gazetools.geometry import Placement
from gazetools.readers import ReadOptions, find_reader, read, reasons
from gazetools.trials import trial_begin_us


def written(folder, text, name="export.asc", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read_text(folder, text, **options):
    return read(written(folder, text), ReadOptions(**options))


def block(start=1000, eyes=("RIGHT",), rate=1000, count=20, events="", **begin):
    """Make one recording block; every eye rests at (100, 50)."""
    step = 1000 // rate
    lines = [
        asc_sample(start + step * i, *[(100.0, 50.0, 900.0)] * len(eyes)) for i in range(count)
    ]
    return (
        asc_begin(start, eyes, rate, **begin)
        + "".join(lines)
        + events
        + asc_end(start + step * count)
    )


# ---------------------------------------------------------------- what it says


def test_eyes_trials_and_stimuli(tmp_path):
    both, left = read(eyelink_asc(tmp_path))
    assert (both.subject, both.name, left.name) == ("unnamed", "export", "export-1000Hz")
    assert (both.fixed_rate_hz, left.fixed_rate_hz) == (500.0, 1000.0)
    assert both.screen_px == (1024, 768)
    first = both.samples.iloc[0]
    assert (first["left_x_px"], first["right_x_px"], first["x_px"]) == (300, 310, 305)
    assert (first["left_pupil"], first["right_pupil"]) == (900, 880)
    assert first["t_ms"] == 1.0  # a sample of 2 ms that begins with the trial
    assert set(both.samples["trial"]) == {1}
    assert set(both.samples["stimulus"]) == {"a.png"}
    assert left.samples["trial"].unique().tolist() == [2]
    assert left.samples["stimulus"].unique().tolist() == ["b.png"]
    assert left.samples["right_x_px"].isna().all()
    assert both.placements == {"a.png": Placement(112, 84, 800, 600, 800, 600)}


def test_an_eye_that_is_lost_is_nan_and_halves_nothing(tmp_path):
    samples = read(eyelink_asc(tmp_path))[0].samples
    lost = ~samples["right_valid"]
    assert np.flatnonzero(lost).tolist() == list(range(30, 36))
    assert samples.loc[lost, ["right_x_px", "right_y_px", "right_pupil"]].isna().all(axis=None)
    assert (samples.loc[lost, "x_px"] == samples.loc[lost, "left_x_px"]).all()


def test_each_fixation_is_listed_once_with_inclusive_ends(tmp_path):
    both, left = read(eyelink_asc(tmp_path))
    fixations = both.fixations
    assert fixations["eye"].tolist() == ["left", "left"]
    assert fixations["onset_ms"].tolist() == [8.0, 100.0]
    assert fixations["duration_ms"].tolist() == [40.0, 60.0]
    assert fixations[["first_row", "last_row"]].to_numpy().tolist() == [[4, 23], [50, 79]]
    assert fixations["x_px"].tolist() == [300, 600]
    assert left.fixations["duration_ms"].tolist() == [58.0]
    assert left.fixations["order"].tolist() == [1]
    assert both.saccades[["onset_ms", "duration_ms", "amplitude_deg"]].to_numpy().tolist() == [
        [48.0, 52.0, 9.5]
    ]
    assert both.skipped["fixations of the other eye"] == 2
    assert both.skipped["messages"] == 13


def test_samples_are_labelled(tmp_path):
    samples = read(eyelink_asc(tmp_path))[0].samples
    label = samples["vendor_event"]
    assert label.tolist() == (
        ["unclassified"] * 4 + ["fixation"] * 20 + ["saccade"] * 26 + ["fixation"] * 30
    )
    assert samples["vendor_event_index"][[0, 4, 24, 50]].tolist() == [0, 1, 1, 2]


def test_a_blink_lies_in_a_saccade(tmp_path):
    events = (
        "ESACC R  1002\t1015\t14\t100.0\t50.0\t110.0\t50.0\t1.0\t90\n"
        "EBLINK R 1005\t1010\t6\nEFIX R   1016\t1019\t4\t100.0\t50.0\t900\n"
    )
    (recording,) = read_text(tmp_path, block(events=events))
    assert recording.samples["vendor_event"].tolist() == (
        ["unclassified"] * 2
        + ["saccade"] * 3
        + ["missing"] * 6
        + ["saccade"] * 5
        + ["fixation"] * 4
    )
    assert recording.blinks[["onset_ms", "duration_ms"]].to_numpy().tolist() == [[5, 6]]
    assert recording.blinks["eye"].tolist() == ["right"]


def test_the_eye_with_more_samples_has_its_events_listed(tmp_path):
    text = asc_begin(1000, ("LEFT", "RIGHT"), 1000)
    for i in range(20):
        seen = (100.0, 50.0, 900.0)
        text += asc_sample(1000 + i, seen if i > 5 else None, seen)
    text += "EFIX L   1006\t1019\t14\t100.0\t50.0\t900\nEFIX R   1000\t1019\t20\t100.0\t50.0\t900\n"
    text += asc_end(1020)
    # a block of the other eye alone has that eye's events
    text += block(2000, ("LEFT",), count=5, events="EFIX L   2000\t2004\t5\t100.0\t50.0\t900\n")
    (recording,) = read_text(tmp_path, text)
    assert recording.fixations["eye"].tolist() == ["right", "left"]
    assert recording.fixations["trial"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("rate", "start", "end", "duration", "rows"),
    [(250, 1004, 1040, 40, (1, 10)), (500, 1004, 1022, 20, (2, 11)), (1000, 686, 1087, 402, None)],
)
def test_durations_are_half_open(rate, start, end, duration, rows, tmp_path):
    event = f"EFIX R   {start}\t{end}\t{duration}\t100.0\t50.0\t900\n"
    begin = 680 if rate == 1000 else 1000
    (recording,) = read_text(tmp_path, block(begin, rate=rate, count=420, events=event))
    fixation = recording.fixations.iloc[0]
    assert fixation["duration_ms"] == duration
    assert fixation["onset_ms"] == start - begin
    found = (fixation["first_row"], fixation["last_row"])
    assert found == (rows or (6, 407))
    assert (found[1] - found[0] + 1) * 1000 / rate == duration


@pytest.mark.parametrize(
    ("event", "what"),
    [
        ("ESACC R  4294967295\t1011\t1014\t9.5\t3.5\t2.7\t7.6\t4.40\t596\n", "saccades"),
        ("EFIX R   4294967295\t1011\t1014\t100.0\t50.0\t900\n", "fixations"),
        ("EBLINK R 4294967295\t1011\t1014\n", "blinks"),
    ],
)
def test_an_event_without_a_beginning_is_left_out(event, what, tmp_path):
    more = (
        "ESACC R  1002\t1005\t4\t100.0\t50.0\t110.0\t50.0\t1.0\t90\n"
        "EBLINK R 1003\t1004\t2\nEFIX R   1012\t1019\t8\t100.0\t50.0\t900\n"
    )
    (plain,) = read_text(tmp_path, block(events=more))
    (recording,) = read_text(tmp_path, block(events=event + more))
    assert recording.skipped == {f"{what} without a beginning": 1}
    for table in ("samples", "fixations", "saccades", "blinks"):
        pd.testing.assert_frame_equal(getattr(recording, table), getattr(plain, table))


def overlapping(*between, eye="L"):
    """Make events of 500 Hz: of two fixations the second states the start of the first."""
    return (
        f"SFIX {eye}   1008\nEFIX {eye}   1008\t1020\t14\t100.0\t50.0\t900\n"
        + "".join(f"{line}\n" for line in between)
        + f"EFIX {eye}   1008\t1058\t52\t100.0\t50.0\t900\n"
    )


def test_a_fixation_that_overlaps_the_one_before_begins_at_its_own_start(tmp_path):
    events = overlapping("SFIX R   1022", "SFIX L   1030", "SFIX R   1040")
    text = block(eyes=("LEFT",), rate=500, count=40, events=events)
    (recording,) = read_text(tmp_path, text)
    fixations = recording.fixations
    assert fixations["onset_ms"].tolist() == [8, 30]
    assert fixations["duration_ms"].tolist() == [14, 30]
    assert fixations[["first_row", "last_row"]].to_numpy().tolist() == [[4, 10], [15, 29]]
    assert recording.samples["vendor_event_index"][[10, 11, 15]].tolist() == [1, 0, 2]
    assert recording.skipped == {}


@pytest.mark.parametrize(
    "between",
    [(), ("SFIX R   1030",), ("SFIX L   1012",), ("SFIX L   1070",), ("SFIX L",)],
    ids=["none", "of the other eye", "too early", "too late", "damaged"],
)
def test_an_overlap_that_nothing_explains_stays(between, tmp_path):
    text = block(eyes=("LEFT",), rate=500, count=40, events=overlapping(*between))
    (recording,) = read_text(tmp_path, text)
    assert recording.fixations["onset_ms"].tolist() == [8, 8]
    assert recording.fixations["duration_ms"].tolist() == [14, 52]


@pytest.mark.parametrize("stamps", ["repeated", "with halves"])
def test_2000_hz(stamps, tmp_path):
    times = 1000 + np.arange(40) / 2
    if stamps == "repeated":
        times = np.floor(times)
    text = asc_begin(1000, ("RIGHT",), 2000)
    text += "".join(asc_sample(t, (100.0, 50.0, 900.0)) for t in times)
    text += "EFIX R   1002\t1011\t9\t100.0\t50.0\t900\n" + asc_end(1020)
    (recording,) = read_text(tmp_path, text)
    assert recording.skipped == {}
    assert (np.diff(recording.samples["tracker_time_us"]) == 500).all()
    fixation = recording.fixations.iloc[0]
    assert (fixation["first_row"], fixation["last_row"]) == (4, 23)
    assert (fixation["onset_ms"], fixation["duration_ms"]) == (2, 9)


def test_clocks_of_trials_are_those_of_all_readers(tmp_path):
    for recording in read(eyelink_asc(tmp_path)):
        samples = recording.samples
        time_us = samples["tracker_time_us"].to_numpy()
        begin_us = trial_begin_us(time_us, samples["trial"].to_numpy())
        np.testing.assert_array_equal(samples["t_ms"], (time_us - begin_us) / 1000)


def test_validations_in_force_are_averaged(tmp_path):
    validation = read(eyelink_asc(tmp_path))[0].validation
    assert validation == {
        "left_accuracy_deg": 0.4,
        "left_worst_deg": 0.48,
        "right_accuracy_deg": 0.3,
        "right_worst_deg": 0.91,
        "accuracy_deg": pytest.approx(0.35),
    }
    again = "MSG\t1000500 !CAL VALIDATION HV9 L LEFT  GOOD ERROR 0.80 avg. 1.00 max  OFFSET\n"
    text = asc_text().replace("MSG\t1001000", again + "MSG\t1001000")
    validation = read_text(tmp_path, text)[0].validation
    assert validation["left_accuracy_deg"] == pytest.approx(0.6)


def test_what_inspect_shows(tmp_path):
    about = read(eyelink_asc(tmp_path))[0].about
    assert about["software"] == "edfapi 4.2 Win32"
    assert about["tracker"] == "EYELINK II CL v5.03 Jul  3 2014"
    assert about["px per degree"] == "35.19 x 35.15"
    assert about["eyes"] == "left, left+right"
    assert about["encoding"] == "utf-8"


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize(
    ("words", "more"),
    [
        ("", ""),
        ("\tVEL", "\t   1.0\t  -2.0"),
        ("\tRES", "\t  35.0\t  35.0"),
        ("\tVEL\tRES", "\t   1.0\t  -2.0\t  35.0\t  35.0"),
        ("\tINPUT", "\t  127.0"),
        ("\tHTARGET", "\t...\t 512.0\t 380.0\t 600.1\t............."),
    ],
)
def test_columns_after_the_pupil_are_passed_over(words, more, tmp_path):
    text = asc_begin(1000, ("RIGHT",), 1000, more=words)
    text += "".join(asc_sample(1000 + i, (100.0 + i, 50.0, 900.0), more=more) for i in range(9))
    (recording,) = read_text(tmp_path, text + asc_end(1009))
    assert recording.samples["right_x_px"].tolist() == [100.0 + i for i in range(9)]
    assert set(recording.samples["right_pupil"]) == {900.0}
    assert recording.samples["x_px"].tolist() == recording.samples["right_x_px"].tolist()
    assert "vendor_event" not in recording.samples


def test_a_remote_tracker_tells_of_its_target_while_it_sees_one(tmp_path):
    tails = (
        "\t... \t-5420.0\t 3467.0\t  765.0 ....F........",
        "\t.C. \t.\t.\t.\tM............",
        "\t...",
        "",
    )
    text = asc_begin(1000, ("RIGHT",), 1000, more="\tHTARGET")
    text += "".join(f"{1000 + i}\t100.0\t50.0\t{900 + i}.0{tails[i % 4]}\n" for i in range(8))
    (recording,) = read_text(tmp_path, text + asc_end(1008))
    assert recording.samples["right_pupil"].tolist() == [900.0 + i for i in range(8)]
    assert recording.skipped == {}
    with pytest.raises(FormatError, match=r"asc:9: line has 3 fields, expected 8 as in the first"):
        read_text(tmp_path, text.replace("100.0\t50.0\t902.0\t...", "100.0\t..."))
    with pytest.raises(FormatError, match="line has 4 fields, expected 8 as in the first"):
        read_text(tmp_path, text.partition("06.0\t...")[0])


def test_samples_alone(tmp_path):
    seen = (100.0, 50.0, 900.0)
    one = "".join(asc_sample(1000 + i, seen) for i in range(9)) + asc_sample(1020, None)
    (recording,) = read_text(tmp_path, one)
    assert recording.samples["x_px"].tolist() == [100.0] * 9 + [pytest.approx(np.nan, nan_ok=True)]
    assert recording.samples["pupil"].tolist()[:9] == [900.0] * 9
    assert "left_x_px" not in recording.samples
    assert set(recording.samples["trial"]) == {1}
    (recording,) = read_text(tmp_path, "990\tNaN\tNaN\t 0.0\t...\n" + one)
    assert len(recording.samples) == 11
    both = "".join(asc_sample(1000 + i, seen, (120.0, 50.0, 800.0)) for i in range(9))
    (recording,) = read_text(tmp_path, both)
    assert set(recording.samples["right_x_px"]) == {120.0}
    assert set(recording.samples["x_px"]) == {110.0}


def test_events_alone(tmp_path):
    # how often an eye was seen, which chooses between two, is not known here
    lines = [line for line in asc_text().splitlines(keepends=True) if "EFIX R" not in line]
    events = "".join(line for line in lines if not line[0].isdigit())
    full, part = read_text(tmp_path, "".join(lines)), read_text(tmp_path, events)
    for one, other in zip(full, part, strict=True):
        assert other.samples.empty
        kept = one.fixations.drop(columns=["first_row", "last_row"])
        pd.testing.assert_frame_equal(other.fixations, kept)
        assert one.placements == other.placements


def test_the_missing_word_may_be_another(tmp_path):
    for word in ("NaN", "-32768.0", "100000000.0", "  -1.0"):
        text = asc_text().replace("   .\t   .\t", f"{word}\t{word}\t")
        assert_same(read_text(tmp_path, asc_text()), read_text(tmp_path, text))


@pytest.mark.parametrize(
    ("eye", "valid"),
    [
        ((-1.0, -1.0, 0.0), False),  # edf2asc -miss -1
        ((0.0, 0.0, 0.0), False),
        ((9999.0, 9999.0, 0.0), False),
        ((0.0, 0.0, 900.0), True),
        ((-1.0, -1.0, 900.0), True),  # seen beside the screen
        ((-1.0, -3.0, 0.0), True),  # no code
        ((100.0, 50.0, 0.0), True),
    ],
)
def test_a_code_for_missing_is_no_gaze(eye, valid, tmp_path):
    text = asc_begin(1000, ("RIGHT",), 1000) + asc_sample(1000, (100.0, 50.0, 900.0))
    (recording,) = read_text(tmp_path, text + asc_sample(1001, eye) + asc_end(1002))
    assert recording.samples["right_valid"].tolist() == [True, valid]
    assert recording.samples[["x_px", "y_px"]].notna().all(axis=1).tolist() == [True, valid]


@pytest.mark.parametrize(("x", "valid"), [(0.0, True), (-1.0, False)])
def test_without_pupils_only_a_negative_code_is_missing(x, valid, tmp_path):
    lines = asc_sample(1000, (100.0, 50.0, 0.0)) + asc_sample(1001, (x, x, 0.0))
    text = asc_begin(1000, ("RIGHT",), 1000) + lines + asc_end(1002)
    (recording,) = read_text(tmp_path, text)
    assert recording.samples["right_valid"].tolist() == [True, valid]


def test_a_code_is_missing_too_in_an_eye_that_was_never_seen(tmp_path):
    sample = asc_sample(1000, (0.0, 0.0, 0.0), (100.0, 50.0, 900.0))
    text = asc_begin(1000, ("LEFT", "RIGHT"), 1000) + sample + asc_end(1002)
    (recording,) = read_text(tmp_path, text)
    assert recording.samples[["left_valid", "right_valid"]].values.tolist() == [[False, True]]
    assert recording.samples[["x_px", "y_px"]].values.tolist() == [[100.0, 50.0]]


def test_a_code_is_missing_too_in_a_block_in_which_no_eye_was_seen(tmp_path):
    seen = asc_begin(1000, ("LEFT",), 1000) + asc_sample(1000, (100.0, 50.0, 900.0))
    lost = asc_begin(2000, ("RIGHT",), 1000) + asc_sample(2000, (0.0, 0.0, 0.0))
    (recording,) = read_text(tmp_path, seen + asc_end(1001) + lost + asc_end(2001))
    assert recording.samples["x_px"].notna().tolist() == [True, False]


@pytest.mark.parametrize("kind", ["HREF", "PUPIL", "RAW"])
def test_other_coordinates_are_refused(kind, tmp_path):
    with pytest.raises(FormatError, match=rf"export\.asc:1: samples are in {kind} coordinates"):
        read_text(tmp_path, block(kind=kind))


def test_events_in_gaze_are_read_beside_samples_that_are_not(tmp_path):
    text = block(events="EFIX R   1000\t1019\t20\t100.0\t50.0\t900\n")
    (recording,) = read_text(tmp_path, text.replace("SAMPLES\tGAZE", "SAMPLES\tHREF"))
    assert recording.samples.empty
    assert len(recording.fixations) == 1
    assert recording.skipped == {"samples in HREF coordinates": 20}


def test_fixations_in_other_coordinates_have_no_position(tmp_path):
    text = block(events="EFIX R   1000\t1019\t20\t100.0\t50.0\t900\n")
    (recording,) = read_text(tmp_path, text.replace("EVENTS\tGAZE", "EVENTS\tHREF"))
    assert recording.fixations.empty
    assert recording.skipped == {"fixations without a position": 1}


@pytest.mark.parametrize("missing", ["-32768.0", "100000000.0", "1e+08", "."])
def test_fixations_at_a_number_for_missing_have_no_position(missing, tmp_path):
    event = f"EFIX R   1000\t1019\t20\t{missing}\t{missing}\t0\n"
    (recording,) = read_text(tmp_path, block(events=event))
    assert recording.fixations.empty
    assert recording.skipped == {"fixations without a position": 1}


def test_events_in_other_coordinates_tell_the_gaze_behind_them(tmp_path):
    events = (
        "EFIX R   1000\t1009\t10\t-1500.0\t2300.0\t880\t  100.0\t   50.0\t    900\n"
        "ESACC R  1010\t1014\t5\t-1500\t2300\t-900\t2300\t4.0\t80\t100\t50\t140\t50\t4.1\t81\n"
        "EBLINK R 1015\t1016\t2\n"
    )
    text = block(events=events).replace("EVENTS\tGAZE", "EVENTS\tHREF")
    (recording,) = read_text(tmp_path, text)
    assert recording.fixations[["x_px", "y_px"]].to_numpy().tolist() == [[100, 50]]
    saccade = recording.saccades.iloc[0]
    assert (saccade["start_x_px"], saccade["end_x_px"]) == (100, 140)
    assert (saccade["amplitude_deg"], saccade["peak_velocity_deg_s"]) == (4.1, 81)
    assert recording.skipped == {}


# ---------------------------------------------------------------- screen and placements


@pytest.mark.parametrize(
    ("coordinates", "size", "shift"),
    [
        ("0.00 0.00 1919.00 1079.00", (1920, 1080), (0, 0)),
        ("0 0 1920 1080", (1920, 1080), (0, 0)),
        ("0, 0, 1023, 767", (1024, 768), (0, 0)),
        ("= 0 0 1279 1023", (1280, 1024), (0, 0)),
        ("-512.0 -384.0 511.0 383.0", (1024, 768), (512, 384)),
        ("0 0 nonsense", None, (0, 0)),
        ("5 5 1 1", None, (0, 0)),
    ],
)
def test_screens(coordinates, size, shift, tmp_path):
    (recording,) = read_text(tmp_path, f"MSG\t900 GAZE_COORDS {coordinates}\n" + block())
    assert recording.screen_px == size
    assert recording.samples["x_px"][0] == 100 + shift[0]
    assert recording.samples["y_px"][0] == 50 + shift[1]


@pytest.mark.parametrize(
    ("message", "name", "place"),
    [
        ("FILL pics/a b.jpg", "a b.jpg", (0, 0, 1024, 768, 1024, 768)),
        ("TOP_LEFT a.jpg 10 20 300 200", "a.jpg", (10, 20, 300, 200, 300, 200)),
        ("CENTER C:\\pics\\a.jpg 512 384 300 200", "a.jpg", (362, 284, 300, 200, 300, 200)),
        ("CENTER a.jpg 512 384", "a.jpg", None),
        ("CENTER a.jpg 512 384 0 0", "a.jpg", None),
    ],
)
def test_images(message, name, place, tmp_path):
    text = "MSG\t990 TRIALID 0\nMSG\t991 GAZE_COORDS 0 0 1023 767\n"
    (recording,) = read_text(tmp_path, text + f"MSG\t992 -3 !V IMGLOAD {message}\n" + block())
    assert set(recording.samples["stimulus"]) == {name}
    assert recording.placements == ({name: Placement(*place)} if place else {})


def test_an_image_in_two_places_has_no_placement(tmp_path):
    text = ""
    for trial, x in enumerate((300, 400)):
        text += f"MSG\t{1000 * trial + 990} TRIALID {trial}\n"
        text += f"MSG\t{1000 * trial + 991} !V IMGLOAD TOP_LEFT a.jpg {x} 0 300 200\n"
        text += block(1000 * trial + 1000)
    (recording,) = read_text(tmp_path, text)
    assert recording.placements == {}
    assert set(recording.samples["stimulus"]) == {"a.jpg"}


def test_names_that_folders_tell_apart_keep_them(tmp_path):
    text = ""
    for trial, folder in enumerate("ab"):
        text += f"MSG\t{1000 * trial + 990} TRIALID {trial}\n" + block(1000 * trial + 1000)
        text += f"MSG\t{1000 * trial + 1100} !V TRIAL_VAR image {folder}/1.jpg\n"
    (recording,) = read_text(tmp_path, text)
    assert recording.samples["stimulus"].unique().tolist() == ["a/1.jpg", "b/1.jpg"]


# ---------------------------------------------------------------- trials


def test_without_trialid_each_block_is_a_trial(tmp_path):
    (recording,) = read_text(tmp_path, HEADER + block(910_000) + block(911_000))
    assert recording.samples["trial"].tolist() == [1] * 20 + [2] * 20
    assert recording.samples["t_ms"][20] == 0.5


def test_trialid_within_a_block_cuts_it(tmp_path):
    text = block(1000, count=100) + "".join(
        f"MSG\t{time} {what}\n"
        for time, what in [(1010, "TRIALID 1"), (1040, "TRIALID 2"), (1060, "TRIAL_RESULT 0")]
    )
    (recording,) = read_text(tmp_path, text)
    counts = recording.samples["trial"].value_counts().to_dict()
    assert counts == {0: 50, 1: 30, 2: 20}


def test_trials_of_opensesame(tmp_path):
    text = block(1000, count=100) + "".join(
        f"MSG\t{time} {what}\n"
        for time, what in [
            *((1010, "start_trial 0"), (1015, "var stim a.png"), (1040, "stop_trial")),
            *((1060, "start_trial 1"), (1065, "var stim b.png"), (1090, "end_trial")),
        ]
    )
    samples = read_text(tmp_path, text)[0].samples
    assert samples["trial"].value_counts().to_dict() == {0: 40, 1: 30, 2: 30}
    assert samples["stimulus"][[20, 70]].tolist() == ["a.png", "b.png"]


@pytest.mark.parametrize("keeps", ["samples", "events"])
def test_a_trial_that_was_paused_goes_on(keeps, tmp_path):
    text = "MSG\t990 TRIALID 1\n"
    for start in (1000, 1500, 2000):
        text += block(start, events=f"EFIX L   {start}\t{start + 9}\t10\t100.0\t50.0\t900\n")
        text += f"MSG\t{start + 100} DRIFTCORRECT R RIGHT at 512,384\n"
        text += "MSG\t1800 TRIAL_RESULT 0\nMSG\t1900 TRIALID 2\n" if start == 1500 else ""
    text += block(2500, events="EFIX L   2500\t2509\t10\t100.0\t50.0\t900\n")
    text = text.replace("EFIX L", "EFIX R")
    if keeps == "events":
        text = "".join(line for line in text.splitlines(True) if not line[0].isdigit())
        # the clock begins with START here, and half a sample before it with samples
        text = text.replace("990 TRIALID", "1000 TRIALID")
    (recording,) = read_text(tmp_path, text)
    fixations = recording.fixations
    # what ends the last is not told: the end of its block does
    assert fixations["trial"].tolist() == [0, 1, 1, 2]
    assert fixations["onset_ms"].tolist()[1:] == [0, 500, 0]
    assert fixations["order"].tolist() == [1, 1, 2, 1]
    if keeps == "samples":
        assert recording.samples["trial"].tolist() == [1] * 40 + [2] * 20 + [0] * 20


def test_events_of_all_kinds_count_from_the_same_start_of_a_paused_trial(tmp_path):
    saccade = "ESACC R  1502\t1506\t6\t100.0\t50.0\t200.0\t50.0\t2.0\t100\n"
    text = "MSG\t990 TRIALID 1\n"
    text += block(1000, events="EFIX R   1000\t1009\t10\t100.0\t50.0\t900\n")
    text += block(1500, events=saccade) + "MSG\t1800 TRIAL_RESULT 0\n"
    text = "".join(line for line in text.splitlines(True) if not line[0].isdigit())
    (recording,) = read_text(tmp_path, text)
    assert recording.fixations["onset_ms"].tolist() == [0]
    assert recording.saccades["onset_ms"].tolist() == [502]


@pytest.mark.parametrize("begin", ["trial_start 1", "TRIALID 1"])
def test_only_trials_of_opensesame_end_with_its_words(begin, tmp_path):
    text = block(1000, count=100) + f"MSG\t1000 {begin}\nMSG\t1030 end_trial\n"
    assert set(read_text(tmp_path, text)[0].samples["trial"]) == {1}


def test_a_variable_stim_is_no_name_where_pictures_are_told(tmp_path):
    text = block(1000, count=100) + "".join(
        f"MSG\t{time} TRIALID\nMSG\t{time} !V IMGLOAD FILL {name}\n"
        f"MSG\t{time} !V TRIAL_VAR stim 3\n"
        for time, name in ((1000, "a.png"), (1050, "b.png"))
    )
    assert set(read_text(tmp_path, text)[0].samples["stimulus"]) == {"a.png", "b.png"}


def test_a_rule_says_where_trials_begin(tmp_path):
    text = block(1000, count=100) + block(2000)
    text += "MSG\t1010 TRIALID 1\nMSG\t1020 -5 show cat.png now\nMSG\t1050 show dog.png now\n"
    (recording,) = read_text(tmp_path, text, trial_from=r"show (\S+)")
    runs = recording.samples.groupby("trial", sort=False)["stimulus"].agg(["first", "size"])
    assert runs.index.tolist() == [0, 1, 2]
    assert runs["size"].tolist() == [45, 25, 50]  # the number in front is taken off
    assert runs["first"].tolist()[1:] == ["cat.png", "dog.png"]
    (recording,) = read_text(tmp_path, text, trial_from="show")
    assert recording.samples["stimulus"].isna().all()


def test_a_rule_that_matches_nothing_says_what_there_is(tmp_path):
    with pytest.raises(FormatError, match=r"no message matches 'picture'.*'TRIAL_RESULT 0'"):
        read_text(tmp_path, asc_text(), trial_from="picture")
    with pytest.raises(ConfigError, match=r"export\.asc: the rule '\(' .* no regular expression"):
        read_text(tmp_path, asc_text(), trial_from="(")


def test_fixations_between_trials_are_of_trial_0(tmp_path):
    events = "".join(
        f"EFIX R   {1000 + 10 * i}\t{1007 + 10 * i}\t8\t100.0\t50.0\t900\n" for i in range(10)
    )
    text = block(1000, count=100, events=events)
    (recording,) = read_text(tmp_path, text + "MSG\t1050 TRIALID 7\nMSG\t1080 TRIAL_RESULT\n")
    fixations = recording.fixations
    assert fixations["trial"].tolist() == [0] * 7 + [1] * 3
    assert fixations.loc[fixations["trial"] == 1, "onset_ms"].tolist() == [0, 10, 20]


# ---------------------------------------------------------------- time


def test_repeated_and_backward_times_are_counted(tmp_path):
    seen = (100.0, 50.0, 900.0)
    text = asc_begin(1000, ("RIGHT",), 1000)
    text += "".join(asc_sample(t, seen) for t in (1000, 1001, 1001, 1002, 990, 991, 1003))
    (recording,) = read_text(tmp_path, text + asc_end(1004))
    assert (recording.samples["tracker_time_us"] // 1000).tolist() == [1000, 1001, 1002, 1003]
    assert recording.skipped == {"repeated times": 1, "clock steps back": 2}


@pytest.mark.parametrize(
    "second", [HEADER + block(910_000), block(902_000)], ids=["header", "clock"]
)
def test_files_put_together_are_refused(second, tmp_path):
    first = HEADER + block(905_000)
    line = first.count("\n") + 1
    says = rf"asc:{line}: another recording begins here .*, expected one in a file; cut the file"
    with pytest.raises(FormatError, match=says):
        read_text(tmp_path, first + second)
    (recording,) = read_text(tmp_path, first + block(910_000))
    assert len(recording.samples) == 40


def test_samples_outside_of_blocks_are_counted(tmp_path):
    stray = asc_sample(500, (1.0, 2.0, 3.0))
    (recording,) = read_text(tmp_path, stray + block() + stray)
    assert len(recording.samples) == 20
    assert recording.skipped == {"samples outside of a recording block": 2}


def test_a_file_that_stops_in_a_block(tmp_path):
    text = "".join(asc_text().splitlines(keepends=True)[:80])
    (recording,) = read_text(tmp_path, text)
    assert len(recording.samples) > 10


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_say_the_same(newline, encoding, tmp_path):
    text = asc_text().replace("a.png", "Prüfbild.png")
    plain = read_text(tmp_path, text)
    assert set(plain[0].samples["stimulus"]) == {"Prüfbild.png"}
    other = written(tmp_path, text.replace("\n", newline), encoding=encoding)
    assert_same(plain, read(other))


def test_messages_may_be_in_several_encodings(tmp_path):
    text = asc_text().replace("made_up", "für").encode("latin-1")
    path = tmp_path / "mixed.asc"
    path.write_bytes(text.replace(b"a.png", "Prüfbild.png".encode()))
    recording = read(path)[0]
    assert set(recording.samples["stimulus"]) == {"Prüfbild.png"}
    assert recording.about["encoding"] == "cp1252"


def test_gz_is_named_without_its_suffixes(tmp_path):
    path = tmp_path / "p1.asc.gz"
    path.write_bytes(gzip.compress(asc_text().encode()))
    assert read(path)[0].name == "p1"


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "EFIX L   1000108\t1000146\t40\t  300.0\t  200.0",
            "EFIX L   1000108\t1000146\t40",
            "EFIX",
        ),
        ("EFIX L   1000108", "EFIX X   1000108", "EFIX line has 8 fields, expected 7 or more, L"),
        ("EFIX L   1000108", "EFIX L   10001O8", "EFIX line has '10001O8' where a number"),
        ("1000146\t40", "1000100\t40", r"EFIX from 1000108 to 1000100 lasts 40, expected an end"),
        ("RATE\t 500.00", "RATE\tfast", "EVENTS line has 'fast' where a rate in Hz"),
        ("START\t1000100", "START\tnow", "START line has 'now' where a time"),
        ("1000120\t  300.0", "1000120\t  3oo.0", r"'left_x' holds '3oo\.0', expected a number"),
        ("1000120\t  300.0", "1000120", "line has 7 fields, expected 8 as in the first"),
        ("1000120\t  300.0", "1e300\t  300.0", "'time' is 1e.300, expected a number up to"),
        ("1000120\t  300.0", "1000120\t  1e99", "'left_x' is 1e.99, expected a number up to"),
    ],
)
def test_damaged_lines_are_named(old, new, says, tmp_path):
    text = asc_text()
    assert old in text
    damaged = text.replace(old, new, 1)
    line = damaged[: damaged.index(new)].count("\n") + 1
    with pytest.raises(FormatError, match=rf"export\.asc:{line}: .*{says}"):
        read_text(tmp_path, damaged)


def test_a_line_that_was_cut_is_named(tmp_path):
    text = "".join(asc_text().splitlines(keepends=True)[:60])
    with pytest.raises(FormatError, match=r"export\.asc:60: line has 5 fields, expected 8"):
        read_text(tmp_path, text[:-24])


def test_blanks_instead_of_tabs_are_refused(tmp_path):
    text = asc_begin(1000, ("RIGHT",), 1000) + "1000 100.0 50.0 900.0 ...\n"
    with pytest.raises(FormatError, match=r"asc:7: sample line has 1 fields, expected 4: time, ri"):
        read_text(tmp_path, text)


def test_nothing_but_messages_is_refused(tmp_path):
    with pytest.raises(FormatError, match="neither samples nor fixations among 14 lines"):
        read_text(tmp_path, HEADER)


def test_other_tables_are_not_claimed(tmp_path):
    text = "".join(asc_sample(1000 + i, (100.0, 50.0, 900.0)) for i in range(9))
    assert find_reader(written(tmp_path, text)).name == "eyelink-asc"
    why = reasons(written(tmp_path, text, "table.tsv"))
    assert any(reason.startswith("eyelink-asc: no line as START, MSG or EFIX") for reason in why)


def test_messages_with_a_date_are_another_trackers(tmp_path):
    log = "MSG\t2014-07-02 15:42:48.100\t4211\tstart\ntimestamp\ttime\trawx\n"
    assert any(why.startswith("eyelink-asc: ") for why in reasons(written(tmp_path, log)))


def test_a_large_file_is_fast(tmp_path):
    one = block(1000, count=20_000)
    path = written(tmp_path, one)
    begin = time.perf_counter()
    (recording,) = read(path)
    assert len(recording.samples) == 20_000
    assert time.perf_counter() - begin < 1


# ---------------------------------------------------------------- real files


REAL = {
    "bino1000": (3467, 1000),
    "binoRemote250": (5125, 250),
    "mono2000": (8976, 2000),
    "mono500": (1834, 500),
}


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_published_recordings(name, data_folder):
    path = data_folder / "exports" / "eyelink" / f"eyelinker_{name}.asc.gz"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    (recording,) = read(path)
    samples, fixations = recording.samples, recording.fixations
    eyes = {line.split()[1] for line in lines if line.startswith("EFIX")}
    count, rate = REAL[name]
    assert len(samples) == sum(line[:1].isdigit() for line in lines) == count
    assert recording.fixed_rate_hz == rate
    assert recording.screen_px == (1024, 768)
    assert samples["trial"].unique().tolist() == [1, 2, 3, 4]
    eye = "L" if fixations["eye"][0] == "left" else "R"
    assert eye in eyes
    stated = [line.split() for line in lines if line.startswith(f"EFIX {eye}")]
    assert len(fixations) == len(stated)
    assert fixations["duration_ms"].tolist() == [float(words[4]) for words in stated]
    span = fixations["last_row"] - fixations["first_row"] + 1
    # at 2000 Hz the stated duration is cut to whole ms
    slack = 1.0 if rate == 2000 else 0.0
    off = span * 1000 / rate - fixations["duration_ms"]
    assert off.between(0, slack).all()
    side = fixations["eye"][0]
    for row in fixations.itertuples():
        mean = samples[f"{side}_x_px"].iloc[row.first_row : row.last_row + 1].mean()
        assert mean == pytest.approx(row.x_px, abs=1.0)
    assert recording.validation["accuracy_deg"] < 1
