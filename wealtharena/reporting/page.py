"""The shell of a page that needs nothing but itself."""

from __future__ import annotations

from wealtharena.reporting.theme import CSS
from wealtharena.reporting.words import escape

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(*, title: str, body: str, script: str = "") -> str:
    """Return a whole HTML document; `body` and `script` are trusted, `title` is escaped.

    Its content policy forbids every request, so that a report can be opened anywhere and tells nobody.
    """
    code = f"<script>{script}</script>" if script else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head><body>{body}{code}</body></html>\n"
    )


def figure(caption: str, drawings: str, *, note: str = "") -> str:
    """Return drawings (the wide and the narrow one) with their caption; both texts are escaped."""
    small = f"<span>{escape(note)}</span>" if note else ""
    return f"<figure><figcaption>{escape(caption)}{small}</figcaption>{drawings}</figure>"


def section(anchor: str, heading: str, *content: str, lead: str = "") -> str:
    """Return a section with a heading to jump to, or nothing where it has no content."""
    inner = "".join(content)
    if not inner:
        return ""
    intro = f'<p class="lead">{escape(lead)}</p>' if lead else ""
    return f'<section id="{anchor}"><h2>{escape(heading)}</h2>{intro}{inner}</section>'
