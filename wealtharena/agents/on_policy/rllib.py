"""Our PPO as RLlib sees it: module, configuration, algorithm, and the two ways to drive them.

`LocalDriver` holds RLlib's runner and learner in this process and starts no Ray runtime, since a runtime costs seconds
and hundreds of megabytes and would carry nothing. `RemoteDriver` runs the whole RLlib algorithm: remote env runners that
are restarted when they die, and a learner here, on a GPU, or in actors of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo import PPO, PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchCategorical, TorchDiagGaussian
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from wealtharena.agents.engine import Workbench
from wealtharena.agents.networks import Network
from wealtharena.agents.on_policy.learner import BatchedPPOLearner, PPOSettings
from wealtharena.agents.patience import START_SECONDS, ask_learners, told
from wealtharena.agents.process import require_gpu
from wealtharena.agents.runner import BatchedEnvRunner, RunnerSetup, runner_setup
from wealtharena.errors import TrainingError

SAMPLE_SECONDS = 600.0  # a rollout that takes longer is given up
PROBE_SECONDS = 10.0  # a runner that died is asked so long whether it is back
REST_SECONDS = 0.5  # before runners that have all died are asked again


class PolicyModule(TorchRLModule, ValueFunctionAPI):
    """Our `Network` as an RLModule, so that RLlib's own learners can train it too (networks without memory)."""

    def setup(self) -> None:
        """Build the network that `model_config["make_network"]` makes."""
        model_config: Any = self.model_config
        self.network: Network = model_config["make_network"]()
        self.action_dist_cls = TorchCategorical if self.network.head.discrete else TorchDiagGaussian

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: distribution_inputs(self.network, batch[Columns.OBS])}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """Return V of the batch's observations."""
        return self.network.value_of(batch[Columns.OBS])


def distribution_inputs(network: Network, observation: Tensor) -> Tensor:
    """Return what RLlib's distributions are made from: means and log spreads, or logits."""
    return network.head.distribution_inputs(network.parameters_of(observation), network.log_std)


class BatchedPPOConfig(PPOConfig):
    """PPOConfig whose runner and learner work on arrays."""

    def __init__(self, algo_class: Any = None) -> None:
        super().__init__(algo_class=algo_class or BatchedPPO)  # type: ignore[no-untyped-call]  # ray types in part
        self.api_stack(enable_rl_module_and_learner=True, enable_env_runner_and_connector_v2=True)
        self.framework("torch")
        self.learners(learner_class=BatchedPPOLearner)


class BatchedPPO(PPO):
    """RLlib's PPO with one training step on arrays."""

    @classmethod
    def get_default_config(cls) -> BatchedPPOConfig:
        """Return the configuration class of this algorithm."""
        return BatchedPPOConfig()

    def training_step(self) -> None:
        """Sample from every healthy runner at once with the learner's parameters, and learn.

        They go with the question: a runner that Ray has started again meanwhile, which nobody need have noticed, has none.
        """
        self.figures: dict[str, float] = {}
        runners: Any = self.env_runner_group
        asked = {"weights": self.weights(), "env_steps": self.steps_before}
        with told("the rollout runners"):
            results = runners.foreach_env_runner(
                "sample_with_metrics",
                kwargs=asked,
                local_env_runner=False,
                timeout_seconds=SAMPLE_SECONDS,
            )
        if not results:
            return
        rollouts = [rollout for rollout, _ in results]
        learned = ask_learners(
            self.learner_group,
            lambda learner, **kwargs: learner.update_rollouts(**kwargs),
            rollouts=rollouts,
            env_steps=self.steps_before,
        )
        self.figures = {**merged([figures for _, figures in results]), **learned[0]}
        self.figures["steps"] = float(sum(rollout.steps for rollout in rollouts))

    steps_before: int = 0

    def weights(self) -> dict[str, Any]:
        """Return the learner's parameters as numpy arrays."""
        taken: dict[str, Any] = ask_learners(self.learner_group, parameters)[0]
        return taken


def parameters(learner: BatchedPPOLearner) -> dict[str, Any]:
    """Return a learner's parameters as numpy arrays."""
    return {name: value.detach().cpu().numpy() for name, value in learner.network.state_dict().items()}


def merged(records: list[dict[str, float]]) -> dict[str, float]:
    """Return means over runners; counts are summed."""
    names = sorted({name for record in records for name in record})
    return {
        name: float((np.sum if name == "episodes" else np.mean)([r[name] for r in records if name in r]))
        for name in names
    }


