"""Ray Tune's searcher over an Optuna study that is kept on disk."""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from wealtharena.config.identity import differences, listed
from wealtharena.config.specs.experiment import seed_after
from wealtharena.config.specs.sweep import SweepSpec
from wealtharena.errors import ConfigError, WealthArenaError
from wealtharena.files import write_bytes
from wealtharena.tuning.space import draw, overrides

FINISHED_KEY = "finished"  # a trainable's last report carries it; a trial that ends without was stopped early
STEP_KEY = "evaluation"
ASKED_KEY = "x_overrides"  # of what is kept of a trial: its settings, which the study has as well
SCORE_KEY = "told"  # of what is kept of a trial: the score that the study was told
IDENTITY_KEY = "identity"


def open_study(sweep: SweepSpec, path: Path, *, seed: int, identity: Mapping[str, Any]) -> optuna.Study:
    """Return the study of that journal file, made where it is new; trials left RUNNING by a dead search are failed.

    A failed zombie's parameters are queued again, so that nothing is lost and nothing counts twice. ConfigError where
    the study's trials were drawn for something else than `identity`, flat settings by key.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=_read(path),
        study_name=sweep.study or sweep.name,
        direction="maximize" if sweep.mode == "max" else "minimize",
        load_if_exists=True,
    )
    _claim(study, identity, path)
    known = len(study.get_trials(deepcopy=False))
    study.sampler = _sampler(sweep, seed_after(seed, known))  # a resumed search draws new points
    for zombie in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(zombie.number, state=TrialState.FAIL, skip_if_finished=True)
        study.set_user_attr(f"zombie-{zombie.number}", True)
        study.enqueue_trial(zombie.params, user_attrs={"again_of": zombie.number})
    return study


def _claim(study: optuna.Study, identity: Mapping[str, Any], path: Path) -> None:
    """Write into a new study what its trials are drawn for; ConfigError where an old one's were for something else."""
    new: dict[str, Any] = json.loads(json.dumps(identity))
    old = study.user_attrs.get(IDENTITY_KEY)
    if old is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(IDENTITY_KEY, new)
        return
    found = ["it does not say what its trials were drawn for"] if old is None else differences(old, new)
    if found:
        raise ConfigError(
            f"the study {study.study_name} in {path.name} is another search's: {listed(found)}",
            hint="choose a new name with sweep.study=<name>, or search for what the study was begun for",
        )


def _read(path: Path) -> optuna.storages.JournalStorage:
    """Return the storage over a journal that can be read to its end; ConfigError where it is damaged.

    A last line that a crash cut short is taken off: Optuna passes over it, and would write its next line behind it.
    """
    try:
        if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
            write_bytes(path, content[: content.rfind(b"\n") + 1])
        return storage_of(path)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise ConfigError(
            f"the study {path} is damaged: {' '.join(str(error).split()) or type(error).__name__}",
            hint="put it back from a copy, or start another search without resume=, in another folder",
        ) from error


def storage_of(path: Path) -> optuna.storages.JournalStorage:
    """Return Optuna's storage over a journal file."""
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def counted(study: optuna.Study) -> int:
    """Return how many trials the study has spent: finished, stopped early or failed by themselves, zombies left out."""
    return sum(
        trial.state.is_finished() and f"zombie-{trial.number}" not in study.user_attrs
        for trial in study.get_trials(deepcopy=False)
    )


def reached(study: optuna.Study) -> dict[int, dict[int, float]]:
    """Return what each trial that counts had reached, by its number and step."""
    return {
        trial.number: dict(trial.intermediate_values)
        for trial in study.get_trials(deepcopy=False)
        if trial.state.is_finished() and f"zombie-{trial.number}" not in study.user_attrs
    }


def failure_of(study: optuna.Study, number: int) -> str | None:
    """Return why that trial failed, as `StudySearch.explain` wrote it down; None where it did not."""
    return study.user_attrs.get(f"failure-{number}")


def _sampler(sweep: SweepSpec, seed: int) -> optuna.samplers.BaseSampler:
    if sweep.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if sweep.sampler == "cmaes":
        return optuna.samplers.CmaEsSampler(
            seed=seed,
            n_startup_trials=sweep.startup_trials,
            independent_sampler=optuna.samplers.TPESampler(seed=seed),
            warn_independent_sampling=False,
        )
    with warnings.catch_warnings():  # `group` and `multivariate` are what conditional spaces need
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=sweep.startup_trials, multivariate=True, group=True, constant_liar=True
        )


