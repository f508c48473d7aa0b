"""policy.onnx is the policy: every model, every kind of action, one network and several that act as their mean."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks import build_network
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Trained
from wealtharena.config.specs.asset import LimitSpec
from wealtharena.registry.export import export_onnx
from wealtharena.registry.inference import SPREAD, STATE_IN, STATE_OUT, TOLERANCE
from wealtharena.registry.onnx_format import check_onnx
from wealtharena.registry.publish import export_shape, served

pytestmark = pytest.mark.slow

MODELS = ("mlp", "gru", "lstm", "attention", "shared")
ACTIONS = ("weights", "tilt", "allocation")
ROWS = 5


@cache
def bench(model: str, action: str) -> Workbench:
    return worlds.bench(worlds.spec(f"model={model}", f"env.action={action}", "env.window=2"))


def policy(model: str, action: str, members: int) -> Trained:
    """Return networks that say something and do not agree."""
    made = bench(model, action)
    layout, limits = made.market.layout, made.env.limits
    networks = [
        build_network(made.spec.model, layout, limits, action=action, seed=seed, critic=False)
        for seed in range(members)
    ]
    for seed, network in enumerate(networks):
        generator = torch.Generator().manual_seed(seed)
        for parameter in network.parameters():
            parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    alone = [NetworkPolicy(network, made.spec.model, layout, action, limits, made.scaler) for network in networks]
    return alone[0] if members == 1 else EnsemblePolicy(alone)


def raw_features(made: Workbench) -> npt.NDArray[np.float32]:
    rng, layout = np.random.default_rng(0), made.market.layout
    shape = (ROWS, len(layout.symbols), layout.window, len(layout.feature_names))
    features = rng.standard_normal(shape).astype(np.float32)
    features[0, 0, 0, 0] = np.nan
    if layout.tilt is not None:
        features[..., -2:] = rng.uniform(0.01, 0.3, (*shape[:3], 2))  # what the anchor holds, and sigma
        features[1, 0, :, -1] = 0.0  # does not trade
    return features


def projected(weights: npt.NDArray[np.float64], limits: LimitSpec) -> npt.NDArray[np.float64]:
    clipped = np.clip(weights, 0.0 if limits.long_only else -limits.max_weight, limits.max_weight)
    gross = np.abs(clipped).sum(axis=-1, keepdims=True)
    return clipped * (limits.max_gross / np.maximum(gross, limits.max_gross))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("model", MODELS)
def test_the_graph_answers_as_the_policy_does(model: str, action: str, members: int) -> None:
    made, agent = bench(model, action), policy(model, action, members)
    content = export_onnx(served(agent), export_shape(agent))
    check_onnx(content, where="policy.onnx")
    session = onnxruntime.InferenceSession(content)
    rng = np.random.default_rng(1)
    features = raw_features(made)
    portfolio = rng.uniform(-0.3, 0.3, (ROWS, len(made.market.symbols) + 3)).astype(np.float32)
    observation = np.concatenate([made.scaler.transform(features).reshape(ROWS, -1), portfolio], axis=1)
    agent.reset(ROWS)
    states = {STATE_IN + name: np.zeros((ROWS, *shape), np.float32) for name, shape in agent.state_shapes.items()}
    outputs = [one.name for one in session.get_outputs()]
    for _ in range(3):  # what is carried goes on from bar to bar
        found = dict(
            zip(outputs, session.run(None, {"features": features, "portfolio": portfolio, **states}), strict=True)
        )
        wanted = projected(agent.act(observation), made.env.limits)
        assert np.abs(wanted).max() > 0.01
        np.testing.assert_allclose(found["weights"], wanted, atol=TOLERANCE)
        if isinstance(agent, EnsemblePolicy):
            assert agent.spreads[-1].max() > 1e-3
            np.testing.assert_allclose(found[SPREAD], agent.spreads[-1], atol=TOLERANCE)
        states = {name: found[STATE_OUT + name.removeprefix(STATE_IN)] for name in states}


@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_members_that_see_features_only_are_one_product_in_the_graph(action: str) -> None:
    """Traced one after another, eight of them took a third of a default run."""
    products = []
    for members in (1, 8):
        agent = policy("shared", action, members)
        nodes = onnx.load_from_string(export_onnx(served(agent), export_shape(agent))).graph.node
        products.append(sum(node.op_type in ("MatMul", "Gemm") for node in nodes))
    assert products[0] == products[1] > 1
