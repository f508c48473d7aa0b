"""Tables of the report as HTML; every piece of text that comes from outside is escaped here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wealtharena.data.panel import trade_dates
from wealtharena.envs.trajectory import Trajectory
from wealtharena.reporting.charts import compare
from wealtharena.reporting.data import AuditRow, ReportData, SeedRow, StressRow
from wealtharena.reporting.words import (
    DASH,
    MEASURES,
    SMALL,
    UNIT_GAP,
    amount,
    day,
    escape,
    figure,
    finite,
    measured,
    name_of,
    number,
    percent,
    price,
    prose,
    tone,
    window_of,
)

_STACKED = ("board", "audit")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LAST_TRADES = 15
LARGEST_TRADES = 10
ROUNDS_TO_NOTHING = 0.005  # a Sharpe ratio of two decimals
_SHARES = (
    "annual_return",
    "worst_drawdown",
    "risk_free_per_year",
    "risk_free_floor",
    "cash_return",
    "exposure",
    "max_gross",
)  # of the verdict's evidence
_STRESS = ("total_return", "sharpe", "max_drawdown")
_SEEDS = ("total_return", "sharpe", "max_drawdown", "turnover", "trades")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, css: str = "") -> str:
    """Return a table in a frame that scrolls sideways; cells are HTML already, the first of a row is its heading.

    Tables of css `board` and `audit` stack their cells on a phone, each under its column's heading, since what counts in
    them stands on the right.
    """
    labels = [re.sub("<[^>]+>", "", cell) for cell in head] if css in _STACKED else ()
    body = "".join(_row(row, labels) for row in rows)
    heads = "".join(
        f'<th scope="col">{cell}</th>' if cell else "<td></td>" for cell in head
    )  # a heading says something
    return (
        f'<div class="scroll" tabindex="0"><table class="{css}"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def measures(run: Mapping[str, Any]) -> str:
    """Return every measure of run.json: the agent by window, then the baselines over the one that was played."""
    windows = [(name, values) for name, values in (run.get("metrics") or {}).items() if values]
    windows.sort(
        key=lambda item: (
            ("test", "validation", "train").index(item[0]) if item[0] in ("test", "validation", "train") else 9
        )
    )
    baselines = [(name, values) for name, values in (run.get("baselines") or {}).items() if values]
    known = {key for _, values in [*windows, *baselines] for key in values}
    rows = []
    for measure in (m for m in MEASURES.values() if m.name in known):
        cells = [f'<span title="{escape(measure.meaning)}">{escape(measure.label)}</span>']
        cells += [
            measured(f"metrics.{name}.{measure.name}", values.get(measure.name), measure) for name, values in windows
        ]
        cells += [
            measured(f"baselines.{name}.{measure.name}", values.get(measure.name), measure)
            for name, values in baselines
        ]
        rows.append(cells)
    called = [window_of(run, name) for name, _ in windows]
    head = [
        "Measure",
        *(escape(name_of(name.removesuffix(" window"))) for name in called),
        *(escape(name_of(name)) for name, _ in baselines),
    ]
    return table(head, rows, css="measures")


def baseline_notes(run: Mapping[str, Any]) -> str:
    """Return what the measures of a baseline do not say: how much of it was bought, how far its draws lie apart."""
    notes = []
    for name, values in (run.get("baselines") or {}).items():
        label, share, draws = escape(name_of(name)), finite(values.get("invested")), finite(values.get("seeds"))
        if share is not None:
            notes.append(f"{label} held {percent(share)} of what it was to hold, over the window.")
        if draws is not None:
            low = _raw(f"baselines.{name}.sharpe_low", finite(values.get("sharpe_low")))
            high = _raw(f"baselines.{name}.sharpe_high", finite(values.get("sharpe_high")))
            notes.append(
                f"{label} is the mean of {draws:.0f} draws; nine in ten have a Sharpe ratio from {low} to {high}. "
                "Its path is the one nearest the mean."
            )
    return f'<p class="soft">{" ".join(notes)}</p>' if notes else ""


def drawn(run: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the baselines whose figures are means over draws, and whose path is one of these."""
    found = (run.get("baselines") or {}).items()
    return tuple(name for name, values in found if finite((values or {}).get("seeds")) is not None)


