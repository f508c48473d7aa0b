"""Figures and names as a reader sees them, escaped for HTML."""

from __future__ import annotations

import datetime as dt
import html
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from wealtharena import terminal

_LONGEST = 6  # decimals of a number that is written out
SMALL = 0.01  # shares below this are written with two decimals
_LARGE = 1e5  # a figure from which decimals are no news
DASH = "—"
MINUS = "−"
UNIT_GAP = "\N{NO-BREAK SPACE}"  # between a number and its unit: no line ends there
Kind = Literal["percent", "ratio", "count", "money", "years", "share"]


@dataclass(frozen=True)
class Measure:
    """How one measure of run.json is called, written and explained."""

    name: str
    label: str
    kind: Kind
    signed: bool
    meaning: str


_MEASURES = (
    Measure("total_return", "Total return", "percent", True, "V_n / V_0 − 1"),
    Measure("annual_return", "Annual return", "percent", True, "(V_n / V_0)^(B/n) − 1, B bars a year, n bars"),
    Measure("annual_volatility", "Annual volatility", "percent", False, "standard deviation of the returns × √B"),
    Measure("sharpe", "Sharpe ratio", "ratio", True, "mean(r − rf) / std(r − rf) × √B"),
    Measure("sortino", "Sortino ratio", "ratio", True, "mean(r − rf) / √mean(min(r − rf, 0)²) × √B"),
    Measure("max_drawdown", "Worst drawdown", "percent", True, "min(V / highest V so far) − 1"),
    Measure("calmar", "Calmar ratio", "ratio", True, "annual return / |worst drawdown|"),
    Measure("win_rate", "Win rate", "share", False, "bars with a gain among those with a gain or a loss"),
    Measure("profit_factor", "Profit factor", "ratio", False, "sum of gains / sum of losses"),
    Measure("var_95", "Value at risk, 95 %", "percent", True, "5 % quantile of the returns of a bar"),
    Measure("cvar_95", "Expected shortfall, 95 %", "percent", True, "mean of the lowest 5 % of the returns of a bar"),
    Measure("turnover", "Turnover a year", "ratio", False, "traded value / equity, a year; 1 is the account once"),
    Measure("exposure", "Mean exposure", "share", False, "mean sum of absolute weights"),
    Measure(
        "trades",
        "Orders",
        "count",
        False,
        "executed orders of a millionth of equity or more (less is rounding), and positions closed by force",
    ),
    Measure(
        "costs_paid",
        "Costs paid",
        "money",
        False,
        "commission, spread and impact, and what delistings and liquidations took, in account currency",
    ),
    Measure(
        "psr",
        "Probabilistic Sharpe",
        "share",
        False,
        "probability that the true Sharpe ratio is above 0, given length, skewness and kurtosis (Bailey and López de Prado 2012)",
    ),
    Measure(
        "min_track_record_length",
        "Record needed",
        "years",
        False,
        "years of such a record until the Sharpe ratio is above 0 at 95 %",
    ),
)
MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in _MEASURES}
_TONED = {"total_return", "annual_return", "sharpe", "sortino", "calmar"}  # a drawdown is always below zero
_NAMES = {
    "buy_and_hold": "Buy & hold",
    "equal_weight": "Equal weight",
    "momentum": "Momentum",
    "inverse_volatility": "Inverse volatility",
    "minimum_variance": "Minimum variance",
    "cash": "Cash",
    "random": "Random",
    "asx_stocks": "ASX stocks",
    "etf": "ETF",
    "benchmark": "Benchmark",
    "dsr": "Deflated Sharpe ratio (DSR)",
    "pbo": "Probability of overfitting (PBO)",
    "psr": "Probabilistic Sharpe ratio",
    "trials": "Results it may be chosen from",
    "configurations": "Configurations tried",
    "elsewhere": "Other test windows looked at",
    "left_out": "Completed runs left out",
    "lacking": "Seeds that only other configurations showed",
    "openings": "Looks at the test window",
    "own_openings": "Looks by this configuration",
    "beats": "Baseline to beat",
    "cash_return": "Return of cash, or of a higher hurdle",
}
_SHORT = {"Inverse volatility": "Inv. vol.", "Minimum variance": "Min. var.", "Equal weight": "Equal w."}
_SMALL = {"ppo", "appo", "impala", "a2c", "dqn", "sac", "tqc", "bc", "marwil", "cql", "iql", "etf"}


