"""Exports that are published: their own tools load them; nothing unasked is in them."""

import dataclasses
import hashlib
import json
import socket

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from gazetools_cli.gazetools import main

from gazetools.errors import ConfigError, FormatError, GeometryError, OutputError, SchemaError
from gazetools.exporting import (
    About,
    BidsSpec,
    HuggingFaceSpec,
    LeftOut,
    ScanpathSpec,
    Tables,
    export_bids,
    export_croissant,
    export_hugging_face,
    export_scanpaths,
    read_about,
    read_tables,
)
from gazetools.exporting.folders import LISTING
from gazetools.tables import FIXATIONS, SAMPLES, write_table

ABOUT = About(
    name="Gaze <b>on</b> lesions",
    description="Two readers, <script>alert(1)</script> three images.",
    license="CC-BY-4.0",
    terms="Be kind.",
    url="https://example.org/gaze",
    creators=("Keller, Barbara", "University of X"),
    published="2026-11-22",
    version="1.0.0",
    citations=("B. Keller, Gaze, 2026 ```",),
    consent="written, for publication; ethics board of X, 17/2026",
)

NOTE = LeftOut(1, "columns of fixations", "not declared (note)")
SAMPLES_OUT = LeftOut(3, "samples", "the format is for fixations alone")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Neither tool may ask anybody; hubs read their variable when they are imported."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refuse(*_):
        raise AssertionError("a test asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def fixations_table(**changed):
    """Two readers, three images, two fixations each."""
    rows = [
        {
            **{"recording": f"R{reader}", "subject": f"P{reader}", "trial": trial},
            **{"stimulus": stimulus, "order": order, "onset_ms": 300.0 * order},
            **{"duration_ms": 250.4, "x_px": 10.0 * order, "y_px": 20.0},
            **{"x_im": 5.25 * order, "y_im": 7.5, "image_width": 40, "image_height": 30},
            "source": "vendor:test",
        }
        for reader in (2, 1)
        for trial, stimulus in enumerate(("a.png", "b.png", "c"), start=1)
        for order in (1, 2)
    ]
    return FIXATIONS.conform(pd.DataFrame(rows).assign(**changed))


@pytest.fixture
def tables():
    samples = SAMPLES.conform(
        pd.DataFrame(
            {
                **{"recording": "R1", "subject": "P1", "trial": [0, 1, 1]},
                **{"stimulus": [None, "a.png", "a.png"], "tracker_time_us": [0, 2000, 4000]},
                **{"t_ms": [1.0, 1.0, 3.0], "x_px": [np.nan, 1.5, 2.5], "y_px": [np.nan, 1, 2]},
                "left_valid": [False, True, True],
            }
        )
    )
    fixations = fixations_table(note="of nobody's business")
    return Tables(samples=samples, fixations=fixations)


@pytest.fixture
def pictures(tmp_path):
    """Images of all that was looked at and one more; a mask of one, and one of nobody's."""
    rng = np.random.default_rng(0)
    for folder, names in (("images", "abcd"), ("masks", "ad")):
        (tmp_path / folder).mkdir()
        for name in names:
            pixels = rng.integers(0, 2, (30, 40), dtype=np.uint8) * 255
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), pixels)
    return tmp_path


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "train.txt").write_text("a\nb.png\n")
    (tmp_path / "test.txt").write_text("c\n")
    return tmp_path / "train.txt", tmp_path / "test.txt"


def files(folder):
    """All but the listing of them."""
    found = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in found if name != LISTING)


def content(folder):
    return b"".join((folder / name).read_bytes() for name in files(folder))


# ---------------------------------------------------------------- Croissant


def records(folder, table):
    """Rows as mlcroissant reads them, once it has found nothing to complain of."""
    mlcroissant = pytest.importorskip("mlcroissant")
    dataset = mlcroissant.Dataset(folder / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())
    assert dataset.metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    rows = pd.DataFrame(list(dataset.records(table)))
    rows.columns = [name.removeprefix(f"{table}/") for name in rows]
    return rows.map(lambda value: value.decode() if isinstance(value, bytes) else value)


# what mlcroissant calls of rdflib and pandas
OLD_CALLS = (
    "ignore:ConjunctiveGraph is deprecated:DeprecationWarning",
    "ignore:The inplace keyword in DataFrame.reset_index",
)


