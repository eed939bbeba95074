"""Ingest: whose fixations, where on the image, what was dropped and why, and what is written."""

import hashlib
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from exports import EXAMPLES, INTERVAL_US, Sheet, eyelink_report, gazemedseg, prolab

from gazetools.errors import ConfigError, FormatError, GeometryError, OutputError, SchemaError
from gazetools.events import BlinkSpec
from gazetools.geometry import Placement, Screen
from gazetools.ingestion import IngestSpec, ingest, ingest_to
from gazetools.readers import ReadOptions, read
from gazetools.readers.vendor_events import CUT_OFF
from gazetools.tables import EVENTS, FIXATIONS, SAMPLES, read_table, validate_fixations

SCREEN = Screen(1920, 1080, 528.0, 297.0, 650.0)
MEDIA = ("Presented Media position X [DACS px]", "Presented Media position Y [DACS px]")


@pytest.fixture
def export(tmp_path):
    return prolab().write(tmp_path / "export.tsv")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "lesion.png"), np.zeros((400, 300, 3), np.uint8))
    return folder


def placed_by(tmp_path, text):
    path = tmp_path / "stimuli.csv"
    path.write_text(text)
    return IngestSpec(stimuli=path)


def places(ingested):
    return ingested.fixations[["x_im", "y_im"]].to_numpy().tolist()


# ---------------------------------------------------------------- the synthetic truth


@pytest.fixture(scope="module")
def ingested(small_cohort):
    return ingest([small_cohort.export], keep=["samples"])


def test_fixations_are_the_true_ones(ingested, small_cohort):
    found = ingested.fixations[ingested.fixations["x_im"].notna()]
    truth = small_cohort.fixations
    assert set(found["stimulus"]) == set(truth["stimulus"])
    assert abs(len(found) - len(truth)) <= 0.1 * len(truth)
    matched = 0
    for _, one in truth.iterrows():
        here = found[(found["subject"] == one["subject"]) & (found["stimulus"] == one["stimulus"])]
        near = here[np.hypot(here["x_im"] - one["x_im"], here["y_im"] - one["y_im"]) < 8]
        middle = one["onset_ms"] + one["duration_ms"] / 2
        within = near["onset_ms"].le(middle) & (near["onset_ms"] + near["duration_ms"]).gt(middle)
        matched += bool(within.any())
    assert matched >= 0.9 * len(truth)


def test_samples_are_those_of_the_export(ingested, small_cohort):
    sheet = Sheet.load(small_cohort.export).where("Sensor", lambda sensor: sensor == "Eye Tracker")
    samples = ingested.samples
    assert samples["tracker_time_us"].dtype == "int64"
    assert samples["tracker_time_us"].astype(str).tolist() == sheet.column(
        "Eyetracker timestamp [μs]"
    )
    x_px = pd.to_numeric(pd.Series(sheet.column("Gaze point X [DACS px]")))
    np.testing.assert_array_equal(samples["x_px"], x_px)
    assert set(samples["event"]) <= set(EVENTS)
    ours, theirs = samples["event"] == "fixation", samples["vendor_event"] == "fixation"
    assert (ours == theirs).mean() > 0.97


def test_fixations_and_labelled_samples_agree(ingested):
    samples, fixations = ingested.samples, ingested.fixations
    of = samples[samples["event"] == "fixation"].groupby(["recording", "event_index", "trial"])
    assert len(of) == len(fixations) + ingested.summary.fixations_dropped.total()
    lengths = of["tracker_time_us"].agg(lambda time: (time.iloc[-1] - time.iloc[0]) / 1000)
    kept = fixations.set_index(["recording", "trial"])["duration_ms"].sort_index()
    whole = (lengths + 1000 / 120).groupby(level=["recording", "trial"]).sum()
    np.testing.assert_allclose(
        kept.groupby(level=[0, 1]).sum(), whole.loc[whole.index.isin(kept.index)], rtol=0.02
    )


def test_tables_conform_and_are_in_order(ingested):
    fixations = ingested.fixations
    pd.testing.assert_frame_equal(fixations, validate_fixations(fixations))
    pd.testing.assert_frame_equal(ingested.samples, SAMPLES.conform(ingested.samples))
    for _, trial in fixations.groupby(["subject", "recording", "trial"]):
        assert trial["order"].tolist() == list(range(1, len(trial) + 1))
        assert (trial["onset_ms"].diff().dropna() > 0).all()
        ends = trial["onset_ms"] + trial["duration_ms"]
        assert (trial["onset_ms"].iloc[1:].to_numpy() >= ends.iloc[:-1].to_numpy() - 1e-6).all()
    assert (fixations["onset_ms"] >= 0).all()
    inside = fixations[fixations["x_im"].notna()]
    assert inside["x_im"].between(0, inside["image_width"], inclusive="left").all()


def test_the_summary_counts(ingested):
    summary = ingested.summary
    assert (summary.files, summary.recordings, summary.images) == (1, 2, 3)
    trials = ingested.samples.query("trial > 0").groupby("recording")["trial"].nunique()
    assert summary.trials == trials.sum() > 2
    assert summary.formats == {"tobii-prolab": 2}
    assert all(abs(rate - 120) < 0.1 for rate in summary.rates_hz)
    assert summary.samples["read"] == len(ingested.samples)
    assert summary.samples["missing"] == ingested.samples["x_px"].isna().sum()
    assert summary.fixations_kept == len(ingested.fixations)
    assert summary.fixations_on_images == ingested.fixations["x_im"].notna().sum()
    assert summary.without_image == ["Eyetracker Calibration", "Fixation cross"]
    assert set(summary.skipped_rows) == {"event rows", "mouse rows"}
    assert summary.vendor_agreement > 0.97


