"""The first screen: what was traded, on what data, over which window, how it went and what to make of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wealtharena.data import provider
from wealtharena.reporting import charts, words
from wealtharena.reporting.charts import paths
from wealtharena.reporting.data import ReportData
from wealtharena.reporting.page import figure
from wealtharena.reporting.tables import drawn
from wealtharena.reporting.words import (
    MEASURES,
    STATUS,
    Kind,
    Measure,
    challenged,
    day,
    escape,
    finite,
    kept_shares,
    learned,
    measured,
    name_of,
    number,
    place,
    prose,
    window_of,
)
from wealtharena.shown import some

_FREQUENCY = {"1h": "hourly bars", "1d": "daily bars", "1w": "weekly bars", "1mo": "monthly bars"} | {
    f"{n}{unit}": f"bars of {n} {words}"
    for n, unit, words in (
        (1, "m", "minute"),
        (5, "m", "minutes"),
        (15, "m", "minutes"),
        (30, "m", "minutes"),
        (4, "h", "hours"),
    )
}
_EYEBROW = {
    "test": "backtest on data the agent never saw",
    "validation": "test window closed: figures of the validation window, on which the checkpoint was chosen",
}
_PLAYED = {  # windows of task=backtest
    "test": "the test window",
    "train": "bars of training",
    "validation": "bars of validation",
    "all": "the whole record",
    "dates": "the dates asked for",
    "account": "all its closes",  # a paper account's record
}
_LONG = ("1w", "1mo")
_LONG_BARS = "as the bars bear them, of their first day or their last; equity is of a bar’s end"
_FILLS = {"next_open": ", a fill at the open of its beginning", "next_close": ", as a fill is"}
_ACTIVE: tuple[tuple[str, str, Kind], ...] = (
    ("annual_return", "return", "percent"),
    ("information_ratio", "information ratio", "ratio"),
    ("active_share", "active share", "share"),
    ("costs", "costs", "percent"),
)
_NAMED = 10  # symbols whose tilts are listed
_LONGEST = 10  # letters of a figure in a tile that are written large
_RATIO = "information_ratio"
MOST_LOST = 1.0  # of an information ratio between training and the window after it, beyond which it was memorised
_MEANING = {
    "promotable": "Every rule for production is met.",
    "unproven": "Not enough evidence to trade on.",
    "rejected": "A rule says no.",
}


def top(data: ReportData) -> str:
    """Return the banners, the title and the facts of the run."""
    run, source = data.run, data.run.get("data") or {}
    title = escape(name_of(str(run.get("agent") or run.get("asset") or "Run")))
    said = f"{escape(name_of(str(run.get('algo', ''))))}, seed {escape(run.get('seed', '—'))}"
    if run.get("returns_of"):
        said = ""
    return (
        f'{_banners(run)}<header class="top"><p class="eyebrow">WealthArena · {escape(_eyebrow(data))}</p>'
        f"<h1>{title} <small>{said}</small></h1>"
        f'<ul class="meta">{_facts(run, source)}{_clock(data)}</ul>{_windows(run)}</header>'
    )


def _eyebrow(data: ReportData) -> str:
    if data.run.get("returns_of"):
        return f"returns read from {data.run['returns_of']}"
    played = data.run.get("backtest")
    if not played:
        return _EYEBROW[data.window]
    return f"{name_of(str(played['of'])).lower()} played over {_PLAYED[str(played['window'])]}"


def first_screen(data: ReportData) -> str:
    """Return the key figures, equity against the baselines, and the verdict with its reasons."""
    return f'<div class="first">{_tiles(data)}<div>{_equity(data)}</div>{_verdict(data.run)}</div>'


def test_window(run: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the first and last date of the test window."""
    found = spans((run.get("split") or {}).get("test"))
    return (found[0][0], found[-1][1]) if found else None


