"""What a broker cannot trade is refused when the configuration is read."""

import pytest

from wealtharena.config import compose
from wealtharena.errors import ConfigError

SHARES = ("asset=stocks", "universe=nyse")
SHORT = ("asset=etf", "asset.limits.long_only=false", "asset.instrument.lot_size=1")


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        (("asset=forex",), "asset=forex"),
        (("asset=commodities",), "asset=commodities"),
        (("asset=stocks", "universe=asx_large"), "AUD|XASX"),
        (("asset=crypto", "asset.limits.long_only=false"), "short"),
        (("asset=crypto", "data.symbols=[BTC-EUR]"), "BTC-EUR"),
        (("asset=crypto", "env.fill=next_close"), "next_close"),
        (("asset=etf", "paper.account=" + "a" * 32, "asset.agent=" + "b" * 64), "128 letters"),
        (("asset=etf", "data.symbols=[SPY,BHP.AX]"), "BHP.AX"),
        (("asset=etf", "asset.limits.long_only=false"), "no parts of a share short.*lot_size=1"),
    ],
)
def test_alpaca_names_what_it_lacks_and_who_has_it(overrides, cause):
    with pytest.raises(ConfigError, match=cause) as error:
        compose(["broker=alpaca", *overrides])
    assert "broker=paper" in error.value.hint
    assert "broker=alpaca" not in error.value.hint


@pytest.mark.parametrize("overrides", [("asset=etf",), ("asset=crypto",), SHARES, SHORT])
def test_alpaca_takes_what_it_trades(overrides):
    assert compose(["broker=alpaca", *overrides]).broker.name == "alpaca"


def test_settings_of_a_broker_are_its_own():
    with pytest.raises(ConfigError, match=r"broker\.timeout_seconds"):
        compose(["broker=alpaca", "asset=etf", "broker.timeout_seconds=0"])
    with pytest.raises(ConfigError, match="unknown key"):
        compose(["broker=paper", "broker.timeout_seconds=3"])
