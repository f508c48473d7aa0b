"""Policies of every architecture over a simulated market, untrained but real: what publish, export and serving are for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from wealtharena.agents.networks import build_network
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy
from wealtharena.config import ExperimentSpec, compose
from wealtharena.data import load
from wealtharena.envs.anchors import beside
from wealtharena.envs.observation import ObservationLayout
from wealtharena.features import FeaturePanel, Scaler, compute
from wealtharena.prediction.manager import ProductionModelManager
from wealtharena.registry import ModelCheckpoint, promote
from wealtharena.registry.publish import publish

BARS = 640  # warm-up, the slowest indicator, and some to trade


@dataclass(frozen=True, eq=False)
class World:
    """A market, its features and a policy over it."""

    spec: ExperimentSpec
    features: FeaturePanel
    policy: NetworkPolicy | EnsemblePolicy

    @property
    def facts(self) -> dict[str, Any]:
        panel = self.features.panel
        data = {"source": panel.source, "simulated": panel.simulated, "fingerprint": panel.fingerprint}
        return {
            "data": data,
            "config_hash": "0123456789abcdef",
            "verdict": {"status": "unproven", "reasons": ["a test"], "evidence": {}},
            "metrics": {"test": {"sharpe": 0.1}},
        }


@cache
def world(
    asset: str = "crypto", model: str = "mlp", action: str = "weights", window: int = 3, *, seed: int = 7
) -> World:
    """Return a policy of the given architecture; it answers with weights of the size of a trained one's."""
    overrides = ["data=simulated", f"data.simulator.bars={BARS}", f"env.window={window}"]
    spec = compose([f"asset={asset}", *overrides, f"model.name={model}", f"env.action={action}"])
    panel = load(spec.asset, spec.data, seed=3)
    features = compute(panel, spec.features)
    scaler = Scaler.fit(features, clip=spec.features.clip)
    if spec.env.tilt is not None:
        scaler = beside(scaler)
    layout = ObservationLayout(panel.symbols, scaler.names, window, spec.env.tilt)
    network = build_network(spec.model, layout, action=action, limits=spec.env.limits, seed=seed, critic=False)
    last = [module for module in network.actor.modules() if hasattr(module, "weight")][-1]
    if action == "tilt":  # a fresh one answers with nothing at all
        last.weight.data.normal_(0.0, 0.05, generator=torch.Generator().manual_seed(7))
    last.weight.data.mul_(50.0)  # a fresh head answers with next to nothing
    policy = NetworkPolicy(network, spec.model, layout, action, spec.env.limits, scaler)
    return World(spec, features, policy)


def frame_until(features: FeaturePanel, row: int, *, history: int) -> pd.DataFrame:
    """Return the last `history` bars up to feature row `row` as a table in long form."""
    panel = features.panel
    rows = slice(row - history + 1, row + 1)
    parts = []
    for column, symbol in enumerate(panel.symbols):
        part = {"timestamp": panel.timestamps[rows], "symbol": symbol}
        for name in ("open", "high", "low", "close", "volume"):
            values = getattr(panel, name)
            if values is not None:
                part[name] = values[rows, column]
        parts.append(pd.DataFrame(part))
    return pd.concat(parts).sample(frac=1.0, random_state=np.random.RandomState(0))


def put_on_paper(root: Path, made: World) -> ProductionModelManager:
    """Publish a world's policy as `run-1`, put it on paper and return who answers from it."""
    store = ModelCheckpoint(root)
    bars = made.features.bars
    publish(
        store,
        made.policy,
        version="run-1",
        spec=made.spec,
        features=made.features,
        start=0,
        stop=bars,
        facts=made.facts,
    )
    promote(store, made.spec.asset.agent, "run-1")
    return ProductionModelManager(root)
