"""Outputs appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gazetools.errors import OutputError


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse early what :func:`replacing` would refuse after the work is done."""
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: already exists; remove it or pass --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: folder {path.parent} does not exist; create it first")


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    On any exception, Ctrl-C included, the temporary file is removed and what was
    at `path` before stays untouched.

    Raises
    ------
    OutputError
        `path` exists and `overwrite` is false, or the disk refuses to take the file.
    """
    check_output(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        # h5py reports a full disk as an OSError whose errno may be lost: name the path ourselves
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some space or choose another folder; nothing was changed"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
