"""The figures that a run rests on, of a market that no library makes, against those kept beside this file.

`python tests/config/test_numbers.py` writes them anew under the version of the code.
"""

import json
from pathlib import Path

import numpy as np

from tests.envs.markets import EVERY_COST, panel_of, spec_of
from wealtharena.config import compose, hashing
from wealtharena.config.hashing import NUMBERS
from wealtharena.config.paths import reward_names
from wealtharena.envs.market import Market
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.envs.simulate import simulate
from wealtharena.features import Scaler, compute, indicators

KEPT = Path(__file__).with_name("numbers.json")
BARS, ASSETS = 420, 3
LATER = ("scaled_return_", "close_z_")  # by themselves: their longer warm-up would move the rows of the others
ACCOUNTS = {
    "shares": {"limits": {"long_only": True, "max_weight": 0.5, "participation": 0.05, "delisting_haircut": 0.3}},
    "both sides": {"limits": {"maintenance_margin": 0.2}, "min_trade_weight": 0.01},
    "at the close": {"fill": "next_close", "limits": {"max_gross": 2.0, "max_weight": 2.0}},
    "lots": {"instrument": {"lot_size": 3}, "initial_cash": 5e4},
    "contracts": {"instrument": {"margin_futures": True}, "limits": {"max_gross": 3.0, "max_weight": 3.0}},
    "window": {"window": 4, "reward": {"turnover_penalty": 0.2}},
}


def uniform(stream, shape):
    """Return numbers in [0, 1) by SplitMix64, which no version of numpy changes."""
    with np.errstate(over="ignore"):
        z = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z += np.uint64(stream * 1_000_003)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64).reshape(shape) / 2.0**53


def a_panel():
    shape = (BARS, ASSETS)
    close = 50.0 * np.exp(np.cumsum(0.06 * (uniform(1, shape) - 0.498), axis=0))
    opening = np.concatenate([close[:1], close[:-1]]) * np.exp(0.02 * (uniform(2, shape) - 0.5))
    high = np.maximum(close, opening) * (1.0 + 0.01 * uniform(3, shape))
    low = np.minimum(close, opening) * (1.0 - 0.01 * uniform(4, shape))
    gone = np.zeros(shape, dtype=bool)
    gone[120:124, 0] = gone[400:, 2] = True
    return panel_of(
        np.where(gone, np.nan, close),
        open=np.where(gone, np.nan, opening),
        high=np.where(gone, np.nan, high),
        low=np.where(gone, np.nan, low),
        volume=np.where(gone, np.nan, 1e4 + 1e5 * uniform(5, shape)),
        volume_unit="units",
        dividends=np.where(uniform(6, shape) < 0.03, 0.4, 0.0),
        to_account=np.exp(np.cumsum(0.01 * (uniform(7, shape) - 0.5), axis=0)),
        multipliers=np.array([1.0, 2.5, 10.0]),
    )


def of_features(features):
    found = {}
    for i, name in enumerate(features.names):
        values = features.values[:, :, i].astype(np.float64)
        known = values[np.isfinite(values)]
        found[f"feature {name}"] = [known.mean(), known.std(), known[-1], float(known.size)]
    return found


def of_accounts(features, scaler):
    targets = 2.0 * uniform(8, (features.bars, ASSETS)) - 0.8
    found = {}
    for name, changes in ACCOUNTS.items():
        spec = spec_of(costs=EVERY_COST, **changes)
        market = Market.build(features, spec, scaler)
        for factor in (1.0, 3.0):
            played = simulate(market, targets, spec=spec, start=4, cost_factor=factor)
            rows = np.linspace(1, len(played.equity) - 1, 6).astype(int)
            sums = [played.costs.sum(), played.financing.sum(), played.dividends.sum(), float(played.trades.bar.size)]
            found[f"account {name} {factor:g}"] = [*played.equity[rows], *sums]
    return found


def of_rewards(features, scaler):
    actions = uniform(9, (60, ASSETS)).astype(np.float32)
    found = {}
    for name in reward_names():
        reward = {"name": name, "turnover_penalty": 0.1, "parameter": 0.3}
        spec = spec_of(costs=EVERY_COST, reward=reward, window=2, episode_bars=None, random_start=False)
        env = PortfolioEnv(Market.build(features, spec, scaler), spec)
        seen, _ = env.reset(seed=0)
        paid, observed = [], [float(np.abs(seen).sum())]
        for action in actions:
            seen, reward_value, *_ = env.step(action)
            paid.append(float(reward_value))
            observed.append(float(np.abs(seen).sum()))
        found[f"reward {name}"] = [sum(paid), paid[-1], max(paid), min(paid), observed[0], sum(observed)]
    return found


def figures():
    panel = a_panel()
    spec = compose(["asset=stocks"]).features
    later = [name for name in indicators.FEATURES if name.startswith(LATER)]
    every = (*(name for name in indicators.FEATURES if name not in later), "day_of_week_sin", "day_of_week_cos")
    features = compute(panel, spec.model_copy(update={"names": every}))
    apart = compute(panel, spec.model_copy(update={"names": (*later, "rank_63", "rank_252")}))
    scaler = Scaler.fit(features, clip=5.0)
    scales = {"scaler": [*scaler.mean, *scaler.std]}
    found = {
        **of_features(features),
        **of_features(apart),
        **scales,
        **of_accounts(features, scaler),
        **of_rewards(features, scaler),
    }
    return {name: [float(f"{value:.10g}") for value in values] for name, values in found.items()}


def kept():
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def test_figures_move_only_with_the_numbers_version():
    """The configuration's hash has it, so that runs from before and after are not taken for seeds of one group."""
    expected, found = kept()[str(NUMBERS)], figures()
    moved = [
        name
        for name, values in expected.items()
        if len(found.get(name, ())) != len(values) or not np.allclose(found[name], values, rtol=2e-6, atol=1e-9)
    ]
    assert not moved, (
        f"{moved[0]} and {len(moved) - 1} more figures moved. If that is meant, raise NUMBERS in "
        "wealtharena/config/hashing.py and run: python tests/config/test_numbers.py"
    )


def test_the_numbers_version_moves_only_with_figures():
    known = kept()
    assert sorted(known, key=int) == [str(n) for n in range(1, NUMBERS + 1)]
    for n in range(2, NUMBERS + 1):
        shared = known[str(n)].keys() & known[str(n - 1)].keys()
        assert any(not np.allclose(known[str(n)][k], known[str(n - 1)][k], rtol=2e-6, atol=1e-9) for k in shared), n


def test_the_figures_tell_every_account_and_reward_apart():
    found = figures()
    equities = [tuple(values[:6]) for key, values in found.items() if key.startswith("account")]
    assert len(set(equities)) == len(equities) == 2 * len(ACCOUNTS)
    assert {f"reward {reward}" for reward in reward_names()} <= found.keys()


if __name__ == "__main__":
    versions = {**kept(), str(NUMBERS): figures()}
    blocks = (
        f'"{version}": {{\n' + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in known.items()) + "}"
        for version, known in versions.items()
    )
    KEPT.write_text("{" + ",\n".join(blocks) + "}\n")


def test_what_changed_for_one_split_leaves_the_hashes_of_others(monkeypatch):
    """Runs before and after are no seeds of one configuration."""
    found = {name: hashing.config_hash(compose([f"split={name}"])) for name in ("holdout", "walk_forward", "cpcv")}
    monkeypatch.setattr(hashing, "OF_SEAMS", hashing.OF_SEAMS + 1)
    moved = [name for name, before in found.items() if hashing.config_hash(compose([f"split={name}"])) != before]
    assert moved == ["cpcv"]
