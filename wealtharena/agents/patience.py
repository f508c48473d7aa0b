"""Waiting for other processes: a line once it takes longer than a glance, an error once nothing can come of it."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from wealtharena.errors import TrainingError

LINE_SECONDS = 10.0  # a wait that takes longer is told
ANSWER_SECONDS = 600.0  # another process that says nothing for longer is given up
START_SECONDS = 300.0  # as much for actors to be placed, started and to import what they need
RESUMABLE = "the last saved state is kept: resume=<run dir> goes on from there"

log = logging.getLogger(__name__)
T = TypeVar("T")


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Log `waiting for <what>` once where the body takes longer than LINE_SECONDS."""
    timer = threading.Timer(LINE_SECONDS, log.warning, ("waiting for %s", what))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def within(work: Callable[[], T], *, what: str, hint: str, seconds: float = START_SECONDS) -> T:
    """Return what `work` returns, or raise what it raises; TrainingError once it has taken `seconds`.

    For calls into libraries that know no limit: the work is done in a thread, which is given up and not waited for.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  # raised below, where somebody waits
            failure.append(error)

    thread = threading.Thread(target=attempt, name=what, daemon=True)
    with told(what):
        thread.start()
        thread.join(seconds)
    if failure:
        raise failure[0]
    if not outcome:
        raise TrainingError(f"waited {seconds:g} s for {what} in vain", hint=hint)
    return outcome[0]


@contextlib.contextmanager
def starting(what: str) -> Iterator[None]:
    """Raise TrainingError where one of `what`, processes that Ray starts in the body, dies before it has begun.

    What was raised in it, as where a node lacks a package, is the cause that it names.
    """
    import ray

    try:
        yield
    except ray.exceptions.RayActorError as error:
        if error.actor_init_failed:
            cause = str(error).strip().splitlines()[-1]  # the last line of the traceback there
            raise TrainingError(
                f"one of {what} could not begin: {cause}", hint="its process needs what this one has"
            ) from error
        raise TrainingError(
            f"the process of one of {what} has died while it started",
            hint="see whether there is memory enough for them, and try again with resume=<run dir>",
        ) from error


def let_runners_raise(group: Any) -> None:
    """Raise here what code raises in a remote runner of RLlib's group, as it would in this process.

    RLlib takes a runner that raises for dead: it learns from what the others sampled, and asks that one again. What Ray
    raises there, of a node that is gone or an object that is lost, stays RLlib's to mend.
    """
    manager = group._worker_manager
    for name in ("foreach_actor", "fetch_ready_async_reqs"):
        setattr(manager, name, functools.partial(_heard, getattr(manager, name)))


def _heard(ask: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    from ray.exceptions import RayError, RayTaskError

    answers = ask(*arguments, **named)
    for answer in answers:
        error = None if answer.ok else answer.get()
        if isinstance(error, RayTaskError) and not isinstance(error.cause, RayError):
            raise error.cause from error
    return answers


def ask_learners(group: Any, function: Callable[..., Any], **arguments: Any) -> list[Any]:
    """Return what `function(learner, **arguments)` gives for each learner of RLlib's group.

    Raises what a learner raised; TrainingError where one has died, or none answers within ANSWER_SECONDS.
    """
    import ray

    with told("the learner"):
        answers = list(group.foreach_learner(function, timeout_seconds=ANSWER_SECONDS, **arguments))
    for answer in answers:
        if answer.ok:
            continue
        error = answer.get()
        if isinstance(error, ray.exceptions.RayActorError):
            raise TrainingError("the learner's process has died", hint=RESUMABLE) from error
        raise error
    if not answers:
        raise TrainingError(f"no learner answers within {ANSWER_SECONDS:g} s", hint=RESUMABLE)
    return [answer.get() for answer in answers]
