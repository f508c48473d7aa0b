"""The loop: at each close advance, reconcile, decide, check, send, record. Exactly one decision a bar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.risk import RiskSpec
from wealtharena.errors import MarketError
from wealtharena.trading.broker import Account, BookedOrder, Broker, Fill, Order, RejectedError, UnreachableError
from wealtharena.trading.desk import Close, Day, ages, rule, seen_at, standing
from wealtharena.trading.guard import Intervention, State, unknown
from wealtharena.trading.ledger import Decision, Intent, IntentStatus, Ledger, client_id
from wealtharena.trading.minds import Mind
from wealtharena.trading.situation import Floats
from wealtharena.trading.switch import Switch

POINTS: Final = (  # where the tests kill the process
    "before persist", "after persist", "sent", "acknowledged", "partly filled", "mid-flatten", "mid-reconcile",
)  # fmt: skip
At = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Trader:
    """One agent on one account, and everything it trades by."""

    agent: str
    account: str
    mind: Mind
    env: EnvSpec
    risk: RiskSpec
    ledger: Ledger
    broker: Broker
    strangers: Literal["halt", "adopt"] = "halt"
    at: At = lambda point: None  # told of every point of POINTS that is reached


def run(trader: Trader, closes: Iterable[Close], switch: Switch, *, told: Callable[[Close], None]) -> None:
    """Trade close after close until there are no more or the switch says stop; `told` of each that is done."""
    for close in closes:
        if switch.stop:
            return
        on_close(trader, close, switch)
        told(close)


def on_close(trader: Trader, close: Close, switch: Switch) -> None:
    """Do all that is to be done at one close; done again after a kill, it does what was left and nothing twice."""
    _obey(trader, switch, close.bar)
    trader.broker.advance(close.market)
    account, held = _reconcile(trader, close)
    decision = trader.ledger.decision(close.bar)
    if decision is None:
        _decide(trader, close, account, held)
    elif decision.sent:
        return
    _send(trader, close.bar)
    trader.ledger.done(close.bar)


def _obey(trader: Trader, switch: Switch, bar: str) -> None:
    """Carry out the kill switch; what is open at the broker is taken back."""
    command, (state, _) = switch.thrown(), trader.ledger.state()
    if command is None or state == "halted":
        return
    if state == "trading" or command == "freeze":
        wanted: State = "halted" if command == "freeze" else "reducing"
        for order in _open_orders(trader):
            trader.broker.cancel(order)
        trader.ledger.intervene(bar, [Intervention("kill_switch", command, (), {})])
        trader.ledger.set_state(wanted, f"kill switch: {command}", bar=bar)


def _open_orders(trader: Trader) -> list[str]:
    """Return the client ids of the orders of ours that may still be filled."""
    return [one.client_id for one in trader.ledger.pending()]


# --- what the broker has


def _reconcile(trader: Trader, close: Close) -> tuple[Account | None, Mapping[str, float] | None]:
    """Take over what the broker knows: orders, executions, positions, money. None for what it does not say."""
    ledger, broker = trader.ledger, trader.broker
    try:
        _follow(trader, close.bar)
        fills = broker.fills(ledger.last_sequence())
        ledger.book(fills, seen=lambda: trader.at("partly filled"))
        trader.at("mid-reconcile")
        held, account = broker.positions(), broker.account()
    except UnreachableError:
        return None, None
    if held is None:
        return None, None
    _own(trader, close.bar, fills, account)
    strange = _strange(ledger.positions(), held)
    told = [Intervention("strangers", trader.strangers, tuple(strange), strange)] if strange else []
    if strange and trader.strangers == "halt":
        ledger.set_state("halted", f"the broker holds what we did not order: {', '.join(strange)}", bar=close.bar)
    ledger.settle(account, held, close.marks, interventions=told)
    return account, held


def _follow(trader: Trader, bar: str) -> None:
    """Look up every intent whose end is not known. One of an earlier bar that was never booked expires."""
    changes: dict[str, tuple[IntentStatus, str]] = {}
    for one in trader.ledger.pending():
        booked = trader.broker.order_by_client_id(one.client_id)
        if booked is not None:
            if booked.status != one.status:
                changes[one.client_id] = (booked.status, one.note)
        elif one.bar != bar:
            changes[one.client_id] = ("expired", "older than its bar when it could have been sent")
    trader.ledger.mark(changes)


def _own(trader: Trader, bar: str, fills: Sequence[Fill], account: Account) -> None:
    """Record what the broker closed by itself; an account that was liquidated is halted."""
    forced = [one for one in fills if one.client_id is None]
    if forced:
        numbers = {one.symbol: one.units for one in forced}
        trader.ledger.intervene(bar, [Intervention("broker", "closed", tuple(numbers), numbers)])
    if account.liquidated:
        trader.ledger.set_state("halted", "the broker liquidated the account", bar=bar)


def _strange(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Return what the broker holds beside our executions, by symbol; what is less than a billionth is rounding."""
    gaps = {name: theirs.get(name, 0.0) - ours.get(name, 0.0) for name in sorted({*ours, *theirs})}
    size = {name: max(abs(ours.get(name, 0.0)), abs(theirs.get(name, 0.0))) for name in gaps}
    return {name: gap for name, gap in gaps.items() if abs(gap) > 1e-9 * size[name]}


