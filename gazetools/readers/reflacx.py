"""REFLACX: radiologists' gaze on chest X-rays (CSV), fixations and 1000 Hz gaze.

Source: Bigolin Lanfredi et al., "REFLACX, a dataset of reports and eye-tracking data for
localization of abnormalities in chest x-rays", PhysioNet 2021. From documentation, no real
file seen. Give ``main_data/<id>/fixations.csv``, ``gaze_data/<id>/gaze.csv``, or a folder:
each reading ``<id>`` is a recording. Raw lines (most columns left out)::

    timestamp_start_fixation,timestamp_end_fixation,x_position,y_position,pupil_area_normalized,...
    7.08,7.293,405,420,1.131,...

``gaze.csv`` has the same columns but for one ``timestamp_sample``. Times are seconds from the
start of the audio recording; positions are px of the image, top left. The part of the image
that was shown (``xmin_shown_from_image`` ...) and where (``xmin_in_screen_coordinates`` ...)
give screen px (3840 x 2160) too; they change as the reader zooms, so only an image that never
moved gets a Placement. Stimulus and image size are those of the reading in
``metadata_phase_*.csv`` one folder up, where it is there: ``dicom_id``, ``image_size_x``,
``image_size_y``. Else the stimulus is the column ``image`` or the id, and the size that of the
largest part that was shown. Samples also keep image px (``x_im``, ``y_im``) and ``pupil``, the
normalised area. Ignored: the grey-level window, the angular resolution. Dropped and counted:
readings without gaze, fixations without a position or a duration and those that are listed again,
samples whose time does not rise.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.errors import FormatError
from gazetools.geometry import Placement
from gazetools.readers.building import about, add_counts, rising_times, samples_table, with_gaze
from gazetools.readers.delimited import Table, read_columns
from gazetools.readers.layout import Layout, header_in, match_columns
from gazetools.readers.opening import read_head, stem_of
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.readers.vendor_events import (
    finish_fixations,
    label_samples,
    listed_once,
    rows_within,
)
from gazetools.tables import FIXATIONS, SAMPLES
from gazetools.trials import trial_begin_us

_SCREEN_PX = (3840, 2160)
_READING = re.compile(r"P\d+R\d+")
_FILE = re.compile(r"(?:.*/)?P\d+R\d+/(?:fixations|gaze)\.csv(?:\.gz)?")
_LATEST_S = 1e7

_SHOWN = tuple(f"{axis}{end}_shown_from_image" for end in ("min", "max") for axis in "xy")
_ON_SCREEN = tuple(f"{axis}{end}_in_screen_coordinates" for end in ("min", "max") for axis in "xy")
_NUMBERS = {
    "start": ("timestampstartfixation",),
    "end": ("timestampendfixation",),
    "time": ("timestampsample",),
    "x_im": ("xposition",),
    "y_im": ("yposition",),
    "pupil": ("pupilareanormalized",),
    **{name: (name.replace("_", ""),) for name in (*_SHOWN, *_ON_SCREEN)},
}


def refusal(head: Head) -> str:
    """Say why a file or folder is not of REFLACX, or "" if it is."""
    if head.files:
        below = [f"{head.path.resolve().name}/{name}" for name in head.files]
        return "" if any(map(_FILE.fullmatch, below)) else "no P...R.../fixations.csv below"
    found = match_columns(header_in(head.text)[0], _NUMBERS)
    if not found.keys() & {"start", "time"}:
        return "no column 'timestamp_start_fixation' or 'timestamp_sample'"
    missing = [axis for axis in "xy" if f"{axis}_im" not in found]
    return f"no column '{missing[0]}_position'" if missing else ""


def read(path: Path, options: ReadOptions) -> Iterable[Recording]:
    """Read the readings of a file or folder, each as one recording.

    Raises
    ------
    FormatError
        A line is damaged, or no reading holds gaze.
    """
    readings: dict[str, list[Path]] = {}
    for file in _files(path):
        readings.setdefault(_name(file), []).append(file)
    yield from with_gaze(
        (_recording(path, name, files) for name, files in readings.items()),
        f"{path}: holds no sample and no fixation that has a position; download it again",
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = sorted(path.rglob("*.csv")) + sorted(path.rglob("*.csv.gz"))
    return [file for file in found if _FILE.fullmatch(file.resolve().as_posix())]


def _name(file: Path) -> str:
    """Id of the reading, which is the folder's name."""
    above = file.resolve().parent.name
    return above if _READING.fullmatch(above) else stem_of(file)


