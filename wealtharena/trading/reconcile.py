"""What the broker has, taken over: orders by client id, executions by execution id, positions, money.

What is not certain is not known: None here, and nothing is decided or sent on it. A snapshot may be older than an
execution, so that positions are what executions say, and a difference counts once it has stood over a bar.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from wealtharena.envs.kernel.rows import BAR
from wealtharena.shown import bar_time
from wealtharena.trading import flows, unsaid
from wealtharena.trading.actions import taken_back
from wealtharena.trading.broker import (
    FINAL,
    Account,
    BookedOrder,
    Fill,
    RefusedError,
    UnreachableError,
    UntoldError,
)
from wealtharena.trading.crossing import ACCOUNT, mark_of
from wealtharena.trading.desk import Close
from wealtharena.trading.guard import Intervention
from wealtharena.trading.ledger import Intent
from wealtharena.trading.trader import Trader

logger = logging.getLogger(__name__)
PAUSES: Final = (1.0, 2.0, 4.0)  # seconds before a broker outside is asked again for what does not fit yet
_FOREIGN: Final = "foreign"  # a note: cash in other currencies at the last close, with its rates
_BEFORE: Final = "before"  # a note: ids of what had happened at the broker when the account was opened

Known = tuple[Account, Mapping[str, float]]


def reconcile(trader: Trader, close: Close) -> Known | None:
    """Bring the broker to this close, take over what it knows, and return money and positions; None where they are not certain."""
    try:
        capabilities = trader.broker.capabilities
        if capabilities.embedded and not capabilities.keeps:
            follow(trader, close.bar)  # what a bridge has done without a word is booked before the bar that fills it
        trader.broker.advance(close.market)
        found = _embedded(trader, close) if capabilities.embedded else _outside(trader, close)
    except UnreachableError as error:
        logger.warning(
            "%s/%s: nothing is known of the account at %s: %s", trader.agent, trader.account, bar_time(close.bar), error
        )
        if trader.ledger.decision(close.bar) is None and trader.ledger.state()[0] != "halted":
            words = f"{error}. Nothing is decided or sent until it is known again."
            trader.ledger.post(f"nothing is known of the account at {bar_time(close.bar)}", words)
        return None
    if found is None:
        return None
    account, held, told = found
    with trader.ledger.at_once():
        trader.ledger.settle(account, held, close.marks, interventions=told)
        if not capabilities.embedded:
            trader.ledger.write_note(_FOREIGN, json.dumps(flows.valued(account)))
        for one in told:
            if one.rule == flows.RULE:
                trader.ledger.post(f"money {one.action} at {bar_time(close.bar)}", flows.words(one))
    return account, held


def _embedded(trader: Trader, close: Close) -> tuple[Account, Mapping[str, float], list[Intervention]] | None:
    """Take over from a broker that stands at the close itself: what it says is so."""
    ledger, broker = trader.ledger, trader.broker
    follow(trader, close.bar)
    fills = broker.fills(ledger.last_sequence())
    ledger.book(fills, seen=lambda: trader.at("partly filled"))
    events = ledger.book_events(broker.events(ledger.last_event()), bar=close.bar)
    trader.at("mid-reconcile")
    held, account = broker.positions(), broker.account()
    if held is None:
        return None
    charged: Mapping[str, Any] = broker.charges(ledger.last_bar(before=close.bar))
    account = replace(account, **charged)
    _own(trader, close.bar, fills, account)
    unsaid.tell(trader, close.bar, events)
    gaps = unsaid.gaps_of(ledger.positions(), held, dust=0.0)
    return account, held, _strangers(trader, close.bar, gaps)


def _outside(trader: Trader, close: Close) -> tuple[Account, Mapping[str, float], list[Intervention]] | None:
    """Take over from a broker that knows no bars and whose answers may be of different ages."""
    ledger, broker, bar = trader.ledger, trader.broker, close.bar
    check_same(trader)
    _begun(trader)
    _take_old_back(trader, bar)
    for seconds in (0.0, *PAUSES):
        if seconds:
            trader.wait(seconds)
        take_over(trader, bar)
        trader.at("mid-reconcile")
        answer = broker.positions()
        if answer is None:
            return None
        held = dict(answer)
        unsaid.fees(trader, held)
        unsaid.splits(trader, close, held)
        lacking = ledger.lacking(dust=broker.capabilities.dust)
        gaps = unsaid.gaps_of(ledger.positions(), held, dust=broker.capabilities.dust)
        if not gaps and not lacking:
            break
    if lacking or not _certain(trader, bar, gaps):
        return None
    account = broker.account()
    ledger.assign(bar, _references(close), decided=close.bar_before)
    account, jumps = _charged(trader, close, account, held, gaps)
    return account, held, [*jumps, *_strangers(trader, bar, gaps)]


def check_same(trader: Trader) -> None:
    """Raise RefusedError where the broker's account is another than the ledger was opened with, or another agent's; kept as a hash."""
    told = trader.broker.account().number
    mark = mark_of(told)
    known = trader.ledger.note(ACCOUNT)
    if known is None:
        other = None if trader.neighbours is None else trader.neighbours.sharing(mark)
        if other is not None:
            raise RefusedError(
                f"the broker's account ...{told[-4:]} is that of {other}, which would take our positions for a stranger's",
                hint="give each agent keys of its own: paper.agents=[crypto,'etf broker.keys_file=etf.keys']",
            )
        trader.ledger.write_note(ACCOUNT, mark)
    elif known != mark:
        raise RefusedError(
            f"the broker reports the account ...{told[-4:]}, this one was opened with another",
            hint="use its keys, or begin anew: paper.action=restart",
        )


def take_over(trader: Trader, bar: str) -> None:
    """Book every execution and event that is new; those that are none of our orders are strangers'."""
    ledger, broker = trader.ledger, trader.broker
    since = _begun(trader)
    told = [one for one in broker.fills(ledger.last_sequence()) if since(one.execution_id, one.sequence)]
    with ledger.at_once():
        ledger.intervene(bar, ledger.correct(told))
    new = ledger.unknown_fills(told)
    foreign = [one for one in new if one.client_id is None or not ledger.is_ours(one.client_id)]
    ledger.book(new, seen=lambda: trader.at("partly filled"), late=True)
    events = [one for one in broker.events(ledger.last_event()) if since(one.event_id, one.sequence)]
    if splits := [one for one in events if one.kind == "split" and not one.taken_back]:
        events = [*taken_back(ledger.events(), splits), *events]
    unsaid.tell(trader, bar, ledger.book_events(ledger.amended(events), bar=""))
    if foreign:
        ledger.intervene(bar, _strangers(trader, bar, _by_symbol((one.symbol, one.units) for one in foreign)))


