import copy
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.envs.markets import EVERY_COST, market_of, random_panel, random_targets, spec_of
from wealtharena.envs.rules import rules_of
from wealtharena.envs.simulate import equity_paths, simulate, simulate_many
from wealtharena.errors import MarketError

PANEL = random_panel(np.random.default_rng(1), bars=50, assets=3)
SPEC = spec_of(costs=EVERY_COST, window=2)
MARKET = market_of(PANEL, SPEC)
TARGETS = random_targets(np.random.default_rng(2), 50, 3)


def test_a_callable_is_asked_with_the_training_observation_and_walks_the_array_path():
    seen = []

    def decide(observation):
        seen.append(observation)  # as a policy with a memory of its own keeps it
        return TARGETS[len(seen) + 4][None]

    asked = simulate(MARKET, decide, spec=SPEC, start=5, stop=40)
    given = simulate(MARKET, TARGETS, spec=SPEC, start=5, stop=40)
    assert (asked.equity == given.equity).all()
    assert (asked.weights == given.weights).all()
    assert (asked.trades.cost == given.trades.cost).all()
    assert len(seen) == 34
    assert seen[0].shape == (1, MARKET.layout.size)
    assert not np.array_equal(seen[0], seen[1])
    assert seen[3][0, MARKET.layout.weights] == pytest.approx(given.weights[3], abs=1e-6)


def test_the_window_begins_with_the_cash_and_ends_at_its_last_mark():
    path = simulate(MARKET, TARGETS, spec=SPEC, start=5, stop=40, name="mine")
    assert path.name == "mine"
    assert path.equity[0] == SPEC.initial_cash
    assert len(path.equity) == len(path.timestamps) == 35
    assert path.targets.shape == (34, 3)
    assert path.timestamps[0] == PANEL.timestamps[5]
    assert path.timestamps[-1] == PANEL.timestamps[39]
    assert path.returns.shape == (34,)


def test_nothing_after_the_window_matters():
    short = market_of(PANEL.slice(0, 40), SPEC)
    assert (
        simulate(short, TARGETS[:40], spec=SPEC, start=5).equity
        == simulate(MARKET, TARGETS, spec=SPEC, start=5, stop=40).equity
    ).all()


def test_many_paths_equal_single_ones():
    factors = np.array([1.0, 2.0, 0.0])
    paths = equity_paths(MARKET, TARGETS[None], spec=SPEC, start=3, cost_factors=factors)
    for path, factor in zip(paths, factors, strict=True):
        assert (path == simulate(MARKET, TARGETS, spec=SPEC, start=3, cost_factor=factor).equity).all()
    both = simulate_many(MARKET, [TARGETS, -TARGETS], spec=SPEC, start=3, names=["a", "b"])
    assert (equity_paths(MARKET, np.stack([TARGETS, -TARGETS]), spec=SPEC, start=3) == [p.equity for p in both]).all()


@pytest.mark.parametrize("again", [lambda one: one, lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy])
def test_nobody_who_holds_a_path_can_write_into_it(again):
    path = again(simulate(MARKET, TARGETS, spec=SPEC, start=1))
    held = [value for record in (path, path.trades) for value in vars(record).values() if isinstance(value, np.ndarray)]
    assert len(held) >= 15
    assert not [value for value in held if value.flags.writeable]
    given = np.ones(50)
    replace(path, equity=given)
    given[0] = 2.0  # an array of the caller's own stays his


def test_a_market_that_was_sent_to_another_process_is_in_the_kernels_own_form_still():
    """Arrays that can be written are another kind to the kernel, which would be compiled anew for seconds."""
    for one in (MARKET, rules_of(SPEC, MARKET.symbols, delisting=False)):
        sent = pickle.loads(pickle.dumps(one))
        kinds = [(name, value.flags.writeable) for name, value in vars(sent).items() if isinstance(value, np.ndarray)]
        assert kinds
        assert not any(writeable for _, writeable in kinds), kinds


@pytest.mark.parametrize("given", [np.ones((1, 3), dtype=bool), [[True, 0.5, 0.0]], [(0.1, np.True_, 0.0)]])
def test_true_and_false_are_no_weights(given):
    with pytest.raises(MarketError, match="the policy's weights hold True or False; pass numbers"):
        simulate(MARKET, lambda _: given, spec=SPEC, start=1)


def test_trades_are_what_moved_the_weights():
    path = simulate(MARKET, TARGETS, spec=SPEC, start=1)
    assert (np.diff(path.trades.bar) >= 0).all()
    assert np.bincount(path.trades.bar, weights=np.abs(path.trades.value), minlength=49)[1:] == pytest.approx(
        path.traded_value
    )
    assert np.bincount(path.trades.bar, weights=path.trades.cost, minlength=49)[1:] == pytest.approx(path.costs)


