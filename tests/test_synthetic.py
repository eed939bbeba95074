"""The synthetic cohort: the same seed gives the same bytes, and its truth is what it says."""

import csv
import hashlib

import cv2
import numpy as np
import pandas as pd
import pytest

from gazetools.errors import ConfigError, OutputError, SchemaError
from gazetools.synthetic import (
    CohortSpec,
    ExportOptions,
    Subject,
    fitted,
    schedule,
    simulate_samples,
    simulate_scanpath,
    simulate_session,
    synthetic_image,
    write_cohort,
    write_prolab_export,
)
from gazetools.tables import validate_fixations

TINY = CohortSpec(images=6, width_px=120, height_px=100, fixations=8, calibration_s=1, break_s=0.6)
DRAWN = CohortSpec(images=80, width_px=156, height_px=132)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("synthetic") / "cohort", TINY)


@pytest.fixture(scope="module")
def export(cohort):
    return read_export(cohort.export)


@pytest.fixture(scope="module")
def drawn():
    return [synthetic_image(DRAWN.rng("image", i), DRAWN) for i in range(DRAWN.images)]


@pytest.fixture(scope="module")
def scanpaths(drawn):
    return [simulate_scanpath(DRAWN.rng("path", i), mask) for i, (_, mask) in enumerate(drawn)]


@pytest.fixture(scope="module")
def session():
    masks = {f"{i}.jpg": synthetic_image(TINY.rng("image", i), TINY)[1] for i in range(4)}
    return simulate_session(masks, TINY)


def read_export(path, **how):
    return pd.read_csv(path, sep="\t", low_memory=False, encoding="utf-8", **how)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def inside(path, mask):
    """Which fixations lie in the mask; those off the image do not."""
    x, y = np.floor(path["x_im"]).astype(int), np.floor(path["y_im"]).astype(int)
    on = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
    return np.array([bool(o) and bool(mask[r, c]) for o, r, c in zip(on, y, x, strict=True)])


# ---------------------------------------------------------------- the folder


def test_same_spec_same_bytes_and_other_seed_other_bytes(cohort, tmp_path):
    write_cohort(tmp_path / "again", TINY)
    assert digests(tmp_path / "again") == digests(cohort.folder)
    other = write_cohort(tmp_path / "other", CohortSpec(**{**vars(TINY), "seed": 1}))
    same, new = digests(cohort.folder), digests(other.folder)
    assert same.keys() == new.keys()
    assert all(same[name] != new[name] for name in same)


def test_an_image_does_not_depend_on_how_many_there_are(cohort, tmp_path):
    fewer = write_cohort(tmp_path / "fewer", CohortSpec(**{**vars(TINY), "images": 2}))
    same, few = digests(cohort.folder), digests(fewer.folder)
    assert sum(few[name] == same[name] for name in few) == 4


def test_images_and_masks_belong_together(cohort):
    stems = [path.stem for path in sorted(cohort.images.iterdir())]
    assert len(stems) == TINY.images
    assert stems == [path.stem for path in sorted(cohort.masks.iterdir())]
    for stem in stems:
        image = cv2.imread(str(cohort.images / f"{stem}.jpg"))
        mask = cv2.imread(str(cohort.masks / f"{stem}.png"), cv2.IMREAD_UNCHANGED)
        assert image.shape[:2] == mask.shape
        assert set(np.unique(mask)) == {0, 255}


def test_the_truth_is_a_fixations_table(cohort):
    table = validate_fixations(cohort.fixations)
    assert set(table["stimulus"]) == {path.name for path in cohort.images.iterdir()}
    assert table.groupby("trial")["onset_ms"].first().eq(0).all()
    end = table["onset_ms"] + table["duration_ms"]
    assert (table["onset_ms"] >= end.groupby(table["trial"]).shift().fillna(0)).all()


