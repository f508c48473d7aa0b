"""Market simulator: correlated returns with clustering volatility, fat tails, jumps and two regimes, on a real calendar.

Returns are simple returns. Bar t of a symbol has the return `sigma_t x_t`, where

    sigma_t = base * regime_t * sqrt(h_t),      h_{t+1} = (1 - a - b) + (a e_t^2 + b) h_t      (GARCH(1,1), Bollerslev 1986)
    x_t     = sqrt(R2) sign(x_{t-1} + ... + x_{t-L}) + sqrt(1 - R2) e_t
    e_t     = Student's t of a one-factor Gaussian, plus jumps, scaled to unit variance

`sigma_t` is known at the close of bar t-1, and R2 is `predictability`: the share of the next return's variance that the
trend of the last L = 5 bars tells. With R2 = 0 and without drift, prices are martingales. Highs and lows are those of a Brownian bridge from open to close.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec, SimulatorSpec
from wealtharena.data import calendars, currency, provider
from wealtharena.data.bars import Bars, RawBars, VolumeUnit, raw_table
from wealtharena.errors import DataError, ProviderError

FloatArray = npt.NDArray[np.float64]

SIGNAL_BARS: Final = 5  # L: the planted signal is the trend of so many standardised returns
_BURN_IN_BARS: Final = 300
_BRIDGE_STEPS: Final = 8
_LARGEST_MOVE: Final = 0.5  # a symmetric bound on a bar's unexpected return: prices stay positive, martingales stay so
_VOLUME_MEMORY: Final = 0.8
_VOLUME_NOISE: Final = 0.25


@dataclass(frozen=True, eq=False)
class SimulatedMarket:
    """A simulated history and what an oracle knows about it; T bars, A symbols.

    `expected_returns[t]` is the expectation, given everything up to the close of bar t, of the simple return from that
    close to the next one.
    """

    timestamps: pd.DatetimeIndex  # [T], UTC
    symbols: tuple[str, ...]
    open: FloatArray  # [T, A]
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray | None
    expected_returns: FloatArray

    def table(self, symbol: str) -> pd.DataFrame:
        """Return one symbol's bars as a raw table."""
        i = self.symbols.index(symbol)
        names = ("open", "high", "low", "close") + (("volume",) if self.volume is not None else ())
        return raw_table(pd.DataFrame({"timestamp": self.timestamps} | {n: getattr(self, n)[:, i] for n in names}))


@dataclass(frozen=True, eq=False)
class _Paths:
    """Prices of what is simulated directly: symbols, or the currencies that pairs are made of."""

    open: FloatArray  # [T, A]
    close: FloatArray
    sigma: FloatArray
    shock: FloatArray
    expected: FloatArray


def simulate_market(
    symbols: tuple[str, ...],
    spec: SimulatorSpec,
    *,
    times: pd.DatetimeIndex,
    rng: np.random.Generator,
    account: str | None = None,
) -> SimulatedMarket:
    """Return a market of `symbols` at the bar times `times`; the same generator state gives the same market.

    With `account`, symbols that are currency pairs are crosses of simulated currencies, so that EURGBP is EURUSD over
    GBPUSD at any time and every currency is a martingale in the account's.

    Raises:
        DataError: `garch_alpha + garch_beta` is not below 1.
    """
    if spec.garch_alpha + spec.garch_beta >= 1:
        raise DataError(
            f"data.simulator: garch_alpha + garch_beta = {spec.garch_alpha + spec.garch_beta:g} must be below 1",
            hint="lower data.simulator.garch_beta",
        )
    pairs = [currency.split_pair(symbol) for symbol in symbols]
    if account is None or not all(pairs):
        paths = _paths(len(symbols), spec, times, rng)
        start = spec.start_price * np.exp(rng.normal(0.0, 0.5, len(symbols)))
        opens, closes = paths.open * start, paths.close * start
        variance = (1 - spec.overnight_share) * paths.sigma**2
        expected, sigma, shock = paths.expected, paths.sigma, paths.shock
    else:
        legs = [pair for pair in pairs if pair is not None]
        codes = tuple(sorted({code for pair in legs for code in pair} - {account}))
        paths = _paths(len(codes), spec, times, rng)
        base, quote = (_picker(codes, [pair[side] for pair in legs], account) for side in (0, 1))
        level = np.array([_level(code, account) for code in codes])
        opens = base(paths.open * level, 1.0) / quote(paths.open * level, 1.0)
        closes = base(paths.close * level, 1.0) / quote(paths.close * level, 1.0)
        sb, sq = base(paths.sigma, 0.0), quote(paths.sigma, 0.0)
        sigma = np.sqrt(sb**2 + sq**2 - 2 * spec.correlation * sb * sq)
        variance = (1 - spec.overnight_share) * sigma**2
        expected = (1 + base(paths.expected, 0.0)) / (1 + quote(paths.expected, 0.0)) - 1
        shock = np.zeros_like(sigma)
    high, low = _extremes(opens, closes, variance, rng)
    volume = _volume(spec, sigma, shock, rng) if spec.volume > 0 else None
    return SimulatedMarket(times, symbols, opens, high, low, closes, volume, expected)


