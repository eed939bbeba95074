"""SMI raw gaze: IDF Converter, BeGaze samples and BeGaze raw data."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.smi import BEGINS, STEP_US, begaze_raw, smi_raw, smi_raw_with_head

from gazetools.errors import ConfigError, FormatError
from gazetools.readers import ReadOptions, find_reader, read


def one(path, **options):
    (recording,) = read(path, ReadOptions(**options))
    assert recording.format == "smi-raw"
    return recording


def test_facts_above_the_table(tmp_path):
    recording = one(smi_raw_with_head(tmp_path / "P07_rawdata.tsv"))
    assert (recording.name, recording.subject) == ("P07_rawdata", "P07")
    assert recording.screen_px == (1680, 1050)
    assert recording.screen.width_mm == 474
    assert recording.screen.distance_mm == 650
    assert recording.fixed_rate_hz == 60
    assert recording.about["software"] == "IDF Converter 3.0.20"
    assert recording.about["time unit"] == "us"
    assert "Aux1" in recording.about["columns ignored"]


def test_without_facts_there_is_no_screen(tmp_path):
    plain = one(smi_raw().write(tmp_path / "raw.tsv"))
    assert plain.screen is None
    assert plain.screen_px is None
    assert plain.subject == "unnamed"
    (tmp_path / "a").mkdir()
    told = one(smi_raw_with_head(tmp_path / "a" / "raw.tsv"))
    same = plain.samples.drop(columns="subject")
    pd.testing.assert_frame_equal(same, told.samples.drop(columns="subject"))


def test_a_lost_eye_is_missing_and_does_not_halve_the_mean(tmp_path):
    samples = one(smi_raw().write(tmp_path / "raw.tsv")).samples
    both, left, none = samples.iloc[45], samples.iloc[58], samples.iloc[62]
    assert both["x_px"] == (both["left_x_px"] + both["right_x_px"]) / 2
    assert np.isnan(left["right_x_px"])
    assert np.isnan(left["right_pupil_mm"])
    assert not left["right_valid"]
    assert left["x_px"] == left["left_x_px"] == 390.25
    assert np.isnan(none[["x_px", "y_px", "left_x_px", "right_x_px"]].astype(float)).all()
    assert not none["left_valid"]


def test_gaze_at_the_left_edge_is_gaze(tmp_path):
    sheet = smi_raw()
    row = sheet.rows[4]
    row[sheet.index("L POR X [px]")] = row[sheet.index("R POR X [px]")] = "0.00"
    samples = one(sheet.write(tmp_path / "raw.tsv")).samples
    assert samples["x_px"].iloc[3] == 0


def test_messages_begin_trials(tmp_path):
    recording = one(smi_raw().write(tmp_path / "raw.tsv"))
    samples = recording.samples
    first = samples.groupby("trial")["stimulus"].first()
    assert first.dropna().tolist() == list(BEGINS.values())
    assert samples["trial"].tolist() == [0] * 5 + [1] * 35 + [2] * 40
    assert samples["t_ms"].iloc[[5, 40]].tolist() == [STEP_US / 2000] * 2
    assert recording.skipped == {"messages": 1}


def test_the_rule_for_trials(tmp_path):
    path = smi_raw().write(tmp_path / "raw.tsv")
    clicks = one(path, trial_from=r"mouseclick (\w+)")
    assert clicks.samples["trial"].tolist() == [0] * 50 + [1] * 30
    assert set(clicks.samples["stimulus"].dropna()) == {"left"}
    assert clicks.skipped == {"messages": 2}
    assert set(one(path, trial_from="second").samples["stimulus"].isna()) == {True}
    with pytest.raises(ConfigError, match="no regular expression"):
        one(path, trial_from="(")
    with pytest.raises(FormatError, match="no message matches 'third', with which trials are to"):
        one(path, trial_from="third")


def test_without_messages_trials_are_those_of_the_column(tmp_path):
    sheet = smi_raw().where("Type", lambda kind: kind == "SMP")
    for number, row in enumerate(sheet.rows[1:]):
        row[sheet.index("Trial")] = str(1 + number // 40)
    samples = one(sheet.write(tmp_path / "raw.tsv")).samples
    assert samples["trial"].tolist() == [1] * 40 + [2] * 40
    assert samples["stimulus"].isna().all()


def test_milliseconds_are_noticed(tmp_path):
    sheet = smi_raw()
    for row in sheet.rows[1:]:
        row[0] = f"{int(row[0]) / 1000:.3f}"
    in_ms = one(sheet.write(tmp_path / "raw.tsv"))
    (tmp_path / "a").mkdir()
    in_us = one(smi_raw().write(tmp_path / "a" / "raw.tsv"))
    assert in_ms.about["time unit"] == "ms"
    assert_same([in_ms], [in_us])


def test_commas_and_one_eye(tmp_path):
    sheet = smi_raw().where("Type", lambda kind: kind == "SMP")
    sheet = sheet.without(lambda name: name.startswith("R "))
    samples = one(Sheet(sheet.rows, ",").write(tmp_path / "raw.csv")).samples
    assert "right_x_px" not in samples
    assert (samples["x_px"].dropna() == samples["left_x_px"].dropna()).all()


def test_repeated_times_are_dropped(tmp_path):
    sheet = smi_raw()
    sheet.rows[12] = [sheet.rows[11][0], *sheet.rows[12][1:]]
    recording = one(sheet.write(tmp_path / "raw.tsv"))
    assert recording.skipped["repeated times"] == 1
    assert len(recording.samples) == 79


def test_begaze_labels_become_fixations(tmp_path):
    first, second = read(begaze_raw().write(tmp_path / "Raw Data.csv"))
    assert (first.subject, second.subject) == ("P01", "P02")
    assert first.skipped == {"user event rows": 2}
    assert second.skipped == {}
    assert first.fixations["x_px"].tolist() == [500, 800]
    assert first.fixations[["first_row", "last_row"]].to_numpy().tolist() == [[0, 27], [32, 54]]
    np.testing.assert_allclose(first.fixations["duration_ms"], [28 * 4, 23 * 4])
    assert set(first.fixations["stimulus"]) == {"page.jpg"}
    assert first.samples["vendor_event"].value_counts().to_dict() == {
        "fixation": 51,
        "saccade": 4,
        "missing": 5,
    }
    assert first.samples["x_px"].iloc[-1:].isna().all()
    assert not {"event", "event_index"} & set(first.samples)  # these are for our own
    assert first.samples["left_pupil_mm"].iloc[0] == 3.5


def test_fixations_end_where_recording_paused_between_trials(tmp_path):
    sheet = begaze_raw().without(lambda name: name.startswith("Index"))
    header, *rows = sheet.where("Participant", lambda who: who == "P01").rows
    rows = [row for row in rows if row[sheet.index("Category Binocular")] == "Visual Intake"]
    later = [[f"{float(row[0]) + 1000:.4f}", "Trial002", *row[2:]] for row in rows]
    (recording,) = read(Sheet([header, *rows, *later]).write(tmp_path / "raw.tsv"))
    fixations = recording.fixations
    assert fixations["trial"].tolist() == [1, 2]
    assert fixations["onset_ms"].tolist() == [0, 0]
    np.testing.assert_allclose(fixations["duration_ms"], 55 * 4)


def test_recordings_of_one_participant_are_refused(tmp_path):
    sheet = begaze_raw().filled("Participant", "anonymous")
    says = r"raw.tsv: the rows of 'anonymous' run through the same time more than once, expected"
    with pytest.raises(FormatError, match=says):
        read(sheet.write(tmp_path / "raw.tsv"))
    header, *rows = sheet.rows
    later = [[f"{float(row[0]) + 1000:.4f}", "Trial002", *row[2:]] for row in rows[:60]]
    (recording,) = read(Sheet([header, *later, *rows[:60]]).write(tmp_path / "raw.tsv"))
    assert recording.samples["trial"].tolist() == [1] * 60 + [2] * 60


def test_messages_and_facts_that_a_spreadsheet_has_filled_up(tmp_path):
    sheet = smi_raw()
    for number, row in enumerate(sheet.rows):
        if row[1] != "MSG":
            row.insert(3, "930.50" if number else "L Raw X [px]")
    expected = read(sheet.write(tmp_path / "raw.tsv"))
    assert expected[0].samples["stimulus"].nunique() == 2
    width = len(sheet.rows[0])
    padded = [[*row, *[""] * (width - len(row))] for row in sheet.rows]
    assert_same(read(Sheet(padded, ",").write(tmp_path / "raw.csv")), expected)
    head = "## Subject:,P07" + "," * (width - 2) + "\n"
    text = head + Sheet(padded, ",").text()
    (tmp_path / "told.csv").write_text(text, encoding="utf-8")
    assert one(tmp_path / "told.csv").subject == "P07"


def test_labels_of_one_eye(tmp_path):
    names = {"Category Binocular": "Category Left", "Index Binocular": "Index Left"}
    sheet = begaze_raw().renamed(
        lambda name: names.get(name, name).replace("Regard Binocular", "Regard Left")
    )
    first, _ = read(sheet.write(tmp_path / "raw.tsv"))
    assert first.fixations["x_px"].tolist() == [500, 800]
    assert "left_x_px" in first.samples


def test_events_in_idf_samples(tmp_path):
    sheet = smi_raw()
    sheet.rows[0][-1] = "L Event Info"
    for number, row in enumerate(sheet.rows[1:]):
        if row[1] == "SMP":
            row[-1] = "Fixation" if number % 20 > 3 else "-"
    recording = one(sheet.write(tmp_path / "raw.tsv"))
    assert recording.fixations["x_px"].iloc[0] == 390.25  # of the eye that is labelled
    assert (recording.fixations["duration_ms"] > 200).all()


@pytest.mark.parametrize("name", ["L Event Info", "R Event Info", "B Event Info", "Info"])
def test_every_name_of_the_label_is_known(name, tmp_path):
    sheet = smi_raw()
    sheet.rows[0][-1] = name
    for number, row in enumerate(sheet.rows[1:]):
        if row[1] == "SMP":
            row[-1] = "Saccade" if number % 20 == 3 else "Fixation"
    recording = one(sheet.write(tmp_path / "raw.tsv"))
    assert recording.samples["vendor_event"].value_counts().to_dict() == {
        "fixation": 76,
        "saccade": 4,
    }
    assert len(recording.fixations) == 5


def test_pupils_too_wide_for_millimetres_are_none(tmp_path):
    sheet = smi_raw().where("Type", lambda kind: kind == "SMP")
    wide = sheet.filled("L Mapped Diameter [mm]", "714.00")
    samples = one(wide.write(tmp_path / "raw.tsv")).samples
    assert samples["left_pupil"].eq(714).all()
    assert samples["left_pupil_mm"].isna().all()
    assert samples["right_pupil_mm"].iloc[0] == 3.25


def test_damage_is_named(tmp_path):
    sheet = smi_raw()
    sheet.rows[30] = sheet.rows[30][:6]
    with pytest.raises(FormatError, match=r"raw:31: line has 6 fields, expected 12"):
        read(sheet.write(tmp_path / "raw"))
    nothing = smi_raw().filled("Time", "")
    with pytest.raises(FormatError, match="no sample with a time among"):
        read(nothing.where("Type", lambda kind: kind == "SMP").write(tmp_path / "raw"))


@pytest.mark.real
def test_a_published_recording(data_folder):
    path = data_folder / "exports" / "smi" / "emip_46_rawdata.tsv.gz"
    recording = one(path)
    assert find_reader(path).name == "smi-raw"
    assert len(recording.samples) == 11222
    assert recording.samples["x_px"].isna().sum() == 680
    assert recording.skipped == {"messages": 2}
    assert (recording.subject, recording.fixed_rate_hz) == ("46", 60)
    assert recording.screen.width_mm == 344
    assert recording.samples["trial"].max() == 7
    assert "vehicle_java2.jpg" in set(recording.samples["stimulus"])
