"""RLlib's asynchronous learners, watched: they learn in a thread, whose death is an error, and no wait for it is endless."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

from ray.rllib.algorithms.appo.torch.appo_torch_learner import APPOTorchLearner
from ray.rllib.algorithms.impala import impala_learner
from ray.rllib.algorithms.impala.torch.impala_torch_learner import IMPALATorchLearner

from wealtharena.errors import TrainingError

UPDATE_SECONDS = 600.0  # an update that takes longer is given up
POLL_SECONDS = 0.5
RESUMABLE = "the last saved state is kept: resume=<run dir> goes on from there"


class WatchedThread(impala_learner._LearnerThread):
    """RLlib's learner thread, which keeps what it died of."""

    failure: BaseException | None = None

    def run(self) -> None:
        """Learn until asked to stop, or until something is raised."""
        try:
            super().run()
        except BaseException as error:  # noqa: BLE001  # `check` raises it where somebody waits
            self.failure = error

    def check(self, since: float) -> None:
        """Raise TrainingError where this thread has died, or nothing has come of it since that monotonic time."""
        if self.failure is not None or not self.is_alive():
            cause = f": {type(self.failure).__name__}: {self.failure}" if self.failure is not None else ""
            raise TrainingError(f"the learner has died{cause}", hint=RESUMABLE) from self.failure
        if time.monotonic() - since > UPDATE_SECONDS:
            raise TrainingError(f"the learner has made no update for {UPDATE_SECONDS:g} s", hint=RESUMABLE)


class Finished(threading.Event):
    """Set when updates are done; waiting for it raises where they will not be done any more."""

    def __init__(self, thread: WatchedThread) -> None:
        super().__init__()
        self._thread = thread

    def wait(self, timeout: float | None = None) -> bool:
        """Return True once it is set, whatever `timeout` says."""
        since = time.monotonic()
        while not super().wait(POLL_SECONDS):
            self._thread.check(since)
        return True


class LearnerQueue(queue.Queue[Any]):
    """The thread's bounded queue; handing it a batch raises where nobody will take it."""

    thread: WatchedThread

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put the item once there is room."""
        since = time.monotonic()
        while block:
            try:
                return super().put(item, timeout=POLL_SECONDS)
            except queue.Full:
                self.thread.check(since)
        return super().put(item, block=False)


class Watched:
    """What makes an RLlib learner a watched one."""

    _learner_thread: Any
    _agg_event: Any

    def build(self) -> None:
        """Build RLlib's learner around a thread and an event of ours."""
        module: Any = impala_learner
        original, module._LearnerThread = module._LearnerThread, WatchedThread
        try:
            super().build()  # type: ignore[misc]  # RLlib's learner stands behind this class
        finally:
            module._LearnerThread = original
        self._agg_event = Finished(self._learner_thread)


class WatchedIMPALA(Watched, IMPALATorchLearner):  # type: ignore[misc]  # RLlib's own classes do not agree
    """IMPALA's learner, watched."""

    def build(self) -> None:
        """Build it with a queue of ours."""
        config: Any = self.config
        self._learner_thread_in_queue = LearnerQueue(maxsize=config.learner_queue_size)
        super().build()
        self._learner_thread_in_queue.thread = self._learner_thread


class WatchedAPPO(Watched, APPOTorchLearner):  # type: ignore[misc]  # as above
    """APPO's learner, watched; its buffer never blocks."""
