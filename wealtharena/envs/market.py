"""A market in the kernel's own form: contiguous arrays in account currency and scaled features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.env import EnvSpec
from wealtharena.data.panel import Panel, ReadOnly, mid_price, rate_of
from wealtharena.envs.anchors import anchored, beside
from wealtharena.envs.kernel.rows import BAR, BAR_ROWS, FIELDS, RECORD, Float32, Float64, Int64
from wealtharena.envs.observation import ObservationLayout
from wealtharena.envs.quotes import carry_forward, cash_dividends, trailing_sigma, unit_income
from wealtharena.envs.tiles import line_up
from wealtharena.errors import MarketError, require_kind
from wealtharena.features.panel import FeaturePanel, Scaler

Array = TypeVar("Array", bound="npt.NDArray[Any]")

SECONDS_A_YEAR = 365.25 * 86_400
QUARTER: Final = np.timedelta64(91, "D")  # holidays of shorter windows tell nothing
ANOTHER_RATE: Final = 0.2  # log of what bars a year differ by that no holidays make
_STRIDE: Final = 2  # of `copies`: from a symbol's features to the next one's


@dataclass(frozen=True, eq=False)
class Market(ReadOnly):
    """Bars, features and rules of observation, frozen and ready for the kernel; built once, shared by every face.

    T bars are the rows of the FeaturePanel that it was built from. Nothing in row t comes from a later bar.
    """

    timestamps: npt.NDArray[np.datetime64]  # [T]
    bars: Float64  # [T, BAR_ROWS, A], account currency
    worth: Float64  # [T, A] what 1 of a symbol's quote is in the account's currency, multiplier included
    dividends: Float64  # [T, A] cash a unit, account currency; part of the bars' income
    years: Float64  # [T] years since the bar before, 0 for the first
    rates: Float64  # [T] a year: what cash earned since the bar before where its rate is dated; else 0
    features: Float32  # scaled, flat; [T, A, F] where the window is 1, else [A, T, F]
    copies: Int64  # [5] how an observation is copied from `features`; see kernel.observe
    layout: ObservationLayout
    fill: Literal["next_open", "next_close"]
    clip: float  # bound of the scaled features
    bars_per_year: float
    delisting: bool  # whether any symbol is struck off within these bars

    @property
    def symbols(self) -> tuple[str, ...]:
        return self.layout.symbols

    @property
    def length(self) -> int:
        """Return T."""
        return len(self.timestamps)

    @property
    def prices(self) -> Float64:
        """Return mark prices [T, A] in account currency (a view)."""
        return self.bars[:, BAR.mark, :]

    def bars_a_year(self, window: slice) -> float:
        """Return the bars a year of the bars `window`: those of all bars, unless a quarter and more shows clearly others.

        So it does where an exchange joins whose hours are not those of the others, late in a record.
        """
        own = self.timestamps[window]
        rate = rate_of(own) if len(own) and own[-1] - own[0] >= QUARTER else self.bars_per_year
        return rate if abs(np.log(rate / self.bars_per_year)) > ANOTHER_RATE else self.bars_per_year

    def cash_rates(self, window: slice) -> Float64 | None:
        """Return the dated rate of each step within the bars `window`; None where cash earns a number of the spec."""
        rates = self.rates[window][1:]
        return rates if rates.any() else None

    @cached_property
    def records(self) -> Float64:
        """Return what every step needs of every symbol, flat [(T - 1) * A * FIELDS], the step from bar 0 first."""
        columns = [self.bars[at : at + self.length - 1, row] for row, at in RECORD]
        return _frozen(line_up(np.stack(columns, axis=-1).reshape(-1)))

    def part(self, first: int, stop: int) -> Market:
        """Return the market of the bars from `first` up to `stop`, none later: what its close shows, without computing it anew.

        What a row owes to bars before it (volatility, a price that is carried on) it keeps.
        """
        assets, count, window = len(self.symbols), len(self.layout.feature_names), self.layout.window
        if window == 1:
            flat, copies = self.features[first * assets * count : stop * assets * count], self.copies
        else:
            flat = self.features.reshape(assets, self.length, count)[:, first:stop].reshape(-1)
            copies = self.copies.copy()
            copies[_STRIDE] = (stop - first) * count
        bars = self.bars[first:stop]
        made = replace(
            self,
            timestamps=self.timestamps[first:stop],
            bars=bars,
            worth=self.worth[first:stop],
            dividends=self.dividends[first:stop],
            years=self.years[first:stop],
            rates=self.rates[first:stop],
            features=flat,
            copies=_frozen(copies),
            delisting=self.delisting and bool(bars[:, BAR.delisted].any()),
        )
        size = assets * FIELDS
        made.__dict__["records"] = self.records[first * size : (stop - 1) * size]
        return made

    @classmethod
    def build(cls, features: FeaturePanel, spec: EnvSpec, scaler: Scaler) -> Market:
        """Return the market of these bars under the spec's fill, window and contract rules.

        Costs, limits, reward and episode rules are not part of it: one market serves every EnvSpec that agrees on
        `fill`, `window`, `instrument.margin_futures`, `limits.delisting_bars` and a series in `costs.cash_bps_per_year`.
        Where actions are tilts, what they are measured from stands beside the features, and the specs must agree on
        `tilt` too.
        Raises MarketError where the panel is empty, has fewer bars than the window + 1, has no opens for
        `fill=next_open` or no rates of the series, or where the scaler was fitted on other features.
        """
        for name, given, kind in (
            ("features", features, FeaturePanel),
            ("spec", spec, EnvSpec),
            ("scaler", scaler, Scaler),
        ):
            require_kind(name, given, kind, hint=f"pass a {kind.__name__}: Market.build(features, spec, scaler)")
        panel, tilt = features.panel, spec.tilt
        if tilt is not None:
            features, scaler = anchored(features, tilt), beside(scaler)
        if scaler.names != features.names:
            raise MarketError(
                f"the scaler knows {len(scaler.names)} features {scaler.names[:3]}..., the panel has {features.names[:3]}...",
                hint="fit the scaler on this feature panel",
            )
        if panel.bars < spec.window + 1:
            raise MarketError(
                f"{panel.bars} bars are too few for env.window={spec.window}",
                hint=f"give at least {spec.window + 1} bars or a smaller env.window",
            )
        fill = resolve_fill(spec.fill, panel)
        margined, delisting_bars = spec.instrument.margin_futures, spec.limits.delisting_bars
        bars = np.concatenate(
            [market_bars(one, fill, margined=margined, delisting_bars=delisting_bars) for one in panel.stretches()]
        )
        flat, copies = _lay_out(scaler.transform(features.values), spec.window)
        step = np.diff(panel.timestamps).astype("timedelta64[ns]").astype(np.float64) / 1e9 / SECONDS_A_YEAR
        return cls(
            timestamps=panel.timestamps,
            bars=_frozen(bars),
            worth=_frozen(panel.multipliers * panel.to_account),
            dividends=_frozen(cash_dividends(panel)),
            years=_frozen(np.concatenate([[0.0], step])),
            rates=_frozen(_dated_rates(panel, spec.costs.cash_series)),
            features=_frozen(line_up(flat)),
            copies=_frozen(copies),
            layout=ObservationLayout(panel.symbols, features.names, spec.window, tilt),
            fill=fill,
            clip=scaler.clip,
            bars_per_year=panel.bars_per_year,
            delisting=bool(bars[:, BAR.delisted].any()),
        )


def resolve_fill(fill: str, panel: Panel) -> Literal["next_open", "next_close"]:
    """Return what `fill` means for this panel: `auto` takes opens where there are any."""
    if fill == "next_open" and panel.open is None:
        raise MarketError(
            "env.fill=next_open needs opens, and this source has closes only", hint="try env.fill=next_close"
        )
    if fill == "next_open" or (fill == "auto" and panel.open is not None):
        return "next_open"
    return "next_close"


def _dated_rates(panel: Panel, series: str | None) -> Float64:
    """Return what cash earned a year since the bar before, [T]: the rate that was known at that bar's close."""
    if series is None:
        return np.zeros(panel.bars)
    if panel.cash is None:
        raise MarketError(
            f"asset.costs.cash_bps_per_year={series} is a dated rate, and these bars carry none",
            hint="load them through wealtharena.data, or name a number",
        )
    return np.concatenate([[0.0], panel.cash[:-1]])


