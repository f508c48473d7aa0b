"""What must be kept at a task's end, tried before its first step: hours of training are not lost to a file in the way."""

from __future__ import annotations

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.evaluation.ledger import Ledger


def check(spec: ExperimentSpec) -> None:
    """Raise the error that the ledger would meet later, with its line or its cause; changes nothing."""
    Ledger(spec.paths.ledger).check()
