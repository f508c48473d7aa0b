"""A completed training that goes on with a larger budget: as another run, in a folder of its own, that names its parent."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wealtharena import files
from wealtharena.config.composition import job_overrides
from wealtharena.config.identity import SCHEMA_VERSION
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError
from wealtharena.files import relative
from wealtharena.tasks import console, keeping, resuming, retraining, train
from wealtharena.tasks.pipeline import prepare, require_audit
from wealtharena.tasks.record import RunContext, new_run_id, unusable
from wealtharena.tracking import journal
from wealtharena.tracking.journal import STEP

_STATE = ("trainer", "checkpoints", "folds", "metrics.jsonl")  # all that a training goes on from


def longer(spec: ExperimentSpec, old: Mapping[str, Any]) -> bool:
    """Return whether `spec` asks the completed training of run.json's content `old` to go on beyond its budget.

    ConfigError where that does not say how many steps it took, as every completed training does.
    """
    before = taken(old)
    if not (spec.task == "train" and spec.sweep.name == "none" and old.get("task") == "train"):
        return False
    if before is None:
        raise ConfigError(
            f"{spec.resume}: its run.json has lost how many steps were trained (training.env_steps)",
            hint="put run.json back from a copy, or begin anew in another folder, without resume=",
        )
    return spec.train.env_steps > before


def taken(old: Mapping[str, Any]) -> int | None:
    """Return how many steps a completed training took, in the longest of its folds; None where run.json is of another task."""
    training = old.get("training")
    whole = training.get("env_steps") if isinstance(training, Mapping) else None
    found = (fold.get("env_steps") for fold in old.get("folds") or () if isinstance(fold, Mapping))
    folds = [count for count in found if isinstance(count, int)]
    return max(folds) if folds else whole if isinstance(whole, int) else None


def run(spec: ExperimentSpec, folder: Path, old: Mapping[str, Any]) -> int:
    """Train on in a new folder beside `folder`, which stays as it is; return the exit code.

    What would be refused there is refused before anything is copied: no folder is left that nobody can go on with.

    The test window has been opened for what was trained so far, so that it stays closed unless `train.test=true` is typed:
    to look again after each stretch of training would be to choose on it.
    """
    typed = job_overrides()
    if not any(item.startswith("train.test=") for item in typed):
        spec = spec.model_copy(update={"train": spec.train.model_copy(update={"test": False})})
        typed = (*typed, "train.test=false")
    overrides = tuple(item for item in typed if not item.startswith("resume="))
    resuming.check_place(spec, folder)
    resuming.require_state(folder, old)
    keeping.check(spec)
    version = retraining.version_of(spec, old)
    asked = retraining.configured(spec, version)
    prepared = prepare(asked)
    require_audit(asked, prepared)
    resuming.refuse_other_bars(folder, old, prepared)
    resuming.saved_steps(asked, folder, prepared)
    new = folder.parent / f"{dt.datetime.now():%H-%M-%S}-{secrets.token_hex(3)}"
    begun = {"schema_version": SCHEMA_VERSION, "run_id": new_run_id(dt.datetime.now(dt.UTC)), "status": "interrupted"}
    begun |= {"task": spec.task, "parent": old["run_id"], "begun_with": old.get("config_hash")}
    begun |= {retraining.RETRAINS: version.metadata.version} if version is not None else {}
    longer_by = asked.train.env_steps - resuming.budget(asked, folder, prepared)
    _copied(folder, new, overrides, begun, longer_by=longer_by)
    out = console.screen()
    out.print(f"{relative(folder)} is completed; training goes on in {relative(new)}")
    return train.run_in(RunContext(new.resolve(), overrides, resumed=True), spec, prepared=prepared)


def _copied(folder: Path, new: Path, overrides: Sequence[str], begun: Mapping[str, Any], *, longer_by: int = 0) -> None:
    """Make the new run's folder, whole or not at all: a kill while it is copied leaves no run that began at nothing.

    Each fold begins on the axis of steps where the budgets of those before it end, `longer_by` steps later for each.
    """
    making = new.with_name(f".{new.name}.tmp")
    try:
        _copy_state(folder, making, overrides)
        if (making / "metrics.jsonl").exists():
            lines = journal.read(making / "metrics.jsonl")
            moved = [line | {STEP: line[STEP] + line["fold"] * longer_by} if "fold" in line else line for line in lines]
            files.write_text(making / "metrics.jsonl", "".join(f"{json.dumps(line)}\n" for line in moved))
        files.write_json(making / "run.json", begun)
        files.flush(making)
        making.rename(new)
        files.sync(new.parent)
    except OSError as error:
        raise unusable(new, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _copy_state(folder: Path, new: Path, overrides: Sequence[str]) -> None:
    """Copy what the training goes on from, and write the record of the composition that `resume=` reads."""
    new.mkdir(parents=True)
    for name in _STATE:
        if (folder / name).is_dir():
            _copy_folder(folder / name, new / name)
        elif (folder / name).is_file():
            shutil.copy2(folder / name, new / name)
    if (folder / ".hydra").is_dir():
        _copy_folder(folder / ".hydra", new / ".hydra")
        files.write_text(new / ".hydra" / "overrides.yaml", json.dumps(list(overrides)) + "\n")
        resuming.begin_here(new)


def _copy_folder(folder: Path, new: Path) -> None:
    """Copy a folder; shutil.copytree would go on after a full disk, and not say then what it was."""
    new.mkdir()
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            _copy_folder(path, new / path.name)
        else:
            shutil.copy2(path, new / path.name)
