from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.direct.engine import DirectEngine
from wealtharena.agents.direct.objective import objective
from wealtharena.agents.direct.pathwise import Drawn
from wealtharena.agents.direct.windows import Windows, seen
from wealtharena.agents.foresight import targets_of
from wealtharena.agents.networks import Network, build_network
from wealtharena.agents.networks.members import Members
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy
from wealtharena.config import plugins
from wealtharena.envs.simulate import simulate
from wealtharena.errors import ConfigError, TrainingError
from wealtharena.evaluation.backtest import Untilted
from wealtharena.registry.export import ExportShape, ServedPolicy, export_onnx

PERMUTED = ("close", "tradable", "open", "high", "low", "dividends", "to_account")
SMALL = (
    "algo=direct",
    "env.action=weights",
    "algo.members=3",
    "algo.windows=4",
    "algo.window_bars=12",
    "algo.updates=2",
    "algo.dropout=0",
)


def engine(*overrides: str, panel=None) -> DirectEngine:
    return plugins.load("agents.algorithms", "direct").build(worlds.bench(worlds.spec(*SMALL, *overrides), panel))


def policy_of(built: DirectEngine) -> EnsemblePolicy:
    bench = built.bench
    parts = (bench.spec.model, bench.market.layout, bench.action, bench.env.limits, bench.scaler)
    return EnsemblePolicy([NetworkPolicy(network, *parts) for network in built.members()])


@pytest.mark.slow
def test_it_learns_a_feature_that_knows_the_next_return() -> None:
    built = engine("algo.learning_rate=0.03", panel=worlds.features(bars=600, signal=0.3))
    for _ in range(25):
        built.iterate()
    policy = policy_of(built)
    played = simulate(built.bench.market, policy.act, spec=built.bench.env)
    assert played.returns.mean() / played.returns.std() > 0.5  # the best there is has about 0.9