def test_trials_are_counted_without_samples_and_without_fixations(tmp_path):
    ready_made = ingest([gazemedseg().write(tmp_path / "g.csv")])
    trials = ready_made.fixations.groupby(["subject", "recording"])["trial"].nunique()
    assert ready_made.summary.trials == trials.sum()
    lost = prolab().filled("Gaze point X [DACS px]", "").write(tmp_path / "lost.tsv")
    assert ingest([lost], keep=["samples"]).summary.trials == 1


# ---------------------------------------------------------------- whose fixations


def test_auto_detects_where_there_are_samples(export):
    for spec in (IngestSpec(), IngestSpec(events="ivt")):
        found = ingest([export], spec)
        assert set(found.fixations["source"].str.split(":").str[:2].str.join(":")) == {
            "ivt:tobii-prolab"
        }
        assert set(found.summary.source) == {"tobii-prolab"}


def test_the_vendors_own(export):
    found = ingest([export], IngestSpec(events="vendor"), keep=["samples"])
    assert found.fixations["onset_ms"].tolist() == [0, 61 * INTERVAL_US / 1000]
    assert found.fixations["duration_ms"].tolist() == [492, 492]
    assert set(found.fixations["source"]) == {"vendor:tobii-prolab"}
    assert set(found.samples["event"]) <= set(EVENTS)


@pytest.mark.parametrize(
    ("changes", "source"),
    [
        ({}, "vendor"),
        ({"events": "ivt"}, "eyelink"),
        ({"profile": "olsen2012"}, "olsen2012"),
        ({"settings": {"min_motion_deg": 0.2}}, "eyelink, changed"),
    ],
)
def test_auto_takes_the_vendors_where_ours_may_be_others(changes, source, tmp_path):
    spec = IngestSpec(screen=Screen(1024, 768, 376, 301, 600), **changes)
    found = ingest([EXAMPLES["eyelink-asc"](tmp_path)], spec)
    assert [name.split(" (")[0] for name in found.summary.source] == [source]
    assert found.summary.samples_compared > 100  # ours are compared all the same


def test_auto_takes_our_saccades_where_the_vendor_lists_none(tmp_path):
    path = EXAMPLES["tobii-studio2"](tmp_path)
    screen = Screen(1280, 1024, 338, 270, 600)
    auto, ours, vendors = (
        ingest([path], IngestSpec(screen=screen, events=events), keep=["saccades"])
        for events in ("auto", "ivt", "vendor")
    )
    assert set(auto.summary.source) == {"vendor"}
    assert len(auto.saccades) == len(ours.saccades) > 0
    assert vendors.saccades.empty


def test_auto_takes_ours_where_the_vendor_lists_none(tmp_path):
    text = EXAMPLES["eyelink-asc"](tmp_path).read_text()
    events = ("SFIX", "EFIX", "SSACC", "ESACC", "SBLINK", "EBLINK")
    kept = [line for line in text.splitlines(keepends=True) if not line.startswith(events)]
    (tmp_path / "bare.asc").write_text("".join(kept))
    spec = IngestSpec(screen=Screen(1024, 768, 376, 301, 600))
    found = ingest([tmp_path / "bare.asc"], spec)
    assert [name.split(" (")[0] for name in found.summary.source] == ["eyelink"]


def test_auto_takes_ready_made_fixations(tmp_path):
    found = ingest([gazemedseg().write(tmp_path / "g.csv")], keep=["samples"])
    assert found.samples.empty
    assert found.summary.source == {"vendor": 4}


def test_ivt_needs_samples(tmp_path):
    path = gazemedseg().write(tmp_path / "g.csv")
    with pytest.raises(FormatError, match=r"g\.csv: holds fixations only.*--events vendor"):
        ingest([path], IngestSpec(events="ivt"))


def test_vendor_needs_labels(tmp_path):
    path = prolab().without(lambda name: "movement" in name).write(tmp_path / "export.tsv")
    with pytest.raises(FormatError, match=r"export\.tsv: has no fixations of the vendor's own"):
        ingest([path], IngestSpec(events="vendor"))


def test_without_eye_positions_the_vendors_fixations_still_serve(tmp_path):
    bare = prolab().without(lambda name: name.startswith("Eye position")).write(tmp_path / "e.tsv")
    with pytest.raises(GeometryError, match=r"e\.tsv: no eye positions.*--screen.*--events vendor"):
        ingest([bare], IngestSpec(events="ivt"))
    said = {"auto": "vendor, as ours needs --screen with mm", "vendor": "vendor"}
    for source, name in said.items():
        found = ingest([bare], IngestSpec(events=source))
        assert set(found.fixations["source"]) == {"vendor:tobii-prolab"}
        assert found.summary.source == {name: 2}
    unlabelled = prolab().without(
        lambda name: name.startswith(("Eye position", "Eye movement", "Fixation"))
    )
    with pytest.raises(GeometryError, match=r"u\.tsv: no eye positions.*--screen"):
        ingest([unlabelled.write(tmp_path / "u.tsv")])
    whole = prolab().filled("Participant name", "P02").write(tmp_path / "whole.tsv")
    spec = IngestSpec(events="vendor")
    ingest_to([bare, whole], tmp_path / "f.parquet", tmp_path / "s.parquet", spec=spec)
    samples, _ = read_table(tmp_path / "s.parquet", SAMPLES)
    assert samples["event"].isna().groupby(samples["subject"]).all().to_dict() == {
        "P01": True,
        "P02": False,
    }


