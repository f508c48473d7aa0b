"""Addresses that a user names: what is none is said at the start, and what answers without an end keeps nobody waiting."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import httpx

LARGEST: Final = 64 * 1024  # bytes of an answer that are read


def is_web(url: str) -> bool:
    """Return whether a URL of http or https names a host and, if any, a port that can be asked."""
    import httpx

    try:
        httpx.URL(url)
        parts = urlsplit(url)
        port = parts.port
    except (httpx.InvalidURL, ValueError):
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not set(url) & set(" \t\r\n")


def posted(client: httpx.Client, url: str, *, seconds: float, **message: Any) -> tuple[int, bytes]:
    """Return status and content of the answer to a message; httpx.HTTPError where its content has no end within `seconds`.

    The client's own time-out is that of each part of an answer, of which there may be any number. That of the parts of
    its head is the client's own alone.
    """
    import httpx

    until, found = time.monotonic() + seconds, b""
    with client.stream("POST", url, **message) as answer:
        for part in answer.iter_bytes():
            found += part
            if len(found) > LARGEST or time.monotonic() > until:
                raise httpx.ReadTimeout("an answer without an end")
        return answer.status_code, found
