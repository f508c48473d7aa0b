"""A symbol that its source knows no more: the others are traded on, by this process and by the next."""

import datetime as dt

import pytest

from tests.trading.test_live import FIRST, days, desk, end_of  # noqa: F401 - a fixture is found by its name
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
