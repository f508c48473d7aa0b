"""The learner: algorithm, network, compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from wealtharena.config.specs.base import Spec

if TYPE_CHECKING:
    from wealtharena.config.specs.experiment import ExperimentSpec


class AlgoSpec(Spec):
    """Base of every algorithm's spec, which stands in wealtharena/agents/algorithms/<name>.py as `AlgorithmSpec`."""

    name: str = Field(description="a file of wealtharena/agents/algorithms")
    learning_rate: float = Field(gt=0, le=1, description="step of the optimiser, the first where it falls")

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError where the algorithm cannot train what `spec` asks for, with actions of that kind."""

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return keys, or blocks of them, that this algorithm does not read as `spec` has it, each with why."""
        return {}

    def recorded(self) -> str | None:
        """Return the baseline whose record a training learns from; None where it learns from what it plays itself."""
        return None

    def least_rows(self) -> int:
        """Return how many observations an update passes through its networks at once, at the least."""
        return 1

    def passed(self) -> int:
        """Return how many observations have their numbers between layers in memory at once, over all of an update's networks."""
        return self.least_rows()

    def beside(self) -> int:
        """Return how many numbers an update lays beside its networks and observations, where they are many."""
        return 0

    def weights_kept(self, *, recurrent: bool) -> int:
        """Return how many copies of one network's weights stand in memory at the peak, as measured.

        Four of each network that learns: itself, its slope and two moments of the optimiser; one of each that follows
        another; and four of each that acts, which is copied, validated and kept. `recurrent` ones are one for actor and
        critic.
        """
        return 8

    def least_kept(self, spec: ExperimentSpec, *, bars: int, apart: bool) -> int:
        """Return how many observations stand in memory at once, at the least, an update's copies of them included.

        `bars` are those of the market; `apart` says that networks answer for each symbol by itself, from copies of their own.
        """
        return self.copied(apart=apart)

    def copied(self, *, apart: bool) -> int:
        """Return how many observations an update lays beside those that it draws from: its rows, for actor and critic again."""
        return self.least_rows() * (3 if apart else 1)


class ModelSpec(Spec):
    """The policy and value networks."""

    name: Literal["mlp", "gru", "lstm", "attention", "shared"] = Field(
        description="kind of network, a choice of model="
    )
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1, description="units of each hidden layer")
    activation: Literal["tanh", "relu", "silu"] = Field(description="between the layers")
    initial_log_std: float = Field(ge=-10, le=2, description="of the Gaussian action; small, since weights are traded")
    recurrent_size: int = Field(ge=1, description="units that gru and lstm remember with")
    sequence_bars: int = Field(ge=1, description="recurrent: bars of back-propagation through time")
    heads: int = Field(ge=1, description="attention: heads, which share the width of the last hidden layer")


class ComputeSpec(Spec):
    """Where rollouts and updates run."""

    name: Literal["local", "workers", "gpu", "cluster"] = Field(
        description="where a training runs, a choice of compute="
    )
    envs: int = Field(ge=1, description="environments stepped in one batch, on each runner")
    runners: int = Field(ge=0, description="remote rollout actors; 0 rolls out in the training process")
    learners: int = Field(
        ge=0, description="cluster: remote learners that update together; 0 learns in the training process"
    )
    torch_threads: int = Field(ge=0, description="0 takes the cores this process may use")
    address: str | None = Field(
        description="Ray cluster that this machine is of, auto or <head>:6379; null starts a local one where one is needed"
    )
    num_cpus: int = Field(ge=0, description="of a Ray started here; 0 takes the machine's")
