"""Advantage actor-critic (Mnih et al. 2016): one unclipped step over the whole rollout, on the batched path."""

from __future__ import annotations

from typing import Literal

from wealtharena.agents import families
from wealtharena.agents.specs import OnPolicySpec

ACTIONS, build = families.EVERY_KIND, families.on_policy


class AlgorithmSpec(OnPolicySpec):
    """A2C: PPO whose ratio is never clipped; one epoch over one batch makes it the plain policy gradient."""

    name: Literal["a2c"]
