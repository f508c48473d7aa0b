"""The page for a person: every agent, what it holds and why, and its record. One response, no script, no other file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wealtharena import shown
from wealtharena.config import speech
from wealtharena.deployment.answers import SIGNALS_SHOWN, reasons
from wealtharena.deployment.style import STYLE
from wealtharena.prediction.agent import ServedAgent
from wealtharena.prediction.explain import Holding
from wealtharena.prediction.manager import ProductionModelManager

_TITLES = {
    "asx_stocks": "ASX stocks",
    "currency_pairs": "Currency pairs",
    "cryptocurrencies": "Cryptocurrencies",
    "etf": "ETFs",
    "commodities": "Commodities",
}
_STAGES = {"production": "In production", "paper": "On paper"}
_MEASURES = (
    ("annual_return", "Return a year", True),
    ("sharpe", "Sharpe", False),
    ("max_drawdown", "Worst drawdown", True),
)
_MAX_LINES = 6
RELEASE = (
    f"<p class=facts>It trades again once it is released at the machine: <code>{speech.COMMAND} task=paper paper.action=release "
    "paper.reason='what was found'</code> with its asset and account, without the file <code>KILL</code>, "
    "while no process trades the agent: stop it, release, start it again.</p>"
)
_LETTER = 12.0  # width of a chart's mark, a letter, with room beside it: letters are largest on a telephone
_HELD = 5e-4  # smaller weights round to 0.0 %


def front_page(manager: ProductionModelManager) -> str:
    """Return the HTML of `/`; every text that comes from a checkpoint is escaped."""
    rows = manager.list_agents()
    served = {row["agent"]: manager.serving(row["agent"]) for row in rows}
    rows.sort(key=lambda row: served[row["agent"]] is None)  # what answers stands before what does not
    count = {stage: sum(s is not None and s.pointer.stage == stage for s in served.values()) for stage in _STAGES}
    simulated = sum(s is not None and s.pointer.simulated for s in served.values())
    lead = f"{len(rows)} agents: {count['production']} in production, {count['paper']} on paper"
    lead += f", {simulated} of them trained on SIMULATED data." if simulated else "."
    why = {agent: reasons(manager, one) for agent, one in served.items() if one is not None}
    cards = "".join(_card(row, served[row["agent"]], why.get(row["agent"], ())) for row in rows)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>WealthArena agents</title><style>{STYLE}</style></head><body>"
        f"<header><h1>WealthArena agents</h1><p class=lead>{lead}</p>"
        "<nav><a href='/trading'>Trading</a> <a href='/docs'>API</a> <a href='/metrics'>Metrics</a> <a href='/ready'>Status</a></nav></header>"
        f"<main>{cards}</main><footer><p>Figures are of the held-out test window, after costs. Weights and signals are of the "
        "last recorded decision; a signal's effect is how much less of the symbol the agent would hold if that signal stood at "
        "its training average, in points of equity. Past results do not foretell future ones.</p></footer></body></html>"
    )


def title(agent: str) -> str:
    """Return an agent's name for a person."""
    return _TITLES.get(agent, agent.replace("_", " ").capitalize())


def _card(row: Mapping[str, Any], served: ServedAgent | None, why: Sequence[str]) -> str:
    told = f"{_effect(row, served)}: {escape(str(row['problem']))}"
    problem = f"<p class='note problem'>{told}</p>" if row.get("problem") else ""
    if served is None:
        hint = f"{speech.COMMAND} asset={row['asset']}" if row["asset"] else speech.COMMAND
        return (
            f"<section class=card id='{escape(row['agent'])}'><div class=top><h2>{escape(title(row['agent']))}</h2>"
            f"<span class=badge>Nothing promoted</span></div>{problem}<p class=facts>Train one with <code>{escape(hint)}</code>, then "
            f"promote it with <code>{speech.COMMAND} task=deploy</code>.</p></section>"
        )
    meta, pointer = served.metadata, served.pointer
    marks = " sim" if pointer.simulated else ""
    return (
        f"<section class='card{marks}' id='{escape(meta.agent)}'><div class=top><h2>{escape(title(meta.agent))}</h2>{_badges(served)}</div>"
        f"{_facts(served)}{problem}{_verdict(served, why)}{_record(served)}{_holdings(served)}</section>"
    )


