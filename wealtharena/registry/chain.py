"""The chain of the history: each line holds the hash of what stands before it and, with a key, the proof of who wrote it.

`previous` is the SHA-256 of the line before. `anchor` stands in its place where a chain begins and is that of everything
before, so lines from before there were chains, or a damage that somebody looked at and accepted, are pinned as they stand.
With a key every line ends in `hmac`, HMAC-SHA256 of the line without it: the first one vouches for all before it, and none
after it may lack one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wealtharena.errors import CheckpointError
from wealtharena.files import BadLineError, Line, UnfitFileError, read_lines, read_regular, whole_lines

KEY, KEY_FILE = "WEALTHARENA_REGISTRY_KEY", "WEALTHARENA_REGISTRY_KEY_FILE"
MIN_KEY_BYTES = 16
_MAX_KEY_BYTES = 4096


def signing_key() -> bytes | None:
    """Return the key from the environment, or from the file that it names; None where there is neither.

    CheckpointError for one that is too short or cannot be read; it is never part of a message.
    """
    value, place = os.environ.get(KEY), os.environ.get(KEY_FILE)
    if value is None and place is None:
        return None
    where = KEY if value is not None else f"{KEY_FILE}={place}"
    try:
        raw = value.encode() if value is not None else read_regular(Path(str(place)), limit=_MAX_KEY_BYTES)
    except (FileNotFoundError, UnfitFileError, UnicodeEncodeError) as error:
        raise CheckpointError(f"{where}: the key cannot be read", hint="name a readable file") from error
    key = raw.strip()
    if len(key) < MIN_KEY_BYTES:
        raise CheckpointError(
            f"{where}: the key is shorter than {MIN_KEY_BYTES} bytes",
            hint="make one with: python -c 'import secrets; print(secrets.token_hex(32))'",
        )
    return key


def link(standing: bytes, event: Mapping[str, Any], *, key: bytes | None, anew: bool = False) -> bytes:
    """Return the line of `event` that follows `standing`; with `anew` it begins a chain over whatever stands.

    CheckpointError where the last line is signed and there is no key to go on with.
    """
    last = standing[:-1].rpartition(b"\n")[2]
    known = _parsed(last)
    if key is None and not anew and "hmac" in known:
        raise CheckpointError(
            "the history is signed, and there is no key to sign with", hint=f"set {KEY} or {KEY_FILE}"
        )
    chained = not anew and not known.keys().isdisjoint(("previous", "anchor"))
    tie = {"previous": _sha256(last)} if chained else {"anchor": _sha256(standing)}
    body = json.dumps({**event, **tie}, allow_nan=False, ensure_ascii=False).encode()
    return body if key is None else body[:-1] + _signature(body, key)


def verified(content: bytes, *, key: bytes | None) -> list[dict[str, Any]]:
    """Return the events of a history, oldest first; BadLineError for the first line that is not as it was written.

    Lines before the last anchor are pinned by it as they stand; of those, what is no event is passed over.
    """
    raw = whole_lines(content)
    start = max((number for number, line in enumerate(raw) if "anchor" in _parsed(line)), default=0)
    before = b"".join(line + b"\n" for line in raw[:start])
    after = b"".join(line + b"\n" for line in raw[start:])
    try:
        lines = list(read_lines(after))
    except BadLineError as error:
        raise BadLineError(error.number + start, error.problem) from error
    _check_links(lines, before, start)
    if key is not None:
        _check_signatures(lines, start, key)
    return [*filter(None, map(_parsed, raw[:start])), *(dict(line.content) for line in lines)]


def is_chained(content: bytes) -> bool:
    """Return whether a chain has begun in a history."""
    return any("anchor" in _parsed(line) for line in whole_lines(content))


def is_sound(content: bytes) -> bool:
    """Return whether each line is as it was written, whoever wrote it."""
    try:
        verified(content, key=None)
    except BadLineError:
        return False
    return True


def _check_links(lines: list[Line], before: bytes, start: int) -> None:
    """Refuse a line that does not hold the hash of the one before, from the anchor on; without an anchor there is no chain."""
    begun = bool(lines) and "anchor" in lines[0].content
    for place, line in enumerate(lines):
        if not begun:
            wrong = "previous" in line.content  # a chain whose beginning is gone
        elif place == 0:
            wrong = line.content["anchor"] != _sha256(before)
        else:
            wrong = line.content.get("previous") != _sha256(lines[place - 1].raw)
        if wrong:
            raise BadLineError(
                line.number + start, "does not follow from what stands before it: one of them was changed"
            )


def _check_signatures(lines: list[Line], start: int, key: bytes) -> None:
    if not lines:
        return
    first = next((place for place, line in enumerate(lines) if "hmac" in line.content), None)
    if first is None or "anchor" not in lines[0].content:
        raise BadLineError(lines[-1].number + start, "is not signed, nor is any after it")
    for line in lines[first:]:
        body = _without_signature(line.raw)
        if body is None or not hmac.compare_digest(line.raw, body[:-1] + _signature(body, key)):
            raise BadLineError(line.number + start, "is not signed with this key")


def _signature(body: bytes, key: bytes) -> bytes:
    return b', "hmac": "' + hmac.new(key, body, hashlib.sha256).hexdigest().encode() + b'"}'


def _without_signature(line: bytes) -> bytes | None:
    body, found, _ = line.rpartition(b', "hmac": "')
    return body + b"}" if found else None


def _parsed(line: bytes) -> dict[str, Any]:
    """Return what a line holds, nothing where that is no object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
