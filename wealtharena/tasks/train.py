"""task=train: learn on the training window, choose on validation, open the test window once, and say what came of it."""

from __future__ import annotations

import contextlib
import logging
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wealtharena import files
from wealtharena.agents.memory import check_room
from wealtharena.config.grid import jobs_at_once
from wealtharena.config.hashing import begun_with
from wealtharena.config.identity import run_record
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import command_line
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import TrainingError
from wealtharena.evaluation.firewall import TrainingView
from wealtharena.evaluation.ledger import Ledger, RunIdentity, Window
from wealtharena.evaluation.trials import History
from wealtharena.tasks import collect, console, opened, resuming, retraining
from wealtharena.tasks.folds import TrainedFold, fold_folder
from wealtharena.tasks.pipeline import Prepared, identity, prepare, require_audit, split_of
from wealtharena.tasks.record import RunContext, RunRecord, ended_by, recorded
from wealtharena.training.callbacks import Callbacks
from wealtharena.training.job import KEPT_SHARE, LEARNED, LEARNED_T, Several, TrainingJob, TrainingResult
from wealtharena.training.trainer import train

if TYPE_CHECKING:
    from wealtharena.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def run(spec: ExperimentSpec) -> int:
    """Train, select, backtest and report in the job's run directory; return the exit code."""
    return run_in(RunContext.current(), spec)


def run_in(context: RunContext, spec: ExperimentSpec, *, prepared: Prepared | None = None) -> int:
    """Train, select, backtest and report in the folder of `context`; return the exit code.

    `prepared` are the data of `spec`, where the caller has them at hand.
    """
    if context.resumed:
        resuming.check_place(spec, context.folder)
    again = retraining.version_of(spec, run_record(context.folder) if context.resumed else {})
    spec = retraining.configured(spec, again)
    resuming.check(spec, context)
    with recorded(spec, context) as record:
        if again is not None:
            record.update(**{retraining.RETRAINS: again.metadata.version})
        if prepared is None:
            collect.beforehand(spec, record.content)
            prepared = prepare(spec)
        require_audit(spec, prepared)
        resuming.refuse_other_bars(context.folder, record.content, prepared)
        require_room(spec, prepared, at_once=jobs_at_once())
        prepared = retraining.comparable(prepared, spec, again)
        warm = retraining.warm_start(spec, record.content, again)
        retraining.require_unseen(warm, prepared)
        begun = warm.name if warm is not None else record.content.get("begun_with")
        if begun is None and context.resumed and opened.OPENED not in record.content:  # then none other is let through
            begun = resuming.other_budget(spec, context.folder, prepared)
        if begun is not None:
            record.update(begun_with=begun)
        describe(record, spec, prepared)
        opened.refuse_another(record)
        console.header(record.content, notes=record.content["notes"])
        return _train_and_judge(spec, context, record, prepared, warm)


def require_room(spec: ExperimentSpec, prepared: Prepared, *, at_once: int = 1) -> None:
    """Raise ConfigError where trainings, `at_once` of them, cannot fit this machine, before a file stands in a folder.

    The longest fold has to: of a walk forward that is the last, and the folds before it may take hours.
    """
    seen = prepared.sealed.training(0).features
    bars = max(sum(segment.bars for segment in (*fold.train, fold.validation)) for fold in prepared.folds)
    layout = ObservationLayout(seen.panel.symbols, seen.names, spec.env.window)
    check_room(spec, layout, max(seen.bars, bars), at_once=at_once)


def describe(record: RunRecord, spec: ExperimentSpec, prepared: Prepared) -> None:
    """Write what is known before the first step: data, split, fill, and the command that repeats the run exactly."""
    hashed, weights = identity(spec, prepared), record.content.get("begun_with")
    if weights is not None:  # a run that goes on from others is no seed of those that begin at nothing
        hashed = begun_with(hashed, weights)
    told = History.of(Ledger(spec.paths.ledger), spec.asset.agent, prepared.sealed.window).told(hashed, record.run_id)
    record.update(
        config_hash=hashed,
        command=repeatable(str(record.content["command"]), prepared.repeat),
        data=prepared.about,
        split={"name": spec.split.name, **split_of(prepared)},
        fill=prepared.fill,
        notes=[*prepared.notes, *([told] if told else [])],
    )


