"""What stands beside BIDS eye-tracking data: sidecars by inheritance, runs, the screen."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gazetools.errors import FormatError
from gazetools.geometry import Screen
from gazetools.readers.building import Floats, read_json
from gazetools.readers.layout import NULLS, Layout, plain_name
from gazetools.readers.opening import read_head

Json = Mapping[str, Any]

PHYSIO_NAME = re.compile(r"(?P<entities>.+)_(?P<suffix>physio|eyetrack)\.tsv(?:\.gz)?")
_RECORDING = re.compile(r"_recording-([0-9a-zA-Z+]+)")
_NULLS = (*NULLS, "n/a", "N/A", "   .")
"""The last is EyeLink's, which eye2bids leaves of a second eye."""
_NAMES = {
    "x": ("xcoordinate", "x", "gazex", "xpos"),
    "y": ("ycoordinate", "y", "gazey", "ypos"),
    "pupil_size": ("pupilsize", "pupil", "pupilarea", "pupildiameter"),
}
_TOLD_BY_EYE2BIDS = ["x_coordinate", "y_coordinate", "pupil_size", "timestamp"]
_FIRST_LINES = 100
_NOT_RAW = {"derivatives", "sourcedata", "code", "stimuli"}
_MOST_LEVELS = 5
LATEST_US = 2.0**53
TIME_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), "ns"),
}


@dataclass(frozen=True)
class PhysioFile:
    """One physio file.

    Attributes
    ----------
    path : Path
    stem : str
        Its name up to the suffix, without "_recording-", which tells eyes apart.
    label : str
        Of the recording, e.g. "eye1"; may be empty.
    suffix : str
        "physio", or "eyetrack" of older drafts of the specification.
    sidecar : mapping
        All its JSON sidecars, merged.
    """

    path: Path
    stem: str
    label: str
    suffix: str
    sidecar: Json


def runs_below(path: Path) -> list[list[PhysioFile]]:
    """List the files of eye tracking in a folder, or of one run, those of a run together.

    Raises
    ------
    FormatError
        None is eye tracking, or a sidecar is damaged.
    """
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*.tsv*")) if _is_raw(file, path)]
    else:
        stem, _, suffix = _parts(path)
        beside = sorted(path.parent.glob(f"*_{suffix}.tsv*"))
        found = [file for file in beside if _parts(file)[0] == stem]
        found = found if path in found else [path]
    found = [file for file in found if PHYSIO_NAME.fullmatch(file.name) and not file.is_dir()]
    if not found:
        raise FormatError(
            f"{path}: no *_physio.tsv.gz but in derivatives or sourcedata, if there; expected one "
            "beside its JSON sidecar; download the samples too, or name the folder that holds them"
        )
    files = [physio_file(file) for file in found]
    eyes = [file for file in files if is_eye_tracking(file)]
    absent = [file.path for file in eyes if not file.path.is_file()]
    if absent:
        raise FormatError(
            f"{absent[0]}: a link to data that were not fetched, one of {len(absent)} among "
            f"{len(eyes)} files of gaze; fetch them (`datalad get`), or name a folder in which all "
            "are there"
        )
    if not eyes:
        seen = sorted({str(file.sidecar.get("PhysioType", "generic")) for file in files})
        raise FormatError(
            f"{path}: none of its {len(files)} physio files is eye tracking (PhysioType is "
            f'{", ".join(seen) or "nowhere"}); expected "PhysioType": "eyetrack", or the '
            "columns x_coordinate and y_coordinate, in a JSON sidecar"
        )
    runs: dict[tuple[Path, str], list[PhysioFile]] = {}
    for file in eyes:
        runs.setdefault((file.path.parent, file.stem), []).append(file)
    # beside the files of a specification a draft's tells nothing new
    return [[file for file in run if file.suffix == "physio"] or run for run in runs.values()]


def _is_raw(file: Path, root: Path) -> bool:
    return not _NOT_RAW & set(file.relative_to(root).parts[:-1])


def _parts(path: Path) -> tuple[str, str, str]:
    match = PHYSIO_NAME.fullmatch(path.name)
    if match is None:
        return path.name, "", ""
    label = _RECORDING.search(match["entities"])
    return _RECORDING.sub("", match["entities"]), label[1] if label else "", match["suffix"]


def physio_file(path: Path) -> PhysioFile:
    """Read the sidecars of a file."""
    stem, label, suffix = _parts(path)
    return PhysioFile(path, stem, label, suffix, inherited(path, suffix))


