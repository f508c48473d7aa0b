from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.envs.markets import EVERY_COST, market_of, panel_of, random_panel, random_targets, spec_of
from wealtharena.envs.rules import BPS
from wealtharena.envs.simulate import simulate
from wealtharena.errors import MarketError

SEEDS = st.integers(0, 2**32 - 1)
COSTLY = spec_of(
    costs=EVERY_COST,
    limits={"max_gross": 2.0, "max_weight": 1.5, "maintenance_margin": 0.2, "participation": 0.05},
    instrument={"lot_size": 3},
    min_trade_weight=0.01,
)


def account_price_moves(panel, margined):
    """Return dp [T, A] of one unit from close to close, in account currency."""
    price = panel.close * panel.multipliers * panel.to_account
    if not margined:
        return np.diff(price, axis=0)
    return np.diff(panel.close, axis=0) * panel.multipliers * panel.to_account[1:]


@pytest.mark.parametrize("margined", [False, True])
@settings(max_examples=60)
@given(seed=SEEDS, opens=st.booleans())
def test_money_is_conserved_with_every_cost_on(seed, opens, margined):
    rng = np.random.default_rng(seed)
    panel = random_panel(rng, opens=opens)
    spec = COSTLY.model_copy(update={"instrument": COSTLY.instrument.model_copy(update={"margin_futures": margined})})
    path = simulate(market_of(panel, spec), random_targets(rng, panel.bars, 3), spec=spec)

    bought = np.zeros((panel.bars, 3))
    slippage = np.zeros(panel.bars)  # from the fill to the close of the same bar
    np.add.at(bought, (path.trades.bar, path.trades.symbol), path.trades.units)
    close = panel.close * panel.multipliers * panel.to_account
    gain = path.trades.units * (close[path.trades.bar, path.trades.symbol] - path.trades.price)
    np.add.at(slippage, path.trades.bar, gain)
    held = np.cumsum(bought, axis=0)
    moves = (held[:-1] * account_price_moves(panel, margined)).sum(axis=1) + slippage[1:]
    explained = moves + path.dividends - path.costs - path.financing
    scale = np.abs(path.equity).max() + np.abs(held * close).max()
    assert np.abs(np.diff(path.equity) - explained).max() <= 1e-9 * scale
    assert path.equity[-1] - path.equity[0] == pytest.approx(explained.sum(), abs=1e-9 * scale)
    assert path.costs.sum() == pytest.approx(path.trades.cost.sum(), rel=1e-9, abs=1e-6)


@settings(max_examples=40)
@given(seed=SEEDS)
def test_costs_are_never_negative(seed):
    rng = np.random.default_rng(seed)
    panel = random_panel(rng)
    path = simulate(market_of(panel, COSTLY), random_targets(rng, panel.bars, 3), spec=COSTLY)
    assert (path.costs >= 0).all()
    assert (path.trades.cost >= 0).all()


@settings(max_examples=30)
@given(before=st.floats(20, 500), move=st.floats(-10, 10))
def test_a_move_of_one_on_one_unit_moves_equity_by_one(before, move):
    panel = panel_of([before, before, before + move, before + move + 1.0])
    spec = spec_of(initial_cash=before)  # all in buys exactly one unit
    path = simulate(market_of(panel, spec), np.ones((4, 1)), spec=spec, hold=np.array([False, True, True, True]))
    assert path.trades.units.tolist() == [pytest.approx(1.0, rel=1e-12)]
    assert np.diff(path.equity).tolist() == pytest.approx([0.0, move, 1.0], abs=1e-9)


@settings(max_examples=60)
@given(seed=SEEDS, opens=st.booleans(), factor=st.floats(1.01, 5.0))
def test_higher_costs_never_raise_final_equity_under_fixed_weights(seed, opens, factor):
    rng = np.random.default_rng(seed)
    spec = spec_of(costs={**EVERY_COST, "cash_bps_per_year": 0, "carry_bps_per_year": 0})
    panel = random_panel(rng, opens=opens)
    market = market_of(panel, spec)
    weights = np.tile(rng.normal(0, 0.5, 3), (panel.bars, 1))
    cheap = simulate(market, weights, spec=spec)
    dear = simulate(market, weights, spec=spec, cost_factor=factor)
    assert dear.equity[-1] <= cheap.equity[-1] * (1 + 1e-12)
    assert dear.costs.sum() > cheap.costs.sum()


@settings(max_examples=40)
@given(seed=SEEDS, order=st.permutations([0, 1, 2]))
def test_permuting_symbols_permutes_the_result(seed, order):
    rng = np.random.default_rng(seed)
    panel = random_panel(rng)
    targets = random_targets(rng, panel.bars, 3)
    changed = {
        n: getattr(panel, n)[:, order] for n in ("close", "open", "volume", "dividends", "to_account", "tradable")
    }
    shuffled = panel_of(volume_unit="units", multipliers=panel.multipliers[order], **changed)
    plain = simulate(market_of(panel, COSTLY), targets, spec=COSTLY)
    other = simulate(market_of(shuffled, COSTLY), targets[:, order], spec=COSTLY)
    np.testing.assert_allclose(other.equity, plain.equity, rtol=1e-9)
    np.testing.assert_allclose(other.weights, plain.weights[:, order], rtol=1e-7, atol=1e-9)


