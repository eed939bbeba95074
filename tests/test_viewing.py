"""The viewer: who is let in, what pages say, and decisions to their file and back out."""

import http.client
import json
import os
import re
import shutil
import stat
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from gazetools_cli.view import view
from made_caches import write
from test_reporting import HOSTILE, SPEC, fixations, record, write_fixations
from test_reporting_timeline import samples, write_samples
from twelve_images import make

from gazetools.cache import open_cache
from gazetools.curation import Curation, Drop, Exclude, Shift, read_curation, write_curation
from gazetools.errors import ConfigError, FormatError
from gazetools.reporting.samples import SampleFile
from gazetools.tables import FIXATIONS, read_table
from gazetools.viewing import ViewSpec, open_viewer
from gazetools.viewing.gate import Gate
from gazetools.viewing.notebook import Notebook, key_of_decision
from gazetools.viewing.server import _Server

NAMES = ["a.png", *(name.replace("\x00", "") for name in HOSTILE)]
TARGET = {"subject": "R01", "recording": "one", "trial": 1, "stimulus": "a.png"}


class Browser:
    """Asks as a browser would that was given the address, but for what `headers` replace."""

    def __init__(self, url):
        parts = urlsplit(url)
        self.host, self.query = parts.netloc, parts.query
        self.cookie = self.write_token = None

    def ask(self, path, method="GET", body=None, **headers):
        connection = http.client.HTTPConnection(self.host, timeout=10)
        known = {"Host": self.host, "Cookie": self.cookie}
        if method == "POST":
            known |= {
                "Origin": f"http://{self.host}",
                "X-Gazetools-Token": self.write_token,
                "Content-Type": "application/json",
            }
        known |= {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body = json.dumps(body)
        connection.putrequest(method, path, skip_host=True)
        if body is not None:
            known = {"Content-Length": str(len(body))} | known
        for name, value in known.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body.encode() if body else None)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, answer.headers

    def open(self):
        status, _, headers = self.ask(f"/?{self.query}")
        assert status == 200
        self.cookie = headers["Set-Cookie"].split(";")[0]
        self.write_token = re.search('name="write-token" content="([^"]+)"', self.page("/"))[1]
        return self

    def page(self, path):
        status, text, _ = self.ask(path)
        assert status == 200, text
        return text

    def post(self, path, body, **headers):
        status, text, _ = self.ask(path, "POST", body, **headers)
        return status, json.loads(text) if text.startswith("{") else text

    def decide(self, action, **more):
        told = {"action": action, "stimulus": 1, "trial": 1, **more}
        assert self.post("/decide", told) == (200, {})


@contextmanager
def viewing(*paths, **spec):
    with open_viewer(paths, ViewSpec(**spec)) as viewer:
        serving = threading.Thread(target=viewer.serve)
        serving.start()
        try:
            yield Browser(viewer.url)
        finally:
            viewer.stop()
            serving.join()


@pytest.fixture
def table(tmp_path):
    return write_fixations(tmp_path / "fixations.parquet", fixations(NAMES))


@pytest.fixture
def browser(table):
    with viewing(table) as found:
        yield found.open()


@pytest.fixture(scope="module")
def unwritten(tmp_path_factory):
    """A browser for tests that decide nothing; the file of decisions shows that they did not."""
    folder = tmp_path_factory.mktemp("unwritten")
    with viewing(write_fixations(folder / "fixations.parquet", fixations(NAMES))) as found:
        yield found.open()
    assert [path.name for path in folder.iterdir()] == ["fixations.parquet"]


# ---------------------------------------------------------------- who is let in


def test_the_address_lets_a_browser_in(unwritten):
    status, text, headers = unwritten.ask(f"/?{unwritten.query}", Cookie=None)
    assert status == 200
    assert unwritten.query.removeprefix("token=") not in text
    assert re.search("; HttpOnly; SameSite=Strict$", headers["Set-Cookie"])
    assert unwritten.write_token not in (unwritten.cookie, unwritten.query)
    assert "token" not in repr(Gate(1, "secret token"))


