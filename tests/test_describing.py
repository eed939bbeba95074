"""Descriptions: the record, the file that grows, what is asked, and whose answers are believed."""

import json
import logging
import os
import re
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace

import cv2
import numpy as np
import pytest
from chat_server import GOOD, chat_server, completion, image_of_size, sent_jpeg
from hypothesis import given
from hypothesis import strategies as st

from gazetools.describing import Description, read_descriptions
from gazetools.describing.asking import Endpoint, Model, Pace, answered_object
from gazetools.describing.journal import Journal
from gazetools.describing.prompt import MOST_FIXATIONS, small_jpeg, wording
from gazetools.describing.record import (
    ANSWERED,
    description,
    parse_object,
    schema,
    without_torn_line,
)
from gazetools.describing.session import choose, describe, estimate, missing
from gazetools.errors import ConfigError, FormatError, OutputError
from gazetools.progress import Stopped

KEY = "sk-0123456789abcdef"
RECORD = Description("a", **GOOD, by="m", seen=("image",), prompt_sha256="0" * 64)
FIELDS = json.loads(RECORD.to_json())


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


@pytest.fixture
def images(tmp_path):
    """Images of 40 to 45 px width, a to f."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate("abcdef"):
        cv2.imwrite(str(folder / f"{name}.png"), image_of_size(40 + number))
    return folder


@pytest.fixture
def model(server):
    with closing(Model(Endpoint(server.url, "m", KEY, retries=2))) as asked:
        yield asked


# ---------------------------------------------------------------- record


def test_the_schema_is_one_and_names_the_fields_of_the_class():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(schema())
    Draft202012Validator(schema()).validate(FIELDS)
    assert set(schema()["properties"]) == {"format", "version", *Description.__annotations__}


def test_a_record_comes_back_as_it_was():
    record = replace(RECORD, remarks="größer als 2 cm 🙂", area_share=None)
    assert description(parse_object(record.to_json())) == record


def test_the_paragraph_that_is_encoded():
    assert RECORD.text() == (
        "Location: upper left quadrant. Boundary: sharp. Shape: oval. "
        "Texture: redder than around it. Area: ten to twenty percent of the image. "
        "Confidence: high."
    )
    other = replace(RECORD, area_share=None, remarks="Glare beside it!", confidence=0.2)
    assert other.text().endswith("Area: unknown. Confidence: low. Glare beside it!")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("location", ""),
        ("location", "  "),
        ("location", "x" * 601),
        ("shape", "a\n"),
        ("shape", "\x1b[31mred"),
        ("texture", "\ud800"),
        ("texture", "left \u202e thgir"),
        ("boundary", ["sharp"]),
        ("remarks", None),
        ("area_share", 1.01),
        ("area_share", "0.1"),
        ("area_share", 10**400),
        ("confidence", None),
        ("confidence", True),
        ("confidence", float("nan")),
        ("seen", []),
        ("seen", ["image", "image"]),
        ("seen", ["label"]),
        ("image", ""),
        ("version", 2),
        ("format", "x"),
        ("prompt_sha256", "0" * 64 + "\n"),
        ("mask", "x"),
    ],
)
def test_a_field_that_is_not_as_the_schema_says(name, value):
    with pytest.raises(FormatError, match=f"field '{name}' is ") as error:
        description({**FIELDS, name: value})
    assert "; expected " in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", schema()["required"])
def test_a_field_that_is_missing(name):
    with pytest.raises(FormatError, match=f"field '{name}' is missing; expected "):
        description({key: value for key, value in FIELDS.items() if key != name})


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", '"a"', '{"a": NaN}', '{"a": 1, "a": 1}', "[" * 9999, "x" * 70_000,
     "1" * 5000, b"\xff", "\x1b[31m"],
)  # fmt: skip
def test_what_is_no_object(text):
    with pytest.raises(FormatError) as error:
        parse_object(text)
    assert str(error.value).isprintable()


def test_a_file_is_read_in_its_order_and_written_by_any_tool(tmp_path):
    file = tmp_path / "d.jsonl"
    lines = [replace(RECORD, image=name).to_json() for name in "ba"]
    file.write_bytes(b"\xef\xbb\xbf" + f"{lines[0]}\r\n\n{lines[1]}".encode())
    assert list(read_descriptions(file)) == ["b", "a"]


def test_a_file_names_images_as_caches_do_however_accents_are_stored(tmp_path):
    file = tmp_path / "d.jsonl"
    file.write_text(replace(RECORD, image="e\u0301").to_json())
    assert [(name, record.image) for name, record in read_descriptions(file).items()] == [
        ("\u00e9", "\u00e9")
    ]


def test_errors_of_a_file_say_where(tmp_path):
    file = tmp_path / "d.jsonl"
    line = RECORD.to_json()
    for content, said in (
        (f"{line}\n{line}\n", "d.jsonl:2: image 'a' is described in an earlier line"),
        (f"\n{line.replace('0.8', '8')}\n", "d.jsonl:2: field 'confidence' is 8; expected"),
        (f"{line}\nnone\n{line}", "d.jsonl:2: is not JSON"),
        (f"{line}\n{line[:-9]}", "d.jsonl:2: the last line is torn"),
    ):
        file.write_text(content)
        with pytest.raises(FormatError, match=re.escape(said)):
            read_descriptions(file)
    with pytest.raises(FormatError, match=r"none\.jsonl: cannot be read"):
        read_descriptions(tmp_path / "none.jsonl")


@given(st.integers(0, 2000))
def test_a_torn_line_is_cut_off_wherever_it_tore(cut):
    line = f"{RECORD.to_json()}\n".encode()
    whole = line * 3
    kept = without_torn_line(whole[: min(cut, len(whole))])
    ends = {n * len(line) - mark for n in range(4) for mark in (0, 1)} | {0}
    assert len(kept) in ends
    assert whole.startswith(kept)
    assert len(kept) >= min(cut, len(whole)) - len(line) + 1


# ---------------------------------------------------------------- the file that grows


def journal(path, by="m", seen=("image",), prompts=None, overwrite=False):
    return Journal(path, by, seen, prompts or {}, overwrite=overwrite)


def test_a_journal_goes_on_behind_the_last_whole_line(tmp_path):
    file = tmp_path / "d.jsonl"
    line = RECORD.to_json()
    for before in (f"{line}\n", line, f'{line}\n{{"format": "gaz'):
        file.write_text(before)
        with journal(file) as there:
            assert list(there.there) == ["a"]
            assert file.read_text() == before
            there.add(replace(RECORD, image="b"))
        assert list(read_descriptions(file)) == ["a", "b"]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"by": "n"}, "described by 'm', not by 'n'"),
        ({"seen": ("image", "fixations")}, "described from image, not from image and fixations"),
        ({"prompts": {"a": "1" * 64}}, "another prompt"),
    ],
)
def test_another_writers_file_is_refused_and_stays_until_there_is_better(tmp_path, other, said):
    file = tmp_path / "d.jsonl"
    file.write_text(f"{RECORD.to_json()}\n")
    with pytest.raises(OutputError, match=said):
        journal(file, **other)
    with journal(file, **other, overwrite=True) as there:
        assert not there.there
        assert list(read_descriptions(file)) == ["a"]
        there.add(replace(RECORD, image="b"))
    assert list(read_descriptions(file)) == ["b"]


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "d.jsonl").write_text("my notes\nof today\n")
    with pytest.raises(OutputError, match="jsonl:1: is not JSON"):
        journal(tmp_path / "d.jsonl")


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    file = tmp_path / "d.jsonl"
    with journal(file) as there:
        there.add(RECORD)
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:7]))
        with pytest.raises(OutputError, match="cannot be written"):
            there.add(replace(RECORD, image="b"))
    assert list(read_descriptions(file)) == ["a"]


# ---------------------------------------------------------------- what is asked


def test_the_prompt_tells_fixations_in_percent_and_ms():
    gaze = np.array([[20.0, 30, 0, 250, 0], [80, 15, 300, 120.4, 1]])
    text = wording((60, 80), gaze)
    assert text.endswith("\n25.0 50.0 250\n100.0 25.0 120")
    assert "fixation" not in wording((60, 80), None).lower()
    assert all(f'"{name}"' in text for name in ANSWERED)


def test_a_prompt_holds_so_many_fixations_of_each_presentation():
    gaze = np.zeros((3000, 5))
    gaze[:, 4] = np.repeat([0, 1], [2000, 1000])
    gaze[:, 3] = np.arange(3000)
    told = [int(row.split()[2]) for row in wording((9, 9), gaze).splitlines()[-MOST_FIXATIONS:]]
    assert told == [*range(MOST_FIXATIONS // 2), *range(2000, 2000 + MOST_FIXATIONS // 2)]


def test_images_are_encoded_anew_and_small(tmp_path, server, model):
    plain = cv2.imencode(".jpg", image_of_size(48))[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0 patient-name"
    marked = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "patient-17.jpg").write_bytes(marked)
    describe(tmp_path / "d.jsonl", choose(tmp_path / "x"), model)
    assert b"patient" not in sent_jpeg(server.bodies[0])
    assert "patient" not in json.dumps(server.bodies[0])
    decoded = cv2.imdecode(
        np.frombuffer(small_jpeg(image_of_size(500, 100), 250), np.uint8), cv2.IMREAD_COLOR
    )
    assert decoded.shape == (50, 250, 3)


def test_the_estimate_counts_what_would_be_sent(images, model, server):
    choice = choose(images)
    expected = estimate(choice.items, model)
    assert expected.images == 6
    text, jpeg = model.request(image_of_size(40), None)
    assert expected.bytes == pytest.approx(6 * (len(text) + 4 / 3 * len(jpeg)), rel=0.05)
    assert expected.cost(2.0, 4.0) == pytest.approx(
        (2 * expected.prompt_tokens + 4 * expected.completion_tokens) / 1e6
    )
    assert estimate([], model).prompt_tokens == 0
    assert not server.asked


# ---------------------------------------------------------------- answers


def test_every_image_is_asked_for_once_and_written_down(images, model, server, tmp_path):
    out, steps = tmp_path / "d.jsonl", []
    summary = describe(out, choose(images), model, progress=lambda *step: steps.append(step[:2]))
    assert (summary.described, summary.reused, summary.failed) == (6, 0, {})
    assert steps == [(n, 6) for n in range(1, 7)]
    found = read_descriptions(out)
    assert set(found) == set("abcdef")
    assert found["a"].seen == ("image",)
    assert found["a"].by == "m"
    assert set(server.asked.values()) == {1}
    assert model.used == {"prompt_tokens": 600, "completion_tokens": 60}
    again = describe(out, choose(images), model)
    assert (again.described, again.reused) == (0, 6)
    assert sum(server.asked.values()) == 6
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("trouble", [429, 500, 503, "cut", "cut body", "no json"])
def test_what_fails_once_is_asked_again(images, model, server, tmp_path, trouble):
    server.plan = {41: [trouble]}
    summary = describe(tmp_path / "d.jsonl", choose(images), model)
    assert summary.described == 6
    assert server.asked[41] == 2
    assert sum(server.asked.values()) == 7


def test_retry_after_is_waited_for(images, model, server, tmp_path):
    server.plan = {40: [(429, {"Retry-After": "0.4"}, b"{}")]}
    describe(tmp_path / "d.jsonl", choose(images), model, at_once=1)
    assert server.at[1] - server.at[0] >= 0.4


def test_a_server_that_takes_too_long(images, server, tmp_path):
    server.plan = {41: ["slow"]}
    with closing(Model(Endpoint(server.url, "m", retries=1, timeout_s=0.5))) as model:
        assert describe(tmp_path / "d.jsonl", choose(images), model).described == 6
    assert server.asked[41] == 2


HOSTILE = {
    "text around": f"content:I see {json.dumps(GOOD)} there",
    "two fences": "content:" + 2 * f"```json\n{json.dumps(GOOD)}\n```\n",
    "another image": {"image": "b"},
    "a field more": {"mask": "x"},
    "a huge text": {"location": "x" * 100_000},
    "a long text": {"location": "x" * 700},
    "terminal escapes": {"remarks": "\x1b]0;owned\x07"},
    "a name of escapes": {"\x1b[2J": 1},
    "NaN": {"confidence": float("nan")},
    "a number too large": "content:" + json.dumps(GOOD).replace("0.8", "1e999"),
    "deep": "content:" + "[" * 30_000,
    "deep below": {"remarks": json.loads("[" * 300 + "]" * 300)},
    "a wrong type": {"area_share": {"a": 1}},
    "a list": "content:[]",
    "nothing": "content:",
    "the key": {"remarks": f"I know {KEY}"},
    "the key alone": "content:" + json.dumps(KEY),
    "the key as a body": (200, {}, json.dumps(KEY).encode()),
    "no choices": (200, {}, b'{"choices": []}'),
    "choices of another kind": (200, {}, b'{"choices": {"0": 1}, "usage": 7}'),
    "a message of another kind": (200, {}, b'{"choices": [{"message": [1]}]}'),
    "a refusal": (200, {}, b'{"choices": [{"message": {"refusal": "\\u001b no"}}]}'),
    "content of another kind": (200, {}, json.dumps(completion([{"type": "text"}])).encode()),
    "a list for a body": (200, {}, b"[]"),
    "a huge body": (200, {}, b" " * 1_100_000),
    "no gzip": (200, {"Content-Encoding": "gzip"}, b"not gzip"),
}  # fmt: skip


@pytest.mark.parametrize("trouble", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers_are_never_written(images, model, server, tmp_path, trouble):
    server.always = trouble
    (images / "g.png").write_bytes((images / "a.png").read_bytes())
    only = tmp_path / "only.txt"
    only.write_text("a\n")
    out = tmp_path / "d.jsonl"
    summary = describe(out, choose(images, only=only), model)
    assert list(summary.failed) == ["a"]
    assert summary.failed["a"].startswith("3 answers, none can be used; the last: ")
    assert summary.failed["a"].isprintable()
    assert len(summary.failed["a"]) < 500
    assert KEY not in summary.failed["a"]
    assert not out.exists()
    assert server.asked[40] == 3


def test_a_single_fence_is_accepted_and_a_complaint_tells_the_model(
    images, model, server, tmp_path
):
    server.plan = {
        40: [f"content:Sure:\n```json\n{json.dumps(GOOD, indent=1)}\n```\nAnything else?"],
        41: [{"confidence": 80}],
    }
    assert describe(tmp_path / "d.jsonl", choose(images), model, at_once=1).described == 6
    assert server.asked[40] == 1
    texts = [body["messages"][0]["content"][0]["text"] for body in server.bodies]
    assert "field 'confidence' is 80" in texts[2]
    assert len({text for text in texts if "earlier" not in text}) == 1
    with pytest.raises(FormatError):
        answered_object("```\n[1]\n```")


def test_what_failed_is_asked_for_next_time(images, model, server, tmp_path):
    server.plan = {42: ["content:no"] * 3}
    out = tmp_path / "d.jsonl"
    assert list(describe(out, choose(images), model).failed) == ["c"]
    before = server.asked.copy()
    assert describe(out, choose(images), model).described == 1
    assert server.asked - before == {42: 1}


def test_an_unreadable_image_does_not_stop_the_others(images, model, tmp_path):
    (images / "b.png").write_bytes(b"\x89PNG broken")
    summary = describe(tmp_path / "d.jsonl", choose(images), model)
    assert summary.described == 5
    assert "b.png" in summary.failed["b"]


# ---------------------------------------------------------------- refusals, and who is asked


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_stops_at_once(images, model, server, tmp_path, status):
    said = json.dumps({"error": {"message": f"bad \x1b[31m {KEY}"}}).encode()
    server.always = (status, {}, said)
    with pytest.raises(ConfigError, match=f"refused with status {status}") as error:
        describe(tmp_path / "d.jsonl", choose(images), model, at_once=1)
    assert KEY not in str(error.value)
    assert str(error.value).isprintable()
    assert sum(server.asked.values()) == 1


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"null", b'{"error": [1]}', b'{"error": {"code": {"a": 1}}}', b"\xff\x1b"]
)
def test_a_refusal_may_say_anything(images, model, server, tmp_path, said):
    server.always = (400, {}, said)
    with pytest.raises(ConfigError, match="refused with status 400") as error:
        describe(tmp_path / "d.jsonl", choose(images), model)
    assert str(error.value).isprintable()


def test_the_sdk_may_be_missing(images, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"install gazetools\[text\]"):
        describe(tmp_path / "d.jsonl", choose(images), model)


def test_a_refusal_of_one_image_stops_nothing(images, model, server, tmp_path):
    body = json.dumps({"error": {"code": "content_filter", "message": "not this"}}).encode()
    server.plan = {41: [(400, {}, body)]}
    summary = describe(tmp_path / "d.jsonl", choose(images), model)
    assert list(summary.failed) == ["b"]


def test_a_redirect_is_not_followed(images, model, server, tmp_path):
    server.always = "redirect"
    with pytest.raises(ConfigError, match=r"redirects to .*/elsewhere, where images are not sent"):
        describe(tmp_path / "d.jsonl", choose(images), model, at_once=1)
    assert sum(server.asked.values()) == 1


def test_an_endpoint_that_is_gone_is_given_up(images, tmp_path, monkeypatch):
    monkeypatch.setattr("gazetools.describing.asking.GIVE_UP_AFTER", 3)
    with chat_server() as server:
        url = server.url
    with (
        closing(Model(Endpoint(url, "m", KEY, retries=0))) as model,
        pytest.raises(ConfigError, match=r"3 images in a row got no answer.*goes on"),
    ):
        describe(tmp_path / "d.jsonl", choose(images), model, at_once=1)


def test_the_key_is_sent_and_without_one_nothing_is(images, server, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OPENAI_API_KEY", "of-somebody-else")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "of-the-boss")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    for number, key in enumerate((KEY, "")):
        endpoint = Endpoint(server.url, "m", key)
        assert KEY not in repr(endpoint)
        with closing(Model(endpoint)) as model:
            describe(tmp_path / f"{number}.jsonl", choose(images), model)
    sent = [
        {name.lower(): value for name, value in headers.items()}.get("authorization")
        for headers in server.headers
    ]
    assert sent == [f"Bearer {KEY}"] * 6 + [None] * 6
    assert not [h for h in server.headers for v in h.items() if "of-somebody" in str(v)]
    assert KEY not in caplog.text
    assert not any(KEY in file.read_text() for file in tmp_path.glob("*.jsonl"))


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://a/v1", "http://", "http://a b/v1", "https://me:secret@a/v1",
     "https://a/v1?key=secret", "http://a:99999/secret", "http://[::1/secret"],
)  # fmt: skip
def test_a_base_url_that_is_none(url):
    with pytest.raises(ConfigError, match="base URL") as error:
        Endpoint(url, "m")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "setting",
    [{"max_side": 0}, {"per_minute": 0.0}, {"per_minute": float("nan")}, {"retries": -1},
     {"answers": 0}, {"timeout_s": 0.0}, {"model": ""}, {"model": "\x1b"}, {"key": "a\nb"},
     {"key": "schlüssel"}],
)  # fmt: skip
def test_settings_out_of_range(setting):
    with pytest.raises(ConfigError) as error:
        Endpoint(**{"base_url": "http://a/v1", "model": "m", **setting})
    assert setting.get("key", "?") not in str(error.value)


# ---------------------------------------------------------------- pace


def test_so_many_at_once_and_no_more(images, model, server, tmp_path):
    server.slow_s = 0.15
    describe(tmp_path / "d.jsonl", choose(images), model, at_once=3)
    assert server.most_at_once == 3
    with pytest.raises(ConfigError, match="0 images at once"):
        describe(tmp_path / "e.jsonl", choose(images), model, at_once=0)


def test_so_many_a_minute_repeated_ones_included(images, server, tmp_path):
    server.plan = {40: [500, 500]}
    with closing(Model(Endpoint(server.url, "m", per_minute=600))) as model:
        describe(tmp_path / "d.jsonl", choose(images), model)
    assert len(server.at) == 8
    assert max(server.at) - min(server.at) > 0.5  # 0.7, on a machine without delays


def test_a_pace_that_is_stopped_lets_nobody_go():
    pace = Pace(0.01)
    pace.wait()
    threading.Timer(0.05, pace.stop).start()
    begin = time.monotonic()
    with pytest.raises(Stopped):
        pace.wait()
    assert time.monotonic() - begin < 2


# ---------------------------------------------------------------- which images


def test_only_listed_images_are_chosen(images, tmp_path, model):
    only = tmp_path / "train.txt"
    only.write_text("c.png\na\nzebra\n")
    choice = choose(images, only=only)
    assert [item.name for item in choice.items] == ["a", "c"]
    assert choice.names_unknown == ["zebra"]
    only.write_text("zebra\n")
    with pytest.raises(ConfigError, match="no image to describe is left"):
        choose(images, only=only)


def test_only_looked_at_images_are_chosen_with_fixations(twelve, server):
    fixations = twelve / "fixations.parquet"
    choice = choose(twelve / "images", fixations)
    seen = {item.name for item in choice.items}
    assert seen
    with closing(Model(Endpoint(server.url, "m"), fixations=True)) as model:
        describe(twelve / "d.jsonl", choice, model, at_once=1)
    found = read_descriptions(twelve / "d.jsonl")
    assert set(found) == seen
    assert {record.seen for record in found.values()} == {("image", "fixations")}
    assert len({record.prompt_sha256 for record in found.values()}) == len(seen)
    rows = server.bodies[0]["messages"][0]["content"][0]["text"].splitlines()[-3:]
    assert all(re.fullmatch(r"\d+\.\d \d+\.\d \d+", row) for row in rows)
    assert missing(twelve / "d.jsonl", choice, model) == []


def test_other_fixations_are_another_prompt(twelve, server):
    choice = choose(twelve / "images", twelve / "fixations.parquet")
    item = choice.items[0]
    with closing(Model(Endpoint(server.url, "m"), fixations=True)) as model:
        before = item.prompt_sha256(model)
        gaze = item.source.gaze * 2
        assert replace(item, source=replace(item.source, gaze=gaze)).prompt_sha256(model) != before


def test_fixations_off_an_image_of_untold_size_are_not_told(twelve):
    item = choose(twelve / "images", twelve / "fixations.parquet").items[0]
    gaze, said_size = item.source.gaze.copy(), np.full_like(item.source.said_size, np.nan)
    gaze[1:, 0] += 1e5
    item = replace(item, source=replace(item.source, gaze=gaze, said_size=said_size))
    np.testing.assert_array_equal(item.read()[1], gaze[:1])
    gaze[0, 1] += 1e5
    with pytest.raises(FormatError, match=rf"none of {len(gaze)} fixations lies on it; .* mend"):
        item.read()
