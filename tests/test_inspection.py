"""Inspection: what a file is, what it lacks, what to do next; and files that nobody knows."""

import gzip
import json
import re
import tomllib

import numpy as np
import pytest
from exports import EXAMPLES, SHEETS, Sheet, prolab
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazetools import readers
from gazetools.errors import FormatError
from gazetools.inspection import Inspection, inspect
from gazetools.readers import READERS, ReadOptions
from gazetools.readers.vendor_events import CUT_OFF

every_reader = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


# ---------------------------------------------------------------- known files


@every_reader
def test_what_is_told_is_what_is_read(reader, tmp_path):
    path = EXAMPLES[reader.name](tmp_path)
    found = inspect(path)
    recordings = readers.read(path)
    assert (found.reader, found.title, found.versions) == (
        reader.name,
        reader.title,
        reader.versions,
    )
    assert (found.problem, found.unknown) == ("", None)
    assert [(one.subject, one.name) for one in found.recordings] == [
        (one.subject, one.name) for one in recordings
    ]
    for facts, recording in zip(found.recordings, recordings, strict=True):
        assert facts.samples == len(recording.samples)
        for table in ("fixations", "saccades", "blinks"):
            assert facts.vendor_events.get(table, 0) == len(getattr(recording, table))
        assert facts.skipped == recording.skipped
        assert facts.screen_px == recording.screen_px
        shown = {*recording.samples["stimulus"], *recording.fixations["stimulus"].dropna()}
        assert set(facts.stimuli) == {name for name in shown if isinstance(name, str)}
    json.dumps(found.as_dict(), allow_nan=False)
    assert found.next_command.startswith("gazetools ingest ")


@every_reader
def test_readers_say_what_they_yield(reader, tmp_path):
    tables = ("samples", "fixations", "saccades", "blinks")
    assert set(reader.yields) <= set(tables)
    recordings = readers.read(EXAMPLES[reader.name](tmp_path))
    given = {name for name in tables for one in recordings if len(getattr(one, name))}
    assert given <= set(reader.yields)


def test_nothing_is_written(tmp_path):
    path = prolab().write(tmp_path / "export.tsv")
    before = path.read_bytes()
    inspect(path)
    assert [p.name for p in tmp_path.iterdir()] == ["export.tsv"]
    assert path.read_bytes() == before


def test_rate_duration_and_eyes(tmp_path):
    path = prolab().write(tmp_path / "export.tsv")
    (facts,) = inspect(path).recordings
    samples = readers.read(path)[0].samples
    times_s = samples["tracker_time_us"].to_numpy() / 1e6
    assert facts.duration_s == pytest.approx(times_s[-1] - times_s[0])
    assert facts.measured_hz == pytest.approx(120, abs=0.1)
    assert facts.eyes == ("left", "right")
    assert facts.eye_positions
    assert facts.vendor_events["labelled samples"] == len(samples)


def test_fixations_that_the_export_cuts_off_are_told_with_the_vendors_events(tmp_path):
    sheet = prolab()
    path = Sheet([sheet.rows[0], *sheet.rows[22:-21]]).write(tmp_path / "cut.tsv")
    (facts,) = inspect(path).recordings
    assert facts.vendor_events["fixations"] == facts.vendor_events[CUT_OFF] == 2
    assert CUT_OFF not in facts.skipped


@pytest.mark.parametrize(
    ("how", "encoding", "compression"),
    [
        ({}, "utf-8", "none"),
        ({"encoding": "utf-16"}, "utf-16", "none"),
        ({"zipped": True}, "utf-8", "gz"),
    ],
)
def test_encoding_and_compression(how, encoding, compression, tmp_path):
    found = inspect(prolab().write(tmp_path / "export", **how))
    assert (found.encoding, found.compression) == (encoding, compression)
    assert found.bytes == (tmp_path / "export").stat().st_size


def test_a_damaged_file_is_known_and_its_problem_told(tmp_path):
    path = prolab().write(tmp_path / "export.tsv")
    text = path.read_text(encoding="utf-8").rstrip("\n")
    path.write_text(text[: text.rindex("\t")], encoding="utf-8")
    found = inspect(path)
    assert found.reader == "tobii-prolab"
    assert "fields" in found.problem
    assert (found.recordings, found.next_command) == ((), "")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        inspect(tmp_path / "none.tsv")


# ---------------------------------------------------------------- what next


def without(sheet, *columns):
    """Leave columns out of a sheet whose names match."""
    keep = [
        i for i, name in enumerate(sheet.rows[0]) if not any(re.search(c, name) for c in columns)
    ]
    rows = [[row[i] for i in keep] for row in sheet.rows]
    return type(sheet)(rows, sheet.separator)


def test_the_next_command_reads_the_file(tmp_path):
    path = prolab().write(tmp_path / "my export.tsv")
    assert inspect(path).next_command == f"gazetools ingest '{path}'"


def test_without_eyes_the_vendors_fixations_are_next(tmp_path):
    sheet = without(prolab(), "Eye position", "Gaze direction")
    found = inspect(sheet.write(tmp_path / "export.tsv"))
    assert found.next_command.endswith("--events vendor")
    assert any("eye positions" in what for what in found.missing)


