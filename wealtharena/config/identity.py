"""What a resumed run or search must have in common with its beginning: all but a short list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from wealtharena.config.composition import flatten
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError

# The budget, how a run is watched, where things are kept, how many processors work, and what other tasks do.
MAY_CHANGE = (
    "resume", "hydra", "tracking", "paths",
    "train.env_steps", "train.patience", "train.checkpoint_seconds", "train.test", "train.publish",
    "sweep.trials", "sweep.time_budget_seconds", "sweep.concurrency", "sweep.max_failed_share",
    "sweep.cpus_per_trial", "sweep.gpus_per_trial",
    "compute.torch_threads", "compute.address", "compute.num_cpus",
    "data.root", "data.manners", "data.probe_timeout_seconds",
    "collect", "backtest", "compare", "deploy", "serve", "audit", "paper", "inspect",
)  # fmt: skip
_SHOWN = 3


def refuse_other_settings(cfg: DictConfig, folder: Path) -> None:
    """Raise ConfigError where the composed job differs from the one that `folder` was begun with, budget aside.

    Keys that only one of the two knows are passed over: a run of an older version has no value for a newer key.
    """
    record = folder / ".hydra" / "config.yaml"
    if not record.is_file():
        raise ConfigError(
            f"{folder} is no run directory: it has no .hydra/config.yaml", hint="give the folder that holds run.json"
        )
    found = differences(_settings(OmegaConf.load(record)), _settings(cfg))
    if found:
        raise ConfigError(
            f"resume={folder}: {listed(found)}",
            hint="a resumed run may change its budget and its tracking only; leave resume= out to start another run",
        )


def settings(spec: ExperimentSpec) -> dict[str, Any]:
    """Return the leaves of a spec by dotted key, as JSON values, without what a resumed run may change."""
    return _kept(spec.model_dump(mode="json"))


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return what differs between two flat settings as `key was OLD, is NEW`, for the keys that both have; names first."""
    changed = [key for key in old if key in new and _plain(old[key]) != _plain(new[key])]
    ordered = sorted(changed, key=lambda key: (not key.endswith(".name"), changed.index(key)))
    return [f"{key} was {_plain(old[key])}, is {_plain(new[key])}" for key in ordered]


def listed(found: list[str]) -> str:
    """Return the first differences as one line, and how many more there are."""
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def _settings(cfg: Any) -> dict[str, Any]:
    """Return the leaves of a composed configuration by dotted key, references as they were written."""
    tree = cast("dict[Any, Any]", OmegaConf.to_container(cfg, resolve=False))
    return _kept({str(key): value for key, value in tree.items()})


def _kept(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in flatten(tree).items() if not isinstance(value, dict) and not _free(key)}


def _free(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in MAY_CHANGE)


def _plain(value: Any) -> str:
    return str(list(value)) if isinstance(value, list | tuple) else str(value)
