"""report.html: one run, told to a person who knows finance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wealtharena import files
from wealtharena.envs.trajectory import Trajectory
from wealtharena.reporting import charts, tables
from wealtharena.reporting.charts import book, compare, paths, training
from wealtharena.reporting.data import ReportData
from wealtharena.reporting.head import first_screen, top
from wealtharena.reporting.page import figure, page, section
from wealtharena.reporting.pointer import SCRIPT
from wealtharena.reporting.shape import shape
from wealtharena.reporting.svg import Size
from wealtharena.reporting.words import MEASURES, escape, finite, name_of, number, window_of

_TRIO = Size(364, 190, left=46, right=12)
_TRIO_NARROW = Size(348, 190, left=46, right=12)
_SEVERAL = {
    "seed": "The same configuration trained {count} times. What differs between the dots is chance.",
    "path": "The same configuration on {count} paths through the same bars, each put together from other folds.",
}
_SEEDS = Size(860, 112, left=110, right=24)
_SEEDS_NARROW = Size(348, 132, left=92, right=16)
_MONTHLY = 11.0  # bars a year: fewer are longer than a month


def write(path: Path, data: ReportData) -> Path:
    """Write the report to `path`, whole or not at all: one file that loads nothing, under 2 MB. Return the path."""
    files.write_text(path, render(data))
    return path


def render(data: ReportData) -> str:
    """Return the report as an HTML document."""
    sections = [_risk(data), _months(data), shape(data), _baselines(data), _positions(data), _stress(data)]
    sections += [_seeds(data), _trades(data), _training(data), _audit(data), _notes(data), _repeat(data)]
    found = [text for text in sections if text]
    body = f"{top(data)}<main>{first_screen(data)}{_contents(found)}{''.join(found)}{_foot(data)}</main>"
    title = f"{name_of(str(data.run.get('agent', 'run')))} {name_of(str(data.run.get('algo', '')))}"
    for ours, theirs in data.places.items():
        body = body.replace(f'data-metric="{ours}.', f'data-metric="{theirs}.')
    return page(title=title, body=body, script=SCRIPT)


def reference(data: ReportData) -> Trajectory | None:
    """Return the baseline that charts of two lines show: buy and hold, else the first."""
    return next((path for path in data.baselines if path.name == "buy_and_hold"), next(iter(data.baselines), None))


def _risk(data: ReportData) -> str:
    if data.agent is None:
        return ""
    agent, other = data.agent, reference(data)
    bars = paths.rolling_bars(agent)
    return section(
        "risk",
        "Risk over time",
        '<div class="pair">',
        figure(
            "Drawdown",
            paths.drawdown(charts.HALF, agent, other, name="Agent")
            + paths.drawdown(charts.NARROW_LOW, agent, other, name="Agent"),
            note="Share lost since the highest equity so far.",
        ),
        figure(
            "Rolling Sharpe ratio",
            "".join(
                paths.rolling_sharpe(size, agent, other, name="Agent", bars=bars, risk_free=data.risk_free)
                for size in (charts.HALF, charts.NARROW_LOW)
            ),
            note=f"Annual, over the last {bars} bars.",
        ),
        "</div>",
    )


def _months(data: ReportData) -> str:
    if data.agent is None:
        return ""
    covered = (
        "A month that the window covers in part shows that part."
        if data.agent.bars_per_year > _MONTHLY
        else "A bar is longer than a month, and stands under the one that it ends in."
    )
    return section(
        "months",
        "Returns by month",
        tables.monthly(data.agent),
        lead=f"In per cent{', net of costs' if data.held else ''}; compounded over the year. {covered}",
    )


def _baselines(data: ReportData) -> str:
    parts = []
    if data.run.get("comparison"):
        parts.append("<h3>Sharpe ratio against each baseline</h3>" + tables.comparison(data.run))
        parts.append(
            '<p class="soft">A paired block bootstrap: agent and baseline keep the same bars in every draw. An interval that '
            f"holds zero means that this window can’t tell the two apart.{_of_several(data)}{_of_draws(data)}</p>"
        )
    if data.run.get("metrics"):
        parts.append("<h3>All measures</h3>" + tables.measures(data.run) + tables.baseline_notes(data.run))
        known = {key for values in data.run["metrics"].values() for key in values or {}}
        shown = [(m.label, escape(m.meaning)) for m in MEASURES.values() if m.name in known]
        shown += [(name, escape(text)) for name, text in data.definitions.items()]
        parts.append(f"<details><summary>How the measures are defined</summary>{tables.facts(shown)}</details>")
    return section(
        "baselines",
        "Against the baselines",
        *parts,
        lead="Every baseline went through the same market: same bars, same costs, same fills."
        if data.held
        else "The baselines pay this market’s costs; whether the returns beside them do is not known.",
    )


def _of_several(data: ReportData) -> str:
    """Return which of several paths a difference is of, and which the figures beside it: they are not of one."""
    if len(data.seeds) < 2:
        return ""
    return (
        f" It is the mean of the middle half of {len(data.seeds)} {data.several}s that is compared; the measures are those "
        f"of the {data.several} with the median Sharpe ratio."
    )


def _of_draws(data: ReportData) -> str:
    """Return what a difference to a baseline that is drawn is to: its figures are means over all draws."""
    return "".join(
        f" The difference to {escape(name_of(name).lower())} is to the draw nearest the mean of all; its own Sharpe ratio is that mean."
        for name in tables.drawn(data.run)
        if name in (data.run.get("comparison") or {})
    )


def _positions(data: ReportData) -> str:
    if data.agent is None or not data.held:
        return ""
    agent = data.agent
    low = Size(348, 290, left=42, right=108)
    return section(
        "positions",
        "Positions and costs",
        figure(
            "Weights over time",
            book.weights(charts.FULL, agent) + book.weights(low, agent),
            note="Share of equity; longs above zero, shorts below.",
        ),
        '<div class="pair">',
        figure(
            "Turnover",
            book.turnover(charts.HALF, agent) + book.turnover(charts.NARROW_LOW, agent),
            note="Traded value over equity.",
        ),
        figure(
            "Costs so far",
            book.costs(charts.HALF, agent) + book.costs(charts.NARROW_LOW, agent),
            note="Summed, as a share of the starting equity. Trading costs include what delistings and liquidations took; "
            f"financing is borrowing and carry less interest{_signs(agent)}. The curves above are net of these.",
        ),
        "</div>",
    )


def _signs(agent: Trajectory) -> str:
    """Return how the lines of costs are read that are none: interest is below zero, a dividend above it is received."""
    earned = ", below zero where it was earned" if agent.financing.sum() < 0.0 else ""
    return f"{earned}; dividends are received" if agent.dividends.any() else earned


def _stress(data: ReportData) -> str:
    if not data.stress:
        return ""
    several = len(data.seeds) > 1
    return section(
        "stress",
        "Under worse conditions",
        tables.stress(data.stress, data.run, beside=data.beside, plain=_of_all(data)),
        lead="The same policy: dearer, later, in a crisis, without its best days."
        + (
            f" Of {len(data.seeds)} {data.several}s: the mean of the middle half, and the worst drawdown of any."
            if several
            else ""
        ),
    )


def _of_all(data: ReportData) -> dict[str, float | None] | None:
    """Return of several seeds or paths what a stressed row tells of them; None of a single one."""
    if len(data.seeds) < 2:
        return None
    found = {}
    for key in ("total_return", "sharpe", "max_drawdown"):
        known = [value for row in data.seeds if (value := finite(row.metrics.get(key))) is not None]
        whole = len(known) == len(data.seeds)
        found[key] = None if not whole else min(known) if key == "max_drawdown" else _middle(known)
    return found


def _seeds(data: ReportData) -> str:
    if len(data.seeds) < 2:
        return ""
    groups = []
    for key in ("total_return", "max_drawdown"):
        dots = [(str(row.seed), value) for row in data.seeds if (value := finite(row.metrics.get(key))) is not None]
        groups.append((MEASURES[key].label, dots, _middle([value for _, value in dots])))
    ratios = [(str(row.seed), value) for row in data.seeds if (value := finite(row.metrics.get("sharpe"))) is not None]
    sharpes = [("Sharpe ratio", ratios, _middle([value for _, value in ratios]))]
    drawn = "".join(compare.seeds(size, groups, percents=True) for size in (_SEEDS, _SEEDS_NARROW))
    flat, flat_narrow = Size(860, 66, left=110, right=24), Size(348, 76, left=92, right=16)
    drawn_too = "".join(compare.seeds(size, sharpes, percents=False) for size in (flat, flat_narrow))
    return section(
        "seeds",
        f"The luck of the {data.several}",
        figure(
            f"Test results by {data.several}",
            drawn + drawn_too,
            note=f"One dot a {data.several}; the bar is the mean of the middle half.",
        ),
        tables.seeds(data.seeds, word=data.several),
        lead=_SEVERAL[data.several].format(count=len(data.seeds)),
    )


def _middle(values: list[float]) -> float | None:
    """Return the interquartile mean."""
    if not values:
        return None
    ordered = sorted(values)
    cut = len(ordered) // 4
    kept = ordered[cut : len(ordered) - cut]
    return sum(kept) / len(kept)


def _trades(data: ReportData) -> str:
    if data.agent is None or data.agent.orders.size == 0:
        return ""
    unit = f" in {data.currency}" if data.currency else ""
    return section(
        "trades",
        "Orders",
        "<h3>The last</h3>",
        tables.trades(data.agent, largest=False),
        "<h3>The largest</h3>",
        tables.trades(data.agent, largest=True),
        lead=f"{data.agent.orders.size:,} orders over the {window_of(data.run, data.window)}, filled at the {_fill(data)}. Prices as the market quotes them; values and costs{unit}.",
    )


def _fill(data: ReportData) -> str:
    fill = str(data.run.get("fill") or (data.agent.fill if data.agent else ""))
    return {"next_open": "next bar’s open", "next_close": "next bar’s close"}.get(fill, fill or "next bar")


def _training(data: ReportData) -> str:
    found = training.curves(data.journal)
    if not found:
        return ""
    chosen = finite((data.run.get("checkpoint") or {}).get("step"))
    drawn = "".join(
        figure(
            training.title(name),
            "".join(training.curve(size, name, x, y, chosen=chosen) for size in (_TRIO, _TRIO_NARROW)),
        )
        for name, (x, y) in found.items()
    )
    record = data.run.get("training") or {}
    words = {
        "env_steps": "Environment steps",
        "iterations": "Iterations",
        "seconds": "Seconds",
        "env_steps_per_second": "Steps a second",
        "final_reward": "Last reward",
    }
    digits = {"seconds": 1, "final_reward": 4}
    pairs = [
        (
            label,
            f'<data data-metric="training.{key}" value="{value!r}">{number(value, digits=digits.get(key, 0))}</data>',
        )
        for key, label in words.items()
        if (value := finite(record.get(key))) is not None
    ]
    picked = data.run.get("checkpoint") or {}
    if picked:
        pairs.append(
            (
                "Checkpoint",
                f"step {number(finite(picked.get('step')) or 0, digits=0)}, chosen by {escape(_chooser(picked))}",
            )
        )
    return section("training", "Training", f'<div class="trio">{drawn}</div>', tables.facts(pairs))


def _chooser(picked: Mapping[str, Any]) -> str:
    window, _, measure = str(picked.get("selected_by", "")).rpartition(".")
    label = MEASURES[measure].label if measure in MEASURES else measure
    return f"{window} {label}".strip()


def _audit(data: ReportData) -> str:
    parts = []
    if data.test_openings is not None:
        where = "test window" if window_of(data.run) == "test window" else "window"
        times = "once" if data.test_openings == 1 else f"{data.test_openings:,} times"
        tried = data.configurations_tried
        more = (
            ""
            if tried is None
            else f" {tried:,} distinct configuration{'s have' if tried != 1 else ' has'} been tried on it; the Sharpe ratio is deflated by that number{_beside(data.results_beside)}."
        )
        parts.append(
            f"<p>This {where} has been looked at <b>{times}</b>, this run included.{escape(more)}"
            " The ledger of the run counted them; what was looked at or tried beside it, it does not know."
            f"{_elsewhere(data.elsewhere)}</p>"
        )
    if data.audit:
        parts.append(tables.audit(data.audit))
    if found := tables.rules(data.run):
        parts.append("<h3>Rules of the verdict</h3>" + found)
    if (data.run.get("verdict") or {}).get("evidence"):
        parts.append(f"<details><summary>Evidence of the verdict</summary>{tables.evidence(data)}</details>")
    return section("audit", "Audit", *parts)


def _beside(results: int) -> str:
    if not results:
        return ""
    what = "one result" if results == 1 else f"{results:,} results"
    return f", and by {what} more: runs that were left out, or seeds that only other configurations showed"


def _elsewhere(windows: int) -> str:
    if not windows:
        return ""
    what = (
        "another test window of this agent was"
        if windows == 1
        else f"{windows:,} other test windows of this agent were"
    )
    return f" Besides, {what} opened, of other dates or symbols: which of them is shown is a choice that no figure here accounts for."


def _notes(data: ReportData) -> str:
    if not data.notes:
        return ""
    items = "".join(f"<li>{escape(note[:1].upper() + note[1:])}</li>" for note in data.notes)
    return section("notes", "What to know about these figures", f'<ul class="notes">{items}</ul>')


def _repeat(data: ReportData) -> str:
    run = data.run
    source = run.get("data") or {}
    pairs = [
        ("Run", escape(run.get("run_id", ""))),
        ("Configuration hash", escape(run.get("config_hash", ""))),
        ("Commit", escape(run.get("git_sha") or "")),
        ("Data fingerprint", escape(source.get("fingerprint", ""))),
        ("Seed", escape(run.get("seed", ""))),
        *((name, escape(version)) for name, version in (run.get("versions") or {}).items()),
    ]
    config = (
        f"<details><summary>The whole configuration</summary><pre tabindex='0'>{escape(data.config)}</pre></details>"
        if data.config
        else ""
    )
    return section(
        "repeat",
        "How to repeat it",
        f'<pre class="command"><code>{escape(run.get("command", ""))}</code></pre>' if run.get("command") else "",
        tables.facts(pairs),
        config,
    )


def _contents(sections: list[str]) -> str:
    links = [re.match(r'<section id="(.*?)"><h2>(.*?)</h2>', text) for text in sections]
    return "<nav>" + "".join(f'<a href="#{link[1]}">{link[2]}</a>' for link in links if link) + "</nav>"


def _foot(data: ReportData) -> str:
    cash = " Simulated data." if (data.run.get("data") or {}).get("simulated") else ""
    return f"<footer>WealthArena, run {escape(data.run.get('run_id', ''))}.{cash} A backtest is not a promise.</footer>"
