"""Whose sessions a symbol follows: its venue's, whatever the universe."""

from datetime import date

import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.data import calendars
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import calendar_of, inspect
from wealtharena.data.reading.venues import _VENUES, zone_of


@pytest.mark.parametrize("universe", ["nyse", "asx_large"])
def test_a_shares_calendar_is_its_venues_and_else_the_universes(universe):
    asset = compose(["asset=stocks", f"universe={universe}"]).asset
    venues = {"BHP.AX": "XASX", "ASX:BHP": "XASX", "7203.T": "XTKS", "0700.HK": "XHKG", "INFY.NS": "XBOM"}
    venues |= {"005930.KS": "XKRX", "SHEL.L": "XLON", "SHOP.TRT": "XTSE", "IBM US Equity": "XNYS", "ES=F": "CMES"}
    assert {name: calendar_of(name, asset) for name in venues} == venues
    assert calendar_of("AAPL", asset) == asset.universe.calendar  # nothing tells
    assert calendar_of("AAPL", asset, currency="USD") == "XNYS"
    assert calendar_of("AAPL", asset, currency=asset.universe.currency) == asset.universe.calendar


@pytest.mark.slow
def test_every_venue_has_a_calendar_that_can_be_worked_out():
    asset = compose(["asset=stocks"]).asset
    for suffix in _VENUES:
        code = calendar_of(f"ABC.{suffix}", asset)
        assert len(calendars.sessions(code, date(2024, 1, 1), date(2024, 12, 31))) > 230, code
        if code != calendars.WEEKDAYS:
            assert calendars.time_zone(code) == zone_of(f"ABC.{suffix}", asset), suffix


@pytest.mark.parametrize(
    ("symbol", "currency", "over_at"), [("AAPL", "USD", 22), ("7203.T", "JPY", 10), ("BHP.AX", "AUD", 6)]
)
def test_a_bar_is_over_when_its_own_venue_has_closed(good, symbol, currency, over_at):
    last = good["timestamp"].iloc[-1]
    for universe in ("nyse", "asx_large"):
        spec = compose(["asset=stocks", f"universe={universe}"])
        for hour, rows in ((over_at - 2, 299), (over_at, 300)):
            then = (last + pd.Timedelta(hours=hour)).to_pydatetime()
            raw = RawBars("test", symbol, "1d", raw_table(good), currency, "units", "splits", then)
            assert len(inspect(raw, spec.asset, spec.data.quality)[0].table) == rows, universe