def spans(value: Any) -> list[tuple[str, str]]:
    """Return a window of run.json's split as pairs of dates; it may be one pair or a list of pairs."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) < 1:
        return []
    if isinstance(value[0], str):
        return [(str(value[0]), str(value[-1]))]
    return [(str(pair[0]), str(pair[-1])) for pair in value if isinstance(pair, Sequence) and len(pair) > 1]


def _banners(run: Mapping[str, Any]) -> str:
    found = []
    if (run.get("data") or {}).get("simulated"):
        found.append(
            '<div class="banner" role="alert">SIMULATED DATA <span>These prices come from a market simulator. '
            "Nothing here says anything about a real market.</span></div>"
        )
    if run.get("test_window") == "closed":
        found.append(
            '<div class="banner stopped">Test window closed <span>Nothing here was measured on data that the agent was '
            "not chosen by.</span></div>"
        )
    if run.get("status") in ("failed", "interrupted"):
        message = (run.get("error") or {}).get("message", "")
        found.append(f'<div class="banner stopped">Run {escape(run["status"])} <span>{escape(message)}</span></div>')
    return "".join(found)


def _facts(run: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    symbols = [str(symbol) for symbol in source.get("symbols") or ()]
    listed = some(symbols, 12)
    name = str(source.get("source", ""))
    known = provider.found(name)
    origin = known.title if known else name_of(name) if name else "—"
    window = test_window(run)
    if run.get("returns_of") and not source:
        return f"<li><b>Window</b>{escape(f'{day(window[0])} – {day(window[1])}') if window else '—'}</li>"
    facts = [
        ("full", f"Traded: {len(symbols)} symbol{'s' if len(symbols) != 1 else ''}", escape(listed or "—")),
        (
            "",
            "Data",
            escape(f"{origin}, {_FREQUENCY.get(str(source.get('frequency')), source.get('frequency') or 'bars')}"),
        ),
        (
            "",
            "Test window" if window_of(run) == "test window" else "Window played",
            escape(f"{day(window[0])} – {day(window[1])}") if window else "—",
        ),
        (
            "",
            "Whole record",
            escape(
                f"{day(source.get('start', '—'))} – {day(source.get('end', '—'))}, {_grouped(source.get('bars'))} bars"
            ),
        ),
    ]
    return "".join(f'<li class="{css}"><b>{label}</b>{value}</li>' for css, label, value in facts)


def _grouped(count: Any) -> str:
    return number(count, digits=0) if isinstance(count, int) else "—"


def _clock(data: ReportData) -> str:
    """Return by which clock times are told, where bars are within the day, and what the date of a longer bar is the date of."""
    if (data.run.get("data") or {}).get("frequency") in _LONG:
        filled = _FILLS.get(str(data.run.get("fill")), "") if data.held else ""
        return f'<li class="full"><b>Dates</b>{_LONG_BARS}{filled}</li>'
    at = np.empty(0, "datetime64[ns]") if data.agent is None else data.agent.timestamps
    return "<li><b>Times</b>UTC</li>" if (at != at.astype("datetime64[D]")).any() else ""


def _windows(run: Mapping[str, Any]) -> str:
    """Return training, validation and test as pieces of one bar of time; nothing where their dates are not known."""
    split = run.get("split") or {}
    try:
        pieces = [
            (name, np.datetime64(first[:10], "D").astype(int), np.datetime64(last[:10], "D").astype(int), first, last)
            for name in ("train", "validation", "test")
            for first, last in spans(split.get(name))
        ]
    except ValueError:
        return ""
    if len(pieces) < 2:  # one window alone is the whole bar, and its dates stand above
        return ""
    start, stop = min(piece[1] for piece in pieces), max(piece[2] for piece in pieces)
    whole = max(stop - start, 1)
    drawn = []
    for name, first, last, *dates in pieces:
        left, width = 100 * (first - start) / whole, max(100 * (last - first) / whole, 0.3)
        title = f"{name}: {day(dates[0])} to {day(dates[1])}"
        drawn.append(f'<i class="{name}" style="left:{left:.2f}%;width:{width:.2f}%" title="{escape(title)}"></i>')
    names = "".join(
        f'<span><i class="{name}"></i>{name}</span>' for name in dict.fromkeys(piece[0] for piece in pieces)
    )
    if split.get("name", "holdout") != "holdout":  # so that training may end behind the first test
        names += "<span>dates of training and validation: the last fold’s; figures of both: means over the folds</span>"
    return (
        f'<div class="windows" role="img" aria-label="training, validation and test windows">{"".join(drawn)}</div>'
        f'<div class="legend">{names}</div>'
    )


def _short_record(data: ReportData) -> str:
    """Return how few bars a yearly figure is made of, where they are less than a quarter of a year."""
    bars = data.agent.returns.size if data.agent is not None else 0
    few = data.agent is not None and bars < data.agent.bars_per_year / 4
    return f"From {number(bars, digits=0)} bar{'s' if bars != 1 else ''} alone" if few else ""


def _tiles(data: ReportData) -> str:
    test = (data.run.get("metrics") or {}).get(data.window) or {}
    hold = (data.run.get("baselines") or {}).get("buy_and_hold") or {}
    tiles = []
    for key, beside in (
        ("total_return", True),
        ("annual_return", True),
        ("sharpe", True),
        ("max_drawdown", True),
        ("turnover", False),
        ("costs_paid", False),
    ):
        if key not in test and not data.held:
            continue
        measure = MEASURES[key]
        note = (
            f"Buy &amp; hold {measured(f'baselines.buy_and_hold.{key}', hold.get(key), measure)}"
            if beside and hold
            else ""
        )
        if key == "turnover":
            note = "× equity"
        if key == "costs_paid":
            note = f"{escape(data.currency)} over {number(finite(test.get('trades')) or 0, digits=0)} orders"
        if key == "annual_return" and (short := _short_record(data)):
            note = f"{short}{'<br>' if note else ''}{note}"
        value = measured(f"metrics.{data.window}.{key}", test.get(key), measure)
        long = " long" if len(words.figure(measure.kind, test.get(key))) > _LONGEST else ""
        tiles.append(f'<div class="tile{long}"><p class="term">{escape(measure.label)}</p>{value}<p>{note}</p></div>')
    said, by_symbol = _active(data.run)
    return f'<div class="tiles">{"".join(tiles)}</div>{_gap(data.run)}{_kept(data.run)}{said}{_tilt_gap(data.run)}{by_symbol}'


def _gap(run: Mapping[str, Any]) -> str:
    """Return the Sharpe ratio by window in one line, and whether what was learnt stayed in the training window."""
    found = {name: finite((values or {}).get("sharpe")) for name, values in (run.get("metrics") or {}).items()}
    shown = [(name, found[name]) for name in ("train", "validation", "test") if found.get(name) is not None]
    if len(shown) < 2:
        return ""
    parts = [f"{name} {measured(f'metrics.{name}.sharpe', value, MEASURES['sharpe'])}" for name, value in shown]
    # what an agent that tilts has in a market that rose is its anchor's, which learns nothing: `_tilt_gap` says so of the rest
    tilts = _RATIO in ((run.get("metrics") or {}).get("train") or {})
    words = "Memorised: " if memorised(found) and not tilts else ""
    more = _luck_of_choice(run.get("selection") or {})
    return f'<p class="gap"><b>{words}Sharpe ratio</b> {", ".join(parts)}.{more}</p>'


def _luck_of_choice(picked: Mapping[str, Any]) -> str:
    """Return what is left of the validation figure without the luck of choosing a checkpoint, of each fold where there are several."""
    if finite(picked.get("validation_sharpe_deflated")) is None:
        return ""
    counts = [fold["checkpoints"] for fold in picked.get("folds") or ()] or [picked.get("checkpoints")]
    among = str(counts[0]) if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    each = f" in each of {len(counts)} folds" if len(counts) > 1 else ""
    left = measured("selection.validation_sharpe_deflated", picked["validation_sharpe_deflated"], MEASURES["sharpe"])
    return f" Validation is the best of {among} checkpoints{each}; less what luck gives, {left}."


def _kept(run: Mapping[str, Any]) -> str:
    """Return how much of what was learned is played, where a validation decides that."""
    shares = kept_shares(run)
    if not shares:
        return ""
    measure, by_fold = Measure("lambda", "lambda", "ratio", False, ""), ", by fold" if len(shares) > 1 else ""
    shown = ", ".join(measured(at, share, measure) for at, share in shares.items())
    return f'<p class="gap kept"><b>Lambda</b> {shown}{by_fold}: {prose(learned(run))}</p>'


def _active(run: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the tilts added to their anchor, and a fold with what each symbol's earned and cost; both empty without."""
    found = ((run.get("comparison") or {}).get("anchor") or {}).get("active") or {}
    if not found:
        return "", ""
    at = "comparison.anchor.active"
    parts = [f"{label} {_part(at, key, found, kind)}" for key, label, kind in _ACTIVE]
    symbols = found.get("symbols") or {}
    moved = {name for name, part in symbols.items() if finite(part.get("earned")) or finite(part.get("cost"))}
    ranked = sorted(moved, key=lambda name: -abs(finite(symbols[name].get("earned")) or 0.0))[:_NAMED]
    rows = "".join(
        f"<li>{escape(name)}: earned {_part(place(f'{at}.symbols', name), 'earned', symbols[name], 'percent')}, "
        f"cost {_part(place(f'{at}.symbols', name), 'cost', symbols[name], 'percent')}</li>"
        for name in ranked
    )
    some = f", the {len(ranked)} of {len(moved)} that earned or lost most" if len(ranked) < len(moved) else ""
    listed = (
        f"<details><summary>What the tilts earned and cost a year, by symbol{some}</summary><ul>{rows}</ul></details>"
    )
    said = f'<p class="gap active"><b>Agent less its anchor, a year</b> {", ".join(parts)}.</p>'
    return said, listed if rows else ""


