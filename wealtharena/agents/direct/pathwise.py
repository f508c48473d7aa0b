"""One update's worth of work: trade drawn windows of bars, and say in which direction the members' weights would do better.

It keeps nothing between two calls. So pieces of it may run in other threads or on other machines, and may be done again
where one of them died; what an engine remembers stays in the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from wealtharena.agents.direct.account import Bar, Ordered, Path, Tape, Terms, allowed, entered, opened, scan, tilted
from wealtharena.agents.direct.floor import Anchors, Floor, GpuFloor
from wealtharena.agents.direct.objective import objective
from wealtharena.agents.direct.windows import seen
from wealtharena.agents.networks.heads import Head, TiltHead, head_of
from wealtharena.agents.networks.members import Stack
from wealtharena.agents.specs import DirectSpec
from wealtharena.config.specs.env import EnvSpec
from wealtharena.envs.market import Market
from wealtharena.envs.rules import Rules, rules_of

PIECE = 4  # members that are computed as one: fewer cost more calls than they save, more leave a second core idle


@dataclass(frozen=True, eq=False)
class Drawn:
    """What chance has decided of an update of M members in W windows each."""

    firsts: Tensor  # [M, W] the bar of the first decision
    factors: Tensor  # [M, W] of the costs
    kept: Sequence[Tensor]  # [M, W, H] for each hidden layer, see `Stack`; none without dropout

    def of(self, members: slice) -> Drawn:
        """Return what concerns some of the members."""
        return Drawn(self.firsts[members], self.factors[members], [one[members] for one in self.kept])


class Slope(NamedTuple):
    """Where the objective rises."""

    gradients: list[Tensor]  # of the loss, by each parameter of the members
    figures: Tensor  # [M, 4] of each member: loss, return, turnover and costs a bar


@dataclass(frozen=True, eq=False)
class Pathwise:
    """A market, an account's terms and an objective: all that a slope depends on beside members and chance."""

    algo: DirectSpec
    steps: int  # decisions in a window
    terms: Terms
    head: Head
    features: Tensor  # [T, A, I]
    tape: Tape
    anchors: Anchors | None
    floor: Floor | GpuFloor | None  # the compiled account of this place; without it torch's own
    device: torch.device

    @classmethod
    def of(
        cls, market: Market, env: EnvSpec, algo: DirectSpec, *, action: str, steps: int, device: torch.device | str
    ) -> Pathwise:
        """Return what trades windows of `steps` decisions of a market."""
        rules = rules_of(env, market.symbols, delisting=False)
        features, tilt = seen(market), market.layout.tilt
        anchors = Anchors.of(features, tilt) if tilt is not None else None
        place, floor = torch.device(device), cls._floor(market, rules, anchors, torch.device(device))
        if anchors is not None:
            anchors = anchors.to(place)
        head = head_of(action, len(market.symbols), env.limits, market.layout).to(place)
        tape = Tape.of(market, place)
        return cls(algo, steps, Terms.of(rules), head, features.to(place), tape, anchors, floor, place)

    @staticmethod
    def _floor(market: Market, rules: Rules, anchors: Anchors | None, place: torch.device) -> Floor | GpuFloor | None:
        if place.type == "cpu":
            return Floor.of(market, rules.vector, anchors)
        return GpuFloor.of(Floor.of(market, rules.vector, anchors), place) if GpuFloor.possible() else None

    def slope(self, members: Stack, drawn: Drawn, *, threads: Executor | None = None) -> Slope:
        """Return the slope of the members' loss; the same bits whatever the threads.

        Members don't touch each other, so they are cut into pieces that always are the same.
        """
        if not isinstance(self.floor, Floor):
            return self._slope(members.leaves(slice(None)), drawn)
        count = -(-len(members) // PIECE)
        bounds = [len(members) * n // count for n in range(count + 1)]
        pieces = [slice(start, stop) for start, stop in pairwise(bounds)]
        work = [partial(self._slope, members.leaves(piece), drawn.of(piece)) for piece in pieces]
        if threads is None or len(work) == 1:
            found = [piece() for piece in work]
        else:
            others = [threads.submit(piece) for piece in work[1:]]
            found = [work[0](), *(other.result() for other in others)]
        gradients = [torch.cat(parts) for parts in zip(*(one.gradients for one in found), strict=True)]
        return Slope(gradients, torch.cat([one.figures for one in found]))

    def _slope(self, members: Stack, drawn: Drawn) -> Slope:
        path, burn_in = self.traded(members, drawn, held=self._held(drawn.firsts)), self.algo.burn_in_bars
        before = path.equity[burn_in:-1]
        gained = path.equity[burn_in + 1 :] / before - 1.0
        turned = path.traded[burn_in:] / before
        rows = drawn.firsts + torch.arange(burn_in + 1, self.steps + 1, device=self.device)[:, None, None]
        found = objective(
            self.algo.objective,
            gained - self.tape.idle(rows, self.terms) - self.algo.turnover_penalty * turned,
            temperature=self.algo.temperature,
            risk_aversion=self.algo.risk_aversion,
        )
        gradients = torch.autograd.grad(-found.sum(), members.tensors)
        costs = path.costs[burn_in:] / before
        means = [one.mean(dim=(0, 2)) for one in (gained, turned, costs)]
        return Slope(list(gradients), torch.stack([-found, *means], dim=1).detach())

    def traded(self, members: Stack, drawn: Drawn, *, held: Tensor | None = None) -> Path:
        """Return the path of every member through its windows, which begin with the weights `held` [M, W, A] or none."""
        rows = drawn.firsts.unsqueeze(-1) + torch.arange(self.steps, device=self.device)  # [M, W, n]
        shown = self.features[rows]
        raw = members(shown.flatten(1, 3), drawn.kept or None).reshape(shown.shape[:-1])
        actions = self.head.mode(self.head.parameters_of(raw))
        if self.floor is None:
            return self._scanned(actions, drawn, rows, held)
        asked = actions
        if self.anchors is not None:
            assert isinstance(self.head, TiltHead)
            anchor, sigma = self.anchors.weights[rows], self.anchors.sigma[rows]
            asked = self.head.asked(actions.to(torch.float64), anchor, sigma=sigma)
        equity, traded, costs = self.floor.trade(
            asked.flatten(0, 1),
            drawn.firsts.flatten(),
            factors=drawn.factors.flatten(),
            held=None if held is None else held.flatten(0, 1),
            through=True,
        )
        return Path(*(one.reshape(*drawn.firsts.shape, -1).movedim(-1, 0) for one in (equity, traded, costs)))

    def _scanned(self, actions: Tensor, drawn: Drawn, rows: Tensor, held: Tensor | None) -> Path:
        """Return the same from torch's account, on any device."""
        tape, by_bar = self.tape.cut(drawn.firsts, self.steps + 1), actions.movedim(2, 0)
        state = opened(self.terms, drawn.firsts.shape, actions.shape[-1], device=self.device)
        if held is not None:
            state = entered(state, held, Bar(*tape.bars[0].unbind(-2)))
        wishes: Tensor | Ordered = by_bar
        if self.anchors is not None:
            assert isinstance(self.head, TiltHead)
            columns = (one[rows].movedim(2, 0) for one in (self.anchors.weights, self.anchors.sigma))
            wishes = tilted(self.head, by_bar.to(torch.float64), *columns, through=True)
        return scan(tape, wishes, self.terms, state=state, factor=drawn.factors)

    def _held(self, firsts: Tensor) -> Tensor | None:
        """Return what accounts begin with: the anchor where there is one, which is where an agent would come from."""
        return None if self.anchors is None else allowed(self.anchors.weights[firsts], self.terms)
