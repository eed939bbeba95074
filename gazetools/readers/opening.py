"""Bytes and text of an export: plain, gz or zip, in the encodings that vendors use."""

import codecs
import gzip
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from gazetools.errors import FormatError

AnyBytes = TypeVar("AnyBytes", bytes, bytearray)

HEAD_BYTES = 64 * 1024
MAX_RATIO_VARIABLE = "GAZETOOLS_MAX_UNZIP_RATIO"
"""Environment variable: how many times its size a compressed export may hold."""

_DEFAULT_MAX_RATIO = 200.0
_ALWAYS_UNZIPPED = 64 * 2**20
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_SAVE_AS_TEXT = "expected a text export; save the sheet as CSV or tab-separated text"
_WORKBOOKS = {
    "[Content_Types].xml": "an Excel workbook",
    "META-INF/manifest.xml": "an OpenDocument workbook",
}
"""Files in a zip that tell what it is."""
_NO_EXPORT = {
    b"SR_RESEARCH": "an EyeLink EDF, expected a text export; convert it with edf2asc",
    b"\xd0\xcf\x11\xe0": f"an Excel workbook, {_SAVE_AS_TEXT}",
    b"\x89HDF\r\n\x1a\n": (
        "an HDF5 file, expected a text export; save its table of gaze as CSV, or, if it is a "
        "cache of maps, look at it with `gazetools info`"
    ),
    b"PAR1\x15": (  # one byte more than the magic: participants may be called PAR1
        "a Parquet table, expected a text export; save it as CSV, or, if `gazetools ingest` wrote "
        "it, go on with `gazetools check`, `report`, `render` or `export`"
    ),
    b"/annex/objects/": "a pointer to data that were not fetched; run `git annex get` on it",
    b"version https://git-lfs": "a pointer to data that were not fetched; run `git lfs pull`",
}
"""How files begin that are no export: what they are, and what to do."""
WINDOWS = "cp1252"
"""Latin-1 as Windows has it: with dashes, quotes and a few letters in place of controls."""
_AS_LATIN_1 = "gazetools-as-latin-1"
_DAMAGED = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    """Read the five bytes that Windows gives no meaning, so that names stay apart."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(_AS_LATIN_1, _as_latin_1)


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Open an export for reading, unzipped if it is gz or a zip of one file.

    Raises
    ------
    FormatError
        The file is missing, no file, damaged, or holds far more than its size lets expect.
    """
    kind = ""
    try:
        _check_is_file(path)
        with path.open("rb") as raw:
            magic = raw.read(4)
            raw.seek(0)
            kind = "gz" if magic.startswith(_GZIP_MAGIC) else "zip"
            if magic.startswith(_GZIP_MAGIC):
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield io.BufferedReader(_Limited(stream, raw, path), 2**20)
            elif magic == _ZIP_MAGIC:
                with zipfile.ZipFile(raw) as archive:
                    member = archive.open(_only_member(archive, path))
                    yield io.BufferedReader(_Limited(member, raw, path), 2**20)
            else:
                yield raw
    except _DAMAGED as error:
        raise FormatError(f"{path}: damaged {kind} ({error}); copy or export it again") from error
    except RuntimeError as error:  # what zipfile says of a password
        raise FormatError(f"{path}: cannot be unzipped ({error}); unzip it first") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})") from error


