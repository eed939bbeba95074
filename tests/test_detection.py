"""Recordings that come in pieces: the same events as if they had come whole."""

import numpy as np
import pandas as pd
import pytest
from exports import Sheet, assert_same, prolab
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.events import PROFILES, BlinkSpec
from gazetools.ingestion import IngestSpec, detection, ingest
from gazetools.ingestion.detection import Detection
from gazetools.readers import blocks, pieces, read, tobii_prolab


def detected(samples, profile, sizes, least_rows, monkeypatch):
    """Samples and events of a recording given in pieces of some sizes, over and over."""
    monkeypatch.setattr(detection, "_LEAST_ROWS", least_rows)
    finder = Detection(
        PROFILES[profile], BlinkSpec(padding_ms=20), None, "export", ("saccades", "blinks")
    )
    found = []
    at = 0
    for size in np.resize(sizes, len(samples)):
        found += finder.add(samples.iloc[at : at + size].reset_index(drop=True))
        at += size
        if at >= len(samples):
            break
    found += finder.finish()
    tables = {}
    for name in ("samples", "fixations", "saccades", "blinks"):
        shifted, rows = [], 0
        for stretch in found:
            table = getattr(stretch, name)
            if name != "samples":
                table = table.assign(
                    first_row=table["first_row"] + rows, last_row=table["last_row"] + rows
                ).drop(columns="order", errors="ignore")
            shifted.append(table)
            rows += len(stretch.samples)
        tables[name] = pd.concat(shifted, ignore_index=True)
    return tables, len(found)


@pytest.fixture(scope="module")
def samples(small_cohort):
    """Gaze on several images with losses; one eye alone for a long while."""
    samples = read(small_cohort.export)[0].samples
    one_eyed = samples.index.to_series().between(2000, 4500)
    return samples.assign(right_valid=samples["right_valid"] & ~one_eyed)


@pytest.mark.parametrize(
    "profile", ["tobii-prolab", "tobii-studio", "olsen2012", "idt", "eyelink", "pupil-core"]
)
def test_pieces_give_the_events_of_the_whole(profile, samples, monkeypatch):
    whole, count = detected(samples, profile, [len(samples)], 10**9, monkeypatch)
    assert count == 1
    parts, count = detected(samples, profile, [311, 97, 1000], 400, monkeypatch)
    assert count > 2
    for name, table in whole.items():
        pd.testing.assert_frame_equal(parts[name], table)
    assert len(whole["fixations"]) > 20
    assert len(whole["saccades"]) > 20 or profile == "pupil-core"  # which looks for none


def test_what_looks_at_the_recording_as_a_whole_gets_it_whole(samples, monkeypatch):
    whole, _ = detected(samples, "engbert-kliegl", [len(samples)], 10**9, monkeypatch)
    parts, count = detected(samples, "engbert-kliegl", [500], 400, monkeypatch)
    assert count == 1
    pd.testing.assert_frame_equal(parts["fixations"], whole["fixations"])


def test_a_recording_without_a_sure_place_is_held_whole(samples, monkeypatch):
    monkeypatch.setattr(detection, "_same_from", lambda *_: False)
    parts, count = detected(samples, "tobii-prolab", [300], 400, monkeypatch)
    assert count == 1
    assert len(parts["samples"]) == len(samples)


@pytest.mark.real
@pytest.mark.parametrize("profile", ["tobii-prolab", "tobii-studio"])
def test_real_recordings_in_pieces(profile, data_folder, monkeypatch):
    for path in sorted((data_folder / "exports" / "tobii").glob("prolab*.tsv.gz")):
        samples = read(path)[0].samples
        whole, _ = detected(samples, profile, [len(samples)], 10**9, monkeypatch)
        parts, count = detected(samples, profile, [900], 900, monkeypatch)
        assert count > 1
        for name, table in whole.items():
            pd.testing.assert_frame_equal(parts[name], table)


# ---------------------------------------------------------------- from the export on


def long_export(folder, *, blocks):
    """Many recordings' worth of rows, with breaks in what is shown."""
    sheet = prolab()
    head, body = sheet.rows[0], sheet.rows[2:-1]
    time, media = head.index("Recording timestamp [μs]"), head.index("Presented Media name")
    tracker, index = head.index("Eyetracker timestamp [μs]"), head.index("Eye movement type index")
    rows = []
    for block in range(blocks):
        for row in body:
            new = list(row)
            new[time] = str(int(row[time]) + block * 1_100_000)
            new[tracker] = str(int(row[tracker]) + block * 1_100_000)
            new[media] = "" if block % 5 == 0 else f"image{block // 3}.jpg"
            new[index] = str(int(row[index]) + 10 * block) if row[index] else ""
            rows.append(new)
    return Sheet([head, *rows]).write(folder / "long.tsv")


