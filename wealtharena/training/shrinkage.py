"""How much of what a policy does beside its anchor is kept: as much as its validation gives evidence for.

The anchor is what the same network answers where its last layer gives zero.
"""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from wealtharena.agents.networks.members import Members, actor_of
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Trained
from wealtharena.training.job import LEARNED, LEARNED_T

_HALVINGS: Final = 20


def kept_share(returns: npt.NDArray[np.float64], anchor: npt.NDArray[np.float64]) -> float:
    """Return lambda = max(0, 1 - SE^2 / d^2) of paired returns a bar, 0 where their mean difference d is not positive.

    It is the positive-part shrinkage of an estimate with standard error SE towards 0 (James and Stein 1961).
    """
    difference = returns - anchor
    mean = float(difference.mean())
    if len(difference) < 2 or not mean > 0.0:
        return 0.0
    variance = float(difference.var(ddof=1)) / len(difference)
    return max(0.0, 1.0 - variance / mean**2)


def evidence(
    returns: npt.NDArray[np.float64], anchor: npt.NDArray[np.float64], *, bars_per_year: float
) -> dict[str, float]:
    """Return what `kept_share` goes by, in figures that people know: d a year, as a share, and t = d / SE; NaN without a spread."""
    difference = returns - anchor
    mean = float(difference.mean()) if len(difference) else math.nan
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return {LEARNED: mean * bars_per_year, LEARNED_T: mean / error if error > 0.0 else math.nan}


def shrunk(policy: Trained, share: float, *, shown: torch.Tensor | None = None) -> Trained:
    """Return a policy whose actions are the share of this one's, in mean size where it sees the features `shown` [N, A, I].

    Its last layer is scaled, for that alone stands in every graph. Large outputs lie flat within their tanh, so that the
    scale is found on what is shown and is smaller than the share. A share of 0 is the anchor itself, and of 1 the policy.
    """
    members = policy.members if isinstance(policy, EnsemblePolicy) else [policy]
    factor = share
    if 0.0 < share < 1.0:
        assert shown is not None, "what is kept of a policy depends on what it sees"
        factor = _factor(Members([one.network for one in members], members[0].model.activation), share, shown)
    scaled = [_scaled(one, factor) for one in members]
    return EnsemblePolicy(scaled, name=policy.name) if isinstance(policy, EnsemblePolicy) else scaled[0]


def share_left(policy: object) -> float | None:
    """Return 0 for a policy that a share of 0 leaves, whose last layer gives zero whatever it sees; None where none is told."""
    members = policy.members if isinstance(policy, EnsemblePolicy) else [policy]
    nothing = all(
        isinstance(one, NetworkPolicy) and one.model.name == "shared" and not any(map(torch.any, _last(one)))
        for one in members
    )
    return 0.0 if nothing else None


def _last(policy: NetworkPolicy) -> tuple[torch.Tensor, torch.Tensor]:
    last = actor_of(policy.network).layers()[-1]
    return last.weight, last.bias


@torch.inference_mode()
def _factor(members: Members, share: float, shown: torch.Tensor) -> float:
    """Return what the outputs are multiplied by so that the mean size of their tanh is the share of what it was."""
    raw = members(shown.flatten(0, 1)[None]).abs()
    wanted, low, high = share * float(raw.tanh().mean(dtype=torch.float64)), 0.0, share  # tanh is concave
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if float((middle * raw).tanh().mean(dtype=torch.float64)) < wanted:
            low = middle
        else:
            high = middle
    return high


def _scaled(policy: NetworkPolicy, factor: float) -> NetworkPolicy:
    network = copy.deepcopy(policy.network)
    with torch.no_grad():
        for tensor in _last(found := replace(policy, network=network)):
            tensor.mul_(factor)
    return found
