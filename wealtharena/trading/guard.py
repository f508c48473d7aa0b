"""The layer between decisions and orders: every rule of conf/risk that is on, in one fixed order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np

from wealtharena.config import plugins
from wealtharena.config.specs.risk import RiskSpec, RuleSpec
from wealtharena.trading.risk import unknown_account
from wealtharena.trading.situation import Breach, Floats, Situation

State = Literal["trading", "reducing", "halted"]
ORDER: Final = (  # faults of data and account first, then what is lost, then what is too large
    "stale_data", "price_jump", "daily_loss", "drawdown", "symbol_weight", "order_volume", "gross", "order_rate",
)  # fmt: skip
TOGETHER: Final = "gross"  # asked once more at the end: what others cut may leave more on one side


@dataclass(frozen=True)
class Intervention:
    """One thing that was not done as decided, and why."""

    rule: str
    action: str
    symbols: tuple[str, ...]
    numbers: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Ruling:
    """What is sent instead of what was decided."""

    orders: Floats  # [A] units with a sign
    state: State
    interventions: tuple[Intervention, ...] = field(default=())


def check(now: Situation, risk: RiskSpec, state: State) -> Ruling:
    """Return the orders that every rule lets pass, the state after them, and each intervention with its numbers.

    `reducing` closes everything until nothing is held and is `halted` then; `halted` sends nothing. Neither ends by
    itself. What makes a position smaller passes every limit; an intervention counts it as `passed`.
    """
    if state == "halted":
        return Ruling(np.zeros_like(now.orders), state)
    if state == "reducing":
        return _closing(now, ())
    found: list[Intervention] = []
    rules = risk.rules
    for name in (*ORDER, *sorted(risk.own)):
        if name in rules:
            after = _asked(name, rules[name], now, found)
            if isinstance(after, Ruling):
                return after
            now = after
    if found and TOGETHER in rules:
        after = _together(now, rules[TOGETHER], found)
        if isinstance(after, Ruling):
            return after
        now = after
    return Ruling(now.orders, "trading", tuple(found))


def _asked(name: str, rule: RuleSpec, now: Situation, found: list[Intervention]) -> Situation | Ruling:
    """Return the situation after one rule, the same where it lets all pass, or the ruling that it ends in; `found` gets its word."""
    breach: Breach | None = plugins.load("trading.risk", name).check(now, rule)
    if breach is None:
        return now
    _check_breach(name, breach, len(now.symbols))
    if all(one.rule != name for one in found):
        found.append(_told(name, rule.action, now, breach))
    if rule.action == "halt":
        return Ruling(np.zeros_like(now.orders), "halted", tuple(found))
    if rule.action == "flatten":
        return _closing(now, tuple(found))
    return now.with_increasing(
        breach.allowed if rule.action == "shrink" else np.where(breach.symbols, 0.0, now.increasing)
    )


def _together(now: Situation, rule: RuleSpec, found: list[Intervention]) -> Situation | Ruling:
    """Return what is left once the limit of all positions together holds for what the rules have left: lots and rules
    behind it cut one side more than the other, and what is net grows by that. Where it cannot be met, nothing is opened.
    """
    for _ in range(2 * len(now.symbols) + 2):
        after = _asked(TOGETHER, rule, now, found)
        if isinstance(after, Ruling) or after is now:
            return after
        now = after
    return now.with_increasing(np.zeros_like(now.orders))


def unknown(bars: int, risk: RiskSpec, state: State) -> Ruling:
    """Return the ruling at a bar at which the account has been unknown for `bars` bars: nothing is sent.

    One that closes all goes on with it as soon as it is known: a halt would leave what is held to itself.
    """
    if state == "halted":  # which was told of when it came about
        return Ruling(np.zeros(0), state, ())
    rule = risk.unknown_account
    numbers: dict[str, float] = {"bars": float(bars)}
    if rule is None or state == "reducing" or not unknown_account.blind(bars, rule):
        return Ruling(np.zeros(0), state, (Intervention("unknown_account", "skip", (), numbers),))
    told = Intervention("unknown_account", rule.action, (), {**numbers, "max_bars": float(rule.max_bars)})
    return Ruling(np.zeros(0), "halted", (told,))


def _closing(now: Situation, found: tuple[Intervention, ...]) -> Ruling:
    if not now.units.any():
        return Ruling(np.zeros_like(now.orders), "halted", found)
    return Ruling(-now.units, "reducing", found)


def _check_breach(name: str, breach: Breach, count: int) -> None:
    """Raise WealthArenaError where a rule's answer is none, or is not one of `count` symbols."""
    if not isinstance(breach, Breach):
        raise plugins.misused(
            "trading.risk", name, f"check returned a {type(breach).__name__}, neither a Breach nor None"
        )
    if np.shape(breach.symbols) != (count,) or np.asarray(breach.symbols).dtype != np.bool_:
        raise plugins.misused("trading.risk", name, f"its Breach.symbols are not {count} of true and false")
    if np.shape(breach.allowed) != (count,) or not np.isfinite(breach.allowed).all():
        raise plugins.misused("trading.risk", name, f"its Breach.allowed is not {count} finite units")


def _told(name: str, action: str, now: Situation, breach: Breach) -> Intervention:
    symbols = tuple(symbol for symbol, over in zip(now.symbols, breach.symbols, strict=True) if over)
    passed: dict[str, Any] = {"passed": float((now.reducing != 0.0).sum())}
    return Intervention(name, action, symbols, {**breach.numbers, **passed})
