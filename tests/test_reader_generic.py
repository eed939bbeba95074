"""Tables that a TOML describes: what it may say, and what is said of mistakes in it."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from exports import generic
from hypothesis import given, settings
from hypothesis import strategies as st

from gazetools.errors import FormatError
from gazetools.readers import ReadOptions, read
from gazetools.readers import generic as reader
from gazetools.readers.generic_mapping import COLUMNS, KEYS
from gazetools.readers.recording import Head
from gazetools.tables import SAMPLES, validate_fixations

EXAMPLE = Path(__file__).parents[1] / "examples" / "mapping.toml"


@pytest.fixture
def mapped(tmp_path):
    """Read a table by a mapping, both given as text."""

    def read_by(table, mapping):
        path, toml = tmp_path / "lab.csv", tmp_path / "mapping.toml"
        path.write_text(table, encoding="utf-8")
        toml.write_text(mapping, encoding="utf-8")
        return read(path, ReadOptions(mapping=toml))

    return read_by


# ---------------------------------------------------------------- samples


def test_the_documented_example(tmp_path):
    (recording,) = read(generic.samples(tmp_path), ReadOptions(mapping=EXAMPLE))
    samples = recording.samples
    assert (recording.subject, recording.name) == ("P01", "lab")
    assert samples["tracker_time_us"].tolist() == [0, 4000, 8000, 12000, 16000, 20000]
    assert samples["trial"].tolist() == [1, 1, 1, 1, 2, 2]
    assert samples["stimulus"].tolist() == ["a.jpg"] * 4 + ["b.jpg"] * 2
    assert samples["left_x_px"].iloc[0] == 480
    assert samples["left_y_px"].iloc[0] == 270  # from the bottom
    assert samples["x_px"].iloc[[0, 2]].tolist() == pytest.approx([489.6, 537.6])
    assert samples["x_px"].isna().tolist() == [False, False, False, True, True, False]
    assert samples["right_pupil_mm"].iloc[0] == 3.2
    assert recording.screen is not None
    assert recording.about["decimal mark"] == ","
    assert recording.skipped == {
        "other rows": 1,
        "repeated or backward times (rate_hz in the mapping would spread them)": 1,
    }


def test_the_example_names_every_key():
    told = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    text = EXAMPLE.read_text(encoding="utf-8") + (reader.__doc__ or "")
    for key in KEYS:
        assert key in told or key in text
    for column in (*COLUMNS["samples"], *COLUMNS["fixations"]):
        assert re.search(rf"\b{column}\b", text), column


SHORT = 'kind = "samples"\n[columns]\ntime = "t"\nx = "x"\ny = "y"\n'
TABLE = "t,x,y\n0,10,20\n4,11,21\n8,12,22\n"
SCREEN = "[screen]\nwidth_px = 200\nheight_px = 100\n"
MM = "width_mm = 400\nheight_mm = 300\ndistance_mm = 500\n"


@pytest.mark.parametrize(
    ("top", "units", "screen", "x", "y"),
    [
        ("", "norm", SCREEN, 1100, -950),
        ("", "norm", "", 5.5, -9.5),
        ("", "height", SCREEN, 1100, -1950),
        ("", "px", "", 10, 20),
        ('origin = "bottom-left"\n', "px", SCREEN, 10, 80),
        ('origin = "centre"\n', "px", SCREEN, 110, 30),
        ('origin = "centre"\ny_up = false\n', "px", SCREEN, 110, 70),
        ("", "mm", SCREEN + MM, 5, 20 / 3),
        ("", "share", "", 10, 20),
        ("", "share", SCREEN, 2000, 2000),
        ('origin = "bottom-left"\n', "share", "", 10, -19),
        ("missing = [10]\n", "px", "", None, None),
    ],
)
def test_units_and_origins(top, units, screen, x, y, mapped):
    (recording,) = mapped(TABLE, f'{top}{SHORT}[units]\nposition = "{units}"\n{screen}')
    first = recording.samples.iloc[0]
    if x is None:
        assert pd.isna(first["x_px"])
        assert pd.isna(first["y_px"])
    else:
        assert (first["x_px"], first["y_px"]) == pytest.approx((x, y))
    assert recording.normalised == (units in ("share", "norm") and not screen)


def test_degrees_are_from_the_middle_and_up(mapped):
    (recording,) = mapped(
        "t,x,y\n0,0,0\n4,10,10\n", f'{SHORT}[units]\nposition = "deg"\n{SCREEN}{MM}'
    )
    samples = recording.samples
    assert samples[["x_px", "y_px"]].iloc[0].tolist() == [100, 50]
    assert samples["x_px"].iloc[1] > 100
    assert samples["y_px"].iloc[1] < 50


@pytest.mark.parametrize(("unit", "step"), [("s", 4e6), ("ms", 4000), ("us", 4), ("ns", 0)])
def test_units_of_time(unit, step, mapped):
    (recording,) = mapped(TABLE, f'{SHORT}[units]\ntime = "{unit}"\n')
    times = recording.samples["tracker_time_us"]
    assert times.tolist() == ([0, step, 2 * step] if step else [0])


def test_nanoseconds_are_exact(mapped):
    start = 1_700_000_000_123_456_000
    table = f"t,x,y\n{start},1,2\n{start + 4000},1,2\n"
    (recording,) = mapped(table, f'{SHORT}[units]\ntime = "ns"\n')
    assert recording.samples["tracker_time_us"].tolist() == [start // 1000, start // 1000 + 4]


def test_a_rate_will_do_for_a_clock(mapped):
    (recording,) = mapped(
        "10 20\n11 21\n",
        'kind = "samples"\nrate_hz = 250\nheader_line = 0\nseparator = " "\n'
        "[columns]\nx = 1\ny = 2\n",
    )
    assert recording.samples["tracker_time_us"].tolist() == [0, 4000]
    assert recording.fixed_rate_hz == 250


@pytest.mark.parametrize(
    ("rule", "seen"),
    [
        ("at_least = 0.5", [True, False, True]),
        ("at_most = 0.5", [False, True, False]),
        ("is = [0.25, 1]", [True, True, False]),
        ('is = ["1", "0.75"]', [True, False, True]),
    ],
)
def test_validity(rule, seen, mapped):
    (recording,) = mapped(
        "t,x,y,c\n0,1,2,1\n4,1,2,0.25\n8,1,2,0.75\n", f'{SHORT}[valid]\ncolumn = "c"\n{rule}\n'
    )
    assert recording.samples["x_px"].notna().tolist() == seen


def test_validity_of_each_eye(mapped):
    (recording,) = mapped(
        "t,lx,ly,rx,ry,lv,rv\n0,1,2,3,4,0,4\n4,1,2,3,4,4,4\n8,1,2,3,4,0,0\n",
        'kind = "samples"\n[columns]\ntime = "t"\nleft_x = "lx"\nleft_y = "ly"\nright_x = "rx"\n'
        'right_y = "ry"\n[valid]\nleft = "lv"\nright = "rv"\nis = [0, 1]\n',
    )
    samples = recording.samples
    assert samples["x_px"].iloc[[0, 2]].tolist() == [1, 2]
    assert samples["left_valid"].tolist() == [True, False, True]
    assert samples["right_valid"].tolist() == [False, False, True]


KINDS = '[rows]\ncolumn = "kind"\nis = ["GAZE", 7]\n'
LOG = "kind,t,x,y\nmsg,0,0,0\ngaze,0,1,2\nmsg,4,0,0\ngaze,4,3,4\nmsg,99,0,0\ngaze,8,5,6\n"
ONLY_GAZE = f'{SHORT}[rows]\ncolumn = "kind"\nis = ["gaze", "late"]\n'
COMMENTED = (
    'kind = "samples"\ncomment = "#"\nheader_line = 0\nrate_hz = 9\n[columns]\nx = 1\ny = 2\n'
)


def test_other_rows_displace_no_sample(mapped):
    (recording,) = mapped(LOG, ONLY_GAZE)
    assert recording.samples["tracker_time_us"].tolist() == [0, 4000, 8000]
    assert recording.samples["x_px"].tolist() == [1, 3, 5]
    assert recording.skipped == {"other rows": 3}


@pytest.mark.parametrize(
    ("codes", "x"), [('["1"]', [1]), ("[1.0, 2]", [1, 3]), ('[""]', [5]), ('["", "2"]', [3, 5])]
)
def test_rows_are_chosen_by_texts_numbers_and_empty_cells(codes, x, mapped):
    table = "c,t,x,y\n1,0,1,2\n2,4,3,4\n,8,5,6\nend,12,7,8\n"
    (recording,) = mapped(table, f'{SHORT}[rows]\ncolumn = "c"\nis = {codes}\n')
    assert recording.samples["x_px"].tolist() == x


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_other_rows_may_hold_whatever_there_is_instead_of_numbers(unit, mapped):
    log = "kind;t;x;y\nmsg;soon;hello;1,5.2\ngaze; 0;1,5;2\nmsg;;1e99;\ngaze;8;;-4e-1\n"
    (recording,) = mapped(
        log, f'{SHORT}[units]\ntime = "{unit}"\n[rows]\ncolumn = "kind"\nis = ["gaze"]\n'
    )
    assert recording.samples["x_px"].iloc[0] == 1.5
    assert recording.about["decimal mark"] == ","
    assert recording.skipped["other rows"] == 2


def test_numbers_are_the_same_whether_other_rows_stand_between_or_not(mapped):
    numbers = ["0.1", "+3", "1e-3", "7.", ".5", "NA", "", "123456789.123456789"]
    rows = "".join(f"{4 * i},{number},1\n" for i, number in enumerate(numbers))
    (alone,) = mapped(f"t,x,y\n{rows}", SHORT)
    between = "t,x,y,kind\n" + rows.replace(",1\n", ",1,gaze\n0,0,?,msg\n")
    (chosen,) = mapped(between, f'{SHORT}[rows]\ncolumn = "kind"\nis = ["gaze"]\n')
    pd.testing.assert_frame_equal(alone.samples, chosen.samples)


def test_rows_are_chosen_without_a_header(mapped):
    (recording,) = mapped(
        "msg;0;0\ngaze;10;20\ngaze;11;21\n",
        'kind = "samples"\nrate_hz = 250\nheader_line = 0\n[columns]\nx = 2\ny = 3\n'
        '[rows]\ncolumn = 1\nis = ["gaze"]\n',
    )
    assert recording.samples["tracker_time_us"].tolist() == [0, 4000]


def test_other_rows_are_no_recording_and_no_fixation(mapped):
    first, second = mapped(
        "row,who,on,len,x,y\nmsg,,0,9,1,1\nfix,a,0,9,1,2\nfix,b,0,9,3,4\nmsg,b,9,9,0,0\n",
        'kind = "fixations"\n[columns]\nsubject = "who"\nonset = "on"\nduration = "len"\n'
        'x = "x"\ny = "y"\n[rows]\ncolumn = "row"\nis = ["fix"]\n',
    )
    assert [(r.subject, len(r.fixations)) for r in (first, second)] == [("a", 1), ("b", 1)]
    assert (first.skipped, second.skipped) == ({"other rows": 2}, {})


def test_other_rows_may_be_shorter_and_damaged_ones_may_not(mapped):
    log = "t\tkind\tx\ty\n0\tgaze\t10\t20\nMSG\t2\tgo\n4\tgaze\t11\t21\nend\n"
    mapping = f'{SHORT}[rows]\ncolumn = "kind"\nis = ["gaze"]\n'
    (recording,) = mapped(log, mapping)
    assert recording.samples["x_px"].tolist() == [10, 11]
    assert recording.skipped == {"other rows": 2}
    with pytest.raises(FormatError, match="line has 3 fields, expected 4"):
        mapped(log.replace("\t21", ""), mapping)


def test_short_rows_of_a_log_are_told_apart_once_for_each_kind(mapped, monkeypatch):
    calls = Counter()

    def counted(values, codes):
        calls[len(values)] += 1
        return is_one_of(values, codes)

    is_one_of = reader._is_one_of
    monkeypatch.setattr(reader, "_is_one_of", counted)
    log = "t\tkind\tx\ty\n0\tgaze\t10\t20\n" + "0\tMSG\tgo\n0\tKEY\n" * 100
    (recording,) = mapped(log, f'{SHORT}[rows]\ncolumn = "kind"\nis = ["gaze"]\n')
    assert recording.skipped == {"other rows": 200}
    assert calls[1] <= 3


def test_blanks_about_names_and_texts_mean_nothing(mapped):
    table = "t, x , y, n\n0, 10, 20, a.jpg\n4, 11, 21, a.jpg \n8, 12, 22, \n"
    (recording,) = mapped(table, f'{SHORT}stimulus = "n"\n')
    assert recording.samples["x_px"].tolist() == [10, 11, 12]
    assert recording.samples["stimulus"].fillna("none").tolist() == ["a.jpg", "a.jpg", "none"]
    assert recording.samples["trial"].tolist() == [1, 1, 0]
    (recording,) = mapped(table, f'{SHORT}[rows]\ncolumn = "n"\nis = ["a.jpg"]\n')
    assert recording.samples["x_px"].tolist() == [10, 11]


def test_stamps_that_repeat_often_are_said_to_be_spread_by_a_rate(mapped):
    table = "t,x,y\n" + "".join(f"{i // 2},{i},0\n" for i in range(20))
    (lossy,) = mapped(table, SHORT)
    assert lossy.skipped == {
        "repeated or backward times (rate_hz in the mapping would spread them)": 10
    }
    (spread,) = mapped(table, f"rate_hz = 2000\n{SHORT}")
    assert spread.samples["tracker_time_us"].tolist() == list(range(0, 10_000, 500))
    assert spread.skipped == {}


def test_of_stamps_that_repeat_seldom_no_more_is_said(mapped):
    table = "t,x,y\n" + "".join(f"{max(i, 1)},{i},0\n" for i in range(10))
    (recording,) = mapped(table, SHORT)
    assert recording.skipped == {"repeated or backward times": 1}


@pytest.mark.parametrize("rows", [60, 40, 33])
def test_a_clock_that_starts_anew_with_each_trial_is_refused(rows, mapped):
    table = "t,x,y\n" + "".join(f"{4 * (i % 20)},{i},0\n" for i in range(rows))
    with pytest.raises(FormatError, match=r"the same time more than once, .* column of its trials"):
        mapped(table, SHORT)


def test_trials_with_a_clock_of_their_own_follow_each_other(mapped):
    table = "t,x,y,n\n" + "".join(f"{4 * (i % 20)},{i},0,{i // 20}\n" for i in range(60))
    (recording,) = mapped(table, f'{SHORT}trial = "n"\n')
    assert recording.skipped == {}
    assert recording.samples["tracker_time_us"].tolist() == [4000 * i for i in range(60)]
    assert recording.samples["t_ms"].tolist() == [4 * (i % 20) + 2 for i in range(60)]


@pytest.mark.parametrize(("shortest", "pause"), [(1, 0), (20, 5)])
def test_trials_with_a_clock_of_their_own_may_be_short_or_paused(shortest, pause, mapped):
    counts = (20, shortest, 20, 20)
    times = [(i, number) for number, count in enumerate(counts) for i in range(count)]
    cells = [(4 * i, f"{number}.png" if i >= pause else "") for i, number in times]
    table = "t,x,y,n\n" + "".join(f"{t},10,20,{name}\n" for t, name in cells)
    (recording,) = mapped(table, f'{SHORT}stimulus = "n"\n')
    assert recording.skipped == {}
    assert recording.samples["tracker_time_us"].tolist() == [4000 * i for i in range(sum(counts))]


def test_a_clock_that_starts_anew_with_few_trials_is_not_theirs(mapped):
    table = "t,x,y,n\n" + "".join(f"{4 * (i % 20)},{i},0,{i // 10}\n" for i in range(60))
    with pytest.raises(FormatError, match="the same time more than once"):
        mapped(table, f'{SHORT}trial = "n"\n')


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (["a", "a", "b"], [1, 1, 2]),
        (["2", "2", "5"], [2, 2, 5]),
        (["2.0", "2.0", "5.0"], [2, 2, 5]),
        (["5", "2", "5"], [1, 2, 3]),
        (["1", "", "1"], [1, 0, 2]),
        (["", "", ""], [1, 1, 1]),
        (["0", "1", "1"], [0, 1, 1]),
    ],
)
def test_trials(trials, expected, mapped):
    rows = "".join(f"{4 * i},1,2,{trial}\n" for i, trial in enumerate(trials))
    (recording,) = mapped(f"t,x,y,n\n{rows}", f'{SHORT}trial = "n"\n')
    assert recording.samples["trial"].tolist() == expected


@pytest.mark.parametrize(
    ("shown", "expected"), [("aab", [1, 1, 2]), (" ab", [0, 1, 2]), ("ab ", [1, 2, 3])]
)
def test_a_trial_0_that_shows_something_is_the_first(shown, expected, mapped):
    numbers = {"aab": "001", " ab": "012", "ab ": "012"}[shown]
    rows = "".join(
        f"{4 * i},1,2,{n},{s.strip()}\n"
        for i, (n, s) in enumerate(zip(numbers, shown, strict=True))
    )
    mapping = f'{SHORT}trial = "n"\nstimulus = "s"\n'
    (recording,) = mapped(f"t,x,y,n,s\n{rows}", mapping)
    assert recording.samples["trial"].tolist() == expected


def test_recordings_are_told_apart(mapped):
    table = "t,x,y,who,rec\n0,1,2,a,1\n0,3,4,b,1\n4,1,2,a,1\n0,1,2,a,2\n"
    found = mapped(table, f'{SHORT}subject = "who"\nrecording = "rec"\n')
    assert [(r.subject, r.name, len(r.samples)) for r in found] == [
        ("a", "1", 2),
        ("b", "1", 1),
        ("a", "2", 1),
    ]


# ---------------------------------------------------------------- fixations


def test_fixations_on_the_image(tmp_path):
    path, mapping = generic.fixations(tmp_path)
    first, second = read(path, ReadOptions(mapping=mapping))
    found = validate_fixations(first.fixations)
    assert found["trial"].tolist() == [1, 1, 2]
    assert found["order"].tolist() == [1, 2, 1]
    assert found["onset_ms"].tolist() == [500, 800, 100]
    assert found["duration_ms"].tolist() == pytest.approx([250, 200, 200])
    assert found["x_im"].tolist() == [100, 200, 20]
    assert found["y_im"].tolist() == [150, 150, 180]
    assert second.subject == "p2"


def test_onsets_on_the_clock_of_the_recording(tmp_path):
    path, mapping = generic.fixations(tmp_path)
    mapping.write_text('clock = "recording"\n' + mapping.read_text())
    first, _ = read(path, ReadOptions(mapping=mapping))
    assert first.fixations["onset_ms"].tolist() == pytest.approx([0, 300, 0])


def test_what_is_no_fixation_is_counted(mapped):
    (recording,) = mapped(
        "on,len,x,y\n0,100,1,2\n200,0,1,2\n300,50,-1,-1\n400,50,1,2\n",
        'kind = "fixations"\nmissing = [-1]\n'
        '[columns]\nonset = "on"\nduration = "len"\nx = "x"\ny = "y"\n',
    )
    assert recording.fixations["onset_ms"].tolist() == [0, 400]
    assert recording.skipped == {
        "fixations without a position": 1,
        "fixations without a duration": 1,
    }


@pytest.mark.parametrize(
    ("table", "mapped_to", "says"),
    [
        ("on,len,x,y\n0,0.25,1,2\n1,0.3,1,2\n", 'duration = "len"', "last 0.275 ms .* units.dur"),
        ("on,len,x,y\n0,0.25,1,2\n1,1.3,1,2\n", 'end = "len"', "last 0.275 ms .* units.time"),
        ("on,len,x,y\n0,90000,1,2\n", 'duration = "len"', "expected 1 to 60000 ms; correct"),
    ],
)
def test_durations_in_another_unit_are_refused(table, mapped_to, says, mapped):
    with pytest.raises(FormatError, match=says):
        mapped(
            table,
            f'kind = "fixations"\n[columns]\nonset = "on"\nx = "x"\ny = "y"\n{mapped_to}\n',
        )


@pytest.mark.parametrize("kind", ["samples", "fixations"])
@pytest.mark.parametrize("unit", ["px", "share"])
def test_shares_are_no_px(kind, unit, mapped):
    rows = [f"{20 * i},100,{0.3 + i / 100},{1.02 - i / 100}" for i in range(9)] + ["200,100,0,0"]
    columns = {"samples": 'time = "on"', "fixations": 'onset = "on"\nduration = "len"'}[kind]
    text = "on,len,x,y\n" + "\n".join(rows) + "\n"
    toml = f'kind = "{kind}"\n[columns]\nx = "x"\ny = "y"\n{columns}\n'
    toml += f'[units]\nposition = "{unit}"\n'
    if unit == "share":
        assert mapped(text, toml)[0].normalised
        return
    with pytest.raises(
        FormatError, match="most positions in 'x', 'y' lie within 1 px, expected px"
    ):
        mapped(text, toml)


@pytest.mark.parametrize("how", ["", '[valid]\ncolumn = "seen"\nis = [1]\n'])
def test_much_lost_gaze_makes_no_shares(how, mapped):
    lost = "0.5,0.5,0" if how else "-1,-1,0"
    rows = [f"{20 * i},300,200,1" if i < 3 else f"{20 * i},{lost}" for i in range(20)]
    toml = 'kind = "samples"\n[columns]\ntime = "t"\nx = "x"\ny = "y"\n' + how
    (recording,) = mapped("t,x,y,seen\n" + "\n".join(rows) + "\n", toml)
    assert recording.samples["x_px"][:3].tolist() == [300] * 3


@pytest.mark.parametrize("separator", [" ", "\t", ";"])
def test_quotes_around_texts_where_there_is_no_header(separator, mapped):
    rows = ['0 100 300 200 "a.jpg" "p1"', '200 100 300 200 "b.jpg" "p1"']
    columns = "onset = 1\nduration = 2\nx = 3\ny = 4\nstimulus = 5\nsubject = 6\n"
    (recording,) = mapped(
        "\n".join(rows).replace(" ", separator) + "\n",
        f'kind = "fixations"\nheader_line = 0\nseparator = "{separator}"\n[columns]\n{columns}',
    )
    assert recording.subject == "p1"
    assert recording.fixations["stimulus"].tolist() == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("separator", [" ", ",", ";"])
def test_a_separator_in_quotes_where_there_is_no_header(separator, mapped):
    name = separator.join(["a", "b.jpg"])
    rows = [["0", "100", "300", "200", f'"{name}"'], ["200", "100", "300", "200", '"c.jpg"']]
    (recording,) = mapped(
        "".join(separator.join(row) + "\n" for row in rows),
        f'kind = "fixations"\nheader_line = 0\nseparator = "{separator}"\n'
        "[columns]\nonset = 1\nduration = 2\nx = 3\ny = 4\nstimulus = 5\n",
    )
    assert recording.fixations["stimulus"].tolist() == [name, "c.jpg"]


def test_quotes_are_taken_off_before_a_block_with_a_separator_in_them(mapped, monkeypatch):
    monkeypatch.setattr("gazetools.readers.blocks.BLOCK_BYTES", 64)
    rows = [f'{200 * i}\t100\t300\t200\t"a.jpg"\n' for i in range(9)]
    (recording,) = mapped(
        "".join(rows) + '1800\t100\t300\t200\t"b, c.jpg"\n',
        'kind = "fixations"\nheader_line = 0\n'
        "[columns]\nonset = 1\nduration = 2\nx = 3\ny = 4\nstimulus = 5\n",
    )
    assert set(recording.fixations["stimulus"]) == {"a.jpg", "b, c.jpg"}


def test_a_fixation_in_two_areas_counts_once(mapped):
    (recording,) = mapped(
        "on,len,x,y,area\n0,100,1,2,face\n0,100,1,2,eyes\n200,100,1,2,eyes\n",
        'kind = "fixations"\n[columns]\nonset = "on"\nduration = "len"\nx = "x"\ny = "y"\n',
    )
    assert recording.fixations["onset_ms"].tolist() == [0, 200]
    assert recording.skipped == {"fixations listed again": 1}


def _looks(*looks):
    """A table of trials a, b, c ... and onsets, and how it is read."""
    rows = "".join(f"{trial},{onset},100,{onset % 90},5\n" for trial, onset in looks)
    mapping = 'kind = "fixations"\n[columns]\n'
    mapping += 'trial = "trial"\nonset = "on"\nduration = "len"\nx = "x"\ny = "y"\n'
    return "trial,on,len,x,y\n" + rows, mapping


def test_a_table_that_is_appended_to_itself_has_no_second_trials(mapped):
    table, mapping = _looks(("a", 10), ("a", 150), ("b", 20), ("b", 170))
    (recording,) = mapped(table + table.partition("\n")[2], mapping)
    assert recording.fixations["trial"].tolist() == [1, 1, 2, 2]
    assert recording.skipped == {"fixations listed again": 4}


def test_a_cross_that_is_shown_again_may_be_looked_at_alike(mapped):
    looks = [look for i in range(4) for look in (("cross", 0), (f"im{i}", 10), (f"im{i}", 150))]
    (recording,) = mapped(*_looks(*looks))
    assert recording.fixations["trial"].tolist() == [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8]
    assert recording.skipped == {}


TO_AND_FRO = [(trial, 150 * i + shift) for i in range(4) for trial, shift in (("a", 0), ("b", 20))]


MIXED = [("ab"[i % 2], 150 * i) for i in (5, 0, 9, 4, 11, 2, 7, 6, 1, 10, 3, 8)]


@pytest.mark.parametrize("looks", [TO_AND_FRO, MIXED, [*MIXED, *MIXED[::-5]]])
def test_fixations_that_go_to_and_fro_between_trials_are_refused(looks, mapped):
    with pytest.raises(FormatError, match="sort the rows by participant, trial and onset"):
        mapped(*_looks(*looks))


@pytest.mark.parametrize(
    "looks",
    [
        [("ab"[i % 2], 150 * i) for i in range(12)],  # one clock of the recording
        [("ab"[i % 2], 7 * i) for i in range(12)],  # the first fixation of each
    ],
)
def test_trials_that_come_again_may_be_of_one_fixation(looks, mapped):
    (recording,) = mapped(*_looks(*looks))
    assert recording.fixations["trial"].tolist() == list(range(1, 13))


def _touching(trials):
    """Fixations of seven samples at 60 Hz, no saccade between; all times are rounded to ms."""
    table, mapping = _looks(*((trial, round(i * 7000 / 60)) for i, trial in enumerate(trials)))
    header, *rows = table.replace(",100,", ",117,").splitlines(keepends=True)
    return header, rows, mapping


def test_fixations_that_touch_each_other_are_on_one_clock(mapped):
    header, rows, mapping = _touching("ab" * 12)
    (recording,) = mapped(header + "".join(rows), mapping)
    assert recording.fixations["trial"].tolist() == list(range(1, 25))


def test_fixations_that_touch_each_other_may_be_mixed(mapped):
    header, rows, mapping = _touching("a" * 12 + "b" * 12)
    mixed = "".join(rows[7 * i % 24] for i in range(24))
    with pytest.raises(FormatError, match="sort the rows by participant, trial and onset"):
        mapped(header + mixed, mapping)


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("kind = ", "no TOML"),
        ("", "'kind' is missing, expected one of samples, fixations"),
        ('kind = "gaze"\n', "'kind' is 'gaze', expected one of samples, fixations"),
        ("color = 1\n" + SHORT, "key 'color' is unknown, expected kind, separator"),
        ('kind = "samples"\n', "'columns.time' is missing|'columns.x' is missing"),
        (SHORT.replace('y = "y"', ""), "'columns.y' is missing, expected a column, which samples"),
        (SHORT + 'z = "z"\n', "key 'columns.z' is unknown, expected subject"),
        (SHORT.replace('"t"', "3"), "'columns.time' is 3, expected a text"),
        ("header_line = 0\n" + SHORT, "'columns.time' is 't', expected the number of a column"),
        ("header_line = true\n" + SHORT, "'header_line' is True, expected a whole number"),
        ('separator = "ab"\n' + SHORT, "'separator' is 'ab', expected auto, tab, or one"),
        ("missing = [true]\n" + SHORT, r"'missing' is \[True\], expected a list of numbers and"),
        ('origin = "left"\n' + SHORT, "'origin' is 'left', expected one of top-left"),
        ('origin = "centre"\n' + SHORT, "'screen' is missing, expected width_px and height_px"),
        (SHORT + '[units]\ntime = "sec"\n', "'units.time' is 'sec', expected one of s, ms, us"),
        (SHORT + '[units]\nposition = "mm"\n', "'screen.width_px' is missing, expected a number"),
        (SHORT + "[screen]\nwidth_px = 0\n", "'screen.width_px' is 0, expected a number above 0"),
        (SHORT + "[screen]\nwidth_px = 9.5\nheight_px = 3\n", "'screen.width_px' is 9.5, expected"),
        (SHORT + '[valid]\ncolumn = "v"\n', "'valid.is' is missing, expected a list of valid"),
        (SHORT + "[valid]\nat_least = 1\n", "'valid.column' is missing, expected a column"),
        (SHORT + '[rows]\nis = ["a"]\n', "'rows.column' is missing, expected the column that"),
        (SHORT + '[rows]\ncolumn = "k"\n', "'rows.is' is missing, expected a list of what"),
        (SHORT + '[rows]\ncolumn = "k"\nis = []\n', r"'rows.is' is \[\], expected a list of what"),
        (SHORT + '[rows]\ncolumn = 1\nis = ["a"]\n', "'rows.column' is 1, expected a text"),
        (SHORT + '[rows]\ncolumn = "k"\nis = "a"\n', "'rows.is' is 'a', expected a list"),
        (SHORT + '[rows]\nnot = ["a"]\n', "key 'rows.not' is unknown, expected column, is"),
        (f"missing = [1{'0' * 400}]\n{SHORT}", r"'missing' is \[10+\], expected a list of numbers"),
        ("rate_hz = 0\n" + SHORT, "'rate_hz' is 0, expected a number above 0"),
        ("columns = 3\n", "'kind' is missing|'columns' is 3, expected a table"),
    ],
)
def test_mistakes_in_the_mapping_are_named(mapping, says, mapped):
    with pytest.raises(FormatError, match=rf"mapping\.toml: ({says})"):
        mapped(TABLE, mapping)


@pytest.mark.parametrize(
    ("table", "mapping", "says"),
    [
        ("a,b\n1,2\n", SHORT, ":1: no column 't', which the mapping names for 'time'; found a, b"),
        (LOG, SHORT + KINDS.replace("kind", "sort"), ":1: no column 'sort', which the mapping"),
        (LOG, SHORT + KINDS, ": column 'kind' holds 'msg', 'gaze', expected one of .*'rows.is' in"),
        (LOG.replace("4,3", "4,3x"), ONLY_GAZE, ":5: 'x' is 3x, expected a number; correct"),
        (LOG.replace("4,3", "4,1,3"), ONLY_GAZE, ":5: line has 5 fields, expected 4"),
        (LOG.replace("4,3", "4,inf"), ONLY_GAZE, ":5: 'x' is inf, expected a number"),
        (LOG.replace("4,3", "4,1e99"), ONLY_GAZE, ":5: 'x' is 1e99, expected a number up to"),
        (LOG.replace("4,3", '4,"3,5"'), ONLY_GAZE, ":5: 'x' is 3,5, expected a number"),
        ("# no more\n", COMMENTED, ":1: no column '2', which the mapping names for 'y'"),
        (TABLE, SHORT.replace('"y"', '"x"'), ": the mapping names column 'x' twice"),
        ("t,x,y\n0,1\n", SHORT, r":2: line has 2 fields, expected 3; .*\[rows\] in the mapping"),
        ("t,x,y\n0,1,abc\n", SHORT, ":2: column 'y' holds 'abc', expected a number"),
        ("t,x,y\n1e15,1,2\n", SHORT + '[units]\ntime = "s"\n', ": 't', read in s, holds a time"),
        ("t,x,y\n,1,2\n", SHORT, ": none of its 1 rows is of use by"),
        ("", SHORT, ": is empty"),
    ],
)
def test_tables_that_are_not_as_said(table, mapping, says, mapped):
    with pytest.raises(FormatError, match=rf"lab\.csv{says}"):
        mapped(table, mapping)


def test_without_a_mapping_it_is_not_used(tmp_path):
    path = generic.samples(tmp_path)
    assert reader.refusal(Head(path, generic.SAMPLES)) == "needs a mapping (--mapping)"
    with pytest.raises(FormatError, match=r"drafts a mapping \(--mapping\)"):
        read(path)
    with pytest.raises(FormatError, match="no such file"):
        read(path, ReadOptions(mapping=tmp_path / "absent.toml"))


MESS = st.sampled_from(["\0", '"', ";", ",", "\n", "inf", "-", "1e99", "0x", "é", "=", "[", "]"])


@settings(max_examples=150)
@given(
    which=st.sampled_from(["table", "mapping"]),
    fixations=st.booleans(),
    at=st.floats(0, 1),
    cut=st.integers(0, 9),
    put=MESS | st.binary(max_size=3).map(lambda b: b.decode("latin-1")),
)
def test_damaged_tables_and_mappings(which, fixations, at, cut, put, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    if fixations:
        path, mapping = generic.fixations(folder)
    else:
        path, mapping = generic.samples(folder), folder / "mapping.toml"
        mapping.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    victim = path if which == "table" else mapping
    text = victim.read_text(encoding="utf-8")
    place = int(at * len(text))
    victim.write_text(text[:place] + put + text[place + cut :], encoding="utf-8")
    try:
        recordings = read(path, ReadOptions(mapping=mapping))
    except FormatError as error:
        if str(folder) not in str(error):
            raise
        return
    for recording in recordings:
        SAMPLES.conform(recording.samples)
        validate_fixations(recording.fixations)
        assert (recording.samples["tracker_time_us"].diff().dropna() > 0).all()


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("key", ["at_least", "at_most"])
def test_numbers_too_large_for_the_machine_are_refused(key, digits, mapped):
    toml = (
        f'[columns]\ntime = "t"\nx = "x"\ny = "y"\n[valid]\ncolumn = "v"\n{key} = 1{"0" * digits}'
    )
    with pytest.raises(FormatError, match=rf"mapping\.toml: ('valid\.{key}' is 10+|no TOML)"):
        mapped("t,x,y,v\n1,2,3,1\n", f'kind = "samples"\n{toml}\n')
