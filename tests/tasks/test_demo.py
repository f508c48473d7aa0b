"""What the demonstration runs: every step can be composed, stays in its folder, and a step that fails ends it."""

import socket
import sys
from pathlib import Path

import pytest

from wealtharena.config import compose, unread
from wealtharena.tasks import demo
from wealtharena.tasks.demo import DemoError, Stage


@pytest.fixture
def stage(tmp_path):
    return Stage.of(compose(["task=demo", "asset=crypto"]), tmp_path / "a run, with=signs")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        ("train", ["train.env_steps=60000"]),
        ("deploy", ["deploy.agents=[cryptocurrencies]", "deploy.stage=paper"]),
        ("serve", ["serve.port=8000"]),
        ("paper", ["paper.start=2025-01-01", "paper.end=2025-12-31", "paper.speed=700800"]),
    ],
)
def test_every_step_can_be_composed_and_stays_in_its_folder(stage, task, overrides):
    command = stage.command(task, *overrides)
    assert command[:3] == [sys.executable, "-m", "wealtharena"]
    typed = [word for word in command[3:] if not word.startswith("hydra.")]
    spec = compose(typed)
    assert spec.task == task
    assert spec.asset.name == ("crypto" if task in ("train", "paper") else compose(["task=deploy"]).asset.name)
    assert unread.told(spec, typed) == []
    assert task in ("deploy", "serve") or spec.data.source == "simulated"
    assert spec.tracking.wandb.mode == "disabled"
    places = (spec.paths.checkpoints, spec.paths.results, spec.paths.ledger, spec.paper.root, spec.serve.keys_file)
    assert all(Path(place).is_relative_to(stage.folder) for place in places)
    assert f"hydra.run.dir='{stage.folder / task}'" in command


@pytest.mark.parametrize("word", ["log=json", "quiet=true"])
def test_each_step_speaks_as_the_demonstration_is_asked_to(tmp_path, word):
    assert word in Stage.of(compose(["task=demo", word]), tmp_path).command("train")


def test_a_step_that_fails_ends_it_with_its_name(stage, monkeypatch, capsys):
    monkeypatch.setattr(
        Stage, "command", lambda self, task, *more, place="": [sys.executable, "-c", "raise SystemExit(3)"]
    )
    with pytest.raises(DemoError, match="task=train ended with 3"):
        stage.play("train")


@pytest.mark.slow
def test_a_page_that_does_not_come_up_is_said_and_leaves_no_process(stage, monkeypatch):
    stage.folder.mkdir(parents=True)
    monkeypatch.setattr(Stage, "command", lambda self, task, *more: [sys.executable, "-c", "pass"])
    with pytest.raises(DemoError, match="page did not come up"), stage.page(demo.free_port()):
        pass


def test_a_free_port_is_none_that_connections_are_given_and_none_in_use(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        draws = iter([port - demo.LOWEST_PORT, 7])
        monkeypatch.setattr(demo.secrets, "randbelow", lambda count: next(draws, 8))
        assert demo.free_port() - demo.LOWEST_PORT in (7, 8)
        monkeypatch.setattr(demo.secrets, "randbelow", lambda count: port - demo.LOWEST_PORT)
        with pytest.raises(DemoError, match="no port"):
            demo.free_port()
    assert demo.LOWEST_PORT + demo.PORTS < 32_768


def test_the_steps_are_in_their_order_and_the_page_is_up_while_it_trades(stage, monkeypatch, tmp_path, capsys):
    said = []

    class Open:
        def __enter__(self):
            said.append("page up")
            return "http://127.0.0.1:1"

        def __exit__(self, *_):
            said.append("page down")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Stage, "play", lambda self, task, *more, place="": said.append((place or task, more)))
    monkeypatch.setattr(Stage, "page", lambda self, port: Open())
    assert demo.run(compose(["task=demo", "data.simulator.end=2025-12-31"])) == 0
    steps = [one if isinstance(one, str) else one[0] for one in said]
    assert steps == ["train", "deploy", "page up", "brakes", "paper", "page down"]
    year = ("paper.start=2025-01-01", "paper.end=2025-12-31")
    assert said[3][1] == (*year, "paper.account=brakes", "risk.drawdown.max_drawdown=0.05")
    assert said[4][1][:2] == year
    assert not any("risk." in word or "account" in word for word in said[4][1])  # the rules as they ship
    assert "http://127.0.0.1:1/trading" in capsys.readouterr().out
