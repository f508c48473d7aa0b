"""Bars as they come: each session of the venue once, from the asset's own sources, final or not at all."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.data import calendars, cash, loading, macro, provider
from wealtharena.data.align import align
from wealtharena.data.bars import Bars
from wealtharena.data.provider import Provider
from wealtharena.data.quality import calendar_of
from wealtharena.envs.market import Market
from wealtharena.errors import ConfigError, DataError, MarketError, ProviderError
from wealtharena.features.panel import Scaler
from wealtharena.trading import errand
from wealtharena.trading.clock import SLICE_SECONDS, Due, Session, after_bar, comes_live, each_session
from wealtharena.trading.database import FullError
from wealtharena.trading.desk import Close, depth_of
from wealtharena.trading.feeds import asking, conversion
from wealtharena.trading.feeds.asking import Outcome
from wealtharena.trading.feeds.history import computed, least_bars
from wealtharena.trading.feeds.seen import Row, SeenBars, complete, row_at, row_of, same
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import Decision

logger = logging.getLogger(__name__)
_LATE: Final = frozenset({("yahoo", "forex")})  # its pairs close where the day opens, docs/collect.md says more
_SEEN_ONCE: Final = "seen once"  # and not yet a second time
_HOURS_PATIENCE: Final = dt.timedelta(minutes=15)  # at most, with bars of an hour: a later decision is one of the next
_MOST_DOUBLINGS: Final = 4  # of the time between looks for a bar that does not come
Told = Callable[[str, Intervention], None]


def sources_of(spec: ExperimentSpec, now: Callable[[], dt.datetime]) -> list[Provider]:
    """Return the sources that are asked, in their order: `data.source`, or those of the asset's chain that are live.

    Raises:
        ConfigError: none of them has a bar of today, or bars of this interval.
    """
    asset, data = spec.asset, spec.data
    if data.interval not in ("1d", "1h"):
        raise ConfigError(f"paper.feed=live has bars of 1d and 1h, not of {data.interval}", hint="set data.interval=1d")
    if not comes_live(data.interval, asset.universe.calendar):
        raise ConfigError(
            f"paper.feed=live has bars of 1h where trading never stops, not of {asset.name}: sources begin the hours of a "
            "session at its opening or on the full hour, and a bar that is not over might be traded on",
            hint="set data.interval=1d, or paper.feed=replay",
        )
    names = provider.serving(asset, data.interval) if data.source == "auto" else (data.source,)
    kinds = [provider.find(name) for name in names]
    for kind in kinds:
        provider.check_serves(kind, asset.market, data.interval)
    live = [kind for kind in kinds if _tells_today(kind, asset.market)]
    if not live:
        others = [kind for name in provider.names() if _tells_today(kind := provider.find(name), asset.market)]
        able = ", ".join(f"data={kind.name}" for kind in others if kind.serves(asset.market, data.interval))
        raise ConfigError(
            f"paper.feed=live: {', '.join(names)} has no bar of today that can be traded on, of {asset.name}",
            hint=f"name a source that has: {able}, or paper.feed=replay",
        )
    return [kind(provider.with_manners(kind, data), asset, clock=now) for kind in live]


def fill_of(spec: ExperimentSpec, source: Provider) -> Literal["next_open", "next_close"]:
    """Return the fill that `auto` stands for at live bars: the next open where the source that is asked first has opens."""
    if spec.env.fill == "auto":
        return "next_open" if source.opens else "next_close"
    return spec.env.fill


def _tells_today(kind: type[Provider], market: str) -> bool:
    """Return whether a source has a session's bar once it is over: it is asked over the network, and the bar is what it says."""
    return kind.host is not None and (kind.name, market) not in _LATE


@dataclass
class _Look:
    """What is known of one session's bars while they are waited for."""

    waiting: dict[str, str]  # symbol -> why its bar is not final yet
    rows: dict[str, Row] = field(default_factory=dict)  # as the look before showed them
    final: dict[str, tuple[str, Row]] = field(default_factory=dict)  # with their provider
    count: int = 0