def configure(bench: Workbench, settings: PPOSettings, setup: RunnerSetup) -> BatchedPPOConfig:
    """Return RLlib's configuration of a job."""
    compute = bench.spec.compute
    logging.getLogger("ray._common.deprecation").setLevel(logging.ERROR)  # RLlib warns of its own constructors
    probe = setup.make_env(1)
    config = BatchedPPOConfig()
    config.environment(
        observation_space=probe.single_observation_space,
        action_space=probe.single_action_space,
        env_config={"setup": setup, "learner": settings},
        disable_env_checking=True,
    )
    config.env_runners(
        env_runner_cls=BatchedEnvRunner,
        num_env_runners=compute.runners,
        num_envs_per_env_runner=setup.envs,
        rollout_fragment_length=setup.bars,
        sample_timeout_s=SAMPLE_SECONDS,
        merge_env_runner_states=False,
        broadcast_env_runner_states=False,
    )
    config.fault_tolerance(
        restart_failed_env_runners=True,
        max_num_env_runner_restarts=1000,
        delay_between_env_runner_restarts_s=1.0,
        env_runner_health_probe_timeout_s=PROBE_SECONDS,
        env_runner_restore_timeout_s=PROBE_SECONDS,
    )
    config.learners(
        num_learners=compute.learners,
        num_gpus_per_learner=1 if compute.name == "gpu" else 0,
        add_default_connectors_to_learner_pipeline=False,  # they take episodes apart, and ours are arrays already
    )
    config.training(
        lr=settings.learning_rate,
        gamma=settings.gamma,
        lambda_=settings.lambda_,
        num_epochs=settings.epochs,
        train_batch_size_per_learner=setup.envs * setup.bars * max(1, compute.runners),
        use_kl_loss=False,
        kl_coeff=0.0,
        vf_loss_coeff=settings.value_coefficient,
        entropy_coeff=settings.entropy_coefficient,
        grad_clip=settings.max_grad_norm,
        grad_clip_by="global_norm",
    )
    config.rl_module(
        rl_module_spec=RLModuleSpec(
            module_class=PolicyModule,
            observation_space=probe.single_observation_space,
            action_space=probe.single_action_space,
            model_config={"make_network": setup.make_network},
        )
    )
    return config


class LocalDriver:
    """Runner and learner in this process, over the same parameters."""

    def __init__(self, bench: Workbench, settings: PPOSettings, *, rollout_steps: int) -> None:
        setup = runner_setup(bench, market=bench.market, rollout_steps=rollout_steps)
        config = configure(bench, settings, setup)
        spaces: Any = {"default_policy": (config.observation_space, config.action_space)}
        self._group: Any = config.build_learner_group(spaces=spaces)
        self._learner: BatchedPPOLearner = ask_learners(self._group, lambda learner, **_: learner)[0]
        self._runner = BatchedEnvRunner(config=config, worker_index=0)
        self._runner.share(self._learner.network)

    def iterate(self, env_steps: int) -> tuple[int, dict[str, float]]:
        """Return the steps taken and the figures of one iteration."""
        rollout, figures = self._runner.sample_with_metrics()
        learned = self._learner.update_rollouts([rollout], env_steps=env_steps)
        return rollout.steps, {**figures, **learned}

    def network(self) -> Network:
        """Return the learner's network."""
        return self._learner.network

    def get_state(self) -> dict[str, Any]:
        """Return learner and runner."""
        return {"learner": self._learner.batched.get_state(), "runner": self._runner.position()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`; the environments start on new episodes."""
        self._learner.batched.set_state(state["learner"])
        self._runner.set_state(state["runner"])

    def close(self) -> None:
        """Let environments and learner go."""
        self._runner.stop()
        self._group.shutdown()


class RemoteDriver:
    """The whole RLlib algorithm with remote runners."""

    def __init__(self, bench: Workbench, settings: PPOSettings, *, rollout_steps: int) -> None:
        from wealtharena.agents import cluster

        require_gpu(bench.spec.compute)
        self._connected = cluster.connect(bench.spec.compute)
        setup = runner_setup(bench, market=cluster.share(bench.market), rollout_steps=rollout_steps)
        self._config = configure(bench, settings, setup)
        self._make_network = setup.make_network
        self._algorithm: Any = cluster.build(self._config)

    def iterate(self, env_steps: int) -> tuple[int, dict[str, float]]:
        """Return the steps taken and the figures of one iteration; runners that died are restarted first.

        TrainingError where none of them is back after START_SECONDS.
        """
        figures = self._sampled(env_steps) or self._once_one_is_back(env_steps)
        return int(figures.pop("steps")), figures

    def _sampled(self, env_steps: int) -> dict[str, float]:
        """Return the figures of one round, nothing where no runner has answered."""
        self._algorithm.steps_before = env_steps
        self._algorithm.step()
        return dict(self._algorithm.figures)

    def _once_one_is_back(self, env_steps: int) -> dict[str, float]:
        until = time.monotonic() + START_SECONDS
        with told("a rollout runner to start again: all have died"):
            while time.monotonic() < until:
                time.sleep(REST_SECONDS)
                if figures := self._sampled(env_steps):
                    return figures
        raise TrainingError(
            "no rollout runner answers", hint="look at the Ray cluster; resume=<run dir> goes on from here"
        )

    def network(self) -> Network:
        """Return a network with the learner's parameters."""
        network = self._make_network()
        network.load_state_dict({name: torch.as_tensor(value) for name, value in self._algorithm.weights().items()})
        return network

    def get_state(self) -> dict[str, Any]:
        """Return the learner's state."""
        return {"learner": ask_learners(self._algorithm.learner_group, lambda learner: learner.batched.get_state())[0]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state()`."""
        ask_learners(
            self._algorithm.learner_group,
            lambda learner, **kwargs: learner.batched.set_state(**kwargs),
            state=state["learner"],
        )

    def close(self) -> None:
        """Stop all actors; a cluster that was there before stays."""
        from wealtharena.agents import cluster

        self._algorithm.stop()
        if self._connected:
            cluster.disconnect()
