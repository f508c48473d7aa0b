"""Every page on every screen: what a person would stumble over, and what axe-core finds; a table, and exit 1 where there is any.

python benchmarks/screens.py [--axe axe.min.js] [--only report trading site/index.html ...] [--site FOLDER] [--pictures FOLDER]

Each page is opened at 390 and 1280 pixels, light and dark, in its own fonts and in three families. axe-core does not come
with the project: `npm pack axe-core`, unpack it, and give the path of `package/axe.min.js`. Needs Chromium and its driver.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests import gallery, screens  # noqa: E402  # after the path

OURS = re.compile(r"file:|http://(?:[^@/]+@)?127\.0\.0\.1[:/]")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0], resultTypes: ['violations']}).then(r => done(r.violations.flatMap(v =>
  v.nodes.map(n => `axe ${v.id} (${v.impact}): ${n.target.join(' ')} ${(n.any[0] || n.all[0] || n.none[0] || {}).message || v.help}`))));
"""


def addresses(
    stack: ExitStack, folder: Path, *, only: list[str], site: Path | None
) -> Iterator[tuple[str, str | Path]]:
    """Yield every page by name: those of files, the service's, the documentation's."""
    (folder / "pages").mkdir()
    for name, path in sorted(gallery.written(folder / "pages").items()):
        if not only or name in only:
            yield name, path
    if not only or {"service", "schema", "trading"} & set(only):
        (folder / "service").mkdir()
        address, _, secret = stack.enter_context(gallery.service(folder / "service"))
        for name, path in (("service", "/"), ("schema", "/docs"), ("trading", "/trading")):
            if not only or name in only:
                yield name, address.replace("http://", f"http://x:{secret}@") + path
    if not only or any(name.startswith("site") for name in only):
        if site is None:
            site = folder / "site"
            gallery.site(site)
        for page in sorted(site.resolve().rglob("*.html")):
            name = f"site/{page.relative_to(site.resolve())}"
            if page.name != "404.html" and (not only or {"site", name} & set(only)):
                yield name, page


def _looks(browser: Any, address: str | Path) -> Iterator[tuple[int, bool, str]]:
    for width in screens.WIDTHS:
        for dark, family in screens.looks(browser, address, width=width):
            yield width, dark, family


def looked_at(
    browser: Any, address: str | Path, *, axe: str, pictures: Path | None, name: str
) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with one page: (fault, screen on which it was seen)."""
    for width, dark, family in _looks(browser, address):
        where = f"{width}{' dark' if dark else ''}{' ' + family if family else ''}"
        said = [entry["message"] for entry in browser.get_log("browser")]
        found = [f"console: {words}" for words in said]
        found += [f"asks {url}" for url in screens.asked(browser) if not OURS.match(url)]
        found += screens.faults(browser, family=family)
        if axe and not family:
            browser.execute_cdp_cmd("Runtime.evaluate", {"expression": axe})
            found += browser.execute_async_script(AXE, RULES)
        yield from ((fault, where) for fault in found)
        if pictures and not family:
            (pictures / f"{name.replace('/', '-')}-{width}{'-dark' if dark else ''}.png").write_bytes(
                browser.get_screenshot_as_png()
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axe", type=Path, help="axe.min.js of axe-core")
    parser.add_argument(
        "--only",
        nargs="*",
        default=[],
        help="names of pages; site for all of the documentation, site/index.html for one",
    )
    parser.add_argument("--site", type=Path, help="folder of a documentation that is built already")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each page on each screen")
    given = parser.parse_args()
    if not (screens.CHROMIUM and screens.DRIVER):
        raise SystemExit(f"error: {screens.MISSING}")
    axe = given.axe.read_text(encoding="utf-8") if given.axe else ""
    if given.pictures:
        given.pictures.mkdir(parents=True, exist_ok=True)
    pages = wrong = 0
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = Path(temporary)
        flags = (
            "--allow-file-access-from-files",
        )  # from a disk the documentation reads its index as of another origin
        browser = stack.enter_context(screens.opened(folder / "profile", *flags))
        browser.set_script_timeout(60)
        for name, address in addresses(stack, folder, only=given.only, site=given.site):
            found: dict[str, list[str]] = {}
            for fault, where in looked_at(browser, address, axe=axe, pictures=given.pictures, name=name):
                found.setdefault(fault, []).append(where)
            pages, wrong = pages + 1, wrong + len(found)
            lines = (f"  {fault}  [{', '.join(places)}]" for fault, places in found.items())
            print(f"{name:<40} {len(found) or 'nothing'}", *lines, sep="\n", flush=True)
    print(f"{pages} pages, {wrong} faults{'' if axe else '; axe-core was not asked'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
