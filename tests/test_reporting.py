"""The report: one safe, self-contained page, whatever its inputs hold."""

import base64
import hashlib
import json
import math
import re
import shutil
import struct
import zipfile
import zlib
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from made_caches import random_record, write

import gazetools.reporting
from gazetools.cache import CacheSpec, Record
from gazetools.errors import ConfigError, FormatError, OutputError, SchemaError
from gazetools.figures import PSEUDO, REFERENCE
from gazetools.reporting import ReportSpec, read_names, write_report
from gazetools.reporting.charts import Scale, curves, histogram, main_sequence, rows_of_bars
from gazetools.reporting.pictures import outline
from gazetools.reporting.words import flat, shown
from gazetools.tables import FIXATIONS, QUALITY, SACCADES, SAMPLES, write_table

HOSTILE = (
    "<script>alert(1)</script>",
    "../../x",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "</script><!--<script>",
    "a\u202eb\x00c",
    "x" * 5000,
)
SPEC = CacheSpec(levels=2, height=24, width=32, codec="gzip")
FILES = Path(gazetools.reporting.__file__).parent


class Page(HTMLParser):
    """Elements, attributes and texts of a page; text of script and style apart."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.raw, self.text = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self._inside = None
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._inside = tag, dict(attributes)
            self.raw.append([*self._inside, ""])

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._inside = None

    def handle_data(self, data):
        if self._inside:
            self.raw[-1][2] += data
        else:
            self.text.append(data)

    def all(self, tag, cls=None):
        found = [a for t, a in self.elements if t == tag]
        return [a for a in found if cls is None or cls in (a.get("class") or "").split()]

    def policy(self):
        (found,) = [a for a in self.all("meta") if "http-equiv" in a]
        return dict(part.split(" ", 1) for part in found["content"].split("; "))

    def data(self):
        return [json.loads(text) for _, a, text in self.raw if a.get("class") == "layers"]

    def words(self):
        return " ".join(self.text)


def fixations(names, count=4, **columns):
    rng = np.random.default_rng(0)
    n = count * len(names)
    table = {
        "recording": "one",
        "subject": "R01",
        "trial": np.repeat(np.arange(1, len(names) + 1), count),
        "stimulus": np.repeat(list(names), count),
        "order": np.tile(np.arange(1, count + 1), len(names)),
        "onset_ms": np.tile(300.0 * np.arange(count), len(names)),
        "duration_ms": rng.uniform(100, 290, n),
        "x_im": rng.uniform(0, 40, n),
        "y_im": rng.uniform(0, 30, n),
        "image_width": 40,
        "image_height": 30,
        "source": "made",
    }
    return pd.DataFrame(table | columns)


def write_fixations(path, table, **note):
    write_table(FIXATIONS.conform(table), path, FIXATIONS, provenance=note)
    return path


def write_quality_table(path, names, *, stimulus="a"):
    """A flagged recording and its two trials, of which the first is flagged too."""
    rows = [
        {"level": "recording", "flags": "data loss 74 % (over 25); RMS-S2S 0.6 deg (over 0.5)"},
        {"level": "trial", "trial": 1, "stimulus": stimulus, "flags": "data loss 80 % (over 25)"},
        {"level": "trial", "trial": 2, "stimulus": "b", "flags": ""},
    ]
    same = {
        "file": "export.tsv",
        "subject": names[0],
        "recording": names[1],
        "rate_hz": 120.0,
        "loss_pct": 74.0,
        "rms_s2s_deg": 0.6,
        "accuracy_deg": 0.4,
        "accuracy_from": "targets",
        "notes": "",
    }
    table = QUALITY.conform(pd.DataFrame([same | row for row in rows]))
    limits = {"max_loss_pct": 25.0, "max_rms_s2s_deg": 0.5, "min_fixations": None}
    write_table(table, path, QUALITY, provenance={"limits": limits, "gazetools": "0"})
    return path


def write_saccades(path):
    rng = np.random.default_rng(1)
    amplitude = rng.uniform(0.5, 20, 60)
    table = {
        "recording": "one",
        "subject": "R01",
        "trial": 1,
        "stimulus": "a",
        "onset_ms": np.arange(60.0),
        "duration_ms": 30.0,
        "amplitude_deg": amplitude,
        "peak_velocity_deg_s": 80 * amplitude**0.6,
        "source": "made",
    }
    write_table(SACCADES.conform(pd.DataFrame(table)), path, SACCADES, provenance={})
    return path


def write_run(folder, *, name="gradtrack", items=("a", "b"), cache_sha256="f" * 64):
    (folder / "evaluation").mkdir(parents=True)
    config = {
        "format": "gradtrack-run",
        "config": {"method": name, "lr": 0.001},
        "cache": {"path": "/home/somebody/maps.h5", "sha256": cache_sha256},
        "items": {"train": ["a"]},
        "parameters": 1000,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.csv").write_text(
        "iteration,loss,score,best_score,best_iteration\n100,1.5,,,\n200,inf,0.7,0.7,200\n"
    )
    rows = [f'"{item}",{0.9 - i / 2},{0.4}' for i, item in enumerate(items)]
    beside = folder / "evaluation" / "test_best"
    beside.with_suffix(".csv").write_text("\n".join(["name,dice,heatmap_dice", *rows]) + "\n")
    beside.with_suffix(".json").write_text(
        json.dumps({"n": 2, "dice_mean": 0.65, "dice_sd": 0.1, "chosen": name})
    )
    cv2.imwrite(str(beside.with_suffix(".png")), np.full((60, 90, 3), 200, np.uint8))
    return folder


def record(name, seed=1, **changes):
    made = random_record(seed, SPEC)
    return Record(**{**vars(made), "name": name, **changes})


def blob():
    mask = np.zeros((24, 32), np.uint8)
    mask[6:18, 8:24] = 1
    return mask


@pytest.fixture
def table(tmp_path):
    return write_fixations(tmp_path / "fixations.parquet", fixations(["a", "b"]))


@pytest.fixture
def cache(tmp_path):
    first = record("a", pseudo_mask=blob(), mask=blob())
    bare = record("b", 3, mask=None, mask_png=b"", fixations=np.empty((0, 5)))
    recipe = {"tracks": {"levels": 2, "keep": "suffix", "by": "count", "fractions": None}}
    return write(tmp_path / "maps.h5", [first, bare], SPEC, recipe=recipe)


def report(folder, *paths, **spec):
    out = folder / "report.html"
    summary = write_report(paths, out, ReportSpec(**spec), overwrite=True)
    return Page(out), summary


# ---------------------------------------------------------------- kinds of input


def test_fixations_alone(table, tmp_path):
    page, summary = report(tmp_path, table)
    assert (summary.stimuli, summary.shown, summary.fixations) == (2, 2, 8)
    assert len(page.all("article", "card")) == 2
    assert len([a for a in page.all("circle") if "data-b" in a]) == 8
    assert "% of the image diagonal" in page.words()
    assert "no image" in page.words()
    assert "stage-map" in page.source


def test_a_card_counts_and_times_the_same_fixations(tmp_path):
    rows = fixations(["a.png"], duration_ms=[1000.0, 200.0, 300.0, 400.0])
    rows.loc[0, ["x_im", "y_im"]] = np.nan
    rows[["x_px", "y_px"]] = 10.0
    page, _ = report(tmp_path, write_fixations(tmp_path / "f.parquet", rows))
    (card,) = page.all("article", "card")
    assert (card["data-fixations"], card["data-seconds"]) == ("4", "1.900")
    assert len([a for a in page.all("circle") if "data-b" in a]) == 3
    assert "1 fixation without a position on the image" in page.words()


def test_a_cache_has_maps_levels_and_outlines(cache, tmp_path):
    page, summary = report(tmp_path, cache)
    first, bare = page.data()
    assert first["heat"].startswith("data:image/webp;base64,")
    assert len(first["levels"]) == SPEC.levels
    assert first["pseudo"].startswith("M")
    assert first["reference"] == first["pseudo"]
    assert "reference" not in bare
    assert {"no gaze", "no reference mask"} <= set(
        "; ".join(page.text).replace("\n", "; ").split("; ")
    )
    assert "pseudo-mask Dice 1.000" in page.words()
    (names,) = [json.loads(t) for _, a, t in page.raw if a.get("id") == "level-names"]
    assert names == ["whole track", "last 50\N{NO-BREAK SPACE}%"]
    assert summary.stimuli == 2


def test_a_folder_of_shards_is_a_cache(cache, tmp_path):
    from gazetools.cache import open_cache
    from gazetools.cache.sharded import write_manifest

    folder = tmp_path / "shards"
    folder.mkdir()
    shard = folder / "shard-00000-0123456789ab.h5"
    shutil.copy(cache, shard)
    with open_cache(cache) as opened:
        write_manifest(
            folder, [shard], spec=opened.spec, recipe=opened.recipe, sources=opened.sources
        )
    _, summary = report(tmp_path, folder)
    assert summary.shown == 2


def test_quality_colours_what_is_flagged(table, tmp_path):
    quality = write_quality_table(tmp_path / "quality.parquet", ("R01", "one"), stimulus="b.png")
    page, summary = report(tmp_path, table, quality)
    assert summary.flagged == 1
    assert len(page.all("td", "beyond")) == 3
    assert len(page.all("tr", "flagged")) == 2
    first = page.all("article", "card")[0]
    assert "flagged" in first["class"]
    assert "max loss 25 %" in page.words()
    assert "Data loss per recording" in page.words()


def test_saccades_give_degrees_and_a_main_sequence(table, tmp_path):
    page, _ = report(tmp_path, table, write_saccades(tmp_path / "saccades.parquet"))
    words = page.words()
    assert "deg of visual angle" in words
    assert "Main sequence" in words
    assert "80 · amplitude^0.60" in words


def test_a_run_shows_curves_and_the_worst_first(tmp_path):
    page, summary = report(tmp_path, write_run(tmp_path / "runs" / "one"))
    assert summary.runs == 1
    words = page.words()
    assert words.index("0.400") < words.index("0.900")
    assert "0.650 ± 0.100" in words
    assert page.all("img", "gallery")
    assert "somebody" not in page.source
    assert "maps.h5" in words


def test_runs_are_compared(tmp_path):
    runs = [write_run(tmp_path / name, name=name) for name in ("one", "two")]
    page, _ = report(tmp_path, *runs)
    assert "What differs" in page.words()
    assert page.all("path", "series1")


def test_all_together(table, cache, tmp_path):
    from gazetools.cache import open_cache

    with open_cache(cache) as opened:
        sha256 = opened.sha256
    paths = [
        write_run(tmp_path / "run", cache_sha256=sha256),
        cache,
        write_quality_table(tmp_path / "quality.parquet", ("R01", "one")),
        write_saccades(tmp_path / "saccades.parquet"),
        table,
    ]
    page, summary = report(tmp_path, *paths)
    assert (summary.stimuli, summary.runs) == (2, 1)
    links = {a["href"] for a in page.all("a")}
    assert {"#overview", "#quality", "#stimuli", "#training", "#provenance"} <= links
    assert "the one shown here" in page.words()
    assert "predicted Dice" in page.words()


def test_images_of_a_folder_come_before_those_of_a_cache(cache, tmp_path):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((100, 200, 3), np.uint8))
    page, _ = report(tmp_path, cache, images=tmp_path / "images", picture_px=64)
    url = page.all("image")[0]["href"].split(",", 1)[1]
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(url), np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (32, 64, 3)


def test_gaze_on_a_screen_without_image(tmp_path):
    rows = fixations(["a"], x_im=np.nan, y_im=np.nan, image_width=pd.NA, image_height=pd.NA)
    rows = rows.assign(x_px=[10.0, 960, 1910, 960], y_px=[540.0, 10, 540, 1070])
    table = write_fixations(tmp_path / "f.parquet", rows, spec={"screen_px": [1920, 1080]})
    page, _ = report(tmp_path, table)
    places = [(a["cx"], a["cy"]) for a in page.all("circle") if "data-b" in a]
    assert places == [("5", "281"), ("500", "5"), ("995", "281"), ("500", "557")]
    assert "gaze on the screen" in page.words()


def test_fixations_are_numbered_as_in_the_table(tmp_path):
    rows = fixations(["a"])
    rows = rows[rows["order"] != 2]
    page, _ = report(tmp_path, write_fixations(tmp_path / "f.parquet", rows))
    assert [a["data-n"] for a in page.all("circle") if "data-b" in a] == ["1", "3", "4"]


def test_shares_have_the_proportions_of_their_images_or_are_left_out(tmp_path):
    rows = fixations(["a", "b"], count=2, image_width=1, image_height=1)
    table = write_fixations(
        tmp_path / "f.parquet", rows.assign(x_im=[0.0, 1, 0, 1], y_im=[0.5, 0.5, 0, 1])
    )
    page, _ = report(tmp_path, table)
    assert "Saccade amplitude" not in page.words()
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.zeros((30, 40, 3), np.uint8))
    page, _ = report(tmp_path, table, images=tmp_path / "images")
    assert "1 steps on images of unknown proportions are left out" in page.words()
    assert "median 80 %" in page.words()
    cache = write(tmp_path / "maps.h5", [record("b", width=30, height=40)], SPEC)
    page, _ = report(tmp_path, table, cache, images=tmp_path / "images")
    assert "left out" not in page.words()
    assert "median 90 %" in page.words()


def test_several_tables_tell_all_their_screens_and_counts(tmp_path):
    screen = {"width_px": 1920, "height_px": 1080, "width_mm": 528.0, "height_mm": 297.0}
    paths = []
    for number, name in enumerate("abc"):
        told = {
            "screens": [screen | {"distance_mm": 600.0 + 50 * min(number, 1)}],
            "summary": {
                "formats": {"tobii-prolab": 2},
                "rates_hz": [120.0 * (1 + number)],
                "samples": {"read": 100, "missing": 10 * number},
            },
            "spec": {"profile": f"p{number}"},
        }
        rows = fixations([name])
        paths.append(write_fixations(tmp_path / f"{name}.parquet", rows, **told))
    same_ingest = tmp_path / "same.parquet"
    same_ingest.write_bytes(paths[0].read_bytes())
    page, _ = report(tmp_path, *paths, same_ingest)
    words = page.words()
    assert "seen from 600 mm; 1920 x 1080 px, 528 x 297 mm, seen from 650 mm" in words
    assert "tobii-prolab (6 recordings)" in words
    assert "120 to 360 Hz measured" in words
    assert "10.0 % of the samples read" in words
    assert "profile p0; profile p1; profile p2" in words


# ---------------------------------------------------------------- attention


def write_attention(run, names=("a", "b"), **changes):
    rng = np.random.default_rng(4)
    n, stages, side = len(names), 4, 16
    arrays = {
        "names": np.array(names),
        "sizes": np.tile([40, 30], (n, 1)),
        "levels": np.arange(1, stages + 1),
        "images": rng.integers(0, 256, (n, side, side, 3), dtype=np.uint8),
        "attention": rng.integers(0, 256, (n, stages, side, side), dtype=np.uint8),
        "maps": rng.integers(0, 256, (n, stages, side, side), dtype=np.uint8),
    }
    np.savez_compressed(run / "evaluation" / "test_best.npz", **arrays | changes)
    return run


def test_attention_of_each_stage_is_beside_the_map_of_its_level(tmp_path):
    run = write_attention(write_run(tmp_path / "run"), levels=np.array([1, 2, 2, 3]))
    page, _ = report(tmp_path, run)
    assert len(page.all("image", "heat")) == 2 * 4 * 2
    (first,) = [a for a in page.all("svg") if a.get("aria-label") == "a: map of stage 4"]
    assert first["viewbox"] == "0 0 100 75"
    assert "stage 3, level 2" in page.words()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"maps": np.zeros((2, 4, 16, 15), np.uint8)}, "do not go together"),
        ({"attention": np.zeros((2, 4, 16, 16))}, "do not go together"),
        ({"images": np.zeros((0, 16, 16, 3), np.uint8)}, "do not go together"),
        ({"sizes": np.array([[40, 30], [0, 30]])}, "do not go together"),
        ({"names": np.array([{}, 1], object)}, "cannot be read"),
        ({"names": np.array([1, 2])}, "do not go together"),
        ({"names": np.full(2, 2**32 - 1, np.uint32).view("U1")}, "cannot be read"),
        ({"sizes": np.array([["40", "30"], ["40", "30"]])}, "do not go together"),
        ({"levels": np.array(["1", "2", "3", "4"])}, "do not go together"),
        ({"levels": np.ones((4, 1), int)}, "do not go together"),
        ({"maps": np.zeros((2, 4, 3000, 3000), np.uint8)}, "more than"),  # small when compressed
    ],
)
def test_attention_that_is_damaged_is_left_out(tmp_path, changes, said):
    run = write_attention(write_run(tmp_path / "run"), **changes)
    page, _ = report(tmp_path, run)
    assert not page.all("image", "heat")
    assert re.search(rf"test_best\.npz: .*{said}", page.words())
    assert str(tmp_path) not in page.source


def told(shape, descr="|u1", version=b"\x01\x00"):
    """An array of which there is nothing but the header."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (told((10**9, 4, 16, 16)), "holds more than"),
        (told((10**12,), "<U0"), "holds more than"),
        (told((2, -1, 16, 16)), "cannot be read"),
        (told((-(2**32), 2**32 - 232)), "holds more than"),
        (told((0, 2**70)), "cannot be read"),
        (told((2, 4, 16, 16)), "cannot be read"),
        (told((), ()), "cannot be read"),
        (told((2,)).replace(b"{", b"({"), "cannot be read"),
        (told((2,), version=b"\x02\x00"), "has a header as no evaluation writes it"),
        (b"", "cannot be read"),
    ],
    ids=[
        *("large", "many-of-nothing", "negative", "round-the-clock", "overflow"),
        *("no-content", "odd-type", "no-python", "other-version", "empty"),
    ],
)
def test_no_more_is_read_than_the_limit_whatever_a_header_says(tmp_path, member, said):
    run = write_attention(write_run(tmp_path / "run"))
    rewrite(run / "evaluation" / "test_best.npz", maps=member)
    page, _ = report(tmp_path, run)
    assert re.search(rf"test_best\.npz: .*{said}", page.words())


