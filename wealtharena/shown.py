"""What others are shown: paths as seen from the working folder and of no person's home, times of bars, and of long lists the first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path


def home() -> Path | None:
    """Return the user's home folder; None where the machine knows none: HOME unset and a user without a name."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def without_home(text: str) -> str:
    """Return `text` with the home folder written as ~: what is shown or sent says nothing of whose machine it is."""
    own = home()
    return text if own is None or own == own.parent else _renamed(text, str(own), "~")


def without_places(text: str) -> str:
    """Return `text` with paths below the working folder as seen from there, and the home folder as ~."""
    return without_home(_renamed(text, f"{Path.cwd()}/", ""))


def bar_time(bar: str) -> str:
    """Return the time of a bar as people are told of it: its date, with the time of one within the day."""
    return bar[:16].replace("T00:00", "").replace("T", " ")


def some(names: Sequence[str], most: int, between: str = ", ") -> str:
    """Return the first names on one line, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def _renamed(text: str, folder: str, name: str) -> str:
    """Return `text` with another name for a folder, where a path begins with it: /var/tmp/bars is not below /tmp."""
    end = "" if folder.endswith("/") else r"(?![\w-]|\.\w)"
    return re.sub(rf"(?:(?<![\w.~-])|(?<=\\n)){re.escape(folder)}{end}", lambda _: name, text)
