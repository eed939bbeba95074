"""Renders that are stopped, done again, brought up to date, or done by many workers."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from gazetools_cli.gazetools import main
from made_caches import random_text
from twelve_images import IMAGES, SPEC, content, make, save, wait_for

from gazetools.cache import open_cache, put_text
from gazetools.cache.sharded import MANIFEST
from gazetools.errors import CacheError, ConfigError, FormatError, OutputError
from gazetools.images import encode_png, read_image
from gazetools.masks import PseudoMaskSpec
from gazetools.rendering import RenderSpec, merge, onefile, shards
from gazetools.splits import SplitSpec
from gazetools.tables import FIXATIONS, write_table
from gazetools.tracks import TrackSpec
from gazetools.workers import Workers

TWO_EACH = {"workers": Workers(1), "shard_items": 2}
COMMAND = [sys.executable, "-c", "from gazetools_cli.gazetools import main; main()"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Killed(BaseException):
    pass


def stopping_after(count):
    """Return a progress callback that stops the work after `count` rendered items."""

    def progress(done, total, name):
        if not name.startswith("looked at") and done >= count:
            raise Killed

    return progress


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("out", ["maps.h5", "maps"])
def test_what_was_rendered_before_a_stop_is_not_rendered_again(twelve, out):
    make(twelve, "whole" + out[4:], **TWO_EACH)
    with pytest.raises(Killed):
        make(twelve, out, **TWO_EACH, progress=stopping_after(7))
    assert not (twelve / "maps.h5").exists()
    assert not (twelve / "maps" / MANIFEST).exists()
    if out == "maps":
        with pytest.raises(CacheError, match=r"maps: holds no manifest.parquet.*gazetools render"):
            open_cache(twelve / out)
    summary = make(twelve, out, **TWO_EACH)
    assert (summary.rendered, summary.reused, summary.items) == (6, 6, 12)
    assert content(twelve / out) == content(twelve / ("whole" + out[4:]))
    assert not [name for name in names(twelve) if name.startswith(".")]


def test_a_damaged_or_foreign_shard_is_rendered_again(twelve):
    make(twelve, "whole.h5")
    with pytest.raises(Killed):
        make(twelve, **TWO_EACH, progress=stopping_after(7))
    parts = sorted((twelve / ".maps.h5.parts").iterdir())
    assert len(parts) == 6
    flip(parts[0], parts[0].stat().st_size // 2)
    parts[1].write_bytes(b"half a file")
    (twelve / ".maps.h5.parts" / ".shard-00009.h5.elsewhere.77.part").write_bytes(b"left behind")
    summary = make(twelve, **TWO_EACH)
    assert (summary.rendered, summary.reused) == (8, 4)
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


def flip(path, at):
    damaged = bytearray(path.read_bytes())
    damaged[at] ^= 1
    path.write_bytes(damaged)


def test_inputs_that_changed_meanwhile_are_rendered_again(twelve):
    with pytest.raises(Killed):
        make(twelve, **TWO_EACH, progress=stopping_after(7))
    image = read_image(twelve / "images/image01.png")
    (twelve / "images/image01.png").write_bytes(encode_png(255 - image))
    summary = make(twelve, **TWO_EACH)
    assert (summary.rendered, summary.reused) == (7, 5)
    make(twelve, "whole.h5")
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_process_goes_on_where_it_was(twelve, sent):
    options = ["--size", "224", "--near-duplicates", "-1", "--shard-items", "1", "--workers", "2"]
    process = subprocess.Popen([*COMMAND, "render", *options], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(twelve.glob(".maps.h5.parts/shard-*.h5"))) >= 2)
    pressed = time.monotonic()
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=240)
    assert time.monotonic() - pressed < 5
    if sent == signal.SIGINT:
        assert process.returncode == 1
        assert stderr == (
            "interrupted: what is rendered is kept in .maps.h5.parts; the same command goes on\n"
        )
    else:
        assert process.returncode == -signal.SIGKILL
    assert not (twelve / "maps.h5").exists()
    again = CliRunner().invoke(main, ["render", *options])
    assert again.exit_code == 0, again.output
    assert "were there" in again.stdout
    CliRunner().invoke(main, ["render", *options, "-o", "whole.h5"])
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")
    assert not [name for name in names(twelve) if name.startswith(".")]


# ---------------------------------------------------------------- bringing up to date


def without(twelve, *images):
    """Render while some images are not there yet."""
    for name in images:
        (twelve / "images" / name).rename(twelve / name)
    summary = make(twelve)
    for name in images:
        (twelve / name).rename(twelve / "images" / name)
    return summary


def test_only_new_images_are_rendered(twelve):
    without(twelve, "image03.png", "image07.png")
    summary = make(twelve)
    assert (summary.rendered, summary.reused, summary.changed) == (2, 10, [])
    assert without(twelve, "image03.png").removed == ["image03"]
    make(twelve)
    make(twelve, "whole.h5")
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


@pytest.mark.parametrize("out", ["maps.h5", "maps"])
def test_settings_are_read_back_as_they_were(twelve, out):
    """JSON has no tuples."""
    masks = PseudoMaskSpec("heatmap", band=(0.3, 0.6))
    spec = RenderSpec(24, TrackSpec(2, fractions=(1.0, 0.5)), masks=masks, split=SPEC.split)
    make(twelve, out, spec)
    summary = make(twelve, out, spec)
    assert (summary.rendered, summary.changed) == (0, [])


def test_nothing_new_leaves_the_file_alone(twelve):
    make(twelve)
    before = (twelve / "maps.h5").stat()
    summary = make(twelve)
    after = (twelve / "maps.h5").stat()
    assert (summary.rendered, summary.reused, summary.items) == (0, 12, 12)
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_changed_setting_is_told_and_all_is_rendered_again(twelve):
    make(twelve)
    other = RenderSpec(24, TrackSpec(2), masks=SPEC.masks, split=SPEC.split)
    summary = make(twelve, spec=other)
    assert (summary.rendered, summary.reused) == (12, 0)
    assert summary.changed == ["tracks.levels was 4, is 2"]
    make(twelve, "whole.h5", other)
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


def test_other_splits_need_no_rendering(twelve):
    make(twelve)
    other = RenderSpec(24, masks=SPEC.masks, split=SplitSpec(seed=5, near_duplicate_bits=-1))
    summary = make(twelve, spec=other)
    assert (summary.rendered, summary.reused) == (0, 12)
    assert summary.changed == ["split.seed was 0, is 5"]
    make(twelve, "whole.h5", other)
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


def test_text_stays_until_something_is_rendered(twelve):
    make(twelve)
    put_text(twelve / "maps.h5", random_text(12), twelve / "maps.h5")
    assert not make(twelve).text_dropped
    with open_cache(twelve / "maps.h5") as cache:
        assert cache.text is not None
    assert without(twelve, "image03.png").text_dropped
    with open_cache(twelve / "maps.h5") as cache:
        assert cache.text is None


def test_changed_gaze_and_masks_are_rendered_again(twelve):
    make(twelve)
    table = pd.read_parquet(twelve / "fixations.parquet")
    table.loc[table["stimulus"] == "image03", "duration_ms"] += 1
    path = twelve / "fixations.parquet"
    write_table(table, path, FIXATIONS, provenance={"exports": ["b.tsv"]}, overwrite=True)
    (twelve / "masks/image00.png").unlink()
    summary = make(twelve)
    assert (summary.rendered, summary.changed) == (2, [])


def test_parts_that_a_kill_left_after_the_last_step_go(twelve):
    make(twelve)
    (twelve / ".maps.h5.parts").mkdir()
    (twelve / ".maps.h5.parts/shard-00000-0123456789ab.h5").write_bytes(b"done with")
    assert make(twelve).rendered == 0
    assert not (twelve / ".maps.h5.parts").exists()


@pytest.mark.parametrize("name", ["images/image03.png", "masks/image05.png"])
def test_a_file_that_changes_between_plan_and_work_is_refused(twelve, name):
    def change(done, total, what):
        if what.startswith("looked at") and done == total:
            content = read_image(twelve / name)
            (twelve / name).write_bytes(encode_png(255 - content))

    with pytest.raises(FormatError, match=rf"{name}: was changed while the cache was rendered"):
        make(twelve, progress=change)
    make(twelve)
    make(twelve, "whole.h5")
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


def test_a_damaged_item_is_rendered_again(twelve):
    make(twelve, "whole.h5")
    shutil.copy(twelve / "whole.h5", twelve / "maps.h5")
    with open_cache(twelve / "maps.h5") as cache:
        begin = cache._chunks["maps"].extents[4][0]
    flip(twelve / "maps.h5", begin + 9)
    summary = make(twelve)
    assert (summary.rendered, summary.mended) == (1, ["image04"])
    assert content(twelve / "maps.h5") == content(twelve / "whole.h5")


def test_overwrite_renders_all_afresh(twelve):
    make(twelve)
    before = content(twelve / "maps.h5")
    summary = make(twelve, overwrite=True)
    assert (summary.rendered, summary.reused) == (12, 0)
    assert content(twelve / "maps.h5") == before


def test_a_cache_of_other_images_is_left_alone(twelve):
    make(twelve)
    before = content(twelve / "maps.h5")
    table = pd.read_parquet(twelve / "fixations.parquet")
    table["stimulus"] = table["stimulus"].str.replace("image", "other")
    save(table, twelve)
    for path in [*twelve.glob("images/*"), *twelve.glob("masks/*")]:
        path.rename(path.with_name(path.name.replace("image", "other")))
    with pytest.raises(OutputError, match=r"already exists.*--overwrite.*of other images"):
        make(twelve)
    assert content(twelve / "maps.h5") == before
    assert make(twelve, overwrite=True).rendered == 12


def test_two_at_once_are_refused_and_the_first_is_not_disturbed(twelve):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(done, total, name):
        begun.set()
        assert go_on.wait(30)

    first = threading.Thread(target=make, args=(twelve,), kwargs={"progress": slowly})
    first.start()
    begun.wait(30)
    with pytest.raises(OutputError, match=r"maps.h5: is being written by another gazetools"):
        make(twelve)
    go_on.set()
    first.join()
    assert make(twelve).reused == 12


def test_identical_images_and_gaze_stay_two_items(twelve):
    shutil.copy(twelve / "images/image01.png", twelve / "images/image02.png")
    table = pd.read_parquet(twelve / "fixations.parquet")
    one = table[table["stimulus"] == "image01"]
    save(pd.concat([table[table["stimulus"] != "image02"], one.assign(stimulus="image02")]), twelve)
    make(twelve)
    inode = (twelve / "maps.h5").stat().st_ino
    assert make(twelve).rendered == 0
    assert (twelve / "maps.h5").stat().st_ino == inode
    save(pd.read_parquet(twelve / "fixations.parquet").assign(pupil=1.0), twelve)
    assert make(twelve).rendered == 0
    with open_cache(twelve / "maps.h5") as cache:
        assert [item.name for item in cache.items] == [f"image{n:02d}" for n in range(12)]
        assert len(list(cache.verify())) == 12


# ---------------------------------------------------------------- folders of shards


def test_a_folder_reads_like_one_file(twelve):
    make(twelve)
    assert make(twelve, "maps", workers=Workers(2), shard_items=5).shards == 3
    with open_cache(twelve / "maps.h5") as one, open_cache(twelve / "maps") as many:
        assert [(i.name, i.split, i.sha256) for i in many.items] == [
            (i.name, i.split, i.sha256) for i in one.items
        ]
        assert many.bytes_on_disk > one.bytes_on_disk == (twelve / "maps.h5").stat().st_size
        assert (many.recipe, many.sources, many.spec) == (one.recipe, one.sources, one.spec)
        order = [11, 3, 3, 0, 7]
        for field in ("images", "maps", "heatmaps", "pseudo_masks", "masks"):
            np.testing.assert_array_equal(many.read(field, order), one.read(field, order))
            out = np.empty_like(one.read(field, order))
            assert many.read(field, order, out) is out
            np.testing.assert_array_equal(out, one.read(field, order))
        for split in ("train", "val", "test"):
            np.testing.assert_array_equal(many.indices(split), one.indices(split))
        np.testing.assert_array_equal(many.fixations(6), one.fixations(6))
        np.testing.assert_array_equal(many.original_mask(0), one.original_mask(0))
        assert len(list(many.verify())) == len(many) == 12
        for index in (-1, 12):
            with pytest.raises(CacheError, match="no item"):
                many.read("maps", [index])
    with pytest.raises(CacheError, match="closed"):
        many.read("maps", [0])


def test_more_shards_than_are_held_open(twelve, monkeypatch):
    monkeypatch.setattr("gazetools.cache.sharded._OPEN_AT_ONCE", 2)
    make(twelve, "maps", **TWO_EACH)
    with open_cache(twelve / "maps") as cache:
        whole = cache.read("maps", range(12))
        for index in reversed(range(12)):
            np.testing.assert_array_equal(cache.read("maps", [index])[0], whole[index])
        with ThreadPoolExecutor(4) as pool:
            order = np.random.default_rng(0).integers(0, 12, 400)
            for index, found in zip(
                order, pool.map(lambda i: cache.read("maps", [i]), order), strict=True
            ):
                np.testing.assert_array_equal(found[0], whole[index])
        assert len(cache._open) <= 5


def test_merged_shards_are_the_file_that_render_makes(twelve):
    make(twelve)
    make(twelve, "maps", **TWO_EACH)
    assert merge(twelve / "maps", twelve / "merged.h5") == 12
    assert content(twelve / "merged.h5") == content(twelve / "maps.h5")
    with pytest.raises(OutputError, match=r"merged.h5: already exists"):
        merge(twelve / "maps", twelve / "merged.h5")
    with pytest.raises(CacheError, match="no such folder"):
        merge(twelve / "nothing", twelve / "again.h5")


def test_shards_do_not_depend_on_who_renders_them(twelve):
    made = [make(twelve, out, workers=Workers(n), shard_items=5) for out, n in (("a", 1), ("b", 2))]
    assert made[0] == made[1]
    assert content(twelve / "a") == content(twelve / "b")


def test_new_images_go_to_new_shards(twelve):
    (twelve / "masks/image00.png").unlink()
    hidden = twelve / "image00.png"
    (twelve / "images/image00.png").rename(hidden)
    split = SplitSpec((twelve / "train.txt",), val=0)
    (twelve / "train.txt").write_text("\n".join(f"image{n:02d}" for n in range(12)))
    spec = RenderSpec(24, masks=SPEC.masks, split=split)
    make(twelve, "maps", spec, **TWO_EACH)
    before = content(twelve / "maps")
    hidden.rename(twelve / "images/image00.png")
    summary = make(twelve, "maps", spec, **TWO_EACH)
    assert (summary.rendered, summary.reused, summary.shards) == (1, 11, 7)
    after = content(twelve / "maps")
    assert {k: v for k, v in before.items() if k != MANIFEST}.items() <= after.items()
    merge(twelve / "maps", twelve / "merged.h5")
    make(twelve, "maps.h5", spec)
    assert content(twelve / "merged.h5") == content(twelve / "maps.h5")


def test_a_changed_setting_replaces_all_shards(twelve):
    make(twelve, "maps", **TWO_EACH)
    other = RenderSpec(24, TrackSpec(2), masks=SPEC.masks, split=SPEC.split)
    summary = make(twelve, "maps", other, **TWO_EACH)
    assert (summary.rendered, summary.changed) == (12, ["tracks.levels was 4, is 2"])
    with open_cache(twelve / "maps") as cache:
        assert cache.levels == 2
        assert len(list(cache.verify())) == 12
    assert len(names(twelve / "maps")) == 7


def test_a_damaged_shard_is_replaced(twelve):
    make(twelve, "maps", **TWO_EACH)
    shard = shard_of(twelve, 3)
    flip(shard, shard.stat().st_size // 2)
    summary = make(twelve, "maps", **TWO_EACH)
    assert (summary.rendered, summary.mended) == (2, [shard.name])
    merge(twelve / "maps", twelve / "merged.h5")
    make(twelve)
    assert content(twelve / "merged.h5") == content(twelve / "maps.h5")


def shard_of(lab, number):
    (shard,) = lab.glob(f"maps/shard-{number:05d}-*.h5")
    return shard


BAD_FOLDERS = {
    "a shard is missing": (
        lambda d: shard_of(d.parent, 2).unlink(),
        r"shard-00002-\w+.h5: no such file",
    ),
    "a shard is another": (
        lambda d: shutil.copy(shard_of(d.parent, 0), shard_of(d.parent, 1)),
        r"shard-00001-\w+.h5: is not the shard that manifest.parquet names; render again",
    ),
    "no manifest": (
        lambda d: (d / MANIFEST).unlink(),
        "holds no manifest.parquet, so it is no finished cache",
    ),
    "no Parquet": (lambda d: (d / MANIFEST).write_text("x"), "manifest.parquet: not a readable"),
    "another table": (
        lambda d: shutil.copy(d.parent / "fixations.parquet", d / MANIFEST),
        r"manifest.parquet: holds a fixations table, expected shards",
    ),
    "names a path": (lambda d: rename_shard(d, "../maps.h5"), "is not a manifest of shards"),
}


def rename_shard(folder, name):
    from gazetools.cache.sharded import SHARDS
    from gazetools.tables import read_table

    table, about = read_table(folder / MANIFEST, SHARDS)
    table["shard"] = name
    write_table(table, folder / MANIFEST, SHARDS, provenance=about, overwrite=True)


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_bad_folders(twelve, name):
    make(twelve, "maps", **TWO_EACH)
    damage, found = BAD_FOLDERS[name]
    whole = content(twelve / "maps")
    damage(twelve / "maps")
    with pytest.raises(CacheError, match=found):
        open_cache(twelve / "maps")
    make(twelve, "maps", **TWO_EACH)
    with open_cache(twelve / "maps") as cache:
        assert len(list(cache.verify())) == 12
    merge(twelve / "maps", twelve / "merged.h5")
    make(twelve)
    assert content(twelve / "merged.h5") == content(twelve / "maps.h5")
    make(twelve, "maps", **TWO_EACH, overwrite=True)
    assert content(twelve / "maps") == whole


def test_merged_into_its_own_folder(twelve):
    make(twelve, "maps", **TWO_EACH)
    with pytest.raises(OutputError, match="lies among the shards"):
        merge(twelve / "maps", twelve / "maps/all.h5")


def test_hidden_files_of_others_do_no_harm(twelve):
    make(twelve, "maps", **TWO_EACH)
    (twelve / "maps/.DS_Store").write_bytes(b"left by a file manager")
    (twelve / "maps/.odd.part").mkdir()
    assert make(twelve, "maps", **TWO_EACH).rendered == 0
    assert {".DS_Store", ".odd.part"} <= set(names(twelve / "maps"))


def test_a_file_is_no_folder(twelve):
    (twelve / "maps").write_text("mine")
    with pytest.raises(OutputError, match="maps: is a file; name a new folder"):
        make(twelve, "maps")
    assert (twelve / "maps").read_text() == "mine"


def test_a_folder_of_other_things_is_left_alone(twelve):
    (twelve / "papers").mkdir()
    (twelve / "papers/gaze.pdf").write_text("to be read")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"papers: is a folder that holds other files"):
            make(twelve, "papers", overwrite=overwrite)
    with pytest.raises(OutputError, match=r"images: is, or lies among, what is rendered"):
        make(twelve, "images")
    assert names(twelve / "papers") == ["gaze.pdf"]
    assert len(names(twelve / "images")) == 12


# ---------------------------------------------------------------- workers


def test_workers_of_other_versions_refuse(twelve, monkeypatch):
    task = shards.ShardTask(twelve / "shard-00000.h5", (), SPEC, SPEC.drawing(), durable=True)
    monkeypatch.setattr("cv2.__version__", "1")
    with pytest.raises(ConfigError, match=r"versions.opencv was .*, is \"1\".*the same versions"):
        shards.render_shard(task)


def test_bad_workers(twelve):
    with pytest.raises(ConfigError, match="-1 workers; expected 0"):
        Workers(-1)
    with pytest.raises(ConfigError, match="shard_items is 0; expected at least 1"):
        make(twelve, shard_items=0)


def test_an_error_in_one_thread_stops_the_others(twelve, monkeypatch):
    seen = []

    def item(job, spec):
        seen.append(job.name)
        if job.name == "image00":
            raise OutputError("broken")
        time.sleep(0.01)
        return rendered(job, spec)

    rendered = shards.render_item
    monkeypatch.setattr(shards, "render_item", item)
    with pytest.raises(OutputError, match="broken"):
        make(twelve, workers=Workers(2))
    assert len(seen) < IMAGES
    assert not list(twelve.glob(".maps.h5.parts/.*"))


@pytest.mark.parametrize("out", ["maps.h5", "maps"])
def test_a_folder_that_cannot_be_made_is_told(twelve, out, monkeypatch):
    def full(folder, *args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = names(twelve)
    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OutputError, match=r"maps.*: folder cannot be made \(No space left"):
        make(twelve, out)
    assert names(twelve) == before


def test_parts_are_not_put_where_a_link_leads(twelve):
    (twelve / ".maps.h5.parts").symlink_to(twelve / "masks")
    before = names(twelve / "masks")
    with pytest.raises(OutputError, match=r"\.maps\.h5\.parts: is a link; .*remove the link"):
        make(twelve)
    assert names(twelve / "masks") == before


def test_the_parts_folder_is_used_up(twelve):
    assert onefile._SHARDS_AT_LEAST > 1
    make(twelve)
    assert names(twelve) == ["fixations.parquet", "images", "maps.h5", "masks"]
    assert os.access(twelve / "maps.h5", os.R_OK)


def test_commands_read_folders(twelve):
    runner = CliRunner()
    done = runner.invoke(main, ["render", "-o", "maps", "--size", "24", "--shard-items", "5"])
    assert done.exit_code == 0, done.output
    assert re.search(r"^  shards +3$", done.stdout, re.M)
    shown = runner.invoke(main, ["info", "maps", "--verify"])
    assert re.search(r"^  items +12$", shown.stdout, re.M)
    assert re.search(r"^  verified +every byte$", shown.stdout, re.M)
    done = runner.invoke(main, ["merge", "maps"])
    assert done.stdout == "maps.h5: 12 images\n"
    again = runner.invoke(main, ["render", "--size", "24", "--levels", "3"])
    assert re.search(r"^  changed settings +tracks.levels was 4, is 3$", again.stdout, re.M)
    again = runner.invoke(main, ["render", "--size", "24", "--levels", "3"])
    assert re.search(r"^  rendered +0 now, 12 were there$", again.stdout, re.M)
