"""What a run that goes on must have in its folder, looked at before anything is trained, copied or written there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wealtharena.config.identity import differences, listed, run_record
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError
from wealtharena.files import relative
from wealtharena.tasks import opened
from wealtharena.tasks.folds import fold_folder
from wealtharena.tasks.pipeline import Prepared
from wealtharena.tasks.record import RunContext
from wealtharena.training import sameness
from wealtharena.training.checkpoints import TRAINER, load_state
from wealtharena.training.job import TrainingJob

_STATE = Path(TRAINER, "state.pt")
_BARS = ("source", "symbols", "start", "end", "bars", "frequency")  # of run.json's `data`


def check(spec: ExperimentSpec, context: RunContext, *, study: Path | None = None) -> None:
    """Raise ConfigError where a run that is to go on cannot: its test window was opened elsewhere, or its state is gone.

    `study` is the journal of a search.
    """
    if not context.resumed:
        return
    old = run_record(context.folder)
    opened.refuse_copy(spec, context.folder, old)
    require_state(context.folder, old)
    if study is not None:
        require_study(context.folder, study)


def require_state(folder: Path, old: Mapping[str, Any]) -> None:
    """Raise ConfigError where run.json's content `old` says how far training came, and the state of it is gone."""
    if not old.get("training"):
        return
    folds = [fold for fold in old.get("folds") or () if isinstance(fold, Mapping)]
    gone = [
        place for fold in folds if not (folder / (place := Path("folds", str(fold.get("index")), _STATE))).is_file()
    ]
    if not folds and not (folder / _STATE).is_file() and not any(folder.glob(f"folds/*/{_STATE}")):
        gone = [_STATE]
    if gone:
        raise ConfigError(
            f"{relative(folder)}: the state that training goes on from is gone: {gone[0]}",
            hint="put it back, or begin anew without resume=, in another folder",
        )


def refuse_other_bars(folder: Path, old: Mapping[str, Any], prepared: Prepared) -> None:
    """Raise ConfigError where run.json's content `old` knows the bars that the run was begun on, and these are others."""
    known = old.get("data")
    known = known if isinstance(known, Mapping) else {}
    if known.get("fingerprint") in (None, prepared.about["fingerprint"]):
        return
    found = differences({key: known[key] for key in _BARS if key in known}, prepared.about)
    raise ConfigError(
        f"{relative(folder)} was begun on other bars: {listed(found) or 'the same dates, with other prices'}",
        hint="put the bars back as they were (data.path=<where they lie now>), or start a new run",
    )


def saved_step(spec: ExperimentSpec, folder: Path, prepared: Prepared) -> int:
    """Return the environment step, on the run's axis, that a run goes on from; TrainingError where its state is of another job."""
    step = 0
    for position in range(len(prepared.folds)):
        place = fold_folder(folder, prepared, position)
        state = load_state(place)
        if state is None:
            break
        view = prepared.sealed.training(position)
        job = TrainingJob(spec, view.features, view.train, view.validation, place)
        sameness.refuse_another(job, state["job"])
        step = position * spec.train.env_steps + int(state["engine"]["env_steps"])
    return step


def require_study(folder: Path, study: Path) -> None:
    """Raise ConfigError where a search has come to trials and the journal of them is gone: it would begin anew over them."""
    trials = study.with_suffix(".trials")
    left = [path for path in (folder / "sweep.json", trials, *folder.glob("finalists/*")) if path.exists()]
    if left and not study.exists():
        raise ConfigError(
            f"{relative(folder)}: the study of its search is gone: {relative(study)}; {relative(left[0])} is there",
            hint="put it back, or begin anew without resume=, in another folder",
        )
