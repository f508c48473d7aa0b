"""What may be all of a result, and was charged, credited or limited by nobody."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.reading.test_cases import load_written, shares
from tests.envs.markets import random_panel
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.evaluation.splits import make_folds
from wealtharena.tasks.pipeline import like_cash, uncharged, unlimited


@pytest.mark.parametrize(
    ("words", "symbols", "said"),
    [
        (("asset=forex",), ("EURUSD", "USDJPY"), None),
        (("asset=forex",), ("XAUUSD", "XPTUSD"), None),
        (("asset=forex",), ("EURUSD", "USDTRY"), "No carry of their own is charged, and of USDTRY it may be all"),
        (("asset=forex",), ("EURDKK", "XAUUSD"), "No carry of their own is charged, and of EURDKK"),
        (
            ("asset=forex", "asset.limits.long_only=true", "asset.costs.carry_bps_per_year=1"),
            ("EURUSD", "USDTRY"),
            "No carry",
        ),
        (("asset=etf",), ("SPY", "HYG"), None),
        (
            ("asset=etf", "asset.limits.long_only=false"),
            ("SPY", "HYG"),
            "The source has no dividends, and who is short",
        ),
        (("asset=crypto", "asset.limits.long_only=false"), ("BTC-USD", "ETH-USD"), None),
    ],
)
def test_what_holding_costs_and_nobody_charged_is_a_doubt(words, symbols, said):
    """Of ten years in which a currency inflates, an account that pays no interest for being short of it has a Sharpe ratio of 3.8."""
    panel = random_panel(np.random.default_rng(0), bars=20, assets=2, symbols=symbols, simulated=False)
    asset = compose(words).asset
    found = uncharged(asset, panel)
    assert found is None if said is None else str(found).startswith(said)
    assert uncharged(asset, replace(panel, simulated=True)) is None
    if asset.market == "etf":
        assert uncharged(asset, replace(panel, has_dividends=True)) is None


def test_a_macro_series_is_not_known_before_what_it_describes():
    with pytest.raises(ConfigError, match=r"lag_days\.UNRATE=-90 must be at least 0"):
        compose(["data.macro.series=[UNRATE]", "data.macro.lag_days.UNRATE=-90"])


@pytest.mark.parametrize(
    ("words", "volatility", "rate", "said"),
    [
        (("asset=etf",), 0.0005, 0.04, "S1 hardly moves and earned"),
        (("asset=etf", "asset.costs.cash_bps_per_year=380"), 0.0005, 0.04, None),
        (("asset=etf",), 0.0005, 0.0, None),
        (("asset=etf",), 0.05, 0.04, None),
        (("asset=forex",), 0.0005, 0.04, None),
    ],
)
def test_bills_beside_cash_that_earns_nothing_are_a_doubt(words, volatility, rate, said):
    """Four fifths in bills, and the rest in shares, has twice the Sharpe ratio of shares, and no skill."""
    spec, rng = compose(words), np.random.default_rng(0)
    moves = np.column_stack([rng.normal(0.0003, 0.01, 500), rng.normal(rate / 365.25, volatility / 365.25**0.5, 500)])
    still = {
        "to_account": np.ones((500, 2)),
        "dividends": np.zeros((500, 2)),
        "close": 50 * np.exp(np.cumsum(moves, axis=0)),
    }
    panel = random_panel(rng, bars=500, assets=2, symbols=("S0", "S1"), simulated=False)
    panel, folds = replace(panel, **still), make_folds(spec.split, 500)
    found = like_cash(spec.asset, panel, folds)
    assert found is None if said is None else str(found).startswith(said)
    assert like_cash(spec.asset, replace(panel, cash=np.full(500, 0.04)), folds) is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("asset=etf", "data=files", "data.path=a.csv", "data.volume_unit=none"), True),
        (("asset=etf", "data=files", "data.path=a.csv"), False),
        (("asset=forex", "data=files", "data.path=a.csv", "data.volume_unit=none"), False),
    ],
)
def test_volume_that_is_left_out_is_a_doubt(words, told):
    """An account of a trillion was filled as one of a thousand, and the rule about orders that are cut had none to see."""
    panel = random_panel(np.random.default_rng(0), bars=20, simulated=False, volume_left_out=True)
    assert bool(unlimited(compose(words), panel)) is told
    assert unlimited(compose(words), replace(panel, simulated=True)) is None
    lacking = replace(panel, volume_left_out=False)
    assert unlimited(compose(words), lacking) is None, "nothing is left out of a file that has none"


def test_what_a_verdict_asks_for_is_not_found_in_the_name_of_a_file(tmp_path: Path) -> None:
    """Notes name the file, and a name may say what is told of files that hold dividends, or no volume."""
    bars, words = shares(bars=700), ("asset=etf", "asset.limits.long_only=false")
    for name in ("prices contain the dividends, which are not paid again.csv", "the file has no column for volume.csv"):
        panel = load_written(bars, tmp_path / name)
        assert not panel.dividends_in_prices
        assert "has no dividends" in str(uncharged(compose(words).asset, panel))
        assert not panel.volume_left_out
        left_out = load_written(bars, tmp_path / name, volume_unit="none")
        assert left_out.volume_left_out
        told = unlimited(compose([*words, "data=files", "data.volume_unit=none", "data.path=bars.csv"]), left_out)
        assert str(told).startswith("Volume is left out")
    bare = load_written(bars.drop(columns="volume"), tmp_path / "bare.csv", volume_unit="none")
    assert not bare.volume_left_out
