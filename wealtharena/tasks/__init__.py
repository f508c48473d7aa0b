"""One file a verb: `python run.py task=train` runs `wealtharena.tasks.train.run(spec)`."""

from __future__ import annotations

import json
from pathlib import Path

from wealtharena.config import ExperimentSpec, plugins
from wealtharena.errors import ConfigError

_KEEPING = ("train", "compare", "deploy", "backtest")  # tasks that look at a test window or keep a version


def dispatch(spec: ExperimentSpec) -> int:
    """Run the task of the spec and return its exit code; a spec with a search trains through tasks/sweep.py.

    A run that is to go on but has come to its end is left as it is. What a task must be able to write at its end, and to
    read, is tried before its first step.
    """
    if spec.resume is not None and _ended(Path(spec.resume), opening=spec.train.test):
        return 0
    if spec.task in _KEEPING:
        from wealtharena.tasks import keeping

        keeping.check(spec)
    searching = spec.task == "train" and spec.sweep.name != "none"
    code: int = plugins.load("tasks", "sweep" if searching else spec.task).run(spec)
    return code


def _ended(folder: Path, *, opening: bool) -> bool:
    """Return whether the run of that folder is completed, and say so; one that was never tested may be, by `opening`."""
    from wealtharena.tasks import console

    record = folder / "run.json"
    try:
        content = json.loads(record.read_text())
    except FileNotFoundError:
        return False  # killed before its first line
    except ValueError as error:
        raise ConfigError(f"{record} is damaged: {error}", hint="its checkpoints are kept; start a new run") from error
    if content.get("status") != "completed" or (opening and content.get("test_window") == "closed"):
        return False
    console.nothing_to_do(folder)
    return True
