r"""Samples that a program wrote with the Tobii SDK: tobii_research, Titta, older SDKs.

Seen: a TX300 at 300 Hz with the names of the older SDK; the layouts of tobii_research's
dictionaries and of Titta. Text with tabs, ``;`` or ``,``; the first columns of each kind::

    Time        LEyePos3dx  LGazePos2dx  LGazePos3dx  LPupilDm  LValidity  ...
    2619771723  0.0000      -1.0000      0.0000       -1.0000   4
    2619778408  -2.3434     0.4982       -0.9102      4.3067    0

    device_time_stamp,system_time_stamp,left_gaze_point_on_display_area_x,...
    device_time_stamp,left_gaze_point_on_display_area,...
    1454059042,"(0.464, 0.607)"

==========================================  ==================================================
SAMPLES column                              export column
==========================================  ==================================================
``tracker_time_us``                         device_time_stamp, Time; else system_time_stamp (in
                                            ms or s, if they count so); else RelTimestamp, in ms
``left_x_px`` ... ``right_y_px``            left_gaze_point_on_display_area_x ..., LGazePos2dx:
                                            shares of the display, ``normalised``
``x_px``, ``y_px``                          mean over the eyes that were seen, shares too
``left_x_mm`` ...                           left_gaze_point_in_user_coordinate_system_x ...
                                            (Titta: ..._user_coordinates_x), LGazePos3dx
``left_eye_x_mm`` ...                       left_gaze_origin_in_user_coordinate_system_x ...,
                                            LEyePos3dx
``left_pupil_mm``                           left_pupil_diameter, LPupilDm; -1 is missing
``left_valid``                              left_gaze_point_validity (Titta: ..._valid) = 1;
                                            LValidity = 0 or 1
``stimulus``, ``trial``                     stimulus or image, trial or trial_number, if the
                                            program wrote such columns; each run is a trial
``subject``                                 participant, participant_id, subject
==========================================  ==================================================

The user coordinate system has its origin at the tracker, y points up and z to the viewer, in
mm. Where the display stands in it is not in the file, but can be computed: each gaze point is
given both in it and as a share of the display. The plane through them is the display, with its
corner, size and tilt; in it gaze and eyes get display coordinates, from the upper left corner,
y down, and its size is told as "display". Where the points lie on no such rectangle, millimetres
are left out, and our own detector needs ``--screen``.

Positions in px need ``--screen`` in any case. An eye that was lost is -1 or NaN, and not valid.
Without a column of validity, gaze at exactly (-1, -1) or (0, 0) is missing. Dropped and counted:
rows without a time, and rows that repeat one. The recording is named after the file, a subject
that no column names is "unnamed"; a new recording (``name-2``) begins where the clock jumps back.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.building import (
    EYES,
    US_PER,
    Floats,
    about,
    add_counts,
    eyes_mean,
    in_time_order,
    with_all,
)
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import Layout, header_in, match_columns, plain_name
from gazetools.readers.opening import read_head
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.tobii_rows import Names, seen_only, to_samples, usual_step

_TEXTS: dict[str, tuple[str, ...]] = {
    "subject": ("participantname", "participant", "participantid", "subject", "subjectid"),
    "recording": ("recordingname", "recording"),
    "stimulus": ("stimulus", "stimulusname", "medianame", "image", "imagename"),
    "trial": ("trial", "trialnumber", "trialnum", "trialindex", "trialid"),
}
_NUMBERS: dict[str, tuple[str, ...]] = {
    "device_us": ("devicetimestamp", "time"),
    "system_us": ("systemtimestamp",),
    "relative_ms": ("reltimestamp",),
}
_TUPLES: dict[str, tuple[str, ...]] = {}
_SYSTEMS = ("usercoordinatesystem", "usercoordinates")
for _eye in EYES:
    _short = _eye[0]
    _gaze = f"{_eye}gazepointondisplayarea"
    _TUPLES[f"{_eye}_share_xy"] = (_gaze,)
    _TUPLES[f"{_eye}_point_xyz"] = tuple(f"{_eye}gazepointin{name}" for name in _SYSTEMS)
    _TUPLES[f"{_eye}_origin_xyz"] = tuple(f"{_eye}gazeoriginin{name}" for name in _SYSTEMS)
    for _axis in "xy":
        _NUMBERS[f"{_eye}_share_{_axis}"] = (
            f"{_gaze}{_axis}",
            f"{_eye}gazeondisplayarea{_axis}",
            f"{_short}gazepos2d{_axis}",
        )
    for _axis in "xyz":
        for _what, _old in (("point", "gazepos3d"), ("origin", "eyepos3d")):
            _NUMBERS[f"{_eye}_{_what}_{_axis}"] = (
                *(f"{_eye}gaze{_what}in{name}{_axis}" for name in _SYSTEMS),
                f"{_short}{_old}{_axis}",
            )
    _NUMBERS[f"{_eye}_pupil_mm"] = (f"{_eye}pupildiameter", f"{_short}pupildm")
    _NUMBERS[f"{_eye}_code"] = (f"{_short}validity",)
    for _what in ("gazepoint", "gazeorigin", "pupil"):
        _TEXTS[f"{_eye}_{_what}_valid"] = (f"{_eye}{_what}validity", f"{_eye}{_what}valid")

_SHARES = tuple(f"{eye}_share_x" for eye in EYES)
_LARGEST = 2.0**53
_YES = ("1", "1.0", "true", "valid")
_NO = ("0", "0.0", "false", "invalid")
_LEAST_VALID = 1
_SHORTEST_US = 200.0

_LEAST_PAIRS = 10
_LEAST_SPREAD = 0.002
_LARGEST_MISFIT_MM = 2.0
_LARGEST_SKEW = 0.02


def refusal(head: Head) -> str:
    """Say why a file was not written with the SDK's names, or "" if it was."""
    header, _ = header_in(head.text)
    if not {*_SHARES, *(f"{eye}_share_xy" for eye in EYES)} & {*_matched(header)}:
        return "no column 'left_gaze_point_on_display_area_x' or 'LGazePos2dx'"
    return ""


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read the recording of a file, or each of several.

    Raises
    ------
    FormatError
        No time, no samples, or a damaged line.
    """
    table, header = _read_table(path)
    rows, time_unit = _timed(with_all(_taken_apart(table), _TEXTS, _NUMBERS))
    kept = rows["tracker_us"].notna()
    if not kept.any():
        raise FormatError(
            f"{path}: no rows with a time among {len(rows)}; write the time of each sample too"
        )
    skipped = {"rows without a tracker time": int((~kept).sum())}
    rows = Names(path).fill(rows)[kept]
    recordings = []
    for (subject, name), group in rows.groupby(["subject", "recording"], sort=False):
        group, repeats = in_time_order(group.assign(tracker_time_us=group["tracker_us"].round()))
        group = _seen(group, table)
        display = _display(group)
        spoken = "" if display is None else display.spoken()
        samples, _ = to_samples(_in_mm(group, display).assign(stimulus=_trials(group)))
        samples["stimulus"] = group["stimulus"]
        recordings.append(
            Recording(
                name=str(name),
                subject=str(subject),
                format=READER.name,
                path=path,
                samples=samples,
                normalised=True,
                about=about(
                    table, header, software="Tobii SDK", time_unit=time_unit, display=spoken
                ),
                skipped=add_counts(skipped, repeats),
            )
        )
        skipped = {}
    return recordings


def _read_table(path: Path) -> tuple[Table, list[str]]:
    """Read the columns that we know, and the names of all."""
    head = read_head(path)
    header, separator = header_in(head)
    found = _matched(header)
    if not {"device_us", "system_us", "relative_ms"} & set(found):
        raise FormatError(
            f"{path}:1: no column 'device_time_stamp', 'system_time_stamp' or 'Time' among "
            f"{len(header)}; write the time of each sample too"
        )
    texts = {name: column for name, column in found.items() if name not in _NUMBERS}
    numbers = {name: column for name, column in found.items() if name in _NUMBERS}
    return read_columns(path, Layout(separator), texts, numbers), header


# ---------------------------------------------------------------- columns


def _matched(header: list[str]) -> dict[str, str]:
    found = match_columns(header, {**_TEXTS, **_NUMBERS, **_TUPLES})
    if "time" in map(plain_name, header) and not {"left_code", "right_code"} & set(found):
        # other programs write a time of their own
        found = {name: column for name, column in found.items() if plain_name(column) != "time"}
    return found


def _taken_apart(table: Table) -> pd.DataFrame:
    """Turn columns of "(0.464, 0.607)" into one of numbers for each axis."""
    rows = table.frame
    for name in [name for name in _TUPLES if name in rows]:
        what, _, axes = name.rpartition("_")
        cells = rows[name].str.strip("()[] ").str.split(r"\s*[,;\s]\s*", regex=True, expand=True)
        cells = cells.reindex(columns=range(max(len(axes), cells.shape[1]))).astype("str")
        values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
        # "nan" is a number, what else did not become one is not
        read = values.notna() | cells.isna() | (cells.apply(lambda cell: cell.str.lower()) == "nan")
        fits = read.all(axis=1) & (cells.notna().sum(axis=1) == len(axes)) | rows[name].isna()
        fits &= ~(values.abs() > _LARGEST).any(axis=1)
        table.expect(name, fits, f"{len(axes)} numbers in brackets")
        rows = rows.assign(**{f"{what}_{axis}": values[i] for i, axis in enumerate(axes)})
    return rows


def _timed(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Choose the clock, on which most is known of the tracker."""
    for name in ("device_us", "system_us"):
        if rows[name].notna().any():
            unit = _unit(rows, name)
            return rows.assign(tracker_us=rows[name] * US_PER[unit], recording_us=np.nan), unit
    return rows.assign(tracker_us=rows["relative_ms"] * 1000, recording_us=np.nan), "ms"


