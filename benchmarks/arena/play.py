"""One cell of the arena: an entrant, a course and a seed, from training to a file with what came of it.

The file stands once the cell is done, whole or not at all, and a cell that has its file is not played again. A training
that was killed goes on from its last state.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import oracles
from benchmarks.arena import sources
from benchmarks.arena.courses import Course, Ground
from benchmarks.arena.entries import DoesNotFitError, Entrant
from benchmarks.arena.workers import alone
from wealtharena import files
from wealtharena.agents.engine import EnvFactory
from wealtharena.agents.policy import load_policy
from wealtharena.config import compose, config_hash
from wealtharena.config.specs.env import EnvSpec
from wealtharena.config.specs.experiment import ExperimentSpec
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.envs.trajectory import Trajectory
from wealtharena.errors import ConfigError, Interrupted, WealthArenaError
from wealtharena.evaluation import active, metrics
from wealtharena.evaluation.backtest import Untilted
from wealtharena.evaluation.ledger import Ledger, RunIdentity
from wealtharena.evaluation.splits import Fold, Segment
from wealtharena.training import TrainingJob, train
from wealtharena.training.job import Silent
from wealtharena.training.trainer import fit_scaler

FloatArray = npt.NDArray[np.float64]
FORM = 4  # of a cell's file
PATIENCE_SECONDS = 3600.0  # for one cell
TURNS = "turns"  # below `out`: a file a cell, which is locked while it is played


@cache
def settings(overrides: tuple[str, ...]) -> ExperimentSpec:
    """Return what a course's and an entrant's overrides come to, but for the seed; ConfigError where they are none."""
    return compose(overrides)


@dataclass(frozen=True)
class Cell:
    """What is played once."""

    course: Course
    entrant: Entrant
    seed: int

    @property
    def key(self) -> str:
        """Return a name that no other cell has; another setting, policy or file of bars is another cell."""
        course = (*self.course.overrides, str(self.course.inner_folds), *self._content())
        told = "\n".join((*course, self.entrant.identity, str(FORM)))
        digest = hashlib.sha256(told.encode()).hexdigest()[:8]
        return f"{self.course.name}--{self.entrant.name}--{self.seed}--{digest}"

    def _content(self) -> tuple[str, ...]:
        """Return hashes of what the overrides come to and of the file of bars; nothing where they fit this course in no way."""
        try:
            spec = settings((*self.course.overrides, *self.entrant.overrides))
        except ConfigError:
            return ()
        return config_hash(spec), sources.digest([Path(spec.data.path).expanduser()] if spec.data.path else [])

    def file(self, out: Path) -> Path:
        """Return where the result stands below `out`."""
        return out / "cells" / f"{self.key}.json"


@dataclass(frozen=True, eq=False)
class Played:
    """One fold: the agent's and the anchor's paths over its test rows, and what else is known of it."""

    agent: Trajectory
    anchor: Trajectory
    learned: tuple[Trajectory, Trajectory] | None  # the same two over the rows that were trained on, where some were
    oracle: Trajectory | None
    seconds: float  # of training
    found: Mapping[str, Any]


def stands(cell: Cell, out: Path) -> bool:
    """Return whether a cell was played below `out`, or does not fit; one that failed is still to be played."""
    place = cell.file(out)
    return place.is_file() and json.loads(place.read_text())["status"] != "failed"


def play(cell: Cell, *, out: Path, ledger: Path) -> dict[str, Any]:
    """Play a cell, write its file below `out` and return what is in it; what stands there already is returned as it is.

    What failed is tried again: a file that was missing, or a full disk, may have been mended. An error of the platform, and a
    policy that does not fit, are results too. Interrupted is raised where training was.
    """
    # another arena may play here, or a process of one that was killed
    with files.held(out / TURNS / cell.key, seconds=2 * PATIENCE_SECONDS):
        if stands(cell, out):
            known: dict[str, Any] = json.loads(cell.file(out).read_text())
            return known
        return _played(cell, out, ledger)


def _played(cell: Cell, out: Path, ledger: Path) -> dict[str, Any]:
    place = cell.file(out)
    work = out / "work" / cell.key
    result: dict[str, Any] = {"course": cell.course.name, "entrant": cell.entrant.name, "seed": cell.seed}
    began = time.monotonic()
    try:
        ground = cell.course.open(cell.entrant.overrides, cell.seed)
        with alone():
            folds = [_fold(cell, ground, fold, work / str(fold.index)) for fold in ground.folds]
        result |= {"status": "played", **_summary(folds)}
        _tell(ledger, cell, ground, result["sharpe"])
    except Interrupted:
        raise
    except (WealthArenaError, DoesNotFitError) as error:
        result |= {"status": "does not fit" if isinstance(error, DoesNotFitError) else "failed", "why": str(error)}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a stranger's policy raises is what came of it
        if cell.entrant.own is None:
            raise
        result |= {"status": "failed", "why": f"{type(error).__name__}: {error}"}
    result["cell_seconds"] = time.monotonic() - began
    files.write_json(place, files.jsonable(result))
    shutil.rmtree(work, ignore_errors=True)
    return result


def lost(cell: Cell, out: Path, why: str, *, seconds: float) -> dict[str, Any]:
    """Write a cell whose process said no more as failed, and return what is in its file; its training can go on."""
    result = {
        "course": cell.course.name,
        "entrant": cell.entrant.name,
        "seed": cell.seed,
        "status": "failed",
        "why": why,
        "cell_seconds": seconds,
    }
    files.write_json(cell.file(out), result)
    return result


def keep(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write what `play` returned of some cells, without returns bar by bar."""
    kept = [
        {name: value for name, value in cell.items() if name not in ("returns", "anchor_returns")} for cell in found
    ]
    path.write_text(json.dumps(kept, indent=2) + "\n")


