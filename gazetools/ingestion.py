"""Exports to tables: read, detect events, map to the image, tidy, and count what was dropped."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gazetools import events, readers, tables
from gazetools.errors import ConfigError, FormatError, GeometryError, OutputError, SchemaError
from gazetools.events import PROFILES
from gazetools.files import check_output, file_sha256
from gazetools.geometry import Placement, Screen
from gazetools.placing import Locator
from gazetools.readers import Recording
from gazetools.tables import FIXATIONS, SAMPLES, validate_fixations
from gazetools.trials import cut_at_trials, trial_begin_us

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""

EVENT_SOURCES = ("auto", "ivt", "vendor")

_VENDOR_MIN_PART_MS = 60.0
_MOST_PLACEMENTS = 100
"""More rectangles would swell the footer, and the recipe of each cache that is made of it."""
_ASSUMED_EYES = "eye-at-screen-axis"


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
    screen_px : (int, int) or None
        Width and height of the display; needed for a placement where the export does not tell.
    screen : Screen or None
        Needed where the export does not tell where the eyes were: then they are taken to be in
        front of its middle. Also tells `screen_px`.
    stimuli : Path or None
        CSV with a rectangle per stimulus: stimulus, x_px, y_px, width_px, height_px, and
        optionally image_width, image_height; stimulus names with or without suffix.
    images : Path or None
        Folder of the stimuli, for their sizes.
    """

    events: str = "auto"
    profile: str = "tobii-prolab"
    placement: str | None = None
    screen_px: tuple[int, int] | None = None
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

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for provenance; of paths only the names."""
        return {k: v.name if isinstance(v, Path) else v for k, v in asdict(self).items()}

    def display_px(self) -> tuple[int, int] | None:
        """Width and height of the display in px, if they were given."""
        if self.screen is not None:
            return self.screen.width_px, self.screen.height_px
        return self.screen_px


@dataclass
class IngestSummary:
    """What was read, kept and dropped; counts are of samples or fixations.

    A fixation that a change of stimulus cuts counts once in `fixations_cut` and `source`, and
    each of its parts is kept or dropped by itself.
    """

    files: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    recordings: int = 0
    rates_hz: list[float] = field(default_factory=list)
    stimuli: int = 0
    images: int = 0
    fixations_on_images: int = 0
    samples: Counter[str] = field(default_factory=Counter)
    skipped_rows: Counter[str] = field(default_factory=Counter)
    fixations_cut: int = 0
    fixations_kept: int = 0
    fixations_dropped: Counter[str] = field(default_factory=Counter)
    without_image: list[str] = field(default_factory=list)
    source: Counter[str] = field(default_factory=Counter)
    vendor_fixations: int = 0
    samples_compared: int = 0
    samples_agreeing: int = 0

    @property
    def vendor_agreement(self) -> float | None:
        """Share of samples that both, or neither, of the vendor and us take for a fixation."""
        if not self.samples_compared:
            return None
        return self.samples_agreeing / self.samples_compared

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON and provenance."""
        counts = {k: dict(v) if isinstance(v, Counter) else v for k, v in vars(self).items()}
        return counts | {"vendor_agreement": self.vendor_agreement}


@dataclass(frozen=True)
class Ingested:
    """Tables of one or more exports.

    Attributes
    ----------
    fixations : DataFrame
        A FIXATIONS table.
    samples : DataFrame or None
        A SAMPLES table, if it was asked for.
    summary : IngestSummary
    provenance : mapping
        Exports and their SHA-256, settings, and the rectangles that the user gave.
    """

    fixations: pd.DataFrame
    samples: pd.DataFrame | None
    summary: IngestSummary
    provenance: Mapping[str, Any]


