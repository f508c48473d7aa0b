from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.specs import compose
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import currency, load_panel
from wealtharena.data.align import align
from wealtharena.data.bars import Bars, raw_table
from wealtharena.data.panel import Panel
from wealtharena.envs.kernel.rows import BAR
from wealtharena.envs.market import market_bars
from wealtharena.errors import ConfigError, DataError

CRYPTO = compose(["asset=crypto", "data=files"])
DAYS = pd.date_range("2024-01-01", periods=60, freq="D")


def _panel(spec: ExperimentSpec, *bars: Bars) -> Panel:
    return align(bars, spec.asset, spec.data, source="test", simulated=False)


@st.composite
def _markets(draw: st.DrawFn) -> list[Bars]:
    """Two to four symbols with listing dates, delistings, holes, missing volume and non-positive prices of their own."""
    made = []
    for name in "ABCD"[: draw(st.integers(2, 4))]:
        rows = sorted(draw(st.sets(st.integers(0, 59), min_size=1, max_size=60)))
        close = draw(st.lists(st.floats(-5, 1e6, allow_nan=False), min_size=len(rows), max_size=len(rows)))
        volume = draw(st.lists(st.sampled_from([0.0, 10.0, np.nan]), min_size=len(rows), max_size=len(rows)))
        table = raw_table(pd.DataFrame({"timestamp": DAYS[rows].tz_localize("UTC"), "close": close, "volume": volume}))
        table["tradable"] = draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
        made.append(Bars("test", name, "1d", table, "USD", "units", "splits", datetime(2024, 6, 1, tzinfo=UTC)))
    return made


@pytest.mark.slow
@settings(max_examples=30)
@given(bars=_markets(), order=st.randoms(use_true_random=False))
def test_the_order_of_symbols_and_rows_changes_nothing_but_the_order(bars: list[Bars], order: object) -> None:
    panel = _panel(CRYPTO, *bars)
    shuffled = list(bars)
    order.shuffle(shuffled)
    other = _panel(CRYPTO, *shuffled)
    assert other.symbols == tuple(item.symbol for item in shuffled)
    assert other.fingerprint == panel.fingerprint
    for name in panel.symbols:
        np.testing.assert_array_equal(
            panel.close[:, panel.symbols.index(name)], other.close[:, other.symbols.index(name)]
        )


@pytest.mark.slow
@settings(max_examples=30)
@given(bars=_markets())
def test_no_price_is_invented_and_none_is_lost(bars: list[Bars]) -> None:
    panel = _panel(CRYPTO, *bars)
    for column, item in enumerate(bars):
        seen = dict(zip(panel.timestamps, panel.close[:, column], strict=True))
        given_prices = dict(
            zip(item.table["timestamp"].dt.tz_localize(None).to_numpy(), item.table["close"], strict=True)
        )
        kept = {stamp: price for stamp, price in seen.items() if np.isfinite(price)}
        assert all(given_prices[stamp] == price for stamp, price in kept.items())
        holes = np.diff(
            np.flatnonzero(np.isin(DAYS.to_numpy(), item.table["timestamp"].dt.tz_localize(None).to_numpy()))
        )
        if (holes - 1 <= CRYPTO.data.quality.max_gap_bars).all() or len(given_prices) == 1:
            assert len(kept) == len(given_prices)


@pytest.mark.slow
@settings(max_examples=30)
@given(bars=_markets())
def test_only_a_real_bar_with_a_positive_price_and_volume_is_tradable(bars: list[Bars]) -> None:
    panel = _panel(CRYPTO, *bars)
    assert (panel.close[panel.tradable] > 0).all()
    for column, item in enumerate(bars):
        marked = dict(zip(item.table["timestamp"].dt.tz_localize(None).to_numpy(), item.table["tradable"], strict=True))
        assert all(marked[stamp] for stamp in panel.timestamps[panel.tradable[:, column]])
        if panel.volume is not None and np.isfinite(panel.volume[:, column]).any():
            assert (panel.volume[panel.tradable[:, column], column] > 0).all()


