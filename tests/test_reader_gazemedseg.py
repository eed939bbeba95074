"""GazeMedSeg tables."""

import pytest
from exports import Sheet, assert_same, gazemedseg

from gazetools.errors import FormatError
from gazetools.readers import read
from gazetools.tables import FIXATIONS


def dtypes(table, schema):
    return {c.name: str(table[c.name].dtype) for c in schema.columns if c.name in table}


# ---------------------------------------------------------------- GazeMedSeg


def test_fractions_become_image_px(tmp_path):
    (recording,) = read(gazemedseg().write(tmp_path / "kvasir.csv"))
    found = recording.fixations
    assert recording.name == "kvasir.csv"
    assert found["x_im"].tolist() == [300, 60, 375, 125]
    assert found["y_im"].tolist() == [100, 360, 250, 250]
    assert found["image_width"].tolist() == [600, 600, 500, 500]
    assert found["image_height"].tolist() == [400, 400, 500, 500]
    assert found["trial"].tolist() == [1, 1, 2, 2]
    assert dtypes(found, FIXATIONS)["image_width"] == "Int64"


def test_a_spreadsheet_may_have_saved_it(tmp_path):
    plain, saved = tmp_path / "a" / "g.csv", tmp_path / "b" / "g.csv"
    for path in (plain, saved):
        path.parent.mkdir()
    gazemedseg().write(plain)
    commas = gazemedseg().cells(lambda c: c if c.endswith("jpg") else c.replace(".", ","))
    Sheet(commas.rows, ";").write(saved, newline="\r\n")
    assert_same(read(plain), read(saved))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("CURRENT_FIX_X", "", "'CURRENT_FIX_X' is empty, expected a value"),
        ("IMAGE", "", "'IMAGE' is empty, expected a value"),
        ("IMAGE_WIDTH", "0", "'IMAGE_WIDTH' is 0.0, expected at least 1"),
        ("CURRENT_FIX_DURATION", "-5", "'CURRENT_FIX_DURATION' is -5.0, expected more than 0"),
        ("CURRENT_FIX_INDEX", "1", "'CURRENT_FIX_INDEX' is 1.0, expected a whole number that no"),
        ("CURRENT_FIX_INDEX", "2.5", "'CURRENT_FIX_INDEX' is 2.5, expected a whole number"),
    ],
)
def test_values_that_cannot_be_are_named(name, value, says, tmp_path):
    sheet = gazemedseg()
    sheet.rows[2][sheet.index(name)] = value
    with pytest.raises(FormatError, match=f"g.csv:3: {says}"):
        read(sheet.write(tmp_path / "g.csv"))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "fixations", "stimuli"),
    [
        ("kvasir-seg/kvasir_fixation.csv", 26_832, 1000),
        ("nci-isbi/nci-isbi_fixation.csv", 17_397, 789),
    ],
)
def test_published_gaze(name, fixations, stimuli, data_folder):
    (recording,) = read(data_folder / name)
    found = recording.fixations
    assert len(found) == fixations
    assert found["stimulus"].nunique() == stimuli
    assert found["x_im"].between(0, found["image_width"], inclusive="left").all()
    assert found["y_im"].between(0, found["image_height"], inclusive="left").all()
