from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.algorithms import bc, sac
from wealtharena.agents.off_policy.recording import recording
from wealtharena.agents.off_policy.replay import Replay, Transitions
from wealtharena.agents.off_policy.soft_actor_critic import squashed
from wealtharena.agents.rollout import Rollout
from wealtharena.config import plugins
from wealtharena.envs.actions import Weights
from wealtharena.envs.baselines import equal_weight
from wealtharena.errors import ConfigError, TrainingError

NO_LIMITS = worlds.spec().env.limits


def rollout(bars: int, envs: int, *, first: int = 0, ends: tuple[int, ...] = ()) -> Rollout:
    """Return a rollout whose observations count up, so that every step is recognised."""
    steps = bars * envs
    count = (np.arange(steps + envs, dtype=np.float32) + first).reshape(bars + 1, envs, 1)
    truncated = np.zeros(steps, bool)
    truncated[list(ends)] = True
    return Rollout(
        observations=count,
        actions=count[:-1].copy(),
        log_probs=np.zeros((bars, envs), np.float32),
        rewards=count[:-1, :, 0].copy(),
        terminated=np.zeros((bars, envs), bool),
        truncated=truncated.reshape(bars, envs),
        final_index=np.array(ends, np.int64),
        final_observations=np.array([[1000.0 + end] for end in ends], np.float32).reshape(-1, 1),
        starts=np.zeros((bars + 1, envs), np.float32),
    )


def test_a_step_is_followed_by_its_own_next_bar_and_an_end_by_what_it_last_saw() -> None:
    replay = Replay(100, 1, Weights(1, NO_LIMITS))
    replay.add(rollout(3, 2, ends=(3,)))
    steps = replay.sample(torch.arange(6))
    assert steps.observations[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert steps.following[:, 0].tolist() == [2, 3, 4, 1003, 6, 7]
    assert steps.alive.tolist() == [1] * 6  # cut off by time: what follows counts


def test_the_ring_keeps_the_latest_steps_in_whatever_pieces_they_come() -> None:
    replay = Replay(10, 1, Weights(1, NO_LIMITS))
    for k in range(5):
        replay.add(rollout(3, 1, first=3 * k, ends=(2,)))
    assert replay.count == 10
    kept = replay.sample(torch.arange(10))
    order = kept.observations[:, 0].argsort()
    assert kept.observations[order, 0].tolist() == list(range(5, 15))
    assert kept.rewards[order].tolist() == list(range(5, 15))
    assert kept.following[order, 0].tolist() == [1002, 7, 8, 1002, 10, 11, 1002, 13, 14, 1002]
    replay.add(rollout(25, 1, first=100, ends=(3, 24)))  # larger than the ring
    assert sorted(replay.observations[:, 0].tolist()) == list(range(115, 125))
    assert float(replay.following[np.argmax(replay.observations[:, 0]), 0]) == 1024.0


@pytest.mark.slow
def test_the_squashed_density_integrates_to_one() -> None:
    network = worlds.bench(worlds.spec("algo=sac"), worlds.features(assets=1)).network_factory(critic=False)()
    seen = torch.zeros(1, 7)[:, : 1 * 2 + 1 + 3]
    grid = torch.linspace(-0.9999, 0.9999, 20_001)
    with torch.no_grad():
        before = torch.atanh(grid)
        noise = (before - network.actor(seen).squeeze()) / network.log_std.exp()
        action, log_prob = squashed(network, seen.expand(len(grid), -1), noise.unsqueeze(-1))
    assert torch.allclose(action.squeeze(-1), grid, atol=1e-4)
    assert float(torch.trapezoid(log_prob.exp(), grid)) == pytest.approx(1.0, abs=1e-3)


def test_a_liquidated_account_has_no_future_in_the_targets() -> None:
    bench = worlds.bench(worlds.spec("algo=sac"))
    update = sac.build(bench).update
    seen = torch.randn(4, bench.market.layout.size)
    batch = Transitions(seen, torch.zeros(4, 3), torch.arange(4.0), seen, torch.zeros(4))
    assert update.targets(batch, torch.tensor(0.1)).squeeze(-1).tolist() == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(("beyond", "limit"), [(-6.0, -5.0), (2.0, 1.0)])
def test_a_spread_that_has_left_its_limits_comes_back_and_is_learned(beyond: float, limit: float) -> None:
    bench = worlds.bench(worlds.spec("algo=sac"))
    update = sac.build(bench).update
    seen = torch.randn(4, bench.market.layout.size)
    batch = Transitions(seen, torch.zeros(4, 3), torch.arange(4.0), seen, torch.zeros(4))
    update.network.log_std.data.fill_(beyond)
    update.step(batch)
    assert update.network.log_std.tolist() == [limit] * 3
    update.step(batch)
    assert update.network.log_std.grad.all()


@pytest.mark.parametrize("name", ["bc", "marwil", "iql"])
def test_a_recording_without_noise_does_not_drive_the_spread_to_nothing(name: str) -> None:
    job = worlds.spec(f"algo={name}", "algo.record=cash", "algo.noise=0", "algo.updates=1", "algo.batch=8")
    engine = plugins.load("agents.algorithms", name).build(worlds.bench(job))
    engine.network().log_std.data.fill_(-9.0)
    engine.iterate()
    assert engine.network().log_std.tolist() == [-4.0] * 3


def test_a_recording_is_the_baseline_on_the_training_rows_and_survives_the_disk(tmp_path) -> None:
    target = tmp_path / "momentum.npz"
    job = worlds.spec("algo=bc", "algo.passes=2", "algo.record=equal_weight", f"algo.dataset={target}")
    bench = worlds.bench(job)
    made = recording(bench, job.algo)
    bars = bench.market.length - bench.env.window
    assert len(made.rewards) == 2 * bars
    assert np.allclose(made.actions.reshape(bars, 2, 3)[0, 0], 1 / 3)  # the first pass has no noise
    assert not np.allclose(made.actions.reshape(bars, 2, 3)[0, 1], 1 / 3)
    gamma, rewards = job.algo.gamma, made.rewards.reshape(bars, 2)
    assert np.isclose(made.returns[-4], rewards[-2, 0] + gamma * rewards[-1, 0], atol=1e-5)
    again = recording(bench, job.algo)
    assert all(
        np.array_equal(getattr(made, name), getattr(again, name)) for name in ("observations", "actions", "returns")
    )
    for content in (b"not a recording", b"", b"PK"):
        target.write_bytes(content)
        with pytest.raises(TrainingError, match="is no recording; name another file"):
            recording(bench, job.algo)
    with pytest.raises(ConfigError, match=r"algo\.record=wishes must be one of .*momentum"):
        worlds.spec("algo=bc", "algo.record=wishes")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("algo.record=equal_weight",), r"algo\.record was momentum, is equal_weight"),
        (("asset.costs.commission_bps=9",), r"asset\.costs\.commission_bps was .*, is 9"),
        (("+asset.instrument.lot_sizes={S0: 10}",), r"asset\.instrument\.lot_sizes\.S0 was None, is 10"),
        (("algo.gamma=0.5",), r"algo\.gamma was 0\.9, is 0\.5"),
    ],
)
def test_a_recording_of_other_settings_is_refused(tmp_path: Path, changes: tuple[str, ...], told: str) -> None:
    words = ("algo=bc", "algo.passes=2", f"algo.dataset={tmp_path / 'kept.npz'}")
    job, another = worlds.spec(*words), worlds.spec(*words, *changes)
    recording(worlds.bench(job), job.algo)
    with pytest.raises(TrainingError, match=f"kept.npz was recorded from something else: .*{told}"):
        recording(worlds.bench(another), another.algo)


