"""Policy and value networks: `mlp`, `gru`, `lstm` and `attention`, all behind one small interface.

A network turns an observation (laid out as `ObservationLayout` says) into the parameters of an action distribution and
into a value. What it remembers between bars, if anything, goes in and out explicitly: `step(obs, states)` gives an
embedding and the next states, `unroll` does it for a stretch of bars, and the heads read the embedding. A network
without memory hands the observation through as its own embedding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from wealtharena.agents.tanh import FastTanh
from wealtharena.config.specs.agent import ModelSpec
from wealtharena.config.specs.asset import LimitSpec
from wealtharena.envs.actions import allocation_table

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"tanh": FastTanh, "relu": nn.ReLU, "silu": nn.SiLU}


class Layout(Protocol):
    """What a network must know of an observation: `envs.observation.ObservationLayout` has it."""

    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def feature_names(self) -> tuple[str, ...]: ...
    @property
    def window(self) -> int: ...
    @property
    def size(self) -> int: ...


def linear(inputs: int, outputs: int, *, gain: float) -> nn.Linear:
    """Return a layer with orthogonal weights and no bias to start from (Saxe et al. 2014)."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain=gain)
    nn.init.zeros_(layer.bias)
    return layer


def mlp(
    inputs: int, hidden: Sequence[int], activation: str, outputs: int | None, *, gain: float = 1.0
) -> nn.Sequential:
    """Return layers of the given widths, each followed by the activation, and a linear output where one is asked for."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [linear(inputs, width, gain=math.sqrt(2.0)), ACTIVATIONS[activation]()]
        inputs = width
    if outputs is not None:
        layers.append(linear(inputs, outputs, gain=gain))
    return nn.Sequential(*layers)


class SymbolEncoder(nn.Module):
    """One encoder for every symbol: observation [B, D] (and a number a symbol) -> tokens [B, A, H].

    A token sees its own features, its own weight and the portfolio's cash, drawdown and leverage; so the result does
    not depend on the order in which symbols stand. The first layer is written as a sum of its parts, since laying the
    shared numbers beside every symbol's would cost more than the product itself.
    """

    def __init__(self, model: ModelSpec, layout: Layout, *, extra: int = 0) -> None:
        super().__init__()
        self.assets = len(layout.symbols)
        self.per_symbol = layout.window * len(layout.feature_names)
        own = 1 + extra
        first = linear(self.per_symbol + own + 3, model.hidden[0], gain=math.sqrt(2.0))
        weight = first.weight.detach()
        self.features = nn.Linear(self.per_symbol, model.hidden[0])
        self.features.weight.data.copy_(weight[:, : self.per_symbol])
        self.features.bias.data.zero_()
        self.own = nn.Parameter(weight[:, self.per_symbol : self.per_symbol + own].t().contiguous())
        self.shared = nn.Linear(3, model.hidden[0], bias=False)
        self.shared.weight.data.copy_(weight[:, self.per_symbol + own :])
        self.rest = nn.Sequential(
            ACTIVATIONS[model.activation](), *mlp(model.hidden[0], model.hidden[1:], model.activation, None)
        )
        self.width = model.hidden[-1]

    def forward(self, observation: Tensor, extra: Tensor | None = None) -> Tensor:
        split = self.assets * self.per_symbol
        features = observation[:, :split].reshape(-1, self.assets, self.per_symbol)
        held = observation[:, split : split + self.assets].unsqueeze(-1)
        shared = self.shared(observation[:, split + self.assets :]).unsqueeze(1)
        summed = self.features(features) + held * self.own[0] + shared
        if extra is not None:
            summed = summed + extra.unsqueeze(-1) * self.own[1]
        tokens: Tensor = self.rest(summed)
        return tokens


class SymbolAttention(nn.Module):
    """Self-attention across symbols with a residual (Vaswani et al. 2017): tokens [B, A, H] -> [B, A, H]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = linear(width, 3 * width, gain=1.0)
        self.merge = linear(width, width, gain=0.1)

    def forward(self, tokens: Tensor) -> Tensor:
        batch, assets, width = tokens.shape
        joined = self.project(tokens).reshape(batch, assets, 3, self.heads, width // self.heads)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        merged: Tensor = self.merge(mixed.transpose(1, 2).reshape(batch, assets, width))
        return tokens + merged


class SymbolActor(nn.Module):
    """Action parameters from tokens: one mean a symbol, or the logits of cash, long i and, where allowed, short i."""

    def __init__(self, model: ModelSpec, layout: Layout, *, action: str, long_only: bool) -> None:
        super().__init__()
        self.encoder = SymbolEncoder(model, layout)
        self.attention = SymbolAttention(self.encoder.width, model.heads)
        self.head = linear(self.encoder.width, 1 if action == "weights" or long_only else 2, gain=0.01)
        self.cash = linear(self.encoder.width, 1, gain=0.01) if action == "allocation" else None

    def forward(self, observation: Tensor) -> Tensor:
        tokens = self.attention(self.encoder(observation))
        scores = self.head(tokens)
        if self.cash is None:
            means: Tensor = scores.squeeze(-1)
            return means
        return torch.cat([self.cash(tokens.mean(dim=1)), scores.transpose(1, 2).flatten(1)], dim=-1)


class SymbolCritic(nn.Module):
    """A value from the mean over symbols of their tokens (Zaheer et al. 2017); order does not matter."""

    def __init__(self, model: ModelSpec, layout: Layout, *, with_action: bool = False, outputs: int = 1) -> None:
        super().__init__()
        self.encoder = SymbolEncoder(model, layout, extra=1 if with_action else 0)
        self.head = mlp(self.encoder.width, (self.encoder.width,), model.activation, outputs)

    def forward(self, observation: Tensor, action: Tensor | None = None) -> Tensor:
        values: Tensor = self.head(self.encoder(observation, action).mean(dim=1))
        return values


class FlatCritic(nn.Module):
    """A value from the flat observation, and the action where one is given."""

    def __init__(self, model: ModelSpec, inputs: int, *, outputs: int = 1) -> None:
        super().__init__()
        self.body = mlp(inputs, model.hidden, model.activation, outputs)

    def forward(self, observation: Tensor, action: Tensor | None = None) -> Tensor:
        values: Tensor = self.body(observation if action is None else torch.cat([observation, action], dim=-1))
        return values


class Network(nn.Module):
    """Actor and critic over one observation layout; see the module's words for the interface.

    `state_shapes` names what is carried from bar to bar (without the batch), empty for a network without memory.
    `log_std` is the state-independent spread of a Gaussian action; None for an allocation.
    """

    log_std: nn.Parameter | None
    table: Tensor

    def __init__(
        self, model: ModelSpec, layout: Layout, limits: LimitSpec, *, action: str, critic: bool = True
    ) -> None:
        super().__init__()
        self.action = action
        self.assets = len(layout.symbols)
        table = torch.from_numpy(allocation_table(self.assets, limits))
        self.register_buffer("table", table, persistent=False)
        self.outputs = self.assets if action == "weights" else len(table)
        self.model_name = model.name
        self.state_shapes: dict[str, tuple[int, ...]] = {}
        self._build(model, layout, critic=critic)
        if action == "weights":
            shape = 1 if model.name == "attention" else self.assets
            self.log_std = nn.Parameter(torch.full((shape,), float(model.initial_log_std)))
        else:
            self.register_parameter("log_std", None)

    def _build(self, model: ModelSpec, layout: Layout, *, critic: bool) -> None:
        self.cell: nn.GRUCell | nn.LSTMCell | None = None
        if model.name == "attention":
            self.actor: nn.Module = SymbolActor(
                model, layout, action=self.action, long_only=len(self.table) == self.assets + 1
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
        self.actor = mlp(inputs, hidden, model.activation, self.outputs, gain=0.01)
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

    def parameters_of(self, embedding: Tensor) -> Tensor:
        """Return means in (-1, 1) [B, A], or the logits of the allocations [B, K], for embeddings [B, E]."""
        raw: Tensor = self.actor(embedding)
        return torch.tanh(raw) if self.action == "weights" else raw

    def value_of(self, embedding: Tensor) -> Tensor:
        """Return values [B] for embeddings [B, E]."""
        assert self.critic is not None, "this network was built without a critic"
        values: Tensor = self.critic(embedding)
        return values.squeeze(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the most likely action as weights [B, A]."""
        if self.action == "weights":
            return parameters
        return self.table[parameters.argmax(dim=-1)]


def build_network(
    model: ModelSpec, layout: Layout, limits: LimitSpec, *, action: str, seed: int, critic: bool = True
) -> Network:
    """Return a fresh network; the same seed gives the same weights, and torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Network(model, layout, limits, action=action, critic=critic)
