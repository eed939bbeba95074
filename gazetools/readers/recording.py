"""What every reader returns, and what a reader is."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gazetools.geometry import Placement, Screen
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES

About = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True)
class Recording:
    """One participant's recording, as the export tells it.

    A reader may give a long recording in several pieces, one after the other in time; they
    have one subject and one name. An event of the vendor's lies within a piece.

    Attributes
    ----------
    name, subject : str
    format : str
        Name of the reader.
    path : Path
        The export.
    samples : DataFrame
        Raw gaze, a SAMPLES table in time order; empty if the export holds events only.
    fixations : DataFrame
        The vendor's own fixations, a FIXATIONS table; empty if there are none. Where there
        are samples too, also ``first_row`` and ``last_row``: positions in `samples`.
    saccades, blinks : DataFrame
        The vendor's own, a SACCADES and a BLINKS table; empty if there are none.
    placements : mapping of str to Placement
        Where each stimulus lay on the screen, as far as the export says.
    screen_px : (int, int) or None
        Width and height of the display, if the export says.
    screen : Screen or None
        The display in mm too and how far it is, if the export says.
    normalised : bool
        Positions "in px" are shares of the width and height of the display (or surface, or
        scene camera), whose size in px the export does not say.
    profile : str
        Settings of our detector that stand closest to the vendor's, a key of events.PROFILES;
        if the reader does not say, it is the one of the format.
    prefers_vendor : bool
        It holds the vendor's own fixations, and ours are not known to be the same.
    fixed_rate_hz : float or None
        Rate that the export states.
    validation : mapping of str to float
        What the vendor measured after calibration, e.g. ``left_accuracy_deg``.
    about : mapping of str to (str or tuple of str)
        For people: software, filter, time unit, encoding, columns used and ignored ...
    skipped : mapping of str to int
        Rows that are no gaze, and events that are left out or cut off, by what they are.
    is_over : bool
        No further piece is expected, so that what is held of the recording can be let go.
    """

    name: str
    subject: str
    format: str
    path: Path
    samples: pd.DataFrame = field(default_factory=SAMPLES.empty)
    fixations: pd.DataFrame = field(default_factory=FIXATIONS.empty)
    saccades: pd.DataFrame = field(default_factory=SACCADES.empty)
    blinks: pd.DataFrame = field(default_factory=BLINKS.empty)
    placements: Mapping[str, Placement] = field(default_factory=dict)
    screen_px: tuple[int, int] | None = None
    screen: Screen | None = None
    normalised: bool = False
    profile: str = ""
    prefers_vendor: bool = False
    fixed_rate_hz: float | None = None
    validation: Mapping[str, float] = field(default_factory=dict)
    about: About = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    is_over: bool = False


def joined(pieces: Iterable[Recording]) -> list[Recording]:
    """Put the pieces of each recording together."""
    found: dict[tuple[str, str], list[Recording]] = {}
    for piece in pieces:
        found.setdefault((piece.subject, piece.name), []).append(piece)
    return [_join(parts) if len(parts) > 1 else parts[0] for parts in found.values()]


def _join(pieces: list[Recording]) -> Recording:
    tables = {
        name: pd.concat([getattr(piece, name) for piece in pieces], ignore_index=True)
        for name in ("samples", "saccades", "blinks")
    }
    begins = np.cumsum([0, *(len(piece.samples) for piece in pieces)])
    shifted = [
        piece.fixations.assign(
            **{
                name: piece.fixations[name] + begin
                for name in ("first_row", "last_row")
                if name in piece.fixations
            }
        )
        for piece, begin in zip(pieces, begins, strict=False)
    ]
    fixations = pd.concat(shifted, ignore_index=True)
    fixations["order"] = fixations.groupby("trial").cumcount() + 1
    skipped = sum((Counter(piece.skipped) for piece in pieces), Counter())
    return replace(pieces[-1], **tables, fixations=fixations, skipped=dict(skipped))


@dataclass(frozen=True)
class ReadOptions:
    """What a user may have to tell a reader.

    Attributes
    ----------
    trial_from : str or None
        Regular expression; a message that it matches begins a trial, whose stimulus is the
        first group, if there is one.
    mapping : Path or None
        TOML that describes a table of no known vendor.
    for_events : bool
        A reader may leave out columns that our event detection does not need, such as pupils.
    """

    trial_from: str | None = None
    mapping: Path | None = None
    for_events: bool = False


@dataclass(frozen=True)
class Head:
    """What a reader is chosen by.

    Attributes
    ----------
    path : Path
    text : str
        Decoded first kilobytes of a file; empty for a folder.
    files : tuple of str
        Files below a folder, sorted, as relative paths with "/"; empty for a file.
    """

    path: Path
    text: str
    files: tuple[str, ...] = ()


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
        Takes the head of an export; returns why this is not the format, "" if it is.
    read : callable
        Takes a path and options; gives the recordings, in pieces if they are long, or raises
        FormatError.
    profile : str
        Settings of our detector that stand closest to the vendor's, a key of
        events.PROFILES.
    is_reproduced : bool
        Whether our detector, so set, finds the vendor's own fixations.
    yields : tuple of str
        Tables of a recording that it can fill: samples, fixations, saccades, blinks.
    has_messages : bool
        Whether messages may begin trials (`ReadOptions.trial_from`).
    """

    name: str
    title: str
    versions: str
    refusal: Callable[[Head], str]
    read: Callable[[Path, ReadOptions], Iterable[Recording]]
    profile: str = "olsen2012"
    is_reproduced: bool = False
    has_messages: bool = False
    yields: tuple[str, ...] = ("samples", "fixations")
