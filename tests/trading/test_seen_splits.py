"""Bars that were decided on, after a split whose own bar is not there: it is not final, or there is none of its date."""

import contextlib
import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tests.trading.test_live import FIRST, desk, end_of  # noqa: F401 - a fixture is found by its name
from wealtharena.data.bars import Bars
from wealtharena.trading.feeds.seen import SeenBars
from wealtharena.trading.ledger import Ledger

PRICES = ["open", "high", "low", "close"]
NOW = dt.datetime(2024, 1, 7, tzinfo=dt.UTC)
SEEN = 4  # bars of six; the split is on the date of the fifth


def bars_of(table):
    return Bars("yahoo", "A", "1d", table.reset_index(drop=True), "USD", "units", "splits", NOW)


@pytest.fixture
def table():
    close = np.array([100.0, 103.0, 98.0, 101.0, 102.0, 99.0])
    stamps = pd.date_range("2024-01-01", periods=6, tz="UTC").as_unit("ns")
    return pd.DataFrame(
        {
            "timestamp": stamps, "open": close, "high": close + 2.0, "low": close - 2.0, "close": close, "volume": 1000.0,
            "dividend": 0.0, "split": 0.0, "tradable": True,
        }
    )  # fmt: skip


@pytest.fixture
def seen(tmp_path, table):
    """Bars of which the first four were decided on, in units of before a split of four for one."""
    found = SeenBars(tmp_path, synchronous="normal")
    for row in table.iloc[:SEEN].itertuples():
        content = {name: float(getattr(row, name)) for name in (*PRICES, "volume", "dividend")}
        found.keep(str(row.timestamp.to_datetime64()), {"A": ("yahoo", content)}, NOW)
    yield found
    found.close()


def after(table, ratio=4.0):
    told = table.copy()
    told[PRICES] = told[PRICES] / ratio
    told["volume"] = told["volume"] * ratio
    return told


def closes(bars):
    return bars.table["close"].tolist()


def test_a_split_whose_own_bar_is_not_final_rescales_what_was_seen(table, seen):
    told = after(table).iloc[: SEEN + 1]
    told.loc[SEEN, "split"] = 4.0
    bars, revised = seen.as_seen(bars_of(told.iloc[:SEEN]), NOW, told=told)
    assert closes(bars) == (table["close"].iloc[:SEEN] / 4.0).tolist()
    assert revised == []


@pytest.mark.parametrize("bars", [SEEN, SEEN + 2])
def test_a_split_on_a_date_without_a_bar_rescales_what_was_seen(table, seen, bars):
    told = after(table).drop(index=SEEN).iloc[:bars]
    shown, revised = seen.as_seen(bars_of(told), NOW, told=told)
    assert closes(shown) == told["close"].tolist()
    assert revised == []


def test_a_split_that_stands_at_the_bar_before_its_date_rescales_that_too(table, seen):
    told = after(table).drop(index=SEEN)
    told.loc[SEEN - 1, "split"] = 4.0
    shown, revised = seen.as_seen(bars_of(told), NOW, told=told)
    assert closes(shown) == told["close"].tolist()
    assert revised == []


def test_a_bar_of_a_splits_own_date_was_seen_in_units_of_after_it(table, seen):
    told = table.copy()
    told.loc[: SEEN - 2, PRICES] /= 4.0
    told.loc[: SEEN - 2, "volume"] *= 4.0
    told.loc[SEEN - 1, "split"] = 4.0
    shown, revised = seen.as_seen(bars_of(told), NOW, told=told)
    assert closes(shown) == told["close"].tolist()
    assert revised == []


def test_one_bar_that_is_corrected_by_a_plain_fraction_is_as_it_was_seen(table, seen):
    told = table.copy()
    told.loc[SEEN - 1, PRICES] /= 4.0
    shown, revised = seen.as_seen(bars_of(told), NOW, told=told)
    assert closes(shown) == table["close"].tolist()
    assert len(revised) == 1


@pytest.mark.parametrize(("more", "news"), [(0, 0), (2, 1)])
def test_a_volume_that_is_told_in_whole_shares_after_a_reverse_split_is_no_revision(tmp_path, table, more, news):
    table["volume"] = [120_003.0, 98_765.0, 104_321.0, 77_777.0, 90_000.0, 80_000.0]
    seen = SeenBars(tmp_path / "whole", synchronous="normal")
    with contextlib.closing(seen):
        for row in table.iloc[:SEEN].itertuples():
            content = {name: float(getattr(row, name)) for name in (*PRICES, "volume", "dividend")}
            seen.keep(str(row.timestamp.to_datetime64()), {"A": ("yahoo", content)}, NOW)
        told = after(table, 0.1)
        told["volume"] = told["volume"].round()
        told.loc[0, "volume"] += more
        told.loc[SEEN, "split"] = 0.1
        assert len(seen.as_seen(bars_of(told), NOW)[1]) == news


@pytest.mark.slow
def test_an_account_whose_share_does_not_trade_on_the_date_of_its_split_loses_nothing(desk):  # noqa: F811 - the fixture
    """It was marked at a quarter of its value from the next bar on: a halt for a loss that there never was."""
    day = FIRST + dt.timedelta(days=3)

    def split():
        frame = desk.frames["BTC-USD"]
        frame = frame[frame["day"] != day].reset_index(drop=True)
        frame[[*PRICES, "adj_close"]] = frame[[*PRICES, "adj_close"]].astype(float) / 4.0
        desk.frames["BTC-USD"] = frame

    desk.look_seldom()
    desk.clock.plan.append((end_of(day) - dt.timedelta(hours=10), split))
    desk.trade(6)
    ledger = Ledger(desk.folder)
    held, equity = ([one[name] for one in ledger.closes()] for name in ("positions", "equity"))
    (event,) = ledger.events()
    assert (event["kind"], event["symbol"]) == ("split", "BTC-USD")
    assert held[3]["BTC-USD"] == pytest.approx(4.0 * held[2]["BTC-USD"])
    assert min(equity) > 0.99 * max(equity)
    ledger.close()
