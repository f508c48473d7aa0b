"""A symbol that its source knows no more: the others are traded on, by this process and by the next; and rates that end."""

import datetime as dt

import pandas as pd
import pytest

from tests.trading.test_live import FIRST, days, desk, end_of  # noqa: F401 - a fixture is found by its name
from wealtharena.data import currency, fixings
from wealtharena.trading.feeds.seen import SeenBars

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("restart", [False, True])
def test_a_symbol_that_its_source_knows_no_more_keeps_no_other_from_trading(desk, restart):  # noqa: F811 - the fixture
    """As after a delisting, or a change of name."""
    desk.look_seldom()
    noon = end_of(FIRST + dt.timedelta(days=2)) + dt.timedelta(hours=12)
    desk.clock.plan.append((noon, lambda: desk.frames.pop("SOL-USD")))
    desk.clock.plan.append((noon + dt.timedelta(days=10), lambda: pytest.fail("no session is decided on")))
    if restart:
        desk.trade(3)
    desk.trade(3 if restart else 6)
    found = desk.read()
    assert found["days"] == days(FIRST, 6)
    assert [one for one in found["told"] if one[1] != "late"] == [
        (day, "unreachable", ("SOL-USD",)) for day in days(FIRST, 6)[3:]
    ]
    assert not any(
        one.symbol == "SOL-USD" and one.bar[:10] in days(FIRST, 6)[3:] and one.filled for one in found["intents"]
    )


def test_the_bars_that_were_told_last_are_kept_to_the_last_bit(desk):  # noqa: F811 - the fixture
    closes = desk.trade(3)
    seen = SeenBars(desk.folder)
    kept = seen.histories()
    seen.close()
    panel = closes[-1].features.panel
    assert set(kept) == set(panel.symbols)
    for column, symbol in enumerate(panel.symbols):
        bars = kept[symbol]
        shown = bars.table["close"].to_numpy()[-panel.bars :]
        assert shown.tolist() == panel.close[:, column].tolist()
        assert (bars.currency, bars.adjusted, bars.interval) == ("USD", "splits", "1d")
        assert bars.table["timestamp"].is_monotonic_increasing


def test_a_session_that_no_rate_reaches_is_told_with_a_way_out(desk, monkeypatch):  # noqa: F811 - the fixture
    whole, second = currency.ecb_rates(), FIRST + dt.timedelta(days=1)
    known = whole[whole.index < pd.Timestamp(FIRST - dt.timedelta(days=8), tz="UTC")]  # carried for ten days
    monkeypatch.setattr(currency, "ecb_rates", lambda: known)
    monkeypatch.setattr(fixings, "renew", lambda _: "the ECB's rates cannot be had")
    updated = end_of(second) + dt.timedelta(hours=12)
    desk.clock.plan.append((updated, lambda: monkeypatch.setattr(currency, "ecb_rates", lambda: whole)))
    asset = desk.spec.asset.model_copy(update={"account_currency": "EUR"})
    desk.spec = desk.spec.model_copy(update={"asset": asset})
    desk.trade(2)
    found = desk.read()
    assert found["days"] == days(FIRST, 3)[::2]
    ((day, what, _),) = found["told"]
    assert day == str(second)
    assert "rates in this installation end" in what
    assert "task=collect asset=forex data=ecb" in what


def test_a_session_whose_rate_the_ecb_has_by_then_is_decided(desk, monkeypatch):  # noqa: F811 - the fixture
    """An account that converts its bars stopped ten days after the last fixing in the package that was installed."""
    whole = currency.ecb_rates()
    known, asked = whole[whole.index < pd.Timestamp(FIRST - dt.timedelta(days=30), tz="UTC")], []
    rates = [known]
    monkeypatch.setattr(currency, "ecb_rates", lambda: rates[-1])

    def renew(data):
        asked.append(desk.clock.at)
        rates.append(whole.loc[: str(desk.clock.at.date())])
        return ""

    late = end_of(FIRST + dt.timedelta(days=4))
    desk.clock.plan.append((late, lambda: pytest.fail("the sessions were not decided on")))
    monkeypatch.setattr(fixings, "_next", [float("-inf")])
    monkeypatch.setattr(fixings, "renew", renew)
    asset = desk.spec.asset.model_copy(update={"account_currency": "EUR"})
    desk.spec = desk.spec.model_copy(update={"asset": asset})
    desk.trade(2)
    found = desk.read()
    assert found["days"] == days(FIRST, 2)
    assert found["told"] == []
    assert len(asked) == 1  # an hour of the process's own clock has not passed
