"""A training whose test window stays closed: what it did on training and validation data, marked as that and no more."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import yaml
from rich.table import Table

from wealtharena import files
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import command_line, going_on, list_of
from wealtharena.envs.market import Market
from wealtharena.envs.shortfall import Shortfall, shortfall
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import active, backtest, comparison, metrics, records
from wealtharena.evaluation.evidence import AGENT, Unfilled
from wealtharena.evaluation.leaderboard import failure, identity, unlike, window_of
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.look import stream
from wealtharena.evaluation.records import RunResult
from wealtharena.evaluation.wording import unfilled_reason
from wealtharena.files import relative
from wealtharena.reporting import plots, report
from wealtharena.reporting.data import ReportData
from wealtharena.tasks import console, judging
from wealtharena.tasks.folds import TrainedFold
from wealtharena.tasks.opened import OPENED
from wealtharena.tasks.pages import drawn
from wealtharena.tasks.pipeline import Prepared
from wealtharena.tasks.record import RunRecord
from wealtharena.tasks.shared import shared_overrides
from wealtharena.terminal import figure
from wealtharena.tracking.journal import read
from wealtharena.training.checkpoints import METRICS_FILE

FloatArray = npt.NDArray[np.float64]
CLOSED = "closed"
UNJUDGED: Final = "The test window is closed: nothing was judged."


def show(
    spec: ExperimentSpec, folder: Path, record: RunRecord, prepared: Prepared, folds: Sequence[TrainedFold]
) -> list[Path]:
    """Write run.json's measures and the report of the last fold's validation window; no opening, no version.

    Returns the report's files. The checkpoint was chosen on that window, so that its figures flatter it.
    """
    fold, policy = folds[-1], folds[-1].load()
    view = prepared.sealed.training(len(folds) - 1)
    env = judging.env_of(spec, policy)
    piece = backtest.Piece(policy, policy.scaler, view.validation)
    one = backtest.Backtest(spec.algo.name, view.features, env, (piece,))
    agent = one.simulate()
    baselines = backtest.of_baselines(
        view.features,
        env,
        one.window,
        evaluation=spec.evaluation,
        rng=stream(spec.seed, "judgement"),
        benchmark=spec.asset.benchmark,
        market=one.markets[0],
        risk_free_per_year=spec.asset.risk_free_per_year,
    )
    risk_free = metrics.risk_free(agent, spec.asset.risk_free_per_year)
    anchor = backtest.of_anchor(one)
    if anchor is not None:
        baselines = baselines.beside(anchor, one.markets[0], env)
        record.update(comparison=_less_anchor(spec, agent, anchor, one.markets[0], risk_free=risk_free))
    met = {AGENT: shortfall(one.markets[0], agent, spec=env), **baselines.shortfalls}
    inside = judging.on_train(spec, prepared, len(folds) - 1, policy)
    assert fold.result.best is not None
    record.update(
        test_window=CLOSED,
        metrics={
            "train": inside,
            "validation": {**metrics.summary(agent, risk_free=risk_free), **judging.against(agent, anchor)},
            "test": None,
        },
        baselines=backtest.measures(baselines, risk_free=risk_free),
        selection=judging.selection(folder, fold),
        verdict=unjudged(spec, met),
    )
    return _report(spec, folder, record, agent, baselines) if spec.tracking.report else []


def _report(
    spec: ExperimentSpec, folder: Path, record: RunRecord, agent: Trajectory, baselines: backtest.Baselines
) -> list[Path]:
    """Write report.html and its pictures; return the files."""
    content: Mapping[str, Any] = {**record.content, "status": "completed"}
    data = ReportData(
        run=content,
        agent=agent,
        baselines=tuple(baselines.values()),
        journal=read(folder / "metrics.jsonl"),
        notes=tuple(content.get("notes") or ()),
        config=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        currency=spec.asset.account_currency,
        risk_free=metrics.risk_free(agent, spec.asset.risk_free_per_year),
        window="validation",
    )

    def write() -> list[Path]:
        page = report.write(folder / "report.html", data)
        return [page, *drawn(folder, "the plots", lambda: plots.write(folder / "plots", data))]

    return drawn(folder, "the report", write)


def unjudged(spec: ExperimentSpec, met: Mapping[str, Shortfall]) -> dict[str, Any]:
    """Return run.json's `verdict` of a run that was not judged, with what its orders, and the baselines', `met` on validation."""
    rules = spec.evaluation.verdict
    found = [Unfilled.of(who, short) for who, short in met.items() if short.share > rules.max_unfilled]
    reasons = [f"On validation {unfilled_reason(found, rules)}"] if found else []
    evidence = {"unfilled": [asdict(one) for one in found]}
    return {"status": "unproven", "reasons": [UNJUDGED, *reasons], "evidence": evidence}


def _less_anchor(
    spec: ExperimentSpec, agent: Trajectory, anchor: Trajectory, market: Market, *, risk_free: FloatArray
) -> dict[str, Any]:
    """Return run.json's `comparison` with the anchor alone: what the tilts added to it on the bars that were played."""
    draws = comparison.compare_group(
        [agent],
        {backtest.ANCHOR: anchor},
        rng=stream(spec.seed, "judgement"),
        draws=spec.evaluation.bootstrap_draws,
        risk_free=risk_free,
    )
    parts = {**active.part(agent, anchor), "symbols": active.by_symbol(agent, anchor, market)}
    return {backtest.ANCHOR: {**draws[backtest.ANCHOR].to_json(), "active": parts}}


