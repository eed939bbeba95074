"""Simulated readers: tables and raw samples from masks, and what skill, noise and seeds do."""

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from gazetools_cli.simulate import simulate
from hypothesis import given
from hypothesis import strategies as st

from gazetools.errors import ConfigError, FormatError, OutputError
from gazetools.exporting import BidsSpec, export_bids, read_tables
from gazetools.images import encode_png
from gazetools.ingestion import IngestSpec, ingest, ingest_to
from gazetools.quality import in_mask
from gazetools.synthetic import CohortSpec, ReaderModel, simulate_scanpath, simulating
from gazetools.synthetic.simulating import simulate_to
from gazetools.tables import FIXATIONS, read_table


def disc(radius=0.25, height=90, width=120):
    y, x = np.mgrid[:height, :width]
    return np.hypot((x - 0.6 * width) / width, (y - 0.4 * height) / height) < radius


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number in range(6):
        image = np.zeros((90, 120, 3), np.uint8)
        (tmp_path / f"images/a{number}.png").write_bytes(encode_png(image))
        if number < 5:
            mask = disc(0.1 + 0.05 * number) if number < 4 else np.zeros((90, 120), bool)
            png = encode_png(mask * np.uint8(255))
            (tmp_path / f"masks/a{number}.png").write_bytes(png)
    return tmp_path


def made(lab, out="f.parquet", **options):
    summary = simulate_to(lab / "images", lab / "masks", lab / out, **options)
    return summary, *read_table(lab / out, FIXATIONS)


def test_a_table_of_all_images_with_something_in_their_mask(lab):
    summary, table, note = made(lab, readers=2, seed=3)
    assert (summary.images, summary.readers, summary.fixations) == (4, 2, len(table))
    assert (summary.without_mask, summary.empty) == (["a5"], ["a4"])
    assert set(table["stimulus"]) == {f"a{number}.png" for number in range(4)}
    assert set(table["recording"]) == {"simulated1", "simulated2"}
    assert table["x_im"].between(0, 120, inclusive="left").all()
    assert (table.groupby(["recording", "trial"])["onset_ms"].diff().dropna() > 0).all()
    assert note["simulated"]["seed"] == 3
    assert note["simulated"]["reader"]["fixations"] == ReaderModel().fixations
    masks = {f"a{number}": lab / f"masks/a{number}.png" for number in range(4)}
    assert np.nanmean(in_mask(table, masks)) > 0.6


def test_an_image_does_not_depend_on_the_others(lab):
    _, whole, _ = made(lab)
    for name in ("images/a0.png", "masks/a0.png"):
        (lab / name).unlink()
    _, fewer, _ = made(lab, "fewer.parquet")
    whole = whole[whole["stimulus"] != "a0.png"].drop(columns="trial").reset_index(drop=True)
    assert whole.equals(fewer.drop(columns="trial"))
    _, other, _ = made(lab, "other.parquet", seed=1)
    assert not other["x_im"].equals(fewer["x_im"])


def test_less_skill_is_less_on_the_lesion_and_noise_is_scatter():
    mask = disc()

    def share(reader):
        hits = []
        for seed in range(40):
            found = simulate_scanpath(np.random.default_rng(seed), mask, reader)
            x, y = found["x_im"].astype(int), found["y_im"].astype(int)
            on = x.between(0, 119) & y.between(0, 89)
            hits += [*mask[y[on], x[on]], *np.zeros((~on).sum())]
        return np.mean(hits)

    skilled, clumsy = share(ReaderModel()), share(ReaderModel().with_skill(0))
    assert skilled - clumsy > 0.05
    assert share(replace(ReaderModel(), tracker_error=0.2)) < skilled - 0.1


def test_what_lies_off_the_image_is_left_out_and_the_rest_counted_from_one(lab):
    reader = replace(ReaderModel(), tracker_error=0.3)
    summary, table, _ = made(lab, reader=reader, export=lab / "raw.tsv")
    assert summary.off_image > 10
    assert table["x_im"].between(0, 120, inclusive="left").all()
    for _, path in table.groupby(["recording", "trial"]):
        assert path["order"].tolist() == list(range(1, len(path) + 1))