def rewrite(path, packed=zipfile.ZIP_STORED, **members):
    """Replace members of an archive, and pack all of them in a way."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= {f"{name}.npy": member for name, member in members.items()}
    with zipfile.ZipFile(path, "w", packed) as archive:
        for name, member in content.items():
            archive.writestr(name, member)


def test_attention_may_be_packed_in_no_other_way(tmp_path):
    run = write_attention(write_run(tmp_path / "run"))
    file = run / "evaluation" / "test_best.npz"
    rewrite(file, zipfile.ZIP_BZIP2)
    assert "names.npy is packed as no evaluation packs it" in report(tmp_path, run)[0].words()
    rewrite(file)
    content = bytearray(file.read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + place] |= 1
    file.write_bytes(content)
    words = report(tmp_path, run)[0].words()
    assert re.search(r"test_best\.npz: cannot be read .*encrypted", words)


def test_only_so_many_images_with_attention_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("gazetools.reporting.training._MOST_ATTENDED", 1)
    asked = []
    draw = gazetools.reporting.training._attended_image
    monkeypatch.setattr(
        "gazetools.reporting.training._attended_image", lambda *a: asked.append(a[1]) or draw(*a)
    )
    report(tmp_path, write_attention(write_run(tmp_path / "run")))
    assert asked == [0]


def test_attention_may_be_cut_short(tmp_path):
    run = write_attention(write_run(tmp_path / "run"), names=[HOSTILE[0], HOSTILE[2]])
    page, _ = report(tmp_path, run)
    assert HOSTILE[0] in page.words()
    file = run / "evaluation" / "test_best.npz"
    file.write_bytes(file.read_bytes()[:-90])
    page, _ = report(tmp_path, run)
    assert "test_best.npz: cannot be read" in page.words()


# ---------------------------------------------------------------- safety


@pytest.fixture
def hostile(tmp_path):
    table = write_fixations(
        tmp_path / "fixations.parquet",
        fixations(HOSTILE).assign(subject=HOSTILE[2], recording=HOSTILE[0], source=HOSTILE[0]),
        exports=list(HOSTILE),
        summary={"formats": {HOSTILE[0]: HOSTILE[2]}, "rates_hz": ["<b>"], "samples": [1]},
        spec={HOSTILE[0]: {HOSTILE[2]: HOSTILE}, "screen_px": "<>"},
        screens=[{"width_px": "<b>"}, 3],
    )
    quality = write_quality_table(
        tmp_path / "quality.parquet", (HOSTILE[0], HOSTILE[2]), stimulus=HOSTILE[0]
    )
    cache = write(
        tmp_path / "maps.h5",
        [record(name.replace("\x00", "")) for name in HOSTILE],
        SPEC,
        recipe={HOSTILE[0]: [HOSTILE[2]], "tracks": HOSTILE[0], "masks": {"source": HOSTILE[0]}},
        sources={HOSTILE[2]: HOSTILE[0]},
    )
    items = [name.replace('"', '""').replace("\x00", "") for name in HOSTILE]
    run = write_run(tmp_path / "run", name=HOSTILE[0], items=items)
    return [table, quality, cache, run]


def test_no_name_becomes_an_element_or_an_attribute(hostile, tmp_path):
    page, summary = report(tmp_path, *hostile, title=HOSTILE[0])
    assert summary.shown >= len(HOSTILE)
    assert [a for t, a, _ in page.raw if t == "script" and not a] == [{}]
    others = [a for t, a, _ in page.raw if t == "script" and a]
    assert {a["type"] for a in others} == {"application/json"}
    ours = "".join(path.read_text(encoding="utf-8") for path in FILES.glob("*.j2"))
    assert {tag for tag, _ in page.elements} <= set(re.findall(r"(?i)<([a-z]+\d?)", ours.lower()))
    assert page.all("img") == page.all("img", "gallery")
    assert len(others) == summary.shown + 1
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for value in attributes.values():
            assert "alert" not in (value or ""), (tag, attributes)
            assert "../x" not in (value or "")
    assert HOSTILE[0] in page.words()
    assert "\u202e" not in page.source
    assert "49" not in [text.strip() for text in page.text]
    assert "x" * 1000 not in page.source


def test_the_policy_allows_our_style_and_script_alone(hostile, tmp_path):
    page, _ = report(tmp_path, *hostile)
    policy = page.policy()
    assert policy["default-src"] == "'none'"
    assert policy["img-src"] == "data:"
    for tag in ("style", "script"):
        (text,) = [text for t, a, text in page.raw if t == tag and not a]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"


def test_nothing_outside_the_page_is_named(table, cache, tmp_path):
    paths = table, cache, write_run(tmp_path / "run")
    page, _ = report(tmp_path, *paths)
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "@import" not in page.source
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/webp;base64,", "#")), tag


def test_labels_for_what_is_operated(table, cache, tmp_path):
    """Every control has a name: inside a label, as text, or said outright."""
    page, _ = report(tmp_path, table, cache)
    ids = {a["id"] for _, a in page.elements if "id" in a}
    for _, a in page.elements:
        assert a.get("aria-labelledby", next(iter(ids))) in ids
    names = [a["id"] for _, a in page.elements if "id" in a]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["report.css", "report.js", "report.html.j2", "card.html.j2"])
def test_our_files_ask_for_nothing(name):
    text = (FILES / name).read_text(encoding="utf-8")
    for word in (
        "http:",
        "https:",
        "innerHTML",
        "eval(",
        "fetch(",
        "@font-face",
        " style=",
    ):
        assert word not in text, word


def test_outlines_have_the_colours_of_the_pictures():
    css = (FILES / "report.css").read_text(encoding="utf-8")
    for name, colour in (("pseudo", PSEUDO), ("reference", REFERENCE)):
        assert f"--{name}: #{bytes(colour).hex()}" in css


def test_the_same_input_makes_the_same_bytes(hostile, tmp_path):
    first, again = tmp_path / "1.html", tmp_path / "2.html"
    for out in (first, again):
        write_report(hostile, out)
    assert first.read_bytes() == again.read_bytes()


def test_limits_of_one_of_two_quality_tables_are_not_told_of_both(tmp_path):
    one = write_quality_table(tmp_path / "one.parquet", ("R01", "one"))
    other = write_quality_table(tmp_path / "other.parquet", ("R02", "two"))
    page, _ = report(tmp_path, one, other)
    assert "2 of 2 recordings are flagged; limits: max_loss_pct 25," in page.words()
    rows = pd.read_parquet(other)
    note = {"limits": {"max_loss_pct": 60.0}}
    write_table(rows, other, QUALITY, provenance=note, overwrite=True)
    page, _ = report(tmp_path, one, other)
    assert "2 of 2 recordings are flagged; flags exclude nothing" in page.words()


# ---------------------------------------------------------------- limits


def test_the_rest_is_listed_with_counts(tmp_path):
    table = write_fixations(tmp_path / "f.parquet", fixations([f"s{i}" for i in range(12)]))
    page, summary = report(tmp_path, table, most=5)
    assert (summary.shown, summary.stimuli) == (5, 12)
    assert "7 stimuli that are not shown" in page.words()
    assert "s11" in page.words()
    assert len(page.all("article", "card")) == 5


def test_stimuli_that_do_not_fit_are_listed(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    names = [f"s{i}" for i in range(8)]
    for name in names:
        noise = rng.integers(0, 256, (700, 700, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), noise)
    table = write_fixations(tmp_path / "f.parquet", fixations(names))
    spec = {"images": tmp_path / "images", "picture_px": 700, "limit_mb": 1.0}
    page, summary = report(tmp_path, table, **spec)
    assert 0 < summary.shown < 8
    assert summary.bytes == len(page.source.encode()) <= 1_000_000
    assert f"{8 - summary.shown} stimuli that are not shown" in page.words()


def test_only_some(table, cache, tmp_path):
    listed = tmp_path / "only.txt"
    listed.write_text("b.png\n\nb\n")
    _, summary = report(tmp_path, table, only=read_names(listed))
    assert summary.shown == summary.stimuli == 1
    with pytest.raises(FormatError, match="'c' is not among the 2 given"):
        report(tmp_path, table, only=("c",))
    listed.write_text("\n")
    with pytest.raises(FormatError, match="names no stimulus"):
        read_names(listed)


def test_the_worst_come_first(cache, tmp_path):
    page, _ = report(tmp_path, cache, order="worst")
    assert page.all("article", "card")[0].get("data-dice") == "1.0000"
    page, _ = report(tmp_path, cache, write_run(tmp_path / "run"), order="worst")
    assert [a["data-predicted"] for a in page.all("article", "card")] == ["0.4000", "0.9000"]


def test_thousands_of_fixations_on_one_stimulus(tmp_path):
    table = write_fixations(tmp_path / "f.parquet", fixations(["a"], count=3000))
    page, summary = report(tmp_path, table)
    assert summary.bytes < 200_000
    assert page.data()[0]["labels"] == ["R01, one, trial 1 (first 500 of 3,000)"]


def one_bit_png(width, height):
    """A PNG of any size, all black."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_an_image_of_30000_px_is_left_out_and_said_so(table, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(one_bit_png(30_000, 30_000))
    page, _ = report(tmp_path, table, images=tmp_path / "images")
    assert not page.all("image")
    assert "a.png: cannot be decoded" in page.words()
    assert str(tmp_path) not in page.source