def _begun(trader: Trader) -> Callable[[str, int], bool]:
    """Return what tells, by id and sequence number, whether something belongs to the account: it was not there at the opening.

    What was there is noted at the first look that the broker answers, by its ids: an execution has a time, but a deposit
    has a day, and who opens on that day may be told of it before or after.
    """
    ledger, broker = trader.ledger, trader.broker
    if ledger.note("cursor") is None:
        now = broker.cursor()
        there = [one.execution_id for one in broker.fills(now)] + [one.event_id for one in broker.events(now)]
        with ledger.at_once():
            ledger.write_note("cursor", str(now))
            ledger.write_note(_BEFORE, json.dumps(there))
    noted, opened = ledger.note(_BEFORE), int(ledger.note("cursor") or 0)
    if noted is None:  # a ledger from before ids were noted
        return lambda name, sequence: sequence > opened
    before = frozenset(json.loads(noted))
    return lambda name, sequence: name not in before


def follow(trader: Trader, bar: str) -> list[Intent]:
    """Look up every intent whose end is not known, and return those that the broker has refused after booking them.

    One of an earlier bar that was never booked expires, and so does one of which the broker never says whether it was.
    """
    told: list[BookedOrder] = []
    refused: list[Intent] = []
    lost: list[Intent] = []
    for one in trader.ledger.pending():
        try:
            booked = trader.broker.order_by_client_id(one.client_id)
        except UntoldError as error:
            if one.bar != bar:
                _give_up(trader, one, bar, error)
            continue
        if booked is not None:
            told.append(booked)
            refused += [one] if booked.status == "rejected" else []
        elif one.bar != bar and one.status != "open":  # one that was acknowledged exists, whatever is answered now
            lost.append(one)
    trader.ledger.follow(told)
    _expire(trader, lost, bar)
    return refused