@pytest.mark.parametrize(("start", "stop"), [(0, 50), (5, 6), (5, 51)])
def test_a_window_that_cannot_be_played_is_refused(start, stop):
    with pytest.raises(MarketError, match="bars"):
        simulate(MARKET, TARGETS, spec=SPEC, start=start, stop=stop)


class Graded:
    """Behaves as a tensor that requires grad."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


def test_a_policy_that_returns_nonsense_is_refused():
    with pytest.raises(MarketError, match="not finite"):
        simulate(MARKET, lambda _: np.full((1, 3), np.nan), spec=SPEC, start=5)
    with pytest.raises(MarketError, match="shape"):
        simulate(MARKET, lambda _: np.zeros(3), spec=SPEC, start=5)
    with pytest.raises(MarketError, match="shape"):
        simulate(MARKET, TARGETS[:10], spec=SPEC, start=5)
    for ragged in (lambda _: [[0.5], [0.1, 0.2]], lambda _: [["a", "b", "c"]], [[0.5], [0.1, 0.2]]):
        with pytest.raises(MarketError, match="no array"):
            simulate(MARKET, ragged, spec=SPEC, start=5)
    with pytest.raises(MarketError, match=r"no array: .* grad; pass numbers, such as tensor.detach"):
        simulate(MARKET, lambda _: Graded(), spec=SPEC, start=5)
    for imaginary in (lambda _: np.full((1, 3), 0.2 + 1j), TARGETS + 1j):
        with pytest.raises(MarketError, match="complex"):
            simulate(MARKET, imaginary, spec=SPEC, start=5)


@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_an_order_carries_the_price_as_the_market_quotes_it_beside_its_worth_in_the_account(fill):
    spec = spec_of(costs=EVERY_COST, window=2, fill=fill)
    path = simulate(market_of(PANEL, spec), TARGETS, spec=spec, start=5, stop=40)
    quoted = (PANEL.open if fill == "next_open" else PANEL.close)[5 + path.trades.bar, path.trades.symbol]
    assert path.trades.bar.size > 50
    np.testing.assert_allclose(path.trades.quote, quoted, rtol=1e-12)
    assert not np.allclose(path.trades.quote, path.trades.price, rtol=0.1)


def test_what_is_less_than_a_millionth_of_equity_is_no_order():
    path = simulate(MARKET, TARGETS, spec=SPEC, start=5, stop=40)
    value = path.trades.value.copy()
    value[:3] = np.array([1e-8, -1e-8, 2e-6]) * path.equity[path.trades.bar[:3] - 1]
    orders = replace(path, trades=replace(path.trades, value=value)).orders
    assert orders[0] == 2
    assert len(orders) == len(path.orders) - 2


def test_a_path_says_what_it_is_in_one_line() -> None:
    path = simulate(MARKET, TARGETS, spec=SPEC, start=5, stop=40, name="mine")
    said = repr(path)
    assert said.startswith(f"Trajectory(mine: {len(path.timestamps) - 1} bars of {len(path.symbols)} symbols, ")
    assert said.endswith(f"{len(path.trades.bar)} trades)")
    assert len(said) < 150
    assert repr(path.trades) == f"Trades({len(path.trades.bar)})"


def labelled(columns, index=None):
    return pd.DataFrame(TARGETS, columns=columns, index=index)


def test_a_table_of_targets_is_never_taken_for_other_symbols_or_other_bars():
    """It was taken by its places: a table whose columns were sorted held one symbol's weight of another."""
    symbols, stamps = list(PANEL.symbols), pd.DatetimeIndex(PANEL.timestamps, tz="UTC")
    given = simulate(MARKET, TARGETS, spec=SPEC, start=1).equity
    for table in (labelled(symbols), labelled(range(3)), labelled(symbols, stamps)):
        assert (simulate(MARKET, table, spec=SPEC, start=1).equity == given).all()
    with pytest.raises(MarketError, match=r"targets are labelled .*, and the market's symbols are"):
        simulate(MARKET, labelled(symbols[::-1]), spec=SPEC, start=1)
    with pytest.raises(MarketError, match=r"targets are for 50 bars, .* in row 0, and the market has 50, .* there"):
        simulate(MARKET, labelled(symbols, stamps[::-1]), spec=SPEC, start=1)
    with pytest.raises(MarketError, match="the policy's weights are labelled"):
        simulate(MARKET, lambda seen: labelled(symbols[::-1])[:1], spec=SPEC, start=1)
    with pytest.raises(MarketError, match="targets are masked in part"):
        simulate(MARKET, np.ma.masked_less(TARGETS, 0.0), spec=SPEC, start=1)
