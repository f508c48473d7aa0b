"""Layers that networks are made of: perceptrons, and encoders that treat every symbol alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from wealtharena.agents.networks.tanh import FastTanh
from wealtharena.config.specs.agent import ModelSpec
from wealtharena.envs.observation import ObservationLayout

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"tanh": FastTanh, "relu": nn.ReLU, "silu": nn.SiLU}


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

    def __init__(self, model: ModelSpec, layout: ObservationLayout, *, extra: int = 0) -> None:
        super().__init__()
        self.assets = len(layout.symbols)
        self.per_symbol = layout.window * len(layout.feature_names)
        self.parts = (layout.features, layout.weights, layout.shared)
        own, common = 1 + extra, layout.size - layout.shared.start
        first = linear(self.per_symbol + own + common, model.hidden[0], gain=math.sqrt(2.0))
        weight = first.weight.detach()
        self.features = nn.Linear(self.per_symbol, model.hidden[0])
        self.features.weight.data.copy_(weight[:, : self.per_symbol])
        self.features.bias.data.zero_()
        self.own = nn.Parameter(weight[:, self.per_symbol : self.per_symbol + own].t().contiguous())
        self.shared = nn.Linear(common, model.hidden[0], bias=False)
        self.shared.weight.data.copy_(weight[:, self.per_symbol + own :])
        self.rest = nn.Sequential(
            ACTIVATIONS[model.activation](), *mlp(model.hidden[0], model.hidden[1:], model.activation, None)
        )
        self.width = model.hidden[-1]

    def forward(self, observation: Tensor, extra: Tensor | None = None) -> Tensor:
        features, held, shared = (observation[:, part] for part in self.parts)
        summed = self.features(features.reshape(-1, self.assets, self.per_symbol))
        summed = summed + held.unsqueeze(-1) * self.own[0] + self.shared(shared).unsqueeze(1)
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
    """Action parameters from tokens, as a head wants them: common ones, then those of each symbol."""

    def __init__(
        self, model: ModelSpec, layout: ObservationLayout, *, per_symbol: int, common: int, gain: float
    ) -> None:
        super().__init__()
        self.encoder = SymbolEncoder(model, layout)
        self.attention = SymbolAttention(self.encoder.width, model.heads)
        self.head = linear(self.encoder.width, per_symbol, gain=gain)
        self.cash = linear(self.encoder.width, common, gain=gain) if common else None

    def forward(self, observation: Tensor) -> Tensor:
        tokens = self.attention(self.encoder(observation))
        scores = self.head(tokens)
        own = scores.transpose(1, 2).flatten(1)
        return own if self.cash is None else torch.cat([self.cash(tokens.mean(dim=1)), own], dim=-1)


class SymbolCritic(nn.Module):
    """A value from the mean over symbols of their tokens (Zaheer et al. 2017); order does not matter."""

    def __init__(
        self, model: ModelSpec, layout: ObservationLayout, *, with_action: bool = False, outputs: int = 1
    ) -> None:
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


class SharedActor(nn.Module):
    """Action parameters of each symbol from its own features alone, one perceptron for all of them.

    It sees nothing of the account: what it answers can be computed for any bar without having traded the ones before.
    """

    def __init__(
        self, model: ModelSpec, layout: ObservationLayout, *, per_symbol: int, common: int, gain: float = 0.01
    ) -> None:
        super().__init__()
        self.assets = len(layout.symbols)
        self.features = layout.features
        self.per_symbol = layout.window * len(layout.feature_names)
        self.body = mlp(self.per_symbol, model.hidden, model.activation, None)
        self.head = linear(model.hidden[-1], per_symbol, gain=gain)
        self.cash = linear(model.hidden[-1], common, gain=gain) if common else None
        self._left_out: tuple[float, torch.Generator] | None = None  # while an update is made

    def forward(self, observation: Tensor) -> Tensor:
        tokens = observation[:, self.features].reshape(-1, self.assets, self.per_symbol)  # a batch of any size
        for layer in self.body:
            tokens = layer(tokens)
            if self._left_out is not None and not isinstance(layer, nn.Linear):
                tokens = tokens * kept(tokens, *self._left_out)
        own = self.head(tokens).transpose(1, 2).flatten(1)
        return own if self.cash is None else torch.cat([self.cash(tokens.mean(dim=1)), own], dim=-1)

    @contextmanager
    def dropping(self, share: float, generator: torch.Generator) -> Iterator[None]:
        """Leave out the share of hidden units meanwhile, drawn from the generator; a share of 0 draws nothing."""
        self._left_out = (share, generator) if share else None
        try:
            yield
        finally:
            self._left_out = None

    def layers(self) -> list[nn.Linear]:
        """Return the linear layers that a symbol's numbers pass, in their order."""
        return [layer for layer in (*self.body, self.head) if isinstance(layer, nn.Linear)]


def kept(hidden: Tensor, dropout: float, generator: torch.Generator) -> Tensor:
    """Return 0 at the share `dropout` of places and 1 / (1 - dropout) elsewhere (Srivastava et al. 2014)."""
    drawn = torch.rand(hidden.shape, generator=generator, device=generator.device).to(hidden.device)
    return (drawn >= dropout).to(hidden.dtype) / (1.0 - dropout)