def repeatable(command: str, source: str) -> str:
    """Return the command with the data source that `auto` resolved to in its place; what was typed otherwise stays.

    But `resume=`: what went on with a run is no part of what the run is, and would find it completed.
    """
    again = shlex.split(source)
    named = {"resume", *(word.partition("=")[0] for word in again)}
    words = shlex.split(command)
    words = words[1 if words[0] == "wealtharena" else 2 :]  # wealtharena, or python run.py
    while words[:1] == ["--config-dir"]:  # command_line() says it itself
        words = words[2:]
    typed = [word for word in words if word.partition("=")[0] not in named]
    return command_line([*typed, *again])


def _train_and_judge(
    spec: ExperimentSpec, context: RunContext, record: RunRecord, prepared: Prepared, warm: Path | None
) -> int:
    from wealtharena.tracking.tracker import Tracker

    steps = resuming.saved_steps(spec, context.folder, prepared) if context.resumed else None
    if steps is not None:
        console.goes_on_from(steps, total=len(prepared.folds) * spec.train.env_steps)
    callbacks = Callbacks.of(spec.train.callbacks)
    unvalidated = resuming.unvalidated(context.folder, prepared) if context.resumed else ()
    tracker = Tracker.start(
        spec, context.folder, record.content, steps, folds=len(prepared.folds), unvalidated=unvalidated
    )
    outputs: list[Path] = []
    with _told_of_the_end(tracker, callbacks, record, outputs):
        told = Several((chosen_by(spec, prepared, record), tracker, callbacks))
        folds = train_folds(spec, context.folder, prepared, told, resume=context.resumed, warm=warm)
        record.update(**training_block(spec, folds, context.folder))
        if any(fold.result.status == "interrupted" for fold in folds):
            record.update(status="interrupted")
            console.interrupted(context.folder)
            return 130
        tracker.close_console()
        outputs += _judge(spec, context, record, prepared, folds)
        record.update(status="completed")
    _say(spec, record, context.folder)
    console.tracked(tracker.whereabouts())
    return 0


@contextlib.contextmanager
def _told_of_the_end(
    tracker: Tracker, callbacks: Callbacks, record: RunRecord, outputs: Sequence[Path]
) -> Iterator[None]:
    """Tell mirrors and callbacks how the run has ended; what a callback then raises does not hide what ended it before."""
    try:
        yield
    except BaseException as error:
        ended_by(record, error)
        tracker.finish(record.content, outputs)
        try:
            callbacks.on_end(record.content)
        except TrainingError as another:
            log.warning("%s", another.message)
        raise
    tracker.finish(record.content, outputs)
    callbacks.on_end(record.content)


def train_folds(
    spec: ExperimentSpec, folder: Path, prepared: Prepared, tracker: Any, *, resume: bool, warm: Path | None = None
) -> tuple[TrainedFold, ...]:
    """Train every fold of the split on its own view; later folds wait for earlier ones and stop after an interrupt.

    `warm` is the verified folder whose weights each begins with.
    """
    trained: list[TrainedFold] = []
    for position, fold in enumerate(prepared.folds):
        place = fold_folder(folder, prepared, position)
        files.make_folder(place)
        listener = (
            FoldListener(tracker, fold=position, offset=position * spec.train.env_steps)
            if len(prepared.folds) > 1
            else tracker
        )
        result = train_view(spec, prepared.sealed.training(position), place, listener, resume=resume, warm=warm)
        trained.append(TrainedFold(fold.index, place, result))
        if result.status == "interrupted":
            break
    return tuple(trained)


def chosen_by(spec: ExperimentSpec, prepared: Prepared, record: RunRecord) -> Choosing:
    """Return who writes down by which windows the configuration is chosen."""
    who = RunIdentity(record.run_id, str(record.content["config_hash"]), spec.asset.agent, spec.task, spec.seed)
    return Choosing(Ledger(spec.paths.ledger), who, prepared.sealed.selection)