def test_without_mm_the_screen_gives_the_size_of_a_pixel(tmp_path):
    sheet = prolab()
    for axis in "XY":
        for eye in ("left", "right"):
            name = f"Gaze point {eye} {axis} [DACS mm]"
            values = [f"{float(cell) / 0.275:.2f}" if cell else "" for cell in sheet.column(name)]
            for row, value in zip(sheet.rows[1:], values, strict=True):
                row[sheet.index(name)] = value
    path = sheet.renamed(
        lambda name: name.replace("mm]", "px]") if name.startswith("Gaze point") else name
    ).write(tmp_path / "export.tsv")
    with pytest.raises(
        GeometryError, match=r"export\.tsv: no gaze in mm .*\(mm_per_px, --screen\)"
    ):
        ingest([path], IngestSpec(events="ivt"))
    assert len(ingest([path], IngestSpec(screen=SCREEN)).fixations) == 2


def blind(sheet, *, one_gaze=False):
    """Leave out where the eyes were; `one_gaze`: and what each of them saw."""
    sheet = sheet.without(lambda name: name.startswith("Eye position"))
    if one_gaze:
        sheet = sheet.without(lambda name: name.startswith(("Gaze point l", "Gaze point r")))
    return sheet


@pytest.mark.parametrize("one_gaze", [False, True])
def test_the_screen_tells_where_the_eyes_were(one_gaze, tmp_path, export):
    path = blind(prolab(), one_gaze=one_gaze).write(tmp_path / "e.tsv")
    found = ingest([path], IngestSpec(screen=SCREEN), keep=["samples"])
    known = ingest([export], IngestSpec(screen=SCREEN))
    assert found.fixations["duration_ms"].tolist() == known.fixations["duration_ms"].tolist()
    (source,) = set(found.fixations["source"])
    (detector,) = set(known.fixations["source"])
    assert source == f"{detector}:eye-at-screen-axis"
    assert found.summary.source == {"tobii-prolab (eyes assumed at the screen's axis)": 2}
    # what was assumed does not pass for something recorded
    assert "left_eye_z_mm" not in found.samples or found.samples["left_eye_z_mm"].isna().all()


def test_the_eyes_distance_matters(tmp_path):
    sheet = blind(prolab())
    for i, row in enumerate(sheet.rows[2:122]):
        for name in ("Gaze point left X [DACS mm]", "Gaze point right X [DACS mm]"):
            row[sheet.index(name)] = f"{240 + 2 * i}"  # 240 mm/s
    path = sheet.write(tmp_path / "e.tsv")
    near, far = (Screen(1920, 1080, 528.0, 297.0, mm) for mm in (200.0, 900.0))
    assert len(ingest([path], IngestSpec(screen=far)).fixations) == 2
    with pytest.raises(GeometryError, match="no fixation was found"):
        ingest([path], IngestSpec(screen=near))


def test_known_eyes_are_not_moved(export):
    spec = IngestSpec(screen=Screen(1920, 1080, 528.0, 297.0, 50.0))
    pd.testing.assert_frame_equal(ingest([export], spec).fixations, ingest([export]).fixations)


def test_fixations_without_a_position_are_counted(tmp_path):
    sheet = prolab()
    for row in sheet.rows[70:122]:
        row[sheet.index("Gaze point X [DACS px]")] = ""
    for row in sheet.rows[60:70]:
        row[sheet.index("Validity left")] = row[sheet.index("Validity right")] = "Invalid"
    for row in sheet.rows[60:122]:
        row[sheet.index("Gaze point X [DACS px]")] = ""
    found = ingest([sheet.write(tmp_path / "e.tsv")])
    assert found.summary.fixations_dropped["without a position"] == 1
    assert len(found.fixations) == 1


@pytest.mark.parametrize("wrong", [{"events": "mine"}, {"profile": "nobody"}])
def test_unknown_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected"):
        IngestSpec(**wrong)


# ---------------------------------------------------------------- screen to image


def test_the_rectangle_of_the_export(export):
    found = ingest([export])
    np.testing.assert_allclose(places(found), [[220, 230], [320, 300]], atol=0.5)
    assert found.fixations["image_width"].tolist() == [500, 500]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # the image is 300 x 400, the screen 1920 x 1080
        ("centre", [[900 - 810, 500 - 340], [1100 - 810, 640 - 340]]),
        ("fit", [[(900 - 555) / 2.7, 500 / 2.7], [(1100 - 555) / 2.7, 640 / 2.7]]),
        ("fill", [[900 * 300 / 1920, 500 * 400 / 1080], [1100 * 300 / 1920, 640 * 400 / 1080]]),
    ],
)
def test_rules(rule, expected, export, images):
    found = ingest([export], IngestSpec(placement=rule, images=images))
    np.testing.assert_allclose(places(found), expected, atol=0.5)
    assert found.fixations["image_height"].tolist() == [400, 400]


