"""The timeline of a trial: what is drawn is what the samples say, of the right trial."""

import base64
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_caches import write
from made_gaze import INTERVAL_US, PROLAB, recording, steps
from test_reporting import HOSTILE, SPEC, fixations, record, report, write_fixations

from gazetools import events
from gazetools.errors import FormatError, SchemaError
from gazetools.events.ivt import cyclopean_gaze, velocity
from gazetools.reporting.gaze import gaze_of_cache, gaze_of_tables, named_by
from gazetools.reporting.samples import SampleFile, TrialKey
from gazetools.reporting.sources import Table, open_sources
from gazetools.reporting.timelines import MOST_BARS, MOST_COLUMNS, Telling, timeline_of
from gazetools.tables import BLINKS, EVENTS, SAMPLES, write_table, writing
from gazetools.timeline import timeline

SCREEN = {
    "width_px": 1920,
    "height_px": 1080,
    "width_mm": 528.0,
    "height_mm": 297.0,
    "distance_mm": 600.0,
}
SOURCE = PROLAB.describe()
LOOKS = steps((0, 40), (8, 40), (None, 12), (8, 40))


def samples(angles=LOOKS, *, trial=1, stimulus="a", subject="R01", name="one"):
    """Samples of one trial with our events; the vendor calls all of them a fixation."""
    rows = recording(angles)
    found = events.detect(rows, PROLAB)
    n = len(rows)
    return SAMPLES.conform(
        rows.assign(
            recording=name,
            subject=subject,
            trial=trial,
            stimulus=stimulus,
            t_ms=(np.arange(n) + 0.5) * INTERVAL_US / 1000,
            left_pupil_mm=np.linspace(3, 4, n),
            right_pupil_mm=np.where(np.arange(n) < n // 2, 3.5, 0.0),
            event=found.names(),
            event_index=found.index,
            vendor_event="fixation",
            vendor_event_index=1,
        )
    )


def telling(**changes):
    return replace(Telling.of({}, {SOURCE}), **changes)


def values(trace, part):
    """Undo the coding of a trace; NaN where there is nothing."""
    coded = np.frombuffer(base64.b64decode(getattr(trace, part)), np.uint8).astype(float)
    coded[coded == 255] = np.nan
    return trace.low + coded / 254 * (trace.high - trace.low)


def at(sample):
    """Where a sample begins, whole ms."""
    return round(sample * INTERVAL_US / 1000)


# ---------------------------------------------------------------- one trial


def test_few_samples_have_a_column_each_and_velocity_is_the_detectors():
    rows = samples()
    drawn = timeline_of(rows, telling())
    assert drawn.columns == len(rows)
    assert drawn.span == (0, at(len(rows)))
    line = timeline(rows["tracker_time_us"].to_numpy())
    exact = velocity(cyclopean_gaze(rows, line, PROLAB), line, PROLAB)
    assert drawn.velocity.unit == "deg/s"
    for part in ("lowest", "highest"):
        root = values(drawn.velocity, part)
        np.testing.assert_allclose(root, np.sqrt(exact), atol=drawn.velocity.high / 400)
    assert drawn.threshold == 30


def test_events_are_ours_beside_the_vendors_and_losses_are_blinks_if_they_last_as_long():
    drawn = timeline_of(samples(), telling())
    ours, vendor = drawn.rows
    assert (ours.name, vendor.name) == ("gazetools", "vendor")
    kinds = [(EVENTS[code], begin, end) for code, begin, end in ours.bars]
    assert kinds[0] == ("fixation", 0, kinds[1][1])
    assert kinds[1][0] == "saccade"
    assert kinds[1][1] <= at(40) <= kinds[1][2]
    assert kinds[-1] == ("fixation", at(92), at(132))
    assert all(one[2] == other[1] for one, other in pairwise(kinds[:-1]))
    assert vendor.bars == ((1, 0, at(132)),)
    assert drawn.lost == drawn.blinks == ((at(80), at(92)),)
    longer = timeline_of(samples(steps((0, 20), (None, 80), (0, 20))), telling())
    assert (longer.lost, longer.blinks) == (((at(20), at(100)),), ())
    table = BLINKS.conform(
        pd.DataFrame(
            {
                **{"recording": ["one"], "subject": "R01", "trial": 1, "stimulus": "a"},
                **{"onset_ms": 10.0, "duration_ms": 90.0, "eye": "both", "source": "vendor"},
            }
        )
    )
    assert timeline_of(samples(), telling(), table).blinks == ((10, 100),)


def test_what_the_tracker_dropped_is_lost():
    rows = samples(steps((0, 100)))
    drawn = timeline_of(rows.drop(index=range(40, 60)).reset_index(drop=True), telling())
    assert drawn.lost == ((at(40), at(60)),)
    left, _ = drawn.pupils
    assert np.isnan(values(left, "lowest")[42:58]).all()
    assert np.isfinite(values(left, "lowest")[:39]).all()


def test_eyes_are_apart_and_a_pupil_of_nothing_is_none():
    left, right = timeline_of(samples(), telling()).pupils
    assert (left.name, right.name, left.unit) == ("left", "right", "mm")
    assert (left.low, left.high) == (right.low, right.high) == (3, 4)
    np.testing.assert_allclose(values(left, "lowest"), np.linspace(3, 4, 132), atol=0.003)
    assert np.isnan(values(right, "lowest")[66:]).all()
    assert values(right, "highest")[:66] == pytest.approx(3.5, abs=0.003)


def test_no_peak_and_no_dip_is_lost_among_many_samples():
    rng = np.random.default_rng(0)
    rows = samples(np.zeros(7001))
    pupil = rng.normal(4, 0.05, len(rows))
    pupil[[1234, 4321]] = 2.0, 6.0
    drawn = timeline_of(rows.assign(left_pupil_mm=pupil, right_pupil_mm=np.nan), telling())
    assert drawn.columns == MOST_COLUMNS
    (trace,) = drawn.pupils
    column = (np.arange(7001) + 0.5) * MOST_COLUMNS // 7001
    for part, of in (("lowest", min), ("highest", max)):
        slow = [of(pupil[column == number]) for number in range(MOST_COLUMNS)]
        np.testing.assert_allclose(values(trace, part), slow, atol=4 / 254)


def test_of_too_many_events_the_shortest_are_left_out_and_counted():
    rows = samples(np.zeros(4 * MOST_BARS))
    label = np.where(np.arange(len(rows)) % 3 == 0, "saccade", "fixation")
    index = np.cumsum(np.append(True, label[1:] != label[:-1]))
    ours = timeline_of(rows.assign(event=label, event_index=index), telling()).rows[0]
    assert len(ours.bars) == MOST_BARS
    assert ours.left_out == index[-1] - MOST_BARS
    assert {code for code, _, _ in ours.bars} == {1}


def test_what_is_no_event_of_ours_is_not_drawn():
    rows = samples(steps((0, 30)))
    words = np.repeat(["fixation", "Glissade", None], 10)
    (bars,) = timeline_of(rows.assign(event=None, vendor_event=words), telling()).rows
    assert bars.bars == ((EVENTS.index("fixation"), 0, at(10)),)


# ---------------------------------------------------------------- what is told


def test_velocity_is_in_px_where_angles_cannot_be_known():
    eyes = [name for name in samples() if name.endswith("_mm") and "pupil" not in name]
    blind = samples().drop(columns=eyes)
    assert timeline_of(blind, telling()).velocity.unit == "px/s"
    one, other = SCREEN, SCREEN | {"distance_mm": 700.0}
    for screens, unit in (([one], "deg/s"), ([one, other], "px/s"), (["<b>"], "px/s"), (3, "px/s")):
        told = Telling.of({"screens": screens}, {SOURCE})
        assert timeline_of(blind, told).velocity.unit == unit
    assert timeline_of(samples(np.full(20, np.nan)), telling()).velocity is None


def test_the_detector_is_the_one_whose_digest_the_fixations_bear():
    changed = replace(PROLAB, velocity_threshold_deg_s=42.0)
    spec = {"settings": {"velocity_threshold_deg_s": 42}}
    for note, sources, detector in (
        ({}, {SOURCE}, PROLAB),
        ({}, {f"{SOURCE}:eye-at-screen-axis"}, PROLAB),
        ({"spec": spec}, {changed.describe()}, changed),
        ({}, {changed.describe()}, None),
        ({}, {SOURCE, changed.describe()}, None),
        ({"spec": {"settings": {"<b>": 1}, "blink": {"min_ms": "x"}}}, {"vendor"}, None),
        ({"spec": 3}, set(), None),
    ):
        assert Telling.of(note, sources).detector == detector
    assert Telling.of({"spec": {"blink": {"max_ms": 300.0}}}, set()).blink.max_ms == 300


# ---------------------------------------------------------------- tables


def write_samples(path, *parts, **note):
    """A table in pieces, as `ingest` writes it."""
    with writing(path, SAMPLES) as writer:
        for part in parts:
            writer.add(part)
        writer.close(note)
    return path


def test_a_trial_is_read_wherever_it_lies(tmp_path):
    first, second = samples(), samples(LOOKS + 1, trial=2, stimulus="b")
    path = write_samples(
        tmp_path / "s.parquet",
        pd.concat([first[:50], second[:7]]),
        pd.concat([second[7:], first[50:90]]),
        first[90:],
    )
    file = SampleFile(path)
    assert file.count == len(first) + len(second)
    for trial, rows in ((1, first), (2, second)):
        found = file.trial(TrialKey("R01", "one", trial))
        pd.testing.assert_frame_equal(found, rows, check_dtype=False)
    assert file.trial(TrialKey("R01", "one", 3)) is None


@pytest.mark.parametrize("place", [0.3, 0.99])
def test_damaged_samples_are_refused(tmp_path, place):
    path = write_samples(tmp_path / "samples.parquet", samples())
    content = bytearray(path.read_bytes())
    begin = int(place * len(content))
    content[begin : begin + 40] = bytes(40)
    path.write_bytes(content)
    table = write_fixations(tmp_path / "fixations.parquet", fixations(["a"]))
    with pytest.raises(SchemaError, match=r"samples\.parquet"):
        report(tmp_path, table, path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize("column", ["t_ms", "subject", "trial"])
def test_samples_of_another_program_lack_a_column(tmp_path, column):
    path = tmp_path / "samples.parquet"
    samples().drop(columns=column).to_parquet(path)
    table = write_fixations(tmp_path / "fixations.parquet", fixations(["a"]))
    with pytest.raises(SchemaError, match=rf"samples\.parquet: .* it has no {column};"):
        report(tmp_path, table, path)


@pytest.mark.parametrize(
    ("trial", "said"),
    [(np.nan, "is empty in row 100"), ("one", "expected int64"), (1.5, "1.5 in row 100")],
)
def test_samples_of_another_program_number_their_trials(tmp_path, trial, said):
    path, rows = tmp_path / "samples.parquet", samples()
    kind = object if isinstance(trial, str) else float
    numbers = rows["trial"].astype(kind)
    numbers[100:] = trial
    rows.assign(trial=numbers.astype(str) if kind is object else numbers).to_parquet(path)
    table = write_fixations(tmp_path / "fixations.parquet", fixations(["a"]))
    with pytest.raises(SchemaError, match=rf"samples\.parquet: .*'trial' .*{said}"):
        report(tmp_path, table, path)


def test_samples_of_another_program_are_in_the_order_of_time(tmp_path):
    path = tmp_path / "samples.parquet"
    samples()[::-1].to_parquet(path)
    table = write_fixations(tmp_path / "fixations.parquet", fixations(["a"]))
    with pytest.raises(SchemaError, match=r"samples\.parquet: .* row 1 is earlier than"):
        report(tmp_path, table, path)


# ---------------------------------------------------------------- the page


@pytest.fixture
def tables(tmp_path):
    """Fixations on three stimuli, and samples of the first two."""
    table = write_fixations(
        tmp_path / "fixations.parquet", fixations(["a", "b", "c"], source=SOURCE)
    )
    parts = samples(), samples(LOOKS[:60], trial=2, stimulus="b")
    return table, write_samples(tmp_path / "samples.parquet", *parts, screens=[SCREEN])


def test_each_card_has_the_timeline_of_its_trial(tables, tmp_path):
    page, summary = report(tmp_path, *tables)
    first, second, third = page.data()
    assert first["timelines"][0]["span"] == [0, at(132)]
    assert second["timelines"][0]["span"] == [0, at(60)]
    assert "timelines" not in third
    assert first["timelines"][0]["threshold"] == 30
    assert summary.fixations == 12
    assert "samples.parquet" in page.words()


def test_without_any_samples_there_is_no_timeline(tables, tmp_path):
    for name, part in (("a", samples()[:0]), ("b", SAMPLES.empty())):
        page, _ = report(tmp_path, tables[0], write_samples(tmp_path / f"{name}.parquet", part))
        assert not any("timelines" in one for one in page.data())
    empty = write_samples(tmp_path / "none.parquet")
    page, _ = report(tmp_path, tables[0], empty, tables[1])
    assert page.data()[0]["timelines"][0]["span"] == [0, at(132)]


def test_hostile_names_have_timelines_too(tmp_path):
    names = [name.replace("\x00", "") for name in HOSTILE[:3]]
    made = fixations(names).assign(subject=names[0], recording=names[2])
    table = write_fixations(tmp_path / "fixations.parquet", made)
    parts = [
        samples(trial=number, stimulus=name, subject=names[0], name=names[2])
        for number, name in enumerate(names, 1)
    ]
    page, _ = report(tmp_path, table, write_samples(tmp_path / "samples.parquet", *parts))
    assert all(len(one["timelines"]) == 1 for one in page.data())
    for _, attributes in page.elements:
        assert "alert" not in " ".join(value or "" for value in attributes.values())


def test_a_cache_is_linked_with_its_trials_by_time(tables, tmp_path):
    rows = fixations(["a", "b", "c"])
    gaze = rows[["x_im", "y_im", "onset_ms", "duration_ms"]].to_numpy()
    parts = np.split(np.column_stack([gaze, np.zeros(12)]), 3)
    curated = parts[0][1:] + np.array([3, -2, 0, 0, 0])
    of_another_table = parts[1] + np.array([0, 0, 1, 0, 0])
    records = [record("a", fixations=curated), record("b", fixations=of_another_table)]
    cache = write(tmp_path / "maps.h5", records, SPEC, recipe={"curation": {"shifted_trials": 1}})
    page, _ = report(tmp_path, *tables, cache)
    first, second, _ = page.data()
    assert first["labels"] == ["R01, one, trial 1"]
    assert first["timelines"][0]["span"] == [0, at(132)]
    assert second["labels"] == ["track 1"]
    assert "timelines" not in second
    assert [a["data-n"] for a in page.all("circle") if "data-b" in a][:3] == ["2", "3", "4"]
    assert "with decisions on it: shifted trials 1" in page.words()


def test_a_scanpath_that_may_be_of_two_trials_is_of_none(tmp_path):
    rows = fixations(["a"])
    twice = pd.concat([rows, rows.assign(trial=2)], ignore_index=True)
    table = Table(tmp_path, twice.assign(x_px=np.nan, y_px=np.nan), {})
    gaze = rows[["x_im", "y_im", "onset_ms", "duration_ms"]].to_numpy()
    one = record("a", fixations=np.column_stack([gaze, np.zeros(4)]))
    with open_sources([write(tmp_path / "maps.h5", [one], SPEC)]) as sources:
        named = named_by(gaze_of_tables([table]), gaze_of_cache(sources.cache))
    assert named.trials == ["track 1"]


def test_samples_alone_are_refused(tables, tmp_path):
    with pytest.raises(FormatError, match=r"name fixations\.parquet, too"):
        report(tmp_path, tables[1])


def test_blinks_of_a_table_go_before_those_of_samples(tables, tmp_path):
    rows = {"recording": ["one"], "subject": "R01", "trial": 1, "stimulus": "a"}
    rows |= {"onset_ms": 10.0, "duration_ms": 90.0, "eye": "both", "source": "vendor"}
    path = tmp_path / "blinks.parquet"
    write_table(BLINKS.conform(pd.DataFrame(rows)), path, BLINKS, provenance={})
    page, _ = report(tmp_path, *tables, path)
    first, second, _ = page.data()
    assert first["timelines"][0]["blinks"] == [[10, 100]]
    assert second["timelines"][0]["blinks"] == []


def test_only_the_trials_that_are_shown_are_read(tables, tmp_path, monkeypatch):
    asked = []
    read = SampleFile.trial
    monkeypatch.setattr(SampleFile, "trial", lambda self, key: asked.append(key) or read(self, key))
    report(tmp_path, *tables, most=1)
    assert asked == [TrialKey("R01", "one", 1)]


def test_row_groups_are_not_decoded_for_each_trial_anew(tables, monkeypatch):
    file, count = SampleFile(tables[1]), []
    read = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda *args: count.append(1) or read(*args)
    )
    for _ in range(3):
        assert file.trial(TrialKey("R01", "one", 1)) is not None
    assert len(count) == 1
