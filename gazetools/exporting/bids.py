"""A BIDS data set: what its recordings share, and all of its files."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.errors import ConfigError, GeometryError, SchemaError
from gazetools.exporting.bids_recording import (
    RECORDING,
    Files,
    Run,
    derivative_run,
    raw_run,
    saccades_in,
)
from gazetools.exporting.cells import clean, json_bytes, tsv
from gazetools.exporting.exported import Exported, LeftOut, undeclared
from gazetools.exporting.folders import listed_folder
from gazetools.exporting.reading import SCHEMAS, Tables
from gazetools.geometry import Screen
from gazetools.tables import BLINKS, SACCADES

BIDS_VERSION = "1.11.1"
_KINDS = tuple(schema.name for schema in SCHEMAS)


@dataclass(frozen=True)
class BidsSpec:
    """What a data set says beside the tables.

    Attributes
    ----------
    name : str
    task : str
        Label: letters and digits.
    screen : Screen or None
        Needed with samples, unless the tables tell it.
    """

    name: str = "gaze"
    task: str = "view"
    screen: Screen | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-zA-Z]+", self.task):
            raise ConfigError(f"task {self.task!r} is no BIDS label; use letters and digits")


def export_bids(
    tables: Tables, out: Path, spec: BidsSpec | None = None, *, overwrite: bool = False
) -> Exported:
    """Write a BIDS data set as a new folder.

    Raises
    ------
    GeometryError
        The screen's size in px and mm and its distance are not known.
    SchemaError
        There are neither samples nor fixations, or they do not belong together.
    OutputError
        The folder exists, is not as we wrote it if it is to be replaced, or cannot be written.
    """
    runs = _runs(tables)
    count = 0
    with listed_folder(out, overwrite=overwrite) as folder:
        for name, content in _files(runs, tables.screen, spec or BidsSpec()):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            count += 1
    return Exported(count, _rows(runs), tuple(_left_out(tables, runs)))


def _files(runs: Sequence[Run], known: Screen | None, spec: BidsSpec) -> Files:
    """Make the files of a data set, one after the other."""
    is_raw = any(run.is_raw for run in runs)
    below = "derivatives/gazetools/" if is_raw else ""
    if is_raw:
        screen = spec.screen or known
        if screen is None:
            raise GeometryError(
                "the screen is not known: BIDS needs its resolution, its size and the eyes' "
                "distance; pass --screen 1920x1080:527x296:650 (px, mm, distance in mm)"
            )
        yield from _raw_root(spec, screen, runs)
    if any(len(run.fixations) for run in runs):
        yield from _derivative_root(below, spec, runs)
    for run in runs:
        if run.is_raw:
            yield from raw_run(run, spec.task)
        if len(run.fixations):
            yield from derivative_run(below, run, spec.task)


def _rows(runs: Sequence[Run]) -> dict[str, int]:
    """Count what is written, by table."""
    rows = {
        kind: sum(len(getattr(run, kind)) for run in runs if run.is_raw or kind == "fixations")
        for kind in _KINDS
    }
    return {kind: count for kind, count in rows.items() if count}


def _left_out(tables: Tables, runs: Sequence[Run]) -> Iterator[LeftOut]:
    raw = {(run.subject, run.recording) for run in runs if run.is_raw}
    for schema, table in tables.given():
        untimed = 0
        if schema in (SACCADES, BLINKS):
            sizes = table.groupby(RECORDING).size()
            untimed = sum(int(size) for key, size in sizes.items() if key not in raw)
        if untimed:
            why = "their recordings have no samples, on whose clock BIDS has them"
            yield LeftOut(untimed, schema.name, why)
        if untimed < len(table):
            yield from undeclared(table, schema)


def _runs(tables: Tables) -> list[Run]:
    parts = {
        kind: dict(list(getattr(tables, kind).groupby(RECORDING, sort=False))) for kind in _KINDS
    }
    keys = list(dict.fromkeys(key for kind in _KINDS[:2] for key in parts[kind]))
    if not keys:
        raise SchemaError("there are neither samples nor fixations to export")
    labels = _labels(subject for subject, _ in keys)
    runs: list[Run] = []
    for subject, recording in keys:
        rows = {
            kind: parts[kind].get((subject, recording), getattr(tables, kind).iloc[:0])
            for kind in _KINDS
        }
        if rows["saccades"].empty:
            rows["saccades"] = saccades_in(rows["samples"])
        number = sum(run.subject == subject for run in runs) + 1
        runs.append(Run(str(subject), str(recording), labels[subject], number, **rows))
    return runs


def _labels(names: Iterable[str]) -> dict[str, str]:
    """BIDS labels: letters and digits, different even where case does not count."""
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^0-9a-zA-Z]", "", name)[:64] or "unnamed"
        label, number = plain, 1
        while label.lower() in taken:
            number += 1
            label = f"{plain}x{number}"
        labels[name] = label
        taken.add(label.lower())
    return labels


def _raw_root(spec: BidsSpec, screen: Screen, runs: Sequence[Run]) -> Files:
    yield "dataset_description.json", json_bytes(_description(spec.name, "raw"))
    yield "README.md", _README.encode()
    yield from _participants("", runs)
    yield f"task-{spec.task}_events.json", json_bytes(_events_json(spec.task, screen))


def _derivative_root(below: str, spec: BidsSpec, runs: Sequence[Run]) -> Files:
    yield f"{below}dataset_description.json", json_bytes(_description(spec.name, "derivative"))
    if not below:
        yield "README.md", _README.encode()
        yield from _participants("", runs)


def _description(name: str, kind: str) -> dict[str, Any]:
    return {
        "Name": name if kind == "raw" else f"{name}: fixations",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": kind,
        "GeneratedBy": [{"Name": "gazetools", "Version": version("gazetools")}],
    }


_README = """\
# Eye tracking

Gaze on a screen, written by `gazetools export --to bids`. Raw samples and the events found in
them are in `sub-*/beh`, fixation tables with positions on the images in `derivatives/gazetools`.
The names that participants and recordings had are in `participants.tsv`, and nowhere else:
remove those columns before you share the data.
"""


def _participants(below: str, runs: Sequence[Run]) -> Files:
    table = pd.DataFrame(
        {
            "participant_id": [f"sub-{run.label}" for run in runs],
            "name": [run.subject for run in runs],
            "recordings": [run.recording for run in runs],
        }
    )
    table = table.groupby(["participant_id", "name"], sort=False, as_index=False).agg("; ".join)
    for column in ("name", "recordings"):
        table[column] = clean(table[column])
    yield f"{below}participants.tsv", tsv(table, header=True)
    yield (
        f"{below}participants.json",
        json_bytes(
            {
                "name": {"Description": "name of the participant in the eye tracker's export"},
                "recordings": {"Description": "names of runs 1, 2 ... in the export"},
            }
        ),
    )


def _events_json(task: str, screen: Screen) -> dict[str, Any]:
    return {
        "TaskName": task,
        "onset": {"Description": "start of the trial from the first sample", "Units": "s"},
        "duration": {"Description": "length of the trial", "Units": "s"},
        "trial_type": {"Description": "what the row is", "Levels": {"trial": "a stimulus' time"}},
        "trial": {"Description": "number of the trial in the recording"},
        "stimulus": {"Description": "name of what was shown"},
        "StimulusPresentation": {
            "ScreenDistance": round(screen.distance_mm / 1000, 6),
            "ScreenOrigin": ["top", "left"],
            "ScreenResolution": [screen.width_px, screen.height_px],
            "ScreenSize": [round(screen.width_mm / 1000, 6), round(screen.height_mm / 1000, 6)],
        },
    }
