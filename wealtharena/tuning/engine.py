"""The search itself: a Ray Tune experiment over one Optuna study."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import filelock

from wealtharena.agents import cluster, patience
from wealtharena.config.specs.agent import ComputeSpec
from wealtharena.config.specs.sweep import SweepSpec
from wealtharena.errors import Interrupted, TrainingError
from wealtharena.files import lockless, make_folder, relative, require_writable
from wealtharena.tuning import deaths
from wealtharena.tuning.rows import Rows, TrialRow, collect
from wealtharena.tuning.search import FINISHED_KEY, STEP_KEY, StudySearch, counted, open_study, reached

log = logging.getLogger(__name__)

Report = Callable[[float, Mapping[str, Any]], None]


class Objective(Protocol):
    """What a trial does, on its worker: compose, train, report; raises where it fails."""

    def __call__(self, overrides: Sequence[str], *, number: int, report: Report, shared: Any) -> None:
        """Train the configuration that the overrides give; call `report(score, extra)` at every evaluation.

        `shared` is what the search was given for all trials, read-only, from Ray's object store.
        """


class SearchListener(Protocol):
    """Who watches a search."""

    metric: str

    def on_kept(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        """Called before the first trial with each that the study has already, as `on_trial` is with one that ended."""

    def on_trial(self, number: int, overrides: Sequence[str], state: str, step: int, score: float | None) -> None:
        """Called when a trial starts, reports or ends; state is RUNNING, COMPLETE, PRUNED or FAIL."""

    def on_failure(self, number: int, message: str) -> None:
        """Called with one line: what a failed trial raised, or what its worker died of."""


class Pulse:
    """Whether trials run at all: a cluster that has no room for one would be waited for without an end."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._since = time.monotonic()  # when a trial last ran
        self._told = False
        self.lost = False

    def begins(self, trial: str) -> None:
        """Take note of a trial that runs."""
        self._running.add(trial)

    def ends(self, trial: str) -> None:
        """Take note of one that has ended."""
        self._running.discard(trial)
        self._since, self._told = time.monotonic(), False

    def silent(self) -> float:
        """Return the seconds since a trial last ran, 0 while one does."""
        return 0.0 if self._running else time.monotonic() - self._since

    def is_lost(self) -> bool:
        """Return whether none has run for too long; log a line once that begins to be felt."""
        self.lost = self.silent() > patience.START_SECONDS
        if self.silent() > patience.LINE_SECONDS and not self._told:
            self._told = True
            log.warning("waiting for Ray to have room for a trial")
        return self.lost


@dataclass(frozen=True)
class SearchResult:
    """What a search found; `trials` holds every one that counts, in order."""

    trials: tuple[TrialRow, ...]
    interrupted: bool
    study_path: Path
    study_name: str

    @property
    def completed(self) -> tuple[TrialRow, ...]:
        return tuple(row for row in self.trials if row.state == "COMPLETE")


def search(
    sweep: SweepSpec,
    objective: Objective,
    *,
    folder: Path,
    study_path: Path,
    compute: ComputeSpec,
    seed: int,
    steps: int,
    listener: SearchListener,
    identity: Mapping[str, Any],
    began: Callable[[], None],
    ended: Callable[[tuple[TrialRow, ...]], None],
    shared: Any = None,
) -> SearchResult:
    """Run the trials that the study still lacks and return all of them; Ctrl-C keeps what is finished.

    `began` is told once the study is this search's, before any figure of it is shown; `ended` of each trial when it has
    ended, and in the end of all that count, also where the search ends with an error.

    `steps` is the number of evaluations of a whole trial, which the scheduler counts in; `shared` goes into Ray's object
    store once and to every trial, so that a panel is not copied with each; `identity` says what the trials are drawn
    for. Raises TrainingError when more than `sweep.max_failed_share` of the trials fail, and when another search holds
    the same study; ConfigError where the study was begun for another identity.
    """
    with _alone(study_path), contextlib.ExitStack() as cluster_of_the_search:
        study = open_study(sweep, study_path, seed=seed, identity=identity)
        rows = Rows(study_path.with_suffix(".trials"))
        rows.require_known(study)
        began()
        for kept in collect(study, rows):  # what is lost of a search that goes on is told before its next trial
            listener.on_kept(kept.number, kept.overrides, kept.state, kept.steps, kept.score)
        lacking = counted(study) < sweep.trials
        if lacking:
            cluster_of_the_search.enter_context(_ray(compute, sweep))
        searcher = StudySearch(
            study, sweep, finished=rows.write, told=lambda number: ended(collect(study, rows, only=number))
        )
        interrupted = False
        try:
            if lacking:
                scheduler = scheduler_of(sweep, steps, reached(study))
                interrupted = _fit(
                    sweep, objective, searcher, scheduler, folder=folder, steps=steps, listener=listener, shared=shared
                )
            if interrupted:
                _fail_running(study)
            _judge_failures(sweep, searcher)
        finally:
            found = collect(study, rows)
            ended(found)
        return SearchResult(found, interrupted, study_path, study.study_name)