def _recording(path: Path, name: str, files: list[Path]) -> Recording:
    tables = {("gaze" if "time" in table.frame else "fixations"): table for table in _read(files)}
    rows = pd.concat([table.frame for table in tables.values()])
    stimulus, size = _image(files[0], name, rows)
    who = {"recording": name, "subject": "unnamed", "trial": 1, "stimulus": stimulus}
    skipped: Counter[str] = Counter()
    samples, fixations = SAMPLES.empty(), FIXATIONS.empty()
    if "gaze" in tables:
        samples = _samples(tables["gaze"], who, skipped)
    if "fixations" in tables:
        fixations = _fixations(tables["fixations"], samples, who, size, skipped)
    if len(samples) and len(fixations):
        samples = label_samples(samples, fixations)
    first = next(iter(tables.values()))
    place = _placement(rows, size)
    return Recording(
        name=name,
        subject="unnamed",
        format=READER.name,
        path=path,
        samples=samples,
        fixations=fixations,
        placements={stimulus: place} if place else {},
        screen_px=_SCREEN_PX,
        about=about(
            first,
            header_in(read_head(first.path))[0],
            tracker="EyeLink 1000 Plus",
            time_unit="s",
        ),
        skipped=add_counts(skipped),
    )


def _read(files: list[Path]) -> Iterable[Table]:
    for file in files:
        head = read_head(file)
        why = refusal(Head(file, head))
        if why:
            raise FormatError(f"{file}:1: {why}, expected a table of REFLACX; download it again")
        header, separator = header_in(head)
        texts = {"image": "image"} if "image" in header else {}
        table = read_columns(file, Layout(separator), texts, match_columns(header, _NUMBERS))
        for name in table.frame.columns.intersection(["start", "end", "time"]):
            table.expect(name, ~(table.frame[name].abs() > _LATEST_S), "seconds of a reading")
        yield table


def _image(file: Path, name: str, rows: pd.DataFrame) -> tuple[str, tuple[int, int] | None]:
    """Name and size of the image that was read."""
    above = file.resolve().parent.parent
    for folder in (above, above.parent / "main_data"):
        for metadata in sorted(folder.glob("metadata_phase_*.csv")):
            known = _metadata(metadata)
            if name in known.index:
                row = known.loc[name]
                return str(row["dicom_id"]), (round(row["width"]), round(row["height"]))
    named = rows["image"].dropna() if "image" in rows else pd.Series(dtype="str")
    stimulus = Path(named.iloc[0].replace("\\", "/")).name if len(named) else ""
    if not {"xmax_shown_from_image", "ymax_shown_from_image"} <= set(rows):
        return stimulus or name, None
    largest = rows[["xmax_shown_from_image", "ymax_shown_from_image"]].max()
    size = (round(v) if 1 <= v < 1e6 else 0 for v in largest)
    width, height = size
    return stimulus or name, (width, height) if width and height else None


def _metadata(path: Path) -> pd.DataFrame:
    texts = {"id": "id", "dicom_id": "dicom_id"}
    numbers = {"width": "image_size_x", "height": "image_size_y"}
    header, separator = header_in(read_head(path))
    missing = {*texts.values(), *numbers.values()} - set(header)
    if missing:
        raise FormatError(
            f"{path}:1: no column {min(missing)!r}, expected REFLACX's metadata; download it again"
        )
    rows = read_columns(path, Layout(separator), texts, numbers).frame
    known = rows.dropna()
    known = known[(known[["width", "height"]] >= 1).all(axis=1)]
    return known.drop_duplicates("id").set_index("id")


