"""Pupil Labs Neon and Invisible: time series of Pupil Cloud or Neon Player (folder or CSV).

Given the folder of a recording, or one with such folders, or ``gaze.csv`` or ``fixations.csv``
(perhaps with a prefix that the files beside share: ``P01_gaze.csv``, ``P01_fixations.csv``)::

    section id,recording id,timestamp [ns],gaze x [px],gaze y [px],worn,fixation id,blink id,...
    8c2f...,140c...,1754690230077095946,812.301,633.870,1,253,,...

    section id,recording id,fixation id,start timestamp [ns],end timestamp [ns],duration [ms],...
    8c2f...,140c...,253,1754690230422467946,1754690230547470946,125,811.05,634.22,...

==============================  ==============================================================
here                            in the export
==============================  ==============================================================
SAMPLES                         gaze.csv: timestamp [ns] (read whole, kept in us), gaze x [px]
pupils                          3d_eye_states.csv: pupil diameter left [mm] ... at equal times
FIXATIONS                       fixations.csv: start, end timestamp [ns], fixation x [px]
SACCADES                        saccades.csv: amplitude [deg]
BLINKS                          blinks.csv
recording and subject           recording id, named by sections.csv or info.json, if beside
messages for ``trial_from``     events.csv: name
==============================  ==============================================================

Positions are px of the scene camera, which moves with the head; they tell what was looked at only
after mapping (see pupil_surface, which reads a folder that holds mapped gaze too). Events end where
the next sample begins. Without a rule for trials, all is trial 1; without gaze.csv it begins with
the first event. Gaze while the glasses were not worn is missing (NaN), and counted. Dropped and
counted: rows without a time, samples and events that repeat one (of sections that overlap). Left
out: azimuth and elevation, eyelids, the eyes' places in the camera's space.
"""

import re
from collections.abc import Mapping
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
from gazetools.readers.pupil_files import (
    LASTING,
    TIMED,
    Family,
    cloud_files,
    events_of,
    has_columns,
    header_of,
    header_or_none,
    is_false,
    list_events,
    names_in,
    names_of,
    of_recording,
    read_cloud,
)
from gazetools.readers.recording import About, Head, Reader, ReadOptions, Recording
from gazetools.readers.trial_marks import expect_no_rule, trial_marks, trials_from
from gazetools.readers.vendor_events import (
    label_samples,
    listed_once,
    place_blinks,
    place_fixations,
    place_saccades,
)

_SOURCE = "vendor:pupil-neon"
_COLUMNS = {
    "gaze": ("timestampns", "gazexpx", "gazeypx"),
    "fixations": ("starttimestampns", "endtimestampns", "fixationxpx", "fixationypx"),
}
_GAZE = {"x_px": ("gazexpx",), "y_px": ("gazeypx",)}
_FIXATION = {"x_px": ("fixationxpx",), "y_px": ("fixationypx",)}
_PUPILS = {f"{eye}_pupil_mm": (f"pupildiameter{eye}mm",) for eye in EYES}
_NATIVE = re.compile(r"gaze.*\.raw")
_SCENE_PX = {"Neon": (1600, 1200), "Pupil Invisible": (1088, 1080)}


def _kind(header: list[str]) -> str:
    if has_columns(header, ("fixationdetectedinreferenceimage",)):
        return ""
    return next((kind for kind, names in _COLUMNS.items() if has_columns(header, names)), "")


def refusal(head: Head) -> str:
    """Say why this is no time series of Pupil Cloud, or "" if it is."""
    if not head.files:
        header = names_in(head.text)
        return "" if _kind(header) else "no columns 'timestamp [ns]' and 'gaze x [px]'"
    main = cloud_files(head.path)
    if not main:
        return "" if _is_native(head) else "no gaze.csv or fixations.csv in it"
    other = next((file for file in main if not _kind(header_or_none(file))), None)
    return "" if other is None else f"no 'gaze x [px]' in {other.name}"


