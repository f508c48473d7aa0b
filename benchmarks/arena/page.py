"""arena.html and the board in docs/arena.md: the same figures as arena.json, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wealtharena.reporting import tables
from wealtharena.reporting.charts import compare
from wealtharena.reporting.page import page, section
from wealtharena.reporting.words import DASH, day, escape, finite, number, percent

MARK = "<!-- board: made by make arena, nothing below is written by hand -->"


def render(board: Mapping[str, Any]) -> str:
    """Return the whole page."""
    body = (
        f"{_banner(board)}{_head(board)}<main>{_ranking(board)}"
        f"{''.join(_course(one) for one in board['courses'])}{_left(board)}{_method(board)}</main>"
    )
    return page(title="WealthArena arena", body=body)


def _banner(board: Mapping[str, Any]) -> str:
    planted = [one for one in board["courses"] if one["planted"] and one["lines"]]
    real = [one for one in board["courses"] if not one["planted"] and one["lines"]]
    if not planted:
        return ""
    which = "Planted markets, marked" if real else "All of it"
    return (
        f'<div class="banner" role="alert">SIMULATED DATA <span>{which}: those prices come from a market simulator and '
        "say nothing about a real market.</span></div>"
    )


def _head(board: Mapping[str, Any]) -> str:
    count = board["entrants"]
    cells = sum(row["cells"] for row in board["rows"])
    words = f"{count} entrant{'s' if count != 1 else ''}, {cells} cells, {escape(day(board['generated_at']))}"
    note = f'<p class="soft">{escape(board["note"])}</p>' if board["note"] else ""
    return (
        '<header class="top"><p class="eyebrow">WealthArena · what is learned where it is known what there is to learn</p>'
        f"<h1>Arena <small>{words}</small></h1>{note}</header>"
    )


def _ranking(board: Mapping[str, Any]) -> str:
    rows = board["rows"]
    if not rows:
        return "<p>No cell was played, so there is nothing to rank.</p>"
    limits = compare.limits([v for row in rows for v in (row["difference"], *(row["interval"] or ()))])
    lines = [
        [
            f"<b>{row['place']}</b>",
            f"<b>{escape(row['entrant'])}</b><br><small>{escape(row['words'])}</small>",
            f"{row['courses']}<br><small>{_cells(row)} cells</small>",
            _share(row["share"], row["worst_share"]),
            _wins(row),
            _figure(row["difference"], row["interval"]),
            compare.interval(row["difference"], *_bounds(row["interval"]), limits=limits) if row["recorded"] else DASH,
            _leaning(row),
            _plain(row["turnover"], digits=1),
            _plain(row["spread"]),
            _plain(row["seconds"], digits=0),
        ]
        for row in rows
    ]
    head = [
        "", "Entrant", "Courses", "Share of the oracle", "Recorded", "Less its anchor", "",
        "Active share", "Turnover", "Spread", "Seconds",
    ]  # fmt: skip
    sure = percent(board["confidence"])
    note = (
        f"Share of the oracle: Sharpe ratio over that of an oracle who is told the expectation, on planted markets; small: the "
        f"worst. Less its anchor: Sharpe ratio less that of the untilted anchor, on recorded markets; small: the {sure} "
        "interval, so that 95 % holds for all entrants together. Recorded: on how many classes that interval lies above or "
        "below zero. Active share: half the mean difference in weights to the anchor; small: lambda, how much of what was learned "
        "is kept, where a validation decides that. Turnover a year; spread over seeds: interquartile range of the Sharpe ratio; seconds of training. "
        "Who lacks cells that another played is averaged over the rest; who failed in some stands behind all others."
    )
    return tables.table(head, lines, css="board") + f'<p class="soft">{note}</p>'


def _course(one: Mapping[str, Any]) -> str:
    lines = sorted(one["lines"], key=_led, reverse=True)
    if not lines:
        return ""
    limits = compare.limits([v for found in lines for v in (found["difference"], *(found["interval"] or ()))])
    rows = [
        [
            f"<b>{1 + sum(_led(other) > _led(found) for other in lines)}</b>",
            f"<b>{escape(found['entrant'])}</b>" + _degenerate(found),
            f"{len(found['seeds'])}",
            _share(found["share"], min(found["shares"], default=None)),
            _plain(found["sharpe"], signed=True),
            _figure(found["difference"], found["interval"]),
            compare.interval(found["difference"], *_bounds(found["interval"]), limits=limits),
            _leaning(found),
            _plain(found["turnover"], digits=1),
            _plain(found["spread"]),
            _plain(found["seconds"], digits=0),
        ]
        for found in lines
    ]
    head = [
        "", "Entrant", "Seeds", "Share of the oracle", "Sharpe", "Less its anchor", "",
        "Active share", "Turnover", "Spread", "Seconds",
    ]  # fmt: skip
    mark = ' <span class="mark fail">SIMULATED</span>' if one["planted"] else ""
    inner = f'<p class="lead">{escape(_bars_of(lines))}{mark}</p>' + tables.table(head, rows, css="board")
    return section(one["name"], one["words"][:1].upper() + one["words"][1:], inner)


def _led(found: Mapping[str, Any]) -> float:
    """Return what the lines of a course are in order by."""
    return float(found["difference"] if found["share"] is None else found["share"])


def _bars_of(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return which bars were played, by whom where not all played the same, with what the anchor alone did over them."""
    told: dict[str, dict[str, list[str]]] = {}
    for found in lines:
        first, last = map(day, found["dates"])
        span = "on another market for each seed" if found["planted"] else f"from {first} to {last}"
        alone = number(found["anchor_sharpe"], signed=True)
        told.setdefault(span, {}).setdefault(alone, []).append(found["entrant"])
    (span, anchors), *others = told.items()
    if not others and len(anchors) == 1:
        return f"Played {span} (the anchor alone {next(iter(anchors))})."
    if not others:
        parts = "; ".join(f"{', '.join(names)} {alone}" for alone, names in anchors.items())
        return (
            f"Played {span}. What the anchor alone did is not the same for all, of other seeds, bars or settings: {parts}. "
            "Each is set against its own."
        )
    parts = "; ".join(
        f"{', '.join(names)} {span} (the anchor alone {alone})"
        for span, anchors in told.items()
        for alone, names in anchors.items()
    )
    return (
        f"Not all played the same bars: {parts}. Features that look further back leave others to cut; each is set "
        "against its own anchor, and Sharpe ratios of other bars are not to be compared."
    )