def _expire(trader: Trader, lost: Sequence[Intent], bar: str) -> None:
    """Let orders expire that were never booked, and have people told where they were to close all."""
    if not lost:
        return
    ledger = trader.ledger
    with ledger.at_once():
        ledger.mark({one.client_id: ("expired", "older than its bar when it could have been sent") for one in lost})
        held = ledger.positions() if ledger.state()[0] == "reducing" else {}
        if closing := [one for one in lost if held.get(one.symbol, 0.0) * one.units < 0.0]:
            names = ", ".join(dict.fromkeys(one.symbol for one in closing))
            heard = closing[-1].note or "nothing"
            words = f"{names}: what was to close it was never taken, and is ordered anew. Last heard: {heard}"
            ledger.post(f"not everything gets closed at {bar_time(bar)}", words)


def _give_up(trader: Trader, one: Intent, bar: str, error: UntoldError) -> None:
    """Let an order expire that may have been carried out, and have people look: nobody here will ever know."""
    ledger = trader.ledger
    with ledger.at_once():
        ledger.mark({one.client_id: ("expired", str(error))})
        ledger.intervene(bar, [Intervention("orders", "unknown", (one.symbol,), {"units": one.units})])
        ledger.post(
            f"an order of {bar_time(one.bar)} is unknown",
            f"{one.units:+g} {one.symbol} may have been carried out or not, and counts as not. {error}: look there.",
        )


def take_back(trader: Trader, orders: Iterable[str]) -> int:
    """Ask for these orders back, by client id; return how many could not be asked for."""
    missed = 0
    for client_id in orders:
        try:
            trader.broker.cancel(client_id)
        except UnreachableError:
            missed += 1
    return missed


# --- what does not fit


def _take_old_back(trader: Trader, bar: str) -> None:
    """Take back what is still open of earlier bars, ours or booked late; UnreachableError where not all of it comes to its end.

    A cancel is only asked for; until the order has ended, a fill may win.
    """
    ledger, broker = trader.ledger, trader.broker
    follow(trader, bar)
    halted = ledger.state()[0] == "halted"
    for seconds in (0.0, *PAUSES):
        if seconds:
            trader.wait(seconds)
            follow(trader, bar)
        old = {one.client_id for one in ledger.pending() if (one.bar != bar or halted) and one.status == "open"}
        booked = broker.open_orders()
        late = {one.client_id for one in booked if ledger.is_ours(one.client_id) and _ended(trader, one.client_id)}
        foreign = [one for one in booked if not ledger.is_ours(one.client_id)]
        if foreign and not seconds:
            left = _by_symbol((one.symbol, one.units - one.filled) for one in foreign)
            ledger.intervene(bar, _strangers(trader, bar, left))
        if not old | late:
            return
        take_back(trader, sorted(old | late))
    raise UnreachableError(_unended(trader, min(old | late), known={one.client_id for one in booked}))


def _unended(trader: Trader, client_id: str, *, known: Collection[str]) -> str:
    """Return what is the matter with an order that does not come to its end; `known` are those that the broker has open."""
    one = trader.ledger.intent(client_id)
    order = client_id if one is None else f"the order of {bar_time(one.bar)} in {one.symbol}"
    if client_id in known:
        return f"{order} is open at the broker still, though it was asked back"
    return (
        f"{order} was open, and the broker does not know it any more; where it came to nothing there, begin the account "
        "anew: paper.action=restart"
    )


