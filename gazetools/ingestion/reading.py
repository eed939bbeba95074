"""Exports to tables: read, detect events, map to the image, tidy, and count what was dropped."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gazetools import readers
from gazetools.errors import FormatError, GeometryError, SchemaError
from gazetools.events import IVT
from gazetools.files import file_sha256
from gazetools.geometry import Placement, Screen, inside
from gazetools.ingestion.session import Session
from gazetools.ingestion.spec import Ingested, IngestSpec, IngestSummary
from gazetools.placing import Locator, placed
from gazetools.readers import Recording
from gazetools.tables import BLINKS, SACCADES, SAMPLES, complete_samples, validate_fixations

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""

_MOST_PLACEMENTS = 100
"""More rectangles would swell the footer, and the recipe of each cache that is made of it."""


def ingest(
    paths: Sequence[Path],
    spec: IngestSpec | None = None,
    progress: Progress = lambda done, total, name: None,
    *,
    keep: Collection[str] = (),
    sink: Callable[[pd.DataFrame], None] | None = None,
) -> Ingested:
    """Read exports of any vendor into one FIXATIONS and, if wanted, one SAMPLES table.

    Parameters
    ----------
    paths : sequence of Path
    spec : IngestSpec, optional
    progress : callable, optional
        Called after each file.
    keep : collection of {"samples", "saccades", "blinks"}
        What to return beside the fixations; every sample with its event takes far more memory.
    sink : callable, optional
        Takes the same samples in pieces, as they come.

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
    hashing = ThreadPoolExecutor(1)
    try:
        # beside the reading, as a hash takes its time
        sha256 = hashing.map(file_sha256, paths)
        return _ingest(paths, spec or IngestSpec(), progress, keep, sink, sha256)
    finally:
        hashing.shutdown(wait=False, cancel_futures=True)


def _ingest(
    paths: Sequence[Path],
    spec: IngestSpec,
    progress: Progress,
    keep: Collection[str],
    sink: Callable[[pd.DataFrame], None] | None,
    sha256: Iterable[str],
) -> Ingested:
    wants_samples = sink is not None or "samples" in keep
    # other detectors, and blinks, may look at columns that I-VT does not need
    only_ivt = "blinks" not in keep and isinstance(spec.detector("olsen2012"), IVT)
    options = replace(spec.reading, for_events=only_ivt and not wants_samples)
    locate = Locator(spec.placement, spec.display_px(), spec.stimuli, spec.images)
    summary = IngestSummary(files=len(paths))
    fixations: list[pd.DataFrame] = []
    samples: list[pd.DataFrame] = [SAMPLES.empty()]
    saccades: list[pd.DataFrame] = [SACCADES.empty()]
    blinks: list[pd.DataFrame] = [BLINKS.empty()]
    seen: dict[tuple[str, str], Path] = {}
    screens: dict[Screen, None] = {}
    for done, path in enumerate(paths, start=1):
        sessions: dict[tuple[str, str], Session] = {}
        pieces = readers.pieces(path, options)
        wanted = {*keep, "samples"} if wants_samples else keep
        for labelled in _labelled(pieces, spec, locate, summary, sessions, seen, wanted):
            if sink is not None:
                sink(complete_samples(labelled))
            samples += [complete_samples(labelled)] if "samples" in keep else []
        for session in sessions.values():
            screens |= {session.screen: None} if session.screen is not None else {}
            fixations.append(_map_to_image(session.fixations(), session.placements, summary))
            saccades.append(session.saccades())
            blinks.append(session.blinks())
        progress(done, len(paths), path.name)
    locate.expect_use()
    found = pd.concat(fixations, ignore_index=True)
    _expect_some(found, summary, may_be_none=wants_samples)
    table = _tidy(found)
    _finish_summary(table, summary)
    kept = {"samples": samples, "saccades": saccades, "blinks": blinks}
    return Ingested(
        table,
        **{
            name: pd.concat(t, ignore_index=True) if name in keep else None
            for name, t in kept.items()
        },
        summary=summary,
        provenance=_provenance(paths, sha256, spec, screens, locate, summary),
    )