@pytest.mark.slow
@settings(max_examples=30)
@given(bars=_markets(), data=st.data())
def test_the_past_of_a_panel_does_not_depend_on_its_future(bars: list[Bars], data: st.DataObject) -> None:
    for item in bars:  # volume that begins later would change which bars of the past count as without volume
        item.table["volume"] = 10.0
    panel = _panel(CRYPTO, *bars)
    cut = data.draw(st.integers(1, panel.bars))
    last = pd.Timestamp(panel.timestamps[cut - 1]).date()
    parts = [item.between(None, last) for item in bars]
    holes = any(
        (np.diff(item.table["timestamp"].dt.day_of_year) > CRYPTO.data.quality.max_gap_bars).any() for item in bars
    )
    if holes:
        return
    early = _panel(CRYPTO, *parts)
    np.testing.assert_array_equal(early.close, panel.close[:cut])
    np.testing.assert_array_equal(early.tradable, panel.tradable[:cut])


def test_young_and_delisted_symbols_are_nan_outside_their_life(make_bars: Callable[..., Bars]) -> None:
    young = make_bars("YOUNG", DAYS[20:], np.arange(1.0, 41.0))
    gone = make_bars("GONE", DAYS[:30], np.arange(1.0, 31.0))
    panel = _panel(CRYPTO, young, gone)
    assert panel.bars == 60
    assert np.isnan(panel.close[:20, 0]).all()
    assert np.isnan(panel.close[30:, 1]).all()
    assert not panel.tradable[:20, 0].any()
    assert not panel.tradable[30:, 1].any()
    assert panel.tradable[20:30].all()


def test_stray_bars_before_a_long_hole_are_left_out_and_said(make_bars: Callable[..., Bars]) -> None:
    days = pd.date_range("2020-07-13", periods=300, freq="D")
    whole = make_bars("BTC-USD", days, np.linspace(100, 200, 300))
    stray = make_bars("AVAX-USD", days[[0, 1, *range(71, 300)]], np.linspace(5, 10, 231))
    panel = _panel(CRYPTO, whole, stray)
    assert np.isnan(panel.close[:71, 1]).all()
    assert np.isfinite(panel.close[71:, 1]).all()
    assert any("AVAX-USD: 2 stray bars" in note for note in panel.notes)


def test_hours_at_which_an_exchange_rests_while_others_trade_are_no_hole(make_bars: Callable[..., Bars]) -> None:
    """After each long weekend a share's newest bars were strays beside coins: the service answered without them."""
    hours = pd.date_range("2024-04-01", "2024-04-30T18:00", freq="h")
    opened = hours[(hours.day_of_week < 5) & (hours.hour >= 14) & (hours.hour < 21) & (hours.day != 29)]
    coin = make_bars("BTC-USD", hours, np.linspace(100, 200, len(hours)))
    fund = make_bars("IBIT", opened, np.linspace(30, 40, len(opened)))
    panel = _panel(compose(["asset=crypto", "data=files", "data.interval=1h"]), coin, fund)
    assert np.isfinite(panel.close[:, 1]).sum() == len(opened)
    assert not any("stray" in note for note in panel.notes)


def test_strays_within_the_day_are_left_out_before_a_hole_of_their_own_bars(make_bars: Callable[..., Bars]) -> None:
    hours = pd.date_range("2024-04-01", periods=500, freq="h")
    whole = make_bars("BTC-USD", hours, np.linspace(100, 200, 500))
    stray = make_bars("AVAX-USD", hours[[0, 1, *range(71, 500)]], np.linspace(5, 10, 431))
    panel = _panel(compose(["asset=crypto", "data=files", "data.interval=1h"]), whole, stray)
    assert any("AVAX-USD: 2 stray bars" in note for note in panel.notes)


def test_a_long_halt_between_two_long_lives_loses_neither(make_bars: Callable[..., Bars]) -> None:
    days = pd.date_range("2024-01-01", periods=300, freq="D")
    whole = make_bars("BTC-USD", days, np.linspace(100, 200, 300))
    halted = make_bars("XRP-USD", days[[*range(100), *range(180, 300)]], np.linspace(5, 10, 220))
    panel = _panel(CRYPTO, whole, halted)
    assert np.isfinite(panel.close[[*range(100), *range(180, 300)], 1]).all()
    assert np.isnan(panel.close[100:180, 1]).all()


