"""What a task is asked for and cannot have, said before it makes a folder, a line or a wait of it."""

from __future__ import annotations

from wealtharena.config import plugins
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError

# tasks that always load bars; report does where one is named
_OF_BARS = ("train", "backtest", "inspect", "audit", "paper")


def check(spec: ExperimentSpec) -> None:
    """Raise ConfigError where keys that are right one by one can't be had together, or not on this machine."""
    if spec.returns is not None and spec.task != "report":
        raise ConfigError(
            f"task={spec.task} has no use for returns={spec.returns}", hint="leave it out, or say task=report"
        )
    if spec.data.start is not None and spec.data.end is not None:
        plugins.load("data", "loading").check_request(spec.data)
    if spec.data.source == "files" and spec.task in _OF_BARS:
        plugins.load("data.providers", "files").require_path(spec.data)
    if spec.task == "paper":
        plugins.load("tasks", "paper").check(spec)
    if spec.task == "train":
        plugins.load("training", "callbacks").check_names(spec.train.callbacks)
        for name in spec.tracking.mirrors:
            plugins.load("tracking.mirrors", name)
        plugins.load("agents", "memory").check_processes(spec)
        if spec.compute.name == "gpu":
            plugins.load("agents", "process").require_gpu(spec.compute)
