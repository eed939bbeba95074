"""A text file in blocks of whole lines, so that one of any length fits into memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from gazetools.errors import FormatError
from gazetools.kernels.cells import PADDING
from gazetools.readers.opening import Decoder
from gazetools.readers.scanning import count_lines

BLOCK_BYTES = 10 * 2**20
LONGEST_LINE = 2**20


@dataclass(frozen=True)
class Block:
    """Some lines of a file, valid until the next are asked for.

    Attributes
    ----------
    text : bytearray
        Whole lines in UTF-8, between PADDING bytes of 0.
    lines, first_line : int
        How many, and the number of the first in the file.
    """

    text: bytearray
    lines: int
    first_line: int


def blocks(
    stream: BufferedReader, decoder: Decoder, header_line: int, path: Path
) -> Iterator[Block]:
    """Give the rows below the header, decoded.

    Raises
    ------
    FormatError
        A line is far longer than any row of cells.
    """
    header = re.compile(rb"\0{%d}(?:[^\r\n]*(?:\r\n|\n|\r|\Z)){%d}" % (PADDING, header_line))
    line = 1
    for text in _whole_lines(stream, decoder, path):
        if line == 1 and (found := header.match(text)):
            del text[PADDING : found.end()]
            line += header_line
        lines = count_lines(text)
        yield Block(text, lines, line)
        line += lines


def _whole_lines(stream: BufferedReader, decoder: Decoder, path: Path) -> Iterator[bytearray]:
    """Give the text of blocks, always in the same memory: new pages would cost much time."""
    read, block = bytearray(BLOCK_BYTES), bytearray()
    rest = b""
    is_empty = True
    has_feeds: bool | None = None
    while read:
        del read[stream.readinto(read) :]
        text = decoder.utf8(read, final=not read)
        if has_feeds is None:
            has_feeds = b"\n" in text or b"\r" not in text
        if not has_feeds:  # Excel for the Macintosh ends lines so
            text = text.replace(b"\r", b"\n")
        end = text.rfind(b"\n") + 1 if read else len(text)
        if end or ((rest or is_empty) and not read):
            _fill(block, rest, text, end)
            yield block
            rest, is_empty = b"", False
        rest += text[end:]
        if len(rest) > LONGEST_LINE:
            raise FormatError(
                f"{path}: a line of over {LONGEST_LINE} bytes, expected rows of cells; "
                "it is damaged, or no text export"
            )


def _fill(block: bytearray, rest: bytes, text: bytes | bytearray, end: int) -> None:
    """Make a block of what was left of the text before, and of a text up to its `end`."""
    begin = PADDING + len(rest)
    size = begin + end + PADDING
    block += bytes(max(0, size - len(block)))
    del block[size:]
    with memoryview(block) as to, memoryview(text) as new:
        to[PADDING:begin] = rest
        to[begin:-PADDING] = new[:end]
        to[-PADDING:] = bytes(PADDING)
