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
from wealtharena.config.specs.tilt import TiltSpec, anchor_code, require_anchor
from wealtharena.envs.actions import array_of
from wealtharena.envs.observation import ObservationLayout
from wealtharena.errors import CheckpointError, MarketError
from wealtharena.features.panel import Scaler
from wealtharena.files import write_bytes, write_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from wealtharena.agents.networks import Network
    from wealtharena.agents.networks.members import Members

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

        rows = _rows_of(observation, self.layout)
        if self._states and self._states[0].shape[0] != len(rows):
            self.reset(len(rows))
        with torch.inference_mode():
            weights, self._states = self.network.decide(torch.from_numpy(rows), self._states)
            answer: npt.NDArray[np.float64] = weights.to(torch.float64).numpy()
        return answer

    @property
    def core(self) -> torch.nn.Module:
        """The decision as a plain module: `core(observation [N, D], *states)` -> `(weights [N, A], *next states)`."""
        from wealtharena.agents.networks.core import PolicyCore

        return PolicyCore(self.network)

    @property
    def state_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes (without the batch) of what `core` carries, in name order; empty without memory."""
        return dict(sorted(self.network.state_shapes.items()))

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Return what `core` starts with, in the order of `state_shapes`."""
        return self.network.initial_states(batch)

    def for_symbols(self, symbols: Sequence[str]) -> NetworkPolicy:
        """Return this policy over the same symbols in another order, or over others where the model treats symbols alike.

        CheckpointError where the model was built for its own symbols only (mlp, gru, lstm).
        """
        wanted = tuple(symbols)
        if wanted == self.layout.symbols:
            return self
        if self.model.name not in ("attention", "shared"):
            raise CheckpointError(
                f"a {self.model.name} policy serves its own symbols in their own order only",
                hint=f"order the columns as {', '.join(self.layout.symbols)}, or train with model=shared",
            )
        layout = replace(self.layout, symbols=wanted)
        return replace(
            self,
            layout=layout,
            network=_rebuilt(self.network.state_dict(), self.model, layout, self.limits, self.action),
        )


def _rows_of(observation: npt.NDArray[np.float32], layout: ObservationLayout) -> npt.NDArray[np.float32]:
    """Return observations as float32 [N, D], C-contiguous; MarketError where they are laid out for another policy."""
    rows = np.ascontiguousarray(array_of(observation, "observations", np.float32))
    if rows.ndim != 2 or rows.shape[1] != layout.size:
        one = rows.shape == (layout.size,)
        raise MarketError(
            f"observations have shape {np.shape(observation)}, expected (N, {layout.size})",
            hint="pass a row for each: observation[None]" if one else "pass what its own environment shows",
        )
    return rows


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
    """Several networks as one policy: the mean of their weights, and how far they were apart."""

    members: Sequence[NetworkPolicy]
    name: str = "ensemble"

    def __post_init__(self) -> None:
        if not self.members:
            raise CheckpointError("an ensemble needs at least one policy", hint="name a checkpoint")
        for other in self.members[1:]:
            if differing := _unlike(self.members[0], other):
                raise CheckpointError(
                    f"the checkpoints of an ensemble do not see the market alike: they differ in {', '.join(differing)}",
                    hint="take checkpoints trained on the same symbols, features, limits and training window",
                )
        self._joined = _joined(self.members)
        self.reset()

    def reset(self, batch: int = 1) -> None:
        """Forget what was seen, in every member."""
        self.spreads: list[npt.NDArray[np.float64]] = []
        for member in self.members:
            member.reset(batch)

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the mean of the members' weights [N, A].

        `spreads` gets [N] more: the L1 norm of the members' standard deviation, in weight.
        """
        answers = self._answers(observation)
        self.spreads.append(answers.std(axis=0).sum(axis=-1))
        mean: npt.NDArray[np.float64] = answers.mean(axis=0)
        return mean

    def _answers(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return every member's weights [M, N, A]."""
        if self._joined is None:
            return np.stack([member.act(observation) for member in self.members])
        import torch

        with torch.inference_mode():
            rows = torch.from_numpy(_rows_of(observation, self.layout))
            answers: npt.NDArray[np.float64] = self._joined.decide(rows).to(torch.float64).numpy()
        return answers

    @property
    def layout(self) -> ObservationLayout:
        return self.members[0].layout

    @property
    def action(self) -> str:
        return self.members[0].action

    @property
    def limits(self) -> LimitSpec:
        return self.members[0].limits

    @property
    def scaler(self) -> Scaler:
        return self.members[0].scaler

    @property
    def core(self) -> torch.nn.Module:
        """`core(observation [N, D], *states)` -> `(weights [N, A], spread [N], *next states)`."""
        from wealtharena.agents.networks.core import EnsembleCore, JoinedCore

        if self._joined is not None:
            return JoinedCore(self._joined)
        return EnsembleCore([one.core for one in self.members], [len(one.state_shapes) for one in self.members])

    @property
    def state_shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes (without the batch) of what the members carry, in member and then name order."""
        digits = len(str(len(self.members) - 1))
        return {
            f"m{i:0{digits}d}_{name}": shape
            for i, member in enumerate(self.members)
            for name, shape in member.state_shapes.items()
        }

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Return what `core` starts with, in the order of `state_shapes`."""
        return tuple(state for member in self.members for state in member.initial_states(batch))


Trained = NetworkPolicy | EnsemblePolicy


