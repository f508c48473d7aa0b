"""Who computes an update changes no bit of it: pieces, threads, learners on other machines, and those that die."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.agents.direct.test_engine import engine
from tests.nodes import connected
from wealtharena.agents.direct import crew
from wealtharena.agents.direct.crew import Here, Learners
from wealtharena.agents.direct.engine import APART, DirectEngine
from wealtharena.agents.direct.pathwise import PIECE
from wealtharena.errors import TrainingError

TILT = (
    "env.action=tilt",
    "algo.dropout=0.2",
    "algo.members=6",
    "algo.updates=1",  # the rate of the next one falls with the windows that were seen
    "env.randomisation.enabled=true",
)


def numbers(built: DirectEngine) -> list[torch.Tensor]:
    return [one.detach().clone() for one in built.online.stack().tensors]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
def test_threads_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cores in (1, 2, 5):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        built = engine(*TILT, "algo.members=9")
        assert isinstance(built.crew, Here)
        assert (built.crew._threads is None) == (cores == 1)
        built.iterate()
        built.close()
        found.append(numbers(built))
    assert same(found[0], found[1])
    assert same(found[0], found[2])
    assert not same(found[0], numbers(engine(*TILT, "algo.members=9")))


@pytest.mark.slow
def test_a_members_slope_is_its_own_whoever_learns_beside_it() -> None:
    built = engine(*TILT)
    assert isinstance(built.crew, Here)
    drawn, members = built._drawn(built.chances[0]), built.online.stack()
    assert len(members) > PIECE  # more than one piece
    whole = built.crew.pathwise.slope(members, drawn)
    for m in range(len(members)):
        alone = slice(m, m + 1)
        found = built.crew.pathwise.slope(members.leaves(alone).detached(), drawn.of(alone))
        for all_of_them, own in zip(whole.gradients, found.gradients, strict=True):
            torch.testing.assert_close(all_of_them[alone], own, rtol=1e-4, atol=1e-7)


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Any, Any]]:
    """A cluster of two nodes with one processor each; the driver is on the head."""
    with connected() as both:
        yield both


def spread(learners: int) -> DirectEngine:
    return engine(
        *TILT, "compute=cluster", "compute.runners=0", f"compute.learners={learners}", "compute.torch_threads=1"
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_learner_on_a_cluster_learns_what_one_here_learns_and_ends_the_run_once_it_says_nothing(
    nodes: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, alone = spread(0), spread(1)
    assert isinstance(here.crew, Here)
    assert isinstance(alone.crew, Learners)
    for built in (here, alone):
        built.iterate()
    assert same(numbers(here), numbers(alone))

    monkeypatch.setattr(crew, "ANSWER_SECONDS", 0.0)
    with pytest.raises(TrainingError, match="no learner answers"):
        alone.iterate()
    alone.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_learners_on_a_cluster_learn_what_one_here_learns_and_outlive_each_other(nodes: tuple[Any, Any]) -> None:
    here = spread(0)
    here.iterate()
    both = spread(2)
    both.chances[1].set_state(both.chances[0].get_state())  # the same windows for both: their mean is either's
    both.iterate()
    assert same(numbers(here), numbers(both))
    assert both.env_steps == 2 * here.env_steps

    both.chances[1].draws.manual_seed(APART)  # and now windows of its own
    apart = copy.deepcopy(both.get_state())
    both.iterate()
    assert not same(numbers(here), numbers(both))
    undisturbed = numbers(both)

    two, second = nodes
    two.remove_node(second, allow_graceful=False)
    assert isinstance(both.crew, Learners)
    until = time.monotonic() + 60.0  # a process outlives its node by a moment
    while len(both.crew._alive) == 2 and time.monotonic() < until:
        both.set_state(copy.deepcopy(apart))
        both.iterate()
        assert same(undisturbed, numbers(both))
    assert len(both.crew._alive) == 1

    import ray

    ray.kill(both.crew._alive[0])
    with pytest.raises(TrainingError, match="all learners have died") as ended:
        both.iterate()
    assert "resume=" in str(ended.value.hint)
    both.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_learner_that_dies_while_it_starts_ends_the_run_in_a_line(
    nodes: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    def died(*_: object, **__: object) -> None:
        raise ray.exceptions.ActorDiedError

    monkeypatch.setattr(crew, "within", died)
    with pytest.raises(TrainingError, match=r"one of the learners has died while it started; .*resume="):
        spread(1)
