"""Signs of persons and dates in tables. That there are none proves nothing."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from gazetools.tables import BLINKS, FIXATIONS, SACCADES, SAMPLES

UNNAMED = "unnamed"
"""Subject of recordings whose export names none."""

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_BEGIN, _END = r"(?<![^\W_])[A-Za-z]*", r"(?![^\W_])"  # of what stands alone, or behind a word
_SIGNS = {
    "a name as in DICOM": r"[^\W\d_]{2,}\^[^\W\d_]",
    "an e-mail address": r"[\w.+-]+@[\w-]+\.\w",
    "a DICOM UID": r"(?<![\d.])\d+(?:\.\d+){6,}",
    "a date": rf"(?<!\d){_YEAR}([-_./]){_MONTH}\1{_DAY}(?!\d)"
    rf"|(?<!\d){_DAY}([-_./]){_MONTH}\2{_YEAR}(?!\d)|{_BEGIN}{_YEAR}{_MONTH}{_DAY}{_END}",
    "a time of day": r"(?<!\d)(?:[01]?\d|2[0-3]):[0-5]\d:[0-5]\d(?!\d)",
    "a patient's number": r"(?i:(?<![a-z])mrn)\W*\d|" + _BEGIN + r"[1-9]\d{6,11}" + _END,
}
_PATTERNS = {sign: re.compile(pattern) for sign, pattern in _SIGNS.items()}
_HOME = re.compile(r"(?:^|[\s\"'=])(?:[A-Za-z]:[\\/]|/(?:home|Users|mnt|media|data)/)")
_DIGEST = re.compile(
    r"(?<![^\W_])(?:[pr][\da-f]{12}|(?=[\da-f-]*[a-f])[\da-f][\da-f-]{14,}[\da-f])(?![^\W_])"
)
"""Our pseudonyms, and how public sets name images; by chance, long parts are digits alone."""

_PERSON = "a person's name"
_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{2,}(?![^\W_])")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])")
_ROLES = {
    *("annotator", "anonymous", "clinician", "control", "doctor", "expert", "group", "intern"),
    *("novice", "nurse", "observer", "participant", "patient", "pilot", "radiologist", "reader"),
    *("resident", "student", "subject", "tester", "trainee", "unnamed", "user", "volunteer"),
    *("data", "experiment", "export", "eye", "file", "gaze", "player", "recording", "session"),
    *("study", "test", "training", "trial"),
}
"""Capitalised, they are names of nobody."""

_FIELD = re.compile(
    r"(?i)patient|birth|(?:^|_)dob(?:$|_)|(?:^|_)mrn(?:$|_)|e-?mail|phone|address|"
    r"(?:first|last|sur|full|participant|wearer|user|computer|machine|host)[ _]?name|serial|date"
)
_LEAST_EPOCH_US, _MOST_EPOCH_US = 631_152_000_000_000, 4_102_444_800_000_000  # 1990 and 2100
_DECLARED = {c.name for s in (SAMPLES, FIXATIONS, SACCADES, BLINKS) for c in s.columns}
_NOT_OURS_TO_READ = {b"ARROW:schema", b"pandas"}
_SEEN_ELSEWHERE = {"sha256", "stimulus", "without_image", "deidentified"}


@dataclass(frozen=True)
class Finding:
    """Something that may tell who looked, who is seen, or when.

    Attributes
    ----------
    file : str
        Name of the file.
    where : str
        Such as "subject" or "footer".
    what : str
        What it looks like, such as "a date".
    count : int
        How many different values do.
    example : str
        The first of them; empty where names are to be hidden.
    """

    file: str
    where: str
    what: str
    count: int
    example: str


def sign_of(text: str) -> str:
    """Say what in any text looks as if it told a person or a date; "" if nothing does."""
    text = _DIGEST.sub("", text)
    return next((sign for sign, pattern in _PATTERNS.items() if pattern.search(text)), "")


def words_of(text: str) -> set[str]:
    """Words and numbers of a name, in lower case; none if it has no letter."""
    words = set(re.findall(r"[^\W_]+", text.casefold()))
    return words if any(not word.isdigit() for word in words) else set()


def name_findings(file: str, rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Look at ``subject``, ``recording`` and ``stimulus`` of some rows.

    A single word in small letters, or in capitals alone, is taken for an id; a stimulus may be
    called by any words.
    """
    signs: dict[str, dict[str, str]] = {"subject": {}, "recording": {}, "stimulus": {}}
    for row in rows:
        subject, recording, stimulus = (row[where] for where in signs)
        signs["subject"][subject] = sign_of_person(subject)
        # without a participant's name, it is the recording that is named after one
        look = sign_of_person if subject == UNNAMED else sign_of
        signs["recording"][recording] = look(recording)
        if isinstance(stimulus, str):
            signs["stimulus"][stimulus] = sign_of(stimulus)
    return [one for where, of in signs.items() for one in _counted(file, where, of.items())]


def table_findings(path: Path, file: str) -> list[Finding]:
    """Look at the footer of a Parquet table, and at columns that no table of ours declares.

    Parameters
    ----------
    path : Path
        It has been read as a table before.
    file : str
        What it is to be called.
    """
    with pq.ParquetFile(path) as table:
        notes = table.metadata.metadata or {}
        extra = [name for name in table.schema_arrow.names if name not in _DECLARED]
        columns = table.read(columns=extra).to_pandas() if extra else pd.DataFrame()
    told = [t for key in notes if key not in _NOT_OURS_TO_READ for t in _texts(_plain(notes[key]))]
    signs = [(text, "a path" if _HOME.search(text) else sign_of(text)) for text in told]
    found = _counted(file, "footer", signs)
    fields = [(name, "a field on persons or dates") for name in extra if _FIELD.search(name)]
    found += _counted(file, "columns", fields)
    for name in columns:
        texts = (value for value in columns[name] if isinstance(value, str))
        found += _counted(file, f"column {name!r}", ((text, sign_of(text)) for text in texts))
    return found


def clock_findings(file: str, time_us: pd.Series) -> list[Finding]:
    """Say that a tracker's clock tells the date, if its times (n,) do."""
    if time_us.empty or not _LEAST_EPOCH_US < time_us.iloc[0] < _MOST_EPOCH_US:
        return []
    day = str(pd.Timestamp(int(time_us.iloc[0]), unit="us").date())
    return [Finding(file, "tracker_time_us", "a clock that tells the date", 1, day)]


def sign_of_person(text: str) -> str:
    """Say what in what should be an id looks like more than one; "" if nothing does."""
    if sign_of(text) or text == UNNAMED:
        return sign_of(text)
    words = _WORD.findall(_CAMEL.sub(" ", _DIGEST.sub("", text)))
    names = [word for word in words if word[0].isupper()]
    if {word.casefold() for word in words} & _ROLES:
        return ""
    alone = len(names) == 1 and names[0].istitle() and not re.search(r"\d", text)
    return _PERSON if len(names) > 1 or alone else ""


def _counted(file: str, where: str, signs: Iterable[tuple[str, str]]) -> list[Finding]:
    examples: dict[str, dict[str, None]] = {}
    for text, sign in signs:
        if sign:
            examples.setdefault(sign, {})[text] = None
    return [Finding(file, where, sign, len(of), next(iter(of))) for sign, of in examples.items()]


def _plain(value: bytes) -> Any:
    text = value.decode(errors="replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _texts(value: Any) -> Iterator[str]:
    """Give all texts in JSON, but for names and digests that are looked at elsewhere."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _SEEN_ELSEWHERE:
                yield str(key)
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