def test_without_eyes_and_vendor_a_screen_is_next(tmp_path):
    sheet = without(prolab(), "Eye position", "Gaze direction", "Eye movement", "Fixation point")
    found = inspect(sheet.write(tmp_path / "export.tsv"))
    size = found.recordings[0].screen_px
    px = f"{size[0]}x{size[1]}" if size else "WIDTHxHEIGHT"
    assert found.next_command.endswith(f"--screen {px}:WIDTH_MMxHEIGHT_MM:DISTANCE_MM")
    assert any("fixations of the vendor's own" in what for what in found.missing)


def test_fixations_on_images_lack_no_placement(tmp_path):
    found = inspect(EXAMPLES["gazemedseg"](tmp_path))
    assert found.recordings[0].positions == "image px"
    assert found.missing == (
        "raw samples: events cannot be detected, the vendor's own fixations are taken",
    )


# ---------------------------------------------------------------- unknown files

SAMPLES = """participant;t [s];gaze left x;gaze left y;gaze right x;gaze right y;Picture
P01;0,000;0,51;0,48;0,52;0,47;a.png
P01;0,017;0,51;0,48;-1;-1;a.png
P01;0,033;0,50;0,48;0,52;0,47;a.png
P01;0,050;0,50;0,49;0,52;0,47;a.png
"""
FIXATIONS = """# made by a lab's own tool
subj\timage\tFixStart\tFixDuration\tFixX\tFixY
1\ta.png\t0\t210\t400\t300
1\ta.png\t230\t180\t500\t310
1\tb.png\t12\t250\t420\t330
"""


def proposed(text, folder):
    """Recordings of an unknown table, read with the mapping that is proposed for it."""
    path = folder / "table.txt"
    path.write_text(text, encoding="utf-8")
    found = inspect(path)
    assert found.unknown is not None
    assert found.next_command == f"gazetools ingest {path} --mapping mapping.toml"
    mapping = folder / "mapping.toml"
    mapping.write_text(found.unknown.mapping, encoding="utf-8")
    assert inspect(path, ReadOptions(mapping=mapping)).reader == "generic"
    return readers.read(path, ReadOptions(mapping=mapping)), found.unknown


def test_a_mapping_is_proposed_for_samples(tmp_path):
    (recording,), unknown = proposed(SAMPLES, tmp_path)
    assert unknown.separator == "semicolon"
    assert unknown.columns[1] == "t [s]"
    assert recording.subject == "P01"
    assert recording.normalised
    assert recording.samples["tracker_time_us"].tolist() == [0, 17_000, 33_000, 50_000]
    assert recording.samples["right_x_px"].isna().sum() == 1


def test_a_mapping_is_proposed_for_fixations(tmp_path):
    (recording,), unknown = proposed(FIXATIONS, tmp_path)
    assert unknown.separator == "tab"
    assert recording.fixations["duration_ms"].tolist() == [210, 180, 250]
    assert recording.fixations["stimulus"].tolist() == ["a.png", "a.png", "b.png"]
    assert recording.fixations["x_px"].tolist() == [400, 500, 420]


