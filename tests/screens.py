"""What a page must hold on any screen, looked at in a headless Chromium: for tests, and for benchmarks/screens.py.

`faults` lists what a person would stumble over: a page wider than its screen, text that is cut, covered or too pale, a control
without a name. Fonts are swapped by an adopted style sheet, which a content policy lets in.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING: Final = "chromium and chromedriver are not installed: apt-get install chromium chromium-driver"
FAMILIES: Final = ("sans-serif", "serif", "monospace")
WIDTHS: Final = (390, 1280)
LONGEST: Final = 60  # seconds that a page may take on a busy machine
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_OWN = ("data:", "blob:", "about:")  # addresses behind which nobody answers

_FONT = """
const sheet = new CSSStyleSheet();
sheet.replaceSync(arguments[0] ? `:not(.md-icon):not(.md-icon *){font-family:${arguments[0]} !important}` : '');
document.adoptedStyleSheets = [sheet];
"""
# Boxes of text that a person sees, each with its element; none inside a closed <details>, or
# left of the screen, where nobody can scroll to: a closed drawer, a label for screen readers.
_TEXTS = """
const once = ask => { const kept = new Map();
  return e => { if (!kept.has(e)) kept.set(e, ask(e)); return kept.get(e); }; };
const hidden = once(e => !e.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}) || e.closest('script,style,noscript'));
const texts = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node; node = walker.nextNode();) {
  const e = node.parentElement;
  if (!node.data.trim() || hidden(e)) continue;
  const range = document.createRange(); range.selectNodeContents(node);
  for (const r of range.getClientRects()) if (r.width > 1.5 && r.height > 1.5 && r.right > 0) texts.push({e, r, words: node.data.trim().slice(0, 40)});
}
const told = t => `${t.e.tagName.toLowerCase()}${t.e.classList.length ? '.' + [...t.e.classList].join('.') : ''} "${t.words}"`;
const scrolls = once(e => !e || e === document.body ? null : /auto|scroll/.test(getComputedStyle(e).overflowX) ? e : scrolls(e.parentElement));
const clips = once(e => {
  if (!e || e === document.body) return [];
  const style = getComputedStyle(e), above = clips(e.parentElement);
  return e.namespaceURI.endsWith('svg') || !/hidden|clip/.test(style.overflowX + style.overflowY) ? above : [e.getBoundingClientRect(), ...above];
});
const found = new Set();
"""
_WIDE = """
if (document.documentElement.scrollWidth > innerWidth) found.add('scrolls to ' + document.documentElement.scrollWidth);
"""
_CUT = """
for (const t of texts) {
  if (scrolls(t.e)) continue;
  if (t.r.left < -1 || t.r.right > document.documentElement.clientWidth + 1) found.add('off the screen: ' + told(t));
  for (const box of clips(t.e)) {
    if (t.r.right > box.right + 1 || t.r.left < box.left - 1 || t.r.bottom > box.bottom + 3 || t.r.top < box.top - 3)
      found.add('cut: ' + told(t));
  }
}
"""
# A line of text is taken as its middle three fifths: what lies above and below are accents and the space between lines.
_OVER = """
const floats = once(e => e && e !== document.body && (/fixed|sticky/.test(getComputedStyle(e).position) || floats(e.parentElement)));
const boxes = texts.filter(t => !floats(t.e)).map(t => ({...t, top: t.r.top + t.r.height * .2, bottom: t.r.bottom - t.r.height * .2}));
boxes.sort((a, b) => a.top - b.top);
boxes.forEach((a, i) => {
  for (let j = i + 1; j < boxes.length && boxes[j].top < a.bottom; j++) {
    const b = boxes[j];
    if (a.e === b.e || scrolls(a.e) !== scrolls(b.e)) continue;
    const across = Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left);
    if (across > 2 && Math.min(a.bottom, b.bottom) - b.top > 2) found.add('over each other: ' + told(a) + ' and ' + told(b));
  }
});
"""
# WCAG 2.1, 1.4.3: 4.5 to one, 3 to one for large text; what is see-through is blended with what lies behind it.
_PALE = r"""
const parts = s => { const n = s.match(/[\d.e-]+/g).map(Number);
  return s.startsWith('color(') ? [...n.slice(0, 3).map(v => v * 255), n[3] ?? 1] : [n[0], n[1], n[2], n[3] ?? 1]; };
