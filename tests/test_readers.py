"""Readers: one contract for all of them, and a fuzzer."""

import gzip
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from exports import (
    EXAMPLES,
    NUMBERS,
    SHEETS,
    Sheet,
    assert_same,
    gazemedseg,
    prolab,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazetools.errors import FormatError, GazeToolsError
from gazetools.geometry import Placement
from gazetools.readers import READERS, _head, find_reader, opening, read
from gazetools.readers import gazemedseg as gazemedseg_reader
from gazetools.tables import BLINKS, EVENTS, SACCADES, SAMPLES, validate_fixations

every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
every_sheet = pytest.mark.parametrize("name", SHEETS)


# ---------------------------------------------------------------- the contract


def test_every_reader_has_an_example():
    assert sorted(reader.name for reader in READERS) == sorted(EXAMPLES)


@every_reader
def test_exactly_its_reader_claims_an_example(reader, tmp_path):
    path = EXAMPLES[reader.name](tmp_path)
    head = _head(path)
    assert [other.name for other in READERS if not other.refusal(head)] == [reader.name]
    assert find_reader(path) is reader


@every_reader
def test_results_conform(reader, tmp_path):
    path = EXAMPLES[reader.name](tmp_path)
    recordings = read(path)
    assert recordings
    assert len({(r.subject, r.name) for r in recordings}) == len(recordings)
    for recording in recordings:
        assert recording.format == reader.name
        assert recording.path == path
        samples, fixations = recording.samples, recording.fixations
        pd.testing.assert_frame_equal(samples, SAMPLES.conform(samples))
        pd.testing.assert_frame_equal(fixations, validate_fixations(fixations))
        pd.testing.assert_frame_equal(recording.saccades, SACCADES.conform(recording.saccades))
        pd.testing.assert_frame_equal(recording.blinks, BLINKS.conform(recording.blinks))
        assert not (samples.empty and fixations.empty)
        for table in (samples, fixations):
            assert list(table.index) == list(range(len(table)))
            assert set(table["recording"]) <= {recording.name}
            assert set(table["subject"]) <= {recording.subject}
        assert (samples["tracker_time_us"].diff().dropna() > 0).all()
        for _, trial in samples.groupby("trial"):
            assert (trial["t_ms"].diff().dropna() > 0).all()
            assert trial["stimulus"].nunique() <= 1
        for _, trial in fixations.groupby("trial"):
            assert (trial["onset_ms"].diff().dropna() >= 0).all()
            assert trial["order"].tolist() == list(range(1, len(trial) + 1))
            assert trial["stimulus"].nunique() <= 1
        assert (samples.loc[samples["trial"] > 0, "t_ms"] >= 0).all()
        assert all(isinstance(place, Placement) for place in recording.placements.values())
        assert all(count > 0 for count in recording.skipped.values())
        if "vendor_event" in samples:
            assert set(samples["vendor_event"].dropna()) <= set(EVENTS)


@every_reader
def test_the_title_page_is_filled_in(reader):
    assert reader.title
    assert reader.versions
    module = __import__(reader.read.__module__, fromlist=["READER"])
    assert module.READER is reader
    assert "::\n" in module.__doc__ or "====" in module.__doc__


@every_sheet
def test_a_header_without_rows_holds_nothing(name, tmp_path):
    sheet = SHEETS[name]()
    path = Sheet(sheet.rows[:1], sheet.separator).write(tmp_path / "export")
    with suppress(FormatError):
        assert all(recording.fixations.empty for recording in read(path))


@every_sheet
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("zipped", [False, True])
def test_encodings_say_the_same(name, newline, encoding, zipped, tmp_path):
    sheet = SHEETS[name]()
    plain, other = tmp_path / "a" / "export", tmp_path / "b" / "export"
    plain.parent.mkdir()
    other.parent.mkdir()
    sheet.write(plain)
    sheet.write(other, newline=newline, encoding=encoding, zipped=zipped)
    assert_same(read(plain), read(other))


@every_sheet
def test_quoted_fields_say_the_same(name, tmp_path):
    sheet = SHEETS[name]()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = read(sheet.write(tmp_path / "a" / "export"))
    assert_same(plain, read(sheet.quoted().write(tmp_path / "b" / "export")))


@every_sheet
def test_the_last_line_needs_no_newline(name, tmp_path):
    sheet = SHEETS[name]()
    path = sheet.write(tmp_path / "export")
    before = read(path)
    path.write_text(sheet.text().removesuffix("\n"), encoding="utf-8")
    assert_same(before, read(path))


# ---------------------------------------------------------------- damage, for all formats


@every_sheet
def test_a_line_that_was_cut_is_named(name, tmp_path):
    sheet = SHEETS[name]()
    text = sheet.text()
    cut = text.rstrip("\n").rindex(sheet.separator, 0, text.rstrip("\n").rindex("\n") + 20)
    path = tmp_path / "export"
    path.write_text(text[:cut], encoding="utf-8")
    with pytest.raises(FormatError, match=rf"export:{len(sheet.rows)}: line has \d+ fields"):
        read(path)


@every_sheet
@pytest.mark.parametrize("bad", ["abc", "1;5", "0x1F", "12 34"])
def test_text_where_a_number_is_expected_is_named(name, bad, tmp_path):
    sheet = SHEETS[name]()
    column, _ = NUMBERS[name]
    sheet.rows[3][sheet.index(column)] = bad
    path = sheet.write(tmp_path / "export")
    says = rf"export:4: column {re.escape(repr(column))} holds '{bad}', expected a number; export"
    with pytest.raises(FormatError, match=says):
        read(path)


@every_sheet
@pytest.mark.parametrize("bad", ["inf", "-inf", "1e300", "99999999999999999999"])
def test_numbers_without_end_are_named(name, bad, tmp_path):
    sheet = SHEETS[name]()
    _, column = NUMBERS[name]
    sheet.rows[2][sheet.index(column)] = bad
    path = sheet.write(tmp_path / "export")
    says = rf"export:3: {re.escape(repr(column))} is .*, expected a number up to"
    with pytest.raises(FormatError, match=says):
        read(path)


@every_sheet
def test_a_gz_that_was_cut_is_damaged(name, tmp_path):
    path = SHEETS[name]().write(tmp_path / "export.gz", zipped=True)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"export\.gz: damaged gz \(.*\); copy or export it"):
        read(path)