PATHS = ("/", "/stimulus/1", "/card/1", "/report", "/style.css", "/script.js", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_shown_without_the_token(unwritten, path):
    name, _, token = unwritten.cookie.partition("=")
    wrong = [None, "", name, f"{name}=", f"{name}={token[:-1]}", f"{name}={token}x", f"x={token}"]
    wrong += [f"{name}=\xff", f"{name}={token}; {name}=x"]
    for cookie in wrong:
        status, text, headers = unwritten.ask(path, Cookie=cookie)
        assert (status, "Set-Cookie" in headers) == (403, False)
        assert "gazetools view" in text
    assert unwritten.ask(path, Cookie=f"a[]=b c; {unwritten.cookie}")[0] in (200, 404)


@pytest.mark.parametrize("query", ["token=", "token=x", "token={0}x", "token={0}&token={0}"])
def test_a_wrong_address_lets_nobody_in(unwritten, query):
    wrong = query.format(unwritten.query.removeprefix("token="))
    status, _, headers = unwritten.ask(f"/?{wrong}", Cookie=None)
    assert (status, "Set-Cookie" in headers) == (403, False)


def test_other_names_of_the_host_are_refused(unwritten):
    port = unwritten.host.split(":")[1]
    for host in (
        None,
        "",
        "127.0.0.1",
        "evil.example",
        f"evil.example:{port}",
        f"127.0.0.1.x:{port}",
    ):
        assert unwritten.ask("/", Host=host)[0] in (400, 403)
        assert unwritten.ask(f"/?{unwritten.query}", Host=host)[0] in (400, 403)
        assert unwritten.post("/decide", {}, Host=host)[0] in (400, 403)
    assert unwritten.ask("/", Host=f"localhost:{port}")[0] == 200


def test_only_own_pages_write(browser, tmp_path):
    told = {"action": "exclude", "stimulus": 1, "trial": 1}
    for headers in (
        {"Origin": None},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": f"https://{browser.host}"},
        {"Origin": f"http://{browser.host}.evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"X_Gazetools_Token": None},
        {"X_Gazetools_Token": browser.query.removeprefix("token=")},
        {"Cookie": None},
    ):
        assert browser.post("/decide", told, **headers)[0] == 403, headers
    assert not (tmp_path / "curation.toml").exists()
    assert browser.post("/decide", told, Sec_Fetch_Site="same-origin")[0] == 200


def test_answers_forbid_what_a_page_does_not_need(unwritten):
    for path in ("/", "/stimulus/1", "/nothing", "/style.css"):
        headers = unwritten.ask(path)[2]
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
        assert policy["script-src"] == "'self'"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert not [name for name in headers if name.lower().startswith("access-control")]
    for method in ("OPTIONS", "PUT", "DELETE", "HEAD"):
        status, _, headers = unwritten.ask("/", method)
        assert (status, "Access-Control-Allow-Origin" in headers) == (501, False)
    assert "default-src &#39;none&#39;; style-src &#39;sha256-" in unwritten.page("/report")


def test_it_listens_on_this_machine_alone():
    with _Server(("127.0.0.1", 0), None) as server:
        assert server.socket.getsockname()[0] == "127.0.0.1"


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/style.css/../view.js",
        "/stimulus/../../x",
        "/stimulus/0",
        "/stimulus/999",
        "/stimulus/1/2",
        "/stimulus/1/0",
        "/stimulus/-1",
        "/stimulus/١",
        "/stimulus/" + "9" * 5000,
        "/card/1/1",
        "/card/fixations.parquet",
        "/report/999",
        "http://[/",
        "/fixations.parquet",
        "/curation.toml",
    ],
)
def test_paths_name_no_files(unwritten, path):
    status, text, _ = unwritten.ask(path.replace("١", "%D9%A1"))
    assert status == 404
    assert "root:" not in text


