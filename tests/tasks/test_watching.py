"""What is watched goes on over a restart, whenever that comes."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tasks.test_backtest import checkpoint
from wealtharena.config import compose
from wealtharena.tasks import accounts
from wealtharena.tasks.backtest import fitted
from wealtharena.tasks.pipeline import prepare
from wealtharena.tasks.watching import Watcher, baseline_of
from wealtharena.trading.alerts import Alerts
from wealtharena.trading.broker import Account
from wealtharena.trading.ledger import Decision, Ledger
from wealtharena.trading.monitor.drift import reference
from wealtharena.trading.monitor.sequential import Limit, Promise
from wealtharena.trading.monitor.watch import Baseline

RNG = np.random.default_rng(1)
TRAINING = RNG.normal(size=(400, 2, 1))  # of an account with 40 bars a year, whose quarter has ten sessions
SEEN = reference(TRAINING, ("one",), bars_per_year=40.0, false_alarms=0.01, rng=RNG)
STRANGE = 50.0  # a feature, or a weight, such as none was in training


def days(first, count):
    return [f"2024-05-{first + n:02d}T00:00:00.000000000" for n in range(count)]


@contextlib.contextmanager
def watching(folder, baseline):
    """Watch the account as a process does that trades it."""
    ledger, alerts = Ledger(folder, synchronous="normal"), Alerts(())
    if ledger.facts() is None:
        ledger.open("etf", "default", {})
    with contextlib.closing(ledger), contextlib.closing(alerts):
        spec = compose(["task=paper", "asset=etf"])
        with contextlib.closing(Watcher(spec, ledger, folder, baseline=baseline, alerts=alerts)) as watcher:
            yield ledger, watcher


def close(ledger, bar, *, equity=100.0, weights=(STRANGE, STRANGE)):
    """Write a close as the loop does, and return what a watcher is told of it."""
    account = Account(equity=equity, cash=equity, bar=bar, peak=100.0)
    ledger.settle(account, {}, {})
    ledger.decide(Decision(bar, {}, list(weights), {}, 0), (), (), state="trading")
    features = SimpleNamespace(values=np.full((1, 2, 1), STRANGE), names=("one",))
    return SimpleNamespace(bar=bar, features=features, market=SimpleNamespace(rates=None))


def alarms(ledger):
    return [(one["bar"][:10], one["action"]) for one in ledger.interventions() if one["rule"] == "monitor"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["features", "actions"])
def test_a_window_goes_on_over_restarts_and_is_looked_at_when_it_is_full(tmp_path, what):
    """An account whose machine is started anew each week was never compared with a quarter."""
    baseline = Baseline(None, SEEN if what == "features" else None, SEEN if what == "actions" else None)
    for bar in days(1, SEEN.sessions):
        with watching(tmp_path, baseline) as (ledger, watcher):
            assert alarms(ledger) == []
            watcher.told(close(ledger, bar), 0.1)
            found = alarms(ledger)
    assert found == [("2024-05-10", what)]
    with watching(tmp_path, baseline) as (ledger, watcher):
        assert watcher._monitors.health()[f"{what}_index"] > SEEN.limit
        for bar in days(11, SEEN.sessions):
            watcher.told(close(ledger, bar), 0.1)
        assert alarms(ledger) == found


def test_an_alarm_that_a_kill_kept_from_being_written_down_is_told_at_the_next_start(tmp_path):
    baseline = Baseline((Promise(1.0, 0.01, 252.0), Limit(2.0, 0.01, None)), None, None)
    first, second, third = days(1, 3)
    with watching(tmp_path, baseline) as (ledger, watcher):
        watcher.told(close(ledger, first), 0.1)
        close(ledger, second, equity=90.0)  # and is killed before the watcher is told
    with watching(tmp_path, baseline) as (ledger, watcher):
        assert alarms(ledger) == [(second[:10], "record")]
        watcher.told(close(ledger, third, equity=80.0), 0.1)
        assert len(alarms(ledger)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("folds", [2, 20])
def test_an_account_is_compared_with_the_training_window_that_has_rolled_on(tmp_path, folds):
    """With few folds it has rolled on by more than validation holds, and the rows of all bars lie beyond those of training."""
    played = ("data=simulated", "data.simulator.bars=1500", "data.symbols=[BTC-USD,ETH-USD]")
    split = ("split=walk_forward", "split.window=rolling", f"split.folds={folds}")
    named = f"paper.checkpoints=[{checkpoint(tmp_path / 'mine')}]"
    spec = compose(["task=paper", "asset=crypto", *played, *split, named])
    chosen = accounts.choose(spec)
    spec = fitted(spec, chosen.agent)
    prepared = prepare(spec)
    (segment,) = prepared.folds[-1].train
    assert segment.start > 0
    view = prepared.sealed.training(len(prepared.folds) - 1).features
    rows = np.searchsorted(view.panel.timestamps, prepared.sealed.timestamps[segment.rows()])
    about = {"bars_per_year": view.panel.bars_per_year, "false_alarms": 0.01, "rng": RNG}
    wanted = reference(view.values[rows].astype(float), view.names, **about)
    found = baseline_of(spec, prepared, chosen).features
    assert all(map(np.array_equal, found.edges, wanted.edges))
