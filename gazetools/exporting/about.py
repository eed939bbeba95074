"""What whoever publishes a data set says of it; no table knows these things."""

import datetime
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from gazetools.errors import ConfigError

_LISTS = ("creators", "citations")


@dataclass(frozen=True)
class About:
    """Facts about a data set; what is not known is empty, and never made up.

    Attributes
    ----------
    name : str
        One line.
    description : str
        What was looked at, by whom, and what for.
    license : str
        SPDX identifier (CC-BY-4.0), or the URL of a licence.
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
        for name in ("name", "license", "url", "published", "version"):
            if not getattr(self, name).isprintable():
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one line of text")
        for text in (self.description, self.terms, self.consent, *self.creators, *self.citations):
            if not re.sub(r"[\n\t]", "", text).isprintable():
                raise ConfigError(f"{text!r} has control characters; expected plain text")
        self._check_forms()

    def _check_forms(self) -> None:
        if not self.name.strip():
            raise ConfigError("name is empty; expected the name of the data set")
        if self.url and not _is_url(self.url):
            raise ConfigError(f"url is {self.url!r}; expected https://...")
        if self.license and not (
            _is_url(self.license) or re.fullmatch(r"[\w.+-]+", self.license, re.ASCII)
        ):
            raise ConfigError(
                f"license is {self.license!r}; expected an SPDX identifier such as CC-BY-4.0, or "
                "the URL of a licence; terms in words are `terms`"
            )
        if self.published and not _is_day(self.published):
            raise ConfigError(f"published is {self.published!r}; expected a day, 2026-11-22")

    @property
    def license_url(self) -> str:
        """Where the licence is to be read; SPDX has a page for each of its identifiers."""
        if not self.license or _is_url(self.license):
            return self.license
        return f"https://spdx.org/licenses/{self.license}.html"

    def person(self, creator: str) -> tuple[str, str] | None:
        """Family and given name of a creator, if it is a person."""
        family, comma, given = creator.partition(",")
        return (family.strip(), given.strip()) if comma else None


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
        told |= {name: _value(name, value, f"{path}: ") for name, value in _toml(path).items()}
    given: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f"{text!r} is not NAME=VALUE")
        given[name] = (*given.get(name, ()), value) if name in _LISTS else value
    told |= {name: _value(name, value, "") for name, value in given.items()}
    try:
        return About(**told)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}" if path is not None else str(error)) from error


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML ({error})") from error


def _value(name: str, value: Any, place: str) -> Any:
    known = [field.name for field in fields(About)]
    if name not in known:
        raise ConfigError(f"{place}{name!r} is unknown; expected {', '.join(known)}")
    if isinstance(value, datetime.date) and name == "published":
        return value.isoformat()
    parts = value if name in _LISTS else [value]
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        expected = "a list of texts" if name in _LISTS else "a text"
        raise ConfigError(f"{place}{name} is {value!r}, expected {expected}")
    return tuple(parts) if name in _LISTS else value


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
