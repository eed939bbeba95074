"""What readers share: clocks, eyes, runs of labels, trials by messages, fixations listed alone."""

import numpy as np
import pandas as pd
import pytest

from gazetools.errors import ConfigError, FormatError
from gazetools.readers.building import (
    about,
    add_counts,
    eyes_mean,
    in_time_order,
    read_json,
    rising_times,
    run_numbers,
    times_of_stamps,
)
from gazetools.readers.delimited import Table
from gazetools.readers.layout import column_names
from gazetools.readers.trial_marks import trial_marks, trials_from
from gazetools.readers.vendor_events import fixations_of_labels, list_fixations

NAN = np.nan


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("Sensor,X", ["Sensor", "X"]),
        ('"Sensor","AOI hit [a, b]",X', ["Sensor", "AOI hit [a, b]", "X"]),
        ('X [5"],Y', ['X [5"]', "Y"]),
    ],
)
def test_a_separator_in_quotes_parts_no_names(header, names):
    assert column_names(f"{header}\n1,2\n", ",") == names


def test_rows_are_put_in_time_order_and_repeats_counted():
    rows = pd.DataFrame({"tracker_time_us": [30.0, 10.0, 30.0, 20.0], "x_px": [1, 2, 3, 4]})
    kept, skipped = in_time_order(rows)
    assert kept["x_px"].tolist() == [2, 4, 1]
    assert skipped == {"repeated times": 1}
    assert in_time_order(kept)[1] == {}
    assert in_time_order(rows[:0])[0].empty


def test_times_that_do_not_rise_are_left_out():
    kept, time_us, skipped = rising_times(np.array([10.0, NAN, 20.4, 20.0, 5.0, 30.0]))
    assert kept.tolist() == [True, False, True, False, False, True]
    assert time_us.tolist() == [10, 20, 30]
    assert skipped == {"rows without a time": 1, "repeated or backward times": 2}
    kept, time_us, _ = rising_times(np.array([2000.0, 2000.0, 3000.0, 3000.0]), 500.0)
    assert kept.all()
    assert time_us.tolist() == [2000, 2500, 3000, 3500]