@pytest.mark.parametrize(("unit", "per_s"), [("s", 1), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_the_unit_of_time_is_guessed_by_its_steps(unit, per_s, tmp_path):
    path = tmp_path / "table.csv"
    rows = [f"{i * per_s / 60:.9g},{400 + i},{300 - i}" for i in range(30)]
    path.write_text("\n".join(["time,x,y", *rows]) + "\n", encoding="utf-8")
    mapping = tomllib.loads(inspect(path).unknown.mapping)
    assert mapping["units"] == {"time": unit, "position": "px"}
    assert mapping["columns"] == {"time": "time", "x": "x", "y": "y"}


def centred(folder, *, offset=0.0, code=-9999, scale=1.0):
    path = folder / "table.csv"
    xy = np.random.default_rng(0).normal(offset, [300, 200], (100, 2)) * scale
    xy[::3] = code
    rows = [f"{4 * i},{x:.4f},{y:.4f}" for i, (x, y) in enumerate(xy)]
    path.write_text("\n".join(["time,x,y", *rows]) + "\n", encoding="utf-8")
    return path


def test_negative_positions_are_from_the_centre_of_a_screen_whose_size_is_asked_for(tmp_path):
    path = centred(tmp_path)
    draft = inspect(path).unknown.mapping
    told = tomllib.loads(draft)
    assert (told["origin"], told["y_up"], told["screen"]) == ("centre", True, {})
    assert re.findall(r"# (\w+) = .* needed", draft) == ["width_px", "height_px"]
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(draft, encoding="utf-8")
    with pytest.raises(FormatError, match=r"'screen' is .*expected width_px and height_px"):
        readers.read(path, ReadOptions(mapping=mapping))
    mapping.write_text(re.sub(r"# (\w+_px) = \S+.*", r"\1 = 1000", draft), encoding="utf-8")
    (recording,) = readers.read(path, ReadOptions(mapping=mapping))
    assert recording.samples["x_px"][1:3].median() == pytest.approx(500, abs=500)


def test_negative_shares_need_no_screen(tmp_path):
    draft = tomllib.loads(inspect(centred(tmp_path, scale=1 / 1000)).unknown.mapping)
    assert (draft["origin"], draft["units"]["position"]) == ("centre", "share")
    assert "screen" not in draft


@pytest.mark.parametrize(("width", "unit"), [(2, "norm"), (1, "share"), (1920 / 1080, "height")])
def test_shares_from_the_centre_are_told_by_how_far_they_reach(width, unit, tmp_path):
    path = tmp_path / "table.csv"
    height = 2 if unit == "norm" else 1
    xy = np.random.default_rng(0).uniform(-0.5, 0.5, (100, 2)) * (width, height)
    rows = [f"{4 * i},{x:.4f},{y:.4f}" for i, (x, y) in enumerate(xy)]
    path.write_text("\n".join(["time,x,y", *rows]) + "\n", encoding="utf-8")
    draft = inspect(path).unknown.mapping
    assert tomllib.loads(draft)["units"]["position"] == unit
    assert ("# width_px" in draft) == (unit == "height")


@pytest.mark.parametrize("code", [-1, -9999])
def test_a_code_of_lost_gaze_makes_no_centre(code, tmp_path):
    draft = tomllib.loads(inspect(centred(tmp_path, offset=900, code=code)).unknown.mapping)
    assert "origin" not in draft
    assert draft.get("missing") == ([-1] if code == -1 else None)


def test_lines_above_a_known_header_are_told(tmp_path):
    path = tmp_path / "titled.tsv"
    path.write_text(f"a title\n{prolab().text()}", encoding="utf-8")
    assert "the header seems to be in line 2: remove" in inspect(path).unknown.why


def test_why_each_reader_refuses_a_table_is_told(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n1,2,3\n2,3,4\n", encoding="utf-8")
    why = inspect(path).unknown.why
    assert all(f"{reader.name}: " in why for reader in READERS)
    assert "gazetools inspect" not in why


def test_what_cannot_be_guessed_is_asked_for(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n1,2,3\n2,3,4\n", encoding="utf-8")
    mapping = inspect(path).unknown.mapping
    assert tomllib.loads(mapping)["columns"] == {}
    assert re.findall(r"# (\w+) = .* needed", mapping) == ["time", "x", "y"]


def test_a_table_without_a_header(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("1,2,3\n2,3,4\n3,4,5\n", encoding="utf-8")
    unknown = inspect(path).unknown
    assert unknown.columns == ("1", "2", "3")
    assert tomllib.loads(unknown.mapping)["header_line"] == 0


@pytest.mark.parametrize(
    "content",
    [b"{\n  'a': [1,\n  2,\n  3]\n}\n", b"only text\nin lines\n", b"\x00\x01\x02" * 50, b"", b"x"],
)
def test_what_is_no_table_gets_no_mapping(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    found = inspect(path)
    assert found.unknown.mapping == ""
    assert found.next_command == ""
    assert found.unknown.why


def test_a_terminal_is_not_steered(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\x1b[31mred\x1b[0m,\x07b\n1,2\n3,4\n")
    unknown = inspect(path).unknown
    shown = "".join((*unknown.head, *unknown.columns))
    assert all(c.isprintable() for c in shown)
    assert r"\x1b[31mred" in shown


def test_a_folder_that_nobody_knows(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing\n")
    found = inspect(tmp_path)
    assert found.unknown.head == ("notes.txt",)
    assert found.files == 1


pieces_of_files = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"\t", b";", b",", b"\n", b"1.5", b"x", b"time", b"posposx", b'"', b"\xb5"]
        ),
    ),
    max_size=60,
).map(b"".join)


@settings(max_examples=75, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=pieces_of_files)
def test_any_bytes_can_be_inspected(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    found = inspect(path)
    assert isinstance(found, Inspection)
    if found.unknown is not None and found.unknown.mapping:
        tomllib.loads(found.unknown.mapping)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("name", [b"pos" * 20_000, b"l" * 60_000, b"fixation" * 7000 + b"x"])
@pytest.mark.timeout(10)
def test_long_names_cost_no_time(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(name + b",b\n1,2\n1,2\n")
    inspect(path)


@pytest.mark.timeout(20)
def test_many_columns_cost_no_time(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b",".join(b"x%d" % i for i in range(8000)) + b"\n" + b"1," * 7999 + b"1\n" * 3)
    inspect(path)


@pytest.mark.parametrize("name", sorted(SHEETS))
def test_a_zipped_export_is_told_as_such(name, tmp_path):
    plain = SHEETS[name]().write(tmp_path / "plain")
    zipped = tmp_path / "zipped.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert inspect(zipped).compression == "gz"


# ---------------------------------------------------------------- real data


@pytest.mark.real
def test_every_real_export_can_be_inspected(data_folder):
    told = [inspect(p) for p in sorted((data_folder / "exports").rglob("*")) if p.is_file()]
    assert told
    assert all(one.reader or one.unknown for one in told)
    assert not [one.problem for one in told if one.problem]
