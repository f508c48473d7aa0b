"""Ray for a training: one started here or one that is there already, the market shared once a node, code shipped along."""

from __future__ import annotations

import contextlib
import logging
import os
import warnings
from pathlib import Path
from typing import Any

from wealtharena.config.paths import conf_dir
from wealtharena.config.specs.agent import ComputeSpec
from wealtharena.errors import TrainingError

EXCLUDED = ("outputs", "multirun", "data", "checkpoints", "wandb", ".git", ".venv", ".mypy_cache", "results", "tests")


def connect(compute: ComputeSpec) -> bool:
    """Connect to the cluster at `compute.address`, or start a Ray on this machine where that is null.

    Returns False where this process was connected already: that Ray is used as it is, and not left afterwards.
    TrainingError where the address does not answer.
    """
    import ray

    for chatty in ("ray.rllib", "ray.tune", "ray._common.deprecation"):  # they warn of their own defaults
        logging.getLogger(chatty).setLevel(logging.ERROR)
    if ray.is_initialized():
        return False
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": "ERROR"}
    if compute.address is None:
        cpus = compute.num_cpus or max(len(os.sched_getaffinity(0)), compute.runners + compute.learners + 1)
        ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        return True
    try:
        ray.init(address=compute.address, runtime_env=shipped(), **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"compute.address={compute.address}: no Ray cluster answers",
            hint="start one with `ray start --head` and give its address, or choose compute=workers",
        ) from error
    return True


def shipped() -> dict[str, Any]:
    """Return the runtime environment that carries the package and its configuration, without data, outputs or .git.

    Nothing is shipped where the package is installed as a wheel: the nodes have it installed as well.
    """
    root = conf_dir().parent
    if not (root / "wealtharena").is_dir() or root.name == "wealtharena":
        return {}
    return {"working_dir": str(root), "excludes": [f"/{name}/" for name in EXCLUDED]}


def share(value: Any) -> Any:
    """Return a reference to `value` in Ray's store; each node holds one copy, which its runners read in place."""
    import ray

    return ray.put(value)


def build(config: Any) -> Any:
    """Return RLlib's algorithm of a configuration; the empty folder that it makes in the user's home is removed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*Overriding environment rllib", UserWarning)  # at the second build
        algorithm = config.build_algo()
    with contextlib.suppress(OSError):
        Path(algorithm.logdir).rmdir()
    return algorithm


def disconnect() -> None:
    """Leave Ray; one that was started here ends."""
    import ray

    ray.shutdown()