def ingest(
    paths: Sequence[Path],
    spec: IngestSpec | None = None,
    progress: Progress = lambda done, total, name: None,
    *,
    keep_samples: bool = False,
) -> Ingested:
    """Read exports of any vendor into one FIXATIONS and, if wanted, one SAMPLES table.

    Parameters
    ----------
    paths : sequence of Path
    spec : IngestSpec, optional
    progress : callable, optional
        Called after each file.
    keep_samples : bool
        Also return every sample with its event, which takes far more memory.

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
    locate = Locator(spec.placement, spec.display_px(), spec.stimuli, spec.images)
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
            _compare_with_vendor(labelled, summary)
            fixations.append(_map_to_image(found, placements, summary))
            samples += [labelled] if keep_samples else []
        progress(done, len(paths), path.name)
    locate.expect_use()
    table = _tidy(pd.concat(fixations, ignore_index=True), summary)
    _finish_summary(table, summary)
    all_samples = pd.concat(samples, ignore_index=True) if keep_samples else None
    return Ingested(table, all_samples, summary, _provenance(paths, spec, locate))


def _provenance(paths: Sequence[Path], spec: IngestSpec, locate: Locator) -> dict[str, Any]:
    placements = [{"stimulus": name, **asdict(place)} for name, place in locate.given]
    return {
        "exports": [path.name for path in paths],
        "sha256": [file_sha256(path) for path in paths],
        "spec": spec.as_dict(),
        "placements_given": len(placements),
        "placements": placements if len(placements) <= _MOST_PLACEMENTS else [],
    }


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
    ConfigError
        Samples are to be written and were not kept.
    """
    check_outputs(exports, fixations, samples, overwrite=overwrite)
    provenance = {
        **ingested.provenance,
        "summary": ingested.summary.as_dict(),
        "gazetools": version("gazetools"),
    }
    todo = [(ingested.fixations, fixations, FIXATIONS)]
    if samples is not None:
        if ingested.samples is None:
            raise ConfigError(f"{samples}: no samples were kept; pass keep_samples=True to ingest")
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
            f"already read from {seen[key]}; leave one of them out, or, if they are two, export "
            "them again with their recordings' names, or under other file names"
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
    return (_take_vendors if spec.events == "vendor" else _take_ours)(recording, spec, summary)


def _take_ours(
    recording: Recording, spec: IngestSpec, summary: IngestSummary
) -> tuple[pd.DataFrame, pd.DataFrame]:
    labelled, found = _label(recording, spec)
    profile = PROFILES[spec.profile]
    name, source = spec.profile, profile.describe()
    if _must_assume_eyes(recording, spec):
        name, source = f"{name} (eyes assumed at the screen's axis)", f"{source}:{_ASSUMED_EYES}"
    table = _fixation_table(labelled, events.fixations(labelled, found, profile), source)
    summary.source[name] += len(table)
    gaze = events.smoothed_gaze(labelled, profile)
    return labelled, _cut(table, labelled, gaze, profile.min_fixation_ms, summary)


def _take_vendors(
    recording: Recording, spec: IngestSpec, summary: IngestSummary
) -> tuple[pd.DataFrame, pd.DataFrame]:
    samples, table = recording.samples, recording.fixations
    if table.empty:
        raise FormatError(
            f"{recording.path}: has no fixations of the vendor's own; export the columns "
            "'Eye movement type' and 'Gaze event duration', or use --events ivt"
        )
    summary.source["vendor"] += len(table)
    try:
        labelled, _ = _label(recording, spec)
    except GeometryError:
        # the vendor may have known more than was exported
        nothing = pd.Series(None, index=samples.index, dtype="str")
        labelled = SAMPLES.conform(samples.assign(event=nothing, event_index=0))
    gaze = events.smoothed_gaze(samples)
    return labelled, _cut(table, samples, gaze, _VENDOR_MIN_PART_MS, summary)


def _must_assume_eyes(recording: Recording, spec: IngestSpec) -> bool:
    return spec.screen is not None and not events.knows_eyes(recording.samples)