@pytest.mark.slow
def test_a_recording_that_cannot_be_written_says_what_else_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    bench = worlds.bench(worlds.spec("algo=bc", "algo.passes=1", f"algo.dataset={tmp_path}/file/made.npz"))
    with pytest.raises(TrainingError, match=r"made\.npz cannot be written: .*; .*algo\.dataset=null"):
        recording(bench, bench.spec.algo)


def test_a_run_goes_on_with_the_recording_that_it_has_learned_from(tmp_path: Path) -> None:
    """A file of another seed's noise says the same of where it is from; one that is gone is recorded anew by this run's seed."""
    kept = tmp_path / "kept.npz"
    words = ("algo=bc", "algo.passes=2", f"algo.dataset={kept}")
    first = worlds.bench(worlds.spec(*words, "seed=1"))
    recording(first, first.spec.algo)
    bench = worlds.bench(worlds.spec(*words, "seed=2"))
    state = bc.build(bench).get_state()
    bc.build(bench).set_state(state)
    kept.unlink()
    anew = bc.build(bench)
    with pytest.raises(TrainingError, match=r"kept\.npz is not the recording that this run has learned from so far"):
        anew.set_state(state)
    anew.set_state({name: value for name, value in state.items() if name != "recording"})  # of an earlier version


def test_a_recording_of_rows_that_are_not_trained_on_is_refused_whatever_the_seed_and_algorithm(tmp_path: Path) -> None:
    words = ("algo.passes=2", f"algo.dataset={tmp_path / 'kept.npz'}")
    job = worlds.spec("algo=bc", *words)
    whole = worlds.bench(job)
    made = recording(whole, job.algo)
    other = worlds.spec("algo=iql", *words, "seed=3")  # may share it
    assert np.array_equal(recording(worlds.bench(other), other.algo).actions, made.actions)
    with pytest.raises(TrainingError, match=r"training rows was \[0, 400\], is \[0, 300\]"):
        recording(replace(whole, segments=((0, 300),)), job.algo)
    with pytest.raises(TrainingError, match="bars was"):
        recording(worlds.bench(job, worlds.features(seed=1)), job.algo)
    with pytest.raises(ConfigError, match=r"holds the training rows of one fold, and split=cpcv has several"):
        worlds.spec("algo=bc", *words, "split=cpcv")


