"""What each family of algorithms is asked for (no torch here: specs are read early)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec
from wealtharena.config.specs.baseline import BaselineName


class DiscountedSpec(AlgoSpec):
    """What every algorithm is asked for that learns from rewards, bar by bar."""

    gamma: float = Field(ge=0, lt=1, description="discount a bar")


class NoisySpec(DiscountedSpec):
    """What algorithms are asked for that explore by noise around the policy's own action."""

    tilt_log_std: float | None = Field(
        ge=-10, le=2, description="tilt: log spread of the action at the begin; null takes model.initial_log_std"
    )
    reward_less_anchor: bool = Field(
        description="tilt: learn from the reward less what the anchor is paid for the same bar"
    )
    dropout: float = Field(ge=0, lt=1, description="model=shared: share of the actor's units left out in updates")


class OnPolicySpec(NoisySpec):
    """Hyperparameters of PPO and its relatives."""

    final_learning_rate: float = Field(ge=0, le=1, description="reached linearly at the last step")
    gae_lambda: float = Field(ge=0, le=1, description="1 trusts measured rewards only, 0 the value network only")
    rollout_steps: int = Field(ge=2, description="environment steps an iteration, over all environments")
    epochs: int = Field(ge=1, le=100, description="passes over a rollout")
    minibatch: int | None = Field(ge=1, description="steps; null takes the whole rollout")
    clip: float | None = Field(
        gt=0, lt=1, description="largest change of the probability ratio, as a share; null: none"
    )
    value_coefficient: float = Field(ge=0, description="weight of the value network's loss")
    value_clip: float | None = Field(gt=0, description="largest squared value error that counts; null: no limit")
    entropy_coefficient: float = Field(ge=0, description="weight of the entropy that is added to the objective")
    max_grad_norm: float | None = Field(gt=0, description="gradients longer than this are shortened; null: none")
    target_kl: float | None = Field(gt=0, description="no further epoch once the mean KL estimate has passed it")
    common_starts: int = Field(
        ge=1, description="environments that begin episodes at the same bar and learn from what they differ by; 1: none"
    )


class AsyncSpec(DiscountedSpec):
    """Actor-critics that learn from runners which may be a few updates behind, corrected by V-trace."""

    rollout_steps: int = Field(ge=2, description="environment steps an update, over all environments")
    fragment_bars: int = Field(ge=2, description="bars an environment plays before its steps are learned from")
    value_coefficient: float = Field(ge=0, description="weight of the value network's loss")
    entropy_coefficient: float = Field(ge=0, description="weight of the entropy that is added to the objective")
    max_grad_norm: float | None = Field(gt=0, description="gradients longer than this are shortened; null: none")


class OffPolicySpec(DiscountedSpec):
    """What every off-policy algorithm is asked for."""

    rollout_steps: int = Field(ge=1, description="environment steps an iteration, over all environments")
    updates_per_step: float = Field(gt=0, le=10, description="gradient updates for each environment step")
    batch: int = Field(ge=1, description="steps an update")
    buffer: int = Field(ge=1, description="steps remembered")
    learning_starts: int = Field(ge=0, description="steps collected before the first update")
    tau: float = Field(
        gt=0, le=1, description="share of the online network that the target network takes over at each update"
    )
    max_grad_norm: float | None = Field(gt=0, description="gradients longer than this are shortened; null: none")


class SoftSpec(OffPolicySpec, NoisySpec):
    """What actors with a temperature are asked for beside that."""

    initial_alpha: float = Field(gt=0, description="temperature: what a unit of entropy is worth in reward")
    alpha_learning_rate: float = Field(ge=0, le=1, description="0 keeps the temperature")
    target_entropy: float = Field(description="of the action, for each symbol; -1 is a spread of about 0.09 in weight")


class OfflineSpec(DiscountedSpec):
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
    max_grad_norm: float | None = Field(gt=0, description="gradients longer than this are shortened; null: none")


class DirectSpec(AlgoSpec):
    """The gradient through the account; an environment step is a bar of a window, counted once for all members."""

    final_learning_rate: float = Field(ge=0, le=1, description="reached linearly at the last step")
    members: int = Field(ge=1, le=64, description="networks that learn side by side and act as their mean")
    windows: int = Field(ge=1, description="windows of bars an update, for each member its own")
    window_bars: int = Field(ge=2, description="bars of a window that are learned from")
    burn_in_bars: int = Field(ge=0, description="bars before them in which the account leaves cash")
    updates: int = Field(ge=1, description="an iteration")
    objective: Literal["sharpe", "soft_minimum", "mean_variance"] = Field(
        description="of the excess returns after costs: of all windows together, or the worst windows' Sharpe"
    )
    temperature: float = Field(gt=0, description="soft_minimum: in units of a bar's Sharpe ratio; small is the minimum")
    risk_aversion: float = Field(ge=0, description="mean_variance")
    turnover_penalty: float = Field(ge=0, le=1, description="charged a unit of traded value, in training only")
    weight_decay: float = Field(ge=0, description="decoupled from the gradient, times the learning rate")
    dropout: float = Field(ge=0, lt=1, description="share of hidden units left out in training")
    averaging: float = Field(ge=0, lt=1, description="how much of the averaged weights stays at an update; 0: none")
    shrink: bool = Field(description="keep only the share of the policy that its validation gives evidence for")