def test_the_rule_none_takes_gaze_as_image_px(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "ab":
        cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((450, 700, 3), np.uint8))
    report = eyelink_report().write(tmp_path / "report.txt")
    found = ingest([report], IngestSpec(placement="none", images=folder)).fixations
    np.testing.assert_array_equal(found["x_im"], found["x_px"])
    with pytest.raises(GeometryError, match=r"report\.txt: .* how large the screen is.*--screen"):
        ingest([report], IngestSpec(placement="fit", images=folder))
    found = ingest([report], IngestSpec(placement="fit", images=folder, screen=SCREEN)).fixations
    assert found["x_im"].notna().all()
    size_px = (SCREEN.width_px, SCREEN.height_px)
    alone = ingest([report], IngestSpec(placement="fit", images=folder, screen_px=size_px))
    pd.testing.assert_frame_equal(alone.fixations, found)


def test_the_users_screen_goes_before_the_exports(export, images):
    screen = Screen(1920, 1000, 528.0, 275.0, 650.0)
    found = ingest([export], IngestSpec(placement="centre", images=images, screen=screen))
    np.testing.assert_allclose(places(found)[0], [900 - 810, 500 - 300], atol=0.5)


def test_a_table_that_names_no_stimulus_is_refused(tmp_path, export):
    table = tmp_path / "stimuli.csv"
    table.write_text("stimulus,x_px,y_px,width_px,height_px\nother,0,0,100,100\n")
    with pytest.raises(GeometryError, match=r"stimuli\.csv: holds no stimulus .*'lesion\.jpg'"):
        ingest([export], IngestSpec(stimuli=table))


def test_rules_need_images(export):
    with pytest.raises(GeometryError, match="needs the size of the images; pass --images FOLDER"):
        ingest([export], IngestSpec(placement="fit"))


@pytest.mark.parametrize("name", ["lesion", "lesion.jpg", "lesion.png"])
def test_the_users_table_goes_before_all(name, export, tmp_path):
    text = f"stimulus,x_px,y_px,width_px,height_px\n{name},800,400,400,400\n"
    found = ingest([export], placed_by(tmp_path, text))
    np.testing.assert_allclose(places(found), [[100, 100], [300, 240]], atol=0.5)
    assert found.fixations["image_width"].tolist() == [400, 400]


def test_the_users_table_may_tell_the_images_size(export, tmp_path, images):
    head = "stimulus,x_px,y_px,width_px,height_px,image_width,image_height\n"
    spec = placed_by(tmp_path, head + "lesion,800,400,400,400,40,80\n")
    np.testing.assert_allclose(places(ingest([export], spec)), [[10, 20], [30, 48]], atol=0.5)
    spec = IngestSpec(stimuli=spec.stimuli, images=images)
    spec.stimuli.write_text(head + "lesion,800,400,400,400,,\n")
    np.testing.assert_allclose(places(ingest([export], spec)), [[75, 100], [225, 240]], atol=0.5)


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_a_table_of_stimuli_as_a_spreadsheet_saves_it(separator, encoding, export, tmp_path):
    cells = [["stimulus", "x_px", "y_px", "width_px", "height_px"]]
    cells += [["Läsion", "1", "2", "3", "4"], ["lesion.png", "799,5", "399,5", "401", "401"]]
    spec = placed_by(tmp_path, "")
    text = "\n".join(separator.join(row) for row in cells) + "\n"
    spec.stimuli.write_text(text, encoding=encoding)
    np.testing.assert_allclose(places(ingest([export], spec)), [[100.5, 100.5], [300.5, 240.5]])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "stimuli.csv: is empty"),
        ("stimulus,x_px\n", "stimuli.csv:1: no column 'height_px'; expected stimulus, x_px"),
        ("stimulus,x_px,y_px,width_px,height_px\na,1,2,x,4\n", ":2: column 'width_px' holds 'x'"),
        ("stimulus,x_px,y_px,width_px,height_px\na,,2,3,4\n", ":2: 'x_px' is empty"),
        ("stimulus,x_px,y_px,width_px,height_px\na,1,2,0,4\n", ":2: 'width_px' is 0.0, expected"),
        ("stimulus,x_px,y_px,width_px,height_px\na,1,2,3,\n", ":2: 'height_px' is empty"),
        ("stimulus,x_px,y_px,width_px,height_px\n,1,2,3,4\n", ":2: 'stimulus' is empty"),
        (
            "stimulus,x_px,y_px,width_px,height_px\na,1,2,3,4\na.jpg,1,2,3,4\n",
            ":3: 'stimulus' is a.jpg, expected every stimulus once",
        ),
    ],
)
def test_wrong_tables_of_stimuli_are_named(text, says, export, tmp_path):
    with pytest.raises(FormatError, match=says):
        ingest([export], placed_by(tmp_path, text))


def test_an_absent_table_of_stimuli_is_named(export, tmp_path):
    with pytest.raises(FormatError, match=r"nope\.csv: no such file"):
        ingest([export], IngestSpec(stimuli=tmp_path / "nope.csv"))


def test_without_a_rectangle_fixations_stay_on_the_screen(tmp_path):
    path = prolab().without(lambda name: name in MEDIA).write(tmp_path / "export.tsv")
    found = ingest([path])
    assert found.fixations["x_im"].isna().all()
    assert found.summary.without_image == ["lesion.jpg"]


def test_what_lies_off_the_image_is_dropped_and_the_rest_renumbered(tmp_path, export):
    text = "stimulus,x_px,y_px,width_px,height_px\nlesion,1000,600,400,400\n"
    found = ingest([export], placed_by(tmp_path, text))
    assert found.summary.fixations_dropped["off the image"] == 1
    assert found.fixations["order"].tolist() == [1]
    assert found.summary.samples["off image"] == 60


