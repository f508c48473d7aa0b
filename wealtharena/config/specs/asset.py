"""What is traded: asset class, universe, costs, limits."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from wealtharena.config.specs.base import Day, OneNameAtLeast, Spec, Word

AssetClass = Literal["stocks", "forex", "crypto", "etf", "commodities"]
CASH_BPS: Final = (-10_000.0, 100_000.0)  # a year, least and most
LEAST_BPS: Final = 0.05  # of commission and half spread together; a cent of spread on a share of 1000 is as much
LITTLE: Final = f"commission and half spread are under {LEAST_BPS:g} bps together"
_SERIES: Final = re.compile(r"[A-Z][A-Z0-9]*")
# FRED's rates of money that is lent for a year or less, by its currency; those of OECD name a country: IR3TIB01AUM156N.
_MONEY_RATES: Final = {
    "USD": (
        "DFF", "EFFR", "OBFR", "SOFR", "FEDFUNDS", "TB3MS", "TB4WK", "TB6MS", "TB1YR", "DTB4WK", "DTB3", "DTB6", "DTB1YR",
        "DGS1MO", "DGS3MO", "DGS6MO", "DGS1", "GS1M", "GS3M", "GS6M", "GS1",
    ),
    "EUR": ("ECBDFR", "ECBMRRFR", "ECBESTRVOLWGTTRMDMNRT"),
    "GBP": ("IUDSOIA",),
}  # fmt: skip
_OF_OECD: Final = re.compile(r"(?:IR3TIB01|IRSTCI01|IRSTCB01)([A-Z]{2})[MQA]156N")


class UniverseSpec(Spec):
    """The symbols an agent trades, and when that list was drawn up."""

    name: str = Field(description="of the list, as a choice of universe=")
    symbols: OneNameAtLeast = Field(description="symbols in the platform's own words, such as BHP.AX")
    calendar: str = Field(description="exchange_calendars code (XASX, XNYS, 24/7, CMES, ...) or weekday24 for FX")
    currency: str = Field(
        description="currency that the quotes are in, unless `currencies` says otherwise", min_length=3
    )
    universe_as_of: Day = Field(description="date on which the members were chosen; later winners are survivors")
    max_symbols: int | None = Field(ge=1, description="take only the first so many symbols; null takes all")


class CostSpec(Spec):
    """Trading and holding costs; every rate in basis points."""

    commission_bps: float = Field(ge=0, le=10_000, description="of traded value")
    half_spread_bps: float = Field(ge=0, le=10_000, description="of traded value")
    impact_coefficient: float = Field(ge=0, le=100, description="k of k sigma sqrt(order value / bar dollar volume)")
    borrow_bps_per_year: float = Field(ge=0, le=100_000, description="on the value of short positions")
    margin_bps_per_year: float = Field(ge=0, le=100_000, description="on negative cash")
    cash_bps_per_year: float | str = Field(
        description="earned on positive cash: a number, or a FRED series of a rate in percent a year, such as DFF"
    )
    carry_bps_per_year: float = Field(
        ge=-100_000, le=100_000, description="funding or swap on long value, paid if positive, received by shorts"
    )

    @field_validator("cash_bps_per_year", mode="before")
    @classmethod
    def _rate_or_series(cls, value: Any) -> float | str:
        if isinstance(value, str) and _SERIES.fullmatch(value):
            return value
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not CASH_BPS[0] <= number <= CASH_BPS[1]:
            raise ValueError(
                f"must be between {CASH_BPS[0]:.0f} and {CASH_BPS[1]:.0f}, or name a FRED series such as DFF or TB3MS"
            )
        return number

    @property
    def cash_series(self) -> str | None:
        """Return the series that says what cash earns, None where a number does."""
        return self.cash_bps_per_year if isinstance(self.cash_bps_per_year, str) else None

    @property
    def trades_for_nothing(self) -> bool:
        """Return whether an order costs next to nothing: commission and half spread are under LEAST_BPS together.

        Impact is no cost of a small account, and a broker without a commission leaves the spread.
        """
        return self.commission_bps + self.half_spread_bps < LEAST_BPS

    @property
    def cash_number(self) -> float:
        """Return what cash earns in basis points a year beside what a series says: 0 where one is named."""
        return 0.0 if isinstance(self.cash_bps_per_year, str) else self.cash_bps_per_year


class LimitSpec(Spec):
    """What a portfolio may hold."""

    max_gross: float = Field(gt=0, le=20, description="largest sum of absolute weights")
    max_weight: float = Field(gt=0, le=20, description="largest absolute weight of one symbol")
    long_only: bool = Field(description="no symbol is sold short")
    maintenance_margin: float = Field(
        ge=0, lt=1, description="equity over gross value below which positions are closed; 0 switches it off"
    )
    liquidation_penalty_bps: float = Field(ge=0, le=10_000, description="extra cost of a forced close")
    participation: float = Field(
        gt=0, le=1, description="largest share of a bar's volume that an order takes; 1 with no volume means no limit"
    )
    delisting_haircut: float = Field(
        ge=0, le=1, description="share lost when a delisted position is closed at its last price"
    )
    delisting_bars: int = Field(
        ge=1, description="bars in a row without a price after which a symbol counts as delisted"
    )


class InstrumentSpec(Spec):
    """Contract facts; a symbol that is not named in a mapping uses the default."""

    lot_size: float = Field(ge=0, description="units per lot; 0 trades fractions")
    lot_sizes: dict[str, Annotated[float, Field(ge=0)]] = Field(description="lot size by symbol")
    multipliers: dict[str, Annotated[float, Field(gt=0)]] = Field(
        description="account value of one quote unit for one contract, by symbol; default 1, but of margined commodities, which must be named"
    )
    currencies: dict[str, str] = Field(description="quote currency by symbol where it differs from the universe's")
    margin_futures: bool = Field(
        description="margined contracts (futures, currency pairs): post margin, pay no interest on notional, earn in the quote currency"
    )
    rolls: Literal["none", "unadjusted", "adjusted"] = Field(description="how the series treats contract rolls")

    def lot_of(self, symbol: str) -> float:
        """Return the units of a symbol's lot; 0 trades fractions."""
        return self.lot_sizes.get(symbol, self.lot_size)

    def is_whole(self, symbol: str) -> bool:
        """Return whether a symbol is held in whole units only."""
        lot = self.lot_of(symbol)
        return lot > 0.0 and lot.is_integer()


