"""Pupil Core: what Pupil Player exports of a recording (CSV), as a folder or one of its files.

Given ``exports/000`` or the recording's folder (then the last export), or one of the files, of
which ``P01_gaze_positions.csv``, ``P01_fixations.csv`` and so on belong together::

    gaze_timestamp,world_index,confidence,norm_pos_x,norm_pos_y,base_data,...
    329367.897894,417,0.9800581474643524,0.501013401785833,0.48943624382641693,329367.89-0 ...,...

    id,start_timestamp,duration,start_frame_index,end_frame_index,norm_pos_x,norm_pos_y,...
    65,329367.8728605,202.7644999907352,417,423,0.5006076206214289,0.489283007793768,...

==============================  ==============================================================
here                            in the export
==============================  ==============================================================
SAMPLES                         gaze_positions.csv: gaze_timestamp (s; older: timestamp),
                                norm_pos_x, norm_pos_y (origin **bottom left**, turned over)
``left_dir_x`` ...              gaze_point_3d_x ... z, as seen from the scene camera; both eyes
FIXATIONS                       fixations.csv: start_timestamp (s), duration (**ms**; before
                                Pupil Player 1, by their size, s), norm_pos_x, norm_pos_y
BLINKS                          blinks.csv: start_timestamp (s), duration (**s**)
messages for ``trial_from``     annotations.csv: label at timestamp (s)
names                           info.player.json: recording_name; with the folder's number, as
                                one session's recordings 000, 001 ... have one name
==============================  ==============================================================

Positions are shares of the scene camera's picture, which moves with the head. Where surfaces
were defined (``surfaces/gaze_positions_on_surface_NAME.csv`` and ``fixations_on_surface_...``),
each gives a recording instead, ``RECORDING on NAME``, whose stimulus and unit is the surface:
x_norm, y_norm, on_surf (older: on_srf, and no confidence); a fixation on a surface is listed once
for every frame of the scene camera (older: once) and becomes the mean of those that are on it.

A fixation lasts from its first sample to its last. Gaze of a confidence below 0.6 and gaze off
the surface is missing (NaN), and counted. Samples are sorted by time; those that repeat one are
dropped and counted. So is, where base_data says that each row is mapped from one eye, now this,
now the other, the gaze of the eye with the lower mean confidence. The direction of both eyes is
that of the point they look at; per-eye directions and pupils are left out. Without
gaze_positions.csv the trial begins with the first event.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import (
    EYES,
    about,
    add_counts,
    in_time_order,
    read_json,
    samples_table,
)
from gazetools.readers.delimited import Table
from gazetools.readers.opening import read_head
from gazetools.readers.pupil_files import (
    Family,
    has_columns,
    header_of,
    header_or_none,
    is_true,
    list_events,
    name_of_folder,
    names_in,
    read_table,
)
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.trial_marks import expect_no_rule, trial_marks, trials_from
from gazetools.readers.vendor_events import (
    label_samples,
    place_blinks,
    place_fixations,
)

_SOURCE = "vendor:pupil-core"
_MIN_CONFIDENCE = 0.6
_MOST_S = 1e11
_MOST_USUAL_S = 10.0
"""Durations of which most are shorter are in s, for no fixation lasts 10 ms."""
_ROUNDING_US = 2
_BOTH_EYES = 0.1
"""Share of the gaze that the rarer eye exceeds where each is mapped by itself."""
_ONE_DATUM = r"\S+-[01]"

_TEXTS = {"on_surface": ("onsurf", "onsrf"), "fixation": ("fixationid",)}
_NUMBERS = {
    "time_s": ("gazetimestamp", "timestamp"),
    "confidence": ("confidence",),
    "x": ("normposx", "xnorm"),
    "y": ("normposy", "ynorm"),
    **{f"{axis}_mm": (f"gazepoint3d{axis}",) for axis in "xyz"},
    "start_s": ("starttimestamp",),
    "duration": ("duration",),
}
_COLUMNS = {
    "fixations_on_surface": ("starttimestamp", "duration", "normposx", "normposy", "xscaled"),
    "fixations": ("starttimestamp", "duration", "dispersion", "normposx", "normposy"),
    "gaze_on_surface": ("gazetimestamp", "xnorm", "ynorm"),
    "gaze_positions": ("gazetimestamp", "confidence", "normposx", "normposy"),
    "gaze_positions, old": ("timestamp", "confidence", "normposx", "normposy"),
}
"""Columns by which a file is known, the first kind that fits."""
_OF_EYES = ("eyeid", "pupiltimestamp", "diameter")
_NATIVE = {"gaze.pldata", "pupil.pldata", "pupil_data"}
"""What Pupil Capture records; before version 1.9 all in one file."""
_SURFACE_FILE = re.compile(r"(?:gaze_positions|fixations)_on_surface_(.+)\.csv(?:\.gz)?")


def _kind(header: list[str]) -> str:
    if any(has_columns(header, (name,)) for name in _OF_EYES):
        return ""
    return next((kind for kind, names in _COLUMNS.items() if has_columns(header, names)), "")


def refusal(head: Head) -> str:
    """Say why this is no export of Pupil Player, or "" if it is."""
    if not head.files:
        header = names_in(head.text)
        return "" if _kind(header) else "no columns of Pupil Player's gaze or fixations"
    main = _main_files(head.path)
    if any(_kind(header_or_none(file)) for file in main) or _NATIVE & set(head.files):
        return ""
    return "no gaze_positions.csv or fixations.csv of Pupil Player"


def _main_files(folder: Path) -> list[Path]:
    """Gaze, else fixations, of a folder or of its last export; then its surfaces'."""
    exports = [*sorted(folder.glob("exports/*"), reverse=True), folder]
    for place in exports:
        found = [place / name for name in ("gaze_positions.csv", "fixations.csv")]
        for surfaces in (place / "surfaces", place):
            found += sorted(surfaces.glob("gaze_positions_on_surface_*.csv"))
        found = [file for file in found if file.is_file()]
        if found:
            return found
    return []


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read an export as one recording, or one for each surface.

    Raises
    ------
    FormatError
        A line is damaged, no sample and no fixation has a time, or nothing was exported.
    """
    main = _main_files(path) if path.is_dir() else [path]
    main = [file for file in main if _kind(header_of(file))]
    if not main:
        raise FormatError(
            f"{path}: what Pupil Capture recorded, expected what Pupil Player exports of it; open "
            "it in Pupil Player, export it (key e) and read its folder exports/000"
        )
    surfaces = [f for f in main if _kind(header_of(f)) == "gaze_on_surface"]
    if path.is_dir() and surfaces:
        return [_read_file(path, file, options) for file in surfaces]
    return [_read_file(path, main[0], options)]


def _read_file(path: Path, file: Path, options: ReadOptions) -> Recording:
    kind = _kind(header_of(file))
    on_surface = kind.endswith("on_surface")
    match = _SURFACE_FILE.fullmatch(file.name)
    surface = (match[1] if match else "surface") if on_surface else None
    gaze_role, fixation_role = "gaze_positions", "fixations"
    if match and on_surface:
        gaze_role, fixation_role = (f"{r}_on_surface_{surface}" for r in (gaze_role, fixation_role))
    family = Family(file, gaze_role if kind.startswith("gaze") else fixation_role)
    export = file.parent.parent if on_surface and file.parent.name == "surfaces" else file.parent
    general = Family(export / "gaze_positions.csv", "gaze_positions") if match else family
    info = _info(general, export)
    name = _name(general, export, str(info.get("recording_name") or ""))
    parts = _Parts(
        path=path,
        name=f"{name} on {surface}" if surface is not None else name,
        surface=surface,
        gaze=_of_kind(family.find(gaze_role), "gaze"),
        fixations=_of_kind(family.find(fixation_role), "fixations"),
        blinks=general.find("blinks"),
        annotations=general.find("annotations"),
        trial_from=options.trial_from,
        software=_software(info),
    )
    return parts.recording()


def _of_kind(file: Path | None, kind: str) -> Path | None:
    return file if file is not None and _kind(header_of(file)).startswith(kind) else None


def _name(family: Family, export: Path, told: str) -> str:
    """Name that is told, with the number of the recording, else that of its folder or file."""
    if family.prefix == "" and export.absolute().parent.name == "exports":
        return name_of_folder(export.absolute().parent.parent, told) or family.stem()
    return told or family.stem()


def _info(family: Family, export: Path) -> dict[str, Any]:
    beside = family.find("info.player", ".json")
    above = export.absolute().parent.parent / "info.player.json"
    if beside is None and export.absolute().parent.name == "exports" and above.is_file():
        beside = above
    return read_json(beside)


def _software(info: Mapping[str, Any]) -> str:
    told = (info.get("recording_software_name"), info.get("recording_software_version"))
    return " ".join(str(word) for word in told if word) or "Pupil Player"


@dataclass(frozen=True)
class _Parts:
    """The files of one recording."""

    path: Path
    name: str
    surface: str | None
    gaze: Path | None
    fixations: Path | None
    blinks: Path | None
    annotations: Path | None
    trial_from: str | None
    software: str

    def recording(self) -> Recording:
        gaze = listed = None
        if self.gaze is not None:
            gaze = _with_times(self.gaze, "time_s", _eye_texts(self.gaze))
        if self.fixations is not None:
            # Pupil Player writes the header alone where it found no fixation
            listed = _with_times(self.fixations, "start_s", may_be_empty=gaze is not None)
        if gaze is not None:
            return self._with_samples(gaze, listed)
        assert listed is not None
        return self._without_samples(listed)

    def _with_samples(self, gaze: Table, listed: Table | None) -> Recording:
        samples, counts = self._samples(gaze)
        events, more = self._events(listed)
        fixations, dropped = place_fixations(events, samples, _SOURCE, slack_us=_ROUNDING_US)
        if listed is not None:
            samples = label_samples(samples, fixations)
        tables = {"samples": samples, "fixations": fixations}
        counts = add_counts(counts, more, dropped)
        for what, rows in self._blinks().items():
            tables[what], dropped = place_blinks(rows, samples, _SOURCE)
            counts = add_counts(counts, dropped)
        return self._made(gaze, counts, **tables)

    def _without_samples(self, listed: Table) -> Recording:
        expect_no_rule(self.path, self.trial_from)
        events, counts = self._events(listed)
        tables, dropped = list_events(events, self._blinks(), self._who(), _SOURCE)
        return self._made(listed, add_counts(counts, dropped), **tables)

    def _who(self) -> dict[str, Any]:
        stimulus = np.nan if self.surface is None else self.surface
        return {"recording": self.name, "subject": "unnamed", "trial": 1, "stimulus": stimulus}

    def _made(self, main: Table, skipped: dict[str, int], **tables: pd.DataFrame) -> Recording:
        place = "scene camera" if self.surface is None else f"surface {self.surface!r}"
        return Recording(
            name=self.name,
            subject="unnamed",
            format=READER.name,
            path=self.path,
            normalised=True,
            about=about(
                main,
                header_of(main.path),
                software=self.software,
                time_unit="s",
                positions=f"shares of the {place}",
            ),
            skipped=skipped,
            **tables,
        )

    def _samples(self, gaze: Table) -> tuple[pd.DataFrame, dict[str, int]]:
        other = _of_other_eye(gaze.frame)
        rows = gaze.frame[~other]
        unsure = rows.get("confidence", pd.Series(1.0, rows.index)) < _MIN_CONFIDENCE
        off = ~unsure & _is_off(rows)
        counts = {
            "gaze of the other eye": int(other.sum()),
            "samples of low confidence (kept, without gaze)": int(unsure.sum()),
            "samples off the surface (kept, without gaze)": int(off.sum()),
        }
        seen = ~(unsure | off)
        rows = pd.DataFrame(
            {
                "tracker_time_us": (rows["time_s"] * 1e6).round().astype("int64"),
                "x_px": rows["x"].where(seen),
                "y_px": 1 - rows["y"].where(seen),
                **_directions(rows.where(seen)),
            }
        )
        rows, repeated = in_time_order(rows)
        rows = rows.assign(**self._who())
        if self.trial_from is not None:
            rows = self._with_trials(rows, self.trial_from)
        return samples_table(rows), add_counts(counts, repeated)

    def _with_trials(self, rows: pd.DataFrame, rule: str) -> pd.DataFrame:
        """Part samples by the annotations that match the rule."""
        marks = trial_marks(self.path, self._messages(), rule)
        trial, stimulus = trials_from(*marks, rows["tracker_time_us"].to_numpy(np.int64))
        if self.surface is not None:
            stimulus = stimulus.fillna(self.surface).where(trial > 0)
        return rows.assign(trial=trial, stimulus=stimulus)

    def _messages(self) -> list[tuple[int, str]]:
        file = self.annotations
        if file is None or not has_columns(header_of(file), ("timestamp", "label")):
            return []
        told = _with_times(file, "time_s", {"label": ("label",)}, may_be_empty=True).frame
        told = told[told["label"].notna()]
        time_us = (told["time_s"] * 1e6).round().astype("int64")
        return list(zip(time_us.tolist(), told["label"], strict=True))

    def _events(self, listed: Table | None) -> tuple[pd.DataFrame, dict[str, int]]:
        columns = ["begin_us", "last_us", "duration_ms", "x_px", "y_px"]
        if listed is None:
            return pd.DataFrame(columns=columns, dtype="float64"), {}
        rows = listed.frame
        off = _is_off(rows)
        number = rows["fixation"] if "fixation" in rows else pd.Series(rows.index, rows.index)
        skipped = {"fixations off the surface": number.nunique() - number[~off].nunique()}
        rows = rows[~off].groupby(number[~off], sort=False)
        rows = rows[["start_s", "duration", "x", "y"]].mean()
        begin_us = (rows["start_s"] * 1e6).round()
        duration_ms = rows["duration"]
        if duration_ms.median() < _MOST_USUAL_S:
            duration_ms = duration_ms * 1000
        events = pd.DataFrame(
            {
                "begin_us": begin_us.astype("int64"),
                "last_us": (begin_us + (duration_ms * 1e3).round()).fillna(begin_us),
                "duration_ms": duration_ms,
                "x_px": rows["x"],
                "y_px": 1 - rows["y"],
            }
        )
        return events.reset_index(drop=True), skipped

    def _blinks(self) -> dict[str, pd.DataFrame]:
        """Blinks, if there is a file of them."""
        if self.blinks is None or not has_columns(
            header_of(self.blinks), ("starttimestamp", "duration")
        ):
            return {}
        rows = _with_times(self.blinks, "start_s", may_be_empty=True).frame
        events = pd.DataFrame(
            {
                "begin_us": (rows["start_s"] * 1e6).round().astype("int64"),
                "duration_ms": rows["duration"] * 1000,
            }
        )
        return {"blinks": events.assign(eye="both")}


def _eye_texts(gaze: Path) -> dict[str, tuple[str, ...]]:
    """Name the column that tells the eye, unless the first rows say that gaze is of both."""
    # a text of its own in each row takes long to read
    pairs = re.search(r"\d-[01] \S+-[01]", read_head(gaze))
    return {} if pairs else {"base": ("basedata",)}


def _of_other_eye(rows: pd.DataFrame) -> pd.Series:
    """Tell which rows (n,) are of the eye to leave out; none where both are mapped together."""
    none = pd.Series(False, index=rows.index)
    if "base" not in rows or not rows["base"].str.fullmatch(_ONE_DATUM).all():
        return none
    eye = rows["base"].str[-1]
    if eye.nunique() < 2 or eye.value_counts(normalize=True).min() <= _BOTH_EYES:
        return none
    return eye != rows["confidence"].groupby(eye).mean().fillna(0).idxmax()


def _directions(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Directions of gaze, if it was mapped in 3d; the scene camera looks along z."""
    names = [f"{axis}_mm" for axis in "xyz"]
    if not set(names) <= set(rows) or rows[names].isna().all(axis=None):
        return {}
    point = rows[names].to_numpy(np.float64) * (1, 1, -1)
    length = np.linalg.norm(point, axis=1, keepdims=True)
    direction = point / np.where(length > 0, length, np.nan)
    return {
        f"{eye}_dir_{axis}": pd.Series(values, rows.index)
        for eye in EYES
        for axis, values in zip("xyz", direction.T, strict=True)
    }


