"""Several runs in one order: seeds of one configuration judged together, configurations ranked, failures shown."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.runs import EvaluationSpec
from wealtharena.evaluation import backtest, comparison, metrics, pins
from wealtharena.evaluation.bootstrap import interquartile_mean
from wealtharena.evaluation.evaluate import Facts, judge
from wealtharena.evaluation.evidence import PLAYED, TEST_WINDOW, Unfilled
from wealtharena.evaluation.groups import Group, Paths, configurations, group, load
from wealtharena.evaluation.ledger import Ledger, Window
from wealtharena.evaluation.ranking import WEIGHTS, composite
from wealtharena.evaluation.records import RunResult
from wealtharena.evaluation.seeds import largest, median_index
from wealtharena.evaluation.settings_apart import apart
from wealtharena.evaluation.streams import named
from wealtharena.evaluation.trials import Completed, History, Trials
from wealtharena.evaluation.verdict import ORDER
from wealtharena.evaluation.wording import edited_reason, left_out_reason
from wealtharena.files import jsonable

SCHEMA_VERSION = 1
SPREAD = ("annual_return", "sharpe", "max_drawdown", "total_return")
_CONTEST = {
    "test windows": "window",
    "lengths of a bar": "frequency",
    "account currencies": "currency",
    "fills": "fill",
    "symbols": "symbols",
    "costs": "costs",
}  # of a row, by what it is called
_OF_AN_ASSET = ("symbols", "costs")
_WHY = {"interrupted": "the run was stopped before its end", "closed": "the test window is closed"}


def build(
    runs: Sequence[RunResult], *, evaluation: EvaluationSpec, ledger: Ledger | None, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the leaderboard as JSON types: `rows` best first, failed runs after them, `weights`, `generated_at`.

    A row is `agent, asset, algo, seeds[], middle_run, played` (the window of a backtest, else null), `metrics{}`
    (interquartile mean over seeds), `spread{}`, `active{active_share, kept_share}` (of tilts and of lambda; null where there is none), `judged`
    (together, or apart: each run by itself), `intervals{sharpe}` (over bars and seeds; null where the paths are not at hand),
    `comparison{}` against the baseline of the verdict, `comparisons{}` against all, `composite, rank, ranks{}, verdict{},
    status, simulated, source, symbols[], frequency, currency, fill, costs{}, window, run_ids[], config_hash, settings[]` (the
    overrides that tell it from other rows of its name). `unlike` says in what rows differ that are in one order all the same.
    """
    groups = group(runs)
    loaded = {g.key: load(g) for g in groups}
    whole = {g.key for g in groups if not counted(g, ledger)[0].left_out}
    rows = {}
    for found in groups:
        rivals = [other for other in groups if other is found or other.key in whole]
        strategies, stream = alternatives(found, rivals, loaded), named(rng, found.stream)
        rows[found.key] = row(found, loaded[found.key], strategies, evaluation=evaluation, ledger=ledger, rng=stream)
    ranked = composite({key: line["metrics"] for key, line in rows.items()})
    ordered = []
    for place in ranked:
        line = rows[place.name]
        line |= {"composite": place.composite, "rank": place.place, "ranks": dict(place.ranks)}
        ordered.append(line)
    newest = {g.key: g.newest for g in groups}
    failed = [run for run in runs if run.status != "completed"]
    every = [*ordered, *map(failure, failed)]
    of = [str(run.content.get("command") or "") for run in (*(newest[p.name] for p in ranked), *failed)]
    names = [f"{line['agent']} {line['algo']} {line['played']}" for line in every]
    for line, settings in zip(every, apart(list(zip(names, of, strict=True))), strict=True):
        line["settings"] = settings
    board = {
        "schema_version": SCHEMA_VERSION,
        "generated_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "weights": dict(WEIGHTS),
        "unlike": unlike(ordered),
        "rows": every,
    }
    cleaned: dict[str, Any] = jsonable(board)
    return cleaned