def see_alike(one: Trained, other: Trained) -> bool:
    """Return whether two policies are shown the same market and trade it alike, so that one can be played on what the other sees."""
    return (one.layout, one.limits, one.action) == (other.layout, other.limits, other.action)


def _joined(members: Sequence[NetworkPolicy]) -> Members | None:
    """Return the members' networks as one that answers for all in one go, None where they cannot be joined."""
    first = members[0]
    alike = all(member.model == first.model and member.action == first.action for member in members)
    if len(members) == 1 or not alike or first.model.name != "shared" or first.network.head.discrete:
        return None
    from wealtharena.agents.networks.members import Members

    return Members([member.network for member in members], first.model.activation)


def _unlike(one: NetworkPolicy, other: NetworkPolicy) -> list[str]:
    """Return what keeps two policies from reading the same observation and answering within the same limits, in words."""
    ours, theirs = (
        {
            "symbols": policy.layout.symbols,
            "features": policy.layout.feature_names,
            "env.window": policy.layout.window,
            "the tilt": policy.layout.tilt,
            "limits": policy.limits,
        }
        for policy in (one, other)
    )
    if differing := [name for name, value in ours.items() if value != theirs[name]]:
        return differing
    same_scale = (
        one.scaler.clip == other.scaler.clip
        and np.allclose(one.scaler.mean, other.scaler.mean)
        and np.allclose(one.scaler.std, other.scaler.std)
    )
    return [] if same_scale else ["how features are scaled, by their training windows"]


def save_policy(folder: Path, policy: Trained) -> None:
    """Write weights.pt (plain tensors), policy.json and scaler.json into `folder`, each whole or not at all.

    An ensemble's tensors carry their member's number before their name, `0.actor...`.
    """
    import torch

    members = policy.members if isinstance(policy, EnsemblePolicy) else (policy,)
    prefixes = [f"{i}." for i in range(len(members))] if isinstance(policy, EnsemblePolicy) else [""]
    tensors = {
        prefix + name: value.detach().cpu().clone()
        for prefix, member in zip(prefixes, members, strict=True)
        for name, value in member.network.state_dict().items()
    }
    content = io.BytesIO()  # a file's name would become part of its bytes
    torch.save(tensors, content)
    write_bytes(folder / WEIGHTS_FILE, content.getvalue())
    write_json(folder / SCALER_FILE, policy.scaler.to_dict())
    described = [
        {
            "name": member.name,
            "model": member.model.model_dump(mode="json"),
            "action": member.action,
            "limits": member.limits.model_dump(mode="json"),
        }
        for member in members
    ]
    layout = {
        "symbols": list(policy.layout.symbols),
        "feature_names": list(policy.layout.feature_names),
        "window": policy.layout.window,
        **({"tilt": policy.layout.tilt.model_dump(mode="json")} if policy.layout.tilt else {}),
        **({"anchor_code": code} if (code := anchor_code(policy.layout.tilt)) else {}),
    }
    single = described[0] if isinstance(policy, NetworkPolicy) else {"name": policy.name, "members": described}
    write_json(folder / POLICY_FILE, {"format": FORMAT, **single, "layout": layout})


def load_policy(folder: Path) -> Trained:
    """Return the policy that `save_policy` wrote; loads no pickle.

    CheckpointError names the file that is missing, damaged or of another format.
    """
    import torch

    record, scaling = _read(folder / POLICY_FILE), _read(folder / SCALER_FILE)
    if record.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / POLICY_FILE}: format {record.get('format')} is not {FORMAT}", hint="train again"
        )
    try:
        require_anchor(record["layout"].get("tilt"), record["layout"].get("anchor_code"), where=str(folder))
        scaler = Scaler.from_dict(scaling)
        state = torch.load(folder / WEIGHTS_FILE, weights_only=True, map_location="cpu")
        layout = ObservationLayout(
            symbols=tuple(record["layout"]["symbols"]),
            feature_names=tuple(record["layout"]["feature_names"]),
            window=int(record["layout"]["window"]),
            tilt=TiltSpec.model_validate(record["layout"]["tilt"]) if "tilt" in record["layout"] else None,
        )
        if "members" not in record:
            return _member(record, state, layout, scaler)
        parts = [
            {name.removeprefix(f"{i}."): value for name, value in state.items() if name.startswith(f"{i}.")}
            for i in range(len(record["members"]))
        ]
        members = [_member(one, part, layout, scaler) for one, part in zip(record["members"], parts, strict=True)]
        return EnsemblePolicy(members, name=str(record["name"]))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder / WEIGHTS_FILE}: missing", hint="the checkpoint is incomplete; train again"
        ) from error
    except (
        OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, UnpicklingError,
    ) as error:  # fmt: skip
        cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{folder}: the policy cannot be loaded: {cause}", hint="restore or train it again"
        ) from error


def _member(
    record: Mapping[str, Any], state: Mapping[str, Any], layout: ObservationLayout, scaler: Scaler
) -> NetworkPolicy:
    model = ModelSpec.model_validate(record["model"])
    limits = LimitSpec.model_validate(record["limits"])
    network = _rebuilt(state, model, layout, limits, record["action"])
    return NetworkPolicy(network, model, layout, str(record["action"]), limits, scaler, name=str(record["name"]))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: missing", hint="name a checkpoint folder that holds policy.json") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: unreadable: {error}", hint="restore or train the checkpoint again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a JSON object", hint="restore or train the checkpoint again")
    return content
