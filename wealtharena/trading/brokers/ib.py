"""Interactive Brokers by TWS or IB Gateway: ASX and US shares, currencies, futures. Never tried live."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field, field_validator

from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.errors import ConfigError
from wealtharena.trading.broker import Broker, Opening

if TYPE_CHECKING:
    from wealtharena.config.specs.experiment import ExperimentSpec

_CALENDARS: Final = ("XASX", "XNYS", "XNAS", "XASE", "ARCX", "BATS")
_FUTURE: Final = re.compile(r"[A-Z0-9]+/[A-Z]+/[A-Z]{3}/\d{6}/\d*\.?\d+")


class Settings(BrokerSpec):
    """Where the gateway listens, and which month of a future is meant."""

    outside = True

    name: Literal["ib"]
    live: bool = Field(description="real money; needs risk.allow_live=true and `account` too")
    account: str | None = Field(description="number that the gateway must report; null takes its first, if it is paper")
    host: str = Field(description="on which TWS or the gateway listens")
    port: int = Field(ge=1, le=65_535, description="TWS: 7497 paper, 7496 live; IB Gateway: 4002 and 4001")
    client_number: int = Field(ge=1, le=999, description="of this connection; orders belong to it")
    timeout_seconds: float = Field(gt=0, le=120, description="of one question")
    futures: Mapping[str, str] = Field(description="by symbol: symbol/exchange/currency/month/multiplier")

    @field_validator("futures")
    @classmethod
    def _is_whole(cls, futures: Mapping[str, str]) -> Mapping[str, str]:
        taken: dict[tuple[object, ...], str] = {}
        for name, line in futures.items():
            if not _FUTURE.fullmatch(line):
                raise ValueError(f"not like GC/COMEX/USD/202606/100: {line}")
            symbol, _, currency, month, size = line.split("/")
            contract = (symbol, currency, month, float(size))  # a position names no exchange
            if taken.setdefault(contract, name) != name:
                raise ValueError(f"one contract is both {taken[contract]} and {name}: {line}")
        return futures

    @property
    def money(self) -> str:
        return "REAL MONEY at Interactive Brokers" if self.live else "paper money at Interactive Brokers"


def why_not(spec: ExperimentSpec) -> str | None:
    """Return what Interactive Brokers lacks for this asset here; None where it can be traded."""
    asset, broker = spec.asset, spec.broker
    symbols = spec.data.symbols or asset.universe.symbols
    shares = asset.market in ("stocks", "etf")
    if asset.market == "crypto":
        return "trades no coins here"
    if shares and asset.universe.calendar not in _CALENDARS:
        return f"knows the shares of Australia and the United States, not {asset.universe.calendar}"
    if not shares and spec.env.fill == "next_close":
        return "fills currencies and futures at once, env.fill=next_close"
    if asset.market == "commodities" and isinstance(broker, Settings):
        open_ones = [name for name in symbols if name not in broker.futures]
        if open_ones:
            return f"has to be told which month of {open_ones[0]} is meant, in broker.futures"
    parts = [name for name in symbols if not asset.instrument.is_whole(name)]
    if parts and asset.market != "forex":
        return f"takes no parts of a share or a contract, of {parts[0]}: set asset.instrument.lot_size=1"
    return None


def open_broker(opening: Opening) -> Broker:
    """Return the account behind the gateway, once that has said which it is."""
    settings = opening.spec
    assert isinstance(settings, Settings)
    try:
        import ib_async  # noqa: F401 - only whether it is there
    except ModuleNotFoundError as error:
        raise ConfigError(f"broker=ib needs {error.name}", hint="pip install 'wealtharena[ib]'") from error
    from wealtharena.trading.ib.account import IbBroker

    return IbBroker(opening, settings)