@given(st.integers(0, 999), st.integers(1, 60), st.integers(1, 60), st.floats(0, 1))
def test_any_mask_gives_a_finite_scanpath(seed, height, width, skill):
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < 0.3
    mask[rng.integers(height), rng.integers(width)] = True
    found = simulate_scanpath(rng, mask, ReaderModel().with_skill(skill))
    assert np.isfinite(found.to_numpy()).all()
    assert (found["duration_ms"] >= 50).all()
    assert len(found) >= 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"fixations": 1.0},
        {"fixations": 100.0},
        {"hurry": -0.1},
        {"hurry": 1.0},
        {"finds": 0.0},
        {"finds": 1.1},
        {"step": 0.0},
        {"settle": -1.0},
        {"offset": -0.1},
        {"landing_error": float("nan")},
    ],
)
def test_impossible_readers_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ReaderModel(**wrong)


def test_skill_is_a_share():
    with pytest.raises(ConfigError, match="skill is 2"):
        ReaderModel().with_skill(2)


PRECISE = replace(ReaderModel(), landing_error=1e-4, offset=0.0, first_error=0.0, finds=1.0)


def paths(reader, mask, count=40):
    return [simulate_scanpath(np.random.default_rng(seed), mask, reader) for seed in range(count)]


def test_a_precise_reader_searches_once_and_then_stays_on_the_lesion():
    mask = disc(0.15)
    for path in paths(PRECISE, mask):
        x, y = path["x_im"].to_numpy().astype(int), path["y_im"].to_numpy().astype(int)
        assert mask[y[1:], x[1:]].all()
    middle = np.mean([path[["x_im", "y_im"]].to_numpy()[1] for path in paths(PRECISE, mask)], 0)
    assert middle == pytest.approx([0.6 * 120, 0.4 * 90], abs=1.5)


def test_all_parts_of_a_lesion_are_looked_at():
    mask = np.zeros((200, 200), bool)
    mask[20:60, 20:60] = mask[90:130, 90:130] = True
    assert all(path["x_im"].to_numpy()[1:].min() < 60 for path in paths(PRECISE, mask))
    assert np.mean([path["x_im"].max() > 89 for path in paths(PRECISE, mask)]) > 0.9


def test_what_each_weight_does():
    mask = disc(0.35, 200, 200)

    def spread(reader):
        """Mean distance of a fixation of the scan from the nearest other one."""
        found = []
        for path in paths(reader, mask, 20):
            at = path["x_im"].to_numpy()[1:] + 1j * path["y_im"].to_numpy()[1:]
            found.append((np.abs(at[:, None] - at) + 1e9 * np.eye(len(at))).min(axis=1).mean())
        return np.mean(found)

    def turn(reader):
        found = []
        for path in paths(reader, mask, 20):
            step = np.diff(path["x_im"].to_numpy()[1:] + 1j * path["y_im"].to_numpy()[1:])
            found.append(np.abs(np.angle(step[1:] * np.conj(step[:-1]))).mean())
        return np.mean(found)

    def length(reader):
        steps = [np.diff(path[["x_im", "y_im"]], axis=0) for path in paths(reader, mask, 20)]
        return np.hypot(*np.concatenate(steps).T).mean()

    assert spread(replace(PRECISE, novelty=3.0)) > 1.2 * spread(replace(PRECISE, novelty=0.0))
    assert turn(replace(PRECISE, ahead=3.0)) < 0.8 * turn(replace(PRECISE, ahead=0.0))
    long, short = (replace(PRECISE, step=step, step_log_sd=0.2) for step in (0.2, 0.1))
    assert length(long) > 1.4 * length(short)


def test_early_fixations_are_brief_and_large_lesions_get_more_of_them():
    small, large = paths(ReaderModel(), disc(0.1), 60), paths(ReaderModel(), disc(0.4), 60)
    assert np.mean([len(path) for path in large]) > 1.6 * np.mean([len(path) for path in small])
    lasts_ms = pd.concat(large).groupby("order")["duration_ms"].median()
    assert lasts_ms[1] < 0.85 * lasts_ms[10:20].mean()


