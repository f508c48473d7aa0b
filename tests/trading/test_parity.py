"""A replay is the backtest: the same orders, executions and equity, for every asset class, action, fill and ensemble."""

import contextlib
import copy
import dataclasses

import numpy as np
import pytest

from tests.registry.trained import World, put_on_paper, world
from tests.trading.desks import risk_of
from wealtharena.agents.policy import EnsemblePolicy
from wealtharena.config import compose
from wealtharena.evaluation.backtest import Backtest, Piece
from wealtharena.evaluation.splits import Segment
from wealtharena.trading import figures, loop
from wealtharena.trading.broker import Opening
from wealtharena.trading.brokers.paper import open_broker
from wealtharena.trading.clock import Due, Pace
from wealtharena.trading.desk import depth_of
from wealtharena.trading.feeds.replay import Replay
from wealtharena.trading.graphs import piece_of
from wealtharena.trading.guarded import GuardedBacktest
from wealtharena.trading.ledger import Ledger
from wealtharena.trading.minds import Checkpoint, Served
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

BARS = 60


def window_of(features):
    return Segment(features.bars - BARS, features.bars)


def paper(folder, features, env, mind, *, risk=None, least=None, bars=BARS):
    """Return the path of an account that replays the last bars, and its intents."""
    risk = risk or risk_of()
    window = Segment(features.bars - bars, features.bars)
    feed = Replay(features, window, env, mind.scaler, depth=depth_of(env, risk), least=least)
    ledger = Ledger(folder, synchronous="normal")
    ledger.open("a", "b", {})
    broker = open_broker(Opening(folder, env, 1, "normal"))
    with contextlib.closing(ledger), contextlib.closing(broker):
        trader = Trader("a", "b", mind, env, risk, ledger, broker)
        loop.run(trader, feed.closes(None), Switch(folder), told=lambda close: None)
        panel = features.panel
        path = figures.path_of(ledger, panel.symbols, fill="next_open", bars_per_year=panel.bars_per_year)
        return path, ledger.intents()


def played(features, env, policy, *, risk=None, bars=BARS):
    pieces = (Piece(policy, policy.scaler, Segment(features.bars - bars, features.bars)),)
    one = Backtest("a", features, env, pieces) if risk is None else GuardedBacktest("a", features, env, pieces, risk)
    return one.simulate()


def assert_same(one, other, *, rel=1e-9):
    assert one.equity == pytest.approx(other.equity, rel=rel)
    assert one.costs == pytest.approx(other.costs, rel=1e-6, abs=1e-6)
    assert one.financing == pytest.approx(other.financing, rel=1e-6, abs=1e-6)
    assert one.dividends == pytest.approx(other.dividends, rel=1e-6, abs=1e-6)
    ours, theirs = (path.trades for path in (one, other))
    large = np.abs(theirs.value) > 1e-6  # what is less is rounding, and no order
    assert large.any()
    for name in ("bar", "symbol", "units", "price", "cost"):
        expected = getattr(theirs, name)[large]
        assert getattr(ours, name)[np.abs(ours.value) > 1e-6] == pytest.approx(expected, rel=1e-7, abs=1e-9)


def assert_same_orders(one, other):
    """Compare orders by their value: a tilt sees weights in single precision, so its smallest orders are rounding."""
    equity = other.equity[0]
    ours, theirs = (path.trades for path in (one, other))
    mine, expected = (np.abs(trades.value) > 1e-6 * equity for trades in (ours, theirs))
    assert expected.sum() > 20
    for name in ("bar", "symbol"):
        assert getattr(ours, name)[mine].tolist() == getattr(theirs, name)[expected].tolist()
    assert ours.value[mine] == pytest.approx(theirs.value[expected], abs=1e-9 * equity)


@pytest.mark.slow
@pytest.mark.parametrize("fill", ["next_open", "next_close"])
@pytest.mark.parametrize("asset", ["stocks", "forex", "crypto", "etf", "commodities"])
def test_every_asset_class_at_both_fills(tmp_path, asset, fill):
    made = world(asset)
    if fill == "next_open" and made.features.panel.open is None:
        pytest.skip("closes only")
    env = made.spec.env.model_copy(update={"fill": fill})
    path, _ = paper(tmp_path, made.features, env, Checkpoint(made.policy))
    assert_same(path, played(made.features, env, made.policy))


