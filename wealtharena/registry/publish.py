"""From a trained policy to a checkpoint on the shelf: export, probe, proof, folder. Only training imports this file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor, nn

from wealtharena.agents.policy import EnsemblePolicy, Trained, save_policy
from wealtharena.config.specs.asset import LimitSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.tilt import anchor_code
from wealtharena.data.panel import Panel
from wealtharena.data.quality import calendar_of
from wealtharena.envs import anchors
from wealtharena.envs.anchors import anchored
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ObservationLayout
from wealtharena.envs.simulate import simulate
from wealtharena.errors import CheckpointError
from wealtharena.features import min_history_bars
from wealtharena.features.panel import FeaturePanel
from wealtharena.files import temporary_folder
from wealtharena.registry import history
from wealtharena.registry.checkpoints import ModelCheckpoint
from wealtharena.registry.export import ExportShape, ServedPolicy, export_onnx
from wealtharena.registry.probe import Probe

RECORDED = 16
_LEAD_IN = 64  # bars traded before the recorded ones, so that portfolio and memory are not those of a first day


class ProjectedCore(nn.Module):
    """A policy's core and the market's projection onto its limits, as `envs.kernel.project` does it."""

    def __init__(self, core: nn.Module, limits: LimitSpec) -> None:
        super().__init__()
        self.core = core
        self.high = float(limits.max_weight)
        self.low = 0.0 if limits.long_only else -self.high
        self.gross = float(limits.max_gross)

    def forward(self, observation: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return projected weights [N, A] and the next states for observations [N, D]."""
        weights, *following = self.core(observation, *states)
        clipped = torch.clamp(weights, self.low, self.high)
        gross = clipped.abs().sum(dim=-1, keepdim=True)
        return (clipped * (self.gross / torch.clamp(gross, min=self.gross)), *following)


def publish(
    store: ModelCheckpoint,
    policy: Trained,
    *,
    version: str,
    spec: ExperimentSpec,
    features: FeaturePanel,
    start: int,
    stop: int,
    facts: Mapping[str, Any],
    config: str | None = None,
) -> Path:
    """Save a trained policy as the checkpoint `<agent>/<version>` and return its folder.

    The last decisions of bars [start, stop) are recorded as the proof that policy.onnx is the policy, so those rows
    must be ones that may be looked at (validation, or a test window already opened). `facts` is the run's record
    (run.json's keys: data, metrics, baselines, comparison, verdict, config_hash, git_sha, seed, ... and, if at hand,
    `track_record{dates[], equity{name: []}}`); `config` is config.yaml, by default the typed spec.
    """
    if policy.layout.tilt is not None:
        features = anchored(features, policy.layout.tilt)
    env = spec.env.model_copy(update={"action": policy.action})
    probe = record(policy, features, env, start=start, stop=stop)
    shape = export_shape(policy)
    with temporary_folder("publish") as folder:
        save_policy(folder, policy)
        return store.save_checkpoint(
            spec.asset.agent,
            version,
            policy_folder=folder,
            onnx=export_onnx(served(policy), shape),
            probe=probe,
            metadata={
                "algo": spec.algo.name,
                "members": _members(policy),
                **_facts(facts),
                **_description(policy, spec, features, stop),
            },
            config=config if config is not None else yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        )


def _members(policy: Trained) -> list[str]:
    """Return the numbers of the networks that were trained together as one ensemble; `facts` name versions instead."""
    return [str(i) for i in range(len(policy.members))] if isinstance(policy, EnsemblePolicy) else []


def export_shape(policy: Trained) -> ExportShape:
    """Return the sizes of a policy's inputs."""
    layout = policy.layout
    return ExportShape(
        len(layout.symbols),
        layout.window,
        len(layout.feature_names),
        policy.state_shapes,
        spread=isinstance(policy, EnsemblePolicy),
    )


def served(policy: Trained) -> ServedPolicy:
    """Return the whole decision of a policy as one module: scaling, network, mode, projection."""
    scaler = policy.scaler
    core = ProjectedCore(policy.core, policy.limits)
    return ServedPolicy(core, export_shape(policy), mean=scaler.mean, std=scaler.std, clip=scaler.clip)


