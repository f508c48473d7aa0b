"""RLlib's asynchronous learners, watched: they learn in a thread, whose death is an error, and no wait for it is endless."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Any

from ray.rllib.algorithms.appo import APPO
from ray.rllib.algorithms.appo.torch.appo_torch_learner import APPOTorchLearner
from ray.rllib.algorithms.impala import IMPALA, impala_learner
from ray.rllib.algorithms.impala.torch.impala_torch_learner import IMPALATorchLearner
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from wealtharena.agents.patience import ANSWER_SECONDS, LINE_SECONDS, RESUMABLE
from wealtharena.errors import TrainingError

UPDATE_SECONDS = ANSWER_SECONDS  # an update that takes longer is given up
SAMPLE_SECONDS = ANSWER_SECONDS  # runners that send nothing for longer are given up
POLL_SECONDS = 0.5
REST_SECONDS = 0.005  # before runners that had nothing are asked again: asking takes the core that they may need
SAMPLED = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)

log = logging.getLogger(__name__)


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
    _gpu_loader_in_queue: Any
    _learner_state_queue: Any
    _learner_thread_in_queue: Any

    def build(self) -> None:
        """Build RLlib's learner around a thread and an event of ours."""
        module: Any = impala_learner
        original, module._LearnerThread = module._LearnerThread, WatchedThread
        original_queue, module.Queue = module.Queue, LearnerQueue
        try:
            super().build()  # type: ignore[misc]  # RLlib's learner stands behind this class
        finally:
            module._LearnerThread, module.Queue = original, original_queue
        self._agg_event = Finished(self._learner_thread)
        for bounded in (self._gpu_loader_in_queue, self._learner_state_queue, self._learner_thread_in_queue):
            bounded.thread = self._learner_thread


class Answered:
    """What makes an RLlib algorithm one that does not wait for its runners endlessly."""

    metrics: Any
    config: Any
    env_runner_group: Any
    _since: float  # when they last sent something
    _sampled: int = -1
    _told: bool = False

    def step(self) -> Any:
        """Make one iteration; the time between iterations is not counted."""
        self._since, self._told = time.monotonic(), False
        return super().step()  # type: ignore[misc]  # RLlib's algorithm stands behind this class

    def training_step(self) -> Any:
        """Sample and learn; TrainingError once the runners have sent nothing for SAMPLE_SECONDS."""
        result = super().training_step()  # type: ignore[misc]  # as above
        sampled, now = int(self.metrics.peek(SAMPLED, default=0)), time.monotonic()
        if sampled != self._sampled:
            self._sampled, self._since = sampled, now
        elif now - self._since > SAMPLE_SECONDS:
            raise TrainingError(f"no rollout runner has answered for {SAMPLE_SECONDS:g} s", hint=RESUMABLE)
        elif now - self._since > LINE_SECONDS and not self._told:
            self._told = True
            log.warning("waiting for the rollout runners")
        else:
            time.sleep(REST_SECONDS)
        return result

    def _sample_and_get_connector_states(self) -> Any:
        """Return what the runners have sent: nothing while all are starting again, where RLlib asks its own, which has no market."""
        if self.config.num_env_runners and not self.env_runner_group.num_healthy_remote_workers():
            return [], [], [], set()
        return super()._sample_and_get_connector_states()  # type: ignore[misc]  # as above


class AnsweredIMPALA(Answered, IMPALA):
    """IMPALA, whose runners must answer."""


class AnsweredAPPO(Answered, APPO):
    """APPO, whose runners must answer."""


class WatchedIMPALA(Watched, IMPALATorchLearner):  # type: ignore[misc]  # RLlib's own classes do not agree
    """IMPALA's learner, watched."""


class WatchedAPPO(Watched, APPOTorchLearner):  # type: ignore[misc]  # as above
    """APPO's learner, watched; its buffer never blocks."""
