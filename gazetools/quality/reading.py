"""What quality is measured of: exports, tables that `ingest` wrote, and points to look at."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gazetools import readers
from gazetools.errors import FormatError, SchemaError
from gazetools.identity import Hiding
from gazetools.images import image_stem
from gazetools.ingestion import IngestSpec
from gazetools.readers import Recording
from gazetools.readers.delimited import read_columns
from gazetools.readers.layout import Layout, header_in
from gazetools.readers.opening import read_head
from gazetools.tables import FIXATIONS, SAMPLES, read_table
from gazetools.timeline import sample_spans_us

SAMPLES_TABLE = "samples table"
"""Format of a recording whose events are told by its labels."""

_PARQUET_MAGIC = b"PAR1"
_UNKNOWN_VENDOR = "olsen2012"
_TARGET = ("x_px", "y_px")


def recordings(path: Path, spec: IngestSpec) -> Iterator[Recording]:
    """Read the recordings of a file, in pieces if they are long, hidden if names are to be.

    Raises
    ------
    FormatError
        No reader knows the export, or it is damaged.
    SchemaError
        It is a Parquet file of something else.
    """
    hiding = Hiding(spec.deidentify_key) if spec.deidentify_key is not None else None
    if not is_parquet(path):
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
        if not is_samples:  # which came first is told by `order`, whatever tool sorted the rows
            rows = rows.sort_values(["trial", "order"], kind="stable")
        rows = rows.reset_index(drop=True)
        tables = {"samples": rows, "fixations": _labelled(rows)} if is_samples else {}
        recording = Recording(
            name=str(name),
            subject=str(subject),
            format=SAMPLES_TABLE if is_samples else "fixations table",
            profile=_UNKNOWN_VENDOR,
            path=path,
            **(tables or {"fixations": rows}),
        )
        yield hiding.hidden(recording) if hiding is not None else recording


def is_parquet(path: Path) -> bool:
    """Tell whether a file is a table that `ingest` may have written."""
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
    time_us = samples["tracker_time_us"].to_numpy()
    begin_us, end_us = sample_spans_us(time_us)
    clock_us = time_us - samples["t_ms"].to_numpy() * 1000
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


def read_targets(path: Path) -> dict[str, tuple[float, float]]:
    """Read stimuli that are one point to look at: (x, y) in screen px, by the stimulus' stem.

    Raises
    ------
    FormatError
        A column or a value is missing, or it cannot be read.
    """
    head = read_head(path)
    names, separator = header_in(head)
    missing = {"stimulus", *_TARGET} - set(names)
    if missing:
        raise FormatError(
            f"{path}:1: no column {sorted(missing)[0]!r}; expected stimulus, x_px, y_px"
        )
    numbers = {name: name for name in _TARGET}
    table = read_columns(path, Layout(separator), {"stimulus": "stimulus"}, numbers)
    rows = table.frame
    for name in rows:
        table.expect(name, rows[name].notna(), "a value")
    return {
        image_stem(name): (x, y)
        for name, x, y in zip(rows["stimulus"], rows["x_px"], rows["y_px"], strict=True)
    }
