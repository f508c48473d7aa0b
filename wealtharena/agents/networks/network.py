"""Policy and value networks: `mlp`, `gru`, `lstm`, `attention` and `shared`, all behind one small interface.

A network turns an observation (laid out as `ObservationLayout` says) into the parameters of an action distribution and
into a value. What it remembers between bars, if anything, goes in and out explicitly: `step(obs, states)` gives an
embedding and the next states, `unroll` does it for a stretch of bars, and the heads read the embedding. A network
without memory hands the observation through as its own embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import torch
from torch import Tensor, nn

from wealtharena.agents.networks import pair
from wealtharena.agents.networks.heads import head_of
from wealtharena.agents.networks.layers import SharedActor, SymbolActor, SymbolCritic, mlp
from wealtharena.agents.process import seeded
from wealtharena.config.specs.agent import ModelSpec
from wealtharena.config.specs.asset import LimitSpec
from wealtharena.envs.observation import ObservationLayout

PER_SYMBOL: Final = ("attention", "shared")  # models whose weights do not depend on which symbols there are


class Network(nn.Module):
    """Actor and critic over one observation layout; see the module's words for the interface.

    `state_shapes` names what is carried from bar to bar (without the batch), empty for a network without memory.
    `head` says what the actor's outputs mean; `log_std` is the state-independent log spread of a Gaussian action, None
    for a choice from a list.
    """

    log_std: nn.Parameter | None

    def __init__(
        self, model: ModelSpec, layout: ObservationLayout, limits: LimitSpec, *, action: str, critic: bool = True
    ) -> None:
        super().__init__()
        self.assets = len(layout.symbols)
        self.head = head_of(action, self.assets, limits, layout)
        self.state_shapes: dict[str, tuple[int, ...]] = {}
        self._build(model, layout, critic=critic)
        self.paired = self.cell is None and pair.alike(self.actor, self.critic)
        shape = 1 if model.name in PER_SYMBOL else self.assets
        spread = None if self.head.discrete else nn.Parameter(torch.full((shape,), float(model.initial_log_std)))
        self.register_parameter("log_std", spread)

    def _build(self, model: ModelSpec, layout: ObservationLayout, *, critic: bool) -> None:
        self.cell: nn.GRUCell | nn.LSTMCell | None = None
        if model.name in PER_SYMBOL:
            actor = SymbolActor if model.name == "attention" else SharedActor
            self.actor: nn.Module = actor(
                model, layout, per_symbol=self.head.per_symbol, common=self.head.common, gain=self.head.gain
            )
            self.critic: nn.Module | None = SymbolCritic(model, layout) if critic else None
            return
        inputs = layout.size
        if model.name in ("gru", "lstm"):
            size = model.recurrent_size
            self.encoder = mlp(layout.size, model.hidden[:1], model.activation, None)
            self.cell = (nn.GRUCell if model.name == "gru" else nn.LSTMCell)(model.hidden[0], size)
            names = ("hidden",) if model.name == "gru" else ("hidden", "memory")
            self.state_shapes = dict.fromkeys(names, (size,))
            inputs = size
            hidden: Sequence[int] = model.hidden[1:]
        else:
            hidden = model.hidden
        self.actor = mlp(inputs, hidden, model.activation, self.head.outputs, gain=self.head.gain)
        self.critic = mlp(inputs, hidden, model.activation, 1) if critic else None

    @property
    def recurrent(self) -> bool:
        return bool(self.state_shapes)

    def initial_states(self, batch: int) -> tuple[Tensor, ...]:
        """Return what is remembered before the first bar: zeros [batch, ...]."""
        return tuple(torch.zeros(batch, *shape) for _, shape in sorted(self.state_shapes.items()))

    def step(self, observation: Tensor, states: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the embedding of one bar [B, E] and the next states."""
        if self.cell is None:
            return observation, ()
        encoded = self.encoder(observation)
        if len(states) == 1:
            hidden = self.cell(encoded, states[0])
            return hidden, (hidden,)
        hidden, memory = self.cell(encoded, (states[0], states[1]))
        return hidden, (hidden, memory)

    def unroll(self, observations: Tensor, states: tuple[Tensor, ...], starts: Tensor) -> Tensor:
        """Return embeddings [L, B, E] of a stretch; memory is wiped before every bar where `starts` [L, B] is 1."""
        if self.cell is None:
            return observations
        embeddings = []
        for observation, start in zip(observations, starts, strict=True):
            keep = (1.0 - start).unsqueeze(-1)
            embedding, states = self.step(observation, tuple(state * keep for state in states))
            embeddings.append(embedding)
        return torch.stack(embeddings)

    def dropping(self, share: float, generator: torch.Generator) -> AbstractContextManager[None]:
        """Return what leaves out a share of the actor's hidden units meanwhile; nothing at 0, or for another model."""
        return self.actor.dropping(share, generator) if isinstance(self.actor, SharedActor) else nullcontext()

    def parameters_of(self, embedding: Tensor) -> Tensor:
        """Return the parameters of the distributions over actions [B, P] for embeddings [B, E]."""
        return self.head.parameters_of(self.actor(embedding))

    def log_prob_and_entropy(self, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return log pi(a | s) and the entropy of pi(. | s) for distribution parameters [..., P]."""
        return self.head.log_prob_and_entropy(parameters, self.log_std, actions)

    def value_of(self, embedding: Tensor) -> Tensor:
        """Return values [B] for embeddings [B, E]."""
        assert self.critic is not None, "this network was built without a critic"
        values: Tensor = self.critic(embedding)
        return values.squeeze(-1)

    def both_of(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `parameters_of` and `value_of` do, in one pass where actor and critic have the same shape."""
        if self.paired and pair.worthwhile(self.actor, embedding):
            assert self.critic is not None
            raw, values = pair.both(self.actor, self.critic, embedding)
            return self.head.parameters_of(raw), values.squeeze(-1)
        return self.parameters_of(embedding), self.value_of(embedding)

    def decide(self, observation: Tensor, states: tuple[Tensor, ...] = ()) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the target weights [B, A] of the most likely actions of one bar, and the next states."""
        embedding, following = self.step(observation, states)
        return self.head.weights(self.head.mode(self.parameters_of(embedding)), observation), following


def build_network(
    model: ModelSpec, layout: ObservationLayout, limits: LimitSpec, *, action: str, seed: int, critic: bool = True
) -> Network:
    """Return a fresh network; the same seed gives the same weights, and torch's own generator is left as it was."""
    with seeded(seed):
        return Network(model, layout, limits, action=action, critic=critic)
