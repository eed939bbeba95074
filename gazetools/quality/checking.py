"""Exports, or tables that `ingest` wrote, to one table of quality."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from gazetools.errors import FormatError, GeometryError
from gazetools.files import check_output, check_unread, file_sha256
from gazetools.identity import Finding, clock_findings, ensure_key, name_findings, table_findings
from gazetools.images import list_images
from gazetools.ingestion import IngestSpec
from gazetools.placing import Locator, in_px
from gazetools.quality.evidence import Evidence, Observer
from gazetools.quality.figures import rows_of
from gazetools.quality.limits import QualitySpec
from gazetools.quality.reading import SAMPLES_TABLE, is_parquet, read_targets, recordings
from gazetools.readers import Recording
from gazetools.tables import QUALITY, write_table

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""


@dataclass(frozen=True)
class CheckSpec:
    """How recordings are looked at; the limits are a :class:`QualitySpec`.

    Attributes
    ----------
    ingest : IngestSpec
        How they are read, how events are found and where images lay on the screen. Where
        neither eye positions nor a screen are known, figures are in px. Names of files are hidden
        with those of participants; tables that were de-identified stay as they are.
    masks : Path or None
        Folder of masks, named as the stimuli.
    targets : Path or None
        CSV of stimuli that are one point to look at: stimulus, x_px, y_px.
    """

    ingest: IngestSpec = field(default_factory=IngestSpec)
    masks: Path | None = None
    targets: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for provenance; of paths only the names, if names may be told."""
        files = {"masks": self.masks, "targets": self.targets}
        told = {name: self.ingest.told(path) if path else None for name, path in files.items()}
        return self.ingest.as_dict() | told