def test_a_halt_within_the_limit_keeps_both_sides_and_fills_nothing(make_bars: Callable[..., Bars]) -> None:
    gap = CRYPTO.data.quality.max_gap_bars
    days = pd.date_range("2024-01-01", periods=200, freq="D")
    whole = make_bars("BTC-USD", days, np.linspace(100, 200, 200))
    halted = make_bars("XRP-USD", days[[*range(50), *range(50 + gap, 200)]], np.linspace(5, 10, 200 - gap))
    panel = _panel(CRYPTO, whole, halted)
    assert np.isnan(panel.close[50 : 50 + gap, 1]).all()
    assert np.isfinite(panel.close[[49, 50 + gap], 1]).all()


def test_a_weekend_bar_of_one_share_is_no_session() -> None:
    spec = compose(["asset=etf", "data=files"])
    days = pd.bdate_range("2024-01-02", "2024-02-29")
    sessions = days[~days.isin(pd.DatetimeIndex(["2024-01-15", "2024-02-19"]))]
    with_sunday = sessions.union(pd.DatetimeIndex(["2024-01-07"]))

    def bars(name: str, stamps: pd.DatetimeIndex) -> Bars:
        table = raw_table(
            pd.DataFrame({"timestamp": stamps.tz_localize("UTC"), "close": np.linspace(1, 2, len(stamps))})
        )
        return Bars("test", name, "1d", table.assign(tradable=True), "USD", "none", "splits", datetime.now(UTC))

    panel = _panel(spec, bars("SPY", sessions), bars("QQQ", sessions), bars("TLT", with_sunday))
    assert panel.bars == len(sessions)
    assert any("off the calendar XNYS" in note for note in panel.notes)
    assert _panel(spec, bars("TLT", with_sunday)).bars == len(with_sunday)  # alone, its dates are the market's


def test_volume_of_zero_stops_trading_only_where_the_source_has_volume(make_bars: Callable[..., Bars]) -> None:
    volume = np.full(60, 10.0)
    volume[5] = 0
    panel = _panel(
        CRYPTO, make_bars("A", DAYS, np.ones(60), volume=volume), make_bars("B", DAYS, np.ones(60), volume=0.0)
    )
    assert not panel.tradable[5, 0]
    assert panel.tradable[:, 1].all()
    assert panel.volume is not None
    assert np.isnan(panel.volume[:, 1]).all()
    none = _panel(CRYPTO, make_bars("B", DAYS, np.ones(60), volume=0.0))
    assert none.volume is None
    assert none.volume_unit == "none"


def test_volume_in_units_and_in_money_is_brought_to_money(make_bars: Callable[..., Bars]) -> None:
    money, units = make_bars("A", DAYS, np.full(60, 5.0)), make_bars("B", DAYS, np.full(60, 5.0), unit="units")
    panel = _panel(CRYPTO, money, units)
    assert panel.volume_unit == "account"
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[0], [1000.0, 5000.0])


@pytest.mark.parametrize("account", ["USD", "JPY", "EUR"])
def test_money_in_a_volume_is_the_quotes_until_it_is_brought_to_the_accounts(
    make_bars: Callable[..., Bars], account: str
) -> None:
    asset = CRYPTO.asset.model_copy(update={"account_currency": account})
    spec = CRYPTO.model_copy(update={"asset": asset})
    kinds = [("BTC-USD", "account", "USD"), ("BTC-JPY", "account", "JPY"), ("ETH-JPY", "units", "JPY")]
    days = DAYS[1:]  # from the first fixing of the year on
    bars = [make_bars(name, days, np.full(59, 5.0), unit=unit, currency=money) for name, unit, money in kinds]
    panel = _panel(spec, *bars)
    assert panel.volume_unit == "account"
    assert panel.volume is not None
    np.testing.assert_allclose(panel.volume, panel.to_account * [1000.0, 1000.0, 5000.0], rtol=1e-12)
    one = _panel(spec, bars[1])
    assert one.volume is not None
    np.testing.assert_array_equal(one.volume, 1000.0 * one.to_account)
    coins = _panel(spec, bars[2])
    assert coins.volume_unit == "units"
    assert coins.volume is not None
    assert (coins.volume == 1000.0).all()


def test_of_one_market_the_account_may_trade_the_same_share_whatever_money_it_counts_in(
    make_bars: Callable[..., Bars],
) -> None:
    made = make_bars("BTC-USD", DAYS[1:], np.full(59, 5.0))
    shares = []
    for account in ("USD", "JPY"):
        asset = CRYPTO.asset.model_copy(update={"account_currency": account})
        panel = _panel(CRYPTO.model_copy(update={"asset": asset}), made)
        shares.append(market_bars(panel, "next_close", margined=False, delisting_bars=30)[:, BAR.volume])
    np.testing.assert_allclose(shares[0], 200.0)  # 1000 dollars at 5 dollars a coin
    np.testing.assert_allclose(shares[1], shares[0], rtol=1e-12)