def test_names_are_escaped_on_every_page(browser):
    pages = [
        "/",
        "/decisions",
        "/report/2",
        "/?find=%3Cscript%3Ealert(1)",
        "/?find=%22%3E%3Cimg%20src=x%3E",
    ]
    for number in range(1, len(NAMES) + 1):
        pages += [f"/stimulus/{number}", f"/card/{number}"]
        why = '"><img src=x onerror=alert(2)>'
        browser.decide("drop", stimulus=number, order=1, why=why)
    shown = [browser.page(page) for page in pages]
    shown.append(
        browser.post("/decide", {"action": "drop", "stimulus": 2, "trial": 1, "order": 9})[1][
            "error"
        ]
    )
    for page in shown[:-1]:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown[0]


def test_the_list_is_in_pages_and_can_be_searched(tmp_path):
    names = [f"s{number:03}" for number in range(130)]
    with viewing(write_fixations(tmp_path / "f.parquet", fixations(names, 1))) as browser:
        browser.open()

        def listed(path):
            return re.findall(r'<h2 id="n\d+">([^<]+)', browser.page(path))

        assert listed("/") == listed("/?page=0x1") == names[:60]
        assert listed("/?page=3") == listed("/?page=99") == names[120:]
        assert listed("/?find=S12") == names[120:]
        assert listed("/?find=none") == []
        assert 'href="/?find=s&amp;page=3"' in browser.page("/?find=s&page=2")


def test_what_has_no_table_is_shown_and_not_decided_on(tmp_path):
    cache = write(tmp_path / "maps.h5", [record("a"), record("b", 2)], SPEC)
    with viewing(cache) as browser:
        browser.open()
        assert "Nothing can be decided here" in browser.page("/stimulus/2")
        assert "data:image/webp" in browser.page("/card/2")
        assert "Play" in browser.page("/report/2")
        assert "no table" in browser.page("/decisions")
        for path in ("/decide", "/take-back"):
            assert browser.post(path, {"action": "exclude", "stimulus": 1, "trial": 1})[0] == 404
    with (
        pytest.raises(ConfigError, match="holds decisions on a table of fixations, and none"),
        viewing(cache, curation=tmp_path / "c.toml"),
    ):
        pass


def test_gaze_without_places_on_an_image_is_listed(tmp_path):
    nowhere = fixations(["a"], x_im=np.nan, y_im=np.nan, image_width=None, image_height=None)
    path = write_fixations(tmp_path / "f.parquet", nowhere.assign(x_px=5.0, y_px=5.0))
    with viewing(path) as browser:
        page = browser.open().page("/stimulus/1")
        assert page.count("data-drop=") == 4
        assert "No position of this trial lies on an image" in page
        told = {"action": "shift", "stimulus": 1, "trial": 1, "dx_im": 1, "dy_im": 1}
        status, found = browser.post("/decide", told)
        assert (status, "without a position" in found["error"]) == (409, True)
        browser.decide("drop", order=2)


def test_positions_may_be_shares(tmp_path):
    shares = fixations(["a"], x_im=0.5, y_im=0.25, image_width=1, image_height=1)
    with viewing(write_fixations(tmp_path / "f.parquet", shares)) as browser:
        page = browser.open().page("/stimulus/1")
        assert "(shares of the image)" in page
        assert 'step="0.001"' in page
        assert page.count('cx="500.0" cy="187.5"') == 4
        browser.decide("shift", dx_im=0.1, dy_im=-0.1)
        assert 'transform="translate(100.0 -75.0)"' in browser.page("/stimulus/1")


# ---------------------------------------------------------------- decisions


def decisions_in(folder):
    found = read_curation(folder / "curation.toml").decisions
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", one.when) for one in found)
    return [type(one)(**{**vars(one), "when": None}) for one in found]