def _tilt_gap(run: Mapping[str, Any]) -> str:
    """Return the information ratio to the anchor by window in one line, and whether what was learnt stayed in training."""
    inside = {name: finite(values.get(_RATIO)) for name, values in (run.get("metrics") or {}).items() if values}
    found = [(f"metrics.{name}.{_RATIO}", name, inside.get(name)) for name in ("train", "validation")]
    if inside.get("train") is None:
        return ""
    if run.get("test_window") != "closed":
        judged = ((run.get("comparison") or {}).get("anchor") or {}).get("active") or {}
        found.append((f"comparison.anchor.active.{_RATIO}", "test", finite(judged.get(_RATIO))))
    measure = Measure(_RATIO, _RATIO, "ratio", True, "")
    shown = [(name, value) for _, name, value in found if value is not None]
    parts = [f"{name} {measured(path, value, measure)}" for path, name, value in found if value is not None]
    lost = len(shown) > 1 and shown[0][1] - shown[1][1] > MOST_LOST
    words = "Memorised: " if lost else ""
    return f'<p class="gap tilts"><b>{words}Information ratio to the anchor</b> {", ".join(parts)}.</p>'


def _part(at: str, key: str, values: Mapping[str, Any], kind: Kind) -> str:
    return measured(f"{at}.{key}", values.get(key), Measure(key, key, kind, kind == "percent", ""))