def test_samples_off_the_screen_are_counted(tmp_path):
    path = prolab().filled("Recording resolution width [px]", "1000").write(tmp_path / "e.tsv")
    assert ingest([path]).summary.samples["off screen"] == 60


def test_samples_off_a_screen_that_only_the_user_tells_are_counted(tmp_path):
    path = prolab().without(lambda name: "resolution" in name).write(tmp_path / "e.tsv")
    spec = IngestSpec(screen_px=(1000, 1080))
    assert ingest([path], spec).summary.samples["off screen"] == 60
    assert "off screen" not in ingest([path]).summary.samples


def test_no_fixation_on_any_image_is_an_error(tmp_path, export, small_cohort):
    text = "stimulus,x_px,y_px,width_px,height_px\nlesion,5000,600,400,400\n"
    with pytest.raises(GeometryError, match=r"no fixation lies on an image \(2 off the image\)"):
        ingest([export], placed_by(tmp_path, text))
    # crosses between the images have no place, and do not hide that nothing is left
    rows = "".join(f"{p.stem},5000,0,9,9\n" for p in small_cohort.images.iterdir())
    with pytest.raises(GeometryError, match="no fixation lies on an image"):
        ingest([small_cohort.export], placed_by(tmp_path, text + rows))


def test_fixations_between_stimuli_are_dropped_and_counted(tmp_path):
    sheet = prolab()
    for row in sheet.rows[62:122]:
        for name in ("Presented Media name", "Presented Stimulus name"):
            row[sheet.index(name)] = ""
    found = ingest([sheet.write(tmp_path / "export.tsv")])
    assert found.summary.fixations_dropped["no stimulus on screen"] == 1
    assert found.fixations["trial"].tolist() == [1]


# ---------------------------------------------------------------- a change of stimulus


def changing(at, name="second.jpg"):
    """The export, with another stimulus, or none, from sample `at` on."""
    sheet = prolab()
    for row in sheet.rows[2 + at : 122]:
        row[sheet.index("Presented Media name")] = name
        row[sheet.index("Presented Stimulus name")] = name
    return sheet


SOURCES = pytest.mark.parametrize("source", ["ivt", "vendor"])


@SOURCES
def test_a_fixation_is_cut_where_the_stimulus_changes(source, tmp_path):
    sheet = changing(30)
    # the gaze creeps on, so that each part has its own mean
    x = sheet.index("Gaze point X [DACS px]")
    for row in sheet.rows[32:61]:
        row[x] = "904"
    path = sheet.write(tmp_path / "export.tsv")
    ingested = ingest([path], IngestSpec(events=source), keep=["samples"])
    found, whole = ingested.fixations, ingest([prolab().write(tmp_path / "whole.tsv")])
    assert found["trial"].tolist() == [1, 2, 2]
    assert found["stimulus"].tolist() == ["lesion.jpg", "second.jpg", "second.jpg"]
    assert found["order"].tolist() == [1, 1, 2]
    assert found["onset_ms"].tolist()[:2] == [0, 0]
    np.testing.assert_allclose(found["duration_ms"][0], 30 * INTERVAL_US / 1000)
    assert abs(found["duration_ms"][1] - 29 * INTERVAL_US / 1000) < 10
    np.testing.assert_allclose(found["x_px"][:2], [900, 904], atol=0.2)
    # the second fixation begins where it began, on its trial's clock
    later = ingest([path.with_name("whole.tsv")], IngestSpec(events=source)).fixations
    moved = later["onset_ms"][1] - 30 * INTERVAL_US / 1000
    np.testing.assert_allclose(found["onset_ms"][2], moved)
    assert found["duration_ms"][2] == later["duration_ms"][1]
    assert ingested.summary.fixations_cut == 1
    assert whole.summary.fixations_cut == 0
    assert sum(ingested.summary.source.values()) == ingested.summary.vendor_fixations == 2
    # what the detector said of the samples stays
    first = ingested.samples[ingested.samples["event_index"] == 1]
    assert set(first.loc[first["event"] == "fixation", "trial"]) == {1, 2}


def test_the_vendors_fixations_that_the_export_cuts_off_are_no_skipped_rows(tmp_path):
    sheet = prolab()
    path = Sheet([sheet.rows[0], *sheet.rows[22:-21]]).write(tmp_path / "cut.tsv")
    found = ingest([path], IngestSpec(events="vendor"))
    assert (found.summary.fixations_cut_off, found.summary.fixations_kept) == (2, 2)
    assert CUT_OFF not in found.summary.skipped_rows
    # ours are what the samples show
    assert ingest([path], IngestSpec(events="ivt")).summary.fixations_cut_off == 0
    whole = ingest([sheet.write(tmp_path / "whole.tsv")], IngestSpec(events="vendor"))
    assert whole.summary.fixations_cut_off == 0


@SOURCES
@pytest.mark.parametrize(("samples", "kept"), [(7, False), (8, True)])
def test_short_parts_are_dropped_and_counted(source, samples, kept, tmp_path):
    path = changing(samples).write(tmp_path / "export.tsv")
    found = ingest([path], IngestSpec(events=source))
    assert found.fixations["trial"].tolist() == [1] * kept + [2, 2]
    assert found.summary.fixations_dropped["cut short by a change of stimulus"] == 1 - kept
    assert found.summary.fixations_cut == 1


