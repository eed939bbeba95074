"""What one image shows, in words: records of `descriptions.jsonl`, read and checked.

One JSON object a line; `description.schema.json` beside this file says what it must hold, and
`examples/descriptions.md` tells it in words.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from gazetools.errors import ConfigError, FormatError
from gazetools.images import composed

FORMAT = "gazetools-description"
VERSION = 1
ANSWERED = (
    "location",
    "boundary",
    "shape",
    "texture",
    "area_share",
    "confidence",
    "remarks",
)
"""Fields that whoever looks at the image fills in; we know the others."""

MOST_CHARACTERS = 65_536
"""Of one record or answer; the longest that the schema allows has little more than half of it."""
_SHOWN = 60


@dataclass(frozen=True)
class Description:
    """What one image shows, who says so, and what they had seen.

    Attributes
    ----------
    image : str
        Name of the image file, without suffix.
    location, boundary, shape, texture, remarks : str
        Of the lesion; only the remarks may be empty.
    area_share : float or None
        The lesion's share of the image.
    confidence : float
        Of the writer, 0 to 1.
    by : str
        Name of the model or the writer.
    seen : tuple of str
        What the writer had before it, out of image, fixations, mask.
    prompt_sha256 : str or None
        Of what was put to the writer beside the image: instructions, and fixations as numbers.
    asked_at : str or None
        Time of the answer, UTC.
    """

    image: str
    location: str
    boundary: str
    shape: str
    texture: str
    area_share: float | None
    confidence: float
    remarks: str
    by: str
    seen: tuple[str, ...]
    prompt_sha256: str | None = None
    asked_at: str | None = None

    def text(self) -> str:
        """Return the one paragraph that is encoded: what was seen, not who says so."""
        parts = [
            f"Location: {_sentence(self.location)}",
            f"Boundary: {_sentence(self.boundary)}",
            f"Shape: {_sentence(self.shape)}",
            f"Texture: {_sentence(self.texture)}",
            _area(self.area_share),
            f"Confidence: {_in_words(self.confidence)}.",
            _sentence(self.remarks),
        ]
        return " ".join(part for part in parts if part)

    def to_json(self) -> str:
        """Write the record as one line, without its end."""
        fields = {"format": FORMAT, "version": VERSION, **asdict(self)}
        for name in ("prompt_sha256", "asked_at"):
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def read_descriptions(path: Path) -> dict[str, Description]:
    """Read a file of descriptions into a mapping of image to description, in the file's order.

    Raises
    ------
    FormatError
        The file cannot be read, its last line is torn, a record is not what the schema says,
        or an image is described twice.
    """
    content = description_content(path)
    whole = without_torn_line(content)
    if len(whole) < len(content):
        torn = whole.count(b"\n") + 1
        raise FormatError(
            f"{path}:{torn}: the last line is torn, whoever wrote it was "
            "stopped; give the command that wrote the file again, or remove that line"
        )
    return parse_descriptions(whole, path)


def description_content(path: Path) -> bytes:
    """Read a file of descriptions as it is.

    Raises
    ------
    FormatError
        It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be read ({error.strerror or error}); expected a file of descriptions, "
            "as `gazetools describe` writes it"
        ) from error


def without_torn_line(content: bytes) -> bytes:
    """Cut off a last line that was not written to its end; whole ones may lack its mark."""
    whole, end, last = content.rpartition(b"\n")
    try:
        parse_object(last)
    except FormatError:
        return whole + end
    return content


def parse_descriptions(content: bytes, path: Path) -> dict[str, Description]:
    """Do what :func:`read_descriptions` does with the content of a file, `path` is for messages."""
    found: dict[str, Description] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = description(parse_object(line))
        except FormatError as error:
            raise FormatError(f"{path}:{number}: {error}; mend or remove that line") from error
        if record.image in found:
            raise FormatError(
                f"{path}:{number}: image {record.image!a} is described in an earlier line "
                "already; keep one of them"
            )
        found[record.image] = record
    return found


