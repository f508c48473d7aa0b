from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.data.specs import compose
from wealtharena.config.specs.data import SimulatorSpec
from wealtharena.data import SimulatedMarket, load, simulate_market
from wealtharena.data.providers.simulated import Provider
from wealtharena.errors import DataError

SYMBOLS = tuple(f"S{i}" for i in range(10))
BASE = compose(["asset=crypto", "data=simulated"]).data.simulator


def _simulate(seed: int = 0, bars: int = 20_000, **changes: object) -> SimulatedMarket:
    times = pd.date_range("1965-01-01", periods=bars, freq="D", tz="UTC", unit="ns")
    spec = BASE.model_copy(update=changes)
    return simulate_market(SYMBOLS, spec, times=times, rng=np.random.default_rng(seed))


def _returns(market: SimulatedMarket) -> np.ndarray:
    return market.close[1:] / market.close[:-1] - 1


@pytest.fixture(scope="module")
def fair() -> SimulatedMarket:
    return _simulate(drift=False)


@pytest.fixture(scope="module")
def planted() -> SimulatedMarket:
    return _simulate(drift=False, predictability=0.05)


def test_the_same_seed_gives_the_same_market_and_another_seed_another() -> None:
    first, second, other = _simulate(1, 500), _simulate(1, 500), _simulate(2, 500)
    for name in ("open", "high", "low", "close", "volume", "expected_returns"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(first.close, other.close)


@pytest.mark.slow
def test_without_drift_and_signal_returns_are_a_martingale(fair: SimulatedMarket) -> None:
    returns = _returns(fair)
    mean_t = returns.mean(axis=0) / returns.std(axis=0) * np.sqrt(len(returns))
    assert np.abs(mean_t).max() < 3.5
    sigma = pd.DataFrame(returns).rolling(50).std().shift().to_numpy()[60:]
    unit = np.clip(returns[60:] / sigma, -4, 4)
    for lag in (1, 2, 5, 20):
        correlation = (unit[lag:] * unit[:-lag]).mean(axis=0) / unit.var(axis=0)
        assert abs(correlation.mean()) * np.sqrt(len(unit)) < 4, lag
    np.testing.assert_array_equal(fair.expected_returns, 0.0)
    gapping = _simulate(7, drift=False, overnight_share=0.4)
    for returns in (gapping.open[1:] / gapping.close[:-1] - 1, gapping.close / gapping.open - 1):
        mean_t = returns.mean(axis=0) / returns.std(axis=0) * np.sqrt(len(returns))
        assert np.abs(mean_t).max() < 3.5  # neither the night nor the day pays


@pytest.mark.slow
def test_the_planted_signal_explains_its_stated_share(planted: SimulatedMarket) -> None:
    returns, expected = _returns(planted), planted.expected_returns[:-1]
    slope = (returns * expected).sum(axis=0) / (expected**2).sum(axis=0)
    assert slope.mean() == pytest.approx(1.0, abs=0.08)  # the oracle is unbiased
    correlation = np.array([np.corrcoef(returns[:, i], expected[:, i])[0, 1] for i in range(10)])
    assert (correlation**2).mean() == pytest.approx(0.05, abs=0.015)
    strong = _simulate(6, drift=False, predictability=0.3)
    correlation = np.corrcoef(_returns(strong)[:, 0], strong.expected_returns[:-1, 0])[0, 1]
    assert correlation**2 == pytest.approx(0.3, abs=0.05)


def test_the_planted_signal_shows_in_past_returns_alone(planted: SimulatedMarket) -> None:
    five = np.log(planted.close[5:]) - np.log(planted.close[:-5])
    agree = np.sign(five) == np.sign(planted.expected_returns[5:])
    assert agree.mean() > 0.95


def test_an_oracle_earns_and_a_coin_does_not(planted: SimulatedMarket) -> None:
    returns, expected = _returns(planted), planted.expected_returns[:-1]
    oracle = (np.sign(expected) * returns).mean(axis=1)
    coin = (np.random.default_rng(0).choice([-1, 1], returns.shape) * returns).mean(axis=1)
    assert oracle.mean() / oracle.std() * np.sqrt(365) > 2
    assert abs(coin.mean() / coin.std() * np.sqrt(365)) < 0.5


def test_volatility_clusters_tails_are_fat_and_symbols_move_together(fair: SimulatedMarket) -> None:
    returns = pd.DataFrame(_returns(fair))
    absolute = (returns / returns.std()).abs().clip(upper=6)
    assert absolute.apply(lambda column: column.autocorr(1)).median() > 0.1
    assert absolute.apply(lambda column: column.autocorr(20)).median() > 0.03
    assert returns.kurt().median() > 3
    pairs = returns.corr().to_numpy()[~np.eye(10, dtype=bool)]
    assert pairs.mean() == pytest.approx(BASE.correlation, abs=0.12)


def test_annual_volatility_lies_in_the_range_asked_for(fair: SimulatedMarket) -> None:
    volatility = _returns(fair).std(axis=0) * np.sqrt(365.25)
    low, high = BASE.annual_volatility
    assert (volatility > 0.75 * low).all()
    assert (volatility < 1.3 * high).all()


def test_bars_are_possible_and_ranges_look_like_a_bridge(fair: SimulatedMarket) -> None:
    assert (fair.low > 0).all()
    assert (fair.high >= np.maximum(fair.open, fair.close)).all()
    assert (fair.low <= np.minimum(fair.open, fair.close)).all()
    # of a driftless Brownian motion the expected range is sqrt(8 / pi) sigma (Feller 1951), 2 times E|return|
    calm = _simulate(3, 8000, drift=False, jump_probability=0.0, tail_dof=1000.0, garch_alpha=0.0, garch_beta=0.0,
                     regime_volatility_ratio=1.0, overnight_share=0.0, annual_volatility=(0.2, 0.2))  # fmt: skip
    spread = np.log(calm.high / calm.low).mean() / np.abs(np.log(calm.close / calm.open)).mean()
    assert spread == pytest.approx(2.0, abs=0.02)


def test_the_overnight_gap_has_its_share_of_the_variance() -> None:
    market = _simulate(4, 8000, overnight_share=0.4)
    gaps = np.log(market.open[1:] / market.close[:-1])
    whole = np.log(market.close[1:] / market.close[:-1])
    assert np.median(np.median(gaps**2, axis=0) / np.median(whole**2, axis=0)) == pytest.approx(0.4, abs=0.05)
    np.testing.assert_array_equal(
        _simulate(4, 100, overnight_share=0.0).open[1:], _simulate(4, 100, overnight_share=0.0).close[:-1]
    )


def test_volume_rises_with_volatility(fair: SimulatedMarket) -> None:
    assert fair.volume is not None
    spread = np.log(np.log(fair.high / fair.low))
    correlation = [np.corrcoef(np.log(fair.volume[:, i]), spread[:, i])[0, 1] for i in range(10)]
    assert min(correlation) > 0.3


@pytest.mark.slow
def test_drift_is_what_was_asked_for() -> None:
    market = _simulate(5, drift=True, annual_drift=0.5, annual_volatility=(0.1, 0.1))
    assert _returns(market).mean() * 365.25 == pytest.approx(0.5, abs=0.05)
    assert market.expected_returns.mean() * 365.25 == pytest.approx(0.5, rel=0.01)


@pytest.mark.slow
def test_currency_pairs_leave_no_arbitrage() -> None:
    spec = compose(["asset=forex", "data=simulated", "data.simulator.bars=500"])
    panel = load(spec.asset, spec.data, seed=0)
    column = {name: i for i, name in enumerate(panel.symbols)}
    cross = panel.close[:, column["EURUSD"]] / panel.close[:, column["GBPUSD"]]
    np.testing.assert_allclose(panel.close[:, column["EURGBP"]], cross, rtol=1e-12)
    np.testing.assert_array_equal(panel.to_account[:, column["EURGBP"]], panel.close[:, column["GBPUSD"]])


@pytest.mark.slow
@pytest.mark.parametrize("asset", ["stocks", "forex", "crypto", "etf", "commodities"])
def test_every_class_is_simulated_on_its_own_calendar_and_stamped(asset: str) -> None:
    spec = compose([f"asset={asset}", "data=simulated", "data.simulator.bars=300"])
    panel = load(spec.asset, spec.data, seed=0)
    assert panel.simulated
    assert panel.source == "simulated"
    assert panel.bars == 300
    assert panel.tradable.all()
    assert any("SIMULATED" in note for note in panel.notes)
    assert not any("not yet" in note for note in panel.notes)
    assert (panel.volume is None) == (asset == "forex")


@pytest.mark.slow
def test_a_group_of_seeds_shares_one_market_unless_told_otherwise() -> None:
    spec = compose(["asset=crypto", "data=simulated", "data.simulator.bars=100"])
    assert load(spec.asset, spec.data, seed=1).fingerprint == load(spec.asset, spec.data, seed=2).fingerprint
    own = compose(["asset=crypto", "data=simulated", "data.simulator.bars=100", "data.simulator.seed=null"])
    assert load(own.asset, own.data, seed=1).fingerprint != load(own.asset, own.data, seed=2).fingerprint


def test_hourly_bars_are_made_too() -> None:
    spec = compose(["asset=etf", "data=simulated", "data.simulator.bars=500", "data.interval=1h"])
    panel = load(spec.asset, spec.data, seed=0)
    assert panel.bars == 500
    assert 1500 < panel.bars_per_year < 2000


def test_an_explosive_garch_is_refused() -> None:
    with pytest.raises(DataError, match="garch_beta"):
        _simulate(0, 100, garch_alpha=0.5, garch_beta=0.6)


def test_specs_carry_the_dates_that_they_were_calibrated_on() -> None:
    for asset in ("stocks", "forex", "crypto", "etf", "commodities"):
        simulator: SimulatorSpec = compose([f"asset={asset}"]).data.simulator
        assert " to 20" in simulator.calibrated_on


@pytest.mark.slow
@pytest.mark.parametrize("asset", ["stocks", "forex", "crypto", "etf", "commodities"])
def test_the_default_market_is_an_ordinary_one_of_its_class(asset: str) -> None:
    spec = compose([f"asset={asset}", "data=simulated"])

    def growth(seed: int | None) -> float:
        changed = {} if seed is None else {"seed": seed}
        simulator = spec.data.simulator.model_copy(update=changed)
        market = Provider(spec.data.model_copy(update={"simulator": simulator}), spec.asset).market()
        return float((market.close[-1] / market.close[0]).mean())

    others = [growth(seed) for seed in range(15)]
    assert np.quantile(others, 0.25) < growth(None) < np.quantile(others, 0.75)
