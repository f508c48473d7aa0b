import numpy as np
import pytest

from tests.envs.markets import FREE, market_of, panel_of, spec_of
from wealtharena.envs.simulate import equity_paths, simulate
from wealtharena.envs.walker import Walker
from wealtharena.errors import MarketError

ONCE = np.array([False, True, True, True, True, True])


def run(panel, targets, *, hold=None, **changes):
    spec = spec_of(**changes)
    targets = np.broadcast_to(np.asarray(targets, dtype=float), (panel.bars, len(panel.symbols))).copy()
    return simulate(market_of(panel, spec), targets, spec=spec, hold=hold)


def test_an_order_sized_at_the_close_fills_at_the_next_open():
    panel = panel_of([100, 110, 120], open=[1, 104, 1])
    path = run(panel, 0.5, hold=ONCE[:3])
    assert path.fill == "next_open"
    assert path.trades.bar.tolist() == [1]
    assert path.trades.price.tolist() == [104]
    assert path.trades.units[0] == pytest.approx(0.5e6 / 100)


def test_with_closes_only_it_fills_at_the_next_close_and_earns_a_bar_later():
    path = run(panel_of([100, 110, 121]), 0.5, hold=ONCE[:3])
    assert path.fill == "next_close"
    assert path.trades.price.tolist() == [110]
    assert path.equity[1] == path.equity[0]
    assert path.equity[2] == pytest.approx(1e6 + 5000 * 11)


def test_next_open_needs_opens():
    with pytest.raises(MarketError, match="next_close"):
        market_of(panel_of([1, 2, 3]), spec_of(fill="next_open"))


def test_a_bar_that_is_not_tradable_keeps_the_position_and_the_order_lapses():
    panel = panel_of([100, 100, 100, 100], tradable=np.array([[True], [False], [True], [True]]))
    path = run(panel, 0.5, hold=np.array([False, True, True, True]))
    assert len(path.trades.bar) == 0
    path = run(panel, 0.5)
    assert path.trades.bar.tolist() == [2]


def test_a_missing_bar_is_marked_at_the_last_price():
    path = run(panel_of([100, 100, np.nan, 90]), 1.0, hold=ONCE[:4])
    assert path.equity.tolist() == pytest.approx([1e6, 1e6, 1e6, 0.9e6])


def test_a_negative_price_is_a_mark_but_never_a_fill():
    path = run(panel_of([20, 20, -37.63, 10]), [[0.1], [0.1], [0.0], [0.0]])
    assert path.trades.bar.tolist() == [1]  # sized at 20; the sale at bar 3 has no price to be sized at
    assert path.equity[2] == pytest.approx(1e6 - 5_000 * (20 + 37.63))
    later = run(panel_of([20, 20, -37.63, 10, 11]), [[0.1], [0.1], [0.0], [0.0], [0.0]])
    assert later.trades.bar.tolist() == [1, 4]


def test_a_symbol_is_out_of_reach_before_it_is_listed():
    path = run(panel_of([[np.nan, 10.0], [np.nan, 10.0], [5.0, 10.0], [5.0, 10.0]]), [0.5, 0.5])
    assert path.trades.symbol.tolist() == [1, 0]
    assert path.trades.bar.tolist() == [1, 3]


def test_dividends_are_cash_on_the_ex_date_for_the_units_held_before():
    dividends = np.array([[0.0], [3.0], [2.0], [0.0]])
    path = run(panel_of([100, 100, 100, 100], dividends=dividends), 0.5, hold=ONCE[:4])
    assert path.dividends.tolist() == pytest.approx([0.0, 2.0 * 5000, 0.0])
    assert path.equity[-1] == pytest.approx(1e6 + 10_000)


def test_a_short_pays_the_dividend():
    path = run(panel_of([100] * 4, dividends=np.array([[0.0], [0.0], [2.0], [0.0]])), -0.5, hold=ONCE[:4])
    assert path.dividends.sum() == pytest.approx(-10_000)


def test_commission_and_spread_are_paid_on_traded_value():
    path = run(panel_of([100] * 3), 0.5, hold=ONCE[:3], costs={"commission_bps": 7, "half_spread_bps": 3})
    assert path.costs.tolist() == pytest.approx([500.0, 0.0])