@pytest.mark.parametrize("what", ["features", "actions", "rewards"])
def test_a_recording_of_code_that_was_edited_since_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept.npz"
    job = worlds.spec("algo=bc", "algo.passes=2", "algo.record=equal_weight", f"algo.dataset={kept}")
    panel = worlds.features()
    recording(worlds.bench(job, panel), job.algo)
    if what == "features":  # one of the same name, that the scaler brings to the same scale
        panel = replace(panel, values=panel.values * np.float32([1.0, -1.0]))
    elif what == "actions":
        monkeypatch.setattr(equal_weight, "weights", lambda panel, row, spec: np.full(len(panel.symbols), 0.1))
    else:  # as of a reward that paid otherwise
        with np.load(kept) as found:
            content = dict(found)
        content["rewards"][0] += 0.01
        np.savez(kept, **content)
    bench = worlds.bench(job, panel)
    with pytest.raises(TrainingError, match=f"has other {what} at its first bar than the code makes now; remove it"):
        recording(bench, job.algo)


def test_what_a_liquidated_account_plays_after_it_began_anew_is_not_recorded() -> None:
    wild = (
        "asset.limits.long_only=false",
        "asset.limits.max_gross=3",
        "asset.limits.maintenance_margin=0.4",
        "algo.noise=1",
    )
    job = worlds.spec("algo=bc", "algo.passes=4", "algo.record=equal_weight", *wild)
    bench = worlds.bench(job)
    made, steps = recording(bench, job.algo), bench.market.length - bench.env.window
    ends = np.flatnonzero(made.alive == 0.0)
    assert 0 < len(ends) <= 3  # each account at most once, and the baseline's own never
    assert len(made.rewards) < 4 * steps


@pytest.mark.slow
def test_behaviour_cloning_comes_close_to_what_it_imitates() -> None:
    from wealtharena.agents.algorithms import bc

    job = worlds.spec(
        "algo=bc",
        "algo.record=equal_weight",
        "algo.passes=4",
        "algo.noise=0.05",
        "algo.updates=100",
        "algo.learning_rate=0.01",
    )
    engine = bc.build(worlds.bench(job))
    for _ in range(3):
        figures = engine.iterate()
    columns = engine._columns
    with torch.no_grad():
        said = engine.network().parameters_of(columns[0])
    assert (said.mean(dim=0) - columns[1].mean(dim=0)).abs().max() < 0.05
    assert figures["log_prob"] > 2.0


@pytest.mark.parametrize(
    ("starts", "budget", "after", "warned"),
    [
        (64, 64, 0, False),  # the last rollout is learned from
        (65, 64, 0, True),
        (100, 128, 0, False),
        (64, 192, 128, False),  # gone on with: steps are collected anew
        (100, 192, 128, True),
    ],
)
def test_what_is_left_of_a_budget_without_an_update_is_said(starts, budget, after, warned, caplog) -> None:
    few = ("algo.rollout_steps=64", "algo.batch=4", "algo.updates_per_step=0.02", "compute.envs=32")
    bench = worlds.bench(worlds.spec("algo=sac", *few, f"algo.learning_starts={starts}"), env_steps=budget)
    engine = sac.build(bench)
    engine.set_state({**engine.get_state(), "env_steps": after})
    while engine.env_steps < budget:
        engine.iterate()
    engine.close()
    assert (engine.updates == 0) == warned
    said = [text for text in caplog.messages if "nothing is learned" in text]
    assert len(said) == warned
    assert all(f"the {budget - after} steps" in text for text in said)


def test_a_buffer_larger_than_the_budget_takes_no_more_room_and_changes_nothing() -> None:
    """Room for all of it was asked for at once: a large one ended the run for want of memory that nothing would have used."""
    few = ("algo=sac", "algo.rollout_steps=64", "algo.batch=4", "algo.learning_starts=64", "compute.envs=32")
    found = []
    for buffer in (1_000_000_000_000, 256):
        engine = sac.build(worlds.bench(worlds.spec(*few, f"algo.buffer={buffer}"), env_steps=192))
        while engine.env_steps < 192:
            engine.iterate()
        engine.close()
        found.append(torch.cat([weights.flatten() for weights in engine.network().parameters()]))
    assert torch.equal(*found)
