"""How this process speaks: text for people, or one JSON object a line for programs (`log=json`); `quiet=true`: answers only."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from wealtharena import files

# how a person starts this program here: in a checkout by its run.py, elsewhere by what the package installs
COMMAND: Final = "python run.py" if (Path(__file__).parents[2] / "run.py").is_file() else "wealtharena"
WIDE = 200  # columns of a table in JSON lines, where no terminal says how many there are
_AS_JSON = False
_QUIET = False


def use(log: str, *, quiet: bool = False) -> None:
    """Let everything that is said from here on be said as `log` asks, text or json; with `quiet` answers only."""
    global _AS_JSON, _QUIET  # a process has one standard output
    _AS_JSON, _QUIET = log == "json", quiet
    if _AS_JSON:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_Formatter())


def as_json() -> bool:
    """Return whether JSON lines are asked for."""
    return _AS_JSON


def is_quiet() -> bool:
    """Return whether only answers are asked for: a verdict, what a task was to tell, where a result is."""
    return _QUIET


def say(event: str, facts: Mapping[str, Any], *, stream: TextIO | None = None) -> None:
    """Print one event as a line of JSON: `time` (UTC), `event`, and its facts."""
    files.tell(line(event, facts), stream)


def line(event: str, facts: Mapping[str, Any]) -> str:
    """Return an event as JSON, on one line of ASCII, which every encoding of a stream has; a number that is not defined is null."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    plain = files.jsonable({"time": now, "event": event, **facts})
    return json.dumps(plain, allow_nan=False, default=str)


class Lines(io.TextIOBase):
    """A text stream of which every line that is not empty becomes an event `said`."""

    def __init__(self) -> None:
        self._begun = ""

    def write(self, text: str) -> int:
        """Take text; whole lines are said at once."""
        *whole, self._begun = (self._begun + text).split("\n")
        for words in whole:
            if words.strip():
                say("said", {"text": words.rstrip()})
        return len(text)

    def writable(self) -> bool:
        return True


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {"level": record.levelname.lower(), "logger": record.name, "text": record.getMessage()}
        return line("log", facts)
