"""task=paper of promoted versions: the backtest of the version, and what a change of its stage does to its account."""

import pytest

from tests.tasks.test_backtest import checkpoint
from tests.tasks.test_paper import MARKET, records, run
from wealtharena.agents.policy import load_policy
from wealtharena.config import compose
from wealtharena.data import load
from wealtharena.features import compute
from wealtharena.registry import ModelCheckpoint, promote
from wealtharena.registry.publish import publish

pytestmark = pytest.mark.slow
AGENT = "cryptocurrencies"


def shelve(store, version, *, seed, std=0.05):
    """Save an untrained policy of the market as a version of the registry."""
    spec = compose(MARKET)
    panel = load(spec.asset, spec.data, seed=spec.seed)
    features = compute(panel, spec.features)
    facts = {
        "data": {"source": panel.source, "simulated": panel.simulated, "fingerprint": panel.fingerprint},
        "config_hash": "0123456789abcdef",
        "verdict": {"status": "unproven", "reasons": ["a test"], "evidence": {}},
        "metrics": {},
    }
    policy = load_policy(checkpoint(store.root.parent / f"mine-{version}", seed=seed, std=std))
    publish(store, policy, version=version, spec=spec, features=features, start=0, stop=features.bars, facts=facts)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A registry with versions `first`, which is on paper, and `second`."""
    monkeypatch.chdir(tmp_path)
    made = ModelCheckpoint(tmp_path / "checkpoints")
    shelve(made, "first", seed=0)
    shelve(made, "second", seed=1)
    promote(made, AGENT, "first")
    return made


@pytest.mark.parametrize("risk", ["none", "default"])
def test_an_account_of_a_promoted_version_is_the_backtest_of_that_version(store, risk):
    """Both by its graph; the candidate it was made of differs in the last digits of single precision."""
    assert run(f"risk={risk}") == 0
    (found,) = (one["paper"] for one in records("paper"))
    assert found["version"] == "first"
    assert found["paper"]["trades"] > 20
    assert found["largest_deviation"] < 1e-9
    for place in (f"checkpoints/{AGENT}/first", "mine-first"):
        run(f"backtest.checkpoints=[{place}]", f"risk={risk}", task="backtest")
    version, tensors = (one["metrics"]["test"]["total_return"] for one in records("backtest"))
    equity = 1.0 + found["paper"]["total_return"]
    assert 1.0 + version == pytest.approx(equity, rel=1e-9)
    assert 1.0 + tensors == pytest.approx(equity, rel=1e-5)
    run("paper.account=named", f"paper.checkpoints=[checkpoints/{AGENT}/first]", f"risk={risk}")
    named = records("paper")[-1]["paper"]
    assert named["largest_deviation"] < 1e-9
    assert named["paper"]["total_return"] == found["paper"]["total_return"]
