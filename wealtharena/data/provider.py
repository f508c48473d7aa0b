"""The contract between a source of bars and those who ask it, and how a source is found by its name."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from wealtharena.config import plugins
from wealtharena.config.specs.asset import AssetSpec
from wealtharena.config.specs.data import DataSpec
from wealtharena.config.spelling import as_key
from wealtharena.config.suggest import did_you_mean
from wealtharena.data.bars import Adjustment, Bars, RawBars, VolumeUnit, unlike_raw, window_mask
from wealtharena.data.reading.identifiers import canonical_symbol
from wealtharena.errors import ConfigError, ProviderError

if TYPE_CHECKING:
    import pandas as pd

ROOM = "data.providers"
_BESIDE = "it has series to look at and nothing to trade: name them in data.macro.series"


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class Provider(ABC):
    """One source of bars: class `Provider` of wealtharena/data/providers/<name>.py, chosen by conf/data/<name>.yaml.

    What an implementer must hold:

    - `name` is the file's name. Everything that differs between sources and that somebody else must know is said by the
      attributes below: no code outside the file names the source.
    - The constructor asks nothing of the network and reads no large file; the first `fetch` may.
    - `fetch` returns what the source said, nothing repaired, dropped or filled in, from `start` to `end`, both included
      (None: as far as there is), without a bar that was not over when it was asked.
    - A failure is a `ProviderError` with symbol, cause and a way out: `UnknownSymbolError` where the source does not
      carry the symbol, `RefusalError` where no other symbol would fare better, `BusyError` where a later try can help.
      No message carries a key or a personal path.
    - A source that is asked over the network sets `host` and asks through `Manners`, made of the request's own.

    What the caller may assume, and holds in return: `fetch` is asked for markets and intervals that the class names,
    one symbol at a time, by no two threads at once, in any order and repeatedly; `notes` is read after the last fetch.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """What a report calls the source."""
    host: ClassVar[str | None] = None
    """URL at which data=auto looks whether the source can be reached; None: it needs no network."""
    seeded: ClassVar[bool] = False
    """Its prices are drawn with the run's seed, passed as `seed=`; everything made of them is stamped SIMULATED."""
    opens: ClassVar[bool] = True
    """Its bars have opens; where they do not, orders fill at the next close."""
    collected: ClassVar[bool] = True
    """task=collect may fill the store from it; `fetch` then returns RawBars."""
    intervals: ClassVar[frozenset[str] | None] = frozenset({"1d"})
    """Bar lengths that it serves; None: whatever its own bars are."""
    markets: ClassVar[frozenset[str] | None] = None
    """Values of `asset.market` that it carries; None: any; empty: nothing that can be traded."""
    ends_with_date: ClassVar[Mapping[str, str]] = {}
    """Calendars of which it tells a daily bar only once its date is over, and in which zone: long after the session."""
    caveats: ClassVar[tuple[str, ...]] = ()
    """What a report on its bars must say, wherever they have lain since they were fetched."""

    def __init__(self, spec: DataSpec, asset: AssetSpec, *, clock: Callable[[], datetime] = now) -> None:
        self._spec = spec
        self._asset = asset
        self._clock = clock

    @abstractmethod
    def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars | Bars:
        """Return the symbol's bars from `start` to `end`, both included; None asks for all there is.

        RawBars are judged by the quality room; Bars are those that have been, or that need no judging.

        Raises:
            ProviderError: the source refused, failed, does not know the symbol or has no rows in the window.
        """

    def check_named(self, symbol: str, asked: str, told: object) -> None:
        """Raise ProviderError where an answer names another instrument than the one that was asked for.

        An answer that names none is taken. Case, punctuation and a source's second name of a currency pair are no difference.
        """
        if not isinstance(told, str) or not told.strip():
            return
        if _plain(told, self._asset.market) != _plain(asked, self._asset.market):
            sent = " ".join(told.split())[:40]
            key = f"'+data.provider_symbols={{{as_key(symbol)}: {as_key(sent)}}}'"
            raise ProviderError(
                self.name,
                symbol,
                f"was asked for {asked} and sent {sent}",
                hint=f"if that is what it is called there now, say so: {key}; else run it again later",
            )

    def within(
        self, symbol: str, table: pd.DataFrame, start: date | None, end: date | None, *, lacks: str, hint: str
    ) -> pd.DataFrame:
        """Return the rows of a table whose `timestamp` lies from `start` to `end`, both included, None being open.

        Raises:
            ProviderError: there are none: what it `lacks`, in words with `between` behind them, and what to do.
        """
        kept = table[window_mask(table["timestamp"], start, end)].reset_index(drop=True)
        if kept.empty:
            cause = f"{lacks} {start or 'the first'} and {end or 'the last'}"
            raise ProviderError(self.name, symbol, cause, hint=hint)
        return kept

    def renew(self) -> str:
        """Bring up to date what the source has on this machine, before it is collected; return in words what hindered it."""
        return ""

    @property
    def form(self) -> str:
        """What else than symbol, dates and interval its numbers depend on; the store joins no bars of two forms."""
        return ""

    def symbols(self) -> tuple[str, ...] | None:
        """Return the symbols that the source has; None where it cannot tell, and the universe is asked for as it is."""
        return None

    def notes(self) -> tuple[str, ...]:
        """Return what a report must say about these bars: the caveats, and what only this run knows."""
        return self.caveats

    @classmethod
    def serves(cls, market: str, interval: str) -> bool:
        """Return whether the source has bars of this length for the market."""
        return (cls.markets is None or market in cls.markets) and (cls.intervals is None or interval in cls.intervals)


