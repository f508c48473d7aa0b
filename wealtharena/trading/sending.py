"""Orders on their way: from what is wanted to intents, and from intents to the broker, each once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from wealtharena.shown import bar_time
from wealtharena.trading import crossing
from wealtharena.trading.books import CLOSING
from wealtharena.trading.broker import BookedOrder, NotYetError, Order, RejectedError, UnreachableError
from wealtharena.trading.desk import Close
from wealtharena.trading.guard import State
from wealtharena.trading.ledger import NOTHING_LEFT, PENDING, Decision, Intent, IntentStatus, client_id
from wealtharena.trading.situation import TOLERANCE, Floats, counted
from wealtharena.trading.trader import Trader
from wealtharena.trading.unsaid import gaps_of

_FIRST: Final = 1
_ATTEMPTS: Final = 9  # to close a symbol between two closes
_STUCK: Final = "stuck"  # a note: a bar, and of which symbols people were told at it that they do not get closed
_REFUSED: Final = "refused"  # the same of orders that a broker refused
_LITTLE: Final = 0.01  # of equity: such orders may be too small for a broker, at each close
_SMALL: Final = "small"  # a note: the bar at which people were told that orders are too small for the broker
_LOOKED: Final = (
    "looked"  # a note: what was held beside our books at the last look between two closes, and what came of it
)
_WHY: Final[Mapping[State, str]] = {  # an order was stopped, by the account's state
    "halted": "halted", "reducing": "everything is being closed", "trading": "sized in units of before a split",
}  # fmt: skip


def intents_of(trader: Trader, close: Close, *, held: Floats, orders: Floats, equity: float) -> list[Intent]:
    """Return the orders as intents; one that goes through zero is two where the broker takes no other.

    Those that will be sent as soon as they are written, a first leg at a broker that keeps them with the bar, are on their
    way already: who finds them after a kill looks them up first. What opens something and is worth less than the broker
    takes is written as taken back, and not sent.
    """
    sends, flips = trader.broker.capabilities.sends, trader.broker.capabilities.flips
    waiting: IntentStatus = "new" if sends else "shadow"
    first: IntentStatus = "sending" if trader.broker.capabilities.keeps else waiting
    large = counted(orders, close.market.prices[-1], equity).tolist()
    found = []
    for symbol, has, units, counts in zip(close.market.symbols, held.tolist(), orders.tolist(), large, strict=True):
        through = not flips and has * (has + units) < 0.0
        legs = (-has, has + units) if through else (units,)
        found += [
            _enough(
                trader,
                Intent(
                    _name(trader, close.bar, symbol, leg=leg),
                    close.bar,
                    symbol,
                    leg,
                    _FIRST,
                    part,
                    first if leg == _FIRST else waiting,
                    rounding=not counts,
                ),
                opens=leg > _FIRST or has * part >= 0.0,
                price=close.marks[symbol],
            )
            for leg, part in enumerate(legs, 1)
            if part != 0.0
        ]
    return found


def _enough(trader: Trader, one: Intent, *, opens: bool, price: float) -> Intent:
    """Return the order, taken back where it opens something and is worth less than the broker takes: no rule counts it then."""
    least, worth = trader.broker.capabilities.least, abs(one.units) * price
    if not opens or worth >= least:
        return one
    note = f"worth {worth:,.2f}: the broker takes nothing below {least:,.2f}"
    return replace(one, status="cancelled", note=note, rounding=True)


def close_out(trader: Trader, last: Decision) -> None:
    """Write the orders that close between two closes what is held, where everything is to be closed: one a symbol at a time.

    None is larger than what both our executions and the broker say is held, so that it opens nothing. What has an order
    on its way, an execution that is not told yet, or a neighbour that trades the other way, waits for that; what is
    refused, for the next close. Once nothing is held the account is halted.
    """
    ledger, dust = trader.ledger, trader.broker.capabilities.dust
    state, why = ledger.state()
    if state != "reducing":
        return
    ours, on_their_way = ledger.positions(), {one.symbol for one in ledger.pending()}
    if not ours and not on_their_way:
        if not ledger.lacking(dust=dust) and trader.broker.positions() == {}:
            ledger.set_state("halted", f"{why}; {NOTHING_LEFT}", bar=last.bar)
        return
    tried = [one for one in ledger.intents_at(last.bar) if one.attempt >= CLOSING]
    times = Counter(one.symbol for one in tried)
    stuck = on_their_way | {one.symbol for one in tried if one.status == "rejected" or times[one.symbol] >= _ATTEMPTS}
    symbols = [symbol for symbol in ours if symbol in last.seen and symbol not in stuck]
    if not symbols or ledger.lacking(dust=dust) or (theirs := trader.broker.positions()) is None:
        return
    both = {symbol: min(ours[symbol], theirs.get(symbol, 0.0), key=abs) for symbol in symbols}
    meant = {symbol: -units for symbol, units in both.items() if units * ours[symbol] > 0.0 and abs(units) > dust}
    for symbol in {symbol for one in crossed(trader, meant, state=state) for symbol in one.symbols}:
        del meant[symbol]
    found = []
    for symbol, units in meant.items():
        attempt = CLOSING + times[symbol]
        name = _name(trader, last.bar, symbol, leg=_FIRST, attempt=attempt)
        found.append(Intent(name, last.bar, symbol, _FIRST, attempt, units))
    ledger.intend(found)


def crossed(trader: Trader, meant: Mapping[str, float], *, state: State) -> list[crossing.Met]:
    """Return what of these orders, in units by symbol, would trade with another agent's on the same account.

    A ledger that cannot be read keeps an account from trading, never from getting out.
    """
    if trader.neighbours is None:
        return []
    met = trader.neighbours.against(meant, place=trader.ledger.note(crossing.ACCOUNT))
    return [one for one in met if one.known or state == "trading"]


def _name(trader: Trader, bar: str, symbol: str, *, leg: int, attempt: int = _FIRST) -> str:
    return client_id(trader.agent, trader.account, trader.ledger.epoch, bar, symbol, leg=leg, attempt=attempt)


def send(trader: Trader, bar: str, *, fresh: frozenset[str] = frozenset()) -> None:
    """Send what is to be sent for this bar, each order once: what may have been sent is looked up first.

    Those that are `fresh` have been written by this very process and not been sent yet.

    A broker that does not answer leaves the intent as it is; the next close looks it up, and lets it expire or follows
    it. A second leg waits for the end of the first, an order whose window is shut for the next time it is asked for. What
    is stopped is not sent.
    """
    ledger, off = trader.ledger, stopped(trader)
    waiting = [one for one in ledger.pending() if one.bar == bar and one.status != "open"]
    state = ledger.state()[0]
    ledger.mark({one.client_id: ("cancelled", _WHY[state]) for one in waiting if one in off and one.status == "new"})
    if state == "halted":
        return
    waiting = [one for one in waiting if one not in off]
    for leg in sorted({one.leg for one in waiting}):
        _send_leg(trader, [one for one in waiting if one.leg == leg], fresh=fresh)
    (_tell_stuck if state == "reducing" else _tell_refused)(trader, bar)
    _tell_small(trader, bar)
    trader.at("acknowledged")


def _tell_stuck(trader: Trader, bar: str) -> None:
    """Tell people, once a close, what does not get closed before the next: the broker refuses its orders.

    At a broker outside that is so once it has refused what goes at once too, between two closes.
    """
    ledger, last = trader.ledger, CLOSING + _ATTEMPTS - 1
    meant, held = ledger.intents_at(bar), ledger.positions()
    first = _FIRST if trader.broker.capabilities.embedded else CLOSING
    tried = {one.symbol: one for one in meant if one.attempt >= first and one.symbol in held}
    stuck = {name: one for name, one in tried.items() if one.status == "rejected" or one.attempt == last}
    waiting = {one.symbol for one in meant if one.status in PENDING}
    found = {name: one for name, one in stuck.items() if name not in waiting}
    _tell(
        trader,
        bar,
        found,
        title="not everything gets closed",
        note=_STUCK,
        words="held still, and ordered anew at the next close",
    )


def _tell_refused(trader: Trader, bar: str) -> None:
    """Tell people, once a close, what a broker outside has refused of what was decided, where it is not little.

    A bridge refuses what no signal confirms, as it was asked to.
    """
    ledger = trader.ledger
    decision, last = ledger.decision(bar), ledger.last_close()
    if trader.broker.capabilities.embedded or decision is None or last is None:
        return
    meant = ledger.intents_at(bar)
    taken = {one.symbol for one in meant if one.status in (*PENDING, "filled", "partly")}
    found = {one.symbol: one for one in meant if one.status == "rejected" and one.symbol not in taken}
    worth = sum(abs(one.units) * decision.seen.get(name, 0.0) for name, one in found.items())
    if worth >= _LITTLE * last["equity"]:
        _tell(trader, bar, found, title="orders were refused", note=_REFUSED, words="decided on anew at the next close")


def _tell_small(trader: Trader, bar: str) -> None:
    """Tell people, once an account, that what is decided is too small for the broker, where it is not little together."""
    ledger, least = trader.ledger, trader.broker.capabilities.least
    if not least or ledger.note(_SMALL):
        return
    decision, last = ledger.decision(bar), ledger.last_close()
    small = [one for one in ledger.intents_at(bar) if one.status == "cancelled" and one.rounding]
    if decision is None or last is None or not small:
        return
    if sum(abs(one.units) * decision.seen.get(one.symbol, 0.0) for one in small) < _LITTLE * last["equity"]:
        return
    with ledger.at_once():
        ledger.write_note(_SMALL, bar)
        names = ", ".join(one.symbol for one in small)
        ledger.post(
            f"orders are too small at {bar_time(bar)}",
            f"{names}: the broker takes nothing below {least:,.2f}. Such orders are not sent, now and from now on, and are "
            "decided on anew at each close. An account with more money, or fewer symbols, has larger ones.",
        )


def _tell(trader: Trader, bar: str, found: Mapping[str, Intent], *, title: str, note: str, words: str) -> None:
    """Tell people of orders, by symbol, but for symbols of which they were told at this bar, as the note has them."""
    ledger = trader.ledger
    known = json.loads(ledger.note(note) or "{}").get(bar, [])
    new = [name for name in found if name not in known]
    if not new:
        return
    why = "; ".join(found[name].note or f"{name}: no reason is given" for name in new)
    with ledger.at_once():
        ledger.write_note(note, json.dumps({bar: [*known, *new]}))
        ledger.post(f"{title} at {bar_time(bar)}", f"{', '.join(new)}: {words}. The broker's last word: {why}")


def stopped(trader: Trader) -> list[Intent]:
    """Return the orders that may not go on: all of a halted account, and of one that closes all those that open something.

    They were decided on before it was told to, and wait to be sent or filled. Nor may those go on whose symbol has been
    split or exchanged since: they are in units of before.
    """
    ledger, capabilities = trader.ledger, trader.broker.capabilities
    state = ledger.state()[0]
    if state == "halted":
        return ledger.pending()
    acted = frozenset() if capabilities.embedded else ledger.acted_on()
    pending, reducing, outgrown = ledger.pending(), state == "reducing", _looked(trader)["outgrown"]
    held = ledger.positions() if reducing else {}
    done = ledger.executed([one.client_id for one in pending]) if reducing else {}

    def opens(one: Intent) -> bool:
        has, executed = held.get(one.symbol, 0.0), done.get(one.client_id, 0.0)
        return reducing and _opens(one, has, executed=executed, dust=capabilities.dust)

    def of_before(one: Intent) -> bool:  # what closes all is measured against what is held now
        return one.client_id in outgrown or (one.symbol in acted and one.attempt < CLOSING)

    return [one for one in pending if of_before(one) or opens(one)]


def outgrow(trader: Trader) -> None:
    """Note which orders wait while the broker holds, at two looks in a row, what no execution since the close explains.

    A split, most likely, before any price shows it, at a broker that tells of none. What closes all goes on while it is
    not larger than what is held.
    """
    ledger, dust = trader.ledger, trader.broker.capabilities.dust
    executed = {one.symbol for one in ledger.unassigned()}
    waiting = [one for one in ledger.pending() if one.symbol not in executed]
    held = trader.broker.positions() if waiting else None
    if not held or ledger.lacking(dust=dust):  # an empty answer may be a failure of theirs, and stops nothing
        return
    gaps, before = gaps_of(ledger.positions(), held, dust=dust), _looked(trader)
    stood = {name for name, gap in gaps.items() if before["gaps"].get(name) == gap}
    found = {
        one.client_id
        for one in waiting
        if one.symbol in stood
        and (one.attempt < CLOSING or _opens(one, held.get(one.symbol, 0.0), executed=0.0, dust=dust))
    }
    orders = found | {one.client_id for one in waiting if one.client_id in before["outgrown"]}
    if gaps or before["gaps"]:
        ledger.write_note(_LOOKED, json.dumps({"gaps": gaps, "outgrown": sorted(orders)}))


def _looked(trader: Trader) -> Mapping[str, Any]:
    """Return what was noted at the last look between two closes: gaps of positions, and orders that they have outgrown."""
    found: Mapping[str, Any] = json.loads(trader.ledger.note(_LOOKED) or '{"gaps": {}, "outgrown": []}')
    return found


def _opens(one: Intent, held: float, *, executed: float, dust: float) -> bool:
    """Return whether what is left of an order does more than make a position smaller.

    Of what is filled either the order or its executions may be told first.
    """
    left = one.units - max(one.filled, executed, key=abs)
    return held * left >= 0.0 or abs(left) > abs(held) + max(dust, TOLERANCE * abs(held))


def _send_leg(trader: Trader, waiting: list[Intent], *, fresh: frozenset[str]) -> None:
    ledger = trader.ledger
    waiting, changes = _due(trader, waiting)
    doubtful = {one.client_id for one in waiting if one.status == "sending"} - fresh
    # why one had to wait is over with its waiting
    ledger.mark({**changes, **{one.client_id: ("sending", "") for one in waiting if one.status == "new"}})
    flattening = ledger.state()[0] == "reducing"
    changes, told = {}, []
    while waiting:
        one = waiting.pop(0)
        if one.leg > _FIRST:
            trader.at("between legs")
        try:
            booked = trader.broker.order_by_client_id(one.client_id) if one.client_id in doubtful else None
            told.append(booked if booked is not None else _submitted(trader, one))
        except RejectedError as error:
            changes[one.client_id] = ("rejected", str(error))
            if error.funds and (smaller := again(trader, one)) is not None:
                waiting.insert(0, smaller)
        except NotYetError as error:
            changes[one.client_id] = ("new", str(error))
        except UnreachableError as error:
            changes[one.client_id] = ("sending", str(error))
        trader.at("mid-flatten" if flattening else "sent")
    ledger.mark(changes)
    ledger.follow(told)


def _due(trader: Trader, waiting: list[Intent]) -> tuple[list[Intent], dict[str, tuple[IntentStatus, str]]]:
    """Return which intents may be sent now, and what becomes of those that never may."""
    if not waiting or waiting[0].leg == _FIRST:
        return waiting, {}
    due, changes = [], {}
    before = {one.symbol: one for one in trader.ledger.intents_at(waiting[0].bar) if one.leg == waiting[0].leg - 1}
    for one in waiting:
        status = before[one.symbol].status
        if status == "filled" or one.status == "sending":
            due.append(one)
        elif status not in ("new", "sending", "open"):
            fate: tuple[IntentStatus, str] = ("expired", f"the leg before it ended as {status}")
            changes[one.client_id] = fate
    return due, changes


def _submitted(trader: Trader, one: Intent) -> BookedOrder:
    """Return the order as booked. After no answer it is looked up in all statuses, and only then sent again, once."""
    urgent = one.attempt >= CLOSING
    order, broker = Order(one.client_id, one.symbol, one.units, one.leg, urgent=urgent), trader.broker
    try:
        return broker.submit(order)
    except UnreachableError:
        booked = broker.order_by_client_id(one.client_id)
        return booked if booked is not None else broker.submit(order)


def again(trader: Trader, one: Intent) -> Intent | None:
    """Write and return a smaller attempt at an order that was refused for want of money; None after the first."""
    name = _name(trader, one.bar, one.symbol, leg=one.leg, attempt=one.attempt + 1)
    if not trader.resize or one.attempt != _FIRST or trader.ledger.is_ours(name):
        return None
    units = one.units * (1.0 - trader.resize)
    lot = trader.env.instrument.lot_of(one.symbol)
    if lot:
        units = float(int(units / lot) * lot)
    if units == 0.0:
        return None
    smaller = replace(one, client_id=name, attempt=one.attempt + 1, units=units, status="sending", note="made smaller")
    trader.ledger.intend([smaller])
    return smaller


def announce(trader: Trader, bar: str, weights: Mapping[str, float]) -> None:
    """Tell a broker that wants to know the weights that were decided on; where it can't be told, a note says so."""
    if not trader.broker.capabilities.announces:
        return
    try:
        trader.broker.announce(bar, weights)
    except (UnreachableError, RejectedError) as error:
        trader.ledger.write_note("announcement", f"{bar}: {error}")