def say(record: Mapping[str, Any], folder: Path) -> None:
    """Print the validation measures, where the report is, and the command that opens the test window."""
    out = console.screen()
    out.print(console.comparison_table(record, window="validation"))
    for line in (*console.kept_share_notes(record), *console.baseline_notes(record)):
        out.print(line, style="dim")
    for reason in record["verdict"]["reasons"][1:]:
        out.print(f"- {reason}")
    out.print("The test window is closed: nothing above was measured on data that the agent has not been chosen by.")
    console.report(folder)
    console.screen(answer=True).print(f"Open it, once, with: {opening(folder)}")


def record_trials(ledger: Ledger, runs: Sequence[RunResult]) -> None:
    """Write the closed runs of each agent to the ledger, once each, where they are a choice among several configurations.

    Whatever is chosen from them then, opened or trained again, has been tried as often as they are many. Call it where
    that choice is made: where they are ranked, or one of them is opened. A run of a debug preset is never one of them.
    """
    candidates = [run for run in runs if _candidate(run)]
    tried: dict[str, set[str]] = {}
    for run in candidates:
        tried.setdefault(run.agent, set()).add(run.config_hash)
    shown = [run for run in candidates if run.status == CLOSED and len(tried[run.agent]) > 1]
    known = [entry for entry in ledger.entries() if entry["kind"] == "trial"] if shown else []
    for run in shown:
        dates = [list(pair) for pair in window_of(run).dates]
        if any((entry.get("run_id"), entry.get("window")) == (run.run_id, dates) for entry in known):
            continue
        sharpe = (run.block("metrics").get("validation") or {}).get("sharpe")
        who = RunIdentity(run.run_id, run.config_hash, run.agent, "train", run.seed)
        ledger.record_trial(who, window=window_of(run), sharpe=sharpe)


def _candidate(run: RunResult) -> bool:
    """Return whether a run is a configuration that could be chosen; one that is being opened is, by its checkpoint.

    What ended before has no configuration hash, or one that was not yet that of its data.
    """
    trained = run.status in (CLOSED, "completed") or bool(run.block("checkpoint"))
    return trained and bool(run.content.get("config_hash")) and not run.played and not _debug(run)


def _debug(run: RunResult) -> bool:
    """Return whether a run's command names a debug preset."""
    named = [word.partition("=")[2] for word in _words(run) if word.lstrip("+").startswith("debug=")]
    return bool(named) and named[-1] not in ("none", "null")


def _words(run: RunResult) -> list[str]:
    """Return the words of a run's command."""
    return shlex.split(str(run.content.get("command") or ""))


def beside(folder: Path) -> tuple[RunResult, ...]:
    """Return the runs of the grid that a run directory is of; none where it is of none."""
    grid = folder.resolve().parent
    return records.find([grid]) if (grid / "multirun.yaml").is_file() else ()


def is_choice(runs: Sequence[RunResult]) -> bool:
    """Return whether runs are a choice among closed ones: of none of them the test window was opened, nor does it matter that some failed."""
    opened = any(run.status == "completed" or OPENED in run.content for run in runs)
    return any(run.status == CLOSED for run in runs) and not opened