def _picker(codes: tuple[str, ...], wanted: list[str], account: str):  # type: ignore[no-untyped-def]  # a closure over columns
    columns = [codes.index(code) if code != account else -1 for code in wanted]

    def pick(values: FloatArray, own: float) -> FloatArray:
        return np.column_stack([np.full(len(values), own) if i < 0 else values[:, i] for i in columns])

    return pick


def _level(code: str, account: str) -> float:
    """Return where a currency starts: at the last of the ECB's rates that this installation has, or at 1 where it has none."""
    rates = currency.installed_rates()
    return float((rates[account] / rates[code]).dropna().iloc[-1]) if code in rates and account in rates else 1.0


def _paths(assets: int, spec: SimulatorSpec, times: pd.DatetimeIndex, rng: np.random.Generator) -> _Paths:
    bars = len(times)
    years = max((times[-1] - times[0]) / pd.Timedelta(days=365.25), 1e-9)
    per_year = (bars - 1) / years if bars > 1 else 252.0
    low, high = spec.annual_volatility
    base = low * (high / low) ** rng.uniform(size=assets) / np.sqrt(per_year)
    night, day = _shocks(bars + _BURN_IN_BARS, assets, spec, rng)
    shock = night + day
    h = _garch(shock, spec)
    _, mean = _momentum(shock, spec.predictability)
    keep = slice(_BURN_IN_BARS, None)
    sigma = np.minimum((base * np.sqrt(h)) * _regimes(len(shock), spec, rng)[:, None], _LARGEST_MOVE)[keep]
    drift = spec.annual_drift / per_year if spec.drift else 0.0
    mean = mean[_BURN_IN_BARS:]
    mean_return = sigma * mean[:-1] + drift  # of bar t, known at the close of bar t-1
    scale = np.sqrt(1 - spec.predictability)
    total = mean_return + np.clip(sigma * scale * shock[keep], -_LARGEST_MOVE, _LARGEST_MOVE)
    gap = spec.overnight_share * mean_return + np.clip(sigma * scale * night[keep], -_LARGEST_MOVE, _LARGEST_MOVE)
    total, gap = np.maximum(total, -0.9), np.maximum(gap, -0.9)
    close = np.cumprod(1 + total, axis=0)
    previous = np.vstack([np.ones(assets), close[:-1]])
    after_last = sigma[-1] * mean[-1] + drift  # the volatility of the bar after the last one is not simulated
    next_mean = np.vstack([mean_return[1:], after_last])
    return _Paths(previous * (1 + gap), close, sigma, shock[keep], next_mean)


