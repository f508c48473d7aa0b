"""The loop: at each close advance, reconcile, decide, check, send, record. Exactly one decision a bar."""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from wealtharena.errors import MarketError
from wealtharena.shown import bar_time
from wealtharena.trading import crossing
from wealtharena.trading.broker import UnreachableError
from wealtharena.trading.carrying import Carry, directly
from wealtharena.trading.clock import SLICE_SECONDS, Due
from wealtharena.trading.database import FullError
from wealtharena.trading.desk import Close, Day, ages, rule, seen_at, standing
from wealtharena.trading.guard import Intervention, Ruling, State, unknown
from wealtharena.trading.ledger import Decision, Intent
from wealtharena.trading.reconcile import Known, check_same, follow, reconcile, take_back, take_over
from wealtharena.trading.sending import again, announce, close_out, crossed, intents_of, outgrow, send, stopped
from wealtharena.trading.situation import Floats, counted
from wealtharena.trading.standing import NOTE, RETIRED, SINCE, STANDS
from wealtharena.trading.standing import RULE as VERSION
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader

_DEAF: Final = "deaf"  # a note: the halt of which it was told that it closes nothing
SLICE: Final = dt.timedelta(seconds=SLICE_SECONDS)  # longest time in which an account is not looked after


def run(
    trader: Trader,
    closes: Iterable[Close],
    switch: Switch,
    *,
    told: Callable[[Close], None],
    timed: Callable[[Close, float], None] = lambda close, seconds: None,
) -> None:
    """Trade close after close until there are no more or the switch says stop, without waiting for any."""
    for _ in steps(trader, closes, switch, told=told, timed=timed):
        pass


def steps(
    trader: Trader,
    feed: Iterable[Due | Close],
    switch: Switch,
    *,
    told: Callable[[Close], None],
    timed: Callable[[Close, float], None] = lambda close, seconds: None,
    now: Callable[[], dt.datetime] | None = None,
    carry: Carry = directly,
    tended: Callable[[], None] = lambda: None,
) -> Iterator[Due]:
    """Trade close after close until there are no more or the switch says stop; `told` of each that is done.

    Yields the moments that the feed waits for; who takes them may go on early. With a clock, `now`, the account is looked
    after meanwhile, each minute and whenever it is gone on with. `timed` is told too, and how many seconds went by from the
    close to the last of its orders. A close at which the disk takes nothing is missed, without an order, and recorded as
    soon as there is room; without a clock no close passes by meanwhile, and FullError ends it there. `carry` carries out what is done at each of them; `tended` is called after each look between two closes.
    """
    missed: list[str] = []
    for one in feed:
        if isinstance(one, Due):
            yield from _until(one, trader, switch, now=now, carry=carry, tended=tended)
        if switch.stop:
            return
        if isinstance(one, Due):
            continue
        began = time.perf_counter()
        try:
            while missed:
                with trader.ledger.at_once():
                    trader.ledger.intervene(missed[0], [Intervention("disk", "missed", (), {})])
                    trader.ledger.post(f"disk missed at {bar_time(missed[0])}", "all")
                missed.pop(0)
            yield from carry(functools.partial(on_close, trader, one, switch))
        except FullError:
            if now is None:
                raise
            if trader.ledger.decision(one.bar) is None:  # else it was made, and what it asks for is at the broker
                missed.append(one.bar)
            continue
        timed(one, time.perf_counter() - began)
        told(one)


def _until(
    due: Due,
    trader: Trader,
    switch: Switch,
    *,
    now: Callable[[], dt.datetime] | None,
    carry: Carry,
    tended: Callable[[], None],
) -> Iterator[Due]:
    """Yield until a moment has come or the switch says stop; between two closes do what is to be done there."""
    if now is None:
        yield due
        return
    while not switch.stop and (time_ := now()) < due.moment:
        moment = min(due.moment, time_ + SLICE)
        yield Due(moment)
        yield from carry(functools.partial(tend, trader, switch))
        tended()
        if due.early:
            return


