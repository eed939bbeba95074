"""I-VT: truth on made recordings, clocks, settings, and the vendor's own labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_gaze import INTERVAL_US, MM_PER_PX, PROLAB, borders_of, few, labels, recording, steps

from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.events import IVT, PROFILES, Events, detect, fixations
from gazetools.events.detector import FIXATION, MISSING, SACCADE, UNCLASSIFIED
from gazetools.events.ivt import velocity_window_samples
from gazetools.events.rays import eye_rays, ray_blocks
from gazetools.readers import read
from gazetools.timeline import timeline

IVT_PROFILES = sorted(name for name in PROFILES if isinstance(PROFILES[name], IVT))


@pytest.mark.parametrize("profile", IVT_PROFILES)
def test_fixations_with_known_borders_are_recovered(profile):
    samples = recording(steps((0, 30), (5, 40), (-5, 25)), noise_deg=0.01)
    # a jump between two samples is seen by every window of three that straddles it
    # and without shifting, the window does not fit at the recording's ends
    edge = 0 if PROFILES[profile].shift_velocity_window else 1
    assert borders_of(samples, PROFILES[profile]) == [(edge, 28), (31, 68), (71, 94 - edge)]


def test_a_fixation_has_its_time_and_place():
    samples = recording(steps((0, 30), (5, 40)))
    found = fixations(samples, detect(samples, PROLAB)).iloc[1]
    start = 5_000_000
    assert found["onset_us"] == start + 30.5 * INTERVAL_US
    assert found["end_us"] == start + 69.5 * INTERVAL_US
    assert found["x_px"] == pytest.approx((250 + 600 * np.tan(np.radians(5))) / MM_PER_PX)
    assert found["y_px"] == pytest.approx(150 / MM_PER_PX)


@pytest.mark.parametrize("hz", [60, 120, 150, 300, 400, 600])
def test_stamps_in_whole_ms_have_the_window_of_their_rate(hz):
    time_us = np.rint(np.arange(2000) * 1e6 / hz).astype(np.int64)
    fine, coarse = (timeline(time_us // tick * tick).interval_us for tick in (1, 1000))
    windows = [velocity_window_samples(IVT(), interval) for interval in (fine, coarse)]
    assert windows[0] == windows[1]


def test_positions_can_be_those_of_smoothed_gaze():
    samples = recording(steps((0, 20)))
    spike = samples.index[10]
    samples.loc[spike, "x_px"] += 300
    events = detect(samples, PROLAB)
    raw, smooth = fixations(samples, events), fixations(samples, events, PROLAB)
    assert raw["x_px"][0] - smooth["x_px"][0] == pytest.approx(15)


def test_short_fixations_become_unclassified():
    samples = recording(steps((0, 30), (5, 8), (10, 30)))
    assert labels(samples) == "F" * 29 + "SS" + "U" * 6 + "SS" + "F" * 29


def test_fixations_close_in_time_and_space_are_merged():
    apart = recording(steps((0, 20), (3, 2), (0.3, 20)))
    halves = [(0, 18), (23, 41)]
    assert borders_of(apart) == [(0, 41)]
    assert borders_of(apart, replace(PROLAB, merge_max_gap_ms=None)) == halves
    assert borders_of(apart, replace(PROLAB, merge_max_angle_deg=0.2)) == halves


def test_the_longest_gap_is_counted_in_whole_ms():
    for lost, merged in ((9, True), (10, False)):
        samples = recording(steps((0, 20), (None, lost), (0, 20)), interval_us=8334)
        assert (len(borders_of(samples)) == 1) is merged


def test_what_a_discarded_fixation_swallowed_is_unclassified():
    samples = recording(steps((0, 30), (10, 3), (12, 2), (10, 3), (0, 30)))
    assert labels(samples)[29:39] == "SS" + "U" * 6 + "SS"
    spared = replace(PROLAB, discard_swallowed=False)
    assert labels(samples, spared)[29:39] == "SSUSSSSUSS"


def test_look_ahead_merges_across_an_outlier():
    hop = steps((0, 20), (1, 4), (0, 20))
    params = replace(IVT(), velocity_threshold_deg_s=20.0)
    assert len(borders_of(recording(hop), params)) == 2
    assert len(borders_of(recording(hop), replace(params, merge_look_ahead=True))) == 1


def test_one_eye_is_enough_and_its_loss_leaves_no_jump():
    samples = recording(steps((0, 60)))
    for column in samples.columns[samples.columns.str.startswith("left_")]:
        samples.loc[20:39, column] = False if column == "left_valid" else np.nan
    assert labels(samples) == "F" * 60
    assert "S" in labels(samples, replace(PROLAB, substitute_lost_eye=False, gaze_as="point"))
    assert labels(samples, replace(PROLAB, eye_selection="strict")).count("M") == 20
    assert labels(samples, replace(PROLAB, eye_selection="left")).count("M") == 20
    assert labels(samples, replace(PROLAB, eye_selection="right")) == "F" * 60


def test_one_eye_only():
    samples = recording(steps((0, 30), (5, 30)))
    right_only = samples[[c for c in samples if not c.startswith("left_")]]
    assert labels(right_only) == labels(samples)


def test_invalid_samples_are_missing_whatever_they_hold():
    samples = recording(steps((0, 30)))
    samples.loc[10:20, ["left_valid", "right_valid"]] = False
    assert labels(samples)[10:21] == "M" * 11


def test_gap_fill_bridges_short_gaps_only():
    samples = recording(steps((0, 20), (None, 5), (0, 20), (None, 30), (0, 20)))
    assert labels(samples, replace(IVT(), merge_max_gap_ms=None)).count("M") == 30


def test_runs_shorter_than_the_window_are_unclassified():
    samples = recording(steps((0, 30), (None, 20), (0, 2), (None, 20), (0, 30)))
    assert labels(samples)[50:52] == "UU"


def test_directions_are_preferred_to_points():
    samples = recording(steps((0, 30), (5, 30)))
    for eye in ("left", "right"):
        away = np.column_stack(
            (
                samples[f"{eye}_x_mm"] - samples[f"{eye}_eye_x_mm"],
                samples[f"{eye}_y_mm"] - samples[f"{eye}_eye_y_mm"],
                -samples[f"{eye}_eye_z_mm"],
            )
        )
        away /= np.linalg.norm(away, axis=1, keepdims=True)
        samples[[f"{eye}_dir_x", f"{eye}_dir_y", f"{eye}_dir_z"]] = away
    without_points = samples.assign(left_x_mm=np.nan, right_x_mm=np.nan)
    assert labels(without_points) == labels(samples)


def test_pixels_serve_when_their_size_is_known():
    samples = recording(steps((0, 30), (5, 30)))
    in_px = samples.assign(
        **{
            f"{eye}_{axis}_px": samples[f"{eye}_{axis}_mm"] / MM_PER_PX
            for eye in ("left", "right")
            for axis in "xy"
        }
    ).drop(columns=["left_x_mm", "left_y_mm", "right_x_mm", "right_y_mm"])
    events = detect(in_px, PROLAB, mm_per_px=MM_PER_PX)
    np.testing.assert_array_equal(events.label, detect(samples, PROLAB).label)
    with pytest.raises(GeometryError, match="mm_per_px"):
        detect(in_px, PROLAB)


def test_no_eye_positions_says_what_to_do():
    samples = recording(steps((0, 30)))
    blind = samples[[c for c in samples if "_eye_" not in c]]
    with pytest.raises(GeometryError, match="Eye position left/right"):
        detect(blind, PROLAB)
    with pytest.raises(SchemaError, match="tracker_time_us"):
        detect(samples.drop(columns="tracker_time_us"), PROLAB)


def test_rays_at_once_are_those_of_all_blocks():
    samples = recording(steps((0, 30), (5, 30)))
    line = timeline(samples["tracker_time_us"].to_numpy(np.int64))
    left, right = eye_rays(samples, line)
    for where, *rays in ray_blocks(samples, line, block=7):
        np.testing.assert_array_equal(rays, [left[where], right[where]])
    with pytest.raises(GeometryError, match="Eye position left/right"):
        eye_rays(samples[[c for c in samples if "_eye_" not in c]], line)
    nothing = timeline(np.empty(0, np.int64))
    assert [len(rays) for rays in eye_rays(samples[:0], nothing)] == [0, 0]


# ---------------------------------------------------------------- clocks


def test_dropped_rows_end_runs_but_not_merged_fixations():
    whole = recording(steps((0, 60), (5, 60)))
    short, long = whole.drop(index=range(20, 25)), whole.drop(index=range(20, 40))
    assert borders_of(short)[0] == (0, 53)
    assert borders_of(long)[:2] == [(0, 19), (20, 38)]
    found = fixations(long, detect(long, PROLAB))
    assert found["end_us"][0] == 5_000_000 + 19.5 * INTERVAL_US
    assert found["onset_us"][1] == 5_000_000 + 39.5 * INTERVAL_US


def test_a_saccade_is_not_measured_across_dropped_rows():
    samples = recording(steps((0, 30), (5, 30))).drop(index=range(29, 31))
    assert "S" not in labels(samples)


def test_repeated_rows_get_the_label_of_the_row_before():
    samples = recording(steps((0, 30), (5, 30)))
    twice = samples.loc[np.repeat(samples.index, 2)]
    assert labels(twice) == "".join(2 * c for c in labels(samples))
    assert borders_of(twice) == [(0, 57), (62, 119)]


def test_a_clock_that_starts_again_ends_all_events():
    samples = recording(steps((0, 30)))
    again = pd.concat((samples, samples), ignore_index=True)
    assert borders_of(again) == [(0, 29), (30, 59)]
    onset = fixations(again, detect(again, PROLAB))["onset_us"]
    assert onset[0] == onset[1]


def test_timeline_of_a_hole():
    line = timeline(np.array([0, 10, 20, 60, 70, 90], np.int64))
    np.testing.assert_array_equal(line.rows, [0, 1, 2, -1, -1, 3, 4, -1, 5])
    np.testing.assert_array_equal(line.time_us, [0, 10, 20, 30, 50, 60, 70, 80, 90])
    np.testing.assert_array_equal(line.positions, [0, 1, 2, 5, 6, 8])
    np.testing.assert_array_equal(line.borders_us(), [-5, 5, 15, 25, 40, 55, 65, 75, 85, 95])


def test_timeline_of_a_clock_without_a_fixed_rate():
    uneven = np.cumsum(np.tile([10, 10, 4, 16, 10, 26, 10, 4], 20))
    together, apart = uneven, np.append(uneven, uneven[-1] + 60)
    assert timeline(together).is_complete()
    assert (timeline(apart).rows < 0).sum() == 2
    even_with_drops = np.cumsum(np.tile([10, 10, 10, 20, 30], 20))
    assert (timeline(even_with_drops).rows < 0).sum() == 60


@few
@given(st.lists(st.integers(-5, 60), max_size=30))
def test_timeline_rises_and_keeps_every_row(time_steps):
    time = np.cumsum(np.array(time_steps, np.int64))
    line = timeline(time)
    assert (np.diff(line.time_us) > 0).all()
    assert len(line.positions) == len(time)
    assert (np.diff(line.positions) >= 0).all()
    kept = line.rows[line.positions]
    assert (kept <= np.arange(len(time))).all()
    np.testing.assert_array_equal(
        time[kept][np.diff(time, prepend=-1) != 0], time[np.diff(time, prepend=-1) != 0]
    )


# ---------------------------------------------------------------- edges and properties


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("value", [0.0, np.nan])
@pytest.mark.parametrize("profile", IVT_PROFILES)
def test_tiny_recordings(n, value, profile):
    samples = recording(np.full(n, value))
    events = detect(samples, PROFILES[profile])
    assert len(events.label) == len(events.index) == n
    assert len(fixations(samples, events)) == 0
    if np.isnan(value):
        assert (events.label == MISSING).all()


def test_leading_loss_and_nothing_but_loss():
    samples = recording(steps((None, 15), (0, 30)))
    assert labels(samples) == "M" * 15 + "F" * 30
    assert labels(recording(steps((None, 40)))) == "M" * 40


def test_a_fixation_without_display_points_has_no_place():
    samples = recording(steps((0, 30))).assign(x_px=np.nan)
    assert np.isnan(fixations(samples, detect(samples, PROLAB))["x_px"][0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0.0, 0.4, 3.0, 20.0]), st.integers(1, 14)), max_size=14
    ),
    st.sampled_from(IVT_PROFILES),
    st.integers(0, 2**32 - 1),
)
def test_events_are_disjoint_ordered_and_cover(parts, profile, seed):
    samples = recording(steps(*parts) if parts else [])
    clock_steps = np.random.default_rng(seed).choice([0, 1, 1, 1, 1, 1, 1, 1, 5, -3], len(samples))
    samples["tracker_time_us"] = np.cumsum(clock_steps, dtype=np.int64) * INTERVAL_US
    params = PROFILES[profile]
    events = detect(samples, params)
    assert ((events.label >= 0) & (events.label <= 3)).all()
    for code in (MISSING, FIXATION, SACCADE, UNCLASSIFIED):
        numbers = events.index[events.label == code]
        assert set(np.diff(numbers)) <= {0, 1}
        assert not len(numbers) or numbers[0] == 1
    found = fixations(samples, events, params)
    assert len(found) == (events.index[events.label == FIXATION].max() if len(found) else 0)
    covered = np.zeros(len(samples), bool)
    for first, last in zip(found["first_row"], found["last_row"], strict=True):
        assert not covered[first : last + 1].any()
        covered[first : last + 1] = True
    np.testing.assert_array_equal(covered, events.label == FIXATION)
    duration = found["end_us"] - found["onset_us"]
    assert (duration > 0).all()
    if params.gap_fill_ms is None:  # a filled row that the tracker dropped counts, but is no row
        assert (np.rint(duration / 1000) >= params.min_fixation_ms).all()


# ---------------------------------------------------------------- settings


def test_velocity_windows():
    assert velocity_window_samples(PROLAB, 1e6 / 120) == 3
    assert velocity_window_samples(PROLAB, 3334) == 7
    assert velocity_window_samples(PROLAB, 1e6 / 30) == 2


def test_digest_tells_settings_apart():
    assert PROLAB.digest() == replace(PROLAB).digest()
    assert PROLAB.digest() != replace(PROLAB, min_fixation_ms=61.0).digest()
    assert PROLAB.describe() == f"ivt:tobii-prolab:{PROLAB.digest()}"
    assert replace(PROLAB, min_fixation_ms=61.0).describe().startswith("ivt:custom:")


@pytest.mark.parametrize(
    "wrong",
    [
        {"eye_selection": "both"},
        {"noise_reduction": "gauss"},
        {"noise_window_samples": 4},
        {"velocity_window_ms": 0.0},
        {"velocity_threshold_deg_s": -1.0},
    ],
)
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        IVT(**wrong)


def test_labels_in_words():
    events = Events(np.array([0, 1, 2, 3], np.int8), np.ones(4, np.int64))
    assert list(events.names()) == ["missing", "fixation", "saccade", "unclassified"]


# ---------------------------------------------------------------- real exports

PROLAB_EXPORTS = {
    "prolab1.241_chimp_carola_session3": 63,
    "prolab1.241_chimp_daza_session8": 49,
    "prolab1.241_chimp_jeudi_session6": 90,
    "prolab1.241_chimp_jeudi_session8": 54,
    "prolab1.241_chimp_youma_session3": 83,
    "prolab24_300hz_preset_ivt_fixation": 40,
}


def spans(label, index):
    """First and last row of each fixation."""
    rows = pd.Series(np.flatnonzero(label == "fixation"))
    ends = rows.groupby(np.asarray(index)[label == "fixation"]).agg(["min", "max"])
    return set(ends.itertuples(index=False, name=None))


@pytest.mark.real
@pytest.mark.parametrize("name", PROLAB_EXPORTS)
def test_prolab_labels_are_reproduced(name, data_folder):
    (recorded,) = read(data_folder / "exports" / "tobii" / f"{name}.tsv.gz")
    samples = recorded.samples
    events = detect(samples, PROLAB)
    told = samples["vendor_event"].notna().to_numpy()
    names, vendors = events.names()[told], samples["vendor_event"].to_numpy()[told]
    index, vendor_index = events.index[told], samples["vendor_event_index"].to_numpy()[told]
    np.testing.assert_array_equal(names, vendors)
    np.testing.assert_array_equal(index, vendor_index)
    assert len(spans(vendors, vendor_index)) == PROLAB_EXPORTS[name]
    assert spans(names, index) == spans(vendors, vendor_index)


@pytest.mark.real
def test_studio_fixations_are_reproduced(data_folder):
    (recorded,) = read(data_folder / "exports" / "tobii" / "studio3.4.5_x3-120_web_ivt.tsv")
    samples = recorded.samples
    events = detect(samples, PROFILES["tobii-studio"])
    vendors = spans(samples["vendor_event"].to_numpy(), samples["vendor_event_index"])
    assert len(vendors) == 74
    assert spans(events.names(), events.index) == vendors