class Choosing:
    """Writes to the ledger, before the first validation figure is shown, by which windows a configuration is chosen.

    They may be the test window of another split: then this configuration was tried on it.
    """

    def __init__(self, ledger: Ledger, who: RunIdentity, window: Window) -> None:
        self._ledger, self._who, self._window, self._written = ledger, who, window, False

    def on_iteration(self, record: Mapping[str, Any]) -> None:
        """Rewards of training rows choose nothing."""

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """Write the line, once."""
        if not self._written:
            self._ledger.record_trial(self._who, window=self._window)
            self._written = True


@dataclass(frozen=True, eq=False)
class FoldListener:
    """Puts the folds of a split one after another on the run's axis of environment steps."""

    tracker: Any
    fold: int
    offset: int

    def on_iteration(self, record: Mapping[str, Any]) -> None:
        """Pass an iteration on, with its fold."""
        self.tracker.on_iteration(self._placed(record))

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """Pass a validation backtest on, with its fold."""
        self.tracker.on_evaluation(self._placed(record))

    def _placed(self, record: Mapping[str, Any]) -> dict[str, Any]:
        return {**record, "fold": self.fold, "env_step": int(record["env_step"]) + self.offset}


def train_view(
    spec: ExperimentSpec,
    view: TrainingView,
    folder: Path,
    listener: Any,
    *,
    resume: bool,
    warm: Path | None = None,
) -> TrainingResult:
    """Train on one training view; raises TrainingError where not one candidate came of it."""
    job = TrainingJob(spec, view.features, view.train, view.validation, folder, resume=resume, warm=warm)
    result = train(job, listener=listener)
    if result.best is None and result.status == "completed":
        raise TrainingError(
            "training ended without a candidate: no validation backtest was reached",
            hint="raise train.env_steps, or lower train.evaluations",
        )
    return result


def training_block(spec: ExperimentSpec, folds: tuple[TrainedFold, ...], root: Path) -> dict[str, Any]:
    """Return run.json's `training`, `checkpoint` and, where there are several, `folds`."""
    results = [fold.result for fold in folds]
    steps, seconds = sum(r.env_steps for r in results), sum(r.seconds for r in results)
    block: dict[str, Any] = {
        "training": {
            "env_steps": steps,
            "seconds": seconds,
            "env_steps_per_second": steps / seconds if seconds > 0 else None,
            "iterations": sum(r.iterations for r in results),
            "final_reward": results[-1].final_reward,
            "degenerate": next((r.degenerate for r in results if r.degenerate), None),
        }
    }
    blocks = [checkpoint_block(spec, fold, root) for fold in folds]
    block["checkpoint"] = blocks[-1]
    if len(folds) > 1:
        block["folds"] = [
            {"index": fold.index, "checkpoint": found, "env_steps": fold.result.env_steps}
            for fold, found in zip(folds, blocks, strict=True)
        ]
    return block


def checkpoint_block(spec: ExperimentSpec, fold: TrainedFold, root: Path) -> Mapping[str, Any] | None:
    """Return where the chosen candidate lies, relative to the run directory, and what it was chosen by."""
    best = fold.result.best
    if best is None:
        return None
    path = (fold.folder / best.path).resolve().relative_to(root.resolve())
    return {
        "path": str(path),
        "step": best.env_step,
        "selected_by": f"validation.{spec.train.select_by}",
        "score": best.score,
        **{name: best.metrics[name] for name in (KEPT_SHARE, LEARNED, LEARNED_T) if name in best.metrics},
    }


def _judge(
    spec: ExperimentSpec, context: RunContext, record: RunRecord, prepared: Prepared, folds: tuple[TrainedFold, ...]
) -> list[Path]:
    from wealtharena.tasks import closed, judging  # not before the training: they would delay the first update

    if not spec.train.test:
        return closed.show(spec, context.folder, record, prepared, folds)
    closed.record_trials(Ledger(spec.paths.ledger), closed.beside(context.folder))  # of a grid that came to no ranking
    record.content.pop("test_window", None)
    return judging.judge(spec, context, record, prepared, folds)


def _say(spec: ExperimentSpec, record: RunRecord, folder: Path) -> None:
    from wealtharena.tasks import closed

    if spec.train.test:
        console.result(record.content, folder)
    else:
        closed.say(record.content, folder)