def test_readers_see_all_images_each_in_an_order_of_their_own(tmp_path):
    spec = CohortSpec(**{**vars(TINY), "readers": 2})
    both = write_cohort(tmp_path / "two", spec)
    orders = both.fixations.groupby("subject")["stimulus"].agg(lambda s: tuple(s.unique()))
    assert sorted(orders["R01"]) == sorted(orders["R02"])
    assert orders["R01"] != orders["R02"]
    table = read_export(both.export)
    assert list(table["Recording name"].unique()) == ["Recording1", "Recording2"]
    assert list(table["Participant name"].unique()) == ["R01", "R02"]


def test_a_folder_with_something_in_it_is_refused(cohort, tmp_path):
    with pytest.raises(OutputError, match="is not empty"):
        write_cohort(cohort.folder, TINY)
    with pytest.raises(OutputError, match="does not exist"):
        write_cohort(tmp_path / "no" / "where", TINY)


@pytest.mark.parametrize("wrong", [{"images": 0}, {"seed": -1}, {"rate_hz": 5}, {"width_px": 3}])
def test_impossible_specs_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CohortSpec(**wrong)


# ---------------------------------------------------------------- images


def test_image_sizes_vary_and_lesions_cover_what_lesions_cover(drawn):
    sizes = {image.shape for image, _ in drawn}
    areas = np.array([mask.mean() for _, mask in drawn])
    assert len(sizes) > 20
    assert all(image.dtype == np.uint8 and image.shape[:2] == mask.shape for image, mask in drawn)
    assert areas.min() > 0.01
    assert areas.max() < 0.5
    assert 0.07 < np.median(areas) < 0.18


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_no_threshold_finds_the_lesion(drawn, channel):
    dices = []
    for image, mask in drawn:
        values = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[:, :, channel]
        found = cv2.threshold(values, 0, 255, cv2.THRESH_OTSU)[1] > 0
        dices.append(max(dice(found, mask), dice(~found, mask)))
    assert np.mean(dices) < 0.45


def test_lesions_look_different_from_what_surrounds_them(drawn):
    """Else no network could learn them: the colour changes across the outline."""
    steps = []
    for image, mask in drawn:
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(float)
        kernel = np.ones((3, 3), np.uint8)
        near = cv2.dilate(mask.astype(np.uint8), kernel, iterations=8).astype(bool)
        core = cv2.erode(mask.astype(np.uint8), kernel, iterations=2).astype(bool)
        ring = near & ~mask & (image.max(axis=2) > 20)
        steps.append(np.linalg.norm(np.median(lab[core], axis=0) - np.median(lab[ring], axis=0)))
    assert np.median(steps) > 5


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


# ---------------------------------------------------------------- the reader


def test_fixations_lie_where_clinicians_fixations_lie(drawn, scanpaths):
    hits = [inside(path, mask) for path, (_, mask) in zip(scanpaths, drawn, strict=True)]
    assert np.concatenate(hits).mean() == pytest.approx(0.85, abs=0.04)
    assert np.mean([hit[0] for hit in hits]) == pytest.approx(0.46, abs=0.15)
    assert np.mean([hit[1] for hit in hits]) == pytest.approx(0.93, abs=0.07)


def test_counts_and_durations_are_those_of_clinicians(drawn, scanpaths):
    counts = np.array([len(path) for path in scanpaths])
    durations = pd.concat(scanpaths)["duration_ms"]
    assert 22 <= np.median(counts) <= 29
    assert counts.min() >= 5
    assert counts.max() <= 99
    areas = [mask.mean() for _, mask in drawn]
    assert np.corrcoef(np.log(counts), np.log(areas))[0, 1] > 0.5
    assert durations.mean() == pytest.approx(340, rel=0.05)
    assert durations.std() == pytest.approx(160, rel=0.15)
    assert durations.min() >= 50


def test_the_published_heatmap_is_as_good_as_on_real_gaze(drawn, scanpaths):
    """Canvas of 768 px, sigma 70, min-max, > 0.5: Dice 0.745 on the public gaze."""
    dices = []
    for path, (_, mask) in zip(scanpaths, drawn, strict=True):
        height, width = mask.shape
        canvas = np.zeros((192, 192), np.float32)
        on = path[path["x_im"].between(0, width - 1) & path["y_im"].between(0, height - 1)]
        rows = (on["y_im"] / height * 192).astype(int)
        columns = (on["x_im"] / width * 192).astype(int)
        np.add.at(canvas, (rows, columns), on["duration_ms"])
        heat = cv2.GaussianBlur(canvas, (0, 0), 70 / 4, borderType=cv2.BORDER_CONSTANT)
        heat = (heat - heat.min()) / (heat.max() - heat.min())
        dices.append(dice(cv2.resize(heat, (width, height)) > 0.5, mask))
    assert 0.70 < np.mean(dices) < 0.80


