"""paper.retrain: train the agent again by the calendar or on drift, beside the trading, and let the gate judge the result."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from wealtharena import files
from wealtharena.config import speech
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.config.spelling import override
from wealtharena.errors import WealthArenaError

FILE: Final = "retrain.json"
END_SECONDS: Final = 60.0  # longest wait for the end of what was asked to end
Step = Literal["train", "deploy"]
STEPS: Final[tuple[Step, ...]] = ("train", "deploy")


@dataclass
class Renewing:
    """One retraining at a time, each step a process of its own; the account goes on with the version it was opened with.

    When the last one began is kept in the account's folder, so that a restart begins none anew: one that ended with its
    process is told of, and gone on with by a person.
    """

    spec: ExperimentSpec
    folder: Path
    now: Callable[[], dt.datetime]
    tell: Callable[[str, str], None]
    command: Callable[[Step, Path], list[str]] | None = None  # tests bring their own, given the run's folder
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _told_unwritten: bool = field(default=False, init=False)
    _taken_up: bool = field(default=False, init=False)  # whether what a process before left was looked at
    _step: Step = field(default="train", init=False)
    _run: Path = field(default=Path(), init=False)  # of the training

    def look(self, *, drifted: bool) -> None:
        """Begin a retraining that is due, or see how the one under way stands; returns at once."""
        if self._process is not None:
            try:
                self._follow(self._process)
            except (OSError, ValueError, KeyError, WealthArenaError) as error:  # never a reason to stop trading
                self._ended()
                self.tell("the retraining failed", f"its result cannot be read: {error}")
            return
        if not self._taken_up:
            self._taken_up = True
            self._tell_cut_off()
        try:
            if reason := self._due(drifted):
                self._run = self.folder / f"retrain-{self.now():%Y%m%d-%H%M%S}"
                self._keep(reason, under_way=self._run)
                self.tell("retraining begins", reason)
                self._begin("train")
        except OSError as error:
            if not self._told_unwritten:
                self.tell("no retraining can begin", f"{error.filename or FILE}: {error.strerror}")
            self._told_unwritten = True

    def close(self) -> None:
        """End what is under way, and say so; no process begins it anew, only another where one is due again."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(timeout=END_SECONDS)
            self._process = None
            self._tell_cut_off()

    def _keep(self, reason: str, *, under_way: Path | None = None) -> None:
        run = None if under_way is None else str(under_way)
        found = {"began_at": self.now().isoformat(), "reason": reason, "under_way": run}
        files.write_json(self.folder / FILE, found)

    def _ended(self) -> None:
        """Note that nothing is under way; what cannot be noted is told of once more by the next process."""
        with contextlib.suppress(OSError):
            files.write_json(self.folder / FILE, {**self._kept(), "under_way": None})

    def _tell_cut_off(self) -> None:
        """Tell people of a retraining that ended with its process, which nothing goes on with by itself."""
        kept = self._kept()
        if run := kept.get("under_way"):
            self._ended()
            way = f"{speech.COMMAND} {override('resume', str(run))} goes on with it where it has not ended, then task=deploy asks the gate"
            self.tell("the retraining was cut off", f"{kept.get('reason')}, and the process ended before it had. {way}")

    def _due(self, drifted: bool) -> str:
        """Return why a retraining is due; nothing where none is."""
        asked, last = self.spec.paper.retrain, self._last()
        age = (self.now() - last).total_seconds() / 86_400 if last is not None else None
        days = self.spec.paper.retrain_days
        if asked == "calendar" and age is None:
            self._keep("the account was opened")
        elif asked == "calendar" and age is not None and age >= days:
            return f"{age:.0f} days have gone by, paper.retrain_days={days}"
        if asked == "drift" and drifted and (age is None or age >= days):
            return "what it sees or asks for has drifted"
        return ""

    def _last(self) -> dt.datetime | None:
        try:
            return dt.datetime.fromisoformat(self._kept()["began_at"])
        except (ValueError, KeyError, TypeError):
            return None

    def _kept(self) -> dict[str, Any]:
        """Return what is kept of the last one; nothing where it cannot be read."""
        try:
            found = json.loads((self.folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _begin(self, step: Step) -> None:
        self._step = step
        command = (self.command or self._command)(step, self._run)
        with (self.folder / f"retrain-{step}.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def _follow(self, process: subprocess.Popen[bytes]) -> None:
        code = process.poll()
        if code is None:
            return
        self._process = None
        log = f"retrain-{self._step}.log in the account's folder"
        if code == 0 and self._step == "train":
            self._begin("deploy")
            return
        self._ended()
        if code != 0:
            what = "the retraining failed" if self._step == "train" else "the gate kept the retrained version back"
            self.tell(what, f"task={self._step} ended with {code}; see {log}")
        elif self._in_production(version := _version(self._run)):
            text = f"the gate has let {version} of {self.spec.asset.agent} into production"
            self.tell("retrained", f"{text}; trade it with paper.action=restart")
        else:
            self.tell(
                "the gate kept the retrained version back", f"{version} is on paper, production is as it was; see {log}"
            )

    def _in_production(self, version: str) -> bool:
        from wealtharena.registry import history

        pointer = history.standing(Path(self.spec.paths.checkpoints), self.spec.asset.agent, "production")
        return pointer is not None and pointer.version == version

    def _command(self, step: Step, run: Path) -> list[str]:
        """Return the command line: production's configuration on newer data, then the gate as for any other version."""
        spec, paths = self.spec, self.spec.paths
        agents = f"deploy.agents=[{spec.asset.agent}]"
        asked = (
            [
                f"train.retrain={spec.asset.agent}",
                "train.warm_start=false",
                "train.collect=true",
                override("hydra.run.dir", run),
            ]
            if step == "train"
            else [agents, f"deploy.checkpoints=[{_version(run)}]"]
        )
        places = {"checkpoints": paths.checkpoints, "results": paths.results, "ledger": paths.ledger}
        return [
            sys.executable, "-m", "wealtharena", f"task={step}", f"asset={spec.asset.name}", f"seed={spec.seed}", *asked,
            *(override(f"paths.{name}", place) for name, place in places.items()), override("data.root", spec.data.root),
            "tracking=quiet",
        ]  # fmt: skip


def _version(run: Path) -> str:
    """Return the version that a training has published: its run's own name."""
    return str(json.loads((run / "run.json").read_text(encoding="utf-8"))["run_id"])