@pytest.mark.parametrize(
    "filling", [5e7, 2e7]
)  # volume of the bar that fills, which nobody knows when the order is sized
def test_impact_is_k_sigma_root_of_order_over_bar_volume(filling):
    close = np.array([100, 101, 100, 102, 103.0])
    volume = np.array([5e7, 5e7, 5e7, 5e7, filling]).reshape(5, 1)
    panel = panel_of(close, volume=volume, volume_unit="account")
    path = run(panel, 0.5, hold=np.arange(5) != 3, costs={"impact_coefficient": 2.0})
    returns = close[1:4] / close[:3] - 1  # known at the close at which the order is sized
    order = 0.5e6 / 102 * 103
    expected = order * 2.0 * np.sqrt((returns**2).mean()) * np.sqrt(order / filling)
    assert path.costs[3] == pytest.approx(expected, rel=1e-12)


def test_no_volume_means_no_impact():
    assert run(panel_of([100] * 4), 0.5, costs={"impact_coefficient": 2.0}).costs.sum() == 0


def test_shorts_pay_for_the_borrowed_value_by_the_day():
    path = run(panel_of([100] * 4), -0.5, hold=ONCE[:4], costs={"borrow_bps_per_year": 365.25})
    assert path.financing.tolist() == pytest.approx([0.0, 50.0, 50.0])


def test_borrowed_cash_pays_margin_interest_and_futures_do_not():
    limits = {"max_gross": 2.0, "max_weight": 2.0}
    costs = {"margin_bps_per_year": 365.25}
    loan = run(panel_of([100] * 4), 2.0, hold=ONCE[:4], limits=limits, costs=costs)
    assert loan.financing.tolist() == pytest.approx([0.0, 100.0, 100.01], rel=1e-6)
    futures = run(
        panel_of([100] * 4), 2.0, hold=ONCE[:4], limits=limits, costs=costs, instrument={"margin_futures": True}
    )
    assert futures.financing.sum() == 0


def test_a_margined_account_earns_interest_on_its_whole_equity():
    path = run(
        panel_of([100] * 4), 2.0, hold=ONCE[:4], limits={"max_gross": 2.0, "max_weight": 2.0},
        costs={"cash_bps_per_year": 365.25}, instrument={"margin_futures": True},
    )  # fmt: skip
    assert path.financing.tolist() == pytest.approx([-100.0, -100.01, -100.02], rel=1e-6)


def test_carry_is_paid_by_longs_and_received_by_shorts():
    costs = {"carry_bps_per_year": 365.25}
    assert run(panel_of([100] * 3), 0.5, hold=ONCE[:3], costs=costs).financing.tolist() == pytest.approx([0, 50.0])
    assert run(panel_of([100] * 3), -0.5, hold=ONCE[:3], costs=costs).financing.tolist() == pytest.approx([0, -50.0])


def test_units_are_whole_lots_and_never_above_the_target():
    path = run(panel_of([[7.0, 11.0]] * 4), [0.37, -0.61], instrument={"lot_size": 100, "lot_sizes": {"S1": 10}})
    assert path.trades.units.tolist() == [52_800.0, -55_450.0]


def test_an_order_takes_no_more_than_its_share_of_the_volume():
    panel = panel_of([100] * 5, volume=np.full((5, 1), 1000.0), volume_unit="units")
    path = run(panel, 0.5, limits={"participation": 0.1})
    assert path.trades.units.tolist() == pytest.approx([100.0] * 4)


@pytest.mark.parametrize("unit", ["units", "account"])
def test_what_an_order_at_the_open_may_take_does_not_know_the_close(unit):
    """Of a bar that rose it was allowed more units than of one that fell, both with as many traded."""
    taken = []
    for close in (150.0, 50.0):
        units = np.full((3, 1), 1000.0)
        money = units * np.array([[100.0], [(100.0 + close) / 2.0], [100.0]])
        volume = units if unit == "units" else money
        panel = panel_of([100, close, 100], open=[100, 100, 100], volume=volume, volume_unit=unit)
        taken.append(run(panel, 0.5, hold=ONCE[:3], limits={"participation": 0.1}).trades.units[0])
    assert taken == [100.0, 100.0]


def test_weights_beyond_the_limits_are_projected():
    path = run(panel_of([[10.0, 10.0]] * 3), [3.0, -1.0], limits={"max_gross": 1.2, "max_weight": 0.9})
    assert path.targets[0].tolist() == pytest.approx([0.6, -0.6])
    path = run(panel_of([[10.0, 10.0]] * 3), [3.0, -1.0], limits={"long_only": True})
    assert path.targets[0].tolist() == [1.0, 0.0]


def test_a_small_change_of_weight_is_not_traded():
    targets = [[0.5], [0.505], [0.6], [0.6]]
    path = run(panel_of([100.0] * 4), targets, min_trade_weight=0.01)
    assert path.trades.bar.tolist() == [1, 3]


