"""`gazetools render` and `info`, end to end on a small cohort, and with every bad input."""

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from gazetools_cli.gazetools import main

from gazetools.cache import open_cache
from gazetools.crf import CrfSpec
from gazetools.errors import ConfigError, FormatError, GeometryError
from gazetools.files import DeafFile
from gazetools.images import encode_png, read_image, read_mask, resize_mask
from gazetools.maps import MapSpec, Track, heatmap, track_maps
from gazetools.masks import PseudoMaskSpec, pseudo_mask
from gazetools.rendering import RenderSpec, render
from gazetools.splits import SplitSpec
from gazetools.tables import FIXATIONS, SAMPLES, write_table
from gazetools.tracks import TrackSpec
from gazetools.workers import Workers

QUICK = RenderSpec(size_px=48, masks=PseudoMaskSpec("heatmap"))
NAMES = ["synthetic_0001", "synthetic_0002", "synthetic_0003"]


@pytest.fixture
def lab(tmp_path, small_cohort, monkeypatch):
    """Return a working folder: images/, masks/, fixations.parquet (three images, two readers)."""
    folder = tmp_path / "lab"
    folder.mkdir()
    shutil.copytree(small_cohort.images, folder / "images")
    shutil.copytree(small_cohort.masks, folder / "masks")
    save(small_cohort.fixations, folder)
    monkeypatch.chdir(folder)
    return folder


def save(table, folder):
    path = folder / "fixations.parquet"
    write_table(table, path, FIXATIONS, provenance={}, overwrite=True)


def render_lab(lab, out="maps.h5", spec=QUICK, masks="masks", **options):
    return render(
        lab / "fixations.parquet",
        lab / "images",
        lab / masks if masks else None,
        lab / out,
        spec,
        **options,
    )


