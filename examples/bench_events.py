"""Time event detection against pymovements, in one process and one thread, on the same gaze.

    python examples/bench_events.py
    python examples/bench_events.py --samples 400000 --json

Without pymovements only our own speed is told. Events are compared where the algorithms agree:

- I-VT over three samples is pymovements' chain pix2deg, pos2vel("neighbors"), ivt. It measures
  angles along x and along y, we the angle at the eye; both are the same for gaze along the
  horizontal through the screen's middle, and differ by some per cent towards its corners.
- Where fixations lie, pymovements looks for among all samples for each of them, so that its whole
  chain slows down with the length of a recording; it is timed on a short and on a long one.
- I-DT: pymovements counts the sample that broke a fixation as its end, so that its offset is our
  first sample behind it.
"""

import argparse
import json
import os
import time
import warnings

# before anything that starts threads is loaded
for threads in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from gazetools.events import (  # noqa: E402
    IDT,
    IVT,
    PROFILES,
    assume_eyes,
    detect,
    fixations,
    idt_xy,
    ivt_px,
)
from gazetools.geometry import Screen  # noqa: E402

HZ = 1000
SCREEN = Screen(1920, 1080, 527.0, 296.4, 650.0)
VELOCITY = IVT(
    gap_fill_ms=None, merge_max_gap_ms=None, velocity_window_ms=2000 / HZ, min_fixation_ms=60
)
DISPERSION = IDT()


