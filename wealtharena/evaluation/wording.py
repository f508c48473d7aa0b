"""Figures and runs in a sentence: what is printed is what was compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wealtharena.config.specs.runs import VerdictSpec
from wealtharena.envs.shortfall import REMEDIES
from wealtharena.evaluation.evidence import AGENT, ANCHOR, Evidence, Unfilled
from wealtharena.evaluation.trials import tried
from wealtharena.shown import some

MOST_DIGITS = 12  # of a figure that stands near its limit
NAMED = 5  # runs that a reason names


def figure(value: float, *limits: float, form: str) -> str:
    """Return `value` in the given form, with so many more digits that it reads on the same side of each limit as it is.

    `form` is a format such as `.2f`, `+.2f` or `.1%`. "0.95; 0.95 is asked" would tell nobody why it failed.
    """
    head, rest = form.split(".")
    first, kind = int(rest[:-1]), rest[-1]
    text = f"{value:{form}}"
    for digits in range(first, MOST_DIGITS + 1):
        text = f"{value:{head}.{digits}{kind}}"
        if all(_side(_read(text), bound) == _side(value, bound) for bound in limits):
            return text
    return text


def limit(value: float, *, form: str) -> str:
    """Return a limit of the configuration in the given form, with all the digits that it has."""
    rest = form.split(".")[1]
    first, kind = int(rest[:-1]), rest[-1]
    texts = (f"{value:.{digits}{kind}}" for digits in range(first, MOST_DIGITS + 1))
    return next((text for text in texts if math.isclose(_read(text), value, abs_tol=1e-12)), f"{value:{form}}")


def _read(text: str) -> float:
    """Return the number that a reader sees."""
    return round(float(text.removesuffix("%")) / 100.0, 14) if text.endswith("%") else float(text)


def _side(value: float, bound: float) -> int:
    return (value > bound) - (value < bound)


def left_out_reason(run_ids: Sequence[str]) -> str:
    """Return which completed runs a judged group lacks, in words."""
    runs = f"{len(run_ids)} completed run{'s' if len(run_ids) != 1 else ''}"
    return f"{runs} of this configuration on this window left out: {some(run_ids, NAMED)}."


def edited_reason(runs: Sequence[str]) -> str:
    """Return which recorded runs nothing vouches for, in words."""
    return f"Nothing vouches for {some(runs, NAMED, '; ')}."


def patience(evidence: Evidence) -> str:
    """Return how long a record it would take to show a difference of the size at hand."""
    needed = evidence.years_needed
    if needed is None or math.isnan(needed):
        return f"The record is {evidence.years:.1f} years long."
    if math.isinf(needed) and (evidence.sharpe_difference or 0.0) > 0.0:
        return (
            f"No record is long enough: its {evidence.seeds} seeds differ by more than this advantage, which more bars do "
            "not change; more seeds would."
        )
    if math.isinf(needed):
        return "No record would be long enough to show an advantage that is not there."
    years = f"{needed:.1f}" if needed < 100 else f"{needed:,.0f}" if needed < 1000 else "more than 1,000"
    return (
        f"It would take a record of {years} years to show a difference of this size; this one has {evidence.years:.1f}."
    )


def unfilled_reason(unfilled: Sequence[Unfilled], spec: VerdictSpec) -> str:
    """Return whose orders lapsed or were cut beyond the limit, the agent's before any other's, in words."""
    worst = max(unfilled, key=lambda found: (found.who == AGENT, found.share))
    others = [found.who for found in unfilled if found is not worst]
    also = f" (also {', '.join(others)})" if others else ""
    parts = worst.cause == "lots" and ANCHOR in {worst.who, *others}
    more = ", or env.trade_rate=1, since an order goes a part of the way" if parts else ""
    return (
        f"{figure(worst.share, spec.max_unfilled, form='.0%')} of the order value that {worst.who} asked for lapsed or "
        f"was cut{also}, "
        f"most of it by {worst.cause}: {REMEDIES.get(worst.cause, 'look at the trades')}{more}."
    )


def invested_reason(name: str, shown: str, evidence: Evidence, spec: VerdictSpec) -> str:
    """Return that a baseline which is bought once held too little, `shown`, to be compared with, and what to do, in words."""
    cause = next((found.cause for found in evidence.unfilled if found.who == name), "volume")
    more = ", or see whether the bars can be traded (data.volume_unit)" if cause == "volume" else ""
    return (
        f"{name} held {shown} of what it was to hold, {limit(spec.min_invested, form='.0%')} is asked: a comparison with "
        f"it proves nothing; {REMEDIES[cause]}{more}."
    )


def luck_reason(probability: float, evidence: Evidence, spec: VerdictSpec) -> str:
    """Return that a difference is no more than the best of all that was tried may show by luck, in words."""
    sources = tried(evidence.configurations, len(evidence.left_out), evidence.lacking)
    return (
        f"above it, but with {sources} one may be by luck; that it is more than the best of them would show has a probability of "
        f"{figure(probability, spec.min_dsr, form='.2f')}, {limit(spec.min_dsr, form='.2f')} is asked."
    )
