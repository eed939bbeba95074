"""Descriptions on their way to disk: each is there to stay as soon as it is known."""

import errno
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gazetools.describing.record import (
    Description,
    description_content,
    parse_descriptions,
    without_torn_line,
)
from gazetools.errors import FormatError, OutputError


class Journal:
    """A file of descriptions that grows by whole lines; to be used while it is locked.

    Nothing is changed before the first line is added: neither a torn end is cut off, nor a
    file replaced that is another's.

    Parameters
    ----------
    path : Path
    by : str
        Who writes it.
    seen : tuple of str
        What they have before them.
    prompts : mapping of str to str
        Digest of what is put to them about each image.
    overwrite : bool
        Begin anew if the file is another's, or no file of descriptions.

    Raises
    ------
    OutputError
        The file is another's, or none of descriptions, and `overwrite` is false.
    """

    def __init__(
        self,
        path: Path,
        by: str,
        seen: tuple[str, ...],
        prompts: Mapping[str, str],
        *,
        overwrite: bool = False,
    ) -> None:
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file in it")
        if not path.parent.is_dir():
            raise OutputError(f"{path}: folder {path.parent} does not exist; create it first")
        self.path = path
        self.there: dict[str, Description] = {}
        self._kept = b""
        self._file: int | None = None
        self._lock = threading.Lock()
        try:
            if path.exists():
                kept = without_torn_line(description_content(path))
                self.there = parse_descriptions(kept, path)
                _check_ours(self.there, path, by, seen, prompts)
                self._kept = kept
        except (FormatError, OutputError) as error:
            if not overwrite:
                raise OutputError(
                    f"{error}; to keep the file name another with -o, or pass --overwrite"
                ) from error
            self.there = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)

    def add(self, record: Description) -> None:
        """Write one line, whole and to stay; from any thread.

        Raises
        ------
        OutputError
            The disk refuses to take it.
        """
        line = f"{record.to_json()}\n".encode()
        with self._lock:
            try:
                if self._file is None:
                    self._file = self._open()
                before = os.fstat(self._file).st_size
                written = os.write(self._file, line)
                if written < len(line):
                    os.ftruncate(self._file, before)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(self._file)
            except OSError as error:
                raise OutputError(
                    f"{self.path}: cannot be written ({error.strerror or error}); free some "
                    "space, and give the same command again; what is written is kept"
                ) from error

    def _open(self) -> int:
        binary = getattr(os, "O_BINARY", 0)
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | binary, 0o666)
        try:
            os.ftruncate(file, len(self._kept))
            if self._kept and not self._kept.endswith(b"\n"):
                os.write(file, b"\n")
        except OSError:
            with suppress(OSError):
                os.close(file)
            raise
        return file


def _check_ours(
    there: Mapping[str, Description],
    path: Path,
    by: str,
    seen: tuple[str, ...],
    prompts: Mapping[str, str],
) -> None:
    for record in there.values():
        of_image = f"{path}: {record.image!a} is"
        if record.by != by:
            raise OutputError(f"{of_image} described by {record.by!a}, not by {by!a}")
        if record.seen != seen:
            before, now = " and ".join(record.seen), " and ".join(seen)
            raise OutputError(f"{of_image} described from {before}, not from {now}")
        if record.prompt_sha256 != prompts.get(record.image, record.prompt_sha256):
            raise OutputError(f"{of_image} described from another prompt, or other fixations")
