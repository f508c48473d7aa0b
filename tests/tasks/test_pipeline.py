"""What is said against believing a judgement, from the data alone."""

from dataclasses import replace

import numpy as np
import pytest

from tests.envs.markets import random_panel
from wealtharena.config import compose
from wealtharena.tasks.pipeline import describe, hindsight


@pytest.fixture(scope="module")
def stocks():
    return compose(["asset=stocks"]).asset


def test_members_chosen_after_the_window_began_are_hindsight(stocks):
    members, chosen = stocks.universe.symbols[:3], stocks.universe.universe_as_of
    assert hindsight(stocks, members, "2099-01-01") is None
    assert hindsight(stocks, members, chosen) is None
    assert chosen in str(hindsight(stocks, members, "2019-01-01"))


def test_symbols_of_nobodys_list_are_hindsight_at_any_date(stocks):
    assert "ENRNQ is no member" in str(hindsight(stocks, [*stocks.universe.symbols, "ENRNQ"], "2099-01-01"))


@pytest.mark.parametrize("market", ["forex", "commodities"])
def test_currencies_and_futures_are_no_survivors(market):
    assert hindsight(compose([f"asset={market}"]).asset, ["XAUUSD"], "1990-01-01") is None


def test_the_data_block_tells_the_leaks_and_the_share_that_trades_to_the_end():
    panel = random_panel(np.random.default_rng(0), bars=60, assets=4)
    close = panel.close.copy()
    close[-30:, 0] = np.nan
    close[-5:, 1] = np.nan  # a halt
    about = describe(replace(panel, close=close, leaks=("close of S0 knows the next bar",)))
    assert about["survivors"] == 0.75
    assert about["leaks"] == ["close of S0 knows the next bar"]
