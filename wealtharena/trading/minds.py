"""Who decides: a promoted version through the path of the service, or a checkpoint as its backtest plays it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from wealtharena.agents.policy import EnsemblePolicy, Trained
from wealtharena.errors import WealthArenaError
from wealtharena.features.panel import Scaler
from wealtharena.prediction.agent import AnswerLimits, unfit
from wealtharena.registry.inference import Decisions, OnnxPolicy

Float32Array = npt.NDArray[np.float32]
Memory = Mapping[str, Any]
States = Mapping[str, Float32Array] | None  # what a graph carries on, by name; None begins afresh


@dataclass(frozen=True, eq=False)
class Seen:
    """What there is to decide on at one close."""

    observation: Float32Array  # [1, D] as training shows it: scaled features and the account
    features: Float32Array  # [1, A, window, F] raw
    account: Float32Array  # [1, A + 3]
    bar: str


class Mind(Protocol):
    """Decides; what it remembers is handed in and out, so that it can be kept."""

    @property
    def scaler(self) -> Scaler: ...

    def decide(self, seen: Seen, memory: Memory) -> tuple[npt.NDArray[np.float64], Memory]:
        """Return target weights [A] and what to remember; an empty memory begins afresh."""


@dataclass(frozen=True, eq=False)
class Served:
    """A version of the registry: the graph that the service answers from, its limits checked as there."""

    policy: OnnxPolicy
    clip: float

    @property
    def scaler(self) -> Scaler:
        """Return how features are shown to those who want them scaled; the graph takes them raw."""
        scaling = self.policy.scaling
        return Scaler(self.policy.metadata.feature_names, scaling.mean, scaling.std, self.clip)

    @cached_property
    def limits(self) -> AnswerLimits:
        """Return the limits that the version was trained under."""
        return AnswerLimits.of(self.policy.metadata)

    def decide(self, seen: Seen, memory: Memory) -> tuple[npt.NDArray[np.float64], Memory]:
        """Return the weights that the service would answer with; UnfitAnswerError where they are no portfolio."""
        shapes = self.policy.metadata.states
        states = {
            name: np.asarray(memory[name], dtype=np.float32).reshape(1, *shape) for name, shape in shapes.items()
        } if memory else None  # fmt: skip
        found = self.decisions(seen.features, seen.account, states)
        weights = np.asarray(found.weights[0], dtype=np.float64)
        return weights, {name: value.reshape(-1).tolist() for name, value in found.states.items()}

    def decisions(self, features: Float32Array, account: Float32Array, states: States) -> Decisions:
        """Return the graph's answers to raw features [N, A, window, F] and accounts [N, A + 3], with what is carried on."""
        found = self.policy.act(features, account, states)
        if not self.limits.fit(found):
            raise unfit(self.policy.metadata)
        return found


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that need not be promoted: the policy of its backtest, to the last bit."""

    policy: Trained

    @property
    def scaler(self) -> Scaler:
        return self.policy.scaler

    def decide(self, seen: Seen, memory: Memory) -> tuple[npt.NDArray[np.float64], Memory]:
        """Return the mode of the policy, the mean of its members' where it has several."""
        import torch

        members = self.policy.members if isinstance(self.policy, EnsemblePolicy) else (self.policy,)
        answers, carried = [], {}
        with torch.inference_mode():
            rows = torch.from_numpy(seen.observation)
            for number, member in enumerate(members):
                shapes = member.state_shapes
                states = member.initial_states(1)
                if memory:
                    states = tuple(
                        torch.tensor(memory[f"{number}.{name}"], dtype=torch.float32).reshape(1, *shape)
                        for name, shape in shapes.items()
                    )
                weights, *following = member.core(rows, *states)
                answers.append(weights.to(torch.float64).numpy()[0])
                for name, state in zip(shapes, following, strict=True):
                    carried[f"{number}.{name}"] = state.reshape(-1).tolist()
        found = answers[0] if len(answers) == 1 else np.stack(answers).mean(axis=0)
        if not np.isfinite(found).all():
            raise WealthArenaError(
                f"the policy answered {seen.bar} with a weight that is not finite", hint="retrain it"
            )
        return found, carried
