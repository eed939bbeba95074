"""Which file opens which export.

A format is one file of this package: a docstring (vendor, versions seen, raw lines, column
mapping, conversions, what is dropped), a refusal test on the head of an export, a read function
and ``READER``. To add one:

1. write the file; :mod:`~gazetools.readers.gazemedseg` is the shortest to start from;
2. add its ``READER`` to the tuple below, beside its relatives: the order is that of
   ``gazetools formats`` and of nothing else, as exactly one reader may claim an export;
3. write a small export of that format in ``tests/exports``: the tests of the contract and the
   fuzzer run over all READERS and ask for an example of each.

What readers share: :mod:`~gazetools.readers.opening` (bytes to text),
:mod:`~gazetools.readers.delimited` (text to columns), :mod:`~gazetools.readers.building` (columns
to samples), :mod:`~gazetools.readers.trial_marks` (messages to trials),
:mod:`~gazetools.readers.vendor_events` (the vendor's events, on samples or alone) and
:mod:`~gazetools.readers.recording` (what comes out).
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gazetools.errors import FormatError
from gazetools.readers import (
    bids,
    egd_cxr,
    eyelink_asc,
    eyelink_report,
    eyelink_sample_report,
    gazemedseg,
    gazepoint,
    generic,
    pupil_core,
    pupil_neon,
    pupil_surface,
    reflacx,
    smi_events,
    smi_raw,
    tobii_glasses,
    tobii_prolab,
    tobii_sdk,
    tobii_studio,
    tobii_studio2,
)
from gazetools.readers.opening import read_head
from gazetools.readers.order import in_order
from gazetools.readers.recording import Head, Reader, ReadOptions, Recording, joined

__all__ = [
    "READERS",
    "Head",
    "ReadOptions",
    "Reader",
    "Recording",
    "find_reader",
    "pieces",
    "read",
    "reasons",
]

READERS: tuple[Reader, ...] = (
    tobii_prolab.READER,
    tobii_glasses.READER,
    tobii_studio.READER,
    tobii_studio2.READER,
    tobii_sdk.READER,
    eyelink_asc.READER,
    eyelink_sample_report.READER,
    eyelink_report.READER,
    smi_raw.READER,
    smi_events.READER,
    gazepoint.READER,
    pupil_core.READER,
    pupil_neon.READER,
    pupil_surface.READER,
    bids.READER,
    gazemedseg.READER,
    reflacx.READER,
    egd_cxr.READER,
)

_MOST_FILES = 50_000
_MOST_TRIED = 200
_MOST_TITLE_LINES = 30


def find_reader(path: Path) -> Reader:
    """Return the one reader that claims an export.

    Raises
    ------
    FormatError
        It cannot be opened, or not exactly one reader claims it.
    """
    head = _head(path)
    claiming = _claiming(head)
    if len(claiming) == 1:
        return claiming[0]
    if claiming:
        names = ", ".join(reader.name for reader in claiming)
        raise FormatError(f"{path}: claimed by more than one reader ({names}); please report it")
    if path.is_dir() and not head.files:
        raise FormatError(f"{path}: no reader knows this folder; it is empty")
    if path.is_dir():
        raise FormatError(f"{path}: no reader knows this folder{_what_is_in(head)}")
    remedy = _where_it_begins(head) or (
        f"`gazetools inspect {shlex.quote(str(path))}` tells why, and drafts a mapping (--mapping) "
        "for a table"
    )
    raise FormatError(f"{path}: no reader knows this file; {remedy}")


def reasons(path: Path) -> list[str]:
    """Say why no reader claims a file, reader by reader; nothing if one does.

    Raises
    ------
    FormatError
        It cannot be opened.
    """
    head = _head(path)
    refusals = {reader.name: reader.refusal(head) for reader in READERS}
    if not all(refusals.values()):
        return []
    first = [f"{path}: no reader knows this file", _where_it_begins(head)]
    return [*filter(None, first), *(f"{name}: {why}" for name, why in refusals.items())]


def _claiming(head: Head) -> list[Reader]:
    return [reader for reader in READERS if not reader.refusal(head)]


def _where_it_begins(head: Head) -> str:
    """Say in which line the header stands, if lines above it hide it."""
    lines = re.split(r"\r\n|\n|\r", head.text, maxsplit=_MOST_TITLE_LINES)
    for above in range(1, len(lines)):
        if _claiming(replace(head, text="\n".join(lines[above:]))):
            return f"the header seems to be in line {above + 1}: remove the lines above it"
    return ""


def _what_is_in(head: Head) -> str:
    """Name a file or folder below a folder that a reader claims; those above come first."""
    below = {Path(file) for file in head.files}
    below |= {folder for file in below for folder in file.parents if folder.name}
    for name in sorted(below, key=lambda path: (len(path.parts), path))[:_MOST_TRIED]:
        with suppress(FormatError):  # no text, or not to be read
            if len(_claiming(_head(head.path / name))) == 1:
                return f" as one recording; name its exports one by one, as {head.path / name}"
    return ", nor what is in it; `gazetools formats` lists what is read"


def _head(path: Path) -> Head:
    try:
        is_folder = path.is_dir()
        below = sorted(_files_below(path)) if is_folder else []
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})") from error
    files = tuple(file.relative_to(path).as_posix() for file in below)
    _check_names(path, files)
    return Head(path, "" if is_folder else read_head(path), files)


def _check_names(path: Path, files: tuple[str, ...] = ()) -> None:
    """Refuse file names that are no text, as recordings are named after them."""
    for name in (str(path.absolute()), *files):
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise FormatError(
                f"{path}: {name!r} holds bytes that are not UTF-8; rename the file or folder"
            ) from error


def _files_below(folder: Path) -> Iterator[Path]:
    for count, file in enumerate(folder.rglob("*")):
        if count == _MOST_FILES:
            raise FormatError(
                f"{folder}: over {_MOST_FILES} files, expected one recording's folder"
            )
        # a link to data that were not fetched tells so when it is opened
        if file.is_file() or (file.is_symlink() and not file.exists()):
            yield file


def pieces(path: Path, options: ReadOptions | None = None) -> Iterator[Recording]:
    """Read the recordings of an export as their reader gives them, long ones in pieces.

    Raises
    ------
    FormatError
        No reader knows the export, or it is damaged; names the line where that is known.
    """
    path, options = Path(path), options or ReadOptions()
    if options.mapping is not None:
        _check_names(path)
    reader = generic.READER if options.mapping is not None else find_reader(path)
    if options.trial_from is not None and not reader.has_messages:
        raise FormatError(
            f"{path}: {reader.title}: has no messages that could begin trials; "
            "leave out --trial-from"
        )
    has_trials = options.trial_from is None
    for piece in in_order(path, reader.read(path, options)):
        has_trials |= any((table["trial"] > 0).any() for table in (piece.samples, piece.fixations))
        is_other = piece.prefers_vendor or not reader.is_reproduced
        yield replace(
            piece,
            profile=piece.profile or reader.profile,
            prefers_vendor=is_other and len(piece.fixations) > 0,
        )
    if not has_trials:
        raise FormatError(
            f"{path}: no message matches {options.trial_from!r}, with which trials are to begin, "
            "while gaze was recorded; correct --trial-from, or leave it out"
        )


def read(path: Path, options: ReadOptions | None = None) -> list[Recording]:
    """Read all recordings of an export, whatever the vendor, into memory.

    Raises
    ------
    FormatError
        See :func:`pieces`.
    """
    return joined(pieces(path, options))