def test_nothing_to_look_at_is_an_error():
    with pytest.raises(SchemaError, match="empty"):
        simulate_scanpath(np.random.default_rng(0), np.zeros((40, 50), bool))


# ---------------------------------------------------------------- the tracker

CLEAN = CohortSpec(rate_hz=1000, noise_deg=0, blinks_per_s=0, eye_losses_per_s=0, dropped_share=0)


def two_fixations(amplitude_deg, spec):
    x = 960 + np.array([0, amplitude_deg * spec.px_per_deg])
    fixations = pd.DataFrame({"x_px": x, "y_px": 540.0, "duration_ms": [300.0, 300.0]})
    return schedule(np.random.default_rng(0), fixations, 0.0, spec)


@pytest.mark.parametrize("amplitude_deg", [2.0, 5.0, 10.0])
def test_saccades_are_on_the_main_sequence(amplitude_deg):
    timed = two_fixations(amplitude_deg, CLEAN)
    subject = Subject("S", (0.0, 0.0), 0.0, 3.0)
    samples = simulate_samples(np.random.default_rng(0), timed, subject, CLEAN)
    lasts_ms = (samples["event"] == "saccade").sum()
    assert lasts_ms == pytest.approx(2.2 * amplitude_deg + 21, abs=1.01)
    speed = np.abs(np.diff(samples["left_x_px"])) / CLEAN.px_per_deg * 1000
    assert speed.max() == pytest.approx(1.875 * amplitude_deg / lasts_ms * 1000, rel=0.05)
    assert speed[:290].max() < 2


def test_noise_is_the_noise_asked_for():
    spec = CohortSpec(**{**vars(TINY), "blinks_per_s": 0, "eye_losses_per_s": 0})
    still = pd.DataFrame({"x_px": [900.0], "y_px": [500.0], "duration_ms": [2e4]})
    subject = Subject("S", (20.0, 0.0), 0.15 * spec.px_per_deg, 3.0)
    timed = schedule(np.random.default_rng(0), still, 0.0, spec)
    samples = simulate_samples(np.random.default_rng(1), timed, subject, spec)
    steps = samples[["left_x_px", "left_y_px"]].diff().dropna().to_numpy() / spec.px_per_deg
    assert np.sqrt((steps**2).sum(axis=1).mean()) == pytest.approx(0.15, rel=0.1)
    disparity = (samples["right_x_px"] - samples["left_x_px"]).mean()
    assert disparity == pytest.approx(20, abs=1)


def test_mean_gaze_of_a_fixation_is_its_true_place(session):
    samples = session.samples[session.samples["left_valid"] & session.samples["right_valid"]]
    fixating = samples[samples["event"] == "fixation"]
    for axis in ("x", "y"):
        mean = fixating[[f"left_{axis}_px", f"right_{axis}_px"]].mean(axis=1)
        centres = mean.groupby(fixating["event_number"]).mean().to_numpy()
        for place in session.fixations[f"{axis}_px"]:
            assert np.abs(centres - place).min() < 8


def test_losses_are_empty_and_blinks_are_missing(session):
    samples = session.samples
    for eye in ("left", "right"):
        values = samples.filter(regex=f"^{eye}_.*_(px|mm)$")
        assert (values.notna().all(axis=1) == samples[f"{eye}_valid"]).all()
        assert (values.notna().any(axis=1) == samples[f"{eye}_valid"]).all()
    gone = ~samples["left_valid"] & ~samples["right_valid"]
    assert (gone == (samples["event"] == "missing")).all()
    blinks = samples[gone & (samples["t_ms"] > 200)].groupby("event_number")["t_ms"]
    assert (blinks.last() - blinks.first()).between(50, 300).all()


