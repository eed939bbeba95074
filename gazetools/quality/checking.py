"""Exports, or tables that `ingest` wrote, to one table of quality."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gazetools import readers
from gazetools.errors import FormatError, GeometryError, OutputError, SchemaError
from gazetools.files import check_output, file_sha256
from gazetools.identity import (
    Finding,
    Hiding,
    clock_findings,
    ensure_key,
    name_findings,
    table_findings,
)
from gazetools.images import image_stem, list_images
from gazetools.ingestion import IngestSpec
from gazetools.placing import Locator, in_px
from gazetools.quality.evidence import PRECISION, Evidence, Observer
from gazetools.quality.limits import QualitySpec
from gazetools.quality.measures import (
    Bools,
    Clock,
    Floats,
    Loss,
    measure_clock,
    measure_loss,
)
from gazetools.readers import Recording
from gazetools.readers.delimited import Layout, column_names, read_columns
from gazetools.readers.opening import read_head
from gazetools.tables import FIXATIONS, QUALITY, SAMPLES, read_table, write_table
from gazetools.timeline import sample_spans_us
from gazetools.trials import trial_begin_us

Progress = Callable[[int, int, str], None]
"""Called with (done, total, name of the thing just done)."""

Columns = Mapping[str, NDArray[Any]]

_PARQUET_MAGIC = b"PAR1"
_ENOUGH = 10
_NO_LOSS = Loss(0, 0, 0, np.zeros(0))
_NO_GRID = "samples came irregularly: how many the tracker dropped cannot be told"
_LABELLED = "samples table"
_UNKNOWN_VENDOR = "olsen2012"
_GAPS = ("under_75", "75_150", "150_400", "400_1000", "over_1000")
_SHORT_MS, _LONG_MS = 100, 600
_TARGET = ("x_px", "y_px")
_BY_EYE = ("left_accuracy_deg", "right_accuracy_deg")


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
    targets = _read_targets(spec.targets) if spec.targets is not None else {}
    rows: list[dict[str, Any]] = []
    in_mask: list[pd.DataFrame] = []
    found: list[Finding] = []
    names = _names(paths, how)
    for done, (path, name) in enumerate(zip(paths, names, strict=True), start=1):
        of_file: list[dict[str, Any]] = []
        for last, evidence in _look(path, how, locate, masks, targets):
            of_file += [{"file": name, **row} for row in _rows(last, evidence, limits)]
            in_mask.append(evidence.fixations[["order", "in_mask"]].dropna())
            found += clock_findings(name, evidence.samples["time_us"])
        found += name_findings(name, of_file)
        found += table_findings(path, name) if _is_parquet(path) else []
        rows += of_file
        progress(done, len(paths), path.name)
    if locate.unused():
        raise GeometryError(locate.unused())
    provenance = {
        "sources": names,
        "sha256": [file_sha256(path) if path.is_file() else None for path in paths],
        "spec": spec.as_dict(),
        "limits": limits.as_dict(),
        "gazetools": version("gazetools"),
    }
    if how.deidentify_key is not None:
        found = [replace(one, example="") for one in found]
    table = QUALITY.conform(pd.DataFrame(rows))
    return Quality(table, _by_order(in_mask), provenance, tuple(dict.fromkeys(found)))


def _names(paths: Sequence[Path], spec: IngestSpec) -> list[str]:
    """Names of the files, or numbers in their place if names are to be hidden."""
    if spec.deidentify_key is None:
        return [path.name for path in paths]
    ensure_key(spec.deidentify_key)
    return [f"file {number}" for number, _ in enumerate(paths, start=1)]


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
    if out.resolve() in {path.resolve() for path in sources}:
        raise OutputError(f"{out}: is a file that is read; name another output")
    check_output(out, overwrite=overwrite)


# ---------------------------------------------------------------- what is read


def _look(
    path: Path,
    spec: IngestSpec,
    locate: Locator,
    masks: Mapping[str, Path],
    targets: Mapping[str, tuple[float, float]],
) -> Iterator[tuple[Recording, Evidence]]:
    """Evidence of each recording of a file, beside its last piece."""
    seen: dict[tuple[str, str], tuple[Observer, Recording]] = {}
    for read in _recordings(path, spec):
        piece = in_px(read, spec.display_px())
        key = piece.subject, piece.name
        if key not in seen:
            by = "vendor" if piece.format == _LABELLED else spec.events
            observer = Observer(piece, replace(spec, events=by), masks, targets)
            seen[key] = observer, piece
        observer, _ = seen[key]
        observer.add(piece, {**piece.placements, **locate(piece)})
        seen[key] = observer, piece
    for observer, last in seen.values():
        yield last, observer.evidence(last)


def _recordings(path: Path, spec: IngestSpec) -> Iterator[Recording]:
    hiding = Hiding(spec.deidentify_key) if spec.deidentify_key is not None else None
    if not _is_parquet(path):
        read = readers.pieces if hiding is None else hiding.pieces
        yield from read(path, spec.reading)
        return
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowInvalid, OSError) as error:
        raise SchemaError(f"{path}: not a readable Parquet file ({error})") from error
    is_samples = SAMPLES.columns[4].name in names
    table, note = read_table(path, SAMPLES if is_samples else FIXATIONS)
    hiding = None if "deidentified" in note else hiding
    for (subject, name), rows in table.groupby(["subject", "recording"], sort=False):
        rows = rows.reset_index(drop=True)
        tables = {"samples": rows, "fixations": _labelled(rows)} if is_samples else {}
        recording = Recording(
            name=str(name),
            subject=str(subject),
            format=_LABELLED if is_samples else "fixations table",
            profile=_UNKNOWN_VENDOR,
            path=path,
            **(tables or {"fixations": rows}),
        )
        yield hiding.hidden(recording) if hiding is not None else recording


def _is_parquet(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC


def _labelled(samples: pd.DataFrame) -> pd.DataFrame:
    """Fixations that a SAMPLES table tells by its labels, ours before the vendor's."""
    for event in ("event", "vendor_event"):
        if event in samples and samples[event].notna().any():
            break
    else:
        return FIXATIONS.empty()
    time_us, trial = samples["tracker_time_us"].to_numpy(), samples["trial"].to_numpy()
    begin_us, end_us = sample_spans_us(time_us)
    clock_us = trial_begin_us(time_us, trial)
    fixated = samples[samples[event] == "fixation"].reset_index(names="row")
    runs = fixated.groupby(f"{event}_index")
    first, last = (runs["row"].agg(which).to_numpy(np.int64) for which in ("first", "last"))
    at_onset = samples.iloc[first].reset_index(drop=True)
    return FIXATIONS.conform(
        pd.DataFrame(
            {
                **{c: at_onset[c] for c in ("recording", "subject", "trial", "stimulus")},
                "order": 0,
                "onset_ms": (begin_us[first] - clock_us[first]) / 1000,
                "duration_ms": (end_us[last] - begin_us[first]) / 1000,
                "x_px": runs["x_px"].mean().to_numpy(),
                "y_px": runs["y_px"].mean().to_numpy(),
                "source": f"column {event!r}",
                "first_row": first,
                "last_row": last,
            }
        )
    )


