"""The answers of a policy that sees nothing of the account, for all bars at once: a validation in one pass.

Asked bar by bar, a small network costs ten times what it computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wealtharena.agents.policy import EnsemblePolicy, Trained
from wealtharena.envs.actions import Tilt, Weights
from wealtharena.envs.market import Market
from wealtharena.envs.observation import ANCHOR_COLUMNS
from wealtharena.envs.simulate import Targets

if TYPE_CHECKING:
    from torch import Tensor

    from wealtharena.agents.networks.members import Members

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
_ROWS = 4096  # bars answered in one go


def targets_of(policy: Trained, market: Market, *, start: int, stop: int) -> Targets:
    """Return what `simulate` follows over bars [start, stop) to play this policy: its weights of every bar, or its answers.

    The weights are those of `policy.act` to the rounding of a matrix product of another shape, and an ensemble's `spreads`
    get what they get from it.
    """
    members = policy.members if isinstance(policy, EnsemblePolicy) else [policy]
    first = members[0]
    alike = all(member.model == first.model and member.action == first.action for member in members)
    if not alike or first.model.name != "shared" or first.action not in (Weights.name, Tilt.name):
        return policy.act
    from wealtharena.agents.direct.windows import seen
    from wealtharena.agents.networks.members import Members

    shown = seen(market)[start : stop - 1]
    answers = _answers(Members([member.network for member in members], first.model.activation), shown)
    if first.action == Weights.name:
        weights = np.zeros((market.length, len(market.symbols)))
        weights[start : stop - 1] = answers.mean(axis=0)
        if isinstance(policy, EnsemblePolicy):
            policy.spreads.append(answers.std(axis=0, dtype=np.float64).sum(axis=-1))
        return weights
    kind = Tilt(len(market.symbols), first.limits, market.layout)
    anchor, sigma = (one.contiguous().numpy() for one in shown[..., -len(ANCHOR_COLUMNS) :].unbind(-1))
    return _Answering(kind, answers, anchor, sigma, policy.spreads if isinstance(policy, EnsemblePolicy) else [])


def _answers(together: Members, shown: Tensor) -> Float32:
    """Return the actions [M, T, A] of every member."""
    import torch

    with torch.inference_mode():
        parts = [together.actions(shown[row : row + _ROWS]) for row in range(0, len(shown), _ROWS)]
        found: Float32 = torch.cat(parts, dim=1).numpy()
    return found


class _Answering:
    """Turns actions [M, T, A] that are known into orders, bar after bar: what is held is seen only then.

    `anchor` and `sigma` [T, A] are what the observations of those bars show; `spreads` gets [T] at the last of them.
    """

    def __init__(self, kind: Tilt, actions: Float32, anchor: Float32, sigma: Float32, spreads: list[Float64]) -> None:
        self.kind, self.anchor, self.spreads, self.at = kind, anchor, spreads, 0
        self.trades = sigma > 0.0
        self.asked = np.stack([kind.asked(member, self.trades, anchor=anchor, sigma=sigma) for member in actions])
        self.orders = np.empty_like(self.asked)

    def __call__(self, observation: Float32) -> Float64:
        assert self.kind.layout is not None
        at, self.at = self.at, self.at + 1
        held, orders = observation[:, self.kind.layout.weights], self.orders[:, at]
        wanted = self.kind.beside_kept(self.asked[:, at], self.trades[at], held=held)
        self.kind.part_way(wanted, anchor=self.anchor[at], held=held, out=orders)
        if self.at == len(self.anchor):
            self.spreads.append(self.orders.std(axis=0, dtype=np.float64).sum(axis=-1))
        mean: Float64 = orders.mean(axis=0, dtype=np.float64)[None]
        return mean
