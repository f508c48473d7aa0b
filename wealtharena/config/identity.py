"""What a resumed run or search must have in common with its beginning: all but a short list."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from wealtharena.config.composition import flatten, groups, job_overrides, literal
from wealtharena.config.hashing import NUMBERS
from wealtharena.config.problems import PRESETS
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import key_of
from wealtharena.errors import ConfigError, UsedFolderError
from wealtharena.files import NEWER, newer
from wealtharena.shown import some

SCHEMA_VERSION: Final = 1  # of run.json

# The budget, how a run is watched, where things are kept, how many processors work, and what other tasks do. Where files of
# bars lie may change as far as the bars are known, so that others are told before anything is trained on them.
MAY_CHANGE = (
    "resume", "hydra", "tracking", "paths", "log", "quiet", "zoo",
    "train.env_steps", "train.patience", "train.checkpoint_seconds", "train.test", "train.publish", "train.collect", "train.callbacks",
    "sweep.trials", "sweep.time_budget_seconds", "sweep.concurrency", "sweep.max_failed_share",
    "sweep.cpus_per_trial", "sweep.gpus_per_trial",
    "compute.torch_threads", "compute.address", "compute.num_cpus",
    "data.root", "data.path", "data.manners", "data.rates", "data.probe_timeout_seconds",
    "collect", "backtest", "compare", "deploy", "serve", "audit", "paper",
)  # fmt: skip
_SHOWN = 3
_RULES: Final = "version of the numbers"
_BEFORE: Final = {_RULES: 1}  # of what was written when nothing said its version
_PATH: Final = "data.path"
_STATES: Final = ("trainer/state.pt", "folds/*/trainer/state.pt", "study.journal")  # each knows its bars
# What a training, a search or a backtest leaves behind: run.json stands there before any of it.
_LEFT: Final = (
    *_STATES,
    "checkpoints/best.json",
    "finalists/*/seed-*",
    "sweep.json",
    "metrics.jsonl",
    "equity.parquet",
    "trades.parquet",
)
_STATUSES: Final = ("interrupted", "failed", "completed")


def refuse_other_settings(cfg: DictConfig, folder: Path) -> None:
    """Raise ConfigError where the composed job differs from the one that `folder` was begun with, budget aside.

    Keys that only one of the two knows are passed over: a run of an older version has no value for a newer key.
    """
    record = folder / ".hydra" / "config.yaml"
    if not record.is_file():
        raise ConfigError(
            f"{folder} is no run directory: it has no .hydra/config.yaml", hint="give the folder that holds run.json"
        )
    said = run_record(folder)
    _refuse_other_rules(folder, said)
    moving = said.get("task") == "train" and _knows_its_bars(folder, said)
    old, new = _settings(_composed(record), moving=moving), _settings(cfg, moving=moving)
    changed = _changed(old, new)
    if not changed:
        return
    told = listed(differences(old, new))
    if any(_asked(key, _typed_anew(folder)) for key in changed):
        raise ConfigError(
            f"resume={folder}: {told}",
            hint="a resumed run may change its budget and its tracking only; leave resume= out to start another run",
        )
    raise ConfigError(
        f"resume={folder}: the defaults have changed since it was begun: {told}",
        hint=f"go on as it was begun by adding {_words(changed, old)}; leave resume= out to start another run",
    )


def run_record(folder: Path) -> dict[str, Any]:
    """Return the content of a folder's run.json, nothing where no run has written there yet.

    ConfigError where it is gone and a run's other files are not, where it cannot be read or is of a newer schema, and where
    it lacks what every run writes first: whoever went on from that would train anew over the results and open the test window again.
    """
    path = folder / "run.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if left := left_in(folder):
            raise ConfigError(
                f"{folder} has lost its run.json, and {some(left, _SHOWN)} of a run are there",
                hint="put run.json back, or begin anew in another folder, without resume=",
            ) from error
        return {}  # killed before its first line
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(content, dict):
        raise _damaged(path, "it is no object")
    if wrong := newer(content, known=SCHEMA_VERSION):
        raise ConfigError(f"{path} {wrong}", hint=NEWER)
    for key in ("run_id", "status", "task"):
        if not (isinstance(content.get(key), str) and content[key]):
            raise _damaged(path, f"it has no {key}")
    if content["status"] not in _STATUSES:
        raise _damaged(path, f"status {content['status']} is none of {', '.join(_STATUSES)}")
    return content


def left_in(folder: Path) -> list[str]:
    """Return the files in a folder that only a run leaves there, run.json aside."""
    return sorted(str(path.relative_to(folder)) for pattern in _LEFT for path in folder.glob(pattern))


def refuse_used(folder: Path, said: str, *, name: str) -> None:
    """Raise UsedFolderError where a run stands in a folder, also one that has lost its run.json.

    `said` is how the folder was asked for, and `name` how it is to be typed.
    """
    if os.path.lexists(folder / "run.json"):
        raise UsedFolderError(
            f"{said} already holds a run", hint=f"go on with it by resume={name}, or choose another folder"
        )
    if left := left_in(folder):
        raise UsedFolderError(
            f"{said} already holds a run that has lost its run.json: {some(left, _SHOWN)}",
            hint="put run.json back, or choose another folder",
        )


def _knows_its_bars(folder: Path, said: Mapping[str, Any]) -> bool:
    """Return whether something in a run directory says on which bars it was begun; it is compared before the first step."""
    data = said.get("data")
    written = isinstance(data, Mapping) and bool(data.get("fingerprint"))
    return written or has_state(folder)


def has_state(folder: Path) -> bool:
    """Return whether a run directory holds something that a run goes on from."""
    return any(True for pattern in _STATES for _ in folder.glob(pattern))


def _composed(path: Path) -> DictConfig:
    """Return the configuration that a run was begun with; ConfigError where it cannot be read."""
    try:
        content = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise _damaged(path, " ".join(str(error).split())) from error
    if not isinstance(content, DictConfig):
        raise _damaged(path, "it is no mapping")
    return content


def _damaged(path: Path, cause: str) -> ConfigError:
    return ConfigError(f"{path} is damaged: {cause}", hint="its checkpoints are kept; start a new run")


def _refuse_other_rules(folder: Path, said: Mapping[str, Any]) -> None:
    """Raise ConfigError where the run was begun when features, kernel or rewards gave other figures than now."""
    found = differences({_RULES: said["numbers"]} if "numbers" in said else {}, {_RULES: NUMBERS})
    if found and said:  # where no run has written anything, none was begun
        raise ConfigError(
            f"resume={folder}: {listed(found)}: features, kernel or rewards give other figures since it was begun",
            hint="leave resume= out to start another run, or go on with the release that it was begun with",
        )


def _typed_anew(folder: Path) -> list[str]:
    """Return the keys of the overrides of this job that the run was not begun with."""
    begun = OmegaConf.to_container(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))
    begun = begun if isinstance(begun, list) else []
    return [key_of(item) for item in job_overrides() if item not in begun]


def _asked(key: str, typed: list[str]) -> bool:
    """Return whether one of the typed keys sets this one: itself, a part around it, a group, or a whole preset."""
    places = [name.replace("/", ".") for name in typed]  # of a group inside another one
    return any(key == name or key.startswith(f"{name}.") or name in PRESETS for name in places)


def _words(changed: list[str], old: Mapping[str, Any]) -> str:
    """Return the overrides that bring the old values back: a group by its choice, any other key by its value."""
    chosen = [key.removesuffix(".name") for key in changed if key.endswith(".name") and key[:-5] in groups()]
    rest = [key for key in changed if not _asked(key, chosen)]
    return " ".join(
        [*(f"{group}={old[f'{group}.name']}" for group in chosen), *(f"{key}={literal(old[key])}" for key in rest)]
    )


def settings(spec: ExperimentSpec) -> dict[str, Any]:
    """Return the leaves of a spec by dotted key, as JSON values, without what a resumed run may change.

    With them goes the version of the rules by which they become figures.
    """
    return {_RULES: NUMBERS, **_kept(spec.model_dump(mode="json"))}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between two flat settings as `key was OLD, is NEW`, for the keys that both have; names first."""
    old = {**_BEFORE, **old}
    return [f"{key} was {_plain(old[key])}, is {_plain(new[key])}" for key in _changed(old, new)]


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    changed = [key for key in old if key in new and _plain(old[key]) != _plain(new[key])]
    return sorted(changed, key=lambda key: (not key.endswith(".name"), changed.index(key)))