def description(fields: Mapping[str, Any]) -> Description:
    """Make a description of the fields of a record.

    Raises
    ------
    FormatError
        A field is missing, unknown, or not what the schema says.
    """
    check_fields(fields)
    kept = {name: value for name, value in fields.items() if name not in ("format", "version")}
    kept |= {"image": composed(fields["image"]), "seen": tuple(fields["seen"])}
    return Description(**kept)


def check_fields(fields: Mapping[str, Any], only: Collection[str] | None = None) -> None:
    """Hold fields against the schema; `only` names those expected, by default a whole record.

    Raises
    ------
    FormatError
        A field is missing, unknown, or not what the schema says; the first such is named.
    """
    rules = schema()["properties"]
    expected = rules if only is None else {name: rules[name] for name in only}
    required = schema()["required"] if only is None else only
    for name in fields:
        if name not in expected:
            raise FormatError(f"field {_shown(name)} is unknown; expected {', '.join(expected)}")
    for name in required:
        if name not in fields:
            raise FormatError(f"field {name!r} is missing; expected {_told(rules[name])}")
    for name, value in fields.items():
        if value != value or not _validator(name).is_valid(value):
            raise FormatError(f"field {name!r} is {_shown(value)}; expected {_told(rules[name])}")


def parse_object(text: bytes | str) -> dict[str, Any]:
    """Read one JSON object, by the letter of RFC 8259: no NaN, no name twice.

    Raises
    ------
    FormatError
        It is none, or too deep or too long for us.
    """
    if len(text) > MOST_CHARACTERS:
        raise FormatError(f"is {len(text):,} characters long; expected {MOST_CHARACTERS:,} at most")
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")  # Windows editors mark UTF-8
        found = json.loads(text, parse_constant=_not_json, object_pairs_hook=_names_differ)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"is not JSON in UTF-8 ({_reason(error)})") from error
    if not isinstance(found, dict):
        # not what it is: that may be the key, which a server sent back
        raise FormatError(f"is a JSON {type(found).__name__}; expected one JSON object")
    return found


@cache
def schema() -> dict[str, Any]:
    """Return the published schema, JSON schema draft 2020-12; not to be changed."""
    file = resources.files("gazetools.describing") / "description.schema.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


@cache
def _validator(field: str) -> Any:
    try:
        from jsonschema import Draft202012Validator
    except ImportError as error:
        raise ConfigError(
            "descriptions are checked with the package jsonschema; install gazetools[text]"
        ) from error
    parts = {name: schema()[name] for name in ("properties", "$defs")}
    return Draft202012Validator({"$ref": f"#/properties/{field}", **parts})


def _told(rule: Mapping[str, Any]) -> str:
    if "description" in rule:
        return str(rule["description"])
    return str(schema()["$defs"][rule["$ref"].rpartition("/")[2]]["description"])


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _names_differ(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice in an object")
    return found


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else _cut(str(error))


def _shown(value: Any) -> str:
    """Show a foreign value briefly, in ASCII: it may hold what a terminal would obey."""
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and abs(value) > 10**_SHOWN:
        return "a huge number"  # its digits may be more than Python writes
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!a} ... ({len(value):,} characters)"
    return ascii(value)


def _cut(text: str) -> str:
    return ascii(text[:200])[1:-1]


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def _area(share: float | None) -> str:
    if share is None:
        return "Area: unknown."
    for below, words in (
        (0.02, "tiny, under two percent of the image"),
        (0.05, "small, two to five percent of the image"),
        (0.1, "five to ten percent of the image"),
        (0.2, "ten to twenty percent of the image"),
        (0.35, "large, twenty to thirty-five percent of the image"),
        (0.6, "very large, thirty-five to sixty percent of the image"),
    ):
        if share < below:
            return f"Area: {words}."
    return "Area: most of the image."


def _in_words(confidence: float) -> str:
    for below, word in ((0.35, "low"), (0.65, "moderate"), (0.85, "high")):
        if confidence < below:
            return word
    return "very high"