def test_a_contracts_volume_counts_what_a_contract_is_worth_beside_money(make_bars: Callable[..., Bars]) -> None:
    spec = compose(["asset=commodities", "data=files"])
    panel = _panel(
        spec, make_bars("GC=F", DAYS[:5], np.full(5, 2.0), unit="units"), make_bars("SI=F", DAYS[:5], np.ones(5))
    )
    assert panel.volume is not None
    np.testing.assert_array_equal(panel.volume[0], [1000 * 2.0 * 100, 1000.0])


def test_a_bar_without_an_open_cannot_be_filled_at_one(make_bars: Callable[..., Bars]) -> None:
    opens = np.ones(60)
    opens[7] = np.nan
    panel = _panel(CRYPTO, make_bars("A", DAYS, np.ones(60), open=opens))
    assert not panel.tradable[7, 0]
    assert panel.close[7, 0] == 1


def test_dividends_are_paid_once_on_the_ex_date_or_the_next_bar(make_bars: Callable[..., Bars]) -> None:
    cash, close = np.zeros(60), np.ones(60)
    cash[[3, 10]] = 0.5, 0.25
    close[10] = np.nan
    panel = _panel(CRYPTO, make_bars("A", DAYS, close, dividend=cash), make_bars("B", DAYS, np.ones(60)))
    assert panel.has_dividends
    assert panel.dividends[3, 0] == 0.5
    assert panel.dividends[11, 0] == 0.25
    assert panel.dividends.sum() == 0.75
    assert not _panel(CRYPTO, make_bars("B", DAYS, np.ones(60))).has_dividends


@pytest.mark.slow
@settings(max_examples=60)
@given(bars=_markets(), data=st.data())
def test_every_dividend_arrives_once_on_its_bar_or_the_symbols_next(bars: list[Bars], data: st.DataObject) -> None:
    spec = compose(["asset=etf", "data=files"])  # a calendar with weekends and holidays
    for item in bars:
        cash = data.draw(
            st.lists(st.sampled_from([0.0, 0.0, 0.25, 1.0]), min_size=len(item.table), max_size=len(item.table))
        )
        item.table["dividend"] = cash
        item.table.loc[sorted(data.draw(st.sets(st.integers(0, len(cash) - 1), max_size=3))), "close"] = np.nan
    if all(item.table["close"].isna().all() for item in bars):
        return
    panel = _panel(spec, *bars)
    for column, item in enumerate(bars):
        there = np.flatnonzero(np.isfinite(panel.close[:, column]))
        due = np.zeros(panel.bars)
        for stamp, cash in zip(
            item.table["timestamp"].dt.tz_localize(None).to_numpy(), item.table["dividend"], strict=True
        ):
            later = there[panel.timestamps[there] >= stamp]
            if len(later):
                due[later[0]] += cash
        np.testing.assert_allclose(panel.dividends[:, column], due, rtol=1e-12)


def test_a_dividend_of_a_date_that_is_no_session_of_the_others_is_paid_on_the_next_bar(
    make_bars: Callable[..., Bars],
) -> None:
    spec = compose(["asset=stocks", "universe=nyse", "data=files"])
    days = pd.bdate_range("2024-08-26", "2024-09-13")
    labor_day = days == "2024-09-02"
    abroad = make_bars("BHP.AX", days, np.ones(15), currency="AUD", dividend=labor_day.astype(float))
    panel = _panel(spec, abroad, *(make_bars(name, days[~labor_day], np.ones(14)) for name in ("AAPL", "MSFT")))
    assert panel.bars == 14
    assert panel.timestamps[panel.dividends[:, 0] > 0].astype("datetime64[D]").astype(str).tolist() == ["2024-09-03"]
    assert panel.dividends.sum() == 1.0


