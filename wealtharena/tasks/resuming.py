"""What a run that goes on must have in its folder, looked at before anything is trained, copied or written there."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from wealtharena import files
from wealtharena.config.identity import differences, listed, run_record
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import override
from wealtharena.errors import ConfigError
from wealtharena.files import read_regular, relative
from wealtharena.tasks import opened
from wealtharena.tasks.folds import fold_folder
from wealtharena.tasks.pipeline import Prepared
from wealtharena.tasks.record import RunContext
from wealtharena.training import sameness
from wealtharena.training.checkpoints import TRAINER, load_state
from wealtharena.training.job import TrainingJob

log = logging.getLogger(__name__)
_STATE = Path(TRAINER, "state.pt")
BARS = ("source", "symbols", "start", "end", "bars", "frequency")  # of run.json's `data`
OTHER_PRICES = "the same dates, with other prices"


def check(spec: ExperimentSpec, context: RunContext, *, study: Path | None = None) -> None:
    """Raise ConfigError where a run that is to go on cannot: its test window was opened elsewhere, or its state is gone.

    `check_place` comes before it, and before anything is read from a path.

    `study` is the journal of a search.
    """
    if not context.resumed:
        return
    old = run_record(context.folder)
    opened.refuse_copy(spec, context.folder, old)
    require_state(context.folder, old)
    if study is not None:
        require_study(context.folder, study)


def check_place(spec: ExperimentSpec, folder: Path) -> None:
    """Tell of a ledger or registry other than the run was begun with: relative paths are meant from where a command is typed.

    Raises:
        ConfigError: `data.path` is relative, and lies where the run was begun and not here; or the registry is not the
            one whose production `train.retrain` trains anew.
    """
    begun = _begun_in(folder)
    if begun is None or begun == Path.cwd():
        return
    data, ledger, registry = spec.data.path, spec.paths.ledger, spec.paths.checkpoints
    if data is not None and not Path(data).exists() and (begun / data).exists():
        raise _meant_from(begun, folder, "data.path", data)
    if spec.train.retrain is not None and _is_another(begun, registry):
        raise _meant_from(begun, folder, "paths.checkpoints", registry)
    asked = {"ledger": ("paths.ledger", ledger), "registry": ("paths.checkpoints", registry)}
    if others := {
        name: override(key, begun / place) for name, (key, place) in asked.items() if _is_another(begun, place)
    }:
        log.warning(
            "%s was begun in another folder, whose %s %s not asked here; type %s to go on with %s",
            relative(folder),
            " and ".join(others),
            "is" if len(others) == 1 else "are",
            " ".join(others.values()),
            "it" if len(others) == 1 else "them",
        )


def _is_another(begun: Path, place: str) -> bool:
    """Return whether a path as it was meant in the folder `begun` is there, and not what it means here."""
    return (begun / place).exists() and not (Path(place).exists() and Path(place).samefile(begun / place))


def _meant_from(begun: Path, folder: Path, key: str, place: str) -> ConfigError:
    return ConfigError(
        f"{relative(folder)} was begun in another folder, from which {key}={place} is meant",
        hint=f"go on from there: cd {shlex.quote(str(begun))}; or type {override(key, begun / place)}",
    )


def _begun_in(folder: Path) -> Path | None:
    """Return the working folder in which a run was begun; None where its record does not say."""
    try:
        written = yaml.safe_load(read_regular(folder / ".hydra" / "hydra.yaml", limit=1 << 20))
        return Path(str(written["hydra"]["runtime"]["cwd"]))
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None


def begin_here(folder: Path) -> None:
    """Let the record of a run that is a copy of another's say that it was begun in this working folder, if it says so at all."""
    if _begun_in(folder) is None:
        return
    record = folder / ".hydra" / "hydra.yaml"
    written = yaml.safe_load(record.read_text(encoding="utf-8"))
    written["hydra"]["runtime"]["cwd"] = str(Path.cwd())
    files.write_text(record, yaml.safe_dump(written, sort_keys=False, allow_unicode=True))


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
    found = differences({key: known[key] for key in BARS if key in known}, prepared.about)
    raise ConfigError(
        f"{relative(folder)} was begun on other bars: {listed(found) or OTHER_PRICES}",
        hint="put the bars back as they were (data.path=<where they lie now>), or start a new run",
    )


def saved_steps(spec: ExperimentSpec, folder: Path, prepared: Prepared) -> dict[int, int]:
    """Return the environment step, on the run's axis, that each fold which has begun goes on from.

    TrainingError where its state is of another job.
    """
    steps = {}
    for position in range(len(prepared.folds)):
        place = fold_folder(folder, prepared, position)
        state = load_state(place)
        if state is None:
            break
        view = prepared.sealed.training(position)
        job = TrainingJob(spec, view.features, view.train, view.validation, place)
        sameness.refuse_another(job, state["job"])
        steps[position] = position * spec.train.env_steps + int(state["engine"]["env_steps"])
    return steps


def unvalidated(folder: Path, prepared: Prepared) -> list[int]:
    """Return the folds that go on from before their first validation: what one that was stopped there has shown is none of theirs."""
    places = (fold_folder(folder, prepared, position) for position in range(len(prepared.folds)))
    states = takewhile(lambda state: state is not None, map(load_state, places))
    return [position for position, state in enumerate(states) if state is not None and not state["candidates"]]


def budget(spec: ExperimentSpec, folder: Path, prepared: Prepared) -> int:
    """Return the environment steps that the first fold was last trained for; those of `spec` where nothing says so."""
    state = load_state(fold_folder(folder, prepared, 0))
    progress = {} if state is None else state["progress"]
    return int(progress.get("budget", spec.train.env_steps))


def other_budget(spec: ExperimentSpec, folder: Path, prepared: Prepared) -> str | None:
    """Return the budget that a training had so far where it goes on with another; None where it has begun with this one.

    Its rates fell, and it was validated, by that one: it is no seed of those that had this budget from the beginning.
    """
    now = {"budget": spec.train.env_steps, "patience": spec.train.patience}
    for position in range(len(prepared.folds)):
        state = load_state(fold_folder(folder, prepared, position))
        before = {} if state is None else {key: state["progress"].get(key, now[key]) for key in now}
        if before and before != now:
            return f"train.env_steps={before['budget']} train.patience={before['patience']}"
    return None


def require_study(folder: Path, study: Path) -> None:
    """Raise ConfigError where a search has come to trials and the journal of them is gone: it would begin anew over them."""
    trials = study.with_suffix(".trials")
    left = [path for path in (folder / "sweep.json", trials, *folder.glob("finalists/*")) if path.exists()]
    if left and not study.exists():
        raise ConfigError(
            f"{relative(folder)}: the study of its search is gone: {relative(study)}; {relative(left[0])} is there",
            hint="put it back, or begin anew without resume=, in another folder",
        )
