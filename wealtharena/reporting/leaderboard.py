"""leaderboard.html: several agents in one order, with how sure that order is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from wealtharena import files
from wealtharena.reporting import tables
from wealtharena.reporting.charts import compare
from wealtharena.reporting.page import page, section
from wealtharena.reporting.words import (
    DASH,
    MEASURES,
    Measure,
    day,
    escape,
    finite,
    measured,
    name_of,
    number,
    percent,
    prose,
)

_SHOWN = ("annual_return", "sharpe", "max_drawdown", "win_rate", "profit_factor")
_ACTIVE_SHARE = Measure("active_share", "Active share", "share", False, "")
_LAMBDA = Measure("lambda", "lambda", "ratio", False, "")
_WORDS = {"promotable": "Promotable", "unproven": "Unproven", "rejected": "Rejected"}


Run = tuple[str, int | None, str]  # id, seed, status: a copy of a run's folder has the id of the other
Links = Mapping[Run, str]  # -> address of its report


def runs_of(row: Mapping[str, Any]) -> list[Run]:
    """Return the runs of a row; their seeds are None where the row does not have one for each, as of a search."""
    ids, seeds = [str(run) for run in row.get("run_ids") or ()], row.get("seeds")
    each = isinstance(seeds, Sequence) and not isinstance(seeds, str) and len(seeds) == len(ids)
    status = str(row.get("status") or "completed")
    return [(run, seed, status) for run, seed in zip(ids, seeds if each and seeds else [None] * len(ids), strict=True)]


def write(path: Path, leaderboard: Mapping[str, Any], *, reports: Mapping[Run, Path] | None = None) -> Path:
    """Write the page to `path`, whole or not at all, and return the path.

    `leaderboard` holds `rows`, and may hold `generated_at` and `weights` (measure -> share of the composite). A row is
    `agent, asset, algo, seeds` (a count, or the seeds), `metrics{}`, `composite`, `rank`, `verdict{status, reasons}`,
    `status`, `simulated`, `source`, `run_ids`, and may hold `intervals{sharpe: [low, high]}`,
    `comparison{sharpe_difference, ci95}` against buy and hold, `window` [first, last], `settings` (overrides that tell it from
    rows of its name) and `error{message}`. Rows lead to
    those `reports` that are there; the links hold as long as page and reports are moved together.
    """
    here = {run: os.path.relpath(page, path.parent) for run, page in (reports or {}).items() if page.is_file()}
    files.write_text(path, render(leaderboard, {run: quote(place) for run, place in here.items()}))
    return path


def render(leaderboard: Mapping[str, Any], links: Links = MappingProxyType({})) -> str:
    """Return the leaderboard as an HTML document; rows that failed stand below those that are ranked."""
    rows = list(leaderboard.get("rows") or ())
    ranked = sorted((row for row in rows if not _failed(row)), key=lambda row: finite(row.get("rank")) or 1e9)
    failed = [row for row in rows if _failed(row)]
    body = (
        f"{_banner(ranked)}{_head(leaderboard, rows)}<main>"
        f"{_ranking(leaderboard, ranked, links)}{_reasons(ranked)}{_failures(failed, links)}{_method(leaderboard, ranked)}</main>"
    )
    return page(title="WealthArena leaderboard", body=body)


def _failed(row: Mapping[str, Any]) -> bool:
    return row.get("status") not in (None, "completed") or not row.get("metrics")


def _banner(rows: Sequence[Mapping[str, Any]]) -> str:
    marked = [row for row in rows if row.get("simulated")]
    if not marked:
        return ""
    which = "All of it" if len(marked) == len(rows) else f"{len(marked)} of {len(rows)} rows, marked"
    return (
        f'<div class="banner" role="alert">SIMULATED DATA <span>{which}: those prices come from a market simulator and '
        "say nothing about a real market.</span></div>"
    )


def _head(leaderboard: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    made = leaderboard.get("generated_at")
    when = f", {escape(day(made))}" if made else ""
    agents = f"{len(rows)} row{'s' if len(rows) != 1 else ''}{when}"
    return (
        '<header class="top"><p class="eyebrow">WealthArena · test results side by side</p>'
        f"<h1>Leaderboard <small>{agents}</small></h1></header>"
    )


def unlike_contests(differing: Sequence[str]) -> str:
    """Return in a sentence that rows of one order differ in these things, as evaluation.leaderboard.unlike names them."""
    named = " and ".join(filter(None, (", ".join(differing[:-1]), differing[-1])))
    return f"Rows are of other {named}: their order is of figures from unlike contests."


def _ranking(leaderboard: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], links: Links) -> str:
    if not rows:
        return "<p>No run finished, so there is nothing to rank.</p>"
    rivals = {str(((row.get("verdict") or {}).get("evidence") or {}).get("beats") or "buy_and_hold") for row in rows}
    rival = f"Less {name_of(min(rivals)).lower()}" if len(rivals) == 1 else "Less its baseline"
    edges = [value for row in rows for value in (_difference(row), *_bounds(row, "comparison"))]
    limits = compare.limits(edges)
    tilting = any(finite(value) is not None for row in rows for value in (row.get("active") or {}).values())
    best = max((finite(row.get("composite")) or 0.0 for row in rows), default=0.0) or 1.0
    rest = [key for key in _SHOWN if key != "sharpe"]
    lines = []
    for i, row in enumerate(rows):
        place, figures = finite(row.get("rank")), row.get("metrics") or {}
        sharpe = measured(f"rows.{i}.metrics.sharpe", figures.get("sharpe"), MEASURES["sharpe"])
        less = measured(f"rows.{i}.comparison.sharpe_difference", _difference(row), MEASURES["sharpe"])
        lines.append(
            [
                f"<b>{number(place, digits=0) if place is not None else DASH}</b>",
                _who(row, links),
                _verdict(row),
                _composite(finite(row.get("composite")), best),
                sharpe + _range(*_bounds(row, "intervals")),
                less + _range(*_bounds(row, "comparison")),
                compare.interval(_difference(row), *_bounds(row, "comparison"), limits=limits),
                *([_active(row, i)] if tilting else []),
                *(measured(f"rows.{i}.metrics.{key}", figures.get(key), MEASURES[key]) for key in rest),
            ]
        )
    own = ["Active share"] if tilting else []
    head = [
        "",
        "Agent",
        "Verdict",
        "Composite",
        "Sharpe",
        escape(rival),
        "",
        *own,
        *(MEASURES[key].label for key in rest),
    ]
    note = "Small figures are 95 % intervals over bars and seeds; where there is none the paths were not at hand."
    if unlike := leaderboard.get("unlike"):
        note += f" {escape(unlike_contests(unlike))}"
    if tilting:
        note += " Active share: half the mean difference in weights to the anchor; lambda: how much of what was learned is kept."
    return tables.table(head, lines, css="board") + f'<p class="soft">{note}{_rules(leaderboard)}</p>'


def _rules(leaderboard: Mapping[str, Any]) -> str:
    """Return by what the rows were judged, so that two pages that differ say in what."""
    rules = leaderboard.get("judged_by") or {}
    if not rules:
        return ""
    rivals = ", ".join(name_of(str(name)).lower() for name in rules["beats"])
    return escape(
        f" Judged with {rules['draws']:,} draws at {percent(rules['confidence'], digits=0)} against {rivals}, seed {rules['seed']}."
    )


def _who(row: Mapping[str, Any], links: Links) -> str:
    seeds = row.get("seeds")
    count = len(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else seeds
    beside = [
        name_of(str(row.get("algo", ""))),
        f"backtest: {row['played']}" if row.get("played") else "",
        str(row.get("source", "")),
        f"{count} seed{'s' if count != 1 else ''}" if count else "",
    ]
    mark = ' <span class="mark fail">SIMULATED</span>' if row.get("simulated") else ""
    window, dates = row.get("window"), ""
    if isinstance(window, Sequence) and len(window) == 2:
        dates = f"<br><small>{escape(day(window[0]))} – {escape(day(window[1]))}</small>"
    small = " · ".join(escape(words) for words in beside if words)
    return (
        f'<div class="who"><b>{escape(name_of(str(row.get("agent", ""))))}</b>{mark}<br><small>{small}</small>'
        f"{_settings(row, before='<br>')}{dates}{_reports(row, links)}</div>"
    )


def _settings(row: Mapping[str, Any], *, before: str = "") -> str:
    """Return what tells a row from others of its name, which breaks into lines; nothing where nothing does."""
    settings = " ".join(map(str, row.get("settings") or ()))
    return f'{before}<small class="settings">{escape(settings)}</small>' if settings else ""


def _reports(row: Mapping[str, Any], links: Links) -> str:
    """Return the links to the reports of a row's runs, by seed where each run has one of its own."""
    labels = {run: run[0] if run[1] is None else f"seed {run[1]}" for run in runs_of(row)}
    found = [f'<a href="{escape(links[run])}">{escape(label)}</a>' for run, label in labels.items() if run in links]
    return f"<br><small>Reports: {', '.join(found)}</small>" if found else ""