class BusyError(ProviderError):
    """The provider did not answer, or asked to come back later; trying again can help."""

    def __init__(
        self, provider: str, symbol: str, cause: str, *, hint: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(provider, symbol, cause, hint=hint)
        self.retry_after = retry_after


class UnreachableError(BusyError):
    """No connection came about at all, as without a network."""


class RefusalError(ProviderError):
    """The provider refuses this run as a whole (bad key, daily limit, budget spent); no other symbol will do better."""


class UnknownSymbolError(ProviderError):
    """The provider does not carry the symbol; another one may."""


def _plain(name: str, market: str) -> str:
    return re.sub(r"\W", "", canonical_symbol(name, market).upper())


def names() -> tuple[str, ...]:
    """Return the names of all sources, sorted."""
    return plugins.available(ROOM)


def find(name: str, *, key: str = "data.source") -> type[Provider]:
    """Return the class of the source of that name; `key` is where the name was written.

    Raises:
        ConfigError: there is no such source.
    """
    if name not in names():
        raise ConfigError(f"{key}={name} is not a known source", hint=did_you_mean(name, names()))
    found = plugins.subclass(ROOM, name, "Provider", Provider)  # type: ignore[type-abstract]  # a class, not made here
    if found.name != name:  # its bars would be called, and kept as, another's
        raise plugins.misused(ROOM, name, f"its Provider calls itself {found.name!r}: name is to be {name!r}")
    if not isinstance(getattr(found, "title", None), str):
        raise plugins.misused(ROOM, name, "its Provider has no title, which reports call it by")
    if not are_texts(found.caveats):
        told = (
            f"the caveats of its Provider are {found.caveats!r}, and no tuple of texts, such as ('it runs too well',)"
        )
        raise plugins.misused(ROOM, name, told)
    for said, choice in (("intervals", "1d"), ("markets", "crypto")):
        served = getattr(found, said)
        if not (served is None or are_texts(list(served) if isinstance(served, set | frozenset) else served)):
            told = f"the {said} of its Provider are {served!r}, and no set of texts, such as frozenset({{{choice!r}}})"
            raise plugins.misused(ROOM, name, told)
    if lacking := sorted(found.__abstractmethods__):
        raise plugins.misused(ROOM, name, f"its Provider has no {lacking[0]}()")
    if not plugins.takes(found.fetch, ["self", "symbol", "start", "end", "interval"]):
        raise plugins.misused(ROOM, name, "fetch cannot be called as fetch(symbol, start, end, interval)")
    return found


def fetched(origin: Provider, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars | Bars:
    """Return what the source has of a symbol, as `Provider.fetch`; a WealthArenaError where its answer is none of bars."""
    answer = origin.fetch(symbol, start, end, interval)
    if not isinstance(answer, RawBars | Bars):
        raise plugins.misused(ROOM, origin.name, f"fetch returned a {type(answer).__name__}, no RawBars")
    if isinstance(answer, RawBars) and (told := unlike_raw(answer.table)):
        raise plugins.misused(ROOM, origin.name, f"fetch({symbol!r}): {told}; make it with raw_table()")
    if plugins.of_package(ROOM, origin.name) and (told := _unlike(answer, origin, symbol, start, end)):
        raise plugins.misused(ROOM, origin.name, f"fetch({symbol!r}): {told}")
    return answer


def noted(origin: Provider) -> tuple[str, ...]:
    """Return `Provider.notes`; WealthArenaError where they are no texts: of one text alone each letter would be a note."""
    found: Any = origin.notes()  # of a package it may be anything
    if not are_texts(found):
        raise plugins.misused(ROOM, origin.name, f"notes returned {found!r}, and no tuple of texts")
    return tuple(found)


def are_texts(found: object) -> bool:
    """Return whether what a source names is a tuple or a list of texts."""
    return isinstance(found, tuple | list) and all(isinstance(one, str) for one in found)


def _unlike(answer: RawBars | Bars, origin: Provider, symbol: str, start: date | None, end: date | None) -> str:
    """Return what bars are not that were asked for, in words; "" where they are. Within a day a session may begin on the date before."""
    for name, wanted in (("provider", origin.name), ("symbol", symbol)):
        if getattr(answer, name) != wanted:
            return f"its {name} is {getattr(answer, name)!r}, and {wanted!r} was asked for"
    if not (isinstance(answer.currency, str) and answer.currency and answer.currency == answer.currency.upper()):
        return f"its currency is {answer.currency!r}, and no code such as 'USD'"
    for name, choices in (("volume_unit", get_args(VolumeUnit)), ("adjusted", get_args(Adjustment))):
        if isinstance(answer, RawBars) and getattr(answer, name) not in choices:
            return f"its {name} is {getattr(answer, name)!r}, and none of {', '.join(choices)}"
    if not (isinstance(answer.fetched_at, datetime) and answer.fetched_at.tzinfo):
        return f"its fetched_at is {answer.fetched_at!r}, and no time with a zone, such as self._clock()"
    day, stamps = timedelta(days=1), answer.table["timestamp"]
    if stamps.isna().any():
        return f"its row {int(stamps.isna().to_numpy().argmax()) + 1} has no timestamp"
    if not answer.interval.endswith(("m", "h")) and (times := stamps[stamps != stamps.dt.normalize()]).size:
        return (
            f"a bar of {answer.interval} is stamped {times.iloc[0]:%Y-%m-%d %H:%M}, and not at 00:00 of its trade date"
        )
    if not window_mask(stamps, start and start - day, end and end + day).all():
        shown = f"{stamps.min():%Y-%m-%d} to {stamps.max():%Y-%m-%d}"
        return f"its bars are of {shown}, and {start or 'the first'} to {end or 'the last'} was asked for; cut them by window_mask()"
    return ""


def found(name: str) -> type[Provider] | None:
    """Return the class of a source that a file names, which may be of another installation; None where unknown."""
    return find(name) if name in names() else None


def with_manners(source: type[Provider], data: DataSpec) -> DataSpec:
    """Return the request with the source's own manners where data=auto chose it; what was asked for otherwise stays.

    What was asked for is told by its value: one that is none of data=auto's own.
    """
    if data.source == source.name or source.host is None:
        return data
    from wealtharena.config import compose

    usual, own = (compose([f"data={name}"]).data.manners for name in ("auto", source.name))
    asked = {key: value for key, value in data.manners if value != getattr(usual, key)}
    return data.model_copy(update={"manners": own.model_copy(update=asked)})


def serving(asset: AssetSpec, interval: str) -> tuple[str, ...]:
    """Return the sources of the asset's chain that serve it at this interval, in their order.

    Raises:
        ConfigError: there is none, or the chain names an unknown source.
    """
    fit = tuple(name for name in asset.chain if find(name, key="asset.chain").serves(asset.market, interval))
    if not fit:
        named = f"none of asset.chain ({', '.join(asset.chain)}) has {interval} bars of {asset.market}"
        raise ConfigError(named, hint=_others(asset.market, interval))
    return fit


def check_serves(provider: type[Provider], market: str, interval: str) -> None:
    """Raise ConfigError where the source, named on purpose, has nothing of what is asked for."""
    if provider.serves(market, interval):
        return
    if provider.markets is not None and market not in provider.markets:
        told = f"data={provider.name} has no {market}"
        hint = f"it has {' and '.join(sorted(provider.markets))}" if provider.markets else _BESIDE
    else:
        told = f"data={provider.name} has no bars of {interval}"
        hint = f"set data.interval={' or '.join(sorted(provider.intervals or ()))}"
    raise ConfigError(told, hint=f"{hint}, or {_others(market, interval)}")


def _others(market: str, interval: str) -> str:
    return f"take data={', '.join(name for name in names() if find(name).serves(market, interval))}"