def test_whole_ms_of_a_fast_tracker_are_spread():
    twice = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    assert times_of_stamps(twice).tolist() == [1000, 1500, 2000, 2500, 3000, 3500]
    assert times_of_stamps(twice, 2000.0).tolist() == [1000, 1500, 2000, 2500, 3000, 3500]
    assert times_of_stamps(twice, 1000.0).tolist() == [1000, 1000, 2000, 2000, 3000, 3000]
    once = np.array([1.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert times_of_stamps(once).tolist() == [1000, 1000, 2000, 3000, 4000, 5000]


def test_the_mean_is_over_the_eyes_that_were_seen():
    rows = pd.DataFrame(
        {"left_x_px": [1, NAN, NAN, 4], "right_x_px": [3, 5, NAN, NAN]}, index=range(2, 6)
    )
    pd.testing.assert_series_equal(
        eyes_mean(rows, "x_px"), pd.Series([2, 5, NAN, 4], index=range(2, 6))
    )
    pd.testing.assert_series_equal(
        eyes_mean(rows[["left_x_px"]], "x_px"), rows["left_x_px"], check_names=False
    )


def test_runs_of_labels_are_counted_for_each():
    event = pd.Series(["a", "a", None, "a", "b", "b", "a"], dtype="str")
    assert run_numbers(event).tolist() == [1, 1, 0, 2, 1, 1, 3]
    index = pd.Series([1, 2, NAN, 3, 7, 7, 8.0])
    assert run_numbers(event, index).tolist() == [1, 2, 0, 3, 1, 1, 4]


def test_messages_begin_trials(tmp_path):
    messages = [(30, "show b.png"), (10, "show a.png"), (20, "click")]
    begin_us, names = trial_marks(tmp_path, messages, r"show (\S+)")
    trial, stimulus = trials_from(begin_us, names, np.array([5, 10, 29, 30]))
    assert trial.tolist() == [0, 1, 1, 2]
    assert stimulus[1:].tolist() == ["a.png", "a.png", "b.png"]
    assert pd.isna(stimulus[0])
    with pytest.raises(ConfigError, match=f"{tmp_path}: the rule '\\['"):
        trial_marks(tmp_path, messages, "[")


def test_fixations_without_samples_start_their_trials():
    events = pd.DataFrame(
        {
            "recording": "r",
            "subject": "s",
            "trial": [2, 1, 1, 1, 1],
            "stimulus": ["b", "a", "a", "a", "a"],
            "begin_us": [9000, 3000, 1000, 4000, 5000],
            "duration_ms": [10.0, 20.0, 30.0, 0.0, 40.0],
            "x_px": [1.0, 2.0, 3.0, 4.0, NAN],
            "y_px": 5.0,
        }
    )
    fixations, skipped = list_fixations(events, "vendor:x")
    assert fixations["x_px"].tolist() == [3, 2, 1]
    assert fixations["onset_ms"].tolist() == [0, 2, 0]
    assert fixations["order"].tolist() == [1, 2, 1]
    assert skipped == {"fixations without a duration": 1, "fixations without a position": 1}


def test_labelled_samples_make_fixations():
    time_us = np.arange(8) * 1000
    samples = pd.DataFrame(
        {
            "recording": "r",
            "subject": "s",
            "trial": 1,
            "stimulus": None,
            "tracker_time_us": time_us,
            "t_ms": time_us / 1000 + 0.5,
            "x_px": [1.0, 3.0, 9.0, 5.0, 7.0, NAN, NAN, NAN],
            "y_px": 2.0,
            "vendor_event": ["fixation"] * 2 + ["saccade"] + ["fixation"] * 4 + [None],
            "vendor_event_index": [1, 1, 1, 2, 2, 3, 3, 0],
        }
    )
    fixations, skipped = fixations_of_labels(samples, time_us - 500.0, "vendor:x")
    assert fixations[["first_row", "last_row"]].to_numpy().tolist() == [[0, 1], [3, 4]]
    assert fixations["onset_ms"].tolist() == [0, 3]
    assert fixations["duration_ms"].tolist() == [2, 2]
    assert fixations["x_px"].tolist() == [2, 6]
    assert skipped == {"fixations without a position": 1}
    told = pd.DataFrame({"duration_ms": 2.5, "x_px": 4.0, "y_px": 4.0}, index=samples.index)
    fixations, skipped = fixations_of_labels(samples, time_us - 500.0, "vendor:x", told)
    assert fixations["duration_ms"].tolist() == [2.5] * 3
    assert fixations["x_px"].tolist() == [4] * 3
    assert skipped == {}


def test_facts_and_counts_leave_out_what_is_not():
    table = Table("x", pd.DataFrame(), {"x": "X", "t": "T"})
    facts = about(table, ["T", "", "Z", "X"], software="", time_unit="ms")
    assert facts == {
        "time unit": "ms",
        "encoding": "utf-8",
        "decimal mark": ".",
        "columns used": ("X", "T"),
        "columns ignored": ("Z",),
    }
    assert add_counts({"a": 1, "b": 0}, {"a": 2, "c": 3}) == {"a": 3, "c": 3}


def test_json_beside_an_export(tmp_path):
    assert read_json(None) == {}
    file = tmp_path / "info.json"
    file.write_text('\ufeff{"a": 1}', encoding="utf-8")
    assert read_json(file) == {"a": 1}
    for content, found in (("{", "is not JSON"), ("[1]", "holds list"), ("[" * 10**5, "not JSON")):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(FormatError, match=rf"info\.json: .*{found}"):
            read_json(file)
    with file.open("wb") as stream:
        stream.truncate(2**24 + 1)
    with pytest.raises(FormatError, match="over 16 MiB"):
        read_json(file)