def _ended(trader: Trader, client_id: str) -> bool:
    one = trader.ledger.intent(client_id)
    return one is not None and one.status in FINAL


def _certain(trader: Trader, bar: str, gaps: Mapping[str, float]) -> bool:
    """Return whether positions may be believed: they fit, or differ by what they differed by at an earlier bar.

    An account that is looked at for the first time is believed: nothing of ours can be on its way.
    """
    ledger = trader.ledger
    if not gaps:
        ledger.write_note("doubt", "")
        return True
    if ledger.last_close() is None:
        return True
    before = json.loads(ledger.note("doubt") or "{}")
    if before and before["gaps"] == gaps and before["bar"] != bar:
        return True
    if not before or before["gaps"] != gaps:
        ledger.write_note("doubt", json.dumps({"bar": bar, "gaps": gaps}))
        ledger.intervene(bar, [Intervention("positions", "wait", tuple(gaps), gaps)])
    return False


def _strangers(trader: Trader, bar: str, gaps: Mapping[str, float]) -> list[Intervention]:
    """Halt the agent or adopt what is none of our orders, as configured; return what is to be written of it."""
    if gaps and trader.strangers == "halt":
        reason = f"the broker holds or trades what we did not order: {', '.join(gaps)}"
        trader.ledger.set_state("halted", reason, bar=bar)
    return [Intervention("strangers", trader.strangers, tuple(gaps), gaps)] if gaps else []


def _own(trader: Trader, bar: str, fills: Sequence[Fill], account: Account) -> None:
    """Record what the broker closed by itself; an account that was liquidated is halted."""
    forced = [one for one in fills if one.client_id is None]
    if forced:
        numbers = _by_symbol((one.symbol, one.units) for one in forced)
        trader.ledger.intervene(bar, [Intervention("broker", "closed", tuple(numbers), numbers)])
    if account.liquidated:
        trader.ledger.set_state("halted", "the broker liquidated the account", bar=bar)


def _by_symbol(units: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the units of each symbol, all of them together."""
    found: dict[str, float] = {}
    for symbol, more in units:
        found[symbol] = found.get(symbol, 0.0) + more
    return found


# --- money


def _references(close: Close) -> dict[str, float]:
    """Return the prices at which the backtest fills orders in this bar, by symbol."""
    prices = close.market.bars[-1, BAR.fill].tolist()
    return {name: price for name, price in zip(close.market.symbols, prices, strict=True) if price > 0.0}


def _charged(
    trader: Trader, close: Close, account: Account, held: Mapping[str, float], gaps: Mapping[str, float]
) -> tuple[Account, list[Intervention]]:
    """Return the account with its bar, its peak, and what the bar's executions and events came to; and flows that nobody told.

    Cash is what equity has beside the positions at our marks: money and positions are told one after the other, and
    taken as they are they might count a purchase twice.
    """
    ledger, marks = trader.ledger, close.marks
    fills, events = ledger.fills(close.bar), ledger.events(close.bar)

    def cash(kind: str) -> float:
        return float(sum(one["cash"] for one in events if one["kind"] == kind))

    in_kind = sum(-one["units"] * marks.get(one["symbol"], 0.0) for one in events if one["kind"] == "fee")
    found = replace(
        account,
        cash=account.equity - sum(units * marks.get(name, 0.0) for name, units in held.items()),
        told=account.cash,
        bar=close.bar,
        traded=sum(abs(one.units * one.price) for one in fills),
        costs=sum(one.cost for one in fills) - cash("fee") + in_kind,
        financing=-cash("interest"),
        dividends=cash("dividend"),
    )
    before, abroad = ledger.close_before(close.bar), json.loads(ledger.note(_FOREIGN) or "{}")
    jump = flows.untold(before, found, fills, events, gaps=gaps, marks=marks, abroad=flows.revalued(abroad, account))
    found = replace(found, flow=flows.told(events, marks) + jump)
    peak = max(ledger.peak(scale=ledger.scale_of(found)), found.equity)
    return replace(found, peak=peak), flows.noted(jump)