@SOURCES
def test_a_part_between_stimuli_is_of_no_trial(source, tmp_path):
    sheet = changing(30, "")
    for row in sheet.rows[2 + 80 : 122]:
        row[sheet.index("Presented Media name")] = "third.jpg"
    found = ingest([sheet.write(tmp_path / "export.tsv")], IngestSpec(events=source))
    assert found.fixations["stimulus"].tolist() == ["lesion.jpg", "third.jpg"]
    assert found.fixations["onset_ms"].tolist() == [0, 0]
    assert found.summary.fixations_cut == 2
    assert found.summary.fixations_dropped["no stimulus on screen"] == 2


def test_a_fixation_over_many_stimuli_has_many_parts(tmp_path):
    sheet = changing(0)
    for i, row in enumerate(sheet.rows[2:62]):
        row[sheet.index("Presented Media name")] = f"{i // 12}.jpg"
    found = ingest([sheet.write(tmp_path / "export.tsv")], IngestSpec(events="vendor"))
    assert found.fixations["trial"].tolist() == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(found.fixations["duration_ms"][:4], 12 * INTERVAL_US / 1000)
    assert found.summary.fixations_cut == 1


@SOURCES
def test_onset_and_duration_span_the_samples_of_a_fixation(source, small_cohort):
    found = ingest([small_cohort.export], IngestSpec(events=source), keep=["samples"])
    labels = "event" if source == "ivt" else "vendor_event"
    keys = ["subject", "recording", "trial"]
    samples = dict(list(found.samples.groupby(keys)))
    fixations = found.fixations
    assert (fixations["onset_ms"] >= 0).all()
    for row in fixations.to_dict("records"):
        trial = samples[tuple(row[key] for key in keys)]
        end = row["onset_ms"] + row["duration_ms"]
        during = trial[trial["t_ms"].between(row["onset_ms"], end, inclusive="left")]
        assert set(during[labels]) == {"fixation"}
        assert during[f"{labels}_index"].nunique() == 1
        # half an interval out on both sides; the vendor rounds to ms
        reach = during["t_ms"].iloc[0] - row["onset_ms"], end - during["t_ms"].iloc[-1]
        np.testing.assert_allclose(reach, 1000 / 240, atol=0.6)


def test_what_a_report_saw_before_its_trial_is_taken_off(tmp_path):
    sheet = eyelink_report()
    onset = sheet.index("CURRENT_FIX_START")
    sheet.rows[1][onset], sheet.rows[4][onset] = "-50", "-300"
    found = ingest([sheet.write(tmp_path / "report.txt")])
    assert found.fixations.iloc[0][["onset_ms", "duration_ms"]].tolist() == [0, 150]
    assert found.summary.fixations_dropped["over before the trial"] == 1


@pytest.mark.real
def test_fixations_of_real_exports_stay_in_their_trials(data_folder):
    paths = sorted((data_folder / "exports" / "tobii").glob("prolab*.tsv.gz"))
    for spec in (IngestSpec(), IngestSpec(events="vendor")):
        found = ingest(paths, spec, keep=["samples"])
        assert found.summary.fixations_cut == 38
        assert found.summary.vendor_fixations == sum(found.summary.source.values()) == 379
        assert found.summary.vendor_agreement == 1
        keys = ["subject", "recording", "trial"]
        length = found.samples.groupby(keys)["t_ms"].max().rename("length")
        ends = found.fixations.join(length, on=keys)
        over = ends["onset_ms"] + ends["duration_ms"] - ends["length"]
        assert (found.fixations["onset_ms"] >= 0).all()
        assert over.max() < 1000 / 240 + 0.6


# ---------------------------------------------------------------- many files


def test_files_of_several_formats_together(tmp_path, export):
    others = [gazemedseg().write(tmp_path / "g.csv"), eyelink_report().write(tmp_path / "r.txt")]
    calls = []
    found = ingest([export, *others], None, lambda *call: calls.append(call))
    assert calls == [(1, 3, "export.tsv"), (2, 3, "g.csv"), (3, 3, "r.txt")]
    assert found.summary.formats == {"tobii-prolab": 1, "gazemedseg": 1, "eyelink-report": 2}
    assert found.fixations["recording"].nunique() == 4
    ingest_to([export, *others], tmp_path / "f.parquet", tmp_path / "s.parquet")
    assert len(read_table(tmp_path / "f.parquet", FIXATIONS)[0]) == 2 + 4 + 6
    assert len(read_table(tmp_path / "s.parquet", SAMPLES)[0]) == 120


def test_files_without_names_are_recordings_of_their_own(tmp_path):
    sheet = prolab().filled("Participant name", "").filled("Recording name", "")
    paths = [sheet.write(tmp_path / f"{name}.tsv") for name in "ab"]
    found = ingest(paths)
    assert found.fixations["recording"].tolist() == ["a", "a", "b", "b"]
    (tmp_path / "again").mkdir()
    paths.append(sheet.write(tmp_path / "again" / "a.tsv"))
    with pytest.raises(SchemaError, match=r"again/a\.tsv: recording 'a' of 'unnamed' was already"):
        ingest(paths)


def test_the_same_recording_twice_is_refused(tmp_path, export):
    copy = prolab().write(tmp_path / "copy.tsv")
    with pytest.raises(SchemaError, match=r"copy\.tsv: recording 'Recording1' of 'P01' was .*expo"):
        ingest([export, copy])


def test_no_file_is_an_error():
    with pytest.raises(FormatError, match="no export is given"):
        ingest([])


