"""The trading view: every account as it stands, shown as it changes, and its kill switch. Parts are made here, sent as they change."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from wealtharena.config import speech
from wealtharena.deployment.page import RELEASE, chart, moment, title
from wealtharena.deployment.script import SCRIPT
from wealtharena.deployment.style import STYLE
from wealtharena.trading import reading, switch
from wealtharena.trading.database import LedgerError
from wealtharena.trading.reading import AccountView
from wealtharena.trading.switch import Command

_BROKERS = {
    "paper": "Paper: no money",
    "shadow": "Shadow: nothing is sent",
    "webhook": "Through a bridge: money or not is its affair",
}
_STATES = {
    "trading": ("promotable", "Trading"),
    "reducing": ("unproven", "Closing all"),
    "halted": ("rejected", "Halted"),
}
_MONITORS = (
    ("Returns against the promise", "record", "sum"),
    ("What it sees against training", "features", "index"),
    ("What it asks for against training", "actions", "index"),
)
_MEASURED = (
    ("Decision to order, ms (median)", "latency_ms"),
    ("Orders without their execution", "order_errors"),
    ("Slippage against the kernel, bps", "slippage_bps"),
    ("Alerts that could not be sent", "alerts_failed"),
    ("Alerts that were dropped", "alerts_lost"),
)
_SHOWN = 6  # rows of a table
_ENDED = ("rejected", "expired", "cancelled")  # statuses of orders of which a note says why
_EMPTY = (
    "<section class=card><h2>No account yet</h2><p class=facts>Trade a promoted agent on paper: "
    f"<code>{speech.COMMAND} task=paper asset=crypto</code>, then look here again.</p></section>"
)


class HaltedError(Exception):
    """The account is halted: it sends nothing, closing orders neither."""


class FrozenError(Exception):
    """Its switch is thrown already, to freeze it."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """An account as it was read and drawn last."""

    mark: tuple[int, ...]
    view: AccountView | None  # None where it has not been opened yet
    html: str


@dataclass
class Board:
    """The accounts below a folder; each is read and drawn again when its files have changed, once for all who look."""

    root: Path | None
    _known: dict[Path, _Shown] = field(default_factory=dict, init=False)
    _unreadable: list[tuple[str, str]] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def views(self) -> list[AccountView]:
        """Return every account that can be read, by agent."""
        return [view for view, _ in self._look()]

    def unreadable(self) -> list[tuple[str, str]]:
        """Return agent and account of those whose ledger could not be read when they were looked at last."""
        return list(self._unreadable)

    def parts(self) -> dict[str, str]:
        """Return the pieces of the page that change, by the id of the element they stand in."""
        shown = self._look()
        lost = self.unreadable()
        totals = _totals([view for view, _ in shown], lost)
        damaged = {_name(*one): _unread(*one) for one in lost}
        return {"totals": totals, **damaged, **{_id(view): html for view, html in shown}}

    def _look(self) -> list[tuple[AccountView, str]]:
        """Return every account that can be read, with its piece of the page."""
        kept: dict[Path, _Shown] = {}
        damaged: list[tuple[str, str]] = []
        with self._lock:
            for agent, account, folder in reading.accounts(self.root) if self.root is not None else ():
                mark, before = reading.mark(folder), self._known.get(folder)
                if before is None or before.mark != mark:
                    try:
                        view = reading.view(agent, account, folder)
                        before = _Shown(mark, view, "" if view is None else _account(view))
                    except (LedgerError, *reading.UNFIT):  # looked at again the next time: it may be for a moment
                        damaged.append((agent, account))
                        continue
                kept[folder] = before
            self._known, self._unreadable = kept, damaged
        return [(one.view, one.html) for one in kept.values() if one.view is not None]

    def page(self, *, keyed: bool) -> str:
        """Return the whole page; it shows as much without its script, but for what has changed since."""
        shown = self._look()
        views, lost = [view for view, _ in shown], self.unreadable()
        pieces = [
            *((*one, _unread(*one)) for one in lost),
            *((view.agent, view.account, html) for view, html in shown),
        ]
        cards = "".join(
            f"<section class=card aria-label='{escape(title(agent))}, account {escape(account)}'>"
            f"<div id='{_name(agent, account)}'>{html}</div>{_switch(agent, account, keyed=keyed)}</section>"
            for agent, account, html in pieces
        )
        return (
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
            f"<title>WealthArena trading</title><style>{STYLE}</style></head><body>"
            "<header><h1>Trading</h1><p class=lead id=link role=status>As of the moment that this page was asked for.</p>"
            "<nav><a href='/'>Agents</a> <a href='/docs'>API</a> <a href='/metrics'>Metrics</a></nav></header>"
            f"<main><section class='card wide' aria-label='All accounts'><div id=totals>{_totals(views, lost)}</div></section>{cards or _EMPTY}</main>"
            "<footer><p>Equity is what the broker said at the last close, after costs. Orders and interventions are those of the "
            f"account's ledger, newest first. Times of the day are UTC.</p></footer><script>{SCRIPT}</script></body></html>"
        )

    def throw(self, agent: str, account: str, command: Command) -> bool:
        """Throw an account's kill switch, which its process obeys at the next close at the latest; False where there is none.

        Raises:
            OSError: its file cannot be written.
            HaltedError, FrozenError: nothing would be closed, for such an account sends nothing. Nothing is written then.
        """
        for name, other, folder in reading.accounts(self.root) if self.root is not None else ():
            if (name, other) == (agent, account):
                if command == "flatten" and _is_halted(agent, account, folder):
                    raise HaltedError
                if not switch.throw(folder, command):
                    raise FrozenError
                return True
        return False


def _is_halted(agent: str, account: str, folder: Path) -> bool:
    try:
        view = reading.view(agent, account, folder)
    except LedgerError:
        return False
    return view is not None and view.state == "halted"


def _id(view: AccountView) -> str:
    return _name(view.agent, view.account)


def _name(agent: str, account: str) -> str:
    return f"account-{agent}--{account}"


def _unread(agent: str, account: str) -> str:
    """Return what is shown of an account whose ledger cannot be read: its process may trade on, and can be stopped."""
    return (
        f"<div class=top><h2>{escape(title(agent))}</h2></div><p class=facts>Account {escape(account)}</p>"
        f"<p class='note problem'>{reading.LEDGER} cannot be read: how it stands is not known. Restore the file.</p>"
    )


def _totals(views: Sequence[AccountView], unreadable: Sequence[tuple[str, str]] = ()) -> str:
    lost, shown = _lost(unreadable), [*(_name(*one) for one in unreadable), *map(_id, views)]
    ids = " ".join(shown)  # the script lets no other card stand
    if not views:
        return f"<div data-shown='{ids}'>{lost or '<p class=facts>Nothing is traded here.</p>'}</div>"
    counts = {state: sum(view.state == state for view in views) for state in _STATES}
    states = ", ".join(f"{count} {_STATES[state][1].lower()}" for state, count in counts.items() if count)
    rows = "".join(
        _sum_of(currency, [view for view in views if view.currency == currency]) for currency in _currencies(views)
    )
    return (
        f"<h2>{len(views)} account{'s' if len(views) > 1 else ''}: {states}</h2>{lost}{_stakes(views)}{_idle(views)}"
        f"<table data-shown='{ids}'><tr><th scope=col>Total in</th><th scope=col>Equity</th><th scope=col>Last bar</th><th scope=col>Since opening</th></tr>{rows}</table>"
    )


def _lost(unreadable: Sequence[tuple[str, str]]) -> str:
    """Return in words which accounts are not among what is shown, and are there."""
    names = escape(", ".join(f"{agent}/{account}" for agent, account in unreadable))
    words = f"{reading.LEDGER} of {names} cannot be read: what is shown lacks it."
    return f"<p class='note problem'>{words}</p>" if unreadable else ""


def _stakes(views: Sequence[AccountView]) -> str:
    """Return in words whether money is at stake."""
    at_stake, bridged = (sum(of(view) for view in views) for of in (lambda view: view.live, _is_bridged))
    said = [f"<b>REAL MONEY</b> in {at_stake} of {len(views)} accounts."] if at_stake else []
    if bridged:
        said.append(f"{bridged} of {len(views)} accounts trade through a bridge: whether with money is its affair.")
    return "".join(f"<p class='note problem'>{words}</p>" for words in said) or (
        "<p class='note calm'>All of this is on paper: no real money is at stake.</p>"
    )


def _idle(views: Sequence[AccountView]) -> str:
    """Return the way to every account that is not simply trading: among many nobody finds it by scrolling."""
    links = [
        f"<a href='#{_id(view)}'>{escape(title(view.agent))}, {escape(view.account)}</a>"
        for view in views
        if view.state != "trading" or view.switch is not None
    ]
    return f"<p class=facts>Look at: {'; '.join(links)}</p>" if len(views) > 1 and links else ""


def _is_bridged(view: AccountView) -> bool:
    return view.facts.get("broker") == "webhook"


def _currencies(views: Sequence[AccountView]) -> list[str]:
    return sorted({view.currency for view in views})


def _sum_of(currency: str, views: Sequence[AccountView]) -> str:
    equity, before, began = (sum(getattr(view, name) for view in views) for name in ("equity", "before", "opened_with"))
    return (
        f"<tr><td>{escape(currency or 'unknown currency')}</td><td>{_money(equity)}</td>"
        f"{_change(grown(equity, before))}{_change(grown(equity, began))}</tr>"
    )


def _account(view: AccountView) -> str:
    kind, state = _STATES.get(view.state, ("unproven", view.state))
    broker = str(view.facts.get("broker") or "unknown broker")
    words = "LIVE: real money" if view.live else _BROKERS.get(broker, f"Paper account at {broker}")
    made_up = view.facts.get("source") == "simulated"
    stamp = "<span class='badge simulated'>SIMULATED</span>" if made_up else ""
    told = "<p class='note simulated'>SIMULATED: these prices come from a market simulator and say nothing about a real market.</p>"
    reason = f"<p class='note problem'>{escape(view.reason)}</p>" if view.reason and view.state != "trading" else ""
    asked = (
        f"<p class='note problem'>The kill switch is thrown: {escape(view.switch)}.</p>"
        if view.switch is not None
        else ""
    )
    version = f"{view.who} \N{MIDDLE DOT} " if view.who else ""
    when = (
        f"{view.bars} closes, the last of <span class=whole>{moment(view.bar)}</span>" if view.bar else "no close yet"
    )
    return (
        f"<div class=top><h2>{escape(title(view.agent))}</h2><div class=badges><span class='badge {kind}'>{escape(state)}</span>"
        f"<span class='badge {'rejected' if view.live else 'paper'}'>{escape(words)}</span>{stamp}</div></div>{told if made_up else ''}"
        f"<p class=facts>Account {escape(view.account)} \N{MIDDLE DOT} {escape(version)}{when}{_heard(view)}</p>{reason}{asked}{RELEASE if view.state == 'halted' else ''}"
        f"{_figures(view) if view.bars else ''}{_curve(view)}{_positions(view)}{_orders(view)}{_interventions(view)}{_health(view)}"
    )


def _heard(view: AccountView) -> str:
    """Return when the process that trades wrote last: the state alone says what it was doing then."""
    at = view.health.get("written_at")
    told = dt.datetime.fromtimestamp(at, dt.UTC) if isinstance(at, int | float) and 0.0 < at < 1e11 else None
    return "" if told is None else f", written <span class=whole>{told:%Y-%m-%d %H:%M} UTC</span>"


def _figures(view: AccountView) -> str:
    cells = (
        (f"Equity, {escape(view.currency)}" if view.currency else "Equity", _money(view.equity), None),
        ("Cash", _money(view.cash), None),
        ("Last bar", None, grown(view.equity, view.before)),
        ("Since opening", None, grown(view.equity, view.opened_with)),
        ("Below its peak", None, drawdown(view)),
        *([("Deposits less withdrawals", _money(view.flows), None)] if view.flows else []),
    )
    return (
        "<dl class=figures>"
        + "".join(
            f"<div><dt>{name}</dt><dd>{text if text is not None else _percent(share or 0.0)}</dd></div>"
            for name, text, share in cells
        )
        + "</dl>"
    )


def _curve(view: AccountView) -> str:
    if view.opened_with <= 0.0:
        return ""
    return chart(
        [bar for bar, _ in view.line],
        {"equity": [value / view.opened_with for _, value in view.line]},
        over="the account's life",
    )


def _positions(view: AccountView) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.symbol)}</td><td>{_units(one.units)}</td><td>{_money(one.value)}</td>"
        f"<td>{_percent(one.value / view.equity) if one.value is not None and view.equity > 0 else '–'}</td></tr>"
        for one in view.positions
    )
    since = f"<p class=facts>{escape(view.since)}</p>" if view.bars and view.since else ""
    heads = ("Symbol", "Units", "Worth", "Share")
    return _table("Positions at the last close", heads, rows, none="Nothing was held.") + since


def _orders(view: AccountView) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.symbol)}</td><td>{moment(one.bar)}</td><td>{_units(one.units, sign='+')}</td><td>{escape(one.status)}</td></tr>"
        for one in view.orders[:_SHOWN]
    )
    ended = [one for one in view.orders[:_SHOWN] if one.note and one.status in _ENDED]
    why = dict.fromkeys(f"{one.symbol}, {one.status}: {one.note}" for one in ended)
    told = "".join(f"<p class=facts>{escape(words)}</p>" for words in why)
    return _table("Orders", ("Symbol", "Decided", "Units", "Status"), rows, none="No order yet.") + told


def _interventions(view: AccountView) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.rule.replace('_', ' '))}: {escape(one.action)}</td><td>{moment(one.bar)}</td>"
        f"<td class=names>{escape(', '.join(one.symbols)) or '–'}</td></tr>"
        for one in view.interventions[:_SHOWN]
    )
    return _table("Interventions and warnings", ("What", "Bar", "Symbols"), rows, none="None.")


def _health(view: AccountView) -> str:
    """Return what the monitors measure, each beside its limit, and what of it is above."""
    found = view.health
    rows = "".join(
        f"<tr><td>{name}</td><td class={'down' if _above(found, key) else 'up'}>{_plain(found.get(f'{key}_{what}'))}</td>"
        f"<td>{_plain(found.get(f'{key}_limit'))}</td></tr>"
        for name, key, what in _MONITORS
        if found.get(f"{key}_limit") is not None
    )
    rows += "".join(
        f"<tr><td>{name}</td><td>{_plain(found.get(key))}</td><td>–</td></tr>"
        for name, key in _MEASURED
        if found.get(key) is not None
    )
    return _table("Monitoring", ("What", "Now", "Limit"), rows, none="Nothing is watched.")


def _above(found: Mapping[str, Any], key: str) -> bool:
    return key in (found.get("alarms") or ())


def _plain(value: object) -> str:
    return f"{value:,.4g}".replace("-", "−") if isinstance(value, int | float) else "–"


def _table(name: str, heads: Sequence[str], rows: str, *, none: str) -> str:
    if not rows:
        return f"<h3>{name}</h3><p class=facts>{none}</p>"
    columns = "".join(f"<th scope=col>{head}</th>" for head in heads)
    return f"<h3>{name}</h3><table><tr>{columns}</tr>{rows}</table>"


def _switch(agent: str, account: str, *, keyed: bool) -> str:
    """Return the kill switch: a form that asks for a key, or how to throw it where the service has no keys."""
    if not keyed:
        return (
            f"<h3>Kill switch</h3><p class=facts>From here it needs an API key: <code>{speech.COMMAND} task=serve "
            "serve.action=create_key serve.key_name=you</code>. At the machine: a file <code>KILL</code> in the account's folder.</p>"
        )
    name, path = _name(agent, account), escape(f"/trading/{agent}/{account}/kill")
    return (
        f"<form class=kill data-path='{path}'><h3>Kill switch</h3><label for='key-{name}'>API key</label>"
        f"<input id='key-{name}' name=key type=password autocomplete=off required>"
        "<button name=command value=freeze>Freeze</button><button name=command value=flatten>Close everything</button>"
        "<output role=status></output></form>"
    )


def grown(now: float, before: float) -> float:
    """Return how far an amount is above one of before, as a share of it."""
    return now / before - 1.0 if before > 0.0 else 0.0


def drawdown(view: AccountView) -> float:
    """Return equity over its highest, less 1."""
    return grown(view.equity, view.peak)


def _money(value: float | None) -> str:
    return "–" if value is None else f"{value:z,.2f}".replace("-", "−")


def _units(value: float, *, sign: str = "") -> str:
    return f"{value:{sign},{'.6g' if abs(value) < 1e6 else '.0f'}}".replace("-", "−")


def _percent(value: float) -> str:
    return f"{100 * value:+z.2f}\N{NO-BREAK SPACE}%".replace("-", "−")


def _change(value: float) -> str:
    return f"<td class={'up' if value >= 0 else 'down'}>{_percent(value)}</td>"
