"""What a network's outputs mean: the torch twin of each kind of action in envs/actions.py, under the same name.

A head says how many numbers describe a distribution over actions, draws from it, takes its mode, gives the terms of a
loss, and turns an action into target weights as the environment does, so that an exported policy is the whole decision.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from wealtharena.config.specs.asset import LimitSpec
from wealtharena.config.specs.tilt import TiltSpec
from wealtharena.envs.actions import TINY, Allocation, Tilt, Weights, bounds, least_share
from wealtharena.envs.observation import ObservationLayout


class Draws(Protocol):
    """Actions of a whole rollout [T, N, ...], drawn from noise that was made in bulk."""

    def act(self, bar: int, parameters: Tensor, out: Tensor) -> None:
        """Write the actions of one bar, drawn from the distributions that `parameters` [N, P] describe."""

    def finish(self) -> None:
        """Complete the log-probabilities of all bars."""


class Head(nn.Module, ABC):
    """Distributions over one kind of action of A symbols.

    A network gives `per_symbol` numbers for every symbol and `common` ones of no symbol, the common ones first.
    """

    name: ClassVar[str]
    discrete: ClassVar[bool]
    per_symbol: int
    common: int

    gain: ClassVar[float] = 0.01  # of the last layer's weights at the begin

    def __init__(self, assets: int, limits: LimitSpec, layout: ObservationLayout | None = None) -> None:
        super().__init__()
        self.assets, self.limits, self.layout = assets, limits, layout

    @property
    def outputs(self) -> int:
        """Return P, how many numbers describe a distribution."""
        return self.common + self.per_symbol * self.assets

    @abstractmethod
    def parameters_of(self, raw: Tensor) -> Tensor:
        """Return the parameters [..., P] of distributions for what a network's last layer gives [..., P]."""

    @abstractmethod
    def mode(self, parameters: Tensor) -> Tensor:
        """Return the most likely actions [N, ...]."""

    @abstractmethod
    def weights(self, actions: Tensor, seen: Tensor) -> Tensor:
        """Return target weights [N, A] for actions [N, ...] that answer the observations `seen` [N, D]."""

    @abstractmethod
    def log_prob_and_entropy(
        self, parameters: Tensor, log_std: Tensor | None, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return log pi(a | s) [...] and the entropy of pi(. | s), a scalar, for parameters [..., P]."""

    @abstractmethod
    def draws(
        self, shape: tuple[int, ...], log_std: Tensor | None, log_probs: Tensor, rng: np.random.Generator
    ) -> Draws:
        """Return draws for actions of this shape, [T, N, ...]; log-probabilities [T, N] go into `log_probs`."""

    @abstractmethod
    def distribution_inputs(self, parameters: Tensor, log_std: Tensor | None) -> Tensor:
        """Return what RLlib's distributions are made from: logits, or means and log spreads."""


class Gaussian(Head):
    """Numbers by symbol with a normal distribution each, whose log spread the network keeps beside its outputs."""

    discrete = False
    per_symbol, common = 1, 0

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the means."""
        return parameters

    def log_prob_and_entropy(
        self, parameters: Tensor, log_std: Tensor | None, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both, summed over symbols."""
        assert log_std is not None
        spread = _total(log_std, self.assets)
        distance = (actions - parameters) * torch.exp(-log_std)
        constant = 0.5 * self.assets * math.log(2.0 * math.pi)
        log_probs = (distance * distance).sum(dim=-1).mul(-0.5) - (spread + constant)
        return log_probs, spread + constant + 0.5 * self.assets

    def draws(
        self, shape: tuple[int, ...], log_std: Tensor | None, log_probs: Tensor, rng: np.random.Generator
    ) -> GaussianDraws:
        """Return mean + std * noise; the log-probabilities need the noise only."""
        assert log_std is not None
        return GaussianDraws(shape, log_std, log_probs, rng)

    def distribution_inputs(self, parameters: Tensor, log_std: Tensor | None) -> Tensor:
        """Return means and log spreads [..., 2 A]."""
        assert log_std is not None
        return torch.cat([parameters, log_std.expand(parameters.shape)], dim=-1)


class GaussianDraws:
    """Draws of independent normal numbers."""

    def __init__(self, shape: tuple[int, ...], log_std: Tensor, log_probs: Tensor, rng: np.random.Generator) -> None:
        self.log_std, self.log_probs = log_std, log_probs
        self.noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
        self.scaled = self.noise * log_std.exp()

    def act(self, bar: int, parameters: Tensor, out: Tensor) -> None:
        """Write mean + std * noise."""
        torch.add(parameters, self.scaled[bar], out=out)

    def finish(self) -> None:
        """Compute all log-probabilities at once: log N(mean + std * noise; mean, std) has no mean in it."""
        assets = self.noise.shape[-1]
        scale = _total(self.log_std, assets)
        found = -0.5 * (self.noise * self.noise).sum(dim=-1) - scale - 0.5 * assets * math.log(2.0 * math.pi)
        self.log_probs.copy_(found)


def _total(log_std: Tensor, assets: int) -> Tensor:
    """Return the sum of log spreads over symbols, which may share one."""
    return log_std.sum() if log_std.numel() == assets else log_std.sum() * assets


class WeightsHead(Gaussian):
    """Target weights; means within (-1, 1)."""

    name = Weights.name

    def parameters_of(self, raw: Tensor) -> Tensor:
        """Return means within (-1, 1)."""
        return torch.tanh(raw)

    def weights(self, actions: Tensor, seen: Tensor) -> Tensor:
        """Return the actions themselves."""
        return actions


class TiltHead(WeightsHead):
    """Tilts around an anchor, means within (-1, 1); the last layer begins at zero, so that an untrained agent is its anchor.

    `wanted` and `ordered` are the formulas of `envs.actions.Tilt` on tensors [..., A] of any number of axes, with
    gradients, so that a learner may go through an account with them.
    """

    name = Tilt.name
    gain = 0.0

    def weights(self, actions: Tensor, seen: Tensor) -> Tensor:
        """Return the weights that are ordered."""
        assert self.layout is not None, "a tilt needs the layout of what it answers"
        layout = self.layout
        anchor, sigma, held = seen[..., layout.anchor], seen[..., layout.sigma], seen[..., layout.weights]
        return self.ordered(self.wanted(actions, anchor, sigma=sigma, held=held), anchor, held=held)

    def wanted(self, tilts: Tensor, anchor: Tensor, *, sigma: Tensor, held: Tensor) -> Tensor:
        """Return the weights that the account is led to; what does not trade (sigma 0) keeps what is held."""
        asked = self.asked(tilts, anchor, sigma=sigma)
        kept = torch.where(sigma > 0.0, 0.0, held)
        room = torch.clamp(self.limits.max_gross - kept.abs().sum(dim=-1, keepdim=True), min=0.0)
        gross = torch.maximum(asked.abs().sum(dim=-1, keepdim=True), torch.clamp(room, min=TINY))
        return asked * (room / gross) + kept

    def asked(self, tilts: Tensor, anchor: Tensor, *, sigma: Tensor) -> Tensor:
        """Return the part of `wanted` that does not depend on what is held: weights of what trades, 0 for the others."""
        trades = sigma > 0.0
        tilts = torch.where(trades, torch.clamp(tilts, -1.0, 1.0), 0.0)
        asked = self._long(tilts, anchor) if self.limits.long_only else self._spread(tilts, anchor, sigma)
        return torch.where(trades, torch.clamp(asked, *bounds(self.limits)), 0.0)

    def ordered(self, wanted: Tensor, anchor: Tensor, *, held: Tensor, through: bool = False) -> Tensor:
        """Return the target weights of one bar's order: a part of the way from what is held to what is wanted.

        With `through`, derivatives pass as if there were no band: where nothing is traded for there is no slope, and an
        agent that begins at its anchor would see none.
        """
        tilt = self._tilt
        apart = wanted - held
        idle = tilt.band * torch.clamp(anchor.abs(), min=tilt.equal_share(self.assets))
        step = torch.sign(apart) * torch.relu(apart.abs() - idle)
        return held + tilt.rate * (apart + (step - apart).detach() if through else step)

    def _long(self, tilts: Tensor, anchor: Tensor) -> Tensor:
        own = anchor / self.limits.max_gross
        shares = torch.cat([1.0 - own.sum(dim=-1, keepdim=True), own], dim=-1)
        base = torch.clamp(shares, min=least_share(self.assets))
        grown = base[..., 1:] * torch.exp(tilts * self._tilt.scale)
        cash = base[..., :1] + torch.zeros_like(grown[..., :1])  # several members answer one observation
        grown = torch.cat([cash, grown], dim=-1)
        moved = grown / grown.sum(dim=-1, keepdim=True) - base / base.sum(dim=-1, keepdim=True)
        shares = torch.relu(shares + moved)
        return shares[..., 1:] * (self.limits.max_gross / shares.sum(dim=-1, keepdim=True))

    def _spread(self, tilts: Tensor, anchor: Tensor, sigma: Tensor) -> Tensor:
        trades = sigma > 0.0
        inverse = torch.where(trades, 1.0 / torch.clamp(sigma, min=TINY), 0.0)
        count = trades.to(sigma.dtype).sum(dim=-1, keepdim=True)
        mean = count / torch.clamp(inverse.sum(dim=-1, keepdim=True), min=TINY)
        return anchor + (self.limits.max_gross / self.assets) * mean * inverse * tilts

    @property
    def _tilt(self) -> TiltSpec:
        tilt = self.layout.tilt if self.layout is not None else None
        assert tilt is not None, "a tilt needs a layout with an anchor"
        return tilt


class Categorical(Head):
    """A choice from a list, by logits."""

    discrete = True

    def parameters_of(self, raw: Tensor) -> Tensor:
        """Return logits."""
        return raw

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the choice with the largest logit."""
        return parameters.argmax(dim=-1)

    def log_prob_and_entropy(
        self, parameters: Tensor, log_std: Tensor | None, actions: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return both; the entropy is the mean over all distributions."""
        log_probs = torch.log_softmax(parameters, dim=-1)
        entropy = -(log_probs.exp() * log_probs).sum(dim=-1).mean()
        return log_probs.gather(-1, actions.unsqueeze(-1)).squeeze(-1), entropy

    def draws(
        self, shape: tuple[int, ...], log_std: Tensor | None, log_probs: Tensor, rng: np.random.Generator
    ) -> CategoricalDraws:
        """Return draws by the Gumbel trick, which makes a draw of an argmax."""
        return CategoricalDraws((*shape, self.outputs), log_probs, rng)

    def distribution_inputs(self, parameters: Tensor, log_std: Tensor | None) -> Tensor:
        """Return the logits."""
        return parameters


class CategoricalDraws:
    """Draws from logits: the largest of logit + Gumbel noise."""

    def __init__(self, shape: tuple[int, ...], log_probs: Tensor, rng: np.random.Generator) -> None:
        self.log_probs = log_probs
        uniform = rng.random(shape, dtype=np.float32)
        self.noise = -torch.log(-torch.log(torch.from_numpy(np.clip(uniform, 1e-7, 1 - 1e-7))))

    def act(self, bar: int, parameters: Tensor, out: Tensor) -> None:
        """Write choices, and at once their log-probabilities."""
        choice = (parameters + self.noise[bar]).argmax(dim=-1)
        out.copy_(choice)
        chosen = torch.log_softmax(parameters, dim=-1).gather(-1, choice.unsqueeze(-1)).squeeze(-1)
        self.log_probs[bar].copy_(chosen)

    def finish(self) -> None:
        """Nothing is left to be done."""


class AllocationHead(Categorical):
    """Cash, all in symbol i, short symbol i: a logit each."""

    name = Allocation.name
    common = 1
    table: Tensor

    def __init__(self, assets: int, limits: LimitSpec, layout: ObservationLayout | None = None) -> None:
        super().__init__(assets, limits, layout)
        self.per_symbol = 1 if limits.long_only else 2
        self.register_buffer("table", torch.from_numpy(Allocation(assets, limits).table), persistent=False)

    def weights(self, actions: Tensor, seen: Tensor) -> Tensor:
        """Return the table's rows."""
        return self.table[actions]


HEADS: Final[Mapping[str, type[Head]]] = MappingProxyType(
    {head.name: head for head in (WeightsHead, TiltHead, AllocationHead)}
)


def head_of(name: str, assets: int, limits: LimitSpec, layout: ObservationLayout | None = None) -> Head:
    """Return the head of a kind of action over A symbols."""
    return HEADS[name](assets, limits, layout)
