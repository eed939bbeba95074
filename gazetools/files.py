"""Outputs appear whole or not at all; inputs are known by their bytes."""

import glob
import hashlib
import os
import platform
import re
import secrets
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any, TextIO

from gazetools.errors import ConfigError, FormatError, OutputError

if sys.platform == "win32":
    import msvcrt

    def _try_to_lock(file: TextIO) -> bool:
        file.seek(1 << 30)  # far behind what others may want to read
        with suppress(OSError):
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            return True
        return False

else:
    import fcntl

    def _try_to_lock(file: TextIO) -> bool:
        with suppress(BlockingIOError, PermissionError):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False


_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_HOST = re.sub(r"[^\w-]", "_", platform.node()) or "host"
_RUN = secrets.token_hex(4)
"""Tells us from others of the same host name and number, as containers have them."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits; of a folder that of its listing.

    Raises
    ------
    FormatError
        It, or a file in it, cannot be read.
    """
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        below = sorted(file for file in path.rglob("*") if file.is_file())
    except OSError as error:
        raise FormatError(
            f"{path}: cannot be read ({error.strerror or error}); mend it, or name another"
        ) from error
    lines = [f"{file_sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in below]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def check_output(path: Path, *, overwrite: bool = False) -> None:
    """Refuse early what :func:`replacing` would refuse after the work is done."""
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: already exists; remove it or pass --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: folder {path.parent} does not exist; create it first")


def check_unread(out: Path, read: Iterable[Path | None]) -> None:
    """Refuse an output that is one of the files that are read."""
    if out.resolve() in {path.resolve() for path in read if path is not None}:
        raise OutputError(f"{out}: is a file that is read; name another output")


def check_once(paths: Iterable[Path]) -> None:
    """Refuse a file or folder that is named twice: what it holds would count double.

    Raises
    ------
    ConfigError
        One is.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ConfigError(f"{path}: is named twice; name it once")
        seen.add(path.resolve())


@contextmanager
def replacing(path: Path, *, overwrite: bool = False, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is fsynced and renamed to `path`.

    With `durable=False` it is renamed only: enough for what can be made again.

    On any exception, Ctrl-C included, the temporary file is removed and what was
    at `path` before stays untouched.

    Raises
    ------
    OutputError
        `path` exists and `overwrite` is false, or the disk refuses to take the file.
    """
    sweep_orphans(path)
    check_output(path, overwrite=overwrite)
    temporary = _temporary(path, ".part")
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some space or choose another folder; nothing was changed"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a new folder beside `path`; on success it becomes `path`, what was there goes.

    On any exception, Ctrl-C included, the new folder is removed and what was at `path` before
    stays untouched.

    Raises
    ------
    OutputError
        `path` exists and `overwrite` is false, is no folder, or the disk refuses to take it.
    """
    sweep_orphans(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: is a file; name a new folder")
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: already exists; remove it or pass --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: folder {path.parent} does not exist; create it first")
    temporary, before = _temporary(path, ".part"), _temporary(path, ".old")
    try:
        temporary.mkdir()
        yield temporary
        if path.exists():
            path.replace(before)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "free some space or choose another folder; nothing was changed"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if before.exists() and not path.exists():
            before.replace(path)
        shutil.rmtree(before, ignore_errors=True)


def keep_folder(path: Path) -> None:
    """Make a folder unless it is there.

    Raises
    ------
    OutputError
        Something else is there, or the disk refuses to take it.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{path}: folder cannot be made ({error.strerror or error}); free some space, or "
            "remove what is there; nothing was changed"
        ) from error


def _temporary(path: Path, suffix: str) -> Path:
    return path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{_RUN}{suffix}")


