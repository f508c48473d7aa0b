"""The engine of `algo=direct`: trade drawn windows of bars in a differentiable account, and climb its slope.

Prices do not depend on what we do, so the gradient that PPO estimates by sampling is known (Moody and Saffell 2001; Lim,
Zohren and Roberts 2019). A network that sees nothing of the account answers for all bars of all windows at once; only the
account goes from bar to bar. Several members learn side by side, each from windows of its own, and act as their mean.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wealtharena.agents.direct.account import Bar, Ordered, Path, Tape, Terms, allowed, entered, opened, scan, tilted
from wealtharena.agents.direct.floor import Anchors, Floor
from wealtharena.agents.direct.objective import objective
from wealtharena.agents.direct.windows import Windows, seen
from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks import Network, build_network
from wealtharena.agents.networks.heads import TiltHead, head_of
from wealtharena.agents.networks.members import Members
from wealtharena.agents.optimizer import Adam, check_finite, polyak
from wealtharena.agents.process import require_gpu
from wealtharena.agents.specs import DirectSpec
from wealtharena.envs.rules import rules_of
from wealtharena.envs.vector import RULE
from wealtharena.errors import ConfigError

WARMING = 10.0  # updates over which the average of the weights begins


class DirectEngine:
    """Members that learn through the market; `members()` are their weights averaged over the last updates."""

    def __init__(self, bench: Workbench, algo: DirectSpec) -> None:
        _require_possible(bench)
        self.bench, self.algo, self.shrinks = bench, algo, algo.shrink
        self.device = torch.device("cuda" if bench.spec.compute.name == "gpu" else "cpu")
        rules = rules_of(bench.env, bench.market.symbols, delisting=False)
        self.terms, self.range = Terms.of(rules), rules.vector[[RULE.log_factor_low, RULE.log_factor_high]].tolist()
        self.tape, self.features = Tape.of(bench.market, self.device), seen(bench.market).to(self.device)
        tilt = bench.market.layout.tilt
        self.anchors = Anchors.of(self.features, tilt) if tilt is not None else None
        self.floor = Floor.of(bench.market, rules.vector, self.anchors) if self.device.type == "cpu" else None
        self.windows = Windows.of(
            bench.segments, steps=algo.burn_in_bars + algo.window_bars, earliest=bench.market.layout.window - 1
        )
        self.burn_in = min(algo.burn_in_bars, self.windows.steps - 1)
        self.head = head_of(bench.action, len(bench.market.symbols), bench.env.limits, bench.market.layout).to(
            self.device
        )
        networks = [_fresh(bench, member) for member in range(algo.members)]
        self.online = Members(networks, bench.spec.model.activation).to(self.device)
        self.average = copy.deepcopy(self.online)
        self.optimizer = Adam(list(self.online.parameters()), lr=algo.learning_rate)
        self.draws = torch.Generator().manual_seed(bench.spec.seed)
        self.dropping = torch.Generator(self.device).manual_seed(bench.spec.seed + 1)
        self.env_steps, self.updates = 0, 0

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
        firsts = self.windows.draw((self.algo.members, self.algo.windows), self.draws).to(self.device)
        path = self._traded(firsts, held=self._held(firsts))
        before = path.equity[self.burn_in : -1]
        gained = path.equity[self.burn_in + 1 :] / before - 1.0
        turned = path.traded[self.burn_in :] / before
        rows = firsts + torch.arange(self.burn_in + 1, self.windows.steps + 1, device=self.device)[:, None, None]
        idle = self.tape.idle(rows, self.terms)
        found = objective(
            self.algo.objective,
            gained - idle - self.algo.turnover_penalty * turned,
            temperature=self.algo.temperature,
            risk_aversion=self.algo.risk_aversion,
        )
        loss = -found.sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
        self._descend()
        self.env_steps += self.algo.windows * (self.windows.steps - self.burn_in)
        costs = path.costs[self.burn_in :] / before
        return torch.stack([loss / self.algo.members, gained.mean(), turned.mean(), costs.mean()]).detach()

    def _traded(self, firsts: Tensor, *, held: Tensor | None = None) -> Path:
        """Return the path of every member through its windows, which begin at `firsts` [M, W] with what is held there."""
        rows = firsts.unsqueeze(-1) + torch.arange(self.windows.steps, device=self.device)  # [M, W, n]
        shown, dropout = self.features[rows], self.algo.dropout
        kept = (
            self.online.dropped(rows.shape[1], dropout, self.dropping) if dropout and torch.is_grad_enabled() else None
        )
        raw = self.online(shown.flatten(1, 3), kept).reshape(shown.shape[:-1])
        actions = self.head.mode(self.head.parameters_of(raw))
        if self.floor is None:
            return self._scanned(actions, firsts, rows, held)
        asked = actions
        if self.anchors is not None:
            assert isinstance(self.head, TiltHead)
            anchor, sigma = self.anchors.weights[rows], self.anchors.sigma[rows]
            asked = self.head.asked(actions.to(torch.float64), anchor, sigma=sigma)
        equity, traded, costs = self.floor.trade(
            asked.flatten(0, 1),
            firsts.flatten(),
            factors=self._factor(firsts).flatten(),
            held=None if held is None else held.flatten(0, 1),
            through=True,
        )
        return Path(*(one.reshape(*firsts.shape, -1).movedim(-1, 0) for one in (equity, traded, costs)))

    def _scanned(self, actions: Tensor, firsts: Tensor, rows: Tensor, held: Tensor | None) -> Path:
        """Return the same from torch's account, on any device."""
        tape, by_bar = self.tape.cut(firsts, self.windows.steps + 1), actions.movedim(2, 0)
        state = opened(self.terms, firsts.shape, actions.shape[-1], device=self.device)
        if held is not None:
            state = entered(state, held, Bar(*tape.bars[0].unbind(-2)))
        wishes: Tensor | Ordered = by_bar
        if self.anchors is not None:
            assert isinstance(self.head, TiltHead)
            columns = (one[rows].movedim(2, 0) for one in (self.anchors.weights, self.anchors.sigma))
            wishes = tilted(self.head, by_bar.to(torch.float64), *columns, through=True)
        return scan(tape, wishes, self.terms, state=state, factor=self._factor(firsts))

    def _held(self, firsts: Tensor) -> Tensor | None:
        """Return what accounts begin with: the anchor where there is one, which is where an agent would come from."""
        return None if self.anchors is None else allowed(self.anchors.weights[firsts], self.terms)

    def _factor(self, firsts: Tensor) -> Tensor:
        """Return what multiplies the costs of each window, log-uniform where randomisation is on."""
        low, high = self.range
        if low == high == 0.0:
            return torch.ones(firsts.shape, dtype=torch.float64, device=self.device)
        share = torch.rand(firsts.shape, generator=self.draws, dtype=torch.float64)
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
            "draws": self.draws.get_state(),
            "dropped": self.dropping.get_state(),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        self.env_steps, self.updates = int(state["env_steps"]), int(state["updates"])
        self.online.load_state_dict(state["online"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])
        self.dropping.set_state(state["dropped"])

    def close(self) -> None:
        """Nothing is held open."""


def _fresh(bench: Workbench, member: int) -> Network:
    """Return the network that a member begins with: its own seed, or the weights of a saved policy."""
    seed = bench.spec.seed * 1009 + member  # members of near seeds must not be the same networks
    if bench.warm is not None:
        return bench.network_factory(critic=False)()
    return build_network(
        bench.spec.model, bench.market.layout, bench.spec.env.limits, action=bench.action, seed=seed, critic=False
    )


def _require_possible(bench: Workbench) -> None:
    """Raise ConfigError where the model reads the account, or where the computation is to be spread out."""
    model, compute = bench.spec.model.name, bench.spec.compute
    if model != "shared":
        raise ConfigError(
            f"algo=direct cannot train model={model}: it needs a network that sees features only",
            hint="choose model=shared, or algo=ppo",
        )
    if compute.name not in ("local", "gpu"):
        raise ConfigError(
            f"algo=direct cannot use compute={compute.name}: it has nothing to roll out",
            hint="choose compute=local or compute=gpu",
        )
    require_gpu(compute)