@dataclass(frozen=True)
class Quality:
    """What was measured.

    Attributes
    ----------
    table : DataFrame
        A QUALITY table: each recording, followed by its trials.
    in_mask_by_order : mapping of int to (float, int)
        Of the first, second ... fixations of all trials that lie on images with a mask: the
        share inside it in per cent, and how many there are. Empty without masks.
    provenance : mapping
    findings : tuple of Finding
        What in the files may tell who looked, who is seen, or when.
    """

    table: pd.DataFrame
    in_mask_by_order: Mapping[int, tuple[float, int]]
    provenance: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()

    @property
    def flagged(self) -> pd.DataFrame:
        """Rows of `table` that are beyond a limit."""
        return self.table[self.table["flags"] != ""]

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, for JSON: no number in it is NaN."""
        rows = [_plain(row) for row in self.table.to_dict("records")]
        recordings: list[dict[str, Any]] = []
        for row in rows:
            if row.pop("level") == "recording":
                row.pop("trial")
                recordings.append({**row, "trials": []})
            else:
                recordings[-1]["trials"].append(row)
        return {
            "gazetools": self.provenance["gazetools"],
            "limits": self.provenance["limits"],
            "recordings": recordings,
            "in_mask_by_order": {
                str(order): {"pct": pct, "fixations": count}
                for order, (pct, count) in self.in_mask_by_order.items()
            },
            "identifying": [asdict(finding) for finding in self.findings],
        }


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if name in ("flags", "notes"):
            plain[name] = value.split("; ") if value else []
        else:
            plain[str(name)] = None if pd.isna(value) else value
    return plain


def check(
    paths: Sequence[Path],
    spec: CheckSpec | None = None,
    limits: QualitySpec | None = None,
    progress: Progress = lambda done, total, name: None,
) -> Quality:
    """Measure the quality of recordings, and flag what is beyond `limits`.

    Parameters
    ----------
    paths : sequence of Path
        Exports of any vendor, or samples and fixations that `ingest` wrote.
    spec : CheckSpec, optional
    limits : QualitySpec, optional
    progress : callable, optional
        Called after each file.

    Raises
    ------
    FormatError
        A file cannot be read, or there is none.
    GeometryError
        A placement cannot be known.
    """
    if not paths:
        raise FormatError("no export is given; name at least one file")
    spec, limits = spec or CheckSpec(), limits or QualitySpec()
    how = spec.ingest
    locate = Locator(how.placement, how.display_px(), how.stimuli, how.images)
    masks = list_images(spec.masks) if spec.masks is not None else {}
    targets = read_targets(spec.targets) if spec.targets is not None else {}
    rows: list[dict[str, Any]] = []
    in_mask: list[pd.DataFrame] = []
    found: list[Finding] = []
    names = _names(paths, how)
    for done, (path, name) in enumerate(zip(paths, names, strict=True), start=1):
        of_file: list[dict[str, Any]] = []
        for last, evidence in _look(path, how, locate, masks, targets):
            for row in rows_of(last, evidence):
                of_file.append({"file": name, **row, "flags": "; ".join(limits.flags(row))})
            in_mask.append(evidence.fixations[["order", "in_mask"]].dropna())
            found += clock_findings(name, evidence.samples["time_us"])
        found += name_findings(name, of_file)
        found += table_findings(path, name) if is_parquet(path) else []
        rows += of_file
        progress(done, len(paths), path.name)
    if locate.unused():
        raise GeometryError(locate.unused())
    provenance = {"sources": names, **_provenance(paths, spec, limits)}
    if how.deidentify_key is not None:
        found = [replace(one, example="") for one in found]
    if not rows:
        raise FormatError(f"{paths[0]}: holds no recording; name an export, or a table with rows")
    table = QUALITY.conform(pd.DataFrame(rows))
    return Quality(table, _by_order(in_mask), provenance, tuple(dict.fromkeys(found)))


def _look(
    path: Path,
    spec: IngestSpec,
    locate: Locator,
    masks: Mapping[str, Path],
    targets: Mapping[str, tuple[float, float]],
) -> Iterator[tuple[Recording, Evidence]]:
    """Evidence of each recording of a file, beside its last piece."""
    seen: dict[tuple[str, str], tuple[Observer, Recording]] = {}
    for read in recordings(path, spec):
        piece = in_px(read, spec.display_px())
        key = piece.subject, piece.name
        if key not in seen:
            by = "vendor" if piece.format == SAMPLES_TABLE else spec.events
            observer = Observer(piece, replace(spec, events=by), masks, targets)
            seen[key] = observer, piece
        observer, _ = seen[key]
        observer.add(piece, {**piece.placements, **locate(piece)})
        seen[key] = observer, piece
    for observer, last in seen.values():
        yield last, observer.evidence(last)


def _by_order(in_mask: list[pd.DataFrame]) -> dict[int, tuple[float, int]]:
    together = pd.concat(in_mask).groupby("order")["in_mask"].agg(["mean", "size"])
    return {
        int(order): (100 * float(mean), int(size))
        for order, mean, size in zip(
            together.index, together["mean"], together["size"], strict=True
        )
    }


def _names(paths: Sequence[Path], spec: IngestSpec) -> list[str]:
    """Names of the files, or numbers in their place if names are to be hidden."""
    if spec.deidentify_key is None:
        return [path.name for path in paths]
    ensure_key(spec.deidentify_key)
    return [f"file {number}" for number, _ in enumerate(paths, start=1)]


def _provenance(paths: Sequence[Path], spec: CheckSpec, limits: QualitySpec) -> dict[str, Any]:
    return {
        "sha256": [file_sha256(path) if path.is_file() else None for path in paths],
        "spec": spec.as_dict(),
        "limits": limits.as_dict(),
        "gazetools": version("gazetools"),
    }


def write_quality(
    quality: Quality, sources: Sequence[Path], out: Path, *, overwrite: bool = False
) -> None:
    """Write the table as Parquet, with what it was made from.

    Raises
    ------
    OutputError
        See :func:`check_quality_output`; or the disk refuses to take it.
    """
    check_quality_output(sources, out, overwrite=overwrite)
    write_table(quality.table, out, QUALITY, provenance=quality.provenance, overwrite=overwrite)


def check_quality_output(sources: Sequence[Path], out: Path, *, overwrite: bool = False) -> None:
    """Refuse before the work what :func:`write_quality` would refuse after it.

    Raises
    ------
    OutputError
        The output exists and `overwrite` is false, or is what is read.
    """
    check_unread(out, sources)
    check_output(out, overwrite=overwrite)
