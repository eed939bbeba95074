"""Figures for papers: what is drawn is what was given, and files are the same every time."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from gazetools_cli.plot import plot
from made_caches import write

from gazetools.cache import CacheSpec, Record
from gazetools.errors import ConfigError, FormatError, OutputError, SchemaError
from gazetools.images import encode_png
from gazetools.plotting import (
    FORMATS,
    FigureSpec,
    Run,
    Stimulus,
    draw_durations,
    draw_levels,
    draw_main_sequence,
    draw_quality,
    draw_scanpath,
    fit_main_sequence,
    plot_durations,
    plot_heatmap,
    plot_learning_curves,
    plot_levels,
    plot_main_sequence,
    plot_quality,
    plot_scanpath,
    read_run,
    stimulus_in_cache,
    stimulus_in_table,
)
from gazetools.plotting.gaze import PT2_PER_MS
from gazetools.quality import QualitySpec
from gazetools.tables import FIXATIONS, QUALITY, SACCADES, write_table
from gazetools.tracks import TrackSpec

Figure = pytest.importorskip("matplotlib.figure").Figure

WIDTH, HEIGHT, LEVELS = 60, 40, 3
RECIPE = {"tracks": {"levels": LEVELS, "keep": "suffix", "by": "count", "fractions": None}}
SMALL = FigureSpec(width_mm=80, dpi=60)
HOSTILE = r"$\frac{<script>}$"


def new_axes(count=1):
    axes = Figure().subplots(1, count, squeeze=False)[0]
    return axes if count > 1 else axes[0]


def gaze(n=6, *, tracks=1, seed=0):
    """Rows of x_im, y_im, onset_ms, duration_ms, track on an image of WIDTH x HEIGHT."""
    rng = np.random.default_rng(seed)
    parts = [
        np.column_stack(
            (
                rng.uniform(1, WIDTH - 1, n),
                rng.uniform(1, HEIGHT - 1, n),
                np.arange(n) * 500.0,
                rng.uniform(100, 450, n),
                np.full(n, track),
            )
        )
        for track in range(tracks)
    ]
    return np.concatenate(parts)


def picture(seed=0, height=HEIGHT, width=WIDTH):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def made_saccades(recordings=1, n=80, *, k=60.0, exponent=0.6, noise=0.0, name="rec"):
    rng = np.random.default_rng(1)
    parts = []
    for number in range(recordings):
        amplitude = np.exp(rng.uniform(np.log(0.5), np.log(20), n))
        velocity = k * amplitude**exponent * np.exp(noise * rng.normal(size=n))
        parts.append(
            pd.DataFrame(
                {
                    "recording": f"{name}{number}",
                    "subject": "S",
                    "trial": 1,
                    "onset_ms": np.arange(n) * 400.0,
                    "duration_ms": 30.0,
                    "amplitude_deg": amplitude,
                    "peak_velocity_deg_s": velocity,
                    "source": "made",
                }
            )
        )
    return SACCADES.conform(pd.concat(parts, ignore_index=True))


def made_fixations(durations, recording="rec", stimulus="polyp.png"):
    rows = gaze(len(durations))
    return FIXATIONS.conform(
        pd.DataFrame(
            {
                "recording": recording,
                "subject": "S",
                "trial": 1,
                "stimulus": stimulus,
                "order": np.arange(1, len(rows) + 1),
                "onset_ms": rows[:, 2],
                "duration_ms": np.asarray(durations, float),
                "x_im": rows[:, 0],
                "y_im": rows[:, 1],
                "image_width": WIDTH,
                "image_height": HEIGHT,
                "source": "made",
            }
        )
    )


def made_quality(losses, **columns):
    rows = [{"level": "recording", "loss_pct": loss} for loss in losses]
    rows += [{"level": "trial", "loss_pct": loss / 2, "trial": 1} for loss in losses]
    names = [f"rec{number}" for number in range(len(losses))] * 2
    table = pd.DataFrame(rows).assign(
        file="a.tsv", recording=names, subject="S", flags="", notes="", **columns
    )
    return QUALITY.conform(table.reindex(columns=[c.name for c in QUALITY.columns]))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Everything that can be drawn, small."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "images").mkdir()
    (folder / "images/polyp.png").write_bytes(encode_png(picture(3)))
    fixations = made_fixations(gaze()[:, 3])
    write_table(fixations, folder / "fixations.parquet", FIXATIONS, provenance={})
    saccades = made_saccades(2, name=HOSTILE)
    write_table(saccades, folder / "saccades.parquet", SACCADES, provenance={})
    limits = {"limits": QualitySpec().as_dict()}
    write_table(made_quality([5, 40]), folder / "quality.parquet", QUALITY, provenance=limits)
    rng = np.random.default_rng(0)
    spec = CacheSpec(LEVELS, 16, 16)
    records = [
        Record(
            name=name,
            split="train",
            width=WIDTH,
            height=HEIGHT,
            image=picture(1, 16, 16),
            maps=rng.integers(0, 256, (LEVELS, 16, 16), dtype=np.uint8),
            heatmap=rng.integers(0, 256, (16, 16), dtype=np.uint8),
            pseudo_mask=np.zeros((16, 16), np.uint8),
            fixations=rows,
        )
        for name, rows in (("polyp", gaze(5, tracks=2)), ("unseen", np.empty((0, 5))))
    ]
    write(folder / "maps.h5", records, spec, recipe=RECIPE)
    for seed in range(2):
        write_metrics(folder / f"runs/ours/seed{seed}", [0.5, 0.7 + seed / 10, 0.6])
    write_metrics(folder / "runs/full", [0.6, 0.8, 0.9])
    return folder


def write_metrics(folder, scores, header="iteration,lr,loss,score"):
    folder.mkdir(parents=True)
    lines = [f"{100 * (i + 1)},0.1,{1 / (i + 1)},{score}" for i, score in enumerate(scores)]
    (folder / "metrics.csv").write_text("\n".join([header, *lines, ""]))
    (folder / "config.json").write_text('{"format": "gradtrack-run"}')


# ---------------------------------------------------------------- gaze on an image


def test_circles_lie_where_fixations_do_and_their_areas_are_the_durations():
    rows, axes = gaze(), new_axes()
    plot_scanpath(axes, rows[:, 0], rows[:, 1], rows[:, 3], image=picture())
    circles = sorted(axes.collections, key=lambda circle: circle.get_zorder())
    np.testing.assert_array_equal([circle.get_offsets()[0] for circle in circles], rows[:, :2])
    areas = np.array([circle.get_sizes()[0] for circle in circles])
    np.testing.assert_allclose(areas, rows[:, 3] * PT2_PER_MS)
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4", "5", "6"]
    for line in axes.lines:
        np.testing.assert_array_equal(line.get_xydata(), rows[:, :2])


def test_a_number_hides_with_its_circle():
    axes = new_axes()
    plot_scanpath(axes, [5, 5], [5, 5], [100, 900], size_px=(WIDTH, HEIGHT))
    above = [
        (c.get_zorder(), t.get_zorder()) for c, t in zip(axes.collections, axes.texts, strict=True)
    ]
    assert above[0][1] < above[1][0]


def test_colours_go_from_dark_to_light_in_the_order_of_looking():
    rows, axes = gaze(), new_axes()
    plot_scanpath(axes, rows[:, 0], rows[:, 1], rows[:, 3], image=picture())
    shades = [circle.get_facecolor()[0, :3].sum() for circle in axes.collections]
    assert all(a < b for a, b in pairwise(shades))


def test_tracks_are_joined_and_counted_one_by_one():
    rows, axes = gaze(4, tracks=2), new_axes()
    plot_scanpath(axes, *rows[:, [0, 1, 3]].T, track=rows[:, 4], image=picture())
    paths = {tuple(map(tuple, line.get_xydata())) for line in axes.lines}
    assert paths == {tuple(map(tuple, part[:, :2])) for part in (rows[:4], rows[4:])}
    (circles,) = axes.collections
    np.testing.assert_array_equal(circles.get_facecolor()[:4], circles.get_facecolor()[4:])
    assert not axes.texts


def test_fixations_off_the_image_have_no_circle():
    axes = new_axes()
    plot_scanpath(axes, [5, -5, 70], [5, 5, 5], [100, 100, 100], size_px=(WIDTH, HEIGHT))
    assert [text.get_text() for text in axes.texts] == ["1"]


def test_the_image_lies_beneath_in_px_of_the_original():
    rows, axes = gaze(), new_axes()
    small = picture(0, 10, 15)
    plot_scanpath(axes, *rows[:, [0, 1, 3]].T, image=small, size_px=(WIDTH, HEIGHT))
    (shown,) = axes.images
    assert shown.get_extent() == [0, WIDTH, HEIGHT, 0]
    np.testing.assert_array_equal(shown.get_array(), small)
    assert axes.get_ylim() == (HEIGHT, 0)


@pytest.mark.parametrize(
    ("x", "lasts", "said"), [([1, np.nan], [9, 9], "fixation 1"), ([1, 2], [9, 0], "0.0 ms")]
)
def test_a_scanpath_of_what_is_no_fixation(x, lasts, said):
    with pytest.raises(SchemaError, match=said):
        plot_scanpath(new_axes(), x, [1, 2], lasts, image=picture())


def test_a_scanpath_without_the_size_of_its_image():
    with pytest.raises(ConfigError, match="size"):
        plot_scanpath(new_axes(), [1], [1], [100])


def test_a_heatmap_is_what_was_given_over_a_grey_image():
    axes, values = new_axes(), np.linspace(0, 1, 12).reshape(3, 4)
    plot_heatmap(axes, values, image=picture())
    beneath, shown = axes.images
    np.testing.assert_array_equal(shown.get_array(), values)
    assert shown.get_extent() == beneath.get_extent() == [0, WIDTH, HEIGHT, 0]
    assert beneath.get_array().ndim == 2
    alpha = np.ravel(shown.get_alpha())
    assert alpha[0] == 0
    assert (np.diff(alpha) >= 0).all()


@pytest.mark.parametrize("values", [np.zeros(3), np.full((2, 2), 1.1), np.full((2, 2), np.nan)])
def test_a_heatmap_of_what_is_no_map(values):
    with pytest.raises(SchemaError, match="0 to 1"):
        plot_heatmap(new_axes(), values, image=picture())


def test_levels_show_the_fixations_that_they_keep(lab):
    found, axes = stimulus_in_cache(lab / "maps.h5", "polyp.png"), new_axes(LEVELS)
    plot_levels(axes, found.maps, image=found.image, size_px=found.size_px, kept=found.kept())
    for level, one in enumerate(axes):
        np.testing.assert_array_equal(one.images[1].get_array(), found.maps[level])
    # two tracks of five: all, then the last two thirds and the last third, rounded up
    for one, count in zip(axes, (5, 4, 2), strict=True):
        rows = found.fixations
        last = np.concatenate((rows[5 - count : 5], rows[10 - count :]))[:, :2]
        shown = one.lines[0].get_xydata()
        assert sorted(map(tuple, shown)) == sorted(map(tuple, last))
        assert one.get_title().endswith(f": {2 * count} fixations")


def test_levels_want_axes_for_each():
    with pytest.raises(ConfigError, match="2 axes and 3 maps"):
        plot_levels(new_axes(2), np.zeros((3, 4, 4)), image=picture())


def test_a_table_gives_what_rendering_would(lab):
    found = stimulus_in_table(lab / "fixations.parquet", "polyp")
    table = made_fixations(gaze()[:, 3])
    np.testing.assert_allclose(found.fixations[:, 0], table["x_im"])
    assert found.size_px == (WIDTH, HEIGHT)
    assert found.image.shape == (HEIGHT, WIDTH, 3)
    assert found.heatmap.max() == 1
    assert found.maps.shape[0] == TrackSpec().levels
    assert len(found.kept()[0]) == len(table)


@pytest.mark.parametrize("size", [{}, {"image_width": pd.NA, "image_height": pd.NA}])
def test_a_table_drops_and_counts_what_is_off_the_image(lab, tmp_path, size):
    table = made_fixations(gaze()[:, 3]).assign(**size)
    table.loc[2, "x_im"] = WIDTH + 1.0
    write_table(table, tmp_path / "off.parquet", FIXATIONS, provenance={})
    found = stimulus_in_table(tmp_path / "off.parquet", "polyp", lab / "images")
    assert len(found.fixations) == 5
    assert found.left_out == {"off the image": 1}


def test_the_original_image_instead_of_the_small_one(lab):
    found = stimulus_in_cache(lab / "maps.h5", "polyp", lab / "images")
    np.testing.assert_array_equal(found.image, picture(3))


def test_an_original_image_of_another_size(lab, tmp_path):
    (tmp_path / "polyp.png").write_bytes(encode_png(picture(0, 9, 9)))
    with pytest.raises(FormatError, match="9 x 9 px"):
        stimulus_in_cache(lab / "maps.h5", "polyp", tmp_path)


def test_a_cache_that_does_not_tell_how_its_levels_were_made(lab, tmp_path):
    found = stimulus_in_cache(lab / "maps.h5", "polyp")
    unknown = Stimulus(**{**vars(found), "tracks": None})
    assert unknown.kept() is None
    draw_levels(unknown, tmp_path / "levels.svg", SMALL)
    assert "level 3" in (tmp_path / "levels.svg").read_text()


# ---------------------------------------------------------------- saccades and fixations


def test_the_power_law_is_recovered():
    table = made_saccades(n=400, noise=0.1)
    fit = fit_main_sequence(table["amplitude_deg"], table["peak_velocity_deg_s"])
    assert fit.saccades == 400
    assert fit.exponent == pytest.approx(0.6, abs=0.02)
    assert fit.k == pytest.approx(60, rel=0.03)
    exact = made_saccades(k=101.5, exponent=0.5)
    fit = fit_main_sequence(exact["amplitude_deg"], exact["peak_velocity_deg_s"])
    assert (fit.k, fit.exponent) == pytest.approx((101.5, 0.5))
    np.testing.assert_allclose(fit(exact["amplitude_deg"]), exact["peak_velocity_deg_s"])


def test_no_fit_of_few_saccades_or_of_one_size():
    assert fit_main_sequence([1, 2, 4, 8], [9, 9, 9, 9]) is None
    assert fit_main_sequence([1.0, 1.1, 1.2, 1.3, 1.4], [9, 9, 9, 9, 9]) is None
    assert fit_main_sequence([1, 2, 4, 8, np.nan, 0, -1], [9, 9, 9, 9, 9, 9, 9]) is None


def test_the_main_sequence_is_what_was_given():
    axes, table = new_axes(), made_saccades(2)
    table.loc[0, "amplitude_deg"] = np.nan
    fits = plot_main_sequence(axes, table)
    assert list(fits) == ["S, rec0", "S, rec1"]
    for dots, (_, part) in zip(axes.collections, table.groupby("recording"), strict=True):
        part = part.dropna(subset="amplitude_deg")
        given = part[["amplitude_deg", "peak_velocity_deg_s"]].to_numpy()
        np.testing.assert_array_equal(dots.get_offsets(), given)
    assert axes.get_xscale() == axes.get_yscale() == "log"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == r"S, rec0: $V = 60\,A^{0.60}$ (N = 79)"


def test_many_recordings_share_a_colour_and_the_median_law_is_told():
    axes = new_axes()
    plot_main_sequence(axes, made_saccades(8))
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0].startswith("8 recordings (N = 640)")
    assert r"V = 60\,A^{0.60}" in labels[1]
    assert len({tuple(dots.get_facecolor()[0]) for dots in axes.collections}) == 1


def test_no_saccade_in_degrees():
    table = made_saccades().assign(amplitude_deg=np.nan)
    with pytest.raises(SchemaError, match="--screen"):
        plot_main_sequence(new_axes(), table)


def test_the_histogram_counts_every_duration_once():
    axes, lasts = new_axes(), np.concatenate((np.full(60, 210.0), np.full(40, 260.0)))
    assert plot_durations(axes, made_fixations(lasts), bin_ms=50) == 0
    values, edges, _ = axes.patches[0].get_data()
    assert dict(zip(edges[:-1], values, strict=True))[200] == pytest.approx(60)
    assert values.sum() == pytest.approx(100)
    (label,) = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "median 210 ms (N = 100)" in label


def test_durations_beyond_the_axis_are_counted():
    axes, lasts = new_axes(), np.append(np.linspace(100, 400, 400), 5000.0)
    assert plot_durations(axes, made_fixations(lasts)) == 1
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[1].endswith("1 of 401")


def test_recordings_have_a_line_each():
    table = pd.concat([made_fixations([100, 200], "a"), made_fixations([300, 400], "b")])
    axes = new_axes()
    plot_durations(axes, table)
    assert len(axes.patches) == 2
    assert [mark.get_xdata()[0] for mark in axes.lines] == [150, 350]


# ---------------------------------------------------------------- quality


def test_quality_is_what_was_given_and_beyond_a_limit_is_another_mark():
    axes, table = new_axes(), made_quality([5, 40, 20])
    assert plot_quality(axes, table, "loss_pct", QualitySpec().as_dict()) == 1
    dots = {
        (line.get_marker(), tuple(line.get_xdata()), tuple(line.get_ydata()))
        for line in axes.lines
        if len(line.get_xdata()) and line.get_linestyle() == "None"
    }
    assert dots == {
        ("o", (2.5, 20, 10), (0, 1, 2)),
        ("o", (5, 20), (0, 2)),
        ("D", (40,), (1,)),
    }
    assert [line.get_xdata()[0] for line in axes.lines if line.get_label() == "limit"] == [25]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["S, rec0", "S, rec1", "S, rec2"]


def test_trials_of_recordings_of_one_name_stay_with_theirs():
    one, other = made_quality([5]), made_quality([40])
    axes = new_axes()
    plot_quality(axes, pd.concat([one, other], ignore_index=True), "loss_pct")
    (trials,) = [line for line in axes.lines if line.get_label() == "trial"]
    assert (list(trials.get_xdata()), list(trials.get_ydata())) == ([2.5, 20], [0, 1])


def test_a_limit_that_is_off_is_not_drawn():
    axes = new_axes()
    assert plot_quality(axes, made_quality([99]), "loss_pct", {"max_loss_pct": None}) == 0
    assert not [line for line in axes.lines if line.get_label() == "limit"]


def test_unknown_measure():
    with pytest.raises(ConfigError, match="expected loss_pct"):
        plot_quality(new_axes(), made_quality([1]), "beauty")


def test_quality_without_figures(tmp_path):
    path = tmp_path / "quality.parquet"
    write_table(made_quality([np.nan]), path, QUALITY, provenance={})
    with pytest.raises(SchemaError, match=r"quality\.parquet: .* none has a figure"):
        draw_quality(path, tmp_path / "quality.svg")


def test_pixels_are_drawn_only_without_degrees(tmp_path):
    path = tmp_path / "quality.parquet"
    write_table(made_quality([3], rms_s2s_px=4.0), path, QUALITY, provenance={})
    draw_quality(path, tmp_path / "px.svg", SMALL)
    table = made_quality([3], rms_s2s_px=4.0, rms_s2s_deg=0.1)
    write_table(table, path, QUALITY, provenance={}, overwrite=True)
    draw_quality(path, tmp_path / "deg.svg", SMALL)
    assert "screen px" in (tmp_path / "px.svg").read_text()
    assert "screen px" not in (tmp_path / "deg.svg").read_text()


def test_forged_limits(tmp_path):
    path = tmp_path / "quality.parquet"
    write_table(made_quality([3]), path, QUALITY, provenance={"limits": {"max_loss_pct": "x"}})
    with pytest.raises(SchemaError, match="limits"):
        draw_quality(path, tmp_path / "quality.svg")


# ---------------------------------------------------------------- learning curves


def test_curves_are_those_of_the_runs_and_seeds_have_a_mean(lab):
    runs = [read_run(lab / "runs" / name) for name in ("ours/seed0", "ours/seed1", "full")]
    axes = new_axes()
    plot_learning_curves(axes, runs)
    labelled = {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}
    assert list(labelled) == ["ours, 2 seeds", "full"]
    mean = labelled["ours, 2 seeds"].get_xydata()
    np.testing.assert_allclose(mean, [[100, 50], [200, 75], [300, 60]])
    np.testing.assert_allclose(labelled["full"].get_ydata(), [60, 80, 90])
    marks = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(marks, [(200, 70), (200, 80), (300, 90)])


def test_empty_scores_are_gaps(tmp_path):
    write_metrics(tmp_path / "run", ["", 0.5])
    run = read_run(tmp_path / "run")
    np.testing.assert_array_equal(run.metrics["score"], [np.nan, 0.5])
    axes = new_axes()
    plot_learning_curves(axes, [run])
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [np.nan, 50])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("iteration,loss,score\n2,1,1\n2,1,1\n", "do not rise"),
        ("iteration,loss,score\n1,1,1\n,1,1\n", "do not rise"),
        ("iteration,loss,score\n", "neither loss nor score"),
        ("iteration,loss,score\n1\n", "neither loss nor score"),
        ("iteration,lr\n1,2\n", "neither loss nor score"),
        ("\0\n", r"metrics\.csv"),
        (b"\xff\xfe,\n", r"metrics\.csv"),
    ],
)
def test_what_is_no_run(tmp_path, content, said):
    (tmp_path / "config.json").write_text('{"format": "gradtrack-run"}')
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(FormatError, match=said):
        read_run(tmp_path)


def test_a_run_named_twice_and_no_run(lab):
    run = read_run(lab / "runs/full")
    with pytest.raises(ConfigError, match="twice"):
        plot_learning_curves(new_axes(), [run, run])
    with pytest.raises(ConfigError, match="0 runs"):
        plot_learning_curves(new_axes(), [])
    with pytest.raises(ConfigError, match="expected loss, score"):
        plot_learning_curves(new_axes(), [run], "beauty")
    many = [Run(lab / f"run{n}", {}, run.metrics, {}, ()) for n in range(29)]
    with pytest.raises(ConfigError, match="29 runs"):
        plot_learning_curves(new_axes(), many)


# ---------------------------------------------------------------- files and the command

KINDS = {
    "scanpath": ["--cache", "maps.h5", "--item", "polyp", "--track", "1"],
    "heatmap": ["--item", "polyp", "--images", "images"],
    "levels": ["--fixations", "fixations.parquet", "--item", "polyp.png"],
    "main-sequence": [],
    "quality": [],
    "durations": [],
    "learning-curves": ["runs/ours/seed0", "runs/ours/seed1", "runs/full"],
}
BEGINS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def run(*arguments):
    return CliRunner().invoke(plot, [str(argument) for argument in arguments])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_in_each_format(kind, lab, tmp_path, monkeypatch):
    monkeypatch.chdir(lab)
    for suffix, begin in BEGINS.items():
        out = tmp_path / f"figure.{suffix}"
        done = run(kind, *KINDS[kind], "-o", out, "--width", 80, "--dpi", 60, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["out"] == str(out)
        assert out.read_bytes().startswith(begin)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["figure.pdf", "figure.png", "figure.svg"]


def test_text_stays_text_and_no_name_is_typeset(lab, tmp_path):
    draw_main_sequence(lab / "saccades.parquet", tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    text = re.sub(r"<[^>]+>", "", drawn)
    assert "peak velocity, deg/s" in text
    assert "<script>" not in drawn
    assert "frac{" in text.replace("\n", "").replace(" ", "")
    assert 'width="252.283465pt"' in drawn  # 89 mm
    draw_main_sequence(lab / "saccades.parquet", tmp_path / "a.pdf")
    assert b"/FontFile2" in (tmp_path / "a.pdf").read_bytes()


def test_width_and_dpi_make_the_pixels(lab, tmp_path):
    draw_durations(lab / "fixations.parquet", tmp_path / "a.png", FigureSpec(127, 100))
    width = int.from_bytes((tmp_path / "a.png").read_bytes()[16:20], "big")
    assert width == 500


def test_another_process_and_a_matplotlibrc_change_nothing_and_pyplot_stays_out(lab, tmp_path):
    """Hash seeds, a reader's own style, a display that is not there."""
    (tmp_path / "matplotlibrc").write_text(
        "axes.labelpad: 30\nsvg.fonttype: path\nbackend: TkAgg\n"
    )
    code = (
        "import sys; from pathlib import Path; from gazetools.plotting import *\n"
        "for kind in FORMATS:\n"
        "    out = Path(sys.argv[2]) / f'there.{kind}'\n"
        "    draw_durations(Path(sys.argv[1]) / 'fixations.parquet', out, FigureSpec(80, 60))\n"
        "found = stimulus_in_cache(Path(sys.argv[1]) / 'maps.h5', 'polyp')\n"
        "draw_scanpath(found, Path(sys.argv[2]) / 'there_scanpath.pdf', FigureSpec(80, 60))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    strange = {"PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc")}
    subprocess.run(
        [sys.executable, "-c", code, str(lab), str(tmp_path)],
        env={**os.environ, **strange},
        check=True,
        timeout=120,
    )
    found = stimulus_in_cache(lab / "maps.h5", "polyp")
    draw_scanpath(found, tmp_path / "here_scanpath.pdf", SMALL)
    for kind in FORMATS:
        draw_durations(lab / "fixations.parquet", tmp_path / f"here.{kind}", SMALL)
    for there in tmp_path.glob("there*"):
        here = there.with_name(there.name.replace("there", "here"))
        assert here.read_bytes() == there.read_bytes(), there.name


def test_what_exists_is_kept_unless_told_and_unless_all_is_drawn(lab, tmp_path):
    out = tmp_path / "a.svg"
    out.write_text("precious")
    arguments = ["durations", lab / "fixations.parquet", "-o", out]
    refused = run(*arguments)
    assert refused.exit_code == 1
    assert "--overwrite" in refused.stderr
    write_table(made_saccades(n=0), tmp_path / "none.parquet", SACCADES, provenance={})
    failed = run("main-sequence", tmp_path / "none.parquet", "-o", out, "--overwrite")
    assert failed.exit_code == 1
    assert failed.stderr.count("\n") == 1
    assert out.read_text() == "precious"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert out.read_text() != "precious"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["durations", "fixations.parquet", "-o", "a.jpg"], "expected the suffix .png, .svg, .pdf"),
        (["durations", "fixations.parquet", "-o", "there/a.png"], "does not exist"),
        (["durations", "saccades.parquet", "-o", "a.png"], "holds a saccades table"),
        (["main-sequence", "nowhere.parquet", "-o", "a.png"], "no such file"),
        (["quality", "maps.h5", "-o", "a.png"], "not a readable Parquet"),
        (["durations", "-o", "a.png", "--width", "5"], "width is 5 mm; expected 30 to 500"),
        (["durations", "-o", "a.png", "--width", "nan"], "width is nan"),
        (["durations", "-o", "a.png", "--dpi", "5"], "dpi is 5"),
        (["durations", "-o", "a.png", "--width", "400", "--dpi", "2400"], "at most 12,000"),
        (["learning-curves", "images", "-o", "a.png"], "config.json: no such file"),
        (
            ["scanpath", "--item", "polpy", "-o", "a.png"],
            "no item 'polpy'; there are 2, e.g. polyp",
        ),
        (["scanpath", "--item", "unseen", "-o", "a.png"], "nobody looked"),
        (["levels", "--item", "unseen", "-o", "a.png"], "nobody looked"),
        (["scanpath", "--item", "polyp", "--track", "2", "-o", "a.png"], "one of 0, 1"),
        (["heatmap", "--item", "polyp", "--images", "images", "-o", "images/a.png"], "lies in"),
        (["heatmap", "--item", "unseen", "--images", "images", "-o", "a.png"], "no image 'unseen'"),
        (
            ["levels", "--fixations", "fixations.parquet", "--item", "x", "-o", "a.png"],
            "no stimulus 'x'",
        ),
    ],
)
def test_bad_input_is_one_clear_line(arguments, said, lab, monkeypatch):
    monkeypatch.chdir(lab)
    done = run(*arguments)
    assert done.exit_code == 1, done.output
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (lab / "a.png").exists()


