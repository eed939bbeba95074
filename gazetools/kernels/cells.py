"""Cells of delimited text: where they end, and the numbers and few texts that they hold.

Text is (n,) bytes, and the same memory is also looked at as words (n // 8,), eight bytes each,
the first of them lowest. It is whole rows, each ended by a line feed, with PADDING bytes of 0
before and after. What all eight bytes of a word are is found with a few sums and shifts, as in
D. E. Knuth, "The Art of Computer Programming" 4A, section 7.1.3.
"""

import numpy as np
from numba import njit

from gazetools.kernels.arrays import Bytes, Codes, Floats, Integers, Words

PADDING = 16
_ROWS = 128
"""Rows whose cells fit into the fastest memory."""

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONES = np.uint64(0x0101010101010101)
_SEVENS = np.uint64(0x7F7F7F7F7F7F7F7F)
_ZEROS = np.uint64(0x3030303030303030)
"""The digit 0 in each byte."""
_LINE_FEED = np.uint64(0x0A0A0A0A0A0A0A0A)
_BYTE = np.uint64(8)
_LONGEST_SHORT = np.uint64(8)
_FAILED = np.inf
"""No cell holds it."""


@njit(cache=True, nogil=True)
def read_cells(
    text: Bytes,
    words: Words,
    separator: int,
    cells: int,
    cut: int,
    mark: int,
    nulls: Words,
    numbers: Integers,
    values: Floats,
    texts: Integers,
    codes: Codes,
    first: Integers,
    counts: Integers,
) -> bool:
    """Read some columns of a block; False if it holds anything that is not plain.

    Parameters
    ----------
    text, words
        As many rows as there are line feeds, one of which is last.
    cells : int
        In each row.
    cut : int
        Bytes between the last cell of a row and its line feed.
    mark : int
        Decimal mark.
    nulls : (u,)
        Texts of at most eight bytes that are no number, at the upper end of a word.
    numbers, texts : (k,), (t,)
        Columns to read.
    values : (k, rows)
        Written: numbers, NaN where there is none.
    codes : (t, rows)
        Written: which of a column's texts it is.
    first : (t, most, 2)
        Written: begin and end of each text's first cell.
    counts : (t,)
        Zeros; written: how many texts there are.
    """
    rows = values.shape[1]
    ends = np.empty(_ROWS * cells + 9, np.int64)
    ends[0] = PADDING - 1
    held = 0
    word = PADDING // 8
    row = 0
    while row < rows:
        held, word = find_ends(words, word, separator, ends, held)
        more = min(held // cells, rows - row)
        for r in range(1, more + 1):
            if text[ends[r * cells]] != 10:
                return False
        if not more:
            return False
        for k in range(len(numbers)):
            less = cut if numbers[k] == cells - 1 else 0
            some = values[k, row : row + more]
            if not read_numbers(text, words, ends, cells, numbers[k], less, mark, nulls, some):
                return False
        for k in range(len(texts)):
            less = cut if texts[k] == cells - 1 else 0
            some_codes = codes[k, row : row + more]
            counts[k] = read_texts(
                words, ends, cells, texts[k], less, some_codes, first[k], counts[k]
            )
            if counts[k] < 0:
                return False
        row += more
        held -= more * cells
        for i in range(held + 1):
            ends[i] = ends[more * cells + i]
    return True


@njit(cache=True, nogil=True)
def find_ends(
    words: Words, word: int, separator: int, ends: Integers, held: int
) -> tuple[int, int]:
    """Find where cells end, at separators and line feeds, until `ends` is full.

    Parameters
    ----------
    word : int
        The first that was not looked at.
    ends : (m,)
        Written from `held` + 1 on.

    Returns
    -------
    held, word : int
    """
    separators = _ONES * np.uint64(separator)
    while word < len(words) and held < len(ends) - 9:
        found = np.uint64(zero_bytes(words[word] ^ separators))
        found |= np.uint64(zero_bytes(words[word] ^ _LINE_FEED))
        while found:
            lowest = found & (~found + np.uint64(1))
            held += 1
            ends[held] = 8 * word + np.int64(bytes_below(lowest))
            found ^= lowest
        word += 1
    return held, word


@njit(cache=True, nogil=True)
def zero_bytes(word: np.uint64) -> np.uint64:
    """Bit 0 of each byte that is 0."""
    return (~(((word & _SEVENS) + _SEVENS) | word | _SEVENS)) >> np.uint64(7)


@njit(cache=True, nogil=True)
def bytes_below(bit: np.uint64) -> np.uint64:
    """How many bytes lie below one bit 0 of a byte; 8 if there is no bit."""
    below = (bit - np.uint64(1)) & _ONES
    return (below * _ONES) >> np.uint64(56)


@njit(cache=True, nogil=True)
def word_before(words: Words, end: int) -> np.uint64:
    """Return the eight bytes before a place in the text."""
    at = (end - 8) >> 3
    shift = np.uint64(8 * (end & 7))
    lower: np.uint64 = words[at] >> shift
    # in two steps, as by 64 bits nothing would be shifted
    upper: np.uint64 = (words[at + 1] << np.uint64(1)) << (np.uint64(63) - shift)
    return lower | upper


@njit(cache=True, nogil=True)
def last_bytes(length: np.uint64) -> np.uint64:
    """Mask of the upper 0 .. 8 bytes of a word."""
    half = np.uint64(32) - np.uint64(4) * length
    return (_ALL << half) << half


# ---------------------------------------------------------------- numbers


@njit(cache=True, nogil=True)
def read_numbers(
    text: Bytes,
    words: Words,
    ends: Integers,
    cells: int,
    column: int,
    cut: int,
    mark: int,
    nulls: Words,
    values: Floats,
) -> bool:
    """Read a column of rows whose cells' ends are known; False if it holds other than numbers.

    Parameters
    ----------
    cut : int
        Bytes between a cell and its end.
    values : (rows,)
        Written.
    """
    rows = len(values)
    lasts, lengths = np.empty(rows, np.uint64), np.empty(rows, np.uint64)
    is_left = np.empty(rows, np.uint64)
    at = column
    for row in range(rows):
        end = ends[at + 1] - cut
        lasts[row] = word_before(words, end)
        lengths[row] = np.uint64(end - ends[at] - 1)
        at += cells
    if not short_decimals(lasts, lengths, mark, values, is_left):
        return True
    for row in range(rows):
        if is_left[row]:
            at = row * cells + column
            value = decimal(text, ends[at] + 1, ends[at + 1] - cut, mark)
            if value == _FAILED and is_null(lasts[row], lengths[row], nulls):
                value = np.nan
            if value == _FAILED:
                return False
            values[row] = value
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def short_decimals(lasts: Words, lengths: Words, mark: int, values: Floats, is_left: Words) -> bool:
    """Read decimals of up to eight bytes without a sign, many at once; say if some are left.

    Parameters
    ----------
    lasts : (n,)
        Eight bytes of text, the last of which are the number.
    lengths : (n,)
        Bytes of the number; 0 for NaN.
    values, is_left : (n,)
        Written: numbers, and 0 or what is no such number.
    """
    any_left = np.uint64(0)
    for i in range(len(lasts)):
        length = lengths[i]
        kept = np.uint64(last_bytes(length))
        digits = (lasts[i] & kept) | (_ZEROS & ~kept)
        point = np.uint64(zero_bytes(digits ^ (_ONES * np.uint64(mark))))
        below = point - np.uint64(1)
        above = ~(below | (point * np.uint64(255)))
        closed = (digits & above) | ((digits & below) << _BYTE) | np.uint64(0x30)
        digits = (closed if point else digits) ^ _ZEROS
        left = (digits | (digits + np.uint64(0x0606060606060606))) & np.uint64(0xF0F0F0F0F0F0F0F0)
        left |= np.uint64(length > _LONGEST_SHORT)
        left |= np.uint64((point != 0) & (length == np.uint64(1)))
        # pairs of digits, of pairs, of fours
        digits = (digits * np.uint64(10) + (digits >> _BYTE)) & np.uint64(0x00FF00FF00FF00FF)
        digits = (digits * np.uint64(100) + (digits >> np.uint64(16))) & np.uint64(
            0x0000FFFF0000FFFF
        )
        digits = (digits * np.uint64(10000) + (digits >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
        # ten to the number of decimals, which is odd, has a 2, has a 4
        scale = 10.0 if point & np.uint64(0x0001000100010001) else 1.0
        scale *= 100.0 if point & np.uint64(0x0000010100000101) else 1.0
        scale *= 10000.0 if point & np.uint64(0x0000000001010101) else 1.0
        # both are whole and below 2**53, so that the quotient is the number as read
        number = np.float64(np.int64(digits)) / scale
        values[i] = number if length else np.nan
        is_left[i] = left
        any_left |= left
    return bool(any_left != 0)


@njit(cache=True, nogil=True, error_model="numpy")
def decimal(text: Bytes, begin: int, end: int, mark: int) -> float:
    """Read a decimal of any length; _FAILED where it is none, or not exact by one division."""
    is_negative = begin < end and text[begin] == 45
    whole = np.int64(0)
    count = decimals = 0
    has_mark = False
    for i in range(begin + is_negative, end):
        digit = np.int64(text[i]) - 48
        if 0 <= digit <= 9:
            whole = 10 * whole + digit
            count += 1
            decimals += has_mark
        elif text[i] == mark and not has_mark:
            has_mark = True
        else:
            return _FAILED
    if not 0 < count <= 18 or whole > 1 << 53:
        return _FAILED
    scale = 1.0
    for _ in range(decimals):
        scale *= 10.0
    return -(whole / scale) if is_negative else whole / scale


@njit(cache=True, nogil=True)
def is_null(last: np.uint64, length: np.uint64, nulls: Words) -> bool:
    """Whether a cell, the last bytes of a word, is one of some texts."""
    if length > _LONGEST_SHORT:
        return False
    cell = last & np.uint64(last_bytes(length))
    is_one = False
    for null in nulls:
        is_one |= cell == null
    return is_one


# ---------------------------------------------------------------- texts


@njit(cache=True, nogil=True)
def read_texts(
    words: Words,
    ends: Integers,
    cells: int,
    column: int,
    cut: int,
    codes: Codes,
    first: Integers,
    count: int,
) -> int:
    """Tell the texts of a column of rows apart; return how many there are, -1 if too many.

    Parameters
    ----------
    cut : int
        Bytes between a cell and its end.
    codes : (rows,)
        Written.
    first : (most, 2)
        Begin and end of each text's first cell; written from `count` on.
    """
    at = column
    code = 0
    for row in range(len(codes)):
        begin, end = ends[at] + 1, ends[at + 1] - cut
        at += cells
        if code == count or not are_same(words, begin, end, first[code, 0], first[code, 1]):
            code = 0
            while code < count and not are_same(words, begin, end, first[code, 0], first[code, 1]):
                code += 1
        if code == count:
            if count == len(first):
                return -1
            first[count, 0], first[count, 1] = begin, end
            count += 1
        codes[row] = code
    return count


@njit(cache=True, nogil=True)
def are_same(words: Words, begin: int, end: int, other_begin: int, other_end: int) -> bool:
    """Whether two cells hold the same bytes."""
    left = end - begin
    if left != other_end - other_begin:
        return False
    while left > 8:
        if word_before(words, end) != word_before(words, other_end):
            return False
        end, other_end, left = end - 8, other_end - 8, left - 8
    apart = word_before(words, end) ^ word_before(words, other_end)
    return bool((apart & last_bytes(np.uint64(left))) == 0)