def comparison(run: Mapping[str, Any]) -> str:
    """Return the difference in Sharpe ratio to each baseline with interval and p-value, drawn on one axis."""
    rows = []
    entries = [(name, entry) for name, entry in (run.get("comparison") or {}).items() if entry]
    edges = [finite(v) for _, e in entries for v in (e.get("sharpe_difference"), *(e.get("ci95") or ()))]
    limits = compare.limits(edges)
    for name, entry in entries:
        low, high = ([finite(v) for v in entry.get("ci95") or ()] + [None, None])[:2]
        difference, p_value = finite(entry.get("sharpe_difference")), finite(entry.get("p_value"))
        own = ((run.get("baselines") or {}).get(name) or {}).get("sharpe")
        path, digits = f"comparison.{name}", _digits(low, high)
        rows.append(
            [
                escape(name_of(name)),
                measured(f"{path}.sharpe_difference", difference, MEASURES["sharpe"])
                if digits == 2
                else _raw(f"{path}.sharpe_difference", difference, digits=digits),
                compare.interval(difference, low, high, limits=limits),
                f"{_raw(f'{path}.ci95.0', low, digits=digits)} to {_raw(f'{path}.ci95.1', high, digits=digits)}"
                if low is not None
                else DASH,
                _raw(f"{path}.p_value", p_value, signed=False, digits=3),
                measured(f"baselines.{name}.sharpe", own, MEASURES["sharpe"]),
            ]
        )
    head = ["Baseline", "Difference", "", "95 % interval", "p", "Its own Sharpe"]
    return table(head, rows, css="comparison")


def monthly(path: Trajectory) -> str:
    """Return net returns by month and year; a month that the window covers in part shows that part."""
    months, values = month_returns(path)
    first, last = int(months[0]) // 12, int(months[-1]) // 12
    by_month = dict(zip(months.tolist(), values.tolist(), strict=True))
    largest = float(np.abs(values).max(initial=0.0))
    rows = []
    for year in range(last, first - 1, -1):
        inside = [by_month[m] for m in range(year * 12, year * 12 + 12) if m in by_month]
        cells = [str(1970 + year)]
        cells += [_heat(by_month.get(year * 12 + m), largest) for m in range(12)]
        total = float(np.prod(1 + np.array(inside)) - 1)
        rows.append([*cells, f'<b class="{tone(total)}">{figure("percent", total, signed=True)}</b>'])
    return table(["", *MONTHS, "Year"], rows, css="months")