def _left(board: Mapping[str, Any]) -> str:
    rows = [
        [
            f"{escape(one['entrant'])}, {escape(one['course'])}, seed {one['seed']}",
            escape(one["status"]),
            escape(one["why"] or ""),
        ]
        for one in board["not_played"]
    ]
    return section("left", "Not played", tables.table(["Cell", "", "Why"], rows, css="audit")) if rows else ""


def _method(board: Mapping[str, Any]) -> str:
    return section(
        "method",
        "How to read it",
        "<p>Each entrant trains on a course’s first part, is chosen on its validation bars, and plays the bars after them. "
        "Seeds are the same for all. On recorded markets nothing of the last fifth is read: what is played are inner, "
        "expanding folds, and every cell is a line of the ledger.</p>"
        f"<p>Intervals are at {percent(board['confidence'], digits=2)} each: with {board['entrants']} entrants, the chance that any "
        "on a course leaves out the truth is 5 % at most. Over several recorded markets they are put together as if these "
        "were independent.</p>"
        "<p>A share of the oracle above 1 is possible: the oracle is the best of a few rules, chosen by the same bars. Where "
        "there is no signal, the difference to the anchor should not differ from zero.</p>"
        "<p>A policy of somebody’s own is code, and is taken at its word: whether it knows the bars that it is played on, from a file or "
        "from how a graph or a model was made, and whether it reached behind what it is shown, nothing here sees.</p>",
    )


def _degenerate(found: Mapping[str, Any]) -> str:
    return f"<br><small>{escape('; '.join(found['degenerate']))}</small>" if found["degenerate"] else ""


def _wins(row: Mapping[str, Any]) -> str:
    if not row["recorded"]:
        return DASH
    return f"{row['ahead']} ahead, {row['behind']} behind<br><small>of {row['recorded']}</small>"


def _leaning(found: Mapping[str, Any]) -> str:
    kept = found["kept_share"]
    return _plain(found["active_share"]) + ("" if kept is None else f"<br><small>lambda {number(kept)}</small>")


def _cells(row: Mapping[str, Any]) -> str:
    return f"{row['cells']} of {row['of']}" if row["cells"] < row["of"] else str(row["cells"])


def _share(value: float | None, worst: float | None) -> str:
    if value is None:
        return DASH
    wide = max(min(100 * value, 100.0), 0.0)
    small = f"<br><small>{number(worst)}</small>" if worst is not None else ""
    return f'<div class="meter"><i style="width:{wide:.0f}%"></i></div> {number(value)}{small}'


def _figure(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return DASH
    low, high = _bounds(interval)
    small = (
        f"<br><small>{number(low, signed=True)} to {number(high, signed=True)}</small>"
        if low is not None and high is not None
        else ""
    )
    return number(value, signed=True) + small


def _bounds(interval: Sequence[float] | None) -> tuple[float | None, float | None]:
    low, high = ([finite(value) for value in interval or ()] + [None, None])[:2]
    return low, high


def _plain(value: float | None, *, digits: int = 2, signed: bool = False) -> str:
    return DASH if value is None else number(value, digits=digits, signed=signed)


def markdown(board: Mapping[str, Any]) -> str:
    """Return the board as tables of docs/arena.md."""
    parts = [f"{board['entrants']} entrants, {day(board['generated_at'])}. {board['note']}".rstrip()]
    parts.append(
        "| place | entrant | share of the oracle (worst) | less its anchor, recorded | ahead / behind / of | active share (lambda) | "
        "turnover a year | spread over seeds | seconds | cells |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for row in board["rows"]:
        low, high = _bounds(row["interval"])
        span = f" ({low:+.2f} to {high:+.2f})" if low is not None and high is not None else ""
        cells = (
            row["place"], row["entrant"], _text(row["share"], f" ({_text(row['worst_share'])})"),
            _text(row["difference"], span, signed=True), f"{row['ahead']} / {row['behind']} / {row['recorded']}",
            _text(row["active_share"], "" if row["kept_share"] is None else f" ({row['kept_share']:.2f})"),
            _text(row["turnover"]), _text(row["spread"]), _text(row["seconds"]), _cells(row),
        )  # fmt: skip
        parts[-1] += "\n| " + " | ".join(str(cell) for cell in cells) + " |"
    return "\n\n".join(parts) + "\n"


def _text(value: float | None, more: str = "", *, signed: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if signed else ''}.2f}{more}"
