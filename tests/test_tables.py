"""Tables: what conforms, what is refused and how it is said, Parquet in and out."""

import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetools.errors import OutputError, SchemaError
from gazetools.tables import (
    BLINKS,
    FIXATIONS,
    QUALITY,
    SACCADES,
    SAMPLES,
    TABLE_VERSION,
    TABLES,
    kind_of,
    read_table,
    schema_of,
    validate_fixations,
    write_table,
    write_tables,
)


def fixations(**changes):
    table = pd.DataFrame(
        {
            "recording": ["r", "r"],
            "subject": "s",
            "trial": 1,
            "stimulus": ["a.jpg", None],
            "order": [1, 2],
            "onset_ms": [0.0, 300.0],
            "duration_ms": [200, 100],
            "x_px": [10.5, 20.0],
            "y_px": [1.0, 2.0],
            "source": "test",
        }
    )
    return table.assign(**changes)


def samples():
    return pd.DataFrame(
        {
            "recording": "r",
            "subject": "s",
            "trial": 1,
            "stimulus": "a",
            "tracker_time_us": [2**52 + 1, 2**52 + 2],
            "t_ms": [0.0, 1.0],
            "x_px": [1.0, np.nan],
        }
    )


# ---------------------------------------------------------------- schemas


def test_columns_get_their_dtypes_and_order():
    table = FIXATIONS.conform(fixations(mine="kept")[["mine", *fixations().columns[::-1]]])
    assert list(table)[:4] == ["recording", "subject", "trial", "stimulus"]
    assert list(table)[-1] == "mine"
    assert table["duration_ms"].dtype == "float64"
    assert table["image_width"].dtype == "Int64"
    assert table["x_im"].isna().all()


def test_a_missing_stimulus_stays_missing():
    assert FIXATIONS.conform(fixations())["stimulus"].isna().tolist() == [False, True]


def test_optional_columns_are_not_made_up():
    assert "left_x_px" not in SAMPLES.conform(samples())


def test_an_empty_table_conforms():
    table = FIXATIONS.conform(fixations().iloc[:0])
    assert len(table) == 0
    assert table["trial"].dtype == "int64"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trial": ["x", "y"]}, "column 'trial' is"),
        ({"trial": [1.0, np.nan]}, "column 'trial' is empty in row 1"),
        ({"trial": [1.0, 1.5]}, "column 'trial' is 1.5 in row 1, expected whole numbers"),
        ({"trial": [1.0, 1e30]}, r"column 'trial' is 1e\+30 in row 1"),
        ({"recording": ["r", None]}, "column 'recording' is empty in row 1"),
        ({"onset_ms": [0.0, np.nan]}, "column 'onset_ms' is empty in row 1"),
        ({"x_px": ["left", "right"]}, "column 'x_px' is .*, expected float64"),
        ({"image_width": [1.5, 2.0]}, "column 'image_width' is float64, expected Int64"),
    ],
)
def test_what_cannot_be_cast_is_named(change, says):
    with pytest.raises(SchemaError, match=says):
        FIXATIONS.conform(fixations(**change))


def test_an_unknown_validity_is_not_valid():
    with pytest.raises(SchemaError, match="'left_valid' is empty in row 1"):
        SAMPLES.conform(samples().assign(left_valid=[True, None]))


def test_a_missing_column_is_named_beside_what_there_is():
    with pytest.raises(SchemaError, match=r"column 'source' is missing; found .*duration_ms"):
        FIXATIONS.conform(fixations().drop(columns="source"))


@pytest.mark.parametrize("duration", [0.0, -1.0, 1e-300, 1e300, np.inf])
def test_durations_are_what_a_tracker_can_measure(duration):
    said = rf"row 1 lasts {re.escape(str(duration))} ms; .* 0.001 to 86,400,000 ms; correct it"
    with pytest.raises(SchemaError, match=said):
        validate_fixations(fixations(duration_ms=[1.0, duration]))
    validate_fixations(fixations(duration_ms=[0.001, 86_400_000]))


def test_a_file_of_fixations_is_valid_or_refused_by_its_name(tmp_path):
    path = tmp_path / "mine.parquet"
    fixations(duration_ms=[200.0, np.inf]).to_parquet(path)
    with pytest.raises(SchemaError, match=rf"^{re.escape(str(path))}: .*row 1 lasts inf ms"):
        read_table(path, FIXATIONS)