def _is_native(head: Head) -> bool:
    """Tell what the glasses record, unless Pupil Player has made it its own."""
    return "info.player.json" not in head.files and any(map(_NATIVE.fullmatch, head.files))


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read all recordings of a file, or of a folder.

    Raises
    ------
    FormatError
        A line is damaged, no row has a time, or nothing was exported.
    """
    main = cloud_files(path) if path.is_dir() else [path]
    if not main:
        raise FormatError(
            f"{path}: what Neon or Pupil Invisible recorded, expected its time series; download "
            "them from Pupil Cloud, or export them with Neon Player"
        )
    files = [file for file in main if _kind(header_of(file))]
    return [recording for file in files for recording in _read_file(path, file, options)]


def _read_file(path: Path, file: Path, options: ReadOptions) -> list[Recording]:
    family = Family(file, _kind(header_of(file)))
    parts = _Parts(path, family, options)
    main = parts.gaze if parts.gaze is not None else parts.fixations
    assert main is not None
    return [
        parts.recording(id_, *who, parts.skipped if not number else {})
        for number, (id_, who) in enumerate(names_of(family, main).items())
    ]


class _Parts:
    """The files that stand side by side, with rows of one recording or of several."""

    def __init__(self, path: Path, family: Family, options: ReadOptions) -> None:
        self.path = path
        self.skipped: dict[str, int] = {}
        self._family = family
        self._options = options
        self.gaze = self._table("gaze", TIMED, _GAZE, {"worn": ("worn",)})
        self.fixations = self._table("fixations", LASTING, _FIXATION)
        self._saccades = self._table("saccades", LASTING, {"amplitude_deg": ("amplitudedeg",)})
        self._blinks = self._table("blinks", LASTING, {})
        self._pupils = self._table("3d_eye_states", TIMED, _PUPILS)
        self._events = self._table("events", TIMED, {}, {"name": ("name",)})

    def _table(
        self,
        role: str,
        times: Mapping[str, tuple[str, ...]],
        numbers: Mapping[str, tuple[str, ...]],
        texts: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Table | None:
        file = self._family.find(role)
        needed = _COLUMNS.get(role, tuple(name for (name,) in times.values()))
        if file is None or not has_columns(header_of(file), needed):
            return None
        table, skipped = read_cloud(file, times, numbers, texts)
        self.skipped = add_counts(self.skipped, skipped)
        return table

    def recording(self, id_: str, name: str, subject: str, skipped: Mapping[str, int]) -> Recording:
        fixations = _rows(self.fixations, id_)
        info = read_json(self._family.find("info", ".json"))
        if self.gaze is None:
            assert fixations is not None
            expect_no_rule(self.path, self._options.trial_from)
            who = {"recording": name, "subject": subject, "trial": 1, "stimulus": None}
            others, again = self._others(id_)
            tables, counts = list_events(events_of(fixations), others, who, _SOURCE)
            counts = add_counts(counts, again)
        else:
            tables, counts = self._with_samples(id_, fixations, name, subject)
        return Recording(
            name=name,
            subject=subject,
            format=READER.name,
            path=self.path,
            screen_px=_SCENE_PX.get(_tracker(info)),
            about=self._about(info),
            skipped=add_counts(skipped, counts),
            **tables,
        )

    def _with_samples(
        self, id_: str, fixations: pd.DataFrame | None, name: str, subject: str
    ) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
        samples, counts = self._samples(id_, name, subject)
        tables = {"samples": samples}
        others, again = self._others(id_)
        counts = add_counts(counts, again)
        for what, place in (("saccades", place_saccades), ("blinks", place_blinks)):
            if what in others:
                tables[what], dropped = place(others[what], samples, _SOURCE)
                counts = add_counts(counts, dropped)
        if fixations is not None:
            placed, dropped = place_fixations(events_of(fixations), samples, _SOURCE)
            labelled = label_samples(samples, placed, others.get("saccades"))
            tables |= {"fixations": placed, "samples": labelled}
            counts = add_counts(counts, dropped)
        return tables, counts

    def _others(self, id_: str) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
        """Saccades and blinks, as far as there are files of them; count those listed again."""
        saccades, blinks = _rows(self._saccades, id_), _rows(self._blinks, id_)
        others = {} if saccades is None else {"saccades": events_of(saccades)}
        if blinks is not None:
            others["blinks"] = events_of(blinks).assign(eye="both")
        counts: dict[str, int] = {}
        for what, rows in others.items():
            others[what], again = listed_once(rows, what)
            counts = add_counts(counts, again)
        return others, counts

    def _samples(self, id_: str, name: str, subject: str) -> tuple[pd.DataFrame, dict[str, int]]:
        rows = _rows(self.gaze, id_)
        assert rows is not None
        bare = is_false(rows["worn"])
        rows = rows.assign(
            tracker_time_us=rows["time_ns"] // 1000,
            x_px=rows["x_px"].mask(bare),
            y_px=rows["y_px"].mask(bare),
        )
        rows, repeated = in_time_order(rows)
        rows = self._with_pupils(rows)
        trial, stimulus = self._trials(id_, rows["tracker_time_us"].to_numpy(np.int64))
        rows = rows.assign(recording=name, subject=subject, trial=trial, stimulus=stimulus)
        samples = samples_table(rows.drop(columns=["time_ns", "worn"]))
        return samples, add_counts(
            {"samples while not worn (kept, without gaze)": int(bare.sum())}, repeated
        )

    def _with_pupils(self, rows: pd.DataFrame) -> pd.DataFrame:
        if self._pupils is None:
            return rows
        pupils = self._pupils.frame.drop_duplicates("time_ns").set_index("time_ns")[list(_PUPILS)]
        found = pupils.reindex(rows["time_ns"]).set_axis(rows.index)
        return rows.join(found)

    def _trials(self, id_: str, time_us: np.ndarray) -> tuple[Any, Any]:
        rule, told = self._options.trial_from, _rows(self._events, id_)
        if rule is None:
            return 1, pd.Series(None, index=range(len(time_us)), dtype="str")
        messages: list[tuple[int, str]] = []
        if told is not None:
            told = told[told["name"].notna()]
            messages = list(zip((told["time_ns"] // 1000).tolist(), told["name"], strict=True))
        return trials_from(*trial_marks(self.path, messages, rule), time_us)

    def _about(self, info: Mapping[str, Any]) -> About:
        main = self.gaze if self.gaze is not None else self.fixations
        assert main is not None
        focal = _focal_px(read_json(self._family.find("scene_camera", ".json")))
        angles = f"{focal:.0f} px: angles are those on a screen of a px per mm at {focal:.0f} mm"
        return about(
            main,
            header_of(main.path),
            tracker=_tracker(info) or "Neon or Pupil Invisible",
            time_unit="ns",
            positions="px of the scene camera",
            focal_length=angles if focal else "",
        )


def _rows(table: Table | None, recording: str) -> pd.DataFrame | None:
    return None if table is None else of_recording(table.frame, recording)


def _tracker(info: Mapping[str, Any]) -> str:
    if "module_serial_number" in info:
        return "Neon"
    return "Pupil Invisible" if "glasses_serial_number" in info else ""


def _focal_px(camera: Mapping[str, Any]) -> float:
    """Focal length of the scene camera, 0 if it is not told."""
    try:
        focal = float(camera["camera_matrix"][0][0])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return 0.0
    return focal if 0 < focal < 1e6 else 0.0


READER = Reader(
    name="pupil-neon",
    title="Neon and Pupil Invisible time series (folder or CSV)",
    versions="Pupil Cloud exports with and without saccades, Neon Player",
    refusal=refusal,
    read=read,
    yields=("samples", "fixations", "saccades", "blinks"),
    has_messages=True,
)