def test_a_gz_that_was_cut_behind_its_head_is_damaged(tmp_path):
    sheet = prolab()
    rng = np.random.default_rng(0)
    more = [[str(rng.random()) for _ in sheet.rows[0]] for _ in range(400)]
    path = Sheet(sheet.rows + more).write(tmp_path / "export.gz", zipped=True)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"export\.gz: damaged gz"):
        read(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty, expected an eye-tracker export"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary data, expected a text export"),
        (b"\x1f\x8bgarbage", "damaged gz"),
        (b"a,b\n1,2\n", r"no reader knows this file; `gazetools inspect \S+thing` tells why"),
        (b"SR_RESEARCH_COMBINED_FILER\0\1", "an EyeLink EDF, .*convert it with edf2asc"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file, expected a text export; .*`gazetools info`"),
        (b"PAR1\x15\x04\x15R\0", "a Parquet table, expected a text export; .*`gazetools check`"),
        (b"PAR1,PAR2\n1,2\n", r"no reader knows this file; `gazetools inspect"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\0", "an Excel workbook, .*save the sheet as CSV"),
        (b"\n\n\n", "no reader knows this file"),
        (b"\xff\xfe\x00", "no reader knows this file|cannot be"),
        (b"Recording timestamp\tSensor\n1\tEye Tracker\n", ":1: no columns 'Gaze point X'"),
    ],
)
def test_what_is_no_export_is_refused(content, says, tmp_path):
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=says) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(FormatError, match="no reader knows this folder"):
        read(tmp_path)
    with pytest.raises(FormatError, match="no such file"):
        read(tmp_path / "absent")
    with pytest.raises(FormatError, match="not a regular file"):
        read(Path("/dev/null"))


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("above", [("",), ("Export of project X", "by hand, for a; b")])
def test_lines_above_the_header_are_named(above, newline, tmp_path):
    path = tmp_path / "titled.tsv"
    path.write_text(newline.join((*above, prolab().text(newline))), encoding="utf-8", newline="")
    with pytest.raises(FormatError, match=rf"in line {len(above) + 1}: remove the lines above"):
        read(path)


def test_of_a_folder_what_can_be_read_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    (tmp_path / "b.txt").write_text("notes\n")
    with pytest.raises(FormatError, match="nor what is in it; `gazetools formats`"):
        read(tmp_path)
    inner = tmp_path / "deep" / "recordings"
    inner.mkdir(parents=True)
    prolab().write(inner / "export.tsv")
    with pytest.raises(FormatError, match=r"one by one, as \S+/deep/recordings/export\.tsv$"):
        read(tmp_path)
    prolab().write(tmp_path / "z.tsv")
    with pytest.raises(FormatError, match=r"one by one, as \S+/z\.tsv$"):
        read(tmp_path)


def test_a_folder_that_is_read_goes_before_its_files(tmp_path):
    EXAMPLES["pupil-neon"](tmp_path / "session")
    with pytest.raises(FormatError, match=r"one by one, as \S+/session$"):
        read(tmp_path)


