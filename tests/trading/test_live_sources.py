"""Which sources have live bars, and what is known of them before the first."""

import datetime as dt

import pytest

from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.trading.feeds.history import least_bars
from wealtharena.trading.feeds.live import fill_of, sources_of


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["asset=forex"], "ecb has no bar of today.*data=alpha_vantage"),
        (["asset=forex", "data=yahoo"], "yahoo has no bar of today.*data=alpha_vantage"),
        (["asset=crypto", "data=simulated"], "no bar of today"),
        (["asset=crypto", "data=yahoo", "data.interval=1w"], "1d and 1h"),
        (["asset=etf", "data=yahoo", "data.interval=1h"], "1h where trading never stops, not of etf"),
        (["asset=crypto", "data=fred"], "data=fred"),
    ],
)
def test_what_has_no_live_bars_is_refused_with_a_way_out(overrides, said):
    spec = compose([*overrides, "task=paper", "paper.feed=live"])
    with pytest.raises(ConfigError, match=said) as refused:
        sources_of(spec, lambda: dt.datetime.now(dt.UTC))
    assert refused.value.hint
    assert "data=yahoo" not in refused.value.hint or spec.asset.market != "forex"


def test_coins_have_live_bars_of_an_hour():
    spec = compose(["asset=crypto", "data.interval=1h", "task=paper", "paper.feed=live"])
    assert [one.name for one in sources_of(spec, lambda: dt.datetime.now(dt.UTC))] == ["yahoo"]


def test_currencies_have_live_bars_of_a_source_with_a_key():
    spec = compose(["asset=forex", "data=alpha_vantage", "task=paper", "paper.feed=live"])
    assert [one.name for one in sources_of(spec, lambda: dt.datetime.now(dt.UTC))] == ["alpha_vantage"]


@pytest.mark.slow
def test_the_chain_of_an_asset_is_asked_in_its_order():
    spec = compose(["asset=stocks", "task=paper", "paper.feed=live", "asset.chain=[yahoo,ecb,alpha_vantage]"])
    assert [one.name for one in sources_of(spec, lambda: dt.datetime.now(dt.UTC))] == ["yahoo", "alpha_vantage"]
    assert least_bars(spec.features, spec.env) > 20


@pytest.mark.parametrize(
    ("overrides", "fill"),
    [
        (["data=yahoo"], "next_open"),
        (["data=coingecko"], "next_close"),
        (["data=yahoo", "env.fill=next_close"], "next_close"),
    ],
)
def test_the_fill_that_auto_stands_for_is_known_before_the_first_bar(overrides, fill):
    spec = compose(["asset=crypto", "task=paper", "paper.feed=live", *overrides])
    (source,) = sources_of(spec, lambda: dt.datetime.now(dt.UTC))
    assert fill_of(spec, source) == fill