def month_returns(path: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Return months since January 1970 and the return over each, compounding to the total return.

    A session that begins before midnight UTC is of its own date's month.
    """
    months = trade_dates(path.timestamps).astype("datetime64[M]").astype(np.int64)
    last = np.append(np.flatnonzero(np.diff(months)), len(months) - 1)
    equity = path.equity[last]
    before = np.concatenate([[path.equity[0]], equity[:-1]])
    grown = np.divide(equity, before, out=np.ones_like(equity), where=before != 0)  # of nothing comes nothing
    keep = last > 0  # a window that begins on a month's last bar has no return in that month
    return months[last][keep], (grown - 1.0)[keep]


def stress(
    rows: Sequence[StressRow], run: Mapping[str, Any], *, beside: str, plain: Mapping[str, Any] | None = None
) -> str:
    """Return the stressed backtests under the plain one, with the baseline `beside` under the same conditions.

    `plain` are the figures of several seeds as they ran; without it, the test's of run.json are those of the only one.
    """
    base = (run.get("metrics") or {}).get("test") or {}
    other = ((run.get("baselines") or {}).get(beside) or {}).get("sharpe")
    own = [measured(f"metrics.test.{key}", base.get(key), MEASURES[key]) for key in _STRESS]
    as_run = own if plain is None else _figures(plain, _STRESS)
    cells = [["<b>As run</b>", *as_run, measured(f"baselines.{beside}.sharpe", other, MEASURES["sharpe"]), ""]]
    for row in rows:
        figures = [*_figures(row.metrics, _STRESS), *_figures(row.baseline, ("sharpe",))]
        cells.append([escape(row.name[:1].upper() + row.name[1:]), *figures, escape(row.note)])
    head = ["Condition", *(MEASURES[key].label for key in _STRESS), f"{escape(name_of(beside))}, Sharpe", ""]
    return table(head, cells, css="stress")


def seeds(rows: Sequence[SeedRow], *, word: str) -> str:
    """Return one row a seed (or a path, as `word` says), with its run where rows name one."""
    cells = [[f"{escape(word)} {row.seed}", *_figures(row.metrics, _SEEDS)] for row in rows]
    head = ["", *(MEASURES[key].label for key in _SEEDS)]
    if any(row.run_id for row in rows):
        head.append("Run")
        cells = [[*own, escape(row.run_id)] for own, row in zip(cells, rows, strict=True)]
    return table(head, cells)


def audit(rows: Sequence[AuditRow]) -> str:
    """Return the checks of the look-ahead audit with their results."""
    words = {
        True: '<span class="mark pass">passed</span>',
        False: '<span class="mark fail">failed</span>',
        None: "not run",
    }
    return table(
        ["Check", "Result", ""],
        [[escape(r.name[:1].upper() + r.name[1:]), words[r.passed], escape(r.detail)] for r in rows],
        css="audit",
    )


def rules(run: Mapping[str, Any]) -> str:
    """Return every rule of the verdict with what it says; nothing where run.json has none."""
    words = {"promotable": ("pass", "met"), "unproven": ("open", "open"), "rejected": ("fail", "broken")}
    rows = []
    for entry in (run.get("verdict") or {}).get("rules") or ():
        css, word = words.get(str(entry.get("status")), ("open", str(entry.get("status"))))
        name = name_of(str(entry.get("rule") or entry.get("name") or ""))
        rows.append([escape(name), f'<span class="mark {css}">{escape(word)}</span>', prose(entry.get("reason", ""))])
    return table(["Rule", "Result", ""], rows, css="audit") if rows else ""


def trades(path: Trajectory, *, largest: bool) -> str:
    """Return the last orders, or the largest by value, newest or largest first."""
    orders = path.trades
    if largest:
        picked = path.orders[np.argsort(-np.abs(orders.value[path.orders]), kind="stable")][:LARGEST_TRADES]
    else:
        picked = path.orders[::-1][:LAST_TRADES]
    quotes = orders.price if orders.quote is None else orders.quote
    rows = []
    for i in picked:
        units, side = float(orders.units[i]), "buy" if orders.units[i] > 0 else "sell"
        rows.append(
            [
                escape(day(path.timestamps[orders.bar[i]])),
                escape(path.symbols[orders.symbol[i]]),
                side,
                amount(abs(units), digits=0 if abs(units) >= 1000 else 4 if abs(units) < 1 else 2),
                price(float(quotes[i])),
                amount(abs(float(orders.value[i])), digits=0),
                amount(float(orders.cost[i]), digits=2),
            ]
        )
    return table(["Filled", "Symbol", "Side", "Units", "Price", "Value", "Cost"], rows, css="trades")


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return a list of terms and HTML values; empty values are left out."""
    shown = "".join(f"<div><dt>{escape(term)}</dt><dd>{value}</dd></div>" for term, value in pairs if value)
    return f'<dl class="facts">{shown}</dl>'


def evidence(data: ReportData) -> str:
    """Return the figures that the verdict rests on, by the names of run.json."""
    found = (data.run.get("verdict") or {}).get("evidence") or {}
    return facts([(name_of(key), _evidence(f"verdict.evidence.{key}", key, value)) for key, value in found.items()])


def _evidence(path: str, key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    known = finite(value)
    if known is None:
        return escape(name_of(value)) if isinstance(value, str) else ""
    if key in _SHARES:
        text = figure("percent", known, signed=True)
    else:
        text = number(known, digits=0 if isinstance(value, int) else 3)
    return f'<data data-metric="{escape(path)}" value="{known!r}">{text}</data>'


def _figures(metrics: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    found = []
    for key in keys:
        measure, value = MEASURES[key], metrics.get(key)
        css = tone(finite(value)) if key in ("total_return", "sharpe") else "plain"
        found.append(f'<span class="{css}">{figure(measure.kind, value, signed=measure.signed)}</span>')
    return found


def _heat(value: float | None, largest: float) -> str:
    """Return a month's cell; full colour is 10 %, or the largest month of a record that never moved so far."""
    if value is None:
        return ""
    full = min(max(largest, 0.01), 0.10)
    depth = min(abs(value) / full, 1.0) * 0.55 + (0.06 if value else 0.0)
    css = "up" if value > 0 else "down" if value < 0 else "flat"
    text = number(100 * value, digits=2 if largest < 2 * SMALL else 1, signed=True)
    return f'<span class="heat {css}" style="--a:{depth:.2f}">{text}</span>'


def _raw(path: str, value: float | None, *, signed: bool = True, digits: int = 2) -> str:
    if value is None:
        return DASH
    text = number(value, digits=digits, signed=signed)
    if digits == 3 and 0 <= value < 0.001:
        text = f"<{UNIT_GAP}0.001"
    return f'<data data-metric="{escape(path)}" value="{value!r}">{escape(text)}</data>'


def _digits(*edges: float | None) -> int:
    """Return how many decimals tell on which side of 0 the edges of an interval lie."""
    return 4 if any(edge is not None and 0.0 < abs(edge) < ROUNDS_TO_NOTHING for edge in edges) else 2


def _row(cells: Sequence[str], labels: Sequence[str]) -> str:
    first, *rest = cells
    marks = [f' data-label="{label}"' for label in labels[1:]] or [""] * len(rest)
    body = "".join(f"<td{mark}>{cell}</td>" for mark, cell in zip(marks, rest, strict=True))
    return f'<tr><th scope="row">{first}</th>{body}</tr>'