def test_a_fixation_is_somewhere():
    with pytest.raises(SchemaError, match="row 1 has neither a screen nor an image position"):
        validate_fixations(fixations(x_px=[1.0, np.nan]))
    validate_fixations(fixations(x_px=np.nan, y_px=np.nan, x_im=1.0, y_im=2.0))


def test_a_place_in_a_scanpath_is_taken_once():
    both_seen = {"stimulus": "a.jpg", "order": [3, 3]}
    with pytest.raises(SchemaError, match=r"row 1 has the subject, .* order of a row before it"):
        validate_fixations(fixations(**both_seen))
    validate_fixations(fixations(**both_seen, trial=[1, 2]))


def test_samples_are_in_the_order_of_time_within_a_recording(tmp_path):
    path = tmp_path / "mine.parquet"
    back = samples().assign(tracker_time_us=[2, 1])
    back.to_parquet(path)
    with pytest.raises(SchemaError, match=r"mine\.parquet: .* row 1 is earlier than .*; sort"):
        read_table(path, SAMPLES)
    back.assign(recording=["r", "other"]).to_parquet(path)
    assert list(read_table(path, SAMPLES)[0]["tracker_time_us"]) == [2, 1]


# ---------------------------------------------------------------- kinds


def required(schema, *, nullable=True):
    return [c.name for c in schema.columns if c.required and (nullable or not c.nullable)]


@pytest.mark.parametrize("schema", TABLES, ids=lambda schema: schema.name)
def test_the_kind_of_a_table_is_told_by_its_columns(schema):
    assert kind_of(schema.empty().columns) is schema
    assert kind_of([*required(schema), "mine", "order", "flags"]) is schema


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (SAMPLES, ["x_px", "left_x_px", "event"]),
        (SAMPLES, []),
        (FIXATIONS, ["x_im", "y_im"]),
        (FIXATIONS, ["stimulus", "x_px", "y_px", "eye"]),
        (SACCADES, ["amplitude_deg"]),
        (SACCADES, ["peak_velocity_deg_s", "eye"]),
        (BLINKS, ["eye"]),
        (BLINKS, ["stimulus"]),
        (QUALITY, []),
        (QUALITY, ["trial", "stimulus", "duration_ms", "fixations"]),
    ],
)
def test_columns_that_may_be_null_may_be_absent(kind, more):
    columns = [*required(kind, nullable=False), *more]
    assert kind_of(columns) is kind
    assert kind_of(columns[::-1]) is kind


def test_columns_of_no_kind_are_refused_beside_the_nearest():
    columns = required(SACCADES)
    columns.remove("onset_ms")
    with pytest.raises(SchemaError, match=r"none of our tables .*as saccades, .* no onset_ms;"):
        kind_of(columns)
    with pytest.raises(SchemaError, match=r"no recording, .*; found none; rename or add columns"):
        kind_of([])


def test_the_footer_goes_before_the_columns(tmp_path):
    path = tmp_path / "f.parquet"
    fixations().to_parquet(path)
    assert schema_of(path) is FIXATIONS
    with_note(path, table="blinks")
    assert schema_of(path) is BLINKS
    with pytest.raises(SchemaError, match=r"f\.parquet: holds a blinks table; expected one of sam"):
        schema_of(path, (SAMPLES, FIXATIONS))
    with_note(path, table=["odd"])
    with pytest.raises(SchemaError, match=r"holds a \['odd'\] table"):
        schema_of(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(SchemaError, match=r"f\.parquet: its columns .*; found a; rename"):
        schema_of(path)


# ---------------------------------------------------------------- Parquet


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "samples.parquet"
    write_table(samples(), path, SAMPLES, provenance={"exports": ["a.tsv"]})
    table, note = read_table(path, SAMPLES)
    pd.testing.assert_frame_equal(table, SAMPLES.conform(samples()))
    assert table["tracker_time_us"].tolist() == [2**52 + 1, 2**52 + 2]
    assert note == {"table": "samples", "version": TABLE_VERSION, "exports": ["a.tsv"]}


def test_a_foreign_parquet_file_is_welcome(tmp_path):
    path = tmp_path / "theirs.parquet"
    fixations().to_parquet(path)
    table, note = read_table(path, FIXATIONS)
    assert note == {}
    assert len(table) == 2


def test_columns_that_were_made_an_index_stay_columns(tmp_path):
    path = tmp_path / "theirs.parquet"
    fixations().set_index(["stimulus", "x_px"]).to_parquet(path)
    table, _ = read_table(path, FIXATIONS)
    pd.testing.assert_frame_equal(table, FIXATIONS.conform(fixations()))


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    (tmp_path / "seed=1").mkdir()
    path = tmp_path / "seed=1" / "fixations.parquet"
    write_table(fixations(), path, FIXATIONS, provenance={})
    assert "seed" not in read_table(path, FIXATIONS)[0]


def with_note(path, **note):
    metadata = {b"gazetools": json.dumps(note).encode()}
    pq.write_table(pa.Table.from_pandas(fixations()).replace_schema_metadata(metadata), path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such file; `gazetools ingest` writes it"),
        (lambda path: path.mkdir(), "is a folder; name a table in it"),
        (lambda path: path.write_bytes(b"PAR1 not really PAR1"), "not a readable Parquet file"),
        (lambda path: path.write_text("trial\n1\n"), "expected a table as `gazetools ingest`"),
        (
            lambda path: with_note(path, table="samples"),
            "holds a samples table, expected fixations",
        ),
        (lambda path: with_note(path, version=99), "table version 99, this gazetools reads up to"),
        (lambda path: fixations()[["trial"]].to_parquet(path), "column 'recording' is missing"),
    ],
)
def test_unreadable_tables_are_named(tmp_path, make, says):
    path = tmp_path / "f.parquet"
    make(path)
    with pytest.raises(SchemaError, match=says) as caught:
        read_table(path, FIXATIONS)
    assert str(caught.value).startswith(str(path))


