"""The answers of a policy that sees nothing of the account, for all bars at once: a validation in one pass.

Asked bar by bar, a small network costs ten times what it computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wealtharena.agents.policy import EnsemblePolicy, Trained
from wealtharena.envs.actions import Actions, Tilt, Weights, actions_of
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import Targets

if TYPE_CHECKING:
    from wealtharena.agents.networks.members import Members

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
    from wealtharena.agents.networks.members import Members

    answers = _answers(Members([member.network for member in members], first.model.activation), market, start, stop)
    if first.action == Weights.name:
        weights = np.zeros((market.length, len(market.symbols)))
        weights[start : stop - 1] = answers.mean(axis=0)
        if isinstance(policy, EnsemblePolicy):
            policy.spreads.append(answers.std(axis=0, dtype=np.float64).sum(axis=-1))
        return weights
    kind = actions_of(first.action, len(market.symbols), first.limits, market.layout)
    return _Answering(answers, kind, policy.spreads if isinstance(policy, EnsemblePolicy) else [])


def _answers(together: Members, market: Market, start: int, stop: int) -> npt.NDArray[np.float32]:
    """Return the actions [M, stop - 1 - start, A] of every member."""
    import torch

    from wealtharena.agents.direct.windows import seen

    shown = seen(market)[start : stop - 1]
    with torch.inference_mode():
        parts = [together.actions(shown[row : row + _ROWS]) for row in range(0, len(shown), _ROWS)]
        found: npt.NDArray[np.float32] = torch.cat(parts, dim=1).numpy()
    return found


class _Answering:
    """Turns actions that are known into orders, bar after bar: what is held is seen only then."""

    def __init__(self, answers: npt.NDArray[np.float32], kind: Actions, spreads: list[npt.NDArray[np.float64]]) -> None:
        self.answers, self.kind, self.spreads, self.at = answers, kind, spreads, 0
        self.out = np.empty((len(answers), answers.shape[-1]), np.float32)

    def __call__(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        actions = np.ascontiguousarray(self.answers[:, self.at])
        self.at += 1
        seen = np.broadcast_to(observation, (len(actions), observation.shape[1]))
        orders = self.kind.weights(actions, seen, self.out)
        mean: npt.NDArray[np.float64] = orders.mean(axis=0, dtype=np.float64)[None]
        self.spreads.append(orders.std(axis=0, dtype=np.float64).sum(keepdims=True))
        return mean
