"""What RLlib's asynchronous algorithms are asked for (no torch here: specs are read early)."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec


class AsyncSpec(AlgoSpec):
    """Actor-critics that learn from runners which may be a few updates behind, corrected by V-trace."""

    rollout_steps: int = Field(ge=2, description="environment steps an update, over all environments")
    fragment_bars: int = Field(ge=2, description="bars an environment plays before its steps are learned from")
    value_coefficient: float = Field(ge=0)
    entropy_coefficient: float = Field(ge=0)
    max_grad_norm: float | None = Field(gt=0)
