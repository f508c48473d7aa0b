"""The same footing for all: less noise, less of the market in the reward, units left out, and never another optimum."""

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents import footing
from wealtharena.agents.algorithms import ppo, sac
from wealtharena.agents.engine import Workbench
from wealtharena.agents.runner import BatchedEnvRunner
from wealtharena.envs.kernel.rows import ACCOUNT
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.errors import ConfigError
from wealtharena.evaluation.backtest import Untilted
from wealtharena.features.panel import Scaler

TILT = ("env.action=tilt", "env.anchor=equal_weight", "model=shared", "model.hidden=[8]")
SHORT = ("algo.rollout_steps=256", "algo.minibatch=128", "compute.envs=8")


def runner(*overrides: str) -> BatchedEnvRunner:
    return ppo.build(worlds.bench(worlds.spec("algo=ppo", *TILT, *SHORT, *overrides)))._driver._runner


def test_the_anchor_is_paid_what_a_backtest_of_it_earns() -> None:
    spec = worlds.spec("algo=ppo", *TILT, "asset.costs.commission_bps=20", "reward.scale=1")
    bench = worlds.bench(spec, worlds.features(bars=120))
    paid = footing.anchor_rewards(bench.market, bench.env, ((10, 60), (70, 110)))
    for start, stop in ((10, 60), (70, 110)):
        anchor = Untilted(bench.market, bench.env)
        path = simulate(bench.market, anchor.act, spec=bench.env, start=start, stop=stop)
        np.testing.assert_allclose(paid[start : stop - 1], np.log1p(path.returns), atol=1e-6)
    assert not paid[:10].any()
    assert not paid[59:70].any()
    assert paid[10:59].any()


@pytest.mark.slow
def test_an_agent_that_is_its_anchor_learns_from_nearly_nothing_and_reports_what_it_was_paid() -> None:
    plain, less = runner("model.initial_log_std=-9"), runner("model.initial_log_std=-9", "algo.reward_less_anchor=true")
    raw, taken = plain.sample(), less.sample()
    assert np.array_equal(raw.actions, taken.actions)
    assert less.get_metrics()["reward"] == plain.get_metrics()["reward"] == pytest.approx(float(raw.rewards.mean()))
    bars = less.buffers.market_bars
    assert less.setup.anchor_rewards is not None
    np.testing.assert_allclose(taken.rewards, raw.rewards - less.setup.anchor_rewards[bars], atol=1e-6)
    late = slice(20, None)  # both accounts are within the band by then
    assert np.abs(taken.rewards[late]).mean() < 0.2 * np.abs(raw.rewards[late]).mean()


def test_groups_begin_together_draw_their_own_noise_and_stay_together() -> None:
    one = runner("algo.common_starts=4")
    for _ in range(3):
        rollout = one.sample()
        bars = one.buffers.market_bars.reshape(-1, 2, 4)
        assert (bars == bars[..., :1]).all()
        assert (bars[..., 0, 0] != bars[..., 1, 0]).any()
        assert np.unique(rollout.actions[0, :4, 0]).size == 4
        np.testing.assert_allclose(rollout.rewards.reshape(-1, 2, 4).sum(axis=-1), 0.0, atol=1e-4)