@pytest.mark.parametrize("wanted", [0.1, 0.45, -0.1])
def test_an_order_goes_no_further_than_what_is_asked_where_closing_would_cost_more_than_there_is(wanted):
    """Hardly anything is traded in bar 2, by which the orders of its close are sized."""
    volume = np.array([1e9, 1e9, 10.0, 1e9]).reshape(4, 1)
    panel = panel_of([100.0, 102.0, 100.0, 102.0], volume=volume, volume_unit="account")
    path = run(panel, [[0.5], [0.5], [wanted], [wanted]], costs={"impact_coefficient": 1.0})
    assert path.weights[1, 0] == pytest.approx(0.5, abs=0.02)
    assert path.weights[3, 0] == pytest.approx(wanted / 2, abs=abs(wanted) / 2 * 1.05)


@pytest.mark.parametrize("lot", [0.0, 7.0])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_what_a_liquidation_could_not_close_goes_at_the_next_bar_however_small(side, lot):
    """S0 does not trade on the day of the margin call, and is less than `min_trade_weight` by then."""
    close = [[100.0, 100.0], [100.0, 100.0], [80.0, 95.0], [80.0, 95.0], [150.0, 95.0]]
    tradable = np.ones((5, 2), dtype=bool)
    tradable[2, 0] = False
    path = run(
        panel_of(close, tradable=tradable),
        [side * 0.0505, 1.9],
        hold=np.arange(5) > 0,
        limits={"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.5},
        instrument={"lot_size": lot},
        min_trade_weight=0.05,
    )
    assert path.liquidated
    assert 0.0 < abs(path.weights[2, 0]) < 0.05
    assert path.trades.bar.tolist() == [1, 1, 2, 3]
    assert path.weights[3:].tolist() == [[0.0, 0.0]] * 2
    assert path.equity[4] == path.equity[3]


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_delisted_position_is_closed_at_the_last_price_less_the_haircut(side):
    close = [[10.0, 10.0]] * 3 + [[np.nan, 10.0]] * 7
    weights = [side * 0.4, 0.4]
    path = run(panel_of(close), weights, hold=np.arange(10) > 0, limits={"delisting_haircut": 0.3, "delisting_bars": 5})
    assert path.trades.bar.tolist() == [1, 1, 7]  # five bars without a price: 3, 4, 5, 6, 7
    assert path.trades.units[2] == pytest.approx(side * -40_000)
    assert path.equity[:7].tolist() == pytest.approx([1e6] * 7)
    assert path.equity[7:].tolist() == pytest.approx([1e6 - 0.3 * 0.4e6] * 3)  # a short pays it too
    assert path.costs.sum() == pytest.approx(path.trades.cost.sum())
    assert path.weights[-1, 0] == 0.0
    traded = np.bincount(path.trades.bar, weights=np.abs(path.trades.value), minlength=10)[1:]
    assert path.traded_value.tolist() == pytest.approx(traded.tolist()), (
        "an order that is counted has its value in turnover"
    )


def test_equity_below_the_maintenance_margin_is_liquidated_with_a_fee():
    panel = panel_of([100, 100, 70, 70, 70.0])
    limits = {"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.3, "liquidation_penalty_bps": 100}
    path = run(panel, 2.0, limits=limits)
    assert path.liquidated
    assert path.equity[2] == pytest.approx(1e6 - 0.6e6 - 0.01 * 1.4e6)
    assert (path.equity[2:] == path.equity[2]).all()
    assert (path.weights[2:] == 0).all()


def test_ruin_ends_the_account_and_leaves_the_debt():
    path = run(panel_of([100, 100, 350.0, 20.0, 20.0]), -1.0, limits={"liquidation_penalty_bps": 0})
    assert path.liquidated
    assert path.equity[2] == pytest.approx(1e6 - 2.5e6)
    assert (path.equity[2:] == path.equity[2]).all()


def test_a_debt_stays_the_arithmetic_loss_whatever_comes_after():
    """No interest runs on it, a position that could not be closed raises nobody from the dead, and returns are 0."""
    interest = {"margin_bps_per_year": 600, "borrow_bps_per_year": 100, "carry_bps_per_year": 50}
    for panel, weight, loss in (
        (panel_of([100, 100, 350.0, 20.0, 20.0]), -1.0, 2.5e6),
        (panel_of([20, 20, -37.63, 10, 11.0]), 0.5, 25_000 * 57.63),  # a negative price closes nothing
    ):
        free = run(panel, weight, limits={"liquidation_penalty_bps": 0})
        assert free.equity[2:].tolist() == pytest.approx([1e6 - loss] * 3)
        path = run(panel, weight, costs={**FREE, **interest}, limits={"liquidation_penalty_bps": 0})
        assert path.liquidated
        assert path.equity[2] < 1e6 - loss
        assert (path.equity[2:] == path.equity[2]).all()
        assert path.returns[1] == pytest.approx(path.equity[2] / path.equity[1] - 1.0)
        assert path.returns[2:].tolist() == [0.0, 0.0]
        assert (path.weights[2:] == 0).all()
        assert path.trades.bar.max() <= 2
        assert not path.financing[2:].any()
        assert not path.costs[2:].any()


@pytest.mark.parametrize("margined", [False, True])
def test_an_account_that_has_ended_is_paid_no_dividend_on_what_could_not_be_closed(margined):
    panel = panel_of([20, 20, -37.63, 10, 11.0], dividends=np.array([[0.0], [0], [2], [3], [3]]))
    changes = {"instrument": {"margin_futures": margined}}
    path = run(panel, 0.5, **changes)
    assert path.equity[2] < 0.0
    assert path.dividends.tolist() == [0.0, 2.0 * 25_000, 0.0, 0.0]
    spec = spec_of(**changes)
    walker = Walker.open(market_of(panel, spec), spec, bar=0)
    assert [walker.step(np.array([0.5])).dividends for _ in range(4)] == path.dividends.tolist()


def test_trades_tell_what_was_closed_by_force():
    """S0 lapses and is struck off at bar 3, where the fall of S1 ends the account."""
    close = [[10.0, 10.0]] * 2 + [[np.nan, 10.0], [np.nan, 4.0]]
    limits = {"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.5, "delisting_bars": 2}
    path = run(panel_of(close), [[0.2, 1.3], [0.2, 1.3], [0.1, 1.2], [0.0, 0.0]], limits=limits)
    at = path.trades.bar == 3
    assert path.trades.symbol[at].tolist() == [0, 1, 1]
    assert path.trades.asked[at].tolist() == [False, True, False]
    assert path.trades.asked[~at].all()


def test_equity_of_exactly_nothing_has_returns():
    path = run(panel_of([100, 100, 200.0, 50.0]), -1.0, limits={"liquidation_penalty_bps": 0})
    assert path.equity.tolist() == [1e6, 1e6, 0.0, 0.0]
    assert path.returns.tolist() == [0.0, -1.0, 0.0]


def test_the_ruin_of_one_path_leaves_those_beside_it_alone():
    market = market_of(panel_of([100, 100, 350.0, 20.0, 20.0]), spec_of())
    targets = np.array([-1.0, 0.2, 1.0])[:, None, None] * np.ones((3, 5, 1))
    paths = equity_paths(market, targets, spec=spec_of())
    alone = [simulate(market, target, spec=spec_of()).equity for target in targets]
    assert (paths == alone).all()
    assert paths[0, -1] < 0.0 < paths[1, -1]


def test_a_pair_earns_in_its_quote_currency_and_is_converted():
    """USDJPY for an account in USD: one unit is always worth one USD, and yet earns when the rate rises."""
    rate = np.array([100.0, 100.0, 110.0, 110.0])
    panel = panel_of(rate, to_account=1 / rate[:, None])
    path = run(panel, 1.0, hold=ONCE[:4], instrument={"margin_futures": True})
    assert path.equity[2] == pytest.approx(1e6 + 1e6 * 10 / 110)
    assert path.dividends.sum() == 0


def test_a_cross_does_not_earn_what_its_quote_currency_does():
    panel = panel_of([0.9] * 4, to_account=np.array([[1.2], [1.2], [1.5], [1.5]]))
    assert run(panel, 1.0, instrument={"margin_futures": True}).equity.tolist() == pytest.approx([1e6] * 4)
    assert run(panel, 1.0, hold=ONCE[:4]).equity[-1] == pytest.approx(1.25e6)  # a share held abroad does


def test_a_multiplier_makes_a_contract_of_many_units():
    path = run(panel_of([50.0, 50.0, 51.0], multipliers=np.array([1000.0])), 1.0, hold=ONCE[:3])
    assert path.trades.units[0] == pytest.approx(20)
    assert path.equity[-1] == pytest.approx(1e6 + 20 * 1000)


def test_targets_that_are_not_finite_are_refused():
    with pytest.raises(MarketError, match="bar 1"):
        run(panel_of([1.0] * 4), [[0.5], [np.nan], [0.5], [0.5]])


def test_held_bars_may_carry_any_target():
    assert len(run(panel_of([1.0] * 4), np.nan, hold=np.ones(4, dtype=bool)).trades.bar) == 0
