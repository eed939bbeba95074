"""The command `describe`: consent, estimate, what it prints and returns, and kill -9."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
from chat_server import GOOD, chat_server, image_of_size
from click.testing import CliRunner
from gazetools_cli.describe import describe

from gazetools.describing import read_descriptions
from gazetools.describing.record import description, parse_object, schema

DOCUMENT = Path(__file__).parents[1] / "examples" / "descriptions.md"
KEY = "sk-0123456789abcdef"
SEND = "--i-may-send-images"


@pytest.fixture(autouse=True)
def no_proxies_and_no_key(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def server():
    with chat_server() as running:
        yield running


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A working folder with images of 40 to 43 px width, a to d."""
    (tmp_path / "images").mkdir()
    for number, name in enumerate("abcd"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), image_of_size(40 + number))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(describe, [str(argument) for argument in arguments])


def ask(server, *arguments):
    return run("--base-url", server.url, "--model", "m", *arguments)


def test_without_consent_only_the_estimate_is_printed_and_no_socket_opened(lab, monkeypatch):
    def opened(*arguments, **how):
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", opened)
    monkeypatch.setattr(socket, "getaddrinfo", opened)
    where = ("--base-url", "http://vlm.example.com/v1", "--model", "m")
    done = run(*where, "--price-in", 1000, "--price-out", 1000)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("nothing was sent; give --i-may-send-images")
    assert re.search(
        r"estimate +4 images, .* tokens in and 1,000 out, cost about [1-9]", done.stdout
    )
    assert "vlm.example.com/v1 (not encrypted), model m" in done.stdout
    told = json.loads(run(*where, "--json").stdout)
    assert (told["sent"], told["images"], told["cost"]) == (False, 4, 0)
    assert [path.name for path in lab.iterdir()] == ["images"]


def test_images_are_described(lab, server):
    done = ask(server, SEND)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("descriptions.jsonl: 4 images\n")
    assert "4 now, 0 were there" in done.stdout
    assert re.search("tokens +400 in, 40 out", done.stdout)
    assert done.stderr.startswith("4 images, ")
    assert set(read_descriptions(lab / "descriptions.jsonl")) == set("abcd")
    again = ask(server, SEND, "--json")
    assert json.loads(again.stdout)["reused"] == 4
    assert sum(server.asked.values()) == 4


def test_what_failed_is_said_and_asked_for_by_the_same_command(lab, server):
    (lab / "images" / "b.png").rename(lab / "images" / "\x1b[31mb.png")
    server.plan = {40: ["content:\x1b[31mno"] * 3}
    failed = ask(server, SEND)
    assert failed.exit_code == 1
    assert re.search(r"failed: \?\[31mb +field 'image' is ", failed.stdout)
    assert "failed: a " in failed.stdout
    assert failed.stderr.endswith(
        "error: 2 of 4 images have no description: 2: ?[31mb, a; "
        "the same command asks only for those\n"
    )
    assert "\x1b" not in failed.output
    assert server.asked[41] == 0
    (lab / "images" / "\x1b[31mb.png").rename(lab / "images" / "b.png")
    before = server.asked.copy()
    assert ask(server, SEND).exit_code == 0
    assert server.asked - before == {40: 1, 41: 1}


def test_failures_as_json(lab, server):
    server.plan = {40: ["content:no"] * 3}
    failed = ask(server, SEND, "--json")
    assert failed.exit_code == 1
    assert list(json.loads(failed.stdout)["failed"]) == ["a"]


@pytest.mark.parametrize("status", [401, 404])
def test_a_refusal_is_one_line(lab, server, status, monkeypatch):
    monkeypatch.setenv("MY_KEY", f"{KEY}\n")
    server.always = (status, {}, json.dumps({"error": f"no \x1b[31m {KEY}"}).encode())
    done = ask(server, SEND, "--key-from", "MY_KEY")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {server.url}: refused with status")
    assert KEY not in done.output
    assert "\x1b" not in done.output
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
    assert not (lab / "descriptions.jsonl").exists()


def test_a_key_in_place_of_a_name_is_not_printed(lab, server):
    done = ask(server, "--key-from", KEY)
    assert done.exit_code == 1
    assert "the environment variable that --key-from names is empty" in done.stderr
    assert KEY not in done.output


