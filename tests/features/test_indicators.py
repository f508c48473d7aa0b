"""Golden values: every indicator against its textbook formula, written out here once more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wealtharena.errors import ConfigError
from wealtharena.features import indicators, registry
from wealtharena.features.registry import FEATURES, SymbolBars

N = 300
RNG = np.random.default_rng(11)
CLOSE = 50 * np.exp(np.cumsum(RNG.normal(0, 0.02, N)))
OPEN = np.concatenate([[50.0], CLOSE[:-1]]) * np.exp(RNG.normal(0, 0.003, N))
HIGH = np.maximum(OPEN, CLOSE) * np.exp(np.abs(RNG.normal(0, 0.01, N)))
LOW = np.minimum(OPEN, CLOSE) * np.exp(-np.abs(RNG.normal(0, 0.01, N)))
VOLUME = np.round(RNG.lognormal(10, 0.5, N))
BARS = SymbolBars(OPEN, HIGH, LOW, CLOSE, VOLUME)
indicators.log_return_1(BARS)  # the module is loaded, so that FEATURES is complete


def _feature(name: str, bars: SymbolBars = BARS) -> np.ndarray:
    return FEATURES[name].function(bars)


def _wilder(values: list[float], n: int, first: int) -> dict[int, float]:
    """Wilder's smoothing: the mean of the first n values, then 1/n of every new one; `first` is the index of values[0]."""
    smooth = {first + n - 1: sum(values[:n]) / n}
    for i in range(n, len(values)):
        smooth[first + i] = (smooth[first + i - 1] * (n - 1) + values[i]) / n
    return smooth


def test_rsi_is_wilders() -> None:
    moves = np.diff(CLOSE)
    up = _wilder([max(m, 0) for m in moves], 14, 1)
    down = _wilder([max(-m, 0) for m in moves], 14, 1)
    expected = [100 - 100 / (1 + up[t] / down[t]) for t in range(14, N)]
    np.testing.assert_allclose(50 + 50 * _feature("rsi_14")[14:], expected, rtol=1e-10)


def test_macd_is_the_difference_of_two_exponential_means() -> None:
    def ema(values: np.ndarray, n: int, start: int) -> np.ndarray:
        out = np.full(len(values), np.nan)
        out[start] = values[start - n + 1 : start + 1].mean()
        for t in range(start + 1, len(values)):
            out[t] = out[t - 1] + 2 / (n + 1) * (values[t] - out[t - 1])
        return out

    line = ema(CLOSE, 12, 25) - ema(CLOSE, 26, 25)
    signal = ema(line, 9, 33)
    np.testing.assert_allclose(_feature("macd")[33:], (line / CLOSE)[33:], rtol=1e-9)
    np.testing.assert_allclose(_feature("macd_histogram")[33:], ((line - signal) / CLOSE)[33:], rtol=1e-7, atol=1e-12)


def test_bollinger_b_is_the_place_between_the_bands() -> None:
    for t in (19, 100, 299):
        window = CLOSE[t - 19 : t + 1]
        lower, upper = window.mean() - 2 * window.std(), window.mean() + 2 * window.std()
        assert _feature("bollinger_b")[t] == pytest.approx((CLOSE[t] - lower) / (upper - lower), rel=1e-10)


def test_atr_is_wilders_mean_of_the_true_range() -> None:
    ranges = [max(HIGH[t] - LOW[t], abs(HIGH[t] - CLOSE[t - 1]), abs(LOW[t] - CLOSE[t - 1])) for t in range(1, N)]
    smooth = _wilder(ranges, 14, 1)
    np.testing.assert_allclose(_feature("atr_14")[14:], [smooth[t] / CLOSE[t] for t in range(14, N)], rtol=1e-10)


