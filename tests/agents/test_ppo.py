import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.algorithms import ppo
from wealtharena.agents.networks import Network
from wealtharena.agents.on_policy import learner as learning
from wealtharena.agents.on_policy.learner import PPOSettings, PPOUpdate, gae, make_batch, ppo_loss, rollout_values
from wealtharena.agents.rollout import Rollout
from wealtharena.agents.runner import BatchedEnvRunner
from wealtharena.errors import ConfigError, TrainingError

pytestmark = pytest.mark.slow  # it trains

PPO = ("algo=ppo", "algo.rollout_steps=256", "algo.minibatch=64", "algo.epochs=2")
MODELS = ("mlp", "gru", "lstm", "attention")


def parts(*overrides: str) -> tuple[Network, Rollout, PPOSettings]:
    """Return a network, a second rollout that it made (the first one ends mid-episode) and the settings."""
    engine = ppo.build(worlds.bench(worlds.spec(*PPO, *overrides)))
    driver = engine._driver
    driver._runner.sample()
    return driver.network(), driver._runner.sample(), driver._learner.batched.settings


def chunks(rollout: Rollout) -> list[tuple[int, int, int]]:
    """Return (environment, first bar, bar after the last) of every piece of an episode."""
    found = []
    ended = rollout.terminated | rollout.truncated
    bars, envs = ended.shape
    for env in range(envs):
        first = 0
        for bar in range(bars):
            if ended[bar, env] or bar == bars - 1:
                found.append((env, first, bar + 1))
                first = bar + 1
    return found


def final_of(rollout: Rollout, env: int, bar: int) -> np.ndarray:
    """Return what followed `bar` in its own episode."""
    envs = rollout.rewards.shape[1]
    where = np.flatnonzero(rollout.final_index == bar * envs + env)
    return rollout.final_observations[where[0]] if where.size else rollout.observations[bar + 1, env]


def as_episodes(rollout: Rollout) -> list:
    """Return the rollout as RLlib's episodes."""
    from ray.rllib.env.single_agent_episode import SingleAgentEpisode

    episodes = []
    for env, first, stop in chunks(rollout):
        observations = [*rollout.observations[first:stop, env], final_of(rollout, env, stop - 1)]
        episodes.append(
            SingleAgentEpisode(
                observations=observations,
                actions=list(rollout.actions[first:stop, env]),
                rewards=[float(r) for r in rollout.rewards[first:stop, env]],
                terminated=bool(rollout.terminated[stop - 1, env]),
                truncated=bool(rollout.truncated[stop - 1, env]),
                extra_model_outputs={"action_logp": list(rollout.log_probs[first:stop, env])},
                len_lookback_buffer=0,
            )
        )
    return episodes


@pytest.mark.parametrize("action", ["weights", "allocation"])
def test_advantages_targets_loss_and_gradient_are_rllib_s_own(action: str) -> None:
    from ray.rllib.connectors.learner import AddOneTsToEpisodesAndTruncate, GeneralAdvantageEstimation
    from ray.rllib.core.columns import Columns

    engine = ppo.build(worlds.bench(worlds.spec(*PPO, f"env.action={action}", "algo.entropy_coefficient=0.01")))
    driver = engine._driver
    learner, settings = driver._learner, driver._learner.batched.settings
    rollout = driver._runner.sample()
    rollout.rewards += np.random.default_rng(0).standard_normal(rollout.rewards.shape).astype(np.float32)
    rollout.terminated[5, 2] = True  # a liquidation in the middle of an episode
    network = driver.network()

    # Theirs: episodes lengthened by one step, values, GAE connector.
    episodes = as_episodes(rollout)
    AddOneTsToEpisodesAndTruncate()(rl_module=learner.module, batch={}, episodes=episodes, shared_data={})
    rows = {
        Columns.OBS: torch.tensor(np.concatenate([e.get_observations(slice(0, len(e))) for e in episodes])),
        Columns.REWARDS: np.concatenate([e.get_rewards() for e in episodes]).astype(np.float32),
        Columns.TERMINATEDS: np.concatenate([[False] * (len(e) - 1) + [e.is_terminated] for e in episodes]),
        Columns.TRUNCATEDS: np.concatenate([[False] * (len(e) - 1) + [e.is_truncated] for e in episodes]),
    }
    lengths = [len(e) for e in episodes]
    real = np.concatenate([[True] * (n - 1) + [False] for n in lengths])
    ended = np.concatenate([[False] * (n - 2) + [True, True] for n in lengths])
    by_env = np.concatenate(
        [[bool(rollout.terminated[stop - 1, env])] * (stop - first + 1) for env, first, stop in chunks(rollout)]
    )
    rows[Columns.TERMINATEDS], rows[Columns.TRUNCATEDS] = ended & by_env, ended & ~by_env
    batch = {"default_policy": dict(rows)}
    connector = GeneralAdvantageEstimation(gamma=settings.gamma, lambda_=settings.lambda_)
    connector(rl_module=learner.module, episodes=episodes, batch=batch)
    theirs = batch["default_policy"]

    # Ours, in the order of their rows.
    ours = make_batch(network, [rollout], settings)
    envs = rollout.rewards.shape[1]
    order = np.concatenate([np.arange(first, stop) * envs + env for env, first, stop in chunks(rollout)])
    targets = ours.targets.numpy()[order]
    assert np.abs(theirs["value_targets"].numpy()[real] - targets).max() < 1e-5
    # Theirs are standardised over the artificial steps too; over the same rows they are ours.
    taken = theirs["advantages"].numpy()[real]
    again = (taken - taken.mean()) / taken.std()
    assert np.abs(again - ours.advantages.numpy()[order]).max() < 1e-4 * 0.1

    # The loss and its gradient, by their learner and by ours.
    loss, _ = ppo_loss(network, ours, settings)
    loss.backward()
    mine = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    module_batch = {
        Columns.OBS: ours.observations,
        Columns.ACTIONS: ours.actions,
        Columns.ACTION_LOGP: ours.log_probs,
        "advantages": ours.advantages,
        "value_targets": ours.targets,
    }
    module = learner.module["default_policy"]
    outputs = module.forward_train(module_batch)
    module_batch[Columns.ACTION_DIST_INPUTS] = outputs[Columns.ACTION_DIST_INPUTS].detach()
    config = learner.config.copy(copy_frozen=False).training(vf_clip_param=float("inf"))
    reference = learner.compute_loss_for_module(
        module_id="default_policy", config=config, batch=module_batch, fwd_out=outputs
    )
    reference.backward()
    assert abs(reference.item() - loss.item()) < 1e-5
    for parameter, gradient in zip(network.parameters(), mine, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-5, rtol=1e-4)
    engine.close()


