"""The whole way from a table of bars to a verdict as a few calls, for people who work in a notebook.

The same wall, market, judge and ledger as the command line's; no Hydra runs and no run directory is made, but for the
folder in which a training keeps its candidates.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from wealtharena.agents.playable import require_policies
from wealtharena.config import ExperimentSpec, compose
from wealtharena.config.spelling import key_of
from wealtharena.data import Panel, load_panel
from wealtharena.errors import ConfigError, DataError
from wealtharena.evaluation import audit as audit_room
from wealtharena.evaluation import backtest
from wealtharena.evaluation.audit import AuditReport
from wealtharena.evaluation.evaluate import Evaluation, evaluate
from wealtharena.evaluation.firewall import TrainingView
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.look import Look, stream
from wealtharena.evaluation.seeds import largest
from wealtharena.evaluation.trials import Trials
from wealtharena.features import compute
from wealtharena.features.panel import Scaler
from wealtharena.files import relative
from wealtharena.tasks.pipeline import Prepared, doubts, identity, open_features, sealed_off, split_of
from wealtharena.training.job import Listener, Silent, TrainingResult

if TYPE_CHECKING:
    from wealtharena.agents.policy import Policy, Trained
    from wealtharena.envs.portfolio_env import PortfolioEnv
    from wealtharena.envs.trajectory import Trajectory
    from wealtharena.envs.vector_env import PortfolioVectorEnv
    from wealtharena.tasks.train import Choosing

ELSEWHERE = ("data", "data.source", "data.path", "data.root")  # where bars are that were not passed
OF_AUDIT = "data.quality.leak_"  # what is asked of a panel after it was read


@dataclass(frozen=True, eq=False)
class Study:
    """Bars, settings and a wall around the test rows; `Study.of` makes one.

    Everything but `judge` sees training and validation rows only. `judge` opens the test window, with a line in
    `paths.ledger` each time, and counts what was tried before; `train` and `backtest` write there what validation chose.
    """

    spec: ExperimentSpec
    prepared: Prepared
    folder: Path

    @classmethod
    def of(cls, bars: pd.DataFrame | Panel | None, *overrides: str, folder: str | Path = "outputs/study") -> Study:
        """Return the study of these bars; `overrides` are the words of the command line, such as `"asset=etf"`.

        `bars` is a table in long form (timestamp, symbol, open, high, low, close, volume), a panel, or None for what
        the configuration's own source has. What overrides ask of the bars (`data.start`, `data.symbols`, `data.volume_unit`, ...)
        holds for a table as for a file; the interval is what its timestamps show where none is named. A training writes
        its candidates below `folder`. Splits have one fold here.

        Raises:
            ConfigError: an override is wrong, asks for what a study does not do (several folds, a search, callbacks), or for
                other bars than are passed.
            DataError: the bars are not usable; the message says why.
        """
        _require_applicable(bars, overrides)
        place = _path("folder", folder).absolute()
        spec = compose([*overrides, *(["data=files"] if bars is not None else [])])
        if spec.split.name != "holdout":
            raise ConfigError(
                f"split={spec.split.name}: a study has one fold", hint="take split=holdout, or the command line"
            )
        _require_followed(spec)
        ledger = str(Path(spec.paths.ledger).absolute())  # one, wherever a notebook goes after this
        spec = spec.model_copy(
            update={
                "env": spec.env.model_copy(update={"action": _action(spec)}),
                "paths": spec.paths.model_copy(update={"ledger": ledger}),
            }
        )
        if bars is None:
            return cls(spec, sealed_off(spec, open_features(spec)), place)
        if isinstance(bars, Panel):
            panel = _of_class(bars, spec)
        else:
            stated = "data.interval" in map(key_of, overrides)
            panel = load_panel(bars, asset=spec.asset, data=spec.data, find_interval=not stated)
        return cls(spec, sealed_off(spec, compute(panel, spec.features)), place)

    def __repr__(self) -> str:
        """Return what it is in one line; spec and arrays would fill screens."""
        fold, sealed = self.prepared.folds[0], self.prepared.sealed
        parts = (("train", fold.train), ("validation", (fold.validation,)), ("test", fold.test))
        spans = ((name, sealed.dates(tuple(segments))) for name, segments in parts)
        told = ", ".join(f"{name} {days[0][0]} to {days[-1][1]}" for name, days in spans)
        return f"Study({self.spec.asset.name}, {self.spec.algo.name}: {told})"

    @cached_property
    def view(self) -> TrainingView:
        """Return the rows that may be looked at: features, training segments, the validation segment."""
        return self.prepared.sealed.training(0)

    @cached_property
    def scaler(self) -> Scaler:
        """Return the scaler of the training rows, as every training of this study uses it."""
        from wealtharena.training.trainer import fit_scaler

        return fit_scaler(self.view.features, self.view.train, clip=self.spec.features.clip)

    def env(self) -> PortfolioEnv:
        """Return a Gymnasium environment over the training segments, for any library that trains on one."""
        from wealtharena.envs.portfolio_env import PortfolioEnv

        return PortfolioEnv(**self._face)

    def vector_env(self, num_envs: int) -> PortfolioVectorEnv:
        """Return `num_envs` accounts over the training segments, stepped in one call."""
        from wealtharena.envs.vector_env import PortfolioVectorEnv

        return PortfolioVectorEnv(num_envs=_count("num_envs", num_envs, "accounts"), **self._face)

    @property
    def _face(self) -> dict[str, Any]:
        segments = [(segment.start, segment.stop) for segment in self.view.train]
        return {"features": self.view.features, "scaler": self.scaler, "spec": self.spec.env, "segments": segments}

    def train(self, *, listener: Listener | None = None) -> Trained:
        """Train `algo` and return the candidate that was best on validation; the same seed gives the same policy.

        Raises:
            ConfigError: `listener` lacks one of a `Listener`'s two methods, or the study's folder cannot be made.
            TrainingError: no candidate came of it, the loss is no longer finite, or torch's default dtype is not float32.
            KeyboardInterrupt: Ctrl-C or SIGTERM came, at the end of the iteration that was under way.
        """
        from wealtharena.agents.process import own_torch
        from wealtharena.tasks.folds import TrainedFold
        from wealtharena.tasks.train import train_view
        from wealtharena.training.job import Several

        lacking = [name for name in ("on_iteration", "on_evaluation") if not hasattr(listener or Silent(), name)]
        if lacking:
            raise ConfigError(
                f"a {type(listener).__name__} is no listener: it has no {' and no '.join(lacking)}",
                hint="pass an object with on_iteration(record) and on_evaluation(record)",
            )
        place = self.folder / f"{dt.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        with own_torch():
            try:
                place.mkdir(parents=True)
            except OSError as error:
                raise ConfigError(
                    f"the study's folder {self.folder} cannot be made: {error.strerror}", hint="pass another as folder="
                ) from error
            told = Several((self._choosing(), listener or Silent()))
            result = train_view(self.spec, self.view, place, told, resume=False)
            if result.status == "interrupted":  # it ended its iteration first, and what follows in a cell must not
                raise KeyboardInterrupt(f"the training was stopped; its candidates are in {relative(place)}")
            policy = TrainedFold(self.prepared.folds[0].index, place, result).load()
        self._trained[policy] = result
        return policy

    def backtest(self, policy: Policy, *, window: str = "validation") -> Trajectory:
        """Return the policy's path over the `validation` or the longest `train` segment; no look at the test window.

        Validation chooses, so that the ledger gets the line of a trial first, once a policy's name. What a loaded policy
        was kept from elsewhere nobody asks here: `task=backtest` does. ConfigError for another window, or for no policy.
        """
        if window not in ("train", "validation"):
            raise ConfigError(f"window={window!r} is not open", hint="take train or validation; judge() opens the test")
        longest = max(self.view.train, key=lambda segment: segment.bars)
        segment = self.view.validation if window == "validation" else longest
        self._require((policy,))
        if window == "validation":
            self._choosing(policy).on_evaluation({})
        return backtest.of_policy(
            policy, self.view.features, self._scaler_of(policy), self.spec.env, segment, name=policy.name
        )

    def judge(self, *policies: Policy, tried: int = 1) -> Evaluation:
        """Open the test window and return the judgement of one policy, or of several as seeds of one configuration.

        Baselines, intervals, stress and verdict are those of the command line. `tried` is how many configurations were
        tried on this market elsewhere: it deflates the Sharpe ratio where the ledger knows of fewer. As in a comparison,
        what else the ledger has of this configuration on this window is named as left out and counted; a policy that was
        judged before is known by what it showed, and one that is passed twice is one seed. Their order changes no figure.
        ConfigError for what is no policy, or under `train.test=false`; CheckpointError for a trained one that reads other
        observations; FirewallError where the ledger cannot be written.
        """
        if not policies:
            raise ConfigError("judge() needs a policy", hint="pass what train() returned, or one of your own")
        tried = _count("tried", tried, "configurations")
        if not self.spec.train.test:
            raise ConfigError(
                "train.test=false keeps the test window closed", hint="leave it out where judge() is meant"
            )
        self._require(policies)
        look = Look(self.spec, self.prepared.sealed, self._identity(policies))
        (view,) = look.open()
        audit = self.audit
        first = min(segment.start for segment in view.test)
        told = doubts(self.spec, self.prepared, first_row=first, audit=audit)
        facts = look.facts(
            audit="passed" if audit.passed else "failed",
            degenerate=next((text for one in policies if (text := self._found(one)[1])), None),
            kept_share=largest([self._found(one)[0] for one in policies]),
            seeds=len(policies),
            ordered=False,
            **told,
        )
        seeds = (None,) * len(policies)  # a policy may be of any: what it shows tells it from others
        counted = look.counted(seeds)

        def known(sharpe: float, ratios: Sequence[float]) -> Trials:
            found = counted(sharpe, ratios)
            return replace(found, configurations=max(found.configurations, tried))

        played = [
            backtest.Backtest(
                policy.name,
                view.features,
                self.spec.env,
                tuple(backtest.Piece(policy, self._scaler_of(policy), segment) for segment in view.test),
            )
            for policy in policies
        ]
        return evaluate(played, evaluation=self.spec.evaluation, facts=facts, rng=look.rng(), counted=known)

    @cached_property
    def audit(self) -> AuditReport:
        """Return the look-ahead audit of the study's features, scaler, observation, reward and fill, on training rows."""
        points, rng = audit_room.POINTS, stream(self.spec.seed, "audit")
        panel, quality = self.view.features.panel, self.spec.data.quality
        return audit_room.audit(panel, self.spec.features, self.spec.env, quality=quality, points=points, rng=rng)

    def report(self, found: Evaluation, path: str | Path) -> Path:
        """Write the report of a judgement as one HTML file, with its pictures in `plots/` beside it; return its path."""
        from wealtharena.reporting import build, plots, report

        if not isinstance(found, Evaluation):
            raise ConfigError(f"a {type(found).__name__} is no judgement", hint="pass what judge() returned")
        days = {str(day)[:10] for day in (found.agent.timestamps[0], found.agent.timestamps[-1])}
        own = self.prepared.sealed.window
        if found.agent.symbols != own.symbols or not days <= {day[:10] for span in own.dates for day in span}:
            raise ConfigError("this was judged by another study", hint="report it by the one whose judge() returned it")
        if _path("path", path).is_dir():
            raise ConfigError(f"{path} is a folder", hint="name a file in it, such as report.html")
        blocks = found.to_json()
        run = {
            "agent": self.spec.asset.agent,
            "algo": found.agent.name,
            "seed": self.spec.seed,
            "data": dict(self.prepared.about),
            "split": {"name": self.spec.split.name, **split_of(self.prepared)},
            "fill": self.prepared.fill,
            "notes": list(self.prepared.notes),
            "metrics": {"test": blocks.pop("metrics")},
            **{name: blocks[name] for name in ("baselines", "comparison", "shape", "stress", "verdict")},
        }
        rng, seeds = stream(self.spec.seed, "report"), range(len(found.agents))
        data = build.from_evaluation(run, found, rng=rng, seeds=seeds, currency=self.spec.asset.account_currency)
        try:
            page = report.write(Path(path), data)
            plots.write(page.parent / "plots", data)
        except OSError as error:
            place = error.filename or path
            raise ConfigError(f"{place} cannot be written: {error.strerror}", hint="pass another path") from error
        return page

    def _require(self, policies: Sequence[Policy]) -> None:
        require_policies(policies, layout=lambda: self.env().layout)

    def _scaler_of(self, policy: Policy) -> Scaler:
        found = getattr(policy, "scaler", None)
        return found if isinstance(found, Scaler) else self.scaler

    @cached_property
    def _trained(self) -> WeakKeyDictionary[Policy, TrainingResult]:
        """What the trainings of this study found of the policies that they returned."""
        return WeakKeyDictionary()

    def _found(self, policy: Policy) -> tuple[float | None, str | None]:
        """Return lambda, and what is wrong with how the policy behaves, as its training found them; None where nothing says so."""
        for one, result in self._trained.items():  # looked up, one's own might be what no dictionary takes
            if one is policy:
                return result.kept_share, result.degenerate
        from wealtharena.training.shrinkage import share_left

        return share_left(policy), None

    @cached_property
    def _chosen(self) -> dict[str, Choosing]:
        """What has been, or will be, written of each configuration's choice."""
        return {}

    def _choosing(self, *policies: Policy) -> Choosing:
        """Return who writes down, once, by which window a policy is chosen; without one, what this study trains."""
        from wealtharena.tasks.train import Choosing

        who = self._identity(policies)
        window = self.prepared.sealed.selection
        return self._chosen.setdefault(who.config_hash, Choosing(Ledger(self.spec.paths.ledger), who, window))

    def _identity(self, policies: Sequence[Policy]) -> RunIdentity:
        """Return who looks: the configuration, and for a policy that it did not make, its name beside it."""
        own = identity(self.spec, self.prepared)
        names = sorted({policy.name for policy in policies} - {self.spec.algo.name})
        if names:
            own = hashlib.sha256(f"{own} {' '.join(names)}".encode()).hexdigest()[:16]
        return RunIdentity(_new_id(), own, self.spec.asset.agent, "study")