def lacking(known: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    """Return the dotted keys of `told` that `known` lacks, a block that it lacks as one: they came with a later version."""
    old, new = flatten(known), flatten(told)
    return [key for key in new if key not in old and key.rpartition(".")[0] not in new.keys() - old.keys()]


def listed(found: list[str]) -> str:
    """Return the first differences as one line, and how many more there are."""
    return some(found, _SHOWN, between="; ")


def _settings(cfg: Any, *, moving: bool) -> dict[str, Any]:
    """Return the leaves of a composed configuration by dotted key, references as they were written.

    Where the bars lie is among them unless they may be `moving`.
    """
    tree = cast("dict[Any, Any]", OmegaConf.to_container(cfg, resolve=False))
    found = {str(key): value for key, value in tree.items()}
    place = flatten(found)
    return {**_kept(found), **({_PATH: place[_PATH]} if _PATH in place and not moving else {})}


def _kept(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(tree).items() if not isinstance(value, dict) and not _free(key)}


def _free(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in MAY_CHANGE)


def _plain(value: Any) -> str:
    """Return the value as text that does not depend on how it was typed: 3.0 as 3, a list of one as that one."""
    if isinstance(value, list | tuple):
        return _plain(value[0]) if len(value) == 1 else f"[{', '.join(_plain(item) for item in value)}]"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