@pytest.mark.filterwarnings(*OLD_CALLS)
def test_mlcroissant_loads_every_row(tables, tmp_path):
    done = export_croissant(tables, tmp_path / "out", ABOUT)
    assert files(tmp_path / "out") == ["croissant.json", "fixations.parquet", "samples.parquet"]
    assert (done.files, done.rows, done.left_out) == (3, {"samples": 3, "fixations": 12}, (NOTE,))
    found = FIXATIONS.conform(records(tmp_path / "out", "fixations"))
    pd.testing.assert_frame_equal(found, tables.fixations.drop(columns="note"))
    found = SAMPLES.conform(records(tmp_path / "out", "samples"))
    pd.testing.assert_frame_equal(found, tables.samples)


@pytest.mark.filterwarnings(*OLD_CALLS)
def test_mlcroissant_finds_an_altered_file(tables, tmp_path):
    export_croissant(tables, tmp_path / "out", ABOUT)
    path = tmp_path / "out" / "fixations.parquet"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(Exception, match=r"Download\(fixations.parquet\)") as caught:
        records(tmp_path / "out", "fixations")
    assert "not identical with the reference" in str(caught.value.__cause__)


@pytest.mark.filterwarnings(*OLD_CALLS)
def test_mlcroissant_would_say(tables, tmp_path):
    mlcroissant = pytest.importorskip("mlcroissant")
    export_croissant(tables, tmp_path / "out", ABOUT)
    path = tmp_path / "out" / "croissant.json"
    told = json.loads(path.read_text())
    told["recordSet"][0]["field"][0]["source"]["fileObject"]["@id"] = "absent.parquet"
    path.write_text(json.dumps(told))
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(path)


def test_croissant_says_what_is_known(tables, tmp_path):
    export_croissant(tables, tmp_path / "out", ABOUT)
    told = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert told["conformsTo"][0] == "http://mlcommons.org/croissant/1.1"
    assert told["license"][0] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert told["license"][1]["description"] == "Be kind."
    assert [one["@type"] for one in told["creator"]] == ["sc:Person", "sc:Organization"]
    assert told["creator"][0]["name"] == "Barbara Keller"
    assert told["datePublished"] == "2026-11-22"
    assert "ethics board of X" in told["rai:personalSensitiveInformation"][2]
    (x_im,) = [f for f in told["recordSet"][1]["field"] if f["name"] == "x_im"]
    assert x_im["dataType"] == "sc:Float"
    assert x_im["unitText"] == "image px"
    assert x_im["description"] == "centre on the image [image px]; may be missing"


@pytest.mark.filterwarnings(*OLD_CALLS)
def test_croissant_asks_for_what_it_requires(tables, tmp_path):
    with pytest.raises(ConfigError, match="requires license, url, creators, published; say so"):
        export_croissant(tables, tmp_path / "out", About())
    assert list(tmp_path.iterdir()) == []
    known = About(terms="Ask.", url="https://a.org", creators=("X",), published="2026-01-02")
    export_croissant(tables, tmp_path / "out", known)
    told = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert "version" not in told
    assert "citeAs" not in told
    assert told["description"] == (
        "Eye tracking: 3 samples, 12 fixations; participants: 2, stimuli: 3."
    )
    mlcroissant = pytest.importorskip("mlcroissant")
    mlcroissant.Dataset(tmp_path / "out" / "croissant.json")


# ---------------------------------------------------------------- Hugging Face


def load(folder, *names):
    """Load as a user would, into a cache beside."""
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), *names, cache_dir=str(folder.parent / "cache"))


def test_datasets_loads_every_row(tables, tmp_path, lists):
    spec = HuggingFaceSpec(ABOUT, splits=lists)
    done = export_hugging_face(tables, tmp_path / "out", spec)
    assert done.left_out == (LeftOut(1, "samples", "on no image, so in no split"), NOTE)
    assert done.rows == {"samples": 2, "fixations": 12}
    assert files(tmp_path / "out") == [
        *("CITATION.cff", "README.md"),
        *("data/fixations/test.parquet", "data/fixations/train.parquet"),
        "data/samples/train.parquet",
    ]
    assert done.files == 5
    found = load(tmp_path / "out")
    parts = {"train": {"a.png", "b.png"}, "test": {"c"}}
    assert set(found) == set(parts)
    for name, stimuli in parts.items():
        expected = tables.fixations[tables.fixations["stimulus"].isin(stimuli)]
        rows = FIXATIONS.conform(found[name].to_pandas())
        expected = expected.drop(columns="note").reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, expected)
    rows = SAMPLES.conform(load(tmp_path / "out", "samples")["train"].to_pandas())
    pd.testing.assert_frame_equal(rows, tables.samples[1:].reset_index(drop=True))


