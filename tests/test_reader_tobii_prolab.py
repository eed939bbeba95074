"""Tobii Pro Lab: the variants that real files come in."""

import re

import numpy as np
import pandas as pd
import pytest
from exports import INTERVAL_US, Sheet, assert_same, prolab

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers import ReadOptions, opening, read
from gazetools.readers.tobii_prolab_rows import Shown
from gazetools.readers.vendor_events import CUT_OFF
from gazetools.synthetic import CohortSpec, ExportOptions, simulate_session, write_prolab_export

# ---------------------------------------------------------------- Tobii Pro Lab


TINY = CohortSpec(
    images=2, width_px=120, height_px=100, fixations=4, calibration_s=0.5, break_s=0.5, readers=2
)
BRACKETS = re.compile(r"\s*\[(.*)\]")


def mangled(name):
    """What R's make.names makes of a column name."""
    return re.sub(r"[^A-Za-z0-9_.]", ".", name)


def snake(name):
    """What R's janitor makes of it: it takes the micro sign for an m."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower().replace("μ", "m")).strip("_")


def camel(name):
    """What MATLAB makes of it."""
    joined = re.sub(r" +([a-z]?)", lambda blank: blank[1].upper(), name)
    return re.sub(r"[^A-Za-z0-9]", "_", joined)


def with_commas(sheet):
    return sheet.cells(lambda cell: re.sub(r"^(-?\d+)\.(\d+)$", r"\1,\2", cell))


def as_floats(sheet):
    """Write whole numbers as pandas does where some are missing."""
    return sheet.cells(lambda cell: re.sub(r"^-?\d+$", r"\g<0>.0", cell))


def numbered(sheet):
    """Put before each row its number, as pandas does."""
    return Sheet([["", *sheet.rows[0]], *([str(i), *row] for i, row in enumerate(sheet.rows[1:]))])


@pytest.fixture(scope="module")
def sessions():
    rng = np.random.default_rng(1)
    masks = {f"{i}.jpg": rng.random((100, 120)) < 0.2 for i in range(TINY.images)}
    return [simulate_session(masks, TINY, reader) for reader in range(TINY.readers)]


@pytest.fixture(scope="module")
def vendors(sessions, tmp_path_factory):
    """Bracketed names, us, points, LF: what all variants are compared with."""
    path = tmp_path_factory.mktemp("prolab") / "export.tsv"
    write_prolab_export(path, sessions, TINY)
    return path


@pytest.mark.parametrize(
    "options",
    [
        ExportOptions(bare_headers=True),
        ExportOptions(time_unit="ms"),
        ExportOptions(decimal_comma=True),
        ExportOptions(newline="\r\n"),
        ExportOptions(bare_headers=True, decimal_comma=True, newline="\r\n"),
    ],
)
def test_variants_say_the_same(options, sessions, vendors, tmp_path):
    path = tmp_path / "export.tsv"
    write_prolab_export(path, sessions, TINY, options)
    assert_same(read(vendors), read(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda sheet: sheet.renamed(mangled),
        lambda sheet: sheet.renamed(mangled).cells(lambda cell: cell or "NA"),
        lambda sheet: sheet.renamed(mangled).cells(lambda cell: cell or "NA").quoted(),
        lambda sheet: sheet.renamed(lambda name: name.replace("μ", "µ")),
        lambda sheet: Sheet([[*row, ""] for row in sheet.rows]),
        lambda sheet: Sheet([[*row, row[16]] for row in sheet.rows]),
        lambda sheet: Sheet(numbered(sheet).rows, ","),
        lambda sheet: Sheet(with_commas(sheet).quoted().rows, ","),
        lambda sheet: Sheet(as_floats(with_commas(sheet)).quoted().rows, ","),
        lambda sheet: as_floats(with_commas(sheet)),
        lambda sheet: Sheet(with_commas(sheet).rows, ";"),
        lambda sheet: with_commas(sheet).cells(lambda cell: f'"{cell}"' if "," in cell else cell),
        lambda sheet: Sheet(sheet.renamed(snake).rows, ","),
        lambda sheet: Sheet(sheet.renamed(camel).rows, ","),
        lambda sheet: sheet.renamed(mangled).renamed(lambda name: re.sub("^Rec", "ï..Rec", name)),
    ],
    ids=[
        *("R names", "R names, NA", "R names, NA, quoted", "other micro", "last empty", "twice"),
        *("pandas", "commas twice", "pandas, commas", "pandas, commas, tabs", "spreadsheet"),
        "spreadsheet, tabs",
        *("snake case", "camel case", "mark of order read as text"),
    ],
)
def test_what_others_do_to_a_file_changes_nothing(change, vendors, tmp_path):
    path = change(Sheet.load(vendors)).write(tmp_path / "export.tsv")
    assert_same(read(vendors), read(path))


def test_names_of_areas_change_nothing(tmp_path):
    areas = [f"AOI hit [Ad - CSR logo, upper, left, {i}]" for i in range(20)]
    rows = [[*row, *["0"] * len(areas)] for row in prolab().rows[1:]]
    path = Sheet([[*prolab().rows[0], *areas], *rows]).write(tmp_path / "export.tsv")
    (tmp_path / "plain").mkdir()
    assert_same(read(prolab().write(tmp_path / "plain" / "export.tsv")), read(path))


def test_without_sensor_column_event_and_mouse_rows_are_left_out(vendors, tmp_path):
    sheet = Sheet.load(vendors).without(lambda name: name == "Sensor")
    before, after = read(vendors), read(sheet.write(tmp_path / "export.tsv"))
    for one, other in zip(before, after, strict=True):
        pd.testing.assert_frame_equal(one.samples, other.samples)
    assert sum(before[0].skipped.values()) == sum(after[0].skipped.values())


def test_without_tracker_clock_the_recordings_clock_serves(vendors, tmp_path):
    sheet = Sheet.load(vendors).without(lambda name: name.startswith("Eyetracker"))
    sheet = sheet.where("Sensor", lambda sensor: sensor == "Eye Tracker")
    for one, other in zip(read(vendors), read(sheet.write(tmp_path / "e.tsv")), strict=True):
        shifted = other.samples["tracker_time_us"] - one.samples["tracker_time_us"]
        assert shifted.nunique() == 1
        np.testing.assert_allclose(other.samples["t_ms"], one.samples["t_ms"])


def in_ms(sheet, clock):
    """Let one clock count ms, and be the only one."""
    other = {"Recording timestamp [μs]", "Eyetracker timestamp [μs]"} - {clock}
    return sheet.filled(clock, lambda cell: cell and str(int(cell) // 1000)).filled(*other, "")


@pytest.mark.parametrize("clock", ["Recording timestamp [μs]", "Eyetracker timestamp [μs]"])
def test_bare_clocks_count_us_or_ms(clock, tmp_path):
    other = {"Recording timestamp [μs]", "Eyetracker timestamp [μs]"} - {clock}
    bare = prolab().filled(*other, "").renamed(lambda name: name.removesuffix(" [μs]"))
    (us,) = read(bare.write(tmp_path / "us.tsv"))
    rounded = in_ms(prolab(), clock).renamed(lambda name: name.removesuffix(" [μs]"))
    (ms,) = read(rounded.write(tmp_path / "ms.tsv"))
    assert (us.about["time unit"], ms.about["time unit"]) == ("us", "ms")
    apart_us = us.samples["tracker_time_us"] - ms.samples["tracker_time_us"]
    assert len(us.samples) == 120
    assert apart_us.between(0, 999).all()


def test_clocks_of_many_recordings_that_begin_anew_count_us(tmp_path):
    bare = prolab().filled("Eyetracker timestamp [μs]", "")
    bare = bare.renamed(lambda name: name.removesuffix(" [μs]"))
    parts = [
        bare.filled("Recording name", f"R{i}")
        .filled("Recording timestamp", lambda cell, i=i: str(int(cell) + 100 * i))
        .rows[1:]
        for i in range(60)
    ]
    path = Sheet([bare.rows[0], *(row for part in parts for row in part)]).write(tmp_path / "e.tsv")
    found = read(path)
    assert {recording.about["time unit"] for recording in found} == {"us"}
    assert len(found) == 60


def many(sheet, who, clock):
    """Sixty participants, whose clocks differ by less than a sample."""
    parts = [
        sheet.filled(who, f"P{i:02d}")
        .filled(clock, lambda cell, i=i: cell and str(int(cell) + 130 * i))
        .rows[1:]
        for i in range(60)
    ]
    return [row for part in parts for row in part]


@pytest.mark.parametrize("clock", ["Recording timestamp", "Eyetracker timestamp"])
def test_the_unit_of_a_clock_is_that_of_each_recording(clock, tmp_path):
    sheet = prolab().renamed(lambda name: name.removesuffix(" [μs]"))
    sheet = sheet.filled(*{"Recording timestamp", "Eyetracker timestamp"} - {clock}, "")
    rows = many(sheet, "Participant name", clock)
    rows.sort(key=lambda row: int(row[sheet.index(clock)] or 0))
    found = read(Sheet([sheet.rows[0], *rows]).write(tmp_path / "export.tsv"))
    assert [len(recording.samples) for recording in found] == [120] * 60
    assert {recording.about["time unit"] for recording in found} == {"us"}


@pytest.mark.parametrize("clock", ["Recording timestamp [μs]", "Eyetracker timestamp [μs]"])
def test_a_rate_that_no_tracker_has_tells_of_a_wrong_unit(clock, tmp_path):
    path = in_ms(prolab(), clock).write(tmp_path / "export.tsv")
    says = rf"'{re.escape(clock)}', read in us, makes 1\d\d,\d\d\d samples a second; its time unit"
    with pytest.raises(FormatError, match=says):
        read(path)


def test_old_exports_call_display_coordinates_otherwise(tmp_path):
    sheet = prolab()
    head = sheet.rows[0]
    directions = [f"Gaze direction {eye} {axis}" for eye in ("left", "right") for axis in "XYZ"]
    rows = [[*row, *("0.1" if row[head.index("Sensor")] else "",) * 6] for row in sheet.rows[1:]]
    old = Sheet([head + directions, *rows]).renamed(
        lambda name: re.sub(r" \[(DACS )?(px|mm)\]", lambda u: f" (RCS{u[2]})" * bool(u[1]), name)
    )
    assert "Gaze point left X (RCSmm)" in old.rows[0]
    assert "Presented Media position X (RCSpx)" in old.rows[0]
    old = old.renamed(
        lambda name: re.sub(r"^((?:Gaze|Fixation) point [XY]) \(RCSpx\)", r"\1", name)
    )
    first, second = (read(one.write(tmp_path / "export.tsv")) for one in (sheet, old))
    assert_same(first, second)


@pytest.mark.parametrize("name", ["Gaze event duration", "Gaze event duration [ms]"])
def test_names_of_the_vendors_duration(name, tmp_path):
    sheet = prolab().filled("Eye movement event duration [ms]", lambda cell: cell and "444")
    sheet = sheet.renamed(lambda old: old.replace("Eye movement event duration [ms]", name))
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.fixations["duration_ms"].tolist() == [444, 444]


@pytest.mark.parametrize("name", ["Eye movement event duration", "Gaze event duration [μs]"])
@pytest.mark.parametrize("per_ms", [1, 1000])
def test_durations_count_what_their_samples_tell(name, per_ms, tmp_path):
    old = "Eye movement event duration [ms]"
    sheet = prolab().filled(old, lambda cell: cell and str(int(cell) * per_ms))
    sheet = sheet.renamed(lambda column: column.replace(old, name))
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.fixations["duration_ms"].tolist() == [492, 492]


def test_units_are_told_by_the_first_block_with_samples(monkeypatch, tmp_path):
    old = "Eye movement event duration [ms]"
    sheet = prolab().filled(old, lambda cell: cell and f"{cell}000")
    for clock in ("Recording", "Eyetracker"):
        of_clock = f"{clock} timestamp [μs]"
        sheet = sheet.filled(of_clock, lambda cell: cell and str(int(cell) // 1000))
    sheet = sheet.renamed(lambda name: name.replace(old, "Gaze event duration [μs]"))
    header, *rows = sheet.renamed(lambda name: name.replace("timestamp [μs]", "timestamp")).rows
    skin = ["GSR", "P01", "Recording1", *[""] * (len(header) - 4)]
    skins = [[str(i), *skin] for i in range(400)]
    path = Sheet([header, *skins, *rows[1:]]).write(tmp_path / "export.tsv")
    monkeypatch.setattr("gazetools.readers.blocks.BLOCK_BYTES", 10_000)
    (recording,) = read(path)
    assert recording.fixations["duration_ms"].tolist() == [492, 492]
    assert recording.samples["t_ms"].diff().median() == 8


def test_what_the_export_cuts_off_lasts_as_long_as_its_samples(tmp_path):
    sheet = prolab()
    (whole,) = read(sheet.write(tmp_path / "whole.tsv"))
    (cut,) = read(Sheet([sheet.rows[0], *sheet.rows[22:-21]]).write(tmp_path / "cut.tsv"))
    apart_ms = whole.fixations["duration_ms"] - cut.fixations["duration_ms"]
    assert apart_ms.between(150, 180).all()  # twenty samples
    assert cut.skipped[CUT_OFF] == 2
    assert CUT_OFF not in whole.skipped
    long = sheet.renamed(lambda name: name.replace("event duration [ms]", "event duration"))
    long = long.filled("Eye movement event duration", "3000")
    (few,) = read(Sheet(long.rows[:1] + long.rows[10:22]).write(tmp_path / "few.tsv"))
    assert few.fixations["duration_ms"].tolist() == [pytest.approx(100, abs=1)]


def test_validity_counts_where_gaze_is_told_of_both_eyes_only(tmp_path):
    sheet = prolab().without(lambda name: re.match("Gaze point (left|right)", name))
    sheet = sheet.filled("Validity right", lambda cell: cell and "Invalid")
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.samples["left_valid"].all()
    assert not recording.samples["right_valid"].any()


def test_early_versions_tell_validity_in_codes(tmp_path):
    sheet = prolab().filled("Validity left", lambda cell: cell and "1")
    sheet = sheet.filled("Validity right", lambda cell: cell and "2")
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.samples["left_valid"].all()
    assert not recording.samples["right_valid"].any()


def test_without_the_average_gaze_is_the_mean_of_the_eyes(tmp_path):
    sheet = prolab()
    px = [sheet.index(f"Gaze point {axis} [DACS px]") for axis in "XY"]
    eyes = [f"Gaze point {eye} {axis} [DACS px]" for eye in ("left", "right") for axis in "XY"]
    rows = [[*row, *(row[px[0]], row[px[1]], "", "")] for row in sheet.rows[1:]]
    sheet = Sheet([[*sheet.rows[0], *eyes], *rows])
    sheet = sheet.without(lambda name: re.match(r"Gaze point [XY] ", name))
    path = sheet.write(tmp_path / "export.tsv")
    (expected,) = read(prolab().write(tmp_path / "average.tsv"))
    for options in (ReadOptions(), ReadOptions(for_events=True)):
        (recording,) = read(path, options)
        pd.testing.assert_frame_equal(
            recording.samples[["x_px", "y_px"]], expected.samples[["x_px", "y_px"]]
        )


def test_without_gaze_the_vendors_fixations_are_read_alone(tmp_path):
    sheet = prolab().without(lambda name: name.startswith("Gaze point"))
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.samples.empty
    assert recording.fixations["x_px"].tolist() == [900, 1100]
    assert recording.fixations["duration_ms"].tolist() == [492, 492]
    assert set(recording.placements) == {"lesion.jpg"}
    with pytest.raises(FormatError, match="no columns 'Gaze point X' and 'Gaze point Y' among"):
        read(sheet.without(lambda name: "type" in name).write(tmp_path / "export.tsv"))


def test_without_sensors_and_their_clock_the_mouse_is_told_by_its_place(tmp_path):
    sheet = prolab()
    header = [*sheet.rows[0], "Mouse position X [DACS px]"]
    mouse = ["100000", "Mouse", "P01", "Recording1", *[""] * (len(header) - 5), "17"]
    rows = [[*row, ""] for row in sheet.rows[1:]]
    sheet = Sheet([header, *rows[:20], mouse, *rows[20:]])
    sheet = sheet.without(lambda name: name == "Sensor" or name.startswith("Eyetracker"))
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert len(recording.samples) == 120
    assert recording.skipped == {"event rows": 3}


def test_without_all_that_tells_events_and_mouse_validity_tells_gaze(vendors, tmp_path):
    told = ("Sensor", "Event", "Mouse")
    sheet = Sheet.load(vendors).without(lambda name: name.startswith(told))
    sheet = sheet.without(lambda name: name.startswith("Eyetracker"))
    for one, other in zip(read(vendors), read(sheet.write(tmp_path / "e.tsv")), strict=True):
        assert len(one.samples) == len(other.samples)


def unnamed(*columns):
    sheet = prolab()
    for column in columns:
        sheet = sheet.filled(column, "")
    return sheet


@pytest.mark.parametrize("name", ["P01.a.tsv", "P01.a.tsv.gz", "P01.a", "P01.a.TXT"])
def test_a_recording_without_a_name_is_called_as_its_file(name, tmp_path):
    (recording,) = read(unnamed("Recording name").write(tmp_path / name))
    assert (recording.subject, recording.name) == ("P01", "P01.a")
    whole = unnamed("Recording name", "Participant name").without(
        lambda column: column in ("Recording name", "Participant name")
    )
    (recording,) = read(whole.write(tmp_path / name))
    assert (recording.subject, recording.name) == ("unnamed", "P01.a")


def test_recordings_without_names_are_told_apart_by_their_clock(tmp_path):
    sheet = unnamed("Recording name")
    later = sheet.filled(
        "Eyetracker timestamp [μs]", lambda cell: cell and str(int(cell) + 60_000_000)
    )
    path = Sheet([*sheet.rows, *later.rows[1:]]).write(tmp_path / "day.tsv")
    first, second = read(path)
    assert (first.name, second.name) == ("day", "day-2")
    assert len(first.samples) == len(second.samples) == 120
    assert second.samples["tracker_time_us"].min() == 67_010_000
    other = later.filled("Participant name", "P02")
    first, second = read(Sheet([*sheet.rows, *other.rows[1:]]).write(path))
    assert [(r.subject, r.name) for r in (first, second)] == [("P01", "day"), ("P02", "day")]


def test_the_trackers_clock_may_be_the_only_one(tmp_path):
    def without(sheet):
        return sheet.without(lambda name: name == "Recording timestamp [μs]")

    (plain,) = read(prolab().write(tmp_path / "export.tsv"))
    (recording,) = read(without(prolab()).write(tmp_path / "export.tsv"))
    pd.testing.assert_frame_equal(recording.samples, plain.samples)
    pd.testing.assert_frame_equal(recording.fixations, plain.fixations)
    sheet = without(unnamed("Recording name"))
    earlier = sheet.filled(
        "Eyetracker timestamp [μs]", lambda cell: cell and str(int(cell) - 5_000_000)
    )
    path = Sheet([*sheet.rows, *earlier.rows[1:]]).write(tmp_path / "day.tsv")
    assert [(r.name, len(r.samples)) for r in read(path)] == [("day", 120), ("day-2", 120)]


@pytest.mark.parametrize("shift_us", [86_400_000_000, -500_000, -60_000_000])
def test_recordings_of_one_name_are_told_apart_by_their_clocks(shift_us, tmp_path):
    again = prolab().filled(
        "Eyetracker timestamp [μs]", lambda cell: cell and str(int(cell) + shift_us - 2_000_000)
    )
    rows = [*prolab().rows, *again.rows[1:]]
    first, second = read(Sheet(rows).write(tmp_path / "export.tsv"))
    assert (first.name, second.name) == ("Recording1", "Recording1-2")
    for recording in (first, second):
        assert len(recording.samples) == 120
        assert recording.fixations["duration_ms"].tolist() == [492, 492]


def test_recordings_of_one_name_may_lie_row_by_row_between_each_other(tmp_path):
    later = prolab().filled(
        "Eyetracker timestamp [μs]", lambda cell: cell and str(int(cell) + 86_400_000_000)
    )
    rows = sorted([*prolab().rows[1:], *later.rows[1:]], key=lambda row: int(row[0]))
    found = read(Sheet([prolab().rows[0], *rows]).write(tmp_path / "export.tsv"))
    assert [len(recording.samples) for recording in found] == [120, 120]


def test_pauses_do_not_part_a_recording_whose_clocks_run_in_other_units(tmp_path):
    sheet = prolab().renamed(lambda name: name.removesuffix(" [μs]"))
    sheet = Sheet([sheet.rows[0], *sheet.rows[1:-1:20]])
    slow = sheet.filled("Eyetracker timestamp", lambda cell: cell and str(int(cell) * 30))
    slow = slow.filled("Recording timestamp", lambda cell: str(int(cell) * 30 // 1000))
    (recording,) = read(slow.write(tmp_path / "export.tsv"))
    assert len(recording.samples) == 6


def test_recordings_without_names_part_though_both_clocks_begin_anew(tmp_path):
    sheet = unnamed("Recording name")
    first, second = read(Sheet([*sheet.rows, *sheet.rows[1:]]).write(tmp_path / "day.tsv"))
    assert (first.name, second.name) == ("day", "day-2")
    assert len(first.samples) == len(second.samples) == 120


def test_repeats_among_fixations_alone_are_no_disorder(tmp_path):
    header, *rows = prolab().without(lambda name: name.startswith("Gaze point")).rows
    (recording,) = read(Sheet([header, *rows[:100], *rows[60:]]).write(tmp_path / "export.tsv"))
    assert len(recording.fixations) == 2


def test_gaze_whose_validity_is_not_told_stays(tmp_path):
    sheet = prolab().without(lambda name: name == "Sensor").filled("Validity left", "Invalid")
    bare = prolab().without(lambda name: name == "Sensor").filled("Recording name", "Recording2")
    bare = bare.filled("Validity left", "").filled("Validity right", "")
    found = read(Sheet([*sheet.rows, *bare.rows[1:]]).write(tmp_path / "export.tsv"))
    assert [len(recording.samples) for recording in found] == [120, 120]


def test_vendor_fixations_whose_numbers_begin_anew(tmp_path):
    later = prolab().filled(
        *("Eyetracker timestamp [μs]", lambda cell: cell and str(int(cell) + 60_000_000))
    )
    later = later.filled("Recording timestamp [μs]", lambda cell: str(int(cell) + 60_000_000))
    rows = [*prolab().rows, *later.rows[1:]]
    (recording,) = read(Sheet(rows).write(tmp_path / "export.tsv"))
    assert recording.fixations["duration_ms"].tolist() == [492] * 4


def test_rows_in_another_order_than_of_time_are_refused_where_they_would_be_lost(
    tmp_path, monkeypatch
):
    header, *rows = prolab().rows
    path = Sheet([header, *rows[61:], *rows[:61]]).write(tmp_path / "export.tsv")
    (whole,) = read(path)
    assert len(whole.samples) == 120
    monkeypatch.setattr("gazetools.readers.blocks.BLOCK_BYTES", 4000)
    with pytest.raises(FormatError, match=r"of 120 samples repeat times or step back, .* sort"):
        read(path)


def test_milliseconds_become_microseconds(sessions, vendors, tmp_path):
    path = tmp_path / "export.tsv"
    write_prolab_export(path, sessions, TINY, ExportOptions(time_unit="ms"))
    sheet = Sheet.load(path).without(lambda name: name.startswith("Eyetracker"))
    for one, other in zip(read(vendors), read(sheet.write(tmp_path / "e.tsv")), strict=True):
        assert (other.samples["tracker_time_us"] % 1000 == 0).all()
        assert np.abs(other.samples["t_ms"] - one.samples["t_ms"]).max() <= 1


def test_participants_are_recordings_of_their_own(vendors):
    recordings = read(vendors)
    assert [(r.subject, r.name) for r in recordings] == [
        ("R01", "Recording1"),
        ("R02", "Recording2"),
    ]
    assert all(recording.screen_px == (1920, 1080) for recording in recordings)


def test_all_rows_are_read_or_counted(vendors):
    rows = Sheet.load(vendors).rows[1:]
    recordings = read(vendors)
    skipped = sum(sum(recording.skipped.values()) for recording in recordings)
    assert sum(len(recording.samples) for recording in recordings) + skipped == len(rows)


def test_rows_without_a_tracker_time_are_counted(tmp_path):
    sheet = prolab()
    for row in sheet.rows[5:9]:
        row[sheet.index("Eyetracker timestamp [μs]")] = ""
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.skipped == {"event rows": 2, "rows without a tracker time": 4}
    assert len(recording.samples) == 116


def test_repeated_times_are_counted_and_rows_put_in_order(tmp_path):
    sheet = prolab()
    expected = read(sheet.write(tmp_path / "before.tsv"))[0].samples
    rows = [*sheet.rows[1:], sheet.rows[20], sheet.rows[21]]
    np.random.default_rng(0).shuffle(rows)
    (recording,) = read(Sheet([sheet.rows[0], *rows]).write(tmp_path / "export.tsv"))
    assert recording.skipped["repeated times"] == 2
    pd.testing.assert_frame_equal(recording.samples, expected)


def test_no_eye_tracker_rows(tmp_path):
    path = prolab().filled("Sensor", "Mouse").write(tmp_path / "export.tsv")
    with pytest.raises(FormatError, match="no eye-tracker rows with a time among 122 rows; tick"):
        read(path)


def test_without_stimuli_all_is_one_trial_without_placement(tmp_path):
    sheet = prolab().without(lambda name: name.startswith(("Presented", "Original")))
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert set(recording.samples["trial"]) == {1}
    assert recording.samples["stimulus"].isna().all()
    assert recording.fixations["stimulus"].isna().all()
    assert recording.placements == {}


def test_without_media_rectangle_there_is_no_placement(tmp_path):
    sheet = prolab().without(lambda name: "Media position" in name)
    assert read(sheet.write(tmp_path / "export.tsv"))[0].placements == {}


def test_the_rectangle_and_the_original_size(tmp_path):
    path = tmp_path / "export.tsv"
    (recording,) = read(prolab().write(path))
    assert recording.placements == {"lesion.jpg": Placement(460, 40, 1000, 1000, 500, 500)}
    (recording,) = read(prolab().without(lambda name: "Original" in name).write(path))
    assert recording.placements == {"lesion.jpg": Placement(460, 40, 1000, 1000, 1000, 1000)}
    (recording,) = read(prolab().filled("Presented Media width [px]", "0").write(path))
    assert recording.placements == {}


def test_a_medium_that_moved_has_no_placement(tmp_path):
    sheet = prolab()
    for row in sheet.rows[80:]:
        row[sheet.index("Presented Media position X [DACS px]")] = "0"
    assert read(sheet.write(tmp_path / "export.tsv"))[0].placements == {}


def test_trials_are_runs_of_a_stimulus(tmp_path):
    sheet = prolab()
    at = sheet.index("Presented Media name"), sheet.index("Presented Stimulus name")
    for i, row in enumerate(sheet.rows[2:122]):
        name = "" if 40 <= i < 60 else ("a.jpg" if i < 80 else "b.jpg")
        row[at[0]] = row[at[1]] = name
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    samples = recording.samples
    assert samples["trial"].tolist() == [1] * 40 + [0] * 20 + [2] * 20 + [3] * 40
    starts = samples[samples["trial"] > 0].groupby("trial")["t_ms"].min()
    # a trial begins where its first sample does: midway to the sample before
    assert starts.tolist() == [INTERVAL_US / 2000] * 3
    between = (np.arange(40, 60) + 0.5) * INTERVAL_US / 1000
    np.testing.assert_allclose(samples["t_ms"][40:60], between)


def of_events(*shown):
    """Leave out the columns of stimuli; events between the samples tell them, by row and name."""
    sheet = prolab().without(lambda name: name.startswith(("Presented", "Original")))
    header, *rows = sheet.rows
    rows = [[*row, ""] for row in rows]
    for at, event, value in reversed(shown):
        marker = [*rows[at][:1], "", "P01", "Recording1", *[""] * (len(header) - 4), value]
        marker[header.index("Event")] = event
        rows.insert(at, marker)
    return Sheet([[*header, "Event value"], *rows])


def test_without_columns_of_stimuli_events_name_them(tmp_path):
    sheet = of_events(
        (21, "ImageStimulusStart", "a"),
        (30, "KeyboardEvent", "Space"),
        (41, "ImageStimulusEnd", "a"),
        (61, "VideoStimulusStart", "b"),
    )
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    samples = recording.samples
    assert (
        samples["stimulus"].fillna("").tolist() == [""] * 20 + ["a"] * 20 + [""] * 20 + ["b"] * 60
    )
    assert samples["trial"].tolist() == [0] * 20 + [1] * 20 + [0] * 20 + [2] * 60
    again = of_events((61, "VideoStimulusStart", "b")).rows
    later = [
        [row[0], "", "P02", *row[3:]] if not row[1] else [*row[:2], "P02", *row[3:]]
        for row in again
    ]
    first, second = read(Sheet([*again[:-1], *later[1:]]).write(tmp_path / "export.tsv"))
    assert first.samples["stimulus"].tolist() == second.samples["stimulus"].tolist()


@pytest.mark.parametrize("block_bytes", [2000, 7000])
def test_events_name_stimuli_however_late(block_bytes, monkeypatch, tmp_path):
    sheet = of_events((61, "VideoStimulusStart", "b"), (101, "VideoStimulusEnd", "b"))
    path = sheet.write(tmp_path / "export.tsv")
    expected = read(path)
    assert set(expected[0].samples["trial"]) == {0, 1}
    monkeypatch.setattr("gazetools.readers.blocks.BLOCK_BYTES", block_bytes)
    assert_same(expected, read(path))


@pytest.mark.parametrize("event", ["KeyboardEvent", "ImageStimulusStart"])
def test_events_that_show_nothing_are_no_stimuli(event, tmp_path):
    value = "Space" if event == "KeyboardEvent" else ""
    path = of_events((30, event, value)).write(tmp_path / "export.tsv")
    (recording,) = read(path)
    assert recording.samples["stimulus"].isna().all()
    assert set(recording.samples["trial"]) == {1}


def test_a_stimulus_goes_on_from_block_to_block():
    shown = Shown()
    events = [["ImageStimulusStart", None], [None], ["KeyboardEvent", "ImageStimulusEnd", None]]
    values = [["a", None], [None], ["Space", "a", None]]
    columns = [[pd.Categorical(c) for c in block] for block in zip(events, values, strict=True)]
    found = [shown.add(*block).astype(object).tolist() for block in columns]
    assert found[:2] == [["a", "a"], ["a"]]
    assert found[2][0] == "a"
    assert pd.isna(found[2][1:]).all()


def test_vendor_fixations(tmp_path):
    for sheet in (prolab(), prolab().without(lambda name: name == "Eye movement type index")):
        (recording,) = read(sheet.write(tmp_path / "export.tsv"))
        found = recording.fixations
        assert found["x_px"].tolist() == [900, 1100]
        assert found["duration_ms"].tolist() == [492, 492]
        np.testing.assert_allclose(found["onset_ms"], [0, 61 * INTERVAL_US / 1000])
        assert set(found["source"]) == {"vendor:tobii-prolab"}
        assert found[["first_row", "last_row"]].to_numpy().tolist() == [[0, 58], [61, 119]]


@pytest.mark.parametrize(
    ("filter_name", "profile", "prefers_vendor"),
    [
        ("", "tobii-prolab", False),
        ("Tobii I-VT (Fixation)", "tobii-prolab", False),
        ("Tobii I-VT (Attention)", "tobii-prolab-attention", False),
        ("Custom I-VT filter 1", "tobii-prolab", True),
        ("Raw", "tobii-prolab", False),
    ],
)
def test_what_a_filter_of_the_users_found_is_taken(filter_name, profile, prefers_vendor, tmp_path):
    header, *rows = prolab().rows
    sheet = Sheet([[*header, "Recording Fixation filter name"], *([*r, filter_name] for r in rows)])
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert (recording.profile, recording.prefers_vendor) == (profile, prefers_vendor)


def test_without_labels_there_are_no_vendor_fixations(tmp_path):
    sheet = prolab().without(lambda name: "movement" in name)
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.fixations.empty
    assert recording.samples["vendor_event"].isna().all()


def test_a_decimal_comma_far_behind_the_head_is_understood(tmp_path):
    sheet = prolab()
    name = "Gaze point left X [DACS mm]"
    whole = sheet.filled(name, lambda cell: cell and "247")
    for row in whole.rows:
        row.append("x" * 1000)
    late = whole.rows[-10]
    late[whole.index(name)] = "247,55"
    for column in (c for c in whole.rows[0] if c.endswith("mm]") and c != name):
        whole = whole.filled(column, lambda cell: cell and "1")
    path = whole.write(tmp_path / "export.tsv")
    assert path.stat().st_size > opening.HEAD_BYTES
    (recording,) = read(path)
    assert recording.samples["left_x_mm"].max() == 247.55


@pytest.mark.parametrize(("name", "separator"), [("a, b.jpg", "\t"), ("a;b.jpg", ";")])
def test_a_spreadsheets_quotes_are_no_part_of_a_name(name, separator, tmp_path):
    sheet = Sheet(prolab().filled("Presented Media name", f'"{name}"').rows, separator)
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert set(recording.samples["stimulus"].dropna()) == {name}


@pytest.mark.parametrize(("name", "separator"), [("a, b.jpg", "\t"), ("a;b.jpg", ";")])
def test_a_spreadsheets_quotes_may_begin_far_down(name, separator, monkeypatch, tmp_path):
    monkeypatch.setattr("gazetools.readers.opening.HEAD_BYTES", 4000)
    sheet = prolab()
    place = sheet.index("Presented Media name")
    for row in sheet.rows[-20:]:
        row[place] = f'"{name}"'
    (recording,) = read(Sheet(sheet.rows, separator).write(tmp_path / "export.tsv"))
    assert recording.samples["stimulus"].iloc[-1] == name


def test_a_lone_quote_is_part_of_a_name(tmp_path):
    (recording,) = read(prolab().filled("Presented Media name", '"a, b').write(tmp_path / "e.tsv"))
    assert set(recording.samples["stimulus"].dropna()) == {'"a, b'}


def test_names_that_look_like_floats_stay(tmp_path):
    sheet = as_floats(with_commas(prolab().filled("Participant name", "7")))
    (recording,) = read(sheet.write(tmp_path / "export.tsv"))
    assert recording.subject == "7.0"
    assert recording.samples["x_px"].iloc[0] == 900


@pytest.mark.parametrize("name", ["Presented Media name", "Participant name", "Recording name"])
def test_a_column_without_any_text_may_be_quoted(name, tmp_path):
    sheet = prolab().filled(name, "")
    plain = read(sheet.write(tmp_path / "export.tsv"))
    assert_same(plain, read(Sheet(sheet.quoted().rows, ",").write(tmp_path / "export.csv")))


def test_invalid_eyes_are_not_valid(tmp_path):
    (recording,) = read(prolab().filled("Validity left", "Invalid").write(tmp_path / "e.tsv"))
    assert not recording.samples["left_valid"].any()
    assert recording.samples["right_valid"].all()
    sheet = prolab().without(lambda name: name.startswith("Validity"))
    sheet = sheet.filled("Gaze point right X [DACS mm]", "")
    (recording,) = read(sheet.write(tmp_path / "e.tsv"))
    assert recording.samples["left_valid"].all()
    assert not recording.samples["right_valid"].any()
