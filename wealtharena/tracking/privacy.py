"""Nothing personal leaves the machine: folders are taken out of what is sent to a service."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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


def _text(text: str) -> str:
    if re.match(r"[a-z]+://", text):  # a key may stand in the user part or the query
        parts = urlsplit(text)
        return f"{parts.scheme}://{parts.hostname or ''}"
    return _ABSOLUTE.sub("", text)
