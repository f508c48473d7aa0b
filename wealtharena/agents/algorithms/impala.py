"""Importance-weighted actor-learner (Espeholt et al. 2018), RLlib's own, over our vector environment."""

from __future__ import annotations

from typing import Literal

from wealtharena.agents import families
from wealtharena.agents.specs import AsyncSpec

ACTIONS, build = families.EVERY_KIND, families.asynchronous


class AlgorithmSpec(AsyncSpec):
    """IMPALA."""

    name: Literal["impala"]
