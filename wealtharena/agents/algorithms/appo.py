"""Asynchronous PPO, RLlib's own, over our vector environment: IMPALA with a clipped ratio to a target network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wealtharena.agents import families
from wealtharena.agents.specs import AsyncSpec

ACTIONS, build = families.EVERY_KIND, families.asynchronous


class AlgorithmSpec(AsyncSpec):
    """APPO."""

    name: Literal["appo"]
    clip: float = Field(gt=0, lt=1, description="largest change of the probability ratio, as a share")
