"""GazeMedSeg fixation table (CSV), the published gaze of Kvasir-SEG and NCI-ISBI.

Source: Zhong et al., "Weakly-supervised Medical Image Segmentation with Gaze Annotations",
MICCAI 2024. Raw lines::

    IMAGE,CURRENT_FIX_INDEX,CURRENT_FIX_X,CURRENT_FIX_Y,CURRENT_FIX_DURATION,...
    cju88y1mwoln50871emyfny1g.jpg,1,0.48255,0.45416,455,2670,7,529.0,621.0

X and Y are fractions of the image (origin top left) and become image px; DURATION and START
are ms from the trial's start. The authors removed fixations shorter than 50 ms. There is no
screen, no participant and no raw gaze. Nothing is dropped here.
"""

from pathlib import Path

import pandas as pd

from gazetools.readers.delimited import read_columns
from gazetools.readers.layout import Layout, header_in
from gazetools.readers.opening import read_head
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording
from gazetools.tables import FIXATIONS

_TEXTS = {"stimulus": "IMAGE"}
_NUMBERS = {
    "order": "CURRENT_FIX_INDEX",
    "x": "CURRENT_FIX_X",
    "y": "CURRENT_FIX_Y",
    "duration_ms": "CURRENT_FIX_DURATION",
    "onset_ms": "CURRENT_FIX_START",
    "image_height": "IMAGE_HEIGHT",
    "image_width": "IMAGE_WIDTH",
}


def refusal(head: Head) -> str:
    """Say why a file is no GazeMedSeg table, or "" if it is."""
    names, _ = header_in(head.text)
    missing = {*_TEXTS.values(), *_NUMBERS.values()} - set(names)
    return f"no column {sorted(missing)[0]!r}" if missing else ""


def read(path: Path, options: ReadOptions) -> list[Recording]:
    """Read a GazeMedSeg table as one recording.

    Raises
    ------
    FormatError
        A line is damaged, or a value is missing.
    """
    _, separator = header_in(read_head(path))
    table = read_columns(path, Layout(separator), _TEXTS, _NUMBERS)
    rows = table.frame
    for name in rows:
        table.expect(name, rows[name].notna(), "a value; every field is needed")
    table.expect("duration_ms", rows["duration_ms"] > 0, "more than 0")
    counts = (rows["order"] % 1 == 0) & ~rows.duplicated(["stimulus", "order"])
    table.expect("order", counts, "a whole number that no line of the image has before")
    for name in ("image_width", "image_height"):
        table.expect(name, rows[name] >= 1, "at least 1")
    fixations = pd.DataFrame(
        {
            "recording": path.name,
            "subject": "annotator",
            "trial": pd.factorize(rows["stimulus"])[0] + 1,
            "stimulus": rows["stimulus"],
            "order": rows["order"].astype("int64"),
            "onset_ms": rows["onset_ms"],
            "duration_ms": rows["duration_ms"],
            "x_im": rows["x"] * rows["image_width"],
            "y_im": rows["y"] * rows["image_height"],
            "image_width": rows["image_width"].round(),
            "image_height": rows["image_height"].round(),
            "source": "vendor:gazemedseg",
        }
    )
    fixations = fixations.sort_values(["trial", "order"], kind="stable", ignore_index=True)
    return [
        Recording(
            name=path.name,
            subject="annotator",
            format=READER.name,
            path=path,
            fixations=FIXATIONS.conform(fixations),
        )
    ]


READER = Reader(
    name="gazemedseg",
    title="GazeMedSeg fixation table (CSV)",
    versions="as published 2024",
    refusal=refusal,
    read=read,
    yields=("fixations",),
)
