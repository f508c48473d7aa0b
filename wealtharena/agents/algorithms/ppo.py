"""Proximal policy optimisation (Schulman et al. 2017) on the batched path."""

from __future__ import annotations

from typing import Literal

from wealtharena.agents import families
from wealtharena.agents.specs import OnPolicySpec

ACTIONS, build = families.EVERY_KIND, families.on_policy


class AlgorithmSpec(OnPolicySpec):
    """PPO with a clipped ratio."""

    name: Literal["ppo"]