def on_close(trader: Trader, close: Close, switch: Switch) -> None:
    """Do all that is to be done at one close; done again after a kill, it does what was left and nothing twice.

    At a broker of our own the disk is waited for twice: for the decision and what led to it, and for what the broker was
    told. Its answers need no waiting: it can be asked for them again.
    """
    ledger, broker = trader.ledger, trader.broker
    ledger.check_there()
    _obey(trader, switch, close.bar)
    keeps = broker.capabilities.keeps
    with ledger.at_once() if keeps else contextlib.nullcontext():
        known = reconcile(trader, close)
        decision = ledger.decision(close.bar)
        made = _decide(trader, close, known) if decision is None else None
    if decision is None:
        trader.at("after persist")
    if made is not None and made.weights is not None:
        announce(trader, close.bar, made.weights)
    fresh = frozenset(one.client_id for one in made.intents if one.status == "sending") if made else frozenset[str]()
    with ledger.in_passing() if keeps else contextlib.nullcontext():
        if decision is None or not decision.sent:
            send(trader, close.bar, fresh=fresh)
            ledger.done(close.bar)
        broker.keep()


def tend(trader: Trader, switch: Switch) -> None:
    """Obey the kill switch, and do what a broker outside needs: follow orders, book executions, send what waited its turn.

    Decides nothing but, where everything is to be closed, to do so at once, and may be called at any time after a close.
    What a broker does not answer, and what a full disk does not take, is asked for the next time. What was not sent by
    the end of the bar that it was meant for expires: nobody may have been there to decide on that one.
    """
    last = trader.ledger.decision()
    if last is None:
        return
    try:
        _obey(trader, switch, last.bar)
        trader.broker.keep()
        bar = trader.reached(last.bar) if trader.ledger.state()[0] == "trading" else last.bar  # what closes all goes on
        if trader.broker.capabilities.embedded:
            if not trader.broker.capabilities.keeps:  # what it books goes elsewhere too, and may not have arrived
                take_back(trader, [one.client_id for one in stopped(trader)])
                if bar != last.bar:
                    follow(trader, bar)
                send(trader, last.bar)
            return
        check_same(trader)
        refused = follow(trader, bar)
        take_back(trader, [one.client_id for one in stopped(trader) if one.status == "open"])
        take_over(trader, last.bar)
        for one in refused if bar == last.bar else ():
            if not take_back(trader, [one.client_id]):  # what a broker calls refused may be waiting there still
                again(trader, one)
        outgrow(trader)
        close_out(trader, last)
        send(trader, last.bar)
    except (UnreachableError, FullError):
        return


def _obey(trader: Trader, switch: Switch, bar: str) -> None:
    """Carry out the kill switch, and heed the registry; what is open at the broker is taken back."""
    _heed(trader, bar)
    command, (state, _) = switch.thrown(), trader.ledger.state()
    if command is None or state == "halted":
        if command == "flatten":
            _tell_deaf(trader, bar)
        return
    if state == "trading" or command == "freeze":
        wanted: State = "halted" if command == "freeze" else "reducing"
        missed = take_back(trader, [one.client_id for one in trader.ledger.pending()])
        numbers = {"not_taken_back": float(missed)} if missed else {}
        with trader.ledger.at_once():
            trader.ledger.intervene(bar, [Intervention("kill_switch", command, (), numbers)])
            trader.ledger.set_state(wanted, f"kill switch: {command}", bar=bar)


def _tell_deaf(trader: Trader, bar: str) -> None:
    """Tell once of each halt that it closes nothing, where that is asked for and something is held."""
    ledger = trader.ledger
    halt, held = ledger.state()[1], ledger.positions()
    if not held or ledger.note(_DEAF) == halt:
        return
    with ledger.at_once():
        ledger.write_note(_DEAF, halt)
        ledger.intervene(bar, [Intervention("kill_switch", "flatten: halted", tuple(held), {})])
        ledger.post(
            "flatten closes nothing",
            f"The account is halted ({halt}) and sends nothing. Release it without the file KILL, then throw it again.",
        )


def _heed(trader: Trader, bar: str) -> None:
    """Freeze where the account's version was retired; tell once of whatever else became of it, and trade on.

    A release undoes the retirement that it came after, and none that was recorded since.
    """
    ledger, standing = trader.ledger, trader.standing
    if standing is None:
        return
    found, since = standing.look(), standing.since
    if found == (ledger.note(NOTE) or STANDS) and (not since or ledger.note(SINCE) in (None, since)):
        return
    freeze = found == RETIRED and ledger.state()[0] == "trading"
    missed = take_back(trader, [one.client_id for one in ledger.pending()]) if freeze else 0
    numbers = {"not_taken_back": float(missed)} if missed else {}
    with ledger.at_once():
        ledger.write_note(NOTE, found)
        ledger.write_note(SINCE, since)
        ledger.intervene(bar, [Intervention(VERSION, found, (), numbers)])
        if freeze:
            ledger.set_state("halted", f"{standing.version} was retired", bar=bar)
        else:
            ledger.post(f"{standing.version} {found}", "The account goes on with it; paper.action=restart begins anew.")


