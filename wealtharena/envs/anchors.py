"""What a tilt is measured from, at every bar: the weights of its anchor and the volatility of each symbol.

The rules are those of `envs/baselines`, for all rows at once. They look at quotes alone, so that a server that is given
recent bars finds what the backtest found: dividends, conversion rates and multipliers are left out, and bars on which no
symbol has a positive close are passed over. A symbol trades where the panel says that it is tradable and it has a positive
close and, if its volume is known, volume; its close counts among its returns where it does not trade, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from wealtharena.config import plugins
from wealtharena.config.specs.baseline import BaselineSpec
from wealtharena.config.specs.tilt import LEAST_CLIP, TiltSpec
from wealtharena.data.panel import Panel
from wealtharena.envs.baselines import Baseline
from wealtharena.envs.baselines._answers import named, numbers_of
from wealtharena.envs.baselines._history import MIN_RETURNS
from wealtharena.envs.baselines._shares import invested
from wealtharena.envs.baselines.inverse_volatility import LEAST_VOLATILITY
from wealtharena.envs.observation import ANCHOR_COLUMNS
from wealtharena.envs.quotes import CARRY_BARS, SIGMA_BARS, carry_forward, trailing_sigma
from wealtharena.errors import ConfigError, MarketError
from wealtharena.features.panel import FeaturePanel, Scaler

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
LEAST_SIGMA: Final = 1e-6  # a bar: a symbol that never moves does not take everything by a division by 0
_TRIED: Final = 4  # rows at which a package's rule is asked again, with few bars
_ROWS: Final = 512  # bars whose windows are looked at in one go


def anchored(features: FeaturePanel, tilt: TiltSpec) -> FeaturePanel:
    """Return the features with the anchor's columns as the last two; those that have them already as they are."""
    if features.names[-2:] == ANCHOR_COLUMNS:
        return features
    values = np.concatenate([features.values, columns(features.panel, tilt)], axis=-1)
    values.flags.writeable = False
    return replace(features, values=values, names=(*features.names, *ANCHOR_COLUMNS))


def beside(scaler: Scaler) -> Scaler:
    """Return the scaler with the anchor's columns as they are: mean 0, deviation 1; one that knows them is left alone.

    MarketError where it clips below 1, the largest weight of an anchor.
    """
    if scaler.names[-2:] == ANCHOR_COLUMNS:
        return scaler
    if scaler.clip < LEAST_CLIP:
        raise MarketError(
            f"features.clip={scaler.clip:g} cuts the weights of an anchor",
            hint="take features.clip=5 for env.action=tilt",
        )
    return Scaler(
        names=(*scaler.names, *ANCHOR_COLUMNS),
        mean=np.append(scaler.mean, [0.0, 0.0]),
        std=np.append(scaler.std, [1.0, 1.0]),
        clip=scaler.clip,
    )


def history_bars(tilt: TiltSpec) -> int:
    """Return how many bars up to the last give the same anchor and volatility there as a history of any length.

    Bars on which no symbol has a positive close, such as a future's alone below zero, are not counted: there are none in
    what a caller must send, `min_history_bars` of every symbol.
    """
    return _needed(tilt.anchor)


def _needed(anchor: BaselineSpec) -> int:
    return max(Baseline(anchor).history_bars, SIGMA_BARS + 1 + CARRY_BARS)


def columns(panel: Panel, tilt: TiltSpec) -> npt.NDArray[np.float32]:
    """Return the anchor's weights and the volatilities [T, A, 2] at every bar; NaN for one that does not trade there.

    Behind a seam they begin anew, as at the first bar of a record: the move over what was taken out is no return of a bar.
    """
    return np.concatenate([_columns(stretch, tilt) for stretch in panel.stretches()])


def _columns(panel: Panel, tilt: TiltSpec) -> npt.NDArray[np.float32]:
    quoted = panel.close > 0.0  # NaN compares False
    trades = quoted & panel.tradable
    if panel.volume is not None:
        trades &= ~(panel.volume <= 0.0)
    rows = np.flatnonzero(quoted.any(axis=1))
    found = np.zeros((*quoted.shape, 2), dtype=np.float32)
    if len(rows):
        close = np.where(quoted, panel.close, np.nan)[rows]
        sigma = np.maximum(trailing_sigma(carry_forward(close)), LEAST_SIGMA)  # 0 says that it does not trade
        made = np.stack([_weights(close, trades[rows], tilt.anchor), sigma], axis=-1)
        found[:] = _since(rows, made, panel.bars)
    found[..., 1][~trades] = np.nan
    return found


def _weights(close: FloatArray, trades: BoolArray, spec: BaselineSpec) -> FloatArray:
    """Return the anchor's weights [T, A]: by our rule, or by `rule(close, spec)` of a package's module.

    That one sees the bars on which anything trades, and NaN for what does not.
    """
    if spec.name in RULES:
        return RULES[spec.name](close, trades, spec)
    rows = np.flatnonzero(trades.any(axis=1))
    seen = np.where(trades, close, np.nan)[rows]
    made = _asked(seen, spec) if len(rows) else np.zeros((0, close.shape[1]))
    _check_memory(seen, made, spec)
    return _since(rows, made, len(close))


