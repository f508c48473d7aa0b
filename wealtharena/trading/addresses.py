"""Addresses that a user names: what is none is said at the start, and not by what fails when it is needed."""

from __future__ import annotations

from urllib.parse import urlsplit


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