def test_two_claims_are_an_error(tmp_path, monkeypatch):
    path = gazemedseg().write(tmp_path / "g.csv")
    twins = (gazemedseg_reader.READER, gazemedseg_reader.READER)
    monkeypatch.setattr("gazetools.readers.READERS", twins)
    with pytest.raises(FormatError, match=r"claimed by more than one reader \(gazemedseg, gaze"):
        read(path)


@pytest.mark.parametrize("shift", range(4))
def test_a_letter_cut_in_two_by_the_end_of_the_head_is_still_utf8(shift, tmp_path):
    sheet = gazemedseg().filled("IMAGE", lambda name: "ü" * opening.HEAD_BYTES + "x" * shift)
    sheet.rows[0][0] = "IMAGE"
    path = sheet.write(tmp_path / "g.csv")
    path.write_bytes(path.read_bytes().replace(b"IMAGE,", b"IMAGE" + b"," + b"x" * shift + b",", 1))
    head = path.read_bytes()[: opening.HEAD_BYTES]
    assert opening.encoding_of(path, head) == "utf-8"


@pytest.mark.parametrize("name", ["Müller", "cœur – l’œil … 5 €"])
def test_the_latin_1_of_windows_is_read(name, tmp_path):
    sheet = gazemedseg().filled("IMAGE", lambda image: f"{name}_{image}")
    (recording,) = read(sheet.write(tmp_path / "g.csv", encoding="cp1252"))
    assert set(recording.fixations["stimulus"]) == {f"{name}_a.jpg", f"{name}_b.jpg"}


def test_bytes_that_windows_has_no_letter_for_keep_names_apart(tmp_path):
    sheet = gazemedseg().filled("IMAGE", lambda image: {"a.jpg": "\x81", "b.jpg": "\x8d"}[image])
    (recording,) = read(sheet.write(tmp_path / "g.csv", encoding="latin-1"))
    assert recording.fixations["stimulus"].nunique() == 2


# ---------------------------------------------------------------- fuzz


TOKENS = [
    b"\t",
    b",",
    b"\n",
    b"\r",
    b'"',
    b"\0",
    b"\xff",
    b"-",
    b"NA",
    b"inf",
    b"1e99",
    b".",
    b"\x0b",
]


@st.composite
def mutations(draw, content):
    """A few bytes changed, cut out, doubled or put in."""
    for _ in range(draw(st.integers(1, 4))):
        # the header, and what it makes of the rest, is most of what can go wrong
        limit = draw(st.sampled_from([200, len(content)]))
        at = draw(st.integers(0, max(0, min(limit, len(content)) - 1)))
        length = draw(st.integers(0, 8))
        token = draw(st.sampled_from(TOKENS) | st.binary(max_size=3))
        content = content[:at] + token + content[at + length :]
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return content


@every_reader
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_exports_are_read_or_refused(reader, data, tmp_path):
    folder = tmp_path / "export"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = EXAMPLES[reader.name](folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    victim = data.draw(st.sampled_from(files))
    content = victim.read_bytes()
    content = content[: content.find(b"\n", 4000) + 1] or content
    if data.draw(st.integers(0, 2)) == 0 and not content.startswith(b"\x1f\x8b"):
        content = content.decode().encode("utf-16")
    content = data.draw(mutations(content))
    victim.write_bytes(gzip.compress(content) if data.draw(st.booleans()) else content)
    try:
        recordings = read(path)
    except GazeToolsError as error:
        if str(path) not in str(error):
            raise
        return
    for recording in recordings:
        SAMPLES.conform(recording.samples)
        validate_fixations(recording.fixations)
        SACCADES.conform(recording.saccades)
        BLINKS.conform(recording.blinks)


# ---------------------------------------------------------------- real exports


BESIDE_OTHERS = ("_blinks.csv", "_surface_positions.csv", ".json")
"""Files that are read together with others, not by themselves."""


@pytest.mark.real
def test_every_real_export_is_read_by_one_reader(data_folder):
    files = sorted(file for file in (data_folder / "exports").rglob("*") if file.is_file())
    for path in files:
        if path.name.endswith(BESIDE_OTHERS):
            with pytest.raises(FormatError, match="no reader knows this file"):
                read(path)
            continue
        assert sum(not reader.refusal(_head(path)) for reader in READERS) == 1, path.name
        recordings = read(path)
        assert sum(len(r.samples) + len(r.fixations) for r in recordings) > 0, path.name
        for recording in recordings:
            assert (recording.samples["tracker_time_us"].diff().dropna() > 0).all(), path.name
            validate_fixations(recording.fixations)
