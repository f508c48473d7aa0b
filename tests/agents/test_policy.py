import json
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.networks import build_network
from wealtharena.agents.off_policy.soft_actor_critic import build_critics
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Policy, load_policy, save_policy
from wealtharena.agents.process import seeded
from wealtharena.errors import CheckpointError

MODELS = ("mlp", "gru", "lstm", "attention")


def policy(model: str, *overrides: str, seed: int = 1) -> NetworkPolicy:
    """Return a policy whose last layer is not small, so that it says something."""
    bench = worlds.bench(worlds.spec(f"model={model}", f"seed={seed}", *overrides))
    network = bench.network_factory()()
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    layout, limits = bench.market.layout, bench.env.limits
    return NetworkPolicy(network, bench.spec.model, layout, bench.action, limits, bench.scaler)


def rows(agent: NetworkPolicy, count: int = 4) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, agent.layout.size)).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("built", ["actor", "critics"])
def test_first_weights_are_drawn_by_one_thread_at_a_time(built: str) -> None:
    bench = worlds.bench(worlds.spec("algo=sac", "model=mlp"))

    def weights() -> torch.Tensor:
        made = bench.network_factory()() if built == "actor" else build_critics(bench, quantiles=1)
        return torch.cat([parameter.detach().flatten() for parameter in made.parameters()])

    alone = weights()
    with ThreadPoolExecutor(1) as pool:
        with seeded(99):
            beside = pool.submit(weights)
            assert wait([beside], timeout=0.5).not_done
        assert torch.equal(beside.result(timeout=60), alone)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["weights", "allocation", "tilt"])
def test_attention_answers_the_same_in_any_order_of_symbols(action: str) -> None:
    agent = policy("attention", f"env.action={action}")
    seen, order = rows(agent), [2, 0, 1]
    layout = agent.layout
    shuffled = seen.copy()
    features = seen[:, layout.features].reshape(len(seen), len(order), -1)
    shuffled[:, layout.features] = features[:, order].reshape(len(seen), -1)
    shuffled[:, layout.weights] = seen[:, layout.weights][:, order]
    other = agent.for_symbols([layout.symbols[i] for i in order])
    assert np.allclose(other.act(shuffled), agent.act(seen)[:, order], atol=1e-6)
    embedded = torch.from_numpy(seen), torch.from_numpy(shuffled)
    with torch.no_grad():
        assert torch.allclose(agent.network.value_of(embedded[0]), other.network.value_of(embedded[1]), atol=1e-5)


@pytest.mark.slow
def test_attention_serves_another_universe_and_an_mlp_refuses() -> None:
    wider = policy("attention").for_symbols(["A", "B", "C", "D", "E"])
    assert wider.act(rows(wider)).shape == (4, 5)
    with pytest.raises(CheckpointError, match="serves its own symbols in their own order only"):
        policy("mlp").for_symbols(["S1", "S0", "S2"])


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_what_is_saved_is_what_is_loaded_and_nothing_pickled(model: str, tmp_path: Path) -> None:
    agent = policy(model)
    save_policy(tmp_path, agent)
    again = load_policy(tmp_path)
    assert again.layout == agent.layout
    assert again.limits == agent.limits
    assert again.model == agent.model
    for _ in range(3):  # memory moves on alike
        assert np.array_equal(agent.act(rows(agent)), again.act(rows(agent)))
    content = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in content.values())


@pytest.mark.parametrize("model", ["gru", "lstm"])
def test_memory_matters_and_a_reset_wipes_it(model: str) -> None:
    agent = policy(model)
    seen = rows(agent)
    first, second = agent.act(seen), agent.act(seen)
    assert not np.allclose(first, second)
    agent.reset(len(seen))
    assert np.array_equal(agent.act(seen), first)


@pytest.mark.parametrize("model", MODELS)
def test_the_core_gives_the_policy_s_weights_and_the_next_states(model: str) -> None:
    agent = policy(model)
    seen = rows(agent)
    states = tuple(torch.zeros(len(seen), *shape) for shape in agent.state_shapes.values())
    with torch.no_grad():
        weights, *following = agent.core(torch.from_numpy(seen), *states)
        again, *_ = agent.core(torch.from_numpy(seen), *following)
    assert np.allclose(weights.numpy(), agent.act(seen), atol=1e-7)
    assert np.allclose(again.numpy(), agent.act(seen), atol=1e-7)
    assert [tuple(state.shape[1:]) for state in following] == list(agent.state_shapes.values())


