"""What the rules close by force at the paper broker: no fill of an order, and booked once whatever else the bar filled."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from tests.envs.markets import market_of, panel_of, spec_of
from wealtharena.trading import figures
from wealtharena.trading.broker import Fill, Order
from wealtharena.trading.brokers.paper import PaperBroker

LIMITS = {"max_gross": 2.0, "max_weight": 2.0, "maintenance_margin": 0.5, "delisting_bars": 2}


def told(broker, symbol):
    return [(one.client_id, round(one.units, 6)) for one in broker.fills(0) if one.symbol == symbol]


@pytest.mark.parametrize("units", [500.0, -500.0, -1000.0])
def test_an_order_that_lapses_on_the_day_of_a_delisting_was_not_filled_by_it(tmp_path, units):
    spec = spec_of(limits=LIMITS)
    market = market_of(panel_of([10.0, 10.0, np.nan, np.nan, np.nan]), spec)
    with contextlib.closing(PaperBroker(tmp_path / "b.sqlite", spec, synchronous="off")) as broker:
        broker.advance(market.part(0, 1))
        broker.submit(Order("buy", "S0", 1000.0))
        broker.advance(market.part(0, 3))
        broker.submit(Order("late", "S0", units))
        broker.advance(market.part(0, 4))
        assert told(broker, "S0") == [("buy", 1000.0), (None, -1000.0)]
        late = broker.order_by_client_id("late")
        assert (late.filled, late.status) == (0.0, "expired")


def test_what_a_liquidated_account_sells_and_is_made_to_sell_at_one_bar_is_booked_as_two(tmp_path):
    """S0 has no trade on the day of the margin call; of the day after, the volume takes a part, and the rules the rest."""
    close = [[100.0, 100.0]] * 2 + [[100.0, 40.0], [20.0, 40.0], [20.0, 40.0]]
    tradable = np.ones((5, 2), dtype=bool)
    tradable[2, 0] = False
    volume = np.full((5, 2), 1e9)
    volume[3, 0] = 1000.0
    spec = spec_of(limits={**LIMITS, "liquidation_penalty_bps": 0})
    market = market_of(panel_of(close, tradable=tradable, volume=volume, volume_unit="units"), spec)
    with contextlib.closing(PaperBroker(tmp_path / "b.sqlite", spec, synchronous="off")) as broker:
        broker.advance(market.part(0, 1))
        broker.submit(Order("one", "S0", 6000.0))
        broker.submit(Order("two", "S1", 12_000.0))
        broker.advance(market.part(0, 3))
        assert broker.account().liquidated
        assert dict(broker.positions()) == {"S0": 6000.0}
        for stop in (4, 5):
            broker.advance(market.part(0, stop))
        assert told(broker, "S0") == [("one", 6000.0), (None, -1000.0), (None, -5000.0)]
        assert not broker.positions()


def test_an_account_without_equity_has_no_weights_and_what_no_order_asked_for_was_forced():
    """What could not be closed is still held there, as a backtest has it."""
    days = [f"2024-01-0{n}T00:00:00.000000000" for n in (1, 2, 3)]
    common = {"traded": 0.0, "costs": 0.0, "financing": 0.0, "dividends": 0.0}
    closes = [
        {"bar": day, "equity": equity, "positions": {"S0": 100.0}, "marks": {"S0": mark}, **common}
        for day, equity, mark in zip(days, (1e4, 5e3, -8e3), (50.0, 25.0, -105.0), strict=True)
    ]
    fills = [
        Fill(n, f"{n}", client_id, days[1], "S0", units, 25.0, 25.0, 0.0)
        for n, (client_id, units) in enumerate([("a", 10.0), (None, -10.0)])
    ]
    ledger = SimpleNamespace(closes=lambda: closes, wanted=dict, fills=lambda: fills)
    path = figures.path_of(ledger, ("S0",), fill="next_close", bars_per_year=252.0)
    assert path.weights[:, 0].tolist() == [0.5, 0.5, 0.0]
    assert path.trades.asked.tolist() == [True, False]