def _effect(row: Mapping[str, Any], served: ServedAgent | None) -> str:
    """Return what an agent's problem means for who asks it."""
    if served is None or served.pointer.version != row[served.pointer.stage]:
        return "Not taken up"
    behind = [f"{row['agent']}/{stage}.json:" for stage in _STAGES if stage != served.pointer.stage]
    if str(row["problem"]).startswith(tuple(behind)):
        return "Answers, with nothing to rely on behind it"
    return "Goes on answering from memory"


def _badges(served: ServedAgent) -> str:
    pointer = served.pointer
    badges = [(pointer.stage, _STAGES[pointer.stage]), (pointer.verdict, pointer.verdict.capitalize())]
    if pointer.forced_reason:
        badges.append(("rejected", "Forced"))
    if pointer.simulated:
        badges.append(("simulated", "SIMULATED"))
    return (
        "<div class=badges>"
        + "".join(f"<span class='badge {kind}'>{escape(text)}</span>" for kind, text in badges)
        + "</div>"
    )


def _facts(served: ServedAgent) -> str:
    meta, pointer = served.metadata, served.pointer
    span = f", {meta.data.start[:10]} to {meta.data.end[:10]}" if meta.data.start and meta.data.end else ""
    text = f"{meta.algo.upper()} · version {meta.version} · since {pointer.since[:10]} · data: {meta.data.source}{span}"
    forced = (
        f"<p class='note problem'>Forced into production: {escape(pointer.forced_reason)}</p>"
        if pointer.forced_reason
        else ""
    )
    mark = (
        "<p class='note simulated'>SIMULATED: trained and tested on made-up prices. Its figures say nothing about a real market.</p>"
        if pointer.simulated
        else ""
    )
    return f"<p class=facts>{escape(text)}</p>{mark}{forced}"


def _verdict(served: ServedAgent, why: Sequence[str]) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in why)
    return f"<h3>Why {escape(served.pointer.verdict)}</h3><ul>{reasons}</ul>" if reasons else ""


def _record(served: ServedAgent) -> str:
    meta = served.metadata
    lines = list(meta.track_record.equity)[:_MAX_LINES]
    order = {name: i for i, name in enumerate(lines)}
    test = meta.metrics.get("test", {})
    rows = [_measures("agent", "This agent", test, order)] if test else []
    rows += [
        _measures(name, name.replace("_", " ").capitalize(), figures, order) for name, figures in meta.baselines.items()
    ]
    if not rows:
        return ""
    heads = "".join(f"<th>{text}</th>" for _, text, _ in _MEASURES)
    drawn = chart(meta.track_record.dates, {name: meta.track_record.equity[name] for name in lines})
    return f"<h3>Track record</h3>{drawn}<table><tr><th>Test window</th>{heads}</tr>{''.join(rows)}</table>"


def _measures(name: str, text: str, figures: Mapping[str, Any], order: Mapping[str, int]) -> str:
    cells = "".join(f"<td>{_number(figures.get(key), share=share)}</td>" for key, _, share in _MEASURES)
    key = ""
    if name in order:
        key = f"<svg class=key width=18 height=8 aria-hidden=true><line class=l{order[name]} x1=0 y1=4 x2=18 y2=4 /></svg>"
    return f"<tr class='{'agent' if name == 'agent' else ''}'><td>{key}{escape(text)}</td>{cells}</tr>"


def _number(value: object, *, share: bool) -> str:
    if not isinstance(value, int | float) or not abs(value) < 1e15:
        return "–"
    return f"{100 * value:+z.1f}\N{NO-BREAK SPACE}%".replace("-", "−") if share else f"{value:z.2f}".replace("-", "−")


def moment(bar: str) -> str:
    """Return the date of a bar, with its time where it is one within the day."""
    return escape(shown.bar_time(bar))


