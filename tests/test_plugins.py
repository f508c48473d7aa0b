"""Plugins of somebody's own package: the example is installed beside us, found, and used by whole jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.attacks import moments
from tests.forks import Forks
from wealtharena.config import plugins
from wealtharena.errors import ConfigError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SMALL = (
    "data=clockwork", "asset=crypto", "train.env_steps=2048", "train.evaluations=1", "algo.rollout_steps=1024",
    "compute.envs=16", "compute.torch_threads=1", "evaluation.bootstrap_draws=200", "tracking=quiet",
    "features.names=[log_return_1,rsi_14]",
)  # fmt: skip
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the example's package is installed, away from this Python."""
    folder = tmp_path_factory.mktemp("plugins") / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--target", str(folder), str(ROOT / "examples" / "plugin")],
        check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def run(site: Path) -> Iterator[Run]:
    """Yield `run(*words)`: run.py beside the package, in forks of one process that has imported ours."""
    forks = Forks(*moments.MODULES, "wealtharena.tasks.paper", path=os.pathsep.join([str(site), str(ROOT)]))
    yield lambda *words: forks.run(site.parent, ROOT / "run.py", words, env=os.environ)
    forks.close()


@pytest.fixture(scope="module")
def trained(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    done = run(*SMALL, "algo=spo", "reward=calm", "env.action=tilt", "env.anchor=reversal", f"hydra.run.dir={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def test_a_package_s_source_algorithm_reward_and_anchor_make_a_run(trained: Path) -> None:
    found = record(trained)
    assert (found["status"], found["algo"], found["data"]["source"]) == ("completed", "spo", "clockwork")
    assert "clockwork runs too well to be true" in found["notes"]
    assert "anchor" in found["baselines"]
    assert "Clockwork Exchange" in (trained / "report.html").read_text()


def test_a_package_s_broker_and_risk_rule_trade_on_paper(run: Run, trained: Path, tmp_path: Path) -> None:
    words = (
        "task=paper",
        *SMALL[:2],
        f"paper.checkpoints=[{trained}]",
        "evaluation.bootstrap_draws=200",
        "tracking=quiet",
        "tracking.report=false",
    )
    done = run(
        *words,
        "broker=logged",
        "+risk.own.few={symbols: 1, action: skip}",
        f"paper.root={tmp_path}",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(what.startswith("few: ") for what in record(tmp_path / "run")["paper"]["interventions"])
    assert list(tmp_path.rglob("orders.jsonl"))


def test_choices_of_a_package_are_listed_and_a_wrong_block_is_refused(site: Path, run: Run) -> None:
    said = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--help"],
        cwd=site.parent, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        capture_output=True, text=True, timeout=240, check=False,
    ).stdout  # fmt: skip
    assert all(name in said for name in ("clockwork", "spo", "calm", "logged"))
    refused = run("task=backtest", "backtest.baseline=cash", "+risk.own.few={symbols: 0, action: skip}")
    assert refused.returncode == 2
    assert "risk.own.few.symbols=0 must be at least 1" in refused.stderr


def test_a_folder_of_one_s_own_brings_groups(run: Run, tmp_path: Path) -> None:
    (tmp_path / "universe").mkdir()
    (tmp_path / "universe" / "mine.yaml").write_text(
        'name: mine\nsymbols: [TICK-USD]\ncalendar: "24/7"\ncurrency: USD\nuniverse_as_of: "2020-01-01"\nmax_symbols: null\n'
    )
    shown = run("--config-dir", str(tmp_path), "universe=mine", "--cfg", "job", "--package", "universe")
    assert "TICK-USD" in shown.stdout, shown.stderr
    assert "mine" in run(f"--config-dir={tmp_path}", "--help").stdout
    assert run("--config-dir", "nowhere", "universe=mine").returncode == 2


def test_one_name_in_two_packages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [SimpleNamespace(name="twice", value=f"{who}.module") for who in ("here", "there")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: two)
    plugins._offered.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"'twice' is offered by here\.module and there\.module"):
            plugins.load("data.providers", "twice")
    finally:
        plugins._offered.cache_clear()


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise ImportError("no module named gone")

    monkeypatch.setattr(plugins, "entry_points", lambda group: [SimpleNamespace(name="broken", value="b", load=fails)])
    plugins._offered.cache_clear()
    try:
        with pytest.raises(ConfigError, match="the plugin 'broken'"):
            plugins.load("data.providers", "broken")
    finally:
        plugins._offered.cache_clear()