def _verdict(row: Mapping[str, Any]) -> str:
    status = str((row.get("verdict") or {}).get("status") or "")
    return f'<span class="mark {escape(status)}">{escape(_WORDS.get(status, status))}</span>' if status else DASH


def _composite(value: float | None, best: float) -> str:
    if value is None:
        return DASH
    share = max(min(100 * value / best, 100.0), 0.0)
    return f'<div class="meter"><i style="width:{share:.0f}%"></i></div> {number(value)}'


def _active(row: Mapping[str, Any], place: int) -> str:
    """Return how far a row's agent leans from its anchor, and lambda where its validation decides that."""
    found = row.get("active") or {}
    share = measured(f"rows.{place}.active.active_share", found.get("active_share"), _ACTIVE_SHARE)
    if finite(found.get("kept_share")) is None:
        return share
    return (
        f"{share}<br><small>lambda {measured(f'rows.{place}.active.kept_share', found['kept_share'], _LAMBDA)}</small>"
    )


def _difference(row: Mapping[str, Any]) -> float | None:
    return finite((row.get("comparison") or {}).get("sharpe_difference"))


def _bounds(row: Mapping[str, Any], block: str) -> tuple[float | None, float | None]:
    found = (row.get(block) or {}).get("ci95" if block == "comparison" else "sharpe") or ()
    low, high = ([finite(value) for value in found] + [None, None])[:2]
    return low, high


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    return f"<br><small>{number(low, signed=True)} to {number(high, signed=True)}</small>"


