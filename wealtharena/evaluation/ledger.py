"""The append-only record of every look at a test window and of every configuration tried.

One JSON object a line. Lines are only ever added, under a file lock, and are on disk before a test row is handed out.
`kind` is `open` (a test window was read), `result` (what it showed) or `trial` (a configuration that was judged on
validation data only, such as one of a search). Every line says which window of which market it is about; Sharpe ratios are
a year's, whatever the length of a bar. `evaluation.trials` says which lines count against a result.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wealtharena.errors import FirewallError
from wealtharena.files import jsonable


@dataclass(frozen=True)
class RunIdentity:
    """Who asks for the test window."""

    run_id: str
    config_hash: str
    agent: str
    purpose: str  # the task: train, backtest, audit, ...
    seed: int | None = None


@dataclass(frozen=True)
class Window:
    """The test window that an entry is about: which bars, of what, over which dates."""

    fingerprint: str
    dates: tuple[tuple[str, str], ...]  # first and last of each segment
    symbols: tuple[str, ...]
    frequency: str
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a line of the ledger names them."""
        return {
            "fingerprint": self.fingerprint,
            "window": self.dates,
            "symbols": self.symbols,
            "frequency": self.frequency,
            "simulated": self.simulated,
        }


class Ledger:
    """An append-only JSONL file; several processes may write to it at once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def record_opening(self, identity: RunIdentity, *, window: Window, fold: int) -> None:
        """Write that a test window is about to be read; raises FirewallError where that cannot be written."""
        self._append({"kind": "open", **asdict(identity), "fold": fold, **window.to_json()})

    def record_result(self, identity: RunIdentity, *, window: Window, sharpe: float) -> None:
        """Write the annual Sharpe ratio that a test window showed."""
        self._append({"kind": "result", **asdict(identity), **window.to_json(), "sharpe_annual": sharpe})

    def record_trial(self, identity: RunIdentity, *, window: Window, sharpe: float | None = None) -> None:
        """Write a configuration that was tried for a window, with its annual Sharpe ratio on validation data if known."""
        self._append({"kind": "trial", **asdict(identity), **window.to_json(), "sharpe_annual": sharpe})

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the entries, oldest first; a line that a crash cut short is passed over."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict) and {"kind", "agent", "config_hash", "fingerprint"} <= entry.keys():
                yield entry

    def _append(self, entry: Mapping[str, Any]) -> None:
        stamped = jsonable({"time": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"), **entry})
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (b"\n" if torn else b"") + json.dumps(stamped, allow_nan=False).encode() + b"\n")
            os.fsync(descriptor)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        finally:
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> FirewallError:
    return FirewallError(
        f"the ledger {path} cannot be written ({error.strerror}), so the test window stays closed",
        hint="set paths.ledger to a writable file",
    )