def test_extreme_proportions_and_places(tmp_path):
    rows = fixations(["a"], image_width=30_000, image_height=1)
    rows["x_im"] = [-1e300, 1e300, 0, 15_000]
    rows["duration_ms"] = [1e-3, 86_400_000, 1, 1]
    rows["onset_ms"] = [np.inf, -1e300, 0, 1]
    page, _ = report(tmp_path, write_fixations(tmp_path / "f.parquet", rows))
    assert not re.search(r'"[^"]*\b(nan|inf)\b[^"]*"', " ".join(map(str, page.all("circle"))))
    assert all(abs(float(a["cx"])) <= 2000 for a in page.all("circle"))


def test_an_empty_table_is_a_page_without_stimuli(tmp_path):
    table = write_fixations(tmp_path / "f.parquet", FIXATIONS.empty())
    page, summary = report(tmp_path, table)
    assert summary.stimuli == summary.fixations == 0
    assert not page.all("article")
    assert "not known" in page.words()


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_impossible_durations_are_refused(tmp_path, value):
    rows = fixations(["a"]).astype({"duration_ms": float})
    rows.loc[2, "duration_ms"] = value
    path = tmp_path / "f.parquet"
    rows.to_parquet(path)
    with pytest.raises(SchemaError, match=r"f\.parquet.*row 2"):
        report(tmp_path, path)
    assert not (tmp_path / "report.html").exists()


