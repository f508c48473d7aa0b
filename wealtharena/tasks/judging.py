"""The end of a training: open the test window, play the agent and the baselines, judge, write it all down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wealtharena import files
from wealtharena.agents.policy import Trained
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation import active, backtest, metrics, significance, tables
from wealtharena.evaluation import audit as audit_room
from wealtharena.evaluation.audit import AuditReport
from wealtharena.evaluation.evaluate import Evaluation, evaluate
from wealtharena.evaluation.firewall import OpenedView, TrainingView
from wealtharena.evaluation.ledger import RunIdentity
from wealtharena.evaluation.look import Look, stream
from wealtharena.evaluation.seeds import largest
from wealtharena.evaluation.splits import Segment, track_records
from wealtharena.reporting import build, plots, report
from wealtharena.reporting.data import AuditRow, ReportData
from wealtharena.tasks import keeping, opened, retraining
from wealtharena.tasks.folds import TrainedFold
from wealtharena.tasks.pages import drawn
from wealtharena.tasks.pipeline import Prepared, doubts
from wealtharena.tasks.record import RunContext, RunRecord
from wealtharena.tracking.journal import read
from wealtharena.training.interrupts import StopRequest

EQUITY_POINTS = 400  # of the track record that a checkpoint carries
RATIO = "information_ratio"  # of an agent to the anchor that it tilts


@dataclass(frozen=True, eq=False)
class Judgement:
    """What came of the one look at the test window."""

    evaluation: Evaluation
    features: OpenedView
    policies: tuple[Trained, ...]  # one a fold
    look: Look


def judge(
    spec: ExperimentSpec,
    context: RunContext,
    record: RunRecord,
    prepared: Prepared,
    folds: Sequence[TrainedFold],
) -> list[Path]:
    """Audit, open the test window once, write run.json, tables, report and checkpoint; return the report's files."""
    audit = run_audit(spec, prepared)
    found = open_and_evaluate(spec, record, prepared, [folds], purpose=spec.task, audit=audit)
    return write_down(spec, context.folder, record, prepared, folds, found, audit=audit)


def write_down(
    spec: ExperimentSpec,
    folder: Path,
    record: RunRecord,
    prepared: Prepared,
    folds: Sequence[TrainedFold],
    found: Judgement,
    *,
    audit: AuditReport | None,
    seeds: Sequence[int] = (),
) -> list[Path]:
    """Write run.json's figures, tables, checkpoint and report of a judgement; `folds` are those of the first seed."""
    blocks = found.evaluation.to_json()
    inside = of_folds(spec, prepared, folds, found.policies)
    record.update(
        metrics={
            **{part: middle([fold[part] for fold in inside]) for part in ("train", "validation")},
            "test": blocks.pop("metrics"),
        },
        **({"folds": beside(record.content.get("folds") or (), inside)} if len(inside) > 1 else {}),
        **{key: blocks[key] for key in ("baselines", "comparison", "shape", "stress", "verdict")},
        **several(blocks["seeds"], seeds),
        audit=audit.to_json() if audit else None,
        selection=of_choices([selection(folder, fold) for fold in folds]),
    )
    tables.write(folder, found.evaluation.agent, baselines=found.evaluation.baselines)
    version = None
    if spec.train.publish:
        record.update(registry=publish(spec, record, found))
        version = Path(spec.paths.checkpoints) / str(record.content["registry"])
    found.look.wrote(folder, version)
    content = {**record.content, "status": "completed"}  # what run.json says once the report stands
    return write_report(spec, folder, content, found.evaluation, audit=audit, seeds=seeds)


