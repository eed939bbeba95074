"""The viewer in a real browser: what is dragged is what is decided."""

import shutil

import numpy as np
import pytest
from test_reporting import fixations, write_fixations
from test_viewing import viewing

from gazetools.curation import read_curation

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ACROSS, DOWN = 40, -25


@pytest.mark.parametrize("height", [1000, 720, 520])
def test_a_scanpath_is_dragged_by_what_the_pointer_moves(tmp_path, height):
    """Also where the page is taller than the window."""
    if CHROMIUM is None:
        pytest.skip("needs chromium")
    table = write_fixations(tmp_path / "fixations.parquet", fixations(["a"], count=40))
    options = {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}
    with (
        viewing(table) as viewer,
        playwright.sync_playwright() as started,
        started.chromium.launch(**options) as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": height})
        page.goto(f"http://{viewer.host}/?{viewer.query}")
        page.wait_for_selector(".card")  # the token is gone from the address by then
        page.goto(f"http://{viewer.host}/stimulus/1")
        px_per_share = page.evaluate(
            """() => {
                const picture = document.getElementById("picture"), m = picture.getScreenCTM();
                return [m.a * picture.dataset.across, m.d * picture.dataset.down];
            }"""
        )
        circles = page.locator("#scanpath .fixation circle")
        places = [circles.nth(i).bounding_box() for i in range(circles.count())]
        lowest = max((p for p in places if p["y"] < height - 40), key=lambda p: p["y"])
        x, y = lowest["x"] + lowest["width"] / 2, lowest["y"] + lowest["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + ACROSS, y + DOWN, steps=8)
        page.wait_for_timeout(150)  # whatever scrolls smoothly has begun to
        with page.expect_response("**/decide"):
            page.mouse.up()
    (decided,) = read_curation(tmp_path / "curation.toml").decisions
    expected = np.array([ACROSS, DOWN]) / px_per_share
    np.testing.assert_allclose([decided.dx_im, decided.dy_im], expected, atol=0.3)