def test_a_share_of_another_exchange_is_worth_its_own_money_at_a_fixing_it_knew() -> None:
    spec = compose(["asset=etf", "data=files"])
    days = pd.bdate_range("2024-02-05", "2024-02-16")
    frame = pd.concat(pd.DataFrame({"date": days, "symbol": name, "close": 10.0}) for name in ("SPY", "NDQ.AX"))
    panel = load_panel(frame, asset=spec.asset, data=spec.data.model_copy(update={"interval": "1d"}))
    rates = currency.cross_rate("AUD", "USD")
    sydney = panel.symbols.index("NDQ.AX")
    assert (panel.to_account[:, 1 - sydney] == 1.0).all()
    np.testing.assert_array_equal(panel.to_account[1:, sydney], rates[days[:-1].tz_localize("UTC")].to_numpy())
    account = spec.asset.model_copy(update={"account_currency": "AUD"})
    assert (load_panel(frame, asset=account, data=spec.data).to_account[:, sydney] == 1.0).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "money", "known"),
    [
        ("7203.T", "JPY", 1),
        ("TSE:7203", "JPY", 1),
        ("0700.HK", "HKD", 1),
        ("005930.KS", "KRW", 1),
        ("ASX:BHP", "AUD", 1),
        ("INFY.NS", "INR", 1),
        ("SHEL.L", "GBP", 0),
        ("SAP.DE", "EUR", 0),
        ("SHOP.TO", "CAD", 0),
    ],
)
def test_a_share_is_converted_at_a_fixing_that_was_known_when_its_own_venue_closed(
    make_bars: Callable[..., Bars], name: str, money: str, known: int
) -> None:
    spec = compose(["asset=stocks", "universe=nyse", "data=files"])
    days = pd.bdate_range("2024-02-05", "2024-02-16")
    abroad, home = make_bars(name, days, np.ones(10), currency=money), make_bars("AAPL", days, np.ones(10))
    rates = currency.cross_rate(money, "USD")[days.tz_localize("UTC")].to_numpy()
    np.testing.assert_array_equal(_panel(spec, abroad, home).to_account[known:, 0], rates[: 10 - known])


def test_an_american_share_among_australian_ones_is_converted_at_the_fixing_of_its_own_day(
    make_bars: Callable[..., Bars],
) -> None:
    spec = compose(["asset=stocks", "data=files"])
    days = pd.bdate_range("2024-02-05", "2024-02-16")
    bars = [make_bars("AAPL", days, np.ones(10)), make_bars("BHP.AX", days, np.ones(10), currency="AUD")]
    rates = currency.cross_rate("USD", "AUD")[days.tz_localize("UTC")].to_numpy()
    np.testing.assert_array_equal(_panel(spec, *bars).to_account[:, 0], rates)


def test_contract_multipliers_come_from_the_instrument(make_bars: Callable[..., Bars]) -> None:
    spec = compose(["asset=commodities", "data=files"])
    bars = [make_bars(name, DAYS[:5], np.ones(5)) for name in ("GC=F", "ZC=F")]
    np.testing.assert_array_equal(_panel(spec, *bars).multipliers, [100.0, 50.0])


@pytest.mark.slow
def test_a_future_without_a_size_is_refused_with_the_words_that_state_it(make_bars: Callable[..., Bars]) -> None:
    def multipliers(*words: str, name: str = "KE=F") -> list[float]:
        return _panel(compose(["data=files", *words]), make_bars(name, DAYS[:5], np.ones(5))).multipliers.tolist()

    with pytest.raises(ConfigError, match="no size of KE=F") as refused:
        multipliers("asset=commodities")
    stated = refused.value.hint.partition("'")[2].strip("'").replace("<size>", "50")
    assert multipliers("asset=commodities", stated) == [50.0]
    assert multipliers("asset=commodities", "asset.instrument.margin_futures=false") == [1.0]
    assert multipliers("asset=commodities", name="EURUSD") == [1.0]
    assert multipliers("asset=crypto") == [1.0]


def test_repeated_symbols_and_an_empty_window_are_errors(make_bars: Callable[..., Bars]) -> None:
    with pytest.raises(DataError, match="symbols repeat: A"):
        _panel(CRYPTO, make_bars("A", DAYS, np.ones(60)), make_bars("A", DAYS, np.ones(60)))
    with pytest.raises(DataError, match="no bars are left"):
        _panel(CRYPTO, make_bars("A", DAYS, np.full(60, np.nan)))


def test_a_panel_cannot_be_written_to(make_bars: Callable[..., Bars]) -> None:
    panel = _panel(CRYPTO, make_bars("A", DAYS, np.ones(60)))
    with pytest.raises(ValueError, match="read-only"):
        panel.close[0, 0] = 2.0
