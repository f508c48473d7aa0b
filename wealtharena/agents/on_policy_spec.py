"""What every algorithm that learns from its latest rollout is asked for (no torch here: specs are read early)."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec


class OnPolicySpec(AlgoSpec):
    """Hyperparameters of PPO and its relatives."""

    final_learning_rate: float = Field(ge=0, le=1, description="reached linearly at the last step")
    gae_lambda: float = Field(ge=0, le=1, description="1 trusts measured rewards only, 0 the value network only")
    rollout_steps: int = Field(ge=2, description="environment steps an iteration, over all environments")
    epochs: int = Field(ge=1, le=100)
    minibatch: int | None = Field(ge=1, description="steps; null takes the whole rollout")
    clip: float | None = Field(
        gt=0, lt=1, description="largest change of the probability ratio, as a share; null: none"
    )
    value_coefficient: float = Field(ge=0)
    value_clip: float | None = Field(gt=0, description="largest squared value error that counts; null: no limit")
    entropy_coefficient: float = Field(ge=0)
    max_grad_norm: float | None = Field(gt=0)
    target_kl: float | None = Field(gt=0, description="no further epoch once the mean KL estimate has passed it")
