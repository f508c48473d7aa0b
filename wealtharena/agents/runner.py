"""The runner: RLlib's EnvRunner over the batched rollout, so that the same code runs in this process and in actors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from ray.rllib.env.env_runner import EnvRunner

from wealtharena.agents import footing
from wealtharena.agents.engine import EnvFactory, Workbench
from wealtharena.agents.exploring import Drawn
from wealtharena.agents.networks import Network
from wealtharena.agents.rollout import EpisodeTally, Explorer, Rollout, RolloutBuffers, collect
from wealtharena.agents.specs import NoisySpec, OnPolicySpec, envs_of
from wealtharena.envs.vector_env import PortfolioVectorEnv

ACCOUNTS = ("units", "state", "clock", "rng")  # of the environments' engine


@dataclass(frozen=True, eq=False)
class RunnerSetup:
    """What a runner builds itself from; it travels to remote actors inside RLlib's `env_config`.

    `make_env(num_envs)` and `make_network()` are picklable; the market behind the first one is shared.
    """

    make_env: Callable[[int], PortfolioVectorEnv]
    make_network: Callable[[], Network]
    envs: int
    bars: int
    stretch: int
    seed: int
    threads: int
    explorer: Explorer = field(default_factory=Drawn)
    anchor_rewards: npt.NDArray[np.float32] | None = None  # [T] taken off rewards, by the bar that a step begins at
    group: int = 1  # environments that begin episodes together and learn from what they differ by

    def __deepcopy__(self, memo: Mapping[int, Any]) -> RunnerSetup:
        return self  # RLlib copies configurations; the market in here is read-only and large


def runner_setup(
    bench: Workbench, *, market: Any, rollout_steps: int, critic: bool = True, explorer: Explorer | None = None
) -> RunnerSetup:
    """Return what runners build themselves from; each plays its share of `rollout_steps` in whole stretches."""
    algo, compute, stretch = bench.spec.algo, bench.spec.compute, bench.spec.model.sequence_bars
    envs = envs_of(compute.envs, rollout_steps)
    bars = max(1, -(-rollout_steps // (envs * max(1, compute.runners))))
    if bench.spec.model.name in ("gru", "lstm"):
        bars = -(-bars // stretch) * stretch
    return RunnerSetup(
        make_env=EnvFactory(market, bench.env, bench.episodes),
        make_network=bench.network_factory(critic=critic),
        envs=envs,
        bars=bars,
        stretch=stretch,
        seed=bench.spec.seed,
        threads=1,
        explorer=explorer or Drawn(),
        anchor_rewards=footing.anchor_rewards(bench.market, bench.env, bench.episodes)
        if isinstance(algo, NoisySpec) and algo.reward_less_anchor
        else None,
        group=algo.common_starts if isinstance(algo, OnPolicySpec) else 1,
    )


class Outspoken:
    """A remote runner that hands over what it raises (`patience.let_runners_raise`): RLlib's own ends its process with it."""

    def apply(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Return `func(self, ...)`."""
        return func(self, *args, **kwargs)


class BatchedEnvRunner(Outspoken, EnvRunner):
    """RLlib's EnvRunner over one vector environment; `sample()` returns a `Rollout`, not episodes.

    It draws from its own generator, seeded by (seed, worker_index). `share(network)` makes it act with a learner's own
    parameters, which saves the copying where both live in one process.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        setup: RunnerSetup = config.env_config["setup"]
        self.setup = setup
        self.worker = int(self.worker_index or 0)
        if self.worker > 0:
            torch.set_num_threads(max(1, setup.threads))
        self.rng = np.random.default_rng([setup.seed, self.worker, 17])
        self.module = setup.make_network()
        self.explorer = setup.explorer
        self.reward = 0.0  # mean of the last rollout, before anything was taken off
        self.make_env()

    def make_env(self) -> None:
        """Build the environments and start every one of them on an episode of its own."""
        setup = self.setup
        seed = int(self.rng.integers(2**31))
        self.env: PortfolioVectorEnv | None = setup.make_env(setup.envs)  # type: ignore[assignment]  # ray says None
        self.num_envs = setup.envs
        self.buffers = RolloutBuffers(setup.bars, setup.envs, self.env.layout.size, self.env.actions)
        self.states = self.module.initial_states(setup.envs)
        self.tally = EpisodeTally.of(setup.envs)
        seeds = seed if setup.group == 1 else [seed + i // setup.group for i in range(setup.envs)]
        self.env.reset_into(self.buffers.observations[-1], seed=seeds)

    def share(self, network: Network) -> None:
        """Act with this very network from now on."""
        self.module = network

    def sample(self, **_: Any) -> Rollout:
        """Return the next rollout, with the parameters as they are now."""
        assert self.env is not None
        rollout, self.states = collect(
            self.env,
            self.module,
            self.buffers,
            states=self.states,
            stretch=self.setup.stretch,
            rng=self.rng,
            tally=self.tally,
            explorer=self.explorer,
        )
        self.num_env_steps_sampled_lifetime += rollout.steps
        self.reward = float(rollout.rewards.mean())
        bars = self.buffers.market_bars
        if self.setup.anchor_rewards is not None:
            rollout.rewards -= self.setup.anchor_rewards[bars]
        rollout.rewards = footing.less_group(rollout.rewards, bars, group=self.setup.group)
        return rollout

    def sample_with_metrics(
        self, weights: Mapping[str, Any] | None = None, *, env_steps: int = 0
    ) -> tuple[Rollout, dict[str, float]]:
        """Return a rollout and what `get_metrics` says after it, in one remote call; taken with `weights` where some are given.

        The first one of a runner that begins when the training has made `env_steps` draws by them: it would play again
        what was learned from at the begin.
        """
        if weights is not None:
            self.set_state({"weights": weights})
        if env_steps and not self.num_env_steps_sampled_lifetime:
            self.rng = np.random.default_rng([self.setup.seed, self.worker, 17, env_steps])
            self.make_env()
        return self.sample(), self.get_metrics()

    def get_metrics(self) -> dict[str, float]:
        """Return mean reward a bar of the last rollout, and means over the episodes that ended in it."""
        return {"reward": self.reward, **self.tally.take()}

    def get_spaces(self) -> dict[str, tuple[Any, Any]]:
        """Return RLlib's map of module ids to (observation space, action space)."""
        assert self.env is not None
        spaces = (self.env.single_observation_space, self.env.single_action_space)
        return {"__env__": spaces, "__env_single__": spaces, "default_policy": spaces}

    def get_state(self, *_: Any, **__: Any) -> dict[str, Any]:
        """Return what RLlib merges over runners: nothing, since no connector here has a state."""
        return {}

    def position(self) -> dict[str, Any]:
        """Return what it takes to go on exactly: random state, accounts, clocks, last observations and memory."""
        assert self.env is not None
        accounts = {name: torch.from_numpy(getattr(self.env.batch, name).copy()) for name in ACCOUNTS}
        return {
            "worker": self.worker,
            "rng": json.dumps(self.rng.bit_generator.state),
            "accounts": accounts,
            "observation": torch.from_numpy(self.buffers.observations[-1].copy()),
            "starts": torch.from_numpy(self.buffers.starts[-1].copy()),
            "memory": [state.clone() for state in self.states],
            "running": torch.from_numpy(self.tally.running.copy()),
            "length": torch.from_numpy(self.tally.length.copy()),
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over weights, or go on from `position()` where that was this runner's."""
        if "weights" in state:
            self.module.load_state_dict({name: torch.as_tensor(value) for name, value in state["weights"].items()})
        if state.get("worker") != self.worker or "accounts" not in state:
            return
        assert self.env is not None
        self.rng.bit_generator.state = json.loads(state["rng"])
        for name in ACCOUNTS:
            getattr(self.env.batch, name)[:] = state["accounts"][name].numpy()
        self.buffers.observations[-1] = state["observation"].numpy()
        self.buffers.starts[-1] = state["starts"].numpy()
        self.states = tuple(state["memory"])
        self.tally.running[:] = state["running"].numpy()
        self.tally.length[:] = state["length"].numpy()

    def assert_healthy(self) -> None:
        """Raise where the environments are gone."""
        assert self.env is not None, "the runner has no environments"

    def stop(self) -> None:
        """Let the environments and the rollout go: what RLlib still holds of a runner would hold them too."""
        self.env = None
        vars(self).pop("buffers", None)  # Ray may stop it twice
