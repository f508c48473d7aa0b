"""One listener of training that tells the journal, the console and Weights & Biases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wealtharena.config import plugins
from wealtharena.config.composition import grid_name
from wealtharena.tracking import console
from wealtharena.tracking.journal import STEP, Journal
from wealtharena.tracking.mirror import Ending, Guarded, Identity, Mirror
from wealtharena.tracking.privacy import shareable, without_paths
from wealtharena.tracking.wandb_run import WandbRun, own_tags, resolve_mode

if TYPE_CHECKING:
    from wealtharena.config.specs.experiment import ExperimentSpec

log = logging.getLogger(__name__)
_FACTS = ("config_hash", "git_sha")  # of run.json, beside the configuration
_OWN_KEYS = frozenset({STEP, "iteration", "seconds", "time", "fold"})


class Tracker:
    """Training's listener: a record goes to metrics.jsonl first, then to the screen, to W&B and to other mirrors.

    Use `start` where there is a spec, `finish` once when the run has ended, however it ended.
    """

    def __init__(
        self,
        journal: Journal,
        state_of: Callable[[int], console.State],  # the training of a fold, the same object each time
        *,
        display: console.Display,
        mirrors: Sequence[Mirror] = (),
        composed: Mapping[str, Any] | None = None,
    ) -> None:
        self._journal = journal
        self._state_of = state_of
        self._display = display
        self._mirrors = tuple(mirrors)
        self._composed = composed or {}

    @classmethod
    def start(
        cls,
        spec: ExperimentSpec,
        run_dir: Path,
        run_record: Mapping[str, Any],
        resume_step: int | Mapping[int, int] | None = None,
        *,
        folds: int = 1,
        unvalidated: Collection[int] = (),
    ) -> Tracker:
        """Return a tracker for the run in `run_dir`; opens metrics.jsonl, starts nothing slow.

        `run_record` is the content of run.json so far: `run_id`, and `data` where it is known. `resume_step` is the
        environment step that training goes on from, or that of each fold which has begun; lines of the journal past it are
        removed. None starts afresh.
        Of several `folds` each takes the budget, one after another. Of those that are `unvalidated` the journal forgets what a
        validation showed: they go on from before their first.
        """
        steps = resume_step if isinstance(resume_step, Mapping) else {}
        resume_step = max(steps.values(), default=0) if isinstance(resume_step, Mapping) else resume_step
        tracking = spec.tracking
        mode = resolve_mode(tracking.wandb)
        composed = spec.model_dump(mode="json")
        identity = Identity(
            run_id=str(run_record["run_id"]),
            name=f"{spec.asset.agent} {spec.algo.name} seed {spec.seed}",
            job=spec.task,
            tags=tags(run_record, (*tracking.wandb.tags, *own_tags())),
            config=configuration(composed, run_record),
            group=tracking.wandb.group or grid_name(),
        )
        journal = Journal(
            run_dir / "metrics.jsonl", resume_step=resume_step, of_folds=steps, unvalidated=unvalidated
        )  # before mirrors, which may show again what it has kept
        mirrors: list[Mirror] = []
        for name in tracking.mirrors:
            opened = plugins.load("tracking.mirrors", name).open_mirror
            mirrors.append(
                Guarded(
                    plugins.title("tracking.mirrors", name), partial(opened, run_dir, identity, resume_step=resume_step)
                )
            )
        if mode != "disabled":
            wandb = WandbRun(
                tracking.wandb, identity, folder=run_dir, mode=mode, resume_step=resume_step, again=journal.kept
            )
            mirrors.insert(0, wandb)
        return cls(
            journal,
            _states(spec, journal.kept, folds),
            display=console.display(tracking.console),
            mirrors=mirrors,
            composed=composed,
        )

    def on_iteration(self, record: Mapping[str, Any]) -> None:
        """Take the figures of one training iteration; `env_step` is the cumulative count of environment steps."""
        self._journal.write(record)
        self._tell(record, evaluated=False)

    def on_evaluation(self, record: Mapping[str, Any]) -> None:
        """Take the figures of one validation backtest; they join the journal's line of the same `env_step`.

        A figure that has no prefix yet is called `validation/<name>` from here on.
        """
        named = {key if key in _OWN_KEYS or "/" in key else f"validation/{key}": value for key, value in record.items()}
        self._journal.amend(named)
        self._tell(named, evaluated=True)

    def close_console(self) -> None:
        """End the live display, so that what follows training is printed below it."""
        self._display.close()

    def finish(self, run_record: Mapping[str, Any], report_paths: Sequence[Path] = ()) -> None:
        """Close everything; W&B gets `run_record`'s measures as its summary, and the report and plots.

        `report_paths` may name report.html and PNG files in any order. Waits for W&B, but no longer than
        `tracking.wandb.timeout_seconds` twice; its failure is a logged warning, never an exception.
        """
        self.close_console()
        self._journal.close()
        if not self._mirrors:
            return
        page = next((path for path in report_paths if path.suffix == ".html"), None)
        ending = Ending(
            tags=tags(run_record, ()),
            summary=summary(run_record),
            plots=[path for path in report_paths if path.suffix == ".png"],
            report=None if page is None else shareable(page, self._composed, run_record),
            exit_code=0 if run_record.get("status") == "completed" else 1,
        )
        for mirror in self._mirrors:
            mirror.finish(ending)
            if mirror.trouble is not None:
                log.warning("%s: %s", mirror.title, mirror.trouble)

    def whereabouts(self) -> tuple[str, ...]:
        """Return where each mirror has the run, or how to send what it keeps on this machine."""
        found = ((mirror.title, mirror.whereabouts()) for mirror in self._mirrors)
        return tuple(f"{title}: {where}" for title, where in found if where is not None)

    def _tell(self, record: Mapping[str, Any], *, evaluated: bool) -> None:
        state = self._state_of(int(record.get("fold", 0)))
        state.advance(record)
        self._display.show(state, evaluated=evaluated)
        for mirror in self._mirrors:
            mirror.log(record)


def _states(spec: ExperimentSpec, kept: Sequence[Mapping[str, Any]], folds: int) -> Callable[[int], console.State]:
    """Return what has the state of each fold: its own best and pace, on the run's axis of steps; `kept` is remembered."""

    @cache
    def of(fold: int) -> console.State:
        which = f", fold {fold + 1} of {folds}" if folds > 1 else ""
        state = console.State(folds * spec.train.env_steps, label=f"{spec.asset.name} {spec.algo.name}{which}")
        for record in kept:  # the best so far is the whole run's, not this process's
            if record.get("fold", 0) == fold:
                state.remember(record)
        return state

    return of


