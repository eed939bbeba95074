"""Exports to tables: each is read by itself, then they are put together."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.errors import FormatError, GeometryError, SchemaError
from gazetools.geometry import Placement, Screen
from gazetools.identity import Hiding, ensure_key
from gazetools.ingestion.export import ExportTables, Sink, read_export
from gazetools.ingestion.spec import Ingested, IngestSpec, IngestSummary
from gazetools.progress import Progress, unseen
from gazetools.tables import BLINKS, SACCADES, SAMPLES, validate_fixations

_SCHEMAS = {"samples": SAMPLES, "saccades": SACCADES, "blinks": BLINKS}
_NOT_PRINTED = "(a telling name)"
_MOST_PLACEMENTS = 100
"""More rectangles would swell the footer, and the recipe of each cache that is made of it."""


def ingest(
    paths: Sequence[Path],
    spec: IngestSpec | None = None,
    progress: Progress = unseen,
    *,
    keep: Collection[str] = (),
    sink: Sink | None = None,
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
    ConfigError, OutputError
        The key of pseudonyms cannot be read or made.
    """
    spec, exports = spec or IngestSpec(), []
    if spec.deidentify_key is not None:
        ensure_key(spec.deidentify_key)
    for done, path in enumerate(paths, start=1):
        exports.append(read_export(path, spec, keep, sink))
        refuse_twice(exports)
        progress(done, len(paths), path.name)
    return put_together(exports, spec, keep, may_be_none=sink is not None or "samples" in keep)


def refuse_twice(exports: Sequence[ExportTables]) -> None:
    """Refuse two exports, or twice the same, that hold the same recording.

    Raises
    ------
    SchemaError
        Names both.
    """
    seen: dict[tuple[str, str], Path] = {}
    for export in exports:
        for subject, recording in export.recordings:
            if (subject, recording) in seen:
                raise SchemaError(
                    f"{export.path}: recording {recording!r} of {subject!r} was already read from "
                    f"{seen[subject, recording]}; leave one of them out, or, if they are two, "
                    "export them again with their recordings' names, or under other file names"
                )
            seen[subject, recording] = export.path


def put_together(
    exports: Sequence[ExportTables], spec: IngestSpec, keep: Collection[str], *, may_be_none: bool
) -> Ingested:
    """Make one set of tables of what each export gave.

    Raises
    ------
    FormatError, GeometryError
        As :func:`ingest` does.
    """
    if not exports:
        raise FormatError("no export is given; name at least one file")
    if all(export.unused for export in exports):
        raise GeometryError(exports[-1].unused)
    summary = _summed(export.summary for export in exports)
    telling = {name: why for export in exports for name, why in export.telling.items()}
    summary.telling_stimuli.update(telling.values())
    found = pd.concat(_parts(exports, "fixations"), ignore_index=True)
    _expect_some(found, summary, may_be_none=may_be_none)
    table = _tidy(found)
    _finish_summary(table, summary)
    summary.without_image = [
        _NOT_PRINTED if name in telling else name for name in summary.without_image
    ]
    events = {
        name: pd.concat([schema.empty(), *_parts(exports, name)], ignore_index=True)
        if name in keep
        else None
        for name, schema in _SCHEMAS.items()
    }
    provenance = _provenance(exports, spec, summary)
    return Ingested(table, **events, summary=summary, provenance=provenance)


def _parts(exports: Sequence[ExportTables], name: str) -> list[pd.DataFrame]:
    return [part for export in exports for part in export.tables[name]]


def _provenance(
    exports: Sequence[ExportTables], spec: IngestSpec, summary: IngestSummary
) -> dict[str, Any]:
    screens: dict[Screen, None] = {}
    given: dict[tuple[str, Placement], None] = {}
    for export in exports:
        screens |= dict.fromkeys(export.screens)
        given |= dict.fromkeys(export.given)
    placements = [{"stimulus": name, **asdict(place)} for name, place in given]
    key = spec.deidentify_key
    names = [export.path.name for export in exports]
    return {
        "exports": names if key is None else [f"export {n}" for n, _ in enumerate(names, 1)],
        "sha256": [export.sha256 for export in exports],
        "spec": spec.as_dict(),
        "screens": [asdict(screen) for screen in screens],
        "placements_given": len(placements),
        "placements": placements if len(placements) <= _MOST_PLACEMENTS else [],
        "summary": summary.as_dict(),
        "gazetools": version("gazetools"),
        **({"deidentified": Hiding(key).note()} if key is not None else {}),
    }


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


def _summed(summaries: Iterable[IngestSummary]) -> IngestSummary:
    total = IngestSummary()
    for summary in summaries:
        for name, value in vars(summary).items():
            if isinstance(value, Counter):
                getattr(total, name).update(value)  # a sum would drop what is 0
            else:
                setattr(total, name, getattr(total, name) + value)
    return total


def _finish_summary(fixations: pd.DataFrame, summary: IngestSummary) -> None:
    summary.fixations_kept = len(fixations)
    summary.stimuli = fixations["stimulus"].nunique()
    placed = fixations["x_im"].notna()
    summary.images = fixations.loc[placed, "stimulus"].nunique()
    summary.fixations_on_images = int(placed.sum())
    summary.without_image = sorted(fixations.loc[~placed, "stimulus"].dropna().unique())
