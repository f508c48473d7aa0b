"""What it takes to add something: each draft is written into a copy of the house, which must then run it.

A draft is new files and nothing else: whatever another file would have to learn shows up here as a failure. All drafts
stand in one copy, since two of them belong to the market kernel, which is compiled anew where one of its files is. That
code is kept as every other is, by what it was made from: a second run of these tests finds it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from benchmarks.attacks import moments
from tests.forks import Forks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
House = Callable[..., subprocess.CompletedProcess[str]]
SMALL = (  # a whole job in seconds
    "asset=forex",
    "asset.action=auto",  # weights, so that little training trades
    "data=simulated",
    "data.simulator.bars=700",
    "universe.max_symbols=3",
    "train.env_steps=2048",
    "train.evaluations=1",
    "algo.rollout_steps=1024",
    "compute.envs=16",
    "compute.torch_threads=1",
    "evaluation.bootstrap_draws=200",
    "tracking=quiet",
    "train.publish=false",
    "tracking.report=false",
)


PROVIDER = {
    "wealtharena/data/providers/clockwork.py": '''
        """A market that rises and falls like clockwork."""

        from datetime import date

        import numpy as np
        import pandas as pd

        from wealtharena.data import provider
        from wealtharena.data.bars import RawBars, raw_table, window_mask
        from wealtharena.data.provider import UnknownSymbolError


        class Provider(provider.Provider):
            """Two coins, 600 days."""

            name = "clockwork"
            title = "Clockwork Exchange"
            markets = frozenset({"crypto"})
            caveats = ("clockwork runs too well to be true",)

            def fetch(self, symbol: str, start: date | None, end: date | None, interval: str) -> RawBars:
                if symbol not in ("TICK-USD", "TOCK-USD"):
                    raise UnknownSymbolError(self.name, symbol, "is not listed", hint="take TICK-USD or TOCK-USD")
                days = pd.date_range("2020-01-01", periods=600, tz="UTC")
                rng = np.random.default_rng(len(symbol) + ord(symbol[1]))
                close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 600)))
                table = raw_table(pd.DataFrame({"timestamp": days, "close": close}))
                table = table[window_mask(table["timestamp"], start, end)].reset_index(drop=True)
                return RawBars(self.name, symbol, interval, table, "USD", "none", "splits", self._clock())
        ''',
    "conf/data/clockwork.yaml": """
        # Two coins that run like clockwork.
        defaults:
          - auto

        source: clockwork
        """,
    "tests/data/providers/test_clockwork.py": """
        import pytest

        from wealtharena.config import compose
        from wealtharena.data import load, provider
        from wealtharena.data.collecting import Collector
        from wealtharena.errors import ConfigError

        COINS = "data.symbols=[TICK-USD,TOCK-USD]"


        def test_bars_become_a_panel_that_says_where_they_are_from():
            spec = compose(["asset=crypto", "data=clockwork", COINS])
            panel = load(spec.asset, spec.data, seed=0)
            assert panel.symbols == ("TICK-USD", "TOCK-USD")
            assert "clockwork runs too well to be true" in panel.notes
            assert not panel.simulated


        def test_auto_takes_it_from_the_chain_and_collecting_fills_the_store(tmp_path):
            spec = compose(["asset=crypto", "asset.chain=[clockwork]", COINS, f"data.root={tmp_path}"])
            assert load(spec.asset, spec.data, seed=0).source == "clockwork"
            collector = Collector(spec.asset, spec.data, spec.collect)
            assert [collector.collect(name).status for name in collector.symbols] == ["new", "new"]
            stored = load(spec.asset, spec.data, seed=0)
            assert stored.source == "store"
            assert "clockwork runs too well to be true" in stored.notes


        def test_what_it_does_not_serve_is_refused():
            spec = compose(["asset=forex", "data=clockwork"])
            with pytest.raises(ConfigError, match="data=clockwork has no forex"):
                load(spec.asset, spec.data, seed=0)


        def test_a_report_calls_it_by_its_title():
            from wealtharena.reporting.head import top
            from wealtharena.reporting.data import ReportData

            run = {"data": {"source": "clockwork", "symbols": ["TICK-USD"]}, "agent": "coins"}
            assert "Clockwork Exchange" in top(ReportData(run=run))
        """,
}


BASELINE = {
    "wealtharena/envs/baselines/last_shall_be_first.py": '''
        """Everything in what fell most over the last bar."""

        import numpy as np

        from wealtharena.config.specs.baseline import BaselineSpec
        from wealtharena.data.panel import Panel


        def weights(panel: Panel, row: int, spec: BaselineSpec) -> np.ndarray:
            """Return all of equity in one symbol."""
            result = np.zeros(len(panel.symbols))
            result[np.nanargmin(panel.close[row] / panel.close[max(row - 1, 0)])] = spec.gross
            return result
        ''',
}


REWARD = {
    "wealtharena/envs/rewards/alive.py": '''
        """The same for every bar."""

        from wealtharena.envs.compiled import Float64, compiled
        from wealtharena.envs.vector import PARAMETER


        @compiled
        def alive(
            ratio: float, before: float, after: float, first: float, second: float, rules: Float64
        ) -> tuple[float, float, float]:
            """Return reward.parameter."""
            return rules[PARAMETER], first, second
        ''',
    "conf/reward/alive.yaml": """
        name: alive
        scale: 2.0
        turnover_penalty: 0.0
        eta: 0.01
        risk_aversion: 1.0
        drawdown_penalty: 1.0
        parameter: 0.25
        """,
}


ALGORITHM = {
    "wealtharena/agents/algorithms/spo.py": '''
        """Simple policy optimisation (Xie et al. 2024): a ratio away from 1 is penalised and not clipped."""

        from typing import Literal

        from wealtharena.agents import families
        from wealtharena.agents.specs import OnPolicySpec

        ACTIONS = families.EVERY_KIND


        class AlgorithmSpec(OnPolicySpec):
            """SPO; `clip` is where the penalty turns the gradient."""

            name: Literal["spo"]


        def objective(ratio, advantages, clip):
            print("penalised")
            return advantages * ratio - advantages.abs() / (2.0 * clip) * (ratio - 1.0) ** 2


        def build(bench):
            return families.on_policy(bench, objective=objective)
        ''',
    "conf/algo/spo.yaml": """
        defaults:
          - ppo

        name: spo
        """,
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Yield `run(script, *words)`: run a script on a fresh copy of the package in which all drafts stand."""
    place = tmp_path_factory.mktemp("house")
    for name in ("wealtharena", "conf", "sweeps"):
        shutil.copytree(ROOT / name, place / name)  # with what Python has compiled, which stays that of the files
    shutil.copy(ROOT / "run.py", place)
    for draft in (PROVIDER, BASELINE, REWARD, ALGORITHM):
        for name, text in draft.items():
            target = place / name
            assert not target.exists(), f"{name} exists: a draft adds files and changes none"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(dedent(text).lstrip())
    forks = Forks(*moments.MODULES, root=place, path=os.pathsep.join([str(place), str(ROOT)]))
    (place / "where.py").write_text("import wealtharena; print(wealtharena.__file__)")

    def run(script: str | Path, *words: str) -> subprocess.CompletedProcess[str]:
        quietly = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        found: subprocess.CompletedProcess[str] = forks.run(place, place / script, words, env=quietly)
        return found

    assert run("where.py").stdout == f"{place / 'wealtharena' / '__init__.py'}\n"
    yield run
    forks.close()


