"""What every algorithm that learns from recorded trajectories is asked for (no torch here: specs are read early)."""

from __future__ import annotations

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec


class OfflineSpec(AlgoSpec):
    """Recording and updates; an environment step of an offline run is a recorded step that was learned from."""

    dataset: str | None = Field(
        description="recording (.npz): read where it exists, else written; null keeps it in memory"
    )
    record: str = Field(description="baseline that is recorded, such as momentum")
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
