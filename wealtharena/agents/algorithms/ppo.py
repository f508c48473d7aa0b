"""Proximal policy optimisation (Schulman et al. 2017) on the batched path."""

from __future__ import annotations

from typing import Literal

from wealtharena.agents.families import EVERY_KIND as ACTIONS
from wealtharena.agents.families import on_policy as build
from wealtharena.agents.specs import OnPolicySpec

__all__ = ["ACTIONS", "AlgorithmSpec", "build"]


class AlgorithmSpec(OnPolicySpec):
    """PPO with a clipped ratio."""

    name: Literal["ppo"]