def test_adx_is_wilders_mean_of_the_directional_index() -> None:
    rise, fall = np.diff(HIGH), -np.diff(LOW)
    plus = np.where((rise > fall) & (rise > 0), rise, 0.0)
    minus = np.where((fall > rise) & (fall > 0), fall, 0.0)
    ranges = np.array(
        [max(HIGH[t] - LOW[t], abs(HIGH[t] - CLOSE[t - 1]), abs(LOW[t] - CLOSE[t - 1])) for t in range(1, N)]
    )
    sums = [values[:13].sum() for values in (plus, minus, ranges)]
    index = []
    for t in range(13, N - 1):
        sums = [s - s / 14 + values[t] for s, values in zip(sums, (plus, minus, ranges), strict=True)]
        up, down = sums[0] / sums[2], sums[1] / sums[2]
        index.append(abs(up - down) / (up + down))
    smooth = _wilder(index, 14, 14)
    np.testing.assert_allclose(_feature("adx_14")[27:], [smooth[t] for t in range(27, N)], rtol=1e-9)


def test_stochastic_is_the_place_in_the_range_of_fourteen_bars() -> None:
    raw = {
        t: (CLOSE[t] - LOW[t - 13 : t + 1].min()) / np.ptp([*HIGH[t - 13 : t + 1], *LOW[t - 13 : t + 1]])
        for t in range(13, N)
    }
    k = {t: np.mean([raw[t - i] for i in range(3)]) for t in range(15, N)}
    d = {t: np.mean([k[t - i] for i in range(3)]) for t in range(17, N)}
    np.testing.assert_allclose(_feature("stochastic_k")[15:] + 0.5, list(k.values()), rtol=1e-10)
    np.testing.assert_allclose(_feature("stochastic_d")[17:] + 0.5, list(d.values()), rtol=1e-10)


def test_mfi_is_the_share_of_money_that_flowed_in() -> None:
    price = (HIGH + LOW + CLOSE) / 3
    for t in (14, 150, 299):
        inflow = sum(price[i] * VOLUME[i] for i in range(t - 13, t + 1) if price[i] > price[i - 1])
        outflow = sum(price[i] * VOLUME[i] for i in range(t - 13, t + 1) if price[i] < price[i - 1])
        assert 50 + 50 * _feature("mfi_14")[t] == pytest.approx(100 - 100 / (1 + inflow / outflow), rel=1e-10)


def test_obv_is_judged_by_its_own_last_twenty_bars() -> None:
    obv = np.concatenate([[0.0], np.cumsum(np.sign(np.diff(CLOSE)) * VOLUME[1:])])
    for t in (20, 150, 299):
        window = obv[t - 19 : t + 1]
        assert _feature("obv_z_20")[t] == pytest.approx((obv[t] - window.mean()) / window.std(), rel=1e-9)