@dataclass(frozen=True)
class _Made:
    """What was decided and written down just now."""

    weights: dict[str, float] | None  # that may be told: none of a halted account, and zeros of one that closes all
    intents: list[Intent]


def _decide(trader: Trader, close: Close, known: Known | None) -> _Made | None:
    """Decide on this close and write it down with its intents, before any is sent; return them, if any."""
    ledger = trader.ledger
    last, (state, _) = ledger.decision(), ledger.state()
    memory = {} if last is None else last.memory
    released = ledger.released()
    blind = 0 if last is None or last.bar == released else last.unknown
    if known is None:
        ruling = unknown(blind + 1, trader.risk, state)
        decision = Decision(close.bar, close.marks, None, memory, blind + 1)
        ledger.decide(decision, (), ruling.interventions, state=ruling.state)
        return None
    account, held = known
    try:
        walker = standing(close, trader.env, held=held, cash=account.cash, peak=account.peak)
    except MarketError as error:
        why = _foreign(close, held) or error.message
        told = [] if state == "halted" else [Intervention("account", "halt", (), {"equity": account.equity})]
        nothing = Decision(close.bar, close.marks, None, memory, 0)
        ledger.decide(nothing, (), told, state="halted", reason=why)
        return None
    weights, carried = trader.mind.decide(seen_at(close, close.features.bars - 1, walker), memory)
    day = close.bar[:10]
    opening = ledger.opening(day)
    peak = None if released is None else ledger.peak(scale=ledger.scale_of(account))
    today = Day(account.equity if opening is None else opening, ledger.orders_on(day), peak)
    ruling = rule(walker, close.market, ages(close), weights, today, risk=trader.risk, state=state)
    if not trader.broker.capabilities.embedded and ruling.state == "trading":
        # a tilt at rest asks for the weights that it sees, in single precision: rounding, which is nothing to send out;
        # a broker of our own fills it as the backtest does, so that its record stays the backtest's
        large = counted(ruling.orders, close.market.prices[-1], account.equity)
        ruling = replace(ruling, orders=np.where(large, ruling.orders, 0.0))
    orders, uncrossed = _uncrossed(trader, close, ruling)
    trader.at("before persist")
    intents = intents_of(trader, close, held=walker.units, orders=orders, equity=account.equity)
    decision = Decision(close.bar, close.marks, weights.tolist(), carried, 0)
    ledger.decide(decision, intents, [*uncrossed, *ruling.interventions], state=ruling.state)
    if ruling.state == "halted":
        return _Made(None, intents)
    asked_for = weights if ruling.state == "trading" else np.zeros_like(weights)
    return _Made(dict(zip(close.market.symbols, asked_for.tolist(), strict=True)), intents)


def _foreign(close: Close, held: Mapping[str, float]) -> str:
    """Return why an account cannot be traded that holds what its agent does not know; nothing where it holds no such thing."""
    unknown = sorted(set(held) - set(close.market.symbols))
    names = ", ".join(unknown)
    return f"{names} is held, which this agent does not trade: sell or transfer it, then release" if unknown else ""


def _uncrossed(trader: Trader, close: Close, ruling: Ruling) -> tuple[Floats, list[Intervention]]:
    """Return the orders without those that would trade with another agent's on the same account, and what is told of them."""
    if trader.neighbours is None:
        return ruling.orders, []
    meant = dict(zip(close.market.symbols, ruling.orders.tolist(), strict=True))
    met = crossed(trader, meant, state=ruling.state)
    trader.neighbours.tell(close.bar, f"{trader.agent}/{trader.account}", met, meant)
    left_out = {symbol for one in met for symbol in one.symbols}
    told = [
        Intervention(crossing.RULE, one.action, one.symbols, {symbol: meant[symbol] for symbol in one.symbols})
        for one in met
    ]
    return np.array([0.0 if symbol in left_out else units for symbol, units in meant.items()]), told