def market_bars(panel: Panel, fill: str, *, margined: bool, delisting_bars: int) -> Float64:
    """Return `bars` [T, BAR_ROWS, A] in account currency, `p = quote * multiplier * to_account`.

    Row t uses bars up to t only. A margined contract (futures, currency pair) earns in its quote currency: the part
    of a move of p that comes from the conversion alone, p_{t-1} (to_account_t / to_account_{t-1} - 1), is taken back
    as income, so that a unit earns (quote_t - quote_{t-1}) * multiplier * to_account_t.
    """
    bars_count, assets = panel.close.shape
    quote = carry_forward(np.where(np.isfinite(panel.close), panel.close, np.nan))
    listed = np.isfinite(quote)
    convert = panel.multipliers * panel.to_account
    mark = np.where(listed, quote, 0.0) * convert
    bars = np.zeros((bars_count, BAR_ROWS, assets))
    bars[:, BAR.mark] = mark
    gap = bars_without_price(np.isfinite(panel.close))
    positive = (mark > 0) & (gap < delisting_bars)
    bars[:, BAR.inverse] = np.where(positive, 1.0 / np.where(positive, mark, 1.0), 0.0)
    price = (panel.close if fill == "next_close" or panel.open is None else panel.open) * convert
    # The close marks the position, so a bar that lacks it fills nothing either.
    good = panel.tradable & np.isfinite(panel.close) & np.isfinite(price) & (np.nan_to_num(price) > 0)
    bars[:, BAR.fill] = np.where(good, np.nan_to_num(price), 0.0)
    volume = dollar_volume(panel, convert)
    sigma = trailing_sigma(quote)
    root = np.sqrt(np.where(np.isfinite(volume), volume, 1.0))
    thin = np.where(np.isfinite(volume), 1.0 / root, 0.0)
    bars[:, BAR.sizing_impact] = sigma * thin
    bars[1:, BAR.fill_impact] = sigma[:-1] * thin[1:]
    bars[:, BAR.volume] = np.where(good, unit_volume(panel, convert), np.inf)
    bars[:, BAR.income] = unit_income(panel, mark, margined=margined)
    bars[:, BAR.delisted] = listed & (gap == delisting_bars)
    return bars


