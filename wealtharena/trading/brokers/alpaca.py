"""Alpaca: US shares, funds and coins in dollars. Paper money, unless three locks are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from wealtharena.config.specs.broker import BrokerSpec
from wealtharena.errors import ConfigError
from wealtharena.trading.broker import Broker, Opening
from wealtharena.trading.locks import read_keys

if TYPE_CHECKING:
    from wealtharena.config.specs.experiment import ExperimentSpec

_CALENDARS: Final = ("XNYS", "XNAS", "XASE", "ARCX", "BATS")
_LETTERS: Final = 80  # of agent, account and symbol in a client id of 128; the rest is epoch, bar, leg and attempt
_PAPER: Final = ("https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets/stream")
_LIVE: Final = ("https://api.alpaca.markets", "wss://api.alpaca.markets/stream")


class Settings(BrokerSpec):
    """How Alpaca is talked to."""

    outside = True

    name: Literal["alpaca"]
    live: bool = Field(description="real money; needs risk.allow_live=true and `account` too")
    account: str | None = Field(description="number that the server must report; null takes any paper account")
    keys_file: str | None = Field(description="lines NAME=VALUE or JSON; null reads the environment")
    url: str | None = Field(description="of the trading interface; null takes Alpaca's own")
    stream_url: str | None = Field(
        description="of its trade updates; null takes Alpaca's own, or none where `url` is set"
    )
    timeout_seconds: float = Field(gt=0, le=120, description="of one request")
    attempts: int = Field(ge=1, le=10, description="of a question; an order is sent once")
    backoff_seconds: float = Field(ge=0, le=60, description="before the second attempt, doubled from then on")
    coin_fee: float = Field(ge=0, lt=0.05, description="largest share of a coin bought that is kept as its fee")
    least_coin_order: float = Field(
        ge=0, description="dollars; a purchase of coins worth less is refused there, and not sent"
    )
    least_share_order: float = Field(ge=0, description="dollars; the same of what opens a position in shares")

    @property
    def endpoint(self) -> str:
        url = self.url or (_LIVE if self.live else _PAPER)[0]
        return url.rstrip("/").removesuffix("/v2")  # as Alpaca's page shows it; which version is spoken is ours to say

    @property
    def stream_endpoint(self) -> str | None:
        own = (_LIVE if self.live else _PAPER)[1]
        return self.stream_url or (own if self.url is None else None)  # keys go to no host that was not meant

    @property
    def money(self) -> str:
        return "REAL MONEY at Alpaca" if self.live else "paper money at Alpaca"


def why_not(spec: ExperimentSpec) -> str | None:
    """Return what Alpaca lacks for this asset; None where it can be traded there."""
    asset = spec.asset
    symbols = spec.data.symbols or asset.universe.symbols
    if len(asset.agent) + len(spec.paper.account) + max(map(len, symbols)) > _LETTERS:
        return f"takes ids of 128 letters, and paper.account={spec.paper.account} makes longer ones"
    if asset.market not in ("stocks", "etf", "crypto"):
        return f"does not trade asset={asset.name}"
    if asset.account_currency != "USD":
        return f"keeps accounts in USD, asset.account_currency={asset.account_currency}"
    if asset.market == "crypto":
        foreign = [name for name in symbols if not name.endswith("-USD")]
        if foreign:
            return f"trades coins against dollars, not {foreign[0]}"
        if not spec.env.limits.long_only:
            return "sells no coins short, asset.limits.long_only=false"
        return "fills coins at once, env.fill=next_close" if spec.env.fill == "next_close" else None
    if asset.universe.calendar not in _CALENDARS:
        return f"trades shares of the United States, not of {asset.universe.calendar}"
    foreign = [name for name in symbols if any(mark in name for mark in ".=^/")]
    if foreign:
        return f"trades shares of the United States, not {foreign[0]}"
    parts = [] if spec.env.limits.long_only else [name for name in symbols if not asset.instrument.is_whole(name)]
    return f"sells no parts of a share short, of {parts[0]}: set asset.instrument.lot_size=1" if parts else None


def open_broker(opening: Opening) -> Broker:
    """Return the account that the keys belong to, once the server has said which it is."""
    settings = opening.spec
    assert isinstance(settings, Settings)
    try:
        from wealtharena.trading.alpaca.account import AlpacaBroker
    except ModuleNotFoundError as error:
        raise ConfigError(f"broker=alpaca needs {error.name}", hint="pip install 'wealtharena[alpaca]'") from error
    kind = "LIVE" if settings.live else "PAPER"
    keys = read_keys((f"ALPACA_{kind}_KEY_ID", f"ALPACA_{kind}_SECRET_KEY"), settings.keys_file)
    return AlpacaBroker(opening, settings, keys)