def test_the_mean_of_the_others_is_taken_off_where_a_group_stands_at_one_bar() -> None:
    rewards = np.array([[1.0, 2.0, 6.0, 5.0, 5.0, 5.0], [3.0, 1.0, 0.0, 1.0, 0.0, 2.0]], np.float32)
    bars = np.array([[4, 4, 4, 9, 9, 9], [5, 5, 7, 10, 10, 10]])
    taken = footing.less_group(rewards, bars, group=3)
    np.testing.assert_allclose(taken[0], [-3.0, -1.5, 4.5, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(taken[1], [3.0, 1.0, 0.0, 0.0, -1.5, 1.5])
    assert footing.less_group(rewards, bars, group=1) is rewards


@pytest.mark.parametrize("algo", ["ppo", "a2c", "sac", "tqc"])
def test_a_spread_of_its_own_is_for_tilts_alone(algo: str) -> None:
    def spread(*overrides: str) -> float:
        network = worlds.bench(worlds.spec(f"algo={algo}", *overrides)).network_factory()()
        assert network.log_std is not None
        return float(network.log_std.detach().mean())

    assert spread(*TILT) == pytest.approx(-1.0)
    assert spread(*TILT, "algo.tilt_log_std=-3") == pytest.approx(-3.0)
    assert spread("env.action=weights", "model=shared", "model.hidden=[8]", "algo.tilt_log_std=-3") == pytest.approx(
        -1.0
    )


@pytest.mark.slow
def test_units_are_left_out_in_updates_alone_and_by_the_seed() -> None:
    def trained(*overrides: str) -> tuple[dict[str, torch.Tensor], Workbench]:
        bench = worlds.bench(worlds.spec("algo=ppo", *TILT, *SHORT, "algo.tilt_log_std=-2", *overrides))
        engine = ppo.build(bench)
        engine.iterate()
        state = {name: value.clone() for name, value in engine.network().state_dict().items()}
        engine.close()
        return state, bench

    plain, bench = trained()
    dropped, again = trained("algo.dropout=0.5")[0], trained("algo.dropout=0.5")[0]
    assert all(torch.equal(dropped[name], again[name]) for name in dropped)
    assert any(not torch.equal(plain[name], dropped[name]) for name in plain)
    network = bench.network_factory()()
    torch.nn.init.normal_(network.actor.head.weight)
    seen = torch.randn(4, bench.market.layout.size)
    generator = torch.Generator().manual_seed(0)
    first = network.parameters_of(seen)
    with network.dropping(0.5, generator):
        assert not torch.equal(network.parameters_of(seen), first)
    assert torch.equal(network.parameters_of(seen), first)


@pytest.mark.slow
def test_sac_leaves_units_out_of_its_actor_and_goes_on_by_the_seed() -> None:
    def trained(share: float) -> list[torch.Tensor]:
        few = ("algo.learning_starts=64", "algo.rollout_steps=64", "algo.batch=16", "algo.updates_per_step=0.05")
        engine = sac.build(worlds.bench(worlds.spec("algo=sac", *TILT, *few, f"algo.dropout={share}")))
        for _ in range(3):
            engine.iterate()
        found = [value.detach().clone() for value in engine.network().parameters()]
        engine.close()
        return found

    first, again, plain = trained(0.3), trained(0.3), trained(0.0)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, plain, strict=True))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("algo=sac", "model.initial_log_std=-6"), "model.initial_log_std=-6: algo=sac keeps the log spread"),
        (("algo=tqc", "env.action=tilt", "algo.tilt_log_std=2"), "algo.tilt_log_std=2: algo=tqc keeps the log spread"),
        (("algo=sac", "algo.target_entropy=1"), "algo.target_entropy=1 must be at most 0.6"),
        (("algo=cql", "algo.target_entropy=0.7"), "algo.target_entropy=0.7 must be at most 0.6"),
        (("algo=cql", "model.initial_log_std=1.5"), "model.initial_log_std=1.5: algo=cql keeps the log spread"),
        (("model=mlp", "algo.dropout=0.1"), "algo.dropout=0.1 leaves out units of model=shared only"),
        (("env.action=weights", "algo.reward_less_anchor=true"), "needs an anchor, and env.action=weights has none"),
        (("algo.common_starts=3", "compute.envs=8"), "algo.common_starts=3 does not divide the 8 environments"),
        (("compute=workers", "compute.learners=2"), "in one learner"),
    ],
)
def test_what_does_not_go_together_is_refused_with_a_way_out(overrides: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")) as refused:
        worlds.spec("algo=ppo", *overrides)
    assert refused.value.hint


def test_costs_vary_by_group_and_not_within_one() -> None:
    one = runner("algo.common_starts=4", "env.randomisation.enabled=true")
    assert one.env is not None
    factors = one.env.batch.state[ACCOUNT.cost_factor, :8].reshape(2, 4)
    assert (factors == factors[:, :1]).all()
    assert factors[0, 0] != factors[1, 0]


def test_a_market_without_segments_pays_nobody() -> None:
    spec = worlds.spec("algo=ppo", *TILT)
    features = worlds.features(bars=60)
    bench = worlds.bench(spec, features)
    market = Market.build(features, bench.env, Scaler.fit(features, clip=5.0))
    assert not footing.anchor_rewards(market, bench.env, ()).any()
