"""Detectors by name, and settings of one's own made from them.

A file of settings is TOML. It starts from a profile, or from a detector's defaults::

    base = "tobii-prolab"
    velocity_threshold_deg_s = 40
    gap_fill_ms = "off"
"""

import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gazetools.errors import ConfigError
from gazetools.events.engbert_kliegl import EngbertKliegl
from gazetools.events.idt import IDT
from gazetools.events.ivt import IVT
from gazetools.events.saccade_parser import SaccadeParser
from gazetools.events.spread import Spread

_PROLAB = IVT(
    gap_fill_ms=None,
    substitute_lost_eye=True,
    gaze_as="direction",
    tracker_tilt_deg=20.0,
    noise_reduction="median",
    shift_velocity_window=True,
    merge_position="last",
    discard_swallowed=True,
)

AnyDetector = IVT | IDT | EngbertKliegl | SaccadeParser | Spread

PROFILES: dict[str, AnyDetector] = {
    "tobii-prolab": _PROLAB,
    # a laboratory's listing of Pro Lab 25.23's settings; its labels were not at hand to check
    "tobii-prolab-attention": IVT(**asdict(_PROLAB) | {"velocity_threshold_deg_s": 100.0}),
    "tobii-studio": IVT(merge_look_ahead=True),
    "olsen2012": IVT(),
    "idt": IDT(),
    "engbert-kliegl": EngbertKliegl(),
    "eyelink": SaccadeParser(),
    "pupil-core": Spread(),
}
"""Pro Lab's presets "Tobii I-VT (Fixation)" and "(Attention)", Studio's "I-VT filter", the white
paper; the defaults of the other detectors, which for EyeLink and Pupil Core are those of the
tracker's software."""


def profile(name: str | Path, **overrides: Any) -> AnyDetector:
    """Look up a profile, or read a TOML file of settings, and change some of them.

    Parameters
    ----------
    name : str or Path
        A key of :data:`PROFILES`, or a file whose name ends in ``.toml``.
    **overrides
        Settings by name; "off" or None for what can be left out.

    Raises
    ------
    ConfigError
        There is no such profile or file, or a setting is not one of the detector's.
    """
    if str(name).endswith(".toml"):
        name, settings = _read(Path(name))
        overrides = settings | overrides
    if name not in PROFILES:
        raise ConfigError(
            f"profile {str(name)!r} is unknown; expected {', '.join(PROFILES)}, or a .toml file"
        )
    base = PROFILES[str(name)]
    return type(base).of(**asdict(base) | overrides) if overrides else base


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML ({error})") from error
    base = settings.pop("base", "olsen2012")
    if base not in PROFILES:
        raise ConfigError(f"{path}: base is {base!r}; expected one of {', '.join(PROFILES)}")
    return base, settings
