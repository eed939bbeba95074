"""Trials: what is cut where one gives way to the next, and which sample belongs to which."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazetools.timeline import sample_spans_us
from gazetools.trials import TrialClock, cut_at_trials

ROWS = 24


def made_samples(trial):
    time_us = np.arange(1, ROWS + 1) * 4000
    names = pd.array([f"image{number}" if number else None for number in trial], dtype="str")
    t_ms = time_us / 1000 - np.asarray(trial) * 8.0
    columns = {"tracker_time_us": time_us, "trial": trial, "stimulus": names, "t_ms": t_ms}
    return pd.DataFrame(columns)


def made_fixations(samples, spans):
    first, last = np.array(spans, np.int64).reshape(-1, 2).T
    columns = {
        "first_row": first,
        "last_row": last,
        "trial": samples["trial"].array[first],
        "stimulus": samples["stimulus"].array[first],
        "onset_ms": samples["t_ms"].to_numpy()[first] - 1.5,
        "duration_ms": (last - first + 1) * 4.0 - 0.5,
        "x_px": first * 1.0,
        "y_px": last * 1.0,
    }
    return pd.DataFrame(columns)


def cut_slowly(fixations, samples, gaze):
    """Each fixation, sample by sample."""
    begin_us, end_us = sample_spans_us(samples["tracker_time_us"].to_numpy())
    trial = samples["trial"].to_numpy()
    clock_us = samples["tracker_time_us"].to_numpy() - samples["t_ms"].to_numpy() * 1000
    parts = []
    for fixation in fixations.to_dict("records"):
        first, last = fixation["first_row"], fixation["last_row"]
        borders = [row for row in range(first + 1, last + 1) if trial[row] != trial[row - 1]]
        if not borders:
            parts.append(fixation | {"whole": True})
            continue
        onset_us = clock_us[first] + fixation["onset_ms"] * 1000
        ends = [onset_us, onset_us + fixation["duration_ms"] * 1000]
        starts, stops = [first, *borders], [*borders, last + 1]
        for start, stop in zip(starts, stops, strict=True):
            begins = ends[0] if start == first else begin_us[start]
            until = ends[1] if stop == last + 1 else end_us[stop - 1]
            seen = gaze[start:stop]
            known = [column[~np.isnan(column)] for column in seen.T]
            place = [column.mean() if len(column) else np.nan for column in known]
            where = {"trial": trial[start], "stimulus": samples["stimulus"][start], "whole": False}
            rows = {"first_row": start, "last_row": stop - 1}
            onset_ms = (begins - clock_us[start]) / 1000
            when = {"onset_ms": onset_ms, "duration_ms": (until - begins) / 1000}
            parts.append(fixation | rows | where | when | {"x_px": place[0], "y_px": place[1]})
    return pd.DataFrame(parts, columns=[*fixations, "whole"])


@given(
    st.lists(st.integers(0, 2), min_size=ROWS, max_size=ROWS),
    st.lists(st.booleans(), min_size=ROWS - 1, max_size=ROWS - 1),
    st.integers(0, ROWS - 1),
)
def test_parts_are_those_of_a_cut_sample_by_sample(trial, is_border, lost):
    samples = made_samples(trial)
    stops = [*(row for row, is_one in enumerate(is_border, start=1) if is_one), ROWS]
    spans = [(start, stop - 1) for start, stop in zip([0, *stops], stops, strict=False)]
    fixations = made_fixations(samples, spans[::2])
    gaze = np.column_stack((np.arange(ROWS) * 0.5, np.arange(ROWS) * 2.0))
    gaze[lost : lost + 3] = np.nan
    parts = cut_at_trials(fixations, samples, gaze)
    expected = cut_slowly(fixations, samples, gaze)
    pd.testing.assert_frame_equal(parts, expected, check_dtype=False)
    whole = parts["whole"].to_numpy()
    untouched = fixations[fixations["first_row"].isin(parts["first_row"][whole])]
    pd.testing.assert_frame_equal(
        parts[whole].drop(columns="whole").reset_index(drop=True),
        untouched.reset_index(drop=True),
        check_exact=True,
    )


@pytest.mark.parametrize("size", [1, 3, 12])
def test_trials_are_numbered_alike_in_texts_and_categories_whole_or_in_pieces(size):
    names = ["a", "a", None, "b", "b", "a", None, None, "a", "b", "b", "c"]
    time_us = np.arange(len(names)) * 4000
    found = []
    for text in (pd.Series(names, dtype="str"), pd.Categorical(names, ["c", "b", "a"])):
        clock = TrialClock(has_stimuli=True)
        blocks = [slice(at, at + size) for at in range(0, len(names), size)]
        found.append([clock.add(time_us[rows], text[rows])[0] for rows in blocks])
    for pieces in found:
        assert np.concatenate(pieces).tolist() == [1, 1, 0, 2, 2, 3, 0, 0, 4, 5, 5, 6]