def _read_targets(path: Path) -> dict[str, tuple[float, float]]:
    missing = {"stimulus", *_TARGET} - set(column_names(read_head(path), ","))
    if missing:
        raise FormatError(
            f"{path}:1: no column {sorted(missing)[0]!r}; expected stimulus, x_px, y_px"
        )
    numbers = {name: name for name in _TARGET}
    table = read_columns(path, Layout(","), {"stimulus": "stimulus"}, numbers)
    rows = table.frame
    for name in rows:
        table.expect(name, rows[name].notna(), "a value")
    return {
        image_stem(name): (x, y)
        for name, x, y in zip(rows["stimulus"], rows["x_px"], rows["y_px"], strict=True)
    }


# ---------------------------------------------------------------- figures


def _rows(recording: Recording, evidence: Evidence, limits: QualitySpec) -> list[dict[str, Any]]:
    """Figures of a recording, then of its trials; what lies between trials is left out."""
    trials = sorted({*evidence.samples["trial"], *evidence.fixations["trial"]} - {0}) or [0]
    samples, fixations = (
        _by_trial(table, trials) for table in (evidence.samples, evidence.fixations)
    )
    everything = [_together(parts) for parts in (samples, fixations)]
    clock = _clock(everything[0])
    losses = [_loss(part, clock) for part in samples]
    whole = {
        "level": "recording",
        "trial": pd.NA,
        "stimulus": None,
        **_accuracy(recording.validation, everything[1]),
        "notes": "; ".join([*evidence.notes, *([] if clock.has_grid else [_NO_GRID])]),
        **_sampling(clock, sum(losses, _NO_LOSS), everything[0]),
        **_figures(*everything),
        "stated_rate_hz": recording.fixed_rate_hz or np.nan,
    }
    whole["rate_pct"] = 100 * whole["rate_hz"] / whole["stated_rate_hz"]
    stimulus = _stimuli(evidence)
    single = [
        {
            "level": "trial",
            "trial": trial,
            "stimulus": stimulus.get(trial),
            **_accuracy({}, parts[1]),
            "notes": "",
            **_sampling(_clock(parts[0]), loss, parts[0]),
            **_figures(*parts),
        }
        for trial, loss, *parts in zip(trials, losses, samples, fixations, strict=True)
        if trial > 0
    ]
    same = {
        "recording": recording.name,
        "subject": recording.subject,
        "degrees_from": evidence.degrees_from or None,
        "fixations_by": evidence.fixations_by or None,
    }
    rows = [{**same, **row} for row in (whole, *single)]
    if not evidence.fixations_by:
        rows = [{**row, "fixations": np.nan} for row in rows]
    return [{**row, "flags": "; ".join(limits.flags(row))} for row in rows]


def _by_trial(table: pd.DataFrame, trials: list[int]) -> list[Columns]:
    """Columns of each trial as arrays; pandas would take most of the time."""
    columns = {str(name): table[name].to_numpy() for name in table if name != "stimulus"}
    rows = table.groupby("trial").indices
    nothing = np.zeros(0, np.int64)
    return [
        {name: values[rows.get(trial, nothing)] for name, values in columns.items()}
        for trial in trials
    ]


