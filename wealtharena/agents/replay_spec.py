"""What every algorithm that learns from remembered steps is asked for (no torch here: specs are read early)."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec


class OffPolicySpec(AlgoSpec):
    """What every off-policy algorithm is asked for."""

    rollout_steps: int = Field(ge=1, description="environment steps an iteration, over all environments")
    updates_per_step: float = Field(gt=0, le=10, description="gradient updates for each environment step")
    batch: int = Field(ge=1, description="steps an update")
    buffer: int = Field(ge=1, description="steps remembered")
    learning_starts: int = Field(ge=0, description="steps collected before the first update")
    tau: float = Field(
        gt=0, le=1, description="share of the online network that the target network takes over at each update"
    )
    max_grad_norm: float | None = Field(gt=0)


class SoftSpec(OffPolicySpec):
    """What actors with a temperature are asked for beside that."""

    initial_alpha: float = Field(gt=0, description="temperature: what a unit of entropy is worth in reward")
    alpha_learning_rate: float = Field(ge=0, le=1, description="0 keeps the temperature")
    target_entropy: float = Field(description="of the action, for each symbol; -1 is a spread of about 0.09 in weight")