def test_a_provider_is_one_file_one_yaml_and_one_test(house: House) -> None:
    done = house(
        Path(pytest.__file__).with_name("__main__.py"),
        "-q",
        "-p",
        "no:cacheprovider",
        "--rootdir=.",
        "tests/data/providers/test_clockwork.py",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    choices = house("run.py", "--help")
    assert "clockwork" in choices.stdout, choices.stdout + choices.stderr


def test_a_baseline_is_one_file_and_its_name_in_a_list(house: House) -> None:
    """The line of YAML is an entry of `evaluation.baselines`; here it is typed instead."""
    done = house(
        "run.py",
        "task=backtest",
        "data=simulated",
        "asset=etf",
        "data.simulator.bars=700",
        "universe.max_symbols=3",
        "evaluation.bootstrap_draws=200",
        "tracking.report=false",
        "backtest.baseline=last_shall_be_first",
        "evaluation.baselines=[cash,last_shall_be_first]",
        "evaluation.verdict.beats=[buy_and_hold,last_shall_be_first]",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "last shall be first" in done.stdout
    refused = house("run.py", "task=backtest", "backtest.baseline=last_shall_be")
    assert "try backtest.baseline=last_shall_be_first" in refused.stdout + refused.stderr


@pytest.fixture(scope="module")
def trained(house: House, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a small training by both drafts that a training needs, and what it printed."""
    folder = tmp_path_factory.mktemp("trained")
    done = house("run.py", *SMALL, "algo=spo", "reward=alive", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def test_a_reward_is_one_file_and_one_yaml(trained: tuple[Path, str]) -> None:
    folder, _ = trained
    journal = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert record(folder)["status"] == "completed"
    assert {line["reward"] for line in journal if "reward" in line} == {0.5}


def test_an_on_policy_algorithm_is_one_file_of_what_differs_and_one_yaml(trained: tuple[Path, str]) -> None:
    folder, printed = trained
    run = record(folder)
    assert (run["algo"], run["status"]) == ("spo", "completed")
    assert "penalised" in printed  # its own objective was asked