# --- what the agent wants


def _decide(trader: Trader, close: Close, account: Account | None, held: Mapping[str, float] | None) -> None:
    """Decide on this close and write it down with its intents, before any is sent."""
    ledger = trader.ledger
    last, (state, _) = ledger.decision(), ledger.state()
    memory = {} if last is None else last.memory
    blind = 0 if last is None else last.unknown
    if account is None or held is None:
        ruling = unknown(blind + 1, trader.risk, state)
        decision = Decision(close.bar, close.marks, None, memory, blind + 1)
        ledger.decide(decision, (), ruling.interventions, state=ruling.state)
        return
    try:
        walker = standing(close, trader.env, held=held, cash=account.cash, peak=account.peak)
    except MarketError as error:
        told = Intervention("account", "halt", (), {"equity": account.equity})
        ledger.decide(Decision(close.bar, close.marks, None, memory, 0), (), [told], state="halted")
        ledger.set_state("halted", str(error), bar=close.bar)
        return
    weights, carried = trader.mind.decide(seen_at(close, close.features.bars - 1, walker), memory)
    day = close.bar[:10]
    opening = ledger.opening(day)
    known = Day(account.equity if opening is None else opening, ledger.orders_on(day))
    ruling = rule(walker, close.market, ages(close), weights, known, risk=trader.risk, state=state)
    trader.at("before persist")
    ledger.decide(
        Decision(close.bar, close.marks, weights.tolist(), carried, 0),
        _intents(trader, close, ruling.orders),
        ruling.interventions,
        state=ruling.state,
    )
    trader.at("after persist")


def _intents(trader: Trader, close: Close, orders: Floats) -> list[Intent]:
    bar, epoch = close.bar, trader.ledger.epoch
    status: IntentStatus = "new" if trader.broker.capabilities.sends else "shadow"
    return [
        Intent(client_id(trader.agent, trader.account, epoch, bar, symbol), bar, symbol, 1, 1, units, status)
        for symbol, units in zip(close.market.symbols, orders.tolist(), strict=True)
        if units != 0.0
    ]


# --- what is sent


def _send(trader: Trader, bar: str) -> None:
    """Send what is to be sent for this bar, each order once: what may have been sent is looked up first.

    A broker that does not answer leaves the intent as it is; the next close looks it up, and lets it expire or follows it.
    """
    ledger, broker = trader.ledger, trader.broker
    waiting = [one for one in ledger.pending() if one.bar == bar and one.status != "open"]
    doubtful = {one.client_id for one in waiting if one.status == "sending"}
    ledger.mark({one.client_id: ("sending", "") for one in waiting if one.status == "new"})
    flattening = ledger.state()[0] == "reducing"
    changes: dict[str, tuple[IntentStatus, str]] = {}
    for one in waiting:
        try:
            booked = broker.order_by_client_id(one.client_id) if one.client_id in doubtful else None
            if booked is None:
                booked = _submitted(broker, one)
            changes[one.client_id] = (booked.status, "")
        except RejectedError as error:
            changes[one.client_id] = ("rejected", str(error))
        except UnreachableError as error:
            changes[one.client_id] = ("sending", str(error))
        trader.at("mid-flatten" if flattening else "sent")
    ledger.mark(changes)
    trader.at("acknowledged")


def _submitted(broker: Broker, one: Intent) -> BookedOrder:
    """Return the order as booked. After no answer it is looked up in all statuses, and only then sent again, once."""
    order = Order(one.client_id, one.symbol, one.units)
    try:
        return broker.submit(order)
    except UnreachableError:
        booked = broker.order_by_client_id(one.client_id)
        return booked if booked is not None else broker.submit(order)
