"""What each family of algorithms is asked for (no torch here: specs are read early)."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec
from wealtharena.config.specs.baseline import BaselineName


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


class AsyncSpec(AlgoSpec):
    """Actor-critics that learn from runners which may be a few updates behind, corrected by V-trace."""

    rollout_steps: int = Field(ge=2, description="environment steps an update, over all environments")
    fragment_bars: int = Field(ge=2, description="bars an environment plays before its steps are learned from")
    value_coefficient: float = Field(ge=0)
    entropy_coefficient: float = Field(ge=0)
    max_grad_norm: float | None = Field(gt=0)


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


class OfflineSpec(AlgoSpec):
    """Recording and updates; an environment step of an offline run is a recorded step that was learned from."""

    dataset: str | None = Field(
        description="recording (.npz): read where it exists, else written; null keeps it in memory"
    )
    record: BaselineName = Field(description="baseline that is recorded, such as momentum")
    passes: int = Field(ge=1, description="times that the baseline plays the training rows")
    noise: float = Field(
        ge=0, le=1, description="spread added to the recorded weights, so that other actions are seen too"
    )
    batch: int = Field(ge=1, description="recorded steps an update")
    updates: int = Field(ge=1, description="updates an iteration")
    tau: float = Field(
        gt=0, le=1, description="share of the online network that a target network takes over at each update"
    )
    max_grad_norm: float | None = Field(gt=0)
