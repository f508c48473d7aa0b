"""What is watched while an account trades: monitors against the promise and the training window, and who is told."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import cash
from wealtharena.data.provider import now
from wealtharena.envs.observation import signals
from wealtharena.errors import WealthArenaError
from wealtharena.evaluation import backtest, metrics
from wealtharena.evaluation.look import stream
from wealtharena.features.panel import FeaturePanel
from wealtharena.shown import bar_time
from wealtharena.tasks.accounts import Chosen
from wealtharena.tasks.pipeline import Prepared
from wealtharena.tasks.renewing import Renewing
from wealtharena.trading import reading
from wealtharena.trading.alerts import Alerts
from wealtharena.trading.database import FullError, LedgerError
from wealtharena.trading.desk import Close
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.monitor.watch import Alarm, Baseline, Monitors

FloatArray = npt.NDArray[np.float64]
DRIFTS: Final = ("features", "actions")
RULE: Final = "monitor"  # under which alarms stand among the interventions
UNWATCHED: Final = Baseline(None, None, None)
_WINDOWS: Final = "windows"  # a note: what monitors have seen of the sessions of a quarter that is not over


def baseline_of(spec: ExperimentSpec, prepared: Prepared, chosen: Chosen) -> Baseline:
    """Return what the agent is compared with: its training window, and what its verdict promised of it, if anything."""
    policy, fold = chosen.agent.policy, prepared.folds[-1]
    if policy is None or not spec.paper.monitor:
        return UNWATCHED
    training = prepared.sealed.training(fold.index)
    view, segment = training.features, training.train[-1]  # rows of the view: those of the fold are of all bars
    path = backtest.of_policy(policy, view, policy.scaler, spec.env, segment)
    return Baseline.of(
        excess=np.asarray(path.returns - metrics.risk_free(path, spec.asset.risk_free_per_year)),
        promised_sharpe=promised_sharpe(chosen.verdict),
        features=_rows(view, segment.start, segment.stop),
        names=view.names,
        actions=path.targets,
        bars_per_year=view.panel.bars_per_year,
        rng=stream(spec.seed, "monitor"),
    )


def promised_sharpe(verdict: Mapping[str, Any]) -> float | None:
    """Return the annual Sharpe ratio that a verdict promised: that of the hardest rival, plus the lower bound of the difference.

    The bound is the judge's own, after selection. None where the verdict has none.
    """
    evidence = verdict.get("evidence") or {}
    names = ("sharpe", "sharpe_difference", "sharpe_difference_low")
    own, difference, low = (evidence.get(name) for name in names)
    if own is None or difference is None or low is None:
        return None
    return float(own) - float(difference) + float(low)


def _rows(features: FeaturePanel, start: int, stop: int) -> Any:
    return features.values[start:stop].astype(np.float64)


def _rates_up_to(rows: Sequence[Mapping[str, Any]], spec: ExperimentSpec) -> list[FloatArray | None]:
    """Return what cash earned up to each close, [1] each: what was known at the close before; None where a number says it."""
    stamps = np.array([row["bar"] for row in rows], dtype="datetime64[ns]")
    found = cash.rates(stamps, spec.asset, spec.data) if rows else None
    if found is None:
        return [None] * len(rows)
    return [found[0][max(n - 1, 0)][None] for n in range(len(rows))]


class Watcher:
    """Told of every close of one account; nothing that it does changes what is traded."""

    def __init__(
        self,
        spec: ExperimentSpec,
        ledger: Ledger,
        folder: Path,
        *,
        baseline: Baseline,
        alerts: Alerts,
        renewing: bool = False,
    ) -> None:
        """Take up the account where it stands: past closes count, alarms that were given stay given.

        What was written down to be told before the process ended, and was not, is told now.
        """
        self._spec, self._ledger, self._folder, self._alerts = spec, ledger, folder, alerts
        known = ledger.interventions()
        told = [one["action"] for one in known if one["rule"] == RULE]
        self._missed = {(one["bar"], one["rule"]) for one in known if one["action"] == "missed"}
        self._monitors = Monitors(baseline, agent=spec.asset.agent, folder=folder, alarmed=told)
        self._alarms: list[tuple[str, Alarm]] = []  # that are not written down yet
        self._passed_on = 0  # number of the newest post that was handed to the alerts
        asked = renewing and spec.paper.retrain != "never"
        self._renewing = Renewing(spec, folder, now, self.tell) if asked else None
        self._last: tuple[np.datetime64, float] | None = None
        self._written_at = 0.0
        self._told_of: set[tuple[str, str, tuple[str, ...]]] = set()  # dates, what was told of their bars, and symbols
        self._unsent = (0, 0)  # alerts that wait and that are lost, as they were shown between two closes
        rows = ledger.closes()
        for row, rate in zip(rows, _rates_up_to(rows, spec), strict=True):
            found = self._monitors.tell(excess=self._excess(row, rate), features=None, weights=None)
            self._alarms += [(row["bar"], one) for one in found]  # which a kill kept from being written down
        self._monitors.load(json.loads(ledger.note(_WINDOWS) or "{}"))
        self._write_alarms()
        self.pass_on()
        self._write_health(now=True)  # what stands there is of another version, or of days ago

    def told(self, close: Close, seconds: float) -> None:
        """Take in a close that is done, `seconds` after it was shown."""
        row, decision = self._ledger.last_close(), self._ledger.decision(close.bar)
        known = row is not None and row["bar"] == close.bar
        rate = None if self._spec.asset.costs.cash_series is None else close.market.rates[-1:]
        found = self._monitors.tell(
            excess=self._excess(row, rate) if known and row is not None else None,
            features=close.features.values[-1][:, : len(signals(close.features.names))],
            weights=None if decision is None or decision.weights is None else np.array(decision.weights),
            latency=seconds,
        )
        self._alarms += [(close.bar, one) for one in found]
        if seen := self._monitors.save():
            with contextlib.suppress(FullError), self._ledger.in_passing():
                self._ledger.write_note(_WINDOWS, json.dumps(seen))
        self._write_alarms()
        self.pass_on()
        self._write_health(now=bool(found))
        if self._renewing is not None:
            self._renewing.look(drifted=any(one.monitor in DRIFTS for one in found))

    def _write_alarms(self) -> None:
        with contextlib.suppress(FullError):  # they wait for room
            while self._alarms:
                self._write(*self._alarms[0])
                self._alarms.pop(0)

    def _write(self, bar: str, one: Alarm) -> None:
        with self._ledger.at_once():
            self._ledger.intervene(bar, [Intervention(RULE, one.monitor, (), dict(one.numbers))])
            self._ledger.post(f"{one.monitor} at {bar_time(bar)}", f"{one.text}. Proposed: {one.proposal}")

    def event(self, bar: str, one: Intervention) -> None:
        """Record something about the bars of a session, and tell it where nothing could be decided: of hours once a day.

        A session that was missed stays so, and every start until the next decision comes upon it again.
        """
        if one.action == "missed" and (bar, one.rule) in self._missed:
            return
        serious = one.action in ("missed", "missing", "unreachable") or one.action.startswith("unusable")
        what = (bar[:10], one.action, one.symbols)
        with self._ledger.at_once():
            self._ledger.intervene(bar, [one])
            if serious and what not in self._told_of:
                self._ledger.post(f"{one.rule} {one.action} at {bar_time(bar)}", ", ".join(one.symbols) or "all")
        self._told_of = {*(told for told in self._told_of if told[0] == what[0]), what}  # of this date
        if one.action == "missed":
            self._missed.add((bar, one.rule))
        self.pass_on()

    def close(self) -> None:
        """Write the last numbers, and end a retraining that is under way."""
        if self._renewing is not None:
            self._renewing.close()
        self.pass_on()
        self._write_health(now=True)

    def tended(self) -> None:
        """Do what is to be done between two closes: tell people, and show at once how many alerts they could not be told.

        When the account was written last, by which others tell whether it has closes still, stays as it is.
        """
        self.pass_on()
        unsent = (self._alerts.failed, self._alerts.lost)
        if unsent != self._unsent:
            self._unsent = unsent
            self._monitors.write(self._facts(), now=True)

    def _excess(self, row: Mapping[str, Any], rate: FloatArray | None) -> float | None:
        """Return the return up to this close in excess of cash, which earned `rate` [1] where it is dated; None for the first."""
        worth = float(row["equity"]) / float(row["scale"])  # without what came or went
        now, before = (np.datetime64(row["bar"], "ns"), worth), self._last
        self._last = now
        if before is None or before[1] <= 0.0:
            return None
        hurdle = metrics.hurdle(rate, self._spec.asset.risk_free_per_year)
        free = metrics.cash_returns(np.array([before[0], now[0]]), hurdle)
        return now[1] / before[1] - 1.0 - float(free[0])

    def _write_health(self, *, now: bool) -> None:
        self._written_at = round(time.time(), 3)
        self._monitors.write(self._facts(), now=now)

    def _facts(self) -> dict[str, Any]:
        out = self._alerts
        return {
            **asdict(reading.counts(self._folder)), "written_at": self._written_at, "alerts_sent": out.sent,
            "alerts_failed": out.failed, "alerts_lost": out.lost,
        }  # fmt: skip

    def tell(self, title: str, text: str) -> None:
        """Write down what people are to be told, and tell it."""
        try:
            self._ledger.post(title, text)
        except FullError:
            self._alerts.tell(self._titled(title), text)
        self.pass_on()

    def stopped(self, error: Exception) -> None:
        """Tell people that an account that has traded is not traded any more; a start that is refused is told to who started it."""
        told = (
            error.message if isinstance(error, WealthArenaError) else type(error).__name__
        )  # what it says may be secret
        words = f"{told}. Nothing is decided until it is started again."
        try:
            if self._ledger.decision() is not None:
                self.tell("stopped by an error", words)
        except (LedgerError, sqlite3.Error):
            self._alerts.tell(self._titled("stopped by an error"), words)

    def pass_on(self) -> None:
        """Tell people what was written down for them, as messages that say whose account they are about."""
        for one in self._ledger.untold(after=self._passed_on):
            self._alerts.tell(self._titled(one.title), one.text, post=one.number, had=one.had)
            self._passed_on = one.number

    def _titled(self, title: str) -> str:
        return f"{self._spec.asset.agent}/{self._spec.paper.account}: {title}"
