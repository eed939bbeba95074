"""Names and dates planted wherever an export has room for them, and looked for in all outputs."""

import gzip
import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from exports import EXAMPLES, SHEETS, Sheet
from exports.smi import smi_raw_with_head
from exports.tobii import PROPERTIES, studio2
from gazetools_cli.gazetools import main

from gazetools.errors import GazeToolsError
from gazetools.geometry import Screen
from gazetools.ingestion import IngestSpec, ingest_to
from gazetools.readers import read

NAME, DAY = "Zyxwell", "1961-07-19"
SECRETS = ("zyxwell", "quirin", DAY, "19610719", "jul 19", "09:12:33", "ward7-pc", "17546902")
"""The last is the date on the clock of a Neon."""

_NAMES = {
    **dict.fromkeys(("P01", "P03", "P07", "P106", "s01"), f"{NAME}^Quirin"),
    **{"P02": f"{NAME}ina", "s02": f"{NAME}ina", "Ada": NAME, "Ben": "Quirin"},
    **dict.fromkeys(("Recording1", "Rec 01", "Rec 62", "first try"), f"{NAME} {DAY}"),
}
_PATHS = {"rec7": f"{NAME}_{DAY}", "2026-11-05-r1": f"{NAME}_{DAY}", "sub-01": f"sub-{NAME}"}
_PATHS |= {"study_": f"{NAME}_", "dataset": f"{NAME}_data"}
_EYELINK_HEAD = rf"""** CONVERTED FROM C:\Users\{NAME}\rec.edf using edfapi 4.2 on ward7-pc
** DATE: Wed Jul 19 09:12:33 1961
** RECORDED BY {NAME} Quirin
"""
_FIELDS = {"Export date": DAY, "Project name": f"{NAME} Quirin", "Computer name": "ward7-pc"}


def planted(name: str, folder: Path, as_file: str = f"{NAME}_{DAY}") -> Path:
    """Write the example of a format with names and dates in it; file names tell them too."""
    folder.mkdir()
    path = _example(name, folder)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix != ".gz":
            text = re.sub(_either(_NAMES), lambda m: _NAMES[m[0]], file.read_text("utf-8"))
            file.write_text(text, "utf-8")
    if path.is_file():
        return path.rename(path.with_name(as_file + path.suffix))
    for found in sorted(folder.rglob("*"), reverse=True):
        found.rename(found.with_name(re.sub(_either(_PATHS), lambda m: _PATHS[m[0]], found.name)))
    return next(folder.iterdir())


def _either(words: dict[str, str]) -> str:
    return "|".join(rf"(?<![A-Za-z0-9]){re.escape(word)}" for word in words)


def _example(name: str, folder: Path) -> Path:
    path = folder / "export"
    if name == "smi-raw":
        return smi_raw_with_head(path)
    if name == "tobii-studio2":
        path.write_text(PROPERTIES.replace("27/09/2011", DAY) + studio2().text(), "utf-8")
        return path
    if name in SHEETS:
        sheet = SHEETS[name]()
        if name == "tobii-glasses":  # its second look is beside the small snapshot
            for column in ("Media width [snap]", "Media height [snap]"):
                sheet = sheet.filled(column, lambda old: old and "1200")
        rows = [[*sheet.rows[0], *_FIELDS], *([*row, *_FIELDS.values()] for row in sheet.rows[1:])]
        return Sheet(rows, sheet.separator).write(path)
    path = EXAMPLES[name](folder)
    if name == "eyelink-asc":
        path.write_text(_EYELINK_HEAD + path.read_text("utf-8"), "utf-8")
    return path


def found_in(*texts: str | bytes) -> set[str]:
    """Secrets that occur in texts, or in bytes that hold text."""
    plain = [t.decode("utf-8", "replace") if isinstance(t, bytes) else t for t in texts]
    return {secret for secret in SECRETS for text in plain if secret in text.casefold()}


def contents(path: Path) -> list[str | bytes]:
    """All that a file holds: its name, its bytes, and what is packed in them."""
    told: list[str | bytes] = [path.name, path.read_bytes()]
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        told += [table.to_pandas().to_csv(), *pq.ParquetFile(path).metadata.metadata.values()]
    if path.suffix == ".gz":
        told.append(gzip.decompress(path.read_bytes()))
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            told += [str(value) for value in file.attrs.values()]
            file.visititems(lambda name, one: told.extend(_of_hdf5(name, one)))
    return told


def _of_hdf5(name: str, one: h5py.Group | h5py.Dataset) -> list[str | bytes]:
    told = [name, *(str(value) for value in one.attrs.values())]
    if isinstance(one, h5py.Dataset):
        values = one[()]
        told.append(values.tobytes() if isinstance(values, np.ndarray) else str(values))
    return told


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "lab.key"
    path.write_text("0f" * 32)
    return path