def ranking(folder: Path, runs: Sequence[RunResult], *, others: Sequence[RunResult] = ()) -> dict[str, Any]:
    """Rank configurations by their validation figure, over seeds; print and write them with the command that opens the best.

    Of two runs with one seed the newer counts. `others` have no figure, and stand below with why. Written to validation.json: it is no leaderboard, since each figure chose
    its own checkpoint.
    """
    groups: dict[tuple[str, str], dict[object, RunResult]] = {}
    for run in runs:  # oldest first
        one = run.run_id if run.seed is None else (run.content.get("task"), run.seed)
        groups.setdefault((run.agent, run.config_hash), {})[one] = run
    rows = [_row(tuple(group.values())) for group in groups.values()]
    rows.sort(key=lambda row: (row["agent"], -row["score"]))
    out = console.screen()
    which = " of the first fold" if any(run.content.get("folds") for run in runs) else ""
    title = f"Validation window{which}; the test window is closed"
    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    for heading in ("agent", "score", "seeds", "runs"):
        table.add_column(heading, justify="right" if heading in ("score", "seeds") else "left")
    for row in rows:
        table.add_row(row["agent"], figure(row["score"], "+.3f"), str(len(row["runs"])), " ".join(row["runs"]))
    out.print(table)
    lacking = [_unranked(run) for run in others]
    for row in lacking:
        out.print(f"Not ranked: {row['runs'][0]} {row['status']}, {row['error']['message']}")
    for agent in dict.fromkeys(run.agent for run in runs):
        if differing := _unlike([run for run in runs if run.agent == agent]):
            out.print(f"{agent}: the scores are of several {' and '.join(differing)}, which do not compare.")
    best = {row["agent"]: row for row in reversed(rows)}
    shared = shared_overrides(runs[0].folder)  # the ledger that knows them, and the rules that the best is judged by
    for row in best.values():
        row["open"] = command_line(
            ["task=compare", "compare.open=true", f"compare.runs={list_of(row['runs'])}", *shared]
        )
        out.print(f"Open the test window for the best of {row['agent']}: {row['open']}")
    board: dict[str, Any] = {"schema_version": 1, "window": "validation", "rows": [*rows, *lacking]}
    files.write_json(folder / "validation.json", files.jsonable(board))
    return board


def _unlike(runs: Sequence[RunResult]) -> list[str]:
    """Return in what runs of one ranking differ that scores of one contest have in common, in words."""
    windows = {str(run.block("split").get("validation")) for run in runs}
    others = [words for words in unlike([identity(run) for run in runs]) if words != "test windows"]
    return [*(["validation windows"] if len(windows) > 1 else []), *others]


def _row(group: Sequence[RunResult]) -> dict[str, Any]:
    scores = [_score(run) for run in group]
    places = [relative(run.folder) for run in group]
    return {
        "agent": group[0].agent,
        "config_hash": group[0].config_hash,
        "status": CLOSED,
        "score": sum(scores) / len(scores),
        "seeds": [run.seed for run in group],
        "runs": places,
    }


def _unranked(run: RunResult) -> dict[str, Any]:
    facts = {"agent": run.agent, "config_hash": run.config_hash, "score": None, "seeds": [run.seed]}
    told = failure(run)
    return {**facts, "status": told["status"], "error": told["error"], "runs": [relative(run.folder)]}


def _score(run: RunResult) -> float:
    """Return what a run's checkpoint was chosen by; 0 of an agent that never traded, as in a search, and else the least.

    Of several folds it is the first one's, as in a search: in a walk forward no fold tests on its validation, where those of
    later folds lie in the tests before them.
    """
    folds = run.content.get("folds")
    chosen = (folds[0].get("checkpoint") or {}) if folds else run.block("checkpoint")
    score = chosen.get("score")
    if score is not None:
        return float(score)
    kept = run.folder / str(chosen.get("path")) / METRICS_FILE
    if folds:
        measures = json.loads(kept.read_text(encoding="utf-8"))["validation"] if kept.is_file() else {}
    else:
        measures = run.block("metrics").get("validation") or {}
    return 0.0 if measures.get("trades") == 0 else -math.inf


def opening(folder: Path) -> str:
    """Return the command that opens the test window for a run that was trained with it closed."""
    return going_on(folder, "train.test=true")