def test_decisions_go_to_the_file_and_back_out(browser, tmp_path):
    browser.decide("exclude", why=" spoke \n")
    assert decisions_in(tmp_path) == [Exclude(**TARGET, why="spoke")]
    assert "Excluded" in browser.page("/stimulus/1")
    browser.decide("shift", dx_im=2.5, dy_im=-1)
    browser.decide("drop", order=3)
    several = [Shift(**TARGET, dx_im=2.5, dy_im=-1.0), Drop(**TARGET, order=3)]
    assert decisions_in(tmp_path)[1:] == several
    page = browser.page("/decisions")
    assert "1 trial excluded" in page
    assert page.count('href="/stimulus/1/1"') == 3
    assert page.index(">bad fixation<") < page.index(">exclude<")
    keys = re.findall(r'data-take-back="(\w+)"', page)
    for left, key in zip((2, 1, 0), keys, strict=True):
        assert browser.post("/take-back", {"key": key}) == (200, {})
        assert len(decisions_in(tmp_path)) == left
    status, told = browser.post("/take-back", {"key": keys[0]})
    assert (status, "no longer has" in told["error"]) == (409, True)


def test_a_second_shift_replaces_the_first(browser, tmp_path):
    for dx in (1, 2):
        browser.decide("shift", dx_im=dx, dy_im=0)
    assert decisions_in(tmp_path) == [Shift(**TARGET, dx_im=2, dy_im=0)]
    assert 'value="2.0" data-saved' in browser.page("/stimulus/1")
    told = {"action": "shift", "stimulus": 1, "trial": 1, "dx_im": 1, "dy_im": 1, "whole": True}
    status, found = browser.post("/decide", told)
    assert (status, "keep one of them" in found["error"]) == (409, True)
    assert len(decisions_in(tmp_path)) == 1
    key = key_of_decision(read_curation(tmp_path / "curation.toml").decisions[0])
    browser.post("/take-back", {"key": key})
    browser.decide("shift", dx_im=1, dy_im=1, whole=True)
    assert decisions_in(tmp_path) == [Shift(subject="R01", recording="one", dx_im=1, dy_im=1)]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        "[" * 4000,
        '{"action": "exclude", "stimulus": "../../x", "trial": 1}',
        '{"action": "exclude", "stimulus": true, "trial": 1}',
        '{"action": "exclude", "stimulus": 1}',
        '{"action": "exclude", "stimulus": 99, "trial": 1}',
        '{"action": "remove", "stimulus": 1, "trial": 1}',
        '{"action": "drop", "stimulus": 1, "trial": 1, "order": 99}',
        '{"action": "shift", "stimulus": 1, "trial": 1, "dx_im": NaN, "dy_im": 1}',
        '{"action": "shift", "stimulus": 1, "trial": 1, "dx_im": 0, "dy_im": 0}',
        '{"action": "shift", "stimulus": 1, "trial": 1, "dx_im": null, "dy_im": []}',
        '{"action": "exclude", "stimulus": 1, "trial": 1, "why": "\\ud800"}',
        '{"action": "exclude", "stimulus": 1, "trial": 1, "why": "' + "x" * 5000 + '"}',
    ],
)
def test_bad_requests_change_nothing(unwritten, body):
    status, told = unwritten.post("/decide", body)
    assert status in (404, 409)
    assert told["error"]


def test_requests_say_how_long_and_what_they_are(unwritten):
    told = {"action": "exclude", "stimulus": 1, "trial": 1}
    for headers in (
        {"Content_Length": None},
        {"Content_Length": "-1"},
        {"Content_Length": "9" * 30},
        {"Content_Length": "99999"},
        {"Content_Type": "text/plain"},
    ):
        assert unwritten.ask("/decide", "POST", json.dumps(told), **headers)[0] == 409


def test_the_file_is_whole_or_as_it_was(browser, tmp_path, monkeypatch):
    browser.decide("exclude")
    before = (tmp_path / "curation.toml").read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        status, told = browser.post(
            "/decide", {"action": "drop", "stimulus": 1, "trial": 1, "order": 1}
        )
    assert (status, "No space left" in told["error"]) == (409, True)
    assert (tmp_path / "curation.toml").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"fixations.parquet", "curation.toml"}
    assert 'data-drop="1"' in browser.page("/stimulus/1")


