"""A search over two nodes of which one is killed on the way."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nodes import connected
from tests.tasks.conftest import SMALL, UNPUBLISHED, record
from wealtharena.agents.engine import check_trainable
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.tasks import dispatch
from wealtharena.tasks.sweep import trial_overrides

ROOT = Path(__file__).resolve().parents[2]
SEARCH = (
    "sweep=ppo",
    "sweep.trials=4",
    "sweep.concurrency=2",
    "sweep.scheduler=none",
    "sweep.env_steps=2048",
    "sweep.finalists=1",
    "sweep.finalist_seeds=1",
    UNPUBLISHED,
    "evaluation.bootstrap_draws=100",
    "tracking.console=plain",
    "compute=cluster",
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # ray's own, in its own start-up


@pytest.fixture
def nodes() -> Iterator[tuple[Any, Any]]:
    """Two nodes with one processor each, and this process connected to them so that it can see who runs where."""
    with connected(ships=True) as both:
        yield both


@pytest.mark.timeout(600)
def test_a_search_runs_on_all_nodes_and_outlives_the_death_of_one(nodes: tuple[Any, Any], tmp_path: Path) -> None:
    two, second = nodes
    folder, log = tmp_path / "search", tmp_path / "log"
    command = [sys.executable, str(ROOT / "run.py"), *SMALL, *SEARCH, f"compute.address={two.address}"]
    with log.open("w") as out:
        job = subprocess.Popen(
            [*command, f"hydra.run.dir={folder}"], cwd=tmp_path, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            while not (_ended(log) and second.node_id in _nodes_with_trials()):
                assert job.poll() is None, log.read_text()  # which gives up by itself where no trial ever runs
                time.sleep(0.2)
            two.remove_node(second, allow_graceful=False)
            job.wait(timeout=600)  # as long as the test has
        finally:
            job.kill()
    assert job.returncode == 0, log.read_text()
    trials = json.loads((folder / "sweep.json").read_text())["trials"]
    assert [trial["number"] for trial in trials] == list(range(4))
    lost = [trial for trial in trials if trial["state"] == "FAIL"]
    assert len(lost) <= 1, "only what ran on the node is lost"
    assert all("left the cluster" in trial["failure"] for trial in lost)
    assert {trial["state"] for trial in trials if trial not in lost} == {"COMPLETE"}
    assert record(folder)["status"] == "completed"


@pytest.mark.parametrize("algo", ["ppo", "direct", "sac", "dqn", "cql", "impala"])
def test_a_trial_on_a_cluster_keeps_to_its_own_process(algo: str) -> None:
    spec = compose(["compute=cluster", f"sweep={algo}", "asset=forex"])
    trial = compose(trial_overrides(spec, [f"algo={algo}", "compute=cluster", "asset=forex"]))
    assert (trial.compute.runners, trial.compute.learners) == (0, 0)
    check_trainable(trial)


def test_a_search_through_ray_s_client_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"compute\.address=ray://head:10001.*compute\.address=auto"):
        dispatch(compose(["sweep=ppo", "compute.address='ray://head:10001'"]))


def _ended(log: Path) -> int:
    return len(re.findall(r"^trial +\d+ done", log.read_text(), re.MULTILINE))


def _nodes_with_trials() -> set[str]:
    import ray

    actors = ray._private.state.actors().values()
    return {
        actor["Address"]["NodeID"]
        for actor in actors
        if actor["State"] == "ALIVE" and actor["ActorClassName"] == "ImplicitFunc"
    }
