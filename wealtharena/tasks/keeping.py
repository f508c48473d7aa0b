"""What must be kept at a task's end, tried before its first step: hours of training are not lost to a file in the way."""

from __future__ import annotations

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.evaluation.ledger import Ledger
from wealtharena.registry import ModelCheckpoint
from wealtharena.tracking import wandb_run


def check(spec: ExperimentSpec) -> None:
    """Raise the error that ledger, registry or W&B would meet later, with its line or its cause; adds nothing to them."""
    if spec.task == "train":
        wandb_run.check(spec.tracking.wandb)
    if spec.task != "deploy" or len(spec.deploy.checkpoints) > 1:  # only an ensemble is judged by deploy
        Ledger(spec.paths.ledger).check()
    if _saves(spec):
        judges = spec.task == "compare" and not spec.compare.open  # few of its groups enter the registry
        ModelCheckpoint(spec.paths.checkpoints).check(signs=not judges)


def _saves(spec: ExperimentSpec) -> bool:
    """Return whether a version may come of it: none does of a training that publishes none or leaves the test closed."""
    if spec.task == "train":
        return spec.train.publish and spec.train.test
    return spec.task == "compare" or (spec.task == "deploy" and spec.deploy.action == "promote")
