"""sweep.html: one search, told with what it found and with how much of that its own breadth explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wealtharena import files
from wealtharena.reporting.charts import search
from wealtharena.reporting.charts.search import TrialPoint
from wealtharena.reporting.page import figure, page, section
from wealtharena.reporting.svg import Size
from wealtharena.reporting.words import STATUS, escape, finite, name_of, number, percent, prose

_WIDE, _NARROW = Size(820, 300, left=56, right=110), Size(348, 240, left=46, right=20)
_COURSE_NARROW = Size(348, 240, left=46, right=84)  # the best so far is written behind its line
_HALF, _HALF_NARROW = (
    Size(520, 260, left=64, right=20, top=24, bottom=28),
    Size(348, 240, left=64, right=10, top=24, bottom=28),
)
_BARS, _BARS_NARROW = Size(520, 230, left=190, right=54), Size(348, 230, left=150, right=46)
_RATIOS = {
    "sharpe": "Sharpe ratio",
    "information_ratio": "information ratio to the anchor",
    "either": "ratio (Sharpe ratio, or information ratio to the anchor of a trial that tilts)",
}
_DIGITS = 3  # of a score: the ranks hang on it
_CSS = ".thin{opacity:.35;stroke-width:.9}rect.heat{fill:var(--agent)}"


def write(path: Path, result: Mapping[str, Any]) -> Path:
    """Write the page of `result`, the content of sweep.json, whole or not at all, and return the path."""
    files.write_text(path, render(result))
    return path


def render(result: Mapping[str, Any]) -> str:
    """Return the page as an HTML document."""
    trials = [TrialPoint(t["number"], t["state"], finite(t.get("score")), t["overrides"]) for t in result["trials"]]
    parts = [_head(result), "<main>", _answer(result), _course(result, trials), _parameters(result, trials)]
    parts += [_finalists(result), _luck(result), _trials(result, trials), _repeat(result), "</main>"]
    return page(title=f"Search {result['sweep']}", body=f"<style>{_CSS}</style>{''.join(parts)}")


def _head(result: Mapping[str, Any]) -> str:
    data = result.get("data") or {}
    banner = ""
    if data.get("simulated"):
        banner = '<div class="banner" role="alert">SIMULATED DATA <span>Nothing here says anything about a real market.</span></div>'
    if result.get("status") == "interrupted":
        banner += '<div class="banner stopped">Search interrupted <span>What was finished is shown.</span></div>'
    states = [trial["state"] for trial in result["trials"]]
    counts = f"{len(states)} trials: {states.count('COMPLETE')} done, {states.count('PRUNED')} stopped early, {states.count('FAIL')} failed"
    facts = (
        ("Trials", counts),
        ("Metric", f"{result['metric']} ({result['mode']})"),
        ("Data", f"{data.get('source', '-')}"),
    )
    items = "".join(f"<li><b>{escape(name)}</b>{escape(value)}</li>" for name, value in facts)
    return (
        f'{banner}<header class="top"><p class="eyebrow">WealthArena · search on validation data</p>'
        f"<h1>{escape(name_of(str(result.get('agent', 'search'))))} <small>{escape(name_of(str(result['sweep'])))}</small></h1>"
        f'<ul class="meta">{items}</ul></header>'
    )


def _answer(result: Mapping[str, Any]) -> str:
    winner, verdict = result.get("winner"), result.get("verdict") or {}
    if not winner:
        return section("answer", "What it found", "<p>No configuration was chosen.</p>")
    overrides = " ".join(winner["overrides"]) or "the defaults"
    status = str(verdict.get("status", "unproven"))
    reasons = "".join(f"<li>{prose(reason)}</li>" for reason in verdict.get("reasons", ()))
    count = len(winner["scores"])
    seeds = f"{count} seed{'s' if count != 1 else ''}"
    scores = f"median {_score(winner['median'])} over {seeds}, spread {number(winner['spread'], digits=_DIGITS)}"
    return section(
        "answer",
        "What it found",
        f"<pre tabindex='0'>{escape(overrides)}</pre><p>On validation data: {escape(result['metric'])} {escape(scores)}.</p>",
        f'<div class="verdict"><h2>Verdict on the test window</h2><span class="status {escape(status)}">{escape(STATUS.get(status, status))}</span>'
        f"<ul>{reasons}</ul></div>"
        if verdict
        else "",
    )


def _course(result: Mapping[str, Any], trials: Sequence[TrialPoint]) -> str:
    return section(
        "history",
        "The course of the search",
        _both(
            "Score by trial",
            lambda size: search.history(size, trials, mode=result["mode"], metric=result["metric"]),
            narrow=_COURSE_NARROW,
        ),
        figure(
            "Parallel coordinates",
            search.parallel(
                Size(820, 330, left=14, right=30, top=14, bottom=14),
                trials,
                mode=result["mode"],
                metric=result["metric"],
            ),
            note="A line a trial; the best tenth is strong. The last axis is the score.",
        ).replace("<figure>", '<figure class="scroll" tabindex="0">'),
        lead="Every score is on validation data. A pale dot is a trial that the scheduler stopped early.",
    )


def _parameters(result: Mapping[str, Any], trials: Sequence[TrialPoint]) -> str:
    shares = {key: float(value) for key, value in (result.get("importance") or {}).items()}
    top = tuple(sorted(shares, key=lambda key: -shares[key])[:2])
    parts = [
        _both(
            "Importance",
            lambda size: search.importance(size, shares),
            wide=_BARS,
            narrow=_BARS_NARROW,
            note="Share of the score's variation that each parameter explains (PED-ANOVA).",
        )
    ]
    if len(top) == 2:
        parts.append(
            _both(
                "The two that matter most",
                lambda size: search.contour(
                    size, trials, (top[0], top[1]), mode=result["mode"], metric=result["metric"]
                ),
                wide=_HALF,
                narrow=_HALF_NARROW,
                note="Shaded by nearby trials' rank: the stronger the colour, the better.",
            )
        )
    return section("parameters", "What mattered", '<div class="pair">', *parts, "</div>")


def _finalists(result: Mapping[str, Any]) -> str:
    finalists = result.get("finalists") or ()
    if not finalists:
        return ""
    named = [(f"#{k + 1}", item["scores"]) for k, item in enumerate(finalists)]
    rows = "".join(
        f"<tr><th>#{k + 1}</th><td>{_score(item['median'])}</td><td>{number(item['spread'], digits=_DIGITS)}</td>"
        f'<td style="text-align:left">{escape(" ".join(item["overrides"]))}</td></tr>'
        for k, item in enumerate(finalists)
    )
    return section(
        "finalists",
        "The finalists, trained again",
        _both("Scores over seeds", lambda size: search.seeds(size, named, metric=result["metric"])),
        f'<div class="scroll" tabindex="0"><table><thead><tr><td></td><th>median</th><th>spread</th><th style="text-align:left">overrides</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>",
        lead="Ranked by median less spread, so that a lucky seed does not win.",
    )


def _of_luck(bias: Mapping[str, Any]) -> str:
    """Return what breadth alone would show, and the best trial's ratio of the same kind, which need not be the metric."""
    expected, own = (finite(bias.get(f"{name}_annual")) for name in ("expected_maximum_sharpe", "best_sharpe"))
    if expected is None:
        return ""
    ratio = _RATIOS[str(bias.get("ratio", "sharpe"))]
    told = f"The best of {bias.get('trials', 0)} worthless configurations would be expected to show an annual {ratio} of {number(expected)}"
    beside = f"; that of the best trial is {number(own, signed=True)}" if own is not None else ""
    return f"<p>{escape(told + beside)}, all on validation data.</p>"