def test_what_others_write_meanwhile_is_kept(browser, tmp_path):
    path, other = tmp_path / "curation.toml", Exclude(recording="one", stimulus="../../x", who="B")
    browser.decide("exclude")
    write_curation(path, Curation((other,)), overwrite=True)
    browser.decide("drop", order=2)
    assert read_curation(path).decisions[0] == other
    page = browser.page(f"/stimulus/{1 + NAMES.index('../../x')}")
    assert "all of recording one, stimulus ../../x" in page
    path.write_text("damaged")
    status, text, _ = browser.ask("/")
    assert (status, "not readable as TOML" in text) == (409, True)
    assert browser.post("/take-back", {"key": "x"})[0] == 409
    assert path.read_text() == "damaged"


def test_many_at_once_lose_nothing(browser, tmp_path):
    orders = (1, 2, 3, 4)
    several = [
        threading.Thread(target=browser.decide, args=("drop",), kwargs={"order": o}) for o in orders
    ]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert {one.order for one in decisions_in(tmp_path)} == set(orders)


def test_a_report_shows_what_is_left(browser):
    assert browser.page("/report/1").count("<circle ") > 4
    browser.decide("drop", order=1)
    assert "3 fixations" in browser.page("/report/1")
    browser.decide("exclude")
    status, text, _ = browser.ask("/report/1")
    assert (status, "nothing is left of this stimulus" in text) == (409, True)


def test_a_render_honours_what_was_decided(twelve):
    with viewing(twelve / "fixations.parquet", images=twelve / "images") as browser:
        browser.open()
        page = browser.page("/")
        number = int(re.search(r'<h2 id="n(\d+)">image03<', page)[1])
        trials = re.findall(r">([^<]+, trial \d+)</a>", browser.page(f"/stimulus/{number}"))
        assert len(trials) == 2
        browser.decide("exclude", stimulus=number, trial=1)
        browser.decide("drop", stimulus=number, trial=2, order=1)
        browser.decide("shift", stimulus=number, trial=2, dx_im=-1.5, dy_im=0.5)
    after = make(twelve, curation=twelve / "curation.toml")
    assert after.curation["decisions"] == 3
    table = read_table(twelve / "fixations.parquet", FIXATIONS)[0]
    of_second = (table["stimulus"] == "image03") & (table["subject"] == "R02")
    with open_cache(twelve / "maps.h5") as cache:
        index = [item.name for item in cache.items].index("image03")
        found = cache.fixations(index)[:, :2]
    kept = table[of_second].sort_values("order")[1:]
    expected = np.column_stack([kept["x_im"] - 1.5, kept["y_im"] + 0.5])
    np.testing.assert_allclose(found, expected)


# ---------------------------------------------------------------- beginning and end


def test_decisions_of_another_table_are_refused_at_once(table, tmp_path):
    write_curation(tmp_path / "curation.toml", Curation((Exclude(recording="two"),)))
    with (
        pytest.raises(FormatError, match=r"curation\.toml: decision 1: recording 'two'"),
        viewing(table),
    ):
        pass
    second = Path(shutil.copy(table, tmp_path / "second.parquet"))
    with pytest.raises(FormatError, match="is a second table of fixations"), viewing(table, second):
        pass
    with (
        pytest.raises(FormatError, match="no such folder"),
        viewing(table, curation=tmp_path / "x" / "c"),
    ):
        pass


def test_a_port_may_be_chosen_if_it_is_free(table):
    with viewing(table) as browser:
        port = int(browser.host.split(":")[1])
        with (
            pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 cannot be used"),
            viewing(table, port=port),
        ):
            pass
    with viewing(table, port=port) as browser:
        assert browser.host == f"127.0.0.1:{port}"
    with pytest.raises(ConfigError, match="port is 70000; expected 0 to 65535"):
        ViewSpec(port=70000)


