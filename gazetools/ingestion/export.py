"""One export on its way to tables: read, detect events, map to images, count what is dropped."""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools import readers
from gazetools.events import IVT
from gazetools.files import file_sha256
from gazetools.geometry import Placement, Screen, inside
from gazetools.identity import Hiding
from gazetools.ingestion.session import Session
from gazetools.ingestion.spec import IngestSpec, IngestSummary
from gazetools.placing import Locator, placed
from gazetools.tables import complete_samples

Sink = Callable[[pd.DataFrame], None]
"""Takes samples in pieces, as they come."""


@dataclass(frozen=True)
class ExportTables:
    """What one export gives.

    Attributes
    ----------
    path : Path
    sha256 : str
    recordings : tuple of (str, str)
        Subject and name of each.
    tables : mapping of str to list of DataFrame
        Parts of "fixations", "saccades", "blinks", "samples".
    screens : tuple of Screen
    given : tuple of (str, Placement)
        Stimuli that the user placed.
    unused : str
        Complaint that the user's word placed no stimulus, if so.
    telling : mapping of str to str
        Stimuli whose names seem to tell a person, and why; if the tables are de-identified.
    summary : IngestSummary
    """

    path: Path
    sha256: str
    recordings: tuple[tuple[str, str], ...]
    tables: Mapping[str, list[pd.DataFrame]]
    screens: tuple[Screen, ...]
    given: tuple[tuple[str, Placement], ...]
    unused: str
    telling: Mapping[str, str]
    summary: IngestSummary


def read_export(
    path: Path, spec: IngestSpec, keep: Collection[str] = (), sink: Sink | None = None
) -> ExportTables:
    """Read an export to its end; see :func:`gazetools.ingestion.ingest`."""
    hashing = ThreadPoolExecutor(1)
    try:
        # beside the reading, as a hash takes its time
        sha256 = hashing.submit(file_sha256, path)
        wants_samples = sink is not None or "samples" in keep
        # other detectors, and blinks, may look at columns that I-VT does not need
        is_ivt = spec.profile == "auto" or isinstance(spec.detector(spec.profile), IVT)
        only_ivt = "blinks" not in keep and is_ivt
        options = replace(spec.reading, for_events=only_ivt and not wants_samples)
        locate = Locator(spec.placement, spec.display_px(), spec.stimuli, spec.images)
        hiding = Hiding(spec.deidentify_key) if spec.deidentify_key is not None else None
        read = readers.pieces if hiding is None else hiding.pieces
        summary = IngestSummary(files=1)
        samples: list[pd.DataFrame] = []
        sessions: dict[tuple[str, str], Session] = {}
        wanted = {*keep, "samples"} if wants_samples else keep
        for labelled in _labelled(read(path, options), spec, locate, summary, sessions, wanted):
            if sink is not None:
                sink(complete_samples(labelled))
            samples += [complete_samples(labelled)] if "samples" in keep else []
        done = list(sessions.values())
        fixations = [_map_to_image(s.fixations(), s.placements, summary) for s in done]
        return ExportTables(
            path,
            sha256.result(),
            tuple(sessions),
            {
                "fixations": fixations,
                "saccades": [session.saccades() for session in done],
                "blinks": [session.blinks() for session in done],
                "samples": samples,
            },
            tuple(session.screen for session in done if session.screen is not None),
            tuple(locate.given),
            locate.unused(),
            hiding.telling if hiding is not None else {},
            summary,
        )
    finally:
        hashing.shutdown(wait=False, cancel_futures=True)


def _labelled(
    pieces: Iterator[readers.Recording],
    spec: IngestSpec,
    locate: Locator,
    summary: IngestSummary,
    sessions: dict[tuple[str, str], Session],
    wanted: Collection[str],
) -> Iterator[pd.DataFrame]:
    """Give the samples of a file with their events, in pieces; fills in `sessions`."""
    for piece in pieces:
        key = (piece.subject, piece.name)
        if key not in sessions:
            sessions[key] = Session(piece, spec, locate, summary, wanted)
        yield from sessions[key].add(piece)
    for session in sessions.values():
        yield from session.finish()
    complaints = [session.complaint() for session in sessions.values()]
    if complaints and all(complaints) and complaints[0] is not None:
        raise complaints[0]


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
