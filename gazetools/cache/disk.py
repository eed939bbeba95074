"""Bytes of a file at given places, for many threads and processes at once."""

import hashlib
import os
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gazetools.errors import CacheError

Extents = npt.NDArray[np.int64]
"""(n, 2): where parts of a file begin and end."""

_BLOCK = 1 << 20


class Disk:
    """A file open for reading; unlike a map of it, it cannot crash when the file shrinks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb", buffering=0)
        self._one_at_a_time = threading.Lock()

    def fileno(self) -> int:
        """Return the descriptor, while open."""
        return self._file.fileno()

    def size(self) -> int:
        """Bytes of the file now."""
        return os.fstat(self.fileno()).st_size

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()

    def read(self, begin: int, size: int) -> bytes:
        """Return exactly `size` bytes, or raise a CacheError."""
        if self._file.closed:
            raise CacheError(f"{self.path}: closed; open it again")
        try:
            found = self._read(begin, size)
        except OSError as error:
            raise CacheError(
                f"{self.path}: cannot be read ({error.strerror}); copy it to another disk"
            ) from error
        if len(found) != size:
            raise CacheError(
                f"{self.path}: ends before byte {begin + size}; it was cut short, render it again"
            )
        return found

    def _read(self, begin: int, size: int) -> bytes:
        """Read to the end of the file at most; a disk may give less than it is asked for."""
        parts = []
        while size and (part := self._read_some(begin, size)):
            parts.append(part)
            begin, size = begin + len(part), size - len(part)
        return b"".join(parts)

    def _read_some(self, begin: int, size: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self.fileno(), size, begin)
        with self._one_at_a_time:
            self._file.seek(begin)
            return self._file.read(size) or b""


class Reader:
    """A disk as HDF5 wants it, with a place where the next bytes are read.

    HDF5 is not given the path: by the time it opens it, another file may lie there.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk, self._at = disk, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, from the begin or the end of the file."""
        self._at = offset + (self._disk.size() if whence == os.SEEK_END else 0)
        return self._at

    def tell(self) -> int:
        """Return that place."""
        return self._at

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes, or raise a CacheError."""
        found = self._disk.read(self._at, size)
        self._at += size
        return found

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`, or raise a CacheError."""
        buffer[:] = memoryview(self.read(len(buffer)))
        return len(buffer)


def digest_around(disk: Disk, length: int, parts: Extents) -> bytes:
    """SHA-256 of the first `length` bytes of a file that are in none of `parts` (ascending)."""
    digest = hashlib.sha256()
    begins, ends = np.append(0, parts[:, 1]), np.append(parts[:, 0], length)
    wide = ends > begins
    for begin, end in zip(begins[wide].tolist(), ends[wide].tolist(), strict=True):
        for at in range(begin, end, _BLOCK):
            digest.update(disk.read(at, min(_BLOCK, end - at)))
    return digest.digest()
