"""Whether a training has room: refused where it cannot, and never where it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agents import worlds
from wealtharena.agents import memory
from wealtharena.config import compose
from wealtharena.errors import ConfigError
from wealtharena.tasks import asking

ALGOS = ("a2c", "appo", "bc", "cql", "direct", "dqn", "impala", "iql", "marwil", "ppo", "sac", "tqc")
GIB = 2**30


def test_the_limit_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    (tmp_path / "some").write_text("1000000\n")
    (tmp_path / "max").write_text("max\n")
    machine = memory.usable_bytes([tmp_path / "max", tmp_path / "none"])
    assert memory.usable_bytes([tmp_path / "max", tmp_path / "some"]) == 1_000_000 < machine


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (
            ("compute=workers", "compute.runners=100000"),
            r"compute\.runners=100000: .* memory for 40 such processes, 16 GiB",
        ),
        (("algo=impala", "compute=workers", "compute.learners=100000"), r"compute\.learners=100000: .* for 40 such"),
        (("compute=workers", "compute.num_cpus=100000"), r"compute\.num_cpus=100000: .* for 40 such"),
        (("sweep=ppo", "sweep.concurrency=100000"), r"sweep\.concurrency=100000: .* for 40 such"),
        (("compute.torch_threads=10000",), r"compute\.torch_threads=10000: this process may use 4 cores; lower it"),
    ],
)
def test_more_processes_or_threads_than_the_machine_can_have_are_refused(
    typed: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    monkeypatch.setattr(memory, "usable_cores", lambda: 4)
    with pytest.raises(ConfigError, match=told):
        asking.check(compose(typed))
    asking.check(compose([*typed, "compute.address=somewhere:6379"]))  # of which this machine knows nothing


def test_processes_and_threads_that_fit_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    monkeypatch.setattr(memory, "usable_cores", lambda: 1)
    for typed in (
        ["compute=workers"],
        ["compute=workers", "compute.runners=8"],
        ["sweep=ppo"],
        ["compute.num_cpus=64"],
    ):
        asking.check(compose(typed))


@pytest.mark.parametrize("algo", ALGOS)
def test_a_network_beyond_the_memory_is_refused_with_a_sentence(algo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    worlds.bench(worlds.spec(f"algo={algo}"))
    with pytest.raises(
        ConfigError, match=r"model\.hidden=\[100000,100000\] needs .* GiB .* and there are 16; take fewer"
    ):
        worlds.bench(worlds.spec(f"algo={algo}", "model.hidden=[100000,100000]"))


def test_wide_layers_are_refused_for_the_rows_of_an_update_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    with pytest.raises(ConfigError, match="GiB"):
        worlds.bench(worlds.spec("algo=direct", "model.hidden=[100000]"))
    worlds.bench(worlds.spec("algo=direct", "model.hidden=[100000]", "algo.members=1", "algo.windows=1"))
    worlds.bench(worlds.spec("algo=ppo", "model.hidden=[100000]", "algo.minibatch=256"))


@pytest.mark.parametrize(
    ("refused", "fits"),
    [
        (("algo=ppo", "algo.rollout_steps=600000000"), ("algo=ppo", "algo.rollout_steps=60000000")),
        (
            ("algo=ppo", "algo.rollout_steps=300000000", "compute.envs=1000000000"),
            ("algo=ppo", "algo.rollout_steps=100000000", "compute.envs=1000000000"),
        ),
        (
            ("algo=sac", "algo.buffer=1000000000", "train.env_steps=1000000000"),
            ("algo=sac", "algo.buffer=1000000000", "train.env_steps=1000000"),
        ),
        (
            ("algo=dqn", "algo.buffer=1000000000", "train.env_steps=1000000000", "env.action=allocation"),
            (
                "algo=dqn",
                "algo.buffer=1000000000",
                "train.env_steps=1000000000",
                "env.action=allocation",
                "train.patience=3",
            ),
        ),
    ],
)
def test_what_is_remembered_counts(
    refused: tuple[str, ...], fits: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    with pytest.raises(
        ConfigError, match=r"observations of 3 symbols, kept at once, need .*; lower algo\.rollout_steps"
    ):
        worlds.bench(worlds.spec(*refused))
    worlds.bench(worlds.spec(*fits))


@pytest.mark.parametrize("model", ["gru", "lstm"])
def test_what_a_network_remembers_with_counts(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    with pytest.raises(ConfigError, match="GiB"):
        worlds.bench(worlds.spec("algo=ppo", f"model={model}", "model.hidden=[16]", "model.recurrent_size=50000"))


@pytest.mark.slow
def test_what_ships_has_room_on_a_small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: GIB)
    for algo in ALGOS:
        job = compose([f"algo={algo}"])
        layout = worlds.bench(worlds.spec(f"algo={algo}"), worlds.features(assets=100)).market.layout
        assert sum(memory.least_bytes(job, layout)) < GIB


@pytest.mark.parametrize(("action", "refused"), [("tilt", True), ("auto", True), ("weights", False)])
def test_a_clip_that_cuts_an_anchor_is_refused_where_the_configuration_is_read(action: str, refused: bool) -> None:
    words = ["asset=etf", f"env.action={action}", "features.clip=0.5"]
    if not refused:
        assert compose(words).features.clip == 0.5
        return
    with pytest.raises(ConfigError, match=r"features\.clip=0\.5 cuts the weights of an anchor") as found:
        compose(words)
    assert found.value.exit_code == 2
    assert compose([*words[:2], "features.clip=1"]).features.clip == 1.0