def test_a_long_only_allocation_has_no_shorts() -> None:
    both = policy("mlp", "env.action=allocation")
    long_only = policy("mlp", "env.action=allocation", "asset.limits.long_only=true")
    assert both.network.head.outputs == 7
    assert long_only.network.head.outputs == 4
    assert (long_only.act(rows(long_only, 200)) >= 0).all()
    assert (both.act(rows(both, 200)) < 0).any()


def test_an_ensemble_is_the_mean_and_knows_its_spread() -> None:
    members = [policy("mlp", seed=seed) for seed in (1, 2, 3)]
    together = EnsemblePolicy(members)
    seen = rows(members[0])
    answers = np.stack([member.act(seen) for member in members])
    assert np.allclose(together.act(seen), answers.mean(axis=0))
    np.testing.assert_allclose(together.spreads, [answers.std(axis=0).sum(axis=1)])
    together.reset()
    assert together.spreads == []
    assert isinstance(together, Policy)
    with pytest.raises(CheckpointError, match="at least one policy"):
        EnsemblePolicy([])


@pytest.mark.parametrize("kinds", [("mlp", "mlp"), ("lstm", "mlp", "gru")])
def test_an_ensemble_is_saved_and_exported_as_what_it_is(kinds: tuple[str, ...], tmp_path: Path) -> None:
    together = EnsemblePolicy([policy(kind, seed=seed) for seed, kind in enumerate(kinds)])
    save_policy(tmp_path, together)
    again = load_policy(tmp_path)
    assert isinstance(again, EnsemblePolicy)
    assert again.name == "ensemble"
    assert [member.model.name for member in again.members] == list(kinds)
    seen = rows(together.members[0])
    together.reset(len(seen))
    again.reset(len(seen))
    states = together.initial_states(len(seen))
    assert [tuple(state.shape[1:]) for state in states] == [
        together.state_shapes[k] for k in sorted(together.state_shapes)
    ]
    for _ in range(2):
        weights = together.act(seen)
        assert np.array_equal(again.act(seen), weights)
        with torch.no_grad():
            traced, spread, *states = together.core(torch.from_numpy(seen), *states)
        np.testing.assert_allclose(traced.numpy(), weights, atol=1e-6)
        np.testing.assert_allclose(spread.numpy(), together.spreads[-1], atol=1e-6)


@pytest.mark.parametrize(
    ("other", "named"), [("asset.limits.max_weight=0.11", "limits"), ("env.window=2", r"env\.window")]
)
def test_members_with_other_eyes_or_limits_make_no_ensemble(other: str, named: str) -> None:
    with pytest.raises(CheckpointError, match=f"alike: they differ in {named};"):
        EnsemblePolicy([policy("mlp"), policy("mlp", other)])


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "format"])
def test_a_damaged_checkpoint_names_its_file(damage: str, tmp_path: Path) -> None:
    agent = policy("mlp")
    save_policy(tmp_path, agent)
    weights = tmp_path / "weights.pt"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "foreign":
        torch.save({"something": torch.zeros(1)}, weights)
    else:
        text = (tmp_path / "policy.json").read_text()
        (tmp_path / "policy.json").write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_policy(tmp_path)


def test_a_policy_whose_anchor_s_package_is_not_installed_says_what_to_install(tmp_path: Path) -> None:
    save_policy(tmp_path, policy("mlp"))
    record = json.loads((tmp_path / "policy.json").read_text())
    record["layout"]["tilt"] = {"anchor": {"name": "elsewhere"}}
    (tmp_path / "policy.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match="the anchor 'elsewhere', which is not here") as caught:
        load_policy(tmp_path)
    assert "install the package" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("policy.json", "[]"),
        ("policy.json", "[" * 100_000),
        ("policy.json", '{"format": 1, "layout": []}'),
        ("policy.json", '{"format": 1, "layout": {"symbols": "AB", "feature_names": [], "window": 1}, "members": []}'),
        ("scaler.json", "[]"),
        ("scaler.json", "{}"),
        ("scaler.json", '{"mean": {}, "std": [], "names": [], "clip": 1}'),
        ("weights.pt", None),
    ],
)
def test_a_file_of_another_shape_is_a_damaged_checkpoint(name: str, content: str | None, tmp_path: Path) -> None:
    save_policy(tmp_path, policy("mlp"))
    (tmp_path / name).write_text(content) if content else torch.save([1, 2], tmp_path / name)
    with pytest.raises(CheckpointError, match=str(tmp_path)):
        load_policy(tmp_path)


def test_building_a_network_leaves_torch_s_own_randomness_alone() -> None:
    agent = policy("mlp")
    before = torch.random.get_rng_state()
    first = build_network(agent.model, agent.layout, agent.limits, action="weights", seed=7)
    second = build_network(agent.model, agent.layout, agent.limits, action="weights", seed=7)
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert replace(agent, name="other").name == "other"