const blend = (top, under) => under.slice(0, 3).map((v, k) => top[k] * top[3] + v * (1 - top[3])).concat(1);
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
const behind = once(e => {
  if (!e) return dark ? [18, 18, 18, 1] : [255, 255, 255, 1];
  const own = parts(getComputedStyle(e).backgroundColor);
  return own[3] === 1 ? own : own[3] ? blend(own, behind(e.parentElement)) : behind(e.parentElement);
});
const clear = once(e => e ? Number(getComputedStyle(e).opacity) * clear(e.parentElement) : 1);
const light = c => { c /= 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
const shade = ([r, g, b]) => .2126 * light(r) + .7152 * light(g) + .0722 * light(b);
for (const t of texts) {
  if (t.e.closest('[aria-hidden=true]')) continue;
  const style = getComputedStyle(t.e), under = behind(t.e);
  const ink = parts(t.e.namespaceURI.endsWith('svg') ? style.fill : style.color);
  ink[3] *= clear(t.e);
  const a = shade(blend(ink, under)), b = shade(under), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5) - .005) found.add(`pale, ${ratio.toFixed(2)}: ` + told(t));
}
"""
_UNNAMED = """
const named = e => e.textContent.trim() || e.getAttribute('aria-label') || e.title || (e.labels && e.labels.length)
  || e.querySelector('img[alt]') || e.getAttribute('aria-labelledby');
for (const e of document.querySelectorAll('input,button,select,summary,a[href],svg[role=img]'))
  if (e.checkVisibility() && e.type !== 'hidden' && !named(e)) found.add('without a name: ' + e.outerHTML.slice(0, 90));
"""
# WCAG 2.1, 2.1.1: what scrolls sideways is reached by the keyboard, itself or by something in it.
_UNREACHED = """
for (const e of document.querySelectorAll('body *')) if (e.checkVisibility() && e.scrollWidth > e.clientWidth + 1
  && /auto|scroll/.test(getComputedStyle(e).overflowX) && e.tabIndex < 0
  && ![...e.querySelectorAll('a[href],button,input,select,summary,[tabindex]')].some(f => f.tabIndex >= 0 && f.checkVisibility()))
  found.add('not reached by the keyboard: ' + e.outerHTML.slice(0, 90));
"""
# WCAG 2.1, 1.4.1: a link within a sentence is told from it by more than its colour.
_LINKS = """
const around = e => [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim().length > 2);
for (const t of texts) {
  const a = t.e.closest('a[href]');
  if (!a || !getComputedStyle(a).display.startsWith('inline') || !around(a.parentElement)) continue;
  let told_apart = false;
  for (let e = t.e; e; e = e === a ? null : e.parentElement) { const style = getComputedStyle(e);
    told_apart ||= style.textDecorationLine.includes('underline') || parseFloat(style.borderBottomWidth) > 0; }
  if (!told_apart) found.add('a link by colour alone: ' + told(t));
}
"""
_OF_ANY_FONT = (_PALE, _UNNAMED, _LINKS)  # what no font changes
_CHECKS = (_WIDE, _CUT, _OVER, _UNREACHED)


@contextmanager
def opened(profile: Path, *flags: str, strategy: str = "normal") -> Iterator[Any]:
    """Yield a headless Chromium that keeps its own log and that of its requests; `strategy` is WebDriver's of loading pages."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.page_load_strategy = strategy
    for flag in (*_FLAGS, *flags, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
    try:
        yield browser
    finally:
        browser.quit()


def wait(browser: Any, script: str) -> None:
    """Wait until the script returns what is true: on a busy machine `get` has returned while a page was loading still."""
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, LONGEST, poll_frequency=0.02).until(lambda shown: shown.execute_script(script))


def visit(browser: Any, address: str | Path, *, width: int = 1280, dark: bool = False) -> None:
    """Open a page on a screen of that width, its logs empty before."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    browser.get("about:blank")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(address.as_uri() if isinstance(address, Path) else address)
    wait(browser, "return document.readyState === 'complete' && location.href !== 'about:blank'")


def wear(browser: Any, family: str) -> None:
    """Set all text of the page in that font; in its own where `family` is empty."""
    browser.execute_script(_FONT, family)


def looks(browser: Any, address: str | Path, *, width: int) -> Iterator[tuple[bool, str]]:
    """Yield (dark, family) for each look that a page is shown in: dark, light, and light in three fonts; loaded once a scheme."""
    for dark in (True, False):
        visit(browser, address, width=width, dark=dark)
        yield dark, ""
    for family in FAMILIES:
        wear(browser, family)
        yield False, family


def asked(browser: Any) -> list[str]:
    """Return the addresses that the page asked for since it was visited."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(_OWN)]


def faults(browser: Any, *, family: str = "") -> list[str]:
    """Return what is wrong with the page as it is shown now; with `family`, what a font may change."""
    checks = _CHECKS if family else (*_CHECKS, *_OF_ANY_FONT)
    found: list[str] = browser.execute_script(f"{_TEXTS}{''.join(f'{{{check}}}' for check in checks)}return [...found]")
    return found
