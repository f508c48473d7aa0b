"""The engine of `algo=direct`: trade drawn windows of bars in a differentiable account, and climb its slope.

Prices do not depend on what we do, so the gradient that PPO estimates by sampling is known (Moody and Saffell 2001; Lim,
Zohren and Roberts 2019). A network that sees nothing of the account answers for all bars of all windows at once; only the
account goes from bar to bar. Several members learn side by side, each from windows of its own, and act as their mean.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wealtharena.agents.direct.crew import Crew, Here, Learners
from wealtharena.agents.direct.pathwise import Drawn, Pathwise
from wealtharena.agents.direct.windows import Windows
from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks import Network, build_network
from wealtharena.agents.networks.members import Members
from wealtharena.agents.optimizer import Adam, check_finite, polyak
from wealtharena.agents.process import require_gpu
from wealtharena.agents.specs import DirectSpec
from wealtharena.envs.rules import rules_of
from wealtharena.envs.vector import RULE
from wealtharena.errors import ConfigError

log = logging.getLogger(__name__)

APART = 7919  # between the seeds of two learners
WARMING = 10.0  # updates over which the average of the weights begins


@dataclass(frozen=True, eq=False)
class Chance:
    """Where the draws of one learner come from."""

    draws: torch.Generator  # of windows and costs
    dropping: torch.Generator  # of units that are left out

    @classmethod
    def of(cls, seed: int, device: torch.device) -> Chance:
        """Return the generators of a seed."""
        return cls(torch.Generator().manual_seed(seed), torch.Generator(device).manual_seed(seed + 1))

    def get_state(self) -> dict[str, Any]:
        """Return the generators' states."""
        return {"draws": self.draws.get_state(), "dropped": self.dropping.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        self.draws.set_state(state["draws"])
        self.dropping.set_state(state["dropped"])


class DirectEngine:
    """Members that learn through the market; `members()` are their weights averaged over the last updates.

    Every learner draws windows of its own, and members take the mean of their slopes. A single one here, on a GPU or on
    a cluster learns the same.
    """

    def __init__(self, bench: Workbench, algo: DirectSpec) -> None:
        require_gpu(bench.spec.compute)
        self.bench, self.algo, self.shrinks = bench, algo, algo.shrink
        compute = bench.spec.compute
        self.device = torch.device("cuda" if compute.name == "gpu" else "cpu")
        rules = rules_of(bench.env, bench.market.symbols, delisting=False)
        self.range = rules.vector[[RULE.log_factor_low, RULE.log_factor_high]].tolist()
        self.windows = Windows.of(
            bench.segments, steps=algo.burn_in_bars + algo.window_bars, earliest=bench.market.layout.window - 1
        )
        if self.windows.steps <= algo.burn_in_bars:
            raise ConfigError(
                f"algo.burn_in_bars={algo.burn_in_bars} leaves nothing to learn from: the longest training segment has "
                f"{self.windows.steps} steps",
                hint="choose fewer, or give more training bars",
            )
        if self.windows.steps < algo.burn_in_bars + algo.window_bars:
            log.warning(
                "algo.window_bars=%d: no training segment is as long; windows have %d bars (different ones to draw from: %d)",
                algo.window_bars,
                self.windows.steps - algo.burn_in_bars,
                len(self.windows.firsts),
            )
        networks = [_fresh(bench, member) for member in range(algo.members)]
        self.online = Members(networks, bench.spec.model.activation).to(self.device)
        self.average = copy.deepcopy(self.online)
        self.optimizer = Adam(list(self.online.parameters()), lr=algo.learning_rate)
        self.chances = [Chance.of(bench.spec.seed + APART * k, self.device) for k in range(max(compute.learners, 1))]
        self.crew = self._crew()
        self.env_steps, self.updates = 0, 0

    def _crew(self) -> Crew:
        bench, steps = self.bench, self.windows.steps
        if bench.spec.compute.learners:
            return Learners(bench, count=bench.spec.compute.learners, steps=steps)
        pathwise = Pathwise.of(bench.market, bench.env, self.algo, action=bench.action, steps=steps, device=self.device)
        return Here(pathwise, torch_threads=bench.spec.compute.torch_threads)

    def iterate(self) -> dict[str, float]:
        """Make a few updates, each over fresh windows."""
        total = torch.zeros(4, dtype=torch.float64, device=self.device)
        for _ in range(self.algo.updates):
            total += self._update()
        loss, reward, turnover, costs = (total / self.algo.updates).tolist()
        check_finite(torch.tensor(loss), list(self.online.parameters()), updates=self.updates)
        a_year = self.bench.market.bars_per_year
        return {
            "loss": loss,
            "reward": reward,
            "turnover": turnover * a_year,
            "costs": costs * a_year,
            "updates": float(self.updates),
        }

    def _update(self) -> Tensor:
        drawn = [self._drawn(chance) for chance in self.chances]
        members = self.online.stack()
        slopes = self.crew.slopes(members, drawn)
        for parameter, *gradients in zip(members.tensors, *(one.gradients for one in slopes), strict=True):
            parameter.grad = torch.stack(gradients).mean(dim=0) if len(gradients) > 1 else gradients[0]
        self._descend()
        learned = self.windows.steps - self.algo.burn_in_bars
        self.env_steps += len(drawn) * self.algo.windows * learned
        return torch.cat([one.figures for one in slopes]).mean(dim=0)

    def _drawn(self, chance: Chance) -> Drawn:
        firsts = self.windows.draw((self.algo.members, self.algo.windows), chance.draws)
        share = self.algo.dropout
        kept = self.online.dropped(firsts.shape[1], share, chance.dropping) if share else ()
        return Drawn(firsts.to(self.device), self._factor(firsts, chance), kept)

    def _factor(self, firsts: Tensor, chance: Chance) -> Tensor:
        """Return what multiplies the costs of each window, log-uniform where randomisation is on."""
        low, high = self.range
        if low == high == 0.0:
            return torch.ones(firsts.shape, dtype=torch.float64, device=self.device)
        share = torch.rand(firsts.shape, generator=chance.draws, dtype=torch.float64)
        return torch.exp(low + (high - low) * share).to(self.device)

    @torch.no_grad()
    def _descend(self) -> None:
        """Decay the weights, take one step of Adam at a rate that falls linearly, and move the average."""
        done = min(self.env_steps / self.bench.env_steps, 1.0)
        rate = self.algo.learning_rate + done * (self.algo.final_learning_rate - self.algo.learning_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.algo.weight_decay:
            torch._foreach_mul_(list(self.online.weights), 1.0 - rate * self.algo.weight_decay)
        self.optimizer.step()
        self.updates += 1
        kept = min(self.algo.averaging, self.updates / (self.updates + WARMING))
        polyak(self.average, self.online, 1.0 - kept)

    def members(self) -> tuple[Network, ...]:
        """Return the networks as they act now: with averaged weights, each a copy."""
        return copy.deepcopy(self.average).cpu().networks()

    def network(self) -> Network:
        """Return the first member."""
        return self.members()[0]

    def get_state(self) -> dict[str, Any]:
        """Return all that the next update depends on."""
        return {
            "env_steps": self.env_steps,
            "updates": self.updates,
            "online": self.online.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **self.chances[0].get_state(),
            "others": [chance.get_state() for chance in self.chances[1:]],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        self.env_steps, self.updates = int(state["env_steps"]), int(state["updates"])
        self.online.load_state_dict(state["online"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        for chance, found in zip(self.chances, [state, *state.get("others", [])], strict=False):
            chance.set_state(found)

    def close(self) -> None:
        """Let threads or learners go."""
        self.crew.close()


def _fresh(bench: Workbench, member: int) -> Network:
    """Return the network that a member begins with: its own seed, or the weights of a saved policy."""
    seed = bench.spec.seed * 1009 + member  # members of near seeds must not be the same networks
    if bench.warm is not None:
        return bench.network_factory(critic=False)()
    return build_network(
        bench.spec.model, bench.market.layout, bench.spec.env.limits, action=bench.action, seed=seed, critic=False
    )
