"""What all detectors share: their labels, and settings that are frozen, checked and hashed."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from types import NoneType
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from gazetools.errors import ConfigError
from gazetools.tables import EVENTS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Labels = NDArray[np.int8]

MISSING, FIXATION, SACCADE, UNCLASSIFIED = range(len(EVENTS))
WINDOW_TOLERANCE = 1.01
"""Intervals jitter: a window that holds a whole number of them must not lose one."""
HALF_MS = 0.5
"""Durations are compared rounded to whole ms."""


@dataclass(frozen=True)
class Settings:
    """Settings of a detector; subclasses declare them as fields and name their algorithm."""

    algorithm: ClassVar[str] = ""

    @classmethod
    def allowed(cls) -> dict[str, tuple[Any, ...]]:
        """Types, or choices, of each setting by name; None among them if it may be off."""
        return {name: _allowed(hint) for name, hint in _hints(cls).items()}

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """Make settings of a text's or a file's values, with numbers of the declared type.

        Raises
        ------
        ConfigError
            A name is unknown, or its value is of the wrong kind.
        """
        allowed = cls.allowed()
        for name in settings:
            if name not in allowed:
                raise ConfigError(
                    f"{cls.algorithm} has no setting {name!r}; expected {', '.join(allowed)}"
                )
        return cls(**{name: _cast(name, value, allowed[name]) for name, value in settings.items()})

    @property
    def single_eye(self) -> Literal["left", "right"] | None:
        """The eye that alone is looked at; None if both are."""
        eye = getattr(self, "eye_selection", getattr(self, "eye", None))
        return eye if eye in ("left", "right") else None

    def digest(self) -> str:
        """Short hash of all settings."""
        settings = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(settings.encode()).hexdigest()[:8]

    def describe(self) -> str:
        """Name the detector for a table's `source`: ``ivt:tobii-prolab:1a2b3c4d``."""
        from gazetools.events.profiles import PROFILES  # which are made of subclasses

        name = next((name for name, profile in PROFILES.items() if profile == self), "custom")
        return f"{self.algorithm}:{name}:{self.digest()}"

    def check_choices(self) -> None:
        """Refuse what is not among the declared choices."""
        for name, choices in self.allowed().items():
            value = getattr(self, name)
            if all(isinstance(c, str | None) for c in choices) and value not in choices:
                raise _not_among(name, value, choices)

    def check_positive(self, *names: str) -> None:
        """Refuse what is not a positive number."""
        for name in names:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be positive")

    def check_odd(self, name: str, at_least: int = 1) -> None:
        """Refuse a number of samples that has no middle."""
        value = getattr(self, name)
        if value < at_least or value % 2 == 0:
            least = "positive" if at_least == 1 else f"at least {at_least}"
            raise ConfigError(f"{name} is {value}; it must be odd and {least}")


def _hints(cls: type[Settings]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in fields(cls)}


def _allowed(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Literal:
        return get_args(hint)
    if not get_args(hint):
        return (hint,)
    together = [allowed for part in get_args(hint) for allowed in _allowed(part)]
    return tuple(None if allowed is NoneType else allowed for allowed in together)


def _cast(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("off", "none", False) and not is_number and None in allowed:
        return None
    for kind in allowed:
        if kind is None and value is None:
            return None
        if kind is bool and isinstance(value, bool):
            return value
        if kind is float and is_number:
            return float(value)
        if kind is int and is_number and float(value).is_integer():
            return int(value)
        if isinstance(kind, str) and value == kind:
            return value
    raise _not_among(name, value, allowed)


def _not_among(name: str, value: object, allowed: tuple[Any, ...]) -> ConfigError:
    words = {float: "a number", int: "a whole number", bool: "true or false", None: "off (None)"}
    options = ", ".join(words[a] if a in words else repr(a) for a in allowed)
    return ConfigError(f"{name} is {value!r}; expected {options}")
