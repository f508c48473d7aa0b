"""The append-only record of every look at a test window and of every configuration tried.

One JSON object a line. Lines are only ever added, under a file lock, and are on disk before a test row is handed out.
`kind` is `open` (a test window was read), `result` (what it showed), `pin` (digests of what the run wrote down of it) or
`trial` (a configuration that was judged on validation data only: its line names the windows that chose it, one of a search
also the test window that it was tried for, as does one of a closed grid). Every line says which window of which market it
is about; Sharpe ratios are a year's, whatever the length of a bar. `evaluation.trials` says which lines count against a
result.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wealtharena.errors import FirewallError
from wealtharena.files import BadLineError, Line, append_line, jsonable, read_lines, read_log, require_appendable

_FIELDS = ("kind", "agent", "config_hash", "fingerprint")
_HINT = "make room or permission, or set paths.ledger to a writable file"


@dataclass(frozen=True)
class RunIdentity:
    """Who asks for the test window."""

    run_id: str
    config_hash: str
    agent: str
    purpose: str  # the task: train, backtest, audit, ...
    seed: int | None = None
    members: tuple[tuple[str, int | None], ...] = ()  # hash and seed of each policy, where the look is at a mean

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a line of the ledger names them."""
        found = asdict(self)
        return found if self.members else {name: value for name, value in found.items() if name != "members"}


@dataclass(frozen=True)
class Window:
    """The test window that an entry is about: which bars, of what, over which dates."""

    fingerprint: str
    dates: tuple[tuple[str, str], ...]  # first and last of each segment
    symbols: tuple[str, ...]
    frequency: str
    simulated: bool
    content: str = ""  # digest of all bars' closes without the names of their symbols; "" where nobody says

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a line of the ledger names them."""
        return {
            "fingerprint": self.fingerprint,
            "window": self.dates,
            "symbols": self.symbols,
            "frequency": self.frequency,
            "simulated": self.simulated,
            **({"content": self.content} if self.content else {}),
        }


@dataclass(frozen=True)
class Digests:
    """What a run left when it ended: sha256 of its figures, its paths and its version's manifest, and its verdict in clear."""

    figures: str
    paths: str | None
    verdict: str | None
    manifest: str | None  # None where it published no version


class Ledger:
    """An append-only JSONL file; several processes may write to it at once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def record_opening(self, identity: RunIdentity, *, window: Window, fold: int | None) -> None:
        """Write that a test window is about to be read; raises FirewallError where that cannot be written.

        `fold` is None for rows that are the test window of another split than the one at hand.
        A run that was killed after its opening and goes on with the same configuration takes up that look: one run, one line.
        """
        self._append({"kind": "open", **identity.to_json(), "fold": fold, **window.to_json()})

    def record_result(
        self, identity: RunIdentity, *, window: Window, sharpe: float, shown: Sequence[tuple[int | None, float]] = ()
    ) -> None:
        """Write the annual Sharpe ratio that a test window showed, once a run and figure.

        Where one look was at several policies, `sharpe` is that of the middle one and `shown` has the seed, if known, and
        the figure of each: whoever judges some of them later leaves the others out.
        """
        each = [{"seed": seed, "sharpe_annual": figure} for seed, figure in shown]
        several = {"shown": each} if each else {}
        self._append({"kind": "result", **identity.to_json(), **window.to_json(), "sharpe_annual": sharpe, **several})

    def record_pin(self, identity: RunIdentity, *, window: Window, digests: Digests) -> None:
        """Write the digests of what a run left, as it was when it ended."""
        self._append({"kind": "pin", **identity.to_json(), **window.to_json(), **asdict(digests)})

    def pinned(self, agent: str, run_id: str) -> Mapping[str, Any] | None:
        """Return the newest pin of an agent's run, None where there is none."""
        pins = [entry for entry in self.entries() if entry["kind"] == "pin" and entry["agent"] == agent]
        return next((pin for pin in reversed(pins) if pin.get("run_id") == run_id), None)

    def record_trial(self, identity: RunIdentity, *, window: Window, sharpe: float | None = None) -> None:
        """Write a configuration that was tried for a window, or chosen by it, with its annual Sharpe ratio on validation data if known."""
        self._append({"kind": "trial", **identity.to_json(), **window.to_json(), "sharpe_annual": sharpe})

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, oldest first; a last line that a crash cut short is passed over, since it opened nothing.

        FirewallError names any other line that cannot be read: what it counted would be missing from every judgement.
        """
        try:
            content = read_log(self.path)
        except OSError as error:
            raise FirewallError(f"the ledger {self.path} cannot be read ({error.strerror})", hint=_HINT) from error
        return self._entries(content)

    def check(self) -> None:
        """Raise FirewallError where a line of the ledger cannot be read, or where no line can be added."""
        for _ in self.entries():
            pass
        try:
            require_appendable(self.path)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _entries(self, content: bytes) -> Iterator[dict[str, Any]]:
        try:
            for line in read_lines(content):
                _check(line)
                yield dict(line.content)
        except BadLineError as error:
            raise FirewallError(
                f"the ledger {self.path}: {error}, so nobody can say how often a window was looked at",
                hint="restore it from a copy, or correct that line",
            ) from error

    def _append(self, entry: Mapping[str, Any]) -> None:
        """Add an entry, unless its run wrote the same one before it was interrupted."""
        plain = json.loads(json.dumps(jsonable(entry), allow_nan=False))
        stamped = {"time": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"), **plain}

        def line(standing: bytes) -> bytes | None:
            known = any({**old, "time": None} == {**plain, "time": None} for old in self._entries(standing))
            return None if known else json.dumps(stamped).encode()

        try:
            append_line(self.path, line)
        except OSError as error:
            raise _unwritable(self.path, error, opening=entry["kind"] == "open") from error


def _check(line: Line) -> None:
    """Refuse a line without what the counts read of it."""
    wanted = (*_FIELDS, "window") if line.content.get("kind") == "open" else _FIELDS
    for name in wanted:
        if name not in line.content:
            raise BadLineError(line.number, f"has no {name}")
        if name != "window" and not isinstance(line.content[name], str):
            raise BadLineError(line.number, f"has {name} that is no text")
    shown = line.content.get("shown", [])
    if not (isinstance(shown, list) and all(isinstance(one, dict) for one in shown)):
        raise BadLineError(line.number, "has no list of what was shown")
    members = line.content.get("members", [])
    if not (isinstance(members, list) and all(isinstance(one, list) and len(one) == 2 for one in members)):
        raise BadLineError(line.number, "has members that are none")
    if not _are_pairs(line.content.get("window", [])):
        raise BadLineError(line.number, "has a window that is none")


def _are_pairs(window: object) -> bool:
    """Return whether a window is a list of first and last dates."""
    pairs = window if isinstance(window, list) else [window]
    return all(isinstance(p, list) and len(p) == 2 and all(isinstance(day, str) for day in p) for p in pairs)


def _unwritable(path: Path, error: OSError, *, opening: bool = False) -> FirewallError:
    why = "so the test window stays closed" if opening else "and what it does not count is not judged"
    held = isinstance(error, TimeoutError)
    way = "see what holds it, wait for it or end it, and run it again" if held else _HINT
    return FirewallError(f"the ledger {path} cannot be written ({error.strerror}), {why}", hint=way)
