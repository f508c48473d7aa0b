"""All monitors of one account: told each close, they alarm once each, and propose what a person may do about it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena import files
from wealtharena.config import speech
from wealtharena.trading.monitor import drift, sequential
from wealtharena.trading.monitor.drift import Reference
from wealtharena.trading.monitor.sequential import Promise, Sum
from wealtharena.trading.reading import HEALTH

logger = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
FALSE_ALARMS: Final = 0.05  # share of years in which any monitor of an account that keeps its promise alarms, at most
MARGIN: Final = 0.5  # of what is allowed is left to limits being estimates from one training window
MONITORS: Final = ("record", "features", "actions")
WRITE_SECONDS: Final = 1.0  # between two writes of the file


@dataclass(frozen=True)
class Alarm:
    """What a monitor found, once; with what a person may do about it."""

    monitor: str
    text: str
    numbers: Mapping[str, float]
    proposal: str


@dataclass
class Window:
    """The newest sessions of what is compared with a reference, looked at each time it is full of new ones."""

    reference: Reference
    sessions: int = 0
    counts: Floats = field(init=False)  # [F, BINS] of these
    index: float = 0.0
    worst: str = ""

    def __post_init__(self) -> None:
        self.counts = np.zeros_like(self.reference.shares)

    def tell(self, row: Floats) -> bool:
        """Take in a session [A, F]; return whether a window that is full with it lies above the limit."""
        self.counts, self.sessions = self.counts + self.reference.counts(row[None]), self.sessions + 1
        if self.sessions < self.reference.sessions:
            return False
        self.index, self.worst = self.reference.index_of(self.counts)
        self.counts, self.sessions = np.zeros_like(self.counts), 0
        return self.index > self.reference.limit

    def save(self) -> dict[str, Any]:
        """Return where the window stands, for JSON."""
        return {
            "sessions": self.sessions, "counts": self.counts.tolist(), "index": self.index, "worst": self.worst,
        }  # fmt: skip

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on where a window of the same reference stood."""
        counts = np.array(saved["counts"], dtype=np.float64)
        if counts.shape == self.counts.shape:
            self.counts, self.sessions = counts, int(saved["sessions"])
            self.index, self.worst = float(saved["index"]), str(saved["worst"])


@dataclass(frozen=True, eq=False)
class Baseline:
    """What monitors compare with: the promise, and the training window of what is seen and asked for; None leaves one out."""

    record: tuple[Promise, sequential.Limit] | None
    features: Reference | None
    actions: Reference | None

    @classmethod
    def of(
        cls,
        *,
        excess: Floats,
        promised_sharpe: float | None,
        features: Floats | None,
        names: tuple[str, ...],
        actions: Floats | None,
        bars_per_year: float,
        rng: np.random.Generator,
        false_alarms: float = FALSE_ALARMS,
    ) -> Baseline:
        """Return the baseline of an agent; the monitors share the false alarms that are allowed.

        `excess` [n] are the backtest's returns less cash, `features` [T, A, F] and `actions` [T, A] are of the training
        window.
        """
        each = MARGIN * false_alarms / len(MONITORS)
        promise = None
        if promised_sharpe is not None:
            promise = sequential.promised(excess, sharpe=promised_sharpe, bars_per_year=bars_per_year)

        def known(training: Floats | None, names: tuple[str, ...]) -> Reference | None:
            if training is None:
                return None
            return drift.reference(training, names, bars_per_year=bars_per_year, false_alarms=each, rng=rng)

        return cls(
            None if promise is None else (promise, sequential.limit_of(excess, promise, false_alarms=each, rng=rng)),
            known(features, names),
            known(None if actions is None else actions[:, :, None], ("weight",)),
        )


