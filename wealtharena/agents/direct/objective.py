"""What a policy is to be good at, as a differentiable number of the returns that it made."""

from __future__ import annotations

import math
from typing import Final, Literal

import torch
from torch import Tensor

ObjectiveName = Literal["sharpe", "soft_minimum", "mean_variance"]
FLOOR: Final = 1e-5  # spread a bar below which a Sharpe ratio says nothing: holding nothing is 0 and not infinite


def objective(name: ObjectiveName, returns: Tensor, *, temperature: float, risk_aversion: float) -> Tensor:
    """Return what each member [M] is worth a bar, for excess returns [n, M, W] of n bars in W windows.

    `sharpe` is that of all windows together. `soft_minimum` is -temperature log mean exp(-S / temperature) over the
    windows' own Sharpe ratios S: the smaller the temperature, the more the worst window counts. `mean_variance` is
    mean - risk_aversion / 2 variance, in the units of a bar's return.
    """
    pooled = returns.transpose(0, 1).flatten(1)
    if name == "mean_variance":
        return pooled.mean(dim=1) - 0.5 * risk_aversion * pooled.var(dim=1, correction=0)
    if name == "sharpe":
        return _sharpe(pooled, dim=1)
    ratios = _sharpe(returns, dim=0)
    return -temperature * (torch.logsumexp(-ratios / temperature, dim=1) - math.log(ratios.shape[1]))


def _sharpe(returns: Tensor, *, dim: int) -> Tensor:
    """Return the Sharpe ratio a bar."""
    return returns.mean(dim=dim) / (returns.var(dim=dim, correction=0) + FLOOR * FLOOR).sqrt()
