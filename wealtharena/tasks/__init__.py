"""One file a verb: `python run.py task=train` runs `wealtharena.tasks.train.run(spec)`."""

from __future__ import annotations

from wealtharena.config import ExperimentSpec, plugins


def dispatch(spec: ExperimentSpec) -> int:
    """Run the task of the spec and return its exit code; a spec with a search trains through tasks/sweep.py."""
    searching = spec.task == "train" and spec.sweep.name != "none"
    code: int = plugins.load("tasks", "sweep" if searching else spec.task).run(spec)
    return code