def record(
    policy: Trained, features: FeaturePanel, env: EnvSpec, *, start: int, stop: int, rows: int = RECORDED
) -> Probe:
    """Return the policy's last `rows` decisions of bars [start, stop), traded through the market's own kernel.

    The observation is the environment's and the answer torch's: neither saw policy.onnx or its scaling.
    """
    market = Market.build(features, env, policy.scaler)
    first = max(start, policy.layout.window - 1, stop - 1 - rows - _LEAD_IN)
    if stop - 1 <= first:
        raise CheckpointError(f"bars {start} to {stop} are too few to record a decision", hint="record a longer window")
    seen: list[npt.NDArray[np.float32]] = []
    policy.reset()

    def decide(observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        seen.append(observation.copy())
        return policy.act(observation)

    simulate(market, decide, spec=env, start=first, stop=stop)
    policy.reset()
    weights, states = _answers(policy, seen)
    kept = range(max(0, len(seen) - rows), len(seen))
    windows = np.stack([_window(features, first + i, policy.layout.window) for i in kept])
    portfolio = np.concatenate([seen[i][:, policy.layout.weights.start :] for i in kept])
    chosen = {name: np.concatenate([states[i][k] for i in kept]) for k, name in enumerate(policy.state_shapes)}
    return Probe(
        features=windows, portfolio=portfolio, weights=np.concatenate([weights[i] for i in kept]), states=chosen
    )


def _answers(
    policy: Trained, seen: list[npt.NDArray[np.float32]]
) -> tuple[list[npt.NDArray[np.float32]], list[tuple[npt.NDArray[np.float32], ...]]]:
    """Return the projected weights [1, A] at every observation, and the states before it."""
    core = ProjectedCore(policy.core, policy.limits).eval()
    states = policy.initial_states(1)
    weights, before = [], []
    with torch.inference_mode():
        for observation in seen:
            before.append(tuple(state.numpy().copy() for state in states))
            answer, *following = core(torch.from_numpy(observation), *states)
            states = tuple(following[len(following) - len(states) :])
            weights.append(answer.numpy().astype(np.float32))
    return weights, before


def _window(features: FeaturePanel, row: int, window: int) -> npt.NDArray[np.float32]:
    """Return the raw features at the close of bar `row`, [A, window, F], oldest bar first."""
    return np.ascontiguousarray(features.values[row - window + 1 : row + 1].transpose(1, 0, 2))


def _facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = (
        "data",
        "split",
        "metrics",
        "baselines",
        "comparison",
        "verdict",
        "config_hash",
        "git_sha",
        "seed",
        "algo",
        "track_record",
        "training",
        "challenge",
        "retrains",
        "members",
    )
    return {key: facts[key] for key in kept if facts.get(key) is not None}


def history_bars(layout: ObservationLayout) -> int:
    """Return how many bars a caller must send for the same observation as a history of any length gives."""
    anchor = anchors.history_bars(layout.tilt) if layout.tilt is not None else 1
    return max(min_history_bars(layout.signals), anchor) + layout.window - 1


def _description(policy: Trained, spec: ExperimentSpec, features: FeaturePanel, stop: int) -> dict[str, Any]:
    layout, panel = policy.layout, features.panel
    return {
        "created_at": history.now(),
        "asset": spec.asset.name,
        "symbols": list(layout.symbols),
        "feature_names": list(layout.feature_names),
        "window": layout.window,
        "action": policy.action,
        "observation_shape": [layout.size],
        "action_shape": [len(layout.symbols)],
        "states": {name: list(shape) for name, shape in policy.state_shapes.items()},
        "min_history_bars": history_bars(layout),
        "frequency": panel.frequency,
        "simulated": panel.simulated,
        "recipe": {
            "asset": _asset(spec, panel),
            "features": spec.features.model_dump(mode="json"),
            "data": spec.data.model_dump(mode="json", include={"quality", "max_repaired_share"}),
            "env": spec.env.model_dump(mode="json"),
            **({"tilt": layout.tilt.model_dump(mode="json")} if layout.tilt is not None else {}),
            **({"anchor_code": code} if (code := anchor_code(layout.tilt)) else {}),
        },
        "recorded_at": str(panel.timestamps[stop - 2].astype("datetime64[s]")),
    }


def _asset(spec: ExperimentSpec, panel: Panel) -> dict[str, Any]:
    """Return what is traded, with the currency of each symbol whose sessions that alone tells: a US share among Australian ones."""
    asset = spec.asset
    told = zip(panel.symbols, panel.quoted_in, strict=False)
    by_money = {
        name: money for name, money in told if calendar_of(name, asset, currency=money) != calendar_of(name, asset)
    }
    dumped = asset.model_dump(mode="json")
    dumped["instrument"]["currencies"] |= by_money
    return dumped
