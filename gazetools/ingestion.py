"""Exports to tables: read, detect events, map to the image, tidy, and count what was dropped."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools import events, readers, tables
from gazetools.errors import ConfigError, FormatError, GeometryError, OutputError, SchemaError
from gazetools.events import IVT, PROFILES
from gazetools.files import check_output
from gazetools.geometry import Placement, Screen
from gazetools.images import image_stem, list_images, read_image
from gazetools.readers import Recording
from gazetools.readers.delimited import column_names, read_columns, read_head
from gazetools.tables import FIXATIONS, SAMPLES, validate_fixations

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""

EVENT_SOURCES = ("auto", "ivt", "vendor")

_RECTANGLE = ("x_px", "y_px", "width_px", "height_px")
_IMAGE_SIZE = ("image_width", "image_height")


@dataclass(frozen=True)
class IngestSpec:
    """How exports become fixations.

    Attributes
    ----------
    events : {"auto", "ivt", "vendor"}
        Whose fixations: ours from raw samples, or the vendor's own. "auto" is ours where
        there are raw samples.
    profile : str
        Parameters of our detector, a key of events.ivt.PROFILES.
    placement : {"fit", "fill", "centre", "none"} or None
        Rule for where images lay on the screen; None takes the rectangle in the export.
    screen : Screen or None
        Needed where the export does not tell the screen's size.
    stimuli : Path or None
        CSV with a rectangle per stimulus: stimulus, x_px, y_px, width_px, height_px, and
        optionally image_width, image_height; stimulus names with or without suffix.
    images : Path or None
        Folder of the stimuli, for their sizes.
    """

    events: str = "auto"
    profile: str = "tobii-prolab"
    placement: str | None = None
    screen: Screen | None = None
    stimuli: Path | None = None
    images: Path | None = None

    def __post_init__(self) -> None:
        if self.events not in EVENT_SOURCES:
            raise ConfigError(f"events is {self.events!r}; expected {', '.join(EVENT_SOURCES)}")
        if self.profile not in PROFILES:
            raise ConfigError(
                f"profile {self.profile!r} is unknown; expected {', '.join(PROFILES)}"
            )


@dataclass
class IngestSummary:
    """What was read, kept and dropped; counts are of samples or fixations."""

    files: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    recordings: int = 0
    rates_hz: list[float] = field(default_factory=list)
    stimuli: int = 0
    images: int = 0
    fixations_on_images: int = 0
    samples: Counter[str] = field(default_factory=Counter)
    skipped_rows: Counter[str] = field(default_factory=Counter)
    fixations_kept: int = 0
    fixations_dropped: Counter[str] = field(default_factory=Counter)
    without_image: list[str] = field(default_factory=list)
    source: Counter[str] = field(default_factory=Counter)
    vendor_fixations: int = 0
    vendor_agreement: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON and provenance."""
        return {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}


@dataclass(frozen=True)
class Ingested:
    """Tables of one or more exports."""

    fixations: pd.DataFrame
    samples: pd.DataFrame
    summary: IngestSummary


def ingest(
    paths: Sequence[Path],
    spec: IngestSpec | None = None,
    progress: Progress = lambda done, total, name: None,
) -> Ingested:
    """Read exports of any vendor into one FIXATIONS and one SAMPLES table.

    Raises
    ------
    FormatError
        A file cannot be read, or there is none.
    SchemaError
        Two files hold the same recording.
    GeometryError
        Screen or placement cannot be known, or no fixation lies on an image.
    """
    if not paths:
        raise FormatError("no export is given; name at least one file")
    spec = spec or IngestSpec()
    locate = _Locator(spec)
    summary = IngestSummary(files=len(paths))
    fixations: list[pd.DataFrame] = []
    samples: list[pd.DataFrame] = []
    seen: dict[tuple[str, str], Path] = {}
    for done, path in enumerate(paths, start=1):
        for recording in readers.read(path):
            _refuse_twice(seen, recording)
            labelled, found = _detect(recording, spec, summary)
            placements = locate(recording)
            _count_samples(recording, labelled, placements, summary)
            fixations.append(_map_to_image(found, placements, summary))
            samples.append(labelled)
        progress(done, len(paths), path.name)
    table = _tidy(pd.concat(fixations, ignore_index=True), summary)
    _finish_summary(table, samples, summary)
    all_samples = pd.concat(samples, ignore_index=True)
    return Ingested(table, all_samples, summary)


