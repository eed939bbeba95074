"""The report in a real browser: no complaint, no request, every control by mouse and keyboard."""

import shutil

import cv2
import numpy as np
import pytest
from made_caches import write
from test_reporting import (
    HOSTILE,
    SPEC,
    blob,
    fixations,
    record,
    write_attention,
    write_fixations,
    write_quality_table,
    write_run,
    write_saccades,
)
from test_reporting_timeline import LOOKS, SOURCE, samples, write_samples

from gazetools.reporting import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
LABELS_PX, RIGHT_PX = 118, 10  # beside the axis of the timeline
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
    with playwright.sync_playwright() as started, started.chromium.launch(**options) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A report of everything, with hostile names among harmless ones."""
    folder = tmp_path_factory.mktemp("report")
    names = ["a", "b", *(name.replace("\x00", "") for name in HOSTILE)]
    rows = fixations(names, source=SOURCE)
    gaze = rows.assign(track=0)[["x_im", "y_im", "onset_ms", "duration_ms", "track"]].to_numpy()
    records = [
        record(name, pseudo_mask=blob(), mask=blob(), fixations=part)
        for name, part in zip(names, np.split(gaze, len(names)), strict=True)
    ]
    paths = [
        write(folder / "maps.h5", records, SPEC),
        write_fixations(folder / "fixations.parquet", rows),
        write_samples(
            folder / "samples.parquet",
            samples(),
            samples(LOOKS[::-1], trial=2, stimulus="b"),
            samples(trial=3, stimulus=names[2]),
        ),
        write_quality_table(folder / "quality.parquet", ("R01", "one"), stimulus="b"),
        write_saccades(folder / "saccades.parquet"),
        write_attention(write_run(folder / "run", name=HOSTILE[0])),
    ]
    write_report(paths, folder / "report.html")
    return folder / "report.html"


@pytest.fixture
def page(browser, file):
    """Open the page; afterwards nothing may have been complained of or asked for."""
    complaints, requests = [], []
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = context.new_page()
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("dialog", lambda dialog: complaints.append(dialog.message))
        opened.on("request", lambda request: requests.append(request.url))
        opened.goto(file.as_uri())
        yield opened
    assert not complaints
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]


def until(page, what, seconds=10):
    """Wait for what is true at last; the page's policy forbids playwright's own way."""
    for _ in range(seconds * 20):
        if page.evaluate(what):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never: {what}")


def names(page):
    return page.evaluate(
        "[...document.querySelectorAll('.card:not([hidden]) h3')].map(e => e.textContent)"
    )


def test_cards_are_sorted_and_filtered(page):
    assert names(page)[0] == "b"
    page.select_option("#card-sort", "name")
    assert names(page)[-1].startswith("xxx")
    page.fill("#card-filter", "ALERT")
    assert len(names(page)) == 2
    assert page.inner_text("#card-count") == "2 shown"


def test_the_quality_table_is_sorted_and_filtered(page):
    first = "#quality-table tbody tr >> nth=0"
    assert page.inner_text("#quality-count") == "1 rows"
    page.check("#quality-trials")
    page.click("#quality-table thead th:last-child button")
    assert "trial" in page.get_attribute(first, "class")
    page.keyboard.press("Enter")
    assert page.get_attribute("#quality-table thead th:last-child", "aria-sort") == "descending"
    assert "recording" in page.get_attribute(first, "class")
    page.check("#quality-flagged")
    assert page.inner_text("#quality-count") == "2 rows"
    page.fill("#quality-filter", "trial 1")
    assert page.inner_text("#quality-count") == "1 rows"


def test_the_stage_by_keyboard(page):
    page.focus(".card .open >> nth=0")
    page.keyboard.press("Enter")
    assert page.inner_text("#stage-name") == "b"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#stage-name") == "a"
    page.focus("#stage-time")
    page.keyboard.press("Home")
    assert page.inner_text("#stage-clock").startswith("0.00 of")
    page.focus("#stage-play")
    page.keyboard.press("Space")
    until(page, "Number(document.getElementById('stage-time').value) > 0")
    until(page, "document.getElementById('stage-play').textContent === 'Play'")
    assert page.inner_text("#stage-play") == "Play"
    page.focus("#stage-map")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#stage-map-name").startswith("level 1")
    page.keyboard.press("Escape")
    assert not page.is_visible("#stage")
    assert page.evaluate("document.activeElement.className") == "open"


def test_the_stage_by_mouse(page):
    page.click(".card .open >> nth=1")
    shown = "document.querySelector('#stage-picture image.heat').style.display !== 'none'"
    assert not page.evaluate(shown)
    page.click("#stage-levels button >> nth=2")
    assert page.evaluate(shown)
    assert page.input_value("#stage-map") == "3"
    page.click("#stage-levels button >> nth=2")
    assert not page.evaluate(shown)
    drag(page, 0.1, 0.5)
    assert share(page) == pytest.approx(0.5, abs=0.02)
    page.uncheck("#stage-pseudo")
    assert not page.is_visible("#stage-picture .outline.pseudo")
    assert page.is_visible("#stage-picture .outline.reference")
    page.click("#stage-next")
    page.click("#stage-close")
    assert not page.is_visible("#stage")


def drag(page, begin, end):
    """Drag over the timeline, from one share of its time to another."""
    chart = page.locator("#stage-chart")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    left, width = box["x"] + LABELS_PX, box["width"] - LABELS_PX - RIGHT_PX
    page.mouse.move(left + begin * width, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(left + end * width, box["y"] + 20)
    page.mouse.up()


def share(page):
    """Where the slider of time is."""
    return page.evaluate(
        "(t => Number(t.value) / Number(t.max))(document.getElementById('stage-time'))"
    )


def test_the_timeline_shows_what_the_tracker_saw(page):
    page.click(".card .open >> nth=1")
    kinds = "[...document.querySelectorAll('#stage-chart .event')].map(e => e.classList[1])"
    assert set(page.evaluate(kinds)) == {"fixation", "saccade", "lost", "blink"}
    assert page.locator("#stage-chart .signal").count() == 3
    assert page.locator("#stage-chart .threshold").count() == 1
    said = page.get_attribute("#stage-chart", "aria-label")
    assert "4 fixations in 1.10 s; velocity up to" in said
    assert "1 gap without gaze; 1 blink" in said
    assert "dashed: 30 deg/s" in page.inner_text("#stage-timeline-note")
    assert page.is_visible("#stage-keys [data-key=blink]")
    assert not page.is_visible("#stage-keys [data-key=unclassified]")


def test_the_play_cursor_moves_in_the_timeline_and_says_what_is_there(page):
    page.click(".card .open >> nth=1")
    where = "parseFloat(document.querySelector('#stage-chart .cursor').getAttribute('d').slice(1))"
    page.focus("#stage-time")
    page.keyboard.press("Home")
    begin = page.evaluate(where)
    assert page.inner_text("#stage-reading").startswith("velocity ")
    page.focus("#stage-play")
    page.keyboard.press("Space")
    until(page, f"{where} > {begin} + 50")
    page.keyboard.press("Space")
    drag(page, 0.2, 0.65)
    assert page.inner_text("#stage-reading") == "pupil left 3.65 mm · blink"
    moved = page.evaluate(where)
    assert moved > begin
    page.set_viewport_size({"width": 820, "height": 900})
    until(page, f"{where} < {moved}")
    assert share(page) == pytest.approx(0.65, abs=0.02)


def test_without_samples_the_timeline_has_fixations_alone(page):
    page.click(".card .open >> nth=4")
    assert page.locator("#stage-chart .event").count() == 0
    assert page.locator("#stage-chart rect title").count() == 4
    assert page.inner_text("#stage-reading") == ""
    assert not page.locator("#stage-keys span:visible").count()


def test_attention_is_drawn_in_colour(page):
    picture = page.locator(".attended svg >> nth=1")
    picture.scroll_into_view_if_needed()
    pixels = cv2.imdecode(np.frombuffer(picture.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert np.ptp(pixels.astype(int), axis=2).max() > 60


def test_light_dark_and_copied(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.click("#theme")
    assert page.evaluate(colour) != before
    page.click("#copy")
    until(page, "document.getElementById('copy-done').textContent === 'copied'")


@pytest.mark.parametrize("width", [360, 820, 1280, 1920])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_maps_are_drawn_in_colour(page):
    """The filter takes effect: a grey map does not stay grey."""
    page.click(".card .open >> nth=0")
    picture = page.locator("#stage-levels button >> nth=0").screenshot()
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert np.ptp(pixels.astype(int), axis=2).max() > 60