def test_gaze_of_a_cache_that_is_not_finite_is_not_drawn(tmp_path):
    gaze = np.array([[5, 5, 0, 100, 0], [np.nan, 5, 100, 100, 0], [5, 5, 200, np.inf, 0.0]])
    page, summary = report(tmp_path, write(tmp_path / "m.h5", [record("a", fixations=gaze)], SPEC))
    assert summary.fixations == 1
    assert len([a for a in page.all("circle") if "data-b" in a]) == 1


def test_what_is_no_input_is_refused(tmp_path, cache, table):
    other = tmp_path / "other.txt"
    other.write_text("x")
    samples = tmp_path / "samples.parquet"
    write_table(SAMPLES.empty(), samples, SAMPLES, provenance={})
    empty = tmp_path / "empty"
    empty.mkdir()
    for paths, said in (
        ([], "nothing is given"),
        ([tmp_path / "no"], "no such file"),
        ([other], "neither Parquet nor HDF5"),
        ([empty], "holds neither"),
        ([samples], "name fixations.parquet, too"),
        ([cache, cache], "second cache"),
    ):
        with pytest.raises(FormatError, match=said):
            report(tmp_path, *paths)
    with pytest.raises(ConfigError, match="is named twice"):
        report(tmp_path, table, table.parent / "." / table.name)
    with pytest.raises(OutputError, match="is read"):
        write_report([table], table, overwrite=True)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", "{", "is no JSON"),
        ("config.json", "[" * 100_000, "is no JSON"),
        ("config.json", "[]", "expected an object"),
        ("config.json", '{"format": "other"}', "is not of a gradtrack-run"),
        ("metrics.csv", b"\xff\xfe", "cannot be read"),
        ("evaluation/test_best.csv", "dice\n1\n", "no column 'name'"),
    ],
)
def test_a_run_that_is_damaged_is_refused(tmp_path, file, content, said):
    run = write_run(tmp_path / "run")
    (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FormatError, match=said):
        report(tmp_path, run)


