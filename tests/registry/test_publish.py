from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from tests.registry.trained import frame_until, put_on_paper, world
from wealtharena.agents.policy import EnsemblePolicy
from wealtharena.config import compose
from wealtharena.data.panel import Panel
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.prediction.answers import Prediction
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry.inference import PIECE
from wealtharena.registry.publish import _asset, record

pytestmark = pytest.mark.slow

CASES = [
    ("crypto", "mlp", "weights"),
    ("forex", "gru", "weights"),
    ("crypto", "lstm", "weights"),
    ("etf", "attention", "weights"),
    ("stocks", "mlp", "allocation"),
    ("crypto", "mlp", "tilt"),
    ("forex", "gru", "tilt"),
    ("commodities", "lstm", "tilt"),
    ("etf", "attention", "tilt"),
]


OnPaper = Callable[[str, str, str], ProductionModelManager]


@pytest.fixture(scope="module")
def on_paper(tmp_path_factory: pytest.TempPathFactory) -> OnPaper:
    """Return a function that publishes a world, once, and returns who answers from it."""

    @cache
    def publish(asset: str, model: str, action: str) -> ProductionModelManager:
        return put_on_paper(tmp_path_factory.mktemp("checkpoints"), world(asset, model, action))

    return publish


@pytest.mark.parametrize(("asset", "model", "action"), CASES)
def test_bars_give_the_weights_of_the_backtest_again(on_paper: OnPaper, asset: str, model: str, action: str) -> None:
    made = world(asset, model, action)
    manager = on_paper(asset, model, action)
    served = manager.load_agent_model(asset)
    layout, features = made.policy.layout, made.features
    history = served.metadata.min_history_bars
    start = history - 1
    stop = start + 4
    seen = []

    def decide(observation: np.ndarray) -> np.ndarray:
        seen.append(observation.copy())
        return made.policy.act(observation)

    made.policy.reset()
    market = Market.build(features, made.spec.env, made.policy.scaler)
    path = simulate(market, decide, spec=made.spec.env, start=start, stop=stop)
    made.policy.reset()
    assert np.abs(path.targets).max() > 0.01

    state = None
    for step, observation in enumerate(seen):
        held = observation[0, layout.weights.start :]
        from_bars = manager.get_model_prediction(
            asset, frame_until(features, start + step, history=history), portfolio=held, state=state
        )
        assert isinstance(from_bars, Prediction)
        assert not from_bars.flat_portfolio_assumed
        np.testing.assert_allclose(from_bars.weights, path.targets[step], atol=1e-6)
        seen_by_agent = manager.get_model_prediction(asset, observation[0], state=state)
        np.testing.assert_allclose(seen_by_agent.weights, path.targets[step], atol=2e-6)
        state = from_bars.state or None


def test_the_probe_is_of_the_market_and_of_torch(tmp_path: Path) -> None:
    made = world("crypto", "lstm", "weights")
    recorded = record(made.policy, made.features, made.spec.env, start=0, stop=made.features.bars, rows=5)
    assert recorded.features.shape == (5, len(made.policy.layout.symbols), 3, len(made.features.names))
    np.testing.assert_array_equal(recorded.features[-1, :, -1], made.features.values[made.features.bars - 2])
    assert np.abs(recorded.states["hidden"]).max() > 0
    limits = made.spec.env.limits
    assert recorded.weights.min() >= (0.0 if limits.long_only else -limits.max_weight)
    assert np.abs(recorded.weights).sum(axis=1).max() <= limits.max_gross + 1e-6


def test_networks_that_were_trained_as_one_are_served_with_their_spread(tmp_path: Path) -> None:
    one, other = world("crypto", "mlp", "weights"), world("crypto", "mlp", "weights", seed=8)
    made = replace(one, policy=EnsemblePolicy([one.policy, other.policy]))
    manager = put_on_paper(tmp_path, made)
    meta = manager.load_agent_model(made.spec.asset.agent).metadata
    history = meta.min_history_bars
    answer = manager.get_model_prediction(meta.agent, frame_until(made.features, history - 1, history=history))
    assert meta.members == ("0", "1")
    assert isinstance(answer, Prediction)
    assert answer.spread is not None
    assert answer.spread > 0


@pytest.mark.parametrize(("asset", "model"), [("crypto", "mlp"), ("forex", "gru"), ("etf", "attention")])
def test_a_large_batch_is_answered_as_its_rows_are(on_paper: OnPaper, asset: str, model: str) -> None:
    policy = on_paper(asset, model, "weights").load_agent_model(asset).policy
    rng = np.random.default_rng(0)
    rows = 2 * PIECE + 77
    features = rng.standard_normal((rows, *policy.feature_shape)).astype(np.float32)
    portfolio = rng.uniform(0, 0.1, (rows, policy.feature_shape[0] + 3)).astype(np.float32)
    states = {
        name: rng.standard_normal(state.shape).astype(np.float32) for name, state in policy.start_states(rows).items()
    }
    weights, following, _ = policy.act(features, portfolio, states)
    for n in (0, PIECE - 1, PIECE, 2 * PIECE, rows - 1):
        row = slice(n, n + 1)
        alone, after, _ = policy.act(
            features[row], portfolio[row], {name: state[row] for name, state in states.items()}
        )
        np.testing.assert_allclose(weights[row], alone, atol=1e-6)
        for name, state in after.items():
            np.testing.assert_allclose(following[name][row], state, atol=1e-6)


def test_a_version_keeps_the_money_that_tells_whose_sessions_a_symbol_has() -> None:
    spec = compose(["asset=stocks"])
    panel = SimpleNamespace(symbols=("AAPL", "BHP.AX", "SHEL.L"), quoted_in=("USD", "AUD", "GBP"))
    assert _asset(spec, cast("Panel", panel))["instrument"]["currencies"] == {"AAPL": "USD"}
    unknown = SimpleNamespace(symbols=panel.symbols, quoted_in=())
    assert _asset(spec, cast("Panel", unknown))["instrument"]["currencies"] == {}
    assert spec.asset.instrument.currencies == {}
