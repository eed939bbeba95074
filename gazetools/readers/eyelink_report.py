"""SR Research EyeLink Data Viewer fixation report (tab or comma separated text).

Reports are often named ``.xls`` and are text all the same. Raw lines (tabs shown as "|")::

    RECORDING_SESSION_LABEL|TRIAL_INDEX|CURRENT_FIX_INDEX|CURRENT_FIX_START|CURRENT_FIX_END|...
    9115|1|1|22|806|511.80|417.50|...

Needed: RECORDING_SESSION_LABEL, CURRENT_FIX_X, CURRENT_FIX_Y, CURRENT_FIX_DURATION,
CURRENT_FIX_START. X and Y are screen px, START and DURATION ms from the trial's start
(a report's END is inclusive; DURATION is already that of a half-open interval). TRIAL_INDEX
is used where present; otherwise a trial begins where START steps back. The stimulus is the
first of the columns IMAGE, IMAGE_NAME, STIMULUS, PICTURE, MEDIA, in any case. Missing values
are ".". Dropped and counted: rows without a position.
"""

from pathlib import Path

import pandas as pd

from gazetools.errors import FormatError
from gazetools.readers.delimited import read_columns, read_head
from gazetools.readers.recording import Reader, Recording
from gazetools.tables import FIXATIONS, SAMPLES

_TEXTS = {"subject": "RECORDING_SESSION_LABEL"}
_NUMBERS = {
    "x_px": "CURRENT_FIX_X",
    "y_px": "CURRENT_FIX_Y",
    "duration_ms": "CURRENT_FIX_DURATION",
    "onset_ms": "CURRENT_FIX_START",
}
_TRIAL = {"trial": "TRIAL_INDEX"}
_STIMULUS = ("image", "image_name", "stimulus", "picture", "media")


def refusal(head: str) -> str:
    """Say why a file is no Data Viewer fixation report, or "" if it is."""
    _, columns = _columns(head)
    missing = {*_TEXTS.values(), *_NUMBERS.values()} - set(columns)
    return f"no column {sorted(missing)[0]!r}" if missing else ""


def _columns(head: str) -> tuple[str, list[str]]:
    header = head.split("\n", 1)[0].strip("\r\n")
    separator = "\t" if "\t" in header else ","
    return separator, [name.strip('"') for name in header.split(separator)]


def read(path: Path) -> list[Recording]:
    """Read a fixation report; every session becomes a recording.

    Raises
    ------
    FormatError
        A line is damaged, or no row has a position.
    """
    separator, columns = _columns(read_head(path))
    texts = dict(_TEXTS)
    stimulus = next((c for name in _STIMULUS for c in columns if c.lower() == name), None)
    if stimulus is not None:
        texts["stimulus"] = stimulus
    numbers = _NUMBERS | (_TRIAL if _TRIAL["trial"] in columns else {})
    rows = read_columns(path, separator, texts, numbers).frame
    placed = rows[["x_px", "y_px", "duration_ms", "onset_ms"]].notna().all(axis=1)
    dropped = int((~placed).sum())
    rows = rows[placed]
    if rows.empty:
        raise FormatError(f"{path}: none of {dropped} fixations has a position")
    return [
        _recording(path, str(subject), group, dropped if first else 0)
        for first, (subject, group) in _mark_first(rows.groupby("subject", sort=False))
    ]


def _mark_first(
    groups: "pd.api.typing.DataFrameGroupBy",
) -> list[tuple[bool, tuple[str, pd.DataFrame]]]:
    return [(position == 0, group) for position, group in enumerate(groups)]


def _recording(path: Path, subject: str, rows: pd.DataFrame, dropped: int) -> Recording:
    if "trial" in rows:
        trial = rows["trial"].astype("int64")
    else:
        trial = (rows["onset_ms"].diff() < 0).cumsum() + 1
    table = rows.assign(
        recording=subject,
        trial=trial,
        stimulus=rows.get("stimulus"),
        source="vendor:eyelink",
    )
    table["order"] = table.groupby("trial").cumcount() + 1
    return Recording(
        name=subject,
        subject=subject,
        format=READER.name,
        path=path,
        samples=SAMPLES.conform(pd.DataFrame({c.name: [] for c in SAMPLES.columns})),
        fixations=FIXATIONS.conform(table.reset_index(drop=True)),
        skipped={"rows without a position": dropped} if dropped else {},
    )


READER = Reader(
    name="eyelink-report",
    title="EyeLink Data Viewer fixation report",
    versions="4.x text reports",
    refusal=refusal,
    read=read,
)