def chart(dates: Sequence[str], equity: Mapping[str, Sequence[float]], *, over: str = "the test window") -> str:
    """Return growth of 1 as an SVG line chart; nothing for fewer than two dates."""
    values = [value for line in equity.values() for value in line if math.isfinite(value)]
    if len(dates) < 2 or not values:
        return ""
    width, height, right, top, bottom = 560.0, 180.0, 8.0, 10.0, 22.0
    low, high = min(values), max(values)
    pad = 0.06 * (high - low) or 0.05
    low, high = low - pad, high + pad

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * (height - top - bottom)

    marks = _ticks(low, high)
    digits = max(2, math.ceil(-math.log10(marks[1] - marks[0]) - 1e-9))  # so that no two marks read alike
    left = max(48.0, _LETTER * max(len(f"{mark:.{digits}f}") for mark in marks))
    step = (width - left - right) / (len(dates) - 1)
    grid = "".join(
        f"<line class=grid x1={left:g} x2={width - right:g} y1={y(v):.1f} y2={y(v):.1f} />"
        f"<text x={left - 6:g} y={y(v) + 4:.1f} text-anchor=end>{v:.{digits}f}</text>"
        for v in marks
    )
    drawn = []
    for i, line in enumerate(equity.values()):
        points = " ".join(
            f"{left + k * step:.1f},{y(value):.1f}" for k, value in enumerate(line) if math.isfinite(value)
        )
        drawn.append(f"<polyline class=l{i} points='{points}' />")
    ends = (
        f"<text x={left:g} y={height - 6:g}>{escape(dates[0][:10])}</text>"
        f"<text x={width - right:g} y={height - 6:g} text-anchor=end>{escape(dates[-1][:10])}</text>"
    )
    names = ", ".join(name.replace("_", " ") for name in equity)
    return (
        f"<svg class=chart viewBox='0 0 {width:g} {height:g}' role=img aria-label='Growth of 1 over {escape(over)}: {escape(names)}'>"
        f"{grid}{''.join(reversed(drawn))}{ends}</svg>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers between two values, three at least, in the largest steps that give them."""
    size = 10 ** math.floor(math.log10((high - low) / 4))
    for step in (10 * size, 5 * size, 2 * size):
        found = [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(found) > 2:
            return found
    return [k * size for k in range(math.ceil(low / size), math.floor(high / size) + 1)]


def _holdings(served: ServedAgent) -> str:
    why = served.explanation
    held = sorted((item for item in why.holdings if abs(item.weight) >= _HELD), key=lambda item: -abs(item.weight))
    idle = [item.symbol for item in why.holdings if abs(item.weight) < _HELD]
    widest = max([abs(item.weight) for item in held] + [abs(why.cash), 1.0])
    rows = "".join(_holding(item, widest) for item in held)
    cash = f"<div class='row still'><b>Cash</b>{_bar(why.cash, widest, 'cash')}<span>{_weight(why.cash)}</span></div>"
    rest = f"<p class=facts>Not held: {escape(', '.join(idle))}</p>" if idle else ""
    when = f" of {escape(why.recorded_at[:10])}" if why.recorded_at else ""
    return f"<h3>The last recorded decision{when}, and why</h3>{rows}{cash}{rest}"


def _holding(item: Holding, widest: float) -> str:
    kind = "long" if item.weight >= 0 else "short"
    row = f"<span class=row><b>{escape(item.symbol)}</b>{_bar(item.weight, widest, kind)}<span>{_weight(item.weight)}</span></span>"
    signals = "".join(
        f"<tr><td>{escape(signal.feature)}</td><td>{signal.score:+.1f} σ</td><td class={'up' if signal.effect >= 0 else 'down'}>"
        f"{100 * signal.effect:+.2f}</td></tr>".replace("-", "−")
        for signal in item.signals[:SIGNALS_SHOWN]
    )
    table = (
        f"<table><tr><th>Signal</th><th>now</th><th>effect, points</th></tr>{signals}</table>"
        if signals
        else "<p class=facts>No signals.</p>"
    )
    return f"<details><summary>{row}</summary><div class=why>{table}</div></details>"


def _weight(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%".replace("-", "−")


def _bar(value: float, widest: float, kind: str) -> str:
    length = min(100.0, 100.0 * abs(value) / widest)
    return (
        "<svg class=bar viewBox='0 0 100 12' preserveAspectRatio=none aria-hidden=true>"
        f"<rect class=track x=0 y=4 width=100 height=4 rx=1 /><rect class={kind} x=0 y=0 width={length:.2f} height=12 rx=1 /></svg>"
    )
