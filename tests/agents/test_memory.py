"""Whether a training has room: refused where it cannot, and never where it can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.agents import worlds
from wealtharena.agents import memory
from wealtharena.config import compose
from wealtharena.envs.observation import ObservationLayout
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
        (
            ("sweep=ppo", "sweep.cpus_per_trial=5"),
            r"sweep\.cpus_per_trial=5: a search on this machine has 4 cores for its trials; lower it, or",
        ),
        (
            ("sweep=ppo", "sweep.cpus_per_trial=1.5", "compute.num_cpus=1"),
            r"1\.5: .* has 1 core \(compute\.num_cpus\) for",
        ),
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


@pytest.mark.parametrize("address", ["local", "http://127.0.0.1:8265", "https://head:8265"])
def test_what_is_no_address_of_a_cluster_is_refused_with_one_that_is(address: str) -> None:
    with pytest.raises(ConfigError, match=f"compute.address={address} .*; .*compute.address="):
        asking.check(compose(["compute=cluster", f"compute.address='{address}'"]))


def test_processes_and_threads_that_fit_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    monkeypatch.setattr(memory, "usable_cores", lambda: 1)
    for typed in (
        ["compute=workers"],
        ["compute=workers", "compute.runners=8"],
        ["sweep=ppo"],
        ["sweep=ppo", "sweep.cpus_per_trial=2", "compute.num_cpus=2"],
        ["compute.num_cpus=64"],
    ):
        asking.check(compose(typed))


@pytest.mark.slow
@pytest.mark.parametrize("algo", ALGOS)
def test_a_network_beyond_the_memory_is_refused_with_a_sentence(algo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    worlds.bench(worlds.spec(f"algo={algo}"))
    with pytest.raises(
        ConfigError,
        match=r"model\.hidden=\[100000,100000\] needs about .* GiB .* and of 16 a tenth is left to the system; take fewer",
    ):
        worlds.bench(worlds.spec(f"algo={algo}", "model.hidden=[100000,100000]"))


@pytest.mark.slow
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
        ConfigError,
        match=r"observations of 3 symbols, held at once, need about .* algo\.(rollout_steps|buffer)=\d+ would fit",
    ):
        worlds.bench(worlds.spec(*refused))
    worlds.bench(worlds.spec(*fits))


WIDE = "model.hidden=[3072,3072]"
MEASURED = (  # GiB at the peak of a process, 10 symbols of 24 features; the first two over 1,576 bars
    (("algo=ppo", "env.window=64"), 1.92),
    (("algo=ppo", "env.window=128"), 3.30),
    (("algo=ppo", "env.window=128", "algo.rollout_steps=4096", "compute.envs=32"), 1.74),
    (("algo=ppo", "env.window=32", "algo.rollout_steps=4096", "compute.envs=32"), 0.75),
    (("algo=ppo", "model=attention", "env.window=64", "algo.rollout_steps=1024", "algo.minibatch=512"), 0.59),
    (("algo=ppo", "model=gru", "env.window=64", "algo.rollout_steps=1024", "algo.minibatch=512"), 0.61),
    (("algo=direct", "env.window=32", "algo.windows=8"), 0.56),
    (("algo=cql", "env.window=64", "algo.passes=2"), 1.3),
    (("algo=dqn", "env.action=allocation", "env.window=64", "algo.buffer=512", "algo.rollout_steps=512"), 0.6),
    (("algo=ppo", "model=attention", "model.hidden=[256,256]"), 1.08),
    (("algo=ppo", "model=mlp", WIDE, "algo.rollout_steps=1024", "algo.minibatch=256"), 1.18),
    (("algo=dqn", "env.action=allocation", WIDE, "algo.rollout_steps=512", "algo.buffer=512", "algo.batch=64"), 0.95),
    (("algo=sac", "model.hidden=[4096,4096]", "train.env_steps=6000"), 1.84),
    (("algo=cql", WIDE, "algo.passes=1", "algo.batch=64"), 1.34),
    (("algo=direct", WIDE, "algo.members=4", "algo.windows=1", "algo.window_bars=8"), 2.39),
    (("algo=iql", WIDE, "algo.passes=1", "algo.batch=64"), 1.52),
    (("algo=tqc", "algo.quantiles=100", "algo.batch=4096", "train.env_steps=6000"), 4.2),
)


@pytest.mark.parametrize(
    ("typed", "peak"), MEASURED, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_what_is_needed_is_what_was_measured(typed: tuple[str, ...], peak: float) -> None:
    job = compose(["asset=crypto", "features=default", *typed])
    layout = ObservationLayout(tuple(f"S{i}" for i in range(10)), tuple(f"f{i}" for i in range(24)), job.env.window)
    needed = memory.needed(job, layout, 600).whole / GIB
    assert 0.75 * peak < needed < 1.4 * peak


def test_several_at_once_need_room_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    job, layout = compose(["env.window=64"]), ObservationLayout(tuple("ABCDEFGHIJ"), tuple("0123456789"), 64)
    each = memory.needed(job, layout, 600).whole
    monkeypatch.setattr(memory, "usable_bytes", lambda: int(3.5 * each))
    memory.check_room(job, layout, 600, at_once=3)
    with pytest.raises(ConfigError, match=r"each training takes about .* for 4 at once, .*; let 3 run at once"):
        memory.check_room(job, layout, 600, at_once=4)


def test_what_would_fit_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "usable_bytes", lambda: 4 * GIB)
    layout = ObservationLayout(tuple("ABCDEFGHIJ"), tuple("abcdefghijklmnopqrstuvwx"), 1024)
    with pytest.raises(ConfigError, match=r"env\.window=128 or algo\.rollout_steps=512 would fit"):
        memory.check_room(compose(["env.window=1024"]), layout, 1500)
    memory.check_room(compose(["env.window=128"]), replace(layout, window=128), 1500)
    memory.check_room(compose(["env.window=1024", "algo.rollout_steps=512"]), layout, 1500)


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
        assert memory.needed(job, layout, 1000).whole < GIB


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


def test_a_training_that_others_leave_no_room_for_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  99 kB\nMemAvailable:  2097152 kB\n")
    assert memory.free_bytes(tmp_path / "meminfo") == 2 * GIB
    assert memory.free_bytes(tmp_path / "none") == float("inf")
    monkeypatch.setattr(memory, "usable_bytes", lambda: 16 * GIB)
    monkeypatch.setattr(memory, "free_bytes", lambda: 2 * GIB)
    layout = ObservationLayout(tuple("ABCDEFGHIJ"), tuple("abcdefghijklmnopqrstuvwx"), 128)
    memory.check_room(compose(["env.window=128"]), layout, 500)
    assert "3.22 GiB, and 2 are free now" in caplog.text
    assert "env.window=32 or algo.rollout_steps=2048 would fit" in caplog.text