def dollar_volume(panel: Panel, convert: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the value traded in each bar, account currency; infinite where the source does not say."""
    if panel.volume is None or panel.volume_unit == "none":
        return np.full(panel.close.shape, np.inf)
    value = panel.volume if panel.volume_unit == "account" else panel.volume * np.abs(panel.close * convert)
    return _told(value)


def unit_volume(panel: Panel, convert: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return how many units were traded in each bar; infinite where the source does not say.

    Money is brought to units at the middle of the bar's open and close, near what a unit cost on average: at the open
    alone an order there would be allowed more of a bar that rises.
    """
    if panel.volume is None or panel.volume_unit == "none":
        return np.full(panel.close.shape, np.inf)
    price = 1.0 if panel.volume_unit == "units" else np.abs(mid_price(panel.open, panel.close) * convert)
    with np.errstate(divide="ignore", invalid="ignore"):
        units = panel.volume / price
    return _told(units)


def _told(volume: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return a volume where there is one, and infinity elsewhere: nobody says how much was traded."""
    return np.where(np.isfinite(volume) & (volume > 0), volume, np.inf)


def bars_without_price(present: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return how many bars up to and including t have gone by since a symbol's last price, [T, A]; 0 where it has one.

    A symbol counts as struck off at the bar where this reaches `delisting_bars`: known then, without looking ahead. One
    that is priced again later can be bought again.
    """
    rows = np.arange(len(present))[:, None]
    last = np.maximum.accumulate(np.where(present, rows, -1), axis=0)
    return np.asarray(rows - last, dtype=np.int64)


def _lay_out(scaled: Float32, window: int) -> tuple[Float32, Int64]:
    """Return the features flat, and the five numbers by which `kernel.observe` copies them."""
    bars, assets, count = scaled.shape
    if window == 1:
        copies = (1, assets * count, 0, assets * count, 1)
        flat = np.ascontiguousarray(scaled).reshape(-1)
    else:
        copies = (assets, window * count, bars * count, count, window)
        flat = np.ascontiguousarray(scaled.transpose(1, 0, 2)).reshape(-1)
    return flat, np.array(copies, dtype=np.int64)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