def test_a_run_may_say_anything(tmp_path):
    run = write_run(tmp_path / "run")
    told = {
        "format": "gradtrack-run",
        "config": [1],
        "cache": "x",
        "items": {"a": 1},
        "parameters": "\ud800",
        "big": 10**400,
    }
    (run / "config.json").write_text(json.dumps(told))
    (run / "metrics.csv").write_text("loss,\u202e\n1,2\nx,nan\n3\n")
    (run / "summary.json").write_text(
        '{"best_score": "x", "seconds": NaN, "best_iteration": 1' + "0" * 400 + "}"
    )
    (run / "evaluation" / "test_best.png").write_bytes(b"\x89PNG nothing")
    (run / "evaluation" / "test_best.json").write_text('{"n": [], "dice_mean": 1e999}')
    page, _ = report(tmp_path, run)
    assert "test_best.png" in page.words()
    assert not page.all("img", "gallery")


def test_notes_and_figures_of_any_size(tmp_path):
    huge = 10**400
    table = write_fixations(
        tmp_path / "f.parquet",
        fixations(["a"]),
        screens=[dict.fromkeys(("width_px", "height_px", "width_mm"), huge)],
        summary={
            "formats": {"x": huge},
            "rates_hz": [huge, 60, None],
            "samples": {"read": huge, "missing": 1},
        },
        spec={"screen_px": [huge, True]},
    )
    quality = write_quality_table(tmp_path / "q.parquet", ("R01", "one"))
    rows = pd.read_parquet(quality).assign(loss_pct=[1e308, np.inf, np.nan])
    limits = {"limits": {"max_loss_pct": huge, "min_fixations": math.inf}}
    write_table(QUALITY.conform(rows), quality, QUALITY, provenance=limits, overwrite=True)
    saccades = write_saccades(tmp_path / "s.parquet")
    rows = pd.read_parquet(saccades)
    rows.loc[:2, "amplitude_deg"] = [1e308, np.inf, -1e308]
    write_table(SACCADES.conform(rows), saccades, SACCADES, provenance={}, overwrite=True)
    page, _ = report(tmp_path, table, quality, saccades)
    assert "60 Hz measured" in page.words() or "120 Hz measured" in page.words()
    charts = page.all("rect", "bar")
    assert all(math.isfinite(float(a[name])) for a in charts for name in ("x", "y", "width"))


