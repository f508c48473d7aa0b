"""Where bars come from and what is done to them."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from wealtharena.config.specs.base import Names, OneNameAtLeast, Spec

Action = Literal["repair", "drop", "warn", "refuse"]
Interval = Literal["1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1mo"]


class MannersSpec(Spec):
    """How a network provider is talked to."""

    base_url: str | None = Field(description="another server; null is the provider's own")
    key_env: str | None = Field(
        description="environment variable that holds the key; the key itself is never configuration"
    )
    requests_per_second: float = Field(gt=0, description="the most that are sent")
    requests_per_run: int = Field(ge=1, description="budget of one run")
    timeout_seconds: float = Field(gt=0, description="longest wait for one answer")
    attempts: int = Field(ge=1, le=20, description="times that a request is sent before it counts as failed")
    backoff_seconds: float = Field(ge=0, description="first wait after a failure; it doubles")
    longest_wait_seconds: float = Field(ge=0, description="a provider that asks for a longer pause is not waited for")
    plan: Literal["free", "paid"] = Field(
        description="what the key is entitled to; a free plan's limits are known beforehand"
    )


class QualitySpec(Spec):
    """What happens on each kind of finding, and the limits that define it."""

    duplicates: Action = Field(description="rows of a symbol with the same stamp")
    end_stamps: Action = Field(description="intraday bars that are stamped by their ends, as the sessions' hours tell")
    off_grid: Action = Field(description="few intraday stamps between those of the other bars: a quote, a day's sum")
    invented_bars: Action = Field(description="bars outside the calendar's sessions that repeat the bar before")
    bad_volume: Action = Field(description="a volume below zero; missing ones, and only zeros, are named")
    bad_dividends: Action = Field(description="cash below zero, or much of a price that did not fall by it")
    outside_sessions: Action = Field(description="bars outside the sessions of the exchange's calendar")
    out_of_order: Action = Field(description="rows whose stamps run backwards")
    ohlc_breaks: Action = Field(description="an open or close outside low to high")
    non_positive: Action = Field(description="a price at or below zero")
    missing_values: Action = Field(description="a bar that lacks a price")
    stale: Action = Field(description="more equal closes in a row than stale_bars says")
    spikes: Action = Field(
        description="a whole bar far off the last good close: beyond spike_sigmas, and by half of it or more"
    )
    splits: Action = Field(description="a step of the size of a split that prices were not adjusted for")
    unit_errors: Action = Field(description="prices 100 times off, such as pence for pounds")
    unfinished_bar: Action = Field(description="a last bar that was not over when it was fetched")
    ticker_reuse: Action = Field(
        description="bars before a gap longer than max_gap_bars, which may be of something else"
    )
    missing_sessions: Action = Field(description="sessions of the exchange's calendar without a bar")
    leaking_bars: Action = Field(description="bars, or a column, that tell a return which can still be traded")
    stale_bars: int = Field(ge=2, description="equal closes in a row beyond which one is stale")
    spike_sigmas: float = Field(gt=0, description="deviation, in trailing robust sigmas, that counts as a spike")
    max_gap_bars: int = Field(ge=1, description="a longer gap than this is ticker reuse or a halt, never filled")
    leak_correlation: float = Field(
        gt=0, lt=1, description="|correlation| of a bar's own shape with the next return that no market allows"
    )
    leak_floor: float = Field(
        gt=0, lt=1, description="|rank correlation| of a number with a tradable return up to which none is named"
    )
    leak_ceiling: float = Field(
        gt=0, lt=1, description="|rank correlation| that is refused where it stands two standard errors above this"
    )


class SimulatorSpec(Spec):
    """Market simulator; class parameters stand in conf/data/simulator/<class>.yaml."""

    bars: int = Field(ge=50, description="length of the simulated history")
    end: date = Field(description="date of the last bar")
    seed: int | None = Field(
        ge=0, description="of the market; null takes the run's, so that every seed of a group sees another market"
    )
    predictability: float = Field(ge=0, lt=1, description="R2 of the planted momentum signal for the next bar's return")
    drift: bool = Field(description="off: every symbol's expected return is zero")
    annual_volatility: tuple[float, float] = Field(description="range over symbols")
    annual_drift: float = Field(description="expected return, the same for every symbol")
    correlation: float = Field(ge=0, lt=1, description="of the returns of any two symbols")
    garch_alpha: float = Field(ge=0, lt=1, description="share of the last bar's squared return in the next variance")
    garch_beta: float = Field(ge=0, lt=1, description="share of the last variance in the next")
    tail_dof: float = Field(gt=2, description="degrees of freedom of the t innovations")
    jump_probability: float = Field(ge=0, lt=1, description="a bar")
    jump_sigmas: float = Field(ge=0, description="size of a jump in sigmas of the bar")
    regime_persistence: float = Field(gt=0, lt=1, description="chance that the turbulent regime lasts another bar")
    regime_volatility_ratio: float = Field(ge=1, description="volatility of the turbulent regime over the calm one's")
    turbulent_share: float = Field(gt=0, lt=1, description="share of time in the turbulent regime")
    overnight_share: float = Field(ge=0, lt=1, description="share of the variance between close and next open")
    start_price: float = Field(gt=0, description="median first price; currencies start at the ECB's latest rates")
    volume: float = Field(ge=0, description="median volume a bar, in dollars for crypto, else in units; 0 makes none")
    volume_elasticity: float = Field(ge=0, description="exponent of volatility in volume")
    calibrated_on: str = Field(description="source and date range of the parameters")


class MacroSpec(Spec):
    """FRED series joined by publication date."""

    series: Names = Field(description="FRED codes, such as DGS10; none: no macro features")
    lag_days: dict[str, Annotated[int, Field(ge=0)]] = Field(
        description="days from the date described to the latest release of it ever, by series, where no vintages are at hand"
    )
    default_lag_days: int | None = Field(ge=0, description="of series without a lag of their own; null refuses them")
    manners: MannersSpec = Field(description="how FRED is talked to")


class DataSpec(Spec):
    """The request: source, interval, dates, and the treatment of what comes back."""

    source: str = Field(description="auto, simulated, or a provider's name")
    path: str | None = Field(min_length=1, description="data=files: a file or folder")
    root: str = Field(min_length=1, description="the local store")
    interval: Interval = Field(
        description="how far apart bars are; files have any of them, other sources 1d and some 1h"
    )
    start: date | None = Field(description="first date that is asked for; null: the earliest")
    end: date | None = Field(description="last date that is asked for; null: the latest")
    provider_symbols: dict[str, str] = Field(
        description="symbol -> the provider's own name, where its rules do not give it"
    )
    symbols: OneNameAtLeast | None = Field(description="instead of the universe's; null takes the universe")
    max_missing_share: float = Field(
        ge=0, le=1, description="symbols of the universe that a source may lack before it is an error"
    )
    volume_unit: Literal["auto", "units", "account", "none"] = Field(
        description="data=files: what volume counts, units (shares, coins) or money; auto goes by what is plausible"
    )
    adjusted: Literal["auto", "none", "splits", "all"] = Field(
        description="data=files: what prices are adjusted for; all contain dividends, which are then never paid again"
    )
    max_repaired_share: float = Field(
        ge=0, le=1, description="rows of a symbol left out or repaired before it is an error, whatever the source"
    )
    store_features: bool = Field(
        description="task=collect: write each symbol's features (features.names) beside its clean bars"
    )
    probe_timeout_seconds: float = Field(
        gt=0, le=5, description="auto: longest wait for a sign that a source can be reached"
    )
    manners: MannersSpec
    rates: MannersSpec = Field(description="how the ECB is asked for reference rates that this installation has not")
    quality: QualitySpec
    simulator: SimulatorSpec
    macro: MacroSpec