def tags(run_record: Mapping[str, Any], more: Sequence[str]) -> tuple[str, ...]:
    """Return W&B's tags: asset, algorithm, source where it is known, SIMULATED where it applies, and `more`."""
    data = run_record.get("data") or {}
    found = [run_record.get("asset"), run_record.get("algo"), data.get("source")]
    return (*(str(tag) for tag in found if tag), *(("SIMULATED",) if data.get("simulated") else ()), *more)


def configuration(composed: Mapping[str, Any], run_record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a mirror is told of how a run was composed, without personal paths, with its hash and the commit."""
    return {**without_paths(composed), **{key: run_record.get(key) for key in _FACTS}}


def summary(run_record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of run.json as W&B's summary, flat: `test/sharpe`, `verdict`, `training/seconds`, ...

    `active/...` is what an agent that tilts added to its anchor, `active/kept_share` its lambda, in
    the mean of folds.
    """
    flat: dict[str, Any] = {}
    for window, measures in (run_record.get("metrics") or {}).items():
        flat |= {f"{window}/{name}": value for name, value in (measures or {}).items()}
    for name, measures in (run_record.get("baselines") or {}).items():
        flat |= {f"baseline/{name}/{key}": (measures or {}).get(key) for key in ("sharpe", "total_return")}
    tilted = ((run_record.get("comparison") or {}).get("anchor") or {}).get("active") or {}
    flat |= {f"active/{key}": value for key, value in tilted.items()}
    folds = [fold.get("checkpoint") or {} for fold in run_record.get("folds") or [run_record]]
    kept = [block["kept_share"] for block in folds if block.get("kept_share") is not None]
    flat["active/kept_share"] = sum(kept) / len(kept) if kept else None
    flat |= {f"training/{key}": value for key, value in (run_record.get("training") or {}).items()}
    flat["status"] = run_record.get("status")
    flat["verdict"] = (run_record.get("verdict") or {}).get("status")
    flat["data/fingerprint"] = (run_record.get("data") or {}).get("fingerprint")
    return {key: value for key, value in flat.items() if isinstance(value, int | float | str)}