def _reasons(rows: Sequence[Mapping[str, Any]]) -> str:
    parts = []
    for row in rows:
        reasons = (row.get("verdict") or {}).get("reasons") or ()
        if reasons:
            items = "".join(f"<li>{prose(reason)}</li>" for reason in reasons)
            name = escape(name_of(str(row.get("agent", ""))))
            parts.append(f"<div><h3>{name} {_verdict(row)}</h3>{_settings(row)}<ul>{items}</ul></div>")
    grid = f'<div class="why">{"".join(parts)}</div>' if parts else ""
    return section("verdicts", "Why these verdicts", grid)


def _failures(rows: Sequence[Mapping[str, Any]], links: Links) -> str:
    if not rows:
        return ""
    lines = []
    for row in rows:
        error = row.get("error") or {}
        message = "; ".join(str(error[key]) for key in ("message", "hint") if error.get(key))
        status = str(row.get("status") or "no result")
        lines.append([_who(row, links), f'<span class="mark fail">{escape(status)}</span>', escape(message)])
    return section(
        "failed",
        "Not ranked",
        tables.table(["Agent", "Status", ""], lines, css="audit"),
        lead="These jobs left no result.",
    )


def _method(leaderboard: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    weights = leaderboard.get("weights") or {}
    parts = []
    if weights:
        sum_of = " + ".join(
            f"{number(float(share), digits=2)} × rank({MEASURES[key].label if key in MEASURES else key})"
            for key, share in weights.items()
        )
        parts.append(
            f"<p>Composite = {escape(sum_of)}. The best of {len(rows)} has rank {len(rows)} on a measure, so that higher is "
            "better. A measure that a row lacks is dropped for all.</p>"
        )
    parts.append(
        "<p>The order says who did better on the test window, not who will. Intervals that overlap mean that it could "
        "have come out the other way; the verdict is what counts before anything is traded.</p>"
    )
    runs = [
        (name_of(str(row.get("agent", ""))), escape(", ".join(str(r) for r in row.get("run_ids") or ())))
        for row in rows
    ]
    return section("method", "How to read it", *parts, tables.facts(runs))
