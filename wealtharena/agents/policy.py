"""Policies: what trades. A network with its scaler and layout, or the mean of several; saved as plain tensors and JSON.

A policy sees an observation as the environment lays it out (features already scaled) and answers with target weights,
always the mode of its distribution. Projection onto the limits is the market's business, not the policy's.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from wealtharena.config.specs.agent import ModelSpec
from wealtharena.config.specs.asset import LimitSpec
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import CheckpointError
from wealtharena.features.panel import Scaler
from wealtharena.files import write_bytes, write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from wealtharena.agents.networks import Network

WEIGHTS_FILE = "weights.pt"
POLICY_FILE = "policy.json"
SCALER_FILE = "scaler.json"
FORMAT = 1


@runtime_checkable
class Policy(Protocol):
    """Anything that turns observations into target weights."""

    @property
    def name(self) -> str: ...

    def reset(self, batch: int = 1) -> None:
        """Forget what was seen; the next observation is the first of `batch` paths."""

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return target weights [N, A] for observations [N, D]."""


@dataclass(eq=False)
class NetworkPolicy:
    """A trained network as a policy: deterministic, in evaluation mode, with its memory where it has one."""

    network: Network
    model: ModelSpec
    layout: ObservationLayout
    action: str
    limits: LimitSpec
    scaler: Scaler
    name: str = "agent"

    def __post_init__(self) -> None:
        self.network.eval()
        self.reset()

    def reset(self, batch: int = 1) -> None:
        """Forget what was seen."""
        self._states: tuple[Tensor, ...] = self.network.initial_states(batch)

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the mode as weights [N, A] for observations [N, D]; memory moves on by one bar."""
        import torch

        if self._states and self._states[0].shape[0] != observation.shape[0]:
            self.reset(observation.shape[0])
        with torch.inference_mode():
            rows = torch.from_numpy(np.ascontiguousarray(observation, dtype=np.float32))
            embedding, self._states = self.network.step(rows, self._states)
            weights = self.network.mode(self.network.parameters_of(embedding))
            answer: npt.NDArray[np.float64] = weights.to(torch.float64).numpy()
        return answer

    @property
    def core(self) -> torch.nn.Module:
        """The decision as a plain module: `core(observation [N, D], *states)` -> `(weights [N, A], *next states)`."""
        from wealtharena.agents.core import PolicyCore

        return PolicyCore(self.network)

    @property
    def state_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes (without the batch) of what `core` carries, in name order; empty without memory."""
        return dict(sorted(self.network.state_shapes.items()))

    def for_symbols(self, symbols: Sequence[str]) -> NetworkPolicy:
        """Return this policy over the same symbols in another order, or over others where the model treats symbols alike.

        CheckpointError where the model was built for its own symbols only (mlp, gru, lstm).
        """
        wanted = tuple(symbols)
        if wanted == self.layout.symbols:
            return self
        if self.model.name != "attention":
            raise CheckpointError(
                f"a {self.model.name} policy serves its own symbols in their own order only",
                hint=f"order the columns as {', '.join(self.layout.symbols)}, or train with model=attention",
            )
        layout = replace(self.layout, symbols=wanted)
        return replace(
            self,
            layout=layout,
            network=_rebuilt(self.network.state_dict(), self.model, layout, self.limits, self.action),
        )


def _rebuilt(
    state: Mapping[str, Any], model: ModelSpec, layout: ObservationLayout, limits: LimitSpec, action: str
) -> Network:
    from wealtharena.agents.networks import build_network

    critic = any(name.startswith("critic.") for name in state)
    network = build_network(model, layout, limits, action=action, seed=0, critic=critic)
    network.load_state_dict(dict(state))
    return network


@dataclass(eq=False)
class EnsemblePolicy:
    """Several policies as one: the mean of their weights; `spread` is their last disagreement."""

    policies: Sequence[Policy]
    name: str = "ensemble"
    spread: float = float("nan")

    def __post_init__(self) -> None:
        if not self.policies:
            raise CheckpointError("an ensemble needs at least one policy", hint="name a checkpoint")

    def reset(self, batch: int = 1) -> None:
        """Forget what was seen, in every member."""
        for policy in self.policies:
            policy.reset(batch)

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the mean of the members' weights [N, A].

        `spread` becomes the mean over rows of the L1 norm of the members' standard deviation, in weight.
        """
        answers = np.stack([policy.act(observation) for policy in self.policies])
        self.spread = float(answers.std(axis=0).sum(axis=-1).mean())
        mean: npt.NDArray[np.float64] = answers.mean(axis=0)
        return mean


def save_policy(folder: Path, policy: NetworkPolicy) -> None:
    """Write weights.pt (plain tensors), policy.json and scaler.json into `folder`, each whole or not at all."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # a file's name would become part of its bytes
    torch.save({name: value.detach().cpu().clone() for name, value in policy.network.state_dict().items()}, content)
    write_bytes(folder / WEIGHTS_FILE, content.getvalue())
    write_json(folder / SCALER_FILE, policy.scaler.to_dict())
    write_json(
        folder / POLICY_FILE,
        {
            "format": FORMAT,
            "name": policy.name,
            "model": policy.model.model_dump(mode="json"),
            "action": policy.action,
            "limits": policy.limits.model_dump(mode="json"),
            "layout": {
                "symbols": list(policy.layout.symbols),
                "feature_names": list(policy.layout.feature_names),
                "window": policy.layout.window,
            },
        },
    )


def load_policy(folder: Path) -> NetworkPolicy:
    """Return the policy that `save_policy` wrote; loads no pickle.

    CheckpointError names the file that is missing, damaged or of another format.
    """
    import torch

    record = _read(folder / POLICY_FILE)
    scaler = Scaler.from_dict(_read(folder / SCALER_FILE))
    if record.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / POLICY_FILE}: format {record.get('format')} is not {FORMAT}", hint="train again"
        )
    try:
        state = torch.load(folder / WEIGHTS_FILE, weights_only=True, map_location="cpu")
        layout = ObservationLayout(
            symbols=tuple(record["layout"]["symbols"]),
            feature_names=tuple(record["layout"]["feature_names"]),
            window=int(record["layout"]["window"]),
        )
        model = ModelSpec.model_validate(record["model"])
        limits = LimitSpec.model_validate(record["limits"])
        network = _rebuilt(state, model, layout, limits, record["action"])
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE}: missing", hint="the checkpoint is incomplete; train again"
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError) as error:
        cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{folder}: the policy cannot be loaded: {cause}", hint="restore or train it again"
        ) from error
    return NetworkPolicy(network, model, layout, str(record["action"]), limits, scaler, name=str(record["name"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: missing", hint="name a checkpoint folder that holds policy.json") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: unreadable: {error}", hint="restore or train the checkpoint again") from error
    return content