@settings(max_examples=5, deadline=None)
@given(block_bytes=st.integers(20_000, 90_000), least_rows=st.integers(1, 500))
def test_blocks_of_any_size_are_one_recording(tmp_path_factory, block_bytes, least_rows):
    path = long_export(tmp_path_factory.mktemp("long"), blocks=8)
    with pytest.MonkeyPatch.context() as patch:
        whole = read(path)
        ingested = ingest([path], keep=["samples"])
        patch.setattr(blocks, "BLOCK_BYTES", block_bytes)
        patch.setattr(tobii_prolab, "_LEAST_ROWS", least_rows)
        patch.setattr(detection, "_LEAST_ROWS", 200)
        assert len(list(pieces(path))) > 1
        assert_same(read(path), whole)
        again = ingest([path], keep=["samples"])
    pd.testing.assert_frame_equal(again.fixations, ingested.fixations)
    pd.testing.assert_frame_equal(again.samples, ingested.samples)
    assert again.summary.as_dict() == ingested.summary.as_dict()


@pytest.mark.parametrize("block_bytes", [1_500, 30_000])
def test_vendor_fixations_in_pieces(block_bytes, tmp_path, monkeypatch):
    path = long_export(tmp_path, blocks=8)
    spec = IngestSpec(events="vendor")
    whole = ingest([path], spec)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)  # the less holds no whole fixation
    monkeypatch.setattr(tobii_prolab, "_LEAST_ROWS", 1)
    again = ingest([path], spec)
    pd.testing.assert_frame_equal(again.fixations, whole.fixations)
    assert again.summary.as_dict() == whole.summary.as_dict()


# ---------------------------------------------------------------- several recordings


def project(folder, names, *, blocks):
    """An export of several recordings, one after the other; a name that comes again goes on."""
    head, *rows = Sheet.load(long_export(folder, blocks=blocks)).rows
    who = head.index("Participant name")
    parts = {name: np.array_split(np.array(rows, object), names.count(name)) for name in names}
    told = [head]
    for name in names:
        part = parts[name].pop(0)
        part[:, who] = name
        elsewhere = part[0].copy()
        elsewhere[head.index("Sensor")] = "Mouse"
        told += [elsewhere.tolist(), *part.tolist()]
    return Sheet(told).write(folder / "project.tsv")


def test_what_is_over_is_let_go(tmp_path, monkeypatch):
    path = project(tmp_path, ["P1", "P2", "P3", "P4", "P5"], blocks=4)
    whole = ingest([path], keep=["samples"])
    detections, most = [], []

    class Watched(Detection):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            detections.append(self)

        def add(self, samples):
            yield from super().add(samples)
            most.append(sum(len(one.held()) for one in detections))

    monkeypatch.setattr(blocks, "BLOCK_BYTES", 20_000)
    monkeypatch.setattr("gazetools.ingestion.session.Detection", Watched)
    again = ingest([path], keep=["samples"])
    pd.testing.assert_frame_equal(again.fixations, whole.fixations)
    pd.testing.assert_frame_equal(again.samples, whole.samples)
    assert again.summary.as_dict() == whole.summary.as_dict()
    assert max(most) < 2 * len(whole.samples) / 5


def test_a_recording_may_come_back(tmp_path, monkeypatch):
    path = project(tmp_path, ["P1", "P2", "P1"], blocks=4)
    whole = ingest([path], keep=["samples"])
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 20_000)
    given = [(piece.subject, piece.is_over) for piece in pieces(path)]
    assert given == [("P1", True), ("P2", True), ("P1", True)]
    again = ingest([path], keep=["samples"])
    in_order = again.samples.sort_values("subject", kind="stable", ignore_index=True)
    events = ["event", "event_index"]
    pd.testing.assert_frame_equal(in_order.drop(columns=events), whole.samples.drop(columns=events))
    # a fixation may be cut where the other recording came between
    assert abs(len(again.fixations) - len(whole.fixations)) <= 1
