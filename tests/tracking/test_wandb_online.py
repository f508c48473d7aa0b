"""The real W&B library over real HTTP, with a loopback server that speaks its protocol in the service's place."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forks import runs
from tests.tasks.conftest import SMALL, UNPUBLISHED, record
from tests.tracking.wandb_server import ROOT, Wandb, environment, serving
from tests.trading.days import until

pytestmark = pytest.mark.slow

KEY = "k" * 40
MIRROR = """
import sys, time
from pathlib import Path
import wandb
from wealtharena.config.specs.runs import WandbSpec
from wealtharena.tracking.wandb_run import Ending, Identity, WandbRun

made = wandb.Settings
wandb.Settings = lambda **told: made(**told | {'init_timeout': 120.0})  # how long a busy machine takes to begin decides nothing
spec = WandbSpec(
    mode='online', project='p', entity=None, group=None, tags=(), timeout_seconds=float(sys.argv[3]), code=False, registry=None
)
again = [{'env_step': step, 'reward': step / 8, 'kl': None} for step in map(int, sys.argv[4:])]
known = Identity('id1', 'n', 'train', ('mine',), {'seed': 1})
mirror = WandbRun(spec, known, folder=Path(sys.argv[1]), mode='online', again=again)
for step in map(int, sys.argv[2].split(',')):
    mirror.log({'env_step': step, 'reward': step / 8})
while mirror.kept is None and mirror._thread.is_alive():
    time.sleep(0.05)
