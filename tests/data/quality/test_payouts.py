"""Cash that cannot have been paid is not paid, and cash that was is."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.market_stub.sample import walk
from wealtharena.data.bars import RawBars, raw_table
from wealtharena.data.quality import inspect
from wealtharena.errors import ProviderError

ROW = 100


@pytest.fixture
def look(specs):
    """Return `look(cash, fall=, adjusted=, **actions)`: what is paid, and what is said of it."""

    def run(cash, *, fall=0.0, late=0, adjusted="splits", **actions):
        days = pd.bdate_range("2023-01-02", periods=300)
        table = walk(np.random.default_rng(3), "T", days, price=50, sigma=0.01, volume=1e6)
        table.loc[ROW + late :, ["open", "high", "low", "close"]] *= 1 - fall
        price = table["close"][ROW - 1]
        table.loc[ROW, "dividend"] = cash * price
        raw = RawBars("yahoo", "T", "1d", raw_table(table), "USD", "units", adjusted, datetime(2026, 1, 1, tzinfo=UTC))
        spec = specs["stocks"]
        bars, report = inspect(raw, spec.asset, spec.data.quality.model_copy(update=actions))
        return bars.table["dividend"].sum() / price, " ".join(bars.notes), {item.kind for item in report.findings}

    return run


@pytest.mark.parametrize("cash", [50.0, 1.0, 0.3, -0.01])
def test_cash_for_which_no_price_fell_is_not_paid(look, cash):
    paid, said, kinds = look(cash)
    assert paid == 0
    assert "bad_dividends" in kinds
    assert "2023-05-22" in said


@pytest.mark.parametrize(
    ("cash", "fall", "late"),
    [(0.01, 0.0, 0), (0.15, 0.1, 0), (0.5, 0.5, 0), (0.9, 0.9, 0), (0.5, 0.45, 2), (0.5, 0.45, -1)],
)
def test_a_usual_dividend_and_a_large_one_that_prices_show_are_paid(look, cash, fall, late):
    paid, _, kinds = look(cash, fall=fall, late=late, splits="warn", spikes="warn")
    assert paid > 0
    assert "bad_dividends" not in kinds


@pytest.mark.parametrize("part", [0.35, 0.45, 0.5, 0.6, 2 / 3, 0.9])
def test_a_payout_by_which_prices_fall_is_neither_a_spike_nor_a_split(look, part):
    """A return of half the capital was a split that nobody recorded, of a third a spike: its bar was left out."""
    paid, said, kinds = look(part, fall=part)
    assert paid == pytest.approx(part)
    assert not {"splits", "spikes", "bad_dividends"} & kinds
    assert "split" not in said


@pytest.mark.parametrize("cash", [0.0, 0.01])
def test_a_split_beside_a_usual_dividend_is_one(look, cash):
    assert "splits" in look(cash, fall=0.5)[2]


def test_it_is_treated_as_configured(look):
    with pytest.raises(ProviderError, match="bad_dividends"):
        look(50.0, bad_dividends="refuse")
    assert look(50.0, bad_dividends="drop")[0] == 0
    assert look(50.0, bad_dividends="warn")[0] == pytest.approx(50.0)


def test_a_payout_behind_the_last_bar_is_told_of(specs):
    """What a fund that closes pays out at last was lost without a word."""
    table = walk(
        np.random.default_rng(3), "T", pd.bdate_range("2023-01-02", periods=100), price=50, sigma=0.01, volume=1e6
    )
    table.loc[[50, 99], "dividend"] = 1.0, 25.0
    table.loc[[50, 99], ["open", "high", "low", "close"]] = np.nan
    raw = RawBars("yahoo", "T", "1d", raw_table(table), "USD", "units", "splits", datetime(2026, 1, 1, tzinfo=UTC))
    bars, _ = inspect(raw, specs["stocks"].asset, specs["stocks"].data.quality)
    assert bars.table["dividend"].sum() == 1.0
    assert bars.notes == ("T: the dividend of 25 on 2023-05-19 is not paid, since no bar follows",)