def test_one_sample_has_no_rate(tmp_path):
    sheet = prolab()
    path = Sheet(sheet.rows[:3]).write(tmp_path / "one.tsv")
    assert len(read(path)[0].samples) == 1
    with pytest.raises(GeometryError, match=r"no fixation was found"):
        ingest([path])
    more = prolab().filled("Participant name", "P02").write(tmp_path / "more.tsv")
    assert len(ingest([path, more]).summary.rates_hz) == 1


def test_nothing_but_lost_eyes(tmp_path):
    sheet = prolab()
    for name in sheet.rows[0]:
        if name.startswith(("Gaze", "Eye position", "Fixation")):
            sheet = sheet.filled(name, "")
    with pytest.raises(GeometryError, match="no fixation was found"):
        ingest([sheet.write(tmp_path / "export.tsv")])


# ---------------------------------------------------------------- what is written


def test_the_footer_tells_where_it_comes_from(export, tmp_path):
    found = ingest([export], keep=["samples"])
    ingest_to([export], tmp_path / "f.parquet", tmp_path / "s.parquet")
    for name, schema in (("f", FIXATIONS), ("s", SAMPLES)):
        table, note = read_table(tmp_path / f"{name}.parquet", schema)
        assert note["table"] == schema.name
        assert note["exports"] == ["export.tsv"]
        assert note["summary"]["fixations_kept"] == 2
        assert note["gazetools"]
        kept = {"f": found.fixations, "s": found.samples}[name]
        pd.testing.assert_frame_equal(table, kept)


def test_the_footer_tells_settings_and_digests(export, tmp_path, images):
    head = "stimulus,x_px,y_px,width_px,height_px\n"
    spec = placed_by(tmp_path, head + "lesion,800,400,400,400\nother,1,2,3,4\n")
    spec = replace(spec, screen=SCREEN, images=images)
    out = tmp_path / "f.parquet"
    ingest_to([export], out, spec=spec)
    _, note = read_table(out, FIXATIONS)
    assert note["sha256"] == [hashlib.sha256(export.read_bytes()).hexdigest()]
    assert note["spec"] == {
        "events": "auto",
        "profile": "auto",
        "settings": {},
        "blink": asdict(BlinkSpec()),
        "placement": None,
        "screen_px": None,
        "screen": asdict(SCREEN),
        "stimuli": "stimuli.csv",
        "images": "images",
        "reading": {"trial_from": None, "mapping": None},
    }
    rectangle = asdict(Placement(800, 400, 400, 400, 300, 400))
    assert note["placements"] == [{"stimulus": "lesion.jpg", **rectangle}]


def test_rectangles_of_a_rule_are_told_unless_there_are_too_many(
    export, tmp_path, images, monkeypatch
):
    spec = IngestSpec(placement="fill", images=images)
    assert ingest([export]).provenance["placements"] == []
    rectangle = asdict(Placement(0, 0, 1920, 1080, 300, 400))
    told = ingest([export], spec).provenance
    assert told["placements"] == [{"stimulus": "lesion.jpg", **rectangle}]
    monkeypatch.setattr("gazetools.ingestion.reading._MOST_PLACEMENTS", 0)
    told = ingest([export], spec).provenance
    assert (told["placements"], told["placements_given"]) == ([], 1)


def test_samples_are_kept_only_if_wanted(export, tmp_path):
    found, kept = ingest([export]), ingest([export], keep=["samples"])
    assert found.samples is None
    assert len(kept.samples) == 120
    assert found.summary == kept.summary
    assert found.summary.vendor_agreement == kept.summary.as_dict()["vendor_agreement"] > 0.97
    pieces = []
    assert ingest([export], sink=pieces.append).samples is None
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), kept.samples)


def test_outputs_are_checked_before_they_are_written(export, tmp_path):
    out = tmp_path / "f.parquet"
    with pytest.raises(OutputError, match="named for samples and fixations; name two files"):
        ingest_to([export], out, Path(f"{tmp_path}/./f.parquet"))
    with pytest.raises(OutputError, match="is an export that is read; name another output"):
        ingest_to([export], export, overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        ingest_to([export], tmp_path, overwrite=True)
    out.write_text("old")
    with pytest.raises(OutputError, match="already exists; remove it or pass --overwrite"):
        ingest_to([export], tmp_path / "new.parquet", out)
    assert out.read_text() == "old"
    assert not (tmp_path / "new.parquet").exists()


# ---------------------------------------------------------------- real exports


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "fixations", "stimuli"),
    [
        ("kvasir-seg/kvasir_fixation.csv", 26_832, 1000),
        ("nci-isbi/nci-isbi_fixation.csv", 17_397, 789),
    ],
)
def test_published_gaze_is_kept_whole(name, fixations, stimuli, data_folder):
    found = ingest([data_folder / name])
    assert found.summary.fixations_kept == found.summary.fixations_on_images == fixations
    assert found.summary.stimuli == found.summary.images == stimuli
    (recording,) = read(data_folder / name)
    published = recording.fixations.sort_values(["trial", "order"], ignore_index=True)
    np.testing.assert_array_equal(found.fixations["x_im"], published["x_im"])


def test_samples_are_written_even_where_there_is_no_fixation(tmp_path):
    sheet = prolab().without(lambda name: name.startswith(("Eye movement", "Fixation")))
    for name in [n for n in sheet.rows[0] if n.startswith(("Gaze point", "Eye position"))]:
        sheet = sheet.filled(name, "")
    path = sheet.write(tmp_path / "lost.tsv")
    with pytest.raises(GeometryError, match="no fixation was found"):
        ingest_to([path], tmp_path / "f.parquet")
    summary = ingest_to([path], tmp_path / "f.parquet", tmp_path / "s.parquet")
    assert summary.fixations_kept == 0
    assert read_table(tmp_path / "f.parquet", FIXATIONS)[0].empty
    assert set(read_table(tmp_path / "s.parquet", SAMPLES)[0]["event"]) == {"missing"}