print(mirror.address, flush=True)
sys.stdin.readline()
mirror.finish(Ending(('ended',), {'test/sharpe': 1.5}, [], '<p>report</p>', 0))
print(mirror.trouble)
"""


@pytest.fixture
def server() -> Iterator[Wandb]:
    with serving(KEY) as found:
        yield found


def own(server: Wandb, folder: Path) -> dict[str, str]:
    """Return the environment of a person who has a key, with W&B's own files below `folder` and machine code where it is."""
    kept = {f"WANDB_{name}_DIR": str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    return environment(server.url, KEY) | kept


def played(server: Wandb, folder: Path, *command: str) -> str:
    """Return what a command of that person prints in `folder`."""
    done = subprocess.run(
        command, cwd=folder, env=own(server, folder), capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mirror(server: Wandb, folder: Path, steps: str, *again: str, seconds: float = 60.0) -> subprocess.Popen[str]:
    """Return a process that mirrors these steps, behind those `again`, and ends the run when it is told to, its waits that long at most."""
    return subprocess.Popen(
        [sys.executable, "-c", MIRROR, str(folder), steps, str(seconds), *again],
        cwd=folder,
        env=own(server, folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_of_the_command_line_is_at_the_address_that_it_prints(server: Wandb, tmp_path: Path) -> None:
    small = [word for word in SMALL if not word.startswith("tracking=")]
    mine = ("tracking.wandb.tags=[mine]", "tracking.wandb.group=lab", "train.env_steps=2048", UNPUBLISHED)
    printed = played(server, tmp_path, sys.executable, str(ROOT / "run.py"), *small, *mine)
    assert server.unknown == []
    (run,) = server.runs.values()
    assert f"Weights & Biases: {server.url}/lab/wealtharena/runs/{run.name}" in printed
    (folder,) = tmp_path.glob("outputs/*/*")
    ours = record(folder)
    assert run.name == ours["run_id"]
    assert run.facts == {
        "displayName": "currency_pairs ppo seed 0", "groupName": "lab", "jobType": "train",
        "tags": ["forex", "ppo", "simulated", "SIMULATED", "mine"],
    }  # fmt: skip
    assert run.config["config_hash"] == ours["config_hash"]
    assert run.config["git_sha"] == ours["git_sha"]
    assert run.config["algo"]["rollout_steps"] == 1024
    journal = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    told: dict[int, dict[str, object]] = {}
    for row in run.history:
        told.setdefault(row["env_step"], {}).update(row)
    for line in journal:
        for name, value in line.items():
            if value is not None:  # what is not finite, which JSON cannot say
                assert told[line["env_step"]][name] == pytest.approx(value), name
    assert run.summary["test/sharpe"] == pytest.approx(ours["metrics"]["test"]["sharpe"])
    assert run.summary["verdict"] == ours["verdict"]["status"]
    assert run.exit_code == 0
    sent = b"\n".join([json.dumps([run.config, run.history, run.summary]).encode(), *run.files.values()])
    for private in (str(tmp_path), str(ROOT), sys.executable):
        assert private.encode() not in sent
    for word in (socket.gethostname(), getpass.getuser()):
        if len(word) > 4:  # shorter ones occur by chance
            assert word.encode() not in sent


def test_a_run_that_goes_on_goes_on_there(server: Wandb, tmp_path: Path) -> None:
    for steps, again in (("1,2", ""), ("4,5", "123")):  # a kill has lost the third
        client = mirror(server, tmp_path, steps, *again)
        said, trouble = client.communicate("\n", timeout=200)
        assert client.returncode == 0, trouble
        assert said.splitlines() == [f"{server.url}/lab/p/runs/id1", "None"]
    (run,) = server.runs.values()
    assert [row["env_step"] for row in run.history if "reward" in row] == [1, 2, 2, 3, 4, 5], "the last may lack a part"
    assert run.summary["test/sharpe"] == 1.5
    assert run.facts["tags"] == ["mine", "ended"]
    assert b"<p>report</p>" in run.files.values()
    assert server.unknown == []


def test_a_key_that_is_refused_leaves_an_offline_record(server: Wandb, tmp_path: Path) -> None:
    server.key = "another"
    client = mirror(server, tmp_path, "1")
    said, trouble = client.communicate("\n", timeout=200)
    assert client.returncode == 0, trouble
    assert server.refused
    assert "recorded offline" in said
    assert list((tmp_path / "wandb").glob("offline-run-*-id1*"))
    assert not server.runs


def test_a_library_s_service_that_is_killed_costs_the_run_its_mirror_and_no_more(server: Wandb, tmp_path: Path) -> None:
    client = mirror(server, tmp_path, "1")
    assert client.stdout is not None
    assert client.stdout.readline().startswith(server.url)
    os.kill(_service_of(client.pid), signal.SIGKILL)
    said, trouble = client.communicate("\n", timeout=200)
    assert client.returncode == 0, trouble
    assert "; the run's page lacks its end, send what was recorded with: wandb sync " in said
    assert "Traceback" not in trouble


def test_what_a_server_does_not_take_is_sent_by_the_command_that_is_said(server: Wandb, tmp_path: Path) -> None:
    client = mirror(server, tmp_path, "1,2", seconds=10.0)
    assert client.stdout is not None
    assert client.stdout.readline().startswith(server.url)
    service = _service_of(client.pid)
    server.takes.clear()
    said, trouble = client.communicate("\n", timeout=200)
    assert client.returncode == 0, trouble
    assert said.startswith("TimeoutError: ")
    until(lambda: not runs(service), 60.0)  # it would send once more what it holds
    server.takes.set()
    command = shlex.split(said.partition("send what was recorded with: ")[2])
    played(server, tmp_path, str(Path(sys.executable).with_name(command[0])), *command[1:])
    (run,) = server.runs.values()
    assert [row["env_step"] for row in run.history if "reward" in row] == [1, 2]
    assert run.summary["test/sharpe"] == 1.5
    assert b"<p>report</p>" in run.files.values()


def _service_of(parent: int) -> int:
    """Return the library's own process below `parent`."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            for pid in children.read_text().split():
                if "wandb-core" in Path(f"/proc/{pid}/comm").read_text():
                    return int(pid)
        time.sleep(0.05)
    raise AssertionError("the library has no service")