# ---------------------------------------------------------------- all formats


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_no_table_of_any_format_tells(name, tmp_path, key):
    path = planted(name, tmp_path / "exports")
    recordings = read(path)
    assert found_in(path.name, *(one.name for one in recordings)), "nothing was planted"
    size = next((one.screen_px for one in recordings if one.screen_px), None) or (1920, 1080)
    spec = IngestSpec(screen=Screen(*size, 528.0, 297.0, 650.0), deidentify_key=key)
    tables = [tmp_path / f"{kind}.parquet" for kind in ("f", "s", "sac", "b")]
    summary = ingest_to(
        [path], tables[0], tables[1], saccades=tables[2], blinks=tables[3], spec=spec
    )
    told = [text for table in tables for text in contents(table)]
    if name == "reflacx":  # without a name of its own the image is called as the file
        assert set(recordings[0].fixations["stimulus"]) == {path.name}
        assert summary.telling_stimuli.total() == 1
    else:
        assert found_in(*told, json.dumps(summary.as_dict())) == set()


DAMAGES = (
    lambda text: text[: len(text) * 2 // 3],
    lambda text: text[200:],
    lambda text: re.sub(r"\b\d{3}(\.\d+)?\b", NAME, text),
    lambda text: re.sub(r"(?<=[\t,; ])\d{3,}\b", NAME, text, count=40),
    lambda text: text.replace("\n", " "),
)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_no_error_tells(name, tmp_path, key):
    whole = planted(name, tmp_path / "exports", "export")
    below = whole.parent if whole.is_file() else whole
    for number, damage in enumerate(DAMAGES):
        folder = tmp_path / str(number)
        shutil.copytree(below, folder)
        for file in folder.rglob("*"):
            if file.is_file() and file.suffix not in (".gz", ".json"):
                file.write_text(damage(file.read_text("utf-8")), "utf-8")
        path = folder / whole.name if whole.is_file() else folder
        assert found_in(_complaint(path, tmp_path / f"{number}.parquet", key)) == set()


def _complaint(path: Path, out: Path, key: Path) -> str:
    try:
        ingest_to([path], out, spec=IngestSpec(deidentify_key=key))
    except GazeToolsError as error:
        return str(error)
    return ""


# ---------------------------------------------------------------- the whole way


@pytest.fixture
def lab(tmp_path, small_cohort, monkeypatch):
    """A folder, itself of a telling name, with an export of two readers, images and masks."""
    folder = tmp_path / f"{NAME}_home" / "lab"
    folder.mkdir(parents=True)
    for part in ("images", "masks"):
        shutil.copytree(small_cohort.export.parent / part, folder / part)
    text = small_cohort.export.read_text("utf-8")
    sheet = Sheet([line.split("\t") for line in text.splitlines()])
    sheet = sheet.filled("Participant name", lambda old: f"{NAME}^{old}")
    sheet = sheet.filled("Recording name", f"{NAME} {DAY}")
    for column in ("Export date", "Recording date"):
        sheet = sheet.filled(column, DAY)
    sheet.write(folder / f"{NAME}_{DAY}.tsv")
    monkeypatch.chdir(folder)
    return folder


def run(*arguments):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def named_files(lab):
    """Masks and targets under names that tell, which the call alone may say."""
    shutil.copytree(lab / "masks", lab / f"{NAME}_masks")
    targets = lab / f"{NAME}_targets.csv"
    targets.write_text("stimulus,x_px,y_px\nFixation cross,960,540\n", encoding="utf-8")
    return "--masks", f"{NAME}_masks", "--targets", targets.name


def test_nothing_that_is_made_of_an_export_tells(lab):
    export = next(lab.glob("*.tsv"))
    tables = ("--samples", "s.parquet", "--saccades", "sac.parquet", "--blinks", "b.parquet")
    (lab / "kept").mkdir()
    screen = ("--screen", "1920x1080:527x296:650")
    hide = ("--deidentify-key", "kept/deidentify.key")
    printed = [
        run("ingest", export.name, *tables, *hide),
        run("check", export.name, "-o", "q.parquet", "--trials", *named_files(lab), *hide),
        run("check", "s.parquet", "--json"),
        run("render", "--levels", 2, "--size", 32, "-o", "maps.h5", "--workers", 1),
        run("info", "maps.h5"),
        run("report", "fixations.parquet", "q.parquet", "maps.h5", "-o", "report.html"),
        run("export", "fixations.parquet", "s.parquet", "--to", "bids", "-o", "bids", *screen),
        run("export", "s.parquet", "--to", "csv", "-o", "s.csv"),
    ]
    assert found_in(*printed) == set()
    kept = {export, lab / f"{NAME}_targets.csv", *(lab / "kept").rglob("*")}
    written = [file for file in lab.rglob("*") if file.is_file() and file not in kept]
    assert {"fixations.parquet", "q.parquet", "maps.h5", "report.html", "participants.tsv"} <= {
        file.name for file in written
    }
    for file in written:
        assert found_in(*contents(file)) == set(), file
    run("ingest", export.name, "-o", "plain.parquet")
    assert found_in(*contents(lab / "plain.parquet"))