def test_gae_stops_at_both_ends_and_bootstraps_only_a_truncation() -> None:
    rewards = np.array([[1.0], [1.0], [1.0]], np.float32)
    values = np.array([[0.5], [0.5], [0.5]], np.float32)
    following = np.array([[0.5], [8.0], [0.5]], np.float32)
    ends = np.array([[False], [True], [False]])
    none = np.zeros_like(ends)
    liquidated, _ = gae(rewards, values, following, ends, none, gamma=0.5, lambda_=1.0)
    truncated, targets = gae(rewards, values, following, none, ends, gamma=0.5, lambda_=1.0)
    assert liquidated[1, 0] == pytest.approx(0.5)
    assert truncated[1, 0] == pytest.approx(1 + 4 - 0.5)
    assert truncated[0, 0] == pytest.approx((1 + 0.25 - 0.5) + 0.5 * 4.5)
    assert targets[2, 0] == pytest.approx(1.25)


@pytest.mark.parametrize("model", MODELS)
def test_log_probs_of_the_rollout_are_those_of_the_update(model: str) -> None:
    network, rollout, settings = parts(f"model={model}")
    batch = make_batch(network, [rollout], settings)
    _, detail = ppo_loss(network, batch, settings)
    assert float(detail[3]) == pytest.approx(0.0, abs=1e-5)  # the KL between acting and learning before any update
    assert float(detail[4]) == 0.0