def test_what_cannot_be_looked_at_is_refused(lab):
    (lab / "masks/a1.png").write_bytes(encode_png(np.full((9, 9), 255, np.uint8)))
    with pytest.raises(FormatError, match="is 9 x 9 px, its image 120 x 90"):
        made(lab)
    assert not (lab / "f.parquet").exists()
    for number in range(4):
        (lab / f"masks/a{number}.png").unlink()
    with pytest.raises(FormatError, match="no mask with something in it"):
        made(lab)


def test_nothing_is_overwritten_unasked(lab):
    made(lab)
    with pytest.raises(OutputError, match="already exists"):
        made(lab)


# ---------------------------------------------------------------- raw samples


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(3):
        (folder / f"images/a{number}.png").write_bytes(
            encode_png(np.zeros((300, 400, 3), np.uint8))
        )
        mask = disc(0.12 + 0.08 * number, 300, 400) * np.uint8(255)
        (folder / f"masks/a{number}.png").write_bytes(encode_png(mask))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulating, "_IMAGES_PER_RECORDING", 2)
        options = {"readers": 2, "export": folder / "raw.tsv", "reader": ReaderModel(12)}
        summary, table, note = made(folder, "true.parquet", **options)
    return folder, summary, table, note


def nearest(found, truth):
    """Of what was found at about the time of each true fixation, how far off it is."""
    names = ["onset_ms", "duration_ms", "x_im", "y_im"]
    by_image = dict(list(found.groupby(["recording", "stimulus"])))
    off = []
    for _, one in truth.iterrows():
        here = by_image[one["recording"], one["stimulus"]]
        off.append(
            here.loc[(here["onset_ms"] - one["onset_ms"]).abs().idxmin(), names] - one[names]
        )
    return pd.DataFrame(off).astype(float)


@pytest.mark.parametrize(("events", "share"), [("ivt", 0.97), ("vendor", 1.0)])
def test_ingest_of_the_samples_gives_back_the_fixations(recorded, events, share):
    folder, _, truth, _ = recorded
    found = ingest([folder / "raw.tsv"], IngestSpec(events=events)).fixations
    assert found["x_im"].notna().sum() == pytest.approx(len(truth), rel=0.03)
    off = nearest(found, truth)
    two_samples_ms = 2000 / CohortSpec().rate_hz
    on_time = off[["onset_ms", "duration_ms"]].abs().max(axis=1) <= two_samples_ms
    near = off[["x_im", "y_im"]].abs().max(axis=1) < 3
    assert on_time.mean() >= share
    assert near.mean() >= 0.95
    assert off.median().abs().max() < 2


def test_recordings_of_the_samples(recorded):
    _, summary, table, note = recorded
    assert (summary.recordings, summary.fixations) == (4, len(table))
    assert summary.samples > 120 * table["duration_ms"].sum() / 1000
    names = ["simulated1-01", "simulated1-02", "simulated2-01", "simulated2-02"]
    assert list(table["recording"].unique()) == names
    assert table.groupby("recording")["stimulus"].nunique().tolist() == [2, 1, 2, 1]
    assert table["x_px"].notna().all()
    assert note["simulated"]["tracker"]["rate_hz"] == 120
    assert note["screens"][0]["width_px"] == 1920


def test_the_tracker_does_not_change_where_readers_look(recorded):
    folder, _, table, _ = recorded
    _, alone, _ = made(folder, "alone.parquet", readers=2, reader=ReaderModel(12))
    key = ["subject", "stimulus", "order"]
    same = [t.set_index(key).sort_index()[["x_im", "y_im", "duration_ms"]] for t in (table, alone)]
    pd.testing.assert_frame_equal(*same)


def test_same_seed_same_bytes(lab):
    made(lab, "a.parquet", export=lab / "a.tsv", seed=5)
    made(lab, "b.parquet", export=lab / "b.tsv", seed=5)
    assert (lab / "a.tsv").read_bytes() == (lab / "b.tsv").read_bytes()
    assert (lab / "a.parquet").read_bytes() == (lab / "b.parquet").read_bytes()
    made(lab, "c.parquet", export=lab / "c.tsv", seed=6)
    assert (lab / "c.tsv").read_bytes() != (lab / "a.tsv").read_bytes()


