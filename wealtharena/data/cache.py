"""Arrays on disk under the name of what they were made from, so that an unchanged request is answered at once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from wealtharena import files
from wealtharena.data.panel import Panel

logger = logging.getLogger(__name__)
_KEPT: Final = 12  # newest entries of a folder; the others are removed
_TUPLES: Final = ("symbols", "macro_names", "notes", "leaks", "quoted_in")


def key_of(content: Any) -> str:
    """Return a name for JSON content: the first 32 hex digits of its sha256."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]


def save_arrays(path: Path, arrays: dict[str, np.ndarray[Any, Any]], facts: dict[str, Any]) -> None:
    """Write arrays and JSON facts to `path` atomically, and remove the oldest entries beside it.

    A folder that cannot be written to keeps nothing: what is cached can be made again.
    """
    try:
        _write(path, arrays, facts)
    except OSError as error:
        logger.info("nothing is kept in %s (%s)", path.parent.name, type(error).__name__)


def _write(path: Path, arrays: dict[str, np.ndarray[Any, Any]], facts: dict[str, Any]) -> None:
    with files.atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.savez(handle, __facts__=np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]  # numpy's stub takes a keyword for a flag
    entries = sorted(path.parent.glob(f"*{path.suffix}"), key=lambda item: item.stat().st_mtime_ns, reverse=True)
    for old in entries[_KEPT:]:
        old.unlink(missing_ok=True)


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, Any]] | None:
    """Return what `save_arrays` wrote, or None where there is no such file or it is damaged."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    facts: dict[str, Any] = json.loads(arrays.pop("__facts__").tobytes())
    return arrays, facts


def save_panel(path: Path, panel: Panel) -> None:
    """Write a panel to `path`."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    facts: dict[str, Any] = {}
    for field in dataclasses.fields(panel):
        value = getattr(panel, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        else:
            facts[field.name] = value
    save_arrays(path, arrays, facts)


def load_panel(path: Path) -> Panel | None:
    """Return the panel that `save_panel` wrote, or None."""
    found = load_arrays(path)
    if found is None:
        return None
    arrays, facts = found
    facts.update({name: tuple(facts[name]) for name in _TUPLES})
    for values in arrays.values():
        values.flags.writeable = False
    fields: dict[str, Any] = {**arrays, **facts}
    return Panel(**fields)
