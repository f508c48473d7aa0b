"""IMPALA and APPO as RLlib has them, with our network and our vector environment inside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from ray.rllib.core.rl_module.apis import TARGET_NETWORK_ACTION_DIST_INPUTS, TargetNetworkAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from wealtharena.agents import cluster
from wealtharena.agents.engine import EnvFactory, Workbench, require_tested_ray_version
from wealtharena.agents.networks import Network
from wealtharena.agents.on_policy.rllib import PROBE_SECONDS, PolicyModule, distribution_inputs
from wealtharena.agents.on_policy.watching import AnsweredAPPO, AnsweredIMPALA, Watched, WatchedAPPO, WatchedIMPALA
from wealtharena.agents.optimizer import check_finite
from wealtharena.agents.patience import ANSWER_SECONDS, ask_learners
from wealtharena.agents.process import require_gpu
from wealtharena.agents.runner import Outspoken
from wealtharena.agents.specs import AsyncSpec

ENV_NAME = "wealtharena-portfolio"


class AsyncModule(PolicyModule, TargetNetworkAPI):
    """Our network with the lagging copy that APPO compares against."""

    def make_target_networks(self) -> None:
        """Make the lagging copy."""
        from ray.rllib.core.learner.utils import make_target_network

        self.lagging: Any = make_target_network(self.network)

    def get_target_network_pairs(self) -> list[tuple[Any, Any]]:
        """Return the network and its lagging copy."""
        return [(self.network, self.lagging)]

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the lagging copy's distribution."""
        return {TARGET_NETWORK_ACTION_DIST_INPUTS: distribution_inputs(self.lagging, batch["obs"])}


def make_env(context: Any) -> Any:
    """Return the environment that RLlib asks for; resets happen in the step after an end, as its runner expects."""
    factory: EnvFactory = context["factory"]
    return factory(int(context.get("num_envs", 1)), AutoresetMode.NEXT_STEP)


