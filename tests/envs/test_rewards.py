import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import ValidationError

from tests.envs.markets import EVERY_COST, market_of, random_panel, spec_of
from wealtharena.envs import rewards
from wealtharena.envs.portfolio_env import PortfolioEnv
from wealtharena.envs.rules import rules_of
from wealtharena.envs.vector import PARAMETER
from wealtharena.errors import WealthArenaError

PANEL = random_panel(np.random.default_rng(3), bars=40, assets=2)


def play(**reward):
    """Return rewards, equity, turnover and infos of one whole-window episode of random weights."""
    spec = spec_of(reward=reward, costs=EVERY_COST, episode_bars=None, random_start=False)
    env = PortfolioEnv(market_of(PANEL, spec), spec)
    env.reset(seed=0)
    rng = np.random.default_rng(5)
    rewards, equity, infos = [], [spec.initial_cash], []
    over = False
    while not over:
        _, reward_value, _, over, info = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
        rewards.append(reward_value)
        equity.append(info["equity"])
        infos.append(info)
    return np.array(rewards), np.array(equity), infos


def test_log_return():
    rewards, equity, _ = play(name="log_return", scale=100.0)
    np.testing.assert_allclose(rewards, 100 * np.diff(np.log(equity)), atol=1e-4)


def test_differential_sharpe_follows_moody_and_saffell():
    rewards, equity, _ = play(name="differential_sharpe", eta=0.1)
    a = b = 0.0
    expected = []
    for r in np.diff(equity) / equity[:-1]:
        variance = b - a * a
        value = (b * (r - a) - 0.5 * a * (r * r - b)) / variance**1.5 if variance > 1e-12 else 0.0
        expected.append(min(max(value, -10), 10))
        a, b = a + 0.1 * (r - a), b + 0.1 * (r * r - b)
    np.testing.assert_allclose(rewards, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected).max() > 0.01


def test_mean_variance_subtracts_half_lambda_r_squared():
    rewards, equity, _ = play(name="mean_variance", risk_aversion=3.0)
    r = np.diff(equity) / equity[:-1]
    np.testing.assert_allclose(rewards, r - 1.5 * r * r, atol=1e-7)


def test_drawdown_charges_only_for_new_depth():
    rewards, equity, _ = play(name="drawdown", drawdown_penalty=0.7)
    depth = equity / np.maximum.accumulate(equity) - 1
    expected = np.diff(np.log(equity)) - 0.7 * np.maximum(0, depth[:-1] - depth[1:])
    np.testing.assert_allclose(rewards, expected, atol=1e-6)


def test_the_turnover_penalty_is_taken_off_and_logged():
    rewards, equity, infos = play(name="log_return", turnover_penalty=0.02, scale=10.0)
    core = np.array([info["reward_core"] for info in infos])
    penalty = np.array([info["reward_penalty"] for info in infos])
    traded = np.array([info["traded"] for info in infos])
    np.testing.assert_allclose(core, 10 * np.diff(np.log(equity)), rtol=1e-9)
    np.testing.assert_allclose(penalty, 10 * 0.02 * traded / equity[:-1], rtol=1e-9)
    np.testing.assert_allclose(rewards, core - penalty, atol=1e-6)


def test_ruin_costs_a_finite_amount():
    from tests.envs.markets import panel_of

    spec = spec_of(episode_bars=None, random_start=False)
    env = PortfolioEnv(market_of(panel_of([100, 100, 500, 500.0]), spec), spec)
    env.reset(seed=0)
    env.step(np.array([-1.0], dtype=np.float32))
    obs, reward, terminated, truncated, _ = env.step(np.array([-1.0], dtype=np.float32))
    assert terminated
    assert not truncated
    assert reward == pytest.approx(math.log(1e-6))
    assert env.observation_space.contains(obs)


def test_every_reward_is_found_by_the_name_of_its_file_and_has_a_preset():
    here = Path(rewards.__file__).parent
    assert set(rewards.NAMES) == {file.stem for file in here.glob("[!_]*.py")}
    presets = {file.stem for file in (Path(__file__).parents[2] / "conf" / "reward").glob("*.yaml")}
    assert set(rewards.NAMES) == presets


def test_a_reward_that_does_not_exist_names_those_that_do():
    with pytest.raises(ValidationError, match="'log_return'"):
        play(name="profit")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (lambda ratio, after, rules: math.nan if ratio < 1.0 else ratio, "returns nan, 0, 0 at ratio=0.99, before=0, "),
        (
            lambda ratio, after, rules: math.inf if after == 0.0 else ratio,
            "returns inf, 0, 0 at ratio=1.01, before=0, ",
        ),
        (lambda ratio, after, rules: math.inf if rules[PARAMETER] == 0.0 else ratio, "returns inf, 0, 0 at ratio=1.01"),
        (lambda ratio, after, rules: ratio, ""),
    ],
)
def test_a_package_s_reward_that_is_no_number_at_a_usual_bar_is_refused_by_name_and_bar(value, told, monkeypatch):
    """A training ended in a loss that was not finite, and was told to take a smaller learning rate."""
    found = SimpleNamespace(
        log_return=lambda ratio, before, after, first, second, rules: (value(ratio, after, rules), first, second)
    )
    monkeypatch.setattr(rewards.plugins, "of_package", lambda room, name: True)
    monkeypatch.setattr(rewards.plugins, "load", lambda room, name: found)
    monkeypatch.setattr(rewards.plugins, "title", lambda room, name: f"the plugin {name!r}")
    spec = spec_of(reward={"name": "log_return"})
    if not told:
        rules_of(spec, PANEL.symbols, delisting=False)
        return
    with pytest.raises(WealthArenaError, match="the plugin 'log_return': log_return " + told):
        rules_of(spec, PANEL.symbols, delisting=False)


@pytest.mark.slow
def test_a_reward_is_added_with_one_file(tmp_path):
    """A copy of the package with one more file under rewards/ pays what that file says."""
    package = tmp_path / "wealtharena"
    shutil.copytree(Path(rewards.__file__).parents[2], package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "envs" / "rewards" / "constant.py").write_text(
        "from wealtharena.envs.compiled import Float64, compiled\n"
        "from wealtharena.envs.vector import PARAMETER\n\n\n"
        "@compiled\n"
        "def constant(ratio, before, after, first, second, rules):\n"
        "    return rules[PARAMETER] + first, first + 1.0, second\n"
    )
    script = (  # as Python: that a new file is compiled too, tests/test_extending.py shows
        "from tests import interpreted\n"
        "interpreted.put_in_place()\n"
        "from tests.envs.test_rewards import play\n"
        "paid, _, _ = play(name='constant', parameter=0.5)\n"
        "print(paid[:3].tolist())\n"
    )
    tests = Path(__file__).parents[2]
    (tmp_path / "tests").symlink_to(tests / "tests")
    (tmp_path / "conf").symlink_to(tests / "conf")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
    )  # fmt: skip
    assert done.stdout.split("\n")[0] == "[0.5, 1.5, 2.5]"
