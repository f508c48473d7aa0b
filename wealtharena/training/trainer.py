"""The training loop: iterate, evaluate on validation now and then, keep the best, be ready to be killed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wealtharena.agents.engine import ENGINE_METHODS, Counting, Engine, Ensemble, Workbench, check_action
from wealtharena.agents.foresight import targets_of
from wealtharena.agents.policy import EnsemblePolicy, NetworkPolicy, Trained
from wealtharena.config import plugins
from wealtharena.envs.anchors import beside
from wealtharena.envs.market import Market
from wealtharena.envs.simulate import simulate
from wealtharena.envs.trajectory import Trajectory
from wealtharena.evaluation.behaviour import degenerate
from wealtharena.evaluation.splits import Segment
from wealtharena.features.panel import FeaturePanel, Scaler
from wealtharena.files import make_folder
from wealtharena.training import answers, sameness
from wealtharena.training.checkpoints import TRAINER, CandidateStore, load_state, save_state
from wealtharena.training.interrupts import StopRequest
from wealtharena.training.job import KEPT_SHARE, Figure, Listener, TrainingJob, TrainingResult

if TYPE_CHECKING:
    from typing import Literal

    from wealtharena.agents.networks import Network


def train(job: TrainingJob, *, listener: Listener) -> TrainingResult:
    """Return the candidates of a training; it ends early where it is interrupted or patience runs out.

    A job with `resume` goes on from trainer/state.pt, or begins where there is none. TrainingError where the loss is no
    longer finite or nothing can be written; candidates and the last state stay as they were. The working folder stays
    where it is, wherever an algorithm or a reward of a package goes: the ledger's path may be relative to it.
    """
    with contextlib.chdir(Path.cwd()):
        return _Training(job, listener).run()


def fit_scaler(features: FeaturePanel, segments: tuple[Segment, ...], *, clip: float) -> Scaler:
    """Return the scaler of the training rows; it has seen no other row."""
    rows = np.concatenate([features.values[segment.start : segment.stop] for segment in segments])
    return Scaler.fit(replace(features, values=rows), clip=clip)


class _Training:
    def __init__(self, job: TrainingJob, listener: Listener) -> None:
        self.job, self.listener, self.spec = job, listener, job.spec
        action = check_action(job.spec)
        self.env = job.spec.env.model_copy(update={"action": action})
        self.state = load_state(job.folder) if job.resume else None
        self.scaler = (
            Scaler.from_dict(self.state["scaler"])
            if self.state is not None
            else fit_scaler(job.features, job.train, clip=job.spec.features.clip)
        )
        if self.env.tilt is not None:
            self.scaler = beside(self.scaler)
        self.market = Market.build(job.features, self.env, self.scaler)
        make_folder(job.folder / TRAINER)
        self.store = CandidateStore(job.folder, keep=job.spec.train.checkpoints)
        self.iterations, self.stale, self.still = 0, 0, 0
        self.proved = False  # whether a state of this engine was loaded again
        self.learned: int | None = None  # updates at the last validation, where they are counted
        self.seconds, self.reward = 0.0, float("nan")
        self.degenerate: dict[str, str | None] = {}
        self._anchor: npt.NDArray[np.float64] | None = None
        self._untilted: Trajectory | None = None

    def run(self) -> TrainingResult:
        with plugins.importing():  # torch and RLlib
            engine = self._open_engine()
        try:
            with StopRequest() as stop:
                self._started = self._saved = time.monotonic()
                while engine.env_steps < self.spec.train.env_steps and not self._out_of_patience():
                    if stop.requested:
                        break
                    self._iterate(engine)
                if not stop.requested and not self._validated(engine):
                    self._evaluate(engine)
                self.seconds += time.monotonic() - self._started
                self._save(engine, self.seconds)
                if stop.requested and self.store.best is None and self.iterations:
                    self._measure(engine)  # in no state: a run that goes on has the candidates that it would have had
            # also where the last iteration was stopped: who stops a run does not want its test window opened
            status: Literal["completed", "interrupted"] = "interrupted" if stop.requested else "completed"
            return self._result(engine, status)
        finally:
            engine.close()

    def _open_engine(self) -> Engine:
        from wealtharena.agents.process import keep_freed_memory, set_threads

        set_threads(self.spec.compute.torch_threads)
        keep_freed_memory()
        bench = Workbench(
            spec=self.spec,
            env=self.env,
            action=self.env.action,
            market=self.market,
            segments=tuple((segment.start, segment.stop) for segment in self.job.train),
            scaler=self.scaler,
            panel=self.job.features.panel,
            env_steps=self.spec.train.env_steps,
            warm=self.job.warm,
        )
        with contextlib.chdir(Path.cwd()):
            engine: Engine = plugins.load("agents.algorithms", self.spec.algo.name).build(bench)
        plugins.check_answer("agents.algorithms", self.spec.algo.name, engine, of="build", methods=ENGINE_METHODS)
        answers.steps_of(self.spec.algo.name, engine)
        if self.state is not None:
            self._restore(engine, self.state)
        return engine

    def _iterate(self, engine: Engine) -> None:
        from wealtharena.agents.process import room_on_the_gpu

        began, before = time.monotonic(), engine.env_steps
        with room_on_the_gpu(), contextlib.chdir(Path.cwd()):
            figures = answers.figures_of(self.spec.algo.name, engine.iterate())
        self.iterations += 1
        self._require_steps(engine, before)
        self.reward = float(figures.get("reward", self.reward))
        took = max(time.monotonic() - began, 1e-9)
        self.listener.on_iteration(
            {**self._clock(engine), **figures, "env_steps_per_second": (engine.env_steps - before) / took}
        )
        if self._spacings(engine.env_steps) > self._spacings(before):
            self._evaluate(engine)
        now = time.monotonic()
        if now - self._saved >= self.spec.train.checkpoint_seconds:
            self._save(engine, self.seconds + now - self._started)

    def _require_steps(self, engine: Engine, before: int) -> None:
        """Raise WealthArenaError for an engine that takes no steps any more: the loop would have no end."""
        name = self.spec.algo.name
        self.still = self.still + 1 if answers.steps_of(name, engine) <= before else 0
        if self.still >= answers.STILL:
            told = f"its engine has counted no step in {self.still} iterations: env_steps is {engine.env_steps}"
            raise plugins.misused("agents.algorithms", name, told)

    def _clock(self, engine: Engine) -> dict[str, Figure]:
        return {"iteration": self.iterations, "env_step": engine.env_steps}

    def _spacings(self, env_steps: int) -> int:
        """Return how many spacings between validations lie within the first steps; one is due where another ends."""
        return env_steps * self.spec.train.evaluations // self.spec.train.env_steps

    def _validated(self, engine: Engine) -> bool:
        return not self.iterations or str(engine.env_steps) in self.degenerate

    def _out_of_patience(self) -> bool:
        return self.spec.train.patience is not None and self.stale >= self.spec.train.patience

    def _evaluate(self, engine: Engine) -> None:
        self._measure(engine)
        self._save(engine, self.seconds + time.monotonic() - self._started)

    def _measure(self, engine: Engine) -> None:
        from wealtharena.evaluation import metrics  # a second, which the first update need not wait for

        policy, trajectory, found = self._proven(engine)
        measured = {**metrics.summary(trajectory, risk_free=self._risk_free(trajectory)), **found}
        finding = self._finding(trajectory, found)
        score = measured[self.spec.train.select_by]
        learned = engine.updates if isinstance(engine, Counting) else None
        if learned is None or learned != self.learned:  # else it is no other candidate, and takes no patience
            best = self.store.offer(policy, env_step=engine.env_steps, score=score, metrics=measured)
            self.stale = 0 if best else self.stale + 1
        self.learned = learned
        self.degenerate[str(engine.env_steps)] = finding
        record: dict[str, Figure] = {**self._clock(engine), **measured}
        self.listener.on_evaluation(record if finding is None else {**record, "degenerate": finding})

    def _proven(self, engine: Engine) -> tuple[Trained, Trajectory, dict[str, float]]:
        """Return the policy to be kept, its validation path and, where it was shrunk, how much of it was kept and why."""
        policy = self.policy(engine)
        trajectory = self._on_validation(policy)
        if not (isinstance(engine, Ensemble) and engine.shrinks):
            return policy, trajectory, {}
        from wealtharena.agents.direct.windows import seen
        from wealtharena.training.shrinkage import evidence, kept_share, shrunk

        if self._anchor is None:
            self._anchor = self._on_validation(shrunk(policy, 0.0)).returns  # the same whatever was learnt
        share = kept_share(trajectory.returns, self._anchor)
        segment = self.job.validation
        kept = shrunk(policy, share, shown=seen(self.market)[segment.start : segment.stop - 1])
        found = evidence(trajectory.returns, self._anchor, bars_per_year=trajectory.bars_per_year)
        return kept, self._on_validation(kept), {KEPT_SHARE: share, **found}

    def _finding(self, trajectory: Trajectory, found: Mapping[str, float]) -> str | None:
        """Return why what was validated is no policy, if so; one that is its anchor is told as such, elsewhere."""
        if self._is_anchor(trajectory, found):
            return None
        return degenerate(trajectory, max_gross=self.env.limits.max_gross)

    def _is_anchor(self, trajectory: Trajectory, found: Mapping[str, float]) -> bool:
        """Return whether what was validated is the anchor, by its evidence or by what it held; all tilts can be."""
        if self.env.tilt is None or found.get(KEPT_SHARE) == 0.0:
            return found.get(KEPT_SHARE) == 0.0
        from wealtharena.evaluation.active import is_anchor
        from wealtharena.evaluation.backtest import Untilted

        if self._untilted is None:
            segment, still = self.job.validation, Untilted(self.market, self.env)
            self._untilted = simulate(self.market, still.act, spec=self.env, start=segment.start, stop=segment.stop)
        return is_anchor(trajectory, self._untilted, max_gross=self.env.limits.max_gross)

    def _on_validation(self, policy: Trained) -> Trajectory:
        segment = self.job.validation
        policy.reset()
        targets = targets_of(policy, self.market, start=segment.start, stop=segment.stop)
        return simulate(self.market, targets, spec=self.env, start=segment.start, stop=segment.stop, name=policy.name)

    def _risk_free(self, trajectory: Trajectory) -> npt.NDArray[np.float64]:
        from wealtharena.evaluation import metrics

        return metrics.risk_free(trajectory, self.spec.asset.risk_free_per_year)

    def policy(self, engine: Engine) -> Trained:
        """Return the engine's network as it is now, or its members' mean, as a policy of its own."""
        import copy

        if not isinstance(engine, Ensemble):
            return self._policy_of(copy.deepcopy(answers.network_of(self.spec.algo.name, engine.network())))
        members = [self._policy_of(network) for network in engine.members()]
        return members[0] if len(members) == 1 else EnsemblePolicy(members, name=self.spec.algo.name)

    def _policy_of(self, network: Network) -> NetworkPolicy:
        return NetworkPolicy(
            network=network,
            model=self.spec.model,
            layout=self.market.layout,
            action=self.env.action,
            limits=self.env.limits,
            scaler=self.scaler,
            name=self.spec.algo.name,
        )

    def _save(self, engine: Engine, seconds: float) -> None:
        state = answers.state_of(self.spec.algo.name, engine.get_state(), tried=self.proved)
        self.proved = True
        save_state(
            self.job.folder,
            {
                "engine": state,
                "scaler": self.scaler.to_dict(),
                "candidates": self.store.get_state(),
                "progress": {
                    "iterations": self.iterations,
                    "budget": self.spec.train.env_steps,
                    "patience": self.spec.train.patience,
                    "stale": self.stale,
                    "learned": self.learned,
                    "seconds": seconds,
                    "reward": self.reward,
                },
                "degenerate": self.degenerate,
                "job": sameness.identity(self.job),
            },
        )
        self.store.remove_others()  # no state names them any more
        self._saved = time.monotonic()

    def _restore(self, engine: Engine, state: Mapping[str, Any]) -> None:
        sameness.refuse_another(self.job, state["job"])
        fitted = fit_scaler(self.job.features, self.job.train, clip=self.spec.features.clip)
        sameness.refuse_other_features(self.job, self.scaler, fitted)
        engine.set_state(state["engine"])
        self.store.set_state(state["candidates"])
        progress = state["progress"]
        self.iterations, self.seconds, self.reward = progress["iterations"], progress["seconds"], progress["reward"]
        self.learned = progress.get("learned")
        budget = self.spec.train.env_steps
        self.stale = 0 if budget > progress.get("budget", budget) else progress["stale"]  # more steps, new patience
        self.degenerate = dict(state["degenerate"])

    def _result(self, engine: Engine, status: Literal["completed", "interrupted"]) -> TrainingResult:
        best = self.store.best
        return TrainingResult(
            candidates=tuple(self.store.candidates),
            best=best,
            env_steps=engine.env_steps,
            seconds=self.seconds,
            env_steps_per_second=engine.env_steps / self.seconds if self.seconds > 0 else math.nan,
            iterations=self.iterations,
            final_reward=self.reward,
            status=status,
            degenerate=self.degenerate.get(str(best.env_step)) if best else None,
        )