def _to_screen(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Screen px by the part of the image that was shown, and where."""
    if not {*_SHOWN, *_ON_SCREEN} <= set(rows):
        nothing = pd.Series(np.nan, index=rows.index)
        return {"x_px": nothing, "y_px": nothing}
    found = {}
    for axis in "xy":
        low, high = (rows[f"{axis}{end}_shown_from_image"] for end in ("min", "max"))
        left, right = (rows[f"{axis}{end}_in_screen_coordinates"] for end in ("min", "max"))
        scale = (right - left) / (high - low).where(high > low)
        found[f"{axis}_px"] = left + (rows[f"{axis}_im"] - low) * scale
    return found


def _samples(table: Table, who: Mapping[str, object], skipped: Counter[str]) -> pd.DataFrame:
    rows = table.frame
    kept, time_us, lost = rising_times(rows["time"].to_numpy() * 1e6)
    skipped.update(lost)
    rows = rows[kept]
    if rows.empty:
        return SAMPLES.empty()
    keep = [name for name in ("x_im", "y_im", "pupil") if name in rows]
    samples = rows[keep].assign(**who, tracker_time_us=time_us, **_to_screen(rows))
    return samples_table(samples)


def _fixations(
    table: Table,
    samples: pd.DataFrame,
    who: Mapping[str, object],
    size: tuple[int, int] | None,
    skipped: Counter[str],
) -> pd.DataFrame:
    rows = table.frame
    if "end" not in rows:
        raise FormatError(
            f"{table.path}:1: no column 'timestamp_end_fixation', which fixations need; "
            "download it again"
        )
    placed = rows[["x_im", "y_im"]].notna().all(axis=1)
    lasting = rows["end"] > rows["start"]
    skipped["fixations without a position"] += int((~placed).sum())
    skipped["fixations without a duration"] += int((placed & ~lasting).sum())
    rows = rows[placed & lasting].sort_values("start", kind="stable", ignore_index=True)
    onset_us, end_us = rows["start"].to_numpy() * 1e6, rows["end"].to_numpy() * 1e6
    clock_us, spans = 0.0, {}
    if not samples.empty:
        time_us = samples["tracker_time_us"].to_numpy()
        clock_us = float(trial_begin_us(time_us, samples["trial"].to_numpy())[0])
        first, last, some = rows_within(time_us, onset_us, end_us)
        spans = {"first_row": first, "last_row": last}
        skipped["fixations without samples"] += int((~some).sum())
    else:
        some = np.ones(len(rows), bool)
    fixations = rows[["x_im", "y_im"]].assign(
        **who,
        onset_ms=(onset_us - clock_us) / 1000,
        duration_ms=(end_us - onset_us) / 1000,
        **_to_screen(rows),
        image_width=size[0] if size else None,
        image_height=size[1] if size else None,
        source=f"vendor:{READER.name}",
        **spans,
    )[some]
    fixations, again = listed_once(fixations)
    skipped.update(again)
    return finish_fixations(fixations)


def _placement(rows: pd.DataFrame, size: tuple[int, int] | None) -> Placement | None:
    """Where the whole image lay, if it was never zoomed or moved."""
    if size is None or not {*_SHOWN, *_ON_SCREEN} <= set(rows):
        return None
    views = rows[[*_SHOWN, *_ON_SCREEN]].drop_duplicates()
    if len(views) != 1 or views.isna().any(axis=None):
        return None
    view = views.iloc[0]
    shown, screen = view[list(_SHOWN)].to_numpy(), view[list(_ON_SCREEN)].to_numpy()
    if not (shown[2:] > shown[:2]).all() or not (screen[2:] > screen[:2]).all():
        return None
    scale = (screen[2:] - screen[:2]) / (shown[2:] - shown[:2])
    left, top = screen[:2] - shown[:2] * scale
    return Placement(left, top, size[0] * scale[0], size[1] * scale[1], *size)


READER = Reader(
    name="reflacx",
    title="REFLACX fixations.csv and gaze.csv, or a folder of them",
    versions="from the documentation of 1.0.0; no real file seen",
    refusal=refusal,
    read=read,
)