def _fit(
    sweep: SweepSpec,
    objective: Objective,
    searcher: StudySearch,
    scheduler: Any,
    *,
    folder: Path,
    steps: int,
    listener: SearchListener,
    shared: Any,
) -> bool:
    from ray import tune

    pulse = Pulse()
    trainable = tune.with_parameters(_trainable(objective, sweep.metric, steps), shared=shared)
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": sweep.cpus_per_trial, "gpu": sweep.gpus_per_trial}),
        tune_config=tune.TuneConfig(
            search_alg=tune.search.ConcurrencyLimiter(searcher, max_concurrent=sweep.concurrency),
            scheduler=scheduler,
            num_samples=-1,
            time_budget_s=sweep.time_budget_seconds,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: f"trial-{trial.trial_id}",  # no `=`, which Hydra could not read back
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder.resolve()),
            verbose=0,
            callbacks=[_watch(listener, searcher, pulse)],
            stop=_stopper(sweep, searcher, pulse),
            failure_config=tune.FailureConfig(max_failures=0, fail_fast=False),
        ),
    )
    try:
        with deaths.survived():
            tuner.fit()
    except (KeyboardInterrupt, Interrupted):
        return True
    except Exception:  # Tune's own of any kind: what made it stumble is raised in its place where that is known
        if searcher.unkept is None:
            require_writable(folder)  # on a full disk Tune stumbles over a line of its own that was cut off
            raise
    if searcher.unkept is not None:
        raise searcher.unkept
    if pulse.lost:
        raise TrainingError(
            f"no trial has run for {pulse.silent():.0f} s: Ray has no room for one",
            hint="look at what else this Ray is busy with (`ray status`); the same command goes on with this study",
        )
    return False


def _trainable(objective: Objective, metric: str, steps: int) -> Callable[..., None]:
    """Return what Tune calls; the report of evaluation `steps`, or one more behind fewer, says that the trial is finished.

    A scheduler that would stop a trial at its last evaluation stops nothing.
    """

    def trial(config: dict[str, Any], shared: Any) -> None:
        from ray import tune

        last: dict[str, Any] = {}

        def report(score: float, extra: Mapping[str, Any]) -> None:
            if not math.isfinite(score):
                raise TrainingError(
                    f"trial {config['number']} reported a score of {score}", hint="it is counted as failed"
                )
            step = int(last.get(STEP_KEY, 0)) + 1
            last.update({metric: float(score), STEP_KEY: step, **extra})
            tune.report({**last, FINISHED_KEY: True} if step == steps else dict(last))

        objective(config["overrides"], number=int(config["number"]), report=report, shared=shared)
        if not last:
            raise TrainingError(f"trial {config['number']} ended without an evaluation", hint="raise train.env_steps")
        if last[STEP_KEY] != steps:
            tune.report({**last, FINISHED_KEY: True})

    return trial


@dataclass(frozen=True)
class _Kept:
    """A trial of the study to Tune's schedulers, which know it by its id."""

    trial_id: str


def scheduler_of(sweep: SweepSpec, steps: int, kept: Mapping[int, Mapping[int, float]]) -> Any:
    """Return who stops trials early, None where nobody does; it knows what `kept` trials had reached, by number and step.

    Without them the first trials of a search that goes on would be compared with nothing.
    """
    scheduler = _scheduler(sweep, steps)
    for number, values in kept.items() if scheduler is not None else ():
        trial: Any = _Kept(f"kept-{number}")
        for step, value in sorted(values.items()):
            scheduler.on_trial_add(None, trial)
            scheduler.on_trial_complete(None, trial, {STEP_KEY: step, sweep.metric: value})
    return scheduler