def test_without_lists_all_is_train(tables, tmp_path):
    export_hugging_face(tables, tmp_path / "out")
    assert {name: len(rows) for name, rows in load(tmp_path / "out").items()} == {"train": 12}
    assert len(load(tmp_path / "out", "samples")["train"]) == 3


def test_images_are_those_of_the_stimuli(tables, pictures, lists):
    images, masks = pictures / "images", pictures / "masks"
    spec = HuggingFaceSpec(ABOUT, lists, images, masks)
    export_hugging_face(tables, pictures / "out", spec)
    found = load(pictures / "out", "images")
    assert {name: rows["stimulus"] for name, rows in found.items()} == {
        "train": ["a.png", "b.png"],
        "test": ["c"],
    }
    first, second = found["train"]
    expected = cv2.imread(str(images / "a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(np.asarray(first["image"]), expected)
    expected = cv2.imread(str(masks / "a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(np.asarray(first["mask"]), expected)
    assert second["mask"] is None
    everything = content(pictures / "out")
    assert (images / "b.png").read_bytes() in everything
    assert (images / "d.png").read_bytes() not in everything
    assert (masks / "d.png").read_bytes() not in everything
    assert "image-segmentation" in (pictures / "out" / "README.md").read_text()


def test_nothing_unasked_is_exported(tables, pictures):
    export_hugging_face(tables, pictures / "out", HuggingFaceSpec(images=pictures / "images"))
    everything = content(pictures / "out")
    assert (pictures / "images" / "a.png").read_bytes() in everything
    assert (pictures / "masks" / "a.png").read_bytes() not in everything
    assert "mask" not in load(pictures / "out", "images")["train"].features
    export_hugging_face(tables, pictures / "bare")
    assert files(pictures / "bare") == [
        *("README.md", "data/fixations/train.parquet", "data/samples/train.parquet"),
    ]
    with pytest.raises(ConfigError, match="masks without images"):
        HuggingFaceSpec(masks=pictures / "masks")


def test_what_the_footer_says_stays_behind(tables, tmp_path):
    path = tmp_path / "f.parquet"
    secret = {"exports": ["Erika_Mustermann.tsv"], "spec": {}}
    write_table(tables.fixations, path, FIXATIONS, provenance=secret)
    found = read_tables([path])
    export_hugging_face(found, tmp_path / "hf", HuggingFaceSpec(ABOUT))
    export_croissant(found, tmp_path / "croissant", ABOUT)
    for folder in ("hf", "croissant"):
        everything = content(tmp_path / folder)
        assert b"Mustermann" not in everything
        assert b"nobody's business" not in everything


@pytest.mark.parametrize("break_", ["missing", "no image", "half an image", "a mask of labels"])
def test_pictures_that_cannot_be_read_stop_it(break_, tables, pictures):
    path = pictures / "images" / "b.png"
    if break_ == "missing":
        path.unlink()
    elif break_ == "no image":
        path.write_bytes(b"root:x:0:0")
    elif break_ == "half an image":
        path.write_bytes(path.read_bytes()[:60])
    else:
        cv2.imwrite(str(pictures / "masks" / "a.png"), np.full((30, 40), 2, np.uint8))
    spec = HuggingFaceSpec(images=pictures / "images", masks=pictures / "masks")
    with pytest.raises(FormatError, match=r"b\.png|a\.png"):
        export_hugging_face(tables, pictures / "out", spec)
    assert sorted(p.name for p in pictures.iterdir()) == ["images", "masks"]


def test_the_card_is_yaml_and_text(tables, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    export_hugging_face(tables, tmp_path / "out", HuggingFaceSpec(ABOUT))
    card = hub.DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.pretty_name == ABOUT.name
    assert card.data.size_categories == ["n<1K"]
    assert [one["config_name"] for one in card.data.configs] == ["samples", "fixations"]
    assert "Gaze is biometric" in card.text
    assert "do not say that they were de-identified" in card.text
    assert "ethics board of X" in card.text
    assert "Be kind." in card.text
    assert "<script>" not in card.text
    assert "````\nB. Keller, Gaze, 2026 ```\n````" in card.text
    cited = yaml.safe_load((tmp_path / "out" / "CITATION.cff").read_text())
    assert cited["authors"] == [
        {"family-names": "Keller", "given-names": "Barbara"},
        {"name": "University of X"},
    ]
    assert cited["license"] == "CC-BY-4.0"
    assert cited["message"].endswith("please cite: B. Keller, Gaze, 2026 ```")


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (About(), {}),
        (About(terms="Ask."), {"license": "other", "license_name": "terms-of-use"}),
        (About(license="MIT"), {"license": "mit"}),
        (
            About(license="https://a.org/My Licence".replace(" ", "%20")),
            {
                "license": "other",
                "license_name": "https-a.org-my-20licence",
                "license_link": "https://a.org/My%20Licence",
            },
        ),
    ],
)
def test_the_licence_of_the_card(about, expected, tables, tmp_path):
    export_hugging_face(tables, tmp_path / "out", HuggingFaceSpec(about))
    head = (tmp_path / "out" / "README.md").read_text().split("---\n")[1]
    told = yaml.safe_load(head)
    assert {name: told[name] for name in told if name.startswith("license")} == expected


def test_a_licence_of_ones_own_has_no_page(tables, tmp_path):
    about = dataclasses.replace(ABOUT, license="LicenseRef-Ours")
    export_hugging_face(tables, tmp_path / "hf", HuggingFaceSpec(about))
    cited = yaml.safe_load((tmp_path / "hf" / "CITATION.cff").read_text())
    assert not {"license", "license-url"} & set(cited)
    card = (tmp_path / "hf" / "README.md").read_text()
    assert "license_link" not in card
    assert "## Licence\n\nLicenseRef-Ours\n\nBe kind.\n" in card
    export_croissant(tables, tmp_path / "croissant", about)
    (told,) = json.loads((tmp_path / "croissant" / "croissant.json").read_text())["license"]
    assert (told["name"], told["description"]) == ("LicenseRef-Ours", "Be kind.")


def test_a_licence_is_written_as_spdx_does():
    about = About(license="cc-by-nc-sa-4.0")
    assert about.license_url == "https://spdx.org/licenses/CC-BY-NC-SA-4.0.html"


def test_tables_that_say_they_are_deidentified(tables, tmp_path):
    path = tmp_path / "f.parquet"
    write_table(tables.fixations, path, FIXATIONS, provenance={"deidentified": {"names": "x"}})
    found = read_tables([path])
    assert found.deidentified
    export_hugging_face(found, tmp_path / "out")
    assert "are pseudonyms" in (tmp_path / "out" / "README.md").read_text()
    plain = tmp_path / "s.parquet"
    write_table(tables.samples, plain, SAMPLES, provenance={})
    assert not read_tables([path, plain]).deidentified


# ---------------------------------------------------------------- what is no image


@pytest.fixture
def between(tables):
    """The tables with a cross that two readers looked at, as real exports have."""
    crosses = fixations_table().iloc[[0, 6]].assign(stimulus="Fixation cross", trial=9)
    crosses = crosses.assign(x_im=np.nan, y_im=np.nan, image_width=pd.NA, image_height=pd.NA)
    fixations = pd.concat([tables.fixations.drop(columns="note"), FIXATIONS.conform(crosses)])
    return Tables(samples=tables.samples, fixations=fixations.reset_index(drop=True))


def test_a_cross_needs_no_image(between, pictures):
    spec = HuggingFaceSpec(ABOUT, images=pictures / "images")
    done = export_hugging_face(between, pictures / "out", spec)
    assert done.left_out == (LeftOut(1, "stimuli", "without an image"),)
    assert done.rows == {"samples": 3, "fixations": 14, "images": 3}
    assert load(pictures / "out", "images")["train"]["stimulus"][:] == ["a.png", "b.png", "c"]
    assert len(load(pictures / "out")["train"]) == 14


def test_a_cross_needs_no_list(between, pictures, lists):
    spec = HuggingFaceSpec(ABOUT, lists, pictures / "images")
    done = export_hugging_face(between, pictures / "out", spec)
    assert done.left_out == (
        LeftOut(1, "samples", "on no image, so in no split"),
        LeftOut(2, "fixations", "on no image, so in no split"),
        LeftOut(1, "stimuli", "without an image"),
    )
    assert done.rows == {"samples": 2, "fixations": 12, "images": 3}
    assert {name: len(rows) for name, rows in load(pictures / "out").items()} == {
        **{"train": 8, "test": 4},
    }
    done = export_scanpaths(between, pictures / "s.json", ScanpathSpec(splits=lists))
    assert done.rows == {"fixations": 12}
    assert done.left_out == (LeftOut(2, "fixations", "without a position on an image"), SAMPLES_OUT)


def test_what_has_samples_alone_needs_neither_image_nor_list(tables, pictures, lists):
    names = ["Calibration", "a.png", "d"]  # of d there is an image, which is in no list
    samples = tables.samples.assign(stimulus=pd.array(names, dtype="str"))
    shown = Tables(samples=samples, fixations=tables.fixations.drop(columns="note"))
    spec = HuggingFaceSpec(ABOUT, lists, pictures / "images")
    done = export_hugging_face(shown, pictures / "out", spec)
    assert done.rows == {"samples": 1, "fixations": 12, "images": 3}
    assert done.left_out == (
        LeftOut(2, "samples", "on no image, so in no split"),
        LeftOut(1, "stimuli", "without an image"),
        LeftOut(1, "stimuli", "no fixation on it, and in no list"),
    )


def test_a_cross_that_is_listed_stays(between, tmp_path, lists):
    lists[0].write_text("a\nb.png\nFixation cross\n")
    export_hugging_face(between, tmp_path / "out", HuggingFaceSpec(ABOUT, lists))
    assert len(load(tmp_path / "out")["train"]) == 10


def test_where_nothing_was_placed_all_may_be_images(between, pictures, lists):
    fixations = between.fixations.assign(x_im=np.nan)
    unplaced = Tables(fixations=fixations)
    with pytest.raises(SchemaError, match="stimulus 'Fixation cross'"):
        export_hugging_face(unplaced, pictures / "out", HuggingFaceSpec(ABOUT, lists))
    spec = HuggingFaceSpec(ABOUT, images=pictures / "images")
    with pytest.raises(FormatError, match="no image of stimulus 'Fixation cross'"):
        export_hugging_face(unplaced, pictures / "out", spec)


# ---------------------------------------------------------------- scanpaths


def as_free_viewing(path):
    """Read scanpaths as loaders of COCO-FreeView do: in ms and px, by split."""
    found = {"train": [], "valid": [], "test": []}
    for item in json.loads(path.read_text()):
        length = item["length"]
        assert length == len(item["X"]) == len(item["Y"]) == len(item["T"])
        assert all(isinstance(duration, int) for duration in item["T"])
        key = f"{item['task']}*{item['name']}*{item['condition']}"
        found[item["split"]].append((key, item["subject"], item["X"], item["T"]))
    return found


def test_scanpaths_are_read_by_split(tables, tmp_path, lists):
    done = export_scanpaths(tables, tmp_path / "s.json", ScanpathSpec(splits=lists))
    assert (done.files, done.rows) == (1, {"fixations": 12})
    assert done.left_out == (SAMPLES_OUT, NOTE)
    found = as_free_viewing(tmp_path / "s.json")
    assert {name: len(items) for name, items in found.items()} == {
        **{"train": 4, "valid": 0},
        "test": 2,
    }
    assert found["train"][0] == ("none*a.png*freeview", 1, [5.25, 10.5], [250, 250])
    (first, *_) = json.loads((tmp_path / "s.json").read_text())
    assert (first["width"], first["height"]) == (40, 30)
    assert "P1" not in (tmp_path / "s.json").read_text()


def test_scanpaths_in_shares_need_images(pictures):
    shares = fixations_table(x_im=0.25, y_im=0.5, image_width=1, image_height=1)
    with pytest.raises(GeometryError, match=r"12 positions are shares .* --images"):
        export_scanpaths(Tables(fixations=shares), pictures / "s.json")
    spec = ScanpathSpec(images=pictures / "images")
    export_scanpaths(Tables(fixations=shares), pictures / "s.json", spec)
    for item in json.loads((pictures / "s.json").read_text()):
        assert (item["X"], item["Y"]) == ([10.0, 10.0], [15.0, 15.0])
        assert (item["width"], item["height"]) == (40, 30)


def test_fixations_off_all_images_are_counted(tables, tmp_path):
    fixations = tables.fixations.copy()
    fixations.loc[0, ["x_im", "y_im"]] = np.nan
    fixations.loc[1, "x_im"] = np.inf
    fixations.loc[2, "stimulus"] = None
    fixations.loc[3:4, "x_im"] = [-0.5, 40.0]  # beside an image 40 px wide
    done = export_scanpaths(Tables(fixations=fixations), tmp_path / "beside.json")
    assert done.rows == {"fixations": 7}
    fixations["image_width"] = pd.NA
    fixations.loc[3, "x_im"] = 0.5
    done = export_scanpaths(Tables(fixations=fixations), tmp_path / "s.json")
    assert done.left_out == (LeftOut(3, "fixations", "without a position on an image"), NOTE)
    assert done.rows == {"fixations": 9}
    assert "width" not in json.loads((tmp_path / "s.json").read_text())[0]
    nowhere = Tables(fixations=fixations_table(x_im=np.nan))
    with pytest.raises(GeometryError, match="no fixation has a position on an image"):
        export_scanpaths(nowhere, tmp_path / "t.json")
    assert not (tmp_path / "t.json").exists()


def test_trials_are_scanpaths_in_order(tmp_path):
    rows = fixations_table()[::-1]
    again = rows.assign(trial=rows["trial"] + 3)
    both = Tables(fixations=pd.concat([rows, again], ignore_index=True))
    export_scanpaths(both, tmp_path / "s.json", ScanpathSpec(task="polyp"))
    items = json.loads((tmp_path / "s.json").read_text())
    assert len(items) == 12
    assert all(item["X"] == [5.25, 10.5] for item in items)
    assert {item["task"] for item in items} == {"polyp"}


# ---------------------------------------------------------------- what is said, names, refusals


def test_what_is_said_comes_from_option_file_catalogue(tmp_path):
    path = tmp_path / "about.toml"
    path.write_text('name = "File"\nurl = "https://a.org"\ncreators = ["A", "B"]\n')
    known = {"name": "Known", "terms": "Of the catalogue.", "citations": ("C",)}
    settings = ["name=Option", "citations=One", "citations=Two"]
    assert read_about(path, settings, known) == About(
        **{"name": "Option", "url": "https://a.org", "creators": ("A", "B")},
        **{"terms": "Of the catalogue.", "citations": ("One", "Two")},
    )
    path.write_text("published = 2026-11-22\n")
    assert read_about(path).published == "2026-11-22"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 3", "name is 3, expected a text"),
        ("nam = 'x'", "'nam' is unknown; expected name, description, license"),
        ("creators = 'Keller'", "creators is 'Keller', expected a list of texts"),
        (
            "license = 'free for all'",
            "not in SPDX's list; expected an identifier such as CC-BY-4.0",
        ),
        ("license = 'Custom-Terms'", "what is only in words is said as terms"),
        ("license = 'MIT OR Apache-2.0'", "not in SPDX's list"),
        ("license = 'LicenseRef-Ours'", "which nobody can look up; say its text as terms"),
        ("url = 'javascript:alert(1)'", "expected https://"),
        ("published = 'soon'", "expected a day, 2026-11-22"),
        ('name = "a\\n---\\nlicense: mit"', "expected one line of text"),
        ('description = "\\u001b[31m"', "with control characters"),
        ("name = ' '", "name is empty"),
        ("name = ", "not readable as TOML"),
    ],
)
def test_what_is_malformed_is_refused(text, message, tmp_path):
    path = tmp_path / "about.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_about(path)
    assert message in str(caught.value)
    # a licence and its terms may come from two places
    assert str(caught.value).startswith(f"{path}: ") != ("LicenseRef" in text)


def test_only_who_said_it_is_blamed(tmp_path):
    path = tmp_path / "about.toml"
    path.write_text("name = 'Fine'\n")
    with pytest.raises(ConfigError, match=r"^url is 'bad'"):
        read_about(path, ["url=bad"])


def test_spaces_of_any_kind_are_spaces(tmp_path):
    path = tmp_path / "about.toml"
    path.write_text("creators = ['M\u00e1s,\u00a0Jos\u00e9\u2009M.']\n", encoding="utf-8")
    about = read_about(path, ["name=Gaze\u00a0of\u3000two"])
    assert about == About(name="Gaze of two", creators=("Más, José M.",))


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_about(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match="'license' is not NAME=VALUE"):
        read_about(settings=["license"])


HOSTILE = (
    *("../../x", "/etc/passwd", "a\tb\n---\nc", "<script>alert(1)</script>", "`|`", "\x1b[31m"),
)


@pytest.mark.filterwarnings(*OLD_CALLS)
def test_names_of_tables_go_nowhere(pictures):
    names = HOSTILE * 2
    columns = ("subject", "recording", "stimulus", "source")
    found = Tables(fixations=fixations_table(**dict.fromkeys(columns, names)))
    out = pictures / "out"
    out.mkdir()
    export_hugging_face(found, out / "hf", HuggingFaceSpec(ABOUT))
    export_croissant(found, out / "croissant", ABOUT)
    export_scanpaths(found, out / "s.json")
    assert sorted(path.name for path in out.iterdir()) == ["croissant", "hf", "s.json"]
    assert files(out / "hf") == ["CITATION.cff", "README.md", "data/fixations/train.parquet"]
    card = (out / "hf" / "README.md").read_text()
    assert card.count("\n---\n") == 1
    assert card.replace("\n", "").isprintable()
    (told,) = [line for line in card.splitlines() if line.startswith("The column `source`")]
    assert told.count("`") == 2 + 2 * len(HOSTILE)
    assert load(out / "hf")["train"]["stimulus"][:] == list(names)
    assert records(out / "croissant", "fixations")["stimulus"].tolist() == list(names)
    assert {item["name"] for item in json.loads((out / "s.json").read_text())} == set(HOSTILE)
    cv2.imwrite(str(pictures / "x.png"), np.zeros((3, 4), np.uint8))
    with pytest.raises(FormatError, match="no image of stimulus"):
        export_hugging_face(found, out / "no", HuggingFaceSpec(images=pictures / "images" / ".."))


def test_what_is_in_no_list_is_named(tables, tmp_path, lists):
    lists[1].write_text("b\n")
    lists[0].write_text("a\n")
    for export, spec in (
        (export_hugging_face, HuggingFaceSpec(splits=lists)),
        (export_scanpaths, ScanpathSpec(splits=lists)),
    ):
        with pytest.raises(SchemaError, match=r"stimulus 'c' \(1 of 3\) is in none of train.txt"):
            export(tables, tmp_path / "out", spec)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match="split files are named train, val, test"):
        HuggingFaceSpec(splits=(tmp_path / "fold1.txt",))