def _labelled(
    pieces: Iterable[Recording],
    spec: IngestSpec,
    locate: Locator,
    summary: IngestSummary,
    sessions: dict[tuple[str, str], Session],
    seen: dict[tuple[str, str], Path],
    wanted: Collection[str],
) -> Iterator[pd.DataFrame]:
    """Give the samples of a file with their events, in pieces; fills in `sessions`."""
    for piece in pieces:
        key = (piece.subject, piece.name)
        if key not in sessions:
            _refuse_twice(seen, piece)
            sessions[key] = Session(piece, spec, locate, summary, wanted)
        yield from sessions[key].add(piece)
    for session in sessions.values():
        yield from session.finish()
    complaints = [session.complaint() for session in sessions.values()]
    if complaints and all(complaints) and complaints[0] is not None:
        raise complaints[0]


def _provenance(
    paths: Sequence[Path],
    sha256: Iterable[str],
    spec: IngestSpec,
    screens: Iterable[Screen],
    locate: Locator,
    summary: IngestSummary,
) -> dict[str, Any]:
    placements = [{"stimulus": name, **asdict(place)} for name, place in locate.given]
    return {
        "exports": [path.name for path in paths],
        "sha256": list(sha256),
        "spec": spec.as_dict(),
        "screens": [asdict(screen) for screen in screens],
        "placements_given": len(placements),
        "placements": placements if len(placements) <= _MOST_PLACEMENTS else [],
        "summary": summary.as_dict(),
        "gazetools": version("gazetools"),
    }


def _refuse_twice(seen: dict[tuple[str, str], Path], recording: Recording) -> None:
    key = (recording.subject, recording.name)
    if key in seen:
        raise SchemaError(
            f"{recording.path}: recording {recording.name!r} of {recording.subject!r} was "
            f"already read from {seen[key]}; leave one of them out, or, if they are two, export "
            "them again with their recordings' names, or under other file names"
        )
    seen[key] = recording.path


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
    fixations = placed(fixations, placements)
    on_image = inside(
        *(
            fixations[name].to_numpy(np.float64, na_value=np.nan)
            for name in ("x_im", "y_im", "image_width", "image_height")
        )
    )
    # the size of an image may be unknown
    unsized = fixations["image_width"].isna() | fixations["image_height"].isna()
    on_image |= (unsized & (fixations["x_im"] >= 0) & (fixations["y_im"] >= 0)).to_numpy()
    off = fixations["x_im"].notna() & ~on_image
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


# ---------------------------------------------------------------- tidying and counting


def _expect_some(fixations: pd.DataFrame, summary: IngestSummary, *, may_be_none: bool) -> None:
    """Refuse to end with nothing to render, or with images that lay elsewhere."""
    all_off = summary.fixations_dropped["off the image"] and fixations["x_im"].isna().all()
    if all_off or (fixations.empty and not may_be_none):
        dropped = ", ".join(f"{n} {why}" for why, n in summary.fixations_dropped.items() if n)
        if not dropped:
            raise GeometryError(
                "no fixation was found; `gazetools inspect` and `check` tell rate, units and data "
                "loss; the detector's settings (--profile, --set) may ask for too much"
            )
        raise GeometryError(
            f"no fixation lies on an image ({dropped}); check where the images were "
            "(--placement, --stimuli) and the recording's data loss"
        )


def _tidy(fixations: pd.DataFrame) -> pd.DataFrame:
    keys = ["subject", "recording", "trial"]
    fixations = fixations.sort_values([*keys, "onset_ms"], kind="stable", ignore_index=True)
    fixations["order"] = fixations.groupby(keys, sort=False).cumcount() + 1
    return validate_fixations(fixations)


def _finish_summary(fixations: pd.DataFrame, summary: IngestSummary) -> None:
    summary.fixations_kept = len(fixations)
    summary.stimuli = fixations["stimulus"].nunique()
    placed = fixations["x_im"].notna()
    summary.images = fixations.loc[placed, "stimulus"].nunique()
    summary.fixations_on_images = int(placed.sum())
    summary.without_image = sorted(fixations.loc[~placed, "stimulus"].dropna().unique())