STATUS: Mapping[str, str] = {"promotable": "✓ Promotable", "unproven": "? Unproven", "rejected": "✕ Rejected"}


def escape(value: object) -> str:
    """Return `value` as text that is safe in HTML, in an element or a quoted attribute."""
    return html.escape(str(value), quote=True)


def name_of(key: str, *, short: bool = False) -> str:
    """Return a baseline, agent or class by the name that people use; unknown names lose their underscores."""
    name = _NAMES.get(key) or (key.upper() if key in _SMALL else key.replace("_", " "))
    name = name[:1].upper() + name[1:]
    return _SHORT.get(name, name) if short else name


def window_of(run: Mapping[str, Any], window: str = "test") -> str:
    """Return what a run's figures called `window` are of, in words.

    Those called `test` are of any window that a backtest was asked for, or of a record that was made elsewhere.
    """
    if window == "test" and run.get("algo") == "returns":
        return "record"
    played = str((run.get("backtest") or {}).get("window", "test"))
    return f"{window} window" if window != "test" or played == "test" else "window played"


def kept_shares(run: Mapping[str, Any]) -> dict[str, float]:
    """Return lambda of each fold's agent by where it stands in run.json; of the only one where there is no more, none where none is told."""
    folds = run.get("folds")
    blocks = {f"folds.{n}.checkpoint": fold for n, fold in enumerate(folds)} if folds else {"checkpoint": run}
    found = {at: finite((block.get("checkpoint") or {}).get("kept_share")) for at, block in blocks.items()}
    return {f"{at}.kept_share": share for at, share in found.items() if share is not None}


def stays(run: Mapping[str, Any]) -> str:
    """Return what an agent is of which nothing was kept."""
    return "the agent is its anchor" if "anchor" in (run.get("comparison") or {}) else "the agent stays in cash"


def learned(run: Mapping[str, Any]) -> str:
    """Return what `kept_shares` say of what was learned, in a sentence; of the only fold by what its validation found."""
    shares, chosen = [*kept_shares(run).values()], run.get("checkpoint") or {}
    beside, t = finite(chosen.get("learned_less_anchor")), finite(chosen.get("learned_t"))
    # or it learned nothing at all, or was trained before this was told
    if len(shares) > 1 or beside is None or t is None:
        if not any(shares):
            return f"the validation proved nothing of what was learned, so {stays(run)}."
        if len(shares) == 1:
            return "so much of what was learned is kept, by the evidence of the validation."
        saved = "" if shares[-1] else f" What is saved is of the last fold: {stays(run)}."
        return f"so much of what each learned is kept, by the evidence of its validation.{saved}"
    other = "its anchor" if "anchor" in (run.get("comparison") or {}) else "cash"
    side = "less" if beside < 0.0 else "more"
    found = f"on validation what was learned earned {abs(beside):.1%} a year {side} than {other} (t {t:+.2f})"
    if any(shares):
        return f"{found}, and so much of it is kept."
    return f"{found}{'' if beside < 0.0 else ', which proves nothing'}, so {stays(run)}."


def prose(text: object) -> str:
    """Return a sentence of run.json, escaped, with baselines by name, and figures as the tables beside it write them."""
    words = re.sub(r"(?<![\w-])-(?=\d)", MINUS, str(text))
    words = re.sub(r"(?<=\d)%", f"{UNIT_GAP}%", words)
    words = re.sub(r"\b[a-z]+_[a-z_]+\b", lambda m: _NAMES.get(m[0], m[0]).lower(), words)
    return escape(words)


