"""EGD-CXR: a radiologist's gaze on chest X-rays (CSV), fixations and 60 Hz gaze.

Source: Karargyris et al., "Eye Gaze Data for Chest X-rays", PhysioNet 2020. From
documentation and three published lines, no real file seen. ``fixations.csv`` and
``eye_gaze.csv`` have the same columns, those of Gazepoint Analysis and a few of the authors'.
Raw lines (most columns left out)::

    SESSION_ID,MEDIA_ID,DICOM_ID,...,Time (in secs),TIMETICK(f=10000000),FPOGX,FPOGY,FPOGS,...
    1,0,1a3f39ce-ebe90275-...,0.72363,696216388878.0,0.45224,0.33879,0.01794,0.70569,2,1,...

A session is a recording, a run of one DICOM_ID a trial with that stimulus. ``FPOGX`` and
``BPOGX`` are shares of the screen (1920 x 1080, top left) and become px; ``X_ORIGINAL``,
``Y_ORIGINAL`` are px of the image, negative off it. How both go together tells where the
image lay, as it was centred, and its size, to a pixel or two: a line is fitted through each
axis, where gaze covers enough of it. Fixations are told no size, as one that is a pixel off would
be that of another image. The clock is TIMETICK (100 ns), as Time starts anew with each image; if it
steps back too, images are put one second apart.

Where most rows repeat an FPOGID of their image the file is raw gaze: BPOGX, BPOGY where BPOGV is
1, pupils LPMM, RPMM in mm; and a fixation is the last row of each FPOGID with FPOGV = 1, as FPOGD
grows.
Else each row is a fixation: it begins at FPOGS seconds and lasts FPOGD. Dropped and counted:
repeated or backward times, rows that are no valid fixation, fixations that are listed again,
sessions without gaze.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import (
    EYES,
    about,
    add_counts,
    rising_times,
    runs_of,
    samples_table,
    with_gaze,
)
from gazetools.readers.delimited import Table, iter_columns
from gazetools.readers.layout import Layout, header_in, match_columns
from gazetools.readers.opening import read_head
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.vendor_events import (
    finish_fixations,
    label_samples,
    listed_once,
    rows_within,
)
from gazetools.tables import SAMPLES
from gazetools.trials import trial_begin_us

_SCREEN_PX = (1920, 1080)
_LATEST_S = 1e7
_FIT_SPAN_PX = 100.0
_FIT_ERROR_PX = 3.0
_SIZE_ERROR_PX = 2
"""Of an image, as a line tells it: its margins are whole px, and positions have no fraction."""
_BETWEEN_US = 1_000_000.0
_FEW_REPEATED = 0.5
_FEW = 10

_TEXTS = {"stimulus": ("dicomid",), "session": ("sessionid",)}
_NUMBERS = {
    "time": ("timeinsecs", "time"),
    "ticks": ("timetickf10000000",),
    "fx": ("fpogx",),
    "fy": ("fpogy",),
    "start": ("fpogs",),
    "duration": ("fpogd",),
    "id": ("fpogid",),
    "valid": ("fpogv",),
    "bx": ("bpogx",),
    "by": ("bpogy",),
    "bvalid": ("bpogv",),
    "left_pupil_mm": ("lpmm",),
    "left_seen": ("lpmmv",),
    "right_pupil_mm": ("rpmm",),
    "right_seen": ("rpmmv",),
    "x_im": ("xoriginal",),
    "y_im": ("yoriginal",),
}
_NEEDED = ("stimulus", "session", "time", "fx", "fy", "start", "duration", "id", "x_im", "y_im")


def refusal(head: Head) -> str:
    """Say why a file is not of EGD-CXR, or "" if it is."""
    names, _ = header_in(head.text)
    found = match_columns(names, _TEXTS).keys() | match_columns(names, _NUMBERS).keys()
    missing = next((name for name in _NEEDED if name not in found), "")
    return f"no column {(_TEXTS | _NUMBERS)[missing][0].upper()!r}" if missing else ""


def read(path: Path, options: ReadOptions) -> Iterable[Recording]:
    """Read the sessions of a file, each as one recording.

    Raises
    ------
    FormatError
        A line is damaged, or no session holds gaze.
    """
    yield from with_gaze(
        _recordings(path),
        f"{path}: no session holds a fixation that is valid (FPOGV, FPOGD); download it again",
    )


def _recordings(path: Path) -> Iterator[Recording]:
    names: Counter[str] = Counter()
    images: set[tuple[str, str]] = set()
    runs = 0
    for session, rows, table in _sessions(path):
        images |= {(session, stimulus) for stimulus in rows["stimulus"].unique()}
        runs += int(runs_of(rows["stimulus"]).max())
        if runs > max(_FEW, 2 * len(images)):
            raise FormatError(
                f"{path}: its rows change {runs:,} times between {len(images):,} images, expected "
                "those of a session and an image together; sort them by session, image and time"
            )
        name = f"session-{session}"
        names[name] += 1
        again = names[name]
        yield _recording(path, f"{name}-part{again}" if again > 1 else name, rows, table)


def _sessions(path: Path) -> Iterator[tuple[str, pd.DataFrame, Table]]:
    """Rows of one session after the other; the raw file has a million and a half."""
    header, separator = header_in(read_head(path))
    texts, numbers = match_columns(header, _TEXTS), match_columns(header, _NUMBERS)
    waiting: list[pd.DataFrame] = []
    table = None
    for table in iter_columns(path, Layout(separator), texts, numbers):
        for name in ("session", "stimulus", "time"):
            table.expect(name, table.frame[name].notna(), "a value; every field is needed")
        for name in ("time", "start", "duration"):
            table.expect(name, ~(table.frame[name].abs() > _LATEST_S), "seconds of a session")
        rows = table.frame.reindex(columns=[*_TEXTS, *_NUMBERS])
        run = (rows["session"] != rows["session"].shift()).cumsum()
        for _, part in rows.groupby(run, sort=False):
            if waiting and waiting[0]["session"].iloc[0] != part["session"].iloc[0]:
                yield _whole(waiting, table)
                waiting = []
            waiting.append(part)
    if not waiting or table is None:
        raise FormatError(f"{path}: has a header and no row; download it again")
    yield _whole(waiting, table)


def _whole(parts: list[pd.DataFrame], table: Table) -> tuple[str, pd.DataFrame, Table]:
    rows = pd.concat(parts, ignore_index=True)
    return str(rows["session"].iloc[0]), rows, table


def _recording(path: Path, name: str, rows: pd.DataFrame, table: Table) -> Recording:
    rows = rows.assign(recording=name, subject="radiologist", trial=runs_of(rows["stimulus"]))
    rows = rows.assign(clock_us=_clock_us(rows))
    placements = _placements(rows)
    skipped: Counter[str] = Counter()
    # a row that is repeated whole, for each area that it was joined to, is no later sample
    is_raw = rows.drop_duplicates().duplicated(["trial", "id"]).mean() > _FEW_REPEATED
    samples = _samples(rows, skipped) if is_raw else SAMPLES.empty()
    fixations = _fixations(_on_image(rows, placements), samples, skipped)
    if len(samples) and len(fixations):
        samples = label_samples(samples, fixations)
    return Recording(
        name=name,
        subject="radiologist",
        format=READER.name,
        path=path,
        samples=samples,
        fixations=fixations,
        placements=placements,
        screen_px=_SCREEN_PX,
        about=about(
            table,
            header_in(read_head(table.path))[0],
            tracker="Gazepoint GP3 HD",
            time_unit="s",
        ),
        skipped=add_counts(skipped),
    )


def _clock_us(rows: pd.DataFrame) -> pd.Series:
    """One clock for all images of a session."""
    ticks = rows["ticks"] / 10
    if ticks.notna().all() and (ticks.diff().dropna() >= 0).all():
        return ticks
    time_us = rows["time"] * 1e6
    by_trial = time_us.groupby(rows["trial"], sort=False)
    length = by_trial.max() - by_trial.min() + _BETWEEN_US
    begin = length.cumsum() - length - by_trial.min()
    return time_us + rows["trial"].map(begin)


def _placements(rows: pd.DataFrame) -> dict[str, Placement]:
    """Where the images lay, from gaze on the screen and the same gaze on the image."""
    width, height = _SCREEN_PX
    on_image = rows[(rows["x_im"] > 0) & (rows["y_im"] > 0)]
    found = {}
    for stimulus, group in on_image.groupby("stimulus", sort=False):
        x = _fitted(group["fx"] * width, group["x_im"], width)
        y = _fitted(group["fy"] * height, group["y_im"], height)
        if x is not None and y is not None:
            found[str(stimulus)] = Placement(x[0], y[0], x[1], y[1], x[2], y[2])
    return found


def _fitted(screen: pd.Series, image: pd.Series, side: int) -> tuple[float, float, int] | None:
    """Where a centred image begins on one axis, how long it is there, and in its own px."""
    known = screen.notna() & image.notna()
    # the authors cut off the fraction
    at, px = screen[known].to_numpy(), image[known].to_numpy() + 0.5
    if not len(at) or np.ptp(at) < _FIT_SPAN_PX:
        return None
    slope, offset = np.polyfit(at, px, 1)
    if slope <= 0 or np.abs(slope * at + offset - px).max() > _FIT_ERROR_PX:
        return None
    begin = -offset / slope
    length = side - 2 * begin
    size = round(slope * length) if 0 < length < 1e6 and slope < 1e3 else 0
    return (float(begin), float(length), size) if size >= 1 else None


def _on_image(rows: pd.DataFrame, placements: Mapping[str, Placement]) -> pd.DataFrame:
    """Leave positions on the image only to gaze that does not lie well beyond its last px."""
    for axis, side in (("x_im", "image_width"), ("y_im", "image_height")):
        ends = {name: getattr(p, side) + _SIZE_ERROR_PX for name, p in placements.items()}
        beyond = rows[axis] >= rows["stimulus"].map(ends)
        rows = rows.assign(**{axis: rows[axis].mask(beyond)})
    return rows


def _samples(rows: pd.DataFrame, skipped: Counter[str]) -> pd.DataFrame:
    kept, time_us, lost = rising_times(rows["clock_us"].to_numpy())
    skipped.update(lost)
    rows = rows[kept]
    best = rows["bx"].notna().any()
    x, y, valid = (rows[c] for c in (("bx", "by", "bvalid") if best else ("fx", "fy", "valid")))
    seen = x.notna() & y.notna() & ((valid == 1) | valid.isna().all())
    pupils = {
        f"{eye}_pupil_mm": rows[f"{eye}_pupil_mm"].where(rows[f"{eye}_seen"] == 1) for eye in EYES
    }
    samples = rows[["recording", "subject", "trial", "stimulus"]].assign(
        tracker_time_us=time_us,
        x_px=(x * _SCREEN_PX[0]).where(seen),
        y_px=(y * _SCREEN_PX[1]).where(seen),
        **pupils,
    )
    return samples_table(samples)


def _fixations(rows: pd.DataFrame, samples: pd.DataFrame, skipped: Counter[str]) -> pd.DataFrame:
    valid = (rows["valid"] == 1) | rows["valid"].isna().all()
    if samples.empty:
        complete = rows[["fx", "fy", "start", "duration"]].notna().all(axis=1)
        fine = valid & complete & (rows["duration"] > 0)
        skipped["rows that are no valid fixation"] += int((~fine).sum())
        rows = rows[fine]
    else:
        rows = rows[valid].drop_duplicates(["trial", "id"], keep="last")
        rows = rows[rows[["fx", "fy", "start"]].notna().all(axis=1) & (rows["duration"] > 0)]
    onset_us = (rows["clock_us"] - (rows["time"] - rows["start"]) * 1e6).to_numpy()
    end_us = onset_us + rows["duration"].to_numpy() * 1e6
    some, spans = np.ones(len(rows), bool), {}
    onset_ms = rows["start"].to_numpy() * 1000
    if not samples.empty and len(rows):
        time_us = samples["tracker_time_us"].to_numpy()
        first, last, some = rows_within(time_us, onset_us, end_us)
        skipped["fixations without samples"] += int((~some).sum())
        spans = {"first_row": first, "last_row": last}
        clock_us = trial_begin_us(time_us, samples["trial"].to_numpy())
        onset_ms = (onset_us - clock_us[np.minimum(first, len(time_us) - 1)]) / 1000
    on_image = (rows["x_im"] >= 0) & (rows["y_im"] >= 0)
    table = rows[["recording", "subject", "trial", "stimulus"]].assign(
        onset_ms=onset_ms,
        duration_ms=(end_us - onset_us) / 1000,
        x_px=rows["fx"] * _SCREEN_PX[0],
        y_px=rows["fy"] * _SCREEN_PX[1],
        x_im=rows["x_im"].where(on_image),
        y_im=rows["y_im"].where(on_image),
        source=f"vendor:{READER.name}",
        **spans,
    )[some]
    table, again = listed_once(table.sort_values(["trial", "onset_ms"], kind="stable"))
    skipped.update(again)
    return finish_fixations(table)


READER = Reader(
    name="egd-cxr",
    title="EGD-CXR fixations.csv and eye_gaze.csv",
    versions="from the documentation of 1.0.0; no real file seen",
    refusal=refusal,
    read=read,
)