def test_eyes_are_before_the_screen(session):
    samples = session.samples
    assert samples["left_eye_z_mm"].mean() == pytest.approx(650, abs=15)
    apart = samples["right_eye_x_mm"] - samples["left_eye_x_mm"]
    assert apart.mean() == pytest.approx(62, abs=0.1)
    assert (samples["left_x_mm"] / samples["left_x_px"]).dropna().to_numpy() == pytest.approx(
        527 / 1920
    )


def test_dropped_rows_and_lost_eyes_occur():
    spec = CohortSpec(dropped_share=0.02, eye_losses_per_s=1)
    still = pd.DataFrame({"x_px": [900.0], "y_px": [500.0], "duration_ms": [2e4]})
    timed = schedule(np.random.default_rng(0), still, 0.0, spec)
    subject = Subject.draw(np.random.default_rng(0), "S", spec)
    samples = simulate_samples(np.random.default_rng(1), timed, subject, spec)
    assert 2400 * 0.96 < len(samples) < 2400 * 0.995
    assert (samples["left_valid"] != samples["right_valid"]).any()


def test_the_screen_holds_the_image_as_large_as_fits():
    wide, high = fitted(800, 300, CLEAN.screen), fitted(300, 400, CLEAN.screen)
    assert (wide.x_px, wide.y_px, wide.width_px, wide.height_px) == (0, 180, 1920, 720)
    assert (high.x_px, high.y_px, high.width_px, high.height_px) == (555, 0, 810, 1080)


# ---------------------------------------------------------------- the export


def test_rows_are_those_of_an_export(export):
    assert set(export["Sensor"].dropna()) == {"Eye Tracker", "Mouse"}
    assert export["Recording timestamp [μs]"].is_monotonic_increasing
    own = export[export["Sensor"] == "Eye Tracker"]
    steps = own["Eyetracker timestamp [μs]"].diff().dropna()
    assert steps.median() == pytest.approx(8333, abs=1)
    assert own["Presented Stimulus name"].notna().all()
    others = export[export["Sensor"] != "Eye Tracker"]
    assert others.filter(like="Gaze point").isna().all(axis=None)
    assert others["Validity left"].isna().all()
    assert export.loc[0, "Event"] == "RecordingStart"
    assert export["Event"].iloc[-1] == "RecordingEnd"
    shown = export.loc[export["Event"] == "ImageStimulusStart", "Event value"]
    assert len(shown) == shown.nunique() == TINY.images


def test_gaze_of_the_export_leads_back_to_the_true_fixations(cohort, export):
    """By hand, without our geometry: screen px, letterbox, image px."""
    own = export[(export["Sensor"] == "Eye Tracker") & export["Presented Media name"].notna()]
    own = own[(own["Eye movement type"] == "Fixation") & own["Gaze point X [DACS px]"].notna()]
    where = {}
    for axis, side in (("X", "width"), ("Y", "height")):
        in_media = (
            own[f"Gaze point {axis} [DACS px]"] - own[f"Presented Media position {axis} [DACS px]"]
        )
        ratio = own[f"Original Media {side} [px]"] / own[f"Presented Media {side} [px]"]
        where[axis] = in_media * ratio
    found = pd.DataFrame(where).groupby(own["Eye movement type index"]).median()
    found["duration_ms"] = own.groupby("Eye movement type index")[
        "Eye movement event duration [ms]"
    ].first()
    truth = cohort.fixations
    assert len(found) == len(truth)
    px_im = 1080 / 100
    assert np.abs(found["X"].to_numpy() - truth["x_im"]).max() < 15 / px_im
    assert np.abs(found["Y"].to_numpy() - truth["y_im"]).max() < 15 / px_im
    assert np.abs(found["duration_ms"].to_numpy() - truth["duration_ms"]).max() < 10
    assert list(own["Presented Media name"].unique()) == list(truth["stimulus"].unique())


