"""Importance-weighted actor-learner (Espeholt et al. 2018), RLlib's own, over our vector environment."""

from __future__ import annotations

from typing import Literal

from wealtharena.agents.families import EVERY_KIND as ACTIONS
from wealtharena.agents.families import asynchronous as build
from wealtharena.agents.specs import AsyncSpec

__all__ = ["ACTIONS", "AlgorithmSpec", "build"]


class AlgorithmSpec(AsyncSpec):
    """IMPALA."""

    name: Literal["impala"]