def test_settings_out_of_range():
    for wrong in ({"order": "best"}, {"most": -1}, {"limit_mb": 0}, {"picture_px": 1}):
        with pytest.raises(ConfigError):
            ReportSpec(**wrong)


# ---------------------------------------------------------------- parts


def test_a_histogram_counts_every_value_once():
    values = np.array([0.0, 1, 1, 2, 50, np.nan, 1e9])
    chart = histogram(values, "t", "x", counted="things")
    counts = [int(bar.tip.rsplit(": ", 1)[1].split()[0].replace(",", "")) for bar in chart.bars]
    assert sum(counts) == 6
    assert histogram(np.array([np.nan]), "t", "x", counted="things") is None
    single = histogram(np.full(5, 3.0), "t", "x", counted="things", whole=True)
    assert sum("5 things" in bar.tip for bar in single.bars) == 1


def test_scales_have_round_ticks():
    ticks = Scale(0, 950, 0, 100).ticks()
    assert [tick.label for tick in ticks] == ["0", "200", "400", "600", "800"]
    assert [tick.label for tick in Scale(0, 1, 0, 100).ticks(5)][:3] == ["0.0", "0.2", "0.4"]
    assert [t.label for t in Scale(0.4, 120, 0, 1, logarithmic=True).ticks()][:3] == [
        "0.5",
        "1",
        "2",
    ]


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_charts_of_any_size_stay_in_their_frame(size):
    x = np.array([1.0, 2, 3])
    chart = curves("t", [("one", x, x * size)], "x")
    numbers = [float(n) for n in re.findall(r"[\d.]+", chart.lines[0].path)]
    assert 0 <= min(numbers) <= max(numbers) <= chart.width
    assert rows_of_bars("t", ["a", "b"], np.array([size, np.nan]), "x", None).bars[0].width > 0
    assert main_sequence(x, np.array([np.nan, 5, 6])).dots.count("M") == 2


def test_an_outline_closes_at_the_border_and_leaves_specks_out():
    mask = np.zeros((24, 32), bool)
    mask[:, :16] = True
    mask[3, 30] = True
    path = outline(mask, (320, 240))
    numbers = np.array(re.findall(r"\d+", path), int).reshape(-1, 2)
    assert path.count("M") == path.count("Z") == 1
    assert numbers.max(axis=0) == pytest.approx([160, 240], abs=4)
    assert outline(np.zeros((4, 4), bool), (10, 10)) == ""


def test_words_that_cannot_be_seen():
    assert shown("a\u202eb\x00") == "a\ufffdb\ufffd"
    assert len(shown("x" * 5000)) == 160
    deep = {"a": 1}
    for _ in range(50):
        deep = {"a": deep}
    assert flat(deep)
    assert len(flat({str(i): i for i in range(10_000)})) == 121