def _check_is_file(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise FormatError(
            f"{path}: no such file, a link that leads nowhere; if its data were not fetched, run "
            "`git annex get` on it"
        )
    if not path.exists():
        raise FormatError(f"{path}: no such file")
    if path.is_dir():
        raise FormatError(f"{path}: a folder, expected an export file")
    if not path.is_file():
        raise FormatError(f"{path}: not a regular file; save it to disk first")


def _only_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = [
        member
        for member in archive.infolist()
        if not member.is_dir() and not member.filename.startswith("__MACOSX/")
    ]
    names = {member.filename for member in members}
    workbook = next((what for name, what in _WORKBOOKS.items() if name in names), "")
    if workbook:
        raise FormatError(f"{path}: {workbook}, {_SAVE_AS_TEXT}")
    if len(members) != 1:
        raise FormatError(
            f"{path}: a zip of {len(members)} files, expected one; unzip it and name the export"
        )
    if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # bzip2 and LZMA may take gigabytes for a few bytes, before any limit of ours is asked
        raise FormatError(f"{path}: zipped by another method than deflate; unzip it first")
    return members[0]


class _Limited(io.RawIOBase):
    """Unzipped bytes of a file, up to a multiple of what was read of it; bombs hold a thousandfold.

    Not of its size: a bomb is to end early, not when it has filled the memory.
    """

    def __init__(self, unzipped: Any, raw: BinaryIO, path: Path) -> None:
        self._unzipped = unzipped
        self._raw = raw
        self._path = path
        self._ratio = _max_ratio(path)
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._unzipped.read(len(buffer))
        self._given += len(data)
        if self._given > max(_ALWAYS_UNZIPPED, self._raw.tell() * self._ratio):
            raise FormatError(
                f"{self._path}: unzips to over {self._ratio:g} times its size, as "
                f"decompression bombs do; if you trust it, set {MAX_RATIO_VARIABLE}=2000"
            )
        buffer[: len(data)] = data
        return len(data)


def _max_ratio(path: Path) -> float:
    said = os.environ.get(MAX_RATIO_VARIABLE, "")
    try:
        ratio = float(said or _DEFAULT_MAX_RATIO)
    except ValueError:
        ratio = 0.0
    if not ratio >= 1:
        raise FormatError(
            f"{path}: not unzipped, as {MAX_RATIO_VARIABLE} is {said!r}, expected a number "
            "from 1; correct or unset it"
        )
    return ratio


def read_head_bytes(path: Path) -> bytes:
    """First kilobytes of an export, unzipped.

    Raises
    ------
    FormatError
        See :func:`open_bytes`; or the file is empty.
    """
    with open_bytes(path) as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        raise FormatError(f"{path}: is empty, expected an eye-tracker export")
    return head


def read_head(path: Path) -> str:
    """Decode the first kilobytes of an export.

    Raises
    ------
    FormatError
        See :func:`read_head_bytes`; or it is not text.
    """
    head = read_head_bytes(path)
    encoding = encoding_of(path, head)
    if encoding == WINDOWS:
        return from_windows(head)
    return head.decode(encoding, errors="replace").removeprefix("\ufeff")


def from_windows(text: bytes) -> str:
    """Decode bytes, of any kind, in the Latin-1 of Windows."""
    return text.decode(WINDOWS, _AS_LATIN_1)


def encoding_of(path: Path, head: bytes) -> str:
    """Tell ``utf-8``, ``utf-16`` and ``cp1252`` apart by the first bytes of a text.

    Raises
    ------
    FormatError
        It is not text.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    what = next((what for magic, what in _NO_EXPORT.items() if head.startswith(magic)), "")
    if what:
        raise FormatError(f"{path}: {what}")
    if b"\0" in head:
        raise FormatError(f"{path}: binary data, expected a text export (TSV, CSV, ASC ...)")
    try:
        # not final: the last character may be cut in two
        codecs.getincrementaldecoder("utf-8")().decode(head, final=False)
    except UnicodeDecodeError:
        return WINDOWS
    return "utf-8"


class Decoder:
    """Turns the blocks of an export into UTF-8.

    A file that is ASCII as far as it was read may turn out to be of Windows later, when the
    first name with an accent comes.
    """

    def __init__(self, path: Path, head: bytes) -> None:
        self.encoding = encoding_of(path, head)
        self._path = path
        self._only_ascii = head.isascii()
        may_have_mark = self.encoding == "utf-8" and not self._only_ascii
        name = "utf-8-sig" if may_have_mark else self.encoding
        errors = _AS_LATIN_1 if name == WINDOWS else "strict"
        self._decoder = codecs.getincrementaldecoder(name)(errors)

    def utf8(self, block: AnyBytes, *, final: bool = False) -> AnyBytes | bytes:
        """Return a block as UTF-8, without a byte order mark.

        Raises
        ------
        FormatError
            The block is not in the encoding of those before.
        """
        if self._only_ascii and self.encoding == "utf-8" and block.isascii():
            return block
        try:
            text = self._decode(block, final=final)
        except UnicodeError as error:
            raise FormatError(
                f"{self._path}: holds bytes that are not text in {self.encoding.upper()}, unlike "
                "its beginning; it is damaged; export the file again"
            ) from error
        self._only_ascii = False
        return text.encode()

    def _decode(self, block: bytes | bytearray, *, final: bool) -> str:
        try:
            return self._decoder.decode(block, final)
        except UnicodeDecodeError:
            if self.encoding != "utf-8" or not self._only_ascii:
                raise
            self.encoding = WINDOWS
            self._decoder = codecs.getincrementaldecoder(WINDOWS)(_AS_LATIN_1)
            return self._decoder.decode(block, final)


def read_text(path: Path) -> str:
    """Decode a whole export, its lines end in a line feed alone.

    Raises
    ------
    FormatError
        See :func:`read_head`.
    """
    head = read_head_bytes(path)
    with open_bytes(path) as stream:
        text = Decoder(path, head).utf8(stream.read(), final=True).decode()
    return text.replace("\r\n", "\n").replace("\r", "\n")


def stem_of(path: Path) -> str:
    """Name of an export without its suffixes: ``P01`` of ``P01.tsv.gz``."""
    name = path.name
    for _ in range(2):
        stem, dot, suffix = name.rpartition(".")
        if not dot or not stem or suffix.lower() not in _SUFFIXES:
            break
        name = stem
    return name


_SUFFIXES = {"tsv", "txt", "csv", "gz", "zip", "asc", "xls", "json"}
