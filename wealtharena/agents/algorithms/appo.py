"""Asynchronous PPO, RLlib's own, over our vector environment: IMPALA with a clipped ratio to a target network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wealtharena.agents.families import EVERY_KIND as ACTIONS
from wealtharena.agents.families import asynchronous as build
from wealtharena.agents.specs import AsyncSpec

__all__ = ["ACTIONS", "AlgorithmSpec", "build"]


class AlgorithmSpec(AsyncSpec):
    """APPO."""

    name: Literal["appo"]
    clip: float = Field(gt=0, lt=1, description="largest change of the probability ratio, as a share")
