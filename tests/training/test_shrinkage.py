import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.agents import worlds
from wealtharena.agents.direct.windows import seen
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, load_policy
from wealtharena.evaluation.splits import Segment
from wealtharena.training import TrainingJob, train
from wealtharena.training.job import Silent
from wealtharena.training.shrinkage import evidence, kept_share, shrunk

DIRECT = (
    "algo=direct", "env.action=weights", "algo.members=2", "algo.windows=4", "algo.window_bars=16", "algo.updates=2", "algo.learning_rate=0.03",
    "train.env_steps=2048", "train.evaluations=4",
)  # fmt: skip


def test_the_kept_share_follows_the_evidence() -> None:
    noise = np.array([1.0, -1.0, 1.0, -1.0])
    spread = np.sqrt(4 / 3 / 4)  # standard error of their mean
    assert kept_share(noise + 2.0, np.zeros(4)) == pytest.approx(1 - (spread / 2.0) ** 2)
    assert kept_share(noise + 2.0 + 7.0, np.full(4, 7.0)) == pytest.approx(1 - (spread / 2.0) ** 2)
    assert kept_share(noise + 0.5 * spread, np.zeros(4)) == 0.0
    assert kept_share(noise - 2.0, np.zeros(4)) == 0.0  # evidence against is no evidence for
    assert kept_share(np.zeros(4), np.zeros(4)) == 0.0


@pytest.mark.parametrize("mean", [-2.0, 0.3, 2.0])
def test_what_the_kept_share_goes_by_is_told(mean: float) -> None:
    noise, anchor = np.array([1.0, -1.0, 1.0, -1.0]), np.array([3.0, 1.0, 4.0, 1.0])
    found = evidence(anchor + noise + mean, anchor, bars_per_year=252.0)
    assert found["learned_less_anchor"] == pytest.approx(252 * mean)
    assert found["learned_t"] == pytest.approx(mean / np.sqrt(1 / 3))
    t = max(found["learned_t"], 0.0)
    assert kept_share(anchor + noise + mean, anchor) == pytest.approx(1 - 1 / t**2 if t > 1 else 0.0)
    same = evidence(anchor, anchor, bars_per_year=252.0)
    assert same["learned_less_anchor"] == 0.0
    assert np.isnan(same["learned_t"])


def job(folder: Path, *overrides: str, share: float) -> TrainingJob:
    features = worlds.features(bars=500, signal=share)
    return TrainingJob(worlds.spec(*DIRECT, *overrides), features, (Segment(0, 350),), Segment(352, 500), folder)


def trained(folder: Path, *overrides: str, share: float) -> tuple[EnsemblePolicy, dict[str, float]]:
    result = train(job(folder, *overrides, share=share), listener=Silent())
    assert result.best is not None
    saved = json.loads((folder / result.best.path / "metrics.json").read_text())["validation"]
    policy = load_policy(folder / result.best.path)
    assert isinstance(policy, EnsemblePolicy)
    return policy, saved


@pytest.mark.slow
def test_a_candidate_is_saved_shrunk_and_says_how_far(tmp_path: Path) -> None:
    policy, saved = trained(tmp_path, share=0.3)
    assert len(policy.members) == 2
    assert 0.9 < saved["kept_share"] < 1.0
    assert saved["learned_less_anchor"] > 0.0
    assert saved["kept_share"] == pytest.approx(1 - 1 / saved["learned_t"] ** 2)
    rows = np.random.default_rng(0).standard_normal((6, policy.layout.size)).astype(np.float32)
    assert np.abs(policy.act(rows)).max() > 0.01
    assert not shrunk(policy, 0.0).act(rows).any()


@pytest.mark.slow
def test_what_lost_against_its_anchor_is_the_anchor(tmp_path: Path) -> None:
    policy, saved = trained(tmp_path, "asset.costs.commission_bps=300", "algo.turnover_penalty=0", share=0.0)
    assert saved["kept_share"] == 0.0
    assert saved["learned_t"] < 1.0  # of what it did before it was shrunk to nothing
    rows = np.random.default_rng(0).standard_normal((6, policy.layout.size)).astype(np.float32)
    assert not policy.act(rows).any()


@pytest.mark.slow
@pytest.mark.parametrize("action", ["weights", "tilt"])
def test_who_ends_as_his_anchor_is_no_degenerate_policy_and_says_so(tmp_path: Path, action: str) -> None:
    high = ("asset.costs.commission_bps=300", f"env.action={action}")
    result = train(job(tmp_path, *high, share=0.0), listener=Silent())
    assert (result.kept_share, result.degenerate) == (0.0, None)


@pytest.mark.slow
def test_a_tilt_is_learned_from_an_anchor_of_cash_too(tmp_path: Path) -> None:
    result = train(job(tmp_path, "env.action=tilt", "env.trade_rate=1", share=0.3), listener=Silent())
    assert result.kept_share is not None
    assert result.kept_share > 0.9
    assert result.best is not None
    assert result.best.metrics["sharpe"] > 3.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    saved = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        best = train(job(tmp_path / name, "algo.dropout=0.2", share=0.1), listener=Silent()).best
        assert best is not None
        saved.append((tmp_path / name / best.path / "weights.pt").read_bytes())
    assert saved[0] == saved[1]


@pytest.mark.slow
def test_shrinking_can_be_left_out(tmp_path: Path) -> None:
    _, saved = trained(tmp_path, "algo.shrink=false", share=0.3)
    assert "kept_share" not in saved


@pytest.mark.parametrize("scale", [0.1, 30.0])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_what_is_kept_is_a_share_of_the_size_of_its_actions_however_flat_they_lie(scale: float, share: float) -> None:
    bench = worlds.bench(worlds.spec(*DIRECT))
    network = bench.network_factory(critic=False)()
    for parameter in network.actor.layers()[-1].parameters():
        parameter.data.normal_(0.0, scale, generator=torch.Generator().manual_seed(3))
    alone = NetworkPolicy(network, bench.spec.model, bench.market.layout, bench.action, bench.env.limits, bench.scaler)
    shown = seen(bench.market)
    rows = np.concatenate([shown.flatten(1).numpy(), np.zeros((len(shown), 6), np.float32)], axis=1)
    for policy in (alone, EnsemblePolicy([alone, alone])):
        before = np.abs(policy.act(rows)).mean()
        after = np.abs(shrunk(policy, share, shown=shown).act(rows)).mean()
        assert after == pytest.approx(share * before, rel=1e-3)
    np.testing.assert_array_equal(shrunk(alone, 1.0).act(rows), alone.act(rows))