@pytest.mark.slow
@pytest.mark.parametrize(("model", "action"), [("mlp", "allocation"), ("gru", "weights"), ("shared", "weights")])
def test_allocations_and_what_is_remembered(tmp_path, model, action):
    made = world("crypto", model, action, 1)
    path, _ = paper(tmp_path, made.features, made.spec.env, Checkpoint(made.policy))
    assert_same(path, played(made.features, made.spec.env, made.policy))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asset", "model", "least"),
    [("crypto", "mlp", False), ("crypto", "mlp", True), ("forex", "mlp", False), ("forex", "shared", True)],
)
def test_tilts(tmp_path, record_property, asset, model, least):
    """Around an anchor that is found at each close from the bars at hand."""
    made = world(asset, model, "tilt")
    bars = 20 if least else BARS
    env, features = made.spec.env, made.features
    path, _ = paper(
        tmp_path, features, env, Checkpoint(made.policy), least=made.spec.features if least else None, bars=bars
    )
    backtest = played(features, env, made.policy, bars=bars)
    apart = float(np.abs(path.equity / backtest.equity - 1.0).max())
    record_property("tilt, least history against all" if least else "tilt", apart)
    assert apart < (1e-6 if least else 1e-9)
    if not least:
        assert_same_orders(path, backtest)
        risk = compose(["risk=default", "risk.symbol_weight.max_weight=0.1"]).risk
        guarded, _ = paper(tmp_path / "guarded", features, env, Checkpoint(made.policy), risk=risk)
        under_rules = played(features, env, made.policy, risk=risk)
        assert guarded.equity == pytest.approx(under_rules.equity, rel=1e-9)
        assert_same_orders(guarded, under_rules)


def ensemble_of(made):
    """Return the world with a policy of two members: its own, and one that asks for less."""
    second = copy.deepcopy(made.policy)
    for value in second.network.actor.parameters():
        value.data.mul_(0.8)
    return dataclasses.replace(made, policy=EnsemblePolicy([made.policy, second]))


@pytest.mark.slow
def test_an_ensemble(tmp_path):
    made = ensemble_of(world("etf"))
    path, _ = paper(tmp_path, made.features, made.spec.env, Checkpoint(made.policy))
    assert_same(path, played(made.features, made.spec.env, made.policy))


@pytest.mark.slow
def test_under_risk_rules(tmp_path):
    made = world("crypto")
    risk = compose(["risk=default", "risk.symbol_weight.max_weight=0.2", "risk.drawdown.max_drawdown=0.03"]).risk
    path, _ = paper(tmp_path, made.features, made.spec.env, Checkpoint(made.policy), risk=risk)
    guarded = played(made.features, made.spec.env, made.policy, risk=risk)
    assert_same(path, guarded)
    free = played(made.features, made.spec.env, made.policy)
    assert not np.allclose(guarded.equity, free.equity, rtol=1e-6)
    none = played(made.features, made.spec.env, made.policy, risk=risk_of())
    assert_same(none, free)


@dataclasses.dataclass
class Resting:
    """Sells everything each tenth bar, is equally weighted at the next, and then asks for the weights that it sees."""

    made: World
    name: str = "resting"

    @property
    def scaler(self):
        return self.made.policy.scaler

    def reset(self, batch=1):
        self.bars = 0

    def act(self, observation):
        weights = self.weights(observation, self.bars)
        self.bars += 1
        return weights[None]

    def decide(self, seen, memory):
        bars = memory.get("bars", 0)
        return self.weights(seen.observation, bars), {"bars": bars + 1}

    def weights(self, observation, bars):
        seen = observation[0, self.made.policy.layout.weights].astype(np.float64)
        return seen if bars % 10 > 1 else np.full(len(seen), (bars % 10) / len(seen))


