"""Advantage actor-critic (Mnih et al. 2016): one unclipped step over the whole rollout, on the batched path."""

from __future__ import annotations

from typing import Literal

from wealtharena.agents.families import EVERY_KIND as ACTIONS
from wealtharena.agents.families import on_policy as build
from wealtharena.agents.specs import OnPolicySpec

__all__ = ["ACTIONS", "AlgorithmSpec", "build"]


class AlgorithmSpec(OnPolicySpec):
    """A2C: PPO whose ratio is never clipped; one epoch over one batch makes it the plain policy gradient."""

    name: Literal["a2c"]
