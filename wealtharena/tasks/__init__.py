"""One file a verb: `python run.py task=train` runs `wealtharena.tasks.train.run(spec)`."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, chdir, nullcontext
from pathlib import Path
from typing import Any

from wealtharena.config import ExperimentSpec, plugins, speech, unread
from wealtharena.config.composition import job_overrides
from wealtharena.config.identity import run_record
from wealtharena.errors import ConfigError
from wealtharena.tasks import asking

log = logging.getLogger(__name__)

_KEEPING = ("train", "compare", "deploy", "backtest", "paper")  # tasks that look at a test window or keep a version

_GUARDED = ("backtest", "paper")  # tasks whose orders pass the risk rules


def dispatch(spec: ExperimentSpec) -> int:
    """Run the task of the spec and return its exit code; a spec with a search trains through tasks/sweep.py.

    A run that is to go on but has come to its end is left as it is; with a larger budget another goes on from it. What a task must be able to write at its end, and to
    read, is tried before its first step. Relative paths are of the folder that the command was given in.
    """
    with _where_it_was_given():
        return _dispatch(spec)


def _where_it_was_given() -> AbstractContextManager[None]:
    """Return to the command's folder where hydra.job.chdir has left it: else each run had a ledger and a registry of its own."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized() or not HydraConfig.get().job.chdir:
        return nullcontext()
    return chdir(HydraConfig.get().runtime.cwd)


def _dispatch(spec: ExperimentSpec) -> int:
    speech.use(spec.log, quiet=spec.quiet)
    if spec.quiet:
        spec = spec.model_copy(update={"tracking": spec.tracking.model_copy(update={"console": "quiet"})})
    old = _completed(Path(spec.resume), opening=spec.train.test) if spec.resume is not None else None
    if old is not None:
        return _after_the_end(spec, Path(str(spec.resume)), old)
    if spec.risk.rules and spec.task not in _GUARDED:
        raise ConfigError(
            f"task={spec.task} has no use for risk rules", hint="leave risk= out: it is for backtest and paper"
        )
    typed = job_overrides()
    if spec.resume is None:
        unread.refuse(spec, typed)
    asking.check(spec)
    for line in unread.told(spec, typed, resumed=spec.resume is not None):
        log.warning("%s", line)
    if spec.task in _KEEPING:
        from wealtharena.tasks import keeping

        keeping.check(spec)
    searching = spec.task == "train" and spec.sweep.name != "none"
    name = "sweep" if searching else spec.task
    began = time.monotonic()
    code: int = plugins.load("tasks", name).run(spec)
    _ended(name, code, time.monotonic() - began, quiet=spec.tracking.console == "quiet")
    return code


def _ended(name: str, code: int, seconds: float, *, quiet: bool) -> None:
    """Say how long the task took."""
    if speech.as_json():
        speech.say("end", {"task": name, "exit_code": code, "seconds": round(seconds, 3)})
    elif code == 0 and not quiet:
        from wealtharena.tasks import console

        console.took(seconds)


def _completed(folder: Path, *, opening: bool) -> Mapping[str, Any] | None:
    """Return run.json of a run that has come to its end; None of any other, and of one whose test window is to be opened."""
    content = run_record(folder)
    closed = opening and content.get("test_window") == "closed"
    return content if content.get("status") == "completed" and not closed else None


def _after_the_end(spec: ExperimentSpec, folder: Path, old: Mapping[str, Any]) -> int:
    """Go on with a larger budget as another run; else leave the run as it is, and say so."""
    from wealtharena.tasks import console, continuing

    if spec.sweep.name != "none":
        console.nothing_to_search(folder, study=spec.sweep.study)
    elif continuing.longer(spec, old):
        return continuing.run(spec, folder, old)
    else:
        console.nothing_to_do(folder, taken=continuing.taken(old))
    return 0