def _luck(result: Mapping[str, Any]) -> str:
    bias = result.get("bias") or {}
    pbo = finite(bias.get("pbo"))
    values = np.asarray(bias.get("logits") or [], dtype=np.float64)
    text = _of_luck(bias)
    if pbo is not None:
        text += f"<p>Probability of backtest overfitting: <b>{percent(pbo, digits=0)}</b>.</p>"
    elif int(bias.get("trials", 0)) > 1:
        text += "<p>Probability of backtest overfitting: not defined, the trials' records are too short, or one and the same.</p>"
    return section(
        "luck",
        "How much of it is luck",
        text,
        _both("CSCV logits", lambda size: search.logits(size, values, probability=pbo)),
        lead="CSCV splits the validation record in many ways and asks where the winner of one half stands in the other.",
    )


def _trials(result: Mapping[str, Any], trials: Sequence[TrialPoint]) -> str:
    sign = -1.0 if result["mode"] == "max" else 1.0
    ranked = sorted(trials, key=lambda trial: (trial.score is None, sign * (trial.score or 0.0)))
    why = {trial["number"]: trial["failure"] for trial in result["trials"] if trial.get("failure")}
    rows = "".join(
        f"<tr><th>{trial.number}</th><td>{escape(trial.state.lower())}</td>"
        f"<td>{_score(trial.score) if trial.score is not None else '—'}</td>"
        f'<td style="text-align:left">{escape(" ".join(f"{k}={v}" for k, v in trial.params.items()))}</td>'
        + (f'<td style="text-align:left">{escape(why.get(trial.number, ""))}</td>' if why else "")
        + "</tr>"
        for trial in ranked
    )
    table = (
        '<div class="scroll" tabindex="0"><table><thead><tr><th>trial</th><th>state</th><th>score</th><th style="text-align:left">overrides</th>'
        + ('<th style="text-align:left">why it failed</th>' if why else "")
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    return section(
        "trials", "All trials", f"<details><summary>{len(trials)} trials, best first</summary>{table}</details>"
    )


def _score(value: float) -> str:
    return number(value, digits=_DIGITS, signed=True)


def _repeat(result: Mapping[str, Any]) -> str:
    lines = f"{result.get('command', '')}\n{result.get('repeat', '')}".strip()
    return section("repeat", "How to repeat it", f"<pre tabindex='0'>{escape(lines)}</pre>")


def _both(
    caption: str, draw: Callable[[Size], str], *, wide: Size = _WIDE, narrow: Size = _NARROW, note: str = ""
) -> str:
    return figure(caption, draw(wide) + draw(narrow), note=note)