def memorised(sharpe: Mapping[str, float | None]) -> bool:
    """Return whether a Sharpe ratio above 1 in training left less than a quarter of itself in the last window shown."""
    inside = sharpe.get("train")
    outside = sharpe.get("test") if sharpe.get("test") is not None else sharpe.get("validation")
    return inside is not None and outside is not None and inside > 1.0 and outside < inside / 4


def _equity(data: ReportData) -> str:
    if data.agent is None:
        return ""
    agent = data.agent
    totals = {name: (values or {}).get("total_return") for name, values in (data.run.get("baselines") or {}).items()}
    totals |= {
        path.name: float(paths.growth(path)[-1]) - 1.0 for path in data.baselines if path.name in drawn(data.run)
    }
    totals["agent"] = ((data.run.get("metrics") or {}).get(data.window) or {}).get("total_return")
    over = f", over the {data.window} window" if window_of(data.run) == "test window" else ""
    said = [f"Net of all costs{over}."] if data.held else []
    if data.band is not None:
        said.append(f"Shaded: {data.band.meaning}.")
    charted = "".join(
        paths.equity(size, agent, data.baselines, band=data.band, totals=totals, name="Agent")
        for size in (charts.WIDE, charts.NARROW)
    )
    return figure("Growth of the account", charted, note=" ".join(said))


def _verdict(run: Mapping[str, Any]) -> str:
    verdict = run.get("verdict") or {}
    status = str(verdict.get("status") or "")
    if not status:
        return ""
    said = [*(verdict.get("reasons") or ()), *([challenged(run["challenge"])] if run.get("challenge") else [])]
    reasons = "".join(f"<li>{prose(reason)}</li>" for reason in said)
    return (
        f'<aside class="verdict"><h2>Verdict</h2><span class="status {escape(status)}" data-metric="verdict.status">'
        f'{escape(STATUS.get(status, name_of(status)))}</span><p class="soft">{_MEANING.get(status, "")}</p><ul>{reasons}</ul></aside>'
    )