class AssetSpec(Spec):
    """One asset class: everything that differs between an ASX share and a currency pair."""

    name: str = Field(description="asset class, or the name of a user's own class")
    market: AssetClass = Field(description="the class whose conventions (FX conversion, volume, simulator) apply")
    agent: Word = Field(description="agent id in the registry, such as cryptocurrencies")
    account_currency: str = Field(min_length=3, description="in which equity is counted, by its code, such as USD")
    benchmark: str | None = Field(description="symbol of the class's benchmark index, where there is one")
    risk_free_bps_per_year: float = Field(
        ge=-10_000,
        le=100_000,
        description="hurdle of the measures; never below what cash earns (costs.cash_bps_per_year)",
    )
    chain: OneNameAtLeast = Field(description="real sources in the order that data=auto asks them")
    costs: CostSpec
    limits: LimitSpec
    instrument: InstrumentSpec
    universe: UniverseSpec

    @property
    def raises_hurdle(self) -> bool:
        """Return whether `risk_free_bps_per_year`, and not what cash earns, is the hurdle, of single bars where its rate is dated."""
        named = self.risk_free_bps_per_year
        return bool(named) and (self.costs.cash_series is not None or named > self.costs.cash_number)

    @property
    def risk_free_per_year(self) -> float:
        """Return the hurdle of every measure, a share: what cash earns, or `risk_free_bps_per_year` where that is more.

        Of a dated rate it is `risk_free_bps_per_year` alone, below which the rate of no bar counts, unless it is 0.
        """
        cash, named = self.costs.cash_number, self.risk_free_bps_per_year
        if self.costs.cash_series is not None:
            return named / 1e4
        return (max(cash, named) if named else cash) / 1e4

    @property
    def assumed(self) -> str | None:
        """Return, in words, what positions are paid by a number that no source of bars confirms; None where nothing."""
        carry = self.costs.carry_bps_per_year
        if carry == 0.0 or (carry > 0.0 and self.limits.long_only):
            return self._paid_for_proceeds
        who = "longs" if carry < 0.0 else "shorts"
        return f"All {who} are paid {abs(carry) / 1e4:.2%} a year (asset.costs.carry_bps_per_year)"

    @property
    def _paid_for_proceeds(self) -> str | None:
        """Return, in words, what shorts are paid where their proceeds earn more, by a number, than borrowing takes.

        So do they by a series that is no rate of the account's money, such as a volatility or an index.
        """
        if self.limits.long_only or self.instrument.margin_futures:
            return None
        series, paid = self.costs.cash_series, self.costs.cash_number - self.costs.borrow_bps_per_year
        if series is not None and not _is_rate_of(series, self.account_currency):
            return (
                f"All shorts are paid {series} for what they were sold for (asset.costs.cash_bps_per_year), which is not"
                f" known for a rate of {self.account_currency}, as DFF and TB3MS are of USD and IR3TIB01AUM156N is of AUD"
            )
        if paid <= 0.0:
            return None
        keys = "asset.costs.cash_bps_per_year less borrow_bps_per_year; a dated rate such as DFF is no such number"
        return f"All shorts are paid {paid / 1e4:.2%} a year for what they were sold for ({keys})"


def _is_rate_of(series: str, currency: str) -> bool:
    found = _OF_OECD.fullmatch(series)
    if found is not None:
        return found[1] == ("EZ" if currency == "EUR" else currency[:2])
    return series in _MONEY_RATES.get(currency, ())
