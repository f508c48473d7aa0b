"""The append-only record of every look at a test window and of every configuration tried.

One JSON object a line. Lines are only ever added, under a file lock, and are on disk before a test row is handed out.
`kind` is `open` (a test window was read), `result` (what it showed) or `trial` (a configuration that was judged on
validation data only, such as one of a search).
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wealtharena.errors import FirewallError
from wealtharena.files import jsonable


@dataclass(frozen=True)
class RunIdentity:
    """Who asks for the test window."""

    run_id: str
    config_hash: str
    agent: str
    purpose: str  # the task: train, backtest, audit, ...


@dataclass(frozen=True)
class Trials:
    """What the deflation of a Sharpe ratio needs to know about everything that was tried."""

    count: int  # distinct configurations, this one included
    sharpe_variance: float | None  # of their Sharpe ratios a bar; None for fewer than two known ones


class Ledger:
    """An append-only JSONL file; several processes may write to it at once."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def record_opening(
        self,
        identity: RunIdentity,
        *,
        fingerprint: str,
        windows: tuple[tuple[str, str], ...],
        fold: int,
        simulated: bool,
    ) -> None:
        """Write that a test window is about to be read; raises FirewallError where that cannot be written."""
        known = {"fingerprint": fingerprint, "simulated": simulated, "fold": fold, "window": windows}
        self._append({"kind": "open", **_named(identity), **known})

    def record_result(self, identity: RunIdentity, *, fingerprint: str, sharpe: float) -> None:
        """Write the Sharpe ratio a bar that a test window showed."""
        self._append({"kind": "result", **_named(identity), "fingerprint": fingerprint, "sharpe": jsonable(sharpe)})

    def record_trial(self, identity: RunIdentity, *, fingerprint: str, sharpe: float | None = None) -> None:
        """Write a configuration that was tried, with its Sharpe ratio a bar on validation data where one is known."""
        self._append({"kind": "trial", **_named(identity), "fingerprint": fingerprint, "sharpe": jsonable(sharpe)})

    def trials(self, agent: str, fingerprint: str) -> int:
        """Return the number of distinct configurations that `agent` tried on this data."""
        return len({entry["config_hash"] for entry in self._of(agent, fingerprint)} - {""})

    def trial_statistics(self, agent: str, fingerprint: str, *, config_hash: str | None = None) -> Trials:
        """Return number and variance of the configurations tried, `config_hash` counted among them.

        A configuration's Sharpe ratio is the mean of its test results or, without any, of its validation results.
        """
        shown: dict[str, dict[str, list[float]]] = {}
        for entry in self._of(agent, fingerprint):
            if not entry["config_hash"]:
                continue  # a baseline's backtest is a look, not a trial
            values = shown.setdefault(entry["config_hash"], {"result": [], "trial": []})
            if isinstance(entry.get("sharpe"), int | float) and entry["kind"] in values:
                values[entry["kind"]].append(float(entry["sharpe"]))
        hashes = set(shown) | ({config_hash} if config_hash is not None else set())
        known = [float(np.mean(v["result"] or v["trial"])) for v in shown.values() if v["result"] or v["trial"]]
        return Trials(max(len(hashes), 1), float(np.var(known, ddof=1)) if len(known) > 1 else None)

    def openings(
        self,
        agent: str | None = None,
        *,
        fingerprint: str | None = None,
        window: tuple[str, str] | None = None,
    ) -> int:
        """Return how often a test window was looked at: by `agent`, on the data `fingerprint`, overlapping `window` dates.

        What is None does not narrow the count. With `agent` and `fingerprint` looks at the same dates of the same real
        market under another fingerprint count too: other features or a longer download do not make a window unseen.
        """
        known = self.entries() if agent is None or fingerprint is None else self._of(agent, fingerprint)
        found = 0
        for entry in known:
            if entry["kind"] != "open" or (agent is not None and entry["agent"] != agent):
                continue
            if fingerprint is not None and agent is None and entry["fingerprint"] != fingerprint:
                continue
            found += window is None or _overlap(entry["window"], [window])
        return found

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

    def _of(self, agent: str, fingerprint: str) -> list[dict[str, Any]]:
        """Return the agent's entries on this data, and those of runs that looked at the same dates of a real market."""
        own = [entry for entry in self.entries() if entry["agent"] == agent]
        windows = [w for e in own if _opens_real(e) and e["fingerprint"] == fingerprint for w in e["window"]]
        beside = {e.get("run_id") for e in own if _opens_real(e) and _overlap(e["window"], windows)}
        return [e for e in own if e["fingerprint"] == fingerprint or e.get("run_id") in beside]

    def _append(self, entry: Mapping[str, Any]) -> None:
        stamped = {"time": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"), **entry}
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


def _named(identity: RunIdentity) -> dict[str, str]:
    return {
        "run_id": identity.run_id,
        "config_hash": identity.config_hash,
        "agent": identity.agent,
        "purpose": identity.purpose,
    }


def _opens_real(entry: Mapping[str, Any]) -> bool:
    return entry["kind"] == "open" and not entry.get("simulated", False)


def _overlap(windows: Iterable[Sequence[str]], others: Sequence[Sequence[str]]) -> bool:
    return any(first <= end and start <= last for first, last in windows for start, end in others)


def _unwritable(path: Path, error: OSError) -> FirewallError:
    return FirewallError(
        f"the ledger {path} cannot be written ({error.strerror}), so the test window stays closed",
        hint="set paths.ledger to a writable file",
    )
