"""What every algorithm is to the training loop: an engine that can go on, stop, and come back.

`Workbench` is what an algorithm gets; `Engine` is what it gives. An algorithm's file has `AlgorithmSpec`, `ACTIONS`
(kinds of action that it can use, the preferred one first) and `build(bench) -> Engine`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from gymnasium.vector import AutoresetMode

from wealtharena.agents.memory import check_room
from wealtharena.agents.patience import ANSWER_SECONDS
from wealtharena.agents.specs import NoisySpec
from wealtharena.config import plugins
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.specs.tilt import LEAST_CLIP
from wealtharena.data.panel import Panel
from wealtharena.envs import actions
from wealtharena.envs.actions import Actions, Tilt, actions_of
from wealtharena.errors import ConfigError, TrainingError
from wealtharena.features.panel import Scaler

if TYPE_CHECKING:
    from wealtharena.agents.networks import Network
    from wealtharena.envs.market import Market
    from wealtharena.envs.vector_env import PortfolioVectorEnv

TESTED_RAY = ((2, 60), (2, 61))  # from, below


def require_tested_ray_version() -> None:
    """Raise TrainingError where the installed Ray is not one that the batched path was tested with."""
    installed = metadata.version("ray")
    parts = tuple(int(part) for part in installed.split(".")[:2])
    if not TESTED_RAY[0] <= parts < TESTED_RAY[1]:
        raise TrainingError(
            f"ray {installed} is installed, the training engine was tested with >=2.60,<2.61",
            hint='install it with pip install "ray[tune,rllib]>=2.60,<2.61"',
        )


def check_action(spec: ExperimentSpec) -> str:
    """Return the kind of action that the run uses: `env.action`, or what the algorithm prefers where that is auto.

    ConfigError names what to choose where the algorithm cannot use the kind that was asked for.
    """
    name = spec.algo.name
    usable: tuple[str, ...] = plugins.load("agents.algorithms", name).ACTIONS
    if not usable or any(kind not in actions.KINDS for kind in usable):
        told = f"ACTIONS is {usable}; choose from {', '.join(actions.KINDS)}"
        raise plugins.misused("agents.algorithms", name, told)
    if spec.env.action == "auto":
        return usable[0]
    if spec.env.action not in usable:
        others = " or ".join(f"env.action={kind}" for kind in (*usable, "auto"))
        raise ConfigError(f"algo={name} cannot use env.action={spec.env.action}", hint=f"choose {others}, or algo=ppo")
    return spec.env.action


def check_trainable(spec: ExperimentSpec) -> None:
    """Raise ConfigError where the algorithm cannot train what the spec asks for: its actions, model, settings, compute."""
    action = check_action(spec)
    spec.algo.check(spec, action=action)
    model = spec.model
    if model.name == "attention" and model.hidden[-1] % model.heads:
        raise ConfigError(
            f"model.heads={model.heads} does not divide the {model.hidden[-1]} units of the last layer of model.hidden",
            hint=f"try model.heads={math.gcd(model.hidden[-1], 2 ** (model.heads.bit_length() - 1))}",
        )
    if action == "tilt" and spec.features.clip < LEAST_CLIP:
        raise ConfigError(
            f"features.clip={spec.features.clip:g} cuts the weights of an anchor, which stand beside the features",
            hint=f"take features.clip={LEAST_CLIP:g} or more, or env.action=weights",
        )


@dataclass(frozen=True, eq=False)
class EnvFactory:
    """Makes vector environments over one market; picklable, and shares the market where it stands in Ray's store."""

    market: Any  # Market, or a ray.ObjectRef of one
    spec: EnvSpec
    segments: tuple[tuple[int, int], ...]

    def __deepcopy__(self, memo: Mapping[int, Any]) -> EnvFactory:
        return self  # RLlib copies configurations; the market in here is read-only and large

    def __call__(self, num_envs: int, autoreset: AutoresetMode = AutoresetMode.SAME_STEP) -> PortfolioVectorEnv:
        """Return `num_envs` environments that play the training segments only."""
        from wealtharena.envs.market import Market
        from wealtharena.envs.vector_env import PortfolioVectorEnv

        market = self.market
        if not isinstance(market, Market):
            import ray

            try:
                market = ray.get(market, timeout=ANSWER_SECONDS)
            except ray.exceptions.GetTimeoutError as error:
                raise TrainingError(
                    f"Ray's store has not handed over the market within {ANSWER_SECONDS:g} s",
                    hint="look at the network between the nodes of the cluster",
                ) from error
        return PortfolioVectorEnv(
            market, self.spec, num_envs=num_envs, segments=self.segments, autoreset_mode=autoreset
        )


