"""Near misses: what a misspelt name probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, names: Iterable[str], *, fallback: str = "") -> str:
    """Return `did you mean X?`, else the list of names where it is short, else `fallback`."""
    known = sorted(set(names))
    near = nearest(word, known)
    if near:
        return f"did you mean {' or '.join(near)}?"
    if known and len(known) <= 20:
        return f"known: {', '.join(known)}"
    return fallback


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """Return at most two names that are close to `word`, the closest first."""
    known = list(names)
    by_lower = {name.lower(): name for name in known}
    matches = [by_lower[match] for match in difflib.get_close_matches(word.lower(), by_lower, n=2, cutoff=0.6)]
    return matches[:1] if matches and matches[0].lower() == word.lower() else matches
