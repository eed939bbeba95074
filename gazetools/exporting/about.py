"""What whoever publishes a data set says of it; no table knows these things."""

import datetime
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from gazetools.errors import ConfigError

_LISTS = ("creators", "citations")
_LINES = ("name", "license", "url", "published", "version")
_OWN_LICENSE = "LicenseRef-"
"""Begin of what SPDX calls a licence that is not in its list."""


@dataclass(frozen=True)
class About:
    """Facts about a data set; what is not known is empty, and never made up.

    Spaces of any kind become plain ones, and SPDX identifiers are written as SPDX does.

    Attributes
    ----------
    name : str
        One line.
    description : str
        What was looked at, by whom, and what for.
    license : str
        SPDX identifier (CC-BY-4.0), the URL of a licence, or, with its `terms`, LicenseRef-...
    terms : str
        Terms of use in words, where no licence says it all.
    url : str
        Its page on the web.
    creators : tuple of str
        "Family, Given" is a person; a name without a comma an organization.
    published : str
        Day of publication, 2026-11-22.
    version : str
        MAJOR.MINOR.PATCH.
    citations : tuple of str
        What to cite, in words or BibTeX.
    consent : str
        What participants agreed to, and who approved it.
    """

    name: str = "gaze"
    description: str = ""
    license: str = ""
    terms: str = ""
    url: str = ""
    creators: tuple[str, ...] = ()
    published: str = ""
    version: str = ""
    citations: tuple[str, ...] = ()
    consent: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = _checked(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
        if self.license.startswith(_OWN_LICENSE) and not self.terms:
            raise ConfigError(
                f"license is {self.license!r}, which nobody can look up; say its text as terms"
            )

    @property
    def has_spdx(self) -> bool:
        """Whether the licence is one of SPDX's list."""
        return bool(self.license) and not (
            _is_url(self.license) or self.license.startswith(_OWN_LICENSE)
        )

    @property
    def license_url(self) -> str:
        """Where the licence is to be read, if anywhere; SPDX has a page for each of its list."""
        if self.has_spdx:
            return f"https://spdx.org/licenses/{self.license}.html"
        return self.license if _is_url(self.license) else ""

    def person(self, creator: str) -> tuple[str, str] | None:
        """Family and given name of a creator, if it is a person."""
        family, comma, given = creator.partition(",")
        return (family.strip(), given.strip()) if comma else None


def _checked(name: str, value: Any) -> Any:
    """Return what is said under a name, tidied; raise ConfigError if it cannot be meant."""
    if name in _LISTS:
        return tuple(_checked_text(name, part) for part in value)
    value = _checked_text(name, value)
    if name == "name" and not value.strip():
        raise ConfigError("name is empty; expected the name of the data set")
    if name == "url" and value and not _is_url(value):
        raise ConfigError(f"url is {value!r}; expected https://...")
    if name == "published" and value and not _is_day(value):
        raise ConfigError(f"published is {value!r}; expected a day, 2026-11-22")
    return _checked_license(value) if name == "license" else value


def _checked_text(name: str, text: str) -> str:
    text = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    if name in _LINES and not text.isprintable():
        raise ConfigError(f"{name} is {text!r}; expected one line of text")
    if not re.sub(r"[\n\t]", "", text).isprintable():
        raise ConfigError(f"{name} is {text!r}, with control characters; expected plain text")
    return text


def _checked_license(text: str) -> str:
    """Return an SPDX identifier as its list writes it, and a URL as it is."""
    if not text or _is_url(text):
        return text
    try:
        if re.fullmatch(r"[\w.-]+", text, re.ASCII):  # one licence, not "A OR B"
            return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        pass
    raise ConfigError(
        f"license is {text!r}, which is not in SPDX's list; expected an identifier such as "
        "CC-BY-4.0, or the URL of the licence; what is only in words is said as terms"
    )


def _is_url(text: str) -> bool:
    return re.fullmatch(r"https?://[^\s<>\"{}|\\^`]+", text) is not None


def _is_day(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def read_about(
    path: Path | None = None,
    settings: Sequence[str] = (),
    known: Mapping[str, Any] | None = None,
) -> About:
    """Put together what is said of a data set.

    Parameters
    ----------
    path : Path, optional
        TOML with the attributes of :class:`About`.
    settings : sequence of str
        ``NAME=VALUE``, before what the file says; creators and citations may come several times.
    known : mapping, optional
        What is said where neither says anything.

    Raises
    ------
    ConfigError
        The file cannot be read, or something is unknown or malformed.
    """
    told = dict(known or {})
    if path is not None:
        told |= _values(_toml(path), f"{path}: ")
    given: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r} is not NAME=VALUE")
        given[name] = (*given.get(name, ()), value) if name in _LISTS else value
    return About(**told | _values(given, ""))


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML ({error})") from error


def _values(told: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Check all values that came from one place, which errors name."""
    try:
        return {name: _checked(name, _value(name, value)) for name, value in told.items()}
    except ConfigError as error:
        raise ConfigError(f"{place}{error}") from error


def _value(name: str, value: Any) -> Any:
    known = [field.name for field in fields(About)]
    if name not in known:
        raise ConfigError(f"{name!r} is unknown; expected {', '.join(known)}")
    if isinstance(value, datetime.date) and name == "published":
        return value.isoformat()
    parts = value if name in _LISTS else [value]
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        expected = "a list of texts" if name in _LISTS else "a text"
        raise ConfigError(f"{name} is {value!r}, expected {expected}")
    return value


def privacy(about: About, *, deidentified: bool) -> tuple[str, ...]:
    """Sentences on what gaze tells of people, what was taken out of it, and who agreed."""
    taken_out = (
        "The tables were made by `gazetools ingest --deidentify`: names of participants and "
        "recordings are pseudonyms, dates and names of files were left out, names of stimuli kept."
        if deidentified
        else "The tables do not say that they were de-identified: names of participants and "
        "recordings stand in them as they came."
    )
    return (
        "Gaze is biometric: how somebody's eyes move can tell who it is, and hint at health, age, "
        "expertise and interest, even where no name is given. Do not try to identify anybody.",
        taken_out,
        f"Consent: {about.consent}"
        if about.consent
        else "What the participants agreed to is not stated here; ask before you use or share it.",
    )
