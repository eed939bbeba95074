"""Settings as a command line gives them."""

import tomllib
from collections.abc import Sequence
from typing import Any

from gazetools.errors import ConfigError


def parse_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Read settings of the form ``name=value``, as a command line has them.

    A value is as in TOML; a bare word is a string. Of two for one name the later counts.

    Raises
    ------
    ConfigError
        A text has no ``=``, or nothing on one side of it.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise ConfigError(
                f"setting {text!r} is not understood; expected name=value, as in "
                "velocity_threshold_deg_s=40"
            )
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name] = value
    return settings
