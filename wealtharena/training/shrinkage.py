"""How much of what a policy does beside its anchor is kept: as much as its validation gives evidence for.

The anchor is what the same network answers where its last layer gives zero.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from wealtharena.agents.networks.members import actor_of
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Trained


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


def shrunk(policy: Trained, share: float) -> Trained:
    """Return a policy whose last layer gives the share of what this one's gives; 0 is the anchor itself."""
    if isinstance(policy, EnsemblePolicy):
        return EnsemblePolicy([_shrunk(member, share) for member in policy.members], name=policy.name)
    return _shrunk(policy, share)


def _shrunk(policy: NetworkPolicy, share: float) -> NetworkPolicy:
    network = copy.deepcopy(policy.network)
    with torch.no_grad():
        last = actor_of(network).layers()[-1]
        last.weight.mul_(share)
        last.bias.mul_(share)
    return replace(policy, network=network)
