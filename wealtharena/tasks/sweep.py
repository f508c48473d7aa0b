"""task=train with a sweep: search on validation data, train the finalists again, open the test window once for the winner."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wealtharena import files
from wealtharena.config import compose, config_hash
from wealtharena.config.composition import job_overrides
from wealtharena.config.hashing import code_of
from wealtharena.config.identity import settings
from wealtharena.config.preset import preset, read_override
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import command_line, override, quoted
from wealtharena.errors import ConfigError, Interrupted, TrainingError
from wealtharena.files import relative
from wealtharena.reporting import sweep as page
from wealtharena.shown import without_places
from wealtharena.tasks import closed, collect, console, judging, resuming
from wealtharena.tasks.finalists import TrainedFinalist, describe_finalist, train_finalists, typed_again
from wealtharena.tasks.folds import TrainedFold
from wealtharena.tasks.pages import drawn
from wealtharena.tasks.pipeline import Prepared, identity, prepare, require_audit, split_of
from wealtharena.tasks.record import RunContext, RunRecord, recorded
from wealtharena.tasks.searching import Search, bars_per_year, record_choosing, record_trials
from wealtharena.tasks.train import checkpoint_block, describe, require_room, train_folds
from wealtharena.tasks.trial import TrainingObjective, check_metric, data_key
from wealtharena.tracking.privacy import without_paths
from wealtharena.tracking.search import SearchDisplay, mirror
from wealtharena.tracking.wandb_run import WandbRun
from wealtharena.training.job import Silent
from wealtharena.tuning import space
from wealtharena.tuning.engine import SearchResult, search
from wealtharena.tuning.rows import TrialRow
from wealtharena.tuning.search import storage_of
from wealtharena.tuning.selection import (
    SelectionBias,
    best,
    selection_bias,
    strategies,
)

log = logging.getLogger(__name__)

_NOT_A_TRIALS = ("sweep", "hydra", "resume", "task", "tracking")


def run(spec: ExperimentSpec) -> int:
    """Search, select, test the winner once and report in the job's run directory; return the exit code."""
    return run_in(RunContext.current(), spec, job_overrides())


def run_in(context: RunContext, spec: ExperimentSpec, overrides: Sequence[str]) -> int:
    """Search, select, test the winner once and report in the folder of `context`; return the exit code.

    `overrides` are those that `spec` was composed from. With train.test=false the test window stays closed.
    """
    if spec.split.name == "cpcv":
        raise ConfigError(
            "a search with split=cpcv would tune on rows that other folds test on",
            hint="search with split=holdout or walk_forward, then run the best configuration with split=cpcv",
        )
    if spec.train.retrain is not None:
        raise ConfigError(
            f"train.retrain={spec.train.retrain} trains with the settings that are in production, a search looks for others",
            hint="leave one of the two out: asset=<its asset> sweep=<name> searches, and the best is trained and promoted as any version",
        )
    if (spec.compute.address or "").startswith("ray://"):
        raise ConfigError(
            f"compute.address={spec.compute.address}: Tune would run the search on the cluster's head, away from its study",
            hint="start it on a machine of the cluster: compute.address=auto, or <head>:6379",
        )
    check_metric(spec.sweep.metric, spec.sweep.mode)
    typed = with_fixed(spec, overrides)
    spec = compose(typed) if spec.sweep.fixed else spec
    if context.resumed:
        resuming.check_place(spec, context.folder)
    resuming.check(spec, context, study=study_path(spec, context.folder))
    with recorded(spec, context) as record:
        base = trial_overrides(spec, typed)
        space.check(spec.sweep, base, space.alike(compose(base), compose))
        for line in space.unread(spec.sweep, base, compose):
            log.warning("%s", line)
        collect.beforehand(spec, record.content)
        prepared = prepare(spec)
        require_audit(spec, prepared)
        resuming.refuse_other_bars(context.folder, record.content, prepared)
        require_room_for_trials(spec, base, prepared)
        describe(record, spec, prepared)
        console.header(record.content, notes=[*record.content["notes"], *length_note(spec)])
        job = Search(spec, base, prepared, context.folder, study_path(spec, context.folder))
        return _search_and_judge(job, record)