@pytest.mark.slow
def test_orders_that_are_rounding_take_no_place_among_a_days_orders(tmp_path):
    """One at rest orders next to nothing in each symbol and bar, of which a day has some hundred where bars are short."""
    made = world("crypto")
    panel = made.features.panel
    step = np.arange(len(panel.timestamps)) * np.timedelta64(60, "s")
    minutes = dataclasses.replace(panel, timestamps=panel.timestamps[0] + step)
    made = dataclasses.replace(made, features=dataclasses.replace(made.features, panel=minutes))
    symbols = len(panel.symbols)
    rule = {"max_orders": 2 * symbols * (BARS // 10), "action": "skip"}
    policy, risk = Resting(made), risk_of(order_rate=rule)
    guarded = played(made.features, made.spec.env, policy, risk=risk)
    assert len(guarded.trades.bar) > rule["max_orders"] + 20
    assert_same_orders(guarded, played(made.features, made.spec.env, Resting(made)))
    path, intents = paper(tmp_path, made.features, made.spec.env, policy, risk=risk)
    assert_same_orders(path, guarded)
    assert any(one.rounding for one in intents)


def promoted(folder, made):
    """Return who decides for a world's policy once it is on paper."""
    served = put_on_paper(folder / "store", made).load_agent_model(made.spec.asset.agent)
    return Served(served.policy, made.policy.scaler.clip)


def played_by_graph(features, env, mind, *, risk=None, bars=BARS):
    """Return the path of the backtest of a version: the same graph, through the market's own kernel."""
    pieces = (piece_of(mind, Segment(features.bars - bars, features.bars)),)
    one = Backtest("a", features, env, pieces) if risk is None else GuardedBacktest("a", features, env, pieces, risk)
    return one.simulate()


@pytest.mark.slow
@pytest.mark.parametrize("asset", ["stocks", "forex", "crypto", "etf", "commodities"])
def test_a_promoted_version_is_its_backtest_in_every_asset_class_at_both_fills(tmp_path, asset, record_property):
    made = world(asset)
    mind = promoted(tmp_path, made)
    fills = ["next_close"] if made.features.panel.open is None else ["next_open", "next_close"]
    for fill in fills:
        env = made.spec.env.model_copy(update={"fill": fill})
        path, _ = paper(tmp_path / fill, made.features, env, mind)
        backtest = played_by_graph(made.features, env, mind)
        assert_same(path, backtest)
        record_property(f"version, {fill}", float(np.abs(path.equity / backtest.equity - 1.0).max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asset", "model", "action"),
    [
        ("crypto", "mlp", "allocation"),
        ("etf", "gru", "weights"),
        ("crypto", "shared", "weights"),
        ("crypto", "mlp", "tilt"),
        ("forex", "shared", "tilt"),
    ],
)
def test_a_promoted_version_is_its_backtest_whatever_it_asks_for(tmp_path, asset, model, action):
    made = world(asset, model, action)
    features, env, mind = made.features, made.spec.env, promoted(tmp_path, made)
    risk = compose(["risk=default", "risk.symbol_weight.max_weight=0.1"]).risk
    for rules in (None, risk):
        path, _ = paper(tmp_path / str(rules is None), features, env, mind, risk=rules)
        backtest = played_by_graph(features, env, mind, risk=rules)
        assert path.equity == pytest.approx(backtest.equity, rel=1e-9)
        assert_same_orders(path, backtest)


@pytest.mark.slow
def test_a_promoted_version_is_its_backtest_where_a_symbol_has_no_features(tmp_path):
    made = world("crypto", action="tilt")
    values = made.features.values.copy()
    values[-BARS - 5 : -BARS // 2, 0] = np.nan
    features = dataclasses.replace(made.features, values=values)
    mind = promoted(tmp_path, made)
    path, _ = paper(tmp_path, features, made.spec.env, mind)
    backtest = played_by_graph(features, made.spec.env, mind)
    assert path.equity == pytest.approx(backtest.equity, rel=1e-9)
    assert backtest.equity == pytest.approx(played(features, made.spec.env, made.policy).equity, rel=1e-5)


@pytest.mark.slow
def test_a_promoted_ensemble_is_its_backtest(tmp_path):
    made = ensemble_of(world("etf"))
    mind = promoted(tmp_path, made)
    path, _ = paper(tmp_path, made.features, made.spec.env, mind)
    assert_same(path, played_by_graph(made.features, made.spec.env, mind))


@pytest.mark.slow
@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_the_promoted_graph_decides_as_its_checkpoint_does(tmp_path, record_property, action):
    """Single precision of another library: not to the last bit, and the deviation is said."""
    made = world("crypto", action=action)
    path = played_by_graph(made.features, made.spec.env, promoted(tmp_path, made))
    apart = float(np.abs(path.equity / played(made.features, made.spec.env, made.policy).equity - 1.0).max())
    record_property("graph against checkpoint", apart)
    assert apart < 1e-5


@pytest.mark.slow
def test_from_the_least_history_the_figures_are_those_of_all(tmp_path, record_property):
    made = world("crypto")
    bars = 20
    path, _ = paper(
        tmp_path, made.features, made.spec.env, Checkpoint(made.policy), least=made.spec.features, bars=bars
    )
    apart = float(np.abs(path.equity / played(made.features, made.spec.env, made.policy, bars=bars).equity - 1.0).max())
    record_property("least history against all", apart)
    assert apart < 1e-6


def test_no_close_shows_a_later_bar(tmp_path):
    made = world("crypto")
    risk = risk_of()
    feed = Replay(
        made.features, window_of(made.features), made.spec.env, made.policy.scaler, depth=depth_of(made.spec.env, risk)
    )
    closes = list(feed.closes(None))
    stamps = made.features.panel.timestamps[-BARS:]
    assert [close.bar for close in closes] == [str(stamp) for stamp in stamps]
    assert all(close.features.panel.timestamps[-1] == stamp for close, stamp in zip(closes, stamps, strict=True))
    waited = []
    pace = Pace(864.0, wait=waited.append)
    for one in feed.steps(None):
        assert not isinstance(one, Due) or pace.until(one.moment)
    assert waited[9] == pytest.approx(1000.0, abs=60.0)  # ten days at 864 times; a deadline, not a pause


def test_a_close_of_few_bars_knows_the_price_that_was_carried_on_into_them():
    """A hole that the first of its bars stands in leaves volatility, and so the costs of orders, as the backtest has them."""
    made = world("crypto", "mlp")
    env, scaler = made.spec.env, made.policy.scaler
    depth = depth_of(env, risk_of())
    last = made.features.bars - 1
    first = last + 1 - depth
    close, tradable = made.features.panel.close.copy(), made.features.panel.tradable.copy()
    close[first - 3 : first + 1, 0], tradable[first - 3 : first + 1, 0] = np.nan, False
    panel = dataclasses.replace(made.features.panel, close=close, tradable=tradable)
    features = dataclasses.replace(made.features, panel=panel)
    window = Segment(last, last + 1)
    (whole,), (young,) = (
        list(Replay(features, window, env, scaler, depth=depth, least=least).closes(None))
        for least in (None, made.spec.features)
    )
    assert young.market.length == whole.market.length == depth
    assert np.array_equal(young.market.bars, whole.market.bars)
