"""What every reader returns, and what a reader is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from gazetools.geometry import Placement


@dataclass(frozen=True)
class Recording:
    """One participant's recording, as the export tells it.

    Attributes
    ----------
    name, subject : str
    format : str
        Name of the reader.
    path : Path
        The export.
    samples : DataFrame
        Raw gaze, a SAMPLES table in time order; empty if the export holds fixations only.
    fixations : DataFrame
        The vendor's own fixations, a FIXATIONS table; empty if there are none. Where there
        are samples too, also ``first_row`` and ``last_row``: positions in `samples`.
    placements : mapping of str to Placement
        Where each stimulus lay on the screen, as far as the export says.
    screen_px : (int, int) or None
        Width and height of the display, if the export says.
    skipped : mapping of str to int
        Rows that are no gaze, by what they are.
    """

    name: str
    subject: str
    format: str
    path: Path
    samples: pd.DataFrame
    fixations: pd.DataFrame
    placements: Mapping[str, Placement] = field(default_factory=dict)
    screen_px: tuple[int, int] | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """One vendor format.

    Attributes
    ----------
    name : str
        Short name, as it stands in tables and summaries.
    title, versions : str
        For people: what it is, and which versions were seen.
    refusal : callable
        Takes the decoded head of a file; returns why this is not the format, "" if it is.
    read : callable
        Takes a path; returns the recordings in the file or raises FormatError.
    """

    name: str
    title: str
    versions: str
    refusal: Callable[[str], str]
    read: Callable[[Path], list[Recording]]