def test_fixation_points_are_means_of_gaze_points(export):
    own = export[(export["Sensor"] == "Eye Tracker") & (export["Eye movement type"] == "Fixation")]
    groups = own.groupby("Eye movement type index")
    mean = groups["Gaze point X [DACS px]"].mean()
    assert np.abs(mean - groups["Fixation point X [DACS px]"].first()).max() <= 1.0
    assert set(export["Eye movement type"].dropna()) <= {
        "Fixation",
        "Saccade",
        "EyesNotFound",
        "Unclassified",
    }


def test_media_coordinates_are_parts_of_the_media(export):
    norm = export["Gaze point X [MCS norm]"]
    expected = (
        export["Gaze point X [DACS px]"] - export["Presented Media position X [DACS px]"]
    ) / export["Presented Media width [px]"]
    assert norm.dropna().between(0, 1).all()
    both = norm.notna()
    assert both.sum() > 100
    assert np.abs(norm[both] - expected[both]).max() < 1 / 300
    assert norm[export["Presented Media name"].isna()].isna().all()


def test_numbers_are_rounded_as_the_vendor_rounds_them(cohort):
    text = read_export(cohort.export, dtype=str)
    for name, pattern in {
        "Gaze point X [DACS px]": r"-?\d+",
        "Gaze point left X [DACS mm]": r"-?\d+\.\d",
        "Eye position left Z [DACS mm]": r"\d+\.\d",
        "Pupil diameter left [mm]": r"\d\.\d{3}",
        "Gaze point Y [MCS norm]": r"[01]\.\d{4}",
        "Recording timestamp [μs]": r"\d+",
        "Eye movement event duration [ms]": r"\d+",
    }.items():
        values = text[name].dropna()
        assert len(values) > 100
        assert values.str.fullmatch(pattern).all(), name


def test_without_labels_the_label_columns_are_empty(session, tmp_path):
    path = tmp_path / "raw.tsv"
    write_prolab_export(path, [session], TINY, ExportOptions(labels=False))
    table = read_export(path)
    assert table.filter(regex="Eye movement|Fixation point").isna().all(axis=None)
    assert (table["Sensor"] == "Eye Tracker").sum() == len(session.samples)


def test_older_names(session, tmp_path):
    path = tmp_path / "old.tsv"
    write_prolab_export(path, [session], TINY, ExportOptions(bare_headers=True, time_unit="ms"))
    table = read_export(path)
    assert not any("[" in name for name in table.columns)
    assert {"Gaze point left X (DACSmm)", "Gaze point X", "Gaze event duration"} <= set(table)
    assert table["Recording timestamp"].max() > 1e6


def test_whole_milliseconds_repeat(session, tmp_path):
    path = tmp_path / "ms.tsv"
    write_prolab_export(path, [session], TINY, ExportOptions(time_unit="ms"))
    times = read_export(path)["Recording timestamp [ms]"]
    assert times.max() < 1e6
    assert times.dtype == np.int64


def test_decimal_comma_says_the_same(session, tmp_path):
    point, comma = tmp_path / "point.tsv", tmp_path / "comma.tsv"
    write_prolab_export(point, [session], TINY)
    write_prolab_export(comma, [session], TINY, ExportOptions(decimal_comma=True))
    numbers = read_export(point).select_dtypes("number")
    pd.testing.assert_frame_equal(read_export(comma, decimal=",")[numbers.columns], numbers)
    assert "05.01.2026" in comma.read_text(encoding="utf-8")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_newlines(session, tmp_path, newline):
    path = tmp_path / "lines.tsv"
    write_prolab_export(path, [session], TINY, ExportOptions(newline=newline))
    lines = path.read_bytes().split(newline.encode())
    assert lines.pop() == b""
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    counts = {len(row) for row in csv.reader((line.decode() for line in lines), delimiter="\t")}
    assert len(counts) == 1


def test_an_export_is_not_overwritten_unasked(session, tmp_path):
    path = tmp_path / "twice.tsv"
    write_prolab_export(path, [session], TINY)
    with pytest.raises(OutputError, match="already exists"):
        write_prolab_export(path, [session], TINY)
    write_prolab_export(path, [session], TINY, overwrite=True)
