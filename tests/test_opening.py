"""Bytes of an export: gz, zip, bombs, encodings, ends of lines, names of files."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import pytest
from exports import EXAMPLES, SHEETS, assert_same, gazemedseg

from gazetools.errors import FormatError
from gazetools.readers import opening, read
from gazetools.readers.delimited import read_columns
from gazetools.readers.layout import Layout

HEADER, ROW = (line.encode() for line in gazemedseg().text().splitlines(keepends=True)[:2])
EXPORT = gazemedseg().text().encode()


@pytest.fixture
def export(tmp_path):
    """Write bytes as an export."""

    def write(content, name="g.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def zip_of(*members, how=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def stimuli(path):
    (recording,) = read(path)
    return recording.fixations["stimulus"].tolist()


# ---------------------------------------------------------------- zip


@pytest.mark.parametrize(
    "members",
    [
        [("a.csv", EXPORT)],
        [("../../a.csv", EXPORT)],
        [("d/", b""), ("d/a.csv", EXPORT)],
        [("a.csv", EXPORT), ("__MACOSX/._a.csv", b"\0\5\x16\7")],
    ],
    ids=["plain", "outside", "in a folder", "by a Mac"],
)
def test_a_zip_of_one_file_is_read_and_writes_nothing(members, export):
    path = export(zip_of(*members), "g.zip")
    assert_same_fixations(path, export(EXPORT))
    assert sorted(p.name for p in path.parent.iterdir()) == ["g.csv", "g.zip"]


def assert_same_fixations(path, plain):
    (found,), (expected,) = read(path), read(plain)
    columns = ["trial", "stimulus", "onset_ms", "duration_ms", "x_im", "y_im"]
    assert found.fixations[columns].equals(expected.fixations[columns])


def encrypted():
    """Set the bit that says so; what follows need not be."""
    content = bytearray(zip_of(("a.csv", EXPORT)))
    for at in (6, content.find(b"PK\x01\x02") + 8):
        content[at] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (zip_of(("a.csv", EXPORT), ("b.csv", EXPORT)), "a zip of 2 files, expected one; unzip"),
        (
            zip_of(("[Content_Types].xml", b"<x/>"), ("xl/workbook.xml", b"<x/>")),
            "an Excel workbook, expected a text export; save the sheet as CSV or tab-separated",
        ),
        (
            zip_of(("mimetype", b""), ("META-INF/manifest.xml", b"<x/>")),
            "an OpenDocument workbook, expected a text export; save the sheet",
        ),
        (zip_of(("d/", b"")), "a zip of 0 files, expected one"),
        (encrypted(), "cannot be unzipped .*password.*; unzip it first"),
        (zip_of(("a.csv", EXPORT), how=zipfile.ZIP_BZIP2), "another method than deflate; unzip"),
        (zip_of(("a.csv", EXPORT), how=zipfile.ZIP_LZMA), "another method than deflate; unzip"),
        (zip_of(("a.csv", EXPORT))[:200], "damaged zip"),
        (
            zip_of(("a.csv", EXPORT), how=zipfile.ZIP_STORED).replace(b",", b";"),
            "damaged zip .*CRC",
        ),
        (gzip.compress(EXPORT) + b"more", "damaged gz"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(gzip.compress(EXPORT)), "binary data"),
    ],
)
def test_what_cannot_be_unzipped_is_refused(content, says, export):
    path = export(content, "g.zip")
    with pytest.raises(FormatError, match=rf"g\.zip: .*{says}"):
        read(path)


# ---------------------------------------------------------------- bombs


def bomb(rows=600_000):
    """Zip 35 MB of one row, a few hundred times smaller."""
    return gzip.compress(HEADER + ROW * rows)


@pytest.fixture
def small(monkeypatch):
    """Take what unzips to a mebibyte for a possible bomb already."""
    monkeypatch.setattr(opening, "_ALWAYS_UNZIPPED", 2**20)


def blocks(path):
    with opening.open_bytes(path) as stream:
        yield from iter(lambda: stream.read(2**16), b"")


def unzipped(path):
    return sum(map(len, blocks(path)))


def test_a_bomb_is_refused_before_it_is_unzipped(export, small):
    path = export(bomb(), "g.csv.gz")
    with pytest.raises(FormatError, match=r"over 200 times its size.*GAZETOOLS_MAX_UNZIP_RATIO=2"):
        read(path)
    given: list[bytes] = []
    with pytest.raises(FormatError, match="bombs"):
        given.extend(blocks(path))
    assert len(given) < 4 * 2**20 / 2**16


def test_a_zipped_bomb_is_refused(export, small):
    with pytest.raises(FormatError, match="over 200 times its size"):
        read(export(zip_of(("a.csv", HEADER + ROW * 600_000)), "g.zip"))


def test_a_bomb_is_read_if_it_is_trusted(export, small, monkeypatch):
    path = export(bomb(), "g.csv.gz")
    monkeypatch.setenv(opening.MAX_RATIO_VARIABLE, "2000")
    assert unzipped(path) == len(HEADER) + 600_000 * len(ROW)


def test_an_export_of_usual_density_is_no_bomb(export, small):
    rows = [ROW.rstrip() + str(number * 7919).encode() + b"\n" for number in range(60_000)]
    content = HEADER + b"".join(rows)
    assert unzipped(export(gzip.compress(content), "g.csv.gz")) == len(content) > 2**20


@pytest.mark.parametrize("said", ["much", "0", "-5", "nan"])
def test_a_ratio_that_is_none_is_named(said, export, monkeypatch):
    monkeypatch.setenv(opening.MAX_RATIO_VARIABLE, said)
    path = export(gzip.compress(EXPORT), "g.csv.gz")
    with pytest.raises(FormatError, match=rf"g\.csv\.gz.*GAZETOOLS_MAX_UNZIP_RATIO is '{said}'"):
        read(path)


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize(("order", "mark"), [("le", b"\xff\xfe"), ("be", b"\xfe\xff")])
def test_utf_16_of_both_orders(name, order, mark, tmp_path):
    text = SHEETS[name]().text()
    plain, other = tmp_path / "a" / "export", tmp_path / "b" / "export"
    for path, content in ((plain, text.encode()), (other, mark + text.encode(f"utf-16-{order}"))):
        path.parent.mkdir()
        path.write_bytes(content)
    assert_same(read(plain), read(other))


def test_utf_16_that_was_cut_is_damaged(export):
    path = export(EXPORT.decode().encode("utf-16")[:-1])
    with pytest.raises(FormatError, match="not text in UTF-16"):
        read(path)


def test_utf_16_without_a_mark_is_refused(export):
    with pytest.raises(FormatError, match="binary data"):
        read(export(EXPORT.decode().encode("utf-16-le")))


def late(name):
    """Rows whose first letter with an accent comes behind the head."""
    image, _, rest = ROW.split(b",", 2)
    rows = [b"%s,%d,%s" % (image, i, rest) for i in range(opening.HEAD_BYTES // len(ROW) + 2)]
    return HEADER + b"".join(rows) + ROW.replace(image, name)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_an_accent_behind_the_head_tells_the_encoding(encoding, export):
    assert stimuli(export(late("Müller – 1.jpg".encode(encoding))))[-1] == "Müller – 1.jpg"


def test_what_is_not_utf_8_behind_a_mark_of_utf_8_is_refused(export):
    path = export(b"\xef\xbb\xbf" + late(b"M\xfcller.jpg"))
    with pytest.raises(FormatError, match="not text in UTF-8, unlike its beginning"):
        read(path)


@pytest.mark.parametrize("name", SHEETS)
@pytest.mark.parametrize("newline", ["\r", "\r\n"])
def test_ends_of_lines_of_old_macs_and_windows(name, newline, tmp_path):
    plain, other = tmp_path / "a" / "export", tmp_path / "b" / "export"
    for path, end in ((plain, "\n"), (other, newline)):
        path.parent.mkdir()
        path.write_bytes(SHEETS[name]().text(end).encode())
    assert_same(read(plain), read(other))


def test_many_lines_may_end_in_a_carriage_return_alone(export):
    path = export((HEADER + ROW * (2**20 // len(ROW) + 2)).replace(b"\n", b"\r"))
    table = read_columns(path, Layout(","), {}, {"x": "CURRENT_FIX_X"})
    assert len(table.frame) == 2**20 // len(ROW) + 2


def test_nul_bytes_are_no_text(export):
    with pytest.raises(FormatError, match="binary data"):
        read(export(EXPORT.replace(b"1", b"\0", 1)))
    with pytest.raises(FormatError, match=r"g\.csv:\d+: line has 1 fields"):
        read(export(late(b"a.jpg") + b"\0\0\n"))


# ---------------------------------------------------------------- long lines, many columns


def test_a_line_beyond_a_mebibyte_is_refused(export):
    with pytest.raises(FormatError, match="a line of over 1048576 bytes, expected rows of cells"):
        read(export(HEADER + b"x" * 20_000_000))


def test_columns_of_one_name_are_told_apart_in_good_time(export):
    count = 20_000
    names = ["a", *(str(number) for number in range(count)), "a"]
    path = export(f"{','.join(names)}\n{','.join(map(str, range(count + 2)))}\n".encode())
    layout = Layout(",", names=tuple(names))
    table = read_columns(path, layout, {}, {"value": "a"})
    assert table.frame["value"].tolist() == [0]


# ---------------------------------------------------------------- names, permissions


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_name_that_is_no_text_is_refused(name, tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xfcller"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 only")
    path = EXAMPLES[name](folder)
    with pytest.raises(FormatError, match="not UTF-8; rename"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files on Windows")
def test_a_folder_of_pipes_and_loops_is_refused(tmp_path):
    os.mkfifo(tmp_path / "gaze.csv")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "sub-1_physio.tsv.gz").mkdir()
    with pytest.raises(FormatError, match="no reader knows this folder"):
        read(tmp_path)
    with pytest.raises(FormatError, match="no such file"):
        read(tmp_path / "itself")


def test_what_the_system_does_not_let_us_see_is_refused(export, monkeypatch):
    path = export(EXPORT)

    def forbidden(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", forbidden)
    with pytest.raises(FormatError, match=r"g\.csv: cannot be read \(Permission denied\)"):
        read(path)
    monkeypatch.undo()
    monkeypatch.setattr(Path, "exists", forbidden)
    with pytest.raises(FormatError, match=r"g\.csv: cannot be read \(Permission denied\)"):
        read(path)