def test_nothing_is_written_after_the_end(table, tmp_path):
    notebook = Notebook(tmp_path / "curation.toml", fixations(["a"]))
    notebook.close()
    late = threading.Thread(target=notebook.take, args=(Exclude(recording="one"),), daemon=True)
    late.start()
    late.join(0.05)
    assert late.is_alive()
    assert not (tmp_path / "curation.toml").exists()


def test_the_command_opens_a_browser_and_ends_with_ctrl_c(table, monkeypatch):
    opened = []

    def looked_at(address):
        """The command line of a browser has no token: it is seen by every user."""
        assert "token" not in address
        page = Path(unquote(urlsplit(address).path))
        assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
        opened.append(page.read_text().partition("url=")[2].rstrip('">'))

    monkeypatch.setattr("webbrowser.open", looked_at)

    def pressed(self, poll_interval):
        raise KeyboardInterrupt

    monkeypatch.setattr(_Server, "serve_forever", pressed)
    done = CliRunner().invoke(view, [str(table)])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [*opened, "closed"]
    assert CliRunner().invoke(view, [str(table), "--no-browser"]).exit_code == 0
    assert len(opened) == 1
    done = CliRunner().invoke(view, [str(table.parent / "none")])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_the_first_page_of_ten_thousand(tmp_path, capsys):
    path = write_fixations(tmp_path / "f.parquet", fixations([f"s{n}" for n in range(10_000)], 3))
    begin = time.perf_counter()
    with viewing(path) as browser:
        ready = time.perf_counter()
        browser.open()
        first = time.perf_counter()
        assert "1 to 60 of 10,000" in browser.page("/")
        again = time.perf_counter()
    with capsys.disabled():
        print(f"\n10,000 stimuli: ready {ready - begin:.2f} s, first page {first - ready:.3f} s, "
              f"again {again - first:.3f} s")  # fmt: skip


# ---------------------------------------------------------------- samples, and whose gaze


def test_a_timeline_is_made_when_its_stimulus_is_played(tmp_path, monkeypatch):
    table = write_fixations(tmp_path / "fixations.parquet", fixations(["a.png", "b.png"]))
    parts = (samples(trial=n, stimulus=f"{name}.png") for n, name in ((1, "a"), (2, "b")))
    path = write_samples(tmp_path / "samples.parquet", *parts)
    asked = []
    read = SampleFile.trial
    monkeypatch.setattr(SampleFile, "trial", lambda self, key: asked.append(key) or read(self, key))
    with viewing(table, path) as found:
        browser = found.open()
        for page in ("/", "/card/1", "/stimulus/2", "/report"):
            browser.page(page)
        assert not asked
        assert '"timelines": [{' in browser.page("/report/2")
        assert asked == [("R01", "one", 2)]
        browser.decide("drop", order=2)
        assert '"timelines": [{' in browser.page("/report/1")
        browser.decide("exclude")
        assert browser.ask("/report/1")[0] == 409


def test_a_table_without_samples_has_no_timelines(table, tmp_path):
    empty = write_samples(tmp_path / "samples.parquet", samples()[:0])
    with viewing(table, empty) as found:
        browser = found.open()
        for page in ("/", "/card/1", "/stimulus/1", "/report", "/report/1"):
            assert '"timelines"' not in browser.page(page)


def test_the_list_says_whose_gaze_pictures_show(table, tmp_path):
    with viewing(table) as found:
        assert "Pictures show gaze as recorded" in found.open().page("/")
    for name, recipe, said in (
        ("as_is.h5", {}, "rendered into as_is.h5, without any decision"),
        ("decided.h5", {"curation": {"shifted_trials": 2}}, "decisions on it (shifted trials 2)"),
        ("odd.h5", {"curation": "<b>"}, "rendered into odd.h5, without any decision"),
    ):
        cache = write(tmp_path / name, [record("a")], SPEC, recipe=recipe)
        with viewing(table, cache) as found:
            assert said in found.open().page("/")
