"""The indicators: each one function, found by its name; scale-free and roughly stationary.

Every function takes one symbol's own bars without holes and returns one value a bar, NaN before its lookback. Where an
indicator is undefined because nothing moved (a range or a variance of 0), it takes its neutral value.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view

from wealtharena.config.suggest import did_you_mean
from wealtharena.errors import ConfigError
from wealtharena.features.registry import (
    FEATURES,
    Feature,
    FloatArray,
    SymbolBars,
    ema_memory,
    feature,
    wilder_memory,
)

_SMALLEST_VOLATILITY: Final = 1e-6  # floor under a logarithm


def find(name: str) -> Feature:
    """Return the feature called `name`.

    Raises:
        ConfigError: there is none.
    """
    if name not in FEATURES:
        known = f"choose from {', '.join(sorted(FEATURES))}"
        raise ConfigError(f"features.names: {name} is not a feature", hint=did_you_mean(name, FEATURES, fallback=known))
    return FEATURES[name]


@feature("close", lookback=1)
def log_return_1(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over one bar."""
    return _log_return(bars.close, 1)


@feature("close", lookback=5)
def log_return_5(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over five bars."""
    return _log_return(bars.close, 5)


@feature("close", lookback=20)
def log_return_20(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over twenty bars."""
    return _log_return(bars.close, 20)


@feature("close", lookback=60)
def log_return_60(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over sixty bars."""
    return _log_return(bars.close, 60)


@feature("close", lookback=20)
def volatility_20(bars: SymbolBars) -> FloatArray:
    """Logarithm of the standard deviation of the last twenty one-bar returns."""
    return _log_volatility(bars.close, 20)


@feature("close", lookback=60)
def volatility_ratio(bars: SymbolBars) -> FloatArray:
    """Logarithm of the volatility over ten bars to that over sixty."""
    return _log_volatility(bars.close, 10) - _log_volatility(bars.close, 60)


@feature("close", lookback=63)
def scaled_return_1(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over one bar, by what one bar usually moves: see `_scaled_return`."""
    return _scaled_return(bars.close, 1)


@feature("close", lookback=63)
def scaled_return_5(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over five bars, by what five bars usually move: see `_scaled_return`."""
    return _scaled_return(bars.close, 5)


@feature("close", lookback=63)
def scaled_return_21(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over twenty-one bars, by what twenty-one bars usually move: see `_scaled_return`."""
    return _scaled_return(bars.close, 21)


@feature("close", lookback=63)
def scaled_return_63(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over sixty-three bars, by what sixty-three bars usually move: see `_scaled_return`."""
    return _scaled_return(bars.close, 63)


@feature("close", lookback=252)
def scaled_return_252(bars: SymbolBars) -> FloatArray:
    """Logarithmic return over 252 bars, by what 252 bars usually move: see `_scaled_return`."""
    return _scaled_return(bars.close, 252)


@feature("close", lookback=62)
def close_z_63(bars: SymbolBars) -> FloatArray:
    """Logarithm of the close by the mean and deviation of its last sixty-three; 0 where nothing varies."""
    return _z_score(np.log(bars.close / bars.close[:1]), 63)


@feature("close", lookback=14, memory=wilder_memory(14) + 14)
def rsi_14(bars: SymbolBars) -> FloatArray:
    """Relative strength index (Wilder 1978), as (RSI - 50) / 50; 0 where the price never moved.

    TA-Lib's CMO has Wilder's smoothing, so that it is exactly 2 RSI - 100, and is 0 instead of RSI = 0 without moves.
    """
    return talib.CMO(bars.close, 14) / 100


@feature("close", lookback=33, memory=ema_memory(26) + 33)
def macd(bars: SymbolBars) -> FloatArray:
    """Difference of the exponential means over 12 and 26 bars, as a share of the price (Appel 1979)."""
    return talib.MACD(bars.close, 12, 26, 9)[0] / bars.close


@feature("close", lookback=33, memory=ema_memory(26) + 33)
def macd_histogram(bars: SymbolBars) -> FloatArray:
    """MACD less its exponential mean over nine bars, as a share of the price."""
    return talib.MACD(bars.close, 12, 26, 9)[2] / bars.close


@feature("close", lookback=19)
def bollinger_b(bars: SymbolBars) -> FloatArray:
    """Place of the close between the Bollinger bands (20 bars, 2 sigma): 0 at the lower, 1 at the upper; 0.5 if flat."""
    return 0.5 + _z_score(bars.close, 20) / 4


@feature("close", lookback=9)
def ma_ratio_10(bars: SymbolBars) -> FloatArray:
    """Logarithm of the close to its mean over ten bars."""
    return np.log(bars.close / _mean(bars.close, 10))


@feature("close", lookback=49)
def ma_ratio_50(bars: SymbolBars) -> FloatArray:
    """Logarithm of the close to its mean over fifty bars."""
    return np.log(bars.close / _mean(bars.close, 50))


@feature("close", lookback=199)
def ma_ratio_200(bars: SymbolBars) -> FloatArray:
    """Logarithm of the close to its mean over two hundred bars."""
    return np.log(bars.close / _mean(bars.close, 200))


@feature("close", lookback=59)
def drawdown_60(bars: SymbolBars) -> FloatArray:
    """Logarithm of the close to its highest in sixty bars; never above 0."""
    return np.log(bars.close / talib.MAX(bars.close, 60))


@feature("close", lookback=20)
def efficiency_20(bars: SymbolBars) -> FloatArray:
    """Signed efficiency ratio (Kaufman 1995): return over twenty bars by the sum of its absolute steps; 0 if flat."""
    steps = np.abs(_log_return(bars.close, 1))
    path = _after_gap(_mean(steps[1:], 20) * 20, 1)
    return _ratio(_log_return(bars.close, 20), path, neutral=0.0)


@feature("high", "low", "close", lookback=14, memory=wilder_memory(14) + 14)
def atr_14(bars: SymbolBars) -> FloatArray:
    """Average true range (Wilder 1978) as a share of the close."""
    return talib.ATR(bars.high, bars.low, bars.close, 14) / bars.close


@feature("high", "low", "close", lookback=27, memory=2 * wilder_memory(14) + 27)
def adx_14(bars: SymbolBars) -> FloatArray:
    """Average directional index (Wilder 1978), from 0 to 1."""
    return talib.ADX(bars.high, bars.low, bars.close, 14) / 100


@feature("high", "low", "close", lookback=15)
def stochastic_k(bars: SymbolBars) -> FloatArray:
    """Slow stochastic %K (14 bars, mean of 3), from -0.5 at the lowest low to 0.5 at the highest high; 0 if flat."""
    return _mean_after(_raw_stochastic(bars), 3, 13)


@feature("high", "low", "close", lookback=17)
def stochastic_d(bars: SymbolBars) -> FloatArray:
    """Mean of the slow stochastic %K over three bars."""
    return _mean_after(_mean_after(_raw_stochastic(bars), 3, 13), 3, 15)


@feature("high", "low", "close", lookback=0)
def close_position(bars: SymbolBars) -> FloatArray:
    """Place of the close in the bar's own range, from -1 at its low to 1 at its high; 0 if there was no range."""
    place = _ratio(2 * bars.close - bars.high - bars.low, bars.high - bars.low, neutral=0.0)
    return np.clip(place, -1.0, 1.0)  # a source's close can lie outside its own range


@feature("open", "close", lookback=1)
def gap_1(bars: SymbolBars) -> FloatArray:
    """Logarithm of the open to the close before it."""
    return _after_gap(np.log(bars.open[1:] / bars.close[:-1]), 1)


@feature("high", "low", "close", "volume", lookback=14)
def mfi_14(bars: SymbolBars) -> FloatArray:
    """Money flow index (Quong and Soudack 1989), as (MFI - 50) / 50; 0 where no money flowed."""
    price = (bars.high + bars.low + bars.close) / 3
    flow = np.diff(price)
    money = price[1:] * bars.volume[1:]
    signed, total = _mean(np.sign(flow) * money, 14), _mean(np.abs(np.sign(flow)) * money, 14)
    return _after_gap(_ratio(signed, total, neutral=0.0), 1)


@feature("close", "volume", lookback=20)
def obv_z_20(bars: SymbolBars) -> FloatArray:
    """On-balance volume (Granville 1963) by its mean and deviation over twenty bars; 0 without volume."""
    signed = np.sign(np.diff(bars.close)) * bars.volume[1:]
    windows = np.cumsum(_windows(signed, 20), axis=1)
    return _after_gap(_placed(_z_of_last(windows), len(signed)), 1)


@feature("volume", lookback=19)
def volume_z_20(bars: SymbolBars) -> FloatArray:
    """Logarithm of 1 + volume by its mean and deviation over twenty bars; 0 without change."""
    return _z_score(np.log1p(bars.volume), 20)


def _log_return(close: FloatArray, bars: int) -> FloatArray:
    return _after_gap(np.log(close[bars:] / close[:-bars]), bars) if len(close) > bars else np.full(len(close), np.nan)


def _scaled_return(close: FloatArray, bars: int) -> FloatArray:
    """Return the return over `bars` over sigma sqrt(bars), sigma the root mean square of the last 63; 0 where none moved."""
    squares = _log_return(close, 1)[1:] ** 2
    sigma = _after_gap(np.sqrt(_mean(squares, 63)), 1)
    return _ratio(_log_return(close, bars), sigma * np.sqrt(bars), neutral=0.0) + 0.0 * sigma


def _log_volatility(close: FloatArray, bars: int) -> FloatArray:
    returns = _log_return(close, 1)[1:]
    deviation = _placed(_windows(returns, bars).std(axis=1, ddof=1), len(returns))
    return _after_gap(np.log(np.maximum(deviation, _SMALLEST_VOLATILITY)), 1)


def _raw_stochastic(bars: SymbolBars) -> FloatArray:
    low, high = talib.MIN(bars.low, 14), talib.MAX(bars.high, 14)
    return _ratio(bars.close - low, high - low, neutral=0.5) - 0.5


def _z_score(values: FloatArray, bars: int) -> FloatArray:
    """Return (x - mean) / deviation (ddof 0) over a window; 0 where nothing varies."""
    return _placed(_z_of_last(_windows(values, bars)), len(values))


def _z_of_last(windows: FloatArray) -> FloatArray:
    mean = windows.mean(axis=1)
    deviation = np.sqrt(((windows - mean[:, None]) ** 2).mean(axis=1))
    rounding = 1e-12 * np.abs(windows).max(axis=1, initial=0.0)
    return np.where(deviation > rounding, (windows[:, -1] - mean) / np.where(deviation > 0, deviation, 1.0), 0.0)


def _mean(values: FloatArray, bars: int) -> FloatArray:
    """Return the mean over a window, NaN before it is full; summed afresh each bar, so that nothing accumulates."""
    return _placed(_windows(values, bars).mean(axis=1), len(values))


def _mean_after(values: FloatArray, bars: int, lookback: int) -> FloatArray:
    """Return `_mean` of values that begin after `lookback` NaNs."""
    return _after_gap(_mean(values[lookback:], bars), min(lookback, len(values)))


def _windows(values: FloatArray, bars: int) -> FloatArray:
    return sliding_window_view(values, bars) if len(values) >= bars else np.empty((0, bars))


def _placed(values: FloatArray, length: int) -> FloatArray:
    return np.concatenate([np.full(length - len(values), np.nan), values])


def _after_gap(values: FloatArray, gap: int) -> FloatArray:
    return np.concatenate([np.full(gap, np.nan), values])


def _ratio(numerator: FloatArray, denominator: FloatArray, *, neutral: float) -> FloatArray:
    zero = denominator == 0
    return np.where(zero, neutral, numerator / np.where(zero, 1.0, denominator))