def unlike(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in what rows differ that figures of one contest have in common, in words; a row that does not say it differs in nothing.

    Symbols and costs are compared within an asset: each has its own.
    """

    def differs(name: str) -> bool:
        said = [(row.get("asset") if name in _OF_AN_ASSET else None, row[name]) for row in rows if row.get(name)]
        seen = {(of, json.dumps(sorted(v) if isinstance(v, list) else v, sort_keys=True)) for of, v in said}
        return len(seen) > len({of for of, _ in seen})

    return [words for words, name in _CONTEST.items() if differs(name)]


def alternatives(
    found: Group, groups: Sequence[Group], loaded: Mapping[str, Paths | None]
) -> npt.NDArray[np.float64] | None:
    """Return the returns [T, N] of all configurations of this agent on this data over the same bars; None below two.

    `groups` are those that leave no run out: beside the worst seed of its rival anybody is the best. They are without
    what cash earned or, where this configuration tilts an anchor, what that did: one measure for all.
    """
    own = loaded[found.key]
    if own is None:
        return None
    anchor = own.baselines.get(backtest.ANCHOR)
    columns = []
    for other in configurations(found, groups):
        paths = loaded[other.key]
        if paths is not None and np.array_equal(paths.agents[0].timestamps, own.agents[0].timestamps):
            cash = metrics.risk_free(paths.agents[0], risk_free_of(other.newest.evidence))
            skills = [
                metrics.excess(agent.returns, cash) if anchor is None else agent.returns - anchor.returns
                for agent in paths.agents
            ]
            columns.append(np.mean(skills, axis=0))
    return np.column_stack(columns) if len(columns) > 1 else None


def row(
    found: Group,
    paths: Paths | None,
    strategies: npt.NDArray[np.float64] | None,
    *,
    evaluation: EvaluationSpec,
    ledger: Ledger | None,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Return a group's line, without its place."""
    newest = found.newest
    ratios = [_number(run.test.get("sharpe")) for run in found.runs]
    line: dict[str, Any] = {
        **identity(newest),
        "status": "completed",
        "seeds": list(found.seeds),
        "run_ids": [run.run_id for run in found.runs],
        "middle_run": found.runs[median_index(ratios)].run_id,
        "metrics": middle(found.tests),
        "spread": {name: _range([_number(test.get(name)) for test in found.tests]) for name in SPREAD},
        "active": active_of(found),
    }
    if paths is None or found.together:
        blocks = [run.block("comparison") for run in found.runs]
        hardest = newest.evidence.get("beats") or evaluation.verdict.beats[0]
        return line | {
            "judged": "together" if found.together or len(found.runs) == 1 else "apart",
            "intervals": {"sharpe": [None, None]},
            "comparison": dict(blocks[-1].get(hardest) or {}) if len(blocks) == 1 else {},
            "comparisons": dict(blocks[-1]) if len(blocks) == 1 else {},
            "verdict": from_records(found, ledger),
        }
    facts = facts_of(found, ledger)
    streams = rng.spawn(2)
    judged = judge(
        paths.agents, paths.baselines, evaluation=evaluation, facts=facts, rng=streams[0], strategies=strategies
    )
    interval = comparison.sharpe_interval(
        paths.agents, rng=streams[1], draws=evaluation.bootstrap_draws, risk_free=judged.risk_free
    )
    compared = {name: entry.to_json() for name, entry in judged.comparisons.items()}
    return line | {
        "judged": "together",
        "intervals": {"sharpe": [interval.low, interval.high]},
        "comparison": compared.get(judged.verdict.evidence.beats, {}),
        "comparisons": compared,
        "verdict": held(found, judged.verdict.to_json()),
    }


def held(found: Group, verdict: dict[str, Any]) -> dict[str, Any]:
    """Return a backtest's verdict with what its record says beside the rules: that its window was seen in training."""
    run = found.newest
    ruled = {rule.get("reason") for rule in run.verdict.get("rules") or ()}
    said = [reason for reason in run.verdict.get("reasons") or () if reason not in ruled]
    if not run.played or not ruled or not said:
        return verdict
    status = max(verdict["status"], "unproven", key=ORDER.index)
    return {**verdict, "status": status, "reasons": [*said, *verdict["reasons"]]}


def identity(run: RunResult) -> dict[str, Any]:
    """Return who a line is about."""
    data = run.block("data")
    return {
        "agent": run.agent,
        "asset": run.content.get("asset"),
        "algo": run.content.get("algo"),
        "config_hash": run.config_hash,
        "simulated": run.simulated,
        "source": data.get("source"),
        "symbols": data.get("symbols"),
        "frequency": data.get("frequency"),
        "currency": data.get("currency"),
        "fill": data.get("fill") or run.content.get("fill"),
        "costs": data.get("costs"),
        "window": run.window,
        "played": run.block("backtest").get("window") if run.played else None,
    }


def failure(run: RunResult) -> dict[str, Any]:
    """Return the line of a run that left no result."""
    error = run.content.get("error")
    why = {"message": error.get("message"), "hint": error.get("hint")} if isinstance(error, Mapping) else {}
    if not why:
        why = {"message": _WHY.get(run.status, "the run left no test result")}
    return {
        **identity(run),
        "status": run.status,
        "seeds": [run.seed],
        "run_ids": [run.run_id],
        "error": why,
        "metrics": {},
    }


def active_of(found: Group) -> dict[str, float | None]:
    """Return active share and lambda in the mean of the runs; None where not every run has one."""
    tilts = [(run.block("comparison").get("anchor") or {}).get("active") or {} for run in found.runs]
    shares = [_number(part.get("active_share")) for part in tilts]
    kept = [_number(run.evidence.get("kept_share")) for run in found.runs]
    return {name: _known_mean(values) for name, values in (("active_share", shares), ("kept_share", kept))}


def _known_mean(values: Sequence[float]) -> float | None:
    mean = float(np.mean(values))
    return mean if math.isfinite(mean) else None


def facts_of(found: Group, ledger: Ledger | None) -> Facts:
    """Return what the runs say about themselves, the gravest answer of any; the ledger knows the trials best."""
    evidence = [run.evidence for run in found.runs]
    audits = [entry.get("audit") for entry in evidence]
    trials, looks, own = counted(found, ledger)
    return Facts(
        simulated=any(run.simulated for run in found.runs),
        unadjusted_rolls=any(bool(entry.get("unadjusted_rolls")) for entry in evidence),
        trials=trials,
        openings=looks,
        own_openings=own,
        risk_free_per_year=risk_free_of(evidence[-1]),
        hurdle_raised=bool(evidence[-1].get("hurdle_raised")),
        max_gross=next((entry["max_gross"] for entry in evidence if entry.get("max_gross") is not None), None),
        degenerate=next((str(entry["degenerate"]) for entry in evidence if entry.get("degenerate")), None),
        kept_share=largest([entry.get("kept_share") for entry in evidence]),
        stayed=tuple(bool(entry.get("own_anchor")) for entry in evidence),
        audit="failed" if "failed" in audits else "passed" if all(a == "passed" for a in audits) else None,
        leaks=tuple(dict.fromkeys(name for entry in evidence for name in entry.get("leaks") or ())),
        faults=tuple(dict.fromkeys(said for entry in evidence for said in entry.get("faults") or ())),
        hindsight=next((str(entry["hindsight"]) for entry in evidence if entry.get("hindsight")), None),
        survivors=next((entry["survivors"] for entry in evidence if entry.get("survivors") is not None), None),
        searched=next((str(entry["searched"]) for entry in evidence if entry.get("searched")), None),
        costless=any(bool(entry.get("costless")) for entry in evidence),
        assumed=next((str(entry["assumed"]) for entry in evidence if entry.get("assumed")), None),
        uncharged=next((str(entry["uncharged"]) for entry in evidence if entry.get("uncharged")), None),
        unfilled=unfilled_of(evidence),
        invested=_least([entry.get("invested") or {} for entry in evidence]),
        window=TEST_WINDOW if identity(found.newest)["played"] in (None, "test") else PLAYED,
        edited=pins.edited(found.runs, ledger),
        apart=tuple(run.evidence for run in found.runs if run.block("paths")),
        seeds=len(found.runs),
    )


def risk_free_of(evidence: Mapping[str, Any]) -> float:
    """Return `Facts.risk_free_per_year` of a run; before rates were dated it was the rate itself."""
    return _number(evidence.get("risk_free_floor", evidence.get("risk_free_per_year")), 0.0)


def unfilled_of(evidence: Sequence[Mapping[str, Any]]) -> tuple[Unfilled, ...]:
    """Return what the runs say of orders that did not go through, the most of any run for each."""
    worst: dict[str, Unfilled] = {}
    for entry in evidence:
        for found in entry.get("unfilled") or ():
            told = Unfilled(str(found["who"]), _number(found["share"], 0.0), str(found["cause"]))
            if told.who not in worst or worst[told.who].share < told.share:
                worst[told.who] = told
    return tuple(worst.values())


def _least(shares: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = {name for entry in shares for name in entry}
    return {name: min(_number(entry[name], 0.0) for entry in shares if name in entry) for name in sorted(names)}


def counted(found: Group, ledger: Ledger | None) -> tuple[Trials, int, int]:
    """Return what the group may have been chosen from, and the looks at its window: all, and its configuration's.

    The ledger knows best; where a run was made beside another ledger its own count is the least that is known.
    """
    newest = found.newest
    recorded, looks = recorded_counts(found)
    ids = [found.newest.run_id] * len(found.tests) if found.together else [run.run_id for run in found.runs]
    judged = [
        Completed(run_id, seed, _number(test.get("sharpe")))
        for run_id, seed, test in zip(ids, found.seeds, found.tests, strict=True)
    ]
    older, beside = (
        [Completed(run.run_id, run.seed, _number(run.test.get("sharpe"))) for run in part]
        for part in (found.older, found.beside)
    )
    dropped = [run.run_id for run in older if not any(run.repeats(other) for other in judged)]
    if ledger is None:
        return Trials(recorded, None, tuple(dropped)), looks, len(found.runs)
    history = History.of(ledger, newest.agent, window_of(newest), run_ids=[run.run_id for run in found.runs])
    left_out = tuple(dict.fromkeys([*history.left_out(newest.config_hash, [*judged, *beside]), *dropped]))
    trials = history.trials(newest.config_hash, left_out=left_out, group=judged)
    known = replace(trials, configurations=max(trials.configurations, recorded))
    return known, max(history.openings(), looks), max(history.openings(newest.config_hash), len(found.runs))


def recorded_counts(found: Group) -> tuple[int, int]:
    """Return the most configurations and openings that any run of the group knew of when it was judged."""
    said = [run.evidence for run in found.runs]
    configurations = max(int(_number(entry.get("configurations", entry.get("trials")), 1.0)) for entry in said)
    return configurations, max(int(_number(entry.get("openings"), 1.0)) for entry in said)


def window_of(run: RunResult) -> Window:
    """Return the test window of a finished run as the ledger knows it."""
    data = run.block("data")
    return Window(
        fingerprint=run.fingerprint,
        dates=(run.window,) if run.window else (),
        symbols=tuple(data.get("symbols") or ()),
        frequency=str(data.get("frequency") or ""),
        simulated=run.simulated,
    )


def from_records(found: Group, ledger: Ledger | None) -> dict[str, Any]:
    """Return the gravest verdict that the runs gave themselves: without their paths the seeds cannot be judged together.

    What a run said of its own seed is no word about several, and several that were not judged together prove nothing. Nor
    does a verdict that knew of fewer configurations or openings than the ledger does now.
    """
    known = [run.verdict for run in found.runs if run.verdict.get("status") in ORDER]
    if not known:
        return {"status": "unproven", "reasons": ["The runs carry no verdict."], "evidence": {}}
    gravest = max(known, key=lambda verdict: ORDER.index(verdict["status"]))
    status, reasons = gravest["status"], list(gravest.get("reasons") or ())
    if len(found.runs) > 1:
        of_one = {rule["reason"] for rule in gravest.get("rules") or () if rule.get("rule") == "seeds"}
        together = f"The {len(found.runs)} seeds were not judged together: their paths are not at hand."
        reasons = [together, *(reason for reason in reasons if reason not in of_one)]
        status = max(status, "unproven", key=ORDER.index)
    trials, looks, _ = counted(found, ledger)
    before = recorded_counts(found)
    if (trials.configurations, looks) != before:  # never less
        reasons.append(grown_reason(before, (trials.configurations, looks)))
        status = max(status, "unproven", key=ORDER.index)
    if trials.left_out:
        reasons.append(left_out_reason(trials.left_out))
        status = max(status, "unproven", key=ORDER.index)
    if doubted := pins.edited(found.runs, ledger):
        reasons.append(edited_reason(doubted))
        status = max(status, "unproven", key=ORDER.index)
    evidence, limits = dict(gravest.get("evidence") or {}), gravest.get("limits")
    return {"status": status, "reasons": reasons, "evidence": evidence, **({"limits": limits} if limits else {})}


def grown_reason(before: tuple[int, int], now: tuple[int, int]) -> str:
    """Return, in words, that more configurations were tried, or more looks taken, than a verdict knew of."""
    counts = zip(("configurations tried", "openings"), before, now, strict=True)
    more = " and ".join(f"{last} {name}, of which it knew {first}" for name, first, last in counts if last != first)
    return f"The verdict is older than what the ledger knows of this window: {more}."


def middle(tests: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the interquartile mean over seeds of every measure that all of them have."""
    names = [name for name in tests[0] if all(_known(test.get(name)) for test in tests)]
    return {name: float(interquartile_mean([_number(test[name]) for test in tests])) for name in names}


def _known(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _number(value: object, default: float = float("nan")) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default


def _range(values: Sequence[float]) -> list[float]:
    known = [value for value in values if np.isfinite(value)]
    return [min(known), max(known)] if known else []