def _scheduler(sweep: SweepSpec, steps: int) -> Any:
    from ray.tune import schedulers

    grace = min(sweep.grace_evaluations, steps)
    if sweep.scheduler == "asha":
        # one past the last evaluation: it would stop each trial there, before the next is begun
        return schedulers.ASHAScheduler(
            time_attr=STEP_KEY,
            metric=sweep.metric,
            mode=sweep.mode,
            max_t=steps + 1,
            grace_period=grace,
            reduction_factor=sweep.reduction_factor,
        )
    if sweep.scheduler == "median":
        return schedulers.MedianStoppingRule(
            time_attr=STEP_KEY, metric=sweep.metric, mode=sweep.mode, grace_period=grace, min_samples_required=3
        )
    return None


def _watch(listener: SearchListener, searcher: StudySearch, pulse: Pulse) -> Any:
    from ray import tune

    class Watch(tune.Callback):
        """Hand trials' progress to the listener."""

        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            pulse.begins(trial.trial_id)
            listener.on_trial(trial.config["number"], trial.config["overrides"], "RUNNING", 0, None)

        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **_: Any
        ) -> None:
            listener.on_trial(
                trial.config["number"], trial.config["overrides"], "RUNNING", result[STEP_KEY], _score(result)
            )

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            pulse.ends(trial.trial_id)
            result = trial.last_result or {}
            state = "COMPLETE" if result.get(FINISHED_KEY) else "PRUNED"
            listener.on_trial(
                trial.config["number"], trial.config["overrides"], state, result.get(STEP_KEY, 0), _score(result)
            )

        def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **_: Any) -> None:
            pulse.ends(trial.trial_id)
            listener.on_trial(trial.config["number"], trial.config["overrides"], "FAIL", 0, None)
            why = deaths.reason(trial.error_file)
            searcher.explain(trial.config["number"], why)
            listener.on_failure(trial.config["number"], why)

    def _score(result: Mapping[str, Any]) -> float | None:
        value = result.get(listener.metric)
        return None if value is None else float(value)

    return Watch()


def _stopper(sweep: SweepSpec, searcher: StudySearch, pulse: Pulse) -> Any:
    from ray import tune

    class Hopeless(tune.Stopper):
        """Stop the experiment once too many trials of all that were asked for have failed, or none can run or be kept."""

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            hopeless = searcher.failed > sweep.max_failed_share * sweep.trials or searcher.unkept is not None
            return hopeless or pulse.is_lost()

    return Hopeless()


def _judge_failures(sweep: SweepSpec, searcher: StudySearch) -> None:
    if searcher.told and searcher.failed > sweep.max_failed_share * sweep.trials:
        raise TrainingError(
            f"{searcher.failed} of {searcher.told} trials failed, more than sweep.max_failed_share={sweep.max_failed_share:g} of {sweep.trials}",
            hint="the first failures' messages are in the trial folders under tune/; narrow the space or raise the share",
        )


def _fail_running(study: Any) -> None:
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.set_user_attr(f"zombie-{trial.number}", True)
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


@contextlib.contextmanager
def _alone(study_path: Path) -> Iterator[None]:
    make_folder(study_path.parent)
    lock = filelock.FileLock(f"{study_path}.search")  # Optuna owns `<study>.lock`
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise TrainingError(
            f"another search is running on the study {study_path.name}",
            hint="wait for it, or give sweep.study=<another name>",
        ) from error
    except OSError as error:
        why = lockless(error, study_path).strerror
        raise TrainingError(
            f"the study {relative(study_path)} cannot be held: {why}", hint="keep it in a folder of another disk"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _ray(compute: ComputeSpec, sweep: SweepSpec) -> Iterator[None]:
    """Join the named cluster, or start Ray on this machine for the length of the search."""
    os.environ.update(
        RAY_CHDIR_TO_TRIAL_DIR="0",
        TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1",
        TUNE_DISABLE_SIGINT_HANDLER="1",
        RAY_AIR_NEW_OUTPUT="0",
        TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S="0",
    )
    cpus = compute.num_cpus or max(1, math.ceil(sweep.concurrency * sweep.cpus_per_trial))
    ours = cluster.connect(compute.model_copy(update={"num_cpus": cpus}))
    for noisy in ("ray.tune", "ray.train", "ray.air"):  # after Ray has set them; the listener says it in one line each
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        cluster.require(gpus=sweep.gpus_per_trial, key="sweep.gpus_per_trial")
        cluster.require(cpus=sweep.cpus_per_trial, key="sweep.cpus_per_trial")
        yield
    finally:
        if ours:
            cluster.disconnect()