def is_eye_tracking(file: PhysioFile) -> bool:
    """Tell gaze from a heart's beat, or a head's."""
    kind = file.sidecar.get("PhysioType")
    if kind is not None and kind != "generic":
        return bool(kind == "eyetrack")
    is_named = file.suffix == "eyetrack" or re.search("eye|gaze", file.label, re.IGNORECASE)
    columns = file.sidecar.get("Columns")
    if not isinstance(columns, list):
        columns = _header_of(file.path) if is_named else []
    names = [str(name) for name in columns]
    tells = is_named or any("xcoordinate" in plain_name(name) for name in names)
    return bool(tells and gaze_columns(names))


def subject_and_name(file: PhysioFile) -> tuple[str, str]:
    """Tell the participant's label and the name of the run without it."""
    match = re.match(r"sub-([0-9a-zA-Z+]+)_?", file.stem)
    if match is None:
        return "unnamed", file.stem
    return match[1], file.stem[match.end() :] or file.stem


def _folders(path: Path) -> list[Path]:
    """Folders whose sidecars a file inherits, the root of the data set first."""
    folders = [path.parent]
    while len(folders) < _MOST_LEVELS and not (folders[0] / "dataset_description.json").exists():
        if not any(p.name.startswith("sub-") for p in (folders[0], *folders[0].parents[:2])):
            break
        folders.insert(0, folders[0].parent)
    return folders


def applicable(path: Path, suffix: str, extension: str) -> list[Path]:
    """List the files that belong to a file by inheritance, the most general first."""
    own = set(_entities(path))
    found: list[Path] = []
    for folder in _folders(path):
        here = [
            file
            for file in folder.glob(f"*{suffix}.{extension}")
            if re.fullmatch(rf"(.+_)?{suffix}\.{extension}", file.name)
            and set(_entities(file)) <= own
        ]
        found += sorted(here, key=lambda file: (len(_entities(file)), file.name))
    return found


def _entities(path: Path) -> list[str]:
    return path.name.partition(".")[0].split("_")[:-1]


def inherited(path: Path, suffix: str) -> dict[str, Any]:
    """Merge the JSON sidecars of a file; the nearest go first."""
    merged: dict[str, Any] = {}
    for sidecar in applicable(path, suffix, "json"):
        merged |= read_json(sidecar)
    return merged


def number_in(sidecar: Json, key: str) -> float | None:
    """Return a number of a sidecar, or the mean of several; None if there is none."""
    numbers, _ = _numbers(sidecar, key)
    return math.fsum(numbers) / len(numbers) if numbers else None


def units_of(sidecar: Json, column: str) -> str:
    """Return the Units of a column, "" if they are not told."""
    about = sidecar.get(column)
    return str(about.get("Units") or "").strip() if isinstance(about, dict) else ""


def columns_of(path: Path, sidecar: Json) -> list[str]:
    """Return the names of the columns of a file.

    Raises
    ------
    FormatError
        The sidecars do not tell them.
    """
    header = _header_of(path)
    columns = sidecar.get("Columns")
    if not isinstance(columns, list) or not columns:
        if header:
            return header
        raise FormatError(
            f'{path}: no "Columns" in its JSON sidecars, which name the columns of a file that '
            "has no header; put the sidecars beside it, or give the whole data set"
        )
    names = [str(name) for name in columns]
    is_same = [plain_name(name) for name in names] == [plain_name(name) for name in header]
    if header and not is_same:
        return header
    # older eye2bids tells another order than it writes
    is_clock_first = names == _TOLD_BY_EYE2BIDS and _counts_up(path)
    return [names[-1], *names[:-1]] if is_clock_first else names


def _counts_up(path: Path) -> bool:
    """Whether the first column holds whole numbers that rise, as no gaze does for long."""
    lines = read_head(path).splitlines()[:_FIRST_LINES]
    cells = [line.partition("\t")[0].strip() for line in lines]
    if not all(re.fullmatch(r"\d{1,15}", cell) for cell in cells):
        return False
    return bool((np.diff([int(cell) for cell in cells]) > 0).all())


def _header_of(path: Path) -> list[str]:
    """Names in the first line; none if it is data, as BIDS has it."""
    fields = read_head(path).partition("\n")[0].rstrip("\r").split("\t")
    told = [field for field in fields if field]
    are_names = (re.match(r"\s*[A-Za-z_]", field) and field not in _NULLS for field in told)
    return fields if told and all(are_names) else []


