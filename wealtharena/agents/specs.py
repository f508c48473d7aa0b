"""What each family of algorithms is asked for (no torch here: specs are read early)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from wealtharena.config.specs.agent import AlgoSpec
from wealtharena.config.specs.baseline import BaselineName
from wealtharena.errors import ConfigError

if TYPE_CHECKING:
    from wealtharena.config.specs.experiment import ExperimentSpec


def _require_memoryless(spec: ExperimentSpec) -> None:
    """Raise ConfigError where the model has memory, which replayed single steps cannot train."""
    if spec.model.name in ("gru", "lstm"):
        raise ConfigError(
            f"algo={spec.algo.name} cannot train model={spec.model.name}",
            hint="choose model=mlp or model=attention, or algo=ppo",
        )


def _require_own_process(spec: ExperimentSpec) -> None:
    """Raise ConfigError where others are to roll out or learn, or a GPU is: the algorithm does both here, on the CPU."""
    compute = spec.compute  # a trial on a cluster asks for none of them
    if compute.name == "gpu" or compute.runners or compute.learners:
        asked = [f"compute.{key}={n}" for key in ("runners", "learners") if (n := getattr(compute, key))]
        shown = f"compute={compute.name}" if compute.name != "local" else " ".join(asked)
        raise ConfigError(
            f"algo={spec.algo.name} cannot use {shown}: it rolls out and learns in the training process, on its CPU",
            hint=f"choose compute=local{' compute.runners=0 compute.learners=0' if compute.name == 'local' else ''}, or algo=ppo",
        )


def _without_ray(spec: ExperimentSpec) -> dict[str, str]:
    """Return the keys of a Ray, where neither runners nor learners ask for one."""
    if spec.compute.runners or spec.compute.learners:
        return {}
    why = f"algo={spec.algo.name} learns in this process, and starts no Ray"
    return dict.fromkeys(("compute.address", "compute.num_cpus"), why)


# copies of the weights of two critics that learn and of two that follow, as `weights_kept` counts
CRITICS_KEPT: Final = 2 * (4 + 1)
SOFT_LOG_STD: Final = (-5.0, 1.0)  # between which a soft actor's log spread stays
VALUE_ROWS = 4096  # of one pass for values: large enough for the matrix product, small enough for the cache


def envs_of(most: int, rollout_steps: int) -> int:
    """Return how many environments a runner plays at once, at most `most`: a rollout has two bars of each at least."""
    return max(1, min(most, rollout_steps // 2))


def rollout_rows(most: int, rollout_steps: int) -> int:
    """Return how many observations a rollout has: its whole bars of `envs_of` environments, and what follows the last."""
    envs = envs_of(most, rollout_steps)
    return (rollout_steps // envs + 1) * envs


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

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for dropout of another model than `shared`, and for rewards less an anchor that is not there."""
        super().check(spec, action=action)
        if self.dropout and spec.model.name != "shared":
            raise ConfigError(
                f"algo.dropout={self.dropout:g} leaves out units of model=shared only, and model={spec.model.name}",
                hint="choose model=shared, or algo.dropout=0",
            )
        if self.reward_less_anchor and action != "tilt":
            raise ConfigError(
                f"algo.reward_less_anchor=true needs an anchor, and env.action={action} has none",
                hint="choose env.action=tilt, or algo.reward_less_anchor=false",
            )

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return the keys that actions of that kind have no use for."""
        found = super().unread(spec, action=action)
        if action != "tilt":
            found["algo.tilt_log_std"] = f"env.action={action} is no tilt; model.initial_log_std is its spread"
        elif self.tilt_log_std is not None:
            found["model.initial_log_std"] = "algo.tilt_log_std stands instead of it"
        return found


class OnPolicySpec(NoisySpec):
    """Hyperparameters of PPO and its relatives."""

    final_learning_rate: float = Field(ge=0, le=1, description="reached linearly at the last step")
    gae_lambda: float = Field(ge=0, le=1, description="1 trusts measured rewards only, 0 the value network only")
    rollout_steps: int = Field(ge=2, description="environment steps an iteration, over all environments")
    epochs: int = Field(ge=1, le=100, description="passes over a rollout")
    minibatch: int | None = Field(ge=1, description="steps at most; null takes the whole rollout")
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

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return also the keys of a Ray that is not there."""
        return super().unread(spec, action=action) | _without_ray(spec)

    def least_rows(self) -> int:
        """Return the rows of a minibatch."""
        return min(self.minibatch or self.rollout_steps, self.rollout_steps)

    def passed(self) -> int:
        """Return the rows of a minibatch, and of one pass for values before it."""
        return self.least_rows() + min(VALUE_ROWS, self.rollout_steps)

    def weights_kept(self, *, recurrent: bool) -> int:
        """Return those of actor and critic."""
        return super().weights_kept(recurrent=recurrent) * (1 if recurrent else 2)

    def least_kept(self, spec: ExperimentSpec, *, bars: int, apart: bool) -> int:
        """Return those of a rollout, with the bar after it and what ended episodes saw last, and an update's copies.

        Stretches of bars are copies of a whole rollout, and so is what comes from runners of Ray.
        """
        rows, runners = rollout_rows(spec.compute.envs, self.rollout_steps), spec.compute.runners
        ended = 2 * self.rollout_steps // (spec.env.episode_bars or bars)
        if runners:
            there = 0 if spec.compute.address else rows
            rows, ended = there + self.rollout_steps * (1 + (runners > 1)), 0
        elif spec.model.name in ("gru", "lstm"):
            rows *= 2
        valued = min(VALUE_ROWS, self.rollout_steps) if apart else 0
        return rows + ended + max(self.copied(apart=apart), valued)

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for groups that do not fit a runner, and for learners that whole rollouts cannot use."""
        super().check(spec, action=action)
        compute, envs = spec.compute, envs_of(spec.compute.envs, self.rollout_steps)
        if envs % self.common_starts:
            raise ConfigError(
                f"algo.common_starts={self.common_starts} does not divide the {envs} environments of a runner",
                hint=f"try compute.envs={self.common_starts * max(1, envs // self.common_starts)}",
            )
        if not compute.runners and (compute.learners or compute.name == "gpu"):
            asked = "compute=gpu" if compute.name == "gpu" else f"compute.learners={compute.learners}"
            raise ConfigError(
                f"{asked} needs runners: with compute.runners=0 algo={self.name} learns in this process, on its CPU",
                hint="choose compute=local compute.learners=0, or, outside of a search, compute.runners=2",
            )
        if compute.learners > 1:  # each would make the same updates from the same rollouts
            raise ConfigError(
                f"compute.learners={compute.learners}: PPO and A2C update on the whole rollout at once, in one learner",
                hint="try compute.learners=1 and more compute.runners, or algo=impala or algo=appo, which share the work",
            )


class AsyncSpec(DiscountedSpec):
    """Actor-critics that learn from runners which may be a few updates behind, corrected by V-trace."""

    rollout_steps: int = Field(ge=2, description="environment steps an update, over all environments")
    fragment_bars: int = Field(ge=2, description="bars an environment plays before its steps are learned from")
    value_coefficient: float = Field(ge=0, description="weight of the value network's loss")
    entropy_coefficient: float = Field(ge=0, description="weight of the entropy that is added to the objective")
    max_grad_norm: float | None = Field(gt=0, description="gradients longer than this are shortened; null: none")

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for a model with memory."""
        super().check(spec, action=action)
        _require_memoryless(spec)