def _asked(close: FloatArray, spec: BaselineSpec) -> FloatArray:
    """Return what a package's rule makes of closes [T, A], which stay as they are; WealthArenaError where that is no weights."""
    answer = plugins.load("envs.anchors", spec.name).rule(close.copy(), spec)
    made = numbers_of(answer)
    if made is None or made.shape != close.shape or not np.isfinite(made).all():
        told = f"rule returned {named(answer)}, not finite numbers of shape {close.shape}"
        raise plugins.misused("envs.anchors", spec.name, f"{told}, symbols and bars in their order")
    return made


def _check_memory(close: FloatArray, made: FloatArray, spec: BaselineSpec) -> None:
    """Raise ConfigError where a rule has other weights from as few bars as a server is given; some rows [T] are tried."""
    bars = _needed(spec)
    for row in np.unique(np.linspace(bars, len(close) - 1, _TRIED, dtype=int)) if len(close) > bars else ():
        if not np.allclose(_asked(close[: row + 1], spec)[-1], made[row], rtol=0.0, atol=1e-6):
            raise ConfigError(
                f"{plugins.title('envs.anchors', spec.name)}: rule has other weights once it is given later bars: it looks ahead",
                hint="let the weights of a bar hang on closes up to that bar, and on no chance",
            )
        if not np.allclose(_asked(close[row + 1 - bars : row + 1], spec)[-1], made[row], rtol=0.0, atol=1e-6):
            raise ConfigError(
                f"{plugins.title('envs.anchors', spec.name)}: rule has other weights from the last {bars} bars than from all before: "
                "a server, which is given no more, would lean from another portfolio than the backtest",
                hint="let it look at spec.lookback_bars, or raise env.anchor_bars to the bars that it looks at",
            )


def _since(rows: npt.NDArray[np.intp], made: FloatArray, count: int) -> FloatArray:
    """Return what was made of `rows` at each of `count` bars: that of the last row up to it, 0 before the first."""
    found = np.concatenate([np.zeros((1, *made.shape[1:])), made])
    return np.asarray(found[np.searchsorted(rows, np.arange(count), side="right")])


def _equal_weight(close: FloatArray, trades: BoolArray, spec: BaselineSpec) -> FloatArray:
    return _invested(_listed(trades, spec).astype(np.float64), spec)


def _cash(close: FloatArray, trades: BoolArray, spec: BaselineSpec) -> FloatArray:
    return np.zeros_like(close)


def _momentum(close: FloatArray, trades: BoolArray, spec: BaselineSpec) -> FloatArray:
    bars, listed = spec.momentum_bars, _listed(trades, spec)
    gain = np.full_like(close, np.nan)
    carried = carry_forward(close)
    before = np.where(_recent(np.isfinite(close), CARRY_BARS), carried, np.nan)
    gain[bars:] = carried[bars:] - before[: max(len(close) - bars, 0)]
    sign = np.nan_to_num(np.sign(gain)) * listed
    if spec.long_only:
        sign = np.maximum(sign, 0.0)
    part = np.minimum(spec.gross / np.maximum(listed.sum(axis=1, keepdims=True), 1), spec.max_weight)
    return np.asarray(sign * part)


def _inverse_volatility(close: FloatArray, trades: BoolArray, spec: BaselineSpec) -> FloatArray:
    bars, count = spec.lookback_bars, len(close)
    listed = _listed(trades, spec)
    carried = carry_forward(close)
    returns = np.diff(carried, axis=0) / carried[:-1]
    before = np.maximum(np.arange(count) - bars, 0)  # of which row the first known price must be
    known = _recent(np.isfinite(close), CARRY_BARS)[before] & listed
    known &= (np.minimum(np.arange(count), bars) >= MIN_RETURNS)[:, None]
    deviation = np.full_like(close, np.nan)
    for row in range(MIN_RETURNS, min(bars, count)):
        deviation[row] = returns[:row].std(axis=0, ddof=1)
    for first in range(bars, count, _ROWS):
        windows = returns[first - bars : min(first + _ROWS, count) - 1]
        view = np.lib.stride_tricks.sliding_window_view(windows, bars, axis=0)
        deviation[first : first + len(view)] = view.std(axis=-1, ddof=1)
    shares = np.where(known, 1.0 / np.maximum(np.where(known, deviation, 1.0), LEAST_VOLATILITY), 0.0)
    alike = ~known.any(axis=1, keepdims=True)
    return _invested(np.where(alike, listed, shares), spec)


def _listed(trades: BoolArray, spec: BaselineSpec) -> BoolArray:
    """Return which symbols traded within the last `listed_bars`, [T, A]."""
    return _recent(trades, spec.listed_bars - 1)


def _recent(there: BoolArray, bars: int) -> BoolArray:
    """Return what was there at most `bars` rows ago, [T, A]."""
    rows = np.arange(len(there))[:, None]
    last = np.maximum.accumulate(np.where(there, rows, -bars - 1 - len(there)), axis=0)
    return np.asarray(rows - last <= bars)


def _invested(shares: FloatArray, spec: BaselineSpec) -> FloatArray:
    """Return `invested` of every row of shares [T, A]."""
    total = shares.sum(axis=1, keepdims=True)
    weights = spec.gross * shares / np.where(total > 0.0, total, 1.0)
    for row in np.flatnonzero((weights > spec.max_weight).any(axis=1)):
        weights[row] = invested(shares[row], spec)
    return np.asarray(weights)


RULES: Final[Mapping[str, Callable[[FloatArray, BoolArray, BaselineSpec], FloatArray]]] = MappingProxyType(
    {
        "inverse_volatility": _inverse_volatility,
        "equal_weight": _equal_weight,
        "cash": _cash,
        "momentum": _momentum,
    }
)
