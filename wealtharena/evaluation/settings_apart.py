"""What tells rows of one name apart: the words of their commands that not all of them have."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

_NO_SETTING: Final = ("seed", "hydra", "paths", "tracking", "resume", "task", "log", "quiet", "compute")
_TOLD_ANYHOW: Final = ("train.test", "compare.open")


def apart(rows: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return for each row, its name and its command, the overrides that not all rows of that name have, in their order.

    Seeds, places and what is no setting of a training are left out; of a command that is not there or cannot be read
    nothing is told, and nothing is held against the others.
    """
    words = [_overrides(command) for _, command in rows]
    shared: dict[str, set[str]] = {}
    for (name, _), own in zip(rows, words, strict=True):
        if own is not None:
            shared[name] = shared.get(name, set(own)) & set(own)
    return [
        [word for word in own or () if word not in shared[name]] for (name, _), own in zip(rows, words, strict=True)
    ]


def _overrides(command: str) -> list[str] | None:
    """Return the settings of a command; None where there is none, or none that can be read."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    named = [word for word in words if "=" in word and not _is_told_anyhow(word.partition("=")[0].lstrip("+~"))]
    return named if words else None


def _is_told_anyhow(key: str) -> bool:
    return key in _TOLD_ANYHOW or key.partition(".")[0] in _NO_SETTING
