"""What Prometheus is told of the accounts: a gauge a figure, as the trading view shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wealtharena.deployment.board import drawdown
from wealtharena.trading.reading import AccountView

_GAUGES = {
    "written_at": "When the process that trades last wrote, in seconds since 1970",
    "latency_ms": "From a close to the last of its orders, median",
    "latency_ms_most": "From a close to the last of its orders, longest of late",
    "orders": "Orders meant",
    "order_errors": "Orders rejected, or expired without an execution",
    "slippage_bps": "Executions against the kernel's price, of late",
    "record_sum": "Cumulative sum of returns short of what was promised",
    "record_limit": "Where it alarms",
    "features_index": "Population stability index of what is seen",
    "features_limit": "Where it alarms",
    "actions_index": "Population stability index of what is asked for",
    "actions_limit": "Where it alarms",
    "alerts_failed": "Alerts that could not be sent",
    "alerts_lost": "Alerts that were dropped, since too many waited",
}


def exposition(views: Sequence[AccountView], unreadable: Sequence[tuple[str, str]] = ()) -> str:
    """Return the accounts for Prometheus: a gauge a figure, labelled by agent and account.

    An account without a close, opened or begun anew, has no equity yet. `unreadable` are agent and account of those whose ledger cannot be read: they have no figure but that.
    """
    gauges: dict[str, tuple[str, Callable[[AccountView], object]]] = {
        "equity": ("Equity at the last close, in account currency", lambda view: view.equity if view.bars else None),
        "drawdown": ("Equity over its highest, less 1", lambda view: drawdown(view) if view.bars else None),
        "halted": ("1 where nothing is traded until a person releases it", lambda view: int(view.state == "halted")),
        "closing": ("1 where everything is being closed", lambda view: int(view.state == "reducing")),
        "kill_switch": ("1 where the kill switch is thrown", lambda view: int(view.switch is not None)),
        "positions": ("Symbols held, with what was executed since the last close", lambda view: len(view.held)),
        "closes": ("Closes decided on", lambda view: view.bars),
        "live_money": ("1 where real money is at stake", lambda view: int(view.live)),
        **{key: (text, _of_health(key)) for key, text in _GAUGES.items()},
    }
    found = [
        (name, text, [(v.agent, v.account, value) for v in views if isinstance(value := of(v), int | float)])
        for name, (text, of) in gauges.items()
    ]
    places: list[tuple[str, str, int | float]] = [(view.agent, view.account, 0) for view in views]
    places += [(*place, 1) for place in unreadable]
    found.append(("unreadable", "1 where the ledger cannot be read", places))
    lines = []
    for name, text, rows in found:
        if rows:
            lines += [f"# HELP wealtharena_account_{name} {text}", f"# TYPE wealtharena_account_{name} gauge"]
            lines += [
                f'wealtharena_account_{name}{{agent="{agent}",account="{account}"}} {value:.15g}'
                for agent, account, value in rows
            ]
    return "".join(f"{line}\n" for line in lines)


def _of_health(key: str) -> Callable[[AccountView], object]:
    return lambda view: view.health.get(key)