def _label(recording: Recording, spec: IngestSpec) -> tuple[pd.DataFrame, events.Events]:
    """Run our detector over the samples."""
    samples, screen = recording.samples, spec.screen
    seen = samples
    if screen is not None and _must_assume_eyes(recording, spec):
        seen = events.assume_eyes(samples, screen)
    mm_per_px = screen.mm_per_px if screen is not None else None
    try:
        found = events.detect(seen, PROFILES[spec.profile], mm_per_px=mm_per_px)
    except GeometryError as error:
        raise GeometryError(f"{recording.path}: {error}") from error
    return SAMPLES.conform(samples.assign(event=found.names(), event_index=found.index)), found


def _fixation_table(samples: pd.DataFrame, found: pd.DataFrame, source: str) -> pd.DataFrame:
    """Turn detected fixations into a FIXATIONS table; a trial is that of the onset."""
    at_onset = samples.iloc[found["first_row"]].reset_index(drop=True)
    clock_us = trial_begin_us(samples["tracker_time_us"].to_numpy(), samples["trial"].to_numpy())
    return FIXATIONS.conform(
        pd.DataFrame(
            {
                **{c: at_onset[c] for c in ("recording", "subject", "trial", "stimulus")},
                "order": np.arange(1, len(found) + 1),
                "onset_ms": (found["onset_us"] - clock_us[found["first_row"]]) / 1000,
                "duration_ms": (found["end_us"] - found["onset_us"]) / 1000,
                **found[["x_px", "y_px", "first_row", "last_row"]],
                "source": source,
            }
        )
    )


def _cut(
    fixations: pd.DataFrame,
    samples: pd.DataFrame,
    gaze: NDArray[np.float64],
    min_part_ms: float,
    summary: IngestSummary,
) -> pd.DataFrame:
    """Cut fixations at the borders of trials; leave out parts that are too short to be any."""
    parts = cut_at_trials(fixations, samples, gaze)
    short = ~parts["whole"] & (parts["trial"] > 0) & (parts["duration_ms"].round() < min_part_ms)
    summary.fixations_cut += len(fixations) - int(parts["whole"].sum())
    summary.fixations_dropped["cut short by a change of stimulus"] += int(short.sum())
    return parts[~short].drop(columns=["first_row", "last_row", "whole"])


def _rate_hz(samples: pd.DataFrame) -> float:
    return float(1e6 / samples["tracker_time_us"].diff().median())


# ---------------------------------------------------------------- screen to image


def _map_to_image(
    fixations: pd.DataFrame, placements: Mapping[str, Placement], summary: IngestSummary
) -> pd.DataFrame:
    """Fill in image coordinates where they can be known; drop what is on no image."""
    fixations = _from_trial_start(fixations, summary)
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


def _from_trial_start(fixations: pd.DataFrame, summary: IngestSummary) -> pd.DataFrame:
    """Take off what lies before the trial began, which some reports show."""
    onset_ms, end_ms = fixations["onset_ms"], fixations["onset_ms"] + fixations["duration_ms"]
    fixations = fixations.assign(
        onset_ms=onset_ms.clip(lower=0),
        duration_ms=fixations["duration_ms"].where(onset_ms >= 0, end_ms),
    )
    summary.fixations_dropped["over before the trial"] += int((end_ms <= 0).sum())
    return fixations[end_ms > 0]


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


def _compare_with_vendor(samples: pd.DataFrame, summary: IngestSummary) -> None:
    if samples["event"].notna().any() and samples["vendor_event"].notna().any():
        agree = (samples["event"] == "fixation") == (samples["vendor_event"] == "fixation")
        summary.samples_compared += len(agree)
        summary.samples_agreeing += int(agree.sum())


def _finish_summary(fixations: pd.DataFrame, summary: IngestSummary) -> None:
    summary.fixations_kept = len(fixations)
    summary.stimuli = fixations["stimulus"].nunique()
    placed = fixations["x_im"].notna()
    summary.images = fixations.loc[placed, "stimulus"].nunique()
    summary.fixations_on_images = int(placed.sum())
    summary.without_image = sorted(fixations.loc[~placed, "stimulus"].dropna().unique())