def _require_applicable(bars: pd.DataFrame | Panel | str | Path | None, overrides: Sequence[str]) -> None:
    """Raise ConfigError for an override that bars which are passed could not follow."""
    if isinstance(bars, str | Path):
        way = f'pass a pandas DataFrame, or None with "data=files" and "data.path={bars}"'
        raise DataError(f"{bars} is no table", hint=way)
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f"{override!r} is no override", hint='pass each by itself: "asset=etf", "seed=1"')
        if bars is None or override == "data=files":
            continue
        key = key_of(override)
        if key in ELSEWHERE or key.startswith("data.simulator."):
            raise ConfigError(
                f"{override} asks for other bars than those that are passed", hint="pass None, or leave it out"
            )
        of_bars = key == "universe.max_symbols" or (key.startswith("data.") and not key.startswith(OF_AUDIT))
        if isinstance(bars, Panel) and of_bars:
            raise ConfigError(
                f"{override} cannot change a panel, which has been read already",
                hint="pass the table, or give it to load_panel(data=compose([...]).data)",
            )


def _of_class(panel: Panel, spec: ExperimentSpec) -> Panel:
    """Return the panel; ConfigError where it was read as another class's: costs, limits and calendar would be wrong."""
    if panel.asset != spec.asset.name:
        raise ConfigError(
            f"the panel was read as asset={panel.asset}, and this is asset={spec.asset.name}",
            hint=f'pass "asset={panel.asset}", or load_panel(table, asset="{spec.asset.name}")',
        )
    return panel