def _unit(rows: pd.DataFrame, clock: str) -> str:
    """Tell what a clock counts: us, or what a program made of them, as no tracker is so fast."""
    if rows[clock].nunique() < 2:
        return "us"
    step = usual_step(rows.assign(**{clock: rows[clock] * 1000}), clock) / 1000
    return next((unit for unit in ("us", "ms") if step * US_PER[unit] >= _SHORTEST_US), "s")


def _trials(rows: pd.DataFrame) -> pd.Series:
    """Tell trials apart: by what the program called them, and by stimuli."""
    told = rows["trial"].notna()
    called = rows["trial"] + "\0" + rows["stimulus"].fillna("")
    return rows["stimulus"].mask(told, called)


# ---------------------------------------------------------------- eyes


def _seen(rows: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Gaze of each eye where it was seen, and the mean."""
    for eye in EYES:
        share = rows[[f"{eye}_share_x", f"{eye}_share_y"]]
        seen = share.notna().all(axis=1)
        if rows[f"{eye}_code"].notna().any():
            seen &= rows[f"{eye}_code"] <= _LEAST_VALID
        elif rows[f"{eye}_gazepoint_valid"].notna().any():
            seen &= _is_yes(rows, f"{eye}_gazepoint_valid", table)
        else:
            seen &= ~((share == -1).all(axis=1) | (share == 0).all(axis=1))
        known = {f"{eye}_{axis}_px": rows[f"{eye}_share_{axis}"] for axis in "xy"}
        rows = rows.assign(**known)
        rows = rows.assign(**seen_only(rows, eye, seen), **{f"{eye}_valid": seen})
        for what, columns in (
            ("gazeorigin", [f"{eye}_origin_{axis}" for axis in "xyz"]),
            ("pupil", [f"{eye}_pupil_mm"]),
        ):
            if rows[f"{eye}_{what}_valid"].notna().any():
                known = rows[columns].where(_is_yes(rows, f"{eye}_{what}_valid", table), axis=0)
                rows = rows.assign(**known)
    return rows.assign(**{f"{axis}_px": eyes_mean(rows, f"{axis}_px") for axis in "xy"})


def _is_yes(rows: pd.DataFrame, name: str, table: Table) -> pd.Series:
    said = rows[name].str.strip().str.lower()
    unknown = ~(said.isin(_YES) | said.isin(_NO) | said.isna())
    if unknown.any():
        line = int(unknown.idxmax()) + table.first_line
        raise FormatError(
            f"{table.path}:{line}: {table.columns[name]!r} is {rows[name][unknown].iloc[0]!r}, "
            "expected 1 or 0, True or False; export the file again"
        )
    return said.isin(_YES)


# ---------------------------------------------------------------- the display


@dataclass(frozen=True)
class _Display:
    """A display in the user coordinate system, mm.

    Attributes
    ----------
    corner : (3,) float64
        Upper left.
    axes : (3, 3) float64
        Unit vectors, as columns: right, down, to the viewer.
    width, height : float
    """

    corner: Floats
    axes: Floats
    width: float
    height: float

    def spoken(self) -> str:
        return f"{self.width:.0f} x {self.height:.0f} mm"

    def to_display(self, points: Floats) -> Floats:
        """Turn points (n, 3) into display coordinates."""
        turned: Floats = (points - self.corner) @ self.axes
        return turned


def _display(rows: pd.DataFrame) -> _Display | None:
    """Find the rectangle on which shares of the display and gaze points in mm agree."""
    share = np.concatenate([rows[[f"{eye}_x_px", f"{eye}_y_px"]].to_numpy() for eye in EYES])
    point = np.concatenate([_points(rows, eye, "point") for eye in EYES])
    known = np.isfinite(share).all(axis=1) & np.isfinite(point).all(axis=1)
    share, point = share[known], point[known]
    if len(share) < _LEAST_PAIRS:
        return None
    # from the middle, so that large numbers cost no digits
    middle, centre = share.mean(axis=0), point.mean(axis=0)
    if np.linalg.eigvalsh(np.cov((share - middle).T))[0] < _LEAST_SPREAD**2:
        return None
    edges, *_ = np.linalg.lstsq(share - middle, point - centre, rcond=None)
    misfit = (share - middle) @ edges - (point - centre)
    sizes = np.linalg.norm(edges, axis=1)
    if not (sizes > 1).all() or np.sqrt((misfit**2).sum(axis=1).mean()) > _LARGEST_MISFIT_MM:
        return None
    right, down = edges / sizes[:, None]
    if abs(right @ down) > _LARGEST_SKEW:
        return None
    down = down - (right @ down) * right
    down /= np.linalg.norm(down)
    axes: Floats = np.array([right, down, -np.cross(right, down)]).T
    corner: Floats = centre - middle @ edges
    return _Display(corner, axes, *sizes.tolist())


def _points(rows: pd.DataFrame, eye: str, what: str) -> Floats:
    points: Floats = rows[[f"{eye}_{what}_{axis}" for axis in "xyz"]].to_numpy(np.float64)
    return points


def _in_mm(rows: pd.DataFrame, display: _Display | None) -> pd.DataFrame:
    """Add gaze and eyes in display coordinates, where the display is known."""
    if display is None:
        return rows
    found: dict[str, Floats] = {}
    for eye in EYES:
        seen = rows[f"{eye}_valid"].to_numpy()[:, None]
        gaze = np.where(seen, display.to_display(_points(rows, eye, "point")), np.nan)
        place = np.where(seen, display.to_display(_points(rows, eye, "origin")), np.nan)
        found |= {f"{eye}_{axis}_mm": gaze[:, i] for i, axis in enumerate("xy")}
        found |= {f"{eye}_eye_{axis}_mm": place[:, i] for i, axis in enumerate("xyz")}
    return rows.assign(**found)


READER = Reader(
    name="tobii-sdk",
    title="Tobii SDK, Titta and tobii_research samples (TSV, CSV)",
    versions="names of the analytics SDK 3, tobii_research 1-2, Titta",
    refusal=refusal,
    read=read,
    profile="tobii-prolab",
    yields=("samples",),
)
