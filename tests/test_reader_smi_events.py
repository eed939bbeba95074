"""SMI events: sections of IDF Event Detector and BeGaze, event statistics."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same
from exports.smi import event_statistics, smi_events_text

from gazetools.errors import FormatError
from gazetools.readers import ReadOptions, read


def write(tmp_path, text, name="events.txt"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def one(path, **options):
    (recording,) = read(path, ReadOptions(**options))
    assert recording.format == "smi-events"
    return recording


def test_fixations_of_one_eye_only(tmp_path):
    recording = one(write(tmp_path, smi_events_text()))
    fixations = recording.fixations
    assert recording.subject == "P03"
    # the right eye fixates longer
    assert fixations["x_px"].tolist() == [6, 955.5, 400.25]
    assert fixations["duration_ms"].tolist() == [50, 250, 200]
    assert recording.skipped == {
        "user events": 1,
        "fixations of the other eye": 3,
        "fixations without a position": 1,
    }


def test_user_events_begin_trials(tmp_path):
    fixations = one(write(tmp_path, smi_events_text())).fixations
    assert fixations["trial"].tolist() == [0, 1, 2]
    assert fixations["stimulus"].fillna("").tolist() == ["", "page one.jpg", "page two.jpg"]
    np.testing.assert_allclose(fixations["onset_ms"], [0, 177.718, 100])


def test_the_rule_for_trials(tmp_path):
    path = write(tmp_path, smi_events_text())
    recording = one(path, trial_from=r"keypress (\w)")
    assert recording.fixations["trial"].tolist() == [0, 0, 1]
    assert recording.fixations["stimulus"].iloc[2] == "A"
    with pytest.raises(FormatError, match="no message matches 'click', with which trials are to"):
        one(path, trial_from="click")


def test_without_user_events_trials_are_those_of_the_column(tmp_path):
    lines = smi_events_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("UserEvent"))
    text = text.replace("Fixation R,1,4", "Fixation R,2,4").replace(
        "Subject:", "Stimulus:\tx.avi\nSubject:"
    )
    fixations = one(write(tmp_path, text)).fixations
    assert fixations["trial"].tolist() == [1, 1, 2]
    assert set(fixations["stimulus"]) == {"x.avi"}
    assert fixations["onset_ms"].tolist() == [0, 377.718, 0]


def test_saccades_and_blinks_of_both_eyes(tmp_path):
    recording = one(write(tmp_path, smi_events_text()))
    left, right = recording.saccades.itertuples()
    assert (left.eye, right.eye) == ("left", "right")
    assert (left.amplitude_deg, left.peak_velocity_deg_s) == (1.11, 17.57)
    assert np.isnan(right.amplitude_deg)
    assert (left.start_x_px, left.end_x_px) == (945.94, 1000.59)
    assert left.duration_ms == 8.255
    assert recording.blinks["eye"].tolist() == ["left"]
    assert recording.blinks["duration_ms"].tolist() == [91.761]


@pytest.mark.parametrize("mark", ["", "## "])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_separators_and_marks(separator, mark, tmp_path):
    text = smi_events_text(separator)
    if mark:
        head, rows = text.split("\n\nTable", 1)
        table, rows = ("Table" + rows).split("\nFixation", 1)
        marked = "".join(f"{mark}{line}\n" for line in f"{head}\n{table}".splitlines())
        text = marked + "Fixation" + rows
    plain = one(write(tmp_path, smi_events_text(), "a/events.txt"))
    assert_same([plain], [one(write(tmp_path, text, "b/events.txt"))])


def test_decimal_commas_of_a_spreadsheet(tmp_path):
    plain = one(write(tmp_path, smi_events_text(), "a/events.txt"))
    saved = smi_events_text(";").replace(".jpg", "|jpg").replace("BeGaze 3.5.90", "BeGaze 3|5|90")
    saved = saved.replace("Loc.", "Loc|").replace(".", ",").replace("|", ".")
    assert_same([plain], [one(write(tmp_path, saved, "b/events.txt"))])


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["", 3])
def test_a_message_may_hold_what_parts_cells(separator, ends, tmp_path):
    name = "page, one; left.jpg"
    text = smi_events_text(separator)
    line = next(line for line in text.splitlines() if line.endswith("page one.jpg"))
    said = line.replace("page one.jpg", name)
    if ends:
        said = said.replace("# ", '"# ') + '"' + separator * ends
    recording = one(write(tmp_path, text.replace(line, said)))
    assert recording.fixations["stimulus"][1] == name


def test_damage_is_named(tmp_path):
    text = smi_events_text()
    with pytest.raises(FormatError, match=r"events.txt:19: 'x_px' holds 'oops', expected a num"):
        read(write(tmp_path, text.replace("951.83", "oops")))
    with pytest.raises(FormatError, match=r"events.txt:19: line has 4 fields, expected 5 or more"):
        read(write(tmp_path, text.replace(",167531619504,241786,951.83,791.40,47,48,-1", "")))
    with pytest.raises(FormatError, match=r"events.txt:.*a Blink before 'Table Header for Blinks"):
        read(write(tmp_path, text.replace("Table Header for Blinks:", "")))
    with pytest.raises(FormatError, match="no fixation, saccade or blink"):
        read(write(tmp_path, text.split("\nFixation L")[0]))


def test_exports_put_together_are_refused(tmp_path):
    text = smi_events_text()
    says = r"events.txt:36: another export begins here, expected one in a file; cut the file"
    with pytest.raises(FormatError, match=says):
        read(write(tmp_path, text + text.replace("P03", "P04")))


def test_what_a_spreadsheet_makes_of_it(tmp_path):
    text = smi_events_text().replace("\t", ",")
    filled = "".join(line + "," * (13 - line.count(",")) + "\n" for line in text.splitlines())
    plain = one(write(tmp_path, text, "a/events.txt"))
    assert plain.subject == "P03"
    assert_same([plain], [one(write(tmp_path, filled, "b/events.txt"))])
    exact = filled.replace("167531377718", "1.67531377718e+11")
    assert_same([plain], [one(write(tmp_path, exact, "c/events.txt"))])
    rounded = filled.replace("167531377718", "1.67531E+11")
    with pytest.raises(FormatError, match=r"csv:19: 'start' is 1.67531E\+11, as a spreadsheet has"):
        read(write(tmp_path, rounded, "events.csv"))


def test_event_statistics(tmp_path):
    path = event_statistics().write(tmp_path / "stats.txt")
    with pytest.raises(FormatError, match="a list of fixations has no messages"):
        read(path, ReadOptions(trial_from="click"))
    first, second = read(path)
    assert (first.subject, second.subject) == ("P01", "P02")
    assert first.fixations["onset_ms"].tolist() == [10, 240, 105]
    assert first.fixations["duration_ms"].tolist() == [200.5, 400, 200]
    assert first.fixations["x_px"].tolist() == [400.1, 701.1, 100]
    assert first.fixations["stimulus"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert first.fixations["trial"].tolist() == [1, 1, 2]
    assert first.skipped == {"other rows": 1, "fixations of the other eye": 1}
    assert first.saccades[["start_x_px", "end_x_px", "amplitude_deg"]].to_numpy().tolist() == [
        [400, 700.5, 8.5]
    ]
    assert first.blinks["trial"].tolist() == [2]
    assert second.fixations["duration_ms"].tolist() == [305]


def test_event_statistics_with_commas_and_cut(tmp_path):
    sheet = event_statistics()
    commas = Sheet(sheet.rows, ",").write(tmp_path / "stats")
    assert len(read(commas)) == 2
    sheet.rows[4] = sheet.rows[4][:5]
    with pytest.raises(FormatError, match=r"stats:5: line has 5 fields"):
        read(sheet.write(tmp_path / "stats"))


def test_statistics_without_a_category_are_of_fixations(tmp_path):
    unwanted = ("Category", "Category Group", "Saccade")
    sheet = event_statistics().where("Category", lambda kind: kind in ("Fixation", "Visual Intake"))
    fixations = sheet.without(lambda name: name.startswith(unwanted))
    first, second = read(fixations.write(tmp_path / "stats.txt"))
    assert first.fixations["onset_ms"].tolist() == [10, 240, 105]
    assert first.fixations["x_px"].tolist() == [400.1, 701.1, 100]
    assert first.saccades.empty
    assert first.skipped == {"fixations of the other eye": 1}
    assert second.fixations["duration_ms"].tolist() == [305]


def test_statistics_list_what_is_in_several_areas_once(tmp_path):
    sheet = event_statistics()
    plain = read(sheet.write(tmp_path / "stats.txt"))
    area, kind = sheet.index("AOI Name"), sheet.index("Category")
    twice = [
        [*row[:area], name, *row[area + 1 :]]
        for row in sheet.rows[1:]
        for name in (["-", "face"] if row[kind] == "Fixation" else ["-"])
    ]
    again = read(Sheet([sheet.rows[0], *twice]).write(tmp_path / "stats.txt"))
    for one_, other in zip(plain, again, strict=True):
        pd.testing.assert_frame_equal(one_.fixations, other.fixations)
    assert again[0].skipped == {**plain[0].skipped, "repeated rows": 4}


def test_statistics_tell_the_end_or_the_duration(tmp_path):
    sheet = event_statistics()
    plain = read(sheet.write(tmp_path / "stats.txt"))
    without = sheet.without(lambda name: name.startswith("Event End"))
    assert_same(plain, read(without.write(tmp_path / "stats.txt")))


@pytest.mark.real
def test_a_published_export(data_folder):
    path = data_folder / "exports" / "smi" / "emdat_begaze3.5_Sample_67_Events.txt.gz"
    recording = one(path)
    assert recording.subject == "MT430PN56168"
    assert len(recording.fixations) == 5271
    assert len(recording.saccades) == 5180 + 5299
    assert len(recording.blinks) == 181 + 228
    assert recording.skipped == {"user events": 415, "fixations of the other eye": 5272}
    starts = recording.fixations["onset_ms"]
    ends = starts + recording.fixations["duration_ms"]
    assert (starts.iloc[1:].to_numpy() >= ends.iloc[:-1].to_numpy()).all()
