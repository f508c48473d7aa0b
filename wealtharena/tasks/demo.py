"""task=demo: train briefly, promote to paper, replay the last year with the page open, show the record beside its backtest.

Two accounts of one agent: `default` under the rules as they ship, and before it `brakes` under a limit that is meant to be
reached, so that an intervention and a halt are there to be looked at while the other trades to the end of its year.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wealtharena.config.readers import OF_EVERY_CLASS
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import override
from wealtharena.errors import WealthArenaError
from wealtharena.files import relative
from wealtharena.tasks.console import screen
from wealtharena.tasks.record import RunContext
from wealtharena.terminal import styled

DAYS: Final = 365
BRAKES: Final = "brakes"  # the account that is meant to be halted
BRAKES_DRAWDOWN: Final = 0.05  # which a year of nearly any market reaches; the shipped rule allows 0.3
REPLAY_SECONDS: Final = 45.0
START_SECONDS: Final = 60.0  # longest wait for the page
STEP_SECONDS: Final = 600.0  # longest any step may take
END_SECONDS: Final = 30.0  # longest wait for the server's end
LOWEST_PORT: Final = 20_000
PORTS: Final = 12_000  # Linux gives 32,768 and more to connections
PORT_TRIES: Final = 100


class DemoError(WealthArenaError):
    """A step of the demonstration failed; what it said stands above."""


@dataclass(frozen=True)
class Stage:
    """Where the demonstration plays: a folder of its own, and what all its steps are told."""

    folder: Path
    common: tuple[str, ...]
    of_class: tuple[str, ...]  # for the steps that are about one class of assets

    @classmethod
    def of(cls, spec: ExperimentSpec, folder: Path) -> Stage:
        """Return the stage of a run's folder; nothing outside it is written."""
        places = {
            "paths.checkpoints": "checkpoints",
            "paths.results": "results",
            "paths.ledger": "results/ledger.jsonl",
            "paper.root": "accounts",
            "serve.keys_file": "keys.json",
            "serve.audit_file": "requests.jsonl",
        }
        return cls(
            folder,
            (
                f"seed={spec.seed}",
                f"quiet={str(spec.quiet).lower()}",
                f"log={spec.log}",
                "tracking=quiet",
                *(override(key, str(folder / name)) for key, name in places.items()),
            ),
            (
                f"asset={spec.asset.name}",
                "data=simulated",
                f"data.simulator.bars={spec.data.simulator.bars}",
                f"evaluation.bootstrap_draws={spec.evaluation.bootstrap_draws}",
                "tracking.report=true",
            ),
        )

    def command(self, task: str, *overrides: str, place: str = "") -> list[str]:
        """Return the command line of a step; its run's folder bears the task's name, or `place`."""
        place = override("hydra.run.dir", str(self.folder / (place or task)))
        of_class = () if task in OF_EVERY_CLASS else self.of_class
        return [sys.executable, "-m", "wealtharena", f"task={task}", *of_class, *self.common, place, *overrides]

    def play(self, task: str, *overrides: str, place: str = "") -> None:
        """Carry out a step; DemoError where it fails."""
        screen().print(styled("\n[bold]{}[/]  {}", task, " ".join(overrides)))
        done = subprocess.run(self.command(task, *overrides, place=place), timeout=STEP_SECONDS, check=False)
        if done.returncode != 0:
            raise DemoError(f"task={task} ended with {done.returncode}", hint="see what it said above")

    @contextlib.contextmanager
    def page(self, port: int) -> Iterator[str]:
        """Yield the address of the service while it is up; it is stopped at the end, whatever happens."""
        with (self.folder / "server.log").open("w") as log:
            process = subprocess.Popen(self.command("serve", f"serve.port={port}"), stdout=log, stderr=log)
            try:
                _wait(process, address := f"http://127.0.0.1:{port}")
                yield address
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(timeout=END_SECONDS)


def run(spec: ExperimentSpec) -> int:
    """Play all steps and return 0; nothing of it needs a network."""
    began, folder = time.monotonic(), RunContext.current().folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage.of(spec, folder)
    end = spec.data.simulator.end
    first = end - dt.timedelta(days=DAYS - 1)
    stage.play("train", f"train.env_steps={spec.train.env_steps}", f"train.evaluations={spec.train.evaluations}")
    stage.play("deploy", f"deploy.agents=[{spec.asset.agent}]", "deploy.stage=paper")
    with stage.page(spec.serve.port or free_port()) as address:
        screen(answer=True).print(f"\nLook here while it trades: {address}/trading", style="bold green")
        year, speed = (f"paper.start={first}", f"paper.end={end}"), DAYS * 86_400 / REPLAY_SECONDS
        tight = f"risk.drawdown.max_drawdown={BRAKES_DRAWDOWN}"
        stage.play("paper", *year, f"paper.account={BRAKES}", tight, place=BRAKES)
        stage.play("paper", *year, f"paper.speed={speed:g}")
    out = screen()
    how = f"Account {BRAKES} was to show a halt: its drawdown was limited to {BRAKES_DRAWDOWN:.0%}."
    out.print(f"\n{how} Account default had the rules as they ship.")
    out.print(styled("The record beside its backtest: [bold]{}[/]", relative(folder / "paper" / "report.html")))
    words = "Simulated prices: nothing of this says anything about a market."
    out.print(f"{time.monotonic() - began:.0f} s. {words}", style="dim")
    return 0


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{address}/health", timeout=2),
        ):
            return
        time.sleep(0.2)
    raise DemoError("the page did not come up", hint="see server.log in the run's folder")


def free_port() -> int:
    """Return a port of the loopback on which nobody listens, below those that systems give to connections by themselves.

    The server comes to it seconds later; one of those others could be somebody's by then.
    """
    for _ in range(PORT_TRIES):
        port = LOWEST_PORT + secrets.randbelow(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise DemoError("no port of the loopback is free", hint="name one: serve.port=8000")