def sweep_orphans(path: Path) -> list[Path]:
    """Remove what :func:`replacing` and :func:`replacing_folder` left when they were killed.

    Only what was written for `path`, by processes of this machine that are no more, and folders
    named as such with ``.parts`` behind. A folder that was taken away and not yet replaced is put
    back. To be called while `path` is :func:`locked`: who is in another container, perhaps with
    our host name and number, is not seen otherwise.

    Returns
    -------
    list of Path
        What is gone.
    """
    ours = rf"\.{re.escape(path.name)}\.{re.escape(_HOST)}"
    pattern = re.compile(rf"{ours}\.(\d+)\.([0-9a-f]+)\.(part|part\.parts|old)")
    gone = []
    for left in sorted(path.parent.glob(f".{glob.escape(path.name)}.*")):
        match = pattern.fullmatch(left.name)
        if match is None or _is_alive(int(match[1]), match[2]):
            continue
        if match[3] == "old" and not path.exists():
            left.replace(path)
            continue
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        gone.append(left)
    return gone


def _is_alive(process: int, run: str) -> bool:
    if process == os.getpid():
        return run == _RUN
    if os.name == "nt":  # there os.kill(process, 0) would end it
        return True
    with suppress(PermissionError, OverflowError):  # somebody else's, or no number of a process
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep every other process and thread from the block that writes `path`, without waiting.

    The lock is the system's, on a small file beside `path`: that of a killed process is gone,
    even while processes that it had forked still run.

    Raises
    ------
    OutputError
        Somebody else is in such a block, `path` is no name of a file, or the folder cannot be
        written to.
    """
    if not path.name:
        raise OutputError(f"{path}: is a folder; name a file in it")
    beside = path.with_name(f".{path.name}.lock")
    own = (os.getpid(), beside.resolve())
    with _ours_guard:
        taken = own in _ours
        _ours.add(own)
    if taken:
        raise _being_written(path, str(os.getpid()))
    try:
        with _locked_file(path, beside):
            try:
                yield
            finally:
                # still locked: whoever opened it before us sees that its name is gone
                with suppress(OSError):
                    beside.unlink()
    finally:
        with _ours_guard:
            _ours.discard(own)


_ours: set[tuple[int, Path]] = set()
"""Locks of this process, which the system would give it twice; with its number, for forks."""
_ours_guard = threading.Lock()


def _being_written(path: Path, holder: str) -> OutputError:
    return OutputError(
        f"{path}: is being written by another gazetools (process {holder or 'unknown'}); "
        "wait until it is done, or end it"
    )


def _locked_file(path: Path, beside: Path) -> TextIO:
    try:
        file, is_ours = _lock(beside)
        if is_ours:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        with file:
            raise _being_written(path, file.read())
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be locked ({error.strerror or error}); "
            "choose another folder; nothing was changed"
        ) from error


def _lock(beside: Path) -> tuple[TextIO, bool]:
    """Open the lock's file, and tell whether we have the lock."""
    while True:
        file = os.fdopen(os.open(beside, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o666), "r+")
        try:
            if not _try_to_lock(file):
                return file, False
            if os.path.samestat(beside.stat(), os.fstat(file.fileno())):
                return file, True
        except FileNotFoundError:
            pass  # as below
        except OSError:
            file.close()
            raise
        file.close()  # its last owner removed it after we had opened it


class DeafFile(FileIO):
    """A new file for a library that cannot bear a full disk: writing to it never fails.

    HDF5, once a write has failed, leaves its objects open, complains about each of them and
    crashes at exit. So after the first error nothing more is written, whoever writes goes
    on undisturbed, and :meth:`check` raises that error afterwards.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the error that was kept back, if there was one."""
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        """Write all of `data`, or pretend to."""
        rest = memoryview(data).cast("B")
        try:
            while rest and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return len(data)

    def readinto(self, buffer: Any) -> int:
        """Read what was written; zeros where that was only pretended."""
        count = super().readinto(buffer) or 0
        memoryview(buffer).cast("B")[count:] = bytes(len(buffer) - count)
        return len(buffer)

    def truncate(self, size: int | None = None) -> int:
        """Cut or lengthen the file, or pretend to."""
        try:
            return super().truncate(size) if self._error is None else size or 0
        except OSError as error:
            self._error = error
            return size or 0


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends: HDF5 bears it no better than a full disk."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)