def require_room_for_trials(spec: ExperimentSpec, base: Sequence[str], prepared: Prepared) -> None:
    """Raise ConfigError where as many trials as run at once cannot fit this machine, or one of an end of the space alone.

    What a machine of a cluster has is not known here, nor what a trial takes that searches over data or features.
    """
    if spec.compute.address is not None:
        return
    plain = compose(base)
    require_room(plain, prepared, at_once=min(spec.sweep.concurrency, spec.sweep.trials))

    def fitting(words: Sequence[str]) -> ExperimentSpec:
        found = compose(words)
        if data_key(found) == data_key(plain):
            require_room(found, prepared)
        return found

    space.check(spec.sweep, base, fitting)


def length_note(spec: ExperimentSpec) -> list[str]:
    """Return which of the two lengths of training holds in a search; nothing where they do not differ."""
    if spec.sweep.env_steps in (None, spec.train.env_steps):
        return []
    return [
        f"Trials and finalists train for sweep.env_steps={spec.sweep.env_steps:,}, not for "
        f"train.env_steps={spec.train.env_steps:,}; sweep.env_steps=null takes the latter."
    ]


def with_fixed(spec: ExperimentSpec, typed: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides with those that the sweep brings along, unless the same key was typed."""
    said = {item.lstrip("+~").partition("=")[0] for item in typed}
    return (*typed, *(item for item in spec.sweep.fixed if item.partition("=")[0] not in said))


def trial_overrides(spec: ExperimentSpec, typed: Sequence[str]) -> tuple[str, ...]:
    """Return what every trial is composed from: what was typed for the search, without what concerns the search itself.

    A trial rolls out and learns in its own process, also where `compute` names remote runners: the processors that it was
    given leave no room for them, and it is the trials that are spread.
    """
    kept = [item for item in typed if item.lstrip("+~").partition("=")[0].partition(".")[0] not in _NOT_A_TRIALS]
    steps = [] if spec.sweep.env_steps is None else [f"train.env_steps={spec.sweep.env_steps}"]
    alone = ["compute.runners=0", "compute.learners=0"] if spec.compute.runners or spec.compute.learners else []
    return (*kept, *steps, *alone, f"compute.torch_threads={max(1, int(spec.sweep.cpus_per_trial))}", "tracking=none")


def study_path(spec: ExperimentSpec, folder: Path) -> Path:
    """Return the study's journal: in the run directory, or by its name under results/ where it has one to come back to."""
    if spec.sweep.study is None:
        return folder / "study.journal"
    return Path(spec.paths.results).resolve() / "studies" / f"{spec.sweep.study}.journal"


def _search_and_judge(job: Search, record: RunRecord) -> int:
    began = time.monotonic()
    found = _run_search(job, record)
    bias = selection_bias(found.trials, blocks=job.spec.evaluation.cscv_blocks, mode=job.spec.sweep.mode)
    result = describe_search(job, record, found, bias, seconds=time.monotonic() - began)
    if found.interrupted:
        write(job.folder, {**result, "status": "interrupted"})
        record.update(status="interrupted")
        say_best(job, found)
        console.interrupted(job.folder)
        return Interrupted.exit_code
    write(job.folder, result)
    try:
        finalists = train_finalists(job, best(found.trials, job.spec.sweep.finalists, mode=job.spec.sweep.mode))
    except (KeyboardInterrupt, Interrupted):
        write(job.folder, {**result, "status": "interrupted"})
        raise
    winner = finalists[0]
    write_preset(job, winner)
    result |= {"finalists": [describe_finalist(item) for item in finalists], "winner": describe_finalist(winner)}
    write(job.folder, result)
    opening = job.spec.train.test
    judged = judge_winner(job, record, winner, found.trials) if opening else leave_closed(job, record, winner)
    write(job.folder, {**result, "status": "completed", **judged})
    place = mirror(job.spec, job.folder, record.content, files.jsonable(result), [job.folder / "sweep.html"])
    (console.result if opening else closed.say)(record.content, job.folder)
    if place is not None:
        console.tracked([f"{WandbRun.title}: {place}"])
    console.screen(answer=True).print(f"Search: {relative(job.folder / 'sweep.html')}")
    console.screen().print(f"Repeat the winner with: {result['repeat']}")
    return 0


def _run_search(job: Search, record: RunRecord) -> SearchResult:
    sweep, spec = job.spec.sweep, job.spec
    steps = spec.train.evaluations * sweep.seeds_per_trial
    objective = TrainingObjective(
        job.base, sweep.metric, sweep.seeds_per_trial, data_key(compose(job.base)), job.prepared.windows
    )
    display = SearchDisplay(sweep.metric, mode=sweep.mode, trials=sweep.trials, steps=steps, kind=spec.tracking.console)
    try:
        return search(
            sweep,
            objective,
            folder=job.folder,
            study_path=job.study_path,
            compute=spec.compute,
            seed=spec.seed,
            steps=steps,
            listener=display,
            identity=study_identity(job),
            began=lambda: record_choosing(job, record),
            ended=lambda trials: record_trials(job, record, trials),
            shared=job.prepared.sealed.training(0),
        )
    finally:
        display.close()


def study_identity(job: Search) -> dict[str, Any]:
    """Return what the trials are drawn for, flat: market, windows, base configuration, code of packages, measure, length and space.

    Of the base configuration `sweep` is left out: it is that of a trial, which searches for nothing.
    """
    sweep, sealed, base = job.spec.sweep.model_dump(mode="json"), job.prepared.sealed, compose(job.base)
    asked = {f"{key} of its trials": sweep[key] for key in ("metric", "mode", "seeds_per_trial")}
    asked["env_steps of its trials"] = base.train.env_steps
    plain = {key: value for key, value in settings(base).items() if not key.startswith("sweep.")}
    space_of = {f"sweep.space.{key}": str(value) for key, value in sweep["space"].items()}
    fold = sealed.folds[0]
    windows = {"split.train": str(sealed.dates(fold.train)), "split.validation": str(sealed.dates((fold.validation,)))}
    missing = {"sweep.space": sorted(sweep["space"])}  # a key that only one of two spaces has
    code = {f"code of {name}": digest for name, digest in code_of(base).items()}
    return {"data.bars": sealed.fingerprint, **windows, **asked, **space_of, **missing, **plain, **code}


def judge_winner(job: Search, record: RunRecord, winner: TrainedFinalist, trials: Sequence[TrialRow]) -> dict[str, Any]:
    """Open the test window once for all seeds of the winner; return the blocks that sweep.json adds to run.json's."""
    spec = winner.specs[0].model_copy(update={"tracking": job.spec.tracking})
    prepared = winner.prepared
    record.content.pop("test_window", None)
    seeds: list[tuple[TrainedFold, ...]] = []
    for seeded, folder in zip(winner.specs, winner.folders, strict=True):
        folds = train_folds(seeded, folder, prepared, Silent(), resume=True)
        seeds.append(folds)
    split = {"name": spec.split.name, **split_of(prepared)}
    record.update(config_hash=identity(spec, prepared), algo=spec.algo.name, split=split)
    audit, numbers = judging.run_audit(spec, prepared), [seeded.seed for seeded in winner.specs]
    found = judging.open_and_evaluate(
        spec, record, prepared, seeds, purpose="sweep", audit=audit, strategies=strategies(trials), numbers=numbers
    )
    judging.write_down(spec, job.folder, record, prepared, seeds[0], found, audit=audit, seeds=numbers)
    record.update(status="completed")
    return {"verdict": record.content["verdict"], "test": record.content["metrics"]["test"]}


def leave_closed(job: Search, record: RunRecord, winner: TrainedFinalist) -> dict[str, Any]:
    """Write what the winner's first seed did on validation, and leave the test window closed; sweep.json gets nothing more."""
    spec = winner.specs[0].model_copy(update={"tracking": job.spec.tracking})
    folds = train_folds(spec, winner.folders[0], winner.prepared, Silent(), resume=True)
    split = {"name": spec.split.name, **split_of(winner.prepared)}
    record.update(config_hash=identity(spec, winner.prepared), algo=spec.algo.name, split=split)
    chosen = checkpoint_block(spec, folds[-1], job.folder)
    record.update(checkpoint=chosen and {**chosen, "seed": spec.seed})  # the search's own is no finalist's
    closed.show(spec, job.folder, record, winner.prepared, folds)
    record.update(status="completed")
    return {}


def describe_search(
    job: Search, record: RunRecord, found: SearchResult, bias: SelectionBias, *, seconds: float
) -> dict[str, Any]:
    """Return sweep.json without what comes after the search."""
    sweep = job.spec.sweep
    content = record.content
    years = bars_per_year(job)
    return {
        "schema_version": 1,
        "status": "running",
        "sweep": sweep.name,
        "study": {"name": found.study_name, "path": without_places(str(found.study_path))},
        "agent": content["agent"],
        "metric": sweep.metric,
        "mode": sweep.mode,
        "data": content["data"],
        "seconds": seconds,
        "trials": [
            {
                "number": row.number,
                "state": row.state,
                "score": row.score,
                "steps": row.steps,
                "env_step": row.extra.get("x_env_step"),
                "overrides": _pairs(row.overrides),
                **({} if row.failure is None else {"failure": without_paths(row.failure)}),
            }
            for row in found.trials
        ],
        "importance": importance(found),
        "bias": {
            **{key: value for key, value in asdict(bias).items() if key != "logits"},
            "logits": bias.logits,
            **{
                f"{name}_annual": None if (a_bar := getattr(bias, name)) is None else a_bar * years**0.5
                for name in ("expected_maximum_sharpe", "best_sharpe")
            },
        },
        "command": content["command"],
        "repeat": command_line([override("experiment", relative(job.folder / "best.yaml"))]),
    }


def importance(found: SearchResult) -> dict[str, float]:
    """Return the share of the score's variation that each parameter explains (PED-ANOVA, Watanabe et al. 2023)."""
    import optuna

    if len(found.completed) < 4:
        return {}
    study = optuna.load_study(study_name=found.study_name, storage=storage_of(found.study_path))
    try:
        with warnings.catch_warnings():  # it warns where a condition held for few trials; those it leaves out
            warnings.simplefilter("ignore", UserWarning)
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
    except (ValueError, RuntimeError):  # conditional spaces may leave no parameter that all trials share
        return {}


def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Write sweep.json and sweep.html."""
    content = files.jsonable(result)
    files.write_json(folder / "sweep.json", content)
    drawn(folder, "the page of the search", lambda: [page.write(folder / "sweep.html", content)])


def write_preset(job: Search, winner: TrainedFinalist) -> None:
    """Write best.yaml: an experiment preset that repeats the winner's configuration.

    TrainingError where it would compose to another one: then no command is better than a wrong one.
    """
    overrides = [*typed_again(job), *winner.score.overrides]
    head = f"# @package _global_\n# The winner of a search over sweeps/{job.spec.sweep.name}.yaml; validation {winner.score.median:+.3f}.\n"
    path = job.folder / "best.yaml"
    files.write_text(path, head + preset(overrides))
    if config_hash(compose([f"experiment={quoted(path)}"])) != config_hash(compose(overrides)):
        path.unlink()
        raise TrainingError(
            "best.yaml would not compose to the winner's configuration, so it was not written",
            hint=f"repeat the winner with: {command_line(overrides)}",
        )


def say_best(job: Search, found: SearchResult) -> None:
    """Print the best configuration so far."""
    for row in best(found.trials, 1, mode=job.spec.sweep.mode):
        console.screen().print(f"Best so far: {job.spec.sweep.metric} {row.score:+.3f} with {' '.join(row.overrides)}")


def _pairs(items: Sequence[str]) -> dict[str, Any]:
    return dict(read_override(item) for item in items)
