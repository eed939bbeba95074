"""Recordings without names and dates: what stands between the readers and the tables."""

import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gazetools import readers
from gazetools.errors import FormatError, GazeToolsError
from gazetools.identity.finding import UNNAMED, sign_of, words_of
from gazetools.identity.key import read_key
from gazetools.readers import ReadOptions, Recording
from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES, Schema

_SCHEMAS = {"samples": SAMPLES, "fixations": FIXATIONS, "saccades": SACCADES, "blinks": BLINKS}
_PLACES = {"first_row", "last_row"}
_DIGITS = 12
_DAY_MS = 86_400_000.0
_FROM_THE_FILE = (
    # readers count rows by what the file calls them; words that name nobody are kept
    ("{} rows", {"event", "mouse", "gyroscope", "accelerometer", "incomplete"}),
    ("samples in {} coordinates", {"HREF", "PUPIL", "RAW"}),
)


class Hiding:
    """Hides who looked and when, in the recordings of one export.

    Parameters
    ----------
    key : Path
        Made by :func:`~gazetools.identity.ensure_key`.

    Attributes
    ----------
    telling : dict of str to str
        Stimuli, which keep their names, that seem to tell who looked or who is seen; and why.

    Raises
    ------
    ConfigError
        The key cannot be read.
    """

    def __init__(self, key: Path) -> None:
        self._key = read_key(key)
        self._begins_us: dict[tuple[str, str], int] = {}
        self.telling: dict[str, str] = {}

    def note(self) -> dict[str, str]:
        """Return what provenance says: the rule, and which key without telling it."""
        return {
            "names": "pseudonyms by HMAC-SHA256 with a key",
            "key": self._digest("key"),
            "dropped": "names of files, dates, times of day",
            "kept": "names of stimuli",
        }

    def subject(self, name: str) -> str:
        """Pseudonym of a participant; one without a name has none to hide."""
        return name if name == UNNAMED else f"p{self._digest('subject', name)}"

    def recording(self, subject: str, name: str) -> str:
        """Pseudonym of a recording, another one for each participant who has a "Recording1"."""
        return f"r{self._digest('recording', subject, name)}"

    def pieces(self, path: Path, options: ReadOptions) -> Iterator[Recording]:
        """Do what :func:`gazetools.readers.pieces` does, and hide.

        Raises
        ------
        FormatError
            The export cannot be read. Says where, and not what stands there.
        """
        try:
            for piece in readers.pieces(path, options):
                yield self.hidden(piece)
        except GazeToolsError as error:
            if not path.exists():
                raise
            line = re.match(rf"{re.escape(str(path))}(:\d+)", str(error))
            raise FormatError(
                f"{path}{line[1] if line else ''}: cannot be read; what is wrong is not shown, as "
                "it may quote names; `gazetools inspect`, or ingest without --deidentify, shows it"
            ) from None

    def hidden(self, piece: Recording) -> Recording:
        """Return a piece without names, dates and columns that no table declares.

        The pieces of a recording are to come in time order.
        """
        self._suspect(piece)
        names = {
            "recording": self.recording(piece.subject, piece.name),
            "subject": self.subject(piece.subject),
        }
        tables = {
            kind: _declared(getattr(piece, kind), schema).assign(**names)
            for kind, schema in _SCHEMAS.items()
        }
        tables["samples"] = self._from_zero(tables["samples"], (piece.subject, piece.name))
        if piece.samples.empty:
            tables |= _within_a_day(tables)
        return replace(
            piece,
            name=names["recording"],
            subject=names["subject"],
            **{kind: schema.conform(tables[kind]) for kind, schema in _SCHEMAS.items()},
            about={},
            skipped=_without_words_of_the_file(piece.skipped),
        )

    def _digest(self, *words: str) -> str:
        # JSON, as ("a b", "c") must not be ("a", "b c")
        return hmac.digest(self._key, json.dumps(words).encode(), "sha256").hex()[:_DIGITS]

    def _from_zero(self, samples: pd.DataFrame, who: tuple[str, str]) -> pd.DataFrame:
        if samples.empty:
            return samples
        time_us = samples["tracker_time_us"]
        begin_us = self._begins_us.setdefault(who, int(time_us.iloc[0]))
        return samples.assign(tracker_time_us=time_us - begin_us)

    def _suspect(self, piece: Recording) -> None:
        """Note the stimuli whose names seem to tell who looked or who is seen."""
        who = words_of(piece.name if piece.subject == UNNAMED else piece.subject)
        both = (piece.samples["stimulus"], piece.fixations["stimulus"])
        for stimulus in {name for shown in both for name in shown.dropna().unique()}:
            why = sign_of(stimulus)
            if not why and len("".join(who)) > 2 and who <= words_of(stimulus):
                why = "its participant's name"
            if why:
                self.telling[stimulus] = why


def _declared(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    known = {column.name for column in schema.columns} | _PLACES
    return table[[name for name in table if name in known]]


def _within_a_day(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Count from a trial's first event where onsets are dates rather than times in a trial."""
    events = [table[["trial", "onset_ms"]] for kind, table in tables.items() if kind != "samples"]
    begin_ms = pd.concat(events).groupby("trial")["onset_ms"].min()
    begin_ms = begin_ms[begin_ms > _DAY_MS]
    return {
        kind: table.assign(onset_ms=table["onset_ms"] - table["trial"].map(begin_ms).fillna(0.0))
        for kind, table in tables.items()
        if kind != "samples"
    }


def _without_words_of_the_file(counts: Mapping[str, int]) -> dict[str, int]:
    """Call "other" what readers name as the file does, unless the word is known."""
    plain: Counter[str] = Counter()
    for what, count in counts.items():
        plain[_plain(what)] += count
    return dict(plain)


def _plain(what: str) -> str:
    for form, known in _FROM_THE_FILE:
        named = re.fullmatch(form.format("(.+)"), what)
        if named:
            return what if named[1] in known else form.format("other")
    return what