def test_a_citation_file_needs_authors():
    with pytest.raises(ConfigError, match="names its authors"):
        HuggingFaceSpec(About(citations=("A paper",)))


EXPORTS = {
    "croissant": lambda tables, out, **how: export_croissant(tables, out, ABOUT, **how),
    "hf": lambda tables, out, **how: export_hugging_face(
        tables, out, HuggingFaceSpec(ABOUT), **how
    ),
    "bids": lambda tables, out, **how: export_bids(
        Tables(fixations=tables.fixations), out, BidsSpec(), **how
    ),
}


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_only_our_own_folders_are_overwritten(export, tables, tmp_path):
    out = tmp_path / "out"
    export(tables, out)
    before = content(out)
    with pytest.raises(OutputError, match="already exists"):
        export(tables, out)
    export(tables, out, overwrite=True)
    assert content(out) == before
    (out / "thesis.tex").write_text("precious")
    with pytest.raises(OutputError, match="came into the data set, or was changed"):
        export(tables, out, overwrite=True)
    (out / "thesis.tex").unlink()
    (out / ".git").mkdir()
    (out / ".git" / "HEAD").write_text("precious")
    with pytest.raises(OutputError, match="came into the data set, or was changed"):
        export(tables, out, overwrite=True)
    assert (out / ".git" / "HEAD").exists()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "fixations.parquet").write_text("precious")
    with pytest.raises(OutputError, match="no data set that this gazetools wrote"):
        export(tables, tmp_path / "theirs", overwrite=True)