def gaze(samples, *, flat=False, lost=True, seed=0):
    """Fixations of 150 to 450 ms and saccades of 20 to 50 ms; degrees (n,), (n,)."""
    rng = np.random.default_rng(seed)
    count = samples // (HZ // 5) + 2
    lasts = np.column_stack((rng.uniform(0.15, 0.45, count), rng.uniform(0.02, 0.05, count))) * HZ
    border = np.concatenate(([0], np.cumsum(lasts.astype(int).ravel())))[: 2 * count]
    place = np.repeat(rng.uniform((-15, -8), (15, 8), (count, 2)), 2, axis=0)
    x, y = (np.interp(np.arange(samples), border, place[:, k]) for k in range(2))
    noise = rng.normal(0, 0.003, (2, samples))
    x, y = x + noise[0], np.zeros(samples) if flat else y + noise[1]
    for begin in rng.integers(0, samples, samples // 10_000 if lost else 0):
        x[begin : begin + 150] = y[begin : begin + 150] = np.nan
    return x, y


def clock_us(samples):
    return np.arange(samples, dtype=np.int64) * (1_000_000 // HZ)


def seconds(work, repeats):
    """Median over some repeats, and what the last one returned."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken)), result


def our_velocity(x_deg, y_deg, *, places=False):
    x_px, y_px = SCREEN.to_px(x_deg, y_deg)
    time_us = clock_us(len(x_px))

    def work():
        found = ivt_px(x_px, y_px, time_us, SCREEN, VELOCITY)
        if places:
            found.places(x_px, y_px)
        return found.fixations

    return work


def our_dispersion(x_deg, y_deg):
    time_us = clock_us(len(x_deg))
    return lambda: idt_xy(x_deg, y_deg, time_us, DISPERSION).fixations


def our_chain(x_deg, y_deg):
    """The whole of Pro Lab's filter on a table: gap rules, both eyes, median, merging, places."""
    x_px, y_px = SCREEN.to_px(x_deg, y_deg)
    table = pd.DataFrame({"tracker_time_us": clock_us(len(x_px)), "x_px": x_px, "y_px": y_px})
    table, params = assume_eyes(table, SCREEN), PROFILES["tobii-prolab"]
    return lambda: fixations(table, detect(table, params), params)


def their_velocity(pm, x_deg, y_deg, *, places=False):
    x_px, y_px = SCREEN.to_px(x_deg, y_deg)
    experiment = pm.Experiment(
        screen_width_px=SCREEN.width_px,
        screen_height_px=SCREEN.height_px,
        screen_width_cm=SCREEN.width_mm / 10,
        screen_height_cm=SCREEN.height_mm / 10,
        distance_cm=SCREEN.distance_mm / 10,
        origin="upper left",
        sampling_rate=HZ,
    )
    # there the middle of the first pixel is 0, here 0.5
    pixel = np.stack((x_px, y_px)) - 0.5

    def work():
        there = pm.gaze.from_numpy(
            time=np.arange(len(x_px)), pixel=pixel, experiment=experiment, time_unit="ms"
        )
        there.pix2deg()
        there.pos2vel(method="neighbors")
        there.detect(
            "ivt",
            velocity_threshold=VELOCITY.velocity_threshold_deg_s,
            minimum_duration=int(VELOCITY.min_fixation_ms) - 1000 // HZ,
        )
        if places:
            there.compute_event_properties(("location", {"position_column": "pixel"}))
        return there.events

    return work


def their_dispersion(pm, x_deg, y_deg):
    positions = np.column_stack((x_deg, y_deg))
    return lambda: pm.events.idt(
        positions=positions,
        timesteps=np.arange(len(x_deg)),
        dispersion_threshold=DISPERSION.dispersion_deg,
        minimum_duration=int(DISPERSION.min_fixation_ms),
    )


def their_spans(events):
    frame = events.frame
    return set(zip(frame["onset"].to_list(), frame["offset"].to_list(), strict=True))


def compare(name, ours, theirs, samples, repeats, *, stop=0):
    """One row: both speeds, and how many events are the same sample for sample."""
    ours_s, found = seconds(ours, repeats)
    theirs_s, there = seconds(theirs, 1)
    mine = {(int(a), int(min(b + stop, samples - 1))) for a, b in found}
    spans = their_spans(there)
    return {
        "case": name,
        "samples": samples,
        "ours_samples_per_s": samples / ours_s,
        "pymovements_samples_per_s": samples / theirs_s,
        "ratio": theirs_s / ours_s,
        "events_ours": len(mine),
        "events_pymovements": len(spans),
        "events_identical": len(mine & spans),
    }


def alone(name, work, samples, repeats):
    taken, found = seconds(work, repeats)
    return {
        "case": name,
        "samples": samples,
        "ours_samples_per_s": samples / taken,
        "events_ours": len(found),
    }


def measure(samples, long, repeats):
    begin = time.perf_counter()
    small = gaze(5000)
    for make in (our_velocity, our_dispersion, our_chain):
        make(*small)()
    first_s = time.perf_counter() - begin
    long_gaze = gaze(long)
    rows = [
        alone("I-VT, px to fixations", our_velocity(*long_gaze), long, repeats),
        alone("I-DT, degrees to fixations", our_dispersion(*long_gaze), long, repeats),
        alone("Pro Lab's whole chain, table to table", our_chain(*long_gaze), long, repeats),
    ]
    try:
        import pymovements as pm
    except ImportError:
        return first_s, None, rows
    flat, plane, seen = gaze(samples, flat=True), gaze(samples), gaze(samples // 5, lost=False)
    their_velocity(pm, *small)()
    for name, here in (("I-VT, gaze along a line", flat), ("I-VT, gaze all over", plane)):
        pair = our_velocity(*here), their_velocity(pm, *here)
        rows.append(compare(name, *pair, samples, repeats))
    for here in (plane, gaze(5 * samples)):
        pair = our_velocity(*here, places=True), their_velocity(pm, *here, places=True)
        rows.append(compare("the same, and the fixations' places", *pair, len(here[0]), repeats))
    pair = our_dispersion(*seen), their_dispersion(pm, *seen)
    rows.append(compare("I-DT", *pair, samples // 5, repeats, stop=1))
    return first_s, pm.__version__, rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200_000, help="of a comparison")
    parser.add_argument("--long", type=int, default=4_000_000, help="of our own speed")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    first_s, version, rows = measure(options.samples, options.long, options.repeats)
    if options.json:
        print(json.dumps({"first_call_s": first_s, "pymovements": version, "rows": rows}))
        return
    print(f"first calls, compiled or loaded from the cache on disk: {first_s:.1f} s")
    print(f"pymovements {version or 'is not installed'}; one thread, {HZ} Hz\n")
    print(
        f"{'':<40}{'samples':>10}{'ours, M/s':>11}{'theirs, M/s':>13}{'ratio':>8}  identical events"
    )
    for row in rows:
        line = f"{row['case']:<40}{row['samples']:>10}{row['ours_samples_per_s'] / 1e6:>11.1f}"
        if "ratio" in row:
            line += (
                f"{row['pymovements_samples_per_s'] / 1e6:>13.3f}{row['ratio']:>8.0f}  "
                f"{row['events_identical']} of {row['events_ours']} and "
                f"{row['events_pymovements']}"
            )
        print(line)


if __name__ == "__main__":
    main()
