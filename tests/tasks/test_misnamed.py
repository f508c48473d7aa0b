"""What a command names and is not there is a wrong command: one line with a way out, exit code 2, no run directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registry.shelf import AGENT, save
from tests.tasks.test_backtest import MARKET
from wealtharena.config import compose
from wealtharena.errors import CheckpointError, ConfigError, WealthArenaError
from wealtharena.registry import ModelCheckpoint, promote
from wealtharena.tasks import dispatch

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = ModelCheckpoint("checkpoints")
    save(made, "good", verdict="promotable")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return made


def run(*words):
    return dispatch(compose([*MARKET, "tracking=none", *words]))


def code_of(*words):
    """Return the exit code of a command, as the command line would have it."""
    try:
        return run(*words)
    except WealthArenaError as error:
        return error.exit_code


@pytest.mark.parametrize(
    "words",
    [
        ("task=backtest", "backtest.checkpoints=[nowhere]"),
        ("task=backtest", "backtest.checkpoints=[empty]"),
        ("task=backtest", f"backtest.checkpoints=[checkpoints/{AGENT}/nothing]"),
        ("task=paper", "paper.checkpoints=[nowhere]"),
        ("task=paper", "paper.checkpoints=[empty]"),
        ("task=deploy", "deploy.agents=[cryptocurency]"),
        ("task=compare", "compare.runs=[nowhere]"),
        ("task=backtest", "backtest.baseline=cash", "data=files", "data.path=nothing.csv"),
        ("task=report", "returns=nothing.csv"),
        ("task=inspect", "data=files", "data.path=/dev/zero"),
        ("task=inspect", "data=files", "data.path=pipe"),
    ],
)
def test_it_is_refused_as_a_wrong_configuration_is(store, words):
    with pytest.raises(ConfigError) as refused:
        run(*words)
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        ("task=inspect", "data=files"),
        ("data=files", "data.path="),
        ("task=backtest", "backtest.baseline=cash", "data.start=2020-01-01", "data.end=2019-01-01"),
        ("returns=my.csv",),
        ("task=report", "returns="),
        ("train.callbacks=[nowhere:Watch]",),
        ("compute=gpu",),
        ("sweep=ppo", "compute=gpu"),
    ],
)
def test_what_cannot_be_had_together_or_here_is_refused_before_a_file_is_made(store, words, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    before = sorted(Path().rglob("*"))
    with pytest.raises(ConfigError) as refused:
        run(*words)
    assert refused.value.exit_code == 2
    assert refused.value.hint
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("deploy.checkpoints=[nothing]",), 2),
        (("deploy.checkpoints=['no version']",), 2),
        (("deploy.checkpoints=[checkpoints/etf/good]",), 2),
        (("deploy.checkpoints=[good,nothing]",), 2),
        (("deploy.checkpoints=[nothing]", "deploy.action=adopt"), 2),
        (("deploy.checkpoints=[good]",), 0),
        (("deploy.action=rollback",), 1),
    ],
)
def test_a_deployment_tells_it_from_what_cannot_be_done(store, words, code):
    assert code_of("task=deploy", f"deploy.agents=[{AGENT}]", *words) == code


def test_a_version_that_was_saved_and_is_gone_is_no_wrong_command(store):
    promote(store, AGENT, "good")
    (store.root / AGENT / "good").rename("elsewhere")
    with pytest.raises(CheckpointError, match="was saved and is not here") as gone:
        run("task=paper")
    assert gone.value.exit_code == 1
    assert code_of("task=deploy", f"deploy.agents=[{AGENT}]", "deploy.checkpoints=[good]") == 1


def test_the_command_itself_ends_with_two_and_leaves_nothing(store):
    command = [sys.executable, "-m", "wealtharena", "task=backtest", *MARKET, "backtest.checkpoints=[nowhere]"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert done.stderr.count("error: ") == 1
    assert "nowhere: no such checkpoint folder; name a folder" in done.stderr.replace("\n", " ")
    assert list(Path("outputs").glob("*/*")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("deploy.agents=[etf]", f"deploy.checkpoints=[checkpoints/{AGENT}/good]"), f"deploy.agents=[{AGENT}]"),
        ((f"deploy.checkpoints=[checkpoints/{AGENT}/good]",), f"deploy.agents=[{AGENT}]"),
        (("deploy.checkpoints=[good]",), f"deploy.agents=[{AGENT}]"),
        (("deploy.agents=[etf]", "deploy.checkpoints=[good]"), f"good is a version of {AGENT}"),
        (("deploy.agents=[etf]", "deploy.checkpoints=[elsewhere/good]"), "name a version or a folder of"),
    ],
)
def test_a_version_of_another_agent_is_told_by_its_own(store, words, said):
    with pytest.raises(ConfigError) as refused:
        run("task=deploy", *words)
    assert said in refused.value.hint