@settings(max_examples=80)
@given(
    seed=SEEDS,
    gross=st.floats(0.3, 3.0),
    rate=st.floats(0, 300),
    least=st.sampled_from([0.0, 0.05, 0.3]),
    lot=st.sampled_from([0, 7]),
)
def test_gross_stays_within_the_limit_at_sizing_prices_with_costs(seed, gross, rate, least, lot):
    rng = np.random.default_rng(seed)
    bars, assets = 30, 3
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, (bars, assets)), axis=0))
    opening = np.concatenate([close[:1], close[:-1]])  # fills happen at the very price of sizing
    volume = np.full((bars, assets), 1e8)
    panel = panel_of(close, open=opening, volume=volume, volume_unit="account")
    spec = spec_of(
        costs={"commission_bps": rate, "impact_coefficient": 0.5},
        limits={"max_gross": gross, "max_weight": gross},
        min_trade_weight=least,
        instrument={"lot_size": lot},
    )
    path = simulate(market_of(panel, spec), random_targets(rng, bars, assets), spec=spec)
    bought = np.zeros((bars, assets))
    np.add.at(bought, (path.trades.bar, path.trades.symbol), path.trades.units)
    held = np.cumsum(bought, axis=0)
    alive = path.equity[:-1] > 1.0
    after = np.abs(held[1:] * opening[1:]).sum(axis=1)
    assert (after <= gross * (path.equity[:-1] - path.costs) * (1 + 1e-9) + 1e-6)[alive].all()


@settings(max_examples=30)
@given(rate=st.floats(-500, 2000), bars=st.integers(3, 30), margined=st.booleans())
def test_all_cash_earns_exactly_the_cash_rate(rate, bars, margined):
    days = np.cumsum(np.random.default_rng(bars).integers(1, 5, bars))
    panel = panel_of(np.full(bars, 10.0), timestamps=np.datetime64("2020-01-01", "ns") + days * np.timedelta64(1, "D"))
    spec = spec_of(costs={"cash_bps_per_year": rate}, instrument={"margin_futures": margined})
    path = simulate(market_of(panel, spec), np.zeros((bars, 1)), spec=spec)
    years = np.diff(days) / 365.25
    np.testing.assert_allclose(path.equity[1:] / path.equity[:-1], 1 + rate * 1e-4 * years, rtol=1e-12)


@settings(max_examples=40)
@given(seed=SEEDS, opens=st.booleans())
def test_buy_and_hold_at_no_cost_is_the_price_ratio_from_fill_to_end(seed, opens):
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, 20)))
    opening = np.concatenate([close[:1], close[:-1]])
    panel = panel_of(close, open=opening if opens else None)
    spec = spec_of(limits={"long_only": True})
    path = simulate(market_of(panel, spec), np.ones((20, 1)), spec=spec, hold=np.arange(20) > 0)
    paid = opening[1] if opens else close[1]
    invested = path.trades.units[0] * paid
    assert path.equity[-1] - (path.equity[0] - invested) == pytest.approx(invested * close[-1] / paid, rel=1e-12)
    if opens:  # sized and filled at one price, so all of the cash is invested
        assert path.equity[-1] / path.equity[0] == pytest.approx(close[-1] / paid, rel=1e-12)


@settings(max_examples=40)
@given(seed=SEEDS, rate=st.floats(-500, 2000), margined=st.booleans())
def test_a_series_that_never_moves_gives_what_the_number_gives_to_the_last_digit(seed, rate, margined):
    rng = np.random.default_rng(seed)
    panel = random_panel(rng)
    targets = random_targets(rng, panel.bars, 3)
    named = {"instrument": {"margin_futures": margined}, "limits": {"max_gross": 2.0}}
    plain = spec_of(costs={**EVERY_COST, "cash_bps_per_year": rate}, **named)
    dated = spec_of(costs={**EVERY_COST, "cash_bps_per_year": "DFF"}, **named)
    flat = replace(panel, cash=np.full(panel.bars, rate * BPS))
    paths = [simulate(market_of(p, s), targets, spec=s) for p, s in ((panel, plain), (flat, dated))]
    for name in ("equity", "weights", "costs", "financing"):
        assert np.array_equal(*(getattr(path, name) for path in paths)), name


@settings(max_examples=30)
@given(seed=SEEDS, margined=st.booleans())
def test_each_night_earns_the_rate_that_was_known_at_the_close_before_it(seed, margined):
    rng = np.random.default_rng(seed)
    days, rates = np.cumsum(rng.integers(1, 5, 12)), rng.uniform(-0.02, 0.2, 12)
    stamps = np.datetime64("2020-01-01", "ns") + days * np.timedelta64(1, "D")
    spec = spec_of(costs={"cash_bps_per_year": "DFF"}, instrument={"margin_futures": margined})
    panel = panel_of(np.full(12, 10.0), timestamps=stamps, cash=rates)
    path = simulate(market_of(panel, spec), np.zeros((12, 1)), spec=spec, start=2)
    growth = 1 + rates[2:-1] * np.diff(days[2:]) / 365.25
    np.testing.assert_allclose(path.equity[1:] / path.equity[:-1], growth, rtol=1e-12)
    assert np.array_equal(path.cash_rates, rates[2:-1])


def test_a_dated_rate_that_the_bars_do_not_carry_is_refused():
    spec = spec_of(costs={"cash_bps_per_year": "DFF"})
    with pytest.raises(MarketError, match="cash_bps_per_year=DFF is a dated rate, and these bars carry none"):
        market_of(panel_of(np.full(5, 10.0)), spec)