def test_samples_as_bids_give_back_the_fixations(recorded, tmp_path):
    folder, _, truth, _ = recorded
    tables = [tmp_path / "samples.parquet", tmp_path / "found.parquet"]
    ingest_to([folder / "raw.tsv"], tables[1], samples=tables[0])
    screen = CohortSpec().screen
    export_bids(read_tables(tables, screen), tmp_path / "bids", BidsSpec("made", "view", screen))
    found = ingest([tmp_path / "bids"], IngestSpec(images=folder / "images", placement="fit"))
    assert found.fixations["x_im"].notna().sum() == pytest.approx(len(truth), rel=0.03)


def test_outputs_of_samples_are_two_files_and_not_overwritten(lab):
    with pytest.raises(OutputError, match="name two files"):
        made(lab, "f.parquet", export=lab / "f.parquet")
    (lab / "raw.tsv").write_text("kept")
    with pytest.raises(OutputError, match="already exists"):
        made(lab, export=lab / "raw.tsv")
    assert (lab / "raw.tsv").read_text() == "kept"
    assert not (lab / "f.parquet").exists()


def test_nothing_is_left_of_an_export_that_fails(lab, monkeypatch):
    def full(*_, **__):
        raise OutputError("no space left")

    monkeypatch.setattr(simulating, "write_prolab_export", full)
    with pytest.raises(OutputError, match="no space"):
        made(lab, export=lab / "raw.tsv")
    assert {path.name for path in lab.iterdir()} == {"images", "masks"}


# ---------------------------------------------------------------- the command and real gaze


def test_the_command(lab):
    result = CliRunner().invoke(simulate, ["--readers", "2", "--skill", "0.5", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images"] == 4
    result = CliRunner().invoke(simulate, ["-o", "b.parquet", "--noise", "0.05"])
    assert "images without mask         1: a5" in result.stdout


def test_defaults_of_the_command_are_those_of_the_reader():
    given = {option.name: option.default for option in simulate.params}
    assert given["fixations"] == ReaderModel().fixations
    (rate,) = (option for option in simulate.params if option.name == "rate")
    assert f"[default: {CohortSpec().rate_hz:g}]" in rate.help


def test_a_rate_needs_a_tracker_and_no_output_lies_among_inputs(lab):
    result = CliRunner().invoke(simulate, ["--rate", "60"])
    assert result.exit_code == 2
    assert "goes with --export" in result.output
    given = ["--export", "images/a0.png", "--overwrite"]
    before = (lab / "images/a0.png").read_bytes()
    result = CliRunner().invoke(simulate, given)
    assert result.exit_code == 1
    assert "lies among the images or masks" in result.output
    assert (lab / "images/a0.png").read_bytes() == before


def test_the_command_writes_samples(lab):
    result = CliRunner().invoke(simulate, ["--export", "raw.tsv", "--rate", "60", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["recordings"] == 1
    times_us = pd.read_csv(lab / "raw.tsv", sep="\t")["Eyetracker timestamp [μs]"].dropna()
    assert times_us.diff().median() == pytest.approx(1e6 / 60, abs=1)


@pytest.mark.real
def test_it_looks_as_the_real_reader_did_on_images_that_fitting_never_saw(data_folder, tmp_path):
    folder = data_folder / "kvasir-seg"
    fixations = tmp_path / "fixations.parquet"
    ingest_to(
        [folder / "kvasir_fixation.csv"], fixations, spec=IngestSpec(images=folder / "images")
    )
    path = Path(__file__).parents[1] / "examples/compare_simulated_gaze.py"
    spec = importlib.util.spec_from_file_location("compare_simulated_gaze", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = CliRunner().invoke(module.main, [str(fixations), str(folder / "masks")])
    assert result.exit_code == 0, result.output
    assert int(re.search(r"(\d+) of 15 inside", result.stdout)[1]) == 15
    dice = re.search(r"Dice, mean +([\d.]+) +[\d.]+ to [\d.]+ +([\d.]+)", result.stdout)
    real, found = dice.groups()
    assert abs(float(found) - float(real)) < 0.02
