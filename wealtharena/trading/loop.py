"""The loop: at each close advance, reconcile, decide, check, send, record. Exactly one decision a bar."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Iterable

import numpy as np

from wealtharena.errors import MarketError
from wealtharena.trading.broker import UnreachableError
from wealtharena.trading.clock import Timer
from wealtharena.trading.database import FullError
from wealtharena.trading.desk import Close, Day, ages, rule, seen_at, standing
from wealtharena.trading.guard import Intervention, State, unknown
from wealtharena.trading.ledger import Decision
from wealtharena.trading.reconcile import Known, check_same, follow, reconcile, take_back, take_over
from wealtharena.trading.sending import again, announce, announced, intents_of, send
from wealtharena.trading.situation import Floats
from wealtharena.trading.switch import Switch
from wealtharena.trading.trader import Trader


def run(
    trader: Trader,
    closes: Iterable[Close],
    switch: Switch,
    *,
    told: Callable[[Close], None],
    timed: Callable[[Close, float], None] = lambda close, seconds: None,
) -> None:
    """Trade close after close until there are no more or the switch says stop; `told` of each that is done.

    `timed` is told too, and how many seconds went by from the close to the last of its orders. A close at which the disk
    takes nothing is missed, without an order, and recorded as soon as there is room.
    """
    missed: list[str] = []
    for close in closes:
        if switch.stop:
            return
        began = time.perf_counter()
        try:
            while missed:
                trader.ledger.intervene(missed[0], [Intervention("disk", "missed", (), {})])
                missed.pop(0)
            on_close(trader, close, switch)
        except FullError:
            missed.append(close.bar)
            continue
        timed(close, time.perf_counter() - began)
        told(close)


def timer_of(trader: Trader, switch: Switch, now: Callable[[], dt.datetime]) -> Timer:
    """Return the time as it passes for a trader: it hears a stop, and between two closes does what is to be done there.

    What the broker says by itself is a reason to do it sooner.
    """
    trader.broker.stream(switch.wake)

    def wait(seconds: float) -> None:
        switch.wait(seconds)
        tend(trader, switch)

    return Timer(now, wait, lambda: switch.stop)


def on_close(trader: Trader, close: Close, switch: Switch) -> None:
    """Do all that is to be done at one close; done again after a kill, it does what was left and nothing twice.

    At a broker of our own the disk is waited for twice: for the decision and what led to it, and for what the broker was
    told. Its answers need no waiting: it can be asked for them again.
    """
    ledger, broker = trader.ledger, trader.broker
    _obey(trader, switch, close.bar)
    broker.advance(close.market)
    keeps = broker.capabilities.keeps
    with ledger.at_once() if keeps else contextlib.nullcontext():
        known = reconcile(trader, close)
        decision = ledger.decision(close.bar)
        wanted = _decide(trader, close, known) if decision is None else None
        fresh = announced(trader, close.bar) if keeps and decision is None else frozenset[str]()
    if decision is None:
        trader.at("after persist")
    if wanted is not None:
        announce(trader, close.bar, wanted)
    with ledger.in_passing() if keeps else contextlib.nullcontext():
        if decision is None or not decision.sent:
            send(trader, close.bar, fresh=fresh)
            ledger.done(close.bar)
        broker.keep()


def tend(trader: Trader, switch: Switch) -> None:
    """Obey the kill switch, and do what a broker outside needs: follow orders, book executions, send what waited its turn.

    Decides nothing, and may be called at any time after a close. What a broker does not answer, and what a full disk
    does not take, is asked for the next time.
    """
    last = trader.ledger.decision()
    if last is None:
        return
    try:
        _obey(trader, switch, last.bar)
        trader.broker.keep()
        if trader.broker.capabilities.embedded:
            return
        check_same(trader)
        refused = follow(trader, last.bar)
        if trader.ledger.state()[0] == "halted":
            take_back(trader, [one.client_id for one in trader.ledger.pending() if one.status == "open"])
        take_over(trader, last.bar)
        for one in refused:
            again(trader, one)
        send(trader, last.bar)
    except (UnreachableError, FullError):
        return


def _obey(trader: Trader, switch: Switch, bar: str) -> None:
    """Carry out the kill switch; what is open at the broker is taken back."""
    command, (state, _) = switch.thrown(), trader.ledger.state()
    if command is None or state == "halted":
        return
    if state == "trading" or command == "freeze":
        wanted: State = "halted" if command == "freeze" else "reducing"
        missed = take_back(trader, [one.client_id for one in trader.ledger.pending()])
        numbers = {"not_taken_back": float(missed)} if missed else {}
        trader.ledger.intervene(bar, [Intervention("kill_switch", command, (), numbers)])
        trader.ledger.set_state(wanted, f"kill switch: {command}", bar=bar)


def _decide(trader: Trader, close: Close, known: Known | None) -> dict[str, float] | None:
    """Decide on this close and write it down with its intents, before any is sent; return the weights, if any."""
    ledger = trader.ledger
    last, (state, _) = ledger.decision(), ledger.state()
    memory = {} if last is None else last.memory
    blind = 0 if last is None else last.unknown
    if known is None:
        ruling = unknown(blind + 1, trader.risk, state)
        decision = Decision(close.bar, close.marks, None, memory, blind + 1)
        ledger.decide(decision, (), ruling.interventions, state=ruling.state)
        return None
    account, held = known
    try:
        walker = standing(close, trader.env, held=held, cash=account.cash, peak=account.peak)
    except MarketError as error:
        told = Intervention("account", "halt", (), {"equity": account.equity})
        ledger.decide(Decision(close.bar, close.marks, None, memory, 0), (), [told], state="halted")
        ledger.set_state("halted", str(error), bar=close.bar)
        return None
    weights, carried = trader.mind.decide(seen_at(close, close.features.bars - 1, walker), memory)
    day = close.bar[:10]
    opening = ledger.opening(day)
    today = Day(account.equity if opening is None else opening, ledger.orders_on(day))
    ruling = rule(walker, close.market, ages(close), weights, today, risk=trader.risk, state=state)
    orders, crossed = _uncrossed(trader, close, ruling.orders)
    trader.at("before persist")
    ledger.decide(
        Decision(close.bar, close.marks, weights.tolist(), carried, 0),
        intents_of(trader, close, held=walker.units, orders=orders),
        [*crossed, *ruling.interventions],
        state=ruling.state,
    )
    return dict(zip(close.market.symbols, weights.tolist(), strict=True))


def _uncrossed(trader: Trader, close: Close, orders: Floats) -> tuple[Floats, list[Intervention]]:
    """Return the orders without those that would trade with another agent's on the same account, and what is told of them."""
    if trader.neighbours is None:
        return orders, []
    meant = dict(zip(close.market.symbols, orders.tolist(), strict=True))
    met = trader.neighbours.against(meant)
    if not met:
        return orders, []
    left = np.array([0.0 if symbol in met else units for symbol, units in meant.items()])
    return left, [Intervention("crossing", "skip", tuple(met), {symbol: meant[symbol] for symbol in met})]
