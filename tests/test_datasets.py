"""Definitions of datasets, and copies that are right, altered, mixed up or incomplete."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from gazetools_cli.datasets import datasets
from twelve_images import IMAGES

from gazetools.datasets import failed, find, names, prepare, read_definition, sums_of
from gazetools.datasets.measuring import MEASURES
from gazetools.errors import ConfigError, FormatError, OutputError
from gazetools.files import file_sha256
from gazetools.images import encode_png, read_image, resize_image
from gazetools.readers import READERS
from gazetools.tables import FIXATIONS, read_table

EXAMPLE = Path(__file__).parents[1] / "examples" / "my_dataset.toml"
COLUMNS = {
    "stimulus": "IMAGE",
    "order": "CURRENT_FIX_INDEX",
    "x": "CURRENT_FIX_X",
    "y": "CURRENT_FIX_Y",
    "duration_ms": "CURRENT_FIX_DURATION",
    "onset_ms": "CURRENT_FIX_START",
    "image_height": "IMAGE_HEIGHT",
    "image_width": "IMAGE_WIDTH",
}


def as_published(root):
    """Write the gaze of the twelve images as GazeMedSeg did: one reader, shares of the image."""
    table, _ = read_table(root / "fixations.parquet", FIXATIONS)
    table = table[table["subject"] == table["subject"].iloc[0]]
    table = table.assign(
        x=table["x_im"] / table["image_width"], y=table["y_im"] / table["image_height"]
    )
    inside = table["x"].between(0, 0.999) & table["y"].between(0, 0.999)
    return table[inside][list(COLUMNS)].rename(columns=COLUMNS)


@pytest.fixture
def copy(twelve):
    """A copy of the made-up dataset, with its definition beside it."""
    root = twelve / "copy"
    root.mkdir()
    as_published(twelve).to_csv(root / "fixations.csv", index=False)
    (root / "images").mkdir()
    (root / "masks").mkdir()
    for number, path in enumerate(sorted((twelve / "images").iterdir())):
        coarse = np.random.default_rng(number).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        size = read_image(path).shape[:2]
        (root / "images" / path.name).write_bytes(encode_png(resize_image(coarse, size)))
        shutil.copy(twelve / "masks/image00.png", root / "masks" / path.name)
    (root / "lists").mkdir()
    stems = [f"image{number:02d}" for number in range(IMAGES)]
    (root / "lists/train.txt").write_text("\n".join(stems[:9]))
    (root / "lists/test.txt").write_text("\n".join(stems[9:]))
    (twelve / "set.sha256").write_text(sums_of(root, ["images", "masks"]))
    text = EXAMPLE.read_text(encoding="utf-8")
    for folder in ("images", "masks"):
        text = text.replace(f'path = "{folder}"', f'path = "{folder}"\nsums = "set.sha256"')
    share = MEASURES["in_mask_share"]
    (twelve / "set.toml").write_text(text)
    found = prepared(twelve).measured(share)
    reference = f'\n[[reference]]\nmeasure = "in_mask_share"\nvalue = {found:.4f}\nwithin = 0.001\n'
    (twelve / "set.toml").write_text(text + reference)
    shutil.rmtree(twelve / "out")
    return twelve


class prepared:
    """What `prepare` made of the copy in a folder, passed or not."""

    def __init__(self, folder):
        self.folder, self.out = folder, folder / "out"
        self.definition = read_definition(folder / "set.toml")
        try:
            self.result = prepare(self.definition, folder / "copy", self.out)
            self.error = ""
        except FormatError as error:
            self.error = str(error)
        self.checks = json.loads((self.out / "dataset.json").read_text())["checks"]

    @property
    def failed(self):
        return {check["name"]: check for check in self.checks if not check["passed"]}

    def measured(self, measure):
        from gazetools.datasets.copy import look_at

        root = self.folder / "copy"
        return measure(look_at(self.definition, root, self.out / "fixations.parquet"))


def test_a_correct_copy_passes(copy):
    made = prepared(copy)
    assert made.error == ""
    assert not made.failed
    assert len(made.checks) == 13
    table, _ = read_table(made.out / "fixations.parquet", FIXATIONS)
    assert table["stimulus"].nunique() == IMAGES
    assert {path.name for path in made.result.splits["ours"]} == {"train.txt", "test.txt"}
    before = {
        p: p.read_bytes() for p in made.out.rglob("*") if p.suffix != ".parquet" and p.is_file()
    }
    prepared(copy)
    assert all(path.read_bytes() == content for path, content in before.items())


def assert_named(copy, check, says):
    made = prepared(copy)
    assert check in made.failed, made.checks
    assert says in str(made.failed[check])
    assert "checks failed" in made.error
    assert not (made.out / "fixations.parquet").exists()
    assert not list(made.out.glob(".*parquet"))


def test_an_altered_byte_is_named(copy):
    path = copy / "copy/masks/image05.png"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    assert_named(copy, "masks is unaltered", "altered: image05.png")


def test_a_missing_image_is_named(copy):
    (copy / "copy/images/image07.png").unlink()
    assert_named(copy, "images is unaltered", "missing: image07.png")


def test_a_missing_image_of_another_copy_is_named_too(copy):
    (copy / "copy/images/image07.png").unlink()
    text = (copy / "set.toml").read_text().replace('sums = "set.sha256"', "")
    (copy / "set.toml").write_text(text)
    made = prepared(copy)
    assert {"images of all gaze are there", "split ours: images are there", "images"} <= set(
        made.failed
    )
    assert "image07" in made.failed["images of all gaze are there"]["found"]


def test_another_copy_is_left_to_the_figures(copy):
    for path in (copy / "copy/images").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    made = prepared(copy)
    assert not made.failed
    assert "another copy" in made.checks[0]["found"]


def rewrite_gaze(copy, change):
    path = copy / "copy/fixations.csv"
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_swapped_coordinates_are_named(copy):
    x, y = COLUMNS["x"], COLUMNS["y"]
    rewrite_gaze(copy, lambda table: table.rename(columns={x: y, y: x}))
    assert_named(copy, "in_mask_share", "x and y are swapped")


def test_an_altered_table_is_told_from_its_figures_too(copy):
    digest = file_sha256(copy / "copy/fixations.csv")
    text = (copy / "set.toml").read_text()
    where = f'path = "fixations.csv"\nsha256 = "{digest}"'
    (copy / "set.toml").write_text(text.replace('path = "fixations.csv"', where))
    x, y = COLUMNS["x"], COLUMNS["y"]
    rewrite_gaze(copy, lambda table: table.rename(columns={x: y, y: x}))
    made = prepared(copy)
    assert {"fixations.csv is unaltered", "in_mask_share"} <= made.failed.keys()
    assert "x and y are swapped" in made.error


def test_counts_are_told_whole(copy):
    text = (copy / "set.toml").read_text()
    (copy / "set.toml").write_text(text + '[[reference]]\nmeasure = "fixations"\nvalue = 12345\n')
    order = COLUMNS["order"]
    rewrite_gaze(
        copy,
        lambda table: pd.concat(
            [table.assign(**{order: table[order] + 1000 * part}) for part in range(200)]
        ),
    )
    (check,) = (c for name, c in prepared(copy).failed.items() if name == "fixations")
    assert check["expected"] == "12345"
    assert check["found"].isdigit()
    assert int(check["found"]) > 10_000


def test_px_instead_of_shares_are_named(copy):
    def in_px(table):
        for place, side in (("x", "image_width"), ("y", "image_height")):
            table[COLUMNS[place]] *= table[COLUMNS[side]]
        return table

    rewrite_gaze(copy, in_px)
    assert_named(copy, "gaze lies on the images", "something else than share of the image")
    # a few at the upper left edge lie on the image even so
    rewrite_gaze(
        copy,
        lambda table: table.assign(
            **{COLUMNS[axis]: np.where(table.index % 9, table[COLUMNS[axis]], 0.5) for axis in "xy"}
        ),
    )
    assert_named(copy, "on_image_share", "something else than share of the image")


def test_sizes_splits_and_near_duplicates(copy):
    rewrite_gaze(copy, lambda table: table.assign(IMAGE_WIDTH=table["IMAGE_WIDTH"] + 1))
    shutil.copy(copy / "copy/images/image00.png", copy / "copy/images/image11.png")
    made = prepared(copy)
    assert list(made.failed) == ["images is unaltered"]
    # nothing more is looked at where files are altered
    text = (copy / "set.toml").read_text().replace('sums = "set.sha256"', "")
    (copy / "set.toml").write_text(text)
    (copy / "copy/lists/test.txt").write_text("image09\nimage10\nimage11\n")
    made = prepared(copy)
    assert "image sizes are those of the gaze" in made.failed
    assert "image00" in made.failed["split ours: near-duplicates stay together"]["found"]


def test_a_name_in_two_of_three_lists_is_named(copy):
    text = (
        (copy / "set.toml")
        .read_text()
        .replace('test = "lists/test.txt"', 'test = "lists/test.txt"\nval = "lists/val.txt"')
    )
    (copy / "set.toml").write_text(
        text.replace("train = 9, test = 3", "train = 9, test = 3, val = 1")
    )
    (copy / "copy/lists/val.txt").write_text("image00\n")
    assert "image00" in prepared(copy).failed["split ours: no image in two lists"]["found"]


def test_a_list_of_other_sums_is_refused(copy):
    text = (copy / "set.sha256").read_text().replace("  masks/", "  mask/")
    (copy / "set.sha256").write_text(text)
    with pytest.raises(ConfigError, match="names no file of masks/"):
        prepare(read_definition(copy / "set.toml"), copy / "copy", copy / "out")


def test_fixations_of_others_are_not_replaced_unasked(copy):
    (copy / "out").mkdir()
    shutil.copy(copy / "fixations.parquet", copy / "out")
    definition = read_definition(copy / "set.toml")
    with pytest.raises(OutputError, match="already exists"):
        prepare(definition, copy / "copy", copy / "out")
    prepare(definition, copy / "copy", copy / "out", overwrite=True)
    prepare(definition, copy / "copy", copy / "out")  # its own


def test_another_file_than_gaze_is_refused(copy):
    (copy / "copy/fixations.csv").write_text("a,b\n1,2\n")
    assert_named(copy, "gaze is gazemedseg", "fixations.csv")


# ---------------------------------------------------------------- fetching


def test_what_is_not_open_is_never_fetched(copy):
    with pytest.raises(ConfigError, match="is never fetched"):
        prepare(read_definition(copy / "set.toml"), copy / "copy", copy / "out", download=True)


def test_what_is_open_and_missing_is_fetched(copy, monkeypatch):
    import pooch

    path = copy / "copy/fixations.csv"
    content, asked = path.read_bytes(), []
    path.unlink()
    digest = "a" * 64
    text = (copy / "set.toml").read_text().replace('"credentialed"', '"open"')
    where = f'path = "fixations.csv"\nurl = "https://example.org/f.csv"\nsha256 = "{digest}"'
    (copy / "set.toml").write_text(text.replace('path = "fixations.csv"', where))

    def retrieve(url, known_hash, fname, path, processor):
        asked.append((url, known_hash))
        (Path(path) / fname).write_bytes(content)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    definition = read_definition(copy / "set.toml")
    with pytest.raises(FormatError, match=r"fixations\.csv is unaltered"):  # that is not its digest
        prepare(definition, copy / "copy", copy / "out", download=True)
    assert asked == [("https://example.org/f.csv", f"sha256:{digest}")]
    assert path.read_bytes() == content


# ---------------------------------------------------------------- definitions


@pytest.mark.parametrize("name", names())
def test_every_definition_says_what_it_should(name):
    found = find(name)
    assert found.title
    assert found.about
    assert found.terms
    assert found.homepages
    assert found.citations
    assert all(reference.measure in MEASURES for reference in found.reference)
    if found.gaze_table is not None:
        assert found.gaze_table.format in {reader.name for reader in READERS}
    assert all((found.folder / file.sums).is_file() for file in found.files if file.sums)


BAD = {
    "no TOML": (lambda t: "=", "not readable as TOML"),
    "a field more": (lambda t: f"colour = 1\n{t}", "'colour' is unknown; expected name, "),
    "no title": (lambda t: t.replace("title =", "# title ="), "missing 1 required .* 'title'"),
    "no text": (lambda t: t.replace('modality = "photographs"', "modality = 3"), "expected a text"),
    "its own name": (lambda t: f'name = "x"\n{t}', "name: is not said in a definition"),
    "another access": (lambda t: t.replace('"credentialed"', '"free"'), "access is 'free'"),
    "a role": (lambda t: t.replace('role = "masks"', 'role = "mask"'), "role 'mask'"),
    "above": (lambda t: t.replace('path = "masks"', 'path = "../masks"'), "below the root"),
    "absolute": (lambda t: t.replace('"lists/train.txt"', '"/etc/passwd"'), "below the root"),
    "no list": (lambda t: t.replace("traps = [", "traps = 3 # ["), "expected a list"),
    "a url": (
        lambda t: t.replace('path = "masks"', 'path = "masks"\nurl = "https://x"'),
        "has a url, but access is",
    ),
    "no digest": (
        lambda t: t.replace('"credentialed"', '"open"').replace(
            'path = "masks"', 'path = "masks"\nurl = "https://x"'
        ),
        "and its sha256",
    ),
    "no counts": (lambda t: t.replace("{ train = 9, test = 3 }", "5"), "table of whole numbers"),
    "no gaze table": (
        lambda t: t.replace("[gaze_table]", "[splits.other]").replace(
            'format = "gazemedseg"\nspace = "share of the image"', ""
        ),
        "gaze_table: missing",
    ),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_definitions_are_refused(tmp_path, change, message):
    path = tmp_path / "bad.toml"
    path.write_text(change(EXAMPLE.read_text(encoding="utf-8")))
    with pytest.raises(ConfigError, match=message):
        read_definition(path)


def test_an_unknown_measure_is_refused(copy):
    text = (copy / "set.toml").read_text().replace('"on_image_share"', '"beauty"')
    (copy / "set.toml").write_text(text)
    with pytest.raises(ConfigError, match="reference 'beauty' is unknown"):
        prepare(read_definition(copy / "set.toml"), copy / "copy", copy / "out")


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match=r"dataset 'kvasir' is unknown; expected .*gazemedseg"):
        find("kvasir")


# ---------------------------------------------------------------- the commands


def run(*arguments):
    return CliRunner().invoke(datasets, [str(argument) for argument in arguments])


def test_list_and_show():
    listed = run("list")
    assert listed.exit_code == 0
    assert all(name in listed.stdout for name in names())
    assert {one["name"] for one in json.loads(run("list", "--json").stdout)} == set(names())
    shown = run("show", "gazemedseg-kvasir")
    assert "0.745" in shown.stdout
    assert "near-duplicates" in shown.stdout
    assert json.loads(run("show", EXAMPLE, "--json").stdout)["access"] == "credentialed"


def test_prepare_prints_every_check_and_the_next_command(copy):
    result = run("prepare", copy / "set.toml", "--root", copy / "copy", "-o", copy / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("  ok  ") == 13
    (line,) = (line for line in result.stdout.splitlines() if "gazetools render" in line)
    assert "--split" in line
    (copy / "copy/lists/test.txt").write_text("image09\n")
    result = run("prepare", copy / "set.toml", "--root", copy / "copy", "-o", copy / "out")
    assert result.exit_code == 1
    assert "FAILED  split ours: counts" in result.stdout
    assert result.stderr.startswith("error: set: 1 of 13 checks failed")


# ---------------------------------------------------------------- real data


@pytest.mark.real
@pytest.mark.slow
def test_the_real_sets_pass_and_an_altered_byte_does_not(data_folder, tmp_path):
    for name, folder, count in (
        ("gazemedseg-kvasir", "kvasir-seg", 24),
        ("gazemedseg-nci-isbi", "nci-isbi", 15),
    ):
        made = prepare(find(name), data_folder / folder, tmp_path / name)
        assert len(made.checks) == count
        assert not failed(made.checks)
    copied = tmp_path / "nci"
    shutil.copytree(data_folder / "nci-isbi", copied)
    target = sorted((copied / "masks").iterdir())[7]
    content = bytearray(target.read_bytes())
    content[len(content) // 2] ^= 1
    target.write_bytes(content)
    with pytest.raises(FormatError, match=f"altered: {target.name}"):
        prepare(find("gazemedseg-nci-isbi"), copied, tmp_path / "again")


def test_sums_are_of_names_and_bytes(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x").write_bytes(b"1")
    assert sums_of(tmp_path, ["a"]) == "6b86b273ff34fce19d6b804eff5a3f57  a/x\n"
    assert np.unique([len(line) for line in sums_of(tmp_path, ["a"]).splitlines()]) == [37]