class Monitors:
    """The monitors of one account while it trades."""

    def __init__(self, baseline: Baseline, *, agent: str, folder: Path, alarmed: Sequence[str] = ()) -> None:
        """Begin where nothing has been seen; monitors in `alarmed` have said so before and stay quiet."""
        self._agent, self._folder = agent, folder
        self._sum = None if baseline.record is None else Sum(*baseline.record)
        self._features = None if baseline.features is None else Window(baseline.features)
        self._actions = None if baseline.actions is None else Window(baseline.actions)
        self._alarmed = set(alarmed)
        self._written, self._told_unwritten = -WRITE_SECONDS, False
        self._latencies: deque[float] = deque(maxlen=256)

    def tell(
        self, *, excess: float | None, features: Floats | None, weights: Floats | None, latency: float | None = None
    ) -> list[Alarm]:
        """Take in a close: return in excess of cash, features [A, F], weights asked for [A]; return new alarms."""
        found = []
        if latency is not None:
            self._latencies.append(latency)
        if self._sum is not None and excess is not None and self._sum.tell(excess):
            found.append(self._record(self._sum))
        for name, window, row in (
            ("features", self._features, features),
            ("actions", self._actions, None if weights is None else weights[:, None]),
        ):
            if window is not None and row is not None and window.tell(np.asarray(row, dtype=np.float64)):
                found.append(self._drift(name, window))
        new = [one for one in found if one.monitor not in self._alarmed]
        self._alarmed |= {one.monitor for one in new}
        return new

    def save(self) -> dict[str, Any]:
        """Return where the windows stand, for JSON; what returns come to is told anew at each start."""
        return {name: window.save() for name, window in self._windows() if window is not None}

    def load(self, saved: Mapping[str, Any]) -> None:
        """Go on with the windows of a process before."""
        for name, window in self._windows():
            if window is not None and name in saved:
                window.load(saved[name])

    def _windows(self) -> tuple[tuple[str, Window | None], ...]:
        return ("features", self._features), ("actions", self._actions)

    def _record(self, total: Sum) -> Alarm:
        years = total.limit.median_years
        soon = "more than forty years" if years is None else f"{years:.1f} years"
        return Alarm(
            "record",
            f"returns have left the band of what was promised (a Sharpe ratio of {total.promise.sharpe:.2f} a year)",
            {"sum": total.height, "limit": total.limit.height, "promised_sharpe": total.promise.sharpe},
            f"retire it: {speech.COMMAND} task=deploy deploy.action=withdraw deploy.agents=[{self._agent}]; "
            f"a loss of one Sharpe unit takes {soon} to show (median), so look before you do",
        )

    def _drift(self, name: str, window: Window) -> Alarm:
        what = "what it sees" if name == "features" else "what it asks for"
        worst = f", {window.worst} most" if name == "features" else ""
        return Alarm(
            name,
            f"{what} is not distributed as in training{worst}",
            {"index": window.index, "limit": window.reference.limit},
            f"retrain it: {speech.COMMAND} task=train train.retrain={self._agent}",
        )

    def health(self) -> dict[str, Any]:
        """Return the monitors' numbers, for the page and Prometheus; None for what is not watched."""
        total, seen, asked = self._sum, self._features, self._actions
        slow = np.array(self._latencies)
        return {
            "latency_ms": round(1e3 * float(np.median(slow)), 3) if len(slow) else None,
            "latency_ms_most": round(1e3 * float(slow.max()), 3) if len(slow) else None,
            "record_sum": None if total is None else total.height,
            "record_limit": None if total is None else total.limit.height,
            "record_median_years": None if total is None else total.limit.median_years,
            "promised_sharpe": None if total is None else total.promise.sharpe,
            "features_index": None if seen is None else seen.index,
            "features_limit": None if seen is None else seen.reference.limit,
            "actions_index": None if asked is None else asked.index,
            "actions_limit": None if asked is None else asked.reference.limit,
            "alarms": sorted(self._alarmed),
        }

    def write(self, more: Mapping[str, Any], *, now: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """Write the numbers beside the ledger, at most once a second unless `now`; `more` is written with them."""
        if now or clock() - self._written >= WRITE_SECONDS:
            self._written = clock()
            try:
                files.write_json(self._folder / HEALTH, files.jsonable({**self.health(), **more}))
            except OSError as error:  # a full disk, or a folder of that name: never a reason to stop trading
                if not self._told_unwritten:
                    logger.warning("%s cannot be written: %s", HEALTH, error.strerror)
                self._told_unwritten = True
