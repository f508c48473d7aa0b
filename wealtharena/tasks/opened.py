"""One run, one folder, one look: whose opening of the test window it is that ledger and registry know of.

A run that was killed after its opening goes on under its own name and takes up that look. So does no copy of it from
before: what it trains is another policy, and the ledger would hold two under one name. run.json says from before the
opening that it is to be, so that the folder is known by it wherever it is moved.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.errors import ConfigError
from wealtharena.evaluation.ledger import Ledger
from wealtharena.files import relative
from wealtharena.registry.names import check_agent, check_version
from wealtharena.tasks.record import RunRecord

OPENED = "opened"  # of run.json: the hash of the configuration that the test window was opened for


def refuse_copy(spec: ExperimentSpec, folder: Path, content: Mapping[str, Any]) -> None:
    """Raise ConfigError where the run of run.json's `content` has opened its test window, and not from this folder."""
    if not content or OPENED in content:
        return
    run_id = check_version(str(content["run_id"]))
    version = Path(spec.paths.checkpoints) / check_agent(spec.asset.agent) / run_id
    ledger = Ledger(spec.paths.ledger)
    if any(entry["kind"] == "open" and entry.get("run_id") == run_id for entry in ledger.entries()):
        known = relative(ledger.path)
    elif os.path.lexists(version):
        known = relative(version)
    else:
        return
    raise ConfigError(
        f"{relative(folder)} is a copy of the run {run_id}, which has come to its test window since: {known}",
        hint="go on with the folder that it was copied from, or start another run without resume=",
    )


def refuse_another(record: RunRecord) -> None:
    """Raise ConfigError where the run has opened its test window for another configuration: it may not look twice."""
    before = record.content.get(OPENED)
    if before not in (None, record.content["config_hash"]):
        raise ConfigError(
            f"the run {record.run_id} has opened its test window for the configuration {before}, and this is another",
            hint="go on as it was, without a new budget, or start another run without resume=",
        )


def claim(spec: ExperimentSpec, record: RunRecord) -> None:
    """Write into run.json that the test window is about to be opened; ConfigError where it may not be.

    Looked at once more here: a copy may have come to its end while this one was training.
    """
    refuse_copy(spec, record.path.parent, record.content)
    refuse_another(record)
    record.update(**{OPENED: record.content["config_hash"]})