# ---------------------------------------------------------------- shares of a display or surface


@pytest.fixture
def surface(tmp_path):
    """An export of gaze on a surface, and its samples and fixations in shares."""
    path = EXAMPLES["pupil-surface"](tmp_path)
    recordings = read(path)
    assert all(recording.normalised for recording in recordings)
    tables = [[getattr(r, name) for r in recordings] for name in ("samples", "fixations")]
    return path, *(pd.concat(parts, ignore_index=True) for parts in tables)


def test_shares_stand_on_an_image_of_one_by_one(surface, tmp_path):
    path, _, shares = surface
    found = ingest([path])
    inside = shares.query("0 <= x_px < 1 and 0 <= y_px < 1")
    assert sorted(found.fixations["x_im"]) == sorted(inside["x_px"])
    assert set(found.fixations["image_width"]) == {1}
    assert found.fixations["x_px"].isna().all()
    assert found.summary.recordings_in_shares == found.summary.recordings
    with pytest.raises(GeometryError, match=r"are shares of a display or surface.*--screen"):
        ingest_to([path], tmp_path / "f.parquet", tmp_path / "s.parquet")
    assert not (tmp_path / "f.parquet").exists()


def test_a_screen_makes_px_of_shares(surface):
    path, samples, shares = surface
    found = ingest([path], IngestSpec(screen_px=(400, 200)), keep=["samples"])
    np.testing.assert_allclose(sorted(found.fixations["x_px"]), sorted(shares["x_px"] * 400))
    np.testing.assert_allclose(found.samples["y_px"], samples["y_px"] * 200)
    assert found.summary.recordings_in_shares == 0


def test_an_image_that_fills_a_surface_makes_px_of_shares(surface, tmp_path):
    path, _, shares = surface
    (tmp_path / "images").mkdir()
    for name in shares["stimulus"].unique():
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.zeros((30, 40, 3), np.uint8))
    spec = IngestSpec(placement="fill", images=tmp_path / "images")
    found = ingest([path], spec, keep=["samples"]).fixations
    inside = shares.query("0 <= x_px < 1 and 0 <= y_px < 1")
    np.testing.assert_allclose(sorted(found["x_im"]), sorted(inside["x_px"] * 40))
    assert set(found["image_height"]) == {30}


def test_a_fixation_on_an_image_of_unknown_size_is_on_it():
    from gazetools.ingestion import IngestSummary
    from gazetools.ingestion.export import _map_to_image

    found = FIXATIONS.conform(
        pd.DataFrame(
            {
                "recording": "r",
                "subject": "s",
                "trial": 1,
                "stimulus": "image",
                "order": [1, 2, 3],
                "onset_ms": [0.0, 300.0, 600.0],
                "duration_ms": 200.0,
                "x_im": [5.0, 5000.0, -5.0],
                "y_im": 5.0,
                "source": "vendor:test",
            }
        )
    )
    summary = IngestSummary()
    assert list(_map_to_image(found, {}, summary)["x_im"]) == [5, 5000]
    assert summary.fixations_dropped["off the image"] == 1


# ---------------------------------------------------------------- what the user may get wrong


def test_a_screen_that_contradicts_the_export_is_refused(tmp_path):
    path = prolab().without(lambda name: name.startswith("Eye position")).write(tmp_path / "e.tsv")
    other = Screen(1024, 768, 380, 285, 600)
    with pytest.raises(GeometryError, match=r"had 1920x1080 px, but --screen says 1024x768"):
        ingest([path], IngestSpec(screen=other))
    # where the eyes are known, angles do not depend on it
    whole = prolab().write(tmp_path / "whole.tsv")
    assert len(ingest([whole], IngestSpec(screen=other)).fixations) == 2


def test_messages_are_not_asked_of_exports_that_have_none(tmp_path):
    path = prolab().write(tmp_path / "e.tsv")
    with pytest.raises(FormatError, match=r"has no messages that could begin trials"):
        ingest([path], IngestSpec(reading=ReadOptions(trial_from="TRIAL")))


def test_vendor_fixations_that_are_not_there_are_said_to_be_missing(tmp_path):
    gone = ("Eye position", "Eye movement", "Fixation")
    path = prolab().without(lambda name: name.startswith(gone)).write(tmp_path / "e.tsv")
    with pytest.raises(FormatError, match="has no fixations of the vendor's own"):
        ingest([path], IngestSpec(events="vendor"))


def test_settings_change_the_profile_that_is_taken(tmp_path):
    path = prolab().write(tmp_path / "e.tsv")
    found = ingest([path], IngestSpec(settings={"velocity_threshold_deg_s": 1e-6}))
    assert found.summary.source == {"tobii-prolab, changed": len(found.fixations)}
    with pytest.raises(ConfigError, match="foo"):
        IngestSpec(settings={"foo": 3})


def test_a_table_is_not_called_what_it_is_not(tmp_path):
    path = prolab().write(tmp_path / "e.tsv")
    with pytest.raises(
        OutputError, match=r"f\.csv: tables are written as Parquet; name it f\.parq"
    ):
        ingest_to([path], tmp_path / "f.csv")