def challenged(found: Mapping[str, Any]) -> str:
    """Return a retraining's `challenge` in a sentence: the gate asks it beside the verdict."""
    who = f"the incumbent {found['incumbent']} on data that neither has seen"
    why = found["why_not"]
    if found["ci95"]:
        told = (found["sharpe_difference"], *found["ci95"])
        ratio, low, high = (terminal.figure(value, "+.2f") for value in told)
        why = f"Sharpe ratio {ratio}, interval {low} to {high}, {found['start']} to {found['end']}"
    return f"It beats {who}: {why}." if found["beats"] else f"It does not beat {who}, so that it stays on paper: {why}."


def finite(value: Any) -> float | None:
    """Return `value` as a finite float; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def percent(value: float, *, digits: int = 1, signed: bool = False) -> str:
    """Return a share as a percentage: 0.123 is 12.3 %."""
    return f"{number(100.0 * value, digits=digits, signed=signed)}{UNIT_GAP}%"


def number(value: float, *, digits: int = 2, signed: bool = False) -> str:
    """Return a number with grouped thousands and a true minus sign; never a negative zero."""
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    if not any(digit in text for digit in "123456789"):
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def price(value: float) -> str:
    """Return a price with as many digits as it takes to tell it from its neighbours, however small it is."""
    if not math.isfinite(value):
        return DASH
    size = abs(value)
    if size >= 10 or size == 0:
        return number(value, digits=2)
    return number(value, digits=4 if size >= 0.1 else 4 - math.floor(math.log10(size)) - 1)


def amount(value: float, *, digits: int) -> str:
    """Return a number with `digits` decimals, or with two digits of its own where it would be written as 0 and is not."""
    if value == 0 or round(value, digits) != 0:
        return number(value, digits=digits)
    own = 1 - math.floor(math.log10(abs(value)))
    return number(value, digits=own) if own <= _LONGEST else f"{value:.0e}".replace("-", MINUS)


def figure(kind: Kind, value: Any, *, signed: bool = False) -> str:
    """Return `value` as its kind is written; a dash where it is not defined."""
    known = finite(value)
    if known is None:
        return DASH
    if kind == "percent":
        return percent(known, digits=2 if abs(known) < SMALL else 1 if abs(known) < _LARGE / 1000 else 0, signed=signed)
    if kind == "share":
        return percent(known)
    if kind == "count":
        return number(known, digits=0)
    if kind == "money":
        return number(known, digits=0 if abs(known) >= 1000 else 2)
    if kind == "years":
        return f"{number(known, digits=1)}{UNIT_GAP}years" if known < 1000 else f">{UNIT_GAP}1,000{UNIT_GAP}years"
    return number(known, digits=2 if abs(known) < _LARGE else 0, signed=signed)


def place(path: str, key: str) -> str:
    """Return the address of `key` below `path`, in brackets where the key has a dot of its own: `symbols[ANZ.AX]`."""
    return f"{path}[{key}]" if "." in key else f"{path}.{key}"


def measured(path: str, value: Any, measure: Measure) -> str:
    """Return a figure of run.json as HTML that carries its path and exact value: `data-metric="test.sharpe"`."""
    text = figure(measure.kind, value, signed=measure.signed)
    known = finite(value)
    raw = "" if known is None else f' value="{known!r}"'
    css = tone(known) if measure.name in _TONED else "plain"
    return f'<data class="{css}" data-metric="{escape(path)}"{raw}>{text}</data>'


def tone(value: float | None) -> str:
    """Return the CSS class of a signed figure."""
    if value is None or value == 0:
        return "plain"
    return "gain" if value > 0 else "loss"


def day(value: Any) -> str:
    """Return a date or time as 5 Mar 2021, with the hour where it has one; text that is no date is returned as it is."""
    try:
        moment = dt.datetime.fromisoformat(str(value).replace("Z", "+00:00")[:26].rstrip("T"))
    except ValueError:
        return str(value)
    text = f"{moment.day} {moment:%b %Y}"
    return text if (moment.hour, moment.minute) == (0, 0) else f"{text} {moment:%H:%M}"