def test_returns_volatilities_and_ratios_are_what_their_names_say() -> None:
    logs = np.log(CLOSE)
    returns = np.diff(logs)
    for t in (60, 150, 299):
        for n in (1, 5, 20, 60):
            assert _feature(f"log_return_{n}")[t] == pytest.approx(logs[t] - logs[t - n], rel=1e-10)
        assert _feature("volatility_20")[t] == pytest.approx(math.log(returns[t - 20 : t].std(ddof=1)), rel=1e-10)
        ratio = returns[t - 10 : t].std(ddof=1) / returns[t - 60 : t].std(ddof=1)
        assert _feature("volatility_ratio")[t] == pytest.approx(math.log(ratio), rel=1e-9)
        for n in (10, 50):
            assert _feature(f"ma_ratio_{n}")[t] == pytest.approx(
                math.log(CLOSE[t] / CLOSE[t - n + 1 : t + 1].mean()), rel=1e-9
            )
        assert _feature("drawdown_60")[t] == pytest.approx(math.log(CLOSE[t] / CLOSE[t - 59 : t + 1].max()), abs=1e-12)
        path = np.abs(returns[t - 20 : t]).sum()
        assert _feature("efficiency_20")[t] == pytest.approx((logs[t] - logs[t - 20]) / path, rel=1e-9)
        assert _feature("gap_1")[t] == pytest.approx(math.log(OPEN[t] / CLOSE[t - 1]), rel=1e-10)
        volume = np.log1p(VOLUME[t - 19 : t + 1])
        assert _feature("volume_z_20")[t] == pytest.approx((volume[-1] - volume.mean()) / volume.std(), rel=1e-10)
    assert _feature("ma_ratio_200")[250] == pytest.approx(math.log(CLOSE[250] / CLOSE[51:251].mean()), rel=1e-9)


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_first_value_comes_after_the_stated_lookback(name: str) -> None:
    values = _feature(name)
    item = FEATURES[name]
    assert len(values) == N
    assert np.isnan(values[: item.lookback]).all()
    assert np.isfinite(values[item.lookback :]).all()


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_the_past_does_not_change_when_the_future_is_cut_off_or_replaced(name: str) -> None:
    whole = _feature(name)
    for t in (80, 220, 298):
        cut = SymbolBars(*(values[: t + 1] for values in (OPEN, HIGH, LOW, CLOSE, VOLUME)))
        np.testing.assert_array_equal(_feature(name, cut), whole[: t + 1])
        other = SymbolBars(
            *(np.concatenate([v[: t + 1], 7 * v[t + 1 :][::-1]]) for v in (OPEN, HIGH, LOW, CLOSE, VOLUME))
        )
        np.testing.assert_array_equal(_feature(name, other)[: t + 1], whole[: t + 1])


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_prices_in_another_unit_change_nothing(name: str) -> None:
    scaled = SymbolBars(OPEN * 1000, HIGH * 1000, LOW * 1000, CLOSE * 1000, VOLUME)
    np.testing.assert_allclose(_feature(name, scaled), _feature(name), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_a_market_that_stands_still_gives_finite_neutral_values(name: str) -> None:
    flat = np.full(250, 3.3)
    values = _feature(name, SymbolBars(flat, flat, flat, flat, np.zeros(250)))[FEATURES[name].lookback :]
    assert np.isfinite(values).all()
    expected = {"bollinger_b": 0.5, "volatility_20": math.log(1e-6)}.get(name, 0.0)
    np.testing.assert_allclose(values, expected, atol=1e-9)


@pytest.mark.parametrize("name", sorted(FEATURES))
def test_the_start_is_forgotten_after_the_stated_memory(name: str) -> None:
    memory = FEATURES[name].memory
    rng = np.random.default_rng(5)
    close = 20 * np.exp(np.cumsum(rng.normal(0, 0.05, 2000)))
    high, low = close * 1.03, close * 0.98
    volume = rng.lognormal(10, 1, 2000)
    whole = _feature(name, SymbolBars(close, high, low, close, volume))
    recent = SymbolBars(*(values[-memory:] for values in (close, high, low, close, volume)))
    assert _feature(name, recent)[-1] == pytest.approx(whole[-1], abs=1e-6)


def test_a_collapse_of_the_price_leaves_no_rounding_behind() -> None:
    close = np.concatenate([np.full(100, 1e6) + RNG.normal(0, 1e4, 100), 1e-4 * (1 + RNG.normal(0, 0.01, 150))])
    late = close[120:]
    whole = SymbolBars(close, close, close, close, close)
    alone = SymbolBars(late, late, late, late, late)
    for name in ("bollinger_b", "ma_ratio_10", "ma_ratio_50", "volatility_20", "stochastic_k", "efficiency_20"):
        np.testing.assert_allclose(_feature(name, whole)[-50:], _feature(name, alone)[-50:], rtol=1e-9, atol=1e-9)


def test_a_misspelt_feature_is_corrected() -> None:
    with pytest.raises(ConfigError, match=r"rsi_41.*did you mean rsi_14"):
        indicators.find("rsi_41")
    with pytest.raises(ConfigError, match=r"sentiment is not a feature; choose from adx_14, .*volume_z_20"):
        indicators.find("sentiment")


def test_a_new_feature_is_one_function_and_its_name() -> None:
    def last_digit(bars: SymbolBars) -> np.ndarray:
        return np.floor(bars.close) % 10

    try:
        registry.feature("close", lookback=0)(last_digit)
        assert indicators.find("last_digit").inputs == ("close",)
        with pytest.raises(ValueError, match="registered twice"):
            registry.feature("close", lookback=0)(last_digit)
    finally:
        FEATURES.pop("last_digit", None)
