"""All detectors: what each finds in made gaze, and what must hold for any gaze and any clock."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_gaze import MM_PER_PX, labels, recording, steps

from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.events import (
    IDT,
    IVT,
    PROFILES,
    EngbertKliegl,
    SaccadeParser,
    Spread,
    assume_eyes,
    detect,
    fixations,
    idt_xy,
    ivt_px,
    knows_eyes,
    profile,
    saccades,
    smoothed_gaze,
)
from gazetools.events.detector import FIXATION, MISSING, SACCADE
from gazetools.events.engbert_kliegl import reach_samples
from gazetools.geometry import Screen
from gazetools.readers import read
from gazetools.settings import parse_settings

SCREEN = Screen(1920, 1080, 1920 * MM_PER_PX, 1080 * MM_PER_PX, 600.0)
PLAIN = IVT(gap_fill_ms=None, merge_max_gap_ms=None)
DETECTORS = {
    **PROFILES,
    "idt-px": IDT(dispersion_deg=None, dispersion_px=40.0),
    "engbert-kliegl-px": EngbertKliegl(unit="px"),
    "engbert-kliegl-binocular": EngbertKliegl(binocular=True, spread="2006"),
    "ivt-plain": PLAIN,
    "ivt-mean-strict": IVT(noise_reduction="mean", eye_selection="strict"),
}


def sweep(hz, *, seconds=2.0, noise_deg=0.01, seed=0):
    """Fixations of 0.25 s, and saccades of 5 degrees, 30 ms, there and back; angles (n,)."""
    t = np.arange(0, seconds, 1 / hz)
    phase = t % 0.28
    up = np.clip((phase - 0.25) / 0.03, 0, 1)
    sign = np.where((t // 0.28).astype(int) % 2 == 0, up, 1 - up)
    return 5 * sign + np.random.default_rng(seed).normal(0, noise_deg, len(t))


def clock(hz, n):
    return 1_000_000 + np.rint(np.arange(n) * 1e6 / hz).astype(np.int64)


# ---------------------------------------------------------------- I-DT


def test_idt_finds_levels_and_what_lies_between():
    samples = recording(np.concatenate([steps((0, 30)), np.linspace(1.2, 3.8, 5), steps((5, 30))]))
    assert labels(samples, IDT()) == "F" * 30 + "S" * 5 + "F" * 30


def test_idt_takes_the_dispersion_in_degrees_or_px():
    samples = recording(steps((0, 30), (0.9, 30)))
    assert labels(samples, IDT()) == "F" * 60
    assert len(fixations(samples, detect(samples, IDT(dispersion_deg=0.5)))) == 2
    px = samples["x_px"].max() - samples["x_px"].min()
    one, two = (IDT(dispersion_deg=None, dispersion_px=px * k) for k in (1.01, 0.99))
    assert [len(fixations(samples, detect(samples, params))) for params in (one, two)] == [1, 2]
    bare = samples[["tracker_time_us", "x_px", "y_px"]]
    assert labels(bare, one) == "F" * 60


def test_idt_leaves_short_runs_and_edges_unclassified():
    samples = recording(np.concatenate([np.linspace(-9, 0, 8), steps((0, 20), (None, 3), (0, 5))]))
    assert labels(samples, IDT()) == "U" * 7 + "F" * 21 + "MMM" + "UUUUU"


def test_two_fixations_that_touch_are_two():
    samples = recording(steps((0, 30), (3, 20), (-3, 20)))
    assert labels(samples, IDT()) == "F" * 70
    found = fixations(samples, detect(samples, IDT()))
    assert list(found["first_row"]) == [0, 30, 50]
    assert list(found["last_row"]) == [29, 49, 69]
    assert found["end_us"][0] == found["onset_us"][1]


# ---------------------------------------------------------------- Engbert & Kliegl


@pytest.mark.parametrize("hz", [30, 60, 120, 250, 500, 1000, 2000])
@pytest.mark.parametrize("params", [EngbertKliegl(), EngbertKliegl(binocular=True)])
def test_saccades_are_found_at_any_rate(hz, params):
    angles = sweep(hz)
    samples = recording(angles, interval_us=1e6 / hz)
    samples["tracker_time_us"] = clock(hz, len(samples))
    found = saccades(samples, detect(samples, params), params)
    assert len(found) == 7
    middle = (found["onset_us"] + found["end_us"]) / 2e6 - 1
    window_s = 2 / hz
    np.testing.assert_allclose(middle, 0.265 + 0.28 * np.arange(7), atol=0.004 + window_s)
    np.testing.assert_allclose(found["amplitude_deg"], 5, atol=0.3 if hz <= 1000 else 0.5)


def test_the_threshold_adapts_to_noise():
    quiet = recording(sweep(500, noise_deg=0.005), interval_us=2000)
    loud = recording(sweep(500, noise_deg=0.02), interval_us=2000)
    for samples in (quiet, loud):
        found = detect(samples, EngbertKliegl())
        assert found.index[found.label == SACCADE].max() == 7


def test_the_velocity_window_lasts_long_enough():
    reach = [reach_samples(EngbertKliegl(), 1e6 / hz) for hz in (30, 250, 500, 1000, 2000)]
    assert reach == [2, 2, 2, 5, 10]
    assert reach_samples(EngbertKliegl(velocity_window_ms=0.0), 500.0) == 2


def test_short_saccades_belong_to_the_fixation():
    samples = recording(sweep(250), interval_us=4000)
    long = replace(EngbertKliegl(), min_saccade_ms=100.0)
    assert "S" not in labels(samples, long)
    assert labels(samples, long) == "F" * len(samples)


def test_a_saccade_of_one_eye_is_none_if_both_are_asked_for():
    samples = recording(sweep(250), interval_us=4000)
    still = recording(np.zeros(len(samples)), interval_us=4000, noise_deg=0.01)
    for name in ("right_x_mm", "right_y_mm"):
        samples[name] = still[name]
    assert "S" in labels(samples, EngbertKliegl(eye="left"))
    assert "S" not in labels(samples, EngbertKliegl(eye="right"))
    assert "S" not in labels(samples, EngbertKliegl(binocular=True))


def test_constant_gaze_has_no_saccades():
    assert labels(recording(np.zeros(50)), EngbertKliegl()) == "F" * 50


# ---------------------------------------------------------------- the saccade parser


@pytest.mark.parametrize("hz", [60, 120, 250, 500, 1000, 2000])
def test_the_parser_finds_saccades_and_where_they_begin(hz):
    samples = recording(sweep(hz), interval_us=1e6 / hz)
    samples["tracker_time_us"] = clock(hz, len(samples))
    params = SaccadeParser()
    found = saccades(samples, detect(samples, params), params)
    assert len(found) == 7
    tolerance_s = 0.006 + 1.5 / hz  # half a velocity window
    onset_s, end_s = (found[name] / 1e6 - 1 for name in ("onset_us", "end_us"))
    np.testing.assert_allclose(onset_s, 0.25 + 0.28 * np.arange(7), atol=tolerance_s)
    np.testing.assert_allclose(end_s, 0.28 + 0.28 * np.arange(7), atol=tolerance_s)
    np.testing.assert_allclose(found["amplitude_deg"], 5, atol=0.3 if hz >= 250 else 2)
    if hz >= 500:
        np.testing.assert_allclose(found["peak_velocity_deg_s"], 5 / 0.03, rtol=0.03)


def jump(by_deg, *, in_ms, at=500, n=1000):
    """Gaze at 1000 Hz that moves once, evenly; angles (n,)."""
    return by_deg * np.clip((np.arange(n) - at) / in_ms, 0, 1)


def test_a_saccade_that_leads_nowhere_belongs_to_the_fixation():
    near, far = (recording(jump(d, in_ms=2), interval_us=1000, noise_deg=0) for d in (0.2, 0.4))
    assert "S" not in labels(near, SaccadeParser(velocity_threshold_deg_s=10.0))
    assert "S" in labels(near, SaccadeParser(velocity_threshold_deg_s=10.0, min_motion_deg=0.1))
    assert "S" in labels(far, SaccadeParser())


def test_a_change_of_speed_is_a_saccade_too():
    slow = recording(jump(1.2, in_ms=50), interval_us=1000, noise_deg=0)  # 24 deg/s
    assert "S" not in labels(slow, SaccadeParser())
    assert "S" not in labels(slow, SaccadeParser(acceleration_threshold_deg_s2=None))
    # 24 deg/s come within the 10 ms of the velocity window: 2400 deg/s^2
    sudden = SaccadeParser(acceleration_threshold_deg_s2=2000.0, min_motion_deg=0.0)
    found = saccades(slow, detect(slow, sudden), sudden)
    np.testing.assert_allclose(found["first_row"], [500], atol=5)
    braking = replace(sudden, slowing_counts=True)
    found = saccades(slow, detect(slow, braking), braking)
    np.testing.assert_allclose(found["first_row"], [500, 550], atol=5)


def test_a_short_rest_within_a_saccade_belongs_to_it():
    angles = jump(5, in_ms=30, at=400) + jump(5, in_ms=30, at=460)  # 30 ms of rest, less the window
    samples = recording(angles, interval_us=1000, noise_deg=0)
    resting = SaccadeParser(acceleration_threshold_deg_s2=None)
    joined = replace(resting, min_fixation_ms=40.0)
    assert [len(saccades(samples, detect(samples, p), p)) for p in (resting, joined)] == [2, 1]
    gone = samples.assign(left_valid=True, right_valid=True)
    names = [c for c in gone if c.startswith(("left", "right")) and not c.endswith("valid")]
    gone.loc[455:, [*names, "x_px", "y_px"]] = np.nan  # no saccade behind the rest
    assert labels(gone, joined)[436:455] == "U" * 19


# ---------------------------------------------------------------- spread


def test_a_long_look_is_several_fixations():
    samples = recording(steps((0, 50), (None, 3), (0, 6), (5, 30), (5.8, 30)), interval_us=10_000)
    found = fixations(samples, detect(samples, Spread()))
    # 220 ms from the first sample to the last are 23 samples; a missing sample is passed over;
    # of a look that ends sooner, the last sample is left out
    assert found[["first_row", "last_row"]].to_numpy().tolist() == [
        [0, 22],
        [23, 45],
        [46, 57],
        [59, 81],
        [82, 104],
        [105, 118],
    ]


def test_its_spread_is_the_largest_angle_between_any_two():
    angles = np.concatenate([np.linspace(0, 1.4, 15), np.linspace(0, 4, 15)])
    samples = recording(angles, interval_us=10_000, noise_deg=0)
    found = fixations(samples, detect(samples, Spread(min_fixation_ms=100.0)))
    assert found[["first_row", "last_row"]].to_numpy().tolist() == [
        [0, 19]
    ]  # 1.43 deg are left out
    narrow = Spread(min_fixation_ms=100.0, max_spread_deg=0.9)
    assert labels(samples, narrow)[:10] == "U" * 10


def test_directions_of_either_eye_are_enough():
    angles = np.radians(np.repeat([0.0, 10.0], 20))
    direction = np.column_stack([np.sin(angles), np.zeros(40), -np.cos(angles)])
    one = pd.DataFrame(direction, columns=[f"right_dir_{axis}" for axis in "xyz"])
    one = one.assign(tracker_time_us=10_000 * np.arange(40), x_px=0.5, y_px=0.5)
    expected = "F" * 19 + "U" + "F" * 20
    assert labels(one, Spread()) == expected
    both = one.assign(**{f"left_dir_{axis}": one[f"right_dir_{axis}"] for axis in "xyz"})
    both.loc[5:9, [f"right_dir_{axis}" for axis in "xyz"]] = np.nan
    assert labels(both, Spread()) == expected
    assert len(fixations(both, detect(both, Spread()))) == 2


def test_a_fixation_cannot_last_less_than_it_must():
    with pytest.raises(ConfigError, match=r"at least min_fixation_ms, 80\.0"):
        Spread(max_fixation_ms=50.0)


@pytest.mark.real
def test_pupil_players_fixations_are_reproduced(data_folder):
    (recorded,) = read(data_folder / "exports" / "pupil" / "core_rec10_gaze_positions.csv")
    found = fixations(recorded.samples, detect(recorded.samples, PROFILES["pupil-core"]))
    spans, told = (
        table[["first_row", "last_row"]].to_numpy().tolist()
        for table in (found, recorded.fixations)
    )
    assert len(told) == len(spans) == 36
    # the last one goes on behind the end of the exported gaze
    assert spans[:-1] == told[:-1]
    assert spans[-1][0] == told[-1][0]


def test_its_saccades_are_measured_in_the_gaze_they_were_found_in():
    left = recording(jump(10, in_ms=30), interval_us=1000, noise_deg=0)
    still = recording(np.zeros(len(left)), interval_us=1000, noise_deg=0)
    samples = left.assign(right_x_mm=still["right_x_mm"])
    params = SaccadeParser(eye_selection="left")
    found = saccades(samples, detect(samples, params), params)
    np.testing.assert_allclose(found["amplitude_deg"], [10], atol=1.5)
    np.testing.assert_allclose(found["peak_velocity_deg_s"], [10 / 0.03], rtol=0.03)


@pytest.mark.parametrize("hz", [500, 2000])
def test_no_fixation_of_the_parser_is_too_short(hz):
    rng = np.random.default_rng(hz)
    for _ in range(20):
        angles = np.repeat(rng.normal(0, 3, 20), hz // 20) + rng.normal(0, 0.1, hz)
        angles[rng.random(hz) < 0.02] = np.nan
        samples = recording(angles, interval_us=1e6 / hz)
        found = fixations(samples, detect(samples, SaccadeParser()))
        assert (found["end_us"] - found["onset_us"] >= 19_500).all()


def test_a_threshold_that_falls_is_refused():
    with pytest.raises(ConfigError, match="pursuit_max_deg_s is -1"):
        SaccadeParser(pursuit_max_deg_s=-1.0)


def seen_at(px_per_deg):
    """A screen of 1024 px on which a degree is so many."""
    mm_per_px = 650 * np.tan(np.radians(1)) / px_per_deg
    return Screen(1024, 768, 1024 * mm_per_px, 768 * mm_per_px, 650.0)


def matched(found, vendors, rows):
    """How many fixations of the vendor are met within so many samples at both ends."""
    ours = found[["first_row", "last_row"]].to_numpy()
    return sum(np.abs(ours - span).max(axis=1).min() <= rows for span in vendors)


@pytest.mark.real
@pytest.mark.parametrize(("name", "hz"), [("bino1000", 1000), ("mono500", 500), ("mono2000", 2000)])
def test_the_parser_finds_what_eyelink_found(name, hz, data_folder):
    path = data_folder / "exports" / "eyelink" / f"eyelinker_{name}.asc.gz"
    told, met = 0, {False: 0, True: 0}
    for recorded in read(path):
        samples = assume_eyes(recorded.samples, seen_at(35.2))  # as its saccades tell
        vendors = recorded.fixations[["first_row", "last_row"]].to_numpy()
        told += len(vendors)
        for slowing in met:
            params = replace(PROFILES["eyelink"], slowing_counts=slowing)
            met[slowing] += matched(fixations(samples, detect(samples, params)), vendors, hz / 100)
    assert told >= 12
    assert met[False] >= told - 2
    assert met[True] == told


@pytest.mark.real
def test_the_parser_meets_a_published_report_to_the_sample(data_folder):
    folder = data_folder / "exports" / "eyelink"
    (recorded,) = read(folder / "gazer_s2.xls.txt.gz")
    (report,) = read(folder / "gazer_f2.xls.txt")
    samples = assume_eyes(recorded.samples, seen_at(47.6))  # as fast as its saccades begin
    found = fixations(samples, detect(samples, PROFILES["eyelink"]))
    time_us = samples["tracker_time_us"]
    starts = time_us.groupby(samples["trial"]).first()
    onsets = report.fixations["trial"].map(starts) + 1000 * report.fixations["onset_ms"]
    ends = onsets + 1000 * report.fixations["duration_ms"]
    spans = np.column_stack([np.searchsorted(time_us, onsets), np.searchsorted(time_us, ends) - 1])
    assert len(spans) == 787
    assert matched(found, spans, 1) == 754


# ---------------------------------------------------------------- gaze on a screen, nothing else


def on_screen(samples):
    return samples[["tracker_time_us", "x_px", "y_px"]]


def test_average_gaze_and_a_screen_are_enough():
    samples = on_screen(recording(steps((0, 30), (5, 40), (None, 4), (-5, 25))))
    assert not knows_eyes(samples)
    for name, params in PROFILES.items():
        found = detect(assume_eyes(samples, SCREEN), params)
        # Pupil Core's detector parts the longest
        assert found.index[found.label == FIXATION].max() == (4 if name == "pupil-core" else 3)
        assert (found.label[70:74] == MISSING).all() or params in (
            PROFILES["olsen2012"],
            PROFILES["tobii-studio"],
        )


@pytest.mark.parametrize("eye", ["left", "right"])
def test_one_eye_on_a_screen_is_enough(eye):
    samples = recording(steps((0, 30), (5, 40)))
    one = on_screen(samples).rename(columns={"x_px": f"{eye}_x_px", "y_px": f"{eye}_y_px"})
    one = one.assign(x_px=samples["x_px"], y_px=samples["y_px"])
    for name in ("tobii-prolab", "olsen2012", "engbert-kliegl", "idt", "eyelink"):
        found = detect(assume_eyes(one, SCREEN), PROFILES[name])
        both = detect(assume_eyes(on_screen(samples), SCREEN), PROFILES[name])
        np.testing.assert_array_equal(found.label, both.label)


def test_px_detectors_want_that_gaze():
    samples = recording(steps((0, 30)))
    with pytest.raises(SchemaError, match="left_x_px"):
        detect(samples, EngbertKliegl(unit="px", eye="left"))
    with pytest.raises(GeometryError, match="eye positions"):
        detect(on_screen(samples), EngbertKliegl())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, 0.0, 0.4, 3.0, 20.0]), st.integers(1, 30)), max_size=10
    ),
    st.sampled_from([IVT(), PLAIN, PROFILES["tobii-prolab"]]),
    st.sampled_from([2.0, 8.4, 20.0]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_the_short_way_is_the_chain(parts, params, window_ms, is_regular, seed):
    rng = np.random.default_rng(seed)
    angles = steps(*parts) if parts else np.zeros(0)
    samples = on_screen(recording(angles, interval_us=2000))
    n = len(samples)
    ticks = np.ones(n) if is_regular else rng.choice([0, 1, 1, 1, 1, 1, 1, 4, -2], n)
    samples["tracker_time_us"] = 10**9 + np.cumsum(ticks * 2000).astype(np.int64)
    samples[["x_px", "y_px"]] += rng.normal(0, 3, (n, 2))
    params = replace(params, velocity_window_ms=window_ms)
    expected = detect(assume_eyes(samples, SCREEN), params)
    x, y, time_us = (samples[name].to_numpy() for name in ("x_px", "y_px", "tracker_time_us"))
    found = ivt_px(x, y, time_us, SCREEN, params)
    np.testing.assert_array_equal(found.label, expected.label)
    table = fixations(samples, expected)
    np.testing.assert_array_equal(found.fixations, table[["first_row", "last_row"]])


@settings(deadline=None, max_examples=40)
@given(st.booleans(), st.sampled_from([0.3, 1.0, 3.0]), st.integers(0, 2**32 - 1))
def test_the_short_way_of_idt_is_the_detector(is_regular, dispersion_deg, seed):
    rng = np.random.default_rng(seed)
    samples = on_screen(recording(np.repeat(rng.normal(0, 4, 12), 25), interval_us=2000))
    n = len(samples)
    ticks = np.ones(n) if is_regular else rng.choice([0, 1, 1, 1, 1, 1, 1, 4, -2], n)
    samples["tracker_time_us"] = 10**9 + np.cumsum(ticks * 2000).astype(np.int64)
    samples[["x_px", "y_px"]] += rng.normal(0, 2, (n, 2))
    samples.loc[rng.random(n) < 0.01, ["x_px", "y_px"]] = np.nan
    params = IDT(dispersion_deg=dispersion_deg, min_fixation_ms=40.0)
    expected = detect(assume_eyes(samples, SCREEN), params)
    x_deg, y_deg = SCREEN.to_deg(samples["x_px"], samples["y_px"])
    found = idt_xy(x_deg, y_deg, samples["tracker_time_us"].to_numpy(), params)
    np.testing.assert_array_equal(found.label, expected.label)
    table = fixations(samples, expected)
    np.testing.assert_array_equal(found.fixations, table[["first_row", "last_row"]])


def test_the_short_way_keeps_what_is_just_long_enough():
    samples = on_screen(recording(steps((0, 31), (20, 30), (0, 30)), interval_us=2000))
    x, y, time_us = (samples[name].to_numpy() for name in ("x_px", "y_px", "tracker_time_us"))
    found = ivt_px(x, y, time_us, SCREEN, replace(PLAIN, velocity_window_ms=2.0))
    np.testing.assert_array_equal(found.fixations, [[1, 30]])  # 60 ms; the others 58
    np.testing.assert_allclose(found.places(x, y), [[x[1:31].mean(), y[1:31].mean()]])


def test_the_short_way_wants_equal_lengths():
    with pytest.raises(SchemaError, match="2 x"):
        ivt_px(np.zeros(2), np.zeros(2), np.arange(3), SCREEN, PLAIN)
    with pytest.raises(SchemaError, match="2 x"):
        idt_xy(np.zeros(2), np.zeros(2), np.arange(3), IDT())
    nothing = np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
    assert not len(idt_xy(*nothing, IDT()).fixations)
    assert not len(ivt_px(*nothing, SCREEN, PLAIN).fixations)


# ---------------------------------------------------------------- whatever the gaze and the clock


@st.composite
def any_recording(draw):
    """Levels and losses at 30 to 2000 Hz; columns, eyes and rows missing; the clock unsteady."""
    hz = draw(st.sampled_from([30, 50, 120, 500, 2000]))
    part = st.tuples(st.sampled_from([None, 0.0, 0.4, 3.0, 20.0, 80.0]), st.integers(1, 40))
    parts = draw(st.lists(part, max_size=8))
    noise_deg = draw(st.sampled_from([0.0, 0.02, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    angles = steps(*parts) if parts else np.zeros(0)
    samples = recording(angles, interval_us=10**6 // hz, noise_deg=noise_deg)
    n = len(samples)
    trouble = draw(
        st.sampled_from(["none", "clock", "rows", "left", "right", "flicker", "average"])
    )
    if trouble == "clock":
        ticks = rng.choice([0, 1, 1, 1, 1, 1, 1, 1, 6, 90, -3], n) * (10**6 // hz)
        samples["tracker_time_us"] = 10**9 + np.cumsum(ticks)
    if trouble == "rows":
        samples = samples[rng.random(n) < 0.9].reset_index(drop=True)
    if trouble in ("left", "right"):
        lost = [c for c in samples if c.startswith(trouble) and not c.endswith("valid")]
        samples[lost], samples[f"{trouble}_valid"] = np.nan, False
    if trouble == "flicker":
        for eye in ("left", "right"):
            samples[f"{eye}_valid"] &= rng.random(n) < 0.7
    for eye in ("left", "right"):
        for axis in "xy":
            samples[f"{eye}_{axis}_px"] = samples[f"{eye}_{axis}_mm"] / MM_PER_PX
    return assume_eyes(on_screen(samples), SCREEN) if trouble == "average" else samples


@settings(deadline=None, max_examples=100)
@given(any_recording(), st.sampled_from(sorted(DETECTORS)), st.integers(-(10**9), 10**15))
def test_what_holds_for_every_detector(samples, name, later_us):
    params = DETECTORS[name]
    events = detect(samples, params)
    assert len(events.label) == len(events.index) == len(samples)
    assert ((events.label >= 0) & (events.label <= 3)).all()
    for code, of_type in ((FIXATION, fixations), (SACCADE, saccades)):
        found = of_type(samples, events, params)
        covered = np.zeros(len(samples), int)
        for first, last in zip(found["first_row"], found["last_row"], strict=True):
            covered[first : last + 1] += 1
        np.testing.assert_array_equal(covered, events.label == code)
        assert (np.diff(found["first_row"]) > 0).all()
        assert (found["end_us"] > found["onset_us"]).all()
        assert len(found) == events.index[events.label == code].max(initial=0)
    if name in ("idt", "idt-px", "ivt-plain", "engbert-kliegl", "engbert-kliegl-px"):
        unseen = samples[["x_px", "y_px"]].isna().any(axis=1)
        if name.endswith("px") or "left_valid" not in samples:
            unknown = unseen
        else:
            unknown = unseen | ~(samples["left_valid"] | samples["right_valid"])
        repeated = samples["tracker_time_us"].diff() == 0
        assert (events.label[unknown & ~repeated] == MISSING).all()
        assert (events.label[~unknown & ~repeated] != MISSING).all()
    later = samples.assign(tracker_time_us=samples["tracker_time_us"] + later_us)
    again = detect(later, params)
    np.testing.assert_array_equal(again.label, events.label)
    np.testing.assert_array_equal(again.index, events.index)
    assert smoothed_gaze(samples, params).shape == (len(samples), 2)


# ---------------------------------------------------------------- settings of one's own


def test_a_profile_with_some_settings_changed():
    custom = profile("tobii-prolab", velocity_threshold_deg_s=40, gap_fill_ms="off")
    expected = replace(PROFILES["tobii-prolab"], velocity_threshold_deg_s=40.0)
    assert custom == expected
    assert custom.digest() == expected.digest()
    assert custom.describe().startswith("ivt:custom:")
    assert profile("idt") is PROFILES["idt"]
    assert profile("idt", dispersion_px=30, dispersion_deg=None).describe().startswith("idt:custom")


def test_settings_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "tobii-studio"\nvelocity_threshold_deg_s = 35\ngap_fill_ms = "off"\n')
    expected = replace(IVT(merge_look_ahead=True), velocity_threshold_deg_s=35.0, gap_fill_ms=None)
    assert profile(path) == expected
    assert profile(str(path), min_fixation_ms=80) == replace(expected, min_fixation_ms=80.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("velocity = ", "not TOML"),
        ('base = "mine"', "base is 'mine'; expected one of tobii-prolab"),
        ("speed = 3", "no setting 'speed'; expected gap_fill_ms"),
        ("eye_selection = 3", "expected 'average'"),
        ("merge_look_ahead = 1", "expected true or false"),
        ("noise_window_samples = 3.5", "expected a whole number"),
        ('gap_fill_ms = "long"', r"expected a number, off \(None\)"),
        ("velocity_threshold_deg_s = 0", "must be positive"),
    ],
)
def test_wrong_files_are_explained(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        profile(path)


def test_unknown_profiles_are_explained(tmp_path):
    with pytest.raises(ConfigError, match=r"tobii-prolab-attention.*\.toml"):
        profile("pro")
    with pytest.raises(ConfigError, match="cannot be read"):
        profile(tmp_path / "none.toml")


def test_settings_of_a_command_line():
    texts = [
        "velocity_threshold_deg_s=40",
        "gap_fill_ms = off",
        "merge_look_ahead=true",
        "eye=left",
    ]
    assert parse_settings(texts) == {
        "velocity_threshold_deg_s": 40,
        "gap_fill_ms": "off",
        "merge_look_ahead": True,
        "eye": "left",
    }
    for wrong in ("velocity", "=3", "velocity="):
        with pytest.raises(ConfigError, match="name=value"):
            parse_settings([wrong])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IDT(dispersion_px=3.0), "give one of them"),
        (lambda: IDT(dispersion_deg=None), "give one of them"),
        (lambda: IDT(dispersion_deg=-1.0), "positive"),
        (lambda: IDT(min_fixation_ms=0.0), "positive"),
        (lambda: EngbertKliegl(velocity_window_samples=2), "at least 3"),
        (lambda: EngbertKliegl(spread="2005"), "'2003', '2006'"),
        (lambda: EngbertKliegl(threshold_factor=0.0), "positive"),
    ],
)
def test_wrong_settings_of_other_detectors_are_named(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_all_digests_differ():
    assert len({params.describe() for params in PROFILES.values()}) == len(PROFILES)
    assert PROFILES["idt"].describe() == f"idt:idt:{IDT().digest()}"


def test_known_digests_stay():
    """They stand in tables that were written before."""
    assert PROFILES["tobii-prolab"].digest() == "0d733f1c"


def test_words_are_names():
    samples = recording(steps((0, 30), (None, 3), (5, 30)))
    events = detect(samples, PROFILES["tobii-prolab"])
    words = events.words(pd.RangeIndex(5, 5 + len(samples)))
    assert words.dtype == "str"
    assert list(words) == list(events.names())
    assert words.index[0] == 5
