"""Waits for other processes end: with what they give, with what they raise, or with an error that says what was awaited."""

import logging
import socket
import threading
import time

import pytest

from tests.agents import worlds
from wealtharena.agents import cluster, engine, patience
from wealtharena.agents.on_policy import watching
from wealtharena.config import compose
from wealtharena.errors import TrainingError


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LINE_SECONDS", 0.01)


def test_a_wait_gives_what_the_work_gives_and_raises_what_it_raises() -> None:
    assert patience.within(lambda: 7, what="a number", hint="") == 7
    with pytest.raises(ZeroDivisionError):
        patience.within(lambda: 1 // 0, what="a number", hint="")


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_a_wait_is_told_and_given_up(caplog: pytest.LogCaptureFixture) -> None:
    never = threading.Event()
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(TrainingError, match=r"waited 0\.2 s for the cluster in vain; look"),
    ):
        patience.within(lambda: never.wait(60.0), what="the cluster", hint="look", seconds=0.2)
    assert [record.getMessage() for record in caplog.records] == ["waiting for the cluster"]
    never.set()


def test_a_short_wait_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), patience.told("the cluster"):
        pass
    assert not caplog.records


class Group:
    """RLlib's group of learners, of which none answers in time."""

    def foreach_learner(self, function: object, *, timeout_seconds: float, **arguments: object) -> list[object]:
        assert timeout_seconds == patience.ANSWER_SECONDS
        return []


def test_learners_that_do_not_answer_end_the_run_resumable() -> None:
    with pytest.raises(TrainingError, match=r"no learner answers within 600 s; .*resume=<run dir>"):
        patience.ask_learners(Group(), lambda learner: learner)


@pytest.mark.slow
def test_runners_that_send_nothing_end_the_run_resumable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watching, "SAMPLE_SECONDS", 0.3)
    monkeypatch.setattr(watching, "LINE_SECONDS", 0.05)

    class Silent:
        """RLlib's algorithm, which goes round and round until enough has been sampled."""

        def step(self) -> None:
            while True:
                self.training_step()

        def training_step(self) -> None:
            time.sleep(0.01)

    class Metrics:
        def peek(self, key: object, default: int) -> int:
            return 5

    class Algorithm(watching.Answered, Silent):
        metrics = Metrics()

    with pytest.raises(TrainingError, match=r"no rollout runner has answered for 0\.3 s"):
        Algorithm().step()
    assert [record.getMessage() for record in caplog.records] == ["waiting for the rollout runners"]


def test_a_market_that_never_arrives_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def never(reference: object, *, timeout: float) -> None:
        raise ray.exceptions.GetTimeoutError(f"after {timeout}")

    monkeypatch.setattr(ray, "get", never)
    bench = worlds.bench(worlds.spec("algo=ppo"))
    with pytest.raises(TrainingError, match="has not handed over the market within 600 s"):
        engine.EnvFactory("a reference", bench.env, bench.segments)(1)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_where_nothing_listens_is_said_at_once_and_ray_is_not_asked(monkeypatch, scheme):
    with socket.socket() as taken:  # a port that is ours, and to which nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray would try for minutes"))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TrainingError, match="no Ray cluster answers; start one"):
            cluster.connect(compose(["compute=cluster", f"compute.address={address}"]).compute)