def test_another_models_file_is_refused_before_anything_is_sent(lab, server):
    assert ask(server, SEND).exit_code == 0
    done = run("--base-url", server.url, "--model", "n", SEND)
    assert done.exit_code == 1
    assert "described by 'm', not by 'n'" in done.stderr
    assert sum(server.asked.values()) == 4
    assert run("--base-url", server.url, "--model", "n", SEND, "--overwrite").exit_code == 0
    assert run("--base-url", server.url, "--model", "n", SEND, "--overwrite").exit_code == 0
    assert sum(server.asked.values()) == 8


@pytest.mark.parametrize(
    "arguments", [(), ("--model", "m"), ("--template",), ("--template", "--model", "m")]
)
def test_who_is_asked_must_be_said(lab, arguments):
    assert run(*arguments).exit_code == 2


def test_there_is_no_way_to_pass_a_mask():
    names = {name for option in describe.params for name in option.opts}
    assert not [name for name in names if "mask" in name]


def test_help_tells_examples():
    done = run("--help")
    assert done.exit_code == 0
    assert "gazetools describe --template" in done.stdout
    assert all(option.help or option.show_default for option in describe.params)


@pytest.mark.parametrize("option", ["--fixations", "--only"])
def test_what_is_read_is_not_overwritten(lab, option):
    (lab / "theirs").write_text("a\n")
    done = run(
        "--base-url", "http://localhost:1/v1", option, "theirs", "-o", "theirs", "--overwrite"
    )
    assert done.exit_code == 1
    assert done.stderr == "error: theirs: is a file that is read; name another output\n"


def test_a_folder_is_no_file_of_descriptions(lab):
    done = run("--base-url", "http://localhost:1/v1", "--model", "m", "-o", "images", "--overwrite")
    assert done.exit_code == 1
    assert done.stderr == "error: images: is a folder; name a file in it\n"


def test_the_template_opens_no_socket(twelve, monkeypatch):
    pytest.importorskip("gazetools.describing.template")
    monkeypatch.setattr(socket, "socket", None)
    done = run("--template", "--fixations", "fixations.parquet")
    assert done.exit_code == 0, done.output
    found = read_descriptions(twelve / "descriptions.jsonl")
    assert {(record.by, record.seen) for record in found.values()} == {
        ("gaze-template", ("image", "fixations"))
    }
    assert run("--template", "--fixations", "fixations.parquet").exit_code == 0
    assert read_descriptions(twelve / "descriptions.jsonl") == found


def test_kill_9_loses_nothing_and_asks_for_nothing_twice(lab, server):
    rng, at_once, kills = random.Random(1), 3, 2
    for number in range(4, 30):
        cv2.imwrite(str(lab / "images" / f"more-{number}.png"), image_of_size(40 + number))
    server.slow_s = 0.05
    out = lab / "descriptions.jsonl"
    program = "from gazetools_cli.describe import describe; describe()"
    command = [sys.executable, "-c", program, "--base-url", server.url, "--model", "m", SEND]
    command += ["--at-once", str(at_once)]
    written = set()
    for _ in range(kills):
        asked = server.asked.copy()
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wanted = asked.total() + rng.randint(at_once + 1, 10)  # so at least one is written
        while server.asked.total() < wanted and running.poll() is None:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
        assert not [name for name in written if server.asked[name] > asked[name]]
        if out.exists():
            with out.open("ab") as torn:
                torn.write(b'{"format": "gaze')
            whole = out.read_bytes().splitlines()[:-1]
            images = {description(parse_object(line)).image for line in whole}
            written = {cv2.imread(str(lab / "images" / f"{name}.png")).shape[1] for name in images}
    before = server.asked.copy()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert written
    assert not [name for name in written if server.asked[name] > before[name]]
    assert len(read_descriptions(out)) == 30
    assert server.asked.total() <= 30 + kills * at_once


def test_the_document_tells_the_format_as_it_is():
    text = DOCUMENT.read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*)\n```", text)
    assert set(parse_object(example)) == set(schema()["properties"])
    assert description(parse_object(example)).seen == ("image", "fixations")
    assert all(f"`{name}`" in text for name in schema()["properties"])
    assert set(GOOD) <= set(schema()["properties"])