def _fold(cell: Cell, ground: Ground, fold: Fold, folder: Path) -> Played:
    scaler = fit_scaler(ground.features, fold.train, clip=ground.spec.features.clip)
    tilting = ground.spec.env.model_copy(update={"action": "tilt"})
    level = Market.build(ground.features, tilting, scaler)
    own = cell.entrant.own
    agents, seconds, found, learned = [], 0.0, {}, None
    if own is None:
        agents, seconds, found = _trained(ground, fold, folder)
        learned = agents.pop(), _still(level, tilting, fold.train[-1])
    else:
        env = ground.spec.env
        market = Market.build(ground.features, env, scaler)
        visible = Market.build(ground.features.slice(0, fold.validation.stop), env, scaler)
        segments = tuple((segment.start, segment.stop) for segment in fold.train)
        began = time.monotonic()
        decide = own.ready(market.layout, EnvFactory(visible, env, segments), cell.seed)
        seconds = time.monotonic() - began
        agents = [simulate(market, decide, spec=env, start=s.start, stop=s.stop) for s in fold.test]
    anchor = [_still(level, tilting, segment) for segment in fold.test]
    told = [
        oracles.best(ground.expected, level, tilting, start=s.start, stop=s.stop).path
        for s in fold.test
        if ground.expected is not None
    ]
    (agent,), (still,) = agents, anchor  # walk-forward and holdout have one test segment a fold
    return Played(agent, still, learned, told[0] if told else None, seconds, found)


def _still(level: Market, tilting: EnvSpec, segment: Segment) -> Trajectory:
    """Return the anchor's path over a segment."""
    return simulate(level, Untilted(level, tilting).act, spec=tilting, start=segment.start, stop=segment.stop)


def _trained(ground: Ground, fold: Fold, folder: Path) -> tuple[list[Trajectory], float, dict[str, Any]]:
    """Return the paths of what was trained over the test segments and, last, over the last one of training."""
    visible = ground.features.slice(0, fold.validation.stop)
    folder.mkdir(parents=True, exist_ok=True)
    job = TrainingJob(ground.spec, visible, fold.train, fold.validation, folder, resume=True)
    result = train(job, listener=Silent())
    if result.status == "interrupted":
        raise Interrupted("the arena was interrupted", hint="start it again: it goes on from here")
    if result.best is None:
        raise WealthArenaError("training left no candidate", hint="raise train.env_steps")
    policy = load_policy(folder / result.best.path)
    env: EnvSpec = ground.spec.env.model_copy(update={"action": policy.action})
    market = Market.build(ground.features, env, policy.scaler)
    paths = []
    for segment in (*fold.test, fold.train[-1]):
        policy.reset()
        paths.append(simulate(market, policy.act, spec=env, start=segment.start, stop=segment.stop))
    found = {"degenerate": result.degenerate, "kept_share": result.best.metrics.get("kept_share")}
    return paths, result.seconds, found


def _summary(folds: Sequence[Played]) -> dict[str, Any]:
    agent, anchor = (np.concatenate([getattr(one, name).returns for one in folds]) for name in ("agent", "anchor"))
    year = folds[0].agent.bars_per_year
    own, still = (metrics.sharpe(series, bars_per_year=year) for series in (agent, anchor))
    best = [one.oracle for one in folds if one.oracle is not None]
    told = metrics.sharpe(np.concatenate([one.returns for one in best]), bars_per_year=year) if best else None
    days = folds[0].agent.timestamps[0], folds[-1].agent.timestamps[-1]
    return {
        "sharpe": _zero(own),
        "anchor_sharpe": _zero(still),
        "oracle_sharpe": told,
        "turnover": float(np.mean([metrics.turnover(one.agent) for one in folds])),
        "exposure": float(np.mean([metrics.exposure(one.agent) for one in folds])),
        "training_seconds": sum(one.seconds for one in folds),
        "active_share": float(np.mean([active.share(one.agent, one.anchor) for one in folds])),
        "memorised": _memorised(folds),
        "degenerate": next((one.found["degenerate"] for one in folds if one.found.get("degenerate")), None),
        "kept_shares": [one.found["kept_share"] for one in folds if one.found.get("kept_share") is not None],
        "bars_per_year": year,
        "dates": [str(day)[:10] for day in days],
        "returns": agent.tolist(),
        "anchor_returns": anchor.tolist(),
    }


def _memorised(folds: Sequence[Played]) -> float | None:
    """Return the information ratio in training less that on the folds' tests, None for who was not trained."""
    learned = [one.learned for one in folds if one.learned is not None]
    if not learned:
        return None
    ratios = []
    for pairs in (learned, [(one.agent, one.anchor) for one in folds]):
        apart = np.concatenate([agent.returns - anchor.returns for agent, anchor in pairs])
        ratios.append(_zero(metrics.sharpe(apart, bars_per_year=folds[0].agent.bars_per_year)))
    return ratios[0] - ratios[1]


def _zero(sharpe: float) -> float:
    """Return the ratio; that of an account that never moved counts as 0."""
    return sharpe if math.isfinite(sharpe) else 0.0


def _tell(ledger: Path, cell: Cell, ground: Ground, sharpe: float) -> None:
    """Write a try on a recorded market to the ledger: it counts against whatever is judged on its last fifth."""
    if ground.window is None:
        return
    own = cell.entrant.own
    config = ground.config if own is None else hashlib.sha256(cell.entrant.identity.encode()).hexdigest()[:16]
    identity = RunIdentity(f"arena-{cell.key}", config, ground.spec.asset.agent, "arena", cell.seed)
    Ledger(ledger).record_trial(identity, window=ground.window, sharpe=sharpe)