def gaze_columns(columns: Collection[str]) -> dict[str, dict[str, str]]:
    """Find the columns of each eye.

    Returns
    -------
    found : dict of str to dict of str to str
        By what the columns call the eye ("left", "right", "eye1", "eye2", or "" for none): theirs
        of our ``x``, ``y`` and ``pupil_size``.
    """
    plain = {plain_name(name): name for name in reversed(list(columns))}
    if {"x", "y", "z"} <= set(plain):
        return {}  # a head, not gaze
    found = {}
    for eye in ("", "left", "right", "eye1", "eye2"):
        named = {
            ours: name
            for ours, words in _NAMES.items()
            if (name := _first(plain, [n for word in words for n in (eye + word, word + eye)]))
        }
        if {"x", "y"} <= set(named):
            found[eye] = named
    return found


def _first(plain: Mapping[str, str], names: Collection[str]) -> str:
    return next((plain[name] for name in names if name in plain), "")


# ---------------------------------------------------------------- screen


@dataclass(frozen=True)
class Display:
    """What is known of the screen.

    Attributes
    ----------
    px : (int, int) or None
    screen : Screen or None
    origin : tuple of str
        Where coordinates are 0, e.g. ("top", "left").
    notes : tuple of str
        What was written otherwise than the specification has it, and how it was taken.
    """

    px: tuple[int, int] | None
    screen: Screen | None
    origin: tuple[str, ...]
    notes: tuple[str, ...]


def display_of(file: PhysioFile) -> Display:
    """Read StimulusPresentation of the events that belong to a file, or its own sidecar."""
    shown: dict[str, Any] = {}
    for sidecar in (file.sidecar, inherited(file.path, "events")):
        inner = sidecar.get("StimulusPresentation")
        for told in (sidecar, inner if isinstance(inner, dict) else {}):
            shown |= {key: value for key, value in told.items() if value is not None}
    notes: list[str] = []
    px = _resolution(shown, notes)
    size = _metres(shown, "ScreenSize", 2, notes)
    distance = _metres(shown, "ScreenDistance", 0, notes)
    screen = None
    if px is not None and size is not None and distance is not None:
        far = math.hypot(*distance)
        if min(*size, far) > 0:
            screen = Screen(*px, size[0] * 1000, size[1] * 1000, far * 1000)
    origin = shown.get("ScreenOrigin", shown.get("EnvironmentCoordinates", "top-left"))
    words = origin if isinstance(origin, list) else re.split(r"[-_ ]", str(origin))
    return Display(px, screen, tuple(str(word).lower() for word in words), tuple(notes))


def _resolution(shown: Json, notes: list[str]) -> tuple[int, int] | None:
    value, complete = _numbers(shown, "ScreenResolution")
    if not complete or len(value) != 2 or not all(1 <= v < 1e6 for v in value):
        return None
    width, height = (round(v) for v in value)
    if width % 8 == 7 and height % 2 == 1:
        notes.append(f"{width} x {height} are the last pixel")
        return width + 1, height + 1
    return width, height


def _metres(shown: Json, key: str, count: int, notes: list[str]) -> list[float] | None:
    """Lengths in a sidecar in m; `count` of them, or 1 or 3 for 0."""
    value, complete = _numbers(shown, key)
    if not complete or len(value) not in ((count,) if count else (1, 3)):
        return None
    if not all(abs(v) < 1e6 for v in value):
        return None
    largest = max(abs(v) for v in value)
    if largest <= 10:
        return value
    per_m, unit = (100, "cm") if largest <= 300 else (1000, "mm")
    notes.append(f"{key} {largest:g} is taken for {unit}")
    return [v / per_m for v in value]


def _numbers(sidecar: Json, key: str) -> tuple[list[float], bool]:
    """Return the numbers of an entry, one or a list, and whether there is nothing else in it."""
    value = sidecar.get(key)
    values = value if isinstance(value, list) else [value]
    numbers = [float(v) for v in values if isinstance(v, int | float) and abs(v) < LATEST_US]
    return numbers, len(numbers) == len(values)


# ---------------------------------------------------------------- tables


def layout_of(path: Path, columns: list[str]) -> Layout:
    """Lay out a file without a header, as BIDS has it; some write one all the same."""
    return Layout("\t", int(bool(_header_of(path))), tuple(columns), _NULLS)


def bounded(path: Path, time_us: Floats) -> Floats:
    """Return times that are exact in us.

    Raises
    ------
    FormatError
        One is beyond that.
    """
    if (np.abs(time_us[~np.isnan(time_us)]) > LATEST_US).any():
        raise FormatError(f"{path}: a time beyond {LATEST_US:.0f} us; correct the time unit")
    return time_us
