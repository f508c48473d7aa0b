import numpy as np
import pytest

from tests.agents import worlds
from wealtharena.agents.policy import load_policy
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.evaluation import metrics
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, train
from wealtharena.training.job import Silent

pytestmark = pytest.mark.slow

FREE = tuple(f"asset.costs.{name}=0" for name in ("commission_bps", "half_spread_bps"))
COMMON = (
    *FREE,
    "model=attention",
    "model.hidden=[8]",
    "model.heads=1",
    "train.evaluations=2",
    "algo.gamma=0.2",
    "algo.learning_rate=0.01",
)
LEARNERS = {
    "ppo": (
        "algo=ppo",
        "algo.gae_lambda=0.5",
        "algo.rollout_steps=2048",
        "algo.minibatch=512",
        "algo.epochs=4",
        "algo.target_kl=null",
        "compute.envs=64",
        "train.env_steps=32768",
    ),
    "sac": (
        "algo=sac",
        "algo.rollout_steps=1024",
        "algo.learning_starts=1024",
        "algo.updates_per_step=0.0625",
        "algo.batch=256",
        "algo.tau=0.02",
        "compute.envs=64",
        "train.env_steps=12288",
    ),
}


@pytest.mark.parametrize("algo", sorted(LEARNERS))
def test_a_planted_signal_is_found_and_traded_out_of_sample(algo: str, tmp_path) -> None:
    features = worlds.features(bars=4000, assets=3, signal=0.2)
    spec = worlds.spec(*LEARNERS[algo], *COMMON)
    job = TrainingJob(spec, features.slice(0, 2600), (Segment(0, 2000),), Segment(2001, 2600), tmp_path)
    result = train(job, listener=Silent())
    assert result.best is not None
    policy = load_policy(tmp_path / result.best.path)
    market = Market.build(features, spec.env, policy.scaler)
    known = features.values[..., 0].astype(np.float64)
    oracle = known / np.abs(known).sum(axis=1, keepdims=True)

    def sharpe(targets: object) -> float:
        path = simulate(market, targets, spec=spec.env, start=2601, stop=4000)
        return metrics.sharpe(path.returns, bars_per_year=path.bars_per_year)

    policy.reset()
    assert sharpe(policy.act) > 0.8 * sharpe(oracle)
    assert sharpe(oracle) > 3.0