class _Batched:
    """What batches of remembered or recorded steps take."""

    batch: int

    def least_rows(self) -> int:
        """Return the rows of a batch."""
        return self.batch

    def copied(self, *, apart: bool) -> int:
        """Return the rows of a batch, each beside the one that followed, and what two critics and the actor lay beside actions."""
        return 5 * self.batch

    def passed(self) -> int:
        """Return the rows that actor and critics pass."""
        return self.copied(apart=True)


def require_soft_spread(spec: ExperimentSpec, *, action: str) -> None:
    """Raise ConfigError where a soft actor would begin with a spread outside of what it learns within."""
    key, asked = "model.initial_log_std", spec.model.initial_log_std
    if action == "tilt" and isinstance(spec.algo, NoisySpec) and spec.algo.tilt_log_std is not None:
        key, asked = "algo.tilt_log_std", spec.algo.tilt_log_std
    least, most = SOFT_LOG_STD
    if not least <= asked <= most:
        raise ConfigError(
            f"{key}={asked:g}: algo={spec.algo.name} keeps the log spread of its actions between {least:g} and {most:g}",
            hint=f"try {key}={min(max(asked, least), most):g}",
        )


class OffPolicySpec(_Batched, DiscountedSpec):
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

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return also the keys of a Ray that is not there."""
        return super().unread(spec, action=action) | _without_ray(spec)

    def least_kept(self, spec: ExperimentSpec, *, bars: int, apart: bool) -> int:
        """Return those of a rollout, those remembered in the end, each beside the one that followed, and a batch's copies.

        A training that may run out of patience may end with its first rollout.
        """
        steps = spec.train.env_steps if spec.train.patience is None else 0
        remembered = min(self.buffer, max(steps, self.rollout_steps))
        return rollout_rows(spec.compute.envs, self.rollout_steps) + 2 * remembered + self.copied(apart=apart)

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for a model with memory, and for anything but this process."""
        super().check(spec, action=action)
        _require_memoryless(spec)
        _require_own_process(spec)


