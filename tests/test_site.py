"""`make docs`: the pages build strictly, ask nobody for anything, and fit a phone; skipped without the extra `docs`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import gallery, screens

pytest.importorskip("mkdocs", reason="comes with the extra `docs`: pip install -e '.[docs]'")
pytest.importorskip("material.templates", reason="comes with the extra `docs`: pip install -e '.[docs]'")
pytestmark = pytest.mark.slow
SEEN = ("index", "tutorial", "howto/own-data", "reference/keys", "reference/python", "troubleshooting", "collect")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built pages."""
    folder = tmp_path_factory.mktemp("site")
    assert "WARNING" not in gallery.site(folder)
    return folder


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Yield a browser that reads pages from a disk, where the search has its index as of another origin."""
    pytest.importorskip("selenium.webdriver", reason="comes with the extra `dev`: pip install -e '.[dev]'")
    if not (screens.CHROMIUM and screens.DRIVER):
        pytest.skip(screens.MISSING)
    with screens.opened(tmp_path_factory.mktemp("profile"), "--allow-file-access-from-files") as opened:
        yield opened


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
@pytest.mark.parametrize("width", screens.WIDTHS)
@pytest.mark.parametrize("name", SEEN)
def test_a_page_can_be_read_and_asks_nobody(disk: Any, site: Path, name: str, width: int) -> None:
    for dark, family in screens.looks(disk, site / f"{name}.html", width=width):
        assert disk.get_log("browser") == []
        assert [url for url in screens.asked(disk) if not url.startswith("file:")] == []
        shade = disk.execute_script("return getComputedStyle(document.body).getPropertyValue('color-scheme')")
        assert shade == ("dark" if dark else "light")
        assert screens.faults(disk, family=family) == [], (dark, family)