def _together(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _stimuli(evidence: Evidence) -> dict[int, str]:
    both = [table[["trial", "stimulus"]] for table in (evidence.samples, evidence.fixations)]
    known = pd.concat(both).dropna().drop_duplicates("trial")
    return dict(zip(known["trial"], known["stimulus"], strict=True))


def _begins(samples: Columns) -> Bools:
    return np.asarray(np.diff(samples["trial"], prepend=-1) != 0)


def _clock(samples: Columns) -> Clock:
    return measure_clock(samples["time_us"].astype(np.int64), _begins(samples))


def _loss(samples: Columns, clock: Clock) -> Loss:
    """Loss in one trial, by its own clock if it has enough samples: rates may change."""
    own = _clock(samples) if len(samples["time_us"]) > _ENOUGH else clock
    time_us, seen = samples["time_us"].astype(np.int64), samples["seen"].astype(bool)
    return measure_loss(time_us, seen, _begins(samples), own)


def _sampling(clock: Clock, loss: Loss, samples: Columns) -> dict[str, Any]:
    figures = {"samples": len(samples["time_us"]), "rate_pct": np.nan, "loss_pct": loss.pct}
    if not figures["samples"]:
        return figures | dict.fromkeys(("rate_hz", "irregular_pct"), np.nan)
    return figures | {
        "duration_ms": clock.recorded_ms,
        "rate_hz": clock.rate_hz,
        "interval_sd_ms": clock.sd_ms,
        "interval_mad_ms": clock.mad_ms,
        "irregular_pct": clock.irregular_pct,
        "pauses": clock.pauses,
        "pause_ms": clock.pause_ms,
        "expected_samples": loss.expected,
        "dropped_samples": loss.dropped,
        "missing_samples": loss.missing,
        **{f"gaps_{name}_ms": count for name, count in zip(_GAPS, loss.histogram(), strict=True)},
        "longest_gap_ms": float(loss.gaps_ms.max(initial=0.0)),
    }


def _figures(samples: Columns, fixations: Columns) -> dict[str, Any]:
    told = samples["on_image"][np.isfinite(samples["on_image"])]
    on_image = float(told.mean()) if len(told) else _weighted(fixations, "on_image")
    return {
        **{name: _median(fixations[name]) for name in PRECISION},
        "windows": int(np.isfinite(fixations["std_px"]).sum()),
        "disparity_px": _median(samples["disparity_px"]),
        "disparity_deg": _median(samples["disparity_deg"]),
        "on_image_pct": 100 * on_image,
        **_durations(fixations["duration_ms"]),
        "in_mask_pct": 100 * _weighted(fixations, "in_mask"),
    }


def _durations(duration_ms: Floats) -> dict[str, Any]:
    count = len(duration_ms)
    return {
        "fixations": count,
        "fixation_median_ms": _median(duration_ms),
        "fixation_mean_ms": float(duration_ms.mean()) if count else np.nan,
        "fixation_sd_ms": float(duration_ms.std(ddof=1)) if count > 1 else np.nan,
        "fixations_short_pct": _pct(duration_ms < _SHORT_MS),
        "fixations_long_pct": _pct(duration_ms > _LONG_MS),
    }


def _pct(which: Bools) -> float:
    return 100 * float(which.mean()) if len(which) else np.nan


def _accuracy(validation: Mapping[str, float], fixations: Columns) -> dict[str, Any]:
    """Accuracy by targets, each judged by the trial's longest fixation; else the vendor's."""
    names = ("trial", "duration_ms", "offset_px", "offset_deg")
    aimed = pd.DataFrame({name: fixations[name] for name in names}).dropna(subset="offset_px")
    if len(aimed):
        aimed = aimed.sort_values("duration_ms", kind="stable")
        aimed = aimed.drop_duplicates("trial", keep="last")
        return {
            "accuracy_px": aimed["offset_px"].mean(),
            "accuracy_deg": aimed["offset_deg"].mean(),
            "accuracy_from": f"{len(aimed)} targets",
        }
    eyes = [validation[name] for name in _BY_EYE if name in validation]
    value = validation.get("accuracy_deg", float(np.mean(eyes)) if eyes else np.nan)
    source = None if np.isnan(value) else "the vendor"
    return {"accuracy_px": np.nan, "accuracy_deg": value, "accuracy_from": source}


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else np.nan


def _weighted(fixations: Columns, name: str) -> float:
    """Share by duration of the fixations that are 1 among those that are 1 or 0."""
    known = np.isfinite(fixations[name])
    duration_ms = fixations["duration_ms"][known]
    total = float(duration_ms.sum())
    return float((duration_ms * fixations[name][known]).sum()) / total if total else np.nan


def _by_order(in_mask: list[pd.DataFrame]) -> dict[int, tuple[float, int]]:
    together = pd.concat(in_mask).groupby("order")["in_mask"].agg(["mean", "size"])
    return {
        int(order): (100 * float(mean), int(size))
        for order, mean, size in zip(
            together.index, together["mean"], together["size"], strict=True
        )
    }