@dataclass(frozen=True, eq=False)
class Workbench:
    """All that an algorithm needs: the job's spec, its market, the rows to learn from and the frozen scaler."""

    spec: ExperimentSpec
    env: EnvSpec  # with the action kind settled
    action: str
    market: Market
    segments: tuple[tuple[int, int], ...]
    scaler: Scaler
    panel: Panel  # the bars behind the market, for baselines
    env_steps: int
    warm: Path | None = None  # folder of a saved policy whose weights the network begins with

    def __post_init__(self) -> None:
        self.spec.algo.check(self.spec, action=self.action)
        check_room(self.spec, self.market.layout, self.market.length)

    @property
    def episodes(self) -> tuple[tuple[int, int], ...]:
        """Return the training segments in which an episode has a step: what lies between two tests may be shorter than a window."""
        playable = tuple((start, stop) for start, stop in self.segments if stop - start > self.env.window)
        return playable or self.segments

    @property
    def actions(self) -> Actions:
        """Return the kind of action over the market's symbols."""
        return actions_of(self.action, len(self.market.symbols), self.env.limits, self.market.layout)

    def network_factory(self, *, critic: bool = True) -> NetworkFactory:
        """Return what builds this job's network, the same weights for the same seed."""
        return NetworkFactory(self.spec, self.market.layout, self.action, critic, self.warm)


@dataclass(frozen=True, eq=False)
class NetworkFactory:
    """Builds the network of a job; picklable."""

    spec: ExperimentSpec
    layout: Any
    action: str
    critic: bool
    warm: Path | None = None

    def __call__(self) -> Network:
        """Return a fresh network, or one that begins with the weights of a saved policy."""
        from wealtharena.agents.networks import build_network

        limits = self.spec.env.limits
        network = build_network(
            self.spec.model, self.layout, limits, action=self.action, seed=self.spec.seed, critic=self.critic
        )
        algo = self.spec.algo
        if isinstance(algo, NoisySpec) and algo.tilt_log_std is not None and self.action == Tilt.name:
            assert network.log_std is not None
            network.log_std.data.fill_(algo.tilt_log_std)
        if self.warm is not None:
            warm_up(network, self.warm)
        return network


def warm_up(network: Network, folder: Path) -> None:
    """Give `network` the weights of the policy saved in `folder`; a part that the policy lacks (a critic) stays fresh.

    TrainingError where a part that both have is of another shape: other symbols, features or model.
    """
    import torch

    own = network.state_dict()
    saved = torch.load(folder / "weights.pt", weights_only=True, map_location="cpu")
    if not own.keys() & saved.keys():
        raise TrainingError(
            f"train.warm_start: {folder.name} holds no weights of this network (an ensemble has one for each member)",
            hint="retrain with train.warm_start=false",
        )
    for name in own.keys() & saved.keys():
        if own[name].shape != saved[name].shape:
            raise TrainingError(
                f"train.warm_start: {name} is {list(saved[name].shape)} in {folder.name} and {list(own[name].shape)} here",
                hint="retrain with train.warm_start=false",
            )
    network.load_state_dict({**own, **{name: saved[name] for name in own.keys() & saved.keys()}})


ENGINE_METHODS: Final = "iterate network get_state set_state close"


class Engine(Protocol):
    """A training under way."""

    env_steps: int  # taken so far

    def iterate(self) -> dict[str, float]:
        """Collect and learn once, so that `env_steps` has grown; return figures of the iteration, numbers by name.

        TrainingError where the loss or a parameter is no longer finite.
        """

    def network(self) -> Network:
        """Return the network as it is now; it is the engine's own and goes on changing."""

    def get_state(self) -> dict[str, Any]:
        """Return tensors and plain values that `set_state` goes on from, `env_steps` among them; nothing else is loaded again."""

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same job."""

    def close(self) -> None:
        """Let actors and environments go."""


@runtime_checkable
class Ensemble(Protocol):
    """What an engine is beside an `Engine` that trains several networks which act as their mean."""

    shrinks: bool  # whether a candidate keeps only what its validation gives evidence for

    def members(self) -> tuple[Network, ...]:
        """Return the networks as they act now, copies that no later update changes."""


@runtime_checkable
class Counting(Protocol):
    """What an engine is beside an `Engine` that may collect without learning: it counts, and its network is the same at the same count."""

    updates: int