@pytest.mark.parametrize("export", EXPORTS.values(), ids=EXPORTS)
def test_what_hands_changed_is_not_overwritten(export, tables, tmp_path):
    out = tmp_path / "out"
    export(tables, out)
    changed = next(path for path in sorted(out.iterdir()) if path.suffix in (".md", ".json"))
    changed.write_text(changed.read_text() + "\n")
    with pytest.raises(OutputError, match=rf"{changed.name}: came into .* changed.*\(1 such\)"):
        export(tables, out, overwrite=True)
    changed.unlink()
    export(tables, out, overwrite=True)
    (out / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="link: came into"):
        export(tables, out, overwrite=True)


def test_the_listing_is_one_of_sha256sum(tables, tmp_path):
    export_croissant(tables, tmp_path / "out", ABOUT)
    expected = [
        f"{hashlib.sha256((tmp_path / 'out' / name).read_bytes()).hexdigest()}  {name}"
        for name in files(tmp_path / "out")
    ]
    assert (tmp_path / "out" / LISTING).read_text().splitlines() == expected


@pytest.mark.parametrize("export", [EXPORTS["croissant"], EXPORTS["hf"]], ids=["croissant", "hf"])
def test_a_full_disk_leaves_nothing(export, tables, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gazetools.exporting.declared.pq.write_table", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        export(tables, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SchemaError, match="no table has rows"):
        export(Tables(), tmp_path / "out")


# ---------------------------------------------------------------- the command


def run(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


@pytest.fixture
def paths(tables, tmp_path):
    found = tmp_path / "fixations.parquet", tmp_path / "samples.parquet"
    write_table(tables.fixations, found[0], FIXATIONS, provenance={})
    write_table(tables.samples, found[1], SAMPLES, provenance={})
    return found


def test_the_command_writes_croissant(paths, tmp_path):
    done = run(*paths, "--to", "croissant", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "error: Croissant requires license, url, creators, published" in done.stderr
    (tmp_path / "about.toml").write_text('license = "CC0-1.0"\npublished = 2026-11-22\n')
    done = run(
        *(*paths, "--to", "croissant", "-o", tmp_path / "out", "--about", tmp_path / "about.toml"),
        *("--set", "creators=Keller, Barbara", "--dataset", "gazemedseg-kvasir", "--json"),
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["files"], told["samples"], told["fixations"]) == (3, 3, 12)
    assert told["left_out"] == [dataclasses.asdict(NOTE)]
    written = json.loads((tmp_path / "out" / "croissant.json").read_text())
    assert written["name"] == "GazeMedSeg on Kvasir-SEG"
    assert written["url"].startswith("https://")


def test_the_command_writes_a_folder_for_the_hub(paths, pictures, lists):
    arguments = [arg for path in lists for arg in ("--split", path)]
    done = run(
        *(*paths, "--to", "hf", "-o", pictures / "out", *arguments),
        *("--images", pictures / "images", "--name", "Gaze"),
    )
    assert done.exit_code == 0, done.stderr
    assert [line.rsplit("  ", 1)[1].strip() for line in done.stdout.splitlines()[1:]] == [
        *("6", "2", "12", "3"),
        "1 samples: on no image, so in no split",
        "1 columns of fixations: not declared (note)",
    ]
    assert set(load(pictures / "out", "images")) == {"train", "test"}
    assert (pictures / "out" / "README.md").read_text().startswith("---\npretty_name: Gaze\n")


def test_the_command_writes_scanpaths(paths, lists, tmp_path):
    out = tmp_path / "s.json"
    done = run(paths[0], "--to", "coco-scanpath", "-o", out, "--task", "polyp")
    assert done.exit_code == 0, done.stderr
    assert as_free_viewing(out)["train"][0][0] == "polyp*a.png*freeview"
    assert "already exists" in run(paths[0], "--to", "coco-scanpath", "-o", out).stderr


def test_options_of_another_format_are_refused(paths, pictures):
    done = run(*paths, "--to", "croissant", "-o", pictures / "out", "--images", pictures / "images")
    assert done.exit_code == 2
    assert "--images is for --to hf, coco-scanpath, not croissant" in done.stderr
    done = run(paths[0], "--to", "csv", "-o", pictures / "out", "--set", "name=x")
    assert "--set is for --to croissant, hf, not csv" in done.stderr


def test_a_folder_that_holds_a_table_is_not_replaced(tables, tmp_path):
    export_croissant(tables, tmp_path / "out", ABOUT)
    table = tmp_path / "out" / "fixations.parquet"
    done = run(table, "--to", "hf", "-o", tmp_path / "out", "--overwrite")
    assert f"would replace {table}, which is read, or come into it" in done.stderr
    assert table.exists()


@pytest.mark.parametrize("out", ["images/a.png", "images/new.json", "train.txt", "images"])
def test_what_is_read_is_not_replaced(out, paths, pictures, lists):
    before = content(pictures)
    done = run(
        *(paths[0], "--to", "coco-scanpath", "-o", pictures / out, "--images", pictures / "images"),
        *("--split", lists[0], "--split", lists[1], "--overwrite"),
    )
    assert done.exit_code == 1
    assert "which is read, or come into it; name another output" in done.stderr
    assert content(pictures) == before


@pytest.mark.parametrize("out", ["masks/hf", "about.toml"])
def test_what_a_data_set_is_made_of_is_not_replaced(out, paths, pictures):
    (pictures / "about.toml").write_text("name = 'x'\n")
    done = run(
        *(paths[0], "--to", "hf", "-o", pictures / out, "--images", pictures / "images"),
        *("--masks", pictures / "masks", "--about", pictures / "about.toml", "--overwrite"),
    )
    assert "which is read, or come into it; name another output" in done.stderr