class Live:
    """The closes of a venue's sessions, as they come.

    A bar is final when it is there with every value that its symbol's bars have, and two looks in a row, `bar_poll`
    apart, show it alike; none is looked for before its venue's official close can be told. What is not final by the
    session's deadline is not there: its symbol has no price at this bar. Bars that were decided on stay as they were seen,
    whatever their source says of them later. A look is carried out by a thread: who takes the steps gets its turn back
    while a source lets itself be waited for, and `wake` is called when it has answered.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        scaler: Scaler,
        *,
        now: Callable[[], dt.datetime],
        seen: SeenBars,
        told: Told,
        wake: Callable[[], None] = lambda: None,
        sources: Callable[[], Sequence[Provider]] | None = None,
    ) -> None:
        self._spec, self._scaler, self._now, self._seen, self._told = spec, scaler, now, seen, told
        self._wake = wake
        self._sources = sources or (lambda: sources_of(spec, now))
        self._symbols = spec.data.symbols or spec.asset.universe.symbols
        self._calendar, self._interval = spec.asset.universe.calendar, spec.data.interval
        self._zones = [source.ends_with_date.get(self._calendar) for source in self._sources()]
        self._patience = dt.timedelta(seconds=spec.paper.bar_patience)
        if self._interval == "1h":
            self._patience = min(self._patience, _HOURS_PATIENCE)
        self._settling = min(calendars.settling_close(self._calendar), self._patience / 2)
        # which knows no two looks, and leaves an hour and more, on a half day four, for a source to correct itself
        quality = spec.data.quality.model_copy(update={"unfinished_bar": "warn"})
        self._judged_by = spec.data.model_copy(update={"quality": quality})
        self._depth = depth_of(spec.env, spec.risk)
        self._rates = conversion.Rates(self._symbols, spec, now)
        self._untold: list[tuple[str, Intervention]] = []
        self._history: dict[str, Bars] = seen.histories()
        self._kept = dict(self._history)  # as they are on disk
        self._stands: np.datetime64 | None = None  # where the account stands; its bar must be shown
        self._given_up: Session | None = None  # the last that was waited for, and is still to come

    def steps(self, last: Decision | None) -> Iterator[Due | Close]:
        """Yield the close of each session after the last decision, with its own where not all of it was sent in time.

        Between them stand the moments at which there is something to look at; who takes one goes on when it has come.
        """
        for one in each_session(
            self._calendar,
            self._now,
            after=None if last is None else self._resume(last),
            patience=self._patience,
            until=self._until,
            missed=lambda session: self._tell(session, "missed", self._symbols, waited=0.0),
            given_up=lambda session: session is self._given_up,
            interval=self._interval,
        ):
            if isinstance(one, Due):
                yield one
                continue
            session, deadline = one
            look = yield from self._wait(session, deadline)
            if look is None:
                self._given_up = session
                continue
            try:
                close = self._close(session, look)
            except FullError:
                close = None
                self._say(session.bar, Intervention("disk", "missed", (), {}))
            if close is not None:
                self._say_rest()
                yield close
                self._stands = session.stamp

    def reached(self, bar: str) -> str:
        """Return the bar that orders which were decided on at this one are meant for, once its session is over; till then this one."""
        following = self._following(np.datetime64(bar, "ns"))
        return following.bar if self._now() >= following.closes else bar

    def _following(self, bar: np.datetime64) -> Session:
        return next(after_bar(self._calendar, bar, self._interval))

    def _resume(self, last: Decision) -> np.datetime64:
        """Return the bar after which sessions are to be decided on: before the last decision's own while that can be sent."""
        stands = self._stands = np.datetime64(last.bar, "ns")
        if last.sent:
            return stands
        before = stands - np.timedelta64(1, "ns")
        own = self._following(before)
        in_time = own.stamp == stands and self._now() < max(own.closes + self._patience, self._until(own))
        return before if in_time else stands

    # --- waiting for a bar

    def _calendar_of(self, symbol: str, currency: str | None) -> str:
        return calendar_of(symbol, self._spec.asset, currency=currency)

    def _told_from(self, session: Session) -> dt.datetime:
        """Return the moment before which not all of a session's bars can be there.

        That is its end, of some sources the end of its date, and of symbols of another venue the close of theirs.
        """
        if session.hourly:
            return session.closes
        known = {name: one.currency for name, one in self._history.items()}
        venues = {self._calendar_of(name, known.get(name)) for name in self._symbols} - {self._calendar}
        traded = [one for one in venues if len(calendars.sessions(one, session.date, session.date))]
        midnight = dt.datetime.combine(session.date + dt.timedelta(days=1), dt.time())
        ends = [session.closes if zone is None else midnight.replace(tzinfo=ZoneInfo(zone)) for zone in self._zones]
        closes = [calendars.settled(one, session.date) for one in traded]
        return max(session.closes, min(ends).astimezone(dt.UTC), *closes)

    def _until(self, session: Session) -> dt.datetime:
        """Return the moment until which a session's bars are waited for at least: half of patience from when there can be any."""
        return self._told_from(session) + self._patience / 2

    def _wait(self, session: Session, deadline: dt.datetime) -> Generator[Due, None, _Look | None]:
        """Return what is final of a session, waiting until all of it is or the deadline is reached.

        None where its end is still to come after all, since the clock was set back.
        """
        sources = self._sources()
        look = _Look(dict.fromkeys(self._symbols, "missing"))
        if (yield from self._set_back(session, max(session.closes + self._settling, self._told_from(session)))):
            return None
        while True:
            answers = yield from self._asked(session, sources, look, deadline)
            for symbol in list(look.waiting):
                self._take(symbol, answers.get(symbol), session, look)
            look.count += 1
            deadline = max(deadline, min(self._until(session), self._following(session.stamp).closes))
            if not look.waiting or self._now() >= deadline:
                self._report(session, look)
                return look
            if (yield from self._set_back(session, min(self._now() + self._pause(look), deadline))):
                return None

    def _set_back(self, session: Session, moment: dt.datetime) -> Generator[Due, None, bool]:
        """Let the time pass up to a moment, and return whether the clock was set back to before the session's end meanwhile."""
        decided = any(self._seen.has(session.bar, one) for one in self._symbols)
        while (now := self._now()) < moment:
            if now < session.closes and not decided:
                return True
            yield Due(moment, early=True)
        return False

    def _asked(
        self, session: Session, sources: Sequence[Provider], look: _Look, deadline: dt.datetime
    ) -> Generator[Due, None, Mapping[str, list[Outcome]]]:
        """Return what the sources say of the symbols that are waited for, without those that let themselves be waited for too long.

        A look that has begun when patience ends has `bar_poll` to come to its end.
        """
        end = max(deadline, self._now() + dt.timedelta(seconds=self._spec.paper.bar_poll))
        start = self._first_day(session)
        found = asking.Round(look.waiting, lambda symbol: self._ask(symbol, start, session, sources))
        try:
            if not found.ended(errand.TURN_SECONDS):
                found.wake(self._wake)
                while self._now() < end and not found.ended(0.0):
                    yield Due(min(self._now() + dt.timedelta(seconds=SLICE_SECONDS), end), early=True)
        finally:
            found.give_up()
        return dict(found.come)

    def _say(self, bar: str, one: Intervention) -> None:
        """Have something told, behind what could not be written down before; what the disk does not take waits for room."""
        self._untold.append((bar, one))
        self._say_rest()

    def _say_rest(self) -> None:
        with contextlib.suppress(FullError):
            while self._untold:
                self._told(*self._untold[0])
                self._untold.pop(0)

    def _pause(self, look: _Look) -> dt.timedelta:
        """Return the time to the next look: `bar_poll` while something moves, else longer and longer."""
        doublings = 0 if _SEEN_ONCE in look.waiting.values() else min(max(look.count - 2, 0), _MOST_DOUBLINGS)
        return dt.timedelta(seconds=self._spec.paper.bar_poll * 2**doublings)

    def _ask(self, symbol: str, start: dt.date, session: Session, sources: Sequence[Provider]) -> list[Outcome]:
        """Ask the sources in turn for a symbol, up to the first that has this session's bar; called by a thread, changes nothing."""
        outcomes: list[Outcome] = []
        spec = self._spec
        self._rates.renew([one.currency for one in list(self._history.values())])
        for source in sources:

            def fetch(source: Provider = source) -> Bars:
                fetched = provider.fetched(source, symbol, start, session.date, spec.data.interval)
                return self._over(loading.clean(fetched, spec.asset, self._judged_by)[0], session)

            outcomes.append(one := asking.asked_alone(source, fetch))
            if isinstance(one, Bars) and (
                self._seen.has(session.bar, symbol) or row_at(one, session.stamp) is not None
            ):
                break
        return outcomes

    def _over(self, bars: Bars, session: Session) -> Bars:
        """Return the bars without that of the session where the symbol's own venue has not ended it, or is not settled yet."""
        calendar = self._calendar_of(bars.symbol, bars.currency)
        own = calendar == self._calendar and calendar != calendars.WEEKDAYS  # whose day ends behind its session
        if own or self._now() >= calendars.settled(calendar, session.date):
            return bars
        table = bars.table
        return replace(bars, table=table[table["timestamp"].to_numpy(dtype="datetime64[ns]") < session.stamp])

    def _take(self, symbol: str, outcomes: list[Outcome] | None, session: Session, look: _Look) -> None:
        """Take over what the sources said of a symbol; None where none has answered in time."""
        if outcomes is None and look.waiting[symbol] == "missing":
            look.waiting[symbol] = "unreachable"
        for one in outcomes or ():
            if isinstance(one, ProviderError):
                logger.info("live bars: %s", one)
                if look.waiting[symbol] == "missing":
                    look.waiting[symbol] = "unreachable"
                continue
            self._history[symbol] = one
            if self._seen.has(session.bar, symbol):
                look.waiting.pop(symbol)
            elif (at := row_at(one, session.stamp)) is not None:
                self._judge(symbol, one, at, look)
            elif look.waiting[symbol] == "unreachable":
                look.waiting[symbol] = "missing"

    def _judge(self, symbol: str, bars: Bars, at: int, look: _Look) -> None:
        row = row_of(bars.table, at)
        before = look.rows.get(symbol)
        look.rows[symbol] = row
        if not complete(row, bars, at):
            look.waiting[symbol] = "partial"
        elif before is None or not same(before, row):
            look.waiting[symbol] = "partial" if before is not None else _SEEN_ONCE
        else:
            look.final[symbol] = (bars.provider, row)
            look.waiting.pop(symbol)

    def _report(self, session: Session, look: _Look) -> None:
        """Tell what of a session was late, and what was not there in time."""
        waited = (self._now() - session.closes).total_seconds()
        for kind in sorted(set(look.waiting.values())):
            symbols = [symbol for symbol, why in look.waiting.items() if why == kind]
            self._tell(session, "partial" if kind == _SEEN_ONCE else kind, symbols, waited=waited)
        if look.count > 2 and look.final:
            self._tell(session, "late", [one for one in self._symbols if one in look.final], waited=waited)

    def _tell(self, session: Session, what: str, symbols: Sequence[str], *, waited: float) -> None:
        self._say(session.bar, Intervention("bars", what, tuple(symbols), {"waited_seconds": round(waited, 3)}))

    def _first_day(self, session: Session) -> dt.date:
        """Return the date from which bars are asked for: what features need, with room for holidays of their own."""
        bars = least_bars(self._spec.features, self._spec.env) + self._depth
        bars += bars // 10 + 10 + (24 if session.hourly else 0)  # counted from the end of the date
        first: dt.date = calendars.last_bar_times(self._calendar, self._interval, bars, session.date)[0].date()
        if self._stands is not None:
            room = dt.timedelta(days=2 * (1 + self._depth // 24 if session.hourly else self._depth))
            first = min(first, self._stands.astype("datetime64[D]").item() - room)
        return first

    # --- the close

    def _close(self, session: Session, look: _Look) -> Close | None:
        """Return the close that is made of what is final, or None, told, where nothing is or it cannot be made."""
        there = [symbol for symbol in self._symbols if symbol not in look.waiting]
        lacking = [symbol for symbol in self._symbols if symbol not in self._history]
        if not there or lacking:
            self._tell(session, "missed", lacking or self._symbols, waited=0.0)
            return None
        self._seen.keep(session.bar, look.final, self._now())
        new = {symbol: one for symbol, one in self._history.items() if self._kept.get(symbol) is not one}
        self._seen.keep_histories(new.values())
        self._kept.update(new)
        made = [self._as_seen(self._history[symbol], session, final=symbol in there) for symbol in self._symbols]
        spec = self._spec
        try:
            panel = align(made, spec.asset, spec.data, source=made[0].provider, simulated=False)
            panel = cash.join(panel, spec.asset, spec.data)
            panel = macro.join(panel, spec.data) if spec.data.macro.series else panel
            features = computed(panel, spec.features, spec.env)
            first = max(0, features.bars - self._depth)
            if self._stands is not None:
                stands = int(np.searchsorted(features.panel.timestamps, self._stands))
                first = min(first, max(0, stands - self._depth))
            market = Market.build(features, spec.env, self._scaler)  # of all bars: a price may be carried on into these
            return Close(features.slice(first, features.bars), market.part(first, features.bars))
        except (DataError, MarketError) as error:
            self._say(session.bar, Intervention("bars", f"unusable: {error}", (), {}))
            return None

    def _as_seen(self, bars: Bars, session: Session, *, final: bool) -> Bars:
        """Return a symbol's bars up to the session, as they were decided on, each revision told once."""
        stamps = bars.table["timestamp"].to_numpy(dtype="datetime64[ns]")
        kept = stamps <= session.stamp if final else stamps < session.stamp
        whole, revised = self._seen.as_seen(replace(bars, table=bars.table[kept]), self._now(), told=bars.table)
        for one in revised:
            numbers: dict[str, float] = {}
            for name, value in one.seen.items():
                now = one.now.get(name)
                if value is not None and now is not None and value != now:
                    numbers |= {name: value, f"{name}_now": now}
            self._say(one.bar, Intervention("bars", "revised" if one.now else "vanished", (one.symbol,), numbers))
        return whole
