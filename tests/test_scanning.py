"""Scanning of plain blocks: every cell as pyarrow reads it, and all that is not plain refused."""

import numpy as np
import pandas as pd
import pytest
from exports import EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from made_gaze import few

from gazetools.kernels import cells
from gazetools.readers import blocks, read
from gazetools.readers.delimited import iter_columns
from gazetools.readers.layout import Layout
from gazetools.readers.scanning import Scanner, count_lines

PADDING = bytes(cells.PADDING)
NULLS = frozenset(("", "NA", "NaN"))


def scanner(columns, *, separator="\t", numbers=(), texts=(), nulls=NULLS, quoted=False):
    return Scanner(separator, columns, list(numbers), list(texts), nulls, quoted)


def scan(scanner, text, mark="."):
    padded = bytearray(PADDING + text.encode() + PADDING)
    return scanner.scan(padded, text.count("\n"), mark)


# ---------------------------------------------------------------- as pyarrow


whole = st.integers(0, 10**9).map(str)
decimals = st.decimals(-(10**6), 10**6, allow_nan=False, places=4).map(str)
odd_numbers = st.sampled_from(
    [
        *("", "NA", "NaN", "-0", "0", "-.5", ".5", "5.", "007", "0.1", "0.3", "12345678"),
        *("123456789012345", "9007199254740992", "1234567.8", "-9.87654321", "123456.789012"),
        *("0.000000000012345", "-12345.6", ".1234567", "1.234567", "12.34567"),
    ]
)
names = st.sampled_from(
    [
        *("", "NA", "a", "b", "Eye Tracker", "Eye Tracked", "Tobii I-VT (Fixation)", "12345678"),
        *("Grün.jpg", "Grau.jpg", "eye-tracking", "123456789"),
    ]
)
rows = st.lists(st.tuples(whole | odd_numbers, names, decimals | odd_numbers, names), min_size=1)


@settings(max_examples=100, deadline=None)
@given(rows, st.integers(1, 40), st.sampled_from(["\n", "\r\n"]), st.sampled_from("\t;,"))
def test_cells_are_those_of_pyarrow(tmp_path_factory, rows, times, newline, separator):
    path = tmp_path_factory.mktemp("cells") / "export.tsv"
    lines = [separator.join(row) for row in [("n", "t", "m", "u"), *rows * times]]
    path.write_bytes(newline.join([*lines, ""]).encode())
    columns = {"t": "t", "u": "u"}, {"n": "n", "m": "m"}
    for categories in (True, False):
        frames = []
        for is_scanned in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                if not is_scanned:
                    patch.setattr(Scanner, "scan", lambda *_: None)
                layout = Layout(separator, nulls=tuple(NULLS))
                tables = list(iter_columns(path, layout, *columns, categories=categories))
            frames.append(pd.concat([table.frame for table in tables]))
        pd.testing.assert_frame_equal(
            *(frame.astype({"t": "str", "u": "str"}) for frame in frames), check_exact=True
        )
        is_negative = [np.signbit(frame[["n", "m"]].fillna(0)) for frame in frames]
        np.testing.assert_array_equal(*is_negative)
        assert frames[0].dtypes.astype(str).equals(frames[1].dtypes.astype(str))


def test_a_plain_block_is_scanned():
    found = scan(scanner(3, numbers=[2, 0], texts=[1]), "1\tx\t-2.5\n\tNA\t4\n3\ty\tNA\n5\tx\t6\n")
    np.testing.assert_array_equal(found.numbers, [[-2.5, 4, np.nan, 6], [1, np.nan, 3, 5]])
    assert found.codes.tolist() == [[0, -1, 1, 0]]
    assert found.texts == [["x", "y"]]


def test_a_decimal_comma():
    found = scan(scanner(2, numbers=[0, 1]), "1,5\t-22,25\n", mark=",")
    assert found.numbers.tolist() == [[1.5], [-22.25]]


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.startswith("tobii")])
def test_examples_say_the_same_scanned_or_not(example, tmp_path, monkeypatch):
    path = EXAMPLES[example](tmp_path)
    scanned = read(path)
    monkeypatch.setattr(Scanner, "scan", lambda *_: None)
    for one, other in zip(scanned, read(path), strict=True):
        pd.testing.assert_frame_equal(one.samples, other.samples, check_exact=True)
        assert one.skipped == other.skipped