def write_tables(
    ingested: Ingested,
    exports: Sequence[Path],
    fixations: Path,
    samples: Path | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write what :func:`ingest` returned as Parquet, with what it was made from.

    Raises
    ------
    OutputError
        See :func:`check_outputs`; or the disk refuses to take a file. Then none is written.
    """
    check_outputs(exports, fixations, samples, overwrite=overwrite)
    provenance = {
        "exports": [path.name for path in exports],
        "summary": ingested.summary.as_dict(),
        "gazetools": version("gazetools"),
    }
    todo = [(ingested.fixations, fixations, FIXATIONS)]
    if samples is not None:
        todo.append((ingested.samples, samples, SAMPLES))
    tables.write_tables(todo, provenance=provenance, overwrite=overwrite)


def check_outputs(
    exports: Sequence[Path], fixations: Path, samples: Path | None, *, overwrite: bool = False
) -> None:
    """Refuse before the work what :func:`write_tables` would refuse after it.

    Raises
    ------
    OutputError
        An output exists and `overwrite` is false, is an export, or is named twice.
    """
    outputs = [fixations] if samples is None else [fixations, samples]
    sources = {path.resolve() for path in exports}
    for path in outputs:
        if path.resolve() in sources:
            raise OutputError(f"{path}: is an export that is read; name another output")
        check_output(path, overwrite=overwrite)
    if samples is not None and samples.resolve() == fixations.resolve():
        raise OutputError(f"{samples}: named for samples and fixations; name two files")


def _refuse_twice(seen: dict[tuple[str, str], Path], recording: Recording) -> None:
    key = (recording.subject, recording.name)
    if key in seen:
        raise SchemaError(
            f"{recording.path}: recording {recording.name!r} of {recording.subject!r} was "
            f"already read from {seen[key]}; leave one of them out"
        )
    seen[key] = recording.path


# ---------------------------------------------------------------- events


def _detect(
    recording: Recording, spec: IngestSpec, summary: IngestSummary
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Label the samples and choose the fixations that are asked for."""
    summary.recordings += 1
    summary.formats[recording.format] += 1
    summary.skipped_rows.update(recording.skipped)
    summary.vendor_fixations += len(recording.fixations)
    samples = recording.samples
    if samples.empty:
        if spec.events == "ivt":
            raise FormatError(
                f"{recording.path}: holds fixations only, no raw samples to detect events in; "
                "use --events vendor or auto"
            )
        summary.source["vendor"] += len(recording.fixations)
        return samples, recording.fixations
    if len(samples) > 1:
        summary.rates_hz.append(_rate_hz(samples))
    if spec.events != "vendor":
        labelled, detected = _run_detector(recording, spec)
        summary.source[spec.profile] += len(detected)
        return labelled, detected
    if recording.fixations.empty:
        raise FormatError(
            f"{recording.path}: has no fixations of the vendor's own; export the columns "
            "'Eye movement type' and 'Gaze event duration', or use --events ivt"
        )
    summary.source["vendor"] += len(recording.fixations)
    try:
        labelled, _ = _run_detector(recording, spec)
    except GeometryError:
        # the vendor may have known more than was exported
        nothing = pd.Series(None, index=samples.index, dtype="str")
        labelled = SAMPLES.conform(samples.assign(event=nothing, event_index=0))
    return labelled, recording.fixations


def _run_detector(recording: Recording, spec: IngestSpec) -> tuple[pd.DataFrame, pd.DataFrame]:
    samples, profile = recording.samples, PROFILES[spec.profile]
    mm_per_px = spec.screen.mm_per_px if spec.screen is not None else None
    try:
        found = events.detect(samples, profile, mm_per_px=mm_per_px)
    except GeometryError as error:
        raise GeometryError(f"{recording.path}: {error}") from error
    labelled = samples.assign(event=found.names(), event_index=found.index)
    return SAMPLES.conform(labelled), _fixation_table(samples, found, profile)


def _fixation_table(samples: pd.DataFrame, found: events.Events, profile: IVT) -> pd.DataFrame:
    """Turn detected fixations into a FIXATIONS table; a trial is that of the onset."""
    rows = events.fixations(samples, found, profile)
    at_onset = samples.iloc[rows["first_row"]].reset_index(drop=True)
    begin_us = at_onset["tracker_time_us"] - at_onset["t_ms"] * 1000
    return FIXATIONS.conform(
        pd.DataFrame(
            {
                **{c: at_onset[c] for c in ("recording", "subject", "trial", "stimulus")},
                "order": np.arange(1, len(rows) + 1),
                "onset_ms": (rows["onset_us"] - begin_us) / 1000,
                "duration_ms": (rows["end_us"] - rows["onset_us"]) / 1000,
                "x_px": rows["x_px"],
                "y_px": rows["y_px"],
                "source": profile.describe(),
            }
        )
    )


def _rate_hz(samples: pd.DataFrame) -> float:
    return float(1e6 / samples["tracker_time_us"].diff().median())


# ---------------------------------------------------------------- screen to image


class _Locator:
    """Finds where the stimuli of a recording lay: the user's word first, then the export's."""

    def __init__(self, spec: IngestSpec) -> None:
        self._spec = spec
        self._sizes: dict[str, tuple[int, int]] = {}
        self._paths = list_images(spec.images) if spec.images is not None else {}
        self._given = self._read_stimuli(spec.stimuli) if spec.stimuli is not None else {}
        if spec.placement is not None and spec.images is None:
            raise GeometryError(
                f"placement {spec.placement!r} needs the size of the images; pass --images FOLDER"
            )

    def __call__(self, recording: Recording) -> dict[str, Placement]:
        placements = dict(recording.placements)
        if self._spec.placement is not None:
            placements |= self._by_rule(recording)
        return placements | self._by_table(recording)

    def _by_rule(self, recording: Recording) -> dict[str, Placement]:
        rule, screen = str(self._spec.placement), self._screen_px(recording)
        return {
            name: Placement.of(rule, self._image_size(name), screen)
            for name in _shown(recording)
            if image_stem(name) in self._paths
        }

    def _by_table(self, recording: Recording) -> dict[str, Placement]:
        return {
            name: self._given[image_stem(name)]
            for name in _shown(recording)
            if image_stem(name) in self._given
        }

    def _screen_px(self, recording: Recording) -> tuple[int, int]:
        if self._spec.screen is not None:
            return self._spec.screen.width_px, self._spec.screen.height_px
        if recording.screen_px is not None:
            return recording.screen_px
        if self._spec.placement == "none":
            return (1, 1)  # gaze is in image pixels, the screen does not matter
        raise GeometryError(
            f"{recording.path}: the export does not say how large the screen is; "
            "pass --screen, e.g. 1920x1080:527x296:650"
        )

    def _image_size(self, stimulus: str) -> tuple[int, int]:
        stem = image_stem(stimulus)
        if stem not in self._sizes:
            height, width, _ = read_image(self._paths[stem]).shape
            self._sizes[stem] = (width, height)
        return self._sizes[stem]

    def _read_stimuli(self, path: Path) -> dict[str, Placement]:
        """Read rectangles by the stem of the stimulus."""
        found = column_names(read_head(path), ",")
        missing = {"stimulus", *_RECTANGLE} - set(found)
        if missing:
            raise FormatError(
                f"{path}:1: no column {sorted(missing)[0]!r}; expected stimulus, "
                f"{', '.join(_RECTANGLE)}, and optionally {', '.join(_IMAGE_SIZE)}"
            )
        sizes = [name for name in _IMAGE_SIZE if name in found]
        numbers = {name: name for name in (*_RECTANGLE, *sizes)}
        table = read_columns(path, ",", {"stimulus": "stimulus"}, numbers)
        rows = table.frame
        table.expect("stimulus", rows["stimulus"].notna(), "a name")
        for name in ("x_px", "y_px"):
            table.expect(name, rows[name].notna(), "a number")
        for name in ("width_px", "height_px"):
            table.expect(name, rows[name] > 0, "more than 0")
        for name in sizes:
            table.expect(name, rows[name].isna() | (rows[name] >= 1), "at least 1, or nothing")
        stems = rows["stimulus"].map(image_stem)
        table.expect("stimulus", ~stems.duplicated(), "every stimulus once")
        return {
            stem: self._rectangle(row)
            for stem, row in zip(stems, rows.to_dict("records"), strict=True)
        }

    def _rectangle(self, row: dict[str, Any]) -> Placement:
        left, top, width, height = (float(row[name]) for name in _RECTANGLE)
        size = tuple(row.get(name, np.nan) for name in _IMAGE_SIZE)
        if np.isnan(size).any():
            known = image_stem(row["stimulus"]) in self._paths
            size = self._image_size(row["stimulus"]) if known else (width, height)
        return Placement(left, top, width, height, round(size[0]), round(size[1]))


def _shown(recording: Recording) -> list[str]:
    """Names of all stimuli of a recording."""
    names = pd.concat([recording.samples["stimulus"], recording.fixations["stimulus"]])
    return sorted(names.dropna().unique())


def _map_to_image(
    fixations: pd.DataFrame, placements: Mapping[str, Placement], summary: IngestSummary
) -> pd.DataFrame:
    """Fill in image coordinates where they can be known; drop what is on no image."""
    fixations = fixations.copy()
    between = fixations["trial"] == 0
    summary.fixations_dropped["no stimulus on screen"] += int(between.sum())
    fixations = fixations[~between]
    nowhere = fixations["x_px"].isna() & fixations["x_im"].isna()
    summary.fixations_dropped["without a position"] += int(nowhere.sum())
    fixations = fixations[~nowhere]
    for stimulus, place in placements.items():
        here = (fixations["stimulus"] == stimulus) & fixations["x_im"].isna()
        if here.any():
            x_im, y_im = place.to_image(fixations.loc[here, "x_px"], fixations.loc[here, "y_px"])
            fixations.loc[here, ["x_im", "y_im"]] = np.column_stack((x_im, y_im))
            fixations.loc[here, ["image_width", "image_height"]] = (
                place.image_width,
                place.image_height,
            )
    off = fixations["x_im"].notna() & ~_inside(
        fixations["x_im"], fixations["y_im"], fixations["image_width"], fixations["image_height"]
    )
    summary.fixations_dropped["off the image"] += int(off.sum())
    return fixations[~off]


def _inside(x: pd.Series, y: pd.Series, width: Any, height: Any) -> pd.Series:
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return inside.fillna(False).astype(bool)


# ---------------------------------------------------------------- tidying and counting


def _tidy(fixations: pd.DataFrame, summary: IngestSummary) -> pd.DataFrame:
    off = summary.fixations_dropped["off the image"]
    if fixations.empty or (off and fixations["x_im"].isna().all()):
        dropped = ", ".join(f"{n} {why}" for why, n in summary.fixations_dropped.items() if n)
        raise GeometryError(
            f"no fixation lies on an image ({dropped or 'none was found'}); check where the "
            "images were (--placement, --stimuli) and the recording's data loss"
        )
    keys = ["subject", "recording", "trial"]
    fixations = fixations.sort_values([*keys, "onset_ms"], kind="stable", ignore_index=True)
    # a border lies half an interval before the first sample, where the trial's clock begins
    fixations["onset_ms"] = fixations["onset_ms"].clip(lower=0)
    fixations["order"] = fixations.groupby(keys, sort=False).cumcount() + 1
    return validate_fixations(fixations)


def _count_samples(
    recording: Recording,
    samples: pd.DataFrame,
    placements: Mapping[str, Placement],
    summary: IngestSummary,
) -> None:
    x, y = samples["x_px"], samples["y_px"]
    seen = x.notna()
    summary.samples["read"] += len(samples)
    summary.samples["missing"] += int((~seen).sum())
    if recording.screen_px is not None:
        summary.samples["off screen"] += int((seen & ~_inside(x, y, *recording.screen_px)).sum())
    for stimulus, place in placements.items():
        here = seen & (samples["stimulus"] == stimulus)
        on_image = _inside(x - place.x_px, y - place.y_px, place.width_px, place.height_px)
        summary.samples["off image"] += int((here & ~on_image).sum())


def _finish_summary(
    fixations: pd.DataFrame, samples: list[pd.DataFrame], summary: IngestSummary
) -> None:
    summary.fixations_kept = len(fixations)
    summary.stimuli = fixations["stimulus"].nunique()
    placed = fixations["x_im"].notna()
    summary.images = fixations.loc[placed, "stimulus"].nunique()
    summary.fixations_on_images = int(placed.sum())
    summary.without_image = sorted(fixations.loc[~placed, "stimulus"].dropna().unique())
    pairs = [
        (t["event"] == "fixation", t["vendor_event"] == "fixation")
        for t in samples
        if len(t) and t["event"].notna().any() and t["vendor_event"].notna().any()
    ]
    if pairs:
        agree = sum(int((ours == theirs).sum()) for ours, theirs in pairs)
        summary.vendor_agreement = agree / sum(len(ours) for ours, _ in pairs)