@pytest.mark.parametrize("model", ["gru", "lstm"])
def test_a_recurrent_network_values_stretches_as_it_would_bar_by_bar(model: str) -> None:
    network, rollout, settings = parts(f"model={model}")
    values, following = rollout_values(network, rollout, stretch=settings.stretch)
    states = tuple(torch.from_numpy(state[0]) for state in rollout.states)
    envs = rollout.rewards.shape[1]
    assert rollout.final_index.size, "no episode came to its end"
    with torch.no_grad():
        for t in range(rollout.rewards.shape[0]):
            keep = 1 - torch.from_numpy(rollout.starts[t]).unsqueeze(-1)
            embedding, states = network.step(torch.from_numpy(rollout.observations[t]), tuple(s * keep for s in states))
            assert np.allclose(network.value_of(embedding).numpy(), values[t], atol=1e-5)
            for k in np.flatnonzero(rollout.final_index // envs == t):
                env = rollout.final_index[k] % envs
                last = torch.from_numpy(rollout.final_observations[k : k + 1])
                after, _ = network.step(last, tuple(s[env : env + 1] for s in states))
                assert float(network.value_of(after)) == pytest.approx(float(following[t, env]), abs=1e-5)


def test_the_same_seed_gives_the_same_weights_bit_for_bit() -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        engine = ppo.build(worlds.bench(worlds.spec(*PPO, f"seed={seed}")))
        for _ in range(3):
            engine.iterate()
        return engine.network().state_dict()

    first, second, other = trained(3), trained(3), trained(4)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("model", ["mlp", "lstm"])
def test_a_state_taken_midway_goes_on_to_the_same_weights(model: str) -> None:
    job = worlds.spec(*PPO, f"model={model}")
    straight = ppo.build(worlds.bench(job))
    for _ in range(2):
        straight.iterate()
    state = straight.get_state()
    import io

    memory = io.BytesIO()
    torch.save(state, memory)
    memory.seek(0)
    for _ in range(2):
        straight.iterate()
    resumed = ppo.build(worlds.bench(job))
    resumed.set_state(torch.load(memory, weights_only=True))
    for _ in range(2):
        resumed.iterate()
    assert resumed.env_steps == straight.env_steps
    for name, value in straight.network().state_dict().items():
        assert torch.equal(value, resumed.network().state_dict()[name])


def test_a_reward_that_is_not_a_number_is_caught_in_the_same_iteration() -> None:
    engine = ppo.build(worlds.bench(worlds.spec(*PPO)))
    driver = engine._driver
    rollout = driver._runner.sample()
    rollout.rewards[3, 1] = np.nan
    with pytest.raises(TrainingError, match="no longer finite"):
        driver._learner.update_rollouts([rollout], env_steps=0)


def test_every_row_is_learned_from_where_minibatches_do_not_divide_a_rollout(monkeypatch) -> None:
    network, rollout, settings = parts("algo.minibatch=150", "algo.target_kl=null")
    counting = Full(room=256)
    monkeypatch.setattr(learning, "ppo_loss", counting)
    PPOUpdate(network, settings).update([rollout], env_steps=256)
    assert counting.sizes == [128, 128] * settings.epochs


def test_what_values_explain_does_not_hang_on_which_errors_count() -> None:
    found = []
    for clip in ("null", "1e-4"):
        network, rollout, settings = parts("algo.minibatch=null", "algo.epochs=1", f"algo.value_clip={clip}")
        found.append(PPOUpdate(network, settings).update([rollout], env_steps=256))
    plain, clipped = found
    assert clipped["value_loss"] <= 1e-4 < plain["value_loss"]
    assert clipped["explained_variance"] == pytest.approx(plain["explained_variance"])


def test_without_clipping_and_with_one_epoch_the_gradient_is_that_of_a2c() -> None:
    network, rollout, settings = parts(
        "algo.clip=null", "algo.epochs=1", "algo.minibatch=null", "algo.value_coefficient=0"
    )
    batch = make_batch(network, [rollout], settings)
    loss, _ = ppo_loss(network, batch, settings)
    loss.backward()
    clipless = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    mean = network.parameters_of(batch.observations)
    dist = torch.distributions.Normal(mean, network.log_std.exp())
    (-(dist.log_prob(batch.actions).sum(-1) * batch.advantages).mean()).backward()
    for parameter, gradient in zip(network.parameters(), clipless, strict=True):
        if parameter.grad is not None:
            assert torch.allclose(parameter.grad, gradient, atol=1e-5)


def test_the_runner_s_rewards_reach_the_update_unchanged() -> None:
    engine = ppo.build(worlds.bench(worlds.spec(*PPO)))
    runner: BatchedEnvRunner = engine._driver._runner
    rollout = runner.sample()
    assert rollout.steps == 256
    assert np.isfinite(rollout.rewards).all()
    assert rollout.truncated.sum() == len(rollout.final_index)
    assert isinstance(PPOUpdate(runner.module, engine._driver._learner.batched.settings).updates, int)


def test_an_action_that_the_algorithm_cannot_use_names_what_to_choose() -> None:
    from wealtharena.agents import check_action

    job = worlds.spec()
    broken = job.model_copy(update={"env": job.env.model_copy(update={"action": "orders"})})
    with pytest.raises(ConfigError, match=r"env\.action=weights or env\.action=tilt or env\.action=allocation"):
        check_action(broken)


def test_another_ray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    monkeypatch.setattr(metadata, "version", lambda name: "2.61.0")
    with pytest.raises(TrainingError, match=r"2\.61\.0 is installed"):
        ppo.build(worlds.bench(worlds.spec(*PPO)))


class Full:
    """Raises torch's error for minibatches of more rows than there is room for, as a GPU does."""

    def __init__(self, room: int) -> None:
        self.room, self.sizes = room, []

    def __call__(self, network, batch, settings):
        self.sizes.append(len(batch.advantages))
        if len(batch.advantages) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return ppo_loss(network, batch, settings)


def test_a_gpu_without_room_halves_the_minibatch_once_says_so_and_learns_from_every_row(monkeypatch, caplog) -> None:
    network, rollout, settings = parts()
    full = Full(room=32)
    monkeypatch.setattr(learning, "ppo_loss", full)
    update = PPOUpdate(network, settings)
    update.update([rollout], env_steps=256)
    assert full.sizes == [64, *[32] * (256 // 32 * settings.epochs)]
    (said,) = caplog.messages
    assert "CUDA out of memory" in said
    assert "32 rows from here on instead of 64" in said
    resumed = PPOUpdate(network, settings)
    resumed.set_state(update.get_state())
    full.sizes.clear()
    resumed.update([rollout], env_steps=512)
    assert set(full.sizes) == {32}


def test_a_gpu_without_room_for_half_a_minibatch_ends_the_training_with_a_way_out(monkeypatch) -> None:
    network, rollout, settings = parts()
    monkeypatch.setattr(learning, "ppo_loss", Full(room=31))
    with pytest.raises(TrainingError, match=r"no room for a minibatch of 32 rows; lower algo\.minibatch"):
        PPOUpdate(network, settings).update([rollout], env_steps=256)