# ---------------------------------------------------------------- block by block


@pytest.mark.parametrize("block_bytes", [40, 64, 1000])
@pytest.mark.parametrize(
    ("encoding", "newline", "decimals"),
    [
        ("utf-8", "\n", "23 24 25.5"),
        ("utf-8-sig", "\r\n", "23 24 25.5"),
        ("utf-8", "\r", "23 24 25.5"),
        ("utf-16", "\n", "23 24 25.5"),
        ("latin-1", "\n", "23 24 25.5"),
        ("utf-8", "\n", "23 24 25,5"),  # nothing but the last block tells the decimal mark
    ],
)
def test_blocks_take_turns_in_one_memory(
    encoding, newline, decimals, block_bytes, tmp_path, monkeypatch
):
    names = ["plain.jpg", "", "a much longer name than the others", "Grün.jpg"]
    lines = ["n\tt", *(f"{i}\t{names[i // 6]}" for i in range(24)), *decimals.split()]
    lines[-3:] = [f"{cell}\tlast" for cell in lines[-3:]]
    path = tmp_path / "export.tsv"
    path.write_bytes(newline.join(lines).encode(encoding))  # and no line feed at the end
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    tables = list(iter_columns(path, Layout("\t"), {"t": "t"}, {"n": "n"}))
    frame = pd.concat([table.frame for table in tables])
    assert frame["n"].tolist() == [*range(24), 23, 24, 25.5]
    assert frame["t"].fillna("").tolist() == [*np.repeat(names, 6), "last", "last", "last"]
    starts = np.cumsum([2, *(len(table.frame) for table in tables)])
    assert [table.first_line for table in tables] == starts[:-1].tolist()


def test_pyarrow_holds_no_block_that_is_to_be_filled_again(tmp_path, monkeypatch):
    """It reads columns of whole numbers, in threads that may outlast their call."""
    path = tmp_path / "export.tsv"
    path.write_bytes(b"n\ti\n" + b"".join(b"%d.5\t%d\n" % (i, i) for i in range(400_000)))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 500_000)
    for _ in range(12):
        tables = iter_columns(path, Layout("\t"), {}, {"n": "n"}, {"i": "i"})
        assert sum(int(table.frame["i"].sum()) for table in tables) == sum(range(400_000))


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    "text",
    [
        "1\tx\n2\n",  # too few cells
        "1\tx\ty\n2\tx\n",  # too many
        "1\tx\ty\n2\n",  # too many, then too few
        "1\n\t2\tx\n",
        "1\tx\n\n2\tx\n",  # a blank line
        "1\tx\n2\tx",  # no end
        "1\tx\r2\tx\n",  # another end
        "1\tx\r\n2\tx\n",
        "1\tx\ry\r\n2\tx\r\n",
        "1..2\tx\n",
        "1.2.\tx\n",
        "1e3\tx\n",
        "+1\tx\n",
        " 1\tx\n",
        "1.2.3\tx\n",
        "1,5\tx\n",
        "-\tx\n",
        ".\tx\n",
        "-.\tx\n",
        "1-2\tx\n",
        "inf\tx\n",
        "0x10\tx\n",
        "9007199254740993\tx\n",  # float64 has no such number
        "1234567890.1234567890\tx\n",
        "١\tx\n",
    ],
)
def test_what_is_not_plain_is_refused(text):
    assert scan(scanner(2, numbers=[0], texts=[1]), text) is None


def test_quotes_are_refused_where_they_have_a_meaning():
    text = '1\t"x\n'
    assert scan(scanner(2, texts=[1], quoted=True), text) is None
    assert scan(scanner(2, texts=[1]), text).texts == [['"x']]