def _goes_on(before: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Return whether a result is of an evaluation that the one before was not of: a closing report repeats the last."""
    return int(result[STEP_KEY]) > int(before.get(STEP_KEY, 0))


class StudySearch(Searcher):
    """Ask an Optuna study for overrides and tell it what came of them.

    A trial that the scheduler stopped is told PRUNED with what it had reached, which Tune's own OptunaSearch tells as
    COMPLETE and so misleads TPE; one that raised or reported a non-finite value is told FAIL.
    """

    def __init__(
        self,
        study: optuna.Study,
        sweep: SweepSpec,
        *,
        finished: Callable[[int, str, Mapping[str, Any]], None],
        told: Callable[[int], None],
    ) -> None:
        """Call `finished` with what a trial has shown before the study is told how it ended, and `told` after that."""
        super().__init__(metric=sweep.metric, mode=sweep.mode)
        self._study = study
        self._sweep = sweep
        self._finished = finished
        self._told = told
        self._shown: dict[str, dict[str, Any]] = {}
        self._left = sweep.trials - counted(study)
        self._trials: dict[str, optuna.Trial] = {}
        self.failed = 0
        self.told = 0
        self.unkept: OSError | WealthArenaError | None = None  # what kept something of a trial from being written down

    def __getstate__(self) -> dict[str, Any]:
        """Return what Tune writes down of the search: not who is told, behind whom the data stand that go to no other process."""
        return {**self.__dict__, "_told": None}

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's number and overrides, or FINISHED when the study has all it was asked for."""
        if self._left <= 0 or self.unkept is not None:
            return str(Searcher.FINISHED)
        self._left -= 1
        try:
            trial = self._study.ask()
            values = draw(trial, self._sweep.space)
        except OSError as error:
            self.unkept = error
            return str(Searcher.FINISHED)
        self._trials[trial_id] = trial
        return {"number": trial.number, "overrides": overrides(values)}

    @contextlib.contextmanager
    def _keeping(self) -> Iterator[None]:
        """Remember what cannot be written down: Tune would print it, and go on as if the trial had never been."""
        try:
            yield
        except (OSError, WealthArenaError) as error:
            self.unkept = self.unkept or error

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Report an intermediate value, once a step."""
        trial, value, before = self._trials.get(trial_id), result.get(self._sweep.metric), self._shown.get(trial_id, {})
        self._shown[trial_id] = result
        sound = value is not None and math.isfinite(value)
        if trial is not None and self.unkept is None and sound and _goes_on(before, result):
            with self._keeping():
                trial.report(float(result[self._sweep.metric]), step=int(result[STEP_KEY]))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell the study how the trial ended, once; what a failed one had shown before is kept, since Tune hands on none of it."""
        trial, shown = self._trials.pop(trial_id, None), self._shown.pop(trial_id, {})
        if trial is None or self.unkept is not None:  # behind a line that was cut no other may stand
            return
        result = result or {}
        value = result.get(self._sweep.metric)
        sound = not error and value is not None and math.isfinite(value)
        state = (
            TrialState.FAIL if not sound else (TrialState.COMPLETE if result.get(FINISHED_KEY) else TrialState.PRUNED)
        )
        self.told += 1
        self.failed += state is TrialState.FAIL
        told = {SCORE_KEY: float(result[self._sweep.metric])} if sound else {}
        with self._keeping():
            if sound and _goes_on(shown, result):  # the result on which a trial is stopped comes here only
                trial.report(float(result[self._sweep.metric]), step=int(result[STEP_KEY]))
            self._finished(trial.number, state.name, {**(result or shown), ASKED_KEY: overrides(trial.params), **told})
            self._study.tell(trial, float(value) if state is TrialState.COMPLETE else None, state=state)  # type: ignore[arg-type]  # `sound` says it is a number
            self._told(trial.number)

    def explain(self, number: int, why: str) -> None:
        """Write into the study why a trial failed; Tune knows only after the trial was told."""
        if self.unkept is not None:
            return
        with self._keeping():
            self._study.set_user_attr(f"failure-{number}", why)

    def save(self, checkpoint_path: str) -> None:
        """Write a marker only: the study on disk is the state."""
        Path(checkpoint_path).write_text(self._study.study_name)

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: a resumed search opens the study again."""