def command(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def contents(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# ---------------------------------------------------------------- what it makes


def test_render_end_to_end(lab, small_cohort):
    summary = render_lab(lab, spec=RenderSpec(size_px=64))
    assert (summary.items, summary.masks) == (3, 3)
    assert sum(summary.splits.values()) == 3
    with open_cache(lab / "maps.h5") as cache:
        assert [item.name for item in cache.items] == NAMES
        assert (cache.levels, cache.height, cache.width) == (4, 64, 64)
        for index, item in enumerate(cache.verify()):
            image = read_image(lab / "images" / f"{item.name}.jpg")
            mask = read_mask(lab / "masks" / f"{item.name}.png")
            assert (item.height, item.width) == image.shape[:2]
            np.testing.assert_array_equal(cache.original_mask(index), mask)
            small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(cache.read("images", [index])[0], small)
            maps = cache.read("maps", [index])[0]
            assert (maps[1:] <= maps[:-1]).all()
            assert cache.read("pseudo_masks", [index]).any()
            mine = small_cohort.fixations
            mine = mine[mine["stimulus"] == f"{item.name}.jpg"]
            columns = ["x_im", "y_im", "onset_ms", "duration_ms"]
            np.testing.assert_array_equal(cache.fixations(index)[:, :4], mine[columns].to_numpy())
            readers = mine["subject"].factorize(sort=True)[0]
            np.testing.assert_array_equal(cache.fixations(index)[:, 4], readers)


def write_probabilities(lab, folder="probabilities"):
    """What a network that knows the masks would say."""
    (lab / folder).mkdir()
    for path in (lab / "masks").iterdir():
        says = read_mask(path) * np.uint8(230) + np.uint8(10)
        (lab / folder / f"{path.stem}.png").write_bytes(encode_png(says))
    return lab / folder


def test_probabilities_seed_the_pseudo_masks(lab):
    spec = RenderSpec(size_px=48)
    says = write_probabilities(lab)
    render_lab(lab, "plain.h5", spec)
    render_lab(lab, "joined.h5", spec, probabilities=says)
    with open_cache(lab / "plain.h5") as plain, open_cache(lab / "joined.h5") as joined:
        masks = joined.read("masks", range(3))
        wrong = [(c.read("pseudo_masks", range(3)) != masks).mean() for c in (plain, joined)]
        assert wrong[1] < wrong[0]
        assert "probabilities" in joined.sources
        assert "probabilities" not in plain.sources
    assert render_lab(lab, "joined.h5", spec, probabilities=says).rendered == 0
    changed = says / f"{NAMES[1]}.png"
    changed.write_bytes(encode_png(255 - cv2.imread(str(changed), 0)))
    assert render_lab(lab, "joined.h5", spec, probabilities=says).rendered == 1


def test_probabilities_must_fit(lab):
    says = write_probabilities(lab)
    with pytest.raises(ConfigError, match="for pseudo-masks by grabcut, not by heatmap"):
        render_lab(lab, probabilities=says)
    (says / f"{NAMES[0]}.png").write_bytes(encode_png(np.zeros((9, 7), np.uint8)))
    with pytest.raises(FormatError, match=r"is 7 x 9 px, its image .* expected the size"):
        render_lab(lab, spec=RenderSpec(size_px=48), probabilities=says)
    (says / f"{NAMES[0]}.png").unlink()
    with pytest.raises(FormatError, match=r"no probabilities of 'synthetic_0001' \(1 of 3"):
        render_lab(lab, spec=RenderSpec(size_px=48), probabilities=says)
    assert not (lab / "maps.h5").exists()


def test_one_presentation_is_the_kernels_own_map(lab, small_cohort):
    table = small_cohort.fixations
    table = table[table["subject"] == table["subject"].iloc[0]].sample(frac=1, random_state=0)
    save(table, lab)
    render_lab(lab)
    rows = table[table["stimulus"] == "synthetic_0002.jpg"].sort_values("order")
    width, height = rows["image_width"].iloc[0], rows["image_height"].iloc[0]
    track = Track(
        rows["x_im"].to_numpy() / width,
        rows["y_im"].to_numpy() / height,
        rows["duration_ms"].to_numpy(),
        width / height,
    )
    with open_cache(lab / "maps.h5") as cache:
        expected = track_maps(track, TrackSpec(), MapSpec(), (48, 48), as_uint8=True)
        np.testing.assert_array_equal(cache.read("maps", [1])[0], expected)
        heat = np.rint(heatmap(track, (48, 48)) * 255)
        np.testing.assert_array_equal(cache.read("heatmaps", [1])[0], heat)
        np.testing.assert_array_equal(cache.read("pseudo_masks", [1])[0], heat > 127.5)


def test_several_presentations_are_averaged_not_joined(lab, small_cohort):
    """Two readers of one image: no segment may lead from one scanpath to the other."""
    table = small_cohort.fixations
    table = table[table["stimulus"] == "synthetic_0001.jpg"]
    render_of = []
    for subject in [None, *table["subject"].unique()]:
        save(table if subject is None else table[table["subject"] == subject], lab)
        render_lab(lab, overwrite=True)
        with open_cache(lab / "maps.h5") as cache:
            render_of.append(cache.read("maps", [0])[0].astype(float))
    both, first, second = render_of
    assert abs(first - second).max() > 20
    assert abs(both - (first + second) / 2).max() <= 1


def test_same_trial_number_in_two_recordings_is_two_tracks(lab, small_cohort):
    table = small_cohort.fixations.copy()
    table["trial"], table["subject"] = 1, "the same"
    table = table[table["stimulus"] == "synthetic_0001.jpg"]
    save(small_cohort.fixations[small_cohort.fixations["stimulus"] == "synthetic_0001.jpg"], lab)
    render_lab(lab)
    save(table, lab)
    render_lab(lab, "again.h5")
    with open_cache(lab / "maps.h5") as a, open_cache(lab / "again.h5") as b:
        np.testing.assert_array_equal(a.read("maps", [0]), b.read("maps", [0]))


def test_workers_do_not_change_the_bytes(lab):
    for workers in (1, 3):
        render_lab(lab, f"{workers}.h5", RenderSpec(size_px=40), workers=Workers(workers))
    assert (lab / "1.h5").read_bytes() == (lab / "3.h5").read_bytes()


def test_degrees_are_those_of_the_image_as_shown(lab):
    """At 20 px to a degree; an isotropic sigma, in roots of the image's area, says the same."""
    degrees = MapSpec(metric="degrees", sigma=0.7)
    render_lab(lab, "degrees.h5", replace(QUICK, maps=degrees, px_per_deg=20.0))
    with open_cache(lab / "degrees.h5") as cache:
        found, item = cache.read("maps", [0])[0], cache.items[0]
    side_deg = (item.width * item.height) ** 0.5 / 20
    isotropic = MapSpec(metric="isotropic", sigma=0.7 / side_deg)
    render_lab(lab, "isotropic.h5", replace(QUICK, maps=isotropic))
    with open_cache(lab / "isotropic.h5") as cache:
        assert abs(cache.read("maps", [0])[0].astype(int) - found).max() <= 1


def test_no_masks(lab):
    assert render_lab(lab, masks=None).masks == 0
    with open_cache(lab / "maps.h5") as cache:
        assert not any(item.has_mask for item in cache.items)
        assert not cache.read("masks", range(3)).any()
        assert len(list(cache.verify())) == 3


def test_names_match_with_and_without_suffix(lab, small_cohort):
    table = small_cohort.fixations.copy()
    table["stimulus"] = table["stimulus"].replace(
        {"synthetic_0001.jpg": "synthetic_0001", "synthetic_0002.jpg": "synthetic_0002.TIFF"}
    )
    save(table, lab)
    assert render_lab(lab).items == 3


def test_what_matches_nothing_is_listed(lab, small_cohort):
    table = small_cohort.fixations.copy()
    rename = {"synthetic_0001.jpg": "elsewhere.png", "synthetic_0003.jpg": "Calibration"}
    table["stimulus"] = table["stimulus"].replace(rename)
    table.loc[table["stimulus"] == "Calibration", ["x_im", "y_im"]] = np.nan
    save(table, lab)
    (lab / "train.txt").write_text("synthetic_0002\nghost.jpg\n")
    summary = render_lab(lab, spec=RenderSpec(size_px=16, split=SplitSpec((lab / "train.txt",))))
    assert summary.items == 1
    assert summary.stimuli_without_image == ["elsewhere"]
    assert summary.stimuli_without_position == ["Calibration"]
    assert summary.images_without_gaze == ["synthetic_0001", "synthetic_0003"]
    assert summary.split_names_unknown == ["ghost"]
    json.dumps(summary.as_dict())


def test_lists_that_name_no_image_are_refused(lab):
    (lab / "train.txt").write_text("images/synthetic_0001.jpg\nSynthetic_0002\n")
    spec = RenderSpec(size_px=16, split=SplitSpec((lab / "train.txt",)))
    says = r"train\.txt: no name of the given lists .*images: listed Synthetic_0002, images/synth"
    with pytest.raises(FormatError, match=says):
        render_lab(lab, spec=spec)
    assert not (lab / "maps.h5").exists()


def test_why_fixations_are_dropped_is_told(lab, small_cohort):
    table = small_cohort.fixations.copy()
    table.loc[table.index[:3], "stimulus"] = None
    table.loc[table.index[3:5], "x_im"] = np.nan
    save(table, lab)
    dropped = render_lab(lab).fixations_dropped
    assert (dropped["without a stimulus"], dropped["without a position"]) == (3, 2)


def test_a_fixation_that_lacks_a_coordinate_is_not_on_an_image(lab, small_cohort):
    table = small_cohort.fixations.copy()
    rows = table.index[table["stimulus"] == "synthetic_0001.jpg"]
    table.loc[rows[0], "y_im"] = np.nan
    table.loc[rows[1], "x_im"] = np.inf
    save(table, lab)
    render_lab(lab)
    with open_cache(lab / "maps.h5") as cache:
        assert len(cache.fixations(0)) == len(rows) - 2


def test_sources_change_with_each_input(lab, small_cohort):
    def sources():
        render_lab(lab, overwrite=True)
        with open_cache(lab / "maps.h5") as cache:
            return cache.sources

    before = sources()
    fixations = hashlib.sha256((lab / "fixations.parquet").read_bytes()).hexdigest()
    assert before["fixations"] == fixations
    assert sources() == before
    save(small_cohort.fixations.iloc[1:], lab)
    assert {k for k, v in sources().items() if v != before[k]} == {"fixations"}
    save(small_cohort.fixations, lab)
    image = lab / "images" / "synthetic_0002.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    assert {k for k, v in sources().items() if v != before[k]} == {"images"}
    hidden = (lab / "masks" / "synthetic_0001.png").rename(lab / "hidden.png")
    first = sources()["masks"]
    assert first != before["masks"]
    hidden.rename(lab / "masks" / "synthetic_0001.png")
    (lab / "masks" / "synthetic_0002.png").unlink()
    assert sources()["masks"] not in (before["masks"], first)


def test_listed_test_images_need_no_gaze(lab, small_cohort):
    seen = small_cohort.fixations
    save(seen[seen["stimulus"] != "synthetic_0001.jpg"], lab)
    lists = {"train": "synthetic_0002\nsynthetic_0003\n", "test": "synthetic_0001\n"}
    for name, text in lists.items():
        (lab / f"{name}.txt").write_text(text)
    files = tuple(lab / f"{name}.txt" for name in lists)
    summary = render_lab(lab, spec=RenderSpec(size_px=16, split=SplitSpec(files, val=0)))
    assert summary.splits == {"train": 2, "test": 1}
    assert summary.split_names_unknown == []
    with open_cache(lab / "maps.h5") as cache:
        (index,) = cache.indices("test")
        assert cache.items[index].name == "synthetic_0001"
        assert cache.original_mask(index).any()
        assert not cache.read("maps", [index]).any()
        assert (cache.read("pseudo_masks", [index]) == 255).all()
        assert len(cache.fixations(index)) == 0
        assert len(list(cache.verify())) == 3


def test_positions_off_the_image_are_dropped_and_counted(lab, small_cohort):
    render_lab(lab)
    with open_cache(lab / "maps.h5") as cache:
        before = cache.items
    stray = small_cohort.fixations.iloc[:2].assign(x_im=[-1.0, 9999.0], order=[998, 999])
    save(pd.concat([small_cohort.fixations, stray]), lab)
    summary = render_lab(lab, overwrite=True)
    assert summary.fixations_dropped["off the image"] == 2
    with open_cache(lab / "maps.h5") as cache:
        assert cache.items == before


def without_sizes(table):
    return table.assign(image_width=pd.NA, image_height=pd.NA)


def test_positions_off_an_image_of_unknown_size_are_dropped_and_counted(lab, small_cohort):
    """As they are of an image whose size the table tells: a track of one image, all of another."""
    table = small_cohort.fixations
    reader = table["subject"] == table["subject"].iloc[0]
    first, last = (table["stimulus"] == f"{name}.jpg" for name in (NAMES[0], NAMES[2]))
    gone = (reader & first) | last
    save(table[~gone], lab)
    render_lab(lab)
    off = table.assign(x_im=table["x_im"].mask(gone, 9999.0))
    save(without_sizes(off), lab)
    summary = render_lab(lab, "off.h5")
    assert summary.fixations_dropped["off the image"] == gone.sum()
    assert summary.images_without_gaze == [NAMES[2]]
    with open_cache(lab / "maps.h5") as known, open_cache(lab / "off.h5") as unknown:
        assert known.items == unknown.items
    (lab / "test.txt").write_text(NAMES[2])
    spec = replace(QUICK, split=SplitSpec((lab / "test.txt",)))
    assert render_lab(lab, "listed.h5", spec).splits == {"none": 2, "test": 1}
    save(without_sizes(table).assign(y_im=9999.0), lab)
    with pytest.raises(GeometryError, match=r"none of \d+ fixations lies on its image; .*in px"):
        render_lab(lab, "none.h5")


def test_heatmap_masks_are_the_stored_heatmap_above_the_threshold(lab):
    spec = RenderSpec(size_px=64, masks=PseudoMaskSpec("heatmap", heatmap_sigma=0.03))
    render_lab(lab, spec=spec)
    with open_cache(lab / "maps.h5") as cache:
        heat, mask = (cache.read(name, [0])[0] for name in ("heatmaps", "pseudo_masks"))
    np.testing.assert_array_equal(heat > 127, mask == 1)


def test_cv2_threads_are_left_as_they_were(lab):
    before = cv2.getNumThreads()
    render_lab(lab)
    assert cv2.getNumThreads() == before


def test_recipe_tells_how_it_was_made(lab):
    render_lab(
        lab,
        spec=RenderSpec(
            size_px=16, tracks=TrackSpec(2, "prefix"), masks=PseudoMaskSpec(heatmap_sigma=0.1)
        ),
    )
    with open_cache(lab / "maps.h5") as cache:
        assert cache.recipe["tracks"]["keep"] == "prefix"
        assert cache.recipe["masks"]["heatmap_sigma"] == 0.1
        assert cache.recipe["masks"]["grabcut"]["iterations"] == 1
        assert cache.recipe["ingest"]["table"] == "fixations"
        assert str(lab) not in json.dumps(cache.recipe)


# ---------------------------------------------------------------- the commands


def test_commands_render_and_info(lab):
    done = command("render", "--levels", 2, "--size", 32, "--masks-from", "heatmap", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["items"] == 3
    done = command("info", "maps.h5", "--verify", "--json")
    facts = json.loads(done.stdout)
    assert (facts["items"], facts["levels"], facts["size"]) == (3, 2, "32 x 32 px")
    assert (facts["with a reference mask"], facts["verified"]) == (3, "every byte")
    shown = command("info", "maps.h5")
    assert shown.stdout.startswith("maps.h5\n")
    assert "lz4" in shown.stdout
    again = command("render", "--size", 32, "--masks-from", "heatmap", "--overwrite")
    assert again.stdout.startswith("maps.h5: 3 images, 4 levels\n")


def flipped(path):
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        at = file["maps"].id.get_chunk_info(0).byte_offset + 5
    content[at] ^= 4
    path.write_bytes(content)


def newer_table(path):
    table = pq.read_table(path)
    note = json.dumps({"table": "fixations", "version": 99})
    pq.write_table(table.replace_schema_metadata({b"gazetools": note.encode()}), path)


def samples_table(path):
    table = pa.table({c.name: pa.array([], pa.float64()) for c in SAMPLES.columns})
    pq.write_table(table.replace_schema_metadata({b"gazetools": b'{"table": "samples"}'}), path)


def change_table(lab, **columns):
    path = lab / "fixations.parquet"
    table = pq.read_table(path).to_pandas()
    for name, value in columns.items():
        table[name] = value
    save(table, lab)


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def write_png(path, height, width, value=200):
    path.write_bytes(encode_png(np.full((height, width), value, np.uint8)))


BAD_INPUT = {
    "image truncated": (lambda d: cut(d / "images/synthetic_0002.jpg"), "synthetic_0002.jpg"),
    "image no image": (
        lambda d: (d / "images/synthetic_0002.jpg").write_text("<html>"),
        "synthetic_0002.jpg: not a readable image.*expected .png.*copy it again",
    ),
    "image empty": (
        lambda d: (d / "images/synthetic_0002.jpg").write_bytes(b""),
        "synthetic_0002.jpg: ends after 0 bytes",
    ),
    "image of another size": (
        lambda d: write_png(d / "images/synthetic_0001.jpg", 50, 40),
        r"synthetic_0001.jpg: is 40 x 50 px, but the fixation table says \d+ x \d+; use",
    ),
    "mask of another size": (
        lambda d: write_png(d / "masks/synthetic_0003.png", 50, 40),
        r"synthetic_0003.png: is 40 x 50 px, its image \d+ x \d+; expected the size",
    ),
    "mask truncated": (lambda d: cut(d / "masks/synthetic_0003.png"), "synthetic_0003.png: ends"),
    "mask of labels": (
        lambda d: (d / "masks/synthetic_0003.png").write_bytes(
            encode_png(read_mask(d / "masks/synthetic_0003.png"))
        ),
        "synthetic_0003.png: a mask whose highest value is 1; .* save it with 0 and 255",
    ),
    "mask without its image": (
        lambda d: write_png(d / "masks/orphan.png", 9, 9),
        "orphan.png: no image of that name in images; remove or rename",
    ),
    "no image folder": (
        lambda d: (d / "images").rename(d / "pictures"),
        "images: no such folder; expected a folder of images",
    ),
    "empty image folder": (
        lambda d: (shutil.rmtree(d / "images"), (d / "images").mkdir()),
        "images: holds no image; expected .png",
    ),
    "no stimulus matches": (
        lambda d: change_table(d, stimulus="other.jpg"),
        "no stimulus with fixations has an image in images: stimuli other, images .*must match",
    ),
    "no positions": (
        lambda d: change_table(d, x_im=np.nan, x_px=1.0, y_px=1.0),
        r"none of \d+ fixations lies on an image \(\d+ without a position\); ingest again",
    ),
    "no stimuli": (
        lambda d: change_table(d, stimulus=None),
        r"none of \d+ fixations lies on an image \(\d+ without a stimulus\)",
    ),
    "all off the image": (
        lambda d: change_table(d, x_im=9999.0),
        r"none of \d+ fixations lies on an image \(\d+ off the image\)",
    ),
    "shares that are said to be px": (
        lambda d: change_table(d, x_im=0.3, y_im=1.0),
        "all .* positions in px .* from 0 to 1, as shares .*; of shares set image_width and",
    ),
    "shares without a size": (
        lambda d: change_table(d, x_im=0.3, y_im=0.7, image_width=None, image_height=None),
        r"all \d+ positions in px .* from 0 to 1, as shares",
    ),
    "fixations missing": (
        lambda d: (d / "fixations.parquet").unlink(),
        "fixations.parquet: no such file; `gazetools ingest` writes it",
    ),
    "fixations no Parquet": (
        lambda d: (d / "fixations.parquet").write_text("a,b\n1,2\n"),
        "fixations.parquet: not a readable Parquet file",
    ),
    "fixations truncated": (lambda d: cut(d / "fixations.parquet"), "fixations.parquet: not a rea"),
    "samples table": (
        lambda d: samples_table(d / "fixations.parquet"),
        "fixations.parquet: holds a samples table, expected fixations",
    ),
    "newer table": (
        lambda d: newer_table(d / "fixations.parquet"),
        "fixations.parquet: table version 99, this gazetools reads up to 1; update gazetools",
    ),
    "column missing": (
        lambda d: pq.write_table(
            pq.read_table(d / "fixations.parquet").drop(["duration_ms"]), d / "fixations.parquet"
        ),
        "fixations.parquet: .*column 'duration_ms' is missing",
    ),
    "no duration": (
        lambda d: change_table(d, duration_ms=0.0),
        "fixations.parquet: .*lasts 0.0",
    ),
}


def check_one_line(done, found):
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    assert re.fullmatch(rf"error: [^\n]*{found}[^\n]*\n", done.stderr), done.stderr


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_one_line_and_changes_nothing(lab, name):
    damage, found = BAD_INPUT[name]
    (lab / "old.h5").write_bytes(b"what was there before")
    damage(lab)
    before = contents(lab)
    check_one_line(command("render", "--size", 32), found)
    check_one_line(command("render", "--size", 32, "-o", "old.h5", "--overwrite"), found)
    check_one_line(command("render", "-o", "old.h5"), "old.h5: already exists; remove it or pass")
    assert contents(lab) == before


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--levels", 0], "levels is 0; expected at least 1"),
        (["--size", 4], "size_px is 4; expected 8 to 4096"),
        (["--sigma", 0], "sigma is 0"),
        (["--heatmap-sigma", 2], "heatmap_sigma is 2"),
        (["--fractions", "1,0.5"], "expected 4 values"),
        (["--threshold", 1.5], "threshold is 1.5"),
        (["--band", 0.7, 0.3], "band is \\(0.7, 0.3\\)"),
        (["--set", "crf.color=1"], "'crf.color' is unknown; expected one of crf.sxy"),
        (["--set", "crf.compat=strong"], "crf.compat is 'strong'; expected something like 1.0"),
        (["--set", "crf.sxy=0"], "sxy is 0"),
        (["--set", "grabcut.maybe=0.6"], "maybe, probably, surely are 0.6, 0.4, 0.9"),
        (["--set", "grabcut.side_px=4"], "side_px is 4; expected 8 or more"),
        (["--set", "grabcut.prior_sigma=0.0"], "prior_sigma is 0.0; expected more than 0"),
        (["--set", "grabcut.surroundings_px=-1"], "expected 0 or more"),
        (["--shard-items", 0], "shard_items is 0"),
        (["--metric", "degrees", "--sigma", 1], "metric is 'degrees' and px_per_deg is None"),
        (["--px-per-deg", 30], "metric is 'square' and px_per_deg is 30.0"),
        (
            ["--metric", "degrees", "--sigma", 1, "--px-per-deg", 0],
            "px_per_deg is 0.0; expected a number above 0",
        ),
        (
            ["--metric", "degrees", "--sigma", 1, "--px-per-deg", "inf"],
            "px_per_deg is inf; expected a number above 0",
        ),
        (
            ["--metric", "degrees", "--sigma", 11, "--px-per-deg", 30],
            "sigma is 11.0; expected more than 0 and up to 10: .* or degrees",
        ),
        (["--workers", -1], "-1 workers"),
        (["--val", 0.6, "--test", 0.6], "expected a sum below 1"),
        (["--group-by", "("], "no regular expression"),
        (["--split", "held_out.txt"], "held_out.txt: split files are named"),
        (["--split", "train.txt"], "train.txt: no such split file"),
        (["-o", "no/such/maps.h5"], "no/such/maps.h5: folder no/such does not exist; create"),
        (["--masks", "images"], "images: named for images and for masks; expected a folder for"),
        (["--probabilities", "masks"], "masks: named for masks and for probabilities"),
        (["-o", "."], "\\.: is a folder; name a file in it"),
        (["-o", "images", "--overwrite"], "images: is"),
        (["-o", "fixations.parquet", "--overwrite"], "caches end in .h5, .hdf5, or in nothing"),
        (["-o", "images/maps.h5"], "images/maps.h5: is, or lies among, what is rendered"),
        (["-o", "images/synthetic_0001.jpg", "--overwrite"], "synthetic_0001.jpg: caches end in"),
        (["--dask", "foo"], "foo: is no address of a Dask scheduler; expected an address such as"),
    ],
)
def test_bad_options_are_one_line(lab, options, found):
    before = contents(lab)
    check_one_line(command("render", *options), found)
    assert contents(lab) == before


def test_degrees_need_a_sigma_of_their_own(lab):
    done = command("render", "--metric", "degrees", "--px-per-deg", 30)
    assert done.exit_code == 2
    assert "--metric degrees needs --sigma, in degrees" in done.stderr


def test_unparsable_fractions_are_a_usage_error(lab):
    done = command("render", "--fractions", "1,half")
    assert done.exit_code == 2
    assert "not a list of numbers" in done.stderr
    assert not (lab / "maps.h5").exists()


def test_stderr_is_one_line_even_where_decoders_complain(lab):
    """libpng and OpenCV write to stderr past Python: only a process of its own shows it."""
    png = encode_png(read_image(lab / "images/synthetic_0001.jpg"))
    (lab / "images/synthetic_0001.jpg").write_bytes(png[: len(png) // 2])
    done = subprocess.run(
        [sys.executable, "-c", "from gazetools_cli.gazetools import main; main()", "render"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: images/synthetic_0001.jpg: ends after [^\n]*\n", done.stderr)


# ---------------------------------------------------------------- bad caches


BAD_CACHES = {
    "missing": (lambda p: p.unlink(), "no such file; `gazetools render` writes it", False),
    "another version": (
        lambda p: rewrite_version(p, 7),
        "version 7 of gazetools-cache, this gazetools reads 2 and 3; render it again",
        False,
    ),
    "truncated": (cut, "cannot be opened as HDF5 .*render it again", False),
    "no HDF5": (lambda p: p.write_text("text"), "does not begin like a gazetools-cache", False),
    "flipped byte": (flipped, "item 'synthetic_0001' does not match its SHA-256", True),
    "altered end": (lambda p: p.write_bytes(p.read_bytes()[:-1] + b"?"), "altered after", False),
}


def rewrite_version(path, version):
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = version


@pytest.mark.parametrize("name", BAD_CACHES)
def test_bad_caches_are_one_line(lab, name):
    damage, found, only_verify = BAD_CACHES[name]
    render_lab(lab)
    damage(lab / "maps.h5")
    before = contents(lab)
    check_one_line(command("info", "maps.h5", "--verify"), f"maps.h5: .*{found}")
    if only_verify:
        assert command("info", "maps.h5").exit_code == 0
    else:
        check_one_line(command("info", "maps.h5"), f"maps.h5: .*{found}")
    assert contents(lab) == before


# ---------------------------------------------------------------- full disk, Ctrl-C


@pytest.mark.parametrize("where", ["write", "sync"])
def test_full_disk_is_one_line(lab, monkeypatch, where):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (lab / "maps.h5").write_bytes(b"old")
    before = sorted(lab.iterdir())
    with monkeypatch.context() as patch:
        if where == "sync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(DeafFile, "check", full)
        done = command("render", "--size", 32, "--masks-from", "heatmap", "--overwrite")
    check_one_line(
        done, r"maps.h5.*: cannot be written \(No space left on device\); free some space"
    )
    assert (lab / "maps.h5").read_bytes() == b"old"
    assert {*lab.iterdir()} - {*before} <= {lab / ".maps.h5.parts"}
    done = command("render", "--size", 32, "--masks-from", "heatmap", "--overwrite")
    assert done.exit_code == 0, done.output
    assert sorted(lab.iterdir()) == before


def test_full_disk_in_a_process(lab):
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from gazetools_cli.gazetools import main; main()"
    )
    before = contents(lab)
    done = subprocess.run(
        [sys.executable, "-c", code, "render", "--masks-from", "heatmap"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: [^\n]*maps.h5[^\n]*: cannot be written [^\n]*\n", done.stderr), (
        done.stderr
    )
    assert before.items() <= contents(lab).items()
    assert not (lab / "maps.h5").exists()


def test_interrupt_from_the_progress_callback(lab):
    def press(done, total, name):
        raise KeyboardInterrupt

    (lab / "maps.h5").write_bytes(b"old")
    before = contents(lab)
    with pytest.raises(KeyboardInterrupt):
        render_lab(lab, overwrite=True, progress=press)
    assert contents(lab) == before


def test_nothing_to_render_is_a_geometry_error(lab, small_cohort):
    save(small_cohort.fixations.iloc[:0], lab)
    with pytest.raises(GeometryError, match=r"none of 0 fixations .*\(there are none\)"):
        render_lab(lab)
    assert not Path("maps.h5").exists()


def test_the_commands_defaults_are_the_librarys(lab, monkeypatch):
    # typed twice, because importing the library would make --help slow
    seen = []

    def stop(*places, **options):
        seen.append((places, options))
        raise GeometryError("far enough")

    monkeypatch.setattr("gazetools.rendering.render", stop)
    CliRunner().invoke(main, ["render"])
    ((fixations, images, masks, out, spec), options) = seen[0]
    assert spec == RenderSpec()
    assert (str(fixations), str(images), str(masks)) == ("fixations.parquet", "images", "masks")
    assert (str(out), options["overwrite"]) == ("maps.h5", False)


def test_shares_of_an_image_are_put_into_its_px(lab, small_cohort):
    table = small_cohort.fixations
    shares = table.assign(
        x_im=table["x_im"] / table["image_width"].astype(float),
        y_im=table["y_im"] / table["image_height"].astype(float),
    )
    shares["image_width"] = shares["image_height"] = pd.array([1] * len(table), "Int64")
    found = []
    for some in (table, shares):
        save(some, lab)
        render_lab(lab, overwrite=True)
        with open_cache(lab / "maps.h5") as cache:
            found.append((cache.read("maps", range(3)), cache.fixations(0)))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1])


def test_crf_masks_see_the_image_at_its_own_size(lab):
    options = ["--masks-from", "crf", "--band", "0.3", "0.6", "--set", "crf.iterations=2"]
    assert command("render", "--size", 48, *options).exit_code == 0
    with open_cache(lab / "maps.h5") as cache:
        found = cache.read("pseudo_masks", [1])[0]
        assert cache.recipe["masks"]["crf"]["iterations"] == 2
        rows, size = cache.fixations(1), (cache.items[1].width, cache.items[1].height)
    spec = PseudoMaskSpec("crf", band=(0.3, 0.6), crf=CrfSpec(iterations=2))
    tracks = [
        Track(t[:, 0] / size[0], t[:, 1] / size[1], t[:, 3])
        for t in (rows[rows[:, 4] == n] for n in np.unique(rows[:, 4]))
    ]
    whole = pseudo_mask(read_image(lab / "images/synthetic_0002.jpg"), tracks, spec)
    np.testing.assert_array_equal(found, resize_mask(whole, (48, 48)))
    assert set(np.unique(found)) == {0, 1, 255}


def test_where_nothing_compiled_can_be_kept(lab, monkeypatch):
    """Neither the installation nor the home can be written: numba refuses to cache there."""
    code = (
        "from numba.core import caching\n"
        "for locator in (caching.InTreeCacheLocator, caching.UserWideCacheLocator):\n"
        "    locator.from_function = classmethod(lambda *_: None)\n"
        "from gazetools_cli.gazetools import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "render", "--size", "16", "--masks-from", "heatmap"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("maps.h5: 3 images")