def test_many_different_texts_are_refused():
    text = "".join(f"{i}\tx{i}\n" for i in range(600))
    assert scan(scanner(2, texts=[1]), text) is None
    assert scan(scanner(2, numbers=[0]), text).numbers[0, -1] == 599


def test_nulls_that_cannot_be_told_are_refused():
    assert scan(scanner(1, numbers=[0], nulls=frozenset(("NA",))), "1\n") is None
    assert scan(scanner(1, numbers=[0], nulls=frozenset(("", "not there"))), "1\n") is None


# ---------------------------------------------------------------- kernels


def words(text):
    return np.frombuffer(text, np.uint64, len(text) // 8)


def ways(kernel):
    """A kernel compiled and interpreted, where NumPy would warn of words that overflow."""
    yield kernel
    with np.errstate(over="ignore"):
        yield kernel.py_func


@few
@given(st.text("1a\t\n\x08\x0bé", max_size=60).map(str.encode))
def test_find_ends(text):
    padded = PADDING + text + bytes(-len(text) % 8) + PADDING
    expected = [i for i, byte in enumerate(padded) if byte in b"\t\n"]
    for find_ends in ways(cells.find_ends):
        ends = np.zeros(100, np.int64)
        held, word = find_ends(words(padded), 2, ord("\t"), ends, 0)
        assert word == len(padded) // 8
        assert ends[1 : held + 1].tolist() == expected


@few
@given(st.lists(whole.map(lambda text: text[:8]) | odd_numbers, min_size=1, max_size=20))
def test_short_decimals(texts):
    lasts = words(b"".join(text.encode()[-8:].rjust(8, b"7") for text in texts))
    lengths = np.array([len(text) for text in texts], np.uint64)
    is_plain = [len(text) <= 8 and not set(text) - set("0123456789.") for text in texts]
    expected = [float(text or "nan") for text, plain in zip(texts, is_plain, strict=True) if plain]
    for short_decimals in ways(cells.short_decimals):
        values, is_left = np.empty(len(texts)), np.empty(len(texts), np.uint64)
        any_left = short_decimals(lasts, lengths, ord("."), values, is_left)
        np.testing.assert_array_equal(is_left == 0, is_plain)
        assert any_left == (not all(is_plain))
        np.testing.assert_array_equal(values[is_plain], expected)


@few
@given(st.text("0123456789.-", max_size=22))
def test_decimal(text):
    array = np.frombuffer(text.encode(), np.uint8)
    digits = text.removeprefix("-").replace(".", "", 1)
    is_plain = digits.isdecimal() and len(digits) <= 18 and int(digits) <= 2**53
    for decimal in ways(cells.decimal):
        found = decimal(array, 0, len(text), ord("."))
        assert found == (float(text) if is_plain else np.inf)


@few
@given(st.data())
def test_are_same(data):
    cell = data.draw(st.binary(max_size=30))
    other = data.draw(
        st.just(cell)
        | st.binary(max_size=30)
        | st.just(cell[:-1] + b"x")
        | st.just(b"x" + cell[1:])
    )
    text = PADDING + cell + other
    text += bytes(-len(text) % 8) + PADDING
    places = np.cumsum([len(PADDING), len(cell), len(other)])
    for are_same in ways(cells.are_same):
        assert are_same(words(text), *places[:2], *places[1:]) == (cell == other)


@few
@given(rows, st.integers(1, 30))
def test_a_block_compiled_and_interpreted(rows, times):
    text = "".join("\t".join(row) + "\n" for row in rows * times)
    with pytest.MonkeyPatch.context() as patch:
        found = []
        for read_cells in ways(cells.read_cells):
            patch.setattr("gazetools.readers.scanning.read_cells", read_cells)
            found.append(scan(scanner(4, numbers=[2, 0], texts=[1, 3]), text))
    np.testing.assert_array_equal(found[0].numbers, found[1].numbers)
    np.testing.assert_array_equal(found[0].codes, found[1].codes)
    assert found[0].texts == found[1].texts


def test_lines_are_counted():
    assert count_lines(b"a\nb\n" * 50_000 + b"c") == 100_000