def _is_off(rows: pd.DataFrame) -> pd.Series:
    """Tell what is not on the surface; without surfaces nothing is off."""
    if "on_surface" not in rows:
        return pd.Series(False, index=rows.index)
    return ~is_true(rows["on_surface"]).astype(bool)


def _with_times(
    file: Path,
    time: str,
    texts: Mapping[str, tuple[str, ...]] | None = None,
    *,
    may_be_empty: bool = False,
) -> Table:
    table = read_table(file, {**_TEXTS, **(texts or {})}, _NUMBERS)
    table.expect(time, ~(table.frame[time].abs() > _MOST_S), f"seconds up to {_MOST_S:.0f}")
    rows = table.frame[table.frame[time].notna()].reset_index(drop=True)
    if "duration" in rows:
        fine = ~(table.frame["duration"].abs() > _MOST_S)
        table.expect("duration", fine, f"a number up to {_MOST_S:.0f}")
    if rows.empty and (len(table.frame) or not may_be_empty):
        raise FormatError(
            f"{file}: none of its {len(table.frame)} rows has a {table.columns[time]!r}; "
            "export the recording again"
        )
    return replace(table, frame=rows)


READER = Reader(
    name="pupil-core",
    title="Pupil Core, export of Pupil Player (folder or CSV)",
    versions="gaze, fixations, blinks of Pupil Player 1-3; 0.4-0.9 from documents",
    refusal=refusal,
    read=read,
    yields=("samples", "fixations", "blinks"),
    profile="pupil-core",
    has_messages=True,
)
