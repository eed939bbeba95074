"""Folders that list what was written into them; only such a folder is replaced, if unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gazetools.errors import FormatError, OutputError
from gazetools.files import file_sha256, replacing_folder

LISTING = ".gazetools.sha256"
"""Of every other file in the folder a line as `sha256sum` writes it, and checks it with -c."""


@contextmanager
def listed_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a new folder beside `path`; on success it is listed and becomes `path`.

    Raises
    ------
    OutputError
        `path` exists and `overwrite` is false, something in it is not as we wrote it, or the disk
        refuses to take the folder.
    """
    if overwrite and path.is_dir():
        _refuse_foreign(path)
    with replacing_folder(path, overwrite=overwrite) as folder:
        yield folder
        lines = [f"{file_sha256(folder / name)}  {name}\n" for name in _names(folder)]
        (folder / LISTING).write_bytes("".join(lines).encode())


def _refuse_foreign(folder: Path) -> None:
    try:
        names = _names(folder)
        listed = _listed(folder / LISTING) if names else {}
        foreign = [
            name
            for name in names
            if name not in listed or listed[name] != file_sha256(folder / name)
        ]
    except (OSError, ValueError, FormatError):
        raise OutputError(
            f"{folder}: is no data set that this gazetools wrote, and is not overwritten; name a "
            "new folder"
        ) from None
    if foreign:
        raise OutputError(
            f"{folder / foreign[0]}: came into the data set, or was changed, since gazetools "
            f"wrote it ({len(foreign)} such), and is not overwritten; name a new folder"
        )


def _names(folder: Path) -> list[str]:
    """Files and links in a folder, with "/", but for the listing."""
    found = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    return sorted({p.relative_to(folder).as_posix() for p in found} - {LISTING})


def _listed(path: Path) -> dict[str, str]:
    """Digest of each file, by its name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