def test_a_truncated_file_is_not_read(tmp_path):
    path = tmp_path / "f.parquet"
    write_table(fixations(), path, FIXATIONS, provenance={})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SchemaError, match="not a readable Parquet file"):
        read_table(path, FIXATIONS)


def with_raw_note(path, note):
    table = pa.Table.from_pandas(fixations())
    pq.write_table(table.replace_schema_metadata({b"gazetools": note}), path)


@pytest.mark.parametrize(
    "note",
    [b"{", b"\xff", b"[]", b'"a"', b"[" * 100_000, b'{"version": "1"}', b'{"version": null}'],
)
def test_a_note_that_is_none_is_a_schema_error(tmp_path, note):
    path = tmp_path / "f.parquet"
    with_raw_note(path, note)
    with pytest.raises(SchemaError, match=r"f\.parquet: not a readable Parquet file"):
        read_table(path, FIXATIONS)


def test_text_that_is_none_is_a_schema_error(tmp_path):
    table = pa.Table.from_pandas(fixations())
    bad = pa.array([b"\xff"] * 2).cast(pa.string(), safe=False)
    pq.write_table(table.set_column(0, "recording", bad), tmp_path / "f.parquet")
    with pytest.raises(SchemaError, match=r"f\.parquet: not a readable Parquet file .*UTF8"):
        read_table(tmp_path / "f.parquet", FIXATIONS)


def test_a_table_with_any_flipped_bit_is_read_or_a_schema_error(tmp_path):
    path = tmp_path / "f.parquet"
    write_table(fixations(), path, FIXATIONS, provenance={"a": [1]})
    content = bytearray(path.read_bytes())
    begin = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for bit in np.random.default_rng(0).integers(8 * begin, 8 * len(content), 200).tolist():
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            read_table(path, FIXATIONS)
        except SchemaError as error:
            assert str(error).startswith(str(path))  # noqa: PT017
            refused += 1
    assert refused > 20


def test_an_output_is_not_replaced_unasked(tmp_path):
    path = tmp_path / "f.parquet"
    path.write_text("precious")
    with pytest.raises(OutputError, match="already exists; remove it or pass --overwrite"):
        write_table(fixations(), path, FIXATIONS, provenance={})
    assert path.read_text() == "precious"
    write_table(fixations(), path, FIXATIONS, provenance={}, overwrite=True)
    assert len(read_table(path, FIXATIONS)[0]) == 2


def test_of_several_tables_all_are_written_or_none(tmp_path, monkeypatch):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    first.write_text("old")
    open_file = pq.ParquetWriter.__init__

    def full(self, where, *how, **options):
        if "b.parquet" in where.name:
            raise OSError(28, "No space left on device")
        open_file(self, where, *how, **options)

    monkeypatch.setattr(pq.ParquetWriter, "__init__", full)
    todo = [(fixations(), first, FIXATIONS), (fixations(), second, FIXATIONS)]
    with pytest.raises(OutputError, match=r"b\.parquet: cannot be written \(No space left"):
        write_tables(todo, provenance={}, overwrite=True)
    assert first.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
