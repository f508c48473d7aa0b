"""What counts against a result: the looks, configurations and runs of the ledger that bear on one test window.

An entry bears on the window of a judgement where it is of the same agent, its own test window shares a date with it, and
its market is the same: the same bars by their fingerprint or, on real data, at least one common symbol. Other features or
a longer download do not make a window unseen; another year, other symbols or another simulated market are no trials of
this one. What the judged runs wrote themselves, such as the trials of their search, were choices for this window and
count wherever they were made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wealtharena.evaluation.ledger import Ledger, Window

SAME_SHARPE = 1e-6  # relative


@dataclass(frozen=True)
class Trials:
    """What the deflation of a Sharpe ratio needs to know about everything that was tried."""

    configurations: int  # distinct ones, this one included
    sharpe_variance: float | None = None  # of annual Sharpe ratios over all that was tried; None for fewer than two
    left_out: tuple[str, ...] = ()  # completed runs of this configuration that the judged group does not hold

    @property
    def count(self) -> int:
        """Return how many results the judged one may have been chosen from."""
        return self.configurations + len(self.left_out)


@dataclass(frozen=True)
class Completed:
    """A run that showed its test window."""

    run_id: str
    seed: int | None
    sharpe: float | None  # a year; None or NaN where it is not defined

    def repeats(self, other: Completed) -> bool:
        """Return whether this run gave the other's seed the same figure again, and so shows nothing new."""
        if self.seed is None or self.seed != other.seed:
            return False
        ours, theirs = (math.nan if run.sharpe is None else run.sharpe for run in (self, other))
        same = math.isclose(ours, theirs, rel_tol=SAME_SHARPE, abs_tol=SAME_SHARPE)
        return same or (math.isnan(ours) and math.isnan(theirs))


@dataclass(frozen=True)
class History:
    """The entries of the ledger that bear on one window, oldest first."""

    entries: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, ledger: Ledger, agent: str, window: Window, *, run_ids: Iterable[str] = ()) -> History:
        """Return what the ledger knows that bears on the window of a judgement of the runs `run_ids`."""
        own = [entry for entry in ledger.entries() if entry["agent"] == agent]
        places = {str(entry.get("run_id")): entry for entry in own if entry["kind"] == "open"}
        judged = set(run_ids)
        return cls(tuple(e for e in own if _bears(e, places.get(str(e.get("run_id"))), window, judged)))

    def openings(self, config_hash: str | None = None) -> int:
        """Return how often the window was looked at, by anyone or by one configuration.

        A run that opens every fold of a split writes a line for each, and has looked once.
        """
        opened = [entry for entry in self.entries if entry["kind"] == "open"]
        counted = [entry for entry in opened if config_hash is None or entry["config_hash"] == config_hash]
        return len({(entry.get("run_id") or at, entry["config_hash"]) for at, entry in enumerate(counted)})

    def told(self, config_hash: str) -> str | None:
        """Return that a configuration has looked at this window before, in words; None where it has not."""
        looks = self.openings(config_hash) if config_hash else 0
        if not looks:
            return None
        times = f"{looks} time{'s' if looks != 1 else ''}"
        return f"This configuration has looked at this test window {times} before; a comparison counts every run of it."

    def left_out(self, config_hash: str, group: Sequence[Completed]) -> tuple[str, ...]:
        """Return the runs of a configuration that showed this window and are not in `group`.

        A run that gave a seed of the group the same Sharpe ratio again is a repetition and shows nothing new.
        """
        known = {run.run_id for run in group}
        found: dict[str, None] = {}
        for entry in self.entries:
            if entry["kind"] != "result" or entry["config_hash"] != config_hash or not config_hash:
                continue
            run = Completed(str(entry.get("run_id")), entry.get("seed"), _sharpe(entry))
            if run.run_id not in known and not any(run.repeats(other) for other in group):
                found[run.run_id] = None
        return tuple(found)

    def trials(self, config_hash: str, *, left_out: Sequence[str] = ()) -> Trials:
        """Return the configurations tried, `config_hash` among them, and the runs left out, with the variance of all.

        A configuration's Sharpe ratio is the mean of its test results or, without any, of its validation results; a run
        that is left out stands for itself. A look without a configuration, a baseline's, is no trial.
        """
        shown: dict[str, dict[str, list[float]]] = {config_hash: {"result": [], "trial": []}}
        apart: dict[str, float] = {}
        for entry in self.entries:
            if not entry["config_hash"]:
                continue
            values = shown.setdefault(entry["config_hash"], {"result": [], "trial": []})
            sharpe = _sharpe(entry)
            if sharpe is None or entry["kind"] not in values:
                continue
            if entry["kind"] == "result" and str(entry.get("run_id")) in left_out:
                apart[str(entry.get("run_id"))] = sharpe
            else:
                values[entry["kind"]].append(sharpe)
        known = [float(np.mean(v["result"] or v["trial"])) for v in shown.values() if v["result"] or v["trial"]]
        known += apart.values()
        variance = float(np.var(known, ddof=1)) if len(known) > 1 else None
        return Trials(len(shown), variance, tuple(left_out))


def _bears(entry: Mapping[str, Any], opening: Mapping[str, Any] | None, window: Window, judged: set[str]) -> bool:
    """Return whether an entry counts; `opening` is its run's, for entries from before each said where it belongs."""
    if entry["kind"] == "trial" and str(entry.get("run_id")) in judged:
        return True
    place = entry if "window" in entry else opening
    if place is None:
        return bool(entry["fingerprint"] == window.fingerprint)
    if window.dates and not _overlap(place["window"], window.dates):
        return False
    if entry["fingerprint"] == window.fingerprint:
        return True
    if window.simulated or place.get("simulated", False):
        return False
    symbols = place.get("symbols")
    return symbols is None or not window.symbols or not set(window.symbols).isdisjoint(symbols)


def _overlap(windows: Iterable[Sequence[str]], others: Sequence[Sequence[str]]) -> bool:
    return any(first <= end and start <= last for first, last in windows for start, end in others)


def _sharpe(entry: Mapping[str, Any]) -> float | None:
    """Return an entry's annual Sharpe ratio; one from before figures were annual has no unit and is not read."""
    value = entry.get("sharpe_annual")
    return float(value) if isinstance(value, int | float) else None