def configuration(bench: Workbench, algo: AsyncSpec, factory: EnvFactory) -> Any:
    """Return RLlib's configuration of a job."""
    import gymnasium as gym
    from ray.tune.registry import register_env

    register_env(ENV_NAME, make_env)
    compute = bench.spec.compute
    probe = EnvFactory(bench.market, bench.env, bench.episodes)(1)
    envs = max(1, min(compute.envs, algo.rollout_steps // (algo.fragment_bars * max(1, compute.runners))))
    config: Any
    extra: dict[str, Any] = {}
    if algo.name == "appo":
        from ray.rllib.algorithms.appo import APPOConfig

        config = APPOConfig(algo_class=AnsweredAPPO)  # type: ignore[no-untyped-call]  # ray types in part
        learner: type[Watched] = WatchedAPPO
        extra = {"clip_param": getattr(algo, "clip"), "use_kl_loss": False}  # noqa: B009  # only APPO's spec has it
    else:
        from ray.rllib.algorithms.impala import IMPALAConfig

        learner = WatchedIMPALA
        config = IMPALAConfig(algo_class=AnsweredIMPALA)  # type: ignore[no-untyped-call]  # ray types in part
    spaces = {"observation_space": probe.single_observation_space, "action_space": probe.single_action_space}
    config.environment(ENV_NAME, env_config={"factory": factory}, disable_env_checking=True, **spaces)
    config.env_runners(
        env_runner_cls=AsyncEnvRunner,
        num_env_runners=compute.runners,
        num_envs_per_env_runner=envs,
        gym_env_vectorize_mode=gym.VectorizeMode.VECTOR_ENTRY_POINT,
        rollout_fragment_length=algo.fragment_bars,
    )
    config.learners(
        learner_class=learner,
        num_learners=compute.learners,
        num_gpus_per_learner=1 if compute.name == "gpu" else 0,
        num_aggregator_actors_per_learner=0,
    )
    config.fault_tolerance(
        restart_failed_env_runners=True,
        env_runner_health_probe_timeout_s=PROBE_SECONDS,
        env_runner_restore_timeout_s=PROBE_SECONDS,
    )
    config.training(
        lr=algo.learning_rate,
        gamma=algo.gamma,
        train_batch_size_per_learner=envs * algo.fragment_bars * max(1, compute.runners),
        vf_loss_coeff=algo.value_coefficient,
        entropy_coeff=algo.entropy_coefficient,
        grad_clip=algo.max_grad_norm,
        grad_clip_by="global_norm",
        **extra,
    )
    config.reporting(min_time_s_per_iteration=0, min_sample_timesteps_per_iteration=algo.rollout_steps)
    config.debugging(seed=bench.spec.seed, log_level="ERROR")
    model = {"make_network": bench.network_factory()}
    return config.rl_module(rl_module_spec=RLModuleSpec(module_class=AsyncModule, model_config=model))


class AsyncEnvRunner(Outspoken, SingleAgentEnvRunner):
    """RLlib's runner, which says what it raises."""


class AsyncEngine:
    """RLlib's algorithm, driven an iteration at a time. Its runs depend on timing: the seed does not fix them."""

    def __init__(self, bench: Workbench, algo: AsyncSpec) -> None:
        require_tested_ray_version()
        require_gpu(bench.spec.compute)
        self._connected = cluster.connect(bench.spec.compute)
        self._make_network = bench.network_factory()
        factory = EnvFactory(cluster.share(bench.market), bench.env, bench.episodes)
        self._algorithm: Any = cluster.build(configuration(bench, algo, factory))
        self.env_steps, self._earlier = 0, 0

    def iterate(self) -> dict[str, float]:
        """Let RLlib sample and learn until `rollout_steps` more have been taken."""
        result = self._algorithm.step()
        runners, learner = result["env_runners"], result.get("learners", {}).get("default_policy", {})
        self.env_steps = self._earlier + int(runners["num_env_steps_sampled_lifetime"])
        figures = {
            "episode_return": runners.get("episode_return_mean"),
            "episode_bars": runners.get("episode_len_mean"),
        }
        if figures["episode_return"] is not None and figures["episode_bars"]:
            figures["reward"] = figures["episode_return"] / figures["episode_bars"]
        figures |= {name: learner[source] for source, name in FIGURES.items() if source in learner}
        network = self.network()
        loss = torch.as_tensor(float(figures.get("loss") or 0.0))
        check_finite(loss, list(network.parameters()), updates=self.env_steps)
        known = {name: float(value) for name, value in figures.items() if value is not None}
        return {name: value for name, value in known.items() if math.isfinite(value)}  # no episode may have ended

    def network(self) -> Network:
        """Return a network with the learner's parameters."""
        network = self._make_network()
        network.load_state_dict(self._learner(lambda learner, *_: learned(learner)))
        return network

    def _learner(self, function: Any, **arguments: Any) -> Any:
        return ask_learners(self._algorithm.learner_group, function, **arguments)[0]

    def get_state(self) -> dict[str, Any]:
        """Return parameters and optimiser of the learner."""
        optimizers = self._learner(lambda learner, *_: [o.state_dict() for o in learner._named_optimizers.values()])
        return {"env_steps": self.env_steps, "network": self.network().state_dict(), "optimizers": optimizers}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        self.env_steps = self._earlier = int(state["env_steps"])
        self._learner(restore, network=state["network"], optimizers=state["optimizers"])
        self._algorithm.env_runner_group.foreach_env_runner(
            partial(seed_anew, env_steps=self.env_steps), timeout_seconds=ANSWER_SECONDS
        )
        self._algorithm.env_runner_group.sync_weights(
            from_worker_or_learner_group=self._algorithm.learner_group, inference_only=True
        )

    def close(self) -> None:
        """Stop all actors; a Ray that was there before stays."""
        self._algorithm.stop()
        if self._connected:
            cluster.disconnect()


FIGURES = {  # RLlib's names and ours; IMPALA's vf_loss is a sum over the batch, which its mean below takes the place of
    "total_loss": "loss", "policy_loss": "policy_loss", "vf_loss": "value_loss", "entropy": "entropy",
    "mean_pi_loss": "policy_loss", "mean_vf_loss": "value_loss",
}  # fmt: skip


def learned(learner: Any) -> dict[str, torch.Tensor]:
    """Return copies of the parameters that a learner holds."""
    module = learner.module["default_policy"].unwrapped()
    return {name: value.detach().cpu().clone() for name, value in module.network.state_dict().items()}


def seed_anew(runner: Any, *, env_steps: int) -> None:
    """Let a runner draw by the steps that the training has made: it would play again what was learned from at the begin."""
    rng = np.random.default_rng([runner.config.seed, runner.worker_index or 0, env_steps])
    runner._seed = int(rng.integers(2**31))  # of its first episodes, which are not begun yet
    torch.manual_seed(runner._seed)


def restore(learner: Any, *, network: Mapping[str, Any], optimizers: list[dict[str, Any]]) -> None:
    """Put parameters and optimiser back into a learner."""
    module = learner.module["default_policy"].unwrapped()
    module.network.load_state_dict(network)
    if hasattr(module, "lagging"):
        module.lagging.load_state_dict(network)
    for optimizer, state in zip(learner._named_optimizers.values(), optimizers, strict=True):
        optimizer.load_state_dict(state)
