"""How far and fast saccades go, which losses are blinks, and what is taken away around them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_gaze import INTERVAL_US, MM_PER_PX, PROLAB, recording, steps

from gazetools.errors import ConfigError
from gazetools.events import (
    IDT,
    IVT,
    BlinkSpec,
    EngbertKliegl,
    SaccadeParser,
    assume_eyes,
    blinks,
    detect,
    fixations,
    gaze_in_mm,
    ivt_px,
    mark_blinks,
    saccades,
)
from gazetools.geometry import Screen
from gazetools.readers import read
from gazetools.tables import SACCADES

HZ = 500


def main_sequence(amplitudes):
    """Saccades whose duration is 20 ms and 2 ms per degree, with a smooth velocity; (n,)."""
    parts, level = [np.zeros(200)], 0.0
    for number, amplitude in enumerate(amplitudes):
        lasts_s = 0.02 + 0.002 * amplitude
        t = np.arange(0, lasts_s, 1 / HZ) / lasts_s
        way = amplitude * (-1) ** number
        parts += [level + way * (t - np.sin(2 * np.pi * t) / (2 * np.pi))]
        level += way
        parts += [np.full(150, level)]
    return np.concatenate(parts)


# ---------------------------------------------------------------- saccades


@pytest.mark.parametrize("knows_eyes", [False, True])
def test_degrees_up_and_down_are_told_by_the_height_of_a_pixel(knows_eyes):
    screen = Screen(1280, 1024, 400.0, 300.0, 600.0)  # a tube: 6.7 % wider than high
    angles = main_sequence([4.0, 8.0])
    x_px, y_px = screen.to_px(np.zeros(len(angles)), angles - 3)
    time_us = 10**6 // HZ * np.arange(len(angles))
    samples = pd.DataFrame({"tracker_time_us": time_us, "x_px": x_px, "y_px": y_px})
    params = IVT(gap_fill_ms=None, velocity_window_ms=4.0, merge_max_gap_ms=None)
    if knows_eyes:
        eyes = {"x_px": x_px, "y_px": y_px, "valid": True}
        eyes |= {"eye_x_mm": 200.0, "eye_y_mm": 150.0, "eye_z_mm": 600.0}
        samples = samples.assign(**{f"left_{name}": value for name, value in eyes.items()})
        seen = gaze_in_mm(samples, screen)
    else:
        seen = assume_eyes(samples, screen)
    events = detect(seen, params, mm_per_px=screen.mm_per_px)
    moves = saccades(seen, events, params, mm_per_px=screen.mm_per_px)
    np.testing.assert_allclose(moves["amplitude_deg"], [4, 8], atol=0.15)
    fast = ivt_px(x_px, y_px, time_us, screen, params)
    np.testing.assert_array_equal(fast.label, events.label)


@pytest.mark.parametrize(
    ("of_left", "of_right"),
    [
        (IVT(eye_selection="left"), IVT(eye_selection="right")),
        (IVT(eye_selection="left", noise_reduction="mean"), IVT(eye_selection="right")),
        (SaccadeParser(eye_selection="left"), SaccadeParser(eye_selection="right")),
        (IDT(eye="left", dispersion_deg=0.3), IDT(eye="right", dispersion_deg=0.3)),
        (IDT(None, 12.0, eye="left"), IDT(None, 12.0, eye="right")),
        (EngbertKliegl(eye="left"), EngbertKliegl(eye="right")),
    ],
)
def test_events_lie_where_the_eye_that_was_selected_looked(of_left, of_right):
    angles = main_sequence([6.0, 9.0])
    left = recording(angles, interval_us=10**6 // HZ, noise_deg=0.01)
    # the calibration of the right eye is off, and it sees all smaller
    right = recording(0.8 * angles, interval_us=10**6 // HZ, noise_deg=0.01)
    both = left.assign(right_x_mm=right["right_x_mm"] + 20.0)
    for eye in ("left", "right"):
        for axis in "xy":
            both[f"{eye}_{axis}_px"] = both[f"{eye}_{axis}_mm"] / MM_PER_PX
    both["x_px"] = both[["left_x_px", "right_x_px"]].mean(axis=1)
    for eye, params, seen in (("left", of_left, 1.0), ("right", of_right, 0.8)):
        events = detect(both, params)
        looked = both[f"{eye}_x_px"].to_numpy()
        found = fixations(both, events, params)
        assert len(found) == 3
        mean = [looked[a : b + 1].mean() for a, b in found[["first_row", "last_row"]].to_numpy()]
        np.testing.assert_allclose(found["x_px"], mean, atol=0.5)
        moves = saccades(both, events, params)
        np.testing.assert_array_equal(moves["start_x_px"], looked[moves["first_row"] - 1])
        np.testing.assert_array_equal(moves["end_x_px"], looked[moves["last_row"] + 1])
        np.testing.assert_allclose(moves["amplitude_deg"], [6 * seen, 9 * seen], atol=1.0)


@pytest.mark.parametrize(
    "params",
    [
        PROLAB,
        IVT(gap_fill_ms=None, velocity_window_ms=4.0),
        EngbertKliegl(),
        IDT(dispersion_deg=0.3),
        None,
    ],
)
def test_a_main_sequence_is_recovered(params):
    amplitudes = np.array([1.0, 2, 4, 8, 15])
    samples = recording(main_sequence(amplitudes), interval_us=10**6 // HZ, noise_deg=0.005)
    detector = params or EngbertKliegl()
    found = saccades(samples, detect(samples, detector), params)
    assert len(found) == 5
    swallowed = 0.5 if isinstance(params, IDT) else 0.15  # up to the dispersion, at both ends
    np.testing.assert_allclose(found["amplitude_deg"], amplitudes, rtol=0.08, atol=swallowed)
    lasts_s = 0.02 + 0.002 * amplitudes
    window_s = 0.02 if params in (PROLAB, None) or isinstance(params, IDT) else 0.008
    blunted = amplitudes * np.minimum(2 / lasts_s, 1 / window_s)
    assert (found["peak_velocity_deg_s"] > 0.6 * blunted).all()
    assert (found["peak_velocity_deg_s"] < 1.15 * 2 * amplitudes / lasts_s + 5).all()
    assert (np.diff(found["peak_velocity_deg_s"]) > 0).all()
    assert ((found["end_us"] - found["onset_us"]) / 1e6 < lasts_s + 0.025).all()


def test_a_saccade_starts_and_ends_where_gaze_rests():
    samples = recording(steps((0, 30), (5, 40)))
    found = saccades(samples, detect(samples, PROLAB), PROLAB).iloc[0]
    assert (found["first_row"], found["last_row"]) == (29, 30)
    assert found["onset_us"] == 5_000_000 + 28.5 * INTERVAL_US
    assert found["end_us"] == 5_000_000 + 30.5 * INTERVAL_US
    assert found["start_x_px"] == pytest.approx(250 / MM_PER_PX)
    assert found["end_x_px"] == pytest.approx((250 + 600 * np.tan(np.radians(5))) / MM_PER_PX)
    assert found["start_y_px"] == found["end_y_px"] == pytest.approx(150 / MM_PER_PX)
    assert found["amplitude_deg"] == pytest.approx(5)
    assert found["peak_velocity_deg_s"] == pytest.approx(5 / (2 * INTERVAL_US / 1e6))


def test_a_saccade_into_a_blink_ends_with_its_last_sample():
    samples = recording(steps((0, 30), (5, 2), (None, 10), (0, 30)))
    found = saccades(samples, detect(samples, PROLAB), PROLAB)
    assert found["last_row"][0] == 31
    assert found["amplitude_deg"][0] == pytest.approx(5)


def test_without_eyes_a_saccade_has_no_angles():
    samples = recording(steps((0, 30), (5, 40)))[["tracker_time_us", "x_px", "y_px"]]
    params = EngbertKliegl(unit="px")
    found = saccades(samples, detect(samples, params), params)
    assert len(found) == 1
    assert found[["amplitude_deg", "peak_velocity_deg_s"]].isna().all(axis=None)
    assert found["end_x_px"][0] > found["start_x_px"][0]


def test_saccades_make_a_table():
    samples = recording(steps((0, 30), (5, 40), (0, 30)))
    found = saccades(samples, detect(samples, PROLAB), PROLAB)
    who = {"recording": "r", "subject": "s", "trial": 1, "source": PROLAB.describe()}
    times = {"onset_ms": found["onset_us"] / 1000, "duration_ms": 1.0}
    table = SACCADES.conform(found.assign(**who, **times))
    assert table["amplitude_deg"].notna().all()
    assert set(found) >= {c.name for c in SACCADES.columns if "_px" in c.name or "_deg" in c.name}


def test_no_saccades_are_an_empty_table():
    samples = recording(steps((0, 30)))
    for empty in (samples, samples[:0]):
        found = saccades(empty, detect(empty, PROLAB), PROLAB)
        assert len(found) == 0
        assert "amplitude_deg" in found


# ---------------------------------------------------------------- blinks


def lost_for(*counts):
    """30 seen samples, then each count lost and 30 more seen."""
    return recording(steps((0, 30), *(p for n in counts for p in ((None, n), (0, 30)))))


def rows_of(samples, spec=None):
    found = blinks(samples, spec)
    return list(zip(found["first_row"], found["last_row"], strict=True))


def test_losses_of_50_to_500_ms_are_blinks():
    samples = lost_for(5, 6, 60, 61)  # 41.7, 50.0, 500.0, 508.3 ms
    assert rows_of(samples) == [(65, 70), (101, 160)]
    found = blinks(samples)
    assert found["onset_us"][0] == 5_000_000 + 64.5 * INTERVAL_US
    assert found["end_us"][0] == 5_000_000 + 70.5 * INTERVAL_US
    assert rows_of(samples, BlinkSpec(min_ms=40)) == [(30, 34), (65, 70), (101, 160)]
    assert rows_of(samples, BlinkSpec(max_ms=510)) == [(65, 70), (101, 160), (191, 251)]


def test_a_loss_at_an_end_is_no_blink():
    assert rows_of(recording(steps((None, 20), (0, 30), (None, 20)))) == []
    assert rows_of(recording(steps((None, 20)))) == []
    assert rows_of(recording([])) == []


def test_one_eye_alone_does_not_blink():
    samples = lost_for(10)
    assert rows_of(samples) == [(30, 39)]
    seen = samples.assign(right_valid=True, right_x_mm=1.0, right_y_mm=1.0)
    assert rows_of(seen) == []
    only_left = samples[[c for c in samples if not c.startswith("right")]]
    assert rows_of(only_left) == [(30, 39)]
    average = samples[["tracker_time_us", "x_px", "y_px"]]
    assert rows_of(average) == [(30, 39)]


def test_pupils_blink_too():
    samples = recording(steps((0, 90)))
    size = np.full(90, 3.0)
    size[30:40], size[60:70] = 0, np.nan
    samples = samples.assign(left_pupil=size, right_pupil=size)
    assert rows_of(samples) == []
    assert rows_of(samples, BlinkSpec(signal="pupil")) == [(30, 39), (60, 69)]
    assert rows_of(samples.drop(columns=["left_pupil", "right_pupil"]), BlinkSpec("pupil")) == []


def test_dropped_rows_count_beside_lost_ones():
    samples = lost_for(10)
    assert rows_of(samples.drop(index=range(33, 37)).reset_index(drop=True)) == [(30, 35)]
    assert rows_of(recording(steps((0, 60))).drop(index=range(30, 40))) == []


def test_blinks_are_marked_by_nan_never_filled():
    samples = lost_for(10)
    for eye in ("left", "right"):
        samples[f"{eye}_y_mm"] = samples[f"{eye}_y_mm"].where(samples[f"{eye}_valid"])
    bare = mark_blinks(samples)
    pd.testing.assert_frame_equal(bare, samples)
    padded = mark_blinks(samples, BlinkSpec(padding_ms=2.2 * INTERVAL_US / 1000))
    gone = padded["x_px"].isna().to_numpy()
    assert list(np.flatnonzero(gone)) == list(range(28, 42))
    assert list(np.flatnonzero(~padded["left_valid"])) == list(range(28, 42))
    assert padded["left_x_mm"].isna().sum() == 14
    assert samples["x_px"].isna().sum() == 10
    pd.testing.assert_frame_equal(padded[~gone], samples[~gone])
    fixations = detect(padded, IVT(gap_fill_ms=None)).label
    assert (fixations[28:42] == 0).all()


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([None, 0.0]), st.integers(1, 80)), max_size=8),
    st.sampled_from([30, 120, 1000]),
    st.floats(0, 200),
    st.integers(0, 2**32 - 1),
)
def test_what_holds_for_blinks(parts, hz, padding_ms, seed):
    samples = recording(steps(*parts) if parts else [], interval_us=10**6 // hz)
    ticks = np.random.default_rng(seed).choice([0, 1, 1, 1, 1, 1, 1, 1, 4, -2], len(samples))
    samples["tracker_time_us"] = 10**9 + np.cumsum(ticks * (10**6 // hz))
    spec = BlinkSpec(padding_ms=padding_ms)
    found = blinks(samples, spec)
    lasts_ms = (found["end_us"] - found["onset_us"]) / 1000
    assert lasts_ms.round().between(50, 500).all()
    assert (found["first_row"][1:].to_numpy() > found["last_row"][:-1].to_numpy()).all()
    marked = mark_blinks(samples, spec)
    for first, last in zip(found["first_row"], found["last_row"], strict=True):
        assert samples["x_px"][first : last + 1].isna().all()
        assert marked["x_px"][first : last + 1].isna().all()
    same = marked["x_px"].notna()
    pd.testing.assert_frame_equal(marked[same], samples[same])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"min_ms": 0.0}, "min_ms"),
        ({"min_ms": 600.0}, "min_ms"),
        ({"padding_ms": -1.0}, "padding_ms"),
        ({"signal": "lid"}, "'gaze', 'pupil'"),
    ],
)
def test_wrong_blink_settings_are_named(wrong, message):
    with pytest.raises(ConfigError, match=message):
        BlinkSpec(**wrong)


# ---------------------------------------------------------------- real recordings


@pytest.mark.real
@pytest.mark.parametrize("name", ["mono500", "bino1000", "mono2000"])
def test_the_saccades_of_an_eyelink_are_found(name, data_folder):
    """By another algorithm, so not sample for sample; its own degrees, our assumed distance."""
    (recorded,) = read(data_folder / "exports" / "eyelink" / f"eyelinker_{name}.asc.gz")
    width, height = recorded.screen_px or (1024, 768)
    screen = Screen(width, height, width * 0.3, height * 0.3, 600.0)
    samples = assume_eyes(recorded.samples, screen)
    params = EngbertKliegl()
    found = saccades(samples, detect(samples, params), params)
    large = found[found["amplitude_deg"] > 0.5]
    logs = np.log(large[["amplitude_deg", "peak_velocity_deg_s"]])
    assert logs.corr().iloc[0, 1] > 0.9
    theirs = recorded.saccades[recorded.saccades["amplitude_deg"] > 1]
    pairs = []
    for first, last, degrees in theirs[["first_row", "last_row", "amplitude_deg"]].to_numpy():
        ours = found[(found["first_row"] <= last) & (found["last_row"] >= first)]
        assert len(ours) in (1, 2)  # the eye may swing back
        pairs.append((degrees, ours["amplitude_deg"].max()))
    assert np.corrcoef(np.log(pairs).T)[0, 1] > 0.9