def _shocks(bars: int, assets: int, spec: SimulatorSpec, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Return the overnight and the intraday part, [bars, assets], of shocks whose sum has unit variance."""
    rho, share = spec.correlation, spec.overnight_share
    normal = np.sqrt(1 - rho) * rng.standard_normal((2, bars, assets)) + np.sqrt(rho) * rng.standard_normal(
        (2, bars, 1)
    )
    chi2 = rng.chisquare(spec.tail_dof, (bars, assets))
    normal *= np.sqrt((spec.tail_dof - 2) / chi2)  # Student's t, scaled to unit variance; one draw for the whole bar
    night, day = np.sqrt(share) * normal[0], np.sqrt(1 - share) * normal[1]
    half = spec.jump_probability / 2  # half of the jumps are the whole market's
    size = spec.jump_sigmas
    common = (rng.uniform(size=(bars, 1)) < half) * rng.choice([-size, size], (bars, 1))
    own = (rng.uniform(size=(bars, assets)) < half) * rng.choice([-size, size], (bars, assets))
    unit = np.sqrt(1 + 2 * half * size**2)
    if share > 0:
        night = night + common + own
    else:
        day = day + common + own
    return night / unit, day / unit


def _garch(shock: FloatArray, spec: SimulatorSpec) -> FloatArray:
    """Return the variance factor h [bars, assets], of mean 1; h[t] depends on shocks before t only."""
    h = np.ones_like(shock)
    coefficient = spec.garch_alpha * shock**2 + spec.garch_beta
    constant = 1 - spec.garch_alpha - spec.garch_beta
    for t in range(len(shock) - 1):
        row = h[t + 1]
        np.multiply(coefficient[t], h[t], out=row)
        row += constant
    return h


def _regimes(bars: int, spec: SimulatorSpec, rng: np.random.Generator) -> FloatArray:
    """Return the volatility factor [bars] of a calm and a turbulent regime, of mean square 1."""
    share, stay = spec.turbulent_share, spec.regime_persistence
    calm = 1 / np.sqrt(share * spec.regime_volatility_ratio**2 + 1 - share)
    leave_turbulent, leave_calm = 1 - stay, (1 - stay) * share / (1 - share)
    lengths: list[int] = []
    state = start = bool(rng.uniform() < share)
    while sum(lengths) < bars:
        lengths.append(int(rng.geometric(min(leave_turbulent if state else leave_calm, 1.0))))
        state = not state
    states = np.repeat((np.arange(len(lengths)) % 2 == 0) == start, lengths)[:bars]
    factor: FloatArray = np.where(states, calm * spec.regime_volatility_ratio, calm)
    return factor


def _momentum(shock: FloatArray, r_squared: float) -> tuple[FloatArray, FloatArray]:
    """Return the standardised returns x, [bars, assets], and their expectation given the past, [bars + 1, assets].

    The expectation has one size and the sign of the last bars' sum, so that it explains the share `r_squared` of the
    variance in quiet and in wild times alike.
    """
    mean = np.zeros((len(shock) + 1, shock.shape[1]))
    if r_squared == 0:
        return shock, mean
    x = np.sqrt(1 - r_squared) * shock
    size = np.sqrt(r_squared)
    trend = x[:SIGNAL_BARS].sum(axis=0)
    for t in range(SIGNAL_BARS, len(x)):
        np.multiply(np.sign(trend), size, out=mean[t])
        x[t] += mean[t]
        trend += x[t] - x[t - SIGNAL_BARS]
    mean[-1] = size * np.sign(trend)
    return x, mean


def _extremes(
    opens: FloatArray, closes: FloatArray, variance: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return the high and the low, [T, A], of a Brownian bridge in logs from open to close with the bar's variance.

    The bridge is drawn at eight points; between two, the extreme of a bridge has the distribution
    `(a + b + sqrt((b - a)^2 - 2 v ln U)) / 2`.
    """
    a, b = np.log(opens), np.log(closes)
    step = variance / _BRIDGE_STEPS
    high, low = np.maximum(a, b), np.minimum(a, b)
    point = a
    for i in range(_BRIDGE_STEPS):
        left = _BRIDGE_STEPS - i
        mean = point + (b - point) / left
        following = mean + np.sqrt(step * (left - 1) / left) * rng.standard_normal(a.shape) if left > 1 else b
        spread = (following - point) ** 2
        for_high, for_low = rng.exponential(size=(2, *a.shape))
        middle = point + following
        np.maximum(high, (middle + np.sqrt(spread + 2 * step * for_high)) / 2, out=high)
        np.minimum(low, (middle - np.sqrt(spread + 2 * step * for_low)) / 2, out=low)
        point = following
    high, low = np.exp(high), np.exp(low)
    return np.maximum(high, np.maximum(opens, closes)), np.minimum(low, np.minimum(opens, closes))


def _volume(spec: SimulatorSpec, sigma: FloatArray, shock: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return volume [T, A]: log-normal, with memory, rising with the bar's volatility and the size of its shock."""
    noise = _VOLUME_NOISE * rng.standard_normal(sigma.shape)
    for t in range(1, len(noise)):
        noise[t] += _VOLUME_MEMORY * noise[t - 1]
    level = np.log(spec.volume) + rng.normal(0.0, 1.0, sigma.shape[1])
    typical = np.exp(np.log(sigma).mean(axis=0))
    activity = np.log(sigma / typical) + 0.3 * (np.minimum(np.abs(shock), 5.0) - 0.8)
    volume: FloatArray = np.maximum(np.round(np.exp(level + spec.volume_elasticity * activity + noise)), 1.0)
    return volume


class Provider(provider.Provider):
    """The simulator as a source: every symbol of the request comes from one market, drawn once."""

    name = "simulated"
    title = "market simulator"
    seeded = True
    collected = False
    intervals = frozenset({"1d", "1h"})

    def __init__(
        self, spec: DataSpec, asset: AssetSpec, *, seed: int = 0, clock: Callable[[], datetime] = provider.now
    ) -> None:
        super().__init__(spec, asset, clock=clock)
        self._seed = spec.simulator.seed if spec.simulator.seed is not None else seed
        self._market: SimulatedMarket | None = None

    def symbols(self) -> tuple[str, ...]:
        """Return the symbols that the market is made of: the request's, in its order."""
        return self._spec.symbols or self._asset.universe.symbols[: self._asset.universe.max_symbols]

    def market(self) -> SimulatedMarket:
        """Return the whole market, drawn at the first call."""
        if self._market is None:
            simulator, universe = self._spec.simulator, self._asset.universe
            end = min(self._spec.end or simulator.end, simulator.end)
            times = calendars.last_bar_times(universe.calendar, self._spec.interval, simulator.bars, end)
            account = self._asset.account_currency if self._asset.market == "forex" else None
            rng = np.random.default_rng([self._seed, 0x5EED])
            self._market = simulate_market(self.symbols(), simulator, times=times, rng=rng, account=account)
        return self._market

    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> Bars:
        """Return one symbol's simulated bars, which need no judging.

        Raises:
            ProviderError: the symbol is not part of the request, or nothing is simulated in the window.
        """
        market = self.market()
        if symbol not in market.symbols:
            raise ProviderError(self.name, symbol, "is not among the requested symbols", hint="add it to data.symbols")
        runs = f"{market.timestamps[0]:%Y-%m-%d} to {market.timestamps[-1]:%Y-%m-%d}"
        hint = f"the simulation runs from {runs}; see data.simulator.bars and .end"
        table = self.within(symbol, market.table(symbol), start, end, lacks="has no bars between", hint=hint)
        pair = currency.split_pair(symbol) if self._asset.market == "forex" else None
        universe = self._asset.universe
        unit: VolumeUnit = "none" if market.volume is None else "account" if self._asset.market == "crypto" else "units"
        raw = RawBars(
            provider=self.name,
            symbol=symbol,
            interval=interval,
            table=table,
            currency=pair[1] if pair else self._asset.instrument.currencies.get(symbol, universe.currency),
            volume_unit=unit,
            adjusted="splits",
            fetched_at=self._clock(),
        )
        return Bars.from_raw(raw)

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say about this source."""
        simulator = self._spec.simulator
        return (f"SIMULATED DATA: no market ever traded so; parameters calibrated on {simulator.calibrated_on}",)
