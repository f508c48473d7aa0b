"""The rollout runner by itself, as an actor that begins some time into a training."""

import numpy as np
import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from tests.agents import worlds
from wealtharena.agents.runner import BatchedEnvRunner, runner_setup


@pytest.mark.filterwarnings("ignore")
def test_a_runner_that_begins_within_a_training_plays_other_episodes_than_at_its_begin() -> None:
    bench = worlds.bench(worlds.spec("algo=ppo"))
    config = AlgorithmConfig().environment(
        env_config={"setup": runner_setup(bench, market=bench.market, rollout_steps=256)}, disable_env_checking=True
    )

    def played(*after: int) -> list[np.ndarray]:
        runner = BatchedEnvRunner(config=config, worker_index=1)
        return [runner.sample_with_metrics(env_steps=env_steps)[0].observations.copy() for env_steps in after]

    first, second = played(0, 256)
    np.testing.assert_array_equal(first, played(0)[0])
    late = played(512, 768)
    np.testing.assert_array_equal(late, played(512, 768))
    assert not any(np.array_equal(first[0], other[0]) for other in (second, *late))