def _require_followed(spec: ExperimentSpec) -> None:
    """Raise ConfigError for what the command line does and a study would pass over."""
    for setting, asked, hint in (
        (f"task={spec.task}", spec.task != "train", "a study trains, plays and judges; take the command line"),
        (
            f"sweep={spec.sweep.name}",
            spec.sweep.name != "none",
            "search by the command line, and study what it has found",
        ),
        (f"resume={spec.resume}", spec.resume is not None, "go on by the command line"),
        (f"train.retrain={spec.train.retrain}", spec.train.retrain is not None, "train again by the command line"),
        (
            "train.callbacks",
            bool(spec.train.callbacks),
            "pass train(listener=...), which has on_iteration and on_evaluation",
        ),
    ):
        if asked:
            raise ConfigError(f"{setting} is nothing that a study does", hint=hint)


def _count(name: str, value: object, of: str) -> int:
    """Return a whole number from 1 on, of Python's or numpy's kind."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise ConfigError(f"{name}={value!r} is no number of {of}", hint="pass a whole number from 1 on")
    return int(value)


def _path(name: str, value: object) -> Path:
    """Return the path that was passed; ConfigError where it is none."""
    if not isinstance(value, str | Path):
        raise ConfigError(f"{name}={value!r} is no path", hint="pass a text or a pathlib.Path")
    return Path(value)


def _new_id() -> str:
    return f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _action(spec: ExperimentSpec) -> str:
    from wealtharena.agents.engine import check_action

    return check_action(spec)
