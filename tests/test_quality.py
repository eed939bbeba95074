"""Quality: figures against hand-computed and brute-force values, and against known truth."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from exports import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st

from gazetools import readers
from gazetools.errors import ConfigError, FormatError, OutputError
from gazetools.geometry import Screen
from gazetools.ingestion import IngestSpec, ingest, ingest_to
from gazetools.placing import in_px
from gazetools.quality import (
    CheckSpec,
    QualitySpec,
    check,
    in_mask,
    write_quality,
)
from gazetools.quality.figures import GAPS
from gazetools.quality.measures import (
    GAP_BORDERS_MS,
    Clock,
    angles_deg,
    bcea,
    directions_deg,
    measure_clock,
    measure_loss,
    rms_s2s,
    spread,
)
from gazetools.quality.reading import read_targets
from gazetools.synthetic import (
    CohortSpec,
    Session,
    simulate_session,
    synthetic_image,
    write_prolab_export,
)
from gazetools.tables import FIXATIONS, QUALITY, SAMPLES, read_table, write_table
from gazetools.timeline import sample_interval_us

SCREEN = Screen(1920, 1080, 527.0, 296.4, 650.0)


def times(*steps_us):
    return np.cumsum([0, *steps_us]).astype(np.int64)


def no_begins(time_us):
    return np.arange(len(time_us)) == 0


# ---------------------------------------------------------------- clock


def test_clock_by_hand():
    time_us = times(8000, 9000, 8000, 8000, 25000)
    clock = measure_clock(time_us, no_begins(time_us))
    # the four that are a tick from their median; 25 ms is a hole
    assert clock.interval_ms == 8.25
    assert clock.rate_hz == pytest.approx(121.2121)
    assert clock.mad_ms == 0.0
    assert clock.sd_ms == pytest.approx(np.std([8, 9, 8, 8, 25]))
    # 9 ms is a tick away from 8 ms, which is as fine as the clock is; 25 ms is irregular
    assert clock.irregular_pct == pytest.approx(20.0)


def test_mad_of_a_clock_that_jitters():
    time_us = times(10_000, 12_000, 8_000, 10_000, 11_000)
    assert measure_clock(time_us, no_begins(time_us)).mad_ms == 1.0


@pytest.mark.parametrize("rate_hz", [30, 60, 120, 250, 300, 500, 1000])
def test_stamps_in_whole_ms_are_coarse_not_irregular(rate_hz):
    time_us = (np.arange(4000) * 1000 / rate_hz).round().astype(np.int64) * 1000
    clock = measure_clock(time_us, no_begins(time_us))
    assert clock.irregular_pct == 0.0


@pytest.mark.parametrize("rate_hz", [30, 60, 90, 120, 150, 250, 300, 400, 500, 600, 1000])
def test_stamps_in_whole_ms_tell_the_rate_and_the_dropped_samples(rate_hz):
    time_us = (np.arange(20_000) * 1000 / rate_hz).round().astype(np.int64) * 1000
    kept = np.ones(len(time_us), bool)
    kept[100::100] = False
    kept[5000:5250] = False
    time_us = time_us[kept]
    clock = measure_clock(time_us, no_begins(time_us))
    assert clock.rate_hz == pytest.approx(rate_hz, rel=0.01)
    loss = measure_loss(time_us, np.ones(len(time_us), bool), no_begins(time_us), clock)
    assert loss.expected == pytest.approx(20_000, abs=5)
    assert loss.gaps_ms.max() == pytest.approx(250 * 1000 / rate_hz, rel=0.02)
    assert sample_interval_us(time_us) == round(1000 * clock.interval_ms)


def test_a_dropped_sample_is_irregular_on_a_perfect_clock():
    time_us = times(4000, 4000, 8000, 4000)
    assert measure_clock(time_us, no_begins(time_us)).irregular_pct == 25.0


def test_time_between_trials_is_no_interval_and_a_long_hole_is_a_pause():
    time_us = times(4000, 4000, 900_000, 4000, 12_000_000, 4000)
    begins = np.array([1, 0, 0, 1, 0, 0, 0], bool)
    clock = measure_clock(time_us, begins)
    assert clock.sd_ms == 0.0
    assert (clock.pauses, clock.pause_ms) == (1, 12_000.0)
    loss = measure_loss(time_us, np.ones(7, bool), begins, clock)
    assert (loss.expected, loss.missing) == (7, 0)


def test_samples_on_no_grid_have_no_holes():
    rng = np.random.default_rng(0)
    time_us = np.cumsum(rng.integers(500, 9000, 400))
    begins = no_begins(time_us)
    clock = measure_clock(time_us, begins)
    assert not clock.has_grid
    assert clock.irregular_pct > 25
    assert clock.recorded_ms == pytest.approx((time_us[-1] - time_us[0]) / 1000 + clock.interval_ms)
    assert measure_loss(time_us, np.ones(400, bool), begins, clock).dropped == 0
    # every third sample dropped: many intervals are long, and all of them are on the grid
    kept = np.delete(np.arange(300), np.s_[2::3]) * 4000
    clock = measure_clock(kept, no_begins(kept))
    assert clock.has_grid
    assert measure_loss(kept, np.ones(200, bool), no_begins(kept), clock).dropped == 99


def test_one_sample_has_no_clock():
    clock = measure_clock(np.array([5]), np.array([True]))
    assert math.isnan(clock.rate_hz)
    loss = measure_loss(np.array([5]), np.array([False]), np.array([True]), clock)
    assert (loss.expected, loss.missing, loss.pct) == (1, 1, 100.0)


# ---------------------------------------------------------------- loss


def test_loss_by_hand():
    # seen, lost, lost, [2 dropped], seen, lost
    time_us = times(4000, 4000, 12_000, 4000, 4000)
    seen = np.array([1, 0, 0, 1, 1, 0], bool)
    begins = no_begins(time_us)
    loss = measure_loss(time_us, seen, begins, measure_clock(time_us, begins))
    assert (loss.expected, loss.dropped, loss.missing) == (8, 2, 5)
    assert loss.gaps_ms.tolist() == [16.0, 4.0]
    assert loss.pct == 62.5


def test_a_hole_holds_the_nearest_number_of_samples():
    time_us = times(4000, 4000, 4000, 4000, 4000, 11_900, 4000, 4000, 4000, 4000, 4000)
    begins = no_begins(time_us)
    loss = measure_loss(time_us, np.ones(12, bool), begins, measure_clock(time_us, begins))
    assert loss.dropped == 2


def test_gaps_end_where_a_trial_does():
    time_us = times(4000, 4000, 4000)
    begins = np.array([1, 0, 1, 0], bool)
    clock = measure_clock(time_us, begins)
    loss = measure_loss(time_us, np.array([1, 0, 0, 1], bool), begins, clock)
    assert loss.gaps_ms.tolist() == [4.0, 4.0]


def test_gap_borders_belong_to_the_bin_above():
    clock = Clock(25.0, 0.0, 0.0, 0.0, 0, 0.0)
    counts = [2, 3, 6, 16, 40]  # 50, 75, 150, 400, 1000 ms
    seen = np.concatenate([[*[0] * count, 1] for count in counts]).astype(bool)
    time_us = np.arange(len(seen)) * 25_000
    loss = measure_loss(time_us, seen, no_begins(time_us), clock)
    assert loss.histogram() == [1, 1, 1, 1, 1]
    assert len(GAP_BORDERS_MS) + 1 == len(GAPS)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=3, max_size=60)
)
def test_loss_against_a_slow_twin(rows):
    """Rows: samples dropped before it, was it seen, does it begin a trial."""
    interval = 4000
    line: list[list[bool]] = []
    time, time_us, seen, begins = 0, [], [], []
    for dropped, was_seen, begin in rows:
        begin = begin or not line
        time += interval * (1 + dropped)
        if begin:
            line.append([])
        else:
            line[-1] += [False] * dropped
        line[-1].append(was_seen)
        time_us.append(time)
        seen.append(was_seen)
        begins.append(begin)
    expected = sum(map(len, line))
    gaps = [
        len(gap) * interval / 1000
        for trial in line
        for gap in "".join(".x"[s] for s in trial).split("x")
        if gap
    ]
    clock = Clock(interval / 1000, 0.0, 0.0, 0.0, 0, 0.0)
    loss = measure_loss(np.array(time_us), np.array(seen), np.array(begins), clock)
    assert loss.expected == expected
    assert loss.missing == expected - sum(seen)
    assert loss.gaps_ms.tolist() == gaps
    assert sum(loss.histogram()) == len(gaps)


# ---------------------------------------------------------------- precision


def test_precision_by_hand():
    gaze = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [0.0, 0.0]])
    assert rms_s2s(gaze) == pytest.approx(math.sqrt((25 + 0 + 25) / 3))
    assert spread(gaze) == pytest.approx(math.hypot(1.5, 2.0))
    assert bcea(gaze) == 0.0  # on a line
    square = np.array([[0.0, 0.0], [0.0, 2.0], [2.0, 0.0], [2.0, 2.0]])
    # variances 4/3 of n - 1, no correlation
    assert bcea(square) == pytest.approx(2 * 1.145704 * math.pi * 4 / 3, rel=1e-6)


def test_missing_samples_part_the_steps():
    gaze = np.array([[0.0, 0.0], [1.0, 0.0], [np.nan, np.nan], [9.0, 0.0], [11.0, 0.0]])
    assert rms_s2s(gaze) == pytest.approx(math.sqrt((1 + 4) / 2))
    follows = np.array([True, True, True, False])
    assert rms_s2s(gaze, follows) == 1.0


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples_have_no_precision(count):
    gaze = np.zeros((count, 2))
    assert all(math.isnan(measure(gaze)) for measure in (rms_s2s, spread, bcea))


def test_the_ellipse_holds_its_share():
    rng = np.random.default_rng(0)
    gaze = rng.multivariate_normal([0, 0], [[4, 1.5], [1.5, 1]], 200_000)
    covariance = np.cov(gaze.T)
    away = np.einsum("ni,ij,nj->n", gaze, np.linalg.inv(covariance), gaze)
    k = -2 * np.log(1 - 0.682)
    assert np.mean(away <= k) == pytest.approx(0.682, abs=0.003)
    assert bcea(gaze) == pytest.approx(k * np.pi * math.sqrt(np.linalg.det(covariance)))


@pytest.mark.parametrize("x_mm", [-200.0, 0.0, 150.0])
def test_degrees_are_angles_at_the_eye(x_mm):
    eye = np.array([10.0, 20.0, 600.0])
    points = np.array([[x_mm, 0.0], [x_mm + 3.0, 5.0], [x_mm - 2.0, 1.0]])
    rays = np.column_stack((points - eye[:2], [600.0] * 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    true = [math.degrees(math.acos(rays[0] @ rays[i])) for i in (1, 2)]
    flat = directions_deg(points, eye)
    steps = np.hypot(*(flat[1:] - flat[0]).T)
    np.testing.assert_allclose(steps, true, rtol=1e-4)
    eyes = np.tile(eye, (2, 1))
    np.testing.assert_allclose(angles_deg(points[[0, 0]], points[1:], eyes), true, rtol=1e-6)


def test_right_and_below_are_positive():
    flat = directions_deg(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]), np.array([0, 0, 600.0]))
    assert flat[1, 0] > flat[0, 0]
    assert flat[2, 1] > flat[0, 1]


# ---------------------------------------------------------------- against known truth


def session(**changes) -> tuple[Session, CohortSpec]:
    spec = CohortSpec(**{"images": 8, "fixations": 12, "calibration_s": 1, **changes})
    masks = {f"{i}.jpg": synthetic_image(spec.rng("image", i), spec)[1] for i in range(spec.images)}
    return simulate_session(masks, spec), spec


def measured(tmp_path, made, spec, **how):
    path = tmp_path / "export.tsv"
    write_prolab_export(path, [made], spec)
    return check([path], **how)


def whole(quality):
    return quality.table.iloc[0]


@pytest.mark.parametrize("name", ["eyelink-sample-report", "tobii-studio2"])
def test_the_fixations_are_those_that_ingest_takes(name, tmp_path):
    path, spec = EXAMPLES[name](tmp_path), IngestSpec(screen=Screen(1280, 1024, 338, 270, 600))
    rows = check([path], CheckSpec(spec)).table
    counted = rows[rows["level"] == "recording"]["fixations"].sum()
    found = ingest([path], spec)
    assert counted == len(found.fixations) > 0
    assert set(found.summary.source) == {"vendor"}


def true_rms_deg(made, spec):
    """RMS-S2S of one eye, of noise that was added to true gaze in px."""
    samples = made.samples
    kept = samples["event"] == "fixation"
    parts = samples[kept].groupby("event_number")[["left_x_px", "left_y_px"]]
    return np.median([rms_s2s(part.to_numpy()) for _, part in parts]) / spec.px_per_deg


@pytest.mark.parametrize("noise_deg", [0.05, 0.15, 0.3])
def test_precision_is_recovered(noise_deg, tmp_path):
    made, spec = session(noise_deg=noise_deg, blinks_per_s=0, eye_losses_per_s=0, dropped_share=0)
    row = whole(measured(tmp_path, made, spec))
    truth = true_rms_deg(made, spec)
    assert row["left_rms_s2s_deg"] == pytest.approx(truth, rel=0.08)
    assert row["right_rms_s2s_deg"] == pytest.approx(truth, rel=0.08)
    # noise of the eyes is independent: their mean has less of it
    assert row["rms_s2s_deg"] == pytest.approx(truth / math.sqrt(2), rel=0.08)
    assert row["rms_s2s_px"] == pytest.approx(truth / math.sqrt(2) * spec.px_per_deg, rel=0.1)
    assert row["degrees_from"] == "eye positions"


def test_data_loss_is_recovered(tmp_path):
    made, spec = session(blinks_per_s=1.0, eye_losses_per_s=0.3, dropped_share=0.02)
    table = measured(tmp_path, made, spec).table
    row, trials = table.iloc[0], table[table["level"] == "trial"]
    shown = made.presentations
    expected = missing = dropped = 0
    for part in shown:
        ms = 1000 / spec.rate_hz
        rows = made.samples[made.samples["t_ms"].between(part.start_ms, part.end_ms, "left")]
        count = round((rows["t_ms"].iloc[-1] - rows["t_ms"].iloc[0]) / ms) + 1
        seen = rows["left_valid"] | rows["right_valid"]
        expected += count
        dropped += count - len(rows)
        missing += count - int(seen.sum())
    assert row["expected_samples"] == expected
    assert row["dropped_samples"] == dropped
    assert row["missing_samples"] == missing
    assert row["loss_pct"] == pytest.approx(100 * missing / expected)
    assert row["rate_hz"] == pytest.approx(spec.rate_hz, rel=1e-3)
    assert trials["missing_samples"].sum() == missing
    assert len(trials) == len(shown)


def test_disparity_is_recovered(tmp_path):
    made, spec = session(noise_deg=0.05, images=3)
    apart = made.samples[["left_x_px", "left_y_px"]].to_numpy()
    apart = apart - made.samples[["right_x_px", "right_y_px"]].to_numpy()
    truth = np.nanmedian(np.hypot(*apart.T))
    row = whole(measured(tmp_path, made, spec))
    assert row["disparity_px"] == pytest.approx(truth, rel=0.1)
    assert row["disparity_deg"] == pytest.approx(truth / spec.px_per_deg, rel=0.1)


def test_fixations_are_those_of_ingest(tmp_path):
    made, spec = session(images=4)
    quality = measured(tmp_path, made, spec)
    table = ingest([tmp_path / "export.tsv"]).fixations
    trials = quality.table[quality.table["level"] == "trial"].set_index("trial")
    # ingest leaves out what is off the image
    kept = table.groupby("trial")["duration_ms"]
    assert (trials["fixations"].to_numpy(int) >= kept.size().to_numpy()).all()
    assert whole(quality)["fixations"] == trials["fixations"].sum()
    assert whole(quality)["fixations"] - len(table) <= 0.05 * len(table)
    assert whole(quality)["fixation_median_ms"] == pytest.approx(
        table["duration_ms"].median(), rel=0.05
    )
    assert trials["stimulus"].tolist() == [p.media or p.stimulus for p in made.presentations]


def test_gaze_on_the_image_is_recovered(tmp_path):
    made, spec = session(images=4)
    row = whole(measured(tmp_path, made, spec))
    x, y = (
        made.samples[[f"{eye}_{axis}_px" for eye in ("left", "right")]].mean(axis=1)
        for axis in "xy"
    )
    on = total = 0
    for part in made.presentations:
        if part.place is None:
            continue
        here = made.samples["t_ms"].between(part.start_ms, part.end_ms, "left") & x.notna()
        x_im, y_im = part.place.to_image(x[here], y[here])
        inside = (x_im >= 0) & (x_im < part.place.image_width)
        inside &= (y_im >= 0) & (y_im < part.place.image_height)
        on, total = on + inside.sum(), total + here.sum()
    assert row["on_image_pct"] == pytest.approx(100 * on / total, abs=0.3)


# ---------------------------------------------------------------- what is read


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    made, spec = session(images=3)
    write_prolab_export(folder / "export.tsv", [made], spec)
    ingest_to([folder / "export.tsv"], folder / "fixations.parquet", folder / "samples.parquet")
    return folder


def test_a_samples_table_says_what_its_export_says(lab):
    export, table = (check([lab / name]).table for name in ("export.tsv", "samples.parquet"))
    same = [
        c
        for c in QUALITY.empty()
        if c not in ("file", "fixations_by", "on_image_pct", "flags", "stated_rate_hz", "rate_pct")
    ]
    pd.testing.assert_frame_equal(export[same], table[same])
    assert set(table["fixations_by"]) == {"column 'event'"}


def test_parts_of_fixations_last_the_same_by_any_clock_of_trials(lab, tmp_path):
    samples = read_table(lab / "samples.parquet", SAMPLES)[0]
    samples["event"], samples["event_index"] = "fixation", samples["trial"] // 2 + 1
    tables = []
    for name, begins_ms in (("ours", 0.0), ("theirs", samples["t_ms"].iloc[0])):
        path = tmp_path / f"{name}.parquet"
        shifted = samples.assign(t_ms=samples["t_ms"] - begins_ms)
        write_table(shifted, path, SAMPLES, provenance={})
        tables.append(check([path]).table.drop(columns="file"))
    assert tables[0]["fixations"].iloc[0] > samples["event_index"].nunique()
    pd.testing.assert_frame_equal(*tables, rtol=1e-9)


def test_a_fixations_table_has_durations_and_images(lab):
    table = check([lab / "fixations.parquet"]).table
    ingested = read_table(lab / "fixations.parquet", FIXATIONS)[0]
    row = table.iloc[0]
    assert row["fixations"] == len(ingested)
    assert row["fixation_mean_ms"] == pytest.approx(ingested["duration_ms"].mean())
    assert row["fixation_sd_ms"] == pytest.approx(ingested["duration_ms"].std())
    assert row["fixations_short_pct"] == pytest.approx(100 * (ingested["duration_ms"] < 100).mean())
    assert row["fixations_long_pct"] == pytest.approx(100 * (ingested["duration_ms"] > 600).mean())
    assert row["on_image_pct"] == 100.0
    assert row["samples"] == 0
    assert math.isnan(row["loss_pct"])


def pixels_only(lab, folder, **extra):
    """A samples table without eyes, and without our labels."""
    samples = read_table(lab / "samples.parquet", SAMPLES)[0]
    keep = ["recording", "subject", "trial", "stimulus", "tracker_time_us", "t_ms", "x_px", "y_px"]
    path = folder / "pixels.parquet"
    write_table(samples[keep].assign(**extra), path, SAMPLES, provenance={}, overwrite=True)
    return path


def test_without_eyes_and_screen_there_are_px_and_a_reason(lab, tmp_path):
    samples = read_table(lab / "samples.parquet", SAMPLES)[0]
    labels = {"event": samples["event"], "event_index": samples["event_index"]}
    path = pixels_only(lab, tmp_path, **labels)
    row = whole(check([path]))
    assert row["rms_s2s_px"] > 0
    assert math.isnan(row["rms_s2s_deg"])
    assert row["degrees_from"] is None or pd.isna(row["degrees_from"])
    assert "--screen" in row["notes"]
    with_screen = whole(check([path], CheckSpec(IngestSpec(screen=SCREEN))))
    full = whole(check([lab / "samples.parquet"]))
    assert with_screen["rms_s2s_deg"] == pytest.approx(full["rms_s2s_deg"], rel=0.05)
    assert with_screen["degrees_from"] == "screen size and distance"
    # eyes that were assumed see one point: that is no measurement
    assert math.isnan(with_screen["disparity_deg"])


def test_eyes_that_once_see_one_pixel_still_have_a_disparity(lab, tmp_path):
    samples = read_table(lab / "samples.parquet", SAMPLES)[0]
    whole_px = {
        f"{eye}_{axis}_px": samples[f"{eye}_{axis}_px"].round()
        for eye in ("left", "right")
        for axis in "xy"
    }
    for axis in "xy":
        whole_px[f"right_{axis}_px"].iloc[500] = whole_px[f"left_{axis}_px"].iloc[500]
    path = pixels_only(lab, tmp_path, **whole_px)
    row = whole(check([path], CheckSpec(IngestSpec(screen=SCREEN))))
    full = whole(check([lab / "samples.parquet"]))
    assert row["disparity_deg"] == pytest.approx(full["disparity_deg"], rel=0.05)


def test_fixations_that_cannot_be_detected_are_not_none(lab, tmp_path):
    row = whole(check([pixels_only(lab, tmp_path)]))
    assert pd.isna(row["fixations"])
    assert "fixations" not in row["flags"]
    assert row["samples"] > 0


def test_shares_of_a_display_become_px_where_its_size_is_told(lab):
    recording = readers.read(lab / "export.tsv")[0]
    shares = recording.samples.assign(
        x_px=recording.samples["x_px"] / 1920, y_px=recording.samples["y_px"] / 1080
    )
    small = replace(recording, samples=shares, normalised=True, screen_px=None)
    assert in_px(small, None) is small
    back = in_px(small, (1920, 1080))
    np.testing.assert_allclose(back.samples["x_px"], recording.samples["x_px"])
    np.testing.assert_allclose(back.samples["y_px"], recording.samples["y_px"])
    assert not back.normalised


def test_accuracy_from_targets(lab, tmp_path):
    # the vendor's fixations, as those beside the image count too; the cross is shown often
    table = readers.read(lab / "export.tsv")[0].fixations.query("stimulus.str.endswith('.jpg')")
    longest = [rows.nlargest(2, "duration_ms") for _, rows in table.groupby("trial")]
    clear = [two.iloc[0] for two in longest if two["duration_ms"].diff().iloc[1] < -20]
    targets = tmp_path / "targets.csv"
    lines = [f"{row.stimulus},{row.x_px + 30},{row.y_px - 40}" for row in clear]
    targets.write_text("\n".join(["stimulus,x_px,y_px", *lines]) + "\n")
    row = whole(check([lab / "export.tsv"], CheckSpec(targets=targets)))
    assert row["accuracy_px"] == pytest.approx(50, abs=5)
    assert row["accuracy_deg"] == pytest.approx(50 / CohortSpec().px_per_deg, rel=0.15)
    assert row["accuracy_from"] == f"{len(clear)} targets"
    assert len(clear) == 2


def test_accuracy_on_pixels_that_are_not_square(lab, tmp_path):
    samples = read_table(lab / "samples.parquet", SAMPLES)[0]
    accuracy = []
    for flatter in (1.0, 1.25):
        heights = {name: samples[name] * flatter for name in samples if name.endswith("y_px")}
        path, targets = tmp_path / f"{flatter}.parquet", tmp_path / "targets.csv"
        write_table(samples.assign(**heights), path, SAMPLES, provenance={})
        rows = [f"{name},960,{540 * flatter}" for name in samples["stimulus"].dropna().unique()]
        targets.write_text("\n".join(["stimulus,x_px,y_px", *rows]) + "\n")
        accuracy.append(whole(check([path], CheckSpec(targets=targets)))["accuracy_deg"])
    assert accuracy[0] > 0
    assert accuracy[1] == pytest.approx(accuracy[0])


@pytest.mark.parametrize("separator", [";", "\t"])
def test_targets_as_a_spreadsheet_saves_them(separator, tmp_path):
    path = tmp_path / "targets.csv"
    rows = [["stimulus", "x_px", "y_px"], ["Mitte.png", "960,5", "540"], ["b", "1", "2,25"]]
    text = "\n".join(separator.join(row) for row in rows) + "\n"
    path.write_text(text, encoding="utf-8-sig")
    assert read_targets(path) == {"Mitte": (960.5, 540), "b": (1, 2.25)}


def test_accuracy_that_the_vendor_tells(lab, monkeypatch):
    pieces = readers.pieces

    def told(path, options=None):
        values = {"left_accuracy_deg": 0.4, "right_accuracy_deg": 1.8}
        return (replace(piece, validation=values) for piece in pieces(path, options))

    monkeypatch.setattr(readers, "pieces", told)
    quality = check([lab / "export.tsv"])
    assert whole(quality)["accuracy_deg"] == pytest.approx(1.1)
    assert whole(quality)["accuracy_from"] == "the vendor"
    assert "accuracy 1.1 deg (over 1)" in whole(quality)["flags"]


def test_targets_without_columns_are_refused(tmp_path, lab):
    path = tmp_path / "targets.csv"
    path.write_text("stimulus,x\na,1\n")
    with pytest.raises(FormatError, match=r"targets\.csv:1: no column 'x_px'"):
        check([lab / "export.tsv"], CheckSpec(targets=path))


def test_nothing_to_read_is_refused():
    with pytest.raises(FormatError, match="no export"):
        check([])


# ---------------------------------------------------------------- masks


def fixation_table(rows):
    columns = ["trial", "stimulus", "order", "duration_ms", "x_im", "y_im"]
    table = pd.DataFrame(rows, columns=columns)
    return FIXATIONS.conform(
        table.assign(
            recording="r", subject="s", onset_ms=0.0, image_width=8, image_height=4, source="t"
        )
    )


@pytest.fixture
def masks(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    mask = np.zeros((8, 16), np.uint8)  # twice the image's size
    mask[2:4, 4:8] = 255
    cv2.imwrite(str(folder / "a.png"), mask)
    return folder


def test_share_inside_the_mask_is_weighted_by_duration(masks, tmp_path):
    table = fixation_table(
        [
            (1, "a.jpg", 1, 100.0, 2.0, 1.0),  # on the first pixel of the mask
            (1, "a.jpg", 2, 300.0, 4.0, 1.0),  # on the first beside it
            (1, "a.jpg", 3, 400.0, 3.99, 1.99),  # on its last
            (1, "a.jpg", 4, 900.0, 8.0, 1.0),  # off the image
            (2, "b.jpg", 1, 900.0, 2.0, 1.0),  # no mask
        ]
    )
    inside = in_mask(table, {"a": masks / "a.png"})
    np.testing.assert_array_equal(inside, [1, 0, 1, np.nan, np.nan])
    path = tmp_path / "fixations.parquet"
    write_table(table, path, FIXATIONS, provenance={})
    quality = check([path], CheckSpec(masks=masks))
    assert whole(quality)["in_mask_pct"] == pytest.approx(100 * 500 / 800)
    assert whole(quality)["on_image_pct"] == pytest.approx(100 * 1700 / 2600)
    assert quality.in_mask_by_order == {1: (100.0, 1), 2: (0.0, 1), 3: (100.0, 1)}
    assert math.isnan(quality.table.iloc[2]["in_mask_pct"])
    write_table(table[::-1], path, FIXATIONS, provenance={}, overwrite=True)
    assert check([path], CheckSpec(masks=masks)).in_mask_by_order == quality.in_mask_by_order


# ---------------------------------------------------------------- flags


def row(**figures):
    blank = dict.fromkeys((c.name for c in QUALITY.columns), np.nan)
    return {**blank, "level": "recording", **figures}


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("loss_pct", 41.23, "data loss 41.2 % (over 25)"),
        ("rms_s2s_deg", 0.61, "RMS-S2S 0.61 deg (over 0.5)"),
        ("accuracy_deg", 1.5, "accuracy 1.5 deg (over 1)"),
        ("disparity_deg", 3.0, "disparity 3 deg (over 2)"),
        ("rate_pct", 80.0, "rate of that stated 80 % (under 95)"),
        ("irregular_pct", 9.0, "irregular intervals 9 % (over 5)"),
        ("on_image_pct", 20.0, "gaze on the image 20 % (under 50)"),
        ("fixations", 0, "fixations 0 (under 1)"),
        ("fixation_median_ms", 80.0, "median fixation 80 ms (under 100)"),
        ("fixation_median_ms", 800.0, "median fixation 800 ms (over 600)"),
    ],
)
def test_what_is_beyond_a_limit_is_flagged_and_why(name, value, flag):
    assert QualitySpec().flags(row(**{name: value})) == [flag]


def test_a_limit_itself_is_fine_and_so_is_what_is_unknown():
    assert QualitySpec().flags(row(loss_pct=25.0, on_image_pct=50.0, fixations=1)) == []


def test_limits_can_be_set_and_turned_off():
    assert QualitySpec(max_loss_pct=50).flags(row(loss_pct=41.0)) == []
    assert QualitySpec(max_loss_pct=math.inf).flags(row(loss_pct=100.0)) == []
    assert QualitySpec(max_loss_pct=math.inf).as_dict()["max_loss_pct"] is None


def test_the_median_of_a_few_fixations_is_not_judged():
    few = row(level="trial", fixations=9, fixation_median_ms=80.0)
    assert QualitySpec().flags(few) == []
    assert len(QualitySpec().flags({**few, "fixations": 10})) == 1


def test_limits_from_a_file(tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text("max_loss_pct = 40\nmax_rms_s2s_deg = inf\n")
    assert QualitySpec.from_toml(path) == QualitySpec(max_loss_pct=40, max_rms_s2s_deg=math.inf)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("max_los_pct = 40\n", "unknown limit 'max_los_pct'"),
        ("max_loss_pct = 'much'\n", "max_loss_pct is 'much'; expected a number"),
        ("max_loss_pct = nan\n", "max_loss_pct is nan"),
        ("max_loss_pct\n", "cannot be read as TOML"),
    ],
)
def test_bad_limits_are_refused(text, what, tmp_path):
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=what) as error:
        QualitySpec.from_toml(path)
    assert "limits.toml" in str(error.value)


# ---------------------------------------------------------------- outputs


def test_the_table_is_written_with_what_it_was_made_from(lab, tmp_path):
    source, out = lab / "export.tsv", tmp_path / "quality.parquet"
    quality = check([source], limits=QualitySpec(max_loss_pct=math.inf))
    write_quality(quality, [source], out)
    table, note = read_table(out, QUALITY)
    pd.testing.assert_frame_equal(table, quality.table)
    assert note["table"] == "quality"
    assert note["sources"] == ["export.tsv"]
    assert note["limits"]["max_loss_pct"] is None
    assert note["spec"]["events"] == "auto"
    with pytest.raises(OutputError, match="already exists"):
        write_quality(quality, [source], out)
    with pytest.raises(OutputError, match="is a file that is read"):
        write_quality(quality, [source], source, overwrite=True)


def test_a_table_without_rows_is_refused(tmp_path):
    empty = tmp_path / "fixations.parquet"
    write_table(FIXATIONS.empty(), empty, FIXATIONS, provenance={})
    with pytest.raises(FormatError, match=r"fixations\.parquet: holds no recording"):
        check([empty])


def test_json_has_no_nan(lab):
    told = check([lab / "fixations.parquet"]).as_dict()
    text = json.dumps(told, allow_nan=False)
    recording = json.loads(text)["recordings"][0]
    assert recording["loss_pct"] is None
    assert recording["flags"] == []
    assert len(recording["trials"]) == 7  # three images, a cross before each, the calibration
    assert recording["trials"][0]["trial"] == 1


# ---------------------------------------------------------------- real data

KVASIR = "kvasir-seg"


@pytest.mark.real
def test_gaze_lies_in_the_polyps(data_folder):
    folder = data_folder / KVASIR
    quality = check([folder / "kvasir_fixation.csv"], CheckSpec(masks=folder / "masks"))
    shares = quality.in_mask_by_order
    assert shares[1][0] == pytest.approx(45.6, abs=0.1)
    assert shares[2][0] == pytest.approx(93.2, abs=0.1)
    assert all(82.5 <= shares[order][0] < 92.5 for order in range(3, 21))
    assert whole(quality)["fixations"] == 26_832


def readable(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                readers.find_reader(path)
            except FormatError:
                continue
            yield path


@pytest.mark.real
def test_every_real_export_can_be_checked(data_folder):
    checked = {path.name: check([path]) for path in readable(data_folder / "exports")}
    assert checked
    for name, quality in checked.items():
        json.dumps(quality.as_dict(), allow_nan=False)
        for figures in quality.table.to_dict("records"):
            shares = [v for k, v in figures.items() if k.endswith("_pct") and k != "rate_pct"]
            assert all(0 <= share <= 100 for share in shares if not pd.isna(share)), name
            assert figures["samples"] or not pd.isna(figures["fixations"]), name


@pytest.mark.real
def test_a_good_session_is_as_good_as_its_tracker(data_folder):
    """A human at 300 Hz: the order of magnitude that vendors state."""
    path = data_folder / "exports" / "tobii" / "prolab24_300hz_preset_ivt_fixation.tsv.gz"
    row = whole(check([path]))
    assert row["rate_hz"] == pytest.approx(300, abs=0.1)
    assert row["loss_pct"] < 1
    assert 0.02 < row["rms_s2s_deg"] < 0.15
    assert row["rms_s2s_deg"] < row["left_rms_s2s_deg"]
    assert row["accuracy_deg"] == pytest.approx(0.32)
