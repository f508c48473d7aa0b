"""Nothing personal leaves the machine: folders are taken out of what is sent to a service."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ABSOLUTE = re.compile(r"(?<![\w/:.~-])(?:~|[A-Za-z]:)?[/\\](?:[^\s'\",=:/\\]+[/\\])+(?=[^\s'\",=:/\\])")


def without_paths(value: Any) -> Any:
    """Return `value` with every absolute path in its strings cut to the last part, and URLs to scheme and host.

    Mappings and sequences are gone through; other values are returned as they are.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {str(key): without_paths(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [without_paths(item) for item in value]
    return value


def private_texts(value: Any) -> dict[str, str]:
    """Return the strings within `value` that `without_paths` changes, with what it makes of them."""
    if isinstance(value, str):
        cut = _text(value)
        return {} if cut == value else {value: cut}
    found: dict[str, str] = {}
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, Sequence) else ()
    for part in parts:
        found |= private_texts(part)
    return found


def shareable(page: Path, *told: Any) -> str:
    """Return a report as it may leave the machine: strings within what it was `told` from stand cut where it shows them."""
    texts = {private: cut for value in told for private, cut in private_texts(value).items()}
    return cut_texts(page.read_text(encoding="utf-8"), texts)


def cut_texts(document: str, texts: Mapping[str, str]) -> str:
    """Return an HTML document with each of `texts` replaced, longer ones first, also where it stands escaped."""
    for private in sorted(texts, key=len, reverse=True):
        document = document.replace(private, texts[private])
        document = document.replace(html.escape(private), html.escape(texts[private]))
    return document


def _text(text: str) -> str:
    if re.match(r"[a-z]+://", text):  # a key may stand in the user part or the query
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.hostname or ''}"
    return _ABSOLUTE.sub("", text)
