"""`make docs`: the pages build strictly, ask nobody for anything, and fit a phone; skipped without the extra `docs`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mkdocs", reason="comes with the extra `docs`")
pytest.importorskip("material.templates", reason="comes with the extra `docs`")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SEEN = ("index", "tutorial", "howto/own-data", "reference/keys", "reference/python", "troubleshooting")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built pages."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
    for flag in (*flags, "--allow-file-access-from-files", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)  # from a disk the search reads its index as a page of another origin
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def test_every_key_and_every_contract_is_on_a_page(site: Path) -> None:
    keys = (site / "reference" / "keys.html").read_text(encoding="utf-8")
    for key in ("algo.clip", "asset.costs.commission_bps", "risk.drawdown.max_drawdown", "train.callbacks"):
        assert f"<code>{key}</code>" in keys
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    assert "wealtharena.study.Study" in python
    assert "wealtharena.evaluation.metrics.sharpe" in python


def test_no_page_names_a_script_style_or_picture_of_somebody_else(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    outside = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="(https?:)?//')
    assert [page.name for page in pages if outside.search(page.read_text(encoding="utf-8"))] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", SEEN)
def test_a_page_fits_its_screen_and_asks_nobody(browser: Any, site: Path, name: str, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get((site / f"{name}.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))] == []