def test_too_few_saccades_for_a_fit_are_told(tmp_path):
    write_table(made_saccades(n=1), tmp_path / "one.parquet", SACCADES, provenance={})
    done = run("main-sequence", tmp_path / "one.parquet", "-o", tmp_path / "a.png")
    assert re.search(r"^  fits +\S+, rec0: none$", done.stdout, re.MULTILINE), done.output


def test_two_sources_are_one_too_many(lab):
    done = run("scanpath", "--cache", "a", "--fixations", "b", "--item", "c", "-o", "d.png")
    assert done.exit_code == 2
    assert "give one of them" in done.stderr


def test_without_matplotlib(lab, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"install gazetools\[plot\]"):
        draw_durations(lab / "fixations.parquet", tmp_path / "a.png")
    found = stimulus_in_cache(lab / "maps.h5", "polyp")
    with pytest.raises(ConfigError, match="matplotlib"):
        draw_scanpath(found, tmp_path / "a.png")


def test_an_output_that_is_read(lab):
    with pytest.raises(OutputError, match="what is read"):
        draw_durations(lab / "x.svg", lab / "x.svg", overwrite=True)


def test_absurd_durations_need_no_absurd_memory():
    axes = new_axes()
    plot_durations(axes, made_fixations([100.0, 1e300]))
    assert len(axes.patches[0].get_data().values) <= 1000


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_help_with_an_example(kind):
    done = run(kind, "--help")
    assert done.exit_code == 0
    assert f"gazetools plot {kind} " in done.stdout
    assert "--width" in done.stdout
    assert "\b" not in done.stdout
