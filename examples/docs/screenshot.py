"""Draw the README's picture of the report: a browser looks at a synthetic cohort.

usage: python examples/docs/screenshot.py OUT.jpg

Needs chromium, and playwright (`pip install playwright`).
"""

import shutil
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import sync_playwright

from gazetools import RenderSpec, render
from gazetools.ingestion import ingest_to
from gazetools.reporting import write_report
from gazetools.synthetic import CohortSpec, write_cohort

SIZE = {"width": 1160, "height": 760}
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as made:
        cohort = write_cohort(Path(made) / "lab", CohortSpec(images=12))
        table, maps = cohort.folder / "fixations.parquet", cohort.folder / "maps.h5"
        page = cohort.folder / "report.html"
        ingest_to([cohort.export], table)
        render(table, cohort.images, cohort.masks, maps, RenderSpec())
        write_report([maps], page)
        seen = cv2.imdecode(np.frombuffer(photograph(page), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(out), seen, JPEG)


def photograph(page: Path) -> bytes:
    """Return a PNG of the first stimulus."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    options = {"executable_path": browser, "args": ["--no-sandbox"]}
    with sync_playwright() as started, started.chromium.launch(**options) as opened:
        tab = opened.new_page(viewport=SIZE)
        tab.goto(page.as_uri())
        tab.locator(".card .open").first.click()
        tab.locator("#stage-map").fill("1")
        for box in tab.locator("#stage-panel input[type=checkbox]").all():
            if box.is_visible():
                box.check()
        return tab.screenshot()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/docs/screenshot.py OUT.jpg")
    main(Path(sys.argv[1]))