@pytest.mark.parametrize(
    "overrides",
    [(), ("env.action=tilt",), ("env.action=tilt", "asset.limits.long_only=true", "env.anchor=equal_weight")],
)
def test_members_answer_together_as_each_alone_and_their_mean_is_the_policy(overrides: tuple[str, ...]) -> None:
    built = engine("env.window=3", "algo.learning_rate=0.1", "env.no_trade_band=0", *overrides)
    built.iterate()
    rows = np.random.default_rng(0).standard_normal((5, built.bench.market.layout.size)).astype(np.float32)
    if "env.action=tilt" in overrides:
        rows[:, built.bench.market.layout.features].reshape(5, 3, 3, -1)[..., -2:] = 0.2
    policy = policy_of(built)
    alone = np.stack([member.act(rows) for member in policy.members])
    assert np.abs(alone[0] - alone[1]).max() > 1e-4
    np.testing.assert_allclose(policy.act(rows), alone.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(policy.spreads[-1], alone.std(axis=0).sum(axis=-1), atol=1e-5)


@pytest.mark.slow
def test_what_a_network_sees_in_training_is_what_the_environment_shows() -> None:
    built = engine("env.window=3")
    market, network = built.bench.market, built.network()
    shown: list[np.ndarray] = []

    def remember(observation: np.ndarray) -> np.ndarray:
        shown.append(observation.copy())
        return np.zeros((1, 3))

    simulate(market, remember, spec=built.bench.env, start=2)
    observed = np.concatenate(shown)[:, market.layout.features]
    np.testing.assert_array_equal(observed, seen(market)[2:-1].flatten(1).numpy())
    with torch.no_grad():
        together = Members([network], built.bench.spec.model.activation)(seen(market)[2:-1].flatten(0, 1)[None])
        apart = network.actor(torch.from_numpy(np.concatenate(shown)))
    torch.testing.assert_close(together.reshape(apart.shape), apart)


def test_windows_that_are_longer_than_the_record_are_told_with_what_they_are(caplog: pytest.LogCaptureFixture) -> None:
    built = engine("algo.window_bars=500", "algo.burn_in_bars=4")
    assert built.windows.steps == 399
    assert "windows have 395 bars (different ones to draw from: 1)" in caplog.text
    caplog.clear()
    engine("algo.window_bars=395", "algo.burn_in_bars=4")
    assert not caplog.text


def test_windows_lie_within_segments_and_all_are_drawn() -> None:
    windows = Windows.of(((0, 10), (20, 26), (40, 60)), steps=6, earliest=2)
    found = set(windows.firsts.tolist())
    assert found == {2, 3, *range(40, 54)}  # the bar after the last decision is the segment's last at most
    assert set(windows.draw((2000,), torch.Generator().manual_seed(0)).tolist()) == found
    assert Windows.of(((0, 4),), steps=6, earliest=0).steps == 3
    with pytest.raises(ConfigError, match="two bars"):
        Windows.of(((0, 4),), steps=6, earliest=3)


def test_a_burn_in_that_leaves_no_bar_of_the_longest_segment_is_refused() -> None:
    short = worlds.features(bars=30)
    assert engine("algo.burn_in_bars=28", panel=short).iterate()["updates"] == 2.0  # 29 steps: one is learned from
    with pytest.raises(ConfigError, match=r"algo\.burn_in_bars=29 leaves nothing to learn from: .* has 29 steps"):
        engine("algo.burn_in_bars=29", panel=short)


@pytest.mark.slow
def test_the_soft_minimum_lies_between_the_worst_window_and_the_mean() -> None:
    returns = torch.randn(30, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    ratios = returns.mean(dim=0) / returns.std(dim=0, correction=0)
    found = {t: objective("soft_minimum", returns, temperature=t, risk_aversion=0.0) for t in (1e-3, 0.1, 1e3)}
    torch.testing.assert_close(found[1e-3], ratios.min(dim=1).values, atol=5e-3, rtol=0)
    torch.testing.assert_close(found[1e3], ratios.mean(dim=1), atol=1e-3, rtol=0)
    assert bool((found[0.1] > ratios.min(dim=1).values).all() & (found[0.1] < ratios.mean(dim=1)).all())
    pooled = returns.transpose(0, 1).flatten(1)
    variance = pooled.mean(dim=1) - 2.0 * pooled.var(dim=1, correction=0)
    torch.testing.assert_close(objective("mean_variance", returns, temperature=1.0, risk_aversion=4.0), variance)
    assert objective("sharpe", torch.zeros(30, 2, 5), temperature=1.0, risk_aversion=0.0).tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_a_turnover_penalty_makes_the_policy_trade_less() -> None:
    panel = worlds.features(bars=600, signal=0.1)
    turnover = {}
    for penalty in (0.0, 0.01):
        built = engine("algo.learning_rate=0.03", f"algo.turnover_penalty={penalty}", panel=panel)
        for _ in range(15):
            built.iterate()
        played = simulate(built.bench.market, policy_of(built).act, spec=built.bench.env)
        turnover[penalty] = float((played.traded_value / played.equity[:-1]).mean())
    assert turnover[0.01] < 0.5 * turnover[0.0]


def test_permuted_symbols_get_permuted_weights() -> None:
    built = engine()
    built.iterate()
    member = policy_of(built).members[0]
    order = ("S2", "S0", "S1")
    other = member.for_symbols(order)
    features = np.random.default_rng(1).standard_normal((4, 3, 2)).astype(np.float32)
    account = np.zeros((4, 6), np.float32)
    rows = [np.concatenate([features[:, places].reshape(4, -1), account], axis=1) for places in ([0, 1, 2], [2, 0, 1])]
    np.testing.assert_allclose(other.act(rows[1]), member.act(rows[0])[:, [2, 0, 1]], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_an_exported_ensemble_answers_as_it_does_in_torch(action: str) -> None:
    import onnxruntime

    built = engine(f"env.action={action}", "algo.learning_rate=0.05")
    built.iterate()
    policy, count = policy_of(built), len(built.bench.market.layout.feature_names)
    shape = ExportShape(assets=3, window=1, features=count, states={}, spread=True)
    served = ServedPolicy(policy.core, shape, mean=np.zeros(count), std=np.ones(count), clip=5.0)
    session = onnxruntime.InferenceSession(export_onnx(served, shape))
    rng = np.random.default_rng(2)
    features, account = rng.standard_normal((7, 3, 1, count)).astype(np.float32), np.zeros((7, 6), np.float32)
    if action == "tilt":
        features[..., -2:] = rng.uniform(0.01, 0.3, (7, 3, 1, 2))  # what the anchor holds, and sigma
    weights, spread = session.run(["weights", "spread"], {"features": features, "portfolio": account})
    expected = policy.act(np.concatenate([features.reshape(7, -1), account], axis=1))
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    np.testing.assert_allclose(spread, policy.spreads[-1], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [("env.action=weights",), ("env.action=tilt",)])
def test_torchs_account_which_a_gpu_runs_learns_the_same(overrides: tuple[str, ...]) -> None:
    ours, by_torch = engine("algo.dropout=0.2", *overrides), engine("algo.dropout=0.2", *overrides)
    by_torch.crew.pathwise = replace(by_torch.crew.pathwise, floor=None)
    for _ in range(2):
        figures, others = ours.iterate(), by_torch.iterate()
        assert figures == pytest.approx(others, rel=1e-5, abs=1e-7)
    for one, other in zip(ours.online.parameters(), by_torch.online.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_permuted_symbols_train_the_same_networks(action: str) -> None:
    plain = worlds.features(signal=0.2)
    order = [2, 0, 1]
    bars = {name: getattr(plain.panel, name)[:, order] for name in PERMUTED}
    symbols, multipliers = tuple(plain.panel.symbols[n] for n in order), plain.panel.multipliers[order]
    panel = replace(plain.panel, symbols=symbols, multipliers=multipliers, **bars)
    other = replace(plain, panel=panel, values=plain.values[:, order])
    built = [engine(f"env.action={action}", "algo.dropout=0.2", panel=one) for one in (plain, other)]
    for one in built:
        one.iterate()
    for ours, theirs in zip(built[0].online.parameters(), built[1].online.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", ["mlp", "gru", "attention"])
def test_a_model_that_sees_the_account_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match="model=shared"):
        engine(f"model={model}")


@pytest.mark.slow
def test_where_there_is_nothing_to_roll_out_runners_are_refused() -> None:
    for asked in ("compute=workers", "compute=cluster", "compute.runners=3"):
        with pytest.raises(ConfigError, match=f"cannot use {asked}: .*compute=local or compute=gpu"):
            engine(asked)
    with pytest.raises(ConfigError, match="compute=gpu learns in this process"):
        engine("compute=gpu", "compute.learners=2")


def test_a_gpu_that_is_not_there_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TrainingError, match="torch sees no GPU here; choose compute=local"):
        engine("compute=gpu")


def test_other_algorithms_take_the_shared_model_too() -> None:
    for action in ("weights", "allocation"):
        bench = worlds.bench(worlds.spec("algo=ppo", "model=shared", f"env.action={action}"))
        network: Network = build_network(bench.spec.model, bench.market.layout, bench.env.limits, action=action, seed=0)
        weights, _ = network.decide(torch.zeros(4, bench.market.layout.size))
        assert weights.shape == (4, 3)


@pytest.mark.parametrize(
    "overrides", [("env.action=weights",), ("env.action=tilt",), ("env.action=tilt", "env.window=2")]
)
def test_what_is_learned_in_is_what_is_judged(overrides: tuple[str, ...]) -> None:
    built = engine("algo.learning_rate=0.05", "algo.burn_in_bars=0", "algo.averaging=0", *overrides)
    for _ in range(3):
        built.iterate()
    bench, steps = built.bench, built.windows.steps
    firsts = torch.tensor([[30, 99]]).expand(3, 2)
    path = built.crew.pathwise.traded(built.online.stack(), Drawn(firsts, torch.ones(3, 2, dtype=torch.float64), ()))
    for m, member in enumerate(policy_of(built).members):
        for w, first in enumerate((30, 99)):
            played = simulate(bench.market, member.act, spec=bench.env, start=first, stop=first + steps + 1)
            np.testing.assert_allclose(path.equity[:, m, w].detach().numpy(), played.equity, rtol=1e-6)
            assert played.traded_value.sum() > 0


def test_an_untrained_tilt_is_its_anchor() -> None:
    built = engine("env.action=tilt")
    policy = policy_of(built)
    member = policy.members[0]
    last = member.network.actor.layers()[-1]
    assert not last.weight.any()
    built.iterate()
    rows = seen(built.bench.market)
    assert built.online(rows.flatten(0, 1)[None]).abs().max() > 0  # a gradient has reached it


@pytest.mark.parametrize("long_only", [True, False])
@pytest.mark.parametrize("assets", [1, 10, 100])
def test_an_untrained_ensembles_backtest_is_its_anchors(assets: int, long_only: bool) -> None:
    limits = ("env.anchor=inverse_volatility", "env.anchor_bars=20", f"asset.limits.long_only={long_only}")
    panel = worlds.features(bars=150, assets=assets)
    built = engine("env.action=tilt", "algo.members=6", *limits, panel=panel)
    market, env, policy = built.bench.market, built.bench.env, policy_of(built)
    anchor = simulate(market, Untilted(market, env).act, spec=env)
    assert anchor.traded_value.sum() > 0.0
    at_once = targets_of(policy, market, start=0, stop=market.length)
    for decide in (policy.act, at_once):
        played = simulate(market, decide, spec=env)
        np.testing.assert_allclose(played.equity, anchor.equity, rtol=1e-6)
        np.testing.assert_allclose(played.weights, anchor.weights, atol=1e-6)