def several(found: Mapping[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """Return run.json's `seeds` with their numbers, or the `paths` of a combinatorial split; nothing for one record."""
    if found["count"] < 2:
        return {}
    return {"seeds": {**found, "numbers": list(seeds)}} if seeds else {"paths": found}


def run_audit(spec: ExperimentSpec, prepared: Prepared) -> AuditReport:
    """Return the look-ahead audit of this run's own features, scaler, observation, reward and fill.

    It is made on the training view and the bars before it, before the test window is opened; `task=audit` tries more points and the repairs.
    """
    return audit_room.audit(
        prepared.sealed.training(0).features.with_lead(),
        spec.features,
        spec.env,
        quality=spec.data.quality,
        points=audit_room.POINTS,
        rng=stream(spec.seed, "audit"),
    )


def open_and_evaluate(
    spec: ExperimentSpec,
    record: RunRecord,
    prepared: Prepared,
    seeds: Sequence[Sequence[TrainedFold]],
    *,
    purpose: str,
    audit: AuditReport | None,
    strategies: np.ndarray[Any, np.dtype[np.float64]] | None = None,
    numbers: Sequence[int] = (),
) -> Judgement:
    """Open every fold's test window, once each, and judge the seeds of one configuration together.

    `seeds` holds, a seed, the folds' policies. The ledger knows of it before a row is read. `numbers` are those of the seeds
    of a record that has all of them: it answers for what it leaves out, where a run that is one of several waits for the
    comparison with the others.
    """
    identity = RunIdentity(record.run_id, str(record.content["config_hash"]), spec.asset.agent, purpose, spec.seed)
    keeping.check(spec)  # once more, hours after the task's start: a window that was opened cannot be shut again
    opened.claim(spec, record)
    look = Look(spec, prepared.sealed, identity)
    widest = max(look.open(), key=lambda view: view.features.bars)
    loaded = [tuple(fold.load() for fold in folds) for folds in seeds]
    backtests = [one for policies in loaded for one in _backtests(spec, prepared, widest, policies)]
    facts = look.facts(
        audit=None if audit is None else "passed" if audit.passed else "failed",
        degenerate=next((fold.result.degenerate for folds in seeds for fold in folds if fold.result.degenerate), None),
        seeds=len(seeds),
        kept_share=largest([fold.result.kept_share for folds in seeds for fold in folds]),
        **doubts(spec, prepared, first_row=min(s.start for fold in prepared.folds for s in fold.test), audit=audit),
    )
    found = evaluate(
        backtests,
        evaluation=spec.evaluation,
        facts=facts,
        rng=look.rng(),
        strategies=strategies,
        counted=look.counted(numbers) if numbers else None,
    )
    if not numbers:  # a group's figures stand there since they were counted
        look.showed(found)
    return Judgement(found, widest, loaded[0], look)


def _backtests(
    spec: ExperimentSpec, prepared: Prepared, view: OpenedView, policies: Sequence[Trained]
) -> list[backtest.Backtest]:
    """Return one backtest a track record: one for holdout and walk-forward, several for cpcv."""
    by_fold = {fold.index: policy for fold, policy in zip(prepared.folds, policies, strict=True)}
    backtests = []
    for pieces in track_records(prepared.folds):
        played = tuple(backtest.Piece(by_fold[index], by_fold[index].scaler, segment) for index, segment in pieces)
        backtests.append(backtest.Backtest(spec.algo.name, view.features, env_of(spec, policies[0]), played))
    return backtests


def env_of(spec: ExperimentSpec, policy: Trained) -> Any:
    """Return the market's rules with the kind of action that the policy was trained with."""
    return spec.env.model_copy(update={"action": policy.action})


def of_folds(
    spec: ExperimentSpec, prepared: Prepared, folds: Sequence[TrainedFold], policies: Sequence[Trained]
) -> list[dict[str, Any]]:
    """Return run.json's `folds`: each with its dates and the measures of what it learned from and was chosen on.

    The test measures are of all folds' windows; beside them stand those of all folds, not of the last.
    """
    found = []
    for position, (fold, policy) in enumerate(zip(folds, policies, strict=True)):
        parts = prepared.folds[position]
        dates = {"train": parts.train, "validation": (parts.validation,), "test": parts.test}
        found.append(
            {
                "index": fold.index,
                "dates": {name: prepared.sealed.dates(segments) for name, segments in dates.items()},
                "train": dict(on_train(spec, prepared, position, policy)),
                "validation": dict(on_validation(spec, prepared, position, fold, policy)),
            }
        )
    return found


def beside(known: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is `found` of each fold beside what its training left in run.json."""
    trained = {fold["index"]: fold for fold in known}
    return [{**trained.get(fold["index"], {}), **fold} for fold in found]


def middle(folds: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """Return the mean over folds of each measure that all of them have; of one fold its measures as they are."""
    if len(folds) == 1:
        return folds[0]
    shared = [name for name in folds[0] if all(isinstance(fold.get(name), int | float) for fold in folds)]
    return {name: float(np.mean([fold[name] for fold in folds])) for name in shared}


def on_train(spec: ExperimentSpec, prepared: Prepared, position: int, policy: Trained) -> Mapping[str, float]:
    """Return the measures over the longest training segment: what the agent looks like where it has learnt."""
    view = prepared.sealed.training(position)
    played, anchor = beside_anchor(spec, view, policy, max(view.train, key=lambda item: item.bars))
    cash = metrics.risk_free(played, spec.asset.risk_free_per_year)
    return {**metrics.summary(played, risk_free=cash), **against(played, anchor)}


def on_validation(
    spec: ExperimentSpec, prepared: Prepared, position: int, fold: TrainedFold, policy: Trained
) -> Mapping[str, float]:
    """Return the measures by which the checkpoint was chosen, and beside them how a tilt compares with its anchor."""
    best, view = fold.result.best, prepared.sealed.training(position)
    if best is None:
        return {}
    return {**best.metrics, **against(*beside_anchor(spec, view, policy, view.validation))}


def beside_anchor(
    spec: ExperimentSpec, view: TrainingView, policy: Trained, segment: Segment
) -> tuple[Trajectory, Trajectory | None]:
    """Return the paths of a policy and of the anchor that it tilts through one segment; None where it does not tilt."""
    piece = backtest.Piece(policy, policy.scaler, segment)
    one = backtest.Backtest(spec.algo.name, view.features, env_of(spec, policy), (piece,))
    return one.simulate(), backtest.of_anchor(one)


def against(agent: Trajectory, anchor: Trajectory | None) -> dict[str, float]:
    """Return the information ratio of an agent to its anchor by its name; nothing without an anchor."""
    return {} if anchor is None else {RATIO: active.part(agent, anchor)[RATIO]}


def selection(folder: Path, fold: TrainedFold) -> dict[str, Any] | None:
    """Return run.json's `selection`: how many checkpoints the chosen one is the best of, and its deflated Sharpe ratio.

    The best of n figures is what luck gives at least: of the validation Sharpe ratio the expected maximum of n draws of
    no skill is taken off, with the variance that the n showed (Bailey and Lopez de Prado 2014). None where fewer than
    two were measured.
    """
    lines = read(folder / "metrics.jsonl")
    shown = [line for line in lines if "validation/sharpe" in line and line.get("fold", fold.index) == fold.index]
    ratios = np.array([float(line["validation/sharpe"]) for line in shown if line["validation/sharpe"] is not None])
    best = fold.result.best
    if ratios.size < 2 or best is None:
        return None
    expected = significance.expected_maximum_sharpe(ratios.size, variance=float(ratios.var(ddof=1)))
    ratio = float(best.metrics["sharpe"])
    return {
        "checkpoints": int(ratios.size),
        "validation_sharpe": ratio,
        "expected_of_luck": expected,
        "validation_sharpe_deflated": ratio - expected,
    }


def of_choices(folds: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Return run.json's `selection` of all folds, whose figures are means over them as the validation's are.

    Each fold chose among its own checkpoints, and what luck gives is taken off each: `folds` has them one by one, and
    `checkpoints` is the most that any chose among. None where a fold chose among fewer than two.
    """
    known = [dict(fold) for fold in folds if fold is not None]
    if len(known) < len(folds):
        return None
    if len(known) == 1:
        return known[0]
    most = max(fold["checkpoints"] for fold in known)
    return {**middle(known), "checkpoints": most, "folds": known}


def publish(spec: ExperimentSpec, record: RunRecord, found: Judgement) -> str:
    """Copy the chosen policy to the registry, proven there, and return its folder as `<agent>/<version>`.

    A signal waits until the version is whole, which takes seconds. Where this run published it before it was killed, the
    verdict of then stands, in run.json too.
    """
    from wealtharena.registry.checkpoints import ModelCheckpoint
    from wealtharena.registry.publish import publish as save

    window = found.features.test[-1]
    record.update(**retraining.challenge(spec, found.policies[-1], found.features, record.content))
    facts = {
        **record.content,
        "seed": spec.seed,  # a search's own is another than its winner's
        "track_record": track_record(found.evaluation),
    }
    with StopRequest() as stop:
        folder = save(
            ModelCheckpoint(spec.paths.checkpoints),
            found.policies[-1],
            version=record.run_id,
            spec=spec,
            features=found.features.features,
            start=window.start,
            stop=window.stop,
            facts=facts,
        )
    if stop.requested:
        raise KeyboardInterrupt
    _let_stand(record, folder)
    return f"{folder.parent.name}/{folder.name}"


def _let_stand(record: RunRecord, folder: Path) -> None:
    """Take over the verdict of a version that was there already, and say so where this judgement came out otherwise."""
    published = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["verdict"]
    ours = record.content["verdict"]
    if (published["status"], published["reasons"]) != (ours["status"], ours["reasons"]):
        note = (
            f"This run was interrupted after its version was published as {published['status']}; that verdict stands."
        )
        record.update(verdict=published, notes=[*record.content.get("notes", ()), note])


def track_record(found: Evaluation) -> dict[str, Any]:
    """Return equity over the test window, agent and baselines, thinned out, each starting at 1."""
    agent = found.agent
    rows = np.unique(np.linspace(0, len(agent.equity) - 1, min(EQUITY_POINTS, len(agent.equity))).astype(int))
    paths = {"agent": agent, **found.baselines}
    return {
        "dates": [str(day) for day in agent.timestamps[rows].astype("datetime64[D]")],
        "equity": {
            name: [round(float(v), 6) for v in path.equity[rows] / path.equity[0]] for name, path in paths.items()
        },
    }


def write_report(
    spec: ExperimentSpec,
    folder: Path,
    content: Mapping[str, Any],
    evaluation: Evaluation,
    *,
    audit: AuditReport | None = None,
    seeds: Sequence[int] = (),
) -> list[Path]:
    """Write report.html, where tracking.report asks for it, and return the files to show."""
    if not spec.tracking.report:
        return []

    def write() -> list[Path]:
        data = _report_data(spec, folder, content, evaluation, audit=audit, seeds=seeds)
        page = report.write(folder / "report.html", data)
        return [page, *drawn(folder, "the plots", lambda: plots.write(folder / "plots", data))]

    return drawn(folder, "the report", write)


def _report_data(
    spec: ExperimentSpec,
    folder: Path,
    content: Mapping[str, Any],
    evaluation: Evaluation,
    *,
    audit: AuditReport | None,
    seeds: Sequence[int],
) -> ReportData:
    return build.from_evaluation(
        files.jsonable(content),
        evaluation,
        rng=stream(spec.seed, "report"),
        journal=read(folder / "metrics.jsonl"),
        seeds=seeds,
        audit=[AuditRow(check.name, check.passed, check.detail) for check in audit.checks] if audit else (),
        config=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        currency=spec.asset.account_currency,
    )