class SoftSpec(OffPolicySpec, NoisySpec):
    """What actors with a temperature are asked for beside that."""

    initial_alpha: float = Field(gt=0, description="temperature: what a unit of entropy is worth in reward")
    alpha_learning_rate: float = Field(ge=0, le=1, description="0 keeps the temperature")
    target_entropy: float = Field(
        le=0.6,
        description="of the action, for each symbol; -1 is a spread of about 0.09 in weight, 0.68 the most there is",
    )

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for a spread to begin with that cannot be learned from."""
        super().check(spec, action=action)
        require_soft_spread(spec, action=action)

    def weights_kept(self, *, recurrent: bool) -> int:
        """Return those of an actor and two critics that learn, and of two that follow them."""
        return super().weights_kept(recurrent=recurrent) + CRITICS_KEPT


_PLAYED_WHOLE: Final = "a recording plays the training rows from the first to the last"


class OfflineSpec(_Batched, DiscountedSpec):
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
    updates: int = Field(ge=1, le=10_000, description="updates an iteration")
    tau: float = Field(
        gt=0, le=1, description="share of the online network that a target network takes over at each update"
    )
    max_grad_norm: float | None = Field(gt=0, description="gradients longer than this are shortened; null: none")

    def recorded(self) -> str:
        """Return the baseline that is recorded."""
        return self.record

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return the keys of episodes, which are of those that play while they learn."""
        found = super().unread(spec, action=action) | _without_ray(spec)
        return found | dict.fromkeys(("env.episode_bars", "env.random_start", "compute.envs"), _PLAYED_WHOLE)

    def least_kept(self, spec: ExperimentSpec, *, bars: int, apart: bool) -> int:
        """Return those recorded, each beside the one that followed, twice while the passes are laid together."""
        recorded = 2 * bars * self.passes
        return recorded + max(recorded, self.copied(apart=apart))

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also for a model with memory, anything but this process, and one recording for several folds."""
        super().check(spec, action=action)
        _require_memoryless(spec)
        _require_own_process(spec)
        if self.dataset is not None and spec.split.name != "holdout":
            raise ConfigError(
                f"algo.dataset={self.dataset} holds the training rows of one fold, and split={spec.split.name} has several",
                hint="leave algo.dataset out, or choose split=holdout",
            )


class DirectSpec(AlgoSpec):
    """The gradient through the account; an environment step is a bar of a window, counted once for all members."""

    final_learning_rate: float = Field(ge=0, le=1, description="reached linearly at the last step")
    members: int = Field(ge=1, le=64, description="networks that learn side by side and act as their mean")
    windows: int = Field(ge=1, description="windows of bars an update, for each member its own")
    window_bars: int = Field(ge=2, description="bars of a window that are learned from")
    burn_in_bars: int = Field(
        ge=0, description="bars before them in which the account settles: from cash, or under a tilt from the anchor"
    )
    updates: int = Field(ge=1, le=10_000, description="an iteration")
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

    def unread(self, spec: ExperimentSpec, *, action: str) -> dict[str, str]:
        """Return the keys of rewards, episodes and noise, and those of other objectives than the one chosen."""
        found = {
            **super().unread(spec, action=action),
            **_without_ray(spec),
            "reward": f"algo={self.name} learns by algo.objective",
            **dict.fromkeys(
                ("env.episode_bars", "env.random_start", "compute.envs"),
                f"algo={self.name} learns from algo.windows of algo.window_bars",
            ),
            "model.initial_log_std": f"algo={self.name} explores without noise",
        }
        for key, objective in (("temperature", "soft_minimum"), ("risk_aversion", "mean_variance")):
            if self.objective != objective:
                found[f"algo.{key}"] = f"algo.objective={self.objective} does not read it, {objective} does"
        return found

    def least_rows(self) -> int:
        """Return the bars of all windows of all members that are learned from."""
        return self.members * self.windows * self.window_bars

    def least_kept(self, spec: ExperimentSpec, *, bars: int, apart: bool) -> int:
        """Return the market's, beside those of the windows or two more copies while a validation is played."""
        shown = self.members * self.windows * (self.burn_in_bars + self.window_bars)
        return bars + max(2 * bars, shown)

    def weights_kept(self, *, recurrent: bool) -> int:
        """Return those of the members, with what is averaged, shrunk and set against its anchor of each."""
        return (super().weights_kept(recurrent=recurrent) + 4) * self.members

    def check(self, spec: ExperimentSpec, *, action: str) -> None:
        """Raise ConfigError also where the model reads the account, or where the computation is to be spread out."""
        super().check(spec, action=action)
        model, compute = spec.model.name, spec.compute
        if model != "shared":
            raise ConfigError(
                f"algo={self.name} cannot train model={model}: it needs a network that sees features only",
                hint="choose model=shared, or algo=ppo",
            )
        if compute.runners and not compute.learners and compute.name != "gpu":
            asked = f"compute.runners={compute.runners}" if compute.name == "local" else f"compute={compute.name}"
            raise ConfigError(
                f"algo={self.name} cannot use {asked}: it has nothing to roll out",
                hint="choose compute=local or compute=gpu, or compute.learners=2 for learners in actors of their own",
            )
        if compute.name == "gpu" and compute.learners:
            raise ConfigError(
                f"algo={self.name} with compute=gpu learns in this process, and not in compute.learners={compute.learners}",
                hint="choose compute.learners=0, or compute=cluster without a GPU",
            )
