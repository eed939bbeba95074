"""Which folders may be replaced: those that we wrote, and nothing else has come into since."""

from collections.abc import Callable
from pathlib import Path

from gazetools.errors import FormatError, OutputError


def refuse_foreign(folder: Path, is_ours: Callable[[Path], bool]) -> None:
    """Refuse to replace a folder with anything in it that `is_ours` does not know.

    Raises
    ------
    OutputError
        It is not ours.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        known = is_ours(folder)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, FormatError):
        known = False
    if not known:
        raise OutputError(
            f"{folder}: is no data set that gazetools wrote, or something came into it since, and "
            "is not overwritten; name a new folder"
        )
